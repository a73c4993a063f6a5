//! A stateful stand-in for the parts of GitHub's REST API that a check uses. It keeps comments, pages them as GitHub
//! does, records every request, and fails on demand.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::support::exchanges::{self, Artificial};
use crate::support::fake_fleet::{self, FleetRepository};
use crate::support::fake_git::{self, Repository};
use crate::support::github_documents::{self as documents, PullRequest};
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use serde::Deserialize;
use serde_json::{Value, json};

/// The login that a workflow's own token writes as.
pub const BOT: &str = "github-actions[bot]";

#[derive(Debug, Clone)]
pub struct Comment {
    pub id: u64,
    pub author: String,
    pub body: String,
    /// Whether somebody has hidden it.
    pub hidden: bool,
    /// The pull request that it is on; any, if a test does not say.
    pub on: Option<u64>,
}

/// A comment on lines of a pull request's diff.
#[derive(Debug, Clone)]
pub struct ReviewComment {
    pub id: u64,
    pub author: String,
    pub body: String,
    pub path: String,
    /// The first and the last line; `None` once the diff no longer has them.
    pub lines: Option<(u64, u64)>,
}

/// Answers to give instead of the real one.
#[derive(Debug, Clone)]
pub struct Fault {
    pub method: Method,
    /// A part of the URL that must match.
    pub path: &'static str,
    pub status: u16,
    pub message: &'static str,
    pub shape: Shape,
    pub headers: Vec<(&'static str, &'static str)>,
    pub times: usize,
    /// Whether the request takes effect before its answer is replaced.
    pub after_effect: bool,
    /// Whether all comments are deleted just before the request arrives.
    pub deletes: bool,
}

impl Default for Fault {
    fn default() -> Fault {
        Fault {
            method: Method::GET,
            path: "",
            status: 403,
            message: "Resource not accessible by integration",
            shape: Shape::Json,
            headers: Vec::new(),
            times: usize::MAX,
            after_effect: false,
            deletes: false,
        }
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// GitHub's usual JSON.
    Json,
    /// GitHub's GraphQL answer to a refused request.
    Graphql,
    /// Its answer to a query that takes too long.
    TimedOut,
    /// Its answer if the rate limit is used up.
    Limited,
    /// The page of a proxy.
    Html,
    /// Half of a document.
    Truncated,
    /// The connection ends in the middle of it.
    Dropped,
    /// It never ends, and keeps sending.
    Slow,
}

impl Shape {
    fn answer(self, status: StatusCode, headers: HeaderMap, message: &str) -> Response {
        let every_second = || {
            let tick = |()| async {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                Some((Ok::<Bytes, std::io::Error>(Bytes::from_static(b" ")), ()))
            };
            axum::body::Body::from_stream(futures_util::stream::unfold((), tick))
        };
        match self {
            Shape::Json => (status, headers, Json(json!({ "message": message }))).into_response(),
            Shape::Graphql => {
                let error = json!({ "type": "FORBIDDEN", "message": message });
                (status, headers, Json(json!({ "data": null, "errors": [error] }))).into_response()
            }
            Shape::TimedOut => {
                let error = json!({ "message": message });
                (status, headers, Json(json!({ "data": null, "errors": [error] }))).into_response()
            }
            Shape::Limited => {
                let error = json!({ "type": "RATE_LIMITED", "message": message });
                (status, headers, Json(json!({ "errors": [error] }))).into_response()
            }
            Shape::Html => (status, headers, axum::response::Html("<h1>Welcome</h1>")).into_response(),
            Shape::Truncated => (status, headers, "{\"id\": 1, \"html").into_response(),
            Shape::Dropped => dropped(),
            Shape::Slow => (status, headers, every_second()).into_response(),
        }
    }
}

/// Random failures, each in this many of a hundred requests.
#[derive(Debug, Clone, Copy)]
pub struct Chaos {
    /// The seed: the same sequence of requests has the same failures.
    pub state: u64,
    pub longest_delay_ms: u64,
    /// The connection is closed without an answer.
    pub dropped: u64,
    /// The answer is 502.
    pub failed: u64,
}

impl Chaos {
    /// A random number below a limit (xorshift).
    fn below(&mut self, bound: u64) -> u64 {
        // From a zero state, only zeros would follow.
        self.state = self.state.max(1);
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        if bound == 0 { 0 } else { self.state % bound }
    }
}

/// A file of another repository.
pub struct SharedFile {
    pub repository: &'static str,
    pub path: &'static str,
    pub at: &'static str,
    pub text: &'static str,
    pub token: Option<&'static str>,
}

#[derive(Default)]
pub struct World {
    pub comments: Vec<Comment>,
    pub requests: Vec<String>,
    /// When each request arrived.
    pub times: Vec<std::time::Instant>,
    /// Conditional requests whose answer had not changed.
    pub unchanged: Vec<String>,
    pub faults: Vec<Fault>,
    /// Random failures.
    pub chaos: Option<Chaos>,
    /// Labels added to and removed from pull requests: who, which, when, and whether it was added.
    pub labelled: Vec<(&'static str, &'static str, &'static str, bool)>,
    /// The only pull requests with these labels; all, if a test does not say.
    pub labelled_pulls: Option<Vec<u64>>,
    /// The messages of the commits of pull requests.
    pub messages: Vec<&'static str>,
    /// The bodies of check runs: as created, and each update.
    pub check_runs: Vec<Vec<Value>>,
    /// Review comments.
    pub reviews: Vec<ReviewComment>,
    /// The changed files of pull requests, each with its diff.
    pub changed: Vec<(String, String)>,
    /// The open pull requests.
    pub pulls: Vec<PullRequest>,
    /// Files of branches or commits: which, the path, the text.
    pub files: Vec<(&'static str, &'static str, &'static str)>,
    /// Files of other repositories, and the token that may read them; any, if none is given.
    pub shared: Vec<SharedFile>,
    /// The tag of the newest release.
    pub release: Option<&'static str>,
    /// Many repositories.
    pub fleet: Vec<FleetRepository>,
    /// How many of them are looked up at once; all, if not given.
    pub most_at_once: Option<usize>,
    /// What `GET /user` answers; a workflow's own token may not ask.
    pub login: Option<String>,
    next_id: u64,
    repository: Option<&'static Repository>,
}

pub struct FakeGithub {
    pub url: String,
    world: Arc<Mutex<World>>,
    repository: &'static Repository,
    /// The repository's directory, unless a test brings its own.
    _directory: Option<tempfile::TempDir>,
    _runtime: tokio::runtime::Runtime,
}

type Shared = State<Arc<Mutex<World>>>;

impl FakeGithub {
    /// Starts with an empty repository.
    pub fn start() -> FakeGithub {
        let directory = tempfile::tempdir().unwrap();
        FakeGithub::serve(Repository::create(directory.path()), Some(directory))
    }

    /// Starts with a bare repository that a test has made, and may have pushed to.
    pub fn start_at(repository: &std::path::Path) -> FakeGithub {
        FakeGithub::serve(Repository::at(repository), None)
    }

    /// Listens on a port of its own, under a base path like that of GitHub Enterprise Server.
    fn serve(repository: &'static Repository, directory: Option<tempfile::TempDir>) -> FakeGithub {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let world = World { next_id: 1000, repository: Some(repository), ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let mut api = Router::new()
            .route("/user", get(user))
            .route("/repos/{owner}/{repo}/issues/{number}/comments", get(list).post(create))
            .route("/repos/{owner}/{repo}/issues/comments/{id}", patch(edit))
            .route("/repos/{owner}/{repo}/check-runs", axum::routing::post(create_check_run))
            .route("/repos/{owner}/{repo}/check-runs/{id}", patch(add_to_check_run))
            .route("/repos/{owner}/{repo}/issues/{number}", get(issue))
            .route("/repos/{owner}/{repo}/issues/{number}/timeline", get(timeline))
            .route("/repos/{owner}/{repo}/pulls/{number}/commits", get(commits))
            .route("/repos/{owner}/{repo}/pulls/{number}/files", get(changed))
            .route("/repos/{owner}/{repo}/pulls/{number}/comments", get(reviews).post(review))
            .route("/repos/{owner}/{repo}/pulls/comments/{id}", patch(edit_review).delete(delete_review))
            .route("/repos/{owner}/{repo}/pulls", get(pulls))
            .route("/repos/{owner}/{repo}/pulls/{number}", get(pull))
            .route("/repos/{owner}/{repo}/branches/{*name}", get(branch))
            .route("/repos/{owner}/{repo}/contents/{*path}", get(contents))
            .route("/repos/{owner}/{repo}/releases/latest", get(latest_release))
            .with_state(world.clone())
            .merge(fake_git::routes(repository))
            .layer(from_fn_with_state(world.clone(), name_answers))
            .layer(from_fn_with_state(world.clone(), watch));
        let mut graphql = Router::new()
            .route("/graphql", axum::routing::post(graphql))
            .with_state(world.clone())
            .layer(from_fn_with_state(world.clone(), watch));
        if let Some(log) = exchanges::log() {
            api = api.layer(from_fn_with_state(log.clone(), exchanges::write_down));
            graphql = graphql.layer(from_fn_with_state(log, exchanges::write_down));
        }
        // The paths of GitHub Enterprise Server.
        let app = Router::new().nest("/api/v3", api).nest("/api", graphql);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/api/v3", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        FakeGithub { url, world, repository, _directory: directory, _runtime: runtime }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The repository behind the Git database.
    pub fn repository(&self) -> &'static Repository {
        self.repository
    }

    pub fn add_comment(&self, author: &str, body: &str) -> u64 {
        self.world().add(author, body).id
    }

    pub fn fail(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    pub fn bodies_of(&self, author: &str) -> Vec<String> {
        self.written_by(author).iter().map(|body| crate::support::spaced(body)).collect()
    }

    /// The comments of an author, unchanged to the byte.
    pub fn written_by(&self, author: &str) -> Vec<String> {
        self.world().comments.iter().filter(|c| c.author == author).map(|c| c.body.clone()).collect()
    }
}

impl World {
    fn add(&mut self, author: &str, body: &str) -> Comment {
        self.next_id += 1;
        let comment =
            Comment { id: self.next_id, author: author.into(), body: body.into(), hidden: false, on: None };
        self.comments.push(comment.clone());
        comment
    }

    /// The labels that are currently set.
    fn labels(&self) -> Vec<&'static str> {
        let mut labels = Vec::new();
        for (_, label, _, set) in &self.labelled {
            labels.retain(|other| other != label);
            labels.extend(set.then_some(*label));
        }
        labels
    }

    fn token_login(&self) -> String {
        self.login.clone().unwrap_or_else(|| BOT.into())
    }
}

async fn watch(State(world): Shared, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let authorized = request
        .headers()
        .get("authorization")
        .is_some_and(|value| value == "Bearer ghs_secret-token" || value == "Bearer ghp_config-token")
        || world.lock().unwrap().login.is_some();
    {
        let mut world = world.lock().unwrap();
        world.requests.push(format!("{method} {}", request.uri()));
        world.times.push(std::time::Instant::now());
    }
    let fault = {
        let mut world = world.lock().unwrap();
        let uri = request.uri().to_string();
        let meets = |fault: &Fault| fault.method == method && fault.times > 0 && uri.contains(fault.path);
        let fault = world.faults.iter_mut().find(|fault| meets(fault));
        fault.map(|fault| {
            fault.times -= 1;
            fault.clone()
        })
    };
    if !authorized {
        return refuse(StatusCode::UNAUTHORIZED, "Bad credentials");
    }
    // A repository that the token may not see.
    if request.uri().path().contains("/repos/acme/private/") {
        return refuse(StatusCode::NOT_FOUND, "Not Found");
    }
    match fault {
        None => by_chance(&world, request, next).await,
        Some(fault) => {
            if fault.deletes {
                world.lock().unwrap().comments.clear();
            }
            if fault.after_effect {
                next.run(request).await;
            }
            let mut headers = HeaderMap::new();
            for (name, value) in fault.headers {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let status = StatusCode::from_u16(fault.status).unwrap();
            artificial(fault.shape.answer(status, headers, fault.message))
        }
    }
}

/// Adds an ETag to answers, and returns only "not modified" for answers that the client already has.
async fn name_answers(State(world): Shared, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().to_string());
    let known = request.headers().get("if-none-match").cloned();
    let (mut head, body) = next.run(request).await.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    if method != Method::GET || head.status != StatusCode::OK {
        return Response::from_parts(head, body.into());
    }
    let name = HeaderValue::from_str(&format!("W/\"{}\"", crate::support::hex_sha256(&body))).unwrap();
    head.headers.insert("etag", name.clone());
    if known != Some(name) {
        return Response::from_parts(head, body.into());
    }
    world.lock().unwrap().unchanged.push(uri);
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove("content-length");
    head.headers.remove("content-type");
    Response::from_parts(head, axum::body::Body::empty())
}

/// The random failure chosen for a request.
struct Fate {
    delay: std::time::Duration,
    broken: Option<Broken>,
    after_effect: bool,
}

enum Broken {
    Dropped,
    Failed,
}

impl Chaos {
    fn next(&mut self) -> Fate {
        let delay = std::time::Duration::from_millis(self.below(self.longest_delay_ms));
        let broken = match self.below(100) {
            drawn if drawn < self.dropped => Some(Broken::Dropped),
            drawn if drawn < self.dropped + self.failed => Some(Broken::Failed),
            _ => None,
        };
        Fate { delay, broken, after_effect: self.below(2) == 0 }
    }
}

/// Answers late, not at all or wrongly, before or after the request has taken effect.
async fn by_chance(world: &Mutex<World>, request: Request, next: Next) -> Response {
    let fate = world.lock().unwrap().chaos.as_mut().map(Chaos::next);
    let Some(fate) = fate else { return next.run(request).await };
    tokio::time::sleep(fate.delay).await;
    let Some(broken) = fate.broken else { return next.run(request).await };
    if fate.after_effect {
        next.run(request).await;
    }
    artificial(match broken {
        Broken::Dropped => dropped(),
        Broken::Failed => answer(StatusCode::BAD_GATEWAY, json!({ "message": "Server Error" })),
    })
}

/// Marks an answer as not the fake's own.
fn artificial(mut answer: Response) -> Response {
    answer.extensions_mut().insert(Artificial);
    answer
}

/// A body that fails makes the server close the connection.
fn dropped() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("dropped")) });
    let body = axum::body::Body::from_stream(broken);
    Response::builder().header("content-length", "100").body(body).unwrap()
}

async fn user(State(world): Shared) -> Response {
    match &world.lock().unwrap().login {
        Some(login) => answer(StatusCode::OK, documents::myself(login)),
        None => refuse(StatusCode::FORBIDDEN, "Resource not accessible by integration"),
    }
}

async fn create_check_run(State(world): Shared, Json(body): Json<Value>) -> Response {
    let mut world = world.lock().unwrap();
    world.check_runs.push(vec![body]);
    let id = world.check_runs.len();
    answer(StatusCode::CREATED, documents::check_run(id, &world.check_runs[id - 1]))
}

async fn add_to_check_run(
    State(world): Shared,
    Path((_, _, id)): Path<(String, String, usize)>,
    Json(body): Json<Value>,
) -> Response {
    let mut world = world.lock().unwrap();
    world.check_runs[id - 1].push(body);
    answer(StatusCode::OK, documents::check_run(id, &world.check_runs[id - 1]))
}

async fn issue(State(world): Shared, Path((_, _, number)): Path<(String, String, u64)>) -> Response {
    let world = world.lock().unwrap();
    let has_labels = world.labelled_pulls.as_ref().is_none_or(|only| only.contains(&number));
    let labels = if has_labels { world.labels() } else { Vec::new() };
    answer(StatusCode::OK, documents::issue(number, &labels))
}

async fn timeline(State(world): Shared, Query(paging): Query<Paging>) -> Response {
    let event = |(id, &(who, label, at, set)): (u64, &(&str, &str, &str, bool))| {
        documents::labelling(id, who, label, at, set)
    };
    paging.answer((1..).zip(&world.lock().unwrap().labelled).map(event))
}

async fn commits(State(world): Shared, Query(paging): Query<Paging>) -> Response {
    let commit = |(number, message): (usize, &&str)| {
        let at = |who: &str| [who, "ann@example.org", "2026-11-02T08:00:00Z"].map(str::to_owned);
        let commit = documents::Commit {
            sha: format!("{number:040x}"),
            tree: "0".repeat(40),
            parents: Vec::new(),
            author: at("Ann"),
            committer: at("GitHub"),
            message: (*message).to_owned(),
        };
        commit.item()
    };
    paging.answer(world.lock().unwrap().messages.iter().enumerate().map(commit))
}

#[derive(Deserialize)]
struct Pulls {
    /// `owner:branch`.
    head: Option<String>,
}

async fn pulls(State(world): Shared, Query(wanted): Query<Pulls>, Query(paging): Query<Paging>) -> Response {
    let world = world.lock().unwrap();
    let is_wanted = |pull: &&PullRequest| wanted.head.as_ref().is_none_or(|head| *head == pull.label());
    paging.answer(world.pulls.iter().filter(is_wanted).map(|pull| pull.item(&world.labels())))
}

async fn pull(State(world): Shared, Path((_, _, number)): Path<(String, String, u64)>) -> Response {
    let world = world.lock().unwrap();
    match world.pulls.iter().find(|pull| pull.number == number) {
        Some(pull) => answer(StatusCode::OK, pull.object(&world.labels())),
        None => refuse(StatusCode::NOT_FOUND, "Not Found"),
    }
}

#[derive(Deserialize)]
struct At {
    r#ref: String,
}

async fn branch(State(world): Shared, Path((_, _, name)): Path<(String, String, String)>) -> Response {
    let repository = world.lock().unwrap().repository.unwrap();
    match repository.branch_tip(&name) {
        Some(commit) => answer(StatusCode::OK, documents::branch(&name, &commit)),
        None => refuse(StatusCode::NOT_FOUND, "Branch not found"),
    }
}

async fn latest_release(State(world): Shared) -> Response {
    match world.lock().unwrap().release {
        Some(tag) => answer(StatusCode::OK, documents::release(tag)),
        None => refuse(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// A file that a test has put on a branch, or that was pushed.
async fn contents(
    State(world): Shared,
    Path((owner, name, path)): Path<(String, String, String)>,
    Query(at): Query<At>,
    headers: HeaderMap,
) -> Response {
    let world = world.lock().unwrap();
    let full = format!("{owner}/{name}");
    let others: Vec<&SharedFile> = world.shared.iter().filter(|file| file.repository == full).collect();
    if !others.is_empty() {
        let may_read = |file: &&&SharedFile| {
            file.token.is_none_or(|token| headers.get("authorization").is_some_and(|value| value == token))
        };
        let is_it = |file: &&&SharedFile| file.path == path && file.at == at.r#ref;
        return match others.iter().filter(is_it).find(may_read) {
            Some(file) => answer(StatusCode::OK, documents::content(&at.r#ref, &path, file.text)),
            None => refuse(StatusCode::NOT_FOUND, "Not Found"),
        };
    }
    let repository = world.repository.unwrap();
    let is_of = |branch: &str| {
        let tip = repository.line(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")]);
        at.r#ref == branch
            || at.r#ref == format!("refs/heads/{branch}")
            || tip.is_some_and(|tip| at.r#ref == tip)
    };
    let put = world.files.iter().find(|(branch, own, _)| *own == path && is_of(branch));
    let text = match put {
        Some((.., text)) => Some((*text).to_owned()),
        None => {
            let pushed = repository.git(&["cat-file", "blob", &format!("{}:{path}", at.r#ref)], b"");
            pushed.map(|text| String::from_utf8(text).unwrap())
        }
    };
    match text {
        Some(text) => answer(StatusCode::OK, documents::content(&at.r#ref, &path, &text)),
        None => refuse(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// An open pull request: its number, head and base.
pub fn pull_request(
    number: u64,
    (head_repository, branch, sha): (&str, &str, &str),
    base_sha: &str,
) -> PullRequest {
    let head = [head_repository, branch, sha].map(str::to_owned);
    PullRequest { number, head, base: "main".into(), base_sha: base_sha.into() }
}

#[derive(Deserialize)]
struct Paging {
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

impl Paging {
    /// The requested page of everything. A page never has more than a hundred entries.
    fn answer(&self, all: impl Iterator<Item = Value>) -> Response {
        let size = self.per_page.min(100);
        answer(StatusCode::OK, all.skip(self.page.saturating_sub(1) * size).take(size).collect())
    }
}

async fn list(
    State(world): Shared,
    Path((_, _, number)): Path<(String, String, u64)>,
    Query(paging): Query<Paging>,
) -> Response {
    let world = world.lock().unwrap();
    let own = world.comments.iter().filter(|comment| comment.on.is_none_or(|on| on == number));
    paging.answer(own.map(document))
}

async fn create(
    State(world): Shared,
    Path((_, _, number)): Path<(String, String, u64)>,
    body: Bytes,
) -> Response {
    let Ok(body) = body_of(&body) else { return unprocessable() };
    let mut world = world.lock().unwrap();
    let login = world.token_login();
    let mut comment = world.add(&login, &body);
    comment.on = Some(number);
    *world.comments.last_mut().unwrap() = comment.clone();
    answer(StatusCode::CREATED, document(&comment))
}

async fn edit(State(world): Shared, Path((_, _, id)): Path<(String, String, u64)>, body: Bytes) -> Response {
    let Ok(body) = body_of(&body) else { return unprocessable() };
    let mut world = world.lock().unwrap();
    match world.comments.iter_mut().find(|comment| comment.id == id) {
        None => refuse(StatusCode::NOT_FOUND, "Not Found"),
        Some(comment) => {
            comment.body = body;
            answer(StatusCode::OK, document(comment))
        }
    }
}

async fn changed(State(world): Shared, Query(paging): Query<Paging>) -> Response {
    let world = world.lock().unwrap();
    paging.answer(world.changed.iter().map(|(path, patch)| documents::changed_file(path, patch)))
}

async fn reviews(State(world): Shared, Query(paging): Query<Paging>) -> Response {
    paging.answer(world.lock().unwrap().reviews.iter().map(documents::review_comment))
}

/// Accepts a comment only on lines within one hunk, as GitHub does.
async fn review(State(world): Shared, Json(asked): Json<Value>) -> Response {
    let mut world = world.lock().unwrap();
    let number = |name: &str| asked[name].as_u64();
    let (path, last) = (asked["path"].as_str().unwrap(), number("line").unwrap());
    let first = number("start_line").unwrap_or(last);
    let shows = |(changed, patch): &(String, String)| {
        changed == path && hunks_of(patch).iter().any(|(from, to)| *from <= first && last <= *to)
    };
    if asked["side"] != "RIGHT" || number("start_line") == Some(last) || !world.changed.iter().any(shows) {
        return unprocessable();
    }
    world.next_id += 1;
    let comment = ReviewComment {
        id: world.next_id,
        author: world.token_login(),
        body: asked["body"].as_str().unwrap().to_owned(),
        path: path.to_owned(),
        lines: Some((first, last)),
    };
    world.reviews.push(comment.clone());
    answer(StatusCode::CREATED, documents::review_comment(&comment))
}

/// The lines of the new file in each hunk of a diff, counted rather than taken from its heading.
fn hunks_of(patch: &str) -> Vec<(u64, u64)> {
    let mut hunks: Vec<(u64, u64)> = Vec::new();
    for line in patch.lines() {
        if let Some(heading) = line.strip_prefix("@@ -") {
            let first = heading.split('+').nth(1).unwrap().split([',', ' ']).next().unwrap();
            let first: u64 = first.parse().unwrap();
            hunks.push((first, first - 1));
        } else if !line.starts_with(['-', '\\']) {
            hunks.last_mut().unwrap().1 += 1;
        }
    }
    hunks
}

async fn edit_review(
    State(world): Shared,
    Path((_, _, id)): Path<(String, String, u64)>,
    body: Bytes,
) -> Response {
    let Ok(body) = body_of(&body) else { return unprocessable() };
    let mut world = world.lock().unwrap();
    match world.reviews.iter_mut().find(|comment| comment.id == id) {
        None => refuse(StatusCode::NOT_FOUND, "Not Found"),
        Some(comment) => {
            comment.body = body;
            answer(StatusCode::OK, documents::review_comment(comment))
        }
    }
}

async fn delete_review(State(world): Shared, Path((_, _, id)): Path<(String, String, u64)>) -> Response {
    let mut world = world.lock().unwrap();
    let before = world.reviews.len();
    world.reviews.retain(|comment| comment.id != id);
    match world.reviews.len() < before {
        true => StatusCode::NO_CONTENT.into_response(),
        false => refuse(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// Supports four documents of the GraphQL API, recognized by their fields.
async fn graphql(State(world): Shared, Json(asked): Json<Value>) -> Response {
    let mut world = world.lock().unwrap();
    let (query, id) = (asked["query"].as_str().unwrap(), &asked["variables"]["id"]);
    let (git, variables) = (world.repository.unwrap(), &asked["variables"]);
    let most = world.most_at_once;
    if query.contains("repositoryOwner(") {
        let found = fake_fleet::of_owner(&world.fleet, variables, git);
        return answer(StatusCode::OK, fake_fleet::limited(found, most));
    }
    if query.contains("repository(") {
        let found = fake_fleet::named(&world.fleet, variables, git);
        return answer(StatusCode::OK, fake_fleet::limited(found, most));
    }
    let shows = query.contains("unminimizeComment");
    assert!(shows || query.contains("isMinimized"), "{query}");
    let comment = world.comments.iter_mut().find(|comment| document(comment)["node_id"] == *id);
    let body = match comment {
        None => {
            let message = format!("Could not resolve to a node with the global id of {id}.");
            let place = if shows { "unminimizeComment" } else { "node" };
            let error = json!({
                "type": "NOT_FOUND", "path": [place], "message": message,
                "locations": [{ "line": 1, "column": 20 }],
            });
            json!({ "data": { place: null }, "errors": [error] })
        }
        Some(comment) => {
            comment.hidden &= !shows;
            let found = json!({ "__typename": "IssueComment", "isMinimized": comment.hidden });
            let found = if shows {
                json!({ "unminimizeComment": { "unminimizedComment": found } })
            } else {
                json!({ "node": found })
            };
            json!({ "data": found })
        }
    };
    answer(StatusCode::OK, body)
}

/// GitHub accepts 65,536 characters.
fn body_of(request: &[u8]) -> Result<String, ()> {
    let request: Value = serde_json::from_slice(request).map_err(drop)?;
    let body = request["body"].as_str().ok_or(())?;
    if body.is_empty() || body.chars().count() > 65_536 { Err(()) } else { Ok(body.to_owned()) }
}

fn unprocessable() -> Response {
    refuse(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed")
}

fn document(comment: &Comment) -> Value {
    documents::comment(comment.id, &comment.author, &comment.body)
}

fn refuse(status: StatusCode, message: &str) -> Response {
    answer(status, documents::refusal(status, message))
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}
