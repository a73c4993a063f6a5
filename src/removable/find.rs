//! Finds the removable files of an image.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;

use super::advice::{Starts, instead, libraries_of};
use super::catalogue::{Catalogue, DirectoryMatches, KindMatches, MarkKind, RemovableKind};
use super::marks::Marks;
use crate::image::filesystem::{ExistingFile, Filesystem, WastedFile};
use crate::image::layer_ref::LayerRef;
use crate::image::path::{PathRef, split};
use crate::image::rollup::{Explained, roll_up, together};
use crate::image::snapshot::Snapshot;
use crate::image::{Bytes, Delta, FileList, Layer, LayerPath, Package, Removable, Weight};
use crate::packages::owners_of;
use crate::sort;

/// Maximum paths and packages that are named for one kind in one layer.
const MAX_NAMED: usize = 8;
/// Maximum packages named in a command.
const MAX_IN_COMMAND: usize = 24;
/// Commands that set the owner or mode of files, which stores them again.
const SETS: [&str; 4] = ["chown", "chmod", "chgrp", "usermod"];
/// Stands for the exception of files that a container starts.
const STARTED: usize = usize::MAX;

/// Finds the removable files of images. The platforms of one index may share all their files: these are searched once.
pub struct Search {
    catalogue: Arc<Catalogue>,
    done: Vec<CachedFindings>,
}

/// What was found in a file system, for an image of this name with this many base image layers.
struct CachedFindings {
    filesystem: Weak<Filesystem>,
    name: String,
    base_layers: u64,
    starts: Starts,
    groups: Vec<FindingGroup>,
}

impl Search {
    /// Starts with an empty cache.
    pub fn new(catalogue: Arc<Catalogue>) -> Search {
        Search { catalogue, done: Vec::new() }
    }

    /// The removable files of an image, most bytes first. `filesystem` is that of the image's layers. A file belongs to
    /// one kind and one layer, so no byte counts twice; a file with several names counts only if all of them belong to
    /// a kind.
    pub fn find(&mut self, snapshot: &Snapshot, filesystem: &Arc<Filesystem>) -> Vec<Removable> {
        let name = &snapshot.image.name;
        let base_layers = snapshot.base.as_ref().map_or(0, |base| base.layers);
        let (of, starts) = (Arc::downgrade(filesystem), Starts::of(snapshot));
        let is_same = |done: &CachedFindings| {
            done.filesystem.ptr_eq(&of)
                && done.name == *name
                && done.base_layers == base_layers
                && done.starts == starts
        };
        let at = self.done.iter().position(is_same).unwrap_or_else(|| {
            let found = found(snapshot, filesystem, &self.catalogue);
            let groups = found.into_iter().map(|(group, _)| group).collect();
            let name = name.clone();
            self.done.push(CachedFindings {
                filesystem: of.clone(),
                name,
                base_layers,
                starts: starts.clone(),
                groups,
            });
            self.done.len() - 1
        });
        self.done[at].groups.iter().map(|group| group.explain(snapshot, &self.catalogue)).collect()
    }
}

/// What [`Search::find`] finds, with every file and its bytes that count: all of them, or those of its debug symbols.
pub fn find_files(
    snapshot: &Snapshot,
    filesystem: &Filesystem,
    catalogue: &Catalogue,
) -> Vec<(Removable, Vec<(LayerPath, Bytes)>)> {
    let file = |(path, bytes, _): &Member<'_>| (LayerPath::clean(path), *bytes);
    let files = |(group, members): (FindingGroup, Vec<Member<'_>>)| {
        (group.explain(snapshot, catalogue), members.iter().map(file).collect())
    };
    found(snapshot, filesystem, catalogue).into_iter().map(files).collect()
}

fn found<'a>(
    snapshot: &'a Snapshot,
    filesystem: &'a Filesystem,
    catalogue: &'a Catalogue,
) -> Vec<(FindingGroup, Vec<Member<'a>>)> {
    let finder = RemovableFinder::new(snapshot, catalogue, filesystem);
    let mut groups = BTreeMap::new();
    finder.existing(&mut groups);
    finder.deleted(&mut groups);
    let mut found: Vec<_> =
        groups.into_iter().map(|(key, members)| (finder.group(key, &members), members)).collect();
    let name = |group: &FindingGroup| catalogue.kinds()[group.key.kind].name.as_str();
    sort::by(&mut found, |(one, _), (other, _)| {
        let order = |group: &FindingGroup| (group.key.deleted, Reverse(group.bytes), group.key.layer);
        order(one).cmp(&order(other)).then_with(|| name(one).cmp(name(other)))
    });
    found
}

/// The kind of each file under each of its names: what [`Search::find`] sums up, file by file.
pub struct Kinds<'a> {
    finder: RemovableFinder<'a>,
    owners: Vec<Option<(usize, u32)>>,
}

impl<'a> Kinds<'a> {
    /// `filesystem` is that of the image's layers.
    pub fn new(snapshot: &'a Snapshot, filesystem: &'a Filesystem, catalogue: &'a Catalogue) -> Kinds<'a> {
        Kinds { finder: RemovableFinder::new(snapshot, catalogue, filesystem), owners: owners_of(filesystem) }
    }

    /// The kind of a file of [`Filesystem::existing`], under one of its names.
    pub fn of(&self, file: usize, path: &[u8]) -> Option<&'a RemovableKind> {
        let existing = self.finder.filesystem.existing_at(file)?;
        let owner = self.owners.get(file).copied().flatten();
        let marked = self.finder.marks.of_file(path, existing.layer, existing.entry);
        let kind = self.finder.kind(path, owner, &marked)?;
        self.finder.catalogue.kinds().get(kind)
    }

    /// The package that owns a file of [`Filesystem::existing`].
    pub fn owner(&self, file: usize) -> Option<&'a Package> {
        let (layer, package) = self.owners.get(file).copied().flatten()?;
        self.finder.filesystem.layers().get(layer)?.packages.get(package as usize)
    }

    /// Whether something that a container starts needs all files of a kind.
    pub fn is_started(&self, kind: &str) -> bool {
        self.finder.started.keys().any(|index| self.finder.catalogue.kinds()[*index].name == kind)
    }

    /// The script that a container starts, if what it runs is unknown.
    pub fn script(&self) -> Option<&str> {
        self.finder.starts.script("")
    }

    /// Whether, according to a package manager, only development needs the directory of a path.
    pub fn is_development(&self, path: &[u8]) -> bool {
        self.finder.marks.is_in_development(path)
    }
}

/// The key of a finding: its kind, the storing and the adding layer, whether it is deleted, and its exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey {
    kind: usize,
    layer: u32,
    brought_by: u32,
    deleted: bool,
    ignored: Option<usize>,
}

/// A file of a group: its path, the bytes that count, and its package.
type Member<'a> = (&'a [u8], Bytes, Option<(usize, u32)>);
type Groups<'a> = BTreeMap<GroupKey, Vec<Member<'a>>>;

struct RemovableFinder<'a> {
    snapshot: &'a Snapshot,
    catalogue: &'a Catalogue,
    filesystem: &'a Filesystem,
    /// For each layer's packages, the kinds that their files belong to.
    packages: Vec<Vec<KindMatches>>,
    marks: Marks<'a>,
    starts: Starts,
    /// The kinds of which all files stay, and what starts them.
    started: BTreeMap<usize, (&'static str, String)>,
    /// The kinds whose files are loaded by programs of this image.
    loaded: BTreeSet<usize>,
    directories: DirectoryMatches,
    /// The paths of Python sources, the only ones that are looked up.
    sources: HashSet<&'a [u8], RandomState>,
    /// Files that a layer only stores again, by path and that layer: the layer that stored them before, and their size.
    again: HashMap<(&'a [u8], u32), (u32, Bytes), RandomState>,
}

impl<'a> RemovableFinder<'a> {
    fn new(
        snapshot: &'a Snapshot,
        catalogue: &'a Catalogue,
        filesystem: &'a Filesystem,
    ) -> RemovableFinder<'a> {
        let of_layer = |file_list: &Arc<FileList>| {
            let packages = file_list.packages.iter();
            packages.map(|package| catalogue.of_package(package.ecosystem.as_str(), &package.name)).collect()
        };
        let paths = filesystem.existing().map(|file| file.path.0);
        let (marks, starts) = (Marks::of(filesystem), Starts::of(snapshot));
        RemovableFinder {
            snapshot,
            catalogue,
            filesystem,
            packages: filesystem.layers().iter().map(of_layer).collect(),
            started: started_kinds(&starts, &marks, filesystem, catalogue),
            loaded: loaded_kinds(filesystem, catalogue),
            marks,
            starts,
            directories: DirectoryMatches::default(),
            sources: paths.filter(|path| path.ends_with(b".py")).collect(),
            again: stored_again(snapshot, filesystem),
        }
    }

    /// The layer that added a file: a lower one if the file is stored again with another owner or mode.
    fn brought_by(&self, file: &ExistingFile<'_>) -> u32 {
        let mut layer = file.layer;
        while let Some((below, _)) =
            self.again.get(&(file.path.0, layer)).filter(|(_, size)| *size == file.size)
        {
            layer = *below;
        }
        layer
    }

    fn existing(&self, groups: &mut Groups<'a>) {
        let owners = owners_of(self.filesystem);
        let mut further: HashMap<u32, Vec<PathRef<'a>>> = HashMap::new();
        for (file, path) in self.filesystem.further_names() {
            further.entry(file).or_default().push(path);
        }
        for (index, (file, owner)) in self.filesystem.existing().zip(owners).enumerate() {
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
            // A cache may share its files with what runs; a build tool is one under any name.
            let is_tool = self.catalogue.kinds()[kind].weight == Weight::Tool;
            if bytes == Bytes(0) || !is_tool && !others.iter().all(fits) {
                continue;
            }
            let name = &self.snapshot.image.name;
            let ignored = self.catalogue.ignored(&self.catalogue.kinds()[kind], file.path.0, name);
            // For a started program, only its debug symbols are removable.
            let is_named = || bytes == file.size && self.starts.names(file.path.0).is_some();
            let is_started = || is_named() || self.started(kind, file.path.0, owner).is_some();
            let ignored = ignored.or_else(|| is_started().then_some(STARTED));
            let brought_by = self.brought_by(&file);
            let key = GroupKey { kind, layer: file.layer, brought_by, deleted: false, ignored };
            groups.entry(key).or_default().push((file.path.0, bytes, owner));
        }
    }

    /// Deleted files are still shipped: deleted build tools and build inputs tell how the image was built, and deleted
    /// secrets can be read. What the base image itself deletes tells nothing.
    fn deleted(&self, groups: &mut Groups<'a>) {
        let layers = self.filesystem.layers();
        let owners: Vec<Vec<Option<u32>>> = layers.iter().map(|file_list| file_list.owners()).collect();
        let is_ours = |hidden_by: u32| !self.snapshot.layer_ref(hidden_by).of_base_image;
        // A replaced file counts where it is now, unless it no longer belongs to a kind: an emptied file is as good as
        // deleted.
        let counted: HashSet<&[u8]> = groups.values().flatten().map(|(path, ..)| *path).collect();
        let is_gone = |file: &WastedFile<'_>| !file.replaced || !counted.contains(file.path.0);
        for file in self.filesystem.waste().filter(|file| is_ours(file.hidden_by)).filter(is_gone) {
            let layer = file.stored_by as usize;
            let owner = owners[layer].get(file.entry as usize).copied().flatten().map(|owner| (layer, owner));
            let marked = self.marks.of_deleted(file.path.0, file.stored_by, file.entry);
            let Some(index) = self.kind(file.path.0, owner, &marked) else { continue };
            let kind = &self.catalogue.kinds()[index];
            if kind.weight <= Weight::Input || kind.marks.contains(&MarkKind::Secret) {
                let ignored = self.catalogue.ignored(kind, file.path.0, &self.snapshot.image.name);
                let layer = file.stored_by;
                let key = GroupKey { kind: index, layer, brought_by: layer, deleted: true, ignored };
                groups.entry(key).or_default().push((file.path.0, file.size, owner));
            }
        }
    }

    /// The first kind that a file belongs to.
    fn kind(&self, path: &[u8], owner: Option<(usize, u32)>, marked: &[MarkKind]) -> Option<usize> {
        let of_path = self.catalogue.of_path(path, &self.directories);
        let none = KindMatches::default();
        let of_package = owner.map_or(&none, |(layer, package)| &self.packages[layer][package as usize]);
        let is_marked = |kind: &RemovableKind| kind.marks.iter().any(|mark| marked.contains(mark));
        let by_mark =
            |(index, kind): (usize, &RemovableKind)| (!marked.is_empty() && is_marked(kind)).then_some(index);
        let by_mark = self.catalogue.kinds().iter().enumerate().filter_map(by_mark);
        let mut kinds: Vec<usize> = of_path.kinds().chain(of_package.kinds()).collect();
        if !marked.is_empty() {
            kinds.extend(by_mark);
        }
        kinds.sort_unstable();
        let fits = |kind: &usize| {
            !self.loaded.contains(kind)
                && !of_path.excepted(*kind)
                && !of_package.excepted(*kind)
                && (!self.catalogue.kinds()[*kind].beside_source || self.has_source(path))
        };
        kinds.into_iter().find(fits)
    }

    /// Whether the source of byte code exists: `a/b.py` for `a/__pycache__/b.cpython-311.pyc` and for `a/b.pyc` (PEP
    /// 3147).
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

    /// The bytes of a file that count for a kind: only the debug symbols, if the kind is about them.
    fn bytes(&self, kind: usize, path: &[u8], size: Bytes, (layer, entry): (u32, u32)) -> Bytes {
        let of_path = || self.catalogue.of_path(path, &self.directories).of(kind);
        let only_symbols = self.catalogue.kinds()[kind].marks.contains(&MarkKind::Debug);
        match self.marks.debug_bytes(layer, entry) {
            Some(symbols) if only_symbols && !of_path() => symbols.min(size),
            _ => size,
        }
    }

    /// Which instruction starts it, and the word that does.
    fn started(&self, kind: usize, path: &[u8], owner: Option<(usize, u32)>) -> Option<(&'static str, &str)> {
        let package = owner.map(|owner| self.package(owner).name.as_str());
        let is_tool = self.catalogue.kinds()[kind].weight == Weight::Tool;
        let as_tool = || self.starts.starts(path, package).filter(|_| is_tool);
        let by_kind = || self.started.get(&kind).map(|(keyword, word)| (*keyword, word.as_str()));
        as_tool().or_else(by_kind)
    }

    fn package(&self, (layer, package): (usize, u32)) -> &'a Package {
        &self.filesystem.layers()[layer].packages[package as usize]
    }

    /// Why it is not counted.
    fn reason(&self, key: GroupKey, members: &[Member<'a>]) -> Option<String> {
        let ignored = key.ignored?;
        if ignored != STARTED {
            return Some(self.catalogue.reason(ignored));
        }
        let by = members.iter().find_map(|(path, _, owner)| {
            self.starts.names(path).or_else(|| self.started(key.kind, path, *owner))
        });
        let (keyword, word) = by.unwrap_or(("CMD", "it"));
        Some(format!("{keyword} runs {word}"))
    }

    /// The script that is started and may need the files, if what it runs is unknown.
    fn script(&self, key: GroupKey) -> Option<String> {
        let kind = &self.catalogue.kinds()[key.kind];
        let may_need = kind.weight == Weight::Tool || kind.name.ends_with("dev-dependencies");
        self.starts.script(&kind.name).filter(|_| may_need).map(str::to_owned)
    }

    /// The runtime packages of the members' packages, if an advice names them.
    fn runtime(&self, key: GroupKey, members: &[Member<'a>]) -> Vec<String> {
        if !self.catalogue.kinds()[key.kind].helps.values().any(|help| help.contains("{runtime}")) {
            return Vec::new();
        }
        let owners: BTreeSet<(usize, u32)> = members.iter().filter_map(|(.., owner)| *owner).collect();
        let of_table = |owner: &(usize, u32)| {
            let package = self.package(*owner);
            instead(package.ecosystem.as_str(), &package.name)
        };
        let mut names: BTreeSet<String> = owners.iter().filter_map(of_table).collect();
        let base_layers = self.snapshot.base.as_ref().map_or(0, |base| base.layers as usize);
        names.extend(libraries_of(self.filesystem, &owners, base_layers));
        names.into_iter().take(MAX_NAMED).collect()
    }

    fn group(&self, key: GroupKey, members: &[Member<'a>]) -> FindingGroup {
        let bytes = members.iter().try_fold(Bytes(0), |sum, (_, bytes, _)| sum.checked_add(*bytes));
        FindingGroup {
            key,
            bytes: bytes.unwrap_or(Bytes::MAX),
            files: members.len() as u64,
            paths: paths(members),
            packages: self.packages_of(members),
            ecosystem: self.ecosystem_of(members),
            runtime: self.runtime(key, members),
            home: home_of(members),
            script: self.script(key),
            ignored: self.reason(key, members),
        }
    }

    fn packages_of(&self, members: &[Member<'a>]) -> Vec<String> {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, bytes, owner) in members {
            if let Some((layer, package)) = owner {
                let name = self.filesystem.layers()[*layer].packages[*package as usize].name.as_str();
                *sums.entry(name).or_default() += bytes.0;
            }
        }
        let mut largest: Vec<(&str, u64)> = sums.into_iter().collect();
        sort::by_key(&mut largest, |(name, bytes)| (Reverse(*bytes), *name));
        largest.into_iter().take(MAX_IN_COMMAND).map(|(name, _)| name.to_owned()).collect()
    }

    /// The package type with most of the bytes.
    fn ecosystem_of(&self, members: &[Member<'a>]) -> Option<&'static str> {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, bytes, owner) in members {
            if let Some((layer, package)) = owner {
                let package = &self.filesystem.layers()[*layer].packages[*package as usize];
                *sums.entry(package.ecosystem.as_str()).or_default() += bytes.0;
            }
        }
        sums.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(ecosystem, _)| ecosystem)
    }
}

/// Files of the application layers that a layer stores again whose instruction sets owners or modes.
fn stored_again<'a>(
    snapshot: &Snapshot,
    filesystem: &'a Filesystem,
) -> HashMap<(&'a [u8], u32), (u32, Bytes), RandomState> {
    let sets = |layer: &Layer| {
        layer.created_by.as_ref().is_some_and(|step| SETS.iter().any(|word| step.as_str().contains(word)))
    };
    let setting: Vec<bool> = snapshot.layers.iter().map(sets).collect();
    let is_again = |file: &WastedFile<'_>| {
        file.replaced
            && file.stored_by < file.hidden_by
            && setting.get(file.hidden_by as usize).is_some_and(|sets| *sets)
            && !snapshot.layer_ref(file.stored_by).of_base_image
    };
    let again = filesystem.waste().filter(is_again);
    again.map(|file| ((file.path.0, file.hidden_by), (file.stored_by, file.size))).collect()
}

/// Development packages need each other: if a container starts one of them, all of them stay.
fn started_kinds(
    starts: &Starts,
    marks: &Marks<'_>,
    filesystem: &Filesystem,
    catalogue: &Catalogue,
) -> BTreeMap<usize, (&'static str, String)> {
    let kinds = catalogue.kinds();
    let index_of = |name: &str| kinds.iter().position(|kind| kind.name == name);
    let owned = |(keyword, word): (&'static str, &str)| (keyword, word.to_owned());
    let mut started: BTreeMap<usize, (&'static str, String)> = kinds
        .iter()
        .enumerate()
        .filter_map(|(index, kind)| Some((index, owned(starts.starts_kind(&kind.name)?))))
        .collect();
    for file_list in filesystem.layers() {
        for package in &file_list.packages {
            let Some(by) = starts.starts_package(&package.name) else { continue };
            let anchor = file_list.entries.get(package.anchor as usize).map(|entry| entry.path().as_bytes());
            let by_mark = || anchor.filter(|path| marks.is_in_development(path)).map(|_| "dev-dependencies");
            let of_package = catalogue.kind_of_package(package.ecosystem, &package.name);
            let kind =
                of_package.map(|kind| kind.name.as_str()).filter(|name| name.ends_with("dev-dependencies"));
            if let Some(kind) = kind.or_else(by_mark).and_then(index_of) {
                started.entry(kind).or_insert_with(|| owned(by));
            }
        }
    }
    started
}

/// The kinds that do not count in this image, because it has files of certain names.
fn loaded_kinds(filesystem: &Filesystem, catalogue: &Catalogue) -> BTreeSet<usize> {
    let kinds = catalogue.kinds().iter().enumerate();
    let asking: Vec<_> = kinds.filter(|(_, kind)| !kind.unless_image_has.is_empty()).collect();
    let mut loaded = BTreeSet::new();
    for file in filesystem.existing() {
        let name = split(file.path.0).1;
        let has = |kind: &RemovableKind| kind.unless_image_has.iter().any(|one| one.as_bytes() == name);
        loaded.extend(asking.iter().filter(|(_, kind)| has(kind)).map(|(index, _)| *index));
    }
    loaded
}

/// Everything of one kind in one layer, independent of the instruction.
struct FindingGroup {
    key: GroupKey,
    bytes: Bytes,
    files: u64,
    paths: Vec<String>,
    /// At most as many as a command names.
    packages: Vec<String>,
    ecosystem: Option<&'static str>,
    /// What to install instead of them.
    runtime: Vec<String>,
    /// The home directory that contains it, if it is one user's and not root's.
    home: Option<String>,
    /// The script that a container starts and that may need it, if what it runs is unknown.
    script: Option<String>,
    /// Why it is not counted.
    ignored: Option<String>,
}

impl FindingGroup {
    /// The finding as reported for an image.
    fn explain(&self, snapshot: &Snapshot, catalogue: &Catalogue) -> Removable {
        let kind = &catalogue.kinds()[self.key.kind];
        let layer = snapshot.layer_ref(self.key.layer);
        let is_again = self.key.brought_by != self.key.layer;
        let brought_by = is_again.then(|| snapshot.layer_ref(self.key.brought_by));
        Removable {
            kind: kind.name.clone(),
            what: kind.words().to_owned(),
            weight: kind.weight,
            bytes: self.bytes,
            files: self.files,
            paths: self.paths.clone(),
            packages: self.packages.iter().take(MAX_NAMED).cloned().collect(),
            deleted: self.key.deleted,
            ignored: self.ignored.clone(),
            help: self.help(kind, brought_by.as_ref().unwrap_or(&layer), snapshot),
            layer,
            brought_by,
        }
    }

    fn help(&self, kind: &RemovableKind, layer: &LayerRef, snapshot: &Snapshot) -> String {
        if layer.of_base_image {
            return help_with_base(kind, snapshot);
        }
        let fits = |text: &&String| !text.contains("{runtime}") || !self.runtime.is_empty();
        let of_type = self.ecosystem.and_then(|of| kind.helps.get(of)).filter(fits);
        let help = of_type.unwrap_or(&kind.help);
        let instruction = match (&layer.dockerfile, &layer.instruction) {
            (Some(place), _) => place.to_string(),
            (None, Some(of)) => format!("`{}`", of.as_str().chars().take(60).collect::<String>()),
            (None, None) => format!("the instruction of layer {}", layer.index + 1),
        };
        let packages = match self.packages.as_slice() {
            [] => "them".to_owned(),
            packages => packages[..packages.len().min(MAX_NAMED)].join(", "),
        };
        in_home(help, self.home.as_deref())
            .replace("{instruction}", &instruction)
            .replace("{packages}", &packages)
            .replace("{names}", &self.packages.join(" "))
            .replace("{runtime}", &self.runtime.join(" "))
            + &self.script.as_ref().map_or_else(String::new, |script| {
                format!("; first make sure that {script} needs none of these files")
            })
    }
}

/// The home directory that contains everything, if it is one user's.
fn home_of(members: &[Member<'_>]) -> Option<String> {
    let home = |(path, ..): &Member<'_>| {
        let user = path.strip_prefix(b"home/")?;
        let user = std::str::from_utf8(&user[..user.iter().position(|byte| *byte == b'/')?]).ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        (!user.is_empty() && user.chars().all(plain)).then(|| format!("/home/{user}/"))
    };
    let mut homes = members.iter().map(home);
    let first = homes.next()??;
    homes.all(|home| home.as_ref() == Some(&first)).then_some(first)
}

/// Adapts advice to a user's home: a cache mount would otherwise belong to root.
fn in_home(help: &str, home: Option<&str>) -> String {
    let Some(home) = home else { return help.to_owned() };
    let mut parts = help.split("target=/root/");
    let mut text = parts.next().unwrap_or_default().replace("/root/", home);
    for part in parts {
        let end = part.find([' ', '`']).unwrap_or(part.len());
        text += &format!("target={home}{},mode=0777{}", &part[..end], part[end..].replace("/root/", home));
    }
    text
}

fn help_with_base(kind: &RemovableKind, snapshot: &Snapshot) -> String {
    let name = snapshot.base.as_ref().and_then(|base| base.name.as_deref());
    let slimmer = name.and_then(crate::dockerfile::slimmer_of);
    match (name, slimmer, kind.weight) {
        (Some(name), Some(slimmer), Weight::Tool | Weight::Input) => {
            format!("it comes with {name}: build the final stage on {slimmer}")
        }
        (Some(name), None, Weight::Tool) => format!(
            "it comes with {name}: use that for a builder stage (FROM {name} AS builder), and build the final stage on an image without it (debian:bookworm-slim, alpine, or scratch for a static program)"
        ),
        (None, _, Weight::Tool) => "it comes with the base image: build the final stage on one without it, such as its -slim variant, and build in a builder stage on this one".into(),
        (name, ..) => {
            let (name, kind) = (name.unwrap_or("the base image"), &kind.name);
            format!(
                "it comes with {name}: use another base image, or accept it in layergate.toml: [[removable.ignore]] kind = \"{kind}\" reason = \"...\""
            )
        }
    }
}

/// The one directory that holds everything, or the few directories and files that hold most of it.
fn paths(members: &[Member<'_>]) -> Vec<String> {
    let deltas = || members.iter().map(|(path, bytes, _)| (*path, Delta(bytes.0 as i64)));
    let shown = |found: &Explained| {
        let slash = if found.is_directory && !found.path.is_empty() { "/" } else { "" };
        format!("{}{slash}", PathRef(&found.path))
    };
    let one = together(deltas()).filter(|one| one.path.contains(&b'/'));
    one.map_or_else(|| roll_up(deltas()), |one| vec![one]).iter().take(MAX_NAMED).map(shown).collect()
}
