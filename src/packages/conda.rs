//! Conda packages (conda's documentation, "conda-meta" and "Package metadata").

use super::sink::Sink;
use serde::Deserialize;

use super::paths::join;
use super::{Ecosystem, Owns, word};
use crate::image::LayerPath;
use crate::image::package::Unread;
use crate::image::path::split;

#[derive(Deserialize)]
struct CondaRecord {
    name: String,
    version: String,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    link: Option<Link>,
}

/// Where the package was extracted before it was linked into its environment.
#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    source: String,
}

/// Reads `PREFIX/conda-meta/NAME-VERSION-BUILD.json`. Files are listed relative to the prefix; the cache of extracted
/// packages has the same files again, mostly as hard links.
pub fn take(path: &LayerPath, content: &[u8], sink: &mut Sink) {
    if !sink.room.may_parse(content) {
        return;
    }
    let Ok(record) = serde_json::from_slice::<CondaRecord>(content) else {
        return sink.unread(path, Unread::Damaged);
    };
    let words = (word(record.name.as_bytes()), word(record.version.as_bytes()));
    let ((Some(name), Some(version)), Some((directory, file))) = (words, path.split()) else { return };
    let prefix = split(directory).0;
    let listed = record.files.iter().filter_map(|file| join(prefix, file.as_bytes()));
    let Some(files) = sink.room.keep(listed.chain([path.as_bytes().to_vec()])) else { return };
    let cached = record.link.map(|link| LayerPath::clean(link.source.as_bytes()));
    let is_its = |cached: &LayerPath| file.strip_suffix(b".json") == Some(split(cached.as_bytes()).1);
    let below = cached.filter(is_its).into_iter().collect();
    sink.declare(Ecosystem::Conda, name, version, path, Owns { files, below, ..Owns::default() });
}
