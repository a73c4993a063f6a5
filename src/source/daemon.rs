//! Images of a container engine, read over its API (Docker Engine API: `GET /images/NAME/json`,
//! `/history`, `/get`). The engine's own sizes are not used.
//!
//! An export costs an engine far more than reading it costs layergate, so none is asked for where
//! all layers are known; and it is read no further than to the last layer that is not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bollard::errors::Error as EngineError;
use bollard::models::{ImageHistoryResponseItem as Step, ImageInspect};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::engine::{Connection, Endpoint};
use super::layout;
use super::parts::{Awaited, Everything, Parts, Streamed};
use super::{NamedImage, Options, Platforms, SourceError, excerpt};
use crate::image::oci::{BASE_NAME, ContainerConfig, HistoryEntry, ImageConfig, Manifest, RootFs};
use crate::image::snapshot::SourceInfo;
use crate::image::{DiffId, Digest, Platform, Snapshot};

/// An engine that answers.
struct Engine {
    connection: Connection,
    endpoint: Endpoint,
    source: SourceInfo,
    platform: Option<Platform>,
}

/// What an engine says of an image before it is exported.
struct Described {
    /// What the engine calls the image: a hash, and so of one content for ever.
    id: Digest,
    platform: Option<Platform>,
    diff_ids: Vec<DiffId>,
    /// Whether `id` is that of a manifest or an index, and not that of a config: the engine keeps
    /// images as distributed (Docker's containerd image store).
    distributed: bool,
    labels: BTreeMap<String, String>,
}

/// Measures an image that an engine holds.
///
/// # Errors
/// [`SourceError`] where no engine answers, the image is not there or cannot be read.
pub async fn measure(
    named: &NamedImage,
    name: &str,
    options: &Arc<Options>,
) -> Result<Vec<Snapshot>, SourceError> {
    let engine = Engine::connect(options.engine.as_deref()).await?;
    let inspected = engine.inspect(name).await?;
    // By ID, so that an image that is tagged anew meanwhile cannot be mixed with the old one.
    let id = inspected.id.clone().unwrap_or_else(|| name.to_owned());
    let described = Described::of(inspected);
    if let Some(described) = &described
        && let Some(snapshot) = engine.without_export(named, &id, described, options).await?
    {
        return Ok(vec![snapshot]);
    }
    let asked = described.as_ref().and_then(|described| engine.asked(described, options));
    let awaited = described.filter(|_| asked.is_some()).and_then(|described| Unknown::of(described, options));
    let snapshots = engine.export(named, &id, awaited, options).await?;
    if let (Some(asked), [snapshot]) = (asked, snapshots.as_slice()) {
        options.known.keep_image(&asked, snapshot);
    }
    Ok(snapshots)
}

/// The diff IDs of the layers of an image that an engine holds; nothing where it does not tell.
///
/// # Errors
/// [`SourceError`] where no engine answers or it has no such image.
pub async fn layers(name: &str, options: &Options) -> Result<Vec<DiffId>, SourceError> {
    let engine = Engine::connect(options.engine.as_deref()).await?;
    let described = Described::of(engine.inspect(name).await?);
    Ok(described.map_or_else(Vec::new, |described| described.diff_ids))
}

impl Engine {
    async fn connect(named: Option<&str>) -> Result<Engine, SourceError> {
        let endpoint = Endpoint::find(named)?;
        let connection = endpoint.connect().await?;
        let version = connection.docker.version().await.map_err(|error| endpoint.unreachable(&error))?;
        let component =
            |part: &str| version.components.iter().flatten().any(|component| component.name.contains(part));
        let kind = if component("Podman") { "podman" } else { "docker" };
        let number = version.version.as_deref().map_or_else(|| "unknown".into(), excerpt);
        let source =
            SourceInfo { transport: "docker-daemon".into(), engine: Some(format!("{kind} {number}")) };
        let field = |field: &Option<String>| field.clone().unwrap_or_default();
        let platform = Platform::from_fields(&field(&version.os), &field(&version.arch), None);
        Ok(Engine { connection, endpoint, source, platform })
    }

    async fn inspect(&self, name: &str) -> Result<ImageInspect, SourceError> {
        self.connection.docker.inspect_image(name).await.map_err(|error| match error {
            EngineError::DockerResponseServerError { status_code: 404, .. } => {
                SourceError::NoSuchLocalImage { address: self.endpoint.address.clone(), name: excerpt(name) }
            }
            other => self.error(format!("describe the image `{}`", excerpt(name)), &other),
        })
    }

    /// The image, where all of it is known: from an earlier run, or layer by layer.
    async fn without_export(
        &self,
        named: &NamedImage,
        id: &str,
        described: &Described,
        options: &Arc<Options>,
    ) -> Result<Option<Snapshot>, SourceError> {
        let Some(asked) = self.asked(described, options) else { return Ok(None) };
        if let Some(mut snapshot) = options.known.image(&asked) {
            snapshot.image.name = named.display_name();
            snapshot.image.reference.clone_from(&named.text);
            snapshot.source = self.source.clone();
            snapshot.base_name = described.labels.get(BASE_NAME).cloned();
            return Ok(Some(snapshot));
        }
        // Which blobs an image is distributed as, only an export says.
        let known = |id: &DiffId| options.known.layer(id).is_some();
        if described.distributed || !described.diff_ids.iter().all(known) {
            return Ok(None);
        }
        let history = self.connection.docker.image_history(id).await;
        let history =
            history.map_err(|error| self.error(format!("tell the history of {}", excerpt(id)), &error))?;
        let Some(history) = with_layers(&history, described.diff_ids.len()) else { return Ok(None) };
        let config = ImageConfig {
            architecture: described.platform.as_ref().map(|p| p.architecture.clone()).unwrap_or_default(),
            os: described.platform.as_ref().map(|p| p.os.clone()).unwrap_or_default(),
            variant: described.platform.as_ref().and_then(|p| p.variant.clone()),
            rootfs: RootFs { diff_ids: described.diff_ids.clone() },
            config: ContainerConfig { labels: described.labels.clone() },
            history,
        };
        let budget = options.budget();
        let snapshot = layout::of_known(named, &self.source, described.id.clone(), config, options, &budget)?;
        options.known.keep_image(&asked, &snapshot);
        Ok(Some(snapshot))
    }

    /// What one image of the engine is remembered by, where the options ask for that one.
    fn asked(&self, described: &Described, options: &Options) -> Option<String> {
        let usual = || self.platform.clone().unwrap_or_else(Platform::of_this_machine);
        let wanted = match &options.platform {
            Platforms::All => return None,
            Platforms::One(platform) => platform.clone(),
            Platforms::Usual if !described.distributed => described.platform.clone()?,
            Platforms::Usual => usual(),
        };
        // An image of the classic store has one platform; that it is another is told after the export.
        let fits = described.platform.as_ref().is_some_and(|own| own.satisfies(&wanted));
        let kind = if described.distributed { "manifest" } else { "config" };
        let version = env!("CARGO_PKG_VERSION");
        (fits || described.distributed).then(|| format!("{version} {kind} {} {wanted}", described.id))
    }

    /// Reads the engine's export as it arrives: one task fetches, one thread walks.
    async fn export(
        &self,
        named: &NamedImage,
        id: &str,
        awaited: Option<Unknown>,
        options: &Arc<Options>,
    ) -> Result<Vec<Snapshot>, SourceError> {
        let (sender, receiver) = mpsc::channel(16);
        let origin = PathBuf::from(format!("the export of {}", excerpt(id)));
        let (named, options, source) = (named.clone(), options.clone(), self.source.clone());
        let usual = self.platform.clone();
        let walking = tokio::task::spawn_blocking(move || {
            let input = ChannelReader { receiver, chunk: bytes::Bytes::new() };
            let budget = options.budget();
            let parts = match awaited {
                Some(mut awaited) => Parts::stream(input, &origin, &budget, &mut awaited)?,
                None => Parts::stream(input, &origin, &budget, &mut Everything)?,
            };
            layout::measure(&parts, &named, None, &source, usual, &options, &budget)
        });
        let mut stream = Box::pin(self.connection.docker.export_image(id));
        let mut failure = None;
        loop {
            // Whoever reads may have seen enough, or be able to read no more of it.
            let next = tokio::select! {
                chunk = stream.next() => chunk,
                () = sender.closed() => None,
            };
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|error| {
                let message = error.to_string();
                failure = Some(self.error(format!("export the image {}", excerpt(id)), &error));
                io::Error::other(message)
            });
            let last = chunk.is_err();
            if sender.send(chunk).await.is_err() || last {
                break;
            }
        }
        drop((sender, stream));
        let walked = walking.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        match failure {
            Some(failure) => Err(failure),
            None => walked,
        }
    }

    fn error(&self, operation: String, error: &EngineError) -> SourceError {
        let address = self.endpoint.address.clone();
        SourceError::Engine { address, operation, error: excerpt(&error.to_string()) }
    }
}

impl Described {
    /// `None` where the engine leaves out what has to be relied on.
    fn of(inspected: ImageInspect) -> Option<Described> {
        let field = |field: &Option<String>| field.clone().unwrap_or_default();
        let id = inspected.id?;
        // Podman writes IDs without the algorithm in places.
        let id = if id.contains(':') { id } else { format!("sha256:{id}") };
        let diff_ids = inspected.root_fs?.layers?;
        Some(Described {
            id: Digest::parse(&id).ok()?,
            platform: Platform::from_fields(
                &field(&inspected.os),
                &field(&inspected.architecture),
                inspected.variant.as_deref(),
            ),
            diff_ids: diff_ids.iter().map(|id| DiffId::parse(id)).collect::<Result<_, _>>().ok()?,
            distributed: inspected.descriptor.is_some(),
            labels: inspected
                .config
                .and_then(|config| config.labels)
                .unwrap_or_default()
                .into_iter()
                .collect(),
        })
    }
}

/// The steps of an engine's history, oldest first, with which of them made a layer. The engine does
/// not say that; where size and instruction do not tell it beyond doubt, `None`.
fn with_layers(history: &[Step], layers: usize) -> Option<Vec<HistoryEntry>> {
    #[derive(PartialEq)]
    enum Made {
        Layer,
        Nothing,
        Unclear,
    }
    let made = |step: &Step| match step.created_by.split_once(' ') {
        _ if step.size > 0 => Made::Layer,
        // BuildKit makes a layer of each of these, even if it is empty.
        Some(("RUN" | "COPY" | "ADD", rest)) if rest.ends_with("# buildkit") => Made::Layer,
        Some((
            "ENV" | "CMD" | "LABEL" | "ENTRYPOINT" | "EXPOSE" | "USER" | "ARG" | "STOPSIGNAL" | "HEALTHCHECK"
            | "VOLUME" | "SHELL" | "ONBUILD" | "MAINTAINER",
            _,
        )) => Made::Nothing,
        _ => Made::Unclear,
    };
    let made: Vec<Made> = history.iter().map(made).collect();
    let count = |what: &Made| made.iter().filter(|made| *made == what).count();
    let (sure, unclear) = (count(&Made::Layer), count(&Made::Unclear));
    let unclear_are_layers = match layers.checked_sub(sure) {
        Some(0) => false,
        Some(left) if left == unclear => true,
        _ => return None,
    };
    let entry = |(step, made): (&Step, &Made)| HistoryEntry {
        created_by: Some(step.created_by.clone()),
        empty_layer: *made == Made::Nothing || (*made == Made::Unclear && !unclear_are_layers),
    };
    Some(history.iter().zip(&made).rev().map(entry).collect())
}

/// The layers of an image that have to be waited for in its export.
struct Unknown {
    image: Described,
    known: BTreeSet<DiffId>,
    left: BTreeSet<DiffId>,
    /// Where layers and documents were found.
    layers: HashMap<DiffId, String>,
    documents: HashMap<Digest, String>,
    /// The config that the manifest names.
    config: Option<Digest>,
    enough: bool,
}

impl Unknown {
    /// `None` where the whole export is needed: what `--platform` asks for may not be what the engine
    /// has described.
    fn of(image: Described, options: &Options) -> Option<Unknown> {
        if image.distributed && options.platform != Platforms::Usual {
            return None;
        }
        let (known, left) =
            image.diff_ids.iter().cloned().partition(|diff_id| options.known.layer(diff_id).is_some());
        let config = (!image.distributed).then(|| image.id.clone());
        let (layers, documents) = (HashMap::new(), HashMap::new());
        Some(Unknown { image, known, left, layers, documents, config, enough: false })
    }

    fn note_document(&mut self, name: &str, content: &[u8]) {
        let digest = Digest::of(content);
        if self.image.distributed && digest == self.image.id {
            // An index has several images in it, and which is meant is told when all have been seen.
            self.config =
                serde_json::from_slice(content).ok().map(|manifest: Manifest| manifest.config.digest);
        }
        self.documents.insert(digest, name.to_owned());
    }
}

impl Awaited for Unknown {
    fn is_known(&self, name: &str) -> bool {
        // Plain blobs are named by what is their diff ID too.
        let hex = name.strip_prefix("blobs/sha256/");
        let diff_id = hex.and_then(|hex| DiffId::parse(&format!("sha256:{hex}")).ok());
        diff_id.is_some_and(|diff_id| self.known.contains(&diff_id))
    }

    fn is_enough(&mut self, name: &str, piece: &Streamed) -> bool {
        match piece {
            Streamed::Document(content) => self.note_document(name, content),
            Streamed::Layer(layer) => {
                if let Ok(layer) = layer.as_ref()
                    && let Some(diff_id) = &layer.diff_id
                {
                    self.left.remove(diff_id);
                    self.layers.insert(diff_id.clone(), name.to_owned());
                }
            }
            Streamed::Link(_) | Streamed::Other(_) => {}
        }
        let config = self.config.as_ref();
        self.enough = self.left.is_empty() && config.is_some_and(|id| self.documents.contains_key(id));
        self.enough
    }

    /// Writes the list of contents that comes last in an export.
    fn complete(&self, pieces: &mut HashMap<String, Streamed>) {
        if !self.enough {
            return;
        }
        let document = |value: serde_json::Value| Streamed::Document(value.to_string().into_bytes());
        pieces.retain(|name, _| name != "index.json" && name != "manifest.json");
        if self.image.distributed {
            let manifest = serde_json::json!({ "digest": self.image.id });
            pieces.insert("index.json".into(), document(serde_json::json!({ "manifests": [manifest] })));
            pieces.insert("manifest.json".into(), document(serde_json::json!([])));
            return;
        }
        let name = |diff_id: &DiffId| format!("blobs/sha256/{}", diff_id.hex());
        for (diff_id, place) in &self.layers {
            if *place != name(diff_id) {
                pieces.insert(name(diff_id), Streamed::Link(place.clone()));
            }
        }
        let layers: Vec<String> = self.image.diff_ids.iter().map(name).collect();
        let config = self.documents.get(&self.image.id);
        let saved = serde_json::json!([{ "Config": config, "Layers": layers }]);
        pieces.insert("manifest.json".into(), document(saved));
    }
}

/// The reading end of a channel of chunks.
struct ChannelReader {
    receiver: mpsc::Receiver<io::Result<bytes::Bytes>>,
    chunk: bytes::Bytes,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
