//! What differs between two lists of files, path by path.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::image::{Bytes, Census, Delta, Entry, Package};

/// A path whose bytes differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathDelta<'a> {
    pub path: &'a [u8],
    /// Its bytes on each side; `None` where it is not there.
    pub base: Option<Bytes>,
    pub head: Option<Bytes>,
    /// The package whose file it is on each side.
    pub base_owner: Option<&'a Package>,
    pub head_owner: Option<&'a Package>,
}

impl PathDelta<'_> {
    pub fn delta(&self) -> Delta {
        self.head.unwrap_or_default() - self.base.unwrap_or_default()
    }
}

/// The files of two layers by their paths: those that differ, in order. Their deltas sum to the
/// difference of the layers' sizes. A name that a layer has twice counts with both.
pub(super) fn between_layers<'a>(base: Option<&'a Census>, head: Option<&'a Census>) -> Vec<PathDelta<'a>> {
    let mut paths = Paths::default();
    for (census, is_head) in [(base, false), (head, true)] {
        let Some(census) = census else { continue };
        let owners = census.owners();
        for (index, entry) in census.entries.iter().enumerate() {
            if let Entry::File(path, size) = entry {
                let owner = owners.get(index).copied().flatten();
                let owner = owner.map(|owner| &census.packages[owner as usize]);
                paths.add(path.as_bytes(), *size, owner, is_head);
            }
        }
    }
    paths.different()
}

/// Paths and what is known of them on both sides.
#[derive(Default)]
pub(super) struct Paths<'a>(HashMap<&'a [u8], PathDelta<'a>, RandomState>);

impl<'a> Paths<'a> {
    pub fn add(&mut self, path: &'a [u8], size: Bytes, owner: Option<&'a Package>, is_head: bool) {
        let new = PathDelta { path, base: None, head: None, base_owner: None, head_owner: None };
        let found = self.0.entry(path).or_insert(new);
        let (side, side_owner) = match is_head {
            false => (&mut found.base, &mut found.base_owner),
            true => (&mut found.head, &mut found.head_owner),
        };
        // The sum of all was countable, and so is that of some.
        *side = Some(side.unwrap_or_default().saturating_add(size));
        *side_owner = owner.or(*side_owner);
    }

    /// The paths that are on one side only or have other bytes, in order.
    pub fn different(self) -> Vec<PathDelta<'a>> {
        let mut different: Vec<_> = self.0.into_values().filter(|path| path.base != path.head).collect();
        different.sort_unstable_by_key(|path| path.path);
        different
    }
}
