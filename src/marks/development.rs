//! Which installed packages only development needs, according to package managers.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::image::LayerPath;
use crate::image::path::MAX_PATH;
use crate::image::path::split;
use crate::sort;

/// Maximum directories that one file names, and maximum bytes of their paths.
const MAX_NAMED: usize = 20_000;
const MAX_BYTES: usize = 4 << 20;

/// Collects directories by their clean paths.
#[derive(Default)]
struct DirectoryPaths {
    paths: Vec<Vec<u8>>,
    bytes: usize,
}

impl DirectoryPaths {
    /// Adds a directory, if there is room for it.
    fn add(&mut self, base: &[u8], below: &[u8]) {
        let length = base.len() + 1 + below.len();
        let full = self.paths.len() >= MAX_NAMED || self.bytes + length > MAX_BYTES;
        if below.is_empty() || length > MAX_PATH || full {
            return;
        }
        let path = if base.is_empty() { below.to_vec() } else { [base, b"/", below].concat() };
        self.bytes += path.len();
        self.paths.push(path);
    }

    /// The directories without those inside others, sorted so that a directory's content follows it directly.
    fn finish(mut self) -> Vec<LayerPath> {
        fn order(path: &[u8]) -> impl Iterator<Item = u8> {
            path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte })
        }
        sort::by(&mut self.paths, |one, other| order(one).cmp(order(other)));
        self.paths.dedup_by(|next, kept| is_inside(next, kept));
        self.paths.iter().map(|path| LayerPath::clean(path)).collect()
    }
}

/// Reads npm's `node_modules/.package-lock.json`, which states for each installed package whether only development
/// needs it (npm's "package-lock.json", "hidden lockfiles"). `None` if it cannot be read.
pub fn hidden_lockfile(path: &LayerPath, content: &[u8]) -> Option<Vec<LayerPath>> {
    #[derive(Deserialize)]
    struct Lockfile {
        packages: DevPackages,
    }
    let project = split(split(path.as_bytes()).0).0;
    let DevPackages(names) = serde_json::from_slice::<Lockfile>(plain(content)).ok()?.packages;
    let mut directories = DirectoryPaths::default();
    names.iter().for_each(|name| directories.add(project, name.as_bytes()));
    Some(directories.finish())
}

/// The keys of the entries with `"dev": true`; no others are kept.
struct DevPackages(Vec<String>);

impl<'de> Deserialize<'de> for DevPackages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DevPackages, D::Error> {
        deserializer.deserialize_map(PackagesVisitor)
    }
}

struct PackagesVisitor;

impl<'de> Visitor<'de> for PackagesVisitor {
    type Value = DevPackages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the packages of a lockfile")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DevPackages, A::Error> {
        /// A link leads to a directory of the project, not to an installed package.
        #[derive(Deserialize)]
        struct Locked {
            #[serde(default)]
            dev: bool,
            #[serde(default)]
            link: bool,
        }
        let mut names = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let locked: Locked = map.next_value()?;
            if locked.dev && !locked.link && names.len() < MAX_NAMED && is_installed(&key) {
                names.push(key);
            }
        }
        Ok(DevPackages(names))
    }
}

/// Whether a key is the path of an installed package below the project, such as `node_modules/@scope/name`.
fn is_installed(key: &str) -> bool {
    let (above, name) = split(key.as_bytes());
    let (scope_above, scope) = split(above);
    let in_modules =
        scope == b"node_modules" || scope.starts_with(b"@") && split(scope_above).1 == b"node_modules";
    in_modules && !name.is_empty() && !name.starts_with(b"@") && is_below(key.as_bytes())
}

/// Whether a path stays below its base and is written plainly.
fn is_below(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0))
}

/// Reads a project's `package.json`: the packages it needs only for development. `None` if there are none, or if it
/// cannot be read.
pub fn manifest(path: &LayerPath, content: &[u8]) -> Option<Vec<LayerPath>> {
    #[derive(Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    #[derive(Default)]
    struct NpmManifest {
        dev_dependencies: DependencyNames,
        dependencies: DependencyNames,
        optional_dependencies: DependencyNames,
        peer_dependencies: DependencyNames,
    }
    let project = split(path.as_bytes()).0;
    let manifest: NpmManifest = serde_json::from_slice(plain(content)).ok()?;
    let needed = [manifest.dependencies, manifest.optional_dependencies, manifest.peer_dependencies];
    let mut directories = DirectoryPaths::default();
    for name in &manifest.dev_dependencies.0 {
        let place = format!("node_modules/{name}");
        if is_installed(&place) && !needed.iter().any(|needed| needed.0.contains(name)) {
            directories.add(project, place.as_bytes());
        }
    }
    Some(directories.finish()).filter(|directories| !directories.is_empty())
}

/// The names in a list of dependencies, without their versions.
#[derive(Default)]
struct DependencyNames(BTreeSet<String>);

impl<'de> Deserialize<'de> for DependencyNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DependencyNames, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = DependencyNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dependencies")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DependencyNames, A::Error> {
                let mut names = BTreeSet::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    names.insert(name);
                }
                Ok(DependencyNames(names))
            }
        }

        deserializer.deserialize_map(NamesVisitor)
    }
}

/// Reads Composer's `vendor/composer/installed.json`, which lists what is installed, and separately what only
/// development needs. `None` if it cannot be read, or is from Composer 1, which does not say.
pub fn composer(path: &LayerPath, content: &[u8]) -> Option<Vec<LayerPath>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct ComposerInstalled {
        packages: Vec<ComposerPackage>,
        dev_package_names: BTreeSet<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct ComposerPackage {
        name: String,
        install_path: Option<String>,
    }
    let beside = split(path.as_bytes()).0;
    let vendor = split(beside).0;
    let project = split(vendor).0;
    let installed: ComposerInstalled = serde_json::from_slice(plain(content)).ok()?;
    let is_dev = |package: &&ComposerPackage| installed.dev_package_names.contains(&package.name);
    let mut directories = DirectoryPaths::default();
    for package in installed.packages.iter().filter(is_dev) {
        let place = match &package.install_path {
            Some(place) => follow(beside, place.as_bytes()),
            None => follow(vendor, package.name.as_bytes()),
        };
        // A path that leaves the project, or contains all packages, is not a package.
        let fits = |place: &Vec<u8>| is_inside(place, project) && !is_inside(vendor, place);
        if let Some(place) = place.filter(fits) {
            directories.add(b"", &place);
        }
    }
    Some(directories.finish())
}

/// Whether a path is a directory or something in it.
fn is_inside(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Resolves a path from a directory; `None` if it leaves the image's root, or is absolute.
fn follow(directory: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    if path.len() + directory.len() > MAX_PATH || path.starts_with(b"/") || path.contains(&0) {
        return None;
    }
    let mut parts: Vec<&[u8]> =
        directory.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

/// Node's tools accept a byte order mark; JSON does not allow one.
fn plain(content: &[u8]) -> &[u8] {
    content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content)
}
