//! Reading a ZIP file as a stream, from its start to its end (PKWARE's "APPNOTE", 4.3 and 4.4): the directory at its
//! end comes too late for reading a layer in one pass, and a file of a few hundred megabytes is not kept in memory.
//! Each entry has its own header before its content. If that does not state the content's length, the content is
//! inflated to find its end.
//!
//! The readers on crates.io seek backwards in the file, or read each entry into memory.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::DeflateDecoder;

/// Bytes that are read once, and that can be skipped.
pub trait Passing: Read {
    /// Skips exactly `count` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if there are fewer; errors of the reader.
    fn pass(&mut self, count: u64) -> io::Result<()>;
}

impl Passing for &[u8] {
    fn pass(&mut self, count: u64) -> io::Result<()> {
        let count = usize::try_from(count).map_err(|_| ErrorKind::UnexpectedEof)?;
        *self = self.get(count..).ok_or(ErrorKind::UnexpectedEof)?;
        Ok(())
    }
}

const CHUNK: usize = 16 * 1024;
const LOCAL: &[u8] = b"PK\x03\x04";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
/// What follows the last entry: the directory, or the end of an empty one.
const ENDS: [&[u8]; 4] = [b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x08"];
/// Maximum bytes before the first entry: a program that starts the archive, such as Spring Boot's.
const MAX_BEFORE: u64 = 256 * 1024;
/// Maximum bytes of an entry's name.
const MAX_NAME: usize = 4096;
const HEADER: usize = 30;
/// The size of an empty archive.
pub const SMALLEST: u64 = 22;

const ENCRYPTED: u16 = 1;
const HAS_DESCRIPTOR: u16 = 8;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const ZIP64: u16 = 1;

/// What may still be done with the archives of a layer.
#[derive(Debug)]
pub struct ArchiveBudget {
    /// Bytes that may still be inflated, or searched to skip them.
    pub inflated: u64,
    /// Entries that may still be looked at.
    pub entries: u64,
}

/// Why an archive was not read to its end.
#[derive(Debug)]
pub enum ZipError {
    /// It is not an archive.
    NoArchive,
    /// It is cut off, or contradicts itself.
    Damaged,
    /// It has a form that cannot be read in one pass.
    UnknownFormat,
    /// It exceeds the [`ArchiveBudget`].
    TooMuch,
}

impl From<io::Error> for ZipError {
    fn from(_: io::Error) -> ZipError {
        ZipError::Damaged
    }
}

/// Where an entry's content comes from: a buffered stream.
struct EntryInput<'a> {
    from: &'a mut dyn Passing,
    buffer: Vec<u8>,
    at: usize,
}

impl Read for EntryInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.fill_buf()?;
        let count = next.len().min(buffer.len());
        let (to, from) = (buffer.get_mut(..count), next.get(..count));
        to.into_iter().zip(from).for_each(|(to, from)| to.copy_from_slice(from));
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for EntryInput<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.buffer.len() {
            self.buffer.resize(CHUNK, 0);
            self.at = 0;
            let read = self.from.read(&mut self.buffer);
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        Ok(self.buffer.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Passing for EntryInput<'_> {
    fn pass(&mut self, count: u64) -> io::Result<()> {
        let buffered = self.buffer.len().saturating_sub(self.at);
        match usize::try_from(count) {
            Ok(count) if count <= buffered => self.at += count,
            _ => {
                self.at = self.buffer.len();
                self.from.pass(count - buffered as u64)?;
            }
        }
        Ok(())
    }
}

/// The content of an entry that is stored uncompressed.
struct StoredContent<'a, 'b> {
    input: &'a mut EntryInput<'b>,
    left: u64,
}

impl Read for StoredContent<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.input.read(buffer.get_mut(..want).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Passing for StoredContent<'_, '_> {
    fn pass(&mut self, count: u64) -> io::Result<()> {
        self.left = self.left.checked_sub(count).ok_or(ErrorKind::UnexpectedEof)?;
        self.input.pass(count)
    }
}

/// The content of a deflated entry; reading it spends the budget.
struct Inflated<'a, R> {
    decoder: DeflateDecoder<R>,
    left: &'a mut u64,
}

impl<R: BufRead> Read for Inflated<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        let left = self.left.checked_sub(read as u64);
        *self.left = left.unwrap_or(0);
        left.map(|_| read).ok_or_else(|| ErrorKind::FileTooLarge.into())
    }
}

impl<R: BufRead> Passing for Inflated<'_, R> {
    fn pass(&mut self, count: u64) -> io::Result<()> {
        match io::copy(&mut self.by_ref().take(count), &mut io::sink())? {
            passed if passed == count => Ok(()),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// An entry of an archive.
#[derive(Debug)]
pub struct ZipEntry {
    /// Its name, as stored in the archive.
    pub name: Vec<u8>,
    flags: u16,
    method: u16,
    /// The bytes of its content in the archive, if the header states them.
    pub stored: Option<u64>,
}

impl ZipEntry {
    /// Whether its content is stored uncompressed.
    pub fn is_stored(&self) -> bool {
        self.method == STORED
    }
}

/// Receives the entries of an archive.
pub trait ZipVisitor {
    /// Whether the content of this entry is wanted.
    fn wants(&self, entry: &ZipEntry) -> bool;
    /// Reads the content of a wanted entry, or a part of it. What it inflates inside that content is charged to `work`;
    /// reading the content itself is not.
    ///
    /// # Errors
    /// If the archive is not to be read further.
    fn look(
        &mut self,
        entry: &ZipEntry,
        content: &mut dyn Passing,
        work: &mut ArchiveBudget,
    ) -> Result<(), ZipError>;
    /// Called after an entry that was looked at; its content had this many bytes in the archive.
    fn passed(&mut self, stored: u64);
}

/// Visits each entry, in the order of the archive.
///
/// # Errors
/// If it cannot be read to its last entry.
pub fn each(
    from: &mut dyn Passing,
    work: &mut ArchiveBudget,
    look: &mut dyn ZipVisitor,
) -> Result<(), ZipError> {
    let mut input = EntryInput { from, buffer: Vec::new(), at: 0 };
    let mut signature = find_start(&mut input)?;
    while signature == LOCAL {
        work.entries = work.entries.checked_sub(1).ok_or(ZipError::TooMuch)?;
        let entry = read_header(&mut input)?;
        take_entry(&mut input, &entry, work, look)?;
        let mut next = [0; 4];
        input.read_exact(&mut next)?;
        signature = next;
    }
    if ENDS.contains(&signature.as_slice()) { Ok(()) } else { Err(ZipError::Damaged) }
}

/// Skips to after the first signature.
fn find_start(input: &mut EntryInput<'_>) -> Result<[u8; 4], ZipError> {
    let mut signature = [0; 4];
    input.read_exact(&mut signature).map_err(|_| ZipError::NoArchive)?;
    let starts = |signature: &[u8; 4]| signature == LOCAL || ENDS.contains(&signature.as_slice());
    if !starts(&signature) && !signature.starts_with(b"#!") {
        return Err(ZipError::NoArchive);
    }
    for _ in 0..MAX_BEFORE {
        if starts(&signature) {
            return Ok(signature);
        }
        signature.rotate_left(1);
        input.read_exact(&mut signature[3..]).map_err(|_| ZipError::NoArchive)?;
    }
    Err(ZipError::NoArchive)
}

/// Reads the header of an entry, after its signature.
fn read_header(input: &mut EntryInput<'_>) -> Result<ZipEntry, ZipError> {
    let mut header = [0; HEADER];
    input.read_exact(&mut header[4..])?;
    let half =
        |at: usize| header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |two| u16::from_le_bytes(*two));
    let word = |at: usize| {
        header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_le_bytes(*four))
    };
    let (flags, method, stored) = (half(6), half(8), word(18));
    let (name_length, extra_length) = (usize::from(half(26)), usize::from(half(28)));
    if name_length > MAX_NAME {
        return Err(ZipError::Damaged);
    }
    let (mut name, mut extra) = (vec![0; name_length], vec![0; extra_length]);
    input.read_exact(&mut name)?;
    input.read_exact(&mut extra)?;
    let stored = match stored {
        _ if flags & HAS_DESCRIPTOR != 0 => None,
        u32::MAX => Some(long_length(&extra).ok_or(ZipError::Damaged)?),
        stored => Some(u64::from(stored)),
    };
    Ok(ZipEntry { name, flags, method, stored })
}

/// The stored length of content of over 4 GiB, after the uncompressed length.
fn long_length(mut extra: &[u8]) -> Option<u64> {
    loop {
        let (head, rest) = extra.split_first_chunk::<4>()?;
        let [kind, length] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_le_bytes);
        let (field, after) = rest.split_at_checked(usize::from(length))?;
        if kind == ZIP64 {
            return Some(u64::from_le_bytes(*field.get(8..)?.first_chunk()?));
        }
        extra = after;
    }
}

fn take_entry(
    input: &mut EntryInput<'_>,
    entry: &ZipEntry,
    work: &mut ArchiveBudget,
    look: &mut dyn ZipVisitor,
) -> Result<(), ZipError> {
    let wanted = look.wants(entry) && entry.flags & ENCRYPTED == 0;
    let length = match (entry.method, entry.stored) {
        (STORED | DEFLATED, Some(length)) if wanted => {
            let mut content = StoredContent { input, left: length };
            match entry.is_stored() {
                true => look.look(entry, &mut content, work)?,
                false => {
                    inflate(io::BufReader::with_capacity(CHUNK, &mut content), entry, work, look)?;
                }
            }
            let left = content.left;
            content.pass(left)?;
            length
        }
        (_, Some(length)) => {
            input.pass(length)?;
            length
        }
        (DEFLATED, None) if entry.flags & ENCRYPTED == 0 => {
            let looks: &mut dyn ZipVisitor = if wanted { look } else { &mut Nothing };
            let lengths = inflate(&mut *input, entry, work, looks)?;
            pass_descriptor(input, lengths)?;
            lengths.0
        }
        (_, None) => return Err(ZipError::UnknownFormat),
    };
    if wanted {
        look.passed(length);
    }
    Ok(())
}

/// Ignores the content.
struct Nothing;

impl ZipVisitor for Nothing {
    fn wants(&self, _: &ZipEntry) -> bool {
        false
    }

    fn look(&mut self, _: &ZipEntry, _: &mut dyn Passing, _: &mut ArchiveBudget) -> Result<(), ZipError> {
        Ok(())
    }

    fn passed(&mut self, _: u64) {}
}

/// Inflates an entry to its end. Returns its bytes in the archive, and its inflated bytes.
fn inflate(
    from: impl BufRead,
    entry: &ZipEntry,
    work: &mut ArchiveBudget,
    look: &mut dyn ZipVisitor,
) -> Result<(u64, u64), ZipError> {
    let mut left = work.inflated;
    let mut content = Inflated { decoder: DeflateDecoder::new(from), left: &mut left };
    // Both levels draw on one budget: the outer one waits while the inner one works.
    let mut inner = ArchiveBudget { inflated: work.inflated, entries: work.entries };
    let looked = look.look(entry, &mut content, &mut inner);
    let drained = looked.and_then(|()| Ok(io::copy(&mut content, &mut io::sink()).map(drop)?));
    let lengths = (content.decoder.total_in(), content.decoder.total_out());
    let spent = (work.inflated - left) + (work.inflated - inner.inflated);
    work.entries = inner.entries;
    match work.inflated.checked_sub(spent) {
        Some(inflated) if left > 0 || drained.is_ok() => work.inflated = inflated,
        _ => {
            work.inflated = 0;
            return Err(ZipError::TooMuch);
        }
    }
    drained.map(|()| lengths)
}

/// Skips what follows content whose length its header does not state: a checksum, and two lengths of four bytes each,
/// or of eight.
fn pass_descriptor(input: &mut EntryInput<'_>, (stored, length): (u64, u64)) -> Result<(), ZipError> {
    let mut start = [0; 4];
    input.read_exact(&mut start)?;
    if start == DESCRIPTOR {
        input.read_exact(&mut start)?;
    }
    let mut lengths = [0; 8];
    input.read_exact(&mut lengths)?;
    // The lower halves: for content of over 4 GiB the lengths are long.
    let short = [stored as u32, length as u32].map(u32::to_le_bytes).concat();
    match lengths {
        lengths if short == lengths => Ok(()),
        lengths if u64::from_le_bytes(lengths) == stored => Ok(input.pass(8)?),
        _ => Err(ZipError::Damaged),
    }
}
