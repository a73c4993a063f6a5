//! What a GitHub Actions run says of itself: its variables and its event file (GitHub Actions,
//! "Variables" and "Webhook events and payloads"). Payloads differ by event and change over time,
//! so they are read as JSON values, and what is missing is simply not known.

use std::path::PathBuf;

use serde_json::Value;

use super::acceptance::label_names;

/// The largest event file that is read; GitHub's own limit is 25 MB.
const MAX_EVENT: usize = 32 << 20;

/// A run of GitHub Actions.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// `owner/name`.
    pub repository: Option<(String, String)>,
    /// The commit that the run is about (`GITHUB_SHA`): on pull requests, the test merge.
    pub sha: Option<String>,
    /// `refs/heads/main`, `refs/pull/7/merge`.
    pub reference: Option<String>,
    /// The event's name.
    pub event_name: String,
    /// The run's number for the API, and which attempt this is.
    pub run: Option<RunId>,
    /// The pull request, where the event has one.
    pub pull_request: Option<PullRequest>,
    /// `before` of a push.
    pub push_before: Option<String>,
    /// `base_sha` of a merge group.
    pub merge_group_base: Option<String>,
    /// The pull request whose turn it is in a merge queue.
    pub merge_group_pull: Option<u64>,
    /// The run that this one follows.
    pub workflow_run: Option<WorkflowRun>,
    /// The files that the runner reads when the step is over.
    pub files: RunnerFiles,
}

/// Which run, in the order in which runs were started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId {
    /// `GITHUB_RUN_ID`.
    pub id: u64,
    /// `GITHUB_RUN_ATTEMPT`.
    pub attempt: u64,
}

/// A pull request, as far as the event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The commit at its head.
    pub head_sha: String,
    /// The commit at the tip of the branch that it goes to.
    pub base_sha: String,
    /// That branch.
    pub base_branch: Option<String>,
    /// Whether it comes from another repository, whose runs have a read-only token.
    pub from_fork: bool,
    /// Its labels, when the event was sent.
    pub labels: Vec<String>,
}

/// A run that another one follows (the event `workflow_run`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRun {
    /// Which run it was.
    pub run: Option<RunId>,
    /// The commit that it was about.
    pub head_sha: String,
    /// The branch that the commit is on, in its repository.
    pub head_branch: String,
    /// That repository, as `owner/name`: of a pull request from a fork, the fork.
    pub head_repository: String,
    /// What made it happen.
    pub event: String,
}

/// Files that the runner reads when the step is over.
#[derive(Debug, Clone, Default)]
pub struct RunnerFiles {
    /// `GITHUB_OUTPUT`.
    pub output: Option<PathBuf>,
    /// `GITHUB_STEP_SUMMARY`.
    pub summary: Option<PathBuf>,
}

impl Context {
    /// Reads the variables of a run and its event file; `None` outside GitHub Actions.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Option<Context> {
        if variable("GITHUB_ACTIONS").as_deref() != Some("true") {
            return None;
        }
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str| set(name)?.parse().ok();
        let event = set("GITHUB_EVENT_PATH").and_then(|path| read_event(&path)).unwrap_or(Value::Null);
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let repository = set("GITHUB_REPOSITORY")
            .and_then(|name| name.split_once('/').map(|(owner, name)| (owner.to_owned(), name.to_owned())));
        Some(Context {
            repository,
            sha: set("GITHUB_SHA"),
            reference: set("GITHUB_REF"),
            event_name: set("GITHUB_EVENT_NAME").unwrap_or_default(),
            run: number("GITHUB_RUN_ID")
                .map(|id| RunId { id, attempt: number("GITHUB_RUN_ATTEMPT").unwrap_or(1) }),
            pull_request: event.get("pull_request").and_then(read_pull_request),
            push_before: text("/before"),
            merge_group_base: text("/merge_group/base_sha"),
            merge_group_pull: text("/merge_group/head_ref").and_then(|name| queued(&name)),
            workflow_run: event.get("workflow_run").and_then(workflow_run),
            files: RunnerFiles {
                output: set("GITHUB_OUTPUT").map(PathBuf::from),
                summary: set("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            },
        })
    }
}

impl Context {
    /// Whether [`Context::sha`] is the tip of the default branch whatever this run is for.
    pub fn is_about_default_branch(&self) -> bool {
        matches!(self.event_name.as_str(), "workflow_run" | "issue_comment" | "repository_dispatch")
    }
}

fn read_event(path: &str) -> Option<Value> {
    let content = std::fs::read(path).ok().filter(|content| content.len() <= MAX_EVENT)?;
    serde_json::from_slice(&content).ok()
}

/// The pull request of a merge queue's branch: `refs/heads/gh-readonly-queue/main/pr-7-SHA`.
fn queued(name: &str) -> Option<u64> {
    let last = name.strip_prefix("refs/heads/gh-readonly-queue/")?.rsplit('/').next()?;
    last.strip_prefix("pr-")?.split('-').next()?.parse().ok()
}

fn workflow_run(own: &Value) -> Option<WorkflowRun> {
    let text = |pointer: &str| own.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| own.get(name).and_then(Value::as_u64);
    let run = number("id").map(|id| RunId { id, attempt: number("run_attempt").unwrap_or(1) });
    Some(WorkflowRun {
        run,
        head_sha: text("/head_sha")?,
        // A tag has none.
        head_branch: text("/head_branch").unwrap_or_default(),
        head_repository: text("/head_repository/full_name").unwrap_or_default(),
        event: text("/event").unwrap_or_default(),
    })
}

/// A pull request, as events and the API have it.
pub(super) fn read_pull_request(own: &Value) -> Option<PullRequest> {
    let text = |pointer: &str| own.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Some(PullRequest {
        number: own.get("number").and_then(Value::as_u64)?,
        head_sha: text("/head/sha")?,
        base_sha: text("/base/sha")?,
        base_branch: text("/base/ref"),
        // A fork that was deleted has no repository any more.
        from_fork: text("/head/repo/full_name") != text("/base/repo/full_name"),
        labels: label_names(own),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(event: &str) -> Context {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), event).unwrap();
        let path = file.path().display().to_string();
        let variable = |name: &str| match name {
            "GITHUB_ACTIONS" => Some("true".to_owned()),
            "GITHUB_EVENT_PATH" => Some(path.clone()),
            "GITHUB_REPOSITORY" => Some("acme/shop".to_owned()),
            "GITHUB_RUN_ID" => Some("77".to_owned()),
            _ => None,
        };
        Context::read(variable).unwrap()
    }

    #[test]
    fn the_pull_request_of_a_merge_queue_is_in_its_branch() {
        assert_eq!(queued("refs/heads/gh-readonly-queue/release/1.x/pr-104-0123abc"), Some(104));
        for other in ["refs/heads/pr-1-x", "refs/heads/gh-readonly-queue/main/pr-x-1", ""] {
            assert_eq!(queued(other), None, "{other}");
        }
    }

    #[test]
    fn an_event_is_read_as_far_as_it_goes() {
        let full = r#"{"pull_request":{"number":7,"head":{"sha":"a","repo":{"full_name":"fork/shop"}},"base":{"sha":"b","repo":{"full_name":"acme/shop"}}}}"#;
        let pull = context(full).pull_request.unwrap();
        assert_eq!((pull.number, pull.head_sha.as_str(), pull.from_fork), (7, "a", true));
        assert_eq!(context(full).run, Some(RunId { id: 77, attempt: 1 }));
        for partial in
            ["", "{", "[]", "null", r#"{"pull_request":null}"#, r#"{"pull_request":{"number":"7"}}"#]
        {
            assert_eq!(context(partial).pull_request, None, "{partial}");
        }
        assert!(Context::read(|_| None).is_none());
    }
}
