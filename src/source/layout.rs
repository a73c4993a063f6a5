//! From the pieces of a packed image to its snapshot: OCI layouts (OCI image layout specification)
//! and what `docker save` writes, in its form before Docker 25 and since.

use std::collections::{BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde::de::DeserializeOwned;

use super::parts::Parts;
use super::{NamedImage, SourceError, check_digest, excerpt};
use crate::image::oci::{CONTAINERD_NAME, Descriptor, ImageConfig, Index, Manifest, REF_NAME, SavedImage};
use crate::image::snapshot::{
    self, ImageIdentity, Layer, MAX_LAYERS, Measured, Snapshot, SourceInfo, Totals, sum_known,
};
use crate::image::{Bytes, DiffId, Digest, Instruction, LayerPath, Platform};
use crate::layer::{Applied, Budget, Compression, WalkedLayer, apply};

/// How deep indexes may point at indexes, and how many images one may list.
const MAX_DEPTH: usize = 3;
const MAX_IMAGES: usize = 1000;
/// How many bytes of documents are read to find an image, each as often as it is named: a large one
/// may be named from everywhere.
const MAX_DOCUMENTS: u64 = 64 << 20;

/// Which of several images is meant, and how closely to look.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The platform to measure; by default the usual one, or the only one that there is.
    pub platform: Option<Platform>,
    /// The usual platform, where an engine says which is its own; otherwise this machine's.
    pub default_platform: Option<Platform>,
    /// Read and hash also what could be skipped over.
    pub verify: bool,
}

/// One image of an archive or a layout.
struct Candidate {
    names: Vec<String>,
    /// Which image of the archive: the platforms of one index share it.
    group: String,
    platform: Option<Platform>,
    image: Packed,
}

/// The pieces that an image says it consists of.
enum Packed {
    /// By an OCI manifest.
    Manifest(Descriptor),
    /// By `manifest.json`.
    Saved(SavedImage),
}

/// An image's config and where its layers are.
struct Plan {
    config: ImageConfig,
    id: Digest,
    blobs: Vec<Blob>,
}

/// A layer's diff ID and its blob's name: the same tar may be there twice, packed in two ways.
type LayerKey = (DiffId, String);

impl Plan {
    fn key(&self, index: usize) -> LayerKey {
        (self.config.rootfs.diff_ids[index].clone(), self.blobs[index].name.clone())
    }
}

/// A layer's blob and what the image claims of it.
struct Blob {
    name: String,
    digest: Option<Digest>,
    media_type: Option<String>,
    claimed: Option<u64>,
    /// Whether the blob is as it is distributed, so that its length is the layer's compressed size.
    distributed: bool,
}

/// Chooses an image, walks its layers and accounts for them.
///
/// # Errors
/// [`SourceError`].
pub fn measure(
    parts: &Parts,
    named: &NamedImage,
    wanted: Option<&str>,
    source: SourceInfo,
    choice: &Choice,
    budget: &Budget,
) -> Result<Snapshot, SourceError> {
    let image = named.image.to_string();
    let prefix = format!("{}:", source.transport);
    let prefixed = if image.starts_with(&prefix) { image.clone() } else { prefix + &image };
    let documents_left = AtomicU64::new(MAX_DOCUMENTS);
    let reader = Reader { parts, image, prefixed, budget, choice, documents_left };
    let candidate = reader.choose(reader.candidates()?, wanted)?;
    let plan = reader.plan(&candidate)?;
    let walked = reader.walk(&plan)?;
    reader.account(named, source, plan, walked)
}

struct Reader<'a> {
    parts: &'a Parts,
    /// The image as it was asked for, and with its transport.
    image: String,
    prefixed: String,
    budget: &'a Budget,
    choice: &'a Choice,
    documents_left: AtomicU64,
}

impl Reader<'_> {
    /// All images that there are. `index.json` says more than `manifest.json`, where both exist.
    fn candidates(&self) -> Result<Vec<Candidate>, SourceError> {
        let mut candidates = Vec::new();
        let mut seen = BTreeSet::new();
        if let Some(index) = self.json::<Index>("index.json")? {
            for descriptor in index.manifests {
                let group = descriptor.digest.to_string();
                let names = descriptor_names(&descriptor);
                self.expand(descriptor, &group, &names, 0, &mut seen, &mut candidates)?;
            }
        } else if let Some(saved) = self.json::<Vec<SavedImage>>("manifest.json")? {
            for image in saved.into_iter().take(MAX_IMAGES) {
                let names = image.repo_tags.clone().unwrap_or_default();
                let group = image.config.clone();
                candidates.push(Candidate { names, group, platform: None, image: Packed::Saved(image) });
            }
        }
        Ok(candidates)
    }

    /// Follows indexes down to manifests. What an index lists and the layout does not hold (the
    /// other platforms of an image that was pulled for one) is passed over.
    fn expand(
        &self,
        descriptor: Descriptor,
        group: &str,
        names: &[String],
        depth: usize,
        seen: &mut BTreeSet<(String, Digest)>,
        found: &mut Vec<Candidate>,
    ) -> Result<(), SourceError> {
        if descriptor.is_attestation() || found.len() >= MAX_IMAGES {
            return Ok(());
        }
        // An index that is listed a thousand times is read once for each image.
        if descriptor.is_index() && !seen.insert((group.to_owned(), descriptor.digest.clone())) {
            return Ok(());
        }
        let name = blob_name(&descriptor.digest);
        if descriptor.is_index() {
            if depth >= MAX_DEPTH {
                let error = format!("indexes point at indexes over {MAX_DEPTH} deep");
                return Err(SourceError::Malformed { image: self.image.clone(), name, error });
            }
            let Some(index) = self.json::<Index>(&name)? else { return Ok(()) };
            for inner in index.manifests {
                self.expand(inner, group, names, depth + 1, seen, found)?;
            }
            return Ok(());
        }
        if depth > 0 && !self.parts.has(&name) {
            return Ok(());
        }
        found.push(Candidate {
            names: names.to_vec(),
            group: group.to_owned(),
            platform: descriptor.platform.as_ref().and_then(|platform| platform.to_platform()),
            image: Packed::Manifest(descriptor),
        });
        Ok(())
    }

    fn choose(&self, candidates: Vec<Candidate>, wanted: Option<&str>) -> Result<Candidate, SourceError> {
        let names: BTreeSet<String> =
            candidates.iter().flat_map(|c| c.names.iter().map(|n| excerpt(n))).collect();
        let names: Vec<String> = names.into_iter().collect();
        let image = self.image.clone();
        let mut left = candidates;
        if let Some(wanted) = wanted {
            left.retain(|candidate| candidate.names.iter().any(|name| same_name(name, wanted)));
            if left.is_empty() {
                return Err(SourceError::NoSuchImage { image, wanted: wanted.into(), names });
            }
        }
        let groups: BTreeSet<&str> = left.iter().map(|candidate| candidate.group.as_str()).collect();
        if groups.len() > 1 {
            return Err(SourceError::Ambiguous { image: self.prefixed.clone(), count: groups.len(), names });
        }
        // An image that was saved under two names is listed twice.
        let mut seen = BTreeSet::new();
        left.retain(|candidate| seen.insert(candidate.key()));
        self.choose_platform(left)
    }

    fn choose_platform(&self, mut candidates: Vec<Candidate>) -> Result<Candidate, SourceError> {
        let image = self.image.clone();
        if candidates.is_empty() {
            let (what, name) = ("every image".into(), "index.json lists none that is here".into());
            return Err(SourceError::Missing { image, what, name });
        }
        for candidate in &mut candidates {
            if candidate.platform.is_none() {
                candidate.platform = self.plan_config(candidate)?.0.platform();
            }
        }
        let usual = || self.choice.default_platform.clone().unwrap_or_else(Platform::of_this_machine);
        let wanted = self.choice.platform.clone().unwrap_or_else(usual);
        let only = candidates.len() == 1 && self.choice.platform.is_none();
        let platforms =
            candidates.iter().map(|c| c.platform.as_ref().map_or("unknown".into(), Platform::to_string));
        let platforms: Vec<String> = platforms.collect();
        let fits = |candidate: &Candidate| candidate.platform.as_ref().is_some_and(|p| p.satisfies(&wanted));
        let same = |candidate: &Candidate| candidate.platform.as_ref() == Some(&wanted);
        let one_fits = candidates.iter().filter(|candidate| fits(candidate)).count() == 1;
        let position = candidates.iter().position(same);
        match position.or_else(|| candidates.iter().position(fits).filter(|_| one_fits)) {
            Some(at) => Ok(candidates.swap_remove(at)),
            None if only => Ok(candidates.swap_remove(0)),
            None => Err(SourceError::NoSuchPlatform { image, wanted: wanted.to_string(), platforms }),
        }
    }

    /// Reads the config and lists the layer blobs.
    fn plan(&self, candidate: &Candidate) -> Result<Plan, SourceError> {
        let (config, id, manifest) = self.plan_config(candidate)?;
        let blobs: Vec<Blob> = match (&candidate.image, manifest) {
            (Packed::Saved(saved), _) => saved.layers.iter().map(|layer| saved_blob(layer)).collect(),
            (_, Some(manifest)) => {
                manifest.layers.into_iter().map(|layer| self.manifest_blob(layer)).collect()
            }
            (_, None) => Vec::new(),
        };
        let diff_ids = &config.rootfs.diff_ids;
        if blobs.len() != diff_ids.len() || blobs.len() > MAX_LAYERS {
            return Err(SourceError::Malformed {
                image: self.image.clone(),
                name: "config".into(),
                error: format!(
                    "it lists {} layers, the manifest {}, and at most {MAX_LAYERS} are read",
                    diff_ids.len(),
                    blobs.len()
                ),
            });
        }
        let plan = Plan { config, id, blobs };
        plan.blobs.iter().enumerate().try_for_each(|(index, blob)| self.check_blob(&plan, index, blob))?;
        Ok(plan)
    }

    fn plan_config(
        &self,
        candidate: &Candidate,
    ) -> Result<(ImageConfig, Digest, Option<Manifest>), SourceError> {
        let (name, expected, manifest) = match &candidate.image {
            Packed::Saved(saved) => (clean(&saved.config), None, None),
            Packed::Manifest(descriptor) => {
                let name = blob_name(&descriptor.digest);
                let content = self.required("the manifest", &name)?;
                check_digest(&self.image, "the manifest".into(), &descriptor.digest, &content)?;
                let manifest: Manifest = self.parse(&name, &content)?;
                let media_type = manifest.config.media_type.as_str();
                if !CONFIG_TYPES.contains(&media_type) {
                    return Err(SourceError::MediaType {
                        image: self.image.clone(),
                        what: "its config".into(),
                        media_type: excerpt(media_type),
                        hint: "; it is an artifact, not a container image",
                    });
                }
                (blob_name(&manifest.config.digest), Some(manifest.config.digest.clone()), Some(manifest))
            }
        };
        let content = self.required("the config", &name)?;
        if let Some(expected) = expected {
            check_digest(&self.image, "the config".into(), &expected, &content)?;
        }
        Ok((self.parse(&name, &content)?, Digest::of(&content), manifest))
    }

    /// What can be said of a blob without reading it.
    fn check_blob(&self, plan: &Plan, index: usize, blob: &Blob) -> Result<(), SourceError> {
        let what = format!("layer {} of {}", index + 1, plan.blobs.len());
        if let Some(media_type) = &blob.media_type
            && !is_layer_type(media_type)
        {
            let encrypted = media_type.ends_with("+encrypted");
            let hint = if encrypted { "; decrypt the image first" } else { "" };
            let (image, media_type) = (self.image.clone(), excerpt(media_type));
            return Err(SourceError::MediaType { image, what, media_type, hint });
        }
        if !self.parts.has(&blob.name) {
            return Err(SourceError::Missing { image: self.image.clone(), what, name: excerpt(&blob.name) });
        }
        if let (Some(claimed), Some(length)) = (blob.claimed, self.parts.stored_length(&blob.name)?)
            && claimed != length
        {
            return Err(SourceError::Mismatch {
                image: self.image.clone(),
                what,
                expected: format!("{claimed} bytes"),
                found: format!("{length} bytes"),
            });
        }
        Ok(())
    }

    /// Walks every distinct layer once, on all cores.
    fn walk(&self, plan: &Plan) -> Result<HashMap<LayerKey, WalkedLayer>, SourceError> {
        let diff_ids = &plan.config.rootfs.diff_ids;
        let mut seen = BTreeSet::new();
        let queue: Vec<usize> =
            (0..diff_ids.len()).rev().filter(|index| seen.insert(plan.key(*index))).collect();
        let workers = thread::available_parallelism().map_or(1, usize::from).min(queue.len());
        let queue = Mutex::new(queue);
        let next = || queue.lock().ok()?.pop();
        let walk_all = || {
            let mut walked = Vec::new();
            while let Some(index) = next() {
                walked.push((plan.key(index), self.walk_layer(plan, index)?));
            }
            Ok::<_, SourceError>(walked)
        };
        thread::scope(|scope| {
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(walk_all)).collect();
            let mut all = HashMap::new();
            for handle in handles {
                all.extend(handle.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            Ok(all)
        })
    }

    fn walk_layer(&self, plan: &Plan, index: usize) -> Result<WalkedLayer, SourceError> {
        let (blob, diff_id) = (&plan.blobs[index], &plan.config.rootfs.diff_ids[index]);
        let number = index + 1;
        let what = || format!("layer {number} of {}", plan.blobs.len());
        // A blob that is named by its digest is vouched for by that name; any other is hashed.
        let verify = self.choice.verify || blob.digest.is_none();
        let walked = self.parts.walk_layer(&blob.name, self.budget, verify)?;
        let walked = walked.ok_or_else(|| SourceError::Missing {
            image: self.image.clone(),
            what: what(),
            name: excerpt(&blob.name),
        })?;
        let walked = walked.map_err(|error| SourceError::Layer {
            image: self.image.clone(),
            number,
            total: plan.blobs.len(),
            diff_id: diff_id.to_string(),
            error,
        })?;
        let mismatch = |expected: &dyn ToString, found: &dyn ToString| {
            let (expected, found) = (expected.to_string(), found.to_string());
            Err(SourceError::Mismatch { image: self.image.clone(), what: what(), expected, found })
        };
        if let (Some(expected), Some(found)) = (&blob.digest, &walked.digest)
            && expected.algorithm() == "sha256"
            && expected != found
        {
            return mismatch(expected, found);
        }
        // A plain tar's digest is its diff ID: where the blob was not hashed, its name tells.
        let named = blob.digest.as_ref().filter(|_| walked.compression == Compression::None);
        match (&walked.diff_id, named) {
            (Some(found), _) if diff_id.algorithm() == "sha256" && found != diff_id => {
                mismatch(diff_id, found)
            }
            (None, Some(named)) if named.as_str() != diff_id.as_str() => mismatch(diff_id, named),
            _ => Ok(walked),
        }
    }

    fn account(
        &self,
        named: &NamedImage,
        source: SourceInfo,
        plan: Plan,
        walked: HashMap<LayerKey, WalkedLayer>,
    ) -> Result<Snapshot, SourceError> {
        let diff_ids = &plan.config.rootfs.diff_ids;
        let keys: Vec<LayerKey> = (0..diff_ids.len()).map(|index| plan.key(index)).collect();
        let in_order = || keys.iter().map(|key| &walked[key]);
        // Before anything is added up: what files claim may be more than can be counted, and a
        // small layer that is used a thousand times is a large image.
        let unpacked = sum_known(in_order().map(|layer| Some(layer.size)));
        let unpacked = unpacked.ok_or_else(|| SourceError::TooLarge(self.image.clone()))?;
        let nodes: HashMap<_, _> = walked.iter().map(|(key, layer)| (key, layer.census.nodes())).collect();
        self.budget.allow(keys.iter().map(|key| nodes[key]).sum()).map_err(|error| {
            let (image, error) = (self.image.clone(), error.to_string());
            SourceError::Refused { image, error }
        })?;
        let Applied { visible, wasted, files, .. } = apply(in_order().map(|layer| &layer.census));
        let platform = plan.config.platform();
        let instructions = plan.config.instructions();
        let blobs = plan.blobs.into_iter().zip(instructions).zip(in_order());
        let layers: Vec<Layer> = diff_ids
            .iter()
            .zip(blobs)
            .map(|(id, ((blob, step), walked))| layer(id, blob, step, walked))
            .collect();
        let totals = Totals {
            layers: layers.len() as u64,
            files: Some(files),
            unpacked,
            visible: Some(visible),
            wasted: Some(wasted),
            compressed: sum_known(layers.iter().map(|layer| layer.compressed)),
        };
        let (name, reference) = (named.display_name(), named.text.clone());
        Ok(Snapshot {
            schema: snapshot::SCHEMA.into(),
            image: ImageIdentity { name, reference, platform, id: Some(plan.id) },
            source,
            measured: Measured::Content,
            commit: None,
            totals,
            layers,
        })
    }

    fn manifest_blob(&self, layer: Descriptor) -> Blob {
        Blob {
            name: blob_name(&layer.digest),
            digest: Some(layer.digest),
            media_type: Some(layer.media_type),
            claimed: Some(layer.size),
            distributed: !self.parts.has("manifest.json"),
        }
    }

    fn required(&self, what: &str, name: &str) -> Result<Vec<u8>, SourceError> {
        self.document(name)?.ok_or_else(|| SourceError::Missing {
            image: self.image.clone(),
            what: what.into(),
            name: excerpt(name),
        })
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SourceError> {
        self.document(name)?.map(|content| self.parse(name, &content)).transpose()
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let content = self.parts.document(name)?;
        let length = content.as_ref().map_or(0, Vec::len) as u64;
        let spend = |left: u64| left.checked_sub(length);
        match self.documents_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend) {
            Ok(_) => Ok(content),
            Err(_) => Err(SourceError::Refused {
                image: self.image.clone(),
                error: format!("refused: over {} bytes of documents", Bytes(MAX_DOCUMENTS).grouped()),
            }),
        }
    }

    fn parse<T: DeserializeOwned>(&self, name: &str, content: &[u8]) -> Result<T, SourceError> {
        serde_json::from_slice(content).map_err(|error| SourceError::Malformed {
            image: self.image.clone(),
            name: excerpt(name),
            error: excerpt(&error.to_string()),
        })
    }
}

impl Candidate {
    fn key(&self) -> String {
        match &self.image {
            Packed::Manifest(descriptor) => descriptor.digest.to_string(),
            Packed::Saved(saved) => saved.config.clone(),
        }
    }
}

/// A layer of a snapshot. A `docker save` of the classic store holds plain tars, and nothing was ever
/// distributed that way.
fn layer(diff_id: &DiffId, blob: Blob, created_by: Option<Instruction>, walked: &WalkedLayer) -> Layer {
    let distributed = blob.distributed || walked.compression != Compression::None;
    Layer {
        diff_id: diff_id.clone(),
        digest: blob.digest.filter(|_| distributed),
        media_type: blob.media_type.filter(|_| distributed),
        created_by,
        size: Some(walked.size),
        compressed: distributed.then_some(walked.stored),
        files: Some(walked.census.files()),
        census: Some(walked.census.clone()),
    }
}

const CONFIG_TYPES: [&str; 3] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json", ""];

/// Whether a media type is that of a layer (OCI image specification, "media types"; Docker image
/// manifest version 2, schema 2). How it is packed is told by its bytes.
fn is_layer_type(media_type: &str) -> bool {
    const FAMILIES: [&str; 4] = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    let suffix = FAMILIES.iter().find_map(|family| media_type.strip_prefix(family));
    media_type.is_empty() || matches!(suffix, Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd"))
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// A path from inside an image, which must not lead out of it.
fn clean(path: &str) -> String {
    LayerPath::clean(path.as_bytes()).to_string()
}

/// A layer that only `manifest.json` names. Since Docker 25 the path is the blob's digest.
fn saved_blob(path: &str) -> Blob {
    let name = clean(path);
    let digest =
        name.strip_prefix("blobs/sha256/").and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok());
    Blob { name, digest, media_type: None, claimed: None, distributed: false }
}

fn descriptor_names(descriptor: &Descriptor) -> Vec<String> {
    let annotation = |key| descriptor.annotations.get(key).cloned();
    [annotation(CONTAINERD_NAME), annotation(REF_NAME)].into_iter().flatten().collect()
}

/// Whether two names are of one image, as people write them: `app`, `app:latest` and
/// `docker.io/library/app:latest` are, and so is a tag that stands alone in a layout.
fn same_name(name: &str, wanted: &str) -> bool {
    let familiar = |text: &str| {
        let text = text.strip_prefix("docker.io/").unwrap_or(text);
        let text = text.strip_prefix("library/").unwrap_or(text).to_owned();
        let tagged = text.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        if tagged { text } else { format!("{text}:latest") }
    };
    name == wanted || familiar(name) == familiar(wanted)
}
