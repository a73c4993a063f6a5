//! Images of a container engine, read over its API (Docker Engine API: `GET /images/NAME/json`,
//! `/history`, `/get`). The engine's own sizes are not used.
//!
//! An export costs an engine far more than reading it costs layergate, so none is requested if all layers are known,
//! and it is read only up to the last unknown layer.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::errors::Error as EngineError;
use bollard::models::{
    ImageConfig as InspectedConfig, ImageHistoryResponseItem as HistoryEntry, ImageInspect,
    ImageInspectRootFs,
};
use bollard::query_parameters::ListImagesOptions;
use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use super::content::ContentStore;
use super::engine::{Connection, Endpoint, PATIENCE, next_within, text_of};
use super::engine_store::EngineStore;
use super::layout::{self, DescribedImage};
use super::parts::{Everything, ImageParts, StopCondition, Streamed};
use super::reader::{ExpectedIdentity, Inspected};
use super::{ImageReference, NamedImage, Options, Platforms, SourceError, aside, excerpt};
use crate::image::oci::{
    BASE_NAME, ConfigHistory, ContainerConfig, HealthCheck, ImageConfig, Manifest, RootFs,
};
use crate::image::snapshot::SourceInfo;
use crate::image::{DiffId, Digest, ImageName, MeasuredImage, Platform, Snapshot, go_json};
use crate::sort;

/// The first API version with which an engine answers gRPC calls without upgrading the connection.
const DIRECT_API: (u64, u64) = (1, 53);

/// Maximum number of names compared with one that the engine does not have.
const MOST_NAMES: usize = 5000;

/// An engine that answers.
struct Engine {
    connection: Connection,
    endpoint: Endpoint,
    source: SourceInfo,
    platform: Option<Platform>,
    is_podman: bool,
    /// The newest API version that it speaks.
    api: (u64, u64),
}

/// An image to export.
struct Export {
    named: NamedImage,
    /// Its ID when it was inspected.
    id: String,
    inspected: Inspected,
    /// The platform that was inspected, if the engine may lack other platforms of the image.
    held: Option<Platform>,
    awaited: Option<UnknownLayers>,
}

/// What an engine says about an image before it is exported.
struct Described {
    /// What the engine calls the image: the digest of its config, manifest or index, so it always means the same
    /// content. The document itself tells which of the three it is.
    id: Digest,
    platform: Option<Platform>,
    diff_ids: Vec<DiffId>,
    /// Whether the engine keeps images as distributed (Docker's containerd image store): with compressed layers, and
    /// possibly several platforms.
    distributed: bool,
    container: ContainerConfig,
}

/// Measures an image that an engine holds.
///
/// # Errors
/// [`SourceError`] if no engine answers, the image is not there or cannot be read.
pub async fn measure(
    named: &NamedImage,
    name: &str,
    options: &Arc<Options>,
) -> Result<Vec<MeasuredImage>, SourceError> {
    let engine = Engine::connect(options.engine.as_deref()).await?;
    let inspected = engine.inspect(name).await?;
    // By ID, so that an image that is retagged meanwhile cannot be mixed with the old one.
    let id =
        inspected.id.clone().map(|id| engine.checked(id)).transpose()?.unwrap_or_else(|| name.to_owned());
    // `docker info` takes a while, and only classic stores say where an image's layers are.
    let is_classic = inspected.graph_driver.as_ref().is_some_and(|driver| !driver.data.is_empty());
    let distributed = inspected.descriptor.is_some() || !is_classic && engine.has_containerd_store().await?;
    let described = Described::of(inspected, distributed);
    let mut because = None;
    if let Some(described) = &described {
        match engine.without_export(named, &id, described, options).await? {
            Ok(measured) => return Ok(vec![measured]),
            Err(reason) => because = reason,
        }
    }
    let asked = described.as_ref().and_then(|described| engine.asked(described, options));
    let platform = engine.platform.clone();
    let inspected = Inspected { platform, identity: described.as_ref().map(Described::identity) };
    let held = described.as_ref().filter(|described| described.distributed);
    let held = held.and_then(|described| described.platform.clone());
    let read = match described.as_ref().filter(|described| described.distributed) {
        Some(described) => engine.read_content_store(named, described, options).await?,
        None => Err(because),
    };
    let images = match read {
        Ok(images) => images,
        Err(because) => {
            let mut awaited = described
                .filter(|_| asked.is_some())
                .and_then(|described| UnknownLayers::of(described, options));
            if let Some(awaited) = awaited.as_mut().filter(|awaited| awaited.may_end_early()) {
                awaited.facts = engine.facts(&id, &awaited.image).await?;
            }
            let export = Export { named: named.clone(), id, inspected, held, awaited };
            let (images, is_checked) = engine.export(export, options).await?;
            options.progress.took("read the engine's export".into(), because);
            if !is_checked {
                return Ok(images);
            }
            images
        }
    };
    // Provenance is never cached, because it holds build arguments. So it is read again, with the manifest.
    if let (Some(asked), [measured]) = (asked, images.as_slice())
        && measured.attested.provenance.is_none()
    {
        options.known.keep_image(&asked, &measured.snapshot);
    }
    Ok(images)
}

/// The diff IDs of the layers of an image that an engine holds; empty if it does not tell.
///
/// # Errors
/// [`SourceError`] if no engine answers or it has no such image.
pub async fn layers(name: &str, options: &Options) -> Result<Vec<DiffId>, SourceError> {
    let engine = Engine::connect(options.engine.as_deref()).await?;
    let inspected = engine.inspect(name).await?;
    Ok(diff_ids(inspected.root_fs).unwrap_or_default())
}

/// The same for an image by its digest, `NAME@DIGEST`: the containerd store also holds images that have no name of
/// their own, such as a base image that only a build has fetched.
///
/// # Errors
/// Same as [`layers`].
pub async fn layers_by_digest(
    name: &str,
    digest: &Digest,
    platform: Option<&Platform>,
    options: &Arc<Options>,
) -> Result<Vec<DiffId>, SourceError> {
    let engine = Engine::connect(options.engine.as_deref()).await?;
    if engine.has_containerd_store().await?
        && let Some(transport) = &engine.connection.transport
        && let Ok(store) = ContentStore::open(transport, engine.api >= DIRECT_API, digest).await
        && let Ok(image) = NamedImage::parse(&format!("docker-daemon:{name}"))
    {
        let (options, platform) = (options.clone(), platform.cloned());
        let parts = ImageParts::Content(Box::new(store));
        let read = move || layout::layers(&parts, &image, None, platform.as_ref(), &options);
        let reading = tokio::task::spawn_blocking(read);
        return reading.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    }
    let inspected = engine.inspect(name).await?;
    Ok(diff_ids(inspected.root_fs).unwrap_or_default())
}

impl Engine {
    async fn connect(named: Option<&str>) -> Result<Engine, SourceError> {
        let endpoint = Endpoint::find(named)?;
        let connection = endpoint.connect().await?;
        let version = connection.docker.version().await.map_err(|error| endpoint.unreachable(&error))?;
        let component =
            |part: &str| version.components.iter().flatten().any(|component| component.name.contains(part));
        let is_podman = component("Podman");
        let kind = if is_podman { "podman" } else { "docker" };
        let number = version.version.as_deref().map_or_else(|| "unknown".into(), excerpt);
        let source =
            SourceInfo { transport: "docker-daemon".into(), engine: Some(format!("{kind} {number}")) };
        let field = |field: &Option<String>| field.clone().unwrap_or_default();
        let platform = Platform::from_fields(&field(&version.os), &field(&version.arch), None);
        let api = field(&version.api_version);
        let api =
            api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        Ok(Engine { connection, endpoint, source, platform, is_podman, api: api.unwrap_or_default() })
    }

    /// Whether this is Docker with the containerd image store, by `docker info`. Docker 28 and later say the same in
    /// each image's `Descriptor`; Docker before 23 (API 1.42) has no such store.
    async fn has_containerd_store(&self) -> Result<bool, SourceError> {
        if self.is_podman || self.api < (1, 42) {
            return Ok(false);
        }
        let info = match self.connection.docker.info().await {
            // A proxy in front of an engine may allow images but not this call; the image's own documents tell too.
            Err(EngineError::DockerResponseServerError { status_code: 403 | 404, .. }) => return Ok(false),
            info => info,
        };
        let info = info.map_err(|error| self.error("describe itself (`docker info`)".into(), &error))?;
        let containerd = ["driver-type", "io.containerd.snapshotter.v1"];
        Ok(info.driver_status.iter().flatten().any(|status| *status == containerd))
    }

    async fn inspect(&self, name: &str) -> Result<ImageInspect, SourceError> {
        match self.connection.docker.inspect_image(name).await {
            Ok(inspected) => Ok(inspected),
            Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => {
                let (address, nearest) = (self.endpoint.address.clone(), self.nearest(name).await);
                let is_directory = Path::new(name).is_dir();
                Err(SourceError::NoSuchLocalImage { address, name: excerpt(name), is_directory, nearest })
            }
            Err(other) => Err(self.error(format!("describe the image `{}`", excerpt(name)), &other)),
        }
    }

    /// Checks that an ID from the engine is one, because it becomes part of later requests.
    fn checked(&self, id: String) -> Result<String, SourceError> {
        match digest_of_id(&id) {
            Some(_) => Ok(id),
            None => {
                let (address, error) =
                    (self.endpoint.address.clone(), format!("`{}` is no digest", excerpt(&id)));
                Err(SourceError::Engine { address, operation: "tell the image's ID".into(), error })
            }
        }
    }

    /// The names in the engine that are most like one it does not have; none if it does not list them.
    async fn nearest(&self, name: &str) -> Vec<String> {
        let listed = self.connection.docker.list_images(None::<ListImagesOptions>).await.unwrap_or_default();
        let mut names: Vec<String> = listed.into_iter().flat_map(|image| image.repo_tags).collect();
        names.retain(|name| !name.contains("<none>"));
        names.truncate(MOST_NAMES);
        let repository = |name: &str| ImageName::parse(name).repository.to_owned();
        let asked = repository(name);
        sort::by_key(&mut names, |own| (repository(own) != asked, strsim::damerau_levenshtein(own, name)));
        names.truncate(3);
        names.iter().map(|name| excerpt(name)).collect()
    }

    /// The image, if no export is needed: all of it is known from an earlier run, or layer by layer, or the store on
    /// this machine can be read. The inner error says why not, if one of these ways was expected to work.
    async fn without_export(
        &self,
        named: &NamedImage,
        id: &str,
        described: &Described,
        options: &Arc<Options>,
    ) -> Result<Result<MeasuredImage, Option<String>>, SourceError> {
        let Some(asked) = self.asked(described, options) else { return Ok(Err(None)) };
        if let Some(measured) = self.remembered(&asked, named, described, options) {
            none_read(&measured.snapshot, options);
            return Ok(Ok(measured));
        }
        // Only the manifest says which blobs an image is distributed as. And an image to verify is exported, since only
        // an export proves that it has these layers.
        if described.distributed || options.verify {
            return Ok(Err(None));
        }
        let known = |id: &DiffId| options.known.layer_of(Some(&described.id), id).is_some();
        let store = match described.diff_ids.iter().all(known) {
            true => None,
            false => match self.store(described, options) {
                Ok(Some(store)) => Some(store),
                Ok(None) => return Ok(Err(None)),
                Err(error) => return Ok(Err(Some(not_read(&error)))),
            },
        };
        let Some(config) = self.facts(id, described).await? else {
            let unclear = || not_read("its history does not say which instruction made which layer");
            return Ok(Err(store.map(|_| unclear())));
        };
        let described = DescribedImage { identity: described.identity(), config, manifest: None };
        self.measure_described(named, described, store, options).await
    }

    /// The image as an earlier run has measured it.
    fn remembered(
        &self,
        asked: &str,
        named: &NamedImage,
        described: &Described,
        options: &Options,
    ) -> Option<MeasuredImage> {
        let mut snapshot = options.known.image(asked, &described.id)?;
        snapshot.image.name = named.display_name();
        snapshot.image.reference.clone_from(&named.text);
        snapshot.source = self.source.clone();
        let base_name = described.container.labels.get(BASE_NAME).cloned();
        Some(MeasuredImage { base_name, ..snapshot.into() })
    }

    /// Measures an image from the engine's description and its store; without a store, all layers are known.
    async fn measure_described(
        &self,
        named: &NamedImage,
        described: DescribedImage,
        store: Option<EngineStore>,
        options: &Arc<Options>,
    ) -> Result<Result<MeasuredImage, Option<String>>, SourceError> {
        let parts = store.map_or_else(
            || ImageParts::Streamed(HashMap::new()),
            |store| ImageParts::Engine(Box::new(store)),
        );
        let named = named.clone();
        let (reading, source) = (options.clone(), self.source.clone());
        let measuring = move || {
            let budget = reading.budget();
            // Not remembered by its ID: that it has these layers is only the engine's claim.
            let measured = layout::of_described(&parts, &named, &source, described, (&reading, &budget));
            (measured, parts)
        };
        match aside(measuring).await {
            (Ok(measured), ImageParts::Engine(store)) => {
                let (read, layers, by) =
                    (store.layers_read(), count_layers(std::slice::from_ref(&measured)), store.by());
                options.progress.took(format!("read {read} of {layers} layers from {by}"), None);
                Ok(Ok(measured))
            }
            (Ok(measured), _) => {
                none_read(&measured.snapshot, options);
                Ok(Ok(measured))
            }
            (Err(error), ImageParts::Engine(_)) => Ok(Err(Some(not_read(&error.to_string())))),
            (Err(error), _) => Err(error),
        }
    }

    /// What the image's config says, as far as the engine tells it; `None` if that is ambiguous.
    async fn facts(&self, id: &str, described: &Described) -> Result<Option<ImageConfig>, SourceError> {
        let history = self.connection.docker.image_history(id).await;
        let history =
            history.map_err(|error| self.error(format!("tell the history of {}", excerpt(id)), &error))?;
        Ok(described.config(&history))
    }

    /// The engine's store, if it is on this machine.
    fn store(&self, described: &Described, options: &Options) -> Result<Option<EngineStore>, String> {
        if self.is_podman || !self.endpoint.address.starts_with("unix://") {
            return Ok(None);
        }
        EngineStore::open(options.engine_store, &described.diff_ids)
    }

    /// The cache key of one image of the engine, if the options ask for just that one.
    fn asked(&self, described: &Described, options: &Options) -> Option<String> {
        let usual = || self.platform.clone().unwrap_or_else(Platform::of_this_machine);
        let wanted = match &options.platform {
            Platforms::All => return None,
            Platforms::One(platform) => platform.clone(),
            Platforms::Usual if !described.distributed => described.platform.clone()?,
            Platforms::Usual => usual(),
        };
        // An image of the classic store has one platform; a mismatch is reported after the export.
        let fits = described.platform.as_ref().is_some_and(|own| own.satisfies(&wanted));
        let kind = if described.distributed { "manifest" } else { "config" };
        let version = env!("CARGO_PKG_VERSION");
        (fits || described.distributed).then(|| format!("{version} {kind} {} {wanted}", described.id))
    }

    /// Reads only unknown layers, from the engine's content store. The inner error says why that failed, so that the
    /// export has to be read instead.
    async fn read_content_store(
        &self,
        named: &NamedImage,
        described: &Described,
        options: &Arc<Options>,
    ) -> Result<Result<Vec<MeasuredImage>, Option<String>>, SourceError> {
        let Some(transport) = &self.connection.transport else { return Ok(Err(None)) };
        let refused = |error: String| {
            Some(format!("its content store, which is faster to read, cannot be read: {}", excerpt(&error)))
        };
        let store = match ContentStore::open(transport, self.api >= DIRECT_API, &described.id).await {
            Ok(store) => store,
            Err(error) => return Ok(Err(refused(error))),
        };
        let inspected = Inspected { platform: self.platform.clone(), identity: Some(described.identity()) };
        let (named, options, source) = (named.clone(), options.clone(), self.source.clone());
        aside(move || {
            let parts = ImageParts::Content(Box::new(store));
            let budget = options.budget();
            let measured = layout::measure(&parts, &named, None, &source, inspected, &options, &budget);
            let ImageParts::Content(store) = parts else { return measured.map(Ok) };
            if let (Err(_), Some(error)) = (&measured, store.failure()) {
                return Ok(Err(refused(error)));
            }
            let layers = measured.as_ref().map_or(0, |images| count_layers(images));
            let read = store.layers_read();
            options
                .progress
                .took(format!("read {read} of {layers} layers from the engine's content store"), None);
            measured.map(Ok)
        })
        .await
    }

    /// Reads the engine's export as it arrives: one task fetches, one thread walks. Also returns whether the export has
    /// proven to be the image that the engine calls by this ID: if layers are known, it is not read to its end.
    async fn export(
        &self,
        export: Export,
        options: &Arc<Options>,
    ) -> Result<(Vec<MeasuredImage>, bool), SourceError> {
        let Export { named, id, inspected, held, awaited } = export;
        let (sender, receiver) = mpsc::channel(16);
        let origin = PathBuf::from(format!("the export of {}", excerpt(&id)));
        options.progress.wait_for(if self.is_podman { "podman save" } else { "docker save" });
        let (image, options, source) = (named.image.clone(), options.clone(), self.source.clone());
        // Starts at once; its input is sent by the loop below.
        let walking = tokio::task::spawn_blocking(move || -> Result<_, SourceError> {
            let mut input = ChannelReader { receiver, chunk: bytes::Bytes::new() };
            let budget = options.budget();
            let (parts, described) = match awaited {
                Some(mut awaited) => {
                    let parts = ImageParts::stream(&mut input, &origin, &budget, &mut awaited)?;
                    (parts, awaited.without_config())
                }
                None => (ImageParts::stream(&mut input, &origin, &budget, &mut Everything)?, None),
            };
            if let Some(described) = described {
                let reading = (&*options, &budget);
                let measured = layout::of_described(&parts, &named, &source, described, reading)?;
                return Ok((vec![measured], false));
            }
            let images = layout::measure(&parts, &named, None, &source, inspected, &options, &budget)?;
            Ok((images, true))
        });
        let mut stream = Box::pin(self.connection.docker.export_image(&id));
        let mut failure = None;
        loop {
            // The reader may have seen enough, or be unable to go on.
            let next = tokio::select! {
                chunk = next_within(&mut stream, PATIENCE) => chunk,
                () = sender.closed() => Ok(None),
            };
            let chunk = match next {
                Ok(None) => break,
                Ok(Some(Ok(chunk))) => Ok(chunk),
                Ok(Some(Err(error))) => {
                    let message = error.to_string();
                    failure = Some(self.not_exported(&image, &id, held.as_ref(), &error));
                    Err(io::Error::other(message))
                }
                Err(silence) => {
                    let (address, operation) = (self.endpoint.address.clone(), exporting(&id));
                    failure = Some(SourceError::Engine { address, operation, error: silence.clone() });
                    Err(io::Error::other(silence))
                }
            };
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

    /// Docker 26 cannot export a multi-platform image that lacks the engine's own platform.
    fn not_exported(
        &self,
        image: &ImageReference,
        id: &str,
        held: Option<&Platform>,
        error: &EngineError,
    ) -> SourceError {
        match (error, held, &self.platform, image) {
            (
                EngineError::DockerResponseServerError { status_code: 404, .. },
                Some(held),
                Some(own),
                ImageReference::Daemon(name),
            ) if !held.satisfies(own) => SourceError::PartlyPulled {
                address: self.endpoint.address.clone(),
                name: excerpt(name),
                held: held.to_string(),
                missing: own.to_string(),
            },
            _ => self.error(exporting(id), error),
        }
    }

    fn error(&self, operation: String, error: &EngineError) -> SourceError {
        let address = self.endpoint.address.clone();
        SourceError::Engine { address, operation, error: excerpt(&text_of(error)) }
    }
}

fn exporting(id: &str) -> String {
    format!("export the image {}", excerpt(id))
}

fn none_read(snapshot: &Snapshot, options: &Options) {
    let layers = snapshot.layers.len();
    options.progress.took(format!("all {layers} layers are known, none was read,"), None);
}

/// The reason why the store on disk was not read, although it should have been.
fn not_read(error: &str) -> String {
    format!("its store on disk, which is faster to read, cannot be read: {}", excerpt(error))
}

impl Described {
    /// The relevant parts of the image's config, as far as the engine tells them; `None` if its history is ambiguous.
    fn config(&self, history: &[HistoryEntry]) -> Option<ImageConfig> {
        let platform = self.platform.as_ref();
        Some(ImageConfig {
            architecture: platform.map(|p| p.architecture.clone()).unwrap_or_default(),
            os: platform.map(|p| p.os.clone()).unwrap_or_default(),
            variant: platform.and_then(|p| p.variant.clone()),
            os_version: platform.and_then(|p| p.os_version.clone()),
            os_features: platform.map(|p| p.os_features.clone()).unwrap_or_default(),
            rootfs: RootFs { diff_ids: self.diff_ids.clone() },
            config: self.container.clone(),
            history: with_layers(history, self.diff_ids.len())?,
        })
    }

    /// The identity that an export of the image must have.
    fn identity(&self) -> ExpectedIdentity {
        ExpectedIdentity { id: self.id.clone(), diff_ids: self.diff_ids.clone() }
    }

    /// `None` if the engine leaves out required fields.
    fn of(inspected: ImageInspect, distributed: bool) -> Option<Described> {
        let field = |field: &Option<String>| field.clone().unwrap_or_default();
        Some(Described {
            id: digest_of_id(&inspected.id?)?,
            platform: Platform::from_fields(
                &field(&inspected.os),
                &field(&inspected.architecture),
                inspected.variant.as_deref(),
            ),
            diff_ids: diff_ids(inspected.root_fs)?,
            distributed,
            container: inspected.config.map(container_of).unwrap_or_default(),
        })
    }
}

/// In places Podman writes IDs without the algorithm.
fn digest_of_id(id: &str) -> Option<Digest> {
    if id.contains(':') { Digest::parse(id).ok() } else { Digest::parse(&format!("sha256:{id}")).ok() }
}

fn container_of(config: InspectedConfig) -> ContainerConfig {
    let keys = |names: Vec<String>| names.into_iter().map(|name| (name, IgnoredAny)).collect();
    ContainerConfig {
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        user: config.user.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        env: config.env.unwrap_or_default(),
        exposed_ports: keys(config.exposed_ports.unwrap_or_default()),
        volumes: keys(config.volumes.unwrap_or_default()),
        stop_signal: config.stop_signal.unwrap_or_default(),
        healthcheck: HealthCheck {
            test: config.healthcheck.and_then(|check| check.test).unwrap_or_default(),
        },
    }
}

/// The number of distinct layers in the images.
fn count_layers(images: &[MeasuredImage]) -> usize {
    let layers = images.iter().flat_map(|measured| &measured.snapshot.layers);
    layers.map(|layer| &layer.diff_id).collect::<BTreeSet<_>>().len()
}

fn diff_ids(root: Option<ImageInspectRootFs>) -> Option<Vec<DiffId>> {
    root?.layers?.iter().map(|id| DiffId::parse(id).ok()).collect()
}

/// The instructions of an engine's history, oldest first, each marked as making a layer or not. The engine does not say
/// that; `None` if size and instruction leave any doubt.
fn with_layers(history: &[HistoryEntry], layers: usize) -> Option<Vec<ConfigHistory>> {
    #[derive(PartialEq)]
    enum Made {
        Layer,
        Nothing,
        Unclear,
    }
    let made = |step: &HistoryEntry| match step.created_by.split_once(' ') {
        _ if step.size > 0 => Made::Layer,
        // BuildKit makes a layer for each of these, even an empty one.
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
    let entry = |(step, made): (&HistoryEntry, &Made)| ConfigHistory {
        created_by: Some(step.created_by.clone()),
        empty_layer: *made == Made::Nothing || (*made == Made::Unclear && !unclear_are_layers),
    };
    Some(history.iter().zip(&made).rev().map(entry).collect())
}

/// The layers of an image to wait for in its export.
struct UnknownLayers {
    image: Described,
    known: BTreeSet<DiffId>,
    left: BTreeSet<DiffId>,
    /// Where layers and documents were found.
    layers: HashMap<DiffId, String>,
    documents: HashMap<Digest, String>,
    /// The config's digest, once the document that the ID names has told it.
    config: Option<Digest>,
    /// What the engine says about the config, if the config need not be waited for.
    facts: Option<ImageConfig>,
    /// The manifest that the ID names.
    manifest: Option<Manifest>,
    enough: bool,
}

impl UnknownLayers {
    /// `None` if the whole export is needed: what `--platform` requests may not be what the engine has described.
    fn of(image: Described, options: &Options) -> Option<UnknownLayers> {
        if image.distributed && options.platform != Platforms::Usual {
            return None;
        }
        let is_known = |diff_id: &DiffId| options.known.layer_of(Some(&image.id), diff_id).is_some();
        let (known, left) = image.diff_ids.iter().cloned().partition(is_known);
        let (layers, documents) = (HashMap::new(), HashMap::new());
        Some(UnknownLayers {
            image,
            known,
            left,
            layers,
            documents,
            config: None,
            facts: None,
            manifest: None,
            enough: false,
        })
    }

    /// Whether the export may end before its config. If all layers of a classic store are known, that has been tried
    /// already.
    fn may_end_early(&self) -> bool {
        !self.known.is_empty() && (self.image.distributed || !self.left.is_empty())
    }

    fn has_config(&self) -> bool {
        self.config.as_ref().is_some_and(|id| self.documents.contains_key(id))
    }

    /// Whether everything but the config is there, and the engine has told what is in that. Layers kept as distributed
    /// are named by the manifest; for an index it is not yet known which manifest is meant.
    fn is_described(&self) -> bool {
        self.facts.is_some() && (self.manifest.is_some() || !self.image.distributed)
    }

    /// The image, if its config was not waited for.
    fn without_config(&mut self) -> Option<DescribedImage> {
        if !self.enough || self.has_config() {
            return None;
        }
        let (config, manifest) = (self.facts.take()?, self.manifest.take());
        Some(DescribedImage { identity: self.image.identity(), config, manifest })
    }

    fn note_document(&mut self, name: &str, content: &[u8]) {
        let digest = Digest::of(content);
        if digest == self.image.id {
            let manifest = go_json::from_slice::<Manifest>(content).ok();
            let config = || go_json::from_slice::<ImageConfig>(content).ok().map(|_| digest.clone());
            // An index holds several images; which one is meant is known only when all have been seen.
            let of_manifest = manifest.as_ref().map(|manifest| manifest.config.digest.clone());
            self.config = of_manifest.or_else(config);
            self.manifest = manifest.filter(|manifest| manifest.layers.len() == self.image.diff_ids.len());
        }
        self.documents.insert(digest, name.to_owned());
    }
}

impl StopCondition for UnknownLayers {
    fn is_known(&self, name: &str) -> bool {
        // Plain blobs are named by their digest, which is also their diff ID.
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
        self.enough = self.left.is_empty() && (self.has_config() || self.is_described());
        self.enough
    }

    /// Adds the documents that list an export's content, which come last in it.
    fn complete(&self, pieces: &mut HashMap<String, Streamed>) {
        if !self.enough {
            return;
        }
        let document = |value: serde_json::Value| Streamed::Document(value.to_string().into_bytes());
        pieces.retain(|name, _| name != "index.json" && name != "manifest.json");
        let is_config = self.config.as_ref().is_none_or(|config| *config == self.image.id);
        if self.manifest.is_some() || !is_config {
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
