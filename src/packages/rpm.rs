//! rpm's database: package headers (rpm's manual, "Package Header format" and "Tags") in one of three formats (rpm's
//! `lib/backend`): SQLite since Fedora 33 and RHEL 9, ndb on SUSE, and Berkeley DB before.

use super::sink::Sink;
use std::collections::BTreeMap;

use super::paths::join;
use super::sqlite::{SqliteFile, Value, columns};
use super::{Ecosystem, Owns, berkeley, ndb, word};
use crate::image::LayerPath;
use crate::image::package::Unread;
use crate::image::path::split;

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

/// Maximum directories of one package.
const MAX_DIRECTORIES: usize = 1 << 18;
/// An entry of the index: tag, type, offset and count, four bytes each.
const ENTRY: usize = 16;

/// Maximum bytes kept of a layer's databases until their logs have been read.
const MAX_HELD: usize = 128 << 20;

/// SQLite databases and their write-ahead logs, by directory: they come in any order.
#[derive(Default)]
pub struct Rpm {
    databases: BTreeMap<Vec<u8>, FileAndLog>,
    held: usize,
}

#[derive(Default)]
struct FileAndLog {
    file: Option<(LayerPath, Vec<u8>)>,
    log: Option<(LayerPath, Vec<u8>)>,
}

impl Rpm {
    /// Keeps `rpmdb.sqlite`, or its log.
    pub fn hold(&mut self, path: &LayerPath, content: Vec<u8>, sink: &mut Sink) {
        self.held = self.held.saturating_add(content.len());
        if self.held > MAX_HELD {
            return sink.unread(path, Unread::TooLarge);
        }
        let (directory, name) = split(path.as_bytes());
        let pair = self.databases.entry(directory.to_vec()).or_default();
        let place = if name.ends_with(b"-wal") { &mut pair.log } else { &mut pair.file };
        *place = Some((path.clone(), content));
    }

    /// Declares the packages of the databases.
    pub fn finish(self, sink: &mut Sink) {
        for FileAndLog { file, log } in self.databases.into_values() {
            let alone = file.is_none();
            let Some(path) = file.as_ref().or(log.as_ref()).map(|(path, _)| path.clone()) else { continue };
            let [file, log] = [file, log].map(|part| part.map_or_else(Vec::new, |(_, content)| content));
            if take_sqlite(&path, &file, &log, sink).is_none() {
                sink.unread(&path, if alone { Unread::LogAlone } else { Unread::Damaged });
            }
        }
    }
}

/// Declares the packages up to the first malformed place; `None` if there is one.
fn take_sqlite(path: &LayerPath, file: &[u8], log: &[u8], sink: &mut Sink) -> Option<()> {
    SqliteFile::new(file, log)?.rows("Packages", |row| {
        if let [_, Value::Bytes(blob)] = columns(row) {
            declare(path, blob, sink);
        }
        Some(())
    })
}

/// Reads `Packages.db`.
pub fn take_ndb(path: &LayerPath, content: &[u8], sink: &mut Sink) {
    if let Err(why) = ndb::each(content, |blob| declare(path, blob, sink)) {
        sink.unread(path, why);
    }
}

/// Reads `Packages`.
pub fn take_berkeley(path: &LayerPath, content: &[u8], sink: &mut Sink) {
    if let Err(why) = berkeley::each(content, |blob| declare(path, blob, sink)) {
        sink.unread(path, why);
    }
}

/// Declares the package of one header.
pub fn declare(path: &LayerPath, blob: &[u8], sink: &mut Sink) {
    let Some(header) = RpmHeader::new(blob) else { return };
    let text = |tag| header.strings(tag).next().and_then(word);
    let (Some(name), Some(version), Some(release)) = (text(NAME), text(VERSION), text(RELEASE)) else {
        return;
    };
    // Keys for checking signatures are stored as packages.
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
    sink.declare(Ecosystem::Rpm, name, version, path, Owns { files, ..Owns::default() });
}

/// A package header without the magic of package files: the number of entries, the number of bytes of data, the index,
/// the data.
struct RpmHeader<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

impl<'a> RpmHeader<'a> {
    fn new(blob: &'a [u8]) -> Option<RpmHeader<'a>> {
        let (entries, rest) = blob.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let index = usize::try_from(u32::from_be_bytes(*entries)).ok()?.checked_mul(ENTRY)?;
        let (index, data) = rest.split_at_checked(index)?;
        let data = data.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(RpmHeader { index, data })
    }

    /// For the entry with this tag: its type, its data and all data after that, and its number of values.
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
