//! One image, understood: what was measured of it, the file system that its layers make, the Dockerfile that
//! explains it, where its base image ends, and what only its build needed. Pure.
//!
//! Every command makes an [`Analysis`] in the same way, by [`Analysis::of`]; of a stored image it is made from
//! what was stored, by [`Analysis::recorded`]. Nothing changes it afterwards.

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

/// One image, understood.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Complete: with the lines that made the layers, the base image and what only the build needed.
    snapshot: Snapshot,
    filesystem: Option<Arc<Filesystem>>,
    dockerfile: Option<DockerfileFacts>,
}

impl Analysis {
    /// Explains an image that was measured. `below` are the layers of the image that [`ImageOrigin::base_to_ask`]
    /// names, where they could be looked up. Without a search, nothing is looked for among its files.
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
        // What a stored image has by provenance is not inferred anew.
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
            // One that was read from a file keeps what was found, where its files are not known.
            let found = filesystem.as_ref().map(|filesystem| search.find(&snapshot, filesystem));
            snapshot.removable = found.or_else(|| snapshot.removable.take());
            for found in snapshot.removable.iter_mut().flatten() {
                let help = dockerfile.as_ref().and_then(|dockerfile| help_with_copy(found, dockerfile));
                found.help = help.unwrap_or_else(|| std::mem::take(&mut found.help));
            }
        }
        Analysis { snapshot, filesystem, dockerfile }
    }

    /// An image to compare with, as it was stored or measured: nothing new is found out about it. `files` has
    /// the files of layers that were stored without them, as far as they are known.
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

    /// What was measured, and what was found out.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The file system that its layers make, where the files of all of them are known.
    pub fn filesystem(&self) -> Option<&Filesystem> {
        self.filesystem.as_deref()
    }

    /// The Dockerfile that it was built from, where one fits.
    pub fn dockerfile(&self) -> Option<&DockerfileFacts> {
        self.dockerfile.as_ref()
    }

    /// The image that it was built on, where that is known or can be estimated.
    pub fn base(&self) -> Option<&BaseImage> {
        self.snapshot.base.as_ref()
    }

    /// What only its build needed, most bytes first, where that was looked for.
    pub fn removable(&self) -> Option<&[Removable]> {
        self.snapshot.removable.as_deref()
    }

    /// The same, with no more than an estimate where the base image ends: the Dockerfile that says so is that of
    /// another image.
    pub fn with_doubtful_base(mut self) -> Analysis {
        if let Some(base) = &mut self.snapshot.base {
            base.how = BoundaryBy::History;
        }
        self
    }

    /// The document to store: of a commit, with what follows from how the image is built, and with the files of
    /// those layers that `keeps` says.
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

    /// The document to print or to keep.
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
