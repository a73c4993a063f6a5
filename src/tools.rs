//! Everything known about build tools: commands, packages and images, as data (`tools.toml`). Dockerfile facts, the
//! catalogue of removable files and proposals all use it, so they cannot disagree.
//!
//! To add a tool, add a row there; tests check that each row is reachable and that all users agree on it.

use std::collections::HashMap;
use std::sync::LazyLock;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error as ValueError;

/// The table.
pub const TABLE: &str = include_str!("tools.toml");

/// What a command does to the image; `tools.toml` says what each word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[allow(missing_docs, reason = "the table says it")]
pub enum ToolAction {
    Builds,
    Installs(Family),
    Tools(Family),
    Dependencies(Family),
    Removes(Family),
    RemovesAll(Family),
    MarksAutomatic,
    SavesMarks,
    Deletes,
    Downloads,
    Nothing,
}

impl TryFrom<String> for ToolAction {
    type Error = String;

    fn try_from(text: String) -> Result<ToolAction, String> {
        let (word, family) = text.split_once(' ').unwrap_or((&text, ""));
        let family = || {
            let family: Result<Family, ValueError> = Family::deserialize(family.into_deserializer());
            family.map_err(|error| error.to_string())
        };
        Ok(match word {
            "builds" => ToolAction::Builds,
            "installs" => ToolAction::Installs(family()?),
            "tools" => ToolAction::Tools(family()?),
            "dependencies" => ToolAction::Dependencies(family()?),
            "removes" => ToolAction::Removes(family()?),
            "removes-all" => ToolAction::RemovesAll(family()?),
            "marks-automatic" => ToolAction::MarksAutomatic,
            "saves-marks" => ToolAction::SavesMarks,
            "deletes" => ToolAction::Deletes,
            "downloads" => ToolAction::Downloads,
            "nothing" => ToolAction::Nothing,
            _ => return Err(format!("no command does `{text}`")),
        })
    }
}

/// The packages of one package manager: what one of its commands installs, another removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Family {
    Apt,
    Apk,
    Rpm,
    Zypper,
    Pacman,
    OtherSystem,
    Pip,
    Conda,
    Npm,
    Gem,
    Go,
    Cargo,
    Java,
    Toolchain,
    OtherLanguage,
}

/// How the package names of a family are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyWords {
    /// The family.
    pub name: Family,
    /// Whether they are packages of the operating system.
    pub system: bool,
    /// The types of these packages in an image.
    pub types: Vec<String>,
    /// A name ends before the first of these: a version, an architecture.
    pub cuts: String,
    /// Options that name a list of packages.
    #[serde(default)]
    pub lists: Vec<String>,
}

/// Packages that builds need.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildPackages {
    /// The kind of removable files that their files belong to; without one they are not reported in an image.
    #[serde(default)]
    pub kind: String,
    /// `TYPE:NAME`, with `*`, `?`, `[]` and `{}`.
    pub names: Vec<String>,
    /// Exceptions.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Whether they are never requested directly, only installed with others.
    #[serde(default)]
    pub along: bool,
}

/// What an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageIs {
    /// It contains what builds need.
    Tools,
    /// It contains nothing that only builds need.
    Lean,
    /// It is meant to contain tools: a development environment, a CI runner, an SDK.
    Workbench,
}

/// What is known about some images, by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownImage {
    /// The repositories.
    pub names: Vec<String>,
    /// Patterns of tags, any if there are none; `!` excludes.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it is.
    pub is: ImageIs,
    /// What it contains, in a few words; empty if it is lean.
    #[serde(default)]
    pub brings: String,
    /// Whether everything that can be copied from it is a tool.
    #[serde(default)]
    pub tool: bool,
    /// Images whose programs run on the plain image of their distribution.
    #[serde(default)]
    pub plain: Vec<String>,
}

/// What an `rm` clears.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearedPath {
    /// The end of the path, or all of it if it begins with a slash.
    pub path: String,
    /// The family whose packages are there.
    pub family: Option<Family>,
    /// Which package it is; empty for all packages of the family.
    #[serde(default)]
    pub name: String,
}

/// The table, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the table says what each is")]
pub struct Tools {
    pub commands: Vec<(String, String, ToolAction)>,
    pub wrappers: Vec<(String, String, usize)>,
    pub value_options: Vec<(String, String)>,
    pub shells: Vec<String>,
    pub windows_shells: Vec<String>,
    pub asks: Vec<String>,
    pub asks_alone: Vec<String>,
    pub cross_compilers: Vec<String>,
    pub build_labels: Vec<String>,
    pub conventions: Vec<(String, String)>,
    pub downloads: Vec<(String, String)>,
    pub paths: Vec<ClearedPath>,
    pub production_options: Vec<(Family, String)>,
    pub compilers: Vec<String>,
    pub jar_compilers: Vec<String>,
    pub runners: Vec<String>,
    pub fetchers: Vec<String>,
    pub installers: Vec<String>,
    pub family: Vec<FamilyWords>,
    pub packages: Vec<BuildPackages>,
    pub image: Vec<KnownImage>,
}

static TOOLS: LazyLock<Tools> = LazyLock::new(|| {
    // A test reads it; without it nothing is known about tools, which is no reason to stop.
    toml::from_str(TABLE).unwrap_or_default()
});

/// The table.
pub fn tools() -> &'static Tools {
    &TOOLS
}

impl Tools {
    /// The packages whose files belong to a kind of removable files.
    pub fn packages_of(&self, kind: &str) -> impl Iterator<Item = &BuildPackages> {
        self.packages.iter().filter(move |packages| packages.kind == kind)
    }

    /// How the package names of a family are read.
    pub fn words_of(&self, family: Family) -> Option<&FamilyWords> {
        self.family.iter().find(|words| words.name == family)
    }
}

impl Family {
    /// Whether a package of this family, as named in a Dockerfile, is a build tool.
    pub fn is_build_tool(self, name: &str) -> bool {
        let Some(words) = tools().words_of(self) else { return false };
        let mut name = name.to_ascii_lowercase();
        if self == Family::Pip {
            // Python treats both as equal (PEP 503).
            name = name.replace('_', "-");
        }
        let system = words.system.then_some("system");
        let types = words.types.iter().map(String::as_str).chain(system);
        types.into_iter().any(|package_type| NAMES.has(&format!("{package_type}:{name}")))
    }

    /// The family that a program manages: `apk`.
    pub fn managed_by(program: &str) -> Option<Family> {
        MANAGERS.get(program).copied()
    }
}

/// The programs that install packages, each with the family of its first such row.
static MANAGERS: LazyLock<HashMap<&str, Family>> = LazyLock::new(|| {
    let mut managers = HashMap::new();
    for (programs, _, does) in &tools().commands {
        if let ToolAction::Installs(family) = does {
            for program in programs.split(' ') {
                managers.entry(program).or_insert(*family);
            }
        }
    }
    managers
});

/// Package names to match, each with its row, and whether it is an exception.
struct Names {
    set: GlobSet,
    of: Vec<(usize, bool)>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let (mut builder, mut of) = (GlobSetBuilder::new(), Vec::new());
    let asked = tools().packages.iter().enumerate().filter(|(_, packages)| !packages.along);
    for (row, packages) in asked {
        let names = packages.names.iter().map(|name| (name, false));
        for (name, without) in names.chain(packages.unless.iter().map(|name| (name, true))) {
            if let Ok(glob) = GlobBuilder::new(name).empty_alternates(true).build() {
                builder.add(glob);
                of.push((row, without));
            }
        }
    }
    Names { set: builder.build().unwrap_or_default(), of }
});

impl Names {
    fn has(&self, name: &str) -> bool {
        let fitting = || self.set.matches_candidate(&Candidate::new(name)).into_iter();
        let rows: Vec<(usize, bool)> = fitting().filter_map(|index| self.of.get(index).copied()).collect();
        rows.iter().any(|(row, without)| !without && !rows.contains(&(*row, true)))
    }
}

/// Whether a text matches a pattern in which `*` is any text. Each part takes the first place where it fits, so the
/// work is limited by the lengths. For command words: thousands are compared, without compiling patterns.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut last = rest;
    while let Some((middle, after)) = last.split_once('*') {
        let Some(at) = text.find(middle) else { return false };
        text = &text[at + middle.len()..];
        last = after;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_whole() {
        let table: Tools = toml::from_str(TABLE).unwrap();
        assert_eq!(table.commands.len(), tools().commands.len());
        for packages in &table.packages {
            for name in packages.names.iter().chain(&packages.unless) {
                let (package_type, rest) = name.split_once(':').unwrap();
                let known =
                    tools().family.iter().any(|words| words.types.iter().any(|of| of == package_type));
                assert!(known || package_type == "system", "{name}");
                assert_eq!(rest, rest.to_lowercase(), "names are compared in small letters");
                assert!(GlobBuilder::new(name).empty_alternates(true).build().is_ok(), "{name}");
            }
        }
        for image in &table.image {
            assert_eq!(image.brings.is_empty(), image.is == ImageIs::Lean, "{image:?}");
            assert!(image.plain.iter().all(|name| image.names.contains(name)), "{image:?}");
        }
        let rows =
            table.wrappers.iter().map(|row| &row.0).chain(table.value_options.iter().map(|row| &row.0));
        assert!(rows.flat_map(|row| row.split(' ')).all(|word| !word.is_empty()));
        assert!(table.jar_compilers.iter().all(|name| table.compilers.contains(name)));
    }

    #[test]
    fn a_name_is_any_text_where_there_is_a_star() {
        for (pattern, text, expected) in [
            ("gcc", "gcc", true),
            ("gcc", "gcc-12", false),
            ("gcc-*-base", "gcc-12-base", true),
            ("*/ubi*/ubi*", "redhat/ubi9/ubi-minimal", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
