//! Which commit a change is compared with, for the shapes that histories have.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::check::gate::{Checkout, image};
use crate::support::fake_github::FakeGithub;
use crate::support::{Run, layergate};

const ZERO: &str = "0000000000000000000000000000000000000000";

/// A repository, its copy on a fake GitHub, and a store.
struct Shape {
    github: FakeGithub,
    checkout: Checkout,
    elsewhere: tempfile::TempDir,
    app: String,
}

/// What happened, as the runner tells it.
struct Event {
    name: &'static str,
    sha: String,
    content: Value,
}

impl Shape {
    fn new() -> Shape {
        let elsewhere = tempfile::tempdir().unwrap();
        let app = image(elsewhere.path(), "app", 1000);
        Shape { github: FakeGithub::start(), checkout: Checkout::new(), elsewhere, app }
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.checkout.git(arguments)
    }

    fn commit(&self, message: &str) -> String {
        self.checkout.commit(message)
    }

    /// Makes so many commits, and gives them back.
    fn commits(&self, count: usize) -> Vec<String> {
        (0..count).map(|number| self.commit(&number.to_string())).collect()
    }

    /// A branch of so many commits off the one that is checked out.
    fn branch(&self, name: &str, count: usize) -> Vec<String> {
        self.git(&["checkout", "--quiet", "-b", name]);
        self.commits(count)
    }

    /// What GitHub merges to try a pull request out, checked out.
    fn test_merge(&self, base: &str, head: &str) -> Event {
        self.git(&["checkout", "--quiet", "--detach", base]);
        self.git(&["merge", "--quiet", "--no-ff", "--message", "test merge", head]);
        pull_request(&self.git(&["rev-parse", "HEAD"]), base, head)
    }

    fn record(&self, commit: &str) {
        let mut command = layergate();
        command.args(["record", &self.app, "--commit", commit, "--store"]).arg(self.store());
        Run::of(command.current_dir(self.elsewhere.path())).expect(0);
    }

    fn store(&self) -> String {
        format!("dir:{}", self.elsewhere.path().join("store").display())
    }

    /// Everything there is, on GitHub.
    fn push(&self) {
        let path = self.github.repository().path().display().to_string();
        self.git(&["push", "--quiet", "--force", &path, "HEAD:refs/pull/7/merge"]);
        self.git(&["push", "--quiet", "--force", "--all", &path]);
    }

    /// A clone of the checked-out commit, and of no other one.
    fn shallow(&self) -> tempfile::TempDir {
        let clone = tempfile::tempdir().unwrap();
        let from = format!("file://{}", self.checkout.path().display());
        let into = clone.path().join("clone");
        let sha = self.git(&["rev-parse", "HEAD"]);
        self.git(&["init", "--quiet", &into.display().to_string()]);
        let git = |arguments: &[&str]| {
            let mut command = std::process::Command::new("git");
            Run::of(command.arg("-C").arg(&into).args(arguments)).expect(0);
        };
        self.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        git(&["fetch", "--quiet", "--depth", "1", &from, &sha]);
        git(&["checkout", "--quiet", "--detach", &sha]);
        clone
    }

    /// The commit that is chosen in a directory, and why.
    fn chosen_in(&self, directory: &Path, event: &Event) -> (Option<String>, String) {
        let file = self.elsewhere.path().join("event.json");
        fs::write(&file, event.content.to_string()).unwrap();
        let mut command = layergate();
        command.current_dir(directory).args(["check", &self.app, "--format", "json", "--comment", "never"]);
        command.args(["--max-increase", "5%", "--store"]).arg(self.store());
        command
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_EVENT_PATH", &file)
            .env("GITHUB_EVENT_NAME", event.name);
        command.env("GITHUB_SHA", &event.sha).env("RUNNER_TEMP", self.elsewhere.path());
        command.env("GITHUB_REPOSITORY", "acme/shop").env("GITHUB_API_URL", &self.github.url);
        let run = Run::of(command.env("GITHUB_TOKEN", "ghs_secret-token")).expect(0);
        let image = run.json()["images"][0].clone();
        let how = image["base"]["how"].as_str().or(image["no_base"]["message"].as_str());
        (image["base"]["commit"]["sha"].as_str().map(str::to_owned), how.unwrap().to_owned())
    }

    #[track_caller]
    fn expect(&self, event: &Event, commit: &str, how: &str) {
        let chosen = self.chosen_in(self.checkout.path(), event);
        assert_eq!(chosen, (Some(commit.to_owned()), how.to_owned()));
    }
}

fn pull_request(merge: &str, base: &str, head: &str) -> Event {
    let content = json!({ "pull_request": { "number": 7, "head": { "sha": head }, "base": { "ref": "main", "sha": base } } });
    Event { name: "pull_request", sha: merge.to_owned(), content }
}

fn push(sha: &str, before: &str) -> Event {
    Event { name: "push", sha: sha.to_owned(), content: json!({ "before": before, "after": sha }) }
}

const TEST_MERGE: &str = "the base commit of the test merge";

#[test]
fn a_test_merge_is_compared_with_the_commit_it_was_made_on() {
    let shape = Shape::new();
    let main = shape.commits(3);
    shape.git(&["checkout", "--quiet", "main~1"]);
    let change = shape.branch("change", 2);
    main.iter().for_each(|commit| shape.record(commit));
    shape.expect(&shape.test_merge(&main[2], &change[1]), &main[2], &format!("exact: {TEST_MERGE}"));

    // The base was overwritten after the event had been sent: what was merged onto counts.
    let merge = shape.test_merge(&main[2], &change[1]);
    let stale = pull_request(&merge.sha, &"e".repeat(40), &change[1]);
    shape.expect(&stale, &main[2], &format!("exact: {TEST_MERGE}"));
}

#[test]
fn merged_branches_do_not_lead_away_from_first_parents() {
    let shape = Shape::new();
    let main = shape.commits(2);
    shape.record(&main[0]);
    let merged = shape.branch("merged", 3);
    // A branch's own commits were recorded, and are no baseline of the target.
    merged.iter().for_each(|commit| shape.record(commit));
    shape.git(&["checkout", "--quiet", "main"]);
    shape.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "merged"]);
    let merge = shape.git(&["rev-parse", "HEAD"]);
    shape.expect(&push(&merge, &main[1]), &main[0], "1 commit behind the parent of the pushed commit");
    let change = shape.branch("change", 1);
    let event = shape.test_merge(&merge, &change[0]);
    shape.expect(&event, &main[0], &format!("2 commits behind {TEST_MERGE}"));
}

#[test]
fn a_stacked_pull_request_is_compared_with_the_nearest_recorded_commit_below_its_base() {
    let shape = Shape::new();
    let main = shape.commits(2);
    shape.record(&main[1]);
    let lower = shape.branch("lower", 2);
    let upper = shape.branch("upper", 1);
    let event = shape.test_merge(&lower[1], &upper[0]);
    shape.expect(&event, &main[1], &format!("2 commits behind {TEST_MERGE}"));
}

#[test]
fn a_push_is_compared_with_its_parent_however_it_was_merged() {
    let shape = Shape::new();
    let main = shape.commits(2);
    main.iter().for_each(|commit| shape.record(commit));
    let squashed = shape.commit("squash");
    shape.expect(&push(&squashed, &main[1]), &main[1], "exact: the parent of the pushed commit");
    shape.record(&squashed);
    // A rebase puts several commits on top, of which the last one only is built.
    let rebased = shape.commits(3);
    let event = push(&rebased[2], &squashed);
    shape.expect(&event, &squashed, "2 commits behind the parent of the pushed commit");
    // What was there before a forced push is no ancestor.
    shape.git(&["reset", "--quiet", "--hard", &main[1]]);
    let forced = shape.commit("forced");
    let event = push(&forced, &rebased[2]);
    shape.expect(&event, &main[1], "exact: the parent of the pushed commit");
}

#[test]
fn tags_new_branches_and_merge_queues_have_their_own_right_commit() {
    let shape = Shape::new();
    let main = shape.commits(3);
    main.iter().for_each(|commit| shape.record(commit));
    shape.expect(&push(&main[2], ZERO), &main[1], "exact: the parent of the pushed commit");
    let branch = shape.branch("new", 2);
    let event = push(&branch[1], ZERO);
    shape.expect(&event, &main[2], "1 commit behind the parent of the pushed commit");
    let content = json!({ "merge_group": { "base_sha": main[1], "base_ref": "refs/heads/main", "head_sha": branch[1] } });
    let event = Event { name: "merge_group", sha: branch[1].clone(), content };
    shape.expect(&event, &main[1], "exact: the base commit of the merge group");
}

#[test]
fn the_nearest_of_two_hundred_ancestors_is_found_and_none_beyond() {
    let shape = Shape::new();
    let main = shape.commits(252);
    let change = shape.branch("change", 1);
    let event = shape.test_merge(&main[251], &change[0]);
    shape.push();
    let shallow = shape.shallow();
    let clone = shallow.path().join("clone");
    let first = shape.chosen_in(shape.checkout.path(), &event);
    assert_eq!(
        first,
        (None, "no baseline: app is not recorded in the store yet".into()),
        "the first run ever"
    );
    shape.record(&main[1]);
    for directory in [shape.checkout.path(), &clone] {
        let (commit, how) = shape.chosen_in(directory, &event);
        assert_eq!(commit, None, "250 back");
        assert!(how.contains(&format!("but not for {} or the 200 before it", &main[251][..7])), "{how}");
    }
    for (back, words) in [(200, "200 commits"), (5, "5 commits"), (1, "1 commit")] {
        shape.record(&main[251 - back]);
        for directory in [shape.checkout.path(), &clone] {
            let chosen = shape.chosen_in(directory, &event);
            assert_eq!(chosen, (Some(main[251 - back].clone()), format!("{words} behind {TEST_MERGE}")));
        }
    }
}

#[test]
fn a_shallow_checkout_and_none_at_all_choose_the_same() {
    let shape = Shape::new();
    let main = shape.commits(4);
    main[..2].iter().for_each(|commit| shape.record(commit));
    shape.git(&["checkout", "--quiet", "main~1"]);
    let change = shape.branch("change", 2);
    let nowhere = tempfile::tempdir().unwrap();

    let event = shape.test_merge(&main[3], &change[1]);
    shape.push();
    let clone = shape.shallow();
    for directory in [shape.checkout.path(), &clone.path().join("clone"), nowhere.path()] {
        let chosen = shape.chosen_in(directory, &event);
        assert_eq!(chosen, (Some(main[1].clone()), format!("2 commits behind {TEST_MERGE}")));
    }
    // With the head itself checked out, it is where the two branches part.
    shape.git(&["checkout", "--quiet", "--detach", &change[1]]);
    let clone = shape.shallow();
    for directory in [shape.checkout.path(), &clone.path().join("clone")] {
        let chosen = shape.chosen_in(directory, &event);
        let how = "1 commit behind the merge base with the target branch";
        assert_eq!(chosen, (Some(main[1].clone()), how.into()));
    }
    let event = push(&main[2], &main[1]);
    let chosen = shape.chosen_in(nowhere.path(), &event);
    assert_eq!(chosen, (Some(main[1].clone()), "exact: the parent of the pushed commit".into()));
}
