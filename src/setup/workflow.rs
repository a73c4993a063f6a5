//! Workflows and composite actions: their steps, and the events that start these.

use std::collections::BTreeMap;

use super::yaml::YamlNode;
use super::{ACTION, RepositoryTree, path};

/// Most calls that are followed from one list of steps, and how deep one calls another.
const MAX_CALLS: usize = 200;
const MAX_DEPTH: usize = 8;
/// Most bytes of all files together.
const MAX_BYTES: usize = 8 << 20;

/// A workflow or the `action.yml` of a composite action.
#[derive(Debug)]
pub struct WorkflowFile {
    pub path: String,
    pub text: String,
    pub root: YamlNode,
}

impl WorkflowFile {
    /// Whether an event starts it.
    pub fn starts_on(&self, event: &str) -> bool {
        let Some(on) = self.root.get("on") else { return false };
        let is_event = |node: &YamlNode| node.text() == Some(event);
        is_event(on) || on.items.iter().any(is_event) || on.get(event).is_some()
    }

    /// The events that start it.
    fn triggers(&self, branch: &str) -> Events {
        let of_push = |key: &str| self.root.get("on")?.get("push")?.get(key);
        let fits = |pattern: &&str| *pattern == branch || pattern.contains(['*', '$']);
        let on_branch = match of_push("branches") {
            Some(patterns) => patterns.texts().iter().any(fits),
            None => of_push("tags").is_none(),
        };
        let pull = if self.starts_on("pull_request") { PULL } else { 0 };
        if self.starts_on("push") && on_branch { pull | PUSH } else { pull }
    }

    /// Whether it runs only when some paths change.
    pub fn has_path_filter(&self) -> bool {
        let filters =
            |(_, event): &(YamlNode, YamlNode)| event.get("paths").or(event.get("paths-ignore")).is_some();
        self.root.get("on").is_some_and(|on| on.entries.iter().any(filters))
    }

    /// Whether a step of it is layergate.
    pub fn is_gated(&self) -> bool {
        self.root.texts().iter().any(|text| text.split('@').next() == Some(ACTION))
    }
}

/// Reads the files, and says what cannot be read of them.
pub fn read(tree: &RepositoryTree<'_>, notes: &mut Vec<String>) -> Vec<WorkflowFile> {
    let (mut files, mut left) = (Vec::new(), MAX_BYTES);
    for path in tree.workflows.iter().chain(&tree.actions) {
        let parsed = (tree.read)(path).and_then(|text| {
            left = left.checked_sub(text.len()).ok_or("all workflows together are too large")?;
            Ok(WorkflowFile { path: path.clone(), root: YamlNode::parse(&text)?, text })
        });
        match parsed {
            Ok(file) => files.push(file),
            Err(why) => notes.push(format!("{path}: not followed: {why}")),
        }
    }
    files
}

/// What has steps: a job or a composite action. A job that calls a reusable workflow has none.
#[derive(Debug)]
pub struct Host<'a> {
    pub file: &'a WorkflowFile,
    /// The job's ID and content; `None` for a composite action.
    pub job: Option<(&'a str, &'a YamlNode)>,
    /// The steps.
    pub steps: &'a [YamlNode],
}

impl<'a> Host<'a> {
    /// The job, if it is one, and the steps.
    pub fn nodes(&self) -> impl Iterator<Item = &'a YamlNode> {
        self.job.map(|(_, job)| job).into_iter().chain(self.steps)
    }

    /// A value of the job.
    pub fn get(&self, key: &str) -> Option<&'a YamlNode> {
        self.job?.1.get(key)
    }

    /// Whether a step of it is layergate.
    pub fn is_gated(&self) -> bool {
        self.steps.iter().any(|step| action_of(step) == ACTION)
    }

    /// Whether its token is known to have a permission: it is named for the job, or for the whole workflow.
    pub fn may_write(&self, scope: &str) -> bool {
        let named = self.get("permissions").or_else(|| self.job.and(self.file.root.get("permissions")));
        named.is_some_and(|named| named.text() == Some("write-all") || named.text_of(scope) == Some("write"))
    }
}

/// What a step or a job uses, without its version.
pub fn action_of(node: &YamlNode) -> &str {
    node.text_of("uses").and_then(|uses| uses.split('@').next()).unwrap_or_default()
}

/// The events that something runs for, as bits.
pub type Events = u8;
/// Pull requests.
pub const PULL: Events = 1;
/// Pushes to the branch whose images are recorded.
pub const PUSH: Events = 2;
/// Both.
pub const BOTH: Events = PULL | PUSH;

/// A job of a workflow that events start.
#[derive(Debug)]
pub struct StartedJob<'a> {
    pub file: &'a WorkflowFile,
    /// The job's ID.
    pub job: &'a str,
    /// The events for which it runs the steps that are looked at.
    pub events: Events,
}

/// All jobs and composite actions, and which call which.
pub struct Hosts<'a> {
    pub all: Vec<Host<'a>>,
    /// By the path that is called: the caller and its job or step.
    calls: BTreeMap<String, Vec<(usize, &'a YamlNode)>>,
    branch: &'a str,
}

impl<'a> Hosts<'a> {
    /// Those of all files.
    pub fn new(files: &'a [WorkflowFile], branch: &'a str) -> Hosts<'a> {
        let (mut all, mut calls) = (Vec::new(), BTreeMap::<String, Vec<(usize, &YamlNode)>>::new());
        for file in files {
            for (id, job) in file.root.get("jobs").map(|jobs| &jobs.entries[..]).unwrap_or_default() {
                let steps = job.get("steps").map(|steps| &steps.items[..]).unwrap_or_default();
                all.extend(id.text().map(|id| Host { file, job: Some((id, job)), steps }));
            }
            if let Some(steps) = file.root.get("runs").and_then(|runs| runs.get("steps")) {
                all.push(Host { file, job: None, steps: &steps.items });
            }
        }
        for (index, host) in all.iter().enumerate() {
            for node in host.nodes() {
                let uses = node.text_of("uses").filter(|uses| uses.starts_with("./"));
                if let Some(place) = uses.and_then(|uses| path::join(".", uses)) {
                    calls.entry(place).or_default().push((index, node));
                }
            }
        }
        Hosts { all, calls, branch }
    }

    /// What calls a reusable workflow or a composite action: each the caller and its job or step.
    pub fn callers(&self, file: &WorkflowFile) -> impl Iterator<Item = (&Host<'a>, &'a YamlNode)> {
        let place = if file.root.get("runs").is_some() { path::parent(&file.path) } else { &file.path };
        let calls = self.calls.get(place).map(Vec::as_slice).unwrap_or_default();
        calls.iter().map(|(caller, call)| (&self.all[*caller], *call))
    }

    /// The jobs that events start and that run the steps of a host, directly or through `uses: ./...`.
    pub fn starts(&self, host: &Host<'a>) -> Vec<StartedJob<'a>> {
        let (mut found, mut open, mut budget) = (Vec::new(), vec![(host, BOTH, 0)], MAX_CALLS);
        while let Some((host, within, depth)) = open.pop().filter(|_| budget > 0) {
            budget -= 1;
            let within = within & events_of(host.get("if").and_then(YamlNode::text), self.branch);
            if let Some((job, _)) = host.job {
                let events = within & host.file.triggers(self.branch);
                found.push(StartedJob { file: host.file, job, events });
            }
            for (caller, call) in self.callers(host.file).filter(|_| depth < MAX_DEPTH) {
                open.push((caller, within & events_of(call.text_of("if"), self.branch), depth + 1));
            }
        }
        found.reverse();
        found
    }

    /// Whether one run of a workflow runs the steps of a host several times, by several jobs or steps.
    pub fn are_together(&self, host: &Host<'a>) -> bool {
        let starts = self.starts(host);
        let mut paths: Vec<&str> =
            starts.iter().filter(|start| start.events != 0).map(|start| start.file.path.as_str()).collect();
        paths.sort_unstable();
        paths.windows(2).any(|two| two[0] == two[1])
    }
}

/// A condition without the `${{ }}` around it, on one line.
pub fn bare(condition: &str) -> String {
    let text = condition.split_whitespace().collect::<Vec<_>>().join(" ");
    let inner = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}"));
    inner.filter(|inner| !inner.contains("}}")).unwrap_or(&text).trim().to_owned()
}

/// For which events an `if:` lets something run, by what it says of the event and the branch. A condition of
/// anything else lets both through; one that cannot be told lets none.
pub fn events_of(condition: Option<&str>, branch: &str) -> Events {
    let text = bare(condition.unwrap_or_default()).replace('"', "'");
    let about = ["github.event", "github.ref", "github.head_ref", "github.base_ref"];
    let is_about = |text: &str| about.iter().any(|word| text.contains(word));
    if is_about(&text) && text.contains("||") {
        return 0;
    }
    let one = |part: &str| match part.trim().trim_matches(['(', ')']).trim() {
        "github.event_name == 'pull_request'"
        | "github.event_name != 'push'"
        | "github.event.pull_request.head.repo.full_name == github.repository" => PULL,
        "github.event_name == 'push'" | "github.event_name != 'pull_request'" => PUSH,
        part if part == format!("github.ref == 'refs/heads/{branch}'") => PUSH,
        part if part == format!("github.ref_name == '{branch}'") => PUSH,
        "!github.event.pull_request.draft" | "github.event.pull_request.draft == false" => BOTH,
        part if is_about(part) => 0,
        _ => BOTH,
    };
    text.split("&&").map(one).fold(BOTH, |all, one| all & one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_told_by_what_they_say_of_the_event() {
        for (condition, expected) in [
            ("", BOTH),
            ("steps.filter.outputs.api == 'true'", BOTH),
            ("steps.a.outputs.b || steps.a.outputs.c", BOTH),
            ("${{ !github.event.pull_request.draft }}", BOTH),
            ("github.event_name == 'pull_request'", PULL),
            ("${{ github.event_name != 'pull_request' }}", PUSH),
            ("github.event_name == \"push\" && github.ref == 'refs/heads/main'", PUSH),
            ("github.repository == 'a/b' && github.event_name != 'push'", PULL),
            ("github.event_name == 'push' || inputs.x", 0),
            ("startsWith(github.ref, 'refs/tags/')", 0),
            ("github.event_name == 'release'", 0),
        ] {
            assert_eq!(events_of(Some(condition), "main"), expected, "{condition}");
        }
    }

    #[test]
    fn triggers_are_those_of_the_recorded_branch() {
        for (on, expected) in [
            ("push", PUSH),
            ("[push, pull_request]", BOTH),
            ("{push: {tags: ['v*']}, pull_request: }", PULL),
            ("{push: {branches: [main]}}", PUSH),
            ("{push: {branches: [dev]}, pull_request_target: }", 0),
            ("workflow_call", 0),
        ] {
            let text = format!("on: {on}\n");
            let file = WorkflowFile { path: "w.yml".into(), root: YamlNode::parse(&text).unwrap(), text };
            assert_eq!(file.triggers("main"), expected, "{on}");
        }
    }

    #[test]
    fn calls_that_go_round_end() {
        let text = "on: [push]\njobs:\n  a: {uses: ./w.yml}\n  b: {uses: ./w.yml}\n  c: {steps: []}\n";
        let files =
            [WorkflowFile { path: "w.yml".into(), text: text.into(), root: YamlNode::parse(text).unwrap() }];
        let hosts = Hosts::new(&files, "main");
        let starts = hosts.starts(&hosts.all[2]);
        assert!(starts.len() <= MAX_CALLS && starts.iter().all(|start| start.events == PUSH));
    }
}
