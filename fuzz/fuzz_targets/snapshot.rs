//! A stored snapshot. What is read can be applied, and survives being written again.
#![no_main]

use layergate::image::Snapshot;
use layergate::layer::apply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(snapshot) = Snapshot::from_json(json) else { return };
    apply(snapshot.layers.iter().filter_map(|layer| layer.census.as_ref()));
    let text = serde_json::to_vec(&snapshot).expect("a snapshot is JSON");
    let again = Snapshot::from_json(&text).expect("what was written can be read");
    assert_eq!(snapshot, again);
});
