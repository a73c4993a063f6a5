//! Walks through the stages of a file, each with the variables in force.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::call::shorten;
use super::works::{works_of_script, works_of_words};
use super::{Copied, FoundWork, Work, WorkKind};
use crate::dockerfile::ast::{CopyOrigin, Dockerfile, SourceInstruction, Stage, StageBase, source_of};
use crate::dockerfile::expand::Environment;
use crate::dockerfile::expand::here_document_word;
use crate::dockerfile::variables::{BuildOptions, Globals, Variables, origin_of, resolve_base};
use crate::tools::tools;

/// Maximum memory for the variables and triggers that stages inherit; after that, they are unknown.
const MAX_INHERITED: usize = 2 << 20;

/// Maximum directories recorded for one stage.
const MAX_DIRECTORIES: usize = 16;

/// What was found in one stage.
pub(super) struct StageFindings {
    pub(super) resolved: StageBase,
    pub(super) works: Vec<Work>,
    pub(super) copies: Vec<Copied>,
    pub(super) directories: Vec<String>,
}

/// What a stage passes on to those that build on it.
#[derive(Clone)]
struct State<'a> {
    variables: Variables<'a>,
    /// Whether the shell form is read as a shell script.
    has_shell: bool,
    triggers: Vec<SourceInstruction>,
    /// The working directory, set by `WORKDIR`.
    directory: String,
}

impl State<'_> {
    /// The approximate memory of a copy, and of the text that its triggers add.
    fn weight(&self) -> usize {
        let documents = |trigger: &SourceInstruction| {
            trigger.here_documents.iter().map(|document| document.content.len()).sum::<usize>()
        };
        let triggers = self.triggers.iter().map(|trigger| 2 * trigger.text.len() + documents(trigger));
        self.variables.environment.weight() + triggers.sum::<usize>()
    }
}

/// The state of the walk through all stages.
pub(super) struct StageWalk<'a> {
    file: &'a Dockerfile,
    options: &'a BuildOptions,
    globals: &'a Globals<'a>,
    /// The final states of stages that others build on.
    ends: Vec<Option<State<'a>>>,
    inherited: usize,
}

impl<'a> StageWalk<'a> {
    pub(super) fn new(
        file: &'a Dockerfile,
        options: &'a BuildOptions,
        globals: &'a Globals<'a>,
    ) -> StageWalk<'a> {
        StageWalk { file, options, globals, ends: Vec::new(), inherited: 0 }
    }

    pub(super) fn stages(mut self) -> Vec<StageFindings> {
        let bases: Vec<StageBase> =
            (0..self.file.stages().len()).map(|index| resolve_base(self.file, index, self.globals)).collect();
        let is_base = |index: usize| bases.contains(&StageBase::Stage(index));
        let is_base: Vec<bool> = (0..bases.len()).map(is_base).collect();
        let mut walked = Vec::new();
        let mut expanded = Environment::default();
        for ((stage, base), is_base) in self.file.stages().iter().zip(&bases).zip(is_base) {
            let mut state = self.start(base);
            state.variables.environment.continue_from(&expanded);
            walked.push(self.stage(stage, base, &mut state));
            expanded = Environment::default();
            expanded.continue_from(&state.variables.environment);
            self.ends.push(is_base.then_some(state));
        }
        walked
    }

    /// The initial state of a stage.
    fn start(&mut self, base: &StageBase) -> State<'a> {
        let end = match base {
            StageBase::Stage(below) => self.ends.get(*below).and_then(Option::as_ref),
            _ => None,
        };
        if let Some(end) = end {
            self.inherited = self.inherited.saturating_add(end.weight());
            if self.inherited <= MAX_INHERITED {
                return end.clone();
            }
        }
        let variables = Variables::new(self.file, self.options, self.globals, base);
        State {
            variables,
            has_shell: end.is_none_or(|end| end.has_shell),
            triggers: Vec::new(),
            directory: String::new(),
        }
    }

    fn stage(&self, stage: &Stage, base: &StageBase, state: &mut State<'a>) -> StageFindings {
        let mut walked = StageFindings {
            resolved: base.clone(),
            works: Vec::new(),
            copies: Vec::new(),
            directories: Vec::new(),
        };
        walked.directories.extend(Some(state.directory.clone()).filter(|directory| !directory.is_empty()));
        state.variables.environment.enter_stage();
        for trigger in std::mem::take(&mut state.triggers) {
            self.instruction(&trigger, stage.index, state, &mut walked);
        }
        for instruction in &stage.instructions {
            if instruction.keyword == "ONBUILD" {
                state.triggers.extend(instruction.trigger(self.file.escape));
            } else {
                self.instruction(instruction, stage.index, state, &mut walked);
            }
        }
        walked
    }

    fn instruction(
        &self,
        instruction: &SourceInstruction,
        stage: usize,
        state: &mut State<'a>,
        walked: &mut StageFindings,
    ) {
        walked.copies.extend(self.copies(instruction, stage, state));
        match instruction.keyword {
            "RUN" => {
                let (line, end_line) = (instruction.line, instruction.end_line);
                let works = works_of_run(instruction, state).into_iter().map(|found| Work {
                    kind: found.kind,
                    tool: found.tool,
                    subjects: found.subjects,
                    undone: found.undone,
                    production: found.production,
                    into: found.into,
                    line,
                    end_line,
                    stage,
                });
                walked.works.extend(works);
            }
            "ADD" => walked.works.extend(extracted(instruction, stage, &state.variables)),
            "WORKDIR" => {
                let path = shorten(&state.variables.expand(&instruction.arguments));
                let joined = match path.starts_with('/') {
                    true => path,
                    false => format!("{}/{path}", state.directory),
                };
                state.directory = joined.trim_matches('/').to_owned();
                if walked.directories.len() < MAX_DIRECTORIES {
                    walked.directories.push(state.directory.clone());
                }
            }
            "SHELL" => state.has_shell = instruction.json().is_some_and(|words| names_shell(&words)),
            _ => state.variables.apply(instruction),
        }
    }

    /// What the instruction copies from elsewhere.
    fn copies(&self, instruction: &SourceInstruction, stage: usize, state: &State<'a>) -> Vec<Copied> {
        let copied = |from: &str, paths: Vec<String>, mount: bool| Copied {
            origin: origin_of(self.file, from, stage, self.globals),
            paths,
            mount,
            line: instruction.line,
            end_line: instruction.end_line,
            stage,
        };
        let variables = &state.variables;
        let from = |name: &str| {
            let flags = instruction.flags.iter().filter(move |flag| flag.name == name);
            flags.filter_map(|flag| Some((source_of(flag)?, flag.value.as_deref()?))).collect::<Vec<_>>()
        };
        match instruction.keyword {
            // Builders reject a second `--from`.
            "COPY" => from("from")
                .into_iter()
                .take(1)
                .map(|(from, _)| copied(&from, sources(instruction, variables), false))
                .collect(),
            "RUN" => from("mount")
                .into_iter()
                .map(|(from, mount)| copied(&from, mounted_paths(mount, variables), true))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// An archive or URL that `ADD` extracts or fetches: its content is unknown.
fn extracted(instruction: &SourceInstruction, stage: usize, variables: &Variables<'_>) -> Option<Work> {
    const ARCHIVES: [&str; 9] =
        [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".git"];
    let is_one = |source: &&String| {
        let name = source.split(['?', '#']).next().unwrap_or(source);
        source.starts_with("git@") || ARCHIVES.iter().any(|end| name.ends_with(end))
    };
    let source = sources(instruction, variables).iter().find(is_one)?.clone();
    Some(Work {
        kind: WorkKind::RunsScript,
        tool: format!("ADD {source}"),
        subjects: Vec::new(),
        undone: false,
        production: false,
        into: None,
        line: instruction.line,
        end_line: instruction.end_line,
        stage,
    })
}

/// The `source=/x` of a mount.
fn mounted_paths(mount: &str, variables: &Variables<'_>) -> Vec<String> {
    let parts = mount.split(',').map(|part| part.trim_matches('"'));
    let path =
        |part: &str| part.strip_prefix("source=").or_else(|| part.strip_prefix("src=")).map(str::to_owned);
    parts.filter_map(path).map(|path| shorten(&variables.expand(&path))).collect()
}

/// All arguments of a `COPY` but the last, which is the destination.
fn sources(instruction: &SourceInstruction, variables: &Variables<'_>) -> Vec<String> {
    let words = instruction
        .json()
        .unwrap_or_else(|| instruction.arguments.split_whitespace().map(str::to_owned).collect());
    let sources = words.iter().take(words.len().saturating_sub(1));
    let sources = sources.filter(|word| here_document_word(word).is_none());
    sources.map(|word| shorten(&variables.expand(word))).collect()
}

fn works_of_run(instruction: &SourceInstruction, state: &State<'_>) -> Vec<FoundWork> {
    let environment = &state.variables.environment;
    if let Some(words) = instruction.json() {
        return works_of_words(&words, environment);
    }
    match script_of(instruction) {
        Some(script) if state.has_shell => works_of_script(&script, environment),
        _ => Vec::new(),
    }
}

/// The script that a shell runs; none if another program runs (Dockerfile reference, "Here-documents").
fn script_of(instruction: &SourceInstruction) -> Option<Cow<'_, str>> {
    let (arguments, documents) = (&instruction.arguments, &instruction.here_documents);
    let Some(first) = documents.first() else { return Some(Cow::Borrowed(arguments)) };
    if here_document_word(arguments).is_some() {
        let program = first.content.strip_prefix("#!").and_then(|rest| rest.lines().next());
        let is_shell = program
            .is_none_or(|line| names_shell(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()));
        return is_shell.then_some(Cow::Borrowed(first.content.as_str()));
    }
    let mut whole = arguments.clone();
    for document in documents {
        whole.extend(["\n", &document.content, &document.name]);
    }
    Some(Cow::Owned(whole))
}

/// `/bin/bash -o pipefail -c`, `conda run -n x /bin/sh -c`, `cmd /S /C`.
fn names_shell(words: &[String]) -> bool {
    words.iter().any(|word| {
        let name = word.rsplit(['/', '\\']).next().unwrap_or(word).to_ascii_lowercase();
        let name = name.trim_end_matches(".exe");
        tools().shells.iter().chain(&tools().windows_shells).any(|shell| shell == name)
    })
}

/// The target, and all stages that it needs.
pub(super) fn reachable(walked: &[StageFindings], target: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![target];
    while let Some(index) = next.pop() {
        let Some(stage) = walked.get(index).filter(|_| reached.insert(index)) else { continue };
        if let StageBase::Stage(below) = stage.resolved {
            next.push(below);
        }
        next.extend(stage.copies.iter().filter_map(|copy| match copy.origin {
            CopyOrigin::Stage(index) => Some(index),
            CopyOrigin::Image(_) => None,
        }));
    }
    reached
}
