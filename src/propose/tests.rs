//! Proposals for made-up images.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::image::layer_ref::DockerfileLines;
use crate::image::mark::Mark;
use crate::image::snapshot::{BaseImage, BoundaryBy, HistoryEntry};
use crate::image::{Ecosystem, Entry, FileList, Instruction, Layer, LayerPath, Package};
use crate::packages::installed;
use crate::removable::Search;

/// A layer: the line that made it, 0 for the base image's, and its content, one entry a line: `f path bytes`,
/// `f path bytes deb:package`, `d path`, `l link`, `h new old`, `dev path directory` for a file that says which
/// directory only development needs.
type Made<'a> = (u32, &'a str);

fn file_list(text: &str) -> FileList {
    let (mut entries, mut packages, mut marks) = (Vec::new(), Vec::<Package>::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let path = LayerPath::from(words[1].replace("\\_", " ").as_str());
        let entry = entries.len() as u32;
        entries.push(match words[0] {
            "f" => Entry::File(path, Bytes(words[2].parse().unwrap())),
            "dev" => {
                marks.push(Mark::Dev { entry, directories: vec![words[2].into()] });
                Entry::File(path, Bytes(10))
            }
            "d" => Entry::Dir(path),
            "l" => Entry::Symlink(path),
            "h" => Entry::HardLink(path, words[2].into()),
            other => panic!("{other}"),
        });
        let Some(package) = words.get(3) else { continue };
        let (kind, name) = package.split_once(':').unwrap();
        let (name, version) = name.split_once('=').unwrap_or((name, "1"));
        let ecosystem = match kind {
            "deb" => Ecosystem::Dpkg,
            "pypi" => Ecosystem::Python,
            other => panic!("{other}"),
        };
        match packages.iter_mut().find(|package| package.name == name) {
            Some(package) => package.files.push(entry),
            None => packages.push(Package {
                ecosystem,
                name: name.into(),
                version: version.into(),
                anchor: entry,
                files: vec![entry],
                elsewhere: Vec::new(),
                inside: Bytes(0),
            }),
        }
    }
    FileList { packages, marks: Some(marks), ..FileList::of(entries) }
}

fn layer(index: usize, (line, text): &Made<'_>) -> Layer {
    let place = DockerfileLines { path: "Dockerfile".into(), line: *line, end_line: *line };
    Layer { dockerfile: Some(place).filter(|_| *line > 0), ..Layer::made_up(index, file_list(text)) }
}

fn snapshot(made: &[Made<'_>]) -> Snapshot {
    let layers: Vec<Layer> = made.iter().enumerate().map(|(index, made)| layer(index, made)).collect();
    let base = made.iter().filter(|(line, _)| *line == 0).count() as u64;
    let packages = Filesystem::of_layers(&layers).as_ref().map(installed).map(Arc::from);
    let base = BaseImage { name: None, layers: base, how: BoundaryBy::Dockerfile };
    Snapshot { base: Some(base), packages, ..Snapshot::made_up(layers) }
}

fn proposed_of(
    source: &str,
    mut image: Snapshot,
    runtime_image: Option<(&str, &Snapshot)>,
) -> Result<Proposal, NoProposal> {
    let dockerfile = Dockerfile::parse(source).unwrap();
    let options = BuildOptions::default();
    let facts = dockerfile.facts(&options).unwrap();
    let filesystem = Filesystem::of_layers(&image.layers).map(Arc::new);
    let find = |filesystem| Search::new(Catalogue::builtin()).find(&image, filesystem);
    image.removable = filesystem.as_ref().map(find);
    propose(&Inputs {
        dockerfile: &dockerfile,
        source,
        options: &options,
        facts: &facts,
        snapshot: &image,
        filesystem: filesystem.as_deref(),
        catalogue: &Catalogue::builtin(),
        runtime_image: runtime_image.map(|(name, snapshot)| RuntimeImage { name, snapshot: Some(snapshot) }),
    })
}

fn proposed(source: &str, made: &[Made<'_>]) -> Proposal {
    let proposal = proposed_of(source, snapshot(made), None).unwrap();
    assert!(proposal.predicted.unwrap() < proposal.now);
    proposal
}

/// The final stage, without its comments.
fn last(proposal: &Proposal) -> Vec<&str> {
    let at = proposal.text.rfind("\nFROM ").unwrap() + 1;
    proposal.text[at..].lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect()
}

const TUTORIAL: &str = "FROM python:3
ENV PYBASE /pybase
ENV PYTHONUSERBASE $PYBASE
ENV PATH $PYBASE/bin:$PATH
RUN pip install pipenv
WORKDIR /tmp
COPY Pipfile .
RUN pipenv lock
RUN PIP_USER=1 PIP_IGNORE_INSTALLED=1 pipenv install -d --system --ignore-pipfile
COPY . /app/notes
WORKDIR /app/notes
EXPOSE 80
CMD [ \"flask\", \"run\", \"--port=80\", \"--host=0.0.0.0\" ]
";
const SITE: &str = "usr/local/lib/python3.12/site-packages";

fn tutorial() -> Vec<(u32, String)> {
    let base = format!(
        "f usr/bin/gcc 900 deb:gcc\nf usr/local/bin/python3 5000\nf usr/local/lib/python3.12/os.py 1000\nf {SITE}/pip/a.py 2000"
    );
    let pipenv = format!(
        "f {SITE}/pipenv-1.dist-info/METADATA 10 pypi:pipenv\nf {SITE}/pipenv/a.py 70000 pypi:pipenv\n\
         f {SITE}/certifi-1.dist-info/METADATA 10 pypi:certifi\nf {SITE}/certifi/cacert.pem 3000 pypi:certifi\n\
         f usr/local/bin/pipenv 200 pypi:pipenv\nf root/.cache/pip/http/x 40000\n\
         f usr/local/lib/python3.12/__pycache__/os.cpython-312.pyc 900"
    );
    let packages = "d pybase
        f pybase/bin/flask 200 pypi:flask
        f pybase/lib/python3.12/site-packages/flask-1.dist-info/METADATA 20 pypi:flask
        f pybase/lib/python3.12/site-packages/flask/__init__.py 6000 pypi:flask
        f pybase/lib/python3.12/site-packages/flask/__pycache__/__init__.cpython-312.pyc 5000 pypi:flask
        f pybase/lib/python3.12/site-packages/jinja2/a.py 4000
        f pybase/lib/python3.12/site-packages/click/a.py 3000
        f pybase/bin/pytest 100 pypi:pytest
        f pybase/lib/python3.12/site-packages/_pytest/a.py 2000 pypi:pytest";
    vec![
        (0, base),
        (5, pipenv),
        (7, "f tmp/Pipfile 30".into()),
        (8, "f tmp/Pipfile.lock 500\nf root/.local/share/virtualenvs/tmp-x/bin/python 60000".into()),
        (9, packages.into()),
        (10, "f app/notes/app.py 700".into()),
    ]
}

fn borrowed(made: &[(u32, String)]) -> Vec<Made<'_>> {
    made.iter().map(|(line, text)| (*line, text.as_str())).collect()
}

#[test]
fn the_tutorials_application_becomes_what_the_tutorial_makes_of_it() {
    let made = tutorial();
    let proposal = proposed(TUTORIAL, &borrowed(&made));
    assert_eq!(
        last(&proposal),
        [
            "FROM python:3",
            "ENV PYBASE /pybase",
            "ENV PYTHONUSERBASE $PYBASE",
            "ENV PATH $PYBASE/bin:$PATH",
            "COPY --from=builder /pybase /pybase",
            "COPY . /app/notes",
            "WORKDIR /app/notes",
            "EXPOSE 80",
            "CMD [ \"flask\", \"run\", \"--port=80\", \"--host=0.0.0.0\" ]",
        ]
    );
    assert!(proposal.text.contains("FROM python:3 AS builder\nENV PYBASE /pybase\n"), "{}", proposal.text);
    let mounted = "RUN --mount=type=cache,target=/root/.cache/pip pip install pipenv\n";
    assert!(proposal.text.contains(mounted), "{}", proposal.text);
    let removed = "RUN rm -rf /pybase/bin/pytest \\\n      /pybase/lib/python3.12/site-packages/_pytest\n";
    assert!(proposal.text.contains(removed), "{}", proposal.text);
    let base = 900 + 5000 + 1000 + 2000;
    assert_eq!(proposal.predicted, Some(Bytes(base + 200 + 20 + 6000 + 5000 + 4000 + 3000 + 700)));
    assert_eq!(proposal.moved.iter().map(|lines| lines.line).collect::<Vec<_>>(), [5, 7, 8, 9]);
    assert!(proposal.unsure.iter().any(|text| text.contains("python:3-slim would save more")));
    insta::assert_snapshot!(proposal.text);
}

#[test]
fn another_base_image_counts_with_its_own_bytes() {
    let slim = snapshot(&[(0, "f usr/local/bin/python3 5000")]);
    let made = tutorial();
    let proposal = proposed_of(TUTORIAL, snapshot(&borrowed(&made)), Some(("python:3-slim", &slim))).unwrap();
    assert_eq!(last(&proposal)[0], "FROM python:3-slim");
    assert_eq!(proposal.predicted, Some(Bytes(5000 + 18_220 + 700)));
    assert_eq!(proposal.runtime_image, "python:3-slim");
    assert!(proposal.unsure.iter().any(|text| text.contains("python:3-slim contains less than python:3")));

    let mut image = snapshot(&borrowed(&made));
    image.layers[3].dockerfile = None;
    assert!(proposed_of(TUTORIAL, image.clone(), None).is_ok(), "a layer between two that are known");
    image.layers[5].dockerfile = None;
    let error = proposed_of(TUTORIAL, image, None).unwrap_err();
    assert_eq!(error, NoProposal::LinesUnknown { layer: 6 });
}

#[test]
fn packages_that_a_build_tool_brought_stay_where_others_may_load_them() {
    let source = "FROM python:3\nRUN pip install pipenv\nCOPY Pipfile .\nRUN pipenv install --system\nCMD [\"flask\"]\n";
    let made = tutorial();
    let flask = format!(
        "f {SITE}/flask-1.dist-info/METADATA 9 pypi:flask\nf {SITE}/flask/a.py 900 pypi:flask\nf usr/local/bin/flask 50 pypi:flask"
    );
    let layers = [(0, made[0].1.as_str()), (2, &made[1].1), (3, "f Pipfile 3"), (4, &flask)];
    let proposal = proposed(source, &layers);
    let all = last(&proposal).join("\n");
    assert!(all.contains("/site-packages/certifi ") && all.contains("/site-packages/flask "), "{all}");
    assert!(!proposal.text.contains("site-packages/pipenv"), "{}", proposal.text);
    assert!(proposal.unsure.iter().any(|text| text.contains("certifi")), "{:?}", proposal.unsure);
    // If it starts the program, it has to be kept.
    let source = source.replace("[\"flask\"]", "[\"pipenv\", \"run\", \"flask\"]");
    let proposal = proposed(&source, &layers);
    assert!(proposal.text.contains("site-packages/pipenv"), "{}", proposal.text);
}

const NODE: &str = "FROM node:20
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY src ./src
RUN npm run build
USER node
CMD [\"node\", \"dist/server.js\"]
";

#[test]
fn development_dependencies_are_pruned_before_the_copy() {
    let modules = "f root/.npm/_cacache/x 9000
        dev app/node_modules/.package-lock.json app/node_modules/typescript
        f app/node_modules/typescript/tsc.js 80000
        f app/node_modules/ms/index.js 300
        l app/node_modules/.bin/tsc";
    let layers = [
        (0, "f usr/bin/gcc 500000 deb:gcc\nf usr/local/bin/node 7000"),
        (2, "d app"),
        (3, "f app/package.json 20\nf app/package-lock.json 40"),
        (4, modules),
        (5, "f app/src/server.ts 100"),
        (6, "f app/dist/server.js 90"),
    ];
    let proposal = proposed(NODE, &layers);
    assert!(proposal.text.contains("\nRUN npm run build\n# Remove development dependencies before the copy.\nRUN npm prune --omit=dev\n"), "{}", proposal.text);
    assert!(proposal.text.contains("RUN --mount=type=cache,target=/root/.npm npm ci\n"), "{}", proposal.text);
    assert_eq!(
        last(&proposal),
        [
            "FROM node:20",
            "WORKDIR /app",
            "COPY --from=builder /app /app",
            "USER node",
            "CMD [\"node\", \"dist/server.js\"]"
        ]
    );
    assert_eq!(proposal.predicted, Some(Bytes(507_000 + 20 + 40 + 10 + 300 + 100 + 90)));

    // What starts the program is not a development dependency, whatever its name.
    let starts = NODE.replace("\"node\", \"dist/server.js\"", "\"node_modules/.bin/tsc\"");
    let proposal = proposed_of(&starts, snapshot(&layers), None).unwrap();
    assert!(!proposal.text.contains("npm prune"), "{}", proposal.text);
}

const GO: &str = "# syntax=docker/dockerfile:1
ARG VERSION=1.22
FROM golang:${VERSION}
# the module first
COPY go.mod ./
RUN go mod download
COPY . .
RUN go build -o /go/bin/tide .
EXPOSE 80
CMD [\"tide\"]
";

#[test]
fn a_program_needs_nothing_of_its_toolchain() {
    let layers = [
        (
            0,
            "f var/lib/dpkg/status 100 deb:base-files=12.4+deb12u5\nf usr/local/go/bin/go 900\nf etc/ssl/certs/ca-certificates.crt 2000",
        ),
        (5, "f go/go.mod 20"),
        (6, "f go/pkg/mod/x/a.go 5000"),
        (7, "f go/main.go 100\nf go/go.mod 20\nf go/page.html 30\nf go/.git/config 10"),
        (8, "f root/.cache/go-build/x 7000\nf go/bin/tide 6000"),
    ];
    let image = snapshot(&layers);
    let base = crate::dockerfile::StageBase::Image("golang:1.22".into());
    assert_eq!(usual_final_base(&base, &image).as_deref(), Some("debian:bookworm-slim"));
    let slim = snapshot(&[(0, "f var/lib/dpkg/status 100 deb:base-files=12.4+deb12u5\nf bin/sh 1000")]);
    let proposal = proposed_of(GO, image, Some(("debian:bookworm-slim", &slim))).unwrap();
    assert!(proposal.text.starts_with("# syntax=docker/dockerfile:1\n# A proposal of"), "{}", proposal.text);
    assert_eq!(
        last(&proposal),
        [
            "FROM debian:bookworm-slim",
            "ENV PATH=/go/bin:$PATH",
            "COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/",
            "COPY --from=builder /go/bin /go/bin",
            "COPY --from=builder /go/page.html /go/page.html",
            "EXPOSE 80",
            "CMD [\"tide\"]",
        ]
    );
    assert_eq!(proposal.predicted, Some(Bytes(1100 + 2000 + 30 + 6000)));
    assert!(
        proposal.text.contains("FROM golang:${VERSION} AS builder\n# the module first\n"),
        "{}",
        proposal.text
    );
}

#[test]
fn a_jar_leaves_its_sources_and_build_behind() {
    let source = "FROM maven:3-eclipse-temurin-17\nWORKDIR /app\nCOPY . .\nRUN mvn -q package\nCMD [\"java\", \"-jar\", \"target/app.jar\"]\n";
    let layers = [
        (0, "f opt/java/openjdk/bin/javac 300000\nf usr/share/maven/lib/x.jar 9000"),
        (3, "f app/pom.xml 30\nf app/src/main/java/A.java 70\nf app/src/main/resources/a.properties 5"),
        (
            4,
            "f root/.m2/repository/x.jar 8000\nf app/target/app.jar 4000\nf app/target/classes/A.class 60\nf app/target/maven-archiver/pom.properties 4",
        ),
    ];
    let image = snapshot(&layers);
    let base = crate::dockerfile::StageBase::Image("maven:3-eclipse-temurin-17".into());
    assert_eq!(usual_final_base(&base, &image).as_deref(), Some("eclipse-temurin:17-jre"));
    let jre = snapshot(&[(0, "f opt/java/openjdk/bin/java 100000")]);
    let proposal = proposed_of(source, image, Some(("eclipse-temurin:17-jre", &jre))).unwrap();
    let copies: Vec<&str> = last(&proposal).into_iter().filter(|line| line.starts_with("COPY")).collect();
    assert_eq!(copies, ["COPY --from=builder /app/target/app.jar /app/target/app.jar"]);
    assert_eq!(proposal.predicted, Some(Bytes(104_000)));
}

#[test]
fn a_library_is_installed_without_its_headers() {
    let source = "FROM python:3-slim\nARG MIRROR\nRUN apt-get update && apt-get install -y gcc libpq-dev tzdata git\nRUN pip install psycopg2\nCOPY app.py /app.py\nCMD [\"python3\", \"/app.py\"]\n";
    let apt = "f var/lib/dpkg/status 700
        f usr/bin/gcc 600000 deb:gcc
        f usr/include/libpq.h 5000 deb:libpq-dev
        f usr/lib/libpq.so.5 3000 deb:libpq5
        f usr/lib/libldap.so.2 2000 deb:libldap2
        f usr/share/zoneinfo/UTC 400 deb:tzdata
        f usr/bin/git 30000 deb:git
        f usr/bin/perl 20000 deb:perl
        l usr/lib/libpq.so
        f var/cache/apt/pkgcache.bin 900";
    let pip = format!("f {SITE}/psycopg2/a.so 800 pypi:psycopg2");
    let layers = [(0, "f usr/local/bin/python3 5000"), (3, apt), (4, pip.as_str()), (5, "f app.py 10")];
    let proposal = proposed(source, &layers);
    let shown = last(&proposal).join("\n");
    let expected = "FROM python:3-slim
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 tzdata \\
  && rm -rf /var/lib/apt/lists/*
COPY --from=builder /usr/local/lib /usr/local/lib
COPY app.py /app.py
CMD [\"python3\", \"/app.py\"]";
    assert_eq!(shown, expected);
    assert_eq!(proposal.predicted, Some(Bytes(5000 + 3000 + 2000 + 400 + 700 + 800 + 10)));
    assert!(proposal.unsure.iter().any(|text| text.contains("git, perl")), "{:?}", proposal.unsure);
}

#[test]
fn a_made_site_is_copied_and_packages_for_running_are_installed_as_they_were() {
    let source = "FROM python:3-slim
RUN apt-get update && apt-get install -y busybox-static && rm -rf /var/lib/apt/lists/*
RUN pip install mkdocs
WORKDIR /site
COPY . .
RUN mkdocs build -d public
CMD [\"busybox\", \"httpd\", \"-f\", \"-h\", \"/site/public\"]
";
    let layers = [
        (0, "f usr/local/bin/python3 5000"),
        (2, "f var/lib/dpkg/status 50\nf usr/bin/busybox 2000 deb:busybox-static\nf var/cache/apt/x 9"),
        (3, "f usr/local/lib/mkdocs/a.py 100 pypi:mkdocs\nf root/.cache/pip/x 80000"),
        (5, "f site/index.md 20"),
        (6, "f site/public/index.html 60"),
    ];
    let proposal = proposed(source, &layers);
    let shown = last(&proposal);
    assert_eq!(shown[1], source.lines().nth(1).unwrap(), "{shown:?}");
    // What such an instruction leaves behind is cleaned up.
    let leaves = source.replace(" && rm -rf /var/lib/apt/lists/*", "");
    let mut left = layers;
    left[1].1 =
        "f var/lib/dpkg/status 50\nf usr/bin/busybox 2000 deb:busybox-static\nf var/lib/apt/lists/x 700";
    let cleared = proposed(&leaves, &left);
    assert_eq!(
        last(&cleared)[1..3],
        ["RUN apt-get update && apt-get install -y busybox-static \\", "  && rm -rf /var/lib/apt/lists/*"]
    );
    assert_eq!(cleared.predicted.map(|then| then.0 + 9), proposal.predicted.map(|then| then.0));
    assert!(shown.contains(&"COPY --from=builder /site /site"), "{shown:?}");
    assert!(!proposal.text.contains("/usr/bin/busybox"), "{}", proposal.text);
}

#[test]
fn links_owners_and_empty_directories_are_gathered() {
    let source = "FROM gcc:12
ARG ID=7
RUN groupadd -g $ID tide && useradd -u $ID tide && mkdir /data && chown tide /data
COPY . /src
RUN make -C /src && ln -s /src/tide /usr/local/bin/tide && chown -R tide /src
USER tide
CMD [\"tide\"]
";
    let layers = [
        (0, "f usr/bin/gcc 900 deb:gcc\nf etc/passwd 500\nd usr/local/bin"),
        (3, "f etc/passwd 540\nf etc/group 90\nf etc/passwd- 500\nd data"),
        (4, "f src/tide.c 40\nf src/page.html 50"),
        (5, "f src/tide.c 40\nf src/page.html 50\nf src/tide 600\nl usr/local/bin/tide"),
    ];
    let proposal = proposed(source, &layers);
    let gathered = "RUN mkdir /runtime && cd / && cp -a --parents -- \\
      data \\
      src/page.html \\
      src/tide \\
      usr/local/bin/tide \\
      /runtime/
";
    assert!(proposal.text.contains(gathered), "{}", proposal.text);
    assert_eq!(
        last(&proposal),
        [
            "FROM gcc:12",
            "ARG ID=7",
            "RUN groupadd -g $ID tide && useradd -u $ID tide",
            "COPY --from=builder /runtime/ /",
            "USER tide",
            "CMD [\"tide\"]",
        ]
    );
    assert_eq!(proposal.predicted, Some(Bytes(1_400 + 540 + 90 + 500 + 50 + 600)));
    // Users created among commands that are unclear are copied with their files.
    let hidden = source.replace("RUN groupadd -g $ID", "RUN if true; then echo; fi && groupadd -g $ID");
    let proposal = proposed(&hidden, &layers);
    assert!(
        last(&proposal).contains(&"COPY --from=builder /etc/passwd /etc/group /etc/"),
        "{}",
        proposal.text
    );
}

#[test]
fn a_builder_that_is_not_root_gathers_as_root() {
    let source = "FROM gcc:12\nUSER tide\nRUN make && chmod 700 tide\nCMD [\"/home/tide/tide\"]\n";
    let layers = [
        (0, "f usr/bin/gcc 900 deb:gcc\nd home/tide"),
        (3, "f home/tide/tide 9\nl home/tide/link\nf home/tide/.cache/pip/x 700"),
    ];
    let proposal = proposed(source, &layers);
    assert!(proposal.text.contains("USER root\n# Collect the files that run"), "{}", proposal.text);
    assert!(!proposal.text.contains("--mount"), "{}", proposal.text);
}

#[test]
fn a_script_that_a_container_starts_may_need_what_is_not_copied() {
    let proposal = |start: &str| {
        let source = format!(
            "FROM debian:12\nRUN apt-get install -y gcc\nCOPY start.sh /start.sh\nRUN gcc -o /tide /tide.c\nENTRYPOINT [\"{start}\"]\n"
        );
        let layers =
            [(0, "f bin/sh 9"), (2, "f usr/bin/gcc 900 deb:gcc"), (3, "f start.sh 5"), (4, "f tide 50")];
        let mut image = snapshot(&layers);
        let step = |text: &str, makes_layer| HistoryEntry {
            instruction: Instruction::from_history(text),
            makes_layer,
        };
        image.history = [
            "ADD rootfs /",
            "RUN apt-get install -y gcc",
            "COPY start.sh /start.sh",
            "RUN gcc -o /tide /tide.c",
        ]
        .map(|text| step(text, true))
        .into();
        image.history.push(step(&format!("ENTRYPOINT [\"{start}\"]"), false));
        proposed_of(&source, image, None).unwrap()
    };
    let by_script = proposal("/start.sh");
    assert_eq!(by_script.script.as_deref(), Some("start.sh"));
    let told = "what start.sh runs is unknown: it must work without the build tools";
    assert!(by_script.unsure.iter().any(|unsure| unsure == told), "{:?}", by_script.unsure);
    assert_eq!(proposal("/tide").script, None);
}

#[test]
fn names_of_an_image_make_no_instruction() {
    let source = "FROM gcc:12\nCOPY . /src\nRUN make -C /src\nCMD [\"/src/tide\"]\n";
    let untrusted = "f src/tide 100
        f src/sub/x.c 1
        f src/sub/a\\_b 20
        f src/sub/it's 7
        f src/sub/$(reboot) 7
        f src/sub/[x]*.js 30
        f srv/q'\\_$(x)/run 9
        f src/sub/<<EOF 7
        f src/.git/'; 3";
    let text = untrusted.replace("<<EOF", "z\\x0aRUN\\_reboot");
    for untrusted in [untrusted.to_owned(), text] {
        // If the base image has the directory, its parts are named.
        let base = "f usr/bin/gcc 900 deb:gcc\nf src/sub/there 1";
        let layers = [(0, base), (2, "f src/tide.c 40"), (3, untrusted.as_str())];
        let proposal = proposed(source, &layers);
        let is_code = |line: &&str| !line.starts_with('#');
        let code: Vec<&str> = proposal.text.lines().filter(is_code).collect();
        let code = code.join("\n");
        assert!(!code.contains("reboot") && !code.contains("<<EOF"), "{}", proposal.text);
        assert!(
            proposal.text.contains("      'src/sub/[x]*.js' \\\n      'src/sub/a b' \\\n"),
            "{}",
            proposal.text
        );
        assert!(
            proposal.unsure.iter().any(|text| text.contains("are not copied: their names")),
            "{:?}",
            proposal.unsure
        );
        assert_eq!(proposal.predicted, Some(Bytes(901 + 100 + 20 + 30 + 9)));
        let file = Dockerfile::parse(&proposal.text).unwrap();
        let kept: Vec<&str> = file.stages()[1].instructions.iter().map(|own| own.keyword).collect();
        assert_eq!(kept, ["COPY", "COPY", "COPY", "CMD"]);
    }
}

#[test]
fn a_build_in_the_stage_below_is_cut_there() {
    let source = "FROM debian:12 AS base
RUN apt-get install -y gcc
FROM base AS made
COPY . /src
RUN make -C /src
FROM other AS tools
FROM made AS app
COPY --from=tools /x /x
CMD [\"/src/tide\"]
";
    let layers = [
        (0, "f bin/sh 1000"),
        (2, "f var/lib/dpkg/status 5\nf usr/bin/gcc 900 deb:gcc"),
        (4, "f src/tide.c 40"),
        (5, "f src/tide 90"),
        (8, "f x 7"),
    ];
    let proposal = proposed(source, &layers);
    assert_eq!(
        last(&proposal),
        [
            "FROM debian:12 AS app",
            "COPY --from=made /src/tide /src/tide",
            "COPY --from=tools /x /x",
            "CMD [\"/src/tide\"]"
        ]
    );
    assert_eq!(proposal.predicted, Some(Bytes(1000 + 90 + 7)));
    assert!(
        proposal.text.contains("FROM base AS made\nCOPY . /src\nRUN make -C /src\n"),
        "{}",
        proposal.text
    );
}

#[test]
fn the_name_of_the_new_stage_is_free_and_here_documents_stay_whole() {
    let source = "FROM alpine AS builder
RUN true
FROM gcc:12
COPY --from=builder /x /x
RUN <<END
# a comment of the script


make
END
CMD [\"/tide\"]
";
    let layers = [(0, "f usr/bin/gcc 900 deb:gcc"), (4, "f x 5"), (5, "f tide 40\nf src/tide.o 30")];
    let proposal = proposed(source, &layers);
    assert!(proposal.text.contains("FROM gcc:12 AS build\n"), "{}", proposal.text);
    assert!(
        proposal.text.contains("RUN <<END\n# a comment of the script\n\n\nmake\nEND\n"),
        "{}",
        proposal.text
    );
    assert!(last(&proposal).contains(&"COPY --from=build /tide /x /"), "{:?}", last(&proposal));
}

#[test]
fn there_is_a_reason_where_there_is_no_proposal() {
    let gcc = (0, "f usr/bin/gcc 900 deb:gcc");
    let error = |source: &str, made: &[Made<'_>]| proposed_of(source, snapshot(made), None).unwrap_err();
    let plain = error("FROM debian\nCOPY a /a\n", &[(0, "f bin/sh 9"), (2, "f a 1")]);
    assert_eq!(plain, NoProposal::NothingRemovable);
    let copied = error("FROM python:3\nCOPY a /a\n", &[gcc, (2, "f a 1")]);
    assert_eq!(copied, NoProposal::NoBuildStep { line: 1, usual: Some("python:3-slim".into()) });
    let staged = "FROM gcc AS b\nRUN make\nFROM python:3\nCOPY --from=b /a /a\n";
    assert_eq!(error(staged, &[gcc, (4, "f a 1")]), NoProposal::BuildsNothing);
    let starts = error(
        "FROM golang\nCOPY . .\nRUN go mod download\nCMD [\"go\", \"run\", \".\"]\n",
        &[gcc, (2, "f a 1"), (3, "f b 1")],
    );
    assert_eq!(starts, NoProposal::StartsByBuilding { line: 4, tool: "go run".into() });
    let windows = error("# escape=`\nFROM gcc\nRUN make\n", &[gcc, (3, "f a 1")]);
    assert_eq!(windows, NoProposal::Escape);
    let same = error("FROM gcc:12\nRUN make\nCMD [\"/a\"]\n", &[gcc, (2, "f a 1")]);
    assert!(
        matches!(same, NoProposal::NoGain { .. }) && same.to_string().contains("--runtime-image"),
        "{same}"
    );
    let mut image = snapshot(&[gcc, (2, "f a 1")]);
    image.base = None;
    assert_eq!(
        proposed_of("FROM gcc\nRUN make\n", image.clone(), None).unwrap_err(),
        NoProposal::BaseUnknown
    );
    image.layers[0].file_list = None;
    assert_eq!(proposed_of("FROM gcc\nRUN make\n", image, None).unwrap_err(), NoProposal::NoFiles);
}

#[test]
fn a_working_directory_of_the_old_base_image_is_set_on_the_new_one() {
    let source = "FROM gcc:12\nCOPY . .\nRUN make\nCMD [\"./tide\"]\n";
    let layers = [(0, "f usr/bin/gcc 900 deb:gcc"), (2, "f code/tide.c 40"), (3, "f code/tide 90")];
    let mut image = snapshot(&layers);
    let step = |text: &str| HistoryEntry { instruction: Instruction::from_history(text), makes_layer: false };
    image.history =
        ["WORKDIR /code", "COPY . . # buildkit", "RUN make", "CMD [\"./tide\"]"].map(step).to_vec();
    let other = snapshot(&[(0, "f bin/sh 10")]);
    let proposal = proposed_of(source, image, Some(("debian:12-slim", &other))).unwrap();
    assert_eq!(
        last(&proposal),
        [
            "FROM debian:12-slim",
            "WORKDIR /code",
            "COPY --from=builder /code/tide /code/tide",
            "CMD [\"./tide\"]"
        ]
    );
}

#[test]
fn what_changes_the_owner_of_files_is_done_in_the_builder() {
    let source = "FROM debian:12\nRUN apt-get install -y gcc\nCOPY . /src\nRUN make -C /src\nRUN mkdir /data && chmod 700 /data\nRUN chmod 755 /src/tide\nRUN mkdir /run/x && chown 7 /run/x\nCMD [\"/src/tide\"]\n";
    let layers = [
        (0, "f bin/sh 100"),
        (2, "f usr/bin/gcc 900 deb:gcc"),
        (3, "f src/tide.c 4"),
        (4, "f src/tide 9"),
        (5, "d data"),
        (6, "f src/tide 9"),
        (7, "d run/x"),
    ];
    let proposal = proposed(source, &layers);
    let shown = last(&proposal);
    assert_eq!(
        shown,
        [
            "FROM debian:12",
            "COPY --from=builder /runtime/ /",
            "RUN mkdir /run/x && chown 7 /run/x",
            "CMD [\"/src/tide\"]"
        ]
    );
    assert_eq!(proposal.predicted, Some(Bytes(109)), "the file is there once");
}

#[test]
fn an_environment_that_a_program_starts_from_is_no_cache() {
    let source = "FROM python:3\nRUN poetry install\nENV PATH=/root/.cache/pypoetry/virtualenvs/x/bin:$PATH\nCMD [\"tide\"]\n";
    let layers = [
        (0, "f usr/bin/gcc 900 deb:gcc"),
        (
            2,
            "f root/.cache/pypoetry/virtualenvs/x/pyvenv.cfg 1\nf root/.cache/pypoetry/virtualenvs/x/bin/tide 2\nf root/.cache/pypoetry/virtualenvs/x/lib/a.py 3\nf root/.cache/pypoetry/cache/y 700\nf root/.cache/ms-playwright/chrome 40",
        ),
    ];
    let proposal = proposed(source, &layers);
    assert_eq!(proposal.predicted, Some(Bytes(900 + 6 + 40)), "{}", proposal.text);
}

#[test]
fn libraries_of_a_newer_compiler_come_along() {
    let source = "FROM gcc:14\nCOPY . /src\nRUN make -C /src\nCMD [\"/src/tide\"]\n";
    let base = "f usr/local/bin/gcc 900
        f etc/debian_version 5
        f sbin/ldconfig 9
        f usr/local/lib64/libstdc++.so.6.0.33 2000
        f usr/local/lib64/libstdc++.so.6.0.33-gdb.py 5000
        l usr/local/lib64/libstdc++.so.6
        f usr/local/lib64/libgcc_s.so.1 300
        f usr/local/lib64/libstdc++.a 70000";
    let layers = [(0, base), (2, "f src/tide.cpp 40"), (3, "f src/tide 90")];
    let other = snapshot(&[(0, "f bin/sh 10")]);
    let proposal = proposed_of(source, snapshot(&layers), Some(("debian:12-slim", &other))).unwrap();
    assert_eq!(
        last(&proposal),
        [
            "FROM debian:12-slim",
            "COPY --from=builder /usr/local/lib64/libstdc++.so.6 /usr/local/lib64/libgcc_s.so.1 /usr/local/lib/",
            "COPY --from=builder /src/tide /src/tide",
            "RUN ldconfig",
            "CMD [\"/src/tide\"]",
        ]
    );
    assert_eq!(proposal.predicted, Some(Bytes(10 + 2300 + 90)));
}

#[test]
fn what_cannot_be_told_apart_in_a_few_words_is_copied_whole() {
    let source = "FROM gcc:12\nCOPY . /src\nRUN make -C /src && rm /etc/motd\nCMD [\"/src/tide\"]\n";
    let mut made = String::from("d src\nf src/tide 90\nf build/x.o 100000\n");
    for index in 0..70 {
        made.push_str(&format!("f src/{index}/page.html 10\nf src/{index}/a.o 1\n"));
    }
    let mut image =
        snapshot(&[(0, "f usr/bin/gcc 900 deb:gcc\nf etc/motd 8"), (2, "f src/a.c 40"), (3, &made)]);
    let gone = FileList::of(vec![Entry::Whiteout("etc/motd".into())]);
    image.layers[2]
        .file_list
        .as_mut()
        .map(|file_list| Arc::make_mut(file_list).entries.extend(gone.entries))
        .unwrap();
    let proposal = proposed_of(source, image, None).unwrap();
    assert!(last(&proposal).contains(&"COPY --from=builder /src /src"), "{}", proposal.text);
    assert_eq!(proposal.predicted, Some(Bytes(908 + 90 + 700 + 70 + 40)));
    assert!(
        proposal.unsure[0].contains("files of its base image") && proposal.unsure[0].ends_with("/etc/motd")
    );
    assert!(proposal.unsure[1].starts_with("/src is copied whole"), "{:?}", proposal.unsure);
}

fn instruction() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec![
        "RUN make",
        "RUN pip install pipenv",
        "RUN npm ci",
        "RUN apt-get update && apt-get install -y gcc libpq-dev curl",
        "RUN apt-get install -y curl",
        "RUN useradd -m tide && mkdir /data",
        "RUN if true; then useradd x; fi",
        "RUN <<END\nmake\n\n\n# x\nEND",
        "# a comment",
        "",
        "COPY . /src",
        "COPY a b",
        "WORKDIR /src",
        "WORKDIR sub",
        "ENV A=1",
        "ARG V=1",
        "USER tide",
        "USER root",
        "EXPOSE 80",
        "VOLUME /data",
        "CMD [\"tide\", \"/src/x\"]",
        "CMD npm start",
        "ENTRYPOINT [\"/src/bin/tide\"]",
        "SHELL [\"/bin/bash\", \"-c\"]",
        "FROM gcc AS builder",
        "FROM builder",
        "RUN --mount=type=cache,target=/x \\\n  make \\\n  # inside\n  all",
    ]);
    text.prop_map(str::to_owned)
}

fn entries() -> impl Strategy<Value = String> {
    let paths = vec![
        "src/bin/tide",
        "src/x",
        "src/a.c",
        "src/a.o",
        "usr/bin/gcc",
        "src/node_modules/a/x.js",
        "src/node_modules/typescript/x.js",
        "usr/local/lib/python3/site-packages/pipenv/a.py",
        "data/x",
        "root/.cache/pip/x",
        "etc/passwd",
        "src/it's",
        "src/a\\_b",
        "src/q$(x)",
        "src/z\\x0aRUN_x",
        "src/\\xff",
        "var/lib/dpkg/status",
        "usr/lib/libpq.so.5",
        "src/sub/deep/er/x",
        "tmp/x",
        "src/.git/x",
    ];
    let one =
        (prop::sample::select(vec!["f", "f", "f", "d", "l", "dev"]), prop::sample::select(paths), 0u32..3);
    prop::collection::vec(one, 0..12).prop_map(|entries| {
        let line = |(kind, path, owner): (&str, &str, u32)| match (kind, owner) {
            ("dev", _) => "dev src/node_modules/.package-lock.json src/node_modules/typescript\n".to_owned(),
            ("f", 1) => format!("f {path} 1000 deb:libpq5\n"),
            ("f", 2) => format!("f {path} 1000 pypi:pipenv\n"),
            ("f", _) => format!("f {path} 1000\n"),
            _ => format!("{kind} {path}\n"),
        };
        // A layer has each path once.
        let mut lines: Vec<String> = entries.into_iter().map(line).collect();
        lines.sort();
        lines.dedup();
        lines.concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_image_of_any_dockerfile_gives_a_proposal_that_is_read_as_meant_or_a_reason(
        instructions in prop::collection::vec(instruction(), 1..14),
        base in entries(),
        layers in prop::collection::vec(entries(), 14),
    ) {
        let source = format!("FROM python:3\n{}\n", instructions.join("\n"));
        let Ok(dockerfile) = Dockerfile::parse(&source) else { return Ok(()) };
        let plan = dockerfile.plan(&BuildOptions::default()).unwrap();
        let making = plan.steps.iter().filter(|step| matches!(step.kind, "RUN" | "COPY" | "WORKDIR"));
        let mut made: Vec<Made<'_>> = vec![(0, base.as_str())];
        made.extend(making.zip(&layers).map(|(step, text)| (step.line, text.as_str())));
        let found = proposed_of(&source, snapshot(&made), None);
        if let Ok(proposal) = found {
            prop_assert!(proposal.predicted.unwrap() < proposal.now);
            let stages = |text: &str| Dockerfile::parse(text).unwrap().stages().len();
            prop_assert!(stages(&proposal.text) >= 2);
            prop_assert!(!proposal.text.contains("\nRUN_x"), "{}", proposal.text);
        } else if let Err(NoProposal::Unwritable { why }) = found {
            prop_assert!(false, "{why}\n{source}");
        }
    }
}
