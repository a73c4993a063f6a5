//! One repository of GitHub: its commits, and the objects and references of its Git database (GitHub
//! REST API, "Git database" and "Commits"). No checkout and no `git` program is needed for it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::client::{ApiRequest, Client, GithubError};
use crate::image::snapshot::Commit;

/// Commits on one page (GitHub REST API, "List commits": at most 100).
const PAGE: usize = 100;
/// What reading needs, and what writing needs.
const READ: &str = "contents: read";
const WRITE: &str = "contents: write";

/// A repository, and the client that speaks of it.
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

/// What a new tree has that its base has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeChange {
    /// A file of this text.
    Text(String),
    /// A file that is there already, by its hash.
    Blob(String),
    /// A file less.
    Deleted,
}

/// What became of an update of a reference.
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

    /// What its API is asked with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The commit that a reference points to, such as `refs/heads/main`; `None` if there is no such one.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn reference(&self, name: &str) -> Result<Option<String>, GithubError> {
        // What begins like it is listed too. Unlike asking for the one, this tells a reference that is not there
        // from a repository that is not, or that the token may not see.
        let path = format!("git/matching-refs/{}", below_refs(name));
        let operation = "look up the baseline branch";
        let listed = match self.read(&path, operation).await {
            // An empty repository has none.
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
        // Gitea and Forgejo have it where lists of commits have it.
        let tree = self.text(found.get("commit").unwrap_or(&found), "/tree/sha")?;
        let commit =
            Commit { sha: self.text(&found, "/sha")?, parents: parents(&found), reference: None, time: None };
        Ok(Some((commit, tree)))
    }

    /// What is in a tree; with `recursive`, in all trees below it too. `None` if there is no such tree, or
    /// more in it than GitHub lists.
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

    /// Stores a text, and gives its hash.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn create_blob(&self, text: &str) -> Result<String, GithubError> {
        let body = json!({ "content": text, "encoding": "utf-8" });
        self.create("git/blobs", body, "store a list of files", false).await
    }

    /// Makes a tree of changes to another one.
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

    /// Waits until something may be written after what was written last.
    pub async fn turn(&self) {
        self.client.turn().await;
    }

    /// Makes a commit of a tree that was made just now.
    ///
    /// A tree, its commit and the reference that is moved there are one write, and no pause is made between them. It
    /// would give others the time to be faster, and then all three have to be made again: of fifty who write at
    /// once, three times as many requests.
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

    /// Makes a reference point to a commit that is on top of what it points to now, or makes the reference.
    /// What it points to is never overwritten: that is what "force" would do.
    ///
    /// # Errors
    /// [`GithubError`], except for that somebody else was faster.
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
            // "Update is not a fast forward" and "Reference already exists" are 422; 409 is a repository that
            // is busy with another update.
            Err(GithubError::Status { status: 409 | 422, message, .. }) if is_conflict(&message) => {
                Ok(ReferenceUpdate::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    /// Where the histories of two commits meet; `None` also where a server does not say, as Gitea and Forgejo.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn merge_base(&self, base: &str, head: &str) -> Result<Option<String>, GithubError> {
        // One commit a page: only where they meet is of interest.
        let path = format!("compare/{base}...{head}?per_page=1");
        let found = self.get(&path, "find the merge base of the pull request").await?;
        let sha = |found: Value| Some(found.pointer("/merge_base_commit/sha")?.as_str()?.to_owned());
        Ok(found.and_then(sha))
    }

    /// First parents of a commit, nearest first, as many as one page of its history tells.
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
            // A commit that GitHub does not have is a 422 to some questions; an empty repository a 409.
            Err(GithubError::Status { status: 409 | 422, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `follows` says that it is one with what was written before.
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
            // To a token that may read and not write, GitHub says that there is nothing.
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
