//! The commands: each composes the other rooms and decides the exit code.

mod accept;
mod bases;
pub mod check;
mod check_run;
mod comment;
pub mod completions;
pub mod console;
pub mod diff;
mod dockerfiles;
mod event;
mod github;
pub mod history;
pub mod init;
pub mod inspect;
mod locate;
pub mod man;
mod propose;
mod publish;
pub mod record;
pub mod report;
pub mod schema;
pub mod stages;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};

use crate::baseline::{DirStore, Git, Store, StoreError, StoreName};
use crate::cli::{Cli, Command, GithubFlags, Reading};
use crate::evidence::Catalogue;
use crate::github::{Context, contents};
use crate::image::{DiffId, Snapshot};
use crate::layer::Bounds;
use crate::policy::{Config, ConfigError};
use crate::report::escape;
use crate::source::{self, Cache, Known, NamedImage, Options, Progress, ReferenceError};

/// Where a configuration is looked for.
const CONFIG_FILES: [&str; 2] = ["layergate.toml", ".github/layergate.toml"];

/// The most bytes of a file that people write.
const MAX_TEXT: u64 = 1 << 20;

/// How many lists of files are fetched at a time.
const FETCHES: usize = 8;

/// How a command ended. The numbers are documented and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Pass, warn or accepted.
    Success = 0,
    /// A limit is broken.
    LimitBroken = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Something could not be read or measured.
    Unreadable = 3,
    /// A baseline was required and none was found.
    NoBaseline = 4,
}

/// A command line that cannot mean anything, beyond what clap sees.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Runs a command.
///
/// # Errors
/// What kept it from its end; [`exit_of`] tells the exit code.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let needs_catalogue = match &cli.command {
        Command::Inspect(arguments) => arguments.looks_for_build_only(),
        Command::Diff(_) | Command::History(_) | Command::Report(_) | Command::Init(_) => false,
        Command::Schema(_) | Command::Completions(_) | Command::Man(_) => false,
        Command::Check(_) | Command::Record(_) | Command::Stages(_) => true,
    };
    // It takes some milliseconds to make, and is needed once the image is read.
    if needs_catalogue {
        std::thread::spawn(|| drop(Catalogue::builtin()));
    }
    match cli.command {
        Command::Inspect(arguments) => inspect::run(&arguments).await,
        Command::Diff(arguments) => diff::run(&arguments).await,
        Command::Check(arguments) => check::run(&arguments).await,
        Command::Record(arguments) => record::run(&arguments).await,
        Command::Stages(arguments) => stages::run(&arguments).await,
        Command::History(arguments) => history::run(&arguments).await,
        Command::Report(arguments) => report::run(&arguments).await,
        Command::Init(arguments) => init::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    }
}

/// The exit code of an error.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    let usage = error.is::<UsageError>()
        || error.is::<ConfigError>()
        || error.is::<ReferenceError>()
        || matches!(
            error.downcast_ref(),
            Some(
                StoreError::UnknownKind(_)
                    | StoreError::BranchName(_)
                    | StoreError::RepositoryName(_)
                    | StoreError::OtherBranch { .. }
                    | StoreError::NoCommit(_)
            )
        );
    if usage { Exit::Usage } else { Exit::Unreadable }
}

/// What arguments hold that may have several things, one a line, as inputs of an action do.
fn lines_of(arguments: &[String]) -> impl Iterator<Item = &str> {
    arguments.iter().flat_map(|argument| argument.lines()).map(str::trim).filter(|line| !line.is_empty())
}

/// Reads image arguments.
fn parse_images(arguments: &[String]) -> anyhow::Result<Vec<NamedImage>> {
    let images = lines_of(arguments).map(NamedImage::parse).collect::<Result<Vec<_>, _>>()?;
    if images.is_empty() {
        return Err(UsageError("no image is named; see `layergate help check`".into()).into());
    }
    Ok(images)
}

/// How images are read, by the flags; `store` holds what earlier records know of layers.
fn reading_options(reading: &Reading, store: Option<&DirStore>) -> anyhow::Result<Arc<Options>> {
    let mut bounds = Bounds::default();
    let separators = |c: char| c == ',' || c.is_whitespace();
    let limits = reading.read_limit.iter().flat_map(|text| text.split(separators));
    for limit in limits.filter(|limit| !limit.is_empty()) {
        bounds.set(limit).map_err(|error| UsageError(format!("--read-limit {error}")))?;
    }
    let directory = if reading.no_cache { None } else { reading.cache_dir.clone().or_else(cache_directory) };
    let cache = directory.map(|directory| Cache::at(&directory, bounds.entries));
    cache.iter().for_each(Cache::prune);
    let recorded = store.cloned().map(|store| Box::new(move |id: &DiffId| store.census(id)) as _);
    let known = Known::new(cache, recorded);
    Ok(Arc::new(Options {
        platform: reading.platform.clone().unwrap_or_default(),
        verify: reading.verify,
        contents: false,
        known: if reading.verify { known.forgetting() } else { known },
        bounds,
        engine: reading.engine.clone(),
        plain_http: reading.plain_http,
        progress: Progress::default(),
    }))
}

/// The user's cache directory (XDG Base Directory Specification; elsewhere what is usual there).
fn cache_directory() -> Option<PathBuf> {
    let absolute = |name: &str| set_variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME");
    let usual = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        home().map(|home| home.join(".cache"))
    };
    absolute("XDG_CACHE_HOME").or(usual).map(|directory| directory.join("layergate"))
}

/// Measures one image, or one image for each platform, and shows how far it is.
async fn measure(
    image: &NamedImage,
    options: &Arc<Options>,
    reading: &Reading,
) -> anyhow::Result<Vec<Snapshot>> {
    let shown = console::Shown::start(&image.text, options.progress.clone(), reading.quiet);
    let measured = source::measure(image, options).await;
    shown.finish(measured.is_ok());
    Ok(measured?)
}

/// Looks up the files of a recorded image's layers: with them, what differs can be said by its path. They
/// only explain, so a store that cannot be asked is said and keeps nothing from being judged.
async fn fetch_files(snapshot: &Snapshot, store: &Store, options: &Options) {
    if store.directory().is_some() || options.verify {
        return;
    }
    let unknown =
        snapshot.layers.iter().map(|layer| &layer.diff_id).filter(|id| options.known.files(id).is_none());
    let unknown: Vec<&DiffId> = unknown.collect();
    let fetch = |id: DiffId| async move { store.census(&id).await.map(|census| (id, census)) };
    let mut fetched = stream::iter(unknown.into_iter().cloned()).map(fetch).buffer_unordered(FETCHES);
    while let Some(fetched) = fetched.next().await {
        match fetched {
            Ok((id, Some(census))) => options.known.learn(&id, Arc::new(census)),
            Ok((_, None)) => {}
            Err(error) => return console::warn(&format!("what differs is not told by its files: {error}")),
        }
    }
}

/// Puts the files of a recorded image's layers in their place, as far as they are known.
fn with_files(snapshot: &mut Snapshot, options: &Options) {
    for layer in &mut snapshot.layers {
        if layer.census.is_none() {
            let census = options.known.files(&layer.diff_id);
            layer.census = census.filter(|census| census.size() == layer.size);
        }
    }
}

/// Two images of one name and platform would overwrite each other.
fn refuse_twins(snapshots: &[Snapshot]) -> anyhow::Result<()> {
    for (index, snapshot) in snapshots.iter().enumerate() {
        let twin = |other: &&Snapshot| {
            other.image.name == snapshot.image.name && other.image.platform == snapshot.image.platform
        };
        if let Some(twin) = snapshots[..index].iter().find(twin) {
            let (name, one, other) = (&snapshot.image.name, &twin.image.reference, &snapshot.image.reference);
            let message = format!(
                "`{one}` and `{other}` are both called `{name}`; name them apart: api={one} web={other}"
            );
            return Err(UsageError(message).into());
        }
    }
    Ok(())
}

/// A document for standard output.
fn printed_json(document: &impl serde::Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(document).map(|json| escape::json(&json) + "\n")
}

/// The configuration: the file that is named, or the one that is where it is looked for.
fn load_config(named: Option<&Path>) -> anyhow::Result<Config> {
    let existing =
        || CONFIG_FILES.into_iter().map(PathBuf::from).find(|path| path.symlink_metadata().is_ok());
    let Some(path) = named.map(Path::to_path_buf).or_else(existing) else { return Ok(Config::default()) };
    let text = bounded_text(&path)
        .map_err(|error| UsageError(format!("cannot read the configuration {}: {error}", path.display())))?;
    Ok(Config::parse(&path.display().to_string(), &text)?)
}

/// The text of a file that people write; the error says why there is none. The file may be anybody's: no more is
/// read of it than anybody would write.
fn bounded_text(path: &Path) -> Result<String, String> {
    // Opening what is no file might wait for ever.
    if !path.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is no file".into());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(format!("it has more than {MAX_TEXT} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}

/// The configuration of the branch that a pull request goes to, whatever is checked out here; `None` where that has
/// none, or there is nothing to ask it with.
async fn config_of_target(flags: &GithubFlags, context: Option<&Context>) -> anyhow::Result<Option<Config>> {
    let Some((context, pull)) = context.and_then(|context| Some((context, context.pull_request.as_ref()?)))
    else {
        return Ok(None);
    };
    let (Some(branch), Some((client, place))) = (&pull.base_branch, github::of_run(flags, context)?) else {
        return Ok(None);
    };
    for file in CONFIG_FILES {
        // That it cannot be read does not mean that there is none.
        if let Some(text) = contents::text_of(&client, place, file, &format!("refs/heads/{branch}")).await? {
            return Ok(Some(Config::parse(&format!("{file} of {branch}"), &text)?));
        }
    }
    Ok(None)
}

/// The store that is named, before anything is asked of it.
fn open_store(named: &str, flags: &GithubFlags, plain_http: bool) -> anyhow::Result<Store> {
    StoreName::parse(named)?.open(plain_http, || github::of_store(flags))
}

fn local_git() -> Git {
    Git::at(".")
}

fn write_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn set_variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
