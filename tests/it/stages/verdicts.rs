//! Whether images are built in stages, or need none: Dockerfiles as people write them, each with the verdict that
//! is right for it, really built and evaluated.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::apps;
use crate::support::engine::Engine;
use crate::support::{Run, layergate};

mod pairs;

/// A Dockerfile, what it is built with, and what is right to say of its image.
struct Pair {
    name: &'static str,
    /// `pass`, `warn` or `fail`.
    outcome: &'static str,
    dockerfile: &'static str,
    /// The build context.
    files: Vec<(&'static str, Content)>,
    /// What the reason has to say, and what it must not.
    says: Vec<&'static str>,
    never_says: Vec<&'static str>,
    /// What the first thing to do has to say.
    helps: Vec<&'static str>,
    /// The line that is to blame.
    line: Option<u64>,
    /// Kinds that have to be found, whatever they are worth.
    kinds: Vec<&'static str>,
    /// Options of the build and of the check alike: `--target`, `--build-arg`.
    options: Vec<&'static str>,
    config: &'static str,
    /// What the Dockerfile is when the image is evaluated; empty where there is none.
    later: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Content {
    Text(&'static str),
    Bytes(usize),
    /// A program that runs without any other file.
    Program,
}

fn pair(name: &'static str, outcome: &'static str, dockerfile: &'static str) -> Pair {
    Pair {
        name,
        outcome,
        dockerfile,
        files: Vec::new(),
        says: Vec::new(),
        never_says: Vec::new(),
        helps: Vec::new(),
        line: None,
        kinds: Vec::new(),
        options: Vec::new(),
        config: "",
        later: None,
    }
}

impl Pair {
    fn file(mut self, path: &'static str, content: Content) -> Pair {
        self.files.push((path, content));
        self
    }

    fn says(mut self, words: &[&'static str]) -> Pair {
        self.says.extend(words);
        self
    }

    fn never_says(mut self, words: &[&'static str]) -> Pair {
        self.never_says.extend(words);
        self
    }

    fn helps(mut self, words: &[&'static str]) -> Pair {
        self.helps.extend(words);
        self
    }

    fn at(self, line: u64) -> Pair {
        Pair { line: Some(line), ..self }
    }

    fn kinds(mut self, kinds: &[&'static str]) -> Pair {
        self.kinds.extend(kinds);
        self
    }

    fn option(mut self, name: &'static str, value: &'static str) -> Pair {
        self.options.extend([name, value]);
        self
    }

    fn config(self, config: &'static str) -> Pair {
        Pair { config, ..self }
    }

    /// The Dockerfile was edited after the build, or is not at hand.
    fn later(self, dockerfile: &'static str) -> Pair {
        Pair { later: Some(dockerfile), ..self }
    }

    fn write_context(&self, directory: &Path, engine: &Engine) {
        for (path, content) in &self.files {
            write(&directory.join(path), *content, engine);
        }
    }

    fn evaluate(&self, engine: &Engine, directory: &Path, image: &str) -> Run {
        let dockerfile = self.later.unwrap_or(self.dockerfile);
        fs::write(directory.join("layergate.toml"), self.config).unwrap();
        let mut command = layergate();
        command.current_dir(directory).env("DOCKER_HOST", &engine.host).env("XDG_CACHE_HOME", cache());
        command.args(["check", image, "--multi-stage", "require", "--format", "json"]).args(&self.options);
        if !dockerfile.is_empty() {
            fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
            command.args(["--dockerfile", "Dockerfile"]);
        }
        Run::of(&mut command)
    }

    /// What is wrong with a verdict, if something is.
    fn faults(&self, run: &Run) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |is: bool, text: String| {
            if is {
                faults.push(text);
            }
        };
        if run.stdout.is_empty() {
            return vec![format!("exit {}: {}", run.code, run.stderr)];
        }
        let image = run.json()["images"][0].take();
        let stages = &image["stages"];
        let reason = stages["reason"].as_str().unwrap_or_default();
        let help = stages["help"].as_str().unwrap_or_default();
        fault(stages["outcome"] != self.outcome, format!("is {}: {reason}", stages["outcome"]));
        let (verdict, code) = match self.outcome {
            "pass" => ("pass", 0),
            "warn" => ("warn", 0),
            _ => ("fail", 1),
        };
        fault(run.code != code, format!("exit {}", run.code));
        fault(image["verdict"] != verdict, format!("the check says {}", image["verdict"]));
        for word in self.says.iter().filter(|word| !reason.contains(**word)) {
            fault(true, format!("does not say `{word}`: {reason}"));
        }
        for word in self.never_says.iter().filter(|word| reason.contains(**word)) {
            fault(true, format!("says `{word}`: {reason}"));
        }
        for word in self.helps.iter().filter(|word| !help.contains(**word)) {
            fault(true, format!("does not help by `{word}`: {help}"));
        }
        let line = stages["dockerfile"]["line"].as_u64();
        fault(line != self.line, format!("names line {line:?}"));
        let found: Vec<&str> = image["removable"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["kind"].as_str())
            .collect();
        for kind in self.kinds.iter().filter(|kind| !found.contains(kind)) {
            fault(true, format!("{kind} is not among {found:?}"));
        }
        faults
    }
}

fn write(path: &Path, content: Content, engine: &Engine) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match content {
        Content::Text(text) => fs::write(path, text).unwrap(),
        Content::Bytes(count) => fs::write(path, vec![b'x'; count]).unwrap(),
        Content::Program => {
            engine.copy_busybox(path.parent().unwrap());
            fs::rename(path.with_file_name("busybox"), path).unwrap();
        }
    }
}

/// What layers say is kept between checks: most of them are in many images.
fn cache() -> &'static Path {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// Builds what the Dockerfiles build on, once: small stand-ins beside those of `apps.rs`.
pub(super) fn bases(engine: &Engine) {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        for (tag, dockerfile, programs) in pairs::BASES {
            let context = tempfile::tempdir().unwrap();
            engine.copy_busybox(context.path());
            fs::write(context.path().join("manager"), include_str!("verdicts/manager.sh")).unwrap();
            for program in programs {
                write_wrapper(&context.path().join(program));
            }
            let path = context.path().join("Dockerfile");
            fs::write(&path, dockerfile).unwrap();
            engine.build(context.path(), &path.display().to_string(), tag);
        }
    });
}

/// A program of some size that does what its name says as the stand-in does.
fn write_wrapper(path: &Path) {
    let name = path.file_name().unwrap().to_string_lossy();
    let text = format!("#!/bin/sh\nexec sh /usr/lib/manager {name} \"$@\"\n{}\n", "#".repeat(2_000_000));
    crate::support::write_program(path, "");
    fs::write(path, text).unwrap();
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn every_image_is_evaluated_as_is_right() {
    let Some(engine) = apps::engine("Dockerfiles and their verdicts") else { return };
    bases(&engine);
    let pairs = pairs::all();
    let passing = pairs.iter().filter(|pair| pair.outcome == "pass").count();
    assert!(pairs.len() >= 36 && 2 * passing >= pairs.len(), "{passing} of {}", pairs.len());
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(String::new()));
    let work = || {
        while let Some((index, pair)) = pairs.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
            for fault in built_and_evaluated(&engine, pair, &format!("verdicts:{index}")) {
                writeln!(faults.lock().unwrap(), "{}: {fault}", pair.name).unwrap();
            }
        }
    };
    thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(work))));
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "\n{faults}");
}

fn built_and_evaluated(engine: &Engine, pair: &Pair, image: &str) -> Vec<String> {
    let (context, evaluated) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    pair.write_context(context.path(), engine);
    let path = evaluated.path().join("built");
    fs::write(&path, pair.dockerfile).unwrap();
    let (file, directory) = (path.display().to_string(), context.path().display().to_string());
    let mut arguments = vec!["build", "--quiet", "--network", "host", "--file", &file, "--tag", image];
    arguments.extend(&pair.options);
    arguments.push(&directory);
    if let Err(error) = engine.docker_with(&arguments, true) {
        return vec![format!("is not built: {error}")];
    }
    pair.faults(&pair.evaluate(engine, evaluated.path(), image))
}
