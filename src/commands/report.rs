//! `layergate report`: combines saved reports.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::ahead::Asking;
use super::configuration::{Chosen, ConfigurationRequest};
use super::extends::ReadError;
use super::outputs::NamedFiles;
use super::publish::{self, publish, update_comment};
use super::{
    Exit, UsageError, accept, comment, configuration, console, event, github, lines_of, set_variable, stores,
    today,
};
use crate::baseline::Git;
use crate::cli::{LimitsFrom, ReportArgs, ReportLimits};
use crate::config::{Config, ConfigError, Settings};
use crate::files;
use crate::github::{Context, Deciding, GithubError, PullRequest, WorkflowRun, pulls};
use crate::limits::Occasion;
use crate::report::merge::{Expected, Saved, merge, name_unexpected};
use crate::report::reevaluate::reevaluate;
use crate::report::{AcceptanceRules, Report, worst};
use crate::sort;

/// Maximum number of files in an artifact: a job of a fork may have filled it.
const MAX_FILES: usize = 1000;
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: u64 = 16 << 20;
const MAX_DEPTH: usize = 4;
/// Events whose runs have a token that may write, whoever wrote the code that they examine.
const TRUSTED: [&str; 3] = ["workflow_run", "pull_request_target", "issue_comment"];

/// Why an image is not named.
const UNEXPECTED: &str = "Images that neither `require-image` nor the target branch's configuration names are shown by number; add their names there to see them.";

/// Runs the command.
///
/// # Errors
/// If a report cannot be read or evaluated, or there is none.
pub async fn run(arguments: &ReportArgs) -> anyhow::Result<Exit> {
    if !arguments.only_comment {
        let reports = lines_of(&arguments.reports).filter(|named| Path::new(named).is_file());
        NamedFiles::default()
            .writes_all(&arguments.output)
            .reads(reports)
            .reads(arguments.config.iter())
            .check()?;
    }
    comment::check_flags(&arguments.output.comment)?;
    let expected = expected(arguments)?;
    let mut context = Context::read(set_variable);
    if let Some(context) = &mut context {
        find_pull_request(arguments, context).await?;
    }
    let context = context.as_ref();
    let of_pull = context.and_then(|context| context.pull_request.as_ref());
    let run = context.and_then(|context| context.workflow_run.as_ref());
    let head = of_pull.map(|pull| &pull.head_sha).or(run.map(|run| &run.head_sha));
    match evaluate(arguments, &expected, context, head.map(String::as_str)).await {
        Ok(Some(mut report)) => {
            report.url = arguments.output.report_url.clone();
            report.links = publish::links(&report, context);
            if arguments.only_comment {
                return Ok(update_comment(&report, &arguments.output, &arguments.github, context).await);
            }
            publish(&report, &[], &arguments.output, &arguments.github, context).await
        }
        Ok(None) => Ok(Exit::Success),
        Err(error) if of_pull.is_some() && is_of_reports(&error) && !arguments.only_comment => {
            // What was reported for an earlier commit must not look like this one's result.
            let report = unusable(&expected, head.map(String::as_str))?;
            publish(&report, &[], &arguments.output, &arguments.github, context).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Whether the reports are unusable, rather than something that may work in the next try.
fn is_of_reports(error: &anyhow::Error) -> bool {
    let of_others = error.is::<UsageError>() || error.is::<ConfigError>() || error.is::<ReadError>();
    !of_others && !error.is::<GithubError>()
}

/// The report for the pull request if the saved reports cannot be used.
fn unusable(expected: &[Expected], head: Option<&str>) -> anyhow::Result<Report> {
    let all = [Expected { name: "all images".into(), platform: None }];
    let mut report = merge(Vec::new(), if expected.is_empty() { &all } else { expected }, head)?;
    report.notes.push("The reports cannot be used; the log of this job says why.".into());
    Ok(report)
}

/// Whether the reports may come from somebody without the rights of this run's token.
fn may_be_deceived(context: &Context) -> bool {
    let from_fork = context.pull_request.as_ref().is_some_and(|pull| pull.from_fork);
    // In a fork's own run the token may only read.
    TRUSTED.contains(&context.event_name.as_str()) || (from_fork && context.event_name != "pull_request")
}

/// The combined report; `None` if there is no pull request to comment on and nothing to evaluate by.
async fn evaluate(
    arguments: &ReportArgs,
    expected: &[Expected],
    context: Option<&Context>,
    head: Option<&str>,
) -> anyhow::Result<Option<Report>> {
    let evaluates = arguments
        .limits_from
        .map_or_else(|| context.is_some_and(may_be_deceived), |from| from == ReportLimits::Target);
    let flags = arguments.limits.settings();
    if let Some((limit, _)) = flags.iter().next().filter(|_| !evaluates) {
        console::warn(&format!(
            "{limit} has no effect: reports keep the verdicts of the jobs that measured; pass --limits-from target to evaluate them again"
        ));
    }
    let Chosen { config, note, .. } = choose_configuration(arguments, evaluates, context).await?;
    let today = today();
    let mut accept = config.accept(&arguments.accept.settings(), &today)?;
    let (mut saved, notes) = read_reports(arguments, expected, &config, evaluates, context)?;
    let others = if evaluates { leave_out_other_targets(&mut saved, context) } else { None };
    let mut report = merge(saved, expected, head)?;
    if evaluates || !arguments.output.comment.settings().is_empty() {
        report.min_change = config.comment(&arguments.output.comment.settings())?.min_change;
    }
    report.notes.extend(notes.into_iter().chain(others).chain(note));
    if evaluates {
        let of_pull_request = match context.and_then(|context| context.workflow_run.as_ref()) {
            Some(run) => run.event.starts_with("pull_request"),
            None => context.is_some_and(|context| context.pull_request.is_some()),
        };
        // Reports whose evaluation is not trusted come from forks, and a merge queue has none of those.
        let occasion = Occasion { pull_request: of_pull_request, merge_queue: false, today };
        if !evaluate_anew(&mut report, &config, &flags, &occasion)? {
            return no_limits(context);
        }
    } else if accept.is_empty() {
        // If the configuration here accepts nothing, the rules given to the jobs count.
        accept = report.accept.as_ref().and_then(AcceptanceRules::accept).unwrap_or_default();
    }
    let asking = Asking { github: &arguments.github, comment: &arguments.output.comment };
    accept::apply(&mut report, &accept, asking, context).await;
    Ok(Some(report))
}

/// The configuration for evaluating reports: none for trusted reports of a change, because its jobs got theirs from the
/// target branch and included it.
async fn choose_configuration(
    arguments: &ReportArgs,
    evaluates: bool,
    context: Option<&Context>,
) -> anyhow::Result<Chosen> {
    let is_of_change = context.is_some_and(|context| context.deciding() != Deciding::Checkout);
    if is_of_change && !evaluates {
        return Ok(Chosen::default());
    }
    let request = ConfigurationRequest {
        named: arguments.config.as_deref(),
        from: LimitsFrom::Target,
        has_limits: !arguments.limits.settings().is_empty(),
        github: &arguments.github,
    };
    configuration::of_evaluate(&request, context).await
}

/// The saved reports without untrusted parts, and a note about these.
fn read_reports(
    arguments: &ReportArgs,
    expected: &[Expected],
    config: &Config,
    evaluates: bool,
    context: Option<&Context>,
) -> anyhow::Result<(Vec<Saved>, Option<String>)> {
    // Without git this is unknown; but a committed report could not contain the commit that it belongs to.
    for named in lines_of(&arguments.reports).filter(|_| Git::is_installed()) {
        stores::refuse_committed(Path::new(named), "report", context)?;
    }
    let mut saved = read(&files(arguments)?)?;
    if evaluates {
        // Untrusted reports contribute only figures.
        saved.iter_mut().for_each(|saved| saved.report.notes.clear());
    }
    if !evaluates || !context.is_some_and(may_be_deceived) {
        return Ok((saved, None));
    }
    let is_named =
        |name: &str| expected.iter().any(|expected| expected.name == name) || config.has_section(name);
    let unexpected = name_unexpected(&mut saved, is_named);
    Ok((saved, (unexpected > 0).then(|| UNEXPECTED.into())))
}

/// Leaves out reports of a comparison with another branch than the current target of the pull request.
fn leave_out_other_targets(saved: &mut Vec<Saved>, context: Option<&Context>) -> Option<String> {
    let target = context?.pull_request.as_ref()?.base_branch.as_ref()?;
    let all = saved.len();
    saved.retain(|saved| saved.report.target.as_ref().is_none_or(|other| other == target));
    (saved.len() < all)
        .then(|| "A report for another target branch is left out; start a new run of the check.".into())
}

/// A run that follows one whose commit is no longer a pull request's head has nothing to report; any other needs limits
/// to evaluate by.
fn no_limits(context: Option<&Context>) -> anyhow::Result<Option<Report>> {
    if context.is_some_and(|context| context.workflow_run.is_some() && context.pull_request.is_none()) {
        console::note("there are no limits here either, so nothing is evaluated");
        return Ok(None);
    }
    let message = "there are no limits here, and those in the reports are not trusted; add a layergate.toml with limits to the target branch, pass limits, or pass --limits-from reports";
    Err(UsageError(message.into()).into())
}

fn expected(arguments: &ReportArgs) -> Result<Vec<Expected>, UsageError> {
    let parse = |text: &str| {
        let message = || format!("--require-image {text}: write NAME or NAME=OS/ARCH[/VARIANT]");
        Expected::parse(text).ok_or_else(|| UsageError(message()))
    };
    lines_of(&arguments.require_image).map(parse).collect()
}

/// The named files, and the files below named directories.
fn files(arguments: &ReportArgs) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = ReportFiles { files: Vec::new(), entries: 0 };
    for named in lines_of(&arguments.reports).map(PathBuf::from) {
        match fs::metadata(&named) {
            Ok(kind) if kind.is_dir() => found.look_below(&named, MAX_DEPTH)?,
            Ok(_) => found.files.push(named),
            // No job has saved a report, so nothing was downloaded; the expected images tell what that means.
            Err(error) if error.kind() == ErrorKind::NotFound && !arguments.require_image.is_empty() => {
                console::warn(&format!("{} does not exist, so it has no report", named.display()));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", named.display())),
        }
    }
    anyhow::ensure!(found.files.len() <= MAX_FILES, "at most {MAX_FILES} reports can be merged");
    Ok(found.files)
}

/// The files found, and how many entries were examined.
struct ReportFiles {
    files: Vec<PathBuf>,
    entries: usize,
}

impl ReportFiles {
    /// JSON files, sorted by name. Skips everything but directories and regular files: a link may lead anywhere.
    fn look_below(&mut self, directory: &Path, depth: usize) -> anyhow::Result<()> {
        let failed = || format!("cannot read {}", directory.display());
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory).with_context(failed)? {
            entries.push(entry.with_context(failed)?);
            self.entries += 1;
            anyhow::ensure!(
                self.entries <= MAX_ENTRIES,
                "{}: the given directories hold over {MAX_ENTRIES} files",
                directory.display()
            );
        }
        sort::by_key(&mut entries, fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type().with_context(failed)?);
            if kind.is_dir() && depth > 0 {
                self.look_below(&path, depth - 1)?;
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "json") {
                self.files.push(path);
            }
        }
        Ok(())
    }
}

fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Saved>> {
    let (mut saved, mut room) = (Vec::new(), MAX_BYTES);
    for path in files {
        let file = path.display().to_string();
        let failed = || format!("cannot read {file}");
        let _waiting = files::Waiting::on(path);
        let mut json = Vec::new();
        let opened = files::open(path).with_context(failed)?;
        opened.take(room + 1).read_to_end(&mut json).with_context(failed)?;
        room = room
            .checked_sub(json.len() as u64)
            .ok_or_else(|| anyhow::anyhow!("{file}: the reports have over {MAX_BYTES} bytes in total"))?;
        let report = Report::from_json(&json).with_context(|| file.clone())?;
        saved.push(Saved { file, report });
    }
    Ok(saved)
}

/// Sets the context's pull request to the requested one, or the one that the previous run was about. If there is none,
/// there is nothing to comment on, but the rest is reported.
///
/// # Errors
/// If GitHub does not answer: then the limits of the target branch are unknown too.
async fn find_pull_request(arguments: &ReportArgs, context: &mut Context) -> Result<(), GithubError> {
    let run = context.workflow_run.clone();
    if arguments.pull_request.is_none() && run.is_none() {
        // A check may have commented because of --comment-on-push.
        if arguments.only_comment && context.event_name == "push" {
            event::of_push(&arguments.github, context).await;
        }
        return Ok(());
    }
    // The event's pull request is a different one.
    context.pull_request = None;
    context.pull_request = asked(arguments, context, run.as_ref()).await?;
    // The run that measured determines how recent the comment is.
    if let Some(run) = run.and_then(|run| run.run) {
        context.run = Some(run);
    }
    Ok(())
}

async fn asked(
    arguments: &ReportArgs,
    context: &Context,
    run: Option<&WorkflowRun>,
) -> Result<Option<PullRequest>, GithubError> {
    let Some((client, place)) = github::of_run(&arguments.github, context)? else {
        console::warn("cannot find the pull request without a token; pass `github-token`");
        return Ok(None);
    };
    if let Some(number) = arguments.pull_request {
        let found = pulls::of_number(&client, place, number).await?;
        if found.is_none() {
            console::warn(&format!("there is no pull request #{number}, so no comment is posted"));
        }
        let is_of_run = |pull: &PullRequest| run.is_none_or(|run| pull.head_sha == run.head_sha);
        if found.as_ref().is_some_and(|pull| !is_of_run(pull)) {
            console::warn(&format!(
                "the triggering run was not for the head of #{number}, so no comment is posted"
            ));
        }
        return Ok(found.filter(is_of_run));
    }
    let Some(run) = run.filter(|run| run.event.starts_with("pull_request")) else { return Ok(None) };
    let mut found = pulls::of_run(&client, place, run).await?;
    if found.len() > 1 {
        let numbers: Vec<String> = found.iter().map(|pull| format!("#{}", pull.number)).collect();
        console::warn(&format!(
            "{} have the same head, so no comment is posted; choose one with --pull-request",
            numbers.join(" and ")
        ));
        return Ok(None);
    }
    if found.is_empty() {
        console::note(
            "the triggering run's commit is no longer the head of an open pull request, so no comment is posted",
        );
    }
    Ok(found.pop())
}

/// Evaluates all images again. Returns whether there is any limit to evaluate them by.
fn evaluate_anew(
    report: &mut Report,
    config: &Config,
    flags: &Settings,
    occasion: &Occasion,
) -> anyhow::Result<bool> {
    let mut any = false;
    for image in &mut report.images {
        let platform = image.runs_on();
        let rulesets = config.rulesets_for(&image.name, platform.as_ref(), flags, &occasion.today)?;
        any |= rulesets.iter().any(|ruleset| !ruleset.limits.is_empty());
        reevaluate(image, &rulesets, occasion);
    }
    // The reports are not trusted in this either.
    report.configurations = config.sources();
    (report.accept, report.accepted) = (None, None);
    report.verdict = worst(&report.images);
    Ok(any)
}
