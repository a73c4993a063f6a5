//! A directory as `skopeo copy … dir:DIR` and `podman save --format docker-dir` write it: the manifest in
//! `manifest.json`, those of further platforms beside it, and each blob named by its bare hash
//! (containers-transports(5), "dir:path").

use std::path::{Path, PathBuf};

use super::blob::{digest_of_name, index_of};
use super::{SourceError, read_file};
use crate::image::Digest;
use crate::image::oci::MAX_DOCUMENT;

/// A directory of one manifest and its blobs.
pub struct FlatDirectory {
    root: PathBuf,
    manifest: (Digest, Vec<u8>),
}

impl FlatDirectory {
    /// Opens it; `None` if the directory is of another kind. An uncompressed `docker save` has a `manifest.json` too,
    /// which is a list, and an OCI layout has an index.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn open(root: &Path) -> Result<Option<FlatDirectory>, SourceError> {
        let path = root.join("manifest.json");
        if !path.is_file() || root.join("index.json").exists() {
            return Ok(None);
        }
        let content = read_file(&path, MAX_DOCUMENT)?;
        if !content.trim_ascii_start().starts_with(b"{") {
            return Ok(None);
        }
        Ok(Some(FlatDirectory { root: root.into(), manifest: (Digest::of(&content), content) }))
    }

    /// What an `index.json` would say.
    pub fn index(&self) -> Vec<u8> {
        index_of(&self.manifest)
    }

    /// The path of the piece that a layout would keep under this name.
    pub fn path_of(&self, name: &str) -> Option<PathBuf> {
        let digest = digest_of_name(name)?;
        if digest == self.manifest.0 {
            return Some(self.root.join("manifest.json"));
        }
        let of_platform = self.root.join(format!("{}.manifest.json", digest.hex()));
        Some(if of_platform.is_file() { of_platform } else { self.root.join(digest.hex()) })
    }
}
