//! `layergate stages`: how far Dockerfiles are with building in stages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::locate::{self, Locator};
use super::{Exit, UsageError, console, load_config, measure, printed_json, reading_options};
use crate::cli::{Format, Stages};
use crate::compare::{censuses, file_system};
use crate::dockerfile::{BuildOptions, Dockerfile};
use crate::image::Snapshot;
use crate::policy::stages::{Told, judge_dockerfile};
use crate::policy::{Build, Config, Judgement, Settings};
use crate::report::stages::{Adoption, Entry};
use crate::source::NamedImage;

/// The names that Dockerfiles have, where none is named.
const USUAL: [&str; 6] =
    ["Dockerfile", "Dockerfile.*", "*.Dockerfile", "*.dockerfile", "Containerfile", "Containerfile.*"];
/// Endings of files that only look so.
const OTHERS: [&str; 6] = ["dockerignore", "md", "bak", "orig", "j2", "tmpl"];
/// Directories whose Dockerfiles are nobody's here.
const FOREIGN: [&str; 2] = [".git", "node_modules"];
/// The most Dockerfiles of one run, and the deepest directory that is looked into.
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 64;

/// Runs the command.
///
/// # Errors
/// Where a named Dockerfile or an image cannot be read.
pub async fn run(arguments: &Stages) -> anyhow::Result<Exit> {
    let config = load_config(arguments.config.as_deref())?;
    let files = dockerfiles(&arguments.dockerfiles)?;
    if arguments.propose {
        return super::propose::run(arguments, &config, &files).await;
    }
    let images = assign(&arguments.image, &files, &config)?;
    let options = reading_options(&arguments.reading, None)?;
    let flags = arguments.build.settings();
    let mut locator = Locator::new(config.catalogue());
    let (mut entries, mut all_read) = (Vec::new(), true);
    for (index, file) in files.iter().enumerate() {
        let own: Vec<&Assigned> = images.iter().filter(|image| image.file == index).collect();
        let build = build_of(file, own.first().copied(), &config, &flags)?;
        let (dockerfile, path) = match locate::read(&file.path) {
            Ok((dockerfile, _)) => (dockerfile, file.path.display().to_string()),
            Err(error) => {
                all_read &= !file.named;
                console::warn(&error);
                entries.push(Entry::unreadable(file.path.display().to_string(), error));
                continue;
            }
        };
        for assigned in &own {
            for mut snapshot in measure(&assigned.image, &options, &arguments.reading).await? {
                // What the configuration says of the image is said of the name that it has there.
                if let Some(name) = &assigned.name {
                    snapshot.image.name.clone_from(name);
                }
                let censuses = censuses(&snapshot);
                let files = censuses.as_deref().map(file_system);
                let judged = locator
                    .explain(&mut snapshot, &assigned.image, &build, true, files.as_ref(), &options)
                    .await;
                entries.push(entry(&path, &dockerfile, &build, Some(&snapshot), judged));
            }
        }
        if own.is_empty() {
            entries.push(entry(&path, &dockerfile, &build, None, None));
        }
    }
    console::result(&rendered(Adoption::new(entries), arguments.format)?)?;
    Ok(if all_read { Exit::Success } else { Exit::Unreadable })
}

fn entry(
    path: &str,
    dockerfile: &Dockerfile,
    build: &Build,
    image: Option<&Snapshot>,
    judged: Option<Judgement>,
) -> Entry {
    let options = BuildOptions { target: build.target.clone(), args: build.arguments.clone() };
    match dockerfile.facts(&options) {
        Ok(facts) => {
            let judged = match image {
                None => Some(judge_dockerfile(Told { path, facts: &facts })),
                Some(_) => judged,
            };
            Entry::of(path.to_owned(), &facts, image, judged)
        }
        Err(error) => Entry::unreadable(path.to_owned(), error.to_string()),
    }
}

fn rendered(adoption: Adoption, format: Format) -> anyhow::Result<String> {
    let mut out = Vec::new();
    match format {
        Format::Text => adoption.write_text(console::instruction_width(), &mut out)?,
        Format::Markdown => adoption.write_markdown(&mut out)?,
        Format::Json => return Ok(printed_json(&adoption)?),
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// A Dockerfile to look at.
pub(super) struct File {
    pub path: PathBuf,
    /// Whether it was asked for by its name; one that was only found may be something else.
    named: bool,
}

/// An image, and which of the Dockerfiles it is of.
pub(super) struct Assigned {
    pub file: usize,
    pub image: NamedImage,
    /// The name that the configuration has for it.
    pub name: Option<String>,
}

/// How a Dockerfile is built: as the configuration says of its image, and by the flags.
pub(super) fn build_of(
    file: &File,
    image: Option<&Assigned>,
    config: &Config,
    flags: &Settings,
) -> anyhow::Result<Build> {
    let name = image.map(|image| image.name.clone().unwrap_or_else(|| image.image.display_name()));
    let name = name.or_else(|| config.image_of_dockerfile(&file.path));
    let build = config.build_of(name.as_deref().unwrap_or_default(), None, flags)?;
    Ok(Build { dockerfile: Some(file.path.clone()), ..build })
}

/// The Dockerfiles that are named, by path, directory or pattern; all of the directory tree otherwise.
fn dockerfiles(arguments: &[String]) -> anyhow::Result<Vec<File>> {
    let lines = arguments.iter().flat_map(|argument| argument.lines()).map(str::trim);
    let names: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let mut files: Vec<File> = Vec::new();
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut known = BTreeSet::new();
    let mut add = |path: PathBuf, named: bool| {
        if known.insert(real(&path)) {
            files.push(File { path, named });
        }
    };
    for name in &names {
        let path = Path::new(name);
        if path.is_dir() {
            found(path, &usual()?)?.into_iter().for_each(|path| add(path, false));
        } else if path.exists() || !name.contains(['*', '?', '[', '{']) {
            add(path.to_owned(), true);
        } else {
            let matching = matching(name)?;
            if matching.is_empty() {
                return Err(UsageError(format!("no file fits the pattern {name}")).into());
            }
            matching.into_iter().for_each(|path| add(path, false));
        }
    }
    if names.is_empty() {
        found(Path::new("."), &usual()?)?.into_iter().for_each(|path| add(path, false));
    }
    match files.is_empty() {
        true => Err(UsageError("there is no Dockerfile here; name one".into()).into()),
        false => Ok(files),
    }
}

fn usual() -> anyhow::Result<globset::GlobSet> {
    let names: Vec<String> = USUAL.iter().map(|name| format!("**/{name}")).collect();
    crate::evidence::glob_set(&names).map_err(|error| UsageError(error.to_string()).into())
}

/// The files that fit a pattern, from the directory on that it begins with.
fn matching(pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let literal: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
        .collect();
    let start = if literal.as_os_str().is_empty() { Path::new(".") } else { literal.as_path() };
    let builder = globset::GlobBuilder::new(pattern).literal_separator(true).empty_alternates(true).build();
    let glob = builder.map_err(|error| UsageError(format!("{pattern}: {}", error.kind())))?;
    let set = globset::GlobSetBuilder::new().add(glob).build()?;
    found(start, &set)
}

/// The files below a directory that fit, in order; what git ignores is left out, and links are not followed.
fn found(directory: &Path, fitting: &globset::GlobSet) -> anyhow::Result<Vec<PathBuf>> {
    let mut walk = ignore::WalkBuilder::new(directory);
    walk.hidden(false).max_depth(Some(MAX_DEPTH)).follow_links(false).require_git(false);
    // What others have written is below these, whether git ignores it or not.
    walk.filter_entry(|entry| entry.depth() == 0 || !FOREIGN.iter().any(|name| entry.file_name() == *name));
    let mut files = Vec::new();
    for entry in walk.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                console::warn(&format!("not looked at: {error}"));
                continue;
            }
        };
        let path = entry.path().strip_prefix(".").unwrap_or(entry.path());
        let other = path.extension().is_some_and(|ending| OTHERS.iter().any(|other| ending == *other));
        // A link to a Dockerfile is one, too; directories are not gone into by links.
        let is_file = entry.path().is_file();
        if is_file && !other && fitting.is_match(path) {
            files.push(path.to_owned());
        }
        if files.len() > MAX_FILES {
            let message =
                format!("over {MAX_FILES} Dockerfiles below {}; name a part of them", directory.display());
            return Err(UsageError(message).into());
        }
    }
    files.sort();
    Ok(files)
}

/// Which image is of which Dockerfile: `DOCKERFILE=IMAGE`, `NAME=IMAGE` where the configuration has the
/// Dockerfile of that name, or the only Dockerfile that there is.
pub(super) fn assign(images: &[String], files: &[File], config: &Config) -> anyhow::Result<Vec<Assigned>> {
    let lines = images.iter().flat_map(|argument| argument.lines()).map(str::trim);
    lines.filter(|line| !line.is_empty()).map(|text| assign_one(text, files, config)).collect()
}

fn assign_one(text: &str, files: &[File], config: &Config) -> anyhow::Result<Assigned> {
    let of_path = |path: &Path| files.iter().position(|file| same(&file.path, path));
    if let Some((path, image)) = text.split_once('=')
        && let Some(file) = of_path(Path::new(path))
    {
        return Ok(Assigned {
            file,
            image: NamedImage::parse(image)?,
            name: config.image_of_dockerfile(Path::new(path)),
        });
    }
    if let Some((path, _)) =
        text.split_once('=').filter(|(path, _)| path.contains('/') && !path.contains(':'))
    {
        let message = format!(
            "--image {text}: {path} is not among the Dockerfiles that are looked at; write it as the table has it: DOCKERFILE=IMAGE"
        );
        return Err(UsageError(message).into());
    }
    let image = NamedImage::parse(text)?;
    let configured = config.dockerfile_of(&image.display_name());
    let file = match (configured, files) {
        (Some(path), _) => of_path(&path),
        (None, [_]) => Some(0),
        (None, _) => None,
    };
    let message = || {
        format!(
            "which Dockerfile is --image {text} of? Write DOCKERFILE=IMAGE, such as services/api/Dockerfile=api:ci"
        )
    };
    let file = file.ok_or_else(|| UsageError(message()))?;
    Ok(Assigned { file, name: Some(image.display_name()), image })
}

/// `./a/Dockerfile` is `a/Dockerfile`.
fn same(one: &Path, other: &Path) -> bool {
    one.strip_prefix(".").unwrap_or(one) == other.strip_prefix(".").unwrap_or(other)
}
