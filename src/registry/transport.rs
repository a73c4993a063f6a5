//! Requests to one registry: over TLS unless plain HTTP is requested or cannot be overheard, authenticated as it
//! requires, retried if that may help, and limited in the size and duration of an answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::auth::{self, Access, Challenge};
use super::credentials::{self, Credentials};
use super::error::{ArtifactError, RequestFailure, text_of};
use super::links::{self, AddressScope, LinkPolicy, Refused};
use super::name::RemoteName;
use crate::image::text::excerpt;
use crate::network;
use crate::redact;

/// How long a registry may take to accept a connection, and between two pieces of an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a complete answer may take, except for a layer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is sent, and how often an interrupted download is resumed.
pub const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
pub const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait before another attempt that a registry may ask for.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The client's name.
const USER_AGENT: &str = concat!("layergate/", env!("CARGO_PKG_VERSION"));
/// How much of an answer is read just to reuse its connection.
const MAX_DRAINED: usize = 16 << 10;
/// The largest answer to requests whose answer matters only if it is an error.
pub(super) const MAX_ANSWER: usize = 1 << 20;

/// The connection to a repository of a registry.
pub(super) struct Transport {
    http: reqwest::Client,
    reference: RemoteName,
    credentials: Credentials,
    writes: bool,
    base: Url,
    links: LinkPolicy,
    access: Mutex<Access>,
    /// Whether the host answered with a web page to the request that identifies a registry.
    is_site: AtomicBool,
}

/// Reads an unneeded answer to its end, so that its connection can be reused.
async fn drain(mut response: Response) {
    let mut left = MAX_DRAINED;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => break,
        }
    }
}

/// A successful answer.
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Errors in the format of registries.
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

impl Transport {
    /// Opens a repository: finds out what its registry speaks, and authenticates. Uses TLS, unless plain HTTP is
    /// requested or cannot be overheard.
    ///
    /// # Errors
    /// [`ArtifactError`] if the registry cannot be reached or refuses.
    pub async fn open(
        reference: &RemoteName,
        plain_http: bool,
        writes: bool,
    ) -> Result<Transport, ArtifactError> {
        let loopback = is_loopback(reference.host());
        if !plain_http && !loopback {
            return Self::open_as("https", reference, writes).await;
        }
        match Self::open_as("http", reference, writes).await {
            // Only this machine can listen there, so HTTP is as safe as TLS. A server that speaks TLS answers plain
            // HTTP with 400, or not at all; if it does not speak TLS, its first answer is the one that matters.
            Err(first)
                if !plain_http
                    && matches!(
                        first.cause,
                        RequestFailure::Way { connected: true } | RequestFailure::Status(400)
                    ) =>
            {
                let second = Self::open_as("https", reference, writes).await;
                // Any answer over TLS, even an error, shows that it speaks TLS.
                let speaks_tls = |second: &ArtifactError| !matches!(second.cause, RequestFailure::Way { .. });
                second.map_err(
                    |second| {
                        if first.status().is_some() || speaks_tls(&second) { second } else { first }
                    },
                )
            }
            other => other,
        }
    }

    async fn open_as(scheme: &str, reference: &RemoteName, writes: bool) -> Result<Transport, ArtifactError> {
        let operation = "answer";
        let host = reference.host();
        let credentials = credentials::of(host);
        let unusable = |error: &dyn std::error::Error| ArtifactError {
            operation,
            cause: RequestFailure::Answer,
            error: excerpt(&text_of(error)),
            hint: format!("check the host's name, {}", excerpt(host)),
            wait: None,
        };
        let base = Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| unusable(&error))?;
        let client = network::client(&base).map_err(|error| ArtifactError {
            hint: "layergate checks registries against these certificates too".into(),
            ..unusable(&error)
        })?;
        let links = LinkPolicy::of(&base);
        let mut client = client.user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT);
        client =
            client.redirect(links.policy()).dns_resolver(std::sync::Arc::new(links.clone())).referer(false);
        if is_loopback(host) {
            // A proxy runs elsewhere, where this name means another machine, and would see the credentials.
            client = client.no_proxy();
        }
        let actions = if writes { ["pull", "push"].as_slice() } else { &["pull"] };
        let transport = Transport {
            http: client.read_timeout(READ_TIMEOUT).build().map_err(|error| unusable(&error))?,
            reference: reference.clone(),
            credentials,
            writes,
            base,
            links,
            access: Mutex::new(Access {
                header: None,
                actions: actions.iter().map(|&action| action.to_owned()).collect(),
            }),
            is_site: AtomicBool::new(false),
        };
        retried(async || transport.greet(operation).await).await?;
        Ok(transport)
    }

    /// Checks that the registry speaks this protocol, and which authentication it requires.
    async fn greet(&self, operation: &'static str) -> Result<(), ArtifactError> {
        let response = self.http.get(self.base.clone()).send().await;
        let response = response.map_err(|error| self.on_the_way(operation, &error))?;
        match response.status() {
            // The login is not for a host that the registry has redirected to.
            StatusCode::UNAUTHORIZED if !self.is_here(&response) => Ok(()),
            StatusCode::UNAUTHORIZED => {
                let challenge = Challenge::of(response.headers(), self.reference.repository());
                drain(response).await;
                self.renew(operation, None, challenge).await.map(drop)
            }
            StatusCode::BAD_REQUEST | StatusCode::TOO_MANY_REQUESTS => {
                self.read(operation, MAX_ANSWER, response).await.map(drop)
            }
            status if status.is_server_error() => self.read(operation, MAX_ANSWER, response).await.map(drop),
            _ => {
                self.is_site.store(is_html(response.headers()), Ordering::Relaxed);
                drain(response).await;
                Ok(())
            }
        }
    }

    /// The URL of an object in the repository.
    pub fn url(&self, kind: &str, name: &str) -> String {
        format!("{}{}/{kind}/{name}", self.base, self.reference.repository())
    }

    /// Sends a request, and retries it if it failed in transit or the registry was busy.
    pub async fn send(
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

    /// Sends a request, and repeats it with a new token if the old one has expired or allows something else.
    pub async fn exchange(
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
            // Credentials are not sent to other hosts.
            if let Some(header) = header.clone().filter(|_| request.url().origin() == self.base.origin()) {
                request.headers_mut().insert(header::AUTHORIZATION, header);
            }
            let response = self.http.execute(request).await;
            let response = response.map_err(|error| self.on_the_way(operation, &error))?;
            if response.status() != StatusCode::UNAUTHORIZED || renewed || !self.is_here(&response) {
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

    /// Obtains new authentication in place of the rejected one. Returns whether it differs.
    async fn renew(
        &self,
        operation: &'static str,
        shown: Option<HeaderValue>,
        challenge: Option<Challenge>,
    ) -> Result<bool, ArtifactError> {
        let mut access = self.access.lock().await;
        if access.header != shown {
            // Another request has renewed it meanwhile.
            return Ok(true);
        }
        let login = self.credentials.login.as_ref().and_then(auth::basic);
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
        let unfit = |error: &str| self.error(operation, RequestFailure::Answer, error);
        self.follow(operation, &self.base, realm)?;
        let mut request = self.http.get(realm.clone()).query(&[("scope", scope)]);
        request = request.query(&service.map(|service| ("service", service)).as_slice());
        if let Some(login) = login {
            if !self.links.may_have_login(&self.base, realm) {
                let host = realm.host_str().unwrap_or_default();
                return Err(unfit(&format!(
                    "its token service is on another host, {host}, without TLS; your login is not sent there"
                )));
            }
            request = request.header(header::AUTHORIZATION, login);
        }
        let response = request.send().await.map_err(|error| self.on_the_way(operation, &error))?;
        match self.read(operation, MAX_ANSWER, response).await {
            Ok(answer) => auth::bearer(&answer.body).ok_or_else(|| unfit("it returned no usable token")),
            // Whatever the status, it means that the credentials were rejected.
            Err(error) if matches!(error.status(), Some(400..=428 | 430..=499)) => {
                Err(self.error(operation, RequestFailure::Status(401), &error.error))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a whole answer, if it is a successful one.
    pub async fn read(
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
                    return Err(self.error(operation, RequestFailure::Answer, &error));
                }
            }
            Ok(())
        };
        // Otherwise a server that sends a byte now and then could keep this waiting for ever.
        let late = |_| {
            let error = format!("its answer did not end within {} s", ANSWER_TIMEOUT.as_secs());
            self.error(operation, RequestFailure::Time, &error)
        };
        tokio::time::timeout(ANSWER_TIMEOUT, whole).await.map_err(late)??;
        if is_html(&headers) && body.trim_ascii_start().starts_with(b"<") {
            return Err(self.web_page(operation));
        }
        Ok(Answer { headers, body })
    }

    /// The reason why an image is missing, if it is that the host is not a registry.
    pub fn no_registry(&self) -> Option<ArtifactError> {
        self.is_site.load(Ordering::Relaxed).then(|| self.web_page("send a manifest"))
    }

    fn web_page(&self, operation: &'static str) -> ArtifactError {
        let hint = format!(
            "check that {} is a registry, and that no proxy or login page answers in its place",
            excerpt(self.reference.host())
        );
        ArtifactError { hint, ..self.error(operation, RequestFailure::Answer, "it answered with a web page") }
    }

    /// The error in an unsuccessful answer.
    pub async fn refused(&self, operation: &'static str, mut response: Response) -> ArtifactError {
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
        // The text is only for people.
        let _ = tokio::time::timeout(READ_TIMEOUT, said).await;
        let said = serde_json::from_slice::<Errors>(&body).ok();
        let said = said.and_then(|errors| errors.errors.into_iter().next()).map_or_else(
            || status.to_string(),
            |error| format!("{status}, {}: {}", error.code, error.message.unwrap_or_default()),
        );
        let error = self.error(operation, RequestFailure::Status(status.as_u16()), &said);
        let Some(wait) = wait else { return error };
        let hint = match Duration::from_secs(wait) > MAX_WAIT {
            true => format!("try again in {wait} s, as it asks"),
            false => error.hint,
        };
        ArtifactError { hint, wait: Some(Duration::from_secs(wait)), ..error }
    }

    /// Refuses links that a registry must not lead to.
    pub fn follow(&self, operation: &'static str, from: &Url, to: &Url) -> Result<(), ArtifactError> {
        let refused = |refused: Refused| self.error(operation, RequestFailure::Answer, &refused.to_string());
        self.links.check(from, to).map_err(refused)
    }

    /// Whether an answer comes from the registry itself, not from a host that it redirected to.
    fn is_here(&self, response: &Response) -> bool {
        response.url().origin() == self.base.origin()
    }

    fn on_the_way(&self, operation: &'static str, error: &reqwest::Error) -> ArtifactError {
        if let Some(refused) = Refused::of(error) {
            return self.error(operation, RequestFailure::Answer, &refused.to_string());
        }
        let connected = !error.is_connect() && !error.is_builder();
        match error.is_timeout() && connected {
            true => self.error(operation, RequestFailure::Time, "it sent no data for too long"),
            false => self.error(operation, RequestFailure::Way { connected }, &text_of(error)),
        }
    }

    pub fn error(&self, operation: &'static str, cause: RequestFailure, error: &str) -> ArtifactError {
        // A registry may repeat the credentials. They are removed before the text is cut, since a part of them could
        // not be recognized.
        let shown = excerpt(&redact::without_known(error));
        ArtifactError { operation, cause, error: shown, hint: self.hint(cause, error), wait: None }
    }

    /// What to do about an error.
    fn hint(&self, cause: RequestFailure, error: &str) -> String {
        let host = self.reference.host();
        let purpose = if self.writes { "push to" } else { "pull from" };
        match cause {
            RequestFailure::Time => format!("try again later, or ask the operator of {host}"),
            RequestFailure::Way { .. } if self.base.scheme() == "http" => "check the host's name and that it can be reached".into(),
            RequestFailure::Way { .. } => "check the host's name and that it can be reached; a registry that speaks plain HTTP needs --plain-http".into(),
            RequestFailure::Answer => format!("ask the operator of {host}"),
            RequestFailure::Status(401 | 403) => self.credentials.problem.clone().unwrap_or_else(|| format!(
                "log in with `docker login {host}` or `podman login {host}`, as a user that may {purpose} this repository"
            )),
            RequestFailure::Status(404) => "check the repository's name; some registries require you to create it first".into(),
            RequestFailure::Status(413) => format!("ask the operator of {host}, or of the proxy in front of it, to accept that much"),
            RequestFailure::Status(429) => "its rate limit is used up; log in, or try again later".into(),
            RequestFailure::Status(500..) => "try again later, or ask the registry's operator".into(),
            RequestFailure::Status(409 | 412) => IMMUTABLE.into(),
            RequestFailure::Status(_) if error.contains("TAG_INVALID") || error.contains("immutable") => IMMUTABLE.into(),
            RequestFailure::Status(_) => format!("ask the operator of {host} whether it allows that"),
        }
    }
}

/// What to do if a registry allows nobody to overwrite a tag.
const IMMUTABLE: &str = "use a repository whose tags can be overwritten";

/// Retries what may succeed the next time.
pub(super) async fn retried<T>(
    attempt: impl AsyncFn() -> Result<T, ArtifactError>,
) -> Result<T, ArtifactError> {
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

/// Whether an answer is declared to be a web page.
fn is_html(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| media_type.starts_with("text/html"))
}

/// Whether a host can only mean this machine.
fn is_loopback(host: &str) -> bool {
    let url = Url::parse(&format!("http://{host}")).ok();
    url.is_some_and(|url| links::stated_place(&url) == Some(AddressScope::Machine))
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
