//! Package databases: the first byte chooses the kind, the rest is the content; and a program.
#![no_main]

use layergate::image::{Bytes, Census, Entry, LayerPath};
use layergate::packages::golang::Scanner;
use layergate::packages::{Collector, Wanted};
use libfuzzer_sys::fuzz_target;

/// One path of each kind of database, and beside it what makes its packages count.
const PATHS: [&str; 11] = [
    "var/lib/dpkg/status",
    "var/lib/dpkg/info/a.list",
    "var/lib/dpkg/status.d/a",
    "var/lib/dpkg/status.d/a.md5sums",
    "lib/apk/db/installed",
    "var/lib/rpm/rpmdb.sqlite",
    "p/a.dist-info/METADATA",
    "p/a.dist-info/RECORD",
    "p/a.egg-info/installed-files.txt",
    "node_modules/a/package.json",
    "specifications/a-1.gemspec",
];
const BESIDE: [(&str, &[u8]); 5] = [
    ("var/lib/dpkg/status", b"Package: a\nStatus: install ok installed\nVersion: 1\n"),
    ("var/lib/dpkg/info/a.list", b"/.\n/usr\n/usr/a\n"),
    ("var/lib/dpkg/status.d/a", b"Package: a\nVersion: 1\n"),
    ("p/a.dist-info/METADATA", b"Name: a\nVersion: 1\n"),
    ("p/a.egg-info/PKG-INFO", b"Name: a\nVersion: 1\n"),
];

fuzz_target!(|input: &[u8]| {
    let Some((which, content)) = input.split_first() else { return };
    let path = PATHS[usize::from(*which) % PATHS.len()];
    let mut collector = Collector::default();
    let mut entries = Vec::new();
    for (path, content) in BESIDE.into_iter().chain([(path, content)]) {
        let path = LayerPath::from(path);
        if let Some(Wanted::Content { database, length }) =
            Wanted::of(path.as_bytes(), content.len() as u64, false)
        {
            collector.take(database, &path, &content[..length as usize]);
        }
        entries.push(Entry::File(path, Bytes(content.len() as u64)));
    }
    let census = Census::of(entries);
    let packages = collector.finish(&census);
    assert_eq!(packages.owners.len(), census.entries.len());
    let count = packages.declared.len();
    assert!(packages.owners.iter().flatten().all(|owner| (*owner as usize) < count));

    if let Some(mut scanner) = Scanner::new(content) {
        scanner.feed(0, content);
        scanner.finish();
    }
});
