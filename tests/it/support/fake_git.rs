//! The Git database of the fake GitHub: a real bare repository, behind the answers that GitHub gives (GitHub
//! REST API, "Git database" and "Commits").

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Parts, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::github_documents::{self as documents, Commit};
use crate::support::schema::hold;

/// The default author.
const NOBODY: [&str; 2] = ["bot", "bot@example.com"];
/// The expected value of a reference that does not exist.
const NOTHING: &str = "0000000000000000000000000000000000000000";
/// A commit as `git log -z` prints it: this many fields, each ended by a NUL, which no message contains.
const FORMAT: &str = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B";
const FIELDS: usize = 10;

/// A bare repository, and the lock that is held while a reference moves.
pub struct Repository {
    directory: PathBuf,
    moving: Mutex<()>,
}

type Shared = State<&'static Repository>;
/// Owner, name and the rest of the path.
type Named = Parts<(String, String, String)>;
type Answer = Result<(StatusCode, Value), Refusal>;
type Environment<'a> = [(&'a str, &'a str)];

impl Repository {
    /// A new repository with one commit, below `directory`. It lives as long as the tests.
    pub fn create(directory: &Path) -> &'static Repository {
        let path = directory.join("bare.git");
        let made = Command::new("git").args(["init", "--quiet", "--bare"]).arg(&path).status().unwrap();
        assert!(made.success());
        let repository = Repository::at(&path);
        // A workflow can only run if somebody has pushed a commit.
        let tree = text_of(repository.git(&["mktree"], b"").unwrap());
        let commit = text_of(repository.git(&["commit-tree", &tree], b"First").unwrap());
        repository.git(&["update-ref", "refs/heads/main", &commit], b"").unwrap();
        repository
    }

    /// An existing bare repository, with whatever has been pushed to it.
    pub fn at(path: &Path) -> &'static Repository {
        Box::leak(Box::new(Repository { directory: path.to_owned(), moving: Mutex::default() }))
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// The output of `git`, or nothing if it fails.
    pub fn git(&self, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        self.git_with(arguments, input, &[])
    }

    fn git_with(&self, arguments: &[&str], input: &[u8], environment: &Environment) -> Option<Vec<u8>> {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&self.directory).args(arguments);
        // GitHub states times in UTC, whatever the machine and its user prefer.
        command.env("TZ", "UTC").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            let [name, email] = NOBODY;
            command.env(format!("GIT_{who}_NAME"), name).env(format!("GIT_{who}_EMAIL"), email);
        }
        command.envs(environment.iter().copied());
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
        self.git(arguments, b"").map(text_of)
    }

    /// The target of the reference with exactly this name.
    fn reference(&self, name: &str) -> Option<String> {
        self.line(&["show-ref", "--verify", "--hash", name])
    }

    /// GitHub's Git database refuses everything for a repository without a commit.
    fn refuse_empty(&self) -> Result<(), Refusal> {
        let any = self.line(&["for-each-ref", "--count=1"]).is_some_and(|found| !found.is_empty());
        let empty = || refusal(StatusCode::CONFLICT, "Git Repository is empty.");
        any.then_some(()).ok_or_else(empty)
    }

    /// A reference in GitHub's format, from its name and the hash that it points to.
    fn pointing(&self, name: &str, sha: &str) -> Value {
        documents::reference(name, &self.line(&["cat-file", "-t", sha]).unwrap(), sha)
    }

    /// The hash of an object of a kind, from its hash or the name of a branch.
    fn resolve(&self, name: &str, kind: &str) -> Option<String> {
        // GitHub knows names, but not Git's revision expressions.
        let plain = !name.contains(['~', '^', ':', '{']);
        let wanted = format!("{name}^{{{kind}}}");
        plain.then(|| self.line(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]))?
    }

    /// The same for a hash only.
    fn known(&self, sha: &str, kind: &str) -> Option<String> {
        self.resolve(sha, kind).filter(|_| is_hash(sha))
    }

    /// Commits from a starting point, in GitHub's order.
    fn log(&self, from: &str, skip: usize, most: usize) -> Option<Vec<Commit>> {
        let (skip, most) = (format!("--skip={skip}"), format!("--max-count={most}"));
        let date = "--date=format-local:%Y-%m-%dT%H:%M:%SZ";
        let output = self.git(&["log", "-z", "--date-order", &skip, &most, date, FORMAT, from], b"")?;
        let text = String::from_utf8(output).unwrap();
        let fields: Vec<&str> = text.split('\0').collect();
        Some(fields.chunks_exact(FIELDS).map(commit_of).collect())
    }

    /// The commit at the tip of a branch.
    pub fn branch_tip(&self, name: &str) -> Option<Commit> {
        self.logged(&self.reference(&format!("refs/heads/{name}"))?)
    }

    fn logged(&self, sha: &str) -> Option<Commit> {
        self.log(sha, 0, 1)?.pop()
    }

    fn store(&self, content: &[u8]) -> String {
        text_of(self.git(&["hash-object", "-w", "--stdin"], content).unwrap())
    }

    /// The entries of a tree, as GitHub lists them.
    fn entries(&self, tree: &str, recursive: bool) -> Option<Vec<Value>> {
        let deep: &[&str] = if recursive { &["-r", "-t"] } else { &[] };
        let output = self.git(&[&["ls-tree", "-z", "--long"], deep, &[tree]].concat(), b"")?;
        let text = String::from_utf8(output).unwrap();
        Some(text.split_terminator('\0').map(listed).collect())
    }

    /// The paths of all files in a tree.
    fn files(&self, tree: &str) -> BTreeSet<String> {
        let entries = self.entries(tree, true).unwrap().into_iter();
        let files = entries.filter(|entry| entry["type"] != "tree");
        files.map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
    }

    /// Makes a tree by changing another one.
    fn write_tree(&self, base: Option<&str>, changes: &[Value]) -> Result<String, Refusal> {
        // A separate index, because several trees are made at once.
        let directory = tempfile::tempdir().unwrap();
        let index = directory.path().join("index").display().to_string();
        let environment = [("GIT_INDEX_FILE", index.as_str())];
        let mut lines = Vec::new();
        let files = base.map(|base| self.files(base)).unwrap_or_default();
        for change in changes {
            self.add_lines(&files, change, &mut lines)?;
        }
        if let Some(base) = base {
            self.git_with(&["read-tree", base], b"", &environment).unwrap();
        }
        let input = lines.concat();
        // A file replaces a directory of the same name, and vice versa.
        let update = ["update-index", "-z", "--replace", "--index-info"];
        self.git_with(&update, input.as_bytes(), &environment).ok_or_else(malformed)?;
        self.git_with(&["write-tree"], b"", &environment).map(text_of).ok_or_else(malformed)
    }

    /// The input for `git update-index` that makes a change.
    fn add_lines(
        &self,
        files: &BTreeSet<String>,
        change: &Value,
        lines: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let (path, mode) = (text(change, "path")?, text(change, "mode")?);
        if path.split('/').any(|part| ["", ".", "..", ".git"].contains(&part)) {
            return Err(unprocessable("tree.path contains a malformed path component"));
        }
        let kind = match mode {
            "100644" | "100755" | "120000" => "blob",
            "040000" => "tree",
            "160000" => "commit",
            _ => return Err(unprocessable("Must supply a valid tree.mode")),
        };
        match (change.get("content"), change.get("sha")) {
            (Some(Value::String(content)), None) if kind == "blob" => {
                lines.push(line(mode, &self.store(content.as_bytes()), path));
            }
            (None, Some(Value::Null)) => lines.extend(deletions(files, path)?),
            // A submodule's commit is in another repository.
            (None, Some(Value::String(sha))) if kind == "commit" && is_hash(sha) => {
                lines.push(line(mode, sha, path));
            }
            (None, Some(Value::String(sha))) => {
                let invalid = || unprocessable(&format!("tree.sha {sha} is not a valid {kind}"));
                let sha = self.known(sha, kind).ok_or_else(invalid)?;
                match kind {
                    "tree" => lines.extend(self.grafted(files, path, &sha)),
                    _ => lines.push(line(mode, &sha, path)),
                }
            }
            _ => return Err(unprocessable("Must supply either tree.sha or tree.content")),
        }
        Ok(())
    }

    /// Replaces whatever is at a path with a tree.
    fn grafted(&self, files: &BTreeSet<String>, path: &str, tree: &str) -> Vec<String> {
        let mut lines = deletions(files, path).unwrap_or_default();
        let entries = self.entries(tree, true).unwrap().into_iter();
        lines.extend(entries.filter(|entry| entry["type"] != "tree").map(|entry| {
            let field = |name: &str| entry[name].as_str().unwrap();
            line(field("mode"), field("sha"), &format!("{path}/{}", field("path")))
        }));
        lines
    }

    /// How a commit is made, apart from the defaults: by whom, as the request says, and when.
    fn signed(body: &Value) -> Vec<(String, String)> {
        let author = &body["author"];
        // The author is also the committer, unless the request names another.
        let committer = if body["committer"].is_object() { &body["committer"] } else { author };
        let mut environment = Vec::new();
        for (who, person) in [("AUTHOR", author), ("COMMITTER", committer)] {
            for field in ["name", "email", "date"] {
                if let Some(value) = person[field].as_str() {
                    environment.push((format!("GIT_{who}_{}", field.to_uppercase()), value.to_owned()));
                }
            }
        }
        environment
    }
}

/// Why a request is refused.
struct Refusal {
    status: StatusCode,
    message: String,
}

fn commit_of(fields: &[&str]) -> Commit {
    let person = |at: usize| [at, at + 1, at + 2].map(|at| fields[at].to_owned());
    Commit {
        sha: fields[0].to_owned(),
        tree: fields[1].to_owned(),
        parents: fields[2].split_whitespace().map(str::to_owned).collect(),
        author: person(3),
        committer: person(6),
        message: fields[9].trim_end_matches('\n').to_owned(),
    }
}

/// Deletes a file, or everything below a directory. GitHub refuses to delete missing paths.
fn deletions(files: &BTreeSet<String>, path: &str) -> Result<Vec<String>, Refusal> {
    let below = format!("{path}/");
    let inside = files.range(below.clone()..).take_while(|file| file.starts_with(&below));
    let lines: Vec<String> =
        files.get(path).into_iter().chain(inside).map(|file| line("0", NOTHING, file)).collect();
    if lines.is_empty() { Err(unprocessable("GitRPC::BadObjectState")) } else { Ok(lines) }
}

/// The routes below `/repos/{owner}/{repo}`.
pub fn routes(repository: &'static Repository) -> Router {
    Router::new()
        .route("/repos/{owner}/{repo}/git/ref/{*name}", get(get_ref))
        .route("/repos/{owner}/{repo}/git/matching-refs/{*name}", get(matching_refs))
        .route("/repos/{owner}/{repo}/git/refs", post(create_ref))
        .route("/repos/{owner}/{repo}/git/refs/{*name}", patch(update_ref))
        .route("/repos/{owner}/{repo}/git/commits/{sha}", get(get_commit))
        .route("/repos/{owner}/{repo}/git/commits", post(create_commit))
        .route("/repos/{owner}/{repo}/git/trees/{sha}", get(get_tree))
        .route("/repos/{owner}/{repo}/git/trees", post(create_tree))
        .route("/repos/{owner}/{repo}/git/blobs/{sha}", get(get_blob))
        .route("/repos/{owner}/{repo}/git/blobs", post(create_blob))
        .route("/repos/{owner}/{repo}/commits", get(list_commits))
        .route("/repos/{owner}/{repo}/commits/{*name}", get(show_commit))
        .route("/repos/{owner}/{repo}/compare/{*range}", get(compare))
        .layer(DefaultBodyLimit::max(40 << 20))
        .with_state(repository)
}

/// Runs Git outside of the server's own thread, because it takes time.
async fn blocking(work: impl FnOnce() -> Answer + Send + 'static) -> Response {
    let (status, body) = tokio::task::spawn_blocking(work)
        .await
        .unwrap()
        .unwrap_or_else(|refusal| (refusal.status, documents::refusal(refusal.status, &refusal.message)));
    (status, Json(body)).into_response()
}

async fn get_ref(State(repository): Shared, Parts((_, _, name)): Named) -> Response {
    blocking(move || {
        let name = format!("refs/{name}");
        let sha = repository.reference(&name).ok_or_else(not_found)?;
        Ok(ok(repository.pointing(&name, &sha)))
    })
    .await
}

async fn matching_refs(State(repository): Shared, Parts((_, _, name)): Named) -> Response {
    blocking(move || {
        repository.refuse_empty()?;
        let start = format!("refs/{name}");
        let all = repository.line(&["for-each-ref", "--format=%(refname) %(objectname)"]).unwrap();
        let listed = all.lines().filter_map(|line| line.split_once(' '));
        let matching = listed.filter(|(name, _)| name.starts_with(&start));
        Ok(ok(matching.map(|(name, sha)| repository.pointing(name, sha)).collect()))
    })
    .await
}

async fn create_ref(State(repository): Shared, body: Bytes) -> Response {
    blocking(move || {
        let body = parse(&body)?;
        let (name, sha) = (text(&body, "ref")?, text(&body, "sha")?);
        let valid = name.starts_with("refs/") && name.matches('/').count() >= 2;
        if !valid || repository.git(&["check-ref-format", name], b"").is_none() {
            return Err(unprocessable(&format!("{name} is not a valid ref name.")));
        }
        repository.known(sha, "object").ok_or_else(|| unprocessable("Object does not exist"))?;
        let _moving = repository.moving.lock().unwrap();
        if repository.reference(name).is_some() {
            return Err(unprocessable("Reference already exists"));
        }
        let made = repository.git(&["update-ref", name, sha, NOTHING], b"");
        made.ok_or_else(|| unprocessable("Reference update failed"))?;
        Ok(created(repository.pointing(name, sha)))
    })
    .await
}

async fn update_ref(State(repository): Shared, Parts((_, _, name)): Named, body: Bytes) -> Response {
    blocking(move || {
        let body = parse(&body)?;
        let (name, sha) = (format!("refs/{name}"), text(&body, "sha")?);
        let _moving = repository.moving.lock().unwrap();
        let old = repository.reference(&name).ok_or_else(|| unprocessable("Reference does not exist"))?;
        repository.known(sha, "object").ok_or_else(|| unprocessable("Object does not exist"))?;
        let ahead = repository.git(&["merge-base", "--is-ancestor", &old, sha], b"").is_some();
        if !ahead && body["force"] != json!(true) {
            return Err(unprocessable("Update is not a fast forward"));
        }
        // A push with Git itself does not wait for the lock.
        let moved = repository.git(&["update-ref", &name, sha, &old], b"");
        moved.ok_or_else(|| refusal(StatusCode::CONFLICT, "Reference cannot be updated"))?;
        Ok(ok(repository.pointing(&name, sha)))
    })
    .await
}

async fn get_commit(State(repository): Shared, Parts((_, _, sha)): Named) -> Response {
    blocking(move || {
        let sha = repository.known(&sha, "commit").ok_or_else(not_found)?;
        Ok(ok(repository.logged(&sha).unwrap().object()))
    })
    .await
}

async fn create_commit(State(repository): Shared, body: Bytes) -> Response {
    blocking(move || {
        let body = parse(&body)?;
        let (tree, message) = (text(&body, "tree")?, text(&body, "message")?);
        repository.refuse_empty()?;
        repository.known(tree, "tree").ok_or_else(|| unprocessable("Tree SHA does not exist"))?;
        let mut arguments = vec!["commit-tree", tree];
        for parent in body["parents"].as_array().into_iter().flatten() {
            let known = parent.as_str().filter(|sha| repository.known(sha, "commit").is_some());
            let missing = || unprocessable("Parent SHA does not exist or is not a commit object");
            arguments.extend(["-p", known.ok_or_else(missing)?]);
        }
        let signed = Repository::signed(&body);
        let signed: Vec<(&str, &str)> = signed.iter().map(|(key, value)| (&**key, &**value)).collect();
        let made = repository.git_with(&arguments, message.as_bytes(), &signed);
        let sha = text_of(made.ok_or_else(|| unprocessable("Invalid request"))?);
        Ok(created(repository.logged(&sha).unwrap().object()))
    })
    .await
}

#[derive(Deserialize)]
struct Listing {
    /// Any value requests it, even "false".
    recursive: Option<String>,
}

async fn get_tree(
    State(repository): Shared,
    Parts((_, _, name)): Named,
    Query(listing): Query<Listing>,
) -> Response {
    blocking(move || {
        let sha = repository.resolve(&name, "tree").ok_or_else(not_found)?;
        let tree = repository.entries(&sha, listing.recursive.is_some()).unwrap();
        Ok(ok(documents::tree(&sha, tree)))
    })
    .await
}

async fn create_tree(State(repository): Shared, body: Bytes) -> Response {
    blocking(move || {
        let body = parse(&body)?;
        repository.refuse_empty()?;
        let invalid = || unprocessable("Invalid tree info");
        let changes = body["tree"].as_array().filter(|tree| !tree.is_empty()).ok_or_else(invalid)?;
        let base = match &body["base_tree"] {
            Value::Null => None,
            Value::String(sha) if is_hash(sha) => {
                Some(repository.resolve(sha, "tree").ok_or_else(not_found)?)
            }
            _ => return Err(unprocessable("base_tree is not a valid tree oid")),
        };
        let sha = repository.write_tree(base.as_deref(), changes)?;
        let tree = repository.entries(&sha, false).unwrap();
        Ok(created(documents::tree(&sha, tree)))
    })
    .await
}

async fn get_blob(State(repository): Shared, Parts((_, _, sha)): Named) -> Response {
    blocking(move || {
        let sha = repository.known(&sha, "blob").ok_or_else(not_found)?;
        let content = repository.git(&["cat-file", "blob", &sha], b"").unwrap();
        // GitHub breaks the text into lines.
        let encoded = STANDARD.encode(&content);
        let lines = encoded.as_bytes().chunks(60).map(|line| std::str::from_utf8(line).unwrap());
        let broken: String = lines.flat_map(|line| [line, "\n"]).collect();
        Ok(ok(documents::blob(&sha, content.len(), &broken)))
    })
    .await
}

async fn create_blob(State(repository): Shared, body: Bytes) -> Response {
    blocking(move || {
        let body = parse(&body)?;
        let content = text(&body, "content")?;
        repository.refuse_empty()?;
        let sha = match body["encoding"].as_str() {
            None | Some("utf-8") => {
                hold(content.as_bytes(), "a blob");
                repository.store(content.as_bytes())
            }
            Some("base64") => {
                let packed: String = content.split_ascii_whitespace().collect();
                let decoded = STANDARD.decode(packed);
                repository.store(&decoded.map_err(|_| unprocessable("content is not valid Base64"))?)
            }
            Some(_) => return Err(unprocessable("encoding must be utf-8 or base64")),
        };
        Ok(created(documents::stored_blob(&sha)))
    })
    .await
}

#[derive(Deserialize)]
struct Commits {
    /// Where to start; by default, the default branch.
    sha: Option<String>,
    #[serde(default = "thirty")]
    per_page: usize,
    #[serde(default = "one")]
    page: usize,
}

fn thirty() -> usize {
    30
}

fn one() -> usize {
    1
}

impl Repository {
    /// The pull request that brought a commit to `main`: GitHub's own merge commits name it.
    fn merged_by(&self, sha: &str) -> Option<Value> {
        self.git(&["merge-base", "--is-ancestor", sha, "main"], b"")?;
        let commit = self.logged(sha)?;
        let number = commit.message.strip_prefix("Merge pull request #")?.split(' ').next()?.parse().ok()?;
        let [base, head] = commit.parents.as_slice() else { return None };
        let pull = documents::PullRequest {
            number,
            head: ["acme/shop", "change", head].map(str::to_owned),
            base: "main".into(),
            base_sha: base.clone(),
        };
        let mut item = pull.item(&[]);
        item["state"] = "closed".into();
        item["merged_at"] = "2026-11-02T08:00:00Z".into();
        item["merge_commit_sha"] = sha.into();
        Some(item)
    }
}

async fn list_commits(State(repository): Shared, Query(query): Query<Commits>) -> Response {
    blocking(move || {
        let from = match &query.sha {
            Some(name) => repository.resolve(name, "commit").ok_or_else(not_found)?,
            None => repository
                .resolve("HEAD", "commit")
                .ok_or_else(|| refusal(StatusCode::CONFLICT, "Git Repository is empty."))?,
        };
        let size = query.per_page.clamp(1, 100);
        let commits = repository.log(&from, (query.page.max(1) - 1) * size, size).unwrap();
        Ok(ok(commits.iter().map(Commit::item).collect()))
    })
    .await
}

async fn show_commit(State(repository): Shared, Parts((_, _, name)): Named) -> Response {
    blocking(move || {
        // Unlike the Git database, this returns "unprocessable".
        let missing = || unprocessable(&format!("No commit found for SHA: {name}"));
        if let Some(sha) = name.strip_suffix("/pulls") {
            let sha = repository.resolve(sha, "commit").ok_or_else(missing)?;
            return Ok(ok(repository.merged_by(&sha).into_iter().collect()));
        }
        let sha = repository.resolve(&name, "commit").ok_or_else(missing)?;
        Ok(ok(repository.logged(&sha).unwrap().item()))
    })
    .await
}

/// The default number of commits on a page. Other lists have thirty.
const COMPARED: usize = 250;

#[derive(Deserialize)]
struct Pages {
    per_page: Option<usize>,
    page: Option<usize>,
}

async fn compare(
    State(repository): Shared,
    Parts((_, _, range)): Named,
    Query(pages): Query<Pages>,
) -> Response {
    blocking(move || {
        let (base, head) = range.split_once("...").ok_or_else(not_found)?;
        let commit = |name: &str| repository.resolve(name, "commit").ok_or_else(not_found);
        let (base, head) = (commit(base)?, commit(head)?);
        let meeting = repository.line(&["merge-base", &base, &head]).ok_or_else(not_found)?;
        let sides = ["rev-list", "--left-right", "--count", &format!("{base}...{head}")];
        let counted = repository.line(&sides).unwrap();
        let (behind, ahead) = counted.split_once('\t').unwrap();
        let (behind, ahead): (u64, u64) = (behind.parse().unwrap(), ahead.parse().unwrap());
        let status = match (ahead, behind) {
            (0, 0) => "identical",
            (_, 0) => "ahead",
            (0, _) => "behind",
            _ => "diverged",
        };
        let size = pages.per_page.map_or(COMPARED, |size| size.clamp(1, 100));
        let skip = (pages.page.unwrap_or(1).max(1) - 1) * size;
        // Unlike other lists, this one starts with the oldest.
        let mut commits = repository.log(&format!("{base}..{head}"), 0, ahead as usize).unwrap();
        commits.reverse();
        let commits: Vec<Value> = commits.iter().skip(skip).take(size).map(Commit::item).collect();
        let permalink = format!("compare/acme:{}...acme:{}", &base[..7], &head[..7]);
        let html = documents::page(&format!("compare/{range}"));
        Ok(ok(json!({
            "url": documents::api(&format!("compare/{range}")), "permalink_url": documents::page(&permalink),
            "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"), "html_url": html,
            "base_commit": repository.logged(&base).unwrap().item(),
            "merge_base_commit": repository.logged(&meeting).unwrap().item(),
            "status": status, "ahead_by": ahead, "behind_by": behind, "total_commits": ahead,
            "commits": commits,
        })))
    })
    .await
}

fn is_hash(name: &str) -> bool {
    name.len() == NOTHING.len() && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn text_of(output: Vec<u8>) -> String {
    String::from_utf8(output).unwrap().trim_end().to_owned()
}

/// One line of `git update-index -z --index-info`.
fn line(mode: &str, sha: &str, path: &str) -> String {
    format!("{mode} {sha}\t{path}\0")
}

/// One line of `git ls-tree --long`, in GitHub's format.
fn listed(line: &str) -> Value {
    let (head, path) = line.split_once('\t').unwrap();
    let fields: Vec<&str> = head.split_whitespace().collect();
    documents::entry(path, fields[0], fields[1], fields[2], fields[3].parse().ok())
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| refusal(StatusCode::BAD_REQUEST, "Problems parsing JSON"))
}

fn text<'a>(body: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    let missing = || unprocessable(&format!("Invalid request.\n\n\"{field}\" wasn't supplied."));
    body[field].as_str().ok_or_else(missing)
}

fn ok(body: Value) -> (StatusCode, Value) {
    (StatusCode::OK, body)
}

fn created(body: Value) -> (StatusCode, Value) {
    (StatusCode::CREATED, body)
}

fn refusal(status: StatusCode, message: &str) -> Refusal {
    Refusal { status, message: message.to_owned() }
}

fn not_found() -> Refusal {
    refusal(StatusCode::NOT_FOUND, "Not Found")
}

fn malformed() -> Refusal {
    unprocessable("tree.path contains a malformed path component")
}

fn unprocessable(message: &str) -> Refusal {
    refusal(StatusCode::UNPROCESSABLE_ENTITY, message)
}

mod tests {
    use std::future::Future;

    use super::*;
    use crate::support::exchanges::FAKES_OWN_TEST;
    use crate::support::fake_github::{Chaos, FakeGithub};

    /// Sends requests to a fake GitHub, like a client.
    struct Caller {
        client: reqwest::Client,
        runtime: tokio::runtime::Runtime,
        base: String,
    }

    impl Caller {
        fn of(github: &FakeGithub) -> Caller {
            // The client requires a provider, although it uses plain HTTP here. Another test may have installed it.
            drop(rustls::crypto::ring::default_provider().install_default());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = reqwest::Client::builder().no_proxy().user_agent(FAKES_OWN_TEST).build().unwrap();
            Caller { client, runtime, base: format!("{}/repos/acme/shop", github.url) }
        }

        /// Status and body, or nothing if the answer is broken.
        fn ask(
            &self,
            method: &str,
            path: &str,
            body: Option<&Value>,
        ) -> impl Future<Output = Option<(u16, Value)>> + Send + 'static {
            let url = format!("{}/{path}", self.base);
            let mut request = self.client.request(method.parse().unwrap(), url);
            request = request.header("authorization", "Bearer ghs_secret-token");
            if let Some(body) = body {
                request = request.json(body);
            }
            async move {
                let response = request.send().await.ok()?;
                let status = response.status().as_u16();
                Some((status, response.json().await.ok()?))
            }
        }

        fn get(&self, path: &str) -> (u16, Value) {
            self.runtime.block_on(self.ask("GET", path, None)).unwrap()
        }

        fn post(&self, path: &str, body: &Value) -> (u16, Value) {
            self.runtime.block_on(self.ask("POST", path, Some(body))).unwrap()
        }

        fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
            self.runtime.block_on(self.ask("PATCH", path, Some(body))).unwrap()
        }

        /// The hash of the created object.
        #[track_caller]
        fn make(&self, path: &str, body: &Value) -> String {
            let (status, made) = self.post(path, body);
            assert_eq!(status, 201, "{made}");
            made["sha"].as_str().unwrap().to_owned()
        }

        fn file_tree(&self, content: &str) -> String {
            let file = json!({ "path": "file", "mode": "100644", "type": "blob", "content": content });
            self.make("git/trees", &json!({ "tree": [file] }))
        }

        fn commit(&self, message: &str, parents: &[&str]) -> String {
            let tree = self.file_tree(message);
            self.make("git/commits", &json!({ "message": message, "tree": tree, "parents": parents }))
        }
    }

    fn message(status: u16, message: &str) -> (u16, Value) {
        (status, documents::refusal(StatusCode::from_u16(status).unwrap(), message))
    }

    fn assert_sound(repository: &Repository) {
        assert!(repository.git(&["fsck", "--full", "--strict"], b"").is_some());
    }

    #[test]
    fn only_a_commit_on_top_moves_a_reference() {
        let github = FakeGithub::start();
        let caller = Caller::of(&github);
        let first = caller.commit("first", &[]);
        let [left, right] = ["left", "right"].map(|name| caller.commit(name, &[&first]));
        let to = |sha: &str| json!({ "sha": sha });

        assert_eq!(caller.get("git/ref/heads/a/b"), message(404, "Not Found"));
        let missing = message(422, "Reference does not exist");
        assert_eq!(caller.patch("git/refs/heads/a/b", &to(&first)), missing);
        let make = json!({ "ref": "refs/heads/a/b", "sha": first });
        assert_eq!(caller.post("git/refs", &make).0, 201);
        assert_eq!(caller.post("git/refs", &make), message(422, "Reference already exists"));

        let moved = caller.patch("git/refs/heads/a/b", &to(&left));
        assert_eq!(moved, (200, documents::reference("refs/heads/a/b", "commit", &left)));
        assert_eq!(caller.get("git/ref/heads/a/b"), moved);
        for behind in [&right, &first] {
            let refused = caller.patch("git/refs/heads/a/b", &to(behind));
            assert_eq!(refused, message(422, "Update is not a fast forward"));
        }
        assert_eq!(caller.get("git/ref/heads/a/b"), moved);
        let forced = caller.patch("git/refs/heads/a/b", &json!({ "sha": right, "force": true }));
        assert_eq!(forced.1["object"]["sha"], *right);
        assert_sound(github.repository());
    }

    #[test]
    fn of_fifty_who_move_a_reference_at_once_one_does() {
        let github = FakeGithub::start();
        let caller = Caller::of(&github);
        let first = caller.commit("first", &[]);
        caller.post("git/refs", &json!({ "ref": "refs/heads/moved", "sha": first }));
        let commits: Vec<String> =
            (0..50).map(|number| caller.commit(&number.to_string(), &[&first])).collect();
        let answers = caller.runtime.block_on(async {
            let ask = |sha: &String| {
                let body = json!({ "sha": sha, "force": false });
                tokio::spawn(caller.ask("PATCH", "git/refs/heads/moved", Some(&body)))
            };
            futures_util::future::join_all(commits.iter().map(ask).collect::<Vec<_>>()).await
        });
        let statuses: Vec<u16> = answers.into_iter().map(|answer| answer.unwrap().unwrap().0).collect();
        let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((count(200), count(422)), (1, 49));
        assert_sound(github.repository());
    }

    #[test]
    fn a_tree_has_what_its_base_has_but_for_what_is_changed_and_deleted() {
        let github = FakeGithub::start();
        let caller = Caller::of(&github);
        let file =
            |path: &str, mode: &str| json!({ "path": path, "mode": mode, "type": "blob", "content": path });
        let gone = |path: &str| json!({ "path": path, "mode": "100644", "type": "blob", "sha": null });
        let files = |tree: &str| github.repository().files(tree).into_iter().collect::<Vec<_>>();
        let base = caller.make(
            "git/trees",
            &json!({ "tree": [
                file("a/b/one", "100644"), file("a/b/two", "100755"), file("a/c", "100644"),
                file("d/e/f", "100644"), file("g", "100644"), file("\u{e9} \"x\"\ty", "100644"),
            ] }),
        );
        let child = |tree: &[Value]| caller.post("git/trees", &json!({ "base_tree": base, "tree": tree }));

        // A file, a directory, and a file that becomes a directory.
        let (status, made) =
            child(&[gone("a/b/one"), gone("d"), file("g/h", "100644"), file("a/i/j", "100644")]);
        assert_eq!(status, 201, "{made}");
        let tree = made["sha"].as_str().unwrap();
        assert_eq!(files(tree), ["a/b/two", "a/c", "a/i/j", "g/h", "\u{e9} \"x\"\ty"]);
        let (_, listed) = caller.get(&format!("git/trees/{tree}?recursive=1"));
        let entries = listed["tree"].as_array().unwrap();
        let entry = |path: &str| entries.iter().find(|entry| entry["path"] == path).unwrap();
        assert_eq!((&entry("a/b/two")["mode"], &entry("a/b/two")["size"]), (&json!("100755"), &json!(7)));
        assert_eq!((&entry("a/b")["type"], &entry("a/b")["size"]), (&json!("tree"), &Value::Null));
        assert_eq!(caller.get(&format!("git/trees/{tree}")).1["tree"], made["tree"]);

        // A directory that becomes a file, and a tree that another one replaces.
        let inner = entry("g")["sha"].as_str().unwrap();
        let graft = json!({ "path": "a", "mode": "040000", "type": "tree", "sha": inner });
        let grafted = child(&[graft, file("d", "100644")]).1;
        assert_eq!(files(grafted["sha"].as_str().unwrap()), ["a/h", "d", "g", "\u{e9} \"x\"\ty"]);

        assert_eq!(child(&[gone("nowhere")]), message(422, "GitRPC::BadObjectState"));
        assert_eq!(child(&[file("a/../b", "100644")]).0, 422);
        let unknown = "1234567890123456789012345678901234567890";
        let lost = json!({ "path": "x", "mode": "100644", "type": "blob", "sha": unknown });
        assert_eq!(child(&[lost]), message(422, &format!("tree.sha {unknown} is not a valid blob")));
        let nowhere = json!({ "base_tree": unknown, "tree": [file("x", "100644")] });
        assert_eq!(caller.post("git/trees", &nowhere), message(404, "Not Found"));
        assert_sound(github.repository());
    }

    #[test]
    fn a_blob_of_any_bytes_comes_back_in_short_lines() {
        let github = FakeGithub::start();
        let caller = Caller::of(&github);
        // More than a server accepts by default.
        let content: Vec<u8> = (0..3_000_001_u32).map(|number| number.wrapping_mul(77) as u8).collect();
        let sha =
            caller.make("git/blobs", &json!({ "content": STANDARD.encode(&content), "encoding": "base64" }));
        let (_, blob) = caller.get(&format!("git/blobs/{sha}"));
        let lines: Vec<&str> = blob["content"].as_str().unwrap().lines().collect();
        assert!(lines.iter().all(|line| line.len() <= 60) && lines[0].len() == 60);
        assert!(STANDARD.decode(lines.concat()).unwrap() == content);
        assert_eq!((&blob["size"], &blob["encoding"]), (&json!(content.len()), &json!("base64")));

        let empty = caller.make("git/blobs", &json!({ "content": "", "encoding": "utf-8" }));
        assert_eq!(caller.get(&format!("git/blobs/{empty}")).1["content"], "");
        let invalid = json!({ "content": "?", "encoding": "base64" });
        assert_eq!(caller.post("git/blobs", &invalid).0, 422);
        // It exists, but is not a blob.
        let tree = caller.file_tree("x");
        assert_eq!(caller.get(&format!("git/blobs/{tree}")), message(404, "Not Found"));
    }

    #[test]
    fn commits_are_listed_and_compared_in_a_repository_that_was_there_before() {
        let directory = tempfile::tempdir().unwrap();
        let before = Repository::create(directory.path());
        let tree = before.line(&["mktree"]).unwrap();
        let root = before.line(&["commit-tree", &tree, "-m", "root"]).unwrap();
        for name in ["refs/heads/some/branch", "refs/heads/main"] {
            before.git(&["update-ref", name, &root], b"").unwrap();
        }
        let github = FakeGithub::start_at(before.path());
        let caller = Caller::of(&github);

        let commit = |name: &str, second: u32, parents: &[&str]| {
            let date = format!("2024-02-03T04:05:{second:02}Z");
            let author = json!({ "name": name, "email": "x@example.com", "date": date });
            let body = json!({ "message": "a\n\nb", "tree": tree, "parents": parents, "author": author });
            caller.make("git/commits", &body)
        };
        let left = commit("left", 1, &[&root]);
        let right = commit("right", 2, &[&root]);
        let merge = commit("merge", 3, &[&left, &right]);

        let (_, object) = caller.get(&format!("git/commits/{merge}"));
        let author = ["merge", "x@example.com", "2024-02-03T04:05:03Z"].map(str::to_owned);
        let expected = Commit {
            sha: merge.clone(),
            tree: tree.clone(),
            parents: vec![left.clone(), right.clone()],
            author: author.clone(),
            committer: author,
            message: "a\n\nb".into(),
        };
        assert_eq!(object, expected.object());

        let (_, listed) = caller.get(&format!("commits?sha={merge}"));
        let shas: Vec<&str> =
            listed.as_array().unwrap().iter().map(|item| item["sha"].as_str().unwrap()).collect();
        assert_eq!(shas, [&merge, &right, &left, &root]);
        assert_eq!(listed[0], expected.item());
        let (_, second) = caller.get(&format!("commits?sha={merge}&per_page=3&page=2"));
        assert_eq!((second.as_array().unwrap().len(), &second[0]["sha"]), (1, &json!(root)));
        assert_eq!(caller.get(&format!("commits/{merge}")).1, listed[0]);
        assert_eq!(caller.get("commits/some/branch").1["sha"], *root);

        let (_, found) = caller.get(&format!("compare/{root}...{merge}?per_page=2&page=2"));
        assert_eq!((found["commits"].as_array().unwrap().len(), &found["commits"][0]), (1, &listed[0]));
        let compared = |base: &str, head: &str| {
            let (_, found) = caller.get(&format!("compare/{base}...{head}"));
            let count = |name: &str| found[name].as_u64().unwrap();
            let meeting = found["merge_base_commit"]["sha"].as_str().unwrap().to_owned();
            (meeting, count("ahead_by"), count("behind_by"), found["status"].as_str().unwrap().to_owned())
        };
        assert_eq!(compared(&left, &right), (root.clone(), 1, 1, "diverged".into()));
        assert_eq!(compared("some/branch", &merge), (root.clone(), 3, 0, "ahead".into()));
        assert_eq!(compared(&merge, &left), (left.clone(), 0, 2, "behind".into()));
        assert_eq!(compared(&left, &left), (left.clone(), 0, 0, "identical".into()));
        let other = commit("other", 4, &[]);
        assert_eq!(caller.get(&format!("compare/{left}...{other}")).0, 404);

        // Anything that is not a commit, or is a revision expression, does not exist.
        for wrong in [tree.as_str(), "nowhere", "main~0", "--all"] {
            assert_eq!(caller.get(&format!("commits?sha={wrong}")).0, 404, "{wrong}");
            assert_eq!(caller.get(&format!("git/commits/{wrong}")).0, 404, "{wrong}");
        }
        // In the Git database, only references have names.
        assert_eq!(caller.get("git/commits/main").0, 404);
        for (tree, parent) in [(NOTHING, root.as_str()), (tree.as_str(), NOTHING)] {
            let body = json!({ "message": "x", "tree": tree, "parents": [parent] });
            assert_eq!(caller.post("git/commits", &body).0, 422);
        }
        assert_sound(before);
    }

    /// The outcome for one blob after another: a status or nothing, and whether it was stored all the same.
    fn fates(state: u64) -> Vec<(Option<u16>, bool)> {
        let github = FakeGithub::start();
        github.world().chaos = Some(Chaos { state, longest_delay_ms: 3, dropped: 30, failed: 30 });
        let caller = Caller::of(&github);
        let fate = |number: u64| {
            let body = json!({ "content": number.to_string(), "encoding": "utf-8" });
            let answer = caller.runtime.block_on(caller.ask("POST", "git/blobs", Some(&body)));
            let hashed = github.repository().git(&["hash-object", "--stdin"], number.to_string().as_bytes());
            let stored = github.repository().git(&["cat-file", "-e", &text_of(hashed.unwrap())], b"");
            (answer.map(|(status, _)| status), stored.is_some())
        };
        let fates = (0..60).map(fate).collect();
        assert_eq!(github.world().requests.len(), 60);
        fates
    }

    #[test]
    fn chance_breaks_answers_before_and_after_the_effect_the_same_way_each_time() {
        let first = fates(5);
        for expected in
            [(Some(201), true), (None, true), (None, false), (Some(502), true), (Some(502), false)]
        {
            assert!(first.contains(&expected), "{expected:?}");
        }
        assert!(!first.contains(&(Some(201), false)));
        assert_eq!(first, fates(5));
        assert_ne!(first, fates(6));
    }
}
