//! Facts about an image at the time it is recorded, beyond its measurements: `fleet` shows them for many repositories.

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use super::day::Time;
use super::text::excerpt;

/// Maximum limits of one image, and maximum bytes of each text.
const MAX_LIMITS: usize = 100;
const MAX_TEXT: usize = 800;

/// When an image was recorded, how it is built, and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordFacts {
    /// When it was recorded, in UTC.
    pub time: Time,
    /// Whether it is a multi-stage build.
    #[serde(default)]
    pub stages: StageAdoption,
    /// Bytes that a builder stage would save, if its files are known; 0 if it is a multi-stage build, or needs no
    /// builder stage.
    #[serde(default)]
    pub saving: Option<Bytes>,
    /// The limits that its configuration sets, and those of each configuration that it extends.
    #[serde(default)]
    pub limits: Vec<LimitInForce>,
}

/// Whether an image is a multi-stage build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StageAdoption {
    /// It copies from another stage or image, and its final stage builds nothing.
    MultiStage,
    /// It ships build tools or build inputs.
    SingleStage,
    /// It has one stage, and ships nothing that a builder stage would remove.
    NotNeeded,
    /// Its files, or its Dockerfile, are unknown. Also a value from a later version that this one does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl StageAdoption {
    /// The word in tables and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            StageAdoption::MultiStage => "multi-stage",
            StageAdoption::SingleStage => "single-stage",
            StageAdoption::NotNeeded => "not needed",
            StageAdoption::Unknown => "unknown",
        }
    }
}

/// A limit as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LimitInForce {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The configuration that sets it, if the repository's own one extends that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl RecordFacts {
    /// The same with these limits, cut to the lengths that are stored.
    pub fn with_limits(self, mut limits: Vec<LimitInForce>) -> RecordFacts {
        limits.truncate(MAX_LIMITS);
        for limit in &mut limits {
            limit.value = excerpt(&limit.value.replace('\n', ", "));
            limit.source = limit.source.take().map(|source| excerpt(&source));
        }
        RecordFacts { limits, ..self }
    }

    /// Whether its texts are short enough and its amounts countable: a document is untrusted input.
    pub fn is_sound(&self) -> bool {
        let texts = |limit: &LimitInForce| {
            let source = limit.source.as_ref().map_or(0, String::len);
            limit.key.len().max(limit.value.len()).max(source) <= MAX_TEXT
        };
        self.limits.len() <= MAX_LIMITS
            && self.limits.iter().all(texts)
            && self.saving.is_none_or(|saving| saving <= Bytes::MAX)
    }
}
