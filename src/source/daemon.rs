//! Images of a local container engine, read over its API (Docker Engine API: `GET /images/NAME/json`,
//! `GET /images/NAME/get`). The engine's own sizes are not used.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::errors::Error as EngineError;
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::layout::{self, Choice};
use super::parts::Parts;
use super::{NamedImage, SourceError, excerpt};
use crate::image::snapshot::SourceInfo;
use crate::image::{Platform, Snapshot};
use crate::layer::Budget;

/// Seconds that the engine may take to begin or go on with an answer. Exporting a large image can
/// keep an engine silent for a while.
const TIMEOUT_SECONDS: u64 = 300;

/// Measures an image that an engine holds.
///
/// # Errors
/// [`SourceError`] where no engine answers, the image is not there or cannot be read.
pub async fn measure(named: &NamedImage, name: &str, choice: &Choice) -> Result<Snapshot, SourceError> {
    let address = engine_address()?;
    let docker = connect(&address).await?;
    let version = docker.version().await.map_err(|error| unreachable(&address, &error))?;
    let inspected = docker.inspect_image(name).await.map_err(|error| match error {
        EngineError::DockerResponseServerError { status_code: 404, .. } => {
            SourceError::NoSuchLocalImage { address: address.clone(), name: excerpt(name) }
        }
        other => engine_error(&address, format!("describe the image `{}`", excerpt(name)), &other),
    })?;
    // By ID, so that an image that is tagged anew meanwhile cannot be mixed with the old one.
    let id = inspected.id.unwrap_or_else(|| name.to_owned());
    let parts = export(&docker, &address, &id).await?;
    let engine = format!("docker {}", version.version.as_deref().map_or_else(|| "unknown".into(), excerpt));
    let source = SourceInfo { transport: "docker-daemon".into(), engine: Some(engine) };
    let field = |field: &Option<String>| field.clone().unwrap_or_default();
    let own = Platform::from_fields(&field(&version.os), &field(&version.arch), None);
    let choice = Choice { default_platform: own, ..choice.clone() };
    layout::measure(&parts, named, None, source, &choice, &Budget::default())
}

/// Reads the engine's export as it arrives: one task fetches, one thread walks.
async fn export(docker: &Docker, address: &str, id: &str) -> Result<Parts, SourceError> {
    let (sender, receiver) = mpsc::channel(16);
    let origin = PathBuf::from(format!("the export of {}", excerpt(id)));
    let walking = tokio::task::spawn_blocking(move || {
        let input = ChannelReader { receiver, chunk: Vec::new(), at: 0 };
        Parts::stream(input, &origin, &Budget::default())
    });
    let mut stream = Box::pin(docker.export_image(id));
    let mut failure = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            let message = error.to_string();
            failure = Some(engine_error(address, format!("export the image {}", excerpt(id)), &error));
            io::Error::other(message)
        });
        let last = chunk.is_err();
        if sender.send(chunk.map(|bytes| bytes.to_vec())).await.is_err() || last {
            break;
        }
    }
    drop(sender);
    let walked = walking.await.map_err(|error| SourceError::Engine {
        address: address.into(),
        operation: "be read".into(),
        error: error.to_string(),
    })?;
    match failure {
        Some(failure) => Err(failure),
        None => walked,
    }
}

/// The reading end of a channel of chunks.
struct ChannelReader {
    receiver: mpsc::Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            match self.receiver.blocking_recv() {
                Some(chunk) => (self.chunk, self.at) = (chunk?, 0),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len() - self.at);
        buffer[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

async fn connect(address: &str) -> Result<Docker, SourceError> {
    let version = bollard::API_DEFAULT_VERSION;
    let docker = match address.split_once("://") {
        Some(("unix" | "npipe", path)) => Docker::connect_with_local(path, TIMEOUT_SECONDS, version),
        Some(("tcp" | "http", _)) if std::env::var_os("DOCKER_TLS_VERIFY").is_none_or(|v| v.is_empty()) => {
            Docker::connect_with_http(address, TIMEOUT_SECONDS, version)
        }
        _ => Docker::connect_with_host(address),
    };
    let docker = docker.map_err(|error| unreachable(address, &error))?;
    docker.negotiate_version().await.map_err(|error| unreachable(address, &error))
}

/// Where the engine is: `DOCKER_HOST`, the current docker context, then the usual sockets.
fn engine_address() -> Result<String, SourceError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return Ok(host);
    }
    if let Some(host) = context_host(set("DOCKER_CONTEXT"))? {
        return Ok(host);
    }
    if cfg!(windows) {
        return Ok("npipe:////./pipe/docker_engine".into());
    }
    let docker = PathBuf::from("/var/run/docker.sock");
    let podman = [
        set("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("podman/podman.sock")),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ];
    let candidates = std::iter::once(docker.clone()).chain(podman.into_iter().flatten());
    let found = candidates.into_iter().find(|path| path.exists()).unwrap_or(docker);
    Ok(format!("unix://{}", found.display()))
}

/// The endpoint of docker's current context, from the files that `docker context` writes
/// (`config.json`, `contexts/meta/SHA256-OF-NAME/meta.json`).
fn context_host(chosen: Option<String>) -> Result<Option<String>, SourceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        current_context: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Meta {
        endpoints: std::collections::HashMap<String, Endpoint>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Endpoint {
        host: Option<String>,
    }
    let home = std::env::home_dir().unwrap_or_default();
    let root = std::env::var_os("DOCKER_CONFIG").map_or_else(|| home.join(".docker"), PathBuf::from);
    let read = |path: &Path| std::fs::read(path).ok();
    let current =
        || serde_json::from_slice::<Config>(&read(&root.join("config.json"))?).ok()?.current_context;
    let name = match chosen.or_else(current) {
        None => return Ok(None),
        Some(name) if name.is_empty() || name == "default" => return Ok(None),
        Some(name) => name,
    };
    let hashed = crate::image::Digest::of(name.as_bytes());
    let meta = read(&root.join("contexts/meta").join(hashed.hex()).join("meta.json"));
    let meta: Option<Meta> = meta.and_then(|meta| serde_json::from_slice(&meta).ok());
    let host =
        meta.and_then(|meta| meta.endpoints.get("docker")?.host.clone()).filter(|host| !host.is_empty());
    // Another engine may well hold another image of the same name.
    host.map(Some).ok_or_else(|| SourceError::EngineUnreachable {
        address: format!("the docker context `{}`", excerpt(&name)),
        error: format!("{} knows no such context", root.display()),
        hint: "Choose one that `docker context ls` lists, or set DOCKER_HOST",
    })
}

fn unreachable(address: &str, error: &EngineError) -> SourceError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    let denied = text.to_lowercase().contains("permission denied");
    let hint = if denied {
        "Run as a user that may use the engine, such as a member of the group `docker`"
    } else {
        "Start it, set DOCKER_HOST, or measure a saved image: docker save -o image.tar NAME"
    };
    SourceError::EngineUnreachable { address: address.into(), error: excerpt(&text), hint }
}

fn engine_error(address: &str, operation: String, error: &EngineError) -> SourceError {
    SourceError::Engine { address: address.into(), operation, error: excerpt(&error.to_string()) }
}
