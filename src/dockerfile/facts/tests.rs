use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::dockerfile::tests::worked;
use crate::tools::tools;

/// `build: go build`, `tools: apt-get install (gcc g++)`; `-` marks work that is undone.
fn show(kind: WorkKind, tool: &str, subjects: &[String], undone: bool) -> String {
    let kind = match kind {
        WorkKind::Build => "build",
        WorkKind::InstallsBuildTools => "tools",
        WorkKind::InstallsDependencies => "deps",
        WorkKind::InstallsPackages => "packages",
        WorkKind::Removes => "removes",
        WorkKind::RunsScript => "script",
    };
    let mark = if undone { "-" } else { "" };
    let names = if subjects.is_empty() { String::new() } else { format!(" ({})", subjects.join(" ")) };
    format!("{mark}{kind}: {tool}{names}")
}

fn found(command: &str) -> Vec<String> {
    works_of(command).iter().map(|work| show(work.kind, &work.tool, &work.subjects, work.undone)).collect()
}

fn facts_of(text: &str, target: Option<&str>) -> Facts {
    let options = BuildOptions { target: target.map(str::to_owned), ..BuildOptions::default() };
    Dockerfile::parse(text).unwrap().facts(&options).unwrap()
}

fn facts(text: &str) -> Facts {
    facts_of(text, None)
}

/// The works with their lines: `3 build: make`.
fn lined(works: &[Work]) -> Vec<String> {
    let show =
        |work: &Work| format!("{} {}", work.line, show(work.kind, &work.tool, &work.subjects, work.undone));
    works.iter().map(show).collect()
}

/// Each command, and what it does, separated by `;`.
const COMMAND_LINES: &[(&str, &str)] = &[
    // Builds.
    ("go build -o /app ./cmd/app", "build: go build"),
    ("CGO_ENABLED=0 GOOS=linux /usr/local/go/bin/go build", "build: go build"),
    ("cargo +nightly build --release", "build: cargo build"),
    ("make -j$(nproc) && make install", "build: make"),
    ("./configure --prefix=/usr && make", "build: configure; build: make"),
    ("bash ./configure", "build: configure"),
    (
        "cmake -S . -B build -G Ninja && cmake --build build && ninja -C build install",
        "build: cmake; build: ninja",
    ),
    ("$CC -o x x.c", "build: cc"),
    ("${CXX:-g++} -o x x.cc", "build: c++"),
    ("aarch64-linux-gnu-gcc-12 -c x.c", "build: gcc"),
    ("clang++-17 x.cc", "build: clang++"),
    ("./mvnw -B -f pom.xml -DskipTests clean package", "build: mvnw package"),
    ("mvn dependency:go-offline", "deps: mvn dependency:go-offline"),
    ("./gradlew --no-daemon :app:bootJar -x test", "build: gradlew :app:bootJar"),
    ("dotnet restore && dotnet publish -c Release -o /app", "deps: dotnet restore; build: dotnet publish"),
    ("npm ci && npm run build:prod", "deps: npm ci; build: npm run build:prod"),
    ("npm --prefix client ci", "deps: npm ci"),
    ("npm --prefix client run build", "build: npm run build"),
    ("yarn --cwd web build", "build: yarn build"),
    ("yarn && yarn workspace app build", "deps: yarn; build: yarn workspace app build"),
    ("pnpm install --frozen-lockfile && pnpm --filter api build", "deps: pnpm install; build: pnpm build"),
    ("npx tsc -p .", "build: tsc"),
    ("npx --yes @angular/cli@17 build", "build: @angular/cli build"),
    ("node --max_old_space_size=8000 node_modules/@angular/cli/bin/ng build", "build: ng build"),
    ("npx webpack --mode production | tee log", "build: webpack"),
    ("bundle exec rake assets:precompile", "build: rake assets:precompile"),
    ("bundle exec jekyll build", "build: jekyll build"),
    ("python3.11 setup.py bdist_wheel", "build: setup.py bdist_wheel"),
    ("python -m build --wheel", "build: python -m build"),
    ("pip wheel -r requirements.txt -w /wheels", "build: pip wheel"),
    ("docker-php-ext-install -j$(nproc) gd", "build: docker-php-ext-install"),
    ("MIX_ENV=prod mix do deps.get, compile", "build: mix do compile"),
    ("mix release", "build: mix release"),
    ("stack build --copy-bins", "build: stack build"),
    ("bazelisk build //app", "build: bazelisk build"),
    ("hugo --minify", "build: hugo"),
    ("mkdocs build", "build: mkdocs build"),
    ("swift build -c release", "build: swift build"),
    ("time sudo -E nice -n 5 make", "build: make"),
    ("sh -c 'cd /src && make'", "build: make"),
    ("bash -euo pipefail -c \"make all\"", "build: make"),
    ("su builder -s /bin/sh -c 'npm run build'", "build: npm run build"),
    ("scl enable gcc-toolset-13 'make all'", "build: make"),
    ("if [ -f Makefile ]; then make; else ninja; fi", "build: make; build: ninja"),
    ("for d in a b; do (cd $d && make); done", "build: make"),
    ("case $(uname -m) in x86_64|amd64) make ;; *) ninja ;; esac", "build: make; build: ninja"),
    ("[\"go\", \"build\"]", "build: go build"),
    ("[\"/bin/bash\", \"-c\", \"make && ninja\"]", "build: make; build: ninja"),
    ("x=$(make -s version)", "build: make"),
    ("echo `make`", "build: make"),
    ("build() { make; }; build", "build: make"),
    ("eval \"make all\"", "build: make"),
    ("cargo install --path .", "build: cargo install --path"),
    ("go install ./...", "build: go install"),
    // Build tools.
    ("apt-get update && apt-get install -y gcc", "tools: apt-get install (gcc)"),
    (
        "apt-get -o Acquire::Retries=3 install -yt bookworm-backports --no-install-recommends curl gcc-12=12.2 libpq-dev:amd64 ca-certificates",
        "tools: apt-get install (gcc-12 libpq-dev); packages: apt-get install (curl ca-certificates)",
    ),
    ("apt-get install -y curl ca-certificates", "packages: apt-get install (curl ca-certificates)"),
    (
        "apt install -y gcc-12-base libgcc-s1 git python3",
        "packages: apt install (gcc-12-base libgcc-s1 git python3)",
    ),
    (
        "apk add --no-cache build-base python3-dev libpq",
        "tools: apk add (build-base python3-dev); packages: apk add (libpq)",
    ),
    ("yum groupinstall -y 'Development Tools'", "tools: yum groupinstall (Development Tools)"),
    (
        "dnf install -y --setopt install_weak_deps=0 @development-tools cmake3 httpd",
        "tools: dnf install (@development-tools cmake3); packages: dnf install (httpd)",
    ),
    ("microdnf install java-17-openjdk-devel", "tools: microdnf install (java-17-openjdk-devel)"),
    ("zypper -n in -t pattern devel_basis", "tools: zypper in (devel_basis)"),
    (
        "pacman -Syu --noconfirm base-devel nginx",
        "tools: pacman -Syu (base-devel); packages: pacman -Syu (nginx)",
    ),
    ("apt-get build-dep -y nginx", "tools: apt-get build-dep (nginx)"),
    ("pip install --upgrade pip setuptools wheel", "tools: pip install (pip setuptools wheel)"),
    ("pip install pipenv", "tools: pip install (pipenv)"),
    (
        "python3 -m pip install 'poetry==1.8' 'flask[async]>=2'",
        "tools: pip install (poetry); deps: pip install (flask)",
    ),
    (
        "npm install -g typescript@5 pm2 @angular/cli@17",
        "tools: npm install (typescript @angular/cli); deps: npm install (pm2)",
    ),
    ("gem install bundler:2.4 puma", "tools: gem install (bundler); deps: gem install (puma)"),
    ("rustup target add x86_64-unknown-linux-musl", "tools: rustup target add (x86_64-unknown-linux-musl)"),
    ("curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y", "tools: curl (rustup)"),
    ("sh -c \"$(curl -fsSL https://sh.rustup.rs)\" -- -y", "tools: curl (rustup)"),
    ("bash <(curl -s https://raw.githubusercontent.com/nvm-sh/nvm/v0.39.0/install.sh)", "tools: curl (nvm)"),
    ("wget -qO- https://go.dev/dl/go${V}.linux-amd64.tar.gz | tar -C /usr/local -xz", "tools: wget (go)"),
    (
        "go install github.com/swaggo/swag/cmd/swag@latest",
        "tools: go install (github.com/swaggo/swag/cmd/swag)",
    ),
    ("cargo install cargo-chef --version 0.1.62", "tools: cargo install (cargo-chef)"),
    ("xargs -a pkgs.txt apt-get install -y", "packages: apt-get install"),
    // Dependencies.
    ("pip install --no-cache-dir -qr requirements.txt", "deps: pip install"),
    ("pip install --index-url https://user:secret@x.example/simple flask", "deps: pip install (flask)"),
    (
        "pip install git+https://user:secret@github.com/org/lib.git?token=x",
        "deps: pip install (git+https://github.com/org/lib.git)",
    ),
    ("pip install .", "deps: pip install"),
    ("PIP_USER=1 PIP_IGNORE_INSTALLED=1 pipenv install -d --system --ignore-pipfile", "deps: pipenv install"),
    ("poetry install --only main && uv sync --frozen", "deps: poetry install; deps: uv sync"),
    ("bundle install --without development", "deps: bundle install"),
    ("composer install --no-dev", "deps: composer install"),
    ("go mod download", "deps: go mod download"),
    ("gem install rails -v 7.1", "deps: gem install (rails)"),
    (
        "conda install -y -c conda-forge cmake numpy=1.26",
        "tools: conda install (cmake); deps: conda install (numpy)",
    ),
    // Removed again.
    (
        "apk add --no-cache --virtual .build-deps gcc curl && pip install x && apk del .build-deps",
        "-tools: apk add (gcc curl); deps: pip install (x); removes: apk del (.build-deps)",
    ),
    (
        "apk add -t .run curl gcc && apk del gcc",
        "-tools: apk add (gcc); packages: apk add (curl); removes: apk del (gcc)",
    ),
    (
        "apt-get install -y gcc g++ && make && apt-get purge -y gcc && rm -rf /var/lib/apt/lists/*",
        "-tools: apt-get install (gcc); tools: apt-get install (g++); build: make; removes: apt-get purge (gcc); removes: rm (/var/lib/apt/lists/*)",
    ),
    (
        "d='gcc make'; apt-get install -y $d curl && apt-get purge -y --auto-remove $d",
        "-tools: apt-get install (gcc make); packages: apt-get install (curl); removes: apt-get purge (gcc make)",
    ),
    (
        "apt-get install -y libssl3; savedAptMark=\"$(apt-mark showmanual)\"; apt-get install -y gcc; make; apt-mark auto '.*' > /dev/null; apt-mark manual $savedAptMark; apt-get purge -y --auto-remove -o APT::AutoRemove::RecommendsImportant=false",
        "packages: apt-get install (libssl3); -tools: apt-get install (gcc); build: make; removes: apt-get purge",
    ),
    (
        "apt-get install -y gcc && apt-get autoremove -y",
        "tools: apt-get install (gcc); removes: apt-get autoremove",
    ),
    ("apt-get purge -y gcc && apt-get install -y gcc", "tools: apt-get install (gcc)"),
    (
        "apt-get install -y $DEPS gcc && apt-get purge -y $DEPS",
        "-tools: apt-get install (gcc); removes: apt-get purge",
    ),
    (
        "apt-get install -y gcc-12 && apt-get remove -y 'gcc*'",
        "-tools: apt-get install (gcc-12); removes: apt-get remove (gcc*)",
    ),
    (
        "yum install -y gcc && yum history undo -y last",
        "-tools: yum install (gcc); removes: yum history undo",
    ),
    (
        "npm ci && npm run build && rm -rf node_modules",
        "-deps: npm ci; build: npm run build; removes: rm (node_modules)",
    ),
    (
        "pip install cython && pip uninstall -y cython",
        "-tools: pip install (cython); removes: pip uninstall (cython)",
    ),
    (
        "apk add --no-cache $PHPIZE_DEPS",
        "tools: apk add (autoconf dpkg-dev g++ gcc libc-dev make pkgconf re2c); packages: apk add (file)",
    ),
    // Unknown words.
    ("apt-get install -y $PACKAGES", "packages: apt-get install"),
    (
        "apt-get install -y python${V}-dev linux-headers-$(uname -r)",
        "tools: apt-get install (python\u{2026}-dev linux-headers-\u{2026})",
    ),
    ("$TOOL build", ""),
    (
        "apk add --virtual .build-deps $DEPS && apk del .build-deps",
        "-tools: apk add; removes: apk del (.build-deps)",
    ),
    // No work.
    ("echo make", ""),
    ("echo 'a; make' \"b && make\"", ""),
    ("rm -rf /usr/lib/gcc", ""),
    ("ln -s /usr/bin/gcc /usr/bin/cc", ""),
    ("which gcc && command -v make && type go", ""),
    ("gcc --version; make -v; go version; mvn --version; cmake --help", ""),
    ("make clean", ""),
    ("cmake -E make_directory x", ""),
    ("npm start; npm test; npm run dev", ""),
    ("python manage.py collectstatic --noinput", ""),
    ("yarn config set registry x; npm config set make y", ""),
    ("# make", ""),
    ("true # make", ""),
    ("cat > Makefile <<EOF\nall:\nmake\nEOF\n", ""),
    ("echo x > make", ""),
    ("echo x >make; 2>gcc true", ""),
    ("test -x /usr/bin/make && [ -x make ]", ""),
    ("apt-get update", ""),
    ("apt-get install -f -y", ""),
    ("bash <<EOF\nmake\nEOF\nninja", "build: make; build: ninja"),
    ("set -eux; \\\n make", "build: make"),
    // As written in histories.
    ("RUN apt-get install -y gcc # buildkit", "tools: apt-get install (gcc)"),
    ("RUN |1 TOKEN=x /bin/sh -c make # buildkit", "build: make"),
    ("/bin/bash -o pipefail -c curl x | tar x && make", "build: make"),
    ("/bin/sh -c #(nop) COPY file:1 in /make ", ""),
    ("/bin/sh -c --mount=type=cache,target=/x make", "build: make"),
    ("RUN [\"go\",\"build\"]", "build: go build"),
    ("COPY make /make", ""),
    ("CMD [\"make\"]", ""),
    ("bazel build ...", "build: bazel build"),
];

#[test]
fn commands_do_what_their_names_say() {
    let mut wrong = String::new();
    for (command, expected) in COMMAND_LINES {
        let found = found(command).join("; ");
        if found != *expected {
            wrong.push_str(&format!("{command}\n  expected {expected}\n  found    {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(COMMAND_LINES.len() > 100);
}

/// An argument that fits one of the table's patterns.
fn example(pattern: &str) -> Option<String> {
    let first = pattern.trim_start_matches("..").trim_start_matches('~').split('|').next()?;
    Some(if first == "?" { "x".to_owned() } else { first.replace('*', "x") })
}

#[test]
fn each_row_of_the_table_can_be_reached() {
    let mut wrong = String::new();
    for (programs, phrase, does) in &tools().commands {
        for program in programs.split(' ') {
            let parts = phrase.split(' ').filter(|part| !part.is_empty() && *part != "$");
            let words: Vec<String> =
                std::iter::once(program.replace("./", "/x/")).chain(parts.filter_map(example)).collect();
            let found = call::phrase_of(&words);
            if found != Some((phrase.as_str(), *does)) {
                wrong.push_str(&format!("{words:?}: {found:?}, and not {:?}\n", (phrase, does)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_seed_builds_elsewhere_and_ships_the_full_base() {
    let facts = facts(include_str!("../../../tests/fixtures/seed/Dockerfile.multistage"));
    assert_eq!((facts.target, facts.chain), (2, vec![0, 2]));
    assert_eq!(facts.base, StageBase::Image("python:3".into()));
    assert_eq!(facts.works, []);
    let copied = Copied {
        origin: CopyOrigin::Stage(1),
        paths: vec!["/pybase".into()],
        mount: false,
        line: 14,
        end_line: 14,
        stage: 2,
    };
    assert_eq!(facts.copies, [copied]);
    assert_eq!(lined(&facts.stages[1].works), ["7 tools: pip install (pipenv)", "11 deps: pipenv install"]);
    assert!(facts.stages.iter().all(|stage| stage.used));
    assert_eq!(facts.stages.iter().map(|stage| stage.in_chain).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(facts.stages[2].resolved, StageBase::Stage(0));
}

/// A file; the works of its chain; what the chain copies, as `line origin paths`; the used stages.
struct Case(&'static str, &'static [&'static str], &'static [&'static str], &'static [usize]);

fn copied(copies: &[Copied]) -> Vec<String> {
    let show = |copy: &Copied| {
        let origin = match &copy.origin {
            CopyOrigin::Stage(index) => index.to_string(),
            CopyOrigin::Image(name) => name.clone(),
        };
        let mount = if copy.mount { " mount" } else { "" };
        format!("{} {origin} {}{mount}", copy.line, copy.paths.join(" "))
    };
    copies.iter().map(show).collect()
}

const FILES: &[Case] = &[
    // One stage that does everything.
    Case("FROM golang:1\nCOPY . .\nRUN go build -o /app\n", &["3 build: go build"], &[], &[0]),
    Case(
        "FROM python:3\nRUN pip install pipenv\nRUN pipenv sync\nRUN apt-get update \\\n && apt-get install -y gcc\n",
        &["2 tools: pip install (pipenv)", "3 deps: pipenv sync", "4 tools: apt-get install (gcc)"],
        &[],
        &[0],
    ),
    // Copies by name, by number, from an image.
    Case(
        "FROM golang AS B\nRUN go build\nFROM scratch\nCOPY --from=b /app /app\n",
        &[],
        &["4 0 /app"],
        &[0, 1],
    ),
    Case("FROM golang\nRUN go build\nFROM scratch\nCOPY --from=0 /a /b /c/\n", &[], &["4 0 /a /b"], &[0, 1]),
    Case("FROM alpine\nCOPY --from=nginx:1 /etc/nginx /n\n", &[], &["2 nginx:1 /etc/nginx"], &[0]),
    Case(
        "FROM a AS x\nFROM b\nENV P=/opt\nCOPY --from=x [\"$P/a\", \"/b c\", \"/d\"]\n",
        &[],
        &["4 0 /opt/a /b c"],
        &[0, 1],
    ),
    // Mounts.
    Case(
        "FROM node AS n\nRUN npm ci\nFROM nginx\nRUN --mount=type=bind,from=n,source=/app,target=/x cp -r /x /y\n",
        &[],
        &["4 0 /app mount"],
        &[0, 1],
    ),
    Case(
        "FROM alpine\nRUN --mount=from=golang:1,target=/go --mount=type=cache,target=/c go build\n",
        &["2 build: go build"],
        &["2 golang:1  mount"],
        &[0],
    ),
    // Aliases: their work is shipped.
    Case(
        "FROM debian AS base\nRUN apt-get install -y gcc\nFROM base\nRUN make\n",
        &["2 tools: apt-get install (gcc)", "4 build: make"],
        &[],
        &[0, 1],
    ),
    Case(
        "FROM a AS one\nRUN make\nFROM one AS two\nFROM two\nCOPY --from=one /x /y\n",
        &["2 build: make"],
        &[],
        &[0, 1, 2],
    ),
    Case("FROM a AS b\nFROM b AS c\nRUN make\nFROM b\nCOPY --from=c /x /y\n", &[], &["5 1 /x"], &[0, 1, 2]),
    // A stage that is not used, and one that is used through another.
    Case("FROM a AS x\nRUN make\nFROM b\nRUN go build\n", &["4 build: go build"], &[], &[1]),
    Case(
        "FROM a AS x\nFROM b AS y\nCOPY --from=x /a /a\nFROM c\nCOPY --from=y /a /a\n",
        &[],
        &["5 1 /a"],
        &[0, 1, 2],
    ),
    // A later name hides an earlier one.
    Case("FROM a AS x\nFROM b AS x\nFROM c\nCOPY --from=x /a /a\n", &[], &["4 1 /a"], &[1, 2]),
    // The name of a later stage is an image's.
    Case("FROM a\nCOPY --from=x /a /a\nFROM b AS x\nFROM c\nCOPY --from=7 /a /a\n", &[], &["5 7 /a"], &[2]),
    // Variables.
    Case(
        "ARG V=3\nFROM python:$V AS b\nFROM debian\nARG TOOLS=\"gcc make\"\nENV MORE=\"$TOOLS curl\"\nRUN apt-get install -y $MORE $UNKNOWN\n",
        &["6 tools: apt-get install (gcc make)", "6 packages: apt-get install (curl)"],
        &[],
        &[1],
    ),
    Case("FROM a AS x\nENV CMD=make\nFROM x\nRUN $CMD all\n", &["4 build: make"], &[], &[0, 1]),
    Case("FROM a\nARG X=make\nFROM b\nRUN $X\n", &[], &[], &[1]),
    Case("FROM a AS x\nARG X=make\nFROM x\nRUN $X\n", &[], &[], &[0, 1]),
    // ONBUILD counts for the next stage.
    Case(
        "FROM a AS x\nONBUILD RUN make\nRUN true\nFROM x\nRUN ninja\n",
        &["2 build: make", "5 build: ninja"],
        &[],
        &[0, 1],
    ),
    Case(
        "FROM a AS x\nONBUILD COPY --from=golang /go /go\nFROM x AS y\nFROM y\n",
        &[],
        &["2 golang /go"],
        &[0, 1, 2],
    ),
    Case("FROM a\nONBUILD RUN make\n", &[], &[], &[0]),
    // The forms of RUN.
    Case(
        "FROM a\nRUN [\"make\", \"all\"]\nRUN [\"sh\", \"-c\", \"go build\"]\nRUN [\"$X\"]\n",
        &["2 build: make", "3 build: go build"],
        &[],
        &[0],
    ),
    Case(
        "FROM a\nRUN <<EOF\nset -e\napt-get install -y gcc\nmake\nEOF\n",
        &["2 tools: apt-get install (gcc)", "2 build: make"],
        &[],
        &[0],
    ),
    Case(
        "FROM a\nRUN <<EOF\n#!/usr/bin/env python3\nmake\nEOF\nRUN <<EOF\n#!/bin/bash -e\nmake\nEOF\n",
        &["6 build: make"],
        &[],
        &[0],
    ),
    Case(
        "FROM a\nRUN bash -e <<-EOF && ninja\n\tmake\n\tEOF\nRUN cat <<EOF >x\nmake\nEOF\n",
        &["2 build: ninja", "2 build: make"],
        &[],
        &[0],
    ),
    Case(
        "FROM a\nRUN --mount=type=cache,target=/root/.cache --network=none make\n",
        &["2 build: make"],
        &[],
        &[0],
    ),
    Case(
        "FROM a\nSHELL [\"/bin/bash\", \"-c\"]\nRUN make\nSHELL [\"python\", \"-c\"]\nRUN make\n",
        &["3 build: make"],
        &[],
        &[0],
    ),
    Case(
        "FROM a\nRUN apt-get update && \\\n    # tools\n    apt-get install -y \\\n      gcc \\\n\n      make\n",
        &["2 tools: apt-get install (gcc make)"],
        &[],
        &[0],
    ),
    Case(
        "# escape=`\nFROM mcr.microsoft.com/windows\nRUN dotnet publish -c Release `\n -o C:\\app\n",
        &["3 build: dotnet publish"],
        &[],
        &[0],
    ),
    // Tools that do not stay.
    Case(
        "FROM python:3-alpine\nRUN apk add --no-cache --virtual .build-deps gcc musl-dev && pip install -r r.txt && apk del .build-deps\n",
        &["2 -tools: apk add (gcc musl-dev)", "2 deps: pip install", "2 removes: apk del (.build-deps)"],
        &[],
        &[0],
    ),
    Case(
        "FROM debian\nRUN apt-get install -y gcc\nRUN apt-get purge -y gcc\n",
        &["2 tools: apt-get install (gcc)"],
        &[],
        &[0],
    ),
];

#[test]
fn whole_files() {
    assert!(FILES.len() > 25);
    for Case(text, works, copies, used) in FILES {
        let facts = facts(text);
        assert_eq!(lined(&facts.works), *works, "{text}");
        assert_eq!(copied(&facts.copies), *copies, "{text}");
        let found: Vec<usize> =
            facts.stages.iter().filter(|stage| stage.used).map(|stage| stage.index).collect();
        assert_eq!(found, *used, "{text}");
        let plan = Dockerfile::parse(text).unwrap().plan(&BuildOptions::default()).unwrap();
        assert_eq!((&facts.chain, &facts.base), (&plan.stages, &plan.base), "{text}");
    }
}

#[test]
fn a_target_in_the_middle_is_what_is_evaluated() {
    let text = "FROM node:20 AS build\nRUN npm run build\nFROM node:20-slim AS app\nCOPY --from=build /d /d\nFROM app AS test\nRUN make\n";
    let app = facts_of(text, Some("APP"));
    assert_eq!((app.target, app.chain, lined(&app.works)), (1, vec![1], vec![]));
    assert_eq!(app.stages.iter().map(|stage| stage.used).collect::<Vec<_>>(), [true, true, false]);
    let build = facts_of(text, Some("0"));
    assert_eq!(lined(&build.works), ["2 build: npm run build"]);
    assert_eq!(lined(&facts_of(text, None).works), ["6 build: make"]);
    let options = BuildOptions { target: Some("x".into()), ..BuildOptions::default() };
    assert!(matches!(
        Dockerfile::parse(text).unwrap().facts(&options),
        Err(DockerfileError::NoSuchTarget { .. })
    ));
}

#[test]
fn given_arguments_count() {
    let text = "ARG V=3\nFROM python:$V\nARG TOOL=echo\nRUN $TOOL x\n";
    let args = BTreeMap::from([("V".to_owned(), "2".to_owned()), ("TOOL".to_owned(), "make".to_owned())]);
    let facts =
        Dockerfile::parse(text).unwrap().facts(&BuildOptions { args, ..BuildOptions::default() }).unwrap();
    assert_eq!(facts.base, StageBase::Image("python:2".into()));
    assert_eq!(facts.stages[0].resolved, facts.base);
    assert_eq!(lined(&facts.works), ["4 build: make"]);
}

#[test]
fn a_slimmer_stage_that_is_not_shipped_is_named() {
    let text = "FROM python:3-slim AS runtime\nFROM python:3 AS build\nRUN make\nFROM python:3\nCOPY --from=build /a /a\n";
    let slimmer = facts(text).slimmer;
    assert_eq!(slimmer, [Slimmer { stage: 0, base: "python:3-slim".into(), line: 1 }]);
    assert_eq!(facts("FROM python:3 AS a\nFROM python:3-slim\n").slimmer, []);
    assert_eq!(facts("FROM python:3-slim AS a\nFROM a\n").slimmer, []);
    assert_eq!(facts("FROM python:3\nFROM scratch\n").slimmer, []);
}

#[test]
fn a_family_has_slimmer_members() {
    let slimmer = [
        ("python:3-slim", "python:3"),
        ("python:3.12-slim-bookworm", "python:3.12-bookworm"),
        ("python:3.12-slim", "docker.io/library/python:3"),
        ("python:slim", "python"),
        ("node:20-alpine", "node:20"),
        ("node:20-alpine3.19", "node:20-slim"),
        ("node:lts-slim", "node:lts"),
        ("mirror.example/library/python:3-slim", "python:3"),
        ("eclipse-temurin:17-jre", "eclipse-temurin:17-jdk"),
        ("eclipse-temurin:17-jre-jammy", "eclipse-temurin:17"),
        ("mcr.microsoft.com/dotnet/aspnet:8.0", "mcr.microsoft.com/dotnet/sdk:8.0"),
        ("mcr.microsoft.com/dotnet/runtime:8.0-alpine", "mcr.microsoft.com/dotnet/sdk:8.0.101"),
        ("nvidia/cuda:12.2.0-runtime-ubuntu22.04", "nvidia/cuda:12.2.0-devel-ubuntu22.04"),
        ("debian:bookworm-slim", "debian:bookworm"),
        ("debian:12-slim", "debian:12"),
        ("gcr.io/distroless/base", "gcr.io/distroless/base:debug"),
        ("cgr.dev/chainguard/python:latest", "cgr.dev/chainguard/python:latest-dev"),
    ];
    for (image, than) in slimmer {
        assert!(is_slimmer(image, than), "{image} {than}");
        assert!(!is_slimmer(than, image), "{than} {image}");
        assert!(!is_slimmer(image, image), "{image}");
    }
    let others = [
        ("debian:12-slim", "golang:1"),
        ("python:3-slim", "node:3"),
        ("python:2-slim", "python:3"),
        ("python:3-slim@sha256:1", "python:3"),
        ("php:8-fpm-alpine", "php:8-apache"),
        ("mcr.microsoft.com/dotnet/aspnet:7.0", "mcr.microsoft.com/dotnet/sdk:8.0"),
        ("python:3.1-slim", "python:3.12"),
        ("", ""),
    ];
    for (image, than) in others {
        assert!(!is_slimmer(image, than), "{image} {than}");
    }
}

#[test]
fn a_well_known_image_has_a_usual_slimmer_one() {
    let cases = [
        ("python", "python:slim"),
        ("python:latest", "python:slim"),
        ("python:3", "python:3-slim"),
        ("python:3.12-bookworm", "python:3.12-slim-bookworm"),
        ("python:3.13-rc", "python:3.13-rc-slim"),
        ("docker.io/library/python:3", "docker.io/library/python:3-slim"),
        ("public.ecr.aws/docker/library/node:20", "public.ecr.aws/docker/library/node:20-slim"),
        ("node:20-bookworm", "node:20-bookworm-slim"),
        ("node", "node:slim"),
        ("node:lts", "node:lts-slim"),
        ("ruby:3.3", "ruby:3.3-slim"),
        ("perl:5.38-bookworm", "perl:5.38-slim-bookworm"),
        ("debian:12", "debian:12-slim"),
        ("debian:bookworm", "debian:bookworm-slim"),
        ("debian:stable", "debian:stable-slim"),
        ("debian", "debian:stable-slim"),
        ("openjdk:8-jdk", "openjdk:8-jre"),
        ("openjdk:11", "openjdk:11-jre"),
        ("openjdk:17-jdk-bullseye", "openjdk:17-jdk-slim-bullseye"),
        ("eclipse-temurin:17", "eclipse-temurin:17-jre"),
        ("eclipse-temurin:21-jdk-alpine", "eclipse-temurin:21-jre-alpine"),
        ("eclipse-temurin:8u412-b08-jdk-jammy", "eclipse-temurin:8u412-b08-jre-jammy"),
        ("amazoncorretto:21-al2023", "amazoncorretto:21-al2023-headless"),
        ("nvidia/cuda:12.2.0-cudnn8-devel-ubuntu22.04", "nvidia/cuda:12.2.0-cudnn8-runtime-ubuntu22.04"),
        ("mcr.microsoft.com/dotnet/sdk:8.0-jammy", "mcr.microsoft.com/dotnet/aspnet:8.0-jammy"),
        ("mcr.microsoft.com/dotnet/sdk", "mcr.microsoft.com/dotnet/aspnet"),
        ("gcr.io/distroless/static:debug", "gcr.io/distroless/static:latest"),
    ];
    for (reference, expected) in cases {
        assert_eq!(slimmer_of(reference).as_deref(), Some(expected), "{reference}");
    }
    let none = [
        "golang:1",
        "rust:1",
        "postgres:16",
        "php:8.2",
        "ubuntu:24.04",
        "python:3-slim",
        "node:20-alpine",
        "python:3@sha256:0123",
        "python:$V",
        "python:3-windowsservercore",
        "me/python:3",
        "registry.example/python:3",
        "eclipse-temurin",
        "eclipse-temurin:17-jre",
        "eclipse-temurin:16-jdk",
        "mcr.microsoft.com/dotnet/sdk:8.0.101",
        "scratch",
        "",
        ":",
        "/",
    ];
    for reference in none {
        assert_eq!(slimmer_of(reference), None, "{reference}");
    }
}

#[test]
fn untrusted_texts_cost_little() {
    // In an optimised build, a mebibyte of each takes about a quarter of a second at most.
    let size = 1 << 18;
    let fill = |piece: &str| {
        format!(
            "FROM a\nENV A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nENV A=$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A\nRUN {}",
            piece.repeat((size - 200) / piece.len())
        )
    };
    let pieces = [
        "make;",
        "a=$a$A;",
        "$A ",
        "$(",
        "`",
        "${a:-",
        "\"$(",
        "sudo ",
        "sh -c ",
        "<<a ",
        "gcc ",
        "apt-get install gcc-",
        "(",
        ")",
        "<(",
        "apt-get install -y gcc;apt-get purge gcc-1*;",
        "pip install x;",
        "x=",
        "case x in ",
        "aaaa",
        "$a",
        "\\",
        "'",
        "#",
        "npm run ",
        "-r ",
        "xargs ",
        "mvn a ",
        "apt-get install a* b;apt-get purge a* c*;",
    ];
    for piece in pieces {
        let text = fill(piece);
        let file = Dockerfile::parse(&text);
        let before = worked();
        if let Ok(file) = file {
            let _ = file.facts(&BuildOptions::default());
        }
        let _ = works_of(text.rsplit('\n').next().unwrap());
        let work = worked() - before;
        assert!(work.as_secs() < 10, "{piece}: {work:?}");
    }
}

#[test]
fn untrusted_stages_cost_little() {
    let many = |piece: &str, count: usize| {
        (0..count).map(|at| piece.replace('#', &at.to_string())).collect::<String>()
    };
    let texts = [
        format!(
            "FROM a AS x\n{}{}",
            many("ONBUILD RUN make #; gcc x; apt-get install a b c d e f g h\n", 900),
            many("FROM x\n", 1000)
        ),
        format!("FROM a AS x0\nENV {}\n{}", many("A#=# ", 60_000), many("FROM x# AS x#\nENV B=1\n", 900)),
        format!("FROM a AS x\n{}", many("FROM x AS x\nRUN true\n", 990)),
        format!("FROM a\nCOPY {}{} /x\n", many("--from=a# ", 40_000), many("# ", 60_000)),
        format!("FROM a\nRUN bash {}\n{}", many("<<a ", 50_000), many("a\n", 50_000)),
        format!(
            "FROM a\nENV A={}\n{}",
            "a".repeat(30_000),
            many(&format!("RUN {}\n", "$A ".repeat(150)), 1900)
        ),
        format!(
            "FROM a\nENV A={}\n{}",
            "a".repeat(30_000),
            many(&format!("ENV {}\n", "B#=$A ".repeat(60)), 1900)
        ),
    ];
    for text in texts {
        let file = Dockerfile::parse(&text).unwrap();
        let before = worked();
        let facts = file.facts(&BuildOptions::default()).unwrap();
        assert!(!facts.stages.is_empty());
        let work = worked() - before;
        assert!(work.as_secs() < 20, "{}: {work:?}", &text[..40]);
    }
}

fn fragment() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "make",
        "gcc",
        "go build",
        "apt-get install",
        "apk add",
        "--virtual",
        "pip install",
        "-r",
        "npm",
        "run",
        "build",
        "sh -c",
        "sudo",
        "env",
        "xargs",
        "su",
        "eval",
        "case x in",
        "esac",
        "if",
        "then",
        "fi",
        "for x in",
        "do",
        "done",
        "RUN ",
        "/bin/sh -c ",
        "|1 A=b ",
        "#(nop)",
        "[\"",
        "\"]",
        "\",\"",
        "<<E",
        "\nE\n",
        "<<-E",
        "<",
        ">",
        "2>",
        "&>",
        ">&",
        "&&",
        "||",
        "|",
        ";",
        "&",
        "\n",
        "(",
        ")",
        "$(",
        "`",
        "${",
        "}",
        "$",
        "$x",
        "${x:-y}",
        "'",
        "\"",
        "\\",
        "#",
        "{",
        "A=",
        "x=(",
        "export ",
        " ",
        " ",
        " ",
        "\u{10ffff}",
        "é",
        "@",
        ":",
        "*",
        "-",
        "--",
        "+",
        "=",
        "purge",
        "apk del",
        "rm -rf /tmp",
        "apt-mark auto",
        "--auto-remove",
        "curl https://sh.rustup.rs",
    ]);
    prop_oneof![5 => parts.prop_map(str::to_owned), 1 => ".{0,10}".prop_map(|text| text)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_command_is_read_without_a_panic(fragments in prop::collection::vec(fragment(), 0..40)) {
        let text = fragments.concat();
        let before = worked();
        for work in works_of(&text) {
            prop_assert!(!work.tool.is_empty() && !work.tool.contains(UNKNOWN));
            for subject in &work.subjects {
                prop_assert!(!subject.is_empty() && !subject.contains(UNKNOWN));
                prop_assert!(subject.chars().count() <= 120);
            }
            prop_assert!(!work.undone || work.kind != WorkKind::Removes && work.kind != WorkKind::Build);
        }
        prop_assert!((worked() - before).as_secs() < 2);
    }

    #[test]
    fn any_file_has_facts_that_hold_together(
        fragments in prop::collection::vec(fragment(), 0..20),
        stages in prop::collection::vec((0usize..6, 0usize..8), 1..6),
    ) {
        let text = fragments.concat().replace('\n', " ");
        let mut file = String::new();
        for (index, (base, kind)) in stages.iter().enumerate() {
            file.push_str(&format!("FROM {} AS s{index}\n", if *base < index { format!("s{base}") } else { "python:3".into() }));
            match kind {
                0 => file.push_str(&format!("RUN {text}\n")),
                1 => file.push_str(&format!("ONBUILD RUN {text}\n")),
                2 => file.push_str(&format!("ENV x=\"{}\"\nRUN $x\n", text.replace(['"', '\\'], ""))),
                3 => file.push_str("COPY --from=s0 a b\nRUN make\n"),
                4 => file.push_str("RUN --mount=from=s1,source=/x apt-get install gcc\n"),
                _ => file.push_str("RUN <<E\nmake\nE\n"),
            }
        }
        let Ok(parsed) = Dockerfile::parse(&file) else { return Ok(()) };
        let lines = u32::try_from(file.lines().count()).unwrap();
        for index in 0..parsed.stages().len() {
            let options = BuildOptions { target: Some(index.to_string()), ..BuildOptions::default() };
            let facts = parsed.facts(&options).unwrap();
            prop_assert_eq!(facts.chain.last(), Some(&index));
            prop_assert!(facts.stages.iter().all(|stage| !stage.in_chain || stage.used));
            prop_assert!(!matches!(facts.base, StageBase::Stage(_)));
            let of_chain: usize = facts.chain.iter().map(|index| facts.stages[*index].works.len()).sum();
            prop_assert_eq!(of_chain, facts.works.len());
            prop_assert!(facts.works.iter().all(|work| work.line <= work.end_line && work.end_line <= lines));
            for copy in &facts.copies {
                prop_assert!(!matches!(&copy.origin, CopyOrigin::Stage(from) if facts.chain.contains(from)));
            }
        }
    }
}
