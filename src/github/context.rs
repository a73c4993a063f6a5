//! What a GitHub Actions run knows about itself: its variables and its event file (GitHub Actions, "Variables" and
//! "Webhook events and payloads"). Payloads differ by event and change over time, so they are read as JSON values.
//! Missing fields are unknown; a missing required field is reported.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::acceptance::label_names;
use crate::files;

/// The largest event file that is read; GitHub's own limit is 25 MB.
const MAX_EVENT: u64 = 32 << 20;

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
    /// The run's ID and attempt.
    pub run: Option<RunId>,
    /// The pull request, if the event has one.
    pub pull_request: Option<PullRequest>,
    /// `before` of a push.
    pub push_before: Option<String>,
    /// `base_sha` of a merge group.
    pub merge_group_base: Option<String>,
    /// The pull request whose merge group this is.
    pub merge_group_pull: Option<u64>,
    /// The branch that the run's change is to be merged into, as the runner or the event says: for pull requests and
    /// merge groups.
    pub base_branch: Option<String>,
    /// The repository's default branch, if the event states it.
    pub default_branch: Option<String>,
    /// Whether the pushed branch is protected by a rule (`GITHUB_REF_PROTECTED`).
    pub is_protected: bool,
    /// The run that this one follows (the event `workflow_run`).
    pub workflow_run: Option<WorkflowRun>,
    /// The issue or pull request that was commented on (the event `issue_comment`).
    pub commented: Option<Commented>,
    /// Open pull requests whose head was pushed, if there are several; a single one is [`Context::pull_request`].
    pub pushed_pulls: Vec<PullRequest>,
    /// A required field that the event's file lacks, in words.
    pub problem: Option<String>,
    /// The files that the runner reads after the step.
    pub files: RunnerFiles,
}

/// Identifies a run; ordered by when runs were started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId {
    /// `GITHUB_RUN_ID`.
    pub id: u64,
    /// `GITHUB_RUN_ATTEMPT`.
    pub attempt: u64,
}

/// A pull request, as far as the event describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The commit at its head.
    pub head_sha: String,
    /// The commit at the tip of its target branch.
    pub base_sha: String,
    /// Its target branch.
    pub base_branch: Option<String>,
    /// The repository that it comes from, as `owner/name`; `None` if that was deleted.
    pub head_repository: Option<String>,
    /// Whether it comes from another repository, whose runs have a read-only token, or its origin is unknown.
    pub from_fork: bool,
    /// Its labels, when the event was sent.
    pub labels: Vec<String>,
}

/// What was commented on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commented {
    /// Its number.
    pub number: u64,
    /// Whether it is a pull request rather than a plain issue.
    pub is_pull_request: bool,
}

/// A run that another one follows (the event `workflow_run`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRun {
    /// Its ID and attempt.
    pub run: Option<RunId>,
    /// The commit that it was about.
    pub head_sha: String,
    /// The branch that the commit is on, in its repository.
    pub head_branch: String,
    /// That repository, as `owner/name`: for a pull request from a fork, the fork.
    pub head_repository: String,
    /// The event that triggered it.
    pub event: String,
}

/// Files that the runner reads after the step.
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
        let event_name = set("GITHUB_EVENT_NAME").unwrap_or_default();
        let read = read_event(set("GITHUB_EVENT_PATH").as_deref());
        let problem = problem(&event_name, &read);
        let event = read.unwrap_or_default();
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let repository = set("GITHUB_REPOSITORY")
            .and_then(|name| name.split_once('/').map(|(owner, name)| (owner.to_owned(), name.to_owned())));
        Some(Context {
            repository,
            sha: set("GITHUB_SHA"),
            reference: set("GITHUB_REF"),
            event_name,
            run: number("GITHUB_RUN_ID")
                .map(|id| RunId { id, attempt: number("GITHUB_RUN_ATTEMPT").unwrap_or(1) }),
            pull_request: event.get("pull_request").and_then(read_pull_request),
            push_before: text("/before"),
            merge_group_base: text("/merge_group/base_sha"),
            merge_group_pull: text("/merge_group/head_ref").and_then(|name| Some(queued(&name)?.0)),
            base_branch: set("GITHUB_BASE_REF").or_else(|| text("/merge_group/base_ref")).map(branch_name),
            default_branch: text("/repository/default_branch"),
            is_protected: set("GITHUB_REF_PROTECTED").as_deref() == Some("true"),
            workflow_run: event.get("workflow_run").and_then(workflow_run),
            commented: event.get("issue").and_then(commented),
            pushed_pulls: Vec::new(),
            problem,
            files: RunnerFiles {
                output: set("GITHUB_OUTPUT").map(PathBuf::from),
                summary: set("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            },
        })
    }
}

/// A branch by its short name.
fn branch_name(name: String) -> String {
    name.strip_prefix("refs/heads/").map(str::to_owned).unwrap_or(name)
}

/// Which configuration decides in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deciding {
    /// The one in the checkout.
    Checkout,
    /// The one on this branch, whatever is checked out: the branch that the change is to be merged into.
    Branch(String),
    /// A branch that the event does not name.
    Unknown,
}

impl Context {
    /// Whether this run is for a group of a merge queue.
    pub fn is_merge_queue(&self) -> bool {
        self.event_name == "merge_group"
    }

    /// Which configuration decides. A check of an unprotected branch counts for a pull request opened from it later, so
    /// it is evaluated like one to the default branch.
    pub fn deciding(&self) -> Deciding {
        // The check of a push counts for any pull request opened from it, and whoever pushed may have opened one to a
        // branch of their own.
        let of_pull = self.pull_request.as_ref().filter(|_| self.event_name != "push");
        if let Some(branch) = of_pull.and_then(|pull| pull.base_branch.clone()) {
            return Deciding::Branch(branch);
        }
        let pushed = self.reference.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
        match self.event_name.as_str() {
            "merge_group" => self.base_branch.clone().map_or(Deciding::Unknown, Deciding::Branch),
            event if of_pull.is_some() || event.starts_with("pull_request") => {
                self.base_branch.clone().map_or(Deciding::Unknown, Deciding::Branch)
            }
            // This event runs on the default branch, and anything may be checked out.
            "issue_comment" => pushed.map_or(Deciding::Checkout, |own| Deciding::Branch(own.to_owned())),
            // The same, unless the run before was of that very branch.
            "workflow_run" if self.follows_other_code(pushed) => {
                pushed.map_or(Deciding::Unknown, |own| Deciding::Branch(own.to_owned()))
            }
            // Pushed, or started by hand: the check is the same. A tag may be on any commit, and so may a deployment,
            // which need not be on a branch.
            _ => match &self.default_branch {
                Some(default) if pushed != Some(default) && !self.is_protected => {
                    Deciding::Branch(default.clone())
                }
                _ => Deciding::Checkout,
            },
        }
    }

    /// Whether the run that this one follows was about anything but the tip of the branch that this one runs on.
    fn follows_other_code(&self, own: Option<&str>) -> bool {
        self.workflow_run.as_ref().is_none_or(|run| {
            let repository = self.repository.as_ref().map(|(owner, name)| format!("{owner}/{name}"));
            run.event.starts_with("pull_request")
                || Some(run.head_branch.as_str()) != own
                || repository.is_none_or(|own| !own.eq_ignore_ascii_case(&run.head_repository))
        })
    }

    /// Whether a repository is the run's own, or the one that the change comes from.
    pub fn is_of_run(&self, owner: &str, name: &str) -> bool {
        let own = self.repository.as_ref().map(|(owner, name)| format!("{owner}/{name}"));
        let pulls = self.pull_request.iter().chain(&self.pushed_pulls);
        let heads = pulls.filter_map(|pull| pull.head_repository.as_deref());
        let followed = self.workflow_run.iter().map(|run| run.head_repository.as_str());
        let asked = format!("{owner}/{name}");
        own.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(&asked))
            || heads.chain(followed).any(|one| one.eq_ignore_ascii_case(&asked))
    }

    /// Whether [`Context::sha`] is always the tip of the default branch, no matter what the run is about.
    pub fn is_about_default_branch(&self) -> bool {
        matches!(self.event_name.as_str(), "workflow_run" | "issue_comment" | "repository_dispatch")
    }
}

/// The event's content, or why it is not available, in words.
fn read_event(path: Option<&str>) -> Result<Value, String> {
    let path = path.ok_or("GITHUB_EVENT_PATH is not set")?;
    let unusable = |why: &dyn std::fmt::Display| format!("the event file {path} cannot be used: {why}");
    let content = files::read(Path::new(path), MAX_EVENT).map_err(|error| unusable(&error))?;
    let event: Value = serde_json::from_slice(&content).map_err(|error| unusable(&error))?;
    if event.is_object() { Ok(event) } else { Err(unusable(&"it is not a JSON object")) }
}

/// The required fields of each event, with their types. Fields that may be missing, such as the repository of a deleted
/// fork, are not listed.
fn needed(event_name: &str) -> &'static [(&'static str, FieldKind)] {
    match event_name {
        "pull_request" | "pull_request_target" => &[
            ("pull_request.number", FieldKind::Number),
            ("pull_request.head.sha", FieldKind::Text),
            ("pull_request.base.sha", FieldKind::Text),
            ("pull_request.base.ref", FieldKind::Text),
        ],
        "push" => &[("before", FieldKind::Text)],
        "merge_group" => &[
            ("merge_group.base_sha", FieldKind::Text),
            ("merge_group.head_ref", FieldKind::Text),
            ("merge_group.base_ref", FieldKind::Text),
        ],
        "workflow_run" => {
            &[("workflow_run.head_sha", FieldKind::Text), ("workflow_run.event", FieldKind::Text)]
        }
        "issue_comment" => &[("issue.number", FieldKind::Number)],
        _ => &[],
    }
}

#[derive(Clone, Copy)]
enum FieldKind {
    Number,
    Text,
}

/// Why a run cannot be understood, in words: the first field that is missing or of the wrong type.
fn problem(event_name: &str, event: &Result<Value, String>) -> Option<String> {
    let needed = needed(event_name);
    let event = match event {
        Ok(event) => event,
        Err(problem) => return (!needed.is_empty()).then(|| problem.clone()),
    };
    needed.iter().find_map(|(name, kind)| {
        let found = event.pointer(&format!("/{}", name.replace('.', "/"))).unwrap_or(&Value::Null);
        let (is_good, wanted) = match kind {
            FieldKind::Number => (found.is_u64(), "number"),
            FieldKind::Text => (found.is_string(), "string"),
        };
        if is_good {
            None
        } else if found.is_null() {
            Some(format!("the event file has no `{name}`"))
        } else {
            Some(format!("the event file has a `{name}` that is not a {wanted}"))
        }
    })
}

/// The pull request in the name of a merge queue's branch, and the commit that the entry is based on:
/// `refs/heads/gh-readonly-queue/main/pr-7-SHA`.
pub(super) fn queued(name: &str) -> Option<(u64, &str)> {
    let last = name.strip_prefix("refs/heads/gh-readonly-queue/")?.rsplit('/').next()?;
    let (number, base) = last.strip_prefix("pr-")?.split_once('-')?;
    Some((number.parse().ok()?, base))
}

fn workflow_run(own: &Value) -> Option<WorkflowRun> {
    let text = |pointer: &str| own.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| own.get(name).and_then(Value::as_u64);
    let run = number("id").map(|id| RunId { id, attempt: number("run_attempt").unwrap_or(1) });
    Some(WorkflowRun {
        run,
        head_sha: text("/head_sha")?,
        // A tag has no branch.
        head_branch: text("/head_branch").unwrap_or_default(),
        head_repository: text("/head_repository/full_name").unwrap_or_default(),
        event: text("/event").unwrap_or_default(),
    })
}

fn commented(own: &Value) -> Option<Commented> {
    let number = own.get("number").and_then(Value::as_u64)?;
    // An issue lacks this field.
    let is_pull_request = own.get("pull_request").is_some_and(Value::is_object);
    Some(Commented { number, is_pull_request })
}

/// Reads a pull request in the form that events and the API share.
pub(super) fn read_pull_request(own: &Value) -> Option<PullRequest> {
    let text = |pointer: &str| own.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (head, base) = (text("/head/repo/full_name"), text("/base/repo/full_name"));
    Some(PullRequest {
        number: own.get("number").and_then(Value::as_u64)?,
        head_sha: text("/head/sha")?,
        base_sha: text("/base/sha")?,
        base_branch: text("/base/ref"),
        head_repository: head.clone(),
        // A deleted fork has no repository any more.
        from_fork: head.is_none() || head != base,
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
        assert_eq!(queued("refs/heads/gh-readonly-queue/release/1.x/pr-104-0123abc"), Some((104, "0123abc")));
        for other in ["refs/heads/pr-1-x", "refs/heads/gh-readonly-queue/main/pr-x-1", ""] {
            assert_eq!(queued(other), None, "{other}");
        }
    }

    #[test]
    fn the_configuration_of_a_change_is_that_of_the_branch_it_goes_to() {
        let branch = |name: &str| Deciding::Branch(name.to_owned());
        let pushed = |reference: &str, is_protected| Context {
            event_name: "push".into(),
            reference: Some(reference.into()),
            default_branch: Some("main".into()),
            is_protected,
            ..Context::default()
        };
        let run_of = |event: &str, branch: &str, repository: &str| {
            let head = serde_json::json!({ "full_name": repository });
            let run = serde_json::json!({
                "head_sha": "a", "event": event, "head_branch": branch, "head_repository": head,
            });
            let (event_name, reference) = ("workflow_run".into(), Some("refs/heads/main".into()));
            let repository = Some(("acme".to_owned(), "shop".to_owned()));
            let workflow_run = workflow_run(&run);
            Context { event_name, reference, repository, workflow_run, ..Context::default() }
        };
        let queue = Context { event_name: "merge_group".into(), ..Context::default() };
        let queued = Context { base_branch: Some("release/1".into()), ..queue.clone() };
        let pull = Context { event_name: "pull_request".into(), ..Context::default() };
        for (context, expected) in [
            (pushed("refs/heads/main", false), Deciding::Checkout),
            (pushed("refs/heads/release/1", true), Deciding::Checkout),
            (pushed("refs/tags/v1", false), branch("main")),
            (pushed("refs/tags/v1", true), Deciding::Checkout),
            (pushed("refs/heads/fix/it", false), branch("main")),
            (
                Context { event_name: "workflow_dispatch".into(), ..pushed("refs/heads/fix/it", false) },
                branch("main"),
            ),
            (run_of("pull_request", "fix/it", "mallory/shop"), branch("main")),
            (run_of("pull_request", "main", "acme/shop"), branch("main")),
            (run_of("push", "fix/it", "acme/shop"), branch("main")),
            (run_of("push", "main", "mallory/shop"), branch("main")),
            (run_of("push", "main", "acme/shop"), Deciding::Checkout),
            (queue, Deciding::Unknown),
            (queued, branch("release/1")),
            (pull.clone(), Deciding::Unknown),
            (Context { base_branch: Some("main".into()), ..pull }, branch("main")),
            (Context::default(), Deciding::Checkout),
        ] {
            assert_eq!(context.deciding(), expected, "{context:?}");
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
