//! The embedded store: a directory.
//!
//! ```text
//! DIR/records/COMMIT/IMAGE/PLATFORM.json    a snapshot without file lists
//! DIR/file-lists/AB/ABCD....json.zst          the files of one layer, by the hex of its diff ID
//! DIR/pruned/IMAGE                          how many commits of an image were removed because they were old
//! ```
//!
//! A file list is stored once for each diff ID, so an unchanged layer costs nothing. Every file is written beside its
//! destination, synced and renamed into place: a reader sees the old file or the new one, even after a crash. Processes
//! need no lock, since none changes another's file in place.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::record::{
    ListedBaseline, Overview, RecordOutcome, RecordedHistory, StoreError, Written, is_same, replaceable,
};
use crate::compare::baseline::HistoryPoint;
use crate::files;
use crate::fleet::Summary;
use crate::image::file_list::MAX_NODES;
use crate::image::platform::platform_key;
use crate::image::{DiffId, Digest, FileList, Platform, Snapshot, Time};
use crate::layer::packed;
use crate::sort;

/// The directory of baselines without a commit.
const NO_COMMIT: &str = "no-commit";
/// The largest baseline that is read, without file lists.
const MAX_RECORD: u64 = 64 << 20;
/// A younger file may belong to a process that is still at work, and is not removed.
const AT_WORK: Duration = Duration::from_secs(24 * 3600);

/// A directory of recorded snapshots.
#[derive(Debug, Clone)]
pub struct DirStore {
    root: PathBuf,
    is_in_checkout: bool,
}

impl DirStore {
    /// The store in a directory, which need not exist.
    pub fn at(root: PathBuf) -> DirStore {
        DirStore { root, is_in_checkout: false }
    }

    /// The same for a directory in a checkout: git is told to ignore it, and its file lists are never taken for an
    /// image's layers.
    pub fn in_checkout(self) -> DirStore {
        DirStore { is_in_checkout: true, ..self }
    }

    /// Whether it is in a checkout.
    pub fn is_in_checkout(&self) -> bool {
        self.is_in_checkout
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Stores snapshots, each for its commit. If `keep` is given, only that many newest commits are kept of each image.
    ///
    /// # Errors
    /// [`StoreError`]; the baseline concerned is then unchanged.
    pub fn put_all(&self, snapshots: &[Snapshot], keep: Option<NonZeroUsize>) -> Result<Written, StoreError> {
        let ignored = self.root.join(".gitignore");
        if self.is_in_checkout && !ignored.exists() {
            write_atomically(&ignored, b"*\n")?;
        }
        let stored = snapshots.iter().map(|snapshot| self.put(snapshot)).collect::<Result<_, _>>()?;
        let pruned = keep.map_or(Ok(()), |keep| {
            snapshots.iter().try_for_each(|snapshot| {
                let own = snapshot.commit.as_ref().map(|commit| commit.sha.as_str());
                self.prune(&snapshot.image.name, own, keep.get())
            })?;
            self.sweep()
        });
        Ok(Written { stored, not_pruned: pruned.err(), not_attached: None })
    }

    /// Stores a snapshot, file lists first, so that a baseline never lacks one.
    fn put(&self, snapshot: &Snapshot) -> Result<RecordOutcome, StoreError> {
        for layer in &snapshot.layers {
            if let Some(file_list) = &layer.file_list {
                self.put_file_list(&layer.diff_id, file_list)?;
            }
        }
        let bare = snapshot.clone().without_files();
        let commit = snapshot.commit.as_ref().map(|commit| commit.sha.as_str());
        let path = self.record_path(commit, &snapshot.image.name, snapshot.image.platform.as_ref());
        let json = read(&path, MAX_RECORD).ok().flatten();
        if let Some(json) = json
            && let Some(existing) = replaceable(parsed(&path, &json))?
            && is_same(&existing, &bare)
            // The existing file must not contain what is no longer stored either, such as secrets in instructions.
            && json == written(&existing)?
        {
            return Ok(RecordOutcome::Unchanged);
        }
        write_atomically(&path, &written(&bare)?)?;
        Ok(RecordOutcome::Recorded)
    }

    /// The baselines of an image for a commit, one for each platform, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be read.
    pub fn records(&self, image: &str, commit: Option<&str>) -> Result<Vec<ListedBaseline>, StoreError> {
        let listed = |path: PathBuf| {
            let platform = name_of_file(path.file_name()?.to_str()?.strip_suffix(".json")?)?;
            Some(ListedBaseline {
                commit: commit.map(str::to_owned),
                platform,
                at: path.to_str()?.to_owned(),
            })
        };
        Ok(listing(&self.record_directory(commit, image))?.into_iter().filter_map(listed).collect())
    }

    /// A baseline, without file lists.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be used.
    pub fn load(&self, listed: &ListedBaseline) -> Result<Snapshot, StoreError> {
        let path = Path::new(&listed.at);
        record(path)?.ok_or_else(|| StoreError::Lost { place: listed.at.clone() })
    }

    /// Everything recorded for a commit, with the files of its layers.
    ///
    /// # Errors
    /// [`StoreError`] if a baseline cannot be used.
    pub fn of_commit(&self, commit: Option<&str>) -> Result<Vec<Snapshot>, StoreError> {
        let directory = self.root.join("records").join(commit.map_or_else(|| NO_COMMIT.into(), file_name));
        let paths = below(&directory, 2)?;
        let is_record = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let mut snapshots = Vec::new();
        for path in paths.into_iter().filter(is_record) {
            let Some(mut snapshot) = record(&path)? else { continue };
            for layer in &mut snapshot.layers {
                let file_list = self.file_list(&layer.diff_id).map(std::sync::Arc::new);
                layer.file_list = file_list.filter(|file_list| file_list.size() == layer.size);
            }
            snapshots.push(snapshot);
        }
        Ok(snapshots)
    }

    /// What is stored of an image.
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be read.
    pub fn overview(&self, image: &str) -> Result<Overview, StoreError> {
        let mut overview = Overview::default();
        for listed in self.all(image)? {
            overview.commits += usize::from(!listed.is_empty());
            overview.platforms.extend(listed.into_iter().map(|listed| listed.platform));
        }
        overview.pruned = self.pruned(image)?;
        Ok(overview)
    }

    /// The sizes of an image, oldest commit first, without baselines that cannot be used.
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be read.
    pub fn history(&self, image: &str) -> Result<RecordedHistory, StoreError> {
        let (mut points, mut unread) = (Vec::new(), Vec::new());
        for listed in self.all(image)?.into_iter().flatten() {
            let snapshot = match self.load(&listed) {
                Err(error @ (StoreError::Record { .. } | StoreError::Lost { .. })) => {
                    unread.push(error);
                    continue;
                }
                loaded => loaded?,
            };
            let age = age(&listed, Some(&snapshot));
            let (commit, time) = snapshot.commit.map(|commit| (commit.sha, commit.time)).unzip();
            let point = HistoryPoint {
                commit,
                time: time.flatten(),
                platform: listed.platform,
                totals: snapshot.totals,
                update: snapshot.update,
            };
            points.push((age, point));
        }
        sort::by_key(&mut points, |(age, _)| *age);
        Ok(RecordedHistory { points: points.into_iter().map(|(_, point)| point).collect(), unread })
    }

    /// A summary of all images. A baseline that cannot be used is left out and reported.
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be read.
    pub fn summary(&self) -> Result<(Summary, Vec<StoreError>), StoreError> {
        let (mut snapshots, mut unread) = (Vec::new(), Vec::new());
        for path in below(&self.root.join("records"), 3)? {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match record(&path) {
                Ok(Some(snapshot)) => snapshots.push(snapshot),
                Ok(None) => {}
                Err(error @ StoreError::Record { .. }) => unread.push(error),
                Err(error) => return Err(error),
            }
        }
        sort::by_key(&mut snapshots, |snapshot| {
            let recorded = snapshot.recorded.as_ref().map(|recorded| recorded.time);
            (snapshot.commit.as_ref().and_then(|commit| commit.time).or(recorded), recorded)
        });
        let mut summary = Summary::new();
        snapshots.iter().for_each(|snapshot| summary.put_snapshot(snapshot));
        Ok((summary, unread))
    }

    /// The baselines of an image, by commit.
    fn all(&self, image: &str) -> Result<Vec<Vec<ListedBaseline>>, StoreError> {
        let commit = |path: PathBuf| name_of_file(path.file_name()?.to_str()?);
        let commits = listing(&self.root.join("records"))?.into_iter().filter_map(commit);
        commits
            .map(|commit| {
                self.records(image, Some(&commit).filter(|of| *of != NO_COMMIT).map(String::as_str))
            })
            .collect()
    }

    /// Removes the baselines of all but the newest commits; the one just recorded counts as newest.
    fn prune(&self, image: &str, own: Option<&str>, keep: usize) -> Result<(), StoreError> {
        let mut records = self.all(image)?;
        records.retain(|listed| !listed.is_empty());
        if records.len() <= keep {
            return Ok(());
        }
        sort::by_key(&mut records, |records| {
            let newest = records.iter().map(|listed| age(listed, self.load(listed).ok().as_ref())).max();
            let is_own = records.iter().any(|listed| listed.commit.as_deref() == own);
            std::cmp::Reverse((is_own, newest))
        });
        let old = records.split_off(keep);
        for listed in old.iter().flatten() {
            remove(Path::new(&listed.at))?;
            // Removes them only if they are empty.
            let directories = Path::new(&listed.at).ancestors().skip(1).take(2);
            directories.for_each(|directory| drop(fs::remove_dir(directory)));
        }
        let pruned = self.pruned(image)?.saturating_add(old.len() as u64);
        write_atomically(&self.pruned_path(image), pruned.to_string().as_bytes())
    }

    /// How many commits of an image were removed; approximate if several processes remove some at once.
    fn pruned(&self, image: &str) -> Result<u64, StoreError> {
        let count = read(&self.pruned_path(image), 100)?;
        Ok(count.and_then(|count| String::from_utf8(count).ok()?.trim().parse().ok()).unwrap_or_default())
    }

    fn pruned_path(&self, image: &str) -> PathBuf {
        self.root.join("pruned").join(image_name(image))
    }

    /// Removes file lists that no baseline uses any more, and leftovers of killed processes. If a baseline cannot be
    /// read, nothing is removed, because its file lists are unknown.
    fn sweep(&self) -> Result<(), StoreError> {
        let mut needed = HashSet::new();
        let (records, left) = below(&self.root.join("records"), 3)?
            .into_iter()
            .partition::<Vec<_>, _>(|path| path.extension().is_some_and(|extension| extension == "json"));
        for path in records {
            match record(&path) {
                Ok(Some(record)) => {
                    needed.extend(record.layers.into_iter().map(|layer| self.file_list_path(&layer.diff_id)));
                }
                Ok(None) => {}
                Err(StoreError::Record { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let file_lists = below(&self.root.join("file-lists"), 2)?;
        let unneeded = file_lists.into_iter().filter(|path| !needed.contains(path));
        let left_of_counts = below(&self.root.join("pruned"), 1)?;
        let left = left.into_iter().chain(left_of_counts.into_iter().filter(|path| is_temporary(path)));
        let idle = |path: &PathBuf| modified(path).elapsed().is_ok_and(|age| age > AT_WORK);
        unneeded.chain(left).filter(idle).try_for_each(|path| remove(&path))
    }

    /// The stored files of a layer; `None` if they are missing or cannot be used.
    pub fn file_list(&self, diff_id: &DiffId) -> Option<FileList> {
        packed::unpack(&read(&self.file_list_path(diff_id), packed::MAX_PACKED).ok()??, diff_id)
    }

    fn put_file_list(&self, diff_id: &DiffId, file_list: &FileList) -> Result<(), StoreError> {
        let path = self.file_list_path(diff_id);
        // A damaged list is written again, and so is one of an earlier version that says less.
        if self.file_list(diff_id).is_some_and(|stored| stored.is_complete() || !file_list.is_complete()) {
            // Makes the file young, so that nobody removes a list that is about to be used.
            let file = fs::File::options().append(true).open(&path);
            let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
            return Ok(());
        }
        let packed = packed::pack(diff_id, file_list).map_err(|error| StoreError::Io {
            operation: "pack",
            path: path.clone(),
            error,
        })?;
        write_atomically(&path, &packed)
    }

    fn record_path(&self, commit: Option<&str>, image: &str, platform: Option<&Platform>) -> PathBuf {
        let platform = file_name(&platform_key(platform));
        self.record_directory(commit, image).join(format!("{platform}.json"))
    }

    fn record_directory(&self, commit: Option<&str>, image: &str) -> PathBuf {
        let commit = commit.map_or_else(|| NO_COMMIT.into(), file_name);
        self.root.join("records").join(commit).join(image_name(image))
    }

    fn file_list_path(&self, diff_id: &DiffId) -> PathBuf {
        let hex = diff_id.hex();
        self.root.join("file-lists").join(&hex[..2]).join(format!("{hex}.json.zst"))
    }
}

/// A name as one part of a path, on every system and reversibly: anything but lower-case letters, digits and `._-` is
/// written as its bytes in hex, because some file systems do not distinguish `App` from `app`.
pub(super) fn file_name(name: &str) -> String {
    let safe = |byte: u8, first: bool| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || b"_-".contains(&byte)
            || (byte == b'.' && !first)
    };
    let encode = |(index, byte): (usize, u8)| {
        if safe(byte, index == 0) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    };
    name.bytes().enumerate().map(encode).collect()
}

/// An image's name as a part of a path. Systems allow at most 255 bytes.
fn image_name(image: &str) -> String {
    let name = file_name(image);
    if name.len() <= 200 { name } else { format!("%%{}", Digest::of(image.as_bytes()).hex()) }
}

/// The inverse of [`file_name`].
pub(super) fn name_of_file(file: &str) -> Option<String> {
    let mut parts = file.split('%');
    let mut name = parts.next()?.as_bytes().to_vec();
    for part in parts {
        name.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        name.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(name).ok().filter(|name| file_name(name) == file)
}

/// The content of a directory, sorted by name; empty if it does not exist.
fn listing(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths: Vec<PathBuf> = match fs::read_dir(directory) {
        // Symlinks are skipped: one may lead anywhere, and a store has none.
        Ok(entries) => entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
            .map(|entry| entry.path())
            .collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Vec::new()
        }
        Err(error) => return Err(StoreError::Io { operation: "read", path: directory.into(), error }),
    };
    paths.sort();
    Ok(paths)
}

/// The files a number of levels below a directory.
fn below(directory: &Path, levels: usize) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = vec![directory.to_path_buf()];
    for _ in 0..levels {
        paths = paths.iter().map(|path| listing(path)).collect::<Result<Vec<_>, _>>()?.concat();
    }
    Ok(paths)
}

/// Whether it is a temporary file of [`write_atomically`].
fn is_temporary(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(".tmp"))
}

/// The order of baselines: when their commit was made, in seconds, else when they were written.
fn age(listed: &ListedBaseline, snapshot: Option<&Snapshot>) -> (i64, SystemTime) {
    let written = modified(Path::new(&listed.at));
    let seconds = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let committed = snapshot.and_then(|snapshot| snapshot.commit.as_ref()?.time);
    (committed.map_or(i64::try_from(seconds).unwrap_or(i64::MAX), Time::seconds), written)
}

/// A baseline, as it is written.
fn written(record: &Snapshot) -> Result<Vec<u8>, StoreError> {
    let mut json = serde_json::to_vec_pretty(record)?;
    json.push(b'\n');
    Ok(json)
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Io { operation: "remove", path: path.into(), error })
        }
        _ => Ok(()),
    }
}

fn record(path: &Path) -> Result<Option<Snapshot>, StoreError> {
    read(path, MAX_RECORD)?.map(|json| parsed(path, &json)).transpose()
}

fn parsed(path: &Path, json: &[u8]) -> Result<Snapshot, StoreError> {
    let unusable = |error| StoreError::Record { place: path.display().to_string(), error };
    Snapshot::from_json(json, MAX_NODES).map_err(unusable)
}

fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |error| StoreError::Io { operation: "read", path: path.into(), error };
    // Anything but a regular file may never end, or not even begin.
    let file = match files::open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut content = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, most + 1), &mut content).map_err(failed)?;
    if content.len() as u64 > most {
        return Err(failed(io::Error::other(format!("it has over {most} bytes"))));
    }
    Ok(Some(content))
}

/// Writes a file atomically: it is there completely or not at all.
fn write_atomically(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let failed = |error| StoreError::Io { operation: "write", path: path.into(), error };
    let directory = path.parent().unwrap_or(Path::new("."));
    create_directories(directory).map_err(failed)?;
    let mut file = match tempfile::NamedTempFile::new_in(directory) {
        // Another process may just have removed the directory, because it was empty.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_directories(directory).map_err(failed)?;
            tempfile::NamedTempFile::new_in(directory)
        }
        file => file,
    }
    .map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    share_readably(file.as_file()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    sync_directory(directory).map_err(failed)
}

/// Makes a directory and its parents, each synced to the disk.
fn create_directories(directory: &Path) -> io::Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(Path::new(""));
    create_directories(parent)?;
    match fs::create_dir(directory) {
        // Another process was faster; it syncs the directory too.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        made => made.and_then(|()| {
            sync_directory(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
        }),
    }
}

/// A renamed file is on the disk only once its directory is.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Temporary files are readable by their owner only, but others may read a store.
#[cfg(unix)]
fn share_readably(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share_readably(_: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_directory() {
        for (name, safe) in [
            ("api", "api"),
            ("linux/amd64", "linux%2famd64"),
            ("..", "%2e."),
            ("App", "%41pp"),
            ("../../etc", "%2e.%2f..%2fetc"),
            ("a b\n%", "a%20b%0a%25"),
            ("é", "%c3%a9"),
        ] {
            assert_eq!(file_name(name), safe);
            assert_eq!(name_of_file(safe).as_deref(), Some(name));
        }
        for other in ["%", "%2", "%zz", "%41pp%", "A", ".new"] {
            assert_eq!(name_of_file(other), None, "{other}");
        }
    }
}
