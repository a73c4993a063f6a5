//! The README tells the truth: its commands are run and its outputs compared.

use std::fs;
use std::process::Command;

use layergate::policy::Config;

use crate::support::{Run, layergate};

fn readme() -> String {
    fs::read_to_string(format!("{}/README.md", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The code blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    text.split(start.as_str()).skip(1).map(|rest| rest.split("```\n").next().unwrap()).collect()
}

#[test]
fn every_console_block_prints_what_it_shows() {
    let text = readme();
    let blocks = blocks(&text, "console");
    assert!(!blocks.is_empty());
    for block in blocks {
        let (command, expected) = block.strip_prefix("$ layergate ").unwrap().split_once('\n').unwrap();
        let mut program = layergate();
        program.current_dir(env!("CARGO_MANIFEST_DIR")).args(command.split(' '));
        assert_eq!(Run::of(&mut program).expect(0).stdout, expected, "{command}");
    }
}

#[test]
fn the_demo_prints_the_comment_that_the_readme_opens_with() {
    let mut demo = Command::new(format!("{}/tests/demo", env!("CARGO_MANIFEST_DIR")));
    demo.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let run = Run::of(demo.env("LAYERGATE", env!("CARGO_BIN_EXE_layergate"))).expect(0);
    let text = readme();
    let comment: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix('>')).map(str::trim_start).collect();
    assert!(comment.len() > 5);
    assert!(run.stdout.contains(&comment.join("\n")), "{}", run.stdout);
    let codes: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("exit code")).collect();
    assert_eq!(codes, ["exit code 0", "exit code 1", "exit code 0"]);
}

#[test]
fn the_configuration_is_one() {
    let text = readme();
    for block in blocks(&text, "toml") {
        Config::parse("README.md", block).unwrap();
    }
}

#[test]
fn every_option_of_what_the_action_runs_is_an_input_of_it_and_is_passed_on() {
    let action = fs::read_to_string(format!("{}/action.yml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let help = |command: &str| Run::of(layergate().args([command, "--help"])).expect(0).stdout;
    let help = ["check", "record", "report"].map(help).concat();
    let options: Vec<&str> = help
        .lines()
        .map(|line| line.trim().trim_start_matches("-q, "))
        .filter_map(|line| line.strip_prefix("--"))
        .map(|rest| rest.split([' ', '[']).next().unwrap())
        .filter(|option| *option != "help")
        .collect();
    assert!(options.len() > 15, "{options:?}");
    for option in options {
        assert!(action.contains(&format!("\n  {option}:\n")), "{option} is no input");
        let variable = option.replace('-', "_").to_uppercase();
        let passed = format!("LAYERGATE_{variable}: ${{{{ inputs.{option} }}}}");
        assert!(action.contains(&passed), "{option} is not passed on");
    }
}

#[test]
fn the_action_and_the_readme_name_the_same_outputs() {
    let action = fs::read_to_string(format!("{}/action.yml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let outputs = action.split("\noutputs:\n").nth(1).unwrap().split("\nruns:").next().unwrap();
    let names = outputs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.map(|line| line.trim().trim_end_matches(':')) {
        assert!(readme().contains(&format!("`{name}`")), "{name}");
    }
}
