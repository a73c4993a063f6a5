//! Comparing two images: aligned layers and differences. Pure.

pub mod align;
pub mod baseline;
pub mod causes;
pub mod config;
pub mod files;
pub mod packages;
mod paths;
mod update;

use globset::GlobSet;
use serde::{Deserialize, Serialize};

use crate::analysis::Analysis;
use crate::image::layer_ref::DockerfileLines;
use crate::image::snapshot::BoundaryBy;
use crate::image::snapshot::sum_known;
use crate::image::{Bytes, Delta, DiffId, Instruction, Layer, Measured, Snapshot, Totals, UpdateSize};
pub use align::{LayerPair, Status, align};
pub use baseline::{Baseline, Missing};
pub use causes::{Cause, CausePart, Moved, PartKind};
use causes::{PassedOver, Side, causes};
pub use config::{ConfigChange, ConfigPart, config_changes};
pub use files::{FileChanges, Waste, waste};
pub use packages::{PackageCounts, PackageRow, PackageStatus, package_rows};
pub use update::update;

/// Two snapshots that must not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// One was counted from layers, the other copied from an engine's report.
    #[error(
        "{base} and {head} cannot be compared: {base} was measured by {base_measured}, and {head} by {head_measured}. An engine's own figure differs from version to version; measure both from their layers (by name, or with `docker save`)"
    )]
    Measured {
        /// The base image, by what distinguishes the two.
        base: String,
        /// How its bytes were measured.
        base_measured: &'static str,
        /// The head image.
        head: String,
        /// How its bytes were measured.
        head_measured: &'static str,
    },
    /// Both were copied from engine reports that mean different things.
    #[error(
        "{base} and {head} cannot be compared: the figure for {base} comes from a {base_store}, the one for {head} from a {head_store}, and the two count different things; measure both from their layers (by name, or with `docker save`)"
    )]
    EngineStore {
        /// The base image, by what distinguishes the two.
        base: String,
        /// The kind of store of the base figure.
        base_store: String,
        /// The head image.
        head: String,
        /// The kind of store of the head figure.
        head_store: String,
    },
}

/// The differences between two snapshots, head minus base; `None` if a side is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Deltas {
    /// Bytes.
    pub uncompressed: Option<Delta>,
    /// Bytes.
    pub flattened: Option<Delta>,
    /// Bytes.
    pub wasted: Option<Delta>,
    /// Bytes.
    pub compressed: Option<Delta>,
    /// The difference in the number of layers.
    pub layers: i64,
    /// The difference in the number of flattened files.
    pub files: Option<i64>,
}

/// One row of the layer table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LayerRow {
    /// What happened to the layer.
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
    /// The lines of the head layer's instruction in the Dockerfile, if they are certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileLines>,
    /// Whether the layer belongs to the base image, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_base_image: Option<bool>,
}

/// The difference, split between the base image and the application layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Split {
    /// Bytes by which the base image's layers differ.
    pub base_image: Delta,
    /// Bytes by which the application layers differ: the two sum to the whole.
    pub app: Delta,
    /// Bytes of the application layers before.
    pub app_base: Bytes,
    /// How the end of the base image was found: the weaker of the two sides.
    pub how: BoundaryBy,
}

/// A comparison of two snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The differences of the totals.
    pub deltas: Deltas,
    /// The aligned layers, in head order.
    pub rows: Vec<LayerRow>,
    /// What made the difference, largest first.
    pub causes: Vec<Cause>,
    /// The part of the difference in ignored paths, which is in no cause; `None` if none are ignored.
    pub ignored: Option<Delta>,
    /// What both images store, but by different instructions, most bytes first.
    pub moved: Vec<Moved>,
    /// The packages that differ, largest difference first.
    pub packages: Vec<PackageRow>,
    /// How the flattened files differ, if all files of both are known.
    pub files: Option<FileChanges>,
    /// The base image's part in the difference, if it is known where the base image ends.
    pub split: Option<Split>,
    /// How the settings that containers start with differ.
    pub config: Vec<ConfigChange>,
    /// The update size, if the size of each new layer is known.
    pub update: Option<UpdateSize>,
}

/// Compares two images. Differences in `ignored` paths are not a cause.
///
/// # Errors
/// [`CompareError`] if their figures mean different things.
pub fn compare(
    base: &Analysis,
    head: &Analysis,
    ignored: Option<&GlobSet>,
) -> Result<Comparison, CompareError> {
    let (base_files, head_files) = (base.filesystem(), head.filesystem());
    let (base, head) = (base.snapshot(), head.snapshot());
    check_comparable(base, head)?;
    let pairs = align(&base.layers, &head.layers);
    let mut rows: Vec<LayerRow> = pairs.iter().map(|pair| row(*pair, &base.layers, &head.layers)).collect();
    let split = split(base, head);
    if split.is_some() {
        let of_base =
            |snapshot: &Snapshot, index| snapshot.base.as_ref().is_some_and(|base| index < base.layers);
        for row in &mut rows {
            row.of_base_image = row
                .head_index
                .map(|index| of_base(head, index))
                .or(row.base_index.map(|index| of_base(base, index)));
        }
    }
    let again = head_files.map(|files| files::stored_again(&head.layers, files));
    let files = base_files.zip(head_files).map(|(base, head)| files::file_changes(base, head));
    let passed_over = PassedOver { stored_again: again.unwrap_or_default(), ignored };
    let (causes, moved, ignored) = causes(&rows, Side::of(base), Side::of(head), &passed_over);
    Ok(Comparison {
        deltas: Deltas::of(&base.totals, &head.totals),
        causes,
        ignored,
        moved,
        packages: base
            .packages
            .as_deref()
            .zip(head.packages.as_deref())
            .map_or_else(Vec::new, |(base, head)| package_rows(base, head)),
        files,
        split,
        config: config_changes(base, head),
        update: update(base, head),
        rows,
    })
}

/// The uncompressed size of the base image's layers, if it is known where the base image ends.
fn base_image_size(snapshot: &Snapshot) -> Option<Bytes> {
    let layers = snapshot.base.as_ref()?.layers as usize;
    sum_known(snapshot.layers.iter().take(layers).map(|layer| layer.size))
}

/// The uncompressed size of the application layers: those above the base image.
pub fn app_size(snapshot: &Snapshot) -> Option<Bytes> {
    let layers = snapshot.base.as_ref()?.layers as usize;
    sum_known(snapshot.layers.iter().skip(layers).map(|layer| layer.size))
}

/// The difference below and above the end of the base image.
fn split(base: &Snapshot, head: &Snapshot) -> Option<Split> {
    let app_base = app_size(base)?;
    let how = |snapshot: &Snapshot| snapshot.base.as_ref().map(|base| base.how);
    Some(Split {
        base_image: base_image_size(head)? - base_image_size(base)?,
        app: app_size(head)? - app_base,
        app_base,
        how: how(base)?.max(how(head)?),
    })
}

/// The names of two images in a message about both: their names, or what distinguishes them.
fn sides(base: &Snapshot, head: &Snapshot) -> (String, String) {
    let quoted = |one: &str, other: &str| (format!("`{one}`"), format!("`{other}`"));
    let (base, head) = (&base.image, &head.image);
    if base.name != head.name {
        return quoted(&base.name, &head.name);
    }
    if base.reference != head.reference {
        return quoted(&base.reference, &head.reference);
    }
    (format!("the baseline of `{}`", head.name), "the image".into())
}

fn check_comparable(base: &Snapshot, head: &Snapshot) -> Result<(), CompareError> {
    if base.measured != head.measured {
        let (base_name, head_name) = sides(base, head);
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
        let [base_store, head_store] = [base_store.clone(), head_store.clone()];
        let (base, head) = sides(base, head);
        return Err(CompareError::EngineStore { base, base_store, head, head_store });
    }
    Ok(())
}

impl Deltas {
    /// The differences of two totals, head minus base.
    pub fn of(base: &Totals, head: &Totals) -> Deltas {
        let known = |base: Option<Bytes>, head: Option<Bytes>| Some(Delta::between(base?, head?));
        let count = |base: u64, head: u64| head as i64 - base as i64;
        Deltas {
            uncompressed: known(base.uncompressed, head.uncompressed),
            flattened: known(base.flattened, head.flattened),
            wasted: known(base.wasted, head.wasted),
            compressed: known(base.compressed, head.compressed),
            layers: count(base.layers, head.layers),
            files: base.files.zip(head.files).map(|(base, head)| count(base, head)),
        }
    }
}

fn row(pair: LayerPair, base: &[Layer], head: &[Layer]) -> LayerRow {
    let (base_layer, head_layer) = (pair.base.map(|i| &base[i]), pair.head.map(|i| &head[i]));
    // One of the two exists by construction; the head's is what is shipped now.
    let shown = head_layer.or(base_layer).unwrap_or_else(|| unreachable!("a pair without layers"));
    let size = |layer: Option<&Layer>| layer.map_or(Some(Bytes(0)), |layer| layer.size);
    // The same diff ID means the same bytes, even if their number is unknown.
    let same = matches!(pair.status, Status::Unchanged | Status::Moved).then_some(Delta(0));
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
        dockerfile: head_layer.and_then(|layer| layer.dockerfile.clone()),
        of_base_image: None,
    }
}

#[cfg(test)]
mod tests;
