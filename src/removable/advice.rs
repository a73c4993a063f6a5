//! Facts that advice depends on: what a container starts has to stay, and which package replaces another at run time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::image::filesystem::Filesystem;
use crate::image::snapshot::{HistoryEntry, Snapshot};

/// The table of facts.
const TABLE: &str = include_str!("advice.toml");
/// Maximum words of a command that are read.
const MAX_WORDS: usize = 400;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdviceTable {
    started: Vec<Started>,
    instead: Vec<Instead>,
}

/// A kind that has to stay if a container starts it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Started {
    kind: String,
    by: Vec<String>,
}

/// What to install in place of a package.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instead {
    r#type: String,
    package: String,
    runtime: String,
}

// A test reads it; without it, advice stays unchanged.
static ADVICE: LazyLock<AdviceTable> = LazyLock::new(|| toml::from_str(TABLE).unwrap_or_default());

/// The words of what a container of an image starts and is health-checked with, each with its instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Starts {
    words: BTreeMap<String, &'static str>,
    /// The absolute paths among them, keyed without the leading slash, and as written.
    paths: BTreeMap<String, (&'static str, String)>,
    /// The application's own words that run other commands: scripts, and what runs `package.json` scripts.
    scripts: Vec<String>,
}

/// Programs that run `package.json` scripts.
const RUN_SCRIPTS: [&str; 4] = ["npm", "yarn", "pnpm", "bun"];

impl Starts {
    pub fn of(snapshot: &Snapshot) -> Starts {
        let mut starts = Starts::default();
        let last = |keyword: &str| snapshot.history.iter().rposition(|step| text_of(step, keyword).is_some());
        let entry = last("ENTRYPOINT");
        // A new ENTRYPOINT resets the base image's CMD.
        let base_ends = steps_of_base(snapshot);
        let is_own = |at: usize| at >= base_ends;
        let command = last("CMD").filter(|at| is_own(*at) || entry.is_none_or(|entry| !is_own(entry)));
        let steps = [("ENTRYPOINT", entry), ("CMD", command), ("HEALTHCHECK", last("HEALTHCHECK"))];
        for (keyword, at) in steps {
            let text = at.and_then(|at| text_of(snapshot.history.get(at)?, keyword));
            for word in text.into_iter().flat_map(words_of).take(MAX_WORDS) {
                if let Some(path) = word.strip_prefix('/') {
                    starts.paths.entry(path.to_owned()).or_insert((keyword, word.to_owned()));
                }
                let name = word.rsplit('/').next().unwrap_or(word);
                starts.words.entry(name.to_owned()).or_insert(keyword);
                if keyword != "HEALTHCHECK" && at.is_some_and(is_own) && runs_scripts(name) {
                    starts.scripts.push(name.to_owned());
                }
            }
        }
        starts
    }

    /// Which instruction starts a tool's file, and the word that does.
    pub fn starts(&self, path: &[u8], package: Option<&str>) -> Option<(&'static str, &str)> {
        if self.words.is_empty() {
            return None;
        }
        let by_package = || self.word(package?);
        by_package().or_else(|| self.word(program_of(path)?))
    }

    /// Which instruction starts something that needs a whole kind, and the word that does.
    pub fn starts_kind(&self, kind: &str) -> Option<(&'static str, &str)> {
        let mut whole = ADVICE.started.iter().filter(|row| row.kind == kind).flat_map(|row| &row.by);
        let has_all = |text: &&String| text.split(' ').all(|word| self.words.contains_key(word));
        whole.find(has_all).and_then(|text| self.word(text.split(' ').next()?))
    }

    /// The same for a package, by its name.
    pub fn starts_package(&self, name: &str) -> Option<(&'static str, &str)> {
        self.word(name)
    }

    /// The word that runs something unknown, which may need the files of a kind.
    pub fn script(&self, kind: &str) -> Option<&str> {
        let needs = |word: &&String| word.ends_with(".sh") || kind == "dev-dependencies";
        self.scripts.iter().find(needs).map(String::as_str)
    }

    /// Which instruction names exactly this file.
    pub fn names(&self, path: &[u8]) -> Option<(&'static str, &str)> {
        let (keyword, word) = self.paths.get(std::str::from_utf8(path).ok()?)?;
        Some((*keyword, word.as_str()))
    }

    fn word(&self, word: &str) -> Option<(&'static str, &str)> {
        self.words.get_key_value(word).map(|(word, keyword)| (*keyword, word.as_str()))
    }
}

fn runs_scripts(name: &str) -> bool {
    name.ends_with(".sh") || RUN_SCRIPTS.contains(&name)
}

/// How many of the first history entries belong to the base image: up to the first layer above it.
fn steps_of_base(snapshot: &Snapshot) -> usize {
    let below = snapshot.base.as_ref().map_or(0, |base| base.layers as usize);
    let layers = snapshot.history.iter().enumerate().filter(|(_, step)| step.makes_layer);
    let last = layers.take(below).last().map_or(0, |(at, _)| at + 1);
    // What the base image sets after its last layer precedes what is set here: the first CMD is its own.
    let sets = |step: &HistoryEntry| text_of(step, "CMD").is_some();
    let after = snapshot.history.iter().skip(last).take_while(|step| !step.makes_layer);
    last + after.enumerate().filter(|(_, step)| sets(step)).map(|(at, _)| at + 1).next().unwrap_or(0)
}

/// The text after the keyword of a history entry's instruction.
fn text_of<'a>(step: &'a HistoryEntry, keyword: &str) -> Option<&'a str> {
    let instruction = step.instruction.as_ref().filter(|instruction| instruction.kind() == keyword)?;
    instruction.as_str().split_once(keyword).map(|(_, text)| text)
}

/// The programs and scripts among the words of a command, in any form that builders write.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "[]\"',;&|()`{}=".contains(c));
    words.filter(|word| !word.is_empty() && !word.starts_with('-') && !word.ends_with('/'))
}

/// The program that a path belongs to: the file in a directory of programs, or the Node package.
fn program_of(path: &[u8]) -> Option<&str> {
    let path = std::str::from_utf8(path).ok()?;
    let parts: Vec<&str> = path.split('/').collect();
    if let Some(at) = parts.iter().rposition(|part| *part == "node_modules") {
        return parts.get(at + 1).copied();
    }
    let (name, directory) = (parts.last()?, parts.get(parts.len().checked_sub(2)?)?);
    matches!(*directory, "bin" | "sbin").then_some(*name)
}

/// What to install instead of a package, according to the table.
pub(super) fn instead(ecosystem: &str, package: &str) -> Option<String> {
    ADVICE.instead.iter().filter(|row| row.r#type == ecosystem).find_map(|row| {
        let Some((start, end)) = row.package.split_once('*') else {
            return (row.package == package).then(|| row.runtime.clone());
        };
        let version = package.strip_prefix(start)?.strip_suffix(end)?;
        Some(row.runtime.replacen('*', version, 1))
    })
}

/// The packages with the libraries that development packages link to: `libpq5` for `libpq-dev`, found by `libpq.so`
/// beside `libpq.so.5` in the image. Those of the base image are left out, because they exist anyway.
pub(super) fn libraries_of(
    filesystem: &Filesystem,
    packages: &BTreeSet<(usize, u32)>,
    base_layers: usize,
) -> Vec<String> {
    let mut stems: BTreeSet<Vec<u8>> = BTreeSet::new();
    for (layer, package) in packages {
        let Some(file_list) = filesystem.layers().get(*layer) else { continue };
        let Some(package) = file_list.packages.get(*package as usize) else { continue };
        let entries = package.files.iter().filter_map(|entry| file_list.entries.get(*entry as usize));
        let paths = entries.map(|entry| entry.path().as_bytes());
        let elsewhere = package.elsewhere.iter().map(|path| path.as_bytes());
        stems.extend(paths.chain(elsewhere).filter_map(linked_name));
    }
    let mut names = BTreeSet::new();
    for (layer, file_list) in filesystem.layers().iter().enumerate().skip(base_layers) {
        let is_dev = |index: usize| packages.contains(&(layer, index as u32));
        let others = file_list.packages.iter().enumerate().filter(|(index, _)| !is_dev(*index));
        for (_, package) in others {
            let entries = package.files.iter().filter_map(|entry| file_list.entries.get(*entry as usize));
            let mut paths = entries.map(|entry| entry.path().as_bytes());
            let is_linked = |stem: &[u8]| stems.contains(stem) || stems.contains(&without_version(stem));
            if paths.any(|path| stem_of(path).is_some_and(is_linked)) {
                names.insert(package.name.clone());
            }
        }
    }
    names.into_iter().collect()
}

/// `usr/lib/libpq.so` for itself, and for `usr/lib/libpq.a`.
fn linked_name(path: &[u8]) -> Option<Vec<u8>> {
    let of_static = || path.strip_suffix(b".a").map(|stem| [stem, b".so"].concat());
    if path.ends_with(b".so") { Some(path.to_vec()) } else { of_static() }
}

/// `usr/lib/libpq.so` for `usr/lib/libpq.so.5.16`.
fn stem_of(path: &[u8]) -> Option<&[u8]> {
    let name_at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let at = path[name_at..].windows(4).position(|window| window == b".so.")?;
    Some(&path[..name_at + at + 3])
}

/// `libyaml.so` for `libyaml-0.so`: some libraries have a version in their file name, which the link name lacks.
fn without_version(stem: &[u8]) -> Vec<u8> {
    let name = stem.strip_suffix(b".so").unwrap_or(stem);
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let plain = name[..name.len() - digits].strip_suffix(b"-").filter(|_| digits > 0);
    [plain.unwrap_or(name), b".so"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::removable::Catalogue;

    #[test]
    fn the_table_is_read_and_names_kinds_that_there_are() {
        let table: AdviceTable = toml::from_str(TABLE).unwrap();
        assert_eq!(table.started.len(), ADVICE.started.len());
        let catalogue = Catalogue::builtin();
        for row in &table.started {
            assert!(catalogue.kinds().iter().any(|kind| kind.name == row.kind), "{}", row.kind);
        }
    }

    #[test]
    fn a_development_kit_becomes_its_runtime() {
        for (ecosystem, package, runtime) in [
            ("deb", "openjdk-21-jdk-headless", Some("openjdk-21-jre-headless")),
            ("deb", "openjdk-17-jdk", Some("openjdk-17-jre")),
            ("apk", "openjdk21-jdk", Some("openjdk21-jre")),
            ("rpm", "java-21-openjdk-devel", Some("java-21-openjdk-headless")),
            ("deb", "gcc", None),
        ] {
            assert_eq!(instead(ecosystem, package).as_deref(), runtime, "{package}");
        }
    }

    #[test]
    fn libraries_have_the_name_that_is_linked_by() {
        for (path, stem, plain) in [
            ("lib/libpq.so.5.16", "lib/libpq.so", "lib/libpq.so"),
            ("lib/libyaml-0.so.2.0.9", "lib/libyaml-0.so", "lib/libyaml.so"),
            ("lib/libglib-2.0.so.0", "lib/libglib-2.0.so", "lib/libglib.so"),
            ("lib/libx11.so.6", "lib/libx11.so", "lib/libx11.so"),
        ] {
            let found = stem_of(path.as_bytes()).unwrap();
            assert_eq!(found, stem.as_bytes());
            assert_eq!(without_version(found), plain.as_bytes());
        }
        for (path, name) in
            [("lib/libpq.so", Some("lib/libpq.so")), ("lib/libpq.a", Some("lib/libpq.so")), ("lib/x.h", None)]
        {
            assert_eq!(linked_name(path.as_bytes()).as_deref(), name.map(str::as_bytes));
        }
    }

    #[test]
    fn words_of_every_form_of_a_command() {
        for text in [
            " [\"pnpm\", \"start\"]",
            " [\"/bin/sh\" \"-c\" \"exec pnpm start\"]",
            " [\"sh\",\"-c\",\"cd /a && /usr/local/bin/pnpm start\"]",
        ] {
            assert!(words_of(text).any(|word| word.rsplit('/').next() == Some("pnpm")), "{text}");
        }
        assert_eq!(program_of(b"usr/local/lib/node_modules/tsx/dist/cli.js"), Some("tsx"));
        assert_eq!(program_of(b"usr/local/bin/uv"), Some("uv"));
        assert_eq!(program_of(b"opt/app/start"), None);
    }
}
