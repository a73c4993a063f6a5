//! What the commands of one `RUN` do in combination.

use std::collections::{BTreeMap, BTreeSet};

use super::call::{
    Call, MAX_WRAPPERS, PackageNames, Runs, ToolRow, has_path, is_in_table, is_shell, program_of, row_of,
    shorten,
};
use super::shell::{CommandInput, Receiver, Shell, assignment};
use super::{FoundWork, WorkKind};
use crate::dockerfile::expand::Environment;
use crate::tools::{ClearedPath, Family, ToolAction, fits, tools};

/// Maximum package patterns compared in one `RUN`.
const MAX_PATTERNS: usize = 32;

/// What the commands of a script do.
pub(super) fn works_of_script(script: &str, environment: &Environment) -> Vec<FoundWork> {
    let mut run = Run::default();
    Shell::new(environment, &mut run).run(script);
    run.finish()
}

/// What a command in the JSON form does, without a shell.
pub(super) fn works_of_words(words: &[String], environment: &Environment) -> Vec<FoundWork> {
    let mut run = Run::default();
    Shell::new(environment, &mut run).run_words(words);
    run.finish()
}

/// What one command of a `RUN` did, in order.
enum WorkStep {
    Work { work: FoundWork, family: Option<Family>, label: Option<String> },
    Removal { work: FoundWork, family: Option<Family>, all: bool, automatic: bool },
    MarksAutomatic,
    SavesMarks,
}

/// The commands of one `RUN`.
#[derive(Default)]
struct Run {
    steps: Vec<WorkStep>,
    /// The families from which something was installed.
    installed: BTreeSet<Family>,
}

impl Receiver for Run {
    fn command(&mut self, mut words: &[String]) -> CommandInput {
        let (mut has_unknown, mut is_wrapped) = (false, false);
        for _ in 0..MAX_WRAPPERS {
            while words.first().is_some_and(|word| assignment(word).is_some()) {
                words = &words[1..];
            }
            let Some((first, arguments)) = words.split_first() else { return CommandInput::None };
            let program = program_of(first);
            if is_shell(&program) {
                return self.shell(arguments);
            }
            // `scl enable gcc-toolset-13 "make all"`
            if is_wrapped && arguments.is_empty() && first.contains(char::is_whitespace) {
                return CommandInput::Script(first.clone());
            }
            if program == "eval" {
                return CommandInput::Script(arguments.join(" "));
            }
            // The arguments that `xargs` adds are unknown.
            has_unknown |= program == "xargs";
            let call = Call::new(program, arguments, has_unknown);
            if matches!(call.program.as_str(), "su" | "runuser")
                && let Some(script) = call.value(&["-c", "--command", "--session-command"])
            {
                return CommandInput::Script(script.to_owned());
            }
            if self.known(&call) {
                return CommandInput::None;
            }
            match call.wrapped() {
                Some(inner) => (words, is_wrapped) = (inner, true),
                None => {
                    if is_script(first) {
                        self.runs_script(first);
                    }
                    return CommandInput::None;
                }
            }
        }
        CommandInput::None
    }

    fn reads_unknown(&mut self) {
        self.runs_script("sh");
    }
}

/// Whether a command's path is outside the system's own program directories: what it does is unknown.
fn is_script(program: &str) -> bool {
    const OWN: [&str; 5] = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/sbin/"];
    const INTERPRETED: [&str; 7] = [".py", ".js", ".mjs", ".cjs", ".rb", ".php", ".pl"];
    let has_end = INTERPRETED.iter().any(|end| program.ends_with(end));
    program.contains('/') && !has_end && !OWN.iter().any(|directory| program.starts_with(directory))
}

impl Run {
    /// `sh -c TEXT`, `sh FILE`, or `sh` alone.
    fn shell(&mut self, arguments: &[String]) -> CommandInput {
        match Runs::of(arguments) {
            Runs::Script(script) => CommandInput::Script(script.to_owned()),
            Runs::Lines => CommandInput::Lines,
            Runs::Nothing => CommandInput::None,
            Runs::File(file, arguments) => {
                let file = if file.contains('/') { file.to_owned() } else { format!("./{file}") };
                let call = Call::new(program_of(&file), arguments, false);
                if !self.known(&call) {
                    self.runs_script(&file);
                }
                CommandInput::None
            }
        }
    }

    /// Runs something whose text is unknown. If a toolchain was downloaded just before, it is its installer.
    fn runs_script(&mut self, script: &str) {
        if matches!(self.steps.last(), Some(WorkStep::Work { family: Some(Family::Toolchain), .. })) {
            return;
        }
        self.work(WorkKind::RunsScript, &shorten(script), Vec::new(), None, None);
    }

    /// Whether the table knows the command; records what it does.
    fn known(&mut self, call: &Call<'_>) -> bool {
        if call.asks() {
            return is_in_table(&call.program);
        }
        let Some(ToolRow { does, taken, tool }) = row_of(call) else { return false };
        match does {
            ToolAction::Nothing => {}
            ToolAction::Builds => self.work(WorkKind::Build, &tool, Vec::new(), None, None),
            ToolAction::Dependencies(family) => {
                self.work(WorkKind::InstallsDependencies, &tool, Vec::new(), Some(family), None);
                self.is_for_production(call, family);
            }
            ToolAction::Tools(family) => {
                let names = PackageNames::of(call, taken, family).names;
                self.work(WorkKind::InstallsBuildTools, &tool, names, Some(family), None);
            }
            ToolAction::Installs(family) => self.installs(call, taken, &tool, family),
            ToolAction::Downloads => self.downloads(call),
            ToolAction::Deletes => self.deletes(call),
            ToolAction::Removes(family) => self.removes(call, taken, &tool, family),
            ToolAction::RemovesAll(family) => self.removal(&tool, Vec::new(), Some(family), true, false),
            ToolAction::MarksAutomatic => self.steps.push(WorkStep::MarksAutomatic),
            ToolAction::SavesMarks => self.steps.push(WorkStep::SavesMarks),
        }
        true
    }

    fn work(
        &mut self,
        kind: WorkKind,
        tool: &str,
        subjects: Vec<String>,
        family: Option<Family>,
        label: Option<String>,
    ) {
        self.installed.extend(family);
        let work =
            FoundWork { kind, tool: tool.to_owned(), subjects, undone: false, production: false, into: None };
        self.steps.push(WorkStep::Work { work, family, label });
    }

    fn installs(&mut self, call: &Call<'_>, taken: usize, tool: &str, family: Family) {
        let Some(words) = tools().words_of(family) else { return };
        let PackageNames { names, has_list } = PackageNames::of(call, taken, family);
        let label = (family == Family::Apk).then(|| call.value(&["--virtual", "-t"])).flatten();
        let for_build =
            label.is_some_and(|label| tools().build_labels.iter().any(|pattern| fits(pattern, label)));
        let named = !names.is_empty();
        let (tools, rest): (Vec<String>, Vec<String>) =
            names.into_iter().partition(|name| for_build || family.is_build_tool(name));
        let label = label.map(shorten);
        if !tools.is_empty() || for_build && call.has_unknown {
            self.work(WorkKind::InstallsBuildTools, tool, tools, Some(family), label.clone());
            if let Some(WorkStep::Work { work, .. }) = self.steps.last_mut() {
                work.into = directory_of(call, tool, family);
            }
        }
        // Without a name, the operating system's manager installs unknown packages, or nothing; a language's installs
        // those that a file lists.
        let is_system = words.system;
        let unnamed = if is_system { !named && call.has_unknown && !for_build } else { !named || has_list };
        if !rest.is_empty() || unnamed {
            let kind = if is_system { WorkKind::InstallsPackages } else { WorkKind::InstallsDependencies };
            let listed = has_list.then(|| "\u{2026}".to_owned()).filter(|_| named);
            self.work(kind, tool, rest.into_iter().chain(listed).collect(), Some(family), label);
            self.is_for_production(call, family);
        }
    }

    /// Marks the last installation, if the command leaves out what only development needs.
    fn is_for_production(&mut self, call: &Call<'_>, family: Family) {
        let leaves_out =
            tools().production_options.iter().any(|(of, options)| *of == family && call.has_option(options));
        if let Some(WorkStep::Work { work, .. }) = self.steps.last_mut() {
            work.production = leaves_out;
        }
    }

    fn downloads(&mut self, call: &Call<'_>) {
        for argument in call.arguments.iter().filter(|argument| argument.contains('/')) {
            let argument = argument.to_ascii_lowercase();
            if let Some((_, name)) = tools().downloads.iter().find(|(address, _)| argument.contains(address))
            {
                let names = vec![name.clone()];
                self.work(WorkKind::InstallsBuildTools, &call.program, names, Some(Family::Toolchain), None);
            }
        }
    }

    fn deletes(&mut self, call: &Call<'_>) {
        for argument in call.plain() {
            let cleared = tools().paths.iter().find(|cleared| has_path(argument, &cleared.path));
            let Some(ClearedPath { family, name, .. }) = cleared else { continue };
            let subject = if name.is_empty() { shorten(argument) } else { name.clone() };
            let all = family.is_some() && name.is_empty();
            self.removal("rm", vec![subject], *family, all, false);
        }
    }

    fn removes(&mut self, call: &Call<'_>, taken: usize, tool: &str, family: Family) {
        let names = PackageNames::of(call, taken, family).names;
        let automatic = tool.contains("auto") || call.has_option("--auto-remove|--autoremove");
        // What may be any package may be all of them.
        self.removal(tool, names, Some(family), call.has_unknown, automatic);
    }

    /// What an earlier `RUN` installed cannot be removed: its layer stays.
    fn removal(
        &mut self,
        tool: &str,
        subjects: Vec<String>,
        family: Option<Family>,
        all: bool,
        automatic: bool,
    ) {
        let matters = match family {
            Some(family) => self.installed.contains(&family),
            None => !self.steps.is_empty(),
        };
        if matters {
            let work = FoundWork {
                kind: WorkKind::Removes,
                tool: tool.to_owned(),
                subjects,
                undone: false,
                production: false,
                into: None,
            };
            self.steps.push(WorkStep::Removal { work, family, all, automatic });
        }
    }

    /// All works; those of which the `RUN` leaves nothing are marked.
    fn finish(self) -> Vec<FoundWork> {
        let mut removed: BTreeMap<Option<Family>, Removed> = BTreeMap::new();
        let mut works = Vec::new();
        // From the end: removals are known before installations.
        for step in self.steps.into_iter().rev() {
            match step {
                WorkStep::Work { work, family, label } => match removed.get(&family) {
                    Some(removed) if family.is_some() => removed.split(work, label.as_deref(), &mut works),
                    _ => works.push(work),
                },
                WorkStep::Removal { work, family, all, automatic } => {
                    let removed = removed.entry(family).or_default();
                    removed.add(&work.subjects);
                    removed.all |= all;
                    removed.automatic |= automatic;
                    works.push(work);
                }
                WorkStep::MarksAutomatic => {
                    let apt = removed.entry(Some(Family::Apt)).or_default();
                    apt.all |= apt.automatic;
                }
                WorkStep::SavesMarks => removed.entry(Some(Family::Apt)).or_default().all = false,
            }
        }
        works.reverse();
        merged(works)
    }
}

/// What the rest of a `RUN` removes of a family.
#[derive(Default)]
struct Removed {
    names: BTreeSet<String>,
    /// `apt-get purge 'gcc*'`
    like: Vec<String>,
    all: bool,
    automatic: bool,
}

impl Removed {
    fn add(&mut self, names: &[String]) {
        let (like, exact): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| name.contains('*'));
        self.names.extend(exact.into_iter().cloned());
        let room = MAX_PATTERNS.saturating_sub(self.like.len());
        self.like.extend(like.into_iter().take(room).cloned());
    }

    /// Adds a work, in reverse order; it becomes two works if only a part of it is removed.
    fn split(&self, work: FoundWork, label: Option<&str>, works: &mut Vec<FoundWork>) {
        let has =
            |name: &str| self.names.contains(name) || self.like.iter().any(|pattern| fits(pattern, name));
        if self.all || label.is_some_and(has) {
            return works.push(FoundWork { undone: true, ..work });
        }
        let (gone, stays): (Vec<String>, Vec<String>) =
            work.subjects.iter().cloned().partition(|name| has(name));
        if !stays.is_empty() || gone.is_empty() {
            works.push(FoundWork { subjects: stays, ..work.clone() });
        }
        if !gone.is_empty() {
            works.push(FoundWork { subjects: gone, undone: true, ..work });
        }
    }
}

/// Where a language's package manager installs to; `None` if that is unknown.
fn directory_of(call: &Call<'_>, tool: &str, family: Family) -> Option<String> {
    let (named, usual) = match family {
        Family::Pip if call.program == "pipx" || call.has_option("--user") => (None, ".local"),
        Family::Pip => (call.value(&["--target", "-t", "--prefix", "--root"]), "site-packages"),
        Family::Npm if call.has_option("-g|--global") || tool.contains(" global ") => {
            (None, "usr/local/lib/node_modules")
        }
        Family::Npm => (None, "node_modules"),
        _ => return None,
    };
    Some(shorten(named.unwrap_or(usual)).trim_matches('/').to_owned())
}

/// Merges works of the same tool and kind.
fn merged(works: Vec<FoundWork>) -> Vec<FoundWork> {
    let mut places: BTreeMap<(WorkKind, String, bool, bool, Option<String>), usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut merged: Vec<FoundWork> = Vec::new();
    for mut work in works {
        let subjects = std::mem::take(&mut work.subjects);
        let place = *places
            .entry((work.kind, work.tool.clone(), work.undone, work.production, work.into.clone()))
            .or_insert_with(|| {
                merged.push(work);
                merged.len() - 1
            });
        let new = subjects.into_iter().filter(|subject| seen.insert((place, subject.clone())));
        if let Some(work) = merged.get_mut(place) {
            work.subjects.extend(new);
        }
    }
    merged
}
