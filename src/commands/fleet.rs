//! `layergate fleet`.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::{Exit, MAX_TEXT, UsageError, bounded_text, console, dockerfiles, github, now, printed_json};
use crate::baseline::branch::SUMMARY;
use crate::baseline::git::is_sha;
use crate::baseline::{DirStore, StoreName};
use crate::cli::{FleetArgs, FleetCondition, FleetFormat, GithubFlags};
use crate::files;
use crate::fleet::{Condition, Fleet, FoundRepository, NotRead, Summary, SummaryError, UnreadReason};
use crate::github::fleet::{MOST, SeenRepository, SummaryFile, SummaryPlace, fewer};
use crate::github::{GithubError, Graphql, Repository};
use crate::report::fleet as output;
use crate::report::html;
use crate::report::look::Sizes;

/// How long GitHub may ask to wait, in total.
const PATIENCE: u64 = 600;
/// How deep below a directory stores are looked for: `OWNER/NAME`.
const DEPTH: usize = 3;
/// The longest summary that is read.
const MAX_SUMMARY: u64 = 32 << 20;

/// The sources named on the command line.
#[derive(Default)]
struct Sources {
    owners: Vec<String>,
    repositories: Vec<(String, String)>,
    directories: Vec<PathBuf>,
}

/// What was found, and what was not.
#[derive(Default)]
struct Harvest {
    found: Vec<FoundRepository>,
    unread: Vec<NotRead>,
    /// Whether a list of repositories was not read to its end.
    incomplete: bool,
    /// The directories that were read.
    stores: HashSet<PathBuf>,
}

/// Runs the command: everything is read before anything is printed.
///
/// # Errors
/// If nothing can be read at all.
pub async fn run(arguments: &FleetArgs) -> anyhow::Result<Exit> {
    let sources = sources(arguments)?;
    let StoreName::Branch(reference) = StoreName::parse(&format!("git:{}", arguments.branch))? else {
        return Err(UsageError(format!("--branch {}: invalid branch name", arguments.branch)).into());
    };
    let mut harvest = Harvest::default();
    for directory in &sources.directories {
        harvest.read_directory(directory)?;
    }
    if !sources.owners.is_empty() || !sources.repositories.is_empty() {
        let flags = arguments.github();
        let place = SummaryPlace { reference: &reference, path: SUMMARY };
        let mut reader = FleetReader::new(&flags, place)?;
        for owner in &sources.owners {
            reader.read_owner(owner, &mut harvest).await?;
        }
        reader.read_named(&sources.repositories, &mut harvest).await?;
    }
    let conditions: Vec<Condition> = arguments.fail_on.iter().copied().map(condition).collect();
    let is_nothing = harvest.found.iter().all(|found| matches!(found.baselines, Some(Err(_))));
    let is_incomplete = harvest.incomplete || is_nothing;
    let fleet = Fleet::new(&arguments.branch, harvest.found, harvest.unread, &conditions, now());
    print(&fleet, arguments)?;
    for unread in &fleet.unread {
        console::warn(&format!("{}: {}", unread.name, unread.message));
    }
    for renamed in fleet.repositories.iter().filter(|of| of.renamed_from.is_some()) {
        let before = renamed.renamed_from.as_deref().unwrap_or_default();
        console::note(&format!("{before} was renamed to {}", renamed.name));
    }
    for met in &fleet.met {
        let image = met.image.as_ref().map_or_else(String::new, |image| format!(" {image}"));
        console::error(&format!("{}: {}{image}: {}", met.condition.as_str(), met.repository, met.message));
    }
    Ok(match (fleet.met.is_empty(), is_incomplete) {
        (false, _) => Exit::LimitBroken,
        (true, true) => Exit::Unreadable,
        (true, false) => Exit::Success,
    })
}

fn print(fleet: &Fleet, arguments: &FleetArgs) -> anyhow::Result<()> {
    let (sizes, mut out) = (Sizes::of_flag(arguments.bytes), Vec::new());
    match arguments.format {
        FleetFormat::Text => output::write_text(fleet, console::look(sizes), &mut out)?,
        FleetFormat::Markdown => output::write_markdown(fleet, sizes, &mut out)?,
        FleetFormat::Csv => output::write_csv(fleet, &mut out)?,
        FleetFormat::Html => html::write_fleet(fleet, &mut out)?,
        FleetFormat::Json => out = printed_json(fleet)?.into_bytes(),
    }
    console::result(&String::from_utf8_lossy(&out))?;
    Ok(())
}

fn condition(condition: FleetCondition) -> Condition {
    match condition {
        FleetCondition::NoBaseline => Condition::NoBaseline,
        FleetCondition::NoLimits => Condition::NoLimits,
        FleetCondition::SingleStage => Condition::SingleStage,
        FleetCondition::MaxSize => Condition::MaxSize,
        FleetCondition::Stale => Condition::Stale,
        FleetCondition::Unread => Condition::Unread,
    }
}

/// The sources to read.
///
/// # Errors
/// [`UsageError`] for an invalid name, and if nothing is named.
fn sources(arguments: &FleetArgs) -> Result<Sources, UsageError> {
    let mut sources = Sources::default();
    let list = match &arguments.repos {
        Some(path) if path == Path::new("-") => input()?,
        Some(path) => {
            bounded_text(path).map_err(|error| UsageError(format!("--repos {}: {error}", path.display())))?
        }
        None => String::new(),
    };
    let listed = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for name in listed {
        sources.repositories.push(repository(name).ok_or_else(|| unnamed("--repos", name, "OWNER/REPO"))?);
    }
    for source in super::lines_of(&arguments.sources) {
        if let Some(directory) = source.strip_prefix("dir:").filter(|path| !path.is_empty()) {
            sources.directories.push(directory.into());
        } else if source.contains('/') {
            let named =
                repository(source).ok_or_else(|| unnamed("fleet", source, "OWNER/REPO or dir:DIR"))?;
            sources.repositories.push(named);
        } else if is_part(source) {
            sources.owners.push(source.to_owned());
        } else {
            return Err(unnamed("fleet", source, "OWNER, OWNER/REPO or dir:DIR"));
        }
    }
    sources.repositories.sort();
    sources.repositories.dedup();
    sources.owners.sort();
    sources.owners.dedup();
    if sources.owners.is_empty() && sources.repositories.is_empty() && sources.directories.is_empty() {
        return Err(UsageError("no repository given; see `layergate help fleet`".into()));
    }
    Ok(sources)
}

fn unnamed(of: &str, name: &str, expected: &str) -> UsageError {
    UsageError(format!("{of}: {}: write {expected}", crate::report::escape::short(name, 100)))
}

fn input() -> Result<String, UsageError> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_TEXT).read_to_string(&mut text);
    read.map(|_| text).map_err(|error| UsageError(format!("--repos -: {error}")))
}

fn repository(name: &str) -> Option<(String, String)> {
    let (owner, name) = name.split_once('/')?;
    (is_part(owner) && is_part(name)).then(|| (owner.to_owned(), name.to_owned()))
}

/// Whether a text may be part of a URL.
fn is_part(part: &str) -> bool {
    !["", ".", ".."].contains(&part)
        && part.len() <= 100
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl Harvest {
    /// Reads the stores below a directory.
    ///
    /// # Errors
    /// If the directory cannot be read.
    fn read_directory(&mut self, root: &Path) -> anyhow::Result<()> {
        let failed = || format!("cannot read dir:{}", root.display());
        std::fs::read_dir(root).with_context(failed)?;
        let (mut stores, mut unread) = (Vec::new(), Vec::new());
        find_stores(root, DEPTH, &mut stores, &mut unread);
        for (directory, error) in unread {
            self.refused(&format!("dir:{}", directory.display()), UnreadReason::Refused, error.to_string());
        }
        if stores.is_empty() {
            let message = "it contains no baseline store".to_owned();
            self.refused(&format!("dir:{}", root.display()), UnreadReason::NotVisible, message);
        }
        for path in stores {
            if !self.stores.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                continue;
            }
            let inside = path.strip_prefix(root).ok().filter(|inside| !inside.as_os_str().is_empty());
            let shown = |path: &Path| path.display().to_string();
            let is_other = |name: &String| self.found.iter().all(|found| found.name != *name);
            let name = inside.map(shown).filter(is_other).unwrap_or_else(|| shown(&path));
            let baselines = self.store_summary(&path, &name);
            self.found.push(FoundRepository {
                name,
                baselines: Some(baselines),
                ..FoundRepository::default()
            });
        }
        Ok(())
    }

    fn store_summary(&mut self, path: &Path, name: &str) -> Result<Summary, (UnreadReason, String)> {
        // A checkout of a branch has this file.
        let file = path.join(SUMMARY);
        if file.exists() {
            let text = files::read(&file, MAX_SUMMARY);
            return parsed(&text.map_err(|error| (UnreadReason::Refused, error.to_string()))?);
        }
        let summary = DirStore::at(path.to_owned()).summary();
        let (summary, unread) = summary.map_err(|error| (UnreadReason::Refused, error.to_string()))?;
        for error in unread {
            let reason = if error.is_newer() { UnreadReason::Newer } else { UnreadReason::Broken };
            self.refused(name, reason, error.to_string());
        }
        Ok(summary)
    }

    fn add(
        &mut self,
        seen: SeenRepository,
        asked: Option<String>,
        baselines: Option<Result<Summary, (UnreadReason, String)>>,
    ) -> anyhow::Result<()> {
        let dockerfiles = dockerfiles::named_so(&seen.files)?;
        // The case of names does not matter.
        let renamed_from = asked.filter(|asked| !asked.eq_ignore_ascii_case(&seen.name));
        let SeenRepository { name, url, archived, fork, .. } = seen;
        let url = Some(url).filter(|url| url.starts_with("https://"));
        self.found.push(FoundRepository { name, url, archived, fork, renamed_from, dockerfiles, baselines });
        Ok(())
    }

    /// How much was found, or is known to be unreadable.
    fn amount(&self) -> usize {
        self.found.len() + self.unread.len()
    }

    fn refused(&mut self, name: &str, reason: UnreadReason, message: String) {
        self.unread.push(NotRead { name: name.to_owned(), reason, message });
    }
}

/// The directories that hold a store, sorted by name, and those that cannot be read. Directories inside a store belong
/// to it.
fn find_stores(
    directory: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
    unread: &mut Vec<(PathBuf, io::Error)>,
) {
    if directory.join("records").is_dir() {
        found.push(directory.to_owned());
        return;
    }
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries.flatten(),
        Err(error) => return unread.push((directory.to_owned(), error)),
    };
    // Links are not followed: they may lead anywhere.
    let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut inner: Vec<PathBuf> = inner.map(|entry| entry.path()).collect();
    inner.sort();
    if depth > 0 {
        inner.iter().for_each(|directory| find_stores(directory, depth - 1, found, unread));
    }
}

fn parsed(json: &[u8]) -> Result<Summary, (UnreadReason, String)> {
    Summary::from_json(json).map_err(|error: SummaryError| {
        let reason = if error.is_newer() { UnreadReason::Newer } else { UnreadReason::Broken };
        let advice = if error.is_newer() { "" } else { "; the next `layergate record` writes it again" };
        (reason, format!("{SUMMARY}: {error}{advice}"))
    })
}

/// A client for GitHub, and how long it has asked to wait.
struct FleetReader<'a> {
    flags: &'a GithubFlags,
    token: String,
    graphql: Graphql,
    place: SummaryPlace<'a>,
    waited: u64,
}

impl<'a> FleetReader<'a> {
    fn new(flags: &'a GithubFlags, place: SummaryPlace<'a>) -> anyhow::Result<FleetReader<'a>> {
        let Some(address) = github::graphql(flags) else {
            let message = "fleet needs GitHub's GraphQL API, which Gitea and Forgejo lack; name directories with dir:DIR";
            return Err(UsageError(message.into()).into());
        };
        let Some(token) = github::token(flags) else {
            let message = "fleet needs a token that can read the repositories; set GITHUB_TOKEN to a GitHub App's token, or to a fine-grained personal access token (contents: read)";
            return Err(UsageError(message.into()).into());
        };
        let graphql = Graphql::new(&address, &token)?;
        Ok(FleetReader { flags, token, graphql, place, waited: 0 })
    }

    /// Reads all repositories of an owner. Keeps what was read before GitHub refused.
    async fn read_owner(&mut self, owner: &str, harvest: &mut Harvest) -> anyhow::Result<()> {
        let (mut after, mut count) = (None::<String>, MOST);
        let before = harvest.amount();
        loop {
            let page = self.graphql.repositories_of(owner, after.as_deref(), count, self.place).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    if self.may_try_again(&error, &mut count).await {
                        continue;
                    }
                    harvest.incomplete = true;
                    harvest.refused(owner, UnreadReason::Refused, error.to_string());
                    return Ok(());
                }
            };
            if !page.is_owner {
                harvest.incomplete = true;
                let why = page.errors.into_iter().next();
                let why = why.unwrap_or_else(|| "no such user or organisation".to_owned());
                harvest.refused(owner, UnreadReason::NotVisible, why);
                return Ok(());
            }
            page.errors.into_iter().for_each(|error| harvest.refused(owner, UnreadReason::Refused, error));
            for seen in page.seen {
                let baselines = self.baselines(&seen).await;
                harvest.add(seen, None, baselines)?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if harvest.amount() == before {
            harvest.incomplete = true;
            let message = "the token sees no repository of it (contents: read)".to_owned();
            harvest.refused(owner, UnreadReason::NotVisible, message);
        }
        Ok(())
    }

    /// Reads the named repositories.
    async fn read_named(&mut self, names: &[(String, String)], harvest: &mut Harvest) -> anyhow::Result<()> {
        let (mut left, mut count) = (names, MOST);
        while !left.is_empty() {
            let (now, later) = left.split_at(count.min(left.len()));
            let seen = match self.graphql.repositories_named(now, self.place).await {
                Ok(seen) => seen,
                Err(error) => {
                    if self.may_try_again(&error, &mut count).await {
                        continue;
                    }
                    harvest.incomplete = true;
                    for (owner, name) in left {
                        harvest.refused(&format!("{owner}/{name}"), UnreadReason::Refused, error.to_string());
                    }
                    return Ok(());
                }
            };
            for ((owner, name), seen) in now.iter().zip(seen) {
                let asked = format!("{owner}/{name}");
                match seen {
                    Ok(seen) => {
                        let baselines = self.baselines(&seen).await;
                        harvest.add(seen, Some(asked), baselines)?;
                    }
                    Err(why) => harvest.refused(
                        &asked,
                        UnreadReason::NotVisible,
                        format!("{why} It does not exist, or the token cannot read it (contents: read)."),
                    ),
                }
            }
            left = later;
        }
        Ok(())
    }

    /// What a repository has recorded; `None` if it has no such branch.
    async fn baselines(&mut self, seen: &SeenRepository) -> Option<Result<Summary, (UnreadReason, String)>> {
        if let Some(problem) = &seen.problem {
            return Some(Err((UnreadReason::Refused, format!("GitHub could not say all of it: {problem}"))));
        }
        if !seen.has_branch {
            return None;
        }
        Some(match &seen.summary {
            Some(SummaryFile::Text(text)) => parsed(text.as_bytes()),
            Some(SummaryFile::Long(hash)) => match self.long(&seen.name, hash).await {
                Ok(json) => parsed(&json),
                Err(error) => Err((UnreadReason::Refused, error.to_string())),
            },
            None => Err((
                UnreadReason::NoSummary,
                format!("its baseline branch has no {SUMMARY} yet; the next `layergate record` writes it"),
            )),
        })
    }

    /// A summary that is too long for the GraphQL answer. It is requested by its hash, so it never changes.
    async fn long(&mut self, name: &str, hash: &str) -> anyhow::Result<Vec<u8>> {
        let (owner, name) = repository(name).filter(|_| is_sha(hash)).context("GitHub named no file")?;
        let repository = Repository::new(github::client(self.flags, &self.token)?, &owner, &name);
        loop {
            match repository.blob(hash).await {
                Ok(found) => return found.context("GitHub no longer has it"),
                Err(error) if self.waits(&error).await => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether to retry: once GitHub allows it, or for fewer repositories.
    async fn may_try_again(&mut self, error: &GithubError, count: &mut usize) -> bool {
        if let Some(half) = fewer(error, *count) {
            *count = half;
            return true;
        }
        self.waits(error).await
    }

    /// Waits as GitHub asks, if that is not too long.
    async fn waits(&mut self, error: &GithubError) -> bool {
        let GithubError::RateLimited { retry_after, .. } = error else { return false };
        // A second more, because the limit may not end everywhere at once.
        let wait = retry_after.saturating_add(1);
        if self.waited.saturating_add(wait) > PATIENCE {
            return false;
        }
        console::note(&format!("GitHub's rate limit is used up; waiting {wait} s, as it asks"));
        self.waited += wait;
        tokio::time::sleep(Duration::from_secs(wait)).await;
        true
    }
}
