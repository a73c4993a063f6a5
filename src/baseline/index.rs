//! What a branch has of one image, in one document: which commits are recorded, and their figures. With it,
//! finding a baseline and telling a history cost one request each, however many records there are.

use serde::{Deserialize, Serialize};

use super::git::is_sha;
use crate::image::schema;
use crate::image::snapshot::SnapshotError;
use crate::image::{Bytes, Snapshot, Totals};

/// The `schema` of an index that this version writes.
const SCHEMA: &str = "layergate.index/v1";

/// The records of one image, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    schema: String,
    /// The image's name.
    pub image: String,
    /// How many records were removed because they were old.
    #[serde(default)]
    pub pruned: u64,
    /// One for each commit and platform, oldest first.
    pub records: Vec<IndexEntry>,
}

/// One record, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The commit that it is of.
    pub commit: String,
    /// When that was committed, in seconds since 1970-01-01T00:00Z, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// What the image runs on, as `os/arch[/variant]`, or `unknown`.
    pub platform: String,
    /// The Git hash of the record.
    pub record: String,
    /// The accounting.
    pub totals: Totals,
}

impl Index {
    /// An image of which nothing is recorded.
    pub fn new(image: &str) -> Index {
        Index { schema: SCHEMA.into(), image: image.into(), pruned: 0, records: Vec::new() }
    }

    /// Reads an index. Anyone who may write to the branch may have written it, so what becomes part of an
    /// address is checked.
    ///
    /// # Errors
    /// [`SnapshotError`], also for a document that a newer version wrote.
    pub fn from_json(json: &[u8]) -> Result<Index, SnapshotError> {
        schema::check(json, "layergate.index", 1)?;
        let index: Index = serde_json::from_slice(json)?;
        if !index.records.iter().all(|entry| is_sha(&entry.commit) && is_sha(&entry.record)) {
            return Err(SnapshotError::Inconsistent("a hash is none".into()));
        }
        let amounts =
            |totals: &Totals| [Some(totals.unpacked), totals.visible, totals.wasted, totals.compressed];
        let mut amounts = index.records.iter().flat_map(|entry| amounts(&entry.totals)).flatten();
        match amounts.all(|amount| amount <= Bytes::MAX) {
            true => Ok(index),
            false => Err(SnapshotError::Inconsistent(format!("an amount is over {}", Bytes::MAX.grouped()))),
        }
    }

    /// The document, one record a line, so that Git keeps little of a change.
    ///
    /// # Errors
    /// Whatever encoding fails with.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let head = serde_json::json!({ "schema": self.schema, "image": self.image, "pruned": self.pruned });
        let head = serde_json::to_string(&head)?;
        let lines = self.records.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let head = head.strip_suffix('}').unwrap_or(&head);
        Ok(format!("{head},\"records\":[\n{}\n]}}\n", lines.join(",\n")))
    }

    /// The record of a commit and a platform.
    pub fn find(&self, commit: &str, platform: &str) -> Option<&IndexEntry> {
        self.records.iter().find(|entry| entry.commit == commit && entry.platform == platform)
    }

    /// Adds a record, instead of the one that there is of the same commit and platform.
    pub fn put(&mut self, snapshot: &Snapshot, commit: &str, record: String) {
        let entry = IndexEntry {
            commit: commit.to_owned(),
            time: snapshot.commit.as_ref().and_then(|commit| commit.time),
            platform: super::store::platform_key(snapshot.image.platform.as_ref()),
            record,
            totals: snapshot.totals,
        };
        let same =
            |other: &&mut IndexEntry| (&other.commit, &other.platform) == (&entry.commit, &entry.platform);
        match self.records.iter_mut().find(same) {
            Some(other) => *other = entry,
            None => self.records.push(entry),
        }
    }

    /// Drops the records of all but the newest commits, and gives them back.
    pub fn prune(&mut self, keep: usize) -> Vec<IndexEntry> {
        let mut newest: Vec<String> = Vec::new();
        for entry in self.records.iter().rev() {
            if newest.len() < keep && !newest.contains(&entry.commit) {
                newest.push(entry.commit.clone());
            }
        }
        let (kept, dropped) =
            std::mem::take(&mut self.records).into_iter().partition(|entry| newest.contains(&entry.commit));
        self.records = kept;
        self.pruned += dropped.len() as u64;
        dropped
    }
}
