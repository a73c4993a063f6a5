//! `layergate stages` on a repository with many Dockerfiles: which are found, what is said of them, and the exit
//! codes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, tar_of};

const FILES: &[(&str, &str)] = &[
    (".gitignore", "/dist/\n*.tmp.Dockerfile\n"),
    (
        "Dockerfile",
        "FROM golang:1.22 AS builder\nCOPY . /src\nRUN go build -o /app /src\nFROM scratch\nCOPY --from=builder /app /app\n",
    ),
    (
        "services/api/Dockerfile",
        "FROM python:3.12\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nRUN apt-get update \\\n && apt-get install -y gcc\nCOPY . .\n",
    ),
    (
        "services/web/Dockerfile",
        "ARG NODE=20\nFROM node:${NODE} AS builder\nRUN npm ci && npm run build\nFROM nginx:alpine\nCOPY --from=builder /app/dist /usr/share/nginx/html\n",
    ),
    (
        "services/worker/Dockerfile.prod",
        "FROM golang:1.22\nCOPY . .\nRUN go build -o /worker .\nCMD [\"/worker\"]\n",
    ),
    ("services/legacy/Dockerfile", "COPY . /app\nFORM debian\n"),
    ("services/mail/Dockerfile", "FROM debian:12 AS base\nRUN apk add build-base\nFROM base\nCOPY mail /\n"),
    ("libs/tool/tool.Dockerfile", "FROM python:3.12-slim\nRUN pip install --no-cache-dir flask\nCOPY . .\n"),
    ("jobs/Containerfile", "FROM eclipse-temurin:17-jre\nCOPY job.jar /\n"),
    ("empty/Dockerfile", ""),
    (".devcontainer/Dockerfile", "FROM ubuntu:24.04 AS dev\nRUN apt-get install -y build-essential\n"),
    // None of ours.
    ("dist/Dockerfile", "FROM golang:1.22\nRUN go build\n"),
    ("services/old.tmp.Dockerfile", "FROM golang:1.22\nRUN go build\n"),
    ("services/web/node_modules/x/Dockerfile", "FROM golang:1.22\nRUN go build\n"),
    (".git/Dockerfile", "FROM golang:1.22\nRUN go build\n"),
    // Nothing to build from.
    ("Dockerfile.dockerignore", "*\n"),
    ("Dockerfile.md", "# Our Dockerfile\n"),
    ("services/api/main.py", "print(1)\n"),
];

struct Monorepo(tempfile::TempDir);

impl Monorepo {
    fn new() -> Monorepo {
        let repository = Monorepo(tempfile::tempdir().unwrap());
        FILES.iter().for_each(|(path, text)| repository.write(path, text));
        repository
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn stages(&self, arguments: &[&str]) -> Run {
        let mut command = layergate();
        command.current_dir(self.path()).env("XDG_CACHE_HOME", self.path().join("dist/cache"));
        Run::of(command.arg("stages").args(arguments))
    }

    /// The paths that are told of, first to last.
    #[track_caller]
    fn paths(&self, arguments: &[&str], code: i32) -> Vec<String> {
        let document = self.stages(&[arguments, &["--format", "json"]].concat()).expect(code).json();
        let path = |entry: &Value| entry["path"].as_str().unwrap().to_owned();
        document["dockerfiles"].as_array().unwrap().iter().map(path).collect()
    }

    /// The image of the service, as `services/api/Dockerfile` builds it, with a compiler of so many bytes.
    fn image(&self, name: &str, bytes: u64) -> String {
        let layer = |step: &str, items: &[Item<'_>]| FakeLayer::gzip(&tar_of(items), step);
        let layers = [
            layer("ADD rootfs.tar / # buildkit", &[Item::File("usr/bin/make", 200_000)]),
            layer("WORKDIR /app", &[Item::Dir("app")]),
            layer("COPY requirements.txt . # buildkit", &[Item::File("app/requirements.txt", 6)]),
            layer(
                "RUN /bin/sh -c pip install -r requirements.txt # buildkit",
                &[Item::File("root/.cache/pip/http/0/x", 30_000)],
            ),
            layer(
                "RUN /bin/sh -c apt-get update  && apt-get install -y gcc # buildkit",
                &[Item::File("usr/bin/gcc", bytes)],
            ),
            layer("COPY . . # buildkit", &[Item::File("app/main.py", 9)]),
        ];
        format!("oci:{}", oci_layout(&self.path().join("dist").join(name), &layers).display())
    }
}

#[test]
fn a_repository_with_many_dockerfiles() {
    let repository = Monorepo::new();
    let text = repository.stages(&[]).expect(0);
    for path in ["services/legacy/Dockerfile", "empty/Dockerfile"] {
        assert!(text.stderr.contains(&format!("cannot read the Dockerfile {path}")), "{}", text.stderr);
    }
    insta::assert_snapshot!("stages_text", text.stdout);
    insta::assert_snapshot!("stages_markdown", repository.stages(&["--format", "markdown"]).expect(0).stdout);
    let document = repository.stages(&["--format", "json"]).expect(0).json();
    assert_eq!(document["schema"], "layergate.stages/v1");
    let expected = serde_json::json!({
        "dockerfiles": 10, "unreadable": 2, "unknown": 4, "multi_stage": 2, "passing": 4, "warned": 0,
        "failing": 0, "images": 0, "removable": 0, "saving": 0,
    });
    assert_eq!(document["totals"], expected);
}

#[test]
fn dockerfiles_are_named_by_path_directory_and_pattern() {
    let repository = Monorepo::new();
    let all = repository.paths(&[], 0);
    let ours = FILES[1..11].iter().map(|(path, _)| (*path).to_owned());
    assert_eq!(
        all.iter().collect::<std::collections::BTreeSet<_>>(),
        ours.collect::<Vec<_>>().iter().collect()
    );
    let failing = ["services/api/Dockerfile", "services/mail/Dockerfile", "services/worker/Dockerfile.prod"];
    let broken = "services/legacy/Dockerfile";
    let services = [&failing[..], &["services/web/Dockerfile", broken]].concat();
    assert_eq!(repository.paths(&["services"], 0), services);
    assert_eq!(repository.paths(&["services/*/Dockerfile{,.prod}"], 0), services);
    assert_eq!(repository.paths(&["./services/w*/Dockerfile*"], 0), [services[2], services[3]]);
    assert_eq!(repository.paths(&["**/*.Dockerfile"], 0), ["libs/tool/tool.Dockerfile"]);
    // Several, one of them twice, and on lines as an action's input has them.
    assert_eq!(
        repository.paths(&["services/api\nDockerfile\n", "Dockerfile"], 0),
        [failing[0], "Dockerfile"]
    );
    // One that is named is looked at wherever it is.
    let ignored = "services/web/node_modules/x/Dockerfile";
    assert_eq!(repository.paths(&[ignored, "dist/Dockerfile"], 0), ["dist/Dockerfile", ignored]);
    assert_eq!(repository.paths(&["services/web/node_modules/x"], 0), [ignored]);
}

#[test]
fn the_exit_code_says_whether_all_that_was_named_was_read() {
    let repository = Monorepo::new();
    let broken = "services/legacy/Dockerfile";
    assert_eq!(repository.paths(&[broken, "Dockerfile"], 3), ["Dockerfile", broken]);
    assert_eq!(repository.paths(&["none/Dockerfile", "Dockerfile"], 3), ["Dockerfile", "none/Dockerfile"]);
    for (arguments, said) in [
        (&["docs/*/Dockerfile"][..], "no file matches the pattern docs/*/Dockerfile"),
        (&["services/api/[*"], "services/api/[*"),
        (&["services/web/node_modules/y", "--format", "text"], "services/web/node_modules/y"),
    ] {
        let run = repository.stages(arguments);
        assert!(run.code == 2 || run.code == 3, "{arguments:?}: {}", run.code);
        assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
    }
    fs::create_dir(repository.path().join("services/none")).unwrap();
    let none = repository.stages(&["services/none"]).expect(2);
    assert!(none.stderr.contains("there is no Dockerfile"), "{}", none.stderr);
}

#[test]
fn images_show_what_is_really_shipped() {
    let repository = Monorepo::new();
    let image = repository.image("api", 3_000_000);
    let of_path = format!("services/api/Dockerfile={image}");
    let document = repository.stages(&["--image", &of_path, "--format", "json"]).expect(0).json();
    let first = &document["dockerfiles"][0];
    assert_eq!(first["path"], "services/api/Dockerfile", "what can be saved comes first");
    assert_eq!(
        (&first["fix"]["saves"], &document["totals"]["saving"]),
        (&3_030_000.into(), &3_030_000.into())
    );
    assert_eq!(
        (&first["evaluated"]["removable"], &first["evaluated"]["removable_of_base"]),
        (&3_230_000.into(), &200_000.into())
    );
    assert_eq!((&document["totals"]["images"], &document["totals"]["dockerfiles"]), (&1.into(), &10.into()));
    let reason = first["evaluated"]["reason"].as_str().unwrap();
    assert!(reason.contains("services/api/Dockerfile:5 apt-get install gcc"), "{reason}");

    // It could be of any of them.
    let unnamed = repository.stages(&["--image", &image]).expect(2);
    assert!(unnamed.stderr.contains("Write DOCKERFILE=IMAGE, such as"), "{}", unnamed.stderr);

    // By the name that the configuration has, by the only Dockerfile, and with a `./`.
    repository.write("layergate.toml", "[images.api]\ndockerfile = \"./services/api/Dockerfile\"\n");
    let of_first = |arguments: &[&str]| {
        let run = repository.stages(&[arguments, &["--format", "json"]].concat()).expect(0);
        run.json()["dockerfiles"][0].take()
    };
    assert_eq!(of_first(&["--image", &format!("api={image}")])["fix"]["saves"], 3_030_000);
    assert_eq!(of_first(&["services/api/Dockerfile", "--image", &image])["fix"]["saves"], 3_030_000);
    assert_eq!(of_first(&["--image", &format!("./{of_path}")])["fix"]["saves"], 3_030_000);
    let alone = repository.stages(&["services/api/Dockerfile", "--image", &image]).expect(0).stdout;
    for words in [
        "compilers and linkers",
        ": services/api/Dockerfile:5",
        "--propose services/api/Dockerfile --image oci:",
    ] {
        assert!(alone.contains(words), "{words}: {alone}");
    }

    for (image, said) in [
        (format!("web={image}"), "Write DOCKERFILE=IMAGE, such as"),
        (format!("none/Dockerfile={image}"), "none/Dockerfile is not one of the Dockerfiles"),
    ] {
        let run = repository.stages(&["--image", &image]).expect(2);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let missing = repository.stages(&["--image", "services/api/Dockerfile=oci:nowhere"]).expect(3);
    assert!(missing.stderr.contains("nowhere"), "{}", missing.stderr);
}
