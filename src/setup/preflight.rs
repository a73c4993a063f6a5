//! What a Dockerfile tells before it is built: what would fail, and which Dockerfiles make images that ship.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::build::ImageBuildStep;
use super::gate::MatrixRow;
use super::workflow::{Hosts, PULL};
use super::yaml::YamlNode;
use super::{CheckedImage, RepositoryTree, name};
use crate::dockerfile::{BuildOptions, CopyOrigin, Dockerfile, Stage, StageBase, is_template};

/// Maximum number of images in a new workflow.
const MAX_IMAGES: usize = 50;
/// Maximum number of sources checked in one stage.
const MAX_SOURCES: usize = 1000;
/// Parts of paths of Dockerfiles whose images do not ship.
const UNSHIPPED: &str = "devcontainer playwright cypress dev development test tests testing e2e ci example examples \
    sample samples docs fixtures testdata bench benchmarks playground";
/// Windows base images.
const WINDOWS: [&str; 3] = ["windows/", "nanoserver", "servercore"];

/// Reports what would fail in the build of an image. `arguments` has its build arguments.
pub fn look(
    image: &CheckedImage,
    context: Option<&str>,
    arguments: &str,
    tree: &RepositoryTree<'_>,
    notes: &mut Vec<String>,
) {
    let Some(file) = image.dockerfile.as_deref().filter(|file| !file.contains("${{")) else { return };
    let text = (tree.read)(file);
    let dockerfile = match text.and_then(|text| Dockerfile::parse(&text).map_err(|error| error.to_string())) {
        Ok(dockerfile) => dockerfile,
        Err(why) => return notes.push(format!("{file}: would fail: {why}")),
    };
    let target = image.target.clone().filter(|target| name::is_word(target));
    let options = BuildOptions { target, ..BuildOptions::default() };
    notes.extend(dockerfile.plan(&options).err().map(|why| format!("{file}: would fail: {why}")));
    for stage in dockerfile.stages() {
        let why = match &stage.resolved {
            _ if is_windows(stage) => Some("would fail: a Windows image on a Linux runner".into()),
            StageBase::Unresolved(base) => lacking(base, arguments).map(|name| {
                format!("check: the base image {base} needs the build argument {name}, which has no default")
            }),
            StageBase::Image(base) => {
                let inspect = ["buildx", "imagetools", "inspect", "--format", "{{json .Name}}", "--", base];
                let answer = tree.ask.and_then(|ask| ask(&inspect).err());
                answer.map(|why| format!("check: docker does not find the base image {base}: {why}"))
            }
            StageBase::Scratch | StageBase::Stage(_) => None,
        };
        notes.extend(why.map(|why| format!("{file}:{}: {why}", stage.line)));
        notes.extend(missing(stage, &dockerfile).into_iter().map(|(line, name)| {
            format!("{file}:{line}: check: no stage above is called {name}, so docker takes it for an image")
        }));
        let Some(context) = context else { continue };
        let lost = sources(stage).into_iter().filter(|(_, source)| !is_there(context, source, tree));
        notes.extend(lost.map(|(line, source)| {
            format!("{file}:{line}: check: {source} is not in the repository; an earlier step must create it")
        }));
    }
}

/// Reports which pull requests do not run a build.
pub fn look_at_triggers(
    build: &ImageBuildStep<'_>,
    hosts: &Hosts<'_>,
    tree: &RepositoryTree<'_>,
    notes: &mut Vec<String>,
) {
    let before = build.host.steps.iter().take_while(|step| !std::ptr::eq(*step, build.node));
    let mut before = build.host.get("runs-on").into_iter().chain(before).flat_map(YamlNode::texts);
    if build.is_in_each_row && before.any(|text| text.contains("matrix.")) {
        let place = &build.place;
        notes.push(format!(
            "{place}: check: only the first row of the matrix is checked: the build uses no value of it"
        ));
    }
    let starts = hosts.starts(build.host);
    let filters = |node: &YamlNode| {
        let (key, condition) = node.entry("if")?;
        condition.text()?.contains(".outputs.").then_some(key.line)
    };
    let jobs = starts.iter().map(|start| start.host).chain([build.host]);
    let nodes = jobs.filter_map(|host| Some((host.file, host.job?.1))).chain([(build.host.file, build.node)]);
    for (file, line) in nodes.filter_map(|(file, node)| Some((file, filters(node)?))) {
        notes.push(format!(
            "{}:{line}: check: when this `if:` skips the build, no size is checked",
            file.path
        ));
    }
    for file in starts.iter().filter(|start| start.events & PULL != 0).map(|start| start.host.file) {
        let on = file.root.get("on").and_then(|on| on.get("pull_request"));
        for (key, _) in
            on.into_iter().flat_map(|on| ["paths", "paths-ignore"].map(|key| on.entry(key))).flatten()
        {
            notes.push(format!(
                "{}:{}: check: pull requests that this filter leaves out are not checked; a required check would block them",
                file.path, key.line
            ));
        }
        if file.has_branch("pull_request", &tree.branch) == Some(false) {
            notes.push(format!(
                "{}: check: its pull requests target branches other than {}; name theirs with --branch",
                file.path, tree.branch
            ));
        }
    }
}

fn is_windows(stage: &Stage) -> bool {
    let base = stage.base.to_ascii_lowercase();
    WINDOWS.iter().any(|word| base.contains(word))
}

/// The variable without a value in a base image's name, if the build does not set it either.
fn lacking<'a>(base: &'a str, arguments: &str) -> Option<&'a str> {
    let name = base.split('$').nth(1)?.trim_start_matches('{');
    let name = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    let is_given = ["TARGET", "BUILD"].iter().any(|start| name.starts_with(start))
        || arguments.lines().any(|line| line.split('=').next() == Some(name));
    (!is_given).then_some(name)
}

/// Names that look like a stage but are none, each with its line: in `COPY --from`, a single word; in `FROM`, the name
/// of a later stage.
fn missing<'a>(stage: &'a Stage, dockerfile: &Dockerfile) -> Vec<(u32, &'a str)> {
    let is_below = |name: &str| dockerfile.stages().iter().any(|stage| stage.name.as_deref() == Some(name));
    let base = match &stage.resolved {
        StageBase::Image(base) if is_below(base) => Some((stage.line, base.as_str())),
        _ => None,
    };
    let copied = stage.uses.iter().filter_map(|one| match &one.origin {
        CopyOrigin::Image(name) if name::is_word(name) && !name.contains('.') => {
            Some((stage.instructions.get(one.instruction)?.line, name.as_str()))
        }
        _ => None,
    });
    base.into_iter().chain(copied).collect()
}

/// The literal sources that a stage copies from its context, each with its line.
fn sources(stage: &Stage) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for copy in stage.instructions.iter().filter(|one| matches!(one.keyword, "COPY" | "ADD")) {
        let is_from = copy.flags.iter().any(|flag| flag.name == "from") || !copy.here_documents.is_empty();
        let words =
            copy.json().unwrap_or_else(|| copy.arguments.split_whitespace().map(str::to_owned).collect());
        let own = words.split_last().map(|(_, sources)| sources).filter(|_| !is_from).unwrap_or_default();
        let odd = ['*', '?', '[', '$', '"', '\'', '\\'];
        let is_plain = |source: &&str| !source.is_empty() && !source.contains(odd) && !source.contains("://");
        let plain = own.iter().map(|source| source.trim_start_matches('/')).filter(is_plain);
        found.extend(plain.map(|source| (copy.line, source.to_owned())));
    }
    found.truncate(MAX_SOURCES);
    found
}

fn is_there(context: &str, source: &str, tree: &RepositoryTree<'_>) -> bool {
    name::join(context, source).is_some_and(|path| path == "." || (tree.exists)(&path))
}

/// Matrix rows for the Dockerfiles of the repository. Those left out are reported. `builds` are those that no workflow
/// runs for pull requests and pushes.
pub fn rows(
    builds: &[ImageBuildStep<'_>],
    tree: &RepositoryTree<'_>,
    said: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Vec<MatrixRow> {
    let compose = tree.compose(&[]).unwrap_or_default();
    let (mut rows, mut taken) = (Vec::new(), BTreeSet::new());
    // By Dockerfile: the targets that workflows build, each with one of its builds.
    let mut built = BTreeMap::<&str, BTreeMap<Option<&str>, &ImageBuildStep<'_>>>::new();
    for (build, image) in
        builds.iter().flat_map(|build| build.found.images.iter().map(move |image| (build, image)))
    {
        let target = image.target.as_deref().filter(|target| name::is_word(target));
        built
            .entry(image.dockerfile.as_deref().unwrap_or_default())
            .or_default()
            .entry(target)
            .or_insert(build);
    }
    let is_any_built = tree.dockerfiles.iter().any(|file| built.contains_key(file.as_str()));
    for file in &tree.dockerfiles {
        let Ok(text) = (tree.read)(file) else { continue };
        let targets = built.remove(file.as_str());
        let dockerfile = match why_left_out(file, &text, rows.len()) {
            Ok(dockerfile) if targets.is_some() || !is_any_built => dockerfile,
            left_out => {
                let why = left_out
                    .err()
                    .unwrap_or_else(|| "the workflows build other Dockerfiles, not this one".into());
                said.push(format!("Left out: {file}: {why}."));
                notes.push(format!("{file}: left out: {why}"));
                continue;
            }
        };
        let targets = targets.map_or(vec![(None, None)], |targets| {
            targets.into_iter().map(|(target, build)| (target, Some(build))).collect()
        });
        for (target, build) in &targets {
            let known = build.and_then(|build| {
                Some((build.found.context.clone()?, Some(format!("compare with {}", build.place))))
            });
            let (context, check) = known.unwrap_or_else(|| context_of(file, &dockerfile, &compose, tree));
            let mut image = tree.image(Some(file.clone()), *target, None);
            if let Some(target) = target.filter(|_| targets.len() > 1) {
                image.name = format!("{}-{target}", image.name);
            }
            image.name = name::unique(&image, &mut taken);
            let mut todo = Vec::new();
            look(&image, Some(&context), "", tree, &mut todo);
            notes.extend(todo.iter().cloned());
            rows.push(MatrixRow { image, context, check, todo });
        }
    }
    rows
}

/// The Dockerfile, or why no image is built from it.
fn why_left_out(file: &str, text: &str, taken: usize) -> Result<Dockerfile, String> {
    let lower = file.to_ascii_lowercase();
    let is_unshipped = |part: &&str| UNSHIPPED.split_whitespace().any(|word| word == *part);
    if file.contains("${{") {
        return Err("GitHub would read its path as an expression".into());
    }
    if let Some(part) = lower.split(['/', '.', '-', '_']).find(is_unshipped) {
        return Err(format!("`{part}` in its path suggests that it does not ship"));
    }
    if is_template(file, text) {
        return Err("it is a template".into());
    }
    let dockerfile = Dockerfile::parse(text).map_err(|error| error.to_string())?;
    if dockerfile.stages().iter().any(is_windows) {
        return Err("it builds a Windows image, but the runner is Linux".into());
    }
    if taken >= MAX_IMAGES { Err(format!("there are more than {MAX_IMAGES}")) } else { Ok(dockerfile) }
}

/// The build context of a Dockerfile: what compose says, else the directory that has what it copies; with a note if
/// this is a guess.
fn context_of(
    file: &str,
    dockerfile: &Dockerfile,
    compose: &Value,
    tree: &RepositoryTree<'_>,
) -> (String, Option<String>) {
    for (_, service) in compose["services"].as_object().into_iter().flatten() {
        let build = &service["build"];
        let own = build["dockerfile"].as_str().unwrap_or("Dockerfile");
        let context = build["context"].as_str().and_then(|context| name::join(".", context));
        if let Some(context) = context.filter(|context| name::join(context, own).as_deref() == Some(file)) {
            return (context, None);
        }
    }
    let all: Vec<(u32, String)> = dockerfile.stages().iter().flat_map(sources).collect();
    let count = |directory: &str| {
        all.iter().filter(|(_, source)| source != "." && is_there(directory, source, tree)).count()
    };
    match file.rsplit_once('/') {
        None => (".".into(), None),
        Some((own, _)) if count(".") > count(own) => {
            (".".into(), Some("guessed from its COPY sources".into()))
        }
        Some((own, _)) => (own.to_owned(), Some("guessed from the Dockerfile's directory".into())),
    }
}
