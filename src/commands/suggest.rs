//! Suggestions on the pull request, if requested. Like the comment they are optional: their failure is a warning.

use std::collections::BTreeMap;

use super::check_run::inside;
use super::{comment, console, github};
use crate::cli::{CommentFlags, GithubFlags};
use crate::github::reviews::{PostedSuggestions, Review, Suggested};
use crate::github::{Context, Forge, GithubError, PullRequest, Repository, contents};
use crate::image::Digest;
use crate::report::Report;
use crate::report::suggestions::suggestions;

/// Maximum number of suggestions on a pull request, and of Dockerfiles read for them: a report of a fork may name a
/// thousand, and each suggestion is a comment.
const MAX_SUGGESTIONS: usize = 10;
const MAX_FILES: usize = 20;

/// Posts the suggestions of a report on this run's pull request.
pub async fn post(report: &Report, flags: &CommentFlags, github: &GithubFlags, context: &Context) {
    let Some(pull) = context.pull_request.as_ref().filter(|_| flags.suggest) else { return };
    if let forge @ (Forge::Gitea | Forge::Forgejo) = github::forge(github) {
        return console::warn(&format!("no suggestions: {} does not support them", forge.name()));
    }
    if pull.from_fork && context.event_name == "pull_request" {
        return console::note(
            "no suggestions from this run: on a pull request from a fork, its token can only read; run `layergate report --suggest` in the trusted job",
        );
    }
    match show(report, flags, github, context, pull).await {
        Ok(None) => console::warn("no suggestions: no token; pass `github-token`, or set GITHUB_TOKEN"),
        Ok(Some(PostedSuggestions { outside, .. })) if outside > 0 => console::note(&format!(
            "{outside} fixes are not suggested, because their lines are not in the pull request's diff"
        )),
        Ok(Some(_)) => {}
        Err(error) => console::warn(&format!("no suggestions: {error}")),
    }
}

async fn show(
    report: &Report,
    flags: &CommentFlags,
    github: &GithubFlags,
    context: &Context,
    pull: &PullRequest,
) -> Result<Option<PostedSuggestions>, GithubError> {
    let (Some((owner, name)), Some(token)) = (&context.repository, github::token(github)) else {
        return Ok(None);
    };
    let repository = Repository::new(github::client(github, &token)?, owner, name);
    let author = comment::author(flags, repository.client(), &token, github::forge(github)).await?;
    let wanted = wanted(report, &repository, &pull.head_sha).await?;
    let review = Review {
        repository: (owner, name),
        number: pull.number,
        head_sha: &pull.head_sha,
        key: &flags.comment_key,
        author: &author,
        run: context.run,
    };
    review.show(repository.client(), &wanted).await.map(Some)
}

/// The suggestions for each Dockerfile that is the same at the head as the one that was built: in another version, a
/// line could be a different one.
async fn wanted(
    report: &Report,
    repository: &Repository,
    head_sha: &str,
) -> Result<Vec<Suggested>, GithubError> {
    let mut texts: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut wanted: Vec<Suggested> = Vec::new();
    for image in &report.images {
        let Some(built) = &image.dockerfile else { continue };
        let Some(path) = inside(&built.path) else { continue };
        if wanted.len() == MAX_SUGGESTIONS || texts.len() == MAX_FILES && !texts.contains_key(&path) {
            continue;
        }
        if !texts.contains_key(&path) {
            let operation = "read the Dockerfile of the pull request's head";
            let text = contents::text_of(repository, &path, head_sha, operation).await?;
            texts.insert(path.clone(), text);
        }
        let text = texts.get(&path).and_then(Option::as_ref);
        let Some(text) = text.filter(|text| Digest::of(text.as_bytes()) == built.digest) else { continue };
        for one in suggestions(image, text) {
            let overlaps = |other: &Suggested| {
                other.path == path && other.line <= one.end_line && one.line <= other.end_line
            };
            // Several images or platforms may share one Dockerfile.
            if wanted.len() < MAX_SUGGESTIONS && !wanted.iter().any(overlaps) {
                let (line, end_line, body) = (one.line, one.end_line, one.body());
                wanted.push(Suggested { path: path.clone(), line, end_line, body });
            }
        }
    }
    Ok(wanted)
}
