//! What hostile images may cost: bounds, and the flag that raises them.

use crate::support::{FakeLayer, Item, oci_layout, run, tar_of};

/// An image of one layer.
fn image(directory: &std::path::Path, layer: FakeLayer) -> String {
    oci_layout(directory, &[layer]).display().to_string()
}

#[test]
fn each_bound_names_itself_and_can_be_raised() {
    let long = format!("{}/f", "a/".repeat(2200));
    let cases = [
        ("depth", "depth=300", tar_of(&[Item::File(&("d/".repeat(257) + "f"), 1)])),
        ("path", "path=5000,depth=5000", tar_of(&[Item::File(&long, 1)])),
        ("header", "header=2000000 path=2000000", tar_of(&[Item::File(&"n".repeat(1_200_000), 1)])),
    ];
    for (bound, raised, tar) in cases {
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path(), FakeLayer::gzip(&tar, "COPY . /"));
        let refused = run(&["inspect", &image]).expect(3);
        for part in ["refused", "layer 1 of 1", &format!("--read-limit {bound}=NUMBER")] {
            assert!(refused.stderr.contains(part), "{bound}: {}", refused.stderr);
        }
        run(&["inspect", &image, "--read-limit", raised]).expect(0);
    }
}

/// 1.2 GiB of zeros: gzip packs them a thousand times smaller, which is allowed, and zstd thirty
/// thousand times.
#[test]
fn a_bomb_is_refused_before_it_has_gone_off() {
    let zeros = || std::io::Read::take(std::io::repeat(0), 1_200 << 20);
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(1_200 << 20);
    header.set_cksum();
    let tar = || {
        let end = std::io::Cursor::new([0; 1024]);
        std::io::Read::chain(
            std::io::Read::chain(std::io::Cursor::new(header.as_bytes().to_vec()), zeros()),
            end,
        )
    };
    let blob = zstd::encode_all(tar(), 1).unwrap();
    assert!(blob.len() < 200_000, "{}", blob.len());
    let media_type = "application/vnd.oci.image.layer.v1.tar+zstd".into();
    let diff_id = format!("sha256:{}", "00".repeat(32));
    let layer = FakeLayer { diff_id, blob, media_type, created_by: "COPY . /".into() };
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path(), layer);
    let refused = run(&["inspect", &image]).expect(3);
    for part in ["refused", "over 2,000 times", "--read-limit ratio=NUMBER"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    let counted = run(&["inspect", &image, "--read-limit", "ratio=100000", "--format", "json"]).expect(0);
    assert_eq!(counted.json()["totals"]["unpacked"], 1_200u64 << 20);
}

#[test]
fn a_bound_that_makes_no_sense_is_a_usage_error() {
    for (text, part) in
        [("files=9", "no such bound"), ("entries=5", "only be raised"), ("entries", "NAME=NUMBER")]
    {
        let refused = run(&["inspect", "x.tar", "--read-limit", text]).expect(2);
        assert!(
            refused.stderr.contains("--read-limit") && refused.stderr.contains(part),
            "{}",
            refused.stderr
        );
    }
}
