//! A stored snapshot. If it is accepted, it can be applied, and survives being written again.
#![no_main]

use layergate::image::{Filesystem, Snapshot};
use layergate::packages::installed;
use libfuzzer_sys::fuzz_target;

const MOST_NODES: u64 = 1_000_000;

fuzz_target!(|json: &[u8]| {
    let Ok(snapshot) = Snapshot::from_json(json, MOST_NODES) else { return };
    let file_lists = snapshot.layers.iter().filter_map(|layer| layer.file_list.clone());
    installed(&Filesystem::of(file_lists.collect()));
    let text = serde_json::to_vec(&snapshot).expect("a snapshot is JSON");
    let again = Snapshot::from_json(&text, MOST_NODES).expect("what was written can be read");
    assert_eq!(snapshot, again);
});
