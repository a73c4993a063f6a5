//! From counted layers to the accounting of an image.

use std::collections::{BTreeSet, HashMap};

use super::count::Counted;
use super::layout::{Blob, LayerKey, Plan, Reader};
use super::{NamedImage, SourceError};
use crate::image::snapshot::{ImageIdentity, Layer, Measured, Snapshot, SourceInfo, sum_known};
use crate::image::{Census, DiffId, Instruction};
use crate::layer::{Applied, apply, installed};

impl Reader<'_> {
    /// Puts the layers of a plan on each other and adds up.
    pub(super) fn account(
        &self,
        named: &NamedImage,
        source: SourceInfo,
        plan: Plan,
        counted: &HashMap<LayerKey, Counted>,
    ) -> Result<Snapshot, SourceError> {
        let diff_ids = &plan.config.rootfs.diff_ids;
        let keys: Vec<LayerKey> = (0..diff_ids.len()).map(|index| plan.key(index)).collect();
        let in_order = || keys.iter().map(|key| &counted[key]);
        // Before anything is added up: what files claim may be more than can be counted, and a
        // small layer that is used a thousand times is a large image.
        let unpacked = sum_known(in_order().map(|layer| Some(layer.size)));
        let unpacked = unpacked.ok_or_else(|| SourceError::TooLarge(self.image.clone()))?;
        let distinct: BTreeSet<&LayerKey> = keys.iter().collect();
        let nodes: HashMap<_, _> =
            distinct.into_iter().map(|key| (key, counted[key].census.nodes())).collect();
        self.budget
            .allow(keys.iter().map(|key| nodes[key]).sum())
            .map_err(|refusal| self.refused(&refusal))?;
        let censuses: Vec<&Census> = in_order().map(|layer| &*layer.census).collect();
        let applied = apply(censuses.iter().copied());
        let packages = installed(&censuses, &applied);
        let Applied { visible, wasted, files, .. } = applied;
        let history = plan.config.steps();
        let platform = plan.config.platform();
        let instructions = plan.config.instructions();
        let blobs = plan.blobs.into_iter().zip(instructions).zip(in_order());
        let layers: Vec<Layer> = diff_ids
            .iter()
            .zip(blobs)
            .map(|(id, ((blob, step), counted))| layer(id, blob, step, counted))
            .collect();
        let (name, reference) = (named.display_name(), named.text.clone());
        let image = ImageIdentity { name, reference, platform, id: Some(plan.id) };
        let mut snapshot = Snapshot::new(image, source, Measured::Content, unpacked, layers);
        let totals = &mut snapshot.totals;
        (totals.files, totals.visible, totals.wasted) = (Some(files), Some(visible), Some(wasted));
        totals.compressed = sum_known(snapshot.layers.iter().map(|layer| layer.compressed));
        (snapshot.history, snapshot.base_name) = (history, plan.base_name);
        snapshot.packages = Some(packages);
        Ok(snapshot)
    }
}

/// A layer of a snapshot. A `docker save` of the classic store holds plain tars, and nothing was ever
/// distributed that way.
fn layer(diff_id: &DiffId, blob: Blob, created_by: Option<Instruction>, counted: &Counted) -> Layer {
    let distributed = blob.distributed || counted.packed;
    Layer {
        diff_id: diff_id.clone(),
        digest: blob.digest.filter(|_| distributed),
        media_type: blob.media_type.filter(|_| distributed),
        created_by,
        size: Some(counted.size),
        compressed: counted.stored.filter(|_| distributed),
        files: Some(counted.census.files()),
        dockerfile: None,
        contents: counted.contents.clone(),
        census: Some(counted.census.clone()),
    }
}
