//! Code that all limits on growth share.

use super::amount::unbroken;
use super::definition::{Exceeded, HeadlineContext};
use super::{BaseFacts, Finding, Metric, Severity, Subject, Threshold, Unknown, max_update};
use crate::image::layer_ref::DockerfileLines;
use crate::image::{Bytes, Delta, Removable};

/// Evaluates growth of the size in the metric.
pub(super) fn evaluate(
    limit: &Threshold,
    key: &str,
    severity: Severity,
    subject: &Subject<'_>,
) -> Result<Vec<Exceeded>, Unknown> {
    let Ok(base) = &subject.base else { return Ok(Vec::new()) };
    if subject.metric == Metric::Update {
        let bound = limit.bound(base.full_pull()?);
        return max_update::over(bound, severity, &limit.to_string(), base);
    }
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
        help: removable_help(subject, base, growth).unwrap_or_else(|| help(base, growth, key)),
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

/// How to make an image smaller that grew at `place`.
pub(super) fn make_smaller(place: Option<&DockerfileLines>, key: &str) -> String {
    match place {
        Some(place) => format!("shrink what {place} adds, or raise {key}"),
        None => format!("remove what the image does not need, or raise {key}"),
    }
}

/// How to undo growth. No instruction of the Dockerfile can help if the growth is mostly the base image's.
fn help(base: &BaseFacts<'_>, growth: Delta, key: &str) -> String {
    let is_of_base_image = base.split.is_some_and(|split| split.base_image.0 > growth.0 / 2);
    match is_of_base_image {
        true => format!(
            "pin the previous base image, choose a smaller one, raise {key}, or use max-app-increase, which ignores the base image"
        ),
        false => make_smaller(base.grown_most().as_ref(), key),
    }
}

/// Advice about the removable files of the instruction that grew most, if a good part of the growth are removable files
/// that the baseline does not have.
fn removable_help(subject: &Subject<'_>, base: &BaseFacts<'_>, growth: Delta) -> Option<String> {
    const GOOD_PART: i64 = 4;
    let (place, head) = (base.grown_most()?, subject.head.removable().ok()?);
    let before = base.image.removable().ok()?;
    let own = |found: &[Removable]| {
        let counts = found.iter().filter(|one| one.counts() && !one.layer.of_base_image);
        counts.fold(Bytes(0), |sum, one| sum.saturating_add(one.bytes))
    };
    let more = own(head) - own(before);
    let is_there = |one: &&Removable| one.counts() && one.source().dockerfile.as_ref() == Some(&place);
    let largest = head.iter().filter(is_there).max_by_key(|one| one.bytes)?;
    (more.0.saturating_mul(GOOD_PART) >= growth.0).then(|| largest.help.clone())
}

pub(super) fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
    if image.metric == Metric::Update {
        return max_update::headline(finding, image);
    }
    let limit = finding.limit.as_deref().and_then(|limit| limit.parse::<Threshold>().ok());
    let units = limit.as_ref().zip(image.base_size).map(|(limit, base)| limit.bound(base).units());
    let usual = image.size_and_change(units.unwrap_or_default());
    // If growth would read like its limit, it gets enough digits to show that it exceeds it.
    let told = image.size.zip(image.base_size).zip(limit).and_then(|((size, base), limit)| {
        let delta = size - base;
        let (rounded, told) = (delta.percent_of(base)?, delta.percent_over(base, limit.share()?)?);
        Some(usual.replace(&rounded, &told))
    });
    finding.exceeds(&told.unwrap_or(usual))
}
