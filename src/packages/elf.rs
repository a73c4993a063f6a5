//! The headers at the start of a program, as far as they tell where to read further.

use std::ops::Range;

/// How many bytes tell whether a program is Go's, and where its build information is. Go's own linker keeps its note
/// within these, and external linkers put notes after the headers.
pub const HEAD: usize = 4096;
const MAX_SEGMENTS: u64 = 256;

/// Types of segments, and their permissions.
pub const PT_LOAD: u32 = 1;
pub const PT_NOTE: u32 = 4;
pub const PF_X: u32 = 1;
pub const PF_W: u32 = 2;

/// How numbers are written in an ELF file (System V ABI, "ELF Identification").
#[derive(Debug, Clone, Copy)]
pub struct ElfFormat {
    /// Whether offsets and lengths have 8 bytes, not 4.
    pub wide: bool,
    big_endian: bool,
}

impl ElfFormat {
    /// The format of a file with these first bytes; `None` if it is not an ELF file.
    pub fn of(head: &[u8]) -> Option<ElfFormat> {
        let [class, data] = head.strip_prefix(b"\x7fELF")?.first_chunk::<2>()?;
        let (wide, big_endian) = (*class == 2, *data == 2);
        (matches!(class, 1 | 2) && matches!(data, 1 | 2)).then_some(ElfFormat { wide, big_endian })
    }

    /// The number of `length` bytes at an offset.
    pub fn number(self, bytes: &[u8], at: usize, length: usize) -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}

/// The headers of an ELF file (System V ABI, "Object Files"), as far as they are in its head.
pub struct Elf<'a> {
    head: &'a [u8],
    format: ElfFormat,
}

/// A program header.
pub struct Segment {
    /// Its type.
    pub kind: u32,
    /// Its permissions.
    pub flags: u32,
    /// Where in the file it starts.
    pub offset: u64,
    /// Bytes in the file.
    pub length: u64,
}

impl<'a> Elf<'a> {
    /// Starts with a file's first bytes; `None` if it is not an ELF file.
    pub fn new(head: &'a [u8]) -> Option<Elf<'a>> {
        let head = head.get(..HEAD).unwrap_or(head);
        Some(Elf { head, format: ElfFormat::of(head)? })
    }

    /// A number of `bytes` bytes.
    fn number(&self, at: u64, bytes: usize) -> Option<u64> {
        self.format.number(self.head, usize::try_from(at).ok()?, bytes)
    }

    fn half(&self, at: u64) -> Option<u64> {
        self.number(at, 2)
    }

    fn word(&self, at: u64) -> Option<u32> {
        u32::try_from(self.number(at, 4)?).ok()
    }

    /// An offset or a length, as wide as in this file's class.
    fn offset(&self, at: u64) -> Option<u64> {
        self.number(at, if self.format.wide { 8 } else { 4 })
    }

    /// The program headers that are in the head.
    pub fn segments(&self) -> impl Iterator<Item = Segment> {
        let (table, size, count) = if self.format.wide {
            (self.offset(32), self.half(54), self.half(56))
        } else {
            (self.offset(28), self.half(42), self.half(44))
        };
        let count = count.unwrap_or_default().min(MAX_SEGMENTS);
        (0..count).map_while(move |index| self.segment(table?.checked_add(index * size?)?))
    }

    fn segment(&self, at: u64) -> Option<Segment> {
        at.checked_add(64)?;
        let (flags, offset, length) = if self.format.wide { (4, 8, 32) } else { (24, 4, 16) };
        Some(Segment {
            kind: self.word(at)?,
            flags: self.word(at + flags)?,
            offset: self.offset(at + offset)?,
            length: self.offset(at + length)?,
        })
    }

    /// The range between everything that is loaded and the section table.
    pub fn unloaded(&self) -> Option<Range<u64>> {
        let table = if self.format.wide { self.offset(40) } else { self.offset(32) };
        let loaded = self.segments().filter(|segment| segment.kind == PT_LOAD);
        let end = loaded.map(|segment| segment.offset.saturating_add(segment.length)).max()?;
        Some(end..table?)
    }

    /// Whether one of the notes in a segment has this name and kind.
    pub fn has_note(&self, notes: &Segment, wanted: (&[u8], u32)) -> bool {
        let end = notes.offset.saturating_add(notes.length).min(self.head.len() as u64);
        let mut at = notes.offset;
        while at < end {
            let Some((name, kind, next)) = self.note(at) else { return false };
            if (name, kind) == wanted {
                return true;
            }
            at = next;
        }
        false
    }

    /// A note's name and kind, and where the next one starts: always later, so that reading notes ends.
    fn note(&self, at: u64) -> Option<(&'a [u8], u32, u64)> {
        let (name, content) = (u64::from(self.word(at)?), u64::from(self.word(at.checked_add(4)?)?));
        let start = at + 12;
        let bytes = self.head.get(usize::try_from(start).ok()?..usize::try_from(start + name).ok()?)?;
        let next = (start + name).next_multiple_of(4) + content.next_multiple_of(4);
        Some((bytes, self.word(at + 8)?, next))
    }
}
