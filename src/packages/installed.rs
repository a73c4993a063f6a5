//! The packages that exist once all layers of an image are applied, each with the bytes of its existing files, and the
//! layer that added it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Claims;
use crate::image::filesystem::{ExistingFile, Filesystem};
use crate::image::package::Installed;
use crate::image::path::PathRef;
use crate::image::{Bytes, Ecosystem, Entry, FileList, Package};
use crate::sort;

/// What identifies a package: an image may have two versions of one name.
type PackageKey<'a> = (Ecosystem, &'a str, &'a str, &'a [u8]);

/// The packages of an image, by ecosystem, name and version. A package exists while the file that declares it does; its
/// bytes are those of its existing files, even if a later layer stored one of them again.
pub fn installed(filesystem: &Filesystem) -> Vec<Installed> {
    let layers = filesystem.layers();
    if layers.iter().all(|file_list| file_list.packages.is_empty()) {
        return Vec::new();
    }
    let visible = visible(filesystem);
    let owners = owners(filesystem, &visible);
    let views = views(filesystem, &owners);
    let mut packages = PackageIndex::default();
    for (layer, file_list) in layers.iter().enumerate() {
        for package in &file_list.packages {
            if package.ecosystem.is_distribution() || !views.contains(&(layer as u32, package.anchor)) {
                packages.declare(file_list, package, layer as u32, visible[layer][package.anchor as usize]);
            }
        }
    }
    let inside: Vec<_> = layers.iter().map(|file_list| file_list.inside()).collect();
    for (file, owner) in filesystem.existing().zip(owners) {
        let file_list = &layers[file.layer as usize];
        let mut own = file.size;
        let is_view = views.contains(&(file.layer, file.entry));
        let inside = inside[file.layer as usize].get(&file.entry).filter(|_| !is_view);
        for package in inside.into_iter().flatten() {
            packages.add(file_list, package, package.inside, 0);
            own = (own - package.inside).magnitude();
        }
        if let Some((layer, owner)) = owner {
            let file_list = &layers[layer];
            packages.add(file_list, &file_list.packages[owner as usize], own, 1);
        }
    }
    packages.finish()
}

/// The files, by layer and entry, that packages of distributions in other layers list: a language's package that is
/// declared by such a file is the same package, seen from inside.
fn views(filesystem: &Filesystem, owners: &[Option<(usize, u32)>]) -> HashSet<(u32, u32)> {
    let layers = filesystem.layers();
    let files = filesystem.existing().zip(owners);
    let is_view = |(file, owner): (ExistingFile<'_>, &Option<(usize, u32)>)| {
        let (layer, owner) = (*owner)?;
        let other = layer != file.layer as usize
            && layers[layer].packages[owner as usize].ecosystem.is_distribution();
        other.then_some((file.layer, file.entry))
    };
    files.filter_map(is_view).collect()
}

/// The owner of each existing file: a layer, and the index of its package.
pub fn owners_of(filesystem: &Filesystem) -> Vec<Option<(usize, u32)>> {
    if filesystem.layers().iter().all(|file_list| file_list.packages.is_empty()) {
        return vec![None; filesystem.existing().len()];
    }
    owners(filesystem, &visible(filesystem))
}

fn owners(filesystem: &Filesystem, visible: &[Vec<bool>]) -> Vec<Option<(usize, u32)>> {
    let layers = filesystem.layers();
    let owners: Vec<Vec<Option<u32>>> = layers.iter().map(|file_list| file_list.owners()).collect();
    let hidden = hidden_owners(layers, &owners, visible);
    let claims = Claims::of(layers.iter().map(|file_list| Some(&**file_list)));
    let owner = |file: ExistingFile<'_>| {
        let (layer, entry) = (file.layer as usize, file.entry as usize);
        let own = owners[layer].get(entry).copied().flatten().map(|owner| (layer, owner));
        let ecosystem = own.map(|(layer, owner)| layers[layer].packages[owner as usize].ecosystem);
        let path = layers[layer].entries[entry].path().as_bytes();
        let claimed = claims.owner(path, layer, ecosystem);
        claimed.or(own).or_else(|| hidden.get(file.path.0).copied())
    };
    filesystem.existing().map(owner).collect()
}

/// Which entries of each layer exist once all layers are applied.
fn visible(filesystem: &Filesystem) -> Vec<Vec<bool>> {
    let mut visible: Vec<Vec<bool>> =
        filesystem.layers().iter().map(|file_list| vec![false; file_list.entries.len()]).collect();
    filesystem.existing().for_each(|file| visible[file.layer as usize][file.entry as usize] = true);
    visible
}

/// The packages of hidden files: the file that exists at the path now belongs to them too, if it has no other owner.
/// Without this, a `chmod` would take a package's files from it.
fn hidden_owners<'a>(
    layers: &'a [Arc<FileList>],
    owners: &[Vec<Option<u32>>],
    visible: &[Vec<bool>],
) -> HashMap<&'a [u8], (usize, u32)> {
    let mut hidden = HashMap::new();
    for (layer, file_list) in layers.iter().enumerate() {
        for ((entry, owner), visible) in file_list.entries.iter().zip(&owners[layer]).zip(&visible[layer]) {
            if let (Entry::File(path, _), Some(owner), false) = (entry, owner, visible) {
                hidden.insert(path.as_bytes(), (layer, *owner));
            }
        }
    }
    hidden
}

#[derive(Default)]
struct PackageIndex<'a> {
    found: Vec<(Installed, bool)>,
    by_key: HashMap<PackageKey<'a>, usize>,
    /// The version that exists now, by the properties that an upgrade keeps.
    there: HashMap<(Ecosystem, &'a str, &'a [u8]), usize>,
}

impl<'a> PackageIndex<'a> {
    fn declare(&mut self, file_list: &'a FileList, package: &'a Package, layer: u32, there: bool) {
        let key = key(file_list, package);
        let new = || Installed {
            ecosystem: package.ecosystem,
            name: package.name.clone(),
            version: package.version.clone(),
            bytes: Bytes(0),
            files: 0,
            layer: u64::from(layer),
            declared_by: PathRef(key.3).to_string(),
        };
        let index = *self.by_key.entry(key).or_insert(self.found.len());
        if index == self.found.len() {
            self.found.push((new(), there));
        }
        self.found[index].1 |= there;
        if there {
            self.there.insert((key.0, key.1, key.3), index);
        }
    }

    fn add(&mut self, file_list: &'a FileList, package: &'a Package, size: Bytes, files: u64) {
        let key = key(file_list, package);
        let own = self.by_key.get(&key).copied().filter(|index| self.found[*index].1);
        if let Some(index) = own.or_else(|| self.there.get(&(key.0, key.1, key.3)).copied()) {
            let package = &mut self.found[index].0;
            package.bytes = package.bytes.saturating_add(size);
            package.files += files;
        }
    }

    fn finish(self) -> Vec<Installed> {
        let mut there: Vec<Installed> =
            self.found.into_iter().filter(|(_, there)| *there).map(|(package, _)| package).collect();
        sort::by(&mut there, |a, b| {
            (a.ecosystem, &a.name, &a.version, a.layer).cmp(&(b.ecosystem, &b.name, &b.version, b.layer))
        });
        there
    }
}

fn key<'a>(file_list: &'a FileList, package: &'a Package) -> PackageKey<'a> {
    let anchor = file_list.entries[package.anchor as usize].path().as_bytes();
    (package.ecosystem, &package.name, &package.version, anchor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(files: &[(&str, u64)], packages: &[(&str, &str, u32, &[u32])]) -> FileList {
        let file = |(path, size): &(&str, u64)| match path.strip_prefix('-') {
            Some(gone) => Entry::Whiteout(gone.into()),
            None => Entry::File((*path).into(), Bytes(*size)),
        };
        let package = |(name, version, anchor, files): &(&str, &str, u32, &[u32])| Package {
            ecosystem: Ecosystem::Dpkg,
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            anchor: *anchor,
            files: files.to_vec(),
            elsewhere: Vec::new(),
            inside: Bytes(0),
        };
        let packages = packages.iter().map(package).collect();
        FileList { packages, ..FileList::of(files.iter().map(file).collect()) }
    }

    fn list(layers: &[FileList]) -> Vec<(String, u64, u64)> {
        let found = installed(&Filesystem::of(layers.iter().cloned().map(Arc::new).collect()));
        found.into_iter().map(|p| (format!("{} {}", p.name, p.version), p.bytes.0, p.layer)).collect()
    }

    #[test]
    fn packages_come_and_go_with_the_files_that_declare_them() {
        let base = || layer(&[("db/a", 1), ("bin/a", 10), ("etc/a", 5)], &[("a", "1", 0, &[0, 1, 2])]);
        let one = |name: &str, bytes, layer| (name.to_owned(), bytes, layer);
        assert_eq!(list(&[base()]), [one("a 1", 16, 0)]);
        let upgraded = layer(&[("db/a", 2), ("bin/a", 20)], &[("a", "2", 0, &[0, 1])]);
        assert_eq!(list(&[base(), upgraded]), [one("a 2", 27, 1)], "what was not replaced is of the new one");
        let removed = layer(&[("-db/a", 0), ("-bin/a", 0)], &[]);
        assert_eq!(list(&[base(), removed]), []);
        let changed = layer(&[("bin/a", 10)], &[]);
        assert_eq!(list(&[base(), changed]), [one("a 1", 16, 0)], "stored again by chmod");
        let again = layer(&[("db/a", 1)], &[("a", "1", 0, &[0])]);
        assert_eq!(list(&[base(), again]), [one("a 1", 16, 0)], "declared again by a database of all");
        assert_eq!(list(&[]), []);
    }
}
