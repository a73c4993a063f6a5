//! The same content stored twice in one image, at different paths.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::image::file_list::Contents;
use crate::image::path::PathRef;
use crate::image::snapshot::Duplicate;
use crate::image::{Bytes, Filesystem};
use crate::sort;

/// Maximum groups that are listed, and maximum paths of one.
const MAX_GROUPS: usize = 20;
const MAX_PATHS: usize = 10;

/// Existing files with the same content, largest saving first. Names of one file (hard links) count as one. `contents`
/// holds the content hashes of each layer's files.
pub(super) fn duplicates(filesystem: &Filesystem, contents: &[Arc<Contents>]) -> Vec<Duplicate> {
    let mut same: HashMap<(Bytes, [u8; 16]), Vec<&[u8]>> = HashMap::new();
    for file in filesystem.existing() {
        let Some(contents) = contents.get(file.layer as usize) else { continue };
        if let Ok(at) = contents.binary_search_by_key(&file.entry, |(entry, _)| *entry) {
            same.entry((file.size, contents[at].1)).or_default().push(file.path.0);
        }
    }
    let mut groups: Vec<_> = same.into_iter().filter(|(_, paths)| paths.len() > 1).collect();
    groups.iter_mut().for_each(|(_, paths)| paths.sort_unstable());
    let saving = |bytes: Bytes, copies: usize| u128::from(bytes.0) * (copies as u128 - 1);
    sort::by(&mut groups, |((a, _), a_paths), ((b, _), b_paths)| {
        let (a, b) = (saving(*a, a_paths.len()), saving(*b, b_paths.len()));
        Reverse(a).cmp(&Reverse(b)).then_with(|| a_paths.cmp(b_paths))
    });
    let shown = |path: &&[u8]| PathRef(path).to_string();
    let group = |((bytes, _), paths): ((Bytes, [u8; 16]), Vec<&[u8]>)| Duplicate {
        bytes,
        copies: paths.len() as u64,
        paths: paths.iter().take(MAX_PATHS).map(shown).collect(),
    };
    groups.into_iter().take(MAX_GROUPS).map(group).collect()
}
