//! temp
use super::*;
pub struct Facts {
    pub stages: Vec<StageFacts>,
    pub target: usize,
    pub chain: Vec<usize>,
    pub base: BaseImage,
    pub copies: Vec<Copied>,
    pub works: Vec<Work>,
    pub slimmer: Vec<Slimmer>,
}
impl std::fmt::Debug for Facts {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
pub struct StageFacts {
    pub index: usize,
    pub name: Option<String>,
    pub line: u32,
    pub base: String,
    pub resolved: BaseImage,
    pub in_chain: bool,
    pub used: bool,
    pub works: Vec<Work>,
}
pub struct Copied {
    pub line: u32,
}
#[derive(Clone, Debug)]
pub struct Work {
    pub kind: WorkKind,
    pub tool: String,
    pub subjects: Vec<String>,
    pub line: u32,
    pub end_line: u32,
    pub stage: usize,
    pub undone: bool,
}
pub struct FoundWork {
    pub kind: WorkKind,
    pub tool: String,
    pub subjects: Vec<String>,
    pub undone: bool,
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkKind {
    Build,
    InstallsBuildTools,
    InstallsDependencies,
    InstallsPackages,
    Removes,
}
pub struct Slimmer {
    pub stage: usize,
    pub base: String,
    pub line: u32,
}
pub fn works_of(_: &str) -> Vec<FoundWork> {
    Vec::new()
}
pub fn slimmer_of(_: &str) -> Option<String> {
    None
}
impl Dockerfile {
    pub fn facts(&self, _: &BuildOptions) -> Result<Facts, DockerfileError> {
        Err(DockerfileError::NoStage)
    }
}
