//! From the pieces of a stored image to its snapshot: OCI layouts (OCI image layout specification), `docker save`
//! output in its form before Docker 25 and since, and registries.

use super::account::Accounts;
use super::blob::{blob_name, clean_name, digest_of_name};
use super::choose::ChosenImage;
use super::kind;
use super::parts::ImageParts;
use super::plan::{Blob, LocatedImage};
use super::reader::{ExpectedIdentity, ImagePieces, ImageReader, Inspected};
use super::{NamedImage, Options, Platforms, SourceError, excerpt};
use crate::image::MeasuredImage;
use crate::image::measured::Attested;
use crate::image::oci::{BASE_NAME, Descriptor, ImageConfig, Manifest};
use crate::image::snapshot::{MAX_LAYERS, SourceInfo};
use crate::image::{DiffId, Digest, Platform};
use crate::layer::Budget;
use crate::redact::redact_reference;

/// Chooses the requested image, or one for each platform, walks its layers and accounts for them. `inspected` is what
/// an engine said about the image before.
///
/// # Errors
/// [`SourceError`].
pub fn measure(
    parts: &ImageParts,
    named: &NamedImage,
    wanted: Option<&str>,
    source: &SourceInfo,
    inspected: Inspected,
    options: &Options,
    budget: &Budget,
) -> Result<Vec<MeasuredImage>, SourceError> {
    let image = named.image.to_string();
    let prefix = format!("{}:", source.transport);
    let prefixed = if image.starts_with(&prefix) { image.clone() } else { prefix + &image };
    let wanted_name = wanted.map(str::to_owned);
    let reader = ImageReader {
        prefixed,
        wanted: wanted_name,
        inspected,
        ..ImageReader::new(parts, image, options, budget)
    };
    let plans = reader.choose(wanted)?.into_iter().map(|found| reader.plan(found));
    let plans = plans.collect::<Result<Vec<_>, _>>()?;
    let mut accounts = Accounts::new(&reader, reader.count(&plans)?, &plans)?;
    plans.into_iter().map(|plan| accounts.account(named, source.clone(), plan)).collect()
}

/// The diff IDs of the layers of an image for a platform, or of the image with this digest if one is given. Only the
/// config is read.
///
/// # Errors
/// [`SourceError`].
pub fn layers(
    parts: &ImageParts,
    named: &NamedImage,
    digest: Option<&Digest>,
    platform: Option<&Platform>,
    options: &Options,
) -> Result<Vec<DiffId>, SourceError> {
    let (image, budget) = (named.image.to_string(), options.budget());
    let mut reader = ImageReader::new(parts, image, options, &budget);
    if let Some(platform) = platform {
        reader.platforms = Platforms::One(platform.canonical());
    }
    let wanted = digest.map(|digest| format!("@{digest}"));
    let chosen = reader.choose(wanted.as_deref())?.into_iter().next();
    Ok(chosen.map_or_else(Vec::new, |found| found.config.rootfs.diff_ids))
}

/// An image as an engine describes it, without its config.
pub struct DescribedImage {
    /// The identity that the engine knows it by.
    pub identity: ExpectedIdentity,
    /// The content of its config, as far as the engine tells it.
    pub config: ImageConfig,
    /// Its manifest, if its layers are kept as distributed; otherwise they are plain tars.
    pub manifest: Option<Manifest>,
}

/// Accounts for an image that an engine has described. Its layers are known or among `parts`.
///
/// # Errors
/// [`SourceError`] for an image over a safety limit, or a layer that turns out to be unavailable.
pub fn of_described(
    parts: &ImageParts,
    named: &NamedImage,
    source: &SourceInfo,
    described: DescribedImage,
    (options, budget): (&Options, &Budget),
) -> Result<MeasuredImage, SourceError> {
    let DescribedImage { identity, config, manifest } = described;
    let id = manifest.as_ref().map_or(&identity.id, |manifest| &manifest.config.digest).clone();
    let inspected = Inspected { platform: None, identity: Some(identity) };
    let reader =
        ImageReader { inspected, ..ImageReader::new(parts, named.image.to_string(), options, budget) };
    let name = |diff_id: &DiffId| saved_blob(&format!("blobs/sha256/{}", diff_id.hex()));
    let blobs: Vec<Blob> = match manifest {
        Some(manifest) => manifest.layers.into_iter().map(|layer| reader.manifest_blob(layer)).collect(),
        None => config.rootfs.diff_ids.iter().map(name).collect(),
    };
    let base_name = config.config.labels.get(BASE_NAME).cloned();
    let plan = LocatedImage {
        platform: config.platform(),
        note: None,
        config,
        base_name,
        id,
        blobs,
        attested: Attested::default(),
    };
    let plans = [plan];
    let mut accounts = Accounts::new(&reader, reader.count(&plans)?, &plans)?;
    let [plan] = plans;
    accounts.account(named, source.clone(), plan)
}

impl ImageReader<'_> {
    /// Lists the layer blobs.
    fn plan(&self, found: ChosenImage) -> Result<LocatedImage, SourceError> {
        self.check_identity(&found)?;
        let mut attested = Attested { manifest: found.manifest_digest().cloned(), ..Attested::default() };
        let (provenance, unread) = self.provenance(&found);
        let ChosenImage { root, platform, packed, manifest, config, id, attestations: _, note } = found;
        let note = note.into_iter().chain(unread).reduce(|one, other| format!("{one}; {other}"));
        let annotated = manifest.as_ref().and_then(|manifest| manifest.annotations.get(BASE_NAME));
        let base_name = annotated.or(config.config.labels.get(BASE_NAME)).cloned();
        let blobs: Vec<Blob> = match (packed, manifest) {
            (ImagePieces::Saved(saved), _) => saved.layers.iter().map(|layer| saved_blob(layer)).collect(),
            (ImagePieces::Manifest(_), manifest) => {
                let layers = manifest.map(|manifest| manifest.layers).unwrap_or_default();
                layers.into_iter().map(|layer| self.manifest_blob(layer)).collect()
            }
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
        attested.blobs = blobs.iter().map(|blob| blob.digest.clone()).collect();
        (attested.index, attested.provenance) = (root, provenance);
        let plan = LocatedImage { config, platform, note, base_name, id, blobs, attested };
        plan.blobs.iter().enumerate().try_for_each(|(index, blob)| self.check_blob(&plan, index, blob))?;
        Ok(plan)
    }

    /// Checks that this is the requested image: by the digest of its index, its manifest or its config, all of which
    /// were computed, or by its layers.
    fn check_identity(&self, found: &ChosenImage) -> Result<(), SourceError> {
        let Some(inspected) = &self.inspected.identity else { return Ok(()) };
        let is_named =
            [found.root.as_ref(), found.manifest_digest(), Some(&found.id)].contains(&Some(&inspected.id));
        if is_named || found.config.rootfs.diff_ids == inspected.diff_ids {
            return Ok(());
        }
        Err(SourceError::Mismatch {
            image: self.image.clone(),
            what: "the engine's export".into(),
            expected: inspected.id.to_string(),
            found: found.id.to_string(),
        })
    }

    /// Checks a blob as far as that is possible without reading it.
    fn check_blob(&self, plan: &LocatedImage, index: usize, blob: &Blob) -> Result<(), SourceError> {
        let what = format!("layer {} of {}", index + 1, plan.blobs.len());
        if let Some(media_type) = &blob.media_type
            && !kind::is_layer(media_type)
        {
            let hint = kind::layer_hint(media_type);
            let (image, media_type) = (self.image.clone(), excerpt(media_type));
            return Err(SourceError::MediaType { image, what, media_type, hint });
        }
        if self.parts.lacks(&blob.name) {
            return if blob.elsewhere.is_some() { Ok(()) } else { Err(self.missing(plan, index)) };
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

    /// The error for a missing layer blob.
    pub(super) fn missing(&self, plan: &LocatedImage, index: usize) -> SourceError {
        SourceError::Missing {
            image: self.image.clone(),
            what: format!("layer {} of {}", index + 1, plan.blobs.len()),
            name: excerpt(&plan.blobs[index].name),
        }
    }

    fn manifest_blob(&self, layer: Descriptor) -> Blob {
        Blob {
            elsewhere: elsewhere(&layer),
            name: blob_name(&layer.digest),
            digest: Some(layer.digest),
            media_type: Some(layer.media_type),
            claimed: Some(layer.size),
            distributed: self.parts.as_distributed(),
        }
    }
}

/// The URL of a layer that is not distributed with the image, without the signature in its query.
fn elsewhere(layer: &Descriptor) -> Option<String> {
    let foreign = ["nondistributable", "foreign"].iter().any(|word| layer.media_type.contains(word));
    let url = layer.urls.first().map(|url| url.split(['?', '#']).next().unwrap_or_default());
    let url = url.map(|url| excerpt(&redact_reference(url)));
    if foreign { Some(url.unwrap_or_default()) } else { url }
}

/// A layer that only `manifest.json` names. Since Docker 25 its path is the blob's digest.
fn saved_blob(path: &str) -> Blob {
    let name = clean_name(path);
    let digest = digest_of_name(&name);
    Blob { name, digest, media_type: None, claimed: None, elsewhere: None, distributed: false }
}
