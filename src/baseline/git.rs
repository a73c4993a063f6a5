//! What the local checkout says of commits, asked of the `git` program. Where there is no
//! checkout or no `git`, nothing is known, and that is an answer.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::image::snapshot::Commit;

/// How far back a recorded ancestor is looked for.
pub const MAX_ANCESTORS: usize = 200;

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

    /// The commit that is checked out. Its parents are read from the commit itself, so they are
    /// known in a shallow checkout too.
    pub fn head(&self) -> Option<Commit> {
        self.commit("HEAD")
    }

    /// A commit by any name that git takes.
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
        let time = field("committer ").next().and_then(|line| line.rsplit(' ').nth(1)?.parse().ok());
        Some(Commit { sha: sha.clone(), parents, reference: None, time }).filter(|_| is_sha(&sha))
    }

    /// The branch that is checked out, as `refs/heads/main`.
    pub fn branch(&self) -> Option<String> {
        self.run(&["symbolic-ref", "--quiet", "HEAD"])
    }

    /// Whether the checkout is cut off, so that what it does not know may be there all the same.
    pub fn is_shallow(&self) -> bool {
        self.run(&["rev-parse", "--is-shallow-repository"]).is_none_or(|answer| answer != "false")
    }

    /// Tracked files that differ from the commit that is checked out.
    pub fn changed_files(&self) -> Vec<String> {
        let status =
            self.run(&["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"]);
        let path = |line: &str| line.get(3..).map(str::to_owned);
        status.map_or_else(Vec::new, |status| status.lines().filter_map(path).collect())
    }

    /// The best common ancestor of two commits, where the checkout reaches that far.
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
            // In a job container the checkout belongs to another user; commits are only read here.
            .args(["-c", "safe.directory=*", "-C"])
            .arg(&self.directory)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        // Of a commit's message and names, which may be in any encoding, nothing is used.
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }
}

/// Whether a text is a whole commit hash (SHA-1 or SHA-256).
pub fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
