//! The steps and jobs that are generated.

use super::build::{Delivery, ImageBuildStep, in_engine};
use super::edit::{indented, item, source_of};
use super::quote::{fill, quoted, yaml};
use super::workflow::{BOTH, Events, Host, PULL, PUSH};
use super::{CheckedImage, RepositoryTree, name};
use crate::report::escape::visible;

/// Inputs of a build step that say what it ships and where, but nothing about the image's layers.
const OF_SHIPPING: &str = "push load outputs tags labels annotations cache-to provenance sbom attests no-cache \
    github-token set targets";
/// The same for bake's `set`.
const SET_OF_SHIPPING: &str = ".output .tags .cache-to .attest .labels .annotations";
/// Maximum number of notes beside an image.
const MAX_TODO: usize = 5;
const ON_PULL: &str = "github.event_name == 'pull_request'";

fn on_push(tree: &RepositoryTree<'_>) -> String {
    format!("github.event_name == 'push' && github.ref == 'refs/heads/{}'", tree.branch)
}

/// The condition of a step that runs for these events, and only if the build has run.
fn condition(own: Option<&str>, event: &str) -> String {
    own.map_or(event.to_owned(), |own| yaml(&format!("${{{{ {} }}}}", both(own, event))))
}

/// The conjunction of two conditions.
pub fn both(one: &str, other: &str) -> String {
    let group = |text: &str| if text.contains("||") { format!("({text})") } else { text.to_owned() };
    format!("{} && {}", group(one), group(other))
}

/// The check and the recording for the images of one build.
#[derive(Default)]
pub struct Gate<'a> {
    /// The images and how layergate finds each.
    pub images: Vec<(CheckedImage, String)>,
    /// Where the build is; `None` in a workflow of layergate's own.
    pub host: Option<&'a Host<'a>>,
    /// The condition of the build.
    pub condition: Option<&'a str>,
    /// The events that it is for.
    pub events: Events,
    /// Whether the comment is posted from here, rather than by a separate job.
    pub comments: bool,
    /// Whether the baseline is recorded from here, rather than by a separate job.
    pub records: bool,
}

impl Gate<'_> {
    /// The steps to insert after the build.
    pub fn steps(&self, tree: &RepositoryTree<'_>) -> Vec<String> {
        let name = self.images.first().map_or("", |(image, _)| &image.name);
        let named = self.images.iter().map(|(image, reference)| format!("{}={reference}", image.name));
        let images = match &self.images[..] {
            [_] => named.map(|one| yaml(&one)).collect(),
            _ => named.fold("|".to_owned(), |text, line| text + "\n    " + &line),
        };
        let only = self.images.first().filter(|_| self.images.len() == 1).map(|(image, _)| image);
        let text = |text: Option<&String>| text.map(|text| yaml(text)).unwrap_or_default();
        let dockerfile = only.and_then(|image| image.dockerfile.as_ref());
        let is_archive = self.images.iter().all(|(_, reference)| reference.starts_with("oci-archive:"));
        // Distinguishes the rows of a matrix. A composite action may run in any job.
        let row = match self.host {
            Some(host) if host.job.is_none() => "-${{ github.job }}-${{ strategy.job-index }}",
            Some(host) if host.get("strategy").is_none() => "",
            _ => "-${{ strategy.job-index }}",
        };
        let (store, kept) = (yaml(&tree.store), format!("${{{{ runner.temp }}}}/layergate/{name}"));
        let unless = |is: bool, text: &str| if is { String::new() } else { text.to_owned() };
        let values = [
            ("check-if", condition(self.condition, ON_PULL)),
            ("record-if", condition(self.condition, &on_push(tree))),
            ("images", images),
            ("platform", unless(!is_archive, "all")),
            ("dockerfile", text(dockerfile.filter(|path| *path != "Dockerfile"))),
            ("target", text(only.and_then(|image| image.target.as_ref()))),
            ("report", unless(self.comments, &format!("{kept}/report.json"))),
            ("comment", unless(self.comments, "never")),
            ("record-store", if self.records { store.clone() } else { format!("dir:{kept}") }),
            ("keep", unless(!self.records, "500")),
            ("store", store),
            // A push ships what was built, even if layergate fails.
            ("goes-on", unless(self.host.is_none(), "true")),
            ("goes-on-push", unless(self.host.is_none(), "${{ github.event_name != 'pull_request' }}")),
            ("artifact", format!("{name}{row}")),
            ("kept", kept),
        ];
        let is_uploaded =
            self.events & PULL != 0 && !self.comments || self.events & PUSH != 0 && !self.records;
        let steps = [
            (self.events & PULL != 0, include_str!("templates/check-step.yml")),
            (self.events & PUSH != 0, include_str!("templates/record-step.yml")),
            (is_uploaded, include_str!("templates/upload-step.yml")),
        ];
        let steps = steps.into_iter().filter(|(is_needed, _)| *is_needed);
        steps.map(|(_, template)| fill(template, &values)).collect()
    }
}

/// A tag only for layergate.
pub fn own_tag(name: &str) -> String {
    format!("layergate-{name}:ci")
}

/// Where a copied step puts an image.
pub fn archive(name: &str) -> String {
    format!("${{{{ runner.temp }}}}/layergate-{name}.tar")
}

/// The build step again, only for layergate: its own lines without the shipping inputs. It runs for the events that are
/// checked or recorded, and on a push its failure stops nothing.
pub fn copy_of(build: &ImageBuildStep<'_>, own: Option<&str>, tree: &RepositoryTree<'_>) -> String {
    let (text, node) = (&build.host.file.text, build.node);
    let names: Vec<&str> = build.found.images.iter().map(|image| image.name.as_str()).collect();
    let events = [(PULL, ON_PULL.to_owned()), (PUSH, on_push(tree))];
    let events = events.into_iter().filter(|(event, _)| build.events & event != 0);
    let events = events.map(|(_, event)| event).collect::<Vec<_>>().join(" || ");
    let mut lines = vec![
        format!("name: Build {} for layergate", names.join(", ")),
        format!("if: {}", condition(own, &events)),
        "continue-on-error: ${{ github.event_name != 'pull_request' }}".into(),
    ];
    let entries = ["uses", "env", "timeout-minutes"].into_iter().filter_map(|key| node.entry(key));
    lines.extend(entries.flat_map(|(key, _)| source_of(text, key).map(str::to_owned)));
    lines.push("with:".into());
    for (key, _) in node.get("with").map(|with| &with.entries[..]).unwrap_or_default() {
        if !OF_SHIPPING.split_whitespace().any(|own| key.text() == Some(own)) {
            lines.extend(source_of(text, key).map(|line| format!("  {line}")));
        }
    }
    if let Delivery::Copy(targets) = &build.found.delivery
        && !targets.is_empty()
    {
        let ships = |line: &&str| {
            let key = line.split('=').next().unwrap_or_default();
            SET_OF_SHIPPING.split_whitespace().any(|own| key.contains(own))
        };
        lines.extend([format!("  targets: {}", targets.join(",")), "  set: |".into()]);
        lines.extend(
            node.input("set").lines().filter(|line| !ships(line)).map(|line| format!("    {}", line.trim())),
        );
        let outputs = targets.iter().zip(&names);
        lines.extend(
            outputs.map(|(target, name)| format!("    {target}.output=type=oci,dest={}", archive(name))),
        );
    } else {
        // Reads the cache that `cache-to` fills.
        let parts = node.input("cache-to").lines().next().unwrap_or_default().split(',');
        let cache = parts.filter(|part| {
            ["type=", "ref=", "scope=", "src=", "url="].iter().any(|own| part.starts_with(own))
        });
        let cache = cache.collect::<Vec<_>>().join(",");
        if node.input("cache-from").is_empty() && !cache.is_empty() {
            lines.push(format!("  cache-from: {}", yaml(&cache)));
        }
        lines.push(format!("  outputs: type=oci,dest={}", archive(names[0])));
        lines.push("  provenance: mode=max # only in this archive: maps layers to Dockerfile lines".into());
    }
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The jobs that comment and record, after the jobs that measure.
pub fn jobs(behind: [&[&str]; 2], key: &str, column: usize, tree: &RepositoryTree<'_>) -> String {
    let templates = [include_str!("templates/comment-job.yml"), include_str!("templates/record-job.yml")];
    let id = |job: &&str| if name::is_word(job) { (*job).to_owned() } else { quoted(job) };
    let mut text = String::new();
    for (jobs, template) in behind.into_iter().zip(templates).filter(|(jobs, _)| !jobs.is_empty()) {
        let values = [
            ("jobs", jobs.iter().map(id).collect::<Vec<_>>().join(", ")),
            ("key", key.to_owned()),
            ("push", on_push(tree)),
            ("scope", if tree.store.starts_with("git") { "contents" } else { "packages" }.into()),
            ("store", yaml(&tree.store)),
        ];
        text = text + "\n" + &fill(template, &values);
    }
    indented(&text, column)
}

/// A row of a new workflow's matrix: a Dockerfile and its build context.
pub struct MatrixRow {
    pub image: CheckedImage,
    pub context: String,
    /// What the user has to check, if anything.
    pub check: Option<String>,
    /// What would fail.
    pub todo: Vec<String>,
}

impl MatrixRow {
    /// Its lines.
    fn text(&self) -> String {
        let check = self.check.as_deref().map(|check| format!(" # TODO: check: {check}")).unwrap_or_default();
        let values = [
            ("name", yaml(&self.image.name)),
            ("file", yaml(self.image.dockerfile.as_deref().unwrap_or_default())),
            ("context", yaml(&self.context) + &check),
            ("target", self.image.target.as_deref().map(yaml).unwrap_or_default()),
        ];
        let todo = self.todo.iter().take(MAX_TODO).map(|note| note.replacen("check: ", "", 1));
        let todo: String = todo.map(|note| format!("# TODO: check: {}\n", visible(&note))).collect();
        indented(&(todo + &fill(include_str!("templates/row.yml"), &values)), 10)
    }
}

/// A new workflow that builds, checks and records the images of some Dockerfiles.
pub fn workflow(rows: &[MatrixRow], notes: &[String], tree: &RepositoryTree<'_>) -> String {
    let [name, file, target] = ["name", "file", "target"].map(|key| format!("${{{{ matrix.{key} }}}}"));
    let target = Some(target).filter(|_| rows.iter().any(|row| row.image.target.is_some()));
    let reference = in_engine(&own_tag(&name));
    let image = CheckedImage { name, dockerfile: Some(file), target: target.clone() };
    let gate = Gate { images: vec![(image, reference)], events: BOTH, ..Gate::default() };
    let steps: String = gate.steps(tree).iter().map(|step| item(step, (6, 8))).collect();
    let values = [
        ("branch", yaml(&tree.branch)),
        ("rows", rows.iter().map(MatrixRow::text).collect::<String>().trim_end().to_owned()),
        (
            "options",
            if target.is_some() { r#"--target "$TARGET" "./$CONTEXT""# } else { r#""./$CONTEXT""# }.into(),
        ),
        ("target", target.unwrap_or_default()),
        ("steps", steps.trim_end().to_owned()),
    ];
    let notes: String = notes.iter().map(|note| format!("# {}\n", visible(note))).collect();
    notes + &fill(include_str!("templates/workflow.yml"), &values) + &jobs([&["image"]; 2], "", 2, tree)
}
