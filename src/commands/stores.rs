//! Which store of baselines is meant, and whether it may be used: files of the checkout are not a store, for a pull
//! request brings them.

use std::path::{Component, Path, PathBuf};

use super::{UsageError, console, github, set_variable};
use crate::baseline::{DirStore, Git, Store, StoreError, StoreName};
use crate::cli::{self, GithubFlags};
use crate::github::{Context, Deciding, Forge};
use crate::source::{ImageReference, NamedImage};

/// Where baselines are kept where nothing is said: on a runner a directory is gone after its job.
const IN_ACTIONS: &str = "git:layergate-baselines";
const ELSEWHERE: &str = "dir:.layergate";

const NO_GIT: &str =
    "it is in the workspace, and without git it is unknown which files come from the repository";

/// The store that is named, or the usual one.
///
/// # Errors
/// [`StoreError`] for a name that no store can have.
pub fn name(flags: &cli::StoreFlags, github: &GithubFlags) -> Result<StoreName, StoreError> {
    // Gitea and Forgejo have no such branch.
    let has_branch = || console::in_actions() && github::forge(github) == Forge::Github;
    let usual = || if has_branch() { IN_ACTIONS } else { ELSEWHERE };
    StoreName::parse(flags.store.as_deref().unwrap_or_else(usual))
}

/// The same, before anything is asked of it.
///
/// # Errors
/// If it is not there to be used: [`UsageError`] for files that git tracks.
pub fn open(flags: &cli::StoreFlags, github: &GithubFlags, plain_http: bool) -> anyhow::Result<Store> {
    match name(flags, github)? {
        StoreName::Directory(path) => Ok(Store::Directory(directory(path)?)),
        name => name.open(plain_http, || github::of_store(github)),
    }
}

/// A directory of baselines.
///
/// # Errors
/// [`UsageError`] for one with files that git tracks.
pub fn directory(path: PathBuf) -> Result<DirStore, UsageError> {
    let refused = |why: String| {
        UsageError(format!(
            "--store dir:{}: {why}. Files of the checkout cannot be a store: a pull request could bring its own baselines. Remove them from git (git rm -r --cached), or use git:BRANCH, oci:HOST/REPO or a directory outside the checkout",
            path.display()
        ))
    };
    match DirectoryTrust::of(&path) {
        DirectoryTrust::Outside => Ok(DirStore::at(path)),
        DirectoryTrust::InCheckout => Ok(DirStore::at(path).in_checkout()),
        DirectoryTrust::Tracked(file) => Err(refused(format!("git tracks {file}"))),
        DirectoryTrust::Unknown => Err(refused(NO_GIT.into())),
    }
}

/// Refuses a file or directory that a pull request could bring where the job's own is meant; `what` names it.
///
/// # Errors
/// [`UsageError`] for one that git tracks, or may track, in a run for a pull request or a merge group.
pub fn refuse_committed(path: &Path, what: &str, context: Option<&Context>) -> Result<(), UsageError> {
    if context.is_none_or(|context| context.deciding() == Deciding::Checkout) {
        return Ok(());
    }
    let Some(why) = why_committed(path) else { return Ok(()) };
    Err(UsageError(format!(
        "{what} {}: {why}, so a pull request could bring its own; name one that is not committed",
        path.display()
    )))
}

/// Refuses a committed file in whose absence an image's name would mean another image: a pull request could bring it.
///
/// # Errors
/// [`UsageError`] that tells how to name either.
pub fn refuse_shadow(image: &NamedImage) -> Result<(), UsageError> {
    let Some((path, why)) = image.image.shadow().and_then(|path| Some((path, why_committed(path)?))) else {
        return Ok(());
    };
    let hint = match &image.image {
        ImageReference::Path(_) => {
            format!("write ./{0} for the file, or docker-daemon:{0} for the image", path.display())
        }
        _ => "use a file whose path has no colon".to_owned(),
    };
    Err(UsageError(format!(
        "`{}` could be an image or a file that a pull request brings ({why}); {hint}",
        image.text
    )))
}

/// Why a path may be one that a pull request brings, if it may.
pub fn why_committed(path: &Path) -> Option<String> {
    match DirectoryTrust::of(path) {
        DirectoryTrust::Tracked(file) => Some(format!("git tracks {file}")),
        DirectoryTrust::Unknown => Some(NO_GIT.to_owned()),
        DirectoryTrust::Outside | DirectoryTrust::InCheckout => None,
    }
}

/// Where a directory is, as far as that says who can write there.
enum DirectoryTrust {
    /// In no checkout.
    Outside,
    /// In a checkout, with nothing in it that is committed.
    InCheckout,
    /// It has this file, or a link on its way, that is committed.
    Tracked(String),
    /// In the workspace of a run that has no git.
    Unknown,
}

impl DirectoryTrust {
    fn of(path: &Path) -> DirectoryTrust {
        let absolute = plain(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        match committed_link(&absolute) {
            Committed::No => {}
            found => return found.into(),
        }
        let existing = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let rest = absolute.strip_prefix(existing).unwrap_or(Path::new(""));
        let mut real = existing.canonicalize().unwrap_or_else(|_| existing.to_path_buf());
        // Part by part: a slash at the end of a file's name would make it a directory's.
        real.extend(rest.components());
        match tracked(&real) {
            Committed::No => {}
            found => return found.into(),
        }
        let workspace =
            set_variable("GITHUB_WORKSPACE").and_then(|path| Path::new(&path).canonicalize().ok());
        let is_in_workspace = workspace.is_some_and(|workspace| real.starts_with(workspace));
        match Git::around(&real) {
            Some(_) => DirectoryTrust::InCheckout,
            None if is_in_workspace && !Git::is_installed() => DirectoryTrust::Unknown,
            None if is_in_workspace => DirectoryTrust::InCheckout,
            None => DirectoryTrust::Outside,
        }
    }
}

/// Whether a path is committed.
pub enum Committed {
    /// No file that is, or is below, the path is.
    No,
    /// This one is.
    File(String),
    /// It is in a checkout of which git does not tell.
    Unknown,
}

impl From<Committed> for DirectoryTrust {
    fn from(committed: Committed) -> DirectoryTrust {
        match committed {
            Committed::File(file) => DirectoryTrust::Tracked(file),
            Committed::No | Committed::Unknown => DirectoryTrust::Unknown,
        }
    }
}

/// A committed link that an absolute path, without `.` and `..`, leads through. It leads wherever its author likes.
pub fn committed_link(path: &Path) -> Committed {
    let is_link = |path: &&Path| path.symlink_metadata().is_ok_and(|kind| kind.is_symlink());
    let links = path.ancestors().filter(is_link).map(tracked);
    links.fold(Committed::No, |found, link| if matches!(found, Committed::No) { link } else { found })
}

/// A committed file that is, or is below, a path: of the checkout that it is in, and of those around that one. A
/// submodule is one file of the checkout that has it.
fn tracked(path: &Path) -> Committed {
    // A link is itself what is asked for, and not what it leads to.
    let mut at = path.parent().unwrap_or(path);
    if !path.symlink_metadata().is_ok_and(|kind| kind.is_symlink()) {
        at = path;
    }
    while let Some((git, root)) = Git::around(at) {
        match git.first_tracked(&path.to_string_lossy()) {
            Some(None) => {}
            Some(Some(file)) => return Committed::File(file),
            None => return Committed::Unknown,
        }
        match root.parent() {
            Some(parent) => at = parent,
            None => break,
        }
    }
    Committed::No
}

/// A path without `.` and `..`.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}
