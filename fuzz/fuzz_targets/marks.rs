//! Marks in file content: the first byte chooses the kind of file, the rest is the content; and a program.
#![no_main]

use layergate::image::{Bytes, FileList, Entry, LayerPath};
use layergate::marks::elf::SectionScanner;
use layergate::marks::{MarkCollector, WantedMarkFile};
use libfuzzer_sys::fuzz_target;

/// One path of each kind of file.
const PATHS: [&str; 24] = [
    "a/node_modules/.package-lock.json",
    "a/package.json",
    "a/vendor/composer/installed.json",
    "a.pem",
    "a.jks",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    "pip.conf",
    ".netrc",
    ".git-credentials",
    ".git/config",
    ".aws/credentials",
    "credentials.json",
    ".docker/config.json",
    ".dockercfg",
    ".m2/settings.xml",
    ".cargo/credentials",
    "auth.json",
    ".gem/credentials",
    ".bundle/config",
    ".kube/config",
    "terraform.tfstate",
    ".env",
];

/// The bytes that a scanner finds if it is fed only what it asks for, in pieces.
fn jump(file: &[u8], mut scanner: SectionScanner) -> u64 {
    let mut at = 0;
    while let Some(wanted) = scanner.wanted() {
        assert!(wanted.start >= at && wanted.start < wanted.end && wanted.end <= file.len() as u64);
        at = wanted.end.min(wanted.start + 1000);
        scanner.feed(wanted.start, &file[wanted.start as usize..at as usize]);
    }
    scanner.finish()
}

fuzz_target!(|input: &[u8]| {
    let Some((which, content)) = input.split_first() else { return };
    let path = LayerPath::from(PATHS[usize::from(*which) % PATHS.len()]);
    let mut collector = MarkCollector::default();
    if let Some(WantedMarkFile::Content { document, length }) =
        WantedMarkFile::of(path.as_bytes(), content.len() as u64, false)
    {
        collector.take(document, 0, &path, &content[..length as usize]);
    }

    let size = content.len() as u64;
    if let (Some(mut whole), Some(jumping)) = (SectionScanner::new(content, size), SectionScanner::new(content, size)) {
        whole.feed(0, content);
        assert!(whole.wanted().is_none());
        let bytes = whole.finish();
        assert_eq!(bytes, jump(content, jumping), "jumping over content changes nothing");
        assert!(bytes <= size);
        collector.take_program(1, bytes);
    }
    let entries = vec![Entry::File(path, Bytes(size)), Entry::File("program".into(), Bytes(size))];
    let file_list = FileList { marks: Some(collector.finish()), ..FileList::of(entries) };
    let text = serde_json::to_vec(&file_list).expect("a file list is JSON");
    let again: FileList = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(file_list, again);
});
