//! What well-known images contain, by name: the images of `tools.toml`.

use crate::image::ImageName;
use crate::tools::{KnownImage, fits, tools};

/// The hosts of Docker Hub and of public copies of its official images, with their prefixes.
const HUB: [&str; 8] = [
    "docker.io/library/",
    "docker.io/",
    "index.docker.io/library/",
    "index.docker.io/",
    "registry-1.docker.io/library/",
    "public.ecr.aws/docker/library/",
    "mirror.gcr.io/library/",
    "library/",
];

/// The prefixes of single-platform official images.
const PLATFORMS: [&str; 7] = ["amd64/", "arm64v8/", "arm32v7/", "arm32v6/", "i386/", "ppc64le/", "s390x/"];

/// What is known about an image, by its reference.
pub fn known_image(reference: &str) -> Option<&'static KnownImage> {
    let ImageName { repository, tag, digest } = ImageName::parse(reference);
    let tag = match tag.unwrap_or_default() {
        "" if digest.is_none() => "latest",
        tag => tag,
    };
    let name = HUB.iter().find_map(|host| repository.strip_prefix(host)).unwrap_or(repository);
    let name = PLATFORMS.iter().find_map(|platform| name.strip_prefix(platform)).unwrap_or(name);
    // A digest alone does not tell what it is.
    let has_tag = |row: &KnownImage| row.tags.is_empty() || !tag.is_empty() && fits_tag(row, tag);
    tools().image.iter().find(|row| row.names.iter().any(|pattern| fits(pattern, name)) && has_tag(row))
}

fn fits_tag(row: &KnownImage, tag: &str) -> bool {
    let (not, like): (Vec<&String>, Vec<&String>) =
        row.tags.iter().partition(|pattern| pattern.starts_with('!'));
    (like.is_empty() || like.iter().any(|pattern| fits(pattern, tag)))
        && !not.iter().any(|pattern| fits(&pattern[1..], tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::ImageIs;

    #[test]
    fn images_are_known_by_name_and_tag() {
        use ImageIs::{Lean, Tools, Workbench};
        for (reference, expected) in [
            ("golang:1.24", Some(Tools)),
            ("golang:1.24-alpine@sha256:abc", Some(Tools)),
            ("docker.io/library/golang", Some(Tools)),
            ("public.ecr.aws/docker/library/python:3.12", Some(Tools)),
            ("python:3.12-slim-bookworm", Some(Lean)),
            ("python@sha256:abc", None),
            ("node", Some(Tools)),
            ("node:22-alpine", Some(Lean)),
            ("php:8.4-apache", Some(Tools)),
            ("php:8.4-fpm-alpine", Some(Lean)),
            ("composer:2", Some(Tools)),
            ("elixir:1.17-otp-27-alpine", Some(Tools)),
            ("erlang:27", Some(Tools)),
            ("dart:stable", Some(Tools)),
            ("amazoncorretto:21", Some(Tools)),
            ("amazoncorretto:21-al2023-headless", Some(Lean)),
            ("ghcr.io/astral-sh/uv:python3.12-bookworm-slim", Some(Tools)),
            ("emscripten/emsdk:3.1.61", Some(Workbench)),
            ("mcr.microsoft.com/devcontainers/base:ubuntu", Some(Workbench)),
            ("ghcr.io/actions/actions-runner:2.321.0", Some(Workbench)),
            ("cimg/node:22.1", Some(Workbench)),
            ("registry.access.redhat.com/ubi9/ubi-minimal:9.4", Some(Lean)),
            ("registry.access.redhat.com/ubi9/python-312", Some(Tools)),
            ("registry.access.redhat.com/ubi9/nodejs-20-minimal:1", Some(Lean)),
            ("registry.access.redhat.com/ubi9/openjdk-21-runtime", Some(Lean)),
            ("registry.access.redhat.com/ubi9/openjdk-21", Some(Tools)),
            ("quay.io/sclorg/nodejs-20-c9s", Some(Tools)),
            ("eclipse-temurin:21-jre-alpine", Some(Lean)),
            ("eclipse-temurin:21", Some(Tools)),
            ("mcr.microsoft.com/dotnet/sdk:9.0", Some(Tools)),
            ("mcr.microsoft.com/dotnet/aspnet:9.0", Some(Lean)),
            ("gcr.io/distroless/static-debian12:nonroot", Some(Lean)),
            ("nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04", Some(Tools)),
            ("nvidia/cuda:12.4.1-runtime-ubuntu22.04", Some(Lean)),
            ("alpine", Some(Lean)),
            ("arm64v8/alpine:3.21", Some(Lean)),
            ("debian:trixie-slim", Some(Lean)),
            ("acme/base:1", None),
            ("registry.acme.dev/golang:1.24", None),
        ] {
            assert_eq!(known_image(reference).map(|row| row.is), expected, "{reference}");
        }
    }
}
