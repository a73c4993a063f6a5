//! What an image ships and only its build needed: found in the file system that its layers make, by a
//! catalogue of kinds. Pure.

mod catalogue;
mod find;
mod marks;

pub use catalogue::{Catalogue, CatalogueError, Culprit, Ignore, Kind, MarkKind, fits, glob, glob_set};
pub use find::{Kinds, find, find_files};

#[cfg(test)]
mod tests;
