//! `layergate report`: saved reports, put together.

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

/// What an artifact may hold: a job of a fork may have filled it.
const MAX_FILES: usize = 1000;
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: u64 = 16 << 20;
const MAX_DEPTH: usize = 4;
/// Events whose runs have a token that may write, whoever has made what they look at.
const TRUSTED: [&str; 3] = ["workflow_run", "pull_request_target", "issue_comment"];

/// Why an image has no name.
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
            // What an earlier commit was told must not look like what is to be said of this one.
            let report = unusable(&expected, head.map(String::as_str))?;
            publish(&report, &[], &arguments.output, &arguments.github, context).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Whether it is the reports that cannot be used, and not something that the next try may find.
fn is_of_reports(error: &anyhow::Error) -> bool {
    let of_others = error.is::<UsageError>() || error.is::<ConfigError>() || error.is::<ReadError>();
    !of_others && !error.is::<GithubError>()
}

/// What is said on the pull request where the reports cannot be used.
fn unusable(expected: &[Expected], head: Option<&str>) -> anyhow::Result<Report> {
    let all = [Expected { name: "all images".into(), platform: None }];
    let mut report = merge(Vec::new(), if expected.is_empty() { &all } else { expected }, head)?;
    report.notes.push("The reports cannot be used; the log of this job says why.".into());
    Ok(report)
}

/// Whether the reports may be of somebody who has no right to what this run's token may do.
fn may_be_deceived(context: &Context) -> bool {
    let from_fork = context.pull_request.as_ref().is_some_and(|pull| pull.from_fork);
    // Of a fork's own run the token may only read.
    TRUSTED.contains(&context.event_name.as_str()) || (from_fork && context.event_name != "pull_request")
}

/// The report of all; `None` if there is nobody to tell, and nothing to evaluate by.
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
    let (saved, notes) = read_reports(arguments, expected, &config, evaluates, context)?;
    let mut report = merge(saved, expected, head)?;
    if evaluates || !arguments.output.comment.settings().is_empty() {
        report.min_change = config.comment(&arguments.output.comment.settings())?.min_change;
    }
    report.notes.extend(notes);
    report.notes.extend(note);
    if evaluates {
        let of_pull_request = match context.and_then(|context| context.workflow_run.as_ref()) {
            Some(run) => run.event.starts_with("pull_request"),
            None => context.is_some_and(|context| context.pull_request.is_some()),
        };
        // Whose evaluation is not taken is a fork's, and a queue has none of those.
        let occasion = Occasion { pull_request: of_pull_request, merge_queue: false, today };
        if !evaluate_anew(&mut report, &config, &flags, &occasion)? {
            return no_limits(context);
        }
    } else if accept.is_empty() {
        // Where nobody says here what accepts, it is what the jobs were told.
        accept = report.accept.as_ref().and_then(AcceptanceRules::accept).unwrap_or_default();
    }
    let asking = Asking { github: &arguments.github, comment: &arguments.output.comment };
    accept::apply(&mut report, &accept, asking, context).await;
    Ok(Some(report))
}

/// The configuration that counts for reports: none where those of a change are taken as they are, for what its jobs
/// were told comes from the target branch, and is in their reports.
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

/// The saved reports, without what is not believed of them, and what is to be noted of that.
fn read_reports(
    arguments: &ReportArgs,
    expected: &[Expected],
    config: &Config,
    evaluates: bool,
    context: Option<&Context>,
) -> anyhow::Result<(Vec<Saved>, Option<String>)> {
    // Without git nobody knows; but no committed report knows the commit that it would have to be of.
    for named in lines_of(&arguments.reports).filter(|_| Git::is_installed()) {
        stores::refuse_committed(Path::new(named), "report", context)?;
    }
    let mut saved = read(&files(arguments)?)?;
    if evaluates {
        // Nothing but figures is taken from reports that are not believed.
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

/// A run that follows one whose commit is no pull request's head any more has nothing to say; any other has to be
/// told what to evaluate by.
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

/// The files that are named, and those below directories that are.
fn files(arguments: &ReportArgs) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = ReportFiles { files: Vec::new(), entries: 0 };
    for named in lines_of(&arguments.reports).map(PathBuf::from) {
        match fs::metadata(&named) {
            Ok(kind) if kind.is_dir() => found.look_below(&named, MAX_DEPTH)?,
            Ok(_) => found.files.push(named),
            // No job has saved one, so nothing was downloaded: what is expected says what that means.
            Err(error) if error.kind() == ErrorKind::NotFound && !arguments.require_image.is_empty() => {
                console::warn(&format!("{} does not exist, so it has no report", named.display()));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", named.display())),
        }
    }
    anyhow::ensure!(found.files.len() <= MAX_FILES, "at most {MAX_FILES} reports can be merged");
    Ok(found.files)
}

/// The files that were found, and how much was looked at for it.
struct ReportFiles {
    files: Vec<PathBuf>,
    entries: usize,
}

impl ReportFiles {
    /// JSON files in the order of their names. What is no directory and no plain file, such as a link, is passed
    /// over: it may lead anywhere.
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

/// Puts the pull request in its place that is asked for, or that a run before was about. Where there is none,
/// there is nothing to comment on, and all else is said.
///
/// # Errors
/// If GitHub does not say: the limits of its target are not known then either.
async fn find_pull_request(arguments: &ReportArgs, context: &mut Context) -> Result<(), GithubError> {
    let run = context.workflow_run.clone();
    if arguments.pull_request.is_none() && run.is_none() {
        // A check may have commented by --comment-on-push.
        if arguments.only_comment && context.event_name == "push" {
            event::of_push(&arguments.github, context).await;
        }
        return Ok(());
    }
    // Whatever the event says, it is not this one.
    context.pull_request = None;
    context.pull_request = asked(arguments, context, run.as_ref()).await?;
    // The run that has measured it says how new it is.
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

/// Evaluates all images anew. Whether there is any limit to evaluate them by.
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
    // What the reports say of that is not believed either.
    report.configurations = config.sources();
    (report.accept, report.accepted) = (None, None);
    report.verdict = worst(&report.images);
    Ok(any)
}
