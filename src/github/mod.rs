//! GitHub: the run's context, and the comment. The only room that knows its API.

pub mod client;
pub mod comments;
pub mod context;
pub mod runner;

pub use client::{Client, GithubError};
pub use context::{Context, PullRequest};
