//! Java artifacts, from the `pom.properties` that Maven writes into each archive (Maven Archiver's documentation): in
//! libraries, in web archives, and in archives that hold others, such as Spring Boot's.

use std::io::Read;

use super::fields::lines;
use super::word;
use super::zip::{ArchiveBudget, Passing, ZipEntry, ZipError, ZipVisitor, each};
use crate::image::path::split;

/// Maximum depth of nested archives: a library in a web application in an enterprise application, and one more.
const MAX_DEPTH: u32 = 4;
/// Properties are three lines and a date.
const MAX_PROPERTIES: u64 = 16 * 1024;
/// Maximum properties of one archive, and maximum archives inside one file.
const MAX_POMS: usize = 2000;
const MAX_INSIDE: usize = 20_000;

/// The extensions of archives.
const ENDINGS: [&[u8]; 5] = [b".jar", b".war", b".ear", b".hpi", b".jpi"];

/// An artifact, as named in `pom.properties`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// `GROUP:ARTIFACT`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The artifact without its group.
    id: String,
}

/// What a file contains.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// The artifact that the file itself is.
    pub main: Option<Artifact>,
    /// The artifacts inside, each with its share of the file's bytes, as far as that is counted: artifacts that are
    /// deflated twice, or were copied in class by class, have none.
    pub inside: Vec<(Artifact, u64)>,
}

/// Whether a file of this name may be a Java archive.
pub fn is_archive(name: &[u8]) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Reads an archive as a stream. Returns what was found until reading failed, and why it failed.
pub fn read(name: &[u8], content: &mut dyn Passing, work: &mut ArchiveBudget) -> (Archive, Option<ZipError>) {
    let mut scan = JarScan { depth: MAX_DEPTH, is_counted: true, ..JarScan::default() };
    let error = each(content, work, &mut scan).err();
    let (main, copied) = tell_apart(scan.poms, name);
    scan.inside.extend(copied);
    (Archive { main, inside: scan.inside }, error)
}

#[derive(Default)]
struct JarScan {
    depth: u32,
    /// Whether archives inside have a share of the file's bytes.
    is_counted: bool,
    poms: Vec<Artifact>,
    inside: Vec<(Artifact, u64)>,
    /// The archive being read: its index among those inside, and the bytes of those inside it.
    current: Option<(usize, u64)>,
}

impl ZipVisitor for JarScan {
    fn wants(&self, entry: &ZipEntry) -> bool {
        is_properties(&entry.name) || self.depth > 0 && is_archive(&entry.name)
    }

    fn look(
        &mut self,
        entry: &ZipEntry,
        content: &mut dyn Passing,
        work: &mut ArchiveBudget,
    ) -> Result<(), ZipError> {
        self.current = None;
        if is_properties(&entry.name) {
            let mut properties = Vec::new();
            content.take(MAX_PROPERTIES).read_to_end(&mut properties)?;
            if self.poms.len() < MAX_POMS {
                self.poms.extend(artifact(&properties));
            }
            return Ok(());
        }
        let is_counted = self.is_counted && entry.is_stored();
        let mut scan = JarScan { depth: self.depth - 1, is_counted, ..JarScan::default() };
        // A damaged one is treated like any other file.
        if let Err(ZipError::TooMuch) = each(content, work, &mut scan) {
            return Err(ZipError::TooMuch);
        }
        let inner: u64 = scan.inside.iter().map(|(_, bytes)| *bytes).sum();
        self.inside.append(&mut scan.inside);
        let (main, copied) = tell_apart(scan.poms, split(&entry.name).1);
        if let Some(artifact) = main {
            self.current = self.is_counted.then_some((self.inside.len(), inner));
            self.inside.push((artifact, 0));
        }
        self.inside.extend(copied);
        if self.inside.len() > MAX_INSIDE { Err(ZipError::TooMuch) } else { Ok(()) }
    }

    fn passed(&mut self, stored: u64) {
        if let Some((index, inner)) = self.current.take()
            && let Some((_, bytes)) = self.inside.get_mut(index)
        {
            *bytes = stored.saturating_sub(inner);
        }
    }
}

fn is_properties(name: &[u8]) -> bool {
    name.strip_prefix(b"META-INF/maven/").is_some_and(|rest| {
        rest.split(|byte| *byte == b'/').count() == 3 && rest.ends_with(b"/pom.properties")
    })
}

/// Reads `key=value` lines (`java.util.Properties`).
fn artifact(properties: &[u8]) -> Option<Artifact> {
    let value = |key: &[u8]| {
        lines(properties).find_map(|line| {
            let rest = line.trim_ascii().strip_prefix(key)?.trim_ascii_start();
            word(rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b":"))?)
        })
    };
    let (group, id, version) = (value(b"groupId")?, value(b"artifactId")?, value(b"version")?);
    Some(Artifact { name: word(format!("{group}:{id}").as_bytes())?, version, id })
}

/// Which artifact an archive is, and which were copied into it class by class; the latter have no bytes of their own.
/// Among several, it is the one with the longest name that starts the file name. Their order does not tell: tools write
/// an archive's own properties first, last or not at all.
fn tell_apart(mut poms: Vec<Artifact>, file: &[u8]) -> (Option<Artifact>, Vec<(Artifact, u64)>) {
    let named = |(_, artifact): &(usize, &Artifact)| file.starts_with(artifact.id.as_bytes());
    let longest = poms.iter().enumerate().filter(named).max_by_key(|(_, artifact)| artifact.id.len());
    let main = longest.map(|(at, _)| at).or((poms.len() == 1).then_some(0));
    let main = main.map(|at| poms.swap_remove(at));
    (main, poms.into_iter().map(|artifact| (artifact, 0)).collect())
}
