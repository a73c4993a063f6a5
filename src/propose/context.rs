//! An image and its Dockerfile together: where the build is split, and which layers are on which side.

use std::sync::Arc;

use super::shell::ShellCommand;
use super::steps::{BuildStep, Role, USERS, steps};
use super::tree::PathTree;
use super::{Inputs, NoProposal, usual_final_base};
use crate::dockerfile::{BuildPlan, Stage, StageBase, WorkKind};
use crate::image::{Bytes, Entry, FileList, Filesystem, Instruction};
use crate::removable::Kinds;

/// Stands for unknown text in a plan.
const UNKNOWN: char = '\u{10ffff}';

/// Everything that a proposal is made from.
pub(super) struct BuildContext<'a> {
    pub inputs: &'a Inputs<'a>,
    pub filesystem: &'a Filesystem,
    pub layers: &'a [Arc<FileList>],
    pub tree: PathTree<'a>,
    pub kinds: Kinds<'a>,
    pub plan: BuildPlan,
    pub steps: Vec<BuildStep<'a>>,
    /// The index of the builder's last instruction.
    pub split: usize,
    /// How many of the lowest layers belong to the base image.
    pub base_layers: u32,
    /// For each layer, what made it.
    pub makers: Vec<Maker>,
}

/// What made a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// The base image contains it.
    Base,
    /// An instruction that is repeated where the result is used.
    Again,
    /// An instruction that only the builder has.
    Builder(usize),
}

impl<'a> BuildContext<'a> {
    pub fn new(inputs: &'a Inputs<'a>, filesystem: &'a Filesystem) -> Result<BuildContext<'a>, NoProposal> {
        let base_layers = inputs.snapshot.base.as_ref().map(|base| base.layers as u32);
        let base_layers = base_layers.ok_or(NoProposal::BaseUnknown)?;
        let plan = inputs.dockerfile.plan(inputs.options).map_err(|_| NoProposal::BaseUnknown)?;
        let steps = steps(inputs.dockerfile.stages(), inputs.facts, inputs.snapshot, inputs.catalogue);
        let split = steps.iter().rposition(|step| step.role == Role::Builds);
        let split = split.ok_or_else(|| nothing_builds(inputs))?;
        let makers = makers(inputs, &steps, split, base_layers)?;
        let layers = filesystem.layers();
        let tree = PathTree::new(filesystem);
        let kinds = Kinds::new(inputs.snapshot, filesystem, inputs.catalogue);
        Ok(BuildContext { inputs, filesystem, layers, tree, kinds, plan, steps, split, base_layers, makers })
    }

    /// The instructions of the builder.
    pub fn before(&self) -> &[BuildStep<'a>] {
        &self.steps[..=self.split]
    }

    /// The instructions that only the final stage has.
    pub fn after(&self) -> &[BuildStep<'a>] {
        &self.steps[self.split + 1..]
    }

    pub fn maker(&self, layer: u32) -> Maker {
        self.makers.get(layer as usize).copied().unwrap_or(Maker::Base)
    }

    /// The stage in which the build is split.
    pub fn split_stage(&self) -> Option<&'a Stage> {
        self.inputs.dockerfile.stages().get(self.steps.get(self.split)?.stage)
    }

    /// The target stage.
    pub fn target(&self) -> Option<&'a Stage> {
        self.inputs.dockerfile.stages().get(self.inputs.facts.target)
    }

    /// The name of the base image, if it is an image.
    pub fn base_name(&self) -> Option<&str> {
        match &self.plan.base {
            StageBase::Image(name) => Some(name),
            _ => None,
        }
    }

    /// The base image's instructions, from the history.
    fn base_history(&self) -> impl DoubleEndedIterator<Item = &Instruction> {
        let history = &self.inputs.snapshot.history;
        let steps = history.len().saturating_sub(self.plan.steps.len());
        history.iter().take(steps).filter_map(|step| step.instruction.as_ref())
    }

    /// The value that the base image sets with an instruction, if its history shows it.
    pub fn of_base(&self, keyword: &str) -> Option<&str> {
        let found = self.base_history().rfind(|step| step.kind() == keyword)?;
        found.as_str().split_once(' ').map(|(_, value)| value)
    }

    /// The working directory after an instruction, if it is known.
    pub fn directory_after(&self, step: usize) -> Option<String> {
        let set = self.steps.iter().take(step + 1).rfind(|step| step.instruction.keyword == "WORKDIR");
        let Some(set) = set else { return Some(self.of_base("WORKDIR").unwrap_or("/").to_owned()) };
        let planned = self.plan.steps.iter().find(|step| step.line == set.instruction.line)?;
        let directory = planned.text.strip_prefix("WORKDIR ").unwrap_or("/");
        (!directory.contains(UNKNOWN)).then(|| if directory.is_empty() { "/" } else { directory }.to_owned())
    }

    /// Whether commands run as root after an instruction, as far as known.
    pub fn is_root_after(&self, step: usize) -> bool {
        let set = self.steps.iter().take(step + 1).rfind(|step| step.instruction.keyword == "USER");
        let user = set.map(|step| step.instruction.arguments.as_str()).or_else(|| self.of_base("USER"));
        let user = user.map_or("root", |user| user.split(':').next().unwrap_or(user).trim());
        matches!(user, "root" | "0")
    }

    /// Whether a layer changes what the system's package manager has installed.
    pub fn installs_packages(&self, layer: u32) -> bool {
        let databases: [&[u8]; 5] = [
            b"var/lib/dpkg/status",
            b"lib/apk/db/installed",
            b"usr/lib/apk/db/installed",
            b"var/lib/rpm/rpmdb.sqlite",
            b"usr/lib/sysimage/rpm/rpmdb.sqlite",
        ];
        self.layers.get(layer as usize).is_some_and(|file_list| {
            let is_database =
                |entry: &Entry| matches!(entry, Entry::File(path, _) if databases.contains(&path.as_bytes()));
            file_list.entries.iter().any(is_database)
        })
    }

    /// The bytes of a layer.
    pub fn layer_size(&self, layer: u32) -> Bytes {
        self.inputs.snapshot.layers.get(layer as usize).and_then(|layer| layer.size).unwrap_or_default()
    }

    /// Whether one of these tools built anything.
    pub fn builds_with(&self, tools: &[String]) -> bool {
        let works = self.inputs.facts.works.iter().filter(|work| work.kind == WorkKind::Build);
        works.into_iter().any(|work| {
            let program = work.tool.split(' ').next().unwrap_or("");
            let program = program.rsplit('/').next().unwrap_or(program);
            tools.iter().any(|tool| tool == program)
        })
    }
}

/// The commands of an instruction that create users; `None` if they are unclear.
pub(super) fn user_commands<'s>(step: &'s BuildStep<'_>) -> Option<Vec<&'s ShellCommand>> {
    let commands = step.commands.as_ref()?;
    let makes_users =
        |command: &&ShellCommand| USERS.contains(&command.program()) && !command.text.is_empty();
    Some(commands.iter().filter(makes_users).collect())
}

/// Whether an instruction creates users in a way that cannot be repeated.
pub(super) fn hides_users(step: &BuildStep<'_>) -> bool {
    let text = &step.instruction.text;
    let documents = step.instruction.here_documents.iter().map(|document| document.content.as_str());
    let mut texts = std::iter::once(text.as_str()).chain(documents);
    let named = texts.any(|text| USERS.iter().any(|program| text.contains(program)));
    named && user_commands(step).is_none_or(|commands| commands.is_empty())
}

fn nothing_builds(inputs: &Inputs<'_>) -> NoProposal {
    if inputs.facts.copies.iter().any(|copy| !copy.mount) {
        return NoProposal::BuildsNothing;
    }
    let line = inputs.facts.chain.first().and_then(|stage| inputs.dockerfile.stages().get(*stage));
    let usual = usual_final_base(&inputs.facts.base, inputs.snapshot);
    NoProposal::NoBuildStep { line: line.map_or(1, |stage| stage.line), usual }
}

/// What made each layer. A layer without known lines belongs to the builder if the next layer with known lines does.
fn makers(
    inputs: &Inputs<'_>,
    steps: &[BuildStep<'_>],
    split: usize,
    base_layers: u32,
) -> Result<Vec<Maker>, NoProposal> {
    let count = inputs.snapshot.layers.len();
    let of = |layer: usize| {
        let step = steps.iter().position(|step| step.layer == Some(layer as u32))?;
        let again = step > split || steps[step].role == Role::InstallsPackages;
        Some((step, if again { Maker::Again } else { Maker::Builder(step) }))
    };
    let mut makers = Vec::with_capacity(count);
    for layer in 0..count {
        if (layer as u32) < base_layers {
            makers.push(Maker::Base);
            continue;
        }
        let maker = of(layer).map(|(_, maker)| maker).or_else(|| {
            // If a later layer is the builder's, this one is too.
            let later = (layer + 1..count).find_map(of)?;
            (later.0 <= split).then_some(Maker::Builder(later.0))
        });
        makers.push(maker.ok_or(NoProposal::LinesUnknown { layer: layer as u64 + 1 })?);
    }
    Ok(makers)
}
