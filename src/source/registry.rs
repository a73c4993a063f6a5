//! Images in a registry (OCI distribution specification). What is known of an image is not fetched:
//! its manifest and config are enough then.

use std::io::{self, Read};
use std::str::FromStr;
use std::sync::Mutex;

use oci_spec::distribution::Reference;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::artifacts::{ATTEMPTS, ArtifactError, Artifacts, Body, MANIFEST_TYPES, PAUSE, text_of};
use super::parts::Walked;
use super::{SourceError, excerpt};
use crate::image::Digest;
use crate::layer::{Budget, walk_stream};

/// An image of a registry, by its resolved manifest or index.
pub struct Remote {
    artifacts: Artifacts,
    /// The image, for people.
    name: String,
    /// Drives the network while threads wait for it.
    runtime: Handle,
    root: (Digest, Vec<u8>),
    /// What was fetched, by digest: documents are asked for more than once.
    documents: Mutex<Vec<(Digest, Vec<u8>)>>,
}

/// What has to be known of a document to tell an index from a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// Reads `HOST/NAME[:TAG][@DIGEST]`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<Reference, String> {
    Reference::from_str(text).map_err(|error| error.to_string())
}

impl Remote {
    /// Finds an image: resolves its tag once, so that all that follows is of one image.
    ///
    /// # Errors
    /// [`SourceError`] where the registry cannot be reached, refuses, or has no such image.
    pub async fn open(text: &str, plain_http: bool) -> Result<Remote, SourceError> {
        let malformed = |error: String| malformed(&format!("docker://{}", excerpt(text)), "name", &error);
        let reference = parse(text).map_err(malformed)?;
        let name = format!("docker://{reference}");
        let failed = |error| failed(&name, error);
        let artifacts = Artifacts::open(&reference, plain_http, false).await.map_err(failed)?;
        let wanted = reference.digest().or(reference.tag()).unwrap_or("latest");
        let root = artifacts.manifest(wanted).await.map_err(failed)?;
        let root = root.ok_or_else(|| SourceError::NoSuchRemoteImage(name.clone()))?;
        let (runtime, documents) = (Handle::current(), Mutex::default());
        Ok(Remote { artifacts, name, runtime, root: (root.digest, root.content), documents })
    }

    /// A document by its name in a layout. What `index.json` would say is made from the root.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn document(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, SourceError> {
        match name {
            "index.json" => self.index().map(Some),
            name => match blob_digest(name) {
                Some(digest) => self.kept(&digest, self.artifacts.blob(&digest, most)),
                None => Ok(None),
            },
        }
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

    /// Fetches a layer, and unpacks it as it arrives. What it turned out to be is for others to judge.
    ///
    /// # Errors
    /// As of [`super::parts::Parts::walk_layer`].
    pub fn walk_layer(&self, name: &str, budget: &Budget) -> Result<Option<Walked>, SourceError> {
        let Some(digest) = blob_digest(name) else { return Ok(None) };
        // That there is no such blob is told from all that can go wrong later.
        let opened = self.runtime.block_on(self.artifacts.open_blob(&digest, 0));
        let Some(body) = opened.map_err(|error| failed(&self.name, error))? else { return Ok(None) };
        let chunk = bytes::Bytes::new();
        let blob =
            BlobReader { remote: self, digest, body: Some(body), chunk, at: 0, ended: false, failures: 0 };
        Ok(Some(walk_stream(blob, budget).map_err(|error| error.to_string())))
    }

    /// An index of the one thing that was asked for.
    fn index(&self) -> Result<Vec<u8>, SourceError> {
        let (digest, content) = &self.root;
        let malformed = |error: &str| malformed(&self.name, "manifest", error);
        let kind: Kind = serde_json::from_slice(content).map_err(|error| malformed(&error.to_string()))?;
        if kind.schema_version == 1 {
            return Err(malformed(
                "it is in Docker's first format, which no engine writes any more; push the image again",
            ));
        }
        let guessed = MANIFEST_TYPES[if kind.manifests.is_some() { 2 } else { 0 }].to_owned();
        let media_type = kind.media_type.unwrap_or(guessed);
        let descriptor =
            serde_json::json!({ "mediaType": media_type, "digest": digest, "size": content.len() });
        Ok(serde_json::json!({ "manifests": [descriptor] }).to_string().into_bytes())
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

/// A blob on its way. Where the connection breaks, the rest is asked for.
struct BlobReader<'a> {
    remote: &'a Remote,
    digest: Digest,
    body: Option<Body>,
    chunk: bytes::Bytes,
    /// Bytes received, and whether they are all.
    at: u64,
    ended: bool,
    failures: u32,
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.next_chunk() {
                Ok(Some(chunk)) => {
                    self.at += chunk.len() as u64;
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
            let gone = || io::Error::other("the rest of it is not there any more");
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

fn blob_digest(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}
