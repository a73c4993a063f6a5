//! A first configuration and workflow for a repository, made from what it says of its images: its workflows,
//! compose and bake files, and Dockerfiles.
//!
//! [`plan`] finds the images and how each is built, [`configuration`] and [`workflow`] write that down. All of the
//! repository is hostile text: what is read of it is bounded, no path leaves it, and whatever gets into a file that
//! is written is a plain word or quoted. What cannot be told is said ([`Plan::notes`]) and left out. Nothing here
//! reads a file: [`Tree`] is asked.

mod bake;
mod call;
mod compose;
mod configuration;
mod expression;
mod hcl;
mod names;
mod path;
mod plan;
mod quote;
#[cfg(test)]
mod tests;
mod workflow;
mod workflows;
mod yaml;

use std::collections::BTreeMap;

use crate::dockerfile::UNKNOWN;

pub use configuration::configuration;
pub use plan::{Nothing, plan};
pub use quote::is_branch;
pub use workflow::workflow;
pub use yaml::Yaml;

/// The action, as a workflow names it.
pub const ACTION: &str = "layergate/layergate@main";
/// Where the configuration is written.
pub const CONFIGURATION: &str = "layergate.toml";
/// Where the workflow is written.
pub const WORKFLOW: &str = ".github/workflows/layergate.yml";

/// A repository. Paths are told from its root, with `/` between their parts.
pub struct Tree<'a> {
    /// Its workflows.
    pub workflows: Vec<String>,
    /// What looks like a Dockerfile by its name.
    pub dockerfiles: Vec<String>,
    /// Its owner and name, as far as they are known.
    pub repository: (String, String),
    /// The text of a file; the error says why there is none.
    pub read: &'a dyn Fn(&str) -> Result<String, String>,
    /// Whether there is such a file or directory.
    pub exists: &'a dyn Fn(&str) -> bool,
}

impl Tree<'_> {
    /// The text of a file, without the mark of what is unknown.
    fn text(&self, path: &str) -> Result<String, String> {
        (self.read)(path).map(|text| text.replace(UNKNOWN, "\u{fffd}"))
    }
}

/// What some files build, and what is to be said of them; or why they cannot be read.
type Reading = Result<(Vec<Build>, Vec<String>), String>;

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The file that says so.
    pub origin: String,
    /// What it is called there.
    pub name: Option<String>,
    /// The directory that is built from.
    pub context: String,
    /// Its Dockerfile; nothing where that is written elsewhere.
    pub dockerfile: Option<String>,
    /// The stage that is built, unless it is the last one.
    pub target: Option<String>,
    /// Build arguments whose value is known.
    pub arguments: Vec<(String, String)>,
    /// The platforms that it is built for, where they are named.
    pub platforms: Vec<String>,
    /// What builds it.
    pub by: By,
}

/// What builds an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// `docker build`.
    Docker,
    /// `docker compose build`.
    Compose {
        /// The compose files.
        files: Vec<String>,
        /// The service.
        service: String,
        /// What it calls the image.
        image: String,
        /// The variables that this needs, and their values.
        variables: BTreeMap<String, String>,
    },
    /// `docker buildx bake`.
    Bake {
        /// The bake files.
        files: Vec<String>,
        /// The target.
        target: String,
    },
}

/// What a checkout needs, as other workflows do it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkout {
    /// `submodules: true` or `recursive`.
    pub submodules: Option<String>,
    /// `lfs: true`.
    pub lfs: bool,
}

/// What to write.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The images, each under a name of its own.
    pub images: Vec<Image>,
    /// The branch whose pushes are recorded.
    pub branch: String,
    /// Where baselines are kept.
    pub store: String,
    /// What a checkout needs.
    pub checkout: Checkout,
    /// What was not understood, or is to be looked at.
    pub notes: Vec<String>,
    /// Dockerfiles of no image here.
    pub left_out: Vec<String>,
    /// A workflow that already runs layergate.
    pub gated: Option<String>,
}

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// The name that reports, limits and baselines know it by.
    pub name: String,
    /// How it is built.
    pub build: Build,
    /// What the engine calls it once it is built, as layergate reads it.
    pub reference: String,
    /// Whether its Dockerfile passes `multi-stage = "require"`, by its text.
    pub staged: bool,
    /// Why not, or why that is not known.
    pub stages: Option<String>,
}
