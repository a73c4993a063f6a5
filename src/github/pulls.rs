//! Pull requests: by number, or by the head that a run was about (GitHub REST API, "Pulls").

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::{ApiRequest, Client, GithubError};
use super::context::{PullRequest, WorkflowRun, read_pull_request};

/// Pull requests on one page (GitHub REST API, "List pull requests": at most 100).
const PAGE: usize = 100;
const READ: &str = "pull-requests: read";

/// The pull request of a number; `None` if there is none.
///
/// # Errors
/// [`GithubError`].
pub async fn of_number(
    client: &Client,
    (owner, repository): (&str, &str),
    number: u64,
) -> Result<Option<PullRequest>, GithubError> {
    let path = format!("/repos/{owner}/{repository}/pulls/{number}");
    match client.send(&request(path, "look up the pull request")).await {
        Ok(found) => Ok(read_pull_request(&found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A commit as the tip of a branch of a repository.
#[derive(Debug, Clone, Copy)]
pub struct Tip<'a> {
    /// The commit.
    pub sha: &'a str,
    /// The branch, by its short name.
    pub branch: &'a str,
    /// The repository, as `owner/name`; for a fork, the fork's.
    pub repository: &'a str,
}

/// The open pull requests whose head is exactly the one that a run was about. Nothing in a received report is used for
/// this.
///
/// # Errors
/// [`GithubError`].
pub async fn of_run(
    client: &Client,
    place: (&str, &str),
    run: &WorkflowRun,
) -> Result<Vec<PullRequest>, GithubError> {
    let tip = Tip { sha: &run.head_sha, branch: &run.head_branch, repository: &run.head_repository };
    of_tip(client, place, tip, "find the pull request of the run").await
}

/// The open pull requests that have exactly this head: the same commit of the same branch of the same repository.
/// `operation` says what they are looked for, to follow "cannot".
///
/// # Errors
/// [`GithubError`].
pub async fn of_tip(
    client: &Client,
    (owner, repository): (&str, &str),
    tip: Tip<'_>,
    operation: &str,
) -> Result<Vec<PullRequest>, GithubError> {
    let Some((head_owner, _)) = tip.repository.split_once('/') else { return Ok(Vec::new()) };
    let head = format!("{head_owner}:{}", tip.branch);
    let head = utf8_percent_encode(&head, NON_ALPHANUMERIC);
    let path = format!("/repos/{owner}/{repository}/pulls?state=open&head={head}&per_page={PAGE}");
    let listed = client.send(&request(path, operation)).await?;
    let is_its = |pull: &&Value| {
        let text = |pointer: &str| pull.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text("/head/sha") == tip.sha
            && text("/head/ref") == tip.branch
            && text("/head/repo/full_name").eq_ignore_ascii_case(tip.repository)
    };
    let listed = listed.as_array().into_iter().flatten();
    Ok(listed.filter(is_its).filter_map(read_pull_request).collect())
}

fn request(path: String, operation: &str) -> ApiRequest<'_> {
    ApiRequest { method: Method::GET, path, body: None, operation, permission: READ }
}
