//! Logins in URLs: `https://USER:PASSWORD@HOST`.

use std::ops::Range;

use super::value::is_literal;
use super::work;

/// Maximum bytes of a user, password or host.
const MAX_LOGIN: usize = 512;
/// A token may stand alone; user names are shorter than this.
const LONG_USER: usize = 20;

/// Maximum URLs nested in one word; beyond that, everything before the last `@` is a login.
const MAX_NESTED: usize = 4;

/// Whether there is a URL with a password.
pub fn has_login(text: &[u8]) -> bool {
    !all(text).is_empty()
}

/// All logins in URLs.
pub(super) fn all(text: &[u8]) -> Vec<Range<usize>> {
    let ends_word = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>,\\|;".contains(byte);
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split(ends_word) {
        work(word.len() + 1);
        found.extend(of_word(word).into_iter().map(|login| start + login.start..start + login.end));
        start += word.len() + 1;
    }
    found
}

fn of_word(word: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut looked_at = 0;
    let schemes = word.windows(3).enumerate().filter(|(_, window)| window == b"://");
    for after in schemes.map(|(at, _)| at + 3) {
        if found.last().is_some_and(|login| login.end > after) {
            continue;
        }
        if looked_at == MAX_NESTED {
            found.extend(last_at(word).filter(|host| *host > after).map(|host| after..host));
            break;
        }
        looked_at += 1;
        found.extend(login_at(word, after));
    }
    found
}

fn login_at(word: &[u8], after: usize) -> Option<Range<usize>> {
    let rest = word.get(after..)?;
    work(rest.len());
    let rest = rest.get(..rest.len().min(MAX_LOGIN))?;
    let authority = rest.split(|byte| b"/?#".contains(byte)).next()?;
    let host = last_at(authority).or_else(|| unescaped(rest, authority))?;
    let login = rest.get(..host)?;
    let secret = match login.iter().position(|byte| *byte == b':') {
        Some(colon) => is_literal(login.get(colon + 1..)?),
        None => login.len() >= LONG_USER && is_literal(login),
    };
    secret.then_some(after..after + host)
}

/// The end of a login whose password contains characters that should have been escaped. A port is a number.
fn unescaped(word: &[u8], authority: &[u8]) -> Option<usize> {
    let colon = authority.iter().position(|byte| *byte == b':')?;
    let is_port = authority.get(colon + 1..)?.iter().all(u8::is_ascii_digit);
    if is_port { None } else { last_at(word).filter(|at| *at > colon) }
}

fn last_at(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|byte| *byte == b'@')
}

/// `USER:PASSWORD@HOST` without a scheme, if HOST is certainly a host: `name:1.2@sha256:0123` is an image.
pub(super) fn without_scheme(text: &[u8]) -> Vec<Range<usize>> {
    let separates = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>,;()/=|".contains(byte);
    let mut start = 0;
    let mut found = Vec::new();
    for word in text.split(separates) {
        work(word.len() + 1);
        found.extend(login_of(word).map(|login| start + login.start..start + login.end));
        start += word.len() + 1;
    }
    found
}

fn login_of(word: &[u8]) -> Option<Range<usize>> {
    let start = transport(word);
    let rest = word.get(start..)?;
    let host_at = last_at(rest)?;
    let (login, host) = (rest.get(..host_at)?, rest.get(host_at + 1..)?);
    let colon = login.iter().position(|byte| *byte == b':')?;
    let (user, password) = (login.get(..colon)?, login.get(colon + 1..)?);
    let (name, port) = match host.iter().position(|byte| *byte == b':') {
        Some(colon) => (host.get(..colon)?, Some(host.get(colon + 1..)?)),
        None => (host, None),
    };
    let has_port = port.is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit));
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
    let domain = name.rsplit(|byte| *byte == b'.').next()?;
    let is_domain =
        domain.len() >= 2 && domain.len() < name.len() && domain.iter().all(u8::is_ascii_alphabetic);
    let is_number = name.split(|byte| *byte == b'.').count() == 4;
    let is_host = !name.is_empty()
        && name.iter().all(plain)
        && (port.is_none() || has_port)
        && (has_port && name != b"sha256" && name != b"sha512"
            || is_domain
            || is_number
            || name == b"localhost");
    (is_host && !is_scheme(user) && is_literal(password)).then_some(start..start + host_at)
}

/// Whether this is a scheme without `//`, so that what follows is not a password.
fn is_scheme(user: &[u8]) -> bool {
    let schemes: [&[u8]; 7] = [b"mailto", b"mail", b"email", b"sip", b"sips", b"xmpp", b"acct"];
    schemes.iter().any(|scheme| user.eq_ignore_ascii_case(scheme))
}

/// The length of the image transport, or kind of store, that a word starts with.
fn transport(word: &[u8]) -> usize {
    let transports: [&[u8]; 11] = [
        b"docker-daemon:",
        b"docker-archive:",
        b"docker:",
        b"oci-archive:",
        b"oci-layout:",
        b"oci:",
        b"containers-storage:",
        b"git:",
        b"dir:",
        b"inspect:",
        b"snapshot:",
    ];
    transports.iter().find(|transport| word.starts_with(transport)).map_or(0, |transport| transport.len())
}

/// Logins before any host, in a message: the texts that it quotes were meant as names or URLs.
pub(super) fn of_message(text: &[u8]) -> Vec<Range<usize>> {
    let separates = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>,;()=|".contains(byte);
    let (mut start, mut found) = (0, Vec::new());
    for word in text.split(separates) {
        work(word.len() + 1);
        found.extend(of_image(word).map(|login| start + login.start..start + login.end));
        start += word.len() + 1;
    }
    found
}

/// Logins in texts that certainly name an image, with any host: after `FROM`, `--from=`, and the `from=` of a mount.
pub(super) fn of_images(text: &[u8]) -> Vec<Range<usize>> {
    let separates = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>,;()|[]".contains(byte);
    let (mut start, mut follows, mut found) = (0, false, Vec::new());
    for word in text.split(separates) {
        work(word.len() + 1);
        let option = word.windows(5).position(|window| window.eq_ignore_ascii_case(b"from="));
        let image = option.map(|at| at + 5).or(follows.then_some(0));
        let login = image.and_then(|at| Some((at, of_image(word.get(at..)?)?)));
        found.extend(login.map(|(at, login)| start + at + login.start..start + at + login.end));
        // `FROM --platform=linux/arm64 IMAGE`
        follows =
            word.eq_ignore_ascii_case(b"from") || (follows && (word.is_empty() || word.starts_with(b"-")));
        start += word.len() + 1;
    }
    found
}

/// The login in an image name: everything before the `@` that does not start its digest.
pub(super) fn of_image(name: &[u8]) -> Option<Range<usize>> {
    let start = transport(name);
    let name = name.get(start..)?;
    let is_digest =
        |rest: &[u8]| [&b"sha256:"[..], b"sha384:", b"sha512:"].iter().any(|hash| rest.starts_with(hash));
    let at = match last_at(name)? {
        at if is_digest(name.get(at + 1..)?) => last_at(name.get(..at)?)?,
        at => at,
    };
    let login = name.get(..at)?;
    let colon = login.iter().position(|byte| *byte == b':')?;
    let user = login.get(..colon)?;
    // A scheme with `//` is found as a URL.
    let is_address = login.get(colon + 1..)?.starts_with(b"//");
    (!user.contains(&b'/') && !is_scheme(user) && !is_address && is_literal(login.get(colon + 1..)?))
        .then_some(start..start + at)
}
