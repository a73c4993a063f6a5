//! Text from images, Dockerfiles, pull requests and saved reports is untrusted. Rendered as GitHub would, it is text
//! and nothing else; in a log it is no command, and in the file of outputs no output.

mod evaluate;
mod saved;
mod strings;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::stages::provenance::attested_otherwise;
use crate::support::fake_github::{BOT, FakeGithub};
use crate::support::{FakeLayer, Run, configured_layout, fixture, layergate, run};

use evaluate::{assert_no_foreign_command, assert_our_outputs, shown_code};
pub use evaluate::{assert_only_ours, render};
use strings::{is_for_runner, strings};

/// A step of a run of GitHub Actions, in a directory of its own.
pub struct Step {
    directory: tempfile::TempDir,
}

impl Step {
    pub fn new() -> Step {
        Step { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs the program; what the run before wrote for the runner is gone.
    pub fn run(&self, github: Option<&FakeGithub>, arguments: &[&str]) -> Run {
        for name in ["outputs", "summary"] {
            let _ = fs::remove_file(self.path(name));
        }
        let mut command = layergate();
        command.current_dir(self.directory.path()).args(arguments);
        command.env("GITHUB_ACTIONS", "true").env("RUNNER_TEMP", self.directory.path());
        command.env("LAYERGATE_STORE", "dir:.layergate");
        command.env("GITHUB_SERVER_URL", "https://github.example");
        command.env("GITHUB_OUTPUT", self.path("outputs")).env("GITHUB_STEP_SUMMARY", self.path("summary"));
        if let Some(github) = github {
            fs::write(self.path("event.json"), of_pull_request().to_string()).unwrap();
            command
                .env("GITHUB_EVENT_NAME", "pull_request")
                .env("GITHUB_EVENT_PATH", self.path("event.json"));
            command.env("GITHUB_REPOSITORY", "acme/shop").env("GITHUB_API_URL", &github.url);
            command.env("GITHUB_TOKEN", "ghs_secret-token").env("GITHUB_RUN_ID", "900");
        }
        Run::of(&mut command)
    }

    /// Runs a command that evaluates, and looks at all that it leaves behind.
    #[track_caller]
    fn evaluated(&self, github: Option<&FakeGithub>, arguments: &[&str]) -> Run {
        let run = self.run(github, arguments);
        assert!(run.code < 2, "{}\n{}", run.stdout, run.stderr);
        assert_no_foreign_command(&run);
        assert_only_ours(&self.read("summary"));
        assert_our_outputs(&self.read("outputs"));
        run
    }
}

fn of_pull_request() -> serde_json::Value {
    json!({ "pull_request": {
        "number": 7,
        "head": { "sha": "a".repeat(40), "repo": { "full_name": "acme/shop" } },
        "base": { "ref": "main", "sha": "b".repeat(40), "repo": { "full_name": "acme/shop" } },
    } })
}

/// Fails where a comment is more than our mark and our own text.
#[track_caller]
fn assert_only_our_comment(github: &FakeGithub) -> String {
    let [body] = github.bodies_of(BOT).try_into().unwrap();
    let (mark, text) = body.split_once("-->\n").unwrap();
    let is_ours = mark.starts_with("<!-- layergate key=default verdict=") && mark.contains(" sha=aaaa");
    assert!(is_ours && !mark[4..].contains("<!--"), "{mark}");
    assert!(body.len() <= 60_000, "{} bytes", body.len());
    assert_only_ours(without_what_it_carries(text));
    body
}

/// The text of a comment without the line, if any, that it carries along for later runs: JSON that ends no sooner
/// than it should.
pub fn without_what_it_carries(text: &str) -> &str {
    let Some((carried, text)) =
        text.strip_prefix("<!-- layergate carries ").and_then(|carried| carried.split_once(" -->\n"))
    else {
        return text;
    };
    assert!(serde_json::from_str::<serde_json::Value>(carried).unwrap().is_array(), "{carried}");
    assert!(!carried.contains(['<', '>']), "{carried}");
    text
}

/// Files of these names and contents, in the order in which they are given.
fn layer(files: &[(String, Vec<u8>)], step: &str) -> FakeLayer {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    FakeLayer::gzip(&tar.into_inner().unwrap(), step)
}

/// What of a text a path may have: no NUL, no way up, and no more than is read of one.
fn as_path(text: &str) -> String {
    text.replace('\0', "").replace("..", ". .").chars().take(400).collect()
}

/// What of a text a name of a package may have.
fn as_word(text: &str) -> String {
    format!("n{}", text.chars().filter(char::is_ascii_graphic).take(120).collect::<String>())
}

/// Packages that these texts name, by the databases of three package managers.
fn packages(texts: &[String], size: usize) -> Vec<(String, Vec<u8>)> {
    let (mut files, mut apk, mut dpkg) = (Vec::new(), String::new(), String::new());
    for (index, text) in texts.iter().enumerate() {
        let word = as_word(text);
        let file = |directory: &str| (format!("{directory}/{index}"), vec![b'x'; size + index]);
        apk.push_str(&format!("P:apk-{index}{word}\nV:{size}{word}\nF:opt/apk\nR:{index}\n\n"));
        dpkg.push_str(&format!(
            "Package: deb{index}\nStatus: install ok installed\nArchitecture: all\nVersion: {size}{word}\n\n"
        ));
        let list = format!("var/lib/dpkg/info/deb{index}.list");
        let manifest = json!({ "name": format!("npm-{index}{word}"), "version": format!("{size}{word}") });
        let directory = format!("srv/node_modules/{index}");
        files.extend([file("opt/apk"), file("opt/deb"), (list, format!("/opt/deb/{index}\n").into_bytes())]);
        files.extend([
            file(&directory),
            (format!("{directory}/package.json"), manifest.to_string().into_bytes()),
        ]);
    }
    files.push(("lib/apk/db/installed".into(), apk.into_bytes()));
    files.push(("var/lib/dpkg/status".into(), dpkg.into_bytes()));
    files
}

/// An image with a layer for each text, made by it as an instruction and with a file named by it, then a layer with
/// packages of that name. The text is its base image's name too.
fn untrusted_image(directory: &Path, texts: &[String], size: usize) -> String {
    let named = |(index, text): (usize, &String)| {
        let step = if index % 2 == 0 { format!("RUN echo {text}") } else { text.clone() };
        let files = [
            (format!("{index}/{}", as_path(text)), vec![b'x'; size + 100 * index]),
            // Each hides what the one before has stored.
            ("again".into(), vec![b'x'; size + index]),
        ];
        layer(&files, &step)
    };
    let mut layers: Vec<FakeLayer> = texts.iter().enumerate().map(named).collect();
    layers.push(layer(&packages(texts, size), "RUN install"));
    let layout = configured_layout(directory, &layers, |config| {
        config["config"] = json!({ "Labels": {
            "org.opencontainers.image.base.name": texts[0],
            "org.opencontainers.image.title": texts[0],
        } });
    });
    layout.display().to_string()
}

/// What a reader should see of a string: one line, controls made visible, and no heap of marks.
fn is_shown(shown: &[String], text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    shown.iter().any(|code| code == &words || code == &format!("RUN echo {words}"))
}

/// Whether all of a text is to be seen as it is written.
fn is_plain(text: &str) -> bool {
    let ascii = text.chars().all(|c| c.is_ascii_graphic() || c == ' ' || c == '\n');
    // A step that says it is nothing has nothing to show, and too much is cut.
    ascii && !text.trim().is_empty() && text.len() < 120
}

#[test]
fn what_an_image_holds_is_text() {
    for texts in strings().chunks(12) {
        let step = Step::new();
        let base = untrusted_image(&step.path("base"), texts, 1000);
        let head = untrusted_image(&step.path("head"), texts, 3000);
        let markdown = run(&["diff", "--format", "markdown", &base, &head]).expect(0).stdout;
        assert_only_ours(&markdown);
        let shown = shown_code(&render(&markdown));
        for text in texts.iter().filter(|text| is_plain(text)) {
            assert!(is_shown(&shown, text), "{text:?} is not shown whole in\n{shown:#?}");
        }
        let named = markdown.matches("npm-").count() + markdown.matches("apk-").count();
        assert!(named >= texts.len(), "packages are named: {markdown}");
        assert_no_foreign_command(&step.run(None, &["diff", &base, &head]).expect(0));
        for format in ["text", "markdown", "json"] {
            let inspect = ["inspect", &head, "--duplicates", "--removable", "--format", format];
            let inspect = step.run(None, &inspect).expect(0);
            assert_no_foreign_command(&inspect);
            if format == "markdown" {
                assert_only_ours(&inspect.stdout);
            }
        }
        let base = format!("app={base}");
        let limits = ["--max-increase", "5%", "--max-layer-size", "100 B", "--forbid-paths", "**/*"];
        let more = ["--multi-stage", "require", "--max-wasted", "1 B", "--max-layers", "3"];
        let head = format!("app={head}");
        for format in ["text", "markdown", "json"] {
            let check = ["check", &head, "--baseline", &base, "--format", format];
            let run = step.evaluated(None, &[&check[..], &limits, &more].concat()).expect(1);
            if format == "json" {
                // What the document says is what was read.
                let steps = run.json()["images"][0]["layers"].to_string();
                let command = texts.iter().find(|text| text.starts_with("##["));
                assert!(command.is_none_or(|command| steps.contains(command.as_str())), "{steps}");
            }
        }
    }
}

/// A path on this machine that has the text in it, where there can be one.
fn place(step: &Step, text: &str) -> Option<PathBuf> {
    let text = as_path(text);
    let fits = text.split('/').all(|part| part.len() < 200) && text.len() < 900;
    let path = PathBuf::from(format!("{}/x/{text}", step.directory.path().display()));
    fits.then_some(path)
}

/// What a line of an input may have.
fn is_one_line(path: &Path) -> bool {
    let path = path.to_str().unwrap();
    path.trim() == path && path.lines().count() == 1
}

/// An image of one file of so many bytes, built on an image that is called like the text.
fn small_image(directory: &Path, size: usize, text: &str) {
    let files = [("a".to_owned(), vec![b'x'; size])];
    configured_layout(directory, &[layer(&files, "COPY a /")], |config| {
        config["config"] = json!({ "Labels": { "org.opencontainers.image.base.name": text } });
    });
}

#[test]
fn an_image_may_be_called_and_be_anywhere() {
    let mut checked = 0;
    for text in strings() {
        let step = Step::new();
        let Some(path) = place(&step, &text).filter(|path| is_one_line(path)) else { continue };
        let store = format!("dir:{}", step.path("store").display());
        small_image(&path, 1000, &text);
        let path = path.display().to_string();
        let recorded = step.run(None, &["record", &path, "--store", &store]);
        // That a name is not taken is said as safely.
        assert_no_foreign_command(&recorded);
        if recorded.code != 0 {
            continue;
        }
        checked += 1;
        small_image(Path::new(&path), 3000, &text);
        let check = ["check", &path, "--store", &store, "--max-increase", "1%", "--report", "r.json"];
        step.evaluated(None, &check).expect(1);
        if !is_for_runner(&text) {
            continue;
        }
        assert_no_foreign_command(&step.run(None, &["inspect", &path]).expect(0));
        let name = step.read("r.json").parse::<serde_json::Value>().unwrap()["images"][0]["name"].clone();
        for format in ["text", "csv", "markdown"] {
            let history = ["history", name.as_str().unwrap(), "--store", &store, "--format", format];
            let history = step.run(None, &history).expect(0);
            assert_no_foreign_command(&history);
        }
    }
    assert!(checked > 150, "{checked}");
}

/// Of several images each is called by its name wherever something is said of it.
#[test]
fn many_images_may_be_called_anything() {
    for texts in strings().chunks(20) {
        let step = Step::new();
        let places = texts.iter().filter_map(|text| place(&step, text).filter(|path| is_one_line(path)));
        let paths: Vec<PathBuf> = places.collect();
        let store = format!("dir:{}", step.path("store").display());
        let mut taken = Vec::new();
        for path in &paths {
            small_image(path, 1000, "x");
            let path = path.to_str().unwrap();
            taken.extend((step.run(None, &["record", path, "--store", &store]).code == 0).then_some(path));
            small_image(Path::new(path), 3000, "x");
        }
        // Two that have one name are refused.
        let mut names = std::collections::BTreeSet::new();
        taken.retain(|path: &&str| names.insert(Path::new(path).file_stem().unwrap().to_owned()));
        let limits = ["--store", &store, "--max-increase", "1%", "--format", "markdown"];
        let check = [&["check"][..], &taken, &limits].concat();
        let run = step.evaluated(None, &check);
        assert_only_ours(&run.stdout);
        assert!(taken.len() < 2 || run.stdout.contains("images fail"), "{}", run.stdout);
    }
}

/// The name that an index gives an image is asked for by `FILE:REF`.
#[test]
fn what_an_index_calls_an_image_is_text() {
    for texts in strings().chunks(10) {
        let step = Step::new();
        let layers = [layer(&[("a".to_owned(), vec![b'x'; 9])], "COPY a /")];
        let layout = configured_layout(&step.path("layout"), &layers, |_| {});
        let index = layout.join("index.json");
        let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
        let one = document["manifests"][0].clone();
        let named = |name: &String| -> serde_json::Value {
            let mut manifest = one.clone();
            manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
            manifest
        };
        document["manifests"] = texts.iter().map(named).collect();
        fs::write(&index, document.to_string()).unwrap();
        let path = format!("oci:{}", layout.display());
        let own = texts.iter().map(|text| format!("{path}:{}", text.replace('\0', "")));
        // Which is meant is not said, or by a name that is not there, or by its own.
        for image in [path.clone(), format!("{path}:none")].into_iter().chain(own) {
            let run = step.run(None, &["inspect", &image, "--format", "markdown"]);
            assert_no_foreign_command(&run);
            assert_only_ours(&run.stdout);
        }
    }
}

/// What is wrong with a command line, a configuration file or a document is said with what it is.
#[test]
fn what_is_refused_is_quoted_as_text() {
    let image = format!("web={}", fixture("demo/web-v1.tar"));
    let mut refused = 0;
    for text in strings().iter().map(|text| text.replace('\0', "")).filter(|text| is_for_runner(text)) {
        let step = Step::new();
        fs::write(step.path("layergate.toml"), format!("[limits]\nmax-increase = {}\n", json!(text)))
            .unwrap();
        fs::write(step.path("bad.toml"), &text).unwrap();
        fs::write(step.path("bad.json"), format!("{{\"schema\": {}}}", json!(text))).unwrap();
        for arguments in [
            &["check", text.as_str()][..],
            &["check", &image],
            &["check", &image, "--config", "bad.toml"],
            &["check", &image, "--platform", &text],
            &["inspect", &format!("snapshot:{text}")],
            &["report", &text],
            &["report", "bad.json"],
            &[&text],
        ] {
            let run = step.run(None, arguments);
            assert_no_foreign_command(&run);
            refused += usize::from(run.code > 1);
        }
    }
    assert!(refused > 500, "{refused}");
}

/// A Dockerfile that has the text in every kind of place.
fn dockerfile(text: &str) -> String {
    let line = text.replace(['\n', '\r'], " \\\n ");
    let word = as_word(text);
    format!(
        "FROM {word} AS base\nLABEL x={word}\nCOPY a /\nRUN apt-get install -y gcc {line} && echo {line}\nARG {word}\nRUN <<EOF\n{text}\nEOF\n"
    )
    .replace('\0', "")
}

/// A Dockerfile's own text, and where it lies.
#[test]
fn a_dockerfile_is_text() {
    let mut located = 0;
    for text in strings() {
        let step = Step::new();
        fs::write(step.path("Dockerfile"), dockerfile(&text)).unwrap();
        fs::write(step.path("x.Dockerfile"), dockerfile(&text) + &text).unwrap();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('\0', "");
        let run = format!("RUN apt-get install -y gcc {line} && echo {line}");
        let steps = [("COPY a /", 1000), (&run, 5000)];
        let layers = steps.map(|(step, size)| layer(&[(format!("f{size}"), vec![b'x'; size])], step));
        let image = format!("app={}", configured_layout(&step.path("image"), &layers, |_| {}).display());
        let base = format!("app={}", configured_layout(&step.path("base"), &layers[..1], |_| {}).display());
        let mut path = "Dockerfile".to_owned();
        if let Some(directory) = place(&step, &text) {
            fs::create_dir_all(&directory).unwrap();
            fs::copy(step.path("Dockerfile"), directory.join("Dockerfile")).unwrap();
            let inside = directory.strip_prefix(step.directory.path()).unwrap().join("Dockerfile");
            path = if is_one_line(&inside) { inside.display().to_string() } else { path };
        }
        let check = ["check", &image, "--baseline", &base, "--dockerfile", &path, "--max-increase", "1%"];
        let check = step.evaluated(None, &check).expect(1);
        located += usize::from(check.stderr.contains(",line=") || check.stdout.contains("Dockerfile:"));
        for arguments in [&["stages"][..], &["stages", &path, "--image", &image]] {
            let markdown = step.run(None, &[arguments, &["--format", "markdown"]].concat());
            assert_no_foreign_command(&markdown);
            assert_only_ours(&markdown.stdout);
            if is_for_runner(&text) {
                assert_no_foreign_command(&step.run(None, arguments));
            }
        }
    }
    assert!(located > 100, "{located}");
}

/// What a build says of itself: the Dockerfile's name, its directory and its text, and the base image.
#[test]
fn what_a_build_says_is_text() {
    let mut named = 0;
    for text in strings() {
        let step = Step::new();
        let image = attested_otherwise(&step.path("image"), |said| {
            said["invocation"]["configSource"]["entryPoint"] = json!(text);
            said["materials"][0]["uri"] = json!(format!("pkg:docker/{text}"));
            let own = &mut said["metadata"]["https://mobyproject.org/buildkit@v1#metadata"];
            own["vcs"]["localdir:dockerfile"] = json!(text);
            own["source"]["infos"][0]["data"] = json!(STANDARD.encode(dockerfile(&text)));
        });
        let image = format!("app={}", image.display());
        let base = configured_layout(&step.path("base"), &[layer(&[], "COPY")], |_| {});
        let base = format!("app={}", base.display());
        let check =
            ["check", &image, "--baseline", &base, "--max-increase", "1%", "--multi-stage", "require"];
        step.evaluated(None, &check).expect(1);
        let summary = step.read("summary");
        assert!(summary.contains("line numbers from build provenance"), "{summary}");
        named += usize::from(!summary.contains("`Dockerfile:"));
    }
    assert!(named > 50, "{named}");
}

/// A proposal is a Dockerfile as somebody wrote it, and printed.
#[test]
fn a_proposal_is_no_command() {
    let step = Step::new();
    for (index, line) in ["::error::x", "  ::stop-commands::x", "echo ##[error]x"].iter().enumerate() {
        let build = format!("RUN /bin/sh -c go build {} -o /worker . # buildkit", line.trim());
        let file = |path: &str, size: usize| (path.to_owned(), vec![b'x'; size]);
        let made = [file("worker", 500), file("root/.cache/go-build/00/x", 9_000_000)];
        let layers = [layer(&[file("bin/sh", 100)], "ADD rootfs.tar /"), layer(&made, &build)];
        let image = configured_layout(&step.path(&format!("image{index}")), &layers, |config| {
            config["config"] = json!({ "Cmd": ["/worker"] });
            let command = json!({ "created_by": "CMD [\"/worker\"]", "empty_layer": true });
            config["history"].as_array_mut().unwrap().push(command);
        });
        let image = format!("oci:{}", image.display());
        let text = format!("FROM golang:1.22\nRUN go build \\\n{line} \\\n-o /worker .\nCMD [\"/worker\"]\n");
        fs::write(step.path("Dockerfile"), text).unwrap();
        let propose = ["stages", "--propose", "Dockerfile", "--image", &image];
        let refused = step.run(None, &propose).expect(3);
        assert!(refused.stderr.contains("as a workflow command"), "{}", refused.stderr);
        assert_no_foreign_command(&refused);
        let document = step.run(None, &[&propose[..], &["--format", "json"]].concat()).expect(0);
        assert_no_foreign_command(&document);
        assert!(document.json()["dockerfile"].as_str().unwrap().contains(line), "{}", document.stdout);
    }
}

/// Labels that accept, what a trailer gives as its reason, and who has said so.
#[test]
fn what_a_pull_request_says_is_text() {
    let directory = tempfile::tempdir().unwrap();
    let (base, head) =
        (untrusted_image(&directory.path().join("base"), &["x".to_owned()], 1000), "y".to_owned());
    let head = untrusted_image(&directory.path().join("head"), &[head], 3000);
    let (base, head) = (format!("app={base}"), format!("app={head}"));
    let (mut labelled, mut reasons) = (0, 0);
    let (step, github) = (Step::new(), FakeGithub::start());
    for text in strings() {
        let text: &'static str = text.leak();
        github.world().labelled.clear();
        let check = |accept: &[&str]| {
            github.world().comments.clear();
            let check = ["check", &head, "--baseline", &base, "--max-increase", "5%", "--comment", "always"];
            let run = step.evaluated(Some(&github), &[&check[..], accept].concat());
            (run.code, assert_only_our_comment(&github))
        };
        // What would accept it is said, then that it does.
        let label = text.trim().replace('\0', "");
        let accept = [format!("--accept-label={label}"), "--accept-trailer=Image-Size-Accept".to_owned()];
        let accept = accept.each_ref().map(String::as_str);
        github.world().messages.push(format!("Add fonts\n\nImage-Size-Accept: because {text}").leak());
        reasons += usize::from(check(&accept).1.contains("because"));
        github.world().messages.clear();
        if !label.is_empty() && label.lines().count() == 1 {
            github.world().labelled.push((text, text.trim(), "2026-11-01T09:00:00Z", true));
            labelled += usize::from(check(&accept).1.contains("**Accepted**"));
        }
    }
    assert!(labelled > 150 && reasons > 150, "{labelled} {reasons}");
}

#[test]
fn a_record_cannot_say_more_than_a_label() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let (flag, sha) = (format!("dir:{}", store.display()), "f".repeat(40));
    run(&["record", &format!("web={}", fixture("demo/web-v1.tar")), "--store", &flag, "--commit", &sha])
        .expect(0);
    let record = store.join("records").join(&sha).join("web/linux%2famd64.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    for text in strings().into_iter().chain(["x".repeat(70_000)]) {
        document["commit"]["ref"] = format!("refs/heads/{text}").into();
        fs::write(&record, document.to_string()).unwrap();
        let image = format!("web={}", fixture("demo/web-v2.tar"));
        let check = ["check", &image, "--store", &flag, "--base-commit", &sha, "--format", "markdown"];
        let markdown = run(&check).expect(0).stdout;
        assert_only_ours(&markdown);
        assert!(markdown.len() < 4000, "{} bytes", markdown.len());
    }
}

#[test]
fn an_image_is_shown_by_its_own_name() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a|b", "`x`", "@team", "<b>", "..", "a b", "$x$"] {
        let path = directory.path().join(format!("{name}.tar"));
        fs::copy(fixture("demo/web-v1.tar"), &path).unwrap();
        let store = format!("dir:{}", directory.path().join("store").display());
        let path = path.display().to_string();
        run(&["record", &path, "--store", &store]).expect(0);
        let check = ["check", &path, "--store", &store, "--max-increase", "1%", "--format", "markdown"];
        let markdown = run(&check).expect(0).stdout;
        assert_only_ours(&markdown);
        assert!(shown_code(&render(&markdown)).contains(&name.to_owned()), "{markdown}");
    }
}
