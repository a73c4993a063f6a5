//! Dockerfiles: which line made a layer, what only the build needed, and what is advised.

mod adoption;
mod advice;
mod dockerfiles;
mod proposals;
pub mod provenance;
mod removable;
mod savings;
mod suggestions;
mod texts;
mod verdicts;
