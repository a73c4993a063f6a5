//! The commands of a `RUN`, if they are certain: a sequence of simple commands, joined by `&&` and `;`, whose input may
//! come from `yes`, `echo` or `printf`. Anything else is not split, and stays with the build.

use crate::dockerfile::SourceInstruction;
use crate::shell::{Part, Tokenizer};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShellCommand {
    /// The words without quotes; variables stay unexpanded.
    pub words: Vec<String>,
    /// The text as written, with the command that supplies its input.
    pub text: String,
}

impl ShellCommand {
    /// The program, without its directory.
    pub fn program(&self) -> &str {
        let program = self.words.iter().find(|word| !is_assignment(word)).map_or("", String::as_str);
        program.rsplit('/').next().unwrap_or(program)
    }

    /// The words after the program.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words.iter().skip_while(|word| is_assignment(word)).skip(1).map(String::as_str)
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The commands of a `RUN`, or `None` if they are not certain.
pub(super) fn commands(instruction: &SourceInstruction) -> Option<Vec<ShellCommand>> {
    if let Some(words) = instruction.json() {
        // A command that runs without a shell cannot be cut out of a shell script.
        return Some(vec![ShellCommand { words, text: String::new() }]);
    }
    match instruction.here_documents.as_slice() {
        [] => split(&instruction.arguments),
        [script] if instruction.arguments.trim_start().starts_with("<<") => {
            // Only the here-document; a shell after it would be a different reader.
            let alone = instruction.arguments.split_whitespace().count() == 1;
            if alone { split(&script.content) } else { None }
        }
        _ => None,
    }
}

/// Splits a script; gives up at conditions, loops and commands that read input.
pub(super) fn split(script: &str) -> Option<Vec<ShellCommand>> {
    let mut reader = ScriptReader::default();
    let mut tokens = Tokenizer::new(script);
    let mut quoted = false;
    while let Some((part, span)) = tokens.part() {
        let written = script.get(span)?;
        match part {
            Part::Newline | Part::Operator(";" | "&&") => reader.end_command(),
            Part::Operator("|") if reader.only_says() => reader.give_input(),
            Part::Operator(_) | Part::Comment => return None,
            Part::Redirection(operator) => {
                let target = target(tokens.rest());
                tokens.skip(target.len());
                reader.redirect(operator, target)?;
            }
            Part::Blank => {
                reader.end_word();
                reader.text.push_str(written);
            }
            // A backslash inside double quotes.
            Part::Escaped(_) | Part::Nothing if quoted => return None,
            Part::Text(text) if quoted && text.starts_with('\\') => return None,
            Part::Nothing if written.starts_with('\\') => reader.text.push(' '),
            Part::Escaped(c) => reader.push(c.encode_utf8(&mut [0; 4]), written),
            Part::Single(text) => reader.push(text, written),
            Part::Quote => {
                quoted = !quoted;
                reader.push("", written);
            }
            Part::Command(_) if !quoted || written.starts_with('`') => return None,
            // Variables stay unexpanded.
            Part::Text(_) | Part::Variable(_) | Part::Braced(_) | Part::Command(_) | Part::Nothing => {
                reader.push(written, written);
            }
        }
    }
    reader.end_command();
    let decides = |command: &ShellCommand| DECIDING.contains(&command.program());
    (tokens.is_closed() && !reader.commands.iter().any(decides)).then_some(reader.commands)
}

/// The target file of a redirection, with the blanks before it.
fn target(text: &str) -> &str {
    let file = text.trim_start_matches([' ', '\t']);
    let end = file.find(|c: char| c.is_whitespace() || c == ';').unwrap_or(file.len());
    &text[..text.len() - file.len() + end]
}

/// Words that start compound commands and others that cannot be split.
const DECIDING: [&str; 14] =
    ["if", "for", "while", "until", "case", "!", "then", "do", "eval", "exec", "function", ".", "{", "}"];

/// Programs that output their arguments.
const SAYING: [&str; 3] = ["yes", "echo", "printf"];

#[derive(Default)]
struct ScriptReader {
    commands: Vec<ShellCommand>,
    words: Vec<String>,
    word: Option<String>,
    text: String,
}

impl ScriptReader {
    fn push(&mut self, text: &str, written: &str) {
        self.word.get_or_insert_default().push_str(text);
        self.text.push_str(written);
    }

    /// `>/dev/null` and `2>&1`, which only silence a command.
    fn redirect(&mut self, operator: &str, target: &str) -> Option<()> {
        if self.word.as_deref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        self.text.push_str(operator);
        self.text.push_str(target);
        matches!((operator, target.trim()), (">", "/dev/null") | (">&", "1" | "2")).then_some(())
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    /// Whether the command so far only writes output, and reads nothing.
    fn only_says(&mut self) -> bool {
        self.end_word();
        self.words.first().is_some_and(|program| SAYING.contains(&program.as_str()))
    }

    /// The output is the next command's input, and part of its text.
    fn give_input(&mut self) {
        self.words.clear();
        self.text.push('|');
    }

    fn end_command(&mut self) {
        self.end_word();
        let (words, text) = (std::mem::take(&mut self.words), std::mem::take(&mut self.text));
        if !words.is_empty() {
            self.commands.push(ShellCommand { words, text: text.trim().to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_in_a_row_are_told() {
        let told = |script: &str| {
            let commands = split(script)?;
            Some(commands.iter().map(|command| command.words.join("|")).collect::<Vec<_>>())
        };
        let one = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(told("a b && c 'd e' ; f"), one(&["a|b", "c|d e", "f"]));
        assert_eq!(told("useradd -u 1 \"a b\""), one(&["useradd|-u|1|a b"]));
        assert_eq!(told("a $B \\\n c"), one(&["a|$B|c"]));
        assert_eq!(told("a 2>&1 >/dev/null && rm -rf b/*"), one(&["a", "rm|-rf|b/*"]));
        assert_eq!(told("a && yes | b c; d"), one(&["a", "b|c", "d"]));
        assert_eq!(split("echo 'a b' | c d").unwrap()[0].text, "echo 'a b' | c d");
        assert_eq!(split("a b 2> /dev/null").unwrap()[0].text, "a b 2> /dev/null");
        for odd in [
            "a | b",
            "cat a | b",
            "yes | a | b",
            "yes || b",
            "yes |& b",
            "yes > a | b",
            "a || b",
            "a $(b)",
            "if a; then b; fi",
            "a > b",
            "(a)",
            "a &",
            "a 'b",
            "{ a; }",
            "a >&3",
        ] {
            assert_eq!(told(odd), None, "{odd}");
        }
        assert_eq!(split("X=1 useradd 'a b'").unwrap()[0].text, "X=1 useradd 'a b'");
        assert_eq!(split("X=1 /sbin/useradd a").unwrap()[0].program(), "useradd");
    }
}
