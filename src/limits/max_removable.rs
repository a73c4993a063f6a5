//! `max-removable`: the maximum size of removable files.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, SizeLimit, Subject, Unknown};
use crate::image::Removable;
use crate::stages::{largest_kinds, sum_counting};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxRemovable(SizeLimit);

impl Limit for MaxRemovable {
    const KEY: LimitKey = LimitKey {
        name: "max-removable",
        value_name: "SIZE",
        form: ValueForm::Size,
        default: None,
        help: "Maximum size of removable files (build tools, build inputs, caches, leftovers), such as \"20 MB\"",
        description: "Maximum size of removable files: build tools, build inputs, caches and leftovers, those of the base image included.",
        examples: &["20 MB"],
    };
    const NEEDS: Needs = Needs { head: &[Fact::Removable], base: &[] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MaxRemovable>, ValueError> {
        Ok(Some(MaxRemovable(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        let limit = &self.0;
        let found = subject.head.removable()?;
        let bytes = sum_counting(found);
        if bytes <= limit.bytes {
            return Ok(Vec::new());
        }
        let before = subject.before().and_then(|side| side.removable().ok()).map(sum_counting);
        let already = before.is_some_and(|size| size > limit.bytes);
        let (severity, note) = subject.unless_inherited(bytes.0, before.map(|size| size.0), already);
        // What the application can change comes first, unless it is negligible.
        let matters = |found: &Removable| !found.layer.of_base_image && found.bytes.0 >= bytes.0 / 100;
        let counting = found.iter().filter(|found| found.counts());
        let largest = counting.max_by_key(|found| (matters(found), found.bytes));
        let ((measured, over), kinds) = (limit.exceeded_by(bytes), largest_kinds(found, 3));
        Ok(vec![Exceeded {
            severity,
            message: format!("{measured} of removable files, {over}: {kinds}{note}"),
            measured: i64::try_from(bytes.0).ok(),
            limit: limit.to_string(),
            about: None,
            help: largest.map_or_else(String::new, |largest| largest.help.clone()),
            dockerfile: largest.and_then(|largest| largest.source().dockerfile.clone()),
        }])
    }

    fn headline(finding: &Finding, _: &HeadlineContext<'_>) -> String {
        finding.exceeds(&format!("{} of removable files", finding.measured_bytes(None)))
    }
}
