//! The record that an image is compared with: that of the right commit, or of its nearest recorded
//! ancestor.

use super::choose::{Start, Trigger, choose_start};
use super::dir::{DirStore, StoreError};
use super::git::{Git, is_sha};
use crate::image::Snapshot;
use crate::image::snapshot::Commit;

/// The commits whose records may be the baseline, nearest first. Found once for all images of a run.
#[derive(Debug, Clone)]
pub struct Ancestry {
    /// The commit that is checked out.
    pub head: Option<Commit>,
    start: Option<Start>,
    commits: Vec<String>,
    /// What a push says was there before it: in a shallow checkout, the only other commit known.
    before: Option<String>,
}

/// A baseline that was found, and why this one.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// The recorded image.
    pub snapshot: Snapshot,
    /// How many commits it is older than the commit to compare with, where known.
    pub distance: Option<u64>,
    /// Whether it is the baseline of exactly the commit to compare with.
    pub exact: bool,
    /// Why this one, in words.
    pub how: String,
}

impl Ancestry {
    /// The commit that fits what made this run happen, and its first parents.
    pub fn of(trigger: &Trigger, git: &Git) -> Ancestry {
        let head = git.head();
        let start = choose_start(trigger, head.as_ref(), |one, other| git.merge_base(one, other));
        let mut commits = start.as_ref().map_or_else(Vec::new, |start| git.first_parents(&start.sha));
        // A shallow checkout may not reach the commit at all, and its record may still be there.
        if let (true, Some(start)) = (commits.is_empty(), &start) {
            commits.push(start.sha.clone());
        }
        let before = match trigger {
            Trigger::Push { before } if is_sha(before) => Some(before.clone()),
            _ => None,
        };
        Ancestry { head, start, commits, before }
    }

    /// One commit that is meant itself, and not its ancestors; `None` where there is none of that name.
    pub fn named(name: &str, git: &Git) -> Option<Ancestry> {
        let known = git.commit(name).map(|commit| commit.sha);
        let sha = known.or_else(|| is_sha(name).then(|| name.to_owned()))?;
        let start = Start { sha: sha.clone(), why: "the commit that was asked for", certain: true };
        Some(Ancestry { head: git.head(), start: Some(start), commits: vec![sha], before: None })
    }

    /// The nearest record of an image of this name and platform.
    ///
    /// # Errors
    /// [`StoreError`] where a record cannot be used: an older one in its place would be a wrong one.
    pub fn nearest_record(&self, image: &Snapshot, store: &DirStore) -> Result<Option<Baseline>, StoreError> {
        let (name, platform) = (&image.image.name, image.image.platform.as_ref());
        for (distance, commit) in self.commits.iter().enumerate() {
            if let Some(snapshot) = store.get(Some(commit), name, platform)? {
                return Ok(Some(self.baseline(snapshot, distance)));
            }
        }
        if let Some(before) = &self.before
            && let Some(snapshot) = store.get(Some(before), name, platform)?
        {
            let how = "the branch before the push; fetch more history to know how far behind".to_owned();
            return Ok(Some(Baseline { snapshot, distance: None, exact: false, how }));
        }
        // Without a checkout there are no commits to tell records apart by, and then the one
        // record is what it was recorded to be.
        let exact = self.commits.is_empty();
        let unversioned = store.get(None, name, platform)?;
        let how = "recorded without a commit".to_owned();
        Ok(unversioned.map(|snapshot| Baseline { snapshot, distance: None, exact, how }))
    }

    /// The records of an image for all its platforms, of the nearest commit that has any.
    ///
    /// # Errors
    /// [`StoreError`] where a record cannot be used.
    pub fn nearest_records(&self, name: &str, store: &DirStore) -> Result<Vec<Baseline>, StoreError> {
        for (distance, commit) in self.commits.iter().enumerate() {
            let records = store.all(commit, name)?;
            if !records.is_empty() {
                return Ok(records.into_iter().map(|record| self.baseline(record, distance)).collect());
            }
        }
        Ok(Vec::new())
    }

    fn baseline(&self, snapshot: Snapshot, distance: usize) -> Baseline {
        let (why, certain) = self.start.as_ref().map_or(("", false), |start| (start.why, start.certain));
        let how = match distance {
            0 if certain => format!("exact: {why}"),
            0 => why.to_owned(),
            1 => format!("1 commit behind {why}"),
            behind => format!("{behind} commits behind {why}"),
        };
        Baseline {
            snapshot,
            distance: certain.then_some(distance as u64),
            exact: certain && distance == 0,
            how,
        }
    }
}

impl Baseline {
    /// What an inexact baseline is: "is 3 commits behind".
    pub fn age(&self) -> String {
        match self.distance {
            Some(1) => "is 1 commit behind".into(),
            Some(behind) => format!("is {behind} commits behind"),
            None => "is not tied to the commit to compare with".into(),
        }
    }
}
