//! Counts what the layers of an image hold: walked on all cores, or known.

use std::collections::{BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread;

use super::blob::LayerRequest;
use super::known::LayerReservation;
use super::parts::ImageParts;
use super::plan::{Blob, LayerKey, LocatedImage};
use super::reader::ImageReader;
use super::{SourceError, turns};
use crate::image::digest::Algorithm;
use crate::image::file_list::{BYTES_PER_PACKAGE, Contents, MAX_PACKAGES};
use crate::image::{Bytes, DiffId, Digest, FileList};
use crate::layer::{Compression, Hashing, WalkedLayer};
use crate::packages;
use crate::sort;

/// Layers in files are read one after the other if they have at most this many bytes together: a decoder, or a database
/// in a layer, may take a multiple of that memory, and would take it again on each core.
const SMALL: u64 = 4 << 20;

/// What a layer holds, found by a walk or known before.
#[derive(Clone)]
pub(super) struct CountedLayer {
    pub file_list: Arc<FileList>,
    pub size: Bytes,
    /// Present only if contents were requested.
    pub contents: Option<Arc<Contents>>,
    pub packed: bool,
    pub stored: Option<Bytes>,
}

/// A blob to count, and the layers that it stands for: a plan and the index of a layer in it, each diff ID once. It is
/// walked once, however often it is listed and under however many names.
struct Task<'a> {
    layers: Vec<(&'a LocatedImage, usize)>,
    /// Bytes to fetch or decompress, unless the layer is known.
    cost: Option<u64>,
    /// The size of the blob in bytes, if known.
    length: Option<u64>,
}

impl ImageReader<'_> {
    /// Counts every distinct layer, on all cores. Layers that are not distributed with their image are left out.
    pub(super) fn count(
        &self,
        plans: &[LocatedImage],
    ) -> Result<HashMap<LayerKey, CountedLayer>, SourceError> {
        let tasks = self.tasks(plans)?;
        let fetched = matches!(self.parts, ImageParts::Remote(_) | ImageParts::Content(_));
        let length = tasks.iter().try_fold(0_u64, |sum, task| Some(sum.saturating_add(task.length?)));
        let at_once = match fetched {
            true => turns::at_once(),
            false if length.is_some_and(|length| length <= SMALL) => 1,
            false => turns::cores(),
        };
        let workers = at_once.min(tasks.len());
        let queue = Mutex::new(tasks);
        let next = || queue.lock().ok()?.pop();
        let count_all = || {
            let mut counted = Vec::new();
            while let Some(task) = next() {
                match self.count_blob(&task) {
                    Ok(layers) => counted.extend(layers),
                    Err(error) => {
                        // The run has failed, so the other threads need not go on.
                        queue.lock().into_iter().for_each(|mut left| left.clear());
                        return Err(error);
                    }
                }
            }
            Ok::<_, SourceError>(counted)
        };
        thread::scope(|scope| {
            // This thread counts too, and does so alone if no other can be started.
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, count_all).ok();
            let handles: Vec<_> = (1..workers).map_while(spawn).collect();
            let mut all: HashMap<_, _> = count_all()?.into_iter().collect();
            for handle in handles {
                all.extend(handle.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            self.hold_packages(plans, &mut all);
            Ok(all)
        })
    }

    /// Leaves out the packages of all layers if one of the images, or all of them together, have more than the limit: a
    /// small layer with many packages may be in each platform of an index.
    fn hold_packages(&self, plans: &[LocatedImage], counted: &mut HashMap<LayerKey, CountedLayer>) {
        let packages = |key: &LayerKey| counted.get(key).map_or(0, |layer| layer.file_list.packages.len());
        let of_images = plans.iter().map(|plan| plan.keys().iter().map(packages).sum::<usize>());
        let (most, sum) = of_images.fold((0, 0), |(most, sum), count| (count.max(most), sum + count));
        let stored = counted.values().filter_map(|layer| layer.stored).map(|stored| stored.0);
        let earned = stored.fold(0, u64::saturating_add) / BYTES_PER_PACKAGE;
        let is_over = most > MAX_PACKAGES || sum as u64 > earned.saturating_add(MAX_PACKAGES as u64);
        if !self.budget.has_too_many_packages() && !is_over {
            return;
        }
        // Each list once. The originals are kept alive as long, because their addresses are the keys.
        let mut left_out: HashMap<_, (Arc<FileList>, Arc<FileList>)> = HashMap::new();
        for layer in counted.values_mut() {
            let before = layer.file_list.clone();
            let (_, bare) = left_out.entry(Arc::as_ptr(&before)).or_insert_with(|| {
                let (entries, marks) = (before.entries.clone(), before.marks.clone());
                let mut bare = FileList { entries, marks, ..FileList::default() };
                packages::leave_out(&mut bare);
                (before, bare.into())
            });
            layer.file_list = bare.clone();
        }
    }

    /// The distinct blobs. Tasks are taken from the end, so the most costly one comes last: no core is left alone with
    /// it.
    fn tasks<'a>(&self, plans: &'a [LocatedImage]) -> Result<Vec<Task<'a>>, SourceError> {
        let mut seen = BTreeSet::new();
        let mut places = HashMap::new();
        let mut tasks: Vec<Task<'a>> = Vec::new();
        for plan in plans {
            for (index, blob) in
                plan.blobs.iter().enumerate().filter(|(index, _)| seen.insert(plan.key(*index)))
            {
                let (by, tar) = algorithms(plan, index);
                let walk = (self.parts.place(&blob.name), by.name(), tar.name());
                let place = *places.entry(walk).or_insert(tasks.len());
                if let Some(task) = tasks.get_mut(place) {
                    task.layers.push((plan, index));
                    continue;
                }
                let costly = self.parts.is_costly(&blob.name)?;
                let length = self.stored(blob)?;
                let cost = if costly { length.or(Some(0)) } else { None };
                self.options.progress.expect(cost.unwrap_or(0));
                tasks.push(Task { layers: vec![(plan, index)], cost, length });
            }
        }
        sort::by_key(&mut tasks, |task| task.cost);
        Ok(tasks)
    }

    fn count_blob(&self, task: &Task<'_>) -> Result<Vec<(LayerKey, CountedLayer)>, SourceError> {
        let mut walked = None;
        let mut counted = Vec::new();
        let mut claim = None;
        for &(plan, index) in &task.layers {
            let blob = &plan.blobs[index];
            let layer = match self.look_up(task, plan, index, &mut claim)? {
                Some(file_list) => self.known(blob, file_list)?,
                None => {
                    if walked.is_none() {
                        let _turn = self.options.turns.take();
                        walked = self.walk(plan, index)?;
                    }
                    let Some(walk) = &walked else { continue };
                    self.check(plan, index, walk)?;
                    self.counted(walk)
                }
            };
            counted.push((plan.key(index), layer));
        }
        match walked {
            Some(walk) => self.keep(task, &walk),
            None => self.options.progress.expect_less(task.cost.unwrap_or(0)),
        }
        Ok(counted)
    }

    /// What is known about a layer. A layer that has to be read is claimed, once per task: another image of this run
    /// may be reading it, and then it becomes known.
    fn look_up<'a>(
        &'a self,
        task: &Task<'_>,
        plan: &LocatedImage,
        index: usize,
        claim: &mut Option<LayerReservation<'a>>,
    ) -> Result<Option<Arc<FileList>>, SourceError> {
        if task.cost.is_none() && !self.parts.lacks(&plan.blobs[index].name) {
            return Ok(None);
        }
        let known = self.plausible(plan, index)?;
        if known.is_some() || task.cost.is_none() || claim.is_some() {
            return Ok(known);
        }
        *claim = Some(self.options.known.claim(&plan.config.rootfs.diff_ids[index]));
        self.plausible(plan, index)
    }

    /// Remembers a layer. One that was not hashed is remembered only for this image of an engine.
    fn keep(&self, task: &Task<'_>, walked: &WalkedLayer) {
        self.options.known.keep_layer(walked);
        if let (None, Some(image)) = (&walked.diff_id, &self.inspected.identity) {
            for &(plan, index) in &task.layers {
                let diff_id = &plan.config.rootfs.diff_ids[index];
                self.options.known.keep_layer_of(&image.id, diff_id, &walked.file_list);
            }
        }
    }

    /// What is known about a layer, unless its blob has more bytes than that content can fill.
    fn plausible(&self, plan: &LocatedImage, index: usize) -> Result<Option<Arc<FileList>>, SourceError> {
        let (blob, diff_id) = (&plan.blobs[index], &plan.config.rootfs.diff_ids[index]);
        let image = self.inspected.identity.as_ref().map(|identity| &identity.id);
        let Some(file_list) = self.options.known.layer_of(image, diff_id) else { return Ok(None) };
        if self.stored(blob)?.is_none_or(|stored| file_list.may_fill(stored)) {
            return Ok(Some(file_list));
        }
        if matches!(self.parts, ImageParts::Streamed(_)) {
            // The layer was known, so the export was read without it.
            let (image, diff_id) = (self.image.clone(), diff_id.to_string());
            return Err(SourceError::Implausible { image, number: index + 1, diff_id });
        }
        Ok(None)
    }

    /// The error for a layer that is not the one the image names. Streamed content was hashed before the algorithm that
    /// names it was known.
    fn not_the_one(&self, what: String, expected: String, found: String) -> SourceError {
        let image = self.image.clone();
        let by = |text: &str| text.split_once(':').and_then(|(name, _)| Algorithm::parse(name));
        match by(&expected) {
            Some(algorithm) if by(&found) != Some(algorithm) => {
                SourceError::Unverifiable { image, what, algorithm }
            }
            _ => SourceError::Mismatch { image, what, expected, found },
        }
    }

    /// The size of a blob in bytes, as the image or the file says.
    fn stored(&self, blob: &Blob) -> Result<Option<u64>, SourceError> {
        match blob.claimed {
            Some(claimed) => Ok(Some(claimed)),
            None => self.parts.stored_length(&blob.name),
        }
    }

    /// A layer that does not have to be read.
    fn known(&self, blob: &Blob, file_list: Arc<FileList>) -> Result<CountedLayer, SourceError> {
        let size = file_list.size().ok_or_else(|| SourceError::TooLarge(self.image.clone()))?;
        let stored = self.stored(blob)?;
        let packed = match (&blob.media_type, self.parts) {
            (Some(media_type), _) => media_type.ends_with("gzip") || media_type.ends_with("zstd"),
            // In files only compressed layers are costly, and only costly ones are looked up.
            (None, parts) => !matches!(parts, ImageParts::Streamed(_) | ImageParts::Engine(_)),
        };
        Ok(CountedLayer { file_list, size, contents: None, packed, stored: stored.map(Bytes) })
    }

    /// Walks a layer; `None` if it is not distributed with its image.
    fn walk(&self, plan: &LocatedImage, index: usize) -> Result<Option<WalkedLayer>, SourceError> {
        let (blob, diff_id) = (&plan.blobs[index], &plan.config.rootfs.diff_ids[index]);
        let (number, total) = (index + 1, plan.blobs.len());
        let (by, tar) = algorithms(plan, index);
        let wanted = LayerRequest {
            name: &blob.name,
            claimed: blob.claimed,
            hashing: Hashing { blob: by, tar },
            // The digest and diff ID of a plain tar can be compared without hashing if both use one algorithm.
            verify: self.options.verify || by != tar,
        };
        let Some(walked) = self.parts.walk_layer(&wanted, self.budget)? else {
            return if blob.elsewhere.is_some() { Ok(None) } else { Err(self.missing(plan, index)) };
        };
        walked.map(Some).map_err(|error| SourceError::Layer {
            image: self.image.clone(),
            number,
            total,
            diff_id: diff_id.to_string(),
            error,
        })
    }

    /// Compares a walked blob with what the image says about it.
    fn check(&self, plan: &LocatedImage, index: usize, walked: &WalkedLayer) -> Result<(), SourceError> {
        let (blob, diff_id) = (&plan.blobs[index], &plan.config.rootfs.diff_ids[index]);
        // A plain tar's digest is its diff ID, so if the blob was not hashed, its name tells the diff ID.
        let named = blob.digest.as_ref().filter(|_| walked.compression == Compression::None);
        let found = walked.diff_id.as_ref().map(DiffId::as_str).or(named.map(Digest::as_str));
        let size = |bytes: u64| format!("{bytes} bytes");
        for (expected, found) in [
            (blob.digest.as_ref().map(Digest::to_string), walked.digest.as_ref().map(Digest::to_string)),
            (Some(diff_id.to_string()), found.map(str::to_owned)),
            (blob.claimed.map(size), Some(size(walked.stored.0))),
        ] {
            if let (Some(expected), Some(found)) = (expected, found)
                && expected != found
            {
                let what = format!("layer {} of {}", index + 1, plan.blobs.len());
                return Err(self.not_the_one(what, expected, found));
            }
        }
        Ok(())
    }

    fn counted(&self, walked: &WalkedLayer) -> CountedLayer {
        CountedLayer {
            file_list: walked.file_list.clone(),
            size: walked.size,
            contents: self.budget.contents.then(|| Arc::new(walked.contents.clone())),
            packed: walked.compression != Compression::None,
            stored: Some(walked.stored),
        }
    }
}

/// The algorithms that name a layer's blob and its tar.
fn algorithms(plan: &LocatedImage, index: usize) -> (Algorithm, Algorithm) {
    let tar = plan.config.rootfs.diff_ids[index].algorithm();
    (plan.blobs[index].digest.as_ref().map_or(tar, |digest| digest.algorithm()), tar)
}
