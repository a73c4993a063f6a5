//! Paths inside a repository, as builds name them.

/// Longest path that is looked at.
const MAX_LENGTH: usize = 1024;

/// A path relative to `directory`, as a path from the root; `.` is the root itself. `None` if it leaves the root, is
/// an address, or has control or invisible characters.
pub fn join(directory: &str, path: &str) -> Option<String> {
    let is_address = path.contains("://") || path.starts_with("git@") || path.starts_with("github.com/");
    let odd = |c: char| c.is_control() || c == '\\' || crate::image::text::is_invisible(c);
    if path.is_empty() || is_address || path.starts_with(['/', '~']) || path.contains(odd) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    (joined.len() <= MAX_LENGTH).then(|| if joined.is_empty() { ".".to_owned() } else { joined })
}

/// The directory that a file is in.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

/// The last part.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_repository() {
        for (directory, path, expected) in [
            (".", ".", Some(".")),
            (".", "./api/", Some("api")),
            ("services/api", "../web/Dockerfile", Some("services/web/Dockerfile")),
            ("api", "..", Some(".")),
            ("api", "../..", None),
            (".", "../x", None),
            (".", "/etc", None),
            (".", "~/x", None),
            (".", "https://x.example/y.git", None),
            (".", "git@x.example:y", None),
            (".", "a\nb", None),
            (".", "a\u{202e}b", None),
            (".", "-x $(y) 'z'", Some("-x $(y) 'z'")),
            (".", "", None),
        ] {
            assert_eq!(join(directory, path).as_deref(), expected, "{directory} {path}");
        }
    }
}
