//! `max-layer-size`: the maximum uncompressed size of one layer.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, SizeLimit, Subject, Unknown};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxLayerSize(SizeLimit);

impl Limit for MaxLayerSize {
    const KEY: LimitKey = LimitKey {
        name: "max-layer-size",
        value_name: "SIZE",
        form: ValueForm::Size,
        default: None,
        help: "Maximum uncompressed size of one layer, such as \"200 MB\"",
        description: "Maximum uncompressed size of one layer.",
        examples: &["200 MB"],
    };
    const NEEDS: Needs = Needs { head: &[Fact::LayerSizes], base: &[] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MaxLayerSize>, ValueError> {
        Ok(Some(MaxLayerSize(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        let limit = &self.0;
        let layers = subject.head.layer_sizes()?.into_iter().enumerate();
        let exceeded = layers.filter(|(_, (size, _))| *size > limit.bytes).map(|(index, (size, layer))| {
            let before = subject.base.as_ref().ok().and_then(|base| base.layer_before(index));
            let already = before.is_some_and(|size| size > limit.bytes);
            let (severity, note) = subject.unless_inherited(size.0, before.map(|size| size.0), already);
            let step = layer.instruction.map(|step| format!(" ({step})")).unwrap_or_default();
            let (measured, over) = limit.exceeded_by(size);
            Exceeded {
                severity,
                message: format!("{measured}, {over}{note}"),
                measured: Some(size.0 as i64),
                limit: limit.to_string(),
                about: Some(format!("layer {}{step}", index + 1)),
                help: "store less in this instruction, or move files that change often to an instruction of their own".into(),
                dockerfile: layer.dockerfile.cloned(),
            }
        });
        Ok(exceeded.collect())
    }

    fn headline(finding: &Finding, _: &HeadlineContext<'_>) -> String {
        finding.exceeds(&format!("a layer of {}", finding.measured_bytes(None)))
    }
}
