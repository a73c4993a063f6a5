//! The GitHub API client: one request at a time, with the headers of its answer, and errors that say what to do. Only
//! reads are retried here; callers decide whether to retry a write, and writes are one second apart.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use octocrab::Octocrab;
use serde_json::Value;

use crate::image::json;
use crate::network;
use crate::redact;

/// The largest answer that is read: a file of 32 MiB in base64. A hundred comments of maximum size are smaller.
const MAX_ANSWER: usize = 48 << 20;
/// Maximum JSON values in an answer: a tree of 100,000 files, the largest that GitHub lists, has 800,000.
const MAX_VALUES: u64 = 1 << 20;
/// How often a read is tried, and the pause between tries.
const READ_TRIES: u32 = 3;
const READ_PAUSE: Duration = Duration::from_secs(1);
/// The pause between two requests that write (GitHub REST API, "Best practices": "Pause between mutative requests").
const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// The longest answer, and the most bytes of answers, that are cached for conditional requests.
const MAX_KEPT: usize = 1 << 20;
const MAX_ALL_KEPT: usize = 8 << 20;
/// The version of GitHub's API (GitHub REST API, "API versions").
const API_VERSION: &str = "2022-11-28";

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    /// The token lacks a permission.
    #[error(
        "GitHub refuses to {operation} (HTTP {status}): {message}. The token needs the permission `{permission}`; on pull requests from forks the token of a `pull_request` run can only read"
    )]
    Permission {
        /// What was tried.
        operation: String,
        /// The status code.
        status: u16,
        /// GitHub's own words.
        message: String,
        /// The permission that the workflow must grant.
        permission: &'static str,
    },
    /// Too many requests.
    #[error("cannot {operation} yet: GitHub's rate limit is used up; try again in {retry_after} s")]
    RateLimited {
        /// What was tried.
        operation: String,
        /// Seconds to wait.
        retry_after: u64,
    },
    /// The token is not accepted at all.
    #[error(
        "cannot {operation}: GitHub does not accept the token (HTTP 401); pass a valid one as `github-token`"
    )]
    Unauthorized {
        /// What was tried.
        operation: String,
    },
    /// Any other unsuccessful answer.
    #[error("GitHub could not {operation} (HTTP {status}): {message}")]
    Status {
        /// What was tried.
        operation: String,
        /// The status code.
        status: u16,
        /// GitHub's own words.
        message: String,
    },
    /// An answer that does not contain what was requested.
    #[error("cannot {operation}: {message}")]
    Unusable {
        /// What was tried.
        operation: String,
        /// What is wrong with the answer.
        message: String,
    },
    /// An answer over the size limit.
    #[error("cannot {operation}: GitHub's answer has over {MAX_ANSWER} bytes, or over {MAX_VALUES} values")]
    TooLong {
        /// What was tried.
        operation: String,
    },
    /// An answer with only a part of what was requested.
    #[error("cannot {operation}: that is more than GitHub looks up at once")]
    TooMuch {
        /// What was tried.
        operation: String,
    },
    /// An invalid address. It is not shown, because a secret may have been pasted there by mistake.
    #[error(
        "cannot {operation}: the API address must start with https:// or http:// and contain no login; check github-api-url"
    )]
    Address {
        /// What was tried.
        operation: String,
    },
    /// No answer, or one that cannot be read.
    #[error("cannot {operation}: no usable answer from {api}: {message}")]
    Network {
        /// What was tried.
        operation: String,
        /// The API's address.
        api: String,
        /// Why there is none.
        message: String,
    },
}

impl GithubError {
    /// Whether the same request may succeed in a moment, or may even have taken effect.
    pub fn is_passing(&self) -> bool {
        matches!(self, GithubError::Status { status: 500.., .. } | GithubError::Network { .. })
    }

    /// Whether a rule of the repository forbids it, so that no further try helps.
    pub fn is_by_rule(&self) -> bool {
        let GithubError::Status { message, .. } = self else { return false };
        let message = message.to_lowercase();
        ["rule violation", "protected", "pull request"].iter().any(|part| message.contains(part))
    }

    /// Whether the requested object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, GithubError::Status { status: 404 | 410, .. })
    }
}

/// When this process last wrote, through whichever client.
static LAST_WRITE: tokio::sync::Mutex<Option<Instant>> = tokio::sync::Mutex::const_new(None);

/// GitHub's REST API, with a token.
pub struct Client {
    octocrab: Octocrab,
    api: String,
    kept: Mutex<Kept>,
}

/// Answers with an ETag, by request. A 304 does not count against the rate limit (GitHub REST API, "Use conditional
/// requests"). Within one run this helps with requests that are repeated: the comments before a second try, and the
/// branch of baselines if another job was faster. Everything else is requested once, or never changes.
#[derive(Default)]
struct Kept {
    answers: HashMap<String, (HeaderValue, Value)>,
    /// Total of all that was ever cached: replacements are rare, and about as long as what they replace.
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, path: &str, name: HeaderValue, bytes: usize, answer: &Value) {
        if bytes <= MAX_KEPT && self.bytes + bytes <= MAX_ALL_KEPT {
            self.bytes += bytes;
            self.answers.insert(path.to_owned(), (name, answer.clone()));
        }
    }
}

/// A request, and how to describe it in messages.
pub struct ApiRequest<'a> {
    /// The HTTP method.
    pub method: Method,
    /// The path and query below the API's address.
    pub path: String,
    /// The JSON body.
    pub body: Option<Value>,
    /// What it does, in words that follow "cannot": `list the comments`.
    pub operation: &'a str,
    /// The permission that it needs.
    pub permission: &'static str,
}

impl Client {
    /// A client for the API at `api`. Proxies come from the environment.
    ///
    /// # Errors
    /// [`GithubError::Network`] if the address cannot be used.
    pub fn new(api: &str, token: &str) -> Result<Client, GithubError> {
        let operation = || "set up the connection to GitHub".to_owned();
        let Some(shown) = shown(api) else { return Err(GithubError::Address { operation: operation() }) };
        let failed =
            |message: String| GithubError::Network { operation: operation(), api: shown.clone(), message };
        let token = token.trim();
        redact::remember(token);
        if token.is_empty() || http::HeaderValue::from_str(token).is_err() {
            return Err(failed("the token contains invalid characters; check github-token".into()));
        }
        let base = reqwest::Url::parse(api).map_err(|error| failed(error.to_string()))?;
        let http = network::client(&base)
            .map_err(|error| failed(error.to_string()))?
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(30))
            .timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let builder = Octocrab::builder().base_uri(api).map_err(|error| failed(error.to_string()))?;
        let version = http::HeaderName::from_static("x-github-api-version");
        let octocrab = builder
            .personal_token(token.to_owned())
            .add_header(version, API_VERSION.to_owned())
            .build_with_reqwest(http)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Client { octocrab, api: shown, kept: Mutex::default() })
    }

    /// Sends a request; a read is retried if the failure may pass, and a write waits for its turn.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn send(&self, request: &ApiRequest<'_>) -> Result<Value, GithubError> {
        match request.method {
            Method::GET => self.ask(request).await,
            _ => self.write(request, WRITE_PAUSE).await,
        }
    }

    /// Sends a write that belongs to the one before: it follows without a pause.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn follow(&self, request: &ApiRequest<'_>) -> Result<Value, GithubError> {
        self.write(request, Duration::ZERO).await
    }

    /// Waits until a write may be sent. Anything that the write depends on is best read after this.
    pub async fn turn(&self) {
        let last = *LAST_WRITE.lock().await;
        if let Some(last) = last {
            tokio::time::sleep(WRITE_PAUSE.saturating_sub(last.elapsed())).await;
        }
    }

    async fn write(&self, request: &ApiRequest<'_>, pause: Duration) -> Result<Value, GithubError> {
        let mut last = LAST_WRITE.lock().await;
        if let Some(last) = *last {
            tokio::time::sleep(pause.saturating_sub(last.elapsed())).await;
        }
        let sent = self.send_once(request).await;
        *last = Some(Instant::now());
        sent
    }

    /// Sends a request that changes nothing, whatever its method; it is retried if the failure may pass.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn ask(&self, request: &ApiRequest<'_>) -> Result<Value, GithubError> {
        let mut tried = 1;
        loop {
            match self.send_once(request).await {
                Err(error) if error.is_passing() && tried < READ_TRIES => {
                    tokio::time::sleep(READ_PAUSE * tried).await;
                    tried += 1;
                }
                result => return result,
            }
        }
    }

    async fn send_once(&self, request: &ApiRequest<'_>) -> Result<Value, GithubError> {
        let network = |message: String| GithubError::Network {
            operation: request.operation.to_owned(),
            api: self.api.clone(),
            message,
        };
        let path = request.path.as_str();
        let kept = self.kept(request);
        let sent = match request.method {
            Method::POST => self.octocrab._post(path, request.body.as_ref()).await,
            Method::DELETE => self.octocrab._delete(path, request.body.as_ref()).await,
            Method::PATCH => self.octocrab._patch(path, request.body.as_ref()).await,
            _ => {
                let name = kept.iter().map(|(name, _)| (header::IF_NONE_MATCH, name.clone()));
                self.octocrab._get_with_headers(path, Some(name.collect())).await
            }
        };
        let (head, body) = sent.map_err(|error| network(innermost(&error)))?.into_parts();
        let body = received(body).await.map_err(|error| match error {
            Unreceived::TooLong => GithubError::TooLong { operation: request.operation.to_owned() },
            Unreceived::Broken(message) => network(message),
        })?;
        if let (StatusCode::NOT_MODIFIED, Some((_, answer))) = (head.status, kept) {
            return Ok(answer);
        }
        if !head.status.is_success() {
            return Err(refusal(request, head.status, &head.headers, &body));
        }
        if head.status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|error| network(format!("the answer is not JSON ({error})")))?;
        // The GraphQL API reports this with a 200 (GitHub GraphQL API, "Exceeding the rate limit").
        if answer.pointer("/errors/0/type").and_then(Value::as_str) == Some("RATE_LIMITED") {
            let (operation, retry_after) = (request.operation.to_owned(), seconds_to_wait(&head.headers));
            return Err(GithubError::RateLimited { operation, retry_after });
        }
        if let (&Method::GET, Some(name), Ok(mut kept)) =
            (&request.method, head.headers.get(header::ETAG), self.kept.lock())
        {
            kept.keep(path, name.clone(), body.len(), &answer);
        }
        Ok(answer)
    }

    /// The cached answer to the same request, and its ETag.
    fn kept(&self, request: &ApiRequest<'_>) -> Option<(HeaderValue, Value)> {
        let is_read = request.method == Method::GET;
        self.kept.lock().ok().filter(|_| is_read)?.answers.get(&request.path).cloned()
    }
}

/// Why an answer was not read to its end.
enum Unreceived {
    TooLong,
    Broken(String),
}

/// An answer's bytes. They are collected once, and JSON values are counted before parsing.
async fn received(mut body: BoxBody<Bytes, octocrab::Error>) -> Result<Vec<u8>, Unreceived> {
    let (mut bytes, mut values) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unreceived::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        values += json::values(&data);
        if values > MAX_VALUES || bytes.len() + data.len() > MAX_ANSWER {
            return Err(Unreceived::TooLong);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The meaning of an unsuccessful answer. A 403 is either a rate limit or a missing permission, and only the headers
/// and the message tell which (GitHub REST API, "Rate limits").
fn refusal(request: &ApiRequest<'_>, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> GithubError {
    let message = serde_json::from_slice::<Value>(body).ok();
    let message = message.as_ref().and_then(|value| value.get("message")).and_then(Value::as_str);
    let message: String =
        message.unwrap_or("no reason given").chars().filter(|c| !c.is_control()).take(300).collect();
    let operation = request.operation.to_owned();
    match status.as_u16() {
        401 => GithubError::Unauthorized { operation },
        403 | 429 if is_limited(status, headers, &message) => {
            GithubError::RateLimited { operation, retry_after: seconds_to_wait(headers) }
        }
        // Nobody can write to an archived repository.
        403 if message.contains("archived") => GithubError::Status { operation, status: 403, message },
        301 | 302 | 307 | 308 => {
            let message = format!("{message}; the repository was renamed, use its new name");
            GithubError::Status { operation, status: status.as_u16(), message }
        }
        403 => GithubError::Permission { operation, status: 403, message, permission: request.permission },
        status => GithubError::Status { operation, status, message },
    }
}

fn is_limited(status: StatusCode, headers: &HeaderMap, message: &str) -> bool {
    let message = message.to_lowercase();
    status == StatusCode::TOO_MANY_REQUESTS
        || number(headers, "x-ratelimit-remaining") == Some(0)
        || headers.contains_key("retry-after")
        || ["secondary rate limit", "rate limit exceeded", "abuse detection"]
            .iter()
            .any(|part| message.contains(part))
}

/// The wait that GitHub states; by default, at least a minute (GitHub REST API, "Exceeding the rate limit").
fn seconds_to_wait(headers: &HeaderMap) -> u64 {
    let until_reset = || {
        let reset = number(headers, "x-ratelimit-reset")?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(reset.saturating_sub(now.as_secs()))
    };
    let used_up = number(headers, "x-ratelimit-remaining") == Some(0);
    let said = number(headers, "retry-after");
    said.or_else(|| if used_up { until_reset() } else { None }).unwrap_or(60)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The address of an API for people; `None` if it is invalid.
fn shown(api: &str) -> Option<String> {
    let url = reqwest::Url::parse(api).ok()?;
    let usable = url.has_host()
        && matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && api.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some());
    usable.then(|| format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/')))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
