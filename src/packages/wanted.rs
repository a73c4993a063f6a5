//! Which files are read, and how much of each.

use super::{Unread, java, zip};
use crate::image::path::split;

const MIB: u64 = 1 << 20;

/// A kind of file that declares packages, or says which files are theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageDatabase {
    /// dpkg's `status`.
    DpkgStatus,
    /// A package's list of files, in dpkg's `info`.
    DpkgList,
    /// One package in `status.d`, where images built without dpkg keep them.
    DpkgPart,
    /// The hashes, and thus the files, of a package in `status.d`.
    DpkgPartList,
    /// apk's `installed`.
    Apk,
    /// rpm's database, in SQLite format.
    Rpm,
    /// The write-ahead log of rpm's database.
    RpmLog,
    /// rpm's database, in rpm's own ndb format.
    RpmNdb,
    /// rpm's database, in Berkeley DB format.
    RpmBerkeley,
    /// The metadata of a Python distribution.
    PythonMetadata,
    /// The files of a Python distribution, from a wheel's `RECORD`.
    PythonRecord,
    /// The files of a Python distribution, from an egg's `installed-files.txt`.
    PythonInstalled,
    /// A Node package's `package.json`.
    Npm,
    /// A gem's specification.
    Gem,
    /// conda's metadata of a package.
    Conda,
    /// The dependencies of a .NET program.
    DotNet,
}

impl PackageDatabase {
    /// Maximum bytes of a file that is read.
    fn most(self) -> u64 {
        match self {
            PackageDatabase::Rpm
            | PackageDatabase::RpmLog
            | PackageDatabase::RpmNdb
            | PackageDatabase::RpmBerkeley => 64 * MIB,
            PackageDatabase::DpkgStatus | PackageDatabase::Apk => 32 * MIB,
            PackageDatabase::PythonRecord | PackageDatabase::Conda | PackageDatabase::DotNet => 16 * MIB,
            PackageDatabase::DpkgList | PackageDatabase::DpkgPartList | PackageDatabase::PythonInstalled => {
                4 * MIB
            }
            PackageDatabase::DpkgPart | PackageDatabase::Npm | PackageDatabase::Gem => MIB,
            // The fields are at the start, before a description of any length.
            PackageDatabase::PythonMetadata => u64::MAX,
        }
    }
}

/// A file whose content is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedPackageFile {
    /// The first `length` bytes, for [`PackageCollector::take`](super::PackageCollector::take).
    Content {
        /// What the file is.
        database: PackageDatabase,
        /// How many bytes to read: for most kinds the whole file.
        length: u64,
    },
    /// It may be a Go or Rust program: the first [`golang::HEAD`](super::golang::HEAD) bytes tell, through
    /// [`golang::GoScanner::new`](super::golang::GoScanner::new) and
    /// [`cargo::CrateScanner::new`](super::cargo::CrateScanner::new).
    Program,
    /// It may be a Java archive, for [`PackageCollector::take_archive`](super::PackageCollector::take_archive).
    Archive,
    /// A database that is not read, for [`PackageCollector::unread`](super::PackageCollector::unread).
    Nothing(Unread),
}

impl WantedPackageFile {
    /// What is wanted from a regular file. The path is clean, relative to the image's root. Files over the limit of
    /// their kind are not read.
    pub fn of(path: &[u8], size: u64, executable: bool) -> Option<WantedPackageFile> {
        let Some(database) = database_of(path) else {
            if java::is_archive(path) {
                return (size >= zip::SMALLEST).then_some(WantedPackageFile::Archive);
            }
            return (executable && size > 64).then_some(WantedPackageFile::Program);
        };
        if size > database.most() {
            return Some(WantedPackageFile::Nothing(Unread::TooLarge));
        }
        let length = if database == PackageDatabase::PythonMetadata { size.min(MIB / 4) } else { size };
        (length > 0).then_some(WantedPackageFile::Content { database, length })
    }

    /// What is wanted from a file that the tar stores as sparse.
    pub fn of_sparse(path: &[u8]) -> Option<WantedPackageFile> {
        database_of(path).map(|_| WantedPackageFile::Nothing(Unread::Sparse))
    }
}

fn database_of(path: &[u8]) -> Option<PackageDatabase> {
    let (directory, name) = split(path);
    let parent = split(directory).1;
    match name {
        b"package.json" => is_node_package(directory).then_some(PackageDatabase::Npm),
        b"METADATA" => parent.ends_with(b".dist-info").then_some(PackageDatabase::PythonMetadata),
        b"RECORD" => parent.ends_with(b".dist-info").then_some(PackageDatabase::PythonRecord),
        b"installed-files.txt" => parent.ends_with(b".egg-info").then_some(PackageDatabase::PythonInstalled),
        b"PKG-INFO" => {
            (parent.ends_with(b".egg-info") || is_egg(directory)).then_some(PackageDatabase::PythonMetadata)
        }
        name if name.ends_with(b".egg-info") => Some(PackageDatabase::PythonMetadata),
        name if name.ends_with(b".gemspec") => is_specifications(directory).then_some(PackageDatabase::Gem),
        name if name.ends_with(b".deps.json") => Some(PackageDatabase::DotNet),
        name if parent == b"conda-meta" => name.ends_with(b".json").then_some(PackageDatabase::Conda),
        name => system_database(directory, name),
    }
}

fn system_database(directory: &[u8], name: &[u8]) -> Option<PackageDatabase> {
    match (directory, name) {
        (b"var/lib/dpkg", b"status") => Some(PackageDatabase::DpkgStatus),
        (b"var/lib/dpkg/info", name) => name.ends_with(b".list").then_some(PackageDatabase::DpkgList),
        (b"var/lib/dpkg/status.d", name) if name.ends_with(b".md5sums") => {
            Some(PackageDatabase::DpkgPartList)
        }
        (b"var/lib/dpkg/status.d", _) => Some(PackageDatabase::DpkgPart),
        (b"lib/apk/db" | b"usr/lib/apk/db", b"installed") => Some(PackageDatabase::Apk),
        (b"var/lib/rpm" | b"usr/lib/sysimage/rpm" | b"usr/share/rpm", name) => rpm_database(name),
        _ => None,
    }
}

fn rpm_database(name: &[u8]) -> Option<PackageDatabase> {
    match name {
        b"rpmdb.sqlite" => Some(PackageDatabase::Rpm),
        b"rpmdb.sqlite-wal" => Some(PackageDatabase::RpmLog),
        b"Packages.db" => Some(PackageDatabase::RpmNdb),
        b"Packages" => Some(PackageDatabase::RpmBerkeley),
        _ => None,
    }
}

/// Only a `package.json` directly in a directory of `node_modules`, or of a scope there, is an installed package's; a
/// package may have other files of that name inside.
fn is_node_package(directory: &[u8]) -> bool {
    let (above, name) = split(directory);
    let (above_scope, scope) = split(above);
    let in_scope = scope.starts_with(b"@") && split(above_scope).1 == b"node_modules";
    !name.starts_with(b".") && !name.starts_with(b"@") && (scope == b"node_modules" || in_scope)
}

fn is_egg(directory: &[u8]) -> bool {
    let (egg, name) = split(directory);
    name == b"EGG-INFO" && egg.ends_with(b".egg")
}

fn is_specifications(directory: &[u8]) -> bool {
    let (above, name) = split(directory);
    name == b"specifications" || (name == b"default" && split(above).1 == b"specifications")
}
