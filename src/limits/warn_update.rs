//! `warn-update`: warn when the update from the baseline to this image exceeds this.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, Severity, SizeLimit, Subject, Unknown, max_update};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarnUpdate(SizeLimit);

impl Limit for WarnUpdate {
    const KEY: LimitKey = LimitKey {
        name: "warn-update",
        value_name: "SIZE",
        form: ValueForm::Size,
        default: None,
        help: "Warn when the update size exceeds this (same syntax as --max-update)",
        description: "Update size that gets a warning. Reported only if `max-update` is not exceeded.",
        examples: &["40 MB"],
    };
    const NEEDS: Needs = Needs { head: &[], base: &[Fact::Update] };
    const COVERED_BY: Option<&'static str> = Some("max-update");

    fn parse(text: &str) -> Result<Option<WarnUpdate>, ValueError> {
        Ok(Some(WarnUpdate(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        max_update::evaluate(&self.0, Severity::Warn, subject)
    }

    fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
        max_update::headline(finding, image)
    }
}
