//! Reading layers: tar, compression, censuses, and what layers make when applied. No network.

pub mod apply;
pub mod compression;
pub mod input;
mod sparse;
pub mod tar;
pub mod walk;

pub use apply::{Applied, apply};
pub use compression::Compression;
pub use input::{Forward, Stream, Window};
pub use walk::{Budget, LayerError, WalkedLayer, walk_stream, walk_window};
