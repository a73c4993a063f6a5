//! What a GitHub Actions run gets beside the log: outputs and annotations.

use std::fmt::Write as _;

use super::escape::{command_message, command_property, short_path};
use super::merge::is_not_delivered;
use super::model::{ImageReport, Report};
use super::words;
use crate::compare::{Cause, Part};
use crate::image::snapshot::{Place, sum_known};
use crate::image::{Bytes, Delta};
use crate::policy::{Severity, Verdict};

/// The most annotations: GitHub shows ten errors and ten warnings of a step.
const MAX_ANNOTATIONS: usize = 10;

/// The action's outputs, but for `comment-url`, which is known last. Sizes are in bytes and sum over
/// all images; what is not known is empty.
pub fn outputs(report: &Report, report_path: &str) -> Vec<(&'static str, String)> {
    // A platform that is no longer there is said in words; both sums are of the same images.
    let images = || report.images.iter().filter(|image| image.head.is_some());
    let missing = report.images.iter().any(is_not_delivered);
    let head = sum_known(images().map(ImageReport::head_size)).filter(|_| !missing);
    let base = sum_known(images().map(ImageReport::base_size));
    let delta = head.zip(base).map(|(head, base)| (head - base, base));
    let bytes = |bytes: Option<Bytes>| bytes.map_or_else(String::new, |bytes| bytes.0.to_string());
    vec![
        ("verdict", report.verdict.as_str().to_owned()),
        ("size", bytes(head)),
        ("base-size", bytes(base)),
        ("delta", delta.map_or_else(String::new, |(Delta(delta), _)| delta.to_string())),
        ("delta-percent", delta.and_then(|(delta, base)| delta.percent_number(base)).unwrap_or_default()),
        ("report", report_path.to_owned()),
    ]
}

/// Workflow commands that show findings on the run's page, and on the lines of a Dockerfile that they
/// are due to, one a line (GitHub Actions, "Workflow commands").
pub fn annotations(report: &Report) -> String {
    let mut out = String::new();
    let findings =
        report.images.iter().flat_map(|image| image.findings.iter().map(move |finding| (image, finding)));
    let mut findings: Vec<_> = findings.collect();
    findings.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    // That there are more is one as well.
    let shown = if findings.len() > MAX_ANNOTATIONS { MAX_ANNOTATIONS - 1 } else { findings.len() };
    let left_out = findings.len() - shown;
    for (image, finding) in findings.into_iter().take(shown) {
        let command = match finding.severity {
            Severity::Fail if image.verdict != Verdict::Accepted => "error",
            Severity::Fail | Severity::Warn => "warning",
        };
        let title = format!("layergate: {} {}", words::label(report, image), finding.rule);
        let about =
            if finding.subject == image.name { String::new() } else { format!("{}: ", finding.subject) };
        let message = format!("{about}{}. Next: {}", finding.message, finding.help);
        let place = finding.dockerfile.as_ref().map(property_of_place).unwrap_or_default();
        let (title, message) = (command_property(&title), command_message(&message));
        let _ = writeln!(out, "::{command} {place}title={title}::{message}");
    }
    let calm = report.images.iter().filter(|image| image.findings.is_empty());
    let room = MAX_ANNOTATIONS.saturating_sub(shown);
    out.extend(calm.filter_map(|image| largest_growth(image, &words::label(report, image))).take(room));
    if left_out > 0 {
        let _ = writeln!(
            out,
            "::warning title=layergate::{left_out} more findings are in the summary of this run"
        );
    }
    out
}

fn grown(image: &ImageReport) -> impl Iterator<Item = &Cause> {
    image.causes.iter().filter(|cause| cause.delta > Delta(0))
}

/// A notice of what grew most, on its line, where no limit has anything to say.
fn largest_growth(image: &ImageReport, label: &str) -> Option<String> {
    // The base image's own steps stand in no file of ours.
    let cause = grown(image).find(|cause| cause.dockerfile.is_some())?;
    let place = property_of_place(cause.dockerfile.as_ref()?);
    let title = command_property(&format!("layergate: {label}"));
    let text = |part: &Part| {
        let (name, more) = words::part(part);
        format!("{}{more} ({})", short_path(&name, 120), part.delta)
    };
    let parts: Vec<String> = words::largest_parts(&cause.parts, 3).into_iter().map(text).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let message = command_message(&format!("{} by this instruction{parts}", cause.delta));
    Some(format!("::notice {place}title={title}::{message}\n"))
}

fn property_of_place(place: &Place) -> String {
    format!("file={},line={},endLine={},", command_property(&place.path), place.line, place.end_line)
}
