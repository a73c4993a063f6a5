//! One concept, one word: what people read has none of the words that the vocabulary of ARCHITECTURE.md has replaced.

use std::fs;
use std::path::Path;

use crate::support::run;

/// A word that is not said, and the one that is. Only such as mean nothing else.
const REPLACED: [(&str, &str); 11] = [
    ("unpacked", "uncompressed"),
    ("census", "file list"),
    ("censuses", "file lists"),
    ("judge", "evaluate"),
    ("judges", "evaluates"),
    ("judged", "evaluated"),
    ("judgement", "evaluation"),
    ("hostile", "untrusted"),
    ("build-only", "removable"),
    ("build only", "removable"),
    ("not to be reached", "unreachable"),
];

/// Every replaced word of a text, with its line.
fn replaced(place: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for (word, instead) in REPLACED {
            let is_whole = |at: usize| {
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
            };
            if line.match_indices(word).any(|(at, _)| is_whole(at)) {
                found.push(format!("{place}:{}: `{word}`; say `{instead}`", number + 1));
            }
        }
    }
    found
}

fn files(directory: &Path, endings: &[&str], found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| path.extension().is_some_and(|own| own == *ending)) {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The texts between quotes of a source file, each on its line; what is between two of them may come with it.
fn quoted(source: &str) -> String {
    let code = |line: &str| !line.trim_start().starts_with("//");
    let text = |line: &str| line.split('"').skip(1).collect::<Vec<_>>().join(" ");
    source
        .lines()
        .map(|line| if code(line) { text(line) } else { String::new() })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_people_read_has_none_of_the_replaced_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for name in
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "action.yml"]
    {
        texts.push((name.to_owned(), fs::read_to_string(root.join(name)).unwrap()));
    }
    files(&root.join("docs"), &["md"], &mut texts);
    files(&root.join("schema"), &["json"], &mut texts);
    files(&root.join(".github"), &["md", "yml"], &mut texts);
    let mut sources = Vec::new();
    files(&root.join("src"), &["rs"], &mut sources);
    files(&root.join("src"), &["toml"], &mut texts);
    texts.extend(sources.into_iter().map(|(path, source)| (path, quoted(&source))));
    let commands =
        ["inspect", "diff", "check", "record", "stages", "history", "fleet", "report", "init", "schema"];
    for command in commands {
        texts.push((format!("{command} --help"), run(&[command, "--help"]).expect(0).stdout));
    }
    assert!(texts.len() > 200, "{}", texts.len());
    let found: Vec<String> = texts.iter().flat_map(|(place, text)| replaced(place, text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_replaced_word_is_found_and_a_part_of_another_is_none() {
    assert_eq!(replaced("x", "one\nis Judged here"), ["x:2: `judged`; say `evaluated`"]);
    assert!(replaced("x", "prejudged, uncensused, build_only").is_empty());
    assert_eq!(quoted("// \"hostile\"\nlet a = \"b\";"), "\nb ;");
}
