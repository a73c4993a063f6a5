//! A layer blob: walked as a stream and as a file, then applied.
#![no_main]

use std::io::Write as _;

use layergate::image::{Bytes, Filesystem};
use layergate::layer::{Budget, Hashing, Window, walk_stream, walk_window};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|blob: &[u8]| {
    let streamed = walk_stream(blob, &Budget::default(), Hashing::default());
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(blob).expect("room for it");
    let length = blob.len() as u64;
    let window = Window::new(file, 0, length).expect("the file is as long as what was written");
    let jumped = walk_window(window, length, &Budget::default(), None);

    let Ok(streamed) = streamed else { return };
    if let Ok(jumped) = jumped {
        assert_eq!(streamed.file_list, jumped.file_list, "jumping over content changes nothing");
        assert_eq!(streamed.size, jumped.size);
        assert_eq!(streamed.compression, jumped.compression);
    }
    let once = Filesystem::of(vec![streamed.file_list.clone()]);
    assert_eq!(once.flattened.checked_add(once.wasted), Some(streamed.size));
    // Applied twice, the layer hides everything that it stored the first time, except for links into the layer below.
    let Some(twice) = streamed.size.checked_add(streamed.size) else { return };
    let again = Filesystem::of(vec![streamed.file_list; 2]);
    assert_eq!(again.flattened.checked_add(again.wasted), Some(twice));
    let existing = Bytes(again.existing().map(|file| file.size.0).sum());
    assert_eq!(existing, again.flattened);
    assert_eq!(again.existing().len() as u64, again.files());
});
