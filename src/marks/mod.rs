//! What the content of a file says of being needed only by the build, or of not belonging into an
//! image at all. Pure: no file, no clock, no environment.
//!
//! Whoever walks a layer asks [`WantedMarkFile::of`] for each regular file and hands the content of those that
//! are wanted to a [`MarkCollector`], one at a time, or the bytes of a program to an [`elf::SectionScanner`]. What
//! was found are the [`Mark`]s of the layer's file list. What follows from them is said elsewhere: a mark
//! is what a file says, not what it means.
//!
//! All of it is foreign input. A file that is malformed, cut off or over a bound yields no mark, never
//! an error.

mod development;
pub mod elf;
mod secret;
mod wanted;

pub use wanted::{FileRole, WantedMarkFile};

use crate::image::mark::{MAX_DIRECTORIES, MAX_DIRECTORY_BYTES, MAX_MARKS};
use crate::image::{Bytes, LayerPath, Mark};

/// Takes in what the files of one layer say, in the order of its file list.
#[derive(Debug, Default)]
pub struct MarkCollector {
    marks: Vec<Mark>,
    directories: usize,
    directory_bytes: usize,
}

impl MarkCollector {
    /// Reads the content of a file, which is the entry `entry` of the file list.
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

    /// Takes in what an [`elf::SectionScanner`] found in a program, which is the entry `entry` of the file list.
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

    /// Keeps a mark, if there is room: what a file list may have is bounded wherever it is read.
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
