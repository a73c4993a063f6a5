//! Baselines on a branch of the repository, read and written through GitHub's API: no checkout, no `git`.
//!
//! ```text
//! README.md                                     what this branch is
//! images/IMAGE.json                             which commits are recorded, and their figures
//! records/AB/COMMIT/IMAGE/PLATFORM.json         a snapshot without the files of its layers
//! censuses/AB/ABCD....json.zst.b64              those of one layer, by the hex of its diff ID
//! ```
//!
//! Whoever writes makes a commit on top of the one that was read, and moves the branch there only if nobody
//! else was faster; then all is read and tried again. So each write is whole, and none overwrites another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use tokio::sync::{Mutex, OnceCell};

use super::dir::file_name;
use super::git::is_sha;
use super::index::{Index, IndexEntry};
use super::store::{Listed, Overview, Point, StoreError, Stored, is_same, platform_key};
use crate::github::repository::{Change, TreeEntry, Update};
use crate::github::{GithubError, Repository};
use crate::image::census::MAX_NODES;
use crate::image::{Census, DiffId, Snapshot};
use crate::layer::packed;

/// How long others may keep writing before this gives up.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest pause before the second try; each further one may be half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Lists of files up to so many bytes go along with the tree, which saves a request for each.
const MAX_INLINE: usize = 1 << 20;
/// How many records are read at a time when all of them have to be.
const READERS: usize = 8;

/// The branch's own README.
const README: &str = "\
# Baselines of layergate

This branch holds the sizes of container images, as layergate has measured them for commits of this
repository. It has no history in common with the code, and nothing needs to be checked out from it.

- `images/`: of each image, which commits are recorded, and their figures
- `records/`: the measurements, by commit, image and platform
- `censuses/`: the names and sizes of the files of each layer, and nothing of their content

It is written by `layergate record` alone. To begin anew, delete the branch.
";

/// A branch, as far as it is known.
pub struct BranchStore {
    repository: Repository,
    /// `refs/heads/NAME`.
    reference: String,
    /// The branch is looked up once by whoever reads; whoever writes looks again.
    head: OnceCell<Option<Head>>,
    indexes: Mutex<HashMap<String, Arc<Index>>>,
    /// What was read: a blob never changes.
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    /// Where the lists of files of loaded records are.
    censuses: Mutex<HashMap<DiffId, String>>,
}

/// The branch at one moment.
struct Head {
    commit: String,
    tree: String,
    /// What is at its top.
    top: Vec<TreeEntry>,
    /// The indexes of images, by their files' names.
    images: Vec<TreeEntry>,
}

/// A record as it is written: the snapshot, and where the files of its layers are.
#[derive(Serialize)]
struct Record {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// The Git hashes of its layers' lists of files, so that each costs one request. In an order, so that the
    /// same record is the same text.
    census_blobs: BTreeMap<DiffId, String>,
}

/// A list of files as it is stored.
#[derive(Clone)]
struct Packed {
    path: String,
    sha: String,
    change: Change,
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
            censuses: Mutex::default(),
        }
    }

    /// The branch, for people.
    pub fn describe(&self) -> String {
        format!("git:{}", self.reference.strip_prefix("refs/heads/").unwrap_or(&self.reference))
    }

    /// The records of an image for a commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(&self, image: &str, commit: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let Some(commit) = commit else { return Ok(Vec::new()) };
        let index = self.index(image).await?;
        let of_commit = index.records.iter().filter(|entry| entry.commit == commit);
        let listed = |entry: &IndexEntry| Listed {
            commit: Some(entry.commit.clone()),
            platform: entry.platform.clone(),
            at: entry.record.clone(),
        };
        Ok(of_commit.map(listed).collect())
    }

    /// A record.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be used.
    pub async fn load(&self, listed: &Listed) -> Result<Snapshot, StoreError> {
        let record = self.record(&listed.at).await?;
        self.censuses.lock().await.extend(record.census_blobs);
        Ok(record.snapshot)
    }

    /// The files of a layer of a record that was loaded.
    ///
    /// # Errors
    /// [`StoreError`] where GitHub cannot be asked.
    pub async fn census(&self, diff_id: &DiffId) -> Result<Option<Census>, StoreError> {
        let sha = self.censuses.lock().await.get(diff_id).cloned();
        let Some(sha) = sha else { return Ok(None) };
        let Some(text) = self.repository.blob(&sha).await? else { return Ok(None) };
        let packed = STANDARD.decode(text.trim_ascii()).ok();
        let census = packed.and_then(|packed| packed::unpack(packed.as_slice(), diff_id));
        Ok(census.filter(|census| census.nodes() <= MAX_NODES))
    }

    /// What there is of an image.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overview(&self, image: &str) -> Result<Overview, StoreError> {
        let index = self.index(image).await?;
        let commits: HashSet<&String> = index.records.iter().map(|entry| &entry.commit).collect();
        let platforms = index.records.iter().map(|entry| entry.platform.clone()).collect();
        Ok(Overview { commits: commits.len(), platforms, pruned: index.pruned })
    }

    /// The sizes of an image, in the order in which they were recorded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, image: &str) -> Result<Vec<Point>, StoreError> {
        let point = |entry: &IndexEntry| Point {
            commit: Some(entry.commit.clone()),
            time: entry.time,
            platform: entry.platform.clone(),
            totals: entry.totals,
        };
        Ok(self.index(image).await?.records.iter().map(point).collect())
    }

    /// Records images in one commit.
    ///
    /// # Errors
    /// [`StoreError`]; the branch is then as it was, or as others have left it.
    pub async fn put(
        &self,
        snapshots: &[Snapshot],
        keep: Option<NonZeroUsize>,
    ) -> Result<Vec<Stored>, StoreError> {
        let (started, mut longest, mut tries) = (Instant::now(), FIRST_PAUSE, 0);
        let mut packed = HashMap::new();
        // Whether an earlier try may have taken effect although its answer was lost.
        let mut sent = false;
        loop {
            tries += 1;
            let mut wait = None;
            match self.try_put(snapshots, keep, &mut packed, &mut sent).await {
                Ok(Some(stored)) => return Ok(stored),
                Ok(None) => {}
                Err(StoreError::Github(error)) if error.is_passing() && started.elapsed() < PATIENCE => {}
                Err(StoreError::Github(GithubError::RateLimited { retry_after: Some(seconds), .. }))
                    if seconds <= PATIENCE.as_secs() && started.elapsed() < PATIENCE =>
                {
                    wait = Some(Duration::from_secs(seconds));
                }
                Err(error) => return Err(error),
            }
            if started.elapsed() > PATIENCE {
                return Err(StoreError::Contended { place: self.describe(), tries });
            }
            // Of many that wait alike all would come back at once, so each waits as it happens.
            let jitter = longest.mul_f64(fastrand::f64());
            tokio::time::sleep(wait.unwrap_or_default() + jitter).await;
            longest = (longest * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// One try; `None` where somebody else was faster.
    async fn try_put(
        &self,
        snapshots: &[Snapshot],
        keep: Option<NonZeroUsize>,
        packed: &mut HashMap<DiffId, Packed>,
        sent: &mut bool,
    ) -> Result<Option<Vec<Stored>>, StoreError> {
        let head = self.read_head().await?;
        let mut draft = Draft::default();
        for snapshot in snapshots {
            let stored = self.draft(head.as_ref(), snapshot, packed, &mut draft).await?;
            draft.stored.push(if *sent { Stored::Recorded } else { stored });
        }
        if draft.changes.is_empty() {
            return Ok(Some(draft.stored));
        }
        if let Some(keep) = keep {
            self.prune(head.as_ref(), keep.get(), &mut draft).await?;
        }
        for index in draft.indexes.values() {
            draft.changes.insert(index_path(&index.image), Change::Text(index.to_json()?));
        }
        if head.is_none() {
            draft.changes.insert("README.md".into(), Change::Text(README.into()));
        }
        let mut changes: Vec<(String, Change)> = draft.changes.into_iter().collect();
        changes.sort_by(|one, other| one.0.cmp(&other.0));
        let base = head.as_ref().map(|head| head.tree.as_str());
        let tree = self.repository.create_tree(base, &changes).await?;
        let parent = head.as_ref().map(|head| head.commit.as_str());
        let commit = self.repository.create_commit(&message(snapshots), &tree, parent).await?;
        *sent = true;
        match self.repository.advance(&self.reference, &commit, head.is_none()).await? {
            Update::Done => Ok(Some(draft.stored)),
            Update::Conflict => {
                *sent = false;
                Ok(None)
            }
        }
    }

    /// What has to change for one snapshot.
    async fn draft(
        &self,
        head: Option<&Head>,
        snapshot: &Snapshot,
        packed: &mut HashMap<DiffId, Packed>,
        draft: &mut Draft,
    ) -> Result<Stored, StoreError> {
        let commit = &snapshot.commit.as_ref().ok_or(StoreError::NoCommit("git"))?.sha;
        let name = &snapshot.image.name;
        let platform = platform_key(snapshot.image.platform.as_ref());
        if !draft.indexes.contains_key(name) {
            draft.indexes.insert(name.clone(), self.index_at(head, name).await?);
        }
        let index = &draft.indexes[name];
        if let Some(entry) = index.find(commit, &platform)
            // One that cannot be used is replaced.
            && let Ok(existing) = self.record(&entry.record).await
            && is_same(&existing.snapshot, snapshot)
        {
            return Ok(Stored::Unchanged);
        }
        // What the newest record has of the same layers is there, and need not be stored again.
        let newest =
            index.records.iter().rev().find(|entry| entry.platform == platform).or(index.records.last());
        let known = match newest {
            Some(entry) => {
                self.record(&entry.record).await.map(|record| record.census_blobs).unwrap_or_default()
            }
            None => BTreeMap::new(),
        };
        let mut record = Record { snapshot: snapshot.clone(), census_blobs: BTreeMap::new() };
        for layer in &mut record.snapshot.layers {
            let Some(census) = layer.census.take() else { continue };
            let sha = match (known.get(&layer.diff_id), packed.get(&layer.diff_id)) {
                (Some(sha), _) => sha.clone(),
                (None, found) => {
                    let file = match found {
                        Some(file) => file.clone(),
                        None => self.pack(&layer.diff_id, &census).await?,
                    };
                    packed.insert(layer.diff_id.clone(), file.clone());
                    draft.changes.insert(file.path, file.change);
                    file.sha
                }
            };
            record.census_blobs.insert(layer.diff_id.clone(), sha);
        }
        let json = serde_json::to_string_pretty(&record)? + "\n";
        draft.blobs.extend(record.census_blobs.into_values());
        let path = record_path(commit, name, &platform);
        if let Some(index) = draft.indexes.get_mut(name) {
            index.put(snapshot, commit, git_hash(json.as_bytes()));
        }
        draft.changes.insert(path, Change::Text(json));
        Ok(Stored::Recorded)
    }

    /// Packs a list of files. A long one is sent alone.
    async fn pack(&self, diff_id: &DiffId, census: &Census) -> Result<Packed, StoreError> {
        let path = census_path(diff_id);
        let packed = packed::pack(diff_id, census).map_err(|error| StoreError::Io {
            operation: "pack",
            path: path.clone().into(),
            error,
        })?;
        let text = STANDARD.encode(packed) + "\n";
        let sha = git_hash(text.as_bytes());
        let change = match text.len() > MAX_INLINE {
            true => Change::Blob(self.repository.create_blob(&text).await?),
            false => Change::Text(text),
        };
        Ok(Packed { path, sha, change })
    }

    /// Takes out the records of old commits. Their lists of files are looked through now and then only, for
    /// that needs all other records.
    async fn prune(&self, head: Option<&Head>, keep: usize, draft: &mut Draft) -> Result<(), StoreError> {
        let mut sweep = false;
        for index in draft.indexes.values_mut() {
            let batch = (keep as u64 / 4).max(1);
            let before = index.pruned / batch;
            for entry in index.prune(keep) {
                draft
                    .changes
                    .insert(record_path(&entry.commit, &index.image, &entry.platform), Change::Deleted);
            }
            sweep |= index.pruned / batch > before;
        }
        match head {
            Some(head) if sweep => self.sweep(head, draft).await,
            _ => Ok(()),
        }
    }

    /// Takes out the lists of files that no record names any more.
    async fn sweep(&self, head: &Head, draft: &mut Draft) -> Result<(), StoreError> {
        let Some(top) = head.top.iter().find(|entry| entry.path == "censuses") else { return Ok(()) };
        let Some(stored) = self.repository.tree(&top.sha, true).await? else { return Ok(()) };
        let mut records: Vec<String> = Vec::new();
        for entry in &head.images {
            let index = self.parse_index(&entry.path, &entry.sha).await?;
            let index = draft.indexes.get(&index.image).unwrap_or(&index);
            records.extend(index.records.iter().map(|entry| entry.record.clone()));
        }
        // What this draft adds is not there to be read yet, and is in `blobs`.
        let new: HashSet<String> = draft
            .changes
            .values()
            .filter_map(|change| match change {
                Change::Text(text) => Some(git_hash(text.as_bytes())),
                _ => None,
            })
            .collect();
        records.retain(|sha| !new.contains(sha));
        let read = |sha: String| async move { self.record(&sha).await };
        let records: Vec<Record> =
            stream::iter(records).map(read).buffer_unordered(READERS).try_collect().await?;
        let needed: HashSet<&String> =
            records.iter().flat_map(|record| record.census_blobs.values()).chain(&draft.blobs).collect();
        let unneeded = stored.iter().filter(|entry| entry.path.contains('.') && !needed.contains(&entry.sha));
        let paths: Vec<String> = unneeded.map(|entry| format!("censuses/{}", entry.path)).collect();
        for path in paths {
            draft.changes.entry(path).or_insert(Change::Deleted);
        }
        Ok(())
    }

    /// The index of an image, as it was when the branch was first looked up: each commit that may be a baseline
    /// is looked for in it.
    async fn index(&self, image: &str) -> Result<Arc<Index>, StoreError> {
        if let Some(index) = self.indexes.lock().await.get(image) {
            return Ok(index.clone());
        }
        let head = self.head.get_or_try_init(|| self.read_head()).await?;
        let index = Arc::new(self.index_at(head.as_ref(), image).await?);
        self.indexes.lock().await.insert(image.to_owned(), index.clone());
        Ok(index)
    }

    async fn index_at(&self, head: Option<&Head>, image: &str) -> Result<Index, StoreError> {
        let file = format!("{}.json", file_name(image));
        match head.and_then(|head| head.images.iter().find(|entry| entry.path == file)) {
            Some(entry) => self.parse_index(&entry.path, &entry.sha).await,
            None => Ok(Index::new(image)),
        }
    }

    async fn parse_index(&self, path: &str, sha: &str) -> Result<Index, StoreError> {
        let json = self.blob(sha, &format!("images/{path}")).await?;
        let place = format!("{}: images/{path}", self.describe());
        Index::from_json(&json).map_err(|error| StoreError::Record { place, error })
    }

    async fn record(&self, sha: &str) -> Result<Record, StoreError> {
        let json = self.blob(sha, &format!("the record {sha}")).await?;
        let unusable =
            |error| StoreError::Record { place: format!("{}: the record {sha}", self.describe()), error };
        let snapshot = Snapshot::from_json(&json, MAX_NODES).map_err(unusable)?;
        #[derive(Deserialize)]
        struct Blobs {
            #[serde(default)]
            census_blobs: BTreeMap<DiffId, String>,
        }
        let Blobs { mut census_blobs } = serde_json::from_slice(&json)?;
        // They become part of an address.
        census_blobs.retain(|_, sha| is_sha(sha));
        Ok(Record { snapshot, census_blobs })
    }

    /// A small file of the branch.
    async fn blob(&self, sha: &str, what: &str) -> Result<Vec<u8>, StoreError> {
        if let Some(content) = self.blobs.lock().await.get(sha) {
            return Ok(content.clone());
        }
        let lost = || StoreError::Lost { place: format!("{}: {what}", self.describe()) };
        let content = self.repository.blob(sha).await?.ok_or_else(lost)?;
        self.blobs.lock().await.insert(sha.to_owned(), content.clone());
        Ok(content)
    }

    async fn read_head(&self) -> Result<Option<Head>, StoreError> {
        let Some(commit) = self.repository.reference(&self.reference).await? else { return Ok(None) };
        let lost = |what: &str| StoreError::Lost { place: format!("{}: {what}", self.describe()) };
        let (_, tree) = self.repository.commit(&commit).await?.ok_or_else(|| lost("its commit"))?;
        let top = self.repository.tree(&tree, false).await?.ok_or_else(|| lost("its tree"))?;
        let images = match top.iter().find(|entry| entry.path == "images") {
            Some(entry) => self.repository.tree(&entry.sha, false).await?.ok_or_else(|| lost("images"))?,
            None => Vec::new(),
        };
        Ok(Some(Head { commit, tree, top, images }))
    }
}

/// What is about to be written.
#[derive(Default)]
struct Draft {
    indexes: HashMap<String, Index>,
    changes: HashMap<String, Change>,
    /// The lists of files that the new records name.
    blobs: HashSet<String>,
    stored: Vec<Stored>,
}

fn message(snapshots: &[Snapshot]) -> String {
    let one = |snapshot: &Snapshot| {
        let commit =
            snapshot.commit.as_ref().map_or("", |commit| commit.sha.get(..12).unwrap_or(&commit.sha));
        format!("Record {} ({}) of {commit}", snapshot.image.name, snapshot.platform_text())
    };
    let lines: Vec<String> = snapshots.iter().map(one).collect();
    match lines.as_slice() {
        [line] => line.clone(),
        lines => format!("Record {} images\n\n{}", lines.len(), lines.join("\n")),
    }
}

fn index_path(image: &str) -> String {
    format!("images/{}.json", file_name(image))
}

fn record_path(commit: &str, image: &str, platform: &str) -> String {
    let start = commit.get(..2).unwrap_or(commit);
    format!("records/{start}/{commit}/{}/{}.json", file_name(image), file_name(platform))
}

fn census_path(diff_id: &DiffId) -> String {
    let hex = diff_id.hex();
    format!("censuses/{}/{hex}.json.zst.b64", &hex[..2])
}

/// How Git names a file's content.
fn git_hash(content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
