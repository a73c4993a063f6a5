//! `max-layers`: the maximum number of layers.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm, count};
use super::{Finding, Subject, Unknown};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxLayers(u64);

impl Limit for MaxLayers {
    const KEY: LimitKey = LimitKey {
        name: "max-layers",
        value_name: "COUNT",
        form: ValueForm::Count,
        default: None,
        help: "Maximum number of layers",
        description: "Maximum number of layers.",
        examples: &["20"],
    };
    const NEEDS: Needs = Needs { head: &[], base: &[] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MaxLayers>, ValueError> {
        Ok(Some(MaxLayers(count(text)?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        let (limit, layers) = (self.0, subject.head.layer_count());
        if layers <= limit {
            return Ok(Vec::new());
        }
        let before = subject.before().map(|side| side.layer_count());
        let already = before.is_some_and(|layers| layers > limit);
        let (severity, note) = subject.unless_inherited(layers, before, already);
        Ok(vec![Exceeded {
            severity,
            message: format!("{layers} layers, {} over the limit of {limit}{note}", layers - limit),
            measured: i64::try_from(layers).ok(),
            limit: limit.to_string(),
            about: None,
            help: "combine related RUN instructions, or raise max-layers".into(),
            dockerfile: None,
        }])
    }

    fn headline(finding: &Finding, _: &HeadlineContext<'_>) -> String {
        let layers = finding.measured.map_or_else(|| "too many".into(), |layers| layers.to_string());
        finding.exceeds(&format!("{layers} layers"))
    }
}
