//! `layergate init`: adds one step to the workflow that builds the images.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use similar::TextDiff;

use super::analyze::Analyzer;
use super::configuration::USUAL as CONFIG_FILES;
use super::{Exit, UsageError, console, dockerfiles, measure, parse_images, reading_options};
use crate::baseline::{Git, StoreName};
use crate::cli::InitArgs;
use crate::config::Config;
use crate::image::RemovableOutcome;
use crate::removable::Catalogue;
use crate::report::escape::{short, visible};
use crate::setup::{
    self, CONFIGURATION, CheckedImage, FileChange, ImageMeasurement, InitPlan, RepositoryTree,
};
use crate::stages::evaluate_stages;

/// Where workflows are.
const WORKFLOWS: &str = ".github/workflows";
/// Maximum number of files examined of each kind.
const MAX_FILES: usize = 200;
/// How long docker may take to answer, and the maximum bytes of an answer.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_ANSWER: u64 = 4 << 20;
/// The fallback for the default branch's name.
const USUAL_BRANCH: &str = "main";

/// Runs the command.
///
/// # Errors
/// If no image is found, or something cannot be read, measured or written.
pub async fn run(arguments: &InitArgs) -> anyhow::Result<Exit> {
    let root = root(&arguments.directory)?;
    let git = Git::at(&root);
    let read = |path: &str| inside(&root, path).and_then(|path| super::bounded_text(&path));
    let exists = |path: &str| inside(&root, path).is_ok();
    let origin = git.origin().map(|(_, name)| name);
    let own = || root.file_name().map(|name| name.to_string_lossy().into_owned());
    let repository = origin.or_else(own).unwrap_or_default();
    let ask = |arguments: &[&str]| ask(arguments, &root);
    let mut workflows = files(&root, &["**/.github/workflows/*.yml", "**/.github/workflows/*.yaml"])?;
    workflows.retain(|path| path.starts_with(WORKFLOWS));
    let tree = RepositoryTree {
        workflows,
        actions: files(&root, &["**/action.yml", "**/action.yaml"])?,
        dockerfiles: of_paths(&root, dockerfiles::of_tree(&root)?),
        scripts: files(&root, &["**/Makefile", "**/*.sh"])?,
        repository,
        branch: branch(arguments.branch.as_deref(), &git)?,
        store: store(&arguments.store)?,
        read: &read,
        exists: &exists,
        ask: arguments.ask_docker.then_some(&ask as setup::Ask<'_>),
    };
    let mut plan = setup::plan(&tree).map_err(|why| fault(&why))?;
    for note in &plan.notes {
        match note.contains(": builds no image: ") || note.contains(": left out: ") {
            true => console::note(note),
            false => console::warn(note),
        }
    }
    if plan.images.is_empty() && plan.gated == 0 {
        let why = match plan.notes.iter().any(|note| note.contains(": not followed: ")) {
            true => " that init can follow; add layergate by hand after the builds listed above",
            false => ", and no Dockerfile is left for a new workflow; add layergate by hand",
        };
        let how = "https://github.com/layergate/layergate#a-complete-workflow";
        return Err(UsageError(format!("no step in {WORKFLOWS} builds an image{why}: {how}")).into());
    }
    if !CONFIG_FILES.iter().any(|path| root.join(path).symlink_metadata().is_ok()) {
        let images: Vec<CheckedImage> = plan.images.iter().map(|(image, _)| image.clone()).collect();
        let measured = measured(arguments, &images, &root).await?;
        let after = setup::configuration(&images, &measured);
        Config::parse(CONFIGURATION, &after).map_err(|error| fault(&error.to_string()))?;
        plan.changes.push(FileChange { path: CONFIGURATION.into(), before: None, after });
    }
    for (image, place) in &plan.images {
        console::note(&format!("{}: {place}", image.name));
    }
    if plan.changes.is_empty() {
        console::note("nothing to do: every build found already has a layergate step");
    } else if arguments.write {
        write(&root, &plan.changes)?;
        next(&plan);
    } else {
        show(&plan.changes)?;
        console::note("nothing written; run `layergate init --write` to apply this diff");
    }
    Ok(Exit::Success)
}

fn fault(why: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "init would write an invalid file ({why}); this is a bug in layergate: please report it with your workflow"
    )
}

/// The root of the repository that a directory is in, with links resolved: workflows are only there.
fn root(directory: &Path) -> anyhow::Result<PathBuf> {
    let root = directory.canonicalize().ok().filter(|root| root.is_dir());
    let root = root.ok_or_else(|| {
        let shown = directory.display();
        UsageError(format!("{shown} is not a readable directory; pass the root of a repository"))
    })?;
    let top = Git::at(&root).top().and_then(|top| top.canonicalize().ok());
    Ok(top.filter(|top| root.starts_with(top)).unwrap_or(root))
}

/// A directory would disappear with the runner.
fn store(named: &str) -> anyhow::Result<String> {
    match StoreName::parse(named)? {
        StoreName::Directory(_) => Err(UsageError(format!(
            "--store {named}: a directory on the runner is lost when the job ends; use git:BRANCH or oci:HOST/REPO"
        ))
        .into()),
        StoreName::Branch(_) | StoreName::Registry(_) => Ok(named.to_owned()),
    }
}

fn branch(named: Option<&str>, git: &Git) -> anyhow::Result<String> {
    let found = || git.default_branch().unwrap_or_else(|| USUAL_BRANCH.into());
    let branch = named.map_or_else(found, str::to_owned);
    match setup::is_branch(&branch) {
        true => Ok(branch),
        false => Err(UsageError(format!(
            "the branch {branch} cannot be used in a workflow; choose another with --branch"
        ))
        .into()),
    }
}

/// The target of a path in the repository, if that is inside it.
fn inside(root: &Path, path: &str) -> Result<PathBuf, String> {
    let place = root.join(path).canonicalize().map_err(|error| error.to_string())?;
    if place.starts_with(root) {
        Ok(place)
    } else {
        Err("it is a symlink that points outside the repository".into())
    }
}

/// The files that match patterns.
fn files(root: &Path, patterns: &[&str]) -> anyhow::Result<Vec<String>> {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    let set = crate::removable::glob_set(&patterns).map_err(|error| UsageError(error.to_string()))?;
    let found = dockerfiles::found(root, &set)?;
    Ok(of_paths(
        root,
        found.into_iter().filter(|path| set.is_match(path.strip_prefix(root).unwrap_or(path))).collect(),
    ))
}

/// Paths from the root. Those that cannot be written down or that lead outside are left out and reported.
fn of_paths(root: &Path, paths: Vec<PathBuf>) -> Vec<String> {
    let mut named = Vec::new();
    for path in paths {
        let parts = path.strip_prefix(root).unwrap_or(&path).iter().map(|part| part.to_str());
        let text = parts.collect::<Option<Vec<&str>>>().map(|parts| parts.join("/"));
        match text.filter(|text| visible(text) == *text && inside(root, text).is_ok()) {
            Some(text) => named.push(text),
            None => console::warn(&format!("not looked at: {}", path.display())),
        }
    }
    named.sort();
    // A link to another one of them is the same file.
    let mut seen = BTreeSet::new();
    named.retain(|path| inside(root, path).is_ok_and(|place| seen.insert(place)));
    if named.len() > MAX_FILES {
        console::warn(&format!("only the first {MAX_FILES} of {} files are read", named.len()));
        named.truncate(MAX_FILES);
    }
    named
}

/// Docker's answer in JSON. Docker then reads files of the repository, which is untrusted: so only on request, and
/// within limits of time and size.
fn ask(arguments: &[&str], root: &Path) -> Result<Value, String> {
    // Only the variables that docker needs, so that no others can get into an answer.
    let kept = std::env::vars()
        .filter(|(name, _)| matches!(&name[..], "PATH" | "HOME") || name.starts_with("DOCKER_"));
    let mut command = Command::new("docker");
    command.args(arguments).current_dir(root).env_clear().envs(kept).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut docker = command.spawn().map_err(|error| format!("cannot run docker: {error}"))?;
    let (answer, complaint) = (text_of(docker.stdout.take()), text_of(docker.stderr.take()));
    let texts =
        answer.recv_timeout(PATIENCE).and_then(|answer| Ok((answer, complaint.recv_timeout(PATIENCE)?)));
    let fits = texts.as_ref().is_ok_and(|(answer, _)| answer.len() as u64 <= MAX_ANSWER);
    if !fits {
        drop(docker.kill());
    }
    let status = docker.wait().map_err(|error| error.to_string())?;
    let Some((answer, complaint)) = texts.ok().filter(|_| fits) else {
        let seconds = PATIENCE.as_secs();
        return Err(format!(
            "docker did not answer within {seconds} seconds, or answered with over {MAX_ANSWER} bytes"
        ));
    };
    if status.success() {
        return serde_json::from_slice(&answer).map_err(|error| format!("docker's answer: {error}"));
    }
    let said = String::from_utf8_lossy(&complaint);
    let last = said.trim().lines().last().unwrap_or("it fails");
    Err(format!("docker: {}", short(last, 200)))
}

/// A program's output, once it has ended or exceeds the maximum.
fn text_of(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (done, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = pipe.map(|pipe| pipe.take(MAX_ANSWER + 1).read_to_end(&mut text));
        // After a timeout, nobody waits any more.
        drop((read, done.send(text)));
    });
    waiting
}

/// Measures the images that are available.
async fn measured(
    arguments: &InitArgs,
    images: &[CheckedImage],
    root: &Path,
) -> anyhow::Result<Vec<ImageMeasurement>> {
    if arguments.image.is_empty() {
        return Ok(Vec::new());
    }
    let options = reading_options(&arguments.reading, None)?;
    let mut analyzer = Analyzer::new(Catalogue::builtin());
    let mut found = Vec::new();
    for named in parse_images(&arguments.image)? {
        let name = named.display_name();
        let Some(image) = images.iter().find(|image| image.name == name) else {
            let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
            return Err(UsageError(format!(
                "--image {name}: no build makes an image with this name; found: {}",
                names.join(", ")
            ))
            .into());
        };
        let build = crate::config::BuildSettings {
            dockerfile: image.dockerfile.as_deref().map(|path| root.join(path)),
            target: image.target.clone(),
            ..Default::default()
        };
        for measured in measure(&named, &options, &arguments.reading).await? {
            let analysis = analyzer.analyze(measured, &named, &build, false, &options).await;
            let evaluated = evaluate_stages(&analysis);
            found.push(ImageMeasurement {
                name: name.clone(),
                size: analysis.snapshot().totals.uncompressed.map(|size| size.0),
                staged: evaluated.is_some_and(|evaluated| evaluated.outcome == RemovableOutcome::Pass),
            });
        }
    }
    Ok(found)
}

/// Prints the changes as a unified diff. On a terminal, untrusted characters are made visible.
fn show(changes: &[FileChange]) -> anyhow::Result<()> {
    let mut out = String::new();
    for change in changes {
        let before = change.before.as_deref().unwrap_or_default();
        let from = change.before.as_ref().map_or("/dev/null".to_owned(), |_| format!("a/{}", change.path));
        let diff = TextDiff::from_lines(before, &change.after);
        out += &diff.unified_diff().header(&from, &format!("b/{}", change.path)).to_string();
    }
    if std::io::stdout().is_terminal() {
        out = out.lines().map(|line| visible(line) + "\n").collect();
        return Ok(console::result(&out)?);
    }
    match std::io::stdout().lock().write_all(out.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes the files: all are completed beside their destinations before the first is moved there.
fn write(root: &Path, changes: &[FileChange]) -> anyhow::Result<()> {
    let mut ready = Vec::new();
    for FileChange { path, before, after } in changes {
        let place = root.join(path);
        let parent = place.parent().unwrap_or(root);
        // `.github` may be a link to anywhere.
        let mut existing = parent.ancestors().filter(|directory| directory.symlink_metadata().is_ok());
        let existing = existing.next().and_then(|existing| existing.canonicalize().ok());
        let kind = place.symlink_metadata().ok();
        let is_as_read = kind.as_ref().map(std::fs::Metadata::is_file) == before.as_ref().map(|_| true);
        if !is_as_read || !existing.is_some_and(|existing| existing.starts_with(root)) {
            let message = format!(
                "{path} cannot be written: it is a symlink, or has just changed; nothing was written"
            );
            return Err(UsageError(message).into());
        }
        let failed = || format!("cannot write {path}");
        std::fs::create_dir_all(parent).with_context(failed)?;
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(parent).with_context(failed)?;
        file.write_all(after.as_bytes()).with_context(failed)?;
        if let Some(kind) = kind {
            file.as_file().set_permissions(kind.permissions()).with_context(failed)?;
        }
        ready.push((path, place, file));
    }
    for (path, place, file) in ready {
        file.persist(&place).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

/// Prints what to do with the files.
fn next(plan: &InitPlan) {
    for FileChange { path, before, .. } in &plan.changes {
        console::note(&format!("{} {path}", if before.is_some() { "changed" } else { "wrote" }));
    }
    console::note(
        "next: review the changes with `git diff`, commit them, and open a pull request; the first push to the default branch records the baseline",
    );
}
