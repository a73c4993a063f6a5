//! layergate: a CI gate for container image size, as a library.
//!
//! Pure rooms ([`redact`], [`shell`], [`tools`], [`image`], [`packages`], [`marks`], [`layer`], [`dockerfile`],
//! [`removable`], [`analysis`], [`compare`], [`stages`], [`limits`], [`fleet`], [`config`], [`propose`], [`report`],
//! [`setup`], [`sort`]: no file, no network, no clock), edges ([`files`], [`network`], [`registry`], [`github`],
//! [`source`], [`baseline`]), and [`commands`], which composes them for the program. `tests/it/project/rooms.rs` says
//! which may import which.

pub mod analysis;
pub mod baseline;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod config;
pub mod dockerfile;
pub mod files;
pub mod fleet;
pub mod github;
pub mod image;
pub mod layer;
pub mod limits;
pub mod marks;
pub mod network;
pub mod packages;
pub mod propose;
pub mod redact;
pub mod registry;
pub mod removable;
pub mod report;
pub mod setup;
pub mod shell;
pub mod sort;
pub mod source;
pub mod stages;
pub mod tools;
