//! Whether an image is a multi-stage build, or does not need to be: evaluated from what it ships and from what its
//! Dockerfile, or otherwise its history, says was run.

mod contexts;
mod help;
mod steps;
mod text;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::analysis::Analysis;
use crate::dockerfile::{DockerfileFacts, Facts};
use crate::image::layer_ref::DockerfileLines;
use crate::image::removable::sum;
use crate::image::snapshot::Snapshot;
use crate::image::{Bytes, Classes, Removable, StageAdoption, Weight};

pub use crate::image::RemovableOutcome;
use crate::sort;
pub use contexts::line_of_contexts;
use help::help;
pub use help::{shell_path, shell_word, without_proposal};
use steps::{Builder, ToolRun, works_of_dockerfile, works_of_history};
pub use text::{ByText, TextVerdict, evaluate_dockerfile};

/// Fewer bytes of headers and other build inputs do not count: many packages contain a few.
const FEW_INPUTS: Bytes = Bytes(1 << 20);
/// Maximum kinds and instructions that a reason names.
const MAX_NAMED: usize = 4;

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evaluation {
    /// The verdict.
    pub outcome: RemovableOutcome,
    /// Why, in one sentence.
    pub reason: String,
    /// What the evaluation is based on.
    pub by: Basis,
    /// How many stages the Dockerfile has; null without a Dockerfile.
    pub stages: Option<u64>,
    /// Whether the shipped stages take something from another stage or image; null without a Dockerfile.
    pub multi_stage: Option<bool>,
    /// Bytes of removable files, including those of the base image.
    pub removable: Bytes,
    /// The part of them that belongs to the base image.
    pub removable_of_base: Bytes,
    /// What to do first.
    pub help: String,
    /// The lines concerned, if they are certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileLines>,
}

/// What an evaluation is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// What it ships, and its Dockerfile.
    ImageAndDockerfile,
    /// What it ships, and its history.
    Image,
}

/// Evaluates an image; `None` if its files are unknown.
pub fn evaluate_stages(image: &Analysis) -> Option<Evaluation> {
    let (found, head, dockerfile) = (image.removable()?, image.snapshot(), image.dockerfile());
    let mut works = dockerfile.map_or_else(|| works_of_history(head), works_of_dockerfile);
    // The purpose of an instruction is inferred from text; whether it left something is measured.
    works.retain(|work| work.place.as_ref().is_none_or(|place| left_something(head, place)));
    let evidence = Evidence::of(found);
    let builder = Builder::of(&works, dockerfile);
    let (outcome, reason) = decide(&evidence, &builder, head, dockerfile);
    let (of_base, all) =
        (sum(found.iter().filter(|one| one.counts() && one.layer.of_base_image)), sum_counting(found));
    let largest = evidence.first_to_do(outcome);
    let place_of = |work: Option<&ToolRun>| work.and_then(|work| work.place.clone());
    let place = place_of(works.iter().find(|work| builder.blames(work)))
        .or_else(|| largest.and_then(|one| one.source().dockerfile.clone()))
        .or_else(|| place_of(works.iter().find(|work| builder.names(work))))
        .filter(|_| outcome != RemovableOutcome::Pass);
    Some(Evaluation {
        outcome,
        reason: if dockerfile.is_some() {
            reason
        } else {
            format!("{reason} (from the image alone: no matching Dockerfile)")
        },
        by: if dockerfile.is_some() { Basis::ImageAndDockerfile } else { Basis::Image },
        stages: dockerfile.map(|dockerfile| dockerfile.facts.stages.len() as u64),
        multi_stage: dockerfile.map(|dockerfile| is_multi_stage(&dockerfile.facts)),
        removable: all,
        removable_of_base: of_base,
        help: help(outcome, largest, &builder, head, dockerfile),
        dockerfile: place,
    })
}

/// Whether the layer of an instruction contains any files.
fn left_something(head: &Snapshot, place: &DockerfileLines) -> bool {
    let layer = head.layers.iter().find(|layer| layer.dockerfile.as_ref() == Some(place));
    layer.is_some_and(|layer| layer.size != Some(Bytes(0)))
}

/// The removable files that count, in bytes.
pub fn sum_counting(found: &[Removable]) -> Bytes {
    sum(found.iter().filter(|found| found.counts()))
}

/// The application's own build tools and build inputs, in bytes.
pub fn held_against(found: &[Removable]) -> Bytes {
    sum(found.iter().filter(|one| is_own(one) && one.weight <= Weight::Input))
}

impl Evaluation {
    /// How the image is built, in a word.
    pub fn stage_use(&self) -> StageAdoption {
        match (self.outcome, self.multi_stage) {
            (RemovableOutcome::Fail, _) => StageAdoption::SingleStage,
            (_, Some(true)) => StageAdoption::MultiStage,
            (_, Some(false)) => StageAdoption::NotNeeded,
            // Without a Dockerfile, it is unknown why it ships none.
            (_, None) => StageAdoption::Unknown,
        }
    }

    /// The bytes of the application layers that a builder stage would save.
    pub fn saving(&self, found: &[Removable]) -> Bytes {
        match self.outcome {
            RemovableOutcome::Fail => {
                sum(found.iter().filter(|one| is_own(one) && one.weight <= Weight::Cache))
            }
            RemovableOutcome::Warn | RemovableOutcome::Pass => Bytes(0),
        }
    }
}

/// The kinds with most bytes over all layers: `compilers 80.1 MB, pip's cache 12 MB`.
pub fn largest_kinds(found: &[Removable], most: usize) -> String {
    let counting: Vec<&Removable> = found.iter().filter(|found| found.counts()).collect();
    let mut kinds = kinds_of(&counting);
    sort::by_key(&mut kinds, |(_, bytes, _)| Reverse(*bytes));
    named_most(kinds.iter().map(kind_text).collect(), most)
}

fn is_own(found: &Removable) -> bool {
    !found.layer.of_base_image && found.ignored.is_none()
}

/// What an image ships, by owner and class.
struct Evidence<'a> {
    own_tools: Vec<&'a Removable>,
    own_inputs: Vec<&'a Removable>,
    own_leftovers: Vec<&'a Removable>,
    /// Includes the base image's tools that the Dockerfile deletes: they were used first, and are still shipped.
    base_tools: Vec<&'a Removable>,
    /// What would count, but is accepted.
    accepted: Vec<&'a Removable>,
}

impl<'a> Evidence<'a> {
    fn of(found: &'a [Removable]) -> Evidence<'a> {
        let of = |own: bool, weight: Weight| -> Vec<&Removable> {
            let fits = |one: &&Removable| {
                one.ignored.is_none() && one.layer.of_base_image != own && one.weight == weight
            };
            found.iter().filter(fits).collect()
        };
        let inputs = of(true, Weight::Input);
        let enough = sum(inputs.iter().copied()) >= FEW_INPUTS;
        Evidence {
            own_tools: of(true, Weight::Tool),
            own_inputs: if enough { inputs } else { Vec::new() },
            own_leftovers: [of(true, Weight::Cache), of(true, Weight::Leftover)].concat(),
            base_tools: of(false, Weight::Tool),
            accepted: found
                .iter()
                .filter(|one| one.ignored.is_some() && one.weight <= Weight::Input)
                .collect(),
        }
    }

    fn is_ours(&self) -> bool {
        !(self.own_tools.is_empty() && self.own_inputs.is_empty())
    }

    /// What to fix first: the most significant class, or, if nothing has to be fixed, the largest.
    fn first_to_do(&self, outcome: RemovableOutcome) -> Option<&'a Removable> {
        match outcome {
            RemovableOutcome::Warn => {
                let all = self.own_inputs.iter().chain(&self.base_tools);
                all.copied().max_by_key(|one| one.bytes)
            }
            RemovableOutcome::Pass | RemovableOutcome::Fail => {
                let own = || self.own_tools.iter().chain(&self.own_inputs).copied();
                own().max_by_key(|one| one.bytes).or_else(|| self.to_name().first().copied())
            }
        }
    }

    /// What to name: the most significant class first.
    fn to_name(&self) -> Vec<&'a Removable> {
        let own = [&self.own_tools, &self.own_inputs];
        let mut named: Vec<&Removable> = own.into_iter().flatten().copied().collect();
        if named.is_empty() {
            named.clone_from(&self.base_tools);
        }
        named.extend(&self.own_leftovers);
        named
    }
}

fn is_multi_stage(facts: &Facts) -> bool {
    !facts.copies.is_empty()
}

fn stages_text(facts: &Facts) -> String {
    let all_ship = facts.stages.iter().all(|stage| stage.in_chain);
    match (facts.stages.len(), is_multi_stage(facts)) {
        (1, false) => "one stage".into(),
        (1, true) => "one stage that copies from another image".into(),
        (count, _) if !facts.variants.is_empty() => {
            format!("{count} stages, and each platform ships its own")
        }
        (count, _) if all_ship => {
            format!("{count} stages, each built on the one before, so all of them ship")
        }
        (count, true) => format!("{count} stages"),
        (count, false) => format!("{count} stages, but the last takes nothing from the others"),
    }
}

fn decide(
    evidence: &Evidence<'_>,
    builder: &Builder<'_>,
    head: &Snapshot,
    dockerfile: Option<&DockerfileFacts>,
) -> (RemovableOutcome, String) {
    let stages = dockerfile.map_or_else(|| "it".to_owned(), |dockerfile| stages_text(&dockerfile.facts));
    let steps = builder.steps();
    let ran = if steps.is_empty() {
        String::new()
    } else {
        format!("; build instructions in the final stage: {steps}")
    };
    let base = base_name(head);
    let in_stages =
        dockerfile.is_some_and(|dockerfile| is_multi_stage(&dockerfile.facts)) && !builder.builds();
    if evidence.is_ours() && evidence.own_tools.is_empty() && in_stages {
        let what = kinds_text(&evidence.own_inputs, MAX_NAMED);
        let brings = match evidence.base_tools.as_slice() {
            [] => String::new(),
            tools => format!(", and {base} brings {}", kinds_text(tools, MAX_NAMED)),
        };
        return (
            RemovableOutcome::Warn,
            format!("{stages}, and the final stage builds nothing, but ships {what}{brings}"),
        );
    }
    if evidence.is_ours() {
        let classes = Classes::of(evidence.to_name());
        let what = kinds_text(&evidence.to_name(), MAX_NAMED);
        let deleted = deleted_text(evidence.own_tools.iter().chain(&evidence.own_inputs));
        let joined = if dockerfile.is_some() { format!("{stages}, and it ships") } else { "it ships".into() };
        return (RemovableOutcome::Fail, format!("{joined} {classes}: {what}{deleted}{ran}"));
    }
    if !evidence.base_tools.is_empty() {
        let what = kinds_text(&evidence.base_tools, MAX_NAMED);
        let what = what + deleted_text(evidence.base_tools.iter());
        if builder.uses_base_tools() {
            let several = dockerfile.is_some_and(|dockerfile| dockerfile.facts.stages.len() > 1);
            let who = if several { ", and the final stage" } else { "" };
            let text = format!("{stages}{who} builds with tools of {base} and ships them: {what}{ran}");
            return (RemovableOutcome::Fail, text);
        }
        let before = dockerfile.map_or_else(String::new, |_| format!("{stages}; "));
        let text = format!("{before}the final stage builds nothing, but {base} brings build tools: {what}");
        return (RemovableOutcome::Warn, text);
    }
    (RemovableOutcome::Pass, passed(&stages, evidence, builder, dockerfile, head))
}

/// Why it passes.
fn passed(
    stages: &str,
    evidence: &Evidence<'_>,
    builder: &Builder<'_>,
    dockerfile: Option<&DockerfileFacts>,
    head: &Snapshot,
) -> String {
    if let Some(why) = evidence.accepted.first().and_then(|one| one.ignored.as_deref()) {
        let what = kinds_text(&evidence.accepted, MAX_NAMED);
        let why = why.trim_end_matches('.');
        return match dockerfile {
            Some(_) => {
                format!("{stages}, and the build tools and inputs that it ships are accepted: {what}: {why}")
            }
            None => format!("the build tools and inputs that it ships are accepted: {what}: {why}"),
        };
    }
    let files = match head.totals.files {
        Some(1) => " (one file)".to_owned(),
        _ => String::new(),
    };
    let steps = builder.steps_with_undone();
    match dockerfile {
        None => format!("the image has no build tools{files}"),
        Some(_) if !steps.is_empty() => {
            format!("{stages}, and {steps} left no build tools behind")
        }
        Some(dockerfile) if is_multi_stage(&dockerfile.facts) => {
            format!("{stages}, and the image has no build tools{files}")
        }
        Some(_) => format!("{stages}, and that is enough: the image has no build tools{files}"),
    }
}

/// A note if all of it is deleted again.
fn deleted_text<'a>(mut found: impl Iterator<Item = &'a &'a Removable>) -> &'static str {
    if found.all(|one| one.deleted) { ", deleted by a later instruction but still in the image" } else { "" }
}

fn base_name(head: &Snapshot) -> String {
    let name = head.base.as_ref().and_then(|base| base.name.clone());
    name.unwrap_or_else(|| "the base image".into())
}

/// One kind over all layers.
type KindSum<'a> = (Weight, Bytes, Vec<&'a Removable>);

fn kinds_of<'a>(found: &[&'a Removable]) -> Vec<KindSum<'a>> {
    let mut kinds: BTreeMap<&str, KindSum<'a>> = BTreeMap::new();
    for one in found {
        let kind = kinds.entry(one.kind.as_str()).or_insert((one.weight, Bytes(0), Vec::new()));
        kind.1 = kind.1.saturating_add(one.bytes);
        kind.2.push(one);
    }
    kinds.into_values().collect()
}

/// By class, the most significant first, and then by bytes.
fn kinds_text(found: &[&Removable], most: usize) -> String {
    let mut kinds = kinds_of(found);
    sort::by_key(&mut kinds, |(weight, bytes, _)| (*weight, Reverse(*bytes)));
    named_most(kinds.iter().map(kind_text).collect(), most)
}

/// `compilers (80.1 MB: gcc-12)`.
fn kind_text((_, bytes, of): &KindSum<'_>) -> String {
    let what = of.first().map_or("", |one| one.what.as_str());
    let mut packages: Vec<&str> = of.iter().flat_map(|one| one.packages.iter().map(String::as_str)).collect();
    packages.dedup();
    packages.truncate(3);
    let packages = if packages.is_empty() { String::new() } else { format!(": {}", packages.join(", ")) };
    format!("{what} ({bytes}{packages})")
}

fn named_most(mut texts: Vec<String>, most: usize) -> String {
    let more = texts.len().saturating_sub(most);
    texts.truncate(most);
    match more {
        0 => texts.join(", "),
        more => format!("{} and {more} more", texts.join(", ")),
    }
}
