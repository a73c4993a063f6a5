//! Whether somebody has accepted an exceeded limit. Asked only if a limit is exceeded.

use super::ahead::{self, Asking};
use super::{console, github, pull_acceptance};
use crate::cli::GithubFlags;
use crate::config::{Accept, Acceptance};
use crate::github::acceptance::Pull;
use crate::github::{Context, GithubError};
use crate::limits::Verdict;
use crate::report::{AcceptanceRules, Report};

/// Accepts exceeded limits if a label or a trailer of the pull request says so.
pub async fn apply(report: &mut Report, accept: &Accept, asking: Asking<'_>, context: Option<&Context>) {
    if accept.is_empty() && context.is_some() {
        // If nothing can accept, nothing is accepted.
        report.withdraw_acceptance();
    }
    // Acceptance that jobs reported may no longer hold.
    if accept.is_empty() || !matches!(report.verdict, Verdict::Fail | Verdict::Accepted) {
        return;
    }
    let mut ways = AcceptanceRules::from(accept);
    if context.and_then(|context| context.pull_request.as_ref()).is_some_and(|pull| pull.from_fork) {
        ways.trailer = None;
    }
    report.accept = Some(ways);
    let Some(context) = context else { return };
    let found = match find(accept, asking.github, context).await {
        Ok(found) => {
            report.withdraw_acceptance();
            if let Some(acceptance) = &found {
                report.accept_with(acceptance, accept, &[]);
            }
            found
        }
        Err(error) => {
            console::warn(&format!("cannot tell whether this is accepted: {error}"));
            None
        }
    };
    if !context.is_merge_queue() || report.verdict != Verdict::Fail {
        return;
    }
    match ahead::accepted(report, accept, asking, context).await {
        Ok(ahead) => {
            report.accept_ahead(&ahead);
            if let Some(acceptance) = found.filter(|_| !ahead.is_empty()) {
                report.accept_with(&acceptance, accept, &ahead);
            }
        }
        Err(error) => {
            console::warn(&format!("cannot tell what is accepted ahead in the merge queue: {error}"));
        }
    }
}

async fn find(
    accept: &Accept,
    flags: &GithubFlags,
    context: &Context,
) -> Result<Option<Acceptance>, GithubError> {
    let pull = context.pull_request.as_ref();
    let Some(number) = pull.map(|pull| pull.number).or(context.merge_group_pull) else { return Ok(None) };
    let Some((client, repository)) = github::of_run(flags, context)? else {
        // Then only the event's labels are known; those of a re-run may be old.
        let label = pull.and_then(|pull| accept.label_of(&pull.labels));
        if label.is_some() && context.run.is_some_and(|run| run.attempt > 1) {
            console::warn(
                "the labels in this run's event may be out of date, and checking them needs a token; pass `github-token`",
            );
            return Ok(None);
        }
        return Ok(label.map(|label| Acceptance { label: Some(label.clone()), ..Acceptance::default() }));
    };
    let from_fork = pull.map(|pull| pull.from_fork);
    pull_acceptance::of_pull(accept, &Pull { client: &client, repository, number }, from_fork).await
}
