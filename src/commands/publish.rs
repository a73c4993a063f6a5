//! Publishes an evaluated report: the log, files, outputs, annotations, the comment, and the exit code.

use std::path::{Path, PathBuf};

use super::comment::{self, Posted};
use super::{Exit, check_run, console, printed_json, set_variable, suggest, write_file, write_html};
use crate::cli::{Format, GithubFlags, OutputFlags};
use crate::github::{Context, Forge, runner};
use crate::limits::{BASELINE_RULE, NOT_EVALUATED_RULE, Verdict};
use crate::report::badge::{Badge, BadgeFormat};
use crate::report::html::{Details, PageSubject};
use crate::report::links::RunLinks;
use crate::report::look::Sizes;
use crate::report::markdown::{COMMENT_BUDGET, SUMMARY_BUDGET};
use crate::report::{ImageReport, Report, actions, junit, markdown, openmetrics, sarif, text};

/// A file that a report is written to, if its option is given.
pub struct ReportFile {
    /// The option.
    pub option: &'static str,
    /// The option's value.
    pub path: fn(&OutputFlags) -> Option<&PathBuf>,
    /// Writes it.
    write: fn(&Path, &Report, &[Details]) -> anyhow::Result<()>,
}

/// All such files except the report itself, which is also kept without an option.
pub const FILES: &[ReportFile] = &[
    ReportFile {
        option: "--html",
        path: |flags| flags.html.as_ref(),
        write: |path, report, details| {
            write_html(path, report, PageSubject::Check, details, report.links.as_ref())
        },
    },
    ReportFile {
        option: "--sarif",
        path: |flags| flags.sarif.as_ref(),
        write: |path, report, _| write_rendered(path, |out| sarif::write(report, out)),
    },
    ReportFile {
        option: "--junit",
        path: |flags| flags.junit.as_ref(),
        write: |path, report, _| write_rendered(path, |out| junit::write(report, out)),
    },
    ReportFile {
        option: "--openmetrics",
        path: |flags| flags.openmetrics.as_ref(),
        write: |path, report, _| write_rendered(path, |out| openmetrics::write(report, out)),
    },
    ReportFile {
        option: "--badge",
        path: |flags| flags.badge.as_ref(),
        write: |path, report, _| {
            write_rendered(path, |out| Badge::of(report).write(BadgeFormat::of(path), out))
        },
    },
];

/// Publishes a report everywhere, and returns the exit code. `details`: what the HTML page shows beyond the report.
///
/// # Errors
/// If a requested report cannot be written, and nothing worse has to be reported.
pub async fn publish(
    report: &Report,
    details: &[Details],
    flags: &OutputFlags,
    github: &GithubFlags,
    context: Option<&Context>,
) -> anyhow::Result<Exit> {
    let published = say(report, details, flags, github, context).await;
    let comment_missing = matches!(published, Ok(Posted::Failed)) && flags.comment.require_comment;
    match (exit(report, comment_missing), published) {
        // An exceeded limit matters more than a failure to write.
        (exit @ (Exit::LimitBroken | Exit::NoBaseline), Err(error)) => {
            console::warn(&format!("{error:#}"));
            Ok(exit)
        }
        (exit, published) => published.map(|_| exit),
    }
}

/// Updates the comment for this report's check, and nothing else; the check has reported the verdict.
pub async fn update_comment(
    report: &Report,
    flags: &OutputFlags,
    github: &GithubFlags,
    context: Option<&Context>,
) -> Exit {
    let Some(context) = context else { return Exit::Success };
    match comment::update(report, &flags.comment, github, context).await {
        Posted::Failed if flags.comment.require_comment => Exit::Unreadable,
        _ => Exit::Success,
    }
}

/// Publishes everything, most reliable first. A failure to write is reported and does not stop the rest; only for a
/// requested report is it an error.
async fn say(
    report: &Report,
    details: &[Details],
    flags: &OutputFlags,
    github: &GithubFlags,
    context: Option<&Context>,
) -> anyhow::Result<Posted> {
    let text = rendered(report, flags)?;
    console::result(&text)?;
    let report_file = flags.report.clone().or_else(|| default_report_file(context));
    let written = report_file.as_ref().map_or(Ok(()), |path| write_file(path, json(report)?.as_bytes()));
    let written = written.and(write_files(report, details, flags));
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
    suggest::post(report, &flags.comment, github, context).await;
    let url = if let Posted::At(url) = &posted { url.clone() } else { String::new() };
    add_outputs(&[("comment-url", url)]);
    written.map(|()| posted)
}

/// Writes the requested files besides the report. A failure does not stop the others.
fn write_files(report: &Report, details: &[Details], flags: &OutputFlags) -> anyhow::Result<()> {
    let mut written = Ok(());
    for file in FILES {
        let done = (file.path)(flags).map_or(Ok(()), |path| (file.write)(path, report, details));
        written = written.and(done);
    }
    written
}

fn write_rendered(
    path: &Path,
    render: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut content = Vec::new();
    render(&mut content)?;
    write_file(path, &content)
}

/// Links to the Dockerfiles of the commit, in a run of GitHub Actions.
pub fn links(report: &Report, context: Option<&Context>) -> Option<RunLinks> {
    let context = context?;
    let server = set_variable("GITHUB_SERVER_URL").filter(|server| server.starts_with("https://"))?;
    let (owner, name) = context.repository.as_ref()?;
    let commit = report.head_sha.as_ref().or(context.sha.as_ref())?;
    let files = if Forge::of_runner(set_variable).is_some() { "src/commit" } else { "blob" };
    let (repository, commit) = (format!("{server}/{owner}/{name}"), commit.clone());
    Some(RunLinks { repository, files, commit, run: context.run.map(|run| run.id) })
}

fn warn_of(what: &str, file: &Path, done: std::io::Result<()>) {
    if let Err(error) = done {
        console::warn(&format!("cannot write {what} to {}: {error}", file.display()));
    }
}

fn rendered(report: &Report, flags: &OutputFlags) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let sizes = Sizes::of_flag(flags.bytes);
    match flags.format {
        Format::Text => text::write_check(report, console::look(sizes), &mut out)?,
        Format::Markdown => markdown::write(report, COMMENT_BUDGET, sizes, &mut out)?,
        Format::Json => return Ok(printed_json(report)?),
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn json(report: &Report) -> serde_json::Result<String> {
    serde_json::to_string_pretty(report).map(|json| json + "\n")
}

/// In a run of GitHub Actions the report is always kept, because the output `report` names it.
fn default_report_file(context: Option<&Context>) -> Option<PathBuf> {
    context?;
    let directory = set_variable("RUNNER_TEMP").map_or_else(std::env::temp_dir, PathBuf::from);
    Some(directory.join(format!("layergate-report-{}.json", std::process::id())))
}

fn exit(report: &Report, comment_missing: bool) -> Exit {
    let failing = report.images.iter().filter(|image| image.verdict == Verdict::Fail);
    let all_failures_are = |rules: &[&str]| {
        failing.clone().all(|image| {
            image.failures().count() > 0 && image.failures().all(|one| rules.contains(&one.rule.as_str()))
        })
    };
    match report.verdict {
        Verdict::Fail
            if all_failures_are(&[BASELINE_RULE]) && !failing.clone().any(ImageReport::has_unusable_base) =>
        {
            Exit::NoBaseline
        }
        Verdict::Fail if all_failures_are(&[BASELINE_RULE, NOT_EVALUATED_RULE]) => Exit::Unreadable,
        Verdict::Fail => Exit::LimitBroken,
        _ if comment_missing => Exit::Unreadable,
        _ => Exit::Success,
    }
}
