//! Whether somebody has accepted a broken limit. It is asked only where one is broken.

use super::{console, github};
use crate::cli::GithubFlags;
use crate::config::{Accept, Acceptance};
use crate::github::acceptance::Pull;
use crate::github::{Context, GithubError, pulls};
use crate::limits::Verdict;
use crate::report::{AcceptanceRules, Report};

/// Accepts what is broken, where a label or a trailer of the pull request says so.
pub async fn apply(report: &mut Report, accept: &Accept, flags: &GithubFlags, context: Option<&Context>) {
    if accept.is_empty() && context.is_some() {
        // Where nothing accepts, nothing is accepted.
        report.withdraw_acceptance();
    }
    // What jobs have said is accepted may not be so any more.
    if accept.is_empty() || !matches!(report.verdict, Verdict::Fail | Verdict::Accepted) {
        return;
    }
    let mut ways = AcceptanceRules::from(accept);
    if context.and_then(|context| context.pull_request.as_ref()).is_some_and(|pull| pull.from_fork) {
        ways.trailer = None;
    }
    report.accept = Some(ways);
    let Some(context) = context else { return };
    match find(accept, flags, context).await {
        Ok(found) => {
            report.withdraw_acceptance();
            if let Some(acceptance) = found {
                report.accept_with(acceptance, accept);
            }
        }
        Err(error) => console::warn(&format!("whether this is accepted is not known: {error}")),
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
        // All that is known then is what the event says; one that is run again may be old.
        let label = pull.and_then(|pull| accept.label_of(&pull.labels));
        if label.is_some() && context.run.is_some_and(|run| run.attempt > 1) {
            console::warn(
                "the labels that this run's event had may not be set any more, and without a token nobody knows; pass `github-token`",
            );
            return Ok(None);
        }
        return Ok(label.map(|label| Acceptance { label: Some(label.clone()), ..Acceptance::default() }));
    };
    let pull = Pull { client: &client, repository, number };
    if !accept.labels.is_empty()
        && let Some(label) = accept.label_of(&pull.labels().await?)
    {
        // That it is there is enough; who has set it is for people.
        let set = pull.labelled(label).await.unwrap_or_else(|error| {
            console::warn(&format!("who set the label is not known: {error}"));
            None
        });
        let (by, at) = set.map(|set| (set.by, set.at)).unzip();
        return Ok(Some(Acceptance {
            label: Some(label.clone()),
            by: by.flatten(),
            at,
            ..Acceptance::default()
        }));
    }
    let Some(trailer) = &accept.trailer else { return Ok(None) };
    // Of one from a fork, anybody writes the commits.
    let from_fork = match context.pull_request.as_ref() {
        Some(pull) => pull.from_fork,
        None => pulls::of_number(pull.client, repository, number).await?.is_none_or(|pull| pull.from_fork),
    };
    if from_fork {
        return Ok(None);
    }
    // Of several, the newest.
    let messages = pull.messages().await?;
    let said =
        messages.into_iter().rev().find_map(|message| Some((accept.reason_in(&message.text)?, message)));
    Ok(said.map(|(reason, message)| Acceptance {
        label: None,
        trailer: Some(trailer.clone()),
        reason: Some(reason),
        commit: Some(message.sha),
        by: Some(message.author),
        at: Some(message.at),
    }))
}
