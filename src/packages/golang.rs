//! What a Go program says of itself: the build information that Go's linker puts into every program
//! (Go's package `debug/buildinfo`), found on the way through its bytes, without a step back.
//!
//! Only the form of Go 1.18 and later is read, of ELF programs: the earlier one holds addresses.

use std::ops::Range;

pub use super::elf::HEAD;
use super::elf::{Elf, PF_W, PF_X, PT_LOAD, PT_NOTE, Segment};
use super::fields::lines;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Build information is aligned so, in memory and therefore in the file.
const ALIGN: usize = 16;
/// The magic, a pointer size, flags, and space for what the earlier form had there.
const PREFIX: usize = 32;
/// "The strings stand here", in the flags.
const INLINE: u8 = 2;
/// What Go puts before and after the information on modules, so that tools find it.
const SENTINEL: usize = 16;
const MAX_VERSION: usize = 256;
const MAX_MODULES: usize = 1 << 20;
/// How much of a program's data is looked through; the largest known have a few MiB.
const MAX_DATA: u64 = 64 << 20;
/// The note that holds Go's build ID (`cmd/internal/buildid`).
const GO_NOTE: (&[u8], u32) = (b"Go\0\0", 4);

/// The main module of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The module's path, such as `github.com/moby/moby`; of a program built without modules, the
    /// path of its main package.
    pub path: String,
    /// The module's version; of one built from a checkout the start of the revision, or `devel` where
    /// that is unknown.
    pub version: String,
}

/// Whether this is the start of a Go program. At most [`HEAD`] bytes count, so that all that is not
/// one need not be read.
pub fn looks_like_go(head: &[u8]) -> bool {
    data_segment(head).is_some()
}

/// Looks through a program for its build information.
#[derive(Debug)]
pub struct GoScanner {
    data: Range<u64>,
    /// Where in the file the next byte is to come from.
    position: u64,
    /// Bytes from an aligned place on that may be the start of build information.
    held: Vec<u8>,
    done: Option<Option<Module>>,
}

impl GoScanner {
    /// Starts with a program's first bytes, [`HEAD`] or all; `None` where it is no Go program. The
    /// head is still to be fed, where [`GoScanner::data`] starts inside of it.
    pub fn new(head: &[u8]) -> Option<GoScanner> {
        let data = data_segment(head)?;
        Some(GoScanner { position: data.start, data, held: Vec::new(), done: None })
    }

    /// The part of the file that is to be looked through; it may claim more than there is.
    pub fn data(&self) -> Range<u64> {
        self.data.clone()
    }

    /// What of that is to be fed next; `None` where no more is.
    pub fn wanted(&self) -> Option<Range<u64>> {
        (self.done.is_none() && self.position < self.data.end).then_some(self.position..self.data.end)
    }

    /// Looks at the bytes that stand at `offset` in the file; what is outside of
    /// [`GoScanner::data`] is passed over. Returns whether more are wanted.
    pub fn feed(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let end = offset.saturating_add(bytes.len() as u64).min(self.data.end);
        let start = offset.max(self.position);
        if self.done.is_none() && start < end {
            if start > self.position {
                // Something was left out: what is held does not go on.
                self.held.clear();
            }
            let place = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
            self.hold(start, bytes.get(place(start)..place(end)).unwrap_or_default());
            self.position = end;
            self.look();
        }
        self.wanted().is_some()
    }

    /// The module, where build information was found.
    pub fn finish(self) -> Option<Module> {
        self.done.flatten()
    }

    fn hold(&mut self, start: u64, bytes: &[u8]) {
        let unaligned = usize::try_from(start.wrapping_neg() % ALIGN as u64).unwrap_or_default();
        let skip = if self.held.is_empty() { unaligned } else { 0 };
        self.held.extend_from_slice(bytes.get(skip..).unwrap_or_default());
    }

    /// Gets past all that is no build information, and reads it where it is whole.
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
    /// More bytes are needed to tell.
    Cut,
    /// The magic stands there for another reason.
    Other,
}

/// Reads build information: after the prefix the version of Go, and the modules, each with its length
/// before it.
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
/// A string and what follows it.
type ModuleParts<'a> = (&'a [u8], &'a [u8]);

/// A string behind its length; `None` where it is not all there.
fn string(bytes: &[u8], most: usize) -> Result<Option<ModuleParts<'_>>, TooLong> {
    let mut length = 0_usize;
    // Three groups of seven bits are as much as any bound here takes.
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

/// A field of the first line that starts so.
fn value(text: &[u8], start: &[u8], field: usize) -> Option<String> {
    let line = lines(text).find_map(|line| line.strip_prefix(start))?;
    let field = line.split(|byte| *byte == b'\t').nth(field).filter(|field| !field.is_empty())?;
    Some(String::from_utf8_lossy(field).into_owned())
}

/// Where the writable data of a Go program stands in its file: there the linker puts build
/// information. `None` where it is no Go program.
fn data_segment(head: &[u8]) -> Option<Range<u64>> {
    let elf = Elf::new(head)?;
    if !elf.segments().any(|segment| segment.kind == PT_NOTE && elf.has_note(&segment, GO_NOTE)) {
        return None;
    }
    let is_data = |segment: &Segment| {
        segment.kind == PT_LOAD && segment.flags & (PF_X | PF_W) == PF_W && segment.length > 0
    };
    // Some linkers make two segments of it: one that is made read-only once it is loaded.
    let ends =
        elf.segments().filter(is_data).map(|data| (data.offset, data.offset.saturating_add(data.length)));
    let (start, end) = ends.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
    Some(start..end.min(start.saturating_add(MAX_DATA)))
}
