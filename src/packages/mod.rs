//! Which packages a layer declares, and which of its files belong to them: package databases, read from the files of
//! one layer. Pure: no file, no clock, no environment.
//!
//! The code that walks a layer calls [`WantedPackageFile::of`] for each regular file, and passes the content of wanted
//! ones to a [`PackageCollector`], one at a time; at the layer's end [`PackageCollector::finish`] returns the result.
//! Each layer is read by itself: databases and files in other layers do not matter here.
//!
//! All content is untrusted input. A database that is malformed, cut off or over a safety limit yields fewer packages,
//! and a reason ([`Unread`]), never an error: a gate must not fail because of a file that it only reads to explain.

mod apk;
mod berkeley;
pub mod cargo;
mod claims;
mod collect;
mod conda;
mod dotnet;
mod dpkg;
pub(crate) mod elf;
mod fields;
mod gem;
pub mod golang;
mod installed;
mod java;
mod ndb;
mod npm;
mod owners;
mod paths;
mod python;
pub mod room;
mod rpm;
mod sink;
mod sqlite;
mod wanted;
pub mod zip;

pub use claims::Claims;
pub use collect::{ARCHIVE_WORK, PackageCollector, leave_out};
pub(crate) use fields::lines;
pub use installed::{installed, owners_of};
pub(crate) use owners::other_name;
pub use owners::owners;
pub use paths::PathList;
pub use wanted::{PackageDatabase, WantedPackageFile};

pub use crate::image::Ecosystem;
use crate::image::LayerPath;
pub use crate::image::package::Unread;

/// Maximum bytes of a name or version.
const MAX_WORD: usize = 256;

/// A package that a layer declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The packaging system that installed it.
    pub ecosystem: Ecosystem,
    /// Its name, printable ASCII. For a Python distribution, normalized as in PyPA's "Names and normalization": one
    /// release calls itself `Jinja2` and the next `jinja2`.
    pub name: String,
    /// Its version, as its ecosystem writes it, printable ASCII.
    pub version: String,
    /// The file that declares it. Once that file is hidden or replaced, so is the declaration.
    pub anchor: LayerPath,
    /// The files that it claims.
    pub owns: Owns,
}

/// The files that a package claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owns {
    /// Paths of files; some may be directories, or in other layers.
    pub files: PathList,
    /// Directories, with everything below them that no package in a deeper one claims.
    pub below: Vec<LayerPath>,
    /// Bytes of the anchor that belong to the package, if the anchor is an archive of several.
    pub inside: u64,
}

impl Declared {
    /// The order in which packages are listed: it depends only on what is declared.
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
