//! `layergate init`: adds one step to the workflow that builds the images.
//!
//! [`plan`] finds the steps that build images and makes text edits that put layergate after them. Expressions of the
//! workflow (matrix values, tags, arguments) are copied, never evaluated; whatever must be understood is asked of
//! docker ([`RepositoryTree::ask`]); what is not followed is reported ([`InitPlan::notes`]). The repository is
//! untrusted: reading is limited, no path leaves it, and generated files are parsed before they are written. Nothing
//! here reads a file.

mod build;
mod configuration;
mod edit;
mod gate;
mod name;
mod plan;
mod preflight;
mod quote;
mod script;
mod workflow;
mod yaml;

pub use configuration::{ImageMeasurement, configuration};
pub use plan::plan;
pub use quote::is_branch;
use quote::is_visible;
use serde_json::Value;

/// The action, as a workflow names it.
const ACTION: &str = "layergate/layergate";
/// Compose files that compose finds by default.
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// The configuration.
pub const CONFIGURATION: &str = "layergate.toml";
/// The new workflow, for images that no workflow builds for both events.
pub const WORKFLOW: &str = ".github/workflows/layergate.yml";

/// A repository. Paths are relative to its root, with `/` between their parts.
pub struct RepositoryTree<'a> {
    /// Its workflows.
    pub workflows: Vec<String>,
    /// The `action.yml` files of its composite actions.
    pub actions: Vec<String>,
    /// Files that look like a Dockerfile by their name.
    pub dockerfiles: Vec<String>,
    /// Makefiles and scripts, which may build images too.
    pub scripts: Vec<String>,
    /// Its name.
    pub repository: String,
    /// The branch whose images are recorded.
    pub branch: String,
    /// Where baselines are kept.
    pub store: String,
    /// Returns the text of a file, or why there is none.
    pub read: &'a dyn Fn(&str) -> Result<String, String>,
    /// Whether a file or directory exists.
    pub exists: &'a dyn Fn(&str) -> bool,
    /// Runs docker with arguments, if allowed; the error says why there is no answer.
    pub ask: Option<Ask<'a>>,
}

/// Runs docker with arguments, and reads its answer.
pub type Ask<'a> = &'a dyn Fn(&[&str]) -> Result<Value, String>;

impl RepositoryTree<'_> {
    /// Docker's answer about files: to a command, with `--file` for each and more arguments. No argument comes from the
    /// workflow's expressions.
    fn ask(&self, command: &[&str], files: &[String], more: &[&str]) -> Result<Value, String> {
        let why =
            "not followed: only docker can read these files; if you trust them, run again with --ask-docker";
        let ask = self.ask.ok_or(why)?;
        if let Some(file) = files.iter().find(|file| !(self.exists)(file)) {
            return Err(format!("not followed: {file} is not in the repository"));
        }
        let files = files.iter().flat_map(|file| ["--file", file.as_str()]);
        let arguments: Vec<&str> = command.iter().copied().chain(files).chain(more.iter().copied()).collect();
        ask(&arguments).map_err(|why| format!("not followed: {why}"))
    }

    /// Compose's view of its files; of the default ones, if none is named.
    fn compose(&self, files: &[String]) -> Result<Value, String> {
        if files.is_empty() && !COMPOSE.iter().any(|file| (self.exists)(file)) {
            return Err("not followed: there is no compose file".into());
        }
        // Variables in names stay as written, so that such names are not taken as literal.
        let more = ["config", "--no-interpolate", "--no-path-resolution", "--format", "json"];
        self.ask(&["compose"], files, &more)
    }

    /// The note that a build cannot be compared: without a push there is no baseline, and without a pull request
    /// nothing to check.
    fn says_no_pull_request(&self, place: &str) -> String {
        format!(
            "{place}: check: no workflow runs this build both for pull requests and for pushes to {}",
            self.branch
        )
    }

    /// The Dockerfile of a context: the named one, relative to it, else the default.
    fn dockerfile_of(&self, context: &str, file: Option<&str>) -> Option<String> {
        let names = file.map_or(vec!["Dockerfile", "dockerfile"], |file| vec![file]);
        let mut paths = names.iter().filter_map(|file| name::join(context, file));
        paths.find(|path| path.contains("${{") || (self.exists)(path))
    }

    /// The image of a build, named after its tag, its Dockerfile's location, or the repository.
    fn image(&self, dockerfile: Option<String>, target: Option<&str>, tag: Option<&str>) -> CheckedImage {
        let name = tag.and_then(name::of_tag).unwrap_or_else(|| self.name_of(dockerfile.as_deref()));
        CheckedImage {
            name,
            dockerfile,
            target: target.filter(|target| !target.is_empty()).map(str::to_owned),
        }
    }

    /// The name from the Dockerfile's location, else from the repository.
    fn name_of(&self, dockerfile: Option<&str>) -> String {
        let place = dockerfile.filter(|path| !path.contains("${{")).and_then(name::of_path);
        place.or_else(|| name::plain(&self.repository)).unwrap_or_else(|| "app".into())
    }
}

/// An image to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedImage {
    /// The name that reports, limits and baselines use; it may contain workflow expressions.
    pub name: String,
    /// Its Dockerfile, if known; may contain expressions.
    pub dockerfile: Option<String>,
    /// The stage that is built; may contain expressions.
    pub target: Option<String>,
}

/// A file that changes or is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path.
    pub path: String,
    /// Its current text; `None` for a new file.
    pub before: Option<String>,
    /// Its new text.
    pub after: String,
}

/// The plan.
#[derive(Debug, Clone, Default)]
pub struct InitPlan {
    /// The workflows and actions that change.
    pub changes: Vec<FileChange>,
    /// The images, each with the place of its build.
    pub images: Vec<(CheckedImage, String)>,
    /// Images whose builds already have layergate after them.
    pub gated: usize,
    /// Notes on what was not followed or would fail, each with its file and line.
    pub notes: Vec<String>,
}
