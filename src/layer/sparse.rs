//! The map of a sparse file: which of its parts are stored; the rest are holes (GNU tar manual, "Storing Sparse
//! Files"). Only the totals are kept: a map may be long.

/// The totals of a map's fragments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SparseMap {
    end: u64,
    stored: u64,
}

impl SparseMap {
    /// Adds the next fragment; `None` if it overlaps the one before, or its end overflows.
    pub(super) fn add(&mut self, offset: u64, length: u64) -> Option<()> {
        if offset < self.end {
            return None;
        }
        self.end = offset.checked_add(length)?;
        self.stored += length;
        Some(())
    }

    /// Whether this is the map of a file of `size` bytes with this many stored. Without the check, a file of any
    /// content could claim to be empty.
    pub(super) fn fits(&self, size: u64, stored: u64) -> bool {
        self.end <= size && self.stored == stored
    }

    /// Reads the map of versions 0.0 and 0.1: `OFFSET,LENGTH,OFFSET,LENGTH`.
    pub(super) fn from_list(list: &[u8]) -> Option<SparseMap> {
        let mut map = SparseMap::default();
        if list.is_empty() {
            return Some(map);
        }
        let mut numbers = list.split(|byte| *byte == b',').map(decimal);
        while let Some(offset) = numbers.next() {
            map.add(offset?, numbers.next()??)?;
        }
        Some(map)
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads the map of version 1.0, which precedes the content: the number of fragments, then each one's offset and
/// length, each number on a line.
#[derive(Default)]
pub(super) struct MapLines {
    line: Vec<u8>,
    fragments_left: Option<u64>,
    offset: Option<u64>,
    map: SparseMap,
}

impl MapLines {
    /// Takes the next block: whether the map continues after it, or `None` if it is malformed.
    pub(super) fn take(&mut self, block: &[u8]) -> Option<bool> {
        for byte in block {
            if self.fragments_left == Some(0) {
                break;
            }
            match byte {
                b'\n' => self.end_line()?,
                // No number has more digits.
                digit if self.line.len() < 20 => self.line.push(*digit),
                _ => return None,
            }
        }
        Some(self.fragments_left != Some(0))
    }

    fn end_line(&mut self) -> Option<()> {
        let number = decimal(&self.line)?;
        self.line.clear();
        match (self.fragments_left, self.offset.take()) {
            (None, _) => self.fragments_left = Some(number),
            (_, None) => self.offset = Some(number),
            (Some(left), Some(offset)) => {
                self.map.add(offset, number)?;
                self.fragments_left = Some(left - 1);
            }
        }
        Some(())
    }

    /// The map, once it is complete.
    pub(super) fn finish(self) -> SparseMap {
        self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_in_order_and_adds_up() {
        let map = SparseMap::from_list(b"0,512,1024,100").unwrap();
        assert!(map.fits(1124, 612) && map.fits(5000, 612));
        assert!(!map.fits(1123, 612) && !map.fits(5000, 611));
        for bad in ["0", "0,", "0,512,511,1", "1,2,3", "-1,2", "x,y", "1,18446744073709551615", "0,1,"] {
            assert_eq!(SparseMap::from_list(bad.as_bytes()), None, "{bad}");
        }
        assert!(SparseMap::from_list(b"").unwrap().fits(5, 0));
    }

    #[test]
    fn a_map_of_lines_may_go_over_blocks() {
        let mut lines = MapLines::default();
        assert_eq!(lines.take(b"2\n0\n512\n10"), Some(true));
        assert_eq!(lines.take(b"24\n100\n\0\0\0"), Some(false));
        assert_eq!(Some(lines.finish()), SparseMap::from_list(b"0,512,1024,100"));
        assert_eq!(MapLines::default().take(b"0\n"), Some(false));
        for bad in ["\n", "1\n\n", "x\n", "111111111111111111111", "2\n5\n5\n5\n5\n"] {
            assert_eq!(MapLines::default().take(bad.as_bytes()), None, "{bad}");
        }
    }
}
