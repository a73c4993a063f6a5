//! The page of a check, uploaded as an artifact and linked from the comment: by a real runner, and alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::act;
use crate::support::fake_github::{BOT, FakeGithub};
use crate::support::{Run, fixture, layergate, skip};

/// Names the directory into which npm has installed what uploads artifacts.
const INSTALLED: &str = "LAYERGATE_TEST_ARTIFACT";

/// A repository whose workflow checks an image and gives the page to `uses: ./page`.
fn repository(github: &FakeGithub) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    act::copy_action(directory.path());
    let workflows = directory.path().join(".github/workflows");
    fs::create_dir_all(&workflows).unwrap();
    let workflow = format!(
        r#"
on: pull_request
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: size
        uses: ./
        with:
          binary: {binary}
          images: web={image}
          max-size: 1 MB
          limits-from: head
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
        image = fixture("demo/web-v1.tar"),
        api = github.url,
    );
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

/// Runs the workflow, with a server of artifacts where there is a directory for them.
fn run(github: &FakeGithub, installed: &std::ffi::OsStr, artifacts: Option<&Path>) -> Run {
    let repository = repository(github);
    let event = act::pull_request(&"a".repeat(40), &"b".repeat(40));
    let (mut command, _home) = act::runner(repository.path(), "pull_request", &event);
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

#[test]
fn the_page_is_uploaded_and_linked_from_the_comment() {
    let installed = std::env::var_os(INSTALLED).filter(|path| !path.is_empty());
    let Some(installed) = installed.filter(|_| act::has_runner()) else {
        return skip("the page as an artifact", "`@actions/artifact` was not installed for it");
    };
    let artifacts = tempfile::tempdir().unwrap();
    let github = FakeGithub::start();
    // The check has failed, and that is the verdict; the page is uploaded all the same.
    let run_of = |artifacts| run(&github, &installed, artifacts).expect(1);
    let shown = run_of(Some(artifacts.path()));
    let pages = files_below(artifacts.path());
    let is_page = |path: &&std::path::PathBuf| path.to_string_lossy().contains("web-size.html");
    let page = pages.iter().find(is_page).unwrap_or_else(|| panic!("{pages:?}\n{}", shown.stdout));
    // It is the page itself, and no archive of it.
    let text = fs::read_to_string(page).unwrap();
    assert!(text.to_lowercase().starts_with("<!doctype html>"), "{}", page.display());
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
    let without_page = run(&github, &installed, None).expect(1);
    for said in ["Summary - ###", "::error title=layergate"] {
        let counts = [&shown, &without_page].map(|run| run.stdout.matches(said).count());
        assert!(counts[0] > 0 && counts[0] == counts[1], "{said}: {counts:?}");
    }
    let [without] = github.bodies_of(BOT).try_into().unwrap();
    assert_eq!((requests(&github, "POST"), requests(&github, "PATCH")), (1, 0), "{}", without_page.stdout);
    let linked = |text: &str| text.contains("/artifacts/");
    assert!(linked(&comment) && !linked(&without), "{without}");
    let headline = |text: &str| text.lines().find(|line| line.starts_with("###")).unwrap().to_owned();
    assert_eq!(headline(&comment), headline(&without));
}

/// The command for one event in a directory.
fn command(github: &FakeGithub, directory: &Path, arguments: &[&str]) -> Command {
    let event: Value = json!({ "pull_request": {
        "number": 7,
        "head": { "sha": "a".repeat(40), "repo": { "full_name": "acme/shop" } },
        "base": { "ref": "main", "sha": "b".repeat(40), "repo": { "full_name": "acme/shop" } },
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
