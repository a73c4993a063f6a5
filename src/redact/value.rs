//! Where a value ends, and whether it is a secret or only refers to one.

use std::ops::Range;

use super::closes::Closes;
use super::name::Sort;
use super::work;

/// Words that switch something, or tell where a secret comes from.
const SWITCHES: [&[u8]; 22] = [
    b"true",
    b"false",
    b"none",
    b"null",
    b"nil",
    b"yes",
    b"no",
    b"on",
    b"off",
    b"stdin",
    b"prompt",
    b"ask",
    b"env",
    b"required",
    b"optional",
    b"trust",
    b"enabled",
    b"disabled",
    b"-",
    b"~",
    b"{}",
    b"[]",
];

/// File name extensions: the secret is in the file, not in its name.
const FILES: [&[u8]; 30] = [
    b"json",
    b"pem",
    b"key",
    b"crt",
    b"cer",
    b"der",
    b"p12",
    b"pfx",
    b"jks",
    b"keystore",
    b"txt",
    b"yml",
    b"yaml",
    b"toml",
    b"ini",
    b"conf",
    b"cfg",
    b"env",
    b"xml",
    b"properties",
    b"asc",
    b"gpg",
    b"pub",
    b"gz",
    b"tgz",
    b"xz",
    b"zip",
    b"tar",
    b"jar",
    b"enc",
];

/// Placeholders for keys that a build asks for but does not need, and words that may accompany them.
const PLACEHOLDERS: [&[u8]; 14] = [
    b"dummy",
    b"changeme",
    b"placeholder",
    b"fake",
    b"mock",
    b"todo",
    b"unused",
    b"example",
    b"test",
    b"testing",
    b"change",
    b"your",
    b"notused",
    b"insert",
];
const BESIDE: [&[u8]; 24] = [
    b"a", b"an", b"the", b"my", b"me", b"not", b"no", b"real", b"here", b"key", b"keys", b"token", b"secret",
    b"api", b"value", b"string", b"for", b"at", b"build", b"time", b"only", b"needed", b"used", b"in",
];

/// Whether the value of a name of this kind is a secret.
pub(super) fn is_secret(sort: Sort, value: &[u8]) -> bool {
    work(value.len());
    let value = value.trim_ascii();
    if !is_literal(value) || is_path(value) || is_switch(value) || comes_from_elsewhere(value) {
        return false;
    }
    // These are public, except as a password, which may be any text.
    let is_known = || is_file(value) || is_placeholder(value) || is_publishable(value);
    match sort {
        Sort::Password => true,
        Sort::Token => value.len() >= 4 && !is_short_number(value) && !is_known(),
        Sort::Login => {
            let is_address = value.windows(3).any(|window| window == b"://");
            (looks_random(value) || is_encoded_login(value)) && !is_address && !is_known()
        }
    }
}

/// `certs/server.key`, `C:\keys\gcp.json`.
fn is_file(value: &[u8]) -> bool {
    let drive = matches!(value, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    let path = if drive { value.get(2..).unwrap_or_default() } else { value };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/\\._-@".contains(byte);
    let Some(dot) = path.iter().rposition(|byte| *byte == b'.') else { return false };
    let (stem, end) = (path.get(..dot).unwrap_or_default(), path.get(dot + 1..).unwrap_or_default());
    let odd = |part: &[u8]| part.len() >= 12 && looks_random(part);
    FILES.iter().any(|file| file.eq_ignore_ascii_case(end))
        && path.iter().all(plain)
        && !stem.split(|byte| b"/\\".contains(byte)).any(odd)
}

/// `dummy`, `your-api-key-here`: only words, and at least one that marks a placeholder.
fn is_placeholder(value: &[u8]) -> bool {
    let is_one_of = |words: &[&[u8]], word: &[u8]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    let mut words = value.split(|byte| b"-_. ".contains(byte)).filter(|word| !word.is_empty());
    value.len() <= 64
        && words.clone().any(|word| is_one_of(&PLACEHOLDERS, word))
        && words.all(|word| is_one_of(&PLACEHOLDERS, word) || is_one_of(&BESIDE, word))
}

/// Stripe keys that are in every page of a shop.
fn is_publishable(value: &[u8]) -> bool {
    value.starts_with(b"pk_live_") || value.starts_with(b"pk_test_")
}

/// `USER:PASSWORD` in Base64, as in Docker's settings.
fn is_encoded_login(value: &[u8]) -> bool {
    let sextet = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits = value.strip_suffix(b"==").or_else(|| value.strip_suffix(b"=")).unwrap_or(value);
    let Some(digits) = digits.iter().map(sextet).collect::<Option<Vec<u8>>>() else { return false };
    let octets = digits.chunks(4).flat_map(|chunk| {
        let bits =
            chunk.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - chunk.len()));
        let [_, octets @ ..] = bits.to_be_bytes();
        octets.into_iter().take(chunk.len() - 1)
    });
    let login: Vec<u8> = octets.collect();
    let colon = login.iter().position(|byte| *byte == b':');
    login.iter().all(|byte| byte.is_ascii_graphic()) && colon.is_some_and(|at| at > 0 && at + 1 < login.len())
}

/// Whether this is an actual value: not empty, not a variable, and not a placeholder.
pub fn is_literal(value: &[u8]) -> bool {
    let is_filler = |byte: &u8| b"*xX.\"'".contains(byte);
    !value.iter().all(is_filler) && !is_reference(value)
}

/// Whether a value does not look like a word: a login, Base64, or mixed letters and digits.
pub(super) fn looks_random(value: &[u8]) -> bool {
    work(value.len());
    let has = |fits: fn(&u8) -> bool| value.iter().any(fits);
    let login = value.iter().position(|byte| *byte == b':').is_some_and(|at| at > 0 && at + 1 < value.len());
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    let long = value.len() >= 20 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    value.len() >= 6 && (login || mixed || long || value.ends_with(b"="))
}

fn is_short_number(value: &[u8]) -> bool {
    value.len() < 8 && value.iter().all(u8::is_ascii_digit)
}

fn is_switch(value: &[u8]) -> bool {
    SWITCHES.iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// `env:NAME` and `file:PATH`, as in options of openssl and keytool, and the values of `docker build --secret`.
fn comes_from_elsewhere(value: &[u8]) -> bool {
    let sources: [&[u8]; 7] = [b"arn:", b"env:", b"file:", b"fd:", b"id=", b"type=", b"src="];
    sources.iter().any(|source| value.starts_with(source))
}

/// A path, but not Base64 that starts like one.
fn is_path(value: &[u8]) -> bool {
    let starts: [&[u8]; 4] = [b"/", b"./", b"../", b"~/"];
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-@ ".contains(byte) || !byte.is_ascii();
    let odd = |part: &[u8]| part.len() >= 12 && looks_random(part) && !part.contains(&b'.');
    starts.iter().any(|start| value.starts_with(start))
        && value.iter().all(plain)
        && !value.split(|byte| *byte == b'/').any(odd)
}

/// Whether a value only refers to others: `$TOKEN`, `${USER}:${PASS}`, `$(cat /run/secrets/x)`, `{{ x }}`.
fn is_reference(value: &[u8]) -> bool {
    let starts: [&[u8]; 3] = [b"{{", b"<%", b"%("];
    let (first, last) = (value.first().copied(), value.last().copied());
    let to_be_filled_in = matches!((first, last), (Some(b'<'), Some(b'>')) | (Some(b'%'), Some(b'%')));
    if to_be_filled_in || starts.iter().any(|start| value.starts_with(start)) {
        return true;
    }
    if !value.iter().any(|byte| b"$`".contains(byte)) {
        return false;
    }
    let closes = Closes::of(value);
    let lexer = ValueLexer::of(value, &closes);
    let (mut at, mut seen, mut path) = (0, false, false);
    while let Some(byte) = value.get(at) {
        match lexer.reference_end(at) {
            Some(end) if has_default(value.get(at..end).unwrap_or_default()) => return false,
            Some(end) => (at, seen) = (end, true),
            // `$HOME/.netrc`. Once is enough: the rest is checked as a whole.
            None if seen && *byte == b'/' && !path => {
                if value.get(at..).is_some_and(is_path) {
                    return true;
                }
                (at, path) = (at + 1, true);
            }
            None if seen && b":@.-_,\"' /}]".contains(byte) => at += 1,
            // `'{"password":"'"$PASSWORD"'"}'`: shell quotes around a variable.
            None if b"\"'".contains(byte) => at += 1,
            None => return false,
        }
    }
    seen
}

/// `${NAME:-VALUE}` contains a value after all.
fn has_default(reference: &[u8]) -> bool {
    let Some(inside) = reference.strip_prefix(b"${").and_then(|inside| inside.strip_suffix(b"}")) else {
        return false;
    };
    let name = inside.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let rest = inside.get(name..).unwrap_or_default();
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let default = rest.strip_prefix(b"-").or_else(|| rest.strip_prefix(b"="));
    name > 0
        && default
            .is_some_and(|default| !default.is_empty() && !default.contains(&b'$') && is_literal(default))
}

/// Reads values from a text.
#[derive(Clone, Copy)]
pub(super) struct ValueLexer<'a> {
    pub(super) text: &'a [u8],
    closes: &'a Closes,
}

impl<'a> ValueLexer<'a> {
    pub(super) fn of(text: &'a [u8], closes: &'a Closes) -> ValueLexer<'a> {
        ValueLexer { text, closes }
    }

    /// The same for a text that ends at `end`.
    pub(super) fn up_to(self, end: usize) -> ValueLexer<'a> {
        ValueLexer { text: self.text.get(..end).unwrap_or(self.text), ..self }
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or_default()
    }

    /// Where a quoted text that starts here ends.
    pub(super) fn closing(&self, from: usize, quote: u8, escaped: bool) -> Option<usize> {
        self.closes.quote(self.text, from, quote, escaped).filter(|end| *end < self.text.len())
    }

    /// The end of the current line, if another follows.
    pub(super) fn line_end(&self, from: usize) -> Option<usize> {
        self.closes.line(from).filter(|end| *end < self.text.len())
    }

    /// Where a reference that starts here ends.
    fn reference_end(&self, at: usize) -> Option<usize> {
        let end = match self.text.get(at..)? {
            [b'$', b'(' | b'{', ..] => self.closes.bracket(at + 1)? + 1,
            [b'`', ..] => self.closes.tick(at + 1)? + 1,
            [b'$', next, ..] if b"@*#?0123456789".contains(next) => at + 2,
            [b'$', name @ ..] => {
                let fits = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
                let length = name.iter().take_while(fits).count();
                work(length);
                (length > 0).then_some(at + 1 + length)?
            }
            _ => return None,
        };
        (end <= self.text.len()).then_some(end)
    }

    /// The value that starts here: the text inside its quotes, or a word as a shell reads it. `outer` is a quote that
    /// is already open and ends the value.
    pub(super) fn value(&self, start: usize, outer: Option<u8>) -> Range<usize> {
        let escaped = self.byte(start) == b'\\' && b"\"'".contains(&self.byte(start + 1));
        let open = start + usize::from(escaped);
        match self.text.get(open) {
            Some(quote) if !escaped && Some(*quote) == outer => self.behind_open_quote(start, *quote),
            Some(quote @ (b'"' | b'\'')) => {
                let inside = open + 1;
                // Unclosed quotes extend to the end: texts are cut.
                let end = self.closing(inside, *quote, escaped).unwrap_or(self.text.len());
                let after = end + 1 + usize::from(escaped);
                // The word may continue after its quotes.
                match self.text.get(after) {
                    Some(byte) if byte.is_ascii_alphanumeric() || b"_$\"'".contains(byte) => {
                        start..self.word_end(after, outer)
                    }
                    _ => inside..end,
                }
            }
            _ => start..self.word_end(start, outer),
        }
    }

    /// The quote that seems to be open ends here, and with it the value: `"TOKEN="`. But it is never certain which
    /// quotes are open (an apostrophe in a comment is enough), so the other reading counts too: a value opens here, or
    /// a word continues after its quotes.
    fn behind_open_quote(&self, start: usize, quote: u8) -> Range<usize> {
        // `'...'\''VALUE'\''...'`: how a quote is written inside quotes of its own kind.
        if self.text.get(start..).is_some_and(|rest| rest.starts_with(b"'\\''")) {
            let inside = start + 4;
            return inside..self.closing(inside, quote, false).unwrap_or(self.text.len());
        }
        let inside = start + 1;
        let next = self.byte(inside);
        if next == 0 || next.is_ascii_whitespace() || b"\"'\\&|;,.:+<>()[]{}".contains(&next) {
            return start..start;
        }
        let ends_word = |byte: u8| byte == 0 || byte.is_ascii_whitespace() || b";&|,)}]\\".contains(&byte);
        match self.closing(inside, quote, false) {
            Some(end) if ends_word(self.byte(end + 1)) => inside..end,
            _ => inside..self.word_end(inside, None),
        }
    }

    fn word_end(&self, from: usize, outer: Option<u8>) -> usize {
        let mut at = from;
        while let Some(byte) = self.text.get(at) {
            work(1);
            let next = self.text.get(at + 1).copied().unwrap_or(b' ');
            match byte {
                byte if byte.is_ascii_whitespace() || Some(*byte) == outer => return at,
                b'\\' if b"\"'\r\n".contains(&next) => return at,
                b'\\' => at += 2,
                b'$' | b'`' => at = self.reference_end(at).unwrap_or(at + 1),
                quote @ (b'"' | b'\'') => {
                    at = self.closing(at + 1, *quote, false).map_or(at + 1, |end| end + 1);
                }
                b'<' if at == from && outer.is_none() => match self.filler_end(at) {
                    Some(end) => at = end,
                    None => return at,
                },
                b';' => return at,
                b'|' | b'<' | b'>' | b')' if outer.is_none() => return at,
                b'&' if outer.is_none() || next.is_ascii_whitespace() || self.names_next(at + 1) => {
                    return at;
                }
                b',' if b"\"' \\".contains(&next) || self.names_next(at + 1) => return at,
                _ => at += 1,
            }
        }
        at.min(self.text.len())
    }

    /// The end of `<TOKEN>`, a placeholder.
    fn filler_end(&self, at: usize) -> Option<usize> {
        let word = self.text.iter().skip(at).take(64).take_while(|byte| !byte.is_ascii_whitespace());
        let length = word.clone().position(|byte| *byte == b'>')?;
        Some(at + length + 1)
    }

    /// Whether `NAME=` comes next, and thus another value.
    fn names_next(&self, from: usize) -> bool {
        let name = self
            .text
            .iter()
            .skip(from)
            .take(64)
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte));
        let length = name.count();
        work(length);
        length > 0 && self.byte(from + length) == b'='
    }
}
