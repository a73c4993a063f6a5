//! The whole file system of an image as a tree: files, but also entries without bytes that would be missed if they were
//! not copied: links and empty directories.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::image::filesystem::Filesystem;
use crate::image::path::split;
use crate::image::{Entry, FileList};

/// The kind of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    /// A name of a file, by its index in [`Filesystem::existing`].
    File(u32),
    Directory,
    Symlink,
    /// A device, a pipe or a socket.
    Special,
}

/// One path of an image.
#[derive(Debug)]
pub(super) struct TreeNode<'a> {
    pub path: &'a [u8],
    pub what: PathKind,
    /// The layer that stored it; for a directory, the one that made it.
    pub layer: u32,
    /// The directory that contains it. The root is its own parent.
    pub parent: usize,
    pub children: Vec<usize>,
}

/// All paths of an image. A directory precedes its content, and the root is first.
pub(super) struct PathTree<'a> {
    pub nodes: Vec<TreeNode<'a>>,
    by_path: HashMap<&'a [u8], usize, RandomState>,
}

/// The paths that are not files, and the layers that made them.
type Others<'a> = BTreeMap<&'a [u8], (PathKind, u32)>;

impl<'a> PathTree<'a> {
    pub fn new(filesystem: &'a Filesystem) -> PathTree<'a> {
        let mut all = others(filesystem.layers());
        let files = filesystem.existing().enumerate().map(|(index, file)| (file.path, index as u32));
        for (path, file) in files.chain(filesystem.further_names().map(|(file, path)| (path, file))) {
            let layer = filesystem.existing_at(file as usize).map_or(0, |file| file.layer);
            all.insert(path.0, (PathKind::File(file), layer));
        }
        let root =
            TreeNode { path: b"", what: PathKind::Directory, layer: 0, parent: 0, children: Vec::new() };
        let mut tree = PathTree { nodes: vec![root], by_path: HashMap::default() };
        tree.by_path.insert(b"", 0);
        // In this order, a directory precedes its content.
        for (path, (what, layer)) in all {
            tree.add(path, what, layer);
        }
        tree
    }

    fn add(&mut self, path: &'a [u8], what: PathKind, layer: u32) {
        if path.is_empty() {
            return;
        }
        let above = parent_of(path);
        if !self.by_path.contains_key(above) {
            self.add_missing(above, layer);
        }
        let parent = self.by_path.get(above).copied().unwrap_or_default();
        let index = self.nodes.len();
        self.nodes.push(TreeNode { path, what, layer, parent, children: Vec::new() });
        self.nodes[parent].children.push(index);
        self.by_path.insert(path, index);
    }

    /// Adds the directories above a path that no layer lists.
    fn add_missing(&mut self, path: &'a [u8], layer: u32) {
        let mut missing = Vec::new();
        let mut at = path;
        while !at.is_empty() && !self.by_path.contains_key(at) {
            missing.push(at);
            at = parent_of(at);
        }
        missing.into_iter().rev().for_each(|path| self.add(path, PathKind::Directory, layer));
    }

    /// The index of a path's node, if it exists.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        self.by_path.get(path).copied()
    }
}

/// The directory that contains a path; the root for paths in the root.
pub(super) fn parent_of(path: &[u8]) -> &[u8] {
    split(path).0
}

/// The last part of a path.
pub(super) fn name_of(path: &[u8]) -> &[u8] {
    split(path).1
}

/// Whether a path equals another one, or is inside it.
pub(super) fn is_inside(path: &[u8], directory: &[u8]) -> bool {
    let rest = path.strip_prefix(directory);
    directory.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Links, directories and devices that exist once all layers are applied, by the rules that [`Filesystem`] applies to
/// files.
fn others<'a>(layers: &'a [Arc<FileList>]) -> Others<'a> {
    let mut others = Others::new();
    for (layer, file_list) in layers.iter().enumerate() {
        for entry in &file_list.entries {
            match entry {
                Entry::Whiteout(path) => remove(&mut others, path.as_bytes()),
                Entry::Opaque(path) => remove_below(&mut others, path.as_bytes()),
                _ => {}
            }
        }
        for entry in &file_list.entries {
            let (path, layer) = (entry.path().as_bytes(), layer as u32);
            match entry {
                Entry::File(..) | Entry::HardLink(..) => remove(&mut others, path),
                Entry::Symlink(_) => put(&mut others, path, PathKind::Symlink, layer),
                Entry::Special(_) => put(&mut others, path, PathKind::Special, layer),
                Entry::Dir(_) if others.get(path).is_none_or(|(what, _)| *what != PathKind::Directory) => {
                    others.insert(path, (PathKind::Directory, layer));
                }
                _ => {}
            }
        }
    }
    others
}

fn put<'a>(others: &mut Others<'a>, path: &'a [u8], what: PathKind, layer: u32) {
    if matches!(others.insert(path, (what, layer)), Some((PathKind::Directory, _))) {
        remove_below(others, path);
    }
}

fn remove(others: &mut Others<'_>, path: &[u8]) {
    if matches!(others.remove(path), Some((PathKind::Directory, _))) {
        remove_below(others, path);
    }
}

/// Removes everything inside a directory: the paths from its own with a slash up to its own with a `0`, the next byte.
fn remove_below(others: &mut Others<'_>, path: &[u8]) {
    if path.is_empty() {
        return others.clear();
    }
    let (from, to) = ([path, b"/"].concat(), [path, b"0"].concat());
    let range = (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice()));
    let gone: Vec<&[u8]> = others.range::<[u8], _>(range).map(|(path, _)| *path).collect();
    for path in gone {
        others.remove(path);
    }
}
