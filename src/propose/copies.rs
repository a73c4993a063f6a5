//! What the final stage copies from the builder, as instructions, with the bytes that each adds.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::context::{BuildContext, Maker, hides_users};
use super::entry::StartCommands;
use super::fate::{ACCOUNTS, Evaluate, Fate, is_debris, is_doubtful_cache, needs_development};
use super::quote::{comment, copy_path, shell_word};
use super::roots::{Roots, roots};
use super::steps::Role;
use super::tree::{PathKind, PathTree, TreeNode, name_of, parent_of};
use crate::image::path::PathRef;
use crate::image::{Bytes, Weight};

/// From this many parts of one directory on, they are gathered first.
const GATHERED: usize = 6;
/// Maximum packages that a sentence names.
const MAX_TOLD: usize = 8;

/// The copying instructions.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Package manager commands at the end of the builder, run as the builder's user.
    pub prunes: Vec<String>,
    /// The last instructions of the builder, run as root.
    pub tail: Vec<String>,
    /// The copies; `{builder}` stands for the stage.
    pub lines: Vec<String>,
    /// The bytes that they add.
    pub bytes: Bytes,
    /// The paths, as written.
    pub paths: Vec<String>,
    pub unsure: Vec<String>,
    /// The script that a container starts, which may run something that is not copied.
    pub script: Option<String>,
    /// Whether they include libraries that have to be added to the loader's cache.
    pub has_libraries: bool,
    /// Whether they include compiled modules of another language.
    pub has_modules: bool,
}

/// Makes the instructions.
pub(super) fn copies(context: &BuildContext<'_>, entry: &StartCommands) -> Copies {
    let mut copies = Copies { prunes: prunes(context, entry), ..Copies::default() };
    let evaluate = Evaluate::new(context, entry, !copies.prunes.is_empty());
    let fates = evaluate.fates();
    let found = roots(&context.tree, &fates, |path| shell_word(path).is_some());
    let mut tail = Vec::from_iter(removal(context, &found));
    let mut writer = CopyWriter { context, fates: &fates, removed: HashSet::new(), copies: &mut copies };
    writer.removed = found.removed.iter().copied().filter(|node| writable(&context.tree, *node)).collect();
    let gathered = writer.instructions(&found);
    tail.extend(writer.gather(&gathered));
    copies.tail = tail;
    accounts(context, &mut copies);
    tell(context, entry, &evaluate, &fates, &found, &mut copies);
    copies
}

fn writable(tree: &PathTree<'_>, node: usize) -> bool {
    shell_word(tree.nodes[node].path).is_some()
}

/// Deletes what is not wanted, after everything is built.
fn removal(context: &BuildContext<'_>, roots: &Roots) -> Option<String> {
    let words: Vec<String> =
        roots.removed.iter().filter_map(|node| shell_word(context.tree.nodes[*node].path)).collect();
    if words.is_empty() {
        return None;
    }
    Some(format!("# Leave these out of the copy.\nRUN rm -rf {}", words.join(" \\\n      ")))
}

/// Removes development dependencies, with the package manager that installed them.
fn prunes(context: &BuildContext<'_>, entry: &StartCommands) -> Vec<String> {
    if needs_development(context, entry) {
        return Vec::new();
    }
    let mut projects: BTreeMap<&[u8], &str> = BTreeMap::new();
    for node in context.tree.nodes.iter().filter(|node| matches!(node.what, PathKind::File(_))) {
        let is_own = matches!(context.maker(node.layer), Maker::Builder(_));
        if !is_own || !context.kinds.is_development(node.path) {
            continue;
        }
        let Some(project) = project_of(node.path) else { continue };
        match manager(context, project) {
            Some(command) => drop(projects.insert(project, command)),
            None => return Vec::new(),
        }
    }
    let mut lines = Vec::new();
    let directory = context.directory_after(context.split);
    for (project, command) in projects {
        let Some(path) = shell_word(project) else { return Vec::new() };
        let is_here = directory.as_deref() == Some(path.as_str());
        let cd = if is_here { String::new() } else { format!("cd {path} && ") };
        lines.push(format!("# Remove development dependencies before the copy.\nRUN {cd}{command}"));
    }
    lines
}

/// The directory that contains the `node_modules` of a path.
fn project_of(path: &[u8]) -> Option<&[u8]> {
    let modules = b"/node_modules/";
    let at = path.windows(modules.len()).position(|window| window == modules)?;
    Some(&path[..at])
}

/// The command of a project's package manager, recognised by what it leaves beside the packages.
fn manager(context: &BuildContext<'_>, project: &[u8]) -> Option<&'static str> {
    let has = |name: &str| context.tree.find(&[project, name.as_bytes()].concat()).is_some();
    if has("/node_modules/.package-lock.json") {
        Some("npm prune --omit=dev")
    } else if has("/node_modules/.modules.yaml") {
        Some("pnpm prune --prod")
    } else {
        None
    }
}

/// Writes the instructions of one proposal.
struct CopyWriter<'w, 'a> {
    context: &'w BuildContext<'a>,
    fates: &'w [Fate],
    /// The nodes that the builder deletes at its end.
    removed: HashSet<usize>,
    copies: &'w mut Copies,
}

impl CopyWriter<'_, '_> {
    /// One `COPY` for each directory, and one for the files of a directory; returns what cannot be copied like that.
    fn instructions(&mut self, roots: &Roots) -> Vec<usize> {
        let mut by_parent: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        let mut gathered = roots.links.clone();
        let careful = self.is_careful();
        for node in roots.directories.iter().chain(&roots.files) {
            let TreeNode { path, what, children, .. } = &self.context.tree.nodes[*node];
            // For an empty directory, builders copy neither owner nor mode.
            let is_empty = *what == PathKind::Directory && children.is_empty();
            if is_empty || copy_path(path).is_none() || careful && self.is_in_own_directory(*node) {
                gathered.push(*node);
            } else {
                by_parent.entry(parent_of(path)).or_default().push(*node);
            }
        }
        for (parent, nodes) in by_parent {
            if nodes.len() >= GATHERED {
                gathered.extend(nodes);
                continue;
            }
            let is_directory = |node: &usize| self.context.tree.nodes[*node].what == PathKind::Directory;
            let (directories, files): (Vec<usize>, Vec<usize>) = nodes.into_iter().partition(is_directory);
            directories.iter().for_each(|node| self.copy_directory(*node));
            self.copy_files(parent, &files);
        }
        gathered.sort_unstable();
        gathered
    }

    /// Whether the owners of directories matter. `COPY` recreates those above what it copies.
    fn is_careful(&self) -> bool {
        self.context.steps.iter().any(|step| {
            let text = &step.instruction.text;
            step.instruction.keyword == "USER" || text.contains("chown") || text.contains("chmod")
        })
    }

    fn is_in_own_directory(&self, node: usize) -> bool {
        let tree = &self.context.tree;
        let parent = tree.nodes[node].parent;
        parent > 0 && !matches!(self.context.maker(tree.nodes[parent].layer), Maker::Base)
    }

    fn copy_directory(&mut self, node: usize) {
        let Some(path) = copy_path(self.context.tree.nodes[node].path) else { return };
        self.add(&[node]);
        self.copies.lines.push(format!("COPY --from={{builder}} {path} {path}"));
        self.copies.paths.push(path);
    }

    fn copy_files(&mut self, parent: &[u8], files: &[usize]) {
        let paths: Vec<String> =
            files.iter().filter_map(|node| copy_path(self.context.tree.nodes[*node].path)).collect();
        let to = match (paths.as_slice(), parent) {
            ([], _) => return,
            ([one], _) => one.clone(),
            (_, b"") => "/".to_owned(),
            _ => copy_path(parent).map(|parent| format!("{parent}/")).unwrap_or_else(|| "/".to_owned()),
        };
        self.add(files);
        self.copies.lines.push(format!("COPY --from={{builder}} {} {to}", paths.join(" ")));
        self.copies.paths.extend(paths);
    }

    /// Copies links, and files with the owners of the directories above them, into one directory.
    fn gather(&mut self, nodes: &[usize]) -> Option<String> {
        let words: Vec<String> =
            nodes.iter().filter_map(|node| shell_word(self.context.tree.nodes[*node].path)).collect();
        if words.is_empty() {
            return None;
        }
        let names = ["runtime", "runtime-files", "layergate-runtime"];
        let free = names.into_iter().find(|name| self.context.tree.find(name.as_bytes()).is_none());
        let directory = format!("/{}", free.unwrap_or("layergate-runtime-files"));
        self.add(nodes);
        self.copies.lines.push(format!("COPY --from={{builder}} {directory}/ /"));
        // From the root, because coreutils 9.1 accepts no absolute path there.
        let relative = |word: &String| word.replacen('/', "", 1);
        let listed = words.iter().map(relative).collect::<Vec<_>>().join(" \\\n      ");
        self.copies.paths.extend(words);
        Some(format!(
            "# Collect the files that run, with their links and owners.\nRUN mkdir {directory} && cd / && cp -a --parents -- \\\n      {listed} \\\n      {directory}/"
        ))
    }

    /// Counts what one `COPY` adds: a file with several names once, as stored by the builder.
    fn add(&mut self, nodes: &[usize]) {
        let (mut files, mut sum) = (HashSet::new(), 0);
        let mut left = nodes.to_vec();
        while let Some(index) = left.pop() {
            if self.removed.contains(&index) {
                continue;
            }
            let node = &self.context.tree.nodes[index];
            left.extend(&node.children);
            let PathKind::File(file) = node.what else { continue };
            if self.fates[index] != Fate::Pruned && files.insert(file) {
                sum += self.context.filesystem.existing_at(file as usize).map_or(0, |file| file.size.0);
            }
            self.copies.has_libraries |= is_library(node.path);
            self.copies.has_modules |= node.path.ends_with(b".so") || node.path.ends_with(b".node");
        }
        self.copies.bytes = Bytes(self.copies.bytes.0.saturating_add(sum));
    }
}

/// A library in a directory that the loader finds only through its cache.
fn is_library(path: &[u8]) -> bool {
    let directory = parent_of(path);
    let name = name_of(path);
    let is_one = name.ends_with(b".so") || name.windows(4).any(|window| window == b".so.");
    is_one
        && (directory == b"usr/local/lib"
            || directory == b"usr/local/lib64"
            || directory.ends_with(b"-linux-gnu"))
}

/// Users that the builder creates in a way that cannot be repeated are copied with their files.
fn accounts(context: &BuildContext<'_>, copies: &mut Copies) {
    let hidden = context.before().iter().any(|step| step.role != Role::InstallsPackages && hides_users(step));
    if !hidden {
        return;
    }
    let own = |path: &&&[u8]| {
        let node = context.tree.find(path).and_then(|node| context.tree.nodes.get(node));
        node.is_some_and(|node| matches!(context.maker(node.layer), Maker::Builder(_)))
    };
    let paths: Vec<String> = ACCOUNTS.iter().filter(own).filter_map(|path| copy_path(path)).collect();
    if paths.is_empty() {
        return;
    }
    for path in ACCOUNTS.iter().filter(own) {
        let file = context.tree.find(path).map(|node| context.tree.nodes[node].what);
        if let Some(PathKind::File(file)) = file {
            let size = context.filesystem.existing_at(file as usize).map_or(0, |file| file.size.0);
            copies.bytes = Bytes(copies.bytes.0.saturating_add(size));
        }
    }
    copies.lines.insert(0, format!("COPY --from={{builder}} {} /etc/", paths.join(" ")));
    copies.unsure.push("the build also creates users, so the files that list them are copied".into());
}

/// The first file of the base image that the builder deletes, and how many there are: if the final stage is built on
/// that image, they exist again.
fn deleted<'a>(context: &BuildContext<'a>) -> Option<(PathRef<'a>, usize)> {
    let mut gone = context.filesystem.waste().filter(|file| {
        file.stored_by < context.base_layers
            && !file.replaced
            && matches!(context.maker(file.hidden_by), Maker::Builder(_))
            && !is_debris(file.path.0)
            && !file.path.0.ends_with(b".pyc")
            && context.tree.find(file.path.0).is_none()
    });
    let first = gone.next()?;
    Some((first.path, 1 + gone.count()))
}

/// Records what is uncertain about the copies.
fn tell(
    context: &BuildContext<'_>,
    entry: &StartCommands,
    evaluate: &Evaluate<'_, '_>,
    fates: &[Fate],
    roots: &Roots,
    copies: &mut Copies,
) {
    let crowded = roots
        .crowded
        .first()
        .map(|first| format!("{} is copied whole, build tools included", shown(context, *first)));
    let companions = evaluate.companions(fates).map(|names| {
        format!("these came with a build tool but are copied, because other programs may load them: {names}")
    });
    let starts_by_script = evaluate.prunes && ["npm", "yarn", "pnpm"].iter().any(|tool| entry.calls(tool));
    let script = starts_by_script
        .then_some("the script that starts the program must work without development dependencies");
    copies.script = started_script(context, fates);
    let by_script = copies
        .script
        .as_ref()
        .map(|name| format!("what {name} runs is unknown: it must work without the build tools"));
    let beside = (evaluate.compiled && copies.paths.len() > 1)
        .then_some("of the files copied beside the program, keep only those that it reads at run time");
    let is_empty = roots.directories.is_empty() && roots.files.is_empty() && roots.links.is_empty();
    let nothing = is_empty.then_some("nothing in the builder stage was found to run");
    let told = [
        unwritten(context, roots),
        special(context),
        gone(context),
        secrets(context, fates),
        doubtful_cache(context, fates),
        development(context, fates),
        crowded,
        companions,
        script.map(str::to_owned),
        by_script,
        beside.map(str::to_owned),
        nothing.map(str::to_owned),
    ];
    copies.unsure.extend(told.into_iter().flatten());
}

/// The script that a container starts, which may run build tools that stay in the builder.
fn started_script(context: &BuildContext<'_>, fates: &[Fate]) -> Option<String> {
    let is_tool = |(index, node): (usize, &TreeNode<'_>)| match node.what {
        PathKind::File(file) if fates[index] == Fate::Dropped => {
            let kind = context.kinds.of(file as usize, node.path);
            kind.is_some_and(|kind| kind.weight == Weight::Tool)
                && matches!(context.maker(node.layer), Maker::Builder(_))
        }
        _ => false,
    };
    let script = comment(context.kinds.script()?);
    context.tree.nodes.iter().enumerate().any(is_tool).then_some(script)
}

fn shown(context: &BuildContext<'_>, node: usize) -> String {
    comment(&format!("/{}", PathRef(context.tree.nodes[node].path)))
}

/// Paths that no Dockerfile can express.
fn unwritten(context: &BuildContext<'_>, roots: &Roots) -> Option<String> {
    let path = shown(context, *roots.unwritten.first()?);
    Some(match roots.unwritten.len() - 1 {
        0 => format!("{path} is not copied: its name cannot be written safely in a Dockerfile"),
        more => {
            format!(
                "{path} and {more} more are not copied: their names cannot be written safely in a Dockerfile"
            )
        }
    })
}

/// Devices, pipes and sockets.
fn special(context: &BuildContext<'_>) -> Option<String> {
    let is_special = |node: &TreeNode<'_>| {
        node.what == PathKind::Special && matches!(context.maker(node.layer), Maker::Builder(_))
    };
    let first = context.tree.nodes.iter().position(is_special)?;
    Some(format!("{} is not a file, and is not copied", shown(context, first)))
}

fn gone(context: &BuildContext<'_>) -> Option<String> {
    let (path, count) = deleted(context)?;
    let path = comment(&format!("/{path}"));
    let what = if count == 1 { path } else { format!("{path} and {} more", count - 1) };
    Some(format!("the build deletes files of its base image, but the final stage still has them: {what}"))
}

/// Copied files that look like secrets.
fn secrets(context: &BuildContext<'_>, fates: &[Fate]) -> Option<String> {
    let is_secret = |(index, node): &(usize, &TreeNode<'_>)| match node.what {
        PathKind::File(file) if fates[*index] == Fate::Kept => {
            let kind = context.kinds.of(file as usize, node.path);
            kind.is_some_and(|kind| kind.name == "secrets")
        }
        _ => false,
    };
    let found = context.tree.nodes.iter().enumerate().filter(is_secret);
    let found: Vec<String> = found.map(|(index, _)| shown(context, index)).collect();
    let (look, come) = match found.len() {
        0 => return None,
        1 => ("looks", "is still copied: mount it"),
        _ => ("look", "are still copied: mount them"),
    };
    Some(format!("{} {look} like a secret and {come} when a container starts", found.join(", ")))
}

/// A cache that programs may load.
fn doubtful_cache(context: &BuildContext<'_>, fates: &[Fate]) -> Option<String> {
    let is_doubtful = |(index, node): &(usize, &TreeNode<'_>)| {
        matches!(node.what, PathKind::File(_))
            && fates[*index] == Fate::Dropped
            && is_doubtful_cache(node.path)
            && matches!(context.maker(node.layer), Maker::Builder(_))
    };
    let (index, _) = context.tree.nodes.iter().enumerate().find(is_doubtful)?;
    Some(format!("caches are not copied: copy {} if the program loads it", shown(context, index)))
}

/// Packages that only development loads, judging by their names.
fn development(context: &BuildContext<'_>, fates: &[Fate]) -> Option<String> {
    let name_of = |(index, node): (usize, &TreeNode<'_>)| match node.what {
        PathKind::File(file) if fates[index] == Fate::Dropped => {
            let kind = context.kinds.of(file as usize, node.path);
            let is_one = kind.is_some_and(|kind| kind.name == "python-dev-dependencies");
            context.kinds.owner(file as usize).filter(|_| is_one).map(|owner| owner.name.clone())
        }
        _ => None,
    };
    let names: BTreeSet<String> = context.tree.nodes.iter().enumerate().filter_map(name_of).collect();
    let names: Vec<String> = names.into_iter().take(MAX_TOLD).map(|name| comment(&name)).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("development packages are not copied, so the program must not import them: {names}")
    })
}
