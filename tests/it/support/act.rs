//! The action itself, run by a real runner (act) on images that the job builds.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Run;
use crate::support::engine::Engine;
use crate::support::fake_github::{BOT, FakeGithub};

/// A repository whose workflow builds an image and checks it with `uses: ./`.
fn repository(engine: &Engine, github: &FakeGithub, limit: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    copy_action(directory.path());
    write("Dockerfile", "FROM scratch\nCOPY app /app\n");
    write("app", &"x".repeat(5000));
    write(
        ".github/workflows/gate.yml",
        &format!(
            r#"
on: [push, pull_request]
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: DOCKER_BUILDKIT=1 {client} build --quiet --network host -t "{image}" .
      - id: gate
        uses: ./
        with:
          command: ${{{{ github.event_name == 'push' && 'record' || 'check' }}}}
          store: git
          github-repository: acme/shop
          binary: {binary}
          images: |
            app={image}
          max-size: {limit}
          comment: always
          github-token: ghs_secret-token
          github-api-url: {api}
      - if: always() && github.event_name != 'push'
        env:
          VERDICT: ${{{{ steps.gate.outputs.verdict }}}}
          SIZE: ${{{{ steps.gate.outputs.size }}}}
          URL: ${{{{ steps.gate.outputs.comment-url }}}}
          REPORT: ${{{{ steps.gate.outputs.report }}}}
        run: echo "outputs are $VERDICT $SIZE $URL" && grep -c layergate.report/v1 "$REPORT"
"#,
            // Tests run at once, so each needs its own image.
            image = format!(
                "acted:{}",
                github.url.bytes().filter(u8::is_ascii_digit).map(char::from).collect::<String>()
            ),
            client = Path::new(&engine.client).display(),
            binary = env!("CARGO_BIN_EXE_layergate"),
            api = github.url,
        ),
    );
    git(directory.path(), &["init", "--quiet", "--initial-branch", "main"]);
    commit(directory.path(), "start");
    directory
}

/// Copies the action into a repository, to be used there as `./`. As on a branch, it has no manifest.
pub fn copy_action(repository: &Path) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["action.yml", "action/install.sh", "page/action.yml"] {
        fs::create_dir_all(repository.join(file).parent().unwrap()).unwrap();
        fs::copy(own.join(file), repository.join(file)).unwrap();
    }
}

pub fn git(repository: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(repository).args(["-c", "user.name=test", "-c", "user.email=test@example.com"]);
    Run::of(command.args(arguments)).expect(0).stdout.trim().to_owned()
}

/// Commits everything.
pub fn commit(repository: &Path, message: &str) -> String {
    git(repository, &["add", "."]);
    git(repository, &["commit", "--quiet", "--message", message]);
    git(repository, &["rev-parse", "HEAD"])
}

/// The event of a pull request. It is outside the repository, because builds must not see it.
pub fn pull_request(head: &str, base: &str) -> Value {
    json!({
        "pull_request": {
            "number": 7,
            "head": { "sha": head, "ref": "change", "repo": { "full_name": "acme/shop" } },
            "base": { "sha": base, "ref": "main", "repo": { "full_name": "acme/shop" } },
        }
    })
}

/// The runner, for one event in a repository. Tests add environment variables with `--env`.
pub fn runner(repository: &Path, name: &str, event: &Value) -> (Command, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("event.json");
    fs::write(&file, event.to_string()).unwrap();
    let mut command = Command::new(std::env::var_os("LAYERGATE_TEST_ACT").unwrap());
    command.current_dir(repository).env("HOME", home.path());
    command.args([name, "--platform", "ubuntu-latest=-self-hosted", "--pull=false", "--eventpath"]);
    command.arg(&file);
    (command, home)
}

pub fn act(engine: &Engine, repository: &Path, name: &str, event: &Value) -> Run {
    let (mut command, _home) = runner(repository, name, event);
    command.env("DOCKER_HOST", &engine.host).args(["--env", &format!("DOCKER_HOST={}", engine.host)]);
    Run::of(&mut command)
}

pub fn has_runner() -> bool {
    let missing = std::env::var_os("LAYERGATE_TEST_ACT").is_none_or(|path| path.is_empty());
    if missing {
        crate::support::skip("the action by a real runner", "no `act` was installed for it");
    }
    !missing
}

#[test]
#[ignore = "needs a runner and an engine: tests/run"]
fn the_action_is_green_within_the_limit_and_red_beyond_it() {
    let Some(engine) = Engine::of_this_run("the action by a real runner") else { return };
    if !has_runner() {
        return;
    }
    for (limit, code, verdict, headline) in [
        ("6 kB", 0, "pass", "`app` is 5 kB; no baseline to compare with"),
        ("4 kB", 1, "fail", "`app` exceeds max-size: 5 kB"),
    ] {
        let github = FakeGithub::start();
        let repository = repository(&engine, &github, limit);
        let event = pull_request(&"a".repeat(40), &"b".repeat(40));
        let run = act(&engine, repository.path(), "pull_request", &event).expect(code);
        let job = if code == 0 { "Job succeeded" } else { "Job failed" };
        assert!(run.stdout.contains(job), "{}", run.stdout);
        let outputs =
            format!("outputs are {verdict} 5000 https://github.example/acme/shop/pull/7#issuecomment-1001");
        assert!(run.stdout.contains(&outputs), "{}", run.stdout);
        assert!(run.stdout.contains("Summary - ###") && run.stdout.contains(headline), "{}", run.stdout);
        let [comment] = github.bodies_of(BOT).try_into().unwrap();
        assert!(comment.contains(headline), "{comment}");
    }
}

/// Commits a change of a number of bytes on top of the checkout, as a pull request, and has it checked as GitHub would:
/// on a merge of both.
fn try_change(engine: &Engine, repository: &Path, name: &str, bytes: usize) -> Run {
    let base = git(repository, &["rev-parse", "main"]);
    git(repository, &["checkout", "--quiet", "-b", name]);
    fs::write(repository.join("app"), "x".repeat(bytes)).unwrap();
    let head = commit(repository, name);
    git(repository, &["checkout", "--quiet", "--detach", "main"]);
    git(repository, &["merge", "--quiet", "--no-ff", "--message", "test merge", &head]);
    act(engine, repository, "pull_request", &pull_request(&head, &base))
}

fn push(engine: &Engine, repository: &Path) -> String {
    let (before, after) =
        (git(repository, &["rev-parse", "HEAD~1"]), git(repository, &["rev-parse", "HEAD"]));
    let event = json!({ "ref": "refs/heads/main", "before": before, "after": after });
    let run = act(engine, repository, "push", &event).expect(0);
    let recorded = format!("for {} in git:layergate-baselines", &after[..12]);
    assert!(run.stdout.contains(&recorded), "{}", run.stdout);
    after
}

#[test]
#[ignore = "needs a runner and an engine: tests/run"]
fn what_is_pushed_is_recorded_and_the_next_pull_request_is_compared_with_exactly_that() {
    let Some(engine) = Engine::of_this_run("the loop of pushes and pull requests") else { return };
    if !has_runner() {
        return;
    }
    let github = FakeGithub::start();
    let directory = repository(&engine, &github, "9 kB");
    let repository = directory.path();
    fs::write(repository.join("app"), "x".repeat(5100)).unwrap();
    commit(repository, "first change");
    let first = push(&engine, repository);
    let compared = |run: Run, base: &str, sizes: &str| {
        assert!(run.stdout.contains("Job succeeded"), "{}", run.stdout);
        let [comment] = github.bodies_of(BOT).try_into().unwrap();
        let exact = ", exact: the base commit of the test merge";
        assert!(comment.contains(&base[..7]) && comment.contains(exact), "{comment}");
        assert!(comment.contains(sizes), "{comment}");
    };
    let run = try_change(&engine, repository, "one", 5200).expect(0);
    compared(run, &first, "(+100 B, +2.0%)");

    git(repository, &["checkout", "--quiet", "main"]);
    git(repository, &["merge", "--quiet", "--no-ff", "--message", "merge", "one"]);
    let second = push(&engine, repository);
    let run = try_change(&engine, repository, "two", 5250).expect(0);
    compared(run, &second, "(+50 B, +1.0%)");
}
