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
fn a_number_and_its_unit_stay_on_one_line() {
    for format in ["text", "markdown"] {
        let printed = layergate().args(["diff", V1, V2, "--format", format]).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        assert!(printed.contains("+348\u{a0}kB") && !printed.contains(" kB"), "{printed}");
    }
}

/// What a terminal of so many columns shows (`script` of util-linux makes one).
fn on_a_terminal(columns: usize, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_layergate");
    let line = format!("stty cols {columns} rows 50; exec {program} {arguments} 2>/dev/null");
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    script.env("NO_COLOR", "1").env("SHELL", "/bin/sh").stdin(std::process::Stdio::null());
    for variable in ["CI", "GITHUB_ACTIONS", "LAYERGATE_STORE"] {
        script.env_remove(variable);
    }
    Run::unwatched(&mut script).stdout.replace("\r\n", "\n")
}

#[test]
fn a_terminal_of_eighty_and_of_a_hundred_and_forty_columns() {
    let (_directory, store) = recorded();
    let commit = "b".repeat(40);
    let check = format!("check {V2} --store {store} --base-commit {commit} --max-increase 5%");
    let difference = format!("diff {V1} {V2}");
    let commands = [
        ("inspect", "inspect tests/fixtures/engines/docker-29/edge-v2.save.tar"),
        ("diff", &difference),
        ("check", &check),
        (
            "stages",
            "stages tests/fixtures/seed/Dockerfile.multistage tests/fixtures/seed/Dockerfile.proposed",
        ),
    ];
    for columns in [80, 140] {
        for (name, arguments) in commands {
            let shown = on_a_terminal(columns, arguments);
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest > 20 && widest <= columns, "{widest} of {columns}:\n{shown}");
            insta::assert_snapshot!(format!("{name}_at_{columns}_columns"), shown);
        }
    }
}

#[test]
fn help() {
    for command in ["help", "help check", "help stages", "help report"] {
        let arguments: Vec<&str> = command.split(' ').collect();
        insta::assert_snapshot!(command.replace(' ', "_"), run(&arguments).expect(0).stdout);
    }
}
