//! Untrusted images, each made byte by byte: it counts exactly what the rules say, or is refused with a
//! message that says why. Every one is read as a directory and as a packed stream.
//!
//! With `LAYERGATE_TEST_WRITE_CORPUS=DIR` they are also written out, as seeds for fuzzing.

mod archives;
mod packed;
mod rules;
mod snapshots;
mod tars;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::tarball::{file, tar};
use crate::support::{FakeLayer, Run, gzip, layergate, oci_layout};

/// What a case has to come to.
enum Expected {
    /// The bytes of each layer, then what is visible: bytes and files.
    Counts(Vec<u64>, u64, u64),
    /// Exit code 3 and a part of the message.
    Refused(&'static str),
    /// The same, where every byte of the blob is asked for.
    RefusedWhenVerified(&'static str),
}

use Expected::{Counts, Refused, RefusedWhenVerified};

/// A name, the layers' tars, lowest first, and what they come to.
type Case<'a> = (&'a str, Vec<Vec<u8>>, Expected);

fn counts(sizes: &[u64], visible: u64, files: u64) -> Expected {
    Counts(sizes.to_vec(), visible, files)
}

/// Runs the program with half a gibibyte of address space: what would take more memory, fails.
fn bounded(arguments: &[&str]) -> Run {
    let program = layergate();
    let mut shell = Command::new("sh");
    let limit = if cfg!(target_os = "linux") { "ulimit -v 524288 && " } else { "" };
    shell.args(["-c", &format!("{limit}exec \"$0\" \"$@\"")]).arg(program.get_program()).args(arguments);
    shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    Run::of(&mut shell)
}

fn inspect(path: &Path, verify: bool) -> Run {
    let path = path.display().to_string();
    let arguments = ["inspect", "--format", "json", &path, "--verify"];
    bounded(&arguments[..if verify { 5 } else { 4 }])
}

/// Keeps a case as a seed for fuzzing, where somewhere is named.
fn keep(kind: &str, name: &str, content: &[u8]) {
    let Some(directory) = std::env::var_os("LAYERGATE_TEST_WRITE_CORPUS") else { return };
    let directory = PathBuf::from(directory).join(kind);
    fs::create_dir_all(&directory).unwrap();
    if content.len() <= 64 * 1024 {
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        fs::write(directory.join(name), content).unwrap();
    }
}

/// A directory as a tar.
fn archive_of(directory: &Path) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", directory).unwrap();
    tar.into_inner().unwrap()
}

fn check_run(name: &str, run: Run, expected: &Expected) {
    assert!(!run.stderr.contains("panicked"), "{name}: {}", run.stderr);
    match expected {
        Counts(sizes, visible, files) => {
            assert_eq!(run.code, 0, "{name}: {}", run.stderr);
            let snapshot = run.json();
            let layers = snapshot["layers"].as_array().unwrap();
            let found: Vec<u64> = layers.iter().map(|layer| layer["size"].as_u64().unwrap()).collect();
            assert_eq!(&found, sizes, "{name}: the layers' sizes");
            let totals = &snapshot["totals"];
            let uncompressed: u64 = sizes.iter().sum();
            assert_eq!(totals["uncompressed"], uncompressed, "{name}: uncompressed");
            assert_eq!(totals["flattened"], *visible, "{name}: visible");
            assert_eq!(totals["wasted"], uncompressed - visible, "{name}: wasted");
            assert_eq!(totals["files"], *files, "{name}: files");
        }
        Refused(part) | RefusedWhenVerified(part) => {
            assert_eq!(run.code, 3, "{name}: {}{}", run.stdout, run.stderr);
            assert!(run.stderr.contains(part), "{name}: `{part}` is not in: {}", run.stderr);
            assert_eq!(run.stdout, "", "{name}");
        }
    }
}

fn check_layers(name: &str, layers: &[FakeLayer], expected: &Expected) {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(&directory.path().join("layout"), layers);
    let archive = archive_of(&layout);
    let few = layers.iter().take(3).enumerate();
    few.for_each(|(at, layer)| keep("layer", &format!("{name} {at}"), &layer.blob));
    keep("archive", name, &archive);
    check_run(name, inspect(&layout, true), expected);
    if !matches!(expected, RefusedWhenVerified(_)) {
        check_run(name, inspect(&layout, false), expected);
    }
    let packed = directory.path().join("image.tar.gz");
    fs::write(&packed, gzip(&archive)).unwrap();
    check_run(&format!("{name} (packed)"), inspect(&packed, true), expected);
}

fn check(cases: &[Case<'_>]) {
    for (name, tars, expected) in cases {
        let layers: Vec<FakeLayer> = tars.iter().map(|tar| FakeLayer::plain(tar, "COPY . /")).collect();
        check_layers(name, &layers, expected);
    }
}

/// Reads an archive as a file and as a packed stream.
fn check_archive(name: &str, archive: &[u8], expected: &Expected) {
    keep("archive", name, archive);
    let directory = tempfile::tempdir().unwrap();
    let (plain, packed) = (directory.path().join("image.tar"), directory.path().join("image.tar.gz"));
    fs::write(&plain, archive).unwrap();
    fs::write(&packed, gzip(archive)).unwrap();
    if !matches!(expected, RefusedWhenVerified(_)) {
        check_run(name, inspect(&plain, false), expected);
    }
    check_run(name, inspect(&plain, true), expected);
    check_run(&format!("{name} (packed)"), inspect(&packed, true), expected);
}

fn cut(blob: &[u8], length: usize) -> Vec<u8> {
    blob[..length].to_vec()
}

/// Bytes that do not pack well and are the same each time.
fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A layer of one file `b`, which hides what is called `b` below it.
fn hides_b() -> Vec<u8> {
    tar(&[file("b", 1)])
}

/// A layer that whites out one name.
fn without(name: &str) -> Vec<u8> {
    tar(&[file(format!(".wh.{name}"), 0)])
}
