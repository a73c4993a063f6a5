//! Reading the rows of one table of an SQLite database in memory, including its write-ahead log: only the part of
//! SQLite's "Database File Format" document that rpm's database needs. Nothing is written.
//!
//! The readers on crates.io either bundle all of SQLite, two megabytes of C that cannot open a WAL-mode database like
//! rpm's from memory, or are young and do more than is needed here.

use std::borrow::Cow;
use std::collections::HashMap;

/// Maximum bytes of a reassembled row; the headers of the largest packages have a few MiB.
const MAX_ROW: usize = 16 << 20;
/// A row's local part is read at least once: this is what even an empty one costs.
const ROW_COST: usize = 16;
const HEADER: usize = 100;
const INTERIOR_TABLE: u8 = 5;
const LEAF_TABLE: u8 = 13;
/// The lengths of a write-ahead log's header and of a frame's header ("WAL File Format").
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A database file, and the pages that a write-ahead log replaces.
pub struct SqliteFile<'a> {
    file: &'a [u8],
    logged: HashMap<usize, &'a [u8]>,
    page_size: usize,
    /// The bytes of a page that are not reserved for extensions.
    usable: usize,
}

/// A value of a row, as far as it matters.
pub enum Value<'a> {
    /// Text or a blob.
    Bytes(&'a [u8]),
    /// An integer.
    Integer(i64),
    /// NULL or a real number.
    Other,
}

impl<'a> SqliteFile<'a> {
    /// Reads the header of a database whose text is UTF-8, and what its log has committed. `log` is empty if there is
    /// none; `file` may be empty if the log has all of its pages.
    pub fn new(file: &'a [u8], log: &'a [u8]) -> Option<SqliteFile<'a>> {
        let logged = committed(log, file.len());
        let first = logged.get(&1).copied().unwrap_or(file);
        if !first.starts_with(b"SQLite format 3\0") {
            return None;
        }
        let page_size = match number(first.get(16..18)?) {
            1 => 65536,
            size => usize::try_from(size).ok()?,
        };
        let usable = page_size.checked_sub(usize::from(*first.get(20)?))?;
        let utf8 = matches!(number(first.get(56..60)?), 0 | 1);
        let sizes = page_size.is_power_of_two() && page_size >= 512 && usable >= 480;
        // A log belongs to its database, and so has pages of the same size.
        let fits = logged.values().next().is_none_or(|page| page.len() == page_size);
        (sizes && utf8 && fits).then_some(SqliteFile { file, logged, page_size, usable })
    }

    /// The bytes of all pages; those that the log replaces count twice.
    fn bytes(&self) -> usize {
        self.file.len() + self.logged.len() * self.page_size
    }

    /// Calls `each` with the payload of each row of a table, until the table ends, something in it is malformed, or
    /// `each` returns `None`.
    pub fn rows(&self, table: &str, each: impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
        let root = self.root_of(table)?;
        BtreeWalk::new(self).rows(root, each)
    }

    /// The root page of a table, from the table that lists all others, whose root is page 1.
    fn root_of(&self, table: &str) -> Option<usize> {
        let mut root = None;
        BtreeWalk::new(self).rows(1, |payload| {
            let [kind, name, _, page] = columns(payload);
            match (kind, name, page) {
                (Value::Bytes(b"table"), Value::Bytes(name), Value::Integer(page))
                    if name == table.as_bytes() =>
                {
                    root = usize::try_from(page).ok();
                    None
                }
                _ => Some(()),
            }
        });
        root
    }

    /// A page, by its number, counted from 1; the last one may be cut off.
    fn page(&self, number: usize) -> Option<&'a [u8]> {
        let start = number.checked_sub(1)?.checked_mul(self.page_size)?;
        let rest = self.logged.get(&number).copied().or_else(|| self.file.get(start..))?;
        Some(rest.get(..self.usable).unwrap_or(rest))
    }
}

/// The pages of a write-ahead log up to its last commit, by number; none if it is malformed. A frame counts if its salt
/// is that of the header, and the checksum over all frames before it is right.
fn committed(log: &[u8], file: usize) -> HashMap<usize, &[u8]> {
    let (mut pages, mut uncommitted) = (HashMap::new(), Vec::new());
    let Some((header, frames)) = log.split_at_checked(LOG_HEADER) else { return pages };
    let word = |bytes: &[u8], at: usize| number(bytes.get(4 * at..4 * at + 4).unwrap_or_default());
    let page_size = usize::try_from(word(header, 2)).unwrap_or_default();
    let big_endian = match word(header, 0) {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return pages,
    };
    let mut sum = LogChecksum { big_endian, words: [0; 2] };
    if !(512..=65536).contains(&page_size) || !page_size.is_power_of_two() || !sum.fits(header, 24, &[]) {
        return pages;
    }
    // No page number can be higher than the number of pages.
    let most = (file + log.len()) / page_size + 1;
    for frame in frames.chunks_exact(FRAME_HEADER + page_size) {
        let (head, page) = frame.split_at(FRAME_HEADER);
        let salted = head.get(8..16) == header.get(16..24);
        if !salted || !sum.fits(head, 8, page) {
            break;
        }
        match usize::try_from(word(head, 0)) {
            Ok(number) if (1..=most).contains(&number) => uncommitted.push((number, page)),
            _ => break,
        }
        if word(head, 1) != 0 {
            pages.extend(uncommitted.drain(..));
        }
    }
    pages
}

/// The running checksum of a write-ahead log ("Checksum Algorithm").
struct LogChecksum {
    big_endian: bool,
    words: [u32; 2],
}

impl LogChecksum {
    /// Adds the start of a header and a page, and compares with the checksum that ends the header.
    fn fits(&mut self, header: &[u8], length: usize, page: &[u8]) -> bool {
        let [mut one, mut other] = self.words;
        for part in [header.get(..length).unwrap_or_default(), page] {
            for pair in part.as_chunks::<4>().0.as_chunks::<2>().0 {
                let [first, second] = pair.map(|word| match self.big_endian {
                    true => u32::from_be_bytes(word),
                    false => u32::from_le_bytes(word),
                });
                one = one.wrapping_add(first).wrapping_add(other);
                other = other.wrapping_add(second).wrapping_add(one);
            }
        }
        self.words = [one, other];
        let stated = header.len().checked_sub(8).and_then(|at| header.get(at..));
        stated.is_some_and(|stated| number(stated) == u64::from(one) << 32 | u64::from(other))
    }
}

/// One pass over a b-tree. It ends whatever the pages say: no page is visited twice, and rows cost no more than a few
/// times the size of the file.
struct BtreeWalk<'d, 'a> {
    database: &'d SqliteFile<'a>,
    visited: Vec<bool>,
    /// Bytes of rows that may still be reassembled.
    left: usize,
}

impl<'d, 'a> BtreeWalk<'d, 'a> {
    fn new(database: &'d SqliteFile<'a>) -> BtreeWalk<'d, 'a> {
        let pages = database.bytes() / database.page_size + 2;
        let left = database.bytes().saturating_mul(4).saturating_add(MAX_ROW);
        BtreeWalk { database, visited: vec![false; pages], left }
    }

    fn rows(&mut self, root: usize, mut each: impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
        let mut pending = vec![root];
        while let Some(number) = pending.pop() {
            if std::mem::replace(self.visited.get_mut(number)?, true) {
                return None;
            }
            let page = self.database.page(number)?;
            let header = page.get(if number == 1 { HEADER } else { 0 }..)?;
            match *header.first()? {
                LEAF_TABLE => {
                    for pointer in pointers(header, 8)? {
                        each(&self.row(page, pointer)?)?;
                    }
                }
                INTERIOR_TABLE => pending.extend(children(page, header)?),
                _ => return None,
            }
            // A tree contains each of its pages once.
            if pending.len() > self.visited.len() {
                return None;
            }
        }
        Some(())
    }

    /// The payload of a leaf's cell, reassembled with its overflow pages.
    fn row(&mut self, page: &'a [u8], pointer: &[u8]) -> Option<Cow<'a, [u8]>> {
        let cell = page.get(usize::try_from(number(pointer)).ok()?..)?;
        let (length, rest) = varint(cell)?;
        let (_row_id, rest) = varint(rest)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_ROW)?;
        self.left = self.left.checked_sub(length + ROW_COST)?;
        let local = self.local(length);
        if local == length {
            return rest.get(..length).map(Cow::Borrowed);
        }
        let mut payload = Vec::with_capacity(length.min(self.database.bytes()));
        payload.extend_from_slice(rest.get(..local)?);
        let mut next = rest.get(local..local + 4)?;
        while payload.len() < length {
            let page = self.database.page(usize::try_from(number(next)).ok()?)?;
            let content = page.get(4..)?;
            payload.extend_from_slice(content.get(..content.len().min(length - payload.len()))?);
            if content.is_empty() {
                return None;
            }
            next = page.get(..4)?;
        }
        Some(Cow::Owned(payload))
    }

    /// How much of a payload is in the leaf itself ("B-tree Pages", "cell payload overflow").
    fn local(&self, length: usize) -> usize {
        let usable = self.database.usable;
        if length <= usable - 35 {
            return length;
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let local = least + (length - least) % (usable - 4);
        if local <= usable - 35 { local } else { least }
    }
}

/// The cell pointers of a page, two bytes each, after its header of `length` bytes.
fn pointers(header: &[u8], length: usize) -> Option<impl DoubleEndedIterator<Item = &[u8]>> {
    let cells = usize::try_from(number(header.get(3..5)?)).ok()?;
    Some(header.get(length..length + 2 * cells)?.chunks_exact(2))
}

/// The children of an interior page, the last one first.
fn children(page: &[u8], header: &[u8]) -> Option<Vec<usize>> {
    let child = |bytes: &[u8]| usize::try_from(number(bytes.get(..4)?)).ok();
    let cells = pointers(header, 12)?.rev();
    let cells = cells.map(|pointer| child(page.get(usize::try_from(number(pointer)).ok()?..)?));
    std::iter::once(child(header.get(8..)?)).chain(cells).collect()
}

/// The first columns of a row ("Record Format"); missing ones are [`Value::Other`].
pub fn columns<const N: usize>(payload: &[u8]) -> [Value<'_>; N] {
    let mut columns = [const { Value::Other }; N];
    // Malformed rows have fewer columns.
    let _ = fill(payload, &mut columns);
    columns
}

fn fill<'a>(payload: &'a [u8], columns: &mut [Value<'a>]) -> Option<()> {
    let (header, after) = varint(payload)?;
    let header = usize::try_from(header).ok()?;
    let mut types = payload.get(payload.len() - after.len()..header)?;
    let mut values = payload.get(header..)?;
    for column in columns {
        let (kind, rest) = varint(types)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            kind => (kind - 12) / 2,
        };
        let (value, after) = values.split_at_checked(usize::try_from(length).ok()?)?;
        *column = match kind {
            1..=6 => Value::Integer(signed(value)),
            8 | 9 => Value::Integer(i64::from(kind == 9)),
            12.. => Value::Bytes(value),
            _ => Value::Other,
        };
        (types, values) = (rest, after);
    }
    Some(())
}

/// A number of up to nine bytes, seven bits each but eight in the last, and the bytes after it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        let (bits, last) = if at == 8 { (8, true) } else { (7, byte & 0x80 == 0) };
        number = number << bits | u64::from(if at == 8 { *byte } else { byte & 0x7f });
        if last {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

/// An unsigned number, big-endian, of at most eight bytes.
pub fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * u32::try_from(bytes.len().clamp(1, 8)).unwrap_or(8);
    (number(bytes) << unused).cast_signed() >> unused
}
