//! The update size: what a host that has the baseline downloads to update to this image.

use std::collections::HashSet;

use crate::image::{Bytes, DiffId, Digest, Layer, Snapshot, UpdateSize};

/// The transport of an image that was read from a registry.
const REGISTRY: &str = "docker";

/// What identifies a layer as one download.
#[derive(PartialEq, Eq, Hash)]
enum DownloadIdentity<'a> {
    Blob(&'a Digest),
    Content(&'a DiffId),
}

fn identity(layer: &Layer, pushed: bool) -> DownloadIdentity<'_> {
    match layer.digest.as_ref().filter(|_| pushed) {
        Some(digest) => DownloadIdentity::Blob(digest),
        None => DownloadIdentity::Content(&layer.diff_id),
    }
}

/// The update size from one image to another; `None` if a new layer has no known size at all.
pub fn update(base: &Snapshot, head: &Snapshot) -> Option<UpdateSize> {
    // Two builds compress the same content differently, so blobs tell what is there only if both images have been
    // pushed. Otherwise a known content is a known layer.
    let pushed = [base, head].iter().all(|snapshot| snapshot.source.transport == REGISTRY);
    let there: HashSet<DownloadIdentity<'_>> =
        base.layers.iter().map(|layer| identity(layer, pushed)).collect();
    let is_new = |layer: &&Layer| !there.contains(&identity(layer, pushed));
    let pairs = base.layers.iter().zip(&head.layers);
    let shared = pairs.take_while(|(base, head)| identity(base, pushed) == identity(head, pushed)).count();
    let (bytes, estimated) = download(head.layers.iter().filter(is_new), pushed)?;
    let (classic_bytes, classic_estimated) = download(&head.layers[shared..], pushed)?;
    Some(UpdateSize { bytes, classic_bytes, estimated: estimated || classic_estimated })
}

/// The bytes of these layers, each downloaded once, and whether an uncompressed size was used for one.
fn download<'a>(layers: impl IntoIterator<Item = &'a Layer>, pushed: bool) -> Option<(Bytes, bool)> {
    let (mut seen, mut bytes, mut estimated) = (HashSet::new(), Bytes(0), false);
    for layer in layers.into_iter().filter(|layer| seen.insert(identity(layer, pushed))) {
        bytes = bytes.checked_add(layer.compressed.or(layer.size)?)?;
        estimated |= layer.compressed.is_none();
    }
    Some((bytes, estimated))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of layers, each with its content, its compression and its compressed size, if known.
    fn image(transport: &str, layers: &[(u8, u8, Option<u64>)]) -> Snapshot {
        let layer = |&(content, packing, compressed): &(u8, u8, Option<u64>)| Layer {
            digest: Some(Digest::of(&[content, packing])),
            size: Some(Bytes(1000)),
            compressed: compressed.map(Bytes),
            ..Layer::unknown(DiffId::of(&[content]))
        };
        let mut snapshot = Snapshot::made_up(layers.iter().map(layer).collect());
        snapshot.source.transport = transport.into();
        snapshot
    }

    fn figures(base: &Snapshot, head: &Snapshot) -> (u64, u64, bool) {
        let update = update(base, head).unwrap();
        (update.bytes.0, update.classic_bytes.0, update.estimated)
    }

    #[test]
    fn a_new_layer_is_downloaded_and_the_classic_store_downloads_all_above_it_too() {
        let base = image("docker", &[(1, 0, Some(10)), (2, 0, Some(20)), (3, 0, Some(30))]);
        assert_eq!(figures(&base, &base), (0, 0, false));
        let head = image("docker", &[(1, 0, Some(10)), (9, 0, Some(90)), (3, 0, Some(30))]);
        assert_eq!(figures(&base, &head), (90, 120, false));
        // If a layer is left out, nothing is new, except what was above it.
        let head = image("docker", &[(1, 0, Some(10)), (3, 0, Some(30))]);
        assert_eq!(figures(&base, &head), (0, 30, false));
    }

    #[test]
    fn a_layer_that_is_there_twice_is_downloaded_once() {
        let base = image("docker", &[(1, 0, Some(10))]);
        let head = image("docker", &[(1, 0, Some(10)), (2, 0, Some(20)), (2, 0, Some(20))]);
        assert_eq!(figures(&base, &head), (20, 20, false));
    }

    #[test]
    fn the_same_content_packed_anew_is_a_download_only_between_registries() {
        let (one, two) = ([(1, 0, Some(10))], [(1, 7, Some(11))]);
        assert_eq!(figures(&image("docker", &one), &image("docker", &two)), (11, 11, false));
        assert_eq!(figures(&image("oci", &one), &image("docker", &two)), (0, 0, false));
        assert_eq!(figures(&image("docker", &one), &image("docker-daemon", &two)), (0, 0, false));
    }

    #[test]
    fn where_an_engine_knows_no_compressed_size_the_uncompressed_one_is_the_most_that_it_can_be() {
        let base = image("docker-daemon", &[(1, 0, None)]);
        let head = image("docker-daemon", &[(1, 0, None), (2, 0, None)]);
        assert_eq!(figures(&base, &head), (1000, 1000, true));
        let mut unknown = head.clone();
        unknown.layers[1].size = None;
        assert_eq!(update(&base, &unknown), None);
    }
}
