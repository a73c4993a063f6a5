//! The pieces of a stored image: small JSON documents and large layer blobs, whatever holds them.
//!
//! In a file or a directory every piece can be looked up, so layers are walked only on request. In a stream the
//! documents that explain the layers come last, so each piece is identified by its first bytes as it passes, and only
//! documents and file lists are kept.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SourceError;
use super::blob::{LayerRequest, WalkResult, blob_name, digest_of_name, open, too_large};
use super::content::ContentStore;
use super::engine_store::EngineStore;
use super::flat::FlatDirectory;
use super::registry::Remote;
use super::storage::StoredImage;
use crate::image::bytes::group_digits;
use crate::image::oci::{Descriptor, MAX_DOCUMENT};
use crate::image::{Digest, LayerPath};
use crate::layer::safety::UnpackedReader;
use crate::layer::tar::{EntryKind, TarEntry, TarError, TarWalker};
use crate::layer::{
    Budget, Compression, Hashing, LayerError, PlainInput, Refusal, SafetyLimits, WalkedLayer, Window,
    walk_stream, walk_window,
};

/// Maximum bytes of documents kept from one stream.
const MAX_STREAM_DOCUMENTS: u64 = 64 << 20;
/// The longest name of a piece, or of a link's target, that is kept: digests and their directories have about two
/// hundred bytes, and names that are not UTF-8 grow when they are spelled out.
const MAX_NAME: usize = 1024;

/// The pieces of a stored image, by their names inside it.
pub enum ImageParts {
    /// A tar in a file: where in it each piece is.
    Indexed(PathBuf, HashMap<String, ArchivePiece>),
    /// A directory.
    Directory(PathBuf),
    /// A directory of skopeo's `dir:`.
    Flat(Box<FlatDirectory>),
    /// What a stream left behind.
    Streamed(HashMap<String, Streamed>),
    /// An image of a registry.
    Remote(Box<Remote>),
    /// An image in an engine's content store.
    Content(Box<ContentStore>),
    /// Layers in an engine's store on this machine.
    Engine(Box<EngineStore>),
    /// An image in a containers/storage store, as Podman uses it.
    Stored(Box<StoredImage>),
}

/// Where a piece of an archive is.
pub enum ArchivePiece {
    /// Content: its offset and length.
    Span(u64, u64),
    /// Another name of a piece.
    Link(String),
}

/// What is kept of a piece that has passed.
pub enum Streamed {
    /// A JSON document.
    Document(Vec<u8>),
    /// A layer, or why it could not be read as one.
    Layer(Box<Result<WalkedLayer, LayerError>>),
    /// Another name of a piece.
    Link(String),
    /// Neither, or a document that is too large; with its length in bytes.
    Other(u64),
}

impl ImageParts {
    /// The parts of an image in a directory, and the kind of directory: `dir` or `oci`.
    ///
    /// # Errors
    /// [`SourceError::NotAnImage`] if it holds no image.
    pub fn of_directory(path: &Path) -> Result<(ImageParts, &'static str), SourceError> {
        let metadata = path.metadata().map_err(|error| SourceError::io("open", path, error))?;
        if !metadata.is_dir() {
            return Err(SourceError::NotAnImage(path.into()));
        }
        if let Some(flat) = FlatDirectory::open(path)? {
            return Ok((ImageParts::Flat(Box::new(flat)), "dir"));
        }
        let parts = ImageParts::Directory(path.into());
        match parts.has("index.json") || parts.has("manifest.json") {
            true => Ok((parts, "oci")),
            false => Err(SourceError::NotAnImage(path.into())),
        }
    }

    /// Indexes a tar file without reading content.
    ///
    /// # Errors
    /// If the file cannot be read or is not a complete tar.
    pub fn index(path: &Path, bounds: &SafetyLimits) -> Result<ImageParts, SourceError> {
        let file = open(path)?;
        let length = file.metadata().map_err(|error| SourceError::io("read", path, error))?.len();
        let window = Window::new(file, 0, length).map_err(|error| SourceError::io("read", path, error))?;
        let mut walker = TarWalker::new(window, bounds);
        let mut pieces = HashMap::new();
        let broken = |error| SourceError::BrokenArchive { path: path.into(), error };
        while let Some(entry) = walker.next_entry().map_err(broken)? {
            check_count(pieces.len(), path, bounds)?;
            let piece = match link_target(&entry) {
                Some(target) => ArchivePiece::Link(target),
                None if entry.kind == EntryKind::File => ArchivePiece::Span(entry.offset, entry.stored),
                None => continue,
            };
            pieces.extend(short(clean(&entry.path)).map(|name| (name, piece)));
        }
        Ok(ImageParts::Indexed(path.into(), pieces))
    }

    /// Reads a tar stream once: to its end, or until `awaited` has seen enough.
    ///
    /// # Errors
    /// If the stream cannot be read or is not a complete tar. A layer that cannot be read is an error only if the image
    /// turns out to need it.
    pub fn stream(
        input: &mut (dyn Read + Send),
        origin: &Path,
        budget: &Budget,
        awaited: &mut dyn StopCondition,
    ) -> Result<ImageParts, SourceError> {
        let broken = |error| broken_archive(origin, error);
        // Skipped content costs time as well, and a stream may never end.
        let all = Budget::new(budget.bounds.clone(), Arc::default());
        let account = all.account();
        let input = UnpackedReader::new(input, &all, &account, false);
        let mut walker =
            TarWalker::new(PlainInput(BufReader::with_capacity(128 * 1024, input)), &budget.bounds);
        let mut pieces = HashMap::new();
        let mut documents_left = MAX_STREAM_DOCUMENTS;
        while let Some(entry) = walker.next_entry().map_err(broken)? {
            check_count(pieces.len(), origin, &budget.bounds)?;
            let name = clean(&entry.path);
            let piece = match link_target(&entry) {
                Some(target) => Some(Streamed::Link(target)),
                None if entry.kind == EntryKind::File && !awaited.is_known(&name) => {
                    let content = walker.content();
                    let piece = take_piece(&entry, content, budget, &mut documents_left);
                    Some(piece.map_err(|error| SourceError::io("read", origin, error))?)
                }
                None => None,
            };
            if let (Some(name), Some(piece)) = (short(name), piece) {
                let enough = awaited.is_enough(&name, &piece);
                pieces.insert(name, piece);
                if enough {
                    break;
                }
            }
        }
        awaited.complete(&mut pieces);
        Ok(ImageParts::Streamed(pieces))
    }

    /// Whether a piece of this name is missing. Outside of files, only using it would tell.
    pub fn lacks(&self, name: &str) -> bool {
        !matches!(self, ImageParts::Streamed(_) | ImageParts::Remote(_) | ImageParts::Content(_))
            && !self.has(name)
    }

    /// Whether a layer must be decompressed or fetched before it can be walked.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_costly(&self, name: &str) -> Result<bool, SourceError> {
        match self {
            ImageParts::Streamed(pieces) => Ok(!pieces.contains_key(name)),
            ImageParts::Remote(_) | ImageParts::Content(_) | ImageParts::Engine(_) => Ok(true),
            ImageParts::Stored(_) => Ok(false),
            ImageParts::Indexed(..) | ImageParts::Directory(_) | ImageParts::Flat(_) => {
                let Some((mut window, _)) = self.open_piece(name)? else { return Ok(false) };
                let head = window.peek().map_err(|error| SourceError::io("read", name.as_ref(), error))?;
                Ok(Compression::sniff(head) != Some(Compression::None))
            }
        }
    }

    /// A config, by its descriptor; `None` if there is none.
    ///
    /// # Errors
    /// Same as [`ImageParts::document`]; from a registry, no more is read than the descriptor states.
    pub fn config(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, SourceError> {
        match self {
            ImageParts::Remote(remote) => remote.blob(&descriptor.digest, descriptor.size.min(MAX_DOCUMENT)),
            _ => self.document(&blob_name(&descriptor.digest)),
        }
    }

    /// A manifest or an inner index, by its digest; `None` if there is none.
    ///
    /// # Errors
    /// Same as [`ImageParts::document`].
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, SourceError> {
        match self {
            ImageParts::Remote(remote) => remote.manifest(digest),
            _ => self.document(&blob_name(digest)),
        }
    }

    /// A key that is equal for two names of one piece.
    pub fn place(&self, name: &str) -> String {
        match self {
            ImageParts::Indexed(_, pieces) => {
                let span = follow(pieces, name, |piece| match piece {
                    ArchivePiece::Link(target) => Err(target),
                    ArchivePiece::Span(offset, _) => Ok(*offset),
                });
                span.map_or_else(|| name.to_owned(), |offset| offset.to_string())
            }
            ImageParts::Directory(root) => match root.join(name).canonicalize() {
                Ok(path) => path.to_string_lossy().into_owned(),
                Err(_) => name.to_owned(),
            },
            ImageParts::Flat(_)
            | ImageParts::Streamed(_)
            | ImageParts::Remote(_)
            | ImageParts::Content(_)
            | ImageParts::Engine(_)
            | ImageParts::Stored(_) => name.to_owned(),
        }
    }

    /// Whether layers are kept as distributed, so that a blob's length is what a pull downloads.
    pub fn as_distributed(&self) -> bool {
        !matches!(self, ImageParts::Stored(_) | ImageParts::Content(_)) && !self.has("manifest.json")
    }

    /// Whether a piece of this name exists.
    pub fn has(&self, name: &str) -> bool {
        match self {
            ImageParts::Indexed(_, pieces) => pieces.contains_key(name),
            ImageParts::Directory(root) => root.join(name).is_file(),
            ImageParts::Flat(flat) => {
                name == "index.json" || flat.path_of(name).is_some_and(|path| path.is_file())
            }
            ImageParts::Streamed(pieces) => pieces.contains_key(name),
            ImageParts::Remote(_) => name != "manifest.json",
            ImageParts::Content(store) => store.has(name),
            ImageParts::Engine(store) => store.has(name),
            ImageParts::Stored(image) => image.has(name),
        }
    }

    /// A JSON document, or `None` if there is none of this name.
    ///
    /// # Errors
    /// If it cannot be read, or is larger than [`MAX_DOCUMENT`].
    pub fn document(&self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let mut content = Vec::new();
        match self {
            ImageParts::Remote(remote) => return Ok(remote.document(name)),
            ImageParts::Content(store) => return store.document(name),
            ImageParts::Engine(_) => return Ok(None),
            ImageParts::Stored(image) => return image.document(name),
            ImageParts::Flat(flat) if name == "index.json" => return Ok(Some(flat.index())),
            ImageParts::Streamed(pieces) => {
                let found = follow(pieces, name, |piece| match piece {
                    Streamed::Link(target) => Err(target),
                    Streamed::Document(document) => Ok(Ok(Some(document.clone()))),
                    Streamed::Other(length) if *length > MAX_DOCUMENT => Ok(Err(*length)),
                    // A piece that exists but is not a document counts as a malformed one, as in a file.
                    Streamed::Layer(_) | Streamed::Other(_) => Ok(Ok(Some(Vec::new()))),
                });
                return found.unwrap_or(Ok(None)).map_err(|length| too_large(name, length));
            }
            _ => {
                let Some((window, length)) = self.open_piece(name)? else { return Ok(None) };
                if length > MAX_DOCUMENT {
                    return Err(too_large(name, length));
                }
                window
                    .take(MAX_DOCUMENT)
                    .read_to_end(&mut content)
                    .map_err(|error| SourceError::io("read", name.as_ref(), error))?;
            }
        }
        Ok(Some(content))
    }

    /// The stored bytes of a layer blob, or `None` if there is none of this name or a streamed one could not be walked.
    ///
    /// # Errors
    /// If it cannot be looked up.
    pub fn stored_length(&self, name: &str) -> Result<Option<u64>, SourceError> {
        if let ImageParts::Streamed(pieces) = self {
            return Ok(follow(pieces, name, |piece| match piece {
                Streamed::Link(target) => Err(target),
                Streamed::Layer(layer) => Ok(layer.as_ref().as_ref().ok().map(|layer| layer.stored.0)),
                _ => Ok(None),
            })
            .flatten());
        }
        if let ImageParts::Stored(image) = self {
            return Ok(image.stored_length(name));
        }
        Ok(self.open_piece(name)?.map(|(_, length)| length))
    }

    /// Walks a layer blob; `None` if there is none of this name.
    ///
    /// # Errors
    /// If it cannot be opened; the inner result says whether it could be walked.
    pub fn walk_layer(
        &self,
        wanted: &LayerRequest<'_>,
        budget: &Budget,
    ) -> Result<Option<WalkResult>, SourceError> {
        if let ImageParts::Streamed(pieces) = self {
            return Ok(follow(pieces, wanted.name, |piece| match piece {
                Streamed::Link(target) => Err(target),
                Streamed::Layer(layer) => Ok(layer.as_ref().as_ref().map_err(ToString::to_string).cloned()),
                Streamed::Document(_) | Streamed::Other(_) => Ok(Err(LayerError::UnknownFormat.to_string())),
            }));
        }
        if let ImageParts::Remote(remote) = self {
            return remote.walk_layer(wanted, budget);
        }
        if let ImageParts::Content(store) = self {
            return store.walk_layer(wanted, budget);
        }
        if let ImageParts::Engine(store) = self {
            return store.walk_layer(wanted, budget);
        }
        if let ImageParts::Stored(image) = self {
            return image.walk_layer(wanted, budget);
        }
        let Some((window, length)) = self.open_piece(wanted.name)? else { return Ok(None) };
        let hashing = wanted.verify.then_some(wanted.hashing);
        Ok(Some(walk_window(window, length, budget, hashing).map_err(|error| error.to_string())))
    }

    fn open_piece(&self, name: &str) -> Result<Option<(Window, u64)>, SourceError> {
        let (path, offset, length) = match self {
            ImageParts::Indexed(path, pieces) => {
                let span = follow(pieces, name, |piece| match piece {
                    ArchivePiece::Link(target) => Err(target),
                    ArchivePiece::Span(offset, length) => Ok((*offset, *length)),
                });
                let Some((offset, length)) = span else { return Ok(None) };
                (path.clone(), offset, length)
            }
            ImageParts::Directory(root) => match file_length(&root.join(name))? {
                Some(length) => (root.join(name), 0, length),
                None => return Ok(None),
            },
            ImageParts::Flat(flat) => {
                let Some(path) = flat.path_of(name) else { return Ok(None) };
                let Some(length) = file_length(&path)? else { return Ok(None) };
                (path, 0, length)
            }
            ImageParts::Streamed(_)
            | ImageParts::Remote(_)
            | ImageParts::Content(_)
            | ImageParts::Engine(_)
            | ImageParts::Stored(_) => return Ok(None),
        };
        let file = open(&path)?;
        let window =
            Window::new(file, offset, length).map_err(|error| SourceError::io("read", &path, error))?;
        Ok(Some((window, length)))
    }
}

/// What the reader of a stream waits for.
pub trait StopCondition {
    /// Whether the piece of this name need not be read.
    fn is_known(&self, name: &str) -> bool;
    /// Whether this piece completes what is needed.
    fn is_enough(&mut self, name: &str, piece: &Streamed) -> bool;
    /// Adds known pieces of the image that did not come through the stream.
    fn complete(&self, pieces: &mut HashMap<String, Streamed>);
}

/// Waits for the whole stream.
pub struct Everything;

impl StopCondition for Everything {
    fn is_known(&self, _: &str) -> bool {
        false
    }

    fn is_enough(&mut self, _: &str, _: &Streamed) -> bool {
        false
    }

    fn complete(&self, _: &mut HashMap<String, Streamed>) {}
}

fn check_count(count: usize, path: &Path, bounds: &SafetyLimits) -> Result<(), SourceError> {
    let most = bounds.parts;
    if count as u64 >= most {
        let refusal = Refusal::new("parts", format!("the archive has over {} entries", group_digits(most)));
        return Err(SourceError::Refused { image: path.display().to_string(), refusal });
    }
    Ok(())
}

/// The length of a file, if it exists.
fn file_length(path: &Path) -> Result<Option<u64>, SourceError> {
    match path.metadata() {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SourceError::io("read", path, error)),
    }
}

/// The error for an archive that cannot be walked, or whose decoder exceeds a safety limit.
fn broken_archive(path: &Path, error: TarError) -> SourceError {
    if let TarError::Read(error) = &error
        && let Some(refusal) = Refusal::of(error)
    {
        return SourceError::Refused { image: path.display().to_string(), refusal: refusal.clone() };
    }
    SourceError::BrokenArchive { path: path.into(), error }
}

/// Looks a name up through the links that `docker save` writes for identical layers.
fn follow<'a, P, T>(
    pieces: &'a HashMap<String, P>,
    name: &str,
    look: impl Fn(&'a P) -> Result<T, &'a String>,
) -> Option<T> {
    let mut name = name;
    for _ in 0..8 {
        match look(pieces.get(name)?) {
            Ok(found) => return Some(found),
            Err(target) => name = target,
        }
    }
    None
}

fn take_piece(
    entry: &TarEntry,
    mut content: impl Read + Send,
    budget: &Budget,
    documents_left: &mut u64,
) -> io::Result<Streamed> {
    let mut head = Vec::new();
    content.by_ref().take(512).read_to_end(&mut head)?;
    // Checked first: a tar begins with a file's name, which may look like the start of a document.
    if Compression::sniff(&head).is_some() {
        let tar = budget.diff_ids;
        let named = digest_of_name(&clean(&entry.path));
        let blob = named.map_or(tar, |digest| digest.algorithm());
        let layer = walk_stream(head.chain(content), budget, Hashing { blob, tar });
        return Ok(Streamed::Layer(Box::new(layer)));
    }
    // As in a file, a document may begin with any amount of white space.
    let document = head.trim_ascii_start().first().is_none_or(|first| b"{[".contains(first));
    if !document || entry.stored > MAX_DOCUMENT.min(*documents_left) {
        return Ok(Streamed::Other(entry.stored));
    }
    *documents_left -= entry.stored;
    content.read_to_end(&mut head)?;
    Ok(Streamed::Document(head))
}

/// The target of a link, by its name in the archive.
fn link_target(entry: &TarEntry) -> Option<String> {
    match entry.kind {
        EntryKind::HardLink => short(clean(&entry.link)),
        EntryKind::Symlink => {
            let path = LayerPath::clean(&entry.path);
            let parent = path.split().map_or(&b""[..], |(parent, _)| parent);
            short(clean(&[parent, b"/", entry.link.as_slice()].concat()))
        }
        _ => None,
    }
}

fn short(name: String) -> Option<String> {
    Some(name).filter(|name| name.len() <= MAX_NAME)
}

fn clean(name: &[u8]) -> String {
    LayerPath::clean(name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with one piece that claims to be very long, and is.
    fn endless(head: &[u8]) -> impl Read + Send {
        let mut header = tar::Header::new_gnu();
        header.set_path("x").unwrap();
        header.set_size(1 << 40);
        header.set_cksum();
        let start = [header.as_bytes().as_slice(), head].concat();
        std::io::Cursor::new(start).chain(std::io::repeat(0))
    }

    #[test]
    fn a_stream_is_read_no_further_than_an_image_may_be_long() {
        let bounds = SafetyLimits { uncompressed: 8 << 20, ..SafetyLimits::default() };
        // A piece that is skipped, and one that may be a layer.
        let mut layer = tar::Header::new_gnu();
        layer.set_path("zeros").unwrap();
        layer.set_size(1 << 39);
        layer.set_cksum();
        for head in [&b"neither"[..], layer.as_bytes()] {
            let budget = Budget::new(bounds.clone(), Arc::default());
            let read = ImageParts::stream(&mut endless(head), Path::new("x.tar"), &budget, &mut Everything);
            let error = read.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("--safety-limit uncompressed=NUMBER"), "{error}");
        }
    }
}
