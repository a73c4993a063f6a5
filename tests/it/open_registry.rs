//! A stand-in for a registry that takes what is pushed, in memory (OCI distribution specification 1.1): it lists what
//! refers to an image, and fails when told to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::support::hex_sha256;

/// The repository that there is.
pub const REPOSITORY: &str = "team/app";
/// `user:secret-password` in base64.
const BASIC: &str = "Basic dXNlcjpzZWNyZXQtcGFzc3dvcmQ=";

#[derive(Default)]
pub struct World {
    pub blobs: BTreeMap<String, Bytes>,
    pub manifests: BTreeMap<String, (String, Bytes)>,
    pub tags: BTreeMap<String, String>,
    /// METHOD and path with query.
    pub requests: Vec<String>,
    /// Whether writing needs a token that only a login gets.
    pub tokens: bool,
    pub keeps_all: bool,
    /// Tags that start so are put back to what they were after so many writes: another writer was slower.
    pub overwritten: Option<(&'static str, usize)>,
    address: String,
}

pub struct OpenRegistry {
    pub address: String,
    world: Arc<Mutex<World>>,
    _runtime: tokio::runtime::Runtime,
}

impl OpenRegistry {
    pub fn start() -> OpenRegistry {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let world = Arc::new(Mutex::new(World { address: address.clone(), ..World::default() }));
        let app = Router::new().fallback(answer).with_state(world.clone());
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        OpenRegistry { address, world, _runtime: runtime }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn store(&self) -> String {
        format!("oci:{}/{REPOSITORY}", self.address)
    }

    /// Has the image of a layout, under a tag.
    pub fn add_image(&self, layout: &Path, tag: &str) -> String {
        let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let root = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let mut world = self.world();
        for entry in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
            let content = Bytes::from(fs::read(entry.unwrap().path()).unwrap());
            let digest = format!("sha256:{}", hex_sha256(&content));
            if digest == root {
                let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
                world.manifests.insert(digest.clone(), (media_type, content.clone()));
            }
            world.blobs.insert(digest, content);
        }
        world.tags.insert(tag.to_owned(), root);
        format!("docker://{}/{REPOSITORY}:{tag}", self.address)
    }

    /// What was asked since the last time, without the greetings.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut self.world().requests);
        asked.retain(|request| request != "GET /v2/");
        asked
    }
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut world = world.lock().unwrap();
    let asked = uri.path_and_query().unwrap().to_string();
    world.requests.push(format!("{method} {asked}"));
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if uri.path() == "/token" {
        let token = if sent == BASIC { "push" } else { "pull" };
        return json!({ "token": token }).to_string().into_response();
    }
    let reads = method == Method::GET || method == Method::HEAD;
    if world.tokens && !(sent == "Bearer push" || (reads && sent == "Bearer pull")) {
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"test\"", world.address);
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    }
    let rest = uri.path().strip_prefix("/v2/").unwrap_or_default();
    let Some(rest) = rest.strip_prefix(REPOSITORY).and_then(|rest| rest.strip_prefix('/')) else {
        return if rest.is_empty() {
            "{}".into_response()
        } else {
            error(StatusCode::NOT_FOUND, "NAME_UNKNOWN")
        };
    };
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    match (method.as_str(), kind) {
        ("GET", "tags") => tags(&world, uri.query().unwrap_or_default()),
        ("GET", "referrers") => referrers(&world, name),
        ("GET", "manifests") => manifest(&world, name),
        ("PUT", "manifests") => put_manifest(&mut world, name, &headers, body),
        ("DELETE", "manifests") if world.keeps_all => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
        ("DELETE", "manifests") => {
            world.manifests.remove(name);
            world.tags.retain(|_, digest| digest != name);
            StatusCode::ACCEPTED.into_response()
        }
        ("POST", "blobs") => {
            let location = format!("/v2/{REPOSITORY}/blobs/uploads/1");
            (StatusCode::ACCEPTED, [(header::LOCATION, location)]).into_response()
        }
        ("PUT", "blobs") => {
            let digest = format!("sha256:{}", hex_sha256(&body));
            let location = format!("/v2/{REPOSITORY}/blobs/{digest}");
            world.blobs.insert(digest, body);
            (StatusCode::CREATED, [(header::LOCATION, location)]).into_response()
        }
        (_, "blobs") => match world.blobs.get(name) {
            Some(content) => content.clone().into_response(),
            None => error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
        },
        _ => error(StatusCode::NOT_FOUND, "UNSUPPORTED"),
    }
}

/// Two tags at a time.
fn tags(world: &World, query: &str) -> Response {
    let last = query.split('&').find_map(|part| part.strip_prefix("last=")).unwrap_or_default();
    let mut after = world.tags.keys().filter(|tag| tag.as_str() > last);
    let page: Vec<&String> = after.by_ref().take(2).collect();
    let body = json!({ "name": REPOSITORY, "tags": page }).to_string();
    match (after.next(), page.last()) {
        (Some(_), Some(last)) => {
            let link = format!("</v2/{REPOSITORY}/tags/list?n=2&last={last}>; rel=\"next\"");
            ([(header::LINK, link)], body).into_response()
        }
        _ => body.into_response(),
    }
}

fn referrers(world: &World, subject: &str) -> Response {
    let descriptor = |(digest, (media_type, content)): (&String, &(String, Bytes))| {
        let manifest: Value = serde_json::from_slice(content).unwrap();
        (manifest["subject"]["digest"] == subject).then(|| {
            json!({
                "mediaType": media_type, "digest": digest, "size": content.len(),
                "artifactType": manifest["artifactType"], "annotations": manifest["annotations"],
            })
        })
    };
    let manifests: Vec<Value> = world.manifests.iter().filter_map(descriptor).collect();
    json!({ "schemaVersion": 2, "manifests": manifests }).to_string().into_response()
}

fn manifest(world: &World, name: &str) -> Response {
    let digest = world.tags.get(name).map_or(name, String::as_str);
    match world.manifests.get(digest) {
        Some((media_type, content)) => {
            ([(header::CONTENT_TYPE, media_type.clone())], content.clone()).into_response()
        }
        None => error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
    }
}

fn put_manifest(world: &mut World, name: &str, headers: &HeaderMap, body: Bytes) -> Response {
    let digest = format!("sha256:{}", hex_sha256(&body));
    let media_type = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let manifest: Value = serde_json::from_slice(&body).unwrap();
    world.manifests.insert(digest.clone(), (media_type, body));
    if name != digest {
        match &mut world.overwritten {
            Some((start, times)) if name.starts_with(*start) && *times > 0 => *times -= 1,
            _ => drop(world.tags.insert(name.to_owned(), digest)),
        }
    }
    match manifest["subject"]["digest"].as_str() {
        Some(subject) => {
            let told = [(HeaderName::from_static("oci-subject"), subject.to_owned())];
            (StatusCode::CREATED, told).into_response()
        }
        None => StatusCode::CREATED.into_response(),
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, json!({ "errors": [{ "code": code, "message": "said so" }] }).to_string()).into_response()
}
