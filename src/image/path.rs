//! Paths inside layers.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum bytes of a path: Linux accepts none longer (`PATH_MAX`).
pub const MAX_PATH: usize = 4096;
/// Maximum parts of a path: many times those of real ones, and a cap on what one name can cost.
pub const MAX_DEPTH: usize = 256;

/// A path inside a layer: bytes, because file names need not be UTF-8. Relative to the image's root, without a leading
/// `/` and with no `.` or `..` part; the root itself is the empty path.
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

    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
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

/// The directory of a path, and its last part. The directory is empty for a path in the root.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// The borrowed bytes of a [`LayerPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRef<'a>(pub &'a [u8]);

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PathRef(&self.0).fmt(f)
    }
}

impl fmt::Display for PathRef<'_> {
    /// The path with bytes that are not UTF-8 as `\xNN`, and backslashes doubled: reversible.
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
    /// Reverses [`LayerPath`]'s `Display`; anything that is not an escape stands for itself.
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

impl Serialize for LayerPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
