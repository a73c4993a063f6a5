//! What a build of a Dockerfile does: the stages from the external base image up to the target, and what builders write
//! into the history for each instruction.

use std::collections::BTreeSet;

use super::DockerfileError;
use super::ast::{Dockerfile, SourceInstruction, StageBase};
use super::expand::UNKNOWN;
use super::form::{HistoryForm, PlacedInstruction, clean};
use super::variables::{BuildOptions, Globals, Variables, arguments_of, resolve_base};
use crate::image::Instruction;

/// The instructions that a build adds to its base image.
#[derive(Debug, Clone)]
pub struct BuildPlan {
    /// The base of the lowest stage; never a stage.
    pub base: StageBase,
    /// The stages of the build, lowest first: the last one is the target.
    pub stages: Vec<usize>,
    /// Their instructions, lowest first.
    pub steps: Vec<PlannedInstruction>,
}

/// Whether an instruction has to do with `ONBUILD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onbuild {
    /// An instruction like any other.
    No,
    /// The `ONBUILD` instruction itself. BuildKit does not write it into the history; the others do.
    Declared,
    /// What an earlier stage's `ONBUILD` makes the next one do. Buildah does not do that.
    Triggered,
}

/// One instruction of a build.
#[derive(Debug, Clone)]
pub struct PlannedInstruction {
    /// `RUN`, `COPY`.
    pub kind: &'static str,
    /// BuildKit's text for it in the history, normalised as [`Instruction`] does and without the values of variables;
    /// U+10FFFF stands for unknown text.
    pub text: String,
    /// The first line of its instruction, counted from 1.
    pub line: u32,
    /// The last line of its instruction.
    pub end_line: u32,
    /// The stage that it belongs to.
    pub stage: usize,
    /// Whether it has to do with `ONBUILD`.
    pub onbuild: Onbuild,
    /// The forms in which builders write it.
    pub(super) forms: Vec<HistoryForm>,
    /// The instruction as written, with normalised white space.
    pub(super) source: String,
}

impl Dockerfile {
    /// What a build does, from the external base image up to the target stage.
    ///
    /// # Errors
    /// [`DockerfileError::NoSuchTarget`].
    pub fn plan(&self, options: &BuildOptions) -> Result<BuildPlan, DockerfileError> {
        let globals = Globals::of(self, options);
        let (base, chain) = self.chain(options, &globals)?;
        let mut build = BuildState::new(self, options, &globals, &base);
        for stage in &chain {
            build.stage(*stage);
        }
        let steps = build.steps;
        Ok(BuildPlan { base, stages: chain, steps })
    }

    /// The external base image, and the stages from it up to the target.
    pub(super) fn chain(
        &self,
        options: &BuildOptions,
        globals: &Globals<'_>,
    ) -> Result<(StageBase, Vec<usize>), DockerfileError> {
        let mut chain = vec![self.target(options.target.as_deref())?];
        let base = loop {
            let lowest = chain.last().copied().unwrap_or_default();
            match resolve_base(self, lowest, globals) {
                // A base is always an earlier stage, so this loop ends.
                StageBase::Stage(below) => chain.push(below),
                base => break base,
            }
        };
        chain.reverse();
        Ok((base, chain))
    }

    fn target(&self, target: Option<&str>) -> Result<usize, DockerfileError> {
        let count = self.stages().len();
        let Some(target) = target else { return Ok(count.saturating_sub(1)) };
        let number = target.parse().ok().filter(|number| *number < count);
        self.named(target, count).or(number).ok_or_else(|| {
            let names: Vec<&str> = self.stages().iter().filter_map(|stage| stage.name.as_deref()).collect();
            let known = if names.is_empty() { "none with a name".to_owned() } else { names.join(", ") };
            DockerfileError::NoSuchTarget { target: target.to_owned(), known }
        })
    }
}

/// The state of a build between two instructions.
struct BuildState<'a> {
    file: &'a Dockerfile,
    variables: Variables<'a>,
    /// Absolute, without a trailing slash: the root is the empty text.
    directory: String,
    /// What runs the shell form; `None` means the base image's shell, or the default.
    shell: Option<Vec<String>>,
    has_base: bool,
    /// Whether builders write arguments in force before a command.
    has_arguments: bool,
    /// The arguments of the stage that have a value.
    arguments_in_force: BTreeSet<String>,
    /// The `ONBUILD` instructions of the stage below.
    triggers: Vec<SourceInstruction>,
    steps: Vec<PlannedInstruction>,
}

impl<'a> BuildState<'a> {
    fn new(
        file: &'a Dockerfile,
        options: &'a BuildOptions,
        globals: &'a Globals<'a>,
        base: &StageBase,
    ) -> BuildState<'a> {
        let has_base = *base != StageBase::Scratch;
        BuildState {
            file,
            variables: Variables::new(file, options, globals, base),
            directory: if has_base { UNKNOWN.to_string() } else { String::new() },
            shell: None,
            has_base,
            has_arguments: !options.args.is_empty(),
            arguments_in_force: BTreeSet::new(),
            triggers: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn stage(&mut self, index: usize) {
        self.variables.environment.enter_stage();
        self.arguments_in_force.clear();
        for trigger in std::mem::take(&mut self.triggers) {
            self.step(&trigger, index, Onbuild::Triggered);
        }
        let Some(stage) = self.file.stages().get(index) else { return };
        for instruction in &stage.instructions {
            if instruction.keyword == "ONBUILD" {
                self.triggers.extend(instruction.trigger(self.file.escape));
                self.step(instruction, index, Onbuild::Declared);
            } else {
                self.step(instruction, index, Onbuild::No);
            }
        }
    }

    fn step(&mut self, instruction: &SourceInstruction, stage: usize, onbuild: Onbuild) {
        let directory = match instruction.keyword {
            "WORKDIR" => Some(self.working_directory(&instruction.arguments)),
            _ => None,
        };
        // A history shows the shell after `SHELL`, and Buildah's the argument after `ARG`.
        match instruction.keyword {
            "SHELL" => self.shell = instruction.json(),
            "ARG" => self.put_in_force(instruction),
            _ => {}
        }
        let source = PlacedInstruction {
            instruction,
            escape: self.file.escape,
            environment: &self.variables.environment,
            shell: self.shell.as_deref(),
            has_base: self.has_base,
            has_arguments: self.has_arguments,
            arguments_in_force: &self.arguments_in_force,
            directory: directory.as_deref().unwrap_or(&self.directory),
        };
        let forms = source.forms();
        let canonical = source.canonical();
        let text = forms.first().and_then(|form| Instruction::from_history(&form.text));
        let text = text.map(|text| text.without_values().as_str().to_owned()).unwrap_or_default();
        let (line, end_line, kind) = (instruction.line, instruction.end_line, instruction.keyword);
        self.steps.push(PlannedInstruction {
            kind,
            text,
            line,
            end_line,
            stage,
            onbuild,
            forms,
            source: canonical,
        });
        self.has_arguments |= instruction.keyword == "ARG";
        self.variables.apply(instruction);
        if let Some(directory) = directory {
            self.directory = directory;
        }
    }

    fn put_in_force(&mut self, instruction: &SourceInstruction) {
        for (name, default) in arguments_of(instruction, self.file.escape) {
            if default.is_some() || self.variables.is_given(&name) {
                self.arguments_in_force.insert(name);
            }
        }
    }

    fn working_directory(&self, path: &str) -> String {
        let path = self.variables.expand(path);
        let absolute = path.starts_with('/') || path.starts_with(UNKNOWN);
        let path = if absolute { path } else { format!("{}/{path}", self.directory) };
        clean(&path)
    }
}
