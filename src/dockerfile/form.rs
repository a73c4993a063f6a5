//! What builders write into an image's history for an instruction, found by building with Docker 20.10 (both builders),
//! Docker 29 and Podman 4.3, and by reading BuildKit's dockerfile2llb.
//!
//! A form is made by writing what the builder writes and reading it back as history ([`Instruction::from_history`]), so
//! that both sides are normalised by the same code.

use std::collections::BTreeSet;

use super::ast::SourceInstruction;
use super::expand::{Environment, UNKNOWN, expand_word, here_document_word, split_words};
use super::variables::pairs;
use crate::image::Instruction;
use crate::redact::MARK;

/// Maximum ports of a range, which BuildKit lists one by one.
const MAX_PORTS: u32 = 1024;

/// One way in which a builder may write an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HistoryForm {
    /// Normalised; [`UNKNOWN`] stands for any text.
    pub(super) text: String,
    /// The text with its secrets, if it has any.
    whole: Option<String>,
    /// Flags that may precede the arguments, each in its spellings. `None`: they are part of the text.
    flags: Option<Vec<[String; 2]>>,
    /// Whether the text states the whole instruction.
    exact: bool,
}

/// How well a history's text fits an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// Another instruction could have written it too.
    Loose,
    /// It is exactly what this instruction writes.
    Exact,
}

impl HistoryForm {
    /// The form of a text that a builder writes.
    fn of(created_by: &str) -> Option<HistoryForm> {
        let instruction = Instruction::from_history(created_by)?;
        let (text, whole) = (instruction.as_str(), instruction.whole());
        let said = whole.unwrap_or(text);
        let cut = said.chars().count() >= Instruction::MAX_CHARS;
        let exact = !cut && !said.contains([UNKNOWN, '\u{2026}']);
        Some(HistoryForm { text: join_unknown(text), whole: whole.map(join_unknown), flags: None, exact })
    }

    fn with_flags(mut self, flags: &[[String; 2]]) -> HistoryForm {
        self.exact &= flags.is_empty();
        self.flags = Some(flags.to_vec());
        self
    }

    fn loose(mut self) -> HistoryForm {
        self.exact = false;
        self
    }

    /// Whether the history entry can have this form.
    pub(super) fn fits(&self, history: &Instruction) -> Option<Fit> {
        // Secrets were removed from stored histories, and may have been any text.
        let (own, history, all) = match history.whole() {
            Some(whole) => (self.whole.as_ref().unwrap_or(&self.text), whole, true),
            None if !history.as_str().contains(MARK) => {
                (self.whole.as_ref().unwrap_or(&self.text), history.as_str(), true)
            }
            None => (&self.text, history.as_str(), !self.text.contains(MARK)),
        };
        let fit = |exact: bool| Some(if exact && all { Fit::Exact } else { Fit::Loose });
        let Some(flags) = &self.flags else {
            return fit(self.exact).filter(|_| like(own, history));
        };
        let (keyword, mut rest) = history.split_once(' ')?;
        let mut shown = 0;
        while rest.starts_with("--") {
            let (flag, after) = rest.split_once(' ')?;
            if !flags.iter().flatten().any(|known| like(known, flag)) {
                return None;
            }
            (rest, shown) = (after, shown + 1);
        }
        let (own_keyword, own_rest) = own.split_once(' ')?;
        if keyword != own_keyword || !like(own_rest, rest) {
            return None;
        }
        fit(self.exact || shown > 0 && shown == flags.len() && !own.contains([UNKNOWN, '\u{2026}']))
    }
}

/// An unknown word may also be missing, together with a space.
fn join_unknown(text: &str) -> String {
    let text = text.replace(&format!(" {UNKNOWN} "), &format!(" {UNKNOWN}"));
    match text.strip_suffix(&format!(" {UNKNOWN}")) {
        Some(start) => format!("{start}{UNKNOWN}"),
        None => text,
    }
}

/// Whether a text fits a pattern in which [`UNKNOWN`] stands for any text. Each part takes the first place that fits,
/// so the work is limited by the lengths.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split(UNKNOWN);
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// An instruction and its context in a build.
pub(super) struct PlacedInstruction<'a> {
    pub(super) instruction: &'a SourceInstruction,
    pub(super) escape: char,
    pub(super) environment: &'a Environment,
    /// The `SHELL`, if the Dockerfile sets one.
    pub(super) shell: Option<&'a [String]>,
    pub(super) has_base: bool,
    pub(super) has_arguments: bool,
    /// The names of the stage's arguments that have a value, up to this instruction.
    pub(super) arguments_in_force: &'a BTreeSet<String>,
    /// The working directory: before the instruction, or after a `WORKDIR`.
    pub(super) directory: &'a str,
}

impl PlacedInstruction<'_> {
    /// All ways in which builders may write it, BuildKit's first.
    pub(super) fn forms(&self) -> Vec<HistoryForm> {
        let mut forms = match self.instruction.keyword {
            "RUN" => self.run(),
            "COPY" | "ADD" => self.copy(),
            "ENV" | "LABEL" => self.keys_and_values(),
            "ARG" => self.argument(),
            "WORKDIR" => self.workdir(),
            "CMD" | "ENTRYPOINT" => self.command(),
            "HEALTHCHECK" => self.healthcheck(),
            "EXPOSE" => self.expose(),
            "VOLUME" => self.list(self.words()),
            "SHELL" => self.list(self.instruction.json().unwrap_or_default()),
            "USER" | "STOPSIGNAL" => self.step(&self.expand(&self.instruction.arguments)),
            _ => Vec::new(),
        };
        // Kaniko and Buildah write the instruction unchanged. All builders write `ONBUILD` and `MAINTAINER` like that.
        forms.extend(self.step(&self.instruction.text));
        // The values of these may be missing, and the rest may also be another instruction's.
        if matches!(self.instruction.keyword, "ENV" | "ARG" | "LABEL") {
            forms.iter_mut().for_each(|form| form.exact = false);
        }
        for index in 0..forms.len() {
            forms.extend(without_values(&forms[index]));
        }
        let mut distinct: Vec<HistoryForm> = Vec::new();
        for form in forms {
            if !distinct.contains(&form) {
                distinct.push(form);
            }
        }
        distinct
    }

    /// The instruction as written, with normalised white space.
    pub(super) fn canonical(&self) -> String {
        let mut text = self.instruction.keyword.to_owned();
        for part in std::iter::once(&self.instruction.text)
            .chain(self.instruction.here_documents.iter().map(|document| &document.content))
        {
            text.extend(part.split_whitespace().flat_map(|word| [" ", word]));
        }
        text
    }

    fn expand(&self, word: &str) -> String {
        expand_word(word, self.escape, self.environment)
    }

    /// `KEYWORD text`, also in the classic builder's form for unknown shells.
    fn step(&self, text: &str) -> Vec<HistoryForm> {
        let plain = format!("{} {text}", self.instruction.keyword);
        let classic = self.classic(&plain);
        HistoryForm::of(&plain).into_iter().chain(HistoryForm::of(&classic)).collect()
    }

    /// What the classic builder writes for instructions that run no command.
    fn classic(&self, step: &str) -> String {
        format!("{} #(nop) {step}", self.shell().join(" "))
    }

    fn shell(&self) -> Vec<String> {
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        self.shell.map_or_else(default, <[String]>::to_vec)
    }

    fn run(&self) -> Vec<HistoryForm> {
        let instruction = self.instruction;
        let exec = instruction.json().map(|words| words.join(" "));
        let shell = self.shell().join(" ");
        let commands = match exec {
            Some(command) => vec![(command, true)],
            None => self
                .shell_commands()
                .into_iter()
                .map(|(text, exact)| (format!("{shell} {text}"), exact))
                .collect(),
        };
        let flags = self.flags();
        let mut forms = Vec::new();
        for (command, exact) in commands {
            // Builders differ in which arguments they write, and the values are dropped again: it only matters whether
            // there are any.
            let prefixes = if self.has_arguments { &["", "|1 A=a "][..] } else { &[""] };
            for prefix in prefixes {
                let written = [format!("RUN {prefix}{command} # buildkit"), format!("{prefix}{command}")];
                let read = written.iter().filter_map(|written| HistoryForm::of(written));
                forms.extend(read.map(|form| if exact { form } else { form.loose() }.with_flags(&flags)));
            }
        }
        // Buildah puts its own shell before everything, including the JSON form and the flags.
        forms.extend(HistoryForm::of(&format!("/bin/sh -c {}", instruction.text)));
        forms
    }

    /// The scripts that a shell may run, and whether they state the whole instruction.
    fn shell_commands(&self) -> Vec<(String, bool)> {
        let (arguments, documents) = (&self.instruction.arguments, &self.instruction.here_documents);
        let Some(first) = documents.first() else { return vec![(arguments.clone(), true)] };
        if here_document_word(arguments).is_some() {
            // The here-document is the script: BuildKit runs its text, or writes it to a file.
            return if first.content.starts_with("#!") {
                vec![(format!("/dev/pipes/{}", first.name), false)]
            } else {
                vec![(first.content.clone(), true)]
            };
        }
        let mut whole = arguments.clone();
        for document in documents {
            whole.extend(["\n", &document.content, &document.name]);
        }
        vec![(whole, true)]
    }

    /// The flags, both as written and expanded.
    fn flags(&self) -> Vec<[String; 2]> {
        let spell = |name: &str, value: Option<&str>| match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        };
        let flags = self.instruction.flags.iter().map(|flag| {
            let expanded = flag.value.as_deref().map(|value| self.expand(value));
            [spell(&flag.name, flag.value.as_deref()), spell(&flag.name, expanded.as_deref())]
        });
        flags.collect()
    }

    /// The words of the arguments, expanded.
    fn words(&self) -> Vec<String> {
        let words = self
            .instruction
            .json()
            .unwrap_or_else(|| self.instruction.arguments.split_whitespace().map(str::to_owned).collect());
        words.iter().map(|word| self.expand(word)).collect()
    }

    fn copy(&self) -> Vec<HistoryForm> {
        let keyword = self.instruction.keyword;
        let mut words = self.words();
        let destination = words.pop().unwrap_or_default();
        // BuildKit writes files first, then here-documents.
        let documents = &self.instruction.here_documents;
        if !documents.is_empty() {
            words.retain(|word| here_document_word(word).is_none());
            words.extend(documents.iter().map(|document| format!("<<{}", document.name)));
        }
        words.push(destination.clone());
        let flags = self.flags();
        let buildkit = HistoryForm::of(&format!("{keyword} {} # buildkit", words.join(" ")));
        let with_content = |form: HistoryForm| if documents.is_empty() { form } else { form.loose() };
        let mut forms: Vec<HistoryForm> =
            buildkit.into_iter().map(|form| with_content(form).with_flags(&flags)).collect();
        // The other builders write hashes instead of the files.
        for sources in [format!("file:{UNKNOWN}"), UNKNOWN.to_string()] {
            let step = format!("{keyword} {sources} in {destination}");
            forms.extend(HistoryForm::of(&self.classic(&step)).map(HistoryForm::loose));
        }
        let unexpanded = self.instruction.arguments.split_whitespace().next_back().unwrap_or("");
        forms.extend(HistoryForm::of(&format!("/bin/sh -c #(nop) {keyword} file:0 in {unexpanded}")));
        forms
    }

    fn keys_and_values(&self) -> Vec<HistoryForm> {
        let mut text = String::new();
        for (name, value) in pairs(&self.instruction.arguments, self.escape) {
            text.push_str(&format!(" {}={}", self.expand(&name), self.expand(&value)));
        }
        self.step(text.trim_start())
    }

    /// `ARG a=b`: the build decides the value, so only the names count.
    fn argument(&self) -> Vec<HistoryForm> {
        let words = split_words(&self.instruction.arguments, self.escape).unwrap_or_default();
        let names: Vec<&str> = words.iter().map(|word| word.split('=').next().unwrap_or(word)).collect();
        let any: Vec<String> = names.iter().map(|name| format!("{name}={UNKNOWN}")).collect();
        // Buildah writes the names of all arguments in force.
        let in_force: Vec<&str> = self.arguments_in_force.iter().map(String::as_str).collect();
        let texts = [names.join(" "), any.join(" "), in_force.join(" ")];
        texts.iter().flat_map(|text| self.step(text)).collect()
    }

    fn workdir(&self) -> Vec<HistoryForm> {
        let root = if self.directory.is_empty() { "/" } else { self.directory };
        // Docker 20.10 leaves an absolute path as it is.
        let written = self.expand(&self.instruction.arguments);
        let written = if written.starts_with('/') { written } else { root.to_owned() };
        let slash = format!("{}/", clean(&written));
        [self.step(root), self.step(&written), self.step(&slash)].concat()
    }

    fn command(&self) -> Vec<HistoryForm> {
        if let Some(words) = self.instruction.json() {
            return self.step(&format!("[{}]", quote_all(&words)));
        }
        // The base image's shell is unknown.
        let shell = match self.shell {
            None if self.has_base => UNKNOWN.to_string(),
            _ => format!("{} ", quote_all(&self.shell())),
        };
        let mut forms = self.step(&format!("[{shell}{}]", quote(&self.instruction.arguments)));
        if self.instruction.arguments.is_empty() {
            // The classic builder passes an empty command to a shell, or omits the shell too.
            forms.extend(self.step(&format!("[{}]", shell.trim_end())));
            forms.extend(self.step("[]"));
        }
        forms
    }

    /// BuildKit and the classic builder write a Go value whose times differ between versions.
    fn healthcheck(&self) -> Vec<HistoryForm> {
        let arguments = &self.instruction.arguments;
        let (kind, command) = arguments.split_once(char::is_whitespace).unwrap_or((arguments, ""));
        let command = command.trim();
        let words: Vec<String> = if kind.eq_ignore_ascii_case("NONE") {
            vec!["NONE".to_owned()]
        } else if let Ok(words) = serde_json::from_str::<Vec<String>>(command) {
            std::iter::once("CMD".to_owned()).chain(words).collect()
        } else {
            vec!["CMD-SHELL".to_owned(), command.to_owned()]
        };
        self.step(&format!("&{{[{}] {UNKNOWN}", quote_all(&words)))
    }

    fn expose(&self) -> Vec<HistoryForm> {
        let expanded: Vec<String> = self
            .words()
            .iter()
            .flat_map(|word| word.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let mut sorted = expanded.clone();
        sorted.sort();
        let mut forms = match ports(&expanded) {
            Some(ports) => {
                let map: Vec<String> = ports.iter().map(|port| format!("{port}:{{}}")).collect();
                [self.step(&format!("map[{}]", map.join(" "))), self.step(&format!("[{}]", ports.join(" ")))]
                    .concat()
            }
            None => self.step(&format!("map[{UNKNOWN}]")),
        };
        forms.extend(self.step(&sorted.join(" ")));
        forms
    }

    /// A list of texts in Go's notation.
    fn list(&self, words: Vec<String>) -> Vec<HistoryForm> {
        self.step(&format!("[{}]", words.join(" ")))
    }
}

/// The form as stored in a history without values.
fn without_values(form: &HistoryForm) -> Vec<HistoryForm> {
    let Some(instruction) = Instruction::from_history(&form.text) else { return Vec::new() };
    let reduced = instruction.without_values();
    if reduced == instruction {
        return Vec::new();
    }
    let text = reduced.as_str().to_owned();
    let mut forms = vec![HistoryForm { text: text.clone(), whole: None, flags: None, exact: false }];
    if form.text.contains(UNKNOWN) {
        // More keys may follow an unknown value.
        forms.push(HistoryForm { text: format!("{text} {UNKNOWN}"), whole: None, flags: None, exact: false });
    }
    forms
}

/// The ports of `EXPOSE 80 53/udp 8000-8002`, sorted and written like Docker's `nat` package.
fn ports(words: &[String]) -> Option<Vec<String>> {
    let mut ports = BTreeSet::new();
    for word in words {
        let (range, protocol) = word.rsplit_once('/').unwrap_or((word, "tcp"));
        // `127.0.0.1:8080:80`: the container's port comes last.
        let range = range.rsplit(':').next().unwrap_or(range);
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last.checked_sub(first)? > MAX_PORTS {
            return None;
        }
        ports.extend((first..=last).map(|port| format!("{port}/{}", protocol.to_ascii_lowercase())));
    }
    Some(ports.into_iter().collect())
}

fn quote_all(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// Quotes like Go's `%q`, whose treatment of characters outside ASCII depends on its tables.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_ascii() || c.is_alphanumeric() => quoted.push(c),
            _ => quoted.push(UNKNOWN),
        }
    }
    quoted.push('"');
    quoted
}

/// A path without `.`, `..`, double slashes and a trailing slash.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            // The parent of an unknown path is unknown too.
            ".." if parts.last().is_some_and(|last| last.contains(UNKNOWN)) => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let start = if path.starts_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("{start}{}", parts.join("/"))
}
