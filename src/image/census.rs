//! The files of one layer: what its tar lists, in the tar's own order, without content.
//!
//! A census is enough to replay the layer rules (see [`crate::layer::apply`]), so an image can be
//! compared with one that is no longer at hand.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bytes::Bytes;
use super::mark::{self, Mark, ReadMark};
use super::package::Package;

/// The longest path of an image: Linux takes no longer one (`PATH_MAX`).
pub const MAX_PATH: usize = 4096;
/// The deepest path: many times deeper than any known, and a bound on what one name can cost.
pub const MAX_DEPTH: usize = 256;
/// The most files and directories of an image, directories that are only implied included.
pub const MAX_NODES: u64 = 5_000_000;

/// A path inside a layer: bytes, for no rule makes file names UTF-8. Relative to the image's root,
/// without a leading `/` and with no `.` or `..` part; the root itself is the empty path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerPath(Box<[u8]>);

impl LayerPath {
    /// Cleans a name from a tar: `./a//b/` and `/a/b` are `a/b`, and `..` never leaves the root.
    pub fn clean(raw: &[u8]) -> LayerPath {
        let raw = raw.strip_prefix(b"./").unwrap_or(raw);
        let raw = raw.strip_suffix(b"/").unwrap_or(raw);
        if raw.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..")) {
            return LayerPath(raw.into());
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in raw.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        LayerPath(parts.join(&b'/').into())
    }

    /// The path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many parts the path has; the root has none.
    pub fn depth(&self) -> usize {
        self.parts().count()
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// The directory that holds this path, and its last part. The root has neither.
    pub fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(split(&self.0))
    }
}

/// The directory of a path, and the last part. What is in the root has the empty directory.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// The bytes of a [`LayerPath`] that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRef<'a>(pub &'a [u8]);

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PathRef(&self.0).fmt(f)
    }
}

impl fmt::Display for PathRef<'_> {
    /// The path with its bytes that are not UTF-8 as `\xNN`, and a backslash doubled: reversible.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for (index, part) in chunk.valid().split('\\').enumerate() {
                if index > 0 {
                    f.write_str("\\\\")?;
                }
                f.write_str(part)?;
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl From<&str> for LayerPath {
    /// Reverses [`LayerPath`]'s `Display`; what is no escape stands for itself.
    fn from(text: &str) -> LayerPath {
        let bytes = text.as_bytes();
        if !bytes.contains(&b'\\') {
            return LayerPath::clean(bytes);
        }
        let mut raw = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let hex = bytes.get(at + 2..at + 4).and_then(|pair| std::str::from_utf8(pair).ok());
            match (bytes[at], bytes.get(at + 1), hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
                (b'\\', Some(b'\\'), _) => {
                    raw.push(b'\\');
                    at += 2;
                }
                (b'\\', Some(b'x'), Some(byte)) => {
                    raw.push(byte);
                    at += 4;
                }
                (byte, ..) => {
                    raw.push(byte);
                    at += 1;
                }
            }
        }
        LayerPath::clean(&raw)
    }
}

/// One thing that a layer's tar lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file and the bytes of its content, as they are once unpacked.
    File(LayerPath, Bytes),
    /// A further name of a regular file: the name, then the name that it repeats. Costs no bytes.
    HardLink(LayerPath, LayerPath),
    /// A directory.
    Dir(LayerPath),
    /// A symbolic link.
    Symlink(LayerPath),
    /// A device, a pipe or a socket.
    Special(LayerPath),
    /// A whiteout: this path of the layers below is gone (OCI image layer specification, "whiteouts").
    Whiteout(LayerPath),
    /// An opaque whiteout: all that the layers below have inside this directory is gone.
    Opaque(LayerPath),
}

impl Entry {
    fn letter(&self) -> &'static str {
        match self {
            Entry::File(..) => "f",
            Entry::HardLink(..) => "h",
            Entry::Dir(_) => "d",
            Entry::Symlink(_) => "l",
            Entry::Special(_) => "s",
            Entry::Whiteout(_) => "w",
            Entry::Opaque(_) => "o",
        }
    }

    /// The path that the entry is about.
    pub fn path(&self) -> &LayerPath {
        match self {
            Entry::File(path, _) | Entry::HardLink(path, _) => path,
            Entry::Dir(path) | Entry::Symlink(path) | Entry::Special(path) => path,
            Entry::Whiteout(path) | Entry::Opaque(path) => path,
        }
    }
}

/// In documents an entry is a short array: `["f","usr/bin/env",43]`, `["h","NAME","REPEATED"]`,
/// `["d","usr"]`. A census has tens of thousands of them.
impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let long = matches!(self, Entry::File(..) | Entry::HardLink(..));
        let mut tuple = serializer.serialize_tuple(if long { 3 } else { 2 })?;
        tuple.serialize_element(self.letter())?;
        tuple.serialize_element(&self.path().to_string())?;
        match self {
            Entry::File(_, size) => tuple.serialize_element(size)?,
            Entry::HardLink(_, target) => tuple.serialize_element(&target.to_string())?,
            _ => {}
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for LayerPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LayerPath, D::Error> {
        struct PathVisitor;

        impl Visitor<'_> for PathVisitor {
            type Value = LayerPath;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LayerPath, E> {
                Ok(LayerPath::from(text))
            }
        }

        deserializer.deserialize_str(PathVisitor)
    }
}

/// The kind of an entry. Of a hundred thousand, none shall cost an allocation.
struct Letter(char);

impl<'de> Deserialize<'de> for Letter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Letter, D::Error> {
        deserializer.deserialize_char(LetterVisitor)
    }
}

struct LetterVisitor;

impl Visitor<'_> for LetterVisitor {
    type Value = Letter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the letter of a census entry's kind")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Letter, E> {
        let mut letters = text.chars();
        let unfit = || de::Error::invalid_value(de::Unexpected::Str(text), &self);
        letters.next().filter(|_| letters.next().is_none()).map(Letter).ok_or_else(unfit)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry, D::Error> {
        struct EntryVisitor;

        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a census entry such as [\"f\", \"path\", 12]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry, A::Error> {
                let missing = |what| de::Error::custom(format!("a census entry without {what}"));
                let Letter(letter) = seq.next_element()?.ok_or_else(|| missing("its kind"))?;
                let path: LayerPath = seq.next_element()?.ok_or_else(|| missing("its path"))?;
                Ok(match letter {
                    'f' => Entry::File(path, seq.next_element()?.ok_or_else(|| missing("its bytes"))?),
                    'h' => Entry::HardLink(path, seq.next_element()?.ok_or_else(|| missing("its target"))?),
                    'd' => Entry::Dir(path),
                    'l' => Entry::Symlink(path),
                    's' => Entry::Special(path),
                    'w' => Entry::Whiteout(path),
                    'o' => Entry::Opaque(path),
                    other => {
                        return Err(de::Error::custom(format!("a census entry of unknown kind `{other}`")));
                    }
                })
            }
        }

        deserializer.deserialize_seq(EntryVisitor)
    }
}

/// The files of one layer, in the order of its tar, the packages that they are of, and what their
/// content says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Census {
    /// What the layer's tar lists.
    pub entries: Vec<Entry>,
    /// The packages that its files declare.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// What the content of its files says of being needed only by the build, where that was looked
    /// for: an earlier version did not, and that is not the same as none. In the order of entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marks: Option<Vec<Mark>>,
}

/// Entries of a census, ascending, and the first half of the sha256 of what each holds.
pub type Contents = Arc<Vec<(u32, [u8; 16])>>;

/// What paths of a document may have: more than those of layers by default, whose bounds can be raised.
const MAX_READ_PATH: usize = 64 * 1024;
const MAX_READ_DEPTH: usize = 4096;

/// A census as a document has it: hostile input.
#[derive(Deserialize)]
struct Raw {
    entries: Vec<Entry>,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    marks: Option<Vec<ReadMark>>,
}

/// The most packages of one layer; the largest distributions known have a few thousand installed.
pub const MAX_PACKAGES: usize = 200_000;

impl TryFrom<Raw> for Census {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Census, &'static str> {
        let Raw { entries, packages, marks } = raw;
        let long = |path: &LayerPath| path.0.len() > MAX_READ_PATH || path.depth() > MAX_READ_DEPTH;
        if entries.iter().any(|entry| long(entry.path())) {
            return Err("a census with a longer or deeper path than any layer has");
        }
        if packages.len() > MAX_PACKAGES {
            return Err("a census with more packages than any layer has");
        }
        let mut owned = vec![false; if packages.is_empty() { 0 } else { entries.len() }];
        let is_file = |entry: u32| matches!(entries.get(entry as usize), Some(Entry::File(..)));
        for package in &packages {
            if !is_file(package.anchor) || !package.files.iter().all(|file| is_file(*file)) {
                return Err("a package of a census has a file that is none");
            }
            if package.files.iter().any(|file| std::mem::replace(&mut owned[*file as usize], true)) {
                return Err("a file of a census is of two packages");
            }
        }
        let marks = marks.map(|marks| mark::checked(marks, &entries)).transpose()?;
        Ok(Census { entries, packages, marks })
    }
}

impl Census {
    /// A layer of these files, none of which is of a package, and none of which was looked into.
    pub fn of(entries: Vec<Entry>) -> Census {
        Census { entries, packages: Vec::new(), marks: None }
    }

    /// For each entry, the index of the package whose file it is; nothing at all where no package
    /// is declared.
    pub fn owners(&self) -> Vec<Option<u32>> {
        let mut owners = vec![None; if self.packages.is_empty() { 0 } else { self.entries.len() }];
        for (index, package) in self.packages.iter().enumerate() {
            package.files.iter().for_each(|file| owners[*file as usize] = Some(index as u32));
        }
        owners
    }

    /// `layer.size`: the bytes of the regular-file entries, or `None` where they claim more than
    /// [`Bytes::MAX`].
    pub fn size(&self) -> Option<Bytes> {
        self.entries.iter().try_fold(Bytes(0), |sum, entry| match entry {
            Entry::File(_, size) => sum.checked_add(*size),
            _ => Some(sum),
        })
    }

    /// At most how many files and directories the entries stand for: a path stands for all the
    /// directories above it that the entry before it does not have in common.
    pub fn nodes(&self) -> u64 {
        let root = LayerPath(Box::default());
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

    #[test]
    fn names_from_a_tar_are_cleaned_and_never_leave_the_root() {
        let cases: [(&[u8], &str); 7] = [
            (b"./a//b/", "a/b"),
            (b"/a/b", "a/b"),
            (b"../../etc/passwd", "etc/passwd"),
            (b"a/../b", "b"),
            (b"./", ""),
            (b"a\xff\\b", "a\\xff\\\\b"),
            ("nümbers | `x`".as_bytes(), "nümbers | `x`"),
        ];
        for (raw, shown) in cases {
            let path = LayerPath::clean(raw);
            assert_eq!(path.to_string(), shown);
            assert_eq!(LayerPath::from(shown), path);
        }
    }

    #[test]
    fn implied_directories_count() {
        let file = |path: &str| Entry::File(path.into(), Bytes(1));
        let nodes = |paths: &[&str]| Census::of(paths.iter().map(|path| file(path)).collect()).nodes();
        assert_eq!(nodes(&[]), 0);
        assert_eq!(nodes(&["a", "a/b", "a/b/c"]), 3);
        assert_eq!(nodes(&["a/b/c", "a/b/d", "e/f"]), 6);
        assert_eq!(nodes(&["a", "a"]), 2);
    }

    #[test]
    fn a_census_survives_its_document() {
        let path = |text: &[u8]| LayerPath::clean(text);
        let mut census = Census::of(vec![
            Entry::Dir(path(b"usr")),
            Entry::File(path(b"usr/a\xfe"), Bytes(43)),
            Entry::HardLink(path(b"usr/b"), path(b"usr/a\xfe")),
            Entry::Symlink(path(b"bin")),
            Entry::Special(path(b"dev/null")),
            Entry::Whiteout(path(b"old")),
            Entry::Opaque(path(b"var")),
        ]);
        let text = serde_json::to_string(&census).unwrap();
        assert_eq!(
            text,
            r#"{"entries":[["d","usr"],["f","usr/a\\xfe",43],["h","usr/b","usr/a\\xfe"],["l","bin"],["s","dev/null"],["w","old"],["o","var"]]}"#
        );
        assert_eq!(serde_json::from_str::<Census>(&text).unwrap(), census);
        for bad in [r#"[["f","a"]]"#, r#"[["q","a"]]"#, r#"[[]]"#, r#"[["f","a",-1]]"#] {
            let bad = format!(r#"{{"entries":{bad}}}"#);
            assert!(serde_json::from_str::<Census>(&bad).is_err(), "{bad}");
        }
        let package = |files: &[u32]| Package {
            ecosystem: Ecosystem::Npm,
            name: "left-pad".into(),
            version: "1.3.0".into(),
            anchor: 1,
            files: files.to_vec(),
        };
        census.packages = vec![package(&[1])];
        let text = serde_json::to_string(&census).unwrap();
        assert!(
            text.ends_with(
                r#""packages":[{"type":"npm","name":"left-pad","version":"1.3.0","anchor":1,"files":[1]}]}"#
            ),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Census>(&text).unwrap(), census);
        assert_eq!(census.owners()[..3], [None, Some(0), None]);
        let broken = [vec![package(&[0])], vec![package(&[7])], vec![package(&[1]), package(&[1])]];
        for packages in broken {
            let text = serde_json::to_string(&Census { packages, ..census.clone() }).unwrap();
            assert!(serde_json::from_str::<Census>(&text).is_err(), "{text}");
        }
        let text = serde_json::to_string(&census).unwrap().replace(r#""files":[1]"#, r#""files":[1,0]"#);
        assert!(serde_json::from_str::<Census>(&text).is_err(), "{text}");
    }
}
