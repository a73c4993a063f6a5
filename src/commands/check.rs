//! `layergate check`: the gate.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::comment::{self, Posted};
use super::{
    Exit, UsageError, console, local_git, measure, parse_images, refuse_twins, set_variable, write_file,
};
use crate::baseline::git::is_sha;
use crate::baseline::{DirStore, Git, Start, StoreError, Trigger, choose_start};
use crate::cli::{Check, Format};
use crate::github::{Context, runner};
use crate::image::Snapshot;
use crate::image::snapshot::Commit;
use crate::policy::{BASELINE_RULE, Config, Severity, Verdict};
use crate::report::markdown::{COMMENT_BUDGET, SUMMARY_BUDGET};
use crate::report::{Baseline, ImageReport, Report, actions, markdown, text};

/// Where a configuration is looked for.
const CONFIG_FILES: [&str; 2] = ["layergate.toml", ".github/layergate.toml"];

/// Runs the command. Settings are checked before anything is measured; then come the verdict in the
/// log, the summary, the outputs, the annotations and, as the least reliable, the comment.
///
/// # Errors
/// What kept the check from its end.
pub async fn run(arguments: &Check) -> anyhow::Result<Exit> {
    let images = parse_images(&arguments.images)?;
    let store = DirStore::parse(&arguments.store.store)?;
    let config = load_config(arguments.config.as_deref())?;
    comment::check_flags(&arguments.comment)?;
    let flags = arguments.limits.settings();
    for image in &images {
        config.limits_for(&image.display_name(), None, &flags)?;
    }
    let context = Context::read(set_variable);

    let mut snapshots = Vec::new();
    for image in &images {
        snapshots.push(measure(image, &arguments.reading).await?);
    }
    refuse_twins(&snapshots)?;

    let ancestry = Ancestry::find(arguments.base_commit.as_deref(), context.as_ref())?;
    let pull_request = context.as_ref().is_some_and(|context| context.pull_request.is_some());
    let mut reports = Vec::new();
    for head in &snapshots {
        let baseline = ancestry.baseline_of(head, &store)?;
        let (limits, settings) = config.limits_for(&head.image.name, head.image.platform.as_ref(), &flags)?;
        reports.push(ImageReport::evaluate(head, baseline.as_ref(), &limits, &settings, pull_request)?);
        if limits.is_empty() {
            let name = &head.image.name;
            console::warn(&format!(
                "no limit is set for {name}, so it cannot fail; set max-increase or max-size"
            ));
        }
    }
    let report = Report::new(ancestry.head_sha(context.as_ref()), reports);
    let posted = publish(&report, arguments, context.as_ref()).await?;
    Ok(exit(&report, matches!(posted, Posted::Failed) && arguments.comment.require_comment))
}

/// Everything that is said, in the order of how much it can be relied on.
async fn publish(report: &Report, arguments: &Check, context: Option<&Context>) -> anyhow::Result<Posted> {
    console::result(&rendered(report, arguments.format)?)?;
    let report_file = arguments.report.clone().or_else(|| default_report_file(context));
    if let Some(path) = &report_file {
        write_file(path, &json(report)?)?;
    }
    let Some(context) = context else { return Ok(Posted::None) };
    if let Some(file) = &context.files.summary {
        let summary = markdown::render(report, SUMMARY_BUDGET);
        runner::add_summary(file, &summary)
            .with_context(|| format!("cannot write the summary to {}", file.display()))?;
    }
    let add_outputs = |outputs: &[(&str, String)]| match &context.files.output {
        Some(file) => runner::add_outputs(file, outputs)
            .with_context(|| format!("cannot write outputs to {}", file.display())),
        None => Ok(()),
    };
    let path = report_file.map(|path| path.display().to_string()).unwrap_or_default();
    add_outputs(&actions::outputs(report, &path))?;
    console::commands(&actions::annotations(report));
    let posted = comment::post(report, &arguments.comment, context).await;
    let url = if let Posted::At(url) = &posted { url.clone() } else { String::new() };
    add_outputs(&[("comment-url", url)])?;
    Ok(posted)
}

fn rendered(report: &Report, format: Format) -> anyhow::Result<String> {
    let mut out = Vec::new();
    match format {
        Format::Text => text::write_check(report, console::instruction_width(), &mut out)?,
        Format::Markdown => markdown::write(report, COMMENT_BUDGET, &mut out)?,
        Format::Json => out = json(report)?,
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn json(report: &Report) -> anyhow::Result<Vec<u8>> {
    let mut out = serde_json::to_vec_pretty(report)?;
    out.push(b'\n');
    Ok(out)
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

fn load_config(named: Option<&Path>) -> anyhow::Result<Config> {
    let existing = || CONFIG_FILES.into_iter().map(PathBuf::from).find(|path| path.is_file());
    let Some(path) = named.map(Path::to_path_buf).or_else(existing) else { return Ok(Config::default()) };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| UsageError(format!("cannot read the configuration {}: {error}", path.display())))?;
    Ok(Config::parse(&path.display().to_string(), &text)?)
}

/// The commits whose records may be the baseline, nearest first. Found once for all images.
struct Ancestry {
    head: Option<Commit>,
    start: Option<Start>,
    commits: Vec<String>,
}

impl Ancestry {
    fn find(named: Option<&str>, context: Option<&Context>) -> anyhow::Result<Ancestry> {
        let git = local_git();
        let head = git.head();
        let start = match named {
            Some(name) => Some(named_start(name, &git)?),
            None => choose_start(&trigger(context), head.as_ref(), |one, other| git.merge_base(one, other)),
        };
        let mut commits = start.as_ref().map_or_else(Vec::new, |start| git.first_parents(&start.sha));
        if let (true, Some(start)) = (commits.is_empty(), &start) {
            commits.push(start.sha.clone());
        }
        // A commit that was named is meant; its ancestors are not.
        if named.is_some() {
            commits.truncate(1);
        }
        Ok(Ancestry { head, start, commits })
    }

    /// The nearest record of an image, and why this one.
    fn baseline_of(&self, head: &Snapshot, store: &DirStore) -> Result<Option<Baseline>, StoreError> {
        let (image, platform) = (&head.image.name, head.image.platform.as_ref());
        for (distance, commit) in self.commits.iter().enumerate() {
            if let Some(snapshot) = store.get(Some(commit), image, platform)? {
                let how = self.how(&snapshot, distance);
                return Ok(Some(Baseline {
                    snapshot,
                    distance: Some(distance as u64),
                    exact: distance == 0,
                    how,
                }));
            }
        }
        // Without a checkout there are no commits to tell records apart by, and then the one
        // record is what it was recorded to be.
        let exact = self.commits.is_empty();
        let unversioned = store.get(None, image, platform)?;
        let how = "recorded without a commit".to_owned();
        Ok(unversioned.map(|snapshot| Baseline { snapshot, distance: None, exact, how }))
    }

    fn how(&self, snapshot: &Snapshot, distance: usize) -> String {
        let why = self.start.as_ref().map_or("", |start| start.why);
        let commit = snapshot.commit.as_ref();
        let sha = commit.map_or("", |commit| commit.sha.get(..7).unwrap_or(&commit.sha));
        let branch = commit.and_then(|commit| commit.reference.as_deref()?.strip_prefix("refs/heads/"));
        let name = branch.map_or_else(|| sha.to_owned(), |branch| format!("{branch}@{sha}"));
        match distance {
            0 => format!("{name} (exact: {why})"),
            1 => format!("{name} (1 commit behind {why})"),
            behind => format!("{name} ({behind} commits behind {why})"),
        }
    }

    /// The commit that the images are of: a pull request's own head rather than its test merge.
    fn head_sha(&self, context: Option<&Context>) -> Option<String> {
        let pull =
            context.and_then(|context| context.pull_request.as_ref().map(|pull| pull.head_sha.clone()));
        pull.or_else(|| self.head.as_ref().map(|head| head.sha.clone())).or_else(|| context?.sha.clone())
    }
}

fn named_start(name: &str, git: &Git) -> anyhow::Result<Start> {
    let known = git.commit(name).map(|commit| commit.sha).or_else(|| is_sha(name).then(|| name.to_owned()));
    let message = || {
        format!(
            "--base-commit {name}: no such commit here; write its full hash, or run in a checkout that has it"
        )
    };
    let sha = known.ok_or_else(|| UsageError(message()))?;
    Ok(Start { sha, why: "the commit that was asked for" })
}

fn trigger(context: Option<&Context>) -> Trigger {
    let Some(context) = context else { return Trigger::Other };
    if let Some(pull) = &context.pull_request {
        return Trigger::PullRequest { head: pull.head_sha.clone(), base: pull.base_sha.clone() };
    }
    match (&context.merge_group_base, &context.push_before) {
        (Some(base), _) => Trigger::MergeGroup { base: base.clone() },
        (None, Some(before)) if context.event_name == "push" => Trigger::Push { before: before.clone() },
        _ => Trigger::Other,
    }
}
