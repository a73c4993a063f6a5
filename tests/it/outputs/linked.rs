//! The page of a check, uploaded as an artifact and linked from the comment: by a real runner, and alone.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::act;
use crate::support::fake_github::{BOT, FakeGithub, pull_request};
use crate::support::{Run, fixture, layergate, skip};

const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BASE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Names the directory into which npm has installed what uploads artifacts.
const INSTALLED: &str = "LAYERGATE_TEST_ARTIFACT";

/// The workflow of a pull request: it checks an image and gives the page to `uses: ./page`.
fn of_check(github: &FakeGithub) -> String {
    let image = format!("images: web={}", fixture("demo/web-v1.tar"));
    workflow(github, "pull_request", &[&image, "limits-from: head"])
}

/// A workflow whose first step is `uses: ./` with these inputs, and whose second gives its page to `uses: ./page`.
fn workflow(github: &FakeGithub, event: &str, inputs: &[&str]) -> String {
    format!(
        r#"
on: {event}
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: size
        uses: ./
        with:
          binary: {binary}
          {inputs}
          max-size: 1 MB
          github-token: ghs_secret-token
          github-api-url: {api}
          html: web-size.html
      - if: ${{{{ !cancelled() }}}}
        uses: ./page
        with:
          html: web-size.html
          report: ${{{{ steps.size.outputs.report }}}}
          binary: ${{{{ steps.size.outputs.binary }}}}
          github-token: ghs_secret-token
          github-api-url: {api}
"#,
        binary = env!("CARGO_BIN_EXE_layergate"),
        inputs = inputs.join("\n          "),
        api = github.url,
    )
}

/// A repository with this workflow.
fn repository(workflow: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    act::copy_action(directory.path());
    let workflows = directory.path().join(".github/workflows");
    fs::create_dir_all(&workflows).unwrap();
    fs::write(workflows.join("gate.yml"), workflow).unwrap();
    act::git(directory.path(), &["init", "--quiet", "--initial-branch", "main"]);
    act::commit(directory.path(), "start");
    directory
}

/// The upload action as the page's action pins it: `actions/upload-artifact@COMMIT`.
fn upload_action() -> String {
    let action = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("page/action.yml")).unwrap();
    action.split("uses: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// Runs a workflow for an event, with a server of artifacts where there is a directory for them.
fn run(workflow: &str, (name, event): (&str, &Value), installed: &OsStr, artifacts: Option<&Path>) -> Run {
    let repository = repository(workflow);
    let (mut command, _home) = act::runner(repository.path(), name, event);
    let stand_in = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/outputs/upload-artifact");
    command.args(["--local-repository", &format!("{}={stand_in}", upload_action())]);
    command.args(["--env", &format!("{INSTALLED}={}", installed.display())]);
    if let Some(directory) = artifacts {
        // A port of its own, for other tests run at once.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        command.args(["--artifact-server-addr", "127.0.0.1", "--artifact-server-port", &port.to_string()]);
        command.arg("--artifact-server-path").arg(directory);
    }
    Run::of(&mut command)
}

/// All files below a directory.
fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// The page that was uploaded.
fn page_below(artifacts: &Path) -> String {
    let pages = files_below(artifacts);
    let is_page = |path: &&std::path::PathBuf| path.to_string_lossy().contains("web-size.html");
    let page = pages.iter().find(is_page).unwrap_or_else(|| panic!("{pages:?}"));
    let text = fs::read_to_string(page).unwrap();
    // It is the page itself, and no archive of it.
    assert!(text.to_lowercase().starts_with("<!doctype html>"), "{}", page.display());
    text
}

/// What uploads artifacts, where it and a runner are there.
fn installed() -> Option<OsString> {
    let installed = std::env::var_os(INSTALLED).filter(|path| !path.is_empty());
    let installed = installed.filter(|_| act::has_runner());
    if installed.is_none() {
        skip("the page as an artifact", "`@actions/artifact` was not installed for it");
    }
    installed
}

#[test]
#[ignore = "needs a runner: tests/run"]
fn the_page_is_uploaded_and_linked_from_the_comment() {
    let Some(installed) = installed() else { return };
    let artifacts = tempfile::tempdir().unwrap();
    let github = FakeGithub::start();
    // The check has failed, and that is the verdict; the page is uploaded all the same.
    let event = act::pull_request(HEAD, BASE);
    let run_of = |github: &FakeGithub, artifacts| {
        run(&of_check(github), ("pull_request", &event), &installed, artifacts).expect(1)
    };
    let shown = run_of(&github, Some(artifacts.path()));
    page_below(artifacts.path());
    let [comment] = github.bodies_of(BOT).try_into().unwrap();
    let mut links = comment.split("](https://github.com/").skip(1).filter_map(|link| link.split(')').next());
    let link = links.find(|link| link.contains("/artifacts/")).unwrap_or_else(|| panic!("{comment}"));
    let (place, id) = link.split_once("/artifacts/").unwrap();
    assert!(place.contains("/actions/runs/") && id.parse::<u64>().is_ok(), "{comment}");
    let requests = |github: &FakeGithub, method: &str| {
        github.world().requests.iter().filter(|request| request.starts_with(method)).count()
    };
    assert_eq!((requests(&github, "POST"), requests(&github, "PATCH")), (1, 1));

    // Nothing takes the page: no link, and nothing else changes.
    let github = FakeGithub::start();
    let without_page = run_of(&github, None);
    for said in ["Summary - ###", "::error title=layergate"] {
        let counts = [&shown, &without_page].map(|run| run.stdout.matches(said).count());
        assert!(counts[0] > 0 && counts[0] == counts[1], "{said}: {counts:?}");
    }
    let [without] = github.bodies_of(BOT).try_into().unwrap();
    assert_eq!((requests(&github, "POST"), requests(&github, "PATCH")), (1, 0), "{}", without_page.stdout);
    assert!(is_linked(&comment) && !is_linked(&without), "{without}");
    assert_eq!(headline(&comment), headline(&without));
}

fn is_linked(comment: &str) -> bool {
    comment.contains("/artifacts/")
}

fn headline(comment: &str) -> &str {
    comment.lines().find(|line| line.starts_with("###")).unwrap()
}

#[test]
#[ignore = "needs a runner: tests/run"]
fn of_a_fork_the_trusted_job_uploads_a_page_of_its_own_and_links_it() {
    let Some(installed) = installed() else { return };
    let (github, measured, artifacts) =
        (FakeGithub::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    github.world().pulls = vec![pull_request(7, ("mallory/shop", "change", HEAD), BASE)];
    // The fork's job has limits of its own, and two images under names that nobody asks for.
    for name in ["web", "everyone"] {
        let image = format!("{name}={}", fixture("demo/web-v1.tar"));
        let report = measured.path().join(format!("{name}.json"));
        let arguments =
            ["check", &image, "--max-size", "9 GB", "--limits-from", "head", "--comment", "never"];
        let mut check = command(&github, measured.path(), &arguments);
        Run::of(check.arg("--report").arg(&report)).expect(0);
    }
    let event = json!({ "workflow_run": {
        "id": 500, "run_attempt": 2, "event": "pull_request", "head_sha": HEAD, "head_branch": "change",
        "head_repository": { "full_name": "mallory/shop" },
    } });
    let reports = format!("reports: {}", measured.path().display());
    fs::remove_file(measured.path().join("event.json")).unwrap();
    let trusted = workflow(&github, "workflow_run", &["command: report", "require-image: web", &reports]);
    run(&trusted, ("workflow_run", &event), &installed, Some(artifacts.path())).expect(1);
    let [comment] = github.bodies_of(BOT).try_into().unwrap();
    assert!(is_linked(&comment), "{comment}");
    // The second time as well it is this job's limit that counts, and names are shown that it expects.
    for text in [comment, page_below(artifacts.path())] {
        assert!(text.contains("max-size") && text.contains("1 MB") && !text.contains("9 GB"), "{text}");
        assert!(text.contains("unexpected image 1") && !text.contains("everyone"), "{text}");
    }
}

/// A push whose commit is the head of an open pull request: the check may have commented on that.
#[test]
fn the_comment_of_a_push_is_updated_too() {
    let (github, directory) = (FakeGithub::start(), tempfile::tempdir().unwrap());
    let directory = directory.path();
    github.world().pulls = vec![pull_request(7, ("acme/shop", "change", HEAD), BASE)];
    let run = |arguments: &[&str], code: i32| {
        let mut command = command(&github, directory, arguments);
        fs::write(directory.join("event.json"), json!({ "before": BASE, "after": HEAD }).to_string())
            .unwrap();
        command.env("GITHUB_EVENT_NAME", "push").env("GITHUB_SHA", HEAD);
        Run::of(command.env("GITHUB_REF", "refs/heads/change")).expect(code)
    };
    let image = format!("web={}", fixture("demo/web-v1.tar"));
    let limits = ["--max-size", "1 MB", "--limits-from", "head", "--report", "r.json", "--comment-on-push"];
    run(&[&["check", image.as_str()][..], &limits].concat(), 1);
    let address = "https://github.com/acme/shop/actions/runs/100/artifacts/5";
    run(&["report", "r.json", "--report-url", address, "--only-comment"], 0);
    let [comment] = github.bodies_of(BOT).try_into().unwrap();
    assert!(comment.contains(&format!("({address})")), "{comment}");
}

/// Whatever the check comments on gets the link.
#[test]
fn the_page_is_linked_for_each_event_of_a_comment() {
    let action = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("page/action.yml")).unwrap();
    let (_, step) = action.split_once("steps.upload.outputs.artifact-url != ''").unwrap();
    for event in ["pull_request", "pull_request_target", "workflow_run", "issue_comment", "push"] {
        assert!(step.contains(&format!("\"{event}\"")) || step.contains(&format!("'{event}'")), "{event}");
    }
    assert!(step.contains("LAYERGATE_PULL_REQUEST"));
}

/// The command for one event in a directory.
fn command(github: &FakeGithub, directory: &Path, arguments: &[&str]) -> Command {
    let event: Value = json!({ "pull_request": {
        "number": 7,
        "head": { "sha": HEAD, "repo": { "full_name": "acme/shop" } },
        "base": { "ref": "main", "sha": BASE, "repo": { "full_name": "acme/shop" } },
    } });
    fs::write(directory.join("event.json"), event.to_string()).unwrap();
    let mut command = layergate();
    command.current_dir(directory).args(arguments).env("GITHUB_ACTIONS", "true");
    command.env("GITHUB_EVENT_NAME", "pull_request").env("GITHUB_EVENT_PATH", directory.join("event.json"));
    command.env("GITHUB_REPOSITORY", "acme/shop").env("GITHUB_RUN_ID", "100");
    command.env("GITHUB_API_URL", &github.url).env("GITHUB_TOKEN", "ghs_secret-token");
    command.env("GITHUB_STEP_SUMMARY", directory.join("summary")).env("RUNNER_TEMP", directory);
    command
}

#[test]
fn only_the_comment_that_exists_is_updated() {
    let (github, directory) = (FakeGithub::start(), tempfile::tempdir().unwrap());
    let directory = directory.path();
    let image = format!("web={}", fixture("demo/web-v1.tar"));
    let check = |more: &[&str]| {
        let arguments =
            ["check", &image, "--max-size", "1 MB", "--limits-from", "head", "--report", "r.json"];
        Run::of(&mut command(&github, directory, &[&arguments, more].concat())).expect(1)
    };
    let update = || {
        let address = "https://github.com/acme/shop/actions/runs/100/artifacts/5";
        let arguments = ["report", "r.json", "--report-url", address, "--only-comment"];
        let run = Run::of(&mut command(&github, directory, &arguments)).expect(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
        github.bodies_of(BOT)
    };
    check(&["--comment", "never"]);
    assert_eq!(update(), [""; 0]);
    check(&[]);
    let before = fs::read_to_string(directory.join("summary")).unwrap();
    let [updated] = update().try_into().unwrap();
    assert!(updated.contains("(https://github.com/acme/shop/actions/runs/100/artifacts/5)"), "{updated}");
    assert_eq!(fs::read_to_string(directory.join("summary")).unwrap(), before);
}
