//! What the headers of a layer's tar may claim.

use super::Expected::{self, Refused};
use super::{check, counts, hides_b, without};
use crate::support::tarball::{
    Head, dir, end, entry, file, hard_link, head, long, padded, pax, record, symlink, tar,
};

/// One file `a` of ten bytes that other headers call `b`.
fn renamed(headers: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![tar(&[headers.concat(), file("a", 10)]), hides_b()]
}

/// A file whose header says that it is empty, and 700 bytes.
fn empty_with_content() -> Vec<u8> {
    [head(b'0', "a", 0).bytes(), padded([b'x'; 700])].concat()
}

#[test]
fn pax_headers_override_what_engines_let_them_override() {
    let path = |name: &str| pax(&[record("path", name)]);
    let size = |text: &str| pax(&[record("size", text)]);
    let b_is_hidden = || counts(&[10, 1], 1, 1);
    let a_and_b = || counts(&[10, 1], 11, 2);
    let both = [record("path", "c"), record("path", "b")];
    let linked = [file("a", 5), pax(&[record("linkpath", "a")]), hard_link("c", "zzz")];
    let largest = pax(&[record("comment", vec![b'c'; (1 << 20) - 17])]);
    let sized_global = [size("5"), entry(b'g', "g", record("comment", "x")), file("a", 600)];
    check(&[
        ("pax path", renamed(&[path("b")]), b_is_hidden()),
        ("pax path of nothing", renamed(&[path("")]), a_and_b()),
        ("pax path twice in one header", renamed(&[pax(&both)]), b_is_hidden()),
        ("pax path, then another header", renamed(&[path("b"), size("10")]), a_and_b()),
        ("pax path in a global header", renamed(&[entry(b'g', "g", record("path", "b"))]), a_and_b()),
        ("pax size", vec![tar(&[size("700"), empty_with_content()])], counts(&[700], 700, 1)),
        ("pax size of nothing", vec![tar(&[size(""), file("a", 9)])], counts(&[9], 9, 1)),
        ("pax size of a directory", vec![tar(&[size("5000"), dir("d"), file("a", 9)])], counts(&[9], 9, 1)),
        ("pax size before a global header", vec![tar(&sized_global)], counts(&[600], 600, 1)),
        ("pax linkpath", vec![tar(&linked), without("a")], counts(&[5, 0], 5, 1)),
        ("pax header of one mebibyte", renamed(&[largest]), a_and_b()),
        ("pax header before nothing", vec![tar(&[path("b")])], counts(&[0], 0, 0)),
        ("pax header and no end", vec![path("b")], counts(&[0], 0, 0)),
    ]);
}

#[test]
fn pax_headers_that_lie_are_refused() {
    let cases: [(&str, &[u8], &str); 16] = [
        ("no equals sign", b"8 patha\n", "PAX header is malformed"),
        ("no space", b"path=b\n", "PAX header is malformed"),
        ("no key", b"5 =b\n", "PAX header is malformed"),
        ("no newline", b"8 path=b", "PAX header is malformed"),
        ("length too short", b"5 path=b\n", "PAX header is malformed"),
        ("length too long", b"99 path=b\n", "PAX header is malformed"),
        ("length 0", b"0 path=b\n", "PAX header is malformed"),
        ("length below 0", b"-9 path=b\n", "PAX header is malformed"),
        ("length that overflows", b"99999999999999999999999 path=b\n", "PAX header is malformed"),
        ("zeros after the records", b"9 path=b\n\0\0\0", "PAX header is malformed"),
        ("a NUL in a path", b"11 path=b\0c\n", "PAX header is malformed"),
        ("a NUL in a key", b"9 p\0th=b\n", "PAX header is malformed"),
        ("size below 0", b"11 size=-5\n", "size is unreadable"),
        ("size of a word", b"12 size=ten\n", "size is unreadable"),
        ("size over 2^63", b"28 size=9223372036854775808\n", "size is unreadable"),
        ("size over the content", b"22 size=1000000000000\n", "cut off"),
    ];
    for (name, records, part) in cases {
        let name = format!("pax {name}");
        check(&[(&name, vec![tar(&[entry(b'x', "p", records), file("a", 10)])], Refused(part))]);
    }
    check(&[
        (
            "pax claims 2 MiB",
            vec![tar(&[head(b'x', "p", 2 << 20).bytes()])],
            Refused("header of 2097152 bytes"),
        ),
        (
            "pax claims 8 EiB",
            vec![tar(&[head(b'x', "p", 0).binary_size(i64::MAX.into()).bytes()])],
            Refused("header of 9223372036854775807 bytes"),
        ),
        (
            "global pax that is malformed",
            vec![tar(&[entry(b'g', "g", "x"), file("a", 1)])],
            Refused("PAX header is malformed"),
        ),
        ("pax cut off", vec![pax(&[record("path", "b")])[..515].to_vec()], Refused("cut off")),
        ("pax cut off in padding", vec![pax(&[record("path", "b")])[..600].to_vec()], counts(&[0], 0, 0)),
    ]);
}

#[test]
fn gnu_long_names_are_names() {
    let b = || long(b'L', "b");
    let path = |name: &str| pax(&[record("path", name)]);
    let long_name = "d/".repeat(150) + "b";
    let twice = |size| tar(&[long(b'L', &long_name), file("short", size)]);
    let linked = [file("a", 5), long(b'K', "a"), hard_link("c", "zzz")];
    let padded_name = [entry(b'L', "L", "b\0garbage"), file("a", 10)];
    check(&[
        ("long name", vec![twice(10), twice(1)], counts(&[10, 1], 1, 1)),
        ("long name twice", renamed(&[long(b'L', "c"), b()]), counts(&[10, 1], 1, 1)),
        ("long name of nothing", renamed(&[long(b'L', "")]), counts(&[10, 1], 11, 2)),
        ("long name, then a pax path", renamed(&[b(), path("c")]), counts(&[10, 1], 1, 1)),
        ("long name after a pax path", renamed(&[path("c"), b()]), counts(&[10, 1], 1, 1)),
        ("long name ends at a NUL", vec![tar(&padded_name), hides_b()], counts(&[10, 1], 1, 1)),
        ("long name before nothing", vec![tar(&[b()])], counts(&[0], 0, 0)),
        ("long link", vec![tar(&linked), without("a")], counts(&[5, 0], 5, 1)),
        ("name of 4096", vec![tar(&[long(b'L', "b".repeat(4096)), file("a", 1)])], counts(&[1], 1, 1)),
        (
            "name of 4097",
            vec![tar(&[long(b'L', "b".repeat(4097)), file("a", 1)])],
            Refused("a path of over 4096 bytes"),
        ),
        (
            "link of 4097",
            vec![tar(&[long(b'K', "b".repeat(4097)), symlink("a", "x")])],
            Refused("a path of over 4096 bytes"),
        ),
        (
            "pax path of 4097",
            vec![tar(&[path(&"b".repeat(4097)), file("a", 1)])],
            Refused("a path of over 4096 bytes"),
        ),
        (
            "long name claims 2 MiB",
            vec![tar(&[head(b'L', "L", 2 << 20).bytes()])],
            Refused("header of 2097152 bytes"),
        ),
        ("long name cut off", vec![long(b'L', "b".repeat(600))[..700].to_vec()], Refused("cut off")),
        ("256 deep", vec![tar(&[path(&("d/".repeat(255) + "f")), file("a", 1)])], counts(&[1], 1, 1)),
        (
            "257 deep",
            vec![tar(&[path(&("d/".repeat(256) + "f")), file("a", 1)])],
            Refused("over 256 directories"),
        ),
    ]);
}

/// A file in GNU's old sparse format: its real size, and 512 bytes that are stored.
fn old_sparse(real_size: u64) -> Head {
    head(b'S', "a", 512).gnu().put(483, format!("{real_size:011o}\0"))
}

/// A block that goes on with the map of such a file.
fn more_map(fragments: &[(u64, u64)], goes_on: u8) -> Vec<u8> {
    let mut block: Vec<u8> = fragments
        .iter()
        .flat_map(|(offset, length)| format!("{offset:011o}\0{length:011o}\0").into_bytes())
        .collect();
    block.resize(512, 0);
    block[504] = goes_on;
    block
}

#[test]
fn sparse_files_count_with_their_holes() {
    let data = || vec![b'x'; 512];
    let old = |head: Head, map: &[Vec<u8>]| vec![tar(&[head.bytes(), map.concat(), data()])];
    let extended = || old_sparse(9000).put(482, [1]);
    let versioned = |major: &str, minor: &str, rest: &[Vec<u8>]| {
        pax(&[record("GNU.sparse.major", major), record("GNU.sparse.minor", minor), rest.concat()])
    };
    let real = |size: &str| record("GNU.sparse.realsize", size);
    let at = |offset: &str, length: &str| {
        [record("GNU.sparse.offset", offset), record("GNU.sparse.numbytes", length)].concat()
    };
    let with = |header: Vec<u8>| vec![tar(&[header, file("a", 512)]), hides_b()];
    let v1_0 = [record("GNU.sparse.name", "b"), real("3000")];
    let mapped = |map: &str| [padded(map), data()].concat();
    let v0_0 = pax(&[record("GNU.sparse.size", "3000"), at("0", "500"), at("1000", "12")]);
    let v0_1 = [record("GNU.sparse.map", "1000,512"), real("3000")];
    check(&[
        ("old sparse", old(old_sparse(3000).fragment(0, 1000, 512), &[]), counts(&[3000], 3000, 1)),
        (
            "old sparse in more blocks",
            old(extended(), &[more_map(&[(0, 500)], 1), more_map(&[(8000, 12)], 0)]),
            counts(&[9000], 9000, 1),
        ),
        ("sparse 0.0", with(v0_0), counts(&[3000, 1], 3001, 2)),
        ("sparse 0.1", with(versioned("0", "1", &v0_1)), counts(&[3000, 1], 3001, 2)),
        ("sparse 0.1 without a version", with(pax(&v0_1)), counts(&[3000, 1], 3001, 2)),
        (
            "sparse 1.0",
            vec![tar(&[versioned("1", "0", &v1_0), entry(b'0', "a", mapped("1\n1000\n512\n"))]), hides_b()],
            counts(&[3000, 1], 1, 1),
        ),
        // What is no sparse format that there is holds what it holds.
        ("sparse 2.0", with(versioned("2", "0", &[real("0")])), counts(&[512, 1], 513, 2)),
        (
            "sparse 2.0 with a map",
            with(versioned("2", "0", &[record("GNU.sparse.map", "0,0"), real("0")])),
            counts(&[512, 1], 513, 2),
        ),
        ("sparse by its size alone", with(pax(&[real("0")])), counts(&[512, 1], 513, 2)),
    ]);
}

#[test]
fn maps_that_do_not_fit_their_sparse_file_are_refused() {
    const UNFIT: Expected = Refused("the map of a sparse file does not fit");
    let data = || vec![b'x'; 512];
    let old = |head: Head, map: &[Vec<u8>]| vec![tar(&[head.bytes(), map.concat(), data()])];
    let extended = || old_sparse(9000).put(482, [1]);
    let claim = |records: &[(&str, &str)], content: &[u8]| {
        let records: Vec<Vec<u8>> = records.iter().map(|(key, value)| record(key, value)).collect();
        vec![tar(&[pax(&records), entry(b'0', "a", content)])]
    };
    let v1 = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "3000")];
    let v0 = [("GNU.sparse.major", "0"), ("GNU.sparse.minor", "1"), ("GNU.sparse.realsize", "0")];
    let lines = |map: &str| claim(&v1, &[padded(map), data()].concat());
    check(&[
        ("sparse 1.0 without a map", claim(&v1, &[b'x'; 3000]), UNFIT),
        ("sparse 1.0 without content", claim(&v1, b""), UNFIT),
        ("sparse 1.0 of no fragments", lines("0\n"), UNFIT),
        ("sparse 1.0 that overlaps", lines("2\n5\n500\n10\n12\n"), UNFIT),
        ("sparse 1.0 beyond the end", lines("1\n2999\n512\n"), UNFIT),
        ("sparse 1.0 of endless numbers", lines(&"9".repeat(400)), UNFIT),
        ("sparse 1.0 of 2^64 fragments", lines("18446744073709551615\n0\n0\n"), UNFIT),
        ("sparse 0.1 without a map", claim(&v0, &[b'x'; 3000]), UNFIT),
        ("sparse 0.1 with half a map", claim(&[("GNU.sparse.map", "0")], &[b'x'; 9]), UNFIT),
        (
            "sparse 0.0 out of turn",
            claim(&[("GNU.sparse.numbytes", "9")], &[b'x'; 9]),
            Refused("PAX header is malformed"),
        ),
        (
            "sparse of a size that is none",
            claim(&[("GNU.sparse.map", "0,9"), ("GNU.sparse.size", "x")], &[b'x'; 9]),
            Refused("size is unreadable"),
        ),
        ("old sparse that claims to be empty", old(old_sparse(0), &[]), UNFIT),
        (
            "old sparse that overlaps",
            old(old_sparse(3000).fragment(0, 0, 500).fragment(1, 0, 12), &[]),
            UNFIT,
        ),
        (
            "old sparse of an endless map",
            old(extended(), &vec![more_map(&[], 1); 16 * 1024 + 1]),
            Refused("endless map"),
        ),
        (
            "old sparse cut off in its map",
            vec![[extended().bytes(), more_map(&[], 1)].concat()],
            Refused("cut off"),
        ),
        (
            "old sparse without GNU's header",
            old(old_sparse(3000).put(257, b"ustar\x0000"), &[]),
            Refused("without a GNU header"),
        ),
        (
            "old sparse without its size",
            old(old_sparse(3000).put(483, "size"), &[]),
            Refused("without its size"),
        ),
    ]);
}

#[test]
fn numbers_and_checksums_are_read_as_engines_read_them() {
    let binary = |size: i128| {
        vec![[head(b'0', "a", 0).binary_size(size).bytes(), padded([b'x'; 700]), end()].concat()]
    };
    let field = |bytes: &[u8]| {
        vec![
            [head(b'0', "a", 0).put(124, [0; 12]).put(124, bytes).bytes(), padded([b'x'; 700]), end()]
                .concat(),
        ]
    };
    let signed = head(b'0', b"a\xff\xfe", 5).with_checksum(|byte| i64::from(byte as i8));
    let wrong = head(b'0', "a", 5).with_checksum(|byte| i64::from(byte) * 2);
    let blank = vec![tar(&[head(b'5', "d", 0).put(124, [b' '; 12]).bytes(), file("a", 3)])];
    let huge = |name: &str| {
        [head(b'S', name, 0).gnu().put(483, [0x80, 0, 0, 0, 0x7f]).put(488, [0xff; 7]).bytes(), end()]
            .concat()
    };
    check(&[
        ("size in base 256", binary(700), counts(&[700], 700, 1)),
        ("size in base 256 below 0", binary(-1024), Refused("size is unreadable")),
        ("size in base 256 of 2^63 - 1", binary(i64::MAX.into()), Refused("cut off")),
        ("size in base 256 of 2^63", binary(1 << 63), Refused("size is unreadable")),
        ("size in base 256 over 2^64", binary((1 << 64) + 700), Refused("size is unreadable")),
        ("size in base 256 of 2^62", binary(1 << 62), Refused("cut off")),
        ("size of eleven spaces", blank, counts(&[3], 3, 1)),
        ("size with spaces around", field(b"   1274 \0"), counts(&[700], 700, 1)),
        ("size with no octal digit", field(b"00000001298\0"), Refused("size is unreadable")),
        ("size with a sign", field(b"+1274\0"), Refused("size is unreadable")),
        ("size of eight gibibytes", field(b"77777777777\0"), Refused("cut off")),
        (
            "checksum of signed characters",
            vec![[signed, padded("abcde"), end()].concat()],
            counts(&[5], 5, 1),
        ),
        (
            "checksum that is wrong",
            vec![[wrong, padded("abcde"), end()].concat()],
            Refused("checksum does not fit"),
        ),
        (
            "checksum of a second header",
            vec![tar(&[file("a", 5), vec![b'y'; 512]])],
            Refused("checksum does not fit"),
        ),
        (
            "claims over 2^63 in one layer",
            vec![[huge("a")[..512].to_vec(), huge("b")].concat()],
            Refused("its files claim over 9,223,372,036,854,775,807 bytes"),
        ),
        (
            "claims over 2^63 in two layers",
            vec![huge("a"), huge("b")],
            Refused("more bytes than can be counted"),
        ),
    ]);
}

#[test]
fn a_tar_may_end_early_only_between_entries() {
    let whole = || tar(&[file("a", 700), file("b", 10)]);
    let cut = |length: usize| vec![whole()[..length].to_vec()];
    let garbage = || vec![[whole(), vec![0xa5; 5000]].concat()];
    let empty_between = [file("a", 5), vec![0; 512], file("b", 5)].concat();
    let after_end = [tar(&[file("a", 5)]), tar(&[file("b", 7)])].concat();
    check(&[
        ("cut off in the first header", cut(300), Refused("layer 1 of 1")),
        ("cut off in content", cut(1000), Refused("cut off")),
        ("cut off in padding", cut(512 + 800), counts(&[700], 700, 1)),
        ("cut off behind content", cut(512 + 700), counts(&[700], 700, 1)),
        ("cut off in the second header", cut(1536 + 100), Refused("cut off")),
        ("cut off before the second header", cut(1536), counts(&[700], 700, 1)),
        ("cut off in the first empty block", cut(2560 + 7), Refused("cut off")),
        ("one empty block", cut(2560 + 512), counts(&[710], 710, 2)),
        ("one and a half empty blocks", cut(2560 + 700), Refused("cut off")),
        ("no empty blocks", cut(2560), counts(&[710], 710, 2)),
        ("garbage after the end", garbage(), counts(&[710], 710, 2)),
        ("a second tar after the end", vec![after_end], counts(&[5], 5, 1)),
        ("an empty block between entries", vec![empty_between], Refused("an empty block between entries")),
        ("no bytes", vec![Vec::new()], counts(&[0], 0, 0)),
        ("two empty blocks", vec![end()], counts(&[0], 0, 0)),
        ("a mebibyte of zeros", vec![vec![0; 1 << 20]], counts(&[0], 0, 0)),
        ("one byte", vec![vec![0]], Refused("not a tar, nor one compressed with")),
    ]);
}
