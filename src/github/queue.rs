//! Merge queues: the pull requests that the commits below a group belong to (GitHub REST API, "List matching
//! references" and "List pull requests associated with a commit"). Commit messages are not used, because their authors
//! could write anything. Nor is the name of a branch alone: anyone who may push can make one that looks like a queue's.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::{ApiRequest, GithubError};
use super::contents;
use super::context::queued;
use super::repository::Repository;

const OPERATION: &str = "find what is ahead in the merge queue";
/// Characters escaped in a branch name, in which slashes separate parts of a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The pull requests that commits of a queue, or of its target branch, belong to: each with the index of its first
/// commit. Commits without a pull request are left out. The first commit is the last entry of the queue, and each is the
/// first parent of the one before.
///
/// # Errors
/// [`GithubError`].
pub async fn pulls_of(
    repository: &Repository,
    branch: &str,
    commits: &[String],
) -> Result<Vec<(usize, u64)>, GithubError> {
    let name = repository.full_name();
    let get = async |path: String, permission: &'static str| {
        let request = ApiRequest { method: Method::GET, path, body: None, operation: OPERATION, permission };
        repository.client().send(&request).await
    };
    let start = utf8_percent_encode(&format!("heads/gh-readonly-queue/{branch}/"), ESCAPED).to_string();
    let tip = contents::tip_of(repository, branch).await?;
    let branches = get(format!("/repos/{name}/git/matching-refs/{start}"), "contents: read").await?;
    // Each entry has its own branch until it is merged, so if a commit has two, one is somebody else's.
    let of_queue = |commit: &str| {
        let all = branches.as_array().into_iter().flatten();
        let mut own = all
            .filter(|one| text(one, "/object/sha") == Some(commit))
            .filter_map(|one| queued(text(one, "/ref")?));
        own.next().filter(|_| own.next().is_none())
    };
    // Each entry names the one that it is based on. Commits between two entries, and those of the target branch, have no
    // branch of the queue.
    let mut entry = commits.first().map(String::as_str);
    let mut found: Vec<(usize, u64)> = Vec::new();
    for (place, commit) in commits.iter().enumerate() {
        entry = entry.filter(|_| *commit != tip);
        let number = match entry.filter(|entry| entry == commit).and_then(of_queue) {
            Some((number, base)) => {
                entry = Some(base);
                Some(number)
            }
            None => {
                let listed =
                    get(format!("/repos/{name}/commits/{commit}/pulls"), "pull-requests: read").await;
                merged_into(branch, &missing_is_none(listed)?)
            }
        };
        if let Some(number) = number.filter(|number| !found.iter().any(|(_, other)| other == number)) {
            found.push((place, number));
        }
    }
    Ok(found)
}

/// The pull request that brought a commit to a branch. Open ones do not count: they may contain any commit.
fn merged_into(branch: &str, listed: &Value) -> Option<u64> {
    let mut all = listed.as_array().into_iter().flatten();
    let is_it = |pull: &&Value| text(pull, "/merged_at").is_some() && text(pull, "/base/ref") == Some(branch);
    all.find(is_it)?.get("number")?.as_u64()
}

fn missing_is_none(listed: Result<Value, GithubError>) -> Result<Value, GithubError> {
    match listed {
        Err(error) if error.is_not_found() => Ok(Value::Null),
        Err(GithubError::Status { status: 422, .. }) => Ok(Value::Null),
        listed => listed,
    }
}

fn text<'a>(of: &'a Value, pointer: &str) -> Option<&'a str> {
    of.pointer(pointer)?.as_str()
}
