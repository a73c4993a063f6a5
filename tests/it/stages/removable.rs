//! Of real images: that what only builds need has, to the byte, the bytes that `du` counts in a container, and
//! that no file is counted twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use layergate::image::{Bytes, Filesystem, LayerPath, Removable, Snapshot};
use layergate::removable::{Catalogue, find_files};

use crate::reading::marks::stripped_bytes;
use crate::support::apps::{self, App};
use crate::support::engine::Engine;
use crate::support::{Run, layergate, skip};

/// Prints of each list of paths what `du` says of them together, each inode once, then the inodes.
const COUNT: &str = "cd / && for list in /lists/*; do \
    echo \"${list##*/} $(du --apparent-size --block-size=1 --total --files0-from=$list | tail -n 1 | cut -f 1)\"; \
    xargs -0 -a $list stat -c '- %i'; done";
/// Copies the files of a list to where they can be looked at.
const COPY: &str = "cd / && at=0 && tr '\\0' '\\n' < /lists/symbols | while IFS= read -r path; do \
    cp \"$path\" /lists/copies/$at && chmod a+r /lists/copies/$at; at=$((at + 1)); done";

type Found = Vec<(Removable, Vec<(LayerPath, Bytes)>)>;

/// What is found in the snapshot that `inspect` writes, and is the same as what that says itself.
fn found(engine: &Engine, image: &str, directory: &Path) -> Found {
    let document = directory.join("snapshot.json");
    let mut command = layergate();
    command.current_dir(directory).env("DOCKER_HOST", &engine.host).args(["inspect", image, "-o"]);
    Run::of(command.arg(&document)).expect(0);
    let snapshot = Snapshot::from_json(&fs::read(document).unwrap(), u64::MAX).unwrap();
    let filesystem = Filesystem::of_layers(&snapshot.layers).unwrap();
    let found = find_files(&snapshot, &filesystem, &Catalogue::builtin());
    let entries: Vec<&Removable> = found.iter().map(|(entry, _)| entry).collect();
    assert_eq!(entries, snapshot.removable.as_ref().unwrap().iter().collect::<Vec<_>>(), "{image}");
    found
}

fn in_container(engine: &Engine, image: &str, lists: &Path, script: &str) -> String {
    let volume = format!("{}:/lists", lists.display());
    let run = ["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", "--volume", &volume, image];
    engine.docker(&[&run[..], &["-c", script]].concat())
}

fn write_list<'a>(list: &Path, paths: impl Iterator<Item = &'a LayerPath>) {
    let mut text = Vec::new();
    paths.for_each(|path| text.extend([path.as_bytes(), b"\0"].concat()));
    fs::write(list, text).unwrap();
}

/// What `du` says of each entry; that no inode is in two of them.
fn counted(engine: &Engine, image: &str, entries: &Found) -> Vec<u64> {
    let lists = tempfile::tempdir().unwrap();
    for (index, (_, files)) in entries.iter().enumerate() {
        write_list(&lists.path().join(format!("{index:04}")), files.iter().map(|(path, _)| path));
    }
    let mut sizes = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for line in in_container(engine, image, lists.path(), COUNT).lines() {
        let (first, second) = line.split_once(' ').unwrap();
        if first != "-" {
            sizes.push(second.parse().unwrap());
        } else if let Some(other) = seen.insert(second.to_owned(), sizes.len() - 1) {
            panic!(
                "{image}: a file is in {} and in {}",
                entries[other].0.kind,
                entries[sizes.len() - 1].0.kind
            );
        }
    }
    sizes
}

/// Debug symbols have the bytes of the sections that `strip` takes.
fn check_symbols(engine: &Engine, image: &str, files: &[(LayerPath, Bytes)]) {
    let lists = tempfile::tempdir().unwrap();
    fs::create_dir(lists.path().join("copies")).unwrap();
    write_list(&lists.path().join("symbols"), files.iter().map(|(path, _)| path));
    in_container(engine, image, lists.path(), COPY);
    for (index, (path, bytes)) in files.iter().enumerate() {
        let copy = lists.path().join("copies").join(index.to_string());
        assert_eq!(stripped_bytes(&copy), bytes.0, "{image}: the symbols of {path}");
    }
}

/// By how many entries an image was evaluated.
fn check(engine: &Engine, image: &str) -> Vec<Removable> {
    let directory = tempfile::tempdir().unwrap();
    let all = found(engine, image, directory.path());
    let (gone, there): (Found, Found) = all.into_iter().partition(|(entry, _)| entry.deleted);
    let mut paths: Vec<&LayerPath> =
        there.iter().flat_map(|(_, files)| files).map(|(path, _)| path).collect();
    let count = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), count, "{image}: a path is of one kind");
    for ((entry, files), counted) in there.iter().zip(counted(engine, image, &there)) {
        let sum: u64 = files.iter().map(|(_, bytes)| bytes.0).sum();
        assert_eq!((entry.bytes.0, entry.files), (sum, files.len() as u64), "{image}: {}", entry.kind);
        if entry.kind == "debug-symbols" {
            assert!(sum < counted, "{image}: only the symbols of {}", entry.kind);
            check_symbols(engine, image, files);
        } else {
            assert_eq!(entry.bytes.0, counted, "{image}: {} of layer {}", entry.kind, entry.layer.index);
        }
    }
    there.into_iter().chain(gone).map(|(entry, _)| entry).collect()
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn what_is_found_has_the_bytes_that_du_counts_and_none_twice() {
    let Some(engine) = apps::engine("what du counts") else { return };
    if ["strip", "readelf"].iter().any(|tool| Command::new(tool).arg("--version").output().is_err()) {
        return skip("what du counts", "strip and readelf tell what debug symbols have");
    }
    let mut kinds = Vec::new();
    for name in ["c-server", "apt-deps", "seed", "node-dev", "java"] {
        kinds.extend(check(&engine, &apps::image(&engine, &App::named(name), "single")));
    }
    kinds.extend(check(&engine, "python:3"));
    for kind in ["compilers", "dev-packages", "headers", "apt-cache", "debug-symbols", "byte-code", "jdk"] {
        assert!(kinds.iter().any(|entry| entry.kind == kind), "{kind}");
    }
}
