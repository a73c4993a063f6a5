//! Walking a tar: entry headers in order, content skipped or handed out, memory limited whatever the headers claim.
//!
//! The formats are those of POSIX.1-2017 "pax Interchange Format" and the GNU tar manual. Where they leave a choice,
//! this does what Go's `archive/tar` does, with which engines write and read layers. Field parsing is the `tar`
//! crate's; the loop is not, because that crate reads a long name of any claimed length into memory.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};

use sha2::{Digest as _, Sha256};
use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use super::input::Forward;
use super::safety::{Refusal, SafetyLimits};
use super::sparse::{MapLines, SparseMap};

const BLOCK: u64 = 512;
/// Maximum blocks of a GNU sparse map that are read for one file.
const MAX_SPARSE_BLOCKS: usize = 16 * 1024;
/// How much memory is reserved before content is read; it grows with the content.
const MOST_AT_ONCE: usize = 128 * 1024;
const UNREADABLE_SIZE: &str = "the size is unreadable or impossible";
const UNFIT_MAP: &str = "the map of a sparse file does not fit the file";

/// A tar that cannot be walked to its end.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes end inside an entry.
    #[error("the tar is cut off after byte {0}; it was not written or copied completely")]
    Truncated(u64),
    /// A header is not a tar header.
    #[error("not a tar, or a damaged one: at byte {offset}, {what}")]
    Malformed {
        /// Where in the tar the entry starts.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A safety limit that keeps untrusted input from using up memory.
    #[error("refused: at byte {offset} of the tar, {refusal}")]
    OverLimit {
        /// Where in the tar the entry starts.
        offset: u64,
        /// Which limit, and by how much.
        refusal: Refusal,
    },
    /// A sparse file whose map does not end.
    #[error("refused: at byte {0} of the tar, a sparse file with an endless map")]
    EndlessMap(u64),
    /// Reading failed.
    #[error("{0}")]
    Read(#[source] io::Error),
}

/// What a tar entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A hard link.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Dir,
    /// A device or a pipe.
    Special,
    /// An entry of another type, by its flag. Content follows it, as in Go's reader.
    Other(u8),
}

impl EntryKind {
    /// Whether content follows the header. For other kinds, the header's size is ignored.
    fn has_content(self) -> bool {
        matches!(self, EntryKind::File | EntryKind::Other(_))
    }
}

/// One entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// The name, as written in the tar.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// The bytes of the file once uncompressed; for a sparse file, holes included.
    pub size: u64,
    /// Whether a map of the content and its parts are stored instead of the content.
    pub sparse: bool,
    /// The permission bits, such as 0o755; 0 if they are unreadable.
    pub mode: u32,
    /// The target of a hard or symbolic link, as written in the tar.
    pub link: Vec<u8>,
    /// Where in the tar the entry's stored content starts.
    pub offset: u64,
    /// How many bytes of content are stored there.
    pub stored: u64,
    /// Bytes of the extension headers before it.
    pub headers: u64,
}

/// What extension headers say about the entry that follows them.
#[derive(Default)]
struct Extensions {
    /// GNU's long name and long link, which take precedence over PAX.
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    /// From the last PAX header: a second one replaces the first.
    pax: Pax,
}

/// The relevant records of a PAX header, by key. An empty value counts as none.
#[derive(Default)]
struct Pax(BTreeMap<&'static str, Vec<u8>>);

/// The records that determine where an entry's bytes go; all others are ignored.
const PAX_KEYS: [&str; 9] = [
    "path",
    "linkpath",
    "size",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.size",
    "GNU.sparse.realsize",
    "GNU.sparse.map",
];

/// Walks a tar, one entry at a time.
pub struct TarWalker<R> {
    input: R,
    /// Bytes read or skipped.
    position: u64,
    /// Content of the current entry that has not been read yet, and its padding.
    unread: u64,
    padding: u64,
    bounds: SafetyLimits,
    /// Bytes of extension headers since the last entry.
    headers: u64,
    /// Hashes the current entry's content as it is read, if asked to.
    hash: Option<Sha256>,
}

impl<R: Forward> TarWalker<R> {
    /// Starts at the first header.
    pub fn new(input: R, bounds: &SafetyLimits) -> TarWalker<R> {
        TarWalker {
            input,
            position: 0,
            unread: 0,
            padding: 0,
            bounds: bounds.clone(),
            headers: 0,
            hash: None,
        }
    }

    /// The next entry, or `None` at the tar's end. Content of the entry before is skipped.
    ///
    /// # Errors
    /// [`TarError`], after which the walk cannot go on.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            if !self.finish_entry()? {
                return Ok(None);
            }
            let start = self.position;
            let Some(header) = self.read_header()? else { return Ok(None) };
            let claimed = number(&header.as_old().size).ok_or_else(|| malformed(start, UNREADABLE_SIZE))?;
            let metadata = |this: &mut Self| this.read_metadata(start, content_size(start, claimed)?);
            match header.entry_type() {
                EntryType::GNULongName => extensions.path = trim_nul(metadata(self)?),
                EntryType::GNULongLink => extensions.link = trim_nul(metadata(self)?),
                EntryType::XHeader => extensions.pax = Pax::of_header(start, &metadata(self)?)?,
                // Engines ignore a global header, and with it all headers before it.
                EntryType::XGlobalHeader => {
                    Pax::of_header(start, &metadata(self)?)?;
                    extensions = Extensions::default();
                }
                _ => return self.entry(start, &header, claimed, extensions).map(Some),
            }
        }
    }

    /// Reads the current entry's stored content.
    pub fn content(&mut self) -> EntryContent<'_, R> {
        EntryContent(self)
    }

    /// The next bytes of the current entry's stored content: at most `most`, or what is left of it.
    ///
    /// # Errors
    /// [`TarError`] if the tar ends before.
    pub fn read_content(&mut self, most: u64) -> Result<Vec<u8>, TarError> {
        // Reserves enough to read content in one piece after a jump, whatever is claimed.
        let room = usize::try_from(most.min(self.unread)).unwrap_or(usize::MAX).min(MOST_AT_ONCE);
        let mut content = Vec::with_capacity(room);
        self.content().take(most).read_to_end(&mut content).map_err(|error| self.read_error(error))?;
        Ok(content)
    }

    /// Whether the current entry's content may be read.
    ///
    /// # Errors
    /// [`TarError`] if that cannot be determined.
    pub fn is_readable(&mut self) -> Result<bool, TarError> {
        self.input.is_readable().map_err(|error| self.read_error(error))
    }

    /// Hashes the current entry's content from here on: skipping then reads it.
    pub fn hash_content(&mut self) {
        self.hash = Some(Sha256::new());
    }

    /// Reads the rest of the current entry's content. Returns the hash since [`TarWalker::hash_content`].
    ///
    /// # Errors
    /// [`TarError`] if the tar ends before.
    pub fn content_hash(&mut self) -> Result<[u8; 32], TarError> {
        io::copy(&mut self.content(), &mut io::sink()).map_err(|error| self.read_error(error))?;
        Ok(self.hash.take().map_or([0; 32], |hash| hash.finalize().into()))
    }

    /// Skips this many bytes of the current entry's stored content, or what is left of it.
    ///
    /// # Errors
    /// [`TarError`] if the tar ends before.
    pub fn skip_content(&mut self, most: u64) -> Result<(), TarError> {
        let count = most.min(self.unread);
        if self.hash.is_some() {
            let passed = io::copy(&mut self.content().take(count), &mut io::sink());
            return passed.map(drop).map_err(|error| self.read_error(error));
        }
        self.input.skip(count).map_err(|error| self.read_error(error))?;
        self.unread -= count;
        self.position += count;
        Ok(())
    }

    /// How much of the current entry's stored content has not been read yet.
    pub fn left(&self) -> u64 {
        self.unread
    }

    /// The input, at the walk's position.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn entry(
        &mut self,
        start: u64,
        header: &Header,
        claimed: i64,
        extensions: Extensions,
    ) -> Result<TarEntry, TarError> {
        let Extensions { path, link, mut pax } = extensions;
        // The `path` of a sparse file is a placeholder for readers that do not know the format.
        let sparse = pax.is_sparse();
        let real_name = pax.take("GNU.sparse.name").filter(|_| sparse);
        let path = real_name.or(path).or_else(|| pax.take("path"));
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = link.or_else(|| pax.take("linkpath"));
        let link =
            link.or_else(|| header.link_name_bytes().map(|name| name.into_owned())).unwrap_or_default();
        self.check_names(start, &path, &link)?;
        let kind = kind_of(header, &path);
        let claimed = pax.number("size").ok_or_else(|| malformed(start, UNREADABLE_SIZE))?.unwrap_or(claimed);
        let stored = if kind.has_content() { content_size(start, claimed)? } else { 0 };
        let old_map = match header.entry_type() {
            EntryType::GNUSparse => Some(self.read_gnu_sparse(start, header)?),
            _ => None,
        };
        let offset = self.position;
        self.unread = stored;
        self.padding = stored.wrapping_neg() % BLOCK;
        if offset.checked_add(stored).and_then(|end| end.checked_add(self.padding)).is_none() {
            return Err(malformed(start, UNREADABLE_SIZE));
        }
        let sparse = old_map.is_some() || sparse && kind == EntryKind::File;
        let size = match old_map {
            Some((size, map)) if map.fits(size, stored) => size,
            Some(_) => return Err(malformed(start, UNFIT_MAP)),
            None if sparse => self.pax_sparse_size(start, &pax)?,
            None => stored,
        };
        let mode = header.mode().unwrap_or_default();
        let headers = std::mem::take(&mut self.headers);
        Ok(TarEntry { path, kind, size, sparse, mode, link, offset, stored, headers })
    }

    fn check_names(&self, start: u64, path: &[u8], link: &[u8]) -> Result<(), TarError> {
        let (longest, deepest) = (self.bounds.path, self.bounds.depth);
        if path.len().max(link.len()) as u64 > longest {
            return Err(over_limit(start, "path", format!("a path of over {longest} bytes")));
        }
        let depth = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count();
        if depth as u64 > deepest {
            return Err(over_limit(start, "depth", format!("a path of over {deepest} directories")));
        }
        Ok(())
    }

    /// Skips the entry's content and padding; false if the tar ends in the padding, which Go's reader takes for the end
    /// of the tar.
    fn finish_entry(&mut self) -> Result<bool, TarError> {
        self.input.skip(self.unread).map_err(|error| self.read_error(error))?;
        let skipped = self.input.skip_at_most(self.padding).map_err(|error| self.read_error(error))?;
        let is_padded = skipped == self.padding;
        self.position += self.unread + skipped;
        (self.unread, self.padding) = (0, 0);
        Ok(is_padded)
    }

    /// The next header, or `None` at the end: two blocks of zeros, or no more bytes.
    fn read_header(&mut self) -> Result<Option<Header>, TarError> {
        let start = self.position;
        let Some(header) = self.read_block()? else { return Ok(None) };
        if header.as_bytes().iter().any(|byte| *byte != 0) {
            verify_checksum(start, &header)?;
            return Ok(Some(header));
        }
        match self.read_block()? {
            Some(second) if second.as_bytes().iter().any(|byte| *byte != 0) => {
                Err(malformed(start, "an empty block between entries"))
            }
            _ => Ok(None),
        }
    }

    /// One block, or `None` if the input ends cleanly before it.
    fn read_block(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < block.len() {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Truncated(self.position + filled as u64)),
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(error)),
            }
        }
        self.position += BLOCK;
        Ok(Some(header))
    }

    fn read_metadata(&mut self, start: u64, claimed: u64) -> Result<Vec<u8>, TarError> {
        if claimed > self.bounds.header {
            let what = format!("an extension header of {claimed} bytes (at most {})", self.bounds.header);
            return Err(over_limit(start, "header", what));
        }
        self.count_headers(start, claimed)?;
        self.unread = claimed;
        self.padding = claimed.wrapping_neg() % BLOCK;
        self.read_content(claimed)
    }

    /// Everything that describes one entry has a common limit: its name, its link, its PAX header and the global one.
    fn count_headers(&mut self, start: u64, bytes: u64) -> Result<(), TarError> {
        self.headers += bytes;
        let most = self.bounds.header.max(MAX_SPARSE_BLOCKS as u64 * BLOCK).saturating_mul(4);
        if self.headers > most {
            return Err(over_limit(
                start,
                "header",
                format!("extension headers of over {most} bytes for one entry"),
            ));
        }
        Ok(())
    }

    /// The real size of a file in GNU's old sparse format and its map, which may continue in further blocks.
    fn read_gnu_sparse(&mut self, start: u64, header: &Header) -> Result<(u64, SparseMap), TarError> {
        let gnu = header.as_gnu().ok_or_else(|| malformed(start, "a sparse file without a GNU header"))?;
        let size = amount(&gnu.realsize);
        let size = size.ok_or_else(|| malformed(start, "a sparse file without its size"))?;
        let mut map = SparseMap::default();
        add_fragments(&mut map, &gnu.sparse).ok_or_else(|| malformed(start, UNFIT_MAP))?;
        let mut extended = gnu.is_extended();
        for _ in 0..MAX_SPARSE_BLOCKS {
            if !extended {
                return Ok((size, map));
            }
            let block = self.read_block()?.ok_or(TarError::Truncated(self.position))?;
            self.headers += BLOCK;
            let mut more = GnuExtSparseHeader::new();
            more.as_mut_bytes().copy_from_slice(block.as_bytes());
            add_fragments(&mut map, &more.sparse).ok_or_else(|| malformed(start, UNFIT_MAP))?;
            extended = more.is_extended();
        }
        Err(TarError::EndlessMap(start))
    }

    /// The real size of a file in a sparse format of PAX. The map of version 1.0 precedes the content.
    fn pax_sparse_size(&mut self, start: u64, pax: &Pax) -> Result<u64, TarError> {
        let unreadable = || malformed(start, UNREADABLE_SIZE);
        let real_size = pax.number("GNU.sparse.size").ok_or_else(unreadable)?;
        let real_size = real_size.or(pax.number("GNU.sparse.realsize").ok_or_else(unreadable)?);
        let size = real_size.map_or(Ok(self.unread), |size| content_size(start, size))?;
        let map = if pax.get("GNU.sparse.major") == Some(b"1") {
            Some(self.read_map_lines(start)?)
        } else {
            SparseMap::from_list(pax.get("GNU.sparse.map").unwrap_or_default())
        };
        match map {
            Some(map) if map.fits(size, self.unread) => Ok(size),
            _ => Err(malformed(start, UNFIT_MAP)),
        }
    }

    fn read_map_lines(&mut self, start: u64) -> Result<SparseMap, TarError> {
        let mut lines = MapLines::default();
        for _ in 0..MAX_SPARSE_BLOCKS {
            if self.unread < BLOCK {
                return Err(malformed(start, UNFIT_MAP));
            }
            let mut block = [0; BLOCK as usize];
            self.headers += BLOCK;
            self.content().read_exact(&mut block).map_err(|error| self.read_error(error))?;
            match lines.take(&block) {
                Some(true) => {}
                Some(false) => return Ok(lines.finish()),
                None => return Err(malformed(start, UNFIT_MAP)),
            }
        }
        Err(TarError::EndlessMap(start))
    }

    pub(super) fn read_error(&self, error: io::Error) -> TarError {
        match error.kind() {
            ErrorKind::UnexpectedEof => TarError::Truncated(self.position),
            _ => TarError::Read(error),
        }
    }
}

/// The stored content of the entry that a walk is at.
pub struct EntryContent<'a, R>(&'a mut TarWalker<R>);

impl<R: Forward> Read for EntryContent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.0.unread).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        match self.0.input.read(&mut buffer[..want])? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.0.unread -= read as u64;
                self.0.position += read as u64;
                if let Some(hash) = &mut self.0.hash {
                    hash.update(&buffer[..read]);
                }
                Ok(read)
            }
        }
    }
}

impl Pax {
    fn of_header(start: u64, records: &[u8]) -> Result<Pax, TarError> {
        Pax::parse(records).ok_or_else(|| malformed(start, "a PAX header is malformed"))
    }

    /// Reads records, `LENGTH KEY=VALUE\n`; `None` if one is malformed.
    fn parse(mut records: &[u8]) -> Option<Pax> {
        let mut pax = Pax::default();
        let mut map = Vec::new();
        while !records.is_empty() {
            let space = records.iter().take(20).position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            records = &records[length..];
            let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let no_nul = if matches!(key, b"path" | b"linkpath") { value } else { key };
            if no_nul.contains(&0) {
                return None;
            }
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                // Version 0.0 states the map in separate records, alternating offset and length.
                let turn: &[u8] = [b"GNU.sparse.offset".as_slice(), b"GNU.sparse.numbytes"][map.len() % 2];
                map.push(Some(value).filter(|value| key == turn && !value.contains(&b','))?);
            }
            if let Some(key) = PAX_KEYS.into_iter().find(|known| known.as_bytes() == key) {
                pax.0.insert(key, value.to_vec());
            }
        }
        if !map.is_empty() {
            pax.0.insert("GNU.sparse.map", map.join(&b','));
        }
        Some(pax)
    }

    fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    fn take(&mut self, key: &str) -> Option<Vec<u8>> {
        self.0.remove(key).filter(|value| !value.is_empty())
    }

    /// A number, if the key is present; the outer `None` if the value is not a number.
    fn number(&self, key: &str) -> Option<Option<i64>> {
        let parse = |value| std::str::from_utf8(value).ok()?.parse::<i64>().ok();
        self.get(key).map_or(Some(None), |value| parse(value).map(Some))
    }

    /// Whether the file is sparse: by an existing version of the format, or by a map without a version. A size alone
    /// does not make it sparse; believing it would hide bytes.
    fn is_sparse(&self) -> bool {
        match ["GNU.sparse.major", "GNU.sparse.minor"].map(|key| self.get(key)) {
            [None, None] => self.get("GNU.sparse.map").is_some(),
            [Some(b"0"), Some(b"0" | b"1")] | [Some(b"1"), Some(b"0")] => true,
            _ => false,
        }
    }
}

/// The kind of an entry with this header and name.
fn kind_of(header: &Header, path: &[u8]) -> EntryKind {
    match header.entry_type() {
        // Before POSIX, a directory was a file whose name ends in a slash.
        EntryType::Regular if header.as_bytes()[156] == 0 && path.ends_with(b"/") => EntryKind::Dir,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => EntryKind::File,
        EntryType::Link => EntryKind::HardLink,
        EntryType::Symlink => EntryKind::Symlink,
        EntryType::Directory => EntryKind::Dir,
        EntryType::Char | EntryType::Block | EntryType::Fifo => EntryKind::Special,
        other => EntryKind::Other(other.as_byte()),
    }
}

/// Adds the fragments of one block of GNU's old map, which ends at the first empty one.
fn add_fragments(map: &mut SparseMap, fragments: &[GnuSparseHeader]) -> Option<()> {
    let mut used = fragments.iter().take_while(|fragment| fragment.offset[0] != 0);
    used.try_for_each(|fragment| map.add(amount(&fragment.offset)?, amount(&fragment.numbytes)?))
}

/// A number field of a header: octal, or a signed number in base 256 if its first bit is set. `None` if it does not fit
/// 64 bits; an empty one is 0.
fn number(field: &[u8]) -> Option<i64> {
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // The bit after the first is the sign.
        let start = i64::from((first << 1).cast_signed() >> 1);
        let append = |sum: i64, byte: &u8| sum.checked_mul(256)?.checked_add(i64::from(*byte));
        return rest.iter().try_fold(start, append);
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    let digits = text.split('\0').next().unwrap_or_default();
    match digits {
        "" => Some(0),
        digits if digits.starts_with(['+', '-']) => None,
        digits => i64::from_str_radix(digits, 8).ok(),
    }
}

/// A number field that cannot be negative.
fn amount(field: &[u8]) -> Option<u64> {
    number(field).and_then(|number| u64::try_from(number).ok())
}

/// The size of stored content.
fn content_size(start: u64, claimed: i64) -> Result<u64, TarError> {
    u64::try_from(claimed).map_err(|_| malformed(start, UNREADABLE_SIZE))
}

fn verify_checksum(offset: u64, header: &Header) -> Result<(), TarError> {
    let bytes = header.as_bytes();
    // The checksum field itself counts as spaces.
    let (field, spaces) = (&bytes[148..156], 8 * i64::from(b' '));
    let unsigned = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let signed = |bytes: &[u8]| bytes.iter().map(|byte| i32::from(*byte as i8)).sum::<i32>();
    let stated = header.cksum().ok().map(i64::from);
    // Some old writers summed signed characters.
    if stated == Some(i64::from(unsigned(bytes)) - i64::from(unsigned(field)) + spaces)
        || stated == Some(i64::from(signed(bytes)) - i64::from(signed(field)) + spaces)
    {
        return Ok(());
    }
    Err(malformed(offset, "the header's checksum does not fit"))
}

/// The name in a GNU extension header; an empty one counts as none.
fn trim_nul(mut name: Vec<u8>) -> Option<Vec<u8>> {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    name.truncate(end);
    Some(name).filter(|name| !name.is_empty())
}

fn malformed(offset: u64, what: impl Into<String>) -> TarError {
    TarError::Malformed { offset, what: what.into() }
}

fn over_limit(offset: u64, bound: &'static str, what: String) -> TarError {
    TarError::OverLimit { offset, refusal: Refusal::new(bound, what) }
}
