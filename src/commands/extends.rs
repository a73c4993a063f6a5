//! Follows `extends`: to a file beside the one that names it, or to a file of another repository, read through the API.
//! A file that cannot be read is an error; it never means no limits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{console, github, written_text};
use crate::cli::GithubFlags;
use crate::config::{Config, ConfigError, ConfigReference, MAX_EXTENDED, RemoteConfig};
use crate::github::{Client, GithubError, Repository, contents};

/// Where a configuration was found, which determines where the files that it names are looked for.
pub enum Place {
    /// A local file.
    Local(PathBuf),
    /// A file of the run's own repository, at a commit.
    Branch { repository: Arc<Repository>, file: String, commit: String },
    /// A file of a named repository.
    Remote(RemoteConfig),
}

/// A configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// GitHub refuses it.
    #[error("cannot read the configuration {name}: {error}")]
    Github {
        /// What was asked for.
        name: String,
        /// Why not.
        error: GithubError,
    },
    /// GitHub has no such file, or hides it.
    #[error(
        "cannot read the configuration {0}: it does not exist, or the token cannot read it; for a private repository, pass `config-token` (contents: read)"
    )]
    NotThere(String),
    /// There is no token.
    #[error("cannot read the configuration {0}: there is no token; pass `config-token`, or set GITHUB_TOKEN")]
    NoToken(String),
    /// The file does not exist, or is not text.
    #[error("cannot read the configuration {name}: {error}")]
    File {
        /// The file.
        name: String,
        /// Why not.
        error: std::io::Error,
    },
}

/// A configuration with everything that it extends, at most [`MAX_EXTENDED`] files.
///
/// # Errors
/// [`ReadError`] for a file that cannot be read; [`ConfigError`] for an invalid one, a cycle, or too many.
pub async fn with_extended(config: Config, place: Place, flags: &GithubFlags) -> anyhow::Result<Config> {
    let mut seen = vec![place.name()];
    let (mut place, mut extended) = (place, Vec::new());
    let mut next = config.extends().cloned();
    while let Some(setting) = next {
        let refused = |message: String| ConfigError { origin: setting.origin.clone(), message };
        if extended.len() == MAX_EXTENDED {
            return Err(refused(format!("at most {MAX_EXTENDED} files can be extended in a row")).into());
        }
        let reference =
            setting.text.trim().parse::<ConfigReference>().map_err(|error| refused(format!("{error}")))?;
        place = place
            .at(reference)
            .ok_or_else(|| refused(format!("{} leads out of its repository", setting.text)))?;
        let name = place.name();
        if seen.contains(&name) {
            return Err(refused(format!("{name} extends itself")).into());
        }
        let found = Config::parse(&place.shown(), &place.read(flags).await?)?;
        console::note(&format!("the limits in {} apply too", place.shown()));
        next = found.extends().cloned();
        seen.push(name);
        extended.push(found);
    }
    Ok(config.extending(extended))
}

/// A configuration named as `OWNER/REPO//PATH@REF`, with everything that it extends.
///
/// # Errors
/// Those of [`with_extended`].
pub async fn remote(remote: RemoteConfig, flags: &GithubFlags) -> anyhow::Result<Config> {
    let place = Place::Remote(remote);
    let config = Config::parse(&place.shown(), &place.read(flags).await?)?;
    with_extended(config, place, flags).await
}

/// The file of a repository that a path names, if it has that form.
pub fn named_remote(path: &Path) -> Option<RemoteConfig> {
    match path.to_str()?.parse() {
        Ok(ConfigReference::Remote(remote)) => Some(remote),
        _ => None,
    }
}

impl Place {
    /// A unique key; GitHub ignores the case of owners and repositories.
    fn name(&self) -> String {
        match self {
            Place::Local(path) => path.canonicalize().unwrap_or_else(|_| path.clone()).display().to_string(),
            Place::Branch { repository, file, .. } => {
                format!("{}//{file}", repository.full_name().to_lowercase())
            }
            Place::Remote(RemoteConfig { owner, name, path, at }) => {
                format!("{}//{path}@{at}", format!("{owner}/{name}").to_lowercase())
            }
        }
    }

    /// The name for people.
    fn shown(&self) -> String {
        match self {
            Place::Local(path) => path.display().to_string(),
            Place::Branch { file, .. } => file.clone(),
            Place::Remote(remote) => remote.to_string(),
        }
    }

    /// The place of a file that this one names; `None` if it would be outside its repository.
    fn at(self, reference: ConfigReference) -> Option<Place> {
        let file = match reference {
            ConfigReference::Remote(remote) => return Some(Place::Remote(remote)),
            ConfigReference::File(file) => file,
        };
        Some(match self {
            Place::Local(path) => Place::Local(path.parent().unwrap_or(Path::new("")).join(file)),
            Place::Branch { repository, file: own, commit } => {
                Place::Branch { repository, file: beside(&own, &file)?, commit }
            }
            Place::Remote(remote) => {
                Place::Remote(RemoteConfig { path: beside(&remote.path, &file)?, ..remote })
            }
        })
    }

    async fn read(&self, flags: &GithubFlags) -> Result<String, ReadError> {
        let name = self.shown();
        let operation = format!("read {name}");
        let found = match self {
            Place::Local(path) => {
                return written_text(path).map_err(|error| ReadError::File { name, error });
            }
            Place::Branch { repository, file, commit } => {
                contents::text_of(repository, file, commit, &operation).await
            }
            Place::Remote(remote) => {
                let Some(token) = flags.config_token.clone().or_else(|| github::token(flags)) else {
                    return Err(ReadError::NoToken(name));
                };
                read_remote(github::client(flags, &token), remote, &operation).await
            }
        };
        match found {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(ReadError::NotThere(name)),
            Err(error) => Err(ReadError::Github { name, error }),
        }
    }
}

async fn read_remote(
    client: Result<Client, GithubError>,
    remote: &RemoteConfig,
    operation: &str,
) -> Result<Option<String>, GithubError> {
    let repository = Repository::new(client?, &remote.owner, &remote.name);
    contents::text_of(&repository, &remote.path, &remote.at, operation).await
}

/// The path of a file named in `own`, from the root of its repository; `None` if it leads outside.
fn beside(own: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = own.split('/').collect();
    parts.pop();
    if file.starts_with('/') {
        return None;
    }
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_looked_for_beside_the_one_that_names_it() {
        for (own, file, expected) in [
            ("layergate.toml", "limits.toml", Some("limits.toml")),
            (".github/layergate.toml", "limits.toml", Some(".github/limits.toml")),
            (".github/layergate.toml", "../central/./limits.toml", Some("central/limits.toml")),
            ("layergate.toml", "../limits.toml", None),
            ("a/b.toml", "../../limits.toml", None),
            ("a/b.toml", "/limits.toml", None),
            ("a/b.toml", "..", None),
        ] {
            assert_eq!(beside(own, file).as_deref(), expected, "{own} {file}");
        }
    }
}
