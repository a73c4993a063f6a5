//! `warn-increase`: warn when growth over the baseline exceeds this.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, Severity, Subject, Threshold, Unknown, growth};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarnIncrease(Threshold);

impl Limit for WarnIncrease {
    const KEY: LimitKey = LimitKey {
        name: "warn-increase",
        value_name: "INCREASE",
        form: ValueForm::Increase,
        default: None,
        help: "Warn when growth exceeds this (same syntax as --max-increase)",
        description: "Growth over the baseline, in the metric, that gets a warning. Reported only if `max-increase` is not exceeded.",
        examples: &["1%"],
    };
    const NEEDS: Needs = Needs { head: &[Fact::Size], base: &[Fact::Size] };
    const COVERED_BY: Option<&'static str> = Some("max-increase");

    fn parse(text: &str) -> Result<Option<WarnIncrease>, ValueError> {
        Ok(Some(WarnIncrease(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        growth::evaluate(&self.0, Self::KEY.name, Severity::Warn, subject)
    }

    fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
        growth::headline(finding, image)
    }
}
