//! The files of Docker's classic image store on this machine, and who may read them: this process, or one that root has
//! allowed it to start, which does nothing else.
//!
//! The directory belongs to root and also holds volumes and container settings. So a request can name only a layer, and
//! in it only its four documents and the regular files of its own content. The directory itself is hard-coded. Only
//! bytes are handed out, never an open file: its holder could reopen it for writing if its mode allows that and only
//! the directories above it do not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::beneath::Beneath;
use crate::layer::ReadAt;

/// The only directory read: Docker's default, unless somebody has moved it.
#[cfg(unix)]
const ROOT: &str = "/var/lib/docker";
/// The documents of a layer.
const DOCUMENTS: [&str; 4] = ["tar-split.json.gz", "cache-id", "diff", "parent"];
/// The name of the command that reads as root.
pub const READER: &str = "read-engine-store";
/// Maximum bytes of one request, and of one answer.
const MAX_REQUEST: u64 = 16 << 10;
const MAX_ANSWER: usize = 1 << 20;
/// Minimum bytes per read: a program's first bytes and what follows them.
const LEAST_READ: usize = 8 << 10;
/// Maximum bytes of a document that holds a name.
const MAX_NAME: usize = 128;

/// Reads the store in this process.
pub struct StoreFiles {
    root: Beneath,
}

impl StoreFiles {
    /// The store of this machine.
    ///
    /// # Errors
    /// If it does not exist, cannot be entered, or others than root may change it.
    #[cfg(unix)]
    pub fn open() -> io::Result<StoreFiles> {
        use std::os::unix::fs::MetadataExt as _;

        let mut path = std::path::PathBuf::new();
        for part in std::path::Path::new(ROOT).components() {
            path.push(part);
            let metadata = path.symlink_metadata()?;
            if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
                let why =
                    format!("{} is not a directory of root's that only root may change", path.display());
                return Err(io::Error::new(ErrorKind::PermissionDenied, why));
            }
        }
        let root = Beneath::new(&path);
        std::fs::read_dir(path.join("image/overlay2/layerdb/sha256"))?;
        Ok(StoreFiles { root })
    }

    /// Not supported elsewhere.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(unix))]
    pub fn open() -> io::Result<StoreFiles> {
        Err(ErrorKind::Unsupported.into())
    }

    fn open_file(&self, chain: &str, name: &LayerFile<'_>) -> io::Result<File> {
        if chain.len() != 64 || !chain.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let document = |document: &str| {
            self.root.open(format!("image/overlay2/layerdb/sha256/{chain}/{document}").as_bytes())
        };
        match name {
            LayerFile::Document(name) if DOCUMENTS.contains(name) => document(name),
            LayerFile::Document(_) => Err(ErrorKind::InvalidInput.into()),
            LayerFile::Content(path) => {
                let mut id = String::new();
                document("cache-id")?.take(MAX_NAME as u64).read_to_string(&mut id)?;
                let id = id.trim();
                if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(ErrorKind::InvalidData.into());
                }
                // A name cannot lead up: paths with `..` are rejected.
                self.root.open(&[format!("overlay2/{id}/diff/").as_bytes(), path].concat())
            }
        }
    }
}

/// What to read of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerFile<'a> {
    /// A document of the layer.
    Document(&'a str),
    /// A file of its content.
    Content(&'a [u8]),
}

/// Who reads the store.
pub enum StoreAccess {
    /// This process.
    Here(StoreFiles),
    /// Another process, as root.
    Root(Mutex<RootReader>),
}

/// A process that reads as root.
pub struct RootReader {
    /// It ends when its standard input does.
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A file of the store that is open, or will be read by name.
pub enum StoreFile<'a> {
    /// In this process.
    Here(File),
    /// In another one.
    Root(RootFile<'a>),
}

/// A file that is read as root, by name each time.
pub struct RootFile<'a> {
    reader: &'a Mutex<RootReader>,
    chain: String,
    is_content: bool,
    name: Vec<u8>,
    /// The last bytes read, and their offset: most files are read at one place, in small steps.
    read: (u64, Vec<u8>),
}

impl StoreAccess {
    /// Opens a file of a layer.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(&self, chain: &str, name: LayerFile<'_>) -> io::Result<StoreFile<'_>> {
        match self {
            StoreAccess::Here(files) => files.open_file(chain, &name).map(StoreFile::Here),
            StoreAccess::Root(reader) => {
                let (is_content, name) = match name {
                    LayerFile::Document(name) => (false, name.as_bytes()),
                    LayerFile::Content(name) => (true, name),
                };
                let (chain, name, read) = (chain.to_owned(), name.to_vec(), (0, Vec::new()));
                Ok(StoreFile::Root(RootFile { reader, chain, is_content, name, read }))
            }
        }
    }

    /// A short document of a layer.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn document(&self, chain: &str, name: &str) -> io::Result<String> {
        let mut content = vec![0; MAX_NAME];
        let read = self.open(chain, LayerFile::Document(name))?.read_at(&mut content, 0)?;
        content.truncate(read);
        String::from_utf8(content).map_err(|_| ErrorKind::InvalidData.into())
    }
}

impl ReadAt for StoreFile<'_> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            StoreFile::Here(file) => file.read_at(buffer, offset),
            StoreFile::Root(file) => file.read_at(buffer, offset),
        }
    }
}

impl ReadAt for RootFile<'_> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let known = |(start, bytes): &(u64, Vec<u8>)| {
            let skip = usize::try_from(offset.checked_sub(*start)?).ok()?;
            Some(skip).filter(|skip| *skip < bytes.len())
        };
        let skip = match known(&self.read) {
            Some(skip) => skip,
            None => {
                let mut bytes = std::mem::take(&mut self.read.1);
                bytes.resize(buffer.len().clamp(LEAST_READ, MAX_ANSWER), 0);
                let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
                let read = reader.read_at(&self.chain, self.is_content, &self.name, offset, &mut bytes)?;
                bytes.truncate(read);
                self.read = (offset, bytes);
                0
            }
        };
        let known = self.read.1.get(skip..).unwrap_or_default();
        let count = known.len().min(buffer.len());
        buffer[..count].copy_from_slice(&known[..count]);
        Ok(count)
    }
}

impl RootReader {
    /// Starts this program as root, if that needs no password.
    ///
    /// # Errors
    /// If it cannot be started, or cannot read the store.
    pub fn start() -> io::Result<RootReader> {
        let mut command = Command::new("sudo");
        command.arg("-n").arg("--").arg(std::env::current_exe()?).arg(READER);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let mut reader = RootReader { child, requests, answers: BufReader::new(answers) };
        // First it reports whether the store can be read.
        match reader.answer(&mut []) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(reader.last_words()),
            Err(error) => Err(error),
            Ok(_) => Ok(reader),
        }
    }

    /// What sudo said.
    fn last_words(&mut self) -> io::Error {
        let mut said = String::new();
        if let Some(errors) = self.child.stderr.take() {
            let _ = errors.take(1024).read_to_string(&mut said);
        }
        io::Error::other(said.lines().next().unwrap_or("sudo has ended").to_owned())
    }

    fn read_at(
        &mut self,
        chain: &str,
        is_content: bool,
        name: &[u8],
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let most = buffer.len().min(MAX_ANSWER);
        let kind = if is_content { "content" } else { "document" };
        let mut request = format!("{kind} {chain} {offset} {most} {}\n", name.len()).into_bytes();
        request.extend_from_slice(name);
        self.requests.write_all(&request)?;
        self.requests.flush()?;
        self.answer(&mut buffer[..most])
    }

    /// A status byte (0 for content, else 1), the length, and that many bytes.
    fn answer(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut head = [0; 5];
        self.answers.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if head[0] != 0 {
            let mut error = String::new();
            self.answers.by_ref().take(length.min(MAX_ANSWER) as u64).read_to_string(&mut error)?;
            return Err(io::Error::other(error));
        }
        let content = buffer.get_mut(..length).ok_or(ErrorKind::InvalidData)?;
        self.answers.read_exact(content)?;
        Ok(length)
    }
}

/// Answers the requests from standard input on standard output until the input ends. This is all that runs as root.
///
/// # Errors
/// If nobody is listening any more.
pub fn serve(requests: impl Read, mut answers: impl Write) -> io::Result<()> {
    let files = StoreFiles::open();
    send(&mut answers, &files.as_ref().map(|_| Vec::new()).map_err(ToString::to_string))?;
    let Ok(files) = files else { return Ok(()) };
    let mut requests = BufReader::new(requests);
    loop {
        let mut line = Vec::new();
        requests.by_ref().take(MAX_REQUEST).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let Some(request) = StoreRequest::parse(&line) else { return Err(ErrorKind::InvalidInput.into()) };
        let mut name = vec![0; request.name];
        requests.read_exact(&mut name)?;
        let answer = request.answer(&files, &name).map_err(|error| error.to_string());
        send(&mut answers, &answer)?;
    }
}

fn send(answers: &mut impl Write, answer: &Result<Vec<u8>, String>) -> io::Result<()> {
    let (kind, content) = match answer {
        Ok(content) => (0, content.as_slice()),
        Err(error) => (1, error.as_bytes()),
    };
    answers.write_all(&[kind])?;
    answers.write_all(&u32::try_from(content.len()).map_err(io::Error::other)?.to_be_bytes())?;
    answers.write_all(content)?;
    answers.flush()
}

/// A request to the process that reads as root.
struct StoreRequest {
    is_content: bool,
    chain: String,
    offset: u64,
    length: usize,
    /// The length in bytes of the name that follows.
    name: usize,
}

impl StoreRequest {
    fn parse(line: &[u8]) -> Option<StoreRequest> {
        let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let [kind, chain, offset, length, name] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let is_content = match kind {
            "content" => true,
            "document" => false,
            _ => return None,
        };
        let (length, name): (usize, usize) = (length.parse().ok()?, name.parse().ok()?);
        let fits = length <= MAX_ANSWER && name as u64 <= MAX_REQUEST;
        let request =
            StoreRequest { is_content, chain: chain.to_owned(), offset: offset.parse().ok()?, length, name };
        fits.then_some(request)
    }

    fn answer(&self, files: &StoreFiles, name: &[u8]) -> io::Result<Vec<u8>> {
        let name = match self.is_content {
            true => LayerFile::Content(name),
            false => LayerFile::Document(std::str::from_utf8(name).map_err(|_| ErrorKind::InvalidInput)?),
        };
        let mut file = files.open_file(&self.chain, &name)?;
        let mut content = vec![0; self.length];
        let read = file.read_at(&mut content, self.offset)?;
        content.truncate(read);
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_or_refused() {
        let chain = "a".repeat(64);
        let request = |line: &str| StoreRequest::parse(line.as_bytes());
        let read = request(&format!("content {chain} 512 1024 9\n")).unwrap();
        assert!(read.is_content && read.offset == 512 && read.length == 1024 && read.name == 9);
        for line in [
            format!("content {chain} 0 1048577 9\n"),
            format!("content {chain} 0 10 16385\n"),
            format!("content {chain} -1 10 5\n"),
            format!("content {chain} 0 10 5"),
            format!("write {chain} 0 10 5\n"),
            "content\n".into(),
        ] {
            assert!(request(&line).is_none(), "{line}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nothing_but_layers_has_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let (root, chain) = (directory.path(), "0123456789abcdef".repeat(4));
        let layer = root.join("image/overlay2/layerdb/sha256").join(&chain);
        let diff = root.join("overlay2/q7z/diff");
        for made in [&layer, &diff.join("etc"), &root.join("volumes/secret"), &root.join("containers")] {
            std::fs::create_dir_all(made).unwrap();
        }
        std::fs::write(layer.join("cache-id"), "q7z").unwrap();
        std::fs::write(layer.join("diff"), "sha256:ab").unwrap();
        std::fs::write(layer.join("size"), "12").unwrap();
        std::fs::write(diff.join("etc/passwd"), "of the image").unwrap();
        std::fs::write(root.join("overlay2/q7z/lower"), "l/AB").unwrap();
        std::fs::write(root.join("volumes/secret/key"), "secret").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", diff.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", diff.join("directory")).unwrap();
        let files = StoreFiles { root: Beneath::new(root) };
        let open = |name: LayerFile<'_>| files.open_file(&chain, &name).is_ok();
        assert!(open(LayerFile::Document("diff")) && open(LayerFile::Content(b"./etc/passwd")));
        assert!(open(LayerFile::Content(b"/etc/passwd")), "it is the layer's own");
        for name in ["size", "../../../../volumes/secret/key", "", "cache-id/", "parent"] {
            assert!(!open(LayerFile::Document(name)), "{name}");
        }
        for name in ["link", "directory/passwd", "../lower", "etc/../../lower", "..", "", "etc", "/"] {
            assert!(!open(LayerFile::Content(name.as_bytes())), "{name}");
        }
        for id in ["../../volumes/secret", "q7z/../q7z", "", "l", "a b"] {
            std::fs::write(layer.join("cache-id"), id).unwrap();
            assert!(!open(LayerFile::Content(b"etc/passwd")), "{id}");
        }
        for chain in ["..", "", &chain.to_uppercase(), &format!("{}/..", &chain[3..]), &chain[1..]] {
            assert!(files.open_file(chain, &LayerFile::Document("diff")).is_err(), "{chain}");
        }
    }
}
