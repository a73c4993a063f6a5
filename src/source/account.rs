//! From counted layers to the size accounting of an image.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::count::CountedLayer;
use super::plan::{Blob, LayerKey, LocatedImage};
use super::reader::ImageReader;
use super::{NamedImage, SourceError};
use crate::image::package::Installed;
use crate::image::snapshot::{ImageIdentity, Layer, Measured, Snapshot, SourceInfo, sum_known};
use crate::image::{Bytes, DiffId, Filesystem, Instruction, MeasuredImage};
use crate::packages::installed;

/// Accounts for the images of one source, whose layers have been counted.
pub(super) struct Accounts<'a> {
    reader: &'a ImageReader<'a>,
    counted: HashMap<LayerKey, CountedLayer>,
    /// Keyed by layers, since the platforms of an index may share all of them.
    applied: HashMap<Vec<LayerKey>, Applied>,
}

/// The result of applying layers on top of each other.
#[derive(Clone)]
struct Applied {
    filesystem: Option<Arc<Filesystem>>,
    packages: Option<Arc<[Installed]>>,
}

impl<'a> Accounts<'a> {
    /// # Errors
    /// When the images have more files than the safety limits allow.
    pub fn new(
        reader: &'a ImageReader<'a>,
        counted: HashMap<LayerKey, CountedLayer>,
        plans: &[LocatedImage],
    ) -> Result<Accounts<'a>, SourceError> {
        let nodes: HashMap<&LayerKey, u64> =
            counted.iter().map(|(key, layer)| (key, layer.file_list.nodes())).collect();
        let refused = |refusal| reader.refused(&refusal);
        let mut together = 0;
        for keys in plans.iter().map(LocatedImage::keys).collect::<BTreeSet<_>>() {
            let own = keys.iter().filter_map(|key| nodes.get(key)).sum();
            reader.budget.allow(own).map_err(refused)?;
            together += own;
        }
        let stored = counted.values().filter_map(|layer| layer.stored).map(|stored| stored.0);
        let stored = stored.fold(0, u64::saturating_add);
        reader.budget.allow_together(together, stored).map_err(refused)?;
        Ok(Accounts { reader, counted, applied: HashMap::new() })
    }

    /// Applies layers on top of each other, once for all images that share them.
    fn applied(&mut self, keys: &[LayerKey]) -> Applied {
        if let Some(applied) = self.applied.get(keys) {
            return applied.clone();
        }
        let file_lists = keys.iter().map(|key| Some(self.counted.get(key)?.file_list.clone()));
        let filesystem = file_lists.collect::<Option<_>>().map(Filesystem::of).map(Arc::new);
        let packages = filesystem.as_deref().map(installed).map(Arc::from);
        let applied = Applied { filesystem, packages };
        self.applied.insert(keys.to_vec(), applied.clone());
        applied
    }

    /// Applies the layers of a plan and adds up.
    pub fn account(
        &mut self,
        named: &NamedImage,
        source: SourceInfo,
        plan: LocatedImage,
    ) -> Result<MeasuredImage, SourceError> {
        let diff_ids = &plan.config.rootfs.diff_ids;
        let keys = plan.keys();
        // Checked before adding up: what files claim may be more than can be counted, and a small layer that is used a
        // thousand times is a large image.
        let known =
            sum_known(keys.iter().filter_map(|key| self.counted.get(key)).map(|layer| Some(layer.size)));
        let known = known.ok_or_else(|| SourceError::TooLarge(self.reader.image.clone()))?;
        let Applied { filesystem, packages } = self.applied(&keys);
        let counted = &self.counted;
        // A layer that is not distributed with the image has not been counted.
        let in_order = || keys.iter().map(|key| counted.get(key));
        let uncompressed = in_order().all(|layer| layer.is_some()).then_some(known);
        let note = plan.note.clone().into_iter().chain(not_distributed(&plan, counted));
        let note = note.reduce(|one, other| format!("{one}; {other}"));
        let history = plan.config.steps();
        let making = history.iter().filter(|step| step.makes_layer);
        let instructions = making.map(|step| step.instruction.clone()).chain(std::iter::repeat(None));
        let blobs = plan.blobs.into_iter().zip(instructions).zip(in_order());
        let layers: Vec<Layer> = diff_ids
            .iter()
            .zip(blobs)
            .map(|(id, ((blob, step), counted))| layer(id, blob, step, counted))
            .collect();
        let (name, reference) = (named.display_name(), named.text.clone());
        let image = ImageIdentity { name, reference, platform: plan.platform, id: Some(plan.id) };
        let mut snapshot = Snapshot::new(image, source, Measured::Content, uncompressed, layers);
        snapshot.config = Some(plan.config.config.settings());
        let totals = &mut snapshot.totals;
        totals.files = filesystem.as_deref().map(Filesystem::files);
        totals.flattened = filesystem.as_ref().map(|filesystem| filesystem.flattened);
        totals.wasted = filesystem.as_ref().map(|filesystem| filesystem.wasted);
        totals.compressed = sum_known(snapshot.layers.iter().map(|layer| layer.compressed));
        (snapshot.history, snapshot.packages) = (history, packages);
        let contents = in_order().map(|layer| layer?.contents.clone()).collect();
        let filesystem = filesystem.filter(|filesystem| !filesystem.layers().is_empty());
        let (base_name, attested) = (plan.base_name, plan.attested);
        Ok(MeasuredImage { snapshot, filesystem, base_name, contents, attested, note })
    }
}

/// The note about layers that are not distributed with the image (OCI image specification, "Non-Distributable Layers"),
/// such as those of older Windows base images.
fn not_distributed(plan: &LocatedImage, counted: &HashMap<LayerKey, CountedLayer>) -> Option<String> {
    let mut absent =
        plan.blobs.iter().enumerate().filter(|(index, _)| !counted.contains_key(&plan.key(*index)));
    let (index, blob) = absent.next()?;
    let from = blob.elsewhere.as_deref().filter(|url| !url.is_empty());
    let from = from.map_or_else(String::new, |url| format!(", but fetched from {url}"));
    let more = match absent.count() {
        0 => String::new(),
        more => format!(" (nor are {more} more)"),
    };
    Some(format!(
        "layer {} of {}{more} is not distributed with the image{from}: its uncompressed size is unknown",
        index + 1,
        plan.blobs.len()
    ))
}

/// A layer of a snapshot. A `docker save` of the classic store holds plain tars, which were never distributed in that
/// form.
fn layer(
    diff_id: &DiffId,
    blob: Blob,
    created_by: Option<Instruction>,
    counted: Option<&CountedLayer>,
) -> Layer {
    let Some(counted) = counted else {
        let (digest, media_type, compressed) = (blob.digest, blob.media_type, blob.claimed.map(Bytes));
        return Layer { digest, media_type, created_by, compressed, ..Layer::unknown(diff_id.clone()) };
    };
    let distributed = blob.distributed || counted.packed;
    Layer {
        diff_id: diff_id.clone(),
        digest: blob.digest.filter(|_| distributed),
        media_type: blob.media_type.filter(|_| distributed),
        created_by,
        size: Some(counted.size),
        compressed: counted.stored.filter(|_| distributed),
        files: Some(counted.file_list.files()),
        dockerfile: None,
        file_list: Some(counted.file_list.clone()),
    }
}
