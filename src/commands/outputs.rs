//! The files that a command writes: all different, and none that it reads. Overwritten data would be lost, so this is
//! checked before anything is measured.

use std::path::{Path, PathBuf};

use super::publish::FILES;
use super::{UsageError, lines_of};
use crate::cli::{BuildFlags, OutputFlags};
use crate::source::NamedImage;

/// The files that a command names.
#[derive(Default)]
pub struct NamedFiles<'a> {
    /// Files to write, each with its option.
    written: Vec<(&'static str, &'a Path)>,
    /// Files to read.
    read: Vec<PathBuf>,
}

impl<'a> NamedFiles<'a> {
    /// Adds a file to write.
    pub fn writes(mut self, option: &'static str, path: Option<&'a PathBuf>) -> NamedFiles<'a> {
        self.written.extend(path.map(|path| (option, path.as_path())));
        self
    }

    /// Adds the files of a report.
    pub fn writes_all(self, flags: &'a OutputFlags) -> NamedFiles<'a> {
        let report = self.writes("--report", flags.report.as_ref());
        FILES.iter().fold(report, |all, file| all.writes(file.option, (file.path)(flags)))
    }

    /// Adds files to read.
    pub fn reads(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> NamedFiles<'a> {
        self.read.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Adds the files of images.
    pub fn reads_images<'i>(self, images: impl IntoIterator<Item = &'i NamedImage>) -> NamedFiles<'a> {
        let images = images.into_iter().filter(|image| !image.image.is_standard_input());
        self.reads(images.filter_map(|image| image.image.path()))
    }

    /// Adds the files that describe builds.
    pub fn reads_build(self, flags: &BuildFlags) -> NamedFiles<'a> {
        let metadata = lines_of(&flags.stage.build_metadata);
        let metadata = metadata.map(|line| line.split_once('=').map_or(line, |(_, path)| path));
        self.reads(flags.dockerfile.iter()).reads(metadata)
    }

    /// Refuses to write twice to one file, or over a file that is read.
    ///
    /// # Errors
    /// [`UsageError`], which names both.
    pub fn check(&self) -> Result<(), UsageError> {
        for (index, (option, path)) in self.written.iter().enumerate() {
            if is_no_file(path) {
                continue;
            }
            if let Some((other, same)) = self.written[..index].iter().find(|(_, other)| is_same(other, path))
            {
                return Err(UsageError(format!(
                    "{other} {} and {option} {} are the same file; use a different file for each",
                    same.display(),
                    path.display()
                )));
            }
            if let Some(read) = self.read.iter().find(|read| is_same(read, path) || is_part(path, read)) {
                return Err(UsageError(format!(
                    "{option} {} would overwrite the input {}; write to another file",
                    path.display(),
                    read.display()
                )));
            }
        }
        Ok(())
    }
}

/// Devices and pipes can be written to any number of times.
fn is_no_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

fn is_same(one: &Path, other: &Path) -> bool {
    place(one) == place(other) || is_linked(one, other)
}

/// Whether a file belongs to a directory that holds an image.
fn is_part(path: &Path, directory: &Path) -> bool {
    path.is_file() && directory.is_dir() && place(path).starts_with(place(directory))
}

/// The target of a path, whether the file exists yet or not.
fn place(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize();
    match (parent, path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// Whether two paths name one file on the disk.
#[cfg(unix)]
fn is_linked(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let node = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    node(one).is_some_and(|one| node(other) == Some(one))
}

#[cfg(not(unix))]
fn is_linked(_: &Path, _: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_never_where_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("image.tar"), "x").unwrap();
        std::fs::hard_link(at("image.tar"), at("linked.tar")).unwrap();
        std::fs::create_dir(at("layout")).unwrap();
        std::fs::write(at("layout/index.json"), "x").unwrap();
        let check = |html: PathBuf, sarif: PathBuf| {
            let files = NamedFiles::default().reads([at("image.tar"), at("layout")]);
            let files = files.writes("--html", Some(&html)).writes("--sarif", Some(&sarif));
            files.check().map_err(|error| error.to_string())
        };
        let out = at("out");
        for (html, sarif, words) in [
            (out.clone(), out.clone(), "--html"),
            (out.clone(), at("layout/../out"), "are the same file"),
            (at("new/out"), at("new/./out"), "are the same file"),
            (at("image.tar"), out.clone(), "--html"),
            (out.clone(), at("layout/../image.tar"), "--sarif"),
            (out.clone(), at("linked.tar"), "would overwrite"),
            (at("layout/index.json"), out.clone(), "would overwrite"),
        ] {
            let said = check(html, sarif).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(check(out.clone(), at("other")), Ok(()));
        assert_eq!(check(at("layout/new"), out), Ok(()));
        let nothing = PathBuf::from("/dev/null");
        assert_eq!(check(nothing.clone(), nothing), Ok(()));
    }
}
