//! Removable files: build tools, build inputs, caches and leftovers that an image ships.

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use super::layer_ref::LayerRef;

/// Maximum entries of one image: as many kinds as a catalogue may have, in a few layers each.
pub const MAX_REMOVABLE: usize = 20_000;

/// Maximum paths and packages of one entry, and maximum bytes of each text.
const MAX_NAMES: usize = 64;
const MAX_TEXT: usize = 16 * 1024;

/// What shipping a kind of files says about the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// A program that builds: an image that ships it is its own build environment.
    Tool,
    /// What a build tool reads or leaves behind: headers, static libraries, development dependencies.
    Input,
    /// What a package manager keeps for a next time that never comes.
    Cache,
    /// Leftovers that can be deleted or left out without another stage: documentation, tests, symbols.
    Leftover,
}

/// The verdict on how an image is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RemovableOutcome {
    /// It is a multi-stage build, or does not need to be.
    Pass,
    /// Its final stage builds nothing, but it could be smaller: the base image contains build tools, or build inputs
    /// are copied into it.
    Warn,
    /// It ships build tools or build inputs.
    Fail,
}

/// Files of one kind that one layer stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Removable {
    /// The kind's name in the catalogue.
    pub kind: String,
    /// What it is, in a few words.
    pub what: String,
    /// What it says about the build.
    pub weight: Weight,
    /// Bytes of the files, each counted once however many names it has; for debug symbols, only the symbols.
    pub bytes: Bytes,
    /// How many files.
    pub files: u64,
    /// The layer that stores them.
    pub layer: LayerRef,
    /// The layer that added them, if `layer` stores them again with another owner or mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought_by: Option<LayerRef>,
    /// The few directories and files that contain them, relative to the image's root and most bytes first; a directory
    /// ends with a slash and may contain others too.
    pub paths: Vec<String>,
    /// The packages they belong to, most bytes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Whether a later layer deletes or replaces them: shipped, but not in the file system.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Why the configuration ignores it, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
    /// What to do about it.
    pub help: String,
}

impl Weight {
    /// Every class, the most significant first.
    pub const ALL: [Weight; 4] = [Weight::Tool, Weight::Input, Weight::Cache, Weight::Leftover];

    /// The name for its files.
    pub fn class(self) -> &'static str {
        match self {
            Weight::Tool => "build tools",
            Weight::Input => "build inputs",
            Weight::Cache => "caches",
            Weight::Leftover => "leftovers",
        }
    }
}

/// Bytes of removable files by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Classes {
    /// Programs that build.
    pub build_tools: Bytes,
    /// What build tools read or leave behind.
    pub build_inputs: Bytes,
    /// What package managers keep.
    pub caches: Bytes,
    /// What neither the build nor the program needs.
    pub leftovers: Bytes,
}

impl Classes {
    /// The sums over these entries.
    pub fn of<'a>(found: impl IntoIterator<Item = &'a Removable>) -> Classes {
        let mut classes = Classes::default();
        for one in found {
            let sum = classes.sum_of(one.weight);
            *sum = sum.saturating_add(one.bytes);
        }
        classes
    }

    /// All four together.
    pub fn sum(&self) -> Bytes {
        let all = [self.build_tools, self.build_inputs, self.caches, self.leftovers];
        all.into_iter().fold(Bytes(0), Bytes::saturating_add)
    }

    fn sum_of(&mut self, weight: Weight) -> &mut Bytes {
        match weight {
            Weight::Tool => &mut self.build_tools,
            Weight::Input => &mut self.build_inputs,
            Weight::Cache => &mut self.caches,
            Weight::Leftover => &mut self.leftovers,
        }
    }

    /// The classes that have bytes, in words: `16.4 MB of build tools`.
    pub fn texts(mut self) -> Vec<String> {
        let sums = Weight::ALL.map(|weight| (weight.class(), *self.sum_of(weight)));
        let sums = sums.into_iter().filter(|(_, bytes)| *bytes > Bytes(0));
        sums.map(|(class, bytes)| format!("{bytes} of {class}")).collect()
    }
}

impl std::fmt::Display for Classes {
    /// `16.4 MB of build tools, 2 MB of caches and 106 MB of leftovers`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut texts = self.texts();
        let Some(last) = texts.pop() else { return f.write_str("no removable files") };
        if texts.is_empty() {
            return f.write_str(&last);
        }
        write!(f, "{} and {last}", texts.join(", "))
    }
}

/// The total of these entries, in bytes.
pub fn sum<'a>(found: impl IntoIterator<Item = &'a Removable>) -> Bytes {
    found.into_iter().fold(Bytes(0), |sum, one| sum.saturating_add(one.bytes))
}

impl Removable {
    /// Whether its texts are short enough: a document is untrusted input.
    pub fn is_short(&self) -> bool {
        let long = |text: &String| text.len() > MAX_TEXT;
        let lists = self.paths.iter().chain(&self.packages);
        self.paths.len() + self.packages.len() <= MAX_NAMES
            && ![&self.kind, &self.what, &self.help].into_iter().chain(&self.ignored).chain(lists).any(long)
    }

    /// The layer whose instruction has to change.
    pub fn source(&self) -> &LayerRef {
        self.brought_by.as_ref().unwrap_or(&self.layer)
    }

    /// Whether it counts: it is in the file system, and the configuration does not ignore it.
    pub fn counts(&self) -> bool {
        !self.deleted && self.ignored.is_none()
    }
}
