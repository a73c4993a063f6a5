//! From a layer blob to its census, in one pass and in bounded memory.

use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use super::compression::Compression;
use super::input::{Forward, Meter, Stream, Window};
use super::tar::{Kind, TarEntry, TarError, TarWalker};
use crate::image::census::MAX_NODES;
use crate::image::{Bytes, Census, DiffId, Digest, Entry, LayerPath};

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
    /// The image as a whole is over a bound that keeps memory small.
    #[error("refused: the image has {0}")]
    OverBudget(&'static str),
    /// Reading failed.
    #[error("{0}")]
    Read(#[from] io::Error),
}

/// What one image may cost in memory. Shared by all layers of the image, over all threads.
#[derive(Debug)]
pub struct Budget {
    entries: AtomicU64,
    path_bytes: AtomicU64,
}

impl Default for Budget {
    /// Five million entries, 512 MiB of paths: many times the largest images known, and a bound.
    fn default() -> Budget {
        Budget { entries: AtomicU64::new(MAX_NODES), path_bytes: AtomicU64::new(512 << 20) }
    }
}

impl Budget {
    /// Whether layers of so many [`Census::nodes`] may be put together: one that is used twice counts
    /// twice.
    ///
    /// # Errors
    /// [`LayerError::OverBudget`].
    pub fn allow(&self, nodes: u64) -> Result<(), LayerError> {
        if nodes > MAX_NODES {
            return Err(LayerError::OverBudget("over 5,000,000 files and directories"));
        }
        Ok(())
    }

    fn spend(&self, entry: &TarEntry) -> Result<(), LayerError> {
        let take = |pot: &AtomicU64, amount| {
            pot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount)).is_ok()
        };
        if !take(&self.entries, 1) {
            return Err(LayerError::OverBudget("over 5,000,000 files and directories"));
        }
        if !take(&self.path_bytes, (entry.path.len() + entry.link.len()) as u64) {
            return Err(LayerError::OverBudget("over 512 MiB of path names"));
        }
        Ok(())
    }
}

/// What one pass over a layer blob finds.
#[derive(Debug, Clone)]
pub struct WalkedLayer {
    /// The layer's files.
    pub census: Census,
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

/// Walks a layer blob in a file. A plain tar's content is seeked over, and so neither read nor
/// hashed, unless `verify` asks for it.
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
        return walk_stream(window, budget);
    }
    let (census, _) = take_census(window, budget)?;
    let size = census.size().ok_or(LayerError::TooLarge)?;
    Ok(WalkedLayer {
        census,
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
pub fn walk_stream(mut input: impl Read + Send, budget: &Budget) -> Result<WalkedLayer, LayerError> {
    let mut head = Vec::new();
    input.by_ref().take(512).read_to_end(&mut head)?;
    let compression = Compression::sniff(&head).ok_or(LayerError::UnknownFormat)?;
    let mut blob = BufReader::with_capacity(64 * 1024, Meter::new(head.as_slice().chain(input), true));
    let packed = compression != Compression::None;

    let (census, tar_hash) = {
        let unpacked = compression.reader(&mut blob).map_err(|error| blame(compression, error))?;
        // A plain tar is hashed once: its digest is its diff ID.
        let tar = Stream(Meter::new(unpacked, packed));
        let (census, mut rest) =
            take_census(tar, budget).map_err(|error| blame_decoder(compression, error))?;
        // What follows the tar's end belongs to the hash.
        io::copy(&mut rest, &mut io::sink()).map_err(|error| blame(compression, error))?;
        (census, rest.0.finish().1)
    };
    io::copy(&mut blob, &mut io::sink())?;
    let (stored, blob_hash) = blob.into_inner().finish();

    let size = census.size().ok_or(LayerError::TooLarge)?;
    Ok(WalkedLayer {
        census,
        size,
        compression,
        stored: Bytes(stored),
        diff_id: if packed { tar_hash } else { blob_hash }.map(|hash| DiffId::from_sha256(&hash)),
        digest: blob_hash.map(|hash| Digest::from_sha256(&hash)),
    })
}

fn take_census<R: Forward>(input: R, budget: &Budget) -> Result<(Census, R), LayerError> {
    let mut walker = TarWalker::new(input);
    let mut entries = Vec::new();
    while let Some(entry) = walker.next_entry()? {
        budget.spend(&entry)?;
        entries.extend(census_entry(&entry));
    }
    entries.shrink_to_fit();
    Ok((Census { entries }, walker.into_inner()))
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
