//! The provenance beside an image: a manifest in the same index that names the image's manifest as its subject and
//! whose layers are in-toto statements (BuildKit, docs/attestations/attestation-storage.md). It only explains, so
//! failing to read it is just a note.

use super::choose::ChosenImage;
use super::reader::ImageReader;
use super::{SourceError, check_digest, excerpt};
use crate::image::oci::{Descriptor, Manifest};

const STATEMENT: &str = "application/vnd.in-toto+json";
/// The annotation that holds a statement's predicate type, and the prefix of that type for provenance of any version.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
const PROVENANCE: &str = "https://slsa.dev/provenance/";
/// Maximum number of attestations read for one image.
const MAX_ATTESTATIONS: usize = 4;

impl ImageReader<'_> {
    /// The statement with an image's provenance, as stored; if one exists but cannot be read, the reason.
    pub(super) fn provenance(&self, found: &ChosenImage) -> (Option<Vec<u8>>, Option<String>) {
        for listed in found.attestations.iter().take(MAX_ATTESTATIONS) {
            match self.statement(listed) {
                Ok(None) => {}
                Ok(Some(statement)) => return (Some(statement), None),
                Err(error) => {
                    let why = format!("the build's provenance is ignored: {}", excerpt(&error.to_string()));
                    return (None, Some(why));
                }
            }
        }
        (None, None)
    }

    /// `None` if the attestation is of another kind, or is listed but missing.
    fn statement(&self, listed: &Descriptor) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(content) = self.manifest(&listed.digest)? else { return Ok(None) };
        check_digest(&self.image, "the attestation".into(), &listed.digest, &content)?;
        let manifest: Manifest = self.parse("attestation", &content)?;
        let is_provenance = |layer: &&Descriptor| {
            let predicate = layer.annotations.get(PREDICATE_TYPE);
            layer.media_type == STATEMENT && predicate.is_some_and(|kind| kind.starts_with(PROVENANCE))
        };
        let Some(layer) = manifest.layers.iter().find(is_provenance) else { return Ok(None) };
        let Some(statement) = self.spend(self.parts.config(layer)?)? else { return Ok(None) };
        check_digest(&self.image, "the provenance".into(), &layer.digest, &statement)?;
        Ok(Some(statement))
    }
}
