//! What `layergate stages` says of Dockerfiles by their text alone: it passes where nothing that builds can ship,
//! asks for the image elsewhere, and never fails or advises.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::support::{Run, fixture, layergate};

/// One Dockerfile: what it is about, its text, and what is asked; nothing is asked of one that passes.
type Shape = (&'static str, &'static str, &'static [&'static str]);

/// Each as people write them, in the fewest lines that keep the shape.
const SHAPES: &[Shape] = &[
    // Nothing that builds can ship.
    (
        "go-scratch",
        "FROM golang:1.24 AS b\nWORKDIR /src\nCOPY . .\nRUN CGO_ENABLED=0 go build -o /out/app ./cmd\nFROM scratch\nCOPY --from=b /out/app /app\nENTRYPOINT [\"/app\"]\n",
        &[],
    ),
    (
        "go-certificates",
        "FROM golang:1.24-alpine AS b\nRUN apk add ca-certificates git && go build -o /app\nFROM scratch\nCOPY --from=b /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/\nCOPY --from=b /usr/local/go/lib/time/zoneinfo.zip /\nCOPY --from=b /app /app\n",
        &[],
    ),
    (
        "rust-distroless",
        "FROM rust:1.83 AS b\nWORKDIR /w\nRUN cargo build --release\nFROM gcr.io/distroless/cc-debian12:nonroot\nCOPY --from=b /w/target/release/app /usr/local/bin/app\n",
        &[],
    ),
    (
        "spa-nginx",
        "FROM node:22 AS b\nWORKDIR /app\nRUN npm ci && npm run build\nFROM nginx:1.27-alpine\nCOPY --from=b /app/dist /usr/share/nginx/html\nHEALTHCHECK CMD wget -q --spider http://localhost/ || exit 1\n",
        &[],
    ),
    (
        "java-jre",
        "FROM maven:3-eclipse-temurin-21 AS b\nWORKDIR /src\nRUN mvn -B package\nFROM eclipse-temurin:21-jre\nCOPY --from=b /src/target/app.jar /app.jar\nCMD [\"java\",\"-jar\",\"/app.jar\"]\n",
        &[],
    ),
    (
        "dotnet-publish",
        "FROM mcr.microsoft.com/dotnet/aspnet:9.0 AS base\nWORKDIR /app\nFROM mcr.microsoft.com/dotnet/sdk:9.0 AS publish\nWORKDIR /src\nRUN dotnet publish -c Release -o /app/publish\nFROM base AS final\nCOPY --from=publish /app/publish .\nENTRYPOINT [\"dotnet\",\"Web.dll\"]\n",
        &[],
    ),
    ("static-files", "FROM busybox\nCOPY site /www\nCMD [\"httpd\",\"-f\",\"-h\",\"/www\"]\n", &[]),
    (
        "runtime-packages",
        "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y --no-install-recommends curl libpq5 tini && rm -rf /var/lib/apt/lists/*\nCOPY app /usr/local/bin/\n",
        &[],
    ),
    (
        "undone",
        "FROM alpine:3.21\nRUN apk add --no-cache --virtual .build-deps gcc musl-dev && gcc -o /a a.c && apk del .build-deps\n",
        &[],
    ),
    (
        "mounted",
        "FROM golang:1.24 AS b\nRUN go build -o /x .\nFROM alpine\nRUN --mount=from=b,source=/x,target=/mnt/x cp /mnt/x /usr/bin/x\n",
        &[],
    ),
    (
        "npm-production",
        "FROM node:22-slim\nWORKDIR /app\nCOPY package*.json ./\nRUN npm ci --omit=dev\nCOPY . .\nCMD [\"node\",\"server.js\"]\n",
        &[],
    ),
    (
        "poetry-beside-copied-packages",
        "FROM python:3.12-slim AS b\nRUN pip install --upgrade pip poetry && apt-get install -y gcc\nWORKDIR /app\nRUN poetry install --only main\nFROM python:3.12-slim\nCOPY --from=b /app/.venv /app/.venv\n",
        &[],
    ),
    (
        "pip-up-to-date",
        "FROM python:3.12-slim AS b\nRUN pip install --upgrade pip wheel && pip install flask\nFROM python:3.12-slim\nCOPY --from=b /usr/local/lib/python3.12/site-packages /usr/local/lib/python3.12/site-packages\n",
        &[],
    ),
    (
        "pnpm-beside-copied-modules",
        "FROM node:22-slim AS b\nWORKDIR /app\nRUN npm install -g pnpm typescript\nRUN pnpm install --prod\nFROM node:22-slim\nCOPY --from=b /app/node_modules /app/node_modules\n",
        &[],
    ),
    (
        "npm-pruned",
        "FROM node:22-slim AS b\nWORKDIR /app\nRUN npm ci && npm run build && npm prune --omit=dev\nFROM node:22-slim\nCOPY --from=b /app/node_modules /app/node_modules\nCOPY --from=b /app/dist /app/dist\n",
        &[],
    ),
    (
        "phases-by-argument",
        "FROM debian:12-slim\nARG WITH_TOOLS=no\nRUN if [ \"$WITH_TOOLS\" = yes ]; then apt-get install -y gcc; else echo lean; fi\n",
        &[],
    ),
    (
        "list-by-argument",
        "FROM debian:12-slim\nARG DEBUG=\nRUN [ -z \"$DEBUG\" ] || apt-get install -y gdb gcc\n",
        &[],
    ),
    ("lower-case", "from golang as build\nrun go build -o /x\nfrom scratch\ncopy --from=build /x /x\n", &[]),
    ("numbered", "FROM golang:1.24\nRUN go build -o /x\nFROM alpine\nCOPY --from=0 /x /usr/bin/x\n", &[]),
    ("pinned", "FROM python:3.12-slim@sha256:5b0a1b0a\nCOPY app.py /\nCMD [\"python\",\"/app.py\"]\n", &[]),
    (
        "target-os-and-variant",
        "FROM alpine AS base-linux\nRUN apk add curl\nFROM mcr.microsoft.com/windows/nanoserver:ltsc2022 AS base-windows\nFROM base-${TARGETOS}\nCOPY app /\n",
        &[],
    ),
    (
        "lean-on-each-platform",
        "FROM alpine:3.21 AS base-amd64\nFROM arm64v8/alpine:3.21 AS base-arm64\nFROM base-${TARGETARCH}\nCOPY app /\n",
        &[],
    ),
    (
        "named-package",
        "FROM python:3.12-slim\nRUN pip install --no-cache-dir gunicorn==23.0.0 flask\nCOPY . .\n",
        &[],
    ),
    // What only the image tells.
    (
        "pip-list",
        "FROM python:3.12-slim\nCOPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\n",
        &["pip install", "what a file lists"],
    ),
    (
        "usr-local",
        "FROM python:3.11-slim AS builder\nWORKDIR /app\nRUN pip install -r requirements.txt\nFROM python:3.11-slim\nCOPY --from=builder /usr/local /usr/local\nCOPY ./app .\n",
        &["COPY --from=builder /usr/local", "a whole directory tree"],
    ),
    (
        "builds-in-copied-directory",
        "FROM node:22-slim AS builder\nWORKDIR /app\nRUN npm install && npm run build\nFROM node:22-slim\nWORKDIR /app\nCOPY --from=builder /app ./\n",
        &["COPY --from=builder /app", "its build directory"],
    ),
    (
        "poetry-in-copied-packages",
        "FROM python:3.11-slim AS builder\nRUN pip install poetry\nCOPY pyproject.toml poetry.lock ./\nRUN poetry install --no-dev\nFROM python:3.11-slim\nCOPY --from=builder /usr/local/lib/python3.11/site-packages /usr/local/lib/python3.11/site-packages\n",
        &["COPY --from=builder /usr/local/lib/python3.11/site-packages", "line 2 installs poetry there"],
    ),
    (
        "pipenv-of-a-user",
        "FROM python:3.12-slim AS b\nRUN pip install --user pipenv flask\nFROM python:3.12-slim\nCOPY --from=b /root/.local /root/.local\n",
        &["line 2 installs pipenv there"],
    ),
    (
        "poetry-in-copied-prefix",
        "FROM python:3.12-slim AS b\nRUN pip install --prefix=/install poetry flask\nFROM python:3.12-slim\nCOPY --from=b /install /usr/local\n",
        &["COPY --from=b /install", "line 2 installs poetry there"],
    ),
    (
        "typescript-in-copied-modules",
        "FROM node:22-slim AS b\nRUN npm install -g typescript\nFROM node:22-slim\nCOPY --from=b /usr/local/lib/node_modules /usr/local/lib/node_modules\n",
        &["line 2 installs typescript there"],
    ),
    (
        "pruned-too-late",
        "FROM node:22-slim AS b\nWORKDIR /app\nRUN npm ci\nFROM node:22-slim\nCOPY --from=b /app/node_modules /app/node_modules\nRUN npm prune --omit=dev\n",
        &["/app/node_modules", "perhaps including development ones"],
    ),
    (
        "cuda-on-one-platform",
        "ARG TARGETARCH\nFROM python:3.11-slim AS base-amd64\nFROM nvidia/cuda:12.8.1-devel-ubuntu22.04 AS base-arm64\nFROM base-${TARGETARCH} AS base\nWORKDIR /app\nCOPY . .\n",
        &["FROM nvidia/cuda:12.8.1-devel-ubuntu22.04", "compilers"],
    ),
    (
        "platform-and-variant",
        "ARG TARGETARCH\nARG TARGETVARIANT\nFROM python:3.12-slim-bookworm AS base-amd64\nFROM python:3.12-slim-bookworm AS base-armv7\nFROM base-${TARGETARCH}${TARGETVARIANT}\nRUN apt-get update && apt-get install -y gcc make\n",
        &["apt-get install gcc make"],
    ),
    (
        "chosen-by-argument",
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app /\n",
        &["FROM ${BASE_IMAGE}", "known only to the build"],
    ),
    (
        "named-context",
        "FROM app-base AS base\nCOPY --from=assets /public /srv\nCMD [\"/srv/run\"]\n",
        &["FROM app-base"],
    ),
    (
        "named-context-whole",
        "FROM alpine\nCOPY --from=runner / /opt/runner\n",
        &["COPY --from=runner /", "a whole directory tree"],
    ),
    (
        "named-context-file",
        "FROM alpine\nCOPY --from=build /out/app /usr/bin/app\n",
        &["COPY --from=build /out/app (a named build context, or an unknown image)"],
    ),
    ("image-without-tag", "FROM alpine\nCOPY --from=busybox /bin/wget /usr/bin/wget\n", &[]),
    (
        "devcontainer",
        "FROM mcr.microsoft.com/devcontainers/base:ubuntu\nRUN apt-get update && apt-get install -y build-essential\n",
        &[],
    ),
    (
        "ci-runner",
        "FROM ghcr.io/actions/actions-runner:2.321.0\nUSER root\nRUN apt-get update && apt-get install -y make gcc\n",
        &[],
    ),
    (
        "curl-shell",
        "FROM debian:12-slim\nRUN apt-get update && apt-get install -y curl && curl -fsSL https://get.acme.dev | sh\n",
        &["sh (the Dockerfile does not show what it does)"],
    ),
    (
        "script-of-context",
        "FROM debian:12-slim\nCOPY install.sh /tmp/\nRUN /tmp/install.sh && rm /tmp/install.sh\n",
        &["/tmp/install.sh"],
    ),
    (
        "elixir-release",
        "FROM elixir:1.17-alpine\nRUN mix deps.get && mix release\nCMD [\"bin/app\",\"start\"]\n",
        &["Erlang or Elixir", "mix release"],
    ),
    (
        "dart",
        "FROM dart:stable\nRUN dart compile exe bin/server.dart -o /server\nCMD [\"/server\"]\n",
        &["the Dart SDK"],
    ),
    (
        "corretto",
        "FROM amazoncorretto:21\nCOPY app.jar /\nCMD [\"java\",\"-jar\",\"/app.jar\"]\n",
        &["a JDK"],
    ),
    (
        "s2i",
        "FROM registry.access.redhat.com/ubi9/python-312\nCOPY . .\nRUN pip install .\n",
        &["source-to-image"],
    ),
    (
        "ubi-minimal",
        "FROM registry.access.redhat.com/ubi9/ubi-minimal\nRUN microdnf install -y openssl && microdnf clean all\nCOPY app /\n",
        &[],
    ),
    (
        "heredoc",
        "FROM debian:12-slim\nRUN <<EOF\nset -e\napt-get update\napt-get install -y gcc\nEOF\n",
        &["apt-get install gcc"],
    ),
    (
        "heredoc-with-space",
        "FROM debian:12-slim\nRUN cat << EOF > /etc/app.conf\nFROM here\nmake = yes\nEOF\nCOPY app /\n",
        &[],
    ),
    (
        "heredoc-inside",
        "FROM debian:12-slim\nRUN <<EOF\ncat << 'CONF' > /etc/app.conf\napt-get install gcc\nCONF\necho done\nEOF\n",
        &[],
    ),
    ("shift-is-no-document", "FROM debian:12-slim\nRUN echo $((1 << 4)) > /n\nCOPY app /\n", &[]),
    ("rootfs", "FROM scratch\nADD rootfs.tar.xz /\nCMD [\"/bin/sh\"]\n", &["ADD rootfs.tar.xz"]),
    (
        "uv-copied",
        "FROM python:3.13-slim\nCOPY --from=ghcr.io/astral-sh/uv:0.5 /uv /bin/uv\nWORKDIR /app\nRUN uv sync --frozen --no-dev\nCMD [\"uv\",\"run\",\"app\"]\n",
        &["COPY --from=ghcr.io/astral-sh/uv:0.5 /uv (uv)"],
    ),
    (
        "uv-mounted",
        "FROM python:3.13-slim\nWORKDIR /app\nRUN --mount=from=ghcr.io/astral-sh/uv,source=/uv,target=/bin/uv uv sync --frozen --no-dev\nCMD [\".venv/bin/app\"]\n",
        &[],
    ),
    (
        "rust-copied-home",
        "FROM rust:1.83 AS b\nFROM debian:12\nCOPY --from=b /usr/local/cargo /usr/local/cargo\n",
        &["the Rust toolchain"],
    ),
    (
        "bundle-with-groups",
        "FROM ruby:3.3-slim\nRUN apt-get update && apt-get install -y build-essential libpq-dev\nRUN bundle install\nCMD [\"bin/rails\",\"s\"]\n",
        &["apt-get install build-essential libpq-dev", "bundle install"],
    ),
    ("conda", "FROM continuumio/miniconda3\nRUN conda env create -f environment.yml\n", &["conda"]),
    (
        "onbuild",
        "FROM golang:1.24 AS base\nONBUILD RUN go build -o /x .\nFROM base\nCMD [\"/x\"]\n",
        &["the Go toolchain", "go build"],
    ),
    (
        "standalone-site",
        "FROM node:20-alpine AS base\nFROM base AS deps\nRUN apk add --no-cache libc6-compat\nWORKDIR /app\nRUN if [ -f yarn.lock ]; then yarn --frozen-lockfile; else npm ci; fi\nFROM base AS builder\nWORKDIR /app\nCOPY --from=deps /app/node_modules ./node_modules\nRUN npm run build\nFROM base\nWORKDIR /app\nCOPY --from=builder /app/.next/standalone ./\nCMD [\"node\", \"server.js\"]\n",
        &[],
    ),
    (
        "deployed-workspace",
        "FROM node:20-alpine AS base\nRUN corepack enable\nFROM base AS build\nWORKDIR /src\nRUN pnpm install --frozen-lockfile && pnpm run -r build && pnpm deploy --filter=app --prod /prod/app\nFROM base\nCOPY --from=build /prod/app /prod/app\nCMD [\"pnpm\", \"start\"]\n",
        &[],
    ),
    (
        "bundle-and-code",
        "ARG RUBY_VERSION=3.3\nFROM ruby:$RUBY_VERSION-slim AS base\nENV BUNDLE_PATH=/usr/local/bundle BUNDLE_WITHOUT=development\nFROM base AS build\nWORKDIR /rails\nRUN apt-get update && apt-get install -y build-essential libpq-dev\nRUN bundle install && bundle exec bootsnap precompile --gemfile\nFROM base\nCOPY --from=build \"${BUNDLE_PATH}\" \"${BUNDLE_PATH}\"\nCOPY --from=build /rails /rails\n",
        &["COPY --from=build /usr/local/bundle", "COPY --from=build /rails"],
    ),
    (
        "extensions-and-headers",
        "FROM php:8.3-fpm-alpine\nRUN apk add --no-cache $PHPIZE_DEPS icu-dev \\\n && docker-php-ext-install intl \\\n && apk del $PHPIZE_DEPS\nCMD [\"php-fpm\"]\n",
        &["apk add icu-dev"],
    ),
    (
        "gradle-starts",
        "FROM gradle:8-jdk21\nWORKDIR /app\nCOPY . .\nRUN gradle build --no-daemon\nENTRYPOINT [\"gradle\", \"run\"]\n",
        &["FROM gradle:8-jdk21", "gradle build"],
    ),
    (
        "documentation-server",
        "FROM python:3.12-alpine\nRUN pip install --no-cache-dir mkdocs-material\nENTRYPOINT [\"mkdocs\"]\nCMD [\"serve\"]\n",
        &["pip install mkdocs-material"],
    ),
    ("cross-sdk", "FROM emscripten/emsdk:3.1.61\nRUN emcc a.c -o a.js\n", &[]),
];

/// What is meant to contain tools, and so is told to be left out.
const MEANT: [&str; 3] = ["devcontainer", "ci-runner", "cross-sdk"];

/// All that is said of the Dockerfiles below a directory, by path.
fn said(directory: &std::path::Path) -> (BTreeMap<String, Value>, Value) {
    let mut command = layergate();
    let run = Run::of(command.current_dir(directory).args(["stages", "--format", "json"]));
    let document = run.expect(0).json();
    let entries = document["dockerfiles"].as_array().unwrap().iter();
    let by_path = entries.map(|entry| (entry["path"].as_str().unwrap().to_owned(), entry.clone()));
    (by_path.collect(), document.clone())
}

#[track_caller]
fn check(name: &str, entry: &Value, asked: Option<&[&str]>) {
    let by_text = &entry["by_text"];
    assert_eq!(entry["evaluated"], Value::Null, "{name}: text evaluates nothing");
    let verdict = if asked.is_some() { "unknown" } else { "pass" };
    assert_eq!(by_text["verdict"], verdict, "{name}: {by_text:#}");
    let questions = by_text["questions"].as_array().unwrap();
    let texts: Vec<&str> = questions.iter().map(|one| one["text"].as_str().unwrap()).collect();
    for part in asked.unwrap_or_default() {
        assert!(texts.iter().any(|text| text.contains(part)), "{name}: {part}: {texts:?}");
    }
    // Text alone advises nothing that could break a program.
    let help = by_text["help"].as_str().unwrap();
    for advice in ["move ", "build the final stage", "remove", "delete"] {
        assert!(!help.contains(advice), "{name}: {help}");
    }
}

#[test]
fn shapes_that_people_write() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text, _) in SHAPES {
        fs::create_dir(directory.path().join(name)).unwrap();
        fs::write(directory.path().join(name).join("Dockerfile"), text).unwrap();
    }
    let (entries, document) = said(directory.path());
    assert_eq!(document["totals"]["failing"], 0);
    assert_eq!(document["totals"]["unreadable"], 0, "{document:#}");
    assert_eq!(entries.len(), SHAPES.len());
    let mut table = String::new();
    for (name, _, asked) in SHAPES {
        let entry = &entries[&format!("{name}/Dockerfile")];
        let is_meant = MEANT.contains(name);
        check(name, entry, (is_meant || !asked.is_empty()).then_some(asked));
        let help = entry["by_text"]["help"].as_str().unwrap();
        assert_eq!(help.contains("meant to contain tools: set multi-stage"), is_meant, "{name}: {help}");
        let verdict = entry["by_text"]["verdict"].as_str().unwrap();
        table += &format!("{name}: {verdict}: {}\n", entry["by_text"]["reason"].as_str().unwrap());
    }
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), table.as_bytes());
}

#[test]
fn cases_that_were_wrong_once() {
    let directory = fixture("stages");
    let (entries, document) = said(std::path::Path::new(&directory));
    let asked: &[(&str, &[&str])] = &[
        ("09composercopy", &["COPY --from=composer:2 /usr/bin/composer", "Composer"]),
        ("14copygo", &["COPY --from=golang:1.24 /usr/local/go", "the Go toolchain"]),
        ("15copyall", &["COPY --from=b / (a whole directory tree)"]),
        ("chain", &["pip install (what a file lists)"]),
        ("jdk", &["openjdk-21-jdk-headless"]),
        ("mkdocs", &["mkdocs build"]),
        ("phpdebian", &["FROM php:8.4-apache"]),
        ("phpext", &["install-php-extensions"]),
        ("pnpmcmd", &["npm install pnpm"]),
        ("targetarch-pass", &["apk add gcc musl-dev"]),
        ("uvbase", &["FROM ghcr.io/astral-sh/uv:python3.12-bookworm-slim (brings uv)"]),
    ];
    for (name, asked) in asked {
        check(name, &entries[&format!("{name}/Dockerfile")], Some(asked));
    }
    for name in ["nvmnone", "dotnettool", "targetos"] {
        check(name, &entries[&format!("{name}/Dockerfile")], None);
    }
    let chain = entries["chain/Dockerfile"]["by_text"]["reason"].as_str().unwrap();
    assert!(chain.contains("all of them ship"), "{chain}");
    let target = entries["targetos/Dockerfile"]["by_text"]["reason"].as_str().unwrap();
    assert!(target.starts_with("4 stages, and"), "{target}");

    let names =
        ["Dockerfile-alpine", "Dockerfile_gpu", "alpine.Containerfile", "api.dockerfile", "dockerfile"];
    let found: Vec<&str> = entries.keys().filter_map(|path| path.strip_prefix("names/")).collect();
    assert_eq!(found, names);
    let templates: Vec<&str> =
        document["templates"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(templates.len(), 5, "{templates:?}");
    assert!(!entries.keys().any(|path| path.starts_with("templates/")), "none of them is evaluated");
}

/// A Dockerfile with named contexts, what they stand for, and what is asked; nothing is asked of one that passes.
const CONTEXTS: &[Shape] = &[
    ("FROM base\nCOPY app /\n", "", &["FROM base (a named build context"]),
    ("FROM base\nCOPY app /\n", "base=docker-image://alpine:3.21", &[]),
    ("FROM base\nCOPY app /\n", "base=docker-image://golang:1.24", &["FROM golang:1.24", "the Go toolchain"]),
    ("FROM base\nCOPY app /\n", "base=target:base", &["FROM base (an image known only to the build)"]),
    ("FROM base\nCOPY app /\n", "base=./base", &["FROM base (an image known only to the build)"]),
    ("FROM golang:1.24\nCOPY app /\n", "docker.io/library/golang:1.24=docker-image://alpine", &[]),
    ("FROM golang AS base\nRUN go build -o /x\nFROM base\nCOPY app /\n", "base=docker-image://alpine", &[]),
    ("FROM alpine\nCOPY --from=tools /x /x\n", "tools=docker-image://ghcr.io/astral-sh/uv:0.5", &["(uv)"]),
    ("FROM alpine\nCOPY --from=tools /x /x\n", "tools=target:tools", &["(a named build context"]),
];

#[test]
fn named_contexts_are_followed_where_they_are_defined() {
    for (text, context, asked) in CONTEXTS {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("Dockerfile"), text).unwrap();
        let entry = |arguments: &[&str]| {
            let mut command = layergate();
            command.current_dir(directory.path()).args(["stages", "--format", "json"]).args(arguments);
            Run::of(&mut command).expect(0).json()["dockerfiles"][0].clone()
        };
        let flags = if context.is_empty() { vec![] } else { vec!["--build-context", context] };
        let by_flag = entry(&flags);
        check(text, &by_flag, Some(*asked).filter(|asked| !asked.is_empty()));
        if context.is_empty() {
            continue;
        }
        let config = format!("[images.app]\ndockerfile = \"Dockerfile\"\nbuild-contexts = [\"{context}\"]\n");
        fs::write(directory.path().join("layergate.toml"), config).unwrap();
        assert_eq!(entry(&[]), by_flag, "{context}");
    }
}

#[test]
fn files_that_define_contexts_are_named_where_one_may_be_needed() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("Dockerfile", "FROM app-base\nCOPY app /\n");
    write("docker-bake.hcl", "target \"app\" {\n  contexts = {\n    app-base = \"target:base\"\n  }\n}\n");
    write("compose.yaml", "services:\n  app:\n    build: .\n");
    write(
        "docker-compose.prod.yml",
        "services:\n  app:\n    build:\n      context: .\n      additional_contexts:\n        - app-base=./base\n",
    );
    let (_, document) = said(directory.path());
    assert_eq!(
        document["named_contexts"],
        serde_json::json!(["docker-bake.hcl:2", "docker-compose.prod.yml:5"])
    );
    for format in ["text", "markdown"] {
        let mut command = layergate();
        command.current_dir(directory.path()).args(["stages", "--format", format]);
        let told = Run::of(&mut command).expect(0).stdout;
        let words =
            "Not followed: the named contexts of docker-bake.hcl:2, docker-compose.prod.yml:5. Define";
        assert!(told.contains(words), "{told}");
    }

    // One that needs none is told of none.
    write("Dockerfile", "FROM alpine\nCOPY app /\n");
    let (_, document) = said(directory.path());
    assert_eq!(document["named_contexts"], serde_json::json!([]));
}

#[test]
fn templates_are_told_by_their_text_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("Dockerfile", "FROM alpine\nRUN docker inspect --format '{{.State}}' x\n");
    write("Dockerfile.web", "FROM {{ base }}\nCMD [\"/x\"]\n");
    write("Dockerfile.api", "{% if gpu %}\nFROM nvidia/cuda\n{% endif %}\n");
    write("Dockerfile.job", "FROM %%BASE%%\n");
    let (entries, document) = said(directory.path());
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["Dockerfile"]);
    let mut templates: Vec<&str> =
        document["templates"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    templates.sort_unstable();
    assert_eq!(templates, ["Dockerfile.api", "Dockerfile.job", "Dockerfile.web"]);

    // Where nothing else is there, the message says what to do.
    fs::remove_file(directory.path().join("Dockerfile")).unwrap();
    let mut command = layergate();
    let run = Run::of(command.current_dir(directory.path()).arg("stages")).expect(2);
    assert!(run.stderr.contains("is a template: render it"), "{}", run.stderr);
}
