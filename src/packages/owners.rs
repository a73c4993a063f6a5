//! Which package owns each file.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Declared, Ecosystem};
use crate::image::path::split;
use crate::image::{Entry, FileList, LayerPath};
use crate::sort;

/// The root directories that merged-`/usr` systems replace with links into `usr`. File lists may have either name.
const MERGED: [&[u8]; 6] = [b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32"];

/// The strength of a claim to a file by name; the first wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ClaimStrength {
    /// A distribution's package lists it.
    System,
    /// A language's package lists it.
    Listed,
    /// A program or an archive claims itself; the package that shipped it takes precedence.
    Program,
}

/// All claims by file name.
struct ClaimedNames<'a> {
    /// The packages, the strongest first.
    ranked: Vec<(ClaimStrength, u32)>,
    /// The rank of the strongest claim to each path, and whether a file of that name exists.
    ranks: HashMap<&'a [u8], (u32, bool)>,
}

/// For each entry of the file list, the index of the package that owns the file; only regular files have an owner, and
/// each at most one. Files listed by name precede files below a claimed directory, packages of distributions precede
/// those of languages, and deeper directories precede higher ones; otherwise the first package wins.
pub fn owners(file_list: &FileList, declared: &[Declared]) -> Vec<Option<u32>> {
    let mut owners = vec![None; file_list.entries.len()];
    if declared.is_empty() {
        return owners;
    }
    let mut names = ClaimedNames::new(declared);
    let files = || file_list.entries.iter().map(file);
    own_by_name(files(), &mut names, &mut owners);
    own_by_other_names(files(), &names, &mut owners);
    own_below(files(), declared, &mut owners);
    for (path, owner) in files().zip(&mut owners).filter(|(_, owner)| owner.is_none()) {
        *owner = path.and_then(|path| names.claim(path)).map(|(_, index)| index);
    }
    owners
}

/// Leaves out packages of languages that own nothing because the file that declares them belongs to another: they are
/// the same package, seen from inside.
pub(super) fn drop_views(file_list: &FileList, declared: &mut Vec<Declared>, owners: &mut [Option<u32>]) {
    let mut owning = vec![false; declared.len()];
    for owner in owners.iter().flatten() {
        if let Some(owning) = owning.get_mut(*owner as usize) {
            *owning = true;
        }
    }
    let anchors = declared.iter().zip(&owning);
    let suspects = anchors.filter(|(package, owning)| !**owning && !package.ecosystem.is_distribution());
    let mut suspects: HashMap<&LayerPath, bool> =
        suspects.map(|(package, _)| (&package.anchor, false)).collect();
    for (entry, owner) in file_list.entries.iter().zip(owners.iter()) {
        let owner = owner.and_then(|owner| declared.get(owner as usize));
        // Artifacts inside an archive exist beside the artifact that the archive is.
        let is_other = owner.is_some_and(|owner| owner.anchor != *entry.path());
        if let (true, Some(owned)) = (is_other, suspects.get_mut(entry.path())) {
            *owned = true;
        }
    }
    let view = |package: &Declared| suspects.get(&package.anchor) == Some(&true);
    let keep: Vec<bool> =
        declared.iter().zip(&owning).map(|(package, owning)| *owning || !view(package)).collect();
    renumber(&keep, owners);
    let mut keep = keep.into_iter();
    declared.retain(|_| keep.next().unwrap_or(true));
}

fn renumber(keep: &[bool], owners: &mut [Option<u32>]) {
    let mut next = 0;
    let new: Vec<u32> = keep
        .iter()
        .map(|keep| {
            next += u32::from(*keep);
            next.saturating_sub(1)
        })
        .collect();
    for owner in owners.iter_mut().flatten() {
        *owner = new.get(*owner as usize).copied().unwrap_or(*owner);
    }
}

fn file(entry: &Entry) -> Option<&[u8]> {
    match entry {
        Entry::File(path, _) => Some(path.as_bytes()),
        _ => None,
    }
}

fn numbered(declared: &[Declared]) -> impl Iterator<Item = (u32, &Declared)> {
    (0_u32..).zip(declared)
}

impl<'a> ClaimedNames<'a> {
    fn new(declared: &'a [Declared]) -> ClaimedNames<'a> {
        let claim = |package: &Declared| match package.ecosystem {
            Ecosystem::Go | Ecosystem::Cargo | Ecosystem::Maven => ClaimStrength::Program,
            ecosystem if ecosystem.is_distribution() => ClaimStrength::System,
            _ => ClaimStrength::Listed,
        };
        // A distribution vendored inside another is listed by both: the deeper one owns it.
        let depth = |package: &Declared| match claim(package) {
            ClaimStrength::Listed => package.anchor.depth(),
            _ => 0,
        };
        let mut ranked: Vec<(u32, &Declared)> = numbered(declared).collect();
        sort::by_key(&mut ranked, |(index, package)| (claim(package), Reverse(depth(package)), *index));
        let mut ranks = HashMap::new();
        for (rank, (_, package)) in (0_u32..).zip(&ranked) {
            for path in package.owns.files.iter() {
                ranks.entry(path).or_insert((rank, false));
            }
        }
        ClaimedNames {
            ranked: ranked.into_iter().map(|(index, package)| (claim(package), index)).collect(),
            ranks,
        }
    }

    fn of_rank(&self, rank: u32) -> Option<(ClaimStrength, u32)> {
        self.ranked.get(rank as usize).copied()
    }

    /// The strongest claim to a path, and its package.
    fn claim(&self, path: &[u8]) -> Option<(ClaimStrength, u32)> {
        self.of_rank(self.ranks.get(path)?.0)
    }
}

/// Finds the owners of listed files. Python byte code also belongs to its source's owner: packages of distributions do
/// not list it, because it is compiled after they are installed.
fn own_by_name<'a>(
    files: impl Iterator<Item = Option<&'a [u8]>>,
    names: &mut ClaimedNames<'_>,
    owners: &mut [Option<u32>],
) {
    for (path, owner) in files.zip(owners) {
        let Some(path) = path else { continue };
        let listed = names.ranks.get_mut(path).map(|(rank, answered)| {
            *answered = true;
            *rank
        });
        let source =
            source_of(path).and_then(|source| names.ranks.get(source.as_slice())).map(|(rank, _)| *rank);
        let claim = listed.into_iter().chain(source).min().and_then(|rank| names.of_rank(rank));
        *owner = claim.filter(|(claim, _)| *claim != ClaimStrength::Program).map(|(_, index)| index);
    }
}

/// Finds the owners of files that are listed by their other name, from before or after `/usr` was merged. A name that
/// belongs to an existing file is not matched to another.
fn own_by_other_names<'a>(
    files: impl Iterator<Item = Option<&'a [u8]>>,
    names: &ClaimedNames<'_>,
    owners: &mut [Option<u32>],
) {
    for (path, owner) in files.zip(owners).filter(|(_, owner)| owner.is_none()) {
        let Some(other) = path.and_then(other_name) else { continue };
        if let Some((rank, false)) = names.ranks.get(other.as_slice())
            && let Some((ClaimStrength::System, index)) = names.of_rank(*rank)
        {
            *owner = Some(index);
        }
    }
}

/// `a/b.py` for `a/__pycache__/b.cpython-311.pyc` (PEP 3147).
fn source_of(path: &[u8]) -> Option<Vec<u8>> {
    let (cache, name) = split(path);
    let stem = name.strip_suffix(b".pyc")?.split(|byte| *byte == b'.').next()?;
    Some([cache.strip_suffix(b"__pycache__")?, stem, b".py"].concat())
}

/// `usr/bin/ls` for `bin/ls`, and the reverse.
pub fn other_name(path: &[u8]) -> Option<Vec<u8>> {
    let without = path.strip_prefix(b"usr/");
    let first = without.unwrap_or(path).split(|byte| *byte == b'/').next()?;
    let merged = MERGED.contains(&first);
    merged.then(|| without.map_or_else(|| [b"usr/", path].concat(), <[u8]>::to_vec))
}

fn own_below<'a>(
    files: impl Iterator<Item = Option<&'a [u8]>>,
    declared: &'a [Declared],
    owners: &mut [Option<u32>],
) {
    let mut directories: HashMap<&[u8], u32> = HashMap::new();
    for (index, package) in numbered(declared) {
        for directory in &package.owns.below {
            directories.entry(directory.as_bytes()).or_insert(index);
        }
    }
    if directories.is_empty() {
        return;
    }
    // Files of one directory are mostly adjacent.
    let mut last: (&[u8], Option<u32>) = (b"", None);
    for (path, owner) in files.zip(owners).filter(|(_, owner)| owner.is_none()) {
        let Some(path) = path else { continue };
        let directory = split(path).0;
        if let Some(itself) = directories.get(path) {
            *owner = Some(*itself);
            continue;
        }
        if directory != last.0 {
            last = (directory, deepest(directory, &directories));
        }
        *owner = last.1;
    }
}

/// The owner of the deepest claimed directory above.
fn deepest(mut directory: &[u8], directories: &HashMap<&[u8], u32>) -> Option<u32> {
    while !directory.is_empty() {
        if let Some(owner) = directories.get(directory) {
            return Some(*owner);
        }
        directory = split(directory).0;
    }
    None
}
