//! Node packages (npm's "package.json" and "folders" documents).

use super::sink::Sink;
use serde::Deserialize;

use super::{Ecosystem, Owns, word};
use crate::image::LayerPath;

#[derive(Deserialize)]
struct PackageJson {
    name: String,
    version: String,
}

/// Reads a `package.json`. The package is everything beside it, except packages nested in its own `node_modules`.
pub fn take(path: &LayerPath, content: &[u8], sink: &mut Sink) {
    // npm accepts a byte order mark; JSON does not allow one.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let Ok(manifest) = serde_json::from_slice::<PackageJson>(content) else { return };
    let words = (word(manifest.name.as_bytes()), word(manifest.version.as_bytes()));
    if let ((Some(name), Some(version)), Some((directory, _))) = (words, path.split()) {
        let below = vec![LayerPath::clean(directory)];
        sink.declare(Ecosystem::Npm, name, version, path, Owns { below, ..Owns::default() });
    }
}
