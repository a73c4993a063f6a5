//! Gitea and Forgejo: what a check does where Actions are meant to be compatible with GitHub's, and the API is in part.
//! The stand-in answers as their sources say; no test has met a real server.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::check::gate::image;
use crate::support::fake_github::FakeGithub;
use crate::support::{Run, layergate};

#[derive(Default)]
struct World {
    /// Login and text of each comment.
    comments: Vec<(String, String)>,
    requests: Vec<String>,
    /// What it says to a token of a run that asks whose it is: a login, or a refusal.
    user: Option<Result<String, u16>>,
}

struct Gitea {
    world: Arc<Mutex<World>>,
    server: String,
    directory: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Gitea {
    fn start() -> Gitea {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let world: Arc<Mutex<World>> = Arc::default();
        world.lock().unwrap().user = Some(Ok("gitea-actions".into()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&world));
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Gitea { world, server, directory: tempfile::tempdir().unwrap(), _runtime: runtime }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn command(&self, marks: &[&str], arguments: &[&str]) -> Command {
        let event = json!({ "pull_request": {
            "number": 7, "head": { "sha": "a".repeat(40), "repo": { "full_name": "acme/shop" } },
            "base": { "ref": "main", "sha": "b".repeat(40), "repo": { "full_name": "acme/shop" } },
        } });
        let file = self.directory.path().join("event.json");
        fs::write(&file, event.to_string()).unwrap();
        let mut command = layergate();
        command.current_dir(self.directory.path()).args(arguments);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
        command.env("GITHUB_EVENT_PATH", file).env("GITHUB_REPOSITORY", "acme/shop");
        command.env("GITHUB_SHA", "a".repeat(40)).env("RUNNER_TEMP", self.directory.path());
        command.env("GITHUB_SERVER_URL", &self.server).env("GITHUB_API_URL", self.api());
        command.env("GITHUB_TOKEN", "0123456789abcdef");
        command.envs(marks.iter().map(|mark| (*mark, "true")));
        command
    }

    fn api(&self) -> String {
        format!("{}/api/v1", self.server)
    }

    fn check(&self, marks: &[&str], limit: &str) -> Run {
        let image = image(self.directory.path(), "app", 1000);
        Run::of(&mut self.command(marks, &["check", &image, "--max-size", limit, "--comment", "always"]))
    }

    fn asked(&self, part: &str) -> usize {
        self.world().requests.iter().filter(|request| request.contains(part)).count()
    }
}

const GITEA: [&str; 1] = ["GITEA_ACTIONS"];
/// Forgejo's runner sets both.
const FORGEJO: [&str; 2] = ["GITEA_ACTIONS", "FORGEJO_ACTIONS"];

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut world = world.lock().unwrap();
    world.requests.push(format!("{} {}", head.method, head.uri));
    let sent =
        |status: u16, body: Value| (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response();
    let text = || body["body"].as_str().unwrap().to_owned();
    let path = head.uri.path().strip_prefix("/api/v1").unwrap_or_default();
    let comment = |index: usize, (login, body): &(String, String)| json!({ "id": index + 1, "user": { "login": login }, "body": body, "html_url": format!("https://gitea.example/{index}") });
    match (head.method, path.strip_prefix("/repos/acme/shop/").unwrap_or(path)) {
        (Method::GET, "/user") => match world.user.clone().unwrap() {
            Ok(login) => sent(200, json!({ "id": -2, "login": login })),
            Err(status) => {
                sent(status, json!({ "message": "no", "url": "https://gitea.example/api/swagger" }))
            }
        },
        // All of them, whatever page is asked for.
        (Method::GET, "issues/7/comments") => {
            sent(200, world.comments.iter().enumerate().map(|(index, found)| comment(index, found)).collect())
        }
        (Method::POST, "issues/7/comments") => {
            let login =
                if let Some(Ok(login)) = &world.user { login.clone() } else { "gitea-actions".into() };
            world.comments.push((login, text()));
            sent(201, comment(world.comments.len() - 1, world.comments.last().unwrap()))
        }
        (Method::PATCH, path) if path.starts_with("issues/comments/") => {
            let index = path.rsplit('/').next().unwrap().parse::<usize>().unwrap() - 1;
            world.comments[index].1 = text();
            sent(200, comment(index, &world.comments[index]))
        }
        (Method::GET, path) if path.starts_with("git/commits/") => {
            let (sha, tree) = (path.rsplit('/').next().unwrap(), "c".repeat(40));
            sent(200, json!({ "sha": sha, "commit": { "tree": { "sha": tree } }, "parents": [] }))
        }
        (Method::GET, path) if path.starts_with("compare/") => {
            sent(200, json!({ "total_commits": 1, "commits": [{ "sha": "a".repeat(40) }] }))
        }
        (Method::GET, "commits") => sent(200, json!([])),
        (Method::GET, "branches/main") => {
            sent(200, json!({ "name": "main", "commit": { "id": "b".repeat(40) }, "protected": false }))
        }
        _ => sent(404, json!({ "message": "Not Found" })),
    }
}

#[test]
fn one_comment_is_made_and_edited() {
    for (marks, login) in [(GITEA.as_slice(), "gitea-actions"), (&FORGEJO, "forgejo-actions")] {
        for user in [Ok(login.to_owned()), Err(401), Err(403), Err(404)] {
            let gitea = Gitea::start();
            // What nobody may ask is known all the same.
            let said = if user.is_ok() { user.clone() } else { Ok(login.to_owned()) };
            gitea.world().comments = vec![("ann".into(), "first".into()); 150];
            gitea.world().user = Some(user);
            let first = gitea.check(marks, "5 kB").expect(0);
            assert_eq!(gitea.asked("/comments?"), 1, "{:?}", gitea.world().requests);
            assert!(!first.stderr.contains("::warning title=layergate::not commented"), "{}", first.stderr);
            // A real server writes it under the name that it has for the token.
            gitea.world().comments[150].0 = said.unwrap();
            let second = gitea.check(marks, "5 B").expect(1);
            let comments = gitea.world().comments.clone();
            assert_eq!(comments.len(), 151, "{}", second.stderr);
            let comment = crate::support::spaced(&comments[150].1);
            assert!(comment.contains("over the limit of 5 B"), "{comment}");
            // There is nothing to ask whether it is hidden.
            assert_eq!((gitea.asked("graphql"), gitea.asked("PATCH ")), (0, 1));
            assert!(!second.stderr.contains("hidden"), "{}", second.stderr);
        }
    }
}

#[test]
fn comments_that_fill_a_page_are_not_asked_for_again_and_again() {
    let gitea = Gitea::start();
    gitea.world().comments = vec![("ann".into(), "first".into()); 100];
    gitea.check(&GITEA, "5 kB").expect(0);
    assert_eq!((gitea.asked("/comments?"), gitea.world().comments.len()), (2, 101));
}

#[test]
fn what_its_api_does_not_have_is_said() {
    let gitea = Gitea::start();
    let app = image(gitea.directory.path(), "app", 1000);
    for (marks, name) in [(GITEA.as_slice(), "Gitea"), (&FORGEJO, "Forgejo")] {
        for arguments in [
            ["check", app.as_str(), "--store", "git"].as_slice(),
            &["record", &app, "--store", "git:sizes", "--allow-pull-request"],
            &["history", "app", "--store", "git"],
        ] {
            let refused = Run::of(&mut gitea.command(marks, arguments)).expect(2);
            let words = format!("which {name} does not support");
            assert!(refused.stderr.contains(&words), "{}", refused.stderr);
            assert!(refused.stderr.contains("--store oci:HOST/REPO"), "{}", refused.stderr);
        }
        let check = ["check", app.as_str(), "--max-size", "5 kB", "--check-run", "--comment", "never"];
        let run = Run::of(&mut gitea.command(marks, &check)).expect(0);
        assert!(run.stderr.contains(&format!("no check run: {name} does not support")), "{}", run.stderr);
    }
    assert_eq!(gitea.asked("check-runs") + gitea.asked("/git/refs"), 0);
    // Its address tells it without a run, too.
    let mut outside = layergate();
    outside.current_dir(gitea.directory.path()).args(["history", "app", "--store", "git"]);
    outside.args([
        "--github-api-url",
        &gitea.api(),
        "--github-repository",
        "acme/shop",
        "--github-token",
        "x",
    ]);
    Run::of(&mut outside).expect(2);
}

#[test]
fn a_token_is_for_the_server_of_its_run_alone() {
    let gitea = Gitea::start();
    let app = image(gitea.directory.path(), "app", 1000);
    let check = ["check", app.as_str(), "--max-size", "5 kB", "--comment", "always"];
    let mut command = gitea.command(&GITEA, &check);
    Run::of(command.env_remove("GITHUB_API_URL")).expect(0);
    assert_eq!(gitea.world().comments.len(), 1, "found beside the server's own address");

    // A GitHub that is named is one.
    let github = FakeGithub::start();
    let mut named = gitea.command(&GITEA, &["history", "app", "--store", "git"]);
    named.args(["--github-api-url", &github.url, "--github-token", "ghs_secret-token"]);
    let none = Run::of(&mut named).expect(4);
    assert!(!github.world().requests.is_empty(), "{}", none.stderr);
}

#[test]
fn what_it_tells_of_commits_in_another_way_is_understood_or_left_out() {
    let gitea = Gitea::start();
    let app = image(gitea.directory.path(), "app", 1000);
    let check = ["check", app.as_str(), "--max-increase", "5%", "--comment", "never"];
    let run = Run::of(&mut gitea.command(&GITEA, &check)).expect(0);
    assert!(gitea.asked("/git/commits/") > 0 && gitea.asked("/compare/") > 0, "{:?}", gitea.world().requests);
    assert!(!run.stderr.contains("may not be exact"), "{}", run.stderr);
}
