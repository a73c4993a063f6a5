//! What is in the layers of an image: walked on all cores, or known.

use std::collections::{BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread;

use super::layout::{Blob, LayerKey, Plan, Reader};
use super::parts::Parts;
use super::{SourceError, excerpt};
use crate::image::census::Contents;
use crate::image::{Bytes, Census};
use crate::layer::{Compression, WalkedLayer};

/// How many layers of a registry are fetched at once, whatever the number of cores.
const DOWNLOADS: usize = 4;

/// What a layer holds, found by a walk or known before.
pub(super) struct Counted {
    pub census: Arc<Census>,
    pub size: Bytes,
    /// Where they were asked for, and so read.
    pub contents: Option<Contents>,
    pub packed: bool,
    pub stored: Option<Bytes>,
}

/// A layer to count.
struct Task<'a> {
    plan: &'a Plan,
    index: usize,
    /// Bytes to fetch or inflate, unless the layer is known.
    cost: Option<u64>,
}

impl Reader<'_> {
    /// Counts what is in every distinct layer, on all cores.
    pub(super) fn count(&self, plans: &[Plan]) -> Result<HashMap<LayerKey, Counted>, SourceError> {
        let tasks = self.tasks(plans)?;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let at_once = if matches!(self.parts, Parts::Remote(_)) { cores.max(DOWNLOADS) } else { cores };
        let workers = at_once.min(tasks.len());
        let queue = Mutex::new(tasks);
        let next = || queue.lock().ok()?.pop();
        let count_all = || {
            let mut counted = Vec::new();
            while let Some(task) = next() {
                match self.count_layer(&task) {
                    Ok(layer) => counted.push((task.plan.key(task.index), layer)),
                    Err(error) => {
                        // What the others would still do is for nothing.
                        queue.lock().into_iter().for_each(|mut left| left.clear());
                        return Err(error);
                    }
                }
            }
            Ok::<_, SourceError>(counted)
        };
        thread::scope(|scope| {
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(count_all)).collect();
            let mut all = HashMap::new();
            for handle in handles {
                all.extend(handle.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            Ok(all)
        })
    }

    /// The distinct layers. The most costly one comes last, where it is taken first, so that no core
    /// is left alone with it.
    fn tasks<'a>(&self, plans: &'a [Plan]) -> Result<Vec<Task<'a>>, SourceError> {
        let mut seen = BTreeSet::new();
        let mut tasks = Vec::new();
        for plan in plans {
            for (index, blob) in plan.blobs.iter().enumerate() {
                if seen.insert(plan.key(index)) {
                    let costly = self.parts.is_costly(&blob.name)?;
                    let cost = if costly { self.stored(blob)?.or(Some(0)) } else { None };
                    self.options.progress.expect(cost.unwrap_or(0));
                    tasks.push(Task { plan, index, cost });
                }
            }
        }
        tasks.sort_by_key(|task| task.cost);
        Ok(tasks)
    }

    fn count_layer(&self, task: &Task<'_>) -> Result<Counted, SourceError> {
        let Task { plan, index, cost } = *task;
        if let Some(cost) = cost
            && let Some(census) = self.options.known.layer(&plan.config.rootfs.diff_ids[index])
        {
            self.options.progress.expect_less(cost);
            return self.known(&plan.blobs[index], census);
        }
        self.walk(plan, index)
    }

    /// The bytes of a blob as the image or the file says.
    fn stored(&self, blob: &Blob) -> Result<Option<u64>, SourceError> {
        match blob.claimed {
            Some(claimed) => Ok(Some(claimed)),
            None => self.parts.stored_length(&blob.name),
        }
    }

    /// A layer that need not be read.
    fn known(&self, blob: &Blob, census: Arc<Census>) -> Result<Counted, SourceError> {
        let size = census.size().ok_or_else(|| SourceError::TooLarge(self.image.clone()))?;
        let stored = self.stored(blob)?;
        let packed = match (&blob.media_type, self.parts) {
            (Some(media_type), _) => media_type.ends_with("gzip") || media_type.ends_with("zstd"),
            // In files only packed layers are costly, and so looked up.
            (None, parts) => !matches!(parts, Parts::Streamed(_)),
        };
        Ok(Counted { census, size, contents: None, packed, stored: stored.map(Bytes) })
    }

    fn walk(&self, plan: &Plan, index: usize) -> Result<Counted, SourceError> {
        let (blob, diff_id) = (&plan.blobs[index], &plan.config.rootfs.diff_ids[index]);
        let number = index + 1;
        let what = || format!("layer {number} of {}", plan.blobs.len());
        let walked = self.parts.walk_layer(&blob.name, self.budget, self.options.verify)?;
        let walked = walked.ok_or_else(|| SourceError::Missing {
            image: self.image.clone(),
            what: what(),
            name: excerpt(&blob.name),
        })?;
        let walked = walked.map_err(|error| SourceError::Layer {
            image: self.image.clone(),
            number,
            total: plan.blobs.len(),
            diff_id: diff_id.to_string(),
            error,
        })?;
        let mismatch = |expected: &dyn ToString, found: &dyn ToString| {
            let (expected, found) = (expected.to_string(), found.to_string());
            Err(SourceError::Mismatch { image: self.image.clone(), what: what(), expected, found })
        };
        if let (Some(expected), Some(found)) = (&blob.digest, &walked.digest)
            && expected.algorithm() == "sha256"
            && expected != found
        {
            return mismatch(expected, found);
        }
        // A plain tar's digest is its diff ID: where the blob was not hashed, its name tells.
        let named = blob.digest.as_ref().filter(|_| walked.compression == Compression::None);
        match (&walked.diff_id, named) {
            (Some(found), _) if diff_id.algorithm() == "sha256" && found != diff_id => {
                return mismatch(diff_id, found);
            }
            (None, Some(named)) if named.as_str() != diff_id.as_str() => return mismatch(diff_id, named),
            _ => {}
        }
        self.options.known.keep_layer(&walked);
        let WalkedLayer { census, contents, size, compression, stored, .. } = walked;
        let contents = self.budget.contents.then_some(contents);
        let packed = compression != Compression::None;
        Ok(Counted { census, size, contents, packed, stored: Some(stored) })
    }
}
