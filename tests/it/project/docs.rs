//! The documents tell the truth. What README.md and docs/ show as a command is run, what they show as its output
//! is compared, and what they show as a file is one.
//!
//! All commands of a document are run by one shell, in their order and in a place of the document's own:
//! - `console`: lines that begin with `$ ` are commands, and go on after a `\`; what follows is what they print,
//!   exactly (but for empty lines at its end). A command succeeds, or the next one is `$ echo $?`.
//! - `sh`: a script. All of its commands succeed; what they print is not looked at.
//! - `json`: a document; with a `schema`, a part of the last one that was printed.
//! - `toml`: a layergate.toml. `yaml`: an example's workflow, or steps of one. `dockerfile`: a Dockerfile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Anchorizer, Arena, Options, parse_document};
use layergate::config::Config;
use layergate::dockerfile::Dockerfile;
use serde_json::Value;

use crate::support::apps;
use crate::support::engine::Engine;
use crate::support::{Run, write_program};

/// Scripts that the documents show and that are not run here, each with the reason.
const NOT_RUN: [(&str, &str); 7] = [
    ("git fetch origin layergate-baselines", "it pushes to GitHub"),
    ("layergate fleet acme", "it asks GitHub"),
    ("tests/run", "it runs these tests"),
    ("benches/run", "it takes minutes, and needs a quiet machine"),
    ("benches/peers", "it takes minutes, and needs a quiet machine"),
    ("cargo install", "it builds the program once more, for release"),
    ("gh attestation", "it asks GitHub about a release, and there is none yet"),
];

/// References that the program writes itself, each held by a test of its own.
const GENERATED: [&str; 2] = ["docs/cli.md", "docs/config.md"];

/// Separates what is printed by one command from what is printed by the next.
const MARK: &str = "\u{1}layergate-docs\u{1}";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A document of the project.
pub struct Document {
    /// Its path in the repository.
    pub path: String,
    text: String,
}

/// A fenced block of code.
pub struct Block {
    language: String,
    pub text: String,
    /// The line of the document that it starts on.
    line: usize,
}

impl Document {
    /// README.md and docs/, without what the program writes.
    pub fn all() -> Vec<Document> {
        let listed = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut paths: Vec<String> = listed.map(|name| format!("docs/{}", name.to_str().unwrap())).collect();
        paths.retain(|path| path.ends_with(".md") && !GENERATED.contains(&path.as_str()));
        paths.push("README.md".into());
        paths.sort();
        paths.into_iter().map(Document::at).collect()
    }

    fn at(path: String) -> Document {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        Document { path, text }
    }

    /// Goes through what the document consists of.
    fn each(&self, mut look: impl for<'a> FnMut(&'a AstNode<'a>)) {
        let mut options = Options::default();
        options.extension.table = true;
        options.extension.alerts = true;
        let arena = Arena::new();
        parse_document(&arena, &self.text, &options).descendants().for_each(&mut look);
    }

    /// Its fenced blocks of code.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        self.each(|node| {
            let ast = node.data.borrow();
            if let NodeValue::CodeBlock(code) = &ast.value {
                let (language, text) = (code.info.clone(), code.literal.clone());
                blocks.push(Block { language, text, line: ast.sourcepos.start.line });
            }
        });
        blocks
    }

    /// Its blocks of one language, each with its place.
    pub fn blocks_of(&self, language: &str) -> Vec<(String, Block)> {
        let blocks = self.blocks().into_iter().filter(|block| block.language == language);
        blocks.map(|block| (format!("{}:{}", self.path, block.line), block)).collect()
    }

    /// The texts of its headings, with their levels.
    /// Whether it shows commands that need one.
    fn asks_an_engine(&self) -> bool {
        self.blocks_of("sh")
            .iter()
            .any(|(_, block)| block.text.lines().any(|line| line.starts_with("docker ")))
    }

    fn headings(&self) -> Vec<(u8, String)> {
        let mut headings = Vec::new();
        self.each(|node| {
            if let NodeValue::Heading(heading) = &node.data.borrow().value {
                headings.push((heading.level, text_of(node)));
            }
        });
        headings
    }

    fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        self.each(|node| match &node.data.borrow().value {
            NodeValue::Link(link) | NodeValue::Image(link) => links.push(link.url.clone()),
            _ => {}
        });
        links
    }
}

fn text_of<'a>(node: &'a AstNode<'a>) -> String {
    let parts = node.descendants().map(|part| match &part.data.borrow().value {
        NodeValue::Text(text) => text.to_string(),
        NodeValue::Code(code) => code.literal.clone(),
        NodeValue::SoftBreak => " ".into(),
        _ => String::new(),
    });
    parts.collect()
}

/// What one command, or one script, has to do.
struct Step {
    place: String,
    script: String,
    /// What it prints, where that is shown.
    expected: Option<String>,
    /// What the document shows of the JSON that it has printed.
    shown: Vec<Value>,
    may_fail: bool,
}

/// The commands of a `console` block.
fn commands(place: &str, block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in block.text.lines() {
        let step = steps.last_mut();
        match (line.strip_prefix("$ "), step) {
            (_, Some(step)) if goes_on => step.script += &format!("{line}\n"),
            (Some(command), _) => steps.push(Step {
                place: format!("{place}: {command}"),
                script: format!("{command}\n"),
                expected: Some(String::new()),
                shown: Vec::new(),
                may_fail: false,
            }),
            (None, Some(step)) => step.expected.get_or_insert_default().push_str(&format!("{line}\n")),
            (None, None) => panic!("{place}: a console block begins with `$ ` and a command"),
        }
        goes_on = line.ends_with('\\') && (goes_on || line.starts_with("$ "));
    }
    for index in 1..steps.len() {
        steps[index - 1].may_fail = steps[index].script == "echo $?\n";
    }
    steps
}

/// What a document has to be run, and what it shows of it.
fn steps(document: &Document) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in document.blocks() {
        let place = format!("{}:{}", document.path, block.line);
        match block.language.as_str() {
            "console" => steps.extend(commands(&place, &block)),
            "sh" if NOT_RUN.iter().any(|(named, _)| block.text.contains(named)) => {}
            "sh" => steps.push(Step {
                place,
                script: format!("set -e\n{}set +e\n", block.text),
                expected: None,
                shown: Vec::new(),
                may_fail: false,
            }),
            "json" => {
                let value: Value =
                    serde_json::from_str(&block.text).unwrap_or_else(|why| panic!("{place}: {why}"));
                if value.get("schema").is_some() {
                    steps
                        .last_mut()
                        .unwrap_or_else(|| panic!("{place}: nothing printed it"))
                        .shown
                        .push(value);
                }
            }
            // Other tests look at these; a picture says nothing that can be run.
            "yaml" | "toml" | "dockerfile" | "mermaid" => {}
            other => panic!("{place}: nothing looks at a block of `{other}`"),
        }
    }
    steps
}

/// A place to run a document in: what a fresh checkout has, the program, and the engine's client.
fn place(engine: Option<&Engine>) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let at = |path: &str| place.path().join(path);
    for directory in ["bin", "home", "checkout"] {
        fs::create_dir(at(directory)).unwrap();
    }
    for name in ["docs", "tests"] {
        std::os::unix::fs::symlink(root().join(name), at("checkout").join(name)).unwrap();
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_layergate"), at("bin/layergate")).unwrap();
    if let Some(engine) = engine {
        // The engines of tests have no network of their own to build in.
        let client = Path::new(&engine.client).display();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = build ] || exec {client} \"$@\"\nshift\nexec {client} build --network host \"$@\"\n"
        );
        write_program(&at("bin/docker"), &script);
    }
    place
}

/// Runs all steps with one shell, and gives what each has printed and its exit code.
fn outputs(steps: &[Step], engine: Option<&Engine>) -> Vec<(String, i32)> {
    let place = place(engine);
    let at = |path: &str| place.path().join(path).display().to_string();
    let mut session = String::new();
    for (index, step) in steps.iter().enumerate() {
        let file = at(&index.to_string());
        fs::write(&file, &step.script).unwrap();
        session += &format!(". {file}; code=$?; printf '{MARK}%s\\n' $code; (exit $code)\n");
    }
    fs::write(at("session"), session).unwrap();
    let mut shell = Command::new("sh");
    let path = format!("{}:{}", at("bin"), std::env::var("PATH").unwrap());
    shell.arg(at("session")).current_dir(at("checkout")).stdin(Stdio::null());
    shell.env_clear().env("PATH", path).env("HOME", at("home")).env("DOCKER_BUILDKIT", "1");
    for commits in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        shell.env(commits, "2026-01-06T10:00:00Z");
    }
    shell.env("LAYERGATE", env!("CARGO_BIN_EXE_layergate"));
    if let Some(engine) = engine {
        shell.env("DOCKER_HOST", &engine.host);
    }
    let run = Run::of(&mut shell);
    let mut rest = run.stdout.as_str();
    let mut outputs = Vec::new();
    for step in steps {
        let (printed, after) = rest
            .split_once(MARK)
            .unwrap_or_else(|| panic!("{}: this stopped the shell\n{rest}\n{}", step.place, run.stderr));
        let (code, after) = after.split_once('\n').unwrap();
        outputs.push((printed.to_owned(), code.parse().unwrap()));
        if code != "0" && !step.may_fail {
            panic!("{}: exit code {code}\n{printed}\n{}", step.place, run.stderr);
        }
        rest = after;
    }
    outputs
}

/// Whether all that is shown is there. Of a list its beginning may be shown.
fn is_part(shown: &Value, whole: &Value) -> bool {
    match (shown, whole) {
        (Value::Object(shown), Value::Object(whole)) => {
            shown.iter().all(|(key, value)| whole.get(key).is_some_and(|whole| is_part(value, whole)))
        }
        (Value::Array(shown), Value::Array(whole)) => {
            shown.len() <= whole.len() && shown.iter().zip(whole).all(|(shown, whole)| is_part(shown, whole))
        }
        (shown, whole) => shown == whole,
    }
}

/// Runs a document's commands and compares what they print with what it shows.
fn hold(document: &Document) {
    let engine = document.asks_an_engine().then(|| apps::engine(&document.path)).flatten();
    let steps = steps(document);
    let mut wrong = String::new();
    for (step, (printed, _)) in steps.iter().zip(outputs(&steps, engine.as_ref())) {
        if let Some(expected) = &step.expected
            && expected.trim_end() != printed.trim_end()
        {
            wrong += &format!("{}\n--- shown\n{expected}\n--- printed\n{printed}\n", step.place);
        }
        for shown in &step.shown {
            let whole: Value = serde_json::from_str(&printed).unwrap();
            assert!(is_part(shown, &whole), "{}: this is no part of what is printed:\n{shown:#}", step.place);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_command_of_the_documents_does_what_they_show() {
    hold_all(&|document| !document.asks_an_engine());
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn every_command_of_the_documents_that_ask_an_engine_does_what_they_show() {
    hold_all(&Document::asks_an_engine);
}

fn hold_all(which: &dyn Fn(&Document) -> bool) {
    let documents: Vec<Document> = Document::all().into_iter().filter(which).collect();
    assert!(!documents.is_empty());
    let failed: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> =
            documents.iter().map(|document| (document, scope.spawn(|| hold(document)))).collect();
        let failed = running.into_iter().filter_map(|(document, thread)| {
            let why = thread.join().err()?;
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            Some(format!("{}: {why}", document.path))
        });
        failed.collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn configurations_and_dockerfiles_that_are_shown_can_be_used() {
    let mut seen = 0;
    for document in Document::all() {
        for (place, block) in document.blocks_of("toml") {
            Config::parse(&place, &block.text).unwrap();
            seen += 1;
        }
        for (place, block) in document.blocks_of("dockerfile") {
            let parsed = Dockerfile::parse(&block.text);
            parsed.unwrap_or_else(|why| panic!("{place}: {why}"));
        }
    }
    assert!(seen > 0);
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut documents = Document::all();
    for path in GENERATED.iter().chain(&["tests/fixtures/README.md"]) {
        if root().join(path).exists() {
            documents.push(Document::at((*path).to_owned()));
        }
    }
    let anchors = |document: &Document| -> Vec<String> {
        let mut anchorizer = Anchorizer::new();
        document.headings().iter().map(|(_, text)| anchorizer.anchorize(text)).collect()
    };
    let anchors: BTreeMap<PathBuf, Vec<String>> = documents
        .iter()
        .map(|document| (root().join(&document.path).canonicalize().unwrap(), anchors(document)))
        .collect();
    for document in &documents {
        let here = root().join(&document.path);
        for link in document.links().iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { here.clone() } else { here.parent().unwrap().join(file) };
            // What is written by the program may not have been written yet.
            if !target.exists() && GENERATED.iter().any(|path| target.ends_with(path)) {
                continue;
            }
            let target = target.canonicalize().unwrap_or_else(|_| panic!("{}: {link}", document.path));
            let known =
                || anchors.get(&target).is_some_and(|anchors| anchors.iter().any(|known| known == anchor));
            assert!(anchor.is_empty() || known(), "{}: no such heading: {link}", document.path);
        }
    }
}

/// All strings of the program: its source with the text of a long one in one line, and without back-ticks, which
/// a heading cannot show.
fn sources() -> String {
    fn add(directory: &Path, all: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, all);
            } else if !path.ends_with("tests.rs") {
                *all += &fs::read_to_string(&path).unwrap();
            }
        }
    }
    let mut all = String::new();
    add(&root().join("src"), &mut all);
    add(&root().join("action"), &mut all);
    let mut lines = all.replace('`', "").replace("\\\"", "\"").replace("\\n", "\n");
    while let Some(at) = lines.find("\\\n") {
        let after = lines[at + 2..].len() - lines[at + 2..].trim_start().len();
        lines.replace_range(at..at + 2 + after, "");
    }
    lines
}

/// A message as it is shown: `…` stands for what it says of the case.
fn is_said(message: &str, sources: &str) -> bool {
    let parts: Vec<&str> = message.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
    let Some((first, rest)) = parts.split_first() else { return false };
    sources.match_indices(first).any(|(at, _)| {
        let line = sources[at..].lines().next().unwrap_or_default();
        let mut left = &line[first.len()..];
        rest.iter().all(|part| match left.split_once(part) {
            Some((_, after)) => {
                left = after;
                true
            }
            None => false,
        })
    })
}

#[test]
fn the_messages_that_are_explained_are_the_programs_own() {
    let document = Document::at("docs/troubleshooting.md".into());
    let sources = sources();
    let messages: Vec<String> =
        document.headings().into_iter().filter(|(level, _)| *level == 3).map(|(_, text)| text).collect();
    assert!(messages.len() > 10);
    for message in messages {
        assert!(is_said(&message, &sources), "the program does not say: {message}");
    }
    assert!(!is_said("cannot reach a … at all", &sources));
}

#[test]
fn the_demo_prints_a_comment_that_says_why_it_fails() {
    let mut demo = Command::new(root().join("tests/demo"));
    demo.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let run = Run::of(demo.env("LAYERGATE", env!("CARGO_BIN_EXE_layergate"))).expect(0);
    for said in [
        "### \u{274c} `web` exceeds max-increase: 1.91 MB (+348 kB, +22.3%)\n",
        "**Why:** `\u{2026}/Dockerfile:12` `/build/install -r /app/requirements.txt` +348 kB (`pandas` 2.2.3 +347 kB)",
        "| \u{274c} | `web` | +348 kB (+22.3%) | max-increase = 5% | 1.91 MB |\n",
    ] {
        assert!(run.stdout.contains(said), "{said}\n{}", run.stdout);
    }
    let codes: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("exit code")).collect();
    assert_eq!(codes, ["exit code 0", "exit code 1", "exit code 0"]);
}

#[test]
fn the_action_and_the_documents_name_the_same_outputs() {
    let action = fs::read_to_string(root().join("action.yml")).unwrap();
    let outputs = action.split("\noutputs:\n").nth(1).unwrap().split("\nruns:").next().unwrap();
    let names = outputs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let setups = fs::read_to_string(root().join("docs/setups.md")).unwrap();
    for name in names.map(|line| line.trim().trim_end_matches(':')) {
        assert!(setups.contains(&format!("`{name}`")), "{name}");
    }
}

/// What holds the documents does find what is wrong with one.
#[test]
fn a_document_that_is_wrong_is_found() {
    let of = |text: &str| Document { path: "wrong.md".into(), text: text.into() };
    let found = |text: &str| std::panic::catch_unwind(|| hold(&of(text))).is_err();
    assert!(!found("```console\n$ echo a \\\n  b\na b\n$ cd docs\n$ false\n$ echo $?\n1\n```\n"));
    assert!(found("```console\n$ echo a\nb\n```\n"), "another output");
    assert!(found("```console\n$ echo a\n```\n"), "an output that is not shown");
    assert!(found("```console\n$ false\n```\n"), "a failure");
    assert!(found("```sh\nfalse\ntrue\n```\n"), "a failure in the middle of a script");
    assert!(found("```sh\nexit 0\n```\n"), "a shell that ended");
    assert!(found("```fortran\nEND\n```\n"), "what nobody looks at");
    let printed = "```sh\necho '{\"schema\": \"a\", \"b\": [1, 2]}'\n```\n";
    assert!(!found(&format!("{printed}```json\n{{\"schema\": \"a\", \"b\": [1]}}\n```\n")));
    assert!(
        found(&format!("{printed}```json\n{{\"schema\": \"a\", \"b\": [2]}}\n```\n")),
        "another document"
    );
}
