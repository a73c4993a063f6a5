//! A blob of an image, whatever holds it: its name, and how its bytes are requested.

use std::fs::File;
use std::path::Path;

use super::SourceError;
use crate::files;
use crate::image::oci::MAX_DOCUMENT;
use crate::image::{Digest, LayerPath};
use crate::layer::{Hashing, WalkedLayer};

/// A layer that was found: its content, or why it could not be walked.
pub type WalkResult = Result<WalkedLayer, String>;

/// A layer to walk.
pub struct LayerRequest<'a> {
    /// Its blob's name.
    pub name: &'a str,
    /// The blob's size in bytes, as the image states it.
    pub claimed: Option<u64>,
    /// The algorithms that name it, and so hash it.
    pub hashing: Hashing,
    /// Whether to hash it even if it could be read without hashing.
    pub verify: bool,
}

/// Where a layout keeps a blob.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The digest in a layout's blob name.
pub(super) fn digest_of_name(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}

/// A path from inside an image, cleaned so that it cannot lead out of the image.
pub(super) fn clean_name(path: &str) -> String {
    LayerPath::clean(path.as_bytes()).to_string()
}

/// The error for a document over the size limit.
pub(super) fn too_large(name: &str, length: u64) -> SourceError {
    SourceError::DocumentTooLarge { name: name.into(), length, most: MAX_DOCUMENT }
}

/// An index that lists the one thing that was asked for; its content tells what that is.
pub(super) fn index_of((digest, content): &(Digest, Vec<u8>)) -> Vec<u8> {
    let descriptor = serde_json::json!({ "digest": digest, "size": content.len() });
    serde_json::json!({ "manifests": [descriptor] }).to_string().into_bytes()
}

/// Opens a file, or says which one failed and why.
pub fn open(path: &Path) -> Result<File, SourceError> {
    files::open(path).map_err(|error| SourceError::io("open", path, error))
}
