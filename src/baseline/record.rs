//! What stores of baselines have in common: records, lists of them, and what can go wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::branch::index::IndexError;
use crate::compare::baseline::HistoryPoint;
use crate::fleet::SummaryError;
use crate::github::GithubError;
use crate::image::snapshot::SnapshotError;
use crate::image::{Snapshot, Time};
use crate::registry::ArtifactError;

/// A store that cannot be used, or one thing in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A store that layergate does not have.
    #[error("--store {0}: unknown kind of store; write dir:PATH, git:BRANCH, git:refs/NAME or oci:HOST/REPO")]
    UnknownKind(String),
    /// A name that no branch can have.
    #[error("--store git:{0}: invalid branch name; use letters, digits, `.`, `_`, `-` and `/`")]
    BranchName(String),
    /// A name that no repository of a registry can have.
    #[error("--store oci:{0}: invalid repository name; write oci:HOST/REPO, in lower case and without a tag")]
    RepositoryName(String),
    /// A file of the store cannot be used.
    #[error("baseline store: cannot {operation} {}: {error}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// A record that is not a snapshot that this version can use.
    #[error("baseline store: {place}: {error}{}", if error.is_newer() { "" } else { "; record the baseline again" })]
    Record {
        /// The record's file, or the branch and the path in it.
        place: String,
        /// What is wrong with it.
        error: SnapshotError,
    },
    /// The list of an image's records on a branch cannot be used.
    #[error("baseline store: {place}: {error}")]
    Index {
        /// The branch, and the path in it.
        place: String,
        /// What is wrong with it.
        error: IndexError,
    },
    /// The summary of a branch cannot be used.
    #[error("baseline store: {place}: {error}")]
    Summary {
        /// The branch, and the path in it.
        place: String,
        /// What is wrong with it.
        error: SummaryError,
    },
    /// A branch with other files, such as the code.
    #[error(
        "--store {place}: this branch also holds `{file}`; name a branch that holds only baselines, or a new one"
    )]
    OtherBranch {
        /// The branch.
        place: String,
        /// One of them.
        file: String,
    },
    /// A branch with more records of an image than can be read again.
    #[error(
        "baseline store: {place} has too many baselines of {image} to add another; pass --keep-last to remove old ones"
    )]
    Full {
        /// The branch.
        place: String,
        /// The image's name.
        image: String,
    },
    /// A part of a branch that another part names is not there.
    #[error("baseline store: {place} is missing; record the baseline again")]
    Lost {
        /// The branch, and what should be in it.
        place: String,
    },
    /// A tag of a registry that leads to something else than it says.
    #[error("baseline store: {place} {why}; {hint}")]
    Unfit {
        /// The repository, and the tag.
        place: String,
        /// What is wrong with it.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// More records of one commit than an image has platforms.
    #[error(
        "baseline store: {place} is one of over {most} tags for one commit; delete those that are not baselines"
    )]
    TooMany {
        /// The repository, and one of the tags.
        place: String,
        /// How many are read.
        most: usize,
    },
    /// A snapshot that cannot be written down.
    #[error("baseline store: cannot encode the baseline: {0}")]
    Encode(#[from] serde_json::Error),
    /// A snapshot without a commit, for a store that has records by commit alone.
    #[error("the {0} store keeps baselines by commit, and the commit is unknown; pass --commit")]
    NoCommit(&'static str),
    /// GitHub refuses, or cannot be reached.
    #[error("baseline store: {0}")]
    Github(GithubError),
    /// GitHub could not say which commits come before.
    #[error("baseline store: no baseline was found, but not all earlier commits are known: {0}")]
    Ancestry(GithubError),
    /// A registry refuses, or cannot be reached.
    #[error("baseline store: {place}: {error}")]
    Registry {
        /// The repository.
        place: String,
        /// What it could not do, why, and what to do.
        error: ArtifactError,
    },
    /// Others kept writing.
    #[error(
        "baseline store: other jobs changed {place} during each of {tries} attempts to record; nothing is lost, run this job again"
    )]
    Contended {
        /// The branch.
        place: String,
        /// How often it was tried.
        tries: u32,
    },
}

impl StoreError {
    /// Whether a newer version wrote what cannot be used.
    pub fn is_newer(&self) -> bool {
        matches!(self, StoreError::Record { error, .. } if error.is_newer())
    }
}

impl From<GithubError> for StoreError {
    /// Not its source: what it says is said already.
    fn from(error: GithubError) -> StoreError {
        StoreError::Github(error)
    }
}

/// A record, as a list of them has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBaseline {
    /// The commit that it is of.
    pub commit: Option<String>,
    /// What its image runs on, as [`platform_key`] has it.
    pub platform: String,
    /// Where it is, in the store's own words.
    pub at: String,
}

/// What a store has of an image, whatever commits it is of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    /// How many commits have a record.
    pub commits: usize,
    /// For what platforms there are some.
    pub platforms: BTreeSet<String>,
    /// How many were removed because they were old, where that is known.
    pub pruned: u64,
}

/// The recorded sizes of an image.
pub struct RecordedHistory {
    /// Oldest first.
    pub points: Vec<HistoryPoint>,
    /// Why a record is not among them.
    pub unread: Vec<StoreError>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOutcome {
    /// It is there now.
    Recorded,
    /// The same was there before.
    Unchanged,
}

/// What became of records, and of those that they were to take the place of.
#[derive(Debug)]
pub struct Written {
    /// One for each, in their order.
    pub stored: Vec<RecordOutcome>,
    /// Why not all is removed that should be. What is to be kept is there all the same.
    pub not_pruned: Option<StoreError>,
    /// Why not all of them are found by their images too, where they should be.
    pub not_attached: Option<StoreError>,
}

/// Whether two records say the same of an image and a commit, however each was come by: a commit may be the tip of
/// several branches and tags.
pub(super) fn is_same(one: &Snapshot, other: &Snapshot) -> bool {
    let bare = |snapshot: &Snapshot| {
        let mut bare = snapshot.clone().without_files();
        bare.image.reference.clear();
        bare.source.clone_from(&one.source);
        // What was recorded before it may be another image by now.
        bare.update = None;
        if let Some(commit) = &mut bare.commit {
            commit.reference = None;
        }
        if let Some(recorded) = &mut bare.recorded {
            recorded.time = Time::default();
        }
        bare
    };
    bare(one) == bare(other)
}

/// A record that is to be replaced, as far as it can be used. That of a newer version is not: it says more than
/// this one would.
pub(super) fn replaceable<T>(existing: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match existing {
        Ok(existing) => Ok(Some(existing)),
        Err(error) if error.is_newer() => Err(error),
        Err(_) => Ok(None),
    }
}
