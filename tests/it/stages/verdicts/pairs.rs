//! The Dockerfiles, and what is right to say of their images.

use super::Content::{Bytes, Program, Text};
use super::{Pair, pair};

/// Small base images: a tag, the Dockerfile, and which programs it copies from its context.
pub(super) const BASES: [(&str, &str, &[&str]); 8] = [
    ("verdicts-debian:1", DEBIAN, &[]),
    ("verdicts-alpine:1", ALPINE, &[]),
    (
        "verdicts-golang:1",
        "FROM verdicts-debian:1\nCOPY go /usr/local/go/bin/go\nCOPY manager /usr/local/go/src/fmt/print.go\n\
         ENV PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin\nCMD [\"sh\"]\n",
        &["go"],
    ),
    (
        "verdicts-rust:1",
        "FROM verdicts-debian:1\nCOPY cargo /usr/local/cargo/bin/cargo\nCOPY rustc /usr/local/rustup/toolchains/stable/bin/rustc\n\
         ENV PATH=/usr/local/cargo/bin:/usr/local/bin:/usr/bin:/bin\nCMD [\"sh\"]\n",
        &["cargo", "rustc"],
    ),
    (
        "verdicts-node:1",
        "FROM verdicts-debian:1\nCOPY node npm /usr/local/bin/\nCMD [\"node\"]\n",
        &["node", "npm"],
    ),
    (
        "verdicts-gcc:1",
        "FROM verdicts-debian:1\nRUN apt-get update && apt-get install -y gcc make && rm -rf /var/lib/apt/lists/*\nCMD [\"sh\"]\n",
        &[],
    ),
    (
        "verdicts-python:1",
        "FROM verdicts-debian:1\nRUN apt-get install -y python3\nCOPY pip /usr/local/bin/pip\nCOPY manager /usr/local/include/python3.11/Python.h\nCMD [\"python3\"]\n",
        &["pip"],
    ),
    ("verdicts-tools:1", "FROM scratch\nCOPY composer uv tini /\n", &["composer", "uv", "tini"]),
];

const DEBIAN: &str = "FROM scratch\n\
    COPY busybox /bin/busybox\n\
    RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
    COPY manager /usr/lib/manager\n\
    RUN mkdir -p /usr/bin /usr/local/bin /var/lib/dpkg/info /var/lib/apt /tmp && touch /var/lib/apt/auto \
    && printf '#!/bin/sh\\nexec sh /usr/lib/manager apt-get \"$@\"\\n' > /usr/bin/apt-get && chmod 755 /usr/bin/apt-get \
    && for package in gcc-12-base libgcc-s1 libc6; do \
    mkdir -p /usr/share/doc/$package && echo free > /usr/share/doc/$package/copyright; \
    echo /usr/share/doc/$package/copyright > /var/lib/dpkg/info/$package.list; \
    printf 'Package: %s\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: 12.2\\n\\n' $package; \
    done > /var/lib/dpkg/status\n\
    CMD [\"sh\"]\n";

const ALPINE: &str = "FROM scratch\n\
    COPY busybox /bin/busybox\n\
    RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
    COPY manager /usr/lib/manager\n\
    RUN mkdir -p /usr/bin /sbin /lib/apk/db /tmp \
    && printf '#!/bin/sh\\nexec sh /usr/lib/manager apk \"$@\"\\n' > /sbin/apk && chmod 755 /sbin/apk \
    && for package in musl libgcc libstdc++; do \
    head -c 90000 /dev/zero > /lib/$package.so.1; \
    printf 'P:%s\\nV:1.2\\nA:x86_64\\nF:lib\\nR:%s.so.1\\n\\n' $package $package; \
    done > /lib/apk/db/installed\n\
    CMD [\"sh\"]\n";

pub(super) fn all() -> Vec<Pair> {
    [right_to_pass(), right_to_pass_for_its_dockerfile(), bases_to_blame(), right_to_fail(), traps()]
        .into_iter()
        .flatten()
        .collect()
}

/// What needs no stage of its own.
fn right_to_pass() -> Vec<Pair> {
    vec![
        pair("static binary on scratch", "pass", "FROM scratch\nCOPY server /server\nENTRYPOINT [\"/server\"]\n")
            .file("server", Program)
            .says(&["one stage", "that is enough", "(one file)"]),
        pair("files on scratch", "pass", "FROM scratch\nCOPY site /site\nCOPY server /server\n")
            .file("site/index.html", Text("<p>tides</p>"))
            .file("server", Program)
            .says(&["one stage", "the image has no build tools"]),
        pair("interpreted app, real pip on python:3-slim", "pass", "FROM python:3-slim\nWORKDIR /app\nRUN pip install --no-cache-dir flask\nCOPY app.py .\nCMD [\"python3\", \"app.py\"]\n")
            .file("app.py", Text("print(1)"))
            .says(&["one stage", "Dockerfile:3 pip install flask left no build tools"]),
        pair("interpreted app with a cache mount", "pass", "FROM verdicts-python:1\nCOPY requirements.txt .\nRUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt\nCOPY app.py /app/\n")
            .file("requirements.txt", Text("flask"))
            .file("app.py", Text("print(1)"))
            .says(&["one stage", "Dockerfile:3 pip install left no build tools"]),
        pair("node app, production dependencies only", "pass", "FROM verdicts-node:1\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci --omit=dev && npm cache clean --force\nCOPY server.js .\nCMD [\"node\", \"server.js\"]\n")
            .file("package.json", Text(PACKAGE_JSON))
            .file("package-lock.json", Text("{}"))
            .file("server.js", Text("1"))
            .says(&["one stage"]),
        pair("run-time tools", "pass", "FROM verdicts-debian:1\nRUN apt-get update && apt-get install -y --no-install-recommends git curl libpq5 && rm -rf /var/lib/apt/lists/*\nCOPY run.sh /\n")
            .file("run.sh", Text("git clone"))
            .says(&["one stage", "that is enough"]),
        pair("a vendored cc that is no compiler", "pass", "FROM verdicts-debian:1\nCOPY cc make task /home/app/\nCOPY task /usr/local/bin/task\n")
            .file("cc", Bytes(2_000_000))
            .file("make", Bytes(2_000_000))
            .file("task", Bytes(2_000_000))
            .says(&["the image has no build tools"]),
        pair("version control", "pass", "FROM verdicts-debian:1\nCOPY . /app\n")
            .file(".git/objects/pack/pack-1.pack", Bytes(3_000_000))
            .file(".git/HEAD", Text("ref: refs/heads/main"))
            .file("app.py", Text("print(1)"))
            .kinds(&["version-control"])
            .says(&["one stage"]),
        pair("documentation, tests and caches are left", "pass", "FROM verdicts-python:1\nRUN apt-get update && apt-get install -y curl\nCOPY docs /usr/share/doc/app\nCOPY cache /root/.cache/pip\nCOPY tests /usr/local/lib/python3.11/site-packages/app/tests\n")
            .file("docs/manual.txt", Bytes(3_000_000))
            .file("cache/http/0/1/x", Bytes(3_000_000))
            .file("tests/test_all.py", Bytes(3_000_000))
            .kinds(&["documentation", "pip-cache", "tests", "apt-cache"]),
        pair("headers of the base only", "pass", "FROM verdicts-python:1\nRUN pip install --no-cache-dir flask\n")
            .kinds(&["headers"]),
        pair("a jar on a JRE", "pass", "FROM eclipse-temurin:17-jre\nCOPY app.jar /app.jar\nCMD [\"java\", \"-jar\", \"/app.jar\"]\n")
            .file("app.jar", Bytes(500_000))
            .says(&["one stage", "that is enough"]),
        pair("a few headers", "pass", "FROM verdicts-debian:1\nRUN apt-get install -y libpq-dev\nCOPY app /app\n")
            .file("app", Text("x"))
            .kinds(&["dev-packages"])
            .says(&["Dockerfile:2 apt-get install libpq-dev left no build tools"]),
        pair("packages with a part of a compiler's name", "pass", "FROM verdicts-alpine:1\nRUN apk add --no-cache libpq git\nCOPY app /app\n")
            .file("app", Text("x"))
            .says(&["one stage", "that is enough"]),
        pair("files that only builds read", "pass", "FROM verdicts-debian:1\nCOPY . /app\n")
            .file("Dockerfile.dev", Text("FROM x"))
            .file("src/main.c", Bytes(200_000))
            .file("src/Makefile", Text("all:"))
            .file("app.js.map", Bytes(3_000_000))
            .kinds(&["dockerfiles", "compiled-sources", "source-maps"])
            .says(&["the image has no build tools"]),
        pair("a package manager that runs", "pass", "FROM verdicts-debian:1\nRUN apt-get install -y --no-install-recommends python3 python3-pip && pip install --no-cache-dir flask\n")
            .says(&["left no build tools behind"]),
    ]
}

const PACKAGE_JSON: &str =
    r#"{"name":"app","dependencies":{"express":"^4"},"devDependencies":{"typescript":"^5"}}"#;

/// What is built in stages, or clears away what it builds with.
fn right_to_pass_for_its_dockerfile() -> Vec<Pair> {
    vec![
        pair("two stages onto scratch", "pass", "FROM verdicts-golang:1 AS builder\nCOPY main.go /src/\nRUN go build -o /out/server /src\nFROM scratch\nCOPY --from=builder /out/server /server\n")
            .file("main.go", Text("package main"))
            .says(&["2 stages", "(one file)"]),
        pair("two stages, and libraries at run time", "pass", "FROM verdicts-gcc:1 AS builder\nCOPY main.c .\nRUN apt-get install -y libpq-dev && gcc -o /server main.c\nFROM verdicts-debian:1\nRUN apt-get update && apt-get install -y libpq5 && rm -rf /var/lib/apt/lists/*\nCOPY --from=builder /server /usr/local/bin/server\n")
            .file("main.c", Text("int main;"))
            .says(&["2 stages", "the image has no build tools"]),
        pair("by index", "pass", "FROM verdicts-gcc:1\nCOPY main.c .\nRUN gcc -o /server main.c\n\nFROM verdicts-debian:1\nCOPY --from=0 /server /server\n")
            .file("main.c", Text("int main;"))
            .says(&["2 stages"]),
        pair("from another image", "pass", "FROM verdicts-debian:1\nCOPY --from=verdicts-tools:1 /tini /usr/bin/tini\nCOPY app /app\nENTRYPOINT [\"tini\", \"--\"]\n")
            .file("app", Text("x"))
            .says(&["one stage that copies from another image"]),
        pair("an alias with what all stages need", "pass", "FROM verdicts-debian:1 AS base\nRUN apt-get install -y libpq5\nFROM base AS builder\nRUN apt-get install -y gcc libpq-dev\nCOPY main.c .\nRUN gcc -o /server main.c\nFROM base\nCOPY --from=builder /server /server\n")
            .file("main.c", Text("int main;"))
            .says(&["3 stages"]),
        pair("a wheel by a mount from the builder", "pass", "FROM verdicts-python:1 AS builder\nRUN apt-get install -y gcc && mkdir /wheels && touch /wheels/app-1.0-py3-none-any.whl\nFROM verdicts-python:1\nRUN --mount=type=bind,from=builder,source=/wheels,target=/wheels pip install --no-cache-dir /wheels/*.whl\n")
            .says(&["2 stages"]),
        pair("production dependencies in the final of two stages", "pass", "FROM verdicts-node:1 AS builder\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci\nRUN npm run build\nFROM verdicts-node:1\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci --omit=dev\nCOPY --from=builder /app/dist ./dist\n")
            .file("package.json", Text(PACKAGE_JSON))
            .file("package-lock.json", Text("{}"))
            .kinds(&["npm-cache"])
            .says(&["2 stages"]),
        pair("a site on a small server", "pass", "FROM verdicts-node:1 AS builder\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci && npm run build\nFROM verdicts-alpine:1\nCOPY --from=builder /app/dist /usr/share/nginx/html\n")
            .file("package.json", Text(PACKAGE_JSON))
            .file("package-lock.json", Text("{}"))
            .says(&["2 stages"]),
        pair("a virtual environment, real pip", "pass", "FROM python:3 AS builder\nRUN python3 -m venv --without-pip /venv && pip --python /venv/bin/python install --no-cache-dir flask\n\nFROM python:3-slim\nCOPY --from=builder /venv /venv\n")
            .says(&["2 stages"]),
        pair("gcc purged in its step", "pass", "FROM verdicts-python:1\nRUN apt-get update && apt-get install -y gcc && pip install --no-cache-dir flask && apt-get purge -y --auto-remove gcc && rm -rf /var/lib/apt/lists/*\n")
            .says(&["one stage", "Dockerfile:2"]),
        pair("real gcc purged in its step", "pass", "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \\\n && gcc --version > /version \\\n && apt-get purge -y --auto-remove gcc libc6-dev && rm -rf /var/lib/apt/lists/*\n")
            .says(&["one stage", "Dockerfile:2"]),
        pair("a virtual package of apk deleted in its step", "pass", "FROM verdicts-alpine:1\nRUN apk add --no-cache --virtual .build-deps gcc musl-dev make && gcc -o /server main.c && apk del .build-deps\n")
            .says(&["one stage", "Dockerfile:2"]),
        pair("a target in the middle", "pass", "FROM verdicts-golang:1 AS builder\nCOPY main.go .\nRUN go build -o /server main.go\nFROM verdicts-debian:1 AS runtime\nCOPY --from=builder /server /server\nFROM runtime AS debug\nRUN apt-get install -y gcc\n")
            .file("main.go", Text("package main"))
            .option("--target", "runtime")
            .says(&["3 stages"]),
        pair("a base that a build argument chooses", "pass", "ARG BASE=verdicts-golang:1\nFROM ${BASE}\nCOPY server /server\n")
            .file("server", Program)
            .option("--build-arg", "BASE=verdicts-debian:1"),
        pair("a compiler that is meant to be there", "pass", "FROM verdicts-debian:1\nRUN apt-get install -y gcc\nCOPY app /app\n")
            .file("app", Text("x"))
            .config("[[removable.ignore]]\nkind = \"compilers\"\nreason = \"the service compiles what it is given\"\n[[removable.ignore]]\npaths = [\"usr/include/**\", \"**/*.a\"]\nreason = \"and so needs the headers\"\n")
            .kinds(&["compilers"])
            .says(&["are accepted", "compilers and linkers", "the service compiles what it is given"])
            .never_says(&["has no build tools"]),
        pair("no Dockerfile, and nothing that builds", "pass", "FROM verdicts-debian:1\nRUN apt-get install -y curl\nCOPY app /app\n")
            .file("app", Text("x"))
            .later("")
            .says(&["the image has no build tools", "from the image alone"]),
    ]
}

/// What passes but for its base image, and what builds with it.
fn bases_to_blame() -> Vec<Pair> {
    vec![
        pair("two stages, the last on a fat base", "warn", "FROM python:3 AS builder\nRUN pip install --no-cache-dir --target /packages flask\nFROM python:3\nCOPY --from=builder /packages /packages\n")
            .says(&["2 stages", "the final stage builds nothing", "python:3 brings"])
            .helps(&["python:3-slim"]),
        pair("a slimmer base is there already", "warn", "FROM python:3-slim AS packages\nRUN mkdir /packages\nFROM python:3\nCOPY --from=packages /packages /packages\n")
            .says(&["python:3 brings"])
            .helps(&["python:3-slim, as line 1 does"]),
        pair("a jar on a JDK", "warn", "FROM eclipse-temurin:17\nCOPY app.jar /app.jar\nCMD [\"java\", \"-jar\", \"/app.jar\"]\n")
            .file("app.jar", Bytes(500_000))
            .says(&["one stage", "eclipse-temurin:17 brings"])
            .helps(&["eclipse-temurin:17-jre"]),
        pair("only files on a toolchain", "warn", "FROM verdicts-golang:1\nCOPY server /server\n")
            .file("server", Program)
            .says(&["verdicts-golang:1 brings", "the Go toolchain"])
            .helps(&["verdicts-golang:1"]),
        pair("the default of the same argument", "fail", "ARG BASE=verdicts-golang:1\nFROM ${BASE}\nCOPY main.go .\nRUN go build -o /server main.go\n")
            .file("main.go", Text("package main"))
            .says(&["builds with tools of verdicts-golang:1", "Dockerfile:4 go build"])
            .at(4),
        pair("real pip on python:3", "fail", "FROM python:3\nCOPY app.py /app/\nRUN pip install --no-cache-dir flask\n")
            .file("app.py", Text("print(1)"))
            .says(&["one stage", "builds with tools of python:3", "Dockerfile:3 pip install flask"])
            .helps(&["python:3-slim"])
            .at(3),
        pair("go build in one stage", "fail", "FROM verdicts-golang:1\nWORKDIR /src\nCOPY main.go .\nRUN go build -o /server .\n")
            .file("main.go", Text("package main"))
            .kinds(&["go-cache", "go-toolchain"])
            .says(&["verdicts-golang:1", "the Go toolchain", "Dockerfile:4 go build"])
            .at(4),
        pair("cargo build in one stage", "fail", "FROM verdicts-rust:1\nWORKDIR /src\nCOPY Cargo.toml .\nRUN cargo build --release\n")
            .file("Cargo.toml", Text("[package]"))
            .says(&["intermediate results of builds", "Dockerfile:4 cargo build"])
            .at(4),
        pair("real javac in one stage", "fail", "FROM eclipse-temurin:17\nCOPY A.java .\nRUN javac -d /app A.java\nCMD [\"java\", \"-cp\", \"/app\", \"A\"]\n")
            .file("A.java", Text("public class A { public static void main(String[] words) {} }"))
            .says(&["builds with tools of eclipse-temurin:17", "Dockerfile:3 javac"])
            .helps(&["move Dockerfile:3 javac to a builder stage (FROM eclipse-temurin:17 AS builder)", "on eclipse-temurin:17-jre"])
            .at(3),
        pair("the base's compiler, used and purged", "fail", "FROM verdicts-gcc:1\nCOPY main.c .\nRUN gcc -o /server main.c\nRUN apt-get purge -y --auto-remove gcc make\n")
            .file("main.c", Text("int main;"))
            .says(&["builds with tools of verdicts-gcc:1", "deleted by a later instruction but still in the image", "Dockerfile:3 gcc"])
            .at(3),
    ]
}

/// What is built where it runs.
fn right_to_fail() -> Vec<Pair> {
    vec![
        pair("gcc in one step and its removal in another", "fail", "FROM verdicts-debian:1\nRUN apt-get install -y gcc\nCOPY main.c .\nRUN gcc -o /server main.c\nRUN apt-get purge -y --auto-remove gcc\n")
            .file("main.c", Text("int main;"))
            .says(&["deleted by a later instruction but still in the image", "compilers", "Dockerfile:2 apt-get install gcc"])
            .at(2),
        pair("real build-essentials in one stage", "fail", "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y gcc make && rm -rf /var/lib/apt/lists/*\nCOPY main.c .\n")
            .file("main.c", Text("int main;"))
            .says(&["one stage", "compilers and linkers", "Dockerfile:2 apt-get install gcc make"])
            .at(2),
        pair("two stages, and gcc in the last", "fail", "FROM verdicts-golang:1 AS builder\nCOPY main.go .\nRUN go build -o /server main.go\nFROM verdicts-debian:1\nCOPY --from=builder /server /server\nRUN apt-get update \\\n && apt-get install -y gcc\n")
            .file("main.go", Text("package main"))
            .says(&["2 stages", "compilers", "gcc", "Dockerfile:6 apt-get install gcc"])
            .at(6),
        pair("an alias with the compilers", "fail", "FROM verdicts-debian:1 AS base\nRUN apt-get install -y build-essential\nFROM base AS builder\nCOPY main.c .\nRUN gcc -o /server main.c\nFROM base\nCOPY --from=builder /server /server\n")
            .file("main.c", Text("int main;"))
            .says(&["3 stages", "Dockerfile:2 apt-get install build-essential"])
            .at(2),
        pair("the last stage is the builder", "fail", "FROM verdicts-debian:1 AS builder\nRUN apt-get install -y gcc\nCOPY main.c .\nRUN gcc -o /server main.c\nFROM builder\nRUN rm -rf /usr/lib/gcc /usr/bin/gcc\n")
            .file("main.c", Text("int main;"))
            .says(&["2 stages, each built on the one before, so all of them ship", "Dockerfile:2 apt-get install gcc"])
            .at(2),
        pair("a builder that nothing comes from", "fail", "FROM verdicts-golang:1 AS builder\nCOPY main.c .\nRUN go build -o /server main.c\nFROM verdicts-debian:1\nRUN apt-get install -y gcc\nCOPY main.c .\nRUN gcc -o /server main.c\n")
            .file("main.c", Text("int main;"))
            .says(&["takes nothing from the others", "Dockerfile:5 apt-get install gcc", "Dockerfile:7 gcc"])
            .at(5),
        pair("the whole builder", "fail", "FROM verdicts-gcc:1 AS builder\nCOPY main.c .\nRUN gcc -o /server main.c\nFROM scratch\nCOPY --from=builder / /\n")
            .file("main.c", Text("int main;"))
            .says(&["2 stages", "compilers"])
            .helps(&["in Dockerfile:5, copy only the files that run, without compilers and linkers (/usr/lib/gcc"])
            .at(5),
        pair("a copied toolchain", "fail", "FROM verdicts-debian:1\nCOPY --from=verdicts-golang:1 /usr/local/go /usr/local/go\nCOPY main.go .\nRUN /usr/local/go/bin/go build -o /server main.go\n")
            .file("main.go", Text("package main"))
            .says(&["the Go toolchain"])
            .at(4),
        pair("a toolchain that is only copied", "fail", "FROM verdicts-debian:1\nCOPY --from=verdicts-golang:1 /usr/local/go /usr/local/go\n")
            .says(&["the Go toolchain"])
            .helps(&["without the Go toolchain (/usr/local/go/"])
            .at(2),
        pair("all that was installed with the program", "warn", "FROM verdicts-gcc:1 AS builder\nRUN mkdir -p /opt/app/lib /opt/app/include && cp /usr/lib/x86_64-linux-gnu/libc.a /opt/app/lib && cp /usr/include/stdio.h /opt/app/include\nFROM verdicts-debian:1\nCOPY --from=builder /opt/app /opt/app\n")
            .says(&["static libraries"])
            .helps(&["in Dockerfile:4, copy only the files that run"])
            .at(4),
        pair("Composer from its image", "fail", "FROM verdicts-debian:1\nCOPY --from=verdicts-tools:1 /composer /usr/bin/composer\nWORKDIR /app\nRUN composer install --no-dev\n")
            .says(&["Composer"])
            .at(2),
        pair("uv from its image", "fail", "FROM verdicts-python:1\nCOPY --from=verdicts-tools:1 /uv /bin/\nRUN uv sync --locked\n")
            .says(&["Python build and lock tools"])
            .at(2),
        pair("build-base of apk", "fail", "FROM verdicts-alpine:1\nRUN apk add --no-cache build-base\nRUN make\n")
            .says(&["Dockerfile:2 apk add build-base"])
            .at(2),
        pair("a virtual package of apk deleted in another step", "fail", "FROM verdicts-alpine:1\nRUN apk add --no-cache --virtual .build-deps gcc\nRUN gcc -o /server main.c\nRUN apk del .build-deps\n")
            .says(&["deleted by a later instruction but still in the image", "Dockerfile:2 apk add gcc"])
            .at(2),
        pair("development dependencies", "fail", "FROM verdicts-node:1\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci\nCOPY server.js .\n")
            .file("package.json", Text(PACKAGE_JSON))
            .file("package-lock.json", Text("{}"))
            .file("server.js", Text("1"))
            .says(&["one stage", "development dependencies", "Dockerfile:4 npm ci"])
            .helps(&["npm ci --omit=dev"])
            .at(4),
        pair("development dependencies, pruned in another step", "fail", "FROM verdicts-node:1\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci\nRUN npm run build\nRUN npm prune --omit=dev\n")
            .file("package.json", Text(PACKAGE_JSON))
            .file("package-lock.json", Text("{}"))
            .says(&["deleted by a later instruction but still in the image", "Dockerfile:5 npm run"])
            .at(5),
        pair("a global compiler of npm", "fail", "FROM verdicts-node:1\nRUN npm install -g typescript@5\nCOPY server.ts .\n")
            .file("server.ts", Text("1"))
            .says(&["global Node build tools", "Dockerfile:2 npm install typescript"])
            .at(2),
        pair("pipenv in the final stage", "fail", "FROM verdicts-python:1 AS builder\nRUN pip install --target /packages flask\nFROM verdicts-python:1\nRUN pip install pipenv\nCOPY --from=builder /packages /packages\n")
            .says(&["2 stages", "Python build and lock tools", "pipenv", "Dockerfile:4 pip install pipenv"])
            .at(4),
        pair("the last of three stages is for debugging", "fail", "FROM verdicts-golang:1 AS builder\nCOPY main.go .\nRUN go build -o /server main.go\nFROM verdicts-debian:1 AS runtime\nCOPY --from=builder /server /server\nFROM runtime AS debug\nRUN apt-get install -y gcc\n")
            .file("main.go", Text("package main"))
            .says(&["3 stages", "Dockerfile:7 apt-get install gcc"])
            .at(7),
    ]
}

/// What is not what it seems.
fn traps() -> Vec<Pair> {
    vec![
        pair("no Dockerfile, and a compiler", "fail", "FROM verdicts-debian:1\nRUN apt-get install -y gcc\nCOPY app /app\n")
            .file("app", Text("x"))
            .later("")
            .says(&["compilers", "from the image alone", "apt-get install gcc"]),
        pair("no Dockerfile, and a fat base", "warn", "FROM python:3\nCOPY app.py /app/\n")
            .file("app.py", Text("print(1)"))
            .later("")
            .says(&["the final stage builds nothing, but the base image brings", "from the image alone"])
            .never_says(&["it; "]),
        pair("a Dockerfile that was edited since", "fail", "FROM verdicts-debian:1\nRUN apt-get install -y gcc\nCOPY app /app\n")
            .file("app", Text("x"))
            .later("FROM verdicts-golang:1 AS builder\nRUN go build -o /server .\nFROM scratch\nCOPY --from=builder /server /server\n")
            .says(&["compilers", "from the image alone", "apt-get install gcc"])
            .never_says(&["2 stages", "Dockerfile:"]),
        pair("a Dockerfile that was edited since, and nothing that builds", "pass", "FROM verdicts-debian:1\nCOPY app /app\n")
            .file("app", Text("x"))
            .later("FROM verdicts-debian:1\nRUN apt-get install -y gcc\nRUN gcc -o /server main.c\n")
            .says(&["from the image alone"])
            .never_says(&["Dockerfile:"]),
        pair("a kind of one's own", "fail", "FROM verdicts-debian:1\nCOPY model-compiler /opt/compiler/model-compiler\n")
            .file("model-compiler", Bytes(2_000_000))
            .config("[[removable.kinds]]\nname = \"model-compiler\"\nwhat = \"the compiler of models\"\nweight = \"tool\"\npaths = [\"/opt/compiler/**\"]\nhelp = \"run it in a builder stage, not in {instruction}\"\n")
            .says(&["the compiler of models"])
            .helps(&["run it in a builder stage, not in Dockerfile:2"])
            .at(2),
        pair("a production dependency that looks like one for development", "pass", "FROM verdicts-node:1\nWORKDIR /app\nCOPY node_modules node_modules\nCOPY package.json .\n")
            .file("package.json", Text(PACKAGE_JSON))
            .file("node_modules/.package-lock.json", Text(r#"{"packages":{"node_modules/typescript":{"version":"5.4.0"}}}"#))
            .file("node_modules/typescript/lib/tsc.js", Bytes(3_000_000)),
    ]
}
