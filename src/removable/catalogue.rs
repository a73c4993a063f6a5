//! The kinds of removable files: built-in data, and what a configuration adds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;
use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::image::path::{PathRef, split};
use crate::image::{Ecosystem, Weight};
use crate::tools::tools;

/// The built-in catalogue.
const BUILTIN: &str = include_str!("catalogue.toml");

/// One kind of files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RemovableKind {
    /// Its name, in reports and in configurations.
    pub name: String,
    /// What it is, in a few words; empty if the name says it.
    #[serde(default)]
    pub what: String,
    /// What it says about the build.
    #[serde(default = "default_weight")]
    pub weight: Weight,
    /// Packages whose files belong to it, as `TYPE:NAME` with `*`, `?`, `[]` and `{}`.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Files that belong to it, relative to the image's root, with the same wildcards and `**`.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Marks of a file list that make a file belong to it.
    #[serde(default)]
    pub marks: Vec<MarkKind>,
    /// Packages that are excepted.
    #[serde(default)]
    pub unless_packages: Vec<String>,
    /// Files that are excepted.
    #[serde(default)]
    pub unless_paths: Vec<String>,
    /// Whether a file belongs to it only if the source that it was made from exists too.
    #[serde(default)]
    pub beside_source: bool,
    /// Names of files: if the image has one of them, programs load files of this kind, and none of them counts.
    #[serde(default)]
    pub unless_image_has: Vec<String>,
    /// What to do about it. `{instruction}` stands for the instruction that stored it, `{packages}` for its packages.
    #[serde(default = "default_help")]
    pub help: String,
    /// Other advice if most of its bytes belong to packages of one type, keyed by that type.
    #[serde(default)]
    pub helps: BTreeMap<String, String>,
}

impl RemovableKind {
    /// What it is, in a few words.
    pub fn words(&self) -> &str {
        if self.what.is_empty() { &self.name } else { &self.what }
    }
}

fn default_weight() -> Weight {
    Weight::Input
}

fn default_help() -> String {
    "build in a builder stage, and copy only what runs from there: COPY --from=builder".into()
}

/// What is known about a file from its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// It looks like a secret.
    Secret,
    /// It has debug symbols; only they are of the kind.
    Debug,
    /// A package manager says that only development needs it.
    Dev,
}

/// Files that a configuration accepts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ignore {
    /// The kind; any kind if only paths are given.
    pub kind: Option<String>,
    /// The files; all files of the kind if none are given.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The images that it applies to; all if none are given.
    #[serde(default)]
    pub images: Vec<String>,
    /// Why they are shipped.
    pub reason: String,
}

/// A kind or an exception that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CatalogueError {
    message: String,
    /// Which of the given kinds or exceptions it is.
    pub culprit: Option<Culprit>,
}

/// One of the kinds or exceptions that were passed to a catalogue, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    /// A kind.
    Kind(usize),
    /// An exception.
    Ignore(usize),
}

impl CatalogueError {
    fn new(message: impl Into<String>) -> CatalogueError {
        CatalogueError { message: message.into(), culprit: None }
    }

    fn of(self, culprit: Culprit) -> CatalogueError {
        CatalogueError { culprit: Some(culprit), ..self }
    }
}

#[derive(Deserialize)]
struct CatalogueFile {
    kind: Vec<RemovableKind>,
}

static KINDS: LazyLock<Vec<RemovableKind>> = LazyLock::new(|| {
    let file: Result<CatalogueFile, _> = toml::from_str(BUILTIN);
    // A test reads it; a catalogue that cannot be read finds nothing, which is no reason to stop.
    let mut kinds = file.map(|file| file.kind).unwrap_or_default();
    for kind in &mut kinds {
        for packages in tools().packages_of(&kind.name) {
            kind.packages.extend(packages.names.iter().cloned());
            kind.unless_packages.extend(packages.unless.iter().cloned());
        }
    }
    kinds
});

/// All kinds, compiled for matching.
#[derive(Debug, Clone)]
pub struct Catalogue {
    kinds: Vec<RemovableKind>,
    ignores: Vec<Ignore>,
    /// Patterns that match everything below a directory, without their `/**`: each directory is matched once, because
    /// files are many.
    below: Globs,
    /// All other patterns of paths.
    files: Globs,
    packages: Globs,
    ignored: Vec<GlobSet>,
}

/// A pattern, the index of its kind, and whether it is an exception.
type Pattern = (String, usize, bool);

/// The patterns of all kinds at once: for each, its kind and whether it is an exception.
#[derive(Debug, Clone, Default)]
struct Globs {
    set: GlobSet,
    of: Vec<(usize, bool)>,
}

static BUILTIN_CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let none = |_| Catalogue {
        kinds: Vec::new(),
        ignores: Vec::new(),
        below: Globs::default(),
        files: Globs::default(),
        packages: Globs::default(),
        ignored: Vec::new(),
    };
    Arc::new(Catalogue::new(Vec::new(), Vec::new()).unwrap_or_else(none))
});

impl Catalogue {
    /// The built-in catalogue, preceded by these kinds, with these exceptions.
    ///
    /// # Errors
    /// [`CatalogueError`] for an invalid pattern, a name that is taken, or an exception to a kind that does not exist.
    pub fn new(own: Vec<RemovableKind>, ignores: Vec<Ignore>) -> Result<Catalogue, CatalogueError> {
        for (index, kind) in own.iter().enumerate() {
            check_kind(kind, &own[..index]).map_err(|error| error.of(Culprit::Kind(index)))?;
        }
        let kinds: Vec<RemovableKind> = own.into_iter().chain(KINDS.iter().cloned()).collect();
        for (index, ignore) in ignores.iter().enumerate() {
            check_ignore(ignore, &kinds).map_err(|error| error.of(Culprit::Ignore(index)))?;
        }
        let globs = |including: fn(&RemovableKind) -> &Vec<String>,
                     excluding: fn(&RemovableKind) -> &Vec<String>| {
            let of = |(index, kind): (usize, &'_ RemovableKind)| {
                let with = including(kind).iter().map(move |text| (text.clone(), index, false));
                let without = excluding(kind).iter().map(move |text| (text.clone(), index, true));
                with.chain(without).collect::<Vec<_>>()
            };
            kinds.iter().enumerate().flat_map(of).collect::<Vec<_>>()
        };
        let paths = globs(|kind| &kind.paths, |kind| &kind.unless_paths);
        for (text, kind, _) in &paths {
            // The given kinds come first.
            glob(text).map_err(|error| error.of(Culprit::Kind(*kind)))?;
        }
        let (below, files): (Vec<Pattern>, Vec<Pattern>) =
            paths.into_iter().partition(|(text, ..)| directory_of(text).is_some());
        let directory = |(text, kind, without): Pattern| {
            (directory_of(&text).map(str::to_owned).unwrap_or(text), kind, without)
        };
        let written_out = |(text, kind, without): Pattern| {
            expanded(&text).into_iter().map(move |text| (text, kind, without)).collect::<Vec<_>>()
        };
        Ok(Catalogue {
            below: Globs::new(below.into_iter().map(directory))?,
            files: Globs::new(files.into_iter().flat_map(written_out))?,
            packages: Globs::new(globs(|kind| &kind.packages, |kind| &kind.unless_packages).into_iter())?,
            ignored: ignores.iter().map(|ignore| glob_set(&ignore.paths)).collect::<Result<_, _>>()?,
            kinds,
            ignores,
        })
    }

    /// The built-in catalogue, compiled once.
    pub fn builtin() -> Arc<Catalogue> {
        BUILTIN_CATALOGUE.clone()
    }

    /// The kinds, in the order in which files are matched.
    pub fn kinds(&self) -> &[RemovableKind] {
        &self.kinds
    }

    /// The first kind that a package's files belong to.
    pub fn kind_of_package(&self, ecosystem: Ecosystem, name: &str) -> Option<&RemovableKind> {
        let fits = self.of_package(ecosystem.as_str(), name);
        let kind = fits.kinds().find(|kind| !fits.excepted(*kind))?;
        self.kinds.get(kind)
    }

    /// The first kind that a file belongs to by its path, which is relative to the image's root.
    pub fn kind_of_path(&self, path: &[u8]) -> Option<&RemovableKind> {
        let fits = self.of_path(path, &DirectoryMatches::default());
        let kind = fits.kinds().find(|kind| !fits.excepted(*kind))?;
        self.kinds.get(kind)
    }

    /// The kinds that a package's files belong to, in order.
    pub(super) fn of_package(&self, ecosystem: &str, name: &str) -> KindMatches {
        KindMatches::of_all(self.packages.fitting(&Candidate::new(&format!("{ecosystem}:{name}"))))
    }

    /// The kinds that a file belongs to by its path, in order.
    pub(super) fn of_path(&self, path: &[u8], directories: &DirectoryMatches) -> KindMatches {
        let mut found = directories.of(split(path).0, &self.below).to_vec();
        found.extend(self.files.fitting(&Candidate::from_bytes(path)));
        KindMatches::of_all(found)
    }

    /// The index of the exception that accepts a file of a kind, if there is one.
    pub(super) fn ignored(&self, kind: &RemovableKind, path: &[u8], image: &str) -> Option<usize> {
        self.ignores.iter().zip(&self.ignored).position(|(ignore, paths)| {
            ignore.kind.as_ref().is_none_or(|name| *name == kind.name)
                && (ignore.images.is_empty() || ignore.images.iter().any(|name| name == image))
                && (ignore.paths.is_empty() || paths.is_match_candidate(&Candidate::from_bytes(path)))
        })
    }

    pub(super) fn reason(&self, ignore: usize) -> String {
        self.ignores.get(ignore).map_or_else(String::new, |ignore| ignore.reason.clone())
    }
}

fn check_kind(kind: &RemovableKind, before: &[RemovableKind]) -> Result<(), CatalogueError> {
    if KINDS.iter().chain(before).any(|other| other.name == kind.name) {
        let message = format!("the kind `{}` already exists; choose another name", kind.name);
        return Err(CatalogueError::new(message));
    }
    if kind.name.trim().is_empty() {
        return Err(CatalogueError::new("a kind needs a `name`"));
    }
    if kind.paths.is_empty() && kind.packages.is_empty() {
        let message = format!("the kind `{}` needs `paths` or `packages`", kind.name);
        return Err(CatalogueError::new(message));
    }
    Ok(())
}

fn check_ignore(ignore: &Ignore, kinds: &[RemovableKind]) -> Result<(), CatalogueError> {
    glob_set(&ignore.paths)?;
    if ignore.reason.trim().is_empty() {
        return Err(CatalogueError::new("`reason` is empty; say why the image needs these files"));
    }
    let Some(name) = &ignore.kind else {
        let message = "an exception needs a `kind`, or `paths`";
        return if ignore.paths.is_empty() { Err(CatalogueError::new(message)) } else { Ok(()) };
    };
    if kinds.iter().any(|kind| kind.name == *name) {
        return Ok(());
    }
    let likeness = |kind: &RemovableKind| strsim::jaro_winkler(&kind.name, name);
    let closest = kinds.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let closest = closest.map_or("", |kind| kind.name.as_str());
    Err(CatalogueError::new(format!("there is no kind `{name}`; did you mean `{closest}`?")))
}

/// Which kinds match, and which are excepted; for most files none.
#[derive(Debug, Default)]
pub(super) struct KindMatches {
    found: Vec<(usize, bool)>,
}

impl KindMatches {
    fn of_all(mut found: Vec<(usize, bool)>) -> KindMatches {
        found.sort_unstable();
        found.dedup();
        KindMatches { found }
    }

    pub fn of(&self, kind: usize) -> bool {
        self.found.contains(&(kind, false))
    }

    pub fn excepted(&self, kind: usize) -> bool {
        self.found.contains(&(kind, true))
    }

    /// The matching kinds, in order.
    pub fn kinds(&self) -> impl Iterator<Item = usize> {
        let fitting = self.found.iter().filter(|(_, without)| !without);
        fitting.map(|(kind, _)| *kind)
    }
}

impl Globs {
    fn new(patterns: impl Iterator<Item = (String, usize, bool)>) -> Result<Globs, CatalogueError> {
        let (mut builder, mut of) = (GlobSetBuilder::new(), Vec::new());
        for (text, kind, without) in patterns {
            // The given kinds come first.
            builder.add(glob(&text).map_err(|error| error.of(Culprit::Kind(kind)))?);
            of.push((kind, without));
        }
        Ok(Globs { set: builder.build().map_err(|error| CatalogueError::new(error.to_string()))?, of })
    }

    fn fitting(&self, candidate: &Candidate<'_>) -> Vec<(usize, bool)> {
        self.set.matches_candidate(candidate).into_iter().map(|index| self.of[index]).collect()
    }
}

/// The matches of directory patterns, cached by directory.
#[derive(Debug, Default)]
pub(super) struct DirectoryMatches {
    known: RefCell<HashMap<Box<[u8]>, MatchedKinds, RandomState>>,
    /// The last directory and its matches: files come in directory order.
    last: RefCell<(Box<[u8]>, MatchedKinds)>,
}

type MatchedKinds = Arc<[(usize, bool)]>;

/// Maximum directories in the cache.
const MAX_KNOWN: usize = 100_000;

impl DirectoryMatches {
    /// The matches of a directory and of all directories above it.
    fn of(&self, directory: &[u8], globs: &Globs) -> MatchedKinds {
        let mut last = self.last.borrow_mut();
        if *last.0 != *directory {
            *last = (directory.into(), self.look_up(directory, globs));
        }
        last.1.clone()
    }

    fn look_up(&self, directory: &[u8], globs: &Globs) -> MatchedKinds {
        let mut known = self.known.borrow_mut();
        if known.len() > MAX_KNOWN {
            known.clear();
        }
        // From the deepest cached directory downwards, without recursion: a path may be deep.
        let mut missing = Vec::new();
        let mut above = directory;
        let mut found: MatchedKinds = loop {
            match known.get(above) {
                Some(found) => break found.clone(),
                None if above.is_empty() => break Arc::default(),
                None => missing.push(above),
            }
            above = split(above).0;
        };
        for directory in missing.into_iter().rev() {
            let own = globs.fitting(&Candidate::from_bytes(directory));
            if !own.is_empty() {
                found = found.iter().copied().chain(own).collect();
            }
            known.insert(directory.into(), found.clone());
        }
        found
    }
}

/// The directory of a pattern that matches everything below it.
fn directory_of(text: &str) -> Option<&str> {
    let directory = text.trim().trim_start_matches('/').strip_suffix("/**")?;
    // `**/**` matches everything; and braces opened in the directory may close after it.
    let open = |c| directory.matches(c).count();
    (!directory.is_empty() && directory != "**" && open('{') == open('}')).then_some(directory)
}

/// Maximum patterns that one with braces expands to.
const MAX_EXPANDED: usize = 400;

/// `a/{b,c}` as `a/b` and `a/c`: most patterns without braces are a name, a suffix or a prefix, which can be looked up;
/// patterns with braces have to be searched.
fn expanded(whole: &str) -> Vec<String> {
    // Not if a brace may be literal.
    if whole.contains(['[', '\\']) {
        return vec![whole.to_owned()];
    }
    let (mut done, mut left) = (Vec::new(), vec![whole.to_owned()]);
    while let Some(text) = left.pop() {
        let Some((start, end)) = inner_braces(&text) else {
            done.push(text);
            continue;
        };
        let parts = text[start + 1..end].split(',');
        left.extend(parts.map(|part| format!("{}{part}{}", &text[..start], &text[end + 1..])));
        if done.len() + left.len() > MAX_EXPANDED {
            return vec![whole.to_owned()];
        }
    }
    done
}

/// The first braces without others inside.
fn inner_braces(text: &str) -> Option<(usize, usize)> {
    let end = text.find('}')?;
    Some((text[..end].rfind('{')?, end))
}

/// A path pattern as everywhere in layergate: `*` stays inside a directory, `**` does not, and a leading slash has no
/// meaning.
fn glob(text: &str) -> Result<globset::Glob, CatalogueError> {
    let (written, text) = (text, text.trim().trim_start_matches('/'));
    let invalid = |why: &str| CatalogueError::new(format!("`{written}` is not a path pattern: {why}"));
    if text.is_empty() {
        return Err(invalid("it is empty"));
    }
    let glob =
        GlobBuilder::new(text).literal_separator(true).empty_alternates(true).backslash_escape(true).build();
    glob.map_err(|error| invalid(&error.kind().to_string()))
}

/// Maximum patterns of a list, and maximum bytes of them: each takes some 10 KiB of memory when compiled.
const MAX_PATTERNS: usize = 1000;
const MAX_PATTERN_BYTES: usize = 64 << 10;

/// Compiles several patterns into one set.
///
/// # Errors
/// [`CatalogueError`] if one of them is invalid, or there are too many.
pub fn glob_set(texts: &[String]) -> Result<GlobSet, CatalogueError> {
    let bytes: usize = texts.iter().map(String::len).sum();
    if texts.len() > MAX_PATTERNS || bytes > MAX_PATTERN_BYTES {
        return Err(CatalogueError::new(format!(
            "at most {MAX_PATTERNS} patterns with {MAX_PATTERN_BYTES} bytes in total are allowed; name directories instead"
        )));
    }
    let mut builder = GlobSetBuilder::new();
    for text in texts {
        builder.add(glob(text)?);
    }
    builder.build().map_err(|error| CatalogueError::new(error.to_string()))
}

/// Whether a path matches one of several patterns.
pub fn fits(patterns: &GlobSet, path: PathRef<'_>) -> bool {
    patterns.is_match_candidate(&Candidate::from_bytes(path.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_patterns_is_bounded() {
        let of = |count: usize, length: usize| glob_set(&vec![format!("**/{}", "a".repeat(length)); count]);
        assert!(of(MAX_PATTERNS, 5).is_ok());
        for (count, length) in [(MAX_PATTERNS + 1, 5), (10, MAX_PATTERN_BYTES / 10), (40_000, 20)] {
            assert!(of(count, length).unwrap_err().to_string().contains("at most 1000 patterns"));
        }
    }

    #[test]
    fn the_catalogue_is_read_whole() {
        let file: CatalogueFile = toml::from_str(BUILTIN).unwrap();
        assert!(file.kind.len() > 40);
        let mut names: Vec<&str> = file.kind.iter().map(|kind| kind.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), file.kind.len(), "a name that is there twice");
        let catalogue = Catalogue::new(Vec::new(), Vec::new()).unwrap();
        assert_eq!(catalogue.kinds().len(), file.kind.len());
        for packages in tools().packages.iter().filter(|packages| !packages.kind.is_empty()) {
            assert!(names.contains(&packages.kind.as_str()), "no kind is called {}", packages.kind);
        }
        for kind in catalogue.kinds() {
            for help in kind.helps.values().chain([&kind.help]) {
                assert!(!help.ends_with('.') && help.len() > 30, "{}: {help}", kind.name);
            }
            assert!(
                !(kind.paths.is_empty() && kind.packages.is_empty() && kind.marks.is_empty()),
                "{}",
                kind.name
            );
        }
    }
}
