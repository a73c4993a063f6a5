//! Reads the documents of one image: each is checked, and all together stay within the safety limits.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;

use super::blob::{blob_name, clean_name, digest_of_name};
use super::parts::ImageParts;
use super::{Options, Platforms, SourceError, check_digest, excerpt};
use crate::image::bytes::group_digits;
use crate::image::oci::{Descriptor, ImageConfig, Manifest, SavedImage};
use crate::image::{DiffId, Digest, Platform, go_json, json};
use crate::layer::{Budget, Refusal};

/// Minimum average bytes per JSON value in an image's documents: a parsed value takes about as much memory, however
/// short its text.
const BYTES_PER_VALUE: u64 = 64;

/// The pieces that an image says it consists of.
#[derive(Clone)]
pub(super) enum ImagePieces {
    /// By an OCI manifest, or an index of some.
    Manifest(Descriptor),
    /// By `manifest.json`.
    Saved(SavedImage),
}

/// What an engine said about an image before it was read.
#[derive(Default)]
pub struct Inspected {
    /// The platform to use if none is requested; by default this machine's.
    pub platform: Option<Platform>,
    /// The image that it must be.
    pub identity: Option<ExpectedIdentity>,
}

/// Identifies an image.
pub struct ExpectedIdentity {
    /// The digest of its config, its manifest or its index.
    pub id: Digest,
    /// Its layers.
    pub diff_ids: Vec<DiffId>,
}

/// Reads one of the images that the parts may hold.
pub(super) struct ImageReader<'a> {
    pub parts: &'a ImageParts,
    /// The image as it was requested, and with its transport.
    pub image: String,
    pub prefixed: String,
    /// The requested name among the images of an archive, if any.
    pub wanted: Option<String>,
    pub platforms: Platforms,
    pub inspected: Inspected,
    pub options: &'a Options,
    pub budget: &'a Budget,
    /// Bytes of documents read, and the values in them. Each document counts as often as it is named, because a large
    /// one may be named many times.
    pub documents: AtomicU64,
    pub values: AtomicU64,
}

impl<'a> ImageReader<'a> {
    /// Reads an image that has only this name, and that no engine has described.
    pub fn new(
        parts: &'a ImageParts,
        image: String,
        options: &'a Options,
        budget: &'a Budget,
    ) -> ImageReader<'a> {
        ImageReader {
            parts,
            prefixed: image.clone(),
            image,
            wanted: None,
            platforms: options.platform.clone(),
            inspected: Inspected::default(),
            options,
            budget,
            documents: AtomicU64::new(0),
            values: AtomicU64::new(0),
        }
    }

    /// An image's config, and its digest.
    pub(super) fn config(
        &self,
        packed: &ImagePieces,
        manifest: Option<&Manifest>,
    ) -> Result<(ImageConfig, Digest), SourceError> {
        let (expected, content, name) = match (packed, manifest) {
            (ImagePieces::Saved(saved), _) => {
                let name = clean_name(&saved.config);
                (digest_of_name(&name), self.document(&name)?, name)
            }
            (ImagePieces::Manifest(_), Some(manifest)) => {
                let digest = manifest.config.digest.clone();
                let content =
                    self.parts.config(&manifest.config).map_err(|error| error.within(&self.image))?;
                let content = self.spend(content)?;
                (Some(digest.clone()), content, blob_name(&digest))
            }
            (ImagePieces::Manifest(descriptor), None) => (None, None, blob_name(&descriptor.digest)),
        };
        let content = self.found("the config", &name, content)?;
        if let Some(expected) = &expected {
            check_digest(&self.image, "the config".into(), expected, &content)?;
        }
        Ok((self.parse(&name, &content)?, expected.unwrap_or_else(|| Digest::of(&content))))
    }

    pub(super) fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, SourceError> {
        self.spend(self.parts.manifest(digest).map_err(|error| error.within(&self.image))?)
    }

    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        self.spend(self.parts.document(name).map_err(|error| error.within(&self.image))?)
    }

    pub(super) fn spend(&self, content: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, SourceError> {
        let text = content.as_deref().unwrap_or_default();
        let most = self.budget.bounds.documents;
        let refused = |what| Err(self.refused(&Refusal::new("documents", what)));
        let spend = |of: &AtomicU64, amount| of.fetch_add(amount, Ordering::Relaxed) + amount;
        if spend(&self.documents, text.len() as u64) > most {
            return refused(format!("over {} bytes of documents", group_digits(most)));
        }
        let most = most / BYTES_PER_VALUE;
        if spend(&self.values, json::values(text)) > most {
            return refused(format!("over {} values of JSON in its documents", group_digits(most)));
        }
        Ok(content)
    }

    pub(super) fn found<T>(&self, what: &str, name: &str, content: Option<T>) -> Result<T, SourceError> {
        let missing =
            || SourceError::Missing { image: self.image.clone(), what: what.into(), name: excerpt(name) };
        content.ok_or_else(missing)
    }

    pub(super) fn refused(&self, refusal: &Refusal) -> SourceError {
        SourceError::Refused { image: self.image.clone(), refusal: refusal.clone() }
    }

    pub(super) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SourceError> {
        self.document(name)?.map(|content| self.parse(name, &content)).transpose()
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, name: &str, content: &[u8]) -> Result<T, SourceError> {
        go_json::from_slice(content).map_err(|error| SourceError::Malformed {
            image: self.image.clone(),
            name: excerpt(name),
            error: excerpt(&error.to_string()),
        })
    }
}
