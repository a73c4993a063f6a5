//! The steps that build images, and where each leaves its image.

use std::collections::BTreeSet;

use serde_json::Value;

use super::workflow::{Events, Host, Hosts, PULL, action_of, events_of};
use super::yaml::YamlNode;
use super::{CheckedImage, RepositoryTree, name, script};

/// Why a step is skipped.
pub const ONLY_CHECKS: &str = "builds no image: it only checks the Dockerfile";
/// Outputs that are not images.
const NO_IMAGE: [&str; 3] = ["type=local", "type=tar", "type=cacheonly"];
/// Parts of the names of actions and reusable workflows that build images but are not supported here.
const UNKNOWN_BUILDERS: &str =
    "docker-build build-docker build-push publish-docker buildah kaniko build-image container-build";

/// How an image gets to layergate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The step leaves it where these references find it, one for each image.
    Present(Vec<String>),
    /// `load: true` is added to the step, which ships nothing, and a tag of layergate's own if it has none.
    Load(Option<String>),
    /// The step runs again, writing OCI archives; with bake's targets, one for each image.
    Copy(Vec<String>),
}

/// What a step builds.
#[derive(Debug)]
pub struct BuiltImages {
    pub images: Vec<CheckedImage>,
    /// Identifies the build as written: builds with the same key build the same.
    pub key: String,
    pub delivery: Delivery,
    /// The build context's directory, if known.
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
    /// Whether it is run again, writing archives for layergate.
    pub copies: bool,
    /// The events for which its image, or that of its copy, can be measured.
    pub events: Events,
    /// Whether the rows of a matrix build the same, so that the first one is enough.
    pub is_in_each_row: bool,
}

/// The builds of a job or action. Steps that are not followed are reported.
pub fn find<'a>(
    host: &'a Host<'a>,
    hosts: &Hosts<'a>,
    tree: &RepositoryTree<'_>,
    notes: &mut Vec<String>,
) -> Vec<ImageBuildStep<'a>> {
    let has_builder = sets_up_builder(host) || host.job.is_none() && hosts.all.iter().any(sets_up_builder);
    let mut builds = Vec::new();
    let reach = hosts.starts(host).iter().fold(0, |all, start| all | start.events);
    for node in host.nodes() {
        let step = WorkflowStep { host, node, tree, has_builder };
        for (line, found) in step.found() {
            let place = format!("{}:{line}", host.file.path);
            match found.and_then(|found| Ok((found, step.columns(hosts)?))) {
                Err(why) if why.starts_with("not followed") && reach & PULL == 0 => {
                    notes.push(tree.says_no_pull_request(&place));
                }
                Err(why) => notes.push(format!("{place}: {why}")),
                Ok((found, columns)) => {
                    let own = reach & events_of(node.text_of("if"), &tree.branch);
                    let is_copied = own != reach && has_builder && node.get("uses").is_some();
                    let copies = matches!(found.delivery, Delivery::Copy(_)) || is_copied;
                    let events = if copies { reach } else { own };
                    let is_in_each_row = false;
                    let build =
                        ImageBuildStep { host, node, place, columns, found, copies, events, is_in_each_row };
                    builds.push(build);
                }
            }
        }
    }
    builds
}

impl ImageBuildStep<'_> {
    /// Gives the images names that distinguish the rows of a matrix and the callers of a reusable workflow, using each
    /// variable that has several values and that the step uses. Only values that can be part of a file name can be part
    /// of an image's name; a report includes the platform.
    pub fn name_apart(&mut self, hosts: &Hosts<'_>, tree: &RepositoryTree<'_>) -> Result<(), &'static str> {
        let values = |variable: &String| hosts.values(self.host, variable, 0);
        let fits = |variable: &String| values(variable).into_iter().all(name::is_word);
        // Inputs that callers in different runs give, such as a release's `push: true`, distinguish nothing.
        let starts = hosts.starts(self.host);
        let files: BTreeSet<&str> = starts.iter().map(|start| start.host.file.path.as_str()).collect();
        let mut callers = starts.iter().filter(|start| !std::ptr::eq(start.host, self.host));
        let is_called_often =
            starts.len() > files.len() || callers.any(|start| start.host.get("strategy").is_some());
        let is_several = is_called_often || self.host.get("strategy").is_some();
        let platforms = name::variables(self.node.input("platforms")).0;
        let around = ["env", "defaults"].into_iter().filter_map(|key| self.host.get(key));
        let own: Vec<&str> = self.node.texts().into_iter().chain(around.flat_map(YamlNode::texts)).collect();
        let mut used: Vec<String> = own.iter().flat_map(|text| name::variables(text).0).collect();
        used.retain(|variable| !platforms.contains(variable));
        used.retain(|variable| is_called_often || variable.starts_with("matrix."));
        // The rows build the same, unless an `if:` selects some.
        let picks = self.node.text_of("if").is_some_and(|own| own.contains("matrix."));
        let varies = own.iter().filter(|text| text.contains("matrix.")).count() > usize::from(picks);
        if is_several && !is_called_often && !varies {
            self.is_in_each_row = !picks;
            return Ok(());
        }
        let most = |all: &[String]| all.iter().map(|one| values(one).len()).max().unwrap_or_default();
        let unfit: Vec<String> = used.iter().filter(|variable| !fits(variable)).cloned().collect();
        for image in &mut self.found.images {
            if !name::variables(&image.name).0.iter().all(fits) {
                image.name = tree.name_of(image.dockerfile.as_deref());
            }
            for variable in used.iter().filter(|variable| fits(variable) && values(variable).len() > 1) {
                if !name::variables(&image.name).0.contains(variable) {
                    image.name += &format!("-${{{{ {variable} }}}}");
                }
            }
            let told = name::variables(&image.name).0;
            let is_untold = told.is_empty() && platforms.is_empty();
            if is_several && (is_untold || most(&unfit) > most(&told)) {
                return Err("no literal matrix value or input tells its images apart; add the steps by hand");
            }
        }
        Ok(())
    }
}

/// Whether `docker/setup-buildx-action` provides a builder that keeps its results, as all drivers but `docker` do.
fn sets_up_builder(host: &Host<'_>) -> bool {
    let is_setup =
        |step: &YamlNode| action_of(step) == "docker/setup-buildx-action" && step.input("driver") != "docker";
    host.steps.iter().any(is_setup)
}

/// A step and its surroundings.
pub struct WorkflowStep<'a> {
    pub host: &'a Host<'a>,
    pub node: &'a YamlNode,
    pub tree: &'a RepositoryTree<'a>,
    /// Whether its own builder keeps what is built.
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
            "docker/bake-action" => self.bake(),
            _ if action.starts_with('.') || action.contains("/setup-") => return Vec::new(),
            _ if UNKNOWN_BUILDERS.split(' ').any(|part| action.contains(part)) => {
                // No step can be added to a workflow of another repository.
                let is_job = self.host.job.is_some_and(|(_, job)| std::ptr::eq(job, self.node));
                let verdict = if is_job { "check" } else { "not followed" };
                Err(format!("{verdict}: {action} may build an image"))
            }
            _ => return Vec::new(),
        };
        vec![(key.line, found)]
    }

    /// Its columns, if steps can be inserted after it.
    fn columns(&self, hosts: &Hosts<'_>) -> Result<(usize, usize), &'static str> {
        let (host, starts, is_open) = (self.host, hosts.starts(self.host), !self.host.is_gated());
        let is_shown = |text: &str| super::is_visible(&text.replace(['\n', '\t'], ""));
        let is_windows = |label: &str| label.to_ascii_lowercase().contains("windows");
        let is_block = self.node.is_block && self.node.get("with").is_none_or(|with| with.is_block);
        if !self.node.texts().into_iter().all(is_shown) {
            return Err("not followed: the step has invisible characters");
        }
        let labels = host.get("runs-on").map(YamlNode::texts).unwrap_or_default();
        let rows = host.get("strategy").filter(|_| labels.iter().any(|label| label.contains("matrix.")));
        let mut rows = rows.map(YamlNode::texts).unwrap_or_default().into_iter();
        if labels.iter().any(|label| is_windows(label)) || rows.any(|label| label.starts_with("windows-")) {
            return Err("not followed: it runs on Windows; layergate checks images on Linux runners");
        }
        if host.job.is_none() && !host.file.path.contains('/') {
            return Err("not followed: other repositories use this action; add layergate where it is used");
        }
        if is_open && starts.iter().any(|start| start.host.file.is_gated()) {
            return Err("not followed: the workflow already uses layergate; add a step by hand");
        }
        // GitHub refuses a call whose jobs request more permissions than the calling job grants.
        if is_open && starts.iter().any(|start| start.host.file.starts_on("workflow_call")) {
            return Err(
                "not followed: other workflows call this one and may not grant what the comment needs",
            );
        }
        let dash = host.dash.filter(|_| is_block);
        let dash = dash.ok_or("not followed: the step is in flow style, or has an anchor, alias or tag")?;
        Ok((dash, self.node.column))
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
        // The path is relative to the workspace, whatever the context.
        let dockerfile = match file {
            "" => self.tree.dockerfile_of(context, None),
            file => name::join(".", file),
        };
        // One platform without attestations, which the step does not send anywhere.
        let of_shipping = ["push", "load", "outputs", "provenance", "sbom", "attests"];
        let may_load = of_shipping.iter().all(|key| is_off(key))
            && !input("platforms").contains([',', '\n', '$'])
            && self.node.get("with").is_some();
        let delivery = match &tag {
            Some(tag) if input("load") == "true" || !self.has_builder => {
                Delivery::Present(vec![in_engine(tag)])
            }
            _ if may_load && (tag.is_some() || is_off("tags")) => Delivery::Load(tag.clone()),
            _ if self.has_builder => Delivery::Copy(Vec::new()),
            _ => return Err("not followed: without a tag, it needs docker/setup-buildx-action".into()),
        };
        Ok(BuiltImages {
            images: vec![self.tree.image(dockerfile, Some(target), tag.as_deref())],
            key: [context, file, target, input("build-args")].join("\n"),
            delivery,
            context: name::join(".", context).filter(|context| !context.contains("${{")),
        })
    }

    /// The first tag, if it is certainly a single tag.
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

    /// The targets that docker lists.
    fn bake(&self) -> Result<BuiltImages, String> {
        let (directory, targets) = (self.node.input("workdir"), self.list("targets"));
        let mut outputs = self.node.input("set").lines().filter(|line| line.contains(".output")).peekable();
        if outputs.peek().is_some() && outputs.all(is_no_image) {
            return Err("builds no image: its outputs are local".into());
        }
        let files = self.list("files").into_iter().map(|file| name::join(directory, &file));
        let files: Option<Vec<String>> = files.collect();
        let files = files.ok_or("not followed: a bake file is not in the repository")?;
        let key = format!("bake\n{}\n{}", files.join("\n"), targets.join("\n"));
        if key.contains('$') || !self.has_builder {
            return Err("not followed: bake with expressions, or without docker/setup-buildx-action".into());
        }
        let more: Vec<&str> = ["--"].into_iter().chain(targets.iter().map(String::as_str)).collect();
        let answer = self.tree.ask(&["buildx", "bake", "--print"], &files, &more)?;
        let is_image = |target: &Value| {
            let outputs = target["output"].as_array().map(Vec::as_slice).unwrap_or_default();
            outputs.is_empty() || !outputs.iter().all(|output| is_no_image(&output.to_string()))
        };
        let all = answer["target"].as_object().into_iter().flatten().filter(|(_, target)| is_image(target));
        let images = all.map(|(name, target)| answered(name, target, self.tree));
        let images = images.collect::<Result<Vec<CheckedImage>, String>>()?;
        if images.is_empty() {
            return Err("builds no image: its targets have other outputs".into());
        }
        let delivery = Delivery::Copy(images.iter().map(|image| image.name.clone()).collect());
        Ok(BuiltImages { images, key, delivery, context: None })
    }
}

/// Whether an output, as an option or in docker's answer, is not an image. One without a type is a directory.
pub fn is_no_image(output: &str) -> bool {
    let output = output.replace("\":\"", "=");
    !output.contains("type=") || NO_IMAGE.iter().any(|kind| output.contains(kind))
}

/// A tag in the form that finds it in the engine.
pub fn in_engine(tag: &str) -> String {
    format!("docker-daemon:{tag}")
}

/// An image from docker's answer. Nothing in an answer becomes an expression.
pub fn answered(name: &str, build: &Value, tree: &RepositoryTree<'_>) -> Result<CheckedImage, String> {
    let text = build.to_string();
    if !name::is_word(name) || text.contains("${{") || !super::is_visible(&text) {
        return Err(format!("not followed: {name} has characters that init does not write into workflows"));
    }
    let context = build["context"].as_str().unwrap_or(".");
    let dockerfile = tree.dockerfile_of(context, build["dockerfile"].as_str());
    Ok(CheckedImage {
        name: name.to_owned(),
        dockerfile,
        target: build["target"].as_str().map(str::to_owned),
    })
}
