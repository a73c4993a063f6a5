//! What only the build of an image needed, and is shipped all the same.

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use super::layer_ref::LayerRef;

/// The most entries of one image: as many kinds as a catalogue may have, in a few layers each.
pub const MAX_REMOVABLE: usize = 20_000;

/// The most paths and packages of one entry, and the longest text of one, in bytes.
const MAX_NAMES: usize = 64;
const MAX_TEXT: usize = 16 * 1024;

/// What it says about a build that something of a kind is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// A program that builds: whoever ships it has built where the image runs.
    Tool,
    /// What such a program reads or leaves behind: headers, static libraries, development dependencies.
    Input,
    /// What a package manager keeps for the next time, which there is none of.
    Cache,
    /// What is only left over, and can be cleared away or left out without a stage of its own:
    /// documentation, tests, symbols.
    Leftover,
}

/// What follows from how an image is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RemovableOutcome {
    /// It is a multi-stage build, or needs none.
    Pass,
    /// Its final stage builds nothing, but it could be smaller: the base image brings build tools, or build inputs
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
    /// Bytes of the files, each once however many names it has; of debug symbols, theirs alone.
    pub bytes: Bytes,
    /// How many files.
    pub files: u64,
    /// The layer that stores them.
    pub layer: LayerRef,
    /// The layer that brought them, where `layer` stores them again with another owner or mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought_by: Option<LayerRef>,
    /// The few directories and files that they are in, relative to the image's root and most bytes first;
    /// a directory ends with a slash, and others may be in it too.
    pub paths: Vec<String>,
    /// The packages that they are of, most bytes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Whether a later layer deletes or replaces them: shipped, and not in the file system.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Why it is not held against the image, where the configuration says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
    /// What to do about it.
    pub help: String,
}

impl Weight {
    /// Every class, the most telling first.
    pub const ALL: [Weight; 4] = [Weight::Tool, Weight::Input, Weight::Cache, Weight::Leftover];

    /// What its files are called.
    pub fn class(self) -> &'static str {
        match self {
            Weight::Tool => "build tools",
            Weight::Input => "build inputs",
            Weight::Cache => "caches",
            Weight::Leftover => "leftovers",
        }
    }
}

/// What entries have of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Classes {
    /// Programs that build.
    pub build_tools: Bytes,
    /// What such programs read or leave behind.
    pub build_inputs: Bytes,
    /// What package managers keep.
    pub caches: Bytes,
    /// What neither the build nor the program needs.
    pub leftovers: Bytes,
}

impl Classes {
    /// The sums of these entries.
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

    /// Those that have any bytes, in words: `16.4 MB of build tools`.
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

/// What entries have together, in bytes.
pub fn sum<'a>(found: impl IntoIterator<Item = &'a Removable>) -> Bytes {
    found.into_iter().fold(Bytes(0), |sum, one| sum.saturating_add(one.bytes))
}

impl Removable {
    /// Whether its texts are as short as ours are: a document is foreign input.
    pub fn is_short(&self) -> bool {
        let long = |text: &String| text.len() > MAX_TEXT;
        let lists = self.paths.iter().chain(&self.packages);
        self.paths.len() + self.packages.len() <= MAX_NAMES
            && ![&self.kind, &self.what, &self.help].into_iter().chain(&self.ignored).chain(lists).any(long)
    }

    /// The layer whose instruction is to be changed.
    pub fn source(&self) -> &LayerRef {
        self.brought_by.as_ref().unwrap_or(&self.layer)
    }

    /// Whether it counts: it is in the file system, and nobody has said that it is meant to be.
    pub fn counts(&self) -> bool {
        !self.deleted && self.ignored.is_none()
    }
}
