//! Reading layers: tar, compression, file lists. No network.

pub mod compression;
pub mod input;
#[cfg(test)]
mod made;
mod package_room;
pub mod packed;
pub mod safety;
mod sparse;
mod tally;
pub mod tar;
pub mod tar_split;
pub mod walk;

pub use compression::Compression;
pub use input::{Ahead, PlainInput, ReadAt, Window};
pub use safety::{Budget, Refusal, SafetyLimits};
pub use walk::{Hashing, LayerError, WalkedLayer, walk_stream, walk_window};
