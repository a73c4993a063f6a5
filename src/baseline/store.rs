//! Where baselines are kept. What a store does is the same for all of them; what differs is what it costs.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::branch::{BranchStore, IndexError};
use super::dir::DirStore;
use super::registry::{self, RegistryStore};
use crate::github::{GithubError, Repository};
use crate::image::schema::SchemaError;
use crate::image::snapshot::SnapshotError;
use crate::image::{Census, DiffId, Platform, Snapshot, Totals};
use crate::source::artifacts::ArtifactError;

/// The branch of `--store git`.
const DEFAULT_BRANCH: &str = "layergate-baselines";

/// A store that cannot be used, or one thing in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A store that layergate does not have.
    #[error("--store {0}: unknown kind of store; write dir:PATH, git:BRANCH, git:refs/NAME or oci:HOST/REPO")]
    UnknownKind(String),
    /// A name that no branch can have.
    #[error("--store git:{0}: no branch can be called that; use letters, digits, `.`, `_`, `-` and `/`")]
    BranchName(String),
    /// A name that no repository of a registry can have.
    #[error(
        "--store oci:{0}: no repository can be called that; write oci:HOST/REPO, in lower case and without a tag"
    )]
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
    #[error("baseline store: {place}: {error}{}", if matches!(error, SnapshotError::Schema(SchemaError::Newer { .. })) { "" } else { "; record the baseline again" })]
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
    /// A branch with other files, such as the code.
    #[error(
        "--store {place}: this branch has `{file}`, so it is not one of baselines alone; name a branch that is there for nothing else, or none yet"
    )]
    OtherBranch {
        /// The branch.
        place: String,
        /// One of them.
        file: String,
    },
    /// A branch with more records of an image than can be read again.
    #[error(
        "baseline store: {place} has too many records of {image} to take another one; record with --keep"
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
    #[error("baseline store: {place} is one of over {most} records of a commit; delete those that are none")]
    TooMany {
        /// The repository, and one of the tags.
        place: String,
        /// How many are read.
        most: usize,
    },
    /// A snapshot that cannot be written down.
    #[error("baseline store: cannot write a document: {0}")]
    Encode(#[from] serde_json::Error),
    /// A snapshot without a commit, for a store that has records by commit alone.
    #[error("the {0} store keeps records by commit, and none is known; name it with --commit")]
    NoCommit(&'static str),
    /// GitHub refuses, or cannot be reached.
    #[error("baseline store: {0}")]
    Github(GithubError),
    /// GitHub could not say which commits come before.
    #[error("baseline store: no baseline was found, and not all commits that may have one are known: {0}")]
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
        "baseline store: {place} was changed by others {tries} times while this was to be recorded; nothing is lost, try again"
    )]
    Contended {
        /// The branch.
        place: String,
        /// How often it was tried.
        tries: u32,
    },
}

impl From<GithubError> for StoreError {
    /// Not its source: what it says is said already.
    fn from(error: GithubError) -> StoreError {
        StoreError::Github(error)
    }
}

/// Baselines, and where they are.
pub enum Store {
    /// A directory.
    Directory(DirStore),
    /// A branch of the repository on GitHub.
    Branch(Box<BranchStore>),
    /// A repository of a registry.
    Registry(Box<RegistryStore>),
}

/// What `--store` names, before anything is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreName {
    /// `dir:PATH`.
    Directory(PathBuf),
    /// `git:BRANCH`, as a whole reference: `refs/heads/BRANCH`.
    Branch(String),
    /// `oci:HOST/REPO`, without its `oci:`.
    Registry(String),
}

/// A record, as a list of them has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
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

/// One recorded size of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The full hash of the commit, where there is one.
    pub commit: Option<String>,
    /// When it was committed, in seconds since 1970-01-01T00:00Z, where known.
    pub time: Option<i64>,
    /// What the image runs on, as `os/arch[/variant]`, or `unknown`.
    pub platform: String,
    /// Its accounting.
    pub totals: Totals,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is there now.
    Recorded,
    /// The same was there before.
    Unchanged,
}

/// What became of records, and of those that they were to take the place of.
#[derive(Debug)]
pub struct Written {
    /// One for each, in their order.
    pub stored: Vec<Stored>,
    /// Why not all is removed that should be. What is to be kept is there all the same.
    pub not_pruned: Option<StoreError>,
    /// Why not all of them are found by their images too, where they should be.
    pub not_attached: Option<StoreError>,
}

impl StoreName {
    /// Reads `dir:PATH`, `git`, `git:BRANCH`, `git:refs/NAME` or `oci:HOST/REPO`.
    ///
    /// # Errors
    /// [`StoreError`] for another kind, and for what no branch or repository can be called.
    pub fn parse(text: &str) -> Result<StoreName, StoreError> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("dir", path) if !path.is_empty() => Ok(StoreName::Directory(path.into())),
            ("git", "") => Ok(StoreName::Branch(format!("refs/heads/{DEFAULT_BRANCH}"))),
            ("git", name) if !is_ref_name(name) => Err(StoreError::BranchName(name.to_owned())),
            ("git", name) if name.starts_with("refs/") => Ok(StoreName::Branch(name.to_owned())),
            ("git", name) => Ok(StoreName::Branch(format!("refs/heads/{name}"))),
            ("oci", name) => match registry::parse_repository(name) {
                Some(_) => Ok(StoreName::Registry(name.to_owned())),
                None => Err(StoreError::RepositoryName(name.to_owned())),
            },
            _ => Err(StoreError::UnknownKind(text.to_owned())),
        }
    }

    /// Opens the store; nothing is asked of it yet. Registries elsewhere than on this machine are spoken to in
    /// plain HTTP only if that is asked for.
    ///
    /// # Errors
    /// Where a repository is needed and there is none.
    pub fn open<E: From<StoreError>>(
        self,
        plain_http: bool,
        repository: impl FnOnce() -> Result<Repository, E>,
    ) -> Result<Store, E> {
        Ok(match self {
            StoreName::Directory(path) => Store::Directory(DirStore::at(path)),
            StoreName::Branch(name) => Store::Branch(Box::new(BranchStore::new(repository()?, name))),
            StoreName::Registry(name) => Store::Registry(Box::new(RegistryStore::new(&name, plain_http)?)),
        })
    }
}

/// A part of what Git allows (git-check-ref-format), that needs no escaping in an address.
fn is_ref_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && !part.ends_with(['.'])
            && !part.ends_with(".lock")
    };
    let shallow = name.starts_with("refs/") && name.split('/').count() < 3;
    !shallow
        && name.len() <= 200
        && name.split('/').all(part)
        && !name.contains("..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// The name under which a platform is recorded.
pub fn platform_key(platform: Option<&Platform>) -> String {
    platform.map_or_else(|| "unknown".into(), |platform| platform.canonical().to_string())
}

impl Store {
    /// The directory of a store that is one: what it has costs nothing to look up.
    pub fn directory(&self) -> Option<&DirStore> {
        match self {
            Store::Directory(store) => Some(store),
            Store::Branch(_) | Store::Registry(_) => None,
        }
    }

    /// The store's kind, as `--store` names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Store::Directory(_) => "dir",
            Store::Branch(_) => "git",
            Store::Registry(_) => "oci",
        }
    }

    /// What is recorded of an image of a registry by that image itself, and not by a commit; nothing where the
    /// store is kept elsewhere than beside the image. Of each platform it is the newest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of_image(&self, image: &str) -> Result<Vec<Snapshot>, StoreError> {
        match self {
            Store::Directory(_) | Store::Branch(_) => Ok(Vec::new()),
            Store::Registry(store) => store.of_image(image).await,
        }
    }

    /// The store, for people.
    pub fn describe(&self) -> String {
        match self {
            Store::Directory(store) => format!("dir:{}", store.path().display()),
            Store::Branch(store) => store.describe(),
            Store::Registry(store) => store.describe(),
        }
    }

    /// The records of an image for a commit, by platform. Where only one platform matters, it may be that alone
    /// which is looked for, or all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(
        &self,
        image: &str,
        commit: Option<&str>,
        platform: Option<&str>,
    ) -> Result<Vec<Listed>, StoreError> {
        match self {
            Store::Directory(store) => store.records(image, commit),
            Store::Branch(store) => store.records(image, commit).await,
            Store::Registry(store) => store.records(image, commit, platform).await,
        }
    }

    /// A record, without the files of its layers.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be used: an older one in its place would be a wrong one.
    pub async fn load(&self, listed: &Listed) -> Result<Snapshot, StoreError> {
        match self {
            Store::Directory(store) => store.load(listed),
            Store::Branch(store) => store.load(listed).await,
            Store::Registry(store) => store.load(listed).await,
        }
    }

    /// The files of a layer of a record that was loaded; `None` where they are not known. They only explain,
    /// so what is damaged counts as not known.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be reached.
    pub async fn census(&self, diff_id: &DiffId) -> Result<Option<Census>, StoreError> {
        match self {
            Store::Directory(store) => Ok(store.census(diff_id)),
            Store::Branch(store) => store.census(diff_id).await,
            Store::Registry(store) => store.census(diff_id).await,
        }
    }

    /// What there is of an image at all: why it has no baseline.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overview(&self, image: &str) -> Result<Overview, StoreError> {
        match self {
            Store::Directory(store) => store.overview(image),
            Store::Branch(store) => store.overview(image).await,
            Store::Registry(store) => store.overview(image).await,
        }
    }

    /// All that is recorded of an image, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, image: &str) -> Result<Vec<Point>, StoreError> {
        match self {
            Store::Directory(store) => store.history(image),
            Store::Branch(store) => store.history(image).await,
            Store::Registry(store) => store.history(image).await,
        }
    }

    /// Records images, and of each keeps the commits that were recorded last only if a number of them is given.
    ///
    /// # Errors
    /// [`StoreError`]; a branch is then as it was before, and in a directory each record is.
    pub async fn put(
        &self,
        snapshots: &[Snapshot],
        keep: Option<NonZeroUsize>,
    ) -> Result<Written, StoreError> {
        match self {
            Store::Directory(store) => store.put_all(snapshots, keep),
            Store::Branch(store) => store.put(snapshots, keep).await,
            Store::Registry(store) => store.put(snapshots, keep).await,
        }
    }
}

/// Whether two records say the same of an image and a commit, however each was come by: a commit may be the tip of
/// several branches and tags.
pub(super) fn is_same(one: &Snapshot, other: &Snapshot) -> bool {
    let bare = |snapshot: &Snapshot| {
        let mut bare = snapshot.clone().without_files();
        bare.image.reference.clear();
        bare.source.clone_from(&one.source);
        if let Some(commit) = &mut bare.commit {
            commit.reference = None;
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
        Err(error @ StoreError::Record { error: SnapshotError::Schema(SchemaError::Newer { .. }), .. }) => {
            Err(error)
        }
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_stores_are_opened() {
        let branch = |name: &str| StoreName::Branch(name.to_owned());
        assert_eq!(StoreName::parse("dir:x").unwrap(), StoreName::Directory("x".into()));
        assert_eq!(StoreName::parse("git").unwrap(), branch("refs/heads/layergate-baselines"));
        assert_eq!(StoreName::parse("git:sizes/main").unwrap(), branch("refs/heads/sizes/main"));
        assert_eq!(StoreName::parse("git:refs/layergate/main").unwrap(), branch("refs/layergate/main"));
        let registry = |name: &str| StoreName::Registry(name.to_owned());
        for name in ["registry.example/team/app", "localhost/app", "127.0.0.1:5000/app"] {
            assert_eq!(StoreName::parse(&format!("oci:{name}")).unwrap(), registry(name));
        }
        for text in [
            "dir:",
            "x",
            "s3:bucket",
            "",
            "git:a b",
            "git:../x",
            "git:/x",
            "git:x/",
            "git:-x",
            "git:a?b",
            "git:refs/x",
            "git:x.lock",
            "git:a//b",
            "git:.x",
            "oci:",
            "oci:team/app",
            "oci:registry.example",
            "oci:registry.example/team/app:1",
            "oci:registry.example/App",
            "oci:./layout",
        ] {
            assert!(StoreName::parse(text).is_err(), "{text}");
        }
    }
}
