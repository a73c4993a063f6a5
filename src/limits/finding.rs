//! What an evaluation finds, and the overall verdict.

use serde::{Deserialize, Serialize};

use super::Threshold;
use super::amount::unbroken;
use crate::image::layer_ref::DockerfileLines;
use crate::image::{Bytes, Delta};

/// The rule of the finding that a limit could not be evaluated although it should be.
pub const NOT_EVALUATED_RULE: &str = "not-evaluated";

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look; the check passes.
    Warn,
    /// A limit is exceeded but not enforced; the check passes.
    Unenforced,
    /// A limit is exceeded; the check fails.
    Fail,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There are no findings.
    Pass,
    /// There are warnings; the check passes.
    Warn,
    /// A limit is exceeded, and somebody with the right to do so accepted it.
    Accepted,
    /// A limit is exceeded but not enforced.
    Unenforced,
    /// A limit is exceeded.
    Fail,
}

impl Verdict {
    /// The word in outputs and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Accepted => "accepted",
            Verdict::Unenforced => "unenforced",
            Verdict::Fail => "fail",
        }
    }

    /// The overall verdict of findings.
    pub fn of(findings: &[Finding]) -> Verdict {
        match findings.iter().map(|finding| finding.severity).max() {
            None => Verdict::Pass,
            Some(Severity::Warn) => Verdict::Warn,
            Some(Severity::Unenforced) => Verdict::Unenforced,
            Some(Severity::Fail) => Verdict::Fail,
        }
    }
}

/// One finding of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// The rule's name: the key of its limit, or `baseline`.
    pub rule: String,
    /// How serious it is.
    pub severity: Severity,
    /// What was measured, the limit, and by how much it is exceeded, in one sentence.
    pub message: String,
    /// What was measured: bytes, or a number of layers.
    pub measured: Option<i64>,
    /// The limit, as written in the settings.
    pub limit: Option<String>,
    /// What it is about: the image, or one of its layers.
    pub subject: String,
    /// What to do next.
    pub help: String,
    /// The Dockerfile lines that caused it, if they are certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileLines>,
}

impl Finding {
    /// Turns a failure into an unenforced finding.
    pub(super) fn do_not_enforce(&mut self) {
        if self.severity == Severity::Fail {
            self.severity = Severity::Unenforced;
        }
    }

    /// `exceeds max-size: 57.8 MB`
    pub(super) fn exceeds(&self, what: &str) -> String {
        format!("exceeds {}: {what}", self.rule)
    }

    /// The limit, for people.
    pub(super) fn limit_text(&self) -> String {
        self.limit.as_deref().map_or_else(|| "unknown".to_owned(), unbroken)
    }

    /// What was measured, as bytes in the unit of the limit; percentages are of `whole`.
    pub(super) fn measured_bytes(&self, whole: Option<Bytes>) -> String {
        let Some(measured) = self.measured.map(|bytes| Delta(bytes).magnitude()) else {
            return "an unknown size".to_owned();
        };
        let limit = self.limit.as_deref().and_then(|limit| limit.parse::<Threshold>().ok());
        limit.map_or_else(
            || measured.to_string(),
            |limit| limit.bound(whole.unwrap_or_default()).measured(measured),
        )
    }
}
