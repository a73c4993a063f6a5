//! Which commit's record an image is compared with.

use super::git::is_sha;
use crate::image::snapshot::Commit;

/// What made this run happen, as far as the choice of a baseline goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trigger {
    /// A pull request: its own head, and the tip of the branch that it goes to, as the event says.
    PullRequest {
        /// The head of the pull request.
        head: String,
        /// The tip of the target branch when the event was sent.
        base: String,
    },
    /// A merge queue: the commit that the group is put on.
    MergeGroup {
        /// `base_sha` of the event.
        base: String,
    },
    /// A push: the tip of the branch before it.
    Push {
        /// `before` of the event; all zeros for a new branch, and empty where the event does not say.
        before: String,
    },
    /// Anything else, and runs outside CI.
    #[default]
    Other,
}

/// The commit whose record is looked for first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartCommit {
    /// The commit.
    pub sha: String,
    /// Why this one, in words.
    pub why: &'static str,
    /// Whether this is the commit to compare with, and not only the nearest thing that is known.
    pub certain: bool,
}

/// Where two histories meet, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeBase {
    /// The commit.
    pub sha: String,
    /// Whether all commits were looked at that may be it.
    pub certain: bool,
}

/// The two commits whose common ancestor has to be known to choose: of a pull request, unless what is checked
/// out is its test merge, which knows better.
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
fn is_test_merge(commit: &Commit, own: &str) -> bool {
    commit.parents.len() == 2 && commit.parents[1] == own
}

/// Chooses the commit to compare with, from what is checked out, what made the run happen, and
/// [`wanted_merge_base`] as far as that is known.
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
            // Its first parent is the exact code that the change is put on.
            Some(commit) if is_test_merge(commit, own) => {
                start(&commit.parents[0], "the base commit of the test merge")
            }
            Some(commit) => match merge_base {
                // It may be a test merge that is newer than the event: then all that came to the target since
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
            // Without a checkout the event is all there is, and GitHub merges onto what it names.
            None => start(base, "the target commit that the event names"),
        },
        Trigger::MergeGroup { base } => start(base, "the base commit of the merge group"),
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
        let cases: [(&str, &Trigger, Option<Commit>, Option<char>); 10] = [
            ("test merge: its first parent", &pull, Some(commit('c', &['d', 'a'])), Some('d')),
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
