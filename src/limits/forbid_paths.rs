//! `forbid-paths`: paths that no layer may contain, even if a later layer deletes them: they are still in the image.

use std::collections::HashSet;

use globset::GlobSet;

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm};
use super::subject::Fact;
use super::{Finding, Subject, Unknown, subject};
use crate::image::Entry;
use crate::image::layer_ref::LayerRef;
use crate::image::path::PathRef;
use crate::removable::{fits, glob_set};

/// Path patterns, and their text as written.
#[derive(Debug, Clone)]
pub struct ForbidPaths {
    set: GlobSet,
    texts: Vec<String>,
}

impl PartialEq for ForbidPaths {
    fn eq(&self, other: &ForbidPaths) -> bool {
        self.texts == other.texts
    }
}

impl Eq for ForbidPaths {}

impl ForbidPaths {
    /// The first pattern that a path matches, as written.
    fn matching(&self, path: PathRef<'_>) -> &str {
        let found = self.set.matches_candidate(&globset::Candidate::from_bytes(path.0));
        found.first().and_then(|index| self.texts.get(*index)).map_or("", String::as_str)
    }
}

impl Limit for ForbidPaths {
    const KEY: LimitKey = LimitKey {
        name: "forbid-paths",
        value_name: "PATTERN",
        form: ValueForm::Paths,
        default: None,
        help: "Paths that no layer may contain, such as \"**/.git/**\"",
        description: "Paths that no layer may contain, whether files, links or directories, also if a later layer deletes them. `*` stays within a directory, `**` does not.",
        examples: &["**/.git", "root/.cache/**"],
    };
    const NEEDS: Needs = Needs { head: &[Fact::Paths], base: &[] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<ForbidPaths>, ValueError> {
        let texts = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
        let texts: Vec<String> = texts.collect();
        let set = glob_set(&texts).map_err(ValueError::new)?;
        Ok((!texts.is_empty()).then_some(ForbidPaths { set, texts }))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        let head = subject.head.paths()?;
        let found = forbidden(&head, self);
        let before = subject.before().and_then(|side| side.paths().ok()).map(|paths| forbidden(&paths, self));
        let known: HashSet<&[u8]> = before.iter().flatten().map(|found| found.path.0).collect();
        let is_new = |found: &&Forbidden<'_>| !known.contains(found.path.0);
        // Paths that the pull request adds come first.
        let Some(first) = found.iter().find(is_new).or(found.first()) else { return Ok(Vec::new()) };
        let new = found.iter().filter(is_new).count() as u64;
        let (severity, note) = subject.unless_inherited(new, before.as_ref().map(|_| 0), !known.is_empty());
        let layer = head.snapshot.layer_ref(first.layer);
        let more = match found.len() - 1 {
            0 => String::new(),
            1 => " and 1 more path".to_owned(),
            more => format!(" and {more} more paths"),
        };
        let deleted =
            if first.deleted { ", deleted by a later instruction but still in the image" } else { "" };
        let pattern = self.matching(first.path);
        Ok(vec![Exceeded {
            severity,
            message: format!("`/{}`{more} must not be in the image (`{pattern}`){deleted}{note}", first.path),
            measured: i64::try_from(found.len()).ok(),
            limit: pattern.to_owned(),
            about: None,
            help: format!(
                "keep them out of {} (.dockerignore, another stage), or remove the pattern from forbid-paths",
                origin(&layer)
            ),
            dockerfile: layer.dockerfile,
        }])
    }

    fn headline(_: &Finding, _: &HeadlineContext<'_>) -> String {
        "has forbidden paths".into()
    }
}

/// Where a layer comes from, for a reader who has to change it.
fn origin(layer: &LayerRef) -> String {
    match (&layer.dockerfile, layer.of_base_image) {
        (Some(place), _) => place.to_string(),
        (None, true) => "the base image".to_owned(),
        (None, false) => format!("layer {}", layer.index + 1),
    }
}

struct Forbidden<'a> {
    path: PathRef<'a>,
    layer: u32,
    deleted: bool,
}

/// All matching paths in the layers, whatever kind of file they are; a matching directory counts as itself.
fn forbidden<'a>(paths: &subject::ImagePaths<'a>, patterns: &ForbidPaths) -> Vec<Forbidden<'a>> {
    let wasted = paths.filesystem.waste().filter(|file| !file.replaced);
    let gone: HashSet<&[u8]> = wasted.map(|file| file.path.0).collect();
    let mut looked_at: HashSet<&[u8]> = HashSet::new();
    let mut found = Vec::new();
    let layers = paths.snapshot.layers.iter().enumerate();
    for (layer, file_list) in layers.filter_map(|(layer, of)| Some((layer, of.file_list.as_ref()?))) {
        let shipped =
            file_list.entries.iter().filter(|entry| !matches!(entry, Entry::Whiteout(_) | Entry::Opaque(_)));
        for path in shipped.map(|entry| entry.path().as_bytes()) {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
            for path in ends.chain([path.len()]).map(|end| &path[..end]) {
                if looked_at.insert(path) && fits(&patterns.set, PathRef(path)) {
                    let deleted = gone.contains(path);
                    found.push(Forbidden { path: PathRef(path), layer: layer as u32, deleted });
                }
            }
        }
    }
    found
}
