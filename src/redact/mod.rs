//! Removes values that look like secrets from text before it is stored or shown: `***` replaces them. Names stay,
//! because they tell where the secret is.
//!
//! A secret is recognised by its name (`NPM_TOKEN=`, `--password`), its context (`https://USER:PASSWORD@HOST`,
//! `Authorization: Bearer`) or its shape (`ghp_`, `AKIA`). This is a best effort: a secret without name, context or
//! shape looks like any word. A reference to a secret (`$TOKEN`, `$(cat /run/secrets/x)`, the path of a file) is not
//! one.
//!
//! Text is untrusted, so each rule reads each byte a limited number of times.

mod closes;
mod commands;
mod configured;
mod known;
mod lines;
mod login;
mod name;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::ops::Range;

use closes::Closes;
use serde::{Deserialize, Deserializer};
use value::ValueLexer;

use crate::sort;
pub use known::{remember, without_known};
pub use login::has_login;
pub use name::{Sort, sort_of};
pub use value::is_literal;

/// The text that replaces a removed value.
pub const MARK: &str = "***";

/// Maximum rounds: a removed value may have hidden others, but more rounds never changed anything.
const ROUNDS: usize = 4;

/// Removes the values that look like secrets from a text: an instruction, a command, a message.
pub fn redact(text: &str) -> Cow<'_, str> {
    repeated(text, places)
}

fn places(text: &[u8]) -> Vec<Range<usize>> {
    let closes = Closes::of(text);
    let lexer = ValueLexer::of(text, &closes);
    let mut found = shape::all(text);
    found.extend(known::all(text, known::LEAST_IN_CONTENT));
    found.extend(login::all(text));
    found.extend(login::without_scheme(text));
    found.extend(login::of_images(text));
    found.extend(lines::all(text));
    found.extend(settings::all(lexer, settings::TextKind::Command));
    found.extend(commands::all(lexer));
    found
}

/// [`redact`] for one instruction as written in a Dockerfile: comments between its lines are not part of it, and are
/// redacted separately.
pub fn redact_source(text: &str) -> Cow<'_, str> {
    repeated(text, |text| {
        let comments = comments_between(text);
        let mut own = text.to_vec();
        let mut found = Vec::new();
        for comment in comments {
            found.extend(moved(places(&text[comment.clone()]), comment.start));
            // Like the end of a continued line.
            own[comment.clone()].fill(b' ');
            own[comment.end - 1] = b'\\';
        }
        found.extend(places(&own));
        found
    })
}

/// [`redact`] for lines that are all comments: only a private key continues from one to the next.
pub fn redact_comments(text: &str) -> Cow<'_, str> {
    repeated(text, |text| {
        let mut found = shape::all(text);
        let mut start = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            found.extend(moved(places(line), start));
            start += line.len();
        }
        found
    })
}

fn moved(found: Vec<Range<usize>>, by: usize) -> impl Iterator<Item = Range<usize>> {
    found.into_iter().map(move |place| place.start + by..place.end + by)
}

/// The comments in an instruction, up to its here-documents, where they are text.
fn comments_between(text: &[u8]) -> Vec<Range<usize>> {
    let mut comments = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let own = line.trim_ascii();
        if own.starts_with(b"#") {
            let end = start + line.trim_ascii_end().len();
            comments.push(end - own.len()..end);
        } else if own.windows(2).any(|window| window == b"<<") {
            break;
        }
        start += line.len();
    }
    comments
}

/// [`redact`] for the name of an image, registry or host: there a login may precede any host, as in
/// `USER:PASSWORD@HOST/NAME`.
pub fn redact_reference(text: &str) -> Cow<'_, str> {
    repeated(text, |text| {
        let mut found = places(text);
        // A sentence about a name is not a name.
        let is_name = !text.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'`');
        found.extend(is_name.then(|| login::of_image(text)).flatten());
        found
    })
}

/// Removes secrets from the program's own messages: they mention tokens and passwords
/// (`set GITHUB_TOKEN (contents: read)`), so a word after such a name is only removed if it looks random. Foreign text
/// in a message may be anything: `NAME=VALUE`, URLs with logins and token shapes are removed as everywhere.
pub fn redact_message(text: &str) -> Cow<'_, str> {
    repeated(text, |text| {
        let closes = Closes::of(text);
        let mut found = shape::all(text);
        found.extend(known::all(text, 0));
        found.extend(login::all(text));
        found.extend(login::without_scheme(text));
        found.extend(login::of_message(text));
        found.extend(settings::all(ValueLexer::of(text, &closes), settings::TextKind::Message));
        found
    })
}

/// Reads a text from a document: an earlier version may have stored a secret that is recognised today.
///
/// # Errors
/// If the value is not a text.
pub fn read_reference<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    Ok(redact_reference(&text).into_owned())
}

/// [`read_reference`] for an optional value.
///
/// # Errors
/// If the value is something else.
pub fn read_some_reference<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.map(|text| redact_reference(&text).into_owned()))
}

fn repeated(text: &str, find: impl Fn(&[u8]) -> Vec<Range<usize>>) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..ROUNDS {
        match replaced(&text, find(text.as_bytes())) {
            Some(changed) => text = Cow::Owned(changed),
            None => break,
        }
    }
    text
}

/// The text with a mark for each position; `None` if that changes nothing. Adjacent positions are merged.
fn replaced(text: &str, mut found: Vec<Range<usize>>) -> Option<String> {
    found.retain(|place| place.start < place.end && text.get(place.clone()).is_some_and(|was| was != MARK));
    sort::by_key(&mut found, |place| place.start);
    let mut changed = String::with_capacity(text.len());
    let (mut kept, mut until) = (0, 0);
    for place in &found {
        if place.start > until || until == 0 {
            changed.push_str(text.get(kept..place.start).unwrap_or_default());
            changed.push_str(MARK);
        }
        until = until.max(place.end);
        kept = until;
    }
    changed.push_str(text.get(kept..).unwrap_or_default());
    (!found.is_empty() && changed != text).then_some(changed)
}

/// Whether bytes start with others, ignoring case.
fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start))
}

#[cfg(test)]
thread_local! {
    /// How many bytes were read.
    static WORK: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts bytes that were read, for a test.
#[inline]
fn work(bytes: usize) {
    #[cfg(test)]
    WORK.set(WORK.get() + bytes);
    #[cfg(not(test))]
    let _ = bytes;
}
