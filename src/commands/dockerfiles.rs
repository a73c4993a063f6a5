//! Which Dockerfiles a command is about, and which images belong to them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{UsageError, console, lines_of, stores};
use crate::config::{BuildSettings, Config, Settings};
use crate::dockerfile;
use crate::files;
use crate::source::NamedImage;
use crate::stages::line_of_contexts;

/// The default names of Dockerfiles, ignoring case.
const USUAL: [&str; 4] = [
    "{dockerfile,containerfile}",
    "{dockerfile,containerfile}[._-]*",
    "*.{dockerfile,containerfile}",
    "*[_-]{dockerfile,containerfile}",
];
/// Extensions of files that only look like Dockerfiles.
const OTHERS: &[&str] = &[
    "dockerignore",
    "containerignore",
    "md",
    "txt",
    "rst",
    "html",
    "bak",
    "orig",
    "old",
    "rej",
    "swp",
    "snap",
    "sh",
    "py",
    "rs",
    "go",
    "ts",
    "js",
    "rb",
    "java",
    "kt",
    "php",
    "json",
    "yml",
    "yaml",
    "toml",
    "lua",
    "vim",
];
/// How much of a file is read to recognize a template.
const MAX_TEXT: u64 = 1 << 20;
/// Directories with other people's Dockerfiles.
const FOREIGN: [&str; 2] = [".git", "node_modules"];
/// Maximum number of Dockerfiles in one run, and maximum depth of directories.
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 64;

/// A Dockerfile to examine.
pub(super) struct DockerfilePath {
    pub path: PathBuf,
    /// Whether it was named explicitly; one that was only found may be something else.
    pub named: bool,
}

/// The result of a search.
#[derive(Default)]
pub(super) struct DockerfileSearch {
    pub files: Vec<DockerfilePath>,
    /// Templates of Dockerfiles, which are not Dockerfiles.
    pub templates: Vec<PathBuf>,
}

impl DockerfileSearch {
    fn add_all(&mut self, paths: Vec<PathBuf>, known: &mut BTreeSet<PathBuf>) {
        for path in paths {
            if is_other(&path) || !known.insert(real(&path)) {
                continue;
            }
            match is_template(&path) {
                true => self.templates.push(path),
                false => self.files.push(DockerfilePath { path, named: false }),
            }
        }
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Whether a file only looks like a Dockerfile by its name.
fn is_other(path: &Path) -> bool {
    let has_ending = |ending: &std::ffi::OsStr| OTHERS.iter().any(|other| ending.eq_ignore_ascii_case(other));
    path.extension().is_some_and(has_ending) || path.to_string_lossy().ends_with('~')
}

fn is_template(path: &Path) -> bool {
    let mut text = String::new();
    let read = files::open_regular(path).and_then(|file| file.take(MAX_TEXT).read_to_string(&mut text));
    dockerfile::is_template(&path.to_string_lossy(), if read.is_ok() { &text } else { "" })
}

/// An image, and the Dockerfile that it belongs to.
pub(super) struct Assigned {
    pub file: usize,
    pub image: NamedImage,
    /// Its name in the configuration.
    pub name: Option<String>,
}

/// How a Dockerfile is built: from its image's configuration and the flags.
pub(super) fn build_of(
    file: &DockerfilePath,
    image: Option<&Assigned>,
    config: &Config,
    flags: &Settings,
) -> anyhow::Result<BuildSettings> {
    let name = image.map(|image| image.name.clone().unwrap_or_else(|| image.image.display_name()));
    let name = name.or_else(|| config.image_of_dockerfile(&file.path));
    let build = config.build_of(name.as_deref().unwrap_or_default(), None, flags)?;
    Ok(BuildSettings { dockerfile: Some(file.path.clone()), ..build })
}

/// The Dockerfiles named by path, directory or pattern; by default, all in the directory tree.
pub(super) fn dockerfiles(arguments: &[String]) -> anyhow::Result<DockerfileSearch> {
    let names: Vec<&str> = lines_of(arguments).collect();
    let mut all = DockerfileSearch::default();
    let mut known = BTreeSet::new();
    for name in &names {
        let path = Path::new(name);
        if path.is_dir() {
            all.add_all(found(path, &usual()?)?, &mut known);
        } else if path.exists() || !name.contains(['*', '?', '[', '{']) {
            if known.insert(real(path)) {
                all.files.push(DockerfilePath { path: path.to_owned(), named: true });
            }
        } else {
            let matching = matching(name)?;
            if matching.is_empty() {
                return Err(UsageError(format!("no file matches the pattern {name}")).into());
            }
            all.add_all(matching, &mut known);
        }
    }
    if names.is_empty() {
        all.add_all(found(Path::new("."), &usual()?)?, &mut known);
    }
    match (all.files.is_empty(), all.templates.first()) {
        (false, _) => Ok(all),
        (true, Some(template)) => {
            let message = format!("{} is a template: render it, and pass the result", template.display());
            Err(UsageError(message).into())
        }
        (true, None) => Err(UsageError("there is no Dockerfile here; name one".into()).into()),
    }
}

/// The Dockerfiles below a directory, including templates.
pub(super) fn of_tree(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = found(directory, &usual()?)?;
    paths.retain(|path| !is_other(path));
    Ok(paths)
}

/// Where bake and compose files in the directory tree define named contexts: `docker-bake.hcl:7`.
pub(super) fn named_contexts() -> anyhow::Result<Vec<String>> {
    let mut set = globset::GlobSetBuilder::new();
    for name in ["*bake*.{hcl,json}", "{docker-,}compose*.{yml,yaml}"] {
        set.add(globset::GlobBuilder::new(&format!("**/{name}")).empty_alternates(true).build()?);
    }
    let mut places = Vec::new();
    for path in found(Path::new("."), &set.build()?)? {
        let mut text = String::new();
        let read = files::open_regular(&path).and_then(|file| file.take(MAX_TEXT).read_to_string(&mut text));
        if let (Ok(_), Some(line)) = (read, line_of_contexts(&text)) {
            places.push(format!("{}:{line}", path.display()));
        }
    }
    Ok(places)
}

/// Those paths that are Dockerfiles by name, without templates.
pub(super) fn named_so(paths: &[String]) -> anyhow::Result<Vec<String>> {
    let set = usual()?;
    let is_one = |path: &&String| {
        set.is_match(path) && !is_other(Path::new(path)) && !dockerfile::is_template(path, "")
    };
    Ok(paths.iter().filter(is_one).cloned().collect())
}

fn usual() -> anyhow::Result<globset::GlobSet> {
    let mut set = globset::GlobSetBuilder::new();
    for name in USUAL {
        let glob = globset::GlobBuilder::new(&format!("**/{name}"))
            .literal_separator(true)
            .case_insensitive(true)
            .build()?;
        set.add(glob);
    }
    Ok(set.build()?)
}

/// The files that match a pattern, searched from the directory that it begins with.
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

/// The matching files below a directory, sorted, without files that git ignores and without following links to
/// directories.
pub(super) fn found(directory: &Path, fitting: &globset::GlobSet) -> anyhow::Result<Vec<PathBuf>> {
    let mut walk = ignore::WalkBuilder::new(directory);
    walk.hidden(false).max_depth(Some(MAX_DEPTH)).follow_links(false).require_git(false);
    // These contain other people's files, whether git ignores them or not.
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
        // A link to a Dockerfile counts as one; links to directories are not followed.
        let is_file = entry.path().is_file();
        if is_file && fitting.is_match(path) {
            files.push(path.to_owned());
        }
        if files.len() > MAX_FILES {
            let message = format!(
                "over {MAX_FILES} Dockerfiles below {}; pass a subdirectory or a pattern",
                directory.display()
            );
            return Err(UsageError(message).into());
        }
    }
    files.sort();
    Ok(files)
}

/// Assigns images to Dockerfiles: `DOCKERFILE=IMAGE`, `NAME=IMAGE` if the configuration has the Dockerfile of that
/// name, or the only Dockerfile.
pub(super) fn assign(
    images: &[String],
    files: &[DockerfilePath],
    config: &Config,
) -> anyhow::Result<Vec<Assigned>> {
    let assigned = lines_of(images).map(|text| assign_one(text, files, config));
    let assigned: Vec<Assigned> = assigned.collect::<anyhow::Result<_>>()?;
    assigned.iter().try_for_each(|one| stores::refuse_shadow(&one.image))?;
    Ok(assigned)
}

fn assign_one(text: &str, files: &[DockerfilePath], config: &Config) -> anyhow::Result<Assigned> {
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
            "--image {text}: {path} is not one of the Dockerfiles found; write DOCKERFILE=IMAGE with a path as the table shows it"
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
            "which Dockerfile was --image {text} built from? Write DOCKERFILE=IMAGE, such as services/api/Dockerfile=api:ci"
        )
    };
    let file = file.ok_or_else(|| UsageError(message()))?;
    Ok(Assigned { file, name: Some(image.display_name()), image })
}

/// `./a/Dockerfile` is `a/Dockerfile`.
fn same(one: &Path, other: &Path) -> bool {
    one.strip_prefix(".").unwrap_or(one) == other.strip_prefix(".").unwrap_or(other)
}
