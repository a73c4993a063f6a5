//! Cache mounts for the builder: where a step has left a cache in its layer, it is known for certain where
//! that cache is.

use std::collections::BTreeSet;

use super::quote::copy_path;
use super::scene::Scene;
use super::tree::is_inside;
use crate::image::Entry;

/// The ends of directories in which nothing is but what can be fetched or made again, and that no other step
/// looks for.
const CACHES: &[&[u8]] = &[
    b".cache/pip",
    b".cache/pipenv",
    b".cache/uv",
    b".cache/pypoetry/cache",
    b".cache/pypoetry/artifacts",
    b".npm/_cacache",
    b".cache/yarn",
    b".cache/go-build",
    b".composer/cache",
];

/// The flags to give to the step, each with a blank after it.
pub(super) fn mounts(scene: &Scene<'_>, step: usize) -> String {
    let mut flags = String::new();
    let Some(own) = scene.steps.get(step).filter(|step| step.instruction.keyword == "RUN") else {
        return flags;
    };
    let Some(layer) = own.layer.filter(|_| scene.is_root_after(step)) else { return flags };
    let Some(census) = scene.layers.get(layer as usize) else { return flags };
    let mut found: BTreeSet<&[u8]> = BTreeSet::new();
    for entry in &census.entries {
        if let Entry::File(path, _) = entry {
            found.extend(CACHES.iter().filter_map(|cache| cache_of(path.as_bytes(), cache)));
        }
    }
    for cache in found {
        let Some(target) = copy_path(cache).filter(|target| !target.contains([',', '"', '='])) else {
            continue;
        };
        let is_mounted = own.instruction.flags.iter().any(|flag| {
            flag.name == "mount" && flag.value.as_deref().is_some_and(|value| value.contains(&target))
        });
        if !is_mounted && is_roots(cache) && !is_of_base(scene, cache) {
            flags.push_str(&format!("--mount=type=cache,target={target} "));
        }
    }
    flags
}

/// The directory of that kind that a path is in.
fn cache_of<'p>(path: &'p [u8], cache: &[u8]) -> Option<&'p [u8]> {
    let at = path.windows(cache.len()).position(|window| window == cache)?;
    let end = at + cache.len();
    let whole = (at == 0 || path[at - 1] == b'/') && path.get(end) == Some(&b'/');
    whole.then(|| &path[..end])
}

/// A mount belongs to root: whoever else has a cache there could not write to it.
fn is_roots(path: &[u8]) -> bool {
    is_inside(path, b"root") || is_inside(path, b"usr/local/share/.cache")
}

/// What the base image has there would be hidden.
fn is_of_base(scene: &Scene<'_>, cache: &[u8]) -> bool {
    let below = scene.layers.iter().take(scene.base_layers as usize);
    below.flat_map(|census| &census.entries).any(|entry| {
        matches!(entry, Entry::File(..) | Entry::HardLink(..)) && is_inside(entry.path().as_bytes(), cache)
    })
}
