//! What an engine is asked for, and what not.

use std::fs;
use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::fake_engine::{Capture, FakeEngine};
use crate::support::fixture;

/// The measures of an image, without where it was read from.
fn measures(mut snapshot: Value) -> Value {
    snapshot["source"].take();
    snapshot["image"]["reference"].take();
    snapshot["image"]["name"].take();
    snapshot
}

fn from_save(engine: &str, image: &str) -> Value {
    let save = fixture(&format!("engines/{engine}/{image}.save.tar"));
    measures(crate::support::run(&["inspect", "--format", "json", &save]).expect(0).json())
}

/// The entries of a tar whose names pass, in the order of `rank`, and no end.
fn reordered(save: &[u8], rank: impl Fn(&str) -> Option<usize>) -> Vec<u8> {
    let mut entries = Vec::new();
    for entry in tar::Archive::new(save).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        entries.extend(rank(&name).map(|rank| (rank, entry.header().clone(), content)));
    }
    entries.sort_by_key(|(rank, ..)| *rank);
    let mut tar = Vec::new();
    for (_, header, mut content) in entries {
        tar.extend_from_slice(header.as_bytes());
        content.resize(content.len().next_multiple_of(512), 0);
        tar.extend(content);
    }
    tar
}

#[test]
fn docker_29_gives_the_known_figures_although_it_says_others() {
    for (image, figures) in
        [("edge-v1", [2_100_066, 2_061_173, 38_893]), ("edge-v2", [2_175_051, 2_166_158, 8_893])]
    {
        let engine = FakeEngine::start(Capture::of("docker-29", image));
        let name = image.replace('-', ":");
        let first = engine.run(&["inspect", "--format", "json", &name]).expect(0).json();
        let totals = &first["totals"];
        assert_eq!(
            json!([totals["uncompressed"], totals["flattened"], totals["wasted"]]),
            json!(figures),
            "{image}"
        );
        assert_eq!(first["source"]["engine"], "docker 29.0.0-dev");
        assert_eq!(measures(first.clone()), from_save("docker-29", image), "also compressed bytes and IDs");
        assert_eq!(engine.asked("/get"), 1);

        let again = engine.run(&["inspect", "--format", "json", &name]).expect(0).json();
        assert_eq!(again, first);
        assert_eq!(engine.asked("/get"), 0, "what is known is not exported again");

        let verified = engine.run(&["inspect", "--format", "json", "--verify", &name]).expect(0).json();
        assert_eq!(verified, first);
        assert_eq!(engine.asked("/get"), 1, "--verify takes nothing as known");
    }
}

/// The image is new, all of its layers are not: its instructions come from the engine's history.
#[test]
fn an_image_of_known_layers_is_not_exported_by_a_classic_store() {
    let capture = Capture::of("docker-20.10", "edge-v1");
    let engine = FakeEngine::start(capture);
    let first = engine.run(&["inspect", "--format", "json", "edge:v1"]).expect(0).json();
    assert_eq!((engine.asked("/get"), engine.asked("/history")), (1, 0));
    assert_eq!(measures(first.clone()), from_save("docker-20.10", "edge-v1"));

    fs::remove_dir_all(engine.directory().join("cache/v1/images")).unwrap();
    let by_layers = engine.run(&["inspect", "--format", "json", "edge:v1"]).expect(0).json();
    assert_eq!((engine.asked("/get"), engine.asked("/history")), (0, 1));
    assert_eq!(by_layers, first);
    engine.run(&["inspect", "edge:v1"]).expect(0);
    // What the engine says of an ID is not remembered as what that ID means: only an export shows that.
    assert_eq!((engine.asked("/get"), engine.asked("/history")), (0, 1));
    engine.run(&["inspect", "--verify", "edge:v1"]).expect(0);
    assert_eq!((engine.asked("/get"), engine.asked("/history")), (1, 0));
    engine.run(&["inspect", "edge:v1"]).expect(0);
    assert_eq!((engine.asked("/get"), engine.asked("/history")), (0, 0), "and is remembered as a whole");
}

/// Which steps made a layer, an engine does not say. Where that is not beyond doubt, it is not guessed.
#[test]
fn a_history_that_may_be_read_in_two_ways_is_not_relied_on() {
    let mut capture = Capture::of("docker-20.10", "edge-v1");
    let mut history: Vec<Value> = serde_json::from_slice(&capture.history).unwrap();
    let mut unclear = history[0].clone();
    unclear["CreatedBy"] = "/bin/sh -c #(nop) WORKDIR /srv".into();
    unclear["Size"] = 0.into();
    history.push(unclear.clone());
    history.insert(0, unclear);
    let steps =
        history.iter().position(|step| step["CreatedBy"].as_str().unwrap().contains("chmod")).unwrap();
    history[steps]["Size"] = 0.into();
    history[steps]["CreatedBy"] = "/bin/sh -c chmod 0755 /data/blob.bin".into();
    capture.history = serde_json::to_vec(&history).unwrap();
    let engine = FakeEngine::start(capture);
    let first = engine.run(&["inspect", "--format", "json", "edge:v1"]).expect(0).json();
    fs::remove_dir_all(engine.directory().join("cache/v1/images")).unwrap();
    engine.asked("/get");
    let again = engine.run(&["inspect", "--format", "json", "edge:v1"]).expect(0).json();
    assert_eq!((engine.asked("/history"), engine.asked("/get")), (1, 1));
    assert_eq!(again, first);
}

/// The export never ends, and layergate does. The config may come last, and is not waited for: the engine has said what is
/// in it. What the ID means is not remembered then.
#[test]
fn an_export_is_read_to_the_last_unknown_layer_and_no_further() {
    for has_config in [true, false] {
        read_to_the_last_unknown_layer(has_config);
    }
}

fn read_to_the_last_unknown_layer(has_config: bool) {
    for (store, config, last) in [
        (
            "docker-20.10",
            "60b52c3cdb84edae4064575d809e02600c7d768c5696e64a56ac552a2ddf6ab9.json",
            "d7ca74200f9a",
        ),
        ("docker-29", "26aa1b16bc5023aec9f87e43ed78b609636788b2b1f240391c832a46be597093", "9e4e240df014"),
    ] {
        let whole = Capture::of(store, "edge-v1");
        let expected = from_save(store, "edge-v1");
        // Everything is known but the layer with busybox in it, the largest.
        let seed = FakeEngine::start(whole.clone());
        seed.run(&["inspect", "edge:v1"]).expect(0);
        let unknown = whole.diff_ids()[0].replace("sha256:", "");
        let cache = seed.directory().join("cache");
        fs::remove_dir_all(cache.join("v1/images")).unwrap();
        fs::remove_file(cache.join("v1/layers").join(&unknown[..2]).join(format!("{unknown}.json.zst")))
            .unwrap();

        let wanted = |name: &str| match name {
            name if name.contains(config) => has_config.then_some(0),
            // The manifest of the containerd store, by its digest, which is the image's ID.
            name if name.contains("3abfe07d0791") => Some(0),
            name if name.contains(last) => Some(1),
            _ => None,
        };
        let engine =
            FakeEngine::start(Capture { save: reordered(&whole.save, wanted), endless: true, ..whole });
        fs::rename(cache, engine.directory().join("cache")).unwrap();
        let measured = engine.run(&["inspect", "--format", "json", "edge:v1"]).expect(0).json();
        assert_eq!(measures(measured), expected, "{store}");
        assert_eq!(engine.asked("/get"), 1);
        assert_eq!(engine.directory().join("cache/v1/images").exists(), has_config, "{store}");
    }
}

#[test]
fn a_platform_that_the_engine_does_not_have_is_named() {
    let engine = FakeEngine::start(Capture::of("docker-29", "edge-v1"));
    engine.run(&["inspect", "--platform", "linux/amd64", "edge:v1"]).expect(0);
    let run = engine.run(&["inspect", "--platform", "linux/arm64", "edge:v1"]).expect(3);
    for part in ["no image for linux/arm64", "linux/amd64", "--platform"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
}
