//! The manual pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Run, run, skip};

/// The page as `man` shows it, which must not complain about it; `None` where there is no `man`.
fn shown(page: &Path) -> Option<String> {
    let mut man = Command::new("man");
    man.args(["--warnings", "--local-file"]).arg(page);
    man.env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "100");
    let shown = Run::from(man.output().ok()?).expect(0);
    assert_eq!(shown.stderr, "", "{}", page.display());
    Some(shown.stdout)
}

#[test]
#[ignore = "needs man: tests/run"]
fn there_is_a_page_for_each_command_and_man_shows_it() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("share/man/man1");
    let target_text = target.display().to_string();
    let wrote = run(&["man", "--output", &target_text]).expect(0);
    assert_eq!(wrote.stdout, "");
    assert!(wrote.stderr.contains(&target_text), "{}", wrote.stderr);
    let help = run(&["help"]).expect(0).stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let commands = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut expected: BTreeSet<String> = commands
        .filter(|name| !name.is_empty() && *name != "help")
        .map(|name| format!("layergate-{name}.1"))
        .collect();
    expected.insert("layergate.1".into());
    let names: BTreeSet<String> = fs::read_dir(&target)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, expected);
    assert_eq!(run(&["man"]).expect(0).stdout, fs::read_to_string(target.join("layergate.1")).unwrap());
    for name in names {
        let Some(page) = shown(&target.join(&name)) else {
            return skip("manual pages", "there is no man");
        };
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION"] {
            assert!(page.contains(section), "{name}: {section}");
        }
        let version = concat!("layergate ", env!("CARGO_PKG_VERSION"));
        assert!(page.contains("layergate manual") && page.contains(version), "{page}");
        if name == "layergate-check.1" {
            assert!(page.contains("--max-increase") && page.contains("LIMITS"), "{page}");
            // Tables of the help keep their columns.
            assert!(
                page.contains("  NAME[:TAG], docker-daemon:NAME[:TAG]   an image of the local engine\n"),
                "{page}"
            );
        }
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = run(&["man", "--output", &file.join("man1").display().to_string()]).expect(3);
    assert!(refused.stderr.contains(&file.display().to_string()), "{}", refused.stderr);
}
