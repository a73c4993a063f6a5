//! Reading the values of a Berkeley DB hash database (`dbinc/db_page.h` in its source): only what rpm's `Packages`
//! needs, whose values are package headers. Values are stored in the pages of buckets, or, if they are large, in a
//! chain of overflow pages.
//!
//! The crates for these files bind the C library.

use std::borrow::Cow;

use crate::image::package::Unread;

/// Offsets in the first page: its magic, its page size and its type.
const MAGIC: (usize, u64) = (12, 0x0006_1561);
const PAGE_SIZE: usize = 20;
const META_TYPE: (usize, u8) = (25, 8);
/// The length of each page's header.
const HEADER: usize = 26;
/// Types of pages.
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH: u8 = 13;
/// Types of items.
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;

/// Maximum bytes of a reassembled value; the headers of the largest packages have a few MiB.
const MAX_VALUE: usize = 16 << 20;
/// What even an empty item costs.
const ITEM_COST: usize = 16;

struct BerkeleyFile<'a> {
    file: &'a [u8],
    page_size: usize,
    big_endian: bool,
}

/// Calls `take` with each value, up to the first that is malformed.
///
/// # Errors
/// If the database cannot be read to its end.
pub fn each(content: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Unread> {
    let database = BerkeleyFile::new(content)?;
    // Chains that share pages may cost no more than a few times the size of the file.
    let mut left = content.len().saturating_mul(4).saturating_add(MAX_VALUE);
    for page in content.chunks_exact(database.page_size) {
        if !matches!(page.get(25), Some(&(HASH | HASH_UNSORTED))) {
            continue;
        }
        let items = database.number(page, 20, 2).unwrap_or_default();
        // Keys and values alternate.
        for value in (1..items).step_by(2) {
            let value = database.value(page, value, &mut left).ok_or(Unread::Damaged)?;
            take(&value);
        }
    }
    if content.len().is_multiple_of(database.page_size) { Ok(()) } else { Err(Unread::Damaged) }
}

impl<'a> BerkeleyFile<'a> {
    fn new(file: &'a [u8]) -> Result<BerkeleyFile<'a>, Unread> {
        let of = |big_endian| BerkeleyFile { file, page_size: 0, big_endian };
        let fits = |database: &BerkeleyFile<'_>| database.number(file, MAGIC.0, 4) == Some(MAGIC.1);
        let known = [of(false), of(true)].into_iter().find(fits);
        let mut database =
            known.filter(|_| file.get(META_TYPE.0) == Some(&META_TYPE.1)).ok_or(Unread::UnknownFormat)?;
        let size = database.number(file, PAGE_SIZE, 4).and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| size.is_power_of_two() && (512..=65536).contains(size));
        database.page_size = size.ok_or(Unread::Damaged)?;
        Ok(database)
    }

    /// A value, by its number on a page: items are stored from the page's end towards its start, and their offsets
    /// follow the header.
    fn value(&self, page: &'a [u8], index: u64, left: &mut usize) -> Option<Cow<'a, [u8]>> {
        let place = |index: u64| {
            usize::try_from(self.number(page, HEADER + 2 * usize::try_from(index).ok()?, 2)?).ok()
        };
        let item = page.get(place(index)?..place(index - 1)?)?;
        *left = left.checked_sub(item.len() + ITEM_COST)?;
        let (kind, value) = item.split_first()?;
        match *kind {
            KEY_DATA => Some(Cow::Borrowed(value)),
            OFF_PAGE => {
                self.overflow(self.number(item, 4, 4)?, self.number(item, 8, 4)?, left).map(Cow::Owned)
            }
            // Duplicates, which rpm's database does not have.
            _ => Some(Cow::Borrowed(&[])),
        }
    }

    /// A value in overflow pages, each of which states how much of it the page holds, and which page is next.
    fn overflow(&self, first: u64, length: u64, left: &mut usize) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_VALUE)?;
        *left = left.checked_sub(length)?;
        let mut value = Vec::with_capacity(length.min(self.file.len()));
        let mut next = first;
        while value.len() < length {
            let start = usize::try_from(next).ok()?.checked_mul(self.page_size)?;
            let page = self.file.get(start..start.checked_add(self.page_size)?)?;
            let used = usize::try_from(self.number(page, 22, 2)?).ok()?;
            let content = page.get(HEADER..HEADER.checked_add(used)?)?;
            if page.get(25) != Some(&OVERFLOW) || content.is_empty() {
                return None;
            }
            value.extend_from_slice(content);
            next = self.number(page, 16, 4)?;
        }
        (value.len() == length).then_some(value)
    }

    /// A number of `length` bytes, in the byte order of the machine that wrote the file.
    fn number(&self, bytes: &[u8], at: usize, length: usize) -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}
