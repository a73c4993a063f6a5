//! Whether and how a check comments. A comment is optional: its failure is a warning.

use std::time::Duration;

use super::{UsageError, console, github};
use crate::cli::{CommentFlags, CommentWhen, GithubFlags};
use crate::github::Graphql;
use crate::github::comments::{self, CommentOrigin, CommentOutcome, CommentTarget, Edited};
use crate::github::{Client, Context, Forge, GithubError, PullRequest};
use crate::limits::Verdict;
use crate::report::Report;
use crate::report::ahead::write_accepted;
use crate::report::markdown::{COMMENT_BUDGET, render};

/// The longest wait for a comment, in seconds, if GitHub asks for one; a job's minutes cost money.
const MOST_PATIENCE: u64 = 30;

/// The outcome of commenting.
pub enum Posted {
    /// It exists; its URL.
    At(String),
    /// None was wanted or possible, and nothing is wrong.
    None,
    /// It is missing. The reason has been reported.
    Failed,
}

/// Checks the flags before anything is measured.
///
/// # Errors
/// [`UsageError`] for a key that cannot be part of a comment's marker.
pub fn check_flags(flags: &CommentFlags) -> Result<(), UsageError> {
    if comments::is_key(&flags.comment_key) {
        return Ok(());
    }
    let key = &flags.comment_key;
    Err(UsageError(format!("--comment-key {key}: use up to 64 letters, digits, `.`, `_` and single `-`")))
}

/// A requested comment.
struct CommentRequest<'a> {
    report: &'a Report,
    flags: &'a CommentFlags,
    /// Whether to create it if it does not exist.
    create: bool,
}

/// Comments on the pull request of this run, if any; if several were pushed at once, on each.
pub async fn post(report: &Report, flags: &CommentFlags, github: &GithubFlags, context: &Context) -> Posted {
    let create = match flags.comment {
        CommentWhen::Always => true,
        CommentWhen::Changes => report.is_worth_a_comment(),
        CommentWhen::Failures => report.verdict >= Verdict::Accepted,
        CommentWhen::Never => return Posted::None,
    };
    post_on_each(&CommentRequest { report, flags, create }, github, context).await
}

/// Updates the comment on this run's pull request, but creates none.
pub async fn update(
    report: &Report,
    flags: &CommentFlags,
    github: &GithubFlags,
    context: &Context,
) -> Posted {
    post_on_each(&CommentRequest { report, flags, create: false }, github, context).await
}

async fn post_on_each(wanted: &CommentRequest<'_>, github: &GithubFlags, context: &Context) -> Posted {
    let (mut at, mut failed) = (None, false);
    for pull in context.pull_request.iter().chain(&context.pushed_pulls) {
        match post_on(pull, wanted, github, context).await {
            Posted::At(url) => at = at.or(Some(url)),
            Posted::None => {}
            Posted::Failed => failed = true,
        }
    }
    match at {
        _ if failed => Posted::Failed,
        Some(url) => Posted::At(url),
        None => Posted::None,
    }
}

async fn post_on(
    pull: &PullRequest,
    wanted: &CommentRequest<'_>,
    github: &GithubFlags,
    context: &Context,
) -> Posted {
    let Some((owner, repository)) = &context.repository else { return Posted::None };
    let Some(token) = github::token(github) else {
        console::warn("not commented: no token; pass `github-token`, or set GITHUB_TOKEN");
        return Posted::Failed;
    };
    let posted = match github::client(github, &token) {
        Ok(client) => {
            let by = (token.as_str(), github::forge(github));
            let attempt = || try_post(wanted, context, pull, (owner, repository), &client, by);
            patiently(attempt).await
        }
        Err(error) => Err(error),
    };
    match posted {
        Ok(CommentOutcome::Updated(edited)) => {
            if wanted.report.verdict == Verdict::Fail && edited.verdict_before.as_deref() != Some("fail") {
                show(&edited, github, &token).await;
            }
            Posted::At(edited.url)
        }
        Ok(CommentOutcome::Created(url, _)) => Posted::At(url),
        Ok(CommentOutcome::NewerExists(url)) => {
            console::note("a newer run has updated the comment already, so it stays as it is");
            Posted::At(url)
        }
        Ok(CommentOutcome::NotNeeded) => Posted::None,
        Err(error) => {
            let fork = if pull.from_fork { " (this pull request is from a fork)" } else { "" };
            console::warn(&format!("not commented{fork}: {error}"));
            Posted::Failed
        }
    }
}

/// Tries once more if GitHub asks for a short wait. Everything is looked up again then, so that there is no second
/// comment; unchanged answers do not count against the rate limit.
async fn patiently(
    attempt: impl AsyncFn() -> Result<CommentOutcome, GithubError>,
) -> Result<CommentOutcome, GithubError> {
    match attempt().await {
        Err(GithubError::RateLimited { retry_after, .. }) if retry_after <= MOST_PATIENCE => {
            console::note(&format!("waiting {retry_after} s before commenting, as GitHub asks"));
            tokio::time::sleep(Duration::from_secs(retry_after)).await;
            attempt().await
        }
        posted => posted,
    }
}

/// A comment that somebody has hidden stays hidden until its verdict changes to failure.
async fn show(edited: &Edited, github: &GithubFlags, token: &str) {
    let Some(address) = github::graphql(github).filter(|_| !edited.node_id.is_empty()) else { return };
    let shown = match Graphql::new(&address, token) {
        Ok(graphql) => graphql.show(&edited.node_id).await,
        Err(error) => Err(error),
    };
    match shown {
        Ok(true) => {
            console::note("the comment was hidden; it is shown again, because a limit is now exceeded")
        }
        Ok(false) => {}
        Err(error) => console::warn(&format!("if the comment was hidden, it stays hidden: {error}")),
    }
}

/// The author of the comments: the named one, or the owner of the token.
pub(super) async fn author(
    flags: &CommentFlags,
    client: &Client,
    token: &str,
    forge: Forge,
) -> Result<String, GithubError> {
    match &flags.comment_author {
        Some(author) => Ok(author.clone()),
        None => comments::author(client, token, forge).await,
    }
}

async fn try_post(
    &CommentRequest { report, flags, create }: &CommentRequest<'_>,
    context: &Context,
    pull: &PullRequest,
    (owner, repository): (&str, &str),
    client: &Client,
    (token, forge): (&str, Forge),
) -> Result<CommentOutcome, GithubError> {
    let author = author(flags, client, token, forge).await?;
    let place =
        CommentTarget { owner, repository, number: pull.number, key: &flags.comment_key, author: &author };
    let origin = CommentOrigin { verdict: report.verdict.as_str(), sha: &pull.head_sha, run: context.run };
    let marker = comments::marker(&flags.comment_key, origin);
    let carried = write_accepted(report).map_or_else(String::new, |text| comments::carrying(&text));
    let body = carried.clone() + &render(report, COMMENT_BUDGET - marker.len() - carried.len());
    let outcome = comments::upsert(client, &place, origin, &body, create).await?;
    if let CommentOutcome::Created(_, own) = &outcome
        && !own.eq_ignore_ascii_case(&author)
    {
        console::warn(&format!(
            "the token comments as {own}, not as {author}, so the next run would not find this comment; set comment-author to {own}"
        ));
    }
    Ok(outcome)
}
