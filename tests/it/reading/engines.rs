//! The same numbers on every engine: real saves of Docker 20.10 and Docker 29, real inspect documents.

use serde_json::{Value, json};

use crate::support::{fixture, run};

fn inspect(path: &str) -> Value {
    run(&["inspect", "--format", "json", &format!("edge={}", fixture(path))]).expect(0).json()
}

#[test]
fn four_saves_of_two_images_give_the_known_figures() {
    type Expected<'a> = (&'a str, [u64; 3], &'a [u64]);
    let images: [Expected<'_>; 2] = [
        ("edge-v1", [2_100_066, 2_061_173, 38_893], &[1_982_256, 15, 27_795, 30_000, 30_000, 30_000]),
        ("edge-v2", [2_175_051, 2_166_158, 8_893], &[1_982_256, 15, 43_893, 27_795, 60_000, 1_092, 60_000]),
    ];
    for (image, [uncompressed, flattened, wasted], layers) in images {
        for engine in ["docker-20.10", "docker-29"] {
            let snapshot = inspect(&format!("engines/{engine}/{image}.save.tar"));
            let totals = &snapshot["totals"];
            assert_eq!(totals["uncompressed"], uncompressed, "{engine} {image}");
            assert_eq!(totals["flattened"], flattened, "{engine} {image}");
            assert_eq!(totals["wasted"], wasted, "{engine} {image}");
            let sizes: Vec<u64> = snapshot["layers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|layer| layer["size"].as_u64().unwrap())
                .collect();
            assert_eq!(sizes, layers, "{engine} {image}");
        }
    }
}

#[test]
fn two_captures_of_one_image_differ_in_compressed_bytes_and_ids_only() {
    for image in ["edge-v1", "edge-v2"] {
        let captures = ["docker-20.10", "docker-29"].map(|engine| {
            let mut snapshot = inspect(&format!("engines/{engine}/{image}.save.tar"));
            snapshot["image"]["id"].take();
            snapshot["image"]["reference"].take();
            snapshot["totals"]["compressed"].take();
            for layer in snapshot["layers"].as_array_mut().unwrap() {
                let layer = layer.as_object_mut().unwrap();
                for key in ["diff_id", "digest", "media_type", "compressed"] {
                    layer.remove(key);
                }
            }
            snapshot
        });
        assert_eq!(captures[0], captures[1], "{image}");
    }
}

#[test]
fn compressed_bytes_are_those_of_the_manifest_or_unknown() {
    let old = inspect("engines/docker-20.10/edge-v1.save.tar");
    let new = inspect("engines/docker-29/edge-v1.save.tar");
    assert_eq!(old["totals"]["compressed"], Value::Null, "plain tars are nothing that was ever distributed");
    let manifest_sizes = [1_079_940, 3_594, 9_000, 30_223, 30_281, 30_208];
    assert_eq!(new["totals"]["compressed"], manifest_sizes.iter().sum::<u64>());
}

#[test]
fn the_rows_of_a_difference_sum_to_it() {
    for engine in ["docker-20.10", "docker-29"] {
        let path = |image: &str| fixture(&format!("engines/{engine}/{image}.save.tar"));
        let report = run(&["diff", "--format", "json", &path("edge-v1"), &path("edge-v2")]).expect(0).json();
        let image = &report["images"][0];
        assert_eq!(image["delta"]["uncompressed"], 74_985);
        let rows: i64 =
            image["layers"].as_array().unwrap().iter().map(|row| row["delta"].as_i64().unwrap()).sum();
        let causes: i64 =
            image["causes"].as_array().unwrap().iter().map(|row| row["delta"].as_i64().unwrap()).sum();
        assert_eq!((rows, causes), (74_985, 74_985));
    }
}

#[test]
fn the_tutorials_inspect_documents_compare_as_the_engine_saw_them() {
    let image = |name: &str| format!("inspect:{}", fixture(&format!("seed/notesapp-{name}.inspect.json")));
    let text = run(&["diff", &image("default"), &image("multistage"), "--bytes"]).expect(0).stdout;
    for part in ["1,000,835,744", "911,600,820", "-89,234,924", "(-8.9%)", "9 unchanged (size unknown)"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains("(0 B)"), "{text}");

    let report = run(&["diff", "--format", "json", &image("default"), &image("multistage")]).expect(0).json();
    let image = &report["images"][0];
    assert_eq!(image["measured"], "engine");
    assert_eq!(
        (&image["base"]["totals"]["layers"], &image["head"]["totals"]["layers"]),
        (&json!(14), &json!(11))
    );
    let rows = image["layers"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|row| row["status"] == "unchanged").count(), 9);
    for row in rows {
        assert_eq!((&row["base_size"], &row["head_size"]), (&Value::Null, &Value::Null), "unknown, not 0");
    }
}

#[test]
fn docker_29_inspect_documents_are_told_from_older_ones() {
    let image =
        |engine: &str| format!("inspect:{}", fixture(&format!("engines/{engine}/edge-v1.inspect.json")));
    let same = run(&["diff", &image("docker-29"), &image("docker-29")]).expect(0);
    assert!(same.stdout.contains("6 unchanged"), "{}", same.stdout);
    let mixed = run(&["diff", &image("docker-20.10"), &image("docker-29")]).expect(3);
    assert!(mixed.stderr.contains("classic image store") && mixed.stderr.contains("containerd image store"));
}
