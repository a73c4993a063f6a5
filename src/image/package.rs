//! Packages that a layer declares, and the files that belong to them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::bytes::Bytes;
use super::path::LayerPath;

/// Maximum bytes of all [`Package::elsewhere`] paths of one layer; a list of 100,000 files has about half.
pub const MAX_ELSEWHERE: usize = 16 << 20;

/// The system that names and installs a package. The names are package URL types (purl-spec, "PURL types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// The main crate of a Rust program built with cargo-auditable.
    #[serde(rename = "cargo")]
    Cargo,
    /// Java artifacts that Maven built, as `GROUP:ARTIFACT`.
    #[serde(rename = "maven")]
    Maven,
    /// .NET packages.
    #[serde(rename = "nuget")]
    NuGet,
    /// Conda packages.
    #[serde(rename = "conda")]
    Conda,
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
            Ecosystem::Cargo => "cargo",
            Ecosystem::Maven => "maven",
            Ecosystem::NuGet => "nuget",
            Ecosystem::Conda => "conda",
        }
    }

    /// Whether these are packages of the operating system's distribution.
    pub fn is_system(self) -> bool {
        matches!(self, Ecosystem::Dpkg | Ecosystem::Apk | Ecosystem::Rpm)
    }

    /// Whether these are packages of a distribution, which may also contain packages that language package managers
    /// declare.
    pub fn is_distribution(self) -> bool {
        self.is_system() || self == Ecosystem::Conda
    }
}

/// A package that a layer declares, and its files in the same layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Package {
    /// The packaging system that installed it.
    #[serde(rename = "type")]
    pub ecosystem: Ecosystem,
    /// Its name, as its ecosystem writes it.
    pub name: String,
    /// Its version, as its ecosystem writes it.
    pub version: String,
    /// The entry of the file list that declares it. Once that file is hidden or replaced, so is the
    /// declaration.
    pub anchor: u32,
    /// The entries of the file list that are its files, ascending.
    #[serde(serialize_with = "gaps", deserialize_with = "from_gaps")]
    #[cfg_attr(
        test,
        schemars(
            description = "The entries of the file list that are its files: the first counted from 0, each other as its distance from the one before."
        )
    )]
    pub files: Vec<u32>,
    /// Paths that a distribution's package lists and the layer lacks: files of other layers, if the database is in
    /// another layer than the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<LayerPath>,
    /// Bytes of the anchor that belong to the package, if that file is an archive of several packages.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inside: Bytes,
}

/// A package database of a layer that was not read, or only in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnreadDatabase {
    /// Its entry in the file list.
    pub entry: u32,
    /// Why it was not read.
    pub why: Unread,
}

/// Why a package database was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unread {
    /// It is larger than the safety limit of its kind.
    TooLarge,
    /// Its content contradicts its format, or ends early.
    Damaged,
    /// Its format is unknown.
    UnknownFormat,
    /// A write-ahead log whose database is not in the same layer.
    LogAlone,
    /// The tar stores it as a sparse file.
    Sparse,
    /// The layer has more packages, or larger lists of files, than are kept.
    TooMuch,
}

impl Unread {
    /// The reason, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Unread::TooLarge => "the file is larger than layergate reads",
            Unread::Damaged => "the file is damaged or incomplete",
            Unread::UnknownFormat => "the file is in a format that layergate does not read",
            Unread::LogAlone => "this write-ahead log is in another layer than its database",
            Unread::Sparse => "the layer stores the file as a sparse file",
            Unread::TooMuch => "it holds more than layergate reads of one image",
        }
    }
}

fn is_zero(bytes: &Bytes) -> bool {
    *bytes == Bytes(0)
}

/// A package that exists once all layers of an image are applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Installed {
    /// The packaging system that installed it.
    #[serde(rename = "type")]
    pub ecosystem: Ecosystem,
    /// Its name, as its ecosystem writes it.
    pub name: String,
    /// Its version, as its ecosystem writes it.
    pub version: String,
    /// Bytes of its flattened files.
    pub bytes: Bytes,
    /// How many flattened files it has.
    pub files: u64,
    /// The layer that added it, counted from 0.
    pub layer: u64,
    /// The file that declares it, relative to the image's root: several versions may be in an image.
    #[serde(default)]
    pub declared_by: String,
}

/// In documents each index but the first is the distance from the previous one: most are 1.
fn gaps<S: Serializer>(files: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    let before = std::iter::once(0).chain(files.iter().copied());
    serializer.collect_seq(files.iter().zip(before).map(|(file, before)| file - before))
}

fn from_gaps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let mut files = Vec::<u32>::deserialize(deserializer)?;
    let mut last: Option<u32> = None;
    for file in &mut files {
        let next = last.unwrap_or(0).checked_add(*file).filter(|next| last.is_none_or(|last| *next > last));
        *file = next.ok_or_else(|| de::Error::custom("the files of a package are not ascending"))?;
        last = next;
    }
    Ok(files)
}
