//! Which files are read, and how much of each.

use super::elf;
use super::secret::{self, SecretFile};
use crate::image::path::split;

const MIB: u64 = 1 << 20;

/// The kind of a file, from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRole {
    /// A file that is likely to hold a secret.
    Secret(SecretFile),
    /// npm's `node_modules/.package-lock.json`.
    HiddenLockfile,
    /// The `package.json` of a project.
    Manifest,
    /// Composer's `installed.json`.
    Composer,
}

/// A file whose content is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedMarkFile {
    /// The first `length` bytes, for [`MarkCollector::take`](super::MarkCollector::take).
    Content {
        /// What the file is.
        document: FileRole,
        /// How many bytes to read.
        length: u64,
    },
    /// It may be an ELF file: its first [`elf::HEAD`] bytes tell, by [`elf::SectionScanner::new`].
    Program,
}

impl WantedMarkFile {
    /// What is wanted from a regular file. The path is clean, relative to the image's root. Files over the limit of
    /// their kind are not read.
    pub fn of(path: &[u8], size: u64, executable: bool) -> Option<WantedMarkFile> {
        let (directory, name) = split(path);
        let Some(document) = document_of(directory, name) else {
            let program = size > elf::HEAD as u64 && (executable || is_library(name));
            return program.then_some(WantedMarkFile::Program);
        };
        let length = match document {
            FileRole::Secret(_) => size.min(secret::MOST),
            FileRole::HiddenLockfile if size > 32 * MIB => return None,
            FileRole::Composer if size > 8 * MIB => return None,
            FileRole::Manifest if size > MIB => return None,
            _ => size,
        };
        (length > 0).then_some(WantedMarkFile::Content { document, length })
    }
}

fn document_of(directory: &[u8], name: &[u8]) -> Option<FileRole> {
    let parent = || split(directory).1;
    match name {
        b".package-lock.json" => (parent() == b"node_modules").then_some(FileRole::HiddenLockfile),
        // An installed package's manifest states what its authors needed.
        b"package.json" => {
            let mut parts = directory.split(|byte| *byte == b'/');
            (!parts.any(|part| part == b"node_modules")).then_some(FileRole::Manifest)
        }
        b"installed.json" => (parent() == b"composer").then_some(FileRole::Composer),
        name => SecretFile::of(parent(), name).map(FileRole::Secret),
    }
}

/// A library need not be executable.
fn is_library(name: &[u8]) -> bool {
    [b".so".as_slice(), b".node", b".debug"].iter().any(|ending| name.ends_with(ending))
        || name.windows(4).any(|part| part == b".so.")
}
