//! Secrets that are recognised by their own shape, which issuers designed to be found where they should not be.

use std::ops::Range;

use super::work;

/// A token with its issuer's prefix.
struct Shape {
    start: &'static str,
    /// Minimum characters that follow.
    least: usize,
    /// Allowed characters besides letters and digits.
    others: &'static [u8],
    /// Whether one of the first of them must be a digit: otherwise it is made of words.
    digit: bool,
}

const fn shape(start: &'static str, least: usize, others: &'static [u8]) -> Shape {
    Shape { start, least, others, digit: false }
}

const fn with_digit(start: &'static str, least: usize, others: &'static [u8]) -> Shape {
    Shape { start, least, others, digit: true }
}

const SHAPES: &[Shape] = &[
    // GitHub, GitLab
    shape("ghp_", 10, b"_-."),
    shape("gho_", 10, b"_-."),
    shape("ghu_", 10, b"_-."),
    shape("ghs_", 10, b"_-."),
    shape("ghr_", 10, b"_-."),
    shape("github_pat_", 16, b"_"),
    shape("glpat-", 16, b"_-."),
    shape("gldt-", 16, b"_-."),
    shape("glrt-", 16, b"_-."),
    shape("glcbt-", 16, b"_-."),
    shape("glptt-", 16, b"_-."),
    shape("glft-", 16, b"_-."),
    shape("glsoat-", 16, b"_-."),
    shape("glagent-", 16, b"_-."),
    // Package and image registries
    shape("npm_", 30, b""),
    with_digit("pypi-", 40, b"_-"),
    shape("rubygems_", 32, b""),
    shape("dckr_pat_", 16, b"_-"),
    shape("dckr_oat_", 16, b"_-"),
    // Clouds
    shape("AIza", 30, b"_-"),
    shape("GOCSPX-", 20, b"_-"),
    with_digit("ya29.", 20, b"_-"),
    shape("dop_v1_", 32, b""),
    with_digit("dapi", 32, b"-"),
    shape("hvs.", 16, b"_-"),
    shape("hvb.", 16, b"_-"),
    shape("hvr.", 16, b"_-"),
    with_digit("tskey-", 16, b"_-"),
    shape("AGE-SECRET-KEY-1", 20, b""),
    // Services
    with_digit("xoxa-", 10, b"-."),
    with_digit("xoxb-", 10, b"-."),
    with_digit("xoxe-", 10, b"-."),
    with_digit("xoxp-", 10, b"-."),
    with_digit("xoxr-", 10, b"-."),
    with_digit("xoxs-", 10, b"-."),
    with_digit("xapp-", 10, b"-."),
    shape("sk_live_", 10, b""),
    shape("rk_live_", 10, b""),
    shape("sk_test_", 10, b""),
    shape("rk_test_", 10, b""),
    shape("whsec_", 16, b"+/="),
    shape("SG.", 40, b"_-."),
    with_digit("ATATT3", 32, b"_-="),
    shape("shpat_", 24, b""),
    shape("shpss_", 24, b""),
    shape("shpca_", 24, b""),
    with_digit("glc_", 32, b"+/="),
    with_digit("glsa_", 32, b"_"),
    with_digit("sntrys_", 32, b"_=+/"),
    with_digit("sntryu_", 32, b""),
    with_digit("PMAK-", 32, b"-"),
    with_digit("lin_api_", 32, b""),
    // Models
    with_digit("sk-ant-", 16, b"_-"),
    with_digit("sk-proj-", 16, b"_-"),
    with_digit("sk-svcacct-", 16, b"_-"),
    with_digit("sk-or-", 16, b"_-"),
    with_digit("sk-", 32, b""),
    with_digit("gsk_", 32, b""),
    with_digit("xai-", 32, b""),
    shape("hf_", 30, b""),
];

/// URLs that grant access to anybody who knows them.
const ADDRESSES: [&[u8]; 4] = [
    b"hooks.slack.com/services/",
    b"discord.com/api/webhooks/",
    b"discordapp.com/api/webhooks/",
    b"webhook.office.com/webhookb2/",
];

/// All positions of such secrets.
pub(super) fn all(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut keys = PrivateKeys { text, next_end: Some(0), empty: 0 };
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        work(1);
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let starts = before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let place = match byte {
            b'-' => keys.at(at),
            _ if !starts => None,
            b'e' => json_web_token(text, at),
            b'A' => amazon(text, at).or_else(|| issued(text, at)),
            b'S' => twilio(text, at).or_else(|| issued(text, at)),
            b'd' | b'h' | b'w' => address(text, at).or_else(|| issued(text, at)),
            _ => issued(text, at),
        };
        match place {
            Some(place) => {
                at = place.end.max(at + 1);
                found.push(place);
            }
            None => at += 1,
        }
    }
    found
}

fn issued(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    SHAPES.iter().find_map(|shape| {
        let body = rest.strip_prefix(shape.start.as_bytes())?;
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || shape.others.contains(byte);
        let least = body.get(..shape.least)?;
        let likely = least.iter().all(fits) && (!shape.digit || least.iter().any(u8::is_ascii_digit));
        let length = || shape.start.len() + run(body, fits);
        likely.then(|| at..at + length())
    })
}

/// AWS key IDs: not secret alone, but half of a secret.
fn amazon(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let starts: [&[u8]; 4] = [b"AKIA", b"ASIA", b"ABIA", b"ACCA"];
    let length = run(rest, u8::is_ascii_alphanumeric);
    let plain = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let fits = length == 20
        && starts.iter().any(|start| rest.starts_with(start))
        && rest.get(..length).is_some_and(|key| key.iter().all(plain));
    fits.then_some(at..at + length)
}

fn twilio(text: &[u8], at: usize) -> Option<Range<usize>> {
    let body = text.get(at..)?.strip_prefix(b"SK")?;
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let fits = run(body, u8::is_ascii_alphanumeric) == 32 && body.get(..32)?.iter().all(is_hex);
    fits.then_some(at..at + 34)
}

/// `eyJ` is Base64 for `{"`: a header, and after a dot the signed or encrypted content.
fn json_web_token(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?.strip_prefix(b"eyJ")?;
    // A token that started earlier has already been checked as a whole.
    if at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(|byte| b"-.".contains(byte)) {
        return None;
    }
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let head = run(rest, fits);
    let body = rest.get(head..)?.strip_prefix(b".")?;
    let likely = head >= 10 && run(body, fits) >= 10;
    let whole = |byte: &u8| fits(byte) || b".=".contains(byte);
    likely.then(|| at..at + 3 + run(rest, whole))
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
/// Minimum length of a Base64 line: the words of a command are shorter, except paths.
const KEY_LINE: usize = 12;

/// Private keys, from their first line to their last.
struct PrivateKeys<'a> {
    text: &'a [u8],
    /// The first end marker that has not been passed; `None` if there is none.
    next_end: Option<usize>,
    /// Up to here, nothing of a key was found.
    empty: usize,
}

impl PrivateKeys<'_> {
    fn at(&mut self, at: usize) -> Option<Range<usize>> {
        let rest = self.text.get(at..)?;
        let title = rest.strip_prefix(BEGIN)?;
        let title = title.get(..title.len().min(64))?;
        let length = title.windows(5).position(|window| window == b"-----")?;
        let title = title.get(..length)?;
        if !title.ends_with(b"PRIVATE KEY") && !title.ends_with(b"PRIVATE KEY BLOCK") {
            return None;
        }
        let body = at + BEGIN.len() + length + 5;
        let Some(end) = self.end_behind(body) else { return self.cut(at, body) };
        if body <= self.empty {
            return None;
        }
        // A pattern that searches for keys contains the markers, but nothing between them.
        let inside = self.text.get(body..end).unwrap_or_default();
        work(inside.len());
        let has_line = words(inside).any(|word| word.len() >= KEY_LINE);
        self.empty = end;
        let closing = self.text.get(end + END.len()..)?;
        let closing = closing.get(..closing.len().min(64))?;
        let closing = closing.windows(5).position(|window| window == b"-----").map_or(0, |length| length + 5);
        has_line.then_some(at..end + END.len() + closing)
    }

    fn end_behind(&mut self, from: usize) -> Option<usize> {
        let known = self.next_end?;
        if known < from || !self.text.get(known..)?.starts_with(END) {
            let rest = self.text.get(from..)?;
            let length = rest.windows(END.len()).position(|window| window == END);
            work(length.unwrap_or(rest.len()));
            self.next_end = length.map(|length| from + length);
        }
        self.next_end
    }

    /// A key whose end was cut off: all lines that are Base64, or `None`.
    fn cut(&self, at: usize, body: usize) -> Option<Range<usize>> {
        let rest = self.text.get(body..).unwrap_or_default();
        let is_header = |word: &[u8]| {
            let headers: [&[u8]; 6] =
                [b"Proc-Type:", b"4,ENCRYPTED", b"DEK-Info:", b"AES-", b"DES-", b"Version:"];
            headers.iter().any(|header| word.starts_with(header))
        };
        let (mut start, mut end) = (body, None);
        for word in rest.split(u8::is_ascii_whitespace) {
            work(word.len() + 1);
            let has_line = words(word).any(|line| line.len() >= KEY_LINE) && !word.starts_with(b"/");
            // The last line may be short, and contains only Base64.
            let is_last = end.is_some() && !word.is_empty() && word.iter().all(is_base64);
            if has_line || is_last {
                let own = word.iter().take_while(|byte| is_base64(byte) || **byte == b'\\').count();
                end = Some(start + own);
            }
            if !has_line && !word.is_empty() && !is_header(word) {
                break;
            }
            start += word.len() + 1;
        }
        end.map(|end| at..end)
    }
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(byte)
}

/// Runs of Base64 characters: a line break may be written as `\n`.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    text.split(move |byte| {
        let separates = escaped || !is_base64(byte);
        escaped = *byte == b'\\';
        separates
    })
}

fn address(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let start = ADDRESSES.iter().find(|start| rest.starts_with(start))?.len();
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_-@".contains(byte);
    let length = run(rest.get(start..)?, fits);
    (length >= 12).then_some(at + start..at + start + length)
}

fn run(text: &[u8], fits: impl Fn(&u8) -> bool) -> usize {
    let length = text.iter().take_while(|byte| fits(byte)).count();
    work(length);
    length
}
