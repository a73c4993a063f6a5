//! The gate: baselines from a directory store, limits, exit codes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{FakeLayer, Item, Run, fixture, layergate, oci_layout, run, tar_of};

/// An image of one layer with one file of that many bytes.
pub fn image(directory: &Path, name: &str, bytes: u64) -> String {
    let layer = FakeLayer::gzip(&tar_of(&[Item::File("a", bytes)]), "COPY a /");
    format!("app={}", oci_layout(&directory.join(name), &[layer]).display())
}

/// A checkout with commits to record for.
pub struct Checkout(tempfile::TempDir);

impl Checkout {
    pub fn new() -> Checkout {
        let checkout = Checkout(tempfile::tempdir().unwrap());
        checkout.git(&["init", "--quiet", "--initial-branch", "main"]);
        checkout
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        Run::of(self.git_command().args(arguments)).expect(0).stdout.trim().to_owned()
    }

    fn git_command(&self) -> Command {
        let mut command = Command::new("git");
        command.current_dir(self.0.path()).args([
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.com",
        ]);
        command
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn commit(&self, message: &str) -> String {
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A commit of this date: of two of one second nobody knows which is newer.
    pub fn commit_at(&self, date: &str) -> String {
        let mut commit = self.git_command();
        commit.env("GIT_COMMITTER_DATE", date);
        Run::of(commit.args(["commit", "--quiet", "--allow-empty", "--message", date])).expect(0);
        self.git(&["rev-parse", "HEAD"])
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(layergate().current_dir(self.0.path()).args(arguments))
    }
}

#[test]
fn the_nearest_recorded_ancestor_is_the_baseline_and_says_how_far_it_is() {
    let checkout = Checkout::new();
    let small = image(checkout.0.path(), "small", 100_000);
    let large = image(checkout.0.path(), "large", 120_000);
    let first = checkout.commit("first");
    checkout.run(&["record", &small]).expect(0);

    let exact = checkout.run(&["check", &large, "--max-increase", "5%", "--format", "json"]).expect(1).json();
    assert_eq!(exact["images"][0]["base"]["commit"]["sha"], first.as_str());
    assert_eq!(exact["images"][0]["base"]["distance"], 0);

    checkout.commit("second");
    checkout.commit("third");
    let behind = checkout.run(&["check", &large, "--max-increase", "5%"]).expect(0);
    assert!(behind.stdout.contains("warning only: baseline is 2 commits behind"), "{}", behind.stdout);
    let named = checkout.run(&["check", &large, "--max-increase", "5%", "--base-commit", "HEAD~2"]).expect(1);
    assert!(named.stdout.contains("the commit given by --base-commit"), "{}", named.stdout);
    // A commit that was asked for is meant itself, not its ancestors.
    checkout
        .run(&[
            "check",
            &large,
            "--max-increase",
            "5%",
            "--base-commit",
            "HEAD",
            "--on-missing-baseline",
            "fail",
        ])
        .expect(4);
}

#[test]
fn a_missing_baseline_is_a_state_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let app = image(directory.path(), "app", 1000);
    let store = format!("dir:{}", directory.path().join("store").display());
    let check =
        |extra: &[&str]| run(&[&["check", &app, "--store", &store, "--format", "json"], extra].concat());
    let report = check(&["--max-increase", "5%"]).expect(0).json();
    let image = &report["images"][0];
    assert_eq!(
        (&report["verdict"], &image["base"], &image["delta"]),
        (&"warn".into(), &().into(), &().into())
    );
    assert_eq!(
        check(&["--max-increase", "5%", "--on-missing-baseline", "pass"]).expect(0).json()["verdict"],
        "pass"
    );
    check(&["--max-increase", "5%", "--on-missing-baseline", "fail"]).expect(4);
    check(&["--max-size", "5 kB"]).expect(0);
    check(&["--max-size", "5 B"]).expect(1);
    check(&["--max-size", "5 B", "--on-missing-baseline", "fail"]).expect(1);
}

#[test]
fn a_limit_that_cannot_be_evaluated_hides_no_other_result() {
    let directory = tempfile::tempdir().unwrap();
    let (base, head) = (image(directory.path(), "base", 1000), image(directory.path(), "app", 5000));
    let seen = format!("seen=inspect:{}", fixture("seed/notesapp-default.inspect.json"));
    let report = directory.path().join("report.json").display().to_string();
    let check = |more: &[&str]| {
        let run = run(&[&["check", "--baseline", &base, "--report", &report], more].concat());
        (run, serde_json::from_slice::<serde_json::Value>(&std::fs::read(&report).unwrap()).unwrap())
    };
    let rules = |report: &serde_json::Value| -> Vec<String> {
        let findings = report["images"].as_array().unwrap().iter().flat_map(|image| {
            image["findings"]
                .as_array()
                .unwrap()
                .iter()
                .map(|found| found["rule"].as_str().unwrap().to_owned())
        });
        findings.collect()
    };
    // Of one image, and of two: what is exceeded is what fails.
    let (one, said) = check(&[&head, "--max-size", "1 kB", "--max-app-increase", "1%"]);
    one.expect(1);
    assert_eq!(rules(&said), ["not-evaluated", "max-size"]);
    let (two, said) = check(&[&head, &seen, "--max-size", "2 GB", "--max-layer-size", "1 kB"]);
    two.expect(1);
    assert_eq!(rules(&said), ["max-layer-size", "not-evaluated"]);
    let (unseen, said) = check(&[&head, &seen, "--max-layer-size", "1 GB"]);
    unseen.expect(3);
    assert_eq!(rules(&said), ["not-evaluated"]);
}

#[test]
fn figures_that_do_not_mean_the_same_are_not_compared() {
    let directory = tempfile::tempdir().unwrap();
    let head = image(directory.path(), "app", 5000);
    let base = format!("app=inspect:{}", fixture("seed/notesapp-default.inspect.json"));
    let check = |limits: &[&str]| run(&[&["check", &head, "--baseline", &base], limits].concat());
    let growth = check(&["--max-increase", "5%"]).expect(3);
    let why = "fail baseline: no usable baseline: ";
    assert!(
        growth.stdout.contains(why) && growth.stdout.contains("engine's own figure"),
        "{}",
        growth.stdout
    );
    check(&["--max-increase", "5%", "--on-missing-baseline", "pass"]).expect(3);
    check(&["--max-increase", "5%", "--on-missing-baseline", "warn"]).expect(0);
    check(&["--max-increase", "5%", "--max-size", "1 kB"]).expect(1);
}

#[test]
fn of_two_baselines_for_one_image_none_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let (base, head) = (image(directory.path(), "base", 1000), image(directory.path(), "app", 5000));
    let both =
        run(&["check", &head, "--baseline", &head, "--baseline", &base, "--max-increase", "1%"]).expect(2);
    assert!(both.stderr.contains("are both for `app`; pass only one"), "{}", both.stderr);
}

#[test]
fn every_limit_has_its_edge_where_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().join("store").display());
    let base = image(directory.path(), "base", 100_000);
    let head = image(directory.path(), "head", 105_000);
    run(&["record", &base, "--store", &store]).expect(0);
    for (flag, value, code) in [
        ("--max-size", "105 kB", 0),
        ("--max-size", "104999 B", 1),
        ("--max-increase", "5%", 0),
        ("--max-increase", "4.999%", 1),
        ("--max-increase", "4% and 5 kB", 0),
        ("--max-increase", "4% and 4999 B", 1),
        ("--max-increase", "6% or 4999 B", 1),
        ("--max-increase", "5% or 5 kB", 0),
        ("--warn-increase", "1%", 0),
        ("--max-layers", "1", 0),
        ("--max-layers", "0", 1),
        ("--max-layer-size", "105 kB", 0),
        ("--max-layer-size", "100 kB", 1),
        ("--max-wasted", "0 B", 0),
    ] {
        let run = run(&["check", &head, "--store", &store, flag, value]);
        assert_eq!(run.code, code, "{flag} {value}: {}{}", run.stdout, run.stderr);
    }
    let wasteful = [
        FakeLayer::gzip(&tar_of(&[Item::File("a", 900), Item::File("b", 100)]), "COPY . /"),
        FakeLayer::gzip(&tar_of(&[Item::File(".wh.b", 0)]), "RUN rm /b"),
    ];
    let wasteful = oci_layout(&directory.path().join("wasteful"), &wasteful).display().to_string();
    run(&["check", &wasteful, "--max-wasted", "10%"]).expect(0);
    run(&["check", &wasteful, "--max-wasted", "9%"]).expect(1);
}

#[test]
fn limits_come_from_the_file_by_image_and_flags_go_first() {
    let directory = tempfile::tempdir().unwrap();
    let app = image(directory.path(), "app", 5000);
    let check = |extra: &[&str]| {
        Run::of(layergate().current_dir(directory.path()).args([&["check", app.as_str()], extra].concat()))
    };
    fs::write(directory.path().join("layergate.toml"), "[limits]\nmax-size = \"1 kB\"\n").unwrap();
    check(&[]).expect(1);
    check(&["--max-size", "9 kB"]).expect(0);
    let own = "[limits]\nmax-size = \"1 kB\"\n[images.app]\nmax-size = \"9 kB\"\n";
    fs::write(directory.path().join("layergate.toml"), own).unwrap();
    check(&[]).expect(0);
    let mut by_variable = layergate();
    by_variable.current_dir(directory.path()).args(["check", &app]).env("LAYERGATE_MAX_SIZE", "2 kB");
    Run::of(&mut by_variable).expect(1);
    Run::of(by_variable.env("LAYERGATE_MAX_SIZE", "")).expect(0);
    Run::of(by_variable.env("LAYERGATE_VERIFY", "false").env("LAYERGATE_REQUIRE_COMMENT", "true")).expect(0);
}

#[test]
fn on_a_pull_request_what_was_over_before_only_warns() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().join("store").display());
    let event = directory.path().join("event.json");
    let sha = "b".repeat(40);
    let text = format!(
        r#"{{"pull_request":{{"number":1,"head":{{"sha":"{}"}},"base":{{"ref":"main","sha":"{sha}"}}}}}}"#,
        "a".repeat(40)
    );
    fs::write(&event, text).unwrap();
    run(&["record", &image(directory.path(), "base", 100_000), "--store", &store, "--commit", &sha])
        .expect(0);
    let check = |name: &str, bytes: u64, pull_request: bool| {
        let mut command = layergate();
        command.current_dir(directory.path());
        command.args([
            "check",
            &image(directory.path(), name, bytes),
            "--store",
            &store,
            "--max-size",
            "50 kB",
        ]);
        command.args(["--base-commit", &sha, "--comment", "never"]);
        if pull_request {
            command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_PATH", &event);
            command.env("LAYERGATE_LIMITS_FROM", "head");
        }
        Run::of(&mut command)
    };
    let same = check("same", 100_000, true).expect(0);
    assert!(same.stdout.contains("the baseline already exceeds it"), "{}", same.stdout);
    check("better", 99_000, true).expect(0);
    check("worse", 100_001, true).expect(1);
    check("same", 100_000, false).expect(1);
}

#[test]
fn a_record_is_found_again_with_all_its_layers() {
    let directory = tempfile::tempdir().unwrap();
    let store_path = directory.path().join("store");
    let store = format!("dir:{}", store_path.display());
    let edge = format!("edge={}", fixture("engines/docker-29/edge-v1.save.tar"));
    let sha = "c".repeat(40);
    for _ in 0..2 {
        run(&["record", &edge, "--store", &store, "--commit", &sha]).expect(0);
    }
    let same = run(&["check", &edge, "--store", &store, "--base-commit", &sha]).expect(0);
    assert!(same.stdout.contains("(unchanged)") && same.stdout.contains("6 unchanged"), "{}", same.stdout);

    let opened = layergate::baseline::DirStore::at(store_path.clone());
    let [listed] = opened.records("edge", Some(&sha)).unwrap().try_into().unwrap();
    assert_eq!(listed.platform, "linux/amd64");
    let snapshot = opened.load(&listed).unwrap();
    for layer in &snapshot.layers {
        assert_eq!(layer.file_list, None, "a record is small");
        assert_eq!(opened.file_list(&layer.diff_id).unwrap().size(), layer.size);
    }
    // A list of files that is damaged or of an earlier form explains less and stops nothing, and recording
    // writes it anew.
    let layer = &snapshot.layers[3].diff_id;
    let file_list =
        store_path.join("file-lists").join(&layer.hex()[..2]).join(format!("{}.json.zst", layer.hex()));
    fs::write(&file_list, "damaged").unwrap();
    let other = format!("edge={}", fixture("engines/docker-29/edge-v2.save.tar"));
    let check = ["check", &other, "--store", &store, "--base-commit", &sha, "--format", "json", "--no-cache"];
    let explained = |run: crate::support::Run| run.json()["images"][0]["files"].is_object();
    assert!(!explained(run(&check).expect(0)));
    run(&["record", &edge, "--store", &store, "--commit", &sha]).expect(0);
    assert!(explained(run(&check).expect(0)));

    let record = store_path.join("records").join(&sha).join("edge/linux%2famd64.json");
    fs::write(&record, "{").unwrap();
    let limited = ["check", &edge, "--store", &store, "--base-commit", &sha, "--max-increase", "5%"];
    let broken = run(&limited).expect(3);
    for part in ["linux%2famd64.json", "record the baseline again", "its baseline cannot be used"] {
        assert!(broken.stdout.contains(part), "{part}: {}", broken.stdout);
    }
    let newer = fs::read_to_string(fixture("documents/snapshot-v2.json")).unwrap();
    fs::write(&record, newer).unwrap();
    let newer = run(&limited).expect(3);
    assert!(newer.stdout.contains("newer layergate"), "{}", newer.stdout);
}

#[test]
fn content_is_never_evaluated_against_an_engines_figure() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().join("store").display());
    let sha = "d".repeat(40);
    let engine = format!("edge=inspect:{}", fixture("engines/docker-20.10/edge-v1.inspect.json"));
    let content = format!("edge={}", fixture("engines/docker-20.10/edge-v1.save.tar"));
    run(&["record", &engine, "--store", &store, "--commit", &sha]).expect(0);
    let run =
        run(&["check", &content, "--store", &store, "--base-commit", &sha, "--max-increase", "5%"]).expect(3);
    assert!(run.stdout.contains("by engine") && run.stdout.contains("by content"), "{}", run.stdout);
}

#[test]
fn several_images_are_one_report() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().join("store").display());
    let both = |version: &str| {
        format!(
            "web={}\nedge={}",
            fixture(&format!("demo/web-{version}.tar")),
            fixture(&format!("engines/docker-29/edge-{version}.save.tar"))
        )
    };
    let sha = "e".repeat(40);
    run(&["record", &both("v1"), "--store", &store, "--commit", &sha]).expect(0);
    let check = ["check", &both("v2"), "--store", &store, "--base-commit", &sha, "--max-increase", "5%"];
    let run = run(&[&check[..], &["--format", "markdown"]].concat()).expect(1);
    assert!(run.stdout.contains("the other image passes"), "{}", run.stdout);
    let web = run.stdout.find("| `web` |").unwrap();
    let edge = run.stdout.find("| `edge` |").unwrap();
    assert!(web < edge, "the larger difference comes first\n{}", run.stdout);
}

#[test]
fn a_shallow_checkout_only_warns_of_what_it_cannot_know() {
    let checkout = Checkout::new();
    let (small, large) =
        (image(checkout.0.path(), "small", 100_000), image(checkout.0.path(), "large", 120_000));
    let base = checkout.commit("base");
    checkout.run(&["record", &small, "--commit", &base]).expect(0);
    checkout.git(&["checkout", "--quiet", "--orphan", "shallow"]);
    let own = checkout.commit("what a shallow checkout of the head looks like");
    let check = |event: &str, name: &str| {
        let file = checkout.0.path().join("event.json");
        fs::write(&file, event).unwrap();
        let mut command = layergate();
        command.current_dir(checkout.0.path()).args([
            "check",
            &large,
            "--max-increase",
            "5%",
            "--comment",
            "never",
        ]);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_PATH", &file).env("GITHUB_EVENT_NAME", name);
        command.env("LAYERGATE_STORE", "dir:.layergate").env("LAYERGATE_LIMITS_FROM", "head");
        Run::of(command.env("RUNNER_TEMP", checkout.0.path())).expect(0).stdout
    };
    let pull = format!(
        r#"{{"pull_request":{{"number":1,"head":{{"sha":"{own}"}},"base":{{"ref":"main","sha":"{base}"}}}}}}"#
    );
    assert!(check(&pull, "pull_request").contains("fetch more history to find the merge base"));
    checkout.commit("a second commit of the same push");
    assert!(check(&format!(r#"{{"before":"{base}"}}"#), "push").contains("the commit before the push"));
}
