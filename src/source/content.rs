//! The content store of an engine, read over its own socket: Docker with the containerd image store shows its content
//! to whoever may use that socket (`containerd.services.content.v1.Content`; BuildKit serves the reading half). So only
//! the unknown parts of an image are read, while an export always costs the whole image.
//!
//! Blobs are named by their digests and were verified when they were stored. Compressed ones are read whole and hashed
//! again. For plain tars only the headers and the inspected files are read: nothing then proves that the rest matches
//! its name, so the result is remembered for this image alone.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::SourceError;
use super::blob::{LayerRequest, WalkResult, digest_of_name, index_of, too_large};
use super::grpc::{CallError, Grpc, Messages};
use super::transport::EngineAddress;
use crate::image::Digest;
use crate::image::oci::MAX_DOCUMENT;
use crate::layer::{Ahead, Budget, Compression, ReadAt, Window, walk_stream, walk_window};

const INFO: &str = "/containerd.services.content.v1.Content/Info";
const READ: &str = "/containerd.services.content.v1.Content/Read";
/// How much of a plain tar is read at once: a request costs an engine about as much as sending a hundred thousand
/// bytes.
const AHEAD: Ahead = Ahead { least: 64 << 10, most: 256 << 10, near: 64 << 10 };
/// How many pieces of a blob are buffered.
const PIECES: usize = 4;

/// An image in the content store of an engine.
pub struct ContentStore {
    grpc: Grpc,
    /// Drives the connection while threads wait for it.
    runtime: Handle,
    root: (Digest, Vec<u8>),
    /// Sizes in bytes of the blobs asked about; `None` if the blob does not exist.
    lengths: Mutex<HashMap<Digest, Option<u64>>>,
    /// An error of the store itself, which makes the caller take another way.
    failure: Mutex<Option<String>>,
    layers_read: AtomicUsize,
}

impl ContentStore {
    /// Finds an image by its digest: that of its index or its manifest.
    ///
    /// # Errors
    /// If the store cannot be read this way, with the reason.
    pub(super) async fn open(
        transport: &EngineAddress,
        direct: bool,
        root: &Digest,
    ) -> Result<ContentStore, String> {
        let open = async |direct| {
            let grpc = Grpc::connect(transport, direct).await?;
            let content = read_document(&grpc, root).await?;
            Ok::<_, CallError>((grpc, content))
        };
        let opened = match open(direct).await {
            Err(CallError::Failed(_)) if direct => open(false).await,
            opened => opened,
        };
        let (grpc, content) = opened.map_err(|error| error.to_string())?;
        let content = content.map_err(|_| format!("{root} is no document"))?;
        Ok(ContentStore {
            grpc,
            runtime: Handle::current(),
            root: (root.clone(), content),
            lengths: Mutex::default(),
            failure: Mutex::default(),
            layers_read: AtomicUsize::new(0),
        })
    }

    /// Whether a blob of this name exists.
    pub fn has(&self, name: &str) -> bool {
        let is_there = |digest: Digest| {
            digest == self.root.0 || self.length(&digest).is_ok_and(|length| length.is_some())
        };
        name == "index.json" || digest_of_name(name).is_some_and(is_there)
    }

    /// A document by its name in a layout.
    ///
    /// # Errors
    /// If it cannot be read, or is larger than [`MAX_DOCUMENT`].
    pub fn document(&self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        if name == "index.json" {
            return Ok(Some(index_of(&self.root)));
        }
        let Some(digest) = digest_of_name(name) else { return Ok(None) };
        if digest == self.root.0 {
            return Ok(Some(self.root.1.clone()));
        }
        match self.runtime.block_on(read_document(&self.grpc, &digest)) {
            Ok(Ok(content)) => Ok(Some(content)),
            Ok(Err(length)) => Err(too_large(name, length)),
            Err(CallError::NotFound) => Ok(None),
            Err(CallError::Failed(error)) => Err(self.failed(error)),
        }
    }

    /// Walks a layer: a compressed one whole, a plain one by its headers unless it has to be verified.
    ///
    /// # Errors
    /// If it cannot be opened; the inner result says whether it could be walked.
    pub fn walk_layer(
        &self,
        wanted: &LayerRequest<'_>,
        budget: &Budget,
    ) -> Result<Option<WalkResult>, SourceError> {
        let Some(digest) = digest_of_name(wanted.name) else { return Ok(None) };
        let Some(length) = self.length(&digest)? else { return Ok(None) };
        self.layers_read.fetch_add(1, Ordering::Relaxed);
        if !wanted.verify {
            let mut window = Window::over(Ranges { store: self, digest: &digest }, length, AHEAD);
            let head = window.peek().map_err(|error| self.failed(error.to_string()))?;
            if Compression::sniff(head) == Some(Compression::None) {
                let walked = walk_window(window, length, budget, None);
                budget.pass(length);
                return Ok(Some(walked.map_err(|error| error.to_string())));
            }
        }
        let walked = walk_stream(self.stream(&digest), budget, wanted.hashing);
        Ok(Some(walked.map_err(|error| error.to_string())))
    }

    /// Why the store could not be read to the end, if so.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().ok()?.clone()
    }

    /// How many layers were read from it.
    pub fn layers_read(&self) -> usize {
        self.layers_read.load(Ordering::Relaxed)
    }

    fn length(&self, digest: &Digest) -> Result<Option<u64>, SourceError> {
        if let Some(length) = self.lengths.lock().ok().and_then(|lengths| lengths.get(digest).copied()) {
            return Ok(length);
        }
        let length = match self.runtime.block_on(info(&self.grpc, digest)) {
            Ok(length) => Some(length),
            Err(CallError::NotFound) => None,
            Err(CallError::Failed(error)) => return Err(self.failed(error)),
        };
        if let Ok(mut lengths) = self.lengths.lock() {
            lengths.insert(digest.clone(), length);
        }
        Ok(length)
    }

    /// Notes an error of the store itself.
    fn failed(&self, error: String) -> SourceError {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert_with(|| error.clone());
        }
        SourceError::ContentStore(error)
    }

    /// A blob from beginning to end, fetched while it is read.
    fn stream(&self, digest: &Digest) -> BlobStream<'_> {
        let (sender, receiver) = mpsc::channel(PIECES);
        let (grpc, request) = (self.grpc.clone(), read_request(digest, 0, 0));
        self.runtime.spawn(async move {
            let fetching = async {
                let mut messages = grpc.call(READ, &request).await?;
                while let Some(data) = next_data(&mut messages).await? {
                    if sender.send(Ok(data)).await.is_err() {
                        break;
                    }
                }
                Ok::<_, CallError>(())
            };
            if let Err(error) = fetching.await {
                let _ = sender.send(Err(error)).await;
            }
        });
        BlobStream { store: self, receiver, data: Bytes::new() }
    }
}

/// A blob in transfer.
struct BlobStream<'a> {
    store: &'a ContentStore,
    receiver: mpsc::Receiver<Result<Bytes, CallError>>,
    data: Bytes,
}

impl Read for BlobStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.data.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(data)) => self.data = data,
                Some(Err(error)) => return Err(io::Error::other(self.store.failed(error.to_string()))),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.data.len());
        buffer[..count].copy_from_slice(&self.data.split_to(count));
        Ok(count)
    }
}

/// A blob that is read in parts.
struct Ranges<'a> {
    store: &'a ContentStore,
    digest: &'a Digest,
}

impl ReadAt for Ranges<'_> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let request = read_request(self.digest, offset, buffer.len() as u64);
        let (grpc, most) = (self.store.grpc.clone(), buffer.len());
        let (sender, receiver) = oneshot::channel();
        // Runs where the connection is driven, so that its pieces wake no other thread.
        self.store.runtime.spawn(async move {
            let _ = sender.send(read_range(&grpc, &request, most).await);
        });
        let read = receiver.blocking_recv().unwrap_or_else(|_| Err(CallError::Failed("it has ended".into())));
        let read = read.map_err(|error| io::Error::other(self.store.failed(error.to_string())))?;
        let mut filled = 0;
        for data in read {
            buffer[filled..filled + data.len()].copy_from_slice(&data);
            filled += data.len();
        }
        Ok(filled)
    }
}

async fn read_range(grpc: &Grpc, request: &[u8], most: usize) -> Result<Vec<Bytes>, CallError> {
    let mut messages = grpc.call(READ, request).await?;
    let (mut pieces, mut length) = (Vec::new(), 0);
    while let Some(data) = next_data(&mut messages).await? {
        length += data.len();
        if length > most {
            return Err(CallError::Failed("it sends more than was asked for".into()));
        }
        pieces.push(data);
    }
    Ok(pieces)
}

/// A whole document, or its length if that exceeds the limit.
async fn read_document(grpc: &Grpc, digest: &Digest) -> Result<Result<Vec<u8>, u64>, CallError> {
    let mut messages = grpc.call(READ, &read_request(digest, 0, 0)).await?;
    let mut content = Vec::new();
    while let Some(data) = next_data(&mut messages).await? {
        content.extend_from_slice(&data);
        if content.len() as u64 > MAX_DOCUMENT {
            return Ok(Err(info(grpc, digest).await?));
        }
    }
    Ok(Ok(content))
}

async fn info(grpc: &Grpc, digest: &Digest) -> Result<u64, CallError> {
    let mut request = Vec::new();
    message::put_bytes(&mut request, 1, digest.as_str().as_bytes());
    let mut messages = grpc.call(INFO, &request).await?;
    let answer = messages.next().await?.ok_or_else(malformed)?;
    let info = message::bytes(&answer, 1).ok_or_else(malformed)?;
    message::number(info, 2).ok_or_else(malformed)
}

/// `ReadContentRequest`; a size of 0 means everything.
fn read_request(digest: &Digest, offset: u64, size: u64) -> Vec<u8> {
    let mut request = Vec::new();
    message::put_bytes(&mut request, 1, digest.as_str().as_bytes());
    message::put_number(&mut request, 2, offset);
    message::put_number(&mut request, 3, size);
    request
}

/// The data of the next `ReadContentResponse`. Responses arrive in order; depending on the version, their offset counts
/// from the beginning of the blob or of the requested range.
async fn next_data(messages: &mut Messages) -> Result<Option<Bytes>, CallError> {
    let Some(answer) = messages.next().await? else { return Ok(None) };
    let data = message::bytes(&answer, 2).unwrap_or_default();
    Ok(Some(answer.slice_ref(data)))
}

fn malformed() -> CallError {
    CallError::Failed("its answer is malformed".into())
}

/// Messages in the wire format of Protocol Buffers ("Encoding"), limited to what these calls use: numbers and bytes.
mod message {
    const NUMBER: u64 = 0;
    const BYTES: u64 = 2;

    enum ProtoValue<'a> {
        Number(u64),
        Bytes(&'a [u8]),
    }

    pub fn put_number(message: &mut Vec<u8>, field: u64, value: u64) {
        put_varint(message, field << 3 | NUMBER);
        put_varint(message, value);
    }

    pub fn put_bytes(message: &mut Vec<u8>, field: u64, value: &[u8]) {
        put_varint(message, field << 3 | BYTES);
        put_varint(message, value.len() as u64);
        message.extend_from_slice(value);
    }

    /// A numeric field; `None` if the message lacks it or is malformed before it.
    pub fn number(message: &[u8], field: u64) -> Option<u64> {
        match find(message, field)? {
            ProtoValue::Number(value) => Some(value),
            ProtoValue::Bytes(_) => None,
        }
    }

    /// The same for a field of bytes, text or a message.
    pub fn bytes(message: &[u8], field: u64) -> Option<&[u8]> {
        match find(message, field)? {
            ProtoValue::Bytes(value) => Some(value),
            ProtoValue::Number(_) => None,
        }
    }

    fn find(mut message: &[u8], field: u64) -> Option<ProtoValue<'_>> {
        while !message.is_empty() {
            let key = take_varint(&mut message)?;
            let value = match key & 7 {
                NUMBER => ProtoValue::Number(take_varint(&mut message)?),
                BYTES => {
                    let length = usize::try_from(take_varint(&mut message)?).ok()?;
                    let (value, rest) = message.split_at_checked(length)?;
                    message = rest;
                    ProtoValue::Bytes(value)
                }
                // Numbers of a fixed width, which none of these messages have.
                1 => {
                    message = message.get(8..)?;
                    continue;
                }
                5 => {
                    message = message.get(4..)?;
                    continue;
                }
                _ => return None,
            };
            if key >> 3 == field {
                return Some(value);
            }
        }
        None
    }

    fn put_varint(message: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            message.push(value as u8 | 0x80);
            value >>= 7;
        }
        message.push(value as u8);
    }

    fn take_varint(message: &mut &[u8]) -> Option<u64> {
        let mut value = 0;
        for at in 0..10 {
            let (byte, rest) = message.split_first()?;
            *message = rest;
            value |= u64::from(byte & 0x7f).checked_shl(7 * at)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_written_is_read() {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, b"sha256:ab");
            put_number(&mut message, 2, 300);
            put_number(&mut message, 3, u64::MAX);
            assert_eq!(message[..11], *b"\x0a\x09sha256:ab");
            assert_eq!(message[11..14], [0x10, 0xac, 0x02]);
            assert_eq!(bytes(&message, 1), Some(&b"sha256:ab"[..]));
            assert_eq!((number(&message, 2), number(&message, 3)), (Some(300), Some(u64::MAX)));
            assert_eq!((number(&message, 1), bytes(&message, 2), number(&message, 4)), (None, None, None));
        }

        #[test]
        fn malformed_messages_have_no_fields() {
            for message in [
                &b"\x0a"[..],
                b"\x0a\x05ab",
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                b"\x0b",
                b"\x09abc",
            ] {
                assert!(bytes(message, 1).is_none() && number(message, 1).is_none(), "{message:?}");
            }
            // Fields of other kinds are skipped.
            assert_eq!(number(b"\x21abcdefgh\x2dabcd\x08\x07", 1), Some(7));
        }
    }
}
