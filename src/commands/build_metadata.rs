//! Build metadata: the files of `docker buildx build --metadata-file`, and the output `metadata` of
//! `docker/build-push-action`.

use std::path::Path;
use std::sync::Arc;

use super::{UsageError, console};
use crate::dockerfile::Provenance;
use crate::dockerfile::provenance::{BuildxMetadata, ProvenanceError};
use crate::files;
use crate::image::oci::MAX_DOCUMENT;
use crate::image::{Digest, MeasuredImage, json};

/// Maximum JSON values in all documents together: the memory that parsed values take has little to do with their
/// length.
const MAX_VALUES: u64 = 1 << 20;

/// How to get missing provenance.
const HELP: &str = "set BUILDX_METADATA_PROVENANCE=max for the build";

/// The documents given with `--build-metadata`.
#[derive(Default)]
pub struct BuildMetadata {
    documents: Vec<MetadataDocument>,
}

/// The metadata of one or several builds.
struct MetadataDocument {
    /// The image that it belongs to, as stated.
    image: Option<String>,
    /// The argument that it was given as.
    origin: String,
    builds: BuildxMetadata,
    found: MetadataContent,
}

/// What a document turned out to contain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MetadataContent {
    OtherImages,
    NoProvenance,
    Provenance,
}

impl BuildMetadata {
    /// Reads the arguments: `[NAME=]FILE`, one per line, or the JSON itself.
    ///
    /// # Errors
    /// [`UsageError`] for a file that cannot be read.
    pub fn read(arguments: &[String]) -> Result<BuildMetadata, UsageError> {
        let (mut documents, mut room) = (Vec::new(), MAX_VALUES);
        for argument in arguments {
            if argument.trim_start().starts_with('{') {
                documents.extend(MetadataDocument::parse(
                    None,
                    "--build-metadata",
                    argument.as_bytes(),
                    &mut room,
                )?);
                continue;
            }
            let lines = argument.lines().map(str::trim).filter(|line| !line.is_empty());
            for line in lines {
                documents.extend(MetadataDocument::read(line, &mut room)?);
            }
        }
        Ok(BuildMetadata { documents })
    }

    /// The provenance from the build of an image, and what to report about it.
    pub fn provenance_of(&mut self, measured: &MeasuredImage) -> Option<Arc<Provenance>> {
        let image = &measured.snapshot.image;
        let attested = &measured.attested;
        let digests: Vec<Digest> =
            [&attested.manifest, &attested.index, &image.id].into_iter().flatten().cloned().collect();
        let platform = image.platform.as_ref().map(ToString::to_string);
        for document in &mut self.documents {
            if document.image.as_ref().is_some_and(|name| *name != image.name) {
                continue;
            }
            match document.builds.provenance_of(&digests, platform.as_deref()) {
                Ok(Some(provenance)) => {
                    document.found = MetadataContent::Provenance;
                    return Some(provenance);
                }
                Ok(None) => document.found = MetadataContent::NoProvenance,
                Err(ProvenanceError::OtherImages) => {}
                Err(error) => {
                    console::warn(&format!("{} is ignored: {error}", document.origin));
                    document.found = MetadataContent::Provenance;
                }
            }
        }
        None
    }

    /// Reports the documents that were not used.
    pub fn warn_unused(&self) {
        for MetadataDocument { origin, found, .. } in &self.documents {
            match found {
                MetadataContent::Provenance => {}
                MetadataContent::NoProvenance => {
                    console::warn(&format!("{origin} has no provenance: {HELP}"));
                }
                MetadataContent::OtherImages => {
                    console::warn(&format!("{origin} is ignored: its digests match none of the images here"))
                }
            }
        }
    }
}

impl MetadataDocument {
    fn read(text: &str, room: &mut u64) -> Result<Option<MetadataDocument>, UsageError> {
        let named = text.split_once('=').filter(|_| !Path::new(text).exists());
        let (image, path) = named.map_or((None, text), |(name, path)| (Some(name.to_owned()), path));
        let origin = format!("--build-metadata {path}");
        let json = files::read(Path::new(path), MAX_DOCUMENT)
            .map_err(|error| UsageError(format!("{origin}: cannot read it: {error}")))?;
        MetadataDocument::parse(image, &origin, &json, room)
    }

    /// A document that cannot be used is reported and skipped: it only explains.
    fn parse(
        image: Option<String>,
        origin: &str,
        json: &[u8],
        room: &mut u64,
    ) -> Result<Option<MetadataDocument>, UsageError> {
        *room = room.checked_sub(json::values(json)).ok_or_else(|| {
            UsageError(format!("{origin}: the build metadata has over {MAX_VALUES} JSON values in total"))
        })?;
        match BuildxMetadata::parse(json) {
            Ok(builds) => Ok(Some(MetadataDocument {
                image,
                origin: origin.to_owned(),
                builds,
                found: MetadataContent::OtherImages,
            })),
            Err(error) => {
                console::warn(&format!("{origin} is ignored: {error}"));
                Ok(None)
            }
        }
    }
}
