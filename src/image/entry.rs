//! One entry of a layer's tar, as stored in file lists.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bytes::Bytes;
use super::path::LayerPath;

/// One thing that a layer's tar lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// A regular file and the uncompressed bytes of its content.
    File(LayerPath, Bytes),
    /// A hard link: its name, then the name that it links to. Takes no bytes.
    HardLink(LayerPath, LayerPath),
    /// A directory.
    Dir(LayerPath),
    /// A symbolic link.
    Symlink(LayerPath),
    /// A device, a pipe or a socket.
    Special(LayerPath),
    /// A whiteout: hides this path of the layers below (OCI image layer specification, "whiteouts").
    Whiteout(LayerPath),
    /// An opaque whiteout: hides everything that the layers below have inside this directory.
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
/// `["d","usr"]`. A file list has tens of thousands of them.
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

/// The kind of an entry, read without an allocation: a list may have a hundred thousand entries.
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
        f.write_str("the letter of a file list entry's kind")
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
                f.write_str("a file list entry such as [\"f\", \"path\", 12]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry, A::Error> {
                let missing = |what| de::Error::custom(format!("a file list entry without {what}"));
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
                        return Err(de::Error::custom(format!(
                            "a file list entry of unknown kind `{other}`"
                        )));
                    }
                })
            }
        }

        deserializer.deserialize_seq(EntryVisitor)
    }
}
