//! Which images a repository has, and how each is built: by its workflows, else by its bake or compose files, else by
//! the Dockerfiles that do not look like those of a test.

use std::collections::{BTreeMap, BTreeSet};

use super::{Build, By, Image, Plan, Reading, Tree, bake, compose, names, path, workflows};
use crate::dockerfile::{BuildOptions, Dockerfile, UNKNOWN};
use crate::image::Outcome;
use crate::policy::stages::{Told, judge_dockerfile};

/// More images are left out.
const MAX_IMAGES: usize = 100;
/// What the runners are that the workflow runs on.
const RUNNER: &str = "linux/amd64";
/// Parts of paths of Dockerfiles whose images are not shipped.
const UNSHIPPED: [&str; 25] = [
    "vendor",
    "third_party",
    "target",
    "cache",
    "dev",
    "development",
    "debug",
    "local",
    "test",
    "tests",
    "testing",
    "testdata",
    "fixtures",
    "e2e",
    "integration",
    "example",
    "examples",
    "sample",
    "samples",
    "docs",
    "bench",
    "benchmark",
    "benchmarks",
    "ci",
    "devcontainer",
];

/// A repository without any image that is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nothing {
    /// What was not understood.
    pub notes: Vec<String>,
}

/// What to write for a repository whose pushes to `branch` are recorded in `store`.
///
/// # Errors
/// [`Nothing`].
pub fn plan(tree: &Tree<'_>, branch: &str, store: &str) -> Result<Plan, Nothing> {
    let said = workflows::read(tree);
    let mut notes = said.notes;
    let mut builds = usable(said.builds, tree, &mut notes);
    if builds.is_empty() {
        builds = usable(of_files(tree, &mut notes), tree, &mut notes);
    }
    if builds.is_empty() {
        builds = of_dockerfiles(tree, &mut notes);
    }
    if builds.len() > MAX_IMAGES {
        notes.push(format!("there are {} images, and only the first {MAX_IMAGES} are taken", builds.len()));
        builds.truncate(MAX_IMAGES);
    }
    if builds.is_empty() {
        return Err(Nothing { notes });
    }
    let built: BTreeSet<&str> = builds.iter().filter_map(|build| build.dockerfile.as_deref()).collect();
    let left_out = tree.dockerfiles.iter().filter(|file| !built.contains(file.as_str())).cloned().collect();
    let names = named(&builds, &tree.repository.1);
    let images =
        builds.into_iter().zip(names).map(|(build, name)| image(name, build, tree, &mut notes)).collect();
    Ok(Plan {
        images,
        branch: branch.to_owned(),
        store: store.to_owned(),
        checkout: said.checkout,
        notes,
        left_out,
        gated: said.gated,
    })
}

/// The builds that can be repeated here, each once.
fn usable(builds: Vec<Build>, tree: &Tree<'_>, notes: &mut Vec<String>) -> Vec<Build> {
    let mut usable: Vec<Build> = Vec::new();
    let mut variables = BTreeMap::new();
    for mut build in builds {
        let missing = build.dockerfile.as_deref().filter(|file| !(tree.exists)(file));
        if let Some(missing) = missing {
            let note = format!(
                "{}: an image is left out, because its Dockerfile {missing} is not there",
                build.origin
            );
            notes.extend(Some(note).filter(|note| !notes.contains(note)));
            continue;
        }
        // What one file builds with several arguments are several images; what several files build alike is mostly one,
        // in a test and for a release.
        let same = |other: &&mut Build| {
            (&other.context, &other.dockerfile, &other.target)
                == (&build.context, &build.dockerfile, &build.target)
                && (other.arguments == build.arguments || other.origin != build.origin)
                && build.dockerfile.is_some()
        };
        match usable.iter_mut().find(same) {
            Some(other) => {
                if other.arguments != build.arguments {
                    notes.push(format!(
                        "{}: builds {} with other arguments than {}; these are the ones that are taken",
                        build.origin,
                        build.dockerfile.as_deref().unwrap_or_default(),
                        other.origin
                    ));
                }
                other.name = other.name.take().or(build.name);
            }
            None if runs_here(&mut build, &mut variables, notes) => usable.push(build),
            None => {}
        }
    }
    usable
}

/// Sees to it that a runner can build it as the workflow will have it; whether it can. What one step sets for compose
/// gets into `variables`.
fn runs_here(build: &mut Build, variables: &mut BTreeMap<String, String>, notes: &mut Vec<String>) -> bool {
    let subject = build.dockerfile.clone().or(build.name.clone()).unwrap_or_else(|| "an image".into());
    if build.platforms.iter().any(|platform| platform != RUNNER) {
        let platforms = build.platforms.join(", ");
        notes.push(format!(
            "{}: {subject} is built for {platforms}; what is checked is the image for {RUNNER}, which is what the runner builds",
            build.origin
        ));
    }
    let By::Compose { image, variables: own, .. } = &build.by else { return true };
    let foreign = build.platforms.iter().any(|platform| platform != RUNNER);
    let differs = |(name, value): (&String, &String)| variables.get(name).is_some_and(|other| other != value);
    let why = if !is_reference(image) {
        "what it calls the image is not known"
    } else if own.iter().any(differs) {
        "a variable has another default there"
    } else if foreign && build.dockerfile.is_some() {
        "it is for other platforms too"
    } else {
        variables.extend(own.clone());
        return true;
    };
    // What a Dockerfile inside of a compose file builds, compose alone can build.
    if build.dockerfile.is_none() {
        notes.push(format!("{}: {subject} is left out, because {why}", build.origin));
        return false;
    }
    notes.push(format!("{}: {subject} is built by `docker build`, because {why}", build.origin));
    build.by = By::Docker;
    true
}

/// Whether an engine takes this for the name of an image.
fn is_reference(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, "latest"),
    };
    !text.contains(UNKNOWN)
        && name.chars().all(allowed)
        && name.split(['/', ':']).all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
        })
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && text.len() <= 255
}

/// What bake files, or else compose files, at the root build.
fn of_files(tree: &Tree<'_>, notes: &mut Vec<String>) -> Vec<Build> {
    let there = |names: &[&str]| -> Vec<String> {
        names.iter().filter(|name| (tree.exists)(name)).map(|name| (*name).to_owned()).collect()
    };
    let bake = there(&bake::USUAL);
    let read = if bake.is_empty() { None } else { Some(bake::builds(&bake, &[], ".", tree)) };
    let of_bake = take(read, notes);
    if !of_bake.is_empty() {
        return of_bake;
    }
    let compose = there(&compose::USUAL).into_iter().next();
    take(compose.map(|file| compose::builds(&[file], &[], tree)), notes)
}

fn take(read: Option<Reading>, notes: &mut Vec<String>) -> Vec<Build> {
    match read {
        None => Vec::new(),
        Some(Ok((builds, said))) => {
            notes.extend(said);
            builds
        }
        Some(Err(why)) => {
            notes.push(format!("not looked at: {why}"));
            Vec::new()
        }
    }
}

/// A build of each Dockerfile that looks like one of an image that is shipped; of all, where none does.
fn of_dockerfiles(tree: &Tree<'_>, notes: &mut Vec<String>) -> Vec<Build> {
    let is_unshipped = |file: &&String| {
        let lower = file.to_ascii_lowercase();
        lower.split(['/', '.']).any(|part| UNSHIPPED.contains(&part))
    };
    let (unshipped, shipped): (Vec<&String>, Vec<&String>) = tree.dockerfiles.iter().partition(is_unshipped);
    let of = |file: &String| {
        let path = path::join(".", file)?;
        Some(Build {
            origin: path.clone(),
            name: None,
            context: context_of(&path, tree),
            dockerfile: Some(path),
            target: None,
            arguments: Vec::new(),
            platforms: Vec::new(),
            by: By::Docker,
        })
    };
    let files = if shipped.is_empty() { unshipped } else { shipped };
    if files.len() > MAX_IMAGES {
        notes.push(format!(
            "there are {} Dockerfiles, and only the first {MAX_IMAGES} are taken",
            files.len()
        ));
    }
    files.into_iter().take(MAX_IMAGES).filter_map(of).collect()
}

/// The directory that a Dockerfile is built from: its own, unless what it copies is only there from the root.
fn context_of(file: &str, tree: &Tree<'_>) -> String {
    let own = path::parent(file);
    let Some(dockerfile) = tree.text(file).ok().and_then(|text| Dockerfile::parse(&text).ok()) else {
        return own.to_owned();
    };
    let instructions = dockerfile.stages().iter().flat_map(|stage| &stage.instructions);
    let copies = instructions.filter(|one| matches!(one.keyword, "COPY" | "ADD"));
    let copies = copies
        .filter(|one| !one.flags.iter().any(|flag| flag.name == "from") && one.here_documents.is_empty());
    let (mut here, mut at_root) = (0, 0);
    for copy in copies.take(200) {
        let words =
            copy.json().unwrap_or_else(|| copy.arguments.split_whitespace().map(str::to_owned).collect());
        let sources = words.split_last().map(|(_, sources)| sources).unwrap_or_default();
        let is_literal = |source: &&String| !source.contains(['*', '?', '[', '$', '"', '\'']);
        for source in sources.iter().filter(is_literal).take(20) {
            // A source is told from the context whatever it starts with.
            let source = source.trim_start_matches('/');
            let there = |directory: &str| {
                !source.is_empty()
                    && path::join(directory, source).is_some_and(|path| path != "." && (tree.exists)(&path))
            };
            here += usize::from(there(own));
            at_root += usize::from(there("."));
        }
    }
    if at_root > here { ".".to_owned() } else { own.to_owned() }
}

/// A name for each build: its own, that of its place, or the repository's; where two have the same, with what tells
/// them apart.
fn named(builds: &[Build], repository: &str) -> Vec<String> {
    let base = |build: &Build| {
        let own = build.name.as_deref().and_then(names::plain);
        let place =
            || build.dockerfile.as_deref().and_then(names::of_path).and_then(|name| names::plain(&name));
        own.or_else(place).or_else(|| names::plain(repository)).unwrap_or_else(|| "app".into())
    };
    let bases: Vec<String> = builds.iter().map(base).collect();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut named = Vec::new();
    for (build, base) in builds.iter().zip(&bases) {
        let is_alone = bases.iter().filter(|other| *other == base).count() == 1;
        let with = |text: &str| names::plain(&format!("{base} {text}"));
        let place = build.dockerfile.as_deref().and_then(names::of_path).filter(|place| place != base);
        // `a/api` and `b/api`
        let directory = build.dockerfile.as_deref().map(path::parent).and_then(names::plain);
        let parts = [build.target.clone(), place];
        let apart = parts.iter().flatten().filter_map(|part| with(part)).chain(directory);
        let first = if is_alone { Some(base.clone()) } else { None };
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let mut candidates =
            first.into_iter().chain(apart.filter(|_| !is_alone)).chain([base.clone()]).chain(numbered);
        let name = candidates.find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(name.clone());
        named.push(name);
    }
    named
}

fn image(name: String, build: Build, tree: &Tree<'_>, notes: &mut Vec<String>) -> Image {
    let reference = match &build.by {
        By::Compose { image, .. } => of_engine(image),
        By::Docker | By::Bake { .. } => format!("{name}:ci"),
    };
    if super::workflow::arguments(&build).count() < build.arguments.len() {
        notes.push(format!(
            "{}: a build argument of {name} is left out, because it looks like a secret or is no plain text",
            build.origin
        ));
    }
    let (staged, stages) = match stages_of(&build, tree) {
        Ok(judged) => judged,
        Err(why) => {
            notes.push(format!("{}: {why}", build.dockerfile.as_deref().unwrap_or(&build.origin)));
            (false, None)
        }
    };
    Image { name, build, reference, staged, stages }
}

/// The name of an image as layergate takes it for that of an engine: with a tag it is no path, and with its transport
/// it is of no other one.
fn of_engine(image: &str) -> String {
    let tagged = match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => image.to_owned(),
        _ => format!("{image}:latest"),
    };
    match tagged.split_once(':') {
        Some((first, _)) if names::TRANSPORTS.contains(&first) => format!("docker-daemon:{tagged}"),
        _ => tagged,
    }
}

/// Whether the Dockerfile passes as one that builds in stages, and what is said of it.
fn stages_of(build: &Build, tree: &Tree<'_>) -> Result<(bool, Option<String>), String> {
    let Some(path) = &build.dockerfile else { return Ok((false, None)) };
    let dockerfile = Dockerfile::parse(&tree.text(path)?).map_err(|error| error.to_string())?;
    let options =
        BuildOptions { target: build.target.clone(), args: build.arguments.iter().cloned().collect() };
    let facts = dockerfile.facts(&options).map_err(|error| error.to_string())?;
    let judged = judge_dockerfile(Told { path, facts: &facts });
    let passes = judged.multi_stage == Some(true) && judged.outcome == Outcome::Pass;
    // That there is no image yet goes without saying.
    let reason = judged.reason.split(" (by the Dockerfile").next().unwrap_or_default().to_owned();
    Ok((passes, Some(reason)))
}
