//! Baselines: where they are kept, and which one is right for a commit.

pub mod ancestry;
pub mod choose;
pub mod dir;
pub mod git;

pub use ancestry::{Ancestry, Baseline};
pub use choose::{Start, Trigger, choose_start};
pub use dir::{DirStore, StoreError};
pub use git::Git;
