//! Images of Docker's containerd image store, read from the content store on the engine's own socket.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::fake_content::{Content, Offer};
use crate::support::fake_engine::{Capture, FakeEngine};
use crate::support::{Blobs, FakeLayer, Item, fixture, oci_layout, run, tar_of};

const INSPECT: [&str; 4] = ["inspect", "--format", "json", "edge:v1"];

fn docker_29(offer: Offer) -> Capture {
    let capture = Capture::of("docker-29", "edge-v1");
    Capture { content: Content::of_save(offer, &capture.save), ..capture }
}

/// The measures of an image, without where it was read from.
fn measures(mut snapshot: Value) -> Value {
    snapshot["source"].take();
    snapshot["image"]["reference"].take();
    snapshot["image"]["name"].take();
    snapshot
}

fn from_save() -> Value {
    let save = fixture("engines/docker-29/edge-v1.save.tar");
    measures(run(&["inspect", "--format", "json", &save]).expect(0).json())
}

/// An engine with the containerd image store, in which there is the one image of a layout.
fn engine_of(layout: &Path, offer: Offer) -> Capture {
    let content = Content::of_layout(offer, layout);
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let id = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest: Value = serde_json::from_slice(&content.blobs[id]).unwrap();
    let config = &content.blobs[manifest["config"]["digest"].as_str().unwrap()];
    let config: Value = serde_json::from_slice(config).unwrap();
    let mut capture = Capture::of("docker-29", "edge-v1");
    capture.inspect["Id"] = id.into();
    capture.inspect["RootFS"]["Layers"] = config["rootfs"]["diff_ids"].clone();
    Capture { content, save: Vec::new(), ..capture }
}

#[test]
fn an_image_is_read_from_the_content_store_and_not_exported() {
    for offer in [Offer::Upgrade, Offer::Direct] {
        let engine = FakeEngine::start(docker_29(offer));
        let first = engine.run(&INSPECT).expect(0);
        assert_eq!(measures(first.json()), from_save(), "{offer:?}");
        let said = "edge:v1: read 6 of 6 layers from the engine's content store in ";
        assert!(first.stderr.contains(said), "{}", first.stderr);
        assert_eq!((engine.asked("/images/edge:v1/get"), engine.asked("/get")), (0, 0), "{offer:?}");
        assert!(engine.asked("Content/Read") >= 8 && engine.asked("Content/Info") == 6);

        // A layer that is known is not read: the manifest and the config are.
        fs::remove_dir_all(engine.directory().join("cache/v1/images")).unwrap();
        let known = engine.run(&INSPECT).expect(0);
        assert_eq!(measures(known.json()), from_save(), "{offer:?}");
        assert!(known.stderr.contains("read 0 of 6 layers"), "{}", known.stderr);
        assert_eq!(
            (engine.asked("Content/Read"), engine.asked("Content/Info"), engine.asked("/get")),
            (2, 0, 0)
        );

        let again = engine.run(&INSPECT).expect(0);
        assert_eq!(measures(again.json()), from_save());
        assert!(again.stderr.contains("all 6 layers are known, none was read"), "{}", again.stderr);
        assert_eq!(engine.asked("Content/Read"), 0);
        let verified = engine.run(&[&INSPECT[..], &["--verify"]].concat()).expect(0);
        assert!(verified.stderr.contains("read 6 of 6 layers"), "{}", verified.stderr);
    }
}

#[test]
fn only_the_layer_that_is_new_is_read() {
    let engine = FakeEngine::start(docker_29(Offer::Upgrade));
    engine.run(&INSPECT).expect(0);
    engine.asked("Content/Read");
    let unknown = engine.diff_ids()[2].replace("sha256:", "");
    let cache = engine.directory().join("cache/v1");
    fs::remove_dir_all(cache.join("images")).unwrap();
    fs::remove_file(cache.join("layers").join(&unknown[..2]).join(format!("{unknown}.json.zst"))).unwrap();
    let run = engine.run(&INSPECT).expect(0);
    assert_eq!(measures(run.json()), from_save());
    assert!(run.stderr.contains("read 1 of 6 layers"), "{}", run.stderr);
    // Manifest, config, the layer's first bytes, and all of it, since it is compressed.
    assert_eq!(engine.asked("Content/Read"), 4);
}

#[test]
fn where_the_content_store_is_refused_or_fails_the_export_is_read() {
    for (offer, because) in [
        (Offer::Nowhere, "it answers with 404 Not Found"),
        (Offer::Breaking(20_000), "status 14: the store is gone"),
        (Offer::Breaking(10), "status 14: the store is gone"),
    ] {
        let engine = FakeEngine::start(docker_29(offer));
        let run = engine.run(&INSPECT).expect(0);
        assert_eq!(measures(run.json()), from_save(), "{offer:?}");
        for part in ["edge:v1: read the engine's export in ", "its content store", because] {
            assert!(run.stderr.contains(part), "{offer:?}: {}", run.stderr);
        }
        assert_eq!(engine.asked("/get"), 1, "{offer:?}");
        let quiet = engine.run(&[&INSPECT[..], &["--verify", "--quiet"]].concat()).expect(0);
        assert_eq!(quiet.stderr, "", "{offer:?}");
    }
}

/// Layers as large as that they are read in several pieces.
fn plain_layers() -> [FakeLayer; 3] {
    let files: Vec<String> = (0..400).map(|number| format!("usr/lib/module/file-{number}")).collect();
    let small: Vec<Item<'_>> = files.iter().map(|name| Item::File(name, 700)).collect();
    let large = [Item::File("srv/a", 3_000_000), Item::Link("srv/b", "srv/a"), Item::File("srv/c", 90_000)];
    [
        FakeLayer::plain(&tar_of(&small), "COPY module /usr/lib/module"),
        FakeLayer::plain(&tar_of(&large), "COPY srv /srv"),
        FakeLayer::gzip(&tar_of(&[Item::File("srv/.wh.a", 0), Item::File("srv/d", 5)]), "RUN rm /srv/a"),
    ]
}

#[test]
fn a_plain_layer_is_read_by_its_headers_and_remembered_for_its_image_alone() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(&directory.path().join("layout"), &plain_layers());
    let expected = run(&["inspect", "--format", "json", &layout.display().to_string()]).expect(0).json();
    let engine = FakeEngine::start(engine_of(&layout, Offer::Direct));
    let first = engine.run(&INSPECT).expect(0).json();
    for key in ["layers", "files", "uncompressed", "flattened", "wasted"] {
        assert_eq!(first["totals"][key], expected["totals"][key], "{key}");
    }
    let cache = engine.directory().join("cache/v1");
    let count = |kind: &str| fs::read_dir(cache.join(kind)).map_or(0, Iterator::count);
    assert_eq!((count("layers"), count("seen")), (1, 2), "the compressed layer was hashed");
    assert!(engine.served_bytes() < 1_200_000, "{}", engine.served_bytes());
    engine.asked("Content/Read");
    fs::remove_dir_all(cache.join("images")).unwrap();
    let again = engine.run(&INSPECT).expect(0);
    assert!(again.stderr.contains("read 0 of 3 layers"), "{}", again.stderr);
    assert_eq!(again.json(), first);

    // The same layers in another image were not read as that one's.
    let blobs = Blobs::at(&directory.path().join("other"));
    let mut config = crate::support::config_of(&plain_layers(), "linux/amd64");
    config["config"] = json!({ "Labels": { "other": "yes" } });
    let manifest = blobs.put_manifest(&config, &plain_layers());
    let other = FakeEngine::start(engine_of(&blobs.finish(&json!([manifest])), Offer::Direct));
    fs::rename(engine.directory().join("cache"), other.directory().join("cache")).unwrap();
    let run = other.run(&INSPECT).expect(0);
    assert!(run.stderr.contains("read 2 of 3 layers"), "{}", run.stderr);
}

/// A blob that is not what its name says has been changed below the engine. Without reading all of it, that does not
/// show; so what `record` stores was read and hashed.
#[test]
fn what_was_not_hashed_is_never_stored() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(&directory.path().join("layout"), &plain_layers());
    let mut capture = engine_of(&layout, Offer::Direct);
    let blob = capture.content.blobs.values_mut().max_by_key(|blob| blob.len()).unwrap();
    let middle = blob.len() / 2;
    blob[middle] ^= 1;
    let engine = FakeEngine::start(capture);
    engine.run(&INSPECT).expect(0);
    let store = format!("dir:{}", directory.path().join("store").display());
    let record = engine.run(&["record", "edge:v1", "--store", &store]).expect(3);
    assert!(record.stderr.contains("layer 2 of 3 is not the one that the image names"), "{}", record.stderr);

    let sound = FakeEngine::start(engine_of(&layout, Offer::Direct));
    fs::rename(engine.directory().join("cache"), sound.directory().join("cache")).unwrap();
    sound.run(&["record", "edge:v1", "--store", &store]).expect(0);
    assert!(sound.served_bytes() > 3_000_000, "{}", sound.served_bytes());
    assert_eq!(fs::read_dir(sound.directory().join("cache/v1/layers")).unwrap().count(), 3);
}

#[test]
fn a_layer_that_the_store_does_not_have_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(&directory.path().join("layout"), &plain_layers());
    let mut capture = engine_of(&layout, Offer::Direct);
    let largest = capture.content.blobs.iter().max_by_key(|(_, blob)| blob.len()).unwrap().0.clone();
    capture.content.blobs.remove(&largest);
    let engine = FakeEngine::start(capture);
    let run = engine.run(&INSPECT).expect(3);
    assert!(run.stderr.contains("layer 2 of 3 is missing"), "{}", run.stderr);
}
