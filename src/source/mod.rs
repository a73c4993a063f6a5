//! Where images are read from. Every transport ends in one [`Snapshot`].

mod access;
mod account;
pub mod artifacts;
pub mod cache;
mod choose;
mod count;
mod credentials;
pub mod daemon;
pub mod engine;
mod error;
pub mod inspect;
pub mod known;
pub mod layout;
pub mod parts;
pub mod progress;
pub mod reference;
pub mod registry;
#[cfg(unix)]
mod tunnel;

use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::image::platform::InvalidPlatform;
use crate::image::schema;
use crate::image::snapshot::SourceInfo;
use crate::image::{DiffId, Digest, Platform, Snapshot};
use crate::layer::{Bounds, Budget, Compression};

pub use cache::Cache;
pub use error::SourceError;
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
    /// Hash the content of each file, so that copies are found. What is known does not have that.
    pub contents: bool,
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
        let mut budget = Budget::new(self.bounds.clone(), self.progress.counter());
        budget.contents = self.contents;
        budget
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

/// The layers of another image that is where `beside` is: in the same engine, or the same registry.
/// `None` where `beside` is a file, or the image is not there. No other registry is asked: the name is one
/// that an image or a Dockerfile gave.
pub async fn layers_beside(
    beside: &NamedImage,
    name: &str,
    platform: Option<&Platform>,
    options: &Arc<Options>,
) -> Option<Vec<DiffId>> {
    match &beside.image {
        ImageReference::Daemon(_) => {
            NamedImage::parse(&format!("docker-daemon:{name}")).ok()?;
            daemon::layers(name, options).await.ok()
        }
        ImageReference::Registry(own) => {
            let host = |text| registry::parse(text).ok().map(|image| image.resolve_registry().to_owned());
            if host(own) != host(name) {
                return None;
            }
            let image = NamedImage::parse(&format!("docker://{name}")).ok()?;
            let parts = Parts::Remote(Box::new(Remote::open(name, options.plain_http).await.ok()?));
            let (options, platform) = (options.clone(), platform.cloned());
            let read = move || layout::layers(&parts, &image, platform.as_ref(), &options).ok();
            let reading = tokio::task::spawn_blocking(read);
            reading.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        }
        _ => None,
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
