//! .NET packages, from what `dotnet publish` writes beside a program (.NET SDK documentation, "Runtime configuration
//! files", `deps.json`).

use super::sink::Sink;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::paths::join;
use super::{Ecosystem, Owns, word};
use crate::image::LayerPath;
use crate::image::package::Unread;
use crate::image::path::split;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DepsJson {
    #[serde(default)]
    runtime_target: Option<RuntimeTarget>,
    targets: BTreeMap<String, BTreeMap<String, DotnetTarget>>,
    #[serde(default)]
    libraries: BTreeMap<String, Library>,
}

#[derive(Deserialize)]
struct RuntimeTarget {
    name: String,
}

#[derive(Deserialize)]
struct Library {
    #[serde(rename = "type")]
    kind: String,
}

/// The files that a library adds, by their path in the package.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DotnetTarget {
    #[serde(default)]
    runtime: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    native: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    runtime_targets: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    locale: String,
}

/// Reads `NAME.deps.json`. A library's files are beside it, without the directories of its package; translations are in
/// a directory for their language, and only files for one system stay where they were.
pub fn take(path: &LayerPath, content: &[u8], sink: &mut Sink) {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    if !sink.room.may_parse(content) {
        return;
    }
    let Ok(document) = serde_json::from_slice::<DepsJson>(content) else {
        return sink.unread(path, Unread::Damaged);
    };
    let DepsJson { runtime_target, targets, libraries } = document;
    let named = runtime_target.and_then(|target| targets.get(&target.name));
    let Some(target) = named.or_else(|| targets.values().next()) else { return };
    let directory = path.split().map_or(&b""[..], |(directory, _)| directory);
    for (library, brings) in target {
        // The program itself is a project, and a reference to a file belongs to no package.
        let is_package = |library: &Library| matches!(library.kind.as_str(), "package" | "runtimepack");
        let Some((name, version)) = library.split_once('/') else { continue };
        let (Some(name), Some(version)) = (word(name.as_bytes()), word(version.as_bytes())) else { continue };
        if !libraries.get(library).is_some_and(is_package) {
            continue;
        }
        let name = name.strip_prefix("runtimepack.").map(str::to_owned).unwrap_or(name);
        let files = brings.files().filter_map(|file| join(directory, &file));
        let Some(files) = sink.room.keep(files) else { continue };
        // A package that only the build read adds nothing.
        if files.iter().next().is_some() {
            sink.declare(Ecosystem::NuGet, name, version, path, Owns { files, ..Owns::default() });
        }
    }
}

impl DotnetTarget {
    fn files(&self) -> impl Iterator<Item = Vec<u8>> {
        let flat =
            self.runtime.keys().chain(self.native.keys()).map(|path| split(path.as_bytes()).1.to_vec());
        let localized = |(path, resource): (&String, &Resource)| {
            join(resource.locale.as_bytes(), split(path.as_bytes()).1)
        };
        let translations = self.resources.iter().filter_map(localized);
        let whole = self.runtime_targets.keys().map(|path| path.clone().into_bytes());
        flat.chain(translations).chain(whole).filter(|file| !file.ends_with(b"_._"))
    }
}
