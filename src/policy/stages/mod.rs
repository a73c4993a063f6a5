//! Whether an image is built in stages, or needs none: judged by what it ships and by what its Dockerfile,
//! or without one its history, says was run.

mod help;
mod steps;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dockerfile::{BaseImage, Facts, brings_tools};
use crate::image::build_only::sum;
use crate::image::snapshot::{Place, Snapshot};
use crate::image::{BuildOnly, Bytes, Weight};

pub use crate::image::Outcome;
use help::{help, help_by_text};
pub use help::{help_with_copy, shell_path, shell_word};
use steps::{Builder, Step, works_of_dockerfile, works_of_history};

/// Headers and the like of fewer bytes say nothing: many a package brings a few.
const FEW_INPUTS: Bytes = Bytes(1 << 20);
/// The most kinds, and the most steps, that a reason names.
const MAX_NAMED: usize = 4;

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What follows from it.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub reason: String,
    /// What it was judged by.
    pub by: Basis,
    /// How many stages the Dockerfile has; null without one.
    pub stages: Option<u64>,
    /// Whether what is shipped takes something from another stage or image; null without a Dockerfile.
    pub multi_stage: Option<bool>,
    /// Bytes that only the build needed, those of the base image included.
    pub build_only: Bytes,
    /// The part of these that is the base image's.
    pub build_only_of_base: Bytes,
    /// What to do first.
    pub help: String,
    /// The lines that this is about, where that is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<Place>,
}

/// What an image is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// What it ships, and its Dockerfile.
    ImageAndDockerfile,
    /// What it ships, and its history.
    Image,
    /// Its Dockerfile alone: what is run, not what is left of it.
    Dockerfile,
}

/// A Dockerfile, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// How it is called.
    pub path: &'a str,
    /// What it says.
    pub facts: &'a Facts,
}

/// Judges an image whose files are known; `None` where they are not.
pub fn judge_stages(head: &Snapshot, told: Option<Told<'_>>) -> Option<Judgement> {
    let found = head.build_only.as_deref()?;
    let works = told.map_or_else(|| works_of_history(head), works_of_dockerfile);
    let evidence = Evidence::of(found);
    let builder = Builder::of(&works, told);
    let (outcome, reason) = decide(&evidence, &builder, head, told);
    let (of_base, all) =
        (sum(found.iter().filter(|one| one.counts() && one.layer.of_base_image)), sum_counting(found));
    let largest = evidence.first_to_do(outcome);
    let place_of = |work: Option<&Step>| work.and_then(|work| work.place.clone());
    let place = place_of(works.iter().find(|work| builder.blames(work)))
        .or_else(|| largest.and_then(|one| one.layer.dockerfile.clone()))
        .or_else(|| place_of(works.iter().find(|work| builder.names(work))))
        .filter(|_| outcome != Outcome::Pass);
    Some(Judgement {
        outcome,
        reason: if told.is_some() {
            reason
        } else {
            format!("{reason} (by the image alone: no Dockerfile that fits it is known)")
        },
        by: if told.is_some() { Basis::ImageAndDockerfile } else { Basis::Image },
        stages: told.map(|told| told.facts.stages.len() as u64),
        multi_stage: told.map(|told| is_multi_stage(told.facts)),
        build_only: all,
        build_only_of_base: of_base,
        help: help(outcome, largest, &builder, head, told),
        dockerfile: place,
    })
}

/// Judges a Dockerfile whose image is not at hand.
pub fn judge_dockerfile(told: Told<'_>) -> Judgement {
    let works = works_of_dockerfile(told);
    let builder = Builder::of(&works, Some(told));
    let blamed = works.iter().find(|work| builder.blames(work));
    let (outcome, reason) = decide_by_text(&builder, blamed, told);
    let named = blamed.or_else(|| works.iter().find(|work| builder.names(work)));
    let step = named.filter(|_| outcome == Outcome::Fail);
    Judgement {
        outcome,
        reason: format!("{reason} (by the Dockerfile alone: no image is given)"),
        by: Basis::Dockerfile,
        stages: Some(told.facts.stages.len() as u64),
        multi_stage: Some(is_multi_stage(told.facts)),
        build_only: Bytes(0),
        build_only_of_base: Bytes(0),
        help: help_by_text(outcome, blamed, told),
        dockerfile: step.and_then(|step| step.place.clone()),
    }
}

/// What is installed of the application's dependencies says nothing by itself: only with a base image that is
/// known to bring compilers.
fn decide_by_text(builder: &Builder<'_>, blamed: Option<&Step>, told: Told<'_>) -> (Outcome, String) {
    let stages = stages_text(told.facts);
    let base = fat_base(told.facts);
    match (blamed, base) {
        (Some(_), _) => {
            let steps = builder.steps();
            (Outcome::Fail, format!("{stages}, and what is shipped is built where it runs: {steps}"))
        }
        (None, Some(base)) if builder.uses_base_tools() => {
            let steps = builder.steps();
            (Outcome::Fail, format!("{stages} builds with what comes with {base}, and ships it: {steps}"))
        }
        (None, Some(base)) => {
            let text = "nothing is built where it runs, but";
            (Outcome::Warn, format!("{stages}; {text} {base} brings what only builds need"))
        }
        (None, None) => {
            (Outcome::Pass, format!("{stages}, and what is shipped is built in none of its steps"))
        }
    }
}

/// The base image, where it is one that brings what builds need.
fn fat_base(facts: &Facts) -> Option<&str> {
    match &facts.base {
        BaseImage::Image(name) if brings_tools(name) => Some(name),
        _ => None,
    }
}

/// What counts of evidence, in bytes.
pub fn sum_counting(found: &[BuildOnly]) -> Bytes {
    sum(found.iter().filter(|found| found.counts()))
}

/// What is held against an image as built where it runs, in bytes; nothing where that is not known.
pub fn held_against(found: &[BuildOnly]) -> Option<Bytes> {
    let own = found.iter().filter(|one| is_own(one) && one.weight <= Weight::Input);
    Some(sum(own))
}

/// The kinds with most bytes, those of all layers together: `compilers 80.1 MiB, pip's cache 12 MiB`.
pub fn largest_kinds(found: &[BuildOnly], most: usize) -> String {
    let counting: Vec<&BuildOnly> = found.iter().filter(|found| found.counts()).collect();
    let mut kinds = kinds_of(&counting);
    kinds.sort_by_key(|(_, bytes, _)| Reverse(*bytes));
    named_most(kinds.iter().map(kind_text).collect(), most)
}

fn is_own(found: &BuildOnly) -> bool {
    !found.layer.of_base_image && found.ignored.is_none()
}

/// What an image ships, by whose it is and what it says.
struct Evidence<'a> {
    own_tools: Vec<&'a BuildOnly>,
    own_inputs: Vec<&'a BuildOnly>,
    own_leftovers: Vec<&'a BuildOnly>,
    /// What we delete of the base image's is among them: it is used first, and shipped all the same.
    base_tools: Vec<&'a BuildOnly>,
    /// What would count, and is meant to be shipped.
    accepted: Vec<&'a BuildOnly>,
}

impl<'a> Evidence<'a> {
    fn of(found: &'a [BuildOnly]) -> Evidence<'a> {
        let of = |own: bool, weight: Weight| -> Vec<&BuildOnly> {
            let fits = |one: &&BuildOnly| {
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

    /// What to do something about first: what says most, or, where nothing has to be done, what is largest.
    fn first_to_do(&self, outcome: Outcome) -> Option<&'a BuildOnly> {
        match outcome {
            Outcome::Warn => {
                let all = self.own_inputs.iter().chain(&self.base_tools);
                all.copied().max_by_key(|one| one.bytes)
            }
            Outcome::Pass | Outcome::Fail => self.to_name().first().copied(),
        }
    }

    /// What to name: what says most comes first.
    fn to_name(&self) -> Vec<&'a BuildOnly> {
        let own = [&self.own_tools, &self.own_inputs];
        let mut named: Vec<&BuildOnly> = own.into_iter().flatten().copied().collect();
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
    match (facts.stages.len(), is_multi_stage(facts)) {
        (1, false) => "one stage".into(),
        (1, true) => "one stage that copies from another image".into(),
        (count, true) => format!("{count} stages"),
        (count, false) => format!("{count} stages, of which the last takes nothing from the others"),
    }
}

fn decide(
    evidence: &Evidence<'_>,
    builder: &Builder<'_>,
    head: &Snapshot,
    told: Option<Told<'_>>,
) -> (Outcome, String) {
    let stages = told.map_or_else(|| "it".to_owned(), |told| stages_text(told.facts));
    let steps = builder.steps();
    let ran = if steps.is_empty() { String::new() } else { format!("; built where it runs by {steps}") };
    let base = base_name(head);
    let in_stages = told.is_some_and(|told| is_multi_stage(told.facts)) && !builder.builds();
    if evidence.is_ours() && evidence.own_tools.is_empty() && in_stages {
        let what = kinds_text(&evidence.own_inputs, MAX_NAMED);
        let brings = match evidence.base_tools.as_slice() {
            [] => String::new(),
            tools => format!(", and {base} brings {}", kinds_text(tools, MAX_NAMED)),
        };
        return (
            Outcome::Warn,
            format!("{stages}, and nothing is built where it runs, but it ships {what}{brings}"),
        );
    }
    if evidence.is_ours() {
        let bytes = sum(evidence.to_name());
        let what = kinds_text(&evidence.to_name(), MAX_NAMED);
        let deleted = deleted_text(evidence.own_tools.iter().chain(&evidence.own_inputs));
        let joined = if told.is_some() { format!("{stages}, and it ships") } else { "it ships".into() };
        return (Outcome::Fail, format!("{joined} {bytes} that only its build needed: {what}{deleted}{ran}"));
    }
    if !evidence.base_tools.is_empty() {
        let what = kinds_text(&evidence.base_tools, MAX_NAMED);
        let what = what + deleted_text(evidence.base_tools.iter());
        if builder.uses_base_tools() {
            return (
                Outcome::Fail,
                format!("{stages} builds with what comes with {base}, and ships it: {what}{ran}"),
            );
        }
        let before = told.map_or_else(String::new, |_| format!("{stages}; "));
        let text = format!(
            "{before}nothing is built where it runs, but {base} brings what only builds need: {what}"
        );
        return (Outcome::Warn, text);
    }
    (Outcome::Pass, passed(&stages, evidence, builder, told, head))
}

/// Why it is fine.
fn passed(
    stages: &str,
    evidence: &Evidence<'_>,
    builder: &Builder<'_>,
    told: Option<Told<'_>>,
    head: &Snapshot,
) -> String {
    if let Some(why) = evidence.accepted.first().and_then(|one| one.ignored.as_deref()) {
        let what = kinds_text(&evidence.accepted, MAX_NAMED);
        let why = why.trim_end_matches('.');
        return match told {
            Some(_) => format!("{stages}, and what it ships that builds need is accepted: {what}: {why}"),
            None => format!("what it ships that builds need is accepted: {what}: {why}"),
        };
    }
    let files = match head.totals.files {
        Some(1) => ", which is one file".to_owned(),
        _ => String::new(),
    };
    let steps = builder.steps_with_undone();
    match told {
        None => format!("no program that builds is in the image{files}"),
        Some(_) if !steps.is_empty() => {
            format!("{stages}, and no program that builds is left in the image by {steps}")
        }
        Some(told) if is_multi_stage(told.facts) => {
            format!("{stages}, and no program that builds is in the image{files}")
        }
        Some(_) => format!("{stages}, and needs no other: no program that builds is in the image{files}"),
    }
}

/// Of what is deleted again, all of it.
fn deleted_text<'a>(mut found: impl Iterator<Item = &'a &'a BuildOnly>) -> &'static str {
    if found.all(|one| one.deleted) { ", deleted in a later step and shipped all the same" } else { "" }
}

fn base_name(head: &Snapshot) -> String {
    let name = head.base.as_ref().and_then(|base| base.name.clone());
    name.unwrap_or_else(|| "the base image".into())
}

/// One kind of all layers together.
type KindSum<'a> = (Weight, Bytes, Vec<&'a BuildOnly>);

fn kinds_of<'a>(found: &[&'a BuildOnly]) -> Vec<KindSum<'a>> {
    let mut kinds: BTreeMap<&str, KindSum<'a>> = BTreeMap::new();
    for one in found {
        let kind = kinds.entry(one.kind.as_str()).or_insert((one.weight, Bytes(0), Vec::new()));
        kind.1 = kind.1.saturating_add(one.bytes);
        kind.2.push(one);
    }
    kinds.into_values().collect()
}

/// Most bytes first within what says most.
fn kinds_text(found: &[&BuildOnly], most: usize) -> String {
    let mut kinds = kinds_of(found);
    kinds.sort_by_key(|(weight, bytes, _)| (*weight, Reverse(*bytes)));
    named_most(kinds.iter().map(kind_text).collect(), most)
}

/// `compilers (80.1 MiB: gcc-12)`.
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
