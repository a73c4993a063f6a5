//! What the final stage copies from the builder, as instructions, with the bytes that each adds.

use std::collections::{BTreeMap, HashSet};

use super::entry::Entry;
use super::fate::{ACCOUNTS, Fate, Judge, is_debris};
use super::quote::{comment, copy_path, shell_word};
use super::roots::{Roots, roots};
use super::scene::{Maker, Scene, hides_users};
use super::steps::Role;
use super::tree::{Node, Tree, What, name_of, parent_of};
use crate::image::Bytes;
use crate::image::census::PathRef;

/// From so many parts of one directory on, they are gathered first.
const GATHERED: usize = 6;

/// The instructions that copy.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// What package managers do at the end of the builder, as who built.
    pub prunes: Vec<String>,
    /// What the builder does last, as root.
    pub tail: Vec<String>,
    /// The copies; `{builder}` stands for the stage.
    pub lines: Vec<String>,
    /// All that they add.
    pub bytes: Bytes,
    /// The paths, as written.
    pub paths: Vec<String>,
    pub unsure: Vec<String>,
    /// Whether libraries are among it that a loader has to be told of.
    pub has_libraries: bool,
    /// Whether compiled modules of another language are among it.
    pub has_modules: bool,
}

/// Makes the instructions.
pub(super) fn copies(scene: &Scene<'_>, entry: &Entry) -> Copies {
    let mut copies = Copies { prunes: prunes(scene, entry), ..Copies::default() };
    let judge = Judge::new(scene, entry, !copies.prunes.is_empty());
    let fates = judge.fates();
    let found = roots(&scene.tree, &fates, |path| shell_word(path).is_some());
    let mut tail = Vec::from_iter(removal(scene, &found));
    let mut writer = Writer { scene, fates: &fates, removed: HashSet::new(), copies: &mut copies };
    writer.removed = found.removed.iter().copied().filter(|node| writable(&scene.tree, *node)).collect();
    let gathered = writer.instructions(&found);
    tail.extend(writer.gather(&gathered));
    copies.tail = tail;
    accounts(scene, &mut copies);
    tell(scene, entry, &judge, &fates, &found, &mut copies);
    copies
}

fn writable(tree: &Tree<'_>, node: usize) -> bool {
    shell_word(tree.nodes[node].path).is_some()
}

/// Takes away what is not wanted, once nothing is built any more.
fn removal(scene: &Scene<'_>, roots: &Roots) -> Option<String> {
    let words: Vec<String> =
        roots.removed.iter().filter_map(|node| shell_word(scene.tree.nodes[*node].path)).collect();
    if words.is_empty() {
        return None;
    }
    Some(format!("# Not to be copied with what is around it.\nRUN rm -rf {}", words.join(" \\\n      ")))
}

/// Takes away the packages that only development needs, by the manager that installed them.
fn prunes(scene: &Scene<'_>, entry: &Entry) -> Vec<String> {
    if needs_development(scene, entry) {
        return Vec::new();
    }
    let mut projects: BTreeMap<&[u8], &str> = BTreeMap::new();
    for node in scene.tree.nodes.iter().filter(|node| matches!(node.what, What::File(_))) {
        let is_own = matches!(scene.maker(node.layer), Maker::Builder(_));
        if !is_own || !scene.kinds.is_development(node.path) {
            continue;
        }
        let Some(project) = project_of(node.path) else { continue };
        match manager(scene, project) {
            Some(command) => drop(projects.insert(project, command)),
            None => return Vec::new(),
        }
    }
    let mut lines = Vec::new();
    let directory = scene.directory_after(scene.split);
    for (project, command) in projects {
        let Some(path) = shell_word(project) else { return Vec::new() };
        let is_here = directory.as_deref() == Some(path.as_str());
        let cd = if is_here { String::new() } else { format!("cd {path} && ") };
        lines.push(format!("# What only development loads does not go along.\nRUN {cd}{command}"));
    }
    lines
}

/// Whether the image starts with something that only development needs, or may be so: whose a program of
/// `node_modules/.bin` is can only be told where it has its package's name.
pub(super) fn needs_development(scene: &Scene<'_>, entry: &Entry) -> bool {
    entry.named.iter().any(|node| {
        let path = scene.tree.nodes[*node].path;
        let directory = parent_of(path);
        let Some(modules) = directory.strip_suffix(b"/.bin") else { return scene.kinds.is_development(path) };
        let package = [modules, b"/", name_of(path)].concat();
        let has = |file: &[u8]| scene.tree.find(&[package.as_slice(), file].concat()).is_some();
        let is_plain = (has(b"") || has(b"/package.json"))
            && !scene.kinds.is_development(&[package.as_slice(), b"/package.json"].concat());
        modules.ends_with(b"node_modules") && !is_plain
    })
}

/// The directory whose `node_modules` a path is in.
fn project_of(path: &[u8]) -> Option<&[u8]> {
    let modules = b"/node_modules/";
    let at = path.windows(modules.len()).position(|window| window == modules)?;
    Some(&path[..at])
}

/// The command of a project's package manager, by what that leaves beside the packages.
fn manager(scene: &Scene<'_>, project: &[u8]) -> Option<&'static str> {
    let has = |name: &str| scene.tree.find(&[project, name.as_bytes()].concat()).is_some();
    if has("/node_modules/.package-lock.json") {
        Some("npm prune --omit=dev")
    } else if has("/node_modules/.modules.yaml") {
        Some("pnpm prune --prod")
    } else {
        None
    }
}

/// Writes the instructions of one proposal.
struct Writer<'w, 'a> {
    scene: &'w Scene<'a>,
    fates: &'w [Fate],
    /// What the builder deletes at its end.
    removed: HashSet<usize>,
    copies: &'w mut Copies,
}

impl Writer<'_, '_> {
    /// One `COPY` for each directory, and one for the files of a directory; what cannot be copied so
    /// is returned.
    fn instructions(&mut self, roots: &Roots) -> Vec<usize> {
        let mut by_parent: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        let mut gathered = roots.links.clone();
        let careful = self.is_careful();
        for node in roots.directories.iter().chain(&roots.files) {
            let Node { path, what, children, .. } = &self.scene.tree.nodes[*node];
            // Of an empty directory, builders copy neither owner nor mode.
            let is_empty = *what == What::Directory && children.is_empty();
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
            let is_directory = |node: &usize| self.scene.tree.nodes[*node].what == What::Directory;
            let (directories, files): (Vec<usize>, Vec<usize>) = nodes.into_iter().partition(is_directory);
            directories.iter().for_each(|node| self.copy_directory(*node));
            self.copy_files(parent, &files);
        }
        gathered.sort_unstable();
        gathered
    }

    /// Whether it matters to whom directories belong. `COPY` makes those above what it copies anew.
    fn is_careful(&self) -> bool {
        self.scene.steps.iter().any(|step| {
            let text = &step.instruction.text;
            step.instruction.keyword == "USER" || text.contains("chown") || text.contains("chmod")
        })
    }

    fn is_in_own_directory(&self, node: usize) -> bool {
        let tree = &self.scene.tree;
        let parent = tree.nodes[node].parent;
        parent > 0 && !matches!(self.scene.maker(tree.nodes[parent].layer), Maker::Base)
    }

    fn copy_directory(&mut self, node: usize) {
        let Some(path) = copy_path(self.scene.tree.nodes[node].path) else { return };
        self.add(&[node]);
        self.copies.lines.push(format!("COPY --from={{builder}} {path} {path}"));
        self.copies.paths.push(path);
    }

    fn copy_files(&mut self, parent: &[u8], files: &[usize]) {
        let paths: Vec<String> =
            files.iter().filter_map(|node| copy_path(self.scene.tree.nodes[*node].path)).collect();
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

    /// Copies with links, and with the owners of the directories above, into one directory.
    fn gather(&mut self, nodes: &[usize]) -> Option<String> {
        let words: Vec<String> =
            nodes.iter().filter_map(|node| shell_word(self.scene.tree.nodes[*node].path)).collect();
        if words.is_empty() {
            return None;
        }
        let names = ["runtime", "runtime-files", "layergate-runtime"];
        let free = names.into_iter().find(|name| self.scene.tree.find(name.as_bytes()).is_none());
        let directory = format!("/{}", free.unwrap_or("layergate-runtime-files"));
        self.add(nodes);
        self.copies.lines.push(format!("COPY --from={{builder}} {directory}/ /"));
        // From the root, for coreutils 9.1 takes no absolute path there.
        let relative = |word: &String| word.replacen('/', "", 1);
        let listed = words.iter().map(relative).collect::<Vec<_>>().join(" \\\n      ");
        self.copies.paths.extend(words);
        Some(format!(
            "# What runs, gathered with its links and owners.\nRUN mkdir {directory} && cd / && cp -a --parents -- \\\n      {listed} \\\n      {directory}/"
        ))
    }

    /// Counts what one `COPY` adds: a file with several names once, as the builder stores it.
    fn add(&mut self, nodes: &[usize]) {
        let (mut files, mut sum) = (HashSet::new(), 0);
        let mut left = nodes.to_vec();
        while let Some(index) = left.pop() {
            if self.removed.contains(&index) {
                continue;
            }
            let node = &self.scene.tree.nodes[index];
            left.extend(&node.children);
            let What::File(file) = node.what else { continue };
            if self.fates[index] != Fate::Pruned && files.insert(file) {
                sum += self.scene.inputs.applied.existing.get(file as usize).map_or(0, |file| file.size.0);
            }
            self.copies.has_libraries |= is_library(node.path);
            self.copies.has_modules |= node.path.ends_with(b".so") || node.path.ends_with(b".node");
        }
        self.copies.bytes = Bytes(self.copies.bytes.0.saturating_add(sum));
    }
}

/// A library in a directory that the loader only looks into by its cache.
fn is_library(path: &[u8]) -> bool {
    let directory = parent_of(path);
    let name = name_of(path);
    let is_one = name.ends_with(b".so") || name.windows(4).any(|window| window == b".so.");
    is_one
        && (directory == b"usr/local/lib"
            || directory == b"usr/local/lib64"
            || directory.ends_with(b"-linux-gnu"))
}

/// Users that the builder makes in a way that cannot be repeated come along with their files.
fn accounts(scene: &Scene<'_>, copies: &mut Copies) {
    let hidden = scene.before().iter().any(|step| step.role != Role::InstallsPackages && hides_users(step));
    if !hidden {
        return;
    }
    let own = |path: &&&[u8]| {
        let node = scene.tree.find(path).and_then(|node| scene.tree.nodes.get(node));
        node.is_some_and(|node| matches!(scene.maker(node.layer), Maker::Builder(_)))
    };
    let paths: Vec<String> = ACCOUNTS.iter().filter(own).filter_map(|path| copy_path(path)).collect();
    if paths.is_empty() {
        return;
    }
    for path in ACCOUNTS.iter().filter(own) {
        let file = scene.tree.find(path).map(|node| scene.tree.nodes[node].what);
        if let Some(What::File(file)) = file {
            let size = scene.inputs.applied.existing.get(file as usize).map_or(0, |file| file.size.0);
            copies.bytes = Bytes(copies.bytes.0.saturating_add(size));
        }
    }
    copies.lines.insert(0, format!("COPY --from={{builder}} {} /etc/", paths.join(" ")));
    copies
        .unsure
        .push("users are made together with the build, so the files that list them are copied".into());
}

/// The first file of the base image that the builder deletes, and how many there are: where the final stage is
/// built on that image, they are there again.
fn deleted<'a>(scene: &Scene<'a>) -> Option<(PathRef<'a>, usize)> {
    let mut gone = scene.inputs.applied.waste.iter().filter(|file| {
        file.stored_by < scene.base_layers
            && !file.replaced
            && matches!(scene.maker(file.hidden_by), Maker::Builder(_))
            && !is_debris(file.path.0)
            && !file.path.0.ends_with(b".pyc")
            && scene.tree.find(file.path.0).is_none()
    });
    let first = gone.next()?;
    Some((first.path, 1 + gone.count()))
}

/// Says what is not certain of the copies.
fn tell(
    scene: &Scene<'_>,
    entry: &Entry,
    judge: &Judge<'_, '_>,
    fates: &[Fate],
    roots: &Roots,
    copies: &mut Copies,
) {
    let shown = |node: usize| comment(&format!("/{}", PathRef(scene.tree.nodes[node].path)));
    if let Some(first) = roots.unwritten.first() {
        let count = roots.unwritten.len();
        let (path, more) = (shown(*first), count - 1);
        copies.unsure.push(match more {
            0 => format!("{path} is not copied: its name cannot be written here for certain"),
            _ => format!(
                "{path} and {more} more are not copied: their names cannot be written here for certain"
            ),
        });
    }
    let specials = scene.tree.nodes.iter().enumerate().filter(|(_, node)| {
        node.what == What::Special && matches!(scene.maker(node.layer), Maker::Builder(_))
    });
    copies
        .unsure
        .extend(specials.take(1).map(|(node, _)| format!("{} is no file, and is not copied", shown(node))));
    if let Some((path, count)) = deleted(scene) {
        let path = comment(&format!("/{path}"));
        let what = if count == 1 { path } else { format!("{path} and {} more", count - 1) };
        copies
            .unsure
            .push(format!("the build deletes files of its base image, which the final stage has: {what}"));
    }
    let is_secret = |(index, node): &(usize, &Node<'_>)| match node.what {
        What::File(file) if fates[*index] == Fate::Kept => {
            let kind = scene.kinds.of(scene.inputs.applied, file as usize, node.path);
            kind.is_some_and(|kind| kind.name == "secrets")
        }
        _ => false,
    };
    let secrets = scene.tree.nodes.iter().enumerate().filter(is_secret);
    let secrets: Vec<String> = secrets.map(|(index, _)| shown(index)).collect();
    if !secrets.is_empty() {
        let (look, come) = match secrets.len() {
            1 => ("looks", "comes along as it did: mount it"),
            _ => ("look", "come along as they did: mount them"),
        };
        let names = secrets.join(", ");
        copies.unsure.push(format!("{names} {look} like a secret, and {come} when a container starts"));
    }
    if let Some(first) = roots.crowded.first() {
        copies
            .unsure
            .push(format!("{} is copied as a whole, with what in it only the build needs", shown(*first)));
    }
    if let Some(names) = judge.companions(fates) {
        copies
            .unsure
            .push(format!("these came with a build tool, and are copied, as others may load them: {names}"));
    }
    if judge.prunes && (entry.calls("npm") || entry.calls("yarn") || entry.calls("pnpm")) {
        copies
            .unsure
            .push("the script that starts the program must do without development dependencies".into());
    }
    if judge.compiled && copies.paths.len() > 1 {
        copies
            .unsure
            .push("of what is copied beside the program, only what it reads when it runs is needed".into());
    }
    if roots.directories.is_empty() && roots.files.is_empty() && roots.links.is_empty() {
        copies.unsure.push("nothing of the builder was found that runs".into());
    }
}
