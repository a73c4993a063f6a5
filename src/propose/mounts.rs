//! Cache mounts for the builder: if an instruction left a cache in its layer, the location of that cache is certain.

use std::collections::BTreeSet;

use super::context::BuildContext;
use super::quote::copy_path;
use super::tree::is_inside;
use crate::image::Entry;

/// Directories that hold only what can be fetched or made again, and that no other instruction needs; each with the
/// number of its parts to mount.
const CACHES: &[(&[u8], usize)] = &[
    (b".cache/pip", 2),
    (b".cache/pipenv", 2),
    (b".cache/uv", 2),
    (b".cache/pypoetry/cache", 3),
    (b".cache/pypoetry/artifacts", 3),
    (b".npm/_cacache", 1),
    (b".cache/yarn", 2),
    (b".cache/go-build", 2),
    (b".composer/cache", 2),
];

/// The flags for an instruction, each followed by a blank.
pub(super) fn mounts(context: &BuildContext<'_>, step: usize) -> String {
    let mut flags = String::new();
    let Some(own) = context.steps.get(step).filter(|step| step.instruction.keyword == "RUN") else {
        return flags;
    };
    let Some(layer) = own.layer.filter(|_| context.is_root_after(step)) else { return flags };
    let Some(file_list) = context.layers.get(layer as usize) else { return flags };
    let mut found: BTreeSet<&[u8]> = BTreeSet::new();
    for entry in &file_list.entries {
        if let Entry::File(path, _) = entry {
            let of = |(cache, parts): &(&[u8], usize)| cache_of(path.as_bytes(), cache, *parts);
            found.extend(CACHES.iter().filter_map(of));
        }
    }
    for cache in found {
        let Some(target) = copy_path(cache).filter(|target| !target.contains([',', '"', '='])) else {
            continue;
        };
        let is_mounted = own.instruction.flags.iter().any(|flag| {
            flag.name == "mount" && flag.value.as_deref().is_some_and(|value| value.contains(&target))
        });
        if !is_mounted && is_roots(cache) && !is_of_base(context, cache) {
            flags.push_str(&format!("--mount=type=cache,target={target} "));
        }
    }
    flags
}

/// The cache directory of this kind that contains a path, cut to the kind's number of parts.
fn cache_of<'p>(path: &'p [u8], cache: &[u8], parts: usize) -> Option<&'p [u8]> {
    let at = path.windows(cache.len()).position(|window| window == cache)?;
    let is_whole = (at == 0 || path[at - 1] == b'/') && path.get(at + cache.len()) == Some(&b'/');
    let kept: usize = cache.split(|byte| *byte == b'/').take(parts).map(|part| part.len() + 1).sum();
    is_whole.then(|| &path[..at + kept - 1])
}

/// A mount belongs to root: another user with a cache there could not write to it.
fn is_roots(path: &[u8]) -> bool {
    is_inside(path, b"root") || is_inside(path, b"usr/local/share/.cache")
}

/// A mount would hide what the base image has there.
fn is_of_base(context: &BuildContext<'_>, cache: &[u8]) -> bool {
    let below = context.layers.iter().take(context.base_layers as usize);
    below.flat_map(|file_list| &file_list.entries).any(|entry| {
        matches!(entry, Entry::File(..) | Entry::HardLink(..)) && is_inside(entry.path().as_bytes(), cache)
    })
}
