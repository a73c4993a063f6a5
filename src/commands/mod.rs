//! The commands: each composes the other rooms and decides the exit code.

pub mod check;
mod comment;
pub mod console;
pub mod diff;
pub mod inspect;
pub mod record;

use std::path::Path;

use anyhow::Context as _;

use crate::baseline::{Git, StoreError};
use crate::cli::{Cli, Command, Reading};
use crate::image::Snapshot;
use crate::policy::ConfigError;
use crate::report::escape;
use crate::source::{self, Choice, NamedImage, ReferenceError};

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
    match cli.command {
        Command::Inspect(arguments) => inspect::run(&arguments).await,
        Command::Diff(arguments) => diff::run(&arguments).await,
        Command::Check(arguments) => check::run(&arguments).await,
        Command::Record(arguments) => record::run(&arguments).await,
    }
}

/// The exit code of an error.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    let usage = error.is::<UsageError>()
        || error.is::<ConfigError>()
        || error.is::<ReferenceError>()
        || matches!(error.downcast_ref(), Some(StoreError::UnknownKind(_)));
    if usage { Exit::Usage } else { Exit::Unreadable }
}

/// Reads image arguments; one argument may hold several, one a line, as inputs of an action do.
fn parse_images(arguments: &[String]) -> anyhow::Result<Vec<NamedImage>> {
    let lines = arguments.iter().flat_map(|argument| argument.lines()).map(str::trim);
    let images =
        lines.filter(|line| !line.is_empty()).map(NamedImage::parse).collect::<Result<Vec<_>, _>>()?;
    if images.is_empty() {
        return Err(UsageError("no image is named; see `layergate help check`".into()).into());
    }
    Ok(images)
}

async fn measure(image: &NamedImage, reading: &Reading) -> anyhow::Result<Snapshot> {
    let choice =
        Choice { platform: reading.platform.clone(), verify: reading.verify, default_platform: None };
    Ok(source::measure(image, &choice).await?)
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
