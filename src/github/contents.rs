//! A file of a repository at a branch, without a checkout (GitHub REST API, "Get repository content").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::{Client, GithubError, Request};

/// The text of a file; `None` where the branch has no such file. GitHub gives the content of files up to 1 MB, and
/// what is there and is no such file is an error.
///
/// # Errors
/// [`GithubError`].
pub async fn text_of(
    client: &Client,
    (owner, repository): (&str, &str),
    path: &str,
    reference: &str,
) -> Result<Option<String>, GithubError> {
    let reference = utf8_percent_encode(reference, NON_ALPHANUMERIC);
    let request = Request {
        method: Method::GET,
        path: format!("/repos/{owner}/{repository}/contents/{path}?ref={reference}"),
        body: None,
        operation: "read the configuration of the target branch",
        permission: "contents: read",
    };
    match client.send(&request).await {
        Ok(found) => decoded(&found).map(Some).ok_or_else(|| GithubError::Unusable {
            operation: request.operation.to_owned(),
            message: format!("{path} is there, and is no plain file of text of up to 1 MB"),
        }),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a plain file has; a directory, a link and a submodule have none.
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
