//! Layers as container engines store them on disk: the files uncompressed in a directory, and beside them a tar-split
//! document with every other byte of the layer's tar, from which the engine reassembles the identical tar
//! (`vbatts/tar-split`, "tar/storage": one JSON object a line, either raw bytes of the tar or a file whose content
//! belongs there).
//!
//! The headers are the tar's own, so sizes counted from them are exact, and a file is opened only when its content is
//! read.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use super::input::{Forward, ReadAt};
use super::safety::{Budget, PackedReader, UnpackedReader};
use super::walk::{Hashing, LayerError, WalkedLayer, walk_headers, walk_stream};

/// Maximum bytes of a line. The writer puts at most 1 MiB of padding, or a file's headers, into one.
const MAX_LINE: u64 = 4 << 20;

/// How much of a document is read at once.
const DOCUMENT_CHUNK: usize = 128 << 10;

/// Where the content of a layer's files is.
pub trait UncompressedFiles {
    /// A file's content.
    type Content: ReadAt;

    /// Opens a file by its name in the tar.
    ///
    /// # Errors
    /// If it cannot be read.
    fn open(&self, name: &[u8]) -> io::Result<Self::Content>;
}

/// The tar that a tar-split document describes.
pub struct TarSplit<R, F: UncompressedFiles> {
    lines: R,
    files: F,
    piece: TarPiece<F::Content>,
}

/// The compressed length assumed for a layer that does not state it.
const UNKNOWN_LENGTH: u64 = 4 << 20;

/// Walks a layer by its tar-split document, which is compressed and belongs to a blob of `length` bytes, or to none if
/// that is 0. To hash the layer, its tar is reassembled.
///
/// # Errors
/// [`LayerError`].
pub fn walk_tar_split<F: UncompressedFiles + Send>(
    document: impl Read + Send,
    files: F,
    length: u64,
    hashing: Option<Hashing>,
    budget: &Budget,
) -> Result<WalkedLayer, LayerError>
where
    F::Content: Send,
{
    let account = budget.account();
    account.earn(length);
    if length == 0 {
        account.assume(UNKNOWN_LENGTH);
    }
    let document = BufReader::with_capacity(DOCUMENT_CHUNK, PackedReader::new(document, budget, &account));
    let lines = UnpackedReader::new(MultiGzDecoder::new(document), budget, &account, true);
    let tar = TarSplit::new(BufReader::new(lines), files);
    match hashing {
        Some(hashing) => walk_stream(tar, budget, hashing),
        None => walk_headers(tar, length, budget, &account),
    }
}

/// What comes next in the tar.
enum TarPiece<C> {
    /// Bytes of headers and padding, and how many of them have been read.
    Raw(Vec<u8>, usize),
    /// A file's content.
    Content { name: Vec<u8>, at: u64, left: u64, file: Option<C> },
}

/// One line of the document.
#[derive(Deserialize)]
struct TarSplitLine {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    name: Option<String>,
    /// The name in Base64, if it is not UTF-8.
    #[serde(default)]
    name_raw: Option<String>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    payload: Option<String>,
}

const FILE: u8 = 1;
const RAW: u8 = 2;

impl<R: BufRead, F: UncompressedFiles> TarSplit<R, F> {
    /// Reads an uncompressed tar-split document.
    pub fn new(lines: R, files: F) -> TarSplit<R, F> {
        TarSplit { lines, files, piece: TarPiece::Raw(Vec::new(), 0) }
    }

    /// Advances to the next piece that has bytes left; `false` at the tar's end.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            let left = match &self.piece {
                TarPiece::Raw(bytes, at) => bytes.len() > *at,
                TarPiece::Content { left, .. } => *left > 0,
            };
            if left {
                return Ok(true);
            }
            let Some(piece) = self.next_piece()? else { return Ok(false) };
            self.piece = piece;
        }
    }

    fn next_piece(&mut self) -> io::Result<Option<TarPiece<F::Content>>> {
        let mut line = Vec::new();
        let read = self.lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if read as u64 == MAX_LINE {
            return Err(invalid(format!("a line has over {MAX_LINE} bytes")));
        }
        if line.trim_ascii().is_empty() {
            return if read == 0 { Ok(None) } else { Ok(Some(TarPiece::Raw(Vec::new(), 0))) };
        }
        let line: TarSplitLine = serde_json::from_slice(&line).map_err(invalid)?;
        let decoded = |text: Option<String>| STANDARD.decode(text.unwrap_or_default()).map_err(invalid);
        match line.kind {
            RAW => Ok(Some(TarPiece::Raw(decoded(line.payload)?, 0))),
            FILE => {
                let name = match line.name_raw {
                    Some(raw) => decoded(Some(raw))?,
                    None => line.name.unwrap_or_default().into_bytes(),
                };
                Ok(Some(TarPiece::Content { name, at: 0, left: line.size, file: None }))
            }
            kind => Err(invalid(format!("an entry of unknown type {kind}"))),
        }
    }
}

impl<R: BufRead, F: UncompressedFiles> Read for TarSplit<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.fill()? {
            return Ok(0);
        }
        match &mut self.piece {
            TarPiece::Raw(bytes, at) => {
                let read = bytes.get(*at..).unwrap_or_default().read(buffer)?;
                *at += read;
                Ok(read)
            }
            TarPiece::Content { name, at, left, file } => {
                let opened = match file {
                    Some(file) => file,
                    None => file.insert(self.files.open(name)?),
                };
                let want = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let read = opened.read_at(&mut buffer[..want], *at)?;
                if read == 0 {
                    let name = String::from_utf8_lossy(name);
                    return Err(invalid(format!("the file {name} is shorter than the layer says")));
                }
                *at += read as u64;
                *left -= read as u64;
                Ok(read)
            }
        }
    }
}

impl<R: BufRead, F: UncompressedFiles> Forward for TarSplit<R, F> {
    fn is_readable(&mut self) -> io::Result<bool> {
        if !self.fill()? {
            return Ok(true);
        }
        let TarPiece::Content { name, file, .. } = &mut self.piece else { return Ok(true) };
        if file.is_none() {
            match self.files.open(name) {
                Ok(opened) => *file = Some(opened),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn skip_at_most(&mut self, count: u64) -> io::Result<u64> {
        let mut ahead = count;
        while ahead > 0 && self.fill()? {
            match &mut self.piece {
                TarPiece::Raw(bytes, at) => {
                    let step = (bytes.len() - *at).min(usize::try_from(ahead).unwrap_or(usize::MAX));
                    *at += step;
                    ahead -= step as u64;
                }
                TarPiece::Content { at, left, .. } => {
                    let step = ahead.min(*left);
                    *at += step;
                    *left -= step;
                    ahead -= step;
                }
            }
        }
        Ok(count - ahead)
    }
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the tar-split document: {}", error.to_string()))
}
