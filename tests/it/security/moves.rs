//! What may change while the gate runs: the target of a pull request, its head, and the checkout. Each was a way past the
//! gate before its test was written.

use std::fs;

use serde_json::{Value, json};

use crate::security::trust::{Change, LAX, MAX};
use crate::support::Run;
use crate::support::fake_github::pull_request;
use crate::support::github_documents::PullRequest;

const GROWTH: &str = "[limits]\nmax-increase = \"5%\"\n";

impl Change {
    /// A run of another event, with one more commit on the branch, so that the parent of the checkout has no baseline.
    fn of_two_commits(event: &'static str) -> Change {
        let change = Change::new(&[("layergate.toml", GROWTH)], &[]);
        change.checkout.git(&["checkout", "--quiet", "change"]);
        let head = change.checkout.commit("one more");
        change.push(&["change"]);
        let payload = json!({
            "before": "0".repeat(40), "after": head, "repository": { "default_branch": "main" },
        });
        Change { event, payload, head, ..change }
    }

    fn check_of(&self, reference: &str, sha: &str, more: &[&str]) -> Run {
        let image = self.image(120_000);
        let mut command = self.command(&[&["check", &image, "--no-cache"], more].concat());
        Run::of(command.env("GITHUB_REF", reference).env("GITHUB_SHA", sha))
    }
}

/// The check of a branch, a tag or a manual run counts for the pull request that is opened later.
#[test]
fn a_branch_is_compared_with_where_it_left_the_default_branch() {
    for event in ["push", "workflow_dispatch", "create"] {
        let change = Change::of_two_commits(event);
        for reference in ["refs/heads/change", "refs/tags/v1"] {
            let run = change.check_of(reference, &change.head, &[]).expect(1);
            assert!(run.stdout.contains("exact: the merge base with the branch whose"), "{}", run.stdout);
        }
        // A merged commit is compared with its parent.
        change.push(&["change:main"]);
        let merged = change.check_of("refs/tags/v1", &change.head, &[]).expect(0);
        assert!(merged.stdout.contains("behind the "), "{}", merged.stdout);
    }
}

/// Neither a second pull request nor one to the author's own branch changes the baseline of a push.
#[test]
fn a_pull_request_to_a_branch_of_ones_own_is_no_baseline_for_a_push() {
    let change = Change::of_two_commits("push");
    change.push(&["change~1:refs/heads/own"]);
    let own = change.checkout.git(&["rev-parse", "change~1"]);
    let to_main = || pull_request(7, ("acme/shop", "change", &change.head), &change.base);
    let to_own =
        || PullRequest { base: "own".into(), ..pull_request(8, ("acme/shop", "change", &change.head), &own) };
    for pulls in [vec![to_main()], vec![to_own()], vec![to_main(), to_own()], vec![]] {
        change.github.world().pulls = pulls;
        change.check_of("refs/heads/change", &change.head, &["--comment-on-push"]).expect(1);
    }
}

/// A run on the default branch may check out a pull request, and report its check run there.
#[test]
fn what_is_checked_out_in_a_run_of_the_default_branch_brings_no_limits() {
    for event in ["workflow_dispatch", "repository_dispatch", "schedule", "push"] {
        let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
        change.checkout.git(&["checkout", "--quiet", "change"]);
        let payload = json!({ "before": change.base, "repository": { "default_branch": "main" } });
        let change = Change { event, payload, ..change };
        let check = |sha: &str| change.check_of("refs/heads/main", sha, &[]);
        let run = check(&change.base).expect(1);
        assert!(run.stdout.contains("over the limit of 110 kB"), "{event} {}", run.stdout);
        // The run's own commit has its own limits, and so does a checkout of another repository.
        check(&change.head).expect(0);
        change.checkout.git(&["remote", "add", "origin", "https://github.com/acme/other"]);
        check(&change.base).expect(0);
    }
}

/// GitHub may not have made the test merge with the new target yet.
#[test]
fn a_test_merge_onto_another_branch_is_not_compared_with_that() {
    let change = Change::new(&[("layergate.toml", GROWTH)], &[]);
    let git = |arguments: &[&str]| change.checkout.git(arguments);
    let merged_onto = |onto: &str| {
        git(&["checkout", "--quiet", "--detach", onto]);
        git(&["merge", "--quiet", "--no-ff", "--message", "test merge", "change"]);
        change.push(&["HEAD:refs/pull/7/merge"]);
    };
    git(&["checkout", "--quiet", "-b", "own", "main"]);
    change.checkout.commit("a branch of the author's");
    change.push(&["own"]);
    merged_onto("own");
    let run = change.check(&[]).expect(1);
    assert!(run.stdout.contains("this test merge was made on another branch"), "{}", run.stdout);
    // If the target moved on since the event, or since this merge, other people's growth does not count.
    git(&["checkout", "--quiet", "main"]);
    let newer = change.checkout.commit("the target moves on");
    change.push(&["main"]);
    merged_onto("main");
    let run = change.check(&[]).expect(0);
    assert!(run.stdout.contains("1 commit behind the base commit of the test merge"), "{}", run.stdout);
    merged_onto("main~1");
    let mut change = change;
    change.payload["pull_request"]["base"]["sha"] = json!(newer);
    let run = change.check(&[]).expect(1);
    assert!(run.stdout.contains("exact: the base commit of the test merge"), "{}", run.stdout);
}

#[test]
fn a_run_of_the_old_target_is_not_started_again() {
    let change = Change::new(&[("layergate.toml", LAX)], &[]);
    let attempt = |change: &Change, number: &str| {
        let image = change.image(120_000);
        let mut command = change.command(&["check", &image, "--no-cache"]);
        Run::of(command.env("GITHUB_RUN_ID", "5").env("GITHUB_RUN_ATTEMPT", number))
    };
    let pull = |base: &str| PullRequest {
        base: base.into(),
        ..pull_request(7, ("acme/shop", "change", &change.head), &change.base)
    };
    attempt(&change, "2").expect(0);
    change.github.world().pulls = vec![pull("main")];
    attempt(&change, "2").expect(0);
    change.github.world().pulls = vec![pull("release")];
    attempt(&change, "1").expect(0);
    let refused = attempt(&change, "2").expect(2);
    assert!(refused.stderr.contains("and is release now"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
}

/// The trusted workflow of the two, for a report of the first.
fn trusted(change: &Change, reports: &std::path::Path) -> (Run, Vec<Value>) {
    let payload = json!({ "repository": { "default_branch": "main" }, "workflow_run": {
        "id": 500, "run_attempt": 1, "event": "pull_request", "head_sha": change.head, "head_branch": "change",
        "head_repository": { "full_name": "mallory/shop" },
    } });
    fs::write(change.elsewhere.path().join("event.json"), payload.to_string()).unwrap();
    change.github.world().check_runs.clear();
    let mut command = change.command(&["report", "reports", "--check-run"]);
    fs::write(change.elsewhere.path().join("event.json"), payload.to_string()).unwrap();
    command.current_dir(reports).env("GITHUB_WORKSPACE", reports).env("GITHUB_EVENT_NAME", "workflow_run");
    let run = Run::of(command.env("GITHUB_REF", "refs/heads/main"));
    let made = change.github.world().check_runs.iter().map(|run| run[0].clone()).collect();
    (run, made)
}

#[test]
fn a_report_for_another_target_is_left_out_and_one_of_no_certain_pull_request_passes_nothing() {
    let mut change = Change::new(&[("layergate.toml", GROWTH)], &[]);
    change.payload["pull_request"]["head"]["repo"]["full_name"] = json!("mallory/shop");
    let reports = tempfile::tempdir().unwrap();
    let report = reports.path().join("reports/report.json").display().to_string();
    change.check(&["--report", &report, "--comment", "never"]).expect(1);
    let pull = |number: u64, base: &str| PullRequest {
        base: base.into(),
        ..pull_request(number, ("mallory/shop", "change", &change.head), &change.base)
    };
    let with = |pulls: Vec<PullRequest>| {
        change.github.world().pulls = pulls;
        trusted(&change, reports.path())
    };
    let (run, made) = with(vec![pull(7, "main")]);
    run.expect(1);
    assert_eq!((made.len(), &made[0]["conclusion"]), (1, &json!("failure")));
    change.push(&["main:refs/heads/release"]);
    let (run, made) = with(vec![pull(7, "release")]);
    let run = run.expect(3);
    assert!(run.stderr.contains("there is no report of"), "{} {}", run.stdout, run.stderr);
    assert_eq!((made.len(), &made[0]["conclusion"]), (1, &json!("failure")));
    // It is unknown whose limits apply then, and it may be reopened.
    for pulls in [vec![], vec![pull(7, "main"), pull(8, "release")]] {
        let (run, made) = with(pulls);
        assert!(run.stderr.contains("no check run: "), "{}", run.stderr);
        assert_eq!(made, Vec::<Value>::new());
    }
}
