//! The limits of one image, typed.

use std::fmt;
use std::str::FromStr;

use globset::GlobSet;
use serde::{Deserialize, Serialize};

use super::amount::{SizeLimit, Threshold};
use super::setting::{ConfigError, Setting, Settings};
use crate::evidence::glob_set;
use crate::image::census::PathRef;
use crate::image::{Bytes, Totals};

/// The keys of `[limits]`; each is also a flag and an input of the action.
pub const KEYS: [&str; 12] = [
    "metric",
    "max-size",
    "max-increase",
    "warn-increase",
    "max-own-increase",
    "max-layers",
    "max-layer-size",
    "max-wasted",
    "max-build-only",
    "multi-stage",
    "forbid-paths",
    "on-missing-baseline",
];

/// Which of an image's amounts the size limits judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Bytes of the files in all layers.
    #[default]
    Unpacked,
    /// Bytes of the files that exist.
    Visible,
    /// Bytes that a pull downloads.
    Compressed,
}

impl Metric {
    /// The word in settings and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Metric::Unpacked => "unpacked",
            Metric::Visible => "visible",
            Metric::Compressed => "compressed",
        }
    }

    /// This metric of an image, where known.
    pub fn of(self, totals: &Totals) -> Option<Bytes> {
        match self {
            Metric::Unpacked => Some(totals.unpacked),
            Metric::Visible => totals.visible,
            Metric::Compressed => totals.compressed,
        }
    }
}

impl std::str::FromStr for Metric {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Metric, &'static str> {
        let all = [Metric::Unpacked, Metric::Visible, Metric::Compressed];
        all.into_iter().find(|metric| metric.as_str() == text).ok_or("use unpacked, visible or compressed")
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What it means that no baseline was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissingBaseline {
    /// Nothing.
    Pass,
    /// A warning.
    Warn,
    /// A failure, with its own exit code.
    Fail,
}

/// Whether an image has to be built in several stages, or else ship nothing that only its build needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum MultiStage {
    /// It is not judged.
    #[default]
    Off,
    /// A warning.
    Warn,
    /// A failure.
    Require,
}

/// Patterns of paths, with how they are written.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The patterns.
    pub set: GlobSet,
    texts: Vec<String>,
}

impl PartialEq for Paths {
    fn eq(&self, other: &Paths) -> bool {
        self.texts == other.texts
    }
}

impl Eq for Paths {}

impl Paths {
    fn from_setting(setting: &Setting) -> Result<Option<Paths>, ConfigError> {
        let texts = setting.text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
        let texts: Vec<String> = texts.collect();
        let set = glob_set(&texts).map_err(|error| fault(setting, error))?;
        Ok((!texts.is_empty()).then_some(Paths { set, texts }))
    }

    /// The patterns that a path fits, as they are written.
    pub fn fitting(&self, path: PathRef<'_>) -> Vec<&str> {
        let found = self.set.matches_candidate(&globset::Candidate::from_bytes(path.0));
        found.into_iter().filter_map(|index| self.texts.get(index).map(String::as_str)).collect()
    }
}

/// The limits of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// What `max_size`, `max_increase` and `warn_increase` judge.
    pub metric: Metric,
    /// The most that the image may have.
    pub max_size: Option<SizeLimit>,
    /// The most that it may grow, as a share of the baseline or in bytes.
    pub max_increase: Option<Threshold>,
    /// The growth from which on it is worth a warning.
    pub warn_increase: Option<Threshold>,
    /// The most that the layers above the base image may grow, as a share of theirs or in bytes.
    pub max_own_increase: Option<Threshold>,
    /// The most layers.
    pub max_layers: Option<u64>,
    /// The most that one layer may have unpacked.
    pub max_layer_size: Option<SizeLimit>,
    /// The most that may be wasted, as a share of unpacked or in bytes.
    pub max_wasted: Option<Threshold>,
    /// The most that only the build needed.
    pub max_build_only: Option<SizeLimit>,
    /// Whether it has to be built in several stages.
    pub multi_stage: MultiStage,
    /// Files that must not be in it.
    pub forbid_paths: Option<Paths>,
    /// What it means that no baseline was found. Not set: a warning where a limit needs one.
    pub on_missing_baseline: Option<OnMissingBaseline>,
}

impl Limits {
    /// Turns written settings into limits.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Limits, ConfigError> {
        Ok(Limits {
            metric: choice(settings, "metric", &METRICS)?.unwrap_or_default(),
            max_size: parsed(settings, "max-size")?,
            max_increase: parsed(settings, "max-increase")?,
            warn_increase: parsed(settings, "warn-increase")?,
            max_own_increase: parsed(settings, "max-own-increase")?,
            max_layers: count(settings, "max-layers")?,
            max_layer_size: parsed(settings, "max-layer-size")?,
            max_wasted: parsed(settings, "max-wasted")?,
            max_build_only: parsed(settings, "max-build-only")?,
            multi_stage: choice(settings, "multi-stage", &MULTI_STAGE)?.unwrap_or_default(),
            forbid_paths: settings.get("forbid-paths").map(Paths::from_setting).transpose()?.flatten(),
            on_missing_baseline: choice(settings, "on-missing-baseline", &MISSING)?,
        })
    }

    /// Whether a limit can only be judged against a baseline.
    pub fn need_baseline(&self) -> bool {
        self.max_increase.is_some() || self.warn_increase.is_some() || self.max_own_increase.is_some()
    }

    /// Whether nothing is limited at all, so that no image could ever fail.
    pub fn is_empty(&self) -> bool {
        let Limits { max_size, max_layers, max_layer_size, max_wasted, .. } = self;
        self.multi_stage == MultiStage::Off
            && self.max_build_only.is_none()
            && self.forbid_paths.is_none()
            && max_size.is_none()
            && !self.need_baseline()
            && max_layers.is_none()
            && max_layer_size.is_none()
            && max_wasted.is_none()
    }
}

const METRICS: [(&str, Metric); 3] =
    [("unpacked", Metric::Unpacked), ("compressed", Metric::Compressed), ("visible", Metric::Visible)];
const MULTI_STAGE: [(&str, MultiStage); 3] =
    [("require", MultiStage::Require), ("warn", MultiStage::Warn), ("off", MultiStage::Off)];
const MISSING: [(&str, OnMissingBaseline); 3] =
    [("pass", OnMissingBaseline::Pass), ("warn", OnMissingBaseline::Warn), ("fail", OnMissingBaseline::Fail)];

fn parsed<T: FromStr<Err: fmt::Display>>(settings: &Settings, key: &str) -> Result<Option<T>, ConfigError> {
    settings.get(key).map(|setting| setting.text.parse().map_err(|error| fault(setting, error))).transpose()
}

fn count(settings: &Settings, key: &str) -> Result<Option<u64>, ConfigError> {
    let invalid =
        |setting: &Setting| fault(setting, format!("`{}` is not a whole number such as 20", setting.text));
    settings.get(key).map(|setting| setting.text.trim().parse().map_err(|_| invalid(setting))).transpose()
}

fn choice<T: Copy>(settings: &Settings, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, ConfigError> {
    let Some(setting) = settings.get(key) else { return Ok(None) };
    let known: Vec<&str> = choices.iter().map(|choice| choice.0).collect();
    let message = || format!("`{}` is not one of {}", setting.text, known.join(", "));
    let found = choices.iter().find(|choice| choice.0 == setting.text.trim());
    found.map(|choice| Some(choice.1)).ok_or_else(|| fault(setting, message()))
}

fn fault(setting: &Setting, message: impl fmt::Display) -> ConfigError {
    ConfigError { origin: setting.origin.clone(), message: message.to_string() }
}
