//! The images that the targets of bake files are (Docker, "Bake file reference").

use super::yaml::Yaml;
use super::{Build, By, Reading, Tree, hcl, path};
use crate::dockerfile::UNKNOWN;

/// The names that are looked for where none is given; all that are there count.
pub const USUAL: [&str; 2] = ["docker-bake.json", "docker-bake.hcl"];
/// A target may inherit so deep, and from so many at a time.
const MAX_DEPTH: usize = 3;
const MAX_PARENTS: usize = 4;
/// More targets, and names of groups, are not looked at.
const MAX_TARGETS: usize = 64;

/// The images that these files build, of the default targets or of those that are named; and what is to be said.
/// `directory` is where the build is started: that is where the paths in the files are told from.
///
/// # Errors
/// Why the files cannot be read.
pub fn builds(files: &[String], wanted: &[String], directory: &str, tree: &Tree<'_>) -> Reading {
    let documents = files.iter().map(|file| document(file, tree)).collect::<Result<Vec<_>, _>>()?;
    let file = Bake { documents, files, directory };
    let default = ["default".to_owned()];
    let names = file.targets(if wanted.is_empty() { &default } else { wanted });
    let (mut builds, mut notes) = (Vec::new(), Vec::new());
    for name in names {
        match file.build(&name, &mut notes) {
            Ok(build) => builds.push(build),
            Err(why) => notes.push(format!("{}: the target {name} is left out: {why}", file.origin())),
        }
    }
    Ok((builds, notes))
}

fn document(file: &str, tree: &Tree<'_>) -> Result<Yaml, String> {
    let text = tree.text(file).map_err(|error| format!("{file}: {error}"))?;
    // JSON is YAML.
    let tree = if file.ends_with(".hcl") { hcl::parse(&text) } else { Yaml::parse(&text) };
    tree.map_err(|error| format!("{file}: {error}"))
}

struct Bake<'f> {
    documents: Vec<Yaml>,
    files: &'f [String],
    directory: &'f str,
}

impl Bake<'_> {
    fn origin(&self) -> String {
        self.files.first().cloned().unwrap_or_default()
    }

    /// The last file that has it wins.
    fn find(&self, path: &[&str]) -> Option<&Yaml> {
        self.documents.iter().filter_map(|document| document.at(path)).next_back()
    }

    /// The targets that names stand for: of groups, which may be of groups, and their own.
    fn targets(&self, wanted: &[String]) -> Vec<String> {
        let mut names: Vec<String> = wanted.iter().take(MAX_TARGETS).cloned().collect();
        let mut targets = Vec::new();
        let mut at = 0;
        while let Some(name) = names.get(at).cloned() {
            match self.find(&["group", &name, "targets"]) {
                Some(group) => {
                    for member in group.items().iter().filter_map(Yaml::text) {
                        if names.len() < MAX_TARGETS && !names.iter().any(|own| own == member) {
                            names.push(member.to_owned());
                        }
                    }
                }
                None if self.find(&["target", &name]).is_some() => targets.push(name),
                None => {}
            }
            at += 1;
        }
        targets
    }

    /// An attribute of a target, its own or an inherited one.
    fn attribute(&self, target: &str, key: &str, depth: usize) -> Option<&Yaml> {
        if let Some(own) = self.find(&["target", target, key]) {
            return Some(own);
        }
        let parents = self.find(&["target", target, "inherits"]).filter(|_| depth < MAX_DEPTH)?;
        let parents = parents.items().iter().take(MAX_PARENTS).filter_map(Yaml::text);
        parents.rev().find_map(|parent| self.attribute(parent, key, depth + 1))
    }

    /// A text with its variables replaced by their defaults.
    fn expanded(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let value = self.find(&["variable", name.trim(), "default"]).and_then(Yaml::text);
            match value.filter(|value| !value.contains("${") && out.len() < 4096) {
                Some(value) => out.push_str(value),
                None => out.push(UNKNOWN),
            }
            rest = after;
        }
        out + rest
    }

    fn text(&self, target: &str, key: &str) -> Option<String> {
        self.attribute(target, key, 0)?.text().map(|text| self.expanded(text))
    }

    fn list(&self, target: &str, key: &str) -> Vec<String> {
        let list = self.attribute(target, key, 0).map(Yaml::items).unwrap_or_default();
        list.iter()
            .filter_map(Yaml::text)
            .map(|text| self.expanded(text))
            .filter(|text| !text.is_empty())
            .collect()
    }

    fn build(&self, target: &str, notes: &mut Vec<String>) -> Result<Build, String> {
        let is_plain = target.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        if !is_plain || target.starts_with('-') {
            return Err("its name cannot be written into a command".into());
        }
        if self.attribute(target, "matrix", 0).is_some() {
            return Err("a matrix makes several targets of it".into());
        }
        let context = self.text(target, "context").unwrap_or_else(|| ".".into());
        let context = path::join(self.directory, &context)
            .ok_or("its build context is not in this repository, or has to be computed")?;
        let file = self.text(target, "dockerfile").unwrap_or_else(|| "Dockerfile".into());
        let dockerfile = match self.attribute(target, "dockerfile-inline", 0) {
            Some(_) => None,
            None => Some(
                path::join(&context, &file)
                    .ok_or("its Dockerfile is not in this repository, or has to be computed")?,
            ),
        };
        let arguments = self.attribute(target, "args", 0).map(|args| {
            let known = |text: &str| Some(self.expanded(text)).filter(|text| !text.contains(UNKNOWN));
            args.entries()
                .filter_map(|(name, value)| Some((name.to_owned(), known(value.text()?)?)))
                .collect()
        });
        // Only bake knows these; a cache cannot be written by the builder that a runner has from the start.
        let needs_bake = dockerfile.is_none() || self.attribute(target, "contexts", 0).is_some();
        let elsewhere = self.directory != ".";
        let caches = self.attribute(target, "cache-to", 0).is_some();
        let by_bake = By::Bake { files: self.files.to_vec(), target: target.to_owned() };
        let by = match (elsewhere || caches, needs_bake) {
            (true, true) => return Err("it needs bake with a builder, or a directory, of its own".into()),
            (true, false) => {
                let why = if caches {
                    "it writes a cache, which takes a builder of its own"
                } else {
                    "bake is run in a directory"
                };
                notes.push(format!("{}: {target} is built by `docker build`: {why}", self.origin()));
                By::Docker
            }
            (false, _) => by_bake,
        };
        let usual = matches!(target, "default" | "image" | "build" | "app");
        let tag = self.list(target, "tags").into_iter().next();
        Ok(Build {
            origin: self.origin(),
            name: if usual {
                tag.and_then(|tag| super::names::of_reference(&tag))
            } else {
                Some(target.to_owned())
            },
            context,
            dockerfile,
            target: self.text(target, "target").filter(|text| !text.contains(UNKNOWN)),
            arguments: arguments.unwrap_or_default(),
            platforms: self.list(target, "platforms"),
            by,
        })
    }
}
