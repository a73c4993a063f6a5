//! `--store dir:PATH`: what is in it is in the order of its commits, and what cannot be used spoils nothing else.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::check::gate::{Checkout, image};
use crate::stores::baselines::layered;
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, tar_of};

/// A checkout, and a store beside what is checked out.
struct Here {
    checkout: Checkout,
    store: tempfile::TempDir,
}

impl Here {
    fn new() -> Here {
        Here { checkout: Checkout::new(), store: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = layergate();
        command.current_dir(self.checkout.path()).args(arguments).args(["--store", &self.named()]);
        Run::of(&mut command)
    }

    fn named(&self) -> String {
        format!("dir:{}", self.store.path().display())
    }

    /// A commit of some day, with a record.
    fn record(&self, day: u32, bytes: u64, more: &[&str]) -> String {
        let date = format!("2026-03-{day:02}T00:00:00Z");
        let sha = self.checkout.commit_at(&date);
        self.record_here(bytes, more);
        sha
    }

    fn record_here(&self, bytes: u64, more: &[&str]) -> Run {
        let app =
            image(self.store.path(), &format!("app-{bytes}"), bytes).split_once('=').unwrap().1.to_owned();
        self.run(&[&["record", &format!("app={app}")], more].concat()).expect(0)
    }

    fn record_of(&self, commit: &str) -> PathBuf {
        self.store.path().join(format!("records/{commit}/app/linux%2famd64.json"))
    }

    fn commits_in_history(&self) -> Vec<String> {
        let history = self.run(&["history", "app", "--format", "json"]).expect(0).json();
        let points = history["points"].as_array().unwrap_or_else(|| panic!("{history}"));
        points.iter().map(|point| point["commit"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_history_is_in_the_order_of_commits_whatever_was_recorded_last() {
    let here = Here::new();
    let commits: Vec<String> = (1..=4).map(|day| here.record(day, u64::from(day) * 1000, &[])).collect();
    here.checkout.git(&["checkout", "--quiet", &commits[1]]);
    here.record_here(2500, &[]);
    assert_eq!(here.commits_in_history(), commits);
    // One that is damaged, and one of a newer version, have no size that could be told.
    fs::write(here.record_of(&commits[0]), "{\"schema\": \"layergate.snap").unwrap();
    fs::write(here.record_of(&commits[2]), "{\"schema\": \"layergate.snapshot/v9\"}").unwrap();
    assert_eq!(here.commits_in_history(), [commits[1].clone(), commits[3].clone()]);
    let said = here.run(&["history", "app"]).expect(0).stderr;
    for commit in [&commits[0], &commits[2]] {
        let record = here.record_of(commit);
        assert!(said.contains(&format!("left out: baseline store: {}", record.display())), "{said}");
    }

    // The newest commits are kept, and the one that was just recorded.
    here.record_here(2600, &["--keep-last", "2"]);
    let mut kept: Vec<String> = fs::read_dir(here.store.path().join("records"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.contains(&commits[1]), "{kept:?}");
}

#[test]
fn what_was_removed_is_called_expired() {
    let here = Here::new();
    let first = here.record(1, 1000, &[]);
    (2..=4).for_each(|day| drop(here.record(day, 1000, &["--keep-last", "2"])));
    let app = image(here.store.path(), "app-1000", 1000);
    let check =
        here.run(&["check", &app, "--base-commit", &first, "--on-missing-baseline", "fail"]).expect(4);
    assert!(
        check.stdout.contains("no baseline: ") && check.stdout.contains("2 older baselines were removed"),
        "{}",
        check.stdout
    );
}

#[test]
fn the_same_image_of_a_commit_is_recorded_once_whatever_branch_it_is_on() {
    let here = Here::new();
    here.record(1, 1000, &[]);
    for arguments in [&["checkout", "--quiet", "-b", "other"][..], &["checkout", "--quiet", "--detach"]] {
        here.checkout.git(arguments);
        let again = here.record_here(1000, &[]);
        assert!(again.stdout.starts_with("already recorded app"), "{}", again.stdout);
    }
}

#[test]
fn a_record_of_a_newer_version_is_not_replaced() {
    let here = Here::new();
    let commit = here.record(1, 1000, &[]);
    let newer = "{\"schema\": \"layergate.snapshot/v9\"}";
    fs::write(here.record_of(&commit), newer).unwrap();
    let app = image(here.store.path(), "app-2000", 2000);
    let refused = here.run(&["record", &app]).expect(3);
    assert!(refused.stderr.contains("written by a newer layergate"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(here.record_of(&commit)).unwrap(), newer);
    // What it says is not known, and what needs no baseline is evaluated all the same.
    let check = |limits: &[&str]| here.run(&[&["check", &app, "--format", "json"], limits].concat());
    let growth = check(&["--max-increase", "5%", "--max-size", "1 MB"]).expect(3).json();
    assert_eq!(
        (&growth["verdict"], &growth["images"][0]["no_base"]["reason"]),
        (&json!("fail"), &json!("newer"))
    );
    check(&["--max-increase", "5%", "--max-size", "1 kB"]).expect(1);
    check(&["--max-increase", "5%", "--on-missing-baseline", "warn"]).expect(0);
    assert_eq!(check(&["--max-size", "1 MB"]).expect(0).json()["verdict"], "warn");
    // What nobody can read is replaced.
    for damaged in ["", "{\"schema\": \"layergate.snap"] {
        fs::write(here.record_of(&commit), damaged).unwrap();
        let unreadable = here.run(&["check", &app, "--max-increase", "5%"]).expect(3);
        let words = "it is incomplete or not JSON";
        assert!(unreadable.stdout.contains("no usable baseline") && unreadable.stdout.contains(words));
        assert!(unreadable.stdout.contains("record the baseline again"), "{}", unreadable.stdout);
        here.run(&["record", &app]).expect(0);
        here.run(&["check", &app]).expect(0);
    }
}

#[test]
fn a_secret_that_an_earlier_version_has_stored_goes_when_the_image_is_recorded_again() {
    let here = Here::new();
    let commit = here.checkout.commit("first");
    let layer = FakeLayer::gzip(&tar_of(&[Item::File("app", 1000)]), "RUN fetch --token=***");
    let app = format!("app={}", oci_layout(&here.store.path().join("image"), &[layer]).display());
    here.run(&["record", &app]).expect(0);
    let path = here.record_of(&commit);
    let stored = fs::read_to_string(&path).unwrap();
    assert!(stored.contains("--token=***"), "{stored}");
    fs::write(&path, stored.replace("--token=***", "--token=hunter2hunter2")).unwrap();
    let again = here.run(&["record", &app]).expect(0);
    assert!(again.stdout.starts_with("recorded app"), "{}", again.stdout);
    assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"));
}

#[test]
fn a_name_may_be_longer_than_what_a_file_may_be_called() {
    let here = Here::new();
    here.checkout.commit("first");
    let layout = layered(here.store.path(), "image", &[("app", 1000)]);
    let layout = layout.split_once('=').unwrap().1;
    let app = format!("{}={layout}", "A".repeat(100));
    here.run(&["record", &app]).expect(0);
    let check = here.run(&["check", &app, "--on-missing-baseline", "fail"]).expect(0);
    assert!(check.stdout.contains("(unchanged)"), "{}", check.stdout);
}

#[test]
fn what_killed_writers_leave_goes_and_what_links_lead_to_stays() {
    let here = Here::new();
    let commit = here.record(1, 1000, &[]);
    let (store, outside) = (here.store.path(), tempfile::tempdir().unwrap());
    let old = |path: &std::path::Path| {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    };
    // What a process has begun and not finished, and a list of files that no record names.
    let begun = [store.join(format!("records/{commit}/app/.tmpAbCd")), store.join("pruned/.tmpAbCd")];
    let unnamed = store.join(format!("file-lists/ab/ab{}.json.zst", "0".repeat(62)));
    fs::create_dir_all(store.join("pruned")).unwrap();
    fs::create_dir_all(unnamed.parent().unwrap()).unwrap();
    for path in begun.iter().chain([&unnamed]) {
        fs::write(path, "x").unwrap();
        old(path);
    }
    // A directory of somebody else, where records and lists could be.
    let (record, list) = (outside.path().join("app/linux%2famd64.json"), outside.path().join("x.json.zst"));
    fs::create_dir_all(record.parent().unwrap()).unwrap();
    for path in [&record, &list] {
        fs::write(path, "{}").unwrap();
        old(path);
    }
    for link in [store.join(format!("records/{}", "0".repeat(40))), store.join("file-lists/zz")] {
        std::os::unix::fs::symlink(outside.path(), link).unwrap();
    }
    here.record(2, 1000, &["--keep-last", "1"]);
    for gone in begun.iter().chain([&unnamed]) {
        assert!(!gone.exists(), "{}", gone.display());
    }
    assert!(record.exists() && list.exists());
}
