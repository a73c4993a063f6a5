//! What the packages of one image may cost, over all of its layers. Packages only explain sizes, so an image with too
//! many is not refused: it is measured without any. All of them are left out, because which ones come last depends on
//! the order in which layers are read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::tally::Tally;
use crate::image::file_list::{BYTES_PER_PACKAGE, MAX_PACKAGES};
use crate::packages::room::PackageCost;

/// What an image may cost whatever its compressed length.
const FREE_MEMORY: u64 = 16 << 20;
const FREE_WORK: u64 = 64 << 20;
/// What each compressed byte adds: file lists compress to a tenth, and the packages' files are compressed with them.
const MEMORY_PER_BYTE: u64 = 32;
const WORK_PER_BYTE: u64 = 64;

/// What the packages of one image have cost.
#[derive(Debug, Default)]
pub struct PackageSpending {
    free_declared: AtomicU64,
    free_memory: AtomicU64,
    free_work: AtomicU64,
    is_over: AtomicBool,
}

impl PackageSpending {
    /// Whether the image has more packages than are kept.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// What the packages of one compressed stream have cost.
#[derive(Debug, Default)]
pub(super) struct PackageTally {
    declared: Tally,
    memory: Tally,
    work: Tally,
}

impl PackageTally {
    /// Spends a cost in a stream of this length; whether the image still has room for packages.
    pub fn spend(&self, image: &PackageSpending, length: u64, cost: PackageCost) -> bool {
        if image.is_over() {
            return false;
        }
        let earned = length / BYTES_PER_PACKAGE;
        let declared = self.declared.spend(cost.declared, earned, &image.free_declared, MAX_PACKAGES as u64);
        let earned = length.saturating_mul(MEMORY_PER_BYTE);
        let memory = self.memory.spend(cost.memory, earned, &image.free_memory, FREE_MEMORY);
        let earned = length.saturating_mul(WORK_PER_BYTE);
        let work = self.work.spend(cost.work, earned, &image.free_work, FREE_WORK);
        if !declared || !memory || !work {
            image.is_over.store(true, Ordering::Relaxed);
        }
        !image.is_over()
    }

    /// How much work is left.
    pub fn left(&self, image: &PackageSpending, length: u64) -> u64 {
        self.work.left(length.saturating_mul(WORK_PER_BYTE), &image.free_work, FREE_WORK)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::image::FileList;
    use crate::layer::{Budget, Hashing, made, walk_stream};

    /// A compressed layer of files.
    fn layer(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        zstd::encode_all(made::tar_of(files).as_slice(), 1).unwrap()
    }

    fn apk(names: std::ops::Range<u32>) -> Vec<u8> {
        let records = names.map(|name| format!("P:a{name}\nV:1\nF:u\nR:x\n\n")).collect::<String>();
        layer(&[("lib/apk/db/installed".into(), records.into_bytes())])
    }

    fn walk(blob: &[u8], budget: &Budget) -> Arc<FileList> {
        walk_stream(blob, budget, Hashing::default()).unwrap().file_list
    }

    #[test]
    fn whether_an_image_has_too_many_packages_does_not_depend_on_the_order_of_its_layers() {
        let (one, other, small) = (apk(0..15_000), apk(15_000..30_000), apk(0..3));
        for order in [[&one, &other, &small], [&small, &one, &other], [&other, &small, &one]] {
            let budget = Budget::default();
            let lists = order.map(|blob| walk(blob, &budget));
            assert!(budget.has_too_many_packages());
            // At least the last one is cut short, says so, and is not cached for other images.
            let [.., last] = &lists;
            assert!(last.packages.is_empty() && last.packages_left_out && !last.is_complete());
            assert_eq!(last.unread.iter().map(|database| database.entry).collect::<Vec<_>>(), [0]);
        }
        for order in [[&one, &small], [&small, &one]] {
            let budget = Budget::default();
            let lists = order.map(|blob| walk(blob, &budget));
            assert!(!budget.has_too_many_packages() && lists.iter().all(|list| list.is_complete()));
            assert_eq!(lists.iter().map(|list| list.packages.len()).sum::<usize>(), 15_003);
        }
    }

    /// Whatever a layer tries, and however many layers there are, spending stops soon after the free part is used up.
    #[test]
    fn the_work_for_a_small_image_has_an_end() {
        let json = |start: &str, unit: &str, count: usize, end: &str| {
            format!("{start}{}{end}", vec![unit; count].join(",")).into_bytes()
        };
        let archive = [&b"PK\x03\x04"[..], &[0; 26]].concat().repeat(300_000);
        let long = format!("P:a\nV:1\nF:{}\n{}\n", "a/../".repeat(700), "R:x\n".repeat(50_000));
        let of_one = |path: &str, content: Vec<u8>| layer(&[(path.into(), content)]);
        for (kind, blob) in [
            ("packages", apk(0..40_000)),
            (
                "packages of one name",
                of_one("lib/apk/db/installed", b"P:a\nV:1\nF:u\nR:x\n\n".repeat(100_000)),
            ),
            ("entries of archives", of_one("a.jar", [archive, b"PK\x05\x06".to_vec(), vec![0; 18]].concat())),
            (
                "targets of .NET",
                of_one(
                    "a.deps.json",
                    json(r#"{"targets":{"t":{"#, r#""a/1":{}"#, 300_000, r#"}},"libraries":{}}"#),
                ),
            ),
            (
                "files of conda",
                of_one(
                    "c/conda-meta/a-1-0.json",
                    json(r#"{"name":"a","version":"1","files":["#, r#""a""#, 600_000, "]}"),
                ),
            ),
            ("long ways", of_one("lib/apk/db/installed", long.into_bytes())),
            ("databases of zeros", of_one("var/lib/rpm/rpmdb.sqlite", vec![0; 24 << 20])),
        ] {
            let budget = Budget::default();
            let packed = 12 * blob.len() as u64;
            for _ in 0..12 {
                walk(&blob, &budget);
            }
            assert!(budget.has_too_many_packages(), "{kind}");
            let spent = |of: &AtomicU64| of.load(Ordering::Relaxed);
            let (memory, work) = (spent(&budget.packages.free_memory), spent(&budget.packages.free_work));
            // The excess is counted, but its work was not done.
            assert!(
                memory <= FREE_MEMORY + (100 << 20) && packed * MEMORY_PER_BYTE < 64 << 20,
                "{kind}: {memory}"
            );
            assert!(work <= FREE_WORK + (24 << 20) || work > 1 << 49, "{kind}: {work}");
        }
    }
}
