//! `layergate init`: a first configuration and workflow for a repository.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{CONFIG_FILES, Exit, UsageError, console, dockerfiles};
use crate::baseline::{Git, StoreName};
use crate::cli::Init;
use crate::policy::Config;
use crate::report::escape::short_path;
use crate::setup::{self, By, CONFIGURATION, Plan, Tree, WORKFLOW, Yaml};

/// Where a workflow of layergate's is looked for.
const WORKFLOW_FILES: [&str; 2] = [WORKFLOW, ".github/workflows/layergate.yaml"];
/// More workflows are not looked at.
const MAX_WORKFLOWS: usize = 200;
/// Where workflows are.
const WORKFLOWS: &str = ".github/workflows";
/// The branch, where nothing says what the default one is called.
const USUAL_BRANCH: &str = "main";

/// Runs the command.
///
/// # Errors
/// Where a file is there already, no image is found, or something cannot be read or written.
pub fn run(arguments: &Init) -> anyhow::Result<Exit> {
    let root = root(&arguments.directory)?;
    let store = store(&arguments.store)?;
    let git = Git::at(&root);
    let branch = branch(arguments.branch.as_deref(), &git)?;
    let read = |path: &str| text_of(&root, path);
    // A file of variables that is not committed may hold secrets, and no runner has it.
    let is_here =
        |path: &str| !path.rsplit('/').next().is_some_and(|name| name.contains(".env")) || git.tracks(path);
    let exists = |path: &str| inside(&root, path).is_ok() && is_here(path);
    let tree = Tree {
        workflows: workflows(&root)?,
        dockerfiles: found(&root)?,
        repository: repository(&git, &root),
        read: &read,
        exists: &exists,
    };
    let plan = setup::plan(&tree, &branch, &store).map_err(|nothing| nothing_found(&nothing.notes))?;
    let files = rendered(&plan, &root)?;
    if arguments.print {
        tell(&plan);
        let printed: Vec<String> =
            files.iter().map(|(path, text)| format!("# ---- {path}\n{text}")).collect();
        console::result(&printed.join("\n"))?;
        return Ok(Exit::Success);
    }
    if !arguments.force {
        refuse_existing(&root, &plan)?;
    }
    write(&root, &files, arguments.force)?;
    tell(&plan);
    for (path, _) in &files {
        console::note(&format!("wrote {path}"));
    }
    next(&plan, &files);
    Ok(Exit::Success)
}

/// The root of the repository, without links.
fn root(directory: &Path) -> anyhow::Result<PathBuf> {
    let shown = directory.display();
    let root = directory.canonicalize().map_err(|error| {
        UsageError(format!("cannot look at {shown}: {error}; name the root of a repository"))
    })?;
    if !root.is_dir() {
        return Err(UsageError(format!("{shown} is no directory; name the root of a repository")).into());
    }
    // Only there are workflows looked for.
    let top = Git::at(&root).top().and_then(|top| top.canonicalize().ok());
    match top.filter(|top| *top != root && root.starts_with(top)) {
        Some(top) => {
            let top = top.display();
            Err(UsageError(format!(
                "{shown} is inside of the repository {top}; run `layergate init` there, or name it"
            ))
            .into())
        }
        None => Ok(root),
    }
}

/// A directory would be gone with the runner.
fn store(named: &str) -> anyhow::Result<String> {
    match StoreName::parse(named)? {
        StoreName::Directory(_) => {
            let message = format!(
                "--store {named}: a directory of a runner is gone after its job; name git:BRANCH or oci:HOST/REPO"
            );
            Err(UsageError(message).into())
        }
        StoreName::Branch(_) | StoreName::Registry(_) => Ok(named.to_owned()),
    }
}

fn branch(named: Option<&str>, git: &Git) -> anyhow::Result<String> {
    if let Some(named) = named {
        return match setup::is_branch(named) {
            true => Ok(named.to_owned()),
            false => {
                Err(UsageError(format!("--branch {named}: a workflow cannot name such a branch by itself"))
                    .into())
            }
        };
    }
    let found = git.default_branch().unwrap_or_else(|| USUAL_BRANCH.into());
    if setup::is_branch(&found) {
        return Ok(found);
    }
    console::warn(&format!(
        "the default branch {found} cannot be named in a workflow by itself; {USUAL_BRANCH} is taken, or --branch says another"
    ));
    Ok(USUAL_BRANCH.into())
}

/// What the repository is called: by `origin`, or by its directory.
fn repository(git: &Git, root: &Path) -> (String, String) {
    git.origin().unwrap_or_else(|| {
        let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
        ("owner".into(), name.unwrap_or_default())
    })
}

/// Where a path of the repository leads, if that is inside of it.
fn inside(root: &Path, path: &str) -> Result<PathBuf, String> {
    let place = root.join(path).canonicalize().map_err(|error| error.to_string())?;
    if place.starts_with(root) { Ok(place) } else { Err("it is a link that leaves the repository".into()) }
}

/// The text of a file of the repository; no more is read than anybody would write.
fn text_of(root: &Path, path: &str) -> Result<String, String> {
    super::bounded_text(&inside(root, path)?)
}

/// The workflows, in order, without the one that this writes.
fn workflows(root: &Path) -> anyhow::Result<Vec<String>> {
    let Ok(directory) = inside(root, WORKFLOWS) else { return Ok(Vec::new()) };
    let listed = std::fs::read_dir(&directory).with_context(|| format!("cannot list {WORKFLOWS}"))?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut names: Vec<String> = listed.filter_map(name).collect();
    names.retain(|name| {
        (name.ends_with(".yml") || name.ends_with(".yaml")) && !name.starts_with("layergate.y")
    });
    names.sort();
    if names.len() > MAX_WORKFLOWS {
        console::warn(&format!("only the first {MAX_WORKFLOWS} workflows are looked at"));
        names.truncate(MAX_WORKFLOWS);
    }
    Ok(names.into_iter().map(|name| format!("{WORKFLOWS}/{name}")).collect())
}

/// The Dockerfiles, by their paths from the root.
fn found(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    for path in dockerfiles::found(root, &dockerfiles::usual()?)? {
        let parts = path.strip_prefix(root).unwrap_or(&path).iter().map(|part| part.to_str());
        match parts.collect::<Option<Vec<&str>>>() {
            Some(parts) if inside(root, &parts.join("/")).is_ok() => paths.push(parts.join("/")),
            _ => console::warn(&format!("not looked at: {}", path.display())),
        }
    }
    Ok(paths)
}

fn nothing_found(notes: &[String]) -> UsageError {
    notes.iter().for_each(|note| console::warn(note));
    UsageError(format!(
        "no image is found: looked for builds in {WORKFLOWS}, for docker-bake.hcl, docker-bake.json, compose.yaml and docker-compose.yml at the root, and for files called Dockerfile, Dockerfile.*, *.Dockerfile or Containerfile; add a Dockerfile first, or, where something else builds the image, write the workflow by hand: https://github.com/layergate/layergate#quick-start"
    ))
}

/// Both files by their paths, checked as whoever reads them will.
fn rendered(plan: &Plan, root: &Path) -> anyhow::Result<[(String, String); 2]> {
    let (configuration, workflow) = (setup::configuration(plan), setup::workflow(plan));
    let fault = |what: &str, why: &str| {
        anyhow::anyhow!(
            "{what} that would be written cannot be read ({why}): this is a fault of layergate; please report it with what your Dockerfiles and workflows are called"
        )
    };
    Config::parse(CONFIGURATION, &configuration)
        .map_err(|error| fault("the configuration", &error.to_string()))?;
    let yaml = Yaml::parse(&workflow).map_err(|error| fault("the workflow", &error))?;
    for job in ["check", "record"] {
        let steps = yaml.at(&["jobs", job, "steps"]).map(Yaml::items).unwrap_or_default();
        let images = steps.last().and_then(|step| step.at(&["with", "images"])?.text()).unwrap_or_default();
        let planned = plan.images.iter().map(|image| format!("{}={}", image.name, image.reference));
        if !images.lines().eq(planned) {
            return Err(fault("the workflow", &format!("its job {job} is about other images")));
        }
    }
    // One that is there under another name is the one that counts, and is replaced if any is.
    let place = |places: &[&'static str]| {
        places.iter().find(|path| root.join(path).symlink_metadata().is_ok()).or(places.first()).copied()
    };
    let (first, second) = (place(&CONFIG_FILES), place(&WORKFLOW_FILES));
    Ok([
        (first.unwrap_or(CONFIGURATION).to_owned(), configuration),
        (second.unwrap_or(WORKFLOW).to_owned(), workflow),
    ])
}

/// Nothing that somebody has written is replaced, and nothing is written beside it.
fn refuse_existing(root: &Path, plan: &Plan) -> anyhow::Result<()> {
    let places = CONFIG_FILES.into_iter().chain(WORKFLOW_FILES);
    let existing: Vec<&str> = places.filter(|path| root.join(path).symlink_metadata().is_ok()).collect();
    let ways = "--print shows what would be written, --force writes it all the same";
    if !existing.is_empty() {
        let (existing, is) = (existing.join(" and "), if existing.len() == 1 { "is" } else { "are" });
        return Err(
            UsageError(format!("{existing} {is} there already, so nothing is written; {ways}")).into()
        );
    }
    match &plan.gated {
        Some(workflow) => {
            Err(UsageError(format!("{workflow} runs layergate already, so nothing is written; {ways}"))
                .into())
        }
        None => Ok(()),
    }
}

/// Writes both files or none: each is whole beside its place before the first gets there, and what was there comes back
/// where the second does not.
fn write(root: &Path, files: &[(String, String)], force: bool) -> anyhow::Result<()> {
    let mut ready = Vec::new();
    for (path, text) in files {
        let place = root.join(path);
        let parent = place.parent().unwrap_or(root);
        // `.github` may be a link to anywhere.
        let existing =
            parent.ancestors().find(|directory| directory.symlink_metadata().is_ok()).unwrap_or(root);
        let is_inside = existing.canonicalize().is_ok_and(|existing| existing.starts_with(root));
        if !is_inside || place.is_dir() {
            let message = format!(
                "{path} cannot be written: a link leads out of the repository, or a directory is in its place; take it away, or --print"
            );
            return Err(UsageError(message).into());
        }
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file =
            builder.tempfile_in(parent).with_context(|| format!("cannot write to {}", parent.display()))?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write {path}"))?;
        ready.push((path, place, file));
    }
    let mut made: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
    for (path, place, file) in ready {
        let before = std::fs::read(&place).ok();
        // Somebody may have made it since it was looked for.
        let written = if force { file.persist(&place) } else { file.persist_noclobber(&place) };
        if let Err(error) = written {
            for (place, before) in made {
                drop(match before {
                    Some(before) => std::fs::write(place, before),
                    None => std::fs::remove_file(place),
                });
            }
            return Err(error.error).with_context(|| format!("cannot write {path}"));
        }
        made.push((place, before));
    }
    Ok(())
}

/// Says what was found, and what to look at.
fn tell(plan: &Plan) {
    let images = if plan.images.len() == 1 { "image" } else { "images" };
    console::note(&format!("found {} {images}:", plan.images.len()));
    for image in &plan.images {
        let build = &image.build;
        let dockerfile = build.dockerfile.as_deref().unwrap_or("a Dockerfile inside of it");
        let target = build.target.as_deref().map(|target| format!(", stage {target}")).unwrap_or_default();
        let by = match &build.by {
            By::Compose { service, .. } => format!(", the service {service} of {}", build.origin),
            By::Bake { target, .. } => format!(", the target {target} of {}", build.origin),
            By::Docker if build.origin != dockerfile => format!(", as {} builds it", build.origin),
            By::Docker => String::new(),
        };
        let stages = image.stages.as_deref().map(|stages| format!("; {stages}")).unwrap_or_default();
        console::note(&format!("  {}: {}{target}{by}{stages}", image.name, short_path(dockerfile, 80)));
    }
    if !plan.left_out.is_empty() {
        let shown: Vec<String> = plan.left_out.iter().take(5).map(|path| short_path(path, 60)).collect();
        let more = plan.left_out.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        console::note(&format!("left out, as nothing here ships them: {}{more}", shown.join(", ")));
    }
    plan.notes.iter().for_each(|note| console::warn(note));
}

/// Says what to do with the files.
fn next(plan: &Plan, files: &[(String, String)]) {
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    console::note("next:");
    console::note("  1. read both files: every line says what it is for");
    console::note(&format!("  2. git add {} && git commit && git push", paths.join(" ")));
    console::note(&format!(
        "     the first push to {} records what later pull requests are compared with; until then, a check only warns",
        plan.branch
    ));
    if plan.store.starts_with("oci:") {
        console::note("     before that, put a step that logs in to the registry into both jobs");
    }
    console::note(
        "  3. to judge here, build as the workflow does and run the following; once `layergate record` with the same images has been run, growth is judged too",
    );
    let shown = plan.images.iter().take(3).map(|image| format!(" {}={}", image.name, image.reference));
    let more = if plan.images.len() > 3 { " ..." } else { "" };
    console::note(&format!("     layergate check{}{more}", shown.collect::<String>()));
    let workflows: BTreeSet<&str> = plan.images.iter().map(|image| image.build.origin.as_str()).collect();
    for workflow in workflows.into_iter().filter(|origin| origin.contains("/workflows/")) {
        console::note(&format!(
            "  {workflow} builds too: how to measure what it has built is in https://github.com/layergate/layergate/blob/main/docs/setups.md"
        ));
    }
}
