//! Why an image could not be read or measured.

use std::io;
use std::path::{Path, PathBuf};

use super::kind;
use crate::image::digest::Algorithm;
use crate::image::snapshot::SnapshotError;
use crate::layer::Refusal;
use crate::layer::tar::TarError;
use crate::registry::ArtifactError;

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
    #[error("{}: not an image; expected the output of `docker save`, an OCI layout (file or directory), a directory of `skopeo copy`, a `docker inspect` document or a layergate snapshot", .0.display())]
    NotAnImage(PathBuf),
    /// A file of another kind than its transport says.
    #[error("{}: not {expected}; {hint}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// The format that the transport promised.
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
    /// A JSON document over the size limit.
    #[error("refused: `{name}` has {length} bytes; a document of an image may have at most {most}")]
    DocumentTooLarge {
        /// The document's name: its path, or its name in the image.
        name: String,
        /// Its size in bytes.
        length: u64,
        /// The limit.
        most: u64,
    },
    /// A document that is not what its place implies.
    #[error("{image}: `{name}` is malformed: {error}")]
    Malformed {
        /// The image.
        image: String,
        /// The document's name in the image.
        name: String,
        /// What is wrong with it.
        error: String,
    },
    /// A piece that another one names is missing.
    #[error("{image}: {what} is missing from it ({name}); the image was not saved or copied completely")]
    Missing {
        /// The image.
        image: String,
        /// Which piece.
        what: String,
        /// Its name in the image.
        name: String,
    },
    /// An index that lists nothing.
    #[error("{image}: it contains no image: its index lists nothing; build or copy an image into it")]
    Empty {
        /// The place.
        image: String,
    },
    /// A recorded file list that cannot be that of its layer.
    #[error(
        "{image}: layer {number} ({diff_id}) has more compressed bytes than its recorded files can account for; measure it with --verify, and record the baseline again"
    )]
    Implausible {
        /// The image.
        image: String,
        /// Which layer, from 1.
        number: usize,
        /// Its diff ID.
        diff_id: String,
    },
    /// A blob that does not match its name.
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
        /// The identifier of the actual content.
        found: String,
    },
    /// A layer that was read before it was known which algorithm names it.
    #[error(
        "{image}: {what} has a {} digest, which layergate cannot verify in a stream; save the image to an uncompressed file and measure that",
        algorithm.name()
    )]
    Unverifiable {
        /// The image.
        image: String,
        /// Which piece.
        what: String,
        /// The hash function.
        algorithm: Algorithm,
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
    /// A blob that is not a layer.
    #[error("{image}: {what} has the media type `{media_type}`, which layergate cannot measure{hint}")]
    MediaType {
        /// The image.
        image: String,
        /// Which piece.
        what: String,
        /// The media type that it states.
        media_type: String,
        /// What can be done about it.
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
        /// The safety limit that it exceeds.
        refusal: Refusal,
    },
    /// Something other than an image.
    #[error("{image}: this is {}, not a container image; {}", enumerated(found), kind::advice(found))]
    NoImage {
        /// What was asked for.
        image: String,
        /// What was found, in words.
        found: Vec<String>,
    },
    /// More than one image, and nothing says which is meant.
    #[error("{image}: it holds {count} images; name one of them ({}), as in {image}:{}", listed(names), names.first().map_or("NAME", String::as_str))]
    Ambiguous {
        /// The archive.
        image: String,
        /// How many images there are.
        count: usize,
        /// What the images in it can be named by.
        names: Vec<String>,
    },
    /// Several images for one platform that differ only in content.
    #[error(
        "{image}: it holds different images for {platform}; name one of them by its digest, as in {}",
        enumerated(names)
    )]
    SamePlatform {
        /// The image.
        image: String,
        /// The platform that they share.
        platform: String,
        /// What to write instead, for each of them.
        names: Vec<String>,
    },
    /// Several images match the requested platform, each for a more specific one.
    #[error("{image}: several images are for {wanted}: {}. Choose one with --platform", listed(platforms))]
    SeveralPlatforms {
        /// The image.
        image: String,
        /// The requested platform, or this machine's.
        wanted: String,
        /// The available platforms.
        platforms: Vec<String>,
    },
    /// The only image names no platform, but one was requested.
    #[error(
        "{image}: neither the image nor its index names a platform, so {wanted} cannot be chosen; leave out --platform"
    )]
    NoPlatform {
        /// The image.
        image: String,
        /// The requested platform.
        wanted: String,
    },
    /// The requested image is not among those found.
    #[error("{image}: no image `{wanted}` in it; it holds {}", listed(names))]
    NoSuchImage {
        /// The archive.
        image: String,
        /// The name that was asked for.
        wanted: String,
        /// What the images in it can be named by.
        names: Vec<String>,
    },
    /// The requested platform is not among those found.
    #[error(
        "{image}: no image for {wanted}; it has {}. Choose one with --platform{}",
        listed(platforms),
        or_pull(image, wanted)
    )]
    NoSuchPlatform {
        /// The image.
        image: String,
        /// The requested platform, or this machine's.
        wanted: String,
        /// The available platforms.
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
    /// The registry has no such image, or hides it from clients it does not know.
    #[error(
        "{0}: the registry has no such image; check its name and tag, and whether it is private and needs `docker login`"
    )]
    NoSuchRemoteImage(String),
    /// There is no containers/storage store, or it is empty.
    #[error(
        "no image in the container storage at {}; build or pull one as this user, or name the store: containers-storage:[overlay@ROOT]NAME",
        paths(.0)
    )]
    NoStoredImages(Vec<PathBuf>),
    /// The store has no such image.
    #[error("the container storage has no image `{name}`; {}", nearest_names(nearest))]
    NoSuchStoredImage {
        /// What was asked for.
        name: String,
        /// The names that are most like it.
        nearest: Vec<String>,
    },
    /// Several images of the store match the name.
    #[error("{image}: the name matches {count} images; write one of {}", listed(names))]
    AmbiguousStored {
        /// What was asked for.
        image: String,
        /// How many match.
        count: usize,
        /// Their names.
        names: Vec<String>,
    },
    /// A layer of the store without its tar-split document.
    #[error(
        "{}: the container storage keeps no tar-split document of this layer; measure the output of `podman save` instead",
        .0.display()
    )]
    NoTarSplit(PathBuf),
    /// The engine has no such image.
    #[error(
        "the engine at {address} has no image `{name}`{}; build or pull it first, or name one that it has{}",
        if *is_directory { ", and the directory of that name holds none" } else { "" },
        such_as(nearest)
    )]
    NoSuchLocalImage {
        /// Which engine.
        address: String,
        /// The image.
        name: String,
        /// Whether a directory here has that name.
        is_directory: bool,
        /// The names that are most like it: other tags of the same repository first.
        nearest: Vec<String>,
    },
    /// The engine holds some platforms of an image, and cannot export it without its own platform.
    #[error(
        "the engine at {address} has `{name}` for `{held}`, not for `{missing}`, and cannot export an image without its own platform: pull that too (docker pull --platform {missing} {name}), or measure the image in its registry (docker://...)"
    )]
    PartlyPulled {
        /// Which engine.
        address: String,
        /// The image.
        name: String,
        /// A platform that the engine holds.
        held: String,
        /// The engine's own platform.
        missing: String,
    },
    /// The engine's content store cannot be read, so another way is taken.
    #[error("the engine's content store cannot be read: {0}")]
    ContentStore(String),
    /// The engine's store on disk cannot be read, so another way is taken.
    #[error("the engine's store on disk cannot be read: {0}")]
    EngineStore(String),
    /// The engine answered with an error.
    #[error("the engine at {address} could not {operation}: {error}")]
    Engine {
        /// Which engine.
        address: String,
        /// The operation that was requested.
        operation: String,
        /// Its answer.
        error: String,
    },
}

impl SourceError {
    /// Names the image that a too large document belongs to.
    pub(super) fn within(self, image: &str) -> SourceError {
        match self {
            SourceError::DocumentTooLarge { name, length, most } => {
                let name = format!("{name}` of `{image}");
                SourceError::DocumentTooLarge { name, length, most }
            }
            other => other,
        }
    }

    pub(super) fn io(operation: &'static str, path: &Path, error: io::Error) -> SourceError {
        SourceError::Io { operation, path: path.into(), error }
    }
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}

fn nearest_names(names: &[String]) -> String {
    match names {
        [] => "none of its images has a name; write an ID (`podman images`)".into(),
        names => format!("the nearest names are {}", listed(names)),
    }
}

fn such_as(names: &[String]) -> String {
    match names {
        [] => " (`docker images`)".into(),
        names => format!(": {}", listed(names)),
    }
}

/// The hint that an image the engine lacks can be pulled.
fn or_pull(image: &str, wanted: &str) -> String {
    let name = image.strip_prefix("docker-daemon:");
    name.map_or_else(String::new, |name| format!(", or pull it: docker pull --platform {wanted} {name}"))
}

/// Names in code spans; only the first ones if there are many.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(MOST) {
        _ if names.is_empty() => "nothing".into(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `one`, `one and another`, `one, another and a third`; only the first ones if there are many.
fn enumerated(things: &[String]) -> String {
    const MOST: usize = 5;
    match things {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] if things.len() <= MOST => format!("{} and {last}", first.join(", ")),
        many => format!("{} and {} more", many[..MOST].join(", "), many.len() - MOST),
    }
}
