//! What a GitHub Actions run gets besides the log: outputs and annotations.

use std::fmt::Write as _;

use super::escape::{command_message, command_property, short_path};
use super::model::{ImageReport, Report};
use super::words;
use crate::compare::{Cause, CausePart};
use crate::image::layer_ref::DockerfileLines;
use crate::image::{Bytes, Delta};
use crate::limits::{Finding, Severity, Verdict};
use crate::sort;

/// Maximum number of annotations: GitHub shows ten errors and ten warnings per step.
const MAX_ANNOTATIONS: usize = 10;

/// The action's outputs, except `comment-url`, which is known last. Sizes are in bytes and summed over all images; a
/// sum that is unknown, or mixes metrics, is empty.
pub fn outputs(report: &Report, report_path: &str) -> Vec<(&'static str, String)> {
    // A removed platform is described in words; both sums cover the same images.
    let missing = report.images.iter().any(ImageReport::is_not_delivered);
    let head = words::size_of_all(&report.images, ImageReport::head_size).filter(|_| !missing);
    let base = words::size_of_all(&report.images, ImageReport::base_size);
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

/// The severity of an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A limit is exceeded.
    Failure,
    /// Worth a look.
    Warning,
    /// Good to know.
    Notice,
}

/// A message to show, with the Dockerfile lines that it belongs to, if known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its severity.
    pub level: Level,
    /// The lines that cause it.
    pub place: Option<DockerfileLines>,
    /// The subject, in few words.
    pub title: String,
    /// The text. Untrusted, like the title.
    pub message: String,
}

/// Everything to show: the findings, the most serious first, or what grew most if there are none.
pub fn annotated(report: &Report) -> Vec<Annotation> {
    let findings =
        report.images.iter().flat_map(|image| image.findings.iter().map(move |finding| (image, finding)));
    let mut findings: Vec<_> = findings.collect();
    sort::by_key(&mut findings, |(_, finding)| std::cmp::Reverse(finding.severity));
    let annotation = |(image, finding): (&ImageReport, &Finding)| {
        let about =
            if finding.subject == image.name { String::new() } else { format!("{}: ", finding.subject) };
        Annotation {
            level: match finding.severity {
                Severity::Fail if image.verdict != Verdict::Accepted => Level::Failure,
                Severity::Fail | Severity::Unenforced | Severity::Warn => Level::Warning,
            },
            place: finding.dockerfile.clone(),
            title: format!("layergate: {} {}", words::label(report, image), finding.rule),
            message: format!("{about}{}. Next: {}", finding.message, finding.help),
        }
    };
    let calm = report.images.iter().filter(|image| image.findings.is_empty());
    let notices = calm.filter_map(|image| largest_growth(image, &words::label(report, image)));
    findings.into_iter().map(annotation).chain(notices).collect()
}

/// Workflow commands that show findings on the run's page and on the Dockerfile lines that cause them, one per line
/// (GitHub Actions, "Workflow commands").
pub fn annotations(report: &Report) -> String {
    let all = annotated(report);
    let findings = all.iter().filter(|annotation| annotation.level != Level::Notice).count();
    // The note that there are more is an annotation too.
    let shown = if findings > MAX_ANNOTATIONS { MAX_ANNOTATIONS - 1 } else { MAX_ANNOTATIONS };
    let mut out: String = all.iter().take(shown).map(command).collect();
    if findings > MAX_ANNOTATIONS {
        let left_out = findings - shown;
        let _ = writeln!(
            out,
            "::warning title=layergate::{left_out} more findings are in the summary of this run"
        );
    }
    out
}

fn command(annotation: &Annotation) -> String {
    let command = match annotation.level {
        Level::Failure => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
    };
    let place = annotation.place.as_ref().map(property_of_place).unwrap_or_default();
    let (title, message) = (command_property(&annotation.title), command_message(&annotation.message));
    format!("::{command} {place}title={title}::{message}\n")
}

fn grown(image: &ImageReport) -> impl Iterator<Item = &Cause> {
    image.causes.iter().filter(|cause| cause.delta > Delta(0))
}

/// A notice of what grew most, on its line, if no limit has a finding.
fn largest_growth(image: &ImageReport, label: &str) -> Option<Annotation> {
    // The base image's own instructions are in no file of this repository.
    let cause = grown(image).find(|cause| cause.dockerfile.is_some())?;
    let text = |part: &CausePart| {
        let (name, more) = words::part(part);
        format!("{}{more} ({})", short_path(&name, 120), part.delta)
    };
    let parts: Vec<String> = words::largest_parts(&cause.parts, 3).into_iter().map(text).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    Some(Annotation {
        level: Level::Notice,
        place: cause.dockerfile.clone(),
        title: format!("layergate: {label}"),
        message: format!("{} by this instruction{parts}", cause.delta),
    })
}

fn property_of_place(place: &DockerfileLines) -> String {
    format!("file={},line={},endLine={},", command_property(&place.path), place.line, place.end_line)
}
