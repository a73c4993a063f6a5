//! dpkg's database: deb822(5), dpkg-query(1), and `status.d` as in Bazel's and distroless images.

use super::sink::Sink;
use std::collections::BTreeMap;

use super::fields::{field, lines, paragraphs};
use super::paths::PathList;
use super::{Ecosystem, Owns, word};
use crate::image::LayerPath;
use crate::image::package::Unread;
use crate::image::path::split;

/// The files that dpkg keeps beside a package's list (deb-control-file names of deb(5) and dpkg(1)).
const INFO_FILES: [&str; 13] = [
    "conffiles",
    "config",
    "list",
    "md5sums",
    "postinst",
    "postrm",
    "preinst",
    "prerm",
    "shlibs",
    "symbols",
    "templates",
    "triggers",
    "isinstallable",
];

/// dpkg's files seen so far: they come in any order.
#[derive(Default)]
pub struct Dpkg {
    /// Versions of installed packages, by name and architecture.
    installed: BTreeMap<(String, String), String>,
    lists: Vec<DpkgListFile>,
    /// `status.d`, by path of the package's file there.
    parts: BTreeMap<LayerPath, (String, String)>,
    part_lists: BTreeMap<LayerPath, PathList>,
}

struct DpkgListFile {
    anchor: LayerPath,
    files: PathList,
}

impl Dpkg {
    /// Reads `status`. A package counts if it is installed, whatever its desired state: a removed one may keep its list
    /// for its configuration.
    pub fn take_status(&mut self, path: &LayerPath, content: &[u8], sink: &mut Sink) {
        if paragraphs(content).next().is_some_and(|first| field(first, "Package").is_none()) {
            return sink.unread(path, Unread::UnknownFormat);
        }
        for paragraph in paragraphs(content) {
            let state = field(paragraph, "Status").and_then(|status| split_word(status, b' ').1);
            if state != Some(b"ok installed") {
                continue;
            }
            if let Some((name, version)) = package(paragraph) {
                let architecture = field(paragraph, "Architecture").and_then(word).unwrap_or_default();
                if sink.room.spend(name.len() + version.len() + 128).is_none() {
                    return;
                }
                self.installed.insert((name, architecture), version);
            }
        }
    }

    /// Reads `info/NAME.list` or `info/NAME:ARCHITECTURE.list`.
    pub fn take_list(&mut self, path: &LayerPath, content: &[u8], sink: &mut Sink) {
        let own = info_files(path);
        if let Some(files) = sink.room.keep(lines(content).chain(own.iter().map(Vec::as_slice))) {
            self.lists.push(DpkgListFile { anchor: path.clone(), files });
        }
    }

    /// Reads `status.d/NAME`, which has one paragraph and no `Status`.
    pub fn take_part(&mut self, path: &LayerPath, content: &[u8], sink: &mut Sink) {
        let said = paragraphs(content).next().and_then(package);
        if let Some((name, version)) = said
            && sink.room.spend(name.len() + version.len() + 128).is_some()
        {
            self.parts.insert(path.clone(), (name, version));
        }
    }

    /// Reads `status.d/NAME.md5sums`: a hash, two spaces, and a path.
    pub fn take_part_list(&mut self, path: &LayerPath, content: &[u8], sink: &mut Sink) {
        let part = path.as_bytes().strip_suffix(b".md5sums").unwrap_or_default();
        let paths = lines(content).filter_map(|line| split_word(line, b' ').1).map(<[u8]>::trim_ascii_start);
        if let Some(files) = sink.room.keep(paths.chain([part, path.as_bytes()])) {
            self.part_lists.insert(LayerPath::clean(part), files);
        }
    }

    /// Joins packages and their lists.
    pub fn finish(mut self, sink: &mut Sink) {
        for DpkgListFile { anchor, files } in std::mem::take(&mut self.lists) {
            if let Some((name, version)) = self.package_of(&anchor) {
                sink.declare(Ecosystem::Dpkg, name, version, &anchor, Owns { files, ..Owns::default() });
            }
        }
        for (anchor, (name, version)) in self.parts {
            let files = self.part_lists.remove(&anchor).or_else(|| sink.room.keep([anchor.as_bytes()]));
            let owns = Owns { files: files.unwrap_or_default(), ..Owns::default() };
            sink.declare(Ecosystem::Dpkg, name, version, &anchor, owns);
        }
    }

    /// The installed package that a list belongs to.
    fn package_of(&self, list: &LayerPath) -> Option<(String, String)> {
        let stem = split(list.as_bytes()).1.strip_suffix(b".list")?;
        let (name, architecture) = split_word(stem, b':');
        let (name, architecture) = (word(name)?, architecture.and_then(word));
        let first = (name.clone(), architecture.clone().unwrap_or_default());
        let ((found, its), version) = self.installed.range(first..).next()?;
        let fits = *found == name && architecture.is_none_or(|architecture| *its == architecture);
        fits.then(|| (name, version.clone()))
    }
}

fn package(paragraph: &[u8]) -> Option<(String, String)> {
    Some((word(field(paragraph, "Package")?)?, word(field(paragraph, "Version")?)?))
}

/// The files in `info` that go with a list.
fn info_files(list: &LayerPath) -> Vec<Vec<u8>> {
    let stem = list.as_bytes().strip_suffix(b"list").unwrap_or_default();
    INFO_FILES.iter().map(|name| [stem, name.as_bytes()].concat()).collect()
}

/// The text before the first separator, and the text after it.
fn split_word(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == separator) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}
