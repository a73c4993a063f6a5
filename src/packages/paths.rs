//! Lists of paths, which make up most of the memory that packages take.

use std::fmt;

use super::room::{LayerSpending, PackageCost};
use crate::image::LayerPath;
use crate::image::json;
use crate::image::path::MAX_PATH;

/// What a path costs besides its bytes, once owners are looked up.
const PATH_OVERHEAD: usize = 64;
/// Maximum bytes that all packages of one layer may keep; those of a desktop's 750 Debian packages have half.
const MAX_KEPT: usize = 24 << 20;
/// Maximum bytes of paths processed for one layer, kept or not: each few bytes of a list may be joined to a long
/// directory, and the result discarded.
const MAX_WORK: usize = 256 << 20;
/// What processing a path costs besides its bytes, in processed bytes.
const PATH_WORK: u64 = 32;
/// The memory of a parsed JSON value.
const VALUE: u64 = 128;

/// A path below a directory; `None` if it would be longer than any path can be, without building it.
pub fn join(directory: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    (directory.len() + name.len() < MAX_PATH).then(|| [directory, b"/", name].concat())
}

/// Clean paths relative to the image's root, in one allocation: each ends with a NUL, which no path contains.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PathList(Box<[u8]>);

impl PathList {
    /// The bytes of each path.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == 0).filter(|path| !path.is_empty())
    }
}

impl fmt::Debug for PathList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(String::from_utf8_lossy)).finish()
    }
}

/// The remaining memory for a layer's packages.
#[derive(Debug)]
pub struct PackageBudget {
    left: usize,
    /// Bytes of paths that may still be processed; bytes processed in vain are not returned.
    work: usize,
    /// How many packages and lists of files were left out for lack of room.
    pub refused: u64,
    /// The layer's share of what the packages of its image may cost.
    pub image: LayerSpending,
}

impl Default for PackageBudget {
    fn default() -> PackageBudget {
        PackageBudget { left: MAX_KEPT, work: MAX_WORK, refused: 0, image: LayerSpending::default() }
    }
}

impl PackageBudget {
    /// Spends `bytes`; `None`, counted as refused, if fewer are left.
    pub fn spend(&mut self, bytes: usize) -> Option<()> {
        let left = self.left.checked_sub(bytes);
        let cost = PackageCost { memory: bytes as u64, ..PackageCost::default() };
        match left.filter(|_| self.image.spend(cost)) {
            Some(left) => self.left = left,
            None => {
                self.refused += 1;
                return None;
            }
        }
        Some(())
    }

    /// Whether a JSON document may be parsed: its values take memory until it has been read. This counts for the image,
    /// because a layer may have many documents.
    pub fn may_parse(&mut self, json: &[u8]) -> bool {
        let memory = json::values(json).saturating_mul(VALUE);
        let fits = self.image.spend(PackageCost { memory, ..PackageCost::default() });
        self.refused += u64::from(!fits);
        fits
    }

    /// Keeps a list of paths; `None`, counted as refused, if there is no room for all of it. Paths that no file can
    /// have are ignored.
    pub fn keep<P: AsRef<[u8]>>(&mut self, paths: impl IntoIterator<Item = P>) -> Option<PathList> {
        let before = self.left;
        let kept = paths.into_iter().try_fold(Vec::new(), |kept, path| self.add(kept, path.as_ref()));
        if kept.is_none() {
            self.left = before;
        }
        Some(PathList(kept?.into()))
    }

    fn add(&mut self, mut kept: Vec<u8>, raw: &[u8]) -> Option<Vec<u8>> {
        let cost = PackageCost { work: raw.len() as u64 + PATH_WORK, ..PackageCost::default() };
        match self.work.checked_sub(raw.len() + 1).filter(|_| self.image.spend(cost)) {
            Some(work) => self.work = work,
            None => {
                self.refused += 1;
                return None;
            }
        }
        if raw.len() > MAX_PATH || raw.contains(&0) {
            return Some(kept);
        }
        let path = LayerPath::clean(raw);
        if !path.as_bytes().is_empty() {
            self.forget_directory(&mut kept, path.as_bytes());
            self.spend(path.as_bytes().len() + PATH_OVERHEAD)?;
            kept.extend_from_slice(path.as_bytes());
            kept.push(0);
        }
        Some(kept)
    }

    /// Drops the last path if it is the directory of the next one: half of the paths that dpkg lists are directories,
    /// each before its content, and they are not needed.
    fn forget_directory(&mut self, kept: &mut Vec<u8>, next: &[u8]) {
        let Some(before) = kept.strip_suffix(b"\0") else { return };
        let start = before.iter().rposition(|byte| *byte == 0).map_or(0, |at| at + 1);
        let last = before.get(start..).unwrap_or_default();
        if next.strip_prefix(last).is_some_and(|rest| rest.starts_with(b"/")) {
            self.left += last.len() + PATH_OVERHEAD;
            kept.truncate(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_comes_to_nothing_has_an_end() {
        let mut room = PackageBudget::default();
        let mut looked_at = 0;
        let endless = std::iter::from_fn(|| {
            looked_at += 1;
            Some("x/../".repeat(800))
        });
        assert_eq!(room.keep(endless), None);
        assert_eq!(looked_at, MAX_WORK / 4001 + 1);
        assert_eq!(room.keep(["a"]), Some(PathList(b"a\0".to_vec().into())), "a short one still fits");
        assert_eq!((room.refused, room.left < MAX_KEPT), (1, true));
    }
}
