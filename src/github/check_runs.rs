//! Check runs: a verdict on a commit, with annotations on the lines of the pull request (GitHub REST API, "Check
//! runs").

use http::Method;
use serde_json::{Value, json};

use super::client::{ApiRequest, Client, GithubError};

/// Maximum annotations of a check run: nobody reads more.
const MAX_ANNOTATIONS: usize = 200;
/// How many annotations GitHub accepts per request.
const BATCH: usize = 50;
/// The longest texts that GitHub accepts, in characters: for a message 64 KB, whatever its characters.
const MAX_TITLE: usize = 255;
const MAX_MESSAGE: usize = 15_000;

/// A check run to create for a commit.
pub struct CheckRun<'a> {
    /// The name that it is listed under.
    pub name: &'a str,
    /// The commit.
    pub head_sha: &'a str,
    /// `success`, `neutral` or `failure`.
    pub conclusion: &'static str,
    /// The verdict in a sentence.
    pub title: &'a str,
    /// The report as markdown.
    pub summary: &'a str,
    /// Lines of the commit's files.
    pub annotations: &'a [LineAnnotation],
}

/// An annotation of lines of a file.
pub struct LineAnnotation {
    /// The file, from the top of the repository.
    pub path: String,
    /// The first line, counted from 1.
    pub first: u32,
    /// The last line.
    pub last: u32,
    /// `failure`, `warning` or `notice`.
    pub level: &'static str,
    /// What it is about.
    pub title: String,
    /// The text.
    pub message: String,
}

impl CheckRun<'_> {
    /// Creates the check run and returns its URL. Annotations that do not fit into one request follow in others.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn create(
        &self,
        client: &Client,
        (owner, repository): (&str, &str),
    ) -> Result<String, GithubError> {
        let path = format!("/repos/{owner}/{repository}/check-runs");
        let annotations = &self.annotations[..self.annotations.len().min(MAX_ANNOTATIONS)];
        let (first, rest) = annotations.split_at(annotations.len().min(BATCH));
        let body = json!({
            "name": self.name, "head_sha": self.head_sha, "status": "completed",
            "conclusion": self.conclusion, "output": self.output(first),
        });
        let created = client.send(&request(Method::POST, path.clone(), body)).await?;
        let id = created.get("id").and_then(Value::as_u64);
        if let Some(id) = id {
            for batch in rest.chunks(BATCH) {
                let body = json!({ "output": self.output(batch) });
                client.send(&request(Method::PATCH, format!("{path}/{id}"), body)).await?;
            }
        }
        Ok(created.get("html_url").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    fn output(&self, lines: &[LineAnnotation]) -> Value {
        let annotation = |lines: &LineAnnotation| {
            json!({
                "path": lines.path, "start_line": lines.first, "end_line": lines.last,
                "annotation_level": lines.level, "title": cut(&lines.title, MAX_TITLE),
                "message": cut(&lines.message, MAX_MESSAGE),
            })
        };
        let annotations: Vec<Value> = lines.iter().map(annotation).collect();
        json!({ "title": cut(self.title, MAX_TITLE), "summary": self.summary, "annotations": annotations })
    }
}

fn request(method: Method, path: String, body: Value) -> ApiRequest<'static> {
    let operation = "report the check run";
    ApiRequest { method, path, body: Some(body), operation, permission: "checks: write" }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
