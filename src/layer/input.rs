//! Reading forward: the only way layergate reads a tar, whether the bytes come from a file, where content can be
//! skipped, or from a stream, where it has to be read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use crate::image::digest::{Algorithm, Hasher};

/// How much is read at once when content cannot be skipped.
const CHUNK: usize = 64 * 1024;

/// A reader that can skip content.
pub trait Forward: Read {
    /// Skips `count` bytes, or to the end of the input if that comes first. Returns how many.
    ///
    /// # Errors
    /// Errors of the reader.
    fn skip_at_most(&mut self, count: u64) -> io::Result<u64>;

    /// Skips exactly `count` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the input ends before; errors of the reader.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        if self.skip_at_most(count)? < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Whether the content that comes next may be read. Only uncompressed files in an engine's store can be unreadable
    /// for this user.
    ///
    /// # Errors
    /// If that cannot be determined.
    fn is_readable(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

/// Any reader; it skips by reading.
pub struct PlainInput<R>(pub R);

impl<R: Read> Read for PlainInput<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Forward for PlainInput<R> {
    fn skip_at_most(&mut self, count: u64) -> io::Result<u64> {
        let mut buffer = [0; CHUNK];
        let mut left = count;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            match self.0.read(&mut buffer[..want]) {
                Ok(0) => break,
                Ok(read) => left -= read as u64,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count - left)
    }
}

/// How much is read at once.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// After a jump, when mostly only the next header is needed.
    pub least: usize,
    /// When reading continuously.
    pub most: usize,
    /// A jump this short counts as reading on: reading the bytes in between would be cheaper than another request.
    pub near: u64,
}

/// For a file: another read costs next to nothing.
const FILE_AHEAD: Ahead = Ahead { least: 1024, most: 64 * 1024, near: 0 };

/// Bytes that can be read from any place.
pub trait ReadAt {
    /// Reads from `offset`, independent of earlier reads. Fewer bytes than fit the buffer do not mean the end.
    ///
    /// # Errors
    /// Errors of the reader.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(self, buffer, offset)
    }
}

/// A part of a file, or of a source that is read like one; it skips by jumping. Reads state their offset, so a jump
/// costs no call of its own.
pub struct Window<S = File> {
    source: S,
    /// Where in the source the next byte is, and where the part ends.
    at: u64,
    end: u64,
    /// Bytes from `at` on that have already been read.
    buffer: Vec<u8>,
    unread: Range<usize>,
    /// How much is read next.
    next: usize,
    ahead: Ahead,
}

impl Window {
    /// The `length` bytes of `file` starting at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file is shorter than that.
    pub fn new(file: File, offset: u64, length: u64) -> io::Result<Window> {
        let size = file.metadata()?.len();
        let end = offset.checked_add(length).filter(|end| *end <= size);
        let end = end.ok_or(ErrorKind::UnexpectedEof)?;
        Ok(Window { at: offset, ..Window::over(file, end, FILE_AHEAD) })
    }
}

impl<S: ReadAt> Window<S> {
    /// The first `length` bytes of a source.
    pub fn over(source: S, length: u64, ahead: Ahead) -> Window<S> {
        Window { source, at: 0, end: length, buffer: Vec::new(), unread: 0..0, next: ahead.least, ahead }
    }

    /// The next bytes, without consuming them; empty at the end.
    ///
    /// # Errors
    /// Errors of the reader.
    pub fn peek(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            let want = self.left_of(self.next);
            self.buffer.resize(want, 0);
            let read = self.source.read_at(&mut self.buffer, self.at)?;
            self.unread = 0..read;
        }
        Ok(self.buffer.get(self.unread.clone()).unwrap_or_default())
    }

    fn left_of(&self, want: usize) -> usize {
        usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(want)
    }

    fn advance(&mut self, count: usize) {
        self.at += count as u64;
        self.unread.start += count;
        if self.unread.is_empty() {
            self.next = (self.next * 2).min(self.ahead.most);
        }
    }
}

impl<S: ReadAt> Read for Window<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() && buffer.len() >= self.next {
            let want = self.left_of(buffer.len());
            let read = self.source.read_at(&mut buffer[..want], self.at)?;
            self.at += read as u64;
            return Ok(read);
        }
        let next = self.peek()?;
        let count = next.len().min(buffer.len());
        buffer[..count].copy_from_slice(&next[..count]);
        self.advance(count);
        Ok(count)
    }
}

impl<S: ReadAt> Forward for Window<S> {
    fn skip_at_most(&mut self, count: u64) -> io::Result<u64> {
        let count = count.min(self.end - self.at);
        match usize::try_from(count) {
            Ok(count) if count <= self.unread.len() => self.advance(count),
            _ => {
                let jump = count - self.unread.len() as u64;
                self.at += count;
                self.unread = 0..0;
                let is_near = jump <= self.ahead.near;
                self.next = if is_near { (self.next * 2).min(self.ahead.most) } else { self.ahead.least };
            }
        }
        Ok(count)
    }
}

/// Reads from an offset in a file, independent of earlier reads.
#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// Reads from an offset in a file, independent of earlier reads.
#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// Counts and hashes the bytes that are read through it.
pub struct Meter<R> {
    inner: R,
    hash: Option<Hasher>,
    count: u64,
}

impl<R: Read> Meter<R> {
    /// Counts; hashes only if `by` names an algorithm.
    pub fn new(inner: R, by: Option<Algorithm>) -> Meter<R> {
        Meter { inner, hash: by.map(Hasher::new), count: 0 }
    }

    /// The number of bytes read and, if it was asked for, their hash.
    pub fn finish(self) -> (u64, Option<Hasher>) {
        (self.count, self.hash)
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..read]);
        }
        Ok(read)
    }
}
