//! What an image is compared with, or why there is nothing to compare with.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::Analysis;
use crate::image::{Time, Totals, UpdateSize};

/// A baseline, and why it was chosen.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// The recorded image.
    pub image: Arc<Analysis>,
    /// How many commits it is behind the base commit, if known.
    pub distance: Option<u64>,
    /// Whether it is the baseline of exactly the base commit.
    pub exact: bool,
    /// Why it was chosen, in words.
    pub how: String,
}

/// Why there is no baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The image was never recorded.
    NeverRecorded,
    /// It is recorded, but not for this platform.
    OtherPlatform,
    /// It is recorded, but not for a commit that is close enough.
    OutOfReach,
    /// It was recorded, but the baselines that were close enough have expired.
    Expired,
    /// The base commit is unknown.
    NoCommit,
    /// A baseline exists but cannot be read.
    Unreadable,
    /// A baseline exists, but a newer version wrote it.
    Newer,
    /// Its figures mean something else than those of the image.
    Incomparable,
}

impl Reason {
    /// Whether a baseline exists nevertheless, so that skipping the comparison is not harmless.
    pub fn is_unusable(self) -> bool {
        matches!(self, Reason::Unreadable | Reason::Newer | Reason::Incomparable)
    }

    /// The reason in a sentence that fits any image, and what to do about it.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Reason::NeverRecorded => {
                ("no baseline: none recorded yet", "run `layergate record` on the target branch")
            }
            Reason::OtherPlatform => {
                ("no baseline: recorded only for other platforms", "record this platform too")
            }
            Reason::NoCommit => {
                ("no baseline: the base commit is unknown", "pass --base-commit, or run in a checkout")
            }
            Reason::Unreadable => ("no usable baseline: it cannot be read", "record the baseline again"),
            Reason::Newer => (
                "no usable baseline: a newer layergate wrote it",
                "use the same layergate version for check and record",
            ),
            Reason::Incomparable => {
                ("no usable baseline: it was measured in another way", "measure both images in the same way")
            }
            Reason::Expired => (
                "no baseline: older ones were removed",
                "update the branch, or keep more with `record --keep-last`",
            ),
            Reason::OutOfReach => (
                "no baseline near enough",
                "run `layergate record` on every push to the target branch, and update this branch",
            ),
        }
    }
}

impl Missing {
    /// A baseline exists, but none of its figures can be compared.
    pub fn incomparable(why: &str) -> Missing {
        Missing { message: format!("no usable baseline: {why}"), ..Reason::Incomparable.into() }
    }
}

impl From<Reason> for Missing {
    fn from(reason: Reason) -> Missing {
        let (message, help) = reason.words();
        Missing { reason, message: message.into(), help: help.into() }
    }
}

/// The absence of a baseline, and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Missing {
    /// The reason in a word, for programs.
    pub reason: Reason,
    /// The reason in a sentence.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// One recorded size of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPoint {
    /// The full hash of the commit, if there is one.
    pub commit: Option<String>,
    /// When it was committed, in UTC, if known.
    pub time: Option<Time>,
    /// What the image runs on, as `os/arch[/variant][:os.version]`, or `unknown`.
    pub platform: String,
    /// Its totals.
    pub totals: Totals,
    /// The update size from the image recorded before it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateSize>,
}

/// The short form of a commit's hash, for people.
pub fn short(sha: &str) -> String {
    sha.chars().take(7).collect()
}

/// Describes a baseline that is this many commits behind the base commit: "is 3 commits behind".
pub fn age(distance: Option<u64>) -> String {
    match distance {
        Some(1) => "is 1 commit behind".into(),
        Some(behind) => format!("is {behind} commits behind"),
        None => "is not known to be of the base commit".into(),
    }
}
