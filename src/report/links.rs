//! Links to Dockerfile lines, commits, the run, and the documentation.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::image::DockerfileLines;

/// Characters that stay as they are in a URL's path (RFC 3986, unreserved characters, and the slash).
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The project's own page.
pub const HOME: &str = "https://github.com/layergate/layergate";
/// The meaning of the words in a comment.
pub const DOCS: &str = "https://github.com/layergate/layergate/blob/main/docs/limits.md";

/// Where to see the repository, the built commit and the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLinks {
    /// The repository's URL, such as `https://github.com/acme/api`.
    pub repository: String,
    /// The part before the commit in a file's URL: `blob`, or `src/commit` on Gitea.
    pub files: &'static str,
    /// The commit that was built.
    pub commit: String,
    /// The ID of the run.
    pub run: Option<u64>,
}

impl RunLinks {
    /// The URL of an instruction; `None` if its file is not in the repository.
    pub fn to(&self, lines: &DockerfileLines) -> Option<String> {
        let RunLinks { repository, files, commit, .. } = self;
        let path = repository_path(&lines.path)?;
        Some(format!("{repository}/{files}/{commit}/{path}#L{}", lines.line))
    }

    /// The URL of a commit; `None` for anything but a full hash, because a report from another job may contain
    /// anything.
    pub fn commit(&self, sha: &str) -> Option<String> {
        let is_hash = matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| format!("{}/commit/{sha}", self.repository))
    }

    /// The URL of the run.
    pub fn run(&self) -> Option<String> {
        self.run.map(|run| format!("{}/actions/runs/{run}", self.repository))
    }
}

/// A path relative to the repository, for a URL; `None` for one that leads outside.
pub fn repository_path(path: &str) -> Option<String> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let leaves = path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..");
    (!leaves).then(|| utf8_percent_encode(path, PATH).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_into_the_repository_alone() {
        let links = RunLinks {
            repository: "https://github.com/acme/api".into(),
            files: "blob",
            commit: "abc".into(),
            run: Some(9),
        };
        let to = |path: &str| links.to(&DockerfileLines { path: path.into(), line: 5, end_line: 7 });
        assert_eq!(
            to("./a b/Dockerfile").unwrap(),
            "https://github.com/acme/api/blob/abc/a%20b/Dockerfile#L5"
        );
        assert_eq!(to("x?y#z").unwrap(), "https://github.com/acme/api/blob/abc/x%3Fy%23z#L5");
        assert_eq!(to("/etc/Dockerfile"), None);
        assert_eq!(to("a/../../Dockerfile"), None);
        assert_eq!(to(""), None);
        let sha = "a".repeat(40);
        assert_eq!(links.commit(&sha).unwrap(), format!("https://github.com/acme/api/commit/{sha}"));
        assert_eq!(links.commit("../../settings"), None);
        assert_eq!(links.run().unwrap(), "https://github.com/acme/api/actions/runs/9");
    }
}
