//! The files of one layer: what its tar lists, in the tar's own order, without content.
//!
//! A file list is enough to replay the layer rules (see [`crate::image::filesystem`]), so an image can be compared with
//! one that is no longer available.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use super::entry::Entry;
use super::mark::{self, Mark, ReadMark};
use super::package::{MAX_ELSEWHERE, Package, UnreadDatabase};
use super::path::LayerPath;

/// Maximum files and directories of an image, implied directories included.
pub const MAX_NODES: u64 = 5_000_000;

/// The files of one layer, in the order of its tar, the packages they belong to, and the facts found in their content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Raw")]
pub struct FileList {
    /// What the layer's tar lists.
    pub entries: Vec<Entry>,
    /// The packages that its files declare.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Facts found in the files' content, in the order of entries. Absent if they were not looked for, as in earlier
    /// versions; empty means none found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marks: Option<Vec<Mark>>,
    /// The package databases that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadDatabase>,
    /// Whether the packages were left out because the image has more than are kept for one. Another image with this
    /// layer may have fewer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub packages_left_out: bool,
    /// Whether eStargz's table of contents follows the end of the layer's tar.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estargz: bool,
}

/// Entries of a file list, ascending, and the first half of the sha256 of each one's content.
pub type Contents = Arc<Vec<(u32, [u8; 16])>>;

/// Safety limits for paths in documents. They exceed the default ones for layers, which users can raise.
const MAX_READ_PATH: usize = 64 * 1024;
const MAX_READ_DEPTH: usize = 4096;

/// A file list as stored in a document: untrusted input.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Raw {
    entries: Vec<Entry>,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<Vec<Mark>>"))]
    marks: Option<Vec<ReadMark>>,
    #[serde(default)]
    unread: Vec<UnreadDatabase>,
    #[serde(default)]
    packages_left_out: bool,
    #[serde(default)]
    estargz: bool,
}

/// Maximum packages of one layer, and of an image: documents have room for this many. The largest known distributions
/// have a few thousand installed.
pub const MAX_PACKAGES: usize = 100_000;
/// An index may have one package for this many bytes of its layers, beyond those that one image may have.
pub const BYTES_PER_PACKAGE: u64 = 64;
/// Maximum databases of one layer that are reported as unread.
pub const MAX_UNREAD: usize = 100;

impl TryFrom<Raw> for FileList {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<FileList, &'static str> {
        let Raw { entries, packages, marks, unread, packages_left_out, estargz } = raw;
        let long = |path: &LayerPath| path.as_bytes().len() > MAX_READ_PATH || path.depth() > MAX_READ_DEPTH;
        if entries.iter().any(|entry| long(entry.path())) {
            return Err("a file list with a longer or deeper path than any layer has");
        }
        if packages.len() > MAX_PACKAGES {
            return Err("a file list with more packages than any layer has");
        }
        let mut owned = vec![false; if packages.is_empty() { 0 } else { entries.len() }];
        let is_file = |entry: u32| matches!(entries.get(entry as usize), Some(Entry::File(..)));
        for package in &packages {
            if !is_file(package.anchor) || !package.files.iter().all(|file| is_file(*file)) {
                return Err("a package in a file list names an entry that is not a file");
            }
            if package.files.iter().any(|file| std::mem::replace(&mut owned[*file as usize], true)) {
                return Err("a file in a file list belongs to two packages");
            }
        }
        check_elsewhere(&packages)?;
        check_inside(&packages, &entries)?;
        if unread.len() > MAX_UNREAD || !unread.iter().all(|database| is_file(database.entry)) {
            return Err("a file list lists unread databases that are not among its files");
        }
        let marks = marks.map(|marks| mark::checked(marks, &entries)).transpose()?;
        Ok(FileList { entries, packages, marks, unread, packages_left_out, estargz })
    }
}

fn check_elsewhere(packages: &[Package]) -> Result<(), &'static str> {
    let mut paths = packages.iter().flat_map(|package| &package.elsewhere);
    let sum = paths.try_fold(0, |sum: usize, path| {
        let fits = !path.as_bytes().is_empty() && path.as_bytes().len() <= MAX_READ_PATH;
        fits.then(|| sum + path.as_bytes().len())
    });
    match sum {
        Some(sum) if sum <= MAX_ELSEWHERE => Ok(()),
        _ => Err("the packages of a file list list more files in other layers than layergate reads"),
    }
}

/// Checks that the packages inside a file have no more bytes than the file.
fn check_inside(packages: &[Package], entries: &[Entry]) -> Result<(), &'static str> {
    let mut inside: BTreeMap<u32, Bytes> = BTreeMap::new();
    for package in packages.iter().filter(|package| package.inside > Bytes(0)) {
        let sum = inside.entry(package.anchor).or_default();
        *sum = sum.saturating_add(package.inside);
    }
    let fits = |(anchor, sum): (&u32, &Bytes)| matches!(entries.get(*anchor as usize), Some(Entry::File(_, size)) if sum <= size);
    match inside.iter().all(fits) {
        true => Ok(()),
        false => Err("a file list gives the packages inside a file more bytes than the file has"),
    }
}

impl FileList {
    /// A layer of these files, without packages, and whose content was not read.
    pub fn of(entries: Vec<Entry>) -> FileList {
        FileList { entries, ..FileList::default() }
    }

    /// Whether the list has everything that reading the layer finds. It lacks facts that an earlier version did not
    /// look for, or packages that were left out because the image has too many.
    pub fn is_complete(&self) -> bool {
        self.marks.is_some() && !self.packages_left_out
    }

    /// For each entry, the index of the package that owns the file; empty if no package is declared.
    pub fn owners(&self) -> Vec<Option<u32>> {
        let mut owners = vec![None; if self.packages.is_empty() { 0 } else { self.entries.len() }];
        for (index, package) in self.packages.iter().enumerate() {
            package.files.iter().for_each(|file| owners[*file as usize] = Some(index as u32));
        }
        owners
    }

    /// The packages inside each archive of several packages, by the archive's entry.
    pub fn inside(&self) -> BTreeMap<u32, Vec<&Package>> {
        let mut inside: BTreeMap<u32, Vec<&Package>> = BTreeMap::new();
        for package in self.packages.iter().filter(|package| package.inside > Bytes(0)) {
            inside.entry(package.anchor).or_default().push(package);
        }
        inside
    }

    /// `layer.size`: the bytes of the regular-file entries, or `None` if they claim more than [`Bytes::MAX`].
    pub fn size(&self) -> Option<Bytes> {
        self.entries.iter().try_fold(Bytes(0), |sum, entry| match entry {
            Entry::File(_, size) => sum.checked_add(*size),
            _ => Some(sum),
        })
    }

    /// Whether a layer of these files can have a blob of this size. A tar has a header per entry, two more records for
    /// a long name, and padding; it ends with blocks of zeros (POSIX pax, "ustar Interchange Format"). Compression adds
    /// at most a thousandth. A layer with more, such as long extended attributes, is read as if it were not cached.
    pub fn may_fill(&self, blob: u64) -> bool {
        const ENTRY: u64 = 4 * 512;
        const END: u64 = 20 * 512;
        let names: u64 = self.entries.iter().map(|entry| 3 * entry.path().as_bytes().len() as u64).sum();
        let entries = ENTRY.saturating_mul(self.entries.len() as u64);
        let tar = self.size().unwrap_or_default().0.saturating_add(names).saturating_add(entries + END);
        blob <= tar.saturating_add(tar / 1000)
    }

    /// An upper bound on the files and directories that the entries stand for: a path also implies the directories
    /// above it that it does not share with the entry before it.
    pub fn nodes(&self) -> u64 {
        let root = LayerPath::clean(b"");
        let before = std::iter::once(&root).chain(self.entries.iter().map(Entry::path));
        let new = |(before, entry): (&LayerPath, &Entry)| {
            let path = entry.path();
            let common = path.parts().zip(before.parts()).take_while(|(one, other)| one == other).count();
            (path.depth() - common).max(1) as u64
        };
        before.zip(&self.entries).map(new).sum()
    }

    /// How many regular-file entries the layer has.
    pub fn files(&self) -> u64 {
        self.entries.iter().filter(|entry| matches!(entry, Entry::File(..))).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Ecosystem;
    use crate::image::package::Unread;

    #[test]
    fn implied_directories_count() {
        let file = |path: &str| Entry::File(path.into(), Bytes(1));
        let nodes = |paths: &[&str]| FileList::of(paths.iter().map(|path| file(path)).collect()).nodes();
        assert_eq!(nodes(&[]), 0);
        assert_eq!(nodes(&["a", "a/b", "a/b/c"]), 3);
        assert_eq!(nodes(&["a/b/c", "a/b/d", "e/f"]), 6);
        assert_eq!(nodes(&["a", "a"]), 2);
    }

    #[test]
    fn a_file_list_survives_its_document() {
        let path = |text: &[u8]| LayerPath::clean(text);
        let mut file_list = FileList::of(vec![
            Entry::Dir(path(b"usr")),
            Entry::File(path(b"usr/a\xfe"), Bytes(43)),
            Entry::HardLink(path(b"usr/b"), path(b"usr/a\xfe")),
            Entry::Symlink(path(b"bin")),
            Entry::Special(path(b"dev/null")),
            Entry::Whiteout(path(b"old")),
            Entry::Opaque(path(b"var")),
        ]);
        let text = serde_json::to_string(&file_list).unwrap();
        assert_eq!(
            text,
            r#"{"entries":[["d","usr"],["f","usr/a\\xfe",43],["h","usr/b","usr/a\\xfe"],["l","bin"],["s","dev/null"],["w","old"],["o","var"]]}"#
        );
        assert_eq!(serde_json::from_str::<FileList>(&text).unwrap(), file_list);
        for bad in [r#"[["f","a"]]"#, r#"[["q","a"]]"#, r#"[[]]"#, r#"[["f","a",-1]]"#] {
            let bad = format!(r#"{{"entries":{bad}}}"#);
            assert!(serde_json::from_str::<FileList>(&bad).is_err(), "{bad}");
        }
        let package = |files: &[u32]| Package {
            ecosystem: Ecosystem::Npm,
            name: "left-pad".into(),
            version: "1.3.0".into(),
            anchor: 1,
            files: files.to_vec(),
            elsewhere: Vec::new(),
            inside: Bytes(0),
        };
        file_list.packages = vec![package(&[1])];
        let text = serde_json::to_string(&file_list).unwrap();
        assert!(
            text.ends_with(
                r#""packages":[{"type":"npm","name":"left-pad","version":"1.3.0","anchor":1,"files":[1]}]}"#
            ),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<FileList>(&text).unwrap(), file_list);
        assert_eq!(file_list.owners()[..3], [None, Some(0), None]);
        let inside = |bytes| Package { inside: Bytes(bytes), ..package(&[]) };
        let elsewhere = |path: &str| Package { elsewhere: vec![path.into()], ..package(&[]) };
        let fine = FileList {
            packages: vec![inside(40), inside(3), elsewhere("lib/a")],
            unread: vec![UnreadDatabase { entry: 1, why: Unread::LogAlone }],
            ..file_list.clone()
        };
        let text = serde_json::to_string(&fine).unwrap();
        assert!(text.contains(r#""elsewhere":["lib/a"]"#) && text.contains(r#""inside":40"#), "{text}");
        assert!(text.ends_with(r#""unread":[{"entry":1,"why":"log-alone"}]}"#), "{text}");
        assert_eq!(serde_json::from_str::<FileList>(&text).unwrap(), fine);
        let text = text.replace(r#"{"entry":1,"#, r#"{"entry":0,"#);
        assert!(serde_json::from_str::<FileList>(&text).is_err(), "{text}");
        let broken = [
            vec![package(&[0])],
            vec![package(&[7])],
            vec![package(&[1]), package(&[1])],
            vec![inside(40), inside(4)],
            vec![elsewhere("/")],
            vec![elsewhere(&"x".repeat(60_000)); 300],
        ];
        for packages in broken {
            let text = serde_json::to_string(&FileList { packages, ..file_list.clone() }).unwrap();
            assert!(serde_json::from_str::<FileList>(&text).is_err(), "{text}");
        }
        let text = serde_json::to_string(&file_list).unwrap().replace(r#""files":[1]"#, r#""files":[1,0]"#);
        assert!(serde_json::from_str::<FileList>(&text).is_err(), "{text}");
    }
}
