//! `layergate report`: saved reports, put together.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::publish::publish;
use super::{
    Exit, UsageError, accept, comment, config_of_target, console, github, lines_of, load_config, set_variable,
};
use crate::cli::Reports;
use crate::github::{Context, GithubError, PullRequest, WorkflowRun, pulls};
use crate::policy::{Config, Settings};
use crate::report::merge::{Expected, Saved, merge};
use crate::report::rejudge::rejudge;
use crate::report::{Report, worst};

/// What an artifact may hold: a job of a fork may have filled it.
const MAX_FILES: usize = 1000;
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: u64 = 64 << 20;
const MAX_DEPTH: usize = 4;

/// Runs the command.
///
/// # Errors
/// Where a report cannot be read or judged, or there is none.
pub async fn run(arguments: &Reports) -> anyhow::Result<Exit> {
    comment::check_flags(&arguments.output.comment)?;
    let expected = expected(arguments)?;
    let local = load_config(arguments.config.as_deref())?;
    let mut saved = read(&files(arguments)?)?;
    let mut context = Context::read(set_variable);
    let run = context.as_ref().and_then(|context| context.workflow_run.clone());
    if let Some(context) = &mut context {
        find_pull_request(arguments, context).await;
    }
    let judges = arguments.judge.unwrap_or(run.is_some());
    let config = match judges && arguments.config.is_none() {
        true => config_of_target(&arguments.github, context.as_ref()).await?.unwrap_or(local),
        false => local,
    };
    let accept = config.accept(&arguments.accept.settings())?;
    let of_pull = context.as_ref().and_then(|context| context.pull_request.as_ref());
    let head = of_pull.map(|pull| &pull.head_sha).or(run.as_ref().map(|run| &run.head_sha)).cloned();
    if judges {
        // Nothing but figures is taken from reports that are not believed.
        saved.iter_mut().for_each(|saved| saved.report.notes.clear());
    }
    let mut report = merge(saved, &expected, head.as_deref())?;
    if judges {
        let of_pull_request = match &run {
            Some(run) => run.event.starts_with("pull_request"),
            None => context.as_ref().is_some_and(|context| context.pull_request.is_some()),
        };
        judge_anew(&mut report, &config, &arguments.limits.settings(), of_pull_request)?;
    }
    accept::apply(&mut report, &accept, &arguments.github, context.as_ref()).await;
    publish(&report, &arguments.output, &arguments.github, context.as_ref()).await
}

fn expected(arguments: &Reports) -> Result<Vec<Expected>, UsageError> {
    let parse = |text: &str| {
        let message = || format!("--expect {text}: write NAME or NAME=OS/ARCH[/VARIANT]");
        Expected::parse(text).ok_or_else(|| UsageError(message()))
    };
    lines_of(&arguments.expect).map(parse).collect()
}

/// The files that are named, and those below directories that are.
fn files(arguments: &Reports) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Found { files: Vec::new(), entries: 0 };
    for named in lines_of(&arguments.reports).map(PathBuf::from) {
        match fs::metadata(&named) {
            Ok(kind) if kind.is_dir() => found.look_below(&named, MAX_DEPTH)?,
            Ok(_) => found.files.push(named),
            // No job has saved one, so nothing was downloaded: what is expected says what that means.
            Err(error) if error.kind() == ErrorKind::NotFound && !arguments.expect.is_empty() => {
                console::warn(&format!("{} is not there, so it has no report", named.display()));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", named.display())),
        }
    }
    anyhow::ensure!(found.files.len() <= MAX_FILES, "at most {MAX_FILES} reports are put together");
    Ok(found.files)
}

/// The files that were found, and how much was looked at for it.
struct Found {
    files: Vec<PathBuf>,
    entries: usize,
}

impl Found {
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
                "{}: there are over {MAX_ENTRIES} files in the directories that are named",
                directory.display()
            );
        }
        entries.sort_by_key(fs::DirEntry::file_name);
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
        let mut json = Vec::new();
        let opened = fs::File::open(path).with_context(failed)?;
        opened.take(room + 1).read_to_end(&mut json).with_context(failed)?;
        room = room
            .checked_sub(json.len() as u64)
            .ok_or_else(|| anyhow::anyhow!("{file}: the reports have over {MAX_BYTES} bytes together"))?;
        let report = Report::from_json(&json).with_context(|| file.clone())?;
        saved.push(Saved { file, report });
    }
    Ok(saved)
}

/// Puts the pull request in its place that is asked for, or that a run before was about. Where there is none,
/// there is nothing to comment on, and all else is said.
async fn find_pull_request(arguments: &Reports, context: &mut Context) {
    let run = context.workflow_run.clone();
    if arguments.pull_request.is_none() && run.is_none() {
        return;
    }
    // Whatever the event says, it is not this one.
    context.pull_request = None;
    match asked(arguments, context, run.as_ref()).await {
        Ok(pull) => context.pull_request = pull,
        Err(error) => console::warn(&format!("no pull request is known, so none is commented on: {error}")),
    }
    // The run that has measured it says how new it is.
    if let Some(run) = run.and_then(|run| run.run) {
        context.run = Some(run);
    }
}

async fn asked(
    arguments: &Reports,
    context: &Context,
    run: Option<&WorkflowRun>,
) -> Result<Option<PullRequest>, GithubError> {
    let Some((client, place)) = github::of_run(&arguments.github, context)? else {
        console::warn("no pull request is known, for there is no token; pass `github-token`");
        return Ok(None);
    };
    if let Some(number) = arguments.pull_request {
        let found = pulls::of_number(&client, place, number).await?;
        if found.is_none() {
            console::warn(&format!("there is no pull request #{number}, so none is commented on"));
        }
        return Ok(found);
    }
    let Some(run) = run.filter(|run| run.event.starts_with("pull_request")) else { return Ok(None) };
    let mut found = pulls::of_run(&client, place, run).await?;
    if found.len() > 1 {
        let numbers: Vec<String> = found.iter().map(|pull| format!("#{}", pull.number)).collect();
        console::warn(&format!(
            "{} have the same head, so none of them is commented on; name one with --pull-request",
            numbers.join(" and ")
        ));
        return Ok(None);
    }
    if found.is_empty() {
        console::note(
            "no open pull request has the commit of that run as its head any more, so none is commented on",
        );
    }
    Ok(found.pop())
}

fn judge_anew(
    report: &mut Report,
    config: &Config,
    flags: &Settings,
    of_pull_request: bool,
) -> anyhow::Result<()> {
    let mut any = false;
    for image in &mut report.images {
        let platform = image.platform.as_deref().and_then(|platform| platform.parse().ok());
        let (limits, settings) = config.limits_for(&image.name, platform.as_ref(), flags)?;
        any |= !limits.is_empty();
        rejudge(image, &limits, &settings, of_pull_request)?;
    }
    if !any {
        let message = "no limit is known here, and the reports are not believed in that; check out the target branch before this, so that its layergate.toml is there, pass limits, or pass --judge false";
        return Err(UsageError(message.into()).into());
    }
    // What the reports say of that is not believed either.
    (report.accept, report.accepted) = (None, None);
    report.layergate = env!("CARGO_PKG_VERSION").into();
    report.verdict = worst(&report.images);
    Ok(())
}
