//! What an evaluation finds, and the verdict that findings add up to.

use serde::{Deserialize, Serialize};

use super::Threshold;
use super::amount::unbroken;
use crate::image::layer_ref::DockerfileLines;
use crate::image::{Bytes, Delta};

/// The rule of the finding that a limit was not evaluated where it could have been.
pub const NOT_EVALUATED_RULE: &str = "not-evaluated";

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look; the check passes.
    Warn,
    /// A limit is broken that is not enforced; the check passes.
    Unenforced,
    /// A limit is broken; the check fails.
    Fail,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to say.
    Pass,
    /// Something to look at; the check passes.
    Warn,
    /// A limit is broken and somebody with the right to do so accepted it.
    Accepted,
    /// A limit is broken that is not enforced.
    Unenforced,
    /// A limit is broken.
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

    /// The verdict that findings add up to.
    pub fn of(findings: &[Finding]) -> Verdict {
        match findings.iter().map(|finding| finding.severity).max() {
            None => Verdict::Pass,
            Some(Severity::Warn) => Verdict::Warn,
            Some(Severity::Unenforced) => Verdict::Unenforced,
            Some(Severity::Fail) => Verdict::Fail,
        }
    }
}

/// One evaluated fact.
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
    /// The limit as it is written in the settings.
    pub limit: Option<String>,
    /// What it is about: the image, or one of its layers.
    pub subject: String,
    /// What to do next.
    pub help: String,
    /// The lines of a Dockerfile that it is due to, where that is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileLines>,
}

impl Finding {
    /// What fails does so no more.
    pub(super) fn do_not_enforce(&mut self) {
        if self.severity == Severity::Fail {
            self.severity = Severity::Unenforced;
        }
    }

    /// `exceeds max-size: 57.8 MB`
    pub(super) fn exceeds(&self, what: &str) -> String {
        format!("exceeds {}: {what}", self.rule)
    }

    /// The limit, as people see it.
    pub(super) fn limit_text(&self) -> String {
        self.limit.as_deref().map_or_else(|| "unknown".to_owned(), unbroken)
    }

    /// What was measured, as bytes in the unit of the limit; `whole` is what a percentage is of.
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
