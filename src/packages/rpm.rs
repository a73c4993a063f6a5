//! rpm's database: a table of package headers (rpm's manual, "Package Header format" and "Tags"; the
//! table is that of rpm's `lib/backend/sqlite.c`).

use super::collect::Sink;
use super::paths::join;
use super::sqlite::{Database, Value, columns};
use super::{Ecosystem, Owns, word};
use crate::image::LayerPath;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const DIR_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIR_NAMES: u32 = 1118;

const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// The most directories of one package.
const MAX_DIRECTORIES: usize = 1 << 18;
/// An entry of the index: tag, type, offset and count, four bytes each.
const ENTRY: usize = 16;

/// Reads `rpmdb.sqlite`.
pub fn take(path: &LayerPath, content: &[u8], sink: &mut Sink) {
    let Some(database) = Database::new(content) else { return };
    // What is malformed ends the table, not the run.
    let _ = database.rows("Packages", |row| {
        if let [_, Value::Bytes(blob)] = columns(row) {
            declare(path, blob, sink);
        }
        Some(())
    });
}

/// Declares the package of one header.
pub fn declare(path: &LayerPath, blob: &[u8], sink: &mut Sink) {
    let Some(header) = Header::new(blob) else { return };
    let text = |tag| header.strings(tag).next().and_then(word);
    let (Some(name), Some(version), Some(release)) = (text(NAME), text(VERSION), text(RELEASE)) else {
        return;
    };
    // Keys for checking signatures are kept as packages.
    if name == "gpg-pubkey" {
        return;
    }
    let version = match header.numbers(EPOCH).next() {
        Some(epoch) => format!("{epoch}:{version}-{release}"),
        None => format!("{version}-{release}"),
    };
    let directories: Vec<&[u8]> = header.strings(DIR_NAMES).take(MAX_DIRECTORIES).collect();
    let names = header.strings(BASE_NAMES).zip(header.numbers(DIR_INDEXES));
    let files =
        names.filter_map(|(name, directory)| join(directories.get(usize::try_from(directory).ok()?)?, name));
    let Some(files) = sink.room.keep(files) else { return };
    sink.declare(Ecosystem::Rpm, name, version, path, Owns { files, below: Vec::new() });
}

/// A package header without the magic that it has in package files: how many entries, how many bytes
/// of data, the index, the data.
struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn new(blob: &'a [u8]) -> Option<Header<'a>> {
        let (entries, rest) = blob.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let index = usize::try_from(u32::from_be_bytes(*entries)).ok()?.checked_mul(ENTRY)?;
        let (index, data) = rest.split_at_checked(index)?;
        let data = data.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Header { index, data })
    }

    /// The type of what has this tag, its data and all data after that, and how many values there are.
    fn entry(&self, tag: u32) -> Option<(u32, &'a [u8], usize)> {
        let mut entries = self.index.as_chunks::<ENTRY>().0.iter().map(|entry| entry.as_chunks::<4>().0);
        let entry = entries.find(|entry| entry.first() == Some(&tag.to_be_bytes()))?;
        let [_, kind, offset, count] = entry else { return None };
        let [kind, offset, count] = [kind, offset, count].map(|word| u32::from_be_bytes(*word));
        let data = self.data.get(usize::try_from(offset).ok()?..)?;
        Some((kind, data, usize::try_from(count).ok()?))
    }

    fn strings(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> {
        let strings =
            self.entry(tag).filter(|(kind, ..)| matches!(*kind, STRING | STRING_ARRAY | I18N_STRING));
        let (_, data, count) = strings.unwrap_or((STRING, &[], 0));
        data.split(|byte| *byte == 0).take(count)
    }

    fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> {
        let numbers = self.entry(tag).filter(|(kind, ..)| *kind == INT32);
        let (_, data, count) = numbers.unwrap_or((INT32, &[], 0));
        data.as_chunks::<4>().0.iter().take(count).map(|number| u32::from_be_bytes(*number))
    }
}
