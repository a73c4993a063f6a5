//! The text of a Dockerfile as stages and instructions, each with its lines.
//!
//! Lines are joined like in BuildKit's parser (moby/buildkit, frontend/dockerfile/parser): it writes into the history
//! what it passes to a shell, so blanks and comments inside a continued instruction must come out identical to the
//! character.

use crate::image::Digest;
use std::collections::HashMap;

use super::DockerfileError;
use super::ast::{Dockerfile, Flag, HereDocument, SourceInstruction, Stage, StageBase, StageUse, source_of};
use super::expand::{UNKNOWN, here_document_word, split_words};
use super::variables::{BuildOptions, Globals, origin_of, resolve_base};
use crate::image::instruction::KEYWORDS;

/// Larger files are refused.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Files with more instructions are refused.
pub(super) const MAX_INSTRUCTIONS: usize = 2000;

impl Dockerfile {
    /// Reads a Dockerfile. The error names the line.
    ///
    /// # Errors
    /// If a builder would reject the text too, and if it is too long.
    pub fn parse(text: &str) -> Result<Dockerfile, DockerfileError> {
        if text.len() > MAX_BYTES {
            return Err(DockerfileError::TooLong { bytes: text.len() });
        }
        let digest = Digest::of(text.as_bytes());
        // The marker for unknown text must not come from outside.
        let text = text.replace(UNKNOWN, "\u{fffd}");
        let (escape, instructions) = InstructionReader::new(&text)?.instructions()?;
        let mut file = Dockerfile { globals: Vec::new(), stages: Vec::new(), escape, digest };
        for instruction in instructions {
            file.add(instruction)?;
        }
        if file.stages.is_empty() {
            return Err(DockerfileError::NoStage);
        }
        file.resolve();
        Ok(file)
    }

    fn add(&mut self, instruction: SourceInstruction) -> Result<(), DockerfileError> {
        let (line, end_line, keyword) = (instruction.line, instruction.end_line, instruction.keyword);
        if keyword == "FROM" {
            let (base, name) = split_from(&instruction).ok_or(DockerfileError::From { line })?;
            let resolved = StageBase::Unresolved(base.clone());
            let index = self.stages.len();
            let platform = instruction.flags.into_iter().find(|flag| flag.name == "platform");
            let platform = platform.and_then(|flag| flag.value);
            let (instructions, uses) = (Vec::new(), Vec::new());
            let stage = Stage { index, name, base, platform, resolved, line, end_line, instructions, uses };
            self.stages.push(stage);
            return Ok(());
        }
        match self.stages.last_mut() {
            Some(stage) => {
                stage.end_line = end_line;
                stage.instructions.push(instruction);
            }
            None if keyword == "ARG" => self.globals.push(instruction),
            None => return Err(DockerfileError::BeforeFrom { line, keyword }),
        }
        Ok(())
    }

    /// Resolves what requires all stages.
    fn resolve(&mut self) {
        let options = BuildOptions::default();
        let globals = Globals::of(self, &options);
        for index in 0..self.stages.len() {
            let resolved = resolve_base(self, index, &globals);
            let uses = self.uses_of(index, &globals);
            self.stages[index].resolved = resolved;
            self.stages[index].uses = uses;
        }
    }

    fn uses_of(&self, index: usize, globals: &Globals<'_>) -> Vec<StageUse> {
        let mut uses = Vec::new();
        for (place, instruction) in self.stages[index].instructions.iter().enumerate() {
            let from = instruction.flags.iter().filter_map(source_of);
            uses.extend(
                from.map(|from| StageUse {
                    origin: origin_of(self, &from, index, globals),
                    instruction: place,
                }),
            );
        }
        uses
    }
}

impl SourceInstruction {
    /// The instruction that `ONBUILD` stores for later.
    pub(super) fn trigger(&self, escape: char) -> Option<SourceInstruction> {
        let mut inner = read_instruction(&self.arguments, escape, self.line, self.end_line).ok()?;
        inner.here_documents = self.here_documents.clone();
        Some(inner)
    }
}

fn split_from(instruction: &SourceInstruction) -> Option<(String, Option<String>)> {
    let words: Vec<&str> = instruction.arguments.split_whitespace().collect();
    match words[..] {
        [base] => Some((base.to_owned(), None)),
        [base, r#as, name] if r#as.eq_ignore_ascii_case("AS") => {
            Some((base.to_owned(), Some(name.to_owned())))
        }
        _ => None,
    }
}

/// The lines of a Dockerfile, with the state of the parser.
struct InstructionReader<'a> {
    lines: std::iter::Peekable<std::iter::Enumerate<std::str::Split<'a, char>>>,
    escape: char,
    text: &'a str,
    /// Created when it is first needed.
    last_lines: Option<HashMap<&'a str, usize>>,
}

impl<'a> InstructionReader<'a> {
    fn new(text: &'a str) -> Result<InstructionReader<'a>, DockerfileError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(InstructionReader {
            lines: text.split('\n').enumerate().peekable(),
            escape: escape_directive(text)?,
            text,
            last_lines: None,
        })
    }

    fn instructions(mut self) -> Result<(char, Vec<SourceInstruction>), DockerfileError> {
        let mut instructions = Vec::new();
        while let Some((text, line, end_line)) = self.joined_line() {
            if text.trim().is_empty() {
                continue;
            }
            if instructions.len() == MAX_INSTRUCTIONS {
                return Err(DockerfileError::TooManyInstructions { line });
            }
            let mut instruction = read_instruction(&text, self.escape, line, end_line)?;
            self.here_documents(&mut instruction)?;
            instructions.push(instruction);
        }
        Ok((self.escape, instructions))
    }

    /// The next physical line, without its end, and its number.
    fn line(&mut self) -> Option<(&'a str, u32)> {
        let (index, line) = self.lines.next()?;
        Some((line.trim_end_matches('\r'), number(index)))
    }

    /// The next line that is not a comment, with all lines that continue it.
    fn joined_line(&mut self) -> Option<(String, u32, u32)> {
        let (first, line) = loop {
            let (text, line) = self.line()?;
            let text = text.trim_start();
            if !text.is_empty() && !text.starts_with('#') {
                break (text, line);
            }
        };
        let (content, mut goes_on) = self.continued(first);
        let (mut joined, mut end_line) = (content.to_owned(), line);
        while goes_on {
            let Some((next, at)) = self.line() else { break };
            // Comments and empty lines inside an instruction do not end it.
            if next.trim_start().is_empty() || next.trim_start().starts_with('#') {
                continue;
            }
            let (content, more) = self.continued(next);
            joined.push_str(content);
            (goes_on, end_line) = (more, at);
        }
        Some((joined, line, end_line))
    }

    /// The line without its continuation character, and whether it had one.
    fn continued<'l>(&self, line: &'l str) -> (&'l str, bool) {
        let Some(content) = line.trim_end_matches([' ', '\t']).strip_suffix(self.escape) else {
            return (line, false);
        };
        // An escaped escape character is text.
        if content.ends_with(self.escape) { (line, false) } else { (content, true) }
    }

    fn here_documents(&mut self, instruction: &mut SourceInstruction) -> Result<(), DockerfileError> {
        let holder = match instruction.keyword {
            "ONBUILD" => instruction.arguments.split_whitespace().next().unwrap_or("").to_ascii_uppercase(),
            keyword => keyword.to_owned(),
        };
        if !matches!(holder.as_str(), "RUN" | "COPY" | "ADD") || !instruction.text.contains("<<") {
            return Ok(());
        }
        let words = split_words(&instruction.text, '\\').unwrap_or_default();
        for (at, word) in words.iter().enumerate() {
            let next = words.get(at + 1);
            let document = here_document_word(word).or_else(|| self.spaced(word, next?));
            let Some((name, chomp)) = document else { continue };
            let (content, end_line) = self.here_document(&name, chomp).ok_or_else(|| {
                DockerfileError::HereDocument { line: instruction.line, name: shorten(&name) }
            })?;
            instruction.end_line = end_line;
            instruction.here_documents.push(HereDocument { name, chomp, content });
        }
        Ok(())
    }

    /// `<< NAME`, as shells accept it, if a later line ends it: `<<` may also be a shift.
    fn spaced(&mut self, word: &str, next: &str) -> Option<(String, bool)> {
        let mark = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let chomp = mark == "<<-";
        if !chomp && mark != "<<" {
            return None;
        }
        let (name, _) = here_document_word(&format!("<<{next}"))?;
        let at = self.lines.peek()?.0;
        let last = *self.last_lines().get(name.as_str())?;
        (last >= at).then_some((name, chomp))
    }

    /// The last line number of each line's text.
    fn last_lines(&mut self) -> &HashMap<&'a str, usize> {
        let text = self.text;
        self.last_lines.get_or_insert_with(|| {
            let lines = text.split('\n').map(|line| line.trim_end_matches('\r').trim_start_matches('\t'));
            lines.enumerate().map(|(at, line)| (line, at)).collect()
        })
    }

    fn here_document(&mut self, name: &str, chomp: bool) -> Option<(String, u32)> {
        let mut content = String::new();
        loop {
            let (line, at) = self.line()?;
            let end = if chomp { line.trim_start_matches('\t') } else { line };
            if end == name {
                return Some((content, at));
            }
            content.push_str(line);
            content.push('\n');
        }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

/// The `# escape=` among the directives, which are the first lines of a file (Dockerfile reference, "Parser
/// directives").
fn escape_directive(text: &str) -> Result<char, DockerfileError> {
    for (index, line) in text.split('\n').enumerate() {
        let Some((name, value)) = line.trim().strip_prefix('#').and_then(|rest| rest.split_once('=')) else {
            break;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "syntax" | "check" => {}
            "escape" => match value.trim() {
                "\\" => return Ok('\\'),
                "`" => return Ok('`'),
                found => return Err(DockerfileError::Escape { line: number(index), found: shorten(found) }),
            },
            _ => break,
        }
    }
    Ok('\\')
}

/// The letters at the start of a word: the rest may be anything, even a secret, if the file is not a Dockerfile.
fn letters(word: &str) -> String {
    word.chars().take_while(char::is_ascii_alphabetic).take(20).collect()
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

fn read_instruction(
    text: &str,
    escape: char,
    line: u32,
    end_line: u32,
) -> Result<SourceInstruction, DockerfileError> {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let upper = word.to_ascii_uppercase();
    let Some(keyword) = KEYWORDS.iter().copied().find(|keyword| *keyword == upper) else {
        return Err(DockerfileError::UnknownInstruction { line, word: letters(word) });
    };
    let rest = rest.trim();
    // A command may be empty; builders accept that.
    if rest.is_empty() && !matches!(keyword, "CMD" | "ENTRYPOINT" | "RUN") {
        return Err(DockerfileError::Empty { line, keyword });
    }
    let (flags, arguments) = split_flags(rest, escape);
    Ok(SourceInstruction {
        keyword,
        text: rest.to_owned(),
        flags,
        arguments: arguments.to_owned(),
        here_documents: Vec::new(),
        line,
        end_line,
    })
}

/// `--a=b --c rest`.
fn split_flags(mut rest: &str, escape: char) -> (Vec<Flag>, &str) {
    let mut flags = Vec::new();
    while rest.starts_with("--") {
        let end = end_of_word(rest, escape);
        let (word, after) = rest.split_at(end);
        rest = after.trim_start();
        // `--` alone ends the flags.
        let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else { break };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        flags.push(Flag { name: name.to_ascii_lowercase(), value });
    }
    (flags, rest)
}

/// The end of the first word; blanks inside quotes do not end it.
fn end_of_word(text: &str, escape: char) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            _ if c == escape => escaped = true,
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => return at,
            None => {}
        }
    }
    text.len()
}
