//! What an image is: amounts, identifiers, platforms, layers, snapshots. Pure: no file, no
//! network, no clock.

pub mod bytes;
pub mod container;
pub mod day;
#[cfg(test)]
mod described;
pub mod digest;
pub mod entry;
pub mod file_list;
pub mod filesystem;
pub mod go_json;
pub mod instruction;
pub mod json;
pub mod layer_ref;
pub mod mark;
pub mod measured;
pub mod name;
pub mod oci;
pub mod package;
pub mod path;
pub mod platform;
pub mod recorded;
pub mod removable;
pub mod rollup;
pub mod schema;
pub mod snapshot;
pub mod text;
pub mod unread;
mod update_size;

pub use bytes::{Bytes, Delta};
pub use container::ContainerSettings;
pub use day::{Day, Time};
pub use digest::{DiffId, Digest};
pub use entry::Entry;
pub use file_list::FileList;
pub use filesystem::Filesystem;
pub use instruction::Instruction;
pub use layer_ref::{DockerfileLines, LayerRef, LinesBy};
pub use mark::{Mark, SecretKind};
pub use measured::MeasuredImage;
pub use name::ImageName;
pub use package::{Ecosystem, Package};
pub use path::LayerPath;
pub use platform::Platform;
pub use recorded::{LimitInForce, RecordFacts, StageAdoption};
pub use removable::{Classes, Removable, RemovableOutcome, Weight};
pub use snapshot::{Layer, Measured, Snapshot, Totals};
pub use update_size::UpdateSize;
