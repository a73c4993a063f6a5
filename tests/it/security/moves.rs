//! What moves while the gate is under way: the target of a pull request, its head, and what is checked out. Each was a way
//! past the gate until it got its test here.

use serde_json::json;

use crate::security::trust::{Change, LAX, MAX};
use crate::support::Run;
use crate::support::fake_github::pull_request;
use crate::support::github_documents::PullRequest;

const GROWTH: &str = "[limits]\nmax-increase = \"5%\"\n";

impl Change {
    /// A run of another event, with one more commit on the branch, so that the parent of what is checked out has no
    /// record.
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
        // What is merged already is compared as before.
        change.push(&["change:main"]);
        let merged = change.check_of("refs/tags/v1", &change.head, &[]).expect(0);
        assert!(merged.stdout.contains("behind the "), "{}", merged.stdout);
    }
}

/// Neither a second pull request nor one to a branch of one's own makes the check of a push compare with something else.
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

/// A run of the default branch may have been told to check out a pull request, and its check run goes there.
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
        // The run's own commit has its own, and so has a checkout of another repository.
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
    assert!(run.stdout.contains("this test merge is onto another branch"), "{}", run.stdout);
    // The target has moved on since the event, or since this merge was made: to it, growth of others is no one's here.
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
    assert!(refused.stderr.contains("its target branch is release now"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
}
