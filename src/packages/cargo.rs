//! What a Rust program says of itself: the list of crates that cargo-auditable puts into it, as JSON that is
//! compressed with zlib, in a section `.dep-v0` of its own (cargo-auditable's `PARSING.md`).
//!
//! The table of sections stands at the end of a program and the section before it, and a layer is read
//! without a step back. So whatever on the way looks like such a list is kept, and counts once the table
//! says that a section starts there.

use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};
use serde::Deserialize;

use super::elf::Elf;
use super::word;

/// How much of a program is looked through.
const MAX_READ: u64 = 64 << 20;
/// The largest list: a program of a thousand crates has some 200 kB.
const MAX_LIST: usize = 2 << 20;
/// What may be kept until the table has been seen.
const MAX_FOUND: usize = 8;
/// How a list starts, and how much of it tells. No list is shorter packed than `MIN_PACKED`.
const START: &[u8] = b"{\"packages\":[";
const MIN_PACKED: usize = 24;
/// How zlib's header starts for a window of 32 KiB (RFC 1950).
const ZLIB: u8 = 0x78;
/// How much is packed at most where the list is not all there yet.
const MAX_PACKED: usize = 1 << 20;
/// Looking costs something, found or not: so many bytes each time, and what is uncompressed.
const LOOK_COST: u64 = 4096;
/// What may be spent on a program: so much, and so much for each of its bytes.
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

/// Looks through what a program has behind all that is loaded as it runs: there linkers put the section.
#[derive(Debug)]
pub struct CrateScanner {
    range: Range<u64>,
    /// Where in the file what is held starts.
    start: u64,
    held: Vec<u8>,
    /// How much has to be held before that is looked at again.
    enough: usize,
    found: Vec<(Range<u64>, Crate)>,
    /// What may still be spent.
    work: u64,
}

impl CrateScanner {
    /// Starts with a program's first bytes, as many as [`super::golang::HEAD`] or all; `None` where it is no
    /// program, or has nothing but what is loaded.
    pub fn new(head: &[u8]) -> Option<CrateScanner> {
        let whole = Elf::new(head)?.unloaded()?;
        let length = whole.end.checked_sub(whole.start).filter(|length| *length > 0)?.min(MAX_READ);
        let range = whole.start..whole.start + length;
        let work = WORK.0 + WORK.1 * length;
        Some(CrateScanner { start: range.start, range, held: Vec::new(), enough: 0, found: Vec::new(), work })
    }

    /// The part of the file that is to be fed next.
    pub fn wanted(&self) -> Option<Range<u64>> {
        let at = self.start + self.held.len() as u64;
        let more = self.found.len() < MAX_FOUND && self.work > 0 && at < self.range.end;
        more.then_some(at..self.range.end)
    }

    /// Looks at the bytes that stand at `offset` in the file, which is where the last ones ended or later;
    /// what is not wanted is passed over.
    pub fn feed(&mut self, offset: u64, bytes: &[u8]) {
        let Some(wanted) = self.wanted() else { return };
        let end = offset.saturating_add(bytes.len() as u64).min(wanted.end);
        let start = offset.max(wanted.start);
        if start >= end {
            return;
        }
        if start > wanted.start {
            // Something was left out: what is held does not go on.
            (self.start, self.held, self.enough) = (start, Vec::new(), 0);
        }
        let place = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
        self.held.extend_from_slice(bytes.get(place(start)..place(end)).unwrap_or_default());
        self.look(end == wanted.end);
    }

    /// The crate, where a section starts at a list; `is_section` is asked for the place of each list found.
    pub fn finish(self, is_section: impl Fn(&Range<u64>) -> bool) -> Option<Crate> {
        self.found.into_iter().find(|(place, _)| is_section(place)).map(|(_, found)| found)
    }

    /// Gets past all that is no list. `last`: whether nothing comes after what is held.
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
                    // Twice as much: each byte is looked at a few times, however many come at once.
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

    /// Where zlib's header may start next.
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
    /// A list, and how many bytes it has.
    Whole(Crate, u64),
    /// More bytes are needed to tell.
    Cut,
    Other,
}

/// Unpacks a list. What there is, and how many bytes it was uncompressed to.
fn unpack(packed: &[u8]) -> (AuditData, u64) {
    let mut decoder = Decompress::new(true);
    let uncompressed = unpack_with(&mut decoder, packed);
    (uncompressed, decoder.total_out())
}

/// Unpacks first as much as tells whether it is a list.
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
