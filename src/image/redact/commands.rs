//! Programs whose short options, or whose standard input, take a password.

use std::ops::Range;

use super::value::{Lexer, is_literal, is_secret};
use super::{Sort, starts_with, work};

/// How a program takes a secret.
struct Program {
    names: &'static [&'static str],
    /// A word that has to come first: `docker login -p`.
    command: Option<&'static str>,
    options: &'static [&'static str],
    /// Whether the value may be in the same word as the option.
    attached: bool,
    /// Whether the value has to be in the same word.
    only_attached: bool,
    /// Whether the value is `USER:PASSWORD`, and no secret without a password.
    login: bool,
}

const NONE: Program =
    Program { names: &[], command: None, options: &[], attached: false, only_attached: false, login: false };

const PROGRAMS: &[Program] = &[
    Program {
        names: &["curl", "http", "https"],
        options: &["-u", "--user", "-U", "--proxy-user", "-a", "--auth"],
        attached: true,
        login: true,
        ..NONE
    },
    Program {
        names: &[
            "docker", "podman", "buildah", "skopeo", "nerdctl", "helm", "oras", "crane", "regctl", "az",
            "oc", "argocd",
        ],
        command: Some("login"),
        options: &["-p"],
        attached: true,
        ..NONE
    },
    Program { names: &["sshpass"], options: &["-p"], attached: true, ..NONE },
    Program {
        names: &["mysql", "mysqladmin", "mysqldump", "mariadb", "mariadb-admin", "mariadb-dump"],
        options: &["-p"],
        attached: true,
        only_attached: true,
        ..NONE
    },
    Program { names: &["redis-cli"], options: &["-a"], ..NONE },
    Program { names: &["mongo", "mongosh", "mongodump", "useradd", "usermod"], options: &["-p"], ..NONE },
    Program { names: &["sqlcmd", "zip", "unzip"], options: &["-P"], attached: true, ..NONE },
    Program { names: &["7z", "7za"], options: &["-p"], attached: true, only_attached: true, ..NONE },
    Program { names: &["ldapsearch", "ldapadd"], options: &["-w"], ..NONE },
    Program { names: &["openssl"], options: &["-k", "-K", "-pass"], ..NONE },
];

/// Programs that read passwords, and options that make others read one.
const READERS: [&[u8]; 5] =
    [b"chpasswd", b"--password-stdin", b"--with-token", b"--token-stdin", b"--passphrase-fd"];

/// Commands in quotes are looked into: `sh -c "curl ..."`. Nobody nests them deeper.
const MAX_DEPTH: usize = 3;

/// All such values.
pub(super) fn all(lexer: Lexer<'_>) -> Vec<Range<usize>> {
    inside(lexer, 0, 0)
}

/// All of a part of a text, that ends where `text` does.
fn inside(lexer: Lexer<'_>, from: usize, depth: usize) -> Vec<Range<usize>> {
    let text = lexer.text;
    let mut walk = Walk { text, found: Vec::new(), command: Vec::new(), piped: Vec::new() };
    let mut at = from;
    while let Some(byte) = text.get(at) {
        work(1);
        match byte {
            b'|' if text.get(at + 1) != Some(&b'|') => {
                walk.piped = walk.end_command();
                at += 1;
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
                // What opened its quotes is as long as what closes them.
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

struct Walk<'a> {
    text: &'a [u8],
    found: Vec<Range<usize>>,
    /// The words of the command so far.
    command: Vec<Range<usize>>,
    /// Those of the command whose output it reads.
    piped: Vec<Range<usize>>,
}

impl<'a> Walk<'a> {
    fn of(&self, word: &Range<usize>) -> &'a [u8] {
        self.text.get(word.clone()).unwrap_or_default()
    }

    fn end_command(&mut self) -> Vec<Range<usize>> {
        let command = std::mem::take(&mut self.command);
        self.options(&command);
        let has = |name: &[u8]| command.iter().any(|word| self.of(word) == name);
        if READERS.iter().any(|reader| has(reader)) || has(b"passwd") && has(b"--stdin") {
            self.told();
        }
        command
    }

    /// What `echo` or `printf` says to a program that reads a password.
    fn told(&mut self) {
        let piped = std::mem::take(&mut self.piped);
        let speaks = |word: &Range<usize>| matches!(self.of(word), b"echo" | b"printf");
        let Some(speaker) = piped.iter().position(speaks) else { return };
        for word in piped.iter().skip(speaker + 1) {
            let text = self.of(word);
            let is_option = text.starts_with(b"-") || text.starts_with(b"%");
            if !is_option && is_literal(text) && !names_value(text) {
                self.found.push(word.clone());
            }
        }
    }

    fn options(&mut self, command: &[Range<usize>]) {
        let mut program: Option<&Program> = None;
        let mut ready = false;
        for (index, word) in command.iter().enumerate() {
            let text = self.of(word);
            let base = text.rsplit(|byte| *byte == b'/').next().unwrap_or(text);
            let named = |program: &&Program| program.names.iter().any(|name| name.as_bytes() == base);
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

    /// The value that an option has, where it is a secret.
    fn value_of(
        &self,
        program: &Program,
        word: &Range<usize>,
        next: Option<&Range<usize>>,
    ) -> Option<Range<usize>> {
        let text = self.of(word);
        let value = program.options.iter().find_map(|option| {
            let rest = text.strip_prefix(option.as_bytes())?;
            if rest.is_empty() {
                return next.filter(|_| !program.only_attached).cloned();
            }
            let value = if option.starts_with("--") { rest.strip_prefix(b"=")? } else { rest };
            let attached = option.starts_with("--") || program.attached;
            attached.then_some(word.end - value.len()..word.end)
        })?;
        let value = self.unquoted(value);
        let text = self.of(&value);
        let password = match text.iter().position(|byte| *byte == b':') {
            Some(colon) if program.login => text.get(colon + 1..)?,
            _ if program.login => return None,
            _ => text,
        };
        // `-u USER:` asks, and `1000:1000` are numbers of a user and a group.
        let is_option = text.starts_with(b"-") || starts_with(text, b"http");
        (!is_option && is_secret(Sort::Password, password)).then_some(value)
    }

    /// What is in the quotes of a value that follows its option in the same word.
    fn unquoted(&self, value: Range<usize>) -> Range<usize> {
        match self.of(&value) {
            [open @ (b'"' | b'\''), .., close] if open == close && value.len() >= 2 => {
                value.start + 1..value.end - 1
            }
            _ => value,
        }
    }
}

/// `user:$PASSWORD`: what is told is a variable.
fn names_value(text: &[u8]) -> bool {
    text.iter().position(|byte| *byte == b':').is_some_and(|colon| {
        let password = text.get(colon + 1..).unwrap_or_default();
        !is_literal(password)
    })
}
