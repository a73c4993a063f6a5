//! `on-missing-baseline`: what a missing baseline means. A setting, not a limit.

use std::str::FromStr;

use super::key::{LimitKey, ValueError, ValueForm, choice};
use super::{Finding, Severity, Subject};

/// The rule of the finding for a missing baseline; it has its own exit code.
pub const BASELINE_RULE: &str = "baseline";

pub(super) const KEY: LimitKey = LimitKey {
    name: "on-missing-baseline",
    value_name: "OUTCOME",
    form: ValueForm::Choice(&["pass", "warn", "fail"]),
    default: Some("warn if a limit needs one"),
    help: "Verdict if the baseline is missing: pass, warn or fail",
    description: "What a missing baseline means. `pass`: nothing; `warn`: a warning; `fail`: a failure with exit code 4. By default `warn` where a limit needs a baseline. A baseline that cannot be used fails with exit code 3 where a limit needs it, unless this is `warn`.",
    examples: &[],
};

/// What a missing baseline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissingBaseline {
    /// Nothing.
    Pass,
    /// A warning.
    Warn,
    /// A failure, with its own exit code.
    Fail,
}

impl FromStr for OnMissingBaseline {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<OnMissingBaseline, ValueError> {
        let choices = [
            ("pass", OnMissingBaseline::Pass),
            ("warn", OnMissingBaseline::Warn),
            ("fail", OnMissingBaseline::Fail),
        ];
        choice(text, &choices)
    }
}

pub(super) fn evaluate(
    chosen: Option<OnMissingBaseline>,
    needs_baseline: bool,
    subject: &Subject<'_>,
) -> Option<Finding> {
    let missing = subject.base.as_ref().err()?;
    let default = match (needs_baseline, missing.unusable) {
        // A gate that could see but does not must not pass.
        (true, true) => OnMissingBaseline::Fail,
        (true, false) | (false, true) => OnMissingBaseline::Warn,
        (false, false) => OnMissingBaseline::Pass,
    };
    // A baseline that exists but is unusable is worse than one that does not exist yet.
    let chosen = chosen.filter(|chosen| !(missing.unusable && *chosen == OnMissingBaseline::Pass));
    let severity = match chosen.unwrap_or(default) {
        OnMissingBaseline::Pass => return None,
        OnMissingBaseline::Warn => Severity::Warn,
        OnMissingBaseline::Fail => Severity::Fail,
    };
    Some(Finding {
        rule: BASELINE_RULE.into(),
        severity,
        message: format!("{}; growth is not evaluated", missing.why),
        measured: None,
        limit: None,
        subject: subject.name.to_owned(),
        help: missing.help.to_owned(),
        dockerfile: None,
    })
}
