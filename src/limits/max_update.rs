//! `max-update`: the maximum size of an update from the baseline to this image.

use super::amount::{Bound, unbroken};
use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{BaseFacts, Finding, Severity, SizeLimit, Subject, Unknown};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxUpdate(SizeLimit);

impl Limit for MaxUpdate {
    const KEY: LimitKey = LimitKey {
        name: "max-update",
        value_name: "SIZE",
        form: ValueForm::Size,
        default: None,
        help: "Maximum update size, such as \"80 MB\": what a host that runs the baseline downloads",
        description: "Maximum update size: the compressed bytes of the layers that the baseline lacks, which is what a host that runs the baseline downloads. Only warns if the update size is estimated, because an engine does not know compressed sizes.",
        examples: &["80 MB"],
    };
    const NEEDS: Needs = Needs { head: &[], base: &[Fact::Update] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MaxUpdate>, ValueError> {
        Ok(Some(MaxUpdate(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        evaluate(&self.0, Severity::Fail, subject)
    }

    fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
        headline(finding, image)
    }
}

/// What exceeds `limit`.
pub(super) fn evaluate(
    limit: &SizeLimit,
    severity: Severity,
    subject: &Subject<'_>,
) -> Result<Vec<Exceeded>, Unknown> {
    let Ok(base) = &subject.base else { return Ok(Vec::new()) };
    over(limit.bound(), severity, &limit.to_string(), base)
}

/// What exceeds `bound`, which was written as `limit`.
pub(super) fn over(
    bound: Bound,
    severity: Severity,
    limit: &str,
    base: &BaseFacts<'_>,
) -> Result<Vec<Exceeded>, Unknown> {
    let update = base.update()?;
    if update.bytes <= bound.bytes {
        return Ok(Vec::new());
    }
    let (measured, over) = (bound.measured(update.bytes), bound.excess(update.bytes));
    let (severity, note) = match update.estimated {
        // An uncompressed size replaces an unknown one. An estimate fails nothing.
        true => (Severity::Warn, " (warning only: estimated from uncompressed sizes)".to_owned()),
        false => base.demoted(severity),
    };
    Ok(vec![Exceeded {
        severity,
        message: format!(
            "an update downloads {measured}, {over} over the limit of {}{note}",
            unbroken(limit)
        ),
        measured: Some(update.bytes.0 as i64),
        limit: limit.to_owned(),
        about: None,
        help: "put files that change often into the last layers, and keep the build cache between runs"
            .into(),
        dockerfile: base.grown_most(),
    }])
}

pub(super) fn headline(finding: &Finding, _: &HeadlineContext<'_>) -> String {
    finding.exceeds(&format!("an update of {}", finding.measured_bytes(None)))
}
