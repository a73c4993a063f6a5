//! What to do about an image that is built where it runs.

use super::steps::{Builder, Step, step_text};
use super::{Told, fat_base};
use crate::dockerfile::slimmer_of;
use crate::image::snapshot::Snapshot;
use crate::image::{BuildOnly, Outcome};

pub(super) fn help(
    outcome: Outcome,
    largest: Option<&BuildOnly>,
    builder: &Builder<'_>,
    head: &Snapshot,
    told: Option<Told<'_>>,
) -> String {
    let slimmer = told.and_then(|told| told.facts.slimmer.first());
    let of_largest = largest.map(|one| one.help.clone()).unwrap_or_default();
    let is_of_base = largest.is_some_and(|one| one.layer.of_base_image);
    match (outcome, slimmer) {
        (Outcome::Pass, _) => String::new(),
        (Outcome::Warn, Some(slimmer)) if is_of_base => {
            format!("build the final stage on {}, as line {} does", slimmer.base, slimmer.line)
        }
        (Outcome::Warn, _) => of_largest,
        (Outcome::Fail, _) => {
            let first = if is_of_base { split_off(builder, head) } else { of_largest };
            match told {
                Some(told) => format!(
                    "{first}; layergate stages --propose {} --image {} writes a Dockerfile to start from",
                    shell_path(told.path),
                    shell_word(&head.image.reference)
                ),
                None => first,
            }
        }
    }
}

/// What to do where it is the base image that brings what the steps build with.
fn split_off(builder: &Builder<'_>, head: &Snapshot) -> String {
    let name = head.base.as_ref().and_then(|base| base.name.as_deref());
    let from = name.unwrap_or("...");
    let slimmer = name.and_then(slimmer_of);
    let slimmer =
        slimmer.as_deref().unwrap_or("an image without it (its -slim variant, debian:bookworm-slim, alpine)");
    format!(
        "move {} to a builder stage (FROM {from} AS builder), and build the final stage on {slimmer} with what that makes: COPY --from=builder",
        builder.steps()
    )
}

/// What to do instead about what came with a copy from another stage or image: it cannot be moved there, for it
/// is there already.
pub fn help_with_copy(found: &BuildOnly, told: Told<'_>) -> Option<String> {
    let place = found.layer.dockerfile.as_ref()?;
    let is_it = |copy: &crate::dockerfile::Copied| !copy.mount && copy.line == place.line;
    told.facts.copies.iter().find(|copy| is_it(copy))?;
    // Of packages that are installed for development, the stage that installs them knows better.
    if found.kind.ends_with("dev-dependencies") {
        let place = place.to_string();
        return Some(found.help.replace(&place, &format!("the stage that {place} copies from")));
    }
    let paths: Vec<String> = found.paths.iter().take(MAX_PATHS).map(|path| format!("/{path}")).collect();
    Some(format!(
        "name in {place} only the files that run, and leave out {} ({}); what needs them goes to a builder stage",
        found.what,
        paths.join(", ")
    ))
}

pub(super) fn help_by_text(outcome: Outcome, blamed: Option<&Step>, told: Told<'_>) -> String {
    let Some(base) = fat_base(told.facts).filter(|_| blamed.is_none()) else {
        let step = blamed.map(step_text).filter(|_| outcome == Outcome::Fail);
        let move_it = |step| {
            format!(
                "move {step} to a builder stage (FROM ... AS builder), and copy the result: COPY --from=builder"
            )
        };
        return step.map(move_it).unwrap_or_default();
    };
    match (told.facts.slimmer.first(), slimmer_of(base)) {
        (Some(slimmer), _) => {
            format!("build the final stage on {}, as line {} does", slimmer.base, slimmer.line)
        }
        (None, Some(slimmer)) => format!(
            "build the final stage on {slimmer}; what that cannot install or compile comes from a builder stage on {base}"
        ),
        (None, None) => {
            format!("build the final stage on an image without it, and keep {base} for a builder stage")
        }
    }
}

/// A word as a shell takes it: names come from files and images, and commands are copied from reports.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// The same of a path, which is never an option.
pub fn shell_path(path: &str) -> String {
    let path = shell_word(path);
    if path.starts_with('-') || path.starts_with("'-") { format!("./{path}") } else { path }
}

/// The most places that an advice names.
const MAX_PATHS: usize = 3;
