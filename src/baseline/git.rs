//! What the local checkout says about commits, asked of the `git` program. Without a checkout or `git`, nothing is
//! known, which is a valid answer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::image::Time;
use crate::image::snapshot::Commit;

/// How far back a recorded ancestor is looked for.
pub const MAX_ANCESTORS: usize = 200;

/// In a job container the checkout belongs to another user; commits are only read here. Committed files may look like a
/// bare repository, and an artifact may bring a `.git`: its configuration must not run any program.
const CAUTION: [&str; 8] = [
    "-c",
    "safe.directory=*",
    "-c",
    "safe.bareRepository=explicit",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
];

/// A checkout.
#[derive(Debug, Clone)]
pub struct Git {
    directory: PathBuf,
}

impl Git {
    /// The checkout that `directory` is in.
    pub fn at(directory: impl Into<PathBuf>) -> Git {
        Git { directory: directory.into() }
    }

    /// The innermost checkout that a path is in, and its root. Committed files can look like a repository of their own
    /// to git, but cannot be called `.git`.
    pub fn around(path: &Path) -> Option<(Git, &Path)> {
        let root = path.ancestors().find(|directory| directory.join(".git").exists())?;
        Some((Git::at(root), root))
    }

    /// Whether a `git` program is installed.
    pub fn is_installed() -> bool {
        let mut version = Command::new("git");
        version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    }

    /// The commit that is checked out. Its parents are read from the commit itself, so they are known in a shallow
    /// checkout too.
    pub fn head(&self) -> Option<Commit> {
        self.commit("HEAD")
    }

    /// A commit by any name that git accepts.
    pub fn commit(&self, name: &str) -> Option<Commit> {
        let sha = self.run(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &format!("{name}^{{commit}}"),
        ])?;
        let text = self.run(&["cat-file", "commit", &sha])?;
        let header = text.split("\n\n").next().unwrap_or_default();
        let field = |name: &'static str| header.lines().filter_map(move |line| line.strip_prefix(name));
        let parents: Vec<String> = field("parent ").map(str::to_owned).filter(|sha| is_sha(sha)).collect();
        // `committer NAME <MAIL> SECONDS ZONE`
        let time = field("committer ")
            .next()
            .and_then(|line| Time::from_seconds(line.rsplit(' ').nth(1)?.parse().ok()?));
        Some(Commit { sha: sha.clone(), parents, reference: None, time }).filter(|_| is_sha(&sha))
    }

    /// The branch that is checked out, as `refs/heads/main`.
    pub fn branch(&self) -> Option<String> {
        self.run(&["symbolic-ref", "--quiet", "HEAD"])
    }

    /// The default branch: that of `origin` if known; else `main` or `master` if one exists; else what is checked out.
    pub fn default_branch(&self) -> Option<String> {
        let of_origin = self.run(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]);
        if let Some(name) = of_origin.as_deref().and_then(|name| name.strip_prefix("refs/remotes/origin/")) {
            return Some(name.to_owned());
        }
        let is_there = |name: &&str| {
            let exists = |kind| {
                self.run(&["rev-parse", "--verify", "--quiet", &format!("refs/{kind}/{name}")]).is_some()
            };
            exists("heads") || exists("remotes/origin")
        };
        let usual = ["main", "master"].into_iter().find(is_there).map(str::to_owned);
        usual.or_else(|| self.branch()?.strip_prefix("refs/heads/").map(str::to_owned))
    }

    /// The owner and name of the repository that `origin` points to, by the end of its address.
    pub fn origin(&self) -> Option<(String, String)> {
        let address = self.run(&["config", "--get", "remote.origin.url"])?;
        let path = address.trim_end_matches('/').trim_end_matches(".git");
        let mut parts = path.rsplit(['/', ':']);
        let (name, owner) = (parts.next()?, parts.next()?);
        (!name.is_empty() && !owner.is_empty()).then(|| (owner.to_owned(), name.to_owned()))
    }

    /// The root of the checkout.
    pub fn top(&self) -> Option<PathBuf> {
        self.run(&["rev-parse", "--show-toplevel"]).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// Whether the checkout is a submodule of another one.
    pub fn is_submodule(&self) -> bool {
        self.run(&["rev-parse", "--show-superproject-working-tree"]).is_some_and(|path| !path.is_empty())
    }

    /// Whether the checkout is shallow, so that objects it lacks may still exist.
    pub fn is_shallow(&self) -> bool {
        self.run(&["rev-parse", "--is-shallow-repository"]).is_none_or(|answer| answer != "false")
    }

    /// Tracked files that differ from the checked-out commit.
    pub fn changed_files(&self) -> Vec<String> {
        let status =
            self.run(&["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"]);
        let path = |line: &str| line.get(3..).map(str::to_owned);
        status.map_or_else(Vec::new, |status| status.lines().filter_map(path).collect())
    }

    /// The first tracked file that is, or is below, this path. The outer `None` means that git cannot tell.
    pub fn first_tracked(&self, path: &str) -> Option<Option<String>> {
        let listed = self.run(&["-c", "core.quotePath=false", "ls-files", "--full-name", "--", path])?;
        Some(listed.lines().next().map(str::to_owned))
    }

    /// Whether a file is tracked, and not just on this machine.
    pub fn tracks(&self, path: &str) -> bool {
        self.run(&["ls-files", "--error-unmatch", "--", path]).is_some()
    }

    /// The best common ancestor of two commits, if the checkout reaches that far.
    pub fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        self.run(&["merge-base", "--end-of-options", one, other]).filter(|sha| is_sha(sha))
    }

    /// A commit and its first parents, newest first, as far as the checkout reaches.
    pub fn first_parents(&self, start: &str) -> Vec<String> {
        let most = format!("--max-count={}", MAX_ANCESTORS + 1);
        let list = self.run(&["rev-list", "--first-parent", &most, "--end-of-options", start]);
        list.map_or_else(Vec::new, |list| list.lines().filter(|sha| is_sha(sha)).map(str::to_owned).collect())
    }

    fn run(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("git")
            .args(CAUTION)
            .arg("-C")
            .arg(&self.directory)
            .args(arguments)
            .env("LC_ALL", "C")
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        // A commit's message and names may be in any encoding, but are not used.
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }
}

/// Whether a text is a whole commit hash (SHA-1 or SHA-256).
pub fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
