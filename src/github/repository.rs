//! One repository on GitHub: its commits, and the objects and references of its Git database (GitHub REST API, "Git
//! database" and "Commits"). Needs neither a checkout nor a `git` program.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::client::{ApiRequest, Client, GithubError};
use crate::image::snapshot::Commit;

/// Commits on one page (GitHub REST API, "List commits": at most 100).
const PAGE: usize = 100;
/// The permissions for reading and for writing.
const READ: &str = "contents: read";
const WRITE: &str = "contents: write";

/// A repository, and the client for it.
pub struct Repository {
    client: Client,
    owner: String,
    name: String,
}

/// A file or a directory in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its path in the tree.
    pub path: String,
    /// The hash of its content.
    pub sha: String,
}

/// A difference between a new tree and its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeChange {
    /// A file with this text.
    Text(String),
    /// An existing blob, by its hash.
    Blob(String),
    /// A deleted file.
    Deleted,
}

/// The outcome of updating a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceUpdate {
    /// It points to the new commit.
    Done,
    /// Somebody else was faster.
    Conflict,
}

impl Repository {
    /// `owner/name`, as a client sees it.
    pub fn new(client: Client, owner: &str, name: &str) -> Repository {
        Repository { client, owner: owner.into(), name: name.into() }
    }

    /// `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The client of its API.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The commit that a reference points to, such as `refs/heads/main`; `None` if it does not exist.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn reference(&self, name: &str) -> Result<Option<String>, GithubError> {
        // Also lists references that only start with the name. Unlike a request for just one, this distinguishes a
        // missing reference from a repository that does not exist or that the token may not see.
        let path = format!("git/matching-refs/{}", below_refs(name));
        let operation = "look up the baseline branch";
        let listed = match self.read(&path, operation).await {
            // An empty repository has no references.
            Err(GithubError::Status { status: 409, .. }) => return Ok(None),
            Err(GithubError::Status { status, message, operation }) if status == 404 => {
                return Err(GithubError::Permission { operation, status, message, permission: READ });
            }
            listed => listed?,
        };
        let mut listed = listed.as_array().into_iter().flatten();
        let found = listed.find(|reference| reference.get("ref").and_then(Value::as_str) == Some(name));
        found.map(|found| self.text(found, "/object/sha")).transpose()
    }

    /// A commit: its parents, and its tree.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn commit(&self, sha: &str) -> Result<Option<(Commit, String)>, GithubError> {
        let Some(found) = self.get(&format!("git/commits/{sha}"), "read a commit").await? else {
            return Ok(None);
        };
        // Gitea and Forgejo nest it as in lists of commits.
        let tree = self.text(found.get("commit").unwrap_or(&found), "/tree/sha")?;
        let commit =
            Commit { sha: self.text(&found, "/sha")?, parents: parents(&found), reference: None, time: None };
        Ok(Some((commit, tree)))
    }

    /// The entries of a tree; with `recursive`, also of all trees below it. `None` if the tree does not exist, or has
    /// more entries than GitHub lists.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn tree(&self, sha: &str, recursive: bool) -> Result<Option<Vec<TreeEntry>>, GithubError> {
        let recursive = if recursive { "?recursive=1" } else { "" };
        let found = self.get(&format!("git/trees/{sha}{recursive}"), "list the baselines").await?;
        let Some(found) = found.filter(|found| found["truncated"] != json!(true)) else { return Ok(None) };
        let entries = found["tree"].as_array().into_iter().flatten();
        let entry = |entry: &Value| {
            Ok(TreeEntry { path: self.text(entry, "/path")?, sha: self.text(entry, "/sha")? })
        };
        entries.map(entry).collect::<Result<_, _>>().map(Some)
    }

    /// The content of a file.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn blob(&self, sha: &str) -> Result<Option<Vec<u8>>, GithubError> {
        let Some(found) = self.get(&format!("git/blobs/{sha}"), "read a baseline").await? else {
            return Ok(None);
        };
        let mut content = self.text(&found, "/content")?;
        content.retain(|c| !c.is_ascii_whitespace());
        let decoded =
            STANDARD.decode(content).map_err(|error| self.unusable("read a baseline", &error.to_string()));
        decoded.map(Some)
    }

    /// Stores a text, and returns its hash.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn create_blob(&self, text: &str) -> Result<String, GithubError> {
        let body = json!({ "content": text, "encoding": "utf-8" });
        self.create("git/blobs", body, "store a list of files", false).await
    }

    /// Makes a tree by changing another one.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn create_tree(
        &self,
        base: Option<&str>,
        changes: &[(String, TreeChange)],
    ) -> Result<String, GithubError> {
        let entry = |(path, change): &(String, TreeChange)| {
            let (key, value) = match change {
                TreeChange::Text(text) => ("content", json!(text)),
                TreeChange::Blob(sha) => ("sha", json!(sha)),
                TreeChange::Deleted => ("sha", Value::Null),
            };
            json!({ "path": path, "mode": "100644", "type": "blob", key: value })
        };
        let mut body = json!({ "tree": changes.iter().map(entry).collect::<Vec<_>>() });
        if let Some(base) = base {
            body["base_tree"] = json!(base);
        }
        self.create("git/trees", body, "store a baseline", false).await
    }

    /// Waits until the next write may be sent.
    pub async fn turn(&self) {
        self.client.turn().await;
    }

    /// Makes a commit of a tree that was just made.
    ///
    /// A tree, its commit and the update of the reference count as one write, without pauses in between. A pause would
    /// give others the time to be faster, and all three would have to be made again: with fifty concurrent writers,
    /// three times as many requests.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn create_commit(
        &self,
        message: &str,
        tree: &str,
        parent: Option<&str>,
    ) -> Result<String, GithubError> {
        let parents: Vec<&str> = parent.into_iter().collect();
        let body = json!({ "message": message, "tree": tree, "parents": parents });
        self.create("git/commits", body, "commit a baseline", true).await
    }

    /// Moves a reference to a commit on top of its current one, or creates the reference. Never overwrites it, as
    /// "force" would.
    ///
    /// # Errors
    /// [`GithubError`], except if somebody else was faster.
    pub async fn advance(&self, name: &str, sha: &str, is_new: bool) -> Result<ReferenceUpdate, GithubError> {
        let (method, path, body) = match is_new {
            true => (Method::POST, "git/refs".to_owned(), json!({ "ref": name, "sha": sha })),
            false => {
                let path = format!("git/refs/{}", below_refs(name));
                (Method::PATCH, path, json!({ "sha": sha, "force": false }))
            }
        };
        let (path, operation) = (self.path(&path), "update the baseline branch");
        let request = ApiRequest { method, path, body: Some(body), operation, permission: WRITE };
        match self.client.follow(&request).await {
            Ok(_) => Ok(ReferenceUpdate::Done),
            // "Update is not a fast forward" and "Reference already exists" are 422; 409 means that the repository is
            // busy with another update.
            Err(GithubError::Status { status: 409 | 422, message, .. }) if is_conflict(&message) => {
                Ok(ReferenceUpdate::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    /// The merge base of two commits; `None` also if the server does not tell, such as Gitea and Forgejo.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn merge_base(&self, base: &str, head: &str) -> Result<Option<String>, GithubError> {
        // One commit per page: only the merge base matters.
        let path = format!("compare/{base}...{head}?per_page=1");
        let found = self.get(&path, "find the merge base of the pull request").await?;
        let sha = |found: Value| Some(found.pointer("/merge_base_commit/sha")?.as_str()?.to_owned());
        Ok(found.and_then(sha))
    }

    /// First parents of a commit, nearest first, as many as one page of its history contains.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn first_parents(&self, sha: &str) -> Result<Vec<String>, GithubError> {
        let path = format!("commits?sha={sha}&per_page={PAGE}");
        let listed = self.get(&path, "list earlier commits").await?.unwrap_or_default();
        let known: HashMap<&str, Option<String>> = listed
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|commit| Some((commit.get("sha")?.as_str()?, parents(commit).into_iter().next())))
            .collect();
        let mut found = Vec::new();
        let mut at = sha.to_owned();
        while let Some(Some(parent)) = known.get(at.as_str()).filter(|_| found.len() < PAGE) {
            at.clone_from(parent);
            found.push(at.clone());
        }
        Ok(found)
    }

    async fn get(&self, path: &str, operation: &str) -> Result<Option<Value>, GithubError> {
        match self.read(path, operation).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            // A commit that GitHub lacks is a 422 in some requests; an empty repository is a 409.
            Err(GithubError::Status { status: 409 | 422, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `follows` marks a write that belongs to the previous one.
    async fn create(
        &self,
        path: &str,
        body: Value,
        operation: &str,
        follows: bool,
    ) -> Result<String, GithubError> {
        let path = self.path(path);
        let request =
            ApiRequest { method: Method::POST, path, body: Some(body), operation, permission: WRITE };
        let created =
            if follows { self.client.follow(&request).await } else { self.client.send(&request).await };
        let created = created.map_err(|error| match error {
            // GitHub answers 404 to a token that may only read.
            GithubError::Status { status: 404, message, operation } => {
                GithubError::Permission { operation, status: 404, message, permission: WRITE }
            }
            GithubError::Status { status: 409, mut message, operation } => {
                message += "; if it is empty, push a first commit";
                GithubError::Status { status: 409, message, operation }
            }
            error => error,
        });
        self.text(&created?, "/sha")
    }

    async fn read(&self, path: &str, operation: &str) -> Result<Value, GithubError> {
        let path = self.path(path);
        let request = ApiRequest { method: Method::GET, path, body: None, operation, permission: READ };
        self.client.send(&request).await
    }

    fn path(&self, below: &str) -> String {
        format!("/repos/{}/{}/{below}", self.owner, self.name)
    }

    fn text(&self, value: &Value, pointer: &str) -> Result<String, GithubError> {
        let text = value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| self.unusable("understand GitHub", &format!("the answer has no `{pointer}`")))
    }

    fn unusable(&self, operation: &str, message: &str) -> GithubError {
        GithubError::Network {
            operation: operation.into(),
            api: self.full_name(),
            message: message.to_owned(),
        }
    }
}

fn below_refs(name: &str) -> &str {
    name.strip_prefix("refs/").unwrap_or(name)
}

fn is_conflict(message: &str) -> bool {
    let message = message.to_lowercase();
    message == "conflict"
        || ["fast forward", "fast-forward", "already exists", "does not exist", "cannot lock ref"]
            .iter()
            .any(|part| message.contains(part))
}

fn parents(commit: &Value) -> Vec<String> {
    let parents = commit.get("parents").and_then(Value::as_array).into_iter().flatten();
    parents.filter_map(|parent| Some(parent.get("sha")?.as_str()?.to_owned())).collect()
}
