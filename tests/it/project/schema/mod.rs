//! The schemas that `layergate schema` prints: held to what the program reads and writes, and that to them.

mod config;

use std::collections::BTreeSet;

use layergate::image::Snapshot;
use serde_json::{Value, json};

pub use config::{resolved, toml_of};

use crate::support::schema::{self as held, schema};
use crate::support::{fixture, run};

/// What a schema says, and all schemas in it, each with its place.
fn all<'s>(schema: &'s Value, at: &str, found: &mut Vec<(String, &'s Value)>) {
    found.push((at.to_owned(), schema));
    for word in ["properties", "definitions"] {
        for (name, inner) in schema[word].as_object().into_iter().flatten() {
            all(inner, &format!("{at}/{word}/{name}"), found);
        }
    }
    for word in ["anyOf", "allOf", "items"] {
        for (index, inner) in schema[word].as_array().into_iter().flatten().enumerate() {
            all(inner, &format!("{at}/{word}/{index}"), found);
        }
    }
    for word in ["items", "additionalProperties"] {
        if schema[word].is_object() {
            all(&schema[word], &format!("{at}/{word}"), found);
        }
    }
}

/// What a property's schema says of it, or what that refers to.
fn description<'s>(schema: &'s Value, root: &'s Value) -> Option<&'s str> {
    let place = schema["$ref"].as_str();
    let schema = place.map_or(Some(schema), |place| root.pointer(&place[1..]))?;
    schema["description"].as_str()
}

#[test]
fn every_schema_is_one_and_describes_each_property_and_uses_each_definition() {
    for of in ["config", "snapshot", "report", "fleet"] {
        let root = schema(of);
        let mut schemas = Vec::new();
        all(&root, "", &mut schemas);
        let mut used = BTreeSet::new();
        for (at, schema) in &schemas {
            used.extend(schema["$ref"].as_str().map(|place| place[1..].to_owned()));
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                // What says when another one is needed describes nothing.
                if at.contains("/anyOf/") {
                    continue;
                }
                let text = description(property, &root).unwrap_or_default();
                assert!(text.len() > 3 && text.ends_with('.'), "{of}{at}: {name}: {text:?}");
            }
            if let Some(pattern) = schema["not"]["$ref"].as_str() {
                used.insert(pattern[1..].to_owned());
            }
        }
        let definitions = root["definitions"].as_object().unwrap().keys();
        let unused: Vec<&String> =
            definitions.filter(|name| !used.contains(&format!("/definitions/{name}"))).collect();
        assert!(unused.is_empty(), "{of}: {unused:?}");
    }
}

#[test]
fn the_schema_of_the_configuration_is_printed_unless_another_is_asked_for() {
    let printed = run(&["schema"]).expect(0);
    assert_eq!(printed.stdout, run(&["schema", "config"]).expect(0).stdout);
    let checked_in = |name: &str| format!("{}/schema/{name}", env!("CARGO_MANIFEST_DIR"));
    for (of, name) in
        [("config", "layergate.toml"), ("snapshot", "snapshot"), ("report", "report"), ("fleet", "fleet")]
    {
        let text = std::fs::read_to_string(checked_in(&format!("{name}.json"))).unwrap();
        assert_eq!(run(&["schema", of]).expect(0).stdout, text);
        let id = schema(of)["$id"].as_str().unwrap().to_owned();
        assert!(id.ends_with(&format!("/main/schema/{name}.json")), "{id}");
    }
    let refused = run(&["schema", "file_list"]).expect(2);
    assert!(
        refused.stderr.contains("[possible values: config, snapshot, report, fleet]"),
        "{}",
        refused.stderr
    );
    // The help says what the first line of the file has to be for an editor.
    let help = run(&["schema", "--help"]).expect(0).stdout;
    assert!(help.contains(&format!("#:schema {}", schema("config")["$id"].as_str().unwrap())), "{help}");
}

#[test]
fn a_document_of_another_version_or_with_another_form_is_none() {
    let next: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("documents/snapshot-v2.json")).unwrap())
            .unwrap();
    let edge = fixture("engines/docker-29/edge-v2.save.tar");
    let good = run(&["inspect", &edge, "--format", "json"]).expect(0).json();
    let report = run(&["diff", &edge, &edge, "--format", "json"]).expect(0).json();
    held::open("snapshot", &good).unwrap();
    held::open("report", &report).unwrap();
    assert!(held::open("snapshot", &next).is_err());
    let with = |document: &Value, place: &str, value: Value| {
        let mut document = document.clone();
        *document.pointer_mut(place).unwrap() = value;
        document
    };
    for (place, value) in [
        ("/schema", json!("layergate.snapshot/v2")),
        ("/measured", json!("guessed")),
        ("/image/id", json!("sha256:abc")),
        ("/image/platform", json!("linux")),
        ("/totals/uncompressed", json!("2 MB")),
        ("/totals/uncompressed", json!(-1)),
        ("/totals/layers", json!(null)),
        ("/layers/0/diff_id", json!("abc")),
        ("/layers/0", json!({})),
    ] {
        assert!(held::open("snapshot", &with(&good, place, value)).is_err(), "{place}");
    }
    for (place, value) in [
        ("/schema", json!("layergate.snapshot/v1")),
        ("/verdict", json!("maybe")),
        ("/images/0/metric", json!("size")),
        ("/images/0/layers/0/status", json!("same")),
        ("/images/0/delta/layers", json!(null)),
        ("/images/0/findings", json!([{ "rule": "max-size" }])),
    ] {
        assert!(held::open("report", &with(&report, place, value)).is_err(), "{place}");
    }
    // What a later version adds is ignored by a reader.
    let mut later = good.clone();
    (later["new"], later["totals"]["new"]) = (json!(1), json!([2]));
    held::open("snapshot", &later).unwrap();
    assert!(held::closed("snapshot", &later).is_err());
}

/// What is written by hand, and not as its type is, is described by hand as well.
#[test]
fn the_short_arrays_of_a_file_list_are_what_is_read() {
    let edge = fixture("engines/docker-29/edge-v2.save.tar");
    let good = run(&["inspect", &edge, "--format", "json"]).expect(0).json();
    for (list, item, is_one) in [
        ("entries", json!(["f", "c", 3]), true),
        ("entries", json!(["h", "c", "a"]), true),
        ("entries", json!(["d", "c"]), true),
        ("entries", json!(["l", "c"]), true),
        ("entries", json!(["s", "c"]), true),
        ("entries", json!(["w", "c"]), true),
        ("entries", json!(["o", "c"]), true),
        ("entries", json!(["q", "c"]), false),
        ("entries", json!(["f", "c"]), false),
        ("entries", json!(["f", "c", -1]), false),
        ("entries", json!(["h", "c"]), false),
        ("entries", json!(["d"]), false),
        ("marks", json!(["debug", 1, 2]), true),
        ("marks", json!(["secret", 1, "env-file"]), true),
        ("marks", json!(["dev", 1, ["node_modules/x"]]), true),
        ("marks", json!(["dev-declared", 1, ["node_modules/x"]]), true),
        ("marks", json!(["later", 1, {}]), true),
        ("marks", json!(["debug", 1, "2"]), false),
        ("marks", json!(["debug", 1]), false),
        ("marks", json!(["dev", 1, "node_modules/x"]), false),
        ("marks", json!(["later"]), false),
    ] {
        let mut file_list = json!({ "entries": [["f", "a", 1], ["f", "b", 2]], "marks": [] });
        file_list[list].as_array_mut().unwrap().push(item.clone());
        let mut document = good.clone();
        document["layers"][0]["file_list"] = file_list;
        let read = serde_json::from_value::<Snapshot>(document.clone());
        assert_eq!(read.is_ok(), is_one, "{item}: {:?}", read.err());
        assert_eq!(held::open("snapshot", &document).is_ok(), is_one, "{item}");
    }
}
