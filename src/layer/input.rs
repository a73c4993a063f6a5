//! Reading forward: the one way in which layergate looks at a tar, whether the bytes come from a
//! file, where content can be jumped over, or from a stream, where it has to pass by.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use sha2::{Digest as _, Sha256};

/// How much is read at once where content passes by.
const CHUNK: usize = 64 * 1024;

/// A reader that can get past content.
pub trait Forward: Read {
    /// Gets past exactly `count` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` where the input ends before; whatever reading fails with.
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

/// Any reader; skipping reads.
pub struct Stream<R>(pub R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Forward for Stream<R> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let mut buffer = [0; CHUNK];
        let mut left = count;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            match self.0.read(&mut buffer[..want]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => left -= read as u64,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How much of a file is read at once: the least behind content that was jumped over, where mostly the
/// next header is wanted; and the most where one piece after the other is.
const LEAST_AHEAD: usize = 1024;
const MOST_AHEAD: usize = 64 * 1024;

/// A part of a file; skipping jumps. Reads name their place, so no jump costs a call of its own.
pub struct Window {
    file: File,
    /// Where in the file the next byte is, and where the part ends.
    at: u64,
    end: u64,
    /// Bytes from `at` on that have been read already.
    buffer: Vec<u8>,
    unread: Range<usize>,
    ahead: usize,
}

impl Window {
    /// The `length` bytes of `file` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file is shorter than that.
    pub fn new(file: File, offset: u64, length: u64) -> io::Result<Window> {
        let size = file.metadata()?.len();
        let end = offset.checked_add(length).filter(|end| *end <= size);
        let end = end.ok_or(ErrorKind::UnexpectedEof)?;
        Ok(Window { file, at: offset, end, buffer: Vec::new(), unread: 0..0, ahead: LEAST_AHEAD })
    }

    /// The next bytes, without getting past them; empty at the end.
    ///
    /// # Errors
    /// Whatever reading fails with.
    pub fn peek(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            let want = self.left_of(self.ahead);
            self.buffer.resize(want, 0);
            let read = read_at(&self.file, &mut self.buffer, self.at)?;
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
            self.ahead = (self.ahead * 2).min(MOST_AHEAD);
        }
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() && buffer.len() >= self.ahead {
            let want = self.left_of(buffer.len());
            let read = read_at(&self.file, &mut buffer[..want], self.at)?;
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

impl Forward for Window {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        if count > self.end - self.at {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match usize::try_from(count) {
            Ok(count) if count <= self.unread.len() => self.advance(count),
            _ => {
                self.at += count;
                self.unread = 0..0;
                self.ahead = LEAST_AHEAD;
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// Counts and hashes what passes.
pub struct Meter<R> {
    inner: R,
    hash: Option<Sha256>,
    count: u64,
}

impl<R: Read> Meter<R> {
    /// Counts; hashes only where `hash` asks for it.
    pub fn new(inner: R, hash: bool) -> Meter<R> {
        Meter { inner, hash: hash.then(Sha256::new), count: 0 }
    }

    /// The bytes that have passed and, where asked for, their sha256.
    pub fn finish(self) -> (u64, Option<[u8; 32]>) {
        (self.count, self.hash.map(|hash| hash.finalize().into()))
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
