//! Names of images in registries, `[HOST/]NAME[:TAG][@DIGEST]`, as Docker reads them (distribution, package
//! `reference`). Parsed by hand: compiling the pattern that crates use takes longer than a registry takes to answer.

use std::fmt;

use crate::image::ImageName;

/// Docker Hub, as images name it and as it is addressed.
const HUB: &str = "docker.io";
const HUB_HOST: &str = "index.docker.io";
/// The namespace of Docker Hub's official images.
const OFFICIAL: &str = "library";
const DEFAULT_TAG: &str = "latest";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;
/// Digest algorithms, and how many hexadecimal digits each has.
const ALGORITHMS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// The name of an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteName {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a name is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no repository.
    #[error("repository name must have at least one component")]
    Empty,
    /// It is longer than any registry allows.
    #[error("repository name must not be more than {MAX_REPOSITORY} characters")]
    Long,
    /// The digest does not have the length of its algorithm.
    #[error("invalid checksum digest length")]
    DigestLength,
    /// Anything else.
    #[error("invalid reference format")]
    Format,
}

impl RemoteName {
    /// Parses a name. Without a tag and a digest, the tag is `latest`.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn parse(text: &str) -> Result<RemoteName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let ImageName { repository, tag, digest } = ImageName::parse(text);
        let digest = digest.map(checked_digest).transpose()?;
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(NameError::Format);
        }
        let (registry, repository) = split_host(repository);
        if !(is_host(&registry) || is_component(&registry)) || !repository.split('/').all(is_component) {
            return Err(NameError::Format);
        }
        if repository.len() > MAX_REPOSITORY {
            return Err(NameError::Long);
        }
        let tag = tag.or(digest.is_none().then_some(DEFAULT_TAG)).map(str::to_owned);
        Ok(RemoteName { registry, repository, tag, digest })
    }

    /// The host to contact, with its port if the name has one.
    pub fn host(&self) -> &str {
        if self.registry == HUB { HUB_HOST } else { &self.registry }
    }

    /// The repository in its registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, with its algorithm.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl fmt::Display for RemoteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// The registry and the repository in it: if the first part is not a host, it belongs to Docker Hub.
fn split_host(name: &str) -> (String, String) {
    let (host, repository) = match name.split_once('/') {
        Some((host, repository)) if ImageName::parse(name).host() == host => (host, repository),
        _ => (HUB, name),
    };
    match (host, repository.contains('/')) {
        (HUB | HUB_HOST, false) => (HUB.to_owned(), format!("{OFFICIAL}/{repository}")),
        (HUB | HUB_HOST, true) => (HUB.to_owned(), repository.to_owned()),
        _ => (host.to_owned(), repository.to_owned()),
    }
}

/// Labels of letters, digits and inner hyphens, and a port.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Lowercase letters and digits, separated by one dot, one or two underscores, or hyphens.
fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let ends = |byte: Option<u8>| byte.is_some_and(is_plain);
    ends(text.bytes().next())
        && ends(text.bytes().last())
        && text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn checked_digest(text: &str) -> Result<String, NameError> {
    let (algorithm, digits) = text.split_once(':').ok_or(NameError::Format)?;
    let known = ALGORITHMS.iter().find(|(name, _)| *name == algorithm).ok_or(NameError::Format)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NameError::Format);
    }
    if digits.len() == known.1 { Ok(text.to_owned()) } else { Err(NameError::DigestLength) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NameError, RemoteName};

    /// A name as parsed by another crate, which uses the pattern of Docker's own documentation.
    fn elsewhere(text: &str) -> Option<(String, String)> {
        let read = text.parse::<oci_spec::distribution::Reference>().ok()?;
        // There, a host in capitals without a dot counts as a user's name on Docker Hub, which Docker refuses.
        let is_lower = read.repository().chars().all(|c| !c.is_ascii_uppercase());
        is_lower.then(|| (read.resolve_registry().to_owned(), read.whole()))
    }

    fn here(text: &str) -> Option<(String, String)> {
        RemoteName::parse(text).ok().map(|read| (read.host().to_owned(), read.to_string()))
    }

    #[test]
    fn names_have_their_parts() {
        let digest = format!("sha256:{}", "f".repeat(64));
        let (long, tag) = ("a".repeat(248), "t".repeat(129));
        for (text, expected) in [
            ("busybox", Ok("docker.io/library/busybox:latest")),
            ("index.docker.io/a/b:1", Ok("docker.io/a/b:1")),
            ("test.com:5000", Ok("docker.io/library/test.com:5000")),
            ("localhost/a", Ok("localhost/a:latest")),
            ("127.0.0.1:5000/a--b/c__d:T_1", Ok("127.0.0.1:5000/a--b/c__d:T_1")),
            (&*format!("ghcr.io/a/b@{digest}"), Ok(&*format!("ghcr.io/a/b@{digest}"))),
            (&*format!("a:1@{digest}"), Ok(&*format!("docker.io/library/a:1@{digest}"))),
            ("", Err(NameError::Empty)),
            (&long, Err(NameError::Long)),
            ("a@sha256:ff", Err(NameError::DigestLength)),
            ("a@md5:ffffffffffffffffffffffffffffffff", Err(NameError::Format)),
            ("Big", Err(NameError::Format)),
            ("a:\u{e9}", Err(NameError::Format)),
            (&*format!("a:{tag}"), Err(NameError::Format)),
        ] {
            assert_eq!(
                RemoteName::parse(text).map(|read| read.to_string()).as_deref(),
                expected.as_ref().copied()
            );
        }
    }

    proptest! {
        #[test]
        fn names_are_read_as_elsewhere(text in "([aZ0.:/@_-]|localhost|docker\\.io|sha256:[aF0]{64}){0,12}") {
            prop_assert_eq!(here(&text), elsewhere(&text));
        }

        #[test]
        fn whole_names_are_read_as_elsewhere(
            text in "([A-z0-9.-]{1,9}(:[0-9]{0,3})?/)?[a-z0-9]{1,3}([._/-]{1,2}[a-z0-9]{1,2}){0,3}(:[A-z0-9._-]{0,9})?"
        ) {
            prop_assert_eq!(here(&text), elsewhere(&text));
        }
    }
}
