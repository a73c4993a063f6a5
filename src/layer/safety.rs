//! What reading an image may cost: safety limits that keep untrusted input from using up memory or time. Each can be
//! raised by name; none can be turned off.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::package_room::{PackageSpending, PackageTally};
use super::tally::Tally;
use crate::image::bytes::group_digits;
use crate::image::digest::Algorithm;
use crate::image::file_list::MAX_NODES;
use crate::image::path::{MAX_DEPTH, MAX_PATH};
use crate::packages::room::{ImageRoom, PackageCost};

/// What an image may cost whatever its compressed length: a file of zeros compresses to almost nothing.
const FREE_INFLATED: u64 = 1 << 30;
const FREE_ENTRIES: u64 = 100_000;
const FREE_NAMES: u64 = 32 << 20;
const FREE_HEADERS: u64 = 32 << 20;
/// What each compressed byte adds to that. The header of an entry takes a dozen compressed bytes or more.
const BYTES_PER_ENTRY: u64 = 8;
const NAMES_PER_BYTE: u64 = 16;
const HEADERS_PER_BYTE: u64 = 32;

/// The safety limits of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyLimits {
    /// Files and directories, including those that paths only imply.
    pub entries: u64,
    /// Bytes of all path names together.
    pub names: u64,
    /// Bytes of one path.
    pub path: u64,
    /// Parts of one path.
    pub depth: u64,
    /// Bytes of one PAX header or GNU long name. Go's reader has the same limit.
    pub header: u64,
    /// Uncompressed bytes for each compressed one, counted after the first GiB of an image.
    pub ratio: u64,
    /// Bytes of layers that are read or decompressed; bytes that are seeked over do not count.
    pub uncompressed: u64,
    /// Entries of an archive that holds an image.
    pub parts: u64,
    /// Indexes inside indexes.
    pub nesting: u64,
    /// Bytes of an image's indexes, manifests and configs.
    pub documents: u64,
}

impl Default for SafetyLimits {
    /// Many times what the largest known images need.
    fn default() -> SafetyLimits {
        SafetyLimits {
            entries: MAX_NODES,
            names: 512 << 20,
            path: MAX_PATH as u64,
            depth: MAX_DEPTH as u64,
            header: 1 << 20,
            ratio: 2000,
            uncompressed: 1 << 40,
            parts: 10_000,
            nesting: 3,
            documents: 64 << 20,
        }
    }
}

/// A safety limit that cannot be set as written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSafetyLimit(String);

impl SafetyLimits {
    /// Sets one safety limit from `NAME=NUMBER`.
    ///
    /// # Errors
    /// [`InvalidSafetyLimit`] for an unknown name, for a value that is not a number, or for one below the default.
    pub fn set(&mut self, text: &str) -> Result<(), InvalidSafetyLimit> {
        let invalid = |why: String| InvalidSafetyLimit(format!("`{text}`: {why}"));
        let (name, number) = text
            .split_once('=')
            .ok_or_else(|| invalid("write NAME=NUMBER, such as entries=20000000".into()))?;
        let default = SafetyLimits::default();
        let lowest = default.clone().named(name.trim()).map(|bound| *bound);
        let lowest = lowest.ok_or_else(|| {
            invalid("no such safety limit; there are entries, names, path, depth, header, ratio, uncompressed, parts, nesting and documents".into())
        })?;
        let number: u64 = number
            .trim()
            .replace(['_', ','], "")
            .parse()
            .map_err(|_| invalid("the value is not a whole number".into()))?;
        if number < lowest {
            return Err(invalid(format!(
                "a safety limit can only be raised, and this one is {lowest} already"
            )));
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
            "uncompressed" => &mut self.uncompressed,
            "parts" => &mut self.parts,
            "nesting" => &mut self.nesting,
            "documents" => &mut self.documents,
            _ => return None,
        })
    }
}

/// A safety limit that an image exceeds, and the name to raise it by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; --safety-limit {bound}=NUMBER raises this limit")]
pub struct Refusal {
    /// What there is too much of.
    pub what: String,
    /// The limit's name.
    pub bound: &'static str,
}

impl Refusal {
    /// Too much of what `bound` limits.
    pub fn new(bound: &'static str, what: impl fmt::Display) -> Refusal {
        Refusal { what: what.to_string(), bound }
    }

    /// The refusal inside a read error, if there is one.
    pub fn of(error: &io::Error) -> Option<&Refusal> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::other(refusal)
    }
}

/// What is left of one image's safety limits, shared by all of its layers across threads.
#[derive(Debug, Default)]
pub struct Budget {
    /// The safety limits.
    pub bounds: SafetyLimits,
    /// Whether the content of each file is hashed, to find duplicates.
    pub contents: bool,
    /// The algorithm for hashing the tars of streamed layers before their diff IDs are known.
    pub diff_ids: Algorithm,
    entries: AtomicU64,
    names: AtomicU64,
    uncompressed: AtomicU64,
    scanned: [AtomicU64; 3],
    pub(super) packages: Arc<PackageSpending>,
    read: Arc<AtomicU64>,
    free: Free,
    /// Of an archive that is itself compressed: layers compressed inside it earn nothing.
    outer: Option<Arc<Account>>,
    in_large: bool,
}

/// How much of the free part has been used.
#[derive(Debug, Default)]
struct Free {
    inflated: AtomicU64,
    entries: AtomicU64,
    names: AtomicU64,
    headers: AtomicU64,
}

/// What one compressed stream has cost. Its length earns a part of that; the rest is drawn from the free part of the
/// whole image, so the order in which layers are read does not matter.
#[derive(Debug, Default)]
pub struct Account {
    packed: AtomicU64,
    inflated: Tally,
    entries: Tally,
    names: Tally,
    headers: Tally,
    packages: PackageTally,
    /// The length assumed for the packages of a layer of unknown compressed length.
    assumed: AtomicU64,
}

impl Account {
    /// Counts compressed bytes.
    pub fn earn(&self, bytes: u64) {
        self.packed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Assumes this length for the layer's packages: an engine's store has its files uncompressed.
    pub(super) fn assume(&self, bytes: u64) {
        self.assumed.fetch_max(bytes, Ordering::Relaxed);
    }

    fn packed(&self) -> u64 {
        self.packed.load(Ordering::Relaxed)
    }

    /// The length that the budget of its packages is based on.
    fn length_for_packages(&self) -> u64 {
        self.packed().max(self.assumed.load(Ordering::Relaxed))
    }
}

/// One layer's share of what the packages of its image may cost.
#[derive(Debug)]
struct LayerRoom {
    image: Arc<PackageSpending>,
    account: Arc<Account>,
}

impl ImageRoom for LayerRoom {
    fn spend(&self, cost: PackageCost) -> bool {
        self.account.packages.spend(&self.image, self.account.length_for_packages(), cost)
    }

    fn left(&self) -> u64 {
        self.account.packages.left(&self.image, self.account.length_for_packages())
    }
}

impl Budget {
    /// Nothing spent yet. `read` counts compressed bytes as they are read, to show progress.
    pub fn new(bounds: SafetyLimits, read: Arc<AtomicU64>) -> Budget {
        Budget { bounds, read, ..Budget::default() }
    }

    /// The account of a layer that is about to be read.
    pub fn account(&self) -> Arc<Account> {
        self.outer.clone().unwrap_or_default()
    }

    /// The account of an archive that is compressed as a whole; everything inside is charged to it. `is_large`: whether
    /// [the archive takes a lot of memory](super::Compression::is_large) while its layers are read.
    pub fn enclose(&mut self, is_large: bool) -> Arc<Account> {
        self.in_large = is_large;
        self.outer.insert(Arc::default()).clone()
    }

    /// Whether the layers are inside an archive that takes a lot of memory itself.
    pub(super) fn is_in_large(&self) -> bool {
        self.in_large
    }

    /// What the packages of a layer may cost, within what those of the image may.
    pub(super) fn package_room(&self, account: &Arc<Account>) -> Box<dyn ImageRoom> {
        Box::new(LayerRoom { image: self.packages.clone(), account: account.clone() })
    }

    /// Whether the image has more packages than are kept.
    pub fn has_too_many_packages(&self) -> bool {
        self.packages.is_over()
    }

    /// Whether layers with this many [`crate::image::FileList::nodes`] in total may be stacked: one that is used twice
    /// counts twice.
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

    /// Whether the platforms of an index may be stacked that have this many nodes in total, in layers of this many
    /// stored bytes. Otherwise a few small layers, combined differently for each platform, would make as much work as
    /// there are combinations.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn allow_together(&self, nodes: u64, stored: u64) -> Result<(), Refusal> {
        if nodes <= self.bounds.entries.saturating_add(stored / BYTES_PER_ENTRY) {
            return Ok(());
        }
        let most = group_digits(self.bounds.entries);
        Err(Refusal::new("entries", format!("its platforms have over {most} files and directories together")))
    }

    /// Counts bytes that were skipped, at least in part, to show progress.
    pub fn pass(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    fn spend(&self, account: &Account, cost: &Cost) -> Result<(), Refusal> {
        self.allow(self.entries.fetch_add(cost.entries, Ordering::Relaxed) + cost.entries)?;
        let most = self.bounds.names;
        if self.names.fetch_add(cost.names, Ordering::Relaxed) + cost.names > most {
            return Err(Refusal::new(
                "names",
                format!("the image has over {} bytes of path names", group_digits(most)),
            ));
        }
        self.spend_dense(account, cost)
    }

    /// Refuses small input that lists more than any real layer of its length. Raising a limit turns this check off for
    /// it.
    fn spend_dense(&self, account: &Account, cost: &Cost) -> Result<(), Refusal> {
        let (default, packed) = (SafetyLimits::default(), account.packed());
        let dense = |bound: &'static str, what: &str| {
            let packed = group_digits(packed);
            Err(Refusal::new(bound, format!("the image has too many {what} for {packed} bytes")))
        };
        let (own, free) = (&self.bounds, &self.free);
        let earned = packed / BYTES_PER_ENTRY;
        let fits = account.entries.spend(cost.entries, earned, &free.entries, FREE_ENTRIES);
        if !fits && own.entries <= default.entries {
            return dense("entries", "files and directories");
        }
        let earned = packed.saturating_mul(NAMES_PER_BYTE);
        let fits = account.names.spend(cost.names, earned, &free.names, FREE_NAMES);
        if !fits && own.names <= default.names {
            return dense("names", "path names");
        }
        let earned = packed.saturating_mul(HEADERS_PER_BYTE);
        let fits = account.headers.spend(cost.headers, earned, &free.headers, FREE_HEADERS);
        if !fits && own.header <= default.header {
            return dense("header", "extension headers");
        }
        Ok(())
    }

    fn spend_inflated(&self, account: &Account, bytes: u64) -> Result<(), Refusal> {
        let ratio = self.bounds.ratio;
        let earned = account.packed().saturating_mul(ratio);
        if account.inflated.spend(bytes, earned, &self.free.inflated, FREE_INFLATED) {
            return Ok(());
        }
        let ratio = group_digits(ratio);
        Err(Refusal::new("ratio", format!("its uncompressed size is over {ratio} times its compressed size")))
    }

    fn spend_uncompressed(&self, bytes: u64) -> Result<(), Refusal> {
        let most = self.bounds.uncompressed;
        if self.uncompressed.fetch_add(bytes, Ordering::Relaxed) + bytes > most {
            return Err(Refusal::new(
                "uncompressed",
                format!("the image has over {} bytes to read", group_digits(most)),
            ));
        }
        Ok(())
    }
}

/// How many entries are charged at once: counters that all cores write to are slow.
const ENTRIES_AT_ONCE: u64 = 64;
const HEADERS_AT_ONCE: u64 = 1 << 20;

/// What entries cost: their number, and the bytes of their names and extension headers.
#[derive(Default)]
struct Cost {
    entries: u64,
    names: u64,
    headers: u64,
}

/// Charges the cost of one layer's entries.
pub struct Entries<'a> {
    budget: &'a Budget,
    account: &'a Account,
    cost: Cost,
}

impl<'a> Entries<'a> {
    /// Nothing spent yet.
    pub fn new(budget: &'a Budget, account: &'a Account) -> Entries<'a> {
        Entries { budget, account, cost: Cost::default() }
    }

    /// Counts an entry whose names and extension headers have this many bytes, and from time to time charges the sum.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn spend(&mut self, names: u64, headers: u64) -> Result<(), Refusal> {
        self.cost.entries += 1;
        self.cost.names += names;
        self.cost.headers += headers;
        let little = self.cost.entries < ENTRIES_AT_ONCE && self.cost.headers < HEADERS_AT_ONCE;
        if little { Ok(()) } else { self.finish() }
    }

    /// Charges the rest.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn finish(&mut self) -> Result<(), Refusal> {
        self.budget.spend(self.account, &std::mem::take(&mut self.cost))
    }
}

/// Why the content of a file is read. Each purpose has its own budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Whether it holds a secret.
    Secret,
    /// Which files only development needs.
    Development,
    /// Which packages are installed.
    Packages,
}

impl Purpose {
    /// Maximum bytes that are read of one layer, and of an image. Real images have a hundredth of that. What the
    /// packages of an image may cost depends on its length, and is charged elsewhere.
    fn most(self) -> (u64, u64) {
        match self {
            Purpose::Secret => (8 << 20, 16 << 20),
            Purpose::Development => (64 << 20, 128 << 20),
            Purpose::Packages => (256 << 20, u64::MAX),
        }
    }
}

/// Charges the content of one layer that is read.
pub struct ScanBudget<'a> {
    budget: &'a Budget,
    spent: [u64; 3],
    /// Whether the image exceeded its budget: what is known of the layer then depends on the others.
    pub cut_short: bool,
}

impl<'a> ScanBudget<'a> {
    /// Nothing spent yet.
    pub fn new(budget: &'a Budget) -> ScanBudget<'a> {
        ScanBudget { budget, spent: [0; 3], cut_short: false }
    }

    /// Spends `bytes`; whether there is room for them. Once a layer is full, everything after that is left out, so that
    /// the findings of a layer are the same wherever it is read.
    pub fn spend(&mut self, purpose: Purpose, bytes: u64) -> bool {
        let (of_layer, of_image) = purpose.most();
        let spent = &mut self.spent[purpose as usize];
        *spent = spent.saturating_add(bytes);
        if *spent > of_layer {
            *spent = u64::MAX;
            return false;
        }
        let all = self.budget.scanned[purpose as usize].fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.cut_short |= all > of_image;
        all <= of_image
    }
}

/// Counts compressed bytes on their way into a decoder.
pub struct PackedReader<'a, R> {
    inner: R,
    budget: &'a Budget,
    account: &'a Account,
}

impl<'a, R> PackedReader<'a, R> {
    /// `account` is the one that [`UnpackedReader`] compares with.
    pub fn new(inner: R, budget: &'a Budget, account: &'a Account) -> PackedReader<'a, R> {
        PackedReader { inner, budget, account }
    }
}

impl<R: Read> Read for PackedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if self.budget.outer.is_none() {
            self.account.earn(read as u64);
        }
        self.budget.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Counts the bytes of a file that holds a compressed archive.
pub struct Enclosing<R> {
    inner: R,
    account: Arc<Account>,
}

impl<R> Enclosing<R> {
    /// The account is that of [`Budget::enclose`].
    pub fn new(inner: R, account: Arc<Account>) -> Enclosing<R> {
        Enclosing { inner, account }
    }
}

impl<R: Read> Read for Enclosing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.account.earn(read as u64);
        Ok(read)
    }
}

/// Holds the output of a decoder to the safety limits.
pub struct UnpackedReader<'a, R> {
    inner: R,
    budget: &'a Budget,
    account: &'a Account,
    /// Whether there is a decoder, not just a plain tar.
    inflated: bool,
}

impl<'a, R> UnpackedReader<'a, R> {
    /// `account` counts the bytes that went into the decoder.
    pub fn new(inner: R, budget: &'a Budget, account: &'a Account, inflated: bool) -> UnpackedReader<'a, R> {
        UnpackedReader { inner, budget, account, inflated }
    }
}

impl<R: Read> Read for UnpackedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.budget.spend_uncompressed(read as u64)?;
        if self.inflated {
            self.budget.spend_inflated(self.account, read as u64)?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::made;

    #[test]
    fn bounds_are_raised_by_name_and_never_lowered() {
        let mut bounds = SafetyLimits::default();
        bounds.set("entries=20_000_000").unwrap();
        assert_eq!(bounds.entries, 20_000_000);
        for (text, part) in [
            ("entries", "NAME=NUMBER"),
            ("files=1", "no such safety limit"),
            ("entries=many", "not a whole number"),
            ("entries=-1", "not a whole number"),
            ("depth=3", "only be raised"),
        ] {
            let error = bounds.set(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        zstd::encode_all(made::tar_of(files).as_slice(), 1).unwrap()
    }

    /// The entries of a layer that hold a secret, or `None` if they were not looked for.
    fn secrets(blob: &[u8], budget: &Budget) -> Option<Vec<u32>> {
        let file_list =
            crate::layer::walk_stream(blob, budget, crate::layer::Hashing::default()).unwrap().file_list;
        file_list.marks.as_ref().map(|marks| marks.iter().map(crate::image::Mark::entry).collect())
    }

    #[test]
    fn a_layer_is_looked_into_as_far_as_it_has_room_wherever_it_is_read() {
        let env = |count: usize, content: Vec<u8>| {
            (0..count).map(|at| (format!("{at}/.env"), content.clone())).collect()
        };
        let secret = b"API_TOKEN=0a1b2c3d4e5f60718293\n".to_vec();
        let (of_layer, _) = Purpose::Secret.most();
        let full = (of_layer >> 16) as usize;
        for (before, found) in [(0, vec![0]), (full - 1, vec![full as u32 - 1]), (full, vec![])] {
            let mut files: Vec<_> = env(before, vec![b'x'; 1 << 16]);
            files.push(("last/.env".into(), secret.clone()));
            let (plain, packed) = (made::tar_of(&files), packed(&files));
            assert_eq!(secrets(&plain, &Budget::default()), Some(found.clone()), "{before}");
            assert_eq!(secrets(&packed, &Budget::default()), Some(found), "{before}");
        }
    }

    #[test]
    fn an_image_of_many_layers_is_looked_into_no_further_than_a_large_one() {
        let (of_layer, of_image) = Purpose::Secret.most();
        let content = vec![b'x'; 1 << 16];
        let files: Vec<_> = (0..of_layer >> 16).map(|at| (format!("{at}/k.pem"), content.clone())).collect();
        let (blob, budget) = (packed(&files), Budget::default());
        for _ in 0..of_image / of_layer {
            assert_eq!(secrets(&blob, &budget), Some(Vec::new()));
        }
        // Not looked for is not the same as none.
        assert_eq!(secrets(&blob, &budget), None);
    }

    #[test]
    fn each_purpose_has_room_of_its_own() {
        let budget = Budget::default();
        let mut scan = ScanBudget::new(&budget);
        for purpose in [Purpose::Secret, Purpose::Development, Purpose::Packages] {
            let (of_layer, _) = purpose.most();
            assert!(scan.spend(purpose, of_layer), "{purpose:?}");
            // Once one file is left out, all later ones are, however small.
            assert!(!scan.spend(purpose, 1) && !scan.spend(purpose, 0), "{purpose:?}");
        }
        assert!(!scan.cut_short);
    }

    /// How many entries with such names and headers fit a layer of this compressed length, and which limit ends it.
    fn entries_of(
        bounds: SafetyLimits,
        packed: u64,
        (names, headers): (u64, u64),
    ) -> (u64, Option<&'static str>) {
        let budget = Budget::new(bounds, Arc::default());
        let account = budget.account();
        account.earn(packed);
        let mut entries = Entries::new(&budget, &account);
        let most = 2_000_000;
        for count in 0..most {
            if let Err(refusal) = entries.spend(names, headers) {
                return (count, Some(refusal.bound));
            }
        }
        (most, None)
    }

    #[test]
    fn small_input_lists_no_more_than_a_real_layer_of_its_length() {
        let mib = 1 << 20;
        let of = |entry: (u64, u64), packed| entries_of(SafetyLimits::default(), packed, entry);
        let (count, bound) = of((10, 0), mib);
        assert_eq!(bound, Some("entries"));
        assert!((231_000..232_000).contains(&count), "{count}");
        let (count, bound) = of((4000, 0), mib);
        assert_eq!(bound, Some("names"));
        assert!(count < 13_000, "{count}");
        let (count, bound) = of((100, 1 << 20), mib);
        assert_eq!(bound, Some("header"));
        assert!(count <= 64, "{count}");
        // Each has a dozen compressed bytes, and a name of a hundred.
        assert_eq!(of((100, 100), 12 * 2_000_000), (2_000_000, None));
        let mut raised = SafetyLimits::default();
        raised.set("entries=5000001").unwrap();
        assert_eq!(entries_of(raised, mib, (10, 0)), (2_000_000, None));
    }

    /// All layers share the free part, and each layer keeps what it earns: so the order does not matter.
    #[test]
    fn layers_share_what_is_free() {
        let inflate = |budget: &Budget, layers: &[(u64, u64)]| {
            layers.iter().try_for_each(|(packed, inflated)| {
                let account = budget.account();
                account.earn(*packed);
                budget.spend_inflated(&account, *inflated)
            })
        };
        let (mib, gib) = (1 << 20, 1 << 30);
        let fits = |layers: &[(u64, u64)]| inflate(&Budget::default(), layers).is_ok();
        assert!(fits(&[(mib, 2000 * mib), (1, gib)]) && fits(&[(1, gib), (mib, 2000 * mib)]));
        assert!(!fits(&[(1, gib), (1, mib)]) && !fits(&[(mib, 2000 * mib + gib / 2 + mib), (1, gib / 2)]));
        assert!(!fits(&[(1, 100 * mib); 11]));
        // In an archive that is itself compressed, only its own length counts.
        let mut nested = Budget::default();
        nested.enclose(false).earn(1);
        assert!(inflate(&nested, &[(0, gib)]).is_ok() && inflate(&nested, &[(0, mib)]).is_err());
    }
}
