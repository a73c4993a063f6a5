//! Aligns the layers of two images: which stayed, which were rebuilt, and which were added or removed.
//!
//! Layers are matched by content and instruction, not by position, so a new instruction in the middle of a Dockerfile
//! is one added layer, not a change to all that follow.

use std::collections::HashMap;

use crate::image::{DiffId, Entry, FileList, Instruction, Layer};

/// What happened to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The same layer, byte for byte, in the same order.
    Unchanged,
    /// The same layer, byte for byte, at another position.
    Moved,
    /// The same instruction, run again.
    Rebuilt,
    /// A similar instruction of the same kind in the same position.
    Changed,
    /// The same instruction and the same files, but only one of the two layers is in eStargz format.
    Repacked,
    /// Only in the head image.
    Added,
    /// Only in the base image.
    Removed,
}

impl Status {
    /// Whether the layer is in both images, byte for byte.
    pub fn is_same(self) -> bool {
        matches!(self, Status::Unchanged | Status::Moved)
    }
}

/// One row of an alignment: a base layer, a head layer, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerPair {
    /// What happened to the layer.
    pub status: Status,
    /// The base layer's index, lowest layer first.
    pub base: Option<usize>,
    /// The head layer's index, lowest layer first.
    pub head: Option<usize>,
}

/// The share of common words from which two instructions of one kind count as one that was edited.
const SIMILAR: f64 = 0.5;
/// Maximum layer pairs of one gap whose words are compared; engines stop at about 127 layers.
const MAX_SIMILAR: usize = 65_536;
/// Maximum layer pairs whose contents are compared; with more, only the text counts.
const MAX_CONTENTS: usize = 64;
/// Maximum words that are compared of an instruction: the cost is quadratic.
const MAX_WORDS: usize = 64;

/// The weight of a pair's sizes: the differences of all pairs together count less than one pair.
const SIZES_COUNT: f64 = 1e-6;

/// Aligns two lists of layers. Every layer is in exactly one pair; pairs are in head order, with removed layers where
/// they were. Swapping base and head gives the same pairs, mirrored.
pub fn align(base: &[Layer], head: &[Layer]) -> Vec<LayerPair> {
    // Several alignments may be equally good, and order decides. Both directions must choose the same one, so the
    // computation always runs in the same direction.
    let mut pairs = if sort_key(base) <= sort_key(head) {
        align_one_way(base, head)
    } else {
        let mirrored = align_one_way(head, base);
        mirrored.into_iter().map(|(status, base, head)| (status, head, base)).collect()
    };
    let removed = unpaired(base.len(), pairs.iter().filter_map(|pair| pair.1));
    let added = unpaired(head.len(), pairs.iter().filter_map(|pair| pair.2));
    pairs.extend(removed.into_iter().map(|index| (Status::Removed, Some(index), None)));
    pairs.extend(added.into_iter().map(|index| (Status::Added, None, Some(index))));
    let mut pairs = order(pairs);
    for pair in pairs.iter_mut().filter(|pair| matches!(pair.status, Status::Rebuilt | Status::Changed)) {
        if let (Some(one), Some(other)) = (pair.base, pair.head)
            && is_repacked(&base[one], &head[other])
        {
            pair.status = Status::Repacked;
        }
    }
    pairs
}

/// The entries that eStargz adds to a layer: its table of contents, and where prefetching ends (stargz-snapshotter,
/// docs/estargz.md). It also sorts the entries, so the layer gets another diff ID.
const ESTARGZ: [&[u8]; 3] = [b"stargz.index.json", b".prefetch.landmark", b".no.prefetch.landmark"];

/// Whether two layers have the same files with the same sizes, and only one of them is eStargz.
fn is_repacked(base: &Layer, head: &Layer) -> bool {
    let (Some(base), Some(head)) = (&base.file_list, &head.file_list) else { return false };
    let has_toc = |entry: &Entry| entry.path().as_bytes() == ESTARGZ[0];
    let is_estargz = |list: &FileList| list.estargz || list.entries.iter().any(has_toc);
    if is_estargz(base) == is_estargz(head) {
        return false;
    }
    fn entries(list: &FileList) -> Vec<&Entry> {
        let own = list.entries.iter().filter(|entry| !ESTARGZ.contains(&entry.path().as_bytes()));
        let mut own: Vec<&Entry> = own.collect();
        own.sort_unstable();
        own.dedup();
        own
    }
    entries(base) == entries(head)
}

type Match = (Status, Option<usize>, Option<usize>);

fn sort_key(layers: &[Layer]) -> (usize, Vec<(&DiffId, Option<&Instruction>)>) {
    (layers.len(), layers.iter().map(|layer| (&layer.diff_id, layer.created_by.as_ref())).collect())
}

/// All pairs with a layer on both sides.
fn align_one_way(base: &[Layer], head: &[Layer]) -> Vec<Match> {
    let found = |status| move |(b, h): (usize, usize)| (status, Some(b), Some(h));
    let base_order: Vec<usize> = (0..base.len()).collect();
    let head_order: Vec<usize> = (0..head.len()).collect();
    let same_content = |b: usize, h: usize| f64::from(base[b].diff_id == head[h].diff_id);
    let kept = best_pairs(&base_order, &head_order, same_content);

    // A moved layer is removed from the gaps: its pair is certain.
    let mut by_content: HashMap<&DiffId, Vec<usize>> = HashMap::new();
    for index in unpaired(head.len(), kept.iter().map(|pair| pair.1)) {
        by_content.entry(&head[index].diff_id).or_default().push(index);
    }
    by_content.values_mut().for_each(|indexes| indexes.reverse());
    let moved: Vec<(usize, usize)> = unpaired(base.len(), kept.iter().map(|pair| pair.0))
        .into_iter()
        .filter_map(|b| Some((b, by_content.get_mut(&base[b].diff_id)?.pop()?)))
        .collect();

    let mut pairs: Vec<Match> = kept.iter().copied().map(found(Status::Unchanged)).collect();
    pairs.extend(moved.iter().copied().map(found(Status::Moved)));

    let same_step = |b: usize, h: usize| same_step(&base[b], &head[h]);
    let words: [Vec<Vec<&str>>; 2] = [base, head].map(|layers| layers.iter().map(words_of).collect());
    let similar_step = |b: usize, h: usize| similarity(&base[b], &head[h], &words[0][b], &words[1][h]);
    for (base_gap, head_gap) in gaps(&base_order, &head_order, &kept, &moved) {
        let rebuilt = best_pairs(&base_gap, &head_gap, same_step);
        for (base_rest, head_rest) in gaps(&base_gap, &head_gap, &rebuilt, &[]) {
            let comparable = base_rest.len() * head_rest.len() <= MAX_SIMILAR;
            let changed =
                if comparable { best_pairs(&base_rest, &head_rest, similar_step) } else { Vec::new() };
            for (base_left, head_left) in gaps(&base_rest, &head_rest, &changed, &[]) {
                let alike = best_pairs(&base_left, &head_left, contents(base, head, &base_left, &head_left));
                pairs.extend(alike.into_iter().map(found(Status::Changed)));
            }
            pairs.extend(changed.into_iter().map(found(Status::Changed)));
        }
        pairs.extend(rebuilt.into_iter().map(found(Status::Rebuilt)));
    }
    pairs
}

/// The non-crossing pairs with the highest total score. With scores of 0 and 1 this is the longest common subsequence.
fn best_pairs(base: &[usize], head: &[usize], score: impl Fn(usize, usize) -> f64) -> Vec<(usize, usize)> {
    let mut prefix = 0;
    while prefix < base.len().min(head.len()) && score(base[prefix], head[prefix]) >= 1.0 {
        prefix += 1;
    }
    let mut pairs: Vec<(usize, usize)> =
        base[..prefix].iter().copied().zip(head[..prefix].iter().copied()).collect();
    let (base, head) = (&base[prefix..], &head[prefix..]);
    let width = head.len() + 1;
    let scores: Vec<Vec<f64>> = base.iter().map(|b| head.iter().map(|h| score(*b, *h)).collect()).collect();
    let mut best = vec![0.0f64; (base.len() + 1) * width];
    for b in (0..base.len()).rev() {
        for h in (0..head.len()).rev() {
            let skip = best[(b + 1) * width + h].max(best[b * width + h + 1]);
            let take = if scores[b][h] > 0.0 { scores[b][h] + best[(b + 1) * width + h + 1] } else { 0.0 };
            best[b * width + h] = skip.max(take);
        }
    }
    let (mut b, mut h) = (0, 0);
    while b < base.len() && h < head.len() {
        let here = best[b * width + h];
        if scores[b][h] > 0.0 && here == scores[b][h] + best[(b + 1) * width + h + 1] {
            pairs.push((base[b], head[h]));
            (b, h) = (b + 1, h + 1);
        } else if here == best[(b + 1) * width + h] {
            b += 1;
        } else {
            h += 1;
        }
    }
    pairs
}

/// What lies between anchors on both sides, except layers that are already `taken`.
fn gaps(
    base: &[usize],
    head: &[usize],
    anchors: &[(usize, usize)],
    taken: &[(usize, usize)],
) -> Vec<(Vec<usize>, Vec<usize>)> {
    let between =
        |all: &[usize], after: Option<usize>, before: Option<usize>, taken: &dyn Fn(usize) -> bool| {
            let inside =
                |i: &usize| after.is_none_or(|a| *i > a) && before.is_none_or(|b| *i < b) && !taken(*i);
            all.iter().copied().filter(inside).collect::<Vec<_>>()
        };
    let base_taken = |i: usize| taken.iter().any(|pair| pair.0 == i);
    let head_taken = |i: usize| taken.iter().any(|pair| pair.1 == i);
    let starts = std::iter::once(None).chain(anchors.iter().copied().map(Some));
    let ends = anchors.iter().copied().map(Some).chain(std::iter::once(None));
    starts
        .zip(ends)
        .map(|(start, end)| {
            let base_gap = between(base, start.map(|p| p.0), end.map(|p| p.0), &base_taken);
            (base_gap, between(head, start.map(|p| p.1), end.map(|p| p.1), &head_taken))
        })
        .filter(|(base_gap, head_gap)| !base_gap.is_empty() && !head_gap.is_empty())
        .collect()
}

fn words_of(layer: &Layer) -> Vec<&str> {
    layer.created_by.as_ref().map_or_else(Vec::new, |step| step.as_str().split(' ').take(MAX_WORDS).collect())
}

/// 1 for two layers with the same instruction and size, and slightly less if the sizes differ: so as many as possible
/// are paired, and among layers with the same instruction, those with the closest sizes. Two instructions that differ
/// only in a secret look the same.
fn same_step(base: &Layer, head: &Layer) -> f64 {
    if base.created_by.is_none() || base.created_by != head.created_by {
        return 0.0;
    }
    let sizes = [base, head].map(|layer| layer.size.map_or(0.0, |size| size.0 as f64));
    let most = sizes[0].max(sizes[1]);
    let apart = if most > 0.0 { (sizes[0] - sizes[1]).abs() / most } else { 0.0 };
    1.0 - apart * SIZES_COUNT
}

/// The similarity of two instructions of one kind, from 0 to below 1; 0 if it is too low.
fn similarity(base: &Layer, head: &Layer, base_words: &[&str], head_words: &[&str]) -> f64 {
    let (Some(base_step), Some(head_step)) = (&base.created_by, &head.created_by) else { return 0.0 };
    if base_step.kind() != head_step.kind() {
        return 0.0;
    }
    // A copy to the same destination is the same copy, whatever its source is called.
    let copies = matches!(base_step.kind(), "COPY" | "ADD");
    if copies && base_words.last() == head_words.last() {
        return 0.99;
    }
    let skip = usize::from(!base_step.kind().is_empty());
    let (base_words, head_words) = (&base_words[skip..], &head_words[skip..]);
    let mut left: HashMap<&str, usize> = HashMap::new();
    base_words.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let common = head_words
        .iter()
        .filter(|word| left.get_mut(**word).filter(|count| **count > 0).map(|count| *count -= 1).is_some())
        .count();
    let total = base_words.len() + head_words.len();
    let dice = if total == 0 { 0.0 } else { 2.0 * common as f64 / total as f64 };
    if dice >= SIMILAR { dice.min(0.99) } else { 0.0 }
}

/// The similarity of the contents of layers with one kind of instruction, if their texts differ: the share of bytes in
/// files with the same paths. An edited list of packages is the same instruction, though most of its words may differ.
fn contents<'a>(
    base: &'a [Layer],
    head: &'a [Layer],
    base_left: &[usize],
    head_left: &[usize],
) -> impl Fn(usize, usize) -> f64 + use<'a> {
    let few = base_left.len() * head_left.len() <= MAX_CONTENTS;
    let files = |layers: &'a [Layer], left: &[usize]| -> HashMap<usize, HashMap<&'a [u8], u64>> {
        let left = left.iter().filter(|_| few);
        left.filter_map(|index| Some((*index, files_of(layers[*index].file_list.as_deref()?)))).collect()
    };
    let (base_files, head_files) = (files(base, base_left), files(head, head_left));
    move |b, h| {
        let kind = |layer: &'a Layer| layer.created_by.as_ref().map(Instruction::kind);
        let (Some(one), Some(other)) = (base_files.get(&b), head_files.get(&h)) else { return 0.0 };
        if kind(&base[b]).is_none() || kind(&base[b]) != kind(&head[h]) {
            return 0.0;
        }
        let total: u128 = one.values().chain(other.values()).map(|bytes| u128::from(*bytes)).sum();
        let common: u128 = one
            .iter()
            .filter_map(|(path, bytes)| Some(u128::from(*bytes) + u128::from(*other.get(path)?)))
            .sum();
        let share = if total == 0 { 0.0 } else { common as f64 / total as f64 };
        if share >= SIMILAR { share.min(0.99) } else { 0.0 }
    }
}

fn files_of(file_list: &FileList) -> HashMap<&[u8], u64> {
    let mut files = HashMap::new();
    for entry in &file_list.entries {
        if let Entry::File(path, size) = entry {
            files.insert(path.as_bytes(), size.0);
        }
    }
    files
}

fn unpaired(count: usize, paired: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut free = vec![true; count];
    paired.for_each(|index| free[index] = false);
    (0..count).filter(|index| free[*index]).collect()
}

/// Head order; a removed layer follows the layer that was below it.
fn order(pairs: Vec<Match>) -> Vec<LayerPair> {
    let head_of: HashMap<usize, usize> = pairs
        .iter()
        .filter(|pair| pair.0 != Status::Moved)
        .filter_map(|(_, b, h)| Some(((*b)?, (*h)?)))
        .collect();
    let position = |(_, base, head): &Match| match (head, base) {
        (Some(head), _) => (*head as i64, -1),
        (None, Some(base)) => {
            let below = (0..*base).rev().find_map(|lower| head_of.get(&lower));
            (below.map_or(-1, |head| *head as i64), *base as i64)
        }
        (None, None) => (i64::MAX, 0),
    };
    let mut pairs = pairs;
    pairs.sort_by_key(position);
    pairs.into_iter().map(|(status, base, head)| LayerPair { status, base, head }).collect()
}
