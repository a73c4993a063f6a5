//! How the files of one layer are kept in a file: a JSON document, packed with zstd, whose frame
//! holds a checksum, so that damage is found.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

use crate::image::{Census, DiffId};

/// The `schema` of a stored census that this version writes.
const SCHEMA: &str = "layergate.census/v3";
/// The one before it, which is the same without marks.
const WITHOUT_MARKS: &str = "layergate.census/v2";
/// zstd's level: 3 is its own default, and a census shrinks to a tenth.
const ZSTD_LEVEL: i32 = 3;
/// The largest document that is read, unpacked: a census of five million files fits.
const MAX_DOCUMENT: u64 = 1 << 30;

#[derive(Serialize)]
struct Out<'a> {
    schema: &'a str,
    diff_id: &'a DiffId,
    census: &'a Census,
}

#[derive(Deserialize)]
struct In {
    schema: String,
    diff_id: DiffId,
    census: Census,
}

/// Packs the files of a layer.
///
/// # Errors
/// Where the encoder fails.
pub fn pack(diff_id: &DiffId, census: &Census) -> io::Result<Vec<u8>> {
    let mut encoder = encoder()?;
    serde_json::to_writer(&mut encoder, &Out { schema: SCHEMA, diff_id, census })?;
    encoder.finish()
}

/// Unpacks the files of a layer; `None` where they are damaged, of another layer or of a version that
/// this one does not read.
pub fn unpack(packed: impl BufRead, diff_id: &DiffId) -> Option<Census> {
    let document: In = serde_json::from_slice(&decode(packed)?).ok()?;
    let known = [SCHEMA, WITHOUT_MARKS].contains(&document.schema.as_str());
    (known && document.diff_id == *diff_id).then_some(document.census)
}

/// Packs a document.
///
/// # Errors
/// Where the encoder fails.
pub fn encode(document: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = encoder()?;
    encoder.write_all(document)?;
    encoder.finish()
}

/// Unpacks a document to its end, where the checksum is; `None` where it is damaged or too large.
pub fn decode(packed: impl BufRead) -> Option<Vec<u8>> {
    let mut document = Vec::new();
    let decoder = zstd::Decoder::with_buffer(packed).ok()?;
    decoder.take(MAX_DOCUMENT + 1).read_to_end(&mut document).ok()?;
    (document.len() as u64 <= MAX_DOCUMENT).then_some(document)
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
    fn what_the_version_before_packed_has_no_marks() {
        let id = DiffId::of(b"one");
        let census = Census { marks: Some(Vec::new()), ..Census::of(vec![Entry::Dir("c".into())]) };
        let now = String::from_utf8(decode(pack(&id, &census).unwrap().as_slice()).unwrap()).unwrap();
        let before = now.replace(SCHEMA, WITHOUT_MARKS).replace(r#","marks":[]"#, "");
        let read = |text: &str| unpack(encode(text.as_bytes()).unwrap().as_slice(), &id);
        assert_eq!(read(&now), Some(census.clone()));
        assert_eq!(read(&before), Some(Census { marks: None, ..census }));
        for other in ["layergate.census/v1", "layergate.census/v4"] {
            assert_eq!(read(&now.replace(SCHEMA, other)), None, "{other}");
        }
    }

    #[test]
    fn a_flipped_bit_is_never_a_wrong_answer() {
        let (id, other) = (DiffId::of(b"one"), DiffId::of(b"other"));
        let census = Census::of(vec![Entry::File("a/b".into(), Bytes(7)), Entry::Dir("c".into())]);
        let packed = pack(&id, &census).unwrap();
        assert_eq!(unpack(packed.as_slice(), &id).as_ref(), Some(&census));
        assert_eq!(unpack(packed.as_slice(), &other), None);
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 4;
            // Some bits mean nothing, such as how much memory a decoder should set aside.
            let found = unpack(damaged.as_slice(), &id);
            assert!(found.is_none_or(|found| found == census), "byte {at}");
            assert_eq!(unpack(&packed[..at], &id), None, "cut off at {at}");
        }
    }
}
