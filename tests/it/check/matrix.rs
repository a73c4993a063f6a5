//! `layergate report`: the jobs of a matrix made one comment, and the trusted half of a pull request from a fork.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::check::gate::image;
use crate::support::fake_github::{BOT, FakeGithub, Fault, pull_request};
use crate::support::{Run, layergate};

const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BASE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const OLD: &str = "cccccccccccccccccccccccccccccccccccccccc";

/// A run of a workflow for a pull request, in a directory of its own.
struct Job {
    github: FakeGithub,
    directory: tempfile::TempDir,
}

impl Job {
    fn new() -> Job {
        Job { github: FakeGithub::start(), directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, name: &str, event: &Value, arguments: &[&str]) -> Run {
        fs::write(self.path().join("event.json"), event.to_string()).unwrap();
        let mut command = layergate();
        command.current_dir(self.path()).args(arguments);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", name);
        command.env("GITHUB_EVENT_PATH", self.path().join("event.json")).env("RUNNER_TEMP", self.path());
        command.env("GITHUB_REPOSITORY", "acme/shop").env("GITHUB_API_URL", &self.github.url);
        command.env("GITHUB_TOKEN", "ghs_secret-token").env("GITHUB_RUN_ID", "900");
        command.env("GITHUB_REF", "refs/heads/main");
        command.env("GITHUB_OUTPUT", self.path().join("outputs"));
        Run::of(command.env("GITHUB_STEP_SUMMARY", self.path().join("summary")))
    }

    /// What a pull request's own job saves: images that grew from 100,000 bytes.
    fn save(&self, name: &str, size: u64, head: &str, limits: &[&str]) -> String {
        let before = image(self.path(), &format!("{name}-before"), 100_000);
        let now = image(self.path(), &format!("{name}-{size}"), size);
        let (before, now) = (before.split_once('=').unwrap().1, now.split_once('=').unwrap().1);
        let file = format!("reports/{name}-{size}-{}/report.json", &head[..4]);
        let (image, baseline) = (format!("{name}={now}"), format!("{name}={before}"));
        let mut arguments = vec!["check", &image, "--baseline", &baseline, "--comment", "never"];
        arguments.extend(["--report", &file, "--no-cache"]);
        arguments.extend(limits);
        let done = self.run("pull_request", &of_pull_request(head), &arguments);
        assert!(done.code < 2, "{}", done.stderr);
        file
    }

    fn outputs(&self) -> String {
        fs::read_to_string(self.path().join("outputs")).unwrap_or_default()
    }
}

fn of_pull_request(head: &str) -> Value {
    json!({ "pull_request": {
        "number": 7,
        "head": { "sha": head, "repo": { "full_name": "acme/shop" } },
        "base": { "ref": "main", "sha": BASE, "repo": { "full_name": "acme/shop" } },
    } })
}

fn of_workflow_run(head: &str, repository: &str, branch: &str) -> Value {
    json!({ "workflow_run": {
        "id": 500, "run_attempt": 2, "event": "pull_request", "head_sha": head, "head_branch": branch,
        "head_repository": { "full_name": repository },
    } })
}

#[test]
fn jobs_of_a_matrix_make_one_comment_one_summary_and_one_verdict() {
    let job = Job::new();
    for (name, size) in [("api", 130_000), ("web", 101_000)] {
        job.save(name, size, HEAD, &["--max-increase", "5%"]);
    }
    // A job that was run again has uploaded its report twice.
    fs::create_dir_all(job.path().join("reports/again")).unwrap();
    fs::copy(job.path().join("reports/web-101000-aaaa/report.json"), job.path().join("reports/again/x.json"))
        .unwrap();
    fs::remove_file(job.path().join("outputs")).unwrap();
    let report =
        job.run("pull_request", &of_pull_request(HEAD), &["report", "reports", "--comment", "always"]);
    let report = report.expect(1);
    assert!(report.stdout.contains("1 of 2 images fails"), "{}", report.stdout);
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(comment.contains(&format!("sha={HEAD}")) && comment.contains("### \u{274c} `api` exceeds"));
    let api = comment.find("| `api` |").unwrap();
    assert!(api < comment.find("| `web` |").unwrap(), "the larger difference comes first: {comment}");
    let outputs = job.outputs();
    assert!(outputs.contains("\nfail\n") && outputs.contains("\n231000\n"), "{outputs}");
    assert!(fs::read_to_string(job.path().join("summary")).unwrap().contains("`api` exceeds"));

    // One comment stays one, and what did not arrive is no pass.
    let arguments = [
        "report",
        "reports",
        "--require-image",
        "api\nweb",
        "--require-image",
        "worker=linux/arm64",
        "--format",
        "markdown",
    ];
    let missing = job.run("pull_request", &of_pull_request(HEAD), &arguments).expect(1);
    let row = "| `worker`<br>`linux/arm64` | no report |  | \u{2013} |";
    assert!(missing.stdout.contains(row), "{}", missing.stdout);
    assert!(missing.stdout.contains("2 of 3 images fail, 1 of them without a report"), "{}", missing.stdout);
    assert_eq!(job.github.bodies_of(BOT).len(), 1);
}

#[test]
fn reports_that_do_not_belong_together_are_told() {
    let job = Job::new();
    job.save("api", 101_000, HEAD, &["--max-increase", "5%"]);
    job.save("web", 101_000, OLD, &["--max-increase", "5%"]);
    let event = of_pull_request(HEAD);
    let run = |arguments: &[&str]| job.run("pull_request", &event, arguments);
    let one = run(&["report", "reports"]).expect(0);
    assert!(
        one.stdout.contains("a report is for another commit, ccccccc, and is left out"),
        "{}",
        one.stdout
    );
    let none = run(&["report", "reports/web-101000-cccc"]).expect(3);
    assert!(none.stderr.contains("there is no report of aaaaaaa"), "{}", none.stderr);

    let path = job.path().join("reports/api-101000-aaaa/report.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::create_dir_all(job.path().join("reports/other")).unwrap();
    let other = job.path().join("reports/other/report.json");
    fs::write(&other, text.replace("\"layergate\": \"0.", "\"layergate\": \"7.")).unwrap();
    let mixed = run(&["report", "reports"]).expect(0);
    assert!(mixed.stdout.contains("use different versions of layergate"), "{}", mixed.stdout);
    fs::write(&other, text.replace("101000", "101001")).unwrap();
    let twins = run(&["report", "reports"]).expect(3);
    assert!(twins.stderr.contains("differ on the image `api (linux/amd64)`"), "{}", twins.stderr);
    for (content, words) in [
        ("{", "incomplete or not JSON"),
        ("{\"schema\":\"layergate.report/v1\"}", "missing field"),
        ("{\"schema\":\"layergate.report/v9\"}", "newer layergate"),
        ("{\"schema\":\"layergate.snapshot/v1\"}", "not a `layergate.report`"),
    ] {
        fs::write(&other, content).unwrap();
        let refused = run(&["report", "reports"]).expect(3);
        assert!(refused.stderr.contains(words) && refused.stderr.contains("other"), "{}", refused.stderr);
    }
    run(&["report", "nowhere"]).expect(3);
    let nothing = run(&["report", "nowhere", "--require-image", "api\nweb", "--comment", "always"]).expect(1);
    assert!(nothing.stderr.contains("nowhere does not exist"), "{}", nothing.stderr);
    assert!(nothing.stdout.contains("2 of 2 images have no report"), "{}", nothing.stdout);
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(comment.contains("2 of 2 images have no report"), "{comment}");
    run(&["report", "reports", "--require-image", "api=x y"]).expect(2);
}

#[test]
fn the_trusted_half_finds_the_pull_request_itself_and_judges_by_its_own_limits() {
    let job = Job::new();
    // The job of the fork was told to allow anything.
    job.save("app", 130_000, HEAD, &["--max-increase", "90%"]);
    let head = ("mallory/shop", "fix/it", HEAD);
    let moved = ("mallory/shop", "fix/it", OLD);
    let own = ("acme/shop", "fix/it", HEAD);
    let (run, arguments) =
        (of_workflow_run(HEAD, head.0, head.1), ["report", "reports", "--comment", "always"]);
    // Of a commit that is no pull request's head any more there is nothing to say.
    let late = job.run("workflow_run", &run, &arguments).expect(0);
    assert!(late.stderr.contains("there are no limits here either"), "{}", late.stderr);
    job.github.world().pulls = vec![pull_request(7, head, BASE)];
    let refused = job.run("workflow_run", &run, &arguments).expect(2);
    assert!(refused.stderr.contains("there are no limits here"), "{}", refused.stderr);

    // Nothing of the working directory counts: what is downloaded there may be the fork's.
    fs::write(job.path().join("layergate.toml"), "[limits]\nmax-increase = \"90%\"\n").unwrap();
    let here = job.run("workflow_run", &run, &arguments).expect(2);
    assert!(here.stderr.contains("there are no limits here"), "{}", here.stderr);
    let named = [&arguments[..], &["--config", "layergate.toml"]].concat();
    job.run("workflow_run", &run, &named).expect(2);
    job.github.world().files = vec![("main", "layergate.toml", "[limits]\nmax-increase = \"5%\"\n")];
    job.run("workflow_run", &run, &named).expect(1);
    job.github.world().comments.clear();
    for pulls in [vec![], vec![pull_request(7, moved, BASE)], vec![pull_request(7, own, BASE)]] {
        job.github.world().pulls = pulls;
        let nowhere = job.run("workflow_run", &run, &arguments).expect(1);
        assert!(nowhere.stderr.contains("no longer the head of an open pull request"), "{}", nowhere.stderr);
    }
    job.github.world().pulls = vec![pull_request(7, head, BASE), pull_request(8, head, BASE)];
    let several = job.run("workflow_run", &run, &arguments).expect(1);
    assert!(several.stderr.contains("#7 and #8 have the same head"), "{}", several.stderr);
    assert_eq!(job.github.world().comments.len(), 0);

    job.github.world().pulls.pop();
    let evaluated = job.run("workflow_run", &run, &arguments).expect(1);
    assert!(evaluated.stdout.contains("over the limit of +5%"), "{}", evaluated.stdout);
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(comment.contains("exceeds max-increase") && comment.contains("run=500.2 -->"), "{comment}");
    job.github.fail(Fault { path: "/pulls?", status: 500, times: 3, ..Fault::default() });
    let unknown = job.run("workflow_run", &run, &arguments).expect(3);
    assert!(unknown.stderr.contains("find the pull request of the run"), "{}", unknown.stderr);
    job.github.world().faults.clear();
    the_limits_are_those_of_the_target_branch(&job, &run);
    // An artifact that says that it is of another commit is not shown.
    let report = job.path().join("reports/app-130000-aaaa/report.json");
    let text = fs::read_to_string(&report).unwrap();
    fs::write(&report, text.replace(HEAD, OLD)).unwrap();
    let other = job.run("workflow_run", &run, &arguments).expect(3);
    assert!(other.stderr.contains("there is no report of aaaaaaa"), "{}", other.stderr);
}

/// Not those of what is checked out, which in such a run is the default branch.
fn the_limits_are_those_of_the_target_branch(job: &Job, run: &Value) {
    let arguments = ["report", "reports", "--comment", "always"];
    let evaluated = |code| job.run("workflow_run", run, &arguments).expect(code);
    job.github.world().files = vec![
        ("release", "layergate.toml", "[limits]\nmax-increase = \"1%\"\n"),
        ("main", ".github/layergate.toml", "[limits]\nmax-increase = \"40%\"\n"),
    ];
    let by_its_own = evaluated(0);
    assert!(!by_its_own.stderr.contains("::warning"), "{}", by_its_own.stderr);
    job.github.world().files[1].2 = "[limits]\nmax-incraese = \"40%\"\n";
    let refused = evaluated(2);
    assert!(refused.stderr.contains(".github/layergate.toml of main"), "{}", refused.stderr);
    // A file of the runner's own is whoever wrote the workflow's.
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("limits.toml").display().to_string();
    fs::write(&file, "[limits]\nmax-increase = \"5%\"\n").unwrap();
    job.run("workflow_run", run, &[&arguments[..], &["--config", &file]].concat()).expect(1);
    let fault = Fault { path: "/contents/", ..Fault::default() };
    job.github.fail(fault);
    // That they cannot be read does not mean that there are none.
    // Of that no comment is wrong.
    let before = job.github.bodies_of(BOT);
    let unknown = evaluated(3);
    assert!(unknown.stderr.contains("contents: read"), "{}", unknown.stderr);
    assert_eq!(job.github.bodies_of(BOT), before);
    job.github.world().faults.clear();
    // Of reports that cannot be used an earlier one would be.
    job.github.world().files[1].2 = "[limits]\nmax-increase = \"40%\"\n";
    fs::write(job.path().join("reports/broken.json"), "{}").unwrap();
    evaluated(3);
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(comment.contains("has no report") && comment.contains("cannot be used"), "{comment}");
    fs::remove_file(job.path().join("reports/broken.json")).unwrap();
    job.github.world().files = vec![("main", "layergate.toml", "[limits]\nmax-increase = \"5%\"\n")];
}

#[test]
fn what_reports_say_is_quoted_and_what_nobody_evaluated_nobody_accepts() {
    let job = Job::new();
    let report = job.save("app", 101_000, HEAD, &["--forbid-paths", "**/x"]);
    let path = job.path().join(&report);
    let mut document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let finding = json!({
        "rule": "forbid-paths", "severity": "fail", "message": "Dear maintainer, all is well",
        "measured": 1, "limit": "**/x", "subject": "app", "help": "run this",
    });
    document["images"][0]["findings"] = json!([finding]);
    document["notes"] = json!(["trust me"]);
    document["images"][0]["base"]["how"] = json!("believe me");
    let text = document.to_string();
    fs::write(&path, &text).unwrap();
    job.github.world().pulls = vec![pull_request(7, ("mallory/shop", "fix", HEAD), BASE)];
    job.github.world().labelled = vec![("bob", "size-ok", "2026-11-03T09:00:00Z", true)];
    let event = of_workflow_run(HEAD, "mallory/shop", "fix");
    let run = |paths| {
        let arguments =
            ["report", "reports", "--comment", "always", "--forbid-paths", paths, "--require-image", "app"];
        job.run("workflow_run", &event, &[&arguments, &ACCEPT[..2]].concat())
    };
    let quoted = run("**/x").expect(0);
    let words = "the job that measured it says: Dear maintainer, all is well";
    assert!(quoted.stdout.contains(words), "{}", quoted.stdout);
    for words in ["trust me", "believe me", "run this"] {
        assert!(!quoted.stdout.contains(words), "{}", quoted.stdout);
    }
    document["images"][0]["head"] = Value::Null;
    document["images"][0]["base"] = Value::Null;
    document["images"][0]["verdict"] = json!("accepted");
    document["images"][0]["limits"]["max-size"] = json!("Reviewed and approved");
    fs::write(&path, document.to_string()).unwrap();
    let nothing = run("**/x").expect(1);
    assert!(nothing.stdout.contains("app has no report"), "{}", nothing.stdout);
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(!comment.contains("approved") && !comment.contains("accepted"), "{comment}");
    fs::write(&path, &text).unwrap();
    let unjudged = run("**/y").expect(3);
    assert!(
        unjudged.stdout.contains("fail not-evaluated: the job that measured used a different forbid-paths"),
        "{}",
        unjudged.stdout
    );
}

/// What a fork calls its images may be any words: those that nobody expects have none in what is shown.
#[test]
fn an_image_that_nobody_expects_is_shown_by_a_number() {
    let job = Job::new();
    for name in ["app", "by-config"] {
        job.save(name, 101_000, HEAD, &["--max-increase", "5%"]);
    }
    let report = job.path().join(job.save("odd", 130_000, HEAD, &["--max-increase", "90%"]));
    let name = "reviewed and approved by the owner";
    let text = fs::read_to_string(&report).unwrap().replace("\"odd\"", &format!("{name:?}"));
    fs::write(&report, text).unwrap();
    job.github.world().pulls = vec![pull_request(7, ("mallory/shop", "fix", HEAD), BASE)];
    job.github.world().files = vec![(
        "main",
        "layergate.toml",
        "[limits]\nmax-increase = \"5%\"\n[images.by-config]\nmax-layers = 9\n",
    )];
    let event = of_workflow_run(HEAD, "mallory/shop", "fix");
    for format in ["text", "markdown", "json"] {
        let arguments =
            ["report", "reports", "--comment", "always", "--require-image", "app", "--format", format];
        let run = job.run("workflow_run", &event, &arguments).expect(1);
        let comment = job.github.bodies_of(BOT).concat();
        for said in [&run.stdout, &run.stderr, &comment] {
            assert!(!said.contains("approved"), "{said}");
        }
        for shown in ["unexpected image 1", "app", "by-config", "are shown by number"] {
            assert!(
                run.stdout.contains(shown) && comment.contains(shown),
                "{shown}: {}\n{comment}",
                run.stdout
            );
        }
        assert!(!comment.contains("unexpected image 2"), "{comment}");
    }
    // On a machine of one's own, the reports are one's own too.
    let mut local = layergate();
    local.current_dir(job.path()).args([
        "report",
        "reports",
        "--limits-from",
        "target",
        "--max-increase",
        "5%",
    ]);
    assert!(Run::of(&mut local).expect(1).stdout.contains(name));
}

#[test]
fn an_acceptance_that_is_gone_since_is_not_taken_from_a_report() {
    let job = Job::new();
    let pull = of_pull_request(HEAD);
    job.github.world().labelled = vec![("bob", "size-ok", "2026-11-03T09:00:00Z", true)];
    let saved = job.path().join("saved.json").display().to_string();
    grown(&job, ("pull_request", &pull), 20, &[&ACCEPT[..], &["--report", &saved]].concat()).expect(0);
    let merged = |more: &[&str]| job.run("pull_request", &pull, &[&["report", &saved], more].concat());
    merged(&ACCEPT).expect(0);
    merged(&[]).expect(0);
    job.github.world().labelled.clear();
    // Also where nobody says in this job what accepts.
    merged(&[]).expect(1);
    let back = merged(&ACCEPT).expect(1);
    assert!(back.stdout.contains("intended? add the label size-ok"), "{}", back.stdout);
}

#[test]
fn a_pull_request_is_found_by_its_number_where_the_event_has_none() {
    let job = Job::new();
    job.save("app", 130_000, HEAD, &["--max-increase", "5%"]);
    job.github.world().pulls = vec![pull_request(7, ("mallory/shop", "fix", HEAD), BASE)];
    let event = json!({ "inputs": { "number": "7" } });
    let run = |number| {
        let arguments = ["report", "reports", "--max-increase", "5%", "--pull-request", number];
        job.run("workflow_dispatch", &event, &arguments)
    };
    let nobody = run("8").expect(1);
    assert!(
        nobody.stderr.contains("there is no pull request #8, so no comment is posted"),
        "{}",
        nobody.stderr
    );
    assert_eq!(job.github.world().comments.len(), 0);
    let found = run("7").expect(1);
    assert!(!found.stderr.contains("::warning"), "{}", found.stderr);
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(comment.contains(&format!("sha={HEAD} run=900.1 -->")), "{comment}");
    let requests = job.github.world().requests.clone();
    assert!(
        requests.iter().any(|asked| asked.starts_with("POST /repos/acme/shop/issues/7/")),
        "{requests:?}"
    );

    // Nor is it another one's than that of the run before.
    let before = of_workflow_run(OLD, "mallory/shop", "fix");
    let arguments = ["report", "reports", "--max-increase", "5%", "--pull-request", "7"];
    let other = job.run("workflow_run", &before, &arguments).expect(3);
    assert!(other.stderr.contains("the triggering run was not for the head of #7"), "{}", other.stderr);
    // What the fork's report says is not believed, whatever made the run happen.
    let path = job.path().join("reports/app-130000-aaaa/report.json");
    let honest = fs::read_to_string(&path).unwrap();
    let mut document: Value = serde_json::from_str(&honest).unwrap();
    document["images"][0]["verdict"] = json!("accepted");
    document["accepted"] = json!({ "label": "size-ok", "by": "bob" });
    fs::write(&path, document.to_string()).unwrap();
    let forged = run("7").expect(1);
    assert!(!forged.stdout.contains("accepted"), "{}", forged.stdout);
    // Nor is an acceptance of which nobody knows what it is by.
    let believed = job.run("pull_request", &of_pull_request(HEAD), &["report", "reports"]).expect(1);
    assert!(!believed.stdout.contains("accepted"), "{}", believed.stdout);
    fs::write(&path, honest).unwrap();

    // What the reports are of has to be its head.
    job.github.world().pulls = vec![pull_request(7, ("mallory/shop", "fix", OLD), BASE)];
    let moved = run("7").expect(3);
    assert!(moved.stderr.contains("there is no report of ccccccc"), "{}", moved.stderr);
}

#[test]
fn a_directory_that_a_fork_has_filled_is_read_within_bounds() {
    let job = Job::new();
    let report = job.save("app", 101_000, HEAD, &["--max-increase", "5%"]);
    let directory = job.path().join("artifact");
    fs::create_dir_all(directory.join("a/b/c/d/e/f")).unwrap();
    fs::copy(job.path().join(&report), directory.join("a/report.json")).unwrap();
    fs::write(directory.join("a/b/c/d/e/f/deep.json"), "not read").unwrap();
    fs::write(directory.join("a/notes.txt"), "not read").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.join("a/link.json")).unwrap();
    std::os::unix::fs::symlink("..", directory.join("a/up")).unwrap();
    let run = || job.run("pull_request", &of_pull_request(HEAD), &["report", "artifact"]);
    run().expect(0);
    for number in 0..1001 {
        fs::write(directory.join(format!("{number}.json")), "{}").unwrap();
    }
    let many = run().expect(3);
    assert!(many.stderr.contains("at most 1000 reports can be merged"), "{}", many.stderr);
}

#[test]
fn a_report_is_put_together_without_github_too() {
    let job = Job::new();
    let report = job.save("app", 130_000, HEAD, &["--max-increase", "5%"]);
    let local = |more: &[&str]| {
        let mut command = layergate();
        Run::of(command.current_dir(job.path()).args(["report", &report]).args(more))
    };
    local(&[]).expect(1);
    let lax =
        local(&["--limits-from", "target", "--max-increase", "50%", "--format", "json"]).expect(0).json();
    assert_eq!(
        (&lax["verdict"], &lax["images"][0]["limits"]["max-increase"]),
        (&json!("pass"), &json!("50%"))
    );
}

const ACCEPT: [&str; 6] =
    ["--accept-label", "size-ok", "--accept-trailer", "Image-Size-Accept", "--accept-max-increase", "50%"];

/// Checks an image that grew by a percentage of 100,000 bytes.
fn grown(job: &Job, event: (&str, &Value), percent: u64, more: &[&str]) -> Run {
    let before = image(job.path(), "before", 100_000);
    let now = image(job.path(), &format!("now-{percent}"), 1000 * (100 + percent));
    let before = format!("app={}", before.split_once('=').unwrap().1);
    let now = format!("app={}", now.split_once('=').unwrap().1);
    let arguments = ["check", &now, "--baseline", &before, "--max-increase", "5%", "--comment", "always"];
    job.run(event.0, event.1, &[&arguments, more].concat())
}

#[test]
fn a_label_accepts_and_who_set_it_is_said() {
    let job = Job::new();
    let pull = of_pull_request(HEAD);
    let check =
        |percent, more: &[&str]| grown(&job, ("pull_request", &pull), percent, &[&ACCEPT, more].concat());
    let not_yet = check(20, &[]).expect(1);
    assert!(not_yet.stdout.contains("add the label size-ok (growth up to 50%)"), "{}", not_yet.stdout);
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    let meant = "**Intended?** Add the label `size-ok` (growth up to 50%) or the commit trailer";
    assert!(comment.contains(meant), "{comment}");

    job.github.world().labelled = vec![
        ("ann", "size-ok", "2026-11-01T09:00:00Z", true),
        ("ann", "size-ok", "2026-11-02T09:00:00Z", false),
    ];
    check(20, &[]).expect(1);
    job.github.world().labelled.push(("bob", "Size-OK", "2026-11-03T09:00:00Z", true));
    let accepted = check(20, &[]).expect(0);
    assert!(
        accepted.stdout.contains("accepted by the label Size-OK, added on 2026-11-03 by bob"),
        "{}",
        accepted.stdout
    );
    assert!(
        accepted.stderr.contains("::warning") && !accepted.stderr.contains("::error"),
        "{}",
        accepted.stderr
    );
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(
        comment.contains("**Accepted** by the label `Size-OK`, added on 2026-11-03 by `bob`"),
        "{comment}"
    );
    assert!(comment.contains("exceeds max-increase") && comment.contains("; accepted"), "{comment}");
    assert!(job.outputs().contains("\naccepted\n"));

    // No more than it may be.
    let beyond = check(60, &[]).expect(1);
    assert!(beyond.stdout.contains("fail"), "{}", beyond.stdout);
    job.github.world().labelled.push(("bob", "Size-OK", "2026-11-04T09:00:00Z", false));
    check(20, &[]).expect(1);
}

#[test]
fn a_trailer_with_a_reason_accepts() {
    let job = Job::new();
    let pull = of_pull_request(HEAD);
    let check = || grown(&job, ("pull_request", &pull), 20, &ACCEPT);
    job.github.world().messages = vec!["Add fonts\n\nImage-Size-Accept:", "Mention Image-Size-Accept: no"];
    check().expect(1);
    job.github.world().messages.push("Add fonts\n\nimage-size-accept: @team the <b>fonts</b> are needed");
    let accepted = check().expect(0);
    let words = "accepted by the trailer Image-Size-Accept of 0000000 on 2026-11-02, its author given as Ann: @team the";
    assert!(accepted.stdout.contains(words), "{}", accepted.stdout);
    let [comment] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(!comment.contains("<b>") && !comment.contains(" @team"), "{comment}");

    // Whoever sends a pull request from a fork writes its commits, and has no right to accept anything.
    let mut fork = pull.clone();
    fork["pull_request"]["head"]["repo"]["full_name"] = json!("mallory/shop");
    grown(&job, ("pull_request", &fork), 20, &ACCEPT).expect(1);
}

#[test]
fn a_merge_queue_keeps_what_was_accepted_and_what_cannot_be_asked_stays_a_failure() {
    let job = Job::new();
    job.github.world().labelled = vec![("ann", "size-ok", "2026-11-01T09:00:00Z", true)];
    let queue = json!({ "merge_group": {
        "base_sha": BASE, "base_ref": "refs/heads/main",
        "head_ref": format!("refs/heads/gh-readonly-queue/main/pr-7-{BASE}"),
    } });
    grown(&job, ("merge_group", &queue), 20, &ACCEPT).expect(0);
    let broken =
        crate::support::fake_github::Fault { path: "/issues/7", times: 1, status: 404, ..Default::default() };
    job.github.fail(broken);
    let unknown = grown(&job, ("merge_group", &queue), 20, &ACCEPT).expect(1);
    assert!(unknown.stderr.contains("cannot tell whether this is accepted"), "{}", unknown.stderr);
    // On other events there is no pull request that could have a label.
    grown(&job, ("push", &json!({})), 20, &ACCEPT).expect(1);
}

#[test]
fn what_the_trusted_half_accepts_it_has_asked_for_itself() {
    let job = Job::new();
    let report = job.save("app", 120_000, HEAD, &["--max-increase", "5%"]);
    let path = job.path().join(report);
    let text = fs::read_to_string(&path).unwrap();
    let mut forged: Value = serde_json::from_str(&text).unwrap();
    forged["images"][0]["verdict"] = json!("accepted");
    forged["accepted"] = json!({ "label": "size-ok", "by": "owner" });
    fs::write(&path, forged.to_string()).unwrap();
    job.github.world().pulls = vec![pull_request(7, ("mallory/shop", "fix", HEAD), BASE)];
    let run = of_workflow_run(HEAD, "mallory/shop", "fix");
    let limits = ["report", "reports", "--max-increase", "5%", "--accept-label", "size-ok"];
    let forged = job.run("workflow_run", &run, &limits).expect(1);
    assert!(!forged.stdout.contains("owner"), "{}", forged.stdout);
    job.github.world().labelled = vec![("ann", "size-ok", "2026-11-01T09:00:00Z", true)];
    let accepted = job.run("workflow_run", &run, &limits).expect(0);
    assert!(accepted.stdout.contains("by ann"), "{}", accepted.stdout);
}
