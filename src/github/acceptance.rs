//! A pull request's labels and commit messages, and who added a label (GitHub REST API, "Issues", "Timeline events" and
//! "Pulls").

use http::Method;
use serde_json::Value;

use super::client::{ApiRequest, Client, GithubError};

/// Entries per page (GitHub REST API: at most 100), and how many pages are searched.
const PAGE: usize = 100;
const MAX_PAGES: usize = 10;
const READ: &str = "pull-requests: read";

/// A pull request, and the client to read it with.
pub struct Pull<'a> {
    /// The client.
    pub client: &'a Client,
    /// `owner`, `name`.
    pub repository: (&'a str, &'a str),
    /// Its number.
    pub number: u64,
}

/// Who added a label, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The login; `None` if the account was deleted.
    pub by: Option<String>,
    /// As GitHub writes it.
    pub at: String,
}

/// A commit's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The commit.
    pub sha: String,
    /// Its full text.
    pub text: String,
    /// Its author's name.
    pub author: String,
    /// When it was committed, as GitHub writes it.
    pub at: String,
}

impl Pull<'_> {
    /// Its current labels; an event's file has those at the time it was sent.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn labels(&self) -> Result<Vec<String>, GithubError> {
        let issue = self.get(&format!("issues/{}", self.number), "read the pull request's labels").await?;
        Ok(label_names(&issue))
    }

    /// Who last added a label; `None` if that is too long ago to be found.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn labelled(&self, label: &str) -> Result<Option<Labelled>, GithubError> {
        let mut last = None;
        for page in 1..=MAX_PAGES {
            let path = format!("issues/{}/timeline?per_page={PAGE}&page={page}", self.number);
            let events = self.get(&path, "read who set the label").await?;
            let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
            let sets = |event: &Value| {
                let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
                let is_it = text("/event") == Some("labeled")
                    && text("/label/name").is_some_and(|name| name.eq_ignore_ascii_case(label));
                let by = text("/actor/login").map(str::to_owned);
                is_it.then_some(Labelled { by, at: text("/created_at")?.to_owned() })
            };
            last = events.iter().filter_map(sets).next_back().or(last);
            if events.len() < PAGE {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// The messages of its commits, oldest first; GitHub lists 250 at most.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn messages(&self) -> Result<Vec<Message>, GithubError> {
        let mut messages = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("pulls/{}/commits?per_page={PAGE}&page={page}", self.number);
            let commits = self.get(&path, "read the pull request's commits").await?;
            let commits = commits.as_array().map(Vec::as_slice).unwrap_or_default();
            let message = |commit: &Value| {
                let text = |pointer: &str| commit.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
                Some(Message {
                    sha: text("/sha")?,
                    text: text("/commit/message")?,
                    author: text("/commit/author/name").unwrap_or_default(),
                    at: text("/commit/committer/date").unwrap_or_default(),
                })
            };
            messages.extend(commits.iter().filter_map(message));
            if commits.len() < PAGE {
                break;
            }
        }
        Ok(messages)
    }

    async fn get(&self, path: &str, operation: &str) -> Result<Value, GithubError> {
        let (owner, name) = self.repository;
        let path = format!("/repos/{owner}/{name}/{path}");
        let request = ApiRequest { method: Method::GET, path, body: None, operation, permission: READ };
        self.client.send(&request).await
    }
}

/// The names of the labels of an issue or a pull request.
pub(super) fn label_names(of: &Value) -> Vec<String> {
    let labels = of.get("labels").and_then(Value::as_array).into_iter().flatten();
    labels.filter_map(|label| Some(label.get("name")?.as_str()?.to_owned())).collect()
}
