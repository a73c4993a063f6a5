//! An image as a source has measured it, before analysis.

use std::sync::Arc;

use super::file_list::Contents;
use super::{Digest, Filesystem, Snapshot};

/// What a source knows about an image.
#[derive(Debug, Clone)]
pub struct MeasuredImage {
    /// What was measured; for a stored snapshot, also what was found when it was written.
    pub snapshot: Snapshot,
    /// The file system of its layers, if measuring it built one. Images with the same layers share it.
    pub filesystem: Option<Arc<Filesystem>>,
    /// The base image that this image's own metadata names.
    pub base_name: Option<String>,
    /// The hashed content of each layer's files, if it was asked for.
    pub contents: Option<Vec<Arc<Contents>>>,
    /// Its digests, and what its build says about it.
    pub attested: Attested,
    /// A note for the user about how this image was chosen or read.
    pub note: Option<String>,
}

/// An image's digests, and what its build says about it. None of this is stored.
#[derive(Debug, Clone, Default)]
pub struct Attested {
    /// The digest of its manifest.
    pub manifest: Option<Digest>,
    /// The digest of the index that lists it, if one does.
    pub index: Option<Digest>,
    /// The digests of its layers' blobs, lowest first, as far as its manifest states them.
    pub blobs: Vec<Option<Digest>>,
    /// The in-toto statement with the build's provenance, stored beside the image: untrusted, and not yet parsed.
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
