//! The commands of a shell script, as far as they can be found without running it.
//!
//! Words are unquoted and expanded as POSIX shells do (POSIX.1, "Shell Command Language"). Conditions are ignored and
//! both sides count, unless the result is certain: `[ "$X" = yes ]` on a build argument tells which side of an `if`,
//! `&&` or `||` runs (`conditions.rs`). The output of commands, and variables that nothing here sets, are unknown.
//! Scripts are untrusted input: each text is read once for each level that it is nested in, and the levels are limited.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::conditions::{Conditions, truth_of};
use crate::dockerfile::expand::{Environment, UNKNOWN};
use crate::shell::{Part, Tokenizer};
use crate::tools::tools;

/// Maximum depth of `$(...)` and `sh -c`.
const MAX_DEPTH: usize = 8;
/// Longer names are not variables.
const MAX_NAME: usize = 128;
/// Maximum commands of one script; later ones are ignored.
const MAX_COMMANDS: usize = 100_000;

/// Words that only decide which commands run.
const KEYWORDS: [&str; 12] =
    ["if", "then", "elif", "else", "fi", "do", "done", "while", "until", "!", "{", "}"];

/// Receives the commands of a script.
pub(super) trait Receiver {
    /// One command: its program and arguments. An argument may have [`UNKNOWN`] in it.
    fn command(&mut self, words: &[String]) -> CommandInput;

    /// A shell reads commands that are not in the script: `curl ... | sh`.
    fn reads_unknown(&mut self) {}

    /// A subshell begins: its working directory and variables are lost at its end.
    fn enters(&mut self) {}

    /// The subshell ends. There is one call for each that was entered.
    fn leaves(&mut self) {}
}

/// The source of further commands.
pub(super) enum CommandInput {
    /// The command runs no others.
    None,
    /// This text: `sh -c`.
    Script(String),
    /// Its standard input.
    Lines,
}

/// A shell that reads scripts and runs nothing.
pub(super) struct Shell<'a, R> {
    environment: &'a Environment,
    /// The variables that the script itself sets.
    variables: BTreeMap<String, String>,
    commands: usize,
    /// Whether the current command certainly does not run.
    skips: bool,
    /// Whether a word was expanded from the script's own variables, which may come from a branch that is not taken.
    used_own: Cell<bool>,
    receiver: &'a mut R,
}

impl<'a, R: Receiver> Shell<'a, R> {
    pub(super) fn new(environment: &'a Environment, receiver: &'a mut R) -> Shell<'a, R> {
        Shell {
            environment,
            variables: BTreeMap::new(),
            commands: 0,
            skips: false,
            used_own: Cell::new(false),
            receiver,
        }
    }

    /// Passes all commands of a script to the receiver.
    pub(super) fn run(&mut self, script: &str) {
        self.read(script, 0);
    }

    /// The same for one command that is already split into words.
    pub(super) fn run_words(&mut self, words: &[String]) {
        if let CommandInput::Script(script) = self.receiver.command(words) {
            self.read_apart(&script, 1);
        }
    }

    /// Reads a script that another shell runs.
    fn read_apart(&mut self, text: &str, depth: usize) {
        self.receiver.enters();
        self.read(text, depth);
        self.receiver.leaves();
    }

    fn read(&mut self, text: &str, depth: usize) {
        if depth <= MAX_DEPTH {
            ShellReader::new(self, text, depth).read();
        }
    }

    /// The value of a variable, or unknown text.
    fn value(&self, name: &str) -> String {
        let own = self.variables.get(name).map(String::as_str);
        self.used_own.set(self.used_own.get() || own.is_some());
        let known = own.or_else(|| self.environment.get(name)).filter(|value| !is_unknown(value));
        let convention = || {
            let known = tools().conventions.iter().find(|(known, _)| known == name);
            known.map(|(_, value)| value.as_str())
        };
        match known.or_else(convention) {
            Some(value) if self.environment.charge(value.len()) => value.to_owned(),
            _ => UNKNOWN.to_string(),
        }
    }

    /// `for`, `read` and assignments change variables; all other commands go to the receiver.
    fn command(&mut self, words: &[String]) -> CommandInput {
        self.commands += 1;
        if self.commands > MAX_COMMANDS || self.skips {
            return CommandInput::None;
        }
        let Some((program, arguments)) = words.split_first() else { return CommandInput::None };
        match program.as_str() {
            "for" | "select" => self.forget(arguments.get(..1).unwrap_or_default()),
            "read" | "unset" | "mapfile" | "getopts" => self.forget(arguments),
            "export" | "local" | "declare" | "readonly" | "typeset" => {
                arguments.iter().for_each(|word| self.assign(word));
            }
            _ => return self.receiver.command(words),
        }
        CommandInput::None
    }

    fn forget(&mut self, names: &[String]) {
        for name in names {
            self.variables.insert(name.clone(), UNKNOWN.to_string());
        }
    }

    /// `name=value` and `name+=value`.
    fn assign(&mut self, word: &str) {
        if self.skips {
            return;
        }
        if let Some((name, value)) = assignment(word) {
            let value = match name.strip_suffix('+') {
                Some(name) => format!("{}{value}", self.value(name)),
                None => value.to_owned(),
            };
            self.variables.insert(name.trim_end_matches('+').to_owned(), value);
        }
    }
}

/// Whether all of a text is unknown.
pub(super) fn is_unknown(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == UNKNOWN)
}

/// `name=value` and `name+=value`, split into name and value; the name keeps its plus.
pub(super) fn assignment(word: &str) -> Option<(&str, &str)> {
    let end = word.char_indices().take(MAX_NAME).find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '_')?.0;
    if end == 0 || word.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = &word[end..];
    let plus = usize::from(rest.starts_with('+'));
    Some((&word[..end + plus], rest[plus..].strip_prefix('=')?))
}

/// The role of the next word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Word,
    /// The file of a redirection.
    Target,
    /// The name that ends a here-document, and whether tabs before it are dropped.
    Delimiter(bool),
}

/// The state of reading one text.
struct ShellReader<'s, 'a, 't, R> {
    shell: &'s mut Shell<'a, R>,
    depth: usize,
    tokens: Tokenizer<'t>,
    /// Whether the position is inside double quotes.
    quoted: bool,
    /// The words of the current command so far, and the word being read.
    words: Vec<String>,
    word: Option<String>,
    assignments: Vec<String>,
    next: Next,
    /// The here-documents that begin on the next line.
    documents: Vec<(String, bool)>,
    /// Whether a command of this line reads commands from its standard input.
    reads_commands: bool,
    subshells: usize,
    conditions: Conditions,
    /// Whether the surrounding text does not run.
    skips_all: bool,
}

impl<'s, 'a, 't, R: Receiver> ShellReader<'s, 'a, 't, R> {
    fn new(shell: &'s mut Shell<'a, R>, text: &'t str, depth: usize) -> ShellReader<'s, 'a, 't, R> {
        let skips_all = shell.skips;
        ShellReader {
            shell,
            depth,
            tokens: Tokenizer::new(text),
            quoted: false,
            words: Vec::new(),
            word: None,
            assignments: Vec::new(),
            next: Next::Word,
            documents: Vec::new(),
            reads_commands: false,
            subshells: 0,
            conditions: Conditions::default(),
            skips_all,
        }
    }

    fn read(mut self) {
        while let Some((part, _)) = self.tokens.part() {
            match part {
                Part::Newline => {
                    self.end_command();
                    self.conditions.ended('\n');
                    self.update_skips();
                    self.here_documents();
                }
                Part::Blank => self.end_word(),
                Part::Comment | Part::Nothing => {}
                Part::Operator(operator) => self.operator(operator),
                Part::Redirection(operator) => self.redirect(operator),
                Part::Text(text) | Part::Single(text) => self.push(text),
                Part::Escaped(c) => self.push_character(c),
                Part::Quote => {
                    self.quoted = !self.quoted;
                    self.push("");
                }
                Part::Command(script) => self.substitute(script),
                Part::Variable(name) => self.variable(name),
                Part::Braced(inner) => {
                    let value = self.braced(inner);
                    self.expanded(&value);
                }
            }
        }
        self.end_command();
        while self.subshells > 0 {
            self.leave();
        }
        self.shell.skips = self.skips_all;
    }

    fn update_skips(&mut self) {
        self.shell.skips = self.skips_all || self.conditions.skips();
    }

    fn leave(&mut self) {
        self.shell.receiver.leaves();
        self.subshells -= 1;
    }

    fn push(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn push_character(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    /// The output of a command substitution is unknown, and its command runs.
    fn substitute(&mut self, script: &str) {
        self.shell.read_apart(script, self.depth + 1);
        self.push_character(UNKNOWN);
    }

    fn variable(&mut self, name: &str) {
        if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            let value = self.shell.value(name);
            self.expanded(&value);
        } else {
            self.push_character(UNKNOWN);
        }
    }

    /// The text between `${` and `}`. Unless it only names a known variable, the result is unknown.
    fn braced(&self, inner: &str) -> String {
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, operator) = inner.split_at(end);
        let value = self.shell.value(name);
        let takes_value = operator.is_empty()
            || [":-", ":=", ":?", "-", "=", "?"].iter().any(|start| operator.starts_with(start));
        if takes_value && !value.is_empty() { value } else { UNKNOWN.to_string() }
    }

    /// Outside quotes, a value may become several words.
    fn expanded(&mut self, value: &str) {
        let is_assigned =
            self.words.is_empty() && self.word.as_deref().is_some_and(|w| assignment(w).is_some());
        if self.quoted || is_assigned {
            return self.push(value);
        }
        for c in value.chars() {
            if c.is_whitespace() {
                self.end_word();
            } else {
                self.push_character(c);
            }
        }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match std::mem::replace(&mut self.next, Next::Word) {
            Next::Target => {}
            Next::Delimiter(chomp) => self.documents.push((word, chomp)),
            Next::Word if !self.words.is_empty() => self.words.push(word),
            Next::Word if KEYWORDS.contains(&word.as_str()) => {
                self.conditions.keyword(&word);
                self.update_skips();
            }
            Next::Word if assignment(&word).is_some() => self.assignments.push(word),
            Next::Word => self.words.push(word),
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.next = Next::Word;
        let (words, assignments) = (std::mem::take(&mut self.words), std::mem::take(&mut self.assignments));
        let used_own = self.shell.used_own.replace(false);
        if words.is_empty() {
            return assignments.iter().for_each(|word| self.shell.assign(word));
        }
        self.conditions.command(truth_of(&words).filter(|_| !used_own && assignments.is_empty()));
        match self.shell.command(&words) {
            CommandInput::None => {}
            CommandInput::Script(script) => self.shell.read_apart(&script, self.depth + 1),
            CommandInput::Lines if self.documents.is_empty() => self.shell.receiver.reads_unknown(),
            CommandInput::Lines => self.reads_commands = true,
        }
    }

    fn drop_command(&mut self) {
        (self.word, self.next) = (None, Next::Word);
        self.words.clear();
        self.assignments.clear();
    }

    fn operator(&mut self, operator: &str) {
        let is_first = self.words.is_empty() && self.word.is_none();
        match operator {
            "&&" | "||" => {
                self.end_command();
                self.conditions.joined(if operator == "&&" { '&' } else { '|' });
            }
            "(" if is_first => {
                self.conditions.group();
                self.shell.receiver.enters();
                self.subshells += 1;
            }
            "(" if self.word.as_deref().is_some_and(|word| word.ends_with('=')) => {
                // The values of an array: which one is used later is ignored.
                self.tokens.nested(b')');
                self.push_character(UNKNOWN);
            }
            "(" => {
                // `name()`: the function's body follows.
                self.drop_command();
                let rest = self.tokens.rest();
                let inner = rest.trim_start_matches([' ', '\t']);
                self.tokens.skip(rest.len() - inner.strip_prefix(')').unwrap_or(inner).len());
            }
            // The end of a pattern of a `case`.
            ")" if self.subshells == 0 => {
                self.drop_command();
                self.conditions.group();
            }
            ")" => {
                self.end_command();
                self.leave();
            }
            _ => {
                self.end_command();
                operator.chars().for_each(|c| self.conditions.ended(c));
            }
        }
        self.update_skips();
    }

    fn redirect(&mut self, operator: &str) {
        // `2>`: the number is not an argument.
        if self.word.as_deref().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        if matches!(operator, "<" | ">" | "&>") && self.tokens.rest().starts_with('(') {
            self.tokens.skip(1);
            let inner = self.tokens.nested(b')');
            return self.substitute(inner);
        }
        self.next = match operator {
            "<<" => Next::Delimiter(false),
            "<<-" => Next::Delimiter(true),
            _ => Next::Target,
        };
    }

    /// The lines after one with `<<END`.
    fn here_documents(&mut self) {
        for (name, chomp) in std::mem::take(&mut self.documents) {
            let text = self.tokens.rest();
            let mut end = text.len();
            while !self.tokens.rest().is_empty() {
                let rest = self.tokens.rest();
                let start = text.len() - rest.len();
                let line = rest.split('\n').next().unwrap_or(rest);
                self.tokens.skip((line.len() + 1).min(rest.len()));
                let line = line.trim_end_matches('\r');
                if name == if chomp { line.trim_start_matches('\t') } else { line } {
                    end = start;
                    break;
                }
            }
            if self.reads_commands {
                self.shell.read_apart(&text[..end], self.depth + 1);
            }
        }
        self.reads_commands = false;
    }
}
