//! Docker's classic image store on this machine (`overlay2`), read from its files: beside each layer lies its tar-split
//! document, which has every header of the layer's tar. So an image is measured without an export.
//!
//! Layers are found by their chain ID (OCI image specification), a hash of the layer and all below it, so what is read
//! belongs to the image that the engine has described.

use std::collections::HashMap;
use std::io::{self, Read};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::SourceError;
use super::blob::{LayerRequest, WalkResult, digest_of_name};
use super::store_files::{LayerFile, RootReader, StoreAccess, StoreFile, StoreFiles};
use crate::image::{DiffId, Digest};
use crate::layer::tar_split::{UncompressedFiles, walk_tar_split};
use crate::layer::{Budget, ReadAt, WalkedLayer};

/// Whether the files of a local engine's store are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineStoreUse {
    /// If this user may read them.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Also through a process that `sudo` starts as root.
    Sudo,
}

impl FromStr for EngineStoreUse {
    type Err = String;

    fn from_str(text: &str) -> Result<EngineStoreUse, String> {
        match text {
            "auto" => Ok(EngineStoreUse::Auto),
            "off" => Ok(EngineStoreUse::Off),
            "sudo" => Ok(EngineStoreUse::Sudo),
            _ => Err("expected one of \"auto\", \"off\", \"sudo\"".into()),
        }
    }
}

/// The layers of an image in the store.
pub struct EngineStore {
    access: StoreAccess,
    /// The chain ID of each layer, by its diff ID's hexadecimal digits.
    chains: HashMap<String, String>,
    layers_read: AtomicUsize,
}

impl EngineStore {
    /// Finds the layers of an image. `None` if the store is not to be read, or if an optional attempt fails: it may be
    /// another engine's store, or closed to this user.
    ///
    /// # Errors
    /// If it was explicitly requested and cannot be read.
    pub fn open(asked: EngineStoreUse, diff_ids: &[DiffId]) -> Result<Option<EngineStore>, String> {
        let access = match (asked, StoreFiles::open()) {
            (EngineStoreUse::Off, _) => return Ok(None),
            (_, Ok(files)) => StoreAccess::Here(files),
            (EngineStoreUse::Auto, Err(_)) => return Ok(None),
            (EngineStoreUse::Sudo, Err(_)) => {
                StoreAccess::Root(Mutex::new(RootReader::start().map_err(|error| error.to_string())?))
            }
        };
        match (asked, chains(&access, diff_ids)) {
            (_, Ok(chains)) => Ok(Some(EngineStore { access, chains, layers_read: AtomicUsize::new(0) })),
            (EngineStoreUse::Sudo, Err(error)) => Err(error),
            (_, Err(_)) => Ok(None),
        }
    }

    /// Whether a layer of this name exists.
    pub fn has(&self, name: &str) -> bool {
        self.chain(name).is_some()
    }

    /// Walks a layer by its tar-split document.
    ///
    /// # Errors
    /// If it cannot be opened; the inner result says whether it could be walked.
    pub fn walk_layer(
        &self,
        wanted: &LayerRequest<'_>,
        budget: &Budget,
    ) -> Result<Option<WalkResult>, SourceError> {
        let Some(chain) = self.chain(wanted.name) else { return Ok(None) };
        self.layers_read.fetch_add(1, Ordering::Relaxed);
        let opened = self.access.open(chain, LayerFile::Document("tar-split.json.gz"));
        let file = opened.map_err(|error| SourceError::EngineStore(error.to_string()))?;
        let (document, files) = (StoreDocument { file, at: 0 }, StoreContent { access: &self.access, chain });
        let walked = walk_tar_split(document, files, 0, wanted.verify.then_some(wanted.hashing), budget);
        // There is no blob: the hash is that of the tar.
        let walked = walked.map(|walked| WalkedLayer { digest: None, ..walked });
        Ok(Some(walked.map_err(|error| error.to_string())))
    }

    /// How many layers were read from it.
    pub fn layers_read(&self) -> usize {
        self.layers_read.load(Ordering::Relaxed)
    }

    /// How it was read, for people.
    pub fn by(&self) -> &'static str {
        match self.access {
            StoreAccess::Here(_) => "the engine's store on disk",
            StoreAccess::Root(_) => "the engine's store on disk, by sudo",
        }
    }

    fn chain(&self, name: &str) -> Option<&str> {
        self.chains.get(digest_of_name(name)?.hex()).map(String::as_str)
    }
}

/// The chain ID of each layer. The store must have all of them, each on top of the one before.
fn chains(access: &StoreAccess, diff_ids: &[DiffId]) -> Result<HashMap<String, String>, String> {
    let mut chains = HashMap::new();
    let mut below: Option<Digest> = None;
    for diff_id in diff_ids {
        let chain = match &below {
            None => Digest::parse(diff_id.as_str()).map_err(|error| error.to_string())?,
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        let missing = |error: io::Error| format!("it has no layer {diff_id}: {error}");
        let own = access.document(chain.hex(), "diff").map_err(missing)?;
        let parent = match &below {
            Some(_) => Some(access.document(chain.hex(), "parent").map_err(missing)?),
            None => None,
        };
        let fits = own.trim() == diff_id.as_str()
            && parent.as_deref().map(str::trim) == below.as_ref().map(Digest::as_str);
        if !fits {
            return Err(format!("its layer {chain} is not {diff_id}"));
        }
        chains.entry(diff_id.hex().to_owned()).or_insert_with(|| chain.hex().to_owned());
        below = Some(chain);
    }
    Ok(chains)
}

/// A document, read from beginning to end.
struct StoreDocument<'a> {
    file: StoreFile<'a>,
    at: u64,
}

impl Read for StoreDocument<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The content of a layer's files.
struct StoreContent<'a> {
    access: &'a StoreAccess,
    chain: &'a str,
}

impl<'a> UncompressedFiles for StoreContent<'a> {
    type Content = StoreFile<'a>;

    fn open(&self, name: &[u8]) -> io::Result<StoreFile<'a>> {
        self.access.open(self.chain, LayerFile::Content(name))
    }
}
