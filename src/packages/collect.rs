//! Collects what a layer declares from the contents of its files, one at a time.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::cargo::Crate;
use super::dpkg::Dpkg;
use super::owners::other_name;
use super::python::Python;
use super::room::{ImageRoom, LayerSpending, PackageCost};
use super::rpm::Rpm;
use super::sink::Sink;
use super::zip::{ArchiveBudget, Passing, ZipError};
use super::{
    Declared, Ecosystem, Owns, PackageDatabase, Unread, WantedPackageFile, apk, conda, dotnet, gem, golang,
    java, npm, owners, rpm, word,
};
use crate::image::file_list::MAX_UNREAD;
use crate::image::package::{MAX_ELSEWHERE, UnreadDatabase};
use crate::image::path::split;
use crate::image::{Bytes, Entry, FileList, LayerPath, Package};
use crate::sort;

/// The work allowed for the archives of a layer. Most archives state the length of their entries, and then only
/// archives deflated inside them cost anything.
pub const ARCHIVE_WORK: ArchiveBudget = ArchiveBudget { inflated: 512 << 20, entries: 2_000_000 };

/// Collects what one layer says about packages.
pub struct PackageCollector {
    sink: Sink,
    dpkg: Dpkg,
    python: Python,
    rpm: Rpm,
    archives: ArchiveBudget,
}

impl Default for PackageCollector {
    fn default() -> PackageCollector {
        PackageCollector {
            sink: Sink::default(),
            dpkg: Dpkg::default(),
            python: Python::default(),
            rpm: Rpm::default(),
            archives: ARCHIVE_WORK,
        }
    }
}

/// What an entry of an archive costs, in inflated bytes.
const ENTRY_WORK: u64 = 128;

/// More work than any image has room for, and small enough to be added up.
const ROOM_OF_NONE: u64 = 1 << 50;

/// What one layer says about packages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerPackages {
    /// The packages, ordered by ecosystem, name, version and anchor.
    pub declared: Vec<Declared>,
    /// For each entry of the file list, the index of the package that owns the file.
    pub owners: Vec<Option<u32>>,
    /// How many packages or lists of files were left out because of a safety limit.
    pub refused: u64,
    /// The databases that were not read, or only in part.
    pub unread: Vec<(LayerPath, Unread)>,
    /// Whether everything is left out, because the image has no room for it.
    pub left_out: bool,
}

impl LayerPackages {
    /// Adds the packages and the unread databases to the layer's file list.
    pub fn add_to(self, file_list: &mut FileList) {
        if self.left_out {
            leave_out(file_list);
        } else {
            (file_list.packages, file_list.unread) = self.of_file_list(file_list);
        }
    }

    /// The packages as a file list stores them, and the unread databases.
    pub fn of_file_list(self, file_list: &FileList) -> (Vec<Package>, Vec<UnreadDatabase>) {
        let elsewhere = self.elsewhere(file_list);
        let named = self.declared.iter().map(|package| &package.anchor);
        let named = named.chain(self.unread.iter().map(|(path, _)| path));
        let mut anchors: HashMap<&[u8], Option<u32>> = named.map(|path| (path.as_bytes(), None)).collect();
        let mut files = vec![Vec::new(); self.declared.len()];
        for (index, (entry, owner)) in file_list.entries.iter().zip(&self.owners).enumerate() {
            if let Some(files) = owner.and_then(|owner| files.get_mut(owner as usize)) {
                files.push(index as u32);
            }
            if let (Entry::File(path, _), false) = (entry, anchors.is_empty())
                && let Some(anchor) = anchors.get_mut(path.as_bytes())
            {
                *anchor = Some(index as u32);
            }
        }
        let entry = |path: &LayerPath| anchors.get(path.as_bytes()).copied().flatten();
        let place = |((package, files), elsewhere): ((&Declared, Vec<u32>), Vec<LayerPath>)| {
            let anchor = entry(&package.anchor)?;
            let (name, version) = (package.name.clone(), package.version.clone());
            let inside = Bytes(package.owns.inside);
            Some(Package { ecosystem: package.ecosystem, name, version, anchor, files, elsewhere, inside })
        };
        let packages = self.declared.iter().zip(files).zip(elsewhere).filter_map(place).collect();
        let unread = self.unread.iter();
        let unread = unread.filter_map(|(path, why)| Some(UnreadDatabase { entry: entry(path)?, why: *why }));
        (packages, unread.take(MAX_UNREAD).collect())
    }

    /// For each package of a distribution, the files that its database lists and the layer lacks; all files of other
    /// packages are in one layer.
    fn elsewhere(&self, file_list: &FileList) -> Vec<Vec<LayerPath>> {
        let mut elsewhere = vec![Vec::new(); self.declared.len()];
        if !self.declared.iter().any(|package| package.ecosystem.is_distribution()) {
            return elsewhere;
        }
        let there: HashSet<&[u8]> = file_list.entries.iter().map(|entry| entry.path().as_bytes()).collect();
        let is_here = |path: &[u8]| {
            there.contains(path) || other_name(path).is_some_and(|other| there.contains(other.as_slice()))
        };
        let mut left = MAX_ELSEWHERE;
        for (package, elsewhere) in self.declared.iter().zip(&mut elsewhere) {
            let anchor = split(package.anchor.as_bytes()).0;
            // A path beside the database is a part of it, and in the same layer if anywhere.
            let is_absent = |path: &&[u8]| split(path).0 != anchor && !is_here(path);
            let listed = package.owns.files.iter().filter(|_| package.ecosystem.is_distribution());
            for path in listed.filter(is_absent) {
                if let Some(rest) = left.checked_sub(path.len()) {
                    left = rest;
                    elsewhere.push(LayerPath::clean(path));
                }
            }
        }
        elsewhere
    }
}

/// Leaves out what a layer says about packages, and reports the databases that have it.
pub fn leave_out(file_list: &mut FileList) {
    let is_database = |entry: &Entry| match entry {
        Entry::File(path, size) => WantedPackageFile::of(path.as_bytes(), size.0, false).is_some(),
        _ => false,
    };
    let entries = (0..).zip(&file_list.entries).filter(|(_, entry)| is_database(entry));
    let unread = entries.map(|(entry, _)| UnreadDatabase { entry, why: Unread::TooMuch });
    file_list.unread = unread.take(MAX_UNREAD).collect();
    file_list.packages = Vec::new();
    file_list.packages_left_out = true;
}

impl PackageCollector {
    /// Starts a layer of an image whose packages have this room.
    pub fn new(room: Box<dyn ImageRoom>) -> PackageCollector {
        let mut collector = PackageCollector::default();
        collector.sink.room.image = LayerSpending::new(room);
        collector
    }

    /// Whether this many bytes of a database may be read. If not, the image has no room for packages.
    pub fn may_read(&mut self, bytes: u64) -> bool {
        self.sink.room.image.spend(PackageCost { work: bytes, ..PackageCost::default() })
    }

    /// Reads the content of a file of the layer. If a tar has the same path twice, the later one replaces the earlier;
    /// that is so rare that counting both does not matter.
    pub fn take<'a>(
        &mut self,
        database: PackageDatabase,
        path: &LayerPath,
        content: impl Into<Cow<'a, [u8]>>,
    ) {
        let refused = self.sink.room.refused;
        let sink = &mut self.sink;
        let content = content.into();
        if let PackageDatabase::Rpm | PackageDatabase::RpmLog = database {
            return self.rpm.hold(path, content.into_owned(), sink);
        }
        let content = &*content;
        match database {
            PackageDatabase::Rpm | PackageDatabase::RpmLog => {}
            PackageDatabase::RpmNdb => rpm::take_ndb(path, content, sink),
            PackageDatabase::RpmBerkeley => rpm::take_berkeley(path, content, sink),
            PackageDatabase::Conda => conda::take(path, content, sink),
            PackageDatabase::DotNet => dotnet::take(path, content, sink),
            PackageDatabase::DpkgStatus => self.dpkg.take_status(path, content, sink),
            PackageDatabase::DpkgList => self.dpkg.take_list(path, content, sink),
            PackageDatabase::DpkgPart => self.dpkg.take_part(path, content, sink),
            PackageDatabase::DpkgPartList => self.dpkg.take_part_list(path, content, sink),
            PackageDatabase::Apk => apk::take(path, content, sink),
            PackageDatabase::PythonMetadata => self.python.take_metadata(path, content, sink),
            PackageDatabase::PythonRecord => self.python.take_record(path, content, sink),
            PackageDatabase::PythonInstalled => self.python.take_installed(path, content, sink),
            PackageDatabase::Npm => npm::take(path, content, sink),
            PackageDatabase::Gem => gem::take(path, content, sink),
        }
        if self.sink.room.refused > refused {
            self.sink.unread(path, Unread::TooMuch);
        }
    }

    /// Reports a database of the layer as unread.
    pub fn unread(&mut self, path: &LayerPath, why: Unread) {
        self.sink.unread(path, why);
    }

    /// Reads what may be a Java archive, as far as needed.
    pub fn take_archive(&mut self, path: &LayerPath, content: &mut dyn Passing) {
        let (found, error) = self.read_archive(path, content);
        let sink = &mut self.sink;
        let why = error.and_then(|error| match error {
            // Another kind of file with the same extension.
            ZipError::NoArchive => None,
            ZipError::Damaged => Some(Unread::Damaged),
            ZipError::UnknownFormat => Some(Unread::UnknownFormat),
            ZipError::TooMuch => Some(Unread::TooMuch),
        });
        why.into_iter().for_each(|why| sink.unread(path, why));
        if let Some(java::Artifact { name, version, .. }) = found.main
            && let Some(files) = sink.room.keep([path.as_bytes()])
        {
            sink.declare(Ecosystem::Maven, name, version, path, Owns { files, ..Owns::default() });
        }
        for (java::Artifact { name, version, .. }, inside) in found.inside {
            sink.declare(Ecosystem::Maven, name, version, path, Owns { inside, ..Owns::default() });
        }
    }

    /// Reads an archive as far as the layer and the image have room.
    fn read_archive(
        &mut self,
        path: &LayerPath,
        content: &mut dyn Passing,
    ) -> (java::Archive, Option<ZipError>) {
        let image = &mut self.sink.room.image;
        let left = image.left();
        let allowed = ArchiveBudget {
            inflated: self.archives.inflated.min(left),
            entries: self.archives.entries.min(left / ENTRY_WORK),
        };
        let mut budget = ArchiveBudget { ..allowed };
        let (found, error) = java::read(split(path.as_bytes()).1, content, &mut budget);
        let (inflated, entries) = (allowed.inflated - budget.inflated, allowed.entries - budget.entries);
        let of_image = matches!(error, Some(ZipError::TooMuch))
            && (budget.inflated == 0 && allowed.inflated < self.archives.inflated
                || budget.entries == 0 && allowed.entries < self.archives.entries);
        // The image had no room for what would have come next.
        let work = if of_image { ROOM_OF_NONE } else { inflated.saturating_add(entries * ENTRY_WORK) };
        image.spend(PackageCost { work, ..PackageCost::default() });
        self.archives.inflated -= inflated;
        self.archives.entries -= entries;
        (found, error)
    }

    /// Adds what a [`golang::GoScanner`] found in a program of the layer.
    pub fn take_program(&mut self, path: &LayerPath, module: &golang::Module) {
        let words = (word(module.path.as_bytes()), word(module.version.as_bytes()));
        let (Some(name), Some(version)) = words else { return };
        if let Some(files) = self.sink.room.keep([path.as_bytes()]) {
            self.sink.declare(Ecosystem::Go, name, version, path, Owns { files, ..Owns::default() });
        }
    }

    /// Adds what a [`cargo::CrateScanner`](super::cargo::CrateScanner) found in a program of the layer.
    pub fn take_crate(&mut self, path: &LayerPath, found: Crate) {
        if let Some(files) = self.sink.room.keep([path.as_bytes()]) {
            let Crate { name, version } = found;
            self.sink.declare(Ecosystem::Cargo, name, version, path, Owns { files, ..Owns::default() });
        }
    }

    /// What the layer declares, now that all of it has been read, and who owns its files. A package whose files all
    /// belong to others is left out: a distribution's package that ships a Python distribution is one package, not two.
    pub fn finish(self, file_list: &FileList) -> LayerPackages {
        let PackageCollector { mut sink, dpkg, python, rpm, .. } = self;
        if sink.room.image.settle() {
            dpkg.finish(&mut sink);
            python.finish(&mut sink);
            rpm.finish(&mut sink);
        }
        if !sink.room.image.settle() {
            return LayerPackages { left_out: true, ..LayerPackages::default() };
        }
        let mut declared = sink.declared;
        sort::by(&mut declared, |one, other| one.order().cmp(&other.order()));
        gem::add_extensions(file_list, &mut declared);
        let mut owners = owners(file_list, &declared);
        owners::drop_views(file_list, &mut declared, &mut owners);
        declared.shrink_to_fit();
        sink.unread.sort();
        sink.unread.dedup();
        LayerPackages { declared, owners, refused: sink.room.refused, unread: sink.unread, left_out: false }
    }
}
