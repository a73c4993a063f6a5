//! Opens files whose paths come from users. A device has no end, a named pipe may have no writer, and a file may have
//! any length.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

/// How long a pipe may be silent before a notice.
const PATIENCE: Duration = Duration::from_secs(1);

/// Called when a pipe is waited for.
static NOTICE: OnceLock<fn(&Path)> = OnceLock::new();

/// Sets the function that reports waiting for a named pipe; once per program.
pub fn on_waiting(notice: fn(&Path)) {
    let _ = NOTICE.set(notice);
}

/// While this exists, the program waits for the first bytes of a named pipe, and reports it after a while.
pub struct Waiting(#[allow(dead_code, reason = "its end is what the thread sees")] Option<Sender<()>>);

impl Waiting {
    /// Starts to wait, if the path is a pipe.
    pub fn on(path: &Path) -> Waiting {
        let Some(notice) = NOTICE.get().filter(|_| is_pipe(path)) else { return Waiting(None) };
        let (sender, done) = mpsc::channel();
        let path = PathBuf::from(path);
        let wait = move || {
            if done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                notice(&path);
            }
        };
        Waiting(thread::Builder::new().spawn(wait).ok().map(|_| sender))
    }
}

/// Whether a path is a pipe: a named one, or a shell's `<(…)`.
pub fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| kind_of(&metadata) == SpecialFile::Pipe)
}

/// Opens a file or pipe for reading; waits for the pipe's writer.
///
/// # Errors
/// For a device or a kernel file system's file, and if opening fails.
pub fn open(path: &Path) -> io::Result<File> {
    let _waiting = Waiting::on(path);
    if kind_of(&path.metadata()?) == SpecialFile::Device {
        return Err(unfit("it is a device, not a file"));
    }
    if is_of_kernel(path) {
        return Err(unfit("it is not a file on disk: the kernel generates its content, which may never end"));
    }
    File::open(path)
}

/// Opens a regular file for reading.
///
/// # Errors
/// For a directory, a pipe, a device or a kernel file system's file, and if opening fails.
pub fn open_regular(path: &Path) -> io::Result<File> {
    match path.metadata()?.is_file() {
        true => open(path),
        false => Err(unfit("it is not a regular file")),
    }
}

/// Reads a file or pipe to its end.
///
/// # Errors
/// If it has more than `most` bytes, for a device, and if reading fails.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let _waiting = Waiting::on(path);
    let mut content = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(unfit(&format!("it has over {most} bytes")));
    }
    Ok(content)
}

/// Opens a file for appending; creates it if needed.
///
/// # Errors
/// For a pipe, because writing to it may block forever, and if opening fails.
pub fn append(path: &Path) -> io::Result<File> {
    check_written(path)?;
    OpenOptions::new().create(true).append(true).open(path)
}

/// Whether a path may be written to as a file: it is one, or does not exist yet.
///
/// # Errors
/// For a pipe, which may have no reader. Devices are allowed: `/dev/stdout`, `/dev/null`.
pub fn check_written(path: &Path) -> io::Result<()> {
    match path.metadata().map(|metadata| kind_of(&metadata)) {
        Ok(SpecialFile::Pipe) => Err(unfit("it is a pipe, and nothing may be reading it; name a file")),
        _ => Ok(()),
    }
}

/// Whether a path is in a kernel file system: `/proc/kmsg` and `trace_pipe` look like files, but reading them may wait
/// forever. Link targets, such as standard input, are elsewhere.
#[cfg(target_os = "linux")]
fn is_of_kernel(path: &Path) -> bool {
    // proc, sysfs, debugfs and tracefs (linux/magic.h).
    const KERNEL: [i128; 4] = [0x9fa0, 0x6265_6572, 0x6462_6720, 0x7472_6163];
    rustix::fs::statfs(path).is_ok_and(|found| KERNEL.iter().any(|magic| *magic == i128::from(found.f_type)))
}

#[cfg(not(target_os = "linux"))]
fn is_of_kernel(_: &Path) -> bool {
    false
}

fn unfit(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpecialFile {
    Pipe,
    Device,
    Other,
}

#[cfg(unix)]
fn kind_of(metadata: &Metadata) -> SpecialFile {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    match kind {
        _ if kind.is_fifo() => SpecialFile::Pipe,
        _ if kind.is_char_device() || kind.is_block_device() => SpecialFile::Device,
        _ => SpecialFile::Other,
    }
}

#[cfg(not(unix))]
fn kind_of(_: &Metadata) -> SpecialFile {
    SpecialFile::Other
}
