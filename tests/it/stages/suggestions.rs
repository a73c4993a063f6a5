//! Small fixes of a Dockerfile, suggested on the lines of a pull request: which ones, on which lines, whose they are,
//! and that each of them builds and saves what it says.

use std::fs;
use std::path::Path;

use axum::http::Method;
use serde_json::{Value, json};

use crate::stores::baselines::in_run;
use crate::support::apps::{self, App};
use crate::support::engine::Engine;
use crate::support::fake_github::{BOT, FakeGithub, Fault, ReviewComment, pull_request};
use crate::support::{FakeLayer, Item, Run, oci_layout, tar_of, tar_with_modes};

const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BASE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A pull request that changes a Dockerfile.
struct Job {
    github: FakeGithub,
    directory: tempfile::TempDir,
}

impl Job {
    /// Its head has this Dockerfile, and its diff shows these lines of it.
    fn new(dockerfile: &str, shown: std::ops::RangeInclusive<usize>) -> Job {
        let job = Job { github: FakeGithub::start(), directory: tempfile::tempdir().unwrap() };
        job.change(dockerfile, shown);
        job
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn change(&self, dockerfile: &str, shown: std::ops::RangeInclusive<usize>) {
        fs::write(self.path().join("Dockerfile"), dockerfile).unwrap();
        let lines: Vec<&str> = dockerfile.lines().collect();
        let (first, last) = (*shown.start(), (*shown.end()).min(lines.len()));
        let patch: String = lines[first - 1..last].iter().map(|line| format!("+{line}\n")).collect();
        let patch = format!("@@ -{first},0 +{first},{} @@\n{patch}", last + 1 - first);
        let mut world = self.github.world();
        world.changed = vec![("Dockerfile".to_owned(), patch)];
        world.files = vec![(HEAD, "Dockerfile", Box::leak(dockerfile.to_owned().into_boxed_str()))];
    }

    fn run(&self, event: &str, arguments: &[&str]) -> Run {
        let mut command = in_run(&self.github, self.path(), event);
        command.env("GITHUB_EVENT_PATH", self.path().join("event.json")).env("GITHUB_RUN_ID", "100");
        command.env("GITHUB_REF", "refs/heads/main").env("LAYERGATE_STORE", "dir:store").args(arguments);
        Run::of(&mut command)
    }

    /// Checks an image, as the job of a pull request from this repository.
    fn check(&self, image: &str, more: &[&str]) -> Run {
        self.check_of("acme/shop", image, more)
    }

    fn check_of(&self, repository: &str, image: &str, more: &[&str]) -> Run {
        let event = json!({ "pull_request": {
            "number": 7, "head": { "sha": HEAD, "repo": { "full_name": repository } },
            "base": { "ref": "main", "sha": BASE, "repo": { "full_name": "acme/shop" } },
        } });
        fs::write(self.path().join("event.json"), event.to_string()).unwrap();
        let arguments = ["check", image, "--max-size", "9 GB", "--limits-from", "head", "--comment", "never"];
        self.run("pull_request", &[&arguments, more].concat())
    }

    fn suggested(&self) -> Vec<ReviewComment> {
        self.github.world().reviews.clone()
    }

    fn writes(&self) -> Vec<String> {
        let world = self.github.world();
        let writes = world.requests.iter().filter(|request| !request.starts_with("GET"));
        writes.map(|request| request.split_once(' ').unwrap().0.to_owned()).collect()
    }
}

/// An image whose layers are those of the `RUN`s of a Dockerfile, with the files that each stores.
fn image(directory: &Path, dockerfile: &str, files: &[&[Item<'_>]]) -> String {
    let runs = dockerfile.split("\nRUN ").skip(1);
    let layers: Vec<FakeLayer> = runs
        .zip(files)
        .map(|(run, files)| {
            let run = run.trim_end().replace("\\\n", "");
            FakeLayer::plain(&tar_of(files), &format!("RUN /bin/sh -c {run} # buildkit"))
        })
        .collect();
    assert_eq!(layers.len(), files.len(), "{dockerfile}");
    format!("app={}", oci_layout(&directory.join("image"), &layers).display())
}

/// The lines of the suggestion in a comment.
fn lines_of(comment: &ReviewComment) -> &str {
    let (_, block) = comment.body.split_once("\n```suggestion\n").unwrap();
    block.strip_suffix("\n```\n").unwrap()
}

const LISTS: &[Item<'_>] =
    &[Item::File("var/lib/apt/lists/x_Packages", 5000), Item::File("usr/bin/gcc", 3000)];

#[test]
fn each_kind_is_suggested_with_what_it_saves() {
    let pip: &[Item<'_>] = &[Item::File("root/.cache/pip/http/a", 4000), Item::File("usr/lib/flask", 10)];
    let stored: &[Item<'_>] = &[Item::File("opt/src/a", 7000), Item::File("opt/app", 10)];
    let deleted: &[Item<'_>] = &[Item::File("opt/.wh.src", 0)];
    for (dockerfile, files, lines, saves, expected) in [
        (
            "FROM scratch\nRUN apt-get update && apt-get install -y gcc\n",
            vec![LISTS],
            (2, 2),
            5000,
            "RUN apt-get update && apt-get install -y gcc && rm -rf /var/lib/apt/lists/*",
        ),
        (
            "FROM scratch\nRUN apt-get update && \\\n    DEBIAN_FRONTEND=noninteractive apt-get -y install gcc \\\n      make\n",
            vec![LISTS],
            (2, 4),
            5000,
            "RUN apt-get update && \\\n    DEBIAN_FRONTEND=noninteractive apt-get -y install gcc \\\n      make && \\\n    rm -rf /var/lib/apt/lists/*",
        ),
        (
            "FROM scratch\nRUN pip install flask\n",
            vec![pip],
            (2, 2),
            4000,
            "RUN pip install --no-cache-dir flask",
        ),
        (
            "FROM scratch\nRUN python3 -m pip install flask > /dev/null 2>&1\n",
            vec![pip],
            (2, 2),
            4000,
            "RUN python3 -m pip install --no-cache-dir flask > /dev/null 2>&1",
        ),
        (
            "FROM scratch\nRUN apk add curl\n",
            vec![&[Item::File("var/cache/apk/APKINDEX.tar.gz", 6000)]],
            (2, 2),
            6000,
            "RUN apk add --no-cache curl",
        ),
        (
            "FROM scratch\nRUN npm ci\n",
            vec![&[Item::File("root/.npm/_cacache/content-v2/a", 8000)]],
            (2, 2),
            8000,
            "RUN npm ci && npm cache clean --force",
        ),
        (
            "FROM scratch\nRUN useradd --uid 100000 app\n",
            vec![&[Item::File("var/log/lastlog", 9000), Item::File("var/log/faillog", 1000)]],
            (2, 2),
            10_000,
            "RUN useradd --no-log-init --uid 100000 app",
        ),
        (
            "FROM scratch\nRUN make -C /opt/src install >/tmp/log\n\nRUN rm -rf /opt/src\n",
            vec![stored, deleted],
            (2, 4),
            7000,
            "RUN make -C /opt/src install >/tmp/log && \\\n    rm -rf /opt/src",
        ),
    ] {
        let job = Job::new(dockerfile, 1..=99);
        let image = image(job.path(), dockerfile, &files);
        let run = job.check(&image, &["--suggest"]).expect(0);
        let [comment] = job.suggested().try_into().unwrap_or_else(|_| panic!("{dockerfile}: {}", run.stderr));
        assert_eq!((comment.lines, comment.path.as_str()), (Some(lines), "Dockerfile"), "{dockerfile}");
        assert_eq!(lines_of(&comment), expected);
        let said = bytes(saves);
        assert!(comment.body.contains(&format!("**Saves {said}.**")), "{said}: {}", comment.body);
    }
}

/// Bytes as people read them.
fn bytes(bytes: u64) -> String {
    layergate::image::Bytes(bytes).to_string()
}

#[test]
fn what_the_text_does_not_show_to_be_safe_is_not_suggested() {
    let stored: &[Item<'_>] = &[Item::File("opt/src/a", 7000)];
    let deleted: &[Item<'_>] = &[Item::File("opt/.wh.src", 0)];
    let index: &[Item<'_>] = &[Item::File("var/cache/apk/APKINDEX.tar.gz", 6000)];
    let pip: &[Item<'_>] = &[Item::File("root/.cache/pip/http/a", 4000)];
    for (dockerfile, files) in [
        // What somebody has said already, or says of something else.
        ("FROM scratch\nRUN pip install --no-cache-dir flask\n", vec![pip]),
        ("FROM scratch\nRUN pip install --cache-dir=/root/.cache/pip flask\n", vec![pip]),
        ("FROM scratch\nRUN echo 'pip install flask'\n", vec![pip]),
        ("FROM scratch\nRUN pip install `cat wanted`\n", vec![pip]),
        ("FROM scratch\nRUN pip install $(cat wanted)\n", vec![pip]),
        ("FROM scratch\nRUN echo '```' && pip install flask\n", vec![pip]),
        ("FROM scratch\nRUN apk update && apk add curl\n", vec![index]),
        ("FROM scratch\nRUN apt-get update && apt-get install -y gcc || exit 1\n", vec![LISTS]),
        // Whoever installs later on needs the lists, and so may a script.
        (
            "FROM scratch\nRUN apt-get update && apt-get install -y gcc\nRUN apt-get install -y make && update-x\n",
            vec![LISTS, &[Item::File("usr/bin/make", 10)]],
        ),
        (
            "FROM scratch\nRUN apt-get update && apt-get install -y gcc\nRUN ./setup.sh\n",
            vec![LISTS, &[Item::File("usr/bin/make", 10)]],
        ),
        (
            "FROM scratch\nRUN npm ci\nRUN ./build.sh\n",
            vec![&[Item::File("root/.npm/_cacache/content-v2/a", 8000)], &[Item::File("app/dist/x", 10)]],
        ),
        // Lines would end in two ways, or are of another language than the shell's.
        ("FROM scratch\r\nRUN pip install flask\r\n", vec![pip]),
        ("FROM scratch\nSHELL [\"python3\", \"-c\"]\nRUN pip install flask\n", vec![pip]),
        // Where these paths are depends on the instruction before.
        ("FROM scratch\nRUN make -C /opt/src install\nRUN rm -rf src\n", vec![stored, deleted]),
        ("FROM scratch\nRUN make -C /opt/src install\nRUN rm -rf /opt/$NAME\n", vec![stored, deleted]),
        ("FROM scratch\nRUN make -C /opt/src install\nRUN rm -rf /opt/src && make\n", vec![stored, deleted]),
        ("FROM scratch\nRUN make -C /opt/src\n# why\nRUN rm -rf /opt/src\n", vec![stored, deleted]),
    ] {
        let job = Job::new(dockerfile, 1..=99);
        let image = image(job.path(), dockerfile, &files);
        job.check(&image, &["--suggest"]).expect(0);
        let suggested: Vec<String> = job.suggested().into_iter().map(|comment| comment.body).collect();
        assert_eq!(suggested, [""; 0], "{dockerfile}");
    }
}

/// What `npm ci` installs, with one package that only development needs.
fn modules() -> FakeLayer {
    let lock = r#"{"lockfileVersion":3,"packages":{"node_modules/eslint":{"version":"9.0.0","dev":true},"node_modules/express":{"version":"5.0.0"}}}"#;
    let manifest = |name: &str| format!(r#"{{"name":"{name}","version":"9.0.0"}}"#).into_bytes();
    let files = [
        ("app/package.json", 0o644, br#"{"name":"app","devDependencies":{"eslint":"9"}}"#.to_vec()),
        ("app/node_modules/.package-lock.json", 0o644, lock.as_bytes().to_vec()),
        ("app/node_modules/eslint/package.json", 0o644, manifest("eslint")),
        ("app/node_modules/eslint/index.js", 0o644, vec![b'x'; 50_000]),
        ("app/node_modules/express/package.json", 0o644, manifest("express")),
    ];
    FakeLayer::plain(&tar_with_modes(&files), "RUN /bin/sh -c npm ci # buildkit")
}

#[test]
fn dependencies_for_development_are_left_alone_where_something_later_may_use_them() {
    for (later, expected) in [
        ("", Some("RUN npm ci --omit=dev")),
        ("CMD [\"node\", \"server.js\"]\n", Some("RUN npm ci --omit=dev")),
        ("RUN vite build\n", None),
        ("RUN node build.js\n", None),
        ("RUN ./build.sh\n", None),
        ("CMD npm start\n", None),
    ] {
        let dockerfile = format!("FROM scratch\nRUN npm ci\n{later}");
        let job = Job::new(&dockerfile, 1..=99);
        let mut layers = vec![modules()];
        if let Some(run) = later.trim_end().strip_prefix("RUN ") {
            let built = tar_of(&[Item::File("app/dist/x", 10)]);
            layers.push(FakeLayer::plain(&built, &format!("RUN /bin/sh -c {run} # buildkit")));
        }
        let image = format!("app={}", oci_layout(&job.path().join("image"), &layers).display());
        let run = job.check(&image, &["--suggest"]).expect(0);
        let found = job.suggested();
        let lines: Vec<&str> = found.iter().map(lines_of).collect();
        assert_eq!(lines, expected.into_iter().collect::<Vec<_>>(), "{dockerfile}: {}", run.stderr);
    }
}

const BOTH: &str = "FROM scratch\nRUN apt-get update && apt-get install -y gcc\nRUN pip install flask\n";

fn image_of_both(job: &Job, pip: u64) -> String {
    image(job.path(), BOTH, &[LISTS, &[Item::File("root/.cache/pip/http/a", pip)]])
}

#[test]
fn a_suggestion_is_made_once_edited_in_place_and_deleted_when_it_no_longer_holds() {
    let job = Job::new(BOTH, 1..=99);
    // What others have written is theirs, whatever it starts with.
    let body = "<!-- layergate key=default suggestion run=1.1 -->\nmine\n".to_owned();
    let theirs = ReviewComment {
        id: 1,
        author: "mallory".into(),
        body,
        path: "Dockerfile".into(),
        lines: Some((3, 3)),
    };
    job.github.world().reviews.push(theirs.clone());
    job.check(&image_of_both(&job, 4000), &[]).expect(0);
    assert_eq!(job.suggested().len(), 1, "nobody has asked for any");

    job.check(&image_of_both(&job, 4000), &["--suggest"]).expect(0);
    assert_eq!(job.writes(), ["POST", "POST"]);
    crate::outputs::check_run::assert_paced(&job.github, 2);
    job.check(&image_of_both(&job, 4000), &["--suggest"]).expect(0);
    assert_eq!(job.writes().len(), 2, "nothing has changed");
    job.check(&image_of_both(&job, 90_000), &["--suggest"]).expect(0);
    assert_eq!(job.writes(), ["POST", "POST", "PATCH"]);
    let ours: Vec<ReviewComment> =
        job.suggested().into_iter().filter(|comment| comment.author == BOT).collect();
    let on = |line: u64| ours.iter().find(|comment| comment.lines == Some((line, line))).unwrap();
    assert!(ours.len() == 2 && on(3).body.contains(&bytes(90_000)), "{ours:?}");

    // The lines are not in the diff any more; then somebody has accepted them all.
    let run = {
        job.change(BOTH, 3..=3);
        job.check(&image_of_both(&job, 90_000), &["--suggest"]).expect(0)
    };
    assert!(run.stderr.contains("1 fixes are not suggested, because their lines"), "{}", run.stderr);
    assert_eq!(job.writes(), ["POST", "POST", "PATCH", "DELETE"]);
    job.change("FROM scratch\nRUN pip install --no-cache-dir flask\n", 1..=9);
    job.check(&image_of_both(&job, 90_000), &["--suggest"]).expect(0);
    assert_eq!(job.suggested().len(), 1, "only theirs is left");
    assert_eq!(job.suggested()[0].body, theirs.body);
}

#[test]
fn only_the_dockerfile_that_was_built_is_what_is_suggested_for() {
    let job = Job::new(BOTH, 1..=99);
    let image = image_of_both(&job, 4000);
    // The head has moved on, or what was built is no file of it.
    job.github.world().files = vec![(HEAD, "Dockerfile", "FROM scratch\nRUN apt-get update\n")];
    job.check(&image, &["--suggest"]).expect(0);
    job.github.world().files.clear();
    job.check(&image, &["--suggest"]).expect(0);
    assert_eq!((job.suggested().len(), job.writes().len()), (0, 0));
}

/// A report of a fork may name a thousand images with a Dockerfile each, and every suggestion is a comment.
#[test]
fn there_are_no_more_suggestions_than_somebody_reads() {
    let job = Job::new(BOTH, 1..=99);
    job.check(&image_of_both(&job, 4000), &["--report", "report.json"]).expect(0);
    let saved = job.path().join("report.json");
    let mut report: Value = serde_json::from_str(&fs::read_to_string(&saved).unwrap()).unwrap();
    let image = report["images"][0].clone();
    let many = (0..30).map(|number| {
        let mut image = image.clone();
        image["name"] = json!(format!("app{number}"));
        image["dockerfile"]["path"] = json!(format!("{number}/Dockerfile"));
        image
    });
    report["images"] = many.collect();
    fs::write(&saved, report.to_string()).unwrap();
    let patch = job.github.world().changed[0].1.clone();
    let suggest = |built: usize| {
        let mut world = job.github.world();
        let paths: Vec<&str> = (0..30).map(|number| &*format!("{number}/Dockerfile").leak()).collect();
        world.changed = paths.iter().map(|path| ((*path).to_owned(), patch.clone())).collect();
        let text = |number| if number < built { BOTH } else { "FROM scratch\nRUN another\n" };
        world.files = paths.iter().enumerate().map(|(number, path)| (HEAD, *path, text(number))).collect();
        world.requests.clear();
        drop(world);
        job.run("pull_request", &["report", "report.json", "--suggest"]).expect(0);
        let read =
            job.github.world().requests.iter().filter(|request| request.contains("/Dockerfile")).count();
        (job.suggested().len(), read)
    };
    assert_eq!(suggest(30), (10, 5), "two for each");
    assert_eq!(suggest(0), (0, 20));
}

#[test]
fn of_a_fork_only_the_trusted_job_suggests() {
    let job = Job::new(BOTH, 1..=99);
    let run =
        job.check_of("mallory/shop", &image_of_both(&job, 4000), &["--suggest", "--report", "report.json"]);
    assert!(run.expect(0).stderr.contains("in the trusted job"));
    assert_eq!(job.suggested().len(), 0);

    job.github.world().pulls = vec![pull_request(7, ("mallory/shop", "change", HEAD), BASE)];
    let event = json!({ "workflow_run": {
        "id": 500, "run_attempt": 2, "event": "pull_request", "head_sha": HEAD, "head_branch": "change",
        "head_repository": { "full_name": "mallory/shop" },
    } });
    fs::write(job.path().join("event.json"), event.to_string()).unwrap();
    let arguments = ["report", "report.json", "--max-size", "9 GB", "--require-image", "app", "--suggest"];
    job.run("workflow_run", &arguments).expect(0);
    assert_eq!(job.suggested().len(), 2);
    assert!(job.suggested().iter().all(|comment| comment.body.contains(" run=500.2 -->")));
}

#[test]
fn what_cannot_be_suggested_changes_nothing_else() {
    for (method, path, status, words) in [
        (Method::POST, "/pulls/7/comments", 403, "`pull-requests: write`"),
        (Method::GET, "/pulls/7/files", 500, "HTTP 500"),
        (Method::GET, "/contents/Dockerfile", 403, "`contents: read`"),
    ] {
        let job = Job::new(BOTH, 1..=99);
        job.github.fail(Fault { method, path, status, ..Fault::default() });
        let run = job.check(&image_of_both(&job, 4000), &["--suggest"]).expect(0);
        assert!(run.stderr.contains("no suggestions") && run.stderr.contains(words), "{}", run.stderr);
    }
}

/// Builds a Dockerfile, takes what is suggested for it, and builds that.
fn accepted(engine: &Engine, context: &Path, name: &str, dockerfile: &str) {
    let job = Job::new(dockerfile, 1..=99);
    let build = |text: &str, tag: &str| {
        let file = job.path().join("Dockerfile.built");
        fs::write(&file, text).unwrap();
        engine.build(context, &file.display().to_string(), tag);
        engine.inspect(tag)["totals"]["uncompressed"].as_u64().unwrap()
    };
    let (before_tag, after_tag) = (format!("suggested-{name}:before"), format!("suggested-{name}:after"));
    let before = build(dockerfile, &before_tag);
    let image = format!("app=docker-daemon:{before_tag}");
    let mut command = in_run(&job.github, job.path(), "pull_request");
    let event = json!({ "pull_request": {
        "number": 7, "head": { "sha": HEAD, "repo": { "full_name": "acme/shop" } },
        "base": { "ref": "main", "sha": BASE, "repo": { "full_name": "acme/shop" } },
    } });
    fs::write(job.path().join("event.json"), event.to_string()).unwrap();
    command.env("GITHUB_EVENT_PATH", job.path().join("event.json")).env("LAYERGATE_STORE", "dir:store");
    command.env("DOCKER_HOST", &engine.host).args([
        "check",
        &image,
        "--max-size",
        "9 GB",
        "--limits-from",
        "head",
    ]);
    let run = Run::of(command.args(["--suggest", "--comment", "never"])).expect(0);
    let [comment] =
        job.suggested().try_into().unwrap_or_else(|found| panic!("{name}: {found:?}\n{}", run.stderr));
    let (first, last) = comment.lines.unwrap();
    let mut lines: Vec<&str> = dockerfile.lines().collect();
    lines.splice(first as usize - 1..last as usize, [lines_of(&comment)]);
    let after = build(&(lines.join("\n") + "\n"), &after_tag);
    let said = said(&comment);
    let saved = before.saturating_sub(after);
    assert!(
        saved > 0 && saved.abs_diff(said) * 20 <= said,
        "{name}: {saved} and not {said}\n{}",
        comment.body
    );
}

/// What a comment says that is saved, in bytes.
fn said(comment: &ReviewComment) -> u64 {
    let (said, _) = comment.body.split_once("**Saves ").unwrap().1.split_once(".**").unwrap();
    let (number, unit) = said.split_once(char::is_whitespace).unwrap();
    let units = [("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("KiB", 1024.0), ("MiB", 1_048_576.0)];
    let (_, factor) = units.into_iter().find(|(name, _)| *name == unit).unwrap();
    (number.replace(',', "").parse::<f64>().unwrap() * factor) as u64
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn each_kind_builds_and_saves_what_it_says() {
    let Some(engine) = apps::engine("suggestions, accepted") else { return };
    let empty = tempfile::tempdir().unwrap();
    // Newer ones write no login records for a user of theirs.
    let useradd = tempfile::tempdir().unwrap();
    apps::copy_served("useradd.tar", useradd.path());
    let debian = "FROM debian:bookworm-slim\n";
    for (name, context, dockerfile) in [
        ("apt", empty.path(), format!("{debian}RUN apt-get update && apt-get install -y busybox-static\n")),
        ("pip", empty.path(), "FROM python:3-slim\nRUN pip install jinja2\n".to_owned()),
        (
            "npm",
            &*App::named("node-dev").dir,
            "FROM node:20-slim\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci\nCMD [\"node\", \"server.js\"]\n".to_owned(),
        ),
        (
            "useradd",
            useradd.path(),
            format!("{debian}ADD useradd.tar /\nRUN touch /var/log/lastlog /var/log/faillog\nRUN useradd --uid 50000 app\n"),
        ),
        (
            "joined",
            empty.path(),
            format!("{debian}RUN mkdir /src && head -c 5000000 /dev/urandom > /src/a && cp /src/a /usr/lib/app\nRUN rm -rf /src\n"),
        ),
    ] {
        accepted(&engine, context, name, &dockerfile);
    }
}
