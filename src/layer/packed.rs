//! How the files of one layer are stored in a file: a JSON document, compressed with zstd, whose frame holds a checksum
//! to detect damage.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::image::json::{self, DocumentBudget};
use crate::image::{DiffId, FileList};

/// The `schema` of a stored file list that this version writes.
const SCHEMA: &str = "layergate.file-list/v1";
/// zstd's level: 3 is its own default, and a file list shrinks to a tenth.
const ZSTD_LEVEL: i32 = 3;
/// The largest file that is read: the one for five million files has some 50 MiB.
pub const MAX_PACKED: u64 = 256 << 20;

/// The values that this run's file lists have in excess of their lengths: each list may be small, and a store can have
/// many.
static EXCESS: AtomicU64 = AtomicU64::new(0);

#[derive(Serialize)]
struct Out<'a> {
    schema: &'a str,
    diff_id: &'a DiffId,
    file_list: &'a FileList,
}

#[derive(Deserialize)]
struct PackedFileList {
    schema: String,
    diff_id: DiffId,
    file_list: FileList,
}

/// Compresses the files of a layer.
///
/// # Errors
/// If the encoder fails.
pub fn pack(diff_id: &DiffId, file_list: &FileList) -> io::Result<Vec<u8>> {
    let mut encoder = encoder()?;
    serde_json::to_writer(&mut encoder, &Out { schema: SCHEMA, diff_id, file_list })?;
    encoder.finish()
}

/// Decompresses the files of a layer; `None` if they are damaged, of another layer, of a version that this one does not
/// read, or too many for a file of this length.
pub fn unpack(packed: &[u8], diff_id: &DiffId) -> Option<FileList> {
    let (document, values) = read(packed)?;
    let excess = DocumentBudget::excess(packed.len() as u64, values);
    if !DocumentBudget::is_free(EXCESS.load(Ordering::Relaxed).saturating_add(excess)) {
        return None;
    }
    let file_list = parse(&document, diff_id)?;
    EXCESS.fetch_add(excess, Ordering::Relaxed);
    Some(file_list)
}

fn parse(document: &[u8], diff_id: &DiffId) -> Option<FileList> {
    let document: PackedFileList = serde_json::from_slice(document).ok()?;
    (document.schema == SCHEMA && document.diff_id == *diff_id).then_some(document.file_list)
}

/// Compresses a document.
///
/// # Errors
/// If the encoder fails.
pub fn encode(document: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = encoder()?;
    encoder.write_all(document)?;
    encoder.finish()
}

/// Decompresses a document to its end, where the checksum is; `None` if it is damaged or too large.
pub fn decode(packed: &[u8]) -> Option<Vec<u8>> {
    read(packed).map(|(document, _)| document)
}

fn read(packed: &[u8]) -> Option<(Vec<u8>, u64)> {
    let decoder = zstd::Decoder::with_buffer(packed).ok()?;
    json::read(decoder, DocumentBudget::of(packed.len() as u64)).ok()
}

fn encoder() -> io::Result<zstd::Encoder<'static, Vec<u8>>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Bytes, Entry};

    #[test]
    fn another_version_is_not_read() {
        let id = DiffId::of(b"one");
        let file_list = FileList { marks: Some(Vec::new()), ..FileList::of(vec![Entry::Dir("c".into())]) };
        let now = String::from_utf8(decode(&pack(&id, &file_list).unwrap()).unwrap()).unwrap();
        let read = |text: &str| unpack(&encode(text.as_bytes()).unwrap(), &id);
        assert_eq!(read(&now), Some(file_list));
        for other in ["layergate.file-list/v0", "layergate.file-list/v2"] {
            assert_eq!(read(&now.replace(SCHEMA, other)), None, "{other}");
        }
    }

    #[test]
    fn a_flipped_bit_is_never_a_wrong_answer() {
        let (id, other) = (DiffId::of(b"one"), DiffId::of(b"other"));
        let file_list = FileList::of(vec![Entry::File("a/b".into(), Bytes(7)), Entry::Dir("c".into())]);
        let packed = pack(&id, &file_list).unwrap();
        assert_eq!(unpack(&packed, &id).as_ref(), Some(&file_list));
        assert_eq!(unpack(&packed, &other), None);
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 4;
            // Some bits have no effect, such as how much memory a decoder should reserve.
            let found = unpack(&damaged, &id);
            assert!(found.is_none_or(|found| found == file_list), "byte {at}");
            assert_eq!(unpack(&packed[..at], &id), None, "cut off at {at}");
        }
    }

    /// A file whose document repeats one unit many times.
    fn bomb(id: &DiffId, unit: &str, count: usize) -> Vec<u8> {
        let start = format!(r#"{{"schema":"{SCHEMA}","diff_id":"{id}","file_list":{{"entries":["#);
        let entries = unit.repeat(count);
        encode(format!("{start}{}],\"marks\":[]}}}}", entries.trim_end_matches(',')).as_bytes()).unwrap()
    }

    #[test]
    fn a_small_file_lists_no_more_than_real_ones_do() {
        let id = DiffId::of(b"one");
        for (unit, fits, most) in [
            (r#"["f","a",1],"#, 1000, 400_000),
            (r#"["d","a"],"#, 1000, 500_000),
            (r#"["h","a","b"],"#, 1000, 400_000),
        ] {
            assert_eq!(
                unpack(&bomb(&id, unit, fits), &id).map(|file_list| file_list.entries.len()),
                Some(fits)
            );
            assert_eq!(unpack(&bomb(&id, unit, most), &id), None, "{unit}");
        }
        let long = format!(r#"["d","{}"],"#, "a".repeat(4000));
        assert_eq!(unpack(&bomb(&id, &long, 9000), &id), None);
    }

    #[test]
    fn many_small_files_list_no_more_than_one() {
        let id = DiffId::of(b"one");
        let packed = bomb(&id, r#"["d","a"],"#, 150_000);
        let read = (0..20).filter(|_| unpack(&packed, &id).is_some()).count();
        assert!((1..4).contains(&read), "{read}");
        // A list that is long enough for its values is still read.
        let real = FileList::of(
            (0..2000).map(|at| Entry::Dir(format!("{:x}", at * 7919).as_str().into())).collect(),
        );
        assert_eq!(unpack(&pack(&id, &real).unwrap(), &id), Some(real));
    }
}
