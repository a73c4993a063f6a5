//! The commands: each composes the other rooms and decides the exit code.

mod accept;
mod ahead;
mod analyze;
mod baseline_source;
mod build_metadata;
pub mod check;
mod check_run;
mod comment;
pub mod completions;
mod configuration;
pub mod console;
pub mod diff;
mod dockerfiles;
mod event;
mod extends;
pub mod fleet;
mod github;
pub mod history;
pub mod init;
pub mod inspect;
pub mod man;
mod measure;
mod outputs;
mod propose;
mod publish;
mod pull_acceptance;
pub mod record;
pub mod report;
pub mod schema;
pub mod stages;
mod stores;
mod suggest;

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};

use crate::baseline::{Git, Store, StoreError};
use crate::cli::{Cli, Command};
use crate::config::ConfigError;
use crate::files;
use crate::image::snapshot::{ImageIdentity, Layer};
use crate::image::{Day, Snapshot, Time};
use crate::removable::Catalogue;
use crate::report::html::{self, Details, PageSubject};
use crate::report::links::RunLinks;
use crate::report::{Report, escape};
use crate::source::{NamedImage, Options, ReferenceError};
use measure::{measure, measure_all, reading_options};

/// Maximum bytes of a file that people write.
const MAX_TEXT: u64 = 1 << 20;

/// How many file lists are fetched at a time.
const FETCHES: usize = 8;

/// How a command ended. The codes are documented and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Pass, warn, accepted or not enforced.
    Success = 0,
    /// A limit is exceeded.
    LimitBroken = 1,
    /// Usage or configuration error.
    Usage = 2,
    /// Something could not be read or measured.
    Unreadable = 3,
    /// A baseline was required but none was found.
    NoBaseline = 4,
}

/// An error in the command line that clap does not detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Runs a command.
///
/// # Errors
/// Whatever prevented it from completing; [`exit_of`] gives the exit code.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let needs_catalogue = match &cli.command {
        Command::Inspect(arguments) => arguments.looks_for_removable(),
        Command::Diff(_) | Command::History(_) | Command::Fleet(_) | Command::Report(_) => false,
        Command::Init(arguments) => !arguments.image.is_empty(),
        Command::Schema(_) | Command::Completions(_) | Command::Man(_) => false,
        Command::Check(_) | Command::Record(_) | Command::Stages(_) => true,
    };
    // This takes a few milliseconds, and is needed once the image is read.
    if needs_catalogue {
        let _ = std::thread::Builder::new().spawn(|| drop(Catalogue::builtin()));
    }
    match cli.command {
        Command::Inspect(arguments) => inspect::run(&arguments).await,
        Command::Diff(arguments) => diff::run(&arguments).await,
        Command::Check(arguments) => check::run(&arguments).await,
        Command::Record(arguments) => record::run(&arguments).await,
        Command::Stages(arguments) => stages::run(&arguments).await,
        Command::History(arguments) => history::run(&arguments).await,
        Command::Fleet(arguments) => fleet::run(&arguments).await,
        Command::Report(arguments) => report::run(&arguments).await,
        Command::Init(arguments) => init::run(&arguments).await,
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

/// The values of arguments that may hold several, one per line, like an action's inputs.
fn lines_of(arguments: &[String]) -> impl Iterator<Item = &str> {
    arguments.iter().flat_map(|argument| argument.lines()).map(str::trim).filter(|line| !line.is_empty())
}

/// Parses image arguments.
fn parse_images(arguments: &[String]) -> anyhow::Result<Vec<NamedImage>> {
    let images = lines_of(arguments).map(NamedImage::parse).collect::<Result<Vec<_>, _>>()?;
    refuse_second_input(&images)?;
    if images.is_empty() {
        return Err(UsageError("no image given; see `layergate help check`".into()).into());
    }
    Ok(images)
}

/// Standard input can be read only once.
fn refuse_second_input<'a>(images: impl IntoIterator<Item = &'a NamedImage>) -> Result<(), UsageError> {
    let mut from_input = images.into_iter().filter(|image| image.image.is_standard_input());
    match (from_input.next(), from_input.next()) {
        (Some(_), Some(_)) => Err(UsageError(
            "standard input (`-`) holds one image; save the others to files and pass those".into(),
        )),
        _ => Ok(()),
    }
}

/// Looks up the file lists of a recorded image's layers, which allow listing differences by path. They only explain, so
/// a store that fails causes a warning and does not stop the evaluation.
async fn fetch_files(snapshot: &Snapshot, store: &Store, options: &Options) {
    if store.directory().is_some() || options.verify {
        return;
    }
    let unknown = snapshot.layers.iter().filter(|layer| options.known.files(&layer.diff_id).is_none());
    let unknown: Vec<&Layer> = unknown.collect();
    let fetch = |layer: Layer| async move {
        store.file_list(&layer.diff_id).await.map(|file_list| (layer, file_list))
    };
    let mut fetched = stream::iter(unknown.into_iter().cloned()).map(fetch).buffer_unordered(FETCHES);
    while let Some(fetched) = fetched.next().await {
        match fetched {
            // A list that contradicts the baseline is ignored.
            Ok((layer, Some(file_list))) if file_list.size() == layer.size => {
                options.known.learn_recorded(&layer.diff_id, Arc::new(file_list));
            }
            Ok(_) => {}
            Err(error) => {
                return console::warn(&format!("the difference is not explained file by file: {error}"));
            }
        }
    }
}

/// Two images of one name and platform would overwrite each other.
fn refuse_twins(images: &[&ImageIdentity]) -> anyhow::Result<()> {
    for (index, image) in images.iter().enumerate() {
        let twin = |other: &&&ImageIdentity| other.name == image.name && other.platform == image.platform;
        if let Some(twin) = images[..index].iter().find(twin) {
            let (name, one, other) = (&image.name, &twin.reference, &image.reference);
            let message = format!(
                "`{one}` and `{other}` are both called `{name}`; give them different names: api={one} web={other}"
            );
            return Err(UsageError(message).into());
        }
    }
    Ok(())
}

/// A JSON document for standard output.
fn printed_json(document: &impl serde::Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(document).map(|json| escape::json(&json) + "\n")
}

/// The text of a file that people write; the error says why it cannot be read.
fn bounded_text(path: &Path) -> Result<String, String> {
    written_text(path).map_err(|error| error.to_string())
}

/// The same with an I/O error. The file may come from anybody, so no more is read than a person would write.
fn written_text(path: &Path) -> std::io::Result<String> {
    let unfit = |why: &str| std::io::Error::new(ErrorKind::InvalidInput, why);
    let mut bytes = Vec::new();
    files::open_regular(path)?.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(unfit(&format!("it has more than {MAX_TEXT} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| unfit("it is not UTF-8"))
}

fn local_git() -> Git {
    Git::at(".")
}

fn write_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let _waiting = files::Waiting::on(path);
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes the HTML page of a report.
fn write_html(
    path: &Path,
    report: &Report,
    subject: PageSubject<'_>,
    details: &[Details],
    links: Option<&RunLinks>,
) -> anyhow::Result<()> {
    let mut page = Vec::new();
    html::write(report, subject, details, links, &mut page)?;
    write_file(path, &page)?;
    console::note(&format!("wrote {}", path.display()));
    Ok(())
}

/// The day, in UTC, that limits are evaluated for.
fn today() -> Day {
    now().day()
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).ok();
    seconds.and_then(Time::from_seconds).unwrap_or_default()
}

fn set_variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
