//! From a layer blob to its file list, in one pass and with limited memory.

use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use super::compression::{Compression, wait_for_memory};
use super::input::{Forward, Meter, PlainInput, ReadAt, Window};
use super::safety::{Account, Budget, Entries, PackedReader, Purpose, Refusal, ScanBudget, UnpackedReader};
use super::tar::{EntryKind, TarEntry, TarError, TarWalker};
use crate::image::digest::Algorithm;
use crate::image::file_list::Contents;
use crate::image::{Bytes, DiffId, Digest, Entry, FileList, LayerPath};
use crate::marks::{self, FileRole, elf};
use crate::packages::golang::{self, GoScanner, Module};
use crate::packages::zip::Passing;
use crate::packages::{self, Unread, WantedPackageFile, cargo};

/// How much of a blob is read at once.
const CHUNK: usize = 128 * 1024;
/// How a program begins (System V ABI, "ELF Identification").
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// A layer that could not be read. The caller adds which layer of which image it was.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The tar inside is cut off, damaged or over a safety limit.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The compressed bytes are damaged.
    #[error("the {format} data is corrupt or cut off: {source}")]
    Corrupt {
        /// Which: `gzip`, `zstd`, `xz` or `bzip2`.
        format: &'static str,
        /// What the decoder says.
        source: io::Error,
    },
    /// The compressed bytes are damaged, or need more memory than the large archive around them leaves.
    #[error(
        "the {format} data is corrupt or needs too much memory beside that of the archive, which is compressed too \
         ({source}); decompress the archive first"
    )]
    LargeInLarge {
        /// Which: `zstd` or `xz`.
        format: &'static str,
        /// What the decoder says.
        source: io::Error,
    },
    /// The blob is neither a tar nor compressed in a known way.
    #[error("it is not a tar, nor one compressed with gzip, zstd, xz or bzip2")]
    UnknownFormat,
    /// The files claim more bytes than can be counted.
    #[error("refused: its files claim over {} bytes", Bytes::MAX.grouped())]
    TooLarge,
    /// The layer, or the image as a whole, is over a safety limit.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// Reading failed.
    #[error("{0}")]
    Read(#[source] io::Error),
}

impl From<io::Error> for LayerError {
    fn from(error: io::Error) -> LayerError {
        match Refusal::of(&error) {
            Some(refusal) => LayerError::Refused(refusal.clone()),
            None => LayerError::Read(error),
        }
    }
}

/// What one pass over a layer blob finds.
#[derive(Debug, Clone)]
pub struct WalkedLayer {
    /// The layer's files.
    pub file_list: Arc<FileList>,
    /// The content of each file that has any, if it was asked for.
    pub contents: Contents,
    /// `layer.size` in the totals.
    pub size: Bytes,
    /// How the blob is compressed.
    pub compression: Compression,
    /// The blob's bytes.
    pub stored: Bytes,
    /// The hash of the tar, if all of its bytes were read.
    pub diff_id: Option<DiffId>,
    /// The hash of the blob, if all of its bytes were read.
    pub digest: Option<Digest>,
}

/// The algorithms to hash a blob and its tar with: those of the names that the hashes are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hashing {
    /// The blob, for its digest.
    pub blob: Algorithm,
    /// The tar, for its diff ID.
    pub tar: Algorithm,
}

/// Walks a layer blob in a file, or in a source that is read like one. A plain tar's content is seeked over. Nothing is
/// hashed unless `hashing` asks for it.
///
/// # Errors
/// [`LayerError`].
pub fn walk_window<S: ReadAt + Send>(
    mut window: Window<S>,
    length: u64,
    budget: &Budget,
    hashing: Option<Hashing>,
) -> Result<WalkedLayer, LayerError> {
    let plain = Compression::sniff(window.peek()?) == Some(Compression::None);
    if !plain || hashing.is_some() {
        return walk(&mut window, budget, hashing);
    }
    let account = budget.account();
    account.earn(length);
    walk_headers(window, length, budget, &account)
}

/// Walks a plain tar of `length` bytes by its headers, without hashing it; its bytes are charged to an account that
/// others may use too.
pub(super) fn walk_headers(
    tar: impl Forward,
    length: u64,
    budget: &Budget,
    account: &Arc<Account>,
) -> Result<WalkedLayer, LayerError> {
    let (file_list, contents, _) = take_file_list(tar, budget, account)?;
    let size = file_list.size().ok_or(LayerError::TooLarge)?;
    Ok(WalkedLayer {
        file_list: file_list.into(),
        contents,
        size,
        compression: Compression::None,
        stored: Bytes(length),
        diff_id: None,
        digest: None,
    })
}

/// Walks a layer blob in a stream, reads it to its end and hashes it on the way.
///
/// # Errors
/// [`LayerError`].
pub fn walk_stream(
    mut input: impl Read + Send,
    budget: &Budget,
    hashing: Hashing,
) -> Result<WalkedLayer, LayerError> {
    walk(&mut input, budget, Some(hashing))
}

fn walk(
    mut input: &mut (dyn Read + Send),
    budget: &Budget,
    hashing: Option<Hashing>,
) -> Result<WalkedLayer, LayerError> {
    let mut head = Vec::new();
    (&mut input).take(512).read_to_end(&mut head)?;
    let compression = Compression::sniff(&head).ok_or(LayerError::UnknownFormat)?;
    let account = budget.account();
    let blob = PackedReader::new(head.as_slice().chain(input), budget, &account);
    let mut blob = BufReader::with_capacity(CHUNK, Meter::new(blob, hashing.map(|by| by.blob)));
    let packed = compression != Compression::None;
    // A plain tar's digest is its diff ID, unless they use different algorithms.
    let tar_by = hashing.filter(|by| packed || by.blob != by.tar).map(|by| by.tar);

    let (file_list, contents, tar_hash) = {
        let is_large = compression.is_large(&head);
        // A large archive around this layer waits for it.
        let may_be_large = is_large && !budget.is_in_large();
        let _alone = may_be_large.then(wait_for_memory);
        let uncompressed = compression
            .reader(Box::new(&mut blob), may_be_large)
            .map_err(|error| blame(compression, error))?;
        let uncompressed = UnpackedReader::new(uncompressed, budget, &account, packed);
        let tar = PlainInput(Meter::new(uncompressed, tar_by));
        let (mut file_list, contents, mut rest) = take_file_list(tar, budget, &account).map_err(|error| {
            match blame_decoder(compression, error) {
                LayerError::Corrupt { format, source } if is_large && !may_be_large => {
                    LayerError::LargeInLarge { format, source }
                }
                other => other,
            }
        })?;
        // The bytes after the tar's end are part of the hash, and of the decoder's own check.
        let mut after = AfterEnd::default();
        io::copy(&mut rest, &mut after).map_err(|error| blame(compression, error))?;
        file_list.estargz = packed && after.name == TOC;
        (file_list, contents, rest.0.finish().1)
    };
    io::copy(&mut blob, &mut io::sink())?;
    let (stored, blob_hash) = blob.into_inner().finish();

    let size = file_list.size().ok_or(LayerError::TooLarge)?;
    Ok(WalkedLayer {
        file_list: file_list.into(),
        contents,
        size,
        compression,
        stored: Bytes(stored),
        diff_id: tar_hash.or_else(|| blob_hash.clone()).map(DiffId::of_hash),
        digest: blob_hash.map(Digest::of_hash),
    })
}

/// BuildKit's eStargz keeps the tar as it is, and adds the table of contents as an entry after its end
/// (stargz-snapshotter, docs/estargz.md; `AppendTarLossLess`).
const TOC: &[u8] = b"stargz.index.json\0";

/// Takes what follows a tar's end, and keeps the start of the first header there.
#[derive(Default)]
struct AfterEnd {
    name: Vec<u8>,
}

impl Write for AfterEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let start = if self.name.is_empty() { bytes.iter().position(|byte| *byte != 0) } else { Some(0) };
        let room = TOC.len() - self.name.len();
        self.name.extend(start.into_iter().flat_map(|start| &bytes[start..]).take(room));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn take_file_list<R: Forward>(
    input: R,
    budget: &Budget,
    account: &Arc<Account>,
) -> Result<(FileList, Contents, R), LayerError> {
    let mut walker = TarWalker::new(input, &budget.bounds);
    let mut entries = Vec::new();
    let mut spent = Entries::new(budget, account);
    let mut found = ContentFindings::new(budget, account);
    let mut contents = Vec::new();
    while let Some(entry) = walker.next_entry()? {
        spent.spend((entry.path.len() + entry.link.len()) as u64, entry.headers)?;
        if let EntryKind::Other(flag) = entry.kind {
            return Err(unknown_type(&entry, flag).into());
        }
        let Some(listed) = file_list_entry(&entry) else { continue };
        if let Entry::File(path, _) = &listed {
            // The stored bytes of a sparse file are not its content.
            let whole = !entry.sparse;
            let hashed = budget.contents && whole && entry.size > 0;
            if hashed {
                walker.hash_content();
            }
            if !whole
                && let Some(WantedPackageFile::Nothing(why)) = WantedPackageFile::of_sparse(path.as_bytes())
            {
                found.packages.unread(path, why);
            }
            if whole {
                look_inside(&mut walker, &entry, entries.len() as u32, path, &mut found)?;
            }
            if hashed {
                let hash = walker.content_hash()?;
                contents.push((entries.len() as u32, *hash.first_chunk().unwrap_or(&[0; 16])));
            }
        }
        entries.push(listed);
    }
    spent.finish()?;
    entries.shrink_to_fit();
    let mut file_list = FileList::of(entries);
    found.packages.finish(&file_list).add_to(&mut file_list);
    file_list.marks = (!found.scan.cut_short).then(|| found.marks.finish());
    Ok((file_list, contents.into(), walker.into_inner()))
}

/// What the content of a layer's files revealed.
struct ContentFindings<'a> {
    packages: packages::PackageCollector,
    marks: marks::MarkCollector,
    scan: ScanBudget<'a>,
}

impl<'a> ContentFindings<'a> {
    fn new(budget: &'a Budget, account: &Arc<Account>) -> ContentFindings<'a> {
        let packages = packages::PackageCollector::new(budget.package_room(account));
        ContentFindings { packages, marks: marks::MarkCollector::default(), scan: ScanBudget::new(budget) }
    }
}

/// Reads what a file says about packages, secrets and development, if it is a kind of file that does. `index` is its
/// index in the file list.
fn look_inside<R: Forward>(
    walker: &mut TarWalker<R>,
    entry: &TarEntry,
    index: u32,
    path: &LayerPath,
    found: &mut ContentFindings<'_>,
) -> Result<(), TarError> {
    let executable = entry.mode & 0o111 != 0;
    let wanted = (
        WantedPackageFile::of(path.as_bytes(), entry.size, executable),
        marks::WantedMarkFile::of(path.as_bytes(), entry.size, executable),
    );
    if matches!(wanted, (None, None)) || !walker.is_readable()? {
        return Ok(());
    }
    match wanted {
        (Some(WantedPackageFile::Content { database, length }), _) => {
            if !found.packages.may_read(length) {
                // The image has too many packages; none are kept.
            } else if found.scan.spend(Purpose::Packages, length) {
                found.packages.take(database, path, walker.read_content(length)?);
            } else {
                found.packages.unread(path, Unread::TooMuch);
            }
        }
        (Some(WantedPackageFile::Archive), _) => {
            let mut content = ArchiveContent { walker, failed: None };
            found.packages.take_archive(path, &mut content);
            content.failed.map_or(Ok(()), Err)?;
        }
        (Some(WantedPackageFile::Nothing(why)), _) => found.packages.unread(path, why),
        // What a file is by its name takes precedence over what it may be by its mode.
        (_, Some(marks::WantedMarkFile::Content { document, length })) => {
            let secret = matches!(document, FileRole::Secret(_));
            let purpose = if secret { Purpose::Secret } else { Purpose::Development };
            if found.scan.spend(purpose, length) {
                found.marks.take(document, index, path, &walker.read_content(length)?);
            }
        }
        (module, symbols) => {
            let program = look_into_program(walker, entry.size, module.is_some(), symbols.is_some())?;
            program.module.iter().for_each(|module| found.packages.take_program(path, module));
            program
                .main_crate
                .into_iter()
                .for_each(|found_crate| found.packages.take_crate(path, found_crate));
            found.marks.take_program(index, program.symbols);
        }
    }
    Ok(())
}

/// The content of an archive. Its reader need not tell a damaged archive from a damaged layer: the latter's error is
/// kept here.
struct ArchiveContent<'a, R> {
    walker: &'a mut TarWalker<R>,
    failed: Option<TarError>,
}

impl<R: Forward> Read for ArchiveContent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.walker.content().read(buffer);
        read.map_err(|error| {
            let kind = error.kind();
            self.failed = Some(self.walker.read_error(error));
            kind.into()
        })
    }
}

impl<R: Forward> Passing for ArchiveContent<'_, R> {
    fn pass(&mut self, count: u64) -> io::Result<()> {
        if count > self.walker.left() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.walker.skip_content(count).map_err(|error| {
            self.failed = Some(error);
            io::ErrorKind::Other.into()
        })
    }
}

/// What a program says about itself.
#[derive(Default)]
struct ProgramFile {
    module: Option<Module>,
    main_crate: Option<cargo::Crate>,
    /// The bytes that `strip` would remove.
    symbols: u64,
}

/// Reads the first bytes of a program, and then, in file order, whatever part is asked for next: for a Go program its
/// build information, for other programs the part where Rust keeps its crate list, and for all of them the section
/// table.
fn look_into_program<R: Forward>(
    walker: &mut TarWalker<R>,
    size: u64,
    module: bool,
    symbols: bool,
) -> Result<ProgramFile, TarError> {
    let mut head = walker.read_content(ELF_MAGIC.len() as u64)?;
    if head != ELF_MAGIC {
        return Ok(ProgramFile::default());
    }
    head.extend(walker.read_content((golang::HEAD - ELF_MAGIC.len()) as u64)?);
    // What a Rust program says counts only if the section table has a section for it.
    let mut main_crate =
        cargo::CrateScanner::new(&head).filter(|_| module && symbols && !golang::looks_like_go(&head));
    let mut module = GoScanner::new(&head).filter(|_| module);
    let mut symbols = elf::SectionScanner::new(&head, size).filter(|_| symbols);
    let (mut at, mut bytes) = (0, head);
    while !bytes.is_empty() {
        if let Some(scanner) = &mut module {
            scanner.feed(at, &bytes);
        }
        if let Some(scanner) = &mut main_crate {
            scanner.feed(at, &bytes);
        }
        if let Some(scanner) = &mut symbols {
            scanner.feed(at, &bytes);
        }
        at += bytes.len() as u64;
        let wanted = [
            module.as_ref().and_then(GoScanner::wanted),
            main_crate.as_ref().and_then(cargo::CrateScanner::wanted),
            symbols.as_ref().and_then(elf::SectionScanner::wanted),
        ];
        let Some(next) = wanted.into_iter().flatten().min_by_key(|next| next.start) else { break };
        walker.skip_content(next.start.saturating_sub(at))?;
        at = at.max(next.start);
        bytes = walker.read_content(next.end.saturating_sub(at).min(CHUNK as u64))?;
    }
    let is_section = |place: &Range<u64>| symbols.as_ref().is_some_and(|symbols| symbols.has_section(place));
    let main_crate = main_crate.and_then(|scanner| scanner.finish(is_section));
    let module = module.and_then(GoScanner::finish);
    Ok(ProgramFile { module, main_crate, symbols: symbols.map_or(0, elf::SectionScanner::finish) })
}

/// What a tar entry means in a layer; `None` for a name that engines ignore. Only the last part of a name makes a
/// whiteout: below a directory called `.wh..wh.plnk` files are files.
fn file_list_entry(entry: &TarEntry) -> Option<Entry> {
    let path = LayerPath::clean(&entry.path);
    if let Some((parent, name)) = path.split()
        && let Some(hidden) = name.strip_prefix(b".wh.")
    {
        return match hidden {
            b".wh..opq" => Some(Entry::Opaque(LayerPath::clean(parent))),
            // A name that would refer to the directory itself or to its parent hides nothing.
            b"" | b"." | b".." => None,
            hidden if hidden.starts_with(b".wh.") => None,
            hidden => Some(Entry::Whiteout(LayerPath::clean(&[parent, b"/", hidden].concat()))),
        };
    }
    Some(match entry.kind {
        EntryKind::File => Entry::File(path, Bytes(entry.size)),
        EntryKind::HardLink => Entry::HardLink(path, LayerPath::clean(&entry.link)),
        EntryKind::Symlink => Entry::Symlink(path),
        EntryKind::Dir => Entry::Dir(path),
        // The caller has already refused other types.
        EntryKind::Special | EntryKind::Other(_) => Entry::Special(path),
    })
}

/// No engine unpacks a layer with an entry of an unknown type (Docker, containerd and Podman: "unhandled tar header
/// type").
fn unknown_type(entry: &TarEntry, flag: u8) -> TarError {
    let offset = entry.offset.saturating_sub(512);
    let hint = match flag {
        b'D' => ", which GNU tar writes with --listed-incremental and no engine unpacks; write it without",
        _ => ", which no engine unpacks",
    };
    let flag = char::from(flag).escape_default();
    TarError::Malformed { offset, what: format!("an entry of unknown type `{flag}`{hint}") }
}

fn blame(compression: Compression, source: io::Error) -> LayerError {
    match compression {
        _ if Refusal::of(&source).is_some() => source.into(),
        Compression::None => LayerError::Read(source),
        packed => LayerError::Corrupt { format: packed.as_str(), source },
    }
}

/// A failing decoder shows up as a tar that cannot be read, or, at its end, as one that is cut off.
fn blame_decoder(compression: Compression, error: LayerError) -> LayerError {
    match error {
        LayerError::Tar(TarError::Read(source)) => blame(compression, source),
        LayerError::Tar(TarError::Truncated(at)) if compression != Compression::None => {
            let what = format!("it ends after byte {at} of the uncompressed tar");
            blame(compression, io::Error::new(io::ErrorKind::UnexpectedEof, what))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estargz_is_told_by_what_follows_the_end_of_the_tar() {
        let tar = |names: &[&str]| {
            let mut tar = tar::Builder::new(Vec::new());
            for name in names {
                let mut header = tar::Header::new_gnu();
                header.set_size(3);
                tar.append_data(&mut header, name, &b"abc"[..]).unwrap();
            }
            tar.into_inner().unwrap()
        };
        let walked = |tar: &[u8]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(tar).unwrap();
            let blob = gzip.finish().unwrap();
            walk_stream(&blob[..], &Budget::default(), Hashing::default()).unwrap().file_list
        };
        let plain = walked(&tar(&["a"]));
        let packed = walked(&[tar(&["a"]), tar(&["stargz.index.json"])].concat());
        assert_eq!(packed.entries, plain.entries);
        assert!(packed.estargz && !plain.estargz);
        assert!(!walked(&[tar(&["a"]), tar(&["stargz.index.json2"])].concat()).estargz);
    }
}
