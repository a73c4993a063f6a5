//! What earlier runs have learned about layers and images, in files:
//!
//! ```text
//! CACHE/v1/layers/AB/ABCD....json.zst    the files of one layer, by the hex of its diff ID
//! CACHE/v1/seen/AB/ABCD....json.zst      a layer that was not hashed, by image ID and diff ID
//! CACHE/v1/images/AB/ABCD....json.zst    an engine's image without file lists, by its request
//! ```
//!
//! A diff ID is the hash of everything that its entry says, so an entry never goes stale. Only hashed layers get an
//! entry that is valid for every image. A damaged or missing entry is a cache miss. Entries are renamed into place, so
//! concurrent processes do not disturb each other.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::files;
use crate::image::{DiffId, Digest, FileList, Snapshot};
use crate::layer::packed;
use crate::sort;

/// Entries unused for this long are removed.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Maximum bytes of all entries; the least recently used go first.
const MAX_SIZE: u64 = 1 << 30;
/// How often the cache is checked for entries to remove.
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Resolution of the last-used time, so that not every read causes a write.
const TOUCH_EVERY: Duration = Duration::from_secs(3600);
/// The directory for entries in this version's format; other formats use other directories.
const VERSION: &str = "v1";
/// The file whose age tells when the cache was pruned.
const STAMP: &str = "pruned";

/// A directory of what earlier runs have learned.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    most_nodes: u64,
}

impl Cache {
    /// The cache in a directory, which need not exist. `most_nodes` limits what an entry may list.
    pub fn at(directory: &Path, most_nodes: u64) -> Cache {
        Cache { root: directory.join(VERSION), most_nodes }
    }

    /// The files of a layer, if known.
    pub fn layer(&self, diff_id: &DiffId) -> Option<FileList> {
        self.file_list(&self.path("layers", diff_id.hex()), diff_id)
    }

    /// The files of a layer of one image that was read without hashing it.
    pub fn layer_of(&self, image: &Digest, diff_id: &DiffId) -> Option<FileList> {
        self.file_list(&self.seen_path(image, diff_id), diff_id)
    }

    fn file_list(&self, path: &Path, diff_id: &DiffId) -> Option<FileList> {
        let Some(file_list) = packed::unpack(&self.read(path)?, diff_id) else {
            // So that the next run that reads the layer writes the entry again.
            let _ = fs::remove_file(path);
            return None;
        };
        (file_list.nodes() <= self.most_nodes && file_list.size().is_some()).then_some(file_list)
    }

    /// Remembers a layer. Failing to write the cache is no error: nothing depends on it.
    pub fn keep_layer(&self, diff_id: &DiffId, file_list: &FileList) {
        self.keep_file_list(&self.path("layers", diff_id.hex()), diff_id, file_list);
    }

    /// Remembers a layer of one image that was not hashed.
    pub fn keep_layer_of(&self, image: &Digest, diff_id: &DiffId, file_list: &FileList) {
        self.keep_file_list(&self.seen_path(image, diff_id), diff_id, file_list);
    }

    fn keep_file_list(&self, path: &Path, diff_id: &DiffId, file_list: &FileList) {
        if !path.exists()
            && let Ok(content) = packed::pack(diff_id, file_list)
        {
            let _ = self.write(path, &content);
        }
    }

    /// An image that an engine has under an ID, without the file lists of its layers.
    pub fn image(&self, asked: &str) -> Option<Snapshot> {
        let content = self.read(&self.image_path(asked))?;
        let json = packed::decode(&content)?;
        Snapshot::from_json(&json, 0).ok()
    }

    /// Remembers an image by its request: an ID, which is a hash, and a platform.
    pub fn keep_image(&self, asked: &str, snapshot: &Snapshot) {
        let path = self.image_path(asked);
        let bare = snapshot.clone().without_files();
        if let Ok(content) =
            serde_json::to_vec(&bare).map_err(io::Error::from).and_then(|json| packed::encode(&json))
        {
            let _ = self.write(&path, &content);
        }
    }

    fn seen_path(&self, image: &Digest, diff_id: &DiffId) -> PathBuf {
        self.path("seen", Digest::of(format!("{image} {diff_id}").as_bytes()).hex())
    }

    fn image_path(&self, asked: &str) -> PathBuf {
        self.path("images", Digest::of(asked.as_bytes()).hex())
    }

    fn path(&self, kind: &str, hex: &str) -> PathBuf {
        self.root.join(kind).join(&hex[..2]).join(format!("{hex}.json.zst"))
    }

    /// An entry's bytes. Its modification time is when it was last used.
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let metadata = path.symlink_metadata().ok().filter(Metadata::is_file)?;
        let content = files::read(path, packed::MAX_PACKED).ok()?;
        let used = metadata.modified().ok()?;
        if age(used) > TOUCH_EVERY {
            let _ =
                File::options().write(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        }
        Some(content)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let directory = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(directory)?;
        // A half-written entry has another name, and one truncated by a crash fails its checksum.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    }

    /// Removes entries that are too old or exceed the maximum size, at most once a day.
    pub fn prune(&self) {
        let pruned = self.root.join(STAMP).symlink_metadata().and_then(|metadata| metadata.modified());
        if !is_directory(&self.root) || pruned.is_ok_and(|pruned| age(pruned) < PRUNE_EVERY) {
            return;
        }
        // Written first, so that only one of several processes prunes. It replaces whatever is there.
        let _ = self.write(&self.root.join(STAMP), &[]);
        let mut entries = Vec::new();
        for kind in ["layers", "seen", "images"] {
            collect(&self.root.join(kind), 2, &mut entries);
        }
        sort::by_key(&mut entries, |entry| std::cmp::Reverse(entry.used));
        let mut total = 0;
        for entry in entries {
            total += entry.size;
            // Leftovers of a killed process are never used, so they age out.
            if total > MAX_SIZE || age(entry.used) > MAX_AGE {
                let _ = fs::remove_file(&entry.path);
            }
        }
    }
}

struct CacheFile {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// The files below a directory of the cache, never following a link.
fn collect(directory: &Path, depth: usize, found: &mut Vec<CacheFile>) {
    if !is_directory(directory) {
        return;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() && depth > 1 {
            collect(&entry.path(), depth - 1, found);
        } else if metadata.is_file() {
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push(CacheFile { path: entry.path(), size: metadata.len(), used });
        }
    }
}

fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

fn age(time: SystemTime) -> Duration {
    time.elapsed().unwrap_or_default()
}
