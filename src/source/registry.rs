//! Images in a registry (OCI distribution specification). Known layers are not fetched: the manifest and config are
//! enough then.

use std::io::{self, Read};
use std::sync::Mutex;

use tokio::runtime::Handle;

use super::blob::{LayerRequest, WalkResult, digest_of_name, index_of};
use super::{SourceError, excerpt};
use crate::image::Digest;
use crate::layer::{Budget, walk_stream};
use crate::registry::transport::{ATTEMPTS, PAUSE};
use crate::registry::{ArtifactError, Artifacts, Body, NameError, RemoteName, text_of};

/// An image in a registry, by its resolved manifest or index.
pub struct Remote {
    artifacts: Artifacts,
    /// The image, for people.
    name: String,
    /// Drives the network while threads wait for it.
    runtime: Handle,
    root: (Digest, Vec<u8>),
    /// Fetched documents, by digest: they are requested more than once.
    documents: Mutex<Vec<(Digest, Vec<u8>)>>,
}

impl Remote {
    /// Finds an image: resolves its tag once, so that all later requests are for the same image.
    ///
    /// # Errors
    /// [`SourceError`] if the registry cannot be reached, refuses, or has no such image.
    pub async fn open(text: &str, plain_http: bool) -> Result<Remote, SourceError> {
        let malformed =
            |error: NameError| malformed(&format!("docker://{}", excerpt(text)), "name", &error.to_string());
        let reference = RemoteName::parse(text).map_err(malformed)?;
        let name = format!("docker://{reference}");
        let failed = |error| failed(&name, error);
        let artifacts = Artifacts::open(&reference, plain_http, false).await.map_err(failed)?;
        let wanted = reference.digest().or(reference.tag()).unwrap_or("latest");
        let root = artifacts.manifest(wanted).await.map_err(failed)?;
        let root = root.ok_or_else(|| match artifacts.no_registry() {
            Some(error) => failed(error),
            None => SourceError::NoSuchRemoteImage(name.clone()),
        })?;
        let (runtime, documents) = (Handle::current(), Mutex::default());
        Ok(Remote { artifacts, name, runtime, root: (root.digest, root.content), documents })
    }

    /// The content that `index.json` of a layout would have, made from the root. A registry has no other named
    /// document.
    pub fn document(&self, name: &str) -> Option<Vec<u8>> {
        (name == "index.json").then(|| index_of(&self.root))
    }

    /// A blob by its digest, of at most `most` bytes.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn blob(&self, digest: &Digest, most: u64) -> Result<Option<Vec<u8>>, SourceError> {
        self.kept(digest, self.artifacts.blob(digest, most))
    }

    /// A manifest or an index, by its digest.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, SourceError> {
        if *digest == self.root.0 {
            return Ok(Some(self.root.1.clone()));
        }
        let manifest = self.artifacts.manifest(digest.as_str());
        self.kept(digest, async { Ok(manifest.await?.map(|document| document.content)) })
    }

    /// Fetches a layer and unpacks it as it arrives. The caller checks the result.
    ///
    /// # Errors
    /// Same as [`super::parts::ImageParts::walk_layer`].
    pub fn walk_layer(
        &self,
        wanted: &LayerRequest<'_>,
        budget: &Budget,
    ) -> Result<Option<WalkResult>, SourceError> {
        let Some(digest) = digest_of_name(wanted.name) else { return Ok(None) };
        // A missing blob is told apart from everything that can fail later.
        let opened = self.runtime.block_on(self.artifacts.open_blob(&digest, 0));
        let Some(body) = opened.map_err(|error| failed(&self.name, error))? else { return Ok(None) };
        let blob = BlobReader {
            remote: self,
            digest,
            body: Some(body),
            chunk: bytes::Bytes::new(),
            at: 0,
            most: wanted.claimed.unwrap_or(u64::MAX),
            ended: false,
            failures: 0,
        };
        Ok(Some(walk_stream(blob, budget, wanted.hashing).map_err(|error| error.to_string())))
    }

    fn kept(
        &self,
        digest: &Digest,
        fetch: impl Future<Output = Result<Option<Vec<u8>>, ArtifactError>>,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let kept = |documents: &Vec<(Digest, Vec<u8>)>| {
            documents.iter().find(|(kept, _)| kept == digest).map(|(_, content)| content.clone())
        };
        if let Some(content) = self.documents.lock().ok().as_deref().and_then(kept) {
            return Ok(Some(content));
        }
        let fetched = self.runtime.block_on(fetch).map_err(|error| failed(&self.name, error))?;
        if let (Some(content), Ok(mut documents)) = (&fetched, self.documents.lock()) {
            documents.push((digest.clone(), content.clone()));
        }
        Ok(fetched)
    }
}

/// A blob in transfer. If the connection breaks, the rest is requested.
struct BlobReader<'a> {
    remote: &'a Remote,
    digest: Digest,
    body: Option<Body>,
    chunk: bytes::Bytes,
    /// Bytes received, the maximum, and whether the blob is complete.
    at: u64,
    most: u64,
    ended: bool,
    failures: u32,
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.next_chunk() {
                Ok(Some(chunk)) => {
                    self.at += chunk.len() as u64;
                    if self.at > self.most {
                        let more = format!(
                            "the registry sends more than the {} bytes that its manifest states",
                            self.most
                        );
                        return Err(io::Error::other(more));
                    }
                    self.chunk = chunk;
                }
                Ok(None) => self.ended = true,
                Err(error) if self.failures + 1 >= ATTEMPTS => return Err(error),
                Err(_) => {
                    self.failures += 1;
                    self.body = None;
                    std::thread::sleep(PAUSE * 2u32.pow(self.failures - 1));
                }
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

impl BlobReader<'_> {
    fn next_chunk(&mut self) -> io::Result<Option<bytes::Bytes>> {
        let runtime = &self.remote.runtime;
        if self.body.is_none() {
            let opened = runtime.block_on(self.remote.artifacts.open_blob(&self.digest, self.at));
            let gone = || io::Error::other("the rest of it is no longer there");
            self.body = Some(opened.map_err(io::Error::other)?.ok_or_else(gone)?);
        }
        let Some(body) = &mut self.body else { return Ok(None) };
        runtime.block_on(body.chunk()).map_err(|error| io::Error::other(text_of(&error)))
    }
}

fn failed(image: &str, error: ArtifactError) -> SourceError {
    match error.status() {
        Some(404) => SourceError::NoSuchRemoteImage(image.to_owned()),
        _ => SourceError::Registry { image: image.to_owned(), error },
    }
}

fn malformed(image: &str, name: &str, error: &str) -> SourceError {
    SourceError::Malformed { image: image.to_owned(), name: name.into(), error: excerpt(error) }
}
