//! `layergate.toml`: parsed, checked and turned into typed settings, so that no other module handles its text. Pure.

mod accept;
mod chain;
mod comment;
mod extends;
mod setting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::image::Platform;
use crate::limits::{self, Limits, ValueForm};
use crate::removable::{Catalogue, Culprit, Ignore, RemovableKind};

use accept::ACCEPT_KEYS;
pub use accept::{Accept, Acceptance};
pub use chain::Ruleset;
use comment::COMMENT_KEYS;
pub use comment::CommentRules;
use extends::Allow;
pub use extends::{ConfigReference, MAX_EXTENDED, RemoteConfig};
pub use setting::{ConfigError, Setting, Settings};

/// The keys of `[limits]` and `[images.NAME]` that describe how an image is built, and are not limits.
const BUILD_KEYS: [&str; 4] = ["dockerfile", "target", "build-args", "build-contexts"];

/// Keys at the top of the file.
const TOP_KEYS: [&str; 2] = ["enforce", "extends"];

/// Whether the value of a key may be `true` or `false`.
fn is_switch(key: &str) -> bool {
    limits::key(key).is_some_and(|key| key.form == ValueForm::Enforce)
}

/// An example item, if the value of a key is a list.
fn list_example(key: &str) -> Option<&'static str> {
    match key {
        "build-args" => Some("VERSION=3"),
        "build-contexts" => Some("base=docker-image://alpine"),
        "labels" => Some("size-ok"),
        "loosen" => Some("max-size"),
        "ignore-paths" => Some("**/*.pyc"),
        _ => limits::key(key).filter(|key| key.form == ValueForm::Paths)?.examples.first().copied(),
    }
}

/// The limits in settings.
///
/// # Errors
/// [`ConfigError`] for the first invalid one.
pub fn limits_of(settings: &Settings) -> Result<Limits, ConfigError> {
    let parsed = Limits::parse(|key| settings.get(key).map(|setting| setting.text.as_str()));
    parsed.map_err(|(key, error)| ConfigError {
        origin: settings.get(key).map_or_else(String::new, |setting| setting.origin.clone()),
        message: error.to_string(),
    })
}

/// How an image is built, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildSettings {
    /// Its Dockerfile.
    pub dockerfile: Option<PathBuf>,
    /// The stage that is built; by default, the last one.
    pub target: Option<String>,
    /// Build arguments, by name.
    pub arguments: BTreeMap<String, String>,
    /// Named contexts, by name.
    pub contexts: BTreeMap<String, String>,
}

impl BuildSettings {
    /// Parses settings.
    ///
    /// # Errors
    /// [`ConfigError`] for a build argument not written as `NAME=VALUE`.
    pub fn from_settings(settings: &Settings) -> Result<BuildSettings, ConfigError> {
        let text = |key| settings.get(key).map(|setting| setting.text.trim()).filter(|text| !text.is_empty());
        Ok(BuildSettings {
            dockerfile: text("dockerfile").map(PathBuf::from),
            target: text("target").map(str::to_owned),
            arguments: pairs_of(settings.get("build-args"), "a build argument")?,
            contexts: pairs_of(settings.get("build-contexts"), "a build context")?,
        })
    }
}

/// `NAME=VALUE`, one per line.
fn pairs_of(setting: Option<&Setting>, what: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(setting) = setting else { return Ok(BTreeMap::new()) };
    let pair = |line: &str| {
        let pair = line.trim_start().split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.ok_or_else(|| ConfigError {
            origin: setting.origin.clone(),
            message: format!("write {what} as NAME=VALUE"),
        })?;
        Ok((name.trim_end().to_owned(), value.to_owned()))
    };
    setting.text.lines().filter(|line| !line.trim().is_empty()).map(pair).collect()
}

/// A configuration file, checked.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Its name: the file, and where that is.
    name: String,
    /// The keys at the top of the file, except `enforce`.
    top: Settings,
    allow: Allow,
    /// The configurations that it extends, nearest first.
    extended: Vec<Config>,
    limits: Settings,
    images: BTreeMap<String, ImageSettings>,
    accept: Settings,
    comment: Settings,
    catalogue: Option<Arc<Catalogue>>,
    /// `[removable]` as written.
    removable: Option<toml::Value>,
}

/// `[removable]`: additional removable files, and those that ship on purpose.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RemovableSection {
    #[serde(default)]
    kinds: Vec<Spanned<RemovableKind>>,
    #[serde(default)]
    ignore: Vec<Spanned<Ignore>>,
}

#[derive(Debug, Clone, Default)]
struct ImageSettings {
    limits: Settings,
    platforms: BTreeMap<Platform, Settings>,
}

impl Config {
    /// Parses a configuration file. All of it is checked, including settings for images that this run does not measure.
    ///
    /// # Errors
    /// [`ConfigError`] with the file's name and the line.
    pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
        let ends = text.match_indices('\n').map(|(at, _)| at).collect();
        let reader = FileReader { file, ends };
        let document = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            reader.error(at, format!("not valid TOML: {}", error.message()))
        })?;
        let mut config = Config { name: file.to_owned(), ..Config::default() };
        let mut enforce = None;
        for (key, value) in document.get_ref() {
            match key.get_ref().as_ref() {
                "enforce" => {
                    enforce = Some(("enforce".to_owned(), reader.setting(key, value, "")?));
                }
                "extends" => {
                    config.top.insert("extends".to_owned(), reader.setting(key, value, "")?);
                }
                "allow" => config.allow = reader.allow(reader.table(key, value)?)?,
                "limits" => config.limits = reader.limits(reader.table(key, value)?, "[limits]", &[])?.0,
                "accept" => {
                    let table = reader.table(key, value)?;
                    config.accept = reader.settings(table, "[accept]", &ACCEPT_KEYS, &[])?.0;
                }
                "comment" => {
                    let table = reader.table(key, value)?;
                    config.comment = reader.settings(table, "[comment]", &COMMENT_KEYS, &[])?.0;
                }
                "images" => {
                    for (name, section) in reader.table(key, value)? {
                        let settings = reader.image(name.get_ref(), reader.table(name, section)?)?;
                        config.images.insert(name.get_ref().to_string(), settings);
                    }
                }
                "removable" => {
                    config.catalogue = Some(Arc::new(reader.catalogue(value)?));
                    config.removable = toml::Value::deserialize(value.clone().into_deserializer()).ok();
                }
                other => {
                    let known =
                        ["extends", "enforce", "limits", "images", "accept", "comment", "removable", "allow"];
                    return Err(reader.unknown_key(key, other, "the file", &known));
                }
            }
        }
        config.limits.extend(enforce);
        config.check()?;
        Ok(config)
    }

    /// The same without anything that accepts or ignores: the part of a file that counts before anybody has approved
    /// it.
    pub fn limits_alone(self) -> Config {
        let Config { name, top, limits, images, .. } = self;
        Config { name, top, limits, images, ..Config::default() }
    }

    /// What changes in another configuration, each as `max-size 500 MB -> 900 MB`.
    pub fn changes(&self, other: &Config) -> Vec<String> {
        let (before, after) = (self.written(), other.written());
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let text = |of: &BTreeMap<String, String>, key: &str| {
            of.get(key).map_or_else(|| "none".to_owned(), |text| text.replace('\n', ", "))
        };
        let change = |key: &&String| format!("{key} {} -> {}", text(&before, key), text(&after, key));
        let mut changes: Vec<String> =
            keys.iter().filter(|key| before.get(**key) != after.get(**key)).map(change).collect();
        changes.extend((self.removable != other.removable).then(|| "[removable]".into()));
        changes.extend((self.allow != other.allow).then(|| "[allow]".into()));
        changes
    }

    /// Every setting except those of `[removable]`, by its key; outside `[limits]`, by its section too.
    fn written(&self) -> BTreeMap<String, String> {
        let mut sections = vec![
            (String::new(), &self.top),
            (String::new(), &self.limits),
            ("accept ".to_owned(), &self.accept),
            ("comment ".to_owned(), &self.comment),
        ];
        for (name, image) in &self.images {
            sections.push((format!("images.{name} "), &image.limits));
            let of_platforms = image.platforms.iter();
            sections.extend(of_platforms.map(|(platform, own)| (format!("images.{name} {platform} "), own)));
        }
        let settings = sections.into_iter().flat_map(|(section, settings)| {
            settings.iter().map(move |(key, setting)| (format!("{section}{key}"), setting.text.clone()))
        });
        settings.collect()
    }

    /// The Dockerfile in an image's own section.
    pub fn dockerfile_of(&self, image: &str) -> Option<PathBuf> {
        let setting = self.images.get(image)?.limits.get("dockerfile")?;
        Some(PathBuf::from(setting.text.trim()))
    }

    /// A section that names none of these images, with the image that was probably meant: one without its own section
    /// and with almost the same name. Sections for images of other jobs are not reported.
    pub fn misspelt<'a>(&self, images: &[&'a str]) -> Option<(String, &'a str)> {
        let without = images.iter().filter(|image| !self.images.contains_key(**image));
        let sections = self.images.keys().filter(|section| !images.contains(&section.as_str()));
        let words = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
        // `api1` and `api2` are two images, not a typo.
        let near = |section: &str, image: &str| {
            strsim::osa_distance(section, image) <= 1 + section.len() / 8 && words(section) != words(image)
        };
        let mut pairs = sections.flat_map(|section| without.clone().map(move |image| (section, *image)));
        pairs.find(|(section, image)| near(section, image)).map(|(section, image)| (section.clone(), image))
    }

    /// The image whose section names a Dockerfile.
    pub fn image_of_dockerfile(&self, path: &Path) -> Option<String> {
        let plain = |path: &Path| path.strip_prefix(".").unwrap_or(path).to_owned();
        let of = |name: &&String| self.dockerfile_of(name).is_some_and(|own| plain(&own) == plain(path));
        self.images.keys().find(of).cloned()
    }

    /// How one image is built, by the file and the flags.
    ///
    /// # Errors
    /// [`ConfigError`] if a flag cannot be used.
    pub fn build_of(
        &self,
        image: &str,
        platform: Option<&Platform>,
        flags: &Settings,
    ) -> Result<BuildSettings, ConfigError> {
        BuildSettings::from_settings(&self.settings_of(image, platform, flags))
    }

    /// The settings of one image: those for all images, its own, its platform's, then the flags.
    fn settings_of(&self, image: &str, platform: Option<&Platform>, flags: &Settings) -> Settings {
        let mut settings = self.limits.clone();
        if let Some(own) = self.images.get(image) {
            settings.extend(own.limits.clone());
            let fits = |wanted: &&Platform| platform.is_some_and(|platform| platform.satisfies(wanted));
            for wanted in own.platforms.keys().filter(fits) {
                settings.extend(own.platforms[wanted].clone());
            }
        }
        settings.extend(flags.clone());
        settings
    }

    fn check(&self) -> Result<(), ConfigError> {
        let of_images =
            self.images.values().flat_map(|image| image.platforms.values().chain([&image.limits]));
        for settings in of_images.chain([&self.limits]) {
            limits_of(settings)?;
            BuildSettings::from_settings(settings)?;
        }
        Accept::from_settings(&self.accept)?;
        CommentRules::from_settings(&self.comment)?;
        if let Some(extends) = self.extends() {
            let failed = |error| ConfigError { origin: extends.origin.clone(), message: format!("{error}") };
            extends.text.trim().parse::<ConfigReference>().map_err(failed)?;
        }
        Ok(())
    }
}

type Item<'i> = (Spanned<std::borrow::Cow<'i, str>>, Spanned<DeValue<'i>>);

/// Converts positions to lines.
struct FileReader<'a> {
    file: &'a str,
    /// The ends of lines, computed once, because a file of many settings needs as many positions.
    ends: Vec<usize>,
}

impl FileReader<'_> {
    fn catalogue(&self, section: &Spanned<DeValue<'_>>) -> Result<Catalogue, ConfigError> {
        let section = RemovableSection::deserialize(section.clone().into_deserializer());
        let RemovableSection { kinds, ignore } = section.map_err(|error: toml::de::Error| {
            self.error(
                error.span().map_or(0, |span| span.start),
                format!("[removable]: {}", suggesting(error.message())),
            )
        })?;
        let places: [Vec<usize>; 2] = [
            kinds.iter().map(|kind| kind.span().start).collect(),
            ignore.iter().map(|ignore| ignore.span().start).collect(),
        ];
        let kinds = kinds.into_iter().map(Spanned::into_inner).collect();
        let ignore = ignore.into_iter().map(Spanned::into_inner).collect();
        Catalogue::new(kinds, ignore).map_err(|error| {
            let at = match error.culprit {
                Some(Culprit::Kind(index)) => places[0].get(index),
                Some(Culprit::Ignore(index)) => places[1].get(index),
                None => None,
            };
            self.error(at.copied().unwrap_or_default(), format!("[removable]: {error}"))
        })
    }

    fn allow(&self, table: &DeTable<'_>) -> Result<Allow, ConfigError> {
        let mut allow = Allow::default();
        let mut add = |image: Option<&str>, settings: &Settings| {
            allow.add(image, settings).map_err(|(key, message)| {
                let origin = settings.get(key).map_or_else(String::new, |setting| setting.origin.clone());
                ConfigError { origin, message }
            })
        };
        let (settings, inner) = self.settings(table, "[allow]", &Allow::KEYS, &["images"])?;
        add(None, &settings)?;
        for (key, value) in inner {
            for (name, section) in self.table(&key, &value)? {
                let place = format!("[allow.images.{}]", name.get_ref());
                let section = self.table(name, section)?;
                add(Some(name.get_ref().as_ref()), &self.settings(section, &place, &Allow::KEYS, &[])?.0)?;
            }
        }
        Ok(allow)
    }

    fn image(&self, name: &str, table: &DeTable<'_>) -> Result<ImageSettings, ConfigError> {
        let section = format!("[images.{name}]");
        let (limits, inner) = self.limits(table, &section, &["platforms"])?;
        let mut platforms = BTreeMap::new();
        for (key, value) in inner {
            for (platform, section) in self.table(&key, &value)? {
                let parsed: Platform = platform
                    .get_ref()
                    .parse()
                    .map_err(|error| self.error(platform.span().start, format!("{error}")))?;
                let name = format!("[images.{name}.platforms.\"{parsed}\"]");
                platforms.insert(parsed, self.limits(self.table(platform, section)?, &name, &[])?.0);
            }
        }
        Ok(ImageSettings { limits, platforms })
    }

    /// The limits of a section, and the permitted sections inside it.
    fn limits<'i>(
        &self,
        table: &DeTable<'i>,
        section: &str,
        inner: &[&'static str],
    ) -> Result<(Settings, Vec<Item<'i>>), ConfigError> {
        // A section for an image, which may have sections for platforms, may set it too.
        let is_home = |name: &&str| !inner.is_empty() || !TOP_KEYS.contains(name);
        let names = limits::keys().map(|key| key.name).filter(is_home);
        let known: Vec<&str> = names.chain(BUILD_KEYS).collect();
        self.settings(table, section, &known, inner)
    }

    /// The settings of a section, and the permitted sections inside it.
    fn settings<'i>(
        &self,
        table: &DeTable<'i>,
        section: &str,
        known: &[&str],
        inner: &[&'static str],
    ) -> Result<(Settings, Vec<Item<'i>>), ConfigError> {
        let mut settings = Settings::new();
        let mut sections = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if inner.contains(&name) {
                sections.push((key.clone(), value.clone()));
                continue;
            }
            if !known.contains(&name) {
                let known: Vec<&str> = known.iter().chain(inner).copied().collect();
                return Err(self.unknown_key(key, name, section, &known));
            }
            settings.insert(name.to_owned(), self.setting(key, value, section)?);
        }
        Ok((settings, sections))
    }

    fn setting(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        section: &str,
    ) -> Result<Setting, ConfigError> {
        let name = key.get_ref().as_ref();
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            DeValue::Boolean(is_true) if is_switch(name) => is_true.to_string(),
            DeValue::Array(items) if list_example(name).is_some() => {
                let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
                let example = list_example(name).unwrap_or_default();
                let message = format!("`{name}` must be a list of strings such as \"{example}\"");
                texts.ok_or_else(|| self.error(value.span().start, message))?.join("\n")
            }
            other => {
                let message = format!("`{name}`: expected {}, not {}", expected(name), a(other.type_str()));
                return Err(self.error(value.span().start, message));
            }
        };
        let origin =
            format!("{} ({})", self.place(key.span().start), format!("{section} {name}").trim_start());
        Ok(Setting { text, origin })
    }

    fn table<'t, 'i>(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &'t Spanned<DeValue<'i>>,
    ) -> Result<&'t DeTable<'i>, ConfigError> {
        value.get_ref().as_table().ok_or_else(|| {
            let message =
                format!("`{}` must be a section, not {}", key.get_ref(), a(value.get_ref().type_str()));
            self.error(key.span().start, message)
        })
    }

    fn unknown_key(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        name: &str,
        section: &str,
        known: &[&str],
    ) -> ConfigError {
        let hint = home(name)
            .filter(|home| !home.ends_with(section))
            .map_or_else(|| hint(name, known), |home| format!("it belongs {home}"));
        self.error(key.span().start, format!("unknown key `{name}` in {section}; {hint}"))
    }

    fn error(&self, at: usize, message: impl fmt::Display) -> ConfigError {
        ConfigError { origin: self.place(at), message: message.to_string() }
    }

    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.file, self.ends.partition_point(|end| *end < at) + 1)
    }
}

/// A kind of value with its article.
fn a(kind: &str) -> String {
    format!("{} {kind}", if kind.starts_with(['a', 'i']) { "an" } else { "a" })
}

/// How to write the value of a key.
fn expected(name: &str) -> String {
    let Some(key) = limits::key(name) else {
        return match name {
            "extends" => "a string such as \"acme/.github//layergate.toml@main\"".into(),
            "until" => "a day such as \"2027-01-31\"".into(),
            _ => "a string or a number".into(),
        };
    };
    match (key.form, key.examples.first()) {
        (ValueForm::Enforce, _) => "true, false, or a day such as \"2027-01-31\"".into(),
        (ValueForm::Choice(words), _) => {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("one of {}", words.join(", "))
        }
        (ValueForm::Count, Some(example)) => format!("a number such as {example}"),
        (_, Some(example)) => format!("a string such as {example:?}"),
        (_, None) => "a string".into(),
    }
}

/// The section that a key belongs to; `max-increase`, which two have, counts as a limit.
fn home(name: &str) -> Option<&'static str> {
    match name {
        name if TOP_KEYS.contains(&name) => Some("at the top of the file"),
        name if limits::key(name).is_some() || BUILD_KEYS.contains(&name) => Some("under [limits]"),
        name if ACCEPT_KEYS.contains(&name) => Some("under [accept]"),
        name if COMMENT_KEYS.contains(&name) => Some("under [comment]"),
        name if Allow::KEYS.contains(&name) => Some("under [allow]"),
        "kinds" | "ignore" => Some("under [removable]"),
        _ => None,
    }
}

/// The known word that was probably meant, or all of them.
fn hint(name: &str, known: &[&str]) -> String {
    let likeness = |known: &&str| (strsim::jaro_winkler(name, known), (*known).to_owned());
    match known.iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, known)) if likeness > 0.75 => format!("did you mean `{known}`?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// Serde's message for an unknown field or variant, which lists all known words but suggests none.
fn suggesting(message: &str) -> String {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message.split_once(", expected"), words.split_first()) {
        (Some((before, _)), Some((name, known))) if message.starts_with("unknown ") && !known.is_empty() => {
            format!("{before}; {}", hint(name, known))
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Day;

    #[test]
    fn the_closest_word_wins_image_over_all_platform_over_image_flag_over_file() {
        let text = r#"
            [limits]
            max-size = "500 MB"
            max-layers = 20
            [images.api]
            max-size = "300 MB"
            [images.api.platforms."linux/arm64"]
            max-size = "200 MB"
        "#;
        let config = Config::parse("layergate.toml", text).unwrap();
        let arm: Platform = "linux/arm64/v8".parse().unwrap();
        let amd: Platform = "linux/amd64".parse().unwrap();
        let flags = Settings::from([(
            "max-size".to_owned(),
            Setting { text: "1 GB".into(), origin: "--max-size".into() },
        )]);
        let size = |image, platform, flags: &Settings| {
            config.settings_of(image, Some(platform), flags)["max-size"].text.clone()
        };
        let none = Settings::new();
        assert_eq!(size("web", &amd, &none), "500 MB");
        assert_eq!(size("api", &amd, &none), "300 MB");
        assert_eq!(size("api", &arm, &none), "200 MB");
        assert_eq!(size("api", &arm, &flags), "1 GB");
        assert_eq!(config.settings_of("api", Some(&arm), &none)["max-layers"].text, "20");
    }

    #[test]
    fn what_changes_is_told_setting_by_setting() {
        let config = |text: &str| Config::parse("f.toml", text).unwrap();
        let before = config("[limits]\nmax-size = \"500 MB\"\nmax-layers = 9\n[accept]\nlabels = [\"ok\"]");
        let after = config(
            "[limits]\nmax-size = '900 MB'\nmax-layers = 9\n[images.api]\nforbid-paths = [\"a\", \"b\"]\n[[removable.ignore]]\npaths = [\"**\"]\nreason = \"x\"\n[allow]\nloosen = [\"max-size\"]",
        );
        let expected = [
            "accept labels ok -> none",
            "images.api forbid-paths none -> a, b",
            "max-size 500 MB -> 900 MB",
            "[removable]",
            "[allow]",
        ];
        assert_eq!(before.changes(&after), expected);
        // Where it stands in the file, and how it is quoted, is not a change.
        assert!(after.changes(&config(&format!("# moved\n{}", "[limits]\nmax-layers = 9\nmax-size = \"900 MB\"\n[images.api]\nforbid-paths = [\"a\", \"b\"]\n[[removable.ignore]]\nreason = \"x\"\npaths = [\"**\"]\n[allow]\nloosen = \"max-size\""))).is_empty());
        let alone =
            config("[limits]\nmax-layers = 9\n[accept]\ntrailer = \"Ok\"\n[removable]").limits_alone();
        assert!(alone.accept(&Settings::new(), &Day::of(0)).unwrap().is_empty() && alone.catalogue.is_none());
        assert_eq!(alone.settings_of("api", None, &Settings::new())["max-layers"].text, "9");
    }

    #[test]
    fn a_section_of_almost_an_images_name_is_found() {
        let config = |names: &[&str]| {
            let sections = names.iter().map(|name| format!("[images.{name}]\nmax-layers = 9\n"));
            Config::parse("layergate.toml", &sections.collect::<String>()).unwrap()
        };
        assert_eq!(config(&["wbe"]).misspelt(&["api", "web"]), Some(("wbe".into(), "web")));
        assert_eq!(config(&["wbe", "web"]).misspelt(&["web"]), None);
        for (section, image) in [("worker", "web"), ("api1", "api2"), ("web", "web")] {
            assert_eq!(config(&[section]).misspelt(&[image]), None, "{section}");
        }
    }

    #[test]
    fn mistakes_name_the_line_and_the_way_out() {
        for (text, expected) in [
            (
                "[limits]\nmax-sise = \"5 MB\"",
                "f.toml:2: unknown key `max-sise` in [limits]; did you mean `max-size`?",
            ),
            ("[limit]\n", "f.toml:1: unknown key `limit` in the file; did you mean `limits`?"),
            ("\n[images.api]\ncolour = 1", "f.toml:3: unknown key `colour` in [images.api]; known are"),
            ("[limits]\nmax-size = 500", "f.toml:2 ([limits] max-size): `500` has no unit"),
            (
                "[limits]\nmax-size = true",
                "f.toml:2: `max-size`: expected a string such as \"500 MB\", not a boolean",
            ),
            (
                "[limits]\nmulti-stage = true",
                "f.toml:2: `multi-stage`: expected one of \"require\", \"warn\", \"off\", not a boolean",
            ),
            (
                "max-size = \"5 MB\"",
                "f.toml:1: unknown key `max-size` in the file; it belongs under [limits]",
            ),
            (
                "[limits]\nlabels = \"x\"",
                "f.toml:2: unknown key `labels` in [limits]; it belongs under [accept]",
            ),
            ("[limits]\nmax-increase = 5", "f.toml:2 ([limits] max-increase): `5` has no unit; write `5%`"),
            ("[limits]\nmetric = \"packed\"", "f.toml:2 ([limits] metric): `packed` is not one of"),
            ("[images.a.platforms.arm]\n", "f.toml:1: `arm` is not a platform"),
            (
                "enforce = \"soon\"",
                "f.toml:1 (enforce): `soon` is not true, false, or a day such as 2027-01-31",
            ),
            (
                "[limits]\nenforce = false",
                "f.toml:2: unknown key `enforce` in [limits]; it belongs at the top of the file",
            ),
            (
                "enforce = [\"x\"]",
                "f.toml:1: `enforce`: expected true, false, or a day such as \"2027-01-31\", not an array",
            ),
            ("enforce = 2027-02-30", "f.toml:1: not valid TOML"),
            ("enforce = 2027-01-31T00:00:00Z", "f.toml:1 (enforce): `2027-01-31T00:00:00Z` is not true"),
            (
                "[allow]\nuntil = true",
                "f.toml:2: `until`: expected a day such as \"2027-01-31\", not a boolean",
            ),
            (
                "[allow.images.api]\nloosen = [\"accept\"]",
                "f.toml:2 ([allow.images.api] loosen): `accept` is for all images; it belongs under [allow]",
            ),
            ("limits = 3", "f.toml:1: `limits` must be a section"),
            ("[limits\n", "f.toml:1: not valid TOML"),
            ("[accept]\nlabel = \"x\"", "f.toml:2: unknown key `label` in [accept]; did you mean `labels`?"),
            ("[accept]\nlabels = 3.5\ntrailer = \"a b\"", "f.toml:3 ([accept] trailer): a trailer name has"),
            (
                "extends = \"acme//x@y\"",
                "f.toml:1 (extends): `acme//x@y`: expected a file, or OWNER/REPO//PATH@REF",
            ),
            ("[allow]\nloosen = [\"max-sise\"]", "f.toml:2 ([allow] loosen): `max-sise` is not a limit"),
            (
                "[allow.images.api]\nuntil = \"soon\"",
                "f.toml:2 ([allow.images.api] until): `soon`: expected a day",
            ),
            (
                "[limits]\nextends = \"x\"",
                "f.toml:2: unknown key `extends` in [limits]; it belongs at the top of the file",
            ),
            ("[comment]\nmin-change = \"5\"", "f.toml:2 ([comment] min-change): `5` has no unit"),
            ("[comment]\nignore-paths = [\"[\"]", "f.toml:2 ([comment] ignore-paths): "),
            (
                "[limits]\nmin-change = \"5 B\"",
                "f.toml:2: unknown key `min-change` in [limits]; it belongs under [comment]",
            ),
            ("[accept]\nmax-increase = \"5\"", "f.toml:2 ([accept] max-increase): `5` has no unit"),
            (
                "[images.b]\nmax-layers = \"many\"",
                "f.toml:2 ([images.b] max-layers): `many` is not a whole number",
            ),
        ] {
            let error = Config::parse("f.toml", text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
