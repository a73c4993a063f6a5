//! What all baseline stores share: stored baselines, lists of them, and errors.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::branch::index::IndexError;
use crate::compare::baseline::HistoryPoint;
use crate::fleet::SummaryError;
use crate::github::GithubError;
use crate::image::snapshot::SnapshotError;
use crate::image::{Snapshot, Time};
use crate::registry::ArtifactError;

/// A store, or something in it, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A store that layergate does not have.
    #[error("--store {0}: unknown kind of store; write dir:PATH, git:BRANCH, git:refs/NAME or oci:HOST/REPO")]
    UnknownKind(String),
    /// An invalid branch name.
    #[error("--store git:{0}: invalid branch name; use letters, digits, `.`, `_`, `-` and `/`")]
    BranchName(String),
    /// An invalid repository name.
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
    /// A baseline that is not a snapshot this version can use.
    #[error("baseline store: {place}: {error}{}", if error.is_newer() { "" } else { "; record the baseline again" })]
    Record {
        /// Its file, or the branch and the path in it.
        place: String,
        /// What is wrong with it.
        error: SnapshotError,
    },
    /// The index of an image on a branch cannot be used.
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
    /// A branch with more baselines of an image than could be read again.
    #[error(
        "baseline store: {place} has too many baselines of {image} to add another; pass --keep-last to remove old ones"
    )]
    Full {
        /// The branch.
        place: String,
        /// The image's name.
        image: String,
    },
    /// A part of a branch that another part refers to is missing.
    #[error("baseline store: {place} is missing; record the baseline again")]
    Lost {
        /// The branch, and what should be in it.
        place: String,
    },
    /// A tag in a registry that leads to something unexpected.
    #[error("baseline store: {place} {why}; {hint}")]
    Unfit {
        /// The repository, and the tag.
        place: String,
        /// What is wrong with it.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// More baselines of one commit than an image has platforms.
    #[error(
        "baseline store: {place} is one of over {most} tags for one commit; delete those that are not baselines"
    )]
    TooMany {
        /// The repository, and one of the tags.
        place: String,
        /// How many are read.
        most: usize,
    },
    /// A snapshot that cannot be encoded.
    #[error("baseline store: cannot encode the baseline: {0}")]
    Encode(#[from] serde_json::Error),
    /// A snapshot without a commit, for a store that keeps baselines by commit only.
    #[error("the {0} store keeps baselines by commit, and the commit is unknown; pass --commit")]
    NoCommit(&'static str),
    /// GitHub refuses, or cannot be reached.
    #[error("baseline store: {0}")]
    Github(GithubError),
    /// GitHub could not list earlier commits.
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
    /// Whether a newer version wrote the document that cannot be used.
    pub fn is_newer(&self) -> bool {
        matches!(self, StoreError::Record { error, .. } if error.is_newer())
    }
}

impl From<GithubError> for StoreError {
    /// The error without its source, because its message already includes that.
    fn from(error: GithubError) -> StoreError {
        StoreError::Github(error)
    }
}

/// A stored baseline, as stores list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBaseline {
    /// Its commit.
    pub commit: Option<String>,
    /// Its image's platform, in the form of [`platform_key`].
    pub platform: String,
    /// Where it is, in the store's own words.
    pub at: String,
}

/// What a store holds of an image, across all commits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    /// How many commits have a baseline.
    pub commits: usize,
    /// The platforms with a baseline.
    pub platforms: BTreeSet<String>,
    /// How many were removed because of their age, if known.
    pub pruned: u64,
}

/// The recorded sizes of an image.
pub struct RecordedHistory {
    /// Oldest first.
    pub points: Vec<HistoryPoint>,
    /// Why some baselines are not among them.
    pub unread: Vec<StoreError>,
}

/// The outcome of recording a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOutcome {
    /// It was stored.
    Recorded,
    /// The same was already stored.
    Unchanged,
}

/// The outcome of recording several baselines and removing old ones.
#[derive(Debug)]
pub struct Written {
    /// One per baseline, in their order.
    pub stored: Vec<RecordOutcome>,
    /// Why some baselines that should have been removed were not. Those to keep are stored all the same.
    pub not_pruned: Option<StoreError>,
    /// Why some of them are not attached to their images, although they should be.
    pub not_attached: Option<StoreError>,
}

/// Whether two baselines say the same of an image and a commit, no matter how each was obtained: a commit may be the
/// tip of several branches and tags.
pub(super) fn is_same(one: &Snapshot, other: &Snapshot) -> bool {
    let bare = |snapshot: &Snapshot| {
        let mut bare = snapshot.clone().without_files();
        bare.image.reference.clear();
        bare.source.clone_from(&one.source);
        // The image recorded before it may be another one by now.
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

/// A stored baseline to replace, as far as it can be used. One of a newer version is an error: it says more than this
/// version would write.
pub(super) fn replaceable<T>(existing: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match existing {
        Ok(existing) => Ok(Some(existing)),
        Err(error) if error.is_newer() => Err(error),
        Err(_) => Ok(None),
    }
}
