//! Reports: one evaluation, and one file per output format. Pure.

pub mod actions;
pub mod ahead;
pub mod badge;
pub mod escape;
pub mod fleet;
pub mod history;
pub mod html;
pub mod inspect;
mod instruction;
pub mod junit;
mod later;
pub mod links;
pub mod look;
pub mod markdown;
pub mod merge;
pub mod model;
pub mod openmetrics;
pub mod reevaluate;
mod removable;
pub mod sarif;
pub mod saved;
mod script;
pub mod stages;
pub mod suggestions;
pub mod table;
pub mod text;
mod words;

pub use model::{AcceptanceRules, ImageReport, Report, Terms, worst};
