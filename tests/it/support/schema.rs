//! Validates everything that the tests make the program write, and the configuration that it reads, against its
//! schemas.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::{Run, layergate};

/// A schema, by its name on the command line.
pub fn schema(of: &str) -> Value {
    let mut command = layergate();
    serde_json::from_str(&Run::unwatched(command.args(["schema", of])).expect(0).stdout).unwrap()
}

/// A compiled schema.
struct Held {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Held {
    fn new(schema: Value) -> Held {
        let address = schema["$id"].as_str().unwrap().to_owned();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource(&address, schema).unwrap();
        let index = compiler.compile(&address, &mut schemas).unwrap();
        Held { schemas, index }
    }

    fn check(&self, document: &Value) -> Result<(), String> {
        self.schemas.validate(document, self.index).map_err(|error| format!("{error:#}"))
    }
}

/// The same schema with everything that it does not describe forbidden.
fn closing(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(words) => {
            if words.contains_key("properties") {
                words.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            words.values_mut().for_each(|word| *word = closing(word.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = closing(item.take())),
        _ => {}
    }
    schema
}

static CONFIG: LazyLock<Held> = LazyLock::new(|| Held::new(schema("config")));
static SNAPSHOT: LazyLock<[Held; 2]> = LazyLock::new(|| both("snapshot"));
static REPORT: LazyLock<[Held; 2]> = LazyLock::new(|| both("report"));
static FLEET: LazyLock<[Held; 2]> = LazyLock::new(|| both("fleet"));

fn both(of: &str) -> [Held; 2] {
    [Held::new(schema(of)), Held::new(closing(schema(of)))]
}

fn schemas_of(of: &str) -> &'static [Held; 2] {
    match of {
        "report" => &REPORT,
        "fleet" => &FLEET,
        _ => &SNAPSHOT,
    }
}

/// Whether a document fits the schema, as its readers would apply it.
pub fn open(of: &str, document: &Value) -> Result<(), String> {
    schemas_of(of)[0].check(document)
}

/// Whether a document fits the schema and contains nothing that the schema does not describe.
pub fn closed(of: &str, document: &Value) -> Result<(), String> {
    schemas_of(of)[1].check(document)
}

/// Whether a configuration fits its schema, which is closed itself.
pub fn config(text: &str) -> Result<(), String> {
    let document: toml::Value = toml::from_str(text).map_err(|error| error.to_string())?;
    CONFIG.check(&json_of(document))
}

/// As editors see it: a date is a text.
fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(json_of).collect()),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json_of(value))).collect())
        }
        other => serde_json::to_value(other).unwrap(),
    }
}

/// Validates output of the program if it is one or several documents with a schema. Compressed ones are decompressed
/// first.
#[track_caller]
pub fn hold(written: &[u8], place: &str) {
    let mut uncompressed = Vec::new();
    let json = match written {
        [0x1f, 0x8b, ..] => {
            flate2::read::GzDecoder::new(written).read_to_end(&mut uncompressed).unwrap();
            &uncompressed
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            uncompressed = zstd::decode_all(written).unwrap();
            &uncompressed
        }
        _ => written,
    };
    let starts = |c: u8| json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&c);
    if !starts(b'{') && !starts(b'[') {
        return;
    }
    let Ok(document) = serde_json::from_slice::<Value>(json) else { return };
    let several = document.as_array().cloned().unwrap_or_else(|| vec![document]);
    for document in several {
        let fits = match document["schema"].as_str() {
            Some("layergate.snapshot/v1") => closed("snapshot", &document),
            Some("layergate.report/v1") => closed("report", &document),
            Some("layergate.fleet/v1") => closed("fleet", &document),
            _ => Ok(()),
        };
        fits.unwrap_or_else(|error| panic!("{place}: {error}\n{document:#}"));
    }
}

/// Changes whenever a file is written.
type Stamp = (u64, std::time::SystemTime);

/// A run of the program that is watched: its standard output, the files that its options and variables name, and the
/// configuration that it reads are validated against their schemas.
pub struct Watch {
    command: String,
    config: Option<PathBuf>,
    /// Files, and directories to search down to a depth.
    places: Vec<(PathBuf, usize)>,
    before: BTreeMap<PathBuf, Stamp>,
}

impl Watch {
    /// Takes note of the files before a run; `None` if it runs another program.
    pub fn of(command: &Command) -> Option<Watch> {
        let program = env!("CARGO_BIN_EXE_layergate");
        let mut words: Vec<String> =
            command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        if command.get_program() != program {
            words.iter().position(|word| word == program).map(|at| words.drain(..=at))?;
        }
        let here = command.get_current_dir().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let given = |option: &str| {
            let long = format!("--{option}");
            let by_option = words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(&long) {
                Some("") => words.get(at + 1).cloned(),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => None,
            });
            by_option.or_else(|| variable(command, &format!("LAYERGATE_{}", option.to_uppercase())))
        };
        let short = words.iter().position(|word| word == "-o").and_then(|at| words.get(at + 1).cloned());
        let store = given("store").unwrap_or_else(|| "dir:.layergate".into());
        let store = store.strip_prefix("dir:").map(|path| format!("{path}/records"));
        let files = [short, given("output"), given("report")].into_iter().flatten().map(|file| (file, 0));
        let directories =
            [store.map(|path| (path, 4)), variable(command, "RUNNER_TEMP").map(|path| (path, 1))];
        let written = files.chain(directories.into_iter().flatten());
        let places: Vec<(PathBuf, usize)> = written.map(|(path, depth)| (here.join(path), depth)).collect();
        let usual = ["layergate.toml", ".github/layergate.toml"].map(|file| here.join(file));
        let named = given("config").filter(|file| !file.is_empty()).map(|file| here.join(file));
        let config = named.or_else(|| usual.into_iter().find(|file| file.is_file()));
        let before = stamps(&places);
        Some(Watch { command: words.first().cloned().unwrap_or_default(), config, places, before })
    }

    /// Validates the files that were written since.
    #[track_caller]
    pub fn check(self, code: i32, stdout: &str) {
        hold(stdout.as_bytes(), "standard output");
        for (path, stamp) in stamps(&self.places) {
            if self.before.get(&path) != Some(&stamp)
                && let Ok(content) = fs::read(&path)
            {
                hold(&content, &path.display().to_string());
            }
        }
        // A run that reached a verdict has read its configuration and found no error in it.
        let has_read =
            ["check", "record", "stages"].contains(&self.command.as_str()) && [0, 1, 4].contains(&code);
        if let Some(text) = self.config.filter(|_| has_read).and_then(|file| fs::read_to_string(file).ok()) {
            config(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        }
    }
}

fn variable(command: &Command, name: &str) -> Option<String> {
    let value = command.get_envs().find(|(key, _)| *key == name)?.1?;
    Some(value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

fn stamps(places: &[(PathBuf, usize)]) -> BTreeMap<PathBuf, Stamp> {
    let mut found = BTreeMap::new();
    places.iter().for_each(|(place, depth)| look(place, *depth, &mut found));
    found
}

/// The files at a path, or below it; links are not followed, because they may lead anywhere.
fn look(place: &Path, depth: usize, found: &mut BTreeMap<PathBuf, Stamp>) {
    let Ok(about) = place.symlink_metadata() else { return };
    if about.is_file() {
        found.insert(place.to_owned(), (about.len(), about.modified().unwrap()));
    } else if about.is_dir() && depth > 0 {
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        entries.for_each(|entry| look(&entry.path(), depth - 1, found));
    }
}
