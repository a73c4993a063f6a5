//! A Dockerfile as stages and instructions.

use std::borrow::Cow;

use crate::image::Digest;
use crate::redact::redact_reference;

/// A parsed Dockerfile.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// The `ARG`s before the first `FROM`.
    pub(super) globals: Vec<SourceInstruction>,
    pub(super) stages: Vec<Stage>,
    /// The escape and line continuation character: `\`, or a backtick by directive.
    pub(super) escape: char,
    /// The sha256 of the text.
    pub(super) digest: Digest,
}

/// One `FROM` and what follows it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its index, counted from 0, which `--target` and `COPY --from` accept too.
    pub index: usize,
    /// The name after `AS`.
    pub name: Option<String>,
    /// Its base, as written.
    pub base: String,
    /// `--platform`, as written.
    pub platform: Option<String>,
    /// The base with the defaults of the arguments before the first `FROM`.
    pub resolved: StageBase,
    /// The line of its `FROM`.
    pub line: u32,
    /// The last line of its last instruction.
    pub end_line: u32,
    /// All instructions except its `FROM`.
    pub instructions: Vec<SourceInstruction>,
    /// The stages and images it takes files from.
    pub uses: Vec<StageUse>,
}

/// One instruction as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInstruction {
    /// `RUN`, `COPY`, in capitals.
    pub keyword: &'static str,
    /// The text after the keyword, flags included: lines joined, comments removed.
    pub text: String,
    /// `--name=value` before the arguments.
    pub flags: Vec<Flag>,
    /// The text without the flags.
    pub arguments: String,
    /// Its here-documents, in order.
    pub here_documents: Vec<HereDocument>,
    /// Its first line, counted from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
}

/// A flag of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Its name, without the dashes.
    pub name: String,
    /// Its value, as written; absent in `--link`.
    pub value: Option<String>,
}

/// `<<NAME` and the lines that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HereDocument {
    /// The delimiter, without quotes.
    pub name: String,
    /// Whether it is `<<-`, which drops leading tabs.
    pub chomp: bool,
    /// Its lines.
    pub content: String,
}

/// Where a copy or a mount takes files from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyOrigin {
    /// An earlier stage.
    Stage(usize),
    /// Another image.
    Image(String),
}

/// A stage's use of another stage or image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageUse {
    /// What is used.
    pub origin: CopyOrigin,
    /// The index of the instruction in the stage.
    pub instruction: usize,
}

/// The base of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageBase {
    /// Another image, by its reference.
    Image(String),
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// A reference with a variable whose value is unknown, as written.
    Unresolved(String),
}

impl StageBase {
    /// The reference as it may be shown, without credentials; `None` if it is not an image.
    pub fn shown(&self) -> Option<Cow<'_, str>> {
        match self {
            StageBase::Image(name) | StageBase::Unresolved(name) => Some(redact_reference(name)),
            StageBase::Scratch | StageBase::Stage(_) => None,
        }
    }
}

impl Dockerfile {
    /// The sha256 of its text.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Whether a backslash, and nothing else, continues a line.
    pub fn escapes_by_backslash(&self) -> bool {
        self.escape == '\\'
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The names of images and of named contexts that stages build on or copy from.
    pub(super) fn names_of_others(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().flat_map(|stage| {
            let base = if let StageBase::Image(name) = &stage.resolved { Some(name) } else { None };
            let used = stage.uses.iter().filter_map(|used| match &used.origin {
                CopyOrigin::Image(name) => Some(name),
                CopyOrigin::Stage(_) => None,
            });
            base.into_iter().chain(used).map(String::as_str)
        })
    }

    /// The latest stage below `before` that has a name. Names ignore case (Dockerfile reference).
    pub(super) fn named(&self, name: &str, before: usize) -> Option<usize> {
        let has = |stage: &&Stage| stage.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        self.stages[..before.min(self.stages.len())].iter().rev().find(has).map(|stage| stage.index)
    }
}

impl SourceInstruction {
    /// The words of the JSON form (`RUN ["make", "all"]`).
    pub fn json(&self) -> Option<Vec<String>> {
        if !self.arguments.starts_with('[') {
            return None;
        }
        serde_json::from_str(&self.arguments).ok()
    }
}

/// `--from=x` and `--mount=type=bind,from=x`.
pub(super) fn source_of(flag: &Flag) -> Option<String> {
    let value = flag.value.as_deref()?;
    match flag.name.as_str() {
        "from" => Some(value.to_owned()),
        "mount" => {
            value.split(',').find_map(|part| part.trim_matches('"').strip_prefix("from=")).map(str::to_owned)
        }
        _ => None,
    }
}
