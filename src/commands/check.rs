//! `layergate check`: the gate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::bases::Bases;
use super::comment::{self, Posted};
use super::locate::Locator;
use super::{
    Exit, console, load_config, measure, parse_images, printed_json, reading_options, refuse_twins,
    set_variable, write_file,
};
use crate::cli::{Check, Format};
use crate::compare::{censuses, file_system};
use crate::github::{Context, runner};
use crate::image::Snapshot;
use crate::policy::{BASELINE_RULE, Severity, Verdict};
use crate::report::markdown::{COMMENT_BUDGET, SUMMARY_BUDGET};
use crate::report::{ImageReport, Report, actions, markdown, text};
use crate::source::Platforms;

/// Runs the command. Settings are checked before anything is measured; then come the verdict in the
/// log, the summary, the outputs, the annotations and, as the least reliable, the comment.
///
/// # Errors
/// What kept the check from its end.
pub async fn run(arguments: &Check) -> anyhow::Result<Exit> {
    let images = parse_images(&arguments.images)?;
    let config = load_config(arguments.config.as_deref())?;
    comment::check_flags(&arguments.comment)?;
    let flags = arguments.limits.settings();
    for image in &images {
        config.limits_for(&image.display_name(), None, &flags)?;
    }
    let context = Context::read(set_variable);

    let mut base = Bases::choose(arguments, &images, context.as_ref()).await?;
    let options = reading_options(&arguments.reading, base.directory())?;
    for image in &images {
        base.prepare(image, &options).await;
    }
    let (mut snapshots, mut of_images) = (Vec::new(), Vec::new());
    let mut locator = Locator::new(config.catalogue());
    let build_flags = arguments.build.settings();
    for image in &images {
        let measured = measure(image, &options, &arguments.reading).await?;
        of_images.extend(measured.iter().map(|_| image));
        snapshots.extend(measured);
    }
    // What a baseline has in common with an image need not be fetched.
    for layer in snapshots.iter().flat_map(|snapshot| &snapshot.layers) {
        if let Some(census) = &layer.census {
            options.known.learn(&layer.diff_id, census.clone());
        }
    }
    let censuses: Vec<_> = snapshots.iter().map(censuses).collect();
    let files: Vec<_> = censuses.iter().map(|of| of.as_deref().map(file_system)).collect();
    let mut judgements = Vec::new();
    for ((snapshot, image), files) in snapshots.iter_mut().zip(of_images).zip(&files) {
        let build = config.build_of(&snapshot.image.name, snapshot.image.platform.as_ref(), &build_flags)?;
        let (single, files) = (images.len() == 1, files.as_ref());
        judgements.push(locator.explain(snapshot, image, &build, single, files, &options).await);
    }
    refuse_twins(&snapshots)?;
    base.measure(&arguments.reading, &options).await?;
    let pull_request = context.as_ref().is_some_and(|context| context.pull_request.is_some());
    let mut reports = Vec::new();
    for ((head, stages), files) in snapshots.iter().zip(&judgements).zip(&files) {
        let baseline = base.of(head, &options).await?;
        let (limits, settings) = config.limits_for(&head.image.name, head.image.platform.as_ref(), &flags)?;
        let (stages, files) = (stages.as_ref(), files.as_ref());
        let mut report =
            ImageReport::evaluate(head, baseline.as_ref(), &limits, &settings, pull_request, stages, files)?;
        report.add_trend(head, base.history(&head.image.name).await);
        reports.push(report);
        if limits.is_empty() {
            let name = &head.image.name;
            console::warn(&format!(
                "no limit is set for {name}, so it cannot fail; set max-increase or max-size"
            ));
        }
    }
    if options.platform == Platforms::All {
        reports.extend(gone(&snapshots, &mut base).await?);
    }
    let report = Report::new(head_sha(&base, context.as_ref()), reports);
    let published = publish(&report, arguments, context.as_ref()).await;
    let comment_missing = matches!(published, Ok(Posted::Failed)) && arguments.comment.require_comment;
    match (exit(&report, comment_missing), published) {
        // That a limit is broken matters more than that it could not be written down.
        (exit @ (Exit::LimitBroken | Exit::NoBaseline), Err(error)) => {
            console::warn(&format!("{error:#}"));
            Ok(exit)
        }
        (exit, published) => published.map(|_| exit),
    }
}

/// The platforms that the baselines of the images have and the images have not.
async fn gone(heads: &[Snapshot], base: &mut Bases) -> anyhow::Result<Vec<ImageReport>> {
    let names: BTreeSet<&str> = heads.iter().map(|head| head.image.name.as_str()).collect();
    let mut gone = Vec::new();
    for name in names {
        let here: Vec<_> =
            heads.iter().filter(|head| head.image.name == name).map(Snapshot::canonical_platform).collect();
        let recorded = base.platforms(name).await?;
        let missing = recorded.iter().filter(|base| !here.contains(&base.snapshot.canonical_platform()));
        gone.extend(missing.map(ImageReport::removed));
    }
    Ok(gone)
}

/// Everything that is said, in the order of how much it can be relied on. What cannot be written is
/// said, and keeps nothing else from being written; only a report that was asked for is an error.
async fn publish(report: &Report, arguments: &Check, context: Option<&Context>) -> anyhow::Result<Posted> {
    let text = rendered(report, arguments.format)?;
    console::result(&text)?;
    let report_file = arguments.report.clone().or_else(|| default_report_file(context));
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
    let posted = comment::post(report, &arguments.comment, &arguments.github, context).await;
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
    let failures =
        report.images.iter().flat_map(|image| &image.findings).filter(|f| f.severity == Severity::Fail);
    let only_baseline = failures.clone().all(|finding| finding.rule == BASELINE_RULE);
    match report.verdict {
        Verdict::Fail if only_baseline && failures.count() > 0 => Exit::NoBaseline,
        Verdict::Fail => Exit::LimitBroken,
        _ if comment_missing => Exit::Unreadable,
        _ => Exit::Success,
    }
}

/// The commit that the images are of: a pull request's own head rather than its test merge.
fn head_sha(base: &Bases, context: Option<&Context>) -> Option<String> {
    let pull = context.and_then(|context| context.pull_request.as_ref().map(|pull| pull.head_sha.clone()));
    pull.or_else(|| base.head_sha()).or_else(|| context?.sha.clone())
}
