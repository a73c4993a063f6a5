//! Layers of a few files, and the packages they declare.

use std::io::Read;

use super::collect::LayerPackages;
use super::*;
use crate::image::{Bytes, Entry, FileList};

mod archives;
mod languages;
mod ownership;
mod programs;
mod systems;
mod untrusted;

/// A fixture of `tests/fixtures/packages`.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/packages/{name}", env!("CARGO_MANIFEST_DIR"));
    let stored = std::fs::read(path).unwrap();
    if !name.ends_with(".gz") {
        return stored;
    }
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(stored.as_slice()).read_to_end(&mut content).unwrap();
    content
}

/// Walks a layer of these files as a walker has to.
fn read_layer(files: &[(&str, &[u8])]) -> (FileList, LayerPackages) {
    let file_list =
        FileList::of(files.iter().map(|(path, _)| Entry::File((*path).into(), Bytes(1))).collect());
    let mut collector = PackageCollector::default();
    for (path, content) in files {
        let (mut content, path) = (*content, LayerPath::from(*path));
        match WantedPackageFile::of(path.as_bytes(), content.len() as u64, false) {
            Some(WantedPackageFile::Content { database, length }) => {
                collector.take(database, &path, &content[..length as usize]);
            }
            Some(WantedPackageFile::Archive) => {
                collector.take_archive(&path, &mut content);
            }
            Some(WantedPackageFile::Nothing(why)) => collector.unread(&path, why),
            Some(WantedPackageFile::Program) | None => {}
        }
    }
    let packages = collector.finish(&file_list);
    (file_list, packages)
}

/// The packages of a layer, each as `TYPE/NAME@VERSION` with the files that it owns.
fn packages(files: &[(&str, &[u8])]) -> Vec<(String, Vec<String>)> {
    let (file_list, packages) = read_layer(files);
    assert_eq!(packages.owners.len(), file_list.entries.len());
    assert_eq!(packages.refused, 0);
    assert_eq!(packages.unread, []);
    let owned = |index: usize| {
        let entries = file_list.entries.iter().zip(&packages.owners);
        let own = entries.filter(|(_, owner)| **owner == Some(index as u32));
        own.map(|(entry, _)| entry.path().to_string()).collect()
    };
    let declared = packages.declared.iter().enumerate();
    declared.map(|(index, package)| (shown(package), owned(index))).collect()
}

fn shown(package: &Declared) -> String {
    format!("{}/{}@{}", package.ecosystem.as_str(), package.name, package.version)
}

/// The unread databases of a layer, and why they were not read.
fn unread(files: &[(&str, &[u8])]) -> Vec<(String, Unread)> {
    let (_, packages) = read_layer(files);
    packages.unread.into_iter().map(|(path, why)| (path.to_string(), why)).collect()
}

/// What [`packages`] should return.
fn expected(packages: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let own = |files: &[&str]| files.iter().map(|file| (*file).to_string()).collect();
    packages.iter().map(|(package, files)| ((*package).to_string(), own(files))).collect()
}

#[test]
fn names_of_ecosystems_are_those_of_package_urls() {
    for (ecosystem, name) in [
        (Ecosystem::Dpkg, "deb"),
        (Ecosystem::Apk, "apk"),
        (Ecosystem::Rpm, "rpm"),
        (Ecosystem::Python, "pypi"),
        (Ecosystem::Npm, "npm"),
        (Ecosystem::Gem, "gem"),
        (Ecosystem::Go, "golang"),
        (Ecosystem::Cargo, "cargo"),
        (Ecosystem::Maven, "maven"),
        (Ecosystem::NuGet, "nuget"),
        (Ecosystem::Conda, "conda"),
    ] {
        assert_eq!(ecosystem.as_str(), name);
        assert_eq!(serde_json::to_string(&ecosystem).unwrap(), format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<Ecosystem>(&format!("\"{name}\"")).unwrap(), ecosystem);
    }
}

#[test]
fn only_databases_are_wanted_and_none_over_its_bound() {
    let wanted = |path: &str, size| match WantedPackageFile::of(path.as_bytes(), size, false) {
        Some(WantedPackageFile::Content { database, length }) => Some((database, length)),
        Some(WantedPackageFile::Nothing(Unread::TooLarge)) if size == u64::MAX => None,
        other => {
            assert_eq!(other, None);
            None
        }
    };
    for (path, database) in [
        ("var/lib/dpkg/status", PackageDatabase::DpkgStatus),
        ("var/lib/dpkg/info/libc6:amd64.list", PackageDatabase::DpkgList),
        ("var/lib/dpkg/status.d/base", PackageDatabase::DpkgPart),
        ("var/lib/dpkg/status.d/base.md5sums", PackageDatabase::DpkgPartList),
        ("lib/apk/db/installed", PackageDatabase::Apk),
        ("usr/lib/apk/db/installed", PackageDatabase::Apk),
        ("var/lib/rpm/rpmdb.sqlite", PackageDatabase::Rpm),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", PackageDatabase::Rpm),
        ("usr/share/rpm/rpmdb.sqlite", PackageDatabase::Rpm),
        ("var/lib/rpm/rpmdb.sqlite-wal", PackageDatabase::RpmLog),
        ("usr/lib/sysimage/rpm/Packages.db", PackageDatabase::RpmNdb),
        ("var/lib/rpm/Packages", PackageDatabase::RpmBerkeley),
        ("opt/conda/conda-meta/zlib-1.3.1-h4ab18f5_1.json", PackageDatabase::Conda),
        ("conda-meta/zlib-1.3.1-h4ab18f5_1.json", PackageDatabase::Conda),
        ("app/web.deps.json", PackageDatabase::DotNet),
        ("a/six-1.dist-info/METADATA", PackageDatabase::PythonMetadata),
        ("six-1.dist-info/RECORD", PackageDatabase::PythonRecord),
        ("a/six.egg-info", PackageDatabase::PythonMetadata),
        ("a/six.egg-info/PKG-INFO", PackageDatabase::PythonMetadata),
        ("a/six.egg-info/installed-files.txt", PackageDatabase::PythonInstalled),
        ("a/six.egg/EGG-INFO/PKG-INFO", PackageDatabase::PythonMetadata),
        ("node_modules/a/package.json", PackageDatabase::Npm),
        ("x/node_modules/@s/a/package.json", PackageDatabase::Npm),
        ("x/node_modules/.pnpm/a@1/node_modules/a/package.json", PackageDatabase::Npm),
        ("usr/lib/ruby/gems/3.1.0/specifications/a-1.gemspec", PackageDatabase::Gem),
        ("usr/local/bundle/specifications/default/a-1.gemspec", PackageDatabase::Gem),
    ] {
        assert_eq!(wanted(path, 9), Some((database, 9)), "{path}");
        assert_eq!(wanted(path, 0), None, "{path}");
        let huge = wanted(path, u64::MAX);
        assert_eq!(
            huge,
            (database == PackageDatabase::PythonMetadata).then_some((database, 256 << 10)),
            "{path}"
        );
    }
    for path in [
        "",
        "status",
        "x/var/lib/dpkg/status",
        "var/lib/dpkg/info/a.postinst",
        "package.json",
        "app/package.json",
        "node_modules/package.json",
        "node_modules/@s/package.json",
        "node_modules/a/dist/esm/package.json",
        "node_modules/.bin/package.json",
        "a/METADATA",
        "a/RECORD",
        "a/PKG-INFO",
        "a/a.gemspec",
        "app/Packages",
        "var/lib/rpm/Name",
        "opt/conda/conda-meta/history",
        "app/deps.json",
        "app/web.jar",
    ] {
        assert_eq!(wanted(path, 9), None, "{path}");
    }
    for name in ["a.jar", "opt/b.war", "c.ear", "plugins/git.hpi", "d.jpi"] {
        assert_eq!(
            WantedPackageFile::of(name.as_bytes(), 22, true),
            Some(WantedPackageFile::Archive),
            "{name}"
        );
    }
    let sparse = |path: &str| WantedPackageFile::of_sparse(path.as_bytes());
    assert_eq!(sparse("var/lib/rpm/Packages"), Some(WantedPackageFile::Nothing(Unread::Sparse)));
    assert_eq!(sparse("var/log/lastlog"), None);
    assert_eq!(WantedPackageFile::of(b"usr/bin/tool", 9000, true), Some(WantedPackageFile::Program));
    assert_eq!(WantedPackageFile::of(b"usr/bin/tool", 9000, false), None);
}
