//! `max-increase`: the maximum growth over the baseline.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, Severity, Subject, Threshold, Unknown, growth};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxIncrease(Threshold);

impl Limit for MaxIncrease {
    const KEY: LimitKey = LimitKey {
        name: "max-increase",
        value_name: "INCREASE",
        form: ValueForm::Increase,
        default: None,
        help: "Maximum growth over the baseline: \"5%\", \"10 MB\", \"5% and 1 MiB\" (both), \"5% or 20 MB\" (either)",
        description: "Maximum growth over the baseline, in the metric.",
        examples: &["5% and 1 MiB", "5% or 20 MB", "10 MB"],
    };
    const NEEDS: Needs = Needs { head: &[Fact::Size], base: &[Fact::Size] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MaxIncrease>, ValueError> {
        Ok(Some(MaxIncrease(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        growth::evaluate(&self.0, Self::KEY.name, Severity::Fail, subject)
    }

    fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
        growth::headline(finding, image)
    }
}
