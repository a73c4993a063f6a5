//! What to read of the chosen image: its layers, each with its blob.

use crate::image::measured::Attested;
use crate::image::oci::ImageConfig;
use crate::image::{DiffId, Digest, Platform};

/// An image's config and where its layers are.
pub(super) struct LocatedImage {
    pub config: ImageConfig,
    pub platform: Option<Platform>,
    /// A remark about this image for people.
    pub note: Option<String>,
    /// The image that this one claims to be built on.
    pub base_name: Option<String>,
    pub id: Digest,
    pub blobs: Vec<Blob>,
    /// The image's digests, and the provenance from its build.
    pub attested: Attested,
}

/// A layer's diff ID and its blob's name: the same tar may be present twice, compressed in two ways.
pub(super) type LayerKey = (DiffId, String);

impl LocatedImage {
    pub fn key(&self, index: usize) -> LayerKey {
        (self.config.rootfs.diff_ids[index].clone(), self.blobs[index].name.clone())
    }

    pub fn keys(&self) -> Vec<LayerKey> {
        (0..self.blobs.len()).map(|index| self.key(index)).collect()
    }
}

/// A layer's blob and what the image claims about it.
pub(super) struct Blob {
    pub name: String,
    pub digest: Option<Digest>,
    pub media_type: Option<String>,
    pub claimed: Option<u64>,
    /// The URL of a blob that is not distributed with the image (OCI image specification, "non-distributable layers");
    /// empty if the image does not name one.
    pub elsewhere: Option<String>,
    /// Whether the blob is kept as distributed, so that its length is the layer's compressed size.
    pub distributed: bool,
}
