//! Baselines: where they are kept, and which one is right for a commit.

pub mod ancestry;
pub mod branch;
pub mod choose;
pub mod dir;
pub mod find;
pub mod git;
pub mod record;
pub mod registry;
pub mod store;

pub use ancestry::Ancestry;
pub use choose::Trigger;
pub use dir::DirStore;
pub use find::BaselineFinder;
pub use git::Git;
pub use record::{RecordOutcome, StoreError};
pub use store::{Store, StoreName};
