//! Commands that write a login into settings, or make one: there only the place of a word tells.

use super::Sort;
use super::value::is_secret;

/// A setting whose value is a secret.
struct Setting {
    program: &'static [u8],
    /// The setting begins with it: `http-basic.HOST`.
    start: &'static [u8],
    /// How many words behind it the secret is.
    behind: usize,
}

const fn setting(program: &'static [u8], start: &'static [u8], behind: usize) -> Setting {
    Setting { program, start, behind }
}

const SETTINGS: &[Setting] = &[
    setting(b"composer", b"http-basic.", 2),
    setting(b"composer", b"github-oauth.", 1),
    setting(b"composer", b"gitlab-oauth.", 1),
    setting(b"composer", b"gitlab-token.", 1),
    setting(b"composer", b"bitbucket-oauth.", 2),
    setting(b"composer", b"bearer.", 1),
    setting(b"poetry", b"http-basic.", 2),
    setting(b"poetry", b"pypi-token.", 1),
];

/// The places of words of a command that are secrets. Words come without their quotes.
pub(super) fn secrets(command: &[&[u8]]) -> Vec<usize> {
    let Some(start) = command.iter().position(|word| kind_of(word).is_some()) else { return Vec::new() };
    let rest = command.get(start + 1..).unwrap_or_default();
    let found = match command.get(start).and_then(|word| kind_of(word)) {
        Some(b"htpasswd") => htpasswd(rest),
        Some(b"bundle") => bundle(rest),
        Some(program) => settings(program, rest),
        None => Vec::new(),
    };
    let is_password = |place: &usize| {
        let word = rest.get(*place).copied().unwrap_or_default();
        !word.starts_with(b"-") && is_secret(Sort::Password, word)
    };
    found.into_iter().filter(is_password).map(|place| start + 1 + place).collect()
}

fn kind_of(word: &[u8]) -> Option<&'static [u8]> {
    let base = word.rsplit(|byte| *byte == b'/').next()?;
    [&b"htpasswd"[..], b"bundle", b"composer", b"poetry"].into_iter().find(|program| *program == base)
}

/// `htpasswd -nb USER PASSWORD`, `htpasswd -b FILE USER PASSWORD`.
fn htpasswd(words: &[&[u8]]) -> Vec<usize> {
    let mut plain = Vec::new();
    let (mut given, mut shown, mut skip) = (false, false, false);
    for (place, word) in words.iter().enumerate() {
        match word {
            _ if std::mem::take(&mut skip) => {}
            [b'-', letters @ ..] => {
                given |= letters.contains(&b'b');
                shown |= letters.contains(&b'n');
                // `-C COST`, `-r ROUNDS`
                skip = letters.last().is_some_and(|letter| b"Cr".contains(letter));
            }
            _ => plain.push(place),
        }
    }
    plain.get(if shown { 1 } else { 2 }).filter(|_| given).copied().into_iter().collect()
}

/// `bundle config HOST USER:PASSWORD`; groups are written so too.
fn bundle(words: &[&[u8]]) -> Vec<usize> {
    if !words.contains(&&b"config"[..]) {
        return Vec::new();
    }
    let is_login = |place: usize| {
        let word = words.get(place).copied().unwrap_or_default();
        let colon = word.iter().position(|byte| *byte == b':').filter(|colon| *colon > 0);
        let before = place.checked_sub(1).and_then(|before| words.get(before)).copied().unwrap_or_default();
        let is_groups = matches!(before, b"with" | b"without" | b"only");
        let password = colon.and_then(|colon| word.get(colon + 1..)).unwrap_or_default();
        !is_groups && !word.contains(&b'/') && is_secret(Sort::Password, password)
    };
    (0..words.len()).filter(|place| is_login(*place)).collect()
}

fn settings(program: &[u8], words: &[&[u8]]) -> Vec<usize> {
    if !words.contains(&&b"config"[..]) {
        return Vec::new();
    }
    let own = SETTINGS.iter().filter(|setting| setting.program == program);
    own.filter_map(|setting| {
        let place = words.iter().position(|word| word.starts_with(setting.start))?;
        Some(place + setting.behind).filter(|place| *place < words.len())
    })
    .collect()
}
