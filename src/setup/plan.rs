//! Decides which builds get layergate after them, and where the other images are built.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{self, Delivery, ImageBuildStep};
use super::edit::{self, Insertion};
use super::gate::{self, Gate};
use super::name::{plain, unique};
use super::workflow::{self, BOTH, Hosts, PULL, PUSH};
use super::yaml::YamlNode;
use super::{CheckedImage, FileChange, InitPlan, RepositoryTree, WORKFLOW, preflight, script};
use crate::sort;

/// Maximum number of images in one repository.
const MAX_IMAGES: usize = 200;

/// The plan for a repository.
///
/// # Errors
/// An error in a text that would be written, which is a bug in layergate.
pub fn plan(tree: &RepositoryTree<'_>) -> Result<InitPlan, String> {
    let mut plan = InitPlan::default();
    let files = workflow::read(tree, &mut plan.notes);
    let hosts = Hosts::new(&files, &tree.branch);
    let (mut served, mut others) = (Vec::new(), Vec::new());
    let (mut taken, mut looked) = (BTreeSet::new(), BTreeSet::new());
    for mut group in groups(&hosts, tree, &mut plan) {
        if group.iter().fold(0, |all, build| all | build.events) != BOTH {
            others.extend(group);
            continue;
        }
        let mut refused = Vec::new();
        group.retain_mut(|build| {
            let refusal = build.name_apart(&hosts, tree).err();
            refused.extend(refusal.map(|why| format!("{}: not followed: {why}", build.place)));
            refusal.is_none()
        });
        let mut chosen = chosen(group);
        if chosen.iter().fold(0, |all, build| all | build.events) != BOTH {
            // Another build of the same image is enough.
            plan.notes.extend(refused.into_iter().next());
            others.extend(chosen);
            continue;
        }
        for image in &mut chosen[0].found.images {
            image.name = unique(image, &mut taken);
        }
        let images = chosen[0].found.images.clone();
        for build in &mut chosen {
            build.found.images.clone_from(&images);
        }
        let (found, place) = (&chosen[0].found, &chosen[0].place);
        for image in images {
            if looked.insert((image.dockerfile.clone(), found.context.clone())) {
                preflight::look(&image, found.context.as_deref(), &found.key, tree, &mut plan.notes);
            }
            plan.images.push((image, place.clone()));
        }
        served.extend(chosen);
    }
    let mut patch = Patch { tree, hosts: &hosts, edits: BTreeMap::new(), jobs: BTreeMap::new() };
    for build in &served {
        let is_only = served.iter().filter(|other| other.host.file.path == build.host.file.path).count() == 1;
        patch.gate(build, is_only);
        preflight::look_at_triggers(build, &hosts, tree, &mut plan.notes);
    }
    plan.changes = patch.changes();
    apart(&others, tree, &mut plan);
    let mut said = BTreeSet::new();
    plan.notes.retain(|note| said.insert(note.clone()));
    for FileChange { path, after, .. } in &plan.changes {
        YamlNode::parse(after).map_err(|why| format!("{path}: {why}"))?;
    }
    Ok(plan)
}

/// Builds that do not have layergate yet, grouped by what they build.
fn groups<'a>(
    hosts: &'a Hosts<'a>,
    tree: &RepositoryTree<'_>,
    plan: &mut InitPlan,
) -> Vec<Vec<ImageBuildStep<'a>>> {
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
    let pulled =
        hosts.all.iter().filter(|host| hosts.starts(host).iter().any(|start| start.events & PULL != 0));
    let texts =
        pulled.flat_map(|host| host.get("strategy").into_iter().chain(host.steps)).flat_map(YamlNode::texts);
    script::say_scripts(tree, &texts.collect::<Vec<_>>().join("\n"), &mut plan.notes);
    let all = groups.len();
    groups.retain(|group| !group.iter().any(|build| build.host.is_gated()));
    plan.gated = all - groups.len();
    groups
}

/// Among builds of the same: one for both events that needs no copy, else one for both, else one for each.
fn chosen(mut group: Vec<ImageBuildStep<'_>>) -> Vec<ImageBuildStep<'_>> {
    sort::by_key(&mut group, |build| (build.events != BOTH, build.copies, build.is_in_each_row));
    let (mut chosen, mut events) = (Vec::<ImageBuildStep<'_>>::new(), 0);
    for build in group {
        let names = |build: &ImageBuildStep<'_>| {
            build.found.images.iter().map(|image| image.name.clone()).collect::<Vec<_>>()
        };
        let is_same = chosen.first().is_none_or(|first| names(first) == names(&build));
        if is_same && (chosen.is_empty() || build.events & !events != 0) {
            events |= build.events;
            chosen.push(build);
        }
    }
    chosen
}

/// The new workflow, if no workflow builds an image for pull requests and pushes.
fn apart(others: &[ImageBuildStep<'_>], tree: &RepositoryTree<'_>, plan: &mut InitPlan) {
    let is_open = plan.notes.iter().any(|note| note.contains(": not followed: "));
    plan.notes.extend(others.iter().map(|build| tree.says_no_pull_request(&build.place)));
    if !plan.images.is_empty() || plan.gated != 0 || is_open || (tree.exists)(WORKFLOW) {
        return;
    }
    let mut said = Vec::new();
    let rows = preflight::rows(others, tree, &mut said, &mut plan.notes);
    let place = |image: &CheckedImage| image.dockerfile.clone().unwrap_or_default();
    plan.images.extend(rows.iter().map(|row| (row.image.clone(), place(&row.image))));
    if !rows.is_empty() {
        let after = gate::workflow(&rows, &said, tree);
        plan.changes.push(FileChange { path: WORKFLOW.into(), before: None, after });
    }
}

/// The edits of existing files.
struct Patch<'a> {
    tree: &'a RepositoryTree<'a>,
    hosts: &'a Hosts<'a>,
    edits: BTreeMap<&'a str, Vec<Insertion>>,
    /// By workflow: the jobs whose measurements are commented on, and those whose measurements are recorded.
    jobs: BTreeMap<&'a str, [Vec<&'a str>; 2]>,
}

impl<'a> Patch<'a> {
    /// Makes the edits that a build needs, and puts the gate after it. `is_only` means that no other gate in the file
    /// would comment.
    fn gate(&mut self, build: &ImageBuildStep<'a>, is_only: bool) {
        let (host, node, found, columns) = (build.host, build.node, &build.found, build.columns);
        let end = edit::end_of_block(&host.file.text, node, columns.0);
        let edits = self.edits.entry(&host.file.path).or_default();
        let own = workflow::events_of(node.text_of("if"), &self.tree.branch);
        let condition = node.text_of("if").filter(|_| build.events & !own == 0).map(workflow::bare);
        let first = "strategy.job-index == 0";
        let condition = match condition {
            Some(own) if build.is_in_each_row => Some(gate::both(first, &own)),
            None if build.is_in_each_row => Some(first.to_owned()),
            condition => condition,
        };
        let condition = condition.as_deref();
        let references = match &found.delivery {
            Delivery::Present(references) if !build.copies => references.clone(),
            Delivery::Load(tag) if !build.copies => {
                let own = gate::own_tag(&found.images[0].name);
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
            events: build.events,
            comments: host.may_write("pull-requests") && host.get("strategy").is_none() && is_only,
            records: host.may_write(if is_registry { "packages" } else { "contents" }),
        };
        let steps = gate.steps(self.tree);
        edits.push((end, steps.iter().map(|step| edit::item(step, columns)).collect()));
        for start in self.hosts.starts(host) {
            let events = start.events & build.events;
            let is_for = [events & PULL != 0 && !gate.comments, events & PUSH != 0 && !gate.records];
            let (file, job) = (start.host.file, start.host.job.map_or("", |(job, _)| job));
            let jobs = self.jobs.entry(&file.path).or_default().iter_mut().zip(is_for);
            for (jobs, _) in jobs.filter(|(jobs, is_for)| *is_for && !jobs.contains(&job)) {
                jobs.push(job);
            }
        }
    }

    /// The edited files, with the jobs that comment and record at the end.
    fn changes(mut self) -> Vec<FileChange> {
        // If several workflows comment, each needs its own comment.
        let is_several = self.jobs.values().filter(|[comment, _]| !comment.is_empty()).count() > 1;
        let mut changes = Vec::new();
        for host in &self.hosts.all {
            let file = host.file;
            if let Some(([comment, record], (jobs, entries))) =
                self.jobs.remove(file.path.as_str()).zip(file.root.entry("jobs"))
            {
                let stem = file.path.rsplit('/').next().and_then(|name| name.split('.').next());
                let key = stem.and_then(plain).filter(|_| is_several).unwrap_or_default();
                let column = entries.entries.first().map_or(2, |(id, _)| id.column);
                let text = gate::jobs([&comment, &record], &key, column, self.tree);
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
