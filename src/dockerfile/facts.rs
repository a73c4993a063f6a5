//! Facts about a Dockerfile that tell whether it is a real multi-stage build: what the stages that are
//! shipped do themselves, and what they take from others (Docker's manual, "Multi-stage builds").
//!
//! [`Dockerfile::facts`] reads a whole file, [`works_of`] one command of a history, where there is no
//! file. Nothing is run, so a fact is what a command is for by its name: an `if` is taken to be true,
//! and where a variable is not known, nothing is said of it. What names mean is data, in `tools.toml`.

mod call;
mod commands;
mod conditions;
mod images;
mod shell;
mod slim;
#[cfg(test)]
mod tests;
mod walk;
mod works;

use super::DockerfileError;
use super::ast::{CopyOrigin, Dockerfile, StageBase};
use super::expand::{Environment, UNKNOWN};
use super::parse::MAX_BYTES;
use super::variables::{BuildOptions, Globals, possible_bases, resolve_base};
use crate::image::Digest;
use crate::image::instruction::{KEYWORDS, command_of};
use walk::{StageFindings, StageWalk, reachable};

pub use commands::{ScriptStep, commands_of};
pub use images::known_image;
use slim::is_slimmer;
pub use slim::slimmer_of;

/// What a Dockerfile does, with regard to one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Every stage of the file, in order.
    pub stages: Vec<StageFacts>,
    /// The place of the stage that is built: the last one, or that of `--target`.
    pub target: usize,
    /// The stages whose layers the image has: the target and those that it is built `FROM`, lowest
    /// first, the target last.
    pub chain: Vec<usize>,
    /// What the lowest of them builds on; never a stage.
    pub base: StageBase,
    /// The stages that the lowest may build on, where `FROM base-$TARGETARCH` names one of several. What
    /// they do and copy counts as the chain's own.
    pub variants: Vec<usize>,
    /// What those build on.
    pub variant_bases: Vec<StageBase>,
    /// What the chain takes from stages outside it and from other images, in order.
    pub copies: Vec<Copied>,
    /// What the chain itself does, in order.
    pub works: Vec<Work>,
    /// Earlier stages that build on a slimmer image of the same family as the chain's base.
    pub slimmer: Vec<Slimmer>,
}

/// The Dockerfile of an image, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileFacts {
    /// How it is called.
    pub path: String,
    /// The sha256 of its text.
    pub digest: Digest,
    /// What it does.
    pub facts: Facts,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageFacts {
    /// Its place, counted from 0.
    pub index: usize,
    /// The name after `AS`.
    pub name: Option<String>,
    /// The line of its `FROM`.
    pub line: u32,
    /// What it builds on, as written.
    pub base: String,
    /// The same with its variables expanded.
    pub resolved: StageBase,
    /// Whether the image has its layers.
    pub in_chain: bool,
    /// Whether the target needs it at all: builds on it, copies from it or mounts it, itself or through
    /// other stages.
    pub used: bool,
    /// What it does, in order, with the `ONBUILD` triggers of the stage that it builds on.
    pub works: Vec<Work>,
    /// The directories that it works in, by `WORKDIR`, without a slash at either end.
    pub directories: Vec<String>,
}

/// Files that come from another stage or image: `COPY --from`, or `RUN --mount` with `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Where they come from.
    pub origin: CopyOrigin,
    /// The sources as far as they are named; U+2026 stands for what is not known.
    pub paths: Vec<String>,
    /// Only there while a command runs.
    pub mount: bool,
    /// The first line of the instruction, counted from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// The stage that takes them.
    pub stage: usize,
}

/// One piece of work, and where it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What for.
    pub kind: WorkKind,
    /// The command: `go build`, `apt-get install`.
    pub tool: String,
    /// The packages that it names, without versions.
    pub subjects: Vec<String>,
    /// Whether the same instruction takes all of it away again, so that its layer has nothing of it.
    pub undone: bool,
    /// Whether the command leaves out what only development needs.
    pub production: bool,
    /// Where build tools of a language go: the directory that the command names, without a slash at either end, or the
    /// name of the usual one. `None` of all else.
    pub into: Option<String>,
    /// The first line of the instruction, counted from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// The stage that does it.
    pub stage: usize,
}

/// One piece of work of a command alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundWork {
    /// What for.
    pub kind: WorkKind,
    /// The command: `go build`, `apt-get install`.
    pub tool: String,
    /// The packages that it names, without versions; U+2026 stands for a part that is not known.
    pub subjects: Vec<String>,
    /// Whether the same instruction takes all of it away again, so that its layer has nothing of it.
    pub undone: bool,
    /// Whether the command leaves out what only development needs: `npm ci --omit=dev`.
    pub production: bool,
    /// Where build tools of a language go: the directory that the command names, without a slash at either end, or the
    /// name of the usual one. `None` of all else.
    pub into: Option<String>,
}

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKind {
    /// Compiles, bundles or links.
    Build,
    /// Installs what only builds need: compilers, headers, managers of packages.
    InstallsBuildTools,
    /// Installs the application's dependencies.
    InstallsDependencies,
    /// Installs packages of the system that a running image may need.
    InstallsPackages,
    /// Takes away again what an earlier command of the same instruction brought.
    Removes,
    /// Runs a program or a script, or unpacks an archive, of which nothing is known here.
    RunsScript,
}

/// A stage with a slimmer base than the one that is shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slimmer {
    /// Its place.
    pub stage: usize,
    /// The slimmer image, by its reference.
    pub base: String,
    /// The line of its `FROM`.
    pub line: u32,
}

impl Dockerfile {
    /// What the file does when it is built so.
    ///
    /// # Errors
    /// [`DockerfileError::NoSuchTarget`].
    pub fn facts(&self, options: &BuildOptions) -> Result<Facts, DockerfileError> {
        let globals = Globals::of(self, options);
        let (base, chain) = self.chain(options, &globals)?;
        let target = chain.last().copied().unwrap_or_default();
        let walked = StageWalk::new(self, options, &globals).stages();
        let variants = self.variants(&chain, &base, &globals);
        let mut used = reachable(&walked, target);
        variants.iter().for_each(|index| used.extend(reachable(&walked, *index)));
        let in_chain = |index: &usize| chain.contains(index) || variants.contains(index);
        let of_chain = || variants.iter().chain(&chain).filter_map(|index| walked.get(*index));
        let outside = |copy: &&Copied| !matches!(&copy.origin, CopyOrigin::Stage(index) if in_chain(index));
        let copies = of_chain().flat_map(|stage| &stage.copies).filter(outside).cloned().collect();
        let works = of_chain().flat_map(|stage| stage.works.iter().cloned()).collect();
        let slimmer = slimmer_stages(self, &walked, &base, &chain);
        let below = |stage: &&StageFindings| !matches!(stage.resolved, StageBase::Stage(_));
        let variant_bases = variants.iter().filter_map(|index| walked.get(*index)).filter(below);
        let variant_bases = variant_bases.map(|stage| stage.resolved.clone()).collect();
        let stages = self.stages().iter().zip(walked).map(|(stage, walked)| StageFacts {
            index: stage.index,
            name: stage.name.clone(),
            line: stage.line,
            base: stage.base.clone(),
            resolved: walked.resolved,
            in_chain: in_chain(&stage.index),
            used: used.contains(&stage.index),
            works: walked.works,
            directories: walked.directories,
        });
        let stages = stages.collect();
        Ok(Facts {
            stages,
            target,
            base,
            variants,
            variant_bases,
            copies,
            works,
            slimmer,
            chain: chain.clone(),
        })
    }

    /// The stages that the lowest of the chain may build on, and those below them.
    fn variants(&self, chain: &[usize], base: &StageBase, globals: &Globals<'_>) -> Vec<usize> {
        let (StageBase::Unresolved(_), Some(lowest)) = (base, chain.first()) else { return Vec::new() };
        let mut next = possible_bases(self, *lowest, globals);
        let mut found = Vec::new();
        while let Some(index) = next.pop() {
            if found.contains(&index) {
                continue;
            }
            found.push(index);
            if let StageBase::Stage(below) = resolve_base(self, index, globals) {
                next.push(below);
            }
        }
        found.sort_unstable();
        found
    }
}

/// What the text of a `RUN` does, as a history has it: with or without `RUN`, the shell and the build
/// arguments before it. Of other instructions there is nothing to say. Values of variables are unknown,
/// save those that the text sets itself.
pub fn works_of(command: &str) -> Vec<FoundWork> {
    let command = cut(command).replace(UNKNOWN, "\u{fffd}");
    let command = command.trim_start();
    let word = command.split_whitespace().next().unwrap_or("");
    if word != "RUN" && KEYWORDS.contains(&word) {
        return Vec::new();
    }
    let command = command_of(command.strip_prefix("RUN").filter(|_| word == "RUN").unwrap_or(command));
    // `#(nop)` marks what the classic builder runs no command for.
    if command.starts_with("#(nop)") {
        return Vec::new();
    }
    let command = without_flags(command);
    let environment = Environment::of_unknown_image();
    match serde_json::from_str::<Vec<String>>(command) {
        Ok(words) => works::works_of_words(&words, &environment),
        Err(_) => works::works_of_script(command, &environment),
    }
}

/// No longer text is read than a Dockerfile can have.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Buildah writes `--mount=type=cache,target=/x make`.
fn without_flags(mut command: &str) -> &str {
    while ["--mount=", "--network=", "--security=", "--device="].iter().any(|flag| command.starts_with(flag))
    {
        command = command.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    }
    command
}

fn slimmer_stages(
    file: &Dockerfile,
    walked: &[StageFindings],
    base: &StageBase,
    chain: &[usize],
) -> Vec<Slimmer> {
    let StageBase::Image(base) = base else { return Vec::new() };
    let target = chain.last().copied().unwrap_or_default();
    let earlier = file.stages().iter().zip(walked).take(target);
    let outside = earlier.filter(|(stage, _)| !chain.contains(&stage.index));
    let slimmer = outside.filter_map(|(stage, walked)| match &walked.resolved {
        StageBase::Image(other) if is_slimmer(other, base) => {
            Some(Slimmer { stage: stage.index, base: other.clone(), line: stage.line })
        }
        _ => None,
    });
    slimmer.collect()
}
