//! What reading an image may cost: bounds that keep hostile input from using up memory or time.
//! Each can be raised by name; none can be turned off.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tar::TarEntry;
use crate::image::bytes::group_digits;
use crate::image::census::{MAX_DEPTH, MAX_NODES, MAX_PATH};

/// Below so many unpacked bytes no ratio is suspicious: a file of zeros packs to almost nothing.
const RATIO_FROM: u64 = 1 << 30;

/// The bounds of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Files and directories, those that paths only imply included.
    pub entries: u64,
    /// Bytes of all path names together.
    pub names: u64,
    /// Bytes of one path.
    pub path: u64,
    /// Parts of one path.
    pub depth: u64,
    /// Bytes of one PAX header or GNU long name. Go's reader has the same bound.
    pub header: u64,
    /// Unpacked bytes for each packed one, counted after the first GiB of a layer.
    pub ratio: u64,
    /// Bytes of layers that are read or inflated; what is seeked over does not count.
    pub unpacked: u64,
    /// Entries of an archive that holds an image.
    pub parts: u64,
    /// Indexes inside of indexes.
    pub nesting: u64,
    /// Bytes of indexes, manifests and configs that are read of an image.
    pub documents: u64,
}

impl Default for Bounds {
    /// Many times what the largest images known need.
    fn default() -> Bounds {
        Bounds {
            entries: MAX_NODES,
            names: 512 << 20,
            path: MAX_PATH as u64,
            depth: MAX_DEPTH as u64,
            header: 1 << 20,
            ratio: 2000,
            unpacked: 1 << 40,
            parts: 10_000,
            nesting: 3,
            documents: 64 << 20,
        }
    }
}

/// A bound that cannot be set as it is written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidBound(String);

impl Bounds {
    /// Sets one bound from `NAME=NUMBER`.
    ///
    /// # Errors
    /// [`InvalidBound`] for an unknown name, for what is no number, or for one below the default.
    pub fn set(&mut self, text: &str) -> Result<(), InvalidBound> {
        let invalid = |why: String| InvalidBound(format!("`{text}`: {why}"));
        let (name, number) = text
            .split_once('=')
            .ok_or_else(|| invalid("write NAME=NUMBER, such as entries=20000000".into()))?;
        let default = Bounds::default();
        let lowest = default.clone().named(name.trim()).map(|bound| *bound);
        let lowest = lowest.ok_or_else(|| {
            invalid("no such bound; there are entries, names, path, depth, header, ratio, unpacked, parts, nesting and documents".into())
        })?;
        let number: u64 = number
            .trim()
            .replace(['_', ','], "")
            .parse()
            .map_err(|_| invalid("the value is no whole number".into()))?;
        if number < lowest {
            return Err(invalid(format!("a bound can only be raised, and this one is {lowest} already")));
        }
        if let Some(bound) = self.named(name.trim()) {
            *bound = number;
        }
        Ok(())
    }

    fn named(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "entries" => &mut self.entries,
            "names" => &mut self.names,
            "path" => &mut self.path,
            "depth" => &mut self.depth,
            "header" => &mut self.header,
            "ratio" => &mut self.ratio,
            "unpacked" => &mut self.unpacked,
            "parts" => &mut self.parts,
            "nesting" => &mut self.nesting,
            "documents" => &mut self.documents,
            _ => return None,
        })
    }
}

/// A bound that an image is over, and the name to raise it by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; --read-limit {bound}=NUMBER raises this bound")]
pub struct Refusal {
    /// What there is too much of.
    pub what: String,
    /// The bound's name.
    pub bound: &'static str,
}

impl Refusal {
    /// Too much of what `bound` is about.
    pub fn new(bound: &'static str, what: impl fmt::Display) -> Refusal {
        Refusal { what: what.to_string(), bound }
    }

    /// The refusal inside an error of reading, where there is one.
    pub fn of(error: &io::Error) -> Option<&Refusal> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::other(refusal)
    }
}

/// What is left of the bounds of one image, shared by all of its layers over all threads.
#[derive(Debug, Default)]
pub struct Budget {
    /// The bounds.
    pub bounds: Bounds,
    /// Whether the content of each file is hashed, so that copies are found.
    pub contents: bool,
    entries: AtomicU64,
    names: AtomicU64,
    unpacked: AtomicU64,
    read: Arc<AtomicU64>,
}

impl Budget {
    /// Nothing spent yet. `read` counts packed bytes as they are read, for whoever shows progress.
    pub fn new(bounds: Bounds, read: Arc<AtomicU64>) -> Budget {
        Budget { bounds, read, ..Budget::default() }
    }

    /// Whether layers of so many [`crate::image::Census::nodes`] may be put together: one that is
    /// used twice counts twice.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn allow(&self, nodes: u64) -> Result<(), Refusal> {
        let most = self.bounds.entries;
        if nodes > most {
            return Err(Refusal::new(
                "entries",
                format!("the image has over {} files and directories", group_digits(most)),
            ));
        }
        Ok(())
    }

    fn spend(&self, entries: u64, length: u64) -> Result<(), Refusal> {
        self.allow(self.entries.fetch_add(entries, Ordering::Relaxed) + entries)?;
        let most = self.bounds.names;
        if self.names.fetch_add(length, Ordering::Relaxed) + length > most {
            return Err(Refusal::new(
                "names",
                format!("the image has over {} bytes of path names", group_digits(most)),
            ));
        }
        Ok(())
    }

    fn spend_unpacked(&self, bytes: u64) -> Result<(), Refusal> {
        let most = self.bounds.unpacked;
        if self.unpacked.fetch_add(bytes, Ordering::Relaxed) + bytes > most {
            return Err(Refusal::new(
                "unpacked",
                format!("the image has over {} bytes to read", group_digits(most)),
            ));
        }
        Ok(())
    }
}

/// How many entries are spent at once: counters that all cores write to are slow.
const ENTRIES_AT_ONCE: u64 = 64;

/// Spends what the entries of one layer cost.
pub struct Entries<'a> {
    budget: &'a Budget,
    count: u64,
    names: u64,
}

impl<'a> Entries<'a> {
    /// Nothing spent yet.
    pub fn new(budget: &'a Budget) -> Entries<'a> {
        Entries { budget, count: 0, names: 0 }
    }

    /// Counts an entry, and now and then spends what has come together.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn spend(&mut self, entry: &TarEntry) -> Result<(), Refusal> {
        self.count += 1;
        self.names += (entry.path.len() + entry.link.len()) as u64;
        if self.count < ENTRIES_AT_ONCE { Ok(()) } else { self.finish() }
    }

    /// Spends the rest.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn finish(&mut self) -> Result<(), Refusal> {
        let (count, names) = (std::mem::take(&mut self.count), std::mem::take(&mut self.names));
        self.budget.spend(count, names)
    }
}

/// Counts packed bytes on their way into a decoder.
pub struct Packed<'a, R> {
    inner: R,
    budget: &'a Budget,
    count: &'a AtomicU64,
}

impl<'a, R> Packed<'a, R> {
    /// `count` is what [`Unpacked`] compares with.
    pub fn new(inner: R, budget: &'a Budget, count: &'a AtomicU64) -> Packed<'a, R> {
        Packed { inner, budget, count }
    }
}

impl<R: Read> Read for Packed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        self.budget.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Holds what comes out of a decoder to the bounds.
pub struct Unpacked<'a, R> {
    inner: R,
    budget: &'a Budget,
    packed: &'a AtomicU64,
    count: u64,
}

impl<'a, R> Unpacked<'a, R> {
    /// `packed` is what has gone into the decoder.
    pub fn new(inner: R, budget: &'a Budget, packed: &'a AtomicU64) -> Unpacked<'a, R> {
        Unpacked { inner, budget, packed, count: 0 }
    }
}

impl<R: Read> Read for Unpacked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        self.budget.spend_unpacked(read as u64)?;
        let (packed, ratio) = (self.packed.load(Ordering::Relaxed), self.budget.bounds.ratio);
        if self.count > RATIO_FROM && self.count / packed.max(1) > ratio {
            let what = format!("a layer is over {} times as large unpacked as packed", group_digits(ratio));
            return Err(Refusal::new("ratio", what).into());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_raised_by_name_and_never_lowered() {
        let mut bounds = Bounds::default();
        bounds.set("entries=20_000_000").unwrap();
        assert_eq!(bounds.entries, 20_000_000);
        for (text, part) in [
            ("entries", "NAME=NUMBER"),
            ("files=1", "no such bound"),
            ("entries=many", "no whole number"),
            ("entries=-1", "no whole number"),
            ("depth=3", "only be raised"),
        ] {
            let error = bounds.set(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
