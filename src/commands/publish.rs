//! What a judged report becomes: the log, files, outputs, annotations, the comment, and the exit code.

use std::path::{Path, PathBuf};

use super::comment::{self, Posted};
use super::{Exit, check_run, console, printed_json, set_variable, write_file};
use crate::cli::{Format, GithubFlags, OutputFlags};
use crate::github::{Context, runner};
use crate::policy::{BASELINE_RULE, Verdict};
use crate::report::markdown::{COMMENT_BUDGET, SUMMARY_BUDGET};
use crate::report::{ImageReport, Report, actions, markdown, text};

/// Says a report everywhere, and gives the exit code.
///
/// # Errors
/// Where a report that was asked for cannot be written, and nothing worse is to be said.
pub async fn publish(
    report: &Report,
    flags: &OutputFlags,
    github: &GithubFlags,
    context: Option<&Context>,
) -> anyhow::Result<Exit> {
    let published = say(report, flags, github, context).await;
    let comment_missing = matches!(published, Ok(Posted::Failed)) && flags.comment.require_comment;
    match (exit(report, comment_missing), published) {
        // That a limit is broken matters more than that it could not be written down.
        (exit @ (Exit::LimitBroken | Exit::NoBaseline), Err(error)) => {
            console::warn(&format!("{error:#}"));
            Ok(exit)
        }
        (exit, published) => published.map(|_| exit),
    }
}

/// Everything that is said, in the order of how much it can be relied on. What cannot be written is
/// said, and keeps nothing else from being written; only a report that was asked for is an error.
async fn say(
    report: &Report,
    flags: &OutputFlags,
    github: &GithubFlags,
    context: Option<&Context>,
) -> anyhow::Result<Posted> {
    let text = rendered(report, flags.format)?;
    console::result(&text)?;
    let report_file = flags.report.clone().or_else(|| default_report_file(context));
    let written = report_file.as_ref().map_or(Ok(()), |path| write_file(path, json(report)?.as_bytes()));
    let Some(context) = context else { return written.map(|()| Posted::None) };
    if let Some(file) = &context.files.summary {
        let done = runner::add_summary(file, &markdown::render(report, SUMMARY_BUDGET));
        warn_of("the step summary", file, done);
    }
    let add_outputs = |outputs: &[(&str, String)]| {
        if let Some(file) = &context.files.output {
            warn_of("the outputs", file, runner::add_outputs(file, outputs));
        }
    };
    let path = report_file.filter(|_| written.is_ok()).map(|path| path.display().to_string());
    add_outputs(&actions::outputs(report, &path.unwrap_or_default()));
    console::commands(&actions::annotations(report));
    let posted = comment::post(report, &flags.comment, github, context).await;
    check_run::post(report, &flags.comment, github, context).await;
    let url = if let Posted::At(url) = &posted { url.clone() } else { String::new() };
    add_outputs(&[("comment-url", url)]);
    written.map(|()| posted)
}

fn warn_of(what: &str, file: &Path, done: std::io::Result<()>) {
    if let Err(error) = done {
        console::warn(&format!("cannot write {what} to {}: {error}", file.display()));
    }
}

fn rendered(report: &Report, format: Format) -> anyhow::Result<String> {
    let mut out = Vec::new();
    match format {
        Format::Text => text::write_check(report, console::instruction_width(), &mut out)?,
        Format::Markdown => markdown::write(report, COMMENT_BUDGET, &mut out)?,
        Format::Json => return Ok(printed_json(report)?),
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn json(report: &Report) -> serde_json::Result<String> {
    serde_json::to_string_pretty(report).map(|json| json + "\n")
}

/// In a run of GitHub Actions the report is always kept, for the output `report` names it.
fn default_report_file(context: Option<&Context>) -> Option<PathBuf> {
    context?;
    let directory = set_variable("RUNNER_TEMP").map_or_else(std::env::temp_dir, PathBuf::from);
    Some(directory.join(format!("layergate-report-{}.json", std::process::id())))
}

fn exit(report: &Report, comment_missing: bool) -> Exit {
    let mut failing = report.images.iter().filter(|image| image.verdict == Verdict::Fail);
    let only_baseline = failing
        .clone()
        .all(|image| image.failures().count() > 0 && image.failures().all(|one| one.rule == BASELINE_RULE));
    match report.verdict {
        Verdict::Fail if only_baseline && failing.any(ImageReport::has_unusable_base) => Exit::Unreadable,
        Verdict::Fail if only_baseline => Exit::NoBaseline,
        Verdict::Fail => Exit::LimitBroken,
        _ if comment_missing => Exit::Unreadable,
        _ => Exit::Success,
    }
}
