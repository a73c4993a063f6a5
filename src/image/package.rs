//! Packages that a layer declares, and whose its files are.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::bytes::Bytes;

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

/// A package that a layer declares, with those of its files that are in the same layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Who installed it.
    #[serde(rename = "type")]
    pub ecosystem: Ecosystem,
    /// Its name, as its ecosystem writes it.
    pub name: String,
    /// Its version, as its ecosystem writes it.
    pub version: String,
    /// The entry of the census that declares it. Once that file is hidden or replaced, so is the
    /// declaration.
    pub anchor: u32,
    /// The entries of the census that are its files, ascending.
    #[serde(serialize_with = "gaps", deserialize_with = "from_gaps")]
    pub files: Vec<u32>,
}

/// A package that an image has once all of its layers are applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Who installed it.
    #[serde(rename = "type")]
    pub ecosystem: Ecosystem,
    /// Its name, as its ecosystem writes it.
    pub name: String,
    /// Its version, as its ecosystem writes it.
    pub version: String,
    /// Bytes of its visible files.
    pub bytes: Bytes,
    /// How many visible files it has.
    pub files: u64,
    /// The layer that brought it, counted from 0.
    pub layer: u64,
    /// The file that declares it, relative to the image's root: several versions may be in an image.
    #[serde(default)]
    pub declared_by: String,
}

/// In documents each index but the first is the distance from the one before: most are 1.
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
