//! Reports: one evaluation, and one file for each way of writing it down. Pure.

pub mod actions;
mod build_only;
pub mod escape;
pub mod history;
pub mod inspect;
pub mod markdown;
pub mod merge;
pub mod model;
pub mod rejudge;
pub mod saved;
pub mod stages;
pub mod table;
pub mod text;
mod words;

pub use model::{Base, EvaluateError, ImageReport, Report, Ways, worst};
