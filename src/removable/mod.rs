//! Removable files: found in the file system of an image's layers, by a catalogue of kinds. Pure.

mod advice;
mod catalogue;
mod find;
mod help;
mod marks;

pub use catalogue::{Catalogue, Culprit, Ignore, RemovableKind, fits, glob_set};
pub use find::{Kinds, Search, find_files};
pub use help::help_with_copy;

#[cfg(test)]
mod tests;
