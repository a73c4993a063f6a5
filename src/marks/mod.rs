//! Facts in the content of files: that only the build needs something, or that it does not belong in an image at all.
//! Pure: no file, no clock, no environment.
//!
//! The code that walks a layer calls [`WantedMarkFile::of`] for each regular file, and passes the content of wanted
//! ones to a [`MarkCollector`], one at a time, or the bytes of a program to an [`elf::SectionScanner`]. The results are
//! the [`Mark`]s of the layer's file list. A mark is what a file says, not what it means; that is decided elsewhere.
//!
//! All content is untrusted input. A file that is malformed, cut off or over a safety limit yields no mark, never an
//! error.

mod development;
pub mod elf;
mod secret;
mod wanted;

pub use wanted::{FileRole, WantedMarkFile};

use crate::image::mark::{MAX_DIRECTORIES, MAX_DIRECTORY_BYTES, MAX_MARKS};
use crate::image::{Bytes, LayerPath, Mark};

/// Collects marks from the files of one layer, in the order of its file list.
#[derive(Debug, Default)]
pub struct MarkCollector {
    marks: Vec<Mark>,
    directories: usize,
    directory_bytes: usize,
}

impl MarkCollector {
    /// Reads the content of a file, whose index in the file list is `entry`.
    pub fn take(&mut self, document: FileRole, entry: u32, path: &LayerPath, content: &[u8]) {
        let mark = match document {
            FileRole::Secret(file) => file.look(content).map(|kind| Mark::Secret { entry, kind }),
            FileRole::HiddenLockfile => development::hidden_lockfile(path, content)
                .map(|directories| Mark::Dev { entry, directories }),
            FileRole::Composer => {
                development::composer(path, content).map(|directories| Mark::Dev { entry, directories })
            }
            FileRole::Manifest => development::manifest(path, content)
                .map(|directories| Mark::DevDeclared { entry, directories }),
        };
        mark.into_iter().for_each(|mark| self.add(mark));
    }

    /// Adds what an [`elf::SectionScanner`] found in a program, whose index in the file list is `entry`.
    pub fn take_program(&mut self, entry: u32, bytes: u64) {
        if bytes > 0 {
            self.add(Mark::Unstripped { entry, bytes: Bytes(bytes) });
        }
    }

    /// The marks, for the file list.
    pub fn finish(mut self) -> Vec<Mark> {
        self.marks.shrink_to_fit();
        self.marks
    }

    /// Keeps a mark, if there is room: the same limits apply wherever a file list is read.
    fn add(&mut self, mark: Mark) {
        let directories = self.directories + mark.directories().len();
        let of_mark: usize = mark.directories().iter().map(|path| path.as_bytes().len()).sum();
        let bytes = self.directory_bytes + of_mark;
        if self.marks.len() < MAX_MARKS && directories <= MAX_DIRECTORIES && bytes <= MAX_DIRECTORY_BYTES {
            (self.directories, self.directory_bytes) = (directories, bytes);
            self.marks.push(mark);
        }
    }
}

#[cfg(test)]
mod tests;
