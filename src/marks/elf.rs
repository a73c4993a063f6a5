//! What `strip` would remove from an ELF file: its symbols and what debuggers read, found by the section table (System
//! V ABI, "Sections") while reading forward, without going back.
//!
//! The result equals GNU's `strip`, to the byte, if the sections' names can be read: most linkers write them right
//! before the table, and Go's after it. LLVM's puts a table of all symbols in between; its files are evaluated only by
//! the sections' types and flags, which gives all but a few hundred bytes.

use std::ops::Range;

use crate::packages::elf::ElfFormat;

/// How many bytes of a file tell where its section table is.
pub const HEAD: usize = 64;

/// How much before the table is read: room for the names of some hundred sections.
const BEFORE: u64 = 4096;
const MAX_SECTIONS: u64 = 4096;
const MAX_NAMES: u64 = 64 << 10;
/// Maximum bytes of what a compiler says about itself.
const MAX_COMMENT: u64 = 4096;

/// Types of files, and types and flags of sections.
const ET_REL: u64 = 1;
const ET_EXEC: u64 = 2;
const ET_DYN: u64 = 3;
const SHT_PROGBITS: u64 = 1;
const SHT_SYMTAB: u64 = 2;
const SHT_STRTAB: u64 = 3;
const SHT_RELA: u64 = 4;
const SHT_NOBITS: u64 = 8;
const SHT_REL: u64 = 9;
const SHT_SYMTAB_SHNDX: u64 = 18;
const SHF_ALLOC: u64 = 2;
const SHF_MERGE_STRINGS: u64 = 0x30;
const SHF_COMPRESSED: u64 = 0x800;

/// The names of sections that only debuggers read (BFD, `elf.c`: they "appear to be recognized only by name, not any
/// sort of flag").
const DEBUG_NAMES: [&[u8]; 6] =
    [b".debug", b".zdebug", b".gnu.debuglto_.debug_", b".gnu.linkonce.wi.", b".line", b".stab"];

/// Reads the section table as the bytes of a file are fed.
#[derive(Debug)]
pub struct SectionScanner {
    header: ElfHeader,
    /// The size of the file.
    size: u64,
    /// The offset of the next byte to feed; everything before it has been fed.
    position: u64,
    /// The part of the file that is needed next, and its bytes so far.
    wanted: Option<Range<u64>>,
    held: Vec<u8>,
    /// The sections, while their names are still missing.
    sections: Vec<Section>,
    bytes: u64,
}

/// The relevant part of a file's header.
#[derive(Debug, Clone, Copy)]
struct ElfHeader {
    format: ElfFormat,
    kind: u64,
    table: u64,
    count: u64,
    /// The section that holds the names of all sections.
    names: u64,
}

/// A section header.
#[derive(Debug, Clone, Copy)]
struct Section {
    name: u64,
    kind: u64,
    flags: u64,
    offset: u64,
    size: u64,
    link: u64,
    info: u64,
}

impl Section {
    /// Whether the section is part of the running program.
    fn is_loaded(&self) -> bool {
        self.flags & SHF_ALLOC != 0
    }

    /// Whether it has bytes that are not part of the running program and whose type says nothing more.
    fn is_unloaded_data(&self) -> bool {
        self.kind == SHT_PROGBITS && !self.is_loaded()
    }

    fn is_strings(&self) -> bool {
        self.flags & SHF_MERGE_STRINGS == SHF_MERGE_STRINGS
    }

    fn is_relocations(&self) -> bool {
        matches!(self.kind, SHT_REL | SHT_RELA)
    }
}

impl SectionScanner {
    /// Starts with the first bytes of a file of `size` bytes, at least [`HEAD`] of them or all; `None` if it is not an
    /// ELF file, or has no sections.
    pub fn new(head: &[u8], size: u64) -> Option<SectionScanner> {
        let header = ElfHeader::read(head)?;
        let end = header.table.checked_add(header.count * header.section_size())?;
        if header.table == 0 || header.count == 0 || header.count > MAX_SECTIONS || end > size {
            return None;
        }
        Some(SectionScanner {
            header,
            size,
            position: 0,
            wanted: Some(header.table.saturating_sub(BEFORE)..end),
            held: Vec::new(),
            sections: Vec::new(),
            bytes: 0,
        })
    }

    /// The part of the file to feed next.
    pub fn wanted(&self) -> Option<Range<u64>> {
        let wanted = self.wanted.clone()?;
        Some(wanted.start + self.held.len() as u64..wanted.end)
    }

    /// Takes the bytes at `offset` in the file, which is where the last ones ended or later; bytes that are not wanted
    /// are ignored.
    pub fn feed(&mut self, offset: u64, bytes: &[u8]) {
        self.position = offset.saturating_add(bytes.len() as u64);
        // The part needed after the table may be in the same bytes.
        while let Some(wanted) = self.wanted()
            && wanted.start < self.position
        {
            let Some(from) = wanted.start.checked_sub(offset) else {
                // It was already skipped.
                self.wanted = None;
                return;
            };
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let part = bytes.get(place(from)..place(wanted.end - offset)).unwrap_or_default();
            self.held.extend_from_slice(part);
            if wanted.end > self.position {
                return;
            }
            self.take_part();
        }
    }

    /// Whether a section that is not part of the running program starts at this range and contains it.
    pub fn has_section(&self, place: &Range<u64>) -> bool {
        let length = place.end.saturating_sub(place.start);
        let fits = |section: &Section| section.offset == place.start && section.size >= length;
        self.sections.iter().any(|section| section.is_unloaded_data() && fits(section))
    }

    /// The bytes that `strip` would remove.
    pub fn finish(self) -> u64 {
        self.bytes.min(self.size)
    }

    /// Takes a complete part: the table, or the names of its sections.
    fn take_part(&mut self) {
        let (held, wanted) = (std::mem::take(&mut self.held), self.wanted.take().unwrap_or_default());
        if !self.sections.is_empty() {
            self.bytes = self.evaluate(Some(&held));
            return;
        }
        let table = usize::try_from(self.header.table - wanted.start).unwrap_or(usize::MAX);
        self.sections = self.header.sections(held.get(table..).unwrap_or_default());
        // Until the names arrive: they may never come.
        self.bytes = self.evaluate(None);
        let Some(names) = self.names() else { return };
        if names.start >= wanted.end && self.has_candidates() {
            self.wanted = Some(names);
        } else if names.start >= wanted.start && names.end <= wanted.end {
            let place = |at: u64| usize::try_from(at - wanted.start).unwrap_or(usize::MAX);
            let names = held.get(place(names.start)..place(names.end)).unwrap_or_default();
            self.bytes = self.evaluate(Some(names));
        }
    }

    /// The range of the sections' names.
    fn names(&self) -> Option<Range<u64>> {
        let section = self.sections.get(usize::try_from(self.header.names).ok()?)?;
        let end = section.offset.checked_add(section.size)?;
        let fits = section.kind == SHT_STRTAB && section.size <= MAX_NAMES && end <= self.size;
        (fits && section.size > 0).then_some(section.offset..end)
    }

    /// Whether there is a section whose name matters.
    fn has_candidates(&self) -> bool {
        self.sections.iter().any(Section::is_unloaded_data)
    }

    /// The bytes of the sections that would be removed. Sections do not overlap in files from linkers; for malicious
    /// files, the sum is capped at the file's size.
    fn evaluate(&self, names: Option<&[u8]>) -> u64 {
        let mut goes = self.debug_sections(names);
        // An unlinked object, such as a kernel module, needs its symbols.
        if self.header.kind != ET_REL {
            self.add_symbols(&mut goes);
        }
        for (index, section) in self.sections.iter().enumerate() {
            let target = usize::try_from(section.info).ok().and_then(|target| goes.get(target)).copied();
            if section.is_relocations() && !section.is_loaded() {
                let needed = self.header.kind == ET_REL && target != Some(true);
                if let Some(goes) = goes.get_mut(index) {
                    *goes = !needed;
                }
            }
        }
        let sizes = self.sections.iter().zip(&goes).filter(|(_, goes)| **goes).map(|(section, _)| section);
        sizes.fold(0, |sum: u64, section| sum.saturating_add(self.stored(section)))
    }

    /// The bytes of a section that are in the file.
    fn stored(&self, section: &Section) -> u64 {
        let inside = section.offset.checked_add(section.size).is_some_and(|end| end <= self.size);
        if section.kind == SHT_NOBITS || !inside { 0 } else { section.size }
    }

    fn debug_sections(&self, names: Option<&[u8]>) -> Vec<bool> {
        let Some(names) = names else { return self.likely_debug_sections() };
        let is_debug = |section: &Section| {
            let named = || name_of(names, section.name).is_some_and(is_debug_name);
            !section.is_loaded() && section.kind != SHT_NOBITS && named()
        };
        self.sections.iter().map(is_debug).collect()
    }

    /// Without names, debug information is recognised by what it always has: three sections that are not string tables.
    /// The first small string table, if it is not compressed, is what a compiler says about itself.
    fn likely_debug_sections(&self) -> Vec<bool> {
        let is_plain = |section: &&Section| section.is_unloaded_data() && !section.is_strings();
        let enough = self.sections.iter().filter(is_plain).count() >= 3;
        let is_comment = |section: &Section| {
            let plain = section.flags & SHF_COMPRESSED == 0;
            section.is_unloaded_data() && section.is_strings() && plain && section.size <= MAX_COMMENT
        };
        let comment = self.sections.iter().position(is_comment);
        let is_debug = |(index, section): (usize, &Section)| {
            enough && section.is_unloaded_data() && comment != Some(index)
        };
        self.sections.iter().enumerate().map(is_debug).collect()
    }

    fn add_symbols(&self, goes: &mut [bool]) {
        for (index, section) in self.sections.iter().enumerate() {
            if section.is_loaded() || !matches!(section.kind, SHT_SYMTAB | SHT_SYMTAB_SHNDX) {
                continue;
            }
            let mut add = |index: usize| goes.get_mut(index).into_iter().for_each(|goes| *goes = true);
            add(index);
            let strings = usize::try_from(section.link).unwrap_or(usize::MAX);
            let is_strings = |of: &Section| of.kind == SHT_STRTAB && !of.is_loaded();
            // Some tools store the names of symbols and of sections in one table.
            if section.kind == SHT_SYMTAB
                && section.link != self.header.names
                && self.sections.get(strings).is_some_and(is_strings)
            {
                add(strings);
            }
        }
    }
}

fn name_of(names: &[u8], at: u64) -> Option<&[u8]> {
    names.get(usize::try_from(at).ok()?..)?.split(|byte| *byte == 0).next()
}

fn is_debug_name(name: &[u8]) -> bool {
    name == b".gdb_index" || DEBUG_NAMES.iter().any(|start| name.starts_with(start))
}

impl ElfHeader {
    fn read(head: &[u8]) -> Option<ElfHeader> {
        let format = ElfFormat::of(head)?;
        let field = |at: usize, bytes: usize| format.number(head, at, bytes);
        let (table, table_bytes, section, count, names) =
            if format.wide { (40, 8, 58, 60, 62) } else { (32, 4, 46, 48, 50) };
        let header = ElfHeader {
            format,
            kind: field(16, 2)?,
            table: field(table, table_bytes)?,
            count: field(count, 2)?,
            names: field(names, 2)?,
        };
        let usual = field(section, 2)? == header.section_size();
        (usual && matches!(header.kind, ET_REL | ET_EXEC | ET_DYN)).then_some(header)
    }

    /// The length of a section's header.
    fn section_size(&self) -> u64 {
        if self.format.wide { 64 } else { 40 }
    }

    fn sections(&self, table: &[u8]) -> Vec<Section> {
        let size = usize::try_from(self.section_size()).unwrap_or(usize::MAX);
        table.chunks_exact(size).filter_map(|header| self.section(header)).collect()
    }

    fn section(&self, header: &[u8]) -> Option<Section> {
        let field = |at: usize, bytes: usize| self.format.number(header, at, bytes);
        Some(if self.format.wide {
            Section {
                name: field(0, 4)?,
                kind: field(4, 4)?,
                flags: field(8, 8)?,
                offset: field(24, 8)?,
                size: field(32, 8)?,
                link: field(40, 4)?,
                info: field(44, 4)?,
            }
        } else {
            Section {
                name: field(0, 4)?,
                kind: field(4, 4)?,
                flags: field(8, 4)?,
                offset: field(16, 4)?,
                size: field(20, 4)?,
                link: field(24, 4)?,
                info: field(28, 4)?,
            }
        })
    }
}
