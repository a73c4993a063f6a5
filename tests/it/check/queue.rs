//! A merge queue: each group has the changes ahead of it as well, and answers for its own alone.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::check::gate::{Checkout, image};
use crate::support::fake_github::{BOT, FakeGithub, pull_request};
use crate::support::{Run, layergate};

const LIMIT: [&str; 4] = ["--max-increase", "5%", "--accept-label", "size-ok"];

/// A queue of three pull requests, 1 to 3, in front of `main`, of which an image of 100 kB is recorded.
struct Queue {
    github: FakeGithub,
    checkout: Checkout,
    elsewhere: tempfile::TempDir,
    /// `main`, and the commit of each entry on top of the one before.
    commits: Vec<String>,
}

impl Queue {
    fn new() -> Queue {
        Queue::of(["main"; 3])
    }

    /// The pull requests whose branches were created from these.
    fn of(starts: [&str; 3]) -> Queue {
        let (github, checkout) = (FakeGithub::start(), Checkout::new());
        let mut commits = vec![checkout.commit("main")];
        for (number, start) in (1..).zip(starts) {
            let name = format!("change-{number}");
            checkout.git(&["checkout", "--quiet", "-b", &name, start]);
            let head = checkout.commit(&format!("Change {number} (#1)"));
            let pull = pull_request(number, ("acme/shop", &name, &head), &commits[0]);
            github.world().pulls.push(pull);
            checkout.git(&["checkout", "--quiet", "--detach", commits.last().unwrap()]);
            let message = format!("Merge pull request #{number} from acme/change-{number}");
            checkout.git(&[
                "merge",
                "--quiet",
                "--no-ff",
                "--message",
                &message,
                &format!("change-{number}"),
            ]);
            commits.push(checkout.git(&["rev-parse", "HEAD"]));
        }
        let queue = Queue { github, checkout, elsewhere: tempfile::tempdir().unwrap(), commits };
        queue.push("main:refs/heads/main");
        for number in 1..=3 {
            queue.push(&format!("{}:{}", queue.commits[number], queue.branch(number)));
        }
        queue.record(0, 100_000).expect(0);
        queue.github.world().labelled = vec![("ann", "size-ok", "2026-11-01T09:00:00Z", true)];
        queue.github.world().labelled_pulls = Some(vec![1]);
        queue
    }

    /// The branch of an entry, as GitHub calls it.
    fn branch(&self, number: usize) -> String {
        format!("refs/heads/gh-readonly-queue/main/pr-{number}-{}", self.commits[number - 1])
    }

    fn push(&self, what: &str) {
        let path = self.github.repository().path().display().to_string();
        self.checkout.git(&["push", "--quiet", "--force", &path, what]);
    }

    fn command(&self, event: &str, payload: &Value, arguments: &[&str]) -> Command {
        let elsewhere = |name: &str| self.elsewhere.path().join(name);
        fs::write(elsewhere("event.json"), payload.to_string()).unwrap();
        let mut command = layergate();
        command.current_dir(self.checkout.path()).args(arguments);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", event);
        command.env("GITHUB_EVENT_PATH", elsewhere("event.json")).env("RUNNER_TEMP", self.elsewhere.path());
        command.env("GITHUB_REPOSITORY", "acme/shop").env("GITHUB_API_URL", &self.github.url);
        command.env("GITHUB_TOKEN", "ghs_secret-token");
        command.env("LAYERGATE_STORE", format!("dir:{}", elsewhere("store").display()));
        command
    }

    fn image(&self, bytes: u64) -> String {
        image(self.elsewhere.path(), &bytes.to_string(), bytes)
    }

    /// What a run of an entry's group does, with its commit checked out.
    fn in_group(&self, number: usize, arguments: &[&str]) -> Run {
        self.checkout.git(&["checkout", "--quiet", "--detach", &self.commits[number]]);
        let payload = json!({ "merge_group": {
            "base_sha": self.commits[number - 1], "base_ref": "refs/heads/main",
            "head_sha": self.commits[number], "head_ref": self.branch(number),
        } });
        Run::of(&mut self.command("merge_group", &payload, arguments))
    }

    fn check(&self, number: usize, bytes: u64, limits: &[&str]) -> Run {
        self.in_group(number, &[&["check", &self.image(bytes), "--no-cache"], limits].concat())
    }

    fn record(&self, number: usize, bytes: u64) -> Run {
        match number {
            0 => Run::of(&mut self.command(
                "push",
                &json!({}),
                &["record", &self.image(bytes), "--commit", &self.commits[0]],
            )),
            _ => self.in_group(number, &["record", &self.image(bytes)]),
        }
    }

    /// The check of the first pull request itself, which comments on it.
    fn check_first_pull(&self, bytes: u64, limits: &[&str]) -> Run {
        self.check_pull(1, bytes, limits)
    }

    fn check_pull(&self, number: usize, bytes: u64, limits: &[&str]) -> Run {
        let name = format!("change-{number}");
        self.checkout.git(&["checkout", "--quiet", &name]);
        let head = self.checkout.git(&["rev-parse", "HEAD"]);
        let payload = json!({ "action": "synchronize", "pull_request": {
            "number": number,
            "head": { "sha": head, "ref": name, "repo": { "full_name": "acme/shop" } },
            "base": { "sha": self.commits[0], "ref": "main", "repo": { "full_name": "acme/shop" } },
        } });
        let image = self.image(bytes);
        let arguments = [&["check", &image, "--no-cache"], limits].concat();
        Run::of(&mut self.command("pull_request", &payload, &arguments))
    }
}

#[test]
fn an_accepted_growth_ejects_no_change_behind_it_and_waves_none_through() {
    let queue = Queue::new();
    queue.check_first_pull(120_000, &LIMIT).expect(0);
    let comment = &queue.github.written_by(BOT)[0];
    assert!(comment.contains("-->\n<!-- layergate carries ["), "{comment}");
    queue.github.world().requests.clear();

    // None of the entries is recorded: each is compared with `main`.
    let first = queue.check(1, 120_000, &LIMIT).expect(0);
    assert!(first.stdout.contains("accepted by the label size-ok, added on 2026-11-01"), "{}", first.stdout);
    let second = queue.check(2, 120_000, &LIMIT).expect(0);
    let words = "accepted by the label size-ok of #1 (ahead in the merge queue), added on 2026-11-01";
    assert!(second.stdout.contains(words), "{}", second.stdout);
    assert!(
        second.stdout.contains("1 commit behind the base commit of the merge group"),
        "{}",
        second.stdout
    );
    // 5% of 120 kB is the third one's own, and no more.
    queue.check(3, 126_000, &LIMIT).expect(0);
    let third = queue.check(3, 140_000, &LIMIT).expect(1);
    assert!(third.stdout.contains("exceeds max-increase: 140 kB (+40 kB, +40.0%)"), "{}", third.stdout);
    // What fails nothing asks nothing.
    queue.github.world().requests.clear();
    queue.check(3, 104_000, &LIMIT).expect(0);
    assert!(!queue.github.world().requests.iter().any(|asked| asked.contains("matching-refs")));

    // Once it is not accepted any more, it is counted in full.
    queue.github.world().labelled_pulls = Some(vec![]);
    queue.check(2, 120_000, &LIMIT).expect(1);
}

#[test]
fn a_group_that_passes_may_be_the_baseline_of_the_next_one() {
    let queue = Queue::new();
    // Nothing says how much of the first one is accepted, and nothing has to: its group is recorded.
    queue.check(1, 120_000, &LIMIT).expect(0);
    let unknown = queue.check(2, 120_000, &LIMIT).expect(1);
    let words = "#1 is ahead in the merge queue and accepted, but no layergate comment on its head commit states the accepted amounts";
    assert!(unknown.stderr.contains(words), "{}", unknown.stderr);
    queue.record(1, 120_000).expect(0);
    let second = queue.check(2, 120_000, &LIMIT).expect(0);
    assert!(second.stdout.contains("pass") && !second.stdout.contains("accepted"), "{}", second.stdout);
    // The third is compared with the first, for the second is not recorded, and in full.
    queue.check(3, 125_000, &LIMIT).expect(0);
    queue.check(3, 127_000, &LIMIT).expect(1);
    queue.record(2, 122_000).expect(0);
    queue.check(3, 127_000, &LIMIT).expect(0);
}

#[test]
fn what_is_merged_already_and_not_recorded_yet_counts_as_ahead() {
    let queue = Queue::new();
    queue.check_first_pull(120_000, &LIMIT).expect(0);
    queue.push(&format!("{}:refs/heads/main", queue.commits[1]));
    queue.push(&format!(":{}", queue.branch(1)));
    queue.check(2, 120_000, &LIMIT).expect(0);
    queue.check(3, 140_000, &LIMIT).expect(1);
    // The subject of a commit is its author's: each of the changes says that it is #1.
    queue.github.world().labelled_pulls = Some(vec![]);
    queue.check(2, 120_000, &LIMIT).expect(1);
}

#[test]
fn a_limit_on_the_size_is_inherited_in_a_queue_as_on_a_pull_request() {
    let limits = ["--max-size", "110 kB", "--accept-label", "size-ok"];
    let queue = Queue::new();
    queue.check_first_pull(120_000, &limits).expect(0);
    queue.check(1, 120_000, &limits).expect(0);
    queue.check(2, 120_000, &limits).expect(0);
    queue.check(3, 121_000, &limits).expect(1);
    queue.record(1, 120_000).expect(0);
    let second = queue.check(2, 120_000, &limits).expect(0);
    assert!(second.stdout.contains("the baseline already exceeds it"), "{}", second.stdout);
    queue.check(2, 121_000, &limits).expect(1);
}

#[test]
fn only_our_own_comment_says_what_is_accepted_ahead() {
    let queue = Queue::new();
    queue.check_first_pull(120_000, &LIMIT).expect(0);
    let own = queue.github.written_by(BOT)[0].clone();
    queue.github.world().comments.clear();
    queue.github.add_comment("mallory", &own.replace("20000", "90000"));
    queue.check(2, 120_000, &LIMIT).expect(1);
    queue.github.world().comments.clear();
    queue.github.add_comment(BOT, &own);
    queue.check(2, 120_000, &LIMIT).expect(0);
    // Damaged, it says nothing.
    queue.github.world().comments.clear();
    queue.github.add_comment(BOT, &own.replace("\"image\"", "\"x\""));
    queue.check(2, 120_000, &LIMIT).expect(1);
}

/// GitHub lets anyone who may push create branches with the names of a queue's branches.
#[test]
fn a_branch_that_is_called_like_one_of_the_queue_accepts_nothing() {
    let queue = Queue::new();
    // Accepted, and not ahead of anything.
    queue.github.world().labelled_pulls = Some(vec![3]);
    queue.check_pull(3, 180_000, &LIMIT).expect(0);
    queue.check(2, 180_000, &LIMIT).expect(1);
    let forged = |commit: usize, name: &str| {
        let target = format!("refs/heads/gh-readonly-queue/main/{name}");
        queue.push(&format!("{}:{target}", queue.commits[commit]));
        queue.check(2, 180_000, &LIMIT).expect(1);
        queue.push(&format!(":{target}"));
    };
    let base = &queue.commits[0];
    for name in ["pr-3-x".into(), format!("pr-3-{base}"), format!("a/pr-3-{base}"), format!("pr-03-{base}")] {
        forged(1, &name);
    }
    // A merged entry without a baseline has no queue branch either.
    queue.push(&format!("{}:refs/heads/main", queue.commits[1]));
    queue.push(&format!(":{}", queue.branch(1)));
    forged(1, &format!("pr-3-{base}"));
}

/// If a queue rebases, an entry has several commits, and only the last has a branch.
#[test]
fn a_commit_within_an_entry_of_the_queue_is_of_nothing_else() {
    let mut queue = Queue::new();
    queue.github.world().labelled_pulls = Some(vec![3]);
    queue.check_pull(3, 180_000, &LIMIT).expect(0);
    let main = queue.commits[0].clone();
    queue.push(&format!(":{}", queue.branch(1)));
    queue.checkout.git(&["checkout", "--quiet", "--detach", "main"]);
    let within = queue.checkout.commit("the first commit of #1");
    queue.commits[1] = queue.checkout.commit("the second commit of #1");
    queue.push(&format!("{}:{}", queue.commits[1], queue.branch(1)));
    queue.commits[2] = queue.checkout.commit("#2");
    queue.push(&format!("{within}:refs/heads/gh-readonly-queue/main/pr-3-{main}"));
    queue.check(2, 180_000, &LIMIT).expect(1);
    queue.push(&format!(":refs/heads/gh-readonly-queue/main/pr-3-{main}"));
    // Amounts accepted for the entry itself count.
    queue.github.world().labelled_pulls = Some(vec![1]);
    queue.check_first_pull(180_000, &LIMIT).expect(0);
    queue.check(2, 180_000, &LIMIT).expect(0);
}

#[test]
fn a_pull_request_on_top_of_another_one_ahead_accepts_the_same_once() {
    for (starts, most) in [(["main", "change-1", "main"], 102_000), (["main"; 3], 202_000)] {
        let queue = Queue::of(starts);
        queue.github.world().labelled_pulls = Some(vec![1, 2]);
        queue.check_pull(1, 200_000, &LIMIT).expect(0);
        queue.check_pull(2, 202_000, &LIMIT).expect(0);
        let limit = (100_000 + most) / 20;
        queue.check(3, 100_000 + most + limit, &LIMIT).expect(0);
        queue.check(3, 100_000 + most + limit + 1, &LIMIT).expect(1);
    }
}

#[test]
fn what_was_accepted_of_an_earlier_head_does_not_count_ahead() {
    let queue = Queue::new();
    queue.check_first_pull(120_000, &LIMIT).expect(0);
    queue.check(2, 120_000, &LIMIT).expect(0);
    let moved = queue.checkout.commit("smaller");
    queue.github.world().pulls[0].head[2] = moved;
    let stale = queue.check(2, 120_000, &LIMIT).expect(1);
    assert!(stale.stderr.contains("no layergate comment on its head commit"), "{}", stale.stderr);
}
