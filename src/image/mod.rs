//! What an image is: amounts, identifiers, platforms, layers, snapshots. Pure: no file, no
//! network, no clock.

pub mod build_only;
pub mod bytes;
pub mod census;
pub mod digest;
pub mod instruction;
pub mod mark;
pub mod oci;
pub mod package;
pub mod platform;
pub mod redact;
pub mod schema;
pub mod snapshot;
pub mod text;

pub use build_only::{BuildOnly, Outcome, Weight};
pub use bytes::{Bytes, Delta};
pub use census::{Census, Entry, LayerPath};
pub use digest::{DiffId, Digest};
pub use instruction::Instruction;
pub use mark::{Mark, SecretKind};
pub use package::{Ecosystem, Package};
pub use platform::Platform;
pub use snapshot::{Layer, Measured, Snapshot, Totals};
