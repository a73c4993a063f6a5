//! Where images are read from. Every transport ends in one [`Snapshot`].

pub mod cache;
mod choose;
mod credentials;
pub mod daemon;
pub mod engine;
pub mod inspect;
pub mod known;
pub mod layout;
pub mod parts;
pub mod progress;
pub mod reference;
pub mod registry;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::image::platform::InvalidPlatform;
use crate::image::schema;
use crate::image::snapshot::{SnapshotError, SourceInfo};
use crate::image::{Digest, Platform, Snapshot};
use crate::layer::tar::TarError;
use crate::layer::{Bounds, Budget, Compression, Refusal};

pub use cache::Cache;
pub use known::Known;
pub use progress::Progress;
pub use reference::{ImageReference, NamedImage, ReferenceError};

use parts::{Everything, MAX_DOCUMENT, Parts};
use registry::Remote;

/// How images are read.
#[derive(Debug, Default)]
pub struct Options {
    /// Which platform of an image of several.
    pub platform: Platforms,
    /// Read and hash also what could be skipped over.
    pub verify: bool,
    /// What need not be read.
    pub known: Known,
    /// What reading may cost.
    pub bounds: Bounds,
    /// Which engine to ask; by default, the one that docker would.
    pub engine: Option<String>,
    /// Speak plain HTTP also to registries elsewhere than on this machine.
    pub plain_http: bool,
    /// Told how far the work is.
    pub progress: Progress,
}

/// Which platform of an image of several is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Platforms {
    /// The engine's or this machine's, or the only one that there is.
    #[default]
    Usual,
    /// This one.
    One(Platform),
    /// Each.
    All,
}

impl FromStr for Platforms {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Platforms, InvalidPlatform> {
        if text == "all" { Ok(Platforms::All) } else { text.parse().map(Platforms::One) }
    }
}

impl Options {
    fn budget(&self) -> Budget {
        Budget::new(self.bounds.clone(), self.progress.counter())
    }
}

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
    #[error("{image}: the registry could not {operation}: {error}; {hint}")]
    Registry {
        /// The image.
        image: String,
        /// What was asked of it.
        operation: &'static str,
        /// Its answer, or why there is none.
        error: String,
        /// What to do.
        hint: String,
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
    fn io(operation: &'static str, path: &Path, error: io::Error) -> SourceError {
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

/// Measures one image, or one image for each platform.
///
/// # Errors
/// [`SourceError`].
pub async fn measure(image: &NamedImage, options: &Arc<Options>) -> Result<Vec<Snapshot>, SourceError> {
    let one = |snapshot: Result<Snapshot, SourceError>| snapshot.map(|snapshot| vec![snapshot]);
    match &image.image {
        ImageReference::Daemon(name) => daemon::measure(image, name, options).await,
        ImageReference::Registry(text) => measure_remote(image, text, options).await,
        ImageReference::DockerArchive(path, name) => {
            measure_archive(image, path, name.as_deref(), "docker-archive", options)
        }
        ImageReference::OciArchive(path, name) => {
            measure_archive(image, path, name.as_deref(), "oci-archive", options)
        }
        ImageReference::OciLayout(path, name) => measure_directory(image, path, name.as_deref(), options),
        ImageReference::Inspect(path) => one(inspect::measure(image, path, &read_file(path, MAX_DOCUMENT)?)),
        ImageReference::Snapshot(path) => {
            one(read_snapshot(image, path, &read_file(path, MAX_SNAPSHOT)?, options))
        }
        ImageReference::Path(path) => measure_path(image, path, options),
    }
}

async fn measure_remote(
    image: &NamedImage,
    text: &str,
    options: &Arc<Options>,
) -> Result<Vec<Snapshot>, SourceError> {
    let parts = Parts::Remote(Box::new(Remote::open(text, options.plain_http).await?));
    let (image, options) = (image.clone(), options.clone());
    // Threads walk what this one fetches for them.
    let measuring = tokio::task::spawn_blocking(move || {
        let source = SourceInfo { transport: "docker".into(), engine: None };
        layout::measure(&parts, &image, None, &source, None, &options, &options.budget())
    });
    measuring.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Looks inside a path and measures what it finds.
fn measure_path(image: &NamedImage, path: &Path, options: &Options) -> Result<Vec<Snapshot>, SourceError> {
    let metadata = path.metadata().map_err(|error| SourceError::io("open", path, error))?;
    if metadata.is_dir() {
        return measure_directory(image, path, None, options);
    }
    let (compression, head) = peek(path)?;
    if looks_like_json(&head) {
        let json = read_file(path, MAX_SNAPSHOT)?;
        return match schema::is_ours(&json) {
            true => read_snapshot(image, path, &json, options),
            false => inspect::measure(image, path, &json),
        }
        .map(|snapshot| vec![snapshot]);
    }
    if compression.is_none() || Compression::sniff(&head) != Some(Compression::None) {
        return Err(SourceError::NotAnImage(path.into()));
    }
    measure_archive(image, path, None, "archive", options)
}

fn measure_archive(
    image: &NamedImage,
    path: &Path,
    name: Option<&str>,
    transport: &'static str,
    options: &Options,
) -> Result<Vec<Snapshot>, SourceError> {
    let budget = options.budget();
    let parts = if path == Path::new("-") {
        Parts::stream(io::stdin(), Path::new("standard input"), &budget, &mut Everything)?
    } else {
        let (compression, head) = peek(path)?;
        match compression {
            Some(_) if Compression::sniff(&head) != Some(Compression::None) => {
                return Err(SourceError::NotAnImage(path.into()));
            }
            Some(Compression::None) => Parts::index(path, &options.bounds)?,
            Some(packed) => {
                let file = io::BufReader::with_capacity(64 * 1024, parts::open(path)?);
                let unpacked = packed.reader(file).map_err(|error| SourceError::io("unpack", path, error))?;
                Parts::stream(unpacked, path, &budget, &mut Everything)?
            }
            None => return Err(SourceError::NotAnImage(path.into())),
        }
    };
    let (saved, layout) = (parts.has("manifest.json"), parts.has("index.json"));
    let transport = match (transport, saved, layout) {
        (_, false, false) => return Err(SourceError::NotAnImage(path.into())),
        ("archive", true, _) => "docker-archive",
        ("archive", false, true) => "oci-archive",
        ("docker-archive", false, true) => {
            let hint = "it is an OCI layout: write oci-archive:, or the path alone";
            return Err(SourceError::WrongKind {
                path: path.into(),
                expected: "`docker save` archive",
                hint,
            });
        }
        ("oci-archive", true, false) => {
            let hint = "it is the output of `docker save`: write docker-archive:, or the path alone";
            return Err(SourceError::WrongKind { path: path.into(), expected: "OCI layout", hint });
        }
        (transport, ..) => transport,
    };
    let source = SourceInfo { transport: transport.into(), engine: None };
    layout::measure(&parts, image, name, &source, None, options, &budget)
}

fn measure_directory(
    image: &NamedImage,
    path: &Path,
    name: Option<&str>,
    options: &Options,
) -> Result<Vec<Snapshot>, SourceError> {
    let metadata = path.metadata().map_err(|error| SourceError::io("open", path, error))?;
    let parts = Parts::Directory(path.into());
    if !metadata.is_dir() || !(parts.has("index.json") || parts.has("manifest.json")) {
        return Err(SourceError::NotAnImage(path.into()));
    }
    let source = SourceInfo { transport: "oci".into(), engine: None };
    layout::measure(&parts, image, name, &source, None, options, &options.budget())
}

/// A snapshot keeps the name it was measured by, unless another one is given.
fn read_snapshot(
    image: &NamedImage,
    path: &Path,
    json: &[u8],
    options: &Options,
) -> Result<Snapshot, SourceError> {
    let mut snapshot = Snapshot::from_json(json, options.bounds.entries)
        .map_err(|error| SourceError::Snapshot { path: path.into(), error })?;
    if let Some(name) = &image.name {
        snapshot.image.name.clone_from(name);
    }
    Ok(snapshot)
}

/// How a file is packed, and the first bytes of what is in it.
fn peek(path: &Path) -> Result<(Option<Compression>, Vec<u8>), SourceError> {
    let failed = |error| SourceError::io("read", path, error);
    let mut head = Vec::new();
    parts::open(path)?.take(512).read_to_end(&mut head).map_err(failed)?;
    let compression = Compression::sniff(&head);
    if let Some(packed @ (Compression::Gzip | Compression::Zstd)) = compression {
        let file = io::BufReader::new(parts::open(path)?);
        head.clear();
        packed.reader(file).and_then(|reader| reader.take(512).read_to_end(&mut head)).map_err(failed)?;
    }
    Ok((compression, head))
}

/// The largest snapshot that is read, unpacked: one of five million files fits.
const MAX_SNAPSHOT: u64 = 512 << 20;

/// A whole document, unpacked where it is packed.
fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, SourceError> {
    let failed = |error| SourceError::io("read", path, error);
    let (compression, _) = peek(path)?;
    let file = io::BufReader::new(parts::open(path)?);
    let mut content = Vec::new();
    let reader = compression.unwrap_or(Compression::None).reader(file).map_err(failed)?;
    reader.take(most + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > most {
        let name = path.display().to_string();
        return Err(SourceError::DocumentTooLarge { name, length: content.len() as u64, most });
    }
    Ok(content)
}

fn looks_like_json(head: &[u8]) -> bool {
    head.trim_ascii_start().first().is_some_and(|first| b"{[".contains(first))
}

/// A short form of a text from an image, for messages.
fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Checks the bytes of a document against the digest that names it.
fn check_digest(image: &str, what: String, expected: &Digest, content: &[u8]) -> Result<(), SourceError> {
    let found = Digest::of(content);
    // Other algorithms than sha256 are allowed and rare; their documents are taken as they are.
    if expected.algorithm() != "sha256" || found == *expected {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(SourceError::Mismatch { image: image.into(), what, expected, found })
}
