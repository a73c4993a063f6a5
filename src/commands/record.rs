//! `layergate record`.

use std::path::Path;
use std::sync::Arc;

use super::analyze::Analyzer;
use super::{
    Exit, UsageError, configuration, console, event, github, local_git, measure_all, now, parse_images,
    reading_options, refuse_twins, set_variable, stores, today,
};
use crate::analysis::Analysis;
use crate::baseline::git::is_sha;
use crate::baseline::{Ancestry, BaselineFinder, Git, RecordOutcome, Store, StoreError};
use crate::cli::RecordArgs;
use crate::compare::update;
use crate::config::{BuildSettings, Config, ConfigError, Settings};
use crate::github::{Context, Repository};
use crate::image::snapshot::{Commit, ImageIdentity};
use crate::image::{DiffId, LimitInForce, RecordFacts, Snapshot};
use crate::limits;
use crate::stages::{Evaluation, evaluate_stages};

/// Runs the command: everything is measured before anything is stored.
///
/// # Errors
/// If an image cannot be measured, the commit is unknown or the store cannot be written.
pub async fn run(arguments: &RecordArgs) -> anyhow::Result<Exit> {
    let store = stores::open(&arguments.store, &arguments.github, arguments.reading.plain_http)?;
    let context = Context::read(set_variable);
    let commit = commit(arguments, context.as_ref())?;
    if commit.is_none() && store.directory().is_none() {
        return Err(StoreError::NoCommit(store.kind()).into());
    }
    let mut snapshots = match &arguments.from {
        Some(directory) => measured_before(directory, commit.as_ref())?,
        None => measured_now(arguments, commit.as_ref()).await?,
    };
    refuse_twins(&snapshots.iter().map(|snapshot| &snapshot.image).collect::<Vec<_>>())?;
    if let Some(commit) = &commit
        && let Err(error) = add_updates(&mut snapshots, &store, commit, arguments, context.as_ref()).await
    {
        console::warn(&format!("the update size is not recorded: {error}"));
    }
    let written = store.put(&snapshots, arguments.keep_last).await?;
    for (snapshot, stored) in snapshots.iter().zip(written.stored) {
        let commit = commit.as_ref().map_or("no commit", |commit| &commit.sha[..12]);
        let name = crate::report::escape::log(&snapshot.image.name);
        let platform = snapshot.platform_text();
        let size = snapshot.totals.uncompressed;
        let size = size.map_or_else(|| "unknown in size".to_owned(), |size| size.to_string());
        let done = match stored {
            RecordOutcome::Recorded => "recorded",
            RecordOutcome::Unchanged => "already recorded",
        };
        let store = crate::report::escape::log(&store.describe());
        console::result(&format!("{done} {name} ({platform}), {size}, for {commit} in {store}\n"))?;
    }
    if let Some(error) = written.not_pruned {
        console::warn(&format!("recorded, but not all old baselines were removed: {error}"));
    }
    if let Some(error) = written.not_attached {
        console::warn(&format!("recorded, but not linked to the image in the registry: {error}"));
    }
    Ok(Exit::Success)
}

/// Adds the update size from the previous baseline. It only shows how the image changed, so it is left out if that
/// baseline is not available.
async fn add_updates(
    snapshots: &mut [Snapshot],
    store: &Store,
    commit: &Commit,
    arguments: &RecordArgs,
    context: Option<&Context>,
) -> anyhow::Result<()> {
    // Without a token or a repository, only the checkout is known.
    let of_run = context.and_then(|context| github::of_run(&arguments.github, context).ok()?);
    let repository = of_run.map(|(client, (owner, name))| Repository::new(client, owner, name));
    let mut ancestry = Ancestry::before_commit(commit, &local_git(), repository).await;
    for snapshot in snapshots {
        let before = BaselineFinder::new(store, &mut ancestry).nearest_record(snapshot).await?;
        snapshot.update = before.and_then(|before| update(&before, snapshot));
    }
    Ok(())
}

/// Measures the images.
async fn measured_now(arguments: &RecordArgs, commit: Option<&Commit>) -> anyhow::Result<Vec<Snapshot>> {
    let images = parse_images(&arguments.images)?;
    images.iter().try_for_each(stores::refuse_shadow)?;
    let config = configuration::of_checkout(arguments.config.as_deref(), &arguments.github).await?;
    let flags = arguments.build.settings();
    let mut analyzer =
        Analyzer::new(config.catalogue(&today())).with_metadata(&arguments.build.stage.build_metadata)?;
    analyzer.check_flags(&BuildSettings::from_settings(&flags)?)?;
    let mut options = reading_options(&arguments.reading, None)?;
    // Baselines for later runs are read and hashed here, whatever earlier runs recorded.
    if let Some(options) = Arc::get_mut(&mut options) {
        options.verify = true;
        options.known = std::mem::take(&mut options.known).forgetting();
    }
    let mut snapshots = Vec::new();
    for (image, measured) in images.iter().zip(measure_all(&images, &options, &arguments.reading).await?) {
        for measured in measured {
            let ImageIdentity { name, platform, .. } = &measured.snapshot.image;
            let build = config.build_of(name, platform.as_ref(), &flags)?;
            let analysis = analyzer.analyze(measured, image, &build, images.len() == 1, &options).await;
            // Later checks use it to tell whether a pull request makes things worse.
            let evaluated = evaluate_stages(&analysis);
            let recorded = recorded(&analysis, evaluated.as_ref(), &config)?;
            let outcome = evaluated.map(|evaluated| evaluated.outcome);
            // The layers of a snapshot from a file were not seen.
            let is_seen = |diff_id: &DiffId| options.known.has_hashed(diff_id);
            let snapshot = analysis.into_record(commit.cloned(), outcome, is_seen);
            snapshots.push(Snapshot { recorded: Some(recorded), ..snapshot });
        }
    }
    analyzer.finish();
    Ok(snapshots)
}

/// What `fleet` shows of an image besides its sizes.
fn recorded(
    analysis: &Analysis,
    evaluated: Option<&Evaluation>,
    config: &Config,
) -> Result<RecordFacts, ConfigError> {
    let ImageIdentity { name, platform, .. } = &analysis.snapshot().image;
    let mut limits = Vec::new();
    for ruleset in config.rulesets_for(name, platform.as_ref(), &Settings::new(), &today())? {
        let of_limits = ruleset.settings.iter().filter(|(key, _)| limits::key(key).is_some());
        limits.extend(of_limits.map(|(key, setting)| LimitInForce {
            key: key.clone(),
            value: setting.text.clone(),
            source: ruleset.source.clone(),
        }));
    }
    let saving = evaluated.zip(analysis.removable()).map(|(evaluated, found)| evaluated.saving(found));
    let stages = evaluated.map(Evaluation::stage_use).unwrap_or_default();
    Ok(RecordFacts { time: now(), stages, saving, limits: Vec::new() }.with_limits(limits))
}

/// What an earlier `record` has put into a directory for the commit.
///
/// # Errors
/// If there is nothing for it, or a baseline cannot be read.
fn measured_before(directory: &Path, commit: Option<&Commit>) -> anyhow::Result<Vec<Snapshot>> {
    let snapshots =
        stores::directory(directory.into())?.of_commit(commit.map(|commit| commit.sha.as_str()))?;
    if snapshots.is_empty() {
        let sha = commit.map_or("no commit", |commit| &commit.sha);
        let shown = directory.display();
        anyhow::bail!(
            "--from {shown}: nothing was recorded there for {sha}; run `record --store dir:{shown}` first"
        );
    }
    Ok(snapshots)
}

/// The commit to record for: the named one, the checked-out one, the run's, or none.
///
/// # Errors
/// [`UsageError`] if the images may belong to another commit.
fn commit(arguments: &RecordArgs, context: Option<&Context>) -> anyhow::Result<Option<Commit>> {
    let git = local_git();
    refuse_pull_request(arguments, context)?;
    if let Some(context) = context.filter(|context| context.event_name == "pull_request_target") {
        event::refuse_target(context, "record")?;
    }
    let bare = |sha: &str| Commit { sha: sha.to_owned(), parents: Vec::new(), reference: None, time: None };
    if let Some(name) = &arguments.commit {
        let known = git.commit(name).or_else(|| is_sha(name).then(|| bare(name)));
        let message = || {
            format!(
                "--commit {name}: no such commit here; write its full hash, or run in a checkout that has it"
            )
        };
        return known.map(Some).ok_or_else(|| UsageError(message()).into());
    }
    let head = git.head();
    refuse_unclear(head.as_ref(), context)?;
    let Some(mut commit) = head else {
        let of_run = context.and_then(|context| context.sha.clone()).filter(|sha| is_sha(sha));
        return Ok(of_run.map(|sha| Commit { reference: reference(context), ..bare(&sha) }));
    };
    refuse_changes(arguments, &git, context)?;
    commit.reference = reference(context).or_else(|| git.branch());
    Ok(Some(commit))
}

fn reference(context: Option<&Context>) -> Option<String> {
    context.and_then(|context| context.reference.clone())
}

/// A pull request's images are not on a branch yet; as a baseline, they would be compared with other images.
fn refuse_pull_request(arguments: &RecordArgs, context: Option<&Context>) -> Result<(), UsageError> {
    let Some(context) = context else { return Ok(()) };
    // A run that follows another one is about the event of that one.
    let before = context.workflow_run.as_ref().map(|run| &run.event);
    let events = [Some(&context.event_name), before];
    match events.into_iter().flatten().find(|event| event.starts_with("pull_request")) {
        Some(event) if !arguments.allow_pull_request => Err(UsageError(format!(
            "record refuses to run for `{event}`: baselines are for merged code. Use check here and record on push, or pass --allow-pull-request"
        ))),
        _ => Ok(()),
    }
}

/// In a run, the checked-out commit is what was built, whatever the build has written since. Elsewhere, an image may
/// include uncommitted changes.
fn refuse_changes(arguments: &RecordArgs, git: &Git, context: Option<&Context>) -> Result<(), UsageError> {
    if arguments.allow_dirty || context.is_some() {
        return Ok(());
    }
    let changed = git.changed_files();
    let Some(first) = changed.first() else { return Ok(()) };
    let differ = match changed.len() - 1 {
        0 => "differs".to_owned(),
        more => format!("and {more} more differ"),
    };
    Err(UsageError(format!(
        "{first} {differ} from the checked-out commit, so the images may not match it; commit first, pass --commit, or pass --allow-dirty"
    )))
}

/// Some runs are about the tip of the default branch, and check it out, whatever commit the images belong to. A
/// deliberate checkout counts; in a run that follows another one, only if it is that one's commit.
fn refuse_unclear(head: Option<&Commit>, context: Option<&Context>) -> Result<(), UsageError> {
    let Some(context) = context.filter(|context| context.is_about_default_branch()) else { return Ok(()) };
    let of_other_run = context.workflow_run.as_ref().map(|run| run.head_sha.as_str());
    let is_clear = match head {
        Some(head) => match context.event_name.as_str() {
            "workflow_run" => Some(head.sha.as_str()) == of_other_run,
            // A comment may be on a pull request, whose head may be checked out.
            "issue_comment" => Some(head.sha.as_str()) == context.sha.as_deref(),
            _ => true,
        },
        None => false,
    };
    let event = &context.event_name;
    let message = || {
        format!(
            "for `{event}`, the images' commit is unknown unless it is checked out; pass it with --commit"
        )
    };
    is_clear.then_some(()).ok_or_else(|| UsageError(message()))
}
