//! The instructions that made an image, and which of them build where it runs.

use super::{MAX_NAMED, is_multi_stage, named_most};
use crate::dockerfile::{DockerfileFacts, Work, WorkKind, works_of};
use crate::image::layer_ref::DockerfileLines;
use crate::image::snapshot::Snapshot;
use crate::image::{Bytes, Instruction};
use crate::tools::tools;

/// One command that a shipped instruction runs.
pub(super) struct ToolRun {
    pub kind: WorkKind,
    pub tool: String,
    pub subjects: Vec<String>,
    pub undone: bool,
    pub production: bool,
    pub place: Option<DockerfileLines>,
}

pub(super) fn works_of_dockerfile(dockerfile: &DockerfileFacts) -> Vec<ToolRun> {
    let step = |work: &Work| ToolRun {
        kind: work.kind,
        tool: work.tool.clone(),
        subjects: work.subjects.clone(),
        undone: work.undone,
        production: work.production,
        place: Some(DockerfileLines {
            path: dockerfile.path.clone(),
            line: work.line,
            end_line: work.end_line,
        }),
    };
    dockerfile.facts.works.iter().map(step).collect()
}

/// The commands of an image without a Dockerfile: those that its history shows above the base image.
pub(super) fn works_of_history(head: &Snapshot) -> Vec<ToolRun> {
    let below = head.base.as_ref().map_or(0, |base| base.layers as usize);
    let own = head.layers.iter().skip(below).filter(|layer| layer.size != Some(Bytes(0)));
    let own = own.filter_map(|layer| layer.created_by.as_ref());
    let runs = own.filter(|step| matches!(step.kind(), "RUN" | ""));
    let found = runs.flat_map(|step: &Instruction| works_of(step.as_str()));
    let step = |work: crate::dockerfile::FoundWork| ToolRun {
        kind: work.kind,
        tool: work.tool,
        subjects: work.subjects,
        undone: work.undone,
        production: work.production,
        place: None,
    };
    found.map(step).collect()
}

/// Whether it only updates package installers, which the base image has as well.
pub(super) fn is_installer(subjects: &[String]) -> bool {
    let is_one = |subject: &String| {
        tools().installers.iter().any(|name| {
            subject == name || subject.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('@'))
        })
    };
    !subjects.is_empty() && subjects.iter().all(is_one)
}

/// The instructions that build where the image runs.
pub(super) struct Builder<'a> {
    works: &'a [ToolRun],
    /// Whether installing the application's dependencies counts: in a single stage, that is building.
    single: bool,
}

impl<'a> Builder<'a> {
    pub fn of(works: &'a [ToolRun], dockerfile: Option<&DockerfileFacts>) -> Builder<'a> {
        Builder { works, single: dockerfile.is_none_or(|dockerfile| !is_multi_stage(&dockerfile.facts)) }
    }

    pub fn blames(&self, work: &ToolRun) -> bool {
        match work.kind {
            WorkKind::InstallsBuildTools => !work.undone && !is_installer(&work.subjects),
            // Build tools that an instruction installs, uses and removes again are not shipped.
            WorkKind::Build => !self.works.iter().any(|other| {
                other.kind == WorkKind::InstallsBuildTools
                    && other.undone
                    && other.place == work.place
                    && work.place.is_some()
            }),
            WorkKind::InstallsDependencies
            | WorkKind::InstallsPackages
            | WorkKind::Removes
            | WorkKind::RunsScript => false,
        }
    }

    /// Whether anything is built where the image runs.
    pub fn builds(&self) -> bool {
        self.works.iter().any(|work| self.blames(work))
    }

    /// Whether the base image's tools are used where the image runs.
    pub fn uses_base_tools(&self) -> bool {
        let uses = |work: &ToolRun| match work.kind {
            WorkKind::Build => true,
            WorkKind::InstallsDependencies | WorkKind::InstallsBuildTools => self.single,
            WorkKind::InstallsPackages | WorkKind::Removes | WorkKind::RunsScript => false,
        };
        self.works.iter().any(uses)
    }

    pub fn names(&self, work: &ToolRun) -> bool {
        self.blames(work) || self.single && work.kind == WorkKind::InstallsDependencies
    }

    /// The instructions in words, with their lines. In a single stage, installing the application's dependencies is
    /// building.
    pub fn steps(&self) -> String {
        self.texts_of(|work| self.names(work))
    }

    /// The same, including instructions that remove again what they install.
    pub fn steps_with_undone(&self) -> String {
        self.texts_of(|work| self.names(work) || work.kind == WorkKind::InstallsBuildTools)
    }

    fn texts_of(&self, is_named: impl Fn(&ToolRun) -> bool) -> String {
        let mut texts: Vec<String> = Vec::new();
        for step in self.works.iter().filter(|work| is_named(work)) {
            let text = step_text(step);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        named_most(texts, MAX_NAMED)
    }
}

/// `Dockerfile:5 pip install pipenv`.
pub(super) fn step_text(step: &ToolRun) -> String {
    let subjects: Vec<&str> = step.subjects.iter().take(MAX_NAMED).map(String::as_str).collect();
    let place = step.place.as_ref().map_or_else(String::new, |place| match place.short_name() {
        Some(name) => format!("{name}:{} ", place.line),
        None => format!("{place} "),
    });
    let subjects = if subjects.is_empty() { String::new() } else { format!(" {}", subjects.join(" ")) };
    format!("{place}{}{subjects}", step.tool)
}
