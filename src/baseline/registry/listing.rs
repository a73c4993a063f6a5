//! The documents of a store in a registry: the manifest of a record, and the indexes that list records.

use serde_json::{Value, json};

use super::super::store::{Point, platform_key};
use crate::image::{DiffId, Digest, Snapshot, Totals};

/// What a record is.
pub const ARTIFACT_TYPE: &str = "application/vnd.layergate.snapshot.v1+json";
/// What the files of a layer are.
const CENSUS_TYPE: &str = "application/vnd.layergate.census.v1+json+zstd";
/// The media types of a manifest, an index, and of the config of what has none.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The content of a config that there has to be.
pub const EMPTY: &[u8] = b"{}";

/// Annotations: of a record, and of a layer's files.
const IMAGE: &str = "io.github.layergate.image";
const PLATFORM: &str = "io.github.layergate.platform";
const COMMIT: &str = "org.opencontainers.image.revision";
const TIME: &str = "io.github.layergate.time";
const TOTALS: &str = "io.github.layergate.totals";
const SNAPSHOT: &str = "io.github.layergate.snapshot";
const RECORDED: &str = "io.github.layergate.recorded";
const DIFF_ID: &str = "io.github.layergate.diff-id";

/// The most records that a list of them may have.
const MAX_ENTRIES: usize = 10_000;

/// A record, as an index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// That of the snapshot.
    pub snapshot: Digest,
    /// The image's name.
    pub image: String,
    /// What the image runs on.
    pub platform: String,
    /// The commit that it is of.
    pub commit: String,
    /// When that was committed, where known.
    pub time: Option<i64>,
    /// When it was recorded, in milliseconds, where known.
    pub recorded: Option<i64>,
    /// The accounting, where it can be read.
    pub totals: Option<Totals>,
}

impl Entry {
    /// Reads a descriptor; `None` for what is no record. Anyone who may push may have written it.
    pub fn read(descriptor: &Value) -> Option<Entry> {
        let digest = |text: &Value| Digest::parse(text.as_str()?).ok();
        let annotations = descriptor.get("annotations")?;
        let text = |name: &str| annotations.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| text(name)?.parse().ok();
        Some(Entry {
            manifest: digest(descriptor.get("digest")?)?,
            snapshot: digest(annotations.get(SNAPSHOT)?)?,
            image: text(IMAGE)?,
            platform: text(PLATFORM)?,
            commit: text(COMMIT)?,
            time: number(TIME),
            recorded: number(RECORDED),
            totals: text(TOTALS).and_then(|totals| serde_json::from_str(&totals).ok()),
        })
    }

    /// What orders records in time: that of their commits, as far as it is known.
    pub fn age(&self) -> i64 {
        self.time.or(self.recorded.map(|recorded| recorded / 1000)).unwrap_or_default()
    }

    /// Its part of a history.
    pub fn point(self) -> Option<Point> {
        Some(Point {
            commit: Some(self.commit),
            time: self.time,
            platform: self.platform,
            totals: self.totals?,
        })
    }
}

/// The descriptors that an index lists; `None` where the document is none.
pub fn listed(index: &[u8]) -> Option<Vec<Value>> {
    let mut index: Value = serde_json::from_slice(index).ok()?;
    match index.get_mut("manifests")?.take() {
        Value::Array(manifests) if manifests.len() <= MAX_ENTRIES => Some(manifests),
        _ => None,
    }
}

/// Whether a manifest is one of a record.
pub fn is_record(manifest: &[u8]) -> bool {
    let manifest: Option<Value> = serde_json::from_slice(manifest).ok();
    manifest.is_some_and(|manifest| manifest["artifactType"] == ARTIFACT_TYPE)
}

/// An index of such descriptors.
pub fn index(manifests: &[Value]) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests }).to_string().into_bytes()
}

/// Points at bytes.
pub fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// Points at the files of a layer.
pub fn census(diff_id: &DiffId, digest: &Digest, size: usize) -> Value {
    let mut census = descriptor(CENSUS_TYPE, digest, size);
    census["annotations"] = json!({ DIFF_ID: diff_id });
    census
}

/// The manifest of a record, always the same of the same record; and what an index says of it.
pub fn manifest(
    snapshot: &Snapshot,
    commit: &str,
    content: &Value,
    censuses: Vec<Value>,
    subject: Option<&Value>,
) -> serde_json::Result<(Digest, Vec<u8>, Value)> {
    let mut annotations = json!({
        IMAGE: snapshot.image.name,
        PLATFORM: platform_key(snapshot.image.platform.as_ref()),
        COMMIT: commit,
        TOTALS: serde_json::to_string(&snapshot.totals)?,
        SNAPSHOT: content["digest"],
    });
    if let Some(time) = snapshot.commit.as_ref().and_then(|commit| commit.time) {
        annotations[TIME] = time.to_string().into();
    }
    let mut layers = vec![content.clone()];
    layers.extend(censuses);
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": descriptor(EMPTY_TYPE, &Digest::of(EMPTY), EMPTY.len()),
        "layers": layers,
        "annotations": annotations,
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.clone();
    }
    let manifest = serde_json::to_vec(&manifest)?;
    let digest = Digest::of(&manifest);
    let mut entry = descriptor(MANIFEST_TYPE, &digest, manifest.len());
    entry["artifactType"] = ARTIFACT_TYPE.into();
    entry["annotations"] = annotations;
    Ok((digest, manifest, entry))
}

/// Notes when a record was made.
pub fn stamp(entry: &mut Value, milliseconds: u128) {
    entry["annotations"][RECORDED] = milliseconds.to_string().into();
}
