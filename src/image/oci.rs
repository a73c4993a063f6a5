//! The JSON documents that describe an image: OCI image specification ("config", "manifest",
//! "image index") and the `manifest.json` of `docker save`. Only what layergate reads of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::digest::{DiffId, Digest};
use super::instruction::Instruction;
use super::platform::Platform;
use super::snapshot::Step;

/// The annotation that holds the tag of an image in an OCI layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation, and label, in which an image names the one that it was built on.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// The annotation in which containerd keeps an image's whole name.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Go writes an empty list as null, and engines read it back.
pub(crate) fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// An image's config: its platform, its layers' diff IDs and how they were made.
#[derive(Debug, Clone, Deserialize)]
pub struct ImageConfig {
    /// Go's `GOARCH` name of the processor architecture.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// Go's `GOOS` name of the operating system.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// The architecture's variant.
    #[serde(default)]
    pub variant: Option<String>,
    /// The layers, lowest first.
    pub rootfs: RootFs,
    /// What a container of the image is started with; of that, its labels.
    #[serde(default, deserialize_with = "or_default")]
    pub config: ContainerConfig,
    /// One entry for each Dockerfile step, those without a layer included.
    #[serde(default, deserialize_with = "or_default")]
    pub history: Vec<HistoryEntry>,
}

/// The part of an image config that containers are started with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// Free-form properties.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

/// The layers of an image config.
#[derive(Debug, Clone, Deserialize)]
pub struct RootFs {
    /// The hashes of the uncompressed layers, lowest first. Absent in an image without layers.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<DiffId>,
}

/// One step of an image's history.
#[derive(Debug, Clone, Deserialize)]
pub struct HistoryEntry {
    /// The builder's own text of the step.
    #[serde(default)]
    pub created_by: Option<String>,
    /// Whether the step only changed the config.
    #[serde(default, deserialize_with = "or_default")]
    pub empty_layer: bool,
}

impl HistoryEntry {
    fn instruction(&self, arguments: &[String]) -> Option<Instruction> {
        self.created_by.as_deref().and_then(|text| Instruction::with_arguments(text, arguments))
    }
}

impl ImageConfig {
    /// The config's platform, where it names one.
    pub fn platform(&self) -> Option<Platform> {
        Platform::from_fields(&self.os, &self.architecture, self.variant.as_deref())
    }

    /// All steps of the history, oldest first, redacted: of those without a layer only what they set,
    /// not to what. Empty where history and layers do not belong together.
    pub fn steps(&self) -> Vec<Step> {
        let making = self.history.iter().filter(|entry| !entry.empty_layer).count();
        if making != self.rootfs.diff_ids.len() {
            return Vec::new();
        }
        let arguments = self.misleading_arguments();
        let step = |entry: &HistoryEntry| {
            let instruction = entry.instruction(&arguments);
            let makes_layer = !entry.empty_layer;
            let instruction = instruction.map(|step| if makes_layer { step } else { step.without_values() });
            Step { instruction, makes_layer }
        };
        self.history.iter().map(step).collect()
    }

    /// The instruction of each layer, lowest first, redacted. History and layers belong together
    /// only where they are equally many; otherwise nothing is claimed.
    pub fn instructions(&self) -> Vec<Option<Instruction>> {
        let steps: Vec<_> = self.history.iter().filter(|entry| !entry.empty_layer).collect();
        if steps.len() != self.rootfs.diff_ids.len() {
            return vec![None; self.rootfs.diff_ids.len()];
        }
        let arguments = self.misleading_arguments();
        steps.iter().map(|entry| entry.instruction(&arguments)).collect()
    }

    /// Build arguments that could be taken for commands. The work is their number by that of the steps, and
    /// nobody has more.
    fn misleading_arguments(&self) -> Vec<String> {
        const MOST: usize = 16;
        let texts = self.history.iter().filter_map(|entry| entry.created_by.as_deref());
        texts.filter_map(Instruction::misleading_arguments).take(MOST).collect()
    }
}

/// Points at a blob (OCI image specification, "descriptor").
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    /// The blob's hash, which is also its name.
    pub digest: Digest,
    /// The blob's bytes, as the descriptor claims.
    #[serde(default, deserialize_with = "or_default")]
    pub size: u64,
    /// In an index: what the image runs on.
    #[serde(default)]
    pub platform: Option<RawPlatform>,
    /// Free-form properties; names of images are kept here.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Whether the blob is itself an index. The media type is optional in old documents, so the
    /// reader of the blob has the last word.
    pub fn is_index(&self) -> bool {
        self.media_type == "application/vnd.oci.image.index.v1+json"
            || self.media_type == "application/vnd.docker.distribution.manifest.list.v2+json"
    }

    /// Whether this is an attestation or another thing that is no image to run.
    pub fn is_attestation(&self) -> bool {
        self.annotations.contains_key("vnd.docker.reference.type")
            || self.platform.as_ref().is_some_and(|p| p.os == "unknown" || p.architecture == "unknown")
    }
}

/// A platform as an index spells it: fields that may be missing.
#[derive(Debug, Clone, Deserialize)]
pub struct RawPlatform {
    /// Go's `GOARCH` name.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// Go's `GOOS` name.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// The architecture's variant.
    #[serde(default)]
    pub variant: Option<String>,
}

impl RawPlatform {
    /// The platform, where both halves are there and well formed.
    pub fn to_platform(&self) -> Option<Platform> {
        Platform::from_fields(&self.os, &self.architecture, self.variant.as_deref())
    }
}

/// An image index, and the `index.json` of an OCI layout.
#[derive(Debug, Clone, Deserialize)]
pub struct Index {
    /// What the index points at.
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
}

/// An image manifest: one config and the packed layers.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// Points at the config.
    pub config: Descriptor,
    /// Points at the layers as distributed, lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
    /// Free-form properties; the image that this one was built on may be named here.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// One image of the `manifest.json` that `docker save` writes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SavedImage {
    /// The path of the config inside the archive.
    pub config: String,
    /// The names that the image was saved by.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    /// The paths of the layers inside the archive, lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<String>,
}
