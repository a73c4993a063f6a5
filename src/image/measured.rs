//! An image as a source has measured it, before it is explained.

use std::sync::Arc;

use super::file_list::Contents;
use super::{Digest, Filesystem, Snapshot};

/// What a source knows of an image.
#[derive(Debug, Clone)]
pub struct MeasuredImage {
    /// What was measured. Of a stored snapshot also what was found when it was written.
    pub snapshot: Snapshot,
    /// The file system that its layers make, where measuring it has made that. Images of the same layers share it.
    pub filesystem: Option<Arc<Filesystem>>,
    /// The image that this one itself says it was built on.
    pub base_name: Option<String>,
    /// What the files of each layer hold, where that was asked for.
    pub contents: Option<Vec<Arc<Contents>>>,
    /// What it is called by, and what its build says of it.
    pub attested: Attested,
    /// What is to be said of how this image was chosen or read.
    pub note: Option<String>,
}

/// What an image is called by, and what its build says of it. Nothing of it is stored.
#[derive(Debug, Clone, Default)]
pub struct Attested {
    /// The digest of its manifest.
    pub manifest: Option<Digest>,
    /// The digest of the index that lists it, where one does.
    pub index: Option<Digest>,
    /// The digests of its layers' blobs, lowest first, as far as its manifest names them.
    pub blobs: Vec<Option<Digest>>,
    /// The in-toto statement with the build's provenance that lies beside it: untrusted, and not yet read.
    pub provenance: Option<Vec<u8>>,
}

impl From<Snapshot> for MeasuredImage {
    fn from(snapshot: Snapshot) -> MeasuredImage {
        MeasuredImage {
            snapshot,
            filesystem: None,
            base_name: None,
            contents: None,
            attested: Attested::default(),
            note: None,
        }
    }
}
