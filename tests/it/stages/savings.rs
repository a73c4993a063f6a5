//! What is said to be saved, against what is saved once it is done: the fix of ten applications. What comes of it runs.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::apps::{self, App};
use crate::support::engine::Engine;

/// An application whose files are here.
struct Small {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    url: &'static str,
    answer: &'static str,
    dockerfile: &'static str,
}

const SMALL: &[Small] = &[
    Small {
        name: "flask",
        files: &[("app.py", include_str!("../support/apps/seed/app.py"))],
        url: "http://127.0.0.1:80/",
        answer: "notes: water the plants\n",
        dockerfile: "FROM python:3-slim\nRUN pip install flask pytest pipenv\nCOPY . /app/notes\nWORKDIR /app/notes\nCMD [\"flask\", \"run\", \"--port=80\", \"--host=0.0.0.0\"]\n",
    },
    Small {
        name: "node-script",
        files: &[
            ("package.json", include_str!("../support/apps/node-dev/package.json")),
            ("package-lock.json", include_str!("../support/apps/node-dev/package-lock.json")),
            (
                "server.js",
                "const ms = require('ms');\nrequire('http').createServer((_, to) => to.end(ms(120000, { long: true }) + '\\n')).listen(3000);\n",
            ),
        ],
        url: "http://127.0.0.1:3000/",
        answer: "2 minutes\n",
        dockerfile: "FROM node:20-slim\nWORKDIR /app\nCOPY . .\nRUN npm install\nCMD [\"node\", \"server.js\"]\n",
    },
    Small {
        name: "rust",
        files: &[
            ("Cargo.toml", "[package]\nname = \"tides\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
            (
                "src/main.rs",
                "use std::io::{Read, Write};\n\nfn main() {\n    for stream in std::net::TcpListener::bind(\"0.0.0.0:8080\").unwrap().incoming() {\n        let mut stream = stream.unwrap();\n        let _ = stream.read(&mut [0; 1024]);\n        let _ = stream.write_all(b\"HTTP/1.0 200 OK\\r\\nContent-Length: 16\\r\\n\\r\\nhello from Rust\\n\");\n    }\n}\n",
            ),
        ],
        url: "http://127.0.0.1:8080/",
        answer: "hello from Rust\n",
        dockerfile: "FROM rust:1\nWORKDIR /src\nCOPY . .\nRUN cargo build --release\nCMD [\"/src/target/release/tides\"]\n",
    },
    Small {
        name: "perl",
        files: &[
            ("Makefile", "install:\n\tmkdir -p /srv\n\tsed s/NAME/Perl/ server.pl.in > /srv/server.pl\n"),
            (
                "server.pl.in",
                "use IO::Socket::INET;\nmy $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, Reuse => 1) or die;\nwhile (my $client = $server->accept) {\n  sysread $client, my $request, 4096;\n  print $client \"HTTP/1.0 200 OK\\r\\nContent-Length: 16\\r\\n\\r\\nhello from NAME\\n\";\n  close $client;\n}\n",
            ),
        ],
        url: "http://127.0.0.1:8080/",
        answer: "hello from Perl\n",
        dockerfile: "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y make gcc libc6-dev\nWORKDIR /src\nCOPY . .\nRUN make install\nCMD [\"perl\", \"/srv/server.pl\"]\n",
    },
    Small {
        name: "cgi",
        files: &[(
            "hello.c",
            "#include <stdio.h>\n\nint main(void) {\n  fputs(\"Content-Type: text/plain\\r\\n\\r\\nhello from CGI\\n\", stdout);\n}\n",
        )],
        url: "http://127.0.0.1:8080/cgi-bin/hello",
        answer: "hello from CGI\n",
        dockerfile: "FROM debian:bookworm-slim\nRUN apt-get update \\\n && apt-get install -y --no-install-recommends busybox-static gcc libc6-dev \\\n && rm -rf /var/lib/apt/lists/*\nCOPY hello.c /src/\nRUN mkdir -p /www/cgi-bin && gcc -O2 -o /www/cgi-bin/hello /src/hello.c\nCMD [\"busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
    },
];

/// A Dockerfile of these tests, or one of the application's own.
struct Case {
    app: App,
    name: String,
    dockerfile: String,
    /// What its files are in, where that is not the application's own directory.
    _directory: Option<tempfile::TempDir>,
}

impl Case {
    fn all() -> Vec<Case> {
        let own = App::all().into_iter().flat_map(|app| {
            let kinds = ["single", "gcc"].into_iter().filter(|kind| app.dockerfile(kind).exists());
            let texts: Vec<(&str, String)> =
                kinds.map(|kind| (kind, fs::read_to_string(app.dockerfile(kind)).unwrap())).collect();
            let name = app.name;
            texts.into_iter().map(move |(kind, dockerfile)| Case {
                app: App::named(name),
                name: kind.to_owned(),
                dockerfile,
                _directory: None,
            })
        });
        own.chain(SMALL.iter().map(Case::small)).collect()
    }

    fn small(small: &Small) -> Case {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in small.files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let Small { name, url, answer, dockerfile, .. } = *small;
        Case {
            app: App { name, dir: directory.path().to_owned(), url, answer },
            name: "single".to_owned(),
            dockerfile: dockerfile.to_owned(),
            _directory: Some(directory),
        }
    }
}

/// Builds a Dockerfile of an application, and sees that it answers. Its uncompressed bytes.
#[track_caller]
fn built(engine: &Engine, app: &App, text: &str, tag: &str) -> i64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    apps::build(engine, app, file.path(), tag);
    assert_eq!(apps::answers(engine, tag, app), app.answer, "{tag}\n{text}");
    engine.inspect(tag)["totals"]["uncompressed"].as_i64().unwrap()
}

/// What `stages` says of a Dockerfile and its image.
fn said(engine: &Engine, text: &str, tag: &str) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    let run = engine.layergate(&["stages", &path, "--image", tag, "--format", "json"]).expect(0);
    run.json()["dockerfiles"][0].clone()
}

fn proposal(engine: &Engine, text: &str, tag: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    engine.layergate(&["stages", "--propose", &path, "--image", tag]).expect(0).stdout
}

fn row(text: std::fmt::Arguments<'_>) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr().lock(), text);
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn applications_save_what_was_said() {
    let Some(engine) = apps::engine("what fixes save") else { return };
    apps::rust(&engine);
    let cases = Case::all();
    let mut fixed = BTreeSet::new();
    for case in &cases {
        let tag = format!("savings-{}:{}", case.app.name, case.name);
        let now = built(&engine, &case.app, &case.dockerfile, &tag);
        let entry = said(&engine, &case.dockerfile, &tag);
        let fix = &entry["fix"];
        let Some(promised) = fix["saves"].as_i64() else {
            // Nothing in the Dockerfile could be moved: the image is large by what it starts from.
            assert_eq!(entry["evaluated"]["help"], "", "{tag}: {entry:#}");
            row(format_args!("{tag}: no fix is offered\n"));
            continue;
        };
        let text = proposal(&engine, &case.dockerfile, &tag);
        let then = built(&engine, &case.app, &text, &format!("{tag}-fixed"));
        let off = (promised - (now - then)).abs() as f64 * 100.0 / (now - then) as f64;
        let lines = &fix["lines"];
        fixed.insert(case.app.name);
        row(format_args!(
            "{tag}: lines {lines}: {promised} said, {} saved of {now}, off by {off:.1}%\n",
            now - then
        ));
        assert!(off <= 5.0, "{tag}: {promised} said, {} saved\n{text}", now - then);
        assert!(!text.contains(".cache /") && !text.contains(".cache\n"), "{tag}: a cache is copied\n{text}");
    }
    assert!(fixed.len() >= 10, "only these have a fix: {fixed:?}");
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn what_a_container_starts_stays() {
    let Some(engine) = apps::engine("what a container starts") else { return };
    let app = App::named("c-server");
    let text = "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y gcc libc6-dev make\nWORKDIR /src\nCOPY . .\nCMD [\"sh\", \"-c\", \"make && exec ./server\"]\n";
    let tag = "advice-c-server:makes-when-it-starts";
    built(&engine, &app, text, tag);
    let entry = said(&engine, text, tag);
    let tools: Vec<&Value> =
        entry["removable"].as_array().unwrap().iter().filter(|one| one["kind"] == "build-tools").collect();
    assert!(!tools.is_empty(), "{entry:#}");
    for one in tools {
        assert_eq!(one["ignored"], "CMD runs make", "{one:#}");
    }
}
