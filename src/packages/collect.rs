//! From contents of files, one at a time, to what a layer declares.

use std::collections::HashMap;

use super::dpkg::Dpkg;
use super::paths::Room;
use super::python::Python;
use super::{Database, Declared, Ecosystem, MAX_PACKAGES, Owns, apk, gem, golang, npm, owners, rpm, word};
use crate::image::{Census, Entry, LayerPath, Package};

/// Takes in what one layer says of packages.
#[derive(Default)]
pub struct Collector {
    sink: Sink,
    dpkg: Dpkg,
    python: Python,
}

/// What one layer says of packages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packages {
    /// The packages, ordered by ecosystem, name, version and anchor.
    pub declared: Vec<Declared>,
    /// For each entry of the census, the index of the package whose file it is.
    pub owners: Vec<Option<u32>>,
    /// How many packages or lists of files were left out for a bound.
    pub refused: u64,
}

impl Packages {
    /// The packages as a census keeps them.
    pub fn of_census(self, census: &Census) -> Vec<Package> {
        let mut anchors: HashMap<&[u8], Option<u32>> =
            self.declared.iter().map(|package| (package.anchor.as_bytes(), None)).collect();
        let mut files = vec![Vec::new(); self.declared.len()];
        for (index, (entry, owner)) in census.entries.iter().zip(&self.owners).enumerate() {
            if let Some(files) = owner.and_then(|owner| files.get_mut(owner as usize)) {
                files.push(index as u32);
            }
            if let (Entry::File(path, _), false) = (entry, anchors.is_empty())
                && let Some(anchor) = anchors.get_mut(path.as_bytes())
            {
                *anchor = Some(index as u32);
            }
        }
        let place = |(package, files): (&Declared, Vec<u32>)| {
            let anchor = anchors.get(package.anchor.as_bytes()).copied().flatten()?;
            let (name, version) = (package.name.clone(), package.version.clone());
            Some(Package { ecosystem: package.ecosystem, name, version, anchor, files })
        };
        self.declared.iter().zip(files).filter_map(place).collect()
    }
}

/// Where packages go as they are found.
#[derive(Default)]
pub(super) struct Sink {
    /// What was found.
    pub declared: Vec<Declared>,
    /// What memory is left.
    pub room: Room,
}

impl Sink {
    /// Adds a package, if there is room.
    pub fn declare(
        &mut self,
        ecosystem: Ecosystem,
        name: String,
        version: String,
        anchor: &LayerPath,
        owns: Owns,
    ) {
        if self.declared.len() >= MAX_PACKAGES {
            self.room.refused += 1;
            return;
        }
        let below: usize = owns.below.iter().map(|path| path.as_bytes().len()).sum();
        let cost = size_of::<Declared>() + name.len() + version.len() + anchor.as_bytes().len() + below;
        if self.room.spend(cost).is_some() {
            self.declared.push(Declared { ecosystem, name, version, anchor: anchor.clone(), owns });
        }
    }
}

impl Collector {
    /// Reads the content of a file of the layer. Of two with the same path, a tar has the later one
    /// replace the earlier; so few have that both counting is no matter.
    pub fn take(&mut self, database: Database, path: &LayerPath, content: &[u8]) {
        let sink = &mut self.sink;
        match database {
            Database::DpkgStatus => self.dpkg.take_status(content, sink),
            Database::DpkgList => self.dpkg.take_list(path, content, sink),
            Database::DpkgPart => self.dpkg.take_part(path, content, sink),
            Database::DpkgPartList => self.dpkg.take_part_list(path, content, sink),
            Database::Apk => apk::take(path, content, sink),
            Database::Rpm => rpm::take(path, content, sink),
            Database::PythonMetadata => self.python.take_metadata(path, content, sink),
            Database::PythonRecord => self.python.take_record(path, content, sink),
            Database::PythonInstalled => self.python.take_installed(path, content, sink),
            Database::Npm => npm::take(path, content, sink),
            Database::Gem => gem::take(path, content, sink),
        }
    }

    /// Takes in what a [`golang::Scanner`] found in a program of the layer.
    pub fn take_program(&mut self, path: &LayerPath, module: &golang::Module) {
        let words = (word(module.path.as_bytes()), word(module.version.as_bytes()));
        let (Some(name), Some(version)) = words else { return };
        if let Some(files) = self.sink.room.keep([path.as_bytes()]) {
            self.sink.declare(Ecosystem::Go, name, version, path, Owns { files, below: Vec::new() });
        }
    }

    /// What the layer declares, now that all of it has been seen, and whose its files are. A package
    /// whose files all belong to others is left out: a distribution's package that ships a Python
    /// distribution is one package, not two.
    pub fn finish(self, census: &Census) -> Packages {
        let Collector { mut sink, dpkg, python } = self;
        dpkg.finish(&mut sink);
        python.finish(&mut sink);
        let mut declared = sink.declared;
        declared.sort_by(|one, other| one.order().cmp(&other.order()));
        gem::add_extensions(census, &mut declared);
        let mut owners = owners(census, &declared);
        owners::drop_views(census, &mut declared, &mut owners);
        declared.shrink_to_fit();
        Packages { declared, owners, refused: sink.room.refused }
    }
}
