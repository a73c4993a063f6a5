//! System packages that a builder instruction installed and the program needs at run time: the final stage installs
//! them again, without what only builds need.

use std::collections::BTreeSet;

use super::context::{BuildContext, Maker};
use super::entry::StartCommands;
use super::steps::{BuildStep, Role, is_removable};
use super::tree::{PathKind, is_inside, name_of};
use crate::dockerfile::WorkKind;
use crate::image::package::Installed;
use crate::image::{Bytes, Ecosystem};
use crate::tools::tools;

/// One instruction's packages.
#[derive(Debug)]
pub(super) struct Install {
    /// The index of the builder instruction that installed them.
    pub step: usize,
    ecosystem: Ecosystem,
    pub names: Vec<String>,
    /// The bytes of these packages and their dependencies.
    pub bytes: Bytes,
    /// Other installed packages, which are not named: it is unknown whether the program needs them.
    pub others: Vec<String>,
}

impl Install {
    /// The command of the package manager. The names are validated.
    pub fn command(&self) -> String {
        let names = self.names.join(" ");
        match self.ecosystem {
            Ecosystem::Apk => format!("RUN apk add --no-cache {names}"),
            Ecosystem::Rpm => {
                format!("RUN dnf install -y --setopt=install_weak_deps=False {names} && dnf clean all")
            }
            _ => format!(
                "RUN apt-get update && apt-get install -y --no-install-recommends {names} \\\n  && rm -rf /var/lib/apt/lists/*"
            ),
        }
    }
}

/// The packages of each builder instruction that are needed at run time.
pub(super) fn installs(context: &BuildContext<'_>, entry: &StartCommands) -> Vec<Install> {
    let steps = context.before().iter().enumerate().filter(|(_, step)| step.role == Role::Builds);
    steps.filter_map(|(index, step)| install(context, entry, index, step)).collect()
}

fn install(
    context: &BuildContext<'_>,
    entry: &StartCommands,
    index: usize,
    step: &BuildStep<'_>,
) -> Option<Install> {
    let layer = step.layer?;
    let snapshot = context.inputs.snapshot;
    let brought = snapshot.packages.as_deref().unwrap_or_default().iter();
    let brought: Vec<&Installed> = brought
        .filter(|package| package.layer == u64::from(layer) && package.ecosystem.is_system())
        .filter(|package| is_name(&package.name))
        .collect();
    let ecosystem = brought.first()?.ecosystem;
    let is_removable =
        |package: &&&Installed| is_removable(context.inputs.catalogue, package.ecosystem, &package.name);
    let (removable, rest): (Vec<&Installed>, Vec<&Installed>) =
        brought.iter().partition(|package| is_removable(package));
    let asked = asked_for(context, step.instruction.line);
    let wanted = PackageQuery { asked: &asked, removable: &removable, entry, context };
    let mut named: Vec<&Installed> = rest.iter().filter(|package| wanted.names(package)).copied().collect();
    named.extend(removable.iter().filter(|package| wanted.starts_with(package)));
    if named.is_empty() {
        return None;
    }
    let whole = named.iter().any(|package| is_runtime(&package.name)) || removable.is_empty();
    let comes = |package: &&&Installed| {
        whole || named.iter().any(|named| named.name == package.name) || is_part_of_library(&package.name)
    };
    let (coming, others): (Vec<&Installed>, Vec<&Installed>) =
        rest.iter().partition(|package| comes(package));
    let coming =
        coming.into_iter().chain(removable.iter().copied().filter(|package| wanted.starts_with(package)));
    let bytes = coming.map(|package| package.bytes.0).sum::<u64>() + database(context, layer);
    let names = |packages: &[&Installed]| packages.iter().map(|package| package.name.clone()).collect();
    Some(Install {
        step: index,
        ecosystem,
        names: names(&named),
        bytes: Bytes(bytes),
        others: names(&others),
    })
}

/// The packages that an instruction's commands name.
fn asked_for<'s>(context: &'s BuildContext<'_>, line: u32) -> BTreeSet<&'s str> {
    let works = context.inputs.facts.works.iter().filter(|work| work.line == line);
    let installing =
        works.filter(|work| matches!(work.kind, WorkKind::InstallsPackages | WorkKind::InstallsBuildTools));
    installing.flat_map(|work| work.subjects.iter().map(String::as_str)).collect()
}

/// Answers questions about an installed package.
struct PackageQuery<'s, 'a> {
    asked: &'s BTreeSet<&'s str>,
    removable: &'s [&'s Installed],
    entry: &'s StartCommands,
    context: &'s BuildContext<'a>,
}

impl PackageQuery<'_, '_> {
    /// Whether the final stage installs it by its name.
    fn names(&self, package: &Installed) -> bool {
        let name = package.name.as_str();
        self.asked.contains(name) && !tools().fetchers.iter().any(|fetcher| fetcher == name)
            || self.is_library_of_headers(package)
            || is_runtime(name) && self.asked.iter().any(|asked| asked.contains("jdk") || is_java_tool(asked))
            || self.starts_with(package)
    }

    /// `libpq5` beside `libpq-dev`: programs linked with it need it.
    fn is_library_of_headers(&self, package: &Installed) -> bool {
        if package.ecosystem == Ecosystem::Apk {
            return is_part_of_library(&package.name);
        }
        let Some(stem) = stem_of_library(&package.name) else { return false };
        let headers = self.removable.iter().filter_map(|package| stem_of_headers(&package.name));
        headers.into_iter().any(|headers| headers.starts_with(stem) || stem.starts_with(headers))
    }

    /// Whether the image starts with one of its programs.
    fn starts_with(&self, package: &Installed) -> bool {
        let nodes = self.context.tree.nodes.iter();
        let programs = nodes.filter(|node| {
            is_inside(node.path, b"usr/bin")
                || is_inside(node.path, b"usr/sbin")
                || is_inside(node.path, b"bin")
        });
        programs.into_iter().any(|node| match node.what {
            PathKind::File(file) => {
                matches!(self.context.maker(node.layer), Maker::Builder(_))
                    && std::str::from_utf8(name_of(node.path)).is_ok_and(|name| self.entry.calls(name))
                    && self.context.kinds.owner(file as usize).is_some_and(|owner| owner.name == package.name)
            }
            _ => false,
        })
    }
}

/// A compiler's own libraries, which nothing names to link with.
const COMPILERS_OWN: [&str; 10] = ["c6", "c", "gcc", "stdc++", "crypt", "nsl", "tirpc", "isl", "mpfr", "mpc"];

/// `libpq5` -> `pq`, `zlib1g` -> `zlib`.
fn stem_of_library(name: &str) -> Option<&str> {
    if ["-dev", "-bin", "-perl", "-doc", "-utils", "-tools", "-common", "-data"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return None;
    }
    let stem = name.strip_prefix("lib")?;
    let end = stem.find(|c: char| c.is_ascii_digit()).unwrap_or(stem.len());
    let stem = stem.get(..end)?.trim_end_matches('-');
    (stem.len() > 1).then_some(stem)
}

/// `libpq-dev` -> `pq`, `libmariadb-dev` -> `mariadb`.
fn stem_of_headers(name: &str) -> Option<&str> {
    let stem = name.strip_suffix("-dev").or_else(|| name.strip_suffix("-devel"))?;
    let stem = stem.strip_prefix("lib")?;
    let plain = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
    let is_compilers = COMPILERS_OWN.contains(&plain) || COMPILERS_OWN.contains(&stem);
    (plain.len() > 1 && !is_compilers).then_some(plain)
}

fn is_runtime(name: &str) -> bool {
    name.contains("-jre") && !name.contains("-dbg") && name.ends_with("headless")
}

fn is_java_tool(name: &str) -> bool {
    matches!(name, "maven" | "gradle" | "ant" | "sbt")
}

/// Whether libraries depend on the package.
fn is_part_of_library(name: &str) -> bool {
    name.starts_with("lib") && !name.ends_with("-perl") && !name.starts_with("libperl")
        || name.ends_with("-libs")
}

/// What the package manager itself writes: each instruction stores its database again.
fn database(context: &BuildContext<'_>, layer: u32) -> u64 {
    let Some(file_list) = context.layers.get(layer as usize) else { return 0 };
    let places: [&[u8]; 8] = [
        b"var/lib/dpkg",
        b"lib/apk/db",
        b"usr/lib/apk/db",
        b"var/lib/rpm",
        b"usr/lib/sysimage/rpm",
        b"usr/share/rpm",
        b"var/cache/debconf",
        b"etc/ld.so.cache",
    ];
    let owners = file_list.owners();
    let files = file_list.entries.iter().enumerate().filter_map(|(index, entry)| match entry {
        crate::image::Entry::File(path, size) if owners.get(index).copied().flatten().is_none() => {
            places.iter().any(|place| is_inside(path.as_bytes(), place)).then_some(size.0)
        }
        _ => None,
    });
    files.sum()
}

/// A package name that is safe in a shell command (Debian policy, 5.6.7).
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 120
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+.-_".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_by_its_headers() {
        assert_eq!(stem_of_library("libpq5"), Some("pq"));
        assert_eq!(stem_of_library("libcurl4"), Some("curl"));
        assert_eq!(stem_of_library("libperl-dev"), None);
        assert_eq!(stem_of_headers("libpq-dev"), Some("pq"));
        assert_eq!(stem_of_headers("libcurl4-openssl-dev"), Some("curl4-openssl"));
        assert_eq!(stem_of_headers("libgcc-12-dev"), None);
        assert_eq!(stem_of_headers("libstdc++-12-dev"), None);
        assert_eq!(stem_of_headers("libc6-dev"), None);
        assert!(is_name("libstdc++6") && !is_name("a b") && !is_name("-x") && !is_name("a;b"));
    }
}
