//! What images are called: by what their builds call them, or by where their Dockerfile is.

use super::path;
use crate::dockerfile::UNKNOWN;

/// Longer names do not fit into a table.
const MAX_LENGTH: usize = 40;
/// Words that an image is read by, and that it cannot be called by where a tag follows: `oci:ci` is a directory.
pub const TRANSPORTS: [&str; 12] = [
    "docker",
    "docker-daemon",
    "docker-archive",
    "oci",
    "oci-archive",
    "inspect",
    "snapshot",
    // Those that layergate knows and does not read.
    "containers-storage",
    "dir",
    "sif",
    "ostree",
    "tarball",
];
/// Directories that say nothing of what is in them.
const GENERIC: [&str; 12] = [
    "docker",
    ".docker",
    "dockerfiles",
    "build",
    "package",
    "deploy",
    "deployment",
    "container",
    "containers",
    "ci",
    "images",
    "src",
];

/// A name that layergate, an engine and a shell take as it is: small letters, digits and single hyphens. Nothing
/// where the text has none of these.
pub fn plain(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.chars().take(4 * MAX_LENGTH) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
        if name.len() >= MAX_LENGTH {
            break;
        }
    }
    let name = name.trim_end_matches('-').to_owned();
    match name.is_empty() {
        true => None,
        false if TRANSPORTS.contains(&name.as_str()) => Some(format!("{name}-image")),
        false => Some(name),
    }
}

/// The name in a reference such as `ghcr.io/acme/api:1.2`, where that part of it is known.
pub fn of_reference(reference: &str) -> Option<String> {
    let last = reference.trim().rsplit('/').next()?;
    let name = last.split(['@', ':']).next()?;
    Some(name.to_owned()).filter(|name| !name.contains(UNKNOWN) && plain(name).is_some())
}

/// The name that the place of a Dockerfile gives: `api/Dockerfile`, `Dockerfile.api` and `api.Dockerfile` are all
/// of `api`. Nothing for one at the root.
pub fn of_path(dockerfile: &str) -> Option<String> {
    let file = path::name(dockerfile);
    let lower = file.to_ascii_lowercase();
    let own = ["dockerfile.", "containerfile."].iter().find_map(|start| lower.strip_prefix(start));
    let own = own.or_else(|| lower.strip_suffix(".dockerfile")).filter(|own| plain(own).is_some());
    if let Some(own) = own {
        return Some(own.to_owned());
    }
    let mut directories = path::parent(dockerfile).rsplit('/').filter(|part| *part != ".");
    directories.find(|part| !GENERIC.contains(part) && plain(part).is_some()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_tool_takes() {
        for (text, expected) in [
            ("api", Some("api")),
            ("My App_2", Some("my-app-2")),
            ("--$(x)--", Some("x")),
            ("oci", Some("oci-image")),
            ("\u{e9}", None),
            ("...", None),
        ] {
            assert_eq!(plain(text).as_deref(), expected, "{text}");
        }
        assert!(plain(&"a-".repeat(300)).unwrap().len() <= MAX_LENGTH);
    }

    #[test]
    fn names_come_from_references_and_places() {
        assert_eq!(of_reference("localhost:5000/acme/api@sha256:0").as_deref(), Some("api"));
        assert_eq!(of_reference(&format!("ghcr.io/{UNKNOWN}:1")), None);
        for (path, expected) in [
            ("Dockerfile", None),
            ("services/api/Dockerfile", Some("api")),
            ("build/package/Dockerfile", None),
            ("api/docker/Dockerfile", Some("api")),
            ("docker/Dockerfile.worker", Some("worker")),
            ("web.Dockerfile", Some("web")),
        ] {
            assert_eq!(of_path(path).as_deref(), expected, "{path}");
        }
    }
}
