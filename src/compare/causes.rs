//! Why an image differs in size: instructions, and in each the packages, directories and files that
//! explain it. No byte is counted twice: the causes sum to the difference, and what is named of a
//! cause and its rest sum to the cause.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::paths::{PathDelta, between_layers};
use super::rollup::{Explained, roll_up, together};
use super::{LayerRow, Status};
use crate::image::census::PathRef;
use crate::image::package::Installed;
use crate::image::snapshot::Place;
use crate::image::{Census, Delta, Ecosystem, Instruction, Layer, Package};

/// The most parts that are kept of one cause; what is beyond is in its rest.
const MAX_PARTS: usize = 20;

/// A part of the difference, and the instruction that it is due to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The instruction.
    pub instruction: Option<Instruction>,
    /// What became of its layer.
    pub status: Status,
    /// The head image's layer, counted from 0.
    pub head_index: Option<u64>,
    /// Where the instruction stands, where that is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<Place>,
    /// Bytes, with a sign.
    pub delta: Delta,
    /// What explains it: packages, then directories, then files, each kind largest first.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// What the parts leave of the delta.
    #[serde(default)]
    pub other: Delta,
}

/// A package, directory or file that explains a part of a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// The package's name, or the path, relative to the image's root.
    pub name: String,
    /// Who installed the package.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub ecosystem: Option<Ecosystem>,
    /// The package's version in the base image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The package's version in the head image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How many files of it differ in the two layers.
    pub files: u64,
    /// Bytes, with a sign.
    pub delta: Delta,
}

/// The versions of the base image's packages.
type Before<'a> = HashMap<(Ecosystem, &'a str), Vec<&'a str>>;

/// What stands for a version where one name has more than one.
const SEVERAL: &str = "(several versions)";

/// What a part of a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// A package, by the files that its database says are its own.
    Package,
    /// A directory, with all that differs inside of it.
    Directory,
    /// One file.
    File,
}

/// The rows that made the difference, largest first. Together they are the whole difference. What is
/// in them is said where the files of both layers are known. `installed`: the packages of both images,
/// where they are known; `stored_again`: the head's layers of nothing but what was there before.
pub fn causes(
    rows: &[LayerRow],
    base: &[Layer],
    head: &[Layer],
    installed: [Option<&[Installed]>; 2],
    stored_again: &BTreeSet<u64>,
) -> Vec<Cause> {
    let [base_packages, head_packages] = installed.map(Option::unwrap_or_default);
    let mut before: Before<'_> = HashMap::new();
    for package in base_packages {
        before.entry((package.ecosystem, &package.name)).or_default().push(&package.version);
    }
    // Only the layer that brought a package upgrades it; one that stores it again does not.
    let (mut brought, nothing): (BTreeMap<u64, BTreeSet<_>>, _) = (BTreeMap::new(), BTreeSet::new());
    for package in head_packages {
        let name = (package.ecosystem, package.name.as_str());
        brought.entry(package.layer).or_default().insert(name);
    }
    let census = |layers: &'_ [Layer], index: Option<u64>| {
        index.and_then(|index| layers.get(index as usize)).map(|layer| layer.census.clone())
    };
    let cause = |row: &LayerRow| {
        let delta = row.delta.filter(|delta| *delta != Delta(0))?;
        // A side that is not there has no files; one whose files are not known explains nothing.
        let parts = match (census(base, row.base_index), census(head, row.head_index)) {
            (Some(None), _) | (_, Some(None)) => Vec::new(),
            (base, head) => {
                let again = row.base_index.is_none()
                    && row.head_index.is_some_and(|index| stored_again.contains(&index));
                let upgrades = row.head_index.and_then(|index| brought.get(&index)).unwrap_or(&nothing);
                parts(base.flatten().as_deref(), head.flatten().as_deref(), &before, upgrades, again)
            }
        };
        let named: Delta = parts.iter().map(|part| part.delta).sum();
        Some(Cause {
            instruction: row.instruction.clone(),
            status: row.status,
            head_index: row.head_index,
            dockerfile: row.dockerfile.clone(),
            delta,
            parts,
            other: Delta(delta.0 - named.0),
        })
    };
    let mut causes: Vec<Cause> = rows.iter().filter_map(cause).collect();
    causes.sort_by_key(|cause| Reverse(cause.delta.magnitude()));
    causes
}

/// What explains the difference of two layers.
fn parts(
    base: Option<&Census>,
    head: Option<&Census>,
    before: &Before<'_>,
    upgrades: &BTreeSet<(Ecosystem, &str)>,
    again: bool,
) -> Vec<Part> {
    let (owned, free): (Vec<_>, Vec<_>) = between_layers(base, head)
        .into_iter()
        .partition(|path| path.head_owner.or(path.base_owner).is_some());
    let free = || free.iter().map(|path| (path.path, path.delta()));
    // `chmod -R` is about a directory, and not about whatever is large in it.
    let whole = if again { together(free()) } else { None };
    let rolled = whole.map_or_else(|| roll_up(free()), |whole| vec![whole]);
    let of_path = |found: Explained| Part {
        kind: if found.is_directory { PartKind::Directory } else { PartKind::File },
        name: PathRef(&found.path).to_string(),
        ecosystem: None,
        from: None,
        to: None,
        files: found.files,
        delta: found.delta,
    };
    let mut parts: Vec<Part> = package_parts(&owned, before, upgrades);
    parts.extend(rolled.into_iter().map(of_path));
    parts.retain(|part| part.delta != Delta(0) || part.from != part.to);
    parts.sort_by_key(|part| Reverse(part.delta.magnitude()));
    parts.truncate(MAX_PARTS);
    parts.sort_by_key(|part| part.kind);
    parts
}

/// The packages of a row, each with all of its files that differ.
fn package_parts(
    owned: &[PathDelta<'_>],
    before: &Before<'_>,
    upgrades: &BTreeSet<(Ecosystem, &str)>,
) -> Vec<Part> {
    let mut packages: BTreeMap<(Ecosystem, &str), Part> = BTreeMap::new();
    for path in owned {
        let Some(shown) = path.head_owner.or(path.base_owner) else { continue };
        let part = packages.entry((shown.ecosystem, &shown.name)).or_insert_with(|| Part {
            kind: PartKind::Package,
            name: shown.name.clone(),
            ecosystem: Some(shown.ecosystem),
            from: None,
            to: None,
            files: 0,
            delta: Delta(0),
        });
        // An owner of the other side may be another package, and has no version of this one.
        let version = |known: Option<String>, owner: Option<&Package>| {
            let own = owner.filter(|owner| (owner.ecosystem, &owner.name) == (shown.ecosystem, &shown.name));
            match (known, own.map(|owner| owner.version.clone())) {
                (Some(known), Some(other)) if known != other => Some(SEVERAL.to_owned()),
                (known, other) => known.or(other),
            }
        };
        part.from = version(part.from.take(), path.base_owner);
        part.to = version(part.to.take(), path.head_owner);
        part.files += 1;
        part.delta = [part.delta, path.delta()].into_iter().sum();
    }
    let known = |(key, mut part): ((Ecosystem, &str), Part)| {
        // A step that upgrades what a lower layer brought has nothing of the earlier version itself.
        if part.from.is_none() && part.to.is_some() && upgrades.contains(&key) {
            part.from = match before.get(&key).map(Vec::as_slice) {
                Some([version]) => Some((*version).to_owned()),
                _ => None,
            };
        }
        part
    };
    packages.into_iter().map(known).collect()
}
