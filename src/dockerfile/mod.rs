//! A Dockerfile, and which of its lines made which entry of an image's history.
//!
//! [`Dockerfile::parse`] reads the text, [`Dockerfile::plan`] follows the target stage down to the external base image
//! and lists what builders write into the history for each instruction, and [`map`] aligns that with the history of an
//! image. A wrong line is worse than none: the Dockerfile may have been edited since the image was built, and
//! everything that is then uncertain is left out, with a reason ([`Unmapped`]). [`Dockerfile::facts`] says what the
//! stages do and take from each other.

mod ast;
mod expand;
mod facts;
mod form;
mod map;
mod parse;
mod plan;
pub mod provenance;
mod redacted;
mod statement;
mod steps;
mod template;
#[cfg(test)]
mod tests;
mod variables;

pub use ast::{CopyOrigin, Dockerfile, SourceInstruction, Stage, StageBase};
pub use expand::UNKNOWN;
pub use facts::{
    Copied, DockerfileFacts, Facts, FoundWork, ScriptStep, StageFacts, Work, WorkKind, commands_of,
    known_image, slimmer_of, works_of,
};
pub use map::{HistoryStep, LineRange, Mapping, Unmapped, map};
pub use plan::BuildPlan;
pub use provenance::Provenance;
pub use redacted::redacted;
pub use template::is_template;
pub use variables::BuildOptions;

/// Why a Dockerfile cannot be read, or cannot be built as requested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerfileError {
    /// The file is too large.
    #[error(
        "the Dockerfile has {bytes} bytes, more than the maximum of {}: is it the right file?",
        parse::MAX_BYTES
    )]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// It has far more instructions than an image can have layers.
    #[error("Dockerfile:{line}: more than {} instructions: is it the right file?", parse::MAX_INSTRUCTIONS)]
    TooManyInstructions {
        /// The line of the first one too many.
        line: u32,
    },
    /// `# escape=x`.
    #[error(
        "Dockerfile:{line}: the escape character is {found:?}, but must be \\ or `: correct the directive"
    )]
    Escape {
        /// The line of the directive.
        line: u32,
        /// The requested character.
        found: String,
    },
    /// A word that is not an instruction.
    #[error(
        "Dockerfile:{line}: {word:?} is not an instruction: correct it, or end the previous line with \\ if this one continues it"
    )]
    UnknownInstruction {
        /// Its line.
        line: u32,
        /// The word, cut.
        word: String,
    },
    /// Only `ARG` may come before `FROM`.
    #[error("Dockerfile:{line}: {keyword} comes before the first FROM: move it below")]
    BeforeFrom {
        /// Its line.
        line: u32,
        /// The instruction.
        keyword: &'static str,
    },
    /// `FROM` without the form `FROM image [AS name]`.
    #[error("Dockerfile:{line}: FROM takes an image, optionally followed by AS and a name")]
    From {
        /// Its line.
        line: u32,
    },
    /// An instruction without arguments.
    #[error("Dockerfile:{line}: {keyword} has no arguments")]
    Empty {
        /// Its line.
        line: u32,
        /// The instruction.
        keyword: &'static str,
    },
    /// A here-document without its end.
    #[error("Dockerfile:{line}: the here-document <<{name} has no line {name:?} that ends it")]
    HereDocument {
        /// The line where it starts.
        line: u32,
        /// Its delimiter.
        name: String,
    },
    /// The file has no `FROM`, for example only comments.
    #[error("the Dockerfile has no FROM")]
    NoStage,
    /// `--target` names a stage that does not exist.
    #[error("the Dockerfile has no stage {target:?}; it has {known}")]
    NoSuchTarget {
        /// The requested stage.
        target: String,
        /// The stages that have names.
        known: String,
    },
}
