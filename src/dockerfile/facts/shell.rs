//! The commands of a shell script, as far as they can be told without running it.
//!
//! Words are split, unquoted and expanded as POSIX shells do (POSIX.1, "Shell Command Language"). What
//! decides which commands run is left out, save where it is certain: `[ "$X" = yes ]` on an argument of
//! the build says which side of an `if`, `&&` or `||` runs (`conditions.rs`); else both sides count. What
//! comes out of commands and of variables that nothing here sets is unknown. Scripts are untrusted input: each
//! text is read once for each level that it is nested in, and the levels are counted.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::conditions::{Conditions, truth_of};
use crate::dockerfile::expand::{Environment, UNKNOWN};
use crate::tools::tools;

/// `$(...)` and `sh -c` may go this deep.
const MAX_DEPTH: usize = 8;
/// Longer names are no variables.
const MAX_NAME: usize = 128;
/// More commands in one script are not looked at.
const MAX_COMMANDS: usize = 100_000;

/// Words that only say which commands run.
const KEYWORDS: [&str; 12] =
    ["if", "then", "elif", "else", "fi", "do", "done", "while", "until", "!", "{", "}"];

/// Who is told of the commands.
pub(super) trait Receiver {
    /// One command: its program and arguments. An argument may have [`UNKNOWN`] in it.
    fn command(&mut self, words: &[String]) -> CommandInput;

    /// A shell reads commands that are not in the text: `curl ... | sh`.
    fn reads_unknown(&mut self) {}

    /// What follows is run by a shell of its own: where it goes to and what it sets is lost with it.
    fn enters(&mut self) {}

    /// The end of that shell. Each that is entered is left, one after the other.
    fn leaves(&mut self) {}
}

/// Where a command takes further commands from.
pub(super) enum CommandInput {
    /// From nowhere.
    None,
    /// From this text: `sh -c`.
    Script(String),
    /// From what it reads.
    Lines,
}

/// A shell that runs nothing.
pub(super) struct Shell<'a, R> {
    environment: &'a Environment,
    /// What the script itself sets.
    variables: BTreeMap<String, String>,
    commands: usize,
    /// Whether what is read is certain not to run.
    skips: bool,
    /// Whether a word was expanded from what the script sets, which an untaken branch may have set.
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

    /// Tells the receiver of all commands of a script.
    pub(super) fn run(&mut self, script: &str) {
        self.read(script, 0);
    }

    /// The same of one command, whose words need no reading.
    pub(super) fn run_words(&mut self, words: &[String]) {
        if let CommandInput::Script(script) = self.receiver.command(words) {
            self.read_apart(&script, 1);
        }
    }

    /// Reads what another shell runs.
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

    /// The value of a variable, or what is unknown.
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

    /// `for`, `read` and assignments change variables; all else is for the receiver.
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

/// Whether nothing of a text is known.
pub(super) fn is_unknown(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == UNKNOWN)
}

/// `name=value` and `name+=value`, by name and value; the name keeps its plus.
pub(super) fn assignment(word: &str) -> Option<(&str, &str)> {
    let end = word.char_indices().take(MAX_NAME).find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '_')?.0;
    if end == 0 || word.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = &word[end..];
    let plus = usize::from(rest.starts_with('+'));
    Some((&word[..end + plus], rest[plus..].strip_prefix('=')?))
}

/// What the next word is.
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
    rest: &'t str,
    /// The words of the command so far, and the one that is being read.
    words: Vec<String>,
    word: Option<String>,
    assignments: Vec<String>,
    next: Next,
    /// The here-documents that begin at the next line.
    documents: Vec<(String, bool)>,
    /// Whether a command of this line takes commands from what it reads.
    reads_commands: bool,
    subshells: usize,
    conditions: Conditions,
    /// Whether what this text stands in does not run.
    skips_all: bool,
}

impl<'s, 'a, 't, R: Receiver> ShellReader<'s, 'a, 't, R> {
    fn new(shell: &'s mut Shell<'a, R>, text: &'t str, depth: usize) -> ShellReader<'s, 'a, 't, R> {
        let skips_all = shell.skips;
        ShellReader {
            shell,
            depth,
            rest: text,
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
        while let Some(c) = self.character() {
            match c {
                '\n' => {
                    self.end_command();
                    self.conditions.ended(c);
                    self.update_skips();
                    self.here_documents();
                }
                c if c.is_whitespace() => self.end_word(),
                ';' | '&' | '|' | '(' | ')' => self.operator(c),
                '<' | '>' => self.redirect(c),
                '#' if self.word.is_none() => {
                    self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
                }
                _ => self.part_of_word(c),
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

    fn character(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn skip(&mut self, start: &str) -> bool {
        let rest = self.rest.strip_prefix(start);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn push(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn push_character(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn part_of_word(&mut self, c: char) {
        match c {
            '\\' => match self.character() {
                None | Some('\n') => {}
                Some(c) => self.push_character(c),
            },
            '\'' => {
                let end = self.rest.find('\'').unwrap_or(self.rest.len());
                self.push(&self.rest[..end]);
                self.rest = self.rest.get(end + 1..).unwrap_or("");
            }
            '"' => self.double_quoted(),
            '`' => self.back_ticks(),
            '$' => self.dollar(false),
            c => self.push_character(c),
        }
    }

    fn double_quoted(&mut self) {
        self.push("");
        while let Some(c) = self.character() {
            match c {
                '"' => return,
                '`' => self.back_ticks(),
                '$' => self.dollar(true),
                '\\' => match self.character() {
                    None | Some('\n') => {}
                    Some(c) => {
                        // Before other characters it is itself.
                        if !matches!(c, '"' | '$' | '`' | '\\') {
                            self.push_character('\\');
                        }
                        self.push_character(c);
                    }
                },
                c => self.push_character(c),
            }
        }
    }

    fn back_ticks(&mut self) {
        let mut escaped = false;
        let end = self.rest.find(|c| {
            let ends = c == '`' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or(self.rest.len());
        let (inner, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or("");
        self.substitute(inner);
    }

    /// The output of a command is not known, and the command is run.
    fn substitute(&mut self, script: &str) {
        self.shell.read_apart(script, self.depth + 1);
        self.push_character(UNKNOWN);
    }

    fn nested(&mut self, close: u8) -> &'t str {
        let (inner, rest) = split_nested(self.rest, close);
        self.rest = rest;
        inner
    }

    fn dollar(&mut self, quoted: bool) {
        if self.skip("(") {
            let inner = self.nested(b')');
            return self.substitute(inner);
        }
        if self.skip("{") {
            let inner = self.nested(b'}');
            let value = self.braced(inner);
            return self.expanded(&value, quoted);
        }
        if !quoted && self.rest.starts_with(['\'', '"']) {
            // `$'a\n'` and `$"a"`: the dollar says how to read what is in the quotes.
            return;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        match (end, self.rest.chars().next()) {
            (0, Some('@' | '*' | '#' | '?' | '!' | '-' | '$')) => {
                self.character();
                self.push_character(UNKNOWN);
            }
            (0, _) => self.push("$"),
            (_, Some(c)) if c.is_ascii_digit() => {
                self.character();
                self.push_character(UNKNOWN);
            }
            _ => {
                let (name, rest) = self.rest.split_at(end);
                self.rest = rest;
                let value = self.shell.value(name);
                self.expanded(&value, quoted);
            }
        }
    }

    /// The text between `${` and `}`. Where it does more than name a variable that is known, what
    /// comes out is not.
    fn braced(&self, inner: &str) -> String {
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, operator) = inner.split_at(end);
        let value = self.shell.value(name);
        let takes_value = operator.is_empty()
            || [":-", ":=", ":?", "-", "=", "?"].iter().any(|start| operator.starts_with(start));
        if takes_value && !value.is_empty() { value } else { UNKNOWN.to_string() }
    }

    /// Outside quotes, a value may be several words.
    fn expanded(&mut self, value: &str, quoted: bool) {
        let is_assigned =
            self.words.is_empty() && self.word.as_deref().is_some_and(|w| assignment(w).is_some());
        if quoted || is_assigned {
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

    fn operator(&mut self, c: char) {
        let is_first = self.words.is_empty() && self.word.is_none();
        match c {
            '&' if self.skip(">") => self.redirect('>'),
            '&' | '|' if self.skip(c.encode_utf8(&mut [0; 4])) => {
                self.end_command();
                self.conditions.joined(c);
            }
            '(' if is_first => {
                self.conditions.group();
                self.shell.receiver.enters();
                self.subshells += 1;
            }
            '(' if self.word.as_deref().is_some_and(|word| word.ends_with('=')) => {
                // The values of an array: which of them is meant later is not followed.
                self.nested(b')');
                self.push_character(UNKNOWN);
            }
            '(' => {
                // `name()`: what follows is what the function does.
                self.drop_command();
                self.rest = self.rest.trim_start_matches([' ', '\t']);
                self.skip(")");
            }
            // The pattern of a `case`.
            ')' if self.subshells == 0 => {
                self.drop_command();
                self.conditions.group();
            }
            ')' => {
                self.end_command();
                self.leave();
            }
            _ => {
                self.end_command();
                self.conditions.ended(c);
            }
        }
        self.update_skips();
    }

    fn redirect(&mut self, c: char) {
        // `2>`: the number is not an argument.
        if self.word.as_deref().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        if self.skip("(") {
            let inner = self.nested(b')');
            return self.substitute(inner);
        }
        self.next = match c {
            '<' if self.skip("<<") => Next::Target,
            '<' if self.skip("<") => Next::Delimiter(self.skip("-")),
            _ => Next::Target,
        };
        if self.next == Next::Target {
            let after = self.rest.trim_start_matches(['>', '&', '|']);
            self.rest = after;
        }
    }

    /// The lines after one with `<<END`.
    fn here_documents(&mut self) {
        for (name, chomp) in std::mem::take(&mut self.documents) {
            let text = self.rest;
            let mut end = text.len();
            while !self.rest.is_empty() {
                let start = text.len() - self.rest.len();
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
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

/// The text up to the mark that closes it, and what follows; quotes and what is opened inside are
/// passed over.
fn split_nested(text: &str, close: u8) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut open = vec![close];
    let (mut at, mut before) = (0, 0);
    while at < bytes.len() {
        let (c, inner) = (bytes[at], open.last().copied().unwrap_or(close));
        match c {
            b'\\' if inner != b'\'' => at += 1,
            c if c == inner => {
                open.pop();
                if open.is_empty() {
                    return (&text[..at], &text[at + 1..]);
                }
            }
            _ if inner == b'\'' => {}
            b'"' => open.push(b'"'),
            b'\'' if inner != b'"' => open.push(b'\''),
            b'(' if inner == b')' || before == b'$' => open.push(b')'),
            b'{' if before == b'$' => open.push(b'}'),
            _ => {}
        }
        before = c;
        at += 1;
    }
    (text, "")
}
