//! Which baseline store is meant, and whether it may be used: files of the checkout are not a store, because a pull
//! request could bring them.

use std::path::{Component, Path, PathBuf};

use super::{UsageError, console, github, set_variable};
use crate::baseline::{DirStore, Git, Store, StoreError, StoreName};
use crate::cli::{self, GithubFlags};
use crate::github::{Context, Deciding, Forge};
use crate::source::{ImageReference, NamedImage};

/// The default store in GitHub Actions: on a runner a directory disappears after its job.
const IN_ACTIONS: &str = "git:layergate-baselines";
const ELSEWHERE: &str = "dir:.layergate";

const NO_GIT: &str =
    "it is in the workspace, and without git it is unknown which files come from the repository";

/// The named store, or the default one.
///
/// # Errors
/// [`StoreError`] for an invalid name.
pub fn name(flags: &cli::StoreFlags, github: &GithubFlags) -> Result<StoreName, StoreError> {
    // Gitea and Forgejo cannot have such a branch.
    let has_branch = || console::in_actions() && github::forge(github) == Forge::Github;
    let usual = || if has_branch() { IN_ACTIONS } else { ELSEWHERE };
    StoreName::parse(flags.store.as_deref().unwrap_or_else(usual))
}

/// Opens the store, without contacting it yet.
///
/// # Errors
/// If it cannot be used: [`UsageError`] for files that git tracks.
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

/// Refuses a file or directory that a pull request could bring if the job's own is meant; `what` names it.
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

/// Refuses a committed file whose absence would give an image's name another meaning: a pull request could bring it.
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

/// Why a pull request may bring a path, if it may.
pub fn why_committed(path: &Path) -> Option<String> {
    match DirectoryTrust::of(path) {
        DirectoryTrust::Tracked(file) => Some(format!("git tracks {file}")),
        DirectoryTrust::Unknown => Some(NO_GIT.to_owned()),
        DirectoryTrust::Outside | DirectoryTrust::InCheckout => None,
    }
}

/// Where a directory is, which tells who can write there.
enum DirectoryTrust {
    /// Not in a checkout.
    Outside,
    /// In a checkout, with nothing committed in it.
    InCheckout,
    /// This committed file is in it, or is a link in its path.
    Tracked(String),
    /// In the workspace of a run without git.
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
        // Part by part: a slash after a file's name would make it a directory.
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
    /// No file at or below the path is.
    No,
    /// This file is.
    File(String),
    /// It is in a checkout that git cannot tell about.
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

/// A committed link in an absolute path without `.` and `..`. Its author decides where it leads.
pub fn committed_link(path: &Path) -> Committed {
    let is_link = |path: &&Path| path.symlink_metadata().is_ok_and(|kind| kind.is_symlink());
    let links = path.ancestors().filter(is_link).map(tracked);
    links.fold(Committed::No, |found, link| if matches!(found, Committed::No) { link } else { found })
}

/// A committed file at or below a path, in the checkout that contains it and in those around that. A submodule counts
/// as one file of the checkout that has it.
fn tracked(path: &Path) -> Committed {
    // The question is about a link itself, not its target.
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
