//! GitHub: the run's context, the comment, and the repository's Git database. The only room that knows its
//! API.

pub mod acceptance;
pub mod check_runs;
pub mod client;
pub mod comments;
pub mod contents;
pub mod context;
pub mod fleet;
pub mod forge;
pub mod graphql;
pub mod hidden;
pub mod pulls;
pub mod queue;
pub mod releases;
pub mod repository;
pub mod reviews;
pub mod runner;

pub use client::{Client, GithubError};
pub use context::{Context, Deciding, PullRequest, WorkflowRun};
pub use forge::Forge;
pub use graphql::Graphql;
pub use repository::Repository;
