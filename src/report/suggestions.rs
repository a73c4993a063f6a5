//! Small Dockerfile fixes that can be accepted with a click: the same lines without something that an instruction
//! stores unnecessarily. Only what the text itself shows to be safe is suggested; everything else stays advice.

use std::collections::BTreeMap;

use super::later::{Leftover, has_plain_shell};
use super::model::ImageReport;
use super::script::{PlainCommand, PlainScript};
use crate::compare::Waste;
use crate::dockerfile::{Dockerfile, SourceInstruction};
use crate::image::layer_ref::DockerfileLines;
use crate::image::{Bytes, Removable};
use crate::redact::redact;
use crate::sort;

/// Maximum number of suggestions for one image: a reviewer accepts a few.
const MAX_SUGGESTIONS: usize = 10;
/// The longest range, and the longest line in it.
const MAX_LINES: usize = 40;
const MAX_LINE: usize = 1000;
/// What apt leaves behind: the path that contains it, and the command that removes it.
const APT: [(&str, &str); 4] = [
    ("var/lib/apt/lists/", "/var/lib/apt/lists/*"),
    ("var/cache/apt/", "/var/cache/apt/*"),
    ("var/cache/debconf/", "/var/cache/debconf/*-old"),
    ("var/lib/dpkg/", "/var/lib/dpkg/*-old"),
];

/// Lines that replace others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The first line to replace, counted from 1.
    pub line: u32,
    /// The last line to replace.
    pub end_line: u32,
    /// Bytes saved, in uncompressed size.
    pub bytes: Bytes,
    /// Why, in our own sentences only.
    pub why: Vec<&'static str>,
    /// The new lines, without the final line break.
    pub text: String,
}

/// A change of one instruction.
#[derive(Default)]
struct InstructionEdit {
    bytes: Bytes,
    why: Vec<&'static str>,
    /// Texts to insert, by position in the instruction's text.
    inserted: BTreeMap<usize, &'static str>,
    /// Commands to append.
    appended: String,
}

/// The suggestions for the Dockerfile that an image was built from, most bytes first. `text` is that very file.
pub fn suggestions(image: &ImageReport, text: &str) -> Vec<Suggestion> {
    let Ok(dockerfile) = Dockerfile::parse(text) else { return Vec::new() };
    // Suggestions use `
    // `, and would mix line endings.
    if text.contains('\r') || !has_plain_shell(&dockerfile) {
        return Vec::new();
    }
    let file = NumberedLines { lines: text.lines().collect(), dockerfile: &dockerfile };
    let mut found: BTreeMap<u32, Suggestion> = BTreeMap::new();
    let joined = file.joined(&image.waste);
    let mut by_line: BTreeMap<u32, Vec<&Removable>> = BTreeMap::new();
    for entry in image.removable.iter().filter(|entry| entry.counts() && !entry.layer.of_base_image) {
        if let Some(lines) = &entry.source().dockerfile {
            by_line.entry(lines.line).or_default().push(entry);
        }
    }
    for (line, entries) in by_line {
        found.extend(file.edited(&entries).map(|suggestion| (line, suggestion)));
    }
    for suggestion in joined {
        // If two overlap, only the one that saves more is shown; the other follows once it is accepted.
        let overlaps =
            |other: &Suggestion| other.line <= suggestion.end_line && suggestion.line <= other.end_line;
        if !found.values().any(|other| overlaps(other) && other.bytes >= suggestion.bytes) {
            found.retain(|_, other| !overlaps(other));
            found.insert(suggestion.line, suggestion);
        }
    }
    let mut found: Vec<Suggestion> = found.into_values().filter(Suggestion::is_safe).collect();
    sort::by_key(&mut found, |suggestion| (std::cmp::Reverse(suggestion.bytes), suggestion.line));
    found.truncate(MAX_SUGGESTIONS);
    found
}

impl Suggestion {
    /// The suggestion as a review comment.
    pub fn body(&self) -> String {
        format!("**Saves {}.** {}\n\n```suggestion\n{}\n```\n", self.bytes, self.why.join(" "), self.text)
    }

    /// Whether the lines can appear in a comment as they are: nothing in them ends the block, is displayed differently,
    /// or looks like a secret.
    fn is_safe(&self) -> bool {
        let is_odd = |c: char| {
            (c.is_control() && c != '\n' && c != '\t')
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        };
        self.bytes > Bytes(0)
            && self.text.lines().count() <= MAX_LINES
            && self.text.lines().all(|line| line.len() <= MAX_LINE)
            && !self.text.contains("```")
            && !self.text.contains("~~~")
            && !self.text.contains(is_odd)
            && redact(&self.text) == self.text
    }
}

/// A Dockerfile by its lines.
struct NumberedLines<'a> {
    lines: Vec<&'a str>,
    dockerfile: &'a Dockerfile,
}

impl NumberedLines<'_> {
    /// The instruction on exactly these lines, if it is a `RUN` in shell form and nothing else.
    fn run(&self, lines: &DockerfileLines) -> Option<&SourceInstruction> {
        let mut all = self.instructions();
        let is_it = |one: &&SourceInstruction| (one.line, one.end_line) == (lines.line, lines.end_line);
        all.find(is_it).filter(|one| {
            one.keyword == "RUN"
                && one.flags.is_empty()
                && one.here_documents.is_empty()
                && one.json().is_none()
                && self.dockerfile.escapes_by_backslash()
        })
    }

    fn instructions(&self) -> impl Iterator<Item = &SourceInstruction> {
        self.dockerfile.stages().iter().flat_map(|stage| &stage.instructions)
    }

    /// An instruction's text as written, including its keyword.
    fn text(&self, instruction: &SourceInstruction) -> Option<String> {
        let first = usize::try_from(instruction.line).ok()?.checked_sub(1)?;
        let last = usize::try_from(instruction.end_line).ok()?;
        Some(self.lines.get(first..last)?.join("\n"))
    }

    /// An instruction without what it stores unnecessarily.
    fn edited(&self, entries: &[&Removable]) -> Option<Suggestion> {
        let instruction = self.run(entries.first()?.source().dockerfile.as_ref()?)?;
        let text = self.text(instruction)?;
        let script = PlainScript::of_run(&text)?;
        let mut edit = InstructionEdit::default();
        let is_free = |leftover: Leftover| !leftover.may_be_needed(self.dockerfile, instruction);
        for entry in entries {
            match entry.kind.as_str() {
                "apt-cache" if is_free(Leftover::AptLists) => apt(&script, entry, &mut edit),
                "pip-cache" if is_free(Leftover::PipCache) => pip(&script, entry, &mut edit),
                "apk-cache" if is_free(Leftover::ApkIndex) => apk(&script, entry, &mut edit),
                "npm-cache" if is_free(Leftover::NpmCache) => npm_cache(&script, entry, &mut edit),
                "dev-dependencies" if is_free(Leftover::DevDependencies) => npm(&script, entry, &mut edit),
                "login-records" => useradd(&script, entry, &mut edit),
                _ => {}
            }
        }
        let mut written = text.clone();
        for (at, inserted) in edit.inserted.iter().rev() {
            written.insert_str(*at, inserted);
        }
        let written = written.trim_end().to_owned() + &edit.appended;
        (!edit.why.is_empty()).then_some(Suggestion {
            line: instruction.line,
            end_line: instruction.end_line,
            bytes: edit.bytes,
            why: edit.why,
            text: written,
        })
    }

    /// Instructions that only delete what the one right before them stores, joined to that one.
    fn joined(&self, waste: &[Waste]) -> Vec<Suggestion> {
        let mut pairs: BTreeMap<(&DockerfileLines, &DockerfileLines), Bytes> = BTreeMap::new();
        let deleted = waste.iter().filter(|waste| !waste.replaced && !waste.stored_by.of_base_image);
        for waste in deleted {
            if let (Some(stored), Some(hidden)) = (&waste.stored_by.dockerfile, &waste.hidden_by.dockerfile) {
                let bytes = pairs.entry((stored, hidden)).or_default();
                *bytes = bytes.saturating_add(waste.bytes);
            }
        }
        let join = |((stored, hidden), bytes): ((&DockerfileLines, &DockerfileLines), Bytes)| {
            let (stored, hidden) = (self.run(stored)?, self.run(hidden)?);
            let text = self.joined_text(stored, hidden)?;
            let why = vec![
                "The second instruction deletes files that the first one stores, but they stay in the image. In a single instruction, they are never stored.",
            ];
            Some(Suggestion { line: stored.line, end_line: hidden.end_line, bytes, why, text })
        };
        pairs.into_iter().filter_map(join).collect()
    }

    fn joined_text(&self, stored: &SourceInstruction, hidden: &SourceInstruction) -> Option<String> {
        let between = self.lines.get(stored.end_line as usize..hidden.line.checked_sub(1)? as usize)?;
        let (first, second) = (self.text(stored)?, self.text(hidden)?);
        let deletes = PlainScript::of_run(&second)?;
        let only_deletes = deletes.is_plain() && deletes.commands().iter().all(deletes_by_path);
        let fits = between.iter().all(|line| line.trim().is_empty())
            && only_deletes
            && PlainScript::of_run(&first)?.may_be_followed();
        let rest = second.trim_start().get("RUN".len()..)?.trim_start().to_owned();
        fits.then(|| format!("{} && \\\n    {}", first.trim_end(), rest.trim_end()))
    }
}

/// `apt-get install` without its lists. Leaving out recommended packages changes what is installed, such as the headers
/// that come with `gcc`: nobody can accept that unseen, so it is mentioned but not suggested.
fn apt(script: &PlainScript<'_>, found: &Removable, edit: &mut InstructionEdit) {
    let installs = |command: &PlainCommand<'_>| {
        matches!(command.program(), "apt-get" | "apt") && command.after("install").is_some()
    };
    if !script.may_be_followed() || !script.commands().iter().any(installs) {
        return;
    }
    let is_below = |at: &str| found.paths.iter().any(|path| path.starts_with(at));
    let is_known = |path: &String| APT.iter().any(|(at, _)| path.starts_with(at));
    let all = !found.paths.iter().all(is_known) || found.paths.is_empty();
    let removed = APT.iter().filter(|(at, _)| all || is_below(at)).map(|(_, pattern)| *pattern);
    let removed: Vec<&str> = removed.collect();
    edit.append(script, &format!("rm -rf {}", removed.join(" ")));
    edit.add(
        found,
        "apt's lists of packages stay in this layer; delete them in the instruction that downloads them.",
    );
    if !script.text.contains("ecommends") {
        edit.why.push(
            "`--no-install-recommends` would save more, but leaves out packages that you may need, so it is not part of this suggestion.",
        );
    }
}

/// `npm ci` without development dependencies.
fn npm(script: &PlainScript<'_>, found: &Removable, edit: &mut InstructionEdit) {
    let installs =
        |command: &PlainCommand<'_>| command.program() == "npm" && command.words().get(1) == Some(&"ci");
    let said = ["--omit", "--include", "--production", "--only", "NODE_ENV"];
    let mut commands = script.commands().iter().skip_while(|command| !installs(command));
    let Some(first) = commands.next() else { return };
    if Leftover::DevDependencies.is_needed_within(commands)
        || said.iter().any(|word| script.text.contains(word))
    {
        return;
    }
    edit.insert(
        first.after("ci").map(|at| (at, " --omit=dev")).into_iter(),
        found,
        "These are development dependencies. Keep them if the app needs them at run time, or if a package.json script that `npm ci` runs, such as `prepare`, does.",
    );
}

fn pip(script: &PlainScript<'_>, found: &Removable, edit: &mut InstructionEdit) {
    let is_pip = |command: &&PlainCommand<'_>| {
        let program = command.program();
        let named = program.strip_prefix("pip").is_some_and(is_version);
        let module = program.strip_prefix("python").is_some_and(is_version)
            && command.words().get(1..3) == Some(&["-m", "pip"]);
        named || module
    };
    let says = |command: &PlainCommand<'_>, option: &str| {
        command.words().iter().any(|word| word.starts_with(option))
    };
    // If both options are given the last one counts, and somebody has chosen where the cache is.
    if script.commands().iter().filter(is_pip).any(|command| says(command, "--cache-dir")) {
        return;
    }
    let keeps = |command: &&PlainCommand<'_>| is_pip(command) && !says(command, "--no-cache-dir");
    let at = script.commands().iter().filter(keeps).filter_map(|command| command.after("install"));
    edit.insert(at.map(|at| (at, " --no-cache-dir")), found, "pip keeps its downloads in this layer.");
}

/// npm's downloads, deleted by npm itself: fewer packages also mean fewer downloads.
fn npm_cache(script: &PlainScript<'_>, found: &Removable, edit: &mut InstructionEdit) {
    let installs = |command: &PlainCommand<'_>| {
        command.program() == "npm" && matches!(command.words().get(1), Some(&("ci" | "install" | "i")))
    };
    if script.may_be_followed() && script.commands().iter().any(installs) {
        edit.append(script, "npm cache clean --force");
        edit.add(found, "npm keeps its downloads in this layer.");
    }
}

/// `3` and `3.12`, or empty.
fn is_version(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

fn apk(script: &PlainScript<'_>, found: &Removable, edit: &mut InstructionEdit) {
    let is_apk = |command: &&PlainCommand<'_>| command.program() == "apk";
    // The lists that it downloads stay, whatever the other commands do.
    let updates = |command: &PlainCommand<'_>| command.after("update").is_some();
    let adds = |command: &PlainCommand<'_>| {
        command.after("add").filter(|_| !command.words().contains(&"--no-cache"))
    };
    if script.commands().iter().filter(is_apk).any(updates) {
        return;
    }
    let at = script.commands().iter().filter(is_apk).filter_map(adds);
    edit.insert(at.map(|at| (at, " --no-cache")), found, "apk keeps its package index in this layer.");
}

fn useradd(script: &PlainScript<'_>, found: &Removable, edit: &mut InstructionEdit) {
    let is_short_l = |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.contains('l');
    let is_it = |command: &&PlainCommand<'_>| {
        let words = command.words();
        let said = words.contains(&"--no-log-init") || words.iter().any(is_short_l);
        command.program() == "useradd" && !said
    };
    let at = script.commands().iter().filter(is_it).filter_map(|command| command.after("useradd"));
    edit.insert(
        at.map(|at| (at, " --no-log-init")),
        found,
        "The higher the user ID, the larger the login records that useradd writes.",
    );
}

/// `rm` of absolute paths: variables and the working directory of the previous instruction do not matter.
fn deletes_by_path(command: &PlainCommand<'_>) -> bool {
    let arguments = command.words().get(1..).unwrap_or_default();
    command.words().first() == Some(&"rm")
        && !arguments.iter().any(|word| word.contains('$'))
        && arguments.iter().any(|word| word.starts_with('/'))
        && arguments.iter().all(|word| word.starts_with('/') || word.starts_with('-'))
}

impl InstructionEdit {
    /// Appends a command, on its own line if the instruction has several.
    fn append(&mut self, script: &PlainScript<'_>, command: &str) {
        self.appended += if script.text.contains('\n') { " && \\\n    " } else { " && " };
        self.appended += command;
    }

    fn add(&mut self, found: &Removable, why: &'static str) {
        self.bytes = self.bytes.saturating_add(found.bytes);
        if !self.why.contains(&why) {
            self.why.push(why);
        }
    }

    /// Adds options, if there is a command to add them to.
    fn insert(
        &mut self,
        at: impl Iterator<Item = (usize, &'static str)>,
        found: &Removable,
        why: &'static str,
    ) {
        let before = self.inserted.len();
        self.inserted.extend(at);
        if self.inserted.len() > before {
            self.add(found, why);
        }
    }
}
