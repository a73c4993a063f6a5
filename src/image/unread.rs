//! The package databases of an image that were not read, or only in part.

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::package::{Unread, UnreadDatabase};
use super::snapshot::Layer;

/// A package database of an image that was not read, or only in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnreadFile {
    /// The database, relative to the image's root.
    pub path: String,
    /// Its layer, counted from 0.
    pub layer: u64,
    /// Why it was not read.
    pub why: Unread,
}

impl UnreadFile {
    /// The sentence that reports it.
    pub fn sentence(&self) -> String {
        let UnreadFile { path, layer, why } = self;
        format!("not all packages in /{path} (layer {}) could be read: {}", layer + 1, why.as_str())
    }
}

/// Maximum databases named for people; the JSON documents have all.
const MAX_NAMED: usize = 5;

/// One line for each, and one for the number left out.
pub fn unread_lines(files: &[UnreadFile]) -> Vec<String> {
    let mut lines: Vec<String> = files.iter().take(MAX_NAMED).map(UnreadFile::sentence).collect();
    if let Some(more) = files.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        lines.push(format!("nor those in {more} more files; the JSON report names them"));
    }
    lines
}

/// The unread databases of an image, except those whose path a later layer lists again.
pub fn unread_files(layers: &[Layer]) -> Vec<UnreadFile> {
    let mut found = Vec::new();
    for (index, file_list) in
        layers.iter().enumerate().filter_map(|(index, of)| Some((index, of.file_list.as_deref()?)))
    {
        for UnreadDatabase { entry, why } in &file_list.unread {
            let Some(path) = file_list.entries.get(*entry as usize).map(Entry::path) else { continue };
            let later = layers.iter().skip(index + 1).filter_map(|layer| layer.file_list.as_deref());
            if !later.flat_map(|file_list| &file_list.entries).any(|entry| entry.path() == path) {
                found.push(UnreadFile { path: path.to_string(), layer: index as u64, why: *why });
            }
        }
    }
    found
}
