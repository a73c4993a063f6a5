//! Where a value ends, and whether it is one or only names one.

use std::ops::Range;

use super::name::Sort;

/// How far the end of `$(` or `${` is looked for.
const MAX_REFERENCE: usize = 1024;

/// Words that switch something, or say where a secret comes from.
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

/// Whether a value that is called so is a secret.
pub(super) fn is_secret(sort: Sort, value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if !is_literal(value) || is_path(value) || is_switch(value) || comes_from_elsewhere(value) {
        return false;
    }
    match sort {
        Sort::Password => true,
        Sort::Token => value.len() >= 4 && !is_short_number(value),
        Sort::Login => looks_random(value),
    }
}

/// Whether this is a value itself: not empty, no variable, and nothing that stands for a value to be
/// filled in.
pub fn is_literal(value: &[u8]) -> bool {
    let is_filler = |byte: &u8| b"*xX.".contains(byte);
    !value.iter().all(is_filler) && !is_reference(value)
}

/// Whether a value looks like no word of a language: a login, Base64, letters and digits mixed.
pub(super) fn looks_random(value: &[u8]) -> bool {
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

/// `env:NAME` and `file:PATH`, as openssl's and keytool's options have it, and what `docker build
/// --secret` takes.
fn comes_from_elsewhere(value: &[u8]) -> bool {
    let sources: [&[u8]; 6] = [b"env:", b"file:", b"fd:", b"id=", b"type=", b"src="];
    sources.iter().any(|source| value.starts_with(source))
}

/// A path, and no Base64 that starts like one.
fn is_path(value: &[u8]) -> bool {
    let starts: [&[u8]; 4] = [b"/", b"./", b"../", b"~/"];
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-@ ".contains(byte) || !byte.is_ascii();
    let odd = |part: &[u8]| part.len() >= 12 && looks_random(part) && !part.contains(&b'.');
    starts.iter().any(|start| value.starts_with(start))
        && value.iter().all(plain)
        && !value.split(|byte| *byte == b'/').any(odd)
}

/// Whether a value only names another: `$TOKEN`, `${USER}:${PASS}`, `$(cat /run/secrets/x)`, `{{ x }}`.
fn is_reference(value: &[u8]) -> bool {
    let starts: [&[u8]; 3] = [b"{{", b"<%", b"%("];
    let (first, last) = (value.first().copied(), value.last().copied());
    let to_be_filled_in = matches!((first, last), (Some(b'<'), Some(b'>')) | (Some(b'%'), Some(b'%')));
    if to_be_filled_in || starts.iter().any(|start| value.starts_with(start)) {
        return true;
    }
    let (mut at, mut seen, mut path) = (0, false, false);
    while let Some(byte) = value.get(at) {
        match reference_end(value, at) {
            Some(end) if has_default(value.get(at..end).unwrap_or_default()) => return false,
            Some(end) => (at, seen) = (end, true),
            // `$HOME/.netrc`. Once is enough: what follows is looked at as a whole.
            None if seen && *byte == b'/' && !path => {
                if value.get(at..).is_some_and(is_path) {
                    return true;
                }
                (at, path) = (at + 1, true);
            }
            None if seen && b":@.-_,\"' /".contains(byte) => at += 1,
            None => return false,
        }
    }
    seen
}

/// `${NAME:-VALUE}` says a value after all.
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

/// Where a reference that starts here ends.
fn reference_end(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    match rest {
        [b'$', b'(', ..] => balanced(rest, b'(', b')').map(|length| at + length),
        [b'$', b'{', ..] => balanced(rest, b'{', b'}').map(|length| at + length),
        [b'`', inside @ ..] => {
            let inside = inside.get(..inside.len().min(MAX_REFERENCE)).unwrap_or_default();
            inside.iter().position(|byte| *byte == b'`').map(|length| at + length + 2)
        }
        [b'$', next, ..] if b"@*#?0123456789".contains(next) => Some(at + 2),
        [b'$', name @ ..] => {
            let length =
                name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
            (length > 0).then_some(at + 1 + length)
        }
        _ => None,
    }
}

fn balanced(text: &[u8], open: u8, close: u8) -> Option<usize> {
    let mut depth = 0usize;
    for (index, byte) in text.iter().take(MAX_REFERENCE).enumerate() {
        if *byte == open {
            depth += 1;
        } else if *byte == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(index + 1);
            }
        }
    }
    None
}

/// The value that starts here: what is in its quotes, or a word as a shell reads it. `outer` is the
/// quote that is open already, which ends it.
pub(super) fn value_at(text: &[u8], start: usize, outer: Option<u8>) -> Range<usize> {
    let escaped = text.get(start) == Some(&b'\\') && matches!(text.get(start + 1), Some(b'"' | b'\''));
    let open = start + usize::from(escaped);
    match text.get(open) {
        Some(quote @ (b'"' | b'\'')) if escaped || Some(*quote) != outer => {
            let inside = open + 1;
            let end = closing(text, inside, *quote, escaped);
            let after = end + 1 + usize::from(escaped);
            // The word may go on behind its quotes.
            match text.get(after) {
                Some(byte) if byte.is_ascii_alphanumeric() || b"_$\"'".contains(byte) => {
                    start..word_end(text, after, outer)
                }
                _ => inside..end,
            }
        }
        _ => start..word_end(text, start, outer),
    }
}

/// Where the text in quotes ends; at the end of all where nothing closes them.
fn closing(text: &[u8], from: usize, quote: u8, escaped: bool) -> usize {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if escaped && text.get(at + 1) == Some(&quote) => return at,
            b'\\' if quote == b'"' => at += 2,
            byte if *byte == quote => return at,
            _ => at += 1,
        }
    }
    text.len()
}

fn word_end(text: &[u8], from: usize, outer: Option<u8>) -> usize {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        let next = text.get(at + 1).copied().unwrap_or(b' ');
        match byte {
            byte if byte.is_ascii_whitespace() || Some(*byte) == outer => return at,
            b'\\' if b"\"'\r\n".contains(&next) => return at,
            b'\\' => at += 2,
            b'$' | b'`' => at = reference_end(text, at).unwrap_or(at + 1),
            quote @ (b'"' | b'\'') => {
                let end = closing(text, at + 1, *quote, false);
                at = if end < text.len() { end + 1 } else { at + 1 };
            }
            b'<' if at == from && outer.is_none() => {
                let end = text.iter().skip(at).take(64).take_while(|byte| !byte.is_ascii_whitespace());
                match end.clone().position(|byte| *byte == b'>') {
                    Some(length) => at += length + 1,
                    None => return at,
                }
            }
            b';' => return at,
            b'|' | b'<' | b'>' | b')' if outer.is_none() => return at,
            b'&' if outer.is_none() || next.is_ascii_whitespace() || names_next(text, at + 1) => return at,
            b',' if b"\"' \\".contains(&next) || names_next(text, at + 1) => return at,
            _ => at += 1,
        }
    }
    at.min(text.len())
}

/// Whether `NAME=` comes next, and with it another value.
fn names_next(text: &[u8], from: usize) -> bool {
    let name = text
        .iter()
        .skip(from)
        .take(64)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte));
    let length = name.count();
    length > 0 && text.get(from + length) == Some(&b'=')
}
