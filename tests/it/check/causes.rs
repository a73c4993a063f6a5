//! Why a real image grew: real package managers in real layers, and what is said of it to the byte. What
//! the figures have to be comes from files as a container of the image has them, never from the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::check::gate::Checkout;
use crate::support::apps::{self, App};
use crate::support::engine::Engine;
use crate::support::{Run, layergate, spaced};

/// The image that all others here are built on: a shell, dpkg, Python and pip, out of this machine's own.
const SYSTEM: &str = "causes-system:1";
const SYSTEM_DOCKERFILE: &str =
    "FROM scratch\nADD root.tar /\nENV PYTHONDONTWRITEBYTECODE=1\nCMD [\"/bin/sh\"]\n";

/// Makes files with `system.py`.
fn make(kind: &str, directory: &Path, rest: &[&str]) {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/check/system.py")).arg(kind).arg(directory);
    Run::of(command.args(rest)).expect(0);
}

fn build_system(engine: &Engine) {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let (files, context) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        engine.copy_busybox(files.path());
        let root = files.path().join("root");
        make("root", &root, &[&files.path().join("busybox").display().to_string()]);
        let mut tar = Command::new("tar");
        tar.args(["--owner=0", "--group=0", "-cf"]).arg(context.path().join("root.tar"));
        Run::of(tar.arg("-C").arg(&root).arg(".")).expect(0);
        let dockerfile = context.path().join("Dockerfile");
        fs::write(&dockerfile, SYSTEM_DOCKERFILE).unwrap();
        engine.build(context.path(), &dockerfile.display().to_string(), SYSTEM);
    });
}

/// A repository with a Dockerfile, whose images are built, recorded and checked.
struct Project {
    engine: Engine,
    checkout: Checkout,
    name: &'static str,
}

impl Project {
    fn new(name: &'static str) -> Option<Project> {
        let engine = Engine::of_this_run(name)?;
        build_system(&engine);
        let checkout = Checkout::new();
        checkout.commit("start");
        Some(Project { engine, checkout, name })
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.checkout.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Files of that many bytes each.
    fn write(&self, files: &[(&str, usize)]) {
        files.iter().for_each(|(name, size)| fs::write(self.path(name), "x".repeat(*size)).unwrap());
    }

    /// Builds these lines; those that an earlier image has come from its layers.
    fn build(&self, tag: &str, lines: &[&str]) -> String {
        let image = format!("causes-{}:{tag}", self.name);
        fs::write(self.path("Dockerfile"), lines.join("\n") + "\n").unwrap();
        self.engine.build(self.checkout.path(), &self.path("Dockerfile").display().to_string(), &image);
        image
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = layergate();
        command.current_dir(self.checkout.path()).env("DOCKER_HOST", &self.engine.host).args(arguments);
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    fn record(&self, image: &str) {
        Run::of(&mut self.command(&["record", &format!("app={image}")])).expect(0);
    }

    fn check(&self, image: &str, options: &[&str]) -> Run {
        let image = format!("app={image}");
        Run::of(&mut self.command(&[&["check", &image], options].concat()))
    }

    /// The report of an image that is within its limits.
    fn report(&self, image: &str) -> Value {
        let options = ["--max-increase", "1 GB", "--format", "json"];
        self.check(image, &options).expect(0).json()["images"][0].take()
    }

    /// What is written in a run of GitHub Actions: annotations are on standard error.
    fn annotations(&self, image: &str, options: &[&str], code: i32) -> Vec<String> {
        let image = format!("app={image}");
        let mut command = self.command(&[&["check", &image], options].concat());
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "workflow_dispatch");
        command.env("LAYERGATE_STORE", "dir:.layergate");
        command.env("RUNNER_TEMP", self.checkout.path()).args(["--comment", "never"]);
        let run = Run::of(&mut command).expect(code);
        run.stderr.lines().filter(|line| line.starts_with("::")).map(str::to_owned).collect()
    }

    /// The bytes that a script prints in a container of the image, a file each a line, summed.
    fn bytes(&self, image: &str, script: &str) -> i64 {
        let script = format!("set -e; {script}");
        let arguments = ["run", "--rm", "--network", "none", image, "/bin/sh", "-c", &script];
        let seen = self.engine.docker(&arguments);
        assert!(!seen.is_empty(), "{script}");
        seen.lines().map(|line| line.trim().parse::<i64>().unwrap()).sum()
    }

    /// The files that pip has recorded for a package.
    fn bytes_of_wheel(&self, image: &str, name: &str) -> i64 {
        let script = format!(
            "info=$(find / -xdev -type d -name '{name}-*.dist-info'); cd $info/..; \
             cut -d, -f1 $info/RECORD | while read -r file; do stat -c %s \"$file\"; done"
        );
        self.bytes(image, &script)
    }

    /// The files that dpkg lists for a package, a hard link once, and what it keeps of the package itself.
    fn bytes_of_deb(&self, image: &str, name: &str) -> i64 {
        let script = format!(
            "cd /var/lib/dpkg/info; {{ cat {name}.list; ls -d $PWD/{name}.*; }} | while read -r file; do \
             if [ -f \"$file\" ] && [ ! -L \"$file\" ]; then stat -c '%i %s' \"$file\"; fi; done \
             | sort -u | cut -d' ' -f2"
        );
        self.bytes(image, &script)
    }

    fn bytes_below(&self, image: &str, directory: &str) -> i64 {
        self.bytes(image, &format!("find {directory} -type f -exec stat -c %s {{}} +"))
    }
}

/// The line of the Dockerfile that starts so.
fn line_of(lines: &[&str], start: &str) -> u64 {
    lines.iter().position(|line| line.starts_with(start)).unwrap() as u64 + 1
}

fn place(line: u64) -> Value {
    json!({ "path": "Dockerfile", "line": line, "end_line": line })
}

/// One more step at the end of the Dockerfile.
fn with<'a>(lines: &[&'a str], step: &'a str) -> Vec<&'a str> {
    [lines, &[step]].concat()
}

/// `+12.2 kB`, as reports for people have it.
fn short(bytes: i64) -> String {
    spaced(&layergate::image::Delta(bytes).to_string())
}

fn exact(bytes: i64) -> String {
    spaced(&layergate::image::Delta(bytes).exact())
}

/// That the growth has one cause, with these parts; the text and the comment say the same.
#[track_caller]
fn one_cause(project: &Project, image: &str, lines: &[&str], step: &str, parts: &[Value], shown: &str) {
    let report = project.report(image);
    let delta: i64 = parts.iter().map(|part| part["delta"].as_i64().unwrap()).sum();
    let line = line_of(lines, step);
    let expected = json!([{
        "instruction": step, "status": "added", "head_index": report["layers"].as_array().unwrap().len() - 1,
        "dockerfile": place(line), "delta": delta, "parts": parts, "other": 0,
    }]);
    assert_eq!(report["causes"], expected);
    assert_eq!(report["delta"]["uncompressed"], delta);

    let text = project.check(image, &["--max-increase", "1 GB", "--bytes"]).expect(0).stdout;
    assert!(text.contains(&format!("Causes: all of {}", exact(delta))), "{text}");
    // A long one is cut where no terminal says how wide it is.
    let shown_step: String = format!("Dockerfile:{line} {step}").chars().take(71).collect();
    assert!(text.contains(&format!("{}  {shown_step}", exact(delta))), "{text}");
    for part in parts {
        let named = format!("{}    {}", exact(part["delta"].as_i64().unwrap()), text_of(part));
        assert!(text.contains(&named), "{named}\n{text}");
    }
    let markdown = project.check(image, &["--max-increase", "1 GB", "--format", "markdown"]).expect(0).stdout;
    let size = short(delta);
    let cause = format!("- `Dockerfile:{line}` `{step}` {size}: {shown}");
    assert!(markdown.contains(&cause), "{cause}\n{markdown}");
}

/// A part as the text has it.
fn text_of(part: &Value) -> String {
    let name = part["name"].as_str().unwrap();
    match part["kind"].as_str().unwrap() {
        "package" => format!("{name} {}", part["to"].as_str().unwrap()),
        "directory" => format!("/{name}/ {} files", part["files"]),
        _ => format!("/{name}"),
    }
}

fn package(kind: &str, name: &str, version: &str, files: u64, delta: i64) -> Value {
    json!({ "kind": "package", "name": name, "type": kind, "to": version, "files": files, "delta": delta })
}

/// What the four images below are built on, and compared with.
const APP: [&str; 6] = [
    "FROM causes-system:1",
    "WORKDIR /srv",
    "COPY packages ./",
    "COPY data /app/data",
    "RUN pip install --no-index ./ground-0.1-py3-none-any.whl",
    "CMD [\"python3\"]",
];

fn application(name: &'static str) -> Option<Project> {
    let project = Project::new(name)?;
    make("wheels", &project.path("packages"), &["ground=0.1=3000", "flask-like=2.1=70000"]);
    make("debs", &project.path("packages"), &["lib-like=1.0-1=90000"]);
    project.write(&[("data/a/one", 40_000), ("data/a/two", 30_000), ("data/b/three", 12_345)]);
    let base = project.build("base", &APP);
    project.record(&base);
    Some(project)
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn a_pip_package_is_the_cause_with_what_its_record_lists() {
    let Some(project) = application("pip") else { return };
    let step = "RUN pip install --no-index ./flask_like-2.1-py3-none-any.whl";
    let lines = with(&APP, step);
    let image = project.build("head", &lines);
    let bytes = project.bytes_of_wheel(&image, "flask_like");
    assert!(bytes > 72_000, "{bytes}");
    let shown = format!("`flask-like` 2.1 ({})", short(bytes));
    one_cause(&project, &image, &lines, step, &[package("pypi", "flask-like", "2.1", 13, bytes)], &shown);
    let report = project.report(&image);
    let row = json!({ "type": "pypi", "name": "flask-like", "status": "added", "from": null, "to": "2.1", "delta": bytes, "layer": 5 });
    assert_eq!(report["packages"], json!([row]));
    assert_eq!(report["files"]["added"], json!({ "files": 13, "delta": bytes }));
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn a_dpkg_package_is_the_cause_with_what_dpkg_lists() {
    let Some(project) = application("dpkg") else { return };
    let step = "RUN dpkg -i ./lib-like_1.0-1.deb";
    let lines = with(&APP, step);
    let image = project.build("head", &lines);
    let bytes = project.bytes_of_deb(&image, "lib-like");
    assert!(bytes > 90_000, "{bytes}");
    // dpkg's own: `status` anew, which knows of the package now, and what it was before.
    let known = project.bytes(&image, "cd /var/lib/dpkg; stat -c %s status status-old");
    let log = project.bytes(&image, "stat -c %s /var/log/dpkg.log 2>/dev/null || echo 0");
    let report = project.report(&image);
    let directory = report["causes"][0]["parts"][1].clone();
    assert_eq!(directory["name"], "var/lib/dpkg");
    assert_eq!(directory["delta"], known, "{}", report["causes"]);
    assert_eq!(log, 0, "this dpkg.cfg names no log");
    let shown = format!("`lib-like` 1.0-1 ({}), `/var/lib/dpkg/` ", short(bytes));
    let parts = [package("deb", "lib-like", "1.0-1", 8, bytes), directory];
    one_cause(&project, &image, &lines, step, &parts, &shown);
    let row = json!({ "type": "deb", "name": "lib-like", "status": "added", "from": null, "to": "1.0-1", "delta": bytes, "layer": 5 });
    assert_eq!(report["packages"], json!([row]));
    let text = project.check(&image, &["--max-increase", "1 GB"]).expect(0).stdout;
    let advice = "next: these files come with the base image: leave them unchanged, or use a base image that has them as you need them";
    assert!(text.contains("/var/lib/dpkg/status\n") && text.contains(advice), "{text}");
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn a_model_file_is_the_cause_by_its_name() {
    let Some(project) = application("model") else { return };
    project.write(&[("model.bin", 20_000_000)]);
    let step = "COPY model.bin /models/model.bin";
    let lines = with(&APP, step);
    let image = project.build("head", &lines);
    assert_eq!(project.bytes_below(&image, "/models"), 20_000_000);
    let part = json!({ "kind": "file", "name": "models/model.bin", "files": 1, "delta": 20_000_000 });
    one_cause(&project, &image, &lines, step, &[part], "`/models/model.bin` (+20 MB)");
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn a_chmod_is_the_cause_and_the_waste_and_the_copy_can_set_the_mode() {
    let Some(project) = application("chmod") else { return };
    let step = "RUN chmod -R 700 /app/data";
    let lines = with(&APP, step);
    let image = project.build("head", &lines);
    let bytes = project.bytes_below(&image, "/app/data");
    assert_eq!(bytes, 82_345);
    let part = json!({ "kind": "directory", "name": "app/data", "files": 3, "delta": bytes });
    one_cause(&project, &image, &lines, step, &[part], "`/app/data/` 3 files (+82.3 kB)");

    let report = project.report(&image);
    let (stored, hidden) = (line_of(&lines, "COPY data"), line_of(&lines, step));
    let layer = |index: u64, step: &str, line: u64| json!({ "index": index, "instruction": step, "dockerfile": place(line) });
    let expected = json!({
        "path": "app/data/", "bytes": bytes, "files": 3, "replaced": true,
        "stored_by": layer(3, "COPY data /app/data", stored), "hidden_by": layer(5, step, hidden),
    });
    assert_eq!(report["waste"], json!([expected]));
    assert_eq!(report["files"]["added"]["files"], 0, "nothing is there that was not: {}", report["files"]);
    let advice = "set the mode when copying: `COPY --chmod=...`";
    let text = project.check(&image, &["--max-increase", "1 GB", "--bytes"]).expect(0).stdout;
    let told = format!(
        "  82,345 B  /app/data/ (3 files)\n              stored by layer 4: Dockerfile:{stored} COPY data /app/data\n              \
         replaced by layer 6: Dockerfile:{hidden} {step}\n              next: {advice}\n"
    );
    assert!(text.contains(&told), "{told}\n{text}");
    let markdown =
        project.check(&image, &["--max-increase", "1 GB", "--format", "markdown"]).expect(0).stdout;
    let row = format!(
        "| 82.3 kB | `/app/data/` (3 files) | `Dockerfile:{stored}` `COPY data /app/data` | `Dockerfile:{hidden}` `{step}` | {advice} |"
    );
    assert!(markdown.contains(&row), "{row}\n{markdown}");
}

/// The tutorial's application in one stage and in several, recorded and checked in this order.
#[track_caller]
fn tutorial(project: &Project, app: &App, kinds: [&str; 2]) -> Value {
    let images = kinds.map(|kind| apps::image(&project.engine, app, kind));
    let files = kinds.map(|kind| {
        fs::copy(app.dockerfile(kind), project.path(&format!("Dockerfile.{kind}"))).unwrap();
        format!("Dockerfile.{kind}")
    });
    let run = |command: &str, at: usize, options: &[&str]| {
        let image = format!("from-{}={}", kinds[0], images[at]);
        let arguments = [&[command, &image, "--dockerfile", &files[at]], options].concat();
        Run::of(&mut project.command(&arguments)).expect(0)
    };
    run("record", 0, &[]);
    let mut report = run("check", 1, &["--max-increase", "1 GB", "--format", "json"]).json();
    report["images"][0].take()
}

/// What a report says of the difference, as a table.
fn rows_of(report: &Value, title: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line =
        |stored: &Value| format!("{}:{}", text(&stored["dockerfile"]["path"]), stored["dockerfile"]["line"]);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut rows = vec![format!("{title}: {}", report["delta"]["uncompressed"])];
    for cause in list(&report["causes"]) {
        let parts: Vec<String> = list(&cause["parts"])
            .iter()
            .map(|part| format!("{} {}", text(&part["name"]), part["delta"]))
            .collect();
        let (instruction, other) = (text(&cause["instruction"]), &cause["other"]);
        rows.push(format!("  {} {instruction}: {}, other {other}", cause["delta"], parts.join(", ")));
    }
    for moved in list(&report["moved"]) {
        let packages: Vec<String> = list(&moved["packages"]).iter().map(text).collect();
        let (from, to) = (line(&moved["from"]), line(&moved["to"]));
        rows.push(format!("  moved {}: {} from {from} to {to}", moved["bytes"], packages.join(", ")));
    }
    rows.join("\n") + "\n"
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn the_tutorial_to_several_stages_and_back_names_what_went_and_what_moved() {
    let Some(engine) = apps::engine("the tutorial's causes") else { return };
    drop(engine);
    let Some(project) = Project::new("tutorial") else { return };
    let app = App::named("seed");
    let there = tutorial(&project, &app, ["single", "multistage"]);
    let back = tutorial(&project, &app, ["multistage", "single"]);
    let table = rows_of(&there, "one stage to several") + &rows_of(&back, "and back");
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), table.as_bytes());
    let size = |report: &Value| report["delta"]["uncompressed"].as_i64().unwrap();
    assert!(size(&there) < -50_000_000, "{table}");
    assert_eq!(size(&there), -size(&back), "{table}");
    // What runs is in both images, by another instruction each.
    for (report, from, to) in [(&there, 9, 14), (&back, 14, 9)] {
        let causes = report["causes"].as_array().unwrap();
        let sum: i64 = causes.iter().map(|cause| cause["delta"].as_i64().unwrap()).sum();
        assert_eq!(sum, size(report), "{table}");
        let moved = &report["moved"][0];
        assert_eq!(
            (&moved["from"]["dockerfile"]["line"], &moved["to"]["dockerfile"]["line"]),
            (&json!(from), &json!(to))
        );
        let packages: Vec<&str> =
            moved["packages"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        let mut named = Vec::new();
        for cause in causes {
            let parts = cause["parts"].as_array().unwrap();
            let of_parts: i64 = parts.iter().map(|part| part["delta"].as_i64().unwrap()).sum();
            assert_eq!(
                of_parts + cause["other"].as_i64().unwrap(),
                cause["delta"].as_i64().unwrap(),
                "{table}"
            );
            named.extend(parts.iter().map(|part| part["name"].as_str().unwrap()));
        }
        for runs in ["flask", "werkzeug", "jinja2"] {
            assert!(packages.contains(&runs) && !named.contains(&runs), "{runs}\n{table}");
        }
        for builds in ["pipenv", "virtualenv"] {
            assert!(named.contains(&builds) && !packages.contains(&builds), "{builds}\n{table}");
        }
        assert!(named.iter().any(|name| name.starts_with("root/.cache/pip")), "{table}");
    }
}

/// Forty packages of version 2.1, and the seventh of 2.2 as well.
fn forty(project: &Project, kind: &str) {
    let names: Vec<String> = (0..40).map(|number| format!("part{number:02}=2.1={}", 1000 + number)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    make(kind, &project.path("packages"), &names);
    make(kind, &project.path("newer"), &["part07=2.2=9000"]);
}

/// That one package of forty was upgraded, by the one layer that says so.
#[track_caller]
fn one_upgrade(report: &Value, kind: &str, layer: u64, visible: i64) {
    let row = json!({
        "type": kind, "name": "part07", "status": "upgraded", "from": "2.1", "to": "2.2",
        "delta": visible, "layer": layer,
    });
    assert_eq!(report["packages"], json!([row]));
}

fn part<'a>(report: &'a Value, name: &str) -> &'a Value {
    let parts = report["causes"][0]["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap()
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn one_upgrade_among_forty_dpkg_packages_is_one_row() {
    let Some(project) = Project::new("forty-debs") else { return };
    forty(&project, "debs");
    let lines = [
        "FROM causes-system:1",
        "RUN --mount=type=bind,source=packages,target=/srv dpkg -i /srv/*.deb",
        "CMD [\"/bin/sh\"]",
    ];
    let base = project.build("base", &lines);
    project.record(&base);
    let before = project.bytes_of_deb(&base, "part07");

    let step = "RUN --mount=type=bind,source=newer,target=/new dpkg -i /new/*.deb";
    let added = project.build("added", &with(&lines, step));
    let after = project.bytes_of_deb(&added, "part07");
    assert!(after - before > 7_900, "{before} {after}");
    let report = project.report(&added);
    one_upgrade(&report, "deb", 2, after - before);
    let expected = json!({
        "kind": "package", "name": "part07", "type": "deb", "from": "2.1", "to": "2.2", "files": 8, "delta": after,
    });
    assert_eq!(part(&report, "part07"), &expected, "an added layer has all of the package");
    assert_eq!(report["causes"][0]["dockerfile"], place(4));

    // The step is run again, for what it is given is another file.
    fs::copy(project.path("newer/part07_2.2.deb"), project.path("packages/part07_2.2.deb")).unwrap();
    fs::remove_file(project.path("packages/part07_2.1.deb")).unwrap();
    let rebuilt = project.build("rebuilt", &lines);
    assert_eq!(project.bytes_of_deb(&rebuilt, "part07"), after);
    let report = project.report(&rebuilt);
    one_upgrade(&report, "deb", 1, after - before);
    assert_eq!(report["causes"][0]["status"], "rebuilt");
    assert_eq!(part(&report, "part07")["delta"], after - before, "a rebuilt layer had the earlier version");
    let text = project.check(&rebuilt, &["--max-increase", "1 GB"]).expect(0).stdout;
    assert!(text.contains("part07 2.1 \u{2192} 2.2"), "{text}");
    assert!(text.contains("Packages: 1 upgraded\n"), "{text}");
    let markdown =
        project.check(&rebuilt, &["--max-increase", "1 GB", "--format", "markdown"]).expect(0).stdout;
    assert!(markdown.contains("`part07` 2.1 \u{2192} 2.2 ("), "{markdown}");
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn one_upgrade_among_forty_pip_packages_is_one_row() {
    let Some(project) = Project::new("forty-wheels") else { return };
    forty(&project, "wheels");
    let lines = [
        "FROM causes-system:1",
        "RUN --mount=type=bind,source=packages,target=/srv pip install --no-index /srv/*.whl",
        "CMD [\"python3\"]",
    ];
    let base = project.build("base", &lines);
    project.record(&base);
    let before = project.bytes_of_wheel(&base, "part07");

    let step = "RUN --mount=type=bind,source=newer,target=/new pip install --no-index --upgrade /new/*.whl";
    let added = project.build("added", &with(&lines, step));
    let after = project.bytes_of_wheel(&added, "part07");
    assert!(after - before > 7_900, "{before} {after}");
    let report = project.report(&added);
    one_upgrade(&report, "pypi", 2, after - before);
    let expected = json!({
        "kind": "package", "name": "part07", "type": "pypi", "from": "2.1", "to": "2.2", "files": 13, "delta": after,
    });
    assert_eq!(report["causes"][0]["parts"], json!([expected]));

    let wheel = |version: &str| format!("part07-{version}-py3-none-any.whl");
    fs::copy(project.path("newer").join(wheel("2.2")), project.path("packages").join(wheel("2.2"))).unwrap();
    fs::remove_file(project.path("packages").join(wheel("2.1"))).unwrap();
    let rebuilt = project.build("rebuilt", &lines);
    let report = project.report(&rebuilt);
    let after = project.bytes_of_wheel(&rebuilt, "part07");
    one_upgrade(&report, "pypi", 1, after - before);
    assert_eq!(part(&report, "part07")["delta"], after - before);
    let text = project.check(&rebuilt, &["--max-increase", "1 GB"]).expect(0).stdout;
    assert!(text.contains("part07 2.1 \u{2192} 2.2"), "{text}");
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn what_a_later_step_deletes_names_both_steps_and_how_to_join_them() {
    let Some(project) = Project::new("deleted") else { return };
    let make = "RUN mkdir -p /build/objects && head -c 3000000 /dev/zero > /build/objects/big.o";
    let lines = ["FROM causes-system:1", make, "RUN echo app > /app", "RUN rm -rf /build", "CMD [\"/app\"]"];
    let image = project.build("head", &lines);
    let layer = |index: u64, line: usize| json!({ "index": index, "instruction": lines[line - 1], "dockerfile": place(line as u64) });
    let expected = json!([{
        "path": "build/objects/big.o", "bytes": 3_000_000, "files": 1, "replaced": false,
        "stored_by": layer(1, 2), "hidden_by": layer(3, 4),
    }]);
    let limit = ["--max-wasted", "1 MB"];
    let report = project.check(&image, &[&limit[..], &["--format", "json"]].concat()).expect(1).json();
    assert_eq!(report["images"][0]["waste"], expected);
    assert_eq!(report["images"][0]["findings"][0]["dockerfile"], place(4));

    let advice =
        "combine the two instructions: files that one instruction creates and deletes are not stored";
    let inspected = Run::of(&mut project.command(&["inspect", &image])).expect(0).stdout;
    let checked = project.check(&image, &limit).expect(1).stdout;
    for text in [&inspected, &checked] {
        for told in [
            "3 MB  /build/objects/big.o",
            &format!("stored by layer 2: Dockerfile:2 {}", &make[..40]),
            "deleted by layer 4: Dockerfile:4 RUN rm -rf /build",
            advice,
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
    }
    let markdown = project.check(&image, &[&limit[..], &["--format", "markdown"]].concat()).expect(1).stdout;
    assert!(markdown.contains("| \u{274c} | `app` | no baseline |"), "{markdown}");
    assert!(markdown.contains("| max-wasted = 1 MB |"), "{markdown}");
    let row = "| 3 MB | `/build/objects/big.o` | `Dockerfile:2` `RUN mkdir -p /build/objects";
    assert!(markdown.contains(row) && markdown.contains("`Dockerfile:4` `RUN rm -rf /build`"), "{markdown}");
    assert!(markdown.contains(advice), "{markdown}");
    let annotations = project.annotations(&image, &limit, 1);
    let start = "::error file=Dockerfile,line=4,endLine=4,title=layergate%3A app max-wasted::3 MB wasted";
    assert!(annotations.len() == 1 && annotations[0].starts_with(start), "{annotations:?}");
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn annotations_are_on_the_line_that_grew_most_and_are_ten_at_most() {
    let Some(project) = Project::new("annotated") else { return };
    project.write(&[("small", 1000), ("large", 1000)]);
    let mut lines =
        vec!["FROM causes-system:1", "COPY small /small", "COPY \\\n  large /large", "RUN echo 1 > /one"];
    project.record(&project.build("base", &lines));
    project.write(&[("small", 5000), ("large", 90_000)]);
    let image = project.build("head", &lines);
    let failed = project.annotations(&image, &["--max-increase", "10 kB"], 1);
    let start = "::error file=Dockerfile,line=3,endLine=4,title=layergate%3A app max-increase::";
    assert!(failed.len() == 1 && failed[0].starts_with(start), "{failed:?}");
    let calm = project.annotations(&image, &["--max-increase", "1 MB"], 0);
    let notice = "::notice file=Dockerfile,line=3,endLine=4,title=layergate%3A app::+89 kB by this instruction: /large (+89 kB)";
    assert_eq!(calm, [notice]);

    lines.extend(["RUN echo 2 > /two"; 12]);
    let steps: Vec<String> =
        (0..12).map(|number| format!("RUN head -c 20{number:02} /dev/zero > /f{number}")).collect();
    lines.truncate(4);
    lines.extend(steps.iter().map(String::as_str));
    let image = project.build("many", &lines);
    let many = project.annotations(&image, &["--max-layer-size", "2 kB", "--max-increase", "1 kB"], 1);
    assert_eq!(many.len(), 10, "{many:?}");
    assert!(many.iter().any(|line| line.contains("more findings")), "{many:?}");
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn the_base_images_drift_and_our_own_growth_are_two_figures() {
    let Some(project) = Project::new("drift") else { return };
    let base_image = |size: usize| {
        project.write(&[("base/library", size), ("unrelated/Dockerfile", 0)]);
        fs::write(
            project.path("base/Dockerfile"),
            "FROM causes-system:1\nCOPY library /usr/lib/library\nCMD [\"/bin/sh\"]\n",
        )
        .unwrap();
        let dockerfile = project.path("base/Dockerfile").display().to_string();
        project.engine.build(&project.path("base"), &dockerfile, "causes-drifting:stable");
    };
    let lines =
        ["FROM causes-drifting:stable", "RUN echo made > /made", "COPY own /app/own", "CMD [\"/made\"]"];
    base_image(500_000);
    project.write(&[("own", 100_000)]);
    let first = project.build("base", &lines);
    base_image(1_500_000);
    let drifted = project.build("drifted", &lines);
    project.record(&first);
    for (limit, code) in [("400 kB", 1), ("2 MB", 0)] {
        let told = project.check(&drifted, &["--max-increase", limit]).expect(code).stdout;
        let heading = told.lines().next().unwrap();
        assert!(heading.ends_with("; base image causes-drifting:stable grew 1 MB"), "{told}");
    }
    project.write(&[("own", 400_000)]);
    let image = project.build("head", &lines);

    project.record(&first);
    let report = project.report(&image);
    let expected =
        json!({ "base_image": 1_000_000, "app": 300_000, "app_base": 100_005, "how": "dockerfile" });
    assert_eq!(report["split"], expected);
    let own =
        |limit: &str, code: i32| project.check(&image, &["--max-app-increase", limit]).expect(code).stdout;
    let failed = own("200 kB", 1);
    assert!(failed.contains("app exceeds max-app-increase: application layers +300 kB"), "{failed}");
    let text = own("400 kB", 0);
    let whole = project.check(&image, &["--max-increase", "400 kB"]).expect(1).stdout;
    assert!(whole.contains("next: pin the previous base image"), "{whole}");
    for told in ["  base image  ", "+1 MB", "  application layers  ", "+300 kB"] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    assert!(!text.contains("is estimated"), "{text}");
    let markdown =
        project.check(&image, &["--max-app-increase", "400 kB", "--format", "markdown"]).expect(0).stdout;
    assert!(markdown.contains("<br>base image +1 MB<br>application layers +300 kB |"), "{markdown}");
    let annotations = project.annotations(&image, &["--max-app-increase", "200 kB"], 1);
    let start = "::error file=Dockerfile,line=3,endLine=3,title=layergate%3A app max-app-increase::";
    assert!(
        annotations[0].starts_with(start),
        "our own step, and not what the base image did: {annotations:?}"
    );

    // Elsewhere, without a Dockerfile, it is estimated by the last CMD below.
    fs::remove_file(project.path("Dockerfile")).unwrap();
    project.record(&first);
    let report = project.report(&image);
    let expected = json!({ "base_image": 1_000_000, "app": 300_000, "app_base": 100_005, "how": "history" });
    assert_eq!(report["split"], expected);
    let estimated = own("200 kB", 0);
    assert!(
        estimated.contains("the end of the base image is estimated"),
        "an estimate fails nothing: {estimated}"
    );
    assert!(estimated.contains("application layers +300 kB (estimated)"), "{estimated}");
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn own_growth_is_not_evaluated_where_nobody_knows_what_is_ours() {
    let Some(project) = Project::new("unknown-base") else { return };
    project.write(&[("own", 1000)]);
    let lines = ["FROM scratch", "COPY own /own"];
    let first = project.build("base", &lines);
    project.write(&[("own", 2000)]);
    let image = project.build("head", &lines);
    // With the Dockerfile it is known: there is no base image, and all is ours.
    project.record(&first);
    project.check(&image, &["--max-app-increase", "900 B"]).expect(1);
    fs::remove_file(project.path("Dockerfile")).unwrap();
    project.record(&first);
    let unknown = project.check(&image, &["--max-app-increase", "900 B"]).expect(3);
    for part in ["max-app-increase cannot be evaluated", "where the base image ends", "--dockerfile"] {
        assert!(unknown.stdout.contains(part), "{}", unknown.stdout);
    }
}
