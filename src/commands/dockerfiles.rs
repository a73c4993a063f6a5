//! Which Dockerfiles a command is about, and which images are theirs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{UsageError, console, lines_of};
use crate::policy::{Build, Config, Settings};
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

/// A Dockerfile to look at.
pub(super) struct File {
    pub path: PathBuf,
    /// Whether it was asked for by its name; one that was only found may be something else.
    pub named: bool,
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
pub(super) fn dockerfiles(arguments: &[String]) -> anyhow::Result<Vec<File>> {
    let names: Vec<&str> = lines_of(arguments).collect();
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

pub(super) fn usual() -> anyhow::Result<globset::GlobSet> {
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
pub(super) fn found(directory: &Path, fitting: &globset::GlobSet) -> anyhow::Result<Vec<PathBuf>> {
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
    lines_of(images).map(|text| assign_one(text, files, config)).collect()
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
