//! From one stage to several, on real applications: what is said of them, and that what is proposed builds,
//! runs, and is as large as was said.

use std::fs;

use serde_json::Value;

use crate::support::Run;
use crate::support::apps::{self, App};
use crate::support::engine::Engine;

/// What `check --multi-stage require` says of an image.
fn evaluated(engine: &Engine, app: &App, kind: &str, code: i32) -> (Value, Run) {
    let image = apps::image(engine, app, kind);
    let dockerfile = app.dockerfile(kind).display().to_string();
    let store = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", store.path().display());
    let arguments =
        ["check", &image, "--dockerfile", &dockerfile, "--multi-stage", "require", "--store", &store];
    let json = engine.layergate(&[&arguments[..], &["--format", "json"]].concat()).expect(code).json();
    (json["images"][0].clone(), engine.layergate(&arguments).expect(code))
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn the_tutorials_application_fails_in_one_stage_by_name_and_line() {
    let Some(engine) = apps::engine("the tutorial's application, evaluated") else { return };
    let app = App::named("seed");
    let (image, text) = evaluated(&engine, &app, "single", 1);
    let (finding, stages) = (&image["findings"][0], &image["stages"]);
    assert_eq!((finding["rule"].as_str(), finding["severity"].as_str()), (Some("multi-stage"), Some("fail")));
    assert_eq!(
        (&stages["outcome"], &stages["stages"], &stages["multi_stage"]),
        (&"fail".into(), &1.into(), &false.into())
    );
    assert_eq!(finding["dockerfile"]["line"], 5);
    let message = finding["message"].as_str().unwrap();
    let steps = ["Dockerfile:5 pip install pipenv", "Dockerfile:9 pipenv install"];
    for named in ["Python build and lock tools", "pipenv", "pip's cache", steps[0], steps[1]] {
        assert!(message.contains(named), "{named}: {message}");
    }
    assert!(text.stdout.contains("stages --propose"), "{}", text.stdout);

    // The tutorial's own multi-stage file builds on the same image, which has compilers, and ships what
    // `install -d` brings.
    let (image, text) = evaluated(&engine, &app, "multistage", 0);
    let (finding, stages) = (&image["findings"][0], &image["stages"]);
    assert_eq!((finding["rule"].as_str(), finding["severity"].as_str()), (Some("multi-stage"), Some("warn")));
    assert_eq!((&stages["stages"], &stages["multi_stage"]), (&3.into(), &true.into()));
    assert!(finding["message"].as_str().unwrap().contains("pytest"), "{}", finding["message"]);
    for named in
        ["compilers and linkers", "gcc-12", "the base image", "build the final stage on python:3-slim"]
    {
        assert!(text.stdout.contains(named), "{named}: {}", text.stdout);
    }
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn what_is_proposed_builds_runs_and_is_as_large_as_was_said() {
    let Some(engine) = apps::engine("proposals") else { return };
    for app in App::all() {
        for kind in ["single", "gcc"].into_iter().filter(|kind| app.dockerfile(kind).exists()) {
            proposal_of(&engine, &app, kind);
        }
    }
}

fn proposal_of(engine: &Engine, app: &App, kind: &str) {
    let image = apps::image(engine, app, kind);
    let dockerfile = app.dockerfile(kind).display().to_string();
    let before = fs::read(app.dockerfile(kind)).unwrap();
    let arguments = ["stages", "--propose", &dockerfile, "--image", &image];
    let text = engine.layergate(&arguments).expect(0).stdout;
    let json = engine.layergate(&[&arguments[..], &["--format", "json"]].concat()).expect(0).json();
    assert_eq!(json["dockerfile"], text.as_str());
    assert_eq!(fs::read(app.dockerfile(kind)).unwrap(), before, "it never edits");

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &text).unwrap();
    let proposed = format!("apps-{}:{kind}-proposed", app.name);
    apps::build(engine, app, file.path(), &proposed);
    assert_eq!(apps::answers(engine, &proposed, app), app.answer, "{text}");
    let [now, then] =
        [&image, &proposed].map(|image| engine.inspect(image)["totals"]["uncompressed"].as_i64().unwrap());
    assert_eq!(json["now"], now);
    let said = json["predicted"].as_i64().unwrap();
    let off = (said - then).abs() as f64 * 100.0 / then as f64;
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr().lock(),
        format_args!("{} {kind}: {now} now, {said} said, {then} then, off by {off:.1}%\n", app.name),
    );
    assert!(off < 10.0, "{}: {said} said and {then} then\n{text}", app.name);
    assert!(then < now, "{}: {then} is not smaller than {now}", app.name);

    // And it is what the rule asks for.
    let path = file.path().display().to_string();
    let evaluated =
        ["check", &proposed, "--dockerfile", &path, "--multi-stage", "require", "--format", "json"];
    let evaluated = engine.layergate(&evaluated).expect(0).json();
    assert_eq!(evaluated["images"][0]["stages"]["multi_stage"], true, "{text}");
}
