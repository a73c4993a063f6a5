//! Baselines in a registry, as artifacts beside the image or anywhere else (OCI distribution specification 1.1).
//!
//! ```text
//! layergate-IMAGE-COMMIT-PLATFORM   a tag: a record, a manifest whose layers are the snapshot, and the files of
//!                                   each layer of the image
//! sha256-HEX                        a tag: what refers to that manifest, in a registry that does not list it
//! ```
//!
//! A layer's file list is the same blob in every baseline, so it is stored once. The baseline of an image in the same
//! repository refers to it, and can be found through the image too.
//!
//! Registries overwrite tags unconditionally. Each baseline has its own tag, so concurrent writers lose nothing. But
//! the referrers of an image are one list: its writer looks again a little later and restores missing entries; if that
//! fails, the baseline is still found by its commit.

mod listing;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

use self::listing::{
    ARTIFACT_TYPE, INDEX_TYPE, MANIFEST_TYPE, ReferrerChange, ReferrerEntry, tag, tag_parts, tag_prefix,
};
use super::git::is_sha;
use super::record::{ListedBaseline, Overview, RecordOutcome, StoreError, Written, is_same, replaceable};
use crate::compare::baseline::HistoryPoint;
use crate::image::file_list::MAX_NODES;
use crate::image::oci::{Descriptor, ImageConfig, ImageIndex, MAX_DOCUMENT, Manifest};
use crate::image::platform::platform_key;
use crate::image::{Bytes, DiffId, Digest, FileList, Snapshot};
use crate::layer::packed;
use crate::registry::{ArtifactError, Artifacts, RawManifest, RemoteName};
use crate::sort;

/// The largest snapshot, without file lists.
const MAX_RECORD: u64 = 64 << 20;
/// The largest file list of a layer, compressed.
const MAX_FILE_LIST: u64 = 256 << 20;
/// Maximum number of tags of a repository to search.
const MAX_TAGS: usize = 100_000;
/// Maximum number of platforms of an image.
const MAX_PLATFORMS: usize = 100;
/// How many requests run concurrently.
const REQUESTS: usize = 8;
/// How often a list is written until nobody else overwrites it.
const TRIES: u32 = 8;
/// How long another writer may take from reading a list to writing it. The wait is random, up to twice this.
const SETTLES: Duration = Duration::from_millis(700);
/// How many baselines of one image are tried if the newest of them are damaged.
const CHOICES: usize = 3;

/// A repository of a registry, as far as it is known.
pub struct RegistryStore {
    name: String,
    reference: RemoteName,
    plain_http: bool,
    reader: OnceCell<Artifacts>,
    writer: OnceCell<Artifacts>,
    seen: Mutex<Seen>,
}

/// What was read, once per run.
#[derive(Default)]
struct Seen {
    /// The tags that may lead to baselines.
    tags: Option<Arc<BTreeSet<String>>>,
    /// The baselines that were requested, by tag; `None` if there is none.
    records: HashMap<String, Option<ReferrerEntry>>,
    file_lists: HashMap<DiffId, Digest>,
}

/// The changes to the referrers of images, by image digest.
type Changes = BTreeMap<Digest, ReferrerChange>;

/// Reads `HOST/REPO`; `None` if it is not a repository name. The host must look like one: otherwise `team/app` would
/// mean a repository on Docker Hub.
pub fn parse_repository(name: &str) -> Option<RemoteName> {
    let (host, repository) = name.split_once('/')?;
    let is_host = host == "localhost" || host.contains(['.', ':']);
    let reference = RemoteName::parse(name).ok()?;
    let whole = is_host && reference.digest().is_none() && !repository.contains([':', '@']);
    whole.then_some(reference)
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

    /// The baselines of an image for a commit: of one platform, or of all. An existing one costs a request. After the
    /// first missing one all tags are listed, once, so further missing ones cost nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(
        &self,
        image: &str,
        commit: Option<&str>,
        platform: Option<&str>,
    ) -> Result<Vec<ListedBaseline>, StoreError> {
        let Some(commit) = commit.filter(|commit| is_sha(commit)) else { return Ok(Vec::new()) };
        let tags: Vec<String> = match platform {
            Some(platform) => vec![tag(image, commit, platform)],
            None => {
                let (tags, prefix) = (self.tags().await?, tag_prefix(image));
                let of_commit = |tag: &&String| tag_parts(tag, &prefix).is_some_and(|(of, _)| of == commit);
                tags.iter().filter(of_commit).cloned().collect()
            }
        };
        if tags.len() > MAX_PLATFORMS {
            return Err(StoreError::TooMany { place: self.place(&tags[0]), most: MAX_PLATFORMS });
        }
        let record = |tag: String| async move { self.record(&tag).await };
        let records: Vec<Option<ReferrerEntry>> =
            stream::iter(tags).map(record).buffered(REQUESTS).try_collect().await?;
        let listed = |entry: ReferrerEntry| {
            let at = entry.tag();
            ListedBaseline { commit: Some(entry.commit), platform: entry.platform, at }
        };
        Ok(records.into_iter().flatten().map(listed).collect())
    }

    /// The baseline that a tag leads to, read once.
    async fn record(&self, tag: &str) -> Result<Option<ReferrerEntry>, StoreError> {
        let seen = self.seen.lock().await;
        if let Some(known) = seen.records.get(tag) {
            return Ok(known.clone());
        }
        let is_listed = seen.tags.as_ref().is_none_or(|tags| tags.contains(tag));
        drop(seen);
        let document = match is_listed {
            true => self.reader().await?.manifest(tag).await.map_err(|e| self.failed(e))?,
            false => None,
        };
        if document.is_none() {
            self.tags().await?;
        }
        let unfit = || self.unfit(tag, "is not the baseline that its name says");
        let entry =
            document.map(|document| ReferrerEntry::of(&document, tag).ok_or_else(unfit)).transpose()?;
        self.seen.lock().await.records.insert(tag.to_owned(), entry.clone());
        Ok(entry)
    }

    /// A baseline, without the files of its layers.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be used.
    pub async fn load(&self, listed: &ListedBaseline) -> Result<Snapshot, StoreError> {
        let entry = self.record(&listed.at).await?;
        self.load_entry(&entry.ok_or_else(|| StoreError::Lost { place: self.place(&listed.at) })?).await
    }

    async fn load_entry(&self, entry: &ReferrerEntry) -> Result<Snapshot, StoreError> {
        let (snapshot, files) = self.read(self.reader().await?, &entry.snapshot).await?;
        if !entry.is_of(&snapshot) {
            return Err(self.unfit(&entry.tag(), "holds a baseline of another image, commit or platform"));
        }
        self.seen.lock().await.file_lists.extend(files);
        Ok(snapshot)
    }

    /// The files of a layer of a baseline that was loaded.
    ///
    /// # Errors
    /// [`StoreError`] if the registry cannot be reached.
    pub async fn file_list(&self, diff_id: &DiffId) -> Result<Option<FileList>, StoreError> {
        let digest = self.seen.lock().await.file_lists.get(diff_id).cloned();
        let Some(digest) = digest else { return Ok(None) };
        let packed = self.reader().await?.blob(&digest, MAX_FILE_LIST).await.map_err(|e| self.failed(e))?;
        let file_list = packed.and_then(|packed| packed::unpack(&packed, diff_id));
        Ok(file_list.filter(|file_list| file_list.nodes() <= MAX_NODES))
    }

    /// What is stored of an image, by its tags; one baseline for each platform tells the platform's name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overview(&self, image: &str) -> Result<Overview, StoreError> {
        let (tags, prefix) = (self.tags().await?, tag_prefix(image));
        let (mut commits, mut platforms) = (HashSet::new(), HashMap::new());
        for tag in tags.iter() {
            if let Some((commit, platform)) = tag_parts(tag, &prefix) {
                commits.insert(commit);
                platforms.entry(platform).or_insert(tag);
            }
        }
        let reader = self.reader().await?;
        let some = platforms.into_values().take(MAX_PLATFORMS).cloned();
        let platforms =
            self.entries(reader, some.collect()).map_ok(|entry| entry.map(|entry| entry.platform));
        let platforms: Vec<Option<String>> = platforms.try_collect().await?;
        let platforms = platforms.into_iter().flatten().collect();
        Ok(Overview { commits: commits.len(), platforms, pruned: 0 })
    }

    /// The sizes of an image, oldest commit first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, image: &str) -> Result<Vec<HistoryPoint>, StoreError> {
        let (tags, prefix) = (self.tags().await?, tag_prefix(image));
        let tags = tags.iter().filter(|tag| tag_parts(tag, &prefix).is_some()).cloned().collect();
        let point = |entry: ReferrerEntry| Some((entry.age(), entry.point()?));
        let points = self.entries(self.reader().await?, tags).map_ok(|entry| entry.and_then(point));
        let points: Vec<Option<(i64, HistoryPoint)>> = points.try_collect().await?;
        let mut points: Vec<(i64, HistoryPoint)> = points.into_iter().flatten().collect();
        sort::by_key(&mut points, |(age, _)| *age);
        Ok(points.into_iter().map(|(_, point)| point).collect())
    }

    /// The newest baseline for each platform, found through an image of this repository rather than a commit; empty if
    /// the image is elsewhere.
    ///
    /// # Errors
    /// [`StoreError`] if the registry cannot be reached.
    pub async fn of_image(&self, image: &str) -> Result<Vec<Snapshot>, StoreError> {
        let Some(name) = self.name_here(image) else { return Ok(Vec::new()) };
        let reader = self.reader().await?;
        let Some(root) = reader.manifest(&name).await.map_err(|e| self.failed(e))? else {
            return Ok(Vec::new());
        };
        let mut entries = self.referrers(reader, &root.digest).await?;
        sort::by_key(&mut entries, |entry| std::cmp::Reverse((entry.age(), entry.recorded)));
        let mut found: Vec<Snapshot> = Vec::new();
        let mut tries: HashMap<String, usize> = HashMap::new();
        for entry in entries {
            let platform_of = |one: &Snapshot| platform_key(one.image.platform.as_ref());
            let tried = tries.entry(entry.platform.clone()).or_default();
            *tried += 1;
            if *tried > CHOICES || found.iter().any(|one| platform_of(one) == entry.platform) {
                continue;
            }
            // This only saves work, so a baseline that is unusable or belongs to another image counts as missing.
            match self.load_entry(&entry).await {
                Ok(snapshot) if self.is_of(reader, &root, &snapshot).await? => found.push(snapshot),
                Ok(_)
                | Err(StoreError::Record { .. } | StoreError::Lost { .. } | StoreError::Unfit { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Records images: first the large blobs, which nothing refers to yet, then the tags that lead to them.
    ///
    /// # Errors
    /// [`StoreError`]. What was recorded before the error stays.
    pub async fn put(
        &self,
        snapshots: &[Snapshot],
        keep: Option<NonZeroUsize>,
    ) -> Result<Written, StoreError> {
        let writer = self.writer().await?;
        let (mut stored, mut changes) = (Vec::new(), Changes::new());
        for snapshot in snapshots {
            stored.push(self.put_one(writer, snapshot, &mut changes).await?);
        }
        let mut written = Written { stored, not_pruned: None, not_attached: None };
        if let Some(keep) = keep {
            let names: BTreeSet<&str> = snapshots.iter().map(|one| one.image.name.as_str()).collect();
            for name in names {
                let own = snapshots.iter().filter(|one| one.image.name == name);
                let own = own.filter_map(|one| Some(one.commit.as_ref()?.sha.as_str())).collect();
                let pruned = self.prune(writer, name, &own, keep.get(), &mut changes).await;
                written.not_pruned = written.not_pruned.or(pruned.err());
            }
        }
        let change = |(subject, change): (Digest, ReferrerChange)| async move {
            let changed = self.change(writer, &subject, &change).await;
            changed.map_err(|error| (error, change.new.is_empty()))
        };
        let mut changed = stream::iter(changes).map(change).buffer_unordered(REQUESTS);
        while let Some(changed) = changed.next().await {
            match changed {
                Ok(()) => {}
                Err((error, true)) => written.not_pruned = written.not_pruned.or(Some(error)),
                Err((error, false)) => written.not_attached = written.not_attached.or(Some(error)),
            }
        }
        Ok(written)
    }

    async fn put_one(
        &self,
        writer: &Artifacts,
        snapshot: &Snapshot,
        changes: &mut Changes,
    ) -> Result<RecordOutcome, StoreError> {
        let commit = snapshot.commit.as_ref().map(|commit| commit.sha.as_str());
        let commit = commit.filter(|commit| is_sha(commit)).ok_or(StoreError::NoCommit("oci"))?;
        let tag = tag(&snapshot.image.name, commit, &platform_key(snapshot.image.platform.as_ref()));
        let subject = self.subject(writer, snapshot).await?;
        let subject_digest = subject.as_ref().map(|(digest, _)| digest);
        let recorded = self.recorded(writer, &tag, snapshot, subject_digest).await?;
        let is_recorded = recorded.is_some();
        let (manifest, is_listed) = match (recorded, &subject) {
            (Some(manifest), Some((subject, _))) => {
                // A list that cannot be read cannot be changed either, which is reported then.
                let listed = self.referrers(writer, subject).await.unwrap_or_default();
                let digest = Digest::of(&manifest);
                (manifest, listed.iter().any(|entry| entry.manifest == digest))
            }
            (Some(manifest), None) => (manifest, true),
            (None, _) => self.write(writer, &tag, snapshot, commit, subject.as_ref()).await?,
        };
        if let Some((subject, _)) = subject.filter(|_| !is_listed) {
            changes.entry(subject).or_default().new.push(listing::listing(&manifest)?);
        }
        Ok(if is_recorded { RecordOutcome::Unchanged } else { RecordOutcome::Recorded })
    }

    /// The manifest of an existing baseline that says the same; an unusable one is replaced.
    async fn recorded(
        &self,
        writer: &Artifacts,
        tag: &str,
        snapshot: &Snapshot,
        subject: Option<&Digest>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let document = writer.manifest(tag).await.map_err(|e| self.failed(e))?;
        if let Some(document) = document
            && let Some(entry) = ReferrerEntry::of(&document, tag)
            && (subject.is_none() || entry.subject.as_ref() == subject)
            && let Some((recorded, files)) = replaceable(self.read(writer, &entry.snapshot).await)?
            && is_same(&recorded, snapshot)
            && snapshot
                .layers
                .iter()
                .all(|layer| layer.file_list.is_none() || files.contains_key(&layer.diff_id))
        {
            return Ok(Some(document.content));
        }
        Ok(None)
    }

    /// Writes a baseline: its manifest, and whether the registry adds it to the image's referrers by itself.
    async fn write(
        &self,
        writer: &Artifacts,
        tag: &str,
        snapshot: &Snapshot,
        commit: &str,
        subject: Option<&(Digest, Value)>,
    ) -> Result<(Vec<u8>, bool), StoreError> {
        let file_lists = self.put_file_lists(writer, snapshot).await?;
        let json = record_json(snapshot, &file_lists)?;
        let content = listing::descriptor(ARTIFACT_TYPE, &Digest::of(&json), json.len());
        for blob in [json, listing::EMPTY.to_vec()] {
            writer.put_blob(blob).await.map_err(|e| self.failed(e))?;
        }
        let layers =
            file_lists.iter().map(|(id, digest, size)| listing::file_list(id, digest, *size)).collect();
        let subject = subject.map(|(_, descriptor)| descriptor);
        let manifest = listing::manifest(snapshot, commit, &content, layers, subject, now())?;
        let put = writer.put_manifest(tag, MANIFEST_TYPE, manifest.clone()).await;
        Ok((manifest, put.map_err(|e| self.failed(e))?))
    }

    /// The layers' file lists, each with where it is now.
    async fn put_file_lists(
        &self,
        writer: &Artifacts,
        snapshot: &Snapshot,
    ) -> Result<Vec<(DiffId, Digest, usize)>, StoreError> {
        let mut done = HashSet::new();
        let with_files =
            snapshot.layers.iter().filter_map(|layer| Some((&layer.diff_id, layer.file_list.as_ref()?)));
        let once = with_files.filter(|(id, _)| done.insert((*id).clone()));
        let put = |(id, file_list): (DiffId, Arc<FileList>)| async move {
            let pack_failed =
                |error| StoreError::Io { operation: "pack", path: id.as_str().to_owned().into(), error };
            let packed = packed::pack(&id, &file_list).map_err(pack_failed)?;
            let size = packed.len();
            let digest = writer.put_blob(packed).await.map_err(|e| self.failed(e))?;
            Ok((id, digest, size))
        };
        let once: Vec<(DiffId, Arc<FileList>)> =
            once.map(|(id, file_list)| (id.clone(), file_list.clone())).collect();
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

    /// Whether a snapshot belongs to an image, or to one of those that an index lists: compares the config, and the
    /// layers that config and manifest name.
    async fn is_of(
        &self,
        artifacts: &Artifacts,
        root: &RawManifest,
        snapshot: &Snapshot,
    ) -> Result<bool, StoreError> {
        let Some(manifest) = self.manifest_of(artifacts, root, snapshot).await? else { return Ok(false) };
        let config = artifacts.blob(&manifest.config.digest, MAX_DOCUMENT).await;
        let config = config.map_err(|e| self.failed(e))?;
        let config: Option<ImageConfig> = config.and_then(|config| serde_json::from_slice(&config).ok());
        let layers = &snapshot.layers;
        Ok(config.is_some_and(|config| {
            let packed = manifest.layers.iter().map(|layer| (Some(&layer.digest), Some(Bytes(layer.size))));
            snapshot.image.platform == config.platform()
                && layers.iter().map(|layer| &layer.diff_id).eq(&config.rootfs.diff_ids)
                && layers.iter().map(|layer| (layer.digest.as_ref(), layer.compressed)).eq(packed)
        }))
    }

    /// The manifest of the image whose config the snapshot names.
    async fn manifest_of(
        &self,
        artifacts: &Artifacts,
        root: &RawManifest,
        snapshot: &Snapshot,
    ) -> Result<Option<Manifest>, StoreError> {
        let fitting = |manifest: &[u8]| {
            let manifest: Option<Manifest> = serde_json::from_slice(manifest).ok();
            manifest.filter(|manifest| Some(&manifest.config.digest) == snapshot.image.id.as_ref())
        };
        let index: Option<ImageIndex> = serde_json::from_slice(&root.content).ok();
        let same = |one: &&Descriptor| {
            let platform = one.platform.as_ref().and_then(|platform| platform.to_platform());
            !one.is_attestation()
                && platform_key(platform.as_ref()) == platform_key(snapshot.image.platform.as_ref())
        };
        for inner in index.iter().flat_map(|index| &index.manifests).filter(same).take(CHOICES) {
            let manifest = artifacts.manifest(inner.digest.as_str()).await.map_err(|e| self.failed(e))?;
            if let Some(found) = manifest.and_then(|manifest| fitting(&manifest.content)) {
                return Ok(Some(found));
            }
        }
        Ok(fitting(&root.content))
    }

    /// The tag or digest of an image of this repository.
    fn name_here(&self, image: &str) -> Option<String> {
        let image = RemoteName::parse(image).ok()?;
        let here = image.host() == self.reference.host() && image.repository() == self.reference.repository();
        let name = image.digest().or(image.tag()).unwrap_or("latest").to_owned();
        here.then_some(name)
    }

    /// The baselines that refer to an image, by the registry's referrers API and by the tag that stands in for it.
    async fn referrers(
        &self,
        artifacts: &Artifacts,
        digest: &Digest,
    ) -> Result<Vec<ReferrerEntry>, StoreError> {
        let own = artifacts.referrers(digest, ARTIFACT_TYPE).await.map_err(|e| self.failed(e))?;
        let pages =
            own.map(|pages| pages.iter().map(|page| listing::listed(page)).collect::<Option<Vec<_>>>());
        if let Some(listed) = pages.flatten() {
            return Ok(listed.concat().iter().filter_map(ReferrerEntry::listed).collect());
        }
        let tag = fallback_tag(digest);
        let Some(document) = artifacts.manifest(&tag).await.map_err(|e| self.failed(e))? else {
            return Ok(Vec::new());
        };
        let listed = listing::listed(&document.content).ok_or_else(|| self.no_list(&tag))?;
        Ok(listed.iter().filter_map(ReferrerEntry::listed).collect())
    }

    /// Changes the tag that stands in for the referrers API. Registries have no conditional writes, so it checks again
    /// later whether somebody who had read the same list has overwritten the change.
    async fn change(
        &self,
        writer: &Artifacts,
        subject: &Digest,
        change: &ReferrerChange,
    ) -> Result<(), StoreError> {
        let tag = fallback_tag(subject);
        for _ in 0..TRIES {
            let there = writer.manifest(&tag).await.map_err(|e| self.failed(e))?;
            let mut index = match there {
                Some(document) => serde_json::from_slice(&document.content).unwrap_or_default(),
                None => listing::index(),
            };
            if !change.make(&mut index).ok_or_else(|| self.no_list(&tag))? {
                return Ok(());
            }
            self.write_list(writer, &tag, index).await?;
            tokio::time::sleep(SETTLES + SETTLES.mul_f64(fastrand::f64())).await;
        }
        Err(StoreError::Contended { place: self.place(&tag), tries: TRIES })
    }

    /// Writes a list. If the registry refuses it because of deleted entries, these are left out.
    async fn write_list(&self, writer: &Artifacts, tag: &str, mut index: Value) -> Result<(), StoreError> {
        match writer.put_manifest(tag, INDEX_TYPE, index.to_string().into_bytes()).await {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.status(), Some(400 | 404)) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let listed = index["manifests"].as_array().cloned().unwrap_or_default();
        let there = |one: Value| async move {
            let Some(digest) = one["digest"].as_str() else { return Ok(None) };
            let there = writer.manifest(digest).await.map_err(|e| self.failed(e))?;
            Ok::<_, StoreError>(there.map(|_| one))
        };
        let left: Vec<Option<Value>> =
            stream::iter(listed).map(there).buffered(REQUESTS).try_collect().await?;
        index["manifests"] = left.into_iter().flatten().collect();
        let written = writer.put_manifest(tag, INDEX_TYPE, index.to_string().into_bytes()).await;
        written.map(drop).map_err(|e| self.failed(e))
    }

    /// Deletes the baselines of all but the most recently recorded commits, which include this run's own.
    async fn prune(
        &self,
        writer: &Artifacts,
        image: &str,
        own: &HashSet<&str>,
        keep: usize,
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        let prefix = tag_prefix(image);
        let tags = writer.tags(MAX_TAGS, |tag| tag_parts(tag, &prefix).is_some()).await;
        let tags = tags.map_err(|e| self.failed(e))?;
        let commits: HashSet<&str> = tags.iter().filter_map(|tag| Some(tag_parts(tag, &prefix)?.0)).collect();
        if commits.len() <= keep {
            return Ok(());
        }
        // Skips what another job has deleted meanwhile, and what is not a baseline.
        let entries: Vec<Option<ReferrerEntry>> = self.entries(writer, tags).try_collect().await?;
        let mut commits: BTreeMap<String, Vec<ReferrerEntry>> = BTreeMap::new();
        for entry in entries.into_iter().flatten() {
            commits.entry(entry.commit.clone()).or_default().push(entry);
        }
        let mut commits: Vec<(String, Vec<ReferrerEntry>)> = commits.into_iter().collect();
        let newest =
            |entries: &[ReferrerEntry]| entries.iter().map(|entry| (entry.recorded, entry.time)).max();
        sort::by_key(&mut commits, |(commit, entries)| {
            std::cmp::Reverse((own.contains(commit.as_str()), newest(entries)))
        });
        for entry in commits.into_iter().skip(keep).flat_map(|(_, entries)| entries) {
            writer.delete_manifest(&entry.manifest).await.map_err(|error| self.cannot_prune(error))?;
            let tag = entry.tag();
            if let Some(subject) = entry.subject {
                changes.entry(subject).or_default().gone.insert(tag);
            }
        }
        Ok(())
    }

    fn cannot_prune(&self, error: ArtifactError) -> StoreError {
        let hint = match error.status() {
            Some(401 | 403 | 405) => {
                "allow the registry and this user to delete manifests, or record without --keep-last".into()
            }
            _ => error.hint,
        };
        self.failed(ArtifactError { hint, operation: "delete an old baseline", ..error })
    }

    /// The tags of the repository that may lead to baselines, listed once.
    async fn tags(&self) -> Result<Arc<BTreeSet<String>>, StoreError> {
        if let Some(tags) = &self.seen.lock().await.tags {
            return Ok(tags.clone());
        }
        let tags =
            self.reader().await?.tags(MAX_TAGS, |tag| tag.len() <= 128 && tag.starts_with("layergate-"));
        let tags = Arc::new(BTreeSet::from_iter(tags.await.map_err(|e| self.failed(e))?));
        self.seen.lock().await.tags = Some(tags.clone());
        Ok(tags)
    }

    /// The baselines that tags lead to; `None` for a tag that leads to nothing or to something else, so that a foreign
    /// tag does not spoil the others.
    fn entries<'a>(
        &'a self,
        artifacts: &'a Artifacts,
        tags: Vec<String>,
    ) -> impl Stream<Item = Result<Option<ReferrerEntry>, StoreError>> + 'a {
        let read = move |tag: String| async move {
            let document = artifacts.manifest(&tag).await.map_err(|e| self.failed(e))?;
            Ok(document.and_then(|document| ReferrerEntry::of(&document, &tag)))
        };
        stream::iter(tags).map(read).buffered(REQUESTS)
    }

    /// A snapshot by its digest, and where the file lists of its layers are.
    async fn read(
        &self,
        artifacts: &Artifacts,
        digest: &Digest,
    ) -> Result<(Snapshot, HashMap<DiffId, Digest>), StoreError> {
        let lost = || StoreError::Lost { place: self.place(digest.as_str()) };
        let json = artifacts.blob(digest, MAX_RECORD).await.map_err(|e| self.failed(e))?.ok_or_else(lost)?;
        let unusable = |error| StoreError::Record { place: self.place(digest.as_str()), error };
        let snapshot = Snapshot::from_json(&json, MAX_NODES).map_err(unusable)?;
        #[derive(Deserialize)]
        struct RegistryBlobs {
            #[serde(default)]
            file_list_blobs: HashMap<DiffId, Digest>,
        }
        let blobs: RegistryBlobs = serde_json::from_slice(&json).map_err(|error| unusable(error.into()))?;
        let own: HashSet<&DiffId> = snapshot.layers.iter().map(|layer| &layer.diff_id).collect();
        let files = blobs.file_list_blobs.into_iter().filter(|(id, _)| own.contains(id)).collect();
        Ok((snapshot, files))
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

    fn unfit(&self, tag: &str, why: &'static str) -> StoreError {
        StoreError::Unfit { place: self.place(tag), why, hint: "record the baseline again" }
    }

    fn no_list(&self, tag: &str) -> StoreError {
        let why = "is not a list of referrers of an image";
        StoreError::Unfit { place: self.place(tag), why, hint: "delete that tag" }
    }

    fn place(&self, what: &str) -> String {
        format!("{}: {what}", self.describe())
    }
}

/// The tag that lists the referrers of a manifest (OCI distribution specification, "Referrers Tag Schema").
fn fallback_tag(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}-{}", digest.algorithm().name(), hex.get(..64).unwrap_or(hex))
}

/// A baseline as it is written: the snapshot without files, and where those are.
fn record_json(snapshot: &Snapshot, file_lists: &[(DiffId, Digest, usize)]) -> serde_json::Result<Vec<u8>> {
    let mut bare = snapshot.clone();
    bare.layers.iter_mut().for_each(|layer| layer.file_list = None);
    let mut value = serde_json::to_value(&bare)?;
    let blobs = file_lists.iter().map(|(id, digest, _)| (id.as_str().to_owned(), json!(digest)));
    value["file_list_blobs"] = Value::Object(blobs.collect());
    serde_json::to_vec(&value)
}

fn now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis())
}
