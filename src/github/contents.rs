//! A file of a repository at a branch, without a checkout (GitHub REST API, "Get repository content").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::{ApiRequest, GithubError};
use super::repository::Repository;

const READ: &str = "contents: read";
/// Characters escaped in one part of a path (RFC 3986, "Unreserved Characters").
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The commit at the tip of a branch (GitHub REST API, "Get a branch"). If this succeeds, the token may read that
/// commit, so a file that is then not found does not exist.
///
/// # Errors
/// [`GithubError`]; also if the branch does not exist, or the token may not see it.
pub async fn tip_of(repository: &Repository, branch: &str) -> Result<String, GithubError> {
    let operation = format!("read the branch {branch}, whose configuration counts");
    let name = utf8_percent_encode(branch, ESCAPED);
    let path = format!("/repos/{}/branches/{name}", repository.full_name());
    let request =
        ApiRequest { method: Method::GET, path, body: None, operation: &operation, permission: READ };
    let found = match repository.client().send(&request).await {
        // GitHub answers 404 to a token that may not read the repository.
        Err(GithubError::Status { operation, status: status @ 404, message }) => {
            return Err(GithubError::Permission { operation, status, message, permission: READ });
        }
        found => found?,
    };
    // Gitea and Forgejo call it `id`.
    let sha = ["/commit/sha", "/commit/id"].into_iter().find_map(|at| found.pointer(at)?.as_str());
    sha.map(str::to_owned).ok_or_else(|| GithubError::Unusable {
        operation: request.operation.to_owned(),
        message: "the answer names no commit".into(),
    })
}

/// The text of a file at a commit; `None` if the commit has no such file. GitHub returns the content of files up to 1
/// MB; anything else that exists is an error. `operation` says what it is read for, to follow "cannot".
///
/// # Errors
/// [`GithubError`].
pub async fn text_of(
    repository: &Repository,
    file: &str,
    commit: &str,
    operation: &str,
) -> Result<Option<String>, GithubError> {
    let parts: Vec<String> =
        file.split('/').map(|part| utf8_percent_encode(part, ESCAPED).to_string()).collect();
    let (path, commit) = (parts.join("/"), utf8_percent_encode(commit, ESCAPED));
    let request = ApiRequest {
        method: Method::GET,
        path: format!("/repos/{}/contents/{path}?ref={commit}", repository.full_name()),
        body: None,
        operation,
        permission: READ,
    };
    match repository.client().send(&request).await {
        Ok(found) => decoded(&found).map(Some).ok_or_else(|| GithubError::Unusable {
            operation: request.operation.to_owned(),
            message: format!("{file} is not a plain text file of up to 1 MB"),
        }),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The content of a plain file; directories, links and submodules have none.
fn decoded(found: &Value) -> Option<String> {
    let text = |name: &str| found.get(name).and_then(Value::as_str);
    if text("type") != Some("file") || text("encoding") != Some("base64") {
        return None;
    }
    let lines: String = text("content")?.split_ascii_whitespace().collect();
    String::from_utf8(STANDARD.decode(lines).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_file_has_a_text() {
        let file = json!({ "type": "file", "encoding": "base64", "content": "W2xp\nbWl0c10K\n" });
        assert_eq!(decoded(&file).as_deref(), Some("[limits]\n"));
        for other in [
            json!([]),
            json!({ "type": "symlink", "target": "/etc/passwd" }),
            json!({ "type": "file", "encoding": "none", "content": "" }),
            json!({ "type": "file", "encoding": "base64", "content": "/w==" }),
        ] {
            assert_eq!(decoded(&other), None, "{other}");
        }
    }
}
