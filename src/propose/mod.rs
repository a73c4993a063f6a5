//! A multi-stage Dockerfile from one that builds where it ships, and from the image that it made.
//!
//! The build is cut in two at its last step that builds: what is before it becomes a stage of its own, as
//! it is written, and what is after it the final stage. That copies what the builder's steps have left in
//! the image and only the build did not need, by the image's own files, so it is known what it will take.
//! A proposal is for a person to review: what is not certain is said ([`Proposal::unsure`]). Pure.

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

/// The most bytes that a proposal has more than the Dockerfile: a shell takes 128 KiB as one command.
const MAX_TEXT: usize = 64 * 1024;

/// What a proposal is made from.
pub struct Inputs<'a> {
    /// The Dockerfile.
    pub dockerfile: &'a Dockerfile,
    /// Its text.
    pub source: &'a str,
    /// How the image was built from it.
    pub options: &'a BuildOptions,
    /// What it does.
    pub facts: &'a Facts,
    /// The image: with its files, the lines that made its layers, its base image and what only the build
    /// needed.
    pub snapshot: &'a Snapshot,
    /// The file system that its layers make, where their files are known.
    pub filesystem: Option<&'a Filesystem>,
    /// What is known of files that only builds need.
    pub catalogue: &'a Catalogue,
    /// The image for the final stage, if it shall be another one than that of the build.
    pub runtime_image: Option<RuntimeImage<'a>>,
}

/// The image that the final stage builds on.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeImage<'a> {
    /// Its name.
    pub name: &'a str,
    /// The image, where it could be measured.
    pub snapshot: Option<&'a Snapshot>,
}

/// A proposed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The Dockerfile.
    pub text: String,
    /// The uncompressed bytes of the image that it makes; `None` where the size of its base image is not known.
    pub predicted: Option<Bytes>,
    /// Those of the image as it is.
    pub now: Bytes,
    /// The image that the final stage builds on.
    pub runtime_image: String,
    /// What the reader has to evaluate, in sentences.
    pub unsure: Vec<String>,
    /// The script that a container starts, which may run build tools that are not copied.
    pub script: Option<String>,
    /// The lines of the Dockerfile that only the builder has now.
    pub moved: Vec<LineRange>,
    /// What the final stage copies from the builder, as it is written there.
    pub copied: Vec<String>,
}

/// Why there is no proposal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProposal {
    /// The layers were not looked into.
    #[error("the files of the image are unknown: measure it from its layers, not from `docker inspect`")]
    NoFiles,
    /// There is nothing to leave behind.
    #[error("nothing in the image is there only for the build, so it needs no builder stage")]
    NothingRemovable,
    /// It is a multi-stage build already.
    #[error(
        "the final stage builds nothing and already copies from other stages; `layergate stages` lists what is left"
    )]
    BuildsNothing,
    /// What is too much comes with the base image alone.
    #[error(
        "no instruction builds anything: all build tools come with the base image of line {line}; use {} there",
        usual.as_deref().unwrap_or("a smaller one")
    )]
    NoBuildStep {
        /// The line of `FROM`.
        line: u32,
        /// The image that is usual in its place.
        usual: Option<String>,
    },
    /// The Dockerfile is not that of the image, or not as it was.
    #[error(
        "cannot tell where the base image ends, because the image does not match the Dockerfile; build it from this Dockerfile, and pass the build's --target and --build-arg"
    )]
    BaseUnknown,
    /// A layer that no instruction can be told for.
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
    /// What Dockerfiles for Windows have.
    #[error("the Dockerfile sets another escape character: proposals are for Linux images only")]
    Escape,
    /// The result would be no smaller.
    #[error("two stages would not make the image much smaller: {then} instead of {now}{hint}")]
    NoGain {
        /// What it would be.
        then: Bytes,
        /// What it is.
        now: Bytes,
        /// What could help; empty, or after a semicolon.
        hint: String,
    },
    /// No shell would take it, and no person read it.
    #[error(
        "the proposal would have {bytes} bytes, because the files to copy are in too many places: install into one directory, and build the image again"
    )]
    TooLong {
        /// How long it would be.
        bytes: usize,
    },
    /// What would be written is not what was meant.
    #[error("could not write a Dockerfile that surely means what it should ({why}); please report this")]
    Unwritable {
        /// What is wrong.
        why: String,
    },
}

/// Proposes a multi-stage Dockerfile.
///
/// # Errors
/// [`NoProposal`], where there is none, or nothing to gain.
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

/// A last look at what was written, by the same reader that would evaluate it.
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
