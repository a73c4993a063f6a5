//! The documents that a fake GitHub answers with, containing everything that GitHub's API description requires.

use crate::support::fake_github::ReviewComment;
use axum::http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// The time of everything for which Git has none.
const THEN: &str = "2024-02-03T04:05:06Z";

/// A URL below the repository's in the API.
pub fn api(path: &str) -> String {
    format!("https://api.github.example/repos/acme/shop/{path}")
}

/// A URL below the repository's for a browser.
pub fn page(path: &str) -> String {
    format!("https://github.example/acme/shop/{path}")
}

/// The GraphQL node ID of an object.
fn node(kind: &str, name: &str) -> String {
    format!("{kind}_{name}")
}

/// The body of a refusal.
pub fn refusal(status: StatusCode, message: &str) -> Value {
    json!({
        "message": message, "documentation_url": "https://docs.github.com/rest",
        "status": status.as_str(),
    })
}

/// A user as others see it. Apps' logins have a suffix.
pub fn user(login: &str) -> Value {
    let escaped = utf8_percent_encode(login, NON_ALPHANUMERIC).to_string();
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

/// A comment on lines of a diff.
pub fn review_comment(comment: &ReviewComment) -> Value {
    let url = api(&format!("pulls/comments/{}", comment.id));
    let (html, pull) = (page(&format!("pull/7#discussion_r{}", comment.id)), api("pulls/7"));
    let (first, last) = comment.lines.unzip();
    // A comment on a single line has no start.
    let start = first.filter(|_| first != last);
    json!({
        "id": comment.id, "node_id": node("PRRC", &comment.id.to_string()), "url": url, "html_url": html,
        "pull_request_url": pull, "pull_request_review_id": 9, "diff_hunk": "@@ -1 +1 @@", "path": comment.path,
        "commit_id": "a".repeat(40), "original_commit_id": "a".repeat(40), "user": user(&comment.author),
        "body": comment.body, "created_at": THEN, "updated_at": THEN, "author_association": "NONE",
        "line": last, "start_line": start, "side": "RIGHT", "subject_type": "line",
        "_links": { "self": { "href": url }, "html": { "href": html }, "pull_request": { "href": pull } },
    })
}

/// A file that a pull request changes.
pub fn changed_file(path: &str, patch: &str) -> Value {
    let count = |sign: char| patch.lines().filter(|line| line.starts_with(sign)).count();
    let (added, deleted) = (count('+'), count('-'));
    json!({
        "sha": "d".repeat(40), "filename": path, "status": "modified", "additions": added,
        "deletions": deleted, "changes": added + deleted, "blob_url": page(&format!("blob/a/{path}")),
        "raw_url": page(&format!("raw/a/{path}")), "contents_url": api(&format!("contents/{path}?ref=a")),
        "patch": patch,
    })
}

/// A repository, by `owner/name`.
pub fn repository(full_name: &str) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap();
    let api = format!("https://api.github.example/repos/{full_name}");
    let html = format!("https://github.example/{full_name}");
    let mut repository = json!({
        "id": 11, "node_id": node("R", full_name), "name": name, "full_name": full_name,
        "owner": user(owner), "private": false, "fork": owner != "acme", "default_branch": "main", "size": 9,
        "url": api, "html_url": html, "svn_url": html, "clone_url": format!("{html}.git"),
        "git_url": format!("git://github.example/{full_name}.git"),
        "ssh_url": format!("git@github.example:{full_name}.git"),
        "created_at": THEN, "updated_at": THEN, "pushed_at": THEN,
    });
    for part in REPOSITORY_PARTS {
        let (key, path) = part.split_once(' ').unwrap();
        repository[format!("{key}_url")] = json!(format!("{api}/{path}"));
    }
    for field in ["description", "homepage", "language", "license", "mirror_url"] {
        repository[field] = Value::Null;
    }
    for field in [
        "forks",
        "forks_count",
        "open_issues",
        "open_issues_count",
        "stargazers_count",
        "watchers",
        "watchers_count",
    ] {
        repository[field] = json!(0);
    }
    for field in ["downloads", "issues", "projects", "wiki", "pages"] {
        repository[format!("has_{field}")] = json!(field != "pages");
    }
    repository["archived"] = json!(false);
    repository["disabled"] = json!(false);
    repository
}

/// The names of a repository's URLs, and their paths below its own.
const REPOSITORY_PARTS: [&str; 36] = [
    "archive {archive_format}{/ref}",
    "assignees assignees{/user}",
    "blobs git/blobs{/sha}",
    "branches branches{/branch}",
    "collaborators collaborators{/collaborator}",
    "comments comments{/number}",
    "commits commits{/sha}",
    "compare compare/{base}...{head}",
    "contents contents/{+path}",
    "contributors contributors",
    "deployments deployments",
    "downloads downloads",
    "events events",
    "forks forks",
    "git_commits git/commits{/sha}",
    "git_refs git/refs{/sha}",
    "git_tags git/tags{/sha}",
    "hooks hooks",
    "issue_comment issues/comments{/number}",
    "issue_events issues/events{/number}",
    "issues issues{/number}",
    "keys keys{/key_id}",
    "labels labels{/name}",
    "languages languages",
    "merges merges",
    "milestones milestones{/number}",
    "notifications notifications{?since,all,participating}",
    "pulls pulls{/number}",
    "releases releases{/id}",
    "stargazers stargazers",
    "statuses statuses/{sha}",
    "subscribers subscribers",
    "subscription subscription",
    "tags tags",
    "teams teams",
    "trees git/trees{/sha}",
];

/// A label of the repository.
pub fn label(name: &str) -> Value {
    json!({
        "id": 13, "node_id": node("LA", name), "url": api(&format!("labels/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))),
        "name": name, "description": "Larger, and meant to be", "color": COLOR, "default": false,
    })
}

const COLOR: &str = "ededed";

/// An event that adds a label to an issue or removes one.
pub fn labelling(id: u64, who: &str, name: &str, at: &str, set: bool) -> Value {
    json!({
        "id": id, "node_id": node("LE", &id.to_string()), "url": api(&format!("issues/events/{id}")),
        "actor": user(who), "event": if set { "labeled" } else { "unlabeled" }, "created_at": at,
        "commit_id": null, "commit_url": null, "performed_via_github_app": null,
        "label": { "name": name, "color": COLOR },
    })
}

/// A pull request in its form as an issue.
pub fn issue(number: u64, labels: &[&str]) -> Value {
    let url = api(&format!("issues/{number}"));
    let labels: Vec<Value> = labels.iter().copied().map(label).collect();
    let pull = page(&format!("pull/{number}"));
    json!({
        "id": number, "node_id": node("PR", &number.to_string()), "number": number, "title": "Add fonts",
        "state": "open", "locked": false, "labels": labels, "body": null, "comments": 0, "user": user("mallory"),
        "assignee": null, "assignees": [], "milestone": null, "author_association": "NONE",
        "url": url, "repository_url": api("").trim_end_matches('/'), "html_url": pull,
        "labels_url": format!("{url}/labels{{/name}}"), "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"), "timeline_url": format!("{url}/timeline"),
        "created_at": THEN, "updated_at": THEN, "closed_at": null,
        "pull_request": {
            "url": api(&format!("pulls/{number}")), "html_url": pull, "diff_url": format!("{pull}.diff"),
            "patch_url": format!("{pull}.patch"), "merged_at": null,
        },
    })
}

/// An open pull request.
#[derive(Debug, Clone)]
pub struct PullRequest {
    pub number: u64,
    /// Its origin: `owner/name`, branch, commit.
    pub head: [String; 3],
    /// Its target branch, and the commit at its tip.
    pub base: String,
    pub base_sha: String,
}

impl PullRequest {
    /// `owner:branch`, as used to request a list of them.
    pub fn label(&self) -> String {
        side(&self.head)["label"].as_str().unwrap().to_owned()
    }

    /// Its form in a list.
    pub fn item(&self, labels: &[&str]) -> Value {
        let issue = issue(self.number, labels);
        let url = api(&format!("pulls/{}", self.number));
        let html = page(&format!("pull/{}", self.number));
        let [_, _, sha] = &self.head;
        let mut pull = json!({
            "url": url, "html_url": html, "issue_url": issue["url"], "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"), "commits_url": format!("{url}/commits"),
            "comments_url": issue["comments_url"], "review_comments_url": format!("{url}/comments"),
            "review_comment_url": api("pulls/comments{/number}"), "statuses_url": api(&format!("statuses/{sha}")),
            "head": side(&self.head),
            "base": side(&["acme/shop".into(), self.base.clone(), self.base_sha.clone()]),
            "draft": false, "merged_at": null, "merge_commit_sha": null, "auto_merge": null,
            "requested_reviewers": [], "requested_teams": [],
        });
        for same in [
            "id",
            "node_id",
            "number",
            "state",
            "locked",
            "title",
            "body",
            "user",
            "labels",
            "assignee",
            "assignees",
            "milestone",
            "author_association",
            "created_at",
            "updated_at",
            "closed_at",
        ] {
            pull[same] = issue[same].clone();
        }
        for (link, field) in [
            ("self", "url"),
            ("html", "html_url"),
            ("issue", "issue_url"),
            ("comments", "comments_url"),
            ("commits", "commits_url"),
            ("statuses", "statuses_url"),
            ("review_comments", "review_comments_url"),
            ("review_comment", "review_comment_url"),
        ] {
            pull["_links"][link] = json!({ "href": pull[field] });
        }
        pull
    }

    /// Its form when requested alone.
    pub fn object(&self, labels: &[&str]) -> Value {
        let mut pull = self.item(labels);
        for field in ["additions", "deletions", "changed_files", "commits"] {
            pull[field] = json!(1);
        }
        for field in ["comments", "review_comments"] {
            pull[field] = json!(0);
        }
        // GitHub has not determined yet whether it can be merged.
        pull["mergeable"] = Value::Null;
        pull["mergeable_state"] = json!("unknown");
        pull["merged"] = json!(false);
        pull["merged_by"] = Value::Null;
        pull["maintainer_can_modify"] = json!(true);
        pull
    }
}

/// One of the two branches of a pull request: repository, branch, commit.
fn side([full_name, branch, sha]: &[String; 3]) -> Value {
    let (owner, _) = full_name.split_once('/').unwrap();
    json!({
        "label": format!("{owner}:{branch}"), "ref": branch, "sha": sha, "user": user(owner),
        "repo": repository(full_name),
    })
}

/// A reference, with the kind and the hash of its target.
pub fn reference(name: &str, kind: &str, sha: &str) -> Value {
    let object = json!({ "type": kind, "sha": sha, "url": api(&format!("git/{kind}s/{sha}")) });
    json!({ "ref": name, "node_id": node("REF", name), "url": api(&format!("git/{name}")), "object": object })
}

/// A tree; see [`entry`].
pub fn tree(sha: &str, entries: Vec<Value>) -> Value {
    json!({ "sha": sha, "url": api(&format!("git/trees/{sha}")), "tree": entries, "truncated": false })
}

/// An entry of a tree. Only a file has a size, and a submodule is elsewhere.
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
    /// Its form in the Git database.
    pub fn object(&self) -> Value {
        let mut object = self.content();
        object["sha"] = json!(self.sha);
        object["node_id"] = json!(node("C", &self.sha));
        object["html_url"] = json!(page(&format!("commit/{}", self.sha)));
        object["parents"] = self.parents("git/commits");
        object
    }

    /// Its form in a list of commits, where everything but hash and parents is one level deeper.
    pub fn item(&self) -> Value {
        let mut content = self.content();
        content["comment_count"] = json!(0);
        let url = api(&format!("commits/{}", self.sha));
        // No GitHub account has these authors' addresses.
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

/// A check run, from the bodies of its creation and updates.
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

/// A branch that no rule protects.
pub fn branch(name: &str, tip: &Commit) -> Value {
    let url = api(&format!("branches/{name}"));
    let protection = format!("{url}/protection");
    let none = json!({ "enforcement_level": "off", "contexts": [], "checks": [] });
    json!({
        "name": name, "commit": tip.item(), "protected": false, "protection_url": protection,
        "_links": { "self": url, "html": page(&format!("tree/{name}")) },
        "protection": { "enabled": false, "required_status_checks": none },
    })
}

pub fn release(tag: &str) -> Value {
    let url = api("releases/1");
    json!({
        "id": 1, "node_id": node("R", "1"), "url": url, "html_url": page(&format!("releases/tag/{tag}")),
        "assets_url": format!("{url}/assets"), "upload_url": format!("{url}/assets{{?name,label}}"),
        "tarball_url": null, "zipball_url": null, "tag_name": tag, "target_commitish": "main", "name": tag,
        "draft": false, "prerelease": false, "assets": [], "author": user("ann"),
        "created_at": "2026-11-01T08:00:00Z", "published_at": "2026-11-01T09:00:00Z",
    })
}

/// A file at a branch or a commit, with its content.
pub fn content(reference: &str, path: &str, text: &str) -> Value {
    use base64::Engine as _;
    // In lines, as GitHub encodes it.
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(60).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let name = path.rsplit('/').next().unwrap();
    let sha = "d".repeat(40);
    let (url, git, html) = (
        api(&format!("contents/{path}?ref={reference}")),
        api(&format!("git/blobs/{sha}")),
        page(&format!("blob/{reference}/{path}")),
    );
    json!({
        "type": "file", "encoding": "base64", "size": text.len(), "name": name, "path": path,
        "content": lines.join("\n") + "\n", "sha": sha, "url": url, "git_url": git, "html_url": html,
        "download_url": format!("https://raw.github.example/acme/shop/{reference}/{path}"),
        "_links": { "git": git, "html": html, "self": url },
    })
}
