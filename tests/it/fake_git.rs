//! The Git database of the fake GitHub: a real bare repository, behind the answers that GitHub gives (GitHub
//! REST API, "Git database" and "Commits").

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Parts, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, extract};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};

/// A bare repository, and the lock under which GitHub moves a reference.
pub struct Repository {
    directory: PathBuf,
    moving: Mutex<()>,
}

type Shared = State<&'static Repository>;
/// Owner, name and what comes after them.
type Named = Parts<(String, String, String)>;

impl Repository {
    /// A new one below `directory`. It lives as long as the tests.
    pub fn create(directory: &Path) -> &'static Repository {
        let path = directory.join("bare.git");
        let made = Command::new("git").args(["init", "--quiet", "--bare"]).arg(&path).status().unwrap();
        assert!(made.success());
        Box::leak(Box::new(Repository { directory: path, moving: Mutex::default() }))
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// What `git` answers, or nothing where it fails.
    pub fn git(&self, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        self.git_with(arguments, input, &[])
    }

    fn git_with(&self, arguments: &[&str], input: &[u8], environment: &[(&str, &str)]) -> Option<Vec<u8>> {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&self.directory).args(arguments).envs(environment.iter().copied());
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "bot").env(format!("GIT_{who}_EMAIL"), "bot@example.com");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output.status.success().then_some(output.stdout)
    }

    /// The same as one line of text.
    pub fn line(&self, arguments: &[&str]) -> Option<String> {
        let output = self.git(arguments, b"")?;
        Some(String::from_utf8(output).unwrap().trim_end().to_owned())
    }

    fn reference(&self, name: &str) -> Option<String> {
        self.line(&["rev-parse", "--verify", "--quiet", name])
    }

    fn commit(&self, sha: &str) -> Option<Value> {
        let text = self.line(&["log", "-1", "--format=%H%n%T%n%P%n%cI%n%s", sha])?;
        let mut lines = text.split('\n');
        let mut next = || lines.next().unwrap_or_default().to_owned();
        let (sha, tree, parents, date, message) = (next(), next(), next(), next(), next());
        let parents: Vec<Value> = parents.split_whitespace().map(|sha| json!({ "sha": sha })).collect();
        let who = json!({ "name": "bot", "email": "bot@example.com", "date": date });
        Some(
            json!({ "sha": sha, "tree": { "sha": tree }, "parents": parents, "message": message, "author": who, "committer": who }),
        )
    }

    fn write_tree(&self, base: Option<&str>, entries: &[Value]) -> Result<String, &'static str> {
        let index = tempfile::tempdir().unwrap();
        let index = index.path().join("index").display().to_string();
        let environment = [("GIT_INDEX_FILE", index.as_str())];
        if let Some(base) = base {
            self.git_with(&["read-tree", base], b"", &environment).ok_or("base_tree does not exist")?;
        }
        let mut lines = String::new();
        for entry in entries {
            let path = entry["path"].as_str().unwrap();
            let sha = match (&entry["content"], &entry["sha"]) {
                (Value::String(text), _) => {
                    let sha = self.git(&["hash-object", "-w", "--stdin"], text.as_bytes()).unwrap();
                    String::from_utf8(sha).unwrap().trim_end().to_owned()
                }
                (_, Value::String(sha)) => {
                    self.git(&["cat-file", "-e", sha], b"").ok_or("tree.sha is invalid")?;
                    sha.clone()
                }
                _ => {
                    lines.push_str(&format!("0 {}\t{path}\n", "0".repeat(40)));
                    continue;
                }
            };
            lines.push_str(&format!("100644 {sha}\t{path}\n"));
        }
        self.git_with(&["update-index", "--index-info"], lines.as_bytes(), &environment).unwrap();
        let tree = self.git_with(&["write-tree"], b"", &environment).unwrap();
        Ok(String::from_utf8(tree).unwrap().trim_end().to_owned())
    }
}

/// The routes below `/repos/{owner}/{repo}`.
pub fn routes(repository: &'static Repository) -> Router {
    Router::new()
        .route("/repos/{owner}/{repo}/git/ref/{*name}", get(get_ref))
        .route("/repos/{owner}/{repo}/git/refs", post(create_ref))
        .route("/repos/{owner}/{repo}/git/refs/{*name}", patch(update_ref))
        .route("/repos/{owner}/{repo}/git/commits/{sha}", get(get_commit))
        .route("/repos/{owner}/{repo}/git/commits", post(create_commit))
        .route("/repos/{owner}/{repo}/git/trees/{sha}", get(get_tree))
        .route("/repos/{owner}/{repo}/git/trees", post(create_tree))
        .route("/repos/{owner}/{repo}/git/blobs/{sha}", get(get_blob))
        .route("/repos/{owner}/{repo}/git/blobs", post(create_blob))
        .route("/repos/{owner}/{repo}/commits", get(list_commits))
        .route("/repos/{owner}/{repo}/compare/{range}", get(compare))
        .layer(DefaultBodyLimit::max(40 << 20))
        .with_state(repository)
}

/// Git takes its time, which is not the server's own.
async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn get_ref(State(repository): Shared, Parts((_, _, name)): Named) -> Response {
    blocking(move || match repository.reference(&format!("refs/{name}")) {
        Some(sha) => ok(json!({ "ref": format!("refs/{name}"), "object": { "type": "commit", "sha": sha } })),
        None => not_found(),
    })
    .await
}

async fn create_ref(State(repository): Shared, body: Bytes) -> Response {
    blocking(move || {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let (name, sha) = (body["ref"].as_str().unwrap(), body["sha"].as_str().unwrap());
        let _moving = repository.moving.lock().unwrap();
        if repository.reference(name).is_some() {
            return unprocessable("Reference already exists");
        }
        match repository.git(&["update-ref", name, sha, &"0".repeat(40)], b"") {
            Some(_) => created(json!({ "ref": name, "object": { "type": "commit", "sha": sha } })),
            None => unprocessable("Object does not exist"),
        }
    })
    .await
}

async fn update_ref(State(repository): Shared, Parts((_, _, name)): Named, body: Bytes) -> Response {
    blocking(move || {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let (name, sha) = (format!("refs/{name}"), body["sha"].as_str().unwrap());
        let _moving = repository.moving.lock().unwrap();
        let Some(old) = repository.reference(&name) else { return unprocessable("Reference does not exist") };
        let ahead = repository.git(&["merge-base", "--is-ancestor", &old, sha], b"").is_some();
        if !ahead && body["force"] != json!(true) {
            return unprocessable("Update is not a fast forward");
        }
        repository.git(&["update-ref", &name, sha, &old], b"").unwrap();
        ok(json!({ "ref": name, "object": { "type": "commit", "sha": sha } }))
    })
    .await
}

async fn get_commit(State(repository): Shared, Parts((_, _, sha)): Named) -> Response {
    blocking(move || repository.commit(&sha).map_or_else(not_found, ok)).await
}

async fn create_commit(State(repository): Shared, body: Bytes) -> Response {
    blocking(move || {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let mut arguments = vec!["commit-tree", body["tree"].as_str().unwrap()];
        for parent in body["parents"].as_array().into_iter().flatten() {
            arguments.extend(["-p", parent.as_str().unwrap()]);
        }
        let message = body["message"].as_str().unwrap();
        match repository.git(&arguments, message.as_bytes()) {
            Some(sha) => created(repository.commit(String::from_utf8(sha).unwrap().trim_end()).unwrap()),
            None => unprocessable("Tree SHA does not exist"),
        }
    })
    .await
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    recursive: Option<String>,
}

async fn get_tree(
    State(repository): Shared,
    Parts((_, _, sha)): Named,
    Query(listing): Query<Listing>,
) -> Response {
    blocking(move || {
        let arguments: &[&str] =
            if listing.recursive.is_some() { &["ls-tree", "-r", "-t", &sha] } else { &["ls-tree", &sha] };
        let Some(text) = repository.line(arguments) else { return not_found() };
        let entry = |line: &str| {
            let (head, path) = line.split_once('\t').unwrap();
            let fields: Vec<&str> = head.split(' ').collect();
            json!({ "path": path, "mode": fields[0], "type": fields[1], "sha": fields[2], "url": "https://github.example/x" })
        };
        let tree: Vec<Value> = text.lines().map(entry).collect();
        ok(json!({ "sha": sha, "tree": tree, "truncated": false }))
    })
    .await
}

async fn create_tree(State(repository): Shared, body: Bytes) -> Response {
    blocking(move || {
        let body: Value = serde_json::from_slice(&body).unwrap();
        match repository.write_tree(body["base_tree"].as_str(), body["tree"].as_array().unwrap()) {
            Ok(sha) => created(json!({ "sha": sha })),
            Err(message) => unprocessable(message),
        }
    })
    .await
}

async fn get_blob(State(repository): Shared, Parts((_, _, sha)): Named) -> Response {
    blocking(move || {
        let Some(content) = repository.git(&["cat-file", "blob", &sha], b"") else { return not_found() };
        // GitHub breaks the lines.
        let encoded = base64::engine::general_purpose::STANDARD.encode(&content);
        let lines: Vec<&str> = encoded.as_bytes().chunks(60).map(|line| std::str::from_utf8(line).unwrap()).collect();
        ok(json!({ "sha": sha, "size": content.len(), "encoding": "base64", "content": lines.join("\n") + "\n" }))
    })
    .await
}

async fn create_blob(State(repository): Shared, body: Bytes) -> Response {
    blocking(move || {
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["encoding"], "utf-8");
        let sha =
            repository.git(&["hash-object", "-w", "--stdin"], body["content"].as_str().unwrap().as_bytes());
        created(json!({ "sha": String::from_utf8(sha.unwrap()).unwrap().trim_end() }))
    })
    .await
}

#[derive(Deserialize)]
struct Commits {
    sha: String,
    #[serde(default = "thirty")]
    per_page: usize,
}

fn thirty() -> usize {
    30
}

async fn list_commits(State(repository): Shared, Query(query): Query<Commits>) -> Response {
    blocking(move || {
        let most = format!("--max-count={}", query.per_page.min(100));
        let Some(text) = repository.line(&["log", &most, "--format=%H %P", &query.sha]) else {
            return not_found();
        };
        let commit = |line: &str| {
            let mut shas = line.split_whitespace();
            let sha = shas.next().unwrap();
            json!({ "sha": sha, "parents": shas.map(|sha| json!({ "sha": sha })).collect::<Vec<_>>() })
        };
        ok(text.lines().map(commit).collect())
    })
    .await
}

async fn compare(State(repository): Shared, extract::Path((_, _, range)): Named) -> Response {
    blocking(move || {
        let (base, head) = range.split_once("...").unwrap();
        match repository.line(&["merge-base", base, head]) {
            Some(sha) => ok(json!({ "merge_base_commit": { "sha": sha }, "status": "diverged" })),
            None => not_found(),
        }
    })
    .await
}

fn ok(body: Value) -> Response {
    Json(body).into_response()
}

fn created(body: Value) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "message": "Not Found" }))).into_response()
}

fn unprocessable(message: &str) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "message": message }))).into_response()
}
