//! What a Dockerfile may ship, judging by its text alone. If nothing can ship, it passes. Everything else is a question
//! that only the image answers: text never fails a build.

use std::collections::BTreeSet;

use serde::Serialize;

use super::steps::{Builder, ToolRun, is_installer, step_text, works_of_dockerfile};
use super::{is_multi_stage, named_most, stages_text};
use crate::dockerfile::{
    Copied, CopyOrigin, DockerfileFacts, StageBase, StageFacts, Work, WorkKind, known_image,
};
use crate::image::Weight;
use crate::image::layer_ref::DockerfileLines;
use crate::redact::redact_reference;
use crate::removable::Catalogue;
use crate::sort;
use crate::tools::ImageIs;

/// Maximum questions that a sentence names.
const MAX_NAMED: usize = 4;
/// Maximum questions that a document lists.
const MAX_QUESTIONS: usize = 100;

/// Directories that hold more than one program, so that tools may be among them.
const TREES: &[&str] = &[
    "",
    ".",
    "usr",
    "usr/local",
    "usr/local/bin",
    "usr/local/lib",
    "usr/bin",
    "usr/lib",
    "bin",
    "lib",
    "opt",
    "root",
    "home",
    "var",
    "etc",
    "tmp",
];
/// Directories of dependencies, which may include development dependencies.
const DEPENDENCIES: &[&str] =
    &["node_modules", "vendor", "venv", ".venv", "site-packages", "dist-packages", "deps", "bundle"];

/// What the text of a Dockerfile says about what it ships.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByText {
    /// Whether no build tools can ship; only the image could prove otherwise.
    pub verdict: TextVerdict,
    /// Why, in one sentence.
    pub reason: String,
    /// How many stages there are.
    pub stages: u64,
    /// Whether the shipped stages take something from another stage or image.
    pub multi_stage: bool,
    /// What to look at in the image, in the order of the file.
    pub questions: Vec<Question>,
    /// What to do next.
    pub help: String,
}

impl ByText {
    /// Whether it asks about something that may be a named context of the build.
    pub fn asks_for_context(&self) -> bool {
        self.questions.iter().any(|question| question.text.contains(CONTEXT))
    }
}

/// The verdict from text alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextVerdict {
    /// No build tools can ship.
    Pass,
    /// Only the image can tell.
    Unknown,
}

/// Something that may add build tools or build inputs to the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The instruction, and what it may add.
    pub text: String,
    /// Its lines.
    pub dockerfile: DockerfileLines,
}

/// Evaluates a Dockerfile whose image is not available.
pub fn evaluate_dockerfile(dockerfile: &DockerfileFacts) -> ByText {
    let meant = meant_for_tools(dockerfile);
    let mut questions = questions(dockerfile);
    sort::by_key(&mut questions, |question| question.dockerfile.line);
    let mut seen = BTreeSet::new();
    questions.retain(|question| seen.insert(question.text.clone()));
    questions.truncate(MAX_QUESTIONS);
    let stages = stages_text(&dockerfile.facts);
    let texts = named_most(questions.iter().map(|question| question.text.clone()).collect(), MAX_NAMED);
    let (verdict, reason) = match (&meant, questions.is_empty()) {
        (Some(what), _) => (TextVerdict::Unknown, format!("{stages}; {what}")),
        (None, true) => {
            (TextVerdict::Pass, format!("{stages}, and nothing in the Dockerfile ships build tools"))
        }
        (None, false) => (
            TextVerdict::Unknown,
            format!("{stages}; the Dockerfile alone does not show what these ship: {texts}"),
        ),
    };
    let help = match (&meant, verdict) {
        (Some(_), _) => EXCLUDE.to_owned(),
        (None, TextVerdict::Pass) => String::new(),
        (None, TextVerdict::Unknown) => "measure the image (--image)".to_owned(),
    };
    ByText {
        verdict,
        reason,
        stages: dockerfile.facts.stages.len() as u64,
        multi_stage: is_multi_stage(&dockerfile.facts),
        questions,
        help,
    }
}

/// Advice for an image that is meant to contain tools.
pub(super) const EXCLUDE: &str =
    "it is meant to contain tools: set multi-stage = \"off\" in its [images.NAME] section of layergate.toml";

/// Why an image is meant to contain tools: a development container, a CI runner, an SDK.
pub(super) fn meant_for_tools(dockerfile: &DockerfileFacts) -> Option<String> {
    if dockerfile.path.split('/').any(|part| part == ".devcontainer" || part == ".gitpod") {
        return Some("it is a development container".to_owned());
    }
    let base = &dockerfile.facts.base;
    let StageBase::Image(name) = base else { return None };
    let known = known_image(name).filter(|known| known.is == ImageIs::Workbench)?;
    Some(format!("{} is {}", base.shown()?, known.brings))
}

/// The question about a name that only the build resolves.
const CONTEXT: &str = "a named build context, or an unknown image";

/// Whether a name may be a named context: from bake's `contexts`, compose's `additional_contexts` or `--build-context`.
/// The names of known images are not.
fn may_be_context(name: &str) -> bool {
    !name.contains(['/', ':', '@', '.']) && known_image(name).is_none()
}

fn questions(dockerfile: &DockerfileFacts) -> Vec<Question> {
    let mut questions = questions_of_bases(dockerfile);
    let catalogue = Catalogue::builtin();
    for copied in dockerfile.facts.copies.iter().filter(|copied| !copied.mount) {
        let what =
            copied.paths.iter().find_map(|path| question_of_copy(copied, path, dockerfile, &catalogue));
        questions.extend(what.map(|what| Question {
            text: format!("{} {what}", short_place(dockerfile, copied.line)),
            dockerfile: lines(dockerfile, copied.line, copied.end_line),
        }));
    }
    let works = works_of_dockerfile(dockerfile);
    let builder = Builder::of(&works, Some(dockerfile));
    for (step, work) in works.iter().zip(&dockerfile.facts.works) {
        questions.extend(question_of_work(step, &builder).map(|after| Question {
            text: format!("{}{after}", step_text(step)),
            dockerfile: lines(dockerfile, work.line, work.end_line),
        }));
    }
    questions
}

fn questions_of_bases(dockerfile: &DockerfileFacts) -> Vec<Question> {
    let facts = &dockerfile.facts;
    let bases =
        if facts.variants.is_empty() { vec![&facts.base] } else { facts.variant_bases.iter().collect() };
    let line_of = |base: &StageBase| {
        let stage = facts.stages.iter().find(|stage| stage.in_chain && stage.resolved == *base);
        stage.map_or(1, |stage| stage.line)
    };
    let question = |base: &StageBase| {
        let line = line_of(base);
        let brings = match base {
            StageBase::Scratch | StageBase::Stage(_) => return None,
            StageBase::Unresolved(_) => "an image known only to the build".to_owned(),
            StageBase::Image(name) => match known_image(name) {
                Some(known) if known.is == ImageIs::Lean => return None,
                Some(known) => format!("brings {}", known.brings),
                None if may_be_context(name) => CONTEXT.to_owned(),
                None => "contents unknown".to_owned(),
            },
        };
        let what = format!("FROM {} ({brings})", base.shown()?);
        let text = format!("{} {what}", short_place(dockerfile, line));
        Some(Question { text, dockerfile: lines(dockerfile, line, line) })
    };
    bases.into_iter().filter_map(question).collect()
}

/// What a copy from elsewhere may add.
fn question_of_copy(
    copied: &Copied,
    path: &str,
    dockerfile: &DockerfileFacts,
    catalogue: &Catalogue,
) -> Option<String> {
    let stages = &dockerfile.facts.stages;
    let (from, stage) = match &copied.origin {
        CopyOrigin::Stage(index) => {
            let stage = stages.get(*index)?;
            (stage.name.clone().unwrap_or_else(|| index.to_string()), Some(stage))
        }
        CopyOrigin::Image(name) => (redact_reference(name).into_owned(), None),
    };
    let asked = |what: &str| Some(format!("COPY --from={from} {path} ({what})"));
    let plain =
        path.trim_start_matches('/').trim_end_matches("/*").trim_end_matches("/.").trim_end_matches('/');
    if plain.contains('\u{2026}') {
        return asked("a path known only to the build");
    }
    if TREES.contains(&plain) || plain == "*" {
        return asked("a whole directory tree");
    }
    if let CopyOrigin::Image(name) = &copied.origin
        && let Some(known) = known_image(name).filter(|known| known.tool)
    {
        return asked(&known.brings);
    }
    let within = ["", "/x", "/bin/x"].map(|end| format!("{plain}{end}"));
    let kind = within.iter().find_map(|path| catalogue.kind_of_path(path.as_bytes()));
    if let Some(kind) = kind.filter(|kind| kind.weight <= Weight::Input) {
        return asked(kind.words());
    }
    if let CopyOrigin::Image(name) = &copied.origin
        && may_be_context(name)
    {
        return asked(CONTEXT);
    }
    let stage = stage?;
    let works = works_below(stage, stages);
    let builds = works.iter().any(|work| !matches!(work.kind, WorkKind::Removes));
    let is_in = |directory: &String| *directory == plain || directory.starts_with(&format!("{plain}/"));
    if builds && stage.directories.iter().any(is_in) {
        return asked("its build directory");
    }
    let last = plain.rsplit('/').next().unwrap_or(plain);
    let brings = |work: &&&Work| {
        let is_there = |into: &String| is_within(plain, into);
        !work.undone && !is_installer(&work.subjects) && work.into.as_ref().is_some_and(is_there)
    };
    if let Some(work) = works.iter().find(brings) {
        let tools = named_most(work.subjects.clone(), MAX_NAMED);
        return asked(&format!("line {} installs {tools} there", work.line));
    }
    let lists_all = works.iter().any(|work| lists_unknown(work.kind, &work.subjects, work.production));
    let prunes = works.iter().any(|work| work.kind == WorkKind::Removes && work.tool.ends_with("prune"));
    (DEPENDENCIES.contains(&last) && lists_all && !prunes)
        .then(|| asked("dependencies, perhaps including development ones"))
        .flatten()
}

/// Whether a copied path may contain the directory, given as path or name, that a package manager installs to.
fn is_within(copied: &str, into: &str) -> bool {
    let below = |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
    match into.contains('/') {
        true => copied == into || below(copied, into) || below(into, copied),
        // Debian calls it dist-packages instead, and the python3.11 directory contains it.
        false => copied.split('/').any(|part| {
            let is_python = part == "dist-packages" || part.starts_with("python3");
            part == into || into == "site-packages" && is_python
        }),
    }
}

/// The work of a stage, and of the stages that it builds on.
fn works_below<'a>(stage: &'a StageFacts, stages: &'a [StageFacts]) -> Vec<&'a Work> {
    let mut works: Vec<&Work> = Vec::new();
    let mut next = Some(stage);
    while let Some(stage) = next {
        works.extend(&stage.works);
        // A base is always an earlier stage, so this loop ends.
        next = match stage.resolved {
            StageBase::Stage(below) => stages.get(below),
            _ => None,
        };
    }
    works
}

/// Whether it installs what a file lists.
fn lists_unknown(kind: WorkKind, subjects: &[String], production: bool) -> bool {
    let is_list = subjects.is_empty() || subjects.iter().any(|subject| subject == "\u{2026}");
    kind == WorkKind::InstallsDependencies && is_list && !production
}

/// Why an instruction may leave build tools or build inputs behind: the text to append.
fn question_of_work(step: &ToolRun, builder: &Builder<'_>) -> Option<&'static str> {
    match step.kind {
        WorkKind::InstallsBuildTools | WorkKind::Build => builder.blames(step).then_some(""),
        WorkKind::InstallsDependencies if is_installer(&step.subjects) || step.undone => None,
        WorkKind::InstallsDependencies => {
            lists_unknown(step.kind, &step.subjects, step.production).then_some(" (what a file lists)")
        }
        WorkKind::InstallsPackages => {
            (step.subjects.is_empty() && !step.undone).then_some(" (packages known only to the build)")
        }
        WorkKind::Removes => None,
        WorkKind::RunsScript => Some(" (the Dockerfile does not show what it does)"),
    }
}

fn short_place(dockerfile: &DockerfileFacts, line: u32) -> String {
    let place = lines(dockerfile, line, line);
    place.short_name().map_or_else(|| place.to_string(), |name| format!("{name}:{line}"))
}

fn lines(dockerfile: &DockerfileFacts, line: u32, end_line: u32) -> DockerfileLines {
    DockerfileLines { path: dockerfile.path.clone(), line, end_line }
}
