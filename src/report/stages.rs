//! What `layergate stages` reports about Dockerfiles and their images: `layergate.stages/v1`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;

use super::escape::{code, log, prose, short};
use super::look::{Sizes, TextLayout};
use super::removable;
use super::table::{self, Align, Column, wrapped};
use super::words;
use crate::analysis::Analysis;
use crate::dockerfile::DockerfileFacts;
use crate::image::snapshot::Snapshot;
use crate::image::{Bytes, Classes, Removable};
use crate::limits::Verdict;
use crate::redact::{redact_message, redact_reference};
use crate::sort;
use crate::stages::{
    Basis, ByText, Evaluation, RemovableOutcome, TextVerdict, evaluate_dockerfile, evaluate_stages,
    shell_path, shell_word, without_proposal,
};

/// The `schema` of the document that this version writes.
pub const SCHEMA: &str = "layergate.stages/v1";

/// The advice if all is well.
const NOTHING: &str = "nothing";

/// Which Dockerfiles are multi-stage, and which should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adoption {
    /// `layergate.stages/v1`.
    pub schema: String,
    /// The version of layergate that wrote it.
    pub layergate: String,
    /// One entry for each Dockerfile, or for each image of a Dockerfile with several.
    pub dockerfiles: Vec<DockerfileEntry>,
    /// Files that look like Dockerfiles but are templates.
    pub templates: Vec<String>,
    /// Where bake and compose files define named contexts, as `FILE:LINE`, if a Dockerfile may need one. They are not
    /// followed.
    pub named_contexts: Vec<String>,
    /// All of them together.
    pub totals: DockerfileTotals,
}

/// One Dockerfile, with its image if available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DockerfileEntry {
    /// The Dockerfile, as it was named or found.
    pub path: String,
    /// Its image.
    pub image: Option<StagesImage>,
    /// Why nothing more is known about it.
    pub error: Option<String>,
    /// Its stages, first to last.
    pub stages: Vec<StageReport>,
    /// The multi-stage evaluation, with an image.
    pub evaluated: Option<Evaluation>,
    /// The multi-stage evaluation from the text alone, without an image.
    pub by_text: Option<ByText>,
    /// The removable files of the image; empty without one.
    pub removable: Vec<Removable>,
    /// Their bytes by class; null without an image.
    pub classes: Option<Classes>,
    /// What the proposal of `--propose` saves; null if there is none, or its size is unknown.
    pub fix: Option<Fix>,
}

/// A fix, and what it saves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// The first and the last line that move to a builder stage.
    pub lines: [u32; 2],
    /// The base image of the final stage then.
    pub runtime_image: String,
    /// Uncompressed bytes saved.
    pub saves: Bytes,
    /// The script that a container starts, which must work without the build tools; omitted if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}

impl Fix {
    fn text(&self) -> String {
        let [first, last] = self.lines;
        let lines = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
        let needs = self.script.as_ref().map(|script| format!(", if {script} needs no build tools"));
        format!("moving {lines} to a builder stage saves {}{}", self.saves, needs.unwrap_or_default())
    }
}

/// An image that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StagesImage {
    /// Its name.
    pub name: String,
    /// The image as it was requested.
    pub reference: String,
    /// Its platform.
    pub platform: Option<String>,
    /// Bytes of its layers, if all are known.
    pub uncompressed: Option<Bytes>,
}

/// One stage of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageReport {
    /// The name after `AS`.
    pub name: Option<String>,
    /// Its base, as written.
    pub base: String,
    /// The line of its `FROM`.
    pub line: u32,
    /// Whether its layers ship: it is the target, or what that builds on.
    pub shipped: bool,
    /// Whether the shipped stage needs it at all.
    pub used: bool,
}

/// All Dockerfiles together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DockerfileTotals {
    /// Number of Dockerfiles.
    pub dockerfiles: u64,
    /// Number that could not be read.
    pub unreadable: u64,
    /// Number that cannot be evaluated without an image.
    pub unknown: u64,
    /// Number that copy from another stage or image.
    pub multi_stage: u64,
    /// Number that pass.
    pub passing: u64,
    /// Number that pass, but could be smaller.
    pub warned: u64,
    /// Number that should use a multi-stage build but do not.
    pub failing: u64,
    /// Number with an image.
    pub images: u64,
    /// Bytes of removable files in all images.
    pub removable: Bytes,
    /// Bytes that the fixes save in all images.
    pub saving: Bytes,
}

impl DockerfileEntry {
    /// A Dockerfile of which nothing is known.
    pub fn unreadable(path: String, error: String) -> DockerfileEntry {
        let (image, evaluated, by_text, classes, fix) = (None, None, None, None, None);
        let error = redact_message(&error).into_owned();
        DockerfileEntry {
            path,
            image,
            error: Some(error),
            stages: Vec::new(),
            evaluated,
            by_text,
            removable: Vec::new(),
            classes,
            fix,
        }
    }

    /// A Dockerfile, and how its image is built.
    pub fn of(dockerfile: &DockerfileFacts, image: Option<&Analysis>, fix: Option<Fix>) -> DockerfileEntry {
        let evaluated = image.and_then(evaluate_stages);
        let by_text = image.is_none().then(|| evaluate_dockerfile(dockerfile));
        let stage = |stage: &crate::dockerfile::StageFacts| StageReport {
            name: stage.name.clone(),
            base: redact_reference(&stage.base).into_owned(),
            line: stage.line,
            shipped: stage.in_chain,
            used: stage.used,
        };
        let found = image.and_then(Analysis::removable);
        let removable = found.map(<[Removable]>::to_vec).unwrap_or_default();
        let classes = found.map(|found| Classes::of(found.iter().filter(|one| one.counts())));
        DockerfileEntry {
            path: dockerfile.path.clone(),
            image: image.map(|image| StagesImage::of(image.snapshot())),
            error: None,
            stages: dockerfile.facts.stages.iter().map(stage).collect(),
            evaluated,
            by_text,
            classes,
            fix,
            removable,
        }
    }

    fn verdict(&self) -> (Verdict, &'static str) {
        match (self.outcome(), self.text_verdict()) {
            (Some(RemovableOutcome::Pass), _) | (None, Some(TextVerdict::Pass)) => (Verdict::Pass, "pass"),
            (Some(RemovableOutcome::Warn), _) => (Verdict::Warn, "pass, could be smaller"),
            (Some(RemovableOutcome::Fail), _) => (Verdict::Fail, "fail"),
            (None, Some(TextVerdict::Unknown)) => (Verdict::Warn, "unknown until measured"),
            (None, None) => (Verdict::Warn, "unknown"),
        }
    }

    fn outcome(&self) -> Option<RemovableOutcome> {
        self.evaluated.as_ref().map(|evaluated| evaluated.outcome)
    }

    fn text_verdict(&self) -> Option<TextVerdict> {
        self.by_text.as_ref().map(|by_text| by_text.verdict)
    }

    fn passes(&self) -> bool {
        self.outcome() == Some(RemovableOutcome::Pass) || self.text_verdict() == Some(TextVerdict::Pass)
    }

    fn is_multi_stage(&self) -> bool {
        let by_text = || self.by_text.as_ref().map(|by_text| by_text.multi_stage);
        self.evaluated.as_ref().and_then(|evaluated| evaluated.multi_stage).or_else(by_text) == Some(true)
    }

    /// The reason for the result.
    fn reason(&self) -> Option<&str> {
        let by_text = || self.by_text.as_ref().map(|by_text| by_text.reason.as_str());
        self.evaluated.as_ref().map(|evaluated| evaluated.reason.as_str()).or_else(by_text)
    }

    /// `2, copies`, `1`.
    fn stages_text(&self) -> String {
        match self.stages.len() {
            0 => "?".into(),
            count if count > 1 && self.stages.iter().all(|stage| stage.shipped) => {
                format!("{count}, all shipped")
            }
            count if self.is_multi_stage() => format!("{count}, copies"),
            count => count.to_string(),
        }
    }

    /// Writes why, and what to do first.
    fn write_reason(&self, explained: bool, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
        let room = look.columns.saturating_sub(2).max(24);
        let mut write = |indent: &str, text: &str| {
            wrapped(&log(text), room, look).iter().try_for_each(|line| writeln!(out, "{indent}{line}"))
        };
        if let Some(error) = &self.error {
            write("", "")?;
            return write("", &format!("{}: {error}", self.path));
        }
        let reason = self.reason().filter(|_| explained);
        let first = Some(self.first_thing()).filter(|first| first != NOTHING);
        if reason.is_none() && first.is_none() {
            return Ok(());
        }
        write("", "")?;
        write("", &format!("{}: {}", self.path, reason.unwrap_or_else(|| self.verdict().1)))?;
        first.map_or(Ok(()), |first| write("  ", &format!("next: {first}")))
    }

    fn first_thing(&self) -> String {
        match (&self.error, &self.evaluated, &self.by_text) {
            (Some(error), ..) => error.clone(),
            (None, Some(_), _) if self.fix.is_some() => self.fix.as_ref().map(Fix::text).unwrap_or_default(),
            (None, Some(evaluated), _) if evaluated.outcome != RemovableOutcome::Pass => {
                // The hint about proposals is given once, below.
                without_proposal(&evaluated.help).to_owned()
            }
            (None, None, Some(by_text)) if by_text.verdict == TextVerdict::Unknown => by_text.help.clone(),
            (None, None, None) => "measure the image from its layers".into(),
            (None, ..) => NOTHING.into(),
        }
    }
}

impl StagesImage {
    fn of(image: &Snapshot) -> StagesImage {
        StagesImage {
            name: image.image.name.clone(),
            reference: image.image.reference.clone(),
            platform: image.image.platform.as_ref().map(ToString::to_string),
            uncompressed: image.totals.uncompressed,
        }
    }
}

impl Adoption {
    /// Combines Dockerfiles, those with most to save first.
    pub fn new(
        mut dockerfiles: Vec<DockerfileEntry>,
        templates: Vec<String>,
        named_contexts: Vec<String>,
    ) -> Adoption {
        let rank = |entry: &DockerfileEntry| {
            let outcome = entry.outcome().filter(|outcome| *outcome != RemovableOutcome::Pass);
            let known = (std::cmp::Reverse(outcome), std::cmp::Reverse(entry.saving()));
            (known, std::cmp::Reverse(entry.text_verdict()))
        };
        sort::by(&mut dockerfiles, |one, other| {
            rank(one).cmp(&rank(other)).then_with(|| one.path.cmp(&other.path))
        });
        let mut totals = DockerfileTotals::default();
        let mut paths = BTreeSet::new();
        for entry in &dockerfiles {
            // One Dockerfile may make several images.
            totals.dockerfiles += u64::from(paths.insert(entry.path.as_str()));
            totals.add(entry);
        }
        let (schema, layergate) = (SCHEMA.into(), env!("CARGO_PKG_VERSION").into());
        Adoption { schema, layergate, dockerfiles, templates, named_contexts, totals }
    }

    /// Writes the report for a terminal or a log.
    ///
    /// # Errors
    /// Any error from writing.
    pub fn write_text(&self, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
        let cell = |entry: &DockerfileEntry| {
            let (verdict, word) = entry.verdict();
            [
                log(&entry.path),
                entry.stages_text(),
                format!("{} {word}", words::icon(verdict)),
                entry.bytes_text(look.sizes),
                entry.saving().map_or_else(String::new, |saving| look.sizes.bytes(saving)),
            ]
        };
        let answer = wrapped(&self.sentence(look.sizes), look.columns, look);
        answer.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out)?;
        let [dockerfile, stages, verdict, removable, saving, _] = COLUMNS;
        let columns = [dockerfile, stages, verdict, removable, saving];
        writeln!(out, "{}", table::text(columns, self.dockerfiles.iter().map(cell).collect(), look))?;
        for entry in &self.dockerfiles {
            entry.write_reason(self.explains(entry), look, out)?;
            if self.dockerfiles.len() == 1 && !entry.removable.is_empty() {
                writeln!(out, "\n{}", removable::text_list(&entry.removable, look))?;
            }
        }
        for hint in self.not_followed().into_iter().chain(self.hint()) {
            writeln!(out)?;
            wrapped(&log(&hint), look.columns, look).iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        Ok(())
    }

    /// Writes the report for GitHub.
    ///
    /// # Errors
    /// Any error from writing.
    pub fn write_markdown(&self, sizes: Sizes, out: &mut impl Write) -> io::Result<()> {
        let cell = |entry: &DockerfileEntry| {
            let (verdict, word) = entry.verdict();
            [
                code(&entry.path),
                entry.stages_text(),
                format!("{} {word}", words::icon(verdict)),
                entry.bytes_text(sizes),
                entry.saving().map_or_else(String::new, |saving| sizes.bytes(saving)),
                prose(&short(&entry.first_thing(), 300)),
            ]
        };
        writeln!(out, "### Multi-stage builds: {}\n", prose(&self.sentence(sizes)))?;
        writeln!(out, "{}", table::markdown(COLUMNS, self.dockerfiles.iter().map(cell).collect()))?;
        for entry in self.dockerfiles.iter().filter(|entry| self.explains(entry)) {
            let Some(reason) = entry.reason() else { continue };
            writeln!(out, "\n- {}: {}", code(&entry.path), prose(reason))?;
            if self.dockerfiles.len() == 1 && !entry.removable.is_empty() {
                writeln!(out, "\n{}", removable::markdown_rows(&entry.removable, sizes))?;
            }
        }
        let mut hints = self.not_followed().into_iter().chain(self.hint());
        hints.try_for_each(|hint| writeln!(out, "\n{}", prose(&hint)))
    }

    /// Whether an entry is explained: always if it is the only one, otherwise only if it could do better.
    fn explains(&self, entry: &DockerfileEntry) -> bool {
        self.dockerfiles.len() == 1 || !entry.passes()
    }

    /// The counts in a sentence.
    fn sentence(&self, sizes: Sizes) -> String {
        let totals = &self.totals;
        let count = |count: u64, word: &str| (count > 0).then(|| format!("{count} {word}"));
        let verb = |count: u64, one: &'static str, many: &'static str| if count == 1 { one } else { many };
        let parts = [
            count(totals.failing, verb(totals.failing, "fails", "fail")),
            count(
                totals.warned,
                verb(totals.warned, "passes and could be smaller", "pass and could be smaller"),
            ),
            count(totals.passing, verb(totals.passing, "passes", "pass")),
            count(totals.unknown, "unknown until measured"),
            count(totals.unreadable, "unreadable"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let images = match totals.images {
            0 => String::new(),
            _ => format!(
                "; {} of removable files, of which builder stages save {}",
                sizes.bytes(totals.removable),
                sizes.bytes(totals.saving)
            ),
        };
        let files = if totals.dockerfiles == 1 { "Dockerfile" } else { "Dockerfiles" };
        let templates = match self.templates.len() {
            0 => String::new(),
            1 => format!("; 1 template left out: {}", log(&self.templates[0])),
            count => format!("; {count} templates left out: {}", named_most(&self.templates)),
        };
        format!("{} {files}: {}{images}{templates}", totals.dockerfiles, parts.join(", "))
    }

    /// The definitions of requested contexts that are not followed.
    fn not_followed(&self) -> Option<String> {
        let files = (!self.named_contexts.is_empty()).then(|| named_most(&self.named_contexts))?;
        Some(format!(
            "Not followed: the named contexts of {files}. Define those that a Dockerfile uses with --build-context NAME=VALUE"
        ))
    }

    fn hint(&self) -> Option<String> {
        let failing = |entry: &&DockerfileEntry| {
            entry.evaluated.as_ref().is_some_and(|evaluated| {
                // A Dockerfile that does not match its image is no basis for a proposal.
                evaluated.outcome == RemovableOutcome::Fail && evaluated.by != Basis::Image
            })
        };
        let propose = |entry: &DockerfileEntry| {
            let (path, image) = (shell_path(&entry.path), shell_word(&entry.image.as_ref()?.reference));
            Some(format!("A Dockerfile to start from: layergate stages --propose {path} --image {image}"))
        };
        let unknown = |entry: &&DockerfileEntry| entry.text_verdict() == Some(TextVerdict::Unknown);
        let measure = |entry: &DockerfileEntry| {
            let path = shell_path(&entry.path);
            format!("The image shows what ships: layergate stages {path} --image IMAGE")
        };
        let proposal = self.dockerfiles.iter().find(failing).and_then(propose);
        proposal.or_else(|| self.dockerfiles.iter().find(unknown).map(measure))
    }
}

/// The first few of the names.
fn named_most(names: &[String]) -> String {
    const MOST: usize = 5;
    let more = names.len().saturating_sub(MOST);
    let first: Vec<String> = names.iter().take(MOST).map(|name| log(name)).collect();
    let first = first.join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

const COLUMNS: [Column; 6] = [
    ("Dockerfile", Align::Path),
    ("Stages", Align::Left),
    ("", Align::Left),
    ("Removable", Align::Right),
    ("Saving", Align::Right),
    ("First thing to do", Align::Left),
];

impl DockerfileEntry {
    fn bytes_text(&self, sizes: Sizes) -> String {
        match (&self.image, self.removable_bytes()) {
            (None, _) => "no image".into(),
            (Some(_), None) => "unknown".into(),
            (Some(_), Some(bytes)) => sizes.bytes(bytes),
        }
    }

    /// Bytes of removable files, if there is an image and its files are known.
    fn removable_bytes(&self) -> Option<Bytes> {
        self.classes.and(self.evaluated.as_ref()).map(|evaluated| evaluated.removable)
    }

    /// What the fix saves.
    fn saving(&self) -> Option<Bytes> {
        self.fix.as_ref().map(|fix| fix.saves)
    }
}

impl DockerfileTotals {
    fn add(&mut self, entry: &DockerfileEntry) {
        self.images += u64::from(entry.classes.is_some());
        self.multi_stage += u64::from(entry.is_multi_stage());
        let Some(evaluated) = &entry.evaluated else {
            match entry.text_verdict() {
                Some(TextVerdict::Pass) => self.passing += 1,
                Some(TextVerdict::Unknown) => self.unknown += 1,
                None => self.unreadable += 1,
            }
            return;
        };
        match evaluated.outcome {
            RemovableOutcome::Pass => self.passing += 1,
            RemovableOutcome::Warn => self.warned += 1,
            RemovableOutcome::Fail => self.failing += 1,
        }
        self.removable = self.removable.saturating_add(evaluated.removable);
        self.saving = self.saving.saturating_add(entry.saving().unwrap_or_default());
    }
}
