//! Where images are read from. Every transport ends in one [`MeasuredImage`].

mod account;
mod attestation;
mod beneath;
mod blob;
pub mod cache;
mod choose;
mod content;
mod count;
pub mod daemon;
pub mod engine;
mod engine_store;
mod error;
pub mod flat;
mod grpc;
pub mod inspect;
mod kind;
pub mod known;
pub mod layout;
pub mod parts;
mod plan;
pub mod progress;
pub mod reader;
pub mod reference;
pub mod registry;
pub mod storage;
pub mod store_files;
mod stores;
mod transport;
#[cfg(unix)]
mod tunnel;
mod turns;

use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::files;
use crate::image::json::{self, DocumentBudget};
use crate::image::oci::MAX_DOCUMENT;
use crate::image::platform::InvalidPlatform;
use crate::image::schema;
use crate::image::snapshot::SourceInfo;
use crate::image::text::excerpt;
use crate::image::{DiffId, Digest, ImageName, MeasuredImage, Platform, Snapshot};
use crate::layer::compression::wait_for_memory;
use crate::layer::safety::{Enclosing, UnpackedReader};
use crate::layer::{Budget, Compression, SafetyLimits};

pub use cache::Cache;
pub use engine_store::EngineStoreUse;
pub use error::SourceError;
pub use known::KnownLayers;
pub use progress::Progress;
pub use reference::{ImageReference, NamedImage, ReferenceError};
pub use turns::{Turns, at_once};

use blob::open;
use parts::{Everything, ImageParts};
use reader::Inspected;
use registry::Remote;
use storage::StoredImage;

/// How images are read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which platform of a multi-platform image.
    pub platform: Platforms,
    /// Also read and hash what could be skipped.
    pub verify: bool,
    /// Hash the content of each file, to find copies. Known layers do not have these hashes.
    pub contents: bool,
    /// Layers that need not be read.
    pub known: KnownLayers,
    /// Limits on what reading may cost.
    pub bounds: SafetyLimits,
    /// The engine to ask; by default, the one that docker would.
    pub engine: Option<String>,
    /// Whether the files of a local engine's store are read.
    pub engine_store: EngineStoreUse,
    /// Use plain HTTP for registries on other machines too.
    pub plain_http: bool,
    /// Receives the progress.
    pub progress: Progress,
    /// Shared by all images that are read at the same time.
    pub turns: Turns,
    /// Whether other images are read at the same time, which must not wait for files. A single one needs no extra
    /// thread.
    pub beside_others: bool,
}

/// Which platform of a multi-platform image to measure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Platforms {
    /// The engine's or this machine's, or the only one.
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
pub async fn measure(image: &NamedImage, options: &Arc<Options>) -> Result<Vec<MeasuredImage>, SourceError> {
    match &image.image {
        ImageReference::Daemon(name) => daemon::measure(image, name, options).await,
        ImageReference::Registry(text) => measure_remote(image, text, options).await,
        _ if !options.beside_others => measure_local(image, options),
        _ => {
            let (image, options) = (image.clone(), options.clone());
            aside(move || measure_local(&image, &options)).await
        }
    }
}

/// Runs work that waits for files or other threads, while other tasks go on.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let working = tokio::task::spawn_blocking(work);
    working.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Measures images in files.
fn measure_local(image: &NamedImage, options: &Options) -> Result<Vec<MeasuredImage>, SourceError> {
    let one = |snapshot: Result<Snapshot, SourceError>| snapshot.map(|snapshot| vec![snapshot.into()]);
    match &image.image {
        ImageReference::Daemon(name) | ImageReference::Registry(name) => {
            Err(SourceError::NotAnImage(name.into()))
        }
        ImageReference::DockerArchive(path, name) => {
            measure_archive(image, path, name.as_deref(), "docker-archive", options)
        }
        ImageReference::OciArchive(path, name) => {
            measure_archive(image, path, name.as_deref(), "oci-archive", options)
        }
        ImageReference::OciLayout(path, name) => {
            measure_directory(image, path, name.as_deref(), Some("oci"), options)
        }
        ImageReference::Dir(path) => measure_directory(image, path, None, Some("dir"), options),
        ImageReference::ContainersStorage(name) => measure_stored(image, name, options),
        ImageReference::Inspect(path) => one(inspect::measure(image, path, &read_file(path, MAX_DOCUMENT)?)),
        ImageReference::Snapshot(path) => {
            one(read_snapshot(image, path, &read_file(path, MAX_SNAPSHOT)?, options))
        }
        ImageReference::Path(path) => measure_path(image, path, options),
    }
}

/// The layers of another image in the same place as `beside`: the same engine, registry or container storage. `None` if
/// `beside` is a file, or the image is not there. No other registry is contacted, because the name comes from an image
/// or a Dockerfile.
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
            let host =
                |text| crate::registry::RemoteName::parse(text).ok().map(|image| image.host().to_owned());
            if host(own) != host(name) {
                return None;
            }
            let image = NamedImage::parse(&format!("docker://{name}")).ok()?;
            let parts = ImageParts::Remote(Box::new(Remote::open(name, options.plain_http).await.ok()?));
            let (options, platform) = (options.clone(), platform.cloned());
            aside(move || layout::layers(&parts, &image, None, platform.as_ref(), &options).ok()).await
        }
        ImageReference::ContainersStorage(_) => {
            let image = NamedImage::parse(&format!("containers-storage:{name}")).ok()?;
            let parts = ImageParts::Stored(Box::new(StoredImage::open(name).ok()?));
            layout::layers(&parts, &image, None, platform, options).ok()
        }
        _ => None,
    }
}

/// The same for an image named by its digest; also finds one in the same layout.
pub async fn layers_by_digest(
    beside: &NamedImage,
    (name, digest): (&str, &Digest),
    platform: Option<&Platform>,
    options: &Arc<Options>,
) -> Option<Vec<DiffId>> {
    let by_digest = format!("{}@{digest}", ImageName::parse(name).repository);
    match &beside.image {
        ImageReference::Daemon(_) => {
            daemon::layers_by_digest(&by_digest, digest, platform, options).await.ok()
        }
        ImageReference::Registry(_) => layers_beside(beside, &by_digest, platform, options).await,
        ImageReference::OciArchive(path, _)
        | ImageReference::DockerArchive(path, _)
        | ImageReference::OciLayout(path, _)
        | ImageReference::Path(path) => {
            let parts = match path.is_dir() {
                true => ImageParts::of_directory(path).ok()?.0,
                // A compressed one would have to be read as a whole.
                false if !files::is_pipe(path) && peek(path).ok()?.0 == Some(Compression::None) => {
                    ImageParts::index(path, &options.bounds).ok()?
                }
                false => return None,
            };
            layout::layers(&parts, beside, Some(digest), platform, options).ok()
        }
        _ => None,
    }
}

async fn measure_remote(
    image: &NamedImage,
    text: &str,
    options: &Arc<Options>,
) -> Result<Vec<MeasuredImage>, SourceError> {
    let parts = ImageParts::Remote(Box::new(Remote::open(text, options.plain_http).await?));
    let (image, options) = (image.clone(), options.clone());
    // Worker threads walk what this one fetches for them.
    aside(move || {
        let source = SourceInfo { transport: "docker".into(), engine: None };
        layout::measure(&parts, &image, None, &source, Inspected::default(), &options, &options.budget())
    })
    .await
}

fn measure_stored(
    image: &NamedImage,
    name: &str,
    options: &Options,
) -> Result<Vec<MeasuredImage>, SourceError> {
    let parts = ImageParts::Stored(Box::new(StoredImage::open(name)?));
    let source = SourceInfo { transport: "containers-storage".into(), engine: None };
    let (budget, inspected) = (options.budget(), Inspected::default());
    let mut measured = layout::measure(&parts, image, None, &source, inspected, options, &budget)?;
    if let (ImageParts::Stored(stored), Some(first)) = (&parts, measured.first_mut()) {
        first.note = first.note.take().or_else(|| stored.note());
    }
    Ok(measured)
}

/// Looks inside a path and measures what it finds.
fn measure_path(
    image: &NamedImage,
    path: &Path,
    options: &Options,
) -> Result<Vec<MeasuredImage>, SourceError> {
    if path == Path::new("-") {
        return measure_archive(image, path, None, "archive", options);
    }
    let metadata = path.metadata().map_err(|error| SourceError::io("open", path, error))?;
    if metadata.is_dir() {
        return measure_directory(image, path, None, None, options);
    }
    if files::is_pipe(path) {
        return measure_archive(image, path, None, "archive", options);
    }
    let (compression, head) = peek(path)?;
    if looks_like_json(&head) {
        let json = read_file(path, MAX_SNAPSHOT)?;
        return match schema::is_ours(&json) {
            true => read_snapshot(image, path, &json, options),
            false => inspect::measure(image, path, &json),
        }
        .map(|snapshot| vec![snapshot.into()]);
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
) -> Result<Vec<MeasuredImage>, SourceError> {
    let mut budget = options.budget();
    let parts = open_archive(path, options, &mut budget)?;
    let (saved, layout) = (parts.has("manifest.json"), parts.has("index.json"));
    let transport = match (transport, saved, layout) {
        (_, false, false) => return Err(SourceError::NotAnImage(path.into())),
        ("archive", true, _) => "docker-archive",
        ("archive", false, true) => "oci-archive",
        ("docker-archive", false, true) => {
            let hint = "it is an OCI layout: write oci-archive:, or the path alone";
            return Err(SourceError::WrongKind {
                path: path.into(),
                expected: "a `docker save` archive",
                hint,
            });
        }
        ("oci-archive", true, false) => {
            let hint = "it is the output of `docker save`: write docker-archive:, or the path alone";
            return Err(SourceError::WrongKind { path: path.into(), expected: "an OCI layout", hint });
        }
        (transport, ..) => transport,
    };
    let source = SourceInfo { transport: transport.into(), engine: None };
    let measure = |parts: &ImageParts, budget: &Budget| {
        layout::measure(parts, image, name, &source, Inspected::default(), options, budget)
    };
    match measure(&parts, &budget) {
        // In a compressed archive the layers have passed before it is known which algorithm their diff IDs use.
        Err(SourceError::Unverifiable { algorithm, .. })
            if path != Path::new("-") && !files::is_pipe(path) =>
        {
            let mut budget = options.budget();
            budget.diff_ids = algorithm;
            let parts = open_archive(path, options, &mut budget)?;
            measure(&parts, &budget)
        }
        measured => measured,
    }
}

/// The pieces of an archive: their places in a file, or their content if the archive is a stream.
fn open_archive(path: &Path, options: &Options, budget: &mut Budget) -> Result<ImageParts, SourceError> {
    if path == Path::new("-") {
        return stream_archive(io::stdin(), Path::new("standard input"), budget);
    }
    if files::is_pipe(path) {
        let _waiting = files::Waiting::on(path);
        return stream_archive(open(path)?, path, budget);
    }
    let (compression, head) = peek(path)?;
    match compression {
        Some(_) if Compression::sniff(&head) != Some(Compression::None) => {
            Err(SourceError::NotAnImage(path.into()))
        }
        Some(Compression::None) => ImageParts::index(path, &options.bounds),
        Some(_) => stream_archive(open(path)?, path, budget),
        None => Err(SourceError::NotAnImage(path.into())),
    }
}

/// Reads an archive, compressed or not, as a stream.
fn stream_archive(
    mut input: impl Read + Send,
    origin: &Path,
    budget: &mut Budget,
) -> Result<ImageParts, SourceError> {
    let failed = |error| SourceError::io("read", origin, error);
    let mut head = Vec::new();
    input.by_ref().take(512).read_to_end(&mut head).map_err(failed)?;
    let compression = Compression::sniff(&head).ok_or_else(|| SourceError::NotAnImage(origin.into()))?;
    let mut whole = head.as_slice().chain(input);
    if compression == Compression::None {
        return ImageParts::stream(&mut whole, origin, budget, &mut Everything);
    }
    let is_large = compression.is_large(&head);
    let account = budget.enclose(is_large);
    let packed = io::BufReader::with_capacity(64 * 1024, Enclosing::new(whole, account.clone()));
    let _alone = is_large.then(wait_for_memory);
    let uncompressed = compression.reader(Box::new(packed), is_large).map_err(failed)?;
    ImageParts::stream(
        &mut UnpackedReader::new(uncompressed, budget, &account, true),
        origin,
        budget,
        &mut Everything,
    )
}

/// Measures a directory; `asked` is the transport it was named by.
fn measure_directory(
    image: &NamedImage,
    path: &Path,
    name: Option<&str>,
    asked: Option<&str>,
    options: &Options,
) -> Result<Vec<MeasuredImage>, SourceError> {
    let (parts, found) = ImageParts::of_directory(path)?;
    let wrong = |expected, hint| Err(SourceError::WrongKind { path: path.into(), expected, hint });
    match (asked, found) {
        (Some("oci"), "dir") => {
            return wrong("an OCI layout", "it is a directory of skopeo: write dir:, or the path alone");
        }
        (Some("dir"), "oci") => {
            return wrong("a directory of skopeo", "it is an OCI layout: write oci:, or the path alone");
        }
        _ => {}
    }
    let source = SourceInfo { transport: found.into(), engine: None };
    layout::measure(&parts, image, name, &source, Inspected::default(), options, &options.budget())
}

/// A snapshot keeps the name it was measured under, unless another one is given.
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

/// How a file is compressed, and the first bytes of its uncompressed content.
fn peek(path: &Path) -> Result<(Option<Compression>, Vec<u8>), SourceError> {
    let failed = |error| SourceError::io("read", path, error);
    let mut head = Vec::new();
    let _waiting = files::Waiting::on(path);
    open(path)?.take(512).read_to_end(&mut head).map_err(failed)?;
    let compression = Compression::sniff(&head);
    if let Some(packed) = compression.filter(|compression| *compression != Compression::None) {
        let file = io::BufReader::new(open(path)?);
        head.clear();
        packed
            .reader(Box::new(file), true)
            .and_then(|reader| reader.take(512).read_to_end(&mut head))
            .map_err(failed)?;
    }
    Ok((compression, head))
}

/// The largest snapshot that is read, uncompressed. One of five million files fits.
const MAX_SNAPSHOT: u64 = 512 << 20;

/// A whole document, decompressed if necessary.
fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, SourceError> {
    let failed = |error| SourceError::io("read", path, error);
    // A pipe can be read only once, so its content must not be compressed.
    if files::is_pipe(path) {
        return files::read(path, most).map_err(failed);
    }
    let (compression, _) = peek(path)?;
    let file = open(path)?;
    let packed = file.metadata().map_err(failed)?.len();
    let reader = compression
        .unwrap_or(Compression::None)
        .reader(Box::new(io::BufReader::new(file)), true)
        .map_err(failed)?;
    let room = DocumentBudget::of(packed);
    let (content, _) = json::read(reader.take(most + 1), room).map_err(failed)?;
    if content.len() as u64 > most {
        let name = path.display().to_string();
        return Err(SourceError::DocumentTooLarge { name, length: content.len() as u64, most });
    }
    Ok(content)
}

fn looks_like_json(head: &[u8]) -> bool {
    head.trim_ascii_start().first().is_some_and(|first| b"{[".contains(first))
}

/// Checks the bytes of a document against the digest that names it.
fn check_digest(image: &str, what: String, expected: &Digest, content: &[u8]) -> Result<(), SourceError> {
    let found = Digest::by(expected.algorithm(), content);
    if found == *expected {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(SourceError::Mismatch { image: image.into(), what, expected, found })
}
