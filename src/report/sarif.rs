//! Findings as SARIF 2.1.0, for code scanning (OASIS "Static Analysis Results Interchange Format"; GitHub's "SARIF
//! support for code scanning" lists what is shown and required).

use std::io::{self, Write};

use serde_json::{Value, json};

use super::escape::visible;
use super::links::repository_path;
use super::{ImageReport, Report, words};
use crate::image::DiffId;
use crate::image::DockerfileLines;
use crate::limits::{self, BASELINE_RULE, Finding, NOT_EVALUATED_RULE, Severity, Verdict};

const HOME: &str = "https://github.com/layergate/layergate";
/// Where findings without a line are shown: code scanning requires a place.
const NO_PLACE: &str = "Dockerfile";

/// Writes the findings of a report.
///
/// # Errors
/// Any error from writing.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut rules: Vec<&str> = all_findings(report).map(|(_, finding)| finding.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<Value> =
        all_findings(report).map(|(image, finding)| result(report, image, finding, &rules)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "layergate",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": HOME,
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            } },
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn all_findings(report: &Report) -> impl Iterator<Item = (&ImageReport, &Finding)> {
    report.images.iter().flat_map(|image| image.findings.iter().map(move |finding| (image, finding)))
}

fn descriptor(rule: &str) -> Value {
    let (short, full) = description(rule);
    json!({
        "id": rule,
        "name": name(rule),
        "shortDescription": { "text": short },
        "fullDescription": { "text": full },
        "help": {
            "text": format!("{full} See {HOME}/blob/main/docs/limits.md"),
            "markdown": format!("{full} [All limits]({HOME}/blob/main/docs/limits.md)"),
        },
        "helpUri": format!("{HOME}/blob/main/docs/limits.md"),
        "defaultConfiguration": { "level": "error" },
        "properties": { "tags": ["container-image", "size"] },
    })
}

fn description(rule: &str) -> (&str, &str) {
    match (limits::key(rule), rule) {
        (Some(key), _) => (key.help, key.description),
        (None, BASELINE_RULE) => ("Baseline of an image", "No baseline to compare the image with was found."),
        (None, NOT_EVALUATED_RULE) => {
            ("Limit that was not evaluated", "A limit of the configuration was not evaluated.")
        }
        (None, _) => ("Report of an image", "An image has no report."),
    }
}

/// `max-size` in SARIF's style of names: `MaxSize`.
fn name(rule: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    };
    rule.split('-').map(word).collect()
}

fn result(report: &Report, image: &ImageReport, finding: &Finding, rules: &[&str]) -> Value {
    let label = words::label(report, image);
    let help = words::next_step(image, finding).map(|help| format!(" Next: {help}.")).unwrap_or_default();
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": rules.binary_search(&finding.rule.as_str()).unwrap_or_default(),
        "level": level(image, finding),
        "message": { "text": visible(&format!("{label}: {}.{help}", finding.message)) },
        "locations": [location(place(image, finding))],
        // Independent of the line: the same finding on another line is the same alert.
        "partialFingerprints": {
            "primaryLocationLineHash": format!("{}:1", fingerprint(&[&finding.rule, &label, &finding.subject])),
        },
    });
    if image.verdict == Verdict::Accepted && finding.severity == Severity::Fail {
        result["suppressions"] = json!([{ "kind": "external", "status": "accepted" }]);
    }
    result
}

fn level(image: &ImageReport, finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Fail if image.verdict == Verdict::Accepted => "note",
        Severity::Fail => "error",
        Severity::Warn | Severity::Unenforced => "warning",
    }
}

/// The lines that cause it, else the first known lines of the image.
fn place<'a>(image: &'a ImageReport, finding: &'a Finding) -> Option<&'a DockerfileLines> {
    let of_image = || {
        let causes = image.causes.iter().filter_map(|cause| cause.dockerfile.as_ref());
        causes.chain(image.layers.iter().filter_map(|row| row.dockerfile.as_ref())).next()
    };
    finding.dockerfile.as_ref().or_else(of_image)
}

fn location(place: Option<&DockerfileLines>) -> Value {
    let found = place.and_then(|place| Some((repository_path(&place.path)?, place.line, place.end_line)));
    let (path, line, end_line) = found.unwrap_or_else(|| (NO_PLACE.to_owned(), 1, 1));
    let region = json!({ "startLine": line.max(1), "endLine": end_line.max(line).max(1) });
    json!({ "physicalLocation": { "artifactLocation": { "uri": path, "uriBaseId": "%SRCROOT%" }, "region": region } })
}

fn fingerprint(parts: &[&str]) -> String {
    let hash = DiffId::of(parts.join("\n").as_bytes()).to_string();
    hash.trim_start_matches("sha256:").chars().take(16).collect()
}
