//! The gate: events, limits and causes.

mod causes;
mod enforce;
mod events;
pub mod gate;
mod gitea;
mod matrix;
mod organisation;
mod queue;
