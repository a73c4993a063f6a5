//! Which builds get layergate behind them, and where the rest is built.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{self, Delivery, ImageBuildStep};
use super::edit::{self, Insertion};
use super::gate::{self, Gate, MatrixRow};
use super::name::plain;
use super::workflow::{self, Hosts, PULL, PUSH};
use super::yaml::YamlNode;
use super::{FileChange, InitPlan, RepositoryTree, WORKFLOW, matrix, path, preflight, script};

/// Most images of one repository.
const MAX_IMAGES: usize = 200;

/// What to do in a repository.
///
/// # Errors
/// What is wrong with a text that would be written, which is a fault of layergate.
pub fn plan(tree: &RepositoryTree<'_>) -> Result<InitPlan, String> {
    let mut plan = InitPlan::default();
    let files = workflow::read(tree, &mut plan.notes);
    let hosts = Hosts::new(&files, &tree.branch);
    let (mut served, mut rows) = (Vec::new(), Vec::new());
    let (mut taken, mut looked) = (BTreeSet::new(), BTreeSet::new());
    for mut build in builds(&hosts, tree, &mut plan) {
        if let Err(why) = matrix::assign(&mut build, &hosts, tree, &mut taken) {
            plan.notes.push(format!("{}: not followed: {why}", build.place));
            continue;
        }
        let found = &build.found;
        for image in &found.images {
            if looked.insert((image.dockerfile.clone(), found.context.clone())) {
                preflight::look(image, found.context.as_deref(), &found.key, tree, &mut plan.notes);
            }
        }
        if build.runs || build.can_be_copied {
            plan.images.extend(found.images.iter().map(|image| (image.clone(), build.place.clone())));
            served.push(build);
        } else if let Some(own) = MatrixRow::of(&build) {
            plan.images.extend(own.iter().map(|row| (row.image.clone(), build.place.clone())));
            rows.extend(own);
        } else {
            let (place, branch) = (&build.place, &tree.branch);
            plan.notes.push(format!(
                "{place}: not followed: no workflow runs this build for pull requests and for pushes to {branch}"
            ));
        }
    }
    let mut patch = Patch { tree, hosts: &hosts, edits: BTreeMap::new(), jobs: BTreeMap::new() };
    for build in &served {
        let file = build.host.file;
        let is_only = served.iter().filter(|other| other.host.file.path == file.path).count() == 1;
        patch.gate(build, is_only);
        if file.has_path_filter() {
            plan.notes.push(format!(
                "{}: check: this workflow has path filters; after a push that it skips, the baseline is from an older commit, and growth is only a warning",
                file.path
            ));
        }
    }
    plan.changes = patch.changes(!rows.is_empty());
    apart(rows, tree, &mut plan);
    let mut said = BTreeSet::new();
    plan.notes.retain(|note| said.insert(note.clone()));
    for FileChange { path, after, .. } in &plan.changes {
        YamlNode::parse(after).map_err(|why| format!("{path}: {why}"))?;
    }
    Ok(plan)
}

/// The builds without those that layergate stands behind already. Of several that build the same, it is one that runs
/// for both events.
fn builds<'a>(
    hosts: &'a Hosts<'a>,
    tree: &RepositoryTree<'_>,
    plan: &mut InitPlan,
) -> Vec<ImageBuildStep<'a>> {
    let mut groups: Vec<Vec<ImageBuildStep<'a>>> = Vec::new();
    for host in &hosts.all {
        let mut notes = Vec::new();
        for build in build::find(host, hosts, tree, &mut notes) {
            let is_full = groups.len() >= MAX_IMAGES;
            match groups.iter_mut().find(|group| group[0].found.key == build.found.key) {
                Some(group) => group.push(build),
                None if is_full => notes
                    .push(format!("{}: not followed: only the first {MAX_IMAGES} builds are", build.place)),
                None => groups.push(vec![build]),
            }
        }
        if !host.is_gated() {
            plan.notes.extend(notes);
        }
    }
    let runs = hosts.all.iter().flat_map(|host| host.steps).filter_map(|step| step.text_of("run"));
    script::say_scripts(tree, &runs.collect::<Vec<_>>(), &mut plan.notes);
    let all = groups.len();
    groups.retain(|group| !group.iter().any(|build| build.host.is_gated()));
    plan.gated = all - groups.len();
    let best = |mut group: Vec<ImageBuildStep<'a>>| {
        group.sort_by_key(|build| if build.runs { 0 } else { 2 - usize::from(build.can_be_copied) });
        group.into_iter().next()
    };
    groups.into_iter().filter_map(best).collect()
}

/// The new workflow: for builds that no workflow runs for both events, or for Dockerfiles that none builds.
fn apart(mut rows: Vec<MatrixRow>, tree: &RepositoryTree<'_>, plan: &mut InitPlan) {
    let mut said = Vec::new();
    let is_open = |note: &String| note.contains(": not followed: ");
    if plan.images.is_empty() && plan.gated == 0 && !plan.notes.iter().any(is_open) {
        rows = preflight::rows(tree, &mut said, &mut plan.notes);
        let place = |row: &MatrixRow| row.image.dockerfile.clone().unwrap_or_default();
        plan.images.extend(rows.iter().map(|row| (row.image.clone(), place(row))));
    }
    if !(tree.exists)(WORKFLOW) && !rows.is_empty() {
        let key = if plan.changes.is_empty() { "" } else { "layergate" };
        let after = gate::workflow(&rows, &said, key, tree);
        return plan.changes.push(FileChange { path: WORKFLOW.into(), before: None, after });
    }
    let text = (tree.read)(WORKFLOW).unwrap_or_default();
    let names = rows.iter().map(|row| row.image.name.as_str());
    let lacks: Vec<&str> = names.filter(|name| !text.contains(&format!("name: {name}\n"))).collect();
    if !lacks.is_empty() {
        plan.notes.push(format!("{WORKFLOW} exists and stays as it is; it lacks {}", lacks.join(", ")));
    }
}

/// The edits of the files that are there.
struct Patch<'a> {
    tree: &'a RepositoryTree<'a>,
    hosts: &'a Hosts<'a>,
    edits: BTreeMap<&'a str, Vec<Insertion>>,
    /// By workflow: the jobs whose measurements are commented on, and those whose are recorded.
    jobs: BTreeMap<&'a str, [Vec<&'a str>; 2]>,
}

impl<'a> Patch<'a> {
    /// Makes the edits that a build needs, and puts the gate behind it. `is_only` says that no other gate of the file
    /// would comment.
    fn gate(&mut self, build: &ImageBuildStep<'a>, is_only: bool) {
        let (host, node, found, columns) = (build.host, build.node, &build.found, build.columns);
        let end = edit::end_of_block(&host.file.text, node, columns.0);
        let edits = self.edits.entry(&host.file.path).or_default();
        let condition = node.text_of("if").filter(|_| build.runs);
        let references: Vec<String> = match &found.delivery {
            Delivery::Present(references) if build.runs => references.clone(),
            Delivery::Load(tag) if build.runs => {
                let own = Delivery::own_tag(&found.images[0].name);
                edits.extend(load(node, &host.file.text, tag.is_none().then_some(&own)));
                vec![build::in_engine(tag.as_ref().unwrap_or(&own))]
            }
            _ => {
                edits.push((end, edit::item(&gate::copy_of(build, condition, self.tree), columns)));
                let names = found.images.iter().map(|image| &image.name);
                names.map(|name| format!("oci-archive:{}", gate::archive(name))).collect()
            }
        };
        let is_registry = self.tree.store.starts_with("oci:");
        let gate = Gate {
            images: found.images.iter().cloned().zip(references).collect(),
            host: Some(host),
            condition,
            comments: host.may_write("pull-requests") && host.get("strategy").is_none() && is_only,
            records: host.may_write(if is_registry { "packages" } else { "contents" }),
        };
        let steps = gate.steps(self.tree);
        edits.push((end, steps.iter().map(|step| edit::item(step, columns)).collect()));
        for start in self.hosts.starts(host) {
            let is_for =
                [start.events & PULL != 0 && !gate.comments, start.events & PUSH != 0 && !gate.records];
            let jobs = self.jobs.entry(&start.file.path).or_default().iter_mut();
            for (jobs, _) in jobs.zip(is_for).filter(|(jobs, is_for)| *is_for && !jobs.contains(&start.job)) {
                jobs.push(start.job);
            }
        }
    }

    /// The files with their edits, and with the jobs that comment and record behind the others.
    /// `more` says that another workflow comments, too, so that each needs a comment of its own.
    fn changes(mut self, more: bool) -> Vec<FileChange> {
        let commenting = self.jobs.values().filter(|[comment, _]| !comment.is_empty()).count();
        let several = commenting + usize::from(more) > 1;
        let mut changes = Vec::new();
        for host in &self.hosts.all {
            let file = host.file;
            if let Some(([comment, record], (jobs, entries))) =
                self.jobs.remove(file.path.as_str()).zip(file.root.entry("jobs"))
            {
                let key = path::name(&file.path).split('.').next().and_then(plain).filter(|_| several);
                let column = entries.entries.first().map_or(2, |(id, _)| id.column);
                let text = gate::jobs([&comment, &record], &key.unwrap_or_default(), column, self.tree);
                let end = edit::end_of_block(&file.text, jobs, jobs.column);
                self.edits.entry(&file.path).or_default().extend((!text.is_empty()).then_some((end, text)));
            }
            if let Some(edits) = self.edits.remove(file.path.as_str()).filter(|edits| !edits.is_empty()) {
                let after = edit::apply(&file.text, edits);
                changes.push(FileChange { path: file.path.clone(), before: Some(file.text.clone()), after });
            }
        }
        changes
    }
}

/// The lines that make a step load its image into the engine.
fn load(step: &YamlNode, text: &str, tag: Option<&String>) -> Option<Insertion> {
    let (key, with) = step.entry("with")?;
    let blank = " ".repeat(with.entries.first()?.0.column);
    let tags = tag.map(|tag| format!("{blank}tags: {tag}\n")).unwrap_or_default();
    let load = format!("{blank}load: true # layergate reads the image from the runner's engine\n{tags}");
    Some((edit::end_of_block(text, key, key.column), load))
}
