//! The commands of a `RUN` as they stand in the Dockerfile, with the place of each word, so that one can be put
//! behind another. A script that needs more than words, quotes and operators is not read: nothing is put into what
//! is not understood.

/// A script whose words are all in plain sight.
pub(super) struct PlainScript<'a> {
    /// The instruction as it stands, `RUN` included.
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

/// What only decides which commands run, and which stands before one.
const BEFORE: [&str; 8] = ["then", "do", "else", "!", "{", "if", "while", "time"];

impl<'a> PlainCommand<'a> {
    /// The program, without what is set for it alone.
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

    /// Where a word ends in the script's text.
    pub fn after(&self, word: &str) -> Option<usize> {
        let at = self.words.iter().skip(self.first()).position(|one| *one == word)? + self.first();
        self.ends.get(at).copied()
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl<'a> PlainScript<'a> {
    /// Reads an instruction in the shell's language. `None` for what is not plain.
    pub fn of_run(text: &'a str) -> Option<PlainScript<'a>> {
        let start = text.len() - text.trim_start().len();
        let keyword = text.get(start..start + 3)?;
        if !keyword.eq_ignore_ascii_case("RUN") || text.contains(['`', '\r']) || text.contains("$(") {
            return None;
        }
        let mut script = PlainScript { text, commands: Vec::new(), operators: Vec::new() };
        let (mut command, mut at) = (PlainCommand::default(), start + 3);
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            if let Some(more) = rest.strip_prefix("\\\n") {
                at = text.len() - more.len();
            } else if c.is_whitespace() {
                at += c.len_utf8();
            } else if let Some(operator) = operator(rest) {
                script.end(std::mem::take(&mut command), operator);
                at += operator.len();
            } else {
                // A comment between the lines, and what is read from elsewhere.
                let end = at + word(rest).filter(|_| !matches!(c, '#' | '<'))?;
                command.words.push(&text[at..end]);
                command.ends.push(end);
                at = end;
            }
        }
        script.end(command, "");
        Some(script)
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

    /// Whether each command follows the one before it, and nothing else.
    pub fn is_plain(&self) -> bool {
        self.operators.iter().all(|operator| *operator == "&&")
    }

    /// Whether `&& COMMAND` at its end runs once all of it was done.
    pub fn may_be_followed(&self) -> bool {
        let ends = |command: &PlainCommand<'_>| matches!(command.program(), "exit" | "exec" | "return");
        let is_open = self.text.trim_end().ends_with(['&', '|', ';', '\\']);
        !is_open && !self.commands.iter().any(ends) && !self.operators.contains(&"&")
    }
}

/// The operator that a text starts with (POSIX.1, "Shell Command Language", "Token Recognition").
fn operator(text: &str) -> Option<&str> {
    let known = ["&&", "||", ";;", ";", "|", "&", "(", ")"];
    let found = known.into_iter().find(|operator| text.starts_with(operator))?;
    text.get(..found.len())
}

/// How long the word is that a text starts with; `None` if a quote of it does not end, or something is redirected
/// within it.
fn word(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None | Some('"'), '\\') => match text[at..].starts_with("\\\n") && quote.is_none() {
                true => return Some(at),
                false => escaped = true,
            },
            (None, '\'' | '"') => quote = Some(c),
            (None, '<') => return None,
            (None, '>') => return Some(at + redirection(&text[at..])),
            (None, '&' | '|' | ';' | '(' | ')') => return Some(at),
            (None, _) if c.is_whitespace() => return Some(at),
            _ => {}
        }
    }
    (quote.is_none() && !escaped).then_some(text.len())
}

/// How long `>/dev/null`, `>&2` or a `>` alone is: the file that follows it counts as a word.
fn redirection(text: &str) -> usize {
    let rest = text.trim_start_matches('>');
    let rest = rest.strip_prefix('&').unwrap_or(rest);
    let end = rest.find(|c: char| c.is_whitespace() || "&|;()<>".contains(c)).unwrap_or(rest.len());
    text.len() - rest.len() + end
}
