//! A repository of a registry: its manifests, by tag, by digest and by what they are about, its blobs and its tags
//! (OCI distribution specification 1.1). Answers are bounded and checked, whatever is sent.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use oci_spec::distribution::Reference;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::access::{self, Access, Challenge};
use super::credentials::{self, Credentials};
use super::excerpt;
use crate::image::Digest;
use crate::network;

/// How long a registry may take to accept a connection, and between two pieces of an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a whole answer may take that is no layer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is sent, and how often a download is taken up again where it broke off.
pub(super) const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// The longest that a registry may ask to wait before another attempt.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Who asks.
const USER_AGENT: &str = concat!("layergate/", env!("CARGO_PKG_VERSION"));

/// The largest manifest or index; the specification asks registries for 4 MiB.
const MAX_MANIFEST: usize = 4 << 20;
/// The largest page of a list.
const MAX_PAGE: usize = 16 << 20;
/// The largest answer that is only looked at where it is an error.
const MAX_ANSWER: usize = 1 << 20;
/// How many tags are asked for at a time; registries may send fewer.
const PAGE: usize = 1000;
/// The most pages of what refers to a manifest.
const MAX_PAGES: usize = 100;

/// Manifests and indexes, as the Open Container Initiative and Docker call them.
pub(super) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// What a registry could not do.
#[derive(Debug, thiserror::Error)]
#[error("the registry could not {operation}: {error}; {hint}")]
pub struct ArtifactError {
    /// What was asked of it.
    pub operation: &'static str,
    /// Where it went wrong.
    pub cause: Cause,
    /// Its answer, or why there is none.
    pub error: String,
    /// What to do.
    pub hint: String,
    /// How long the registry asks to wait before it is asked again.
    pub wait: Option<Duration>,
}

/// Where a request went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// On the way; it may be worth another try.
    Way {
        /// Whether there was a connection at all.
        connected: bool,
    },
    /// It took too long; it would the next time.
    Time,
    /// The registry answered with this status.
    Status(u16),
    /// The registry's answer is not what it has to be.
    Answer,
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
    http: reqwest::Client,
    reference: Reference,
    credentials: Credentials,
    writes: bool,
    base: Url,
    access: Mutex<Access>,
}

/// A blob on its way.
pub(super) struct Body {
    response: Response,
    /// Bytes that were not asked for and are sent first.
    skip: u64,
}

/// A good answer.
struct Answer {
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

impl ArtifactError {
    /// The status of the registry's answer, where that is what went wrong.
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Status(status) => Some(status),
            Cause::Way { .. } | Cause::Time | Cause::Answer => None,
        }
    }

    /// Whether it may be well the next time.
    fn is_passing(&self) -> bool {
        match self.cause {
            // A server that is not there will not be there in a second either.
            Cause::Way { connected } => connected,
            // Digests are computed here, so it is the registry that has met a file half written for another.
            Cause::Status(400) => self.error.contains("DIGEST_INVALID"),
            Cause::Status(status) => matches!(status, 429 | 500..=599),
            Cause::Time | Cause::Answer => false,
        }
    }
}

impl Artifacts {
    /// Opens a repository: finds out what its registry speaks, and shows it who asks. That is TLS, unless plain HTTP
    /// is asked for or cannot be overheard.
    ///
    /// # Errors
    /// [`ArtifactError`] where the registry cannot be reached or refuses.
    pub async fn open(
        reference: &Reference,
        plain_http: bool,
        writes: bool,
    ) -> Result<Artifacts, ArtifactError> {
        let loopback = is_loopback(reference.resolve_registry());
        if !plain_http && !loopback {
            return Self::open_as("https", reference, writes).await;
        }
        match Self::open_as("http", reference, writes).await {
            // Nobody but this machine can listen there, so whichever it speaks is as good. A server that speaks TLS
            // answers plain HTTP with 400, or not at all; if it is none, what it said first is what matters.
            Err(first)
                if !plain_http
                    && matches!(first.cause, Cause::Way { connected: true } | Cause::Status(400)) =>
            {
                let second = Self::open_as("https", reference, writes).await;
                second.map_err(|second| if first.status().is_some() { second } else { first })
            }
            other => other,
        }
    }

    async fn open_as(scheme: &str, reference: &Reference, writes: bool) -> Result<Artifacts, ArtifactError> {
        let operation = "answer";
        let host = reference.resolve_registry();
        let credentials = credentials::of(host);
        let unusable = |error: &dyn std::error::Error| ArtifactError {
            operation,
            cause: Cause::Answer,
            error: excerpt(&text_of(error)),
            hint: format!("check the host's name, {}", excerpt(host)),
            wait: None,
        };
        let client = network::client().map_err(|error| ArtifactError {
            hint: "of registries too, layergate believes what the environment names".into(),
            ..unusable(&error)
        })?;
        let mut client = client.user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT);
        if is_loopback(host) {
            // A proxy is elsewhere, where this name means another machine, and would overhear who asks.
            client = client.no_proxy();
        }
        let actions = if writes { ["pull", "push"].as_slice() } else { &["pull"] };
        let artifacts = Artifacts {
            http: client.read_timeout(READ_TIMEOUT).build().map_err(|error| unusable(&error))?,
            reference: reference.clone(),
            credentials,
            writes,
            base: Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| unusable(&error))?,
            access: Mutex::new(Access {
                header: None,
                actions: actions.iter().map(|&action| action.to_owned()).collect(),
            }),
        };
        retried(async || artifacts.greet(operation).await).await?;
        Ok(artifacts)
    }

    /// Finds out whether the registry speaks this protocol, and whom it wants to know.
    async fn greet(&self, operation: &'static str) -> Result<(), ArtifactError> {
        let response = self.http.get(self.base.clone()).send().await;
        let response = response.map_err(|error| self.on_the_way(operation, &error))?;
        match response.status() {
            StatusCode::UNAUTHORIZED => {
                let challenge = Challenge::of(response.headers(), self.reference.repository());
                self.renew(operation, None, challenge).await.map(drop)
            }
            StatusCode::BAD_REQUEST | StatusCode::TOO_MANY_REQUESTS => {
                self.read(operation, MAX_ANSWER, response).await.map(drop)
            }
            status if status.is_server_error() => self.read(operation, MAX_ANSWER, response).await.map(drop),
            _ => Ok(()),
        }
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
        let answer = self.send(operation, MAX_MANIFEST, request).await;
        let Some(answer) = present(answer)? else { return Ok(None) };
        let media_type = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type =
            media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let digest = Digest::of(&answer.body);
        if name.starts_with("sha256:") && name != digest.as_str() {
            let error = format!("what it sent has the digest {digest}, and not {name}");
            return Err(self.error(operation, Cause::Answer, &error));
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
        let (url, content) = (self.url("manifests", name), bytes::Bytes::from(content));
        let request = |http: &reqwest::Client| {
            http.put(&url).header(header::CONTENT_TYPE, media_type).body(content.clone())
        };
        let answer = self.send("take a manifest", MAX_ANSWER, request).await?;
        Ok(answer.headers.contains_key("oci-subject"))
    }

    /// Deletes a manifest or an index, with all tags that it has. One that is not there is deleted.
    ///
    /// # Errors
    /// [`ArtifactError`], also where the registry lets nobody delete anything.
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let url = self.url("manifests", digest.as_str());
        let deleted = self.send("delete a manifest", MAX_ANSWER, |http| http.delete(&url)).await;
        present(deleted).map(drop)
    }

    /// The tags of the repository that are wanted; none where it is not there.
    ///
    /// # Errors
    /// [`ArtifactError`], also where there are more than so many in all.
    pub async fn tags(
        &self,
        most: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, ArtifactError> {
        let operation = "list the tags";
        let malformed = |error: &str| self.error(operation, Cause::Answer, error);
        let list = self.url("tags", "list");
        let mut url = Some(format!("{list}?n={PAGE}"));
        let (mut tags, mut seen) = (Vec::new(), 0);
        while let Some(page) = url.take() {
            let mut answer = self.send(operation, MAX_PAGE, |http| http.get(&page)).await;
            if seen == 0 {
                let Some(first) = present(answer)? else { break };
                answer = Ok(first);
            }
            let answer = answer?;
            let listed: Tags = serde_json::from_slice(&answer.body)
                .map_err(|error| malformed(&format!("its list is malformed: {error}")))?;
            let listed = listed.tags.unwrap_or_default();
            seen += listed.len();
            if seen > most {
                let hint = "use a repository that is there for baselines alone".into();
                return Err(ArtifactError { hint, ..malformed(&format!("it has over {most} of them")) });
            }
            // A page without anything new would be followed by itself for ever.
            if !listed.is_empty() {
                url = self.page_after(operation, &answer.headers, &page, &list, "/tags/list")?;
            }
            tags.extend(listed.into_iter().filter(|tag| wanted(tag)));
        }
        Ok(tags)
    }

    /// The manifests that are about another one, as indexes, one a page; `None` where the registry does not list
    /// them.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn referrers(
        &self,
        digest: &Digest,
        artifact_type: &str,
    ) -> Result<Option<Vec<Vec<u8>>>, ArtifactError> {
        let (operation, list) = ("list what refers to a manifest", self.url("referrers", digest.as_str()));
        let mut url =
            Some(format!("{list}?artifactType={}", utf8_percent_encode(artifact_type, NON_ALPHANUMERIC)));
        let mut pages = Vec::new();
        while let Some(page) = url.take().filter(|_| pages.len() < MAX_PAGES) {
            let answer = match self.send(operation, MAX_MANIFEST, |http| http.get(&page)).await {
                // Those that know nothing of it say so in ways of their own.
                Err(error)
                    if pages.is_empty() && matches!(error.status(), Some(400..=428 | 430..=499 | 501)) =>
                {
                    return Ok(None);
                }
                answer => answer?,
            };
            if !answer.body.trim_ascii_start().starts_with(b"{") {
                return Ok(None);
            }
            url = self.page_after(operation, &answer.headers, &page, &list, digest.as_str())?;
            pages.push(answer.body);
        }
        Ok(Some(pages))
    }

    /// Where a list goes on after a page, if it does. Whatever host a proxy has not rewritten, the list is the one that
    /// was asked for; its path ends with `name`.
    fn page_after(
        &self,
        operation: &'static str,
        headers: &HeaderMap,
        page: &str,
        list: &str,
        name: &str,
    ) -> Result<Option<String>, ArtifactError> {
        let Some(next) = next_page(headers) else { return Ok(None) };
        let query = next_query(next, page, name);
        let unclear = || self.error(operation, Cause::Answer, "its list does not say how it goes on");
        query.map(|query| Some(format!("{list}?{query}"))).ok_or_else(unclear)
    }

    /// A blob of at most so many bytes, whose digest was checked; `None` where there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn blob(&self, digest: &Digest, most: u64) -> Result<Option<Vec<u8>>, ArtifactError> {
        let operation = "send a blob";
        let (url, most) = (self.url("blobs", digest.as_str()), usize::try_from(most).unwrap_or(usize::MAX));
        let Some(answer) = present(self.send(operation, most, |http| http.get(&url)).await)? else {
            return Ok(None);
        };
        // Other algorithms than sha256 are allowed and rare; their blobs are taken as they are.
        let found = Digest::of(&answer.body);
        if digest.algorithm() == "sha256" && found != *digest {
            let error = format!("what it sent has the digest {found}, and not {digest}");
            return Err(self.error(operation, Cause::Answer, &error));
        }
        Ok(Some(answer.body))
    }

    /// A blob from some byte on, to be read as it arrives and unchecked; `None` where there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub(super) async fn open_blob(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<Option<Body>, ArtifactError> {
        let operation = "send a layer";
        let url = self.url("blobs", digest.as_str());
        let request = |http: &reqwest::Client| match offset {
            0 => http.get(&url),
            offset => http.get(&url).header(header::RANGE, format!("bytes={offset}-")),
        };
        let response = retried(async || {
            let response = self.exchange(operation, &request).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            Err(self.refused(operation, response).await)
        });
        let Some(response) = present(response.await)? else { return Ok(None) };
        // A server that knows no ranges sends all again.
        let skip = if response.status() == StatusCode::PARTIAL_CONTENT { 0 } else { offset };
        Ok(Some(Body { response, skip }))
    }

    /// Puts a blob there, unless it is there already.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn put_blob(&self, content: Vec<u8>) -> Result<Digest, ArtifactError> {
        let (digest, content) = (Digest::of(&content), bytes::Bytes::from(content));
        let url = self.url("blobs", digest.as_str());
        // Where it may not be asked it can still be sent.
        if self.send("tell whether it has a blob", MAX_ANSWER, |http| http.head(&url)).await.is_err() {
            retried(async || self.upload(&digest, &content).await).await?;
        }
        Ok(digest)
    }

    /// Sends a blob, in one piece, to where the registry says.
    async fn upload(&self, digest: &Digest, content: &bytes::Bytes) -> Result<(), ArtifactError> {
        let operation = "take a blob";
        let url = self.url("blobs", "uploads/");
        let begin = |http: &reqwest::Client| http.post(&url).header(header::CONTENT_LENGTH, 0);
        let response = self.exchange(operation, &begin).await?;
        let base = response.url().clone();
        let answer = self.read(operation, MAX_ANSWER, response).await?;
        let place = answer.headers.get(header::LOCATION).and_then(|place| place.to_str().ok());
        let place = place.and_then(|place| base.join(place).ok());
        let mut place = place.ok_or_else(|| {
            self.error(operation, Cause::Answer, "it does not say where the blob is to be sent")
        })?;
        place.query_pairs_mut().append_pair("digest", digest.as_str());
        let send = |http: &reqwest::Client| {
            let request = http.put(place.clone()).header(header::CONTENT_TYPE, "application/octet-stream");
            request.body(content.clone())
        };
        let response = self.exchange(operation, &send).await?;
        self.read(operation, MAX_ANSWER, response).await.map(drop)
    }

    fn url(&self, kind: &str, name: &str) -> String {
        format!("{}{}/{kind}/{name}", self.base, self.reference.repository())
    }

    /// Sends a request, again where it failed on the way or the registry had no time.
    async fn send(
        &self,
        operation: &'static str,
        most: usize,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Answer, ArtifactError> {
        retried(async || {
            let response = self.exchange(operation, &request).await?;
            self.read(operation, most, response).await
        })
        .await
    }

    /// Sends a request, again with a new token where the old one is over or allows something else.
    async fn exchange(
        &self,
        operation: &'static str,
        request: &impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, ArtifactError> {
        let mut renewed = false;
        loop {
            let header = self.access.lock().await.header.clone();
            let request = request(&self.http).build();
            let mut request = request.map_err(|error| self.on_the_way(operation, &error))?;
            let deletes = request.method() == Method::DELETE;
            // Who asks is nobody's business elsewhere.
            if let Some(header) = header.clone().filter(|_| request.url().origin() == self.base.origin()) {
                request.headers_mut().insert(header::AUTHORIZATION, header);
            }
            let response = self.http.execute(request).await;
            let response = response.map_err(|error| self.on_the_way(operation, &error))?;
            let here = response.url().origin() == self.base.origin();
            if response.status() != StatusCode::UNAUTHORIZED || renewed || !here {
                return Ok(response);
            }
            let mut challenge = Challenge::of(response.headers(), self.reference.repository());
            if let Some(Challenge::Token { actions, .. }) = &mut challenge
                && deletes
            {
                actions.insert("delete".into());
            }
            renewed = self.renew(operation, header, challenge).await?;
            if !renewed {
                return Ok(response);
            }
        }
    }

    /// Gets what the registry wants to be shown in place of what it was shown. Whether there is anything else.
    async fn renew(
        &self,
        operation: &'static str,
        shown: Option<HeaderValue>,
        challenge: Option<Challenge>,
    ) -> Result<bool, ArtifactError> {
        let mut access = self.access.lock().await;
        if access.header != shown {
            // For another request it was got meanwhile.
            return Ok(true);
        }
        let login = self.credentials.login.as_ref().and_then(access::basic);
        let header = match challenge {
            None => return Ok(false),
            Some(Challenge::Basic) => login,
            Some(Challenge::Token { realm, service, actions }) => {
                let actions: Vec<String> = access.actions.union(&actions).cloned().collect();
                let scope = format!("repository:{}:{}", self.reference.repository(), actions.join(","));
                access.actions.extend(actions);
                Some(self.token(operation, &realm, service.as_deref(), &scope, login).await?)
            }
        };
        let is_other = header != access.header;
        access.header = header;
        Ok(is_other)
    }

    async fn token(
        &self,
        operation: &'static str,
        realm: &Url,
        service: Option<&str>,
        scope: &str,
        login: Option<HeaderValue>,
    ) -> Result<HeaderValue, ArtifactError> {
        let unfit = |error: &str| self.error(operation, Cause::Answer, error);
        if self.base.scheme() == "https" && realm.scheme() != "https" {
            return Err(unfit("it wants to be shown a token that is given out without TLS"));
        }
        let mut request = self.http.get(realm.clone()).query(&[("scope", scope)]);
        request = request.query(&service.map(|service| ("service", service)).as_slice());
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, login);
        }
        let response = request.send().await.map_err(|error| self.on_the_way(operation, &error))?;
        match self.read(operation, MAX_ANSWER, response).await {
            Ok(answer) => access::bearer(&answer.body).ok_or_else(|| unfit("it gives out no usable token")),
            // However it says so, it does not know who asks.
            Err(error) if matches!(error.status(), Some(400..=428 | 430..=499)) => {
                Err(self.error(operation, Cause::Status(401), &error.error))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads an answer whole, if it is a good one.
    async fn read(
        &self,
        operation: &'static str,
        most: usize,
        mut response: Response,
    ) -> Result<Answer, ArtifactError> {
        if !response.status().is_success() {
            return Err(self.refused(operation, response).await);
        }
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        let whole = async {
            while let Some(chunk) =
                response.chunk().await.map_err(|error| self.on_the_way(operation, &error))?
            {
                body.extend_from_slice(&chunk);
                if body.len() > most {
                    let error = format!("its answer has over {most} bytes");
                    return Err(self.error(operation, Cause::Answer, &error));
                }
            }
            Ok(())
        };
        // A server that sends a byte now and then would be listened to for ever.
        let late = |_| {
            let error = format!("its answer has not ended after {} s", ANSWER_TIMEOUT.as_secs());
            self.error(operation, Cause::Time, &error)
        };
        tokio::time::timeout(ANSWER_TIMEOUT, whole).await.map_err(late)??;
        Ok(Answer { headers, body })
    }

    /// What an answer that is not a good one says.
    async fn refused(&self, operation: &'static str, mut response: Response) -> ArtifactError {
        let (status, mut body) = (response.status(), Vec::new());
        let wait =
            response.headers().get(header::RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let said = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER {
                    break;
                }
            }
        };
        // What it says is only for people.
        let _ = tokio::time::timeout(READ_TIMEOUT, said).await;
        let said = serde_json::from_slice::<Errors>(&body).ok();
        let said = said.and_then(|errors| errors.errors.into_iter().next()).map_or_else(
            || status.to_string(),
            |error| format!("{status}, {}: {}", error.code, error.message.unwrap_or_default()),
        );
        let error = self.error(operation, Cause::Status(status.as_u16()), &said);
        let Some(wait) = wait else { return error };
        let hint = match Duration::from_secs(wait) > MAX_WAIT {
            true => format!("it asks to wait {wait} s; try again then"),
            false => error.hint,
        };
        ArtifactError { hint, wait: Some(Duration::from_secs(wait)), ..error }
    }

    fn on_the_way(&self, operation: &'static str, error: &reqwest::Error) -> ArtifactError {
        let connected = !error.is_connect() && !error.is_builder();
        match error.is_timeout() && connected {
            true => self.error(operation, Cause::Time, "it is silent for too long"),
            false => self.error(operation, Cause::Way { connected }, &text_of(error)),
        }
    }

    fn error(&self, operation: &'static str, cause: Cause, error: &str) -> ArtifactError {
        ArtifactError { operation, cause, error: excerpt(error), hint: self.hint(cause, error), wait: None }
    }

    /// What to do about it.
    fn hint(&self, cause: Cause, error: &str) -> String {
        let host = self.reference.resolve_registry();
        let purpose = if self.writes { "push to" } else { "pull from" };
        match cause {
            Cause::Time => format!("try again later, or ask whoever runs {host}"),
            Cause::Way { .. } if self.base.scheme() == "http" => "check the host's name and that it can be reached".into(),
            Cause::Way { .. } => "check the host's name and that it can be reached; a registry that speaks plain HTTP needs --plain-http".into(),
            Cause::Answer => format!("ask whoever runs {host}"),
            Cause::Status(401 | 403) => self.credentials.problem.clone().unwrap_or_else(|| format!(
                "log in with `docker login {host}` or `podman login {host}`, as a user that may {purpose} this repository"
            )),
            Cause::Status(404) => "check the repository's name; some registries want it to be made first".into(),
            Cause::Status(413) => format!("ask whoever runs {host}, or what is before it, to take as much"),
            Cause::Status(429) => "it limits how often it may be asked; log in, or try again later".into(),
            Cause::Status(500..) => "try again later, or ask whoever runs the registry".into(),
            Cause::Status(409 | 412) => IMMUTABLE.into(),
            Cause::Status(_) if error.contains("TAG_INVALID") || error.contains("immutable") => IMMUTABLE.into(),
            Cause::Status(_) => format!("ask whoever runs {host} whether it allows that"),
        }
    }
}

/// What to do where a registry lets nobody overwrite a tag.
const IMMUTABLE: &str = "use a repository whose tags may be overwritten";

impl Body {
    /// The next piece; `None` after the last.
    pub(super) async fn chunk(&mut self) -> reqwest::Result<Option<bytes::Bytes>> {
        while let Some(mut chunk) = self.response.chunk().await? {
            let skipped = chunk.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= skipped as u64;
            let left = chunk.split_off(skipped);
            if !left.is_empty() {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }
}

/// `None` where a registry has no such thing.
fn present<T>(answer: Result<T, ArtifactError>) -> Result<Option<T>, ArtifactError> {
    match answer {
        Err(error) if error.status() == Some(404) => Ok(None),
        other => other.map(Some),
    }
}

/// Tries again what may be well the next time.
async fn retried<T>(attempt: impl AsyncFn() -> Result<T, ArtifactError>) -> Result<T, ArtifactError> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.wait.is_some_and(|wait| wait > MAX_WAIT) => return Err(error),
            Err(error) if error.is_passing() => {
                tokio::time::sleep(pause.max(error.wait.unwrap_or_default())).await
            }
            other => return other,
        }
        pause *= 2;
    }
    attempt().await
}

/// Where a list goes on, in the registry's words.
fn next_page(headers: &HeaderMap) -> Option<&str> {
    let links = headers.get_all(header::LINK).iter().filter_map(|link| link.to_str().ok());
    let mut links = links.flat_map(|links| links.split(','));
    let next = links.find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    Some(next.split_once('<').map_or(next, |(_, rest)| rest).split('>').next().unwrap_or_default())
}

/// What another page of a list is asked for by; the path of a list ends with its name.
fn next_query(next: &str, page: &str, name: &str) -> Option<String> {
    let page = Url::parse(page).ok()?;
    let next = page.join(next).ok()?;
    let query = next.query().filter(|query| next.path().ends_with(name) && page.query() != Some(query));
    query.map(str::to_owned)
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

/// Whether only this machine can be meant.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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

    #[test]
    fn a_list_goes_on_wherever_its_link_leads() {
        let page = "https://registry.example/v2/app/tags/list?n=2";
        let next = |link: &str| next_query(link, page, "/tags/list");
        for link in [
            "/v2/app/tags/list?last=b&n=2",
            "http://registry.internal:5000/v2/app/tags/list?last=b&n=2",
            "list?last=b&n=2",
        ] {
            assert_eq!(next(link).as_deref(), Some("last=b&n=2"), "{link}");
        }
        for link in ["/v2/app/tags/list", "/v2/app/tags/list?n=2", "/other?last=b", "http://[", ""] {
            assert_eq!(next(link), None, "{link}");
        }
    }
}
