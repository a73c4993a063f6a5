//! The documents of a store in a registry: the manifest of a baseline, and the lists of an image's referrers.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::git::is_sha;
use crate::compare::baseline::HistoryPoint;
use crate::image::platform::platform_key;
use crate::image::{DiffId, Digest, Platform, Snapshot, Time, Totals, UpdateSize};
use crate::registry::RawManifest;

/// The artifact type of a baseline.
pub const ARTIFACT_TYPE: &str = "application/vnd.layergate.snapshot.v1+json";
/// The media type of a layer's file list.
const FILE_LIST_TYPE: &str = "application/vnd.layergate.file-list.v1+json+zstd";
/// Media types: of a manifest, of an index, and of an empty config.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The content of the config, which a manifest must have.
pub const EMPTY: &[u8] = b"{}";

/// How many hex digits of a tag stand for a platform.
const PLATFORM_HEX: usize = 12;

/// Annotations of a baseline, and of a layer's file list.
const IMAGE: &str = "io.github.layergate.image";
const PLATFORM: &str = "io.github.layergate.platform";
const COMMIT: &str = "org.opencontainers.image.revision";
const TIME: &str = "io.github.layergate.time";
const TOTALS: &str = "io.github.layergate.totals";
const UPDATE: &str = "io.github.layergate.update";
const SNAPSHOT: &str = "io.github.layergate.snapshot";
const RECORDED: &str = "io.github.layergate.recorded";
const DIFF_ID: &str = "io.github.layergate.diff-id";

/// Maximum number of entries in a list.
const MAX_ENTRIES: usize = 10_000;

/// A baseline, as read from its manifest or from a list of referrers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferrerEntry {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The digest of the snapshot.
    pub snapshot: Digest,
    /// The digest of the image that it refers to; omitted in a list, where it is always the same.
    pub subject: Option<Digest>,
    /// The image's name.
    pub image: String,
    /// The image's platform.
    pub platform: String,
    /// Its commit.
    pub commit: String,
    /// When the commit was made, if known.
    pub time: Option<Time>,
    /// When it was recorded, in milliseconds, if known.
    pub recorded: Option<i64>,
    /// The sizes, if they can be read.
    pub totals: Option<Totals>,
    /// What a host downloads to move here from the previously recorded image, if known.
    pub update: Option<UpdateSize>,
}

impl ReferrerEntry {
    /// Reads the manifest that a tag leads to; `None` if it is not a baseline, or belongs to another tag. Anyone who
    /// may push may have written it.
    pub fn of(document: &RawManifest, of_tag: &str) -> Option<ReferrerEntry> {
        let manifest: Value = serde_json::from_slice(&document.content).ok()?;
        let subject = manifest["subject"]["digest"].as_str().and_then(|subject| Digest::parse(subject).ok());
        let entry = ReferrerEntry { subject, ..ReferrerEntry::read(&manifest, document.digest.clone())? };
        (entry.tag() == of_tag).then_some(entry)
    }

    /// Reads an entry of a list; `None` if it is not a baseline.
    pub fn listed(descriptor: &Value) -> Option<ReferrerEntry> {
        ReferrerEntry::read(descriptor, digest(&descriptor["digest"])?)
    }

    fn read(of: &Value, manifest: Digest) -> Option<ReferrerEntry> {
        let annotations = of.get("annotations").filter(|_| of["artifactType"] == ARTIFACT_TYPE)?;
        let text = |name: &str| annotations.get(name)?.as_str().map(str::to_owned);
        let is_platform = |text: &String| {
            let platform: Option<Platform> = text.parse().ok();
            text == &platform_key(platform.as_ref())
        };
        Some(ReferrerEntry {
            manifest,
            snapshot: digest(annotations.get(SNAPSHOT)?)?,
            subject: None,
            image: text(IMAGE)?,
            platform: text(PLATFORM).filter(is_platform)?,
            commit: text(COMMIT).filter(|commit| is_sha(commit))?,
            time: text(TIME).and_then(|time| time.parse().ok()),
            recorded: text(RECORDED).and_then(|recorded| recorded.parse().ok()),
            totals: text(TOTALS).and_then(|totals| serde_json::from_str(&totals).ok()),
            update: text(UPDATE)
                .and_then(|update| serde_json::from_str(&update).ok())
                .filter(UpdateSize::is_countable),
        })
    }

    /// The tag that leads to it.
    pub fn tag(&self) -> String {
        tag(&self.image, &self.commit, &self.platform)
    }

    /// Whether this is the baseline for a snapshot.
    pub fn is_of(&self, snapshot: &Snapshot) -> bool {
        let commit = snapshot.commit.as_ref().map(|commit| commit.sha.as_str());
        snapshot.image.name == self.image
            && commit == Some(self.commit.as_str())
            && platform_key(snapshot.image.platform.as_ref()) == self.platform
    }

    /// The order of baselines in time: when their commits were made, as far as known.
    pub fn age(&self) -> i64 {
        let recorded = || self.recorded.map(|recorded| recorded / 1000);
        self.time.map(Time::seconds).or_else(recorded).unwrap_or_default()
    }

    /// Its point in a history.
    pub fn point(self) -> Option<HistoryPoint> {
        Some(HistoryPoint {
            commit: Some(self.commit),
            time: self.time,
            platform: self.platform,
            totals: self.totals?,
            update: self.update,
        })
    }
}

/// The tag of a baseline. Image names may have any characters and be long, so they are encoded.
pub fn tag(image: &str, commit: &str, platform: &str) -> String {
    format!("{}{commit}-{}", tag_prefix(image), &Digest::of(platform.as_bytes()).hex()[..PLATFORM_HEX])
}

/// The common prefix of the tags of an image's baselines.
pub fn tag_prefix(image: &str) -> String {
    format!("layergate-{}-", &Digest::of(image.as_bytes()).hex()[..16])
}

/// The commit and the platform part of a tag that looks like one of an image's baselines.
pub fn tag_parts<'a>(tag: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let (commit, platform) = tag.strip_prefix(prefix)?.split_once('-')?;
    let is_hex = platform.len() == PLATFORM_HEX && platform.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_sha(commit) && is_hex).then_some((commit, platform))
}

fn digest(text: &Value) -> Option<Digest> {
    Digest::parse(text.as_str()?).ok()
}

/// The descriptors that an index lists; `None` if the document is not an index.
pub fn listed(index: &[u8]) -> Option<Vec<Value>> {
    let mut index: Value = serde_json::from_slice(index).ok()?;
    descriptors(&mut index).map(std::mem::take)
}

fn descriptors(index: &mut Value) -> Option<&mut Vec<Value>> {
    let listed = index.get_mut("manifests")?.as_array_mut()?;
    (listed.len() <= MAX_ENTRIES).then_some(listed)
}

/// The changes to a list of an image's referrers.
#[derive(Default)]
pub struct ReferrerChange {
    /// The tags of deleted baselines.
    pub gone: HashSet<String>,
    /// The descriptors of new ones.
    pub new: Vec<Value>,
}

impl ReferrerChange {
    /// Applies the changes to an index and keeps its other entries. Returns whether anything changed; `None` if the
    /// document is not an index. Of two entries for one baseline the newer stays, whoever writes last.
    pub fn make(&self, index: &mut Value) -> Option<bool> {
        let listed = descriptors(index)?;
        let before = listed.len();
        listed.retain(|one| ReferrerEntry::listed(one).is_none_or(|entry| !self.gone.contains(&entry.tag())));
        let mut is_changed = listed.len() != before;
        for (new, entry) in self.new.iter().filter_map(|new| Some((new, ReferrerEntry::listed(new)?))) {
            let same = |one: &Value| ReferrerEntry::listed(one).filter(|other| other.tag() == entry.tag());
            let order = |entry: &ReferrerEntry| (entry.recorded, entry.manifest.clone());
            if !listed.iter().filter_map(same).any(|other| order(&other) >= order(&entry)) {
                listed.retain(|one| same(one).is_none());
                listed.push(new.clone());
                is_changed = true;
            }
        }
        Some(is_changed)
    }
}

/// An empty index.
pub fn index() -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [] })
}

/// A descriptor of bytes.
pub fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// A descriptor of a layer's file list.
pub fn file_list(diff_id: &DiffId, digest: &Digest, size: usize) -> Value {
    let mut file_list = descriptor(FILE_LIST_TYPE, digest, size);
    file_list["annotations"] = json!({ DIFF_ID: diff_id });
    file_list
}

/// The manifest of a baseline.
pub fn manifest(
    snapshot: &Snapshot,
    commit: &str,
    content: &Value,
    file_lists: Vec<Value>,
    subject: Option<&Value>,
    now: u128,
) -> serde_json::Result<Vec<u8>> {
    let mut annotations = json!({
        IMAGE: snapshot.image.name,
        PLATFORM: platform_key(snapshot.image.platform.as_ref()),
        COMMIT: commit,
        TOTALS: serde_json::to_string(&snapshot.totals)?,
        SNAPSHOT: content["digest"],
        RECORDED: now.to_string(),
    });
    if let Some(time) = snapshot.commit.as_ref().and_then(|commit| commit.time) {
        annotations[TIME] = time.to_string().into();
    }
    if let Some(update) = &snapshot.update {
        annotations[UPDATE] = serde_json::to_string(update)?.into();
    }
    let mut layers = vec![content.clone()];
    layers.extend(file_lists);
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
    serde_json::to_vec(&manifest)
}

/// The list entry for a baseline with such a manifest.
pub fn listing(manifest: &[u8]) -> serde_json::Result<Value> {
    let mut document: Value = serde_json::from_slice(manifest)?;
    let mut listing = descriptor(MANIFEST_TYPE, &Digest::of(manifest), manifest.len());
    listing["artifactType"] = ARTIFACT_TYPE.into();
    listing["annotations"] = document["annotations"].take();
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(commit: &str, now: u128) -> Vec<u8> {
        let content = descriptor(ARTIFACT_TYPE, &Digest::of(b"s"), 1);
        manifest(&Snapshot::made_up(Vec::new()), commit, &content, Vec::new(), None, now).unwrap()
    }

    fn document(content: Vec<u8>) -> RawManifest {
        RawManifest { digest: Digest::of(&content), media_type: MANIFEST_TYPE.into(), content }
    }

    #[test]
    fn tags_are_ones_that_registries_take() {
        for (image, commit) in [("api", "a".repeat(40)), ("a b/ü:\n", "0".repeat(64))] {
            let of_record = tag(image, &commit, "linux/arm/v7");
            let plain = of_record.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            assert!(of_record.len() <= 128 && plain, "{of_record}");
            assert_eq!(tag_parts(&of_record, &tag_prefix(image)).map(|parts| parts.0), Some(commit.as_str()));
            assert_eq!(tag_parts(&of_record, &tag_prefix("web")), None);
            assert_eq!(tag_parts(&format!("{of_record}0"), &tag_prefix(image)), None);
        }
    }

    #[test]
    fn a_record_is_one_of_its_own_tag_alone() {
        let commit = "c".repeat(40);
        let record = document(made(&commit, 7));
        let read = ReferrerEntry::of(&record, &tag("app", &commit, "unknown")).unwrap();
        assert_eq!((read.image.as_str(), read.platform.as_str(), read.recorded), ("app", "unknown", Some(7)));
        assert_eq!(ReferrerEntry::listed(&listing(&record.content).unwrap()), Some(read));
        for other in [tag("api", &commit, "unknown"), tag("app", &commit, "linux/amd64"), "1".into()] {
            assert_eq!(ReferrerEntry::of(&record, &other), None, "{other}");
        }
        let text = String::from_utf8(record.content).unwrap();
        for (good, bad) in
            [("\"unknown\"", "\"lin\\u001b/x\""), ("snapshot.v1", "snapshot.v9"), ("cccc", "HEAD")]
        {
            assert!(text.contains(good), "{good}");
            let forged: Value = serde_json::from_str(&text.replace(good, bad)).unwrap();
            assert_eq!(ReferrerEntry::read(&forged, Digest::of(b"x")), None, "{bad}");
        }
    }

    #[test]
    fn a_list_is_changed_in_what_is_ours_alone() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let of = |commit: &str, now| listing(&made(commit, now)).unwrap();
        let foreign = json!({ "digest": Digest::of(b"x"), "artifactType": "other", "annotations": {} });
        let mut list = json!({ "manifests": [foreign, of(&one, 1), 5], "annotations": { "a": "b" } });
        let change = |gone: &[&str], new: &[Value]| ReferrerChange {
            gone: gone.iter().map(|commit| tag("app", commit, "unknown")).collect(),
            new: new.to_vec(),
        };
        assert_eq!(change(&[], &[of(&one, 3), of(&two, 2)]).make(&mut list), Some(true));
        let expected = json!({
            "manifests": [foreign, 5, of(&one, 3), of(&two, 2)], "annotations": { "a": "b" },
        });
        assert_eq!(list, expected);
        // A newer entry for the same baseline is already there.
        assert_eq!(change(&[], &[of(&one, 2)]).make(&mut list), Some(false));
        assert_eq!(change(&[&one, &two], &[]).make(&mut list), Some(true));
        assert_eq!(list, json!({ "manifests": [foreign, 5], "annotations": { "a": "b" } }));
        for other in [json!([]), json!({}), json!({ "manifests": 1 })] {
            assert_eq!(change(&[], &[]).make(&mut other.clone()), None, "{other}");
            assert_eq!(listed(other.to_string().as_bytes()), None, "{other}");
        }
    }
}
