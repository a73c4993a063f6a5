//! What a GitHub Actions run gets beside the log: outputs and annotations.

use std::fmt::Write as _;

use super::escape::{command_message, command_property};
use super::model::{ImageReport, Report};
use crate::image::snapshot::sum_known;
use crate::image::{Bytes, Delta};
use crate::policy::Severity;

/// The most annotations: GitHub shows ten errors and ten warnings of a step.
const MAX_ANNOTATIONS: usize = 10;

/// The action's outputs, but for `comment-url`, which is known last. Sizes are in bytes and sum over
/// all images; what is not known is empty.
pub fn outputs(report: &Report, report_path: &str) -> Vec<(&'static str, String)> {
    // A platform that is no longer there is said in words; both sums are of the same images.
    let images = || report.images.iter().filter(|image| image.head.is_some());
    let head = sum_known(images().map(ImageReport::head_size));
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

/// Workflow commands that show findings on the run's page, one a line (GitHub Actions, "Workflow
/// commands").
pub fn annotations(report: &Report) -> String {
    let mut out = String::new();
    let findings =
        report.images.iter().flat_map(|image| image.findings.iter().map(move |finding| (image, finding)));
    let mut findings: Vec<_> = findings.collect();
    findings.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    let left_out = findings.len().saturating_sub(MAX_ANNOTATIONS);
    for (image, finding) in findings.into_iter().take(MAX_ANNOTATIONS) {
        let command = match finding.severity {
            Severity::Fail => "error",
            Severity::Warn => "warning",
        };
        let title = format!("layergate: {} {}", image.name, finding.rule);
        let about =
            if finding.subject == image.name { String::new() } else { format!("{}: ", finding.subject) };
        let message = format!("{about}{}. Next: {}", finding.message, finding.help);
        let _ =
            writeln!(out, "::{command} title={}::{}", command_property(&title), command_message(&message));
    }
    if left_out > 0 {
        let _ = writeln!(
            out,
            "::warning title=layergate::{left_out} more findings are in the summary of this run"
        );
    }
    out
}
