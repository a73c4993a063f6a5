//! The event that triggered a check's run: which pull request it is about, if any, and whether images may be measured
//! at all.

use super::{UsageError, console, github, local_git};
use crate::cli::{CheckArgs, CommentWhen, GithubFlags};
use crate::compare::baseline::short;
use crate::github::{Context, Deciding, GithubError, PullRequest, pulls};
use crate::image::snapshot::Commit;

/// What to do instead in a job with privileges that other people's code must not have.
const NEXT_STEP: &str = "Check in a `pull_request` job that saves its report (--report FILE), and comment from a `workflow_run` job with `layergate report`";

/// Sets the context's pull request to the one that the run is about, and reports what is unknown about it.
///
/// # Errors
/// [`UsageError`] if an image of a pull request may have been built beside secrets that its code must not see.
pub async fn resolve_event(arguments: &CheckArgs, context: &mut Context) -> Result<(), UsageError> {
    let wants_comment = arguments.output.comment.comment != CommentWhen::Never;
    match context.event_name.as_str() {
        "pull_request_target" => refuse_target(context, "check")?,
        "issue_comment" => of_comment(arguments, context).await?,
        "push" if arguments.comment_on_push && wants_comment => of_push(&arguments.github, context).await,
        _ => {}
    }
    if context.event_name.starts_with("pull_request") {
        refuse_retargeted(arguments, context).await?;
    }
    if let Some(problem) = &context.problem {
        console::warn(&format!("{problem}, so {}", consequence(&context.event_name)));
    }
    // For a push, none is expected.
    let usual = ["pull_request", "pull_request_target", "issue_comment", "push", ""];
    let event = &context.event_name;
    if wants_comment && context.pull_request.is_none() && !usual.contains(&event.as_str()) {
        let hint = match event.as_str() {
            "workflow_run" => "; `layergate report` finds the triggering run's",
            _ => "",
        };
        console::note(&format!("a `{event}` run has no pull request to comment on{hint}"));
    }
    Ok(())
}

/// Whose configuration counts: [`Context::deciding`], unless another commit than the run's own is checked out, such as the
/// head of a pull request whose number was passed to a run on the default branch.
pub fn deciding(context: &Context) -> Deciding {
    let own = context.reference.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
    match (context.deciding(), own) {
        (Deciding::Checkout, Some(own)) if is_other_checkout(context) => Deciding::Branch(own.to_owned()),
        (deciding, _) => deciding,
    }
}

/// Whether another commit of the run's own repository is checked out.
fn is_other_checkout(context: &Context) -> bool {
    let git = local_git();
    let is_other = git.head().zip(context.sha.as_ref()).is_some_and(|(head, own)| head.sha != *own);
    is_other && git.origin().is_none_or(|(owner, name)| context.is_of_run(&owner, &name))
}

/// Refuses a re-run for an earlier target branch: a re-run has the event of the first attempt, and its check counts for
/// the commit, whatever the target of the pull request is now.
///
/// # Errors
/// [`UsageError`] if the target is not the one in the event.
async fn refuse_retargeted(arguments: &CheckArgs, context: &Context) -> Result<(), UsageError> {
    let again = context.run.is_some_and(|run| run.attempt > 1);
    let Some(pull) = context.pull_request.as_ref().filter(|_| again) else { return Ok(()) };
    let found = match github::of_run(&arguments.github, context) {
        Ok(Some((client, place))) => pulls::of_number(&client, place, pull.number).await,
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let now = match found {
        Ok(now) => now.and_then(|now| now.base_branch),
        Err(error) => {
            console::warn(&format!("cannot tell whether #{} has a new target branch: {error}", pull.number));
            None
        }
    };
    match (&pull.base_branch, now) {
        (Some(then), Some(now)) if *then != now => Err(UsageError(format!(
            "the target branch of #{} was {then} when this run was first started, and is {now} now; push to the pull request, or close and reopen it, to start a new run",
            pull.number
        ))),
        _ => Ok(()),
    }
}

/// The consequence of an incomplete event file.
fn consequence(event_name: &str) -> &'static str {
    match event_name {
        "pull_request" => "the pull request's base commit and comment are unknown",
        "push" => "the base commit is unknown without a checkout",
        "merge_group" => "the group's base commit or pull request is unknown",
        "workflow_run" => "the triggering run's commit or event is unknown",
        "issue_comment" => "the commented pull request is unknown, and gets no comment",
        _ => "the run's subject is unknown",
    }
}

/// Such a run has secrets and a token that may write. Whoever may push to the repository has both anyway, so the head
/// may be measured if it is on a branch of the repository. Any other head, or a checkout that may not be the head, is
/// refused.
///
/// # Errors
/// [`UsageError`] unless it is certain; `command` is the command that was to measure.
pub fn refuse_target(context: &Context, command: &str) -> Result<(), UsageError> {
    let event = "pull_request_target";
    let Some(pull) = &context.pull_request else {
        let problem = context.problem.as_deref().unwrap_or("the event file does not name it");
        return Err(UsageError(format!(
            "{command} refuses to measure in a `{event}` run if the pull request may be from a fork: {problem}. {NEXT_STEP}"
        )));
    };
    if pull.from_fork {
        return Err(of_fork(command, event, pull));
    }
    let head = local_git().head();
    if is_of(head.as_ref(), pull) {
        return Ok(());
    }
    Err(UsageError(format!(
        "{command} refuses to measure in this `{event}` run: {}, so the images may not belong to #{}. {NEXT_STEP}",
        checked_out(head.as_ref(), pull),
        pull.number
    )))
}

fn of_fork(command: &str, event: &str, pull: &PullRequest) -> UsageError {
    UsageError(format!(
        "{command} refuses to measure in this `{event}` run for a pull request from a fork (#{}): the job has a write token and the repository's secrets, and a build of the fork's code can take both. {NEXT_STEP}",
        pull.number
    ))
}

/// Whether the checkout is the head of a pull request, or a merge of it into another commit.
fn is_of(checkout: Option<&Commit>, pull: &PullRequest) -> bool {
    let merges = |commit: &Commit| commit.parents.len() > 1 && commit.parents.contains(&pull.head_sha);
    checkout.is_some_and(|commit| commit.sha == pull.head_sha || merges(commit))
}

fn checked_out(checkout: Option<&Commit>, pull: &PullRequest) -> String {
    let head = short(&pull.head_sha);
    match checkout {
        Some(commit) => {
            format!("the checked-out commit is {}, not the pull request's head, {head}", short(&commit.sha))
        }
        None => format!("the pull request's head, {head}, is not checked out"),
    }
}

/// A comment triggers a run on the default branch, with secrets and a token that may write, whoever wrote it.
async fn of_comment(arguments: &CheckArgs, context: &mut Context) -> Result<(), UsageError> {
    let Some(commented) = context.commented else { return Ok(()) };
    let number = commented.number;
    if !commented.is_pull_request {
        console::note(&format!(
            "the comment is on issue #{number}, not on a pull request, so there is nothing to comment on"
        ));
        return Ok(());
    }
    let head = local_git().head();
    // By default that commit, or nothing, is checked out.
    let is_usual = match (&head, &context.sha) {
        (Some(head), Some(sha)) => head.sha == *sha,
        _ => true,
    };
    let found = match github::of_run(&arguments.github, context) {
        Ok(Some((client, place))) => pulls::of_number(&client, place, number).await,
        Ok(None) => return unknown(number, is_usual, &"there is no token; pass `github-token`"),
        Err(error) => Err(error),
    };
    let pull = match found {
        Ok(Some(pull)) => pull,
        Ok(None) => return unknown(number, is_usual, &"GitHub has no such pull request"),
        Err(error) => return unknown(number, is_usual, &error),
    };
    match is_of(head.as_ref(), &pull) {
        // It may have been the head when it was checked out.
        is_head if pull.from_fork && (is_head || !is_usual) => {
            return Err(of_fork("check", "issue_comment", &pull));
        }
        true => context.pull_request = Some(pull),
        false => console::warn(&format!(
            "the comment is on pull request #{number}, but {}: the check counts for the checked-out commit, and posts no comment",
            checked_out(head.as_ref(), &pull)
        )),
    }
    Ok(())
}

fn unknown(number: u64, is_usual: bool, why: &dyn std::fmt::Display) -> Result<(), UsageError> {
    if !is_usual {
        return Err(UsageError(format!(
            "check refuses to measure in an `issue_comment` run if the checkout is not the default branch and pull request #{number} may be from a fork: {why}. {NEXT_STEP}"
        )));
    }
    console::warn(&format!(
        "the comment is on pull request #{number}, but its head commit is unknown, so no comment is posted: {why}"
    ));
    Ok(())
}

/// The open pull requests whose head was pushed. A single one becomes this check's pull request; several, with different
/// targets, do not.
pub async fn of_push(flags: &GithubFlags, context: &mut Context) {
    match pushed(flags, context).await {
        Ok(mut found) if found.len() == 1 => context.pull_request = found.pop(),
        Ok(found) if found.is_empty() => {
            console::note("no open pull request has the pushed commit as its head, so no comment is posted");
        }
        Ok(found) => {
            let numbers: Vec<String> = found.iter().map(|pull| format!("#{}", pull.number)).collect();
            console::note(&format!(
                "{} have the pushed commit as their head, and each of them gets the comment",
                numbers.join(" and ")
            ));
            context.pushed_pulls = found;
        }
        Err(error) => {
            console::warn(&format!("cannot find the pull request to comment on: {error}"));
        }
    }
}

async fn pushed(flags: &GithubFlags, context: &Context) -> Result<Vec<PullRequest>, GithubError> {
    // A tag is not the head of a pull request.
    let branch = context.reference.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
    let (Some(branch), Some(sha)) = (branch, &context.sha) else { return Ok(Vec::new()) };
    let Some((client, place)) = github::of_run(flags, context)? else {
        console::warn("cannot look for a pull request to comment on without a token; pass `github-token`");
        return Ok(Vec::new());
    };
    let repository = format!("{}/{}", place.0, place.1);
    let tip = pulls::Tip { sha, branch, repository: &repository };
    pulls::of_tip(&client, place, tip, "find the pull request of the pushed branch").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_head_and_merges_of_it_are_of_a_pull_request() {
        let pull = PullRequest {
            number: 7,
            head_sha: "head".into(),
            base_sha: "base".into(),
            base_branch: None,
            head_repository: None,
            from_fork: false,
            labels: Vec::new(),
        };
        let is_of = |sha: &str, parents: &[&str]| {
            let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
            is_of(Some(&Commit { sha: sha.into(), parents, reference: None, time: None }), &pull)
        };
        assert!(is_of("head", &["x"]) && is_of("x", &["base", "head"]) && is_of("x", &["head", "base"]));
        // A commit on top of it is something else.
        assert!(!is_of("x", &["head"]) && !is_of("x", &["base"]) && !is_of("base", &[]));
        assert!(!super::is_of(None, &pull));
    }
}
