//! The events of GitHub Actions: what a check makes of each, of what their files say, and of what they do not.

use std::fs;

use axum::http::Method;
use serde_json::{Value, json};

use crate::check::gate::{Checkout, image};
use crate::support::fake_github::{BOT, FakeGithub, Fault, pull_request};
use crate::support::{Run, layergate};

/// A change of a branch that is checked out, on top of a commit that is recorded; and whose image is too large.
struct Job {
    github: FakeGithub,
    checkout: Checkout,
    base: String,
    head: String,
    image: String,
}

impl Job {
    fn new() -> Job {
        let (github, checkout) = (FakeGithub::start(), Checkout::new());
        let small = image(checkout.path(), "small", 100_000);
        let base = checkout.commit("base");
        Run::of(layergate().current_dir(checkout.path()).args(["record", &small])).expect(0);
        checkout.git(&["checkout", "--quiet", "-b", "fix/it"]);
        let head = checkout.commit("head");
        let image = image(checkout.path(), "large", 120_000);
        Job { github, checkout, base, head, image }
    }

    /// A check in a run for an event, whose file has this in it, or is none.
    fn check(&self, event: &str, file: Option<&str>, more: &[&str]) -> Run {
        let path = self.checkout.path().join("event.json");
        drop(fs::remove_file(&path));
        if let Some(content) = file {
            fs::write(&path, content).unwrap();
        }
        let mut command = layergate();
        command.current_dir(self.checkout.path()).args(["check", &self.image, "--max-increase", "5%"]);
        command.args(more).env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", event);
        command.env("GITHUB_EVENT_PATH", &path).env("GITHUB_REPOSITORY", "acme/shop");
        let of_default_branch = ["workflow_run", "issue_comment"].contains(&event);
        let reference = if of_default_branch { "refs/heads/main" } else { "refs/heads/fix/it" };
        command.env("GITHUB_SHA", &self.head).env("GITHUB_REF", reference);
        command.env("LAYERGATE_STORE", "dir:.layergate");
        command.env("GITHUB_API_URL", &self.github.url).env("GITHUB_TOKEN", "ghs_secret-token");
        Run::of(command.env("RUNNER_TEMP", self.checkout.path()))
    }

    fn pull(&self, number: u64, repository: &str) {
        let head = (repository, "fix/it", self.head.as_str());
        self.github.world().pulls.push(pull_request(number, head, &self.base));
    }

    fn of_pull_request(&self, head_repository: &str) -> Value {
        json!({ "pull_request": {
            "number": 7,
            "head": { "sha": self.head, "repo": { "full_name": head_repository } },
            "base": { "ref": "main", "sha": self.base, "repo": { "full_name": "acme/shop" } },
        } })
    }

    /// What the file of an event has in it that a check looks at.
    fn complete(&self, event: &str) -> Value {
        match event {
            "pull_request" | "pull_request_target" => self.of_pull_request("acme/shop"),
            "push" => json!({ "ref": "refs/heads/fix/it", "before": self.base, "after": self.head }),
            "merge_group" => json!({ "merge_group": {
                "base_sha": self.base, "base_ref": "refs/heads/main",
                "head_ref": format!("refs/heads/gh-readonly-queue/main/pr-7-{}", self.base),
            } }),
            "workflow_run" => json!({ "workflow_run": {
                "id": 500, "run_attempt": 1, "event": "pull_request", "head_sha": self.head,
                "head_branch": "fix/it", "head_repository": { "full_name": "acme/shop" },
            } }),
            "issue_comment" => {
                json!({ "action": "created", "issue": { "number": 7, "pull_request": { "url": "https://x" } } })
            }
            "workflow_dispatch" => json!({ "inputs": { "number": "7" } }),
            _ => json!({ "schedule": "0 3 * * *" }),
        }
    }

    fn comments(&self) -> usize {
        self.github.bodies_of(BOT).len()
    }
}

const EVENTS: [&str; 8] = [
    "pull_request",
    "pull_request_target",
    "push",
    "merge_group",
    "workflow_run",
    "issue_comment",
    "workflow_dispatch",
    "schedule",
];

/// Of each event, with limits that come from the target branch: with all that its file should have; with none of it; with something else in its place, and
/// without a file: the exit code, and what is said. Compared with the checked-out commit, which has no
/// record of its own, growth only warns.
#[test]
fn each_event_is_understood_and_what_its_file_does_not_say_is_said() {
    let job = Job::new();
    job.pull(7, "acme/shop");
    let no_pull = "run has no pull request to comment on";
    let wrong = |pointer: &str, value: Value| {
        let (first, rest) = pointer.split_once('.').unwrap_or((pointer, ""));
        let inner = if rest.is_empty() { value } else { json!({ rest: value }) };
        json!({ first: inner })
    };
    let no_number = "has a `pull_request.number` that is not a number";
    for (event, pointer, codes, complete, missing, mistaken) in [
        ("pull_request", "pull_request.number", [1, 3, 3], "", "has no `pull_request.number`", no_number),
        ("pull_request_target", "pull_request.number", [1, 2, 2], "", "may be from a fork", no_number),
        ("push", "before", [1, 1, 1], "", "has no `before`", "a `before` that is not a string"),
        (
            "merge_group",
            "merge_group.base_sha",
            [1, 3, 3],
            no_pull,
            "has no `merge_group.base_sha`",
            "a `merge_group.base_sha` that is not a string",
        ),
        (
            "workflow_run",
            "workflow_run.head_sha",
            [0, 0, 0],
            "`layergate report` finds the triggering run's",
            "has no `workflow_run.head_sha`",
            "a `workflow_run.head_sha` that is not a string",
        ),
        (
            "issue_comment",
            "issue.number",
            [1, 0, 0],
            "",
            "has no `issue.number`",
            "not a number, so the commented pull request",
        ),
        ("workflow_dispatch", "inputs", [0, 0, 0], no_pull, no_pull, no_pull),
        ("schedule", "schedule", [0, 0, 0], no_pull, no_pull, no_pull),
    ] {
        let is_of_pull = ["pull_request", "pull_request_target", "issue_comment"].contains(&event);
        let full = job.complete(event).to_string();
        let wrong = wrong(pointer, json!(["7"])).to_string();
        let files = [Some(full.as_str()), Some("{}"), Some(wrong.as_str()), Some("{"), Some("[7]"), None];
        for (file, at) in files.into_iter().zip([0, 1, 2, 1, 1, 1]) {
            job.github.world().comments.clear();
            let run = job.check(event, file, &[]).expect(codes[at]);
            let case = format!("{event} {file:?}: {}", run.stderr);
            let said = match file {
                Some("{" | "[7]") | None if event.contains("workflow_d") || event == "schedule" => no_pull,
                Some("{" | "[7]") | None => "event.json cannot be used: ",
                _ => [complete, missing, mistaken][at],
            };
            assert!(run.stderr.contains(said), "{said}: {case}");
            assert_eq!(job.comments(), usize::from(at == 0 && is_of_pull), "{case}");
            // What is complete is no reason for a warning.
            assert!(at > 0 || !run.stderr.contains("the event file"), "{case}");
        }
    }
    // Nor is there a file where its variable is not set.
    let mut command = layergate();
    command.current_dir(job.checkout.path()).args(["check", &job.image]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "push");
    command.env("LAYERGATE_STORE", "dir:.layergate");
    let run = Run::of(&mut command).expect(0);
    assert!(run.stderr.contains("GITHUB_EVENT_PATH is not set"), "{}", run.stderr);
}

/// Every place in a document, and the document with something else there.
fn variants(whole: &Value) -> Vec<Value> {
    fn places(value: &Value, at: &str, all: &mut Vec<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let place = format!("{at}/{key}");
            places(value, &place, all);
            all.push(place);
        }
    }
    let mut all = Vec::new();
    places(whole, "", &mut all);
    let others = [json!(null), json!(-1.5), json!("\u{0}x"), json!([{}])];
    let mut made = Vec::new();
    for place in all {
        for other in &others {
            let mut changed = whole.clone();
            *changed.pointer_mut(&place).unwrap() = other.clone();
            made.push(changed);
        }
    }
    made
}

#[test]
fn no_file_of_an_event_is_a_crash() {
    let job = Job::new();
    job.pull(7, "acme/shop");
    let mut tried = 0;
    for event in EVENTS {
        for file in variants(&job.complete(event)) {
            let run = job.check(event, Some(&file.to_string()), &["--format", "json"]);
            assert!([0, 1, 2, 3].contains(&run.code), "{event} {file}: {}", run.stderr);
            let expected = run.code;
            run.expect(expected);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn nothing_of_a_fork_is_measured_where_a_token_may_write() {
    let job = Job::new();
    let next_step = "comment from a `workflow_run` job with `layergate report`";
    let refused = |event: &str, file: &Value| {
        let run = job.check(event, Some(&file.to_string()), &["--report", "report.json"]).expect(2);
        assert!(run.stderr.contains("check refuses to measure in"), "{}", run.stderr);
        assert!(run.stderr.contains(next_step), "{}", run.stderr);
        assert_eq!((run.stdout.as_str(), job.comments()), ("", 0));
        assert!(!job.checkout.path().join("report.json").exists());
        run.stderr
    };
    let why = "the job has a write token and the repository's secrets";
    let fork = job.of_pull_request("mallory/shop");
    assert!(refused("pull_request_target", &fork).contains(why));
    // A fork that is no more, and a pull request of which that is not said.
    let mut gone = fork.clone();
    gone["pull_request"]["head"]["repo"] = Value::Null;
    assert!(refused("pull_request_target", &gone).contains(why));
    gone["pull_request"]["base"]["repo"] = Value::Null;
    assert!(refused("pull_request_target", &gone).contains(why));
    assert!(job.github.world().requests.is_empty(), "nothing was asked");
    // Nor is it a baseline, even if pull requests may be.
    let mut record = layergate();
    record.current_dir(job.checkout.path()).args(["record", &job.image, "--allow-pull-request"]);
    record.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request_target");
    record.env("LAYERGATE_STORE", "dir:.layergate");
    let recorded = Run::of(record.env("GITHUB_EVENT_PATH", job.checkout.path().join("event.json"))).expect(2);
    assert!(recorded.stderr.contains("record refuses to measure in"), "{}", recorded.stderr);

    // A comment makes the same kind of run.
    job.pull(7, "mallory/shop");
    assert!(refused("issue_comment", &job.complete("issue_comment")).contains(why));
    // In a run that may only read, all is measured.
    job.check("pull_request", Some(&fork.to_string()), &[]).expect(1);
}

#[test]
fn of_a_branch_of_the_repository_its_head_or_a_merge_of_it_is_measured_and_nothing_else() {
    let job = Job::new();
    let own = job.of_pull_request("acme/shop").to_string();
    job.check("pull_request_target", Some(&own), &[]).expect(1);
    assert_eq!(job.comments(), 1);
    let git = |arguments: &[&str]| job.checkout.git(arguments);
    git(&["checkout", "--quiet", "main"]);
    // As `actions/checkout` leaves it there, unless told otherwise.
    let base = job.check("pull_request_target", Some(&own), &[]).expect(2);
    let words = format!(
        "the checked-out commit is {}, not the pull request's head, {}",
        &job.base[..7],
        &job.head[..7]
    );
    assert!(base.stderr.contains(&words) && base.stderr.contains("may not belong to #7"), "{}", base.stderr);
    git(&["merge", "--quiet", "--no-ff", "--message", "test merge", "fix/it"]);
    job.check("pull_request_target", Some(&own), &[]).expect(1);
    fs::remove_dir_all(job.checkout.path().join(".git")).unwrap();
    let nothing = job.check("pull_request_target", Some(&own), &[]).expect(2);
    assert!(nothing.stderr.contains(", is not checked out"), "{}", nothing.stderr);
}

#[test]
fn a_comment_is_for_its_pull_request_only_if_that_is_checked_out() {
    let job = Job::new();
    let comment = job.complete("issue_comment").to_string();
    let check = |more: &[&str]| job.check("issue_comment", Some(&comment), more);
    let none = check(&[]).expect(0);
    assert!(none.stderr.contains("GitHub has no such pull request"), "{}", none.stderr);
    job.pull(7, "acme/shop");
    let own = check(&[]).expect(1);
    assert!(!own.stderr.contains("::warning title=layergate::the comment"), "{}", own.stderr);
    let [body] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(body.contains(&format!("sha={}", job.head)), "{body}");

    job.github.world().comments.clear();
    job.github.fail(Fault { path: "/pulls/7", times: 1, ..Fault::default() });
    let refused = check(&[]).expect(0);
    assert!(refused.stderr.contains("its head commit is unknown"), "{}", refused.stderr);
    assert!(refused.stderr.contains("permission `pull-requests: read`"), "{}", refused.stderr);
    job.checkout.git(&["checkout", "--quiet", "main"]);
    let other = check(&[]).expect(1);
    let words =
        format!("the comment is on pull request #7, but the checked-out commit is {}", &job.base[..7]);
    assert!(other.stderr.contains(&words), "{}", other.stderr);
    assert!(other.stderr.contains("posts no comment"), "{}", other.stderr);

    let issue = json!({ "issue": { "number": 5 } }).to_string();
    let run = job.check("issue_comment", Some(&issue), &[]).expect(1);
    assert!(run.stderr.contains("on issue #5, not on a pull request"), "{}", run.stderr);
    assert_eq!(job.comments(), 0);
}

#[test]
fn a_push_comments_on_demand_and_is_compared_as_its_pull_request() {
    let job = Job::new();
    // Records of the branch itself are not what a pull request is compared with.
    let push = job.complete("push").to_string();
    job.checkout.commit("one more");
    let head = job.checkout.git(&["rev-parse", "HEAD"]);
    let job = Job { head, ..job };
    let check = |more: &[&str]| job.check("push", Some(&push), more);
    let asked = |part: &str| job.github.world().requests.iter().any(|request| request.contains(part));

    job.pull(7, "acme/shop");
    let plain = check(&[]).expect(0);
    assert!(plain.stdout.contains("1 commit behind the parent of the pushed commit"), "{}", plain.stdout);
    check(&["--comment-on-push", "--comment", "never"]).expect(0);
    assert!(!asked("/pulls"), "{:?}", job.github.world().requests);
    let found = check(&["--comment-on-push"]).expect(1);
    assert!(found.stdout.contains("the merge base with the target branch"), "{}", found.stdout);
    let [body] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(body.contains(&format!("sha={}", job.head)), "{body}");
    assert!(asked("head=acme%3Afix%2Fit") && asked("POST /repos/acme/shop/issues/7/"));

    // Another one of the same branch, to another target.
    job.pull(8, "acme/shop");
    let both = check(&["--comment-on-push", "--comment", "always"]).expect(0);
    assert!(both.stderr.contains("#7 and #8 have the pushed commit as their head"), "{}", both.stderr);
    assert!(asked("/issues/8/comments"), "{:?}", job.github.world().requests);

    // Neither a fork's branch of the same name, nor one that has moved on.
    for (repository, sha) in [("mallory/shop", job.head.as_str()), ("acme/shop", job.base.as_str())] {
        job.github.world().pulls = vec![pull_request(7, (repository, "fix/it", sha), &job.base)];
        let none = check(&["--comment-on-push"]).expect(0);
        assert!(
            none.stderr.contains("no open pull request has the pushed commit as its head"),
            "{}",
            none.stderr
        );
    }
    job.github.fail(Fault { method: Method::GET, path: "/pulls?", status: 403, ..Fault::default() });
    let refused = check(&["--comment-on-push"]).expect(0);
    assert!(refused.stderr.contains("cannot find the pull request to comment on"), "{}", refused.stderr);
}
