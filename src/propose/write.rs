//! The text of a proposal.

use super::cleanup::cleanup;
use super::context::{BuildContext, Maker, user_commands};
use super::copies::{Copies, copies};
use super::entry::StartCommands;
use super::fate::ACCOUNTS;
use super::mounts::mounts;
use super::other_base::{Extra, OtherBase};
use super::packages::{Install, installs};
use super::quote::{comment, listed};
use super::steps::{BuildStep, Role};
use super::{NoProposal, Proposal, RuntimeImage, base};
use crate::dockerfile::{LineRange, SourceInstruction, Stage, StageBase};
use crate::image::{Bytes, Delta, Weight, snapshot};

/// Names for the new stage; the first free one is used.
const NAMES: [&str; 4] = ["builder", "build", "build-stage", "layergate-builder"];
/// A smaller saving, in percent of the image, is not worth a stage.
const WORTH_IT: u64 = 1;
/// Writes the proposal.
pub(super) fn write(context: &BuildContext<'_>, entry: &StartCommands) -> Result<Proposal, NoProposal> {
    let missing = || NoProposal::Unwritable { why: "a stage is missing".into() };
    let (split, target) = (context.split_stage().ok_or_else(missing)?, context.target().ok_or_else(missing)?);
    let writer = DockerfileWriter {
        context,
        lines: context
            .inputs
            .source
            .trim_start_matches('\u{feff}')
            .split('\n')
            .map(|line| line.trim_end_matches('\r'))
            .collect(),
        split,
        target,
        runtime_image: FinalStage::of(context),
        copies: copies(context, entry),
        installs: installs(context, entry),
    };
    writer.proposal(entry)
}

/// The base of the final stage.
struct FinalStage<'a> {
    /// As written after `FROM`.
    text: String,
    name: String,
    /// The image, if it is not the build's.
    other: Option<RuntimeImage<'a>>,
}

impl<'a> FinalStage<'a> {
    fn of(context: &BuildContext<'a>) -> FinalStage<'a> {
        let lowest = context.inputs.facts.chain.first();
        let stage = lowest.and_then(|stage| context.inputs.dockerfile.stages().get(*stage));
        let platform = stage.and_then(|stage| stage.platform.as_deref());
        let platform = platform.map(|platform| format!("--platform={platform} ")).unwrap_or_default();
        let same = stage.map_or_else(String::new, |stage| stage.base.clone());
        let chosen = context.inputs.runtime_image.filter(|chosen| Some(chosen.name) != context.base_name());
        match chosen.filter(|chosen| is_reference(chosen.name)) {
            Some(other) => FinalStage {
                text: format!("{platform}{}", other.name),
                name: other.name.to_owned(),
                other: Some(other),
            },
            None => FinalStage {
                text: format!("{platform}{same}"),
                name: context.base_name().map_or(same, str::to_owned),
                other: None,
            },
        }
    }
}

/// Whether an image name is safe after `FROM`.
fn is_reference(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "/:.-_@+".contains(c))
}

struct DockerfileWriter<'w, 'a> {
    context: &'w BuildContext<'a>,
    lines: Vec<&'w str>,
    split: &'a Stage,
    target: &'a Stage,
    runtime_image: FinalStage<'a>,
    copies: Copies,
    installs: Vec<Install>,
}

impl DockerfileWriter<'_, '_> {
    fn proposal(&self, entry: &StartCommands) -> Result<Proposal, NoProposal> {
        let now = self.context.inputs.snapshot.totals.uncompressed.ok_or(NoProposal::NoFiles)?;
        let extra = self.other_base().map(|other| other.extra(entry)).unwrap_or_default();
        let predicted = self.predicted(&extra);
        let least = u128::from(now.0) * u128::from(100 - WORTH_IT) / 100;
        if let Some(then) = predicted.filter(|then| u128::from(then.0) > least) {
            return Err(NoProposal::NoGain { then, now, hint: self.hint() });
        }
        let unsure = self.unsure(&extra);
        let text = self.text(predicted, now, &unsure, &extra);
        let moved =
            self.context.before().iter().filter(|step| matches!(step.role, Role::Builds | Role::Copies));
        let lines = |step: &BuildStep<'_>| LineRange {
            line: step.instruction.line,
            end_line: step.instruction.end_line,
        };
        Ok(Proposal {
            text,
            predicted,
            now,
            runtime_image: self.runtime_image.name.clone(),
            unsure,
            script: self.copies.script.clone(),
            moved: moved.map(lines).collect(),
            copied: self.copies.paths.clone(),
        })
    }

    fn hint(&self) -> String {
        match (
            &self.runtime_image.other,
            base::usual_final_base(&self.context.plan.base, self.context.inputs.snapshot),
        ) {
            (None, Some(usual)) => {
                format!("; build the final stage on {usual}, with --runtime-image {usual}")
            }
            (None, None) => "; choose a smaller image for the final stage with --runtime-image".into(),
            _ => String::new(),
        }
    }

    /// The bytes of the final image: of its base, the copies, and the repeated instructions.
    fn predicted(&self, extra: &Extra) -> Option<Bytes> {
        let snapshot = self.context.inputs.snapshot;
        let base = match &self.runtime_image.other {
            Some(other) => other.snapshot?.totals.uncompressed?,
            None => {
                let base = snapshot.layers.iter().take(self.context.base_layers as usize);
                snapshot::sum_known(base.map(|layer| layer.size))?
            }
        };
        let again =
            (0..snapshot.layers.len() as u32).filter(|layer| self.context.maker(*layer) == Maker::Again);
        let again = again.map(|layer| self.context.layer_size(layer).0).sum::<u64>();
        let installed = self.installs.iter().map(|install| install.bytes.0).sum::<u64>();
        let cleared = (0..self.context.steps.len()).filter_map(|step| cleanup(self.context, step));
        let again = again.saturating_sub(cleared.map(|cleanup| cleanup.bytes.0).sum::<u64>());
        Some(Bytes(base.0 + self.copies.bytes.0 + again + installed + self.accounts() + extra.bytes.0))
    }

    /// What creating the same users again adds.
    fn accounts(&self) -> u64 {
        let steps = self.context.before().iter().filter(|step| {
            step.role != Role::InstallsPackages
                && user_commands(step).is_some_and(|commands| !commands.is_empty())
        });
        let layers = steps.filter_map(|step| self.context.layers.get(step.layer? as usize));
        let is_account = |path: &[u8]| ACCOUNTS.contains(&path.strip_suffix(b"-").unwrap_or(path));
        let files = layers.flat_map(|file_list| &file_list.entries).filter_map(|entry| match entry {
            crate::image::Entry::File(path, size) if is_account(path.as_bytes()) => Some(size.0),
            _ => None,
        });
        files.sum()
    }

    /// The text between two lines, both included and counted from 1.
    fn lines(&self, from: u32, to: u32) -> impl Iterator<Item = (u32, &str)> {
        let (from, to) = (from.max(1) as usize, (to as usize).min(self.lines.len()));
        self.lines.iter().enumerate().take(to).skip(from - 1).map(|(index, line)| (index as u32 + 1, *line))
    }

    /// The first line of the comments directly above a line.
    fn with_comments(&self, line: u32) -> u32 {
        let mut first = line;
        while first > 1
            && self.lines.get(first as usize - 2).is_some_and(|text| text.trim_start().starts_with('#'))
        {
            first -= 1;
        }
        first
    }

    /// The last line of a stage's `FROM`.
    fn end_of_from(&self, stage: &Stage) -> u32 {
        let goes_on =
            |line: u32| self.lines.get(line as usize - 1).is_some_and(|text| text.trim_end().ends_with('\\'));
        let mut line = stage.line;
        while goes_on(line) && (line as usize) < self.lines.len() {
            line += 1;
        }
        line
    }

    fn text(&self, predicted: Option<Bytes>, now: Bytes, unsure: &[String], extra: &Extra) -> String {
        let stages = self.context.inputs.dockerfile.stages();
        let first = stages.first().map_or(1, |stage| self.with_comments(stage.line));
        let mut out = Text::default();
        let is_directive = |line: &str| {
            let directive = line.trim().strip_prefix('#').and_then(|rest| rest.split_once('='));
            directive.is_some_and(|(name, _)| {
                ["syntax", "check", "escape"].contains(&name.trim().to_ascii_lowercase().as_str())
            })
        };
        let directives =
            self.lines.iter().take(first as usize - 1).take_while(|line| is_directive(line)).count();
        self.lines.iter().take(directives).for_each(|line| out.line(line));
        self.header(&mut out, predicted, now, unsure);
        self.lines(directives as u32 + 1, first - 1).for_each(|(_, line)| out.line(line));
        let (split, target) = (self.split.index, self.target.index);
        for stage in stages {
            out.blank();
            match stage.index {
                index if index == split && index == target => {
                    let builder = self.builder(&mut out);
                    self.last(&mut out, &builder, extra);
                }
                index if index == target => {
                    let builder = self.builder_of_split(&mut out);
                    self.last(&mut out, &builder, extra);
                }
                _ => self.verbatim(&mut out, stage),
            }
        }
        out.finish()
    }

    fn header(&self, out: &mut Text, predicted: Option<Bytes>, now: Bytes, unsure: &[String]) {
        let image = comment(&self.context.inputs.snapshot.image.reference);
        out.line(&format!(
            "# A proposal of `layergate stages --propose`, made from this Dockerfile and the image {image}."
        ));
        out.line("# Review it before you use it.");
        // The file goes into a repository, where no-break spaces are unexpected.
        let size = |bytes: Bytes| bytes.to_string().replace('\u{a0}', " ");
        out.line(&match predicted {
            Some(then) => {
                let share = Delta::between(now, then).percent_of(now).unwrap_or_default();
                format!("# Uncompressed size: {} now, about {} then ({share}).", size(now), size(then))
            }
            None => format!("# Uncompressed size: {} now; then: not known.", size(now)),
        });
        if !unsure.is_empty() {
            out.line("# Not certain:");
            unsure.iter().for_each(|text| out.line(&format!("# - {}", comment_whole(text))));
        }
        out.blank();
    }

    fn verbatim(&self, out: &mut Text, stage: &Stage) {
        let end = stage.end_line.max(self.end_of_from(stage));
        let first = self.with_comments(stage.line);
        let is_split = stage.index == self.split.index;
        self.lines(first, end).for_each(|(number, line)| {
            out.line(&if is_split { self.with_mounts(number, line) } else { line.to_owned() });
        });
    }

    /// Writes the builder stage, cut off after its last instruction that builds, and returns its name.
    fn builder(&self, out: &mut Text) -> String {
        let name = self.free_name();
        let stage = self.split;
        let from = self.with_comments(stage.line);
        self.lines(from, stage.line - 1).for_each(|(_, line)| out.line(line));
        out.line(&format!("# Only for the build: {}.", self.left_behind()));
        let platform = stage.platform.as_deref().map(|platform| format!("--platform={platform} "));
        out.line(&format!("FROM {}{} AS {name}", platform.unwrap_or_default(), stage.base));
        let end = self.context.steps.get(self.context.split).map_or(0, |step| step.instruction.end_line);
        let body = self.lines(self.end_of_from(stage) + 1, end);
        body.for_each(|(number, line)| out.line(&self.with_mounts(number, line)));
        self.tail(out);
        name
    }

    /// Returns the stage to copy from, if it is one on which the target builds.
    fn builder_of_split(&self, out: &mut Text) -> String {
        let split = self.split.name.clone().unwrap_or_else(|| self.split.index.to_string());
        if self.copies.tail.is_empty() && self.copies.prunes.is_empty() {
            return split;
        }
        let name = self.free_name();
        out.line(&format!("FROM {split} AS {name}"));
        self.tail(out);
        name
    }

    fn tail(&self, out: &mut Text) {
        let Copies { prunes, tail, .. } = &self.copies;
        prunes.iter().for_each(|line| out.line(line));
        if !tail.is_empty() && !self.context.is_root_after(self.context.split) {
            out.line("USER root");
        }
        tail.iter().for_each(|line| out.line(line));
        out.blank();
    }

    /// A line of the builder, with cache mounts if it starts a `RUN` that left a cache.
    fn with_mounts(&self, number: u32, line: &str) -> String {
        let step = self.context.before().iter().position(|step| step.instruction.line == number);
        let flags = step.map(|step| mounts(self.context, step)).unwrap_or_default();
        let indent = line.len() - line.trim_start().len();
        let (indent, rest) = line.split_at(indent);
        match rest.get(..3).zip(rest.get(3..)) {
            Some((keyword, rest)) if !flags.is_empty() && rest.starts_with([' ', '\t']) => {
                format!("{indent}{keyword} {flags}{}", rest.trim_start())
            }
            _ => line.to_owned(),
        }
    }

    /// A name that no stage has and nothing copies from.
    fn free_name(&self) -> String {
        let source = self.context.inputs.source.to_ascii_lowercase();
        let stages = self.context.inputs.dockerfile.stages();
        let sources: Vec<&str> = source.split("from=").skip(1).collect();
        let is_source = |name: &str| {
            let ends =
                |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c));
            sources.iter().any(|source| source.strip_prefix(name).is_some_and(ends))
        };
        let bases = self.context.inputs.facts.stages.iter().filter_map(|stage| match &stage.resolved {
            StageBase::Image(name) => Some(name.as_str()),
            _ => None,
        });
        let is_taken = |name: &str| {
            let named = stages.iter().filter_map(|stage| stage.name.as_deref());
            let mut names = named.chain(stages.iter().map(|stage| stage.base.as_str())).chain(bases.clone());
            names.any(|own| own.eq_ignore_ascii_case(name)) || is_source(name)
        };
        let free = NAMES.into_iter().find(|name| !is_taken(name)).map(str::to_owned);
        free.unwrap_or_else(|| {
            let numbers = 2..1000;
            let mut names = numbers.map(|number| format!("builder{number}"));
            names.find(|name| !is_taken(name)).unwrap_or_else(|| "layergate".into())
        })
    }

    /// What stays in the builder, in a few words.
    fn left_behind(&self) -> String {
        let found = self.context.inputs.snapshot.removable.as_deref().unwrap_or_default();
        let mut words: Vec<String> = Vec::new();
        for found in found.iter().filter(|found| found.counts()) {
            let is_left =
                found.layer.of_base_image == self.runtime_image.other.is_some() || !found.layer.of_base_image;
            let what = comment(&found.what);
            let is_worth_it = found.weight != Weight::Leftover;
            if is_left && is_worth_it && !words.contains(&what) && words.len() < 4 {
                words.push(what);
            }
        }
        if words.is_empty() { "build tools".into() } else { words.join(", ") }
    }

    /// Writes the final stage.
    fn last(&self, out: &mut Text, builder: &str, extra: &Extra) {
        let name = self.target.name.as_deref().map(|name| format!(" AS {name}")).unwrap_or_default();
        out.line(&format!("FROM {}{name}", self.runtime_image.text));
        extra.first.iter().for_each(|line| out.line(line));
        self.before(out);
        let copies: Vec<&String> = extra.lines.iter().chain(&self.copies.lines).collect();
        if !copies.is_empty() {
            out.line("# Built in the builder stage, and needed at run time.");
        }
        copies.into_iter().for_each(|line| out.line(&line.replace("{builder}", builder)));
        if (self.copies.has_libraries || extra.has_libraries) && self.has_ldconfig() {
            out.line("RUN ldconfig");
        }
        self.after(out);
    }

    /// Writes the settings of the builder's instructions, and those instructions that are repeated.
    fn before(&self, out: &mut Text) {
        let directory = self.working_directory();
        for (index, step) in self.context.before().iter().enumerate() {
            let instruction = step.instruction;
            match (step.role, instruction.keyword) {
                (Role::Config, "WORKDIR") if !directory.contains(&index) => {}
                (Role::Config, "ARG") if !self.uses_argument(step) => {}
                (Role::Config | Role::InstallsPackages, _) => self.step(out, index, instruction.line),
                _ => self.done_again(out, step, index),
            }
        }
    }

    /// Writes an instruction as it is, starting at a line, with the cleanup that it lacks.
    fn step(&self, out: &mut Text, index: usize, from: u32) {
        let Some(step) = self.context.steps.get(index) else { return };
        let cleanup = cleanup(self.context, index);
        for (number, line) in self.lines(from, step.instruction.end_line) {
            match &cleanup {
                Some(cleanup) if number == step.instruction.end_line => {
                    out.line(&format!("{} \\\n  && {}", line.trim_end(), cleanup.command));
                }
                _ => out.line(line),
            }
        }
    }

    /// Writes the needed packages and users of a building instruction.
    fn done_again(&self, out: &mut Text, step: &BuildStep<'_>, index: usize) {
        for install in self.installs.iter().filter(|install| install.step == index) {
            out.line("# Packages that the program needs when it runs.");
            out.line(&install.command());
        }
        let commands = user_commands(step).unwrap_or_default();
        if !commands.is_empty() {
            let commands: Vec<&str> = commands.iter().map(|command| command.text.as_str()).collect();
            out.line(&format!("RUN {}", commands.join(" && ")));
        }
    }

    /// The instructions that set the working directory of the final stage: the last one with an absolute path, and
    /// those after it; none if the following instructions set their own first.
    fn working_directory(&self) -> Vec<usize> {
        let depends = |step: &&BuildStep<'_>| match step.instruction.keyword {
            "COPY" | "ADD" => !copies_to_absolute(step),
            keyword => matches!(keyword, "WORKDIR" | "RUN"),
        };
        let next = self.context.after().iter().find(depends).map(|step| step.instruction);
        if next.is_some_and(|next| next.keyword == "WORKDIR" && next.arguments.starts_with('/')) {
            return Vec::new();
        }
        let set: Vec<usize> = self
            .context
            .before()
            .iter()
            .enumerate()
            .filter(|(_, step)| step.instruction.keyword == "WORKDIR")
            .map(|(index, _)| index)
            .collect();
        let absolute = |index: &usize| self.context.steps[*index].instruction.arguments.starts_with('/');
        let from = set.iter().rposition(absolute).unwrap_or(0);
        set[from..].to_vec()
    }

    /// Whether the final stage uses a build argument.
    fn uses_argument(&self, argument: &BuildStep<'_>) -> bool {
        let again = self.context.before().iter().filter_map(user_commands).flatten();
        let again = again.map(|command| command.text.as_str());
        let is_kept = |step: &&BuildStep<'_>| matches!(step.role, Role::Config | Role::InstallsPackages);
        let kept = self.context.before().iter().filter(is_kept).chain(self.context.after());
        let kept = kept.map(|step| step.instruction).filter(|own| own.line != argument.instruction.line);
        let documents = |own: &'_ SourceInstruction| {
            own.here_documents.iter().map(|document| document.content.clone()).collect::<String>()
        };
        let texts: Vec<String> = kept.map(|own| format!("{}\n{}", own.text, documents(own))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).chain(again).collect();
        let words = argument.instruction.arguments.split_whitespace();
        let mut names = words.map(|word| word.split('=').next().unwrap_or(word));
        names.any(|name| {
            let marks = [format!("${name}"), format!("${{{name}")];
            texts.iter().any(|text| marks.iter().any(|mark| text.contains(mark)))
        })
    }

    /// Writes the rest, as it is.
    fn after(&self, out: &mut Text) {
        let end_of = |step: usize| self.context.steps.get(step).map_or(0, |step| step.instruction.end_line);
        let one_stage = self.split.index == self.target.index;
        for (index, step) in self.context.steps.iter().enumerate().skip(self.context.split + 1) {
            // If there is only one stage, all lines between two instructions are kept.
            let comments = self.with_comments(step.instruction.line);
            let from = if one_stage { end_of(index - 1) + 1 } else { comments };
            self.step(out, index, from);
        }
    }

    /// Whether the final image has `ldconfig`; a static image or Alpine needs none.
    fn has_ldconfig(&self) -> bool {
        let tree = &self.context.tree;
        [b"sbin/ldconfig" as &[u8], b"usr/sbin/ldconfig"].iter().any(|path| tree.find(path).is_some())
            && tree.find(b"etc/debian_version").is_some()
    }

    fn other_base(&self) -> Option<OtherBase<'_, '_>> {
        self.runtime_image.other.map(|other| OtherBase { context: self.context, other })
    }

    fn unsure(&self, extra: &Extra) -> Vec<String> {
        let mut unsure = self.copies.unsure.clone();
        unsure.extend(extra.unsure.clone());
        let usual = base::usual_final_base(&self.context.plan.base, self.context.inputs.snapshot);
        match (&self.runtime_image.other, usual) {
            (None, Some(usual)) => unsure.push(format!("the final stage is built on the same image as the builder; {usual} would save more if the program runs on it (--runtime-image {usual})")),
            (Some(other), _) if other.snapshot.is_none() => {
                unsure.push(format!("the size of {} is unknown: pull it, and run this again", other.name));
            }
            (Some(_), _) => unsure.extend(self.other_base().map(|other| other.less(self.copies.has_modules))),
            _ => {}
        }
        let others: Vec<&str> =
            self.installs.iter().flat_map(|install| install.others.iter().map(String::as_str)).collect();
        if !others.is_empty() {
            unsure.push(format!(
                "these packages came with build tools and are not installed in the final stage: {}",
                listed(others)
            ));
        }
        if self.context.before().iter().any(|step| step.instruction.keyword == "VOLUME") {
            unsure.push(
                "files that an instruction writes below a VOLUME are not kept, so they are not copied".into(),
            );
        }
        let mut again = self.context.steps.iter().filter(|step| step.role == Role::InstallsPackages);
        let recommends = |step: &BuildStep<'_>| {
            let text = &step.instruction.text;
            text.contains("apt") && text.contains("install") && !text.contains("no-install-recommends")
        };
        if again.any(recommends) {
            let text = "apt-get install without --no-install-recommends installs more than you ask for: try adding it";
            unsure.push(text.into());
        }
        if (0..self.context.split + 1).any(|step| !mounts(self.context, step).is_empty()) {
            unsure.push("the cache mounts need BuildKit (the default builder since Docker 23)".into());
        }
        unsure
    }
}

/// Whether the destination of a `COPY` does not depend on the working directory.
fn copies_to_absolute(step: &BuildStep<'_>) -> bool {
    let instruction = step.instruction;
    let last = instruction.json().and_then(|words| words.last().cloned());
    let last = last.or_else(|| instruction.arguments.split_whitespace().last().map(str::to_owned));
    last.is_some_and(|to| to.starts_with('/'))
}

/// A remark on one line, in full: its parts were already cut.
fn comment_whole(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A text, built line by line.
#[derive(Default)]
struct Text {
    text: String,
}

impl Text {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds an empty line, unless there is one.
    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.line("");
        }
    }

    fn finish(self) -> String {
        format!("{}\n", self.text.trim_end())
    }
}
