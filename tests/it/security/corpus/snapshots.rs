//! Stored snapshots.

use std::fs;

use serde_json::{Value, json};

use super::Expected::Refused;
use super::archives::saved;
use super::{bounded, check_run, keep};

fn check_snapshot(name: &str, document: &[u8], part: &'static str) {
    keep("snapshot", name, document);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot.json");
    fs::write(&path, document).unwrap();
    check_run(name, bounded(&["inspect", &format!("snapshot:{}", path.display())]), &Refused(part));
}

fn good_snapshot() -> Value {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    fs::write(&path, saved().archive(&[])).unwrap();
    let document = directory.path().join("snapshot.json");
    let (path, target) = (path.display().to_string(), document.display().to_string());
    bounded(&["inspect", &path, "-o", &target]).expect(0);
    let document = fs::read(document).unwrap();
    keep("snapshot", "good", &document);
    serde_json::from_slice(&document).unwrap()
}

/// A file list of one file, with packages by the entry that declares each and by the gaps of its files.
fn packages(packages: &[(u64, &[u64])]) -> Value {
    let package = |(anchor, files): &(u64, &[u64])| json!({ "type": "npm", "name": "a", "version": "1", "anchor": anchor, "files": files });
    json!({ "entries": [["f", "a", 10]], "packages": packages.iter().map(package).collect::<Vec<_>>() })
}

#[test]
fn snapshots_that_contradict_themselves_or_their_form_are_refused() {
    let good = good_snapshot();
    let cases = [
        ("/totals/layers", json!(2), "contradicts itself"),
        ("/totals/layers", json!(u64::MAX), "contradicts itself"),
        ("/totals/uncompressed", json!(11), "contradicts itself"),
        ("/totals/uncompressed", json!(u64::MAX), "contradicts itself"),
        ("/totals/flattened", json!(9), "contradicts itself"),
        ("/totals/wasted", json!(1u64 << 63), "contradicts itself"),
        ("/totals/files", json!(u64::MAX), "contradicts itself"),
        ("/totals/compressed", json!(u64::MAX), "contradicts itself"),
        ("/totals/files", json!(18446744073709551616.0), "not a layergate snapshot"),
        ("/totals/flattened", json!(-1), "not a layergate snapshot"),
        ("/totals/flattened", json!(1.5), "not a layergate snapshot"),
        ("/totals/uncompressed", json!("10"), "not a layergate snapshot"),
        ("/totals", Value::Null, "not a layergate snapshot"),
        ("/measured", json!("guessed"), "not a layergate snapshot"),
        ("/schema", json!("layergate.snapshot/v0"), "document, not a `layergate.snapshot`"),
        ("/schema", json!("layergate.snapshot/v99999999999"), "document, not a `layergate.snapshot`"),
        ("/schema", json!(["layergate.snapshot/v1"]), "no `schema` field"),
        ("/image/platform", json!("linux"), "is not a platform"),
        ("/image/id", json!("sha256:x"), "is not a digest"),
        ("/layers", json!({}), "not a layergate snapshot"),
        ("/layers", json!([]), "contradicts itself"),
        ("/layers", json!([null]), "not a layergate snapshot"),
        ("/layers/0/diff_id", json!("x".repeat(100_000)), "is not a digest"),
        ("/layers/0/size", json!(9), "contradicts itself"),
        ("/layers/0/size", json!(null), "do not sum to its size"),
        ("/layers/0/file_list/entries", json!([]), "do not sum to its size"),
        ("/layers/0/file_list/entries", json!([["f", "a", 4], ["f", "b", 5]]), "do not sum to its size"),
        ("/layers/0/file_list/entries", json!([["f", "a"]]), "without its bytes"),
        ("/layers/0/file_list/entries", json!([["h", "a"]]), "without its target"),
        ("/layers/0/file_list/entries", json!([["q", "a"]]), "unknown kind `q`"),
        ("/layers/0/file_list/entries", json!([[]]), "without its kind"),
        ("/layers/0/file_list/entries", json!([["f", "a", 10, "more"]]), "not a layergate snapshot"),
        ("/layers/0/file_list", json!("f"), "not a layergate snapshot"),
        ("/layers/0/file_list", packages(&[(7, &[])]), "names an entry that is not a file"),
        ("/layers/0/file_list", packages(&[(0, &[0, 1])]), "names an entry that is not a file"),
        ("/layers/0/file_list", packages(&[(0, &[0, 0])]), "not ascending"),
        ("/layers/0/file_list", packages(&[(0, &[0]), (0, &[0])]), "belongs to two packages"),
        ("/base", json!({ "name": null, "layers": 9, "how": "history" }), "contradicts itself"),
        (
            "/history",
            json!([{ "instruction": null, "makes_layer": true }, { "instruction": null, "makes_layer": true }]),
            "contradicts itself",
        ),
        (
            "/packages",
            json!([{ "type": "deb", "name": "a", "version": "1", "bytes": 1, "files": 1, "layer": 7 }]),
            "contradicts itself",
        ),
        (
            "/layers/0/file_list/entries",
            json!([["f", "d/".repeat(5_000_001), 10]]),
            "a longer or deeper path than any layer has",
        ),
        (
            "/layers/0/file_list/entries",
            (0..1300).map(|at| json!(["d", format!("{at}/{}", "d/".repeat(4000))])).collect(),
            "lists over 5,000,000 files and directories",
        ),
        (
            "/layers/0/file_list/entries",
            json!([["f", "a", u64::MAX], ["f", "b", u64::MAX]]),
            "do not sum to its size",
        ),
    ];
    for (at, (pointer, value, part)) in cases.into_iter().enumerate() {
        let mut document = good.clone();
        // Some fields are not written where there is nothing to say.
        match document.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => document[&pointer[1..]] = value,
        }
        check_snapshot(&format!("snapshot {at} {pointer}"), document.to_string().as_bytes(), part);
    }
}

#[test]
fn text_that_is_no_snapshot_is_refused() {
    let good = good_snapshot().to_string();
    let nested =
        |open: &str| [r#"{"schema":"layergate.snapshot/v1","layers":"#, &open.repeat(10_000)].concat();
    for (name, text, part) in [
        ("no text", String::new(), "incomplete or not JSON"),
        ("ten thousand brackets", "[".repeat(10_000), "no `schema` field"),
        ("ten thousand brackets as layers", nested("["), "incomplete or not JSON"),
        ("ten thousand objects as layers", nested(r#"{"a":"#), "incomplete or not JSON"),
        ("a snapshot cut off", good[..good.len() / 2].into(), "incomplete or not JSON"),
        ("a snapshot and more", format!("{good} {good}"), "incomplete or not JSON"),
        (
            "a snapshot with a field twice",
            good.replacen('{', r#"{"measured":"engine","#, 1),
            "duplicate field",
        ),
        ("a snapshot of an object alone", r#"{"schema":"layergate.snapshot/v1"}"#.into(), "missing field"),
        ("a snapshot of a number", "1".repeat(5000), "incomplete or not JSON"),
    ] {
        check_snapshot(name, text.as_bytes(), part);
    }
    let mut not_utf8 = good.clone().into_bytes();
    not_utf8[good.find("image.tar").unwrap()] = 0xff;
    check_snapshot("a snapshot that is not UTF-8", &not_utf8, "not a layergate snapshot");
}

/// Where a layer's size is not known, those of the others still have to be countable.
#[test]
fn layers_of_unknown_size_do_not_hide_what_the_others_claim() {
    let mut document = good_snapshot();
    let mut layer = document["layers"][0].clone();
    layer["size"] = i64::MAX.into();
    layer["file_list"] = json!({ "entries": [["f", "a", i64::MAX]] });
    let unknown = json!({ "diff_id": layer["diff_id"] });
    document["layers"] = json!([layer, layer, layer, unknown]);
    document["totals"]["layers"] = 4.into();
    check_snapshot("claims of some layers", document.to_string().as_bytes(), "more than can be counted");
    // A layer of unknown size with files that claim more than can be counted.
    let mut beyond = layer.clone();
    beyond["size"] = Value::Null;
    beyond["file_list"] = json!({ "entries": [["f", "a", i64::MAX], ["f", "b", i64::MAX]] });
    document["layers"] = json!([beyond]);
    document["totals"]["layers"] = 1.into();
    check_snapshot(
        "files of a layer of unknown size",
        document.to_string().as_bytes(),
        "do not sum to its size",
    );
    document["layers"] = json!([layer, unknown]);
    document["totals"]["layers"] = 2.into();
    check_snapshot("one claim over the total", document.to_string().as_bytes(), "the layers sum to");
}
