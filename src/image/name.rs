//! The name of an image as engines accept it: `[HOST/]PATH[:TAG][@DIGEST]`.
//!
//! Names are split and not validated: they come from Dockerfiles and indexes, where they may be anything.
//! [`crate::registry::RemoteName`] validates a name before a registry is asked for it.

/// A name, split into its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageName<'a> {
    /// Everything before the tag and the digest, as written.
    pub repository: &'a str,
    /// The tag, if there is one.
    pub tag: Option<&'a str>,
    /// The digest, if there is one.
    pub digest: Option<&'a str>,
}

impl<'a> ImageName<'a> {
    /// Splits a name.
    pub fn parse(text: &'a str) -> ImageName<'a> {
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        // A colon further left belongs to a port.
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let (repository, tag) = match name[last..].find(':') {
            Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
            None => (name, None),
        };
        ImageName { repository, tag, digest }
    }

    /// The registry; empty if none is named, which means Docker Hub.
    pub fn host(&self) -> &'a str {
        match self.repository.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
            _ => "",
        }
    }

    /// The last component of the repository: `api` of `registry:5000/team/api`.
    pub fn last(&self) -> &'a str {
        self.repository.rsplit('/').next().unwrap_or(self.repository)
    }

    /// The repository as people write it: `python` for `docker.io/library/python`.
    pub fn short(&self) -> &'a str {
        let name = self.repository.strip_prefix("docker.io/").unwrap_or(self.repository);
        name.strip_prefix("library/").unwrap_or(name)
    }

    /// The same with the tag and the digest: two names of one image are equal in this form.
    pub fn canonical(&self) -> String {
        let mut name = self.short().to_owned();
        match (self.tag, self.digest) {
            (None, None) => name.push_str(":latest"),
            (tag, digest) => {
                name.extend(tag.into_iter().flat_map(|tag| [":", tag]));
                name.extend(digest.into_iter().flat_map(|digest| ["@", digest]));
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart() {
        for (text, host, repository, tag, digest) in [
            ("app", "", "app", None, None),
            ("team/app:1.2", "", "team/app", Some("1.2"), None),
            ("localhost/app:", "localhost", "localhost/app", Some(""), None),
            ("reg:5000/app", "reg:5000", "reg:5000/app", None, None),
            ("ghcr.io/a/b:1@sha256:ab", "ghcr.io", "ghcr.io/a/b", Some("1"), Some("sha256:ab")),
            ("app@sha256:ab", "", "app", None, Some("sha256:ab")),
            ("", "", "", None, None),
        ] {
            let name = ImageName::parse(text);
            assert_eq!(
                (name.host(), name.repository, name.tag, name.digest),
                (host, repository, tag, digest),
                "{text}"
            );
        }
        assert_eq!(ImageName::parse("reg:5000/team/api:1.2@sha256:ab").last(), "api");
    }

    #[test]
    fn names_of_one_image_have_one_form() {
        for text in ["python", "python:latest", "library/python", "docker.io/library/python:latest"] {
            assert_eq!(ImageName::parse(text).canonical(), "python:latest", "{text}");
        }
        for text in ["python:3", "team/python:latest", "localhost/python:latest", "python@sha256:ab"] {
            assert_ne!(ImageName::parse(text).canonical(), "python:latest", "{text}");
        }
        assert_eq!(ImageName::parse("docker.io/a/b:1@sha256:ab").canonical(), "a/b:1@sha256:ab");
    }
}
