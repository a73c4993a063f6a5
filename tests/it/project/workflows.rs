//! The workflows of this project and those that it shows: what a security reviewer reads before allowing any.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::docs::{Block, Document};
use crate::support::{Run, layergate, skip};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Vec<(PathBuf, String)> {
    let listed = fs::read_dir(root().join(".github/examples")).unwrap();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// What documents show of workflows: whole ones, and steps of one.
fn shown(whole: bool) -> Vec<(String, Block)> {
    let documents = Document::all();
    let blocks = documents.iter().flat_map(|document| document.blocks_of("yaml"));
    blocks.filter(|(_, block)| block.text.starts_with("name: ") == whole).collect()
}

#[test]
fn the_workflows_of_the_documents_are_those_that_are_there_to_copy() {
    let (shown, examples) = (shown(true), examples());
    assert!(shown.len() >= 3);
    for (place, block) in &shown {
        assert!(examples.iter().any(|(_, text)| *text == block.text), "{place}: no example is this");
    }
    for (path, text) in &examples {
        assert!(shown.iter().any(|(_, block)| block.text == *text), "{} is not shown", path.display());
    }
}

/// The inputs that a workflow, or steps of one, give to layergate.
fn given<'a>(workflow: &'a str, action: &str) -> Vec<&'a str> {
    let uses = format!("uses: {action}@");
    let steps = workflow.split(&uses).skip(1);
    let lines = steps.collect::<Vec<_>>().into_iter().flat_map(|step| {
        let mut inputs = step.lines().skip(1).skip_while(|line| line.trim() != "with:").peekable();
        let depth = |line: &str| line.len() - line.trim_start().len();
        let inside = inputs.next().map(depth).unwrap_or_default() + 2;
        // What is further in is a text of several lines.
        inputs.take_while(move |line| depth(line) >= inside).filter(move |line| depth(line) == inside)
    });
    let keys = lines.map(str::trim).filter(|line| !line.starts_with('#'));
    keys.filter_map(|line| line.split(':').next()).collect()
}

#[test]
fn the_inputs_that_the_workflows_give_are_there() {
    let steps = shown(false).into_iter().map(|(place, block)| (place, block.text));
    let examples = examples().into_iter().map(|(path, text)| (path.display().to_string(), text));
    for (place, text) in examples.chain(steps) {
        let mut any = false;
        for (action, file) in
            [("layergate/layergate", "action.yml"), ("layergate/layergate/page", "page/action.yml")]
        {
            let action_file = fs::read_to_string(root().join(file)).unwrap();
            for input in given(&text, action) {
                any = true;
                assert!(action_file.contains(&format!("\n  {input}:\n")), "{place}: {input}");
            }
        }
        assert!(any, "{place}");
    }
}

#[test]
fn every_option_of_what_the_action_runs_is_an_input_of_it_and_is_passed_on() {
    let action = fs::read_to_string(root().join("action.yml")).unwrap();
    let help = |command: &str| Run::of(layergate().args([command, "--help"])).expect(0).stdout;
    let help = ["check", "record", "report"].map(help).concat();
    // What the page's action asks for is nothing for a check.
    let page = fs::read_to_string(root().join("page/action.yml")).unwrap();
    assert!(page.contains("LAYERGATE_ONLY_COMMENT: \"true\""), "{page}");
    let options: Vec<&str> = help
        .lines()
        // What an option means stands further in, and may begin with the name of another one.
        .filter_map(|line| line.strip_prefix("      --").or(line.strip_prefix("  -q, --")))
        .map(|rest| rest.split([' ', '[']).next().unwrap())
        .filter(|option| !["help", "only-comment"].contains(option))
        .collect();
    assert!(options.len() > 15, "{options:?}");
    for option in options {
        assert!(action.contains(&format!("\n  {option}:\n")), "{option} is no input");
        let variable = option.replace('-', "_").to_uppercase();
        // It may have a default of its own.
        let passed = format!("LAYERGATE_{variable}: ${{{{ inputs.{option} ");
        assert!(action.contains(&passed), "{option} is not passed on");
    }
}

/// Steps that a document shows, in a workflow that has nothing else.
fn workflow_of(steps: &str) -> String {
    let steps: String = steps.lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "name: steps\n\non: workflow_dispatch\n\npermissions: {{}}\n\nconcurrency:\n  group: steps\n  \
         cancel-in-progress: false\n\njobs:\n  steps:\n    name: steps\n    runs-on: ubuntu-latest\n    steps:\n{steps}"
    )
}

#[test]
#[ignore = "needs zizmor: tests/run"]
fn an_auditor_finds_nothing_in_workflows_examples_and_the_action() {
    let Some(zizmor) = std::env::var_os("LAYERGATE_TEST_ZIZMOR").filter(|path| !path.is_empty()) else {
        skip("the audit of the workflows", "no `zizmor` was installed for it");
        return;
    };
    let audit = |config: &Path, paths: &[&str]| {
        let mut command = Command::new(&zizmor);
        command.current_dir(root()).args([
            "--offline",
            "--no-progress",
            "--strict-collection",
            "--persona",
            "auditor",
            "--config",
        ]);
        Run::of(command.arg(config).args(paths))
    };
    let examples: Vec<String> = examples().iter().map(|(path, _)| path.display().to_string()).collect();
    let mut all: Vec<&str> = examples.iter().map(String::as_str).collect();
    all.extend(["action.yml", "page/action.yml", ".github/workflows", ".github/dependabot.yml"]);
    let directory = tempfile::tempdir().unwrap();
    let steps = directory.path().join(".github/workflows");
    fs::create_dir_all(&steps).unwrap();
    for (number, (_, block)) in shown(false).iter().enumerate() {
        fs::write(steps.join(format!("steps-{number}.yml")), workflow_of(&block.text)).unwrap();
    }
    let steps = steps.display().to_string();
    all.push(&steps);
    audit(Path::new(".github/zizmor.yml"), &all).expect(0);

    // It does look: what the configuration lets pass is found without it.
    let empty = tempfile::NamedTempFile::new().unwrap();
    fs::write(empty.path(), "rules: {}\n").unwrap();
    let found = audit(empty.path(), &all);
    assert!(found.code != 0 && found.stdout.contains("unpinned-uses"), "{}{}", found.stdout, found.stderr);
}

#[test]
#[ignore = "needs shellcheck: tests/run"]
fn scripts_have_nothing_that_a_shell_would_stumble_over() {
    if Run::of(Command::new("sh").args(["-c", "command -v shellcheck"])).code != 0 {
        skip("the check of the scripts", "there is no `shellcheck`");
        return;
    }
    let mut list = Command::new("grep");
    list.current_dir(root()).args(["--recursive", "--files-with-matches", "--extended-regexp"]);
    // A jar may begin with a script, and is none.
    list.args([
        "--binary-files=without-match",
        "--exclude=*Dockerfile",
        "^#!/(bin/(sh|bash)|usr/bin/env bash)$",
    ]);
    let found = Run::of(list.args([".ci", "action", "benches", "release", "tests"])).expect(0).stdout;
    // What is sourced has no such first line.
    let scripts: Vec<&str> =
        found.lines().filter(|file| !file.ends_with(".rs")).chain(["tests/services"]).collect();
    assert!(scripts.len() > 8 && scripts.contains(&"action/install.sh"), "{scripts:?}");
    let mut check = Command::new("shellcheck");
    let run = Run::of(check.current_dir(root()).arg("--external-sources").args(scripts));
    assert_eq!(run.code, 0, "{}", run.stdout);
}

#[test]
#[ignore = "needs check-jsonschema: tests/run"]
fn workflows_the_action_and_forms_are_valid_by_the_published_schemas() {
    let Some(schemas) = std::env::var_os("LAYERGATE_TEST_SCHEMAS").filter(|path| !path.is_empty()) else {
        skip("the schemas of workflows", "no `check-jsonschema` was installed for it");
        return;
    };
    let evaluate = |schema: &str, files: &[String]| {
        let mut command = Command::new("python3");
        command.current_dir(root()).env("PYTHONPATH", &schemas).args(["-m", "check_jsonschema"]);
        Run::of(command.args(["--builtin-schema", schema]).args(files))
    };
    let files = |directory: &str, but: &str| -> Vec<String> {
        let listed = fs::read_dir(root().join(directory)).unwrap();
        let paths = listed.map(|entry| entry.unwrap().path().display().to_string());
        paths.filter(|path| path.ends_with(".yml") && !path.ends_with(but)).collect()
    };
    let mut workflows = files(".github/workflows", "-");
    workflows.extend(files(".github/examples", "-"));
    for (schema, files) in [
        ("vendor.github-workflows", workflows),
        ("vendor.github-actions", ["action.yml", "page/action.yml"].map(str::to_owned).to_vec()),
        ("vendor.dependabot", vec![".github/dependabot.yml".to_owned()]),
        ("vendor.github-issue-forms", files(".github/ISSUE_TEMPLATE", "/config.yml")),
        ("vendor.github-issue-config", vec![".github/ISSUE_TEMPLATE/config.yml".to_owned()]),
    ] {
        assert!(!files.is_empty(), "{schema}");
        let run = evaluate(schema, &files);
        assert_eq!(run.code, 0, "{schema}: {}{}", run.stdout, run.stderr);
    }
    // It does evaluate: an action is no workflow.
    assert_ne!(evaluate("vendor.github-workflows", &["action.yml".to_owned()]).code, 0);
}
