//! Writes to a branch of baselines: changes are drafted on top of the current state, and tried again if somebody else
//! was faster.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::super::record::{RecordOutcome, StoreError, Written, is_same, replaceable};
use super::{
    BranchRecord, BranchState, BranchStore, FILE_LIST_FILE, FILE_LISTS, IMAGES, IndexEntry, README,
    RecordIndex, SUMMARY, file_list_path, index_path, record_path, there,
};
use crate::baseline::dir::name_of_file;
use crate::fleet::Summary;
use crate::github::GithubError;
use crate::github::repository::{ReferenceUpdate, TreeChange, TreeEntry};
use crate::image::platform::platform_key;
use crate::image::{DiffId, FileList, Snapshot};
use crate::layer::packed;

/// How long others may keep writing before this gives up.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest pause before the second try; the limit doubles for each further one. A writer that loses often is one of
/// many, and each try costs all of them requests that GitHub counts.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How many directories of file lists are searched if there are too many lists.
const SOME: usize = 16;
/// How often an error that may or may not be temporary is retried.
const CHANCES: u32 = 3;
/// File lists up to this many bytes are sent along with the tree, which saves a request for each.
const MAX_INLINE: usize = 1 << 20;
/// The most that one request changes in a tree: number of files, and bytes of content.
const MAX_CHANGES: usize = 500;
const MAX_CHANGED: usize = 4 << 20;
/// The longest file that is stored: GitHub's base64 answer for a longer one would be too long to read.
const MAX_FILE: usize = 11 << 20;

/// The branch's own README.
const README_TEXT: &str = "\
# Baselines of layergate

This branch holds the sizes of container images that layergate measured for commits of this
repository. It shares no history with the code, and you never need to check it out.

- `summary.json`: the newest figures of each image, for `layergate fleet`
- `images/`: the recorded commits of each image, and their figures
- `records/`: the measurements, by commit, image and platform
- `file-lists/`: the names and sizes of the files in each layer, never their content

Only `layergate record` writes it. To start over, delete the branch.
";

/// A file list as it is stored.
#[derive(Clone)]
struct StoredFileList {
    path: String,
    sha: String,
    change: TreeChange,
}

/// What one try leaves for the next.
#[derive(Default)]
struct Tries {
    count: u32,
    /// Packed file lists, already sent if they are long; `None` for a list that is too long.
    packed: HashMap<DiffId, Option<StoredFileList>>,
    /// The outcomes of a try that may or may not have taken effect.
    sent: Option<Vec<RecordOutcome>>,
}

/// What is about to be written.
#[derive(Default)]
struct Draft {
    /// The indexes of the images concerned.
    indexes: HashMap<String, RecordIndex>,
    changes: BTreeMap<String, TreeChange>,
    /// The Git hashes of file lists that exist, or will.
    lists: HashMap<DiffId, String>,
    stored: Vec<RecordOutcome>,
    not_pruned: Option<StoreError>,
}

impl BranchStore {
    /// Records images in one commit.
    ///
    /// # Errors
    /// [`StoreError`]; the branch is then as it was, or as others have left it.
    pub async fn put(
        &self,
        snapshots: &[Snapshot],
        keep: Option<NonZeroUsize>,
    ) -> Result<Written, StoreError> {
        let (started, mut longest, mut chances) = (Instant::now(), FIRST_PAUSE, CHANCES);
        let mut tries = Tries::default();
        loop {
            tries.count += 1;
            // Anything read before a pause would be stale after it.
            self.repository.turn().await;
            let (wait, error) = match self.try_put(snapshots, keep, &mut tries).await {
                Ok(Some(written)) => return Ok(written),
                Ok(None) => (Duration::ZERO, None),
                Err(error) => match wait_after(&error, &mut chances) {
                    Some(wait) => (wait, Some(error)),
                    None => return Err(error),
                },
            };
            if started.elapsed().saturating_add(wait) > PATIENCE {
                let contended = || StoreError::Contended { place: self.describe(), tries: tries.count };
                return Err(error.unwrap_or_else(contended));
            }
            // Random, since writers that wait equally long would all come back at once.
            tokio::time::sleep(wait + longest.mul_f64(fastrand::f64())).await;
            longest = (longest * 2).min(LONGEST_PAUSE);
        }
    }

    /// One try; `None` if somebody else was faster.
    async fn try_put(
        &self,
        snapshots: &[Snapshot],
        keep: Option<NonZeroUsize>,
        tries: &mut Tries,
    ) -> Result<Option<Written>, StoreError> {
        let head = self.read_head().await?;
        let head = head.as_ref();
        let mut draft = Draft::default();
        for snapshot in snapshots {
            let stored = self.draft(head, snapshot, tries, &mut draft).await?;
            draft.stored.push(stored);
        }
        if let Some(keep) = keep {
            self.prune(head, keep.get(), &mut draft).await;
        }
        if draft.changes.is_empty() {
            // The current state may be the result of an earlier try.
            let stored = tries.sent.take().unwrap_or(draft.stored);
            return Ok(Some(Written { stored, not_pruned: draft.not_pruned, not_attached: None }));
        }
        for index in draft.indexes.values() {
            let json = index.to_json()?;
            if json.len() > MAX_FILE {
                return Err(StoreError::Full { place: self.describe(), image: index.image.clone() });
            }
            draft.changes.insert(index_path(&index.image), TreeChange::Text(json));
        }
        let summary = self.summary(head, snapshots, &draft).await?;
        draft.changes.insert(SUMMARY.into(), TreeChange::Text(summary.to_json()?));
        if head.is_none() {
            draft.changes.insert(README.into(), TreeChange::Text(README_TEXT.into()));
        }
        self.commit(head, &message(snapshots), draft, tries).await
    }

    /// The summary of all images, including what is about to be recorded. A missing or broken one is rebuilt from the
    /// indexes, which hold less.
    async fn summary(
        &self,
        head: Option<&BranchState>,
        snapshots: &[Snapshot],
        draft: &Draft,
    ) -> Result<Summary, StoreError> {
        let mut summary = match head.and_then(|head| head.summary.as_deref()) {
            Some(sha) => self.stored_summary(sha).await?,
            None => Summary::new(),
        };
        let stored = |entry: &TreeEntry| entry.path.strip_suffix(".json").and_then(name_of_file);
        let listed: HashMap<String, &str> = head
            .into_iter()
            .flat_map(|head| &head.images)
            .filter_map(|entry| Some((stored(entry)?, entry.sha.as_str())))
            .collect();
        for (image, sha) in listed.iter().filter(|(image, _)| !draft.indexes.contains_key(*image)) {
            // A problem with another image does not prevent recording this one.
            if !summary.has(image)
                && let Ok(index) = self.parse_index(sha, image).await
            {
                index.records.iter().for_each(|entry| summary.put(image, &entry.platform, entry.summary()));
            }
        }
        let missing: Vec<&RecordIndex> =
            draft.indexes.values().filter(|index| !summary.has(&index.image)).collect();
        for index in missing {
            let is_new = |entry: &IndexEntry| {
                let mut commits = snapshots.iter().filter_map(|snapshot| snapshot.commit.as_ref());
                commits.any(|commit| commit.sha == entry.commit)
            };
            let older = index.records.iter().filter(|entry| !is_new(entry));
            older.for_each(|entry| summary.put(&index.image, &entry.platform, entry.summary()));
        }
        let recorded = snapshots.iter().zip(&draft.stored);
        for (snapshot, _) in recorded.filter(|(_, stored)| **stored == RecordOutcome::Recorded) {
            summary.put_snapshot(snapshot);
        }
        summary.retain(|image, platform| match draft.indexes.get(image) {
            Some(index) => index.records.iter().any(|entry| entry.platform == platform),
            None => listed.contains_key(image),
        });
        Ok(summary)
    }

    async fn stored_summary(&self, sha: &str) -> Result<Summary, StoreError> {
        let place = self.place(SUMMARY);
        let json = self.blob(sha, &place).await?;
        match Summary::from_json(&json) {
            // It says more than this version would write.
            Err(error) if error.is_newer() => Err(StoreError::Summary { place, error }),
            parsed => Ok(parsed.unwrap_or_default()),
        }
    }

    /// Makes a commit of a draft, and moves the branch to it.
    async fn commit(
        &self,
        head: Option<&BranchState>,
        message: &str,
        draft: Draft,
        tries: &mut Tries,
    ) -> Result<Option<Written>, StoreError> {
        // GitHub limits writes, not reads, so a try that is already late writes nothing.
        let is_late = tries.count > 1
            && self.repository.reference(&self.reference).await?.as_ref() != head.map(|head| &head.commit);
        if is_late {
            return Ok(None);
        }
        let tree = self.tree(head, draft.changes).await?;
        let parent = head.map(|head| head.commit.as_str());
        let commit = self.repository.create_commit(message, &tree, parent).await?;
        tries.sent = Some(draft.stored.clone());
        match self.repository.advance(&self.reference, &commit, head.is_none()).await? {
            ReferenceUpdate::Done => {
                let Draft { stored, not_pruned, .. } = draft;
                Ok(Some(Written { stored, not_pruned, not_attached: None }))
            }
            ReferenceUpdate::Conflict => {
                tries.sent = None;
                Ok(None)
            }
        }
    }

    /// Makes the tree of a draft, a large one in several steps; only the last tree becomes visible.
    async fn tree(
        &self,
        head: Option<&BranchState>,
        changes: BTreeMap<String, TreeChange>,
    ) -> Result<String, StoreError> {
        let mut tree = head.map(|head| head.tree.clone());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let (mut step, mut bytes) = (Vec::new(), 0);
            while let Some(change) = changes.next_if(|_| step.len() < MAX_CHANGES && bytes < MAX_CHANGED) {
                bytes += if let TreeChange::Text(text) = &change.1 { text.len() } else { 0 };
                step.push(change);
            }
            tree = self.changed_tree(head, tree, step).await?;
        }
        Ok(tree.unwrap_or_default())
    }

    async fn changed_tree(
        &self,
        head: Option<&BranchState>,
        base: Option<String>,
        mut changes: Vec<(String, TreeChange)>,
    ) -> Result<Option<String>, StoreError> {
        let made = self.repository.create_tree(base.as_deref(), &changes).await;
        let deletes = changes.iter().any(|(_, change)| *change == TreeChange::Deleted);
        if !(deletes && matches!(made, Err(GithubError::Status { status: 422, .. }))) {
            return Ok(Some(made?));
        }
        // GitHub refuses to delete missing files, which happens if somebody has changed the branch by hand.
        let mut there: HashSet<String> = HashSet::new();
        for (directory, tree) in head.into_iter().flat_map(BranchState::directories) {
            let files = self.repository.tree(tree, true).await?.unwrap_or_default();
            there.extend(files.into_iter().map(|file| format!("{directory}/{}", file.path)));
        }
        changes.retain(|(path, change)| *change != TreeChange::Deleted || there.contains(path));
        if changes.is_empty() {
            return Ok(base);
        }
        Ok(Some(self.repository.create_tree(base.as_deref(), &changes).await?))
    }

    /// The changes for one snapshot.
    async fn draft(
        &self,
        head: Option<&BranchState>,
        snapshot: &Snapshot,
        tries: &mut Tries,
        draft: &mut Draft,
    ) -> Result<RecordOutcome, StoreError> {
        let commit = &snapshot.commit.as_ref().ok_or(StoreError::NoCommit("git"))?.sha;
        let name = &snapshot.image.name;
        let platform = platform_key(snapshot.image.platform.as_ref());
        if !draft.indexes.contains_key(name) {
            draft.indexes.insert(name.clone(), self.index_at(head, name).await?);
        }
        let index = &draft.indexes[name];
        if let Some(entry) = index.find(commit, &platform)
            && let Some(existing) = replaceable(self.record(&entry.record).await)?
            && is_same(&existing.snapshot, snapshot)
            && existing.has_files_of(snapshot)
        {
            return Ok(RecordOutcome::Unchanged);
        }
        // Layers that the newest baseline also has are already stored.
        let is_there = |entry: &&IndexEntry| {
            !draft.changes.contains_key(&record_path(&entry.commit, name, &entry.platform))
        };
        let mut newest = index.records.iter().rev().filter(is_there);
        let newest = newest.clone().find(|entry| entry.platform == platform).or_else(|| newest.next());
        if let Some(entry) = newest
            && let Ok(newest) = self.record(&entry.record).await
        {
            draft.lists.extend(newest.file_list_blobs);
        }
        let mut record = BranchRecord { snapshot: snapshot.clone(), file_list_blobs: BTreeMap::new() };
        for layer in &mut record.snapshot.layers {
            let Some(file_list) = layer.file_list.take() else { continue };
            if !draft.lists.contains_key(&layer.diff_id) {
                self.draft_list(&layer.diff_id, &file_list, tries, draft).await?;
            }
            let sha = draft.lists.get(&layer.diff_id);
            record.file_list_blobs.extend(sha.map(|sha| (layer.diff_id.clone(), sha.clone())));
        }
        let json = serde_json::to_string_pretty(&record)? + "\n";
        if let Some(index) = draft.indexes.get_mut(name) {
            index.put(snapshot, commit, git_hash(json.as_bytes()), record.file_list_blobs.keys());
        }
        draft.changes.insert(record_path(commit, name, &platform), TreeChange::Text(json));
        Ok(RecordOutcome::Recorded)
    }

    /// Adds a file list, unless it is too long to be stored.
    async fn draft_list(
        &self,
        diff_id: &DiffId,
        file_list: &FileList,
        tries: &mut Tries,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        if !tries.packed.contains_key(diff_id) {
            let packed = self.pack(diff_id, file_list).await?;
            tries.packed.insert(diff_id.clone(), packed);
        }
        let Some(file) = tries.packed[diff_id].clone() else { return Ok(()) };
        draft.changes.insert(file.path, file.change);
        draft.lists.insert(diff_id.clone(), file.sha);
        Ok(())
    }

    /// Packs a file list, and sends it if it is long; `None` if it is too long.
    async fn pack(
        &self,
        diff_id: &DiffId,
        file_list: &FileList,
    ) -> Result<Option<StoredFileList>, StoreError> {
        let path = file_list_path(diff_id);
        let packed = packed::pack(diff_id, file_list).map_err(|error| StoreError::Io {
            operation: "pack",
            path: path.clone().into(),
            error,
        })?;
        let text = STANDARD.encode(packed) + "\n";
        let sha = git_hash(text.as_bytes());
        let change = match text.len() {
            length if length > MAX_FILE => return Ok(None),
            length if length > MAX_INLINE => TreeChange::Blob(self.repository.create_blob(&text).await?),
            _ => TreeChange::Text(text),
        };
        Ok(Some(StoredFileList { path, sha, change }))
    }

    /// Removes the baselines of old commits. Their file lists are swept only now and then, because that needs the
    /// indexes of all other images; if the sweep fails, recording still succeeds.
    async fn prune(&self, head: Option<&BranchState>, keep: usize, draft: &mut Draft) {
        let mut sweep = false;
        for index in draft.indexes.values_mut() {
            let batch = (keep as u64 / 4).max(1);
            let before = index.pruned / batch;
            for entry in index.prune(keep) {
                let path = record_path(&entry.commit, &index.image, &entry.platform);
                draft.changes.entry(path).or_insert(TreeChange::Deleted);
            }
            sweep |= index.pruned / batch > before;
        }
        if let Some(head) = head.filter(|_| sweep) {
            draft.not_pruned = self.sweep(head, draft).await.err();
        }
    }

    /// Removes the file lists that no index uses any more.
    async fn sweep(&self, head: &BranchState, draft: &mut Draft) -> Result<(), StoreError> {
        let Some(tree) = &head.file_lists else { return Ok(()) };
        let mut named: HashSet<String> = HashSet::new();
        let mut name = |index: &RecordIndex| {
            index.named().map(|layers| named.extend(layers.into_iter().map(file_list_path)))
        };
        // As long as an entry does not say what it uses, nothing can be removed; such entries disappear with age.
        if !draft.indexes.values().all(|index| name(index).is_some()) {
            return Ok(());
        }
        for entry in &head.images {
            let image = entry.path.strip_suffix(".json").and_then(name_of_file);
            let other = || StoreError::OtherBranch {
                place: self.describe(),
                file: format!("{IMAGES}/{}", entry.path),
            };
            let image = image.ok_or_else(other)?;
            if !draft.indexes.contains_key(&image)
                && name(&self.parse_index(&entry.sha, &image).await?).is_none()
            {
                return Ok(());
            }
        }
        for path in self.stored_lists(tree).await?.into_iter().filter(|path| !named.contains(path)) {
            draft.changes.entry(path).or_insert(TreeChange::Deleted);
        }
        draft.indexes.values_mut().for_each(RecordIndex::forget);
        Ok(())
    }

    /// The stored file lists. If there are more than GitHub lists at once, those of some random directories.
    async fn stored_lists(&self, tree: &str) -> Result<Vec<String>, StoreError> {
        let listed = match self.repository.tree(tree, true).await? {
            Some(all) => all.into_iter().map(|entry| entry.path).collect(),
            None => {
                let place = self.place(FILE_LISTS);
                let mut directories = there(&place, || self.repository.tree(tree, false)).await?;
                fastrand::shuffle(&mut directories);
                let mut paths = Vec::new();
                for directory in directories.iter().take(SOME) {
                    let files = there(&place, || self.repository.tree(&directory.sha, false)).await?;
                    paths.extend(files.iter().map(|file| format!("{}/{}", directory.path, file.path)));
                }
                paths
            }
        };
        // The listing contains directories too.
        let files = listed.into_iter().filter(|path: &String| path.ends_with(FILE_LIST_FILE));
        Ok(files.map(|path| format!("{FILE_LISTS}/{path}")).collect())
    }
}

impl BranchRecord {
    /// Whether it has a file list for each layer whose files are known.
    fn has_files_of(&self, snapshot: &Snapshot) -> bool {
        let mut known = snapshot.layers.iter().filter(|layer| layer.file_list.is_some());
        known.all(|layer| self.file_list_blobs.contains_key(&layer.diff_id))
    }
}

/// The minimum wait before another try; `None` if none would help.
fn wait_after(error: &StoreError, chances: &mut u32) -> Option<Duration> {
    match error {
        StoreError::Github(GithubError::RateLimited { retry_after, .. }) => {
            Some(Duration::from_secs(*retry_after))
        }
        StoreError::Github(error) if error.is_passing() => Some(Duration::ZERO),
        StoreError::Github(error) if error.is_by_rule() => None,
        StoreError::Github(GithubError::Status { status: 409 | 422, .. }) | StoreError::Lost { .. } => {
            *chances = chances.checked_sub(1)?;
            Some(Duration::ZERO)
        }
        _ => None,
    }
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

/// The Git hash of a file's content.
fn git_hash(content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
