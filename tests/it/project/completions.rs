//! Completions, in the shells that they are for.

use std::process::Command;

use crate::support::{Run, run, skip};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// What a shell says to a script that loads the completions from a file named `$1`.
fn asked(shell: &str, arguments: &[&str], script: &str) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("_layergate");
    std::fs::write(&file, run(&["completions", shell]).expect(0).stdout).unwrap();
    let mut command = Command::new(shell);
    command.args(arguments).args(["-c", script]).arg(shell).arg(&file);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", directory.path());
    let output = command.output().ok()?;
    let run = Run::from(output).expect(0);
    assert_eq!(run.stderr, "", "{shell}");
    Some(run.stdout)
}

#[test]
fn each_shell_has_its_own_with_every_command() {
    for shell in SHELLS {
        let text = run(&["completions", shell]).expect(0).stdout;
        for word in ["check", "schema", "max-increase", "on-missing-baseline"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    let refused = run(&["completions", "tcsh"]).expect(2);
    assert!(
        refused.stderr.contains("[possible values: bash, elvish, fish, powershell, zsh]"),
        "{}",
        refused.stderr
    );
}

#[test]
fn bash_completes_commands_options_and_values() {
    let script = r#"
        source "$1"
        complete -p layergate
        try() {
            COMP_WORDS=(layergate "$@") COMP_CWORD=$# COMPREPLY=()
            _layergate layergate "${!#}" "${@:$#-1:1}"
            echo "${COMPREPLY[*]}"
        }
        try sch
        try check --max-la
        try check --comment f
        try schema ''
    "#;
    let said = asked("bash", &["--norc"], script).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].ends_with(" -F _layergate layergate"), "{said}");
    assert_eq!(lines[1], "schema");
    assert_eq!(lines[2], "--max-layers --max-layer-size");
    assert_eq!(lines[3], "failures");
    assert!(lines[4].ends_with("config snapshot report fleet"), "{said}");
}

#[test]
#[ignore = "needs fish: tests/run"]
fn fish_completes_commands_and_options() {
    let script = "source $argv[1]; complete -C 'layergate sche'; complete -C 'layergate check --max-la'";
    let Some(said) = asked("fish", &["--no-config"], &script.replace("$argv[1]", "$argv[2]")) else {
        return skip("fish", "it is not installed");
    };
    assert!(said.starts_with("schema\t"), "{said}");
    assert!(said.contains("\n--max-layers\t") && said.contains("\n--max-layer-size\t"), "{said}");
}

#[test]
#[ignore = "needs zsh: tests/run"]
fn zsh_takes_its_function() {
    let script = "autoload -U compinit; compinit -D; source $1; print ${_comps[layergate]}";
    let Some(said) = asked("zsh", &["-f"], script) else {
        return skip("zsh", "it is not installed");
    };
    assert_eq!(said.trim(), "_layergate");
}
