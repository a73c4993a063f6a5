//! Registry credentials, as `docker login` and `podman login` store them, including credential helpers.

use docker_credential::{CredentialRetrievalError, DockerCredential};

/// The name under which `docker login` keeps the credentials of Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// Docker Hub's host.
const DOCKER_HUB: &str = "index.docker.io";

/// What to log in with.
pub struct Credentials {
    /// User name and password, if stored.
    pub login: Option<(String, String)>,
    /// Why stored credentials are not used. Matters only if the registry requires some.
    pub problem: Option<String>,
}

/// Credentials that exist but cannot be used.
#[derive(Debug, thiserror::Error)]
enum CredentialsError {
    /// A token of a kind that can only be exchanged, not sent.
    #[error(
        "the stored credentials of {0} are an identity token, which layergate cannot exchange; log in with a user name and an access token instead"
    )]
    IdentityToken(String),
    /// A helper that failed.
    #[error("the credential helper `{helper}` failed for {host}")]
    Helper {
        /// The registry.
        host: String,
        /// The helper's program.
        helper: String,
    },
    /// A malformed file or answer.
    #[error("the stored credentials of {host} cannot be read: {error}")]
    Unreadable {
        /// The registry.
        host: String,
        /// Why not.
        error: CredentialRetrievalError,
    },
}

/// The credentials for a registry's host.
pub fn of(host: &str) -> Credentials {
    let (docker, podman) = if host == DOCKER_HUB { (DOCKER_HUB_KEY, "docker.io") } else { (host, host) };
    let found = match docker_credential::get_credential(docker) {
        Err(error) if is_absent(&error) => docker_credential::get_podman_credential(podman),
        other => other,
    };
    let problem = match found {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            return Credentials { login: Some((user, password)), problem: None };
        }
        Ok(DockerCredential::IdentityToken(_)) => Some(CredentialsError::IdentityToken(host.into())),
        Err(error) if is_absent(&error) => None,
        // A helper's output may hold a secret, so it is not repeated.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Some(CredentialsError::Helper { host: host.into(), helper })
        }
        Err(error) => Some(CredentialsError::Unreadable { host: host.into(), error }),
    };
    Credentials { login: None, problem: problem.map(|problem| problem.to_string()) }
}

/// Whether there is no file, or nothing in it. A helper without credentials says so on its standard output (the
/// credential helper protocol of docker-credential-helpers).
fn is_absent(error: &CredentialRetrievalError) -> bool {
    match error {
        CredentialRetrievalError::NoCredentialConfigured
        | CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::ConfigReadError => true,
        CredentialRetrievalError::HelperFailure { stdout, .. } => stdout.contains("credentials not found"),
        _ => false,
    }
}
