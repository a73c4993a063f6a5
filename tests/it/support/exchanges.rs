//! Logs the requests to a fake GitHub and its answers, for `tests/openapi` to check.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Names the directory to write to.
const DIRECTORY: &str = "LAYERGATE_TEST_GITHUB_LOG";
/// The name of tests of the fake itself. They may send requests that layergate never sends.
pub const FAKES_OWN_TEST: &str = "test of the fake";

/// Marks an answer given by a test rather than by the fake.
#[derive(Clone)]
pub struct Artificial;

/// One line of JSON for each exchange.
pub type Log = Arc<Mutex<File>>;

/// A log file for each fake, if this test run is logged.
pub fn log() -> Option<Log> {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let directory = std::env::var_os(DIRECTORY)?;
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(&directory).join(format!("{}-{number}.jsonl", std::process::id()));
    Some(Arc::new(Mutex::new(File::create(path).unwrap())))
}

pub async fn write_down(State(log): State<Log>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    // Some clients are killed during a request.
    let Ok(asked) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let own = head.headers.get("user-agent").is_some_and(|agent| agent == FAKES_OWN_TEST);
    let conditional = head.headers.contains_key("if-none-match");
    let mut exchange = json!({
        "conditional": conditional,
        "method": head.method.as_str(), "path": head.uri.to_string(), "request": parsed(&asked), "own": own,
    });
    let (answer, body) = next.run(Request::from_parts(head, Body::from(asked))).await.into_parts();
    exchange["status"] = json!(answer.status.as_u16());
    // Such an answer may break off, and must do so on its way to the client.
    let artificial = answer.extensions.get::<Artificial>().is_some();
    exchange["fault"] = json!(artificial);
    let body = match artificial {
        true => body,
        false => {
            let answered = to_bytes(body, usize::MAX).await.unwrap();
            exchange["response"] = parsed(&answered);
            Body::from(answered)
        }
    };
    log.lock().unwrap().write_all(format!("{exchange}\n").as_bytes()).unwrap();
    Response::from_parts(answer, body)
}

/// Anything but JSON stays text, which matches no description of an object.
fn parsed(body: &[u8]) -> Value {
    match body {
        [] => Value::Null,
        body => serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body))),
    }
}
