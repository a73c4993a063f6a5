//! Saved `docker inspect` documents: totals and diff IDs, as the engine reported them.

use std::path::Path;

use serde::Deserialize;

use super::{NamedImage, SourceError, excerpt};
use crate::image::oci::{MAX_DOCUMENT, or_default};
use crate::image::snapshot::{ImageIdentity, Layer, MAX_LAYERS, Measured, Snapshot, SourceInfo};
use crate::image::{Bytes, DiffId, Digest, Platform};

/// The fields that layergate reads of an engine's image document (Docker Engine API, "ImageInspect").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EngineImage {
    id: String,
    size: u64,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(rename = "RootFS")]
    root_fs: EngineRootFs,
    /// Only the containerd image store fills this.
    #[serde(default)]
    descriptor: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EngineRootFs {
    #[serde(default, deserialize_with = "or_default")]
    layers: Vec<DiffId>,
}

/// Reads a saved `docker inspect` document of one image.
///
/// # Errors
/// [`SourceError`] if it is not such a document, or describes several images.
pub fn measure(named: &NamedImage, path: &Path, json: &[u8]) -> Result<Snapshot, SourceError> {
    let malformed = |error: String| SourceError::Malformed {
        image: path.display().to_string(),
        name: "docker inspect".into(),
        error: excerpt(&error),
    };
    if json.len() as u64 > MAX_DOCUMENT {
        return Err(malformed(format!("it has over {MAX_DOCUMENT} bytes")));
    }
    let unfit =
        |error: serde_json::Error| malformed(format!("{error}; is it of an image, not of a container?"));
    // Engines print a list of documents; their API returns the bare document.
    let listed = json.trim_ascii_start().starts_with(b"[");
    let mut documents: Vec<EngineImage> =
        if listed { serde_json::from_slice(json) } else { serde_json::from_slice(json).map(|one| vec![one]) }
            .map_err(unfit)?;
    let document = match documents.len() {
        1 => documents.remove(0),
        count => {
            return Err(malformed(format!(
                "it describes {count} images instead of one; save them one by one"
            )));
        }
    };
    if document.size > Bytes::MAX.0 {
        return Err(SourceError::TooLarge(path.display().to_string()));
    }
    if document.root_fs.layers.len() > MAX_LAYERS {
        return Err(malformed(format!("it has over {MAX_LAYERS} layers")));
    }
    let store = if document.descriptor.is_some() { "containerd image store" } else { "classic image store" };
    let layers: Vec<Layer> = document.root_fs.layers.into_iter().map(Layer::unknown).collect();
    let platform = Platform::from_fields(&document.os, &document.architecture, document.variant.as_deref());
    let image = ImageIdentity {
        name: named.display_name(),
        reference: named.text.clone(),
        platform,
        id: Digest::parse(&document.id).ok(),
    };
    let source = SourceInfo { transport: "inspect".into(), engine: Some(store.into()) };
    Ok(Snapshot::new(image, source, Measured::Engine, Some(Bytes(document.size)), layers))
}
