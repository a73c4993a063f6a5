//! Stores: what is recorded is there, however many write at once and whatever goes wrong; the right commit is
//! found; and where there is none, it is said why.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::check::gate::{Checkout, image};
use crate::support::fake_github::{Chaos, FakeGithub};
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, platforms_layout, run, tar_of};

pub const BRANCH: &str = "refs/heads/layergate-baselines";

/// The program, as in a run of a workflow of a repository on a fake GitHub.
pub fn in_run(github: &FakeGithub, directory: &Path, event: &str) -> Command {
    let mut command = layergate();
    command.current_dir(directory).env_remove("LAYERGATE_ALLOW_DIRTY");
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", event).env("RUNNER_TEMP", directory);
    command.env("GITHUB_REPOSITORY", "acme/shop").env("GITHUB_API_URL", &github.url);
    command.env("GITHUB_TOKEN", "ghs_secret-token").env("LAYERGATE_STORE", "git");
    command
}

pub fn sha(number: usize) -> String {
    format!("{number:040x}")
}

/// An image of layers, each of one file.
pub fn layered(directory: &Path, name: &str, layers: &[(&str, u64)]) -> String {
    let layer = |(path, bytes): &(&str, u64)| FakeLayer::gzip(&tar_of(&[Item::File(path, *bytes)]), path);
    let layers: Vec<FakeLayer> = layers.iter().map(layer).collect();
    format!("app={}", oci_layout(&directory.join(name), &layers).display())
}

/// The paths on the branch of the baselines.
pub fn files_of(github: &FakeGithub) -> BTreeSet<String> {
    let listed = github.repository().line(&["ls-tree", "-r", "--name-only", BRANCH]).unwrap_or_default();
    listed.lines().map(str::to_owned).collect()
}

pub fn assert_sound(github: &FakeGithub) {
    let repository = github.repository();
    assert!(
        repository.git(&["fsck", "--full", "--strict"], b"").is_some(),
        "{}",
        repository.path().display()
    );
}

#[test]
fn a_branch_keeps_baselines_without_a_checkout_and_six_requests_find_one() {
    let github = FakeGithub::start();
    let directory = tempfile::tempdir().unwrap();
    let before = layered(directory.path(), "before", &[("base", 5000), ("app", 100_000)]);
    let after = layered(directory.path(), "after", &[("base", 5000), ("app", 120_000)]);
    let record = |image: &str, commit: &str| {
        Run::of(in_run(&github, directory.path(), "push").args(["record", image, "--commit", commit]))
    };
    let first = record(&before, &sha(1)).expect(0);
    assert!(
        first
            .stdout
            .contains("recorded app (linux/amd64), 105 kB, for 000000000000 in git:layergate-baselines"),
        "{}",
        first.stdout
    );
    let again = record(&before, &sha(1)).expect(0);
    assert!(again.stdout.starts_with("already recorded app"), "{}", again.stdout);
    record(&after, &sha(2)).expect(0);
    let files = files_of(&github);
    let count = |start: &str| files.iter().filter(|path| path.starts_with(start)).count();
    assert_eq!((count("records/"), count("file-lists/"), count("images/")), (2, 3, 1), "{files:?}");
    assert!(files.contains("README.md"));
    assert_eq!(github.repository().line(&["rev-list", "--count", BRANCH]).unwrap(), "2");
    assert_sound(&github);

    github.world().requests.clear();
    let mut check = in_run(&github, directory.path(), "push");
    check.args([
        "check",
        &after,
        "--base-commit",
        &sha(1),
        "--max-increase",
        "5%",
        "--format",
        "json",
        "--no-cache",
    ]);
    let report = Run::of(&mut check).expect(1).json();
    let image = &report["images"][0];
    assert_eq!((&image["base"]["commit"]["sha"], &image["base"]["exact"]), (&json!(sha(1)), &json!(true)));
    assert_eq!(image["delta"]["uncompressed"], 20_000);
    assert_eq!(image["causes"][0]["parts"][0]["name"], "app", "{}", image["causes"]);
    let requests = github.world().requests.clone();
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
    // One of them is for the files of the layer that is not in the image any more.
    assert_eq!(requests.len(), 6 + 1, "{requests:?}");
}

#[test]
fn a_record_needs_a_commit_that_is_no_guess() {
    let github = FakeGithub::start();
    let checkout = Checkout::new();
    let app = image(checkout.path(), "app", 1000);
    fs::write(checkout.path().join("tracked"), "1").unwrap();
    checkout.git(&["add", "tracked"]);
    let head = checkout.commit("first");
    let store = format!("dir:{}", checkout.path().join("store").display());
    let record = |extra: &[&str]| {
        let mut command = layergate();
        command.env_remove("LAYERGATE_ALLOW_DIRTY").current_dir(checkout.path());
        Run::of(command.args(["record", &app, "--store", &store]).args(extra))
    };
    record(&[]).expect(0);
    fs::write(checkout.path().join("tracked"), "2").unwrap();
    let refused = record(&[]).expect(2);
    assert!(refused.stderr.contains("tracked differs from the checked-out commit"), "{}", refused.stderr);
    record(&["--allow-dirty"]).expect(0);
    record(&["--commit", &head]).expect(0);

    for event in ["pull_request", "pull_request_target"] {
        let refused = Run::of(in_run(&github, checkout.path(), event).args(["record", &app])).expect(2);
        assert!(refused.stderr.contains("baselines are for merged code"), "{}", refused.stderr);
    }
    assert_eq!(files_of(&github), BTreeSet::new());
    // A run's build may write to tracked files.
    Run::of(in_run(&github, checkout.path(), "push").args(["record", &app])).expect(0);
    Run::of(in_run(&github, checkout.path(), "pull_request").args(["record", &app, "--allow-pull-request"]))
        .expect(0);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut follows = in_run(&github, elsewhere.path(), "workflow_run");
    let refused = Run::of(follows.args(["record", &app]).env("GITHUB_SHA", &head)).expect(2);
    assert!(refused.stderr.contains("pass it with --commit"), "{}", refused.stderr);
    // A comment on a pull request, for which its head was checked out.
    let refused = Run::of(
        in_run(&github, checkout.path(), "issue_comment").args(["record", &app]).env("GITHUB_SHA", sha(9)),
    )
    .expect(2);
    assert!(
        refused.stderr.contains("for `issue_comment`, the images' commit is unknown"),
        "{}",
        refused.stderr
    );
    Run::of(
        in_run(&github, checkout.path(), "issue_comment").args(["record", &app]).env("GITHUB_SHA", &head),
    )
    .expect(0);
    let mut no_commit = in_run(&github, elsewhere.path(), "push");
    Run::of(no_commit.args(["record", &app])).expect(2);
    let mut of_run = in_run(&github, elsewhere.path(), "push");
    Run::of(of_run.args(["record", &app]).env("GITHUB_SHA", &head)).expect(0);
}

#[test]
fn why_there_is_no_baseline_is_said() {
    let github = FakeGithub::start();
    let checkout = Checkout::new();
    let app = image(checkout.path(), "app", 1000);
    let commits: Vec<String> = (0..4).map(|number| checkout.commit(&number.to_string())).collect();
    let check = |extra: &[&str]| {
        let mut command = in_run(&github, checkout.path(), "workflow_dispatch");
        let limits = ["--max-increase", "5%", "--on-missing-baseline", "fail", "--comment", "never"];
        Run::of(command.args(["check", &app]).args(limits).args(extra))
    };
    let record = |image: &str, extra: &[&str]| {
        Run::of(in_run(&github, checkout.path(), "push").args(["record", image]).args(extra)).expect(0);
    };
    let none = check(&[]).expect(4);
    assert!(none.stdout.contains("app is not recorded in git:layergate-baselines yet"), "{}", none.stdout);

    let arm = [("linux/arm64", vec![FakeLayer::gzip(&tar_of(&[Item::File("a", 1)]), "a")])];
    let arm = format!("app={}", platforms_layout(&checkout.path().join("arm"), &arm).display());
    record(&arm, &["--commit", &commits[3]]);
    let other = check(&[]).expect(4);
    let words = "app is recorded only for linux/arm64, not for linux/amd64";
    assert!(other.stdout.contains(words), "{}", other.stdout);
    record(&app, &["--commit", &sha(7)]);
    let far = check(&[]).expect(4);
    let near_enough = format!(
        "no baseline near enough: git:layergate-baselines has app for 2 commits, but not for {} or the 3 before it",
        &commits[3][..7]
    );
    assert!(far.stdout.contains(&near_enough), "{}", far.stdout);
    record(&app, &["--commit", &sha(8), "--keep-last", "1"]);
    let expired = check(&[]).expect(4);
    assert!(
        expired.stdout.contains("no baseline: ") && expired.stdout.contains("2 older baselines were removed"),
        "{}",
        expired.stdout
    );
    let named = check(&["--base-commit", &commits[1]]).expect(4);
    assert!(named.stdout.contains(&format!("but not for {};", &commits[1][..7])), "{}", named.stdout);
    record(&app, &["--commit", &commits[1]]);
    let behind = check(&[]).expect(0);
    assert!(behind.stdout.contains("2 commits behind the checked-out commit"), "{}", behind.stdout);
}

#[test]
fn old_records_and_the_files_that_only_they_had_are_removed() {
    let github = FakeGithub::start();
    let directory = tempfile::tempdir().unwrap();
    for number in 1..=5 {
        let app = layered(directory.path(), &number.to_string(), &[("base", 5000), ("app", number)]);
        let mut record = in_run(&github, directory.path(), "push");
        Run::of(record.args(["record", &app, "--commit", &sha(number as usize), "--keep-last", "2"]))
            .expect(0);
    }
    let files = files_of(&github);
    let count = |start: &str| files.iter().filter(|path| path.starts_with(start)).count();
    assert_eq!((count("records/"), count("file-lists/")), (2, 3), "{files:?}");
    assert!(
        files.iter().any(|path| path.contains(&sha(5))) && files.iter().any(|path| path.contains(&sha(4)))
    );
    let mut check = in_run(&github, directory.path(), "push");
    let app = layered(directory.path(), "5", &[("base", 5000), ("app", 5)]);
    let same =
        Run::of(check.args(["check", &app, "--base-commit", &sha(4), "--no-cache", "--format", "json"]))
            .expect(0);
    assert_eq!(same.json()["images"][0]["causes"][0]["parts"][0]["name"], "app");
    assert_sound(&github);

    let store = format!("dir:{}", directory.path().join("store").display());
    for number in 1..=5 {
        let app = image(directory.path(), "own", number);
        run(&["record", &app, "--store", &store, "--commit", &sha(number as usize), "--keep-last", "2"])
            .expect(0);
    }
    let kept = fs::read_dir(directory.path().join("store/records")).unwrap();
    let kept: BTreeSet<String> =
        kept.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(kept, BTreeSet::from([sha(4), sha(5)]));
}

#[test]
fn another_image_can_be_the_baseline() {
    let directory = tempfile::tempdir().unwrap();
    let before = layered(directory.path(), "before", &[("base", 5000), ("app", 100_000)]);
    let after = layered(directory.path(), "after", &[("base", 5000), ("app", 120_000)]);
    let check = |extra: &[&str]| run(&[&["check", &after, "--max-increase", "5%"], extra].concat());
    let over = check(&["--baseline", &before]).expect(1);
    assert!(over.stdout.contains("baseline measured now from"), "{}", over.stdout);
    check(&["--baseline", &after]).expect(0);
    // One that has another name is meant all the same where there is just one.
    check(&["--baseline", before.strip_prefix("app=").unwrap()]).expect(1);
    let other = before.replace("app=", "web=");
    let named = check(&["--baseline", &other]).expect(2);
    assert!(named.stderr.contains("this check has no image named `web`"), "{}", named.stderr);
    let unknown = check(&["--baseline", &before, "--baseline", "web=x.tar"]).expect(2);
    assert!(unknown.stderr.contains("this check has no image named `web`"), "{}", unknown.stderr);
    check(&["--baseline", &before, "--base-commit", "HEAD"]).expect(2);
    check(&["--baseline", "/nowhere.tar"]).expect(3);
}

/// Starts so many records at once, each of a commit of its own, and waits for all.
fn record_at_once(writers: usize, command: impl Fn(usize) -> Command) {
    let start = |number| command(number).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let children: Vec<Child> = (1..=writers).map(start).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn fifty_writers_at_once_lose_nothing_on_a_branch() {
    let github = FakeGithub::start();
    github.world().chaos = Some(Chaos { state: 7, longest_delay_ms: 30, dropped: 2, failed: 2 });
    let directory = tempfile::tempdir().unwrap();
    let images: Vec<String> = (1..=50)
        .map(|number| layered(directory.path(), &number.to_string(), &[("base", 5000), ("app", number)]))
        .collect();
    record_at_once(50, |number| {
        let mut record = in_run(&github, directory.path(), "push");
        record.args(["record", &images[number - 1], "--commit", &sha(number), "--no-cache"]);
        record
    });
    github.world().chaos = None;
    assert_sound(&github);
    let files = files_of(&github);
    let count = |start: &str| files.iter().filter(|path| path.starts_with(start)).count();
    assert_eq!((count("records/"), count("file-lists/")), (50, 51));
    for number in [1, 17, 50] {
        let mut check = in_run(&github, directory.path(), "push");
        check.args(["check", &images[number - 1], "--base-commit", &sha(number), "--format", "json"]);
        let report = Run::of(&mut check).expect(0).json();
        assert_eq!(report["images"][0]["delta"]["uncompressed"], 0, "{report}");
    }
    let index =
        github.repository().git(&["cat-file", "blob", &format!("{BRANCH}:images/app.json")], b"").unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let recorded =
        index["records"].as_array().unwrap().iter().map(|record| record["commit"].as_str().unwrap());
    assert_eq!(recorded.collect::<BTreeSet<_>>().len(), 50);
}

#[test]
fn fifty_writers_at_once_lose_nothing_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().join("store").display());
    let images: Vec<String> = (1..=50)
        .map(|number| layered(directory.path(), &number.to_string(), &[("base", 5000), ("app", number)]))
        .collect();
    record_at_once(50, |number| {
        let mut record = layergate();
        record.args([
            "record",
            &images[number - 1],
            "--commit",
            &sha(number),
            "--no-cache",
            "--store",
            &store,
        ]);
        record
    });
    for number in 1..=50 {
        let check = [
            "check",
            &images[number - 1],
            "--base-commit",
            &sha(number),
            "--store",
            &store,
            "--format",
            "json",
        ];
        let report = run(&check).expect(0).json();
        assert_eq!(report["images"][0]["base"]["exact"], true);
        assert_eq!(report["images"][0]["delta"]["uncompressed"], 0);
    }
}

/// Kills so many records at a moment of their own each, and looks after each whether the one before it, the new
/// one, and nothing else is there.
pub fn kill_often(directory: &Path, command: impl Fn() -> Command) {
    let images =
        [1000, 2000].map(|bytes| layered(directory, &bytes.to_string(), &[("app", bytes), ("base", 7)]));
    let record = |image: &str| {
        let mut record = command();
        record
            .args(["record", image, "--commit", &sha(1), "--no-cache"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        record.spawn().unwrap()
    };
    assert!(record(&images[0]).wait().unwrap().success());
    let start = Instant::now();
    assert!(record(&images[0]).wait().unwrap().success());
    let mut longest = start.elapsed() * 2;
    let (mut before, mut ended) = (0, [0, 0]);
    for round in 0..200u64 {
        let next = 1 - before;
        let mut child = record(&images[next]);
        // Spread over the whole time that a record takes, some beyond it.
        std::thread::sleep(longest * (round * 73 % 200) as u32 / 200);
        child.kill().unwrap();
        child.wait().unwrap();
        let mut check = command();
        check.args(["check", &images[next], "--base-commit", &sha(1), "--format", "json", "--no-cache"]);
        let report = Run::of(&mut check).expect(0).json();
        let found = match report["images"][0]["base"]["totals"]["uncompressed"].as_u64() {
            Some(1007) => 0,
            Some(2007) => 1,
            other => panic!("round {round}: {other:?}"),
        };
        ended[usize::from(found == next)] += 1;
        before = found;
        // The machine may be busier than before, or less.
        match ended {
            [old, new] if old > 3 * (new + 3) => longest = longest * 11 / 10,
            [old, new] if new > 3 * (old + 3) => longest = longest * 10 / 11,
            _ => {}
        }
    }
    // Both must have happened, or nothing was tried.
    assert!(ended.iter().all(|count| *count > 10), "{ended:?}");
}

#[test]
fn a_killed_record_leaves_a_directory_with_the_old_or_the_new() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().join("store").display());
    kill_often(directory.path(), || {
        let mut command = layergate();
        command.env("LAYERGATE_STORE", &store);
        command
    });
}

#[test]
fn a_killed_record_leaves_a_branch_with_the_old_or_the_new() {
    let github = FakeGithub::start();
    let directory = tempfile::tempdir().unwrap();
    kill_often(directory.path(), || in_run(&github, directory.path(), "push"));
    assert_sound(&github);
}
