//! Suggestions as single review comments on lines of the pull request's diff (GitHub REST API, "Pull request review
//! comments"). As with the comment, ours are recognized by a hidden marker **and** by their author.

use http::Method;
use serde_json::{Value, json};

use super::client::{ApiRequest, Client, GithubError};
use super::context::RunId;

/// Files and comments on one page (GitHub REST API: at most 100).
const PAGE: usize = 100;
/// Maximum number of pages to search; GitHub lists at most 3000 files.
const MAX_PAGES: usize = 30;
const READ: &str = "pull-requests: read";
const WRITE: &str = "pull-requests: write";

/// Where suggestions belong, and their author.
pub struct Review<'a> {
    /// The repository's owner and name.
    pub repository: (&'a str, &'a str),
    /// The pull request.
    pub number: u64,
    /// The commit whose lines are meant.
    pub head_sha: &'a str,
    /// The key that distinguishes several gates on one pull request.
    pub key: &'a str,
    /// The login that the token writes under.
    pub author: &'a str,
    /// The run, if any.
    pub run: Option<RunId>,
}

/// A suggestion for lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggested {
    /// The file, from the top of the repository.
    pub path: String,
    /// The first line, counted from 1.
    pub line: u32,
    /// The last line.
    pub end_line: u32,
    /// The text, including the block with the new lines.
    pub body: String,
}

/// How many suggestions were posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PostedSuggestions {
    /// Suggestions that are there now.
    pub shown: usize,
    /// Suggestions for lines outside the diff, where comments are impossible.
    pub outside: usize,
}

/// A suggestion that was posted before.
struct ExistingReview {
    id: u64,
    path: String,
    /// The current line numbers; `None` if the lines are no longer in the diff.
    lines: Option<(u32, u32)>,
    body: String,
    run: Option<RunId>,
}

impl Review<'_> {
    /// Posts the wanted suggestions for lines in the diff: existing ones are edited, obsolete ones deleted. Does
    /// nothing if a newer run has been here.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn show(
        &self,
        client: &Client,
        wanted: &[Suggested],
    ) -> Result<PostedSuggestions, GithubError> {
        let mut existing = self.existing(client).await?;
        if existing.iter().any(|one| one.run > self.run) {
            return Ok(PostedSuggestions { shown: existing.len(), outside: 0 });
        }
        let hunks = if wanted.is_empty() { Vec::new() } else { self.hunks(client).await? };
        let mut done = PostedSuggestions::default();
        for one in wanted {
            let is_inside = |(path, first, last): &(String, u32, u32)| {
                *path == one.path && *first <= one.line && one.end_line <= *last
            };
            if !hunks.iter().any(is_inside) {
                done.outside += 1;
                continue;
            }
            done.shown += 1;
            let place = Some((one.line, one.end_line));
            let is_it = |old: &ExistingReview| old.path == one.path && old.lines == place;
            match existing.iter().position(is_it).map(|at| existing.swap_remove(at)) {
                Some(old) if old.body == one.body => {}
                Some(old) => self.edit(client, &old, one).await?,
                None => self.create(client, one).await?,
            }
        }
        for old in existing {
            self.delete(client, &old).await?;
        }
        Ok(done)
    }

    fn marker_start(&self) -> String {
        format!("<!-- layergate key={} suggestion", self.key)
    }

    fn marked(&self, body: &str) -> String {
        let run = self.run.map(|run| format!(" run={}.{}", run.id, run.attempt)).unwrap_or_default();
        format!("{}{run} -->\n{body}", self.marker_start())
    }

    /// The lines of each hunk in the new file, including context: (path, first, last).
    async fn hunks(&self, client: &Client) -> Result<Vec<(String, u32, u32)>, GithubError> {
        let mut hunks = Vec::new();
        for file in self.all(client, "files", "list the files of the pull request").await? {
            let text = |name: &str| file.get(name).and_then(Value::as_str);
            // A file that is deleted, or very large, has no patch.
            if let (Some(path), Some(patch)) = (text("filename"), text("patch")) {
                let of_patch = patch.lines().filter_map(hunk);
                hunks.extend(of_patch.map(|(first, last)| (path.to_owned(), first, last)));
            }
        }
        Ok(hunks)
    }

    async fn existing(&self, client: &Client) -> Result<Vec<ExistingReview>, GithubError> {
        let listed = self.all(client, "comments", "list the review comments of the pull request").await?;
        Ok(listed.iter().filter_map(|comment| self.read(comment)).collect())
    }

    fn read(&self, comment: &Value) -> Option<ExistingReview> {
        let text = |pointer: &str| comment.pointer(pointer).and_then(Value::as_str);
        let number = |name: &str| comment.get(name).and_then(Value::as_u64);
        let marked = text("/body")?.strip_prefix(&self.marker_start())?;
        let (marker, body) = marked.split_once(" -->\n")?;
        text("/user/login").filter(|login| login.eq_ignore_ascii_case(self.author))?;
        let run = marker.trim().strip_prefix("run=").and_then(|run| run.split_once('.'));
        let run = run
            .and_then(|(id, attempt)| Some(RunId { id: id.parse().ok()?, attempt: attempt.parse().ok()? }));
        let last = number("line").and_then(|line| u32::try_from(line).ok());
        let first = number("start_line").and_then(|line| u32::try_from(line).ok());
        let lines = last.map(|last| (first.unwrap_or(last), last));
        let (path, body) = (text("/path")?.to_owned(), body.to_owned());
        Some(ExistingReview { id: number("id")?, path, lines, body, run })
    }

    /// All pages of a list of the pull request.
    async fn all(&self, client: &Client, what: &str, operation: &str) -> Result<Vec<Value>, GithubError> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("{}/{}/{what}?per_page={PAGE}&page={page}", self.pulls(), self.number);
            let request = ApiRequest { method: Method::GET, path, body: None, operation, permission: READ };
            let Value::Array(listed) = client.send(&request).await? else { break };
            let is_last = listed.len() < PAGE;
            all.extend(listed);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    async fn create(&self, client: &Client, one: &Suggested) -> Result<(), GithubError> {
        let mut body = json!({
            "body": self.marked(&one.body), "commit_id": self.head_sha, "path": one.path,
            "line": one.end_line, "side": "RIGHT",
        });
        if one.line < one.end_line {
            body["start_line"] = json!(one.line);
            body["start_side"] = json!("RIGHT");
        }
        let path = format!("{}/{}/comments", self.pulls(), self.number);
        self.write(client, Method::POST, path, Some(body), "suggest a change").await
    }

    async fn edit(&self, client: &Client, old: &ExistingReview, one: &Suggested) -> Result<(), GithubError> {
        let body = json!({ "body": self.marked(&one.body) });
        self.write(client, Method::PATCH, self.comment(old), Some(body), "edit a suggestion").await
    }

    async fn delete(&self, client: &Client, old: &ExistingReview) -> Result<(), GithubError> {
        let operation = "delete a suggestion that no longer holds";
        match self.write(client, Method::DELETE, self.comment(old), None, operation).await {
            Err(error) if error.is_not_found() => Ok(()),
            deleted => deleted,
        }
    }

    async fn write(
        &self,
        client: &Client,
        method: Method,
        path: String,
        body: Option<Value>,
        operation: &str,
    ) -> Result<(), GithubError> {
        client.send(&ApiRequest { method, path, body, operation, permission: WRITE }).await.map(drop)
    }

    fn pulls(&self) -> String {
        format!("/repos/{}/{}/pulls", self.repository.0, self.repository.1)
    }

    fn comment(&self, old: &ExistingReview) -> String {
        format!("{}/comments/{}", self.pulls(), old.id)
    }
}

/// The lines of the new file that a hunk shows: `@@ -1,3 +1,4 @@`. `None` if it shows none.
fn hunk(line: &str) -> Option<(u32, u32)> {
    let new = line.strip_prefix("@@ -")?.split(" @@").next()?.split_once(" +")?.1;
    let (first, count) = new.split_once(',').unwrap_or((new, "1"));
    let (first, count): (u32, u32) = (first.parse().ok()?, count.parse().ok()?);
    Some((first, first.checked_add(count)?.checked_sub(1)?)).filter(|(first, last)| first <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunk_is_the_lines_that_it_shows_of_the_new_file() {
        for (line, expected) in [
            ("@@ -1,3 +1,4 @@", Some((1, 4))),
            ("@@ -0,0 +1 @@", Some((1, 1))),
            ("@@ -10,7 +12,9 @@ FROM debian", Some((12, 20))),
            ("@@ -3 +2,0 @@", None),
            ("+@@ -1 +1 @@", None),
            ("@@ -1 +4294967295,2 @@", None),
            ("@@ -1,3 +x @@", None),
        ] {
            assert_eq!(hunk(line), expected, "{line}");
        }
    }

    #[test]
    fn only_our_own_marker_by_our_own_author_is_ours() {
        let run = Some(RunId { id: 7, attempt: 2 });
        let review =
            Review { repository: ("o", "r"), number: 1, head_sha: "a", key: "default", author: "bot", run };
        let comment = |login: &str, body: &str, line: Value| json!({ "id": 5, "path": "Dockerfile", "line": line, "start_line": 3, "user": { "login": login }, "body": body });
        let own = review.marked("text");
        let read = |comment: &Value| review.read(comment).map(|one| (one.lines, one.body, one.run));
        assert_eq!(read(&comment("bot", &own, json!(4))), Some((Some((3, 4)), "text".into(), run)));
        assert_eq!(read(&comment("bot", &own, Value::Null)), Some((None, "text".into(), run)));
        for (login, body) in [
            ("mallory", own.clone()),
            ("bot", format!("> {own}")),
            ("bot", own.replace("key=default", "key=other")),
            ("bot", own.replace(" suggestion", " verdict=fail")),
        ] {
            assert_eq!(read(&comment(login, &body, json!(4))), None, "{login} {body}");
        }
    }
}
