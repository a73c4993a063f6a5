//! Walking a tar: entry headers in order, content skipped or handed out, memory bounded whatever
//! the headers claim.
//!
//! The formats are those of POSIX.1-2017 "pax Interchange Format" and the GNU tar manual. Where
//! they leave a choice, the answer is that of Go's `archive/tar`, by which engines write and read
//! layers. Field parsing is the `tar` crate's; the loop is ours, because that crate reads a long
//! name of any claimed length into memory.

use std::io::{self, ErrorKind, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};

use super::bounds::{Bounds, Refusal};
use super::input::Forward;

const BLOCK: u64 = 512;
/// The most blocks of a GNU sparse map that are read for one file.
const MAX_SPARSE_BLOCKS: usize = 16 * 1024;

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
    /// A bound that keeps hostile input from using up memory.
    #[error("refused: at byte {offset} of the tar, {refusal}")]
    OverLimit {
        /// Where in the tar the entry starts.
        offset: u64,
        /// Which bound, and by what.
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
pub enum Kind {
    /// A regular file.
    File,
    /// A further name of a file.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Dir,
    /// A device or a pipe.
    Special,
}

/// One entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// The name, as the tar has it.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The bytes of the file once unpacked: of a sparse file, holes included.
    pub size: u64,
    /// The target of a hard or symbolic link, as the tar has it.
    pub link: Vec<u8>,
    /// Where in the tar the entry's stored content starts.
    pub offset: u64,
    /// How many bytes of content are stored there.
    pub stored: u64,
}

/// What extension headers say of the entry that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    sparse_version: [Option<Vec<u8>>; 2],
    sparse_map: bool,
}

/// Walks a tar, one entry at a time.
pub struct TarWalker<R> {
    input: R,
    /// Bytes got past.
    position: u64,
    /// Content of the current entry that nobody has read yet, and its padding.
    unread: u64,
    padding: u64,
    bounds: Bounds,
}

impl<R: Forward> TarWalker<R> {
    /// Starts at the first header.
    pub fn new(input: R, bounds: &Bounds) -> TarWalker<R> {
        TarWalker { input, position: 0, unread: 0, padding: 0, bounds: bounds.clone() }
    }

    /// The next entry, or `None` at the tar's end. Content of the entry before is skipped.
    ///
    /// # Errors
    /// [`TarError`], after which the walk cannot go on.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            self.finish_entry()?;
            let start = self.position;
            let Some(header) = self.read_header()? else { return Ok(None) };
            let claimed =
                header.entry_size().map_err(|e| malformed(start, format!("the size is unreadable ({e})")))?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    extensions.path = Some(trim_nul(self.read_metadata(start, claimed)?))
                }
                EntryType::GNULongLink => {
                    extensions.link = Some(trim_nul(self.read_metadata(start, claimed)?))
                }
                EntryType::XHeader => {
                    let records = self.read_metadata(start, claimed)?;
                    extensions
                        .read_pax(&records)
                        .ok_or_else(|| malformed(start, "a PAX header is malformed"))?;
                }
                EntryType::XGlobalHeader => drop(self.read_metadata(start, claimed)?),
                _ => return self.entry(start, &header, claimed, extensions).map(Some),
            }
        }
    }

    /// Reads the current entry's stored content.
    pub fn content(&mut self) -> Content<'_, R> {
        Content(self)
    }

    /// The input, at wherever the walk has come to.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn entry(
        &mut self,
        start: u64,
        header: &Header,
        claimed: u64,
        extensions: Extensions,
    ) -> Result<TarEntry, TarError> {
        // A sparse file's `path` is a made-up one for readers that do not know the format.
        let sparse = extensions.is_sparse();
        let named = extensions.sparse_name.filter(|_| sparse).or(extensions.path);
        let path = named.unwrap_or_else(|| header.path_bytes().into_owned());
        let link =
            extensions.link.or_else(|| header.link_name_bytes().map(|b| b.into_owned())).unwrap_or_default();
        self.check_names(start, &path, &link)?;
        let kind = match header.entry_type() {
            // Before POSIX, a directory was a file whose name ends in a slash.
            EntryType::Regular if header.as_bytes()[156] == 0 && path.ends_with(b"/") => Kind::Dir,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
            EntryType::Link => Kind::HardLink,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Directory => Kind::Dir,
            EntryType::Char | EntryType::Block | EntryType::Fifo => Kind::Special,
            other => {
                let flag = char::from(other.as_byte()).escape_default();
                return Err(malformed(start, format!("an entry of unknown type `{flag}`")));
            }
        };
        // Only regular files have content; what other headers say of a size is to be ignored.
        let holds_content =
            matches!(header.entry_type(), EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse);
        let stored = if holds_content { extensions.size.unwrap_or(claimed) } else { 0 };
        let mut size = extensions.sparse_size.filter(|_| sparse).unwrap_or(stored);
        if header.entry_type() == EntryType::GNUSparse {
            size = self.read_gnu_sparse(start, header)?;
        }
        self.unread = stored;
        self.padding = stored.wrapping_neg() % BLOCK;
        if self.position.checked_add(stored).and_then(|end| end.checked_add(self.padding)).is_none() {
            return Err(malformed(start, "the size is impossible"));
        }
        let size = if kind == Kind::File { size } else { 0 };
        Ok(TarEntry { path, kind, size, link, offset: self.position, stored })
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

    fn finish_entry(&mut self) -> Result<(), TarError> {
        let rest = self.unread + self.padding;
        self.input.skip(rest).map_err(|error| self.read_error(error))?;
        self.position += rest;
        (self.unread, self.padding) = (0, 0);
        Ok(())
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

    /// One block, or `None` where the input ends cleanly before it.
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
        self.unread = claimed;
        self.padding = claimed.wrapping_neg() % BLOCK;
        let mut content = Vec::new();
        self.content().read_to_end(&mut content).map_err(|error| self.read_error(error))?;
        Ok(content)
    }

    /// The real size of a file in GNU's old sparse format; its map may go on in further blocks.
    fn read_gnu_sparse(&mut self, start: u64, header: &Header) -> Result<u64, TarError> {
        let gnu = header.as_gnu().ok_or_else(|| malformed(start, "a sparse file without a GNU header"))?;
        let size = gnu.real_size().map_err(|_| malformed(start, "a sparse file without its size"))?;
        let mut extended = gnu.is_extended();
        for _ in 0..MAX_SPARSE_BLOCKS {
            if !extended {
                return Ok(size);
            }
            let block = self.read_block()?.ok_or(TarError::Truncated(self.position))?;
            let mut map = GnuExtSparseHeader::new();
            map.as_mut_bytes().copy_from_slice(block.as_bytes());
            extended = map.is_extended();
        }
        Err(TarError::EndlessMap(start))
    }

    fn read_error(&self, error: io::Error) -> TarError {
        match error.kind() {
            ErrorKind::UnexpectedEof => TarError::Truncated(self.position),
            _ => TarError::Read(error),
        }
    }
}

/// The stored content of the entry that a walk is at.
pub struct Content<'a, R>(&'a mut TarWalker<R>);

impl<R: Forward> Read for Content<'_, R> {
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
                Ok(read)
            }
        }
    }
}

impl Extensions {
    /// Whether the file is a sparse one: by a map, or by a version of the format that there is. A
    /// size alone makes none, and believing it would hide bytes.
    fn is_sparse(&self) -> bool {
        let version = self.sparse_version.each_ref().map(|part| part.as_deref());
        self.sparse_map || matches!(version, [Some(b"0"), Some(b"0" | b"1")] | [Some(b"1"), Some(b"0")])
    }

    /// Reads PAX records, `LENGTH KEY=VALUE\n`; `None` where one is malformed.
    fn read_pax(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let space = records.iter().take(20).position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            records = &records[length..];
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"GNU.sparse.name" => self.sparse_name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" if value.is_empty() => self.size = None,
                b"size" => self.size = Some(number()?),
                b"GNU.sparse.major" => self.sparse_version[0] = Some(value.to_vec()),
                b"GNU.sparse.minor" => self.sparse_version[1] = Some(value.to_vec()),
                b"GNU.sparse.map" | b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse_map = true,
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse_size = Some(number()?),
                _ => {}
            }
        }
        Some(())
    }
}

fn verify_checksum(offset: u64, header: &Header) -> Result<(), TarError> {
    let bytes = header.as_bytes();
    let sum = |sign: fn(u8) -> i64| -> i64 {
        bytes
            .iter()
            .enumerate()
            .map(|(at, byte)| sign(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum()
    };
    let stated = header.cksum().ok().map(i64::from);
    // Some old writers summed signed characters.
    if stated == Some(sum(i64::from)) || stated == Some(sum(|byte| i64::from(byte as i8))) {
        return Ok(());
    }
    Err(malformed(offset, "the header's checksum does not fit"))
}

fn trim_nul(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    name.truncate(end);
    name
}

fn malformed(offset: u64, what: impl Into<String>) -> TarError {
    TarError::Malformed { offset, what: what.into() }
}

fn over_limit(offset: u64, bound: &'static str, what: String) -> TarError {
    TarError::OverLimit { offset, refusal: Refusal::new(bound, what) }
}
