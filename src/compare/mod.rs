//! Comparing two snapshots: aligned layers and differences. Pure.

pub mod align;

use serde::{Deserialize, Serialize};

use crate::image::{Bytes, Delta, DiffId, Instruction, Layer, Measured, Snapshot, Totals};
pub use align::{Pair, Status, align};

/// Two snapshots that must not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// One was counted from layers, the other copied from an engine's report.
    #[error(
        "`{base}` and `{head}` cannot be compared: {base} was measured by {base_measured}, {head} by {head_measured}. An engine's own figure differs from version to version; measure both from their layers (by name, or with `docker save`)"
    )]
    Measured {
        /// The base image's name.
        base: String,
        /// How its bytes were come by.
        base_measured: &'static str,
        /// The head image's name.
        head: String,
        /// How its bytes were come by.
        head_measured: &'static str,
    },
    /// Both were copied from engine reports that do not mean the same.
    #[error(
        "`{base}` and `{head}` cannot be compared: the engine's figure for {base} is that of a {base_store}, for {head} that of a {head_store}, and the two count different things; measure both from their layers (by name, or with `docker save`)"
    )]
    EngineStore {
        /// The base image's name.
        base: String,
        /// The kind of store that the base figure is from.
        base_store: String,
        /// The head image's name.
        head: String,
        /// The kind of store that the head figure is from.
        head_store: String,
    },
}

/// The differences between two snapshots, head minus base; `None` where a side is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deltas {
    /// Bytes.
    pub unpacked: Delta,
    /// Bytes.
    pub visible: Option<Delta>,
    /// Bytes.
    pub wasted: Option<Delta>,
    /// Bytes.
    pub compressed: Option<Delta>,
    /// How many layers more.
    pub layers: i64,
    /// How many visible files more.
    pub files: Option<i64>,
}

/// One row of the layer table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRow {
    /// What became of the layer.
    pub status: Status,
    /// The layer's index in the base image, lowest first.
    pub base_index: Option<u64>,
    /// The layer's index in the head image, lowest first.
    pub head_index: Option<u64>,
    /// The head layer's diff ID; of a removed layer, the base layer's.
    pub diff_id: DiffId,
    /// The head layer's instruction; of a removed layer, the base layer's.
    pub instruction: Option<Instruction>,
    /// The base layer's bytes.
    pub base_size: Option<Bytes>,
    /// The head layer's bytes.
    pub head_size: Option<Bytes>,
    /// Head minus base; a missing layer counts 0, an unknown size makes it unknown.
    pub delta: Option<Delta>,
}

/// A part of the difference, and what it is due to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The instruction.
    pub instruction: Option<Instruction>,
    /// What became of its layer.
    pub status: Status,
    /// Bytes, with a sign.
    pub delta: Delta,
}

/// Two snapshots, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The differences of the totals.
    pub deltas: Deltas,
    /// The aligned layers, in head order.
    pub rows: Vec<LayerRow>,
}

/// Compares two snapshots.
///
/// # Errors
/// [`CompareError`] where their figures do not mean the same.
pub fn compare(base: &Snapshot, head: &Snapshot) -> Result<Comparison, CompareError> {
    check_comparable(base, head)?;
    let pairs = align(&base.layers, &head.layers);
    let rows = pairs.iter().map(|pair| row(*pair, &base.layers, &head.layers)).collect();
    Ok(Comparison { deltas: deltas(&base.totals, &head.totals), rows })
}

fn check_comparable(base: &Snapshot, head: &Snapshot) -> Result<(), CompareError> {
    let names = || (base.image.name.clone(), head.image.name.clone());
    if base.measured != head.measured {
        let (base_name, head_name) = names();
        return Err(CompareError::Measured {
            base: base_name,
            base_measured: base.measured.as_str(),
            head: head_name,
            head_measured: head.measured.as_str(),
        });
    }
    if let (Measured::Engine, Some(base_store), Some(head_store)) =
        (base.measured, &base.source.engine, &head.source.engine)
        && base_store != head_store
    {
        let (base, head) = names();
        let (base_store, head_store) = (base_store.clone(), head_store.clone());
        return Err(CompareError::EngineStore { base, base_store, head, head_store });
    }
    Ok(())
}

fn deltas(base: &Totals, head: &Totals) -> Deltas {
    let known = |base: Option<Bytes>, head: Option<Bytes>| Some(Delta::between(base?, head?));
    let count = |base: u64, head: u64| head as i64 - base as i64;
    Deltas {
        unpacked: head.unpacked - base.unpacked,
        visible: known(base.visible, head.visible),
        wasted: known(base.wasted, head.wasted),
        compressed: known(base.compressed, head.compressed),
        layers: count(base.layers, head.layers),
        files: base.files.zip(head.files).map(|(base, head)| count(base, head)),
    }
}

fn row(pair: Pair, base: &[Layer], head: &[Layer]) -> LayerRow {
    let (base_layer, head_layer) = (pair.base.map(|i| &base[i]), pair.head.map(|i| &head[i]));
    // One of the two is there by construction; the head's says what is shipped now.
    let shown = head_layer.or(base_layer).unwrap_or_else(|| unreachable!("a pair without layers"));
    let size = |layer: Option<&Layer>| layer.map_or(Some(Bytes(0)), |layer| layer.size);
    // The same diff ID is the same bytes, also where nobody knows how many.
    let same = matches!(pair.status, Status::Kept | Status::Moved).then_some(Delta(0));
    let delta = size(base_layer).zip(size(head_layer)).map(|(base, head)| head - base).or(same);
    LayerRow {
        status: pair.status,
        base_index: pair.base.map(|index| index as u64),
        head_index: pair.head.map(|index| index as u64),
        diff_id: shown.diff_id.clone(),
        instruction: shown.created_by.clone(),
        base_size: base_layer.and_then(|layer| layer.size),
        head_size: head_layer.and_then(|layer| layer.size),
        delta,
    }
}

/// The rows that made the difference, largest first. Together they are the whole difference.
pub fn causes(rows: &[LayerRow]) -> Vec<Cause> {
    let cause = |row: &LayerRow| {
        let delta = row.delta.filter(|delta| *delta != Delta(0))?;
        Some(Cause { instruction: row.instruction.clone(), status: row.status, delta })
    };
    let mut causes: Vec<Cause> = rows.iter().filter_map(cause).collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.delta.magnitude()));
    causes
}

#[cfg(test)]
mod tests;
