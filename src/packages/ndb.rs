//! Reading the blobs of rpm's own "ndb" format, which is documented only by its source (rpm's
//! `lib/backend/ndb/rpmpkg.c`): pages of slots, each of which states the offset of one blob. All numbers are
//! little-endian.

use crate::image::package::Unread;

const MAGIC: &[u8] = b"RpmP";
const SLOT: &[u8] = b"Slot";
const BLOB: &[u8] = b"BlbS";
const PAGE: usize = 4096;
/// A slot: magic, package number, and offset and length of its blob, in blocks.
const SLOT_SIZE: usize = 16;
const BLOCK: usize = 16;
/// The length of the header before the first slots.
const HEADER: usize = 32;
/// A blob's header: a magic, the package number, a generation, and the blob's length.
const BLOB_HEADER: usize = 16;

/// Calls `take` with each blob, up to the first that is malformed.
///
/// # Errors
/// If the database cannot be read to its end.
pub fn each(content: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Unread> {
    let version = number(content, 4).ok_or(Unread::Damaged)?;
    if !content.starts_with(MAGIC) || version != 0 {
        return Err(Unread::UnknownFormat);
    }
    let pages = number(content, 12).ok_or(Unread::Damaged)?;
    let slots = pages.checked_mul(PAGE).and_then(|end| content.get(HEADER..end)).ok_or(Unread::Damaged)?;
    // Blobs do not overlap, so together they have no more bytes than the file.
    let mut left = content.len();
    for slot in slots.as_chunks::<SLOT_SIZE>().0 {
        let place = number(slot, 8).unwrap_or_default();
        if !slot.starts_with(SLOT) || place == 0 {
            continue;
        }
        let blob = blob(content, slot, place).ok_or(Unread::Damaged)?;
        left = left.checked_sub(blob.len()).ok_or(Unread::Damaged)?;
        take(blob);
    }
    Ok(())
}

fn blob<'a>(content: &'a [u8], slot: &[u8], place: usize) -> Option<&'a [u8]> {
    let stored = content.get(place.checked_mul(BLOCK)?..)?.get(..number(slot, 12)?.checked_mul(BLOCK)?)?;
    let same = stored.starts_with(BLOB) && number(stored, 4)? == number(slot, 4)?;
    let length = number(stored, 12).filter(|_| same)?;
    stored.get(BLOB_HEADER..)?.get(..length)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*word)).ok()
}
