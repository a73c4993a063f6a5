//! From a layer blob to its census, in one pass and in bounded memory.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::bounds::{Budget, Entries, Packed, Refusal, Unpacked};
use super::compression::Compression;
use super::input::{Forward, Meter, Stream, Window};
use super::tar::{Kind, TarEntry, TarError, TarWalker};
use crate::image::census::Contents;
use crate::image::{Bytes, Census, DiffId, Digest, Entry, LayerPath};
use crate::packages::golang::{self, Module, Scanner};
use crate::packages::{Collector, Wanted};

/// How much of a blob is read at once.
const CHUNK: usize = 128 * 1024;
/// How a program begins (System V ABI, "ELF Identification").
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// A layer that could not be read. Whoever knows which layer of which image it was says so.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The tar inside is cut off, damaged or over a bound.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The packed bytes are damaged.
    #[error("the {format} data is corrupt or cut off: {source}")]
    Corrupt {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// What the decoder says.
        source: io::Error,
    },
    /// The blob is neither a tar nor packed in a known way.
    #[error("it is neither a tar nor gzip nor zstd data")]
    UnknownFormat,
    /// The files claim more bytes than can be counted.
    #[error("refused: its files claim over {} bytes", Bytes::MAX.grouped())]
    TooLarge,
    /// The layer, or the image as a whole, is over a bound.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// Reading failed.
    #[error("{0}")]
    Read(#[source] io::Error),
}

impl From<io::Error> for LayerError {
    fn from(error: io::Error) -> LayerError {
        match Refusal::of(&error) {
            Some(refusal) => LayerError::Refused(refusal.clone()),
            None => LayerError::Read(error),
        }
    }
}

/// What one pass over a layer blob finds.
#[derive(Debug, Clone)]
pub struct WalkedLayer {
    /// The layer's files.
    pub census: Arc<Census>,
    /// The content of each file that has any, where it was asked for.
    pub contents: Contents,
    /// `layer.size` of the accounting.
    pub size: Bytes,
    /// How the blob is packed.
    pub compression: Compression,
    /// The blob's bytes.
    pub stored: Bytes,
    /// The hash of the tar, where all of its bytes passed by.
    pub diff_id: Option<DiffId>,
    /// The hash of the blob, where all of its bytes passed by.
    pub digest: Option<Digest>,
}

/// Walks a layer blob in a file. A plain tar's content is seeked over. Nothing is hashed, unless
/// `verify` asks for it.
///
/// # Errors
/// [`LayerError`].
pub fn walk_window(
    mut window: Window,
    length: u64,
    budget: &Budget,
    verify: bool,
) -> Result<WalkedLayer, LayerError> {
    let plain = Compression::sniff(window.peek()?) == Some(Compression::None);
    if !plain || verify {
        return walk(window, budget, verify);
    }
    let (census, contents, _) = take_census(window, budget)?;
    let size = census.size().ok_or(LayerError::TooLarge)?;
    Ok(WalkedLayer {
        census: census.into(),
        contents,
        size,
        compression: Compression::None,
        stored: Bytes(length),
        diff_id: None,
        digest: None,
    })
}

/// Walks a layer blob that passes by, reads it to its end and hashes it on the way.
///
/// # Errors
/// [`LayerError`].
pub fn walk_stream(input: impl Read + Send, budget: &Budget) -> Result<WalkedLayer, LayerError> {
    walk(input, budget, true)
}

fn walk(mut input: impl Read + Send, budget: &Budget, hashed: bool) -> Result<WalkedLayer, LayerError> {
    let mut head = Vec::new();
    input.by_ref().take(512).read_to_end(&mut head)?;
    let compression = Compression::sniff(&head).ok_or(LayerError::UnknownFormat)?;
    let count = AtomicU64::new(0);
    let blob = Packed::new(head.as_slice().chain(input), budget, &count);
    let mut blob = BufReader::with_capacity(CHUNK, Meter::new(blob, hashed));
    let packed = compression != Compression::None;

    let (census, contents, tar_hash) = {
        let unpacked = compression.reader(&mut blob).map_err(|error| blame(compression, error))?;
        // A plain tar is hashed once: its digest is its diff ID.
        let tar = Stream(Meter::new(Unpacked::new(unpacked, budget, &count), hashed && packed));
        let (census, contents, mut rest) =
            take_census(tar, budget).map_err(|error| blame_decoder(compression, error))?;
        // What follows the tar's end belongs to the hash, and to the decoder's own check.
        io::copy(&mut rest, &mut io::sink()).map_err(|error| blame(compression, error))?;
        (census, contents, rest.0.finish().1)
    };
    io::copy(&mut blob, &mut io::sink())?;
    let (stored, blob_hash) = blob.into_inner().finish();

    let size = census.size().ok_or(LayerError::TooLarge)?;
    Ok(WalkedLayer {
        census: census.into(),
        contents,
        size,
        compression,
        stored: Bytes(stored),
        diff_id: if packed { tar_hash } else { blob_hash }.map(|hash| DiffId::from_sha256(&hash)),
        digest: blob_hash.map(|hash| Digest::from_sha256(&hash)),
    })
}

fn take_census<R: Forward>(input: R, budget: &Budget) -> Result<(Census, Contents, R), LayerError> {
    let mut walker = TarWalker::new(input, &budget.bounds);
    let mut entries = Vec::new();
    let mut spent = Entries::new(budget);
    let mut packages = Collector::default();
    let mut contents = Vec::new();
    while let Some(entry) = walker.next_entry()? {
        spent.spend(&entry)?;
        let Some(listed) = census_entry(&entry) else { continue };
        if let Entry::File(path, _) = &listed {
            // What is stored of a sparse file is not its content.
            let whole = !entry.sparse;
            let hashed = budget.contents && whole && entry.size > 0;
            if hashed {
                walker.hash_content();
            }
            if whole {
                look_inside(&mut walker, &entry, path, &mut packages)?;
            }
            if hashed {
                let hash = walker.content_hash()?;
                contents.push((entries.len() as u32, *hash.first_chunk().unwrap_or(&[0; 16])));
            }
        }
        entries.push(listed);
    }
    spent.finish()?;
    entries.shrink_to_fit();
    let mut census = Census::of(entries);
    census.packages = packages.finish(&census).of_census(&census);
    census.marks = Some(Vec::new());
    Ok((census, contents.into(), walker.into_inner()))
}

/// Reads of a file what it says of packages, if it is one that does.
fn look_inside<R: Forward>(
    walker: &mut TarWalker<R>,
    entry: &TarEntry,
    path: &LayerPath,
    packages: &mut Collector,
) -> Result<(), TarError> {
    match Wanted::of(path.as_bytes(), entry.size, entry.mode & 0o111 != 0) {
        Some(Wanted::Content { database, length }) => {
            packages.take(database, path, &walker.read_content(length)?);
        }
        Some(Wanted::Program) => {
            if let Some(module) = look_into_program(walker)? {
                packages.take_program(path, &module);
            }
        }
        None => {}
    }
    Ok(())
}

/// Of a program its first bytes are read, and of a Go program the part that says what it is.
fn look_into_program<R: Forward>(walker: &mut TarWalker<R>) -> Result<Option<Module>, TarError> {
    let mut head = walker.read_content(ELF_MAGIC.len() as u64)?;
    if head != ELF_MAGIC {
        return Ok(None);
    }
    head.extend(walker.read_content((golang::HEAD - ELF_MAGIC.len()) as u64)?);
    let Some(mut scanner) = Scanner::new(&head) else { return Ok(None) };
    let mut at = head.len() as u64;
    let mut wanted = scanner.feed(0, &head);
    let ahead = scanner.data().start.saturating_sub(at);
    walker.skip_content(ahead)?;
    at += ahead;
    while wanted {
        let chunk = walker.read_content(CHUNK as u64)?;
        wanted = !chunk.is_empty() && scanner.feed(at, &chunk);
        at += chunk.len() as u64;
    }
    Ok(scanner.finish())
}

/// What a tar entry means as a part of a layer; `None` for the notes that AUFS leaves to itself.
fn census_entry(entry: &TarEntry) -> Option<Entry> {
    let path = LayerPath::clean(&entry.path);
    if let Some((parent, name)) = path.split()
        && let Some(hidden) = name.strip_prefix(b".wh.")
    {
        return match hidden {
            b".wh..opq" => Some(Entry::Opaque(LayerPath::clean(parent))),
            // `.wh..wh.plnk` and its like: bookkeeping of the AUFS driver, never part of an image.
            // And a name that would reach for the directory itself or the one above hides nothing.
            b"" | b"." | b".." => None,
            hidden if hidden.starts_with(b".wh.") => None,
            hidden => Some(Entry::Whiteout(LayerPath::clean(&[parent, b"/", hidden].concat()))),
        };
    }
    if path.as_bytes().starts_with(b".wh..wh.") {
        return None;
    }
    Some(match entry.kind {
        Kind::File => Entry::File(path, Bytes(entry.size)),
        Kind::HardLink => Entry::HardLink(path, LayerPath::clean(&entry.link)),
        Kind::Symlink => Entry::Symlink(path),
        Kind::Dir => Entry::Dir(path),
        Kind::Special => Entry::Special(path),
    })
}

fn blame(compression: Compression, source: io::Error) -> LayerError {
    match compression {
        _ if Refusal::of(&source).is_some() => source.into(),
        Compression::None => LayerError::Read(source),
        Compression::Gzip => LayerError::Corrupt { format: "gzip", source },
        Compression::Zstd => LayerError::Corrupt { format: "zstd", source },
    }
}

/// A decoder that fails shows as a tar that cannot be read, or, at its end, as one cut off.
fn blame_decoder(compression: Compression, error: LayerError) -> LayerError {
    match error {
        LayerError::Tar(TarError::Read(source)) => blame(compression, source),
        LayerError::Tar(TarError::Truncated(at)) if compression != Compression::None => {
            let what = format!("it ends after byte {at} of the unpacked tar");
            blame(compression, io::Error::new(io::ErrorKind::UnexpectedEof, what))
        }
        other => other,
    }
}
