//! Blobs: packed well, badly, or not at all, and many of them.

use super::Expected::{Refused, RefusedWhenVerified};
use super::{check, check_layers, counts, cut, noise};
use crate::support::tarball::{bzip2, end, entry, file, head, tar, xz, zstd_with_checksum};
use crate::support::{FakeLayer, gzip};

/// A layer whose tar is known and whose blob is not what packing it would give.
fn packed(tar: &[u8], blob: Vec<u8>) -> FakeLayer {
    FakeLayer { blob, media_type: String::new(), ..FakeLayer::plain(tar, "COPY . /") }
}

/// A frame of zstd that decoders pass over.
fn skippable(content: &[u8]) -> Vec<u8> {
    [b"\x50\x2a\x4d\x18", (content.len() as u32).to_le_bytes().as_slice(), content].concat()
}

fn changed(mut blob: Vec<u8>, from_end: usize) -> Vec<u8> {
    let at = blob.len() - from_end;
    blob[at] ^= 0xff;
    blob
}

#[test]
fn gzip_in_every_form_is_one_tar_or_none() {
    let whole = || tar(&[file("a", 700), entry(b'0', "b", noise(3000))]);
    let (first, rest) = (gzip(&whole()[..1000]), gzip(&whole()[1000..]));
    let good = || counts(&[3700], 3700, 2);
    let size = gzip(&whole()).len();
    // eStargz: a member for each piece, an index of them, and an empty member of 51 bytes that says
    // where the index starts in its extra field.
    let toc = tar(&[
        file("a", 700),
        entry(b'0', "b", noise(3000)),
        entry(b'0', "stargz.index.json", "{\"version\":1}"),
    ]);
    let footer = [
        b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0".as_slice(),
        b"0000000000001000STARGZ",
        b"\x01\0\0\xff\xff\0\0\0\0\0\0\0\0",
    ]
    .concat();
    assert_eq!(footer.len(), 51);
    let members: Vec<u8> = toc.chunks(512).flat_map(gzip).collect();
    let cases = [
        ("gzip of two members", [first.clone(), rest.clone()].concat(), good()),
        ("gzip with an empty member first", [gzip(b""), gzip(&whole())].concat(), good()),
        ("gzip with an empty member between", [first.clone(), gzip(b""), rest].concat(), good()),
        ("gzip with an empty member last", [gzip(&whole()), gzip(b"")].concat(), good()),
        ("gzip of no tar at all", gzip(b""), counts(&[0], 0, 0)),
        (
            "gzip with garbage after it",
            [gzip(&whole()), b"garbage".to_vec()].concat(),
            RefusedWhenVerified("gzip data is corrupt or cut off"),
        ),
        (
            "gzip with a wrong checksum",
            changed(gzip(&whole()), 6),
            RefusedWhenVerified("gzip data is corrupt or cut off"),
        ),
        (
            "gzip with a wrong length",
            changed(gzip(&whole()), 2),
            RefusedWhenVerified("gzip data is corrupt or cut off"),
        ),
        (
            "gzip cut off in its trailer",
            cut(&gzip(&whole()), size - 3),
            RefusedWhenVerified("gzip data is corrupt or cut off"),
        ),
        (
            "gzip cut off in its stream",
            cut(&gzip(&whole()), size / 2),
            Refused("gzip data is corrupt or cut off"),
        ),
        ("gzip cut off in its header", cut(&gzip(&whole()), 5), Refused("gzip data is corrupt or cut off")),
        ("gzip cut off between members", first, Refused("gzip data is corrupt or cut off")),
        (
            "gzip of another method",
            [b"\x1f\x8b\x07\0\0\0\0\0\0\x03".to_vec(), noise(99)].concat(),
            Refused("gzip data is corrupt or cut off"),
        ),
        ("gzip of text", gzip(&b"hello".repeat(200)), Refused("not a tar")),
        ("gzip in gzip", gzip(&gzip(&whole())), Refused("layer 1 of 1")),
    ];
    for (name, blob, expected) in cases {
        let tar = if name.ends_with("at all") { Vec::new() } else { whole() };
        check_layers(name, &[packed(&tar, blob)], &expected);
    }
    let stargz = [members, footer].concat();
    check_layers("eStargz", &[packed(&toc, stargz)], &counts(&[3713], 3713, 3));
}

/// A stream of xz whose block asks for a dictionary of 4 GiB.
fn greedy_xz() -> Vec<u8> {
    let mut blob = xz(&tar(&[file("a", 700)]));
    // The block's header: its size in words, flags, the filter, the size of its properties, the dictionary.
    let (start, length) = (12, (usize::from(blob[12]) + 1) * 4);
    assert_eq!(blob[start + 2..start + 4], [0x21, 1]);
    blob[start + 4] = 40;
    let mut checksum = flate2::Crc::new();
    checksum.update(&blob[start..start + length - 4]);
    blob[start + length - 4..start + length].copy_from_slice(&checksum.sum().to_le_bytes());
    blob
}

#[test]
fn xz_and_bzip2_in_every_form_are_one_tar_or_none() {
    let whole = || tar(&[file("a", 700), entry(b'0', "b", noise(3000))]);
    let good = || counts(&[3700], 3700, 2);
    for (name, pack) in [("xz", xz as fn(&[u8]) -> Vec<u8>), ("bzip2", bzip2)] {
        let blob = || pack(&whole());
        let corrupt: &'static str =
            if name == "xz" { "xz data is corrupt or cut off" } else { "bzip2 data is corrupt or cut off" };
        let cases = [
            ("whole", blob(), good()),
            ("two streams", [pack(&whole()[..1000]), pack(&whole()[1000..])].concat(), good()),
            ("an empty stream last", [blob(), pack(b"")].concat(), good()),
            ("no tar at all", pack(b""), counts(&[0], 0, 0)),
            ("garbage after it", [blob(), b"garbage".to_vec()].concat(), Refused(corrupt)),
            ("a flipped byte", changed(blob(), blob().len() / 2), Refused("layer 1 of 1")),
            ("cut off", cut(&blob(), blob().len() / 2), Refused(corrupt)),
            ("cut off at its end", cut(&blob(), blob().len() - 3), Refused(corrupt)),
            ("text", pack(&b"hello".repeat(200)), Refused("not a tar")),
            ("in itself", pack(&blob()), Refused("layer 1 of 1")),
        ];
        for (case, blob, expected) in cases {
            let tar = if case.ends_with("at all") { Vec::new() } else { whole() };
            check_layers(&format!("{name}: {case}"), &[packed(&tar, blob)], &expected);
        }
    }
    check_layers("xz of a huge dictionary", &[packed(&whole(), greedy_xz())], &Refused("xz data is corrupt"));
}

#[test]
fn zstd_in_every_form_is_one_tar_or_none() {
    let whole = || tar(&[file("a", 700), entry(b'0', "b", noise(3000))]);
    let frame = || zstd_with_checksum(&whole());
    let good = || counts(&[3700], 3700, 2);
    let frames = [zstd_with_checksum(&whole()[..1000]), zstd_with_checksum(&whole()[1000..])];
    // A frame's header: a window of 2^41 bytes, then one block of four equal bytes.
    let window = b"\x28\xb5\x2f\xfd\x00\xf8\x23\x00\x00x".to_vec();
    let cases = [
        ("zstd of two frames", frames.concat(), good()),
        ("zstd with a skippable frame first", [skippable(b"note"), frame()].concat(), good()),
        ("zstd with a skippable frame last", [frame(), skippable(&noise(700))].concat(), good()),
        ("zstd with an empty frame", [zstd_with_checksum(b""), frame()].concat(), good()),
        ("zstd of a skippable frame alone", skippable(b""), counts(&[0], 0, 0)),
        (
            "zstd with garbage after it",
            [frame(), b"garbage!".to_vec()].concat(),
            RefusedWhenVerified("zstd data is corrupt or cut off"),
        ),
        (
            "zstd with a wrong checksum",
            changed(frame(), 2),
            RefusedWhenVerified("zstd data is corrupt or cut off"),
        ),
        (
            "zstd cut off in its checksum",
            cut(&frame(), frame().len() - 2),
            RefusedWhenVerified("zstd data is corrupt or cut off"),
        ),
        (
            "zstd cut off in a block",
            cut(&frame(), frame().len() / 2),
            Refused("zstd data is corrupt or cut off"),
        ),
        (
            "zstd cut off in a skippable frame",
            cut(&skippable(&noise(99)), 50),
            Refused("zstd data is corrupt or cut off"),
        ),
        ("zstd of a huge window", window, Refused("zstd data is corrupt or cut off")),
        ("zstd of text", zstd_with_checksum(&b"hello".repeat(200)), Refused("not a tar")),
    ];
    for (name, blob, expected) in cases {
        let tar = if name.ends_with("alone") { Vec::new() } else { whole() };
        check_layers(name, &[packed(&tar, blob)], &expected);
    }
}

#[test]
fn blobs_of_another_kind_are_no_layers() {
    let zip = [b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), noise(900)].concat();
    let xz = [b"\xfd7zXZ\0\0\x04".to_vec(), noise(900)].concat();
    let bzip2 = [b"BZh91AY&SY".to_vec(), noise(900)].concat();
    let json = format!("{{\"schemaVersion\":2,\"x\":\"{}\"}}", "x".repeat(900)).into_bytes();
    let other = || Refused("not a tar, nor one compressed with");
    for (name, blob, expected) in [
        ("zip", zip, other()),
        ("what begins as xz does", xz, Refused("xz data is corrupt or cut off")),
        ("what begins as bzip2 does", bzip2, Refused("bzip2 data is corrupt or cut off")),
        ("JSON", json, other()),
        ("noise", noise(5000), other()),
    ] {
        check(&[(&format!("layer of {name}"), vec![blob], expected)]);
    }
}

/// What unpacks to much more than it is has to pass by in little memory.
#[test]
fn a_bomb_is_counted_while_it_passes() {
    let bomb = [head(b'0', "zeros", 64 << 20).bytes(), vec![0; 64 << 20], end()].concat();
    for (name, layer) in
        [("gzip bomb", FakeLayer::gzip(&bomb, "RUN x")), ("zstd bomb", FakeLayer::zstd(&bomb, "RUN x"))]
    {
        check_layers(name, &[layer], &counts(&[64 << 20], 64 << 20, 1));
    }
}

#[test]
fn an_image_of_many_layers_is_counted_up_to_the_bound() {
    let layer = || FakeLayer::gzip(&tar(&[file("a", 5)]), "COPY a /");
    check_layers("a layer a thousand times", &vec![layer(); 1000], &counts(&[5; 1000], 5, 1));
    check_layers("three thousand layers", &vec![layer(); 3000], &Refused("at most 2048 are read"));
}
