//! Advice for an image that is built where it runs.

use super::steps::Builder;
use super::text::{EXCLUDE, meant_for_tools};
use crate::dockerfile::{DockerfileFacts, slimmer_of};
use crate::image::snapshot::Snapshot;
use crate::image::{Removable, RemovableOutcome};

/// The command that writes a Dockerfile to start from.
const PROPOSE: &str = "layergate stages --propose";

pub(super) fn help(
    outcome: RemovableOutcome,
    largest: Option<&Removable>,
    builder: &Builder<'_>,
    head: &Snapshot,
    dockerfile: Option<&DockerfileFacts>,
) -> String {
    let slimmer = dockerfile.and_then(|dockerfile| dockerfile.facts.slimmer.first());
    let of_largest = largest.map(|one| one.help.clone()).unwrap_or_default();
    let is_of_base = largest.is_some_and(|one| one.layer.of_base_image);
    let meant = dockerfile.and_then(meant_for_tools);
    match (outcome, slimmer) {
        (RemovableOutcome::Pass, _) => String::new(),
        _ if meant.is_some() => format!("{}; {EXCLUDE}", meant.unwrap_or_default()),
        (RemovableOutcome::Warn, Some(slimmer)) if is_of_base => {
            format!("build the final stage on {}, as line {} does", slimmer.base, slimmer.line)
        }
        (RemovableOutcome::Warn, _) => of_largest,
        (RemovableOutcome::Fail, _) => {
            let first = if is_of_base { split_off(builder, head) } else { of_largest };
            match dockerfile {
                Some(dockerfile) => format!("{first}{}", propose(&dockerfile.path)),
                None => first,
            }
        }
    }
}

/// How to get a Dockerfile to start from. The measured image is on a runner, so the reader has to build their own.
fn propose(path: &str) -> String {
    format!("; `{PROPOSE} {} --image <your tag>` writes a Dockerfile to start from", shell_path(path))
}

/// Advice without the command that writes a Dockerfile, for reports that state it once.
pub fn without_proposal(help: &str) -> &str {
    help.split_once(&format!("; `{PROPOSE} ")).map_or(help, |(first, _)| first)
}

/// Advice for a base image that contains the tools the instructions build with.
fn split_off(builder: &Builder<'_>, head: &Snapshot) -> String {
    let name = head.base.as_ref().and_then(|base| base.name.as_deref());
    let from = name.unwrap_or("...");
    let slimmer = name.and_then(slimmer_of);
    let slimmer =
        slimmer.as_deref().unwrap_or("an image without it (its -slim variant, debian:bookworm-slim, alpine)");
    format!(
        "move {} to a builder stage (FROM {from} AS builder), build the final stage on {slimmer}, and copy the result: COPY --from=builder",
        builder.steps()
    )
}

/// Quotes a word for a shell: names come from files and images, and commands are copied from reports.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// The same for a path, which must not look like an option.
pub fn shell_path(path: &str) -> String {
    let path = shell_word(path);
    if path.starts_with('-') || path.starts_with("'-") { format!("./{path}") } else { path }
}
