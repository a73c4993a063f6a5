//! Programs that state what they are made of. The bytes are laid out like programs made by Go 1.19 (with an external
//! linker) and Go 1.27 (with its own).

use super::cargo;
use super::fixture;
use super::golang::{GoScanner, HEAD, Module, looks_like_go};
use crate::marks::elf;

/// A program from Go's own linker: its note before the first page's end, its data at a page boundary.
struct Program {
    wide: bool,
    big_endian: bool,
    note: (&'static [u8], u32),
    data: u64,
    content: Vec<u8>,
}

impl Program {
    fn with(content: Vec<u8>) -> Program {
        Program { wide: true, big_endian: false, note: (b"Go\0\0", 4), data: 0x3000, content }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0; self.data as usize];
        file[..6].copy_from_slice(&[
            0x7f,
            b'E',
            b'L',
            b'F',
            1 + u8::from(self.wide),
            1 + u8::from(self.big_endian),
        ]);
        let (table, size, offset_at, size_at, count_at) =
            if self.wide { (64, 56, 32, 54, 56) } else { (52, 32, 28, 42, 44) };
        self.put(&mut file, offset_at, table, if self.wide { 8 } else { 4 });
        self.put(&mut file, size_at, size, 2);
        self.put(&mut file, count_at, 3, 2);
        let length = self.content.len() as u64;
        for (index, (kind, flags, offset, length)) in
            [(4, 4, 0xf80, 0x60), (1, 5, 0, 0x2000), (1, 6, self.data, length)].into_iter().enumerate()
        {
            let at = table + index as u64 * size;
            let (flags_at, offset_at, length_at, width) =
                if self.wide { (4, 8, 32, 8) } else { (24, 4, 16, 4) };
            self.put(&mut file, at, kind, 4);
            self.put(&mut file, at + flags_at, flags, 4);
            self.put(&mut file, at + offset_at, offset, width);
            self.put(&mut file, at + length_at, length, width);
        }
        // A GNU note comes first.
        let (name, kind) = self.note;
        for (at, name, kind, content) in [(0xf80, b"GNU\0".as_slice(), 3, 18), (0xfa4, name, kind, 0x2c)] {
            self.put(&mut file, at, name.len() as u64, 4);
            self.put(&mut file, at + 4, content, 4);
            self.put(&mut file, at + 8, u64::from(kind), 4);
            file[at as usize + 12..][..name.len()].copy_from_slice(name);
        }
        file.extend_from_slice(&self.content);
        file
    }

    fn put(&self, file: &mut [u8], at: u64, number: u64, width: usize) {
        let bytes = if self.big_endian {
            number.to_be_bytes()[8 - width..].to_vec()
        } else {
            number.to_le_bytes()[..width].to_vec()
        };
        file[at as usize..][..width].copy_from_slice(&bytes);
    }
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Build information in the format of Go 1.18 and later.
fn build_info(go: &str, modules: &str) -> Vec<u8> {
    let modules = [
        b"0w\xaf\x0c\x92t\x08\x02A\xe1\xc1\x07\xe6\xd6\x18\xe6",
        modules.as_bytes(),
        b"\xf92C1\x86\x18 r\x00\x82B\x10A\x16\xd8\xf2",
    ]
    .concat();
    let prefix = b"\xff Go buildinf:\x08\x02".iter().copied().chain([0; 16]).collect::<Vec<_>>();
    [prefix, varint(go.len()), go.as_bytes().to_vec(), varint(modules.len()), modules].concat()
}

fn scan(file: &[u8], chunk: usize) -> Option<Module> {
    let mut scanner = GoScanner::new(&file[..file.len().min(HEAD)])?;
    for (index, bytes) in file.chunks(chunk).enumerate() {
        if !scanner.feed((index * chunk) as u64, bytes) {
            break;
        }
    }
    scanner.finish()
}

fn module(path: &str, version: &str) -> Option<Module> {
    Some(Module { path: path.into(), version: version.into() })
}

const LEFTHOOK: &str = "path\tgithub.com/evilmartians/lefthook/v2\n\
    mod\tgithub.com/evilmartians/lefthook/v2\tv2.2.2\t\n\
    dep\tal.essio.dev/pkg/shellescape\tv1.6.1\th1:ki/kUs/D3dDbZpyKbNRhwY/ajgAEIJFagVKDWKnofQ8=\n\
    build\tvcs.revision=0123456789abcdef0123456789abcdef01234567\n";

#[test]
fn a_program_is_known_by_its_main_module_however_it_is_cut() {
    let content = [vec![0; 48], build_info("go1.27.0", LEFTHOOK), vec![1; 5000]].concat();
    let file = Program::with(content).bytes();
    for chunk in [1, 7, 16, 17, 512, 4096, 100_000] {
        assert_eq!(scan(&file, chunk), module("github.com/evilmartians/lefthook/v2", "v2.2.2"), "{chunk}");
    }
}

#[test]
fn what_can_seek_feeds_the_data_alone() {
    let file = Program::with(build_info("go1.27.0", LEFTHOOK)).bytes();
    let mut scanner = GoScanner::new(&file[..HEAD]).unwrap();
    let data = scanner.data();
    assert_eq!(data, 0x3000..file.len() as u64);
    assert!(!scanner.feed(data.start, &file[data.start as usize..]));
    assert!(scanner.finish().is_some());
    // A gap is not bridged.
    let mut scanner = GoScanner::new(&file[..HEAD]).unwrap();
    assert!(scanner.feed(0x3000, &file[0x3000..0x3040]));
    assert!(!scanner.feed(0x3050, &file[0x3050..]));
    assert_eq!(scanner.finish(), None);
}

#[test]
fn programs_of_other_classes_and_byte_orders_are_read() {
    for (wide, big_endian) in [(true, true), (false, false), (false, true)] {
        let program = Program { wide, big_endian, ..Program::with(build_info("go1.20", LEFTHOOK)) };
        assert!(scan(&program.bytes(), 1000).is_some(), "{wide} {big_endian}");
    }
}

#[test]
fn a_program_without_a_version_is_known_by_its_revision() {
    let version = |modules: &str| scan(&Program::with(build_info("go1.22.1", modules)).bytes(), 999);
    let revision = "build\tvcs=git\nbuild\tvcs.revision=0123456789abcdef0123456789abcdef01234567\n";
    assert_eq!(
        version(&format!("path\tx/cmd/a\nmod\tx\t(devel)\t\n{revision}")),
        module("x", "0123456789ab")
    );
    assert_eq!(version("path\tx/cmd/a\nmod\tx\t(devel)\t\n"), module("x", "devel"));
    assert_eq!(
        version("path\tgithub.com/docker/docker/cmd/dockerd\n"),
        module("github.com/docker/docker/cmd/dockerd", "devel")
    );
    assert_eq!(version("path\tcommand-line-arguments\n"), None);
    assert_eq!(version("cut"), None);
    assert_eq!(version(""), None);
}

#[test]
fn other_programs_are_told_by_their_head() {
    let info = || build_info("go1.27.0", LEFTHOOK);
    assert!(looks_like_go(&Program::with(info()).bytes()));
    for program in [
        Program { note: (b"GNU\0", 4), ..Program::with(info()) },
        Program { note: (b"Go\0\0", 1), ..Program::with(info()) },
        Program { note: (b"", 4), ..Program::with(info()) },
        Program::with(Vec::new()),
    ] {
        assert!(!looks_like_go(&program.bytes()));
    }
    let file = Program::with(info()).bytes();
    assert!(!looks_like_go(&file[..0xfa0]));
    assert!(!looks_like_go(b"#!/bin/sh"));
    assert!(!looks_like_go(b""));
}

#[test]
fn the_magic_alone_is_nothing() {
    let fake = |flags: u8, go: &str, length: usize| {
        let prefix =
            b"\xff Go buildinf:\x08".iter().copied().chain([flags]).chain([0; 16]).collect::<Vec<_>>();
        let mut fake = [prefix, varint(go.len()), go.as_bytes().to_vec(), varint(length)].concat();
        fake.resize(fake.len().next_multiple_of(16), 0);
        fake
    };
    let real = build_info("go1.27.0", LEFTHOOK);
    for fake in [
        fake(0, "go1.13", 40),
        fake(2, "rust", 40),
        fake(2, "go1.18", 3 << 20),
        fake(2, &"g".repeat(300), 40),
    ] {
        let file = Program::with([fake, real.clone()].concat()).bytes();
        assert!(scan(&file, 100).is_some());
    }
    // One at an offset where the linker puts none.
    assert_eq!(scan(&Program::with([vec![0; 8], real].concat()).bytes(), 100), None);
}

/// What cargo-auditable put into a program that is fed in pieces of this size.
fn main_crate(file: &[u8], chunk: usize) -> Option<cargo::Crate> {
    let head = &file[..file.len().min(HEAD)];
    let mut scanner = cargo::CrateScanner::new(head)?;
    let mut sections = elf::SectionScanner::new(head, file.len() as u64)?;
    for (index, bytes) in file.chunks(chunk).enumerate() {
        scanner.feed((index * chunk) as u64, bytes);
        sections.feed((index * chunk) as u64, bytes);
    }
    scanner.finish(|place| sections.has_section(place))
}

#[test]
fn a_program_of_rust_is_known_by_its_main_crate_however_it_is_cut() {
    let file = fixture("layergate-audited");
    let found = cargo::Crate { name: "layergate-audited".into(), version: "0.3.1".into() };
    for chunk in [1, 7, 128, 700, 5000] {
        assert_eq!(main_crate(&file, chunk).as_ref(), Some(&found), "{chunk}");
    }
    // The wanted range is a few bytes after the program.
    let scanner = cargo::CrateScanner::new(&file).unwrap();
    assert_eq!(scanner.wanted(), Some(0x20e..0x368));
    // A list where no section starts does not count, nor does a damaged one.
    let moved = [&file[..0x298], &file[0x299..0x31b], b"x", &file[0x31b..]].concat();
    assert_eq!(moved.len(), file.len());
    assert_eq!(main_crate(&moved, 700), None);
    let mut damaged = file.clone();
    damaged[0x2f0] ^= 0xff;
    assert_eq!(main_crate(&damaged, 700), None);
    assert_eq!(main_crate(&file[..0x300], 700), None);
}

#[test]
fn headers_that_are_no_lists_cost_little() {
    let file = fixture("layergate-audited");
    let start = 0x20e;
    let table = start + (8 << 20);
    let mut untrusted = [&file[..start], &[0x78, 0x9c].repeat(4 << 20), &file[0x368..]].concat();
    untrusted[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    let mut scanner = cargo::CrateScanner::new(&untrusted).unwrap();
    for (index, bytes) in untrusted.chunks(100_000).enumerate() {
        scanner.feed((index * 100_000) as u64, bytes);
    }
    assert_eq!(scanner.wanted(), None);
    assert_eq!(scanner.finish(|_| true), None);
}
