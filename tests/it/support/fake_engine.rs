//! A stand-in for a container engine: a socket that answers with recordings of a real one, counts requests, and can
//! keep an export open for ever.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde_json::Value;

use crate::support::fake_content::{self, Connections, Content};
use crate::support::{Run, fixture, layergate};

/// The answers of the engine.
#[derive(Clone)]
pub struct Capture {
    pub version: Vec<u8>,
    pub inspect: Value,
    pub history: Vec<u8>,
    pub save: Vec<u8>,
    /// Whether an export continues endlessly after `save`.
    pub endless: bool,
    /// Its content store.
    pub content: Content,
}

impl Capture {
    /// Answers recorded from a real engine: `docker-20.10` or `docker-29`, `edge-v1` or `edge-v2`.
    pub fn of(engine: &str, image: &str) -> Capture {
        let file = |name: &str| fs::read(fixture(&format!("engines/{engine}/{name}"))).unwrap();
        Capture {
            version: file("version.json"),
            inspect: serde_json::from_slice(&file(&format!("{image}.inspect.json"))).unwrap(),
            history: file(&format!("{image}.history.json")),
            save: file(&format!("{image}.save.tar")),
            endless: false,
            content: Content::default(),
        }
    }

    pub fn diff_ids(&self) -> Vec<String> {
        let layers = self.inspect["RootFS"]["Layers"].as_array().unwrap();
        layers.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }
}

struct Served {
    capture: Capture,
    content: Arc<Content>,
    requests: Arc<Mutex<Vec<String>>>,
}

pub struct FakeEngine {
    served: Arc<Served>,
    directory: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl FakeEngine {
    pub fn start(capture: Capture) -> FakeEngine {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let content = Arc::new(capture.content.clone());
        let served = Arc::new(Served { capture, content, requests: Arc::default() });
        let app = Router::new().fallback(answer).with_state(served.clone());
        let socket = directory.path().join("engine.sock");
        let listener = runtime.block_on(async { tokio::net::UnixListener::bind(socket) }).unwrap();
        let (content, requests) = (served.content.clone(), served.requests.clone());
        let connections = Connections { listener, content, requests };
        runtime.spawn(async move { axum::serve(connections, app).await.unwrap() });
        FakeEngine { served, directory, _runtime: runtime }
    }

    pub fn diff_ids(&self) -> Vec<String> {
        self.served.capture.diff_ids()
    }

    /// The bytes that its content store has sent.
    pub fn served_bytes(&self) -> usize {
        self.served.content.served.load(Ordering::Relaxed)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.directory.path().join("engine.sock").display())
    }

    /// A directory for this test's cache, and for anything else that it keeps beside that.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Runs layergate against this engine, with a cache beside its socket.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let cache = self.directory.path().join("cache");
        Run::of(layergate().args(arguments).args(["--engine", &self.address()]).arg("--cache-dir").arg(cache))
    }

    /// How often a path with this ending was requested since the last call.
    pub fn asked(&self, end: &str) -> usize {
        let mut requests = self.served.requests.lock().unwrap();
        let count = requests.iter().filter(|path| path.ends_with(end)).count();
        requests.retain(|path| !path.ends_with(end));
        count
    }
}

fn late() -> impl futures_util::Stream<Item = std::io::Result<axum::body::Bytes>> + Send {
    futures_util::stream::once(async {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        Err(std::io::Error::other("nobody was to wait for this"))
    })
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    served.requests.lock().unwrap().push(path.clone());
    if path == "/grpc" {
        return fake_content::upgrade(request, served.content.clone(), served.requests.clone());
    }
    let capture = &served.capture;
    let image = path.split_once("/images/").map(|(_, rest)| rest.rsplit_once('/').unwrap_or((rest, "")));
    let id = capture.inspect["Id"].as_str().unwrap();
    let tag = capture.inspect["RepoTags"][0].as_str().unwrap();
    let known = |name: &str| name == tag || name.replace("%3A", ":") == id || name.replace("%3A", ":") == tag;
    match image {
        None if path.ends_with("/version") => capture.version.clone().into_response(),
        None if path.ends_with("/_ping") => "OK".into_response(),
        Some((name, "json")) if known(name) => capture.inspect.to_string().into_response(),
        Some((name, "history")) if known(name) => capture.history.clone().into_response(),
        Some((name, "get")) if known(name) => {
            let save = axum::body::Bytes::from(capture.save.clone());
            let head = futures_util::stream::iter([Ok::<_, std::io::Error>(save)]);
            match capture.endless {
                // As good as for ever: a client that waits for it fails.
                true => Body::from_stream(head.chain(late())).into_response(),
                false => Body::from_stream(head).into_response(),
            }
        }
        _ => (StatusCode::NOT_FOUND, r#"{"message":"no such image"}"#).into_response(),
    }
}
