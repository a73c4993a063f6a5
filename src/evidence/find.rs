//! From an image's files to what of them only the build needed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;

use super::catalogue::{Catalogue, Directories, Fits, Kind, MarkKind};
use super::marks::Marks;
use crate::compare::rollup::{Explained, roll_up, together};
use crate::image::census::PathRef;
use crate::image::snapshot::{LayerRef, Snapshot};
use crate::image::{BuildOnly, Bytes, Census, Delta, LayerPath, Package, Weight};
use crate::layer::apply::WastedFile;
use crate::layer::{Applied, owners_of};

/// The most paths and packages that are named of one kind in one layer.
const MAX_NAMED: usize = 8;

/// What only the build of an image needed, most bytes first. `applied` is the file system of the image's
/// layers. A file is of one kind and one layer, so no byte counts twice; one with several names counts only
/// if all of them are of a kind.
pub fn find(snapshot: &Snapshot, applied: &Applied<'_>, catalogue: &Catalogue) -> Vec<BuildOnly> {
    found(snapshot, applied, catalogue, |entry, _| entry)
}

/// The same with every file of it, and what of its bytes counts: all of them, or those of its symbols.
pub fn find_files(
    snapshot: &Snapshot,
    applied: &Applied<'_>,
    catalogue: &Catalogue,
) -> Vec<(BuildOnly, Vec<(LayerPath, Bytes)>)> {
    found(snapshot, applied, catalogue, |entry, members| {
        let file = |(path, bytes, _): &Member<'_>| (LayerPath::clean(path), *bytes);
        (entry, members.iter().map(file).collect())
    })
}

fn found<T>(
    snapshot: &Snapshot,
    applied: &Applied<'_>,
    catalogue: &Catalogue,
    of: impl Fn(BuildOnly, &[Member<'_>]) -> T,
) -> Vec<T> {
    let layers: Option<Vec<&Census>> = snapshot.layers.iter().map(|layer| layer.census.as_deref()).collect();
    let Some(layers) = layers else { return Vec::new() };
    let finder = Finder::new(snapshot, catalogue, &layers, applied);
    let mut groups = BTreeMap::new();
    finder.existing(applied, &mut groups);
    finder.deleted(applied, &mut groups);
    let mut found: Vec<_> =
        groups.into_iter().map(|(key, members)| (finder.group(key, &members), members)).collect();
    found.sort_by(|(one, _), (other, _)| {
        let order = |found: &BuildOnly| (found.deleted, Reverse(found.bytes), found.layer.index);
        order(one).cmp(&order(other)).then_with(|| one.kind.cmp(&other.kind))
    });
    found.into_iter().map(|(entry, members)| of(entry, &members)).collect()
}

/// Of what kind each file is under each of its names: what [`find`] sums up, one by one.
pub struct Kinds<'a> {
    finder: Finder<'a>,
    owners: Vec<Option<(usize, u32)>>,
}

impl<'a> Kinds<'a> {
    /// `layers` are the censuses of all layers, and `applied` the file system that they make.
    pub fn new(
        snapshot: &'a Snapshot,
        layers: &'a [&'a Census],
        applied: &Applied<'a>,
        catalogue: &'a Catalogue,
    ) -> Kinds<'a> {
        let finder = Finder::new(snapshot, catalogue, layers, applied);
        Kinds { finder, owners: owners_of(layers, applied) }
    }

    /// The kind of a file of [`Applied::existing`], under one of its names.
    pub fn of(&self, applied: &Applied<'a>, file: usize, path: &[u8]) -> Option<&'a Kind> {
        let existing = applied.existing.get(file)?;
        let owner = self.owners.get(file).copied().flatten();
        let marked = self.finder.marks.of_file(path, existing.layer, existing.entry);
        let kind = self.finder.kind(path, owner, &marked)?;
        self.finder.catalogue.kinds().get(kind)
    }

    /// The package that a file of [`Applied::existing`] is of.
    pub fn owner(&self, file: usize) -> Option<&'a Package> {
        let (layer, package) = self.owners.get(file).copied().flatten()?;
        self.finder.layers.get(layer)?.packages.get(package as usize)
    }

    /// Whether a package manager says that only development needs the directory that a path is in.
    pub fn is_development(&self, path: &[u8]) -> bool {
        self.finder.marks.is_in_development(path)
    }
}

/// What goes together: a kind, the layer, whether it was deleted, and which exception holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: usize,
    layer: u32,
    deleted: bool,
    ignored: Option<usize>,
}

/// A file of a group: its path, its bytes that count, its package.
type Member<'a> = (&'a [u8], Bytes, Option<(usize, u32)>);
type Groups<'a> = BTreeMap<Key, Vec<Member<'a>>>;

struct Finder<'a> {
    snapshot: &'a Snapshot,
    catalogue: &'a Catalogue,
    layers: &'a [&'a Census],
    /// Of each layer's packages, the kinds that their files are of.
    packages: Vec<Vec<Fits>>,
    marks: Marks<'a>,
    directories: Directories,
    /// The paths of Python sources; only these are asked for.
    sources: HashSet<&'a [u8], RandomState>,
}

impl<'a> Finder<'a> {
    fn new(
        snapshot: &'a Snapshot,
        catalogue: &'a Catalogue,
        layers: &'a [&'a Census],
        applied: &Applied<'a>,
    ) -> Finder<'a> {
        let of_layer = |census: &&Census| {
            let packages = census.packages.iter();
            packages.map(|package| catalogue.of_package(package.ecosystem.as_str(), &package.name)).collect()
        };
        let paths = applied.existing.iter().map(|file| file.path.0);
        Finder {
            snapshot,
            catalogue,
            layers,
            packages: layers.iter().map(of_layer).collect(),
            marks: Marks::of(layers, applied),
            directories: Directories::default(),
            sources: paths.filter(|path| path.ends_with(b".py")).collect(),
        }
    }

    fn existing(&self, applied: &Applied<'a>, groups: &mut Groups<'a>) {
        let owners = owners_of(self.layers, applied);
        let mut further: HashMap<u32, Vec<PathRef<'a>>> = HashMap::new();
        for (file, path) in &applied.further_names {
            further.entry(*file).or_default().push(*path);
        }
        for (index, (file, owner)) in applied.existing.iter().zip(owners).enumerate() {
            let kind_of =
                |path: &[u8]| self.kind(path, owner, &self.marks.of_file(path, file.layer, file.entry));
            let others = further.get(&(index as u32)).map(Vec::as_slice).unwrap_or_default();
            let tool = |path: &PathRef<'_>| {
                kind_of(path.0).filter(|kind| self.catalogue.kinds()[*kind].weight == Weight::Tool)
            };
            let kind = kind_of(file.path.0).or_else(|| others.iter().find_map(tool));
            let Some(kind) = kind else { continue };
            let fits = |path: &PathRef<'_>| kind_of(path.0).is_some();
            let bytes = self.bytes(kind, file.path.0, file.size, (file.layer, file.entry));
            // A cache may share its files with what runs; a program that builds is one under any name.
            let is_tool = self.catalogue.kinds()[kind].weight == Weight::Tool;
            if bytes == Bytes(0) || !is_tool && !others.iter().all(fits) {
                continue;
            }
            let name = &self.snapshot.image.name;
            let ignored = self.catalogue.ignored(&self.catalogue.kinds()[kind], file.path.0, name);
            let key = Key { kind, layer: file.layer, deleted: false, ignored };
            groups.entry(key).or_default().push((file.path.0, bytes, owner));
        }
    }

    /// What was deleted again is shipped all the same: programs that build, and what they read, tell how the
    /// image was built, and a secret is in it. What the base image itself deletes of its own tells nothing.
    fn deleted(&self, applied: &Applied<'a>, groups: &mut Groups<'a>) {
        let owners: Vec<Vec<Option<u32>>> = self.layers.iter().map(|census| census.owners()).collect();
        let is_ours = |hidden_by: u32| !self.snapshot.layer_ref(hidden_by).of_base_image;
        // A file that was stored anew counts where it is now, unless that is no longer of a kind: emptied, it is
        // as good as deleted.
        let counted: HashSet<&[u8]> = groups.values().flatten().map(|(path, ..)| *path).collect();
        let is_gone = |file: &&WastedFile<'_>| !file.replaced || !counted.contains(file.path.0);
        for file in applied.waste.iter().filter(|file| is_ours(file.hidden_by)).filter(is_gone) {
            let layer = file.stored_by as usize;
            let owner = owners[layer].get(file.entry as usize).copied().flatten().map(|owner| (layer, owner));
            let marked = self.marks.of_deleted(file.path.0, file.stored_by, file.entry);
            let Some(index) = self.kind(file.path.0, owner, &marked) else { continue };
            let kind = &self.catalogue.kinds()[index];
            if kind.weight <= Weight::Input || kind.marks.contains(&MarkKind::Secret) {
                let ignored = self.catalogue.ignored(kind, file.path.0, &self.snapshot.image.name);
                let key = Key { kind: index, layer: file.stored_by, deleted: true, ignored };
                groups.entry(key).or_default().push((file.path.0, file.size, owner));
            }
        }
    }

    /// The first kind that a file is of.
    fn kind(&self, path: &[u8], owner: Option<(usize, u32)>, marked: &[MarkKind]) -> Option<usize> {
        let of_path = self.catalogue.of_path(path, &self.directories);
        let none = Fits::default();
        let of_package = owner.map_or(&none, |(layer, package)| &self.packages[layer][package as usize]);
        let is_marked = |kind: &Kind| kind.marks.iter().any(|mark| marked.contains(mark));
        let by_mark =
            |(index, kind): (usize, &Kind)| (!marked.is_empty() && is_marked(kind)).then_some(index);
        let by_mark = self.catalogue.kinds().iter().enumerate().filter_map(by_mark);
        let mut kinds: Vec<usize> = of_path.kinds().chain(of_package.kinds()).collect();
        if !marked.is_empty() {
            kinds.extend(by_mark);
        }
        kinds.sort_unstable();
        let fits = |kind: &usize| {
            !of_path.excepted(*kind)
                && !of_package.excepted(*kind)
                && (!self.catalogue.kinds()[*kind].beside_source || self.has_source(path))
        };
        kinds.into_iter().find(fits)
    }

    /// Whether what byte code was made from is there: `a/__pycache__/b.cpython-311.pyc` from `a/b.py`,
    /// `a/b.pyc` from the same (PEP 3147).
    fn has_source(&self, path: &[u8]) -> bool {
        let Some(stem) = path.strip_suffix(b".pyc") else { return true };
        let (directory, name) = match stem.iter().rposition(|byte| *byte == b'/') {
            Some(at) => stem.split_at(at + 1),
            None => (&[][..], stem),
        };
        let source = match directory.strip_suffix(b"__pycache__/") {
            Some(above) => {
                let end = name.iter().position(|byte| *byte == b'.').unwrap_or(name.len());
                [above, &name[..end], b".py"].concat()
            }
            None => [stem, b".py"].concat(),
        };
        self.sources.contains(source.as_slice())
    }

    /// The bytes of a file that are of a kind: of one with debug symbols only these.
    fn bytes(&self, kind: usize, path: &[u8], size: Bytes, (layer, entry): (u32, u32)) -> Bytes {
        let of_path = || self.catalogue.of_path(path, &self.directories).of(kind);
        let only_symbols = self.catalogue.kinds()[kind].marks.contains(&MarkKind::Debug);
        match self.marks.debug_bytes(layer, entry) {
            Some(symbols) if only_symbols && !of_path() => symbols.min(size),
            _ => size,
        }
    }

    fn group(&self, key: Key, members: &[Member<'a>]) -> BuildOnly {
        let kind = &self.catalogue.kinds()[key.kind];
        let bytes = members.iter().try_fold(Bytes(0), |sum, (_, bytes, _)| sum.checked_add(*bytes));
        let layer = self.snapshot.layer_ref(key.layer);
        let packages = self.packages_of(members);
        let help = self.help(kind, self.ecosystem_of(members), &layer, &packages);
        BuildOnly {
            kind: kind.name.clone(),
            what: kind.words().to_owned(),
            weight: kind.weight,
            bytes: bytes.unwrap_or(Bytes::MAX),
            files: members.len() as u64,
            paths: paths(members),
            packages,
            deleted: key.deleted,
            ignored: key.ignored.map(|ignore| self.catalogue.reason(ignore)),
            help,
            layer,
        }
    }

    fn packages_of(&self, members: &[Member<'a>]) -> Vec<String> {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, bytes, owner) in members {
            if let Some((layer, package)) = owner {
                let name = self.layers[*layer].packages[*package as usize].name.as_str();
                *sums.entry(name).or_default() += bytes.0;
            }
        }
        let mut largest: Vec<(&str, u64)> = sums.into_iter().collect();
        largest.sort_by_key(|(name, bytes)| (Reverse(*bytes), *name));
        largest.into_iter().take(MAX_NAMED).map(|(name, _)| name.to_owned()).collect()
    }

    /// The type of packages that most of the bytes are of.
    fn ecosystem_of(&self, members: &[Member<'a>]) -> Option<&'static str> {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, bytes, owner) in members {
            if let Some((layer, package)) = owner {
                let package = &self.layers[*layer].packages[*package as usize];
                *sums.entry(package.ecosystem.as_str()).or_default() += bytes.0;
            }
        }
        sums.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(ecosystem, _)| ecosystem)
    }

    fn help(&self, kind: &Kind, of: Option<&str>, layer: &LayerRef, packages: &[String]) -> String {
        if layer.of_base_image {
            return self.help_with_base(kind);
        }
        let help = of.and_then(|of| kind.helps.get(of)).unwrap_or(&kind.help);
        let step = match (&layer.dockerfile, &layer.instruction) {
            (Some(place), _) => place.to_string(),
            (None, Some(step)) => format!("`{}`", step.as_str().chars().take(60).collect::<String>()),
            (None, None) => format!("the step of layer {}", layer.index + 1),
        };
        let packages = match packages {
            [] => "them".to_owned(),
            packages => packages.join(", "),
        };
        help.replace("{step}", &step).replace("{packages}", &packages)
    }

    fn help_with_base(&self, kind: &Kind) -> String {
        let name = self.snapshot.base.as_ref().and_then(|base| base.name.as_deref());
        let slimmer = name.and_then(crate::dockerfile::slimmer_of);
        match (name, slimmer, kind.weight) {
            (Some(name), Some(slimmer), Weight::Tool | Weight::Input) => {
                format!("it comes with {name}: build the final stage on {slimmer}")
            }
            (Some(name), None, Weight::Tool) => format!(
                "it comes with {name}: keep that for a builder stage (FROM {name} AS builder), and build the final stage on an image without it (debian:bookworm-slim, alpine, or scratch for a static program)"
            ),
            (None, _, Weight::Tool) => "it comes with the base image: build the final stage on one without it, such as its -slim variant, and build in a builder stage on this one".into(),
            (name, ..) => {
                let (name, kind) = (name.unwrap_or("the base image"), &kind.name);
                format!(
                    "it comes with {name}, and only another base image is without it; to accept it, write into layergate.toml: [[build-only.ignore]] kind = \"{kind}\" reason = \"...\""
                )
            }
        }
    }
}

/// The one directory that holds all, or the few directories and files that hold most of it.
fn paths(members: &[Member<'_>]) -> Vec<String> {
    let deltas = || members.iter().map(|(path, bytes, _)| (*path, Delta(bytes.0 as i64)));
    let shown = |found: &Explained| {
        let slash = if found.is_directory && !found.path.is_empty() { "/" } else { "" };
        format!("{}{slash}", PathRef(&found.path))
    };
    let one = together(deltas()).filter(|one| one.path.contains(&b'/'));
    one.map_or_else(|| roll_up(deltas()), |one| vec![one]).iter().take(MAX_NAMED).map(shown).collect()
}
