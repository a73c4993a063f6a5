//! A stored snapshot. What is read can be applied, and survives being written again.
#![no_main]

use layergate::image::{Census, Snapshot};
use layergate::layer::{apply, installed};
use libfuzzer_sys::fuzz_target;

const MOST_NODES: u64 = 1_000_000;

fuzz_target!(|json: &[u8]| {
    let Ok(snapshot) = Snapshot::from_json(json, MOST_NODES) else { return };
    let censuses: Vec<&Census> =
        snapshot.layers.iter().filter_map(|layer| layer.census.as_deref()).collect();
    installed(&censuses, &apply(censuses.iter().copied()));
    let text = serde_json::to_vec(&snapshot).expect("a snapshot is JSON");
    let again = Snapshot::from_json(&text, MOST_NODES).expect("what was written can be read");
    assert_eq!(snapshot, again);
});
