//! Images in the store of Podman, Buildah, Skopeo and CRI-O on this machine (containers/storage), read from its files:
//! without a service or an export, and as the user who runs them, also rootless.
//!
//! The store lists its images in `DRIVER-images/images.json` and its layers in `DRIVER-layers/layers.json`; beside each
//! list are manifests and configs, and each layer's tar-split document. File content is read from where the driver
//! unpacked the layer.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::beneath::Beneath;
use super::blob::{LayerRequest, WalkResult, blob_name, open};
use super::stores::{DriverStore, Root};
use super::{SourceError, excerpt};
use crate::files;
use crate::image::oci::{ImageConfig, ImageIndex, MAX_DOCUMENT, Manifest, or_default};
use crate::image::{Digest, ImageName, go_json};
use crate::layer::tar_split::{UncompressedFiles, walk_tar_split};
use crate::layer::{Budget, Compression};
use crate::sort;

/// Maximum bytes of a list of images or layers: a store of ten thousand images has about 30 MB.
const MAX_LIST: u64 = 256 << 20;
/// Maximum number of layers in a chain.
const MAX_CHAIN: usize = 4096;

/// One image of a store, with its documents and layers.
#[derive(Default)]
pub struct StoredImage {
    /// The content that an OCI layout's `index.json` would have for it.
    index: Vec<u8>,
    /// Manifests and configs, by their names in a layout.
    documents: HashMap<String, PathBuf>,
    /// Layers, by their blobs' names in a layout.
    layers: HashMap<String, LayerFiles>,
    /// How many files were not read because they belong to other users of the image.
    closed: AtomicU64,
}

/// Where a layer is on disk.
struct LayerFiles {
    tar_split: PathBuf,
    uncompressed: PathBuf,
    /// How the layer's blob is compressed, and its size in bytes.
    compression: Compression,
    stored: u64,
}

/// An image in `images.json`.
#[derive(Debug, Deserialize)]
struct ImageEntry {
    id: String,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    /// The topmost layer; an image index has none.
    #[serde(default)]
    layer: Option<String>,
    #[serde(default, rename = "big-data-digests", deserialize_with = "or_default")]
    documents: HashMap<String, String>,
}

/// A layer in `layers.json`.
#[derive(Debug, Deserialize)]
struct LayerEntry {
    id: String,
    #[serde(default)]
    parent: Option<String>,
    /// The hash of the layer's tar.
    #[serde(default, rename = "diff-digest")]
    diff_digest: Option<String>,
}

/// The content of all stores that the user has.
struct Stores {
    /// Each image with the store that has it.
    images: Vec<(DriverStore, ImageEntry)>,
    layers: HashMap<String, (DriverStore, LayerEntry)>,
    roots: Vec<Root>,
}

impl StoredImage {
    /// Finds the image that `name` means (containers-transports(5), `containers-storage:`).
    ///
    /// # Errors
    /// [`SourceError`] if there is no store, no such image or several, or the store is damaged.
    pub fn open(name: &str) -> Result<StoredImage, SourceError> {
        let (roots, name) = Root::of_reference(name)?;
        let stores = Stores::read(roots)?;
        let (place, image) = stores.find(name)?;
        let mut found = StoredImage::default();
        let manifest = found.add_documents(place, image, name)?;
        let listed: ImageIndex = parse(name, "manifest", &manifest).unwrap_or_default();
        found.index = index_of(&manifest);
        if listed.manifests.is_empty() {
            found.add_layers(&stores, image, &manifest, name)?;
        }
        // The images of an index that was pulled or made are also images of the store themselves.
        let instances: BTreeSet<&str> = listed.manifests.iter().map(|m| m.digest.as_str()).collect();
        for (place, image) in &stores.images {
            if image.documents.values().any(|digest| instances.contains(digest.as_str())) {
                let manifest = found.add_documents(place, image, name)?;
                found.add_layers(&stores, image, &manifest, name)?;
            }
        }
        Ok(found)
    }

    /// Records where an image's documents are, and returns its manifest.
    fn add_documents(
        &mut self,
        place: &DriverStore,
        image: &ImageEntry,
        asked: &str,
    ) -> Result<Vec<u8>, SourceError> {
        let directory = place.images().join(&image.id);
        for (key, digest) in &image.documents {
            if let Ok(digest) = Digest::parse(digest) {
                self.documents.insert(blob_name(&digest), directory.join(file_of_key(key)));
            }
        }
        let missing = || SourceError::Missing {
            image: excerpt(asked),
            what: "the manifest".into(),
            name: format!("in {}", directory.display()),
        };
        // An image that is listed under several digests has a manifest for each.
        let own = image.digest.as_ref().map(|digest| format!("manifest-{digest}"));
        let keys = [own.as_deref().unwrap_or("manifest"), "manifest"];
        let key = keys.into_iter().find(|key| image.documents.contains_key(*key)).ok_or_else(missing)?;
        read(&directory.join(file_of_key(key)), MAX_DOCUMENT)
    }

    /// Records where an image's layers are. Manifest, config and the chain of layers must agree.
    fn add_layers(
        &mut self,
        stores: &Stores,
        image: &ImageEntry,
        manifest: &[u8],
        asked: &str,
    ) -> Result<(), SourceError> {
        let manifest: Manifest = parse(asked, "manifest", manifest)?;
        let config = self.document(&blob_name(&manifest.config.digest))?.unwrap_or_default();
        // Something that is not an image is reported when its manifest is examined.
        let Ok(config) = go_json::from_slice::<ImageConfig>(&config) else { return Ok(()) };
        let chain = stores.chain(image, asked)?;
        let diff_ids = &config.rootfs.diff_ids;
        let malformed = |error: String| SourceError::Malformed {
            image: excerpt(asked),
            name: "layers.json".into(),
            error,
        };
        if chain.len() != manifest.layers.len() || chain.len() != diff_ids.len() {
            let (listed, found) = (manifest.layers.len(), chain.len());
            return Err(malformed(format!("the manifest lists {listed} layers, and the store has {found}")));
        }
        for (((place, layer), blob), diff_id) in chain.into_iter().zip(&manifest.layers).zip(diff_ids) {
            if layer.diff_digest.as_deref().is_some_and(|own| own != diff_id.as_str()) {
                return Err(malformed(format!("the layer {} is not {diff_id}", layer.id)));
            }
            self.layers.insert(
                blob_name(&blob.digest),
                LayerFiles {
                    tar_split: place.layers().join(format!("{}.tar-split.gz", layer.id)),
                    uncompressed: place.uncompressed(&layer.id),
                    compression: Compression::of_media_type(&blob.media_type),
                    stored: blob.size,
                },
            );
        }
        Ok(())
    }

    /// A document by its name in a layout.
    ///
    /// # Errors
    /// If it cannot be read, or is larger than [`MAX_DOCUMENT`].
    pub fn document(&self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        if name == "index.json" {
            return Ok(Some(self.index.clone()));
        }
        self.documents.get(name).map(|path| read(path, MAX_DOCUMENT)).transpose()
    }

    /// Whether a document or a layer of this name exists.
    pub fn has(&self, name: &str) -> bool {
        name == "index.json" || self.documents.contains_key(name) || self.layers.contains_key(name)
    }

    /// The bytes of a layer's blob.
    pub fn stored_length(&self, name: &str) -> Option<u64> {
        self.layers.get(name).map(|layer| layer.stored)
    }

    /// The note about files that were not read.
    pub fn note(&self) -> Option<String> {
        let files = match self.closed.load(Ordering::Relaxed) {
            0 => return None,
            1 => "1 file was".to_owned(),
            count => format!("{count} files were"),
        };
        Some(format!(
            "{files} not searched for packages, secrets and debug symbols: this user may not read them. To search them too, run this command under `podman unshare`"
        ))
    }

    /// Walks a layer by its tar-split document. To verify it, its tar is reassembled and hashed.
    ///
    /// # Errors
    /// If its document is not there; the inner result says whether it could be walked.
    pub fn walk_layer(
        &self,
        wanted: &LayerRequest<'_>,
        budget: &Budget,
    ) -> Result<Option<WalkResult>, SourceError> {
        let Some(layer) = self.layers.get(wanted.name) else { return Ok(None) };
        let document = files::open(&layer.tar_split).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SourceError::NoTarSplit(layer.tar_split.clone()),
            _ => SourceError::io("open", &layer.tar_split, error),
        })?;
        let files = UnpackedLayer { directory: Beneath::new(&layer.uncompressed), closed: &self.closed };
        let hashing = wanted.verify.then_some(wanted.hashing);
        let walked = walk_tar_split(document, files, layer.stored, hashing, budget);
        let walked = walked.map(|walked| {
            let (compression, stored) = (layer.compression, crate::image::Bytes(layer.stored));
            // The store does not keep blobs: the hash is that of the tar.
            crate::layer::WalkedLayer { compression, stored, digest: None, ..walked }
        });
        Ok(Some(walked.map_err(|error| error.to_string())))
    }
}

impl Stores {
    fn read(roots: Vec<Root>) -> Result<Stores, SourceError> {
        let mut stores = Stores { images: Vec::new(), layers: HashMap::new(), roots };
        for place in stores.roots.iter().flat_map(Root::places) {
            let images: Vec<ImageEntry> = list(&place.images().join("images.json"))?;
            let sound = images.into_iter().filter(|image| is_id(&image.id));
            stores.images.extend(sound.map(|image| (place.clone(), image)));
            for name in ["layers.json", "volatile-layers.json"] {
                let layers: Vec<LayerEntry> = list(&place.layers().join(name))?;
                for layer in layers.into_iter().filter(|layer| is_id(&layer.id)) {
                    stores.layers.entry(layer.id.clone()).or_insert((place.clone(), layer));
                }
            }
        }
        Ok(stores)
    }

    /// The image that a name, an ID or the beginning of an ID means. A name without a registry prefers images built
    /// here to pulled ones, as with Podman.
    fn find(&self, name: &str) -> Result<(&DriverStore, &ImageEntry), SourceError> {
        if self.images.is_empty() {
            return Err(SourceError::NoStoredImages(
                self.roots.iter().map(|root| root.path.clone()).collect(),
            ));
        }
        let tests: [&dyn Fn(&ImageEntry) -> bool; 5] = [
            &|image| image.names.iter().any(|own| same_tag(own, name)),
            &|image| image.names.iter().any(|own| same_tag(own, &format!("localhost/{name}"))),
            &|image| image.names.iter().any(|own| same_image(own, name)),
            &|image| name.len() >= 3 && image.id.starts_with(name.strip_prefix("sha256:").unwrap_or(name)),
            &|image| image.names.iter().any(|own| is_short_for(own, name)),
        ];
        for fits in tests {
            let found: Vec<_> = self.images.iter().filter(|(_, image)| fits(image)).collect();
            let ids: BTreeSet<&str> = found.iter().map(|(_, image)| image.id.as_str()).collect();
            match (found.first(), ids.len()) {
                (Some((place, image)), 1) => return Ok((place, image)),
                (Some(_), count) => {
                    let names = found.iter().flat_map(|(_, image)| image.names.clone()).collect();
                    let image = format!("containers-storage:{}", excerpt(name));
                    return Err(SourceError::AmbiguousStored { image, count, names });
                }
                _ => {}
            }
        }
        let mut names: Vec<String> = self.images.iter().flat_map(|(_, image)| image.names.clone()).collect();
        sort::by_key(&mut names, |own| strsim::damerau_levenshtein(short(own), name));
        names.truncate(3);
        Err(SourceError::NoSuchStoredImage { name: excerpt(name), nearest: names })
    }

    /// An image's layers, lowest first.
    fn chain(&self, image: &ImageEntry, asked: &str) -> Result<Vec<&(DriverStore, LayerEntry)>, SourceError> {
        let mut chain = Vec::new();
        let mut next = image.layer.as_ref().filter(|id| !id.is_empty());
        while let Some(id) = next {
            let entry = self.layers.get(id).filter(|_| chain.len() < MAX_CHAIN);
            let entry = entry.ok_or_else(|| SourceError::Missing {
                image: excerpt(asked),
                what: "a layer".into(),
                name: excerpt(id),
            })?;
            chain.push(entry);
            next = entry.1.parent.as_ref().filter(|id| !id.is_empty());
        }
        chain.reverse();
        Ok(chain)
    }
}

/// The uncompressed files of one layer.
struct UnpackedLayer<'a> {
    directory: Beneath,
    closed: &'a AtomicU64,
}

impl UncompressedFiles for UnpackedLayer<'_> {
    type Content = File;

    fn open(&self, name: &[u8]) -> io::Result<File> {
        self.directory.open(name).map_err(|error| {
            let (name, directory) = (String::from_utf8_lossy(name), self.directory.path().display());
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    self.closed.fetch_add(1, Ordering::Relaxed);
                    "; it belongs to another user of the image, so run this command under `podman unshare`"
                }
                _ => "",
            };
            io::Error::new(error.kind(), format!("cannot open {name} below {directory}: {error}{hint}"))
        })
    }
}

/// Validates IDs of images and layers, because they become parts of paths.
fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `makeBigDataBaseName` of containers/storage: keys with anything but digits, lowercase letters and dots are encoded
/// in Base64.
fn file_of_key(key: &str) -> String {
    let plain = |byte: u8| byte == b'.' || byte.is_ascii_digit() || byte.is_ascii_lowercase();
    let plain = key.bytes().all(plain) && !matches!(key, "" | "." | "..");
    if plain { key.to_owned() } else { format!("={}", STANDARD.encode(key).replace('/', "_")) }
}

fn same_tag(own: &str, name: &str) -> bool {
    let ImageName { tag, digest, .. } = ImageName::parse(name);
    if tag.or(digest).is_some() { own == name } else { own.strip_suffix(":latest") == Some(name) }
}

/// `app` and `docker.io/library/app:latest` are one name.
fn same_image(own: &str, name: &str) -> bool {
    let of_hub = own.strip_prefix("docker.io/");
    let official = of_hub.and_then(|own| own.strip_prefix("library/"));
    of_hub.is_some_and(|own| same_tag(own, name)) || official.is_some_and(|own| same_tag(own, name))
}

fn is_short_for(own: &str, name: &str) -> bool {
    let ends = own.match_indices('/').map(|(at, _)| &own[at + 1..]);
    ends.into_iter().any(|end| same_tag(end, name))
}

fn short(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name)
}

/// The index of a layout that holds just this image.
fn index_of(manifest: &[u8]) -> Vec<u8> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Kind {
        media_type: String,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = go_json::from_slice(manifest).unwrap_or_default();
    let media_type = match kind {
        Kind { media_type, .. } if !media_type.is_empty() => media_type,
        Kind { manifests: Some(_), .. } => "application/vnd.oci.image.index.v1+json".into(),
        _ => "application/vnd.oci.image.manifest.v1+json".into(),
    };
    let digest = Digest::of(manifest);
    let descriptor = serde_json::json!({"mediaType": media_type, "digest": digest, "size": manifest.len()});
    serde_json::json!({"schemaVersion": 2, "manifests": [descriptor]}).to_string().into_bytes()
}

fn parse<T: DeserializeOwned>(image: &str, name: &str, content: &[u8]) -> Result<T, SourceError> {
    go_json::from_slice(content).map_err(|error| SourceError::Malformed {
        image: excerpt(image),
        name: name.into(),
        error: excerpt(&error.to_string()),
    })
}

/// A list of the store; empty if the file does not exist.
fn list<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, SourceError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    parse(&path.display().to_string(), &name, &read(path, MAX_LIST)?)
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, SourceError> {
    let mut content = Vec::new();
    let failed = |error| SourceError::io("read", path, error);
    open(path)?.take(most + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > most {
        let name = path.display().to_string();
        return Err(SourceError::DocumentTooLarge { name, length: content.len() as u64, most });
    }
    Ok(content)
}
