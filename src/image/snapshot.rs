//! The document of one measured image: `layergate.snapshot/v1`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bytes::{Bytes, group_digits};
use super::container::ContainerSettings;
use super::day::Time;
use super::digest::{DiffId, Digest};
use super::file_list::{FileList, MAX_PACKAGES};
use super::instruction::Instruction;
use super::layer_ref::{DockerfileLines, LayerRef, LinesBy};
use super::package::Installed;
use super::platform::Platform;
use super::recorded::RecordFacts;
use super::removable::{MAX_REMOVABLE, Removable, RemovableOutcome};
use super::schema::{self, SchemaError};
use super::update_size::UpdateSize;
use crate::redact::{read_reference, read_some_reference};

/// The `schema` of a snapshot that this version writes.
pub const SCHEMA: &str = "layergate.snapshot/v1";

/// Maximum layers of an image; engines stop at about 127.
pub const MAX_LAYERS: usize = 2048;

/// How the bytes of a snapshot were measured. Only snapshots that were measured the same way are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// Counted from the layers' tars: the same on every engine, to the byte.
    Content,
    /// Copied from an engine's own report.
    Engine,
}

impl Measured {
    /// The word in documents and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Measured::Content => "content",
            Measured::Engine => "engine",
        }
    }
}

/// One measured image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// The document's kind and major version.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: String,
    /// Which image this is.
    pub image: ImageIdentity,
    /// Where it was read from.
    pub source: SourceInfo,
    /// How its bytes were measured.
    pub measured: Measured,
    /// The commit that the image was built from, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// Its totals.
    pub totals: Totals,
    /// The update size from the image recorded before it, if that was known when this one was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateSize>,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// The settings that containers of the image start with, if the image's config was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ContainerSettings>,
    /// How the Dockerfile lines of the layers were found, if any layer has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<LinesBy>,
    /// The instructions that made the image, oldest first, including those without a layer; empty if they are unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// The base image, if it is known or can be estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseImage>,
    /// The packages that exist once all layers are applied. Absent if they were not looked for, as in earlier versions;
    /// empty means none found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<Arc<[Installed]>>,
    /// The removable files, if they were looked for; most bytes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removable: Option<Vec<Removable>>,
    /// The verdict on how it is built, if that was evaluated when it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_stage: Option<RemovableOutcome>,
    /// When it was recorded, how it is built, and its limits, if it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordFacts>,
    /// Duplicate files, if they were asked for; largest saving first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<Vec<Duplicate>>,
}

/// Files with the same content, none of them a hard link to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Duplicate {
    /// Bytes of one copy.
    pub bytes: Bytes,
    /// How many copies there are.
    pub copies: u64,
    /// The first paths in order, relative to the image's root.
    pub paths: Vec<String>,
}

/// One entry of an image's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HistoryEntry {
    /// The instruction; if it made no layer, without the values that it sets.
    pub instruction: Option<Instruction>,
    /// Whether it made a layer.
    pub makes_layer: bool,
}

/// The base image of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BaseImage {
    /// Its name, if it is known.
    #[serde(default, deserialize_with = "read_some_reference")]
    pub name: Option<String>,
    /// How many of the lowest layers belong to it.
    pub layers: u64,
    /// How that was found.
    pub how: BoundaryBy,
}

/// How the boundary between the base image and the application layers was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BoundaryBy {
    /// The build's provenance names the base image by its digest, and that image's own config has the lowest layers of
    /// this image; or the provenance says that there is no base image.
    Provenance,
    /// All instructions of the Dockerfile were found in the history; the layers below are the base image's.
    Dockerfile,
    /// The Dockerfile's base image was inspected, and its layers are the lowest of this image.
    Image,
    /// The same for the base image that this image's own metadata claims.
    Label,
    /// Guessed from the history alone.
    History,
}

/// Which image a snapshot describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageIdentity {
    /// The name that reports, limits and baselines know the image by.
    pub name: String,
    /// The image as it was requested, without credentials.
    #[serde(deserialize_with = "read_reference")]
    pub reference: String,
    /// What the image runs on, if its config says so.
    pub platform: Option<Platform>,
    /// The digest of the image's config; of a `docker inspect` document, the `Id` that it states.
    pub id: Option<Digest>,
}

impl ImageIdentity {
    /// Its platform as it is compared and recorded.
    pub fn canonical_platform(&self) -> Option<Platform> {
        self.platform.as_ref().map(Platform::canonical)
    }
}

/// Where a snapshot's image was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SourceInfo {
    /// The transport's name, as in containers-transports(5).
    pub transport: String,
    /// The engine and its version, or the kind of store, if one was used.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "read_some_reference")]
    pub engine: Option<String>,
}

/// The commit that an image was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Commit {
    /// The full hash.
    pub sha: String,
    /// The full hashes of its parents, first parent first.
    #[serde(default)]
    pub parents: Vec<String>,
    /// The branch or tag, as `refs/heads/main`.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was committed, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

/// The totals of one image (docs/numbers.md, "What is counted"). Unknown amounts are null, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Totals {
    /// How many layers the image has.
    pub layers: u64,
    /// How many regular files exist once all layers are applied.
    pub files: Option<u64>,
    /// Bytes of the regular files in all layers. Null if a layer is not distributed with the image.
    pub uncompressed: Option<Bytes>,
    /// Bytes of the regular files that exist once all layers are applied.
    pub flattened: Option<Bytes>,
    /// `uncompressed - flattened`: bytes of files that no container of the image can see.
    pub wasted: Option<Bytes>,
    /// Bytes of the layer blobs as distributed: what a pull downloads.
    pub compressed: Option<Bytes>,
}

impl Totals {
    /// All amounts in bytes.
    pub fn amounts(&self) -> [Option<Bytes>; 4] {
        [self.uncompressed, self.flattened, self.wasted, self.compressed]
    }
}

impl Layer {
    /// A layer of which only the diff ID is known.
    pub fn unknown(diff_id: DiffId) -> Layer {
        Layer {
            diff_id,
            digest: None,
            media_type: None,
            created_by: None,
            size: None,
            compressed: None,
            files: None,
            dockerfile: None,
            file_list: None,
        }
    }

    /// A made-up layer of a file list, for tests.
    #[cfg(test)]
    pub(crate) fn made_up(index: usize, file_list: FileList) -> Layer {
        Layer {
            size: file_list.size(),
            files: Some(file_list.files()),
            file_list: Some(Arc::new(file_list)),
            ..Layer::unknown(DiffId::of(&[index as u8]))
        }
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Layer {
    /// The hash of the uncompressed tar.
    pub diff_id: DiffId,
    /// The hash of the blob as distributed, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The blob's media type, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The Dockerfile instruction that made the layer, normalised, if the image's history names it.
    pub created_by: Option<Instruction>,
    /// Bytes of the regular-file entries of the layer's tar.
    pub size: Option<Bytes>,
    /// Bytes of the blob as distributed.
    pub compressed: Option<Bytes>,
    /// How many regular-file entries the layer's tar has.
    pub files: Option<u64>,
    /// The instruction's lines in the Dockerfile, if they are certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileLines>,
    /// The layer's files. A store keeps them separately, once for each diff ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_list: Option<Arc<FileList>>,
}

/// Why a document cannot be used as a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The document is of another kind or of a newer version.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The text is not JSON, or a field is missing or of another type.
    #[error("not a layergate snapshot: {0}")]
    Json(#[from] serde_json::Error),
    /// The figures contradict each other.
    #[error("the snapshot contradicts itself: {0}; measure the image again")]
    Inconsistent(String),
}

impl SnapshotError {
    /// Whether a newer version wrote the document.
    pub fn is_newer(&self) -> bool {
        matches!(self, SnapshotError::Schema(SchemaError::Newer { .. }))
    }
}

impl Snapshot {
    /// Reads a snapshot and checks that its figures agree: a stored document is untrusted input. It may list at most
    /// `most_nodes` files and directories.
    ///
    /// # Errors
    /// [`SnapshotError`], also for a document that a newer major version wrote.
    pub fn from_json(json: &[u8], most_nodes: u64) -> Result<Snapshot, SnapshotError> {
        schema::check(json, "layergate.snapshot", 1)?;
        let snapshot: Snapshot = serde_json::from_slice(json)?;
        snapshot.check_consistency(most_nodes).map_err(SnapshotError::Inconsistent)?;
        Ok(snapshot)
    }

    fn check_consistency(&self, most_nodes: u64) -> Result<(), String> {
        let totals = &self.totals;
        if self.layers.len() > MAX_LAYERS {
            return Err(format!("it has {} layers, and at most {MAX_LAYERS} are read", self.layers.len()));
        }
        if totals.layers != self.layers.len() as u64 {
            return Err(format!("{} layers are counted and {} are listed", totals.layers, self.layers.len()));
        }
        let amounts = totals.amounts();
        let counts = [totals.files.map(Bytes)];
        let of_layers =
            self.layers.iter().flat_map(|layer| [layer.size, layer.compressed, layer.files.map(Bytes)]);
        let is_countable = self.update.is_none_or(|update| update.is_countable());
        if !is_countable
            || amounts.into_iter().chain(counts).chain(of_layers).flatten().any(|amount| amount > Bytes::MAX)
        {
            return Err(format!("an amount is over {}", Bytes::MAX.grouped()));
        }
        let file_lists = self.layers.iter().filter_map(|layer| layer.file_list.as_deref());
        if file_lists.map(FileList::nodes).sum::<u64>() > most_nodes {
            return Err(format!("it lists over {} files and directories", group_digits(most_nodes)));
        }
        self.check_sums()?;
        self.check_places()?;
        // A list that claims more than can be counted has no size, like an unknown one.
        let unfit = |layer: &&Layer| {
            layer
                .file_list
                .as_ref()
                .is_some_and(|file_list| file_list.size().is_none() || file_list.size() != layer.size)
        };
        if !self.recorded.as_ref().is_none_or(RecordFacts::is_sound) {
            return Err("its recorded figures are too long or too large".into());
        }
        match self.layers.iter().find(unfit) {
            Some(layer) => Err(format!("the files of the layer {} do not sum to its size", layer.diff_id)),
            None => Ok(()),
        }
    }

    /// Checks that every layer that is referred to exists.
    fn check_places(&self) -> Result<(), String> {
        let layers = self.layers.len() as u64;
        let making = self.history.iter().filter(|step| step.makes_layer).count() as u64;
        if !self.history.is_empty() && making != layers {
            return Err(format!("its history makes {making} layers and {layers} are listed"));
        }
        if self.base.as_ref().is_some_and(|base| base.layers > layers) {
            return Err(format!("its base image has more layers than the {layers} that are listed"));
        }
        let packages = self.packages.as_deref().unwrap_or_default();
        if packages.len() > MAX_PACKAGES {
            return Err(format!("it lists over {} packages", group_digits(MAX_PACKAGES as u64)));
        }
        let astray = |package: &&Installed| package.layer >= layers || package.bytes > Bytes::MAX;
        match packages.iter().find(astray) {
            Some(package) => Err(format!("the package {} belongs to no layer", excerpt(&package.name))),
            None => self.check_removable(layers),
        }
    }

    fn check_removable(&self, layers: u64) -> Result<(), String> {
        let found = self.removable.as_deref().unwrap_or_default();
        if found.len() > MAX_REMOVABLE {
            return Err(format!("it lists over {} kinds of build files", group_digits(MAX_REMOVABLE as u64)));
        }
        let of_document = |found: &&Removable| found.layer.index >= layers || !found.is_short();
        if let Some(found) = found.iter().find(of_document) {
            return Err(format!("its entry on {} belongs to no layer, or is too long", excerpt(&found.kind)));
        }
        let sum = sum_known(found.iter().map(|found| Some(found.bytes)));
        match sum.is_none_or(|sum| self.totals.uncompressed.is_some_and(|all| sum > all)) {
            true => Err("its removable files are larger than the image".into()),
            false => Ok(()),
        }
    }

    fn check_sums(&self) -> Result<(), String> {
        let totals = &self.totals;
        let all_known = !self.layers.is_empty() && self.layers.iter().all(|layer| layer.size.is_some());
        // Known sizes of only some layers are limited too: their files are added up.
        let sum = sum_known(self.layers.iter().map(|layer| layer.size).filter(Option::is_some));
        let fits = sum.is_some_and(|sum| match totals.uncompressed {
            Some(all) if all_known => sum == all,
            Some(all) => sum <= all,
            None => !all_known,
        });
        if !fits {
            let sum = sum.map_or_else(|| "more than can be counted".to_owned(), Bytes::grouped);
            let all = totals.uncompressed.map_or_else(|| "null".to_owned(), Bytes::grouped);
            return Err(format!("the layers sum to {sum}, but `uncompressed` is {all}"));
        }
        match totals.flattened.zip(totals.wasted) {
            Some((flattened, wasted)) if flattened.checked_add(wasted) != totals.uncompressed => {
                Err("`flattened` and `wasted` do not sum to `uncompressed`".into())
            }
            _ => Ok(()),
        }
    }

    /// An image of which only the layers and the totals are known.
    pub fn new(
        image: ImageIdentity,
        source: SourceInfo,
        measured: Measured,
        uncompressed: Option<Bytes>,
        layers: Vec<Layer>,
    ) -> Snapshot {
        Snapshot {
            schema: SCHEMA.into(),
            image,
            source,
            measured,
            commit: None,
            totals: Totals {
                layers: layers.len() as u64,
                files: None,
                uncompressed,
                flattened: None,
                wasted: None,
                compressed: None,
            },
            update: None,
            layers,
            config: None,
            lines: None,
            history: Vec::new(),
            base: None,
            packages: None,
            removable: None,
            multi_stage: None,
            recorded: None,
            duplicates: None,
        }
    }

    /// A made-up image of these layers, for tests.
    #[cfg(test)]
    pub(crate) fn made_up(layers: Vec<Layer>) -> Snapshot {
        let image = ImageIdentity { name: "app".into(), reference: "app:1".into(), platform: None, id: None };
        let source = SourceInfo { transport: "docker-archive".into(), engine: None };
        let uncompressed = Some(sum_known(layers.iter().map(|layer| layer.size)).unwrap_or_default());
        Snapshot::new(image, source, Measured::Content, uncompressed, layers)
    }

    /// The same without its layers' file lists.
    pub fn without_files(mut self) -> Snapshot {
        self.layers.iter_mut().for_each(|layer| layer.file_list = None);
        self
    }

    /// A layer, counted from 0, and what made it.
    pub fn layer_ref(&self, index: u32) -> LayerRef {
        let layer = self.layers.get(index as usize);
        LayerRef {
            index: u64::from(index),
            instruction: layer.and_then(|layer| layer.created_by.clone()),
            dockerfile: layer.and_then(|layer| layer.dockerfile.clone()),
            of_base_image: self.base.as_ref().is_some_and(|base| u64::from(index) < base.layers),
        }
    }

    /// The platform for people and in stored documents: `linux/amd64`, or `unknown`.
    pub fn platform_text(&self) -> String {
        self.image.platform.as_ref().map_or_else(|| "unknown".into(), Platform::to_string)
    }
}

fn excerpt(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// How many of the lowest layers likely belong to the base image: those up to the last `CMD` or `ENTRYPOINT` that has
/// layers above it, since most base images end with one. `None` if there is none.
pub fn estimate_base_layers(history: &[HistoryEntry]) -> Option<u64> {
    let last_layer = history.iter().rposition(|step| step.makes_layer)?;
    let ends = |step: &HistoryEntry| {
        let kind = step.instruction.as_ref().map_or("", Instruction::kind);
        !step.makes_layer && matches!(kind, "CMD" | "ENTRYPOINT")
    };
    let end = history[..last_layer].iter().rposition(ends)?;
    let layers = history[..end].iter().filter(|step| step.makes_layer).count() as u64;
    (layers > 0).then_some(layers)
}

/// The sum of amounts, or `None` as soon as one is unknown or the sum is above [`Bytes::MAX`].
pub fn sum_known(amounts: impl IntoIterator<Item = Option<Bytes>>) -> Option<Bytes> {
    amounts.into_iter().try_fold(Bytes(0), |sum, amount| sum.checked_add(amount?))
}
