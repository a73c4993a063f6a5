//! Layouts, compressions and archives that are made up here, file by file.

use std::fs;

use crate::support::{FakeLayer, Item, gzip, oci_layout, run, tar_of};

fn layers(pack: fn(&[u8], &str) -> FakeLayer) -> Vec<FakeLayer> {
    vec![
        pack(
            &tar_of(&[Item::Dir("usr/"), Item::File("usr/a", 1000), Item::Link("usr/b", "usr/a")]),
            "COPY a /usr",
        ),
        pack(&tar_of(&[Item::File("usr/big", 200_000), Item::File("usr/.wh.a", 0)]), "RUN make"),
        pack(&tar_of(&[Item::File("usr/.wh.b", 0), Item::File("usr/big", 5)]), "RUN strip"),
    ]
}

#[test]
fn plain_gzip_and_zstd_layers_count_the_same() {
    for pack in [FakeLayer::plain, FakeLayer::gzip, FakeLayer::zstd] {
        let directory = tempfile::tempdir().unwrap();
        let layout = oci_layout(directory.path(), &layers(pack));
        for verify in [&["--verify"][..], &[]] {
            let path = layout.display().to_string();
            let arguments = [&["inspect", "--format", "json", path.as_str()], verify].concat();
            let snapshot = run(&arguments).expect(0).json();
            let totals = &snapshot["totals"];
            assert_eq!(totals["uncompressed"], 201_005);
            assert_eq!(totals["flattened"], 5, "the hard link kept /usr/a until it went too");
            assert_eq!(totals["wasted"], 201_000);
            assert_eq!(totals["files"], 1);
            assert!(totals["compressed"].as_u64().unwrap() > 0, "a layout holds blobs as distributed");
        }
    }
}

#[test]
fn a_layout_in_a_tar_is_the_same_image_packed_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(&directory.path().join("layout"), &layers(FakeLayer::gzip));
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", &layout).unwrap();
    let tar = tar.into_inner().unwrap();
    let plain = directory.path().join("image.tar");
    let packed = directory.path().join("image.tar.gz");
    fs::write(&plain, &tar).unwrap();
    fs::write(&packed, gzip(&tar)).unwrap();
    let figures = [&layout, &plain, &packed].map(|path| {
        let path = path.display().to_string();
        let mut snapshot = run(&["inspect", "--format", "json", &format!("x={path}")]).expect(0).json();
        snapshot["image"]["reference"].take();
        snapshot["source"].take();
        snapshot
    });
    assert_eq!(figures[0], figures[1]);
    assert_eq!(figures[0], figures[2]);
}

#[test]
fn copies_are_found_by_content_and_hard_links_are_none() {
    let file = |path: &'static str, size| Item::File(path, size);
    let first = tar_of(&[file("a", 5000), Item::Link("b", "a"), file("c", 5000), file("e", 0), file("f", 0)]);
    let second = tar_of(&[file("d/a", 5000), file("one", 4999), file("gone", 700), file("kept", 700)]);
    let third = tar_of(&[file(".wh.gone", 0)]);
    for pack in [FakeLayer::plain, FakeLayer::gzip] {
        let directory = tempfile::tempdir().unwrap();
        let layers = [&first, &second, &third].map(|tar| pack(tar, "COPY . /"));
        let path = oci_layout(directory.path(), &layers).display().to_string();
        let arguments = ["inspect", &path, "--duplicates", "--format", "json"];
        let json = run(&arguments).expect(0).json();
        let expected = serde_json::json!([{ "bytes": 5000, "copies": 3, "paths": ["a", "c", "d/a"] }]);
        assert_eq!(json["duplicates"], expected);
        let text = run(&arguments[..3]).expect(0).stdout;
        assert!(text.contains("10 kB       3  /a, /c, /d/a"), "{text}");
        assert!(run(&["inspect", &path, "--format", "json"]).expect(0).json()["duplicates"].is_null());
    }
}

#[test]
fn a_snapshot_stands_for_its_image() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(&directory.path().join("layout"), &layers(FakeLayer::gzip)).display().to_string();
    for name in ["snapshot.json", "snapshot.json.gz", "snapshot.json.zst"] {
        let file = directory.path().join(name).display().to_string();
        run(&["inspect", &format!("app={layout}"), "-o", &file]).expect(0);
        let from_image = run(&["inspect", &format!("app={layout}")]).expect(0).stdout;
        let from_snapshot = run(&["inspect", &file]).expect(0).stdout;
        assert_eq!(from_image, from_snapshot, "layers, largest and wasted files are all in it");
        let same = run(&["diff", &format!("snapshot:{file}"), &layout]).expect(0).stdout;
        assert!(same.contains("Layers: 3 unchanged"), "{same}");
    }
}

#[test]
fn names_that_look_like_something_else_are_names() {
    let odd = [
        FakeLayer::plain(&tar_of(&[Item::File("[slug].js", 300), Item::File("d/e/x", 20)]), "COPY . /"),
        FakeLayer::plain(
            &tar_of(&[Item::File("{a}", 7), Item::File("d/e/.wh..", 0), Item::File("d/e/.wh...", 0)]),
            "RUN x",
        ),
    ];
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(&directory.path().join("layout"), &odd);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", &layout).unwrap();
    let packed = directory.path().join("image.tar.gz");
    fs::write(&packed, gzip(&tar.into_inner().unwrap())).unwrap();
    for path in [layout, packed] {
        let snapshot = run(&["inspect", "--format", "json", &path.display().to_string()]).expect(0).json();
        assert_eq!(snapshot["totals"]["uncompressed"], 327);
        assert_eq!(snapshot["totals"]["flattened"], 327, "a whiteout of `.` or `..` hides nothing");
    }
}

/// A plain tar of one entry, by its header and content.
fn one_entry(kind: u8, name: &str, pax: &str, content: u64) -> Vec<u8> {
    let header = |kind: u8, name: &str, size: u64| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[156] = kind;
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let padded = |mut content: Vec<u8>| {
        content.resize(content.len().next_multiple_of(512), 0);
        content
    };
    let mut tar = Vec::new();
    if !pax.is_empty() {
        let record = (1..)
            .map(|len: usize| format!("{len} {pax}\n"))
            .find(|r| r.starts_with(&format!("{} ", r.len())));
        let record = record.unwrap().into_bytes();
        tar.extend(header(b'x', "pax", record.len() as u64));
        tar.extend(padded(record));
    }
    tar.extend(header(kind, name, content));
    tar.extend(padded(vec![b'y'; content as usize]));
    tar.extend([0; 1024]);
    tar
}

/// The answers are those of Go's `archive/tar`, by which engines unpack: no claim hides a byte.
#[test]
fn headers_count_as_an_engine_unpacks_them() {
    for (kind, name, pax, size) in [
        (b'0', "a", "", 3000),
        (b'0', "a/", "", 3000),
        (b'\0', "a/", "", 0),
        (b'5', "a", "", 0),
        (b'0', "a", "GNU.sparse.realsize=0", 3000),
        (b'0', "a", "GNU.sparse.size=5", 3000),
        (b'0', "a", "size=", 3000),
        (b'0', "a", "path=b", 3000),
        (b'0', "\u{1f}odd", "", 3000),
    ] {
        let content = if size == 0 { 0 } else { 3000 };
        let layer = FakeLayer::plain(&one_entry(kind, name, pax, content), "COPY . /");
        let directory = tempfile::tempdir().unwrap();
        let layout = oci_layout(directory.path(), &[layer]).display().to_string();
        let snapshot = run(&["inspect", "--format", "json", &layout]).expect(0).json();
        assert_eq!(snapshot["totals"]["uncompressed"], size, "{} {name} {pax}", char::from(kind));
    }
}

#[test]
fn one_tar_that_is_packed_in_two_ways_is_two_blobs() {
    let tar = tar_of(&[Item::File("a", 100_000)]);
    let layers = [FakeLayer::plain(&tar, "COPY a /"), FakeLayer::gzip(&tar, "COPY a /")];
    let blobs: usize = layers.iter().map(|layer| layer.blob.len()).sum();
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &layers).display().to_string();
    let snapshot = run(&["inspect", "--format", "json", &layout]).expect(0).json();
    assert_eq!(snapshot["totals"]["compressed"], blobs);
    assert_eq!(
        (&snapshot["totals"]["uncompressed"], &snapshot["totals"]["flattened"]),
        (&200_000.into(), &100_000.into())
    );
}

#[test]
fn a_layer_of_no_bytes_and_lists_that_are_null_are_empty() {
    let mut empty = FakeLayer::plain(b"", "RUN true");
    empty.media_type = String::new();
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &[empty]).display().to_string();
    run(&["inspect", &layout]).expect(0);
    let file = directory.path().join("inspect.json");
    fs::write(&file, r#"[{"Id":"x","Size":0,"Architecture":"amd64","Os":"linux","RootFS":{"Layers":null}}]"#)
        .unwrap();
    run(&["inspect", &format!("inspect:{}", file.display())]).expect(0);
}
