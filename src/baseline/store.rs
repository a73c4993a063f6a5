//! Where baselines are kept. All stores do the same; they differ in what it costs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::branch::BranchStore;
use super::dir::DirStore;
use super::record::{ListedBaseline, Overview, RecordedHistory, StoreError, Written};
use super::registry::{self, RegistryStore};
use crate::github::Repository;
use crate::image::{DiffId, FileList, Snapshot};

/// The branch of `--store git`.
const DEFAULT_BRANCH: &str = "layergate-baselines";

/// Baselines, and where they are.
pub enum Store {
    /// A directory.
    Directory(DirStore),
    /// A branch of the repository on GitHub.
    Branch(Box<BranchStore>),
    /// A repository of a registry.
    Registry(Box<RegistryStore>),
}

/// The store that `--store` names, before it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreName {
    /// `dir:PATH`.
    Directory(PathBuf),
    /// `git:BRANCH`, as a whole reference: `refs/heads/BRANCH`.
    Branch(String),
    /// `oci:HOST/REPO`, without its `oci:`.
    Registry(String),
}

impl StoreName {
    /// Parses `dir:PATH`, `git`, `git:BRANCH`, `git:refs/NAME` or `oci:HOST/REPO`.
    ///
    /// # Errors
    /// [`StoreError`] for another kind, and for an invalid branch or repository name.
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

    /// Opens the store, without contacting it yet. Registries on other machines are contacted over plain HTTP only on
    /// request.
    ///
    /// # Errors
    /// If a repository is needed and there is none.
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

/// A subset of what Git allows (git-check-ref-format) that needs no escaping in a URL.
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

impl Store {
    /// The directory, if the store is one: lookups in it are cheap.
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

    /// The newest baseline for each platform, found through an image in a registry rather than a commit; empty if the
    /// store is not beside the image.
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

    /// The baselines of an image for a commit. If a platform is given, a store may return only that platform's, or all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(
        &self,
        image: &str,
        commit: Option<&str>,
        platform: Option<&str>,
    ) -> Result<Vec<ListedBaseline>, StoreError> {
        match self {
            Store::Directory(store) => store.records(image, commit),
            Store::Branch(store) => store.records(image, commit).await,
            Store::Registry(store) => store.records(image, commit, platform).await,
        }
    }

    /// A baseline, without the files of its layers.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be used: falling back to an older one would be wrong.
    pub async fn load(&self, listed: &ListedBaseline) -> Result<Snapshot, StoreError> {
        match self {
            Store::Directory(store) => store.load(listed),
            Store::Branch(store) => store.load(listed).await,
            Store::Registry(store) => store.load(listed).await,
        }
    }

    /// The files of a layer of a baseline that was loaded; `None` if they are not known. They only explain, so damaged
    /// ones count as not known.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached.
    pub async fn file_list(&self, diff_id: &DiffId) -> Result<Option<FileList>, StoreError> {
        match self {
            Store::Directory(store) => Ok(store.file_list(diff_id)),
            Store::Branch(store) => store.file_list(diff_id).await,
            Store::Registry(store) => store.file_list(diff_id).await,
        }
    }

    /// What is stored of an image at all, to explain why it has no baseline.
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

    /// The recorded sizes of an image.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, image: &str) -> Result<RecordedHistory, StoreError> {
        let points = match self {
            Store::Directory(store) => return store.history(image),
            Store::Branch(store) => store.history(image).await?,
            Store::Registry(store) => store.history(image).await?,
        };
        Ok(RecordedHistory { points, unread: Vec::new() })
    }

    /// Records images. If `keep` is given, only that many most recently recorded commits are kept of each.
    ///
    /// # Errors
    /// [`StoreError`]; a branch is then unchanged, and so is each baseline in a directory.
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
