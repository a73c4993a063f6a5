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
            assert_eq!(totals["unpacked"], 201_005);
            assert_eq!(totals["visible"], 5, "the hard link kept /usr/a until it went too");
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
        assert_eq!(snapshot["totals"]["unpacked"], 327);
        assert_eq!(snapshot["totals"]["visible"], 327, "a whiteout of `.` or `..` hides nothing");
    }
}
