//! One comment for each pull request and key: created once, edited after.
//!
//! Our comment is recognized by a hidden marker at its start **and** by its author: anyone can write the marker.

use http::Method;
use serde_json::{Value, json};

use super::client::{ApiRequest, Client, GithubError};
use super::context::RunId;
use super::forge::Forge;

/// Comments on one page (GitHub REST API, "List issue comments": at most 100).
const PAGE: usize = 100;
/// Maximum number of pages to search.
const MAX_PAGES: usize = 100;

/// The start of the hidden data that a comment carries.
const CARRIES: &str = "<!-- layergate carries ";
const CARRIED: &str = " -->";

/// Where a comment belongs, and its author.
pub struct CommentTarget<'a> {
    /// The repository's owner.
    pub owner: &'a str,
    /// The repository's name.
    pub repository: &'a str,
    /// The pull request.
    pub number: u64,
    /// The key that distinguishes several gates on one pull request.
    pub key: &'a str,
    /// The login that the token writes under.
    pub author: &'a str,
}

/// What a comment says about the run that wrote it.
#[derive(Debug, Clone, Copy)]
pub struct CommentOrigin<'a> {
    /// The verdict, in one word.
    pub verdict: &'a str,
    /// The head commit.
    pub sha: &'a str,
    /// The run, if any.
    pub run: Option<RunId>,
}

/// The outcome of updating a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommentOutcome {
    /// It was created; its URL, and the login that it was written under.
    Created(String, String),
    /// It was edited.
    Updated(Edited),
    /// It did not exist, and none was wanted.
    NotNeeded,
    /// A newer run has already written it; its URL.
    NewerExists(String),
}

/// A comment that was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// Its address.
    pub url: String,
    /// Its GraphQL node ID; empty if the server does not say.
    pub node_id: String,
    /// The verdict that it had before, if it stated one.
    pub verdict_before: Option<String>,
}

/// The hidden first line of a comment.
pub fn marker(key: &str, origin: CommentOrigin<'_>) -> String {
    let run = origin.run.map(|run| format!(" run={}.{}", run.id, run.attempt)).unwrap_or_default();
    format!("{}verdict={} sha={}{run} -->\n", marker_start(key), origin.verdict, origin.sha)
}

/// A hidden line with data for later runs. It must not contain `-->`.
pub fn carrying(text: &str) -> String {
    format!("{CARRIES}{text}{CARRIED}\n")
}

/// The data that the comment carries; `None` if there is no comment, it is about another commit, or it carries no data.
///
/// # Errors
/// [`GithubError`].
pub async fn carried(
    client: &Client,
    place: &CommentTarget<'_>,
    sha: &str,
) -> Result<Option<String>, GithubError> {
    let found = place.find(client).await?.filter(|found| found.sha.as_deref() == Some(sha));
    Ok(found.and_then(|found| found.carried))
}

fn marker_start(key: &str) -> String {
    format!("<!-- layergate key={key} ")
}

/// Whether a key may be part of a marker.
pub fn is_key(key: &str) -> bool {
    (1..=64).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !key.contains("--")
}

/// Creates the comment, or edits the existing one. Without `create`, a missing comment is not created.
///
/// # Errors
/// [`GithubError`]. If creation seems to have failed, the comment is looked for before another try.
pub async fn upsert(
    client: &Client,
    place: &CommentTarget<'_>,
    origin: CommentOrigin<'_>,
    body: &str,
    create: bool,
) -> Result<CommentOutcome, GithubError> {
    let body = format!("{}{body}", marker(place.key, origin));
    let mut found = place.find(client).await?;
    // Read before the first try: an edit whose answer was lost has already put its own verdict there. If there was no
    // comment, nobody has seen another verdict.
    let before = found.as_ref().map(|existing| existing.verdict.clone());
    // If the comment was deleted after it was found, or the answer to its creation was lost, it is looked for once
    // more.
    for last_try in [false, true] {
        let result = match &found {
            Some(existing) if existing.run > origin.run => {
                return Ok(CommentOutcome::NewerExists(existing.url.clone()));
            }
            Some(existing) => place.edit(client, existing.id, &body).await.map(|url| {
                let verdict_before = before.clone().unwrap_or_else(|| existing.verdict.clone());
                let node_id = existing.node_id.clone();
                CommentOutcome::Updated(Edited { url, node_id, verdict_before })
            }),
            None if create => {
                place.create(client, &body).await.map(|(url, author)| CommentOutcome::Created(url, author))
            }
            None => return Ok(CommentOutcome::NotNeeded),
        };
        match result {
            Err(error) if !last_try && (error.is_passing() || error.is_not_found()) => {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                found = place.find(client).await?;
            }
            result => return result,
        }
    }
    Ok(CommentOutcome::NotNeeded)
}

/// The login that a token writes under. The token of a workflow run may not ask (`GET /user`), but its comments always
/// have the same author.
///
/// # Errors
/// [`GithubError`].
pub async fn author(client: &Client, token: &str, forge: Forge) -> Result<String, GithubError> {
    let of_runs = || forge.actions_login().to_owned();
    if token.starts_with("ghs_") {
        return Ok(of_runs());
    }
    let request = ApiRequest {
        method: Method::GET,
        path: "/user".into(),
        body: None,
        operation: "ask whose token this is",
        permission: "metadata: read",
    };
    match client.send(&request).await {
        Ok(user) => Ok(user.get("login").and_then(Value::as_str).map_or_else(of_runs, str::to_owned)),
        Err(GithubError::Permission { .. }) => Ok(of_runs()),
        // An invalid token is reported by the next request.
        Err(GithubError::Unauthorized { .. }) if forge != Forge::Github => Ok(of_runs()),
        Err(error) if error.is_not_found() => Ok(of_runs()),
        Err(error) => Err(error),
    }
}

struct ExistingComment {
    id: u64,
    url: String,
    node_id: String,
    verdict: Option<String>,
    /// The commit that the comment is about.
    sha: Option<String>,
    run: Option<RunId>,
    /// The hidden data that it carries.
    carried: Option<String>,
}

impl CommentTarget<'_> {
    async fn find(&self, client: &Client) -> Result<Option<ExistingComment>, GithubError> {
        let start = marker_start(self.key);
        let mut first_before = None;
        for page in 1..=MAX_PAGES {
            let request = ApiRequest {
                method: Method::GET,
                path: format!("{}?per_page={PAGE}&page={page}", self.comments_path()),
                body: None,
                operation: "list the pull request's comments",
                permission: "pull-requests: read",
            };
            let answer = client.send(&request).await?;
            let comments = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(found) = comments.iter().find_map(|comment| self.read(comment, &start)) {
                return Ok(Some(found));
            }
            // Gitea and Forgejo do not page comments: they send all, and would send the same again.
            let first = comments.first().and_then(|comment| comment.get("id")?.as_u64());
            if comments.len() != PAGE || first == first_before {
                break;
            }
            first_before = first;
        }
        Ok(None)
    }

    fn read(&self, comment: &Value, start: &str) -> Option<ExistingComment> {
        let author = comment.pointer("/user/login")?.as_str()?;
        let marker = comment.get("body")?.as_str()?.strip_prefix(start)?;
        let (marker, second) = (marker.lines().next()?, marker.lines().nth(1));
        let carried = second.and_then(|line| line.strip_prefix(CARRIES)?.strip_suffix(CARRIED));
        let word = |name: &str| marker.split(' ').find_map(|word| word.strip_prefix(name));
        let run = word("run=").and_then(|run| run.split_once('.'));
        let run = run
            .and_then(|(id, attempt)| Some(RunId { id: id.parse().ok()?, attempt: attempt.parse().ok()? }));
        author.eq_ignore_ascii_case(self.author).then_some(())?;
        Some(ExistingComment {
            id: comment.get("id")?.as_u64()?,
            url: url_of(comment),
            node_id: comment.get("node_id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            verdict: word("verdict=").map(str::to_owned),
            sha: word("sha=").map(str::to_owned),
            run,
            carried: carried.map(str::to_owned),
        })
    }

    async fn create(&self, client: &Client, body: &str) -> Result<(String, String), GithubError> {
        let request = ApiRequest {
            method: Method::POST,
            path: self.comments_path(),
            body: Some(json!({ "body": body })),
            operation: "comment on the pull request",
            permission: "pull-requests: write",
        };
        let comment = client.send(&request).await?;
        let author = comment.pointer("/user/login").and_then(Value::as_str).unwrap_or(self.author);
        Ok((url_of(&comment), author.to_owned()))
    }

    async fn edit(&self, client: &Client, id: u64, body: &str) -> Result<String, GithubError> {
        let request = ApiRequest {
            method: Method::PATCH,
            path: format!("/repos/{}/{}/issues/comments/{id}", self.owner, self.repository),
            body: Some(json!({ "body": body })),
            operation: "edit the comment on the pull request",
            permission: "pull-requests: write",
        };
        client.send(&request).await.map(|comment| url_of(&comment))
    }

    fn comments_path(&self) -> String {
        format!("/repos/{}/{}/issues/{}/comments", self.owner, self.repository, self.number)
    }
}

fn url_of(comment: &Value) -> String {
    comment.get("html_url").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_marker_by_our_own_author_is_ours() {
        let place = CommentTarget { owner: "o", repository: "r", number: 1, key: "default", author: "bot" };
        let run = Some(RunId { id: 7, attempt: 2 });
        let own = marker("default", CommentOrigin { verdict: "warn", sha: "abc", run });
        let comment = |login: &str, body: &str| json!({"id": 5, "html_url": "u", "user": {"login": login}, "body": body});
        let read = |value: &Value| place.read(value, &marker_start("default")).map(|found| found.run);
        assert_eq!(read(&comment("bot", &own)), Some(run));
        let verdict = |body: &str| place.read(&comment("bot", body), &marker_start("default"))?.verdict;
        assert_eq!(verdict(&own).as_deref(), Some("warn"));
        // As earlier versions wrote it.
        assert_eq!(verdict(&own.replace("verdict=warn ", "")), None);
        let carries =
            |login: &str, body: &str| place.read(&comment(login, body), &marker_start("default"))?.carried;
        let carrying = format!("{own}{}### x", carrying("[1]"));
        assert_eq!(carries("bot", &carrying).as_deref(), Some("[1]"));
        assert_eq!(carries("bot", &carrying.replace('\n', "\r\n")).as_deref(), Some("[1]"));
        assert_eq!(carries("bot", &format!("{own}### x\n<!-- layergate carries [1] -->")), None);
        assert_eq!(carries("someone", &carrying), None);
        assert_eq!(read(&comment("someone", &own)), None);
        assert_eq!(read(&comment("bot", &format!("> {own}"))), None);
        assert_eq!(read(&comment("bot", &own.replace("default", "default2"))), None);
        assert_eq!(read(&json!({"id": 5, "user": null, "body": own})), None);
    }

    #[test]
    fn a_key_cannot_end_the_marker() {
        assert!(is_key("default") && is_key("api.v2_x-y"));
        for bad in ["", "a b", "-->", "a--b", "a>b", &"x".repeat(65)] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
