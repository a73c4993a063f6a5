//! Python distributions (PyPA's "Recording installed projects" and "Core metadata"; setuptools'
//! "The Internal Structure of Python Eggs").

use super::sink::Sink;
use std::collections::BTreeMap;

use super::fields::{field, lines, paragraphs};
use super::paths::{PathList, join};
use super::{Ecosystem, Owns, word};
use crate::image::LayerPath;

/// The distributions seen so far, by the directory that holds their metadata, or the file that is their metadata.
#[derive(Default)]
pub struct Python(BTreeMap<LayerPath, Distribution>);

#[derive(Default)]
struct Distribution {
    /// Name, version, and the file that states them.
    said: Option<(String, String, LayerPath)>,
    files: PathList,
}

impl Python {
    /// Reads the fields of `METADATA`, `PKG-INFO`, or an `.egg-info` that is a file.
    pub fn take_metadata(&mut self, path: &LayerPath, content: &[u8], sink: &mut Sink) {
        let Some(fields) = paragraphs(content).next() else { return };
        let said = |name| field(fields, name).and_then(word);
        if let (Some(name), Some(version)) = (said("Name"), said("Version"))
            && let Some(distribution) = self.of(path, sink)
        {
            distribution.said = Some((normalize(&name), version, path.clone()));
        }
    }

    /// Reads `RECORD`: CSV, first the path, relative to the parent of the `.dist-info` directory.
    pub fn take_record(&mut self, path: &LayerPath, content: &[u8], sink: &mut Sink) {
        let base = parent(&parent(path));
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
        let records = reader.into_byte_records().map_while(Result::ok);
        let paths = records.filter_map(|record| under(&base, record.get(0)?));
        if let Some(files) = sink.room.keep(paths) {
            self.add_files(path, files, sink);
        }
    }

    /// Reads `installed-files.txt`: paths relative to the `.egg-info` directory.
    pub fn take_installed(&mut self, path: &LayerPath, content: &[u8], sink: &mut Sink) {
        let base = parent(path);
        let paths = lines(content).filter(|line| !line.is_empty()).filter_map(|line| under(&base, line));
        if let Some(files) = sink.room.keep(paths) {
            self.add_files(path, files, sink);
        }
    }

    /// Declares the distributions that have metadata.
    pub fn finish(self, sink: &mut Sink) {
        for (metadata, Distribution { said, files }) in self.0 {
            let Some((name, version, anchor)) = said else { continue };
            let egg = anchor.as_bytes().ends_with(b".egg/EGG-INFO/PKG-INFO");
            let below = vec![if egg { parent(&metadata) } else { metadata }];
            sink.declare(Ecosystem::Python, name, version, &anchor, Owns { files, below, ..Owns::default() });
        }
    }

    fn add_files(&mut self, path: &LayerPath, files: PathList, sink: &mut Sink) {
        if let Some(distribution) = self.of(path, sink) {
            distribution.files = files;
        }
    }

    /// The distribution that a metadata file belongs to.
    fn of(&mut self, path: &LayerPath, sink: &mut Sink) -> Option<&mut Distribution> {
        let metadata = if path.as_bytes().ends_with(b".egg-info") { path.clone() } else { parent(path) };
        sink.room.spend(2 * path.as_bytes().len() + 128)?;
        Some(self.0.entry(metadata).or_default())
    }
}

fn parent(path: &LayerPath) -> LayerPath {
    LayerPath::clean(path.split().map_or(&[], |(directory, _)| directory))
}

/// A path from a list: relative to a base, or absolute.
fn under(base: &LayerPath, path: &[u8]) -> Option<Vec<u8>> {
    join(if path.starts_with(b"/") { b"" } else { base.as_bytes() }, path)
}

/// PyPA's "Names and normalization": lower case, and each run of `-`, `_` and `.` one hyphen.
fn normalize(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}
