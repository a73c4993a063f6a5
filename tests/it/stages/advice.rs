//! Each kind of advice on removable files, applied as it is written and built: the image gets smaller by what was said,
//! and its program still runs.

mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use layergate::removable::Catalogue;
use serde_json::Value;

use super::verdicts;
use crate::support::apps::{self, App};
use crate::support::engine::Engine;

/// A Dockerfile with one kind of removable files, and how its advice is applied.
struct Advice {
    kind: &'static str,
    /// The type of packages that the advice is for, where it has an advice of its own.
    of: Option<&'static str>,
    base: &'static str,
    before: Vec<String>,
    /// The instruction that stores the files.
    step: String,
    /// What the container starts, which ends by itself.
    command: &'static str,
    apply: Apply,
    /// Programs that stand in for real ones, which no test machine has: a name, and what it does.
    tools: Vec<(&'static str, &'static str)>,
    files: Vec<(&'static str, String)>,
    /// An application whose files are the build context.
    app: Option<&'static str>,
}

/// How an advice is applied. What is written into the Dockerfile has to stand in the advice.
enum Apply {
    /// The code after `&& ` goes to the end of the instruction.
    End,
    /// The same, with a word that stands for what only the reader knows.
    EndWith(&'static str, &'static str),
    /// The first code goes in front of the instruction's command.
    Begin,
    /// The code `NAME=VALUE` is set for it.
    Set,
    /// The cache mounts are given to it.
    Mount,
    /// A command is written in another way.
    Write(&'static str, &'static str),
    /// What the advice names is left out of it: the word, and what the advice says.
    LeaveOut(&'static str, &'static str),
    /// `apk add --virtual .build`, and `apk del .build` at its end.
    Virtual,
    /// All instructions move to a builder stage, and these paths are copied.
    Builder(&'static [&'static str]),
    /// The same; and what the advice says is installed instead.
    Runtime(&'static [&'static str]),
    /// One package is installed instead of others.
    Instead,
    /// The command is run before it.
    Before,
    /// Written into `.dockerignore`.
    Ignore(&'static str),
    /// The image that the advice names is the base.
    Base,
}

/// What stand-ins begin with: `put PATH BYTES` stores a file, `app` makes the program.
const PRELUDE: &str = "#!/bin/sh\nset -e\nput() { mkdir -p \"${1%/*}\"; head -c \"$2\" /dev/zero | tr '\\0' x > \"$1\"; }\n\
    app() { mkdir -p /srv; printf '#!/bin/sh\\necho it runs\\n' > /srv/app; chmod 755 /srv/app; }\n";

/// What is between two texts.
#[track_caller]
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("{start}: {text}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("{end}: {text}")).0
}

impl Advice {
    fn name(&self) -> String {
        let of = self.of.map_or_else(String::new, |of| format!("-{of}"));
        format!("{}{of}", self.kind)
    }

    fn lines(&self) -> Vec<String> {
        let copies = self.tools.iter().map(|(name, _)| format!("COPY {name} /usr/local/bin/{name}"));
        copies.chain(self.before.iter().cloned()).collect()
    }

    fn dockerfile(&self) -> String {
        self.written(&self.lines(), &self.step, self.base)
    }

    fn written(&self, before: &[String], step: &str, base: &str) -> String {
        format!("FROM {base}\n{}\n{step}\nCMD {}\n", before.join("\n"), self.command)
    }

    /// The Dockerfile once the advice is followed, and a `.dockerignore`.
    fn applied(&self, help: &str) -> (String, String) {
        let said = |words: &str| assert!(help.contains(words), "{}: {words}: {help}", self.name());
        let mut before = self.lines();
        let with_step = |step: String| (self.written(&self.lines(), &step, self.base), String::new());
        let run = |front: &str| self.step.replacen("RUN ", &format!("RUN {front} "), 1);
        match &self.apply {
            Apply::End => with_step(format!("{} && {}", self.step, between(help, "`&& ", "`"))),
            Apply::EndWith(word, value) => {
                said(word);
                let end = between(help, "`&& ", "`").replace(word, value);
                with_step(format!("{} && {end}", self.step))
            }
            Apply::Begin => with_step(run(between(help, "`", "`"))),
            Apply::Set => with_step(run(&format!("export {} &&", between(help, "set `", "`")))),
            Apply::Mount => with_step(run(between(help, "`RUN ", "`"))),
            Apply::Write(from, to) => {
                said(to);
                with_step(self.step.replace(from, to))
            }
            Apply::LeaveOut(word, words) => {
                said(words);
                with_step(self.step.replace(word, ""))
            }
            Apply::Virtual => {
                let add = between(help, "`apk add --virtual .build ", " &&");
                said("&& apk del .build");
                with_step(format!(
                    "RUN apk add --virtual .build {add} && {} && apk del .build",
                    self.step[4..].split_once("&& ").unwrap().1
                ))
            }
            Apply::Builder(paths) => (self.in_stages(help, paths, ""), String::new()),
            Apply::Runtime(paths) => {
                let packages = between(help, "install ", " in ");
                let install = format!(
                    "RUN apt-get update && apt-get install -y {packages} && rm -rf /var/lib/apt/lists/*\n"
                );
                (self.in_stages(help, paths, &install), String::new())
            }
            Apply::Instead => {
                let (runtime, packages) =
                    (between(help, "install ", " instead of "), between(help, " instead of ", " in "));
                with_step(self.step.replace(&packages.replace(',', ""), runtime))
            }
            Apply::Before => {
                let place = between(help, "before ", "echo ");
                before.push(format!("RUN {}", between(help, place, " (Debian)")));
                (self.written(&before, &self.step, self.base), String::new())
            }
            Apply::Ignore(pattern) => {
                said(".dockerignore");
                (self.dockerfile(), format!("{pattern}\n"))
            }
            Apply::Base => {
                let base =
                    help.rsplit_once("build the final stage on ").unwrap_or_else(|| panic!("{help}")).1;
                (self.written(&before, &self.step, base), String::new())
            }
        }
    }

    fn in_stages(&self, help: &str, paths: &[&str], install: &str) -> String {
        assert!(help.contains("builder stage") || help.contains("final stage"), "{}: {help}", self.name());
        let base = self.base;
        let copies: String =
            paths.iter().map(|path| format!("COPY --from=builder {path} {path}\n")).collect();
        let builder = [self.lines(), vec![self.step.clone()]].concat().join("\n");
        format!("FROM {base} AS builder\n{builder}\nFROM {base}\n{install}{copies}CMD {}\n", self.command)
    }

    fn write_context(&self, directory: &Path) {
        if let Some(app) = self.app {
            for entry in fs::read_dir(App::named(app).dir).unwrap().map(Result::unwrap) {
                if entry.path().is_file() {
                    fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
                }
            }
        }
        for (name, text) in &self.tools {
            crate::support::write_program(&directory.join(name), &format!("{PRELUDE}{text}\n"));
        }
        for (path, text) in &self.files {
            fs::create_dir_all(directory.join(path).parent().unwrap()).unwrap();
            fs::write(directory.join(path), text).unwrap();
        }
        if self.kind == "login-records" {
            apps::copy_served("useradd.tar", directory);
        }
    }

    /// Builds it before and after, and sees what is saved: a row of the table, or what is wrong.
    fn followed(&self, engine: &Engine, number: usize) -> Result<String, String> {
        let (context, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        self.write_context(context.path());
        let name = self.name();
        let built = |text: &str, tag: &str| -> Result<(i64, String), String> {
            let file = elsewhere.path().join("Dockerfile");
            fs::write(&file, text).unwrap();
            let (file, directory) = (file.display().to_string(), context.path().display().to_string());
            let build = ["build", "--quiet", "--network", "host", "--file", &file, "--tag", tag, &directory];
            engine.docker_with(&build, true).map_err(|why| format!("{name}: is not built: {why}\n{text}"))?;
            let says = engine.docker_with(&["run", "--rm", "--network", "none", tag], true);
            let says = says.map_err(|why| format!("{name}: does not run: {why}\n{text}"))?;
            Ok((engine.inspect(tag)["totals"]["uncompressed"].as_i64().unwrap(), says))
        };
        let tag = format!("advice-{number}-{name}:before");
        let (now, says) = built(&self.dockerfile(), &tag)?;
        let file = elsewhere.path().join("Dockerfile").display().to_string();
        let entry =
            engine.layergate(&["stages", &file, "--image", &tag, "--format", "json"]).expect(0).json();
        let found = entry["dockerfiles"][0]["removable"].as_array().unwrap().clone();
        let of_base = matches!(self.apply, Apply::Base);
        let counts =
            |one: &&Value| one["ignored"].is_null() && (one["layer"]["of_base_image"] == true) == of_base;
        let of_kind: Vec<&Value> =
            found.iter().filter(counts).filter(|one| one["kind"] == self.kind).collect();
        let sum = |all: &[&Value]| all.iter().map(|one| one["bytes"].as_i64().unwrap()).sum::<i64>();
        let (promised, all) = (sum(&of_kind), sum(&found.iter().filter(counts).collect::<Vec<_>>()));
        let Some(first) = of_kind.first() else { return Err(format!("{name}: is not found: {found:#?}")) };
        let help = first["help"].as_str().unwrap();
        let (text, ignored) = self.applied(help);
        fs::write(context.path().join(".dockerignore"), ignored).unwrap();
        let (then, still) = built(&text, &format!("advice-{number}-{name}:after"))?;
        let (saved, row) = (now - then, format!("{name}: {promised} said, {} saved: {help}", now - then));
        // What goes with it is of other kinds, and a builder stage keeps all that it did.
        let most = match self.apply {
            Apply::Builder(_) | Apply::Runtime(_) | Apply::Base => i64::MAX,
            _ => all + all / 4 + 50_000,
        };
        let fits = saved * 100 >= promised * 95 && saved <= most;
        match (fits, says == still) {
            (true, true) => Ok(row),
            (false, _) => Err(format!("{row}\n{text}")),
            (_, false) => Err(format!("{row}: says {still:?} and not {says:?}\n{text}")),
        }
    }
}

/// What cannot be made here: rpm's database needs rpm, which would come with an image of Fedora.
const ELSEWHERE: &[&str] = &["rpm"];

#[test]
fn each_kind_has_its_advice_applied() {
    let catalogue = Catalogue::builtin();
    let has = |kind: &str, of: Option<&str>| table::all().iter().any(|one| one.kind == kind && one.of == of);
    let mut missing = BTreeSet::new();
    for kind in catalogue.kinds() {
        let types = kind.helps.keys().map(String::as_str).filter(|of| !ELSEWHERE.contains(of));
        missing.extend(
            types.filter(|of| !has(&kind.name, Some(*of))).map(|of| format!("{} of {of}", kind.name)),
        );
        // Where packages of one type are all that a kind has, its general advice is for the others.
        let general = has(&kind.name, None) || kind.helps.keys().any(|of| has(&kind.name, Some(of.as_str())));
        missing.extend((!general).then(|| kind.name.clone()));
    }
    assert!(missing.is_empty(), "add to the table: {missing:?}");
    let known: Vec<&str> = catalogue.kinds().iter().map(|kind| kind.name.as_str()).collect();
    for one in table::all() {
        assert!(known.contains(&one.kind), "there is no kind {}", one.kind);
    }
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn advice_of_each_kind_saves_what_was_said_and_the_program_runs() {
    let Some(engine) = apps::engine("advice of each kind") else { return };
    verdicts::bases(&engine);
    let only = std::env::var("LAYERGATE_TEST_ADVICE_ONLY").ok();
    let mut all = table::all();
    all.retain(|one| only.as_deref().is_none_or(|only| only == one.kind));
    assert!(!all.is_empty(), "nothing of {only:?} in the table");
    let (next, rows) = (AtomicUsize::new(0), Mutex::new((Vec::new(), Vec::new())));
    let work = || {
        while let Some((number, advice)) = all.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
            // One that cannot be applied at all is a fault among the others.
            let followed =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| advice.followed(&engine, number)))
                    .unwrap_or_else(|_| Err(format!("{}: cannot be applied, as told above", advice.name())));
            let mut rows = rows.lock().unwrap();
            match followed {
                Ok(row) => rows.0.push(row),
                Err(fault) => rows.1.push(fault),
            }
        }
    };
    thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(work))));
    let (mut rows, faults) = rows.into_inner().unwrap();
    rows.sort();
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), (rows.join("\n") + "\n").as_bytes());
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), all.len(), faults.join("\n\n"));
}
