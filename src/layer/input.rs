//! Reading forward: the one way in which layergate looks at a tar, whether the bytes come from a
//! file, where content can be jumped over, or from a stream, where it has to pass by.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};

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

/// A part of a file; skipping seeks.
pub struct Window {
    file: BufReader<File>,
    left: u64,
}

impl Window {
    /// The `length` bytes of `file` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file is shorter than that; whatever seeking fails with.
    pub fn new(mut file: File, offset: u64, length: u64) -> io::Result<Window> {
        let size = file.metadata()?.len();
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        file.seek(SeekFrom::Start(offset))?;
        Ok(Window { file: BufReader::new(file), left: length })
    }

    /// The next bytes, without getting past them; empty at the end.
    ///
    /// # Errors
    /// Whatever reading fails with.
    pub fn peek(&mut self) -> io::Result<&[u8]> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let buffer = self.file.fill_buf()?;
        Ok(&buffer[..buffer.len().min(left)])
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..want])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Forward for Window {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        if count > self.left {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let distance = i64::try_from(count).map_err(|_| io::Error::from(ErrorKind::UnexpectedEof))?;
        self.file.seek_relative(distance)?;
        self.left -= count;
        Ok(())
    }
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
