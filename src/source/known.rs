//! Layers whose files are already known and so need not be read: a diff ID is the hash of a layer's content.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};

use super::cache::Cache;
use crate::image::snapshot::Layer;
use crate::image::{DiffId, Digest, FileList, Snapshot};
use crate::layer::WalkedLayer;

/// Looks up a layer's file list in a directory of baselines.
type Recorded = Arc<dyn Fn(&DiffId) -> Option<FileList> + Send + Sync>;

/// Where the files of a layer are known from, which decides what they may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListOrigin {
    /// This run or an earlier one on this machine has read the layer.
    Read,
    /// A baseline store says so, that is, whoever may write there.
    Store,
    /// A directory of the checkout says so, where a pull request may put files. It explains what a baseline has, and
    /// never counts for an image.
    Checkout,
}

/// State shared by clones.
type Shared<T> = Arc<Mutex<T>>;

/// Looks up known layers and remembers those that are read. Clones share what a run has found.
#[derive(Clone, Default)]
pub struct KnownLayers {
    cache: Option<Cache>,
    recorded: Option<(Recorded, ListOrigin)>,
    forget: bool,
    /// Layers looked up in this run. They stay known, whatever happens to the files.
    found: Shared<HashMap<DiffId, (Arc<FileList>, ListOrigin)>>,
    /// The same for layers that were not hashed, each within one image of an engine.
    found_of: Shared<HashMap<(Digest, DiffId), Arc<FileList>>>,
    /// The layers that this run has hashed.
    hashed: Shared<HashSet<DiffId>>,
    /// The layers that are being read.
    claimed: Arc<(Mutex<HashSet<DiffId>>, Condvar)>,
}

/// Other readers that need the layer wait while this lives.
pub struct LayerReservation<'a> {
    known: &'a KnownLayers,
    diff_id: DiffId,
}

impl Drop for LayerReservation<'_> {
    fn drop(&mut self) {
        let (claimed, changed) = &*self.known.claimed;
        if let Ok(mut claimed) = claimed.lock() {
            claimed.remove(&self.diff_id);
        }
        changed.notify_all();
    }
}

impl KnownLayers {
    /// Looks in a cache, if there is one.
    pub fn new(cache: Option<Cache>) -> KnownLayers {
        KnownLayers { cache, ..KnownLayers::default() }
    }

    /// Also looks in a directory of baselines. If that is in the checkout, it makes no image layer known.
    pub fn recorded(
        self,
        look_up: impl Fn(&DiffId) -> Option<FileList> + Send + Sync + 'static,
        is_in_checkout: bool,
    ) -> KnownLayers {
        let origin = if is_in_checkout { ListOrigin::Checkout } else { ListOrigin::Store };
        KnownLayers { recorded: Some((Arc::new(look_up), origin)), ..self }
    }

    /// Treats nothing as known, but still remembers what is read.
    pub fn forgetting(self) -> KnownLayers {
        KnownLayers { forget: true, ..self }
    }

    /// An image's layer, if everything that reading it would tell is known.
    pub fn layer(&self, diff_id: &DiffId) -> Option<Arc<FileList>> {
        let (file_list, origin) = self.look_up(diff_id)?;
        (origin != ListOrigin::Checkout && file_list.is_complete()).then_some(file_list)
    }

    /// The same for a layer of the image that an engine calls by this ID. Layers read from an engine's own files
    /// without hashing count only there.
    pub fn layer_of(&self, image: Option<&Digest>, diff_id: &DiffId) -> Option<Arc<FileList>> {
        if let Some(file_list) = self.layer(diff_id) {
            return Some(file_list);
        }
        let key = (image.filter(|_| !self.forget)?.clone(), diff_id.clone());
        let mut found = self.found_of.lock().ok()?;
        if let Some(file_list) = found.get(&key) {
            return Some(file_list.clone());
        }
        let file_list = Arc::new(self.cache.as_ref()?.layer_of(&key.0, diff_id)?);
        if !file_list.is_complete() {
            return None;
        }
        found.insert(key, file_list.clone());
        Some(file_list)
    }

    /// The files of a recorded layer, if known. An earlier version, which did not look for marks, may have recorded
    /// them.
    pub fn files(&self, diff_id: &DiffId) -> Option<Arc<FileList>> {
        self.look_up(diff_id).map(|(file_list, _)| file_list)
    }

    fn look_up(&self, diff_id: &DiffId) -> Option<(Arc<FileList>, ListOrigin)> {
        if self.forget {
            return None;
        }
        if let Some(found) = self.found.lock().ok()?.get(diff_id) {
            return Some(found.clone());
        }
        let cached = self.cache.as_ref().and_then(|cache| cache.layer(diff_id));
        let recorded = || {
            let (look_up, origin) = self.recorded.as_ref()?;
            Some((look_up(diff_id).filter(|file_list| file_list.size().is_some())?, *origin))
        };
        let (file_list, origin) = cached.map(|file_list| (file_list, ListOrigin::Read)).or_else(recorded)?;
        let found = (Arc::new(file_list), origin);
        self.found.lock().ok()?.insert(diff_id.clone(), found.clone());
        Some(found)
    }

    /// Makes a layer that was just read known for this run.
    pub fn learn(&self, diff_id: &DiffId, file_list: Arc<FileList>) {
        self.insert(diff_id, file_list, ListOrigin::Read);
    }

    /// The same for a layer that a store has recorded.
    pub fn learn_recorded(&self, diff_id: &DiffId, file_list: Arc<FileList>) {
        self.insert(diff_id, file_list, ListOrigin::Store);
    }

    fn insert(&self, diff_id: &DiffId, file_list: Arc<FileList>, origin: ListOrigin) {
        if file_list.size().is_some()
            && let Ok(mut found) = self.found.lock()
        {
            found.insert(diff_id.clone(), (file_list, origin));
        }
    }

    /// How many layers of a measured image were not read because a baseline store supplied their files.
    pub fn taken_on_word(&self, snapshot: &Snapshot) -> usize {
        let Ok(found) = self.found.lock() else { return 0 };
        let is_taken = |layer: &&Layer| {
            let known = found.get(&layer.diff_id).filter(|(_, origin)| *origin == ListOrigin::Store);
            known.zip(layer.file_list.as_ref()).is_some_and(|((known, _), own)| Arc::ptr_eq(known, own))
        };
        snapshot.layers.iter().filter(is_taken).count()
    }

    /// Whether this run has read a whole layer and found that it matches its diff ID.
    pub fn has_hashed(&self, diff_id: &DiffId) -> bool {
        self.hashed.lock().is_ok_and(|hashed| hashed.contains(diff_id))
    }

    /// Claims a layer to read it. Waits while another image of this run reads it; it may then be known.
    pub fn claim(&self, diff_id: &DiffId) -> LayerReservation<'_> {
        let (claimed, changed) = &*self.claimed;
        // If nothing is treated as known, there is nothing to wait for.
        if !self.forget
            && let Ok(claimed) = claimed.lock()
            && let Ok(mut claimed) = changed.wait_while(claimed, |claimed| claimed.contains(diff_id))
        {
            claimed.insert(diff_id.clone());
        }
        LayerReservation { known: self, diff_id: diff_id.clone() }
    }

    /// Remembers a layer, if it was hashed and so matches its diff ID.
    pub fn keep_layer(&self, walked: &WalkedLayer) {
        let Some(diff_id) = &walked.diff_id else { return };
        if let Ok(mut hashed) = self.hashed.lock() {
            hashed.insert(diff_id.clone());
        }
        // A list cut short because of other layers is not this layer's list.
        if !walked.file_list.is_complete() {
            return;
        }
        if !self.forget {
            self.learn(diff_id, walked.file_list.clone());
        }
        if let Some(cache) = &self.cache {
            cache.keep_layer(diff_id, &walked.file_list);
        }
    }

    /// Remembers a layer of an image of an engine that was not hashed.
    pub fn keep_layer_of(&self, image: &Digest, diff_id: &DiffId, file_list: &FileList) {
        if let Some(cache) = self.cache.as_ref().filter(|_| file_list.is_complete()) {
            cache.keep_layer_of(image, diff_id, file_list);
        }
    }

    /// An engine's image, by its request and its ID, if all of its layers are known too.
    pub fn image(&self, asked: &str, id: &Digest) -> Option<Snapshot> {
        if self.forget {
            return None;
        }
        let mut snapshot = self.cache.as_ref()?.image(asked)?;
        for layer in &mut snapshot.layers {
            let file_list = self.layer_of(Some(id), &layer.diff_id)?;
            if file_list.size() != layer.size {
                return None;
            }
            layer.file_list = Some(file_list);
        }
        Some(snapshot)
    }

    /// Remembers an engine's image.
    pub fn keep_image(&self, asked: &str, snapshot: &Snapshot) {
        if let Some(cache) = &self.cache {
            cache.keep_image(asked, snapshot);
        }
    }
}

impl fmt::Debug for KnownLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownLayers")
            .field("cache", &self.cache)
            .field("forget", &self.forget)
            .finish_non_exhaustive()
    }
}
