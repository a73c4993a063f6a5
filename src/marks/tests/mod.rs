//! What files say, and what they must not be able to make this room do.

mod development;
mod programs;
mod secrets;

use super::{FileRole, MarkCollector, WantedMarkFile};
use crate::image::{LayerPath, Mark};

/// The mark of a file, found the way a walker does.
fn mark(path: &str, content: &[u8]) -> Option<Mark> {
    let wanted = WantedMarkFile::of(path.as_bytes(), content.len() as u64, false);
    let Some(WantedMarkFile::Content { document, length }) = wanted else { return None };
    let mut collector = MarkCollector::default();
    collector.take(document, 7, &LayerPath::from(path), &content[..length as usize]);
    collector.finish().pop()
}

#[test]
fn a_layer_has_room_for_so_many_marks_and_no_more() {
    use crate::image::mark::{MAX_DIRECTORIES, MAX_MARKS};
    use crate::image::{Bytes, Entry, FileList};

    let mut collector = MarkCollector::default();
    let names: Vec<String> = (0..15_000).map(|number| format!(r#""p{number}":"1""#)).collect();
    let manifest = format!(r#"{{"devDependencies":{{{}}}}}"#, names.join(","));
    for entry in 0..8 {
        collector.take(FileRole::Manifest, entry, &"package.json".into(), manifest.as_bytes());
    }
    (8..MAX_MARKS as u32 + 8).for_each(|entry| collector.take_program(entry, 1));
    let marks = collector.finish();
    assert_eq!(marks.len(), MAX_MARKS);
    let directories: usize = marks.iter().map(|mark| mark.directories().len()).sum();
    assert_eq!(directories, MAX_DIRECTORIES / 15_000 * 15_000);
    let entries = vec![Entry::File("a".into(), Bytes(1)); MAX_MARKS + 8];
    let file_list = FileList { marks: Some(marks), ..FileList::of(entries) };
    let text = serde_json::to_vec(&file_list).unwrap();
    assert_eq!(serde_json::from_slice::<FileList>(&text).unwrap(), file_list, "what is written can be read");
}
