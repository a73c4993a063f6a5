//! What a repository of a registry keeps beside images: any manifests, by tag, by digest and by what they are
//! about (OCI distribution specification 1.1). Documents are bounded and checked, whatever is sent.

use http::{HeaderMap, StatusCode, header};
use oci_client::client::ClientProtocol;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use serde::Deserialize;
use tokio::sync::RwLock;

use super::credentials::{self, Credentials};
use super::excerpt;
use super::registry::{
    ATTEMPTS, CONNECT_TIMEOUT, Failure, MANIFEST_TYPES, PAUSE, READ_TIMEOUT, USER_AGENT, connect, hint,
    in_its_protocol, is_transport, retried, status, text_of, whole_blob,
};
use crate::image::Digest;

/// The largest manifest or index; the specification asks registries for 4 MiB.
const MAX_MANIFEST: usize = 4 << 20;
/// The largest page of a list.
const MAX_PAGE: usize = 16 << 20;
/// How many tags are asked for at a time; registries may send fewer.
const PAGE: usize = 1000;

/// What a registry could not do.
#[derive(Debug, thiserror::Error)]
#[error("the registry could not {operation}: {error}; {hint}")]
pub struct ArtifactError {
    /// What was asked of it.
    pub operation: &'static str,
    /// The status of its answer, where there is one.
    pub status: Option<u16>,
    /// Its answer, or why there is none.
    pub error: String,
    /// What to do.
    pub hint: String,
}

/// A manifest or an index.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its digest, computed.
    pub digest: Digest,
    /// What it is, by the registry's answer.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// A repository that can be read, or written too.
pub struct Artifacts {
    client: Client,
    http: reqwest::Client,
    reference: Reference,
    credentials: Credentials,
    operation: RegistryOperation,
    base: String,
    token: RwLock<Option<String>>,
}

/// An answer, with as much of its body as was asked for.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Errors as registries send them.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// A page of a list of tags.
#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Artifacts {
    /// Opens a repository: finds out what its registry speaks, and shows it who asks.
    ///
    /// # Errors
    /// [`ArtifactError`] where the registry cannot be reached or refuses.
    pub async fn open(
        reference: &Reference,
        plain_http: bool,
        writes: bool,
    ) -> Result<Artifacts, ArtifactError> {
        let host = reference.resolve_registry();
        let credentials = credentials::of(host);
        in_its_protocol(host, plain_http, async |protocol| {
            Self::open_as(reference, &credentials, protocol, writes).await
        })
        .await
    }

    async fn open_as(
        reference: &Reference,
        credentials: &Credentials,
        protocol: ClientProtocol,
        writes: bool,
    ) -> Result<Artifacts, Failure<ArtifactError>> {
        let plain = matches!(protocol, ClientProtocol::Http);
        let scheme = if plain { "http" } else { "https" };
        let operation = if writes { RegistryOperation::Push } else { RegistryOperation::Pull };
        let asked = "answer";
        let host = reference.resolve_registry();
        let failed = |error: &OciDistributionError| Failure {
            transport: is_transport(error),
            error: ArtifactError {
                operation: asked,
                status: status(error),
                error: excerpt(&text_of(error)),
                hint: hint(host, credentials, status(error), may(writes)),
            },
        };
        let (client, token) =
            connect(reference, credentials, protocol, operation).await.map_err(|error| failed(&error))?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(|error| failed(&error.into()))?;
        let artifacts = Artifacts {
            client,
            http,
            reference: reference.clone(),
            credentials: credentials.clone(),
            operation,
            base: format!("{scheme}://{host}/v2/"),
            token: RwLock::new(token),
        };
        // A server that speaks TLS answers plain HTTP with 400, which only looks like an answer.
        if plain {
            let transport = |error| Failure { transport: true, error };
            let answer =
                artifacts.send(asked, |http| http.get(&artifacts.base), MAX_PAGE).await.map_err(transport)?;
            if answer.status == StatusCode::BAD_REQUEST {
                return Err(transport(artifacts.refused(asked, &answer)));
            }
        }
        Ok(artifacts)
    }

    /// A manifest or an index, by its tag or its digest; `None` where there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn manifest(&self, name: &str) -> Result<Option<Document>, ArtifactError> {
        let operation = "send a manifest";
        let url = self.url("manifests", name);
        let accept = MANIFEST_TYPES.join(", ");
        let request = |http: &reqwest::Client| http.get(&url).header(header::ACCEPT, &accept);
        let answer = self.send(operation, request, MAX_MANIFEST).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.refused(operation, &answer)),
        }
        let media_type = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type =
            media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let digest = Digest::of(&answer.body);
        if name.starts_with("sha256:") && name != digest.as_str() {
            return Err(self.error(operation, None, format!("{name} is not what it sent, but {digest}")));
        }
        Ok(Some(Document { digest, media_type, content: answer.body }))
    }

    /// Puts a manifest or an index there, by a tag or its digest. Whether the registry lists it with what it is
    /// about by itself.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn put_manifest(
        &self,
        name: &str,
        media_type: &str,
        content: Vec<u8>,
    ) -> Result<bool, ArtifactError> {
        let operation = "take a manifest";
        let (url, content) = (self.url("manifests", name), bytes::Bytes::from(content));
        let request = |http: &reqwest::Client| {
            http.put(&url).header(header::CONTENT_TYPE, media_type).body(content.clone())
        };
        let (mut pause, mut attempt) = (PAUSE, 1);
        loop {
            let answer = self.send(operation, request, MAX_MANIFEST).await?;
            if answer.status.is_success() {
                return Ok(answer.headers.contains_key("oci-subject"));
            }
            let refused = self.refused(operation, &answer);
            // Digests are computed here, so it is the registry that has met a file half written for another.
            if attempt >= ATTEMPTS || !refused.error.contains("DIGEST_INVALID") {
                return Err(refused);
            }
            tokio::time::sleep(pause).await;
            (pause, attempt) = (pause * 2, attempt + 1);
        }
    }

    /// Deletes a manifest or an index, with all tags that it has.
    ///
    /// # Errors
    /// [`ArtifactError`], also where the registry lets nobody delete anything.
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let operation = "delete a manifest";
        let url = self.url("manifests", digest.as_str());
        let answer = self.send(operation, |http| http.delete(&url), MAX_PAGE).await?;
        match answer.status {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            _ => Err(self.refused(operation, &answer)),
        }
    }

    /// The tags of the repository, at most so many; none where it is not there.
    ///
    /// # Errors
    /// [`ArtifactError`], also where there are more.
    pub async fn tags(&self, most: usize) -> Result<Vec<String>, ArtifactError> {
        let operation = "list the tags";
        let mut url = Some(format!("{}?n={PAGE}", self.url("tags", "list")));
        let mut tags: Vec<String> = Vec::new();
        while let Some(page) = url.take() {
            let answer = self.send(operation, |http| http.get(&page), MAX_PAGE).await?;
            match answer.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(Vec::new()),
                _ => return Err(self.refused(operation, &answer)),
            }
            let listed: Tags = serde_json::from_slice(&answer.body)
                .map_err(|error| self.error(operation, None, format!("its list is malformed: {error}")))?;
            let listed = listed.tags.unwrap_or_default();
            // A page without anything new would be followed by itself for ever.
            if !listed.is_empty() {
                url = self.next_page(&answer.headers, &page);
            }
            tags.extend(listed);
            if tags.len() > most {
                return Err(self.error(operation, None, format!("it has over {most} of them")));
            }
        }
        Ok(tags)
    }

    /// The manifests that are about another one, as an index; `None` where the registry does not list them.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn referrers(
        &self,
        digest: &Digest,
        artifact_type: &str,
    ) -> Result<Option<Vec<u8>>, ArtifactError> {
        let url = self.url("referrers", digest.as_str());
        let request = |http: &reqwest::Client| http.get(&url).query(&[("artifactType", artifact_type)]);
        let answer = self.send("list what refers to a manifest", request, MAX_MANIFEST).await?;
        let is_index = answer.status == StatusCode::OK && answer.body.trim_ascii_start().starts_with(b"{");
        Ok(is_index.then_some(answer.body))
    }

    /// A blob of at most so many bytes, whose digest was checked; `None` where there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn blob(&self, digest: &Digest, most: u64) -> Result<Option<Vec<u8>>, ArtifactError> {
        let operation = "send a blob";
        match retried(|| whole_blob(&self.client, &self.reference, digest, most)).await {
            Ok(content) if content.len() as u64 > most => {
                Err(self.error(operation, None, format!("{digest} has over {most} bytes")))
            }
            Ok(content) if digest.algorithm() == "sha256" && Digest::of(&content) != *digest => {
                Err(self.error(operation, None, format!("{digest} is not what it sent")))
            }
            Ok(content) => Ok(Some(content)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.failed(operation, &error)),
        }
    }

    /// Puts a blob there, unless it is there already.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn put_blob(&self, content: Vec<u8>) -> Result<Digest, ArtifactError> {
        let (digest, content) = (Digest::of(&content), bytes::Bytes::from(content));
        let known = retried(|| self.client.blob_exists(&self.reference, digest.as_str())).await;
        // Where it may not be asked it can still be sent.
        if !known.unwrap_or(false) {
            retried(|| self.client.push_blob(&self.reference, content.clone(), digest.as_str()))
                .await
                .map_err(|error| self.failed("take a blob", &error))?;
        }
        Ok(digest)
    }

    fn url(&self, kind: &str, name: &str) -> String {
        format!("{}{}/{kind}/{name}", self.base, self.reference.repository())
    }

    /// Where a list goes on, if that is at the same registry.
    fn next_page(&self, headers: &HeaderMap, page: &str) -> Option<String> {
        let link = headers.get(header::LINK)?.to_str().ok()?;
        let next = link.split(',').find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
        let target = next.split_once('<')?.1.split_once('>')?.0;
        let next = reqwest::Url::parse(page).ok()?.join(target).ok()?;
        // Credentials are sent along, so it has to be the place that they are for.
        (next.as_str().starts_with(&self.base) && next.as_str() != page).then(|| next.into())
    }

    /// Sends a request, again where it failed on the way or the registry had no time, and with a new token
    /// where the old one is over.
    async fn send(
        &self,
        operation: &'static str,
        request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
        most: usize,
    ) -> Result<Answer, ArtifactError> {
        let (mut pause, mut renewed, mut attempt) = (PAUSE, false, 1);
        loop {
            match self.send_once(&request, most).await {
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED && !renewed => {
                    renewed = true;
                    self.renew(operation).await?;
                    continue;
                }
                Ok(answer) if is_busy(answer.status) && attempt < ATTEMPTS => {}
                Ok(answer) if answer.body.len() > most => {
                    return Err(self.error(operation, None, format!("its answer has over {most} bytes")));
                }
                Ok(answer) => return Ok(answer),
                // A server that is not there will not be there in a second either.
                Err(error) if attempt >= ATTEMPTS || error.is_connect() || error.is_builder() => {
                    return Err(self.failed(operation, &error.into()));
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            (pause, attempt) = (pause * 2, attempt + 1);
        }
    }

    async fn send_once(
        &self,
        request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
        most: usize,
    ) -> reqwest::Result<Answer> {
        let request = request(&self.http);
        let request = match (self.token.read().await.as_ref(), &self.credentials.auth) {
            (Some(token), _) => request.bearer_auth(token),
            (None, RegistryAuth::Basic(user, password)) => request.basic_auth(user, Some(password)),
            (None, _) => request,
        };
        let mut response = request.send().await?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                break;
            }
        }
        Ok(Answer { status, headers, body })
    }

    async fn renew(&self, operation: &'static str) -> Result<(), ArtifactError> {
        let token =
            retried(|| self.client.auth(&self.reference, &self.credentials.auth, self.operation)).await;
        *self.token.write().await = token.map_err(|error| self.failed(operation, &error))?;
        Ok(())
    }

    fn refused(&self, operation: &'static str, answer: &Answer) -> ArtifactError {
        let said = serde_json::from_slice::<Errors>(&answer.body).ok().and_then(|errors| {
            let error = errors.errors.into_iter().next()?;
            Some(format!("{}: {}", error.code, error.message.unwrap_or_default()))
        });
        let said =
            said.map_or_else(|| answer.status.to_string(), |said| format!("{}, {said}", answer.status));
        self.error(operation, Some(answer.status.as_u16()), said)
    }

    fn failed(&self, operation: &'static str, error: &OciDistributionError) -> ArtifactError {
        self.error(operation, status(error), text_of(error))
    }

    fn error(&self, operation: &'static str, status: Option<u16>, error: String) -> ArtifactError {
        let writes = matches!(self.operation, RegistryOperation::Push);
        let hint = hint(self.reference.resolve_registry(), &self.credentials, status, may(writes));
        ArtifactError { operation, status, error: excerpt(&error), hint }
    }
}

/// What one has to be allowed to do.
fn may(writes: bool) -> &'static str {
    if writes { "push to this repository" } else { "pull from this repository" }
}

fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}
