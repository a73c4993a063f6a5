//! The update size, as documents have it.

use serde::{Deserialize, Serialize};

use super::Bytes;

/// What a host that has the baseline downloads to update to this image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UpdateSize {
    /// Compressed bytes of the layers that the baseline lacks: what stores that keep layers by digest download, such as
    /// containerd, Podman and CRI-O.
    pub bytes: Bytes,
    /// The same for all layers from the first one that the baseline lacks: what Docker's classic store downloads, which
    /// knows a layer only on top of those below it.
    pub classic_bytes: Bytes,
    /// Whether a compressed size is unknown and the uncompressed size stands for it: the figure is then an upper bound.
    pub estimated: bool,
}

impl UpdateSize {
    /// Whether its amounts can be added up: an untrusted document may claim anything.
    pub fn is_countable(&self) -> bool {
        self.bytes <= Bytes::MAX && self.classic_bytes <= Bytes::MAX
    }
}
