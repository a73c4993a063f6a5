//! Baselines: where they are kept, and which one is right for a commit.

pub mod choose;
pub mod dir;
pub mod git;

pub use choose::{Start, Trigger, choose_start};
pub use dir::{DirStore, StoreError};
pub use git::Git;
