//! `ENV`, `ARG` and `LABEL`: histories do not quote their values, so a value continues up to the next name, or, if that
//! is unclear, to the end of the line.

use std::ops::Range;

use super::closes::Closes;
use super::name::sort_of;
use super::starts_with;
use super::value::{ValueLexer, is_secret};
use super::work;

/// The values of secret names in a text's lines.
pub(super) fn all(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = line_end(text, start);
        let own = SingleLine { text: text.get(start..end).unwrap_or_default() };
        if let Some((keyword, at)) = own.keyword() {
            let own = own.pairs(keyword, at);
            found.extend(own.into_iter().map(|value| start + value.start..start + value.end));
        }
        start = end + 1;
    }
    found
}

/// The end of a line, which continues after `\`.
fn line_end(text: &[u8], start: usize) -> usize {
    let mut goes_on = false;
    for (at, byte) in text.iter().enumerate().skip(start) {
        work(1);
        match byte {
            b'\n' if !goes_on => return at,
            b'\r' => {}
            byte => goes_on = *byte == b'\\',
        }
    }
    text.len()
}

/// A single line: no value continues on the next.
struct SingleLine<'a> {
    text: &'a [u8],
}

impl<'a> SingleLine<'a> {
    fn rest(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    fn skip(&self, at: usize, fits: impl Fn(&u8) -> bool) -> usize {
        let length = self.rest(at).iter().take_while(|byte| fits(byte)).count();
        work(length);
        at + length
    }

    /// The keyword, if it is one of these, and the position after it.
    fn keyword(&self) -> Option<(&'static [u8], usize)> {
        let mut at = self.skip(0, u8::is_ascii_whitespace);
        // The classic builder puts its shell before the instruction.
        let mark = b"#(nop) ";
        let shell = self.rest(at);
        let shell = shell.get(..shell.len().min(64))?;
        if let Some(length) = shell.windows(mark.len()).position(|window| window == mark) {
            at = self.skip(at + length + mark.len(), u8::is_ascii_whitespace);
        }
        while starts_with(self.rest(at), b"ONBUILD ") {
            at = self.skip(at + 8, u8::is_ascii_whitespace);
        }
        let keywords: [&[u8]; 3] = [b"ENV ", b"ARG ", b"LABEL "];
        let keyword = keywords.into_iter().find(|keyword| starts_with(self.rest(at), keyword))?;
        Some((keyword, self.skip(at + keyword.len(), u8::is_ascii_whitespace)))
    }

    fn pairs(&self, keyword: &[u8], start: usize) -> Vec<Range<usize>> {
        let closes = Closes::of(self.text);
        let lexer = ValueLexer::of(self.text, &closes);
        let mut found = Vec::new();
        let mut at = start;
        while at < self.text.len() {
            let name_end = self.skip(at, is_name);
            let sort = sort_of(self.text.get(at..name_end).unwrap_or_default());
            let is_first = at == start;
            at = match self.text.get(name_end) {
                Some(b'=') => {
                    let (value, next) = self.value(lexer, name_end + 1);
                    found.extend(sort.filter(|sort| is_secret(*sort, self.of(&value))).map(|_| value));
                    next
                }
                // `ENV NAME VALUE`: the value is everything that follows.
                Some(b' ') if is_first && keyword != b"ARG " => {
                    let value = self.trimmed(self.skip(name_end, is_blank)..self.text.len());
                    found.extend(sort.filter(|sort| is_secret(*sort, self.of(&value))).map(|_| value));
                    return found;
                }
                _ => self.next_word(name_end),
            };
        }
        found
    }

    fn of(&self, range: &Range<usize>) -> &'a [u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// The value that starts here, and the start of the next pair.
    fn value(&self, lexer: ValueLexer<'_>, at: usize) -> (Range<usize>, usize) {
        let lexed = lexer.value(at, None);
        let next = self.next_word(lexed.end);
        if lexed.start > at {
            return (lexed, next);
        }
        // If another word follows that is not a pair, the value contains blanks, and may contain anything.
        let next = if self.starts_pair(next) { next } else { self.text.len() };
        (self.trimmed(at..next.max(at)), next)
    }

    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let trailing = self.of(&range).iter().rev().take_while(|byte| is_blank(byte)).count();
        range.start..range.end - trailing
    }

    fn next_word(&self, from: usize) -> usize {
        let end = self.skip(from, |byte| !byte.is_ascii_whitespace());
        self.skip(end, is_blank).max(from + 1)
    }

    /// `NAME=VALUE`: Base64 may end in `=`, and nothing follows that.
    fn starts_pair(&self, at: usize) -> bool {
        let rest = self.rest(at);
        let name = rest.iter().take_while(|byte| is_name(byte)).count();
        let value = rest.get(name + 1).filter(|byte| **byte != b'=' && !byte.is_ascii_whitespace());
        name > 0 && rest.get(name) == Some(&b'=') && value.is_some()
    }
}

fn is_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-/".contains(byte)
}

/// A character between two pairs, also in a line that continues.
fn is_blank(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || *byte == b'\\'
}
