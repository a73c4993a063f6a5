//! What people and other programs read.

pub mod check_run;
mod comment;
mod formats;
mod golden;
mod linked;
mod looks;
mod page;
mod said;
mod sizes;
