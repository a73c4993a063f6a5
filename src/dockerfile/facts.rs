//! Facts that tell whether a Dockerfile is a real multi-stage build: what the shipped stages do themselves, and what
//! they take from others (Docker's manual, "Multi-stage builds").
//!
//! [`Dockerfile::facts`] reads a whole file; [`works_of`] reads one command of a history if there is no file. Nothing
//! is run: a command's name tells what it is for, an `if` counts as true, and nothing is said about unknown variables.
//! What the names mean is data, in `tools.toml`.

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

/// What a Dockerfile does to build one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Every stage of the file, in order.
    pub stages: Vec<StageFacts>,
    /// The index of the stage that is built: the last one, or that of `--target`.
    pub target: usize,
    /// The stages whose layers the image has: the target and those that it is built `FROM`, lowest
    /// first, the target last.
    pub chain: Vec<usize>,
    /// The base of the lowest of them; never a stage.
    pub base: StageBase,
    /// The stages that the lowest one may build on, if `FROM base-$TARGETARCH` names one of several. What they do and
    /// copy counts as the chain's own.
    pub variants: Vec<usize>,
    /// The bases of those stages.
    pub variant_bases: Vec<StageBase>,
    /// What the chain takes from other stages and images, in order.
    pub copies: Vec<Copied>,
    /// What the chain itself does, in order.
    pub works: Vec<Work>,
    /// Earlier stages that build on a slimmer image of the same family as the chain's base.
    pub slimmer: Vec<Slimmer>,
}

/// The Dockerfile of an image, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileFacts {
    /// Its path.
    pub path: String,
    /// The sha256 of its text.
    pub digest: Digest,
    /// What it does.
    pub facts: Facts,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageFacts {
    /// Its index, counted from 0.
    pub index: usize,
    /// The name after `AS`.
    pub name: Option<String>,
    /// The line of its `FROM`.
    pub line: u32,
    /// Its base, as written.
    pub base: String,
    /// Its base, with variables expanded.
    pub resolved: StageBase,
    /// Whether the image has its layers.
    pub in_chain: bool,
    /// Whether the target needs it at all: builds on it, copies from it or mounts it, directly or through other stages.
    pub used: bool,
    /// What it does, in order, including the `ONBUILD` triggers of its base stage.
    pub works: Vec<Work>,
    /// The directories of its `WORKDIR`s, without a slash at either end.
    pub directories: Vec<String>,
}

/// Files that come from another stage or image: `COPY --from`, or `RUN --mount` with `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Where the files come from.
    pub origin: CopyOrigin,
    /// The sources as far as they are known; U+2026 stands for unknown parts.
    pub paths: Vec<String>,
    /// Whether they exist only while a command runs.
    pub mount: bool,
    /// The first line of the instruction, counted from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// The stage that copies or mounts them.
    pub stage: usize,
}

/// One piece of work, and where it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What it is for.
    pub kind: WorkKind,
    /// The command: `go build`, `apt-get install`.
    pub tool: String,
    /// The packages that it names, without versions.
    pub subjects: Vec<String>,
    /// Whether the same instruction removes all of it again, so that nothing is left in its layer.
    pub undone: bool,
    /// Whether the command leaves out packages that only development needs.
    pub production: bool,
    /// Where build tools of a language are installed: the directory that the command names, without a slash at either
    /// end, or the name of the usual one. `None` for other work.
    pub into: Option<String>,
    /// The first line of the instruction, counted from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// The stage that does it.
    pub stage: usize,
}

/// One piece of work of a single command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundWork {
    /// What it is for.
    pub kind: WorkKind,
    /// The command: `go build`, `apt-get install`.
    pub tool: String,
    /// The packages that it names, without versions; U+2026 stands for unknown parts.
    pub subjects: Vec<String>,
    /// Whether the same instruction removes all of it again, so that nothing is left in its layer.
    pub undone: bool,
    /// Whether the command leaves out packages that only development needs: `npm ci --omit=dev`.
    pub production: bool,
    /// Where build tools of a language are installed: the directory that the command names, without a slash at either
    /// end, or the name of the usual one. `None` for other work.
    pub into: Option<String>,
}

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKind {
    /// Compiles, bundles or links.
    Build,
    /// Installs build tools: compilers, headers, package managers.
    InstallsBuildTools,
    /// Installs the application's dependencies.
    InstallsDependencies,
    /// Installs system packages that a running image may need.
    InstallsPackages,
    /// Removes what an earlier command of the same instruction added.
    Removes,
    /// Runs a program or script, or extracts an archive, whose content is unknown here.
    RunsScript,
}

/// A stage with a slimmer base than the shipped one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slimmer {
    /// Its index.
    pub stage: usize,
    /// The slimmer image, by its reference.
    pub base: String,
    /// The line of its `FROM`.
    pub line: u32,
}

impl Dockerfile {
    /// What the file does when it is built with these options.
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

    /// The stages that the lowest stage of the chain may build on, and those below them.
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

/// What a `RUN` in a history does: with or without `RUN`, the shell and the build arguments before it. Other
/// instructions yield nothing. Variables are unknown, except those that the text sets itself.
pub fn works_of(command: &str) -> Vec<FoundWork> {
    let command = cut(command).replace(UNKNOWN, "\u{fffd}");
    let command = command.trim_start();
    let word = command.split_whitespace().next().unwrap_or("");
    if word != "RUN" && KEYWORDS.contains(&word) {
        return Vec::new();
    }
    let command = command_of(command.strip_prefix("RUN").filter(|_| word == "RUN").unwrap_or(command));
    // `#(nop)` marks instructions for which the classic builder runs no command.
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

/// Cuts a text to the maximum size of a Dockerfile.
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
