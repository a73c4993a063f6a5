//! `layergate record`.

use std::sync::Arc;

use super::locate::Locator;
use super::{
    Exit, UsageError, console, load_config, local_git, measure, parse_images, reading_options, refuse_twins,
    set_variable,
};
use crate::baseline::DirStore;
use crate::baseline::git::is_sha;
use crate::cli::Record;
use crate::compare::{censuses, file_system};
use crate::github::Context;
use crate::image::Snapshot;
use crate::image::snapshot::Commit;

/// Runs the command: everything is measured before anything is stored.
///
/// # Errors
/// Where an image cannot be measured, the commit is not known or the store cannot be written.
pub async fn run(arguments: &Record) -> anyhow::Result<Exit> {
    let images = parse_images(&arguments.images)?;
    let store = DirStore::parse(&arguments.store.store)?;
    let commit = commit(arguments.commit.as_deref())?;
    let mut options = reading_options(&arguments.reading, None)?;
    // What is kept for later runs is hashed; what is known already was.
    if let Some(options) = Arc::get_mut(&mut options) {
        options.verify = true;
    }
    let config = load_config(arguments.config.as_deref())?;
    let flags = arguments.build.settings();
    let mut locator = Locator::new(config.catalogue());
    let mut snapshots = Vec::new();
    for image in &images {
        let mut measured = measure(image, &options, &arguments.reading).await?;
        for snapshot in &mut measured {
            let build = config.build_of(&snapshot.image.name, snapshot.image.platform.as_ref(), &flags)?;
            let censuses = censuses(snapshot);
            let files = censuses.as_deref().map(file_system);
            let judged =
                locator.explain(snapshot, image, &build, images.len() == 1, files.as_ref(), &options).await;
            // A later check tells by it whether a pull request makes things worse.
            snapshot.multi_stage = judged.map(|judged| judged.outcome);
        }
        snapshots
            .extend(measured.into_iter().map(|snapshot| Snapshot { commit: commit.clone(), ..snapshot }));
    }
    refuse_twins(&snapshots)?;
    for snapshot in &snapshots {
        store.put(snapshot)?;
        let commit = commit.as_ref().map_or("no commit", |commit| &commit.sha[..12]);
        let (name, platform, size) =
            (&snapshot.image.name, snapshot.platform_text(), snapshot.totals.unpacked);
        let name = crate::report::escape::log(name);
        console::result(&format!("recorded {name} ({platform}), {size}, for {commit}\n"))?;
    }
    Ok(Exit::Success)
}

/// The commit to record for: the one that is named, the one that is checked out, the run's, or none.
fn commit(named: Option<&str>) -> anyhow::Result<Option<Commit>> {
    let git = local_git();
    let context = Context::read(set_variable);
    let bare = |sha: &str| Commit { sha: sha.to_owned(), parents: Vec::new(), reference: None, time: None };
    if let Some(name) = named {
        let known = git.commit(name).or_else(|| is_sha(name).then(|| bare(name)));
        let message = || {
            format!(
                "--commit {name}: no such commit here; write its full hash, or run in a checkout that has it"
            )
        };
        return known.map(Some).ok_or_else(|| UsageError(message()).into());
    }
    let of_run =
        context.as_ref().and_then(|context| context.sha.as_deref()).filter(|sha| is_sha(sha)).map(bare);
    let mut commit = git.head().or(of_run);
    if let Some(commit) = &mut commit {
        commit.reference = context.and_then(|context| context.reference).or_else(|| git.branch());
    }
    Ok(commit)
}
