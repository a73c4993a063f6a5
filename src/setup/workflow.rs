//! Workflows and composite actions: their steps, and the events that trigger them.

use std::collections::{BTreeMap, BTreeSet};

use super::yaml::YamlNode;
use super::{ACTION, RepositoryTree, name};

/// Maximum number of calls followed from one list of steps, and how deeply calls may nest.
const MAX_CALLS: usize = 200;
const MAX_DEPTH: usize = 8;
/// How often a variable may take its value from another one, and how many callers are considered.
const MAX_GIVEN: (usize, usize) = (2, 50);
/// Maximum bytes of all files together.
const MAX_BYTES: usize = 8 << 20;

/// A workflow or the `action.yml` of a composite action.
#[derive(Debug)]
pub struct WorkflowFile {
    pub path: String,
    pub text: String,
    pub root: YamlNode,
}

impl WorkflowFile {
    /// Whether an event triggers it.
    pub fn starts_on(&self, event: &str) -> bool {
        let Some(on) = self.root.get("on") else { return false };
        let is_event = |node: &YamlNode| node.text() == Some(event);
        is_event(on) || on.items.iter().any(is_event) || on.get(event).is_some()
    }

    /// Whether an event's `branches:` match a branch; `None` if it has none.
    pub fn has_branch(&self, event: &str, branch: &str) -> Option<bool> {
        let patterns = self.root.get("on")?.get(event)?.get("branches")?;
        let fits = |pattern: &&str| {
            globset::Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(branch))
        };
        Some(patterns.texts().iter().any(fits))
    }

    /// The events that trigger it.
    fn triggers(&self, branch: &str) -> Events {
        let tags = || self.root.get("on").and_then(|on| on.get("push")?.get("tags"));
        let on_branch = self.has_branch("push", branch).unwrap_or_else(|| tags().is_none());
        let pull = if self.starts_on("pull_request") { PULL } else { 0 };
        if self.starts_on("push") && on_branch { pull | PUSH } else { pull }
    }

    /// Whether one of its steps is layergate.
    pub fn is_gated(&self) -> bool {
        self.root.texts().iter().any(|text| text.split('@').next() == Some(ACTION))
    }
}

/// Reads the files, and reports those that cannot be read.
pub fn read(tree: &RepositoryTree<'_>, notes: &mut Vec<String>) -> Vec<WorkflowFile> {
    let (mut files, mut left) = (Vec::new(), MAX_BYTES);
    for path in tree.workflows.iter().chain(&tree.actions) {
        let text = (tree.read)(path).and_then(|text| {
            left = left.checked_sub(text.len()).ok_or("all workflows together are too large")?;
            Ok(text)
        });
        match text.map(|text| (YamlNode::parse(&text), text)) {
            Ok((Ok(root), text)) => files.push(WorkflowFile { path: path.clone(), root, text }),
            Ok((Err(error), _)) => notes.push(format!("{path}:{}: not followed: {}", error.line, error.why)),
            Err(why) => notes.push(format!("{path}: not followed: {why}")),
        }
    }
    files
}

/// A job or a composite action. A job that calls a reusable workflow has no steps.
#[derive(Debug)]
pub struct Host<'a> {
    pub file: &'a WorkflowFile,
    /// The job's ID and content; `None` for a composite action.
    pub job: Option<(&'a str, &'a YamlNode)>,
    /// The steps.
    pub steps: &'a [YamlNode],
    /// The column of their dashes; `None` in flow style.
    pub dash: Option<usize>,
}

impl<'a> Host<'a> {
    fn new(file: &'a WorkflowFile, id: Option<&'a str>, content: &'a YamlNode) -> Host<'a> {
        let steps = content.entry("steps");
        let is_dash = |list: &YamlNode| {
            let line = file.text.lines().nth(list.line.saturating_sub(1));
            line.and_then(|line| line.chars().nth(list.column)) == Some('-')
        };
        // The parser reports the column of a dash, unless it is no deeper than `steps:`.
        let dash = steps.filter(|(_, list)| list.is_block);
        let dash = dash.map(|(key, list)| if is_dash(list) { list.column } else { key.column });
        let steps = steps.map(|(_, list)| &list.items[..]).unwrap_or_default();
        Host { file, job: id.map(|id| (id, content)), steps, dash }
    }

    /// The job, if it is one, and its steps.
    pub fn nodes(&self) -> impl Iterator<Item = &'a YamlNode> {
        self.job.map(|(_, job)| job).into_iter().chain(self.steps)
    }

    /// A value of the job.
    pub fn get(&self, key: &str) -> Option<&'a YamlNode> {
        self.job?.1.get(key)
    }

    /// Whether one of its steps is layergate.
    pub fn is_gated(&self) -> bool {
        self.steps.iter().any(|step| action_of(step) == ACTION)
    }

    /// Whether its token certainly has a permission: it is granted for the job, or for the whole workflow.
    pub fn may_write(&self, scope: &str) -> bool {
        let named = self.get("permissions").or_else(|| self.job.and(self.file.root.get("permissions")));
        named.is_some_and(|named| named.text() == Some("write-all") || named.text_of(scope) == Some("write"))
    }
}

/// The action that a step or a job uses, without its version.
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

/// A job that events start.
pub struct StartedJob<'h, 'a> {
    pub host: &'h Host<'a>,
    /// The events for which it runs the steps in question.
    pub events: Events,
}

/// All jobs and composite actions, and which call which.
pub struct Hosts<'a> {
    pub all: Vec<Host<'a>>,
    /// By the called path: the caller and its job or step.
    calls: BTreeMap<String, Vec<(usize, &'a YamlNode)>>,
    branch: &'a str,
}

impl<'a> Hosts<'a> {
    /// The hosts of all files.
    pub fn new(files: &'a [WorkflowFile], branch: &'a str) -> Hosts<'a> {
        let (mut all, mut calls) = (Vec::new(), BTreeMap::<String, Vec<(usize, &YamlNode)>>::new());
        for file in files {
            let jobs = file.root.get("jobs").map(|jobs| &jobs.entries[..]).unwrap_or_default();
            all.extend(jobs.iter().filter_map(|(id, job)| Some(Host::new(file, Some(id.text()?), job))));
            all.extend(file.root.get("runs").map(|runs| Host::new(file, None, runs)));
        }
        for (index, host) in all.iter().enumerate() {
            for node in host.nodes() {
                let uses = node.text_of("uses").filter(|uses| uses.starts_with("./"));
                if let Some(place) = uses.and_then(|uses| name::join(".", uses)) {
                    calls.entry(place).or_default().push((index, node));
                }
            }
        }
        Hosts { all, calls, branch }
    }

    /// The callers of a reusable workflow or a composite action: each with its job or step.
    pub fn callers(&self, file: &WorkflowFile) -> impl Iterator<Item = (&Host<'a>, &'a YamlNode)> {
        let directory = file.path.rsplit_once('/').map_or(".", |(directory, _)| directory);
        let place = if file.root.get("runs").is_some() { directory } else { &file.path };
        let calls = self.calls.get(place).map(Vec::as_slice).unwrap_or_default();
        calls.iter().map(|(caller, call)| (&self.all[*caller], *call))
    }

    /// The jobs that events start and that run the steps of a host, directly or through `uses: ./...`.
    pub fn starts<'h>(&'h self, host: &'h Host<'a>) -> Vec<StartedJob<'h, 'a>> {
        let (mut found, mut open, mut budget) = (Vec::new(), vec![(host, BOTH, 0)], MAX_CALLS);
        while let Some((host, within, depth)) = open.pop().filter(|_| budget > 0) {
            budget -= 1;
            let within = within & events_of(host.get("if").and_then(YamlNode::text), self.branch);
            let events = within & host.file.triggers(self.branch);
            found.extend((host.job.is_some() && events != 0).then_some(StartedJob { host, events }));
            for (caller, call) in self.callers(host.file).filter(|_| depth < MAX_DEPTH) {
                open.push((caller, within & events_of(call.text_of("if"), self.branch), depth + 1));
            }
        }
        found.reverse();
        found
    }

    /// The values that a workflow's variable can have: from the matrix, or from its callers. An expression counts as
    /// one value, as written, unless it is a variable of the caller: then the values of that count.
    pub fn values(&self, host: &Host<'a>, variable: &str, depth: usize) -> BTreeSet<&'a str> {
        let (of, path) = variable.split_once('.').unwrap_or_default();
        let key = path.rsplit('.').next().unwrap_or_default();
        if of == "matrix" {
            let matrix = host.get("strategy").and_then(|strategy| strategy.get("matrix"));
            let values: BTreeSet<&str> =
                matrix.map(|matrix| matrix.all(key)).unwrap_or_default().into_iter().collect();
            // Without literal values, only the runner knows the matrix.
            return if values.is_empty() { [""].into() } else { values };
        }
        let given = |(caller, call): (&Host<'a>, &'a YamlNode)| {
            let text = call.get("with").and_then(|with| with.text_of(key)).unwrap_or_default();
            match &name::variables(text).0[..] {
                [variable] if depth < MAX_GIVEN.0 && text.trim_end().ends_with("}}") => {
                    self.values(caller, variable, depth + 1)
                }
                _ => [text].into(),
            }
        };
        self.callers(host.file).take(MAX_GIVEN.1).flat_map(given).collect()
    }
}

/// A condition without the `${{ }}` around it, on one line.
pub fn bare(condition: &str) -> String {
    let text = condition.split_whitespace().collect::<Vec<_>>().join(" ");
    let inner = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}"));
    inner.filter(|inner| !inner.contains("}}")).unwrap_or(&text).trim().to_owned()
}

/// The events for which an `if:` lets something run, by what it says about the event and the branch. A condition about
/// anything else lets both through; one that cannot be evaluated lets none through.
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
