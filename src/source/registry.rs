//! Images in a registry (OCI distribution specification). What is known of an image is not fetched:
//! its manifest and config are enough then.

use std::io::{self, Read};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::OciDescriptor;
use oci_client::{Client, Reference, RegistryOperation};
use serde::Deserialize;
use tokio::runtime::Handle;

use super::credentials::{self, Credentials};
use super::parts::Walked;
use super::{SourceError, check_digest, excerpt};
use crate::image::Digest;
use crate::layer::{Budget, walk_stream};

/// How long a registry may take to accept a connection, and between two pieces of an answer.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is sent, and how often a download is taken up again where it broke off.
pub(super) const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// Who asks.
pub(super) const USER_AGENT: &str = concat!("layergate/", env!("CARGO_PKG_VERSION"));

pub(super) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// An image of a registry, by its resolved manifest or index.
pub struct Remote {
    client: Client,
    reference: Reference,
    credentials: Credentials,
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
        let malformed = |error| registry_error(text, "be asked for the image", error, "write HOST/NAME:TAG");
        let reference = parse(text).map_err(malformed)?;
        let host = reference.resolve_registry().to_owned();
        let credentials = credentials::of(&host);
        in_its_protocol(&host, plain_http, async |protocol| {
            Self::resolve(&reference, &credentials, protocol).await
        })
        .await
    }

    async fn resolve(
        reference: &Reference,
        credentials: &Credentials,
        protocol: ClientProtocol,
    ) -> Result<Remote, Failure<SourceError>> {
        let failed = |error: OciDistributionError| Failure {
            transport: is_transport(&error),
            error: explain(reference, credentials, "send the image's manifest", &error),
        };
        let auth = &credentials.auth;
        let (client, _) =
            connect(reference, credentials, protocol, RegistryOperation::Pull).await.map_err(failed)?;
        let (content, digest) =
            retried(|| client.pull_manifest_raw(reference, auth, &MANIFEST_TYPES)).await.map_err(failed)?;
        let malformed = |error: String| Failure {
            transport: false,
            error: SourceError::Malformed {
                image: format!("docker://{reference}"),
                name: "manifest".into(),
                error: excerpt(&error),
            },
        };
        let digest = Digest::parse(&digest).map_err(|error| malformed(error.to_string()))?;
        Ok(Remote {
            client,
            reference: reference.clone(),
            credentials: credentials.clone(),
            runtime: Handle::current(),
            root: (digest, content.to_vec()),
            documents: Mutex::default(),
        })
    }

    /// A document by its name in a layout. What `index.json` would say is made from the root.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn document(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, SourceError> {
        match name {
            "index.json" => self.index().map(Some),
            name => match blob_digest(name) {
                Some(digest) => self.kept(&digest, || self.fetch_blob(&digest, most)),
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
        let reference = self.reference.clone_with_digest(digest.to_string());
        self.kept(digest, || {
            let fetched = self.runtime.block_on(retried(|| {
                self.client.pull_manifest_raw(&reference, &self.credentials.auth, &MANIFEST_TYPES)
            }));
            self.present(fetched.map(|(content, _)| content.to_vec()), "send a manifest")
        })
    }

    /// Fetches a layer, unpacks it as it arrives, and checks its digest.
    ///
    /// # Errors
    /// As of [`super::parts::Parts::walk_layer`].
    pub fn walk_layer(&self, name: &str, budget: &Budget) -> Result<Option<Walked>, SourceError> {
        let Some(digest) = blob_digest(name) else { return Ok(None) };
        let mut blob = BlobReader {
            remote: self,
            digest,
            body: None,
            chunk: bytes::Bytes::new(),
            at: 0,
            ended: false,
            failures: 0,
        };
        // That there is no such blob is told from all that can go wrong later.
        let opened = self.runtime.block_on(retried(|| self.open_blob(&blob.digest, 0)));
        let Some(body) = self.present(opened, "send a layer")? else { return Ok(None) };
        blob.body = Some(body);
        Ok(Some(walk_stream(blob, budget).map_err(|error| error.to_string())))
    }

    /// An index of the one thing that was asked for.
    fn index(&self) -> Result<Vec<u8>, SourceError> {
        let (digest, content) = &self.root;
        let malformed = |error: String| SourceError::Malformed {
            image: format!("docker://{}", self.reference),
            name: "manifest".into(),
            error: excerpt(&error),
        };
        let kind: Kind = serde_json::from_slice(content).map_err(|error| malformed(error.to_string()))?;
        if kind.schema_version == 1 {
            return Err(malformed(
                "it is in Docker's first format, which no engine writes any more; push the image again"
                    .into(),
            ));
        }
        let guessed = MANIFEST_TYPES[if kind.manifests.is_some() { 2 } else { 0 }].to_owned();
        let media_type = kind.media_type.unwrap_or(guessed);
        let descriptor =
            serde_json::json!({ "mediaType": media_type, "digest": digest, "size": content.len() });
        Ok(serde_json::json!({ "manifests": [descriptor] }).to_string().into_bytes())
    }

    fn fetch_blob(&self, digest: &Digest, most: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let fetched =
            self.runtime.block_on(retried(|| whole_blob(&self.client, &self.reference, digest, most)));
        let Some(content) = self.present(fetched, "send the config")? else { return Ok(None) };
        if content.len() as u64 > most {
            let (name, length) = (digest.to_string(), content.len() as u64);
            return Err(SourceError::DocumentTooLarge { name, length, most });
        }
        check_digest(&format!("docker://{}", self.reference), "a blob".into(), digest, &content)?;
        Ok(Some(content))
    }

    async fn open_blob(&self, digest: &Digest, offset: u64) -> Result<Body, OciDistributionError> {
        let descriptor = OciDescriptor { digest: digest.to_string(), ..OciDescriptor::default() };
        if offset == 0 {
            return Ok(self.client.pull_blob_stream(&self.reference, &descriptor).await?.stream);
        }
        match self.client.pull_blob_stream_partial(&self.reference, &descriptor, offset, None).await? {
            BlobResponse::Partial(partial) => Ok(partial.stream),
            // A server that knows no ranges sends all again.
            BlobResponse::Full(full) => Ok(skipped(full.stream, offset)),
        }
    }

    fn kept(
        &self,
        digest: &Digest,
        fetch: impl Fn() -> Result<Option<Vec<u8>>, SourceError>,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let kept = |documents: &Vec<(Digest, Vec<u8>)>| {
            documents.iter().find(|(kept, _)| kept == digest).map(|(_, content)| content.clone())
        };
        if let Some(content) = self.documents.lock().ok().as_deref().and_then(kept) {
            return Ok(Some(content));
        }
        let fetched = fetch()?;
        if let (Some(content), Ok(mut documents)) = (&fetched, self.documents.lock()) {
            documents.push((digest.clone(), content.clone()));
        }
        Ok(fetched)
    }

    fn present<T>(
        &self,
        fetched: Result<T, OciDistributionError>,
        operation: &'static str,
    ) -> Result<Option<T>, SourceError> {
        match fetched {
            Ok(fetched) => Ok(Some(fetched)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(explain(&self.reference, &self.credentials, operation, &error)),
        }
    }
}

type Body = BoxStream<'static, io::Result<bytes::Bytes>>;

/// A blob on its way. Where the connection breaks, the rest is asked for.
struct BlobReader<'a> {
    remote: &'a Remote,
    digest: Digest,
    body: Option<Body>,
    chunk: bytes::Bytes,
    /// Bytes received, and whether they are all: the library must not be asked again after that.
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
                Err(error) if self.failures + 1 >= ATTEMPTS || is_mismatch(&error) => return Err(error),
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
            let opened = runtime.block_on(self.remote.open_blob(&self.digest, self.at));
            self.body = Some(opened.map_err(io::Error::other)?);
        }
        let next = self.body.as_mut().map(|body| runtime.block_on(body.next()));
        next.flatten().transpose()
    }
}

/// A small blob; of one that has more than `most` bytes only a little more is read.
pub(super) async fn whole_blob(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
    most: u64,
) -> Result<Vec<u8>, OciDistributionError> {
    let descriptor = OciDescriptor { digest: digest.to_string(), ..OciDescriptor::default() };
    let mut body = client.pull_blob_stream(reference, &descriptor).await?.stream;
    let mut content = Vec::new();
    while let Some(chunk) = body.next().await {
        content.extend_from_slice(&chunk?);
        if content.len() as u64 > most {
            break;
        }
    }
    Ok(content)
}

/// Drops the first bytes of a body.
fn skipped(body: Body, offset: u64) -> Body {
    let mut left = offset;
    body.map(move |chunk| {
        chunk.map(|mut chunk| {
            let skip = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            left -= skip as u64;
            chunk.split_off(skip)
        })
    })
    .boxed()
}

/// The library checks a whole body itself; sending it again would not make it another.
fn is_mismatch(error: &io::Error) -> bool {
    error.to_string().contains("digest")
}

/// A client that has shown the registry who it is, and its token where it has one.
pub(super) async fn connect(
    reference: &Reference,
    credentials: &Credentials,
    protocol: ClientProtocol,
    operation: RegistryOperation,
) -> Result<(Client, Option<String>), OciDistributionError> {
    // The TLS library wants to be told which implementation to use; a second telling is refused.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ClientConfig {
        protocol,
        read_timeout: Some(READ_TIMEOUT),
        connect_timeout: Some(CONNECT_TIMEOUT),
        user_agent: USER_AGENT,
        // What is written is small, and every registry takes it in one piece.
        use_monolithic_push: true,
        ..ClientConfig::default()
    };
    let client = Client::try_from(config)?;
    let token = retried(|| client.auth(reference, &credentials.auth, operation)).await?;
    Ok((client, token))
}

/// Talks to a registry in the protocol that it speaks: TLS, unless plain HTTP is asked for or cannot be
/// overheard.
pub(super) async fn in_its_protocol<T, E>(
    host: &str,
    plain_http: bool,
    open: impl AsyncFn(ClientProtocol) -> Result<T, Failure<E>>,
) -> Result<T, E> {
    let loopback = is_loopback(host);
    let first = if plain_http || loopback { ClientProtocol::Http } else { ClientProtocol::Https };
    match open(first).await {
        // Nobody but this machine can listen there, so whichever it speaks is as good.
        Err(Failure { transport: true, .. }) if loopback && !plain_http => open(ClientProtocol::Https).await,
        other => other,
    }
    .map_err(|failure| failure.error)
}

/// Sends a request again that failed on the way, or that the registry had no time for.
pub(super) async fn retried<T, F: Future<Output = Result<T, OciDistributionError>>>(
    request: impl Fn() -> F,
) -> Result<T, OciDistributionError> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match request().await {
            Err(error) if is_passing(&error) => tokio::time::sleep(pause).await,
            other => return other,
        }
        pause *= 2;
    }
    request().await
}

fn is_passing(error: &OciDistributionError) -> bool {
    match error {
        // A server that is not there will not be there in a second either.
        OciDistributionError::RequestError(error) => !error.is_connect() && !error.is_builder(),
        error => matches!(status(error), Some(429 | 500..=599)),
    }
}

pub(super) fn is_transport(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(_) => true,
        error => status(error) == Some(400),
    }
}

pub(super) fn status(error: &OciDistributionError) -> Option<u16> {
    match error {
        OciDistributionError::ServerError { code, .. } => Some(*code),
        OciDistributionError::UnauthorizedError { .. } => Some(401),
        OciDistributionError::RequestError(error) => error.status().map(|status| status.as_u16()),
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().find_map(|error| match error.code {
                OciErrorCode::ManifestUnknown
                | OciErrorCode::NameUnknown
                | OciErrorCode::BlobUnknown
                | OciErrorCode::NotFound => Some(404),
                OciErrorCode::Unauthorized => Some(401),
                OciErrorCode::Denied => Some(403),
                OciErrorCode::Toomanyrequests => Some(429),
                _ => None,
            })
        }
        OciDistributionError::AuthenticationFailure(_) => Some(401),
        _ => None,
    }
}

/// That a registry could not be talked to.
pub(super) struct Failure<E> {
    /// Whether the registry was not understood, and not that it answered with an error.
    pub transport: bool,
    /// What went wrong.
    pub error: E,
}

fn explain(
    reference: &Reference,
    credentials: &Credentials,
    operation: &'static str,
    error: &OciDistributionError,
) -> SourceError {
    let host = reference.resolve_registry();
    let hint = match status(error) {
        Some(404) => return SourceError::NoSuchRemoteImage(format!("docker://{reference}")),
        status => hint(host, credentials, status, "pull the image"),
    };
    registry_error(&reference.to_string(), operation, text_of(error), &hint)
}

/// What to do about an answer of a registry.
pub(super) fn hint(host: &str, credentials: &Credentials, status: Option<u16>, purpose: &str) -> String {
    match (status, &credentials.problem) {
        (Some(401 | 403), Some(problem)) => problem.clone(),
        (Some(401 | 403), None) => {
            format!("log in with `docker login {host}` or `podman login {host}`, as a user that may {purpose}")
        }
        (Some(429), _) => "it limits how often it may be asked; log in, or try again later".into(),
        (Some(500..), _) => "try again later, or ask whoever runs the registry".into(),
        _ => "check the host's name and that it can be reached; a registry that speaks plain HTTP needs --plain-http".into(),
    }
}

/// The text of an error with its causes: of a failed request, the library's own names addresses only.
pub(super) fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

fn registry_error(image: &str, operation: &'static str, error: String, hint: &str) -> SourceError {
    let image = format!("docker://{}", excerpt(image));
    SourceError::Registry { image, operation, error: excerpt(&error), hint: hint.to_owned() }
}

/// Whether only this machine can be meant.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn blob_digest(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["localhost.example:5000", "10.0.0.1:5000", "example.org", "[fe80::1]:5000", "registry:5000"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
