//! The commits whose baselines may be used, nearest first. They are found once for all images of a run: from the local
//! checkout as far as it reaches, and from GitHub beyond that.

use super::choose::{MergeBase, StartCommit, Trigger, choose_start, is_test_merge, wanted_merge_base};
use super::git::{Git, MAX_ANCESTORS, is_sha};
use crate::github::{GithubError, Repository, contents};
use crate::image::snapshot::Commit;

/// Maximum requests to GitHub for earlier commits: one answer lists a hundred, including those of merged branches.
const QUESTIONS: u32 = 5;

/// The commit to compare with, and its first parents.
pub struct Ancestry {
    /// The commit that is checked out, or that the run is about.
    pub head: Option<Commit>,
    start: Option<StartCommit>,
    commits: Vec<String>,
    /// How many more requests for earlier commits GitHub may receive.
    questions: u32,
    /// The commit before a push, as the event says. In a shallow checkout it is the only other commit known.
    before: Option<String>,
    github: Option<Repository>,
    problem: Option<GithubError>,
}

impl Ancestry {
    /// The commit that fits the event that triggered the run. `run_sha` is the commit that the run is about, for a run
    /// without a checkout; `target` is the branch that the change is to be merged into.
    pub async fn of(
        trigger: &Trigger,
        git: &Git,
        github: Option<Repository>,
        run_sha: Option<&str>,
        target: Option<&str>,
    ) -> Ancestry {
        let before = match trigger.otherwise() {
            Trigger::Push { before } if is_sha(before) => Some(before.clone()),
            _ => None,
        };
        let mut ancestry = Ancestry { before, github, ..Ancestry::none(git) };
        let shallow = git.is_shallow();
        if let (None, Some(sha)) = (&ancestry.head, run_sha.filter(|sha| is_sha(sha)))
            && let Some(github) = &ancestry.github
        {
            let found = github.commit(sha).await;
            ancestry.head = ancestry.noted(found).map(|(commit, _)| commit);
        }
        let merge_base = match wanted_merge_base(trigger, ancestry.head.as_ref()) {
            Some((own, base)) => ancestry.merge_base(&own, &base, git, shallow).await,
            None => ancestry.merge_base_with_tip(trigger, target, git, shallow).await,
        };
        ancestry.begin_at(choose_start(trigger, ancestry.head.as_ref(), merge_base.as_ref()), git);
        ancestry
    }

    /// The commits before the given one.
    pub async fn before_commit(commit: &Commit, git: &Git, github: Option<Repository>) -> Ancestry {
        let mut ancestry = Ancestry { github, ..Ancestry::none(git) };
        let mut parent = commit.parents.first().cloned();
        if let (None, Some(github)) = (&parent, &ancestry.github) {
            let found = github.commit(&commit.sha).await;
            parent = ancestry.noted(found).and_then(|(commit, _)| commit.parents.first().cloned());
        }
        let start = parent.map(|sha| StartCommit { sha, why: "the commit before it", certain: true });
        ancestry.begin_at(start, git);
        ancestry
    }

    fn begin_at(&mut self, start: Option<StartCommit>, git: &Git) {
        self.start = start;
        let Some(start) = &self.start else { return };
        self.commits = git.first_parents(&start.sha);
        self.questions = if git.is_shallow() || self.commits.is_empty() { QUESTIONS } else { 0 };
        // A shallow checkout may not reach the commit, but its baseline may still exist.
        if self.commits.is_empty() {
            self.commits.push(start.sha.clone());
        }
    }

    /// Just the named commit, without its ancestors; `None` if no such commit exists.
    pub fn named(name: &str, why: &'static str, git: &Git) -> Option<Ancestry> {
        let known = git.commit(name).map(|commit| commit.sha);
        let sha = known.or_else(|| is_sha(name).then(|| name.to_owned()))?;
        let start = StartCommit { sha: sha.clone(), why, certain: true };
        Some(Ancestry { start: Some(start), commits: vec![sha], ..Ancestry::none(git) })
    }

    /// No commit at all.
    pub fn none(git: &Git) -> Ancestry {
        Ancestry {
            head: git.head(),
            start: None,
            commits: Vec::new(),
            questions: 0,
            before: None,
            github: None,
            problem: None,
        }
    }

    /// The commit to compare with.
    pub fn start(&self) -> Option<&StartCommit> {
        self.start.as_ref()
    }

    /// The commit at a distance behind the one to compare with. Requests earlier ones if needed.
    pub async fn commit(&mut self, distance: usize) -> Option<String> {
        while distance >= self.commits.len() && self.extend().await {}
        self.commits.get(distance).cloned()
    }

    /// How many commits were looked at.
    pub fn looked_at(&self) -> usize {
        self.commits.len()
    }

    /// The commit before a push, as the event says.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// What GitHub could not answer, which may have made the choice worse. Returned once.
    pub fn take_problem(&mut self) -> Option<GithubError> {
        self.problem.take()
    }

    async fn extend(&mut self) -> bool {
        let room = (MAX_ANCESTORS + 1).saturating_sub(self.commits.len());
        let (1.., 1.., Some(github), Some(last)) = (self.questions, room, &self.github, self.commits.last())
        else {
            return false;
        };
        let found = github.first_parents(last).await.map(Some);
        let found = self.noted(found).unwrap_or_default();
        self.questions = if found.is_empty() { 0 } else { self.questions - 1 };
        self.commits.extend(found.iter().filter(|sha| is_sha(sha)).take(room).cloned());
        !found.is_empty()
    }

    /// The merge base with the tip of the target branch: for a commit that is not merged yet, and for a test merge that was
    /// made on another branch, such as an earlier target. The branch may have moved on since the event, but its commits
    /// stay on it.
    async fn merge_base_with_tip(
        &mut self,
        trigger: &Trigger,
        target: Option<&str>,
        git: &Git,
        shallow: bool,
    ) -> Option<MergeBase> {
        let head = self.head.clone()?;
        let onto = match trigger {
            Trigger::Unmerged(_) => None,
            Trigger::PullRequest { head: own, base } if is_test_merge(&head, own) => {
                Some(head.parents.first().filter(|onto| *onto != base)?)
            }
            _ => return None,
        };
        let found = contents::tip_of(self.github.as_ref()?, target?).await;
        let tip = self.noted(found.map(Some)).filter(|sha| is_sha(sha))?;
        if let Some(onto) = onto {
            let meeting = self.merge_base(onto, &tip, git, shallow).await?;
            if !meeting.certain || meeting.sha == *onto {
                return None;
            }
        }
        self.merge_base(&head.sha, &tip, git, shallow).await
    }

    /// In a shallow checkout, git may report the wrong commit as the merge base.
    async fn merge_base(&mut self, own: &str, base: &str, git: &Git, shallow: bool) -> Option<MergeBase> {
        let local = || git.merge_base(own, base).map(|sha| MergeBase { sha, certain: !shallow });
        if !shallow && let Some(found) = local() {
            return Some(found);
        }
        let Some(github) = &self.github else { return local() };
        let found = github.merge_base(base, own).await;
        let found = self.noted(found).filter(|sha| is_sha(sha));
        found.map(|sha| MergeBase { sha, certain: true }).or_else(local)
    }

    fn noted<T>(&mut self, found: Result<Option<T>, GithubError>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.problem.get_or_insert(error);
            None
        })
    }
}
