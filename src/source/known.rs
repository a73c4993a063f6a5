//! Layers whose files are known already, and so need not be read: a diff ID is the hash of a
//! layer's content.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};

use super::cache::Cache;
use crate::image::snapshot::Layer;
use crate::image::{DiffId, Digest, FileList, Snapshot};
use crate::layer::WalkedLayer;

/// Looks up what a baseline store in a directory has of a layer.
type Recorded = Arc<dyn Fn(&DiffId) -> Option<FileList> + Send + Sync>;

/// Where the files of a layer are known from, and so what they may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListOrigin {
    /// This run or an earlier one on this machine has read the layer.
    Read,
    /// A baseline store says so: whoever may write there.
    Store,
    /// A directory of the checkout says so, where a pull request may put files. It explains what a record has, and says
    /// nothing of what an image has.
    Checkout,
}

/// What clones have in common.
type Shared<T> = Arc<Mutex<T>>;

/// Where known layers are looked up, and where those that are read are remembered. Clones share what a run has found.
#[derive(Clone, Default)]
pub struct KnownLayers {
    cache: Option<Cache>,
    recorded: Option<(Recorded, ListOrigin)>,
    forget: bool,
    /// What was looked up in this run: what is known once stays so, whatever happens to the files.
    found: Shared<HashMap<DiffId, (Arc<FileList>, ListOrigin)>>,
    /// The same of layers that were not hashed, each of one image of an engine.
    found_of: Shared<HashMap<(Digest, DiffId), Arc<FileList>>>,
    /// The layers that this run has hashed.
    hashed: Shared<HashSet<DiffId>>,
    /// The layers that are being read.
    claimed: Arc<(Mutex<HashSet<DiffId>>, Condvar)>,
}

/// While it lives, others that need the layer wait for it.
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
    /// Looks in a cache, where there is one.
    pub fn new(cache: Option<Cache>) -> KnownLayers {
        KnownLayers { cache, ..KnownLayers::default() }
    }

    /// Looks in a directory of baselines too. Of one in the checkout no layer of an image is taken as known.
    pub fn recorded(
        self,
        look_up: impl Fn(&DiffId) -> Option<FileList> + Send + Sync + 'static,
        is_in_checkout: bool,
    ) -> KnownLayers {
        let origin = if is_in_checkout { ListOrigin::Checkout } else { ListOrigin::Store };
        KnownLayers { recorded: Some((Arc::new(look_up), origin)), ..self }
    }

    /// Takes nothing as known, and still remembers what is read.
    pub fn forgetting(self) -> KnownLayers {
        KnownLayers { forget: true, ..self }
    }

    /// A layer of an image, where all that reading it would tell is known.
    pub fn layer(&self, diff_id: &DiffId) -> Option<Arc<FileList>> {
        let (file_list, origin) = self.look_up(diff_id)?;
        (origin != ListOrigin::Checkout && file_list.is_complete()).then_some(file_list)
    }

    /// The same of a layer of an image that an engine calls by this ID. What was read of an engine's own files without
    /// hashing it counts there, and nowhere else.
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

    /// The files of a recorded layer, where they are known; an earlier version may have recorded them, which did
    /// not look for marks.
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

    /// Takes as known, for this run, what was just read of a layer.
    pub fn learn(&self, diff_id: &DiffId, file_list: Arc<FileList>) {
        self.insert(diff_id, file_list, ListOrigin::Read);
    }

    /// The same of what a store has recorded of a layer.
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

    /// How many layers of a measured image were not read, because a baseline store has said what is in them.
    pub fn taken_on_word(&self, snapshot: &Snapshot) -> usize {
        let Ok(found) = self.found.lock() else { return 0 };
        let is_taken = |layer: &&Layer| {
            let known = found.get(&layer.diff_id).filter(|(_, origin)| *origin == ListOrigin::Store);
            known.zip(layer.file_list.as_ref()).is_some_and(|((known, _), own)| Arc::ptr_eq(known, own))
        };
        snapshot.layers.iter().filter(is_taken).count()
    }

    /// Whether this run has read all of a layer and found that it is the one that its diff ID says.
    pub fn has_hashed(&self, diff_id: &DiffId) -> bool {
        self.hashed.lock().is_ok_and(|hashed| hashed.contains(diff_id))
    }

    /// Takes a layer to read; waits while another image of this run has it read, after which it may be known.
    pub fn claim(&self, diff_id: &DiffId) -> LayerReservation<'_> {
        let (claimed, changed) = &*self.claimed;
        // Where nothing is taken as known, there is nothing to wait for.
        if !self.forget
            && let Ok(claimed) = claimed.lock()
            && let Ok(mut claimed) = changed.wait_while(claimed, |claimed| claimed.contains(diff_id))
        {
            claimed.insert(diff_id.clone());
        }
        LayerReservation { known: self, diff_id: diff_id.clone() }
    }

    /// Remembers a layer, if it was hashed and so is the one that its diff ID says.
    pub fn keep_layer(&self, walked: &WalkedLayer) {
        let Some(diff_id) = &walked.diff_id else { return };
        if let Ok(mut hashed) = self.hashed.lock() {
            hashed.insert(diff_id.clone());
        }
        // What was left out for the sake of other layers is not this layer's.
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

    /// An image of an engine, by what it was asked by and its ID, where all of its layers are known too.
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

    /// Remembers an image of an engine.
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
