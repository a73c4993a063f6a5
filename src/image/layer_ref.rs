//! A layer by its number, and what made it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::instruction::Instruction;

/// A layer, and what made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LayerRef {
    /// Counted from 0.
    pub index: u64,
    /// The instruction that made it.
    pub instruction: Option<Instruction>,
    /// The instruction's lines in the Dockerfile, if they are certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileLines>,
    /// Whether it belongs to the base image, so that the Dockerfile cannot change it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_base_image: bool,
}

/// How the Dockerfile lines of layers were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LinesBy {
    /// The build's own provenance names them.
    Provenance,
    /// Inferred: the Dockerfile's instructions were found in the image's history.
    Estimated,
}

/// Lines of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DockerfileLines {
    /// The Dockerfile's path, as it was given.
    pub path: String,
    /// The instruction's first line, counted from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
}

impl DockerfileLines {
    /// The file name alone, if the path is long: an image has only one Dockerfile.
    pub fn short_name(&self) -> Option<&str> {
        const LONG: usize = 24;
        self.path.rsplit(['/', '\\']).next().filter(|_| self.path.chars().count() > LONG)
    }
}

impl fmt::Display for DockerfileLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}
