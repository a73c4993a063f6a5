//! What is accepted for the entries ahead in a merge queue. Asked only if a group exceeds a limit against a baseline
//! that lacks them.

use super::{comment, console, github, pull_acceptance};
use crate::baseline::git::is_sha;
use crate::cli::{CommentFlags, GithubFlags};
use crate::config::{Accept, Acceptance};
use crate::github::acceptance::Pull;
use crate::github::comments::{self, CommentTarget};
use crate::github::{Context, GithubError, Repository, pulls, queue};
use crate::limits::Verdict;
use crate::report::Report;
use crate::report::ahead::{AcceptedAhead, read_accepted};

/// Maximum number of commits examined: each may cost several requests, and by default a queue builds five entries at a
/// time.
const MOST: usize = 30;

/// How to reach GitHub, and whose comments count.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The repository and the token.
    pub github: &'a GithubFlags,
    /// The comment's key and author.
    pub comment: &'a CommentFlags,
}

/// The accepted entries that the baseline of a failing image lacks.
pub async fn accepted(
    report: &Report,
    accept: &Accept,
    asking: Asking<'_>,
    context: &Context,
) -> Result<Vec<AcceptedAhead>, GithubError> {
    let failing = report.images.iter().filter(|image| image.verdict == Verdict::Fail);
    let missing = failing.filter_map(|image| image.base.as_ref()?.distance).max().unwrap_or(0);
    let (Some(base), Some(branch), 1..) = (&context.merge_group_base, &context.base_branch, missing) else {
        return Ok(Vec::new());
    };
    let of_run = github::of_run(asking.github, context)?.filter(|_| is_sha(base));
    let Some((client, (owner, name))) = of_run else { return Ok(Vec::new()) };
    let repository = Repository::new(client, owner, name);
    let mut commits = vec![base.clone()];
    if missing > 1 {
        commits.extend(repository.first_parents(base).await?.into_iter().filter(|sha| is_sha(sha)));
    }
    commits.truncate(usize::try_from(missing).unwrap_or(MOST).min(MOST));
    let (client, place) = (repository.client(), (owner, name));
    let (mut author, mut found) = (None, Vec::new());
    for (index, number) in queue::pulls_of(&repository, branch, &commits).await? {
        let pull = Pull { client, repository: place, number };
        if context.merge_group_pull == Some(number) {
            continue;
        }
        let Some(own) = pulls::of_number(client, place, number).await? else { continue };
        let from_fork = Some(own.from_fork);
        let Some(acceptance) = pull_acceptance::of_pull(accept, &pull, from_fork).await? else { continue };
        if author.is_none() {
            let token = github::token(asking.github).unwrap_or_default();
            let forge = github::forge(asking.github);
            author = Some(comment::author(asking.comment, client, &token, forge).await?);
        }
        let target = CommentTarget {
            owner,
            repository: name,
            number,
            key: &asking.comment.comment_key,
            author: author.as_deref().unwrap_or_default(),
        };
        let carried = comments::carried(client, &target, &own.head_sha).await?;
        let images = carried.map(|text| read_accepted(&text)).unwrap_or_default();
        if images.is_empty() {
            console::warn(&format!(
                "#{number} is ahead in the merge queue and accepted, but no layergate comment on its head commit states the accepted amounts"
            ));
            continue;
        }
        let acceptance = Acceptance { pull: Some(number), ..acceptance };
        found.push((own.head_sha, AcceptedAhead { distance: index as u64 + 1, acceptance, images }));
    }
    without_contained(&repository, found).await
}

/// Leaves out pull requests that are part of another one, whose amounts include theirs.
async fn without_contained(
    repository: &Repository,
    entries: Vec<(String, AcceptedAhead)>,
) -> Result<Vec<AcceptedAhead>, GithubError> {
    let mut is_contained = vec![false; entries.len()];
    for (place, (head, _)) in entries.iter().enumerate() {
        for (later, (other, _)) in entries.iter().enumerate().skip(place + 1) {
            if head == other {
                is_contained[later] = true;
                continue;
            }
            let base = repository.merge_base(head, other).await?;
            is_contained[place] |= base.as_ref() == Some(head);
            is_contained[later] |= base.as_ref() == Some(other);
        }
    }
    let kept = entries.into_iter().zip(is_contained).filter(|(_, is_contained)| !is_contained);
    Ok(kept.map(|((_, ahead), _)| ahead).collect())
}
