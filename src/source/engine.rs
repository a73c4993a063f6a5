//! Which container engine is asked, and how it is reached.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use futures_util::{Stream, StreamExt};
use serde::Deserialize;

use super::transport::EngineAddress;
#[cfg(unix)]
use super::tunnel::Tunnel;
use super::{SourceError, excerpt};
use crate::files;
use crate::image::Digest;

/// Not supported elsewhere.
#[cfg(not(unix))]
enum Tunnel {}

#[cfg(not(unix))]
impl Tunnel {
    fn address(&self) -> String {
        match *self {}
    }

    async fn messages(&self) -> Option<String> {
        match *self {}
    }
}

/// Seconds that the engine may take to start or continue an answer. Exporting a large image can keep an engine silent
/// for a while.
const TIMEOUT_SECONDS: u64 = 300;
pub(super) const PATIENCE: Duration = Duration::from_secs(TIMEOUT_SECONDS);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum bytes read from docker's own files.
const MAX_CONFIG: u64 = 4 << 20;

/// Where an engine is, and the certificates of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix://`, `npipe://`, `tcp://` or `ssh://` and the rest.
    pub address: String,
    /// The directory of `ca.pem`, `cert.pem` and `key.pem`, if TLS is used.
    tls: Option<PathBuf>,
}

/// An engine that answers.
pub struct Connection {
    /// The client of its API.
    pub docker: Docker,
    /// How it is reached; `None` for a Windows named pipe.
    pub(super) transport: Option<Arc<EngineAddress>>,
    _tunnel: Option<Tunnel>,
}

impl Endpoint {
    fn plain(address: impl Into<String>) -> Endpoint {
        Endpoint { address: address.into(), tls: None }
    }

    /// The engine that `--engine` names: `docker`, `podman`, an address or a docker context. Without
    /// a name: `DOCKER_HOST`, docker's current context, then the usual sockets of both.
    ///
    /// # Errors
    /// [`SourceError::EngineUnreachable`] for a context that does not exist.
    pub fn find(named: Option<&str>) -> Result<Endpoint, SourceError> {
        let (docker, podman) = (docker_sockets(), podman_sockets());
        match named {
            Some("podman") => Ok(variable("CONTAINER_HOST").map_or_else(|| socket(&podman), Endpoint::plain)),
            Some("docker") => Ok(configured()?.unwrap_or_else(|| socket(&docker))),
            Some(address) if address.contains("://") => Ok(with_environment_tls(address.to_owned())),
            Some(context) => in_context(context),
            None => Ok(configured()?.unwrap_or_else(|| socket(&[docker, podman].concat()))),
        }
    }

    /// Connects and negotiates the API version.
    ///
    /// # Errors
    /// [`SourceError::EngineUnreachable`].
    pub async fn connect(&self) -> Result<Connection, SourceError> {
        let tunnel = self.tunnel()?;
        let near = tunnel.as_ref().map_or_else(|| self.address.clone(), Tunnel::address);
        let connecting = async {
            let (docker, transport) = self.client(&near)?;
            Ok((docker.negotiate_version().await?, transport))
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        match (connected.unwrap_or(Err(EngineError::RequestTimeoutError)), tunnel) {
            (Ok((docker, transport)), tunnel) => Ok(Connection { docker, transport, _tunnel: tunnel }),
            (Err(error), None) => Err(self.unreachable(&error)),
            (Err(error), Some(tunnel)) => Err(match tunnel.messages().await {
                Some(messages) => self.unreachable_because(&messages),
                None => self.unreachable(&error),
            }),
        }
    }

    #[cfg(unix)]
    fn tunnel(&self) -> Result<Option<Tunnel>, SourceError> {
        let open =
            || Tunnel::open(&self.address).map_err(|error| self.unreachable_because(&error.to_string()));
        self.address.starts_with("ssh://").then(open).transpose()
    }

    #[cfg(not(unix))]
    fn tunnel(&self) -> Result<Option<Tunnel>, SourceError> {
        Ok(None)
    }

    fn client(&self, address: &str) -> Result<(Docker, Option<Arc<EngineAddress>>), EngineError> {
        let transport = match address.split_once("://") {
            #[cfg(windows)]
            Some(("npipe", path)) => {
                let docker = Docker::connect_with_local(path, TIMEOUT_SECONDS, bollard::API_DEFAULT_VERSION)?;
                return Ok((docker, None));
            }
            #[cfg(unix)]
            Some(("unix", path)) => EngineAddress::Unix(path.into()),
            Some(("tcp" | "https", authority)) if self.tls.is_some() => {
                EngineAddress::tcp(authority, self.tls.as_deref())?
            }
            Some(("tcp" | "http", authority)) => EngineAddress::tcp(authority, None)?,
            _ => return Err(EngineError::UnsupportedURISchemeError { uri: self.address.clone() }),
        };
        let transport = Arc::new(transport);
        Ok((transport.clone().client(TIMEOUT_SECONDS)?, Some(transport)))
    }

    /// The error for an engine that cannot be reached: why, and what to do.
    pub fn unreachable(&self, error: &EngineError) -> SourceError {
        self.unreachable_because(&text_of(error))
    }

    fn unreachable_because(&self, text: &str) -> SourceError {
        let hint = match text.to_lowercase() {
            _ if self.address.starts_with("ssh://") => {
                "Check that `ssh HOST docker version` works without a prompt"
            }
            text if text.contains("permission denied") => {
                "Run as a user that may use the engine, such as a member of the group `docker`"
            }
            text if text.contains("certificate") || text.contains("pem") => {
                "Check the certificates in DOCKER_CERT_PATH or of the docker context"
            }
            _ => {
                "Start it, set DOCKER_HOST or --engine, or measure a saved image: docker save -o image.tar NAME"
            }
        };
        SourceError::EngineUnreachable {
            address: self.address.clone(),
            error: excerpt(text.trim_end_matches('.')),
            hint,
        }
    }
}

/// The next piece of an answer.
///
/// # Errors
/// If the engine has been silent for `patience`: its library only times the wait for the first piece.
pub(super) async fn next_within<T>(
    pieces: &mut (impl Stream<Item = T> + Unpin),
    patience: Duration,
) -> Result<Option<T>, String> {
    let next = tokio::time::timeout(patience, pieces.next()).await;
    next.map_err(|_| format!("it has been silent for {} s", patience.as_secs()))
}

/// The innermost cause: the errors around it only say that it happened while sending or receiving.
pub(super) fn text_of(error: &EngineError) -> String {
    if matches!(error, EngineError::RequestTimeoutError) {
        return "it did not answer in time".into();
    }
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What `DOCKER_HOST` or a docker context says.
fn configured() -> Result<Option<Endpoint>, SourceError> {
    if let Some(host) = variable("DOCKER_HOST") {
        return Ok(Some(with_environment_tls(host)));
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct DockerContexts {
        current_context: Option<String>,
    }
    let current = || {
        let config = files::read(&docker_config().join("config.json"), MAX_CONFIG).ok()?;
        serde_json::from_slice::<DockerContexts>(&config).ok()?.current_context
    };
    match variable("DOCKER_CONTEXT").or_else(current) {
        Some(name) if !name.is_empty() && name != "default" => in_context(&name).map(Some),
        _ => Ok(None),
    }
}

/// An address from the environment or the command line; `DOCKER_TLS_VERIFY` requests TLS, as for docker.
fn with_environment_tls(address: String) -> Endpoint {
    let remote = address.starts_with("tcp://") || address.starts_with("https://");
    let asked = variable("DOCKER_TLS_VERIFY").is_some() || address.starts_with("https://");
    let files = || variable("DOCKER_CERT_PATH").map_or_else(docker_config, PathBuf::from);
    Endpoint { tls: (remote && asked).then(files), address }
}

fn docker_config() -> PathBuf {
    let home = std::env::home_dir().unwrap_or_default();
    variable("DOCKER_CONFIG").map_or_else(|| home.join(".docker"), PathBuf::from)
}

/// The endpoint of a docker context, from the files that `docker context` writes:
/// `contexts/meta/SHA256-OF-NAME/meta.json` and `contexts/tls/SHA256-OF-NAME/docker/`.
fn in_context(name: &str) -> Result<Endpoint, SourceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Meta {
        endpoints: std::collections::HashMap<String, EngineName>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct EngineName {
        host: Option<String>,
    }
    let contexts = docker_config().join("contexts");
    let hashed = Digest::of(name.as_bytes());
    let meta = files::read(&contexts.join("meta").join(hashed.hex()).join("meta.json"), MAX_CONFIG).ok();
    let meta: Option<Meta> = meta.and_then(|meta| serde_json::from_slice(&meta).ok());
    let host =
        meta.and_then(|meta| meta.endpoints.get("docker")?.host.clone()).filter(|host| !host.is_empty());
    let tls = Some(contexts.join("tls").join(hashed.hex()).join("docker")).filter(|files| files.is_dir());
    // No fallback: another engine may hold a different image of the same name.
    host.map(|address| Endpoint { address, tls }).ok_or_else(|| SourceError::EngineUnreachable {
        address: format!("the docker context `{}`", excerpt(name)),
        error: format!("{} has no such context", contexts.display()),
        hint: "Choose one that `docker context ls` lists, or write --engine docker, podman or an address",
    })
}

fn docker_sockets() -> Vec<PathBuf> {
    let rootless = variable("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("docker.sock"));
    [PathBuf::from("/var/run/docker.sock")].into_iter().chain(rootless).collect()
}

fn podman_sockets() -> Vec<PathBuf> {
    let rootless = variable("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("podman/podman.sock"));
    rootless.into_iter().chain([PathBuf::from("/run/podman/podman.sock")]).collect()
}

/// The first socket that exists, else the first, so that the error names it.
fn socket(usual: &[PathBuf]) -> Endpoint {
    if cfg!(windows) {
        return Endpoint::plain("npipe:////./pipe/docker_engine");
    }
    let found = usual.iter().find(|path| path.exists()).or(usual.first());
    Endpoint::plain(format!("unix://{}", found.map_or(Path::new(""), PathBuf::as_path).display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_does_not_go_on_is_given_up() {
        let patience = Duration::from_millis(20);
        let mut pieces = futures_util::stream::iter([1, 2]).chain(futures_util::stream::pending());
        assert_eq!(next_within(&mut pieces, patience).await, Ok(Some(1)));
        assert_eq!(next_within(&mut pieces, patience).await, Ok(Some(2)));
        let silence = next_within(&mut pieces, patience).await.unwrap_err();
        assert!(silence.contains("silent for 0 s"), "{silence}");
        let mut ended = futures_util::stream::empty::<u8>();
        assert_eq!(next_within(&mut ended, patience).await, Ok(None));
    }
}
