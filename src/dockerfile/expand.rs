//! Expands variables in a Dockerfile as builders do (moby/buildkit, frontend/dockerfile/shell).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// Stands for any text where a value cannot be known: a variable of the base image, the platform. It is a noncharacter,
/// and is removed from every Dockerfile first.
pub const UNKNOWN: char = '\u{10ffff}';

/// Maximum depth of `${a:-${b:-...}}`.
const MAX_DEPTH: usize = 16;
/// Longer values count as unknown: `ENV A=$A$A`, repeated often enough, would fill all memory.
const MAX_VALUE: usize = 32 * 1024;
/// Maximum text from variables in total; after that they are unknown. A line of `$A$A$A` expands to much more than its
/// length.
const MAX_EXPANDED: usize = 8 << 20;

/// The variables in force at one point of a Dockerfile.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    values: BTreeMap<String, String>,
    /// Names that `ARG` set and `ENV` did not.
    arguments: BTreeSet<String>,
    /// Whether other names may have values: the base image's variables are unknown.
    open: bool,
    /// The approximate memory of the names and values.
    weight: usize,
    /// How much text has been expanded from variables.
    expanded: Cell<usize>,
}

impl Environment {
    /// The variables of an unknown image.
    pub(super) fn of_unknown_image() -> Environment {
        Environment { open: true, ..Environment::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(value) if self.charge(value.len()) => Some(value),
            Some(_) => Some("\u{10ffff}"),
            // `$1` and `$@` are unknown in any case: no builder sets them.
            None if self.open => Some("\u{10ffff}"),
            None => None,
        }
    }

    /// Counts text expanded from a variable; false if the total is too much.
    pub(super) fn charge(&self, length: usize) -> bool {
        let expanded = self.expanded.get().saturating_add(length);
        self.expanded.set(expanded);
        expanded <= MAX_EXPANDED
    }

    /// Continues another environment's count.
    pub(super) fn continue_from(&self, other: &Environment) {
        self.expanded.set(self.expanded.get().max(other.expanded.get()));
    }

    /// The approximate memory of a copy.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    fn insert(&mut self, name: &str, value: String) {
        self.weight += name.len() + value.len() + 100;
        if let Some(before) = self.values.insert(name.to_owned(), value) {
            self.weight = self.weight.saturating_sub(name.len() + before.len() + 100);
        }
    }

    /// `ENV name=value`.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.arguments.remove(name);
        self.insert(name, bounded(value));
    }

    /// `ARG name=value`. BuildKit lets it hide an `ENV` of the same name; the classic builder does not.
    pub(super) fn set_argument(&mut self, name: &str, value: String) {
        let is_variable = self.values.contains_key(name) && !self.arguments.contains(name);
        if is_variable && self.values.get(name) != Some(&value) {
            self.set_unknown(name);
        } else if !is_variable {
            self.arguments.insert(name.to_owned());
            self.insert(name, bounded(value));
        }
    }

    pub(super) fn set_unknown(&mut self, name: &str) {
        self.insert(name, UNKNOWN.to_string());
    }

    /// At the next `FROM` of a chain of stages: BuildKit carries arguments over; the classic builder and the Dockerfile
    /// reference do not.
    pub(super) fn enter_stage(&mut self) {
        for name in std::mem::take(&mut self.arguments) {
            self.set_unknown(&name);
        }
    }
}

/// Collapses adjacent unknown text into one.
fn bounded(mut value: String) -> String {
    if value.len() > MAX_VALUE {
        return UNKNOWN.to_string();
    }
    let mut last = None;
    value.retain(|c| last.replace(c) != Some(UNKNOWN) || c != UNKNOWN);
    value
}

/// One word without its quotes, with its variables expanded. If a builder would fail, the word is unknown.
pub(super) fn expand_word(word: &str, escape: char, environment: &Environment) -> String {
    let mut lexer = VariableLexer { rest: word.chars().peekable(), escape, environment, depth: 0 };
    lexer.until(None).map_or_else(|| UNKNOWN.to_string(), bounded)
}

struct VariableLexer<'a> {
    rest: Peekable<Chars<'a>>,
    escape: char,
    environment: &'a Environment,
    depth: usize,
}

impl VariableLexer<'_> {
    /// Everything up to `stop`, which is consumed, or to the end.
    fn until(&mut self, stop: Option<char>) -> Option<String> {
        let mut text = String::new();
        while let Some(c) = self.rest.peek().copied() {
            if text.len() > MAX_VALUE {
                return None;
            }
            if c == '$' {
                text.push_str(&self.variable()?);
                continue;
            }
            self.rest.next();
            match c {
                c if Some(c) == stop => return Some(text),
                '\'' => self.single_quoted(&mut text)?,
                '"' => self.double_quoted(&mut text)?,
                c if c == self.escape => text.extend(self.rest.next()),
                c => text.push(c),
            }
        }
        stop.is_none().then_some(text)
    }

    fn single_quoted(&mut self, text: &mut String) -> Option<()> {
        loop {
            match self.rest.next()? {
                '\'' => return Some(()),
                c => text.push(c),
            }
        }
    }

    fn double_quoted(&mut self, text: &mut String) -> Option<()> {
        while text.len() <= MAX_VALUE {
            if self.rest.peek() == Some(&'$') {
                text.push_str(&self.variable()?);
                continue;
            }
            match self.rest.next()? {
                '"' => return Some(()),
                c if c == self.escape => match self.rest.peek().copied() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => {
                        text.extend(self.rest.next());
                    }
                    // Before other characters it stands for itself.
                    _ => text.push(c),
                },
                c => text.push(c),
            }
        }
        None
    }

    /// `$name` and `${name...}`.
    fn variable(&mut self) -> Option<String> {
        self.rest.next();
        if self.rest.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                return Some("$".to_owned());
            }
            return Some(self.environment.get(&name).unwrap_or("").to_owned());
        }
        self.rest.next();
        let name = self.name();
        if name.is_empty() || self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let value = self.braced(&name);
        self.depth -= 1;
        value
    }

    fn braced(&mut self, name: &str) -> Option<String> {
        let value = self.environment.get(name);
        let mut operator = self.rest.next()?;
        let colon = operator == ':';
        if colon {
            operator = self.rest.next()?;
        }
        let missing = value.is_none_or(|value| colon && value.is_empty());
        // Whether an unknown value is empty is unknown too.
        let unsure = value.is_some_and(|value| !value.is_empty() && value.chars().all(|c| c == UNKNOWN));
        match operator {
            '}' if !colon => Some(value.unwrap_or("").to_owned()),
            '-' | '+' => {
                let other = self.until(Some('}'))?;
                Some(match (unsure, missing == (operator == '-')) {
                    (true, _) => UNKNOWN.to_string(),
                    (false, true) => other,
                    (false, false) if operator == '-' => value.unwrap_or("").to_owned(),
                    (false, false) => String::new(),
                })
            }
            '?' => {
                self.until(Some('}'))?;
                value.filter(|_| !missing).map(str::to_owned)
            }
            // `${name#pattern}`, `${name/a/b}` and future operators: some text.
            _ => {
                self.until(Some('}'))?;
                Some(UNKNOWN.to_string())
            }
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.rest.peek().copied() {
            let special = name.is_empty() && "@*#?-$!".contains(c);
            if !special && !c.is_alphanumeric() && c != '_' {
                break;
            }
            name.push(c);
            self.rest.next();
            // `$1x` is `$1` and an x.
            let digits = name.chars().all(|c| c.is_ascii_digit());
            if special || digits && !self.rest.peek().is_some_and(char::is_ascii_digit) {
                break;
            }
        }
        name
    }
}

/// Splits at blanks outside quotes, and keeps the quotes; `None` if one is not closed.
pub(super) fn split_words(text: &str, escape: char) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        word.push(c);
        // Inside single quotes nothing escapes.
        if c == escape && quote != Some('\'') {
            word.extend(rest.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// The delimiter of `<<NAME`, `<<-NAME`, `3<<"NAME"`, and whether tabs are dropped.
pub(super) fn here_document_word(word: &str) -> Option<(String, bool)> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (rest, chomp) = match rest.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    if rest.contains('<') || split_words(rest, '\\')?.len() != 1 {
        return None;
    }
    // Delimiters are not expanded; quotes only mean that the text is not expanded either.
    let name = expand_word(&rest.replace('$', "\\$"), '\\', &Environment::default());
    (!name.is_empty() && !name.contains(UNKNOWN)).then_some((name, chomp))
}
