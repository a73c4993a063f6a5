//! The JSON documents that describe an image: OCI image specification ("config", "manifest",
//! "image index") and the `manifest.json` of `docker save`. Only what layergate reads of them.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::container::{ContainerSettings, command, names, short};
use super::digest::{DiffId, Digest};
use super::instruction::Instruction;
use super::platform::Platform;
use super::snapshot::HistoryEntry;

/// Maximum bytes of an image's JSON document.
pub const MAX_DOCUMENT: u64 = 8 << 20;

/// The annotation that holds the tag of an image in an OCI layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation or label in which an image names its base image.
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
    /// The version of the operating system that the image is for.
    #[serde(default, rename = "os.version")]
    pub os_version: Option<String>,
    /// What the image requires of the operating system.
    #[serde(default, rename = "os.features", deserialize_with = "or_default")]
    pub os_features: Vec<String>,
    /// The layers, lowest first.
    pub rootfs: RootFs,
    /// The settings that containers of the image start with.
    #[serde(default, deserialize_with = "or_default")]
    pub config: ContainerConfig,
    /// One entry for each Dockerfile instruction, including those without a layer.
    #[serde(default, deserialize_with = "or_default")]
    pub history: Vec<ConfigHistory>,
}

/// The container settings of an image config.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// Free-form properties.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Its user, as `USER[:GROUP]`.
    #[serde(default, deserialize_with = "if_fit")]
    pub user: String,
    /// Its working directory.
    #[serde(default, deserialize_with = "if_fit")]
    pub working_dir: String,
    /// The command that is always run.
    #[serde(default, deserialize_with = "if_fit")]
    pub entrypoint: Vec<String>,
    /// The command, or arguments of the entrypoint.
    #[serde(default, deserialize_with = "if_fit")]
    pub cmd: Vec<String>,
    /// Its environment, as `NAME=VALUE`.
    #[serde(default, deserialize_with = "if_fit")]
    pub env: Vec<String>,
    /// The ports that it exposes, as `PORT/PROTOCOL`.
    #[serde(default, deserialize_with = "if_fit")]
    pub exposed_ports: BTreeMap<String, IgnoredAny>,
    /// The paths of its volumes.
    #[serde(default, deserialize_with = "if_fit")]
    pub volumes: BTreeMap<String, IgnoredAny>,
    /// The signal that stops it.
    #[serde(default, deserialize_with = "if_fit")]
    pub stop_signal: String,
    /// Its health check.
    #[serde(default, deserialize_with = "if_fit")]
    pub healthcheck: HealthCheck,
}

impl ContainerConfig {
    /// The part that snapshots keep.
    pub fn settings(&self) -> ContainerSettings {
        let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
        ContainerSettings {
            user: short(&self.user),
            workdir: short(&self.working_dir),
            entrypoint: command("ENTRYPOINT", &self.entrypoint),
            cmd: command("CMD", &self.cmd),
            healthcheck: command("HEALTHCHECK CMD", &self.healthcheck.test),
            stop_signal: short(&self.stop_signal),
            env: names(self.env.iter().map(name)),
            expose: names(self.exposed_ports.keys().cloned()),
            volumes: names(self.volumes.keys().cloned()),
            labels: names(self.labels.keys().cloned()),
        }
    }
}

/// The health check of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthCheck {
    /// The command.
    #[serde(default, deserialize_with = "if_fit")]
    pub test: Vec<String>,
}

/// A malformed field that only describes the image must not keep it from being measured.
fn if_fit<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Fitting<T> {
        Fit(T),
        Unfit(IgnoredAny),
    }
    Ok(match Option::<Fitting<T>>::deserialize(from)? {
        Some(Fitting::Fit(value)) => value,
        Some(Fitting::Unfit(_)) | None => T::default(),
    })
}

/// The layers of an image config.
#[derive(Debug, Clone, Deserialize)]
pub struct RootFs {
    /// The hashes of the uncompressed layers, lowest first. Absent in an image without layers.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<DiffId>,
}

/// One entry of an image's history.
#[derive(Debug, Clone, Deserialize)]
pub struct ConfigHistory {
    /// The builder's text for the instruction.
    #[serde(default)]
    pub created_by: Option<String>,
    /// Whether the instruction only changed the config.
    #[serde(default, deserialize_with = "or_default")]
    pub empty_layer: bool,
}

impl ConfigHistory {
    fn instruction(&self, arguments: &[String]) -> Option<Instruction> {
        self.created_by.as_deref().and_then(|text| Instruction::with_arguments(text, arguments))
    }
}

impl ImageConfig {
    /// The config's platform, if it names one.
    pub fn platform(&self) -> Option<Platform> {
        let platform = Platform::from_fields(&self.os, &self.architecture, self.variant.as_deref())?;
        Some(platform.with_os(self.os_version.as_deref(), &self.os_features))
    }

    /// The whole history, oldest first, redacted; values that instructions without a layer set are dropped. If it has
    /// fewer layer entries than the image has layers, unknown entries for the lowest layers come first: each build
    /// appends its own, and some tools write none. Empty without a history, and if it claims more layers than there
    /// are, because they cannot be matched.
    pub fn steps(&self) -> Vec<HistoryEntry> {
        let making = self.history.iter().filter(|entry| !entry.empty_layer).count();
        let Some(untold) = self.rootfs.diff_ids.len().checked_sub(making) else { return Vec::new() };
        if self.history.is_empty() {
            return Vec::new();
        }
        let arguments = self.misleading_arguments();
        let step = |entry: &ConfigHistory| {
            let instruction = entry.instruction(&arguments);
            let makes_layer = !entry.empty_layer;
            let instruction = instruction.map(|step| if makes_layer { step } else { step.without_values() });
            HistoryEntry { instruction, makes_layer }
        };
        let below = std::iter::repeat_n(HistoryEntry { instruction: None, makes_layer: true }, untold);
        below.chain(self.history.iter().map(step)).collect()
    }

    /// Build arguments that could be mistaken for commands. The work is their number times that of history entries, so
    /// there is a maximum; real images have fewer.
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
    /// The artifact type, if the manifest is not of an image (OCI image specification 1.1).
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// Where else the blob may be fetched from.
    #[serde(default, deserialize_with = "or_default")]
    pub urls: Vec<String>,
    /// In an index: what the image runs on.
    #[serde(default)]
    pub platform: Option<RawPlatform>,
    /// Free-form properties; names of images are kept here.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Whether the blob is said to be an index.
    pub fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
    }

    /// Whether the blob is said to be a manifest.
    pub fn is_manifest(&self) -> bool {
        MANIFEST_TYPES.contains(&self.media_type.as_str())
    }

    /// Whether this is an attestation, as BuildKit lists them beside the image.
    pub fn is_attestation(&self) -> bool {
        self.annotations.contains_key("vnd.docker.reference.type")
    }

    /// The image's manifest that an attestation is about (BuildKit, docs/attestations/attestation-storage.md).
    pub fn attests(&self) -> Option<Digest> {
        let kind = self.annotations.get("vnd.docker.reference.type")?;
        let of =
            self.annotations.get("vnd.docker.reference.digest").filter(|_| kind == "attestation-manifest");
        Digest::parse(of?).ok()
    }
}

/// The media types of an index, as the Open Container Initiative and Docker call them.
const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// The media types of a manifest.
const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

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
    /// The version of the operating system that the image is for.
    #[serde(default, rename = "os.version")]
    pub os_version: Option<String>,
    /// What the image requires of the operating system.
    #[serde(default, rename = "os.features", deserialize_with = "or_default")]
    pub os_features: Vec<String>,
}

impl RawPlatform {
    /// The platform, if both halves are present, well formed and not the placeholder `unknown`.
    pub fn to_platform(&self) -> Option<Platform> {
        let platform = Platform::from_fields(&self.os, &self.architecture, self.variant.as_deref())?;
        let is_known = platform.os != "unknown" && platform.architecture != "unknown";
        is_known.then(|| platform.with_os(self.os_version.as_deref(), &self.os_features))
    }
}

/// An image index, and the `index.json` of an OCI layout.
#[derive(Debug, Default, Clone, Deserialize)]
pub struct ImageIndex {
    /// What the index points at.
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
}

/// The fields that distinguish an index, a manifest and anything else: media types are optional in both.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outline {
    /// 1 in manifests of Docker before 1.10, otherwise 2.
    #[serde(default)]
    pub schema_version: Option<u32>,
    /// What the document claims to be.
    #[serde(default)]
    pub media_type: Option<String>,
    /// What a document that is not an image claims to be.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// Present in an index.
    pub manifests: Option<IgnoredAny>,
    /// Present in a manifest.
    pub config: Option<IgnoredAny>,
}

impl Outline {
    /// Whether the document is an index.
    pub fn is_index(&self) -> bool {
        let stated = self.media_type.as_deref().is_some_and(|stated| INDEX_TYPES.contains(&stated));
        self.config.is_none() && (self.manifests.is_some() || stated)
    }
}

/// An image manifest: one config and the layers as distributed.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// The artifact type, if this is not an image (OCI image specification 1.1).
    #[serde(default, rename = "artifactType")]
    pub artifact_type: Option<String>,
    /// The manifest that this one refers to, if any.
    #[serde(default)]
    pub subject: Option<IgnoredAny>,
    /// Points at the config.
    pub config: Descriptor,
    /// Points at the layers as distributed, lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
    /// Free-form properties; the base image may be named here.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// One image of the `manifest.json` that `docker save` writes. Jib before 2.3 and containerify write its keys in other
/// cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SavedImage {
    /// The path of the config inside the archive.
    pub config: String,
    /// The names that the image was saved under.
    #[serde(default, deserialize_with = "or_default")]
    pub repo_tags: Vec<String>,
    /// The paths of the layers inside the archive, lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<String>,
}
