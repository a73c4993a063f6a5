//! Tests of the whole program, against real parts.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod check;
mod outputs;
mod project;
mod reading;
mod security;
mod stages;
mod stores;
mod support;
