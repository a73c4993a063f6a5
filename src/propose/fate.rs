//! What happens to each path: whether the final stage already has it, needs it, or is better without it.

use std::collections::{BTreeSet, HashSet};

use super::context::{BuildContext, Maker};
use super::entry::StartCommands;
use super::quote::listed;
use super::shell::ShellCommand;
use super::tree::{PathKind, is_inside, name_of, parent_of};
use crate::dockerfile::{Work, WorkKind};
use crate::image::{Ecosystem, Package, Weight};
use crate::removable::RemovableKind;
use crate::tools::{Family, tools};

/// What happens to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The base image or a repeated instruction adds it.
    There,
    /// It is copied.
    Kept,
    /// A package manager removes it before its directory is copied.
    Pruned,
    /// It stays in the builder.
    Dropped,
}

/// Directories that hold nothing an image needs, except what it starts with.
const DEBRIS: &[&[u8]] = &[
    b"tmp",
    b"var/tmp",
    b"var/cache",
    b"var/log",
    b"run",
    b"var/run",
    b"proc",
    b"sys",
    b"dev",
    b"var/lib/dpkg",
    b"var/lib/apt",
    b"lib/apk",
    b"usr/lib/apk",
    b"etc/apk",
    b"var/lib/rpm",
    b"usr/lib/sysimage",
    b"var/lib/dnf",
    b"etc/ld.so.cache",
    b"etc/.pwd.lock",
    b"etc/hosts",
    b"etc/hostname",
    b"etc/resolv.conf",
    b"etc/mtab",
    b"usr/local/share/.cache",
];
/// The same in a user's home directory.
const HOME_DEBRIS: &[&[u8]] = &[
    b".npm",
    b".node-gyp",
    b".config/go",
    b".local/state",
    b".local/share/virtualenv",
    b".local/share/virtualenvs",
    b".m2/repository",
    b".gradle/caches",
    b".wget-hsts",
    b".bash_history",
    b".gnupg",
];
/// Files in cache directories that programs load at run time: models, browsers, engines.
const LOADED_FROM_CACHE: &[&[u8]] = &[
    b".cache/huggingface",
    b".cache/torch",
    b".cache/clip",
    b".cache/whisper",
    b".cache/tiktoken",
    b".cache/ms-playwright",
    b".cache/puppeteer",
    b".cache/selenium",
    b".cache/prisma",
    b".cache/fontconfig",
    b".cache/chroma",
    b".cache/gpt4all",
];
/// Build caches there, which nothing loads at run time.
const BUILD_CACHES: &[&[u8]] = &[
    b".cache/pip",
    b".cache/pipenv",
    b".cache/uv",
    b".cache/pypoetry",
    b".cache/pdm",
    b".cache/pre-commit",
    b".cache/yarn",
    b".cache/pnpm",
    b".cache/go-build",
    b".cache/node-gyp",
    b".cache/node",
    b".cache/composer",
    b".cache/ccache",
    b".cache/sccache",
    b".cache/bazel",
    b".cache/deno",
    b".cache/virtualenv",
];

/// Whether a path is in a directory that holds nothing an image needs.
pub(super) fn is_debris(path: &[u8]) -> bool {
    let inside = |path: &[u8], places: &[&[u8]]| places.iter().any(|place| is_inside(path, place));
    let of_home = |path: &[u8]| {
        inside(path, HOME_DEBRIS) || is_inside(path, b".cache") && !inside(path, LOADED_FROM_CACHE)
    };
    inside(path, DEBRIS) || in_home(path).is_some_and(of_home)
}

/// Whether a file is in a cache that programs may load.
pub(super) fn is_doubtful_cache(path: &[u8]) -> bool {
    in_home(path).is_some_and(|path| {
        let inside = |places: &[&[u8]]| places.iter().any(|place| is_inside(path, place));
        is_inside(path, b".cache") && !inside(LOADED_FROM_CACHE) && !inside(BUILD_CACHES)
    })
}

/// A path in a user's home directory, relative to it.
fn in_home(path: &[u8]) -> Option<&[u8]> {
    if let Some(path) = path.strip_prefix(b"root/") {
        return Some(path);
    }
    let path = path.strip_prefix(b"home/")?;
    path.iter().position(|byte| *byte == b'/').map(|at| &path[at + 1..])
}

/// The files that creating users changes.
pub(super) const ACCOUNTS: &[&[u8]] = &[b"etc/passwd", b"etc/group", b"etc/shadow", b"etc/gshadow"];
const ACCOUNTS_MORE: &[&[u8]] = &[
    b"etc/subuid",
    b"etc/subgid",
    b"etc/passwd-",
    b"etc/group-",
    b"etc/shadow-",
    b"etc/gshadow-",
    b"etc/subuid-",
    b"etc/subgid-",
];

/// Directories of a distribution's packages; if an instruction installs packages, what it adds there belongs to them.
const OF_PACKAGES: &[&[u8]] = &[b"usr", b"etc", b"lib", b"lib64", b"lib32", b"bin", b"sbin", b"var"];
const NOT_OF_PACKAGES: &[&[u8]] = &[b"usr/local", b"usr/src"];
/// If an instruction does more than install packages, only these belong to them.
const LEFT_BY_PACKAGES: &[&[u8]] = &[
    b"etc/alternatives",
    b"etc/ssl/certs",
    b"etc/ca-certificates.conf",
    b"etc/ld.so.conf.d",
    b"etc/shells",
    b"etc/mailcap",
    b"etc/pam.d",
    b"etc/systemd",
    b"etc/rc0.d",
    b"etc/rc1.d",
    b"etc/rc2.d",
    b"etc/rc3.d",
    b"etc/rc4.d",
    b"etc/rc5.d",
    b"etc/rc6.d",
    b"etc/rcS.d",
    b"etc/default",
    b"var/lib",
    b"usr/share/info",
    b"usr/share/mime",
    b"usr/share/icons",
    b"usr/share/fonts",
    b"usr/share/perl",
    b"usr/lib/python3",
    b"usr/share/python3",
    b"etc/java-17-openjdk",
    b"etc/fonts",
];

/// Decides the fate of all paths.
pub(super) struct Evaluate<'s, 'a> {
    pub context: &'s BuildContext<'a>,
    pub entry: &'s StartCommands,
    pub compiled: bool,
    jvm: bool,
    /// Whether the image starts from a jar, which contains its classes.
    starts_jar: bool,
    /// For each layer, whether its instruction only installs packages.
    only_packages: Vec<bool>,
    installs: Vec<bool>,
    /// For each layer, whether its instruction only installs build tools.
    only_tools: Vec<bool>,
    /// The package directories into which other instructions install as well.
    shared: HashSet<&'a [u8]>,
    /// Whether development dependencies are removed by their package manager.
    pub prunes: bool,
    /// Whether the image starts with one of them.
    needs_development: bool,
    /// The packages whose programs the image starts.
    started: HashSet<*const Package>,
}

impl<'s, 'a> Evaluate<'s, 'a> {
    pub fn new(context: &'s BuildContext<'a>, entry: &'s StartCommands, prunes: bool) -> Evaluate<'s, 'a> {
        let layers = 0..context.layers.len() as u32;
        let installs: Vec<bool> = layers.clone().map(|layer| context.installs_packages(layer)).collect();
        let only = |layer: u32| match context.maker(layer) {
            Maker::Builder(step) => {
                let commands = context.steps.get(step).and_then(|step| step.commands.as_deref());
                commands.is_some_and(|commands| commands.iter().all(is_of_packages))
            }
            _ => false,
        };
        let only_tools: Vec<bool> =
            layers.clone().map(|layer| installs_only_tools(context, entry, layer)).collect();
        Evaluate {
            shared: shared(context, &only_tools),
            only_tools,
            context,
            entry,
            compiled: context.builds_with(&tools().compilers),
            jvm: context.builds_with(&tools().jar_compilers),
            starts_jar: entry.named.iter().any(|node| context.tree.nodes[*node].path.ends_with(b".jar")),
            only_packages: layers.map(only).collect(),
            installs,
            prunes,
            needs_development: needs_development(context, entry),
            started: started(context, entry),
        }
    }

    /// The fate of each node of the tree. A non-empty directory that the builder made is [`Fate::Kept`], which says
    /// nothing about its content.
    pub fn fates(&self) -> Vec<Fate> {
        let named = self.named();
        (0..self.context.tree.nodes.len()).map(|node| self.fate(node, named[node])).collect()
    }

    /// Packages that came with a build tool but are copied nevertheless, in a few words.
    pub fn companions(&self, fates: &[Fate]) -> Option<String> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for (node, fate) in self.context.tree.nodes.iter().zip(fates) {
            let only = self.only_tools.get(node.layer as usize).copied().unwrap_or_default();
            if let (PathKind::File(file), Fate::Kept, true) = (node.what, fate, only) {
                names.extend(self.context.kinds.owner(file as usize).map(|owner| owner.name.as_str()));
            }
        }
        (!names.is_empty()).then(|| listed(names))
    }

    /// For each node, whether the start commands name it or a directory above it.
    fn named(&self) -> Vec<bool> {
        let nodes = &self.context.tree.nodes;
        let mut named = vec![false; nodes.len()];
        for index in 0..nodes.len() {
            // Parents come first.
            named[index] = self.entry.named.contains(&index) || index > 0 && named[nodes[index].parent];
        }
        named
    }

    fn fate(&self, index: usize, named: bool) -> Fate {
        let node = &self.context.tree.nodes[index];
        let Maker::Builder(_) = self.context.maker(node.layer) else { return Fate::There };
        if index == 0 {
            return Fate::There;
        }
        let kind = match node.what {
            PathKind::File(file) => self.context.kinds.of(file as usize, node.path),
            _ => None,
        };
        let owner = match node.what {
            PathKind::File(file) => self.context.kinds.owner(file as usize),
            _ => None,
        };
        // The package manager installs it again, or nothing needs it.
        if owner.is_some_and(|owner| owner.ecosystem.is_system()) {
            return Fate::Dropped;
        }
        let is_started = owner.is_some_and(|owner| self.started.contains(&std::ptr::from_ref(owner)));
        if (named || is_started) && !kind.is_some_and(|kind| ALWAYS_LEFT.contains(&kind.name.as_str())) {
            return Fate::Kept;
        }
        if ACCOUNTS.contains(&node.path) || ACCOUNTS_MORE.contains(&node.path) {
            return Fate::Dropped;
        }
        let is_debris = is_debris(node.path) && !self.entry.is_in_environment(node.path);
        if is_debris || self.is_left_by_packages(index) || self.is_of_tools(index) || self.is_noise(node.path)
        {
            return Fate::Dropped;
        }
        match node.what {
            PathKind::Special => Fate::Dropped,
            PathKind::File(file) => self.of_file(file, node.path, kind),
            PathKind::Symlink if self.prunes && self.context.kinds.is_development(node.path) => Fate::Pruned,
            PathKind::Symlink | PathKind::Directory => Fate::Kept,
        }
    }

    /// Whether a system package manager made it, file or not.
    fn is_left_by_packages(&self, index: usize) -> bool {
        let node = &self.context.tree.nodes[index];
        let layer = node.layer as usize;
        if !self.installs.get(layer).copied().unwrap_or_default() {
            return false;
        }
        let inside = |places: &[&[u8]]| places.iter().any(|place| is_inside(node.path, place));
        let of_packages = inside(OF_PACKAGES) && !inside(NOT_OF_PACKAGES);
        let only = self.only_packages.get(layer).copied().unwrap_or_default();
        let has_no_owner = !matches!(node.what, PathKind::File(_));
        of_packages && (only || has_no_owner || inside(LEFT_BY_PACKAGES))
    }

    /// Whether it came with a build tool. If other instructions installed packages in the same directory, they may use
    /// what was already there.
    fn is_of_tools(&self, index: usize) -> bool {
        let node = &self.context.tree.nodes[index];
        let only = self.only_tools.get(node.layer as usize).copied().unwrap_or_default();
        only && packages_directory(node.path).is_none_or(|directory| !self.shared.contains(directory))
    }

    /// Byte code whose source the final stage has from elsewhere: running a program wrote it.
    fn is_foreign_byte_code(&self, path: &[u8]) -> bool {
        let directory = parent_of(path);
        let Some(above) = directory.strip_suffix(b"__pycache__") else { return false };
        let name = name_of(path);
        let stem = &name[..name.iter().position(|byte| *byte == b'.').unwrap_or(name.len())];
        let source = self.context.tree.find(&[above, stem, b".py"].concat());
        source.is_some_and(|source| {
            !matches!(self.context.maker(self.context.tree.nodes[source].layer), Maker::Builder(_))
        })
    }

    fn of_file(&self, file: u32, path: &[u8], kind: Option<&RemovableKind>) -> Fate {
        let owner = self.context.kinds.owner(file as usize);
        if self.prunes && self.context.kinds.is_development(path) {
            return Fate::Pruned;
        }
        if owner.is_some_and(|owner| owner.ecosystem == Ecosystem::Python && owner.name == "pip") {
            return Fate::Dropped;
        }
        if path.ends_with(b".pyc") && self.is_foreign_byte_code(path) {
            return Fate::Dropped;
        }
        match kind {
            None => Fate::Kept,
            Some(kind) if self.is_left_behind(kind, path) => Fate::Dropped,
            Some(_) => Fate::Kept,
        }
    }

    /// Whether files of a kind stay in the builder.
    fn is_left_behind(&self, kind: &RemovableKind, path: &[u8]) -> bool {
        let name = kind.name.as_str();
        if name.ends_with("dev-dependencies") && self.context.kinds.is_started(name) {
            return false;
        }
        match name {
            "dev-dependencies" => !(self.needs_development && self.context.kinds.is_development(path)),
            "python-build-tools" => !tools().runners.iter().any(|tool| self.entry.calls(tool)),
            // A package's own files stay with it.
            "compiled-sources" | "dockerfiles" => (self.compiled || is_c(path)) && !is_in_packages(path),
            "documentation" => is_inside(path, b"usr"),
            _ if kind.weight == Weight::Cache => !self.entry.is_in_environment(path),
            _ => kind.weight != Weight::Leftover || ALWAYS_LEFT.contains(&name),
        }
    }

    /// Files that build tools leave beside their results.
    fn is_noise(&self, path: &[u8]) -> bool {
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let below = |first: &[u8], starts: &[&[u8]]| {
            let is_start = |part: &[u8]| starts.iter().any(|start| part.starts_with(start));
            parts.windows(2).any(|pair| pair[0] == first && is_start(pair[1]))
        };
        let has = |names: &[&[u8]]| parts.iter().any(|part| names.contains(part));
        let ends = |ends: &[&[u8]]| ends.iter().any(|end| path.ends_with(end));
        below(b"build", &[b"bdist.", b"lib.", b"temp."])
            || self.compiled
                && matches!(name_of(path), b"CACHEDIR.TAG" | b".rustc_info.json" | b".cargo-lock")
            || self.jvm
                && (has(&[b".gradle", b".mvn"])
                    || below(b"src", &[b"main", b"test"])
                    || below(
                        b"build",
                        &[
                            b"tmp",
                            b"classes",
                            b"reports",
                            b"generated",
                            b"resources",
                            b"kotlin",
                            b"test-results",
                        ],
                    )
                    || ends(&[b".jar.original", b"-sources.jar", b"-javadoc.jar", b"-plain.jar"])
                    || self.starts_jar && ends(&[b".class"]))
    }
}

/// Kinds that stay in the builder even if the image starts with something beside them.
const ALWAYS_LEFT: &[&str] = &["version-control", "pnpm-store"];

/// Whether a command only deals with system packages.
fn is_of_packages(command: &ShellCommand) -> bool {
    use Family::{Apk, Apt, Rpm, Zypper};
    let manages = matches!(Family::managed_by(command.program()), Some(Apt | Apk | Rpm | Zypper));
    manages || matches!(command.program(), "rm" | "set" | "true" | "echo" | "export")
}

/// `pipenv` for `pipenv[extra]==2024.1`, `pnpm` for `pnpm@9`.
fn plain_name(subject: &str) -> &str {
    let end = |c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c));
    subject.split(end).next().unwrap_or(subject)
}

/// Whether a layer's instruction only installs build tools, none of which the image starts with.
fn installs_only_tools(context: &BuildContext<'_>, entry: &StartCommands, layer: u32) -> bool {
    let Maker::Builder(step) = context.maker(layer) else { return false };
    let Some(step) = context.steps.get(step) else { return false };
    let mut works =
        context.inputs.facts.works.iter().filter(|work| work.line == step.instruction.line).peekable();
    let is_started = |work: &&Work| work.subjects.iter().any(|subject| entry.calls(plain_name(subject)));
    if works.clone().any(|work| is_started(&work)) {
        return false;
    }
    let installs = works.peek().is_some()
        && works.all(|work| matches!(work.kind, WorkKind::InstallsBuildTools | WorkKind::Removes));
    let known = |command: &ShellCommand| {
        is_of_packages(command)
            || matches!(
                command.program(),
                "pip"
                    | "pip3"
                    | "python"
                    | "python3"
                    | "pipx"
                    | "npm"
                    | "yarn"
                    | "pnpm"
                    | "corepack"
                    | "gem"
                    | "rustup"
            )
    };
    installs && step.commands.as_deref().is_some_and(|commands| commands.iter().all(known))
}

/// The directory of a language's packages, up to and including its name.
fn packages_directory(path: &[u8]) -> Option<&[u8]> {
    let mut end = 0;
    for part in path.split(|byte| *byte == b'/') {
        end += part.len();
        if matches!(part, b"site-packages" | b"dist-packages") {
            return path.get(..end);
        }
        end += 1;
    }
    None
}

/// The packages whose programs the image starts: a program is useless without its package.
fn started(context: &BuildContext<'_>, entry: &StartCommands) -> HashSet<*const Package> {
    let owner = |node: &usize| match context.tree.nodes[*node].what {
        PathKind::File(file) => context.kinds.owner(file as usize),
        _ => None,
    };
    entry.named.iter().filter_map(owner).map(std::ptr::from_ref).collect()
}

/// The package directories into which instructions install that are not only for build tools.
fn shared<'a>(context: &BuildContext<'a>, only_tools: &[bool]) -> HashSet<&'a [u8]> {
    let nodes = context.tree.nodes.iter().filter(|node| {
        let layer = node.layer as usize;
        matches!(node.what, PathKind::File(_))
            && !only_tools.get(layer).copied().unwrap_or_default()
            && matches!(context.maker(node.layer), Maker::Builder(_))
            && !node.path.ends_with(b".pyc")
    });
    nodes.filter_map(|node| packages_directory(node.path)).collect()
}

/// Sources that no interpreter reads.
fn is_c(path: &[u8]) -> bool {
    let ends: [&[u8]; 8] = [b".c", b".h", b".cc", b".cpp", b".cxx", b".hpp", b".pyx", b".pxd"];
    ends.iter().any(|end| path.ends_with(end))
}

fn is_in_packages(path: &[u8]) -> bool {
    let packages: [&[u8]; 5] = [b"site-packages", b"dist-packages", b"node_modules", b"gems", b"vendor"];
    path.split(|byte| *byte == b'/').any(|part| packages.contains(&part))
}

/// Whether the image starts with something that only development needs, or might: the package of a program in
/// `node_modules/.bin` is only recognised if both have the same name.
pub(super) fn needs_development(context: &BuildContext<'_>, entry: &StartCommands) -> bool {
    context.kinds.is_started("dev-dependencies")
        || entry.named.iter().any(|node| {
            let path = context.tree.nodes[*node].path;
            let directory = parent_of(path);
            let Some(modules) = directory.strip_suffix(b"/.bin") else {
                return context.kinds.is_development(path);
            };
            let package = [modules, b"/", name_of(path)].concat();
            let has = |file: &[u8]| context.tree.find(&[package.as_slice(), file].concat()).is_some();
            let is_plain = (has(b"") || has(b"/package.json"))
                && !context.kinds.is_development(&[package.as_slice(), b"/package.json"].concat());
            modules.ends_with(b"node_modules") && !is_plain
        })
}
