//! A configuration with the ones that it extends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Accept, CommentRules, Config, ConfigError, Setting, Settings, limits_of};
use crate::image::{Day, Platform};
use crate::limits::{self, Limits};
use crate::removable::Catalogue;

/// The limits that one configuration has for an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The name of the configuration, if it is an extended one.
    pub source: Option<String>,
    /// Its limits.
    pub limits: Limits,
    /// The settings that they were made from.
    pub settings: Settings,
}

impl Ruleset {
    fn new(source: Option<String>, settings: Settings) -> Result<Ruleset, ConfigError> {
        Ok(Ruleset { source, limits: limits_of(&settings)?, settings })
    }
}

impl Config {
    /// Adds the configurations that it extends, nearest first.
    pub fn extending(self, extended: Vec<Config>) -> Config {
        Config { extended, ..self }
    }

    /// The file, or `OWNER/REPO//PATH@REF`, that it extends.
    pub fn extends(&self) -> Option<&Setting> {
        self.top.get("extends")
    }

    /// The names of all files that count; empty if there is only the usual file.
    pub fn sources(&self) -> Vec<String> {
        let is_shared = !self.extended.is_empty() || self.name.contains("//");
        let names = self.with_extended().map(|config| config.name.clone());
        if is_shared { names.filter(|name| !name.is_empty()).collect() } else { Vec::new() }
    }

    fn with_extended(&self) -> impl Iterator<Item = &Config> {
        std::iter::once(self).chain(&self.extended)
    }

    /// The sets of limits for an image, each evaluated by itself: its own limits, overridden by flags, and those of
    /// each extended configuration, overridden where that one allows it.
    ///
    /// # Errors
    /// [`ConfigError`] if a flag cannot be used.
    pub fn rulesets_for(
        &self,
        image: &str,
        platform: Option<&Platform>,
        flags: &Settings,
        today: &Day,
    ) -> Result<Vec<Ruleset>, ConfigError> {
        let is_limit = |key: &str| limits::key(key).is_some();
        let own = self.settings_of(image, platform, flags);
        let mut below: BTreeMap<String, Setting> = own
            .iter()
            .filter(|(key, _)| is_limit(key))
            .map(|(key, set)| (key.clone(), set.clone()))
            .collect();
        let mut rulesets = vec![Ruleset::new(None, own)?];
        for config in &self.extended {
            let mut settings = config.settings_of(image, platform, &Settings::new());
            settings.retain(|key, _| is_limit(key));
            let written = settings.clone();
            // A limit that the file does not set cannot be loosened by allowing others to set it.
            let has = |key: &str| written.contains_key(key) || limits::definition(key).is_none();
            let loosened =
                below.iter().filter(|(key, _)| has(key) && config.allow.allows(key, Some(image), today));
            settings.extend(loosened.map(|(key, set)| (key.clone(), set.clone())));
            for (key, setting) in written {
                below.entry(key).or_insert(setting);
            }
            rulesets.push(Ruleset::new(Some(config.name.clone()), settings)?);
        }
        Ok(rulesets)
    }

    /// Whether it sets one of these limits, for any image.
    fn sets(&self, is_one: impl Fn(&str) -> bool) -> bool {
        let of_images =
            self.images.values().flat_map(|image| image.platforms.values().chain([&image.limits]));
        of_images.chain([&self.limits]).any(|settings| settings.keys().any(|key| is_one(key)))
    }

    /// What accepts an exceeded limit, by the files and the flags. Without flags, a file without `[accept]` inherits it
    /// from the one it extends. Every extended file with limits must accept too, unless it allows others to decide.
    ///
    /// # Errors
    /// [`ConfigError`] if a flag cannot be used.
    pub fn accept(&self, flags: &Settings, today: &Day) -> Result<Accept, ConfigError> {
        let nearest = self.with_extended().map(|config| &config.accept).find(|accept| !accept.is_empty());
        let mut settings =
            nearest.filter(|_| flags.is_empty() || !self.accept.is_empty()).cloned().unwrap_or_default();
        settings.extend(flags.clone());
        let mut accept = Accept::from_settings(&settings)?;
        let is_limit = |key: &str| limits::definition(key).is_some();
        for config in self.extended.iter().filter(|config| config.sets(is_limit)) {
            if !config.allow.allows("accept", None, today) {
                accept = accept.and(&Accept::from_settings(&config.accept)?);
            }
        }
        Ok(accept)
    }

    /// What is worth a new comment, by the files and the flags.
    ///
    /// # Errors
    /// [`ConfigError`] if a flag cannot be used.
    pub fn comment(&self, flags: &Settings) -> Result<CommentRules, ConfigError> {
        let nearest = self.with_extended().map(|config| &config.comment).find(|comment| !comment.is_empty());
        let mut settings = nearest.cloned().unwrap_or_default();
        settings.extend(flags.clone());
        CommentRules::from_settings(&settings)
    }

    /// Which files are removable. An extended file that limits them decides, unless it allows others to.
    pub fn catalogue(&self, today: &Day) -> Arc<Catalogue> {
        let limits = BTreeSet::from(["max-removable", "multi-stage"]);
        let decides = |config: &&Config| {
            config.sets(|key| limits.contains(key)) && !config.allow.allows("removable", None, today)
        };
        let decided = self.extended.iter().rev().find(decides).map(|config| config.catalogue.clone());
        let nearest = || self.with_extended().find_map(|config| config.catalogue.clone());
        decided.unwrap_or_else(nearest).unwrap_or_else(Catalogue::builtin)
    }

    /// Whether an image has a section of its own.
    pub fn has_section(&self, image: &str) -> bool {
        self.with_extended().any(|config| config.images.contains_key(image))
    }
}
