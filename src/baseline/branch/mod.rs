//! Baselines on a branch of the repository, read and written through GitHub's API: no checkout, no `git`.
//!
//! ```text
//! README.md                                     what this branch is
//! summary.json                                  of each image the newest figures, for `fleet`
//! images/IMAGE.json                             which commits are recorded, and their figures
//! records/AB/COMMIT/IMAGE/PLATFORM.json         a snapshot without the files of its layers
//! file-lists/AB/ABCD....json.zst.b64              those of one layer, by the hex of its diff ID
//! ```
//!
//! A writer makes a commit on top of the one it has read, and moves the branch there only if nobody else was faster;
//! otherwise it reads everything again and retries. So each write is complete, and none overwrites another.

pub mod index;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OnceCell};

use self::index::{IndexEntry, RecordIndex};
use super::dir::file_name;
use super::git::is_sha;
use super::record::{ListedBaseline, Overview, StoreError};
use crate::compare::baseline::HistoryPoint;
use crate::github::repository::TreeEntry;
use crate::github::{GithubError, Repository};
use crate::image::file_list::MAX_NODES;
use crate::image::{DiffId, FileList, Snapshot};
use crate::layer::packed;

/// Files at the top of the branch.
const README: &str = "README.md";
/// The newest figures of all images.
pub const SUMMARY: &str = "summary.json";
const IMAGES: &str = "images";
const RECORDS: &str = "records";
const FILE_LISTS: &str = "file-lists";
/// The extension of a file list.
const FILE_LIST_FILE: &str = ".json.zst.b64";
/// One of GitHub's servers may need a moment to see what another one was told.
const CATCHES_UP: Duration = Duration::from_secs(1);

/// A branch, as far as it is known.
pub struct BranchStore {
    repository: Repository,
    /// `refs/heads/NAME`.
    reference: String,
    /// Readers look the branch up once; writers look it up again.
    head: OnceCell<Option<BranchState>>,
    indexes: Mutex<HashMap<String, Arc<RecordIndex>>>,
    /// What was read, cached because a blob never changes.
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    /// Where the file lists of loaded baselines are.
    file_lists: Mutex<HashMap<DiffId, String>>,
}

/// The branch at one moment.
struct BranchState {
    commit: String,
    tree: String,
    summary: Option<String>,
    /// The trees of baselines and of file lists.
    records: Option<String>,
    file_lists: Option<String>,
    /// The indexes of images, by file name.
    images: Vec<TreeEntry>,
}

impl BranchState {
    /// The directories that are not read as a whole, with their names.
    fn directories(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let directories = [(RECORDS, &self.records), (FILE_LISTS, &self.file_lists)];
        directories.into_iter().filter_map(|(name, tree)| Some((name, tree.as_deref()?)))
    }
}

/// A baseline as it is written: the snapshot, and where the file lists of its layers are.
#[derive(Serialize)]
struct BranchRecord {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// The Git hashes of its layers' file lists, so that each costs one request. Sorted, so that the same baseline is
    /// the same text.
    file_list_blobs: BTreeMap<DiffId, String>,
}

impl BranchStore {
    /// The store on a branch of a repository.
    pub fn new(repository: Repository, reference: String) -> BranchStore {
        BranchStore {
            repository,
            reference,
            head: OnceCell::new(),
            indexes: Mutex::default(),
            blobs: Mutex::default(),
            file_lists: Mutex::default(),
        }
    }

    /// The branch, for people.
    pub fn describe(&self) -> String {
        format!("git:{}", self.reference.strip_prefix("refs/heads/").unwrap_or(&self.reference))
    }

    /// The baselines of an image for a commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(
        &self,
        image: &str,
        commit: Option<&str>,
    ) -> Result<Vec<ListedBaseline>, StoreError> {
        let Some(commit) = commit else { return Ok(Vec::new()) };
        let index = self.index(image).await?;
        let of_commit = index.records.iter().filter(|entry| entry.commit == commit);
        let listed = |entry: &IndexEntry| ListedBaseline {
            commit: Some(entry.commit.clone()),
            platform: entry.platform.clone(),
            at: entry.record.clone(),
        };
        Ok(of_commit.map(listed).collect())
    }

    /// A baseline.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be used.
    pub async fn load(&self, listed: &ListedBaseline) -> Result<Snapshot, StoreError> {
        let record = self.record(&listed.at).await?;
        self.file_lists.lock().await.extend(record.file_list_blobs);
        Ok(record.snapshot)
    }

    /// The files of a layer of a baseline that was loaded.
    ///
    /// # Errors
    /// [`StoreError`] if GitHub cannot be reached.
    pub async fn file_list(&self, diff_id: &DiffId) -> Result<Option<FileList>, StoreError> {
        let sha = self.file_lists.lock().await.get(diff_id).cloned();
        let Some(sha) = sha else { return Ok(None) };
        let Some(text) = self.repository.blob(&sha).await? else { return Ok(None) };
        let packed = STANDARD.decode(text.trim_ascii()).ok();
        let file_list = packed.and_then(|packed| packed::unpack(&packed, diff_id));
        Ok(file_list.filter(|file_list| file_list.nodes() <= MAX_NODES))
    }

    /// What is stored of an image.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overview(&self, image: &str) -> Result<Overview, StoreError> {
        let index = self.index(image).await?;
        let commits: HashSet<&String> = index.records.iter().map(|entry| &entry.commit).collect();
        let platforms: BTreeSet<String> = index.records.iter().map(|entry| entry.platform.clone()).collect();
        Ok(Overview { commits: commits.len(), platforms, pruned: index.pruned })
    }

    /// The sizes of an image, in the order in which they were recorded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, image: &str) -> Result<Vec<HistoryPoint>, StoreError> {
        let point = |entry: &IndexEntry| HistoryPoint {
            commit: Some(entry.commit.clone()),
            time: entry.time,
            platform: entry.platform.clone(),
            totals: entry.totals,
            update: entry.update,
        };
        Ok(self.index(image).await?.records.iter().map(point).collect())
    }

    /// The index of an image, as it was when the branch was first looked up: every commit that may have the baseline is
    /// looked up in it.
    async fn index(&self, image: &str) -> Result<Arc<RecordIndex>, StoreError> {
        if let Some(index) = self.indexes.lock().await.get(image) {
            return Ok(index.clone());
        }
        let head = self.head.get_or_try_init(|| self.read_head()).await?;
        let index = Arc::new(self.index_at(head.as_ref(), image).await?);
        self.indexes.lock().await.insert(image.to_owned(), index.clone());
        Ok(index)
    }

    async fn index_at(&self, head: Option<&BranchState>, image: &str) -> Result<RecordIndex, StoreError> {
        let path = index_path(image);
        let is_its = |entry: &&TreeEntry| format!("{IMAGES}/{}", entry.path) == path;
        match head.and_then(|head| head.images.iter().find(is_its)) {
            Some(entry) => self.parse_index(&entry.sha, image).await,
            None => Ok(RecordIndex::new(image)),
        }
    }

    async fn parse_index(&self, sha: &str, image: &str) -> Result<RecordIndex, StoreError> {
        let place = self.place(&index_path(image));
        let json = self.blob(sha, &place).await?;
        RecordIndex::from_json(&json, image).map_err(|error| StoreError::Index { place, error })
    }

    async fn record(&self, sha: &str) -> Result<BranchRecord, StoreError> {
        let place = self.place(&format!("the record {sha}"));
        let json = self.blob(sha, &place).await?;
        let snapshot =
            Snapshot::from_json(&json, MAX_NODES).map_err(|error| StoreError::Record { place, error })?;
        #[derive(Deserialize)]
        struct BranchBlobs {
            #[serde(default)]
            file_list_blobs: BTreeMap<DiffId, String>,
        }
        let BranchBlobs { mut file_list_blobs } = serde_json::from_slice(&json)?;
        // Checked, because they become part of an address.
        file_list_blobs.retain(|_, sha| is_sha(sha));
        Ok(BranchRecord { snapshot, file_list_blobs })
    }

    /// A small file of the branch.
    async fn blob(&self, sha: &str, place: &str) -> Result<Vec<u8>, StoreError> {
        if let Some(content) = self.blobs.lock().await.get(sha) {
            return Ok(content.clone());
        }
        let content = there(place, || self.repository.blob(sha)).await?;
        self.blobs.lock().await.insert(sha.to_owned(), content.clone());
        Ok(content)
    }

    async fn read_head(&self) -> Result<Option<BranchState>, StoreError> {
        let Some(commit) = self.repository.reference(&self.reference).await? else { return Ok(None) };
        let (_, tree) = there(&self.place("its commit"), || self.repository.commit(&commit)).await?;
        let top = there(&self.place("its tree"), || self.repository.tree(&tree, false)).await?;
        let ours = [README, SUMMARY, IMAGES, RECORDS, FILE_LISTS];
        if let Some(other) = top.iter().find(|entry| !ours.contains(&entry.path.as_str())) {
            return Err(StoreError::OtherBranch { place: self.describe(), file: other.path.clone() });
        }
        // The writer of a baselines branch has written `records`. Without them, the branch may hold a project's README
        // and its pictures.
        if let Some(first) = top.first().filter(|_| !top.iter().any(|entry| entry.path == RECORDS)) {
            return Err(StoreError::OtherBranch { place: self.describe(), file: first.path.clone() });
        }
        let sha_of = |name: &str| top.iter().find(|entry| entry.path == name).map(|entry| entry.sha.clone());
        let images = match sha_of(IMAGES) {
            Some(sha) => there(&self.place(IMAGES), || self.repository.tree(&sha, false)).await?,
            None => Vec::new(),
        };
        let (summary, records, file_lists) = (sha_of(SUMMARY), sha_of(RECORDS), sha_of(FILE_LISTS));
        Ok(Some(BranchState { commit, tree, summary, records, file_lists, images }))
    }

    fn place(&self, what: &str) -> String {
        format!("{}: {what}", self.describe())
    }
}

/// An object that another one refers to. It is requested twice before it counts as lost.
async fn there<T, F>(place: &str, ask: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<Option<T>, GithubError>>,
{
    if let Some(found) = ask().await? {
        return Ok(found);
    }
    tokio::time::sleep(CATCHES_UP).await;
    ask().await?.ok_or_else(|| StoreError::Lost { place: place.to_owned() })
}

fn index_path(image: &str) -> String {
    format!("{IMAGES}/{}.json", file_name(image))
}

fn record_path(commit: &str, image: &str, platform: &str) -> String {
    let start = commit.get(..2).unwrap_or(commit);
    format!("{RECORDS}/{start}/{commit}/{}/{}.json", file_name(image), file_name(platform))
}

fn file_list_path(diff_id: &DiffId) -> String {
    let hex = diff_id.hex();
    format!("{FILE_LISTS}/{}/{hex}{FILE_LIST_FILE}", &hex[..2])
}
