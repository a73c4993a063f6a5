//! What a branch holds of one image, in one document: which commits are recorded, and their figures. With it, finding a
//! baseline or showing the history costs one request each, however many baselines there are.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::super::git::is_sha;
use crate::fleet::RecordSummary;
use crate::image::platform::platform_key;
use crate::image::schema::{self, SchemaError};
use crate::image::{Bytes, DiffId, Snapshot, StageAdoption, Time, Totals, UpdateSize};

/// The `schema` of the indexes that this version writes.
const SCHEMA: &str = "layergate.index/v1";

/// An index that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The document is of another kind or of a newer version.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The text is not JSON, or a field is missing or of another type.
    #[error("not a list of baselines: {0}; {AGAIN}")]
    Json(#[from] serde_json::Error),
    /// Its content is contradictory or impossible.
    #[error("{0}; {AGAIN}")]
    Inconsistent(String),
}

/// What to do about it.
const AGAIN: &str = "restore the file from the branch's history, or delete the branch to start over";

/// The baselines of one image, in the order in which they were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordIndex {
    schema: String,
    /// The image's name.
    pub image: String,
    /// How many baselines were removed because of their age.
    #[serde(default)]
    pub pruned: u64,
    /// One entry per commit and platform, in the order in which they were recorded.
    pub records: Vec<IndexEntry>,
    /// The layers whose file lists are stored for this image. Entries refer to them by number.
    #[serde(default)]
    lists: BTreeMap<u32, DiffId>,
}

/// A baseline in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// Its commit.
    pub commit: String,
    /// When the commit was made, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// The image's platform, as `os/arch[/variant][:os.version]`, or `unknown`.
    pub platform: String,
    /// The Git hash of the stored baseline.
    pub record: String,
    /// The sizes.
    pub totals: Totals,
    /// What a host downloads to move here from the previously recorded image, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateSize>,
    /// The layers whose file lists it uses. A baseline from an early version does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lists: Option<Vec<u32>>,
}

impl IndexEntry {
    /// A summary of its baseline, which has more.
    pub fn summary(&self) -> RecordSummary {
        RecordSummary {
            commit: Some(self.commit.clone()),
            time: self.time,
            recorded: None,
            totals: self.totals,
            update: self.update,
            removable: None,
            stages: StageAdoption::Unknown,
            saving: None,
            limits: Vec::new(),
        }
    }
}

impl RecordIndex {
    /// The index of an image without baselines.
    pub fn new(image: &str) -> RecordIndex {
        RecordIndex {
            schema: SCHEMA.into(),
            image: image.into(),
            pruned: 0,
            records: Vec::new(),
            lists: BTreeMap::new(),
        }
    }

    /// Reads the index of an image. Anyone who may write to the branch may have written it, so everything that becomes
    /// part of an address is checked.
    ///
    /// # Errors
    /// [`IndexError`], also for a document that a newer version wrote or that belongs to another image.
    pub fn from_json(json: &[u8], image: &str) -> Result<RecordIndex, IndexError> {
        schema::check(json, "layergate.index", 1)?;
        let index: RecordIndex = serde_json::from_slice(json)?;
        if index.image != image {
            return Err(IndexError::Inconsistent(format!("it is for the image `{}`", index.image)));
        }
        if !index.records.iter().all(|entry| is_sha(&entry.commit) && is_sha(&entry.record)) {
            return Err(IndexError::Inconsistent("a hash is invalid".into()));
        }
        let mut amounts = index.records.iter().flat_map(|entry| entry.totals.amounts()).flatten();
        let mut updates = index.records.iter().filter_map(|entry| entry.update);
        match amounts.all(|amount| amount <= Bytes::MAX) && updates.all(|update| update.is_countable()) {
            true => Ok(index),
            false => Err(IndexError::Inconsistent(format!("an amount is over {}", Bytes::MAX.grouped()))),
        }
    }

    /// The document, with one entry and one layer per line, so that Git stores changes compactly.
    ///
    /// # Errors
    /// Any error from encoding.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let head = serde_json::json!({ "schema": self.schema, "image": self.image, "pruned": self.pruned });
        let head = serde_json::to_string(&head)?;
        let lines = self.records.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let head = head.strip_suffix('}').unwrap_or(&head);
        let lists: Vec<String> =
            self.lists.iter().map(|(number, layer)| format!("\"{number}\":\"{layer}\"")).collect();
        Ok(format!(
            "{head},\"records\":[\n{}\n],\"lists\":{{\n{}\n}}}}\n",
            lines.join(",\n"),
            lists.join(",\n")
        ))
    }

    /// The entry of a commit and a platform.
    pub fn find(&self, commit: &str, platform: &str) -> Option<&IndexEntry> {
        self.records.iter().find(|entry| entry.commit == commit && entry.platform == platform)
    }

    /// Adds an entry, replacing the one for the same commit and platform; it becomes the newest. `lists` are the layers
    /// whose file lists it uses.
    pub fn put<'a>(
        &mut self,
        snapshot: &Snapshot,
        commit: &str,
        record: String,
        lists: impl Iterator<Item = &'a DiffId>,
    ) {
        let platform = platform_key(snapshot.image.platform.as_ref());
        self.records.retain(|other| other.commit != commit || other.platform != platform);
        let mut numbers: HashMap<DiffId, u32> =
            self.lists.iter().map(|(number, layer)| (layer.clone(), *number)).collect();
        let mut number = |layer: &DiffId| {
            *numbers.entry(layer.clone()).or_insert_with(|| {
                let number = self.lists.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
                self.lists.insert(number, layer.clone());
                number
            })
        };
        let lists = Some(lists.map(&mut number).collect());
        let time = snapshot.commit.as_ref().and_then(|commit| commit.time);
        let (commit, totals, update) = (commit.to_owned(), snapshot.totals, snapshot.update);
        self.records.push(IndexEntry { commit, time, platform, record, totals, update, lists });
    }

    /// The layers whose file lists are in use; `None` if an entry does not say.
    pub fn named(&self) -> Option<HashSet<&DiffId>> {
        let numbers = self.numbers()?;
        Some(
            self.lists
                .iter()
                .filter(|(number, _)| numbers.contains(number))
                .map(|(_, layer)| layer)
                .collect(),
        )
    }

    /// Forgets layers that no entry uses any more.
    pub fn forget(&mut self) {
        if let Some(numbers) = self.numbers() {
            self.lists.retain(|number, _| numbers.contains(number));
        }
    }

    fn numbers(&self) -> Option<HashSet<u32>> {
        let lists: Option<Vec<&Vec<u32>>> = self.records.iter().map(|entry| entry.lists.as_ref()).collect();
        Some(lists?.into_iter().flatten().copied().collect())
    }

    /// Removes and returns the entries of all but the most recently recorded commits.
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
        self.pruned = self.pruned.saturating_add(dropped.len() as u64);
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn sha(number: u32) -> String {
        format!("{number:040x}")
    }

    fn put(index: &mut RecordIndex, commit: u32, layers: &[&str]) {
        let layers: Vec<DiffId> = layers.iter().map(|layer| DiffId::of(layer.as_bytes())).collect();
        index.put(&Snapshot::made_up(Vec::new()), &sha(commit), sha(commit), layers.iter());
    }

    fn named(index: &RecordIndex, layers: &[&str]) -> bool {
        let layers: HashSet<DiffId> = layers.iter().map(|layer| DiffId::of(layer.as_bytes())).collect();
        index.named().unwrap().into_iter().cloned().collect::<HashSet<_>>() == layers
    }

    #[test]
    fn the_files_of_a_layer_are_needed_as_long_as_a_record_names_them() {
        let mut index = RecordIndex::new("app");
        put(&mut index, 1, &["base", "one"]);
        put(&mut index, 2, &["base", "two"]);
        put(&mut index, 3, &["base", "three"]);
        assert_eq!(index.prune(2).len(), 1);
        assert!(named(&index, &["base", "two", "three"]));
        // A baseline recorded again becomes the newest, so it is kept with everything that it uses.
        put(&mut index, 2, &["base", "two"]);
        assert_eq!(index.prune(1).iter().map(|entry| entry.commit.clone()).collect::<Vec<_>>(), [sha(3)]);
        assert!(named(&index, &["base", "two"]));
        assert_eq!(index.lists.len(), 4);
        index.forget();
        assert!(named(&index, &["base", "two"]));
        assert_eq!((index.lists.len(), index.pruned), (2, 2));
    }

    #[test]
    fn a_slow_job_of_an_older_commit_keeps_what_its_commit_names() {
        let mut index = RecordIndex::new("app");
        put(&mut index, 1, &["shared"]);
        put(&mut index, 2, &["shared"]);
        let mut arm = Snapshot::made_up(Vec::new());
        arm.image.platform = "linux/arm64".parse().ok();
        index.put(&arm, &sha(1), sha(9), [DiffId::of(b"arm")].iter());
        put(&mut index, 3, &["new"]);
        index.prune(2);
        assert!(named(&index, &["shared", "arm", "new"]));
    }

    #[test]
    fn a_record_of_an_early_version_does_not_say_what_it_names() {
        let mut index = RecordIndex::new("app");
        put(&mut index, 1, &["one"]);
        put(&mut index, 2, &["two"]);
        let json = index.to_json().unwrap();
        let early = json.replacen(",\"lists\":[0]", "", 1);
        assert_ne!(early, json);
        let mut early = RecordIndex::from_json(early.as_bytes(), "app").unwrap();
        assert_eq!(early.named(), None);
        early.forget();
        assert_eq!(early.lists.len(), 2);
        early.prune(1);
        assert!(named(&early, &["two"]), "it is gone some day");
    }

    #[test]
    fn an_index_is_read_as_it_was_written_and_only_as_the_one_of_its_image() {
        let mut index = RecordIndex::new("app");
        for records in 0..3 {
            let json = index.to_json().unwrap();
            assert_eq!(RecordIndex::from_json(json.as_bytes(), "app").unwrap(), index, "{json}");
            let other = RecordIndex::from_json(json.as_bytes(), "web").unwrap_err();
            assert!(other.to_string().contains("it is for the image `app`"), "{other}");
            put(&mut index, records, &["base"]);
        }
        let json = index.to_json().unwrap();
        let evil = json.replacen(&sha(1), "../../x", 1);
        assert_ne!(evil, json);
        assert!(RecordIndex::from_json(evil.as_bytes(), "app").is_err());
        let digest = Digest::of(b"base").to_string();
        assert!(RecordIndex::from_json(json.replace(&digest, "sha256:..").as_bytes(), "app").is_err());
    }
}
