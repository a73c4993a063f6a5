//! Programs whose short options, or whose standard input, take a password.

use std::ops::Range;

use super::configured;
use super::value::{ValueLexer, is_literal, is_secret};
use super::{Sort, starts_with, work};

/// How a program accepts a secret.
struct SecretProgram {
    names: &'static [&'static str],
    /// A word that has to precede the option: `docker login -p`.
    command: Option<&'static str>,
    options: &'static [&'static str],
    /// Whether the value may be attached to the option, in one word.
    attached: bool,
    /// Whether the value must be attached.
    only_attached: bool,
    /// The separator between user and password, if the value is a login; without a password it is not a secret.
    login: Option<u8>,
    /// Letters of options without a value that may precede in the same word: `-sSLu`.
    letters: &'static [u8],
}

const NONE: SecretProgram = SecretProgram {
    names: &[],
    command: None,
    options: &[],
    attached: false,
    only_attached: false,
    login: None,
    letters: b"",
};

const PROGRAMS: &[SecretProgram] = &[
    SecretProgram {
        names: &["curl", "http", "https"],
        options: &["-u", "--user", "-U", "--proxy-user", "-a", "--auth"],
        attached: true,
        login: Some(b':'),
        letters: b"0123469aBfgGiIjJkKlLnNOpqRsSvVZ#",
        ..NONE
    },
    SecretProgram {
        names: &[
            "docker", "podman", "buildah", "skopeo", "nerdctl", "helm", "oras", "crane", "regctl", "az",
            "oc", "argocd",
        ],
        command: Some("login"),
        options: &["-p"],
        attached: true,
        ..NONE
    },
    SecretProgram { names: &["lftp"], options: &["-u", "--user"], login: Some(b','), ..NONE },
    SecretProgram {
        names: &["smbclient", "rpcclient", "smbget"],
        options: &["-U", "--user"],
        attached: true,
        login: Some(b'%'),
        ..NONE
    },
    SecretProgram { names: &["sshpass"], options: &["-p"], attached: true, ..NONE },
    SecretProgram {
        names: &["mysql", "mysqladmin", "mysqldump", "mariadb", "mariadb-admin", "mariadb-dump"],
        options: &["-p"],
        attached: true,
        only_attached: true,
        ..NONE
    },
    SecretProgram { names: &["redis-cli"], options: &["-a"], ..NONE },
    SecretProgram {
        names: &["mongo", "mongosh", "mongodump", "useradd", "usermod"],
        options: &["-p"],
        ..NONE
    },
    SecretProgram { names: &["sqlcmd", "zip", "unzip"], options: &["-P"], attached: true, ..NONE },
    SecretProgram { names: &["7z", "7za"], options: &["-p"], attached: true, only_attached: true, ..NONE },
    SecretProgram { names: &["ldapsearch", "ldapadd"], options: &["-w"], ..NONE },
    SecretProgram { names: &["ssh-keygen"], options: &["-N", "-P"], ..NONE },
    SecretProgram { names: &["openssl"], options: &["-k", "-K", "-pass"], ..NONE },
    SecretProgram {
        names: &["twine", "cypher-shell", "cqlsh", "couchbase-cli", "rabbitmqadmin"],
        options: &["-p"],
        ..NONE
    },
    SecretProgram { names: &["mongorestore", "mongoexport", "mongoimport"], options: &["-p"], ..NONE },
    SecretProgram { names: &["ipmitool", "p4", "bcp", "tsql"], options: &["-P"], attached: true, ..NONE },
    SecretProgram { names: &["rar", "unrar"], options: &["-p"], attached: true, only_attached: true, ..NONE },
    SecretProgram { names: &["ldappasswd"], options: &["-s", "-w"], ..NONE },
    SecretProgram { names: &["x11vnc"], options: &["-storepasswd", "-passwd"], ..NONE },
    SecretProgram { names: &["cf"], command: Some("login"), options: &["-p"], ..NONE },
    SecretProgram { names: &["gh"], command: Some("secret"), options: &["-b", "--body"], ..NONE },
    SecretProgram { names: &["gitlab-runner"], command: Some("register"), options: &["-r", "-t"], ..NONE },
    SecretProgram { names: &["dotnet"], command: Some("nuget"), options: &["-p", "-k"], ..NONE },
    SecretProgram { names: &["elasticsearch-users"], options: &["-p"], ..NONE },
    SecretProgram { names: &["doctl"], command: Some("auth"), options: &["-t"], ..NONE },
];

/// Programs that read passwords, and options that make other programs read one.
const READERS: [&[u8]; 7] = [
    b"chpasswd",
    b"passwd",
    b"kinit",
    b"--password-stdin",
    b"--with-token",
    b"--token-stdin",
    b"--passphrase-fd",
];
/// Programs that output their arguments.
const SPEAKERS: [&[u8]; 3] = [b"echo", b"printf", b"yes"];

/// Maximum depth of quoted commands that are searched: `sh -c "curl ..."`. Real ones are not nested deeper.
const MAX_DEPTH: usize = 3;

/// All such values in a text.
pub(super) fn all(lexer: ValueLexer<'_>) -> Vec<Range<usize>> {
    inside(lexer, 0, 0)
}

/// All such values in a part of a text, which ends where `text` does.
fn inside(lexer: ValueLexer<'_>, from: usize, depth: usize) -> Vec<Range<usize>> {
    let text = lexer.text;
    let mut walk =
        CommandWalk { text, found: Vec::new(), command: Vec::new(), piped: Vec::new(), here: None };
    let mut at = from;
    while let Some(byte) = text.get(at) {
        work(1);
        match byte {
            b'|' if text.get(at + 1) != Some(&b'|') => {
                walk.end_command();
                at += 1;
            }
            b'<' if text.get(at..at + 3) == Some(b"<<<") => {
                walk.here = Some(walk.command.len());
                at += 3;
            }
            b'|' | b'&' | b';' | b'(' | b')' | b'\n' => {
                walk.end_command();
                walk.piped.clear();
                at += 1;
            }
            b'\\' | b'[' | b']' | b',' | b'<' | b'>' | b'{' | b'}' => {
                at += if *byte == b'\\' { 2 } else { 1 }
            }
            byte if byte.is_ascii_whitespace() => at += 1,
            _ => {
                let word = lexer.value(at, None);
                // The closing quotes are as long as the opening ones.
                let quoted = word.start > at;
                at = (word.end + (word.start - at)).max(at + 1);
                if quoted && depth < MAX_DEPTH {
                    walk.found.extend(inside(lexer.up_to(word.end), word.start, depth + 1));
                }
                walk.command.push(word);
            }
        }
    }
    walk.end_command();
    walk.found
}

struct CommandWalk<'a> {
    text: &'a [u8],
    found: Vec<Range<usize>>,
    /// The words of the current command so far.
    command: Vec<Range<usize>>,
    /// The words that the first command of the pipe outputs.
    piped: Vec<Range<usize>>,
    /// The index of the word that it reads: `<<< WORD`.
    here: Option<usize>,
}

impl<'a> CommandWalk<'a> {
    fn of(&self, word: &Range<usize>) -> &'a [u8] {
        self.text.get(word.clone()).unwrap_or_default()
    }

    fn end_command(&mut self) {
        let command = std::mem::take(&mut self.command);
        let here = self.here.take();
        self.options(&command);
        let words: Vec<&[u8]> = command.iter().map(|word| self.of(word)).collect();
        self.found
            .extend(configured::secrets(&words).into_iter().filter_map(|place| command.get(place).cloned()));
        let mut bases = words.iter().map(|word| base_of(word));
        let asks = words.contains(&&b"sudo"[..]) && words.contains(&&b"-S"[..]);
        if asks || bases.clone().any(|word| READERS.contains(&word)) {
            let piped = std::mem::take(&mut self.piped);
            self.told(piped.iter().chain(here.and_then(|here| command.get(here))));
        }
        if let Some(speaker) = bases.position(|word| SPEAKERS.contains(&word)) {
            self.piped = command.get(speaker + 1..).unwrap_or_default().to_vec();
        }
    }

    /// Adds what is passed to a program that reads a password.
    fn told<'w>(&mut self, words: impl Iterator<Item = &'w Range<usize>>) {
        for word in words {
            let text = self.of(word);
            let is_option = text.starts_with(b"-") || text.starts_with(b"%");
            if !is_option && is_literal(text) && !names_value(text) {
                self.found.push(word.clone());
            }
        }
    }

    fn options(&mut self, command: &[Range<usize>]) {
        let mut program: Option<&SecretProgram> = None;
        let mut ready = false;
        for (index, word) in command.iter().enumerate() {
            let text = self.of(word);
            let base = base_of(text);
            let named = |program: &&SecretProgram| program.names.iter().any(|name| name.as_bytes() == base);
            if let Some(known) = PROGRAMS.iter().find(named) {
                (program, ready) = (Some(known), known.command.is_none());
                continue;
            }
            let Some(program) = program else { continue };
            ready |= program.command.is_some_and(|command| command.as_bytes() == text);
            if ready {
                let value = self.value_of(program, word, command.get(index + 1));
                self.found.extend(value);
            }
        }
    }

    /// The value of an option, if it is a secret.
    fn value_of(
        &self,
        program: &SecretProgram,
        word: &Range<usize>,
        next: Option<&Range<usize>>,
    ) -> Option<Range<usize>> {
        let text = self.of(word);
        let value = program.options.iter().find_map(|option| {
            let rest = behind_option(text, option.as_bytes(), program.letters)?;
            if rest.is_empty() {
                return next.filter(|_| !program.only_attached).cloned();
            }
            let value = if option.starts_with("--") { rest.strip_prefix(b"=")? } else { rest };
            let attached = option.starts_with("--") || program.attached;
            attached.then_some(word.end - value.len()..word.end)
        })?;
        let value = self.unquoted(value);
        let text = self.of(&value);
        let password = match program.login {
            Some(between) => text.get(text.iter().position(|byte| *byte == between)? + 1..)?,
            None => text,
        };
        // `-u USER:` prompts, and `1000:1000` is a user and group ID.
        let is_option = text.starts_with(b"-") || starts_with(text, b"http");
        (!is_option && is_secret(Sort::Password, password)).then_some(value)
    }

    /// The text inside the quotes of a value that is attached to its option.
    fn unquoted(&self, value: Range<usize>) -> Range<usize> {
        match self.of(&value) {
            [open @ (b'"' | b'\''), .., close] if open == close && value.len() >= 2 => {
                value.start + 1..value.end - 1
            }
            _ => value,
        }
    }
}

fn base_of(word: &[u8]) -> &[u8] {
    word.rsplit(|byte| *byte == b'/').next().unwrap_or(word)
}

/// What follows an option in its word, after other option letters: `-sSLu`.
fn behind_option<'t>(text: &'t [u8], option: &[u8], letters: &[u8]) -> Option<&'t [u8]> {
    let alone = text.strip_prefix(option);
    let [b'-', letter] = option else { return alone };
    let bundle = || {
        let rest = text.strip_prefix(b"-")?;
        let before = rest.iter().take_while(|byte| letters.contains(byte)).count();
        rest.get(before..)?.strip_prefix(&[*letter])
    };
    alone.or_else(bundle)
}

/// `user:$PASSWORD`: the password is a variable.
fn names_value(text: &[u8]) -> bool {
    text.iter().position(|byte| *byte == b':').is_some_and(|colon| {
        let password = text.get(colon + 1..).unwrap_or_default();
        !is_literal(password)
    })
}
