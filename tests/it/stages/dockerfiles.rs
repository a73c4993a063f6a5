//! Lines of Dockerfiles for the steps of real histories: what builders wrote for many shapes of
//! Dockerfiles, as captured in `tests/fixtures/dockerfiles` and as an engine writes it now.
//!
//! Which line is right does not come from the program: `shape.json` says it, written by reading the
//! Dockerfiles, and most instructions hold a mark (`m07`) that the history repeats.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use layergate::dockerfile::{BuildOptions, BuildPlan, Dockerfile, HistoryStep, Mapping, map};
use layergate::image::Instruction;
use serde_json::Value;

use crate::support::engine::Engine;
use crate::support::fixture;

const BUILDERS: [&str; 3] = ["buildkit", "classic", "buildah"];

/// A Dockerfile, how it is built, and the lines of its steps.
struct Shape {
    name: String,
    text: String,
    options: BuildOptions,
    labels: BTreeMap<String, String>,
    /// The line of each step, lowest first, by builder.
    steps: BTreeMap<&'static str, Vec<u32>>,
    /// Why a builder's history is not captured from it.
    reasons: BTreeMap<&'static str, String>,
}

fn shapes() -> Vec<Shape> {
    let directories = fs::read_dir(fixture("dockerfiles")).unwrap();
    let mut names: Vec<String> =
        directories.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.iter().filter(|name| *name != "bases").map(|name| shape(name)).collect()
}

/// A file of a shape.
fn file_of(name: &str, file: &str) -> String {
    fixture(&format!("dockerfiles/{name}/{file}"))
}

fn shape(name: &str) -> Shape {
    let about: Value =
        serde_json::from_str(&fs::read_to_string(file_of(name, "shape.json")).unwrap()).unwrap();
    let texts = |key: &str| -> BTreeMap<String, String> {
        about.get(key).map(|map| serde_json::from_value(map.clone()).unwrap()).unwrap_or_default()
    };
    let lines = |key: &str| -> Option<Vec<u32>> {
        about.get(key).map(|lines| serde_json::from_value(lines.clone()).unwrap())
    };
    let steps = |builder: &'static str| {
        let own = lines(&format!("{builder}_steps"));
        (builder, own.or_else(|| lines("steps")).unwrap())
    };
    let reason = |builder: &'static str| Some((builder, about.get(builder)?.as_str()?.to_owned()));
    Shape {
        name: name.to_owned(),
        text: fs::read_to_string(file_of(name, "Dockerfile")).unwrap(),
        options: BuildOptions {
            target: about.get("target").and_then(Value::as_str).map(str::to_owned),
            args: texts("args"),
            ..BuildOptions::default()
        },
        labels: texts("labels"),
        steps: BUILDERS.into_iter().map(steps).collect(),
        reasons: BUILDERS.into_iter().filter_map(reason).collect(),
    }
}

/// One entry of a history: what the builder wrote, and whether it made a layer.
type Entry = (String, bool);

fn entries(history: &Value) -> Vec<Entry> {
    let entry = |entry: &Value| {
        let text = entry["created_by"].as_str().unwrap_or("").to_owned();
        (text, !entry["empty_layer"].as_bool().unwrap_or(false))
    };
    history.as_array().unwrap().iter().map(entry).collect()
}

fn captured(shape: &Shape, builder: &str) -> Option<Vec<Entry>> {
    let text = fs::read_to_string(file_of(&shape.name, &format!("{builder}.json"))).ok()?;
    Some(entries(&serde_json::from_str(&text).unwrap()))
}

/// The instructions of a history, kept with or without the values of its variables.
fn kept(history: &[Entry], values: bool) -> Vec<Option<Instruction>> {
    let read = |(text, makes_layer): &Entry| {
        let instruction = Instruction::from_history(text)?;
        Some(if values || *makes_layer { instruction } else { instruction.without_values() })
    };
    history.iter().map(read).collect()
}

fn mapping(plan: &BuildPlan, history: &[Entry], instructions: &[Option<Instruction>]) -> Mapping {
    let steps: Vec<HistoryStep<'_>> = instructions
        .iter()
        .zip(history)
        .map(|(instruction, entry)| HistoryStep { instruction: instruction.as_ref(), makes_layer: entry.1 })
        .collect();
    map(plan, &steps)
}

fn plan(text: &str, options: &BuildOptions) -> Option<BuildPlan> {
    Dockerfile::parse(text).ok()?.plan(options).ok()
}

/// The line of each entry; nothing for those of the base image and for what `--label` added.
fn expected(shape: &Shape, builder: &str, history: &[Entry]) -> Vec<Option<u32>> {
    let added = usize::from(builder != "buildkit" && !shape.labels.is_empty());
    let steps = &shape.steps[builder];
    let below = history.len() - steps.len() - added;
    let own = steps.iter().copied().map(Some);
    std::iter::repeat_n(None, below).chain(own).chain(std::iter::repeat_n(None, added)).collect()
}

fn marks(text: &str) -> Vec<&str> {
    let is_mark = |word: &&str| {
        let digits = word.strip_prefix('m').or_else(|| word.strip_prefix("90"));
        digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_mark).collect()
}

#[derive(Default)]
struct Count {
    steps: usize,
    mapped: usize,
}

/// Checks every line of a history; panics at a wrong one.
fn check(shape: &Shape, builder: &str, history: &[Entry], count: &mut Count) {
    let expected = expected(shape, builder, history);
    let own = expected.iter().flatten().count();
    for values in [true, false] {
        let about = format!("{} with {builder}, values: {values}", shape.name);
        let plan = plan(&shape.text, &shape.options).expect(&about);
        let mapping = mapping(&plan, history, &kept(history, values));
        assert_eq!(mapping.lines.len(), history.len());
        for (index, (found, expected)) in mapping.lines.iter().zip(&expected).enumerate() {
            let Some(lines) = found else { continue };
            // Without the arguments before a command: they have marks of their own.
            let written = Instruction::from_history(&history[index].0).unwrap();
            let written = written.as_str();
            assert_eq!(Some(lines.line), *expected, "{about}: {written}");
            let (first, last) = (lines.line as usize, lines.end_line as usize);
            let text = shape.text.lines().collect::<Vec<_>>()[first - 1..last].join("\n").replace("\\\n", "");
            let written_marks = marks(written);
            let here = marks(&text);
            let is_marked = here.iter().any(|mark| written_marks.contains(mark));
            assert!(
                is_marked || here.is_empty() || written_marks.is_empty(),
                "{about}: {written} is not\n{text}"
            );
        }
        let mapped = mapping.lines.iter().flatten().count();
        if mapped < own || own == 0 {
            let note = mapping.note.as_ref().unwrap_or_else(|| panic!("{about}: no reason")).to_string();
            assert!(!note.is_empty());
        } else {
            assert_eq!(mapping.note, None, "{about}");
        }
        if let Some(base) = mapping.base_steps {
            assert_eq!(Some(base), expected.iter().position(Option::is_some), "{about}");
        }
        count.steps += own;
        count.mapped += mapped;
    }
}

#[test]
fn captured_histories_get_the_right_lines() {
    let mut histories = BTreeMap::new();
    let mut count = Count::default();
    for shape in shapes() {
        for builder in BUILDERS {
            match captured(&shape, builder) {
                Some(history) => {
                    check(&shape, builder, &history, &mut count);
                    *histories.entry(builder).or_insert(0) += 1;
                }
                None => {
                    assert!(builder == "buildah" || shape.reasons.contains_key(builder), "{}", shape.name)
                }
            }
        }
    }
    assert!(histories["buildkit"] >= 44 && histories["classic"] >= 44, "{histories:?}");
    assert!(count.mapped * 100 >= count.steps * 95, "{} of {}", count.mapped, count.steps);
}

#[test]
fn the_engines_images_get_all_their_lines() {
    for engine in ["docker-20.10", "docker-29"] {
        for version in ["v1", "v2"] {
            let file = fs::read_to_string(fixture(&format!("engines/Dockerfile.{version}"))).unwrap();
            let history = fixture(&format!("engines/{engine}/edge-{version}.history.json"));
            let history: Value = serde_json::from_str(&fs::read_to_string(history).unwrap()).unwrap();
            let entry = |entry: &Value| {
                let text = entry["CreatedBy"].as_str().unwrap().to_owned();
                let makes_layer = !text.starts_with("ENV") && !text.starts_with("CMD");
                (text, makes_layer)
            };
            // The engine tells the newest step first.
            let history: Vec<Entry> = history.as_array().unwrap().iter().rev().map(entry).collect();
            let plan = plan(&file, &BuildOptions::default()).unwrap();
            let mapping = mapping(&plan, &history, &kept(&history, false));
            let lines: Vec<u32> = mapping.lines.iter().map(|lines| lines.unwrap().line).collect();
            // Each line of these files is an instruction, and the first is FROM.
            let expected: Vec<u32> = (2..).take(file.lines().count() - 1).collect();
            assert_eq!(lines, expected, "{engine} {version}");
            assert_eq!((mapping.base_steps, mapping.note), (Some(0), None));
        }
    }
}

/// Where another parser sees the instructions of a text start. Here-documents are no instructions to
/// it, so their lines are emptied first.
fn starts_by_another_parser(text: &str) -> Result<Vec<u32>, String> {
    let file = Dockerfile::parse(text).unwrap();
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    for instruction in file.stages().iter().flat_map(|stage| &stage.instructions) {
        let documents = &instruction.here_documents;
        let count: usize = documents.iter().map(|document| document.content.matches('\n').count() + 1).sum();
        let last = instruction.end_line as usize;
        lines[last - count..last].iter_mut().for_each(|line| *line = "#".repeat(line.len()));
        let first = &mut lines[instruction.line as usize - 1];
        *first = first.replace("<<", "::");
    }
    // It also refuses an empty ENTRYPOINT, which both of Docker's builders take.
    let text = lines.join("\n").replace("ENTRYPOINT\n", "ENTRYPOINT x\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let start = |instruction: parse_dockerfile::Instruction<'_>| {
        use parse_dockerfile::Instruction as Kind;
        let span = match instruction {
            Kind::Add(it) => it.add.span,
            Kind::Arg(it) => it.arg.span,
            Kind::Cmd(it) => it.cmd.span,
            Kind::Copy(it) => it.copy.span,
            Kind::Entrypoint(it) => it.entrypoint.span,
            Kind::Env(it) => it.env.span,
            Kind::Expose(it) => it.expose.span,
            Kind::From(it) => it.from.span,
            Kind::Healthcheck(it) => it.healthcheck.span,
            Kind::Label(it) => it.label.span,
            Kind::Maintainer(it) => it.maintainer.span,
            Kind::Onbuild(it) => it.onbuild.span,
            Kind::Run(it) => it.run.span,
            Kind::Shell(it) => it.shell.span,
            Kind::Stopsignal(it) => it.stopsignal.span,
            Kind::User(it) => it.user.span,
            Kind::Volume(it) => it.volume.span,
            Kind::Workdir(it) => it.workdir.span,
            other => panic!("{other:?}"),
        };
        u32::try_from(text[..span.start].matches('\n').count() + 1).unwrap()
    };
    let parsed = parse_dockerfile::parse_iter(text).map_err(|error| error.to_string())?;
    parsed.map(|instruction| instruction.map(start).map_err(|error| error.to_string())).collect()
}

#[test]
fn another_parser_sees_the_same_instructions() {
    for shape in shapes() {
        let file = Dockerfile::parse(&shape.text).unwrap();
        let globals = shape.text.lines().take_while(|line| !line.to_ascii_uppercase().contains("FROM"));
        let globals = globals.filter(|line| line.starts_with("ARG")).count();
        let stages = file.stages().iter();
        let own = stages
            .flat_map(|stage| std::iter::once(stage.line).chain(stage.instructions.iter().map(|it| it.line)));
        let theirs =
            starts_by_another_parser(&shape.text).unwrap_or_else(|why| panic!("{}: {why}", shape.name));
        assert_eq!(theirs[globals..], own.collect::<Vec<_>>(), "{}", shape.name);
    }
}

/// A Dockerfile in pieces that can be taken out and put elsewhere.
#[derive(Clone)]
struct Piece {
    text: String,
    /// The instruction that it is in the original; `None` for all else.
    origin: Option<usize>,
}

fn pieces(text: &str) -> Vec<Piece> {
    let file = Dockerfile::parse(text).unwrap();
    let instructions = file.stages().iter().flat_map(|stage| &stage.instructions);
    let ranges: Vec<(usize, usize)> =
        instructions.map(|it| (it.line as usize, it.end_line as usize)).collect();
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let origin = ranges.iter().position(|(first, last)| (*first..=*last).contains(&(index + 1)));
        let line = if line.ends_with('\n') { line.to_owned() } else { format!("{line}\n") };
        match pieces.last_mut() {
            Some(last) if origin.is_some() && last.origin == origin => last.text.push_str(&line),
            _ => pieces.push(Piece { text: line, origin }),
        }
    }
    pieces
}

fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

/// The piece that a line is in.
fn piece_at(pieces: &[Piece], line: u32) -> &Piece {
    let mut last = 0;
    pieces
        .iter()
        .find(|piece| {
            last += piece.text.matches('\n').count();
            last >= line as usize
        })
        .unwrap()
}

/// Edits that make another Dockerfile of it.
fn edited(original: &[Piece]) -> Vec<(String, Vec<Piece>)> {
    let own: Vec<usize> = (0..original.len()).filter(|at| original[*at].origin.is_some()).collect();
    let new = ["RUN touch /new\n", "COPY a.txt /new/\n", "ENV NEW=1\n", "CMD [\"new\"]\n"];
    let mut all = Vec::new();
    let without = |at: usize| {
        let mut pieces = original.to_vec();
        pieces.remove(at);
        pieces
    };
    for (turn, at) in own.iter().copied().enumerate() {
        all.push((format!("{at} deleted"), without(at)));
        for new in new {
            let mut pieces = original.to_vec();
            pieces.insert(at, Piece { text: new.to_owned(), origin: None });
            all.push((format!("{new:?} before {at}"), pieces));
        }
        let mut pieces = original.to_vec();
        // Marks become other marks, so the text is another instruction's.
        pieces[at].text = changed(&pieces[at].text);
        all.push((format!("{at} changed"), pieces));
        for other in own.iter().copied().skip(turn + 1) {
            let mut pieces = original.to_vec();
            pieces.swap(at, other);
            all.push((format!("{at} and {other} swapped"), pieces));
            let mut pieces = without(other);
            pieces.remove(at);
            all.push((format!("{at} and {other} deleted"), pieces));
            let mut pieces = without(at);
            pieces.insert(other - 1, Piece { text: new[turn % 4].to_owned(), origin: None });
            all.push((format!("{at} deleted, one before {other}"), pieces));
            let mut pieces = without(at);
            pieces.insert(other, original[at].clone());
            all.push((format!("{at} moved behind {other}"), pieces));
        }
    }
    all
}

/// Several edits at once, by chance that is the same each time.
fn edited_often(original: &[Piece], times: usize) -> Vec<(String, Vec<Piece>)> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut chance = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below.max(1) as u64).unwrap()
    };
    let mut all = Vec::new();
    for _ in 0..times {
        let mut pieces = original.to_vec();
        let mut done = String::new();
        for _ in 0..2 + chance(4) {
            let own: Vec<usize> = (0..pieces.len()).filter(|at| original_at(&pieces, *at)).collect();
            if own.is_empty() {
                break;
            }
            let (at, other) = (own[chance(own.len())], own[chance(own.len())]);
            done.push_str(&format!("{at} and {other}: "));
            match chance(5) {
                0 => drop(pieces.remove(at)),
                1 => pieces.swap(at, other),
                2 => pieces[at].text = changed(&pieces[at].text),
                3 => pieces.insert(at, Piece { text: changed(&pieces[other].text), origin: None }),
                _ => {
                    let piece = pieces.remove(at);
                    pieces.insert(other.min(pieces.len()), piece);
                }
            }
        }
        all.push((done, pieces));
    }
    all
}

fn original_at(pieces: &[Piece], at: usize) -> bool {
    pieces[at].origin.is_some()
}

fn changed(text: &str) -> String {
    let mut text = text.to_owned();
    for mark in marks(&text.clone()) {
        text = text.replace(mark, &format!("{}77", &mark[..mark.len() - 2]));
    }
    text
}

/// A captured history, and the piece of the Dockerfile that made each of its steps.
struct Truth<'a> {
    builder: &'static str,
    history: Vec<Entry>,
    instructions: Vec<Option<Instruction>>,
    pieces: Vec<Option<&'a Piece>>,
}

impl<'a> Truth<'a> {
    fn of(shape: &Shape, builder: &'static str, original: &'a [Piece]) -> Option<Truth<'a>> {
        let history = captured(shape, builder)?;
        let lines = expected(shape, builder, &history);
        let pieces = lines.iter().map(|line| line.map(|line| piece_at(original, line))).collect();
        Some(Truth { builder, instructions: kept(&history, false), history, pieces })
    }

    /// Whether a piece of the edited Dockerfile may be said to have made a step.
    fn is_right(&self, index: usize, found: &Piece, edited: &[Piece]) -> bool {
        let Some(truth) = self.pieces[index] else { return false };
        let is_there = edited.iter().any(|piece| piece.origin == truth.origin);
        // What stands in its place and differs only in what the history does not show is its edited self.
        let is_itself =
            self.shown(&found.text) == self.shown(&truth.text) || found.text == changed(&truth.text);
        found.origin == truth.origin || found.text.trim() == truth.text.trim() || !is_there && is_itself
    }

    /// What the history shows of an instruction: not the values of `ARG`, not where files come from.
    fn shown<'t>(&self, text: &'t str) -> (&'t str, &'t str) {
        let (keyword, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
        let rest = match keyword {
            "ARG" if self.builder == "buildah" => "",
            "ARG" | "ENV" | "LABEL" => rest.split('=').next().unwrap_or(rest),
            "COPY" | "ADD" if self.builder != "buildkit" || rest.starts_with("--") => {
                rest.split_whitespace().next_back().unwrap_or(rest)
            }
            _ => rest,
        };
        (keyword, rest)
    }
}

#[test]
fn an_edited_dockerfile_gives_no_wrong_line() {
    let (mut edits, mut named, mut wrong) = (0, 0, Vec::new());
    for shape in shapes() {
        let original = pieces(&shape.text);
        let truths: Vec<Truth<'_>> =
            BUILDERS.into_iter().filter_map(|builder| Truth::of(&shape, builder, &original)).collect();
        for (edit, pieces) in [edited(&original), edited_often(&original, 60)].concat() {
            let Some(plan) = plan(&joined(&pieces), &shape.options) else { continue };
            for truth in &truths {
                edits += 1;
                let mapping = mapping(&plan, &truth.history, &truth.instructions);
                for (index, lines) in mapping.lines.iter().enumerate() {
                    let Some(lines) = lines else { continue };
                    named += 1;
                    let found = piece_at(&pieces, lines.line);
                    if !truth.is_right(index, found, &pieces) {
                        let (name, builder) = (&shape.name, truth.builder);
                        let (step, text, note) = (&truth.history[index].0, &found.text, &mapping.note);
                        wrong.push(format!(
                            "{name} with {builder}, {edit}: {step:?} is not {text:?}; {note:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong of {named}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    assert!(edits > 10_000 && named > 10_000, "{edits} edits, {named} lines");
}

/// What all shapes are built from.
fn context(engine: &Engine) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    engine.copy_busybox(directory.path());
    let file = |name: &str, content: &[u8]| fs::write(directory.path().join(name), content).unwrap();
    fs::create_dir(directory.path().join("src")).unwrap();
    file("a.txt", b"a\n");
    file("b.txt", b"b\n");
    file("src/s.txt", b"s\n");
    file("passwd", b"root:x:0:0::/:/bin/sh\n");
    file("group", b"root:x:0:\n");
    let archive = crate::support::tar_of(&[crate::support::Item::File("t.txt", 2)]);
    file("rootfs.tgz", &crate::support::gzip(&archive));
    directory
}

/// Serves one byte to whoever asks, and says at which port.
fn serve_a_file() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
        }
    });
    port
}

/// Builds a shape and reads the history of the image.
fn built(engine: &Engine, shape: &Shape, builder: &str, context: &Path) -> Vec<Entry> {
    let tag = format!("shape-{builder}");
    let file = file_of(&shape.name, "Dockerfile");
    // With the host's network, the classic builder's containers leave a mount behind.
    let mut arguments: Vec<String> =
        ["build", "--quiet", "--network", "none", "--file", &file, "--tag", &tag].map(str::to_owned).to_vec();
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    shape.options.target.iter().for_each(|target| option("target", target.clone()));
    shape.options.args.iter().for_each(|(name, value)| option("build-arg", format!("{name}={value}")));
    shape.labels.iter().for_each(|(name, value)| option("label", format!("{name}={value}")));
    arguments.push(context.display().to_string());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    engine
        .docker_with(&arguments, builder == "buildkit")
        .unwrap_or_else(|why| panic!("{}: {why}", shape.name));
    saved_history(engine, &tag)
}

fn saved_history(engine: &Engine, tag: &str) -> Vec<Entry> {
    let file = tempfile::NamedTempFile::new().unwrap();
    engine.docker(&["save", "--output", &file.path().display().to_string(), tag]);
    let read = |wanted: &Path| -> Value {
        let mut archive = tar::Archive::new(fs::File::open(file.path()).unwrap());
        let entry = archive.entries().unwrap().map(Result::unwrap).find(|e| e.path().unwrap() == wanted);
        serde_json::from_reader(entry.unwrap()).unwrap()
    };
    let manifest = read(Path::new("manifest.json"));
    entries(&read(&PathBuf::from(manifest[0]["Config"].as_str().unwrap()))["history"])
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn fresh_histories_get_the_right_lines() {
    let Some(engine) = Engine::of_this_run("fresh histories of Dockerfiles") else { return };
    let context = context(&engine);
    let base = |name: &str, buildkit: bool| {
        let file = file_of("bases", &format!("{name}/Dockerfile"));
        let (tag, context) = (format!("{name}:1"), context.path().display().to_string());
        engine.docker_with(&["build", "--network", "none", "-q", "-f", &file, "-t", &tag, &context], buildkit)
    };
    base("dfbase", false).unwrap();
    base("dfbase", true).unwrap();
    base("dfonbuild", true).unwrap();
    let port = serve_a_file();
    let all = |builder: &'static str| {
        let mut count = Count::default();
        for mut shape in shapes().into_iter().filter(|shape| !shape.reasons.contains_key(builder)) {
            for value in shape.options.args.values_mut() {
                *value = value.replace("127.0.0.1:1/", &format!("127.0.0.1:{port}/"));
            }
            let history = built(&engine, &shape, builder, context.path());
            check(&shape, builder, &history, &mut count);
        }
        assert!(count.mapped * 100 >= count.steps * 95, "{builder}: {} of {}", count.mapped, count.steps);
    };
    // Both builders at once: most of the time goes into waiting for the engine.
    std::thread::scope(|scope| {
        scope.spawn(|| all("classic"));
        all("buildkit");
    });
}
