//! Reading layers: tar, compression, censuses, and what layers make when applied. No network.

pub mod apply;
pub mod bounds;
pub mod compression;
pub mod input;
pub mod installed;
pub mod packed;
mod sparse;
pub mod tar;
pub mod walk;

pub use apply::{Applied, apply};
pub use bounds::{Bounds, Budget, Refusal};
pub use compression::Compression;
pub use input::{Forward, Stream, Window};
pub use installed::{installed, owners_of};
pub use walk::{LayerError, WalkedLayer, walk_stream, walk_window};
