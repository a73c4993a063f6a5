//! A stand-in for a registry that accepts pushes, in memory (OCI distribution specification 1.1): it lists an image's
//! referrers, and fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::support::schema::hold;
use crate::support::{FakeLayer, Item, Run, hex_sha256, layergate, oci_layout, tar_of};

/// The only repository.
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
    /// Whether all requests need a token, and writing and deleting each need one that allows it, which requires a
    /// login.
    pub tokens: bool,
    /// What is issued as a token instead.
    pub token: Option<&'static str>,
    pub keeps_all: bool,
    /// Whether it lacks the referrers API.
    pub hides_referrers: bool,
    /// The answer to requests whose method and path contain this.
    pub refuses: Option<(&'static str, u16, &'static str)>,
    /// How many requests it rejects as too many, and the seconds that it asks to wait.
    pub busy: Option<(usize, u64)>,
    /// The URL for uploads, if not the usual one.
    pub uploads: Option<String>,
    /// Whether credentials were sent to another host.
    pub leaked: bool,
    /// How many tags it lists at a time, and what precedes the path in the link to the next page.
    pub page: usize,
    pub link: &'static str,
    /// Tags that start with this are reset after this many writes, as if by a slower writer.
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
        let world = Arc::new(Mutex::new(World { address: address.clone(), page: 2, ..World::default() }));
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

    /// Adds the image of a layout, under a tag.
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

    /// The requests since the last call, without those for `/v2/`.
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
        return token(&world, uri.query().unwrap_or_default(), sent);
    }
    let is_elsewhere = headers.get(header::HOST).is_none_or(|host| host != world.address.as_str());
    world.leaked |= is_elsewhere && !sent.is_empty();
    if !is_elsewhere && let Some(challenge) = challenge(&world, &method, sent) {
        return challenge;
    }
    if let Some((times, seconds)) = world.busy.filter(|(times, _)| *times > 0) {
        world.busy = Some((times - 1, seconds));
        let mut answer = error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS");
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return answer;
    }
    if let Some((part, status, code)) = world.refuses
        && format!("{method} {asked}").contains(part)
    {
        return error(StatusCode::from_u16(status).unwrap(), code);
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
        ("GET", "referrers") if !world.hides_referrers => {
            referrers(&world, name, uri.query().unwrap_or_default())
        }
        ("GET", "manifests") => manifest(&world, name),
        ("PUT", "manifests") => put_manifest(&mut world, name, &headers, body),
        ("DELETE", "manifests") if world.keeps_all => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
        ("DELETE", "manifests") => {
            world.manifests.remove(name);
            world.tags.retain(|_, digest| digest != name);
            StatusCode::ACCEPTED.into_response()
        }
        ("POST", "blobs") => {
            let usual = || format!("/v2/{REPOSITORY}/blobs/uploads/1");
            let location = world.uploads.clone().unwrap_or_else(usual);
            (StatusCode::ACCEPTED, [(header::LOCATION, location)]).into_response()
        }
        ("PUT", "blobs") => {
            // A baseline in a registry also says where its file lists are, which differs between stores.
            let mut record: Value = serde_json::from_slice(&body).unwrap_or_default();
            if let Some(fields) = record.as_object_mut() {
                fields.remove("file_list_blobs");
                hold(record.to_string().as_bytes(), "a record");
            }
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

/// A token for the requested actions that are allowed: everyone may pull.
fn token(world: &World, query: &str, sent: &str) -> Response {
    let scope = query.split('&').find_map(|part| part.strip_prefix("scope=")).unwrap_or_default();
    let actions = scope.rsplit("%3A").next().unwrap_or_default().split("%2C");
    let allowed = actions.filter(|action| *action == "pull" || sent == BASIC);
    let token = format!("for.{}", allowed.collect::<Vec<_>>().join("."));
    json!({ "token": world.token.unwrap_or(&token) }).to_string().into_response()
}

fn challenge(world: &World, method: &Method, sent: &str) -> Option<Response> {
    let needed = match *method {
        Method::GET | Method::HEAD => "pull",
        Method::DELETE => "delete",
        _ => "push",
    };
    let allowed: BTreeSet<&str> = sent.strip_prefix("Bearer for.").unwrap_or_default().split('.').collect();
    if !world.tokens || allowed.contains(needed) {
        return None;
    }
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"test\",scope=\"repository:{REPOSITORY}:{needed}\"",
        world.address
    );
    Some((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response())
}

fn tags(world: &World, query: &str) -> Response {
    let last = query.split('&').find_map(|part| part.strip_prefix("last=")).unwrap_or_default();
    let mut after = world.tags.range::<str, _>((Bound::Excluded(last), Bound::Unbounded));
    let page: Vec<&String> = after.by_ref().take(world.page).map(|(tag, _)| tag).collect();
    let body = json!({ "name": REPOSITORY, "tags": page }).to_string();
    match (after.next(), page.last()) {
        (Some(_), Some(last)) => {
            let link = format!("<{}/v2/{REPOSITORY}/tags/list?n=2&last={last}>; rel=\"next\"", world.link);
            ([(header::LINK, link)], body).into_response()
        }
        _ => body.into_response(),
    }
}

fn referrers(world: &World, subject: &str, query: &str) -> Response {
    let descriptor = |(digest, (media_type, content)): (&String, &(String, Bytes))| {
        let manifest: Value = serde_json::from_slice(content).unwrap();
        (manifest["subject"]["digest"] == subject).then(|| {
            json!({
                "mediaType": media_type, "digest": digest, "size": content.len(),
                "artifactType": manifest["artifactType"], "annotations": manifest["annotations"],
            })
        })
    };
    let last = query.split('&').find_map(|part| part.strip_prefix("last=")).unwrap_or_default();
    let mut after = world.manifests.range::<str, _>((Bound::Excluded(last), Bound::Unbounded)).peekable();
    // One per page, so that what is looked for is on a later page.
    let mut manifests = Vec::new();
    let mut page = String::new();
    for manifest in after.by_ref() {
        page.clone_from(manifest.0);
        manifests.extend(descriptor(manifest));
        if !manifests.is_empty() {
            break;
        }
    }
    let body = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    if after.peek().is_none() {
        return body.into_response();
    }
    let link = format!("</v2/{REPOSITORY}/referrers/{subject}?last={page}>; rel=\"next\"");
    ([(header::LINK, link)], body).into_response()
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
        Some(subject) if !world.hides_referrers => {
            let told = [(HeaderName::from_static("oci-subject"), subject.to_owned())];
            (StatusCode::CREATED, told).into_response()
        }
        _ => StatusCode::CREATED.into_response(),
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, json!({ "errors": [{ "code": code, "message": "said so" }] }).to_string()).into_response()
}

/// The layers of an image with one file of varying size.
pub fn layers(size: u64) -> Vec<FakeLayer> {
    vec![
        FakeLayer::gzip(&tar_of(&[Item::File("usr/lib/base", 50_000)]), "ADD rootfs.tar /"),
        FakeLayer::gzip(&tar_of(&[Item::File("app", size)]), "COPY app /"),
    ]
}

/// A registry in memory, two images in it, and a directory to run in.
pub struct InMemory {
    pub registry: OpenRegistry,
    pub images: [String; 2],
    pub directory: tempfile::TempDir,
}

impl InMemory {
    pub fn new() -> InMemory {
        let (registry, directory) = (OpenRegistry::start(), tempfile::tempdir().unwrap());
        let images = [("1", 1000), ("2", 3000)].map(|(tag, size)| {
            registry.add_image(&oci_layout(&directory.path().join(tag), &layers(size)), tag)
        });
        registry.world().requests.clear();
        InMemory { registry, images, directory }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = layergate();
        command.current_dir(self.directory.path()).args(arguments);
        command.args(["--store", &self.registry.store(), "--no-cache"]);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    pub fn record(&self, commit: &str, more: &[&str]) -> Run {
        let image = format!("api={}", self.images[0]);
        self.run(&[&["record", &image, "--commit", commit], more].concat())
    }

    /// The recorded history, as a table.
    pub fn history(&self) -> Run {
        Run::of(layergate().args(["history", "api", "--format", "csv", "--store", &self.registry.store()]))
    }

    /// Compares the second image with the first one's baseline for a commit.
    pub fn check(&self, commit: &str) -> Run {
        let head = format!("api={}", self.images[1]);
        self.run(&["check", &head, "--base-commit", commit, "--on-missing-baseline", "fail"])
    }

    /// Compares the second image with the first one directly.
    pub fn check_image(&self) -> Run {
        self.run(&["check", &format!("api={}", self.images[1]), "--baseline", &self.images[0]])
    }

    /// The tags with this prefix.
    pub fn tags(&self, start: &str) -> Vec<String> {
        let world = self.registry.world();
        world.tags.keys().filter(|tag| tag.starts_with(start)).cloned().collect()
    }

    /// The tag of a commit's baseline.
    pub fn tag_of(&self, commit: &str) -> String {
        let found = self.tags("layergate-").into_iter().find(|tag| tag.contains(commit));
        found.unwrap_or_else(|| panic!("nothing is recorded for {commit}"))
    }

    pub fn manifest(&self, tag: &str) -> Value {
        let world = self.registry.world();
        serde_json::from_slice(&world.manifests[&world.tags[tag]].1).unwrap()
    }

    pub fn put_manifest(&self, tag: &str, manifest: &Value) -> String {
        let content = manifest.to_string();
        let digest = format!("sha256:{}", hex_sha256(content.as_bytes()));
        let media_type = match manifest.get("manifests") {
            Some(_) => "application/vnd.oci.image.index.v1+json",
            None => "application/vnd.oci.image.manifest.v1+json",
        };
        let mut world = self.registry.world();
        world.manifests.insert(digest.clone(), (media_type.to_owned(), content.into()));
        world.tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    /// The snapshot in a baseline.
    pub fn snapshot(&self, manifest: &Value) -> Value {
        let digest = manifest["annotations"]["io.github.layergate.snapshot"].as_str().unwrap();
        serde_json::from_slice(&self.registry.world().blobs[digest]).unwrap()
    }

    /// Replaces the snapshot in a baseline.
    pub fn replace_snapshot(&self, tag: &str, snapshot: &Value) {
        let mut manifest = self.manifest(tag);
        let content = snapshot.to_string();
        let digest = format!("sha256:{}", hex_sha256(content.as_bytes()));
        manifest["annotations"]["io.github.layergate.snapshot"] = json!(digest);
        self.registry.world().blobs.insert(digest, content.into());
        let replaced = self.registry.world().tags[tag].clone();
        self.registry.world().manifests.remove(&replaced);
        self.put_manifest(tag, &manifest);
    }
}
