//! Tests of the whole program, against real parts.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod act;
mod bad_input;
mod comment;
mod corpus;
mod engine;
mod engines;
mod everywhere;
mod fake_github;
mod gate;
mod golden;
mod hostile;
mod images;
mod readme;
mod support;
mod tarball;
