//! Slimmer variants of images, by the tags that publishers use for them.
//!
//! The tags are those of the official images (docker-library/official-images), of .NET
//! (dotnet/dotnet-docker), of CUDA (nvidia/cuda) and of distroless (GoogleContainerTools/distroless).

use crate::image::ImageName;

/// Words of a tag that tell how much an image holds; a higher number means less.
const FLAVOURS: &[(&str, i32)] = &[
    ("slim", 20),
    ("alpine", 30),
    ("alpine3", 30),
    ("jdk", 0),
    ("full", 0),
    ("jre", 10),
    ("headless", 10),
    ("headful", 5),
    ("devel", 0),
    ("runtime", 10),
    ("base", 20),
    ("dev", -10),
    ("debug", -10),
];

/// Distribution releases in tags: they name what an image builds on, not its version.
const RELEASES: &[&str] = &[
    "stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "sid", "xenial", "bionic", "focal",
    "jammy", "noble",
];

/// Releases that are followed by a number.
const NUMBERED_RELEASES: &[&str] =
    &["alpine3", "ubuntu", "debian", "rockylinux", "centos", "ubi", "al2", "azurelinux", "mariner"];

/// The repositories of .NET, each with less than the one before.
const DOTNET: &[&str] = &["sdk", "aspnet", "runtime", "runtime-deps"];

/// A reference, split into its parts.
#[derive(Debug, Clone, Copy)]
struct Reference<'a> {
    /// Without the registry, and without the prefix of a mirror of official images.
    repository: &'a str,
    tag: &'a str,
    /// Everything before the tag, as written.
    before_tag: &'a str,
    host: &'a str,
}

impl<'a> Reference<'a> {
    /// `None` for a reference by digest, which does not tell what it is, and for an invalid reference.
    fn read(reference: &'a str) -> Option<Reference<'a>> {
        if reference.is_empty() || reference.contains(['@', '$', ' ']) {
            return None;
        }
        let name = ImageName::parse(reference);
        let (host, before_tag, tag) = (name.host(), name.repository, name.tag.unwrap_or_default());
        let path = if host.is_empty() { before_tag } else { &before_tag[host.len() + 1..] };
        let repository = path.rsplit_once("library/").map_or(path, |(_, name)| name);
        Some(Reference { repository, tag, before_tag, host })
    }

    /// Whether the reference is on Docker Hub, or on a public copy of its official images.
    fn is_on_hub(&self) -> bool {
        matches!(self.host, "" | "docker.io" | "index.docker.io" | "registry-1.docker.io")
            || self.before_tag.starts_with("public.ecr.aws/docker/library/")
            || self.before_tag.starts_with("mirror.gcr.io/library/")
    }
}

/// The parts of a tag.
struct Tag<'a> {
    /// The words that are neither flavour nor release: first the version.
    rest: Vec<&'a str>,
    release: Option<&'a str>,
    less: i32,
}

impl<'a> Tag<'a> {
    fn read(tag: &'a str) -> Tag<'a> {
        let mut read = Tag { rest: Vec::new(), release: None, less: 0 };
        for word in tag.split(['-', '_']).filter(|word| !word.is_empty() && *word != "latest") {
            let plain = word.split('.').next().unwrap_or(word);
            if let Some((_, less)) = FLAVOURS.iter().find(|(flavour, _)| *flavour == plain) {
                read.less += less;
            } else if is_release(word) {
                read.release = Some(word);
            } else {
                read.rest.push(word);
            }
        }
        // For a distribution's own image, the release is the version.
        if read.rest.is_empty() {
            read.rest.extend(read.release);
        }
        read
    }

    /// `3` matches `3.12`, and an absent part matches everything.
    fn goes_with(&self, other: &Tag<'_>) -> bool {
        let (Some((own, rest)), Some((others, others_rest))) =
            (self.rest.split_first(), other.rest.split_first())
        else {
            return self.rest.len() <= 1 && other.rest.len() <= 1;
        };
        let begins = |long: &str, short: &str| {
            long.strip_prefix(short).is_some_and(|more| more.is_empty() || more.starts_with('.'))
        };
        (begins(own, others) || begins(others, own)) && rest == others_rest
    }
}

fn is_release(word: &str) -> bool {
    let numbered = |name: &&str| {
        let rest = word.strip_prefix(*name);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    RELEASES.contains(&word) || NUMBERED_RELEASES.iter().any(numbered)
}

/// The index of a .NET repository in `DOTNET`, and the path before it.
fn dotnet(repository: &str) -> Option<(&str, usize)> {
    let (path, name) = repository.rsplit_once('/')?;
    let place = DOTNET.iter().position(|known| *known == name)?;
    path.starts_with("dotnet").then_some((path, place))
}

/// Whether an image is a slimmer variant of another: `python:3-slim` of `python:3`, `eclipse-temurin:17-jre` of
/// `17-jdk`, `dotnet/aspnet` of `dotnet/sdk`. Registries, the paths of mirrors and the release of the distribution may
/// differ; the version may not.
pub fn is_slimmer(image: &str, than: &str) -> bool {
    let (Some(image), Some(than)) = (Reference::read(image), Reference::read(than)) else { return false };
    let (tag, than_tag) = (Tag::read(image.tag), Tag::read(than.tag));
    if let (Some((path, place)), Some((than_path, than_place))) =
        (dotnet(image.repository), dotnet(than.repository))
    {
        let less = (place, tag.less) != (than_place, than_tag.less)
            && place >= than_place
            && tag.less >= than_tag.less;
        return path == than_path && less && versions_meet(&tag, &than_tag);
    }
    image.repository == than.repository && tag.less > than_tag.less && tag.goes_with(&than_tag)
}

/// An SDK's version equals its runtime's only in the first two numbers.
fn versions_meet(tag: &Tag<'_>, other: &Tag<'_>) -> bool {
    let version = |tag: &Tag<'_>| -> Option<String> {
        Some(tag.rest.first()?.split('.').take(2).collect::<Vec<_>>().join("."))
    };
    match (version(tag), version(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// The usual slimmer variant of a well-known image, if its publisher's naming convention has that tag. `None` for
/// images that are already slim or pinned by digest, and if there is nothing to propose: the images of compilers
/// (`golang`, `rust`, `gcc`) are for building, `php` and `ubuntu` are slim by default, and an `alpine` tag changes the
/// C library under a program.
pub fn slimmer_of(reference: &str) -> Option<String> {
    let read = Reference::read(reference)?;
    let words: Vec<&str> = read.tag.split('-').filter(|word| !word.is_empty() && *word != "latest").collect();
    let tag = if read.is_on_hub() {
        match read.repository {
            "python" | "ruby" | "perl" => slim_before_release(&words),
            "node" => slim_at_the_end(&words, "slim"),
            "debian" => slim_at_the_end(&words, "stable-slim"),
            "openjdk" => openjdk(&words),
            "eclipse-temurin" => temurin(&words),
            "amazoncorretto" => corretto(&words),
            "nvidia/cuda" | "pytorch/pytorch" => with(&words, "devel", "runtime"),
            _ => None,
        }
    } else {
        match read.host {
            "mcr.microsoft.com" => return dotnet_runtime(reference, &words),
            "nvcr.io" if read.repository == "nvidia/cuda" => with(&words, "devel", "runtime"),
            "gcr.io" if read.repository.starts_with("distroless/") => without_debug(&words),
            _ => None,
        }
    };
    tag.map(|tag| format!("{}:{tag}", read.before_tag))
}

/// A version, `lts`, or nothing, optionally `rc`, and optionally a release of Debian: the tags that have a slim
/// variant.
fn version_and_release<'a>(words: &[&'a str]) -> Option<(Vec<&'a str>, Option<&'a str>)> {
    let (release, version) = match words.split_last() {
        Some((last, before)) if RELEASES.contains(last) => (Some(*last), before),
        _ => (None, words),
    };
    let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let is_known = match version {
        [] => true,
        [one] => is_version(one) || matches!(*one, "lts" | "current"),
        [one, "rc"] => is_version(one),
        _ => false,
    };
    is_known.then(|| (version.to_vec(), release))
}

/// `3.12-bookworm` -> `3.12-slim-bookworm`.
fn slim_before_release(words: &[&str]) -> Option<String> {
    let (mut tag, release) = version_and_release(words)?;
    tag.push("slim");
    tag.extend(release);
    Some(tag.join("-"))
}

/// `20-bookworm` -> `20-bookworm-slim`.
fn slim_at_the_end(words: &[&str], without_version: &str) -> Option<String> {
    if words.is_empty() {
        return Some(without_version.to_owned());
    }
    let is_release = matches!(words, ["stable" | "testing" | "unstable" | "oldstable"]);
    if !is_release {
        version_and_release(words)?;
    }
    Some(format!("{}-slim", words.join("-")))
}

/// Replaces one word by another, if it is present.
fn with(words: &[&str], from: &str, to: &str) -> Option<String> {
    let tag: Vec<&str> = words.iter().map(|word| if *word == from { to } else { *word }).collect();
    words.contains(&from).then(|| tag.join("-"))
}

/// Versions 8 and 11 have a `jre`; later ones only `slim`.
fn openjdk(words: &[&str]) -> Option<String> {
    let (version, rest) = words.split_first()?;
    let (jdk, release) = match rest {
        [] => (false, None),
        ["jdk"] => (true, None),
        [release] if RELEASES.contains(release) => (false, Some(*release)),
        ["jdk", release] if RELEASES.contains(release) => (true, Some(*release)),
        _ => return None,
    };
    let number: u32 = version.split(['.', 'u']).next()?.parse().ok()?;
    let mut tag = vec![*version];
    match number {
        8 | 11 => tag.push("jre"),
        _ if jdk => tag.extend(["jdk", "slim"]),
        _ => tag.push("slim"),
    }
    tag.extend(release);
    Some(tag.join("-"))
}

/// Each `jdk` has a `jre`, and a tag without either is the `jdk`. Version 16 has no `jre`.
fn temurin(words: &[&str]) -> Option<String> {
    let (version, rest) = words.split_first()?;
    let number: u32 = version.split(['.', 'u']).next()?.parse().ok()?;
    if number == 16 || rest.contains(&"jre") {
        return None;
    }
    if words.contains(&"jdk") {
        return with(words, "jdk", "jre");
    }
    // Full versions are only tagged with `jdk`.
    let is_short = version.bytes().all(|b| b.is_ascii_digit());
    let tag: Vec<&str> = [*version, "jre"].into_iter().chain(rest.iter().copied()).collect();
    is_short.then(|| tag.join("-"))
}

/// Amazon Linux 2023 has headless images, and Alpine a `jre` of version 8.
fn corretto(words: &[&str]) -> Option<String> {
    match words {
        [version, "al2023"] | [version, "al2023", "jdk"] => Some(format!("{version}-al2023-headless")),
        ["8", "alpine"] | ["8", "alpine", "jdk" | "full"] => Some("8-alpine-jre".to_owned()),
        _ => None,
    }
}

/// `sdk:8.0-jammy` -> `aspnet:8.0-jammy`. A full version of the SDK is not one of the runtime.
fn dotnet_runtime(reference: &str, words: &[&str]) -> Option<String> {
    let read = Reference::read(reference)?;
    dotnet(read.repository).filter(|(_, place)| *place == 0)?;
    let is_short = words.first().is_none_or(|version| version.split('.').count() == 2);
    let before = read.before_tag.strip_suffix("sdk")?;
    let colon = if read.tag.is_empty() { "" } else { ":" };
    is_short.then(|| format!("{before}aspnet{colon}{}", read.tag))
}

fn without_debug(words: &[&str]) -> Option<String> {
    match words {
        ["debug"] => Some("latest".to_owned()),
        ["debug", "nonroot"] => Some("nonroot".to_owned()),
        _ => None,
    }
}
