//! The update size, as documents have it.

use serde::{Deserialize, Serialize};

use super::Bytes;

/// What a host that has the baseline downloads when it moves to this image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UpdateSize {
    /// Compressed bytes of the layers that the baseline lacks: what a store downloads that keeps layers by their digest,
    /// as containerd, Podman and CRI-O do.
    pub bytes: Bytes,
    /// The same of all layers from the first one that the baseline lacks: what Docker's classic store downloads, which
    /// knows a layer only on top of the layers below it.
    pub classic_bytes: Bytes,
    /// Whether a layer's compressed size is unknown, so that its uncompressed size stands for it: the figure is then
    /// the most that it can be.
    pub estimated: bool,
}

impl UpdateSize {
    /// Whether its amounts can be added up: an untrusted document may say anything.
    pub fn is_countable(&self) -> bool {
        self.bytes <= Bytes::MAX && self.classic_bytes <= Bytes::MAX
    }
}
