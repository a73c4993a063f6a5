//! The only tokenizer of shell text (POSIX.1, "Shell Command Language", 2.2 and 2.3): splits it into parts with their
//! positions. Nothing is expanded or run; that is left to its users: Dockerfile facts, proposals and suggestions.
//!
//! Existing crates do not fit: full parsers reject text that is cut or slightly wrong, as histories are, and word
//! splitters know no operators and keep no positions.

use std::ops::Range;

/// A part of a script. Parts of a word follow each other without a [`Part::Blank`] between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'t> {
    /// Blanks between words.
    Blank,
    /// The end of a line.
    Newline,
    /// From `#` at the beginning of a word to the end of its line.
    Comment,
    /// `&&`, `||`, `;`, `|`, `&`, `(` or `)`.
    Operator(&'t str),
    /// `<`, `<<`, `<<-`, `<<<` or `>`, with the `>`, `&` and `|` that go with it, or `&>`.
    Redirection(&'t str),
    /// Literal text.
    Text(&'t str),
    /// The character after a backslash.
    Escaped(char),
    /// The text between single quotes.
    Single(&'t str),
    /// An opening or closing double quote.
    Quote,
    /// The name of `$NAME`, or the character of `$@`.
    Variable(&'t str),
    /// The text inside `${...}`.
    Braced(&'t str),
    /// The script of `$(...)`, or of backticks.
    Command(&'t str),
    /// No text: a backslash at the end of a line, or the dollar of `$'...'`.
    Nothing,
}

/// The state of reading one text.
#[derive(Debug, Clone)]
pub struct Tokenizer<'t> {
    text: &'t str,
    at: usize,
    /// Whether the position is inside double quotes.
    quoted: bool,
    in_word: bool,
    /// Whether everything that was opened was closed.
    is_closed: bool,
}

impl<'t> Tokenizer<'t> {
    /// Reads a text from its beginning.
    pub fn new(text: &'t str) -> Tokenizer<'t> {
        Tokenizer { text, at: 0, quoted: false, in_word: false, is_closed: true }
    }

    /// The next part, and its position in the text.
    pub fn part(&mut self) -> Option<(Part<'t>, Range<usize>)> {
        let start = self.at;
        let c = self.character()?;
        let part = if self.quoted { self.quoted(c) } else { self.unquoted(c) };
        self.in_word = match part {
            Part::Nothing => self.in_word,
            Part::Blank | Part::Newline | Part::Comment | Part::Operator(_) | Part::Redirection(_) => false,
            _ => true,
        };
        Some((part, start..self.at))
    }

    /// The text that has not been read yet.
    pub fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Skips this many bytes of the unread text.
    pub fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Skips the delimiter that closes what was just opened, and returns the text before it.
    pub fn nested(&mut self, close: u8) -> &'t str {
        let (inner, is_closed) = split_nested(self.rest(), close);
        self.at += inner.len() + usize::from(is_closed);
        self.is_closed &= is_closed;
        self.in_word = true;
        inner
    }

    /// Whether all quotes and brackets so far are closed, and the text does not end in a single backslash.
    pub fn is_closed(&self) -> bool {
        self.is_closed && !self.quoted
    }

    fn character(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_text(&mut self, start: &str) -> bool {
        let is_there = self.rest().starts_with(start);
        self.at += if is_there { start.len() } else { 0 };
        is_there
    }

    /// Reads to the first character that ends a part, and returns the text before it.
    fn up_to(&mut self, start: usize, ends: impl Fn(char) -> bool) -> &'t str {
        self.at += self.rest().find(ends).unwrap_or(self.rest().len());
        &self.text[start..self.at]
    }

    fn unquoted(&mut self, c: char) -> Part<'t> {
        let start = self.at - c.len_utf8();
        match c {
            '\n' => Part::Newline,
            c if c.is_whitespace() => {
                self.up_to(start, |c| c == '\n' || !c.is_whitespace());
                Part::Blank
            }
            '&' if self.rest().starts_with('>') => self.redirection(start),
            '<' | '>' => {
                self.at = start;
                self.redirection(start)
            }
            '&' | '|' => {
                self.skip_text(c.encode_utf8(&mut [0; 4]));
                Part::Operator(&self.text[start..self.at])
            }
            ';' | '(' | ')' => Part::Operator(&self.text[start..self.at]),
            '#' if !self.in_word => {
                self.up_to(start, |c| c == '\n');
                Part::Comment
            }
            '\\' => match self.character() {
                Some('\n') => Part::Nothing,
                Some(c) => Part::Escaped(c),
                None => {
                    self.is_closed = false;
                    Part::Nothing
                }
            },
            '\'' => {
                let inner = self.up_to(self.at, |c| c == '\'');
                self.is_closed &= self.skip_text("'");
                Part::Single(inner)
            }
            '"' => {
                self.quoted = true;
                Part::Quote
            }
            '`' => self.back_ticks(),
            '$' => self.dollar(),
            _ => Part::Text(self.up_to(start, |c| c.is_whitespace() || "&|;()<>\\'\"`$".contains(c))),
        }
    }

    fn quoted(&mut self, c: char) -> Part<'t> {
        let start = self.at - c.len_utf8();
        match c {
            '"' => {
                self.quoted = false;
                Part::Quote
            }
            '`' => self.back_ticks(),
            '$' => self.dollar(),
            '\\' => match self.character() {
                None | Some('\n') => Part::Nothing,
                Some(c @ ('"' | '$' | '`' | '\\')) => Part::Escaped(c),
                // Before other characters it is literal.
                Some(_) => Part::Text(&self.text[start..self.at]),
            },
            _ => Part::Text(self.up_to(start, |c| "\"`$\\".contains(c))),
        }
    }

    /// `start` is where the redirection begins; the reader is there, or after an `&`.
    fn redirection(&mut self, start: usize) -> Part<'t> {
        let is_document = !self.rest().starts_with("<<<") && (self.skip_text("<<-") || self.skip_text("<<"));
        if !is_document && !self.skip_text("<<<") {
            self.at += 1;
        }
        if !is_document && !self.rest().starts_with('(') {
            self.up_to(start, |c| !matches!(c, '>' | '&' | '|'));
        }
        Part::Redirection(&self.text[start..self.at])
    }

    fn back_ticks(&mut self) -> Part<'t> {
        let start = self.at;
        let mut escaped = false;
        let end = self.rest().find(|c| {
            let ends = c == '`' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        self.at += end.unwrap_or(self.rest().len());
        let inner = &self.text[start..self.at];
        self.is_closed &= self.skip_text("`");
        Part::Command(inner)
    }

    fn dollar(&mut self) -> Part<'t> {
        let start = self.at;
        if self.skip_text("(") {
            return Part::Command(self.nested(b')'));
        }
        if self.skip_text("{") {
            return Part::Braced(self.nested(b'}'));
        }
        match self.rest().chars().next() {
            // The dollar only says how to read the quotes.
            Some('\'' | '"') if !self.quoted => Part::Nothing,
            Some(c) if c.is_ascii_digit() || "@*#?!-$".contains(c) => {
                self.at += 1;
                Part::Variable(&self.text[start..self.at])
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                Part::Variable(self.up_to(start, |c| !c.is_ascii_alphanumeric() && c != '_'))
            }
            _ => Part::Text(&self.text[start - 1..start]),
        }
    }
}

/// The text before its closing delimiter, and whether there is one; skips quotes and nested delimiters.
fn split_nested(text: &str, close: u8) -> (&str, bool) {
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
                    return (&text[..at], true);
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
    (text, false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Vec<(Part<'_>, Range<usize>)> {
        let mut tokens = Tokenizer::new(text);
        std::iter::from_fn(|| tokens.part()).collect()
    }

    #[test]
    fn each_part_is_told_with_its_place() {
        use Part::{
            Blank, Braced, Command, Comment, Escaped, Newline, Nothing, Operator, Quote, Redirection, Single,
            Text, Variable,
        };
        let text = "A=1 gcc -o 'a b' \"$X y\"\\\n ${Z:-'}'}>>f 2>&1 && (b || c;) & # end\n$(ls `x`) a\\ b <<-E $'q' \"\\d\\$\"";
        let expected = [
            Text("A=1"),
            Blank,
            Text("gcc"),
            Blank,
            Text("-o"),
            Blank,
            Single("a b"),
            Blank,
            Quote,
            Variable("X"),
            Text(" y"),
            Quote,
            Nothing,
            Blank,
            Braced("Z:-'}'"),
            Redirection(">>"),
            Text("f"),
            Blank,
            Text("2"),
            Redirection(">&"),
            Text("1"),
            Blank,
            Operator("&&"),
            Blank,
            Operator("("),
            Text("b"),
            Blank,
            Operator("||"),
            Blank,
            Text("c"),
            Operator(";"),
            Operator(")"),
            Blank,
            Operator("&"),
            Blank,
            Comment,
            Newline,
            Command("ls `x`"),
            Blank,
            Text("a"),
            Escaped(' '),
            Text("b"),
            Blank,
            Redirection("<<-"),
            Text("E"),
            Blank,
            Nothing,
            Single("q"),
            Blank,
            Quote,
            Text("\\d"),
            Escaped('$'),
            Quote,
        ];
        let found = parts(text);
        assert_eq!(found.iter().map(|(part, _)| *part).collect::<Vec<_>>(), expected);
        for (part, span) in found {
            if let Text(written) | Operator(written) | Redirection(written) = part {
                assert_eq!(&text[span], written);
            }
        }
    }

    #[test]
    fn what_is_open_at_the_end_is_told() {
        for (text, expected) in [
            ("a 'b' \"c $(d)\" `e` ${f}", true),
            ("a 'b", false),
            ("a \"b", false),
            ("a $(b", false),
            ("a `b", false),
            ("a ${b", false),
            ("a \\", false),
        ] {
            let mut tokens = Tokenizer::new(text);
            while tokens.part().is_some() {}
            assert_eq!(tokens.is_closed(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_are_the_text(text in "[a-z0-9 \\n\\t&|;()<>#'\"`${}\\\\é=@-]{0,60}") {
            let mut at = 0;
            for (_, span) in parts(&text) {
                prop_assert_eq!(span.start, at);
                prop_assert!(span.end > at);
                at = span.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
