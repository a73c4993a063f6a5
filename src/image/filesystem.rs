//! Applying layers: which files exist once all layers are stacked, and which are wasted (OCI image layer specification,
//! "Applying Changesets").

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::path::PathRef;
use super::{Bytes, Entry, FileList, Layer, LayerPath};

/// The file system that an image's layers form. It owns the layers' file lists and stores indexes of entries instead of
/// paths: an image may have millions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// Bytes of the files that exist, each file counted once however many names it has.
    pub flattened: Bytes,
    /// Bytes of the files that were shipped and no longer exist.
    pub wasted: Bytes,
    layers: Vec<Arc<FileList>>,
    existing: Vec<PresentFile>,
    /// The additional names of files that have several: the file's index in `existing`, and the name's entry.
    further_names: Vec<(u32, EntryIndex)>,
    waste: Vec<HiddenEntry>,
}

/// An entry: its layer, counted from 0, and its index in the layer's file list.
type EntryIndex = (u32, u32);

#[derive(Debug, Clone, PartialEq, Eq)]
struct PresentFile {
    file: EntryIndex,
    name: EntryIndex,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct HiddenEntry {
    file: EntryIndex,
    name: EntryIndex,
    hidden_by: u32,
    replaced: bool,
}

/// A file that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExistingFile<'a> {
    /// Its first name, in the order of paths.
    pub path: PathRef<'a>,
    /// Bytes of its content.
    pub size: Bytes,
    /// The layer that stored it, counted from 0.
    pub layer: u32,
    /// Its index in the layer's file list.
    pub entry: u32,
}

/// A wasted file: its bytes are shipped, but it no longer exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WastedFile<'a> {
    /// The name under which it was last seen.
    pub path: PathRef<'a>,
    /// Bytes of its content.
    pub size: Bytes,
    /// The layer that stored it, counted from 0.
    pub stored_by: u32,
    /// Its index in that layer's file list.
    pub entry: u32,
    /// The layer that hid or replaced it, counted from 0.
    pub hidden_by: u32,
    /// Whether that layer put something else in its place, instead of only deleting it.
    pub replaced: bool,
}

impl Filesystem {
    /// Applies the layers, lowest first. Each file list must have a [`FileList::size`]; the caller rejects sums that
    /// overflow.
    pub fn of(layers: Vec<Arc<FileList>>) -> Filesystem {
        let AppliedLayers { existing, further_names, waste } = LayeredTree::of(&layers).finish();
        let mut filesystem =
            Filesystem { flattened: Bytes(0), wasted: Bytes(0), layers, existing, further_names, waste };
        filesystem.flattened = Bytes(filesystem.existing().map(|file| file.size.0).sum());
        filesystem.wasted = Bytes(filesystem.waste().map(|file| file.size.0).sum());
        filesystem
    }

    /// The same for an image; `None` unless the files of all its layers are known.
    pub fn of_layers(layers: &[Layer]) -> Option<Filesystem> {
        let layers: Vec<Arc<FileList>> =
            layers.iter().map(|layer| layer.file_list.clone()).collect::<Option<_>>()?;
        (!layers.is_empty()).then(|| Filesystem::of(layers))
    }

    /// The layers' files, lowest layer first.
    pub fn layers(&self) -> &[Arc<FileList>] {
        &self.layers
    }

    /// How many regular files exist.
    pub fn files(&self) -> u64 {
        self.existing.len() as u64
    }

    /// The files that exist, each under its first name, in the order of the layers.
    pub fn existing(&self) -> impl ExactSizeIterator<Item = ExistingFile<'_>> {
        self.existing.iter().map(|existing| self.existing_file(existing))
    }

    /// The same, sorted by path.
    pub fn existing_by_path(&self) -> impl Iterator<Item = ExistingFile<'_>> {
        let mut sorted: Vec<u32> = (0..self.existing.len() as u32).collect();
        let path = |index: &u32| self.path(self.existing[*index as usize].name).0;
        // A stable sort is fast on input that is mostly in order.
        sorted.sort_by(|one, other| path(one).cmp(path(other)));
        sorted.into_iter().map(|index| self.existing_file(&self.existing[index as usize]))
    }

    /// One of [`Filesystem::existing`], by its index.
    pub fn existing_at(&self, index: usize) -> Option<ExistingFile<'_>> {
        self.existing.get(index).map(|existing| self.existing_file(existing))
    }

    /// The additional names of files that have several: the file's index in [`Filesystem::existing`], and a name.
    pub fn further_names(&self) -> impl ExactSizeIterator<Item = (u32, PathRef<'_>)> {
        self.further_names.iter().map(|(file, name)| (*file, self.path(*name)))
    }

    /// The files that no longer exist, in the order in which they were hidden.
    pub fn waste(&self) -> impl ExactSizeIterator<Item = WastedFile<'_>> {
        self.waste.iter().map(|wasted| {
            let HiddenEntry { file, name, hidden_by, replaced } = *wasted;
            let (stored_by, entry) = file;
            WastedFile { path: self.path(name), size: self.size(file), stored_by, entry, hidden_by, replaced }
        })
    }

    fn existing_file(&self, existing: &PresentFile) -> ExistingFile<'_> {
        let (layer, entry) = existing.file;
        ExistingFile { path: self.path(existing.name), size: self.size(existing.file), layer, entry }
    }

    fn path(&self, index: EntryIndex) -> PathRef<'_> {
        PathRef(entry_at(&self.layers, index).path().as_bytes())
    }

    fn size(&self, index: EntryIndex) -> Bytes {
        size_at(&self.layers, index)
    }
}

fn entry_at(layers: &[Arc<FileList>], (layer, entry): EntryIndex) -> &Entry {
    &layers[layer as usize].entries[entry as usize]
}

fn size_at(layers: &[Arc<FileList>], file: EntryIndex) -> Bytes {
    match entry_at(layers, file) {
        Entry::File(_, size) => *size,
        _ => Bytes(0),
    }
}

/// What a path names. A file is given by the number of the entry that names it, counted over all layers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PathNode {
    File(u32),
    /// The directory's index in [`LayeredTree::inside`].
    Dir(u32),
    Other,
}

/// What an entry names.
#[derive(Clone, Copy)]
enum NamedEntry {
    /// No regular file.
    Nothing,
    /// The file that the entry itself stores, and how many names that file has.
    Own { names: u32 },
    /// The file that another entry stores.
    Other(u32),
}

/// The root's index in [`LayeredTree::inside`].
const ROOT: u32 = 0;

/// The tree while layers are applied. Paths are borrowed: an image may have a million.
struct LayeredTree<'a> {
    layers: &'a [Arc<FileList>],
    /// The number of each layer's first entry.
    starts: Vec<u32>,
    nodes: HashMap<&'a [u8], PathNode, RandomState>,
    /// The paths directly inside each directory; some may have been removed since, and some are listed twice.
    inside: Vec<Vec<&'a [u8]>>,
    /// Indexed by entry number.
    named: Vec<NamedEntry>,
    waste: Vec<HiddenEntry>,
    layer: u32,
    /// The last result of `ensure_dir`: entries come in directory order.
    known_dir: Option<(&'a [u8], u32)>,
}

/// The result of applying all layers.
struct AppliedLayers {
    existing: Vec<PresentFile>,
    further_names: Vec<(u32, EntryIndex)>,
    waste: Vec<HiddenEntry>,
}

impl<'a> LayeredTree<'a> {
    fn of(layers: &'a [Arc<FileList>]) -> LayeredTree<'a> {
        // Few paths are in two layers, so this is about the final size, and the map rarely has to grow.
        let entries = layers.iter().map(|file_list| file_list.entries.len()).sum();
        let mut tree = LayeredTree {
            layers,
            starts: Vec::with_capacity(layers.len()),
            nodes: HashMap::with_capacity_and_hasher(entries, RandomState::default()),
            inside: vec![Vec::new()],
            named: Vec::with_capacity(entries),
            waste: Vec::new(),
            layer: 0,
            known_dir: None,
        };
        for (index, file_list) in layers.iter().enumerate() {
            tree.layer = index as u32;
            tree.known_dir = None;
            tree.starts.push(tree.named.len() as u32);
            // A whiteout hides what lower layers hold, never what its own layer adds, regardless of their order in the
            // tar.
            for entry in &file_list.entries {
                match entry {
                    Entry::Whiteout(path) => tree.remove(path.as_bytes()),
                    Entry::Opaque(path) => tree.remove_below(path.as_bytes()),
                    _ => {}
                }
            }
            file_list.entries.iter().for_each(|entry| tree.add(entry));
        }
        tree
    }

    fn add(&mut self, entry: &'a Entry) {
        let name = self.named.len() as u32;
        self.named.push(NamedEntry::Nothing);
        match entry {
            Entry::File(path, _) => {
                self.named[name as usize] = NamedEntry::Own { names: 0 };
                self.put(path, PathNode::File(name));
            }
            Entry::HardLink(path, target) => match self.nodes.get(target.as_bytes()) {
                _ if path == target => {}
                Some(PathNode::File(other)) => {
                    self.named[name as usize] = NamedEntry::Other(self.file(*other));
                    self.put(path, PathNode::File(name));
                }
                // A link to nothing, or to something without bytes, has no bytes either.
                _ => self.put(path, PathNode::Other),
            },
            Entry::Dir(path) => drop(self.ensure_dir(path.as_bytes())),
            Entry::Symlink(path) | Entry::Special(path) => self.put(path, PathNode::Other),
            Entry::Whiteout(_) | Entry::Opaque(_) => {}
        }
    }

    /// The number of the entry that stores the file with this name.
    fn file(&self, name: u32) -> u32 {
        match self.named[name as usize] {
            NamedEntry::Other(file) => file,
            NamedEntry::Own { .. } | NamedEntry::Nothing => name,
        }
    }

    fn names(&self, file: u32) -> u32 {
        match self.named[file as usize] {
            NamedEntry::Own { names } => names,
            NamedEntry::Nothing | NamedEntry::Other(_) => 0,
        }
    }

    fn entry_index(&self, number: u32) -> EntryIndex {
        // A layer without entries starts where the next one does: the last layer that starts there has the entry.
        let layer = self.starts.partition_point(|start| *start <= number).saturating_sub(1);
        (layer as u32, number - self.starts[layer])
    }

    /// Puts a path that is not a directory into the tree.
    fn put(&mut self, path: &'a LayerPath, node: PathNode) {
        let key = path.as_bytes();
        let Some((parent, _)) = path.split() else {
            // The root is a directory, whatever a tar says.
            if let PathNode::File(name) = node {
                self.waste_if_nameless(name, true);
            }
            return;
        };
        // Count the name before anything is replaced: a link may be below the very file that it links to.
        if let PathNode::File(name) = node {
            let file = self.file(name);
            self.named[file as usize] = NamedEntry::Own { names: self.names(file) + 1 };
        }
        let parent = self.ensure_dir(parent);
        match self.nodes.insert(key, node) {
            Some(PathNode::Dir(replaced)) => {
                self.empty(replaced);
                self.known_dir = None;
            }
            Some(PathNode::File(replaced)) => self.drop_name(replaced, true),
            Some(PathNode::Other) => {}
            None => self.inside[parent as usize].push(key),
        }
    }

    /// Makes sure that `dir` and all directories above it exist: a tar may leave them out, and a file in the way is
    /// replaced.
    fn ensure_dir(&mut self, dir: &'a [u8]) -> u32 {
        if let Some((_, known)) = self.known_dir.filter(|(known, _)| *known == dir) {
            return known;
        }
        // Above a directory there are only directories, so the search ends at the first one.
        let mut missing = Vec::new();
        let mut ancestor = dir;
        let mut last = loop {
            match self.nodes.get(ancestor) {
                _ if ancestor.is_empty() => break ROOT,
                Some(PathNode::Dir(found)) => break *found,
                _ => missing.push(ancestor),
            }
            ancestor = &ancestor[..ancestor.iter().rposition(|byte| *byte == b'/').unwrap_or(0)];
        };
        for ancestor in missing.into_iter().rev() {
            let new = self.inside.len() as u32;
            self.inside.push(Vec::new());
            match self.nodes.insert(ancestor, PathNode::Dir(new)) {
                Some(PathNode::File(name)) => self.drop_name(name, true),
                Some(_) => {}
                None => self.inside[last as usize].push(ancestor),
            }
            last = new;
        }
        self.known_dir = Some((dir, last));
        last
    }

    fn remove(&mut self, path: &'a [u8]) {
        match self.nodes.remove(path) {
            Some(PathNode::File(name)) => self.drop_name(name, false),
            Some(PathNode::Dir(dir)) => self.empty(dir),
            _ => {}
        }
    }

    fn remove_below(&mut self, dir: &[u8]) {
        match self.nodes.get(dir) {
            _ if dir.is_empty() => self.empty(ROOT),
            Some(PathNode::Dir(dir)) => self.empty(*dir),
            _ => {}
        }
    }

    /// Removes everything inside a directory.
    fn empty(&mut self, dir: u32) {
        let mut gone = Vec::new();
        let mut directories = vec![dir];
        while let Some(dir) = directories.pop() {
            for path in std::mem::take(&mut self.inside[dir as usize]) {
                match self.nodes.remove(path) {
                    Some(PathNode::Dir(inner)) => directories.push(inner),
                    Some(PathNode::File(name)) => gone.push((path, name)),
                    _ => {}
                }
            }
        }
        gone.sort_unstable();
        gone.into_iter().for_each(|(_, name)| self.drop_name(name, false));
    }

    fn drop_name(&mut self, name: u32, replaced: bool) {
        let file = self.file(name);
        self.named[file as usize] = NamedEntry::Own { names: self.names(file).saturating_sub(1) };
        self.waste_if_nameless(name, replaced);
    }

    /// Counts a file as wasted, under this name, if it has no name left.
    fn waste_if_nameless(&mut self, name: u32, replaced: bool) {
        let file = self.file(name);
        if self.names(file) > 0 {
            return;
        }
        let (file, name) = (self.entry_index(file), self.entry_index(name));
        if size_at(self.layers, file) > Bytes(0) {
            self.waste.push(HiddenEntry { file, name, hidden_by: self.layer, replaced });
        }
    }

    fn finish(self) -> AppliedLayers {
        // All names of files that have more than the name they were stored under.
        let mut names = Vec::new();
        for (path, node) in &self.nodes {
            let PathNode::File(name) = *node else { continue };
            let file = self.file(name);
            if file != name || self.names(file) > 1 {
                names.push((file, *path, name));
            }
        }
        names.sort_unstable();
        let mut names = names.into_iter().peekable();
        let exists = |named: &&NamedEntry| matches!(named, NamedEntry::Own { names: 1.. });
        let mut existing = Vec::with_capacity(self.named.iter().filter(exists).count());
        let mut further_names = Vec::new();
        for (number, _) in (0_u32..).zip(&self.named).filter(|(_, named)| exists(named)) {
            let index = existing.len() as u32;
            let file = self.entry_index(number);
            let mut of_file = std::iter::from_fn(|| names.next_if(|(file, ..)| *file == number));
            let name = of_file.next().map_or(file, |(_, _, name)| self.entry_index(name));
            further_names.extend(of_file.map(|(_, _, name)| (index, self.entry_index(name))));
            existing.push(PresentFile { file, name });
        }
        AppliedLayers { existing, further_names, waste: self.waste }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `f a/b 3`, `h new old`, `d dir`, `l link`, `w gone`, `o dir`: one entry a line.
    fn layer(lines: &str) -> FileList {
        let entry = |line: &str| {
            let mut words = line.split(' ');
            let kind = words.next().unwrap();
            let path = LayerPath::from(words.next().unwrap());
            match kind {
                "f" => Entry::File(path, Bytes(words.next().unwrap().parse().unwrap())),
                "h" => Entry::HardLink(path, LayerPath::from(words.next().unwrap())),
                "d" => Entry::Dir(path),
                "l" => Entry::Symlink(path),
                "w" => Entry::Whiteout(path),
                "o" => Entry::Opaque(path),
                other => panic!("{other}"),
            }
        };
        FileList::of(lines.split("; ").filter(|line| !line.is_empty()).map(entry).collect())
    }

    fn figures(layers: &[&str]) -> (u64, u64, u64) {
        let layers: Vec<Arc<FileList>> = layers.iter().map(|lines| Arc::new(layer(lines))).collect();
        let uncompressed: u64 = layers.iter().map(|file_list| file_list.size().unwrap().0).sum();
        let filesystem = Filesystem::of(layers);
        let (flattened, wasted) = (filesystem.flattened.0, filesystem.wasted.0);
        assert_eq!(flattened + wasted, uncompressed, "every byte is flattened or wasted");
        (flattened, wasted, filesystem.files())
    }

    #[test]
    fn each_rule_of_layers_counts_as_an_engine_would_unpack_it() {
        type Case<'a> = (&'a str, &'a [&'a str], (u64, u64, u64));
        let cases: &[Case<'_>] = &[
            ("one layer", &["d a; f a/x 3; f a/y 4"], (7, 0, 2)),
            ("replaced file", &["f x 3", "f x 5"], (5, 3, 1)),
            ("whiteout", &["f a/x 3; f a/y 4", "w a/x"], (4, 3, 1)),
            ("whiteout of a directory", &["f a/x 3; f a/b/y 4; f ab 1", "w a"], (1, 7, 1)),
            ("whiteout of nothing", &["f x 3", "w y"], (3, 0, 1)),
            ("a whiteout spares its own layer", &["f a/x 3", "f a/x 9; w a"], (9, 3, 1)),
            ("opaque directory", &["f a/x 3; f b 1", "f a/y 4; o a"], (5, 3, 2)),
            ("opaque root", &["f a/x 3; f b 1", "o ; f c 2"], (2, 4, 1)),
            ("hard links cost once", &["f x 3; h y x"], (3, 0, 1)),
            ("hard link survives its first name", &["f x 3; h y x", "w x"], (3, 0, 1)),
            ("hard link gone with its last name", &["f x 3; h y x", "w x", "w y"], (0, 3, 0)),
            ("hard link to a lower layer", &["f x 3", "h y x", "w x"], (3, 0, 1)),
            ("hard link to nothing", &["h y x"], (0, 0, 0)),
            ("hard link to itself", &["f x 3; h x x"], (3, 0, 1)),
            ("hard link below its own target", &["f x 3; h x/y x"], (3, 0, 1)),
            ("hard link replaced", &["f x 3; h y x; f z 4", "h y z"], (7, 0, 2)),
            ("file replaces directory", &["f a/x 3; f a/b/y 4", "f a 5"], (5, 7, 1)),
            ("link replaces directory", &["f a/x 3", "l a"], (0, 3, 0)),
            ("directory replaces file", &["f a 5", "d a; f a/x 3"], (3, 5, 1)),
            ("implied directory replaces file", &["f a 5", "f a/b/x 3"], (3, 5, 1)),
            ("directory over directory merges", &["f a/x 3", "d a; f a/y 4"], (7, 0, 2)),
            ("the same name twice in one layer", &["f x 3; f x 4"], (4, 3, 1)),
            ("names that only begin alike", &["f a/x 1; f a.b 2; f a0 4; f a-b 8", "w a"], (14, 1, 3)),
            ("empty files exist and waste nothing", &["f x 0; f y 0", "w x"], (0, 0, 1)),
            ("a file as the root", &["f  7; f x 1"], (1, 7, 1)),
            ("no layers", &[], (0, 0, 0)),
        ];
        for (name, layers, expected) in cases {
            assert_eq!(figures(layers), *expected, "{name}");
        }
    }

    #[test]
    fn waste_names_both_layers() {
        let layers = ["f cache/x 30", "f y 1", "w cache"].map(|lines| Arc::new(layer(lines)));
        let filesystem = Filesystem::of(layers.to_vec());
        assert_eq!(
            filesystem.waste().collect::<Vec<_>>(),
            [WastedFile {
                path: PathRef(b"cache/x"),
                size: Bytes(30),
                stored_by: 0,
                entry: 0,
                hidden_by: 2,
                replaced: false
            }]
        );
    }

    /// A file may have names that other layers gave it, and none of those that it was stored under.
    #[test]
    fn files_have_the_first_of_their_names_and_the_others_apart() {
        let layers = ["f m 3; h z m; h b m", "f own 1; h c own", "w m; h d z"];
        let filesystem = Filesystem::of(layers.map(|lines| Arc::new(layer(lines))).to_vec());
        let existing: Vec<(String, u64, u32, u32)> = filesystem
            .existing()
            .map(|file| (file.path.to_string(), file.size.0, file.layer, file.entry))
            .collect();
        assert_eq!(existing, [("b".into(), 3, 0, 0), ("c".into(), 1, 1, 0)]);
        let further: Vec<(u32, String)> =
            filesystem.further_names().map(|(file, name)| (file, name.to_string())).collect();
        assert_eq!(further, [(0, "d".into()), (0, "z".into()), (1, "own".into())]);
        let sole = Filesystem::of(vec![Arc::new(layer("f m 3; h z m")), Arc::new(layer("w m"))]);
        assert_eq!(sole.existing().map(|file| file.path.to_string()).collect::<Vec<_>>(), ["z"]);
        assert_eq!(sole.further_names().len(), 0);
    }
}
