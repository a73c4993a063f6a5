//! What a Rust program says about itself: the list of crates that cargo-auditable embeds, as JSON compressed with zlib,
//! in its own section `.dep-v0` (cargo-auditable's `PARSING.md`).
//!
//! The section table is at the end of a program, after the section, and a layer is read without going back. So
//! everything on the way that looks like such a list is kept, and counts once the table says that a section starts
//! there.

use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};
use serde::Deserialize;

use super::elf::Elf;
use super::word;

/// How much of a program is searched.
const MAX_READ: u64 = 64 << 20;
/// Maximum bytes of a list: a program of a thousand crates has some 200 kB.
const MAX_LIST: usize = 2 << 20;
/// Maximum lists kept until the section table has been read.
const MAX_FOUND: usize = 8;
/// How a list starts. Compressed, no list is shorter than `MIN_PACKED`.
const START: &[u8] = b"{\"packages\":[";
const MIN_PACKED: usize = 24;
/// The first byte of a zlib header for a window of 32 KiB (RFC 1950).
const ZLIB: u8 = 0x78;
/// Maximum compressed bytes to wait for while a list is incomplete.
const MAX_PACKED: usize = 1 << 20;
/// The cost of each attempt, successful or not, in addition to the bytes that it decompresses.
const LOOK_COST: u64 = 4096;
/// The budget of a program: a fixed part, and a part for each of its bytes.
const WORK: (u64, u64) = (64 << 10, 8);

/// The main crate of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

#[derive(Deserialize)]
struct CrateList {
    packages: Vec<ListedCrate>,
}

#[derive(Deserialize)]
struct ListedCrate {
    name: String,
    version: String,
    #[serde(default)]
    root: bool,
}

/// Searches the part of a program after everything that is loaded to run it: linkers put the section there.
#[derive(Debug)]
pub struct CrateScanner {
    range: Range<u64>,
    /// Where in the file the held bytes start.
    start: u64,
    held: Vec<u8>,
    /// How many bytes have to be held before they are searched again.
    enough: usize,
    found: Vec<(Range<u64>, Crate)>,
    /// The remaining budget.
    work: u64,
}

impl CrateScanner {
    /// Starts with a program's first bytes, as many as [`super::golang::HEAD`] or all; `None` if it is not a program,
    /// or has nothing after the loaded part.
    pub fn new(head: &[u8]) -> Option<CrateScanner> {
        let whole = Elf::new(head)?.unloaded()?;
        let length = whole.end.checked_sub(whole.start).filter(|length| *length > 0)?.min(MAX_READ);
        let range = whole.start..whole.start + length;
        let work = WORK.0 + WORK.1 * length;
        Some(CrateScanner { start: range.start, range, held: Vec::new(), enough: 0, found: Vec::new(), work })
    }

    /// The part of the file to feed next.
    pub fn wanted(&self) -> Option<Range<u64>> {
        let at = self.start + self.held.len() as u64;
        let more = self.found.len() < MAX_FOUND && self.work > 0 && at < self.range.end;
        more.then_some(at..self.range.end)
    }

    /// Searches the bytes at `offset` in the file, which is where the last ones ended or later; bytes that are not
    /// wanted are ignored.
    pub fn feed(&mut self, offset: u64, bytes: &[u8]) {
        let Some(wanted) = self.wanted() else { return };
        let end = offset.saturating_add(bytes.len() as u64).min(wanted.end);
        let start = offset.max(wanted.start);
        if start >= end {
            return;
        }
        if start > wanted.start {
            // There is a gap: the held bytes do not continue.
            (self.start, self.held, self.enough) = (start, Vec::new(), 0);
        }
        let place = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
        self.held.extend_from_slice(bytes.get(place(start)..place(end)).unwrap_or_default());
        self.look(end == wanted.end);
    }

    /// The crate, if a section starts at a list; `is_section` is called with the range of each list found.
    pub fn finish(self, is_section: impl Fn(&Range<u64>) -> bool) -> Option<Crate> {
        self.found.into_iter().find(|(place, _)| is_section(place)).map(|(_, found)| found)
    }

    /// Skips everything that is not a list. `last`: whether nothing comes after the held bytes.
    fn look(&mut self, last: bool) {
        if !last && self.held.len() < self.enough {
            return;
        }
        self.enough = 0;
        let mut at = 0;
        while let Some(next) = self.next(at) {
            at = next;
            let rest = self.held.get(at..).unwrap_or_default();
            if rest.len() < MIN_PACKED && !last {
                self.enough = MIN_PACKED;
                break;
            }
            if self.work == 0 {
                return;
            }
            let (uncompressed, length) = unpack(rest);
            self.work = self.work.saturating_sub(LOOK_COST + length);
            match uncompressed {
                AuditData::Whole(found, length) if self.found.len() < MAX_FOUND => {
                    let start = self.start + at as u64;
                    self.found.push((start..start + length, found));
                    at += 1;
                }
                AuditData::Cut if !last && rest.len() < MAX_PACKED => {
                    // Wait for twice as much: so each byte is searched a few times, however few arrive at once.
                    self.enough = 2 * rest.len();
                    break;
                }
                _ => at += 1,
            }
        }
        let passed = self.next(at).unwrap_or(self.held.len());
        self.start += passed as u64;
        self.held.drain(..passed);
    }

    /// Where the next zlib header may start.
    fn next(&self, at: usize) -> Option<usize> {
        let is_header = |pair: &[u8]| match pair {
            [ZLIB, flags] => {
                (u16::from(ZLIB) << 8 | u16::from(*flags)).is_multiple_of(31) && flags & 0x20 == 0
            }
            _ => false,
        };
        let rest = self.held.get(at..)?;
        let found = memchr::memchr_iter(ZLIB, rest).find(|at| match rest.get(*at..at + 2) {
            Some(pair) => is_header(pair),
            None => true,
        });
        found.map(|found| at + found)
    }
}

enum AuditData {
    /// A list, and its compressed length.
    Whole(Crate, u64),
    /// More bytes are needed to decide.
    Cut,
    Other,
}

/// Decompresses a list. Returns what it is, and how many bytes were decompressed.
fn unpack(packed: &[u8]) -> (AuditData, u64) {
    let mut decoder = Decompress::new(true);
    let uncompressed = unpack_with(&mut decoder, packed);
    (uncompressed, decoder.total_out())
}

/// First decompresses just enough to tell whether it is a list.
fn unpack_with(decoder: &mut Decompress, packed: &[u8]) -> AuditData {
    let mut text = vec![0; START.len()];
    let started = decoder.decompress(packed, &mut text, FlushDecompress::None);
    let out = usize::try_from(decoder.total_out()).unwrap_or_default();
    match started {
        Err(_) => return AuditData::Other,
        Ok(_) if text.get(..out) != START.get(..out) => return AuditData::Other,
        Ok(Status::StreamEnd) => return AuditData::Other,
        Ok(_) if out < START.len() => return AuditData::Cut,
        Ok(_) => {}
    }
    loop {
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let rest = packed.get(usize::try_from(read).unwrap_or(usize::MAX)..).unwrap_or_default();
        text.reserve(4096);
        let status = decoder.decompress_vec(rest, &mut text, FlushDecompress::None);
        let stands = (read, written) == (decoder.total_in(), decoder.total_out());
        match status {
            Ok(Status::StreamEnd) => break,
            Ok(_) if text.len() > MAX_LIST => return AuditData::Other,
            Ok(_) if !stands => {}
            Ok(_) if rest.is_empty() => return AuditData::Cut,
            _ => return AuditData::Other,
        }
    }
    let length = decoder.total_in();
    main_crate(&text).map_or(AuditData::Other, |found| AuditData::Whole(found, length))
}

fn main_crate(text: &[u8]) -> Option<Crate> {
    let list: CrateList = serde_json::from_slice(text).ok()?;
    let main = list.packages.into_iter().find(|listed| listed.root)?;
    Some(Crate { name: word(main.name.as_bytes())?, version: word(main.version.as_bytes())? })
}
