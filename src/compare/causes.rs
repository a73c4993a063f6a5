//! Why an image differs in size: the instructions, and for each the packages, directories and files that explain it.
//! Everything is net over the whole image: the delta of a path is what all head layers store of it minus what all base
//! layers store. Bytes that cancel are not a cause; they moved. No byte counts twice: the causes sum to the difference,
//! and the parts of a cause and its rest sum to the cause.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use globset::{Candidate, GlobSet};
use serde::{Deserialize, Serialize};

use super::paths::{Owners, PathDelta, each_path};
use super::{LayerRow, Status};
use crate::image::layer_ref::DockerfileLines;
use crate::image::package::Installed;
use crate::image::path::PathRef;
use crate::image::rollup::{Explained, roll_up, together};
use crate::image::{Bytes, Delta, Ecosystem, Instruction, Layer, Package, Snapshot};
use crate::sort;

/// Maximum parts that are kept of one cause; the rest of the cause covers all others.
const MAX_PARTS: usize = 20;
/// Maximum layer pairs that are listed between which something moved, and maximum packages of each.
const MAX_MOVED: usize = 10;
const MAX_NAMES: usize = 20;

/// A part of the difference, and the instruction that caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cause {
    /// The instruction.
    pub instruction: Option<Instruction>,
    /// What happened to its layer.
    pub status: Status,
    /// The head image's layer, counted from 0.
    pub head_index: Option<u64>,
    /// The instruction's lines in the Dockerfile, if they are certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileLines>,
    /// Bytes, with a sign.
    pub delta: Delta,
    /// What explains it: packages, then directories, then files, each kind largest first.
    #[serde(default)]
    pub parts: Vec<CausePart>,
    /// The part of the delta that the parts do not explain.
    #[serde(default)]
    pub other: Delta,
}

/// A package, directory or file that explains a part of a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CausePart {
    /// What it is.
    pub kind: PartKind,
    /// The package's name, or the path, relative to the image's root.
    pub name: String,
    /// The packaging system that installed the package.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub ecosystem: Option<Ecosystem>,
    /// The package's version in the base image; `24.2 and 25.0` if there are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The package's version in the head image, as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How many of its files differ.
    pub files: u64,
    /// Bytes, with a sign.
    pub delta: Delta,
}

/// The kind of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// A package, by the files that its database lists.
    Package,
    /// A directory, with everything inside it that differs.
    Directory,
    /// One file.
    File,
}

/// Bytes that both images store, but by different instructions: not a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Moved {
    /// Where the base image stores them.
    pub from: StoringLayer,
    /// Where the head image stores them.
    pub to: StoringLayer,
    /// Bytes.
    pub bytes: Bytes,
    /// The packages among them, most bytes first; at most twenty.
    pub packages: Vec<String>,
    /// How many more packages there are.
    #[serde(default)]
    pub more_packages: u64,
}

/// A layer that stores something, and what made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StoringLayer {
    /// The layer, counted from 0.
    pub layer: u64,
    /// The instruction that made it.
    pub instruction: Option<Instruction>,
    /// The instruction's lines in the Dockerfile, if they are certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileLines>,
}

/// One of the two images, as far as causes need it.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its layers.
    pub layers: &'a [Layer],
    /// Its packages, if they are known.
    pub packages: Option<&'a [Installed]>,
}

impl Side<'_> {
    /// The side of an image.
    pub fn of(image: &Snapshot) -> Side<'_> {
        Side { layers: &image.layers, packages: image.packages.as_deref() }
    }
}

/// A package, without its version.
type Name<'a> = (Ecosystem, &'a str);

/// What does not count as a cause.
#[derive(Debug)]
pub struct PassedOver<'a> {
    /// The head's layers that store only what existed before.
    pub stored_again: BTreeSet<u64>,
    /// Paths that are in no cause.
    pub ignored: Option<&'a GlobSet>,
}

/// What made the difference, largest first, what moved, and what differs in ignored paths, if any are. The causes and
/// the ignored part sum to the whole difference. Their parts are given if the files are known: net over all layers if
/// the files of all differing layers are known, otherwise layer by layer.
pub fn causes(
    rows: &[LayerRow],
    base: Side<'_>,
    head: Side<'_>,
    passed_over: &PassedOver<'_>,
) -> (Vec<Cause>, Vec<Moved>, Option<Delta>) {
    let differing: Vec<usize> = (0..rows.len()).filter(|row| !rows[*row].status.is_same()).collect();
    let is_known = |row: &usize| {
        let known = |side: Side<'_>, index: Option<u64>| {
            let layer = index.and_then(|index| side.layers.get(index as usize));
            layer.is_none_or(|layer| layer.file_list.is_some())
        };
        known(base, rows[*row].base_index) && known(head, rows[*row].head_index)
    };
    let owners = [base, head]
        .map(|side| Owners::of(side.layers.iter().map(|layer| layer.file_list.as_deref()).collect()));
    let mut net = Net::new(rows, base, head, passed_over.ignored);
    if differing.iter().all(is_known) {
        net.add(&differing, &owners);
    } else {
        // The bytes of a layer with unknown files may be anywhere: the other layers are explained individually.
        differing.iter().filter(|row| is_known(row)).for_each(|row| net.add(&[*row], &owners));
    }
    net.rows.iter_mut().for_each(RowDelta::name_versions);
    net.cancel_packages();
    net.add_versions();
    let moved = net.moved();
    let ignored = passed_over.ignored.map(|_| net.ignored_delta);
    let mut causes = Vec::new();
    for (index, explained) in net.rows.into_iter().enumerate() {
        let row = &rows[index];
        let delta = if is_known(&index) { Some(explained.delta()) } else { row.delta };
        let Some(delta) = delta.filter(|delta| *delta != Delta(0)) else { continue };
        let again = row.base_index.is_none()
            && row.head_index.is_some_and(|at| passed_over.stored_again.contains(&at));
        let parts = explained.parts(again);
        let named: Delta = parts.iter().map(|part| part.delta).sum();
        causes.push(Cause {
            instruction: row.instruction.clone(),
            status: row.status,
            head_index: row.head_index,
            dockerfile: row.dockerfile.clone(),
            delta,
            parts,
            other: Delta(delta.0 - named.0),
        });
    }
    sort::by_key(&mut causes, |cause| Reverse(cause.delta.magnitude()));
    (causes, moved, ignored)
}

/// The net deltas of paths, by the row that caused them.
struct Net<'a> {
    base: Side<'a>,
    head: Side<'a>,
    layer_rows: &'a [LayerRow],
    rows: Vec<RowDelta<'a>>,
    moved: BTreeMap<(u64, u64), MovedBytes<'a>>,
    ignored: Option<&'a GlobSet>,
    ignored_delta: Delta,
}

/// Bytes that both images store, by package, and those of files without a package.
type MovedBytes<'a> = BTreeMap<Option<Name<'a>>, Bytes>;

impl<'a> Net<'a> {
    fn new(
        layer_rows: &'a [LayerRow],
        base: Side<'a>,
        head: Side<'a>,
        ignored: Option<&'a GlobSet>,
    ) -> Net<'a> {
        let rows = layer_rows.iter().map(|_| RowDelta::default()).collect();
        Net { base, head, layer_rows, rows, moved: BTreeMap::new(), ignored, ignored_delta: Delta(0) }
    }

    /// Adds the differences between the base layers and the head layers of these rows. A path is attributed to the last
    /// head layer that stores it; if it is gone, to the last base layer.
    fn add(&mut self, rows: &[usize], [base, head]: &[Owners<'a>; 2]) {
        let layers_of = |index: fn(&LayerRow) -> Option<u64>| {
            let layers = rows.iter().filter_map(|row| Some((index(&self.layer_rows[*row])?, *row)));
            layers.collect::<BTreeMap<u64, usize>>()
        };
        let row_of = [layers_of(|row| row.base_index), layers_of(|row| row.head_index)];
        let [base_layers, head_layers] =
            row_of.each_ref().map(|rows| rows.keys().map(|layer| *layer as usize).collect::<Vec<_>>());
        each_path([(base, &base_layers), (head, &head_layers)], |path| {
            let candidate = || Candidate::from_bytes(path.path);
            if self.ignored.is_some_and(|ignored| ignored.is_match_candidate(&candidate())) {
                self.ignored_delta = [self.ignored_delta, path.delta()].into_iter().sum();
                return;
            }
            let base = path.base.and_then(|_| row_of[0].get(&path.base_layer));
            let head = path.head.and_then(|_| row_of[1].get(&path.head_layer));
            if let Some((base_bytes, head_bytes)) = path.base.zip(path.head).filter(|_| base != head) {
                let owner = path.head_owner.or(path.base_owner);
                let layers = (path.base_layer, path.head_layer);
                self.add_moved(layers, owner.map(name_of), base_bytes.min(head_bytes));
            }
            if let Some(row) = head.or(base).filter(|_| path.base != path.head) {
                self.rows[*row].add(path);
            }
        });
    }

    fn add_moved(&mut self, layers: (u64, u64), name: Option<Name<'a>>, bytes: Bytes) {
        let sum = self.moved.entry(layers).or_default().entry(name).or_default();
        *sum = sum.saturating_add(bytes);
    }

    /// A package whose files left one row and came with another, at other paths, counts once: with the remainder of the
    /// two.
    fn cancel_packages(&mut self) {
        let mut by_name: BTreeMap<Name<'a>, Vec<(usize, Delta)>> = BTreeMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            for (name, part) in row.packages.iter().filter(|(_, part)| part.delta != Delta(0)) {
                by_name.entry(*name).or_default().push((index, part.delta));
            }
        }
        for (name, mut rows) in by_name {
            sort::by_key(&mut rows, |(_, delta)| Reverse(delta.magnitude()));
            let (grown, shrunk): (Vec<_>, Vec<_>) =
                rows.into_iter().partition(|(_, delta)| *delta > Delta(0));
            let sum =
                |rows: &[(usize, Delta)]| rows.iter().map(|(_, delta)| *delta).sum::<Delta>().magnitude();
            let both = sum(&grown).min(sum(&shrunk));
            let (Some((to, _)), Some((from, _))) = (grown.first(), shrunk.first()) else { continue };
            let earlier = self.rows[*from].packages.get(&name).and_then(|part| part.from.clone());
            if let Some(part) = self.rows[*to].packages.get_mut(&name) {
                part.from = part.from.take().or(earlier);
            }
            if let (Some(base), Some(head)) =
                (self.layer_rows[*from].base_index, self.layer_rows[*to].head_index)
            {
                self.add_moved((base, head), Some(name), both);
            }
            for rows in [grown, shrunk] {
                let mut left = both.0 as i64;
                for (row, delta) in rows {
                    let taken = left.min(delta.0.abs());
                    left -= taken;
                    let rest = Delta(delta.0 - taken * delta.0.signum());
                    self.rows[row].set_package(name, rest);
                }
            }
        }
    }

    /// Names the other image's version if a row has files of only one. Only the layer that added a package upgrades it;
    /// a layer that stores it again does not. The row may have nothing of the earlier version, which a lower layer
    /// added. A package is not removed while the other image still has it.
    fn add_versions(&mut self) {
        let (base, head) = (PackageVersions::of(self.base), PackageVersions::of(self.head));
        for (row, explained) in self.layer_rows.iter().zip(&mut self.rows) {
            for (name, part) in &mut explained.packages {
                match (&part.from, &part.to) {
                    (None, Some(_)) if head.brought_by(row.head_index, *name) => {
                        part.from = base.instead_of(&head, *name);
                    }
                    (Some(_), None) => {
                        let had = explained.versions.get(name).map(|[had, _]| had);
                        let kept: BTreeSet<&str> = had
                            .into_iter()
                            .flatten()
                            .copied()
                            .filter(|version| head.has(*name, version))
                            .collect();
                        let brought = base.brought_by(row.base_index, *name);
                        part.to = listed(&kept).or_else(|| head.instead_of(&base, *name).filter(|_| brought));
                    }
                    _ => {}
                }
            }
        }
    }

    fn moved(&self) -> Vec<Moved> {
        let stored = |side: Side<'_>, layer: u64| {
            let of = side.layers.get(layer as usize);
            StoringLayer {
                layer,
                instruction: of.and_then(|of| of.created_by.clone()),
                dockerfile: of.and_then(|of| of.dockerfile.clone()),
            }
        };
        let moved = self.moved.iter().map(|((base, head), by_package)| {
            let mut packages: Vec<(&str, Bytes)> =
                by_package.iter().filter_map(|(name, bytes)| Some(((*name)?.1, *bytes))).collect();
            sort::by_key(&mut packages, |(name, bytes)| (Reverse(*bytes), *name));
            Moved {
                from: stored(self.base, *base),
                to: stored(self.head, *head),
                bytes: by_package.values().fold(Bytes(0), |sum, bytes| sum.saturating_add(*bytes)),
                more_packages: packages.len().saturating_sub(MAX_NAMES) as u64,
                packages: packages.into_iter().take(MAX_NAMES).map(|(name, _)| name.to_owned()).collect(),
            }
        });
        let mut moved: Vec<Moved> = moved.filter(|moved| moved.bytes > Bytes(0)).collect();
        sort::by_key(&mut moved, |moved| Reverse(moved.bytes));
        moved.truncate(MAX_MOVED);
        moved
    }
}

fn name_of(package: &Package) -> Name<'_> {
    (package.ecosystem, &package.name)
}

/// The versions of an image's packages, and the layers that added them.
struct PackageVersions<'a> {
    versions: HashMap<Name<'a>, BTreeSet<&'a str>>,
    brought: BTreeSet<(u64, Name<'a>)>,
}

impl<'a> PackageVersions<'a> {
    fn of(side: Side<'a>) -> PackageVersions<'a> {
        let mut of = PackageVersions { versions: HashMap::new(), brought: BTreeSet::new() };
        for package in side.packages.unwrap_or_default() {
            let name = (package.ecosystem, package.name.as_str());
            of.versions.entry(name).or_default().insert(&package.version);
            of.brought.insert((package.layer, name));
        }
        of
    }

    fn has(&self, name: Name<'a>, version: &str) -> bool {
        self.versions.get(&name).is_some_and(|versions| versions.contains(version))
    }

    fn brought_by(&self, layer: Option<u64>, name: Name<'a>) -> bool {
        layer.is_some_and(|layer| self.brought.contains(&(layer, name)))
    }

    /// The only version that this image has and the other lacks; otherwise the only one that both have.
    fn instead_of(&self, other: &PackageVersions<'a>, name: Name<'a>) -> Option<String> {
        let (own, others) = (self.versions.get(&name)?, other.versions.get(&name));
        let is_new = |version: &&&str| !others.is_some_and(|others| others.contains(**version));
        let mut new = own.iter().filter(is_new);
        let found = match (new.next(), new.next()) {
            (None, _) if others.is_some_and(|others| others == own) => own.first().filter(|_| own.len() == 1),
            (found, None) => found,
            _ => None,
        };
        found.map(|version| (*version).to_owned())
    }
}

/// `24.2`, `24.2 and 25.0`, `23.1, 24.2 and others`.
fn listed(versions: &BTreeSet<&str>) -> Option<String> {
    let mut all = versions.iter();
    let (first, second) = (all.next()?, all.next());
    Some(match (second, all.next()) {
        (None, _) => (*first).to_owned(),
        (Some(second), None) => format!("{first} and {second}"),
        (Some(second), Some(_)) => format!("{first}, {second} and others"),
    })
}

/// The differences of one row.
#[derive(Default)]
struct RowDelta<'a> {
    packages: BTreeMap<Name<'a>, CausePart>,
    /// The versions of each package, before and after: an image may have one name more than once.
    versions: BTreeMap<Name<'a>, [BTreeSet<&'a str>; 2]>,
    files: Vec<(&'a [u8], Delta)>,
}

impl<'a> RowDelta<'a> {
    fn add(&mut self, path: &PathDelta<'a>) {
        let Some(shown) = path.head_owner.or(path.base_owner) else {
            return self.files.push((path.path, path.delta()));
        };
        let part = self.packages.entry(name_of(shown)).or_insert_with(|| CausePart {
            kind: PartKind::Package,
            name: shown.name.clone(),
            ecosystem: Some(shown.ecosystem),
            from: None,
            to: None,
            files: 0,
            delta: Delta(0),
        });
        part.files += 1;
        part.delta = [part.delta, path.delta()].into_iter().sum();
        let versions = self.versions.entry(name_of(shown)).or_default();
        for (versions, owner) in versions.iter_mut().zip([path.base_owner, path.head_owner]) {
            // An owner on the other side may be another package, whose version does not apply.
            let own = owner.filter(|owner| name_of(owner) == name_of(shown));
            versions.extend(own.map(|owner| owner.version.as_str()));
        }
    }

    fn name_versions(&mut self) {
        for (name, [from, to]) in &self.versions {
            if let Some(part) = self.packages.get_mut(name) {
                (part.from, part.to) = (listed(from), listed(to));
            }
        }
    }

    /// Sets the remainder of a package; if nothing remains, only an upgrade is reported.
    fn set_package(&mut self, name: Name<'a>, delta: Delta) {
        let Some(part) = self.packages.get_mut(&name) else { return };
        part.delta = delta;
        if delta == Delta(0) && (part.to.is_none() || part.from == part.to) {
            self.packages.remove(&name);
        }
    }

    fn delta(&self) -> Delta {
        let of_files = self.files.iter().map(|(_, delta)| *delta);
        self.packages.values().map(|part| part.delta).chain(of_files).sum()
    }

    /// Packages, then directories and files. `again`: the layer stores only what existed before.
    fn parts(self, again: bool) -> Vec<CausePart> {
        // `chmod -R` concerns a directory, not whatever is large in it.
        let whole = if again { together(self.files.iter().copied()) } else { None };
        let rolled = whole.map_or_else(|| roll_up(self.files), |whole| vec![whole]);
        let of_path = |found: Explained| CausePart {
            kind: if found.is_directory { PartKind::Directory } else { PartKind::File },
            name: PathRef(&found.path).to_string(),
            ecosystem: None,
            from: None,
            to: None,
            files: found.files,
            delta: found.delta,
        };
        let mut parts: Vec<CausePart> = self.packages.into_values().collect();
        parts.extend(rolled.into_iter().map(of_path));
        parts.retain(|part| part.delta != Delta(0) || part.from != part.to);
        sort::by_key(&mut parts, |part| Reverse(part.delta.magnitude()));
        parts.truncate(MAX_PARTS);
        sort::by_key(&mut parts, |part| part.kind);
        parts
    }
}
