//! Chooses the commit whose baseline an image is compared with.

use super::git::is_sha;
use crate::image::snapshot::Commit;

/// The event that triggered the run, as far as the choice of a baseline depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trigger {
    /// A pull request: its head, and the tip of its target branch, as the event says.
    PullRequest {
        /// The head of the pull request.
        head: String,
        /// The tip of the target branch when the event was sent.
        base: String,
    },
    /// A merge queue: the base commit of the group.
    MergeGroup {
        /// `base_sha` of the event.
        base: String,
    },
    /// A push: the tip of the branch before it.
    Push {
        /// `before` of the event; all zeros for a new branch, empty if the event does not say.
        before: String,
    },
    /// A branch or tag without a pull request that is not merged yet: it is compared with its merge base with the branch
    /// whose limits count. If it is merged already, the trigger inside counts.
    Unmerged(Box<Trigger>),
    /// Anything else, and runs outside CI.
    #[default]
    Other,
}

impl Trigger {
    /// The trigger that counts if everything is merged already.
    pub fn otherwise(&self) -> &Trigger {
        match self {
            Trigger::Unmerged(otherwise) => otherwise,
            trigger => trigger,
        }
    }
}

/// The commit whose baseline is looked for first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartCommit {
    /// The commit.
    pub sha: String,
    /// Why this one, in words.
    pub why: &'static str,
    /// Whether this is the right commit to compare with, not just the nearest one known.
    pub certain: bool,
}

/// The merge base of two histories, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeBase {
    /// The commit.
    pub sha: String,
    /// Whether all candidate commits were examined.
    pub certain: bool,
}

/// The two commits whose merge base is needed for the choice: those of a pull request, unless its test merge is checked
/// out, which knows better.
pub fn wanted_merge_base(trigger: &Trigger, head: Option<&Commit>) -> Option<(String, String)> {
    match (trigger, head) {
        (Trigger::PullRequest { head: own, base }, Some(commit))
            if !is_test_merge(commit, own) && is_sha(base) =>
        {
            Some((commit.sha.clone(), base.clone()))
        }
        _ => None,
    }
}

/// GitHub checks out a merge of the pull request into its target.
pub fn is_test_merge(commit: &Commit, own: &str) -> bool {
    commit.parents.len() == 2 && commit.parents[1] == own
}

/// Chooses the commit to compare with, from the checkout, the event and, as far as known, the merge base: that of
/// [`wanted_merge_base`], or that with the tip of the target branch. For a test merge, it is given only if that merge was
/// made on another branch than the target.
pub fn choose_start(
    trigger: &Trigger,
    head: Option<&Commit>,
    merge_base: Option<&MergeBase>,
) -> Option<StartCommit> {
    let start = |sha: &str, why| is_sha(sha).then(|| StartCommit { sha: sha.to_owned(), why, certain: true });
    // The target branch may have moved on since the pull request left it.
    let nearest = |sha: &str, why| start(sha, why).map(|start| StartCommit { certain: false, ..start });
    match trigger {
        Trigger::PullRequest { head: own, base } => match head {
            // The first parent of the test merge is exactly the base commit.
            Some(commit) if is_test_merge(commit, own) => match merge_base {
                None => start(&commit.parents[0], "the base commit of the test merge"),
                Some(found) => start(
                    &found.sha,
                    "the merge base with the target branch, because this test merge was made on another branch; start a new run",
                ),
            },
            Some(commit) => match merge_base {
                // It may be a test merge that is newer than the event: then everything that reached the target since
                // would count as the pull request's.
                Some(found)
                    if commit.sha != *own && commit.parents.len() > 1 && commit.parents[0] != *own =>
                {
                    nearest(
                        &found.sha,
                        "the merge base of this checkout and the event's target branch; check out the pull request's head, or start a new run",
                    )
                }
                Some(found) if found.certain => start(&found.sha, "the merge base with the target branch"),
                Some(found) => nearest(
                    &found.sha,
                    "the merge base with the target branch, as far as this shallow checkout shows; fetch more history to be sure",
                ),
                None => nearest(
                    base,
                    "the target commit that the event names; fetch more history to find the merge base",
                ),
            },
            // Without a checkout only the event is known, and GitHub merges onto the commit that it names.
            None => start(base, "the target commit that the event names"),
        },
        Trigger::MergeGroup { base } => start(base, "the base commit of the merge group"),
        Trigger::Unmerged(otherwise) => match (head, merge_base) {
            (Some(head), Some(found)) if found.sha != head.sha => {
                let why = "the merge base with the branch whose limits apply";
                if found.certain { start(&found.sha, why) } else { nearest(&found.sha, why) }
            }
            _ => choose_start(otherwise, head, None),
        },
        Trigger::Push { before } => match head.and_then(|commit| commit.parents.first()) {
            Some(parent) => start(parent, "the parent of the pushed commit"),
            None if before.bytes().all(|byte| byte == b'0') => None,
            None => start(before, "the commit before the push"),
        },
        Trigger::Other => start(&head?.sha, "the checked-out commit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    fn commit(own: char, parents: &[char]) -> Commit {
        Commit {
            sha: sha(own),
            parents: parents.iter().map(|p| sha(*p)).collect(),
            reference: None,
            time: None,
        }
    }

    #[test]
    fn each_event_has_its_own_right_commit() {
        let pull = Trigger::PullRequest { head: sha('a'), base: sha('b') };
        let push = |before: &str| Trigger::Push { before: before.to_owned() };
        let found = MergeBase { sha: sha('f'), certain: true };
        let branch = Trigger::Unmerged(Box::new(push(&sha('9'))));
        let merged = choose_start(&pull, Some(&commit('c', &['d', 'a'])), None).unwrap();
        assert_eq!((merged.sha, merged.certain), (sha('d'), true), "test merge: its first parent");
        let cases: [(&str, &Trigger, Option<Commit>, Option<char>); 12] = [
            ("test merge of another branch", &pull, Some(commit('c', &['d', 'a'])), Some('f')),
            ("a branch: the merge base", &branch, Some(commit('c', &['d'])), Some('f')),
            ("a branch that is merged: the parent", &branch, Some(commit('f', &['d'])), Some('d')),
            ("head checked out: the merge base", &pull, Some(commit('a', &['e'])), Some('f')),
            ("a merge as the head itself", &pull, Some(commit('a', &['d', 'e'])), Some('f')),
            ("the branch was updated since the event", &pull, Some(commit('c', &['a', 'b'])), Some('f')),
            ("no checkout: the event", &pull, None, Some('b')),
            ("push: the parent", &push(&sha('9')), Some(commit('c', &['d'])), Some('d')),
            ("push without a checkout: before", &push(&sha('9')), None, Some('9')),
            ("a new branch without a checkout", &push(&sha('0')), None, None),
            (
                "a merge group: its base",
                &Trigger::MergeGroup { base: sha('7') },
                Some(commit('c', &['d'])),
                Some('7'),
            ),
            ("elsewhere: what is checked out", &Trigger::Other, Some(commit('c', &['d'])), Some('c')),
        ];
        for (name, trigger, head, expected) in cases {
            let start = choose_start(trigger, head.as_ref(), Some(&found));
            assert_eq!(start.map(|start| start.sha), expected.map(sha), "{name}");
        }
        let shallow = choose_start(&pull, Some(&commit('a', &['e'])), None).unwrap();
        assert_eq!(
            (shallow.sha, shallow.certain),
            (sha('b'), false),
            "a checkout that does not reach the merge base"
        );
        let newer = choose_start(&pull, Some(&commit('c', &['d', 'e'])), Some(&found)).unwrap();
        assert!(!newer.certain, "a test merge that is newer than the event");
        let doubtful = MergeBase { certain: false, ..found };
        let cut_off = choose_start(&pull, Some(&commit('a', &['e'])), Some(&doubtful)).unwrap();
        assert_eq!((cut_off.sha, cut_off.certain), (sha('f'), false));
        assert_eq!(choose_start(&Trigger::MergeGroup { base: "--evil".into() }, None, None), None);
    }
}
