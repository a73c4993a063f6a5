//! Content is what names it: by every algorithm, by every name, and from an engine too.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::support::fake_engine::{Capture, FakeEngine};
use crate::support::fake_registry::{FakeRegistry, Faults};
use crate::support::{FakeLayer, Item, Run, gzip, layergate, oci_layout, tar_of};

/// The algorithms that digests may be of, with the directory of a layout that each has.
const ALGORITHMS: [&str; 3] = ["sha256", "sha384", "sha512"];

fn digest(algorithm: &str, content: &[u8]) -> String {
    let hash: Vec<u8> = match algorithm {
        "sha256" => Sha256::digest(content).to_vec(),
        "sha384" => Sha384::digest(content).to_vec(),
        _ => Sha512::digest(content).to_vec(),
    };
    format!("{algorithm}:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Documents of an image, and what to change one of them by.
struct Named<'a> {
    /// By which its blobs are named, and by which its diff ID is made.
    blobs: &'a str,
    diff_id: &'a str,
    /// What gets another last byte once it is named.
    changed: &'a str,
    packed: bool,
}

/// Writes a layout: an index of one image of one layer.
fn layout(directory: &Path, named: &Named<'_>) -> String {
    let put = |what: &str, content: &[u8]| {
        let digest = digest(named.blobs, content);
        let path = directory.join("blobs").join(digest.replace(':', "/"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut stored = content.to_vec();
        if what == named.changed {
            // White space in a document, and padding in a tar.
            *stored.last_mut().unwrap() ^= if what == "layer" { 1 } else { 0 };
            stored.extend_from_slice(if what == "layer" { &[] } else { b" " });
        }
        fs::write(path, stored).unwrap();
        json!({ "digest": digest, "size": content.len() })
    };
    let of_type = |mut descriptor: Value, media_type: &str| {
        descriptor["mediaType"] = json!(format!("application/vnd.oci.image.{media_type}"));
        descriptor
    };
    let tar = tar_of(&[Item::File("f", 10)]);
    let (blob, kind) = if named.packed { (gzip(&tar), "+gzip") } else { (tar.clone(), "") };
    let layer = of_type(put("layer", &blob), &format!("layer.v1.tar{kind}"));
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest(named.diff_id, &tar)] },
    });
    let config = of_type(put("config", config.to_string().as_bytes()), "config.v1+json");
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let manifest = of_type(put("manifest", manifest.to_string().as_bytes()), "manifest.v1+json");
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    let index = of_type(put("index", index.to_string().as_bytes()), "index.v1+json");
    fs::write(directory.join("index.json"), json!({ "manifests": [index] }).to_string()).unwrap();
    fs::write(directory.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    directory.display().to_string()
}

fn inspect(image: &str, more: &[&str]) -> Run {
    let arguments = [&["inspect", "--format", "json", "--no-cache", image], more].concat();
    Run::of(layergate().args(arguments))
}

#[test]
fn whatever_names_a_document_has_to_be_its_hash() {
    for blobs in ALGORITHMS {
        for changed in ["nothing", "index", "manifest", "config"] {
            let directory = tempfile::tempdir().unwrap();
            let named = Named { blobs, diff_id: "sha256", changed, packed: true };
            let image = layout(directory.path(), &named);
            for more in [&[][..], &["--verify"]] {
                let run = inspect(&image, more).expect(if changed == "nothing" { 0 } else { 3 });
                let said = format!("the {changed} is not the one that the image names: expected {blobs}:");
                assert!(changed == "nothing" || run.stderr.contains(&said), "{}", run.stderr);
            }
        }
    }
}

#[test]
fn whatever_names_a_layer_has_to_be_its_hash() {
    for blobs in ALGORITHMS {
        for diff_id in ALGORITHMS {
            for packed in [true, false] {
                let directory = tempfile::tempdir().unwrap();
                let named = Named { blobs, diff_id, changed: "nothing", packed };
                let image = layout(directory.path(), &named);
                for more in [&[][..], &["--verify"]] {
                    let size = inspect(&image, more).expect(0).json()["totals"]["uncompressed"].clone();
                    assert_eq!(size, 10, "{blobs} {diff_id} {packed}");
                }
                let directory = tempfile::tempdir().unwrap();
                let image = layout(directory.path(), &Named { changed: "layer", ..named });
                inspect(&image, &["--verify"]).expect(3);
            }
        }
    }
}

/// A diff ID is of the uncompressed tar, so that it is of the right form says nothing.
#[test]
fn a_diff_id_that_is_of_something_else_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let named = Named { blobs: "sha256", diff_id: "sha512", changed: "nothing", packed: true };
    let image = layout(directory.path(), &named);
    let tar = tar_of(&[Item::File("f", 10)]);
    let (right, wrong) = (digest("sha512", &tar), digest("sha512", b"another"));
    // The documents above it are named anew, as whoever makes such an image does.
    let text = |name: &Value| {
        let name = name["digest"].as_str().unwrap().to_owned();
        fs::read_to_string(directory.path().join("blobs").join(name.replace(':', "/"))).unwrap()
    };
    let put = |content: &str| {
        let digest = digest("sha256", content.as_bytes());
        fs::write(directory.path().join("blobs").join(digest.replace(':', "/")), content).unwrap();
        (json!(digest), json!(content.len()))
    };
    let top: Value =
        serde_json::from_str(&fs::read_to_string(directory.path().join("index.json")).unwrap()).unwrap();
    let index: Value = serde_json::from_str(&text(&top["manifests"][0])).unwrap();
    let mut manifest: Value = serde_json::from_str(&text(&index["manifests"][0])).unwrap();
    let config = text(&manifest["config"]).replace(&right, &wrong);
    (manifest["config"]["digest"], manifest["config"]["size"]) = put(&config);
    let mut descriptor = index["manifests"][0].clone();
    (descriptor["digest"], descriptor["size"]) = put(&manifest.to_string());
    fs::write(directory.path().join("index.json"), json!({ "manifests": [descriptor] }).to_string()).unwrap();
    let run = inspect(&image, &["--verify"]).expect(3);
    assert!(run.stderr.contains(&format!("expected {wrong}")), "{}", run.stderr);
}

/// Layers pass by before the config that says how their diff IDs are made, so a file is read once more.
#[test]
fn a_packed_archive_is_verified_by_every_algorithm_and_a_stream_says_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let archived = |blobs: &str, diff_id: &str, changed: &str| {
        let path = directory.path().join(format!("{blobs}-{diff_id}-{changed}"));
        fs::create_dir(&path).unwrap();
        layout(&path, &Named { blobs, diff_id, changed, packed: true });
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_dir_all(".", &path).unwrap();
        let (plain, packed) = (path.with_extension("tar"), path.with_extension("tar.gz"));
        let tar = tar.into_inner().unwrap();
        fs::write(&packed, gzip(&tar)).unwrap();
        fs::write(&plain, tar).unwrap();
        (plain, packed.display().to_string())
    };
    for (blobs, diff_id) in ALGORITHMS.iter().flat_map(|blobs| ALGORITHMS.map(|diff_id| (*blobs, diff_id))) {
        let (plain, packed) = archived(blobs, diff_id, "nothing");
        let measured =
            |run: Run| assert_eq!(run.expect(0).json()["totals"]["uncompressed"], 10, "{blobs} {diff_id}");
        measured(inspect(&packed, &[]));
        inspect(&archived(blobs, diff_id, "layer").1, &[]).expect(3);
        let mut command = layergate();
        command.args(["inspect", "--format", "json", "oci-archive:-"]).stdin(fs::File::open(plain).unwrap());
        match diff_id {
            "sha256" => measured(Run::unwatched(&mut command)),
            _ => {
                let said = format!("has a {diff_id} digest, which layergate cannot verify in a stream");
                let refused = Run::unwatched(&mut command).expect(3);
                assert!(refused.stderr.contains(&said), "{}", refused.stderr);
            }
        }
    }
}

#[test]
fn an_algorithm_that_nobody_here_computes_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let named = Named { blobs: "sha256", diff_id: "sha256", changed: "nothing", packed: true };
    let image = layout(directory.path(), &named);
    let unknown = format!("blake3:{}", "ab".repeat(32));
    let index = json!({ "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": unknown, "size": 3,
    }] });
    fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
    let run = inspect(&image, &[]).expect(3);
    assert!(run.stderr.contains("a digest that layergate cannot verify; it knows sha256"), "{}", run.stderr);
}

#[test]
fn an_image_that_is_pinned_is_the_one_that_comes() {
    let directory = tempfile::tempdir().unwrap();
    let layer = |size| FakeLayer::gzip(&tar_of(&[Item::File("f", size)]), "COPY f /");
    let served = oci_layout(&directory.path().join("served"), &[layer(10)]);
    let index: Value = serde_json::from_slice(&fs::read(served.join("index.json")).unwrap()).unwrap();
    let root = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    let manifest = fs::read(served.join("blobs").join(root)).unwrap();
    let other = [manifest.as_slice(), b"\n"].concat();
    for algorithm in ALGORITHMS {
        let pinned = digest(algorithm, &manifest);
        let place = served.join("blobs").join(pinned.replace(':', "/"));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        for (sent, code) in [(&manifest, 0), (&other, 3)] {
            fs::write(&place, sent).unwrap();
            let registry = FakeRegistry::start(&served, Faults::default());
            for more in [&[][..], &["--verify"]] {
                let image = format!("docker://{}/team/app@{pinned}", registry.address);
                let run = inspect(&image, more).expect(code);
                assert!(
                    code == 0 || run.stderr.contains(&format!("does not have the digest {pinned}")),
                    "{}",
                    run.stderr
                );
            }
        }
    }
}

/// An ID becomes a part of what is asked next.
#[test]
fn what_an_engine_calls_an_image_is_a_digest() {
    let one = Capture::of("docker-20.10", "edge-v1");
    let real = one.inspect["Id"].as_str().unwrap().to_owned();
    for id in
        ["../../containers/json?x=", "sha256:a\n::error::x\r\nX: y", "", "sha256:", "edge:v1", &real[..70]]
    {
        let mut capture = one.clone();
        capture.inspect["Id"] = json!(id);
        let engine = FakeEngine::start(capture);
        let refused = engine.run(&["inspect", "edge:v1"]).expect(3);
        assert!(refused.stderr.contains("could not tell the image's ID"), "{id}: {}", refused.stderr);
        assert!(refused.stderr.contains("is no digest"), "{id}: {}", refused.stderr);
        assert!(!refused.stderr.contains("\n::error::"), "{id}: {}", refused.stderr);
        assert_eq!((engine.asked("/get"), engine.asked("/history")), (0, 0), "{id}");
    }
    // Podman leaves out the algorithm.
    let mut capture = one;
    capture.inspect["Id"] = json!(real.strip_prefix("sha256:").unwrap());
    assert_eq!(measured(&FakeEngine::start(capture)).0, json!(2_100_066));
}

/// The figures of an image, and how often it was exported for them.
fn measured(engine: &FakeEngine) -> (Value, usize) {
    let run = engine.run(&["inspect", "--format", "json", "edge:v1"]).expect(0);
    (run.json()["totals"]["uncompressed"].clone(), engine.asked("/get"))
}

#[test]
fn what_an_engine_exports_is_the_image_that_it_named() {
    for store in ["docker-20.10", "docker-29"] {
        let (one, other) = (Capture::of(store, "edge-v1"), Capture::of(store, "edge-v2"));
        let liar = FakeEngine::start(Capture { save: other.save.clone(), ..one.clone() });
        let run = liar.run(&["inspect", "edge:v1"]).expect(3);
        let said = "the engine's export is not the one that the image names: expected sha256:";
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert!(!liar.directory().join("cache/v1/images").exists(), "nothing is remembered by that ID");
        let honest = FakeEngine::start(one);
        // What was read of it is of the hashes that it has.
        if liar.directory().join("cache").exists() {
            fs::rename(liar.directory().join("cache"), honest.directory().join("cache")).unwrap();
        }
        assert_eq!(measured(&honest), (json!(2_100_066), 1), "{store}");
        assert_eq!(measured(&honest), (json!(2_100_066), 0), "{store}");
    }
}

/// That an ID has layers that are known already is an engine's word, and is not remembered.
#[test]
fn what_an_engine_says_of_an_id_is_not_what_the_id_means() {
    let (one, other) = (Capture::of("docker-20.10", "edge-v1"), Capture::of("docker-20.10", "edge-v2"));
    let first = FakeEngine::start(Capture { inspect: other.inspect.clone(), ..other.clone() });
    first.run(&["inspect", "edge:v2"]).expect(0);
    let mut claimed = other.inspect.clone();
    claimed["Id"] = one.inspect["Id"].clone();
    claimed["RepoTags"] = one.inspect["RepoTags"].clone();
    let liar = FakeEngine::start(Capture { inspect: claimed, ..other });
    fs::rename(first.directory().join("cache"), liar.directory().join("cache")).unwrap();
    assert_eq!(measured(&liar), (json!(2_175_051), 0), "all of its layers are known");
    let honest = FakeEngine::start(one);
    fs::rename(liar.directory().join("cache"), honest.directory().join("cache")).unwrap();
    assert_eq!(measured(&honest), (json!(2_100_066), 1));
}
