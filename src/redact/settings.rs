//! `NAME=VALUE`, `NAME: VALUE` and `--NAME VALUE`, anywhere in a text.

use std::ops::Range;

use super::name::{Sort, sort_of};
use super::value::{ValueLexer, is_secret, looks_random};
use super::work;

/// The schemes of `Authorization:`, which are not secret.
const SCHEMES: [&[u8]; 12] = [
    b"bearer",
    b"basic",
    b"token",
    b"digest",
    b"negotiate",
    b"apikey",
    b"api-key",
    b"key",
    b"jwt",
    b"bot",
    b"oauth",
    b"aws4-hmac-sha256",
];

/// Options that start like this take no value: `--no-password`, `--with-token`.
const NO_VALUE: [&[u8]; 14] = [
    b"no",
    b"without",
    b"with",
    b"use",
    b"enable",
    b"disable",
    b"show",
    b"require",
    b"ask",
    b"prompt",
    b"pass-",
    b"save",
    b"generate",
    b"skip",
];

/// Maximum depth of nested values (`A=$(B=$(C=...`) that are read individually. Real commands are not deeper; what is
/// deeper is removed unread.
const MAX_NESTED: usize = 4;

/// The kind of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    /// A command, or a file.
    Command,
    /// A message of the program.
    Message,
}

/// All values of secret names.
pub(super) fn all(lexer: ValueLexer<'_>, kind: TextKind) -> Vec<Range<usize>> {
    let mut scan = SettingScan {
        lexer,
        kind,
        text: lexer.text,
        at: 0,
        outer: None,
        escapes: false,
        comment: 0,
        document: false,
        before: [0..0, 0..0],
        around: Vec::new(),
        found: Vec::new(),
    };
    while let Some(byte) = scan.text.get(scan.at) {
        work(1);
        match byte {
            b'\\' => scan.backslash(),
            b'"' | b'\'' => scan.quote(*byte),
            b'#' => scan.comment(),
            b'<' => scan.here_document(),
            byte if is_name(byte) => scan.name(),
            _ => scan.at += 1,
        }
    }
    scan.found
}

fn is_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(byte)
}

/// How certainly a value belongs to its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tie {
    /// Certainly.
    Sure,
    /// `name: value`, which may be a sentence: only a value that looks random counts.
    Loose,
    /// `name = value`, which may be code: `key = make_key(1)`.
    Spaced,
}

struct SettingScan<'a> {
    lexer: ValueLexer<'a>,
    kind: TextKind,
    text: &'a [u8],
    at: usize,
    /// The open quote.
    outer: Option<u8>,
    /// Whether a backslash escapes inside it: not in `'`.
    escapes: bool,
    /// The end of the current or last comment.
    comment: usize,
    /// Whether a here-document began: in it, `name: value` is not a sentence.
    document: bool,
    /// The two previous names.
    before: [Range<usize>; 2],
    /// The ends of values that were read and are not secrets, but may contain some.
    around: Vec<usize>,
    found: Vec<Range<usize>>,
}

impl<'a> SettingScan<'a> {
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or_default()
    }

    fn of(&self, range: &Range<usize>) -> &'a [u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// An escaped quote neither opens nor closes.
    fn backslash(&mut self) {
        let is_quote = b"\"'".contains(&self.byte(self.at + 1));
        let escapes = self.outer.is_none() || self.escapes || !is_quote;
        self.at += if escapes { 2 } else { 1 };
    }

    fn quote(&mut self, quote: u8) {
        let before = self.at.checked_sub(1).map_or(b' ', |before| self.byte(before));
        // The apostrophe of `don't` opens nothing.
        let apostrophe =
            quote == b'\'' && before.is_ascii_alphabetic() && self.byte(self.at + 1).is_ascii_alphabetic();
        match self.outer {
            _ if self.at < self.comment => {}
            Some(outer) if outer == quote => self.outer = None,
            None if !apostrophe => {
                // `$'...'` has escapes.
                (self.outer, self.escapes) = (Some(quote), quote == b'"' || before == b'$');
            }
            _ => {}
        }
        self.at += 1;
    }

    /// Quotes in a comment do not count. In joined lines, its end is unknown.
    fn comment(&mut self) {
        let starts = self.at.checked_sub(1).is_none_or(|before| self.byte(before).is_ascii_whitespace());
        if starts && self.outer.is_none() && self.at >= self.comment {
            self.comment = self.lexer.line_end(self.at).unwrap_or(self.at);
        }
        self.at += 1;
    }

    /// `<<EOF`, but not `<<<` or a shift.
    fn here_document(&mut self) {
        let starts = |byte: u8| byte.is_ascii_alphabetic() || b"_'\"".contains(&byte);
        let mut length = 1;
        while self.byte(self.at + length) == b'<' {
            length += 1;
        }
        let dash = usize::from(self.byte(self.at + length) == b'-');
        self.document |= length == 2 && starts(self.byte(self.at + length + dash));
        self.at += length;
    }

    fn name(&mut self) {
        let start = self.at;
        let length =
            self.text.get(start..).unwrap_or_default().iter().take_while(|byte| is_name(byte)).count();
        work(length);
        let end = start + length;
        let name = start..end;
        self.around.retain(|around| *around > start);
        let value = match self.authorization(&name) {
            Some(value) => value,
            None => self.tied(&name).filter(|value| !self.is_variable(start, value)),
        };
        self.at = value.as_ref().map_or(end, |value| value.end.max(end));
        self.found.extend(value);
        let [_, last] = &mut self.before;
        self.before = [std::mem::replace(last, 0..0), name];
    }

    /// The value that starts here; `Err` has the rest of the surrounding values, if there are too many.
    fn read(&mut self, at: usize, outer: Option<u8>) -> Result<Range<usize>, Range<usize>> {
        if self.around.len() >= MAX_NESTED {
            return Err(at..self.around.iter().copied().min().unwrap_or(at));
        }
        let value = self.lexer.value(at, outer);
        self.around.push(value.end);
        Ok(value)
    }

    /// `$TOKEN=`, `${TOKEN:...`: what follows is not its value, unless it is a default.
    fn is_variable(&self, start: usize, value: &Range<usize>) -> bool {
        let before = |by: usize| start.checked_sub(by).map_or(0, |at| self.byte(at));
        let default = value.start.checked_sub(1).is_some_and(|at| b"-=".contains(&self.byte(at)));
        before(1) == b'$' || before(1) == b'{' && before(2) == b'$' && !default
    }

    /// The value of a name, if it is a secret.
    fn tied(&mut self, name: &Range<usize>) -> Option<Range<usize>> {
        let sort = self.sort(name)?;
        if let Some(value) = self.element(name) {
            return is_secret(sort, self.of(&value)).then_some(value);
        }
        let (at, outer, tie) = self.tie(name)?;
        let value = match self.read(at, outer) {
            Ok(value) => value,
            Err(rest) => return Some(rest),
        };
        let text = self.of(&value);
        let likely = match tie {
            _ if self.kind == TextKind::Message && !self.is_setting(name, tie, value.start > at) => {
                looks_random(text)
            }
            Tie::Sure => true,
            Tie::Loose => looks_random(text),
            Tie::Spaced => value.start > at || !text.iter().any(|byte| b"([".contains(byte)),
        };
        (likely && is_secret(sort, text)).then_some(value)
    }

    /// `<name>VALUE</name>`.
    fn element(&self, name: &Range<usize>) -> Option<Range<usize>> {
        let opens = name.start.checked_sub(1).is_some_and(|at| self.byte(at) == b'<');
        let rest = self.text.get(name.end..)?.strip_prefix(b">").filter(|_| opens)?;
        let length = rest.iter().position(|byte| *byte == b'<');
        work(length.unwrap_or(rest.len()));
        let length = length.filter(|length| rest.get(length + 1) == Some(&b'/'))?;
        Some(name.end + 1..name.end + 1 + length)
    }

    /// `NAME=VALUE`, `NAME = "VALUE"` and `"NAME": "VALUE"`, which sentences do not contain.
    fn is_setting(&self, name: &Range<usize>, tie: Tie, in_quotes: bool) -> bool {
        match self.byte(name.end) {
            b'=' => true,
            b'"' | b'\'' | b'\\' => in_quotes,
            _ => in_quotes && tie == Tie::Spaced,
        }
    }

    fn sort(&self, name: &Range<usize>) -> Option<Sort> {
        let text = self.of(name);
        // The signature of a URL grants access to anybody.
        let in_query = name.start.checked_sub(1).is_some_and(|at| b"?&".contains(&self.byte(at)));
        let is_signature =
            |end: &[u8]| text.len() >= end.len() && super::starts_with(&text[text.len() - end.len()..], end);
        if in_query && (text == b"sig" || is_signature(b"signature")) {
            return Some(Sort::Token);
        }
        // WordPress keys and salts.
        let is_salt = text.ends_with(b"_KEY") || text.ends_with(b"_SALT");
        if is_salt && self.is_defined(name.end) {
            return Some(Sort::Token);
        }
        if text == b"_auth" {
            return Some(Sort::Token);
        }
        if self.is_sql(text) {
            return Some(Sort::Password);
        }
        sort_of(text)
    }

    /// `IDENTIFIED BY 'x'`, `WITH PASSWORD 'x'`, `PASSWORD 'x'`, optionally with a login method in between.
    fn is_sql(&self, name: &[u8]) -> bool {
        let [_, before] = &self.before;
        let before = self.of(before);
        let follows = |words: &[&[u8]]| words.iter().any(|word| before.eq_ignore_ascii_case(word));
        let method = before.to_ascii_lowercase().ends_with(b"_password");
        name.eq_ignore_ascii_case(b"by") && (follows(&[b"identified"]) || method)
            || name == b"PASSWORD"
            || name.eq_ignore_ascii_case(b"password") && follows(&[b"with", b"encrypted"])
    }

    /// Where the value of a name starts, which quote is open there, and how certain it is.
    fn tie(&self, name: &Range<usize>) -> Option<(usize, Option<u8>, Tie)> {
        let end = name.end;
        let (here, next) = (self.byte(end), self.byte(end + 1));
        let is_option = self.byte(name.start) == b'-' && name.len() >= 4;
        match here {
            b'=' if b"=~".contains(&next) => None,
            b'=' if next == b'>' => Some((self.blanks(end + 2), self.outer, Tie::Sure)),
            b'=' => Some((end + 1, self.outer, Tie::Sure)),
            // `${NAME:-DEFAULT}`
            b':' if b"-=".contains(&next) && self.byte(name.start.saturating_sub(1)) == b'{' => {
                let is_marked = self.text.get(end + 2..)?.starts_with(MARKED);
                (!is_marked).then_some((end + 2, Some(b'}'), Tie::Sure))
            }
            b':' if next == b':' => None,
            b':' => {
                let (at, outer) = (self.blanks(end + 1), self.quote_around(name));
                let is_header = at > end + 1 && (outer.is_some() || self.document);
                Some((at, outer, if is_header { Tie::Sure } else { Tie::Loose }))
            }
            b'"' | b'\'' | b'\\' => self.behind_quote(end, is_option),
            here if here.is_ascii_whitespace() => self.behind_blank(name, is_option),
            _ => None,
        }
    }

    /// `"name": value` and `"--name", "value"`, whose quotes may be escaped.
    fn behind_quote(&self, end: usize, is_option: bool) -> Option<(usize, Option<u8>, Tie)> {
        let quote = end + usize::from(self.byte(end) == b'\\');
        if !b"\"'".contains(&self.byte(quote)) {
            return None;
        }
        let at = self.blanks(quote + 1);
        match self.byte(at) {
            b':' => Some((self.blanks(at + 1), None, Tie::Sure)),
            b'=' if self.byte(at + 1) == b'>' => Some((self.blanks(at + 2), None, Tie::Sure)),
            b',' if is_option || self.is_defined(end) => Some((self.blanks(at + 1), None, Tie::Sure)),
            b'"' | b'\'' if is_option && at > quote + 1 => Some((at, None, Tie::Sure)),
            // `os.environ["NAME"] = "VALUE"`
            b']' => {
                let equals = self.blanks(at + 1);
                let assigns = self.byte(equals) == b'=' && self.byte(equals + 1) != b'=';
                assigns.then(|| (self.blanks(equals + 1), None, Tie::Spaced))
            }
            _ => None,
        }
    }

    /// `define('NAME', 'VALUE')`, as in PHP configurations; the name ends here.
    fn is_defined(&self, end: usize) -> bool {
        let name = self.text.get(..end).unwrap_or_default();
        let length = name.iter().rev().take_while(|byte| is_name(byte)).count();
        work(length);
        let before = name.get(..end - length).unwrap_or_default();
        let before = before.get(before.len().saturating_sub(32)..).unwrap_or_default();
        let before = before.strip_suffix(b"'").or_else(|| before.strip_suffix(b"\"")).unwrap_or_default();
        let before = before.strip_suffix(b"\\").unwrap_or(before).trim_ascii_end();
        before.strip_suffix(b"(").is_some_and(|before| before.trim_ascii_end().ends_with(b"define"))
    }

    fn behind_blank(&self, name: &Range<usize>, is_option: bool) -> Option<(usize, Option<u8>, Tie)> {
        let at = self.blanks(name.end);
        let first = self.byte(at);
        if first == b'=' && self.byte(at + 1).is_ascii_whitespace() {
            return Some((self.blanks(at + 1), self.outer, Tie::Spaced));
        }
        let is_word = first != 0 && !b"-|&;<>)=".contains(&first);
        let takes_value = is_option
            && !NO_VALUE.iter().any(|start| {
                let bare = self.of(name);
                let bare = bare.strip_prefix(b"--").or_else(|| bare.strip_prefix(b"-")).unwrap_or(bare);
                let rest = super::starts_with(bare, start).then(|| bare.get(start.len()..)).flatten();
                rest.is_some_and(|rest| start.ends_with(b"-") || rest.starts_with(b"-"))
            });
        let [login, last] = &self.before;
        // `npm config set NAME VALUE`, and the `login USER password VALUE` of a netrc.
        let is_set = self.of(last) == b"set" || self.of(login) == b"set";
        let is_netrc = self.of(login) == b"login" && self.of(name) == b"password";
        // `mysql-server mysql-server/root_password password VALUE`, the input of debconf-set-selections.
        let is_debconf = self.of(name) == b"password"
            && last.start.checked_sub(1).is_some_and(|at| self.byte(at) == b'/')
            && self.blanks(last.end) == name.start;
        let is_redis = matches!(self.of(name), b"requirepass" | b"masterauth");
        let is_sql = b"'\"".contains(&first) && self.is_sql(self.of(name));
        let takes_value = takes_value || is_set || is_netrc || is_debconf || is_redis || is_sql;
        (is_word && takes_value).then_some((at, self.outer, Tie::Sure))
    }

    /// The position after blanks and continued line ends.
    fn blanks(&self, from: usize) -> usize {
        let mut at = from;
        loop {
            match self.byte(at) {
                byte if byte.is_ascii_whitespace() => at += 1,
                b'\\' if b"\r\n".contains(&self.byte(at + 1)) => at += 2,
                _ => return at,
            }
        }
    }

    /// The quote that is open at a name. One directly before it opens there, whatever came before.
    fn quote_around(&self, name: &Range<usize>) -> Option<u8> {
        let before = name.start.checked_sub(1).map(|at| self.byte(at));
        before.filter(|before| b"\"'".contains(before)).or(self.outer)
    }

    /// A header continues to the end of its quotes, or of its line.
    fn header_end(&mut self, start: usize, quote: Option<u8>) -> usize {
        let closing = |quote: Option<u8>| self.lexer.closing(start, quote?, true);
        let closing = closing(quote).or_else(|| closing(self.outer));
        let line = self.lexer.line_end(start).unwrap_or(self.text.len());
        closing.map(|end| end.min(line)).unwrap_or_else(|| self.lexer.value(start, quote).end)
    }

    /// The value after `Authorization:`, or after `Bearer` alone. `None` for another name; `Some(None)` for a reference
    /// to a secret.
    fn authorization(&mut self, name: &Range<usize>) -> Option<Option<Range<usize>>> {
        let text = self.of(name);
        let is = |word: &[u8]| text.eq_ignore_ascii_case(word);
        let whole = is(b"authorization") || is(b"proxy-authorization") || is(b"x-authorization");
        if whole && b":=".contains(&self.byte(name.end)) {
            return Some(self.whole_authorization(name));
        }
        if (is(b"bearer") || is(b"basic")) && self.byte(name.end) == b' ' {
            let value = match self.read(self.blanks(name.end), self.outer) {
                Ok(value) => value,
                Err(rest) => return Some(Some(rest)),
            };
            let text = self.of(&value);
            let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=._~-".contains(byte);
            let likely = text.len() >= 12 && text.iter().all(fits) && looks_random(text);
            return Some((likely && is_secret(Sort::Token, text)).then_some(value));
        }
        None
    }

    fn whole_authorization(&mut self, name: &Range<usize>) -> Option<Range<usize>> {
        let (at, quote) = (self.blanks(name.end + 1), self.quote_around(name));
        let word = match self.read(at, quote) {
            Ok(word) => word,
            Err(rest) => return Some(rest),
        };
        let is_scheme = SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(self.of(&word)));
        let start = if is_scheme { self.blanks(word.end) } else { word.start };
        let value = start..self.header_end(start, quote).max(word.end);
        self.around.push(value.end);
        let text = self.of(&value);
        let likely = self.kind == TextKind::Command || looks_random(text);
        (likely && is_secret(Sort::Token, text)).then_some(value)
    }
}

/// The end of a default that was removed.
const MARKED: &[u8] = b"***}";
