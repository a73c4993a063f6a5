//! The schema of `layergate.toml` and what reads that file agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use layergate::config::Config;
use layergate::removable::Catalogue;
use serde_json::{Value, json};

use crate::support::schema::{self as held, schema};

/// Each section: the beginning of it, what it needs to have, and where the schema describes it.
const SECTIONS: [(&str, &str, &str); 11] = [
    ("", "", ""),
    ("[limits]\n", "", "/definitions/limits"),
    ("[images.api]\n", "", "/definitions/image"),
    ("[images.api.platforms.\"linux/arm64\"]\n", "", "/definitions/limits"),
    ("[accept]\n", "", "/definitions/accept"),
    ("[comment]\n", "", "/definitions/comment"),
    ("[allow]\n", "", "/definitions/allow"),
    ("[allow.images.api]\n", "", "/definitions/allow-image"),
    ("[removable]\n", "", "/definitions/removable"),
    ("[[removable.kinds]]\n", "name = \"x\"\npaths = [\"x\"]\n", "/definitions/kind"),
    ("[[removable.ignore]]\n", "kind = \"jdk\"\nreason = \"x\"\n", "/definitions/ignore"),
];

/// Why the program refuses a configuration, if it does.
fn refusal(text: &str) -> Option<String> {
    Config::parse("layergate.toml", text).err().map(|error| error.to_string())
}

fn properties<'s>(root: &'s Value, section: &str) -> &'s serde_json::Map<String, Value> {
    root.pointer(section).unwrap()["properties"].as_object().unwrap()
}

/// What a schema says, with what it refers to.
pub fn resolved<'s>(schema: &'s Value, root: &'s Value) -> Vec<&'s Value> {
    let inner = schema["allOf"].as_array().into_iter().flatten().chain(schema.get("$ref").map(|_| schema));
    let places = inner.filter_map(|inner| inner["$ref"].as_str());
    let referred = places.flat_map(|place| resolved(root.pointer(&place[1..]).unwrap(), root));
    [schema].into_iter().chain(referred).collect()
}

/// A value as TOML has it on one line: as JSON, but for tables.
pub fn toml_of(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{} = {}", json!(name), toml_of(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        plain => plain.to_string(),
    }
}

#[test]
fn each_section_has_the_keys_that_are_read() {
    let root = schema("config");
    for (start, needed, section) in SECTIONS {
        let told = refusal(&format!("{start}{needed}zzzz = 1\n")).unwrap();
        let known = told.split("; known are ").nth(1).unwrap_or_else(|| panic!("{told}")).trim();
        let known: BTreeSet<&str> = known.lines().next().unwrap().split(", ").collect();
        let described: BTreeSet<&str> = properties(&root, section).keys().map(String::as_str).collect();
        assert_eq!(described, known, "{start}");
    }
}

#[test]
fn each_example_and_choice_of_the_schema_can_be_written() {
    let root = schema("config");
    let mut tried = 0;
    for (start, needed, section) in SECTIONS {
        for (key, property) in properties(&root, section) {
            let says = resolved(property, &root);
            let values = says.iter().flat_map(|schema| [&schema["examples"], &schema["enum"]]);
            let values: Vec<&Value> = values.filter_map(Value::as_array).flatten().collect();
            let defaults = says.iter().filter_map(|schema| schema.get("default"));
            // What has keys of its own is tried key by key.
            let is_section = says.iter().any(|schema| !schema["properties"].is_null())
                || values.is_empty() && !property["items"]["$ref"].is_null();
            assert!(!values.is_empty() || property["default"].is_boolean() || is_section, "{start}{key}");
            for value in values.into_iter().chain(defaults) {
                let others: String = needed
                    .lines()
                    .filter(|line| !line.starts_with(&format!("{key} ")))
                    .map(|line| format!("{line}\n"))
                    .collect();
                let text = format!("{start}{others}{key} = {}\n", toml_of(value));
                assert_eq!(refusal(&text), None, "{text}");
                held::config(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                tried += 1;
            }
        }
    }
    assert!(tried > 80, "{tried}");
}

#[test]
fn the_schema_and_the_program_take_and_refuse_the_same() {
    let good = [
        "",
        "[limits]\n",
        "[limits]\nmax-size = \"500MB\"\nmax-layer-size = \" 1.5 gib \"\nmax-removable = \"12 bytes\"",
        "[limits]\nmax-increase = \"5 %\"\nwarn-increase = \"0.000001%\"\nmax-app-increase = \"1 B\"",
        "[limits]\nmax-increase = \"5%  and 1 MiB\"\nmax-wasted = \"1% or 2 kB or 3 GB\"",
        "[limits]\nmax-layers = 0",
        "[limits]\nmax-layers = \"20\"",
        "[limits]\nforbid-paths = \"**/.git\\nroot/**\"",
        "[limits]\nforbid-paths = []\nbuild-args = [\"A=1=2\", \"B=\"]\ntarget = \"run\"\ndockerfile = \"D\"",
        "[images.\"a b\"]\nmax-size = \"1 B\"\n[images.a.platforms.\"linux/arm/v7\"]\nmetric = \"flattened\"",
        "[accept]\nlabels = \"one\\ntwo\"\ntrailer = \"Ok\"\nmax-increase = \"5% and 1 MB\"",
        "[[removable.kinds]]\nname = \"x\"\npackages = [\"deb:x\"]",
        "[[removable.kinds]]\nname = \"x\"\npaths = [\"x\"]\n[[removable.ignore]]\nkind = \"x\"\nreason = \"y\"",
        "[[removable.ignore]]\npaths = [\"/usr/lib/x\"]\nreason = \"y\"",
    ];
    for text in good {
        assert_eq!(refusal(text), None, "{text}");
        held::config(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    let sizes = [
        "500",
        "500 M",
        "500 XB",
        "5%",
        "",
        "-5 MB",
        "MB",
        "1.2.3 MB",
        ".5 MB",
        "5. MB",
        "1 MB and 2 MB",
        "1.1234567 MB",
    ];
    let increases =
        ["5", "5% and", "and 5%", "5% and 1 MB or 2 MB", "5%and 1 MB", "5% 1 MB", "five", "", "5% AND 1 MB"];
    let of = |keys: &[&str], texts: &[&str]| -> Vec<String> {
        let pair = |key: &&str| {
            texts.iter().map(|text| format!("[limits]\n{key} = {}", json!(text))).collect::<Vec<_>>()
        };
        keys.iter().flat_map(pair).collect()
    };
    let mut bad = of(&["max-size", "max-layer-size", "max-removable"], &sizes);
    bad.extend(of(&["max-increase", "warn-increase", "max-app-increase", "max-wasted"], &increases));
    bad.extend(of(&["metric", "multi-stage", "on-missing-baseline"], &["", "packed", "Warn"]));
    bad.extend(of(&["max-layers"], &["", "many", "-1", "1.5"]));
    let more = [
        "limits = 3",
        "limits = []",
        "[limit]",
        "[limits]\nmax-sise = \"5 MB\"",
        "[limits]\nmax_size = \"5 MB\"",
        "[limits]\nmax-size = 500",
        "[limits]\nmax-size = true",
        "[limits]\nmax-size = [\"5 MB\"]",
        "[limits]\nmax-increase = 5",
        "[limits]\nmax-layers = -1",
        "[limits]\nmax-layers = 1.5",
        "[limits]\nmax-layers = true",
        "[limits]\nmulti-stage = true",
        "[limits]\nforbid-paths = [3]",
        "[limits]\nforbid-paths = [\"/\"]",
        "[limits]\nforbid-paths = { a = 1 }",
        "[limits]\nbuild-args = [\"=1\"]",
        "[limits]\nbuild-args = [\"A\"]",
        "[limits]\nlabels = [\"a\"]",
        "[limits]\nplatforms = { \"linux/arm64\" = {} }",
        "[images]\nmax-size = \"5 MB\"",
        "[images.a]\ncolour = 1",
        "[images.a.platforms]\narm = {}",
        "[images.a.platforms.\"linux/arm64\"]\nmax-sise = \"5 MB\"",
        "[images.a.platforms.\"linux/arm64\"]\nplatforms = {}",
        "[accept]\nlabel = \"x\"",
        "[accept]\nlabels = [3]",
        "[accept]\nlabels = true",
        "[accept]\ntrailer = \"a b\"",
        "[accept]\ntrailer = \"\"",
        "[accept]\nmax-increase = \"5\"",
        "[removable]\nkind = []",
        "[[removable.kinds]]\nname = \"x\"",
        "[[removable.kinds]]\nname = \"x\"\npaths = []",
        "[[removable.kinds]]\nname = \" \"\npaths = [\"x\"]",
        "[[removable.kinds]]\nname = \"jdk\"\npaths = [\"x\"]",
        "[[removable.kinds]]\npaths = [\"x\"]",
        "[[removable.kinds]]\nname = \"x\"\npaths = \"x\"",
        "[[removable.kinds]]\nname = \"x\"\npaths = [\"x\"]\nweight = \"heavy\"",
        "[[removable.kinds]]\nname = \"x\"\npaths = [\"x\"]\nmarks = [\"bad\"]",
        "[[removable.kinds]]\nname = \"x\"\npaths = [\"x\"]\nbeside-source = \"yes\"",
        "[[removable.kinds]]\nname = \"x\"\npaths = [\"x\"]\nhelps = { npm = 1 }",
        "[[removable.kinds]]\nname = \"x\"\npaths = [\"\"]",
        "[[removable.ignore]]\nkind = \"jdk\"",
        "[[removable.ignore]]\nkind = \"jdk\"\nreason = \"\"",
        "[[removable.ignore]]\nreason = \"x\"",
        "[[removable.ignore]]\nreason = \"x\"\npaths = []",
        "[[removable.ignore]]\nkind = \"jdk\"\nreasons = \"x\"",
        "[[removable.ignore]]\nkind = 3\nreason = \"x\"",
    ];
    bad.extend(more.map(str::to_owned));
    for text in bad {
        assert!(refusal(&text).is_some(), "the program takes {text}");
        assert!(held::config(&text).is_err(), "the schema takes {text}");
    }
}

#[test]
fn the_kinds_that_are_built_in_are_those_of_the_catalogue() {
    let catalogue = Catalogue::builtin();
    let kinds: Vec<&str> = catalogue.kinds().iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(schema("config")["definitions"]["built-in-kind"]["enum"], json!(kinds));
}

/// The documents that people read.
fn documents() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let below = fs::read_dir(root.join("docs")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let documents = below.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    [root.join("README.md")].into_iter().chain(documents).collect()
}

#[test]
fn every_example_of_a_configuration_fits_the_schema() {
    let mut examples = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            held::config(block).unwrap_or_else(|error| panic!("{}: {error}\n{block}", path.display()));
            assert_eq!(refusal(block), None, "{}", path.display());
            examples += 1;
        }
    }
    assert!(examples >= 2, "{examples}");
}
