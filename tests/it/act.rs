//! The action itself, run by a real runner on images that the job builds.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::engine::Engine;
use crate::fake_github::{BOT, FakeGithub};
use crate::support::Run;

/// A repository whose workflow builds an image and checks it with `uses: ./`.
fn repository(engine: &Engine, github: &FakeGithub, limit: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    fs::copy(format!("{}/action.yml", env!("CARGO_MANIFEST_DIR")), directory.path().join("action.yml"))
        .unwrap();
    write("Dockerfile", "FROM scratch\nCOPY app /app\n");
    write("app", &"x".repeat(5000));
    write(
        "event.json",
        &json!({
            "pull_request": {
                "number": 7,
                "head": { "sha": "a".repeat(40), "ref": "change", "repo": { "full_name": "acme/shop" } },
                "base": { "sha": "b".repeat(40), "ref": "main", "repo": { "full_name": "acme/shop" } },
            }
        })
        .to_string(),
    );
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
      - run: DOCKER_BUILDKIT=1 {client} build --quiet --network host -t "acted:$GITHUB_RUN_ID" .
      - id: gate
        uses: ./
        with:
          binary: {binary}
          images: |
            app=acted:${{{{ github.run_id }}}}
          max-size: {limit}
          comment: always
          github-token: ghs_secret-token
          github-api-url: {api}
      - if: always()
        env:
          VERDICT: ${{{{ steps.gate.outputs.verdict }}}}
          SIZE: ${{{{ steps.gate.outputs.size }}}}
          URL: ${{{{ steps.gate.outputs.comment-url }}}}
          REPORT: ${{{{ steps.gate.outputs.report }}}}
        run: echo "outputs are $VERDICT $SIZE $URL" && grep -c layergate.report/v1 "$REPORT"
"#,
            client = Path::new(&engine.client).display(),
            binary = env!("CARGO_BIN_EXE_layergate"),
            api = github.url,
        ),
    );
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.com",
            "commit",
            "--quiet",
            "--message",
            "start",
        ],
    ] {
        Run::of(Command::new("git").current_dir(directory.path()).args(arguments)).expect(0);
    }
    directory
}

fn act(engine: &Engine, repository: &Path) -> Run {
    let runner = std::env::var_os("LAYERGATE_TEST_ACT").unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(runner);
    command.current_dir(repository).env("DOCKER_HOST", &engine.host).env("HOME", home.path());
    command.args(["pull_request", "--eventpath", "event.json", "--platform", "ubuntu-latest=-self-hosted"]);
    command.args(["--env", &format!("DOCKER_HOST={}", engine.host), "--pull=false"]);
    Run::of(&mut command)
}

#[test]
fn the_action_is_green_within_the_limit_and_red_beyond_it() {
    let Some(engine) = Engine::of_this_run("the action by a real runner") else { return };
    if std::env::var_os("LAYERGATE_TEST_ACT").is_none_or(|path| path.is_empty()) {
        return crate::support::skip("the action by a real runner", "no `act` was installed for it");
    }
    for (limit, code, verdict, headline) in [
        ("6 kB", 0, "pass", "`app` is 4.9 KiB; no baseline to compare with"),
        ("4 kB", 1, "fail", "`app` is 4.9 KiB, over the limit of 4 kB"),
    ] {
        let github = FakeGithub::start();
        let repository = repository(&engine, &github, limit);
        let run = act(&engine, repository.path()).expect(code);
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
