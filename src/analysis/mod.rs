//! One image, fully understood: its measurements, the file system of its layers, the Dockerfile that explains it, where
//! its base image ends, and its removable files. Pure.
//!
//! Every command makes an [`Analysis`] in the same way, with [`Analysis::of`]; for a stored image,
//! [`Analysis::recorded`] makes it from what was stored. It is immutable.

mod duplicates;
mod origin;

use std::sync::Arc;

use crate::dockerfile::DockerfileFacts;
use crate::image::snapshot::{BaseImage, BoundaryBy, Commit};
use crate::image::{
    DiffId, FileList, Filesystem, LinesBy, MeasuredImage, Removable, RemovableOutcome, Snapshot,
};
use crate::removable::{Search, help_with_copy};
use duplicates::duplicates;
pub use origin::ImageOrigin;

/// One image, fully understood.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Complete: with the lines that made the layers, the base image and the removable files.
    snapshot: Snapshot,
    filesystem: Option<Arc<Filesystem>>,
    dockerfile: Option<DockerfileFacts>,
}

impl Analysis {
    /// Analyses a measured image. `below` are the layers of the image that [`ImageOrigin::base_to_ask`] names, if they
    /// could be looked up. Without `search`, its files are not searched.
    pub fn of(
        measured: MeasuredImage,
        origin: ImageOrigin,
        below: Option<Vec<DiffId>>,
        search: Option<&mut Search>,
    ) -> Analysis {
        let MeasuredImage { mut snapshot, filesystem, contents, .. } = measured;
        let filesystem = filesystem.or_else(|| Filesystem::of_layers(&snapshot.layers).map(Arc::new));
        let base = origin.base(&snapshot, below);
        let ImageOrigin { lines, lines_by, dockerfile, .. } = origin;
        // A stored image's lines from provenance are not inferred again.
        let is_better = lines_by == LinesBy::Provenance || snapshot.lines != Some(LinesBy::Provenance);
        if let Some(lines) = lines.filter(|_| is_better) {
            snapshot.layers.iter_mut().zip(lines).for_each(|(layer, lines)| layer.dockerfile = lines);
            let any = snapshot.layers.iter().any(|layer| layer.dockerfile.is_some());
            snapshot.lines = any.then_some(lines_by);
        }
        snapshot.base = base;
        if let (Some(filesystem), Some(contents), None) = (&filesystem, contents, &snapshot.duplicates) {
            snapshot.duplicates = Some(duplicates(filesystem, &contents));
        }
        if let Some(search) = search {
            // An image that was read from a document keeps its findings if its files are unknown.
            let found = filesystem.as_ref().map(|filesystem| search.find(&snapshot, filesystem));
            snapshot.removable = found.or_else(|| snapshot.removable.take());
            for found in snapshot.removable.iter_mut().flatten() {
                let help = dockerfile.as_ref().and_then(|dockerfile| help_with_copy(found, dockerfile));
                found.help = help.unwrap_or_else(|| std::mem::take(&mut found.help));
            }
        }
        Analysis { snapshot, filesystem, dockerfile }
    }

    /// An image to compare with, as it was stored or measured: nothing is analysed again. `files` returns the file
    /// lists of layers that were stored without them, as far as they are known.
    pub fn recorded(
        measured: impl Into<MeasuredImage>,
        files: impl Fn(&DiffId) -> Option<Arc<FileList>>,
    ) -> Analysis {
        let MeasuredImage { mut snapshot, filesystem, .. } = measured.into();
        for layer in snapshot.layers.iter_mut().filter(|layer| layer.file_list.is_none()) {
            layer.file_list = files(&layer.diff_id).filter(|file_list| file_list.size() == layer.size);
        }
        let filesystem = filesystem.or_else(|| Filesystem::of_layers(&snapshot.layers).map(Arc::new));
        Analysis { snapshot, filesystem, dockerfile: None }
    }

    /// What was measured and found.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The file system of its layers, if the files of all of them are known.
    pub fn filesystem(&self) -> Option<&Filesystem> {
        self.filesystem.as_deref()
    }

    /// The Dockerfile that it was built from, if one fits.
    pub fn dockerfile(&self) -> Option<&DockerfileFacts> {
        self.dockerfile.as_ref()
    }

    /// The base image, if it is known or can be estimated.
    pub fn base(&self) -> Option<&BaseImage> {
        self.snapshot.base.as_ref()
    }

    /// The removable files, most bytes first, if they were looked for.
    pub fn removable(&self) -> Option<&[Removable]> {
        self.snapshot.removable.as_deref()
    }

    /// The same, with only an estimate of where the base image ends, because the Dockerfile that tells it belongs to
    /// another image.
    pub fn with_doubtful_base(mut self) -> Analysis {
        if let Some(base) = &mut self.snapshot.base {
            base.how = BoundaryBy::History;
        }
        self
    }

    /// The document to store: with its commit, the verdict on how the image is built, and the files of those layers
    /// that `keeps` selects.
    pub fn into_record(
        self,
        commit: Option<Commit>,
        multi_stage: Option<RemovableOutcome>,
        keeps: impl Fn(&DiffId) -> bool,
    ) -> Snapshot {
        let mut snapshot = Snapshot { commit, multi_stage, ..self.snapshot };
        for layer in snapshot.layers.iter_mut().filter(|layer| !keeps(&layer.diff_id)) {
            layer.file_list = None;
        }
        snapshot
    }

    /// The document to print or to save.
    pub fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }
}

#[cfg(test)]
impl From<Snapshot> for Analysis {
    fn from(snapshot: Snapshot) -> Analysis {
        Analysis::recorded(snapshot, |_| None)
    }
}
