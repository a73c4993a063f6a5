//! The steps that build images, and where each leaves its image.

use super::workflow::{BOTH, Events, Host, Hosts, action_of, events_of};
use super::yaml::YamlNode;
use super::{CheckedImage, RepositoryTree, edit, name, path, script};

/// Why a step is left alone.
pub const ONLY_CHECKS: &str = "builds no image: it only checks the Dockerfile";
/// Outputs that are no image.
const NO_IMAGE: [&str; 3] = ["type=local", "type=tar", "type=cacheonly"];
/// Parts of the names of actions and reusable workflows that build images, and are not known here.
const UNKNOWN_BUILDERS: &str =
    "docker-build build-docker build-push publish-docker buildah kaniko build-image container-build";

/// How an image gets to layergate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The step leaves it where these references find it, one for each image.
    Present(Vec<String>),
    /// `load: true` is added to the step, which ships nothing; and a tag of layergate's own, if it has none.
    Load(Option<String>),
    /// The step runs again, into OCI archives; with the targets of bake, one for each image.
    Copy(Vec<String>),
}

impl Delivery {
    /// A tag of layergate's own.
    pub fn own_tag(name: &str) -> String {
        format!("layergate-{name}:ci")
    }
}

/// What a step builds.
#[derive(Debug)]
pub struct BuiltImages {
    pub images: Vec<CheckedImage>,
    /// What is built, as it is written: builds of one key build the same.
    pub key: String,
    pub delivery: Delivery,
    /// The directory that is built from, if it is known.
    pub context: Option<String>,
}

/// A step that builds images.
#[derive(Debug)]
pub struct ImageBuildStep<'a> {
    /// Its job or action.
    pub host: &'a Host<'a>,
    pub node: &'a YamlNode,
    /// Its file and the line of the command or of `uses:`.
    pub place: String,
    /// The columns of its dash and of its keys.
    pub columns: (usize, usize),
    pub found: BuiltImages,
    /// Whether it runs for pull requests and for pushes.
    pub runs: bool,
    /// Whether a copy of it in the same job would.
    pub can_be_copied: bool,
}

/// The builds of a job or action; what is not followed is said.
pub fn find<'a>(
    host: &'a Host<'a>,
    hosts: &Hosts<'a>,
    tree: &RepositoryTree<'_>,
    notes: &mut Vec<String>,
) -> Vec<ImageBuildStep<'a>> {
    let has_builder = sets_up_builder(host) || host.job.is_none() && hosts.all.iter().any(sets_up_builder);
    let mut builds = Vec::new();
    for node in host.nodes() {
        let step = WorkflowStep { host, node, tree, has_builder };
        for (line, found) in step.found() {
            let place = format!("{}:{line}", host.file.path);
            match found.and_then(|found| Ok((found, step.reach(hosts)?))) {
                Err(why) => notes.push(format!("{place}: {why}")),
                Ok((found, (columns, reach))) => builds.push(ImageBuildStep {
                    host,
                    node,
                    place,
                    columns,
                    found,
                    runs: reach & events_of(node.text_of("if"), &tree.branch) == BOTH,
                    can_be_copied: reach == BOTH && has_builder && node.get("uses").is_some(),
                }),
            }
        }
    }
    builds
}

/// Whether `docker/setup-buildx-action` gives it a builder that keeps what it builds, as all drivers but `docker` do.
fn sets_up_builder(host: &Host<'_>) -> bool {
    let is_setup =
        |step: &YamlNode| action_of(step) == "docker/setup-buildx-action" && step.input("driver") != "docker";
    host.steps.iter().any(is_setup)
}

/// A step and what is around it.
pub struct WorkflowStep<'a> {
    pub host: &'a Host<'a>,
    pub node: &'a YamlNode,
    pub tree: &'a RepositoryTree<'a>,
    /// Whether a builder of its own keeps what is built.
    pub has_builder: bool,
}

impl WorkflowStep<'_> {
    /// What the step builds, each with its line.
    fn found(&self) -> Vec<(usize, Result<BuiltImages, String>)> {
        let Some((key, _)) = self.node.entry("uses") else { return script::found(self) };
        let action = action_of(self.node);
        let is_known = ["docker/build-push-action", "docker/bake-action"].contains(&action);
        let found = match action {
            _ if is_known && !matches!(self.node.input("call"), "" | "build") => Err(ONLY_CHECKS.into()),
            "docker/build-push-action" => self.build_push(),
            "docker/bake-action" => self.bake_action(),
            _ if action.starts_with('.') || action.contains("/setup-") => return Vec::new(),
            _ if UNKNOWN_BUILDERS.split(' ').any(|part| action.contains(part)) => {
                // No step can be put into a workflow of another repository.
                let is_job = self.host.job.is_some_and(|(_, job)| std::ptr::eq(job, self.node));
                let verdict = if is_job { "check" } else { "not followed" };
                Err(format!("{verdict}: {action} may build an image"))
            }
            _ => return Vec::new(),
        };
        vec![(key.line, found)]
    }

    /// Its columns and the events of its job, if steps can be put behind it.
    fn reach(&self, hosts: &Hosts<'_>) -> Result<((usize, usize), Events), String> {
        let (host, file, is_action) = (self.host, self.host.file, self.host.job.is_none());
        let columns = edit::columns_of(&file.text, self.node);
        let columns = columns.filter(|_| self.node.get("with").is_none_or(|with| with.is_block));
        let (starts, is_open) = (hosts.starts(host), !host.is_gated());
        let labels = host.get("runs-on").map(YamlNode::texts).unwrap_or_default();
        let why = if !self.node.texts().iter().all(|text| super::is_visible(&text.replace(['\n', '\t'], "")))
        {
            "the step has invisible characters"
        } else if labels.iter().any(|label| label.to_ascii_lowercase().contains("windows")) {
            "it runs on Windows; layergate checks images on Linux runners"
        } else if is_action && path::parent(&file.path) == "." {
            "other repositories use this action too; add layergate after a step that uses it"
        } else if is_action && starts.is_empty() {
            "no workflow of this repository uses this action"
        } else if is_open && starts.iter().any(|start| start.file.is_gated()) {
            "the workflow already uses layergate; add a step after this build by hand"
        } else if is_open
            && starts.iter().any(|start| start.events != 0 && start.file.starts_on("workflow_call"))
        {
            // GitHub refuses a call whose jobs ask for more than the calling job grants.
            "other workflows call this one and may not grant the permissions that the comment needs; add the steps by hand"
        } else if let Some(columns) = columns {
            return Ok((columns, starts.iter().fold(0, |all, start| all | start.events)));
        } else {
            "the step is in flow style, or has an anchor, alias or tag"
        };
        Err(format!("not followed: {why}"))
    }

    /// The lines of an input, which may also be separated by commas.
    fn list(&self, key: &str) -> Vec<String> {
        let parts = self.node.input(key).split(['\n', ',']).map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    fn build_push(&self) -> Result<BuiltImages, String> {
        let input = |key: &str| self.node.input(key);
        let is_off = |key: &str| matches!(input(key), "" | "false");
        if !is_off("outputs") && is_off("push") && input("outputs").lines().all(is_no_image) {
            return Err(format!("builds no image: its output is {}", input("outputs")));
        }
        let context = input("context").trim_start_matches("{{defaultContext}}").trim_start_matches(':');
        let context = if context.is_empty() { "." } else { context };
        let (file, target, tag) = (input("file"), input("target"), self.tag());
        // The path is relative to the workspace, whatever is built from.
        let dockerfile = match file {
            "" => dockerfile_of(context, None, self.tree),
            file => path::join(".", file),
        };
        // One platform without attestations, which nothing takes elsewhere.
        let of_shipping = ["push", "load", "outputs", "provenance", "sbom", "attests"];
        let may_load = of_shipping.iter().all(|key| is_off(key))
            && !input("platforms").contains([',', '\n', '$'])
            && self.node.get("with").is_some();
        let delivery =
            match tag.clone() {
                Some(tag) if input("load") == "true" || !self.has_builder => {
                    Delivery::Present(vec![in_engine(&tag)])
                }
                tag if may_load && (tag.is_some() || is_off("tags")) => Delivery::Load(tag),
                _ if self.has_builder => Delivery::Copy(Vec::new()),
                _ => return Err(
                    "not followed: the tag is unknown, and a second build needs docker/setup-buildx-action"
                        .into(),
                ),
            };
        Ok(BuiltImages {
            images: vec![image_of(dockerfile, Some(target), tag.as_deref(), self.tree)],
            key: [context, file, target, input("build-args")].join("\n"),
            delivery,
            context: path::join(".", context).filter(|context| !context.contains("${{")),
        })
    }

    /// The first tag, if it certainly is one tag.
    fn tag(&self) -> Option<String> {
        let first = self.list("tags").into_iter().next()?;
        let of_step =
            first.strip_prefix("${{").and_then(|text| text.strip_suffix("}}")?.trim().strip_prefix("steps."));
        let Some(output) = of_step else { return Some(first).filter(|tag| name::is_reference(tag)) };
        let id = output.strip_suffix(".outputs.tags")?;
        let is_metadata =
            |step: &&YamlNode| step.text_of("id") == Some(id) && action_of(step) == "docker/metadata-action";
        self.host.steps.iter().find(is_metadata)?;
        Some(format!("${{{{ fromJSON(steps.{id}.outputs.json).tags[0] }}}}"))
    }

    fn bake_action(&self) -> Result<BuiltImages, String> {
        let mut outputs = self.node.input("set").lines().filter(|line| line.contains(".output")).peekable();
        if outputs.peek().is_some() && outputs.all(is_no_image) {
            return Err("builds no image: its outputs are local".into());
        }
        let directory =
            Some(self.node.input("workdir")).filter(|directory| !directory.is_empty()).unwrap_or(".");
        let files = self.list("files").iter().map(|file| path::join(directory, file)).collect();
        self.bake(files, &self.list("targets"), self.has_builder)
    }

    /// The targets that docker names, and where the engine has each; with a builder of its own it has none.
    pub fn bake(
        &self,
        files: Option<Vec<String>>,
        targets: &[String],
        has_builder: bool,
    ) -> Result<BuiltImages, String> {
        let files = files.ok_or("not followed: a bake file is not in the repository")?;
        let key = format!("bake\n{}\n{}", files.join("\n"), targets.join("\n"));
        if key.contains('$') {
            return Err("not followed: its bake files or targets are an expression".into());
        }
        let more: Vec<&str> = ["--"].into_iter().chain(targets.iter().map(String::as_str)).collect();
        let answer = self.tree.ask(&["buildx", "bake", "--print"], &files, &more)?;
        let (mut images, mut tags) = (Vec::new(), Vec::new());
        for (name, target) in answer["target"].as_object().into_iter().flatten() {
            let outputs = target["output"].as_array().map(Vec::as_slice).unwrap_or_default();
            if outputs.is_empty() || !outputs.iter().all(|output| is_no_image(&output.to_string())) {
                images.push(answered(name, target, self.tree)?);
                tags.push(target["tags"][0].as_str().filter(|tag| name::is_reference(tag)).map(in_engine));
            }
        }
        if images.is_empty() {
            return Err("builds no image: its targets have other outputs".into());
        }
        let tags = tags.into_iter().collect::<Option<Vec<String>>>().map(Delivery::Present);
        let copy = || Delivery::Copy(images.iter().map(|image| image.name.clone()).collect());
        let delivery = if has_builder { Some(copy()) } else { tags };
        let delivery = delivery.ok_or("not followed: a target has no tag, so its image has no name")?;
        Ok(BuiltImages { images, key, delivery, context: None })
    }
}

/// Whether an output, as an option or in an answer of docker, is no image. One without a type is a directory.
fn is_no_image(output: &str) -> bool {
    let output = output.replace("\":\"", "=");
    !output.contains("type=") || NO_IMAGE.iter().any(|kind| output.contains(kind))
}

/// A tag as layergate finds it in the engine.
pub fn in_engine(tag: &str) -> String {
    format!("docker-daemon:{tag}")
}

/// The image of a build: called by its tag, by the place of its Dockerfile, or as the repository.
pub fn image_of(
    dockerfile: Option<String>,
    target: Option<&str>,
    tag: Option<&str>,
    tree: &RepositoryTree<'_>,
) -> CheckedImage {
    let name = tag.and_then(name::of_tag).unwrap_or_else(|| tree.name_of(dockerfile.as_deref()));
    CheckedImage { name, dockerfile, target: target.filter(|target| !target.is_empty()).map(str::to_owned) }
}

/// The Dockerfile of a context: the one that is named relative to it, else the usual one.
pub fn dockerfile_of(context: &str, file: Option<&str>, tree: &RepositoryTree<'_>) -> Option<String> {
    let names = file.map_or(vec!["Dockerfile", "dockerfile"], |file| vec![file]);
    let mut paths = names.iter().filter_map(|name| path::join(context, name));
    paths.find(|path| path.contains("${{") || (tree.exists)(path))
}

/// An image as docker answers. Nothing of an answer becomes an expression.
pub fn answered(
    name: &str,
    build: &serde_json::Value,
    tree: &RepositoryTree<'_>,
) -> Result<CheckedImage, String> {
    let text = build.to_string();
    if !name::is_word(name) || text.contains("${{") || !super::is_visible(&text) {
        return Err(format!("not followed: {name} has characters that init does not write into workflows"));
    }
    let context = build["context"].as_str().unwrap_or(".");
    let dockerfile = dockerfile_of(context, build["dockerfile"].as_str(), tree);
    Ok(CheckedImage {
        name: name.to_owned(),
        dockerfile,
        target: build["target"].as_str().map(str::to_owned),
    })
}
