//! Why an image could not be read or measured.

use std::io;
use std::path::{Path, PathBuf};

use super::artifacts::ArtifactError;
use crate::image::snapshot::SnapshotError;
use crate::layer::Refusal;
use crate::layer::tar::TarError;

/// An image that could not be read or measured: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be used.
    #[error("cannot {operation} {}: {error}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A path that holds nothing that layergate knows.
    #[error("{}: not an image; expected the output of `docker save`, an OCI layout (file or directory), a `docker inspect` document or a layergate snapshot", .0.display())]
    NotAnImage(PathBuf),
    /// A file of another kind than its transport says.
    #[error("{}: this is no {expected}; {hint}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What the transport promised.
        expected: &'static str,
        /// What to write instead.
        hint: &'static str,
    },
    /// An archive that cannot be walked.
    #[error("{}: {error}", path.display())]
    BrokenArchive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        error: TarError,
    },
    /// A JSON document of an absurd size.
    #[error("refused: `{name}` has {length} bytes, and a document of an image has at most {most}")]
    DocumentTooLarge {
        /// The document's name in the image.
        name: String,
        /// What it has.
        length: u64,
        /// The bound.
        most: u64,
    },
    /// A document that is not what its place says.
    #[error("{image}: `{name}` is malformed: {error}")]
    Malformed {
        /// The image.
        image: String,
        /// The document's name in the image.
        name: String,
        /// What is wrong with it.
        error: String,
    },
    /// A piece that another one names is not there.
    #[error("{image}: {what} is missing from it ({name}); the image was not saved or copied completely")]
    Missing {
        /// The image.
        image: String,
        /// Which piece.
        what: String,
        /// Its name in the image.
        name: String,
    },
    /// A blob that is not the one that its name promises.
    #[error(
        "{image}: {what} is not the one that the image names: expected {expected}, found {found}; save or build the image again"
    )]
    Mismatch {
        /// The image.
        image: String,
        /// Which piece.
        what: String,
        /// The identifier that the image states.
        expected: String,
        /// The identifier of what is there.
        found: String,
    },
    /// A layer that cannot be read.
    #[error("{image}: layer {number} of {total} ({diff_id}): {error}")]
    Layer {
        /// The image.
        image: String,
        /// The layer, counted from 1, lowest first.
        number: usize,
        /// How many layers there are.
        total: usize,
        /// The layer's diff ID.
        diff_id: String,
        /// What is wrong with it.
        error: String,
    },
    /// A blob that is no layer, or no config.
    #[error("{image}: {what} has the media type `{media_type}`, which layergate cannot measure{hint}")]
    MediaType {
        /// The image.
        image: String,
        /// Which piece.
        what: String,
        /// What it says that it is.
        media_type: String,
        /// What may be done about it.
        hint: &'static str,
    },
    /// Layers that claim more bytes than can be counted.
    #[error("{0}: refused: its layers claim more bytes than can be counted")]
    TooLarge(String),
    /// An image that would cost too much memory.
    #[error("{image}: refused: {refusal}")]
    Refused {
        /// The image.
        image: String,
        /// Which bound it is over.
        refusal: Refusal,
    },
    /// More than one image, and nothing that says which is meant.
    #[error("{image}: it holds {count} images; {}", which(image, names))]
    Ambiguous {
        /// The archive.
        image: String,
        /// How many images there are.
        count: usize,
        /// The names of the images in it.
        names: Vec<String>,
    },
    /// The image that was asked for is not among those that are there.
    #[error("{image}: no image `{wanted}` in it; it holds {}", listed(names))]
    NoSuchImage {
        /// The archive.
        image: String,
        /// The name that was asked for.
        wanted: String,
        /// The names of the images in it.
        names: Vec<String>,
    },
    /// The platform that was asked for is not among those that are there.
    #[error("{image}: no image for {wanted}; it has {}. Choose one with --platform", listed(platforms))]
    NoSuchPlatform {
        /// The image.
        image: String,
        /// The platform that was asked for, or this machine's.
        wanted: String,
        /// The platforms that are there.
        platforms: Vec<String>,
    },
    /// A layergate snapshot that cannot be used.
    #[error("{}: {error}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SnapshotError,
    },
    /// The engine cannot be reached.
    #[error("cannot reach a container engine at {address}: {error}. {hint}")]
    EngineUnreachable {
        /// Where it was looked for.
        address: String,
        /// Why not.
        error: String,
        /// What to do.
        hint: &'static str,
    },
    /// A registry cannot be reached, refuses, or answers with an error.
    #[error("{image}: {error}")]
    Registry {
        /// The image.
        image: String,
        /// What it could not do, why, and what to do.
        error: ArtifactError,
    },
    /// The registry has no such image, or shows it to nobody that it does not know.
    #[error(
        "{0}: the registry has no such image; check its name and tag, and whether it is private and needs `docker login`"
    )]
    NoSuchRemoteImage(String),
    /// The engine has no such image.
    #[error(
        "the engine at {address} has no image `{name}`; build or pull it first, or check the spelling with `docker images`"
    )]
    NoSuchLocalImage {
        /// Which engine.
        address: String,
        /// The image.
        name: String,
    },
    /// The engine answered with an error.
    #[error("the engine at {address} could not {operation}: {error}")]
    Engine {
        /// Which engine.
        address: String,
        /// What was asked of it.
        operation: String,
        /// Its answer.
        error: String,
    },
}

impl SourceError {
    pub(super) fn io(operation: &'static str, path: &Path, error: io::Error) -> SourceError {
        SourceError::Io { operation, path: path.into(), error }
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none with a name".into(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

fn which(image: &str, names: &[String]) -> String {
    match names.first() {
        Some(first) => format!("name one of them ({}), as in {image}:{first}", listed(names)),
        None => "they have no names to choose by, so save the one that is meant alone".into(),
    }
}
