//! What the limits on growth share.

use super::amount::unbroken;
use super::definition::{Exceeded, HeadlineContext};
use super::{BaseFacts, Finding, Severity, Subject, Threshold, Unknown};
use crate::image::layer_ref::DockerfileLines;
use crate::image::{Bytes, Delta};

/// Evaluates growth of the size in the metric.
pub(super) fn evaluate(
    limit: &Threshold,
    key: &str,
    severity: Severity,
    subject: &Subject<'_>,
) -> Result<Vec<Exceeded>, Unknown> {
    let Ok(base) = &subject.base else { return Ok(Vec::new()) };
    let before = base.image.size(subject.metric)?;
    let growth = subject.head.size(subject.metric)? - before;
    let bound = limit.bytes_of(before);
    if growth.0 <= bound.0 as i64 {
        return Ok(Vec::new());
    }
    let (severity, note) = base.demoted(severity);
    Ok(vec![Exceeded {
        severity,
        message: message(growth, before, limit) + &note,
        measured: Some(growth.0),
        limit: limit.to_string(),
        about: None,
        help: help(base, growth, key),
        dockerfile: base.grown_most(),
    }])
}

/// `+340 kB (+22.3%), 264 kB over the limit of +5%`.
pub(super) fn message(growth: Delta, before: Bytes, limit: &Threshold) -> String {
    let (bound, grown) = (limit.bound(before), growth.magnitude());
    let (measured, over) = (bound.measured(grown), bound.excess(grown));
    let share = growth.percent_over(before, limit.share().unwrap_or_default());
    let share = share.map(|share| format!(" ({share})")).unwrap_or_default();
    format!("+{measured}{share}, {over} over the limit of +{}", unbroken(&limit.to_string()))
}

/// What makes an image smaller that grew at `place`.
pub(super) fn make_smaller(place: Option<&DockerfileLines>, key: &str) -> String {
    let step = place.map_or_else(|| "the instruction that grew most".to_owned(), DockerfileLines::to_string);
    format!("remove what the image does not need from {step}, or raise {key}")
}

/// None of our steps can help where it is mostly the base image's.
fn help(base: &BaseFacts<'_>, growth: Delta, key: &str) -> String {
    let drift = base.split.map(|split| split.base_image).filter(|drift| drift.0 > growth.0 / 2);
    match drift {
        Some(drift) => format!(
            "the base image made {drift} of it: build on an earlier one, take the change by itself, or raise {key} (max-app-increase evaluates what is left)"
        ),
        None => make_smaller(base.grown_most().as_ref(), key),
    }
}

pub(super) fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
    let limit = finding.limit.as_deref().and_then(|limit| limit.parse::<Threshold>().ok());
    let units = limit.as_ref().zip(image.base_size).map(|(limit, base)| limit.bound(base).units());
    let usual = image.size_and_change(units.unwrap_or_default());
    // A growth that reads like its limit gets the digits that it exceeds it by.
    let told = image.size.zip(image.base_size).zip(limit).and_then(|((size, base), limit)| {
        let delta = size - base;
        let (rounded, told) = (delta.percent_of(base)?, delta.percent_over(base, limit.share()?)?);
        Some(usual.replace(&rounded, &told))
    });
    finding.exceeds(&told.unwrap_or(usual))
}
