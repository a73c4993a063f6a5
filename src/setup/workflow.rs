//! The workflow that is written: one job that checks pull requests, one that records what is merged, and every line
//! or block of lines explained to somebody who reviews it.

use std::collections::BTreeMap;

use super::quote::{Script, comment, yaml, yaml_value};
use super::{ACTION, Build, By, CONFIGURATION, Image, Plan};
use crate::image::redact::redact_message;

/// What checks out, by its commit: a tag could be moved.
const CHECKOUT: &str = "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2";
/// What a runner is, for a builder that would else build for several.
const RUNNER: &str = "linux/amd64";
/// The variable that says how compose calls images without a name of their own.
const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";
/// How many commits keep their records.
const KEEP: usize = 500;

/// The text of `.github/workflows/layergate.yml`.
pub fn workflow(plan: &Plan) -> String {
    let images = if plan.images.len() == 1 { "image" } else { "images" };
    let builds = build_step(plan);
    let merged =
        checkout(plan, "The code as it would be merged. The token is not kept where a build could read it.");
    let pushed =
        checkout(plan, "The code that was pushed. The token is not kept where a build could read it.");
    let judged = step(plan, None);
    let recorded = step(plan, Some("record"));
    let (reads, writes) = permissions(plan);
    let about = comment(
        0,
        &format!(
            "Measures the container {images} of each pull request, compares {it} layer by layer with the {images} of the commit that the change is put on, says on the pull request what grew and why, and fails where a limit of {CONFIGURATION} is broken. Made by `layergate init` to start from; change what you like. https://github.com/layergate/layergate",
            it = if plan.images.len() == 1 { "it" } else { "them" },
        ),
    );
    let branch = yaml(&plan.branch);
    format!(
        "{about}name: image size

on:
  # What is pushed here is recorded: later changes are compared with it.
  push:
    branches: [{branch}]
  # Each pull request is checked, when it is opened and after every push to it.
  pull_request:

# No job may do anything but what it asks for below.
permissions: {{}}

concurrency:
  # Every push is recorded; of a pull request only the last one is checked.
  group: image-size-${{{{ github.event_name == 'push' && github.sha || github.ref }}}}
  cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}

jobs:
  check:
    # This name is what a rule for the branch can require.
    name: check the {images}
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-latest
    permissions:
{reads}    steps:
{merged}{builds}{judged}  record:
    # Runs after a merge, and never for a pull request: only merged code may change what is compared with.
    name: record the baseline
    if: github.event_name == 'push'
    runs-on: ubuntu-latest
    permissions:
{writes}    steps:
{pushed}{builds}{recorded}"
    )
}

/// What both jobs may do.
fn permissions(plan: &Plan) -> (String, String) {
    let mut reads = "      contents: read # to check out, and to read the baselines\n      pull-requests: write # for the comment; a run for a fork cannot write, and does without\n".to_owned();
    if plan.store.starts_with("git") {
        let writes = "      contents: write # to the branch of the baselines, which has nothing else\n";
        return (reads, writes.into());
    }
    reads += "      packages: read # where the baselines are in GitHub's own registry\n";
    let writes = "      contents: read # to check out\n      packages: write # where the baselines are in GitHub's own registry\n";
    (reads, writes.into())
}

fn checkout(plan: &Plan, about: &str) -> String {
    let mut out = comment(6, about);
    out += &format!("      - uses: {CHECKOUT}\n        with:\n          persist-credentials: false\n");
    if let Some(submodules) = &plan.checkout.submodules {
        out += &format!("          submodules: {} # as your other workflows do\n", yaml_value(submodules));
    }
    if plan.checkout.lfs {
        out += "          lfs: true # as your other workflows do\n";
    }
    out
}

/// The step that runs layergate.
fn step(plan: &Plan, command: Option<&str>) -> String {
    let mut out = String::new();
    if let Some(host) = plan.store.strip_prefix("oci:").and_then(|name| name.split('/').next()) {
        out += &comment(
            6,
            &format!("Before this step, log in to {host}, where baselines are kept (docker login)."),
        );
    }
    out += &comment(
        6,
        match command {
            None => {
                "Measures, compares with the baseline, judges and comments. It pushes nothing and runs nothing of the images."
            }
            Some(_) => "Measures and stores the sizes for this commit.",
        },
    );
    if ACTION.ends_with("@main") {
        out += &comment(
            6,
            "There is no release yet: this builds layergate from its source, which takes some minutes. A branch can move; the commit that you have read, in the place of main, cannot.",
        );
    }
    out += &format!("      - uses: {ACTION}\n        with:\n");
    if let Some(command) = command {
        out += &format!("          command: {command}\n");
    }
    out += "          # NAME=IMAGE, one a line: what reports and limits call it, and what the step above has built.\n";
    let lines: Vec<String> =
        plan.images.iter().map(|image| format!("{}={}", image.name, image.reference)).collect();
    match lines.as_slice() {
        [line] => out += &format!("          images: {line}\n"),
        lines => {
            out += "          images: |\n";
            lines.iter().for_each(|line| out += &format!("            {line}\n"));
        }
    }
    out += "          # Where the baselines are.";
    if plan.store.starts_with("git") {
        out += " The branch is made by the first push, and holds nothing else.";
    }
    out += &format!("\n          store: {}\n", yaml_value(&plan.store));
    if command.is_some() {
        out += &format!("          # Older records are taken out.\n          keep: {KEEP}\n");
    }
    out
}

/// The step that builds the images: those of compose and of bake files together, the others one by one.
fn build_step(plan: &Plan) -> String {
    let mut script = Script::default();
    let mut compose: BTreeMap<&[String], Vec<&Image>> = BTreeMap::new();
    let mut bake: BTreeMap<&[String], Vec<&Image>> = BTreeMap::new();
    for image in &plan.images {
        match &image.build.by {
            By::Docker => plain(image, &mut script),
            By::Compose { files, .. } => compose.entry(files).or_default().push(image),
            By::Bake { files, .. } => bake.entry(files).or_default().push(image),
        }
    }
    compose.iter().for_each(|(files, images)| with_compose(files, images, &mut script));
    bake.iter().for_each(|(files, images)| with_bake(files, images, &mut script));
    let origins: Vec<&str> = plan.images.iter().map(|image| image.build.origin.as_str()).collect();
    let one = origins.first().filter(|first| origins.iter().all(|origin| origin == *first));
    let as_there = match one {
        Some(origin) if origin.contains("/workflows/") || !compose.is_empty() || !bake.is_empty() => {
            format!(", as {} does", crate::report::escape::short_path(origin, 60))
        }
        _ => String::new(),
    };
    let mut out = comment(6, &format!("Builds what is measured{as_there}. Nothing is pushed."));
    out += "      - name: build\n";
    if !script.variables.is_empty() {
        let about = match compose.is_empty() {
            true => "Paths and values that a shell could take for something else, for the script below.",
            false => "What compose calls its images by, and what else the script below needs as it is.",
        };
        out += &format!("{}        env:\n", comment(8, about));
        for (name, value) in &script.variables {
            out += &format!("          {name}: {}\n", yaml_value(value));
        }
    }
    match script.lines.as_slice() {
        // A colon or a hash with a blank at its side is YAML's.
        [line] if !line.contains(": ") && !line.contains(" #") && !line.ends_with(':') => {
            out += &format!("        run: {line}\n")
        }
        lines => {
            out += "        run: |\n";
            lines.iter().for_each(|line| out += &format!("          {line}\n"));
        }
    }
    out
}

/// The build arguments that can be repeated: those with a name and one line, and no secrets.
pub(super) fn arguments(build: &Build) -> impl Iterator<Item = &(String, String)> {
    build.arguments.iter().filter(|(name, value)| {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let pair = format!("{name}={value}");
        is_name
            && value.len() <= 1024
            && !value.chars().any(char::is_control)
            && redact_message(&pair) == pair
    })
}

/// `docker build`.
fn plain(image: &Image, script: &mut Script) {
    let build = &image.build;
    let mut line = format!("docker build --tag {}", image.reference);
    let usual =
        if build.context == "." { "Dockerfile".into() } else { format!("{}/Dockerfile", build.context) };
    if let Some(file) = build.dockerfile.as_ref().filter(|file| **file != usual) {
        line += &format!(" --file {}", script.path("DOCKERFILE", file));
    }
    if let Some(target) = &build.target {
        line += &format!(" --target {}", script.word("TARGET", target));
    }
    for (name, value) in arguments(build) {
        line += &format!(" --build-arg {}", script.word("ARGUMENT", &format!("{name}={value}")));
    }
    line += &format!(" {}", script.path("CONTEXT", &build.context));
    script.lines.push(line);
}

/// `docker compose build`, of the services by their names: those of profiles too.
fn with_compose(files: &[String], images: &[&Image], script: &mut Script) {
    let mut line = "docker compose".to_owned();
    for file in files {
        line += &format!(" --file {}", script.path("FILE", file));
    }
    line += " build";
    for image in images {
        if let By::Compose { service, variables, .. } = &image.build.by {
            line += &format!(" {service}");
            for (name, value) in variables {
                if !script.variables.iter().any(|(own, _)| own == name) {
                    script.variables.push((name.clone(), value.clone()));
                }
            }
        }
    }
    // What the images are called that have no name of their own.
    if !script.variables.iter().any(|(name, _)| name == PROJECT_NAME) {
        script.variables.push((PROJECT_NAME.into(), super::compose::PROJECT.into()));
    }
    script.lines.push(line);
}

/// `docker buildx bake`. The images get names that are known, whatever tags the file makes up, and go to the engine.
fn with_bake(files: &[String], images: &[&Image], script: &mut Script) {
    let mut line = "docker buildx bake --load".to_owned();
    for file in files {
        line += &format!(" --file {}", script.path("FILE", file));
    }
    for image in images {
        let By::Bake { target, .. } = &image.build.by else { continue };
        line += &format!(" --set {target}.tags={}", image.reference);
        if !image.build.platforms.is_empty() {
            line += &format!(" --set {target}.platform={RUNNER}");
        }
    }
    for image in images {
        if let By::Bake { target, .. } = &image.build.by {
            line += &format!(" {target}");
        }
    }
    script.lines.push(line);
}
