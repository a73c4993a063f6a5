//! `metric`: which size of an image the limits on size and growth evaluate. A setting, not a limit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::key::{LimitKey, ValueError, ValueForm, choice};
use crate::image::{Bytes, Totals};

pub(super) const KEY: LimitKey = LimitKey {
    name: "metric",
    value_name: "METRIC",
    form: ValueForm::Choice(&["uncompressed", "flattened", "compressed", "update"]),
    default: Some("uncompressed"),
    help: "Size to evaluate: uncompressed, flattened, compressed or update",
    description: "Which size the limits on size and growth evaluate. `uncompressed`: the files in all layers; `flattened`: the files that a container of the image can see; `compressed`: what a full pull downloads; `update`: what a host that runs the baseline downloads, and percentages are of the baseline's full pull.",
    examples: &[],
};

const METRICS: [(&str, Metric); 4] = [
    ("uncompressed", Metric::Uncompressed),
    ("flattened", Metric::Flattened),
    ("compressed", Metric::Compressed),
    ("update", Metric::Update),
];

/// Which of an image's amounts the size limits evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Bytes of the files in all layers.
    #[default]
    Uncompressed,
    /// Bytes of the files that exist once all layers are applied.
    Flattened,
    /// Bytes that a full pull downloads.
    Compressed,
    /// Bytes that a host with the baseline downloads.
    Update,
}

impl Metric {
    /// The word in settings and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Metric::Uncompressed => "uncompressed",
            Metric::Flattened => "flattened",
            Metric::Compressed => "compressed",
            Metric::Update => "update",
        }
    }

    /// This metric of an image, if known; for a single image, an update is a full pull.
    pub fn of(self, totals: &Totals) -> Option<Bytes> {
        match self {
            Metric::Uncompressed => totals.uncompressed,
            Metric::Flattened => totals.flattened,
            Metric::Compressed | Metric::Update => totals.compressed,
        }
    }
}

impl FromStr for Metric {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Metric, ValueError> {
        choice(text, &METRICS)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
