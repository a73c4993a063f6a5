//! How images are named on the command line: `[NAME=]IMAGE`, where IMAGE is a transport and its argument (the names of
//! containers-transports(5)), a path, or a name that the local engine knows.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::image::ImageName;
use crate::redact::redact_reference;
use crate::registry::RemoteName;

/// The transports, as they are written.
const TRANSPORTS: [&str; 9] = [
    "docker-daemon:",
    "docker://",
    "containers-storage:",
    "docker-archive:",
    "oci-archive:",
    "oci:",
    "dir:",
    "inspect:",
    "snapshot:",
];

/// An image argument that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing was named.
    #[error("an empty image name; write NAME[:TAG], a path, or TRANSPORT:WHAT (see `layergate help check`)")]
    Empty,
    /// A transport that layergate does not read.
    #[error(
        "`{image}`: unknown transport `{transport}:`; use {}, a path, or a plain image name",
        TRANSPORTS.join(", ")
    )]
    UnknownTransport {
        /// The whole argument.
        image: String,
        /// The part before the colon.
        transport: String,
    },
    /// Neither a file nor a valid image name.
    #[error("`{0}`: no such file, and not a valid image name; write NAME[:TAG], a path, or TRANSPORT:WHAT")]
    InvalidName(String),
    /// Not a valid name for an image in a registry.
    #[error("`{image}`: {error}; write docker://HOST/NAME[:TAG][@DIGEST]")]
    InvalidRemoteName {
        /// The whole argument.
        image: String,
        /// What is wrong with it.
        error: String,
    },
    /// A transport without its argument.
    #[error("`{0}` names no {1}")]
    Incomplete(String, &'static str),
}

/// Where an image is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageReference {
    /// An image in the local engine.
    Daemon(String),
    /// An image in a registry.
    Registry(String),
    /// A file that `docker save` wrote, and the name of the image in it.
    DockerArchive(PathBuf, Option<String>),
    /// An OCI layout in a tar, and the name of the image in it.
    OciArchive(PathBuf, Option<String>),
    /// An OCI layout in a directory, and the name of the image in it.
    OciLayout(PathBuf, Option<String>),
    /// An image in the store of Podman, Buildah and Skopeo on this machine.
    ContainersStorage(String),
    /// A directory that `skopeo copy` wrote to its `dir:` transport.
    Dir(PathBuf),
    /// A saved `docker inspect` document.
    Inspect(PathBuf),
    /// A layergate snapshot.
    Snapshot(PathBuf),
    /// A path whose kind is found by looking inside.
    Path(PathBuf),
}

/// One image argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// The name given with `NAME=`.
    pub name: Option<String>,
    /// Where to read the image.
    pub image: ImageReference,
    /// The argument without its `NAME=` and without a login, for messages and documents.
    pub text: String,
}

impl NamedImage {
    /// Parses `[NAME=]IMAGE`. Checks whether paths exist, because a plain word may be a path or a name.
    ///
    /// # Errors
    /// [`ReferenceError`].
    pub fn parse(text: &str) -> Result<NamedImage, ReferenceError> {
        let (name, image) = match text.split_once('=') {
            Some((name, image)) if is_plain_name(name) => (Some(name.to_owned()), image),
            _ => (None, text),
        };
        Ok(NamedImage {
            name,
            image: ImageReference::parse(image)?,
            text: redact_reference(image).into_owned(),
        })
    }

    /// The name that reports, limits and baselines use for the image: the given name, else the last part of the
    /// repository, or the file's stem.
    pub fn display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.image.default_name())
    }
}

fn is_plain_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

impl ImageReference {
    /// Whether it is an archive on standard input, which can be read once.
    pub fn is_standard_input(&self) -> bool {
        self.path() == Some(Path::new("-"))
    }

    /// The file or directory that it is read from, if any.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ImageReference::Daemon(_)
            | ImageReference::Registry(_)
            | ImageReference::ContainersStorage(_) => None,
            ImageReference::DockerArchive(path, _)
            | ImageReference::OciArchive(path, _)
            | ImageReference::OciLayout(path, _)
            | ImageReference::Dir(path)
            | ImageReference::Inspect(path)
            | ImageReference::Snapshot(path)
            | ImageReference::Path(path) => Some(path),
        }
    }

    fn parse(text: &str) -> Result<ImageReference, ReferenceError> {
        if text.trim().is_empty() {
            return Err(ReferenceError::Empty);
        }
        let Some((transport, rest)) = text.split_once(':') else { return Self::plain(text) };
        let file = |what| match rest {
            "" => Err(ReferenceError::Incomplete(text.into(), what)),
            rest => Ok(split_path(rest)),
        };
        match transport {
            "docker-daemon" => match rest {
                "" => Err(ReferenceError::Incomplete(text.into(), "image")),
                name => Self::daemon(name),
            },
            "docker" if rest.starts_with("//") => {
                let name = &rest[2..];
                let invalid = |error| ReferenceError::InvalidRemoteName { image: text.into(), error };
                RemoteName::parse(name)
                    .map_err(|error| invalid(error.to_string()))
                    .map(|_| Self::Registry(name.to_owned()))
            }
            "docker-archive" => file("file").map(|(path, name)| Self::DockerArchive(path, name)),
            "oci-archive" => file("file").map(|(path, name)| Self::OciArchive(path, name)),
            "oci" => file("directory").map(|(path, name)| Self::OciLayout(path, name)),
            "containers-storage" => match rest.rsplit(']').next() {
                None | Some("") => Err(ReferenceError::Incomplete(text.into(), "image")),
                Some(name) => Self::daemon(name).map(|_| Self::ContainersStorage(rest.to_owned())),
            },
            "dir" => file("directory").map(|_| Self::Dir(rest.into())),
            "inspect" => file("file").map(|_| Self::Inspect(rest.into())),
            "snapshot" => file("file").map(|_| Self::Snapshot(rest.into())),
            transport if rest.starts_with("//") && !Path::new(text).exists() => {
                Err(ReferenceError::UnknownTransport { image: text.into(), transport: transport.into() })
            }
            "sif" | "ostree" | "tarball" if !Path::new(text).exists() => {
                Err(ReferenceError::UnknownTransport { image: text.into(), transport: transport.into() })
            }
            _ => Self::plain(text),
        }
    }

    /// The file or directory whose existence decided the meaning: without it, this would be an image of the engine, or
    /// a name inside another archive.
    pub fn shadow(&self) -> Option<&Path> {
        let is_name = |part: &Component<'_>| matches!(part, Component::Normal(_));
        let has_colon = |part: Component<'_>| part.as_os_str().to_string_lossy().contains(':');
        match self {
            ImageReference::Path(path) => {
                Some(path).filter(|path| !path.to_str().is_some_and(looks_like_path))
            }
            ImageReference::DockerArchive(path, _)
            | ImageReference::OciArchive(path, _)
            | ImageReference::OciLayout(path, _) => {
                Some(path).filter(|path| path.components().filter(is_name).any(has_colon))
            }
            _ => None,
        }
        .map(PathBuf::as_path)
    }

    fn plain(text: &str) -> Result<ImageReference, ReferenceError> {
        if looks_like_path(text) || may_hold_image(Path::new(text)) {
            return Ok(Self::Path(text.into()));
        }
        Self::daemon(text)
    }

    /// Validates a name, because it becomes part of an address at the engine (OCI distribution specification, "Pulling
    /// manifests").
    fn daemon(name: &str) -> Result<ImageReference, ReferenceError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        let reaches_out = name.split('/').any(|part| part.is_empty() || part == "." || part == "..");
        if reaches_out || !name.chars().all(allowed) {
            return Err(ReferenceError::InvalidName(name.to_owned()));
        }
        Ok(Self::Daemon(name.to_owned()))
    }

    fn default_name(&self) -> String {
        match self {
            Self::Daemon(name) | Self::Registry(name) => repository_name(name),
            Self::ContainersStorage(text) => repository_name(text.rsplit(']').next().unwrap_or(text)),
            Self::DockerArchive(_, Some(name))
            | Self::OciArchive(_, Some(name))
            | Self::OciLayout(_, Some(name))
                if name.contains([':', '/']) =>
            {
                repository_name(name)
            }
            Self::DockerArchive(path, _) | Self::OciArchive(path, _) | Self::OciLayout(path, _) => {
                file_name(path)
            }
            Self::Dir(path) | Self::Inspect(path) | Self::Snapshot(path) | Self::Path(path) => {
                file_name(path)
            }
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, transport: &str, path: &Path, name: &Option<String>| {
            write!(f, "{transport}:{}", path.display())?;
            name.iter().try_for_each(|name| write!(f, ":{name}"))
        };
        match self {
            Self::Daemon(name) => write!(f, "docker-daemon:{name}"),
            Self::Registry(name) => write!(f, "docker://{name}"),
            Self::ContainersStorage(name) => write!(f, "containers-storage:{name}"),
            Self::DockerArchive(path, name) => named(f, "docker-archive", path, name),
            Self::OciArchive(path, name) => named(f, "oci-archive", path, name),
            Self::OciLayout(path, name) => named(f, "oci", path, name),
            Self::Dir(path) => write!(f, "dir:{}", path.display()),
            Self::Inspect(path) => write!(f, "inspect:{}", path.display()),
            Self::Snapshot(path) => write!(f, "snapshot:{}", path.display()),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Whether a text is a path even if no such file exists.
fn looks_like_path(text: &str) -> bool {
    text == "-" || text.starts_with(['.', '/', '~']) || text.ends_with(".tar") || text.ends_with(".json")
}

/// Any file, and a directory with an image in it. Other directories do not count: an image is often named like the
/// directory that it is built from.
fn may_hold_image(path: &Path) -> bool {
    match path.is_dir() {
        true => ["index.json", "manifest.json"].iter().any(|document| path.join(document).exists()),
        false => path.exists(),
    }
}

/// `FILE[:REF]`. A file name may contain colons itself, so the longest existing one wins.
fn split_path(text: &str) -> (PathBuf, Option<String>) {
    if Path::new(text).exists() {
        return (text.into(), None);
    }
    let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at).collect();
    let existing = colons.iter().rev().find(|at| Path::new(&text[..**at]).exists());
    match existing.or(colons.first()) {
        Some(at) => (text[..*at].into(), Some(text[at + 1..].to_owned()).filter(|name| !name.is_empty())),
        None => (text.into(), None),
    }
}

/// `registry:5000/team/api:1.2@sha256:...` -> `api`.
fn repository_name(reference: &str) -> String {
    ImageName::parse(reference).last().to_owned()
}

/// The file's name without the extensions that tell its kind.
fn file_name(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| "image".into(), |name| name.to_string_lossy().into_owned());
    let mut stem = name.as_str();
    for ending in [".gz", ".zst", ".xz", ".bz2", ".tgz", ".txz", ".tbz2", ".tar", ".json"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    if stem == "-" {
        return "image".into();
    }
    if stem.is_empty() { name } else { stem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_argument_the_repository_or_the_file() {
        let cases = [
            ("api=registry:5000/team/service:1.2", "api"),
            ("registry:5000/team/service:1.2", "service"),
            ("service@sha256:0123", "service"),
            ("docker-daemon:service", "service"),
            (
                "docker://localhost:5000/team/service:1.2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "service",
            ),
            ("docker-archive:out/web-v2.tar", "web-v2"),
            ("docker-archive:out/all.tar:team/web:2", "web"),
            ("oci-archive:out/web.tar.gz:latest", "web"),
            ("./a=b.tar", "a=b"),
            ("inspect:app.json", "app"),
            ("dir:out/web", "web"),
            ("-", "image"),
            ("web=-", "web"),
            ("docker-archive:web.tar.xz", "web"),
            ("docker-archive:web.tbz2", "web"),
        ];
        for (text, name) in cases {
            assert_eq!(NamedImage::parse(text).unwrap().display_name(), name, "{text}");
        }
    }

    #[test]
    fn each_transport_is_read_and_explained() {
        // The help is part of `docs/cli.md`.
        let documents = [include_str!("../../docs/cli.md"), include_str!("../../docs/numbers.md")];
        for transport in TRANSPORTS {
            let image = ImageReference::parse(&format!("{transport}localhost/app")).unwrap();
            assert!(image.to_string().starts_with(transport), "{image:?}");
            let login = format!("{transport}me:hunter2@registry.example:5000/app");
            let redacted = format!("{transport}***@registry.example:5000/app");
            assert_eq!(redact_reference(&login), redacted, "say it in `transport` of src/redact/login.rs");
            for document in documents {
                let written = ["  ", "`", ", "].map(|before| format!("{before}{transport}"));
                assert!(written.iter().any(|written| document.contains(written)), "{transport}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (text, part) in [
            ("", "empty image name"),
            ("api=", "empty image name"),
            ("docker-archive:", "names no file"),
            ("docker-daemon:", "names no image"),
            ("dir:", "names no directory"),
            ("a/../../containers/json", "not a valid image name"),
            ("x?y", "no such file"),
            ("ostree:/x", "unknown transport `ostree:`"),
            ("docker://", "write docker://HOST"),
            ("docker://host/UPPER case", "write docker://HOST"),
            ("ftp://host/x", "unknown transport `ftp:`"),
        ] {
            let error = NamedImage::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
