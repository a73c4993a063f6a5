//! The comment on a pull request, against a stateful stand-in for GitHub, and what a run of GitHub
//! Actions gets beside it.

use std::fs;
use std::process::Command;

use axum::http::Method;
use serde_json::json;

use crate::support::fake_github::{BOT, FakeGithub, Fault, Shape};
use crate::support::{Run, fixture, layergate, spaced};

/// A pull request run on a machine of its own.
struct Job {
    github: FakeGithub,
    directory: tempfile::TempDir,
}

impl Job {
    fn new() -> Job {
        let directory = tempfile::tempdir().unwrap();
        let event = json!({
            "pull_request": {
                "number": 7,
                "head": { "sha": "a".repeat(40), "repo": { "full_name": "acme/shop" } },
                "base": { "ref": "main", "sha": "b".repeat(40), "repo": { "full_name": "acme/shop" } },
            }
        });
        fs::write(directory.path().join("event.json"), event.to_string()).unwrap();
        let job = Job { github: FakeGithub::start(), directory };
        let mut record = layergate();
        record.current_dir(job.directory.path());
        record.args(["record", &format!("web={}", fixture("demo/web-v1.tar")), "--commit", &"b".repeat(40)]);
        Run::of(&mut record).expect(0);
        job
    }

    fn command(&self, version: &str, limit: &str) -> Command {
        let file = |name: &str| self.directory.path().join(name);
        let mut command = layergate();
        command
            .current_dir(self.directory.path())
            .args([
                "check",
                &format!("web={}", fixture(&format!("demo/web-{version}.tar"))),
                "--max-increase",
                limit,
            ])
            .env("GITHUB_ACTIONS", "true")
            // What happens to the comment is no matter of limits, which would need the API too.
            .env("LAYERGATE_LIMITS_FROM", "head")
            .env("LAYERGATE_STORE", "dir:.layergate")
            .env("GITHUB_EVENT_NAME", "pull_request")
            .env("GITHUB_EVENT_PATH", file("event.json"))
            .env("GITHUB_REPOSITORY", "acme/shop")
            .env("GITHUB_SHA", "c".repeat(40))
            .env("GITHUB_RUN_ID", "100")
            .env("GITHUB_RUN_ATTEMPT", "1")
            .env("GITHUB_OUTPUT", file("output"))
            .env("GITHUB_STEP_SUMMARY", file("summary"))
            .env("RUNNER_TEMP", self.directory.path())
            .env("GITHUB_API_URL", &self.github.url)
            .env("GITHUB_TOKEN", "ghs_secret-token");
        command
    }

    fn check(&self, version: &str, limit: &str) -> Run {
        Run::of(&mut self.command(version, limit))
    }

    fn read(&self, name: &str) -> String {
        spaced(&fs::read_to_string(self.directory.path().join(name)).unwrap())
    }

    fn output(&self, name: &str) -> Option<String> {
        let text = self.read("output");
        let mut lines = text.lines();
        let mut found = None;
        while let Some(line) = lines.next() {
            let (key, delimiter) = line.split_once("<<").unwrap();
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            if key == name {
                found = Some(value.join("\n"));
            }
        }
        found
    }

    fn requests(&self, method: &str) -> usize {
        self.github.world().requests.iter().filter(|request| request.starts_with(method)).count()
    }
}

fn fault(method: Method, status: u16) -> Fault {
    Fault { method, status, ..Fault::default() }
}

#[test]
fn the_first_run_creates_and_the_second_edits() {
    let job = Job::new();
    job.check("v2", "5%").expect(1);
    let [first] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(first.starts_with("<!-- layergate key=default verdict=fail sha=aaaa"), "{first}");
    assert!(first.contains("### \u{274c} `web` exceeds max-increase: 1.91 MB (+348 kB, +22.3%)"), "{first}");
    assert!(
        first.contains("`RUN /build/install -r /app/requirements.txt` +348 kB: `pandas` 2.2.3 (+347 kB)"),
        "{first}"
    );

    job.check("v2", "30%").expect(0);
    let [second] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(
        second.contains("### \u{2705} `web` is 1.91 MB (+348 kB, +22.3%), within its limits"),
        "{second}"
    );
    assert_eq!((job.requests("POST"), job.requests("PATCH")), (1, 1));
}

#[test]
fn a_comment_with_our_marker_by_someone_else_is_left_alone() {
    let job = Job::new();
    let forged = format!("<!-- layergate key=default sha={} run=999.1 -->\nall is well", "a".repeat(40));
    job.github.add_comment("mallory", &forged);
    job.github.add_comment(BOT, &format!("> {forged}"));
    job.check("v2", "5%").expect(1);
    assert_eq!(job.github.bodies_of("mallory"), [forged]);
    assert_eq!(job.github.bodies_of(BOT).len(), 2, "the quote is not ours either, so there is a new one");
}

#[test]
fn the_third_page_is_searched() {
    let job = Job::new();
    for number in 0..250 {
        job.github.add_comment("somebody", &format!("comment {number}"));
    }
    let own = job.github.add_comment(BOT, "<!-- layergate key=default sha=old run=1.1 -->\nold");
    job.check("v2", "5%").expect(1);
    let world = job.github.world();
    let comment = world.comments.iter().find(|comment| comment.id == own).unwrap();
    assert!(comment.body.contains("exceeds max-increase"));
    assert_eq!(world.comments.len(), 251);
    assert!(world.requests.iter().any(|request| request.contains("page=3")));
}

#[test]
fn another_key_is_another_comment() {
    let job = Job::new();
    job.check("v2", "5%").expect(1);
    Run::of(job.command("v2", "5%").args(["--comment-key", "nightly"])).expect(1);
    assert_eq!(job.github.bodies_of(BOT).len(), 2);
}

#[test]
fn an_older_run_never_overwrites_a_newer_one() {
    let job = Job::new();
    let newer = "<!-- layergate key=default sha=new run=101.1 -->\nnewer";
    job.github.add_comment(BOT, newer);
    job.check("v2", "5%").expect(1);
    assert_eq!(job.github.bodies_of(BOT), [newer]);
}

#[test]
fn a_newer_attempt_of_the_same_run_does_overwrite() {
    let job = Job::new();
    job.github.add_comment(BOT, "<!-- layergate key=default sha=old run=100.1 -->\nfirst attempt");
    Run::of(job.command("v2", "5%").env("GITHUB_RUN_ATTEMPT", "2")).expect(1);
    let [body] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(body.contains("run=100.2"), "{body}");
}

#[test]
fn a_token_or_address_that_cannot_be_one_is_a_warning() {
    let job = Job::new();
    Run::of(job.command("v2", "5%").env("GITHUB_TOKEN", "ghs_secret-token\n")).expect(1);
    assert_eq!(job.github.bodies_of(BOT).len(), 1, "a line break at the end of a secret is no part of it");
    for (name, value, part) in [
        ("GITHUB_TOKEN", "two\nlines", "check github-token"),
        ("GITHUB_API_URL", "github.example", "check github-api-url"),
        ("GITHUB_API_URL", "ftp://github.example", "check github-api-url"),
        ("GITHUB_API_URL", "https//me:two@github", "check github-api-url"),
        ("GITHUB_API_URL", "https://me:two@github.example", "check github-api-url"),
        ("GITHUB_API_URL", "two", "check github-api-url"),
        ("GITHUB_API_URL", "http://127.0.0.1:1", "not commented"),
    ] {
        let run = Run::of(job.command("v2", "30%").env(name, value)).expect(0);
        assert!(run.stderr.contains(part) && !run.stderr.contains("two"), "{name}={value}: {}", run.stderr);
    }
}

#[test]
fn a_token_that_comments_under_another_name_is_told_how_to_be_found_again() {
    let job = Job::new();
    job.github.world().login = Some("size-bot[bot]".into());
    let run = job.check("v2", "5%").expect(1);
    assert!(run.stderr.contains("set comment-author to size-bot[bot]"), "{}", run.stderr);
    Run::of(job.command("v2", "5%").args(["--comment-author", "Size-Bot[bot]"])).expect(1);
    assert_eq!(job.github.bodies_of("size-bot[bot]").len(), 1);
}

#[test]
fn what_cannot_be_written_keeps_nothing_else_from_being_said() {
    let job = Job::new();
    let run = Run::of(job.command("v2", "5%").env("GITHUB_STEP_SUMMARY", "/nowhere/summary")).expect(1);
    assert!(run.stderr.contains("cannot write the step summary to /nowhere/summary"), "{}", run.stderr);
    assert_eq!(job.output("verdict").as_deref(), Some("fail"));
    assert_eq!(job.github.bodies_of(BOT).len(), 1);
    Run::of(job.command("v2", "5%").args(["--report", "/dev/null/x.json"])).expect(1);
    let run = Run::of(job.command("v2", "30%").args(["--report", "/dev/null/x.json"])).expect(3);
    assert!(run.stderr.contains("/dev/null"), "{}", run.stderr);
}

#[test]
fn a_pull_request_whose_event_cannot_be_read_is_said() {
    let job = Job::new();
    fs::write(job.directory.path().join("event.json"), "{").unwrap();
    let run = job.check("v2", "30%").expect(0);
    let words = "so the pull request's base commit and comment are unknown";
    assert!(
        run.stderr.contains("event.json cannot be used: ") && run.stderr.contains(words),
        "{}",
        run.stderr
    );
}

#[test]
fn nothing_changed_makes_no_comment_and_updates_one_that_is_there() {
    let job = Job::new();
    job.check("v1", "5%").expect(0);
    assert_eq!(job.github.bodies_of(BOT).len(), 0);
    job.check("v2", "5%").expect(1);
    job.check("v1", "5%").expect(0);
    let [body] = job.github.bodies_of(BOT).try_into().unwrap();
    assert!(body.contains("`web` is 1.56 MB (unchanged), within its limits"), "{body}");
}

#[test]
fn when_to_comment_is_the_users_choice() {
    for (when, version, limit, code, comments) in [
        ("always", "v1", "5%", 0, 1),
        ("changes", "v2", "30%", 0, 1),
        ("failures", "v2", "30%", 0, 0),
        ("failures", "v2", "5%", 1, 1),
        ("never", "v2", "5%", 1, 0),
    ] {
        let job = Job::new();
        Run::of(job.command(version, limit).args(["--comment", when])).expect(code);
        assert_eq!(job.github.bodies_of(BOT).len(), comments, "{when} {version} {limit}");
    }
}

#[test]
fn a_refused_comment_changes_neither_verdict_nor_exit_code() {
    let unlimited: &[(&'static str, &'static str)] = &[];
    for (status, headers, part) in [
        (403, unlimited, "permission `pull-requests: write`"),
        (403, &[("x-ratelimit-remaining", "0")], "rate limit"),
        (429, &[("retry-after", "60")], "try again in 60 s"),
        (404, unlimited, "HTTP 404"),
        (422, unlimited, "HTTP 422"),
        (500, unlimited, "HTTP 500"),
        (503, unlimited, "HTTP 503"),
    ] {
        for (limit, code) in [("5%", 1), ("30%", 0)] {
            let job = Job::new();
            job.github.fail(Fault { headers: headers.to_vec(), ..fault(Method::POST, status) });
            let run = job.check("v2", limit).expect(code);
            assert!(run.stderr.contains("::warning"), "{}", run.stderr);
            assert!(
                run.stderr.contains("not commented") && run.stderr.contains(part),
                "{part}: {}",
                run.stderr
            );
            assert_eq!(job.github.bodies_of(BOT).len(), 0, "nothing was posted");
            let verdict = if code == 1 { "fail" } else { "pass" };
            assert_eq!(job.output("verdict").as_deref(), Some(verdict));
            assert_eq!(job.output("comment-url").as_deref(), Some(""));
        }
    }
}

#[test]
fn only_on_demand_does_a_missing_comment_fail_the_step() {
    let job = Job::new();
    job.github.fail(fault(Method::POST, 403));
    Run::of(job.command("v2", "30%").arg("--require-comment")).expect(3);
    Run::of(job.command("v2", "5%").arg("--require-comment")).expect(1);
    let mut without_token = job.command("v2", "30%");
    without_token.env_remove("GITHUB_TOKEN");
    let run = Run::of(&mut without_token).expect(0);
    assert!(run.stderr.contains("no token"), "{}", run.stderr);
}

#[test]
fn a_creation_whose_answer_is_lost_is_not_repeated() {
    let job = Job::new();
    job.github.fail(Fault { times: 1, after_effect: true, ..fault(Method::POST, 502) });
    job.check("v2", "5%").expect(1);
    assert_eq!(job.github.bodies_of(BOT).len(), 1);
    assert_eq!((job.requests("POST"), job.requests("PATCH")), (1, 1));
}

#[test]
fn reads_are_tried_again() {
    let job = Job::new();
    job.github.fail(Fault { times: 2, ..fault(Method::GET, 502) });
    job.check("v2", "5%").expect(1);
    assert_eq!(job.github.bodies_of(BOT).len(), 1);
}

#[test]
fn a_comment_that_is_deleted_meanwhile_comes_back_once() {
    let job = Job::new();
    job.check("v2", "5%").expect(1);
    job.github.fail(Fault { times: 1, deletes: true, ..fault(Method::PATCH, 404) });
    job.check("v2", "5%").expect(1);
    assert_eq!(job.github.bodies_of(BOT).len(), 1);
    assert_eq!((job.requests("POST"), job.requests("PATCH")), (2, 1));
}

#[test]
fn a_token_of_a_person_comments_as_that_person() {
    let job = Job::new();
    job.github.world().login = Some("release-manager".into());
    let check = || {
        let mut command = job.command("v2", "5%");
        Run::of(command.env("GITHUB_TOKEN", "ghp_personal")).expect(1)
    };
    check();
    check();
    assert_eq!(job.github.bodies_of("release-manager").len(), 1);
}

#[test]
fn the_token_is_nowhere_to_be_read() {
    let job = Job::new();
    let run = job.check("v2", "5%").expect(1);
    let report = fs::read_to_string(job.output("report").unwrap()).unwrap();
    let everything = [
        run.stdout,
        run.stderr,
        job.read("output"),
        job.read("summary"),
        report,
        job.github.bodies_of(BOT).concat(),
    ];
    assert!(everything.iter().all(|text| !text.contains("ghs_secret")));
}

#[test]
fn a_run_gets_its_summary_outputs_and_annotations() {
    let job = Job::new();
    let run = job.check("v2", "5%").expect(1);
    assert!(
        run.stdout.starts_with("\u{274c} fail: web exceeds max-increase: 1.91 MB (+348 kB, +22.3%)"),
        "{}",
        run.stdout
    );
    assert!(
        run.stderr.contains("::error title=layergate%3A web max-increase::+348 kB (+22.3%25)"),
        "{}",
        run.stderr
    );
    assert!(
        job.read("summary").contains("| \u{274c} | `web` | +348 kB (+22.3%) | max-increase = 5% | 1.91 MB |")
    );
    let expected = [
        ("verdict", "fail"),
        ("size", "1912697"),
        ("base-size", "1564370"),
        ("delta", "348327"),
        ("delta-percent", "22.27"),
        ("comment-url", "https://github.example/acme/shop/pull/7#issuecomment-1001"),
    ];
    for (name, value) in expected {
        assert_eq!(job.output(name).as_deref(), Some(value), "{name}");
    }
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(job.output("report").unwrap()).unwrap()).unwrap();
    assert_eq!(report["schema"], "layergate.report/v1");
    assert_eq!(report["images"][0]["base"]["commit"]["sha"], "b".repeat(40));
}

#[test]
fn a_run_without_a_pull_request_does_not_comment() {
    let job = Job::new();
    fs::write(job.directory.path().join("event.json"), json!({ "before": "b".repeat(40) }).to_string())
        .unwrap();
    let mut command = job.command("v2", "5%");
    command.env("GITHUB_EVENT_NAME", "push");
    Run::of(&mut command).expect(1);
    let requests = job.github.world().requests.clone();
    assert!(requests.iter().all(|request| request.contains("/commits")), "{requests:?}");
    assert_eq!(job.output("comment-url").as_deref(), Some(""));
}

/// Whatever GitHub, or what stands before it, answers: never two comments, never another verdict, always a word of
/// what to do.
#[test]
fn no_answer_changes_the_verdict_or_makes_a_second_comment() {
    let limited: &[(&'static str, &'static str)] = &[("x-ratelimit-remaining", "0"), ("retry-after", "1")];
    let shaped = [(200, Shape::Html), (200, Shape::Truncated), (200, Shape::Dropped)];
    let refused = [401, 403, 404, 409, 422, 500, 502].map(|status| (status, Shape::Json));
    for method in [Method::GET, Method::POST, Method::PATCH] {
        for (status, shape) in shaped.into_iter().chain(refused) {
            for (after_effect, times) in [(false, 1), (true, 1), (false, usize::MAX)] {
                let job = Job::new();
                if method == Method::PATCH {
                    job.check("v2", "5%").expect(1);
                }
                let fault = Fault { shape, after_effect, times, ..fault(method.clone(), status) };
                job.github.fail(fault);
                let case = format!("{method} {status} {shape:?} {after_effect} {times}");
                let run = job.check("v2", "5%").expect(1);
                assert!(job.github.bodies_of(BOT).len() <= 1, "{case}");
                assert_eq!(job.output("verdict").as_deref(), Some("fail"), "{case}");
                let posted = job.output("comment-url").is_some_and(|url| !url.is_empty());
                assert!(posted || run.stderr.contains("not commented"), "{case}: {}", run.stderr);
                job.github.world().faults.clear();
                job.check("v2", "30%").expect(0);
                assert_eq!(job.github.bodies_of(BOT).len(), 1, "{case}");
            }
        }
    }
    let job = Job::new();
    job.github.fail(Fault { headers: limited.to_vec(), times: 1, ..fault(Method::POST, 403) });
    let waited = job.check("v2", "5%").expect(1);
    let unchanged = job.github.world().unchanged.clone();
    assert!(unchanged.iter().any(|path| path.contains("/comments?")), "{unchanged:?}");
    assert!(waited.stderr.contains("waiting 1 s before commenting, as GitHub asks"), "{}", waited.stderr);
    assert_eq!(job.github.bodies_of(BOT).len(), 1);
}

#[test]
fn an_answer_that_never_ends_is_given_up() {
    let job = Job::new();
    job.github.fail(Fault { shape: Shape::Slow, times: 1, ..fault(Method::POST, 201) });
    let run = job.check("v2", "5%").expect(1);
    assert_eq!(job.github.bodies_of(BOT).len(), 1, "{}", run.stderr);
}

#[test]
fn writes_of_one_run_are_a_second_apart_and_what_is_asked_again_costs_nothing() {
    let job = Job::new();
    job.github.fail(Fault { times: 1, ..fault(Method::POST, 502) });
    job.github.world().comments.clear();
    let mut check = job.command("v2", "5%");
    Run::of(check.args(["--check-run"]).env("LAYERGATE_COMMENT_KEY", "x")).expect(1);
    // The comment fails at first and is tried again; then comes the check run.
    crate::outputs::check_run::assert_paced(&job.github, 3);

    let job = Job::new();
    job.check("v2", "30%").expect(0);
    job.github.world().requests.clear();
    job.github.world().times.clear();
    job.github.world().comments[0].hidden = true;
    Run::of(job.command("v2", "5%").args(["--check-run"])).expect(1);
    let world = job.github.world();
    let shapes: Vec<&str> = world.requests.iter().map(|asked| asked.split('?').next().unwrap()).collect();
    let expected = [
        "GET /repos/acme/shop/issues/7/comments",
        "PATCH /repos/acme/shop/issues/comments/1001",
        "POST /graphql",
        "POST /graphql",
        "POST /repos/acme/shop/check-runs",
    ];
    assert_eq!(shapes[shapes.len() - 5..], expected, "{shapes:?}");
    let at = |back: usize| world.times[world.times.len() - back];
    let second = std::time::Duration::from_millis(990);
    assert!(at(2) - at(4) >= second && at(1) - at(2) >= second, "{:?}", world.times);
    // A question is no write.
    assert!(at(3) - at(4) < second, "{:?}", world.times);
}

#[test]
fn a_second_look_at_comments_that_have_not_changed_does_not_count() {
    let job = Job::new();
    for (after_effect, unchanged) in [(false, 1), (true, 0)] {
        job.github.world().comments.clear();
        job.github.world().unchanged.clear();
        job.github.fail(Fault { times: 1, after_effect, ..fault(Method::POST, 502) });
        job.check("v2", "5%").expect(1);
        assert_eq!(job.github.bodies_of(BOT).len(), 1);
        assert_eq!(job.github.world().unchanged.len(), unchanged, "after effect: {after_effect}");
    }
}

/// Hides all comments, runs a check, and says how often the GraphQL API was asked, and whether the comment is
/// hidden after.
fn check_hidden(job: &Job, run: impl FnOnce() -> Run) -> (Run, usize, bool) {
    let hide = |job: &Job| job.github.world().comments.iter_mut().for_each(|comment| comment.hidden = true);
    hide(job);
    job.github.world().requests.clear();
    let run = run();
    let world = job.github.world();
    let asked = world.requests.iter().filter(|request| request.contains("/graphql")).count();
    (run, asked, world.comments.iter().all(|comment| comment.hidden))
}

#[test]
fn a_hidden_comment_is_shown_again_only_when_the_verdict_turns_to_fail() {
    let job = Job::new();
    job.check("v2", "30%").expect(0);
    let still_passes = check_hidden(&job, || job.check("v2", "30%").expect(0));
    assert_eq!((still_passes.1, still_passes.2), (0, true));
    let fails_now = check_hidden(&job, || job.check("v2", "5%").expect(1));
    assert_eq!((fails_now.1, fails_now.2), (2, false));
    assert!(
        fails_now.0.stderr.contains("the comment was hidden; it is shown again"),
        "{}",
        fails_now.0.stderr
    );
    // Whoever has hidden it then knows that it fails.
    let still_fails = check_hidden(&job, || job.check("v2", "5%").expect(1));
    assert_eq!((still_fails.1, still_fails.2), (0, true));
    let passes_again = check_hidden(&job, || job.check("v2", "30%").expect(0));
    assert_eq!((passes_again.1, passes_again.2), (0, true));

    // One that is not hidden costs a question, and nothing is changed.
    job.github.world().comments[0].hidden = false;
    let world = || job.github.world().requests.clone();
    let before = world().len();
    let shown = job.check("v2", "5%").expect(1);
    assert_eq!(world()[before..].iter().filter(|request| request.contains("/graphql")).count(), 1);
    assert!(!shown.stderr.contains("hidden"), "{}", shown.stderr);

    // Nor does an edit of this run whose answer was lost count as what was there before.
    job.check("v2", "30%").expect(0);
    job.github.fail(Fault { times: 1, after_effect: true, ..fault(Method::PATCH, 502) });
    let lost = check_hidden(&job, || job.check("v2", "5%").expect(1));
    assert_eq!((lost.1, lost.2), (2, false));

    // An earlier version did not write down what its verdict was.
    let body = job.github.bodies_of(BOT)[0].replace("verdict=fail ", "");
    job.github.world().comments[0].body = body;
    let unknown = check_hidden(&job, || job.check("v2", "5%").expect(1));
    assert_eq!((unknown.1, unknown.2), (2, false));
}

#[test]
fn a_comment_that_cannot_be_shown_is_a_warning() {
    for (status, shape, part) in [
        (200, Shape::Graphql, "permission `pull-requests: write`"),
        (403, Shape::Json, "permission `pull-requests: write`"),
        (404, Shape::Json, "HTTP 404"),
        (502, Shape::Html, "HTTP 502"),
        (200, Shape::Truncated, "the answer is not JSON"),
        (200, Shape::Json, "the answer has neither data nor an error"),
    ] {
        let job = Job::new();
        job.check("v2", "30%").expect(0);
        job.github.fail(Fault { shape, path: "/graphql", ..fault(Method::POST, status) });
        let (run, _, hidden) = check_hidden(&job, || job.check("v2", "5%").expect(1));
        assert!(hidden);
        let words = "if the comment was hidden, it stays hidden";
        assert!(run.stderr.contains(words) && run.stderr.contains(part), "{part}: {}", run.stderr);
        let [body] = job.github.bodies_of(BOT).try_into().unwrap();
        assert!(body.contains("exceeds max-increase"), "{body}");
        assert!(job.output("comment-url").is_some_and(|url| !url.is_empty()));
    }
}

#[test]
fn the_run_says_where_graphql_is_spoken_unless_another_github_is_named() {
    let (job, other) = (Job::new(), FakeGithub::start());
    let elsewhere = other.url.replace("/v3", "/graphql");
    let asked = |github: &FakeGithub| {
        github.world().requests.iter().filter(|request| request.contains("/graphql")).count()
    };
    job.check("v2", "30%").expect(0);
    let run = Run::of(job.command("v2", "5%").env("GITHUB_GRAPHQL_URL", &elsewhere)).expect(1);
    assert!(run.stderr.contains("Could not resolve to a node"), "{}", run.stderr);
    assert_eq!((asked(&job.github), asked(&other)), (0, 1));
    job.check("v2", "30%").expect(0);
    let mut named = job.command("v2", "5%");
    named.env("GITHUB_GRAPHQL_URL", &elsewhere).args(["--github-api-url", &job.github.url]);
    Run::of(&mut named).expect(1);
    assert_eq!((asked(&job.github), asked(&other)), (1, 1));
}
