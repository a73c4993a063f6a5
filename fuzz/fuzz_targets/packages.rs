//! Package databases: the first byte chooses the kind, the rest is the content; and a program.
#![no_main]

use layergate::image::{Bytes, FileList, Entry, LayerPath};
use layergate::marks::elf;
use layergate::packages::golang::GoScanner;
use layergate::packages::{PackageCollector, WantedPackageFile, cargo};
use libfuzzer_sys::fuzz_target;

/// One path of each kind of database, and the files beside it that make its packages count.
const PATHS: [&str; 17] = [
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
    "usr/share/rpm/rpmdb.sqlite-wal",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/Packages",
    "opt/conda/conda-meta/a-1-0.json",
    "app/a.deps.json",
    "app/a.jar",
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
    let mut collector = PackageCollector::default();
    let mut entries = Vec::new();
    for (path, content) in BESIDE.into_iter().chain([(path, content)]) {
        let path = LayerPath::from(path);
        match WantedPackageFile::of(path.as_bytes(), content.len() as u64, false) {
            Some(WantedPackageFile::Content { database, length }) => {
                collector.take(database, &path, &content[..length as usize]);
            }
            Some(WantedPackageFile::Archive) => {
                collector.take_archive(&path, &mut &content[..]);
            }
            Some(WantedPackageFile::Nothing(why)) => collector.unread(&path, why),
            Some(WantedPackageFile::Program) | None => {}
        }
        entries.push(Entry::File(path, Bytes(content.len() as u64)));
    }
    let mut file_list = FileList::of(entries);
    let packages = collector.finish(&file_list);
    assert_eq!(packages.owners.len(), file_list.entries.len());
    let count = packages.declared.len();
    assert!(packages.owners.iter().flatten().all(|owner| (*owner as usize) < count));
    (file_list.packages, file_list.unread) = packages.of_file_list(&file_list);
    let text = serde_json::to_vec(&file_list).expect("a file list is JSON");
    let again: FileList = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(file_list, again);

    if let Some(mut scanner) = GoScanner::new(content) {
        scanner.feed(0, content);
        scanner.finish();
    }
    let sections = elf::SectionScanner::new(content, content.len() as u64);
    if let (Some(mut scanner), Some(mut sections)) = (cargo::CrateScanner::new(content), sections) {
        scanner.feed(0, content);
        assert!(scanner.wanted().is_none_or(|wanted| wanted.end > content.len() as u64));
        sections.feed(0, content);
        scanner.finish(|place| sections.has_section(place));
    }
});
