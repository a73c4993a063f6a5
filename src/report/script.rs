//! The commands of a `RUN` as written in the Dockerfile, with the position of each word, so that text can be inserted
//! after it. Scripts with more than words, quotes and operators are not parsed: nothing is inserted into a script that
//! is not understood.

use crate::shell::{Part, Tokenizer};

/// A script of plain words.
pub(super) struct PlainScript<'a> {
    /// The instruction as written, including `RUN`.
    pub text: &'a str,
    commands: Vec<PlainCommand<'a>>,
    /// The operators between the commands.
    operators: Vec<&'a str>,
}

/// One command.
#[derive(Default)]
pub(super) struct PlainCommand<'a> {
    words: Vec<&'a str>,
    ends: Vec<usize>,
}

/// Keywords that only decide which commands run, and that may precede one.
const BEFORE: [&str; 8] = ["then", "do", "else", "!", "{", "if", "while", "time"];

impl<'a> PlainCommand<'a> {
    /// The program, without variables set for it alone.
    pub fn program(&self) -> &'a str {
        self.words.get(self.first()).copied().unwrap_or_default()
    }

    /// The program and its arguments.
    pub fn words(&self) -> &[&'a str] {
        self.words.get(self.first()..).unwrap_or_default()
    }

    fn first(&self) -> usize {
        let is_before = |word: &&str| {
            BEFORE.contains(word) || word.split_once('=').is_some_and(|(name, _)| is_name(name))
        };
        self.words.iter().take_while(|word| is_before(word)).count()
    }

    /// Adds the word that ends here, if one has begun.
    fn add(&mut self, text: &'a str, start: Option<usize>, end: usize) {
        if let Some(word) = start.and_then(|start| text.get(start..end)) {
            self.words.push(word);
            self.ends.push(end);
        }
    }

    /// The end of a word in the script's text.
    pub fn after(&self, word: &str) -> Option<usize> {
        let at = self.words.iter().skip(self.first()).position(|one| *one == word)? + self.first();
        self.ends.get(at).copied()
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl<'a> PlainScript<'a> {
    /// Parses an instruction in shell form. `None` for anything that is not plain.
    pub fn of_run(text: &'a str) -> Option<PlainScript<'a>> {
        let start = text.len() - text.trim_start().len();
        let keyword = text.get(start..start + 3)?;
        if !keyword.eq_ignore_ascii_case("RUN") || text.contains(['`', '\r']) || text.contains("$(") {
            return None;
        }
        let from = start + 3;
        let mut script = PlainScript { text, commands: Vec::new(), operators: Vec::new() };
        let (mut command, mut word, mut quoted) = (PlainCommand::default(), None, false);
        let mut tokens = Tokenizer::new(text.get(from..)?);
        while let Some((part, span)) = tokens.part() {
            let (at, end) = (from + span.start, from + span.end);
            match part {
                // Input from elsewhere, or a comment between the lines, is not plain.
                Part::Comment => return None,
                Part::Redirection(operator) if operator.starts_with('<') => return None,
                Part::Blank | Part::Newline => command.add(text, word.take(), at),
                Part::Nothing if !quoted && text[at..].starts_with('\\') => {
                    command.add(text, word.take(), at)
                }
                Part::Operator(operator) => {
                    command.add(text, word.take(), at);
                    script.end(std::mem::take(&mut command), operator);
                }
                // The file that follows `>` counts as a separate word, unless it follows immediately.
                _ => {
                    quoted ^= part == Part::Quote;
                    word.get_or_insert(at);
                }
            }
            if tokens.rest().is_empty() {
                command.add(text, word.take(), end);
            }
        }
        script.end(command, "");
        tokens.is_closed().then_some(script)
    }

    fn end(&mut self, command: PlainCommand<'a>, operator: &'a str) {
        if !command.words.is_empty() {
            self.commands.push(command);
        }
        if !operator.is_empty() {
            self.operators.push(operator);
        }
    }

    /// The commands in order.
    pub fn commands(&self) -> &[PlainCommand<'a>] {
        &self.commands
    }

    /// Whether all commands are joined with `&&`.
    pub fn is_plain(&self) -> bool {
        self.operators.iter().all(|operator| *operator == "&&")
    }

    /// Whether all of its commands run, one after the other, unless one fails.
    pub fn runs_all(&self) -> bool {
        const KEYWORDS: [&str; 10] =
            ["if", "then", "else", "elif", "while", "until", "for", "case", "!", "time"];
        let is_bare =
            |command: &PlainCommand<'_>| command.words.first().is_some_and(|word| !KEYWORDS.contains(word));
        self.operators.iter().all(|operator| matches!(*operator, "&&" | ";"))
            && self.commands.iter().all(is_bare)
    }

    /// Whether `&& COMMAND` at its end would run after everything else.
    pub fn may_be_followed(&self) -> bool {
        let ends = |command: &PlainCommand<'_>| matches!(command.program(), "exit" | "exec" | "return");
        let is_open = self.text.trim_end().ends_with(['&', '|', ';', '\\']);
        !is_open && !self.commands.iter().any(ends) && !self.operators.contains(&"&")
    }
}
