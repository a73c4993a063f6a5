//! Reduces single paths to the few that are worth an instruction: the largest directories that are copied completely,
//! and those from which only a little has to be deleted first.

use super::fate::Fate;
use super::tree::{PathKind, PathTree};

/// Maximum paths that are deleted for the sake of one directory.
const MAX_REMOVED: usize = 25;
/// A directory that the base image also has is only cleaned up and copied whole if it has more parts than this.
const MANY: usize = 25;
/// Up to this many parts are always named individually.
const FEW: usize = 3;
/// More parts are not named individually: what should stay behind is then copied too.
const TOO_MANY: usize = 60;

/// What has to be copied, as nodes of the tree.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// Directories with everything in them, except what is deleted.
    pub directories: Vec<usize>,
    /// Single files.
    pub files: Vec<usize>,
    /// Single links.
    pub links: Vec<usize>,
    /// What has to be deleted in the builder.
    pub removed: Vec<usize>,
    /// What cannot be written into a Dockerfile, and is left out.
    pub unwritten: Vec<usize>,
    /// Directories that are copied with something that should stay behind.
    pub crowded: Vec<usize>,
}

/// What is known about a node and everything below it.
#[derive(Debug, Clone, Copy, Default)]
struct RootSum {
    /// How many paths are copied.
    kept: usize,
    /// How many stay behind, or are already in the final stage.
    others: usize,
    /// Whether any of them is already in the final stage.
    there: bool,
    /// How many words it takes to copy it in parts.
    parts: usize,
    /// How many paths have to be deleted before it can be copied whole.
    removals: usize,
    /// Whether it is copied whole.
    whole: bool,
    /// Whether something is deleted in a part of it so that the part can be copied whole.
    cleared: bool,
    /// Whether it is copied whole, including what should stay behind.
    crowded: bool,
}

impl RootSum {
    fn words(&self) -> usize {
        match (self.whole, self.crowded) {
            (true, false) => 1 + self.removals,
            (true, true) => 1,
            _ => self.parts,
        }
    }
}

/// Chooses the roots. `writable` tells whether a path can be written into a Dockerfile.
pub(super) fn roots(tree: &PathTree<'_>, fates: &[Fate], writable: impl Fn(&[u8]) -> bool) -> Roots {
    let sums = sums(tree, fates, &writable);
    let mut roots = Roots::default();
    let mut left = vec![0];
    while let Some(index) = left.pop() {
        let node = &tree.nodes[index];
        match node.what {
            _ if sums[index].kept == 0 => {}
            PathKind::Directory if !sums[index].whole && !node.children.is_empty() => {
                left.extend(&node.children)
            }
            _ if !writable(node.path) => roots.unwritten.push(index),
            PathKind::Directory => {
                roots.directories.push(index);
                match sums[index].crowded {
                    true => roots.crowded.push(index),
                    false => remove(tree, &sums, index, &mut roots.removed),
                }
            }
            PathKind::Symlink => roots.links.push(index),
            PathKind::File(_) | PathKind::Special => roots.files.push(index),
        }
    }
    let Roots { directories, files, links, removed, unwritten, crowded } = &mut roots;
    let all = [directories, files, links, removed, unwritten, crowded];
    all.into_iter().for_each(|nodes| nodes.sort_unstable());
    roots
}

fn sums(tree: &PathTree<'_>, fates: &[Fate], writable: &impl Fn(&[u8]) -> bool) -> Vec<RootSum> {
    let mut sums = vec![RootSum::default(); tree.nodes.len()];
    // Children come after their directory.
    for index in (0..tree.nodes.len()).rev() {
        let node = &tree.nodes[index];
        if node.children.is_empty() {
            sums[index] = leaf(fates[index]);
        } else {
            let sum = &mut sums[index];
            sum.whole = index > 0 && writable(node.path) && is_whole(sum, fates[index]);
            let own = index > 0 && writable(node.path) && fates[index] != Fate::There && !sum.there;
            sum.crowded = own && !sum.whole && sum.kept > 0 && sum.parts > TOO_MANY;
            sum.whole |= sum.crowded;
        }
        if index == 0 {
            break;
        }
        let sum = sums[index];
        let above = &mut sums[node.parent];
        above.kept += sum.kept;
        above.others += sum.others;
        above.there |= sum.there;
        above.parts += sum.words();
        above.cleared |= sum.cleared || sum.whole && sum.removals > 0;
        // A directory with nothing to keep is deleted at once.
        above.removals += if sum.kept == 0 { usize::from(sum.others > 0) } else { sum.removals };
    }
    sums
}

fn leaf(fate: Fate) -> RootSum {
    let kept = matches!(fate, Fate::Kept | Fate::Pruned);
    let (one, other) = (usize::from(kept), usize::from(!kept));
    RootSum {
        kept: one,
        others: other,
        there: fate == Fate::There,
        parts: one,
        whole: kept,
        ..RootSum::default()
    }
}

/// Whether a directory is copied whole, after unwanted files in it are deleted.
fn is_whole(sum: &RootSum, fate: Fate) -> bool {
    let own = fate != Fate::There && !sum.there;
    match (sum.kept, sum.others) {
        (0, _) => false,
        (_, 0) => own,
        _ if own => {
            let is_worth_it = sum.parts > FEW || sum.cleared;
            is_worth_it && sum.removals < sum.parts && sum.removals <= MAX_REMOVED
        }
        _ => sum.parts > MANY && sum.removals <= MANY / 2,
    }
}

fn remove(tree: &PathTree<'_>, sums: &[RootSum], directory: usize, removed: &mut Vec<usize>) {
    let mut left = tree.nodes[directory].children.clone();
    while let Some(index) = left.pop() {
        if sums[index].kept > 0 {
            left.extend(&tree.nodes[index].children);
        } else if sums[index].others > 0 {
            removed.push(index);
        }
    }
}
