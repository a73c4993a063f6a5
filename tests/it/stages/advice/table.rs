//! The Dockerfiles, one for each kind of removable files, and how what is advised is done to them.
//!
//! Real where these machines have the programs: apt, pip, npm, gcc, make, dpkg, useradd, a JDK. Elsewhere a script stands
//! in for the program, which stores what it would store, and listens to the options that the advice names.

use super::Advice;
use super::Apply::{
    Base, Before, Begin, Builder, End, EndWith, Ignore, Instead, LeaveOut, Mount, Runtime, Set, Virtual,
    Write,
};

const DEBIAN: &str = "debian:bookworm-slim";
const PROGRAM: &str = "[\"/srv/app\"]";
const APP: super::Apply = Builder(&["/srv/app"]);
const APT: &str = "RUN apt-get update && apt-get install -y";
const MAKE_APP: &str =
    "mkdir -p /srv && printf '#!/bin/sh\\necho it runs\\n' > /srv/app && chmod 755 /srv/app";
const CLEAN: &str =
    "rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old";

fn advice(kind: &'static str, step: impl Into<String>, apply: super::Apply) -> Advice {
    Advice {
        kind,
        of: None,
        base: DEBIAN,
        before: Vec::new(),
        step: step.into(),
        command: PROGRAM,
        apply,
        tools: Vec::new(),
        files: Vec::new(),
        app: None,
    }
}

/// One whose tool is a stand-in.
fn by(kind: &'static str, tool: &'static str, does: &'static str, step: &str, apply: super::Apply) -> Advice {
    Advice { tools: vec![(tool, does)], ..advice(kind, step, apply) }
}

/// A stand-in that stores one file, for what all goes to a builder stage.
fn stored(kind: &'static str, does: &'static str) -> Advice {
    by(kind, "build", does, "RUN build", APP)
}

impl Advice {
    fn of(self, of: &'static str) -> Advice {
        Advice { of: Some(of), ..self }
    }

    fn on(self, base: &'static str) -> Advice {
        Advice { base, ..self }
    }

    fn starts(self, command: &'static str) -> Advice {
        Advice { command, ..self }
    }

    fn before(mut self, line: impl Into<String>) -> Advice {
        self.before.push(line.into());
        self
    }

    fn file(mut self, path: &'static str, text: impl Into<String>) -> Advice {
        self.files.push((path, text.into()));
        self
    }
}

pub(super) fn all() -> Vec<Advice> {
    [left_by_copies(), caches(), tools(), packages(), inputs(), leftovers()].into_iter().flatten().collect()
}

fn left_by_copies() -> Vec<Advice> {
    let make = format!("RUN {MAKE_APP}");
    let key = "PRIVATE KEY-----";
    let body = "MC4CAQAwBQYDK2VwBCIEIGVubm9ucmVhbGtleWZvcmF0ZXN0b25seSEh\n".repeat(3);
    vec![
        advice("secrets", "COPY . /src", Ignore("id_ed25519"))
            .before(make.clone())
            .file("id_ed25519", format!("-----BEGIN {key}\n{body}-----END {key}\n")),
        advice("version-control", "COPY . /src", Ignore("**/.git"))
            .before(make.clone())
            .file(".git/objects/ab/cd", "x".repeat(300_000)),
        advice("dockerfiles", "COPY . /src", Ignore("Jenkinsfile"))
            .before(make.clone())
            .file("Jenkinsfile", "x".repeat(30_000)),
        advice("compiled-sources", "COPY . /src", APP).before(make).file("main.go", "x".repeat(30_000)),
    ]
}

fn caches() -> Vec<Advice> {
    let mut all = vec![
        advice("apt-cache", format!("{APT} busybox-static"), End).starts("[\"/bin/busybox\", \"echo\", \"it runs\"]"),
        by(
            "apk-cache",
            "apk",
            "case \"$*\" in *--no-cache*) ;; *) put /var/cache/apk/APKINDEX.0.tar.gz 300000 ;; esac; app",
            "RUN apk add jq",
            Write("apk add", "apk add --no-cache"),
        ),
        by(
            "rpm-cache",
            "dnf",
            "[ \"$1\" = clean ] && rm -rf /var/cache/dnf/* && exit; put /var/cache/dnf/x.solv 300000; put /var/lib/dnf/history.sqlite 90000; app",
            "RUN dnf install -y jq",
            End,
        ),
        advice("pip-cache", "RUN pip install jinja2", Write("pip install", "pip install --no-cache-dir"))
            .on("python:3-slim")
            .starts("[\"python3\", \"-c\", \"import jinja2; print(jinja2.__version__)\"]"),
        by(
            "conda-cache",
            "conda",
            "[ \"$1\" = clean ] && rm -rf /opt/conda/pkgs && exit; put /opt/conda/pkgs/numpy-1.26.conda 300000; app",
            "RUN conda install numpy",
            End,
        ),
        by("pipenv-cache", "pipenv", "put /root/.cache/pipenv/depcache-py3.11.json 300000; app", "RUN pipenv sync", Mount),
        // The environment is beside the cache, and runs.
        by(
            "poetry-cache",
            "poetry",
            "for d in artifacts cache; do put /root/.cache/pypoetry/$d/x 300000; done; app; put /root/.cache/pypoetry/virtualenvs/app/lib/x 300000; mkdir -p /root/.cache/pypoetry/virtualenvs/app/bin; mv /srv/app /root/.cache/pypoetry/virtualenvs/app/bin/app",
            "RUN poetry install",
            End,
        )
        .starts("[\"/root/.cache/pypoetry/virtualenvs/app/bin/app\"]"),
        by("uv-cache", "uv", "[ -n \"$UV_NO_CACHE\" ] || put /root/.cache/uv/wheels-v5/x 300000; app", "RUN uv sync", Set),
        advice("npm-cache", "RUN npm ci", End)
            .on("node:20-slim")
            .before("WORKDIR /app")
            .before("COPY package.json package-lock.json ./")
            .starts("[\"node\", \"-e\", \"console.log(require('ms')(60000))\"]"),
        by("node-gyp-headers", "npm", "put /root/.cache/node-gyp/20.1.0/include/node/node.h 300000; app", "RUN npm ci", End),
        by(
            "yarn-cache",
            "yarn",
            "[ \"$1\" = cache ] && rm -rf /usr/local/share/.cache/yarn && exit; put /usr/local/share/.cache/yarn/v6/a 300000; app",
            "RUN yarn install",
            End,
        ),
        by(
            "pnpm-store",
            "pnpm",
            "[ \"$1\" = store ] && rm -rf /root/.local/share/pnpm/store && exit; put /root/.local/share/pnpm/store/v3/files/00/ab 300000; app",
            "RUN pnpm install",
            End,
        ),
        by("gem-cache", "bundle", "put /usr/local/bundle/cache/rack-3.0.gem 300000; put /app/vendor/bundle/ruby/3.3.0/cache/rack-3.0.gem 300000; app", "RUN bundle install", End),
        by(
            "composer-cache",
            "composer",
            "[ \"$COMPOSER_CACHE_DIR\" = /dev/null ] || put /root/.composer/cache/files/x.zip 300000; app",
            "RUN composer install",
            Set,
        ),
        stored("cargo-cache", "put /usr/local/cargo/registry/src/x/lib.rs 300000; app"),
        stored("go-cache", "put /go/pkg/mod/x/x.go 300000; put /root/.cache/go-build/00/ab 300000; app"),
        stored("maven-cache", "put /root/.m2/repository/x/x.jar 300000; app"),
        stored("gradle-cache", "put /root/.gradle/caches/x.bin 300000; app"),
        stored("nuget-cache", "put /root/.nuget/packages/x/x.nupkg 300000; app"),
    ];
    for one in all.iter_mut().filter(|one| one.kind == "npm-cache") {
        one.app = Some("node-dev");
    }
    all
}

fn tools() -> Vec<Advice> {
    let gcc = format!(
        "{APT} gcc libc6-dev && mkdir -p /srv && printf 'int puts(const char *); int main(void) {{ puts(\"it runs\"); }}\\n' > /a.c && gcc -o /srv/app /a.c && {CLEAN}"
    );
    let make = format!("{APT} make && make --version && {MAKE_APP}");
    vec![
        advice("compilers", gcc.clone(), End).of("deb"),
        advice("compilers", "RUN apk add gcc && gcc -o /srv/busybox a.c", Virtual)
            .of("apk")
            .on("verdicts-alpine:1")
            .starts("[\"/srv/busybox\", \"echo\", \"it runs\"]"),
        advice("compilers", "RUN apk add gcc && gcc -o /srv/busybox a.c", Builder(&["/srv/busybox"]))
            .on("verdicts-alpine:1")
            .starts("[\"/srv/busybox\", \"echo\", \"it runs\"]"),
        advice("compiler-libraries", gcc, APP),
        advice("build-tools", make.clone(), End).of("deb"),
        advice("build-tools", make, APP),
        advice("build-tools", "RUN apk add make && make /srv/busybox", Virtual)
            .of("apk")
            .on("verdicts-alpine:1")
            .starts("[\"/srv/busybox\", \"echo\", \"it runs\"]"),
        stored("go-toolchain", "put /usr/local/go/bin/go 300000; app"),
        stored("rust-toolchain", "put /usr/local/rustup/toolchains/stable/bin/rustc 300000; app"),
        stored("dotnet-sdk", "put /usr/share/dotnet/sdk/8.0.100/MSBuild.dll 300000; app"),
        stored("jvm-build-tools", "put /usr/share/maven/lib/maven-core.jar 300000; app"),
        stored("python-build-tools", "put /usr/local/bin/poetry 300000; app"),
        stored("ruby-php-build-tools", "put /usr/local/bin/composer 300000; app"),
        stored("corepack", "put /root/.cache/node/corepack/v1/pnpm/9.0.0/bin/pnpm.cjs 300000; app"),
        advice(
            "node-build-tools",
            "RUN npm install -g typescript && mkdir -p /srv/dist && echo 'console.log(\"it runs\")' > /srv/a.ts && tsc --outDir /srv/dist /srv/a.ts",
            Builder(&["/srv/dist"]),
        )
        .on("node:20-slim")
        .starts("[\"node\", \"/srv/dist/a.js\"]"),
        // What the base image brings.
        advice("jdk", "COPY hello /hello", Base)
            .on("eclipse-temurin:17")
            .starts("[\"java\", \"--version\"]")
            .file("hello", "hello"),
        advice("compilers", "COPY hello /hello", Base)
            .on("python:3")
            .starts("[\"python3\", \"-c\", \"print(1)\"]")
            .file("hello", "hello"),
    ]
}

/// Packages of the system that have another one to run with.
fn packages() -> Vec<Advice> {
    let yaml = format!(
        "{APT} gcc libc6-dev libyaml-dev && mkdir -p /srv && printf '#include <stdio.h>\\n#include <yaml.h>\\nint main(void) {{ puts(yaml_get_version_string()); }}\\n' > /a.c && gcc -o /srv/app /a.c -lyaml && {CLEAN}"
    );
    vec![
        advice("dev-packages", yaml, Runtime(&["/srv/app"])).of("deb"),
        advice(
            "dev-packages",
            "RUN apk add libpq-dev && mkdir -p /srv && cp /bin/busybox /srv/",
            Builder(&["/srv"]),
        )
        .of("apk")
        .on("verdicts-alpine:1")
        .starts("[\"/srv/busybox\", \"echo\", \"it runs\"]"),
        advice("jdk", "RUN apt-get update && apt-get install -y openjdk-17-jdk-headless", Instead)
            .of("deb")
            .on("verdicts-debian:1")
            .starts("[\"/usr/bin/java\"]"),
        advice("jdk", "RUN apk add openjdk17-jdk", Instead)
            .of("apk")
            .on("verdicts-alpine:1")
            .starts("[\"/usr/bin/java\"]"),
        advice("dotnet-sdk", "RUN apt-get update && apt-get install -y dotnet-sdk-8.0", Instead)
            .of("deb")
            .on("verdicts-debian:1")
            .starts("[\"/usr/bin/dotnet\"]"),
    ]
}

fn inputs() -> Vec<Advice> {
    let mut all = vec![
        advice(
            "dev-dependencies",
            "RUN npm ci && npm cache clean --force",
            Write("npm ci", "npm ci --omit=dev"),
        )
        .of("npm")
        .on("node:20-slim")
        .before("WORKDIR /app")
        .before("COPY package.json package-lock.json ./")
        .starts("[\"node\", \"-e\", \"console.log(require('ms')(60000))\"]"),
        by(
            "dev-dependencies",
            "composer",
            "app; case \"$*\" in *--no-dev*) ;; *) put /app/vendor/phpunit/phpunit/x.php 300000 ;; esac",
            "RUN composer install",
            Write("composer install", "composer install --no-dev"),
        ),
        advice(
            "python-dev-dependencies",
            "RUN pip install --no-cache-dir jinja2 && pip install --no-cache-dir --no-deps markupsafe pytest",
            LeaveOut(" pytest", "do not install pytest"),
        )
        .on("python:3-slim")
        .starts("[\"python3\", \"-c\", \"import jinja2; print(jinja2.__version__)\"]"),
        by(
            "ruby-dev-dependencies",
            "bundle",
            "[ \"$1\" = config ] && touch /.without && exit; app; [ -e /.without ] || { put /usr/local/bundle/gems/rspec-core-3.12.0/lib/a.rb 300000; mkdir -p /usr/local/bundle/specifications; printf 'Gem::Specification.new do |s|\\n  s.name = \"rspec-core\".freeze\\n  s.version = \"3.12.0\"\\nend\\n' > /usr/local/bundle/specifications/rspec-core-3.12.0.gemspec; }",
            "RUN bundle install",
            Begin,
        ),
        stored("build-trees", "put /src/target/release/deps/a-0a1b 300000; app"),
        stored("static-libraries", "put /usr/local/lib/liba.a 300000; app"),
        stored("headers", "put /usr/local/include/a.h 300000; app"),
        stored("pkg-config", "put /usr/local/lib/pkgconfig/a.pc 300000; app"),
        by(
            "bundled-headers",
            "pip",
            "for end in h pxi a; do put /usr/local/lib/python3.11/site-packages/a/a.$end 300000; done; put /usr/local/lib/python3.11/site-packages/a/a.py 300; app",
            "RUN pip install a",
            End,
        ),
    ];
    for one in all.iter_mut().filter(|one| one.of == Some("npm")) {
        one.app = Some("node-dev");
    }
    all
}

fn leftovers() -> Vec<Advice> {
    let package = "RUN rm -f /etc/dpkg/dpkg.cfg.d/docker && mkdir -p /p/DEBIAN /p/usr/share/doc/a && printf 'Package: a\\nVersion: 1\\nArchitecture: all\\nMaintainer: a\\nDescription: a\\n' > /p/DEBIAN/control && head -c 300000 /dev/zero > /p/usr/share/doc/a/README && dpkg-deb --build /p /a.deb && rm -r /p";
    let symbols = format!(
        "{APT} gcc libc6-dev && mkdir -p /srv && printf 'int puts(const char *); int main(void) {{ puts(\"it runs\"); }}\\n' > /a.c && gcc -g3 -static -o /srv/app /a.c && apt-get purge -y --auto-remove gcc libc6-dev && {CLEAN}"
    );
    vec![
        by(
            "tests",
            "pip",
            "put /usr/local/lib/python3.11/site-packages/a/tests/test_a.py 300000; app",
            "RUN pip install a",
            EndWith("DIRECTORY", "/usr/local/lib/python3.11/site-packages"),
        ),
        advice("documentation", format!("RUN dpkg -i /a.deb && {MAKE_APP}"), Before).before(package),
        stored("source-maps", "put /srv/dist/a.js.map 300000; app"),
        stored("type-declarations", "put /app/node_modules/a/index.d.ts 300000; app"),
        // Newer ones write no login records for a user of theirs.
        advice("login-records", "RUN useradd --uid 50000 app", Write("useradd", "useradd --no-log-init"))
            .before("ADD useradd.tar /")
            .before("RUN touch /var/log/lastlog /var/log/faillog")
            .starts("[\"id\", \"-u\", \"app\"]"),
        advice(
            "byte-code",
            "RUN pip install --no-cache-dir jinja2",
            Write("pip install", "pip install --no-compile"),
        )
        .on("python:3-slim")
        .before("ENV PYTHONDONTWRITEBYTECODE=1")
        .starts("[\"python3\", \"-c\", \"import jinja2; print(jinja2.__version__)\"]"),
        advice("debug-symbols", symbols, Write("gcc -g3", "gcc -s")),
    ]
}
