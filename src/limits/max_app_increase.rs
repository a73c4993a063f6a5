//! `max-app-increase`: the maximum growth of the layers above the base image.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, Severity, Subject, Threshold, Unknown, growth};
use crate::image::snapshot::BoundaryBy;

/// The note for an estimated boundary, and how to make it certain.
const ESTIMATED: &str = " (warning only: the end of the base image is estimated)";
const TELL: &str =
    "pass --dockerfile or --build-metadata to check and record: they show where the base image ends";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxAppIncrease(Threshold);

impl Limit for MaxAppIncrease {
    const KEY: LimitKey = LimitKey {
        name: "max-app-increase",
        value_name: "INCREASE",
        form: ValueForm::Increase,
        default: None,
        help: "Maximum growth of the layers above the base image (same syntax as --max-increase)",
        description: "Maximum growth of the application layers, which are those above the base image: growth without what the base image's own change adds. In uncompressed bytes under every metric.",
        examples: &["10 MB"],
    };
    const NEEDS: Needs = Needs { head: &[Fact::AppSize], base: &[Fact::AppSize] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MaxAppIncrease>, ValueError> {
        Ok(Some(MaxAppIncrease(text.parse()?)))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        let Ok(base) = &subject.base else { return Ok(Vec::new()) };
        let before = base.image.app_size()?;
        let growth = subject.head.app_size()? - before;
        let bound = self.0.bytes_of(before).0 as i64;
        let is_estimated = base.split.is_some_and(|split| split.how == BoundaryBy::History);
        // An estimate fails nothing. It hides nothing either: growth of the whole image may be the application's.
        let whole = subject.uncompressed_growth().filter(|whole| is_estimated && whole.0 > bound);
        let grown = match (growth.0 > bound, whole) {
            (true, _) => format!("without the base image {}", growth::message(growth, before, &self.0)),
            (false, Some(whole)) => format!("with the base image {whole}"),
            (false, None) => return Ok(Vec::new()),
        };
        let (severity, note) = match is_estimated {
            true => (Severity::Warn, ESTIMATED.to_owned()),
            false => base.demoted(Severity::Fail),
        };
        let place = base.app_grown_most();
        let help =
            if is_estimated { TELL.to_owned() } else { growth::make_smaller(place.as_ref(), Self::KEY.name) };
        Ok(vec![Exceeded {
            severity,
            message: grown + &note,
            measured: Some(growth.0),
            limit: self.0.to_string(),
            about: None,
            help,
            dockerfile: place,
        }])
    }

    fn headline(finding: &Finding, _: &HeadlineContext<'_>) -> String {
        finding.exceeds(&format!("application layers +{}", finding.measured_bytes(None)))
    }
}
