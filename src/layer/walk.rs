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
use crate::packages::{self, Wanted};
use crate::{marks, marks::elf};

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
    let mut found = Found::default();
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
                look_inside(&mut walker, &entry, entries.len() as u32, path, &mut found)?;
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
    census.packages = found.packages.finish(&census).of_census(&census);
    census.marks = Some(found.marks.finish());
    Ok((census, contents.into(), walker.into_inner()))
}

/// What the content of a layer's files says.
#[derive(Default)]
struct Found {
    packages: packages::Collector,
    marks: marks::Collector,
}

/// Reads of a file what it says of packages and of being needed, if it is one that does. `index` is its
/// place in the census.
fn look_inside<R: Forward>(
    walker: &mut TarWalker<R>,
    entry: &TarEntry,
    index: u32,
    path: &LayerPath,
    found: &mut Found,
) -> Result<(), TarError> {
    let executable = entry.mode & 0o111 != 0;
    let wanted = (
        Wanted::of(path.as_bytes(), entry.size, executable),
        marks::Wanted::of(path.as_bytes(), entry.size, executable),
    );
    match wanted {
        (Some(Wanted::Content { database, length }), _) => {
            found.packages.take(database, path, &walker.read_content(length)?);
        }
        // What a file is by its name goes before what it may be by its mode.
        (_, Some(marks::Wanted::Content { document, length })) => {
            found.marks.take(document, index, path, &walker.read_content(length)?);
        }
        (None, None) => {}
        (module, symbols) => {
            let program = look_into_program(walker, entry.size, module.is_some(), symbols.is_some())?;
            program.module.iter().for_each(|module| found.packages.take_program(path, module));
            found.marks.take_program(index, program.symbols);
        }
    }
    Ok(())
}

/// What a program says of itself.
#[derive(Default)]
struct Program {
    module: Option<Module>,
    /// What `strip` would take.
    symbols: u64,
}

/// Of a program its first bytes are read, and then in the order of the file whatever part is asked
/// for next: of a Go program the one that says what it is, and of all the table of their sections.
fn look_into_program<R: Forward>(
    walker: &mut TarWalker<R>,
    size: u64,
    module: bool,
    symbols: bool,
) -> Result<Program, TarError> {
    let mut head = walker.read_content(ELF_MAGIC.len() as u64)?;
    if head != ELF_MAGIC {
        return Ok(Program::default());
    }
    head.extend(walker.read_content((golang::HEAD - ELF_MAGIC.len()) as u64)?);
    let mut module = Scanner::new(&head).filter(|_| module);
    let mut symbols = elf::Scanner::new(&head, size).filter(|_| symbols);
    let (mut at, mut bytes) = (0, head);
    while !bytes.is_empty() {
        if let Some(scanner) = &mut module {
            scanner.feed(at, &bytes);
        }
        if let Some(scanner) = &mut symbols {
            scanner.feed(at, &bytes);
        }
        at += bytes.len() as u64;
        let wanted =
            [module.as_ref().and_then(Scanner::wanted), symbols.as_ref().and_then(elf::Scanner::wanted)];
        let Some(next) = wanted.into_iter().flatten().min_by_key(|next| next.start) else { break };
        walker.skip_content(next.start.saturating_sub(at))?;
        at = at.max(next.start);
        bytes = walker.read_content(next.end.saturating_sub(at).min(CHUNK as u64))?;
    }
    Ok(Program { module: module.and_then(Scanner::finish), symbols: symbols.map_or(0, elf::Scanner::finish) })
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
