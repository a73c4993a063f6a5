//! Matches one command against the table of tools: its program, its arguments, the packages that it names.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::shell::is_unknown;
use crate::dockerfile::expand::UNKNOWN;
use crate::redact::redact;
use crate::tools::{Family, FamilyWords, ToolAction, fits, tools};

/// Longer names are cut.
const MAX_SUBJECT: usize = 120;
/// Maximum length of a chain like `sudo env nice ...`.
pub(super) const MAX_WRAPPERS: usize = 16;

/// Rows by program.
type ToolTable<T> = HashMap<&'static str, Vec<T>>;

fn table<T: Copy>(rows: impl Iterator<Item = (&'static str, T)>) -> ToolTable<T> {
    let mut table = ToolTable::new();
    for (programs, row) in rows {
        for program in programs.split(' ') {
            table.entry(program).or_default().push(row);
        }
    }
    table
}

static RULES: LazyLock<ToolTable<(&str, ToolAction)>> = LazyLock::new(|| {
    let rows = tools().commands.iter();
    table(rows.map(|(programs, phrase, does)| (programs.as_str(), (phrase.as_str(), *does))))
});
static WRAPS: LazyLock<ToolTable<(&str, usize)>> = LazyLock::new(|| {
    let rows = tools().wrappers.iter();
    table(rows.map(|(programs, phrase, skip)| (programs.as_str(), (phrase.as_str(), *skip))))
});
static WITH_VALUE: LazyLock<HashMap<&str, HashSet<&str>>> = LazyLock::new(|| {
    let options = tools().value_options.iter();
    let rows = table(options.map(|(programs, options)| (programs.as_str(), options.as_str()))).into_iter();
    rows.map(|(program, rows)| (program, rows.iter().flat_map(|row| row.split(' ')).collect())).collect()
});

/// Whether the table has rows for a program.
pub(super) fn is_in_table(program: &str) -> bool {
    RULES.contains_key(program)
}

/// Whether a program reads commands from a text or a file.
pub(super) fn is_shell(program: &str) -> bool {
    tools().shells.iter().any(|shell| shell == program)
}

fn fits_any(patterns: &str, text: &str) -> bool {
    patterns.split('|').any(|pattern| pattern == "?" || fits(pattern, text))
}

/// The name of a program in the table: without its path, its version and the platform that it compiles for.
pub(super) fn program_of(word: &str) -> String {
    let without_version = |name: &str| {
        // `npx @angular/cli@17`: the first character may be part of the name.
        name.char_indices().skip(1).find(|(_, c)| *c == '@').map_or(name.len(), |(at, _)| at)
    };
    if word.starts_with('@') {
        return word[..without_version(word)].to_owned();
    }
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let name = &name[..without_version(name)];
    let name = [".exe", ".cmd", ".bat"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let by_path = format!("./{name}");
    if word.contains('/') && RULES.contains_key(by_path.as_str()) {
        return by_path;
    }
    let is_known = |name: &str| RULES.contains_key(name) || WRAPS.contains_key(name) || is_shell(name);
    if is_known(name) {
        return name.to_owned();
    }
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-');
    let cross = plain
        .rsplit_once('-')
        .map(|(_, compiler)| compiler)
        .filter(|name| tools().cross_compilers.iter().any(|known| known == name));
    if is_known(plain) { plain } else { cross.unwrap_or(name) }.to_owned()
}

/// One command with its arguments classified.
pub(super) struct Call<'a> {
    pub(super) program: String,
    pub(super) arguments: &'a [String],
    /// The indexes of the arguments that are neither options nor their values.
    plain: Vec<usize>,
    options: Vec<usize>,
    /// Whether some arguments are unknown.
    pub(super) has_unknown: bool,
}

impl<'a> Call<'a> {
    pub(super) fn new(program: String, arguments: &'a [String], has_unknown: bool) -> Call<'a> {
        let with_value = WITH_VALUE.get(program.as_str());
        let mut call = Call { program, arguments, plain: Vec::new(), options: Vec::new(), has_unknown };
        let mut at = 0;
        let mut only_plain = false;
        while let Some(argument) = arguments.get(at) {
            if is_unknown(argument) {
                call.has_unknown = true;
            } else if argument == "--" {
                only_plain = true;
            } else if only_plain || !is_option(argument) {
                call.plain.push(at);
            } else {
                call.options.push(at);
                at += usize::from(with_value.is_some_and(|options| takes_value(options, argument)));
            }
            at += 1;
        }
        call
    }

    fn argument(&self, place: usize) -> Option<&'a str> {
        self.arguments.get(*self.plain.get(place)?).map(String::as_str)
    }

    pub(super) fn plain(&self) -> impl Iterator<Item = &'a str> {
        self.plain.iter().filter_map(|at| self.arguments.get(*at)).map(String::as_str)
    }

    fn options(&self) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter_map(|at| self.arguments.get(*at)).map(String::as_str)
    }

    pub(super) fn has_option(&self, patterns: &str) -> bool {
        self.options().any(|option| fits_any(patterns, option))
    }

    /// How many plain arguments a row takes, and the tool's name, if the row fits.
    fn matches(&self, phrase: &str) -> Option<(usize, String)> {
        let (mut taken, mut tool) = (0, self.program.trim_start_matches("./").to_owned());
        for part in phrase.split(' ').filter(|part| !part.is_empty()) {
            let mut add = |word: &str| tool = format!("{tool} {}", shorten(word));
            if part == "$" {
                (taken == self.plain.len()).then_some(())?;
            } else if part.starts_with('-') {
                add(self.options().find(|option| fits_any(part, option))?);
            } else if let Some(patterns) = part.strip_prefix("..") {
                add(self.plain().skip(taken).find(|word| fits_any(patterns, word))?);
            } else if let Some(patterns) = part.strip_prefix('~') {
                fits_any(patterns, self.argument(taken)?).then_some(())?;
            } else {
                let word = self.argument(taken).filter(|word| fits_any(part, word))?;
                add(word);
                taken += 1;
            }
        }
        Some((taken, tool))
    }

    /// The arguments that form another command.
    pub(super) fn wrapped(&self) -> Option<&'a [String]> {
        let rows = WRAPS.get(self.program.as_str())?;
        let (taken, skip) = rows.iter().find_map(|(phrase, skip)| Some((self.matches(phrase)?.0, *skip)))?;
        self.arguments.get(*self.plain.get(taken + skip)?..)
    }

    /// `gcc --version`.
    pub(super) fn asks(&self) -> bool {
        let asks = |argument: &str| tools().asks.iter().any(|pattern| fits(pattern, argument));
        match self.arguments {
            [only] if tools().asks_alone.contains(only) => true,
            [first, ..] if asks(first) => true,
            _ => self.plain.is_empty() && self.options().any(asks),
        }
    }

    /// The value of the first of these options that is present.
    pub(super) fn value(&self, names: &[&str]) -> Option<&'a str> {
        self.options.iter().find_map(|at| {
            let option = self.arguments.get(*at)?;
            match option.split_once('=') {
                Some((name, value)) => names.contains(&name).then_some(value),
                None => self
                    .arguments
                    .get(at + 1)
                    .filter(|_| names.contains(&option.as_str()))
                    .map(String::as_str),
            }
        })
    }
}

/// What a shell runs, according to its arguments.
pub(super) enum Runs<'a> {
    /// `-c`.
    Script(&'a str),
    /// A file, with these arguments.
    File(&'a str, &'a [String]),
    /// The lines of its standard input.
    Lines,
    /// Nothing known.
    Nothing,
}

impl<'a> Runs<'a> {
    pub(super) fn of(mut arguments: &'a [String]) -> Runs<'a> {
        while let Some((argument, rest)) = arguments.split_first() {
            arguments = rest;
            match argument.as_str() {
                "--" | "-" => {}
                "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file" => {
                    arguments = rest.get(1..).unwrap_or_default();
                }
                "-s" => return Runs::Lines,
                option if option.starts_with("--") || option.starts_with('+') => {}
                option if option.starts_with('-') && option.ends_with('c') => {
                    return rest.first().map_or(Runs::Nothing, |script| Runs::Script(script));
                }
                // `-euo pipefail`
                option if option.starts_with('-') && option.ends_with('o') => {
                    arguments = rest.get(1..).unwrap_or_default();
                }
                option if option.starts_with('-') => {}
                file => return Runs::File(file, rest),
            }
        }
        Runs::Lines
    }
}

/// The first row of the table that fits a command.
pub(super) struct ToolRow {
    pub(super) does: ToolAction,
    /// How many of the arguments the row takes.
    pub(super) taken: usize,
    pub(super) tool: String,
}

pub(super) fn row_of(call: &Call<'_>) -> Option<ToolRow> {
    RULES.get(call.program.as_str())?.iter().find_map(|(phrase, does)| {
        let (taken, tool) = call.matches(phrase)?;
        Some(ToolRow { does: *does, taken, tool })
    })
}

/// The phrase of a command's row, as written in the table.
#[cfg(test)]
pub(super) fn phrase_of(words: &[String]) -> Option<(&'static str, ToolAction)> {
    let (first, arguments) = words.split_first()?;
    let call = Call::new(program_of(first), arguments, false);
    RULES.get(call.program.as_str())?.iter().copied().find(|(phrase, _)| call.matches(phrase).is_some())
}

fn is_option(argument: &str) -> bool {
    // `cargo +nightly build`
    argument.len() > 1 && argument.starts_with(['-', '+'])
}

/// `-r`, `--requirement`, and `-qr` as several in one.
fn takes_value(options: &HashSet<&str>, argument: &str) -> bool {
    let letters = argument.strip_prefix('-').filter(|letters| (2..=3).contains(&letters.len()));
    let joined = letters.filter(|letters| letters.bytes().all(|b| b.is_ascii_lowercase()));
    let last = joined.map(|letters| {
        let (first, last) = (&letters[..1], &letters[letters.len() - 1..]);
        !options.contains(format!("-{first}").as_str()) && options.contains(format!("-{last}").as_str())
    });
    options.contains(argument) || last.unwrap_or(false)
}

/// The packages that a command names.
pub(super) struct PackageNames {
    pub(super) names: Vec<String>,
    /// Whether it also takes a list from a file.
    pub(super) has_list: bool,
}

impl PackageNames {
    pub(super) fn of(call: &Call<'_>, taken: usize, family: Family) -> PackageNames {
        let Some(words) = tools().words_of(family) else {
            return PackageNames { names: Vec::new(), has_list: false };
        };
        let mut has_list = words.lists.iter().any(|option| call.has_option(option));
        let mut names = Vec::new();
        for argument in call.plain().skip(taken) {
            // The current directory of the build.
            if matches!(argument, "." | "./" | "..") || argument.starts_with(".[") {
                has_list = true;
                continue;
            }
            // `apt-get install vim-` removes, `apk add !x` forbids.
            if words.system && (argument.ends_with('-') || argument.starts_with('!')) {
                continue;
            }
            names.extend(name_of(argument, words));
        }
        PackageNames { names, has_list }
    }
}

/// A package's name without its version. Parts of a URL that may be secret are removed.
fn name_of(argument: &str, words: &FamilyWords) -> Option<String> {
    if let Some((scheme, rest)) = argument.split_once("://") {
        let rest = rest.split(['?', '#']).next().unwrap_or(rest);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.rsplit('@').next().unwrap_or(host);
        return Some(shorten(&format!("{scheme}://{host}/{path}")));
    }
    let name = argument.trim_matches(['"', '\'']);
    if name.starts_with(['.', '/', '~']) {
        return Some(shorten(name));
    }
    // The first character may be part of the name: `@scope/name@1`.
    let cut =
        name.char_indices().skip(1).find(|(_, c)| words.cuts.contains(*c)).map_or(name.len(), |(at, _)| at);
    let name = name[..cut].trim();
    // A fragment of a name says nothing: `$PREFIX=1`.
    (!name.is_empty() && !is_unknown(name)).then(|| shorten(name))
}

/// Cut, with a mark for unknown parts, and without what looks like a secret.
pub(super) fn shorten(text: &str) -> String {
    redact(text).chars().take(MAX_SUBJECT).map(|c| if c == UNKNOWN { '\u{2026}' } else { c }).collect()
}

/// Whether a path has these parts at its start (if they begin with a slash) or anywhere.
pub(super) fn has_path(path: &str, parts: &str) -> bool {
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(['/', '*']);
    if parts.starts_with('/') {
        return path.strip_prefix(parts).is_some_and(ends);
    }
    path.match_indices(parts).any(|(at, _)| {
        let starts = at == 0 || path[..at].ends_with('/');
        starts && ends(&path[at + parts.len()..])
    })
}
