//! The check run, if requested. Like the comment it is optional: its failure is a warning.

use std::path::{Component, Path};

use super::{console, github};
use crate::cli::{CommentFlags, GithubFlags};
use crate::github::check_runs::{CheckRun, LineAnnotation};
use crate::github::{Context, Forge, GithubError};
use crate::limits::Verdict;
use crate::report::actions::{Annotation, Level, annotated};
use crate::report::markdown::{COMMENT_BUDGET, headline, render};
use crate::report::{Report, escape};

/// Reports the verdict on the commit that the report is about.
pub async fn post(report: &Report, flags: &CommentFlags, github: &GithubFlags, context: &Context) {
    if !flags.check_run {
        return;
    }
    if let forge @ (Forge::Gitea | Forge::Forgejo) = github::forge(github) {
        return console::warn(&format!(
            "no check run: {} does not support them; the step itself fails if a limit is exceeded",
            forge.name()
        ));
    }
    let of_pull = context.pull_request.as_ref().map(|pull| &pull.head_sha);
    // With several pull requests, it is unknown whose limits apply; a closed one may be reopened.
    let of_other = context.workflow_run.as_ref().is_some_and(|run| run.event.starts_with("pull_request"));
    if of_other && of_pull.is_none() {
        return console::note(
            "no check run: the triggering run's pull request is unknown, and so are its limits",
        );
    }
    let Some(head_sha) = of_pull.or(report.head_sha.as_ref()).or(context.sha.as_ref()) else {
        return console::warn("no check run: the commit is unknown");
    };
    match create(report, flags, github, context, head_sha).await {
        Ok(Some(url)) => console::note(&format!("the check run is at {url}")),
        Ok(None) => console::warn("no check run: no token; pass `github-token`, or set GITHUB_TOKEN"),
        Err(error) => console::warn(&format!("no check run: {error}")),
    }
}

async fn create(
    report: &Report,
    flags: &CommentFlags,
    github: &GithubFlags,
    context: &Context,
    head_sha: &str,
) -> Result<Option<String>, GithubError> {
    let Some((client, repository)) = github::of_run(github, context)? else { return Ok(None) };
    let title = headline(report);
    let run = CheckRun {
        // Several gates on one commit are distinguished like their comments.
        name: &match flags.comment_key.as_str() {
            "default" => "layergate".to_owned(),
            key => format!("layergate ({key})"),
        },
        head_sha,
        conclusion: match report.verdict {
            Verdict::Pass | Verdict::Accepted => "success",
            Verdict::Warn | Verdict::Unenforced => "neutral",
            Verdict::Fail => "failure",
        },
        title: &title,
        summary: &render(report, COMMENT_BUDGET),
        annotations: &lines(report),
    };
    run.create(&client, repository).await.map(Some)
}

/// A path in GitHub's form, from the top of the repository; `None` if it leads outside.
pub(super) fn inside(path: &str) -> Option<String> {
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    let plain = |part: &&Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let all = parts.iter().filter(plain).count() == parts.len() && !parts.is_empty();
    all.then(|| path.trim_start_matches("./").to_owned())
}

/// The annotations for findings with a position in a file of the repository.
fn lines(report: &Report) -> Vec<LineAnnotation> {
    let line = |annotation: Annotation| {
        let place = annotation.place?;
        Some(LineAnnotation {
            path: inside(&place.path)?,
            first: place.line,
            last: place.end_line,
            level: match annotation.level {
                Level::Failure => "failure",
                Level::Warning => "warning",
                Level::Notice => "notice",
            },
            title: escape::log(&annotation.title),
            message: escape::log(&annotation.message),
        })
    };
    annotated(report).into_iter().filter_map(line).collect()
}
