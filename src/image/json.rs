//! Safety limits for untrusted JSON. A parsed value takes some 70 bytes, whatever its own length, so values are counted
//! before parsing; and a compressed document may expand to a few times what real ones do.

use std::io::{self, Read};

/// What every document may have, and what each of its compressed bytes adds: real ones have ten bytes and one value.
const FREE_BYTES: u64 = 32 << 20;
const FREE_VALUES: u64 = 1 << 20;
const BYTES_PER_BYTE: u64 = 32;
/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// The safety limits of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentBudget {
    /// Maximum bytes, uncompressed.
    pub bytes: u64,
    /// Maximum values, as counted by commas and opening brackets.
    pub values: u64,
}

impl DocumentBudget {
    /// The budget of a document that takes this many bytes where it is stored.
    pub fn of(packed: u64) -> DocumentBudget {
        DocumentBudget {
            bytes: FREE_BYTES.saturating_add(packed.saturating_mul(BYTES_PER_BYTE)),
            values: FREE_VALUES.saturating_add(packed),
        }
    }

    /// The values in excess of one per stored byte.
    pub fn excess(packed: u64, values: u64) -> u64 {
        values.saturating_sub(packed)
    }

    /// Whether this many excess values are free.
    pub fn is_free(excess: u64) -> bool {
        excess <= FREE_VALUES
    }
}

/// An upper bound on the number of values in a text.
pub fn values(text: &[u8]) -> u64 {
    text.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() as u64
}

/// Reads a document to its end, and counts its values.
///
/// # Errors
/// Errors of the reader, and one for a document that exceeds `room`.
pub fn read(mut input: impl Read, room: DocumentBudget) -> io::Result<(Vec<u8>, u64)> {
    let (mut document, mut count) = (Vec::new(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match input.read(&mut chunk) {
            Ok(0) => return Ok((document, count)),
            Ok(read) => chunk.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        document.extend_from_slice(read);
        count += values(read);
        if document.len() as u64 > room.bytes {
            return Err(io::Error::other(format!("it has over {} bytes of JSON", room.bytes)));
        }
        if count > room.values {
            return Err(io::Error::other(format!("it has over {} values of JSON", room.values)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_room_by_its_length() {
        let of = |unit: &str, count: usize, packed: u64| {
            let text = format!("[{}0]", unit.repeat(count));
            read(text.as_bytes(), DocumentBudget::of(packed))
                .map(|(document, _)| document.len() == text.len())
        };
        assert!(of("0,", 1_000_000, 10).unwrap());
        for (unit, count, words) in
            [("0,", 1_100_000, "values"), ("[],", 600_000, "values"), ("{\"a\":0},", 600_000, "values")]
        {
            assert!(of(unit, count, 10).unwrap_err().to_string().contains(words), "{unit}");
            assert!(of(unit, count, 1 << 20).unwrap());
        }
        let text = format!("\"{}\",", "x".repeat(1000));
        assert!(of(&text, 40_000, 10).unwrap_err().to_string().contains("bytes"));
        assert!(of(&text, 40_000, 1 << 20).unwrap());
    }
}
