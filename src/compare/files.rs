//! What differs between the file systems of two images, and what is wasted.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::image::layer_ref::LayerRef;
use crate::image::path::PathRef;
use crate::image::rollup::{roll_up, together};
use crate::image::snapshot::{BoundaryBy, Snapshot};
use crate::image::{Bytes, Delta, Filesystem, Instruction, Layer};
use crate::sort;

/// Maximum directories, files and layer pairs that are listed.
const MAX_LISTED: usize = 10;

/// Files with a record at the offset of each user ID, written by `useradd`.
const LOGIN_RECORDS: [&str; 2] = ["var/log/lastlog", "var/log/faillog"];

/// How the flattened files of two images differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileChanges {
    /// Only in the head image.
    pub added: FileCount,
    /// Only in the base image.
    pub removed: FileCount,
    /// In both, and larger in the head image.
    pub grown: FileCount,
    /// In both, and smaller in the head image.
    pub shrunk: FileCount,
    /// The few directories and files that explain most of the difference, largest first.
    pub directories: Vec<PathChange>,
    /// The files that differ most.
    pub largest: Vec<PathChange>,
}

/// Files, and the total bytes by which they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileCount {
    /// How many.
    pub files: u64,
    /// Bytes, with a sign.
    pub delta: Delta,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PathChange {
    /// Relative to the image's root; a directory ends with a slash.
    pub path: String,
    /// How many files differ there.
    pub files: u64,
    /// Bytes, with a sign.
    pub delta: Delta,
}

/// Files that one layer stores and another hides: unreachable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Waste {
    /// The directory or file that contains it, relative to the image's root; a directory ends with a slash.
    pub path: String,
    /// Whether the path contains only most of it, because no specific directory contains all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// Bytes.
    pub bytes: Bytes,
    /// How many files.
    pub files: u64,
    /// Whether the upper layer stores the same files again, as after `chmod`, instead of only deleting them.
    pub replaced: bool,
    /// The layer that stores them.
    pub stored_by: LayerRef,
    /// The layer that hides them.
    pub hidden_by: LayerRef,
    /// Whether it is only estimated which of the two layers belong to the base image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub base_image_estimated: bool,
}

impl Waste {
    /// How to avoid it.
    pub fn advice(&self) -> &'static str {
        let hiding = self.hidden_by.instruction.as_ref().map_or("", Instruction::as_str);
        let storing = self.stored_by.instruction.as_ref().map_or("", Instruction::kind);
        let copied = matches!(storing, "COPY" | "ADD");
        if self.stored_by.index == self.hidden_by.index {
            return "this layer stores the same paths more than once: rebuild it so that each path is stored once";
        }
        if self.hidden_by.of_base_image {
            return match self.base_image_estimated {
                true => "probably comes with the base image: only another base image avoids it",
                false => "comes with the base image: only another base image avoids it",
            };
        }
        if self.stored_by.of_base_image {
            return match self.replaced {
                _ if self.base_image_estimated => {
                    "these files probably come with the base image: use one that has them as you need them"
                }
                true => {
                    "these files come with the base image: leave them unchanged, or use a base image that has them as you need them"
                }
                false => {
                    "these files come with the base image, so deleting them frees nothing: use a base image without them"
                }
            };
        }
        if LOGIN_RECORDS.contains(&self.path.as_str()) {
            return "use `useradd --no-log-init` in both instructions: a large user ID makes this file large";
        }
        let (owner, mode) = (hiding.contains("chown"), hiding.contains("chmod"));
        match self.replaced {
            true if copied && owner && mode => {
                "set the owner and the mode when copying: `COPY --chown=... --chmod=...`"
            }
            true if copied && mode => "set the mode when copying: `COPY --chmod=...`",
            true if copied && owner => "set the owner when copying: `COPY --chown=...`",
            false if copied => {
                "leave the files out of the copy (.dockerignore); if the build reads them, mount them (`RUN --mount=type=bind`) or copy them in another stage"
            }
            true => "combine the two instructions, so that the files are stored once",
            false => {
                "combine the two instructions: files that one instruction creates and deletes are not stored"
            }
        }
    }
}

/// A file whose size differs, or that exists on one side only.
struct FileDelta<'a> {
    path: &'a [u8],
    base: Option<Bytes>,
    head: Option<Bytes>,
}

impl FileDelta<'_> {
    fn delta(&self) -> Delta {
        self.head.unwrap_or_default() - self.base.unwrap_or_default()
    }
}

/// The files that differ, in path order. Both sides are sorted and merged: a map of all paths would be larger than the
/// images.
fn different<'a>(base: &'a Filesystem, head: &'a Filesystem) -> Vec<FileDelta<'a>> {
    let (mut base, mut head) = (base.existing_by_path().peekable(), head.existing_by_path().peekable());
    let mut different = Vec::new();
    loop {
        let order = match (base.peek(), head.peek()) {
            (Some(base), Some(head)) => base.path.0.cmp(head.path.0),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return different,
        };
        let one = base.next_if(|_| order.is_le());
        let other = head.next_if(|_| order.is_ge());
        let (base, head) = (one.map(|file| file.size), other.map(|file| file.size));
        if let (true, Some(file)) = (base != head, one.or(other)) {
            different.push(FileDelta { path: file.path.0, base, head });
        }
    }
}

/// The differences between two file systems. The deltas of the four kinds sum to that of the flattened size.
pub(super) fn file_changes(base: &Filesystem, head: &Filesystem) -> FileChanges {
    let mut different = different(base, head);
    let count = |of: fn(&FileDelta<'_>) -> bool| {
        let found = different.iter().filter(|path| of(path));
        found.fold(FileCount::default(), |sum, path| FileCount {
            files: sum.files + 1,
            delta: [sum.delta, path.delta()].into_iter().sum(),
        })
    };
    let added = count(|path| path.base.is_none());
    let removed = count(|path| path.head.is_none());
    let grown = count(|path| path.base.is_some() && path.head.is_some() && path.base < path.head);
    let shrunk = count(|path| path.base.is_some() && path.head.is_some() && path.base > path.head);
    let directories = roll_up(different.iter().map(|path| (path.path, path.delta())));
    if different.len() > MAX_LISTED {
        different
            .select_nth_unstable_by_key(MAX_LISTED, |path| (Reverse(path.delta().magnitude()), path.path));
        different.truncate(MAX_LISTED);
    }
    different.sort_unstable_by_key(|path| (Reverse(path.delta().magnitude()), path.path));
    FileChanges {
        added,
        removed,
        grown,
        shrunk,
        directories: directories
            .iter()
            .filter(|found| found.delta != Delta(0))
            .take(MAX_LISTED)
            .map(|found| PathChange {
                path: shown(&found.path, found.is_directory),
                files: found.files,
                delta: found.delta,
            })
            .collect(),
        largest: different
            .iter()
            .filter(|path| path.delta() != Delta(0))
            .map(|path| PathChange { path: shown(path.path, false), files: 1, delta: path.delta() })
            .collect(),
    }
}

/// The layers whose bytes all replace as many bytes under the same names, as after `chmod`.
pub(super) fn stored_again(layers: &[Layer], filesystem: &Filesystem) -> BTreeSet<u64> {
    let mut replaced: BTreeMap<u32, Bytes> = BTreeMap::new();
    for file in filesystem.waste().filter(|file| file.replaced) {
        let sum = replaced.entry(file.hidden_by).or_default();
        *sum = sum.saturating_add(file.size);
    }
    let of = |index: u32| layers.get(index as usize).and_then(|layer| layer.size);
    let again = replaced.into_iter().filter(|(index, bytes)| of(*index) == Some(*bytes));
    again.map(|(index, _)| u64::from(index)).collect()
}

/// What an image wastes, by the two layers involved, largest first.
pub fn waste(snapshot: &Snapshot, filesystem: &Filesystem) -> Vec<Waste> {
    type Hidden<'a> = (Bytes, Vec<(&'a [u8], Delta)>);
    let mut by_layers: BTreeMap<(u32, u32, bool), Hidden<'_>> = BTreeMap::new();
    for file in filesystem.waste() {
        let found = by_layers.entry((file.stored_by, file.hidden_by, file.replaced)).or_default();
        found.0 = found.0.saturating_add(file.size);
        found.1.push((file.path.0, file.size - Bytes(0)));
    }
    let mut largest: Vec<_> = by_layers.into_iter().collect();
    sort::by_key(&mut largest, |(_, (bytes, _))| Reverse(*bytes));
    largest.truncate(MAX_LISTED);
    let estimated = snapshot.base.as_ref().is_some_and(|base| base.how == BoundaryBy::History);
    let group = |((stored, hidden, replaced), (bytes, paths)): ((u32, u32, bool), Hidden<'_>)| {
        let files = paths.len() as u64;
        let path = together(paths.iter().copied()).or_else(|| roll_up(paths).into_iter().next());
        let (stored_by, hidden_by) = (snapshot.layer_ref(stored), snapshot.layer_ref(hidden));
        Waste {
            base_image_estimated: estimated && stored_by.of_base_image,
            elsewhere: path.as_ref().is_some_and(|path| path.files < files),
            path: path.map_or_else(String::new, |path| shown(&path.path, path.is_directory)),
            bytes,
            files,
            replaced,
            stored_by,
            hidden_by,
        }
    };
    largest.into_iter().map(group).collect()
}

fn shown(path: &[u8], is_directory: bool) -> String {
    let slash = if is_directory && !path.is_empty() { "/" } else { "" };
    format!("{}{slash}", PathRef(path))
}
