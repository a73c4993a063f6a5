//! The rules on what only builds need: where they fail, where they only warn, and what is said of settings that
//! cannot be used.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{FakeLayer, Item, Run, fixture, layergate, oci_layout, tar_of};

const BASE_SHA: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const GO_BASE: &[Item<'_>] = &[Item::File("usr/local/go/bin/go", 3_000_000), Item::File("bin/sh", 1000)];
const STEPS: [&str; 2] = ["COPY main.go . # buildkit", "RUN /bin/sh -c go build -o /server . # buildkit"];
const BUILDS: &str = "FROM golang:1.22\nCOPY main.go .\nRUN go build -o /server .\n";

/// A directory with images, a store, and the event of a pull request.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Project {
        let project = Project(tempfile::tempdir().unwrap());
        let head = "a".repeat(40);
        let event = format!(
            r#"{{"pull_request":{{"number":1,"head":{{"sha":"{head}"}},"base":{{"ref":"main","sha":"{BASE_SHA}"}}}}}}"#
        );
        project.write("event.json", &event);
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// An image of these layers: what made each, and its files.
    fn image(&self, name: &str, layers: &[(&str, &[Item<'_>])]) -> String {
        let layers: Vec<FakeLayer> =
            layers.iter().map(|(step, items)| FakeLayer::gzip(&tar_of(items), step)).collect();
        format!("app={}", oci_layout(&self.path().join(name), &layers).display())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = layergate();
        command.current_dir(self.path()).env("XDG_CACHE_HOME", self.path().join("cache")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    fn record(&self, image: &str, more: &[&str]) {
        self.run(&[&["record", image, "--commit", BASE_SHA], more].concat()).expect(0);
    }

    /// Checks against the record, on a pull request.
    fn pull(&self, image: &str, more: &[&str]) -> Run {
        let check = ["check", image, "--base-commit", BASE_SHA, "--comment", "never", "--format", "json"];
        let mut command = self.command(&[&check[..], more].concat());
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
        command.env("LAYERGATE_STORE", "dir:.layergate").env("LAYERGATE_LIMITS_FROM", "head");
        Run::of(command.env("GITHUB_EVENT_PATH", self.path().join("event.json")))
    }
}

/// The one finding of a check.
#[track_caller]
fn finding(run: &Run, rule: &str) -> Value {
    let report = run.json();
    let findings = report["images"][0]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["rule"], rule);
    findings[0].clone()
}

#[track_caller]
fn says(finding: &Value, severity: &str, words: &[&str]) {
    assert_eq!(finding["severity"], severity, "{finding}");
    let message = finding["message"].as_str().unwrap();
    words.iter().for_each(|word| assert!(message.contains(word), "`{word}`: {message}"));
}

const ALREADY: &str = "warning only: the baseline already exceeds it";

#[test]
fn a_pull_request_answers_for_the_compilers_that_it_adds() {
    let project = Project::new();
    let image = |name: &str, bytes: u64| {
        project.image(
            name,
            &[("COPY app /app", &[Item::File("app", 10)]), ("RUN x", &[Item::File("usr/bin/gcc", bytes)])],
        )
    };
    let (before, less, more) = (image("before", 5000), image("less", 4000), image("more", 5001));
    let require = ["--multi-stage", "require"];
    project.record(&before, &[]);
    says(&finding(&project.pull(&before, &require).expect(0), "multi-stage"), "warn", &[ALREADY]);
    says(&finding(&project.pull(&less, &require).expect(0), "multi-stage"), "warn", &[ALREADY]);
    let worse = finding(&project.pull(&more, &require).expect(1), "multi-stage");
    says(&worse, "fail", &["compilers and linkers", "from the image alone"]);
    assert_eq!((&worse["measured"], &worse["limit"]), (&5001.into(), &"require".into()));
    // Outside of a pull request nothing excuses it.
    project.run(&["check", &before, "--multi-stage", "require", "--base-commit", BASE_SHA]).expect(1);
    // Where none were, any are too many; and a warning stays one.
    project.record(&project.image("clean", &[("COPY app /app", &[Item::File("app", 10)])]), &[]);
    project.pull(&less, &require).expect(1);
    says(&finding(&project.pull(&less, &["--multi-stage", "warn"]).expect(0), "multi-stage"), "warn", &[]);
    assert_eq!(project.pull(&less, &["--multi-stage", "off"]).expect(0).json()["verdict"], "pass");
}

#[test]
fn a_pull_request_answers_for_starting_to_build_with_what_its_base_image_has() {
    let project = Project::new();
    let main: &[Item<'_>] = &[Item::File("main.go", 100)];
    let server: &[Item<'_>] = &[Item::File("server", 9000)];
    let base = ("ADD rootfs.tar / # buildkit", GO_BASE);
    let builds = project.image("builds", &[base, (STEPS[0], main), (STEPS[1], server)]);
    let copies = project.image("copies", &[base, ("COPY server /server # buildkit", server)]);
    project.write("Dockerfile", BUILDS);
    project.write("copies.Dockerfile", "FROM golang:1.22\nCOPY server /server\n");
    let built = ["--dockerfile", "Dockerfile", "--multi-stage", "require"];
    let copied = ["--dockerfile", "copies.Dockerfile", "--multi-stage", "require"];

    project.record(&builds, &built[..2]);
    says(
        &finding(&project.pull(&builds, &built).expect(0), "multi-stage"),
        "warn",
        &[ALREADY, "golang:1.22"],
    );
    let brought = finding(&project.pull(&copies, &copied).expect(0), "multi-stage");
    says(&brought, "warn", &["the final stage builds nothing, but golang:1.22 brings"]);

    project.record(&copies, &copied[..2]);
    let started = finding(&project.pull(&builds, &built).expect(1), "multi-stage");
    says(&started, "fail", &["one stage builds with tools of golang:1.22", "Dockerfile:3 go build"]);
    assert_eq!(started["dockerfile"]["line"], 3);
}

#[test]
fn what_only_builds_need_has_a_limit() {
    let project = Project::new();
    let image = |name: &str, bytes: u64| {
        project.image(name, &[("RUN pip install flask", &[Item::File("root/.cache/pip/http/0/x", bytes)])])
    };
    let (before, more) = (image("before", 5000), image("more", 5001));
    let limit = ["--max-removable", "4 kB"];
    project.record(&before, &[]);
    let same = finding(&project.pull(&before, &limit).expect(0), "max-removable");
    says(&same, "warn", &["over the limit of 4 kB: pip's cache", ALREADY]);
    let worse = finding(&project.pull(&more, &limit).expect(1), "max-removable");
    assert!(worse["help"].as_str().unwrap().contains("pip install --no-cache-dir"), "{worse}");
    assert_eq!(worse["measured"], 5001);
    project.pull(&more, &["--max-removable", "5001 B"]).expect(0);
    project.write("layergate.toml", "[limits]\nmax-removable = \"5 kB\"\n");
    project.run(&["check", &more]).expect(1);
    project.run(&["check", &before]).expect(0);
    // What is meant to be there counts for nothing.
    let ignored =
        "[limits]\nmax-removable = \"5 kB\"\n[[removable.ignore]]\nkind = \"pip-cache\"\nreason = \"warm\"\n";
    project.write("layergate.toml", ignored);
    let accepted = project.run(&["check", &more, "--format", "json"]).expect(0).json();
    assert_eq!(accepted["images"][0]["removable"][0]["ignored"], "warm");
}

#[test]
fn paths_are_forbidden_by_list_flags_and_lines() {
    let project = Project::new();
    let image = project.image(
        "image",
        &[
            ("COPY . /app", &[Item::File("app/.git/HEAD", 20), Item::File("app/main.py", 10)]),
            ("COPY key /root/", &[Item::File("root/.ssh/id_rsa", 30)]),
            ("RUN rm -r /root/.ssh", &[Item::File("root/.wh..ssh", 0)]),
        ],
    );
    let check = |more: &[&str]| project.run(&[&["check", &image, "--format", "json"], more].concat());
    let deleted = finding(&check(&["--forbid-paths", "/root/.ssh/*"]).expect(1), "forbid-paths");
    says(
        &deleted,
        "fail",
        &[
            "`/root/.ssh/id_rsa` must not be in the image",
            "deleted by a later instruction",
            "still in the image",
        ],
    );
    let both = ["--forbid-paths", "**/.git/**", "--forbid-paths", "root/.ssh/**"];
    says(&finding(&check(&both).expect(1), "forbid-paths"), "fail", &["`/app/.git/HEAD` and 1 more path"]);
    check(&["--forbid-paths", "**/.hg/**", "--forbid-paths", "*.py"]).expect(0);
    let lines = project
        .command(&["check", &image])
        .env("LAYERGATE_FORBID_PATHS", "**/.hg/**\n\n **/*.py \n")
        .output();
    assert!(Run::from(lines.unwrap()).expect(1).stdout.contains("/app/main.py"));
    project.write("layergate.toml", "[limits]\nforbid-paths = [\"**/.hg/**\", \"**/id_{rsa,dsa}\"]\n");
    says(
        &finding(&check(&[]).expect(1), "forbid-paths"),
        "fail",
        &["/root/.ssh/id_rsa", "`**/id_{rsa,dsa}`"],
    );
    // The flag goes before the file.
    check(&["--forbid-paths", "**/.hg/**"]).expect(0);
}

#[test]
fn a_pull_request_answers_for_the_forbidden_paths_that_it_adds() {
    let project = Project::new();
    let image = |name: &str, path: &str| {
        project.image(name, &[("COPY . /", &[Item::File("a", 1)]), ("COPY b /", &[Item::File(path, 2)])])
    };
    let (before, other) = (image("before", "app/.git/HEAD"), image("other", "app/.git/config"));
    let forbid = ["--forbid-paths", "**/.git/**"];
    project.record(&before, &[]);
    says(&finding(&project.pull(&before, &forbid).expect(0), "forbid-paths"), "warn", &[ALREADY]);
    // As many as before, and another one.
    says(
        &finding(&project.pull(&other, &forbid).expect(1), "forbid-paths"),
        "fail",
        &["`/app/.git/config` must not"],
    );
}

#[test]
fn settings_that_cannot_be_used_are_refused_with_their_place() {
    let project = Project::new();
    let image = project.image("image", &[("COPY a /", &[Item::File("a", 1)])]);
    let flags: [(&[&str], &str); 4] = [
        (&["--multi-stage", "yes"], "--multi-stage: `yes` is not one of require, warn, off"),
        (&["--max-removable", "20"], "--max-removable: `20` has no unit"),
        (&["--forbid-paths", "a{b"], "--forbid-paths: `a{b` is not a path pattern"),
        (&["--forbid-paths", "/"], "--forbid-paths: `/` is not a path pattern: it is empty"),
    ];
    for (flags, expected) in flags {
        let run = project.run(&[&["check", &image], flags].concat()).expect(2);
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
    let files = [
        (
            "[limits]\nmulti-stage = \"required\"\n",
            "layergate.toml:2 ([limits] multi-stage): `required` is not one of",
        ),
        ("[limits]\nmulti-stage = true\n", "layergate.toml:2: `multi-stage`: expected one of \"require\","),
        ("[limits]\nmax-removable = 5\n", "layergate.toml:2 ([limits] max-removable): `5` has no unit"),
        (
            "\n[limits]\nforbid-paths = [\"ok\", \"[\"]\n",
            "layergate.toml:3 ([limits] forbid-paths): `[` is not a path pattern",
        ),
        (
            "[limits]\nforbid-paths = [1]\n",
            "layergate.toml:2: `forbid-paths` must be a list of strings such as",
        ),
        ("[limits]\nforbid-path = []\n", "did you mean `forbid-paths`?"),
        (
            "[[removable.ignore]]\nkind = \"compilers\"\n",
            "layergate.toml:1: [removable]: missing field `reason`",
        ),
        (
            "[[removable.ignore]]\nkind = \"compilers\"\nreason = \" \"\n",
            "layergate.toml:1: [removable]: `reason` is empty; say why",
        ),
        (
            "[limits]\n[[removable.ignore]]\nkind = \"compiler\"\nreason = \"x\"\n",
            "layergate.toml:2: [removable]: there is no kind `compiler`; did you mean `compilers`?",
        ),
        (
            "[[removable.ignore]]\nkind = \"compilers\"\nreasons = \"x\"\n",
            "layergate.toml:3: [removable]: unknown field `reasons`; did you mean `reason`?",
        ),
        (
            "[[removable.ignore]]\nreason = \"x\"\n",
            "layergate.toml:1: [removable]: an exception needs a `kind`, or `paths`",
        ),
        (
            "[removable]\n[[removable.kinds]]\nname = \"a\"\npaths = [\"x/**\"]\n[[removable.kinds]]\nname = \"b\"\npaths = [\"[\"]\n",
            "layergate.toml:5: [removable]: `[` is not a path pattern",
        ),
        (
            "[[removable.kinds]]\nname = \"jdk\"\npaths = [\"x/**\"]\n",
            "layergate.toml:1: [removable]: the kind `jdk` already exists",
        ),
        (
            "[[removable.kinds]]\nname = \"b\"\n",
            "layergate.toml:1: [removable]: the kind `b` needs `paths` or",
        ),
        (
            "[[removable.kinds]]\nname = \"b\"\npaths = [\"x\"]\nweight = \"heavy\"\n",
            "layergate.toml:4: [removable]: unknown variant `heavy`; known are tool, input, cache, leftover",
        ),
        (
            "[removable]\nignores = []\n",
            "layergate.toml:2: [removable]: unknown field `ignores`; did you mean `ignore`?",
        ),
    ];
    for (text, expected) in files {
        project.write("layergate.toml", text);
        let run = project.run(&["check", &image]).expect(2);
        assert!(run.stderr.contains(expected), "{text}{expected}: {}", run.stderr);
    }
}

#[test]
fn what_cannot_be_seen_is_not_passed() {
    let project = Project::new();
    let image = format!("inspect:{}", fixture("engines/docker-20.10/edge-v1.inspect.json"));
    for limit in [["--multi-stage", "require"], ["--max-removable", "5 MB"], ["--forbid-paths", "**/.git/**"]]
    {
        let run = project.run(&["check", &image, limit[0], limit[1]]).expect(3);
        let rule = limit[0].trim_start_matches("--");
        for word in [rule, "cannot be evaluated", "measure this image from its layers"] {
            assert!(run.stdout.contains(word), "{word}: {}", run.stdout);
        }
    }
}
