//! Applying layers: what exists once all of them lie on each other, and what is shipped and cannot
//! be reached (OCI image layer specification, "Applying Changesets").

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::image::census::PathRef;
use crate::image::{Bytes, Census, Entry, LayerPath};

/// The file system that an image's layers make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied<'a> {
    /// Bytes of the files that exist, each file once however many names it has.
    pub visible: Bytes,
    /// Bytes of the files that were shipped and do not exist any more.
    pub wasted: Bytes,
    /// How many regular files exist.
    pub files: u64,
    /// The files that exist, each under its first name, in the order in which the layers have them.
    pub existing: Vec<ExistingFile<'a>>,
    /// The further names of those that have several: the file's index, and a name.
    pub further_names: Vec<(u32, PathRef<'a>)>,
    /// The files that do not exist any more, in the order in which they went.
    pub waste: Vec<WastedFile<'a>>,
}

/// A file that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingFile<'a> {
    /// Its first name, in the order of paths.
    pub path: PathRef<'a>,
    /// Its content.
    pub size: Bytes,
    /// The layer that stored it, counted from 0.
    pub layer: u32,
    /// Which of the layer's entries it is.
    pub entry: u32,
}

/// A file whose bytes are shipped for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WastedFile<'a> {
    /// The name under which it was last seen.
    pub path: PathRef<'a>,
    /// Its content.
    pub size: Bytes,
    /// The layer that stored it, counted from 0.
    pub stored_by: u32,
    /// Which of that layer's entries it is.
    pub entry: u32,
    /// The layer that hid or replaced it, counted from 0.
    pub hidden_by: u32,
    /// Whether that layer has something else of that name, and did not only take it away.
    pub replaced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    File(u32),
    /// Where in [`Tree::inside`] is what the directory holds.
    Dir(u32),
    Other,
}

struct Inode<'a> {
    size: Bytes,
    layer: u32,
    entry: u32,
    names: u32,
    /// The first name in the order of paths, once all layers are applied.
    first: Option<&'a [u8]>,
}

/// Where in [`Tree::inside`] the root is.
const ROOT: u32 = 0;

/// The tree while layers are put on it. Paths are borrowed: an image may have a million.
struct Tree<'a> {
    nodes: HashMap<&'a [u8], Node, RandomState>,
    /// The paths directly inside each directory; some may be gone again, and some stand there twice.
    inside: Vec<Vec<&'a [u8]>>,
    inodes: Vec<Inode<'a>>,
    waste: Vec<WastedFile<'a>>,
    layer: u32,
    /// The directory that was last made sure of: entries come in directory order.
    known_dir: Option<(&'a [u8], u32)>,
}

/// Puts the layers on each other, lowest first. The amounts of each census have to be countable
/// ([`Census::size`]); what would overflow in their sum is the caller's to refuse.
pub fn apply<'a>(layers: impl IntoIterator<Item = &'a Census>) -> Applied<'a> {
    let layers: Vec<&Census> = layers.into_iter().collect();
    // Few paths are in two layers, so this is about what there is, and nothing has to move as it grows.
    let entries = layers.iter().map(|census| census.entries.len()).sum();
    let mut tree = Tree {
        nodes: HashMap::with_capacity_and_hasher(entries, RandomState::default()),
        inside: vec![Vec::new()],
        inodes: Vec::with_capacity(entries),
        waste: Vec::new(),
        layer: 0,
        known_dir: None,
    };
    for (index, census) in layers.into_iter().enumerate() {
        tree.layer = index as u32;
        tree.known_dir = None;
        // A whiteout hides what lower layers hold, never what its own layer adds, wherever in the
        // tar it stands.
        for entry in &census.entries {
            match entry {
                Entry::Whiteout(path) => tree.remove(path.as_bytes()),
                Entry::Opaque(path) => tree.remove_below(path.as_bytes()),
                _ => {}
            }
        }
        census.entries.iter().enumerate().for_each(|(index, entry)| tree.add(index as u32, entry));
    }
    tree.finish()
}

impl<'a> Tree<'a> {
    fn add(&mut self, index: u32, entry: &'a Entry) {
        match entry {
            Entry::File(path, size) => {
                let inode = self.inodes.len() as u32;
                let (size, layer) = (*size, self.layer);
                self.inodes.push(Inode { size, layer, entry: index, names: 0, first: None });
                self.put(path, Node::File(inode));
            }
            Entry::HardLink(path, target) => match self.nodes.get(target.as_bytes()) {
                _ if path == target => {}
                Some(Node::File(inode)) => self.put(path, Node::File(*inode)),
                // A link to nothing, or to what has no bytes, has none either.
                _ => self.put(path, Node::Other),
            },
            Entry::Dir(path) => drop(self.ensure_dir(path.as_bytes())),
            Entry::Symlink(path) | Entry::Special(path) => self.put(path, Node::Other),
            Entry::Whiteout(_) | Entry::Opaque(_) => {}
        }
    }

    /// Puts what is no directory where it belongs.
    fn put(&mut self, path: &'a LayerPath, node: Node) {
        let key = path.as_bytes();
        let Some((parent, _)) = path.split() else {
            // The root is a directory, whatever a tar says.
            if let Node::File(inode) = node {
                self.waste_if_nameless(inode, key, true);
            }
            return;
        };
        // Before anything is replaced: a link may stand below the very file that it links to.
        if let Node::File(inode) = node {
            self.inodes[inode as usize].names += 1;
        }
        let parent = self.ensure_dir(parent);
        match self.nodes.insert(key, node) {
            Some(Node::Dir(replaced)) => {
                self.empty(replaced);
                self.known_dir = None;
            }
            Some(Node::File(replaced)) => self.drop_name(replaced, key, true),
            Some(Node::Other) => {}
            None => self.inside[parent as usize].push(key),
        }
    }

    /// Makes sure that `dir` and all above it are directories: a tar may leave them out, and a file
    /// that stood in the way is replaced.
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
                Some(Node::Dir(found)) => break *found,
                _ => missing.push(ancestor),
            }
            ancestor = &ancestor[..ancestor.iter().rposition(|byte| *byte == b'/').unwrap_or(0)];
        };
        for ancestor in missing.into_iter().rev() {
            let new = self.inside.len() as u32;
            self.inside.push(Vec::new());
            match self.nodes.insert(ancestor, Node::Dir(new)) {
                Some(Node::File(inode)) => self.drop_name(inode, ancestor, true),
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
            Some(Node::File(inode)) => self.drop_name(inode, path, false),
            Some(Node::Dir(dir)) => self.empty(dir),
            _ => {}
        }
    }

    fn remove_below(&mut self, dir: &[u8]) {
        match self.nodes.get(dir) {
            _ if dir.is_empty() => self.empty(ROOT),
            Some(Node::Dir(dir)) => self.empty(*dir),
            _ => {}
        }
    }

    /// Removes all that a directory holds.
    fn empty(&mut self, dir: u32) {
        let mut gone = Vec::new();
        let mut directories = vec![dir];
        while let Some(dir) = directories.pop() {
            for path in std::mem::take(&mut self.inside[dir as usize]) {
                match self.nodes.remove(path) {
                    Some(Node::Dir(inner)) => directories.push(inner),
                    Some(Node::File(inode)) => gone.push((path, inode)),
                    _ => {}
                }
            }
        }
        gone.sort_unstable();
        gone.into_iter().for_each(|(path, inode)| self.drop_name(inode, path, false));
    }

    fn drop_name(&mut self, inode: u32, path: &'a [u8], replaced: bool) {
        self.inodes[inode as usize].names -= 1;
        self.waste_if_nameless(inode, path, replaced);
    }

    fn waste_if_nameless(&mut self, inode: u32, path: &'a [u8], replaced: bool) {
        let Inode { size, layer, entry, names, .. } = self.inodes[inode as usize];
        if names == 0 && size > Bytes(0) {
            self.waste.push(WastedFile {
                path: PathRef(path),
                size,
                stored_by: layer,
                entry,
                hidden_by: self.layer,
                replaced,
            });
        }
    }

    /// The names but the first of files that have several, by the files' order among those that exist.
    fn further_names(&self) -> Vec<(u32, PathRef<'a>)> {
        if self.inodes.iter().all(|inode| inode.names < 2) {
            return Vec::new();
        }
        let mut existing = 0;
        let number = |inode: &Inode<'_>| {
            let number = existing;
            existing += u32::from(inode.first.is_some());
            number
        };
        let numbers: Vec<u32> = self.inodes.iter().map(number).collect();
        let further = |(path, node): (&&'a [u8], &Node)| match *node {
            Node::File(inode) if self.inodes[inode as usize].first != Some(*path) => {
                Some((numbers[inode as usize], PathRef(path)))
            }
            _ => None,
        };
        let mut names: Vec<_> = self.nodes.iter().filter_map(further).collect();
        names.sort_unstable_by_key(|(file, path)| (*file, path.0));
        names
    }

    fn finish(mut self) -> Applied<'a> {
        for (path, node) in &self.nodes {
            if let Node::File(inode) = *node {
                let first = &mut self.inodes[inode as usize].first;
                *first = Some(first.map_or(*path, |first| first.min(*path)));
            }
        }
        let further_names = self.further_names();
        let existing = |inode: &Inode<'a>| {
            let path = PathRef(inode.first?);
            Some(ExistingFile { path, size: inode.size, layer: inode.layer, entry: inode.entry })
        };
        let existing: Vec<_> = self.inodes.iter().filter_map(existing).collect();
        Applied {
            further_names,
            visible: Bytes(existing.iter().map(|file| file.size.0).sum()),
            wasted: Bytes(self.waste.iter().map(|file| file.size.0).sum()),
            files: existing.len() as u64,
            existing,
            waste: self.waste,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `f a/b 3`, `h new old`, `d dir`, `l link`, `w gone`, `o dir`: one entry a line.
    fn layer(lines: &str) -> Census {
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
        Census::of(lines.split("; ").filter(|line| !line.is_empty()).map(entry).collect())
    }

    fn figures(layers: &[&str]) -> (u64, u64, u64) {
        let layers: Vec<Census> = layers.iter().map(|lines| layer(lines)).collect();
        let unpacked: u64 = layers.iter().map(|census| census.size().unwrap().0).sum();
        let applied = apply(&layers);
        assert_eq!(applied.visible.0 + applied.wasted.0, unpacked, "every byte is visible or wasted");
        (applied.visible.0, applied.wasted.0, applied.files)
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
        let layers = [layer("f cache/x 30"), layer("f y 1"), layer("w cache")];
        let waste = apply(&layers).waste;
        assert_eq!(
            waste,
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
}
