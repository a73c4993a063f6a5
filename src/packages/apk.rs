//! apk's database of installed packages (Alpine's "Apk spec", "Installed Database V2").

use super::fields::{lines, paragraphs};
use super::paths::join;
use super::sink::Sink;
use super::{Ecosystem, Owns, word};
use crate::image::LayerPath;
use crate::image::package::Unread;

/// Reads `installed`: one record per package, `P:` its name, `V:` its version, `F:` a directory, and `R:` a file in the
/// last directory.
pub fn take(path: &LayerPath, content: &[u8], sink: &mut Sink) {
    let is_record = |record: &[u8]| lines(record).any(|line| line.starts_with(b"P:"));
    if paragraphs(content).next().is_some_and(|first| !is_record(first)) {
        return sink.unread(path, Unread::UnknownFormat);
    }
    for record in paragraphs(content) {
        let value = |key: &[u8]| lines(record).find_map(|line| word(line.strip_prefix(key)?));
        let (Some(name), Some(version)) = (value(b"P:"), value(b"V:")) else { continue };
        let Some(files) = sink.room.keep(files(record)) else { continue };
        sink.declare(Ecosystem::Apk, name, version, path, Owns { files, ..Owns::default() });
    }
}

fn files(record: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut directory: &[u8] = b"";
    lines(record).filter_map(move |line| {
        if let Some(named) = line.strip_prefix(b"F:") {
            directory = named;
        }
        join(directory, line.strip_prefix(b"R:")?)
    })
}
