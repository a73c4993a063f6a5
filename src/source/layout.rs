//! From the pieces of a packed image to its snapshot: OCI layouts (OCI image layout specification),
//! what `docker save` writes, in its form before Docker 25 and since, and what a registry holds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;

use super::parts::Parts;
use super::{NamedImage, Options, SourceError, check_digest, excerpt};
use crate::image::bytes::group_digits;
use crate::image::oci::{BASE_NAME, Descriptor, ImageConfig, Manifest, SavedImage};
use crate::image::snapshot::{MAX_LAYERS, Snapshot, SourceInfo};
use crate::image::{DiffId, Digest, LayerPath, Platform};
use crate::layer::{Budget, Refusal};

/// One image of an archive or a layout.
pub(super) struct Candidate {
    pub names: Vec<String>,
    /// Which image of the archive: the platforms of one index share it.
    pub group: String,
    pub platform: Option<Platform>,
    pub image: Packed,
}

/// The pieces that an image says it consists of.
pub(super) enum Packed {
    /// By an OCI manifest.
    Manifest(Descriptor),
    /// By `manifest.json`.
    Saved(SavedImage),
}

/// An image's config and where its layers are.
pub(super) struct Plan {
    pub config: ImageConfig,
    /// The image that this one says it was built on.
    pub base_name: Option<String>,
    pub id: Digest,
    pub blobs: Vec<Blob>,
}

/// A layer's diff ID and its blob's name: the same tar may be there twice, packed in two ways.
pub(super) type LayerKey = (DiffId, String);

impl Plan {
    pub fn key(&self, index: usize) -> LayerKey {
        (self.config.rootfs.diff_ids[index].clone(), self.blobs[index].name.clone())
    }
}

/// A layer's blob and what the image claims of it.
pub(super) struct Blob {
    pub name: String,
    pub digest: Option<Digest>,
    pub media_type: Option<String>,
    pub claimed: Option<u64>,
    /// Whether the blob is as it is distributed, so that its length is the layer's compressed size.
    pub distributed: bool,
}

/// Chooses the image that is meant, or one for each platform; walks its layers; accounts for them.
/// `usual` is the platform that is meant where none is asked for; otherwise it is this machine's.
///
/// # Errors
/// [`SourceError`].
pub fn measure(
    parts: &Parts,
    named: &NamedImage,
    wanted: Option<&str>,
    source: &SourceInfo,
    usual: Option<Platform>,
    options: &Options,
    budget: &Budget,
) -> Result<Vec<Snapshot>, SourceError> {
    let image = named.image.to_string();
    let prefix = format!("{}:", source.transport);
    let prefixed = if image.starts_with(&prefix) { image.clone() } else { prefix + &image };
    let reader = Reader {
        parts,
        image,
        prefixed,
        usual_platform: usual,
        options,
        budget,
        documents: AtomicU64::new(0),
    };
    let chosen = reader.choose(reader.candidates()?, wanted)?;
    let plans = chosen.iter().map(|candidate| reader.plan(candidate)).collect::<Result<Vec<_>, _>>()?;
    let counted = reader.count(&plans)?;
    plans.into_iter().map(|plan| reader.account(named, source.clone(), plan, &counted)).collect()
}

/// The diff IDs of the layers of an image for a platform, which cost its config alone.
///
/// # Errors
/// [`SourceError`].
pub fn layers(
    parts: &Parts,
    named: &NamedImage,
    platform: Option<&Platform>,
    options: &Options,
) -> Result<Vec<DiffId>, SourceError> {
    let (image, budget) = (named.image.to_string(), options.budget());
    let reader = Reader {
        parts,
        prefixed: image.clone(),
        image,
        usual_platform: None,
        options,
        budget: &budget,
        documents: AtomicU64::new(0),
    };
    let chosen = reader.choose(reader.candidates()?, None)?;
    let fits = |candidate: &&Candidate| match (&candidate.platform, platform) {
        (Some(own), Some(wanted)) => own.satisfies(wanted),
        _ => true,
    };
    let mut configs = chosen.iter().filter(fits).map(|candidate| reader.plan_config(candidate));
    configs.next().map_or(Ok(Vec::new()), |config| config.map(|(config, ..)| config.rootfs.diff_ids))
}

/// Accounts for an image of which nothing but plain layers that are all known is to be counted.
///
/// # Errors
/// [`SourceError`] for an image over a bound, or a layer that is not known after all.
pub fn of_known(
    named: &NamedImage,
    source: &SourceInfo,
    id: Digest,
    config: ImageConfig,
    options: &Options,
    budget: &Budget,
) -> Result<Snapshot, SourceError> {
    let parts = Parts::Streamed(HashMap::new());
    let image = named.image.to_string();
    let prefixed = image.clone();
    let reader = Reader {
        parts: &parts,
        image,
        prefixed,
        usual_platform: None,
        options,
        budget,
        documents: AtomicU64::new(0),
    };
    let name = |diff_id: &DiffId| saved_blob(&format!("blobs/sha256/{}", diff_id.hex()));
    let blobs = config.rootfs.diff_ids.iter().map(name).collect();
    let base_name = config.config.labels.get(BASE_NAME).cloned();
    let plan = Plan { config, base_name, id, blobs };
    let plans = [plan];
    let counted = reader.count(&plans)?;
    let [plan] = plans;
    reader.account(named, source.clone(), plan, &counted)
}

pub(super) struct Reader<'a> {
    pub parts: &'a Parts,
    /// The image as it was asked for, and with its transport.
    pub image: String,
    pub prefixed: String,
    pub usual_platform: Option<Platform>,
    pub options: &'a Options,
    pub budget: &'a Budget,
    /// Bytes of documents read, each as often as it is named: a large one may be named from everywhere.
    pub documents: AtomicU64,
}

impl Reader<'_> {
    /// Reads the config and lists the layer blobs.
    fn plan(&self, candidate: &Candidate) -> Result<Plan, SourceError> {
        let (config, id, manifest) = self.plan_config(candidate)?;
        let annotated = manifest.as_ref().and_then(|manifest| manifest.annotations.get(BASE_NAME));
        let base_name = annotated.or(config.config.labels.get(BASE_NAME)).cloned();
        let blobs: Vec<Blob> = match (&candidate.image, manifest) {
            (Packed::Saved(saved), _) => saved.layers.iter().map(|layer| saved_blob(layer)).collect(),
            (_, Some(manifest)) => {
                manifest.layers.into_iter().map(|layer| self.manifest_blob(layer)).collect()
            }
            (_, None) => Vec::new(),
        };
        let diff_ids = &config.rootfs.diff_ids;
        if blobs.len() != diff_ids.len() || blobs.len() > MAX_LAYERS {
            return Err(SourceError::Malformed {
                image: self.image.clone(),
                name: "config".into(),
                error: format!(
                    "it lists {} layers, the manifest {}, and at most {MAX_LAYERS} are read",
                    diff_ids.len(),
                    blobs.len()
                ),
            });
        }
        let plan = Plan { config, base_name, id, blobs };
        plan.blobs.iter().enumerate().try_for_each(|(index, blob)| self.check_blob(&plan, index, blob))?;
        Ok(plan)
    }

    pub(super) fn plan_config(
        &self,
        candidate: &Candidate,
    ) -> Result<(ImageConfig, Digest, Option<Manifest>), SourceError> {
        let (name, expected, manifest) = match &candidate.image {
            Packed::Saved(saved) => (clean(&saved.config), None, None),
            Packed::Manifest(descriptor) => {
                let name = blob_name(&descriptor.digest);
                let content = self.found("the manifest", &name, self.manifest(&descriptor.digest)?)?;
                check_digest(&self.image, "the manifest".into(), &descriptor.digest, &content)?;
                let manifest: Manifest = self.parse(&name, &content)?;
                let media_type = manifest.config.media_type.as_str();
                if !CONFIG_TYPES.contains(&media_type) {
                    return Err(SourceError::MediaType {
                        image: self.image.clone(),
                        what: "its config".into(),
                        media_type: excerpt(media_type),
                        hint: "; it is an artifact, not a container image",
                    });
                }
                (blob_name(&manifest.config.digest), Some(manifest.config.digest.clone()), Some(manifest))
            }
        };
        let content = self.required("the config", &name)?;
        if let Some(expected) = expected {
            check_digest(&self.image, "the config".into(), &expected, &content)?;
        }
        Ok((self.parse(&name, &content)?, Digest::of(&content), manifest))
    }

    /// What can be said of a blob without reading it.
    fn check_blob(&self, plan: &Plan, index: usize, blob: &Blob) -> Result<(), SourceError> {
        let what = format!("layer {} of {}", index + 1, plan.blobs.len());
        if let Some(media_type) = &blob.media_type
            && !is_layer_type(media_type)
        {
            let encrypted = media_type.ends_with("+encrypted");
            let hint = if encrypted { "; decrypt the image first" } else { "" };
            let (image, media_type) = (self.image.clone(), excerpt(media_type));
            return Err(SourceError::MediaType { image, what, media_type, hint });
        }
        if self.parts.lacks(&blob.name) {
            return Err(SourceError::Missing { image: self.image.clone(), what, name: excerpt(&blob.name) });
        }
        if let (Some(claimed), Some(length)) = (blob.claimed, self.parts.stored_length(&blob.name)?)
            && claimed != length
        {
            return Err(SourceError::Mismatch {
                image: self.image.clone(),
                what,
                expected: format!("{claimed} bytes"),
                found: format!("{length} bytes"),
            });
        }
        Ok(())
    }

    fn manifest_blob(&self, layer: Descriptor) -> Blob {
        Blob {
            name: blob_name(&layer.digest),
            digest: Some(layer.digest),
            media_type: Some(layer.media_type),
            claimed: Some(layer.size),
            distributed: !self.parts.has("manifest.json"),
        }
    }

    fn required(&self, what: &str, name: &str) -> Result<Vec<u8>, SourceError> {
        self.found(what, name, self.document(name)?)
    }

    pub(super) fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, SourceError> {
        self.spend(self.parts.manifest(digest)?)
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        self.spend(self.parts.document(name)?)
    }

    fn spend(&self, content: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, SourceError> {
        let length = content.as_ref().map_or(0, Vec::len) as u64;
        let most = self.budget.bounds.documents;
        if self.documents.fetch_add(length, Ordering::Relaxed) + length > most {
            let what = format!("over {} bytes of documents", group_digits(most));
            return Err(self.refused(&Refusal::new("documents", what)));
        }
        Ok(content)
    }

    fn found(&self, what: &str, name: &str, content: Option<Vec<u8>>) -> Result<Vec<u8>, SourceError> {
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
        serde_json::from_slice(content).map_err(|error| SourceError::Malformed {
            image: self.image.clone(),
            name: excerpt(name),
            error: excerpt(&error.to_string()),
        })
    }
}

const CONFIG_TYPES: [&str; 3] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json", ""];

/// Whether a media type is that of a layer (OCI image specification, "media types"; Docker image
/// manifest version 2, schema 2). How it is packed is told by its bytes.
fn is_layer_type(media_type: &str) -> bool {
    const FAMILIES: [&str; 4] = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    let suffix = FAMILIES.iter().find_map(|family| media_type.strip_prefix(family));
    media_type.is_empty() || matches!(suffix, Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd"))
}

/// Where a layout keeps a blob.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// A path from inside an image, which must not lead out of it.
fn clean(path: &str) -> String {
    LayerPath::clean(path.as_bytes()).to_string()
}

/// A layer that only `manifest.json` names. Since Docker 25 the path is the blob's digest.
fn saved_blob(path: &str) -> Blob {
    let name = clean(path);
    let digest =
        name.strip_prefix("blobs/sha256/").and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok());
    Blob { name, digest, media_type: None, claimed: None, distributed: false }
}
