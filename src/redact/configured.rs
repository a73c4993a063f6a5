//! Commands that take a secret as a plain word, to log in, create a user or write settings: only its position tells.

use super::Sort;
use super::value::is_secret;

/// A setting whose value is a secret.
struct SecretSetting {
    program: &'static [u8],
    /// The start of the setting's name: `http-basic.HOST`.
    start: &'static [u8],
    /// How many words after the setting the secret is.
    behind: usize,
}

const fn setting(program: &'static [u8], start: &'static [u8], behind: usize) -> SecretSetting {
    SecretSetting { program, start, behind }
}

const SETTINGS: &[SecretSetting] = &[
    setting(b"composer", b"http-basic.", 2),
    setting(b"composer", b"github-oauth.", 1),
    setting(b"composer", b"gitlab-oauth.", 1),
    setting(b"composer", b"gitlab-token.", 1),
    setting(b"composer", b"bitbucket-oauth.", 2),
    setting(b"composer", b"bearer.", 1),
    setting(b"poetry", b"http-basic.", 2),
    setting(b"poetry", b"pypi-token.", 1),
];

/// A command that takes a secret as a plain word: neither an option nor an option's value.
struct Plain {
    program: &'static [u8],
    /// The words that form the command: `alias set`.
    command: &'static [&'static [u8]],
    /// The index of the secret among the plain words after them, counted from 0.
    place: usize,
    /// The options that take the next word as their value.
    valued: &'static [&'static [u8]],
}

const fn plain(program: &'static [u8], command: &'static [&'static [u8]], place: usize) -> Plain {
    Plain { program, command, place, valued: &[] }
}

impl Plain {
    const fn valued(self, valued: &'static [&'static [u8]]) -> Plain {
        Plain { valued, ..self }
    }
}

const RABBITMQ: &[&[u8]] = &[b"-n", b"--node", b"-t", b"--timeout", b"-p", b"--vhost"];
const VAULT: &[&[u8]] =
    &[b"-method", b"-path", b"-address", b"-namespace", b"-field", b"-format", b"-ca-cert", b"-role"];

const PLAIN: &[Plain] = &[
    plain(b"mc", &[b"alias", b"set"], 3),
    plain(b"mc", &[b"config", b"host", b"add"], 3),
    plain(b"mc", &[b"admin", b"user", b"add"], 2),
    plain(b"vault", &[b"login"], 0).valued(VAULT),
    plain(b"vault", &[b"unwrap"], 0).valued(VAULT),
    plain(b"vault", &[b"operator", b"unseal"], 0).valued(VAULT),
    plain(b"cargo", &[b"login"], 0).valued(&[b"--registry", b"--config", b"--color", b"-Z"]),
    plain(b"rabbitmqctl", &[b"add_user"], 1).valued(RABBITMQ),
    plain(b"rabbitmqctl", &[b"change_password"], 1).valued(RABBITMQ),
    plain(b"rabbitmqctl", &[b"authenticate_user"], 1).valued(RABBITMQ),
    plain(b"mysqladmin", &[b"password"], 0).valued(&[b"-u", b"-h", b"-P", b"-S"]),
    plain(b"mariadb-admin", &[b"password"], 0).valued(&[b"-u", b"-h", b"-P", b"-S"]),
    plain(b"neo4j-admin", &[b"set-initial-password"], 0),
    plain(b"openssl", &[b"passwd"], 0).valued(&[b"-salt", b"-in"]),
    plain(b"mkpasswd", &[], 0).valued(&[b"-m", b"--method", b"-S", b"--salt", b"-R", b"--rounds"]),
    plain(b"rclone", &[b"obscure"], 0),
    plain(b"wpa_passphrase", &[], 1),
    plain(b"snyk", &[b"auth"], 0),
    plain(b"ngrok", &[b"authtoken"], 0),
    plain(b"ngrok", &[b"add-authtoken"], 0),
    plain(b"wandb", &[b"login"], 0).valued(&[b"--host", b"--entity"]),
    plain(b"nuget", &[b"setapikey"], 0).valued(&[b"-source"]),
    plain(b"cf", &[b"auth"], 1),
    plain(b"nmcli", &[b"password"], 0),
    plain(b"git", &[b"config", b"user.password"], 0),
    plain(b"net", &[b"user"], 1),
    plain(b"steamcmd", &[b"+login"], 1),
    // A PowerShell cmdlet; `-String VALUE` is the same as VALUE alone.
    plain(b"convertto-securestring", &[], 0).valued(&[b"-key", b"-securekey"]),
];

/// The indexes of a command's words that are secrets. Words come without quotes.
pub(super) fn secrets(command: &[&[u8]]) -> Vec<usize> {
    // `mc` may be a package to install, and `net` the network of a container that runs `vault`.
    let known = command.iter().enumerate().filter_map(|(at, word)| Some((at, kind_of(word)?)));
    let known = known.take_while(|(at, _)| !installs(command.get(..*at).unwrap_or_default()));
    known.take(MAX_KNOWN).flat_map(|(at, program)| of_program(program, command, at + 1)).collect()
}

/// Maximum programs in one command; real ones have fewer.
const MAX_KNOWN: usize = 3;

fn installs(words: &[&[u8]]) -> bool {
    words.iter().any(|word| matches!(*word, b"install" | b"add"))
}

/// The secrets among a program's words, which start at `start`.
fn of_program(program: &[u8], command: &[&[u8]], start: usize) -> Vec<usize> {
    let rest = command.get(start..).unwrap_or_default();
    let found = match program {
        b"htpasswd" => htpasswd(rest),
        b"bundle" => bundle(rest),
        b"sqlplus" | b"sqlldr" | b"expdp" | b"impdp" => oracle(rest),
        b"net" if rest.first().is_some_and(|word| word.eq_ignore_ascii_case(b"use")) => net_use(rest),
        b"composer" | b"poetry" => settings(program, rest),
        _ => PLAIN.iter().filter(|own| own.program == program).filter_map(|own| own.place(rest)).collect(),
    };
    let is_password = |place: &usize| {
        let word = rest.get(*place).copied().unwrap_or_default();
        !word.starts_with(b"-") && is_secret(Sort::Password, word)
    };
    found.into_iter().filter(is_password).map(|place| start + place).collect()
}

fn kind_of(word: &[u8]) -> Option<&'static [u8]> {
    let base = word.rsplit(|byte| b"/\\".contains(byte)).next()?;
    let base = base.strip_suffix(b".exe").unwrap_or(base);
    let own =
        [&b"htpasswd"[..], b"bundle", b"composer", b"poetry", b"sqlplus", b"sqlldr", b"expdp", b"impdp"];
    let all = own.into_iter().chain(PLAIN.iter().map(|plain| plain.program));
    all.into_iter().find(|program| program.eq_ignore_ascii_case(base))
}

impl Plain {
    /// The index of the secret among the words after the program. `username=me` is not a plain word of these commands.
    fn place(&self, words: &[&[u8]]) -> Option<usize> {
        let is_one_of = |set: &[&[u8]], word: &[u8]| set.iter().any(|one| one.eq_ignore_ascii_case(word));
        let is_value = |place: usize| {
            let before = place.checked_sub(1).and_then(|before| words.get(before));
            before.is_some_and(|before| is_one_of(self.valued, before))
        };
        let is_plain = |(place, word): &(usize, &&[u8])| {
            let named = word.trim_ascii_end().iter().position(|byte| *byte == b'=');
            let is_named = named.is_some_and(|at| word.iter().skip(at).any(|byte| *byte != b'='));
            !word.starts_with(b"-") && !is_named && !is_value(*place)
        };
        let plain: Vec<(usize, &&[u8])> = words.iter().enumerate().filter(is_plain).collect();
        let is_command = |at: &usize| {
            let own = plain.get(*at..*at + self.command.len()).unwrap_or_default();
            own.iter()
                .map(|(_, word)| **word)
                .zip(self.command)
                .all(|(own, word)| own.eq_ignore_ascii_case(word))
        };
        let last = plain.len().checked_sub(self.command.len())?;
        let at = (0..=last).find(is_command)?;
        plain.get(at + self.command.len() + self.place).map(|(place, _)| *place)
    }
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

/// `bundle config HOST USER:PASSWORD`; groups are written the same way.
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

/// `sqlplus USER/PASSWORD@DATABASE`; `/ as sysdba` and `/nolog` are not logins.
fn oracle(words: &[&[u8]]) -> Vec<usize> {
    let is_login = |word: &&[u8]| {
        let slash = word.iter().position(|byte| *byte == b'/').filter(|slash| *slash > 0);
        slash.is_some_and(|slash| word.len() > slash + 1) && !word.starts_with(b"@")
    };
    words.iter().position(is_login).into_iter().collect()
}

/// `net use Z: \\HOST\SHARE PASSWORD /user:USER`, in any order.
fn net_use(words: &[&[u8]]) -> Vec<usize> {
    let has_user = words.iter().any(|word| word.to_ascii_lowercase().starts_with(b"/user:"));
    let is_password = |word: &&[u8]| {
        !word.starts_with(b"/") && !word.ends_with(b":") && !word.contains(&b'\\') && **word != b"*"[..]
    };
    let places = words.iter().enumerate().skip(1).filter(|(_, word)| has_user && is_password(word));
    places.map(|(place, _)| place).collect()
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
