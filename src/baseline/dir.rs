//! The embedded store: a directory.
//!
//! ```text
//! DIR/records/COMMIT/IMAGE/PLATFORM.json    a snapshot without censuses
//! DIR/censuses/AB/ABCD....json.zst          the files of one layer, by the hex of its diff ID
//! ```
//!
//! A census is stored once for each diff ID, so an unchanged layer costs nothing. Every file is
//! written beside its place and renamed into it: a reader sees the old file or the new one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::image::census::MAX_NODES;
use crate::image::schema::SchemaError;
use crate::image::snapshot::SnapshotError;
use crate::image::{Census, DiffId, Platform, Snapshot};
use crate::layer::packed;

/// The directory of records that belong to no commit.
const NO_COMMIT: &str = "no-commit";
/// The largest record that is read; it has no censuses in it.
const MAX_RECORD: u64 = 64 << 20;

/// A store that cannot be used, or one thing in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A store that layergate does not have.
    #[error("--store {0}: unknown kind of store; write dir:PATH")]
    UnknownKind(String),
    /// A file of the store cannot be used.
    #[error("baseline store: cannot {operation} {}: {error}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A record that is not a snapshot that this version can use.
    #[error("baseline store: {}: {error}{}", path.display(), if matches!(error, SnapshotError::Schema(SchemaError::Newer { .. })) { "" } else { "; record the baseline again" })]
    Record {
        /// The record's file.
        path: PathBuf,
        /// What is wrong with it.
        error: SnapshotError,
    },
    /// A snapshot that cannot be written down.
    #[error("baseline store: cannot write a document: {0}")]
    Encode(#[from] serde_json::Error),
}

/// A directory of recorded snapshots.
#[derive(Debug, Clone)]
pub struct DirStore {
    root: PathBuf,
}

impl DirStore {
    /// Reads `dir:PATH`.
    ///
    /// # Errors
    /// [`StoreError::UnknownKind`].
    pub fn parse(text: &str) -> Result<DirStore, StoreError> {
        match text.split_once(':') {
            Some(("dir", path)) if !path.is_empty() => Ok(DirStore { root: path.into() }),
            _ => Err(StoreError::UnknownKind(text.to_owned())),
        }
    }

    /// Stores a snapshot for its commit, censuses first, so that a record never lacks one.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then as it was before.
    pub fn put(&self, snapshot: &Snapshot) -> Result<PathBuf, StoreError> {
        for layer in &snapshot.layers {
            if let Some(census) = &layer.census {
                self.put_census(&layer.diff_id, census)?;
            }
        }
        let mut record = snapshot.clone();
        record.layers.iter_mut().for_each(|layer| layer.census = None);
        let commit = snapshot.commit.as_ref().map(|commit| commit.sha.as_str());
        let path = self.record_path(commit, &snapshot.image.name, snapshot.image.platform.as_ref());
        let mut json = serde_json::to_vec_pretty(&record)?;
        json.push(b'\n');
        write_atomically(&path, &json)?;
        Ok(path)
    }

    /// The record of an image for a commit, without censuses; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError`] where there is one that cannot be used.
    pub fn get(
        &self,
        commit: Option<&str>,
        image: &str,
        platform: Option<&Platform>,
    ) -> Result<Option<Snapshot>, StoreError> {
        record(&self.record_path(commit, image, platform))
    }

    /// The records of an image for a commit, one for each platform, in the order of their files' names.
    ///
    /// # Errors
    /// [`StoreError`] where there is one that cannot be used.
    pub fn all(&self, commit: &str, image: &str) -> Result<Vec<Snapshot>, StoreError> {
        let directory = self.record_directory(Some(commit), image);
        let mut paths: Vec<PathBuf> = match fs::read_dir(&directory) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::Io { operation: "read", path: directory, error }),
        };
        // What another process is just writing has no such name yet.
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.sort();
        paths.iter().filter_map(|path| record(path).transpose()).collect()
    }

    /// The stored files of a layer; `None` where they are not there or cannot be used.
    pub fn census(&self, diff_id: &DiffId) -> Option<Census> {
        packed::unpack(io::BufReader::new(fs::File::open(self.census_path(diff_id)).ok()?), diff_id)
    }

    fn put_census(&self, diff_id: &DiffId, census: &Census) -> Result<(), StoreError> {
        let path = self.census_path(diff_id);
        // One that is damaged is written anew, and so is one of an earlier version that says less.
        if self.census(diff_id).is_some_and(|stored| stored.marks.is_some() || census.marks.is_none()) {
            return Ok(());
        }
        let packed = packed::pack(diff_id, census).map_err(|error| StoreError::Io {
            operation: "pack",
            path: path.clone(),
            error,
        })?;
        write_atomically(&path, &packed)
    }

    fn record_path(&self, commit: Option<&str>, image: &str, platform: Option<&Platform>) -> PathBuf {
        let platform = platform.map_or_else(|| "unknown".into(), |platform| platform.canonical().to_string());
        self.record_directory(commit, image).join(format!("{}.json", file_name(&platform)))
    }

    fn record_directory(&self, commit: Option<&str>, image: &str) -> PathBuf {
        let commit = commit.map_or_else(|| NO_COMMIT.into(), file_name);
        self.root.join("records").join(commit).join(file_name(image))
    }

    fn census_path(&self, diff_id: &DiffId) -> PathBuf {
        let hex = diff_id.hex();
        self.root.join("censuses").join(&hex[..2]).join(format!("{hex}.json.zst"))
    }
}

/// A name as one part of a path, on every system and reversibly: what is not a lower-case letter, a digit
/// or one of `._-` is written as its bytes in hex, for some disks do not tell `App` from `app`.
fn file_name(name: &str) -> String {
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

fn record(path: &Path) -> Result<Option<Snapshot>, StoreError> {
    let Some(json) = read(path, MAX_RECORD)? else { return Ok(None) };
    let unusable = |error| StoreError::Record { path: path.into(), error };
    Snapshot::from_json(&json, MAX_NODES).map(Some).map_err(unusable)
}

fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |error| StoreError::Io { operation: "read", path: path.into(), error };
    let file = match fs::File::open(path) {
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

/// Writes a file so that it is there whole or not at all.
fn write_atomically(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let failed = |error| StoreError::Io { operation: "write", path: path.into(), error };
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    share_readably(file.as_file()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A temporary file is its owner's alone; a store may be read by others.
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
        }
    }

    #[test]
    fn only_known_stores_are_opened() {
        assert!(DirStore::parse("dir:x").is_ok());
        for text in ["dir:", "x", "s3:bucket", ""] {
            assert!(DirStore::parse(text).is_err(), "{text}");
        }
    }
}
