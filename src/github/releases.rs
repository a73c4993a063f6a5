//! The newest release (GitHub REST API, "Get the latest release": neither a draft nor a pre-release).

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::{ApiRequest, GithubError};
use super::repository::Repository;

const READ: &str = "contents: read";
const OPERATION: &str = "look up the newest release";
/// Characters escaped in one part of a path (RFC 3986, "Unreserved Characters").
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its tag.
    pub tag: String,
    /// The full hash of the commit that the tag points to.
    pub commit: String,
}

/// The newest release; `None` if there is none.
///
/// # Errors
/// [`GithubError`].
pub async fn newest(repository: &Repository) -> Result<Option<Release>, GithubError> {
    let text = async |path: String, field: &str| {
        let request =
            ApiRequest { method: Method::GET, path, body: None, operation: OPERATION, permission: READ };
        let found = repository.client().send(&request).await?;
        let text = found.get(field).and_then(|text| text.as_str()).map(str::to_owned);
        text.ok_or_else(|| GithubError::Unusable {
            operation: OPERATION.into(),
            message: format!("the answer has no `{field}`"),
        })
    };
    let name = repository.full_name();
    let tag = match text(format!("/repos/{name}/releases/latest"), "tag_name").await {
        Err(error) if error.is_not_found() => return Ok(None),
        tag => tag?,
    };
    // With `tags/`, because a branch may have the same name.
    let reference = utf8_percent_encode(&format!("tags/{tag}"), ESCAPED).to_string();
    let commit = text(format!("/repos/{name}/commits/{reference}"), "sha").await?;
    Ok(Some(Release { tag, commit }))
}
