//! A stand-in for a registry that misbehaves on demand, which a real one does not. It serves an OCI layout (OCI
//! distribution specification, "Pulling manifests", "Pulling blobs").

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt as _;
use serde_json::json;

/// Whom the registry serves.
#[derive(Clone, Copy, PartialEq)]
pub enum Access {
    Anyone,
    /// Clients with user name and password in each request.
    Basic,
    /// Clients with a token obtained with user name and password (distribution's "token authentication").
    Token,
}

/// `user:secret-password` in base64.
const BASIC: &str = "Basic dXNlcjpzZWNyZXQtcGFzc3dvcmQ=";

pub struct Faults {
    pub access: Access,
    /// How many requests to paths that contain this are answered with an error first.
    pub busy: Option<(&'static str, usize)>,
    /// The connection breaks after this many bytes of a blob, each time.
    pub breaks_after: Option<usize>,
    /// Whether ranges of a blob can be requested.
    pub ranges: bool,
    /// Bytes to send instead of a blob, by the end of its digest.
    pub replaced: HashMap<String, Vec<u8>>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            access: Access::Anyone,
            busy: None,
            breaks_after: None,
            ranges: true,
            replaced: HashMap::new(),
        }
    }
}

struct Served {
    layout: PathBuf,
    faults: Mutex<Faults>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    address: String,
}

pub struct FakeRegistry {
    pub address: String,
    served: Arc<Served>,
    _runtime: tokio::runtime::Runtime,
}

impl FakeRegistry {
    pub fn start(layout: &Path, faults: Faults) -> FakeRegistry {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = Arc::new(Served {
            layout: layout.into(),
            faults: Mutex::new(faults),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            address: address.clone(),
        });
        let app = Router::new().fallback(answer).with_state(served.clone());
        let counted = served.clone();
        let listener = listener.tap_io(move |_| {
            counted.connections.fetch_add(1, Ordering::Relaxed);
        });
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        FakeRegistry { address, served, _runtime: runtime }
    }

    /// The image `team/app:1`, or by its digest.
    pub fn image(&self) -> String {
        format!("docker://{}/team/app:1", self.address)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.served.connections.load(Ordering::Relaxed)
    }

    /// The requests, as METHOD and path.
    pub fn requests(&self) -> Vec<String> {
        self.served.requests.lock().unwrap().clone()
    }
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    served.requests.lock().unwrap().push(format!("{} {path}", request.method()));
    let mut faults = served.faults.lock().unwrap();
    if let Some((part, times)) = &mut faults.busy
        && path.contains(*part)
        && *times > 0
    {
        *times -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, "busy").into_response();
    }
    if let Some(refusal) = refusal(&served, faults.access, &path, request.headers()) {
        return refusal;
    }
    match path.strip_prefix("/v2/team/app/").and_then(|rest| rest.split_once('/')) {
        _ if path == "/v2/" => "{}".into_response(),
        Some(("manifests", "1")) => manifest(&served.layout, &root_digest(&served.layout)),
        Some(("manifests", digest)) => manifest(&served.layout, digest),
        Some(("blobs", digest)) => blob(&served.layout, digest, request.headers(), &faults),
        _ => not_found("NAME_UNKNOWN"),
    }
}

fn refusal(served: &Served, access: Access, path: &str, headers: &HeaderMap) -> Option<Response> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"test\"", served.address);
    let denied = |challenge: String| {
        Some((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response())
    };
    match access {
        Access::Anyone => None,
        Access::Basic if sent == BASIC => None,
        Access::Basic => denied("Basic realm=\"test\"".into()),
        Access::Token if path == "/token" && sent == BASIC => {
            Some(json!({ "token": "pull-token", "expires_in": 300 }).to_string().into_response())
        }
        Access::Token if sent == "Bearer pull-token" => None,
        Access::Token => denied(challenge),
    }
}

fn root_digest(layout: &Path) -> String {
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

fn read(layout: &Path, digest: &str) -> Option<Vec<u8>> {
    fs::read(layout.join("blobs").join(digest.replace(':', "/"))).ok()
}

fn manifest(layout: &Path, digest: &str) -> Response {
    let Some(content) = read(layout, digest) else { return not_found("MANIFEST_UNKNOWN") };
    let document: serde_json::Value = serde_json::from_slice(&content).unwrap();
    let usual = match document.get("manifests") {
        Some(_) => "application/vnd.oci.image.index.v1+json",
        None => "application/vnd.oci.image.manifest.v1+json",
    };
    let digest = digest.to_owned();
    (
        [
            (header::CONTENT_TYPE, usual.to_owned()),
            (header::HeaderName::from_static("docker-content-digest"), digest),
        ],
        content,
    )
        .into_response()
}

fn blob(layout: &Path, digest: &str, headers: &HeaderMap, faults: &Faults) -> Response {
    let replaced = faults.replaced.iter().find(|(end, _)| digest.ends_with(end.as_str()));
    let Some(content) = replaced.map(|(_, content)| content.clone()).or_else(|| read(layout, digest)) else {
        return not_found("BLOB_UNKNOWN");
    };
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).filter(|_| faults.ranges);
    let from =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let rest = Bytes::from(content).slice(from..);
    let length = [(header::CONTENT_LENGTH, rest.len().to_string())];
    let breaks = faults.breaks_after.filter(|bytes| *bytes < rest.len());
    let Some(bytes) = breaks else { return (status, length, rest).into_response() };
    let head = rest.slice(..bytes);
    let broken = futures_util::stream::iter([Ok(head), Err(std::io::Error::other("broken off"))]);
    (status, length, Body::from_stream(broken)).into_response()
}

fn not_found(code: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": "unknown", "detail": "" }] });
    (StatusCode::NOT_FOUND, body.to_string()).into_response()
}
