//! Baselines in a registry, as artifacts beside the image or anywhere else (OCI distribution specification 1.1).
//!
//! ```text
//! layergate-IMAGE-COMMIT   a tag: an index of the records of a commit, one for each platform
//! a record                 a manifest: its layers are the snapshot, and the files of each layer of the image
//! sha256-HEX               a tag: what refers to that manifest, in a registry that does not tell it by itself
//! ```
//!
//! The files of a layer are the same blob in every record, and so are there once. A record of an image of the
//! same repository refers to it, and is found by the image as well.
//!
//! A registry replaces a tag whatever it was, so two that add to an index at the same time may overwrite each
//! other. Whoever writes looks again a little later, and adds anew what is gone.

mod listing;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci_client::Reference;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

use self::listing::{ARTIFACT_TYPE, Entry, INDEX_TYPE, MANIFEST_TYPE};
use super::git::is_sha;
use super::store::{Listed, Overview, Point, StoreError, Stored, Written, is_same, platform_key};
use crate::image::census::MAX_NODES;
use crate::image::oci::{Index, Manifest};
use crate::image::snapshot::SnapshotError;
use crate::image::{Census, DiffId, Digest, Snapshot};
use crate::layer::packed;
use crate::source::artifacts::{ArtifactError, Artifacts, Document};
use crate::source::registry;

/// The largest snapshot; it has no files in it.
const MAX_RECORD: u64 = 64 << 20;
/// The largest list of files of a layer, packed.
const MAX_CENSUS: u64 = 256 << 20;
/// The most tags of a repository that are looked through.
const MAX_TAGS: usize = 100_000;
/// How many requests are under way at a time.
const REQUESTS: usize = 8;
/// How often an index is written until nobody else overwrites it.
const TRIES: u32 = 8;
/// How long another writer may take from reading an index to having written it; longest, twice that is waited.
const SETTLES: Duration = Duration::from_millis(700);
/// How many records of one image are tried if the newest of them are damaged.
const CHOICES: usize = 3;

/// A repository of a registry, as far as it is known.
pub struct RegistryStore {
    name: String,
    reference: Reference,
    plain_http: bool,
    reader: OnceCell<Artifacts>,
    writer: OnceCell<Artifacts>,
    seen: Mutex<Seen>,
}

/// What was read, once a run.
#[derive(Default)]
struct Seen {
    tags: Option<Arc<HashSet<String>>>,
    listings: HashMap<String, Vec<Entry>>,
    censuses: HashMap<DiffId, Digest>,
}

/// What is about to be written, by tag: the descriptors that the tag's index has to list.
type Additions = BTreeMap<String, Vec<Value>>;

/// Reads `HOST/REPO`; `None` for what no repository can be called. The host has to look like one: without it,
/// `team/app` would be somebody's on Docker Hub.
pub fn parse_repository(name: &str) -> Option<Reference> {
    let (host, repository) = name.split_once('/')?;
    let is_host = host == "localhost" || host.contains(['.', ':']);
    let reference = registry::parse(name).ok()?;
    let whole = is_host && reference.digest().is_none() && !repository.contains([':', '@']);
    whole.then_some(reference)
}

/// The tag of an image's records of a commit. Names of images may have any characters, and be long.
fn tag(image: &str, commit: &str) -> String {
    format!("{}{commit}", tag_prefix(image))
}

fn tag_prefix(image: &str) -> String {
    format!("layergate-{}-", &Digest::of(image.as_bytes()).hex()[..16])
}

impl RegistryStore {
    /// The store in `HOST/REPO`.
    ///
    /// # Errors
    /// [`StoreError::RepositoryName`].
    pub fn new(name: &str, plain_http: bool) -> Result<RegistryStore, StoreError> {
        let reference = parse_repository(name).ok_or_else(|| StoreError::RepositoryName(name.to_owned()))?;
        Ok(RegistryStore {
            name: name.to_owned(),
            reference,
            plain_http,
            reader: OnceCell::new(),
            writer: OnceCell::new(),
            seen: Mutex::default(),
        })
    }

    /// The repository, for people.
    pub fn describe(&self) -> String {
        format!("oci:{}", self.name)
    }

    /// The records of an image for a commit. The first that is asked for is mostly there, and costs one request;
    /// if not, all tags are listed once, and whatever is asked for later costs nothing if it is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(&self, image: &str, commit: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let Some(commit) = commit.filter(|commit| is_sha(commit)) else { return Ok(Vec::new()) };
        let tag = tag(image, commit);
        let known = self.seen.lock().await.tags.clone();
        if known.is_some_and(|tags| !tags.contains(&tag)) {
            return Ok(Vec::new());
        }
        let mut entries = self.entries(self.reader().await?, &tag).await?;
        if entries.is_empty() {
            self.tags().await?;
        }
        entries.retain(|entry| entry.commit == commit && entry.image == image);
        Ok(entries.into_iter().map(listed).collect())
    }

    /// A record, without the files of its layers.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be used.
    pub async fn load(&self, listed: &Listed) -> Result<Snapshot, StoreError> {
        let (snapshot, files) = self.read(self.reader().await?, &listed.at).await?;
        self.seen.lock().await.censuses.extend(files);
        let commit = snapshot.commit.as_ref().map(|commit| commit.sha.as_str());
        let platform = platform_key(snapshot.image.platform.as_ref());
        if commit == listed.commit.as_deref() && platform == listed.platform {
            return Ok(snapshot);
        }
        let error =
            SnapshotError::Inconsistent("it is of another commit or platform than its tag says".into());
        Err(StoreError::Record { place: self.place(&listed.at), error })
    }

    /// The files of a layer of a record that was loaded.
    ///
    /// # Errors
    /// [`StoreError`] where the registry cannot be asked.
    pub async fn census(&self, diff_id: &DiffId) -> Result<Option<Census>, StoreError> {
        let digest = self.seen.lock().await.censuses.get(diff_id).cloned();
        let Some(digest) = digest else { return Ok(None) };
        let packed = self.reader().await?.blob(&digest, MAX_CENSUS).await.map_err(|e| self.failed(e))?;
        let census = packed.and_then(|packed| packed::unpack(packed.as_slice(), diff_id));
        Ok(census.filter(|census| census.nodes() <= MAX_NODES))
    }

    /// What there is of an image.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overview(&self, image: &str) -> Result<Overview, StoreError> {
        let all = self.all(image).await?;
        let commits: HashSet<&String> = all.iter().map(|entry| &entry.commit).collect();
        let platforms: BTreeSet<String> = all.iter().map(|entry| entry.platform.clone()).collect();
        Ok(Overview { commits: commits.len(), platforms, pruned: 0 })
    }

    /// The sizes of an image, oldest commit first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, image: &str) -> Result<Vec<Point>, StoreError> {
        let mut all = self.all(image).await?;
        all.sort_by_key(Entry::age);
        Ok(all.into_iter().filter_map(Entry::point).collect())
    }

    /// What is recorded of an image of this very repository by the image itself, of each platform the newest;
    /// nothing where the image is elsewhere.
    ///
    /// # Errors
    /// [`StoreError`] where the registry cannot be asked.
    pub async fn of_image(&self, image: &str) -> Result<Vec<Snapshot>, StoreError> {
        let Some(name) = self.name_here(image) else { return Ok(Vec::new()) };
        let reader = self.reader().await?;
        let Some(root) = reader.manifest(&name).await.map_err(|e| self.failed(e))? else {
            return Ok(Vec::new());
        };
        let mut entries = self.referrers(reader, &root.digest).await?;
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.age(), entry.recorded)));
        let mut found: Vec<Snapshot> = Vec::new();
        let mut tries: HashMap<String, usize> = HashMap::new();
        for entry in entries {
            let platform_of = |one: &Snapshot| platform_key(one.image.platform.as_ref());
            let tried = tries.entry(entry.platform.clone()).or_default();
            *tried += 1;
            if *tried > CHOICES || found.iter().any(|one| platform_of(one) == entry.platform) {
                continue;
            }
            // It only saves work: what cannot be used, or is of another image, is as good as not there.
            match self.load(&listed(entry)).await {
                Ok(snapshot) if self.is_of(reader, &root, &snapshot).await? => found.push(snapshot),
                Ok(_) | Err(StoreError::Record { .. } | StoreError::Lost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Records images: first what is large and found by nothing yet, then the tags that lead there.
    ///
    /// # Errors
    /// [`StoreError`]. What is recorded by then stays.
    pub async fn put(
        &self,
        snapshots: &[Snapshot],
        keep: Option<NonZeroUsize>,
    ) -> Result<Written, StoreError> {
        let writer = self.writer().await?;
        let (mut stored, mut additions) = (Vec::new(), Additions::new());
        for snapshot in snapshots {
            stored.push(self.put_one(writer, snapshot, &mut additions).await?);
        }
        let add = |(tag, entries): (String, Vec<Value>)| async move { self.add(writer, &tag, entries).await };
        let mut added = stream::iter(additions).map(add).buffer_unordered(REQUESTS);
        while let Some(added) = added.next().await {
            added?;
        }
        let mut not_pruned = None;
        if let Some(keep) = keep.filter(|_| stored.contains(&Stored::Recorded)) {
            let names: BTreeSet<&str> = snapshots.iter().map(|one| one.image.name.as_str()).collect();
            for name in names {
                not_pruned = not_pruned.or(self.prune(writer, name, keep.get()).await.err());
            }
        }
        Ok(Written { stored, not_pruned })
    }

    async fn put_one(
        &self,
        writer: &Artifacts,
        snapshot: &Snapshot,
        additions: &mut Additions,
    ) -> Result<Stored, StoreError> {
        let commit = snapshot.commit.as_ref().map(|commit| commit.sha.as_str());
        let commit = commit.filter(|commit| is_sha(commit)).ok_or(StoreError::NoCommit("oci"))?;
        let tag = tag(&snapshot.image.name, commit);
        let platform = platform_key(snapshot.image.platform.as_ref());
        let existing = self.to_extend(writer, &tag).await?;
        let existing: Vec<Entry> = existing.iter().filter_map(Entry::read).collect();
        let existing = existing.iter().find(|entry| entry.platform == platform);
        if let Some(entry) = existing
            // One that cannot be used is replaced.
            && let Ok((recorded, files)) = self.read(writer, entry.snapshot.as_str()).await
            && is_same(&recorded, snapshot)
            && snapshot.layers.iter().all(|layer| layer.census.is_none() || files.contains_key(&layer.diff_id))
        {
            return Ok(Stored::Unchanged);
        }
        let censuses = self.put_censuses(writer, snapshot).await?;
        let json = record_json(snapshot, &censuses)?;
        let content = listing::descriptor(ARTIFACT_TYPE, &Digest::of(&json), json.len());
        let put = |content: Vec<u8>| async { writer.put_blob(content).await.map_err(|e| self.failed(e)) };
        put(json).await?;
        put(listing::EMPTY.to_vec()).await?;
        let subject = self.subject(writer, snapshot).await?;
        let layers = censuses.iter().map(|(id, digest, size)| listing::census(id, digest, *size)).collect();
        let (digest, manifest, mut entry) = listing::manifest(
            snapshot,
            commit,
            &content,
            layers,
            subject.as_ref().map(|(_, subject)| subject),
        )?;
        let is_listed = writer
            .put_manifest(digest.as_str(), MANIFEST_TYPE, manifest)
            .await
            .map_err(|e| self.failed(e))?;
        listing::stamp(&mut entry, now());
        if let Some((subject, _)) = subject.filter(|_| !is_listed) {
            additions.entry(fallback_tag(&subject)).or_default().push(entry.clone());
        }
        additions.entry(tag).or_default().push(entry);
        Ok(Stored::Recorded)
    }

    /// The files of the layers, each where it is now.
    async fn put_censuses(
        &self,
        writer: &Artifacts,
        snapshot: &Snapshot,
    ) -> Result<Vec<(DiffId, Digest, usize)>, StoreError> {
        let mut done = HashSet::new();
        let with_files =
            snapshot.layers.iter().filter_map(|layer| Some((&layer.diff_id, layer.census.as_ref()?)));
        let once = with_files.filter(|(id, _)| done.insert((*id).clone()));
        let put = |(id, census): (DiffId, Arc<Census>)| async move {
            let pack_failed =
                |error| StoreError::Io { operation: "pack", path: id.as_str().to_owned().into(), error };
            let packed = packed::pack(&id, &census).map_err(pack_failed)?;
            let size = packed.len();
            let digest = writer.put_blob(packed).await.map_err(|e| self.failed(e))?;
            Ok((id, digest, size))
        };
        let once: Vec<(DiffId, Arc<Census>)> =
            once.map(|(id, census)| (id.clone(), census.clone())).collect();
        stream::iter(once).map(put).buffered(REQUESTS).try_collect().await
    }

    /// The image itself, if it is in this repository: its digest, and a descriptor of it.
    async fn subject(
        &self,
        artifacts: &Artifacts,
        snapshot: &Snapshot,
    ) -> Result<Option<(Digest, Value)>, StoreError> {
        let Some(image) = snapshot.image.reference.strip_prefix("docker://") else { return Ok(None) };
        let Some(name) = self.name_here(image) else { return Ok(None) };
        let Some(root) = artifacts.manifest(&name).await.map_err(|e| self.failed(e))? else {
            return Ok(None);
        };
        // A tag may have moved since the image was measured.
        if !self.is_of(artifacts, &root, snapshot).await? {
            return Ok(None);
        }
        let descriptor = listing::descriptor(&root.media_type, &root.digest, root.content.len());
        Ok(Some((root.digest, descriptor)))
    }

    /// Whether a snapshot is of the image, or of one of those that an index lists.
    async fn is_of(
        &self,
        artifacts: &Artifacts,
        root: &Document,
        snapshot: &Snapshot,
    ) -> Result<bool, StoreError> {
        let has_config = |manifest: &[u8]| {
            let manifest: Option<Manifest> = serde_json::from_slice(manifest).ok();
            manifest.is_some_and(|manifest| Some(&manifest.config.digest) == snapshot.image.id.as_ref())
        };
        let index: Option<Index> = serde_json::from_slice(&root.content).ok();
        let manifests = index.map(|index| index.manifests).unwrap_or_default();
        let same = |one: &crate::image::oci::Descriptor| {
            let platform = one.platform.as_ref().and_then(|platform| platform.to_platform());
            !one.is_attestation()
                && platform_key(platform.as_ref()) == platform_key(snapshot.image.platform.as_ref())
        };
        for inner in manifests.iter().filter(|one| same(one)).take(CHOICES) {
            let manifest = artifacts.manifest(inner.digest.as_str()).await.map_err(|e| self.failed(e))?;
            if manifest.is_some_and(|manifest| has_config(&manifest.content)) {
                return Ok(true);
            }
        }
        Ok(has_config(&root.content))
    }

    /// The tag or digest of an image of this repository.
    fn name_here(&self, image: &str) -> Option<String> {
        let image = registry::parse(image).ok()?;
        let here = image.resolve_registry() == self.reference.resolve_registry()
            && image.repository() == self.reference.repository();
        let name = image.digest().or(image.tag()).unwrap_or("latest").to_owned();
        here.then_some(name)
    }

    /// The records that refer to an image, by the registry's own list and by the tag that stands in for it.
    async fn referrers(&self, artifacts: &Artifacts, digest: &Digest) -> Result<Vec<Entry>, StoreError> {
        let own = artifacts.referrers(digest, ARTIFACT_TYPE).await.map_err(|e| self.failed(e))?;
        let own = own.as_deref().and_then(listing::listed);
        let listed = match own {
            Some(listed) => listed,
            None => self.descriptors(artifacts, &fallback_tag(digest)).await?.unwrap_or_default(),
        };
        Ok(listed.iter().filter_map(Entry::read).collect())
    }

    /// Adds to the index of a tag. A registry knows no conditions, so it is looked again later whether somebody
    /// who had read the same index has written it without this.
    async fn add(&self, writer: &Artifacts, tag: &str, additions: Vec<Value>) -> Result<(), StoreError> {
        for attempt in 0..TRIES {
            let there = self.to_extend(writer, tag).await?;
            // After the first time, another record of the same is as good: it was written later.
            let missing = additions.iter().filter(|new| {
                !there
                    .iter()
                    .any(|one| one["digest"] == new["digest"] || (attempt > 0 && is_record_of(one, new)))
            });
            let missing: Vec<Value> = missing.cloned().collect();
            if missing.is_empty() {
                return Ok(());
            }
            let replaced = |one: &Value| missing.iter().any(|new| is_record_of(one, new));
            let mut all: Vec<Value> = there.into_iter().filter(|one| !replaced(one)).collect();
            all.extend(missing);
            self.write_index(writer, tag, all).await?;
            let jitter = SETTLES.mul_f64(fastrand::f64());
            tokio::time::sleep(SETTLES + jitter).await;
        }
        let there = self.to_extend(writer, tag).await?;
        match additions.iter().all(|new| there.iter().any(|one| is_record_of(one, new))) {
            true => Ok(()),
            false => Err(StoreError::Contended { place: self.place(tag), tries: TRIES }),
        }
    }

    /// What the index of a tag lists, to write more in it. A tag of ours that has something else is replaced; what
    /// refers to an image is not ours alone.
    async fn to_extend(&self, writer: &Artifacts, tag: &str) -> Result<Vec<Value>, StoreError> {
        self.seen.lock().await.listings.remove(tag);
        match self.descriptors(writer, tag).await {
            Err(StoreError::Record { .. }) if tag.starts_with("layergate-") => Ok(Vec::new()),
            listed => Ok(listed?.unwrap_or_default()),
        }
    }

    /// Writes an index. Registries refuse one that lists what was deleted, and then it is left out.
    async fn write_index(
        &self,
        writer: &Artifacts,
        tag: &str,
        entries: Vec<Value>,
    ) -> Result<(), StoreError> {
        match writer.put_manifest(tag, INDEX_TYPE, listing::index(&entries)).await {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.status, Some(400 | 404)) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let mut left = Vec::new();
        for entry in entries {
            let digest = entry["digest"].as_str().and_then(|text| Digest::parse(text).ok());
            let Some(digest) = digest else { continue };
            if writer.manifest(digest.as_str()).await.map_err(|e| self.failed(e))?.is_some() {
                left.push(entry);
            }
        }
        let written = writer.put_manifest(tag, INDEX_TYPE, listing::index(&left)).await;
        written.map(drop).map_err(|e| self.failed(e))
    }

    /// Deletes the records of all but the newest commits.
    async fn prune(&self, writer: &Artifacts, image: &str, keep: usize) -> Result<(), StoreError> {
        let prefix = tag_prefix(image);
        let tags = writer.tags(MAX_TAGS).await.map_err(|e| self.failed(e))?;
        let tags = tags.into_iter().filter(|tag| tag.strip_prefix(&prefix).is_some_and(is_sha));
        let read = |tag: String| async move { self.owned(writer, &tag).await };
        let read: Vec<Option<(Digest, Vec<Entry>)>> =
            stream::iter(tags).map(read).buffer_unordered(REQUESTS).try_collect().await?;
        let mut commits: Vec<(Digest, Vec<Entry>)> = read.into_iter().flatten().collect();
        let newest = |entries: &[Entry]| entries.iter().map(|entry| (entry.recorded, entry.time)).max();
        commits.sort_by_key(|(_, entries)| std::cmp::Reverse(newest(entries)));
        for (index, entries) in commits.into_iter().skip(keep) {
            // The tag first: what it leads to is never half there.
            self.delete(writer, &index).await?;
            for entry in entries {
                let manifest = writer.manifest(entry.manifest.as_str()).await.map_err(|e| self.failed(e))?;
                if manifest.is_some_and(|manifest| listing::is_record(&manifest.content)) {
                    self.delete(writer, &entry.manifest).await?;
                }
            }
        }
        Ok(())
    }

    /// The index of a tag, and the records in it, if it has nothing else: a tag that looks like one of ours may
    /// lead to an image, which must not be deleted with it.
    async fn owned(
        &self,
        writer: &Artifacts,
        of_tag: &str,
    ) -> Result<Option<(Digest, Vec<Entry>)>, StoreError> {
        let Some(document) = writer.manifest(of_tag).await.map_err(|e| self.failed(e))? else {
            return Ok(None);
        };
        let listed = listing::listed(&document.content).unwrap_or_default();
        let ours = |descriptor| Entry::read(descriptor).filter(|one| tag(&one.image, &one.commit) == of_tag);
        let entries: Option<Vec<Entry>> = listed.iter().map(ours).collect();
        Ok(entries.filter(|entries| !entries.is_empty()).map(|entries| (document.digest, entries)))
    }

    async fn delete(&self, writer: &Artifacts, digest: &Digest) -> Result<(), StoreError> {
        writer.delete_manifest(digest).await.map_err(|error| self.cannot_prune(error))
    }

    fn cannot_prune(&self, error: ArtifactError) -> StoreError {
        let hint = match error.status {
            Some(401 | 403 | 405) => {
                "allow the registry and this user to delete manifests, or record without --keep".into()
            }
            _ => error.hint,
        };
        self.failed(ArtifactError { hint, operation: "delete an old record", ..error })
    }

    /// All records of an image.
    async fn all(&self, image: &str) -> Result<Vec<Entry>, StoreError> {
        let (prefix, reader) = (tag_prefix(image), self.reader().await?);
        let tags = self.tags().await?;
        let mut tags: Vec<&String> =
            tags.iter().filter(|tag| tag.strip_prefix(&prefix).is_some_and(is_sha)).collect();
        tags.sort();
        let read = |tag: String| async move { self.entries(reader, &tag).await };
        let read: Vec<Vec<Entry>> =
            stream::iter(tags.into_iter().cloned()).map(read).buffered(REQUESTS).try_collect().await?;
        Ok(read.into_iter().flatten().filter(|entry| entry.image == image).collect())
    }

    /// The tags of the repository, listed once.
    async fn tags(&self) -> Result<Arc<HashSet<String>>, StoreError> {
        if let Some(tags) = &self.seen.lock().await.tags {
            return Ok(tags.clone());
        }
        let tags = self.reader().await?.tags(MAX_TAGS).await.map_err(|e| self.failed(e))?;
        let tags: Arc<HashSet<String>> = Arc::new(tags.into_iter().collect());
        self.seen.lock().await.tags = Some(tags.clone());
        Ok(tags)
    }

    /// The records of a tag, read once.
    async fn entries(&self, artifacts: &Artifacts, tag: &str) -> Result<Vec<Entry>, StoreError> {
        if let Some(entries) = self.seen.lock().await.listings.get(tag) {
            return Ok(entries.clone());
        }
        let listed = self.descriptors(artifacts, tag).await?.unwrap_or_default();
        let entries: Vec<Entry> = listed.iter().filter_map(Entry::read).collect();
        self.seen.lock().await.listings.insert(tag.to_owned(), entries.clone());
        Ok(entries)
    }

    /// What the index of a tag lists; `None` where there is no such tag.
    async fn descriptors(&self, artifacts: &Artifacts, tag: &str) -> Result<Option<Vec<Value>>, StoreError> {
        let Some(document) = artifacts.manifest(tag).await.map_err(|e| self.failed(e))? else {
            return Ok(None);
        };
        let unusable = || StoreError::Record {
            place: self.place(tag),
            error: SnapshotError::Inconsistent("it is no index of records".into()),
        };
        listing::listed(&document.content).map(Some).ok_or_else(unusable)
    }

    /// A snapshot by its digest, and where the files of its layers are.
    async fn read(
        &self,
        artifacts: &Artifacts,
        digest: &str,
    ) -> Result<(Snapshot, HashMap<DiffId, Digest>), StoreError> {
        let lost = || StoreError::Lost { place: self.place(digest) };
        let digest = Digest::parse(digest).map_err(|_| lost())?;
        let json = artifacts.blob(&digest, MAX_RECORD).await.map_err(|e| self.failed(e))?.ok_or_else(lost)?;
        let unusable = |error| StoreError::Record { place: self.place(digest.as_str()), error };
        let snapshot = Snapshot::from_json(&json, MAX_NODES).map_err(unusable)?;
        #[derive(Deserialize)]
        struct Blobs {
            #[serde(default)]
            census_blobs: HashMap<DiffId, Digest>,
        }
        let blobs: Blobs = serde_json::from_slice(&json).map_err(|error| unusable(error.into()))?;
        Ok((snapshot, blobs.census_blobs))
    }

    async fn reader(&self) -> Result<&Artifacts, StoreError> {
        self.opened(&self.reader, false).await
    }

    async fn writer(&self) -> Result<&Artifacts, StoreError> {
        self.opened(&self.writer, true).await
    }

    async fn opened<'a>(
        &self,
        cell: &'a OnceCell<Artifacts>,
        writes: bool,
    ) -> Result<&'a Artifacts, StoreError> {
        let open = || Artifacts::open(&self.reference, self.plain_http, writes);
        cell.get_or_try_init(open).await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: ArtifactError) -> StoreError {
        StoreError::Registry { place: self.describe(), error }
    }

    fn place(&self, what: &str) -> String {
        format!("{}: {what}", self.describe())
    }
}

fn listed(entry: Entry) -> Listed {
    Listed { commit: Some(entry.commit), platform: entry.platform, at: entry.snapshot.to_string() }
}

/// Whether two descriptors are records of the same image, commit and platform.
fn is_record_of(one: &Value, other: &Value) -> bool {
    let of = |descriptor| Entry::read(descriptor).map(|entry| (entry.image, entry.commit, entry.platform));
    of(other).is_some_and(|other| of(one) == Some(other))
}

/// The tag of what refers to a manifest (OCI distribution specification, "Referrers Tag Schema").
fn fallback_tag(digest: &Digest) -> String {
    digest.as_str().replace(':', "-")
}

/// A record as it is written: the snapshot without files, and where those are.
fn record_json(snapshot: &Snapshot, censuses: &[(DiffId, Digest, usize)]) -> serde_json::Result<Vec<u8>> {
    let mut bare = snapshot.clone();
    bare.layers.iter_mut().for_each(|layer| layer.census = None);
    let mut value = serde_json::to_value(&bare)?;
    let blobs = censuses.iter().map(|(id, digest, _)| (id.as_str().to_owned(), json!(digest)));
    value["census_blobs"] = Value::Object(blobs.collect());
    serde_json::to_vec(&value)
}

fn now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_ones_that_registries_take() {
        for (image, commit) in [("api", "a".repeat(40)), ("a b/ü:\n", "0".repeat(64))] {
            let tag = tag(image, &commit);
            assert!(tag.len() <= 128 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{tag}");
        }
        assert_ne!(tag_prefix("api"), tag_prefix("web"));
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        let digest = Digest::of(b"x");
        let foreign = listing::descriptor(MANIFEST_TYPE, &digest, 1);
        assert_eq!(Entry::read(&foreign), None);
        assert!(!is_record_of(&foreign, &foreign), "the signature of another tool is never replaced");
        for other in ["[]", "{}", "{\"manifests\":1}", "x"] {
            assert_eq!(listing::listed(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_record_is_always_the_same_manifest() {
        let snapshot = Snapshot::made_up(Vec::new());
        let content = listing::descriptor(ARTIFACT_TYPE, &Digest::of(b"s"), 1);
        let commit = "c".repeat(40);
        let made = || listing::manifest(&snapshot, &commit, &content, Vec::new(), None).unwrap();
        let (digest, manifest, mut entry) = made();
        assert_eq!((digest, manifest), (made().0, made().1));
        listing::stamp(&mut entry, 7);
        let read = Entry::read(&entry).unwrap();
        assert_eq!((read.image.as_str(), read.platform.as_str(), read.recorded), ("app", "unknown", Some(7)));
        assert_eq!(read.totals, Some(snapshot.totals));
    }
}
