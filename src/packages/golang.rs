//! What a Go program says about itself: the build information that Go's linker puts into every program (Go's package
//! `debug/buildinfo`), found while reading forward, without going back.
//!
//! Only ELF programs in the format of Go 1.18 and later are read: the earlier format holds addresses.

use std::ops::Range;

pub use super::elf::HEAD;
use super::elf::{Elf, PF_W, PF_X, PT_LOAD, PT_NOTE, Segment};
use super::fields::lines;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The alignment of build information, in memory and therefore in the file.
const ALIGN: usize = 16;
/// The magic, a pointer size, flags, and unused space that the earlier format needed.
const PREFIX: usize = 32;
/// The flag for strings that are stored inline.
const INLINE: u8 = 2;
/// Go puts this many bytes before and after the module information, so that tools find it.
const SENTINEL: usize = 16;
const MAX_VERSION: usize = 256;
const MAX_MODULES: usize = 1 << 20;
/// How much of a program's data is searched; the largest known have a few MiB.
const MAX_DATA: u64 = 64 << 20;
/// The note that holds Go's build ID (`cmd/internal/buildid`).
const GO_NOTE: (&[u8], u32) = (b"Go\0\0", 4);

/// The main module of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The module's path, such as `github.com/moby/moby`; for a program built without modules, the path of its main
    /// package.
    pub path: String,
    /// The module's version; for one built from a checkout, the start of the revision, or `devel` if that is unknown.
    pub version: String,
}

/// Whether this is the start of a Go program. At most [`HEAD`] bytes count, so that the rest of other files need not be
/// read.
pub fn looks_like_go(head: &[u8]) -> bool {
    data_segment(head).is_some()
}

/// Searches a program for its build information.
#[derive(Debug)]
pub struct GoScanner {
    data: Range<u64>,
    /// The file offset of the next byte to feed.
    position: u64,
    /// Bytes from an aligned offset on that may be the start of build information.
    held: Vec<u8>,
    done: Option<Option<Module>>,
}

impl GoScanner {
    /// Starts with a program's first bytes, [`HEAD`] or all; `None` if it is not a Go program. The head has to be fed
    /// too if [`GoScanner::data`] starts inside it.
    pub fn new(head: &[u8]) -> Option<GoScanner> {
        let data = data_segment(head)?;
        Some(GoScanner { position: data.start, data, held: Vec::new(), done: None })
    }

    /// The part of the file to search; it may claim more than there is.
    pub fn data(&self) -> Range<u64> {
        self.data.clone()
    }

    /// What to feed next; `None` if no more is needed.
    pub fn wanted(&self) -> Option<Range<u64>> {
        (self.done.is_none() && self.position < self.data.end).then_some(self.position..self.data.end)
    }

    /// Searches the bytes at `offset` in the file; those outside [`GoScanner::data`] are ignored. Returns whether more
    /// are wanted.
    pub fn feed(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let end = offset.saturating_add(bytes.len() as u64).min(self.data.end);
        let start = offset.max(self.position);
        if self.done.is_none() && start < end {
            if start > self.position {
                // There is a gap: the held bytes do not continue.
                self.held.clear();
            }
            let place = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
            self.hold(start, bytes.get(place(start)..place(end)).unwrap_or_default());
            self.position = end;
            self.look();
        }
        self.wanted().is_some()
    }

    /// The module, if build information was found.
    pub fn finish(self) -> Option<Module> {
        self.done.flatten()
    }

    fn hold(&mut self, start: u64, bytes: &[u8]) {
        let unaligned = usize::try_from(start.wrapping_neg() % ALIGN as u64).unwrap_or_default();
        let skip = if self.held.is_empty() { unaligned } else { 0 };
        self.held.extend_from_slice(bytes.get(skip..).unwrap_or_default());
    }

    /// Skips everything that is not build information, and reads it once it is complete.
    fn look(&mut self) {
        let mut at = 0;
        while let Some(block) = self.held.get(at..).filter(|rest| rest.len() >= ALIGN) {
            if block.starts_with(MAGIC) {
                match parse(block) {
                    Parsed::Whole(module) => {
                        self.done = Some(module);
                        self.held = Vec::new();
                        return;
                    }
                    Parsed::Cut => break,
                    Parsed::Other => {}
                }
            }
            at += ALIGN;
        }
        self.held.drain(..at.min(self.held.len()));
    }
}

enum Parsed {
    Whole(Option<Module>),
    /// More bytes are needed to decide.
    Cut,
    /// The magic occurs there by chance.
    Other,
}

/// Reads build information: after the prefix, the version of Go and the modules, each preceded by its length.
fn parse(held: &[u8]) -> Parsed {
    let Some((prefix, rest)) = held.split_at_checked(PREFIX) else { return Parsed::Cut };
    if prefix.get(ALIGN - 1).is_none_or(|flags| flags & INLINE == 0) {
        return Parsed::Other;
    }
    let (go, rest) = match string(rest, MAX_VERSION) {
        Ok(Some(parts)) => parts,
        Ok(None) => return Parsed::Cut,
        Err(TooLong) => return Parsed::Other,
    };
    if !go.starts_with(b"go") && !go.starts_with(b"devel") {
        return Parsed::Other;
    }
    match string(rest, MAX_MODULES) {
        Ok(Some((modules, _))) => Parsed::Whole(main_module(modules)),
        Ok(None) => Parsed::Cut,
        Err(TooLong) => Parsed::Other,
    }
}

struct TooLong;
/// A string, and the bytes after it.
type ModuleParts<'a> = (&'a [u8], &'a [u8]);

/// A string preceded by its length; `None` if it is incomplete.
fn string(bytes: &[u8], most: usize) -> Result<Option<ModuleParts<'_>>, TooLong> {
    let mut length = 0_usize;
    // Three groups of seven bits hold any length that is allowed here.
    for (at, byte) in bytes.iter().take(3).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let rest = bytes.get(at + 1..).unwrap_or_default();
            return if length > most { Err(TooLong) } else { Ok(rest.split_at_checked(length)) };
        }
    }
    if bytes.len() < 3 { Ok(None) } else { Err(TooLong) }
}

/// Reads the lines between the sentinels: `path`, `mod`, `dep` and `build`, with tabs between their
/// fields (`runtime/debug`, `BuildInfo.String`).
fn main_module(modules: &[u8]) -> Option<Module> {
    let modules = modules.get(SENTINEL..modules.len().checked_sub(SENTINEL)?)?;
    let text = modules.strip_suffix(b"\n")?;
    let path = value(text, b"mod\t", 0).or_else(|| value(text, b"path\t", 0));
    let path = path.filter(|path| path != "command-line-arguments")?;
    let version = value(text, b"mod\t", 1).filter(|version| version != "(devel)");
    let revision =
        || value(text, b"build\tvcs.revision=", 0).map(|revision| revision.chars().take(12).collect());
    Some(Module { path, version: version.or_else(revision).unwrap_or_else(|| "devel".into()) })
}

/// A field of the first line with this start.
fn value(text: &[u8], start: &[u8], field: usize) -> Option<String> {
    let line = lines(text).find_map(|line| line.strip_prefix(start))?;
    let field = line.split(|byte| *byte == b'\t').nth(field).filter(|field| !field.is_empty())?;
    Some(String::from_utf8_lossy(field).into_owned())
}

/// The range of a Go program's writable data in its file, where the linker puts build information. `None` if it is not
/// a Go program.
fn data_segment(head: &[u8]) -> Option<Range<u64>> {
    let elf = Elf::new(head)?;
    if !elf.segments().any(|segment| segment.kind == PT_NOTE && elf.has_note(&segment, GO_NOTE)) {
        return None;
    }
    let is_data = |segment: &Segment| {
        segment.kind == PT_LOAD && segment.flags & (PF_X | PF_W) == PF_W && segment.length > 0
    };
    // Some linkers split it into two segments, one of which becomes read-only after loading.
    let ends =
        elf.segments().filter(is_data).map(|data| (data.offset, data.offset.saturating_add(data.length)));
    let (start, end) = ends.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
    Some(start..end.min(start.saturating_add(MAX_DATA)))
}
