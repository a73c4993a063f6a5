//! A layer blob: walked as a stream and as a file, then applied.
#![no_main]

use std::io::Write as _;

use layergate::image::Bytes;
use layergate::layer::{Budget, Window, apply, walk_stream, walk_window};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|blob: &[u8]| {
    let streamed = walk_stream(blob, &Budget::default());
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(blob).expect("room for it");
    let length = blob.len() as u64;
    let window = Window::new(file, 0, length).expect("the file is as long as what was written");
    let jumped = walk_window(window, length, &Budget::default(), false);

    let Ok(streamed) = streamed else { return };
    if let Ok(jumped) = jumped {
        assert_eq!(streamed.census, jumped.census, "jumping over content changes nothing");
        assert_eq!(streamed.size, jumped.size);
        assert_eq!(streamed.compression, jumped.compression);
    }
    let applied = apply([&*streamed.census]);
    assert_eq!(applied.visible.checked_add(applied.wasted), Some(streamed.size));
    // The same layer again hides all that it stored before, but for links into the layer below.
    let Some(twice) = streamed.size.checked_add(streamed.size) else { return };
    let applied = apply([&*streamed.census, &*streamed.census]);
    assert_eq!(applied.visible.checked_add(applied.wasted), Some(twice));
    let existing: Bytes = Bytes(applied.existing.iter().map(|file| file.size.0).sum());
    assert_eq!(existing, applied.visible);
    assert_eq!(applied.existing.len() as u64, applied.files);
});
