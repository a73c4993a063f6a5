//! Files laid out as linkers do it. Real files, where there is a compiler, show that the bytes are those that `strip`
//! removes.

use std::collections::HashMap;

use crate::marks::elf::{HEAD, SectionScanner};

#[derive(Clone, Copy)]
struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    size: u64,
    link: u32,
    info: u32,
}

fn section(name: &'static str, kind: u32, flags: u64, size: u64) -> Section {
    Section { name, kind, flags, size, link: 0, info: 0 }
}

/// An ELF file, section after section, with the section table at its end.
#[derive(Clone)]
struct File {
    wide: bool,
    big_endian: bool,
    kind: u16,
    sections: Vec<Section>,
    /// The table right after the header, as Go's linker writes it.
    table_first: bool,
}

impl File {
    fn of(sections: &[Section]) -> File {
        let sections = [section("", 0, 0, 0)].iter().chain(sections).copied().collect();
        File { wide: true, big_endian: false, kind: 3, sections, table_first: false }
    }

    fn names(&self) -> (Vec<u8>, HashMap<&'static str, u32>) {
        let mut names = vec![0];
        let mut places = HashMap::from([("", 0)]);
        for section in &self.sections {
            places.entry(section.name).or_insert_with(|| {
                let place = names.len() as u32;
                names.extend_from_slice(section.name.as_bytes());
                names.push(0);
                place
            });
        }
        (names, places)
    }

    fn bytes(&self) -> Vec<u8> {
        let (names, places) = self.names();
        let entry = if self.wide { 64 } else { 40 };
        let count = self.sections.len();
        let mut file = vec![0; if self.table_first { 64 + count * entry } else { 64 }];
        let mut offsets = Vec::new();
        for section in &self.sections {
            offsets.push(file.len() as u64);
            match section.name {
                ".shstrtab" => file.extend_from_slice(&names),
                _ if section.kind == 8 => {}
                _ => file.resize(file.len() + section.size as usize, 1),
            }
        }
        let table = if self.table_first { 64 } else { file.len() };
        file.resize(file.len().max(table + count * entry), 0);
        for (index, (section, offset)) in self.sections.iter().zip(offsets).enumerate() {
            let at = table + index * entry;
            let size = if section.name == ".shstrtab" { names.len() as u64 } else { section.size };
            let wide = if self.wide { 8 } else { 4 };
            let places_of = if self.wide { [0, 4, 8, 24, 32, 40, 44] } else { [0, 4, 8, 16, 20, 24, 28] };
            let values = [
                (u64::from(places[section.name]), 4),
                (u64::from(section.kind), 4),
                (section.flags, wide),
                (offset, wide),
                (size, wide),
                (u64::from(section.link), 4),
                (u64::from(section.info), 4),
            ];
            for (place, (value, width)) in places_of.into_iter().zip(values) {
                self.put(&mut file, at + place, value, width);
            }
        }
        file[..6].copy_from_slice(&[
            0x7f,
            b'E',
            b'L',
            b'F',
            1 + u8::from(self.wide),
            1 + u8::from(self.big_endian),
        ]);
        let names_index = self.sections.iter().position(|section| section.name == ".shstrtab").unwrap_or(0);
        self.put(&mut file, 16, u64::from(self.kind), 2);
        let (table_at, width, rest) = if self.wide { (40, 8, 58) } else { (32, 4, 46) };
        self.put(&mut file, table_at, table as u64, width);
        self.put(&mut file, rest, entry as u64, 2);
        self.put(&mut file, rest + 2, count as u64, 2);
        self.put(&mut file, rest + 4, names_index as u64, 2);
        file
    }

    fn put(&self, file: &mut [u8], at: usize, number: u64, width: usize) {
        let little = &number.to_le_bytes()[..width];
        let big = &number.to_be_bytes()[8 - width..];
        file[at..][..width].copy_from_slice(if self.big_endian { big } else { little });
    }
}

/// Feeds the whole file in pieces, or only what is asked for.
fn scan(file: &[u8], chunk: usize) -> u64 {
    let head = &file[..file.len().min(chunk.max(HEAD))];
    let Some(mut whole) = SectionScanner::new(head, file.len() as u64) else { return 0 };
    let mut jumping = SectionScanner::new(head, file.len() as u64).unwrap();
    for (index, bytes) in file.chunks(chunk).enumerate() {
        whole.feed((index * chunk) as u64, bytes);
    }
    let mut before = 0;
    while let Some(wanted) = jumping.wanted() {
        assert!(wanted.start >= before && wanted.end <= file.len() as u64, "never a step back");
        let end = wanted.end.min(wanted.start + chunk as u64);
        jumping.feed(wanted.start, &file[wanted.start as usize..end as usize]);
        before = end;
    }
    assert_eq!(whole.wanted(), None);
    let bytes = whole.finish();
    assert_eq!(jumping.finish(), bytes);
    bytes
}

const ALLOC: u64 = 2;
const STRINGS: u64 = 0x30;

/// As GNU's linker lays it out: the names right before the table.
fn linked() -> Vec<Section> {
    vec![
        section(".text", 1, ALLOC | 4, 9000),
        section(".bss", 8, ALLOC | 1, 5000),
        section(".comment", 1, STRINGS, 39),
        section(".debug_info", 1, 0, 700),
        section(".debug_str", 1, STRINGS, 300),
        section(".zdebug_line", 1, 0, 40),
        section(".gnu_debuglink", 1, 0, 16),
        section(".note.stapsdt", 7, 0, 60),
        section(".rustc", 1, 0, 2000),
        Section { link: 11, ..section(".symtab", 2, 0, 240) },
        section(".strtab", 3, 0, 77),
        section(".shstrtab", 3, 0, 0),
    ]
}

#[test]
fn symbols_and_debug_information_count_and_nothing_else() {
    let mut file = File::of(&linked());
    for wide in [true, false] {
        for big_endian in [false, true] {
            (file.wide, file.big_endian) = (wide, big_endian);
            for chunk in [64, 1000, 4096, 100_000] {
                assert_eq!(
                    scan(&file.bytes(), chunk),
                    700 + 300 + 40 + 240 + 77,
                    "{wide} {big_endian} {chunk}"
                );
            }
        }
    }
    file.kind = 1;
    assert_eq!(scan(&file.bytes(), 4096), 700 + 300 + 40, "what is still to be linked needs its symbols");
    file.kind = 4;
    assert_eq!(scan(&file.bytes(), 4096), 0, "a core dump");
}

#[test]
fn a_stripped_file_has_nothing_to_take() {
    let kept = |section: &Section| !section.name.contains("debug_") && !section.name.contains("tab");
    let stripped: Vec<Section> =
        linked().into_iter().filter(kept).chain([section(".shstrtab", 3, 0, 0)]).collect();
    assert_eq!(scan(&File::of(&stripped).bytes(), 4096), 0);
    assert_eq!(scan(&File::of(&[]).bytes(), 4096), 0);
}

#[test]
fn a_table_at_the_start_is_read_before_the_names() {
    let mut file = File::of(&linked());
    file.table_first = true;
    for chunk in [64, 4096, 100_000] {
        assert_eq!(scan(&file.bytes(), chunk), 700 + 300 + 40 + 240 + 77, "{chunk}");
    }
}

/// LLVM's linker puts the names of symbols between those of sections and the table.
#[test]
fn without_names_types_and_flags_tell() {
    let symbols = [Section { link: 9, ..section(".symtab", 2, 0, 240) }, section(".shstrtab", 3, 0, 0)];
    let strings = [section(".strtab", 3, 0, 9000)];
    let debug = [
        section(".debug_abbrev", 1, 0, 10),
        section(".debug_info", 1, 0, 700),
        section(".debug_str", 1, STRINGS, 300),
        section(".debug_line", 1, 0, 40),
    ];
    let code = [section(".text", 1, ALLOC, 500), section(".comment", 1, STRINGS, 100)];
    let sections = [&code[..], &debug, &symbols, &strings].concat();
    assert_eq!(scan(&File::of(&sections).bytes(), 4096), 1050 + 240 + 9000);
    let mut symbols = symbols;
    symbols[0].link = 6;
    let metadata = [section(".rustc", 1, 0, 5000)];
    let sections = [&code[..], &metadata, &symbols, &strings].concat();
    assert_eq!(scan(&File::of(&sections).bytes(), 4096), 240 + 9000, "what is no debug information");
}

#[test]
fn relocations_go_with_what_they_are_of() {
    let of = |info: u32| Section { info, ..section(".rela", 4, 0, 48) };
    let sections = [section(".text", 1, ALLOC, 10), of(1), section(".debug_info", 1, 0, 100), of(3)];
    let mut file = File::of(&[&sections[..], &[section(".shstrtab", 3, 0, 0)]].concat());
    assert_eq!(scan(&file.bytes(), 4096), 100 + 48 + 48);
    file.kind = 1;
    assert_eq!(scan(&file.bytes(), 4096), 100 + 48);
}

#[test]
fn impossible_tables_come_to_nothing_or_to_no_more_than_the_file() {
    let good = File::of(&linked()).bytes();
    let length = good.len() as u64;
    let with = |at: usize, value: u64, width: usize| {
        let mut file = good.clone();
        file[at..][..width].copy_from_slice(&value.to_le_bytes()[..width]);
        scan(&file, 4096)
    };
    for table in [0, 1, 63, length - 1, length, u64::MAX, u64::MAX - 63] {
        assert!(with(40, table, 8) <= length, "{table}");
    }
    for count in [0, 5000, 0xffff] {
        assert_eq!(with(60, count, 2), 0, "{count}");
    }
    assert_eq!(with(58, 63, 2), 0, "sections of another size");
    assert_eq!(with(62, 0xffff, 2), 240 + 77 + 700 + 300 + 40 + 16 + 2000, "no names: a guess");
    let table = good.len() - 13 * 64;
    for index in 0..13 {
        for (field, width) in [(0, 4), (4, 4), (8, 8), (24, 8), (32, 8), (40, 4), (44, 4)] {
            for value in [0, 1, 2, 3, length, length + 1, u64::from(u32::MAX), u64::MAX] {
                assert!(with(table + index * 64 + field, value, width) <= length);
            }
        }
    }
    for end in 0..good.len().min(200) {
        assert!(scan(&good[..end], 4096) <= end as u64);
    }
    // All sections claim the same bytes.
    let mut overlapping = good.clone();
    for index in 0..13 {
        let at = table + index * 64;
        overlapping[at + 4..at + 8].copy_from_slice(&2_u32.to_le_bytes());
        overlapping[at + 8..at + 40].fill(0);
        overlapping[at + 32..at + 40].copy_from_slice(&(length - 1).to_le_bytes());
    }
    assert_eq!(scan(&overlapping, 4096), length);
}
