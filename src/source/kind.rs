//! What a manifest describes, by its media types: a container image, or something else that registries and layouts hold
//! beside images (OCI image specification, "guidelines for artifact usage").

use super::excerpt;
use crate::image::oci::{Descriptor, Manifest};

/// The media types of an image's config. Early engines wrote others, which all engines still read.
const CONFIG_TYPES: [&str; 6] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
    "application/json",
    "text/html",
    "",
];

/// The config of an artifact without one (OCI image specification 1.1).
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// Prefixes of layer media types (OCI image specification, "media types"; Docker image manifest version 2, schema 2).
const LAYER_FAMILIES: [&str; 4] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
];

/// Known artifacts, by a part of the media type.
const NAMES: [(&str, &str); 15] = [
    (".buildkit.cacheconfig.", BUILD_CACHE),
    (".cncf.helm.", HELM_CHART),
    (".cosign.artifact.sbom", "an SBOM"),
    (".cosign.", "a signature"),
    (".cncf.notary.", "a signature"),
    (".sigstore.bundle", "a Sigstore bundle"),
    ("in-toto", ATTESTATION),
    (".docker.attestation.", ATTESTATION),
    ("spdx", "an SBOM"),
    ("cyclonedx", "an SBOM"),
    ("syft", "an SBOM"),
    (".amazon.soci.", "a SOCI index"),
    ("nydus", NYDUS_IMAGE),
    (".distribution.manifest.v1+", SCHEMA_1),
    (".docker.plugin.", "a Docker plugin"),
];
pub(super) const ATTESTATION: &str = "a build attestation";
pub(super) const SCHEMA_1: &str = "a schema 1 manifest, the format of Docker before 1.10";
const BUILD_CACHE: &str = "a BuildKit cache";
const HELM_CHART: &str = "a Helm chart";
const NYDUS_IMAGE: &str = "a Nydus image";

/// What a manifest describes, best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ManifestKind {
    /// A container image.
    Image,
    /// An image that refers to another image, or declares another artifact type. Engines run it all the same.
    Marked,
    /// It has an image's config, but layers of an unknown type. Used only if there is nothing better.
    Doubtful,
    /// Not an image; says what it is instead.
    Other(String),
}

impl ManifestKind {
    /// The kind of a manifest. `listed` is its entry in an index.
    pub fn of(listed: &Descriptor, manifest: &Manifest) -> ManifestKind {
        let config = manifest.config.media_type.as_str();
        let layers = manifest.layers.iter().map(|layer| layer.media_type.as_str());
        let foreign: Vec<&str> = layers.filter(|media_type| !is_layer_family(media_type)).collect();
        let declared = manifest.artifact_type.as_deref().or(listed.artifact_type.as_deref());
        let declared = declared.filter(|declared| !CONFIG_TYPES.contains(declared));
        if !CONFIG_TYPES.contains(&config) {
            return ManifestKind::Other(describe(declared.unwrap_or(config)));
        }
        match foreign.first() {
            Some(first) if foreign.len() == manifest.layers.len() => {
                ManifestKind::Other(describe(declared.unwrap_or(first)))
            }
            Some(_) => ManifestKind::Doubtful,
            None if declared.is_none() && manifest.subject.is_none() => ManifestKind::Image,
            None => ManifestKind::Marked,
        }
    }
}

/// The kind of an index entry, if the entry alone shows that it is not an image.
pub(super) fn of_entry(listed: &Descriptor) -> Option<String> {
    // Engines take any entry for a platform that they support.
    let has_platform = listed.platform.as_ref().is_some_and(|platform| platform.to_platform().is_some());
    if listed.is_attestation() && !has_platform {
        return Some(ATTESTATION.into());
    }
    let is_document = listed.is_index() || listed.is_manifest() || listed.media_type.is_empty();
    (!is_document).then(|| describe(&listed.media_type))
}

/// A media type in words.
pub(super) fn describe(media_type: &str) -> String {
    let lower = media_type.to_ascii_lowercase();
    if media_type == EMPTY_TYPE {
        return "an OCI artifact without a type".into();
    }
    let known = NAMES.iter().find(|(part, _)| lower.contains(part)).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| match is_layer_family(media_type) && !media_type.is_empty() {
        true => "loose layers".into(),
        false => format!("an OCI artifact of type `{}`", excerpt(media_type)),
    })
}

/// What to do instead of measuring these things.
pub(super) fn advice(found: &[String]) -> &'static str {
    let only = |name| found.iter().all(|one| one == name);
    match () {
        () if only(BUILD_CACHE) => "name the image that the build wrote",
        () if only(HELM_CHART) => "name an image that the chart deploys",
        () if only(SCHEMA_1) => "current engines cannot run it either; build the image again and push it",
        () if only(NYDUS_IMAGE) => "name the image it was converted from",
        () => "name an image instead",
    }
}

/// The things listed together, reduced to the one that explains the rest: a cache consists of layers.
pub(super) fn listed(found: &[String]) -> Vec<String> {
    match found.iter().find(|one| *one == BUILD_CACHE) {
        Some(cache) => vec![cache.clone()],
        None => found.to_vec(),
    }
}

/// Whether blobs of a media type are layers that can be read. Their bytes tell the compression.
pub(super) fn is_layer(media_type: &str) -> bool {
    let suffix = LAYER_FAMILIES.iter().find_map(|family| media_type.strip_prefix(family));
    media_type.is_empty() || matches!(suffix, Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd"))
}

/// What can be done about a layer that cannot be read.
pub(super) fn layer_hint(media_type: &str) -> &'static str {
    match describe(media_type).as_str() {
        _ if media_type.ends_with("+encrypted") => "; decrypt the image first",
        NYDUS_IMAGE => "; it is a Nydus image: name the image it was converted from",
        _ => "",
    }
}

fn is_layer_family(media_type: &str) -> bool {
    media_type.is_empty() || LAYER_FAMILIES.iter().any(|family| media_type.starts_with(family))
}
