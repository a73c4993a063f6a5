//! Opens files below a directory whose content others have written. No symlink is followed in any part of the path, so
//! nothing outside the directory can be reached.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A directory that cannot be escaped.
pub struct Beneath(PathBuf);

impl Beneath {
    /// Opens nothing yet.
    pub fn new(directory: &Path) -> Beneath {
        Beneath(directory.into())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Opens a regular file by its path below the directory.
    ///
    /// # Errors
    /// When it cannot be opened, is reached through a link or `..`, or is not a regular file.
    #[cfg(unix)]
    pub fn open(&self, name: &[u8]) -> io::Result<File> {
        use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};

        let parts: Vec<&[u8]> =
            name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        let Some((last, parents)) = parts.split_last() else { return Err(ErrorKind::InvalidInput.into()) };
        if parts.contains(&&b".."[..]) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut directory = openat(CWD, &self.0, flags | OFlags::DIRECTORY, Mode::empty())?;
        for part in parents {
            directory = openat(&directory, *part, flags | OFlags::DIRECTORY, Mode::empty())?;
        }
        let is_file = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
        let no_file = || io::Error::new(ErrorKind::InvalidInput, "it is no regular file");
        // An image may hold pipes and devices: opening a pipe would block, and opening a device may do anything.
        if !is_file(statat(&directory, *last, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) {
            return Err(no_file());
        }
        let file = File::from(openat(&directory, *last, flags | OFlags::NONBLOCK, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
    }

    /// Layer stores exist on Unix only.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(unix))]
    pub fn open(&self, _: &[u8]) -> io::Result<File> {
        Err(ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_the_directory_is_reached() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("diff");
        fs::create_dir_all(inside.join("usr/bin")).unwrap();
        fs::write(directory.path().join("secret"), "s").unwrap();
        fs::write(inside.join("usr/bin/app"), "a").unwrap();
        symlink("../secret", inside.join("file")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("usr", inside.join("other")).unwrap();
        let mut pipe = std::process::Command::new("mkfifo");
        assert!(pipe.arg(inside.join("pipe")).status().unwrap().success());
        let below = Beneath::new(&inside);
        assert!(below.open(b"./usr//bin/app").is_ok());
        for name in [
            &b"file"[..],
            b"up/secret",
            b"../secret",
            b"usr/../../secret",
            b"other/bin/app",
            b"usr",
            b"pipe",
            b"",
        ] {
            assert!(below.open(name).is_err(), "{}", String::from_utf8_lossy(name));
        }
    }
}
