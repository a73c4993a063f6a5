//! What the file lists of an image's layers say about the content of its files.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::catalogue::MarkKind;
use crate::image::Bytes;
use crate::image::filesystem::Filesystem;
use crate::image::mark::Mark;
use crate::image::path::split;

/// What is known about the existing files.
pub(super) struct Marks<'a> {
    /// By layer and entry.
    secrets: HashSet<(u32, u32)>,
    /// By layer and entry, the bytes of debug symbols.
    symbols: HashMap<(u32, u32), Bytes>,
    /// The directories that only development needs.
    development: HashSet<&'a [u8]>,
    /// The development directories of a lockfile that is deleted, or replaced: `npm prune` rewrites it when it deletes
    /// them.
    former: HashSet<&'a [u8]>,
}

impl<'a> Marks<'a> {
    pub fn of(filesystem: &'a Filesystem) -> Marks<'a> {
        let layers = filesystem.layers();
        let mut marks = Marks {
            secrets: HashSet::new(),
            symbols: HashMap::new(),
            development: HashSet::new(),
            former: HashSet::new(),
        };
        if layers.iter().all(|file_list| file_list.marks.iter().flatten().next().is_none()) {
            return marks;
        }
        // A mark counts while its file exists.
        let existing: HashMap<(u32, u32), &'a [u8], RandomState> =
            filesystem.existing().map(|file| ((file.layer, file.entry), file.path.0)).collect();
        let mut by_lockfile = HashSet::new();
        let mut declared = Vec::new();
        for (layer, file_list) in layers.iter().enumerate() {
            for mark in file_list.marks.iter().flatten() {
                let place = (layer as u32, mark.entry());
                let Some(path) = existing.get(&place) else {
                    match mark {
                        Mark::Dev { directories, .. } => {
                            marks.former.extend(directories.iter().map(|directory| directory.as_bytes()));
                        }
                        // The image still contains it.
                        Mark::Secret { .. } => drop(marks.secrets.insert(place)),
                        Mark::Unstripped { .. } | Mark::DevDeclared { .. } => {}
                    }
                    continue;
                };
                match mark {
                    Mark::Secret { .. } => drop(marks.secrets.insert(place)),
                    Mark::Unstripped { bytes, .. } => drop(marks.symbols.insert(place, *bytes)),
                    Mark::Dev { directories, .. } => {
                        by_lockfile.insert(split(path).0);
                        marks.development.extend(directories.iter().map(|directory| directory.as_bytes()));
                    }
                    Mark::DevDeclared { directories, .. } => declared.push((path, directories)),
                }
            }
        }
        for (path, directories) in declared {
            let modules = [split(path).0, b"/node_modules"].concat();
            let modules = modules.strip_prefix(b"/").unwrap_or(&modules);
            if !by_lockfile.contains(modules) {
                marks.development.extend(directories.iter().map(|directory| directory.as_bytes()));
            }
        }
        marks
    }

    /// The marks of one file.
    pub fn of_file(&self, path: &[u8], layer: u32, entry: u32) -> Vec<MarkKind> {
        let mut marks = Vec::new();
        if self.secrets.contains(&(layer, entry)) {
            marks.push(MarkKind::Secret);
        }
        if self.symbols.contains_key(&(layer, entry)) {
            marks.push(MarkKind::Debug);
        }
        if is_in(&self.development, path) {
            marks.push(MarkKind::Dev);
        }
        marks
    }

    /// Whether a path is inside a directory that only development needs.
    pub fn is_in_development(&self, path: &[u8]) -> bool {
        is_in(&self.development, path)
    }

    /// The marks of a deleted file, before it was deleted.
    pub fn of_deleted(&self, path: &[u8], layer: u32, entry: u32) -> Vec<MarkKind> {
        let mut marks = self.of_file(path, layer, entry);
        if is_in(&self.former, path) && !marks.contains(&MarkKind::Dev) {
            marks.push(MarkKind::Dev);
        }
        marks
    }

    /// The bytes of a file's debug symbols, if it has any.
    pub fn debug_bytes(&self, layer: u32, entry: u32) -> Option<Bytes> {
        self.symbols.get(&(layer, entry)).copied()
    }
}

fn is_in(directories: &HashSet<&[u8]>, path: &[u8]) -> bool {
    let mut ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    !directories.is_empty() && ends.any(|end| directories.contains(&path[..end]))
}
