//! What the content of files says: the same from a file and from a stream, and of real programs the
//! same as what `strip` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{FakeLayer, Run, layergate, oci_layout, skip, tar_with_modes};

/// The snapshot of an image of one layer: plain and jumped over, plain and hashed, and packed. All say the
/// same.
fn snapshot(files: &[(&str, u32, Vec<u8>)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let tar = tar_with_modes(files);
    let (plain, packed) = (directory.path().join("plain"), directory.path().join("packed"));
    oci_layout(&plain, &[FakeLayer::plain(&tar, "COPY . /")]);
    oci_layout(&packed, &[FakeLayer::gzip(&tar, "COPY . /")]);
    let inspect = |image: &Path, options: &[&str]| {
        let document = directory.path().join("snapshot.json");
        let mut command = layergate();
        Run::of(command.args(["inspect", "--no-cache", "-o"]).arg(&document).args(options).arg(image))
            .expect(0);
        fs::read_to_string(document).unwrap()
    };
    let text = inspect(&plain, &[]);
    let file_list = |text: &str| -> Value {
        let document: Value = serde_json::from_str(text).unwrap();
        document["layers"][0]["file_list"].clone()
    };
    assert_eq!(file_list(&inspect(&plain, &["--verify"])), file_list(&text));
    assert_eq!(file_list(&inspect(&packed, &[])), file_list(&text));
    text
}

fn marks(text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap();
    document["layers"][0]["file_list"]["marks"].clone()
}

#[test]
fn files_say_what_they_are_and_no_secret_is_kept() {
    let text = |text: &str| text.as_bytes().to_vec();
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", "Abcd".repeat(16));
    let lockfile = r#"{"packages":{"node_modules/a":{},"node_modules/jest":{"dev":true}}}"#;
    let found = snapshot(&[
        ("etc/hosts", 0o644, text("127.0.0.1 localhost\n")),
        ("app/.env", 0o644, text("PORT=80\nAPI_TOKEN=hunter2hunter2\n")),
        ("app/tls.key", 0o755, text(&key)),
        ("app/package.json", 0o644, text(r#"{"devDependencies":{"jest":"29"}}"#)),
        ("app/node_modules/.package-lock.json", 0o644, text(lockfile)),
        ("app/node_modules/a/package.json", 0o644, text(r#"{"name":"a","version":"1.0.0"}"#)),
        ("app/run.sh", 0o755, text(&format!("#!/bin/sh\n{}", "true\n".repeat(100)))),
        ("app/broken.so", 0o644, [&b"\x7fELF\x02\x01\x01"[..], &[0xff; 9000]].concat()),
    ]);
    let expected = json!([
        ["secret", 1, "env-file"],
        ["secret", 2, "private-key"],
        ["dev-declared", 3, ["app/node_modules/jest"]],
        ["dev", 4, ["app/node_modules/jest"]],
    ]);
    assert_eq!(marks(&found), expected);
    assert!(!found.contains("hunter2") && !found.contains("AbcdAbcd"), "{found}");
    assert_eq!(marks(&snapshot(&[("etc/hosts", 0o644, text("127.0.0.1 localhost\n"))])), json!([]));
}

/// An older snapshot has no marks, and that is not the same as none.
#[test]
fn a_snapshot_without_marks_is_read_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut document: Value = serde_json::from_str(&snapshot(&[("a", 0o644, vec![1])])).unwrap();
    document["layers"][0]["file_list"].as_object_mut().unwrap().remove("marks").unwrap();
    let path = directory.path().join("old.json");
    fs::write(&path, document.to_string()).unwrap();
    let again = directory.path().join("again.json");
    Run::of(layergate().args(["inspect", "-o"]).arg(&again).arg(format!("snapshot:{}", path.display())))
        .expect(0);
    assert_eq!(marks(&fs::read_to_string(again).unwrap()), Value::Null);
}

/// What a store has from before marks is no reason not to read a layer, and is replaced.
#[test]
fn a_recorded_layer_without_marks_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let tar = tar_with_modes(&[("app/.env", 0o644, b"API_TOKEN=hunter2hunter2\n".to_vec())]);
    let layout = directory.path().join("layout");
    oci_layout(&layout, &[FakeLayer::gzip(&tar, "COPY . /")]);
    let store = directory.path().join("store");
    let record = || {
        let mut command = layergate();
        command.args(["record", "--no-cache", "--store"]).arg(format!("dir:{}", store.display()));
        Run::of(command.arg(format!("app={}", layout.display()))).expect(0);
    };
    record();
    let file_list = files_below(&store.join("file-lists")).remove(0);
    let new = zstd::decode_all(fs::read(&file_list).unwrap().as_slice()).unwrap();
    let mut document: Value = serde_json::from_slice(&new).unwrap();
    assert_eq!(document["file_list"]["marks"], json!([["secret", 0, "env-file"]]));
    document["file_list"].as_object_mut().unwrap().remove("marks");
    for schema in ["layergate.file-list/v1", "layergate.file-list/v0"] {
        document["schema"] = schema.into();
        fs::write(&file_list, zstd::encode_all(document.to_string().as_bytes(), 3).unwrap()).unwrap();
        record();
        assert_eq!(zstd::decode_all(fs::read(&file_list).unwrap().as_slice()).unwrap(), new, "{schema}");
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The bytes of each section of a program, by its name; of one that is not in the file, none.
fn sections(program: &Path) -> Vec<(String, u64)> {
    let mut readelf = Command::new("readelf");
    let listed = Run::of(readelf.env("LC_ALL", "C").arg("-SW").arg(program)).expect(0).stdout;
    let section = |line: &str| {
        let mut words = line.split_once(']')?.1.split_whitespace();
        let (name, kind) = (words.next()?, words.next()?);
        let size = u64::from_str_radix(words.nth(2)?, 16).ok()?;
        name.starts_with('.').then(|| (name.to_owned(), if kind == "NOBITS" { 0 } else { size }))
    };
    listed.lines().filter_map(section).collect()
}

/// The bytes of the sections that `strip` takes.
pub fn stripped_bytes(program: &Path) -> u64 {
    let stripped = program.with_extension("stripped");
    Run::of(Command::new("strip").arg("-o").arg(&stripped).arg(program)).expect(0);
    let kept = sections(&stripped);
    let gone = |(name, _): &&(String, u64)| !kept.iter().any(|(kept, _)| kept == name);
    sections(program).iter().filter(gone).map(|(_, size)| size).sum()
}

const C: &str = "#include <stdio.h>\nstatic int twice(int x) { return 2 * x; }\n\
    int main(int count, char **words) { printf(\"%d %s\\n\", twice(count), words[0]); return 0; }\n";

#[test]
#[ignore = "needs compilers: tests/run"]
fn what_strip_takes_is_what_is_marked() {
    let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
    if !cfg!(target_os = "linux") || ["gcc", "strip", "readelf", "rustc"].iter().any(missing) {
        return skip("programs with debug symbols", "gcc, strip, readelf and rustc make and evaluate them");
    }
    let directory = tempfile::tempdir().unwrap();
    let (c, rust) = (directory.path().join("a.c"), directory.path().join("b.rs"));
    fs::write(&c, C).unwrap();
    fs::write(&rust, "fn main() { println!(\"{}\", std::env::args().count()); }").unwrap();
    let builds: [(&str, &str, &[&str]); 10] = [
        ("plain", "gcc", &[]),
        ("debug", "gcc", &["-g"]),
        ("macros", "gcc", &["-g3"]),
        ("packed", "gcc", &["-g", "-gz"]),
        ("stripped", "gcc", &["-s"]),
        ("lib.so.1", "gcc", &["-g", "-shared", "-fPIC"]),
        ("relocations", "gcc", &["-g", "-Wl,--emit-relocs"]),
        ("rust", "rustc", &[]),
        ("rust-debug", "rustc", &["-g"]),
        ("rust-stripped", "rustc", &["-Cstrip=symbols"]),
    ];
    let mut files = Vec::new();
    let mut expected = Vec::new();
    for (name, compiler, options) in builds {
        let program = directory.path().join(name);
        let source = if compiler == "gcc" { &c } else { &rust };
        Run::of(Command::new(compiler).args(options).arg("-o").arg(&program).arg(source)).expect(0);
        match stripped_bytes(&program) {
            0 => assert!(name.ends_with("stripped"), "{name}"),
            bytes => expected.push(json!(["debug", files.len(), bytes])),
        }
        let mode = if name.contains(".so") { 0o644 } else { 0o755 };
        files.push((name, mode, fs::read(&program).unwrap()));
    }
    assert_eq!(marks(&snapshot(&files)), json!(expected));
}
