//! layergate: the load gate for container images, as a library.
//!
//! Pure rooms in the middle ([`image`], [`packages`], [`marks`], [`dockerfile`], [`compare`], [`policy`],
//! [`propose`], [`report`], [`setup`]: no file, no network, no clock), adapters at the edges ([`layer`], [`source`],
//! [`baseline`], [`github`], [`network`]), and [`commands`], which puts them together for the program.

pub mod baseline;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod dockerfile;
pub mod evidence;
pub mod github;
pub mod image;
pub mod layer;
pub mod marks;
pub mod network;
pub mod packages;
pub mod policy;
pub mod propose;
pub mod report;
pub mod setup;
pub mod source;
