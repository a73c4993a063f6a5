//! What `layergate stages` says of Dockerfiles and their images: `layergate.stages/v1`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;

use super::build_only;
use super::escape::{code, log, plain, short, short_path};
use super::table::{self, Align, Column};
use super::words;
use crate::dockerfile::Facts;
use crate::image::build_only::sum;
use crate::image::redact::{redact_message, redact_reference};
use crate::image::snapshot::Snapshot;
use crate::image::{BuildOnly, Bytes};
use crate::policy::stages::{Basis, Outcome, shell_path, shell_word};
use crate::policy::{Judgement, Verdict};

/// The `schema` of the document that this version writes.
pub const SCHEMA: &str = "layergate.stages/v1";

/// How far Dockerfiles are with building in stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adoption {
    /// `layergate.stages/v1`.
    pub schema: String,
    /// The version of layergate that wrote it.
    pub layergate: String,
    /// One entry for each Dockerfile and image of it.
    pub dockerfiles: Vec<Entry>,
    /// All of them together.
    pub totals: Totals,
}

/// One Dockerfile, with its image where that is at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The Dockerfile, as it was named or found.
    pub path: String,
    /// Its image.
    pub image: Option<Measured>,
    /// Why nothing more is known of it.
    pub error: Option<String>,
    /// Its stages, first to last.
    pub stages: Vec<Stage>,
    /// How what is shipped is built.
    pub judged: Option<Judgement>,
    /// What the image ships and only its build needed; empty without an image.
    pub build_only: Vec<BuildOnly>,
    /// Bytes that building in stages is likely to save: what only the build needed and is not the base
    /// image's. Null without an image.
    pub saving: Option<Bytes>,
}

/// An image that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// The image as it was asked for.
    pub reference: String,
    /// What it runs on.
    pub platform: Option<String>,
    /// Bytes of its layers.
    pub unpacked: Bytes,
}

/// One stage of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// The name after `AS`.
    pub name: Option<String>,
    /// What it builds on, as written.
    pub base: String,
    /// The line of its `FROM`.
    pub line: u32,
    /// Whether its layers are shipped: it is the target, or what that builds on.
    pub shipped: bool,
    /// Whether what is shipped needs it at all.
    pub used: bool,
}

/// All Dockerfiles together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// How many there are.
    pub dockerfiles: u64,
    /// How many could not be read.
    pub unreadable: u64,
    /// How many copy from another stage or image.
    pub multi_stage: u64,
    /// How many pass.
    pub passing: u64,
    /// How many pass, and could be smaller.
    pub warned: u64,
    /// How many build where the image runs.
    pub failing: u64,
    /// How many had an image to look at.
    pub images: u64,
    /// Bytes that only the builds needed, of all images.
    pub build_only: Bytes,
    /// Bytes that are likely to be saved, of all images.
    pub saving: Bytes,
}

impl Entry {
    /// A Dockerfile that nothing is known of.
    pub fn unreadable(path: String, error: String) -> Entry {
        let (image, judged, saving) = (None, None, None);
        let error = redact_message(&error).into_owned();
        Entry { path, image, error: Some(error), stages: Vec::new(), judged, build_only: Vec::new(), saving }
    }

    /// A Dockerfile, and how what it ships is built.
    pub fn of(path: String, facts: &Facts, image: Option<&Snapshot>, judged: Option<Judgement>) -> Entry {
        let stage = |stage: &crate::dockerfile::StageFacts| Stage {
            name: stage.name.clone(),
            base: redact_reference(&stage.base).into_owned(),
            line: stage.line,
            shipped: stage.in_chain,
            used: stage.used,
        };
        let build_only = image.and_then(|image| image.build_only.clone()).unwrap_or_default();
        let own = build_only.iter().filter(|one| one.ignored.is_none() && !one.layer.of_base_image);
        let saving = sum(own);
        Entry {
            path,
            image: image.map(Measured::of),
            error: None,
            stages: facts.stages.iter().map(stage).collect(),
            judged,
            saving: image.and_then(|image| image.build_only.as_ref()).map(|_| saving),
            build_only,
        }
    }

    fn verdict(&self) -> (Verdict, &'static str) {
        match self.judged.as_ref().map(|judged| judged.outcome) {
            Some(Outcome::Pass) => (Verdict::Pass, "pass"),
            Some(Outcome::Warn) => (Verdict::Warn, "pass, could be smaller"),
            Some(Outcome::Fail) => (Verdict::Fail, "builds where it runs"),
            None => (Verdict::Warn, "unknown"),
        }
    }

    /// `2, copies`, `1`.
    fn stages_text(&self) -> String {
        let copies = self.judged.as_ref().and_then(|judged| judged.multi_stage) == Some(true);
        match self.stages.len() {
            0 => "?".into(),
            count if copies => format!("{count}, copies"),
            count => count.to_string(),
        }
    }

    fn first_thing(&self) -> String {
        match (&self.error, &self.judged) {
            (Some(error), _) => error.clone(),
            (None, Some(judged)) if judged.outcome != Outcome::Pass => {
                // That a proposal can be had is said once, below.
                let help = judged.help.split("; layergate stages --propose").next().unwrap_or_default();
                help.to_owned()
            }
            (None, Some(_)) => "nothing".into(),
            (None, None) => "measure the image from its layers".into(),
        }
    }
}

impl Measured {
    fn of(image: &Snapshot) -> Measured {
        Measured {
            name: image.image.name.clone(),
            reference: image.image.reference.clone(),
            platform: image.image.platform.as_ref().map(ToString::to_string),
            unpacked: image.totals.unpacked,
        }
    }
}

impl Adoption {
    /// Puts Dockerfiles together, those with most to save first.
    pub fn new(mut dockerfiles: Vec<Entry>) -> Adoption {
        let rank = |entry: &Entry| {
            let outcome = entry.judged.as_ref().map(|judged| judged.outcome);
            (std::cmp::Reverse(outcome), std::cmp::Reverse(entry.saving))
        };
        dockerfiles.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.path.cmp(&other.path)));
        let mut totals = Totals::default();
        let mut paths = BTreeSet::new();
        for entry in &dockerfiles {
            // One Dockerfile may make several images.
            totals.dockerfiles += u64::from(paths.insert(entry.path.as_str()));
            totals.add(entry);
        }
        let (schema, layergate) = (SCHEMA.into(), env!("CARGO_PKG_VERSION").into());
        Adoption { schema, layergate, dockerfiles, totals }
    }

    /// Writes it for a terminal or a log.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub fn write_text(&self, width: usize, out: &mut impl Write) -> io::Result<()> {
        let cell = |entry: &Entry| {
            let (verdict, word) = entry.verdict();
            [
                short_path(&log(&entry.path), width),
                entry.stages_text(),
                format!("{} {word}", words::icon(verdict)),
                entry.bytes_text(Bytes::grouped),
                entry.saving.map_or_else(String::new, Bytes::grouped),
                short(&log(&entry.first_thing()), width * 2),
            ]
        };
        writeln!(out, "{}\n", table::text(COLUMNS, self.dockerfiles.iter().map(cell).collect()))?;
        for entry in self.dockerfiles.iter().filter(|entry| self.explains(entry)) {
            let Some(judged) = &entry.judged else { continue };
            writeln!(out, "{}: {}\n", log(&entry.path), log(&judged.reason))?;
            if self.dockerfiles.len() == 1 && !entry.build_only.is_empty() {
                writeln!(out, "{}\n", build_only::text_list(&entry.build_only, width))?;
            }
        }
        writeln!(out, "{}", self.sentence())?;
        self.hint().map_or(Ok(()), |hint| writeln!(out, "{}", log(&hint)))
    }

    /// Writes it for GitHub.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub fn write_markdown(&self, out: &mut impl Write) -> io::Result<()> {
        let unbroken = |bytes: Bytes| bytes.to_string().replace(' ', "\u{a0}");
        let cell = |entry: &Entry| {
            let (verdict, word) = entry.verdict();
            [
                code(&entry.path),
                entry.stages_text(),
                format!("{} {word}", words::icon(verdict)),
                entry.bytes_text(unbroken),
                entry.saving.map_or_else(String::new, unbroken),
                plain(&short(&entry.first_thing(), 300)),
            ]
        };
        writeln!(out, "### Multi-stage builds: {}\n", plain(&self.sentence()))?;
        writeln!(out, "{}", table::markdown(COLUMNS, self.dockerfiles.iter().map(cell).collect()))?;
        for entry in self.dockerfiles.iter().filter(|entry| self.explains(entry)) {
            let Some(judged) = &entry.judged else { continue };
            writeln!(out, "\n- {}: {}", code(&entry.path), plain(&judged.reason))?;
            if self.dockerfiles.len() == 1 && !entry.build_only.is_empty() {
                writeln!(out, "\n{}", build_only::markdown_rows(&entry.build_only))?;
            }
        }
        self.hint().map_or(Ok(()), |hint| writeln!(out, "\n{}", plain(&hint)))
    }

    /// Of one the whole story is told, of many that of those that could do better.
    fn explains(&self, entry: &Entry) -> bool {
        let passes = entry.judged.as_ref().is_some_and(|judged| judged.outcome == Outcome::Pass);
        self.dockerfiles.len() == 1 || !passes
    }

    fn sentence(&self) -> String {
        let totals = &self.totals;
        let count = |count: u64, word: &str| (count > 0).then(|| format!("{count} {word}"));
        let parts = [
            count(
                totals.failing,
                if totals.failing == 1 { "builds where it runs" } else { "build where they run" },
            ),
            count(
                totals.warned,
                if totals.warned == 1 { "passes and could be smaller" } else { "pass and could be smaller" },
            ),
            count(totals.passing, if totals.passing == 1 { "passes" } else { "pass" }),
            count(totals.unreadable, "unknown"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let images = match totals.images {
            0 => String::new(),
            _ => format!(
                "; {} that only builds needed, {} likely to be saved",
                totals.build_only, totals.saving
            ),
        };
        let files = if totals.dockerfiles == 1 { "Dockerfile" } else { "Dockerfiles" };
        format!("{} {files}: {}{images}", totals.dockerfiles, parts.join(", "))
    }

    fn hint(&self) -> Option<String> {
        let failing = |entry: &&Entry| {
            entry.judged.as_ref().is_some_and(|judged| {
                // A Dockerfile that does not fit its image is nothing to start from.
                judged.outcome == Outcome::Fail && judged.by != Basis::Image
            })
        };
        let entry = self.dockerfiles.iter().find(failing)?;
        let judged = entry.judged.as_ref()?;
        let path = shell_path(&entry.path);
        Some(match (&judged.by, &entry.image) {
            (Basis::ImageAndDockerfile, Some(image)) => {
                let image = shell_word(&image.reference);
                format!("A Dockerfile to start from: layergate stages --propose {path} --image {image}")
            }
            _ => format!(
                "Only the text of Dockerfiles was looked at where no image is given; the image shows what is really shipped: layergate stages {path} --image IMAGE"
            ),
        })
    }
}

const COLUMNS: [Column; 6] = [
    ("Dockerfile", Align::Left),
    ("Stages", Align::Left),
    ("", Align::Left),
    ("Build only", Align::Right),
    ("Saving", Align::Right),
    ("First thing to do", Align::Left),
];

impl Entry {
    fn bytes_text(&self, shown: impl Fn(Bytes) -> String) -> String {
        match (&self.image, self.build_only_bytes()) {
            (None, _) => "no image".into(),
            (Some(_), None) => "unknown".into(),
            (Some(_), Some(bytes)) => shown(bytes),
        }
    }

    /// What only the build needed, in bytes, where there is an image and its files are known.
    fn build_only_bytes(&self) -> Option<Bytes> {
        self.saving.and(self.judged.as_ref()).map(|judged| judged.build_only)
    }
}

impl Totals {
    fn add(&mut self, entry: &Entry) {
        self.images += u64::from(entry.saving.is_some());
        let Some(judged) = &entry.judged else {
            self.unreadable += 1;
            return;
        };
        self.multi_stage += u64::from(judged.multi_stage == Some(true));
        match judged.outcome {
            Outcome::Pass => self.passing += 1,
            Outcome::Warn => self.warned += 1,
            Outcome::Fail => self.failing += 1,
        }
        self.build_only = self.build_only.saturating_add(judged.build_only);
        self.saving = self.saving.saturating_add(entry.saving.unwrap_or_default());
    }
}
