//! The JSON of provenance, as far as it is used: an in-toto statement and BuildKit's predicate, in SLSA v0.2 and v1.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::map::LineRange;
use crate::image::Digest;
use crate::image::oci::or_default;

/// An in-toto statement (in-toto attestation framework, v0.1).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    pub predicate_type: String,
    #[serde(default)]
    pub subject: Vec<StatementSubject>,
    pub predicate: Predicate,
}

#[derive(Deserialize)]
pub struct StatementSubject {
    #[serde(default)]
    pub digest: BTreeMap<String, String>,
}

/// The used parts of a predicate, in v0.2 and v1.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Predicate {
    // v0.2
    #[serde(deserialize_with = "or_default")]
    pub materials: Vec<RawMaterial>,
    pub invocation: Invocation,
    pub build_config: BuildConfig,
    pub metadata: Metadata,
    // v1
    pub build_definition: BuildDefinition,
    pub run_details: RunDetails,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct RawMaterial {
    pub uri: String,
    pub digest: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Invocation {
    pub config_source: ConfigSource,
    pub parameters: Parameters,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigSource {
    pub entry_point: Option<String>,
    pub path: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Parameters {
    #[serde(deserialize_with = "or_default")]
    pub args: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildConfig {
    #[serde(deserialize_with = "or_default")]
    pub llb_definition: Vec<Operation>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Operation {
    pub id: String,
    #[serde(deserialize_with = "or_default")]
    pub inputs: Vec<String>,
    pub op: OperationBody,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct OperationBody {
    #[serde(rename = "Op")]
    pub op: Option<OperationKind>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct OperationKind {
    pub source: Option<ImageSource>,
    pub exec: Option<Exec>,
    pub file: Option<FileActions>,
    pub merge: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Exec {
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Mount {
    pub input: i64,
    pub dest: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct FileActions {
    #[serde(deserialize_with = "or_default")]
    pub actions: Vec<FileAction>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct FileAction {
    pub input: i64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct ImageSource {
    pub identifier: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildDefinition {
    #[serde(deserialize_with = "or_default")]
    pub resolved_dependencies: Vec<RawMaterial>,
    pub external_parameters: ExternalParameters,
    pub internal_parameters: InternalParameters,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ExternalParameters {
    pub config_source: ConfigSource,
    pub request: Parameters,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct InternalParameters {
    pub build_config: BuildConfig,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct RunDetails {
    pub metadata: Metadata,
}

/// The metadata of a build, in which BuildKit has its own part: one key in v0.2, another in v1.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Metadata {
    #[serde(rename = "https://mobyproject.org/buildkit@v1#metadata")]
    pub v02: Option<OwnMetadata>,
    #[serde(rename = "buildkit_metadata")]
    pub v1: Option<OwnMetadata>,
}

/// BuildKit's own metadata.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct OwnMetadata {
    #[serde(deserialize_with = "or_default")]
    pub vcs: BTreeMap<String, String>,
    pub source: StatementSource,
    #[serde(deserialize_with = "or_default")]
    pub layers: BTreeMap<String, Vec<Vec<LayerDescriptor>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct StatementSource {
    #[serde(deserialize_with = "or_default")]
    pub locations: BTreeMap<String, Locations>,
    #[serde(deserialize_with = "or_default")]
    pub infos: Vec<Info>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Locations {
    #[serde(deserialize_with = "or_default")]
    pub locations: Vec<Location>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Location {
    /// The index of the file.
    #[serde(rename = "sourceIndex")]
    pub file: u64,
    #[serde(deserialize_with = "or_default")]
    pub ranges: Vec<Range>,
}

#[derive(Deserialize)]
pub struct Range {
    pub start: Position,
    pub end: Position,
}

#[derive(Deserialize)]
pub struct Position {
    pub line: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Info {
    pub filename: Option<String>,
    pub data: String,
}

#[derive(Deserialize)]
pub struct LayerDescriptor {
    pub digest: Digest,
}

impl Locations {
    /// The first and last line of each place in one of the files: a step written twice has two places.
    pub fn lines(&self, file: usize) -> Vec<LineRange> {
        let lines = |location: &Location| {
            let ranges = &location.ranges;
            let line = ranges.iter().map(|range| range.start.line).min().filter(|line| *line > 0)?;
            let end_line = ranges.iter().map(|range| range.end.line).max()?.max(line);
            Some(LineRange { line, end_line })
        };
        self.locations.iter().filter(|location| location.file == file as u64).filter_map(lines).collect()
    }
}
