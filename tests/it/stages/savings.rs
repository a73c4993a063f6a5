//! What is said to be saved, against what is saved once it is done: the fix of ten applications, and each kind of
//! advice, applied as it is written. What comes of it runs.

use std::fs;

use serde_json::Value;

use crate::support::apps::{self, App};
use crate::support::engine::Engine;

/// Applications whose Dockerfiles are here, and what they are built from.
const OTHERS: &[(&str, &str, &str)] = &[(
    "seed",
    "flask-on-slim",
    "FROM python:3-slim\nRUN pip install flask pytest pipenv\nCOPY . /app/notes\nWORKDIR /app/notes\nCMD [\"flask\", \"run\", \"--port=80\", \"--host=0.0.0.0\"]\n",
)];

/// A Dockerfile of these tests, or one of the application's own.
struct Case {
    app: App,
    name: String,
    dockerfile: String,
}

impl Case {
    fn all() -> Vec<Case> {
        let own = App::all().into_iter().flat_map(|app| {
            let kinds = ["single", "gcc"].into_iter().filter(|kind| app.dockerfile(kind).exists());
            let texts: Vec<(&str, String)> =
                kinds.map(|kind| (kind, fs::read_to_string(app.dockerfile(kind)).unwrap())).collect();
            let name = app.name;
            texts.into_iter().map(move |(kind, dockerfile)| Case {
                app: App::named(name),
                name: kind.to_owned(),
                dockerfile,
            })
        });
        let others = OTHERS.iter().map(|(app, name, dockerfile)| Case {
            app: App::named(app),
            name: (*name).to_owned(),
            dockerfile: (*dockerfile).to_owned(),
        });
        own.chain(others).collect()
    }
}

/// Builds a Dockerfile of an application, and sees that it answers. Its uncompressed bytes.
#[track_caller]
fn built(engine: &Engine, app: &App, text: &str, tag: &str) -> i64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    apps::build(engine, app, file.path(), tag);
    assert_eq!(apps::answers(engine, tag, app), app.answer, "{tag}\n{text}");
    engine.inspect(tag)["totals"]["uncompressed"].as_i64().unwrap()
}

/// What `stages` says of a Dockerfile and its image.
fn said(engine: &Engine, text: &str, tag: &str) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    let run = engine.layergate(&["stages", &path, "--image", tag, "--format", "json"]).expect(0);
    run.json()["dockerfiles"][0].clone()
}

fn proposal(engine: &Engine, text: &str, tag: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    engine.layergate(&["stages", "--propose", &path, "--image", tag]).expect(0).stdout
}

fn row(text: std::fmt::Arguments<'_>) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr().lock(), text);
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn applications_save_what_was_said() {
    let Some(engine) = apps::engine("what fixes save") else { return };
    let cases = Case::all();
    let mut without = 0;
    for case in &cases {
        let tag = format!("savings-{}:{}", case.app.name, case.name);
        let now = built(&engine, &case.app, &case.dockerfile, &tag);
        let entry = said(&engine, &case.dockerfile, &tag);
        let fix = &entry["fix"];
        let Some(promised) = fix["saves"].as_i64() else {
            // Nothing in the Dockerfile could be moved: the image is large by what it starts from.
            assert_eq!(entry["evaluated"]["help"], "", "{tag}: {entry:#}");
            row(format_args!("{tag}: no fix is offered\n"));
            without += 1;
            continue;
        };
        let text = proposal(&engine, &case.dockerfile, &tag);
        let then = built(&engine, &case.app, &text, &format!("{tag}-fixed"));
        let off = (promised - (now - then)).abs() as f64 * 100.0 / (now - then) as f64;
        let lines = &fix["lines"];
        row(format_args!(
            "{tag}: lines {lines}: {promised} said, {} saved of {now}, off by {off:.1}%\n",
            now - then
        ));
        assert!(off <= 5.0, "{tag}: {promised} said, {} saved\n{text}", now - then);
        assert!(!text.contains(".cache /") && !text.contains(".cache\n"), "{tag}: a cache is copied\n{text}");
    }
    assert!(cases.len() - without >= 7, "{without} of {} have no fix", cases.len());
}

/// How an advice is applied to a Dockerfile.
enum Apply {
    /// The command that the advice names as code, after `&&`, goes to the end of this line.
    End(usize),
}

struct Advice {
    app: &'static str,
    kind: &'static str,
    dockerfile: &'static str,
    apply: Apply,
}

const BUILD_IN_ONE: &str = "FROM debian:bookworm-slim\nWORKDIR /src\nCOPY . .\nRUN apt-get update && apt-get install -y gcc libc6-dev make && make\nCMD [\"/src/server\"]\n";
const NODE: &str = "FROM node:20-slim\nWORKDIR /app\nCOPY . .\nRUN npm ci && npm run build\nCMD [\"node\", \"dist/server.js\"]\n";

const ADVICE: &[Advice] = &[
    Advice { app: "c-server", kind: "compilers", dockerfile: BUILD_IN_ONE, apply: Apply::End(4) },
    Advice { app: "c-server", kind: "build-tools", dockerfile: BUILD_IN_ONE, apply: Apply::End(4) },
    Advice { app: "c-server", kind: "apt-cache", dockerfile: BUILD_IN_ONE, apply: Apply::End(4) },
    Advice { app: "node-dev", kind: "npm-cache", dockerfile: NODE, apply: Apply::End(4) },
];

impl Advice {
    fn applied(&self, help: &str) -> String {
        match self.apply {
            Apply::End(line) => {
                let (_, command) = help.split_once("`&& ").unwrap_or_else(|| panic!("{help}"));
                let (command, _) = command.split_once('`').unwrap_or_else(|| panic!("{help}"));
                let lines = self.dockerfile.lines().enumerate().map(|(at, text)| match at + 1 == line {
                    true => format!("{text} && {command}\n"),
                    false => format!("{text}\n"),
                });
                lines.collect()
            }
        }
    }
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn advice_that_is_followed_saves_what_was_said_and_the_program_runs() {
    let Some(engine) = apps::engine("advice that is followed") else { return };
    for advice in ADVICE {
        let app = App::named(advice.app);
        let tag = format!("advice-{}:{}", advice.app, advice.kind);
        let now = built(&engine, &app, advice.dockerfile, &tag);
        let entry = said(&engine, advice.dockerfile, &tag);
        let removable = entry["removable"].as_array().unwrap();
        let of_kind: Vec<&Value> = removable
            .iter()
            .filter(|one| one["kind"] == advice.kind && one["layer"]["of_base_image"] != true)
            .collect();
        let promised: i64 = of_kind.iter().map(|one| one["bytes"].as_i64().unwrap()).sum();
        let help = of_kind.first().unwrap_or_else(|| panic!("{tag}: {entry:#}"))["help"].as_str().unwrap();
        let text = advice.applied(help);
        let then = built(&engine, &app, &text, &format!("{tag}-applied"));
        let saved = now - then;
        row(format_args!("{tag}: {promised} said, {saved} saved: {help}\n"));
        // What goes with a package, such as its documentation, is of other kinds.
        assert!(
            saved as f64 >= promised as f64 * 0.95,
            "{tag}: {promised} said, {saved} saved\n{help}\n{text}"
        );
        assert!(
            saved as f64 <= promised as f64 * 1.25 + 50_000.0,
            "{tag}: {promised} said, {saved} saved\n{help}"
        );
    }
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn what_a_container_starts_stays() {
    let Some(engine) = apps::engine("what a container starts") else { return };
    let app = App::named("c-server");
    let text = "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y gcc libc6-dev make\nWORKDIR /src\nCOPY . .\nCMD [\"sh\", \"-c\", \"make && exec ./server\"]\n";
    let tag = "advice-c-server:makes-when-it-starts";
    built(&engine, &app, text, tag);
    let entry = said(&engine, text, tag);
    let tools: Vec<&Value> =
        entry["removable"].as_array().unwrap().iter().filter(|one| one["kind"] == "build-tools").collect();
    assert!(!tools.is_empty(), "{entry:#}");
    for one in tools {
        assert_eq!(one["ignored"], "CMD runs make", "{one:#}");
    }
}
