//! `max-wasted`: the maximum of wasted bytes: in the layers, but unreachable.

use super::amount::unbroken;
use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, Subject, Threshold, Unknown};
use crate::compare::Waste;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxWasted(Threshold);

impl Limit for MaxWasted {
    const KEY: LimitKey = LimitKey {
        name: "max-wasted",
        value_name: "AMOUNT",
        form: ValueForm::Increase,
        default: None,
        help: "Maximum wasted size: \"5%\" of the uncompressed size, or \"10 MB\"",
        description: "Maximum wasted size: files in the layers that are unreachable, because a later layer deletes or replaces them. Percentages are of the uncompressed size.",
        examples: &["5%", "10 MB"],
    };
    const NEEDS: Needs = Needs { head: &[Fact::Wasted], base: &[] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MaxWasted>, ValueError> {
        Ok(Some(MaxWasted(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        let limit = &self.0;
        let (wasted, uncompressed) = subject.head.wasted()?;
        let bound = limit.bound(uncompressed);
        if wasted <= bound.bytes {
            return Ok(Vec::new());
        }
        let before = subject.before().and_then(|side| side.wasted().ok());
        let already = before.is_some_and(|(wasted, uncompressed)| wasted > limit.bytes_of(uncompressed));
        let (severity, note) = subject.unless_inherited(wasted.0, before.map(|before| before.0.0), already);
        let most = subject.head.waste().first();
        let help = most.map_or(
            "delete files in the instruction that creates them, or build in another stage and copy the result",
            Waste::advice,
        );
        let (measured, over) = (bound.measured(wasted), bound.excess(wasted));
        Ok(vec![Exceeded {
            severity,
            message: format!(
                "{measured} wasted, {over} over the limit of {}{note}",
                unbroken(&limit.to_string())
            ),
            measured: Some(wasted.0 as i64),
            limit: limit.to_string(),
            about: None,
            help: help.into(),
            dockerfile: most.and_then(|most| most.hidden_by.dockerfile.clone()),
        }])
    }

    fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
        finding.exceeds(&format!("{} wasted", finding.measured_bytes(image.size)))
    }
}
