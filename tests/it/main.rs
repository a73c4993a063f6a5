//! Tests of the whole program, against real parts.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod act;
mod adoption;
mod apps;
mod bad_input;
mod baselines;
mod bounds;
mod cache;
mod causes;
mod comment;
mod corpus;
mod dockerfiles;
mod enforce;
mod engine;
mod engines;
mod everywhere;
mod evidence;
mod fake_engine;
mod fake_git;
mod fake_github;
mod fake_registry;
mod gate;
mod golden;
mod graphs;
mod history;
mod hostile;
mod images;
mod marks;
mod platforms;
mod proposals;
mod quick;
mod readme;
mod registry;
mod support;
mod tarball;
mod verdicts;
