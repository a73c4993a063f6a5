//! Which configuration counts. On a pull request and in a merge queue it is the one at the tip of the target branch:
//! the checkout belongs to the author, and nobody sets limits for themselves. The tip rather than the base commit,
//! because an author could choose that by branching from an old commit.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::extends::{self, Place, ReadError};
use super::stores::{Committed, committed_link, plain};
use super::{UsageError, console, event, github, set_variable, written_text};
use crate::baseline::Git;
use crate::cli::{GithubFlags, LimitsFrom};
use crate::config::Config;
use crate::github::{Context, Deciding, Repository, contents};

/// Default paths of the configuration.
pub const USUAL: [&str; 2] = ["layergate.toml", ".github/layergate.toml"];

/// Why a file of a commit is requested, in words that follow "cannot".
const READ_TARGET: &str = "read the configuration of the target branch";

/// The configuration of a run.
#[derive(Default)]
pub struct Chosen {
    /// The configuration.
    pub config: Config,
    /// A note for the comment on what the pull request changes in it.
    pub note: Option<String>,
    /// Why a configuration of another repository does not count: a run of a fork has no token to read it. The job that
    /// comments evaluates it.
    pub unread: Option<String>,
}

/// How a run determines its configuration.
pub struct ConfigurationRequest<'a> {
    /// The named file.
    pub named: Option<&'a Path>,
    /// Whose limits count.
    pub from: LimitsFrom,
    /// Whether limits are given besides the file.
    pub has_limits: bool,
    /// How to reach GitHub.
    pub github: &'a GithubFlags,
}

/// A configuration file that was read.
struct ConfigurationFile {
    file: String,
    config: Config,
    place: Place,
}

impl ConfigurationFile {
    fn limits_alone(self) -> ConfigurationFile {
        ConfigurationFile { config: self.config.limits_alone(), ..self }
    }
}

/// The target branch, at its tip.
struct TargetCommit {
    repository: Arc<Repository>,
    branch: String,
    tip: String,
    /// The candidate paths of the configuration.
    files: Vec<String>,
}

/// The configuration of a check.
///
/// # Errors
/// If a file cannot be used, or the target branch cannot be read.
pub async fn of_check(
    wanted: &ConfigurationRequest<'_>,
    context: Option<&Context>,
) -> anyhow::Result<Chosen> {
    let (own, note, read) = match wanted.named.and_then(extends::named_remote) {
        // The workflow names a file outside the change.
        Some(remote) => (Config::default(), None, extends::remote(remote, wanted.github).await),
        None => match chosen_file(wanted, context).await? {
            (None, note) => return Ok(Chosen { note, ..Chosen::default() }),
            (Some(ConfigurationFile { config, place, .. }), note) => {
                (config.clone(), note, extends::with_extended(config, place, wanted.github).await)
            }
        },
    };
    // Dependabot's runs have no secrets either.
    let has_no_secrets = set_variable("GITHUB_ACTOR").is_some_and(|actor| actor == "dependabot[bot]")
        || context.and_then(|context| context.pull_request.as_ref()).is_some_and(|pull| pull.from_fork);
    match read {
        Ok(config) => Ok(Chosen { config, note, unread: None }),
        // The report is still needed: the job that comments evaluates the limits.
        Err(error) if has_no_secrets && error.is::<ReadError>() => {
            Ok(Chosen { config: own, note, unread: Some(format!("{error:#}")) })
        }
        Err(error) => Err(error),
    }
}

/// The file that counts, and a note about it.
async fn chosen_file(
    wanted: &ConfigurationRequest<'_>,
    context: Option<&Context>,
) -> anyhow::Result<(Option<ConfigurationFile>, Option<String>)> {
    let own = local(wanted.named)?;
    let deciding = context.map_or(Deciding::Checkout, event::deciding);
    let (Some(context), false) = (context, deciding == Deciding::Checkout) else { return Ok((own, None)) };
    // A file of the runner cannot come from a change.
    let Some(files) = candidates(wanted.named, context)? else { return Ok((own, None)) };
    if wanted.from == LimitsFrom::Head {
        return Ok((own.map(ConfigurationFile::limits_alone), None));
    }
    let target = TargetCommit::read(deciding, files, wanted.github, context).await?;
    let theirs = target.config_at(&target.tip).await?;
    let Some(theirs) = theirs else { return Ok(adopted(own, wanted.has_limits, &target.branch)) };
    let unchanged = own.is_some_and(|own| theirs.config.changes(&own.config).is_empty());
    let note = if unchanged { None } else { target.note(Some(&theirs), context).await };
    Ok((Some(theirs), note))
}

/// What counts of a change's own file if the target branch has none. Without limits in force, its limits loosen
/// nothing, and their author sees them work; beside limits of the workflow, its metric alone could loosen those.
fn adopted(
    own: Option<ConfigurationFile>,
    has_limits: bool,
    branch: &str,
) -> (Option<ConfigurationFile>, Option<String>) {
    let Some(own) = own else { return (None, None) };
    let file = &own.file;
    match has_limits {
        false => {
            let note = format!(
                "{file} is not on {branch} yet: its limits are evaluated in this run, and the rest takes effect after the merge"
            );
            (Some(own.limits_alone()), Some(note))
        }
        true => {
            let note = format!(
                "{file} is not on {branch} yet and takes effect after the merge: in this run, only the workflow's limits count"
            );
            (None, Some(note))
        }
    }
}

/// The configuration for evaluating reports of other runs. Nothing in the working directory counts: the evaluated run
/// may have filled it.
///
/// # Errors
/// If a file cannot be used, or the branch cannot be read.
pub async fn of_evaluate(
    wanted: &ConfigurationRequest<'_>,
    context: Option<&Context>,
) -> anyhow::Result<Chosen> {
    if let Some(remote) = wanted.named.and_then(extends::named_remote) {
        return Ok(Chosen { config: extends::remote(remote, wanted.github).await?, ..Chosen::default() });
    }
    let here = async || {
        let config = of_checkout(wanted.named, wanted.github).await?;
        anyhow::Ok(Chosen { config, ..Chosen::default() })
    };
    let Some(context) = context else { return here().await };
    let deciding = match context.deciding() {
        // The run is about the default branch itself.
        Deciding::Checkout | Deciding::Unknown if context.is_about_default_branch() => own_branch(context),
        deciding => deciding,
    };
    if deciding == Deciding::Checkout {
        return here().await;
    }
    let Some(files) = candidates(wanted.named, context)? else { return here().await };
    let target = TargetCommit::read(deciding, files, wanted.github, context).await?;
    let theirs = target.config_at(&target.tip).await?;
    let note = target.note(theirs.as_ref(), context).await;
    let Some(ConfigurationFile { config, place, .. }) = theirs else {
        return Ok(Chosen { note, ..Chosen::default() });
    };
    let config = extends::with_extended(config, place, wanted.github).await?;
    Ok(Chosen { config, note, unread: None })
}

fn own_branch(context: &Context) -> Deciding {
    let own = context.reference.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
    own.map_or(Deciding::Unknown, |own| Deciding::Branch(own.to_owned()))
}

/// The configuration in the checkout, or the named one, with everything that it extends.
///
/// # Errors
/// Those of [`load`], and if an extended file cannot be read or used.
pub async fn of_checkout(named: Option<&Path>, flags: &GithubFlags) -> anyhow::Result<Config> {
    if let Some(remote) = named.and_then(extends::named_remote) {
        return extends::remote(remote, flags).await;
    }
    let Some(ConfigurationFile { config, place, .. }) = local(named)? else { return Ok(Config::default()) };
    extends::with_extended(config, place, flags).await
}

/// The named file, or the one at a default path.
///
/// # Errors
/// [`UsageError`] if there are two, or it cannot be read; [`crate::config::ConfigError`] for errors in it.
pub fn load(named: Option<&Path>) -> anyhow::Result<Config> {
    Ok(local(named)?.map(|found| found.config).unwrap_or_default())
}

fn local(named: Option<&Path>) -> anyhow::Result<Option<ConfigurationFile>> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => {
            let exists = |path: &&str| Path::new(path).symlink_metadata().is_ok();
            let existing: Vec<&str> = USUAL.into_iter().filter(exists).collect();
            refuse_two(&existing, "here")?;
            let Some(only) = existing.first() else { return Ok(None) };
            only.into()
        }
    };
    let text = written_text(&path).map_err(|error| unreadable(&path, &error))?;
    let file = path.display().to_string();
    Ok(Some(ConfigurationFile { config: Config::parse(&file, &text)?, file, place: Place::Local(path) }))
}

/// A file that cannot be the configuration is a mistake in the command; a system out of resources is not.
fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    let message = format!("cannot read the configuration {}: {error}", path.display());
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::PermissionDenied
        | ErrorKind::InvalidInput => UsageError(message).into(),
        _ => anyhow::anyhow!(message),
    }
}

/// Otherwise one file would silently win over the other.
fn refuse_two<T: AsRef<str>>(files: &[T], place: &str) -> Result<(), UsageError> {
    let [first, second, ..] = files else { return Ok(()) };
    let (first, second) = (first.as_ref(), second.as_ref());
    Err(UsageError(format!("there are two configurations {place}, {first} and {second}; keep one of them")))
}

/// The candidate paths in the repository; `None` for a file of the runner.
fn candidates(named: Option<&Path>, context: &Context) -> Result<Option<Vec<String>>, UsageError> {
    if let Some(named) = named {
        return Ok(in_repository(named, context)?.map(|file| vec![file]));
    }
    // Below the working directory the names are taken as written, since a file there may be a link.
    let Some(here) = in_repository(Path::new(USUAL[0]), context)? else {
        // Whatever the working directory is, the repository has a root.
        return Ok(Some(USUAL.map(str::to_owned).to_vec()));
    };
    let prefix = here.strip_suffix(USUAL[0]).unwrap_or_default();
    Ok(Some(USUAL.map(|file| format!("{prefix}{file}")).to_vec()))
}

/// The path of a file in its repository; `None` if it is in none, or in a checkout of another one.
///
/// # Errors
/// [`UsageError`] for a file of a submodule, whose commit a pull request can change, or behind a committed link.
fn in_repository(file: &Path, context: &Context) -> Result<Option<String>, UsageError> {
    let absolute = plain(&std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()));
    let refused = |why: &str| UsageError(format!("the configuration {}: {why}", file.display()));
    match absolute.parent().map_or(Committed::No, committed_link) {
        Committed::No => {}
        Committed::File(link) => {
            return Err(refused(&format!(
                "{link} is a committed link, and a pull request can point it elsewhere; name the file itself"
            )));
        }
        Committed::Unknown => {
            return Err(refused(
                "its path contains a link, and without git it is unknown whether that is committed; name the file itself",
            ));
        }
    }
    let directory = absolute
        .ancestors()
        .skip(1)
        .find_map(|directory| Some((directory.canonicalize().ok()?, absolute.strip_prefix(directory).ok()?)));
    let real = directory.map_or_else(|| absolute.clone(), |(directory, rest)| directory.join(rest));
    let workspace = set_variable("GITHUB_WORKSPACE").map(PathBuf::from);
    let Some((git, root)) = Git::around(&real) else {
        // Without git, all of the workspace may be the checkout.
        let mut roots: Vec<PathBuf> = workspace.into_iter().chain(std::env::current_dir().ok()).collect();
        roots.extend(roots.clone().iter().filter_map(|root| root.canonicalize().ok()));
        return Ok(roots.iter().find_map(|root| absolute.strip_prefix(root).ok().map(slashes)));
    };
    if git.is_submodule() {
        return Err(refused(
            "it is in a submodule, which a pull request can point elsewhere; check out its repository in a separate step",
        ));
    }
    let is_other = git.origin().is_some_and(|(owner, name)| !context.is_of_run(&owner, &name));
    // The workspace itself is the checkout, whatever its origin is called.
    let is_workspace = workspace.and_then(|path| path.canonicalize().ok()).is_some_and(|path| path == root);
    // As written, below the root: on some file systems a directory may be written in another case.
    let mut above = absolute.ancestors().skip(1);
    let written = above.find(|directory| directory.canonicalize().is_ok_and(|real| real == root));
    let file = written.map_or_else(|| real.strip_prefix(root), |root| absolute.strip_prefix(root)).ok();
    Ok(file.filter(|_| is_workspace || !is_other).map(slashes))
}

fn slashes(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

impl TargetCommit {
    async fn read(
        deciding: Deciding,
        files: Vec<String>,
        flags: &GithubFlags,
        context: &Context,
    ) -> anyhow::Result<TargetCommit> {
        let Deciding::Branch(branch) = deciding else {
            let problem = context.problem.as_deref().unwrap_or("the event names no branch");
            anyhow::bail!("the limits come from the target branch, but that branch is unknown: {problem}");
        };
        let Some((client, (owner, name))) = github::of_run(flags, context)? else {
            anyhow::bail!(
                "the limits come from the branch {branch}, but there is no token to read it with; pass `github-token` (contents: read)"
            );
        };
        let repository = Arc::new(Repository::new(client, owner, name));
        let tip = contents::tip_of(&repository, &branch).await?;
        Ok(TargetCommit { repository, branch, tip, files })
    }

    /// The configuration at a commit that the token may read.
    async fn config_at(&self, commit: &str) -> anyhow::Result<Option<ConfigurationFile>> {
        let mut found = Vec::new();
        for file in &self.files {
            if let Some(text) = contents::text_of(&self.repository, file, commit, READ_TARGET).await? {
                found.push((file.as_str(), text));
            }
        }
        let names: Vec<&str> = found.iter().map(|(file, _)| *file).collect();
        refuse_two(&names, &format!("on {}", self.branch))?;
        let Some((file, text)) = found.pop() else { return Ok(None) };
        let config = Config::parse(&format!("{file} of {}", self.branch), &text)?;
        let place = Place::Branch {
            repository: self.repository.clone(),
            file: file.to_owned(),
            commit: commit.to_owned(),
        };
        Ok(Some(ConfigurationFile { file: file.to_owned(), config, place }))
    }

    /// What the pull request itself changes, without what the branch has changed meanwhile. This only explains, so if
    /// it cannot be determined, the note says so.
    async fn note(&self, theirs: Option<&ConfigurationFile>, context: &Context) -> Option<String> {
        let head = &context.pull_request.as_ref()?.head_sha;
        let changes = async {
            let none = Config::default();
            let own = self.config_at(head).await?.map(|own| own.config).unwrap_or_default();
            if theirs.map_or(&none, |theirs| &theirs.config).changes(&own).is_empty() {
                return Ok(Vec::new());
            }
            // The merge base is known only for commits that the token may read.
            let Some(meeting) = self.repository.merge_base(&self.tip, head).await? else {
                return Ok(Vec::new());
            };
            let before = self.config_at(&meeting).await?;
            anyhow::Ok(before.map_or(none, |before| before.config).changes(&own))
        };
        match changes.await {
            Ok(changes) if changes.is_empty() => None,
            Ok(changes) => {
                Some(format!("this PR changes limits: {}; takes effect after merge", changes.join(", ")))
            }
            Err(error) => {
                console::warn(&format!("cannot tell which limits the pull request changes: {error:#}"));
                None
            }
        }
    }
}
