//! The documents that a fake GitHub answers with, of all that GitHub's own description of its API requires.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// When everything happens that Git does not tell the time of.
const THEN: &str = "2024-02-03T04:05:06Z";

/// An address below the repository's in the API.
pub fn api(path: &str) -> String {
    format!("https://api.github.example/repos/acme/shop/{path}")
}

/// An address below the repository's for a browser.
pub fn page(path: &str) -> String {
    format!("https://github.example/acme/shop/{path}")
}

/// The name that GitHub's other API has for something.
fn node(kind: &str, name: &str) -> String {
    format!("{kind}_{name}")
}

/// Why something was not done.
pub fn refusal(status: StatusCode, message: &str) -> Value {
    json!({
        "message": message, "documentation_url": "https://docs.github.com/rest",
        "status": status.as_str(),
    })
}

/// A user as others see it. Apps' logins have a suffix.
pub fn user(login: &str) -> Value {
    let escaped = login.replace('[', "%5B").replace(']', "%5D");
    let api = format!("https://api.github.example/users/{escaped}");
    let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
    json!({
        "login": login, "id": 7, "node_id": node("U", login), "type": kind, "site_admin": false,
        "avatar_url": "https://avatars.github.example/u/7", "gravatar_id": "", "url": api,
        "html_url": format!("https://github.example/{escaped}"),
        "followers_url": format!("{api}/followers"),
        "following_url": format!("{api}/following{{/other_user}}"),
        "gists_url": format!("{api}/gists{{/gist_id}}"),
        "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{api}/subscriptions"),
        "organizations_url": format!("{api}/orgs"),
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events{{/privacy}}"),
        "received_events_url": format!("{api}/received_events"),
    })
}

/// A user as it sees itself, with a token that may see nothing private.
pub fn myself(login: &str) -> Value {
    let mut user = user(login);
    for field in ["name", "company", "blog", "location", "email", "hireable", "bio"] {
        user[field] = Value::Null;
    }
    for field in ["public_repos", "public_gists", "followers", "following"] {
        user[field] = json!(0);
    }
    user["created_at"] = json!(THEN);
    user["updated_at"] = json!(THEN);
    user
}

pub fn comment(id: u64, author: &str, body: &str) -> Value {
    let url = api(&format!("issues/comments/{id}"));
    let mut reactions = json!({ "url": format!("{url}/reactions"), "total_count": 0 });
    for reaction in ["+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket"] {
        reactions[reaction] = json!(0);
    }
    json!({
        "id": id, "node_id": node("IC", &id.to_string()), "url": url, "issue_url": api("issues/7"),
        "html_url": page(&format!("pull/7#issuecomment-{id}")),
        "user": user(author), "author_association": "NONE", "performed_via_github_app": null,
        "created_at": THEN, "updated_at": THEN, "body": body, "reactions": reactions,
    })
}

/// A reference, with the kind and the hash of what it points to.
pub fn reference(name: &str, kind: &str, sha: &str) -> Value {
    let object = json!({ "type": kind, "sha": sha, "url": api(&format!("git/{kind}s/{sha}")) });
    json!({ "ref": name, "node_id": node("REF", name), "url": api(&format!("git/{name}")), "object": object })
}

/// What is in a tree; see [`entry`].
pub fn tree(sha: &str, entries: Vec<Value>) -> Value {
    json!({ "sha": sha, "url": api(&format!("git/trees/{sha}")), "tree": entries, "truncated": false })
}

/// Something in a tree. Only a file has a size, and a submodule is elsewhere.
pub fn entry(path: &str, mode: &str, kind: &str, sha: &str, size: Option<u64>) -> Value {
    let mut entry = json!({ "path": path, "mode": mode, "type": kind, "sha": sha });
    if let Some(size) = size {
        entry["size"] = json!(size);
    }
    if kind != "commit" {
        entry["url"] = json!(api(&format!("git/{kind}s/{sha}")));
    }
    entry
}

pub fn blob(sha: &str, size: usize, base64: &str) -> Value {
    let mut blob = stored_blob(sha);
    blob["node_id"] = json!(node("B", sha));
    blob["size"] = json!(size);
    blob["encoding"] = json!("base64");
    blob["content"] = json!(base64);
    blob
}

/// A blob that was just made.
pub fn stored_blob(sha: &str) -> Value {
    json!({ "sha": sha, "url": api(&format!("git/blobs/{sha}")) })
}

/// A commit.
pub struct Commit {
    pub sha: String,
    pub tree: String,
    pub parents: Vec<String>,
    /// Name, address, time.
    pub author: [String; 3],
    pub committer: [String; 3],
    pub message: String,
}

impl Commit {
    /// As the Git database has it.
    pub fn object(&self) -> Value {
        let mut object = self.content();
        object["sha"] = json!(self.sha);
        object["node_id"] = json!(node("C", &self.sha));
        object["html_url"] = json!(page(&format!("commit/{}", self.sha)));
        object["parents"] = self.parents("git/commits");
        object
    }

    /// As it is in a list of commits, where all but hash and parents is a level deeper.
    pub fn item(&self) -> Value {
        let mut content = self.content();
        content["comment_count"] = json!(0);
        let url = api(&format!("commits/{}", self.sha));
        // Nobody on GitHub has the addresses of these authors.
        json!({
            "sha": self.sha, "node_id": node("C", &self.sha), "comments_url": format!("{url}/comments"),
            "url": url, "html_url": page(&format!("commit/{}", self.sha)), "commit": content,
            "author": null, "committer": null, "parents": self.parents("commits"),
        })
    }

    fn content(&self) -> Value {
        let person =
            |[name, email, date]: &[String; 3]| json!({ "name": name, "email": email, "date": date });
        json!({
            "url": api(&format!("git/commits/{}", self.sha)), "message": self.message,
            "author": person(&self.author), "committer": person(&self.committer),
            "tree": { "sha": self.tree, "url": api(&format!("git/trees/{}", self.tree)) },
            "verification": {
                "verified": false, "reason": "unsigned", "signature": null, "payload": null,
                "verified_at": null,
            },
        })
    }

    fn parents(&self, below: &str) -> Value {
        let parent = |sha: &String| {
            let url = api(&format!("{below}/{sha}"));
            json!({ "sha": sha, "url": url, "html_url": page(&format!("commit/{sha}")) })
        };
        self.parents.iter().map(parent).collect()
    }
}

/// A check run, of what it was made with and what was added.
pub fn check_run(id: usize, sent: &[Value]) -> Value {
    let (first, url) = (&sent[0], api(&format!("check-runs/{id}")));
    let annotations: usize =
        sent.iter().map(|sent| sent["output"]["annotations"].as_array().map_or(0, Vec::len)).sum();
    json!({
        "id": id, "node_id": node("CR", &id.to_string()), "url": url, "html_url": page(&format!("runs/{id}")),
        "name": first["name"], "head_sha": first["head_sha"], "status": first["status"],
        "conclusion": first["conclusion"], "external_id": "", "details_url": page(&format!("runs/{id}")),
        "started_at": THEN, "completed_at": THEN, "check_suite": { "id": 5 }, "app": null,
        "pull_requests": [],
        "output": {
            "title": first["output"]["title"], "summary": first["output"]["summary"], "text": null,
            "annotations_count": annotations, "annotations_url": format!("{url}/annotations"),
        },
    })
}
