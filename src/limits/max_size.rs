//! `max-size`: the maximum size of an image.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, Metric, Severity, SizeLimit, Subject, Unknown, max_update};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxSize(SizeLimit);

impl Limit for MaxSize {
    const KEY: LimitKey = LimitKey {
        name: "max-size",
        value_name: "SIZE",
        form: ValueForm::Size,
        default: None,
        help: "Maximum image size, such as \"500 MB\"",
        description: "Maximum size of an image, in the metric.",
        examples: &["500 MB", "1.5 GiB"],
    };
    const NEEDS: Needs = Needs { head: &[Fact::Size], base: &[] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MaxSize>, ValueError> {
        Ok(Some(MaxSize(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        let (limit, metric) = (&self.0, subject.metric);
        if metric == Metric::Update {
            return max_update::evaluate(limit, Severity::Fail, subject);
        }
        let size = subject.head.size(metric)?;
        if size <= limit.bytes {
            return Ok(Vec::new());
        }
        let before = subject.before().and_then(|side| side.size(metric).ok());
        let already = before.is_some_and(|size| size > limit.bytes);
        let (severity, note) = subject.unless_inherited(size.0, before.map(|size| size.0), already);
        let (measured, over) = limit.exceeded_by(size);
        let grown = subject.base.as_ref().ok().and_then(|base| base.grown_most());
        Ok(vec![Exceeded {
            severity,
            message: format!("{measured} {metric}, {over}{note}"),
            measured: Some(size.0 as i64),
            limit: limit.to_string(),
            about: None,
            help: "make the largest layers smaller (`layergate inspect <your tag>` lists them), or raise max-size".into(),
            dockerfile: grown.or_else(|| subject.head.largest_layer()),
        }])
    }

    fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
        if image.metric == Metric::Update {
            return max_update::headline(finding, image);
        }
        let units = finding
            .limit_text()
            .parse::<SizeLimit>()
            .map_or_else(|_| Default::default(), |limit| limit.bound().units());
        let (measured, shown) = (finding.measured_bytes(None), image.size_and_change(units));
        // The measured size has enough digits to show that it exceeds the limit.
        let change = shown.split_once(" (").map_or_else(String::new, |(_, change)| format!(" ({change}"));
        finding.exceeds(&format!("{measured}{change}"))
    }
}
