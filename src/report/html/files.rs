//! The page's details about an image beyond its report: all layers and packages, and its files as columns.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::analysis::Analysis;
use crate::image::bytes::group_digits;
use crate::image::package::Installed;
use crate::image::path::PathRef;
use crate::image::path::split;
use crate::image::{Bytes, Ecosystem, Filesystem, Layer};

/// Maximum number of files on one page, which still opens without delay. Files below the largest this many are combined
/// into one entry per top-level directory.
pub const MAX_FILES: usize = 300_000;
/// Maximum number of top-level directories with such an entry; in an image with more, the root has the only one.
const MAX_TOP: usize = 100;

/// The details of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    pub(super) layers: Vec<LayerDetails>,
    pub(super) packages: Option<Vec<PackageDetails>>,
    pub(super) files: Option<Files>,
}

/// A layer, beyond its snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerDetails {
    pub layer: Layer,
    pub wasted: Option<Bytes>,
    pub of_base: Option<bool>,
}

/// A package in both images; several versions of one name are one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackageDetails {
    pub ecosystem: Ecosystem,
    pub name: String,
    pub base: Option<(String, Bytes)>,
    pub head: Option<(String, Bytes)>,
    pub layer: Option<u64>,
}

/// Columns in the form of `Files` in `web/src/data.ts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Files {
    dirs: DirectoryColumns,
    names: String,
    sizes: Vec<i64>,
    layers: Vec<i64>,
    changes: Option<Vec<i64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
struct DirectoryColumns {
    names: String,
    depths: Vec<usize>,
    counts: Vec<u64>,
}

/// The longest shared prefix of two names, in code units: its length is written as one digit.
const MAX_SHARED: usize = 35;
/// Stands for the size of a file that an image lacks, and for the layer of one that only the baseline has.
const NONE: i64 = -1;

impl Details {
    /// Collects the details. `room`: how many more files fit on the page; reduced by those used.
    pub fn of(head: &Analysis, base: Option<&Analysis>, room: &mut usize) -> Details {
        let snapshot = head.snapshot();
        let boundary = snapshot.base.as_ref().map(|base| base.layers);
        let wasted = head.filesystem().map(|files| wasted(files, snapshot.layers.len()));
        let layer = |(index, layer): (usize, &Layer)| LayerDetails {
            layer: Layer { file_list: None, ..layer.clone() },
            wasted: wasted.as_ref().and_then(|wasted| wasted.get(index).copied()),
            of_base: boundary.map(|boundary| (index as u64) < boundary),
        };
        Details {
            layers: snapshot.layers.iter().enumerate().map(layer).collect(),
            packages: snapshot
                .packages
                .as_deref()
                .map(|packages| packages_of(packages, base.map(|base| base.snapshot().packages.as_deref()))),
            files: head.filesystem().filter(|_| *room > 0).map(|files| {
                let files = Files::of(files, base.and_then(Analysis::filesystem), *room);
                *room = room.saturating_sub(files.sizes.len());
                files
            }),
        }
    }
}

/// The bytes of each layer that later layers hide.
fn wasted(files: &Filesystem, layers: usize) -> Vec<Bytes> {
    let mut wasted = vec![Bytes(0); layers];
    for file in files.waste() {
        if let Some(sum) = wasted.get_mut(file.stored_by as usize) {
            *sum = sum.saturating_add(file.size);
        }
    }
    wasted
}

/// The packages of both images, most bytes first; `base` is `None` without a baseline.
fn packages_of(head: &[Installed], base: Option<Option<&[Installed]>>) -> Vec<PackageDetails> {
    let mut all: BTreeMap<(Ecosystem, &str), PackageDetails> = BTreeMap::new();
    let sides = [(head, true), (base.flatten().unwrap_or_default(), false)];
    for (package, is_head) in
        sides.into_iter().flat_map(|(side, is_head)| side.iter().map(move |one| (one, is_head)))
    {
        let found = all.entry((package.ecosystem, &package.name)).or_insert_with(|| PackageDetails {
            ecosystem: package.ecosystem,
            name: package.name.clone(),
            base: None,
            head: None,
            layer: None,
        });
        if is_head {
            found.layer = found.layer.max(Some(package.layer));
        }
        let side = if is_head { &mut found.head } else { &mut found.base };
        match side {
            None => *side = Some((package.version.clone(), package.bytes)),
            Some((versions, bytes)) => {
                *bytes = bytes.saturating_add(package.bytes);
                if !versions.split(", ").any(|version| version == package.version) {
                    *versions = format!("{versions}, {}", package.version);
                }
            }
        }
    }
    let mut all: Vec<PackageDetails> = all.into_values().collect();
    let bytes = |side: &Option<(String, Bytes)>| side.as_ref().map_or(0, |(_, bytes)| bytes.0);
    all.sort_by_key(|one| Reverse((bytes(&one.head).abs_diff(bytes(&one.base)), bytes(&one.head))));
    all
}

/// A file in both images.
#[derive(Clone, Copy)]
struct FileRow<'a> {
    directory: &'a [u8],
    name: &'a [u8],
    head: i64,
    base: i64,
    layer: i64,
}

impl FileRow<'_> {
    fn size(&self) -> i64 {
        self.head.max(self.base)
    }
}

impl Files {
    fn of(head: &Filesystem, base: Option<&Filesystem>, room: usize) -> Files {
        let mut entries = both(head, base);
        let folded = if entries.len() > room { fold(&mut entries, room) } else { Vec::new() };
        entries.extend(folded.iter().map(Folded::entry));
        if !folded.is_empty() {
            entries.sort_unstable_by(|a, b| in_tree(a, b));
        }
        columns(&entries, base.is_some())
    }
}

/// The files of both sides in the order of the tree, each path once.
fn both<'a>(head: &'a Filesystem, base: Option<&'a Filesystem>) -> Vec<FileRow<'a>> {
    let of = |path: PathRef<'a>| split(path.0);
    let mut entries: Vec<FileRow<'a>> = Vec::with_capacity(head.existing().len());
    entries.extend(head.existing().map(|file| {
        let ((directory, name), size) = (of(file.path), file.size.0 as i64);
        FileRow { directory, name, head: size, base: NONE, layer: i64::from(file.layer) }
    }));
    entries.extend(base.into_iter().flat_map(Filesystem::existing).map(|file| {
        let (directory, name) = of(file.path);
        FileRow { directory, name, head: NONE, base: file.size.0 as i64, layer: NONE }
    }));
    entries.sort_unstable_by(in_tree);
    entries.dedup_by(|later, kept| {
        let same = (later.directory, later.name) == (kept.directory, kept.name);
        if same {
            // One of the two comes from each side.
            kept.head = kept.head.max(later.head);
            kept.base = kept.base.max(later.base);
            kept.layer = kept.layer.max(later.layer);
        }
        same
    });
    entries
}

/// Sorts directories in preorder: a slash comes before everything else.
fn in_tree(a: &FileRow<'_>, b: &FileRow<'_>) -> Ordering {
    let rank = |path: &[u8], at: usize| path.get(at).map(|byte| if *byte == b'/' { 0 } else { *byte });
    if a.directory != b.directory {
        let apart = a.directory.iter().zip(b.directory).take_while(|(a, b)| a == b).count();
        return rank(a.directory, apart).cmp(&rank(b.directory, apart));
    }
    a.name.cmp(b.name)
}

/// Small files combined.
struct Folded<'a> {
    directory: &'a [u8],
    name: String,
    head: i64,
    base: i64,
    layer: i64,
}

impl Folded<'_> {
    fn entry(&self) -> FileRow<'_> {
        let Folded { directory, name, head, base, layer } = self;
        FileRow { directory, name: name.as_bytes(), head: *head, base: *base, layer: *layer }
    }
}

/// Keeps the largest entries that fit, and returns the others combined: one per top-level directory and layer.
fn fold<'a>(entries: &mut Vec<FileRow<'a>>, room: usize) -> Vec<Folded<'a>> {
    let mut sizes: Vec<i64> = entries.iter().map(FileRow::size).collect();
    let at = room.min(sizes.len() - 1);
    let (_, least, _) = sizes.select_nth_unstable_by_key(at, |size| Reverse(*size));
    let least = *least;
    let mut groups: BTreeMap<(&'a [u8], i64), (u64, i64, i64)> = BTreeMap::new();
    let top = |entry: &FileRow<'a>| entry.directory.split(|byte| *byte == b'/').next().unwrap_or_default();
    let many = entries.iter().map(top).collect::<HashSet<_>>().len() > MAX_TOP;
    entries.retain(|entry| {
        let small = entry.size() <= least;
        if small {
            let directory = if many { &[] } else { top(entry) };
            let (count, head, base) = groups.entry((directory, entry.layer)).or_insert((0, NONE, NONE));
            *count += 1;
            let add = |sum: &mut i64, size: i64| {
                if size != NONE {
                    *sum = (*sum).max(0).saturating_add(size);
                }
            };
            add(head, entry.head);
            add(base, entry.base);
        }
        !small
    });
    let folded = |((directory, layer), (count, head, base))| Folded {
        directory,
        name: format!("({} smaller files)", group_digits(count)),
        head,
        base,
        layer,
    };
    groups.into_iter().map(folded).collect()
}

fn columns(entries: &[FileRow<'_>], compared: bool) -> Files {
    let mut dirs = DirectoryColumns { counts: vec![0], ..DirectoryColumns::default() };
    let (mut names, mut previous) = (String::new(), String::new());
    let mut sizes = Vec::with_capacity(entries.len());
    let (mut layers, mut changes): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut open, mut unchanged): (&[u8], i64) = (&[], 0);
    for entry in entries {
        if entry.directory != open {
            descend(open, entry.directory, &mut dirs);
            open = entry.directory;
            previous.clear();
        }
        if let Some(count) = dirs.counts.last_mut() {
            *count += 1;
        }
        if !sizes.is_empty() {
            names.push('/');
        }
        let name = PathRef(entry.name).to_string();
        push_after(&mut names, &previous, &name);
        previous = name;
        sizes.push(entry.head);
        match layers.as_mut_slice() {
            [.., layer, count] if *layer == entry.layer => *count += 1,
            _ => layers.extend([entry.layer, 1]),
        }
        if entry.head == entry.base {
            unchanged += 1;
        } else {
            changes.extend([unchanged, entry.base]);
            unchanged = 0;
        }
    }
    Files { dirs, names, sizes, layers, changes: compared.then_some(changes) }
}

/// Lists the directories between two entries that are not listed yet.
fn descend(from: &[u8], to: &[u8], dirs: &mut DirectoryColumns) {
    let (from, to) = (parts(from), parts(to));
    let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    for (depth, part) in to.iter().enumerate().skip(shared) {
        push_name(&mut dirs.names, dirs.depths.is_empty(), part);
        dirs.depths.push(depth + 1);
        dirs.counts.push(0);
    }
}

fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect()
}

fn push_name(names: &mut String, first: bool, name: &[u8]) {
    if !first {
        names.push('/');
    }
    names.push_str(&PathRef(name).to_string());
}

/// Appends a name: how many leading UTF-16 code units it shares with the previous one, as a base-36 digit, and the
/// rest. Names in one directory are very similar.
fn push_after(names: &mut String, previous: &str, name: &str) {
    let (mut units, mut bytes) = (0, 0);
    for (before, c) in previous.chars().zip(name.chars()) {
        if before != c || units + c.len_utf16() > MAX_SHARED {
            break;
        }
        units += c.len_utf16();
        bytes += c.len_utf8();
    }
    names.extend(char::from_digit(units as u32, 36));
    names.push_str(&name[bytes..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::image::{Entry as ListEntry, FileList};

    fn list(files: &[(&str, u64)]) -> FileList {
        let entry = |(path, size): &(&str, u64)| ListEntry::File((*path).into(), Bytes(*size));
        FileList { entries: files.iter().map(entry).collect(), ..FileList::default() }
    }

    fn filesystem(layers: &[&FileList]) -> Filesystem {
        Filesystem::of(layers.iter().map(|layer| Arc::new((*layer).clone())).collect())
    }

    #[test]
    fn files_stand_in_columns_in_the_order_of_the_tree() {
        let lower = list(&[("usr/lib/b.so", 5), ("usr/lib-x/c", 7), ("top", 1)]);
        let upper = list(&[("usr/a", 3), ("usr/lib/\u{e4}\\", 2)]);
        let before = list(&[("gone/x", 9), ("top", 4)]);
        let (base, head) = (filesystem(&[&lower, &before]), filesystem(&[&lower, &upper]));
        let files = Files::of(&head, Some(&base), MAX_FILES);
        assert_eq!(files.dirs.names, "gone/usr/lib/lib-x");
        assert_eq!(files.dirs.depths, [1, 1, 2, 2]);
        assert_eq!(files.dirs.counts, [1, 1, 1, 2, 1]);
        assert_eq!(files.names, "0top/0x/0a/0b.so/0\u{e4}\\\\/0c");
        assert_eq!(files.sizes, [1, -1, 3, 5, 2, 7]);
        assert_eq!(files.layers, [0, 1, -1, 1, 1, 1, 0, 1, 1, 1, 0, 1]);
        assert_eq!(files.changes, Some(vec![0, 4, 0, 9, 0, -1, 1, -1]));
        assert_eq!(Files::of(&head, None, MAX_FILES).changes, None);
    }

    #[test]
    fn names_of_one_directory_share_their_beginnings() {
        let shared = "x".repeat(40);
        let names =
            [format!("a/{shared}1"), format!("a/{shared}2"), "b/\u{1f600}1".into(), "b/\u{1f600}2".into()];
        let files: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let list = list(&files);
        let image = filesystem(&[&list]);
        let coded = Files::of(&image, None, MAX_FILES).names;
        assert_eq!(coded, format!("0{shared}1/z{}2/0\u{1f600}1/22", "x".repeat(5)));
    }

    #[test]
    fn what_there_is_no_room_for_is_together_and_no_byte_is_lost() {
        let files: Vec<(String, u64)> =
            (0..500).map(|index| (format!("d{}/f{index}", index % 7), index)).collect();
        let files: Vec<(&str, u64)> = files.iter().map(|(path, size)| (path.as_str(), *size)).collect();
        let list = list(&files);
        let image = filesystem(&[&list]);
        let (all, few) = (Files::of(&image, None, 1000), Files::of(&image, None, 50));
        assert_eq!(all.sizes.len(), 500);
        assert_eq!(few.sizes.len(), 50 + 7, "{}", few.names);
        assert_eq!(all.sizes.iter().sum::<i64>(), few.sizes.iter().sum::<i64>());
        assert!(few.names.contains("(65 smaller files)"), "{}", few.names);
    }
}
