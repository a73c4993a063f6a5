//! Which image the final stage builds on, if nobody has chosen one.

use crate::dockerfile::{StageBase, slimmer_of};
use crate::image::package::Installed;
use crate::image::{Ecosystem, ImageName, Snapshot};
use crate::tools::tools;

/// The usual image for the final stage instead of the build's own: the slim variant, the runtime for a build tool, or
/// the plain distribution that a toolchain image is built on. `snapshot` is the built image, and tells which
/// distribution that is. `None` if there is nothing better.
pub fn usual_final_base(base: &StageBase, snapshot: &Snapshot) -> Option<String> {
    let StageBase::Image(name) = base else { return None };
    slimmer_of(name).or_else(|| java_runtime(name)).or_else(|| {
        let (repository, _) = split(name);
        // What they build needs only the distribution's C library.
        let is_plain = tools().image.iter().any(|image| image.plain.iter().any(|name| name == repository));
        if is_plain { distribution(snapshot) } else { None }
    })
}

/// Repository and tag of a Docker Hub image. A digest does not tell what it is.
fn split(name: &str) -> (&str, &str) {
    let name = ImageName::parse(name);
    if name.digest.is_some() { ("", "") } else { (name.short(), name.tag.unwrap_or("latest")) }
}

/// The Eclipse Temurin runtime for `maven:3-eclipse-temurin-17` and `gradle:8-jdk17`.
fn java_runtime(name: &str) -> Option<String> {
    let (repository, tag) = split(name);
    let words: Vec<&str> = tag.split('-').collect();
    let version = match repository {
        "maven" => {
            let at = words.windows(2).position(|pair| pair == ["eclipse", "temurin"])?;
            words.get(at + 2).copied()?
        }
        "gradle" => words.iter().find_map(|word| word.strip_prefix("jdk"))?,
        _ => return None,
    };
    let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    let release = words.last().filter(|word| matches!(**word, "alpine" | "jammy" | "noble" | "focal"));
    let release = release.map(|release| format!("-{release}")).unwrap_or_default();
    is_version.then(|| format!("eclipse-temurin:{version}-jre{release}"))
}

/// The plain image of the distribution that an image is based on.
fn distribution(snapshot: &Snapshot) -> Option<String> {
    let packages = snapshot.packages.as_deref()?;
    let version = |ecosystem: Ecosystem, names: &[&str]| {
        let is_it =
            |package: &&Installed| package.ecosystem == ecosystem && names.contains(&package.name.as_str());
        packages.iter().find(is_it).map(|package| package.version.as_str())
    };
    if let Some(version) = version(Ecosystem::Dpkg, &["base-files"]) {
        return debian_or_ubuntu(version).map(str::to_owned);
    }
    let alpine = version(Ecosystem::Apk, &["alpine-release", "alpine-base"])?;
    let mut numbers = alpine.split('.');
    let (major, minor) = (numbers.next()?, numbers.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| format!("alpine:{major}.{minor}"))
}

/// From the version of `base-files`, which has the release's own number, and a mark on Ubuntu.
fn debian_or_ubuntu(version: &str) -> Option<&'static str> {
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    let (number, rest) = version.split_at(digits);
    match (number, rest.contains("ubuntu")) {
        ("11", false) => Some("debian:bullseye-slim"),
        ("12", false) => Some("debian:bookworm-slim"),
        ("13", false) => Some("debian:trixie-slim"),
        ("11", true) => Some("ubuntu:20.04"),
        ("12", true) => Some("ubuntu:22.04"),
        ("13", true) => Some("ubuntu:24.04"),
        _ => None,
    }
}

/// Whether two images have the same release of one distribution, judging by their packages; `None` if one of them does
/// not tell.
pub(super) fn same_distribution(one: &Snapshot, other: &Snapshot) -> Option<bool> {
    Some(distribution(one)? == distribution(other)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dockerfile::known_image;
    use crate::image::{Bytes, Entry, FileList, Filesystem, Layer, Package, Weight};
    use crate::packages::installed;
    use crate::removable::Catalogue;
    use crate::tools::ImageIs;

    #[test]
    fn an_image_of_a_compiler_is_answered_the_same_by_facts_catalogue_and_proposal() {
        let base_files = Package {
            ecosystem: Ecosystem::Dpkg,
            name: "base-files".into(),
            version: "12.4+deb12u5".into(),
            anchor: 0,
            files: vec![0],
            elsewhere: Vec::new(),
            inside: Bytes(0),
        };
        let files = FileList::of(vec![Entry::File("etc/debian_version".into(), Bytes(5))]);
        let layers = vec![Layer::made_up(0, FileList { packages: vec![base_files], ..files })];
        let packages = Filesystem::of_layers(&layers).as_ref().map(installed).map(Arc::from);
        let debian = Snapshot { packages, ..Snapshot::made_up(layers) };
        let compilers = [
            ("golang", "usr/local/go/bin/go"),
            ("rust", "usr/local/cargo/bin/rustc"),
            ("gcc", "usr/local/bin/gcc"),
            ("buildpack-deps", "usr/bin/gcc"),
        ];
        let plain: Vec<&String> = tools().image.iter().flat_map(|image| &image.plain).collect();
        assert!(compilers.iter().all(|(name, _)| plain.iter().any(|plain| plain == name)));
        for name in plain {
            let image = format!("{name}:1");
            assert_eq!(known_image(&image).map(|known| known.is), Some(ImageIs::Tools), "{image}");
            let runtime = usual_final_base(&StageBase::Image(image.clone()), &debian);
            assert_eq!(runtime.as_deref(), Some("debian:bookworm-slim"), "{image}");
        }
        // Not every image contains tools.
        for row in tools().image.iter().filter(|row| row.is == ImageIs::Lean) {
            let tag = row.tags.iter().find(|tag| !tag.starts_with('!')).map_or("1", String::as_str);
            for name in &row.names {
                let image = format!("{name}:{tag}").replace('*', "x");
                assert_eq!(known_image(&image).map(|known| known.is), Some(ImageIs::Lean), "{image}");
            }
        }
        for (image, path) in compilers {
            let kind = Catalogue::builtin().kind_of_path(path.as_bytes()).map(|kind| kind.weight);
            assert_eq!(kind, Some(Weight::Tool), "{image}: {path}");
        }
    }

    #[test]
    fn runtimes_of_build_tools_are_known() {
        let cases = [
            ("maven:3.9-eclipse-temurin-17", Some("eclipse-temurin:17-jre")),
            ("maven:3-eclipse-temurin-21-alpine", Some("eclipse-temurin:21-jre-alpine")),
            ("docker.io/library/gradle:8.5-jdk17-jammy", Some("eclipse-temurin:17-jre-jammy")),
            ("maven:3", None),
            ("gradle:8-jdk\n17", None),
            ("python:3", None),
        ];
        for (name, expected) in cases {
            assert_eq!(java_runtime(name).as_deref(), expected, "{name}");
        }
        assert_eq!(debian_or_ubuntu("12.4+deb12u5"), Some("debian:bookworm-slim"));
        assert_eq!(debian_or_ubuntu("13ubuntu10"), Some("ubuntu:24.04"));
        assert_eq!(debian_or_ubuntu("99"), None);
    }
}
