//! Makes a multi-stage Dockerfile from one that builds where it ships, and from the image that it made.
//!
//! The build is split after its last instruction that builds: everything before becomes a builder stage, as written,
//! and the rest the final stage. That copies what the builder left in the image, except what only the build needs; the
//! image's own files tell what that is, so the size is predictable. A proposal is for a person to review: it states
//! what is uncertain ([`Proposal::unsure`]). Pure.

mod base;
mod cleanup;
mod context;
mod copies;
mod entry;
mod fate;
mod mounts;
mod other_base;
mod packages;
mod quote;
mod roots;
mod shell;
mod steps;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use crate::dockerfile::{BuildOptions, Dockerfile, Facts, LineRange, WorkKind};
use crate::image::filesystem::Filesystem;
use crate::image::{Bytes, Snapshot};
use crate::removable::Catalogue;

pub use base::usual_final_base;

/// Maximum bytes that a proposal adds to the Dockerfile: a shell accepts 128 KiB as one command.
const MAX_TEXT: usize = 64 * 1024;

/// What a proposal is made from.
pub struct Inputs<'a> {
    /// The Dockerfile.
    pub dockerfile: &'a Dockerfile,
    /// Its text.
    pub source: &'a str,
    /// The options that the image was built with.
    pub options: &'a BuildOptions,
    /// What it does.
    pub facts: &'a Facts,
    /// The image: with its files, the lines that made its layers, its base image and its removable files.
    pub snapshot: &'a Snapshot,
    /// The file system of its layers, if their files are known.
    pub filesystem: Option<&'a Filesystem>,
    /// The kinds of removable files.
    pub catalogue: &'a Catalogue,
    /// The image for the final stage, if it should differ from the build's.
    pub runtime_image: Option<RuntimeImage<'a>>,
}

/// The image that the final stage builds on.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeImage<'a> {
    /// Its name.
    pub name: &'a str,
    /// The image, if it could be measured.
    pub snapshot: Option<&'a Snapshot>,
}

/// A proposed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The Dockerfile.
    pub text: String,
    /// The predicted uncompressed size of the new image; `None` if the size of its base image is unknown.
    pub predicted: Option<Bytes>,
    /// The uncompressed size of the current image.
    pub now: Bytes,
    /// The image that the final stage builds on.
    pub runtime_image: String,
    /// What the reader has to check, in sentences.
    pub unsure: Vec<String>,
    /// The script that a container starts, which may run build tools that are not copied.
    pub script: Option<String>,
    /// The Dockerfile lines that are now only in the builder.
    pub moved: Vec<LineRange>,
    /// The paths that the final stage copies from the builder, as written there.
    pub copied: Vec<String>,
}

/// Why there is no proposal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProposal {
    /// The files of the layers are unknown.
    #[error("the files of the image are unknown: measure it from its layers, not from `docker inspect`")]
    NoFiles,
    /// There is nothing to remove.
    #[error("nothing in the image is there only for the build, so it needs no builder stage")]
    NothingRemovable,
    /// It is already a multi-stage build.
    #[error(
        "the final stage builds nothing and already copies from other stages; `layergate stages` lists what is left"
    )]
    BuildsNothing,
    /// All build tools come with the base image.
    #[error(
        "no instruction builds anything: all build tools come with the base image of line {line}; use {} there",
        usual.as_deref().unwrap_or("a smaller one")
    )]
    NoBuildStep {
        /// The line of `FROM`.
        line: u32,
        /// The usual image in its place.
        usual: Option<String>,
    },
    /// The Dockerfile does not belong to the image, or was changed.
    #[error(
        "cannot tell where the base image ends, because the image does not match the Dockerfile; build it from this Dockerfile, and pass the build's --target and --build-arg"
    )]
    BaseUnknown,
    /// It is unknown which instruction made a layer.
    #[error(
        "cannot tell which line made layer {layer}: build the image from this Dockerfile, and pass the build's --target and --build-arg"
    )]
    LinesUnknown {
        /// Counted from 1.
        layer: u64,
    },
    /// A container builds the program when it starts.
    #[error(
        "line {line} starts the program with `{tool}`, which builds it first: build it in a RUN, and start the result"
    )]
    StartsByBuilding {
        /// The line of the command.
        line: u32,
        /// The command.
        tool: String,
    },
    /// The Dockerfile has another escape character, as for Windows.
    #[error("the Dockerfile sets another escape character: proposals are for Linux images only")]
    Escape,
    /// The result would not be smaller.
    #[error("two stages would not make the image much smaller: {then} instead of {now}{hint}")]
    NoGain {
        /// The predicted size.
        then: Bytes,
        /// The current size.
        now: Bytes,
        /// What could help: empty, or starting with a semicolon.
        hint: String,
    },
    /// The result would be too long for a shell, and for a reader.
    #[error(
        "the proposal would have {bytes} bytes, because the files to copy are in too many places: install into one directory, and build the image again"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The written text does not mean what was intended.
    #[error("could not write a Dockerfile that surely means what it should ({why}); please report this")]
    Unwritable {
        /// What is wrong.
        why: String,
    },
}

/// Proposes a multi-stage Dockerfile.
///
/// # Errors
/// [`NoProposal`] if a proposal is impossible or would gain nothing.
pub fn propose(inputs: &Inputs<'_>) -> Result<Proposal, NoProposal> {
    let filesystem = inputs.filesystem.ok_or(NoProposal::NoFiles)?;
    if !inputs.snapshot.removable.as_deref().unwrap_or_default().iter().any(|found| found.counts()) {
        return Err(NoProposal::NothingRemovable);
    }
    if inputs.source.lines().take(20).any(is_escape_directive) {
        return Err(NoProposal::Escape);
    }
    let context = context::BuildContext::new(inputs, filesystem)?;
    let entry = entry::StartCommands::of(&context)?;
    let proposal = write::write(&context, &entry)?;
    check(&proposal, inputs)?;
    Ok(proposal)
}

fn is_escape_directive(line: &str) -> bool {
    let directive = line.trim().strip_prefix('#').and_then(|rest| rest.split_once('='));
    directive.is_some_and(|(name, value)| name.trim().eq_ignore_ascii_case("escape") && value.trim() == "`")
}

/// Checks the written text with the reader that would evaluate it.
fn check(proposal: &Proposal, inputs: &Inputs<'_>) -> Result<(), NoProposal> {
    if proposal.text.len() > MAX_TEXT + inputs.source.len() {
        return Err(NoProposal::TooLong { bytes: proposal.text.len() });
    }
    let unwritable = |why: String| NoProposal::Unwritable { why };
    let file = Dockerfile::parse(&proposal.text).map_err(|error| unwritable(error.to_string()))?;
    let target = inputs.dockerfile.stages().get(inputs.facts.target).and_then(|stage| stage.name.clone());
    let options = BuildOptions { target, ..inputs.options.clone() };
    let facts = file.facts(&options).map_err(|error| unwritable(error.to_string()))?;
    let builds = |kind: WorkKind| {
        !matches!(kind, WorkKind::InstallsPackages | WorkKind::Removes | WorkKind::RunsScript)
    };
    match facts.works.iter().find(|work| builds(work.kind)) {
        Some(work) => Err(unwritable(format!("its final stage runs {}", quote::comment(&work.tool)))),
        None => Ok(()),
    }
}
