//! Whole outputs, kept beside the tests: a change to what people read is seen as a change.

use crate::support::{Run, layergate};

fn run(arguments: &[&str]) -> Run {
    Run::of(layergate().current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments))
}

const V1: &str = "web=tests/fixtures/demo/web-v1.tar";
const V2: &str = "web=tests/fixtures/demo/web-v2.tar";

/// A store in which v1 is the record of one commit.
fn recorded() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().display());
    run(&["record", V1, "--store", &store, "--commit", &"b".repeat(40)]).expect(0);
    (directory, store)
}

fn check(extra: &[&str]) -> Run {
    let (_directory, store) = recorded();
    let commit = "b".repeat(40);
    run(&[&["check", V2, "--store", &store, "--base-commit", &commit], extra].concat())
}

#[test]
fn a_check_that_fails() {
    let limits =
        ["--max-increase", "5%", "--max-size", "1.7 MiB", "--max-layers", "3", "--max-layer-size", "600 kB"];
    insta::assert_snapshot!("check_fails_text", check(&limits).expect(1).stdout);
    let format = |format| [&limits[..], &["--format", format]].concat();
    insta::assert_snapshot!("check_fails_markdown", check(&format("markdown")).expect(1).stdout);
    let json = check(&format("json")).expect(1).stdout;
    let json: String =
        json.lines().filter(|line| !line.contains("head_sha")).map(|line| format!("{line}\n")).collect();
    insta::assert_snapshot!("check_fails_json", json.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn checks_that_pass() {
    insta::assert_snapshot!(
        "check_passes",
        check(&["--max-increase", "30%", "--format", "markdown"]).expect(0).stdout
    );
    insta::assert_snapshot!(
        "check_warns",
        check(&["--warn-increase", "1%", "--format", "markdown"]).expect(0).stdout
    );
    let empty = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", empty.path().display());
    let first =
        run(&["check", V2, "--store", &store, "--max-increase", "5%", "--format", "markdown"]).expect(0);
    insta::assert_snapshot!("check_without_baseline", first.stdout);
}

#[test]
fn a_difference_and_an_inspection() {
    insta::assert_snapshot!("diff_text", run(&["diff", V1, V2]).expect(0).stdout);
    insta::assert_snapshot!("diff_markdown", run(&["diff", V1, V2, "--format", "markdown"]).expect(0).stdout);
    let edge = "tests/fixtures/engines/docker-29/edge-v2.save.tar";
    insta::assert_snapshot!("inspect_text", run(&["inspect", edge]).expect(0).stdout);
    insta::assert_snapshot!(
        "inspect_markdown",
        run(&["inspect", edge, "--format", "markdown"]).expect(0).stdout
    );
    insta::assert_snapshot!("inspect_json", run(&["inspect", edge, "--format", "json"]).expect(0).stdout);
}

#[test]
fn help() {
    for command in ["help", "help check", "help stages", "help report"] {
        let arguments: Vec<&str> = command.split(' ').collect();
        insta::assert_snapshot!(command.replace(' ', "_"), run(&arguments).expect(0).stdout);
    }
}
