//! Which packages a layer declares, and which of its files are theirs: package databases, read from
//! the files of one layer. Pure: no file, no clock, no environment.
//!
//! Whoever walks the layer asks [`Wanted::of`] for each regular file, hands the content of those
//! that are wanted to a [`Collector`], one at a time, and at the layer's end [`Collector::finish`]
//! says what there is. A layer is looked at by itself: a database that a layer below has, or an
//! entry whose files are in another layer, is that other layer's matter.
//!
//! All of it is foreign input. A database that is malformed, cut off or over a bound yields fewer
//! packages, never an error: a gate must not fail because of a file that it only reads to explain.

mod apk;
mod collect;
mod dpkg;
mod fields;
mod gem;
pub mod golang;
mod npm;
mod owners;
mod paths;
mod python;
mod rpm;
mod sqlite;
mod wanted;

use serde::{Deserialize, Serialize};

pub use collect::{Collector, Packages};
pub use owners::owners;
pub use paths::Paths;
pub use wanted::{Database, Wanted};

use crate::image::LayerPath;

/// The most packages of one layer; the largest distributions known have a few thousand installed.
pub const MAX_PACKAGES: usize = 200_000;
/// The longest name or version, in bytes.
const MAX_WORD: usize = 256;

/// Who numbers and installs a package. The names are the types of package URLs (purl-spec,
/// "PURL types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ecosystem {
    /// Debian packages, by dpkg.
    #[serde(rename = "deb")]
    Dpkg,
    /// Alpine packages, by apk.
    #[serde(rename = "apk")]
    Apk,
    /// RPM packages.
    #[serde(rename = "rpm")]
    Rpm,
    /// Python distributions.
    #[serde(rename = "pypi")]
    Python,
    /// Node packages.
    #[serde(rename = "npm")]
    Npm,
    /// Ruby gems.
    #[serde(rename = "gem")]
    Gem,
    /// The main module of a Go program.
    #[serde(rename = "golang")]
    Go,
}

impl Ecosystem {
    /// The package URL type.
    pub fn as_str(self) -> &'static str {
        match self {
            Ecosystem::Dpkg => "deb",
            Ecosystem::Apk => "apk",
            Ecosystem::Rpm => "rpm",
            Ecosystem::Python => "pypi",
            Ecosystem::Npm => "npm",
            Ecosystem::Gem => "gem",
            Ecosystem::Go => "golang",
        }
    }

    /// Whether the packages are those of a distribution, which also ship what the package managers
    /// of languages declare.
    pub fn is_system(self) -> bool {
        matches!(self, Ecosystem::Dpkg | Ecosystem::Apk | Ecosystem::Rpm)
    }
}

/// A package that a layer declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Who installed it.
    pub ecosystem: Ecosystem,
    /// Its name, printable ASCII. Of a Python distribution, normalized as PyPA's "Names and
    /// normalization" has it: one release calls itself `Jinja2` and the next `jinja2`.
    pub name: String,
    /// Its version, as its ecosystem writes it, printable ASCII.
    pub version: String,
    /// The file that declares it. Once that is hidden or replaced, so is the declaration.
    pub anchor: LayerPath,
    /// What it claims.
    pub owns: Owns,
}

/// The files that a package claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owns {
    /// Paths of files; some may be directories, or in other layers.
    pub files: Paths,
    /// Directories, with all below that no package in a deeper one claims.
    pub below: Vec<LayerPath>,
}

impl Declared {
    /// In this order packages are listed: it depends on nothing but what is declared.
    fn order(&self) -> (Ecosystem, &str, &str, &LayerPath) {
        (self.ecosystem, &self.name, &self.version, &self.anchor)
    }
}

/// A name or version: printable ASCII without spaces, not empty and not long.
fn word(raw: &[u8]) -> Option<String> {
    let word = raw.trim_ascii();
    let fits = (1..=MAX_WORD).contains(&word.len()) && word.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(word).into_owned())
}

#[cfg(test)]
mod tests;
