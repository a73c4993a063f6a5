//! Layers whose files are known already, and so need not be read: a diff ID is the hash of a
//! layer's content, and engines refuse an image whose layers have another.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::cache::Cache;
use crate::image::{Census, DiffId, Snapshot};
use crate::layer::WalkedLayer;

/// Looks up what a baseline store has of a layer.
type Recorded = Box<dyn Fn(&DiffId) -> Option<Census> + Send + Sync>;

/// Where known layers are looked up, and where those that are read are remembered.
#[derive(Default)]
pub struct Known {
    cache: Option<Cache>,
    recorded: Option<Recorded>,
    forget: bool,
    /// What was looked up in this run: what is known once stays so, whatever happens to the files.
    found: Mutex<HashMap<DiffId, Arc<Census>>>,
}

impl Known {
    /// Looks in a cache, where there is one, and in what baselines have recorded.
    pub fn new(cache: Option<Cache>, recorded: Option<Recorded>) -> Known {
        Known { cache, recorded, ..Known::default() }
    }

    /// Takes nothing as known, and still remembers what is read.
    pub fn forgetting(self) -> Known {
        Known { forget: true, ..self }
    }

    /// A layer, where all that reading it would tell is known.
    pub fn layer(&self, diff_id: &DiffId) -> Option<Arc<Census>> {
        self.files(diff_id).filter(|census| census.marks.is_some())
    }

    /// The files of a layer, where they are known; an earlier version may have recorded them, which did
    /// not look for marks.
    pub fn files(&self, diff_id: &DiffId) -> Option<Arc<Census>> {
        if self.forget {
            return None;
        }
        if let Some(census) = self.found.lock().ok()?.get(diff_id) {
            return Some(census.clone());
        }
        let cached = self.cache.as_ref().and_then(|cache| cache.layer(diff_id));
        let recorded = || self.recorded.as_ref()?(diff_id).filter(|census| census.size().is_some());
        let census = Arc::new(cached.or_else(recorded)?);
        self.found.lock().ok()?.insert(diff_id.clone(), census.clone());
        Some(census)
    }

    /// Takes as known, for this run, what a store has recorded of a layer or what was just read.
    pub fn learn(&self, diff_id: &DiffId, census: Arc<Census>) {
        if census.size().is_some()
            && let Ok(mut found) = self.found.lock()
        {
            found.insert(diff_id.clone(), census);
        }
    }

    /// Remembers a layer, if it was hashed and so is the one that its diff ID says.
    pub fn keep_layer(&self, walked: &WalkedLayer) {
        if let (Some(cache), Some(diff_id)) = (&self.cache, &walked.diff_id) {
            cache.keep_layer(diff_id, &walked.census);
        }
    }

    /// An image of an engine, where all of its layers are known too.
    pub fn image(&self, asked: &str) -> Option<Snapshot> {
        if self.forget {
            return None;
        }
        let mut snapshot = self.cache.as_ref()?.image(asked)?;
        for layer in &mut snapshot.layers {
            let census = self.layer(&layer.diff_id)?;
            if census.size() != layer.size {
                return None;
            }
            layer.census = Some(census);
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

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("cache", &self.cache)
            .field("forget", &self.forget)
            .finish_non_exhaustive()
    }
}
