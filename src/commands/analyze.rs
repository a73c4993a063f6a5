//! Explains an image with everything available: how every command makes an [`Analysis`].

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build_metadata::BuildMetadata;
use super::{UsageError, console};
use crate::analysis::{Analysis, ImageOrigin};
use crate::config::BuildSettings;
use crate::dockerfile::{BuildOptions, Dockerfile, DockerfileError, Provenance};
use crate::files;
use crate::image::{Digest, MeasuredImage};
use crate::removable::{Catalogue, Search};
use crate::source::{self, NamedImage, Options};

/// The Dockerfile of a single image, if none is named.
const USUAL: &str = "Dockerfile";
/// Maximum bytes read of a Dockerfile; the parser's limit is lower.
const MAX_READ: u64 = 4 << 20;
/// Maximum number of base images looked up because provenance names them.
const MAX_BASE_IMAGES: usize = 8;

/// Explains images. Each Dockerfile is read once, because an image may have many platforms.
#[derive(Default)]
pub struct Analyzer {
    /// Suppresses warnings, for an image that a Dockerfile need not match.
    pub quiet: bool,
    /// The baseline of the next image.
    pub baseline: Option<Arc<Analysis>>,
    /// Without it, removable files are not searched for.
    search: Option<Search>,
    metadata: BuildMetadata,
    read: BTreeMap<PathBuf, Result<Arc<DockerfileSource>, String>>,
    said: Vec<String>,
}

/// A Dockerfile that was read.
pub struct DockerfileSource {
    /// The parsed Dockerfile.
    pub dockerfile: Dockerfile,
    /// Its text.
    pub text: String,
}

impl Analyzer {
    /// Finds removable files with this catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Analyzer {
        Analyzer { search: Some(Search::new(catalogue)), ..Analyzer::default() }
    }

    /// Adds the builds' metadata, as given with `--build-metadata`.
    ///
    /// # Errors
    /// [`UsageError`] for a file that cannot be read.
    pub fn with_metadata(self, arguments: &[String]) -> Result<Analyzer, UsageError> {
        Ok(Analyzer { metadata: BuildMetadata::read(arguments)?, ..self })
    }

    /// Reports the metadata that was not used, once all images are explained.
    pub fn finish(&self) {
        self.metadata.warn_unused();
    }

    /// Checks that the Dockerfile and stage on the command line exist. In a configuration file this is only a warning:
    /// the target branch's file may name a Dockerfile that a pull request has moved.
    ///
    /// # Errors
    /// [`UsageError`] for a Dockerfile or a stage that does not exist.
    pub fn check_flags(&mut self, build: &BuildSettings) -> Result<(), UsageError> {
        let path = build.dockerfile.as_deref();
        let problem = path.and_then(|path| match (path.exists(), path.is_dir()) {
            (false, _) => Some("no such file; the path is relative to the current directory"),
            (true, true) => Some("a directory; name the Dockerfile in it"),
            (true, false) => None,
        });
        if let Some((path, problem)) = path.zip(problem) {
            return Err(UsageError(format!("--dockerfile {}: {problem}", path.display())));
        }
        let path = path.unwrap_or(Path::new(USUAL));
        if build.target.is_none() || !path.is_file() {
            return Ok(());
        }
        let Ok(source) = self.source(path) else { return Ok(()) };
        match source.dockerfile.plan(&build_options(build)) {
            Err(error @ DockerfileError::NoSuchTarget { .. }) => {
                Err(UsageError(format!("--target: {}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// Explains an image. `single`: it is the only one, so the default Dockerfile is probably its own.
    pub async fn analyze(
        &mut self,
        measured: MeasuredImage,
        image: &NamedImage,
        build: &BuildSettings,
        single: bool,
        options: &Arc<Options>,
    ) -> Analysis {
        let provenance = self.provenance(&measured);
        let blobs = blobs(&measured);
        let explains = provenance.as_ref().is_some_and(|provenance| provenance.tells_lines(&blobs));
        let mut origin = self.origin(&measured, build, single);
        if let Some(provenance) = &provenance {
            origin.explain_by(provenance, &blobs, build.dockerfile.as_deref());
            if let (true, Some(path)) = (explains, &build.dockerfile) {
                self.compare_text(path, provenance);
            }
            let images = provenance.base_images(&blobs);
            let platform = measured.snapshot.image.platform.as_ref();
            let mut asked = Vec::new();
            for base in images.into_iter().take(MAX_BASE_IMAGES) {
                let by = (base.name.as_str(), &base.digest);
                asked.push((base, source::layers_by_digest(image, by, platform, options).await));
            }
            origin.confirm_base(&measured.snapshot, &asked);
        }
        if let Some(baseline) = &self.baseline {
            origin.inherit_base(baseline.snapshot(), &measured.snapshot);
        }
        origin.note.take().into_iter().for_each(|note| self.say(note));
        let below = match origin.base_to_ask() {
            Some(name) => {
                let platform = measured.snapshot.image.platform.as_ref();
                source::layers_beside(image, name, platform, options).await
            }
            None => None,
        };
        Analysis::of(measured, origin, below, self.search.as_mut())
    }

    /// How an image was built. A Dockerfile that cannot be read or does not match causes a warning, not an error: it
    /// only explains.
    fn origin(&mut self, measured: &MeasuredImage, build: &BuildSettings, single: bool) -> ImageOrigin {
        let usual = || Some(PathBuf::from(USUAL)).filter(|path| single && path.is_file());
        let named = build.dockerfile.is_some();
        let Some(path) = build.dockerfile.clone().or_else(usual) else {
            return ImageOrigin::of_image(measured);
        };
        let source = match self.source(&path) {
            Ok(source) => source,
            Err(error) => {
                if named {
                    self.say(format!("{error}; no Dockerfile lines are shown"));
                }
                return ImageOrigin::of_image(measured);
            }
        };
        let options = build_options(build);
        ImageOrigin::of_dockerfile(measured, (&path, &source.dockerfile), &options, named)
    }

    /// What the build says about the image. Warns if that cannot be used.
    fn provenance(&mut self, measured: &MeasuredImage) -> Option<Arc<Provenance>> {
        if let Some(provenance) = self.metadata.provenance_of(measured) {
            return Some(provenance);
        }
        let (statement, manifest) =
            measured.attested.provenance.as_ref().zip(measured.attested.manifest.as_ref())?;
        match Provenance::of_statement(statement, manifest) {
            Ok(provenance) => provenance.map(Arc::new),
            Err(error) => {
                self.say(format!(
                    "{}: the build's provenance is ignored: {error}",
                    measured.snapshot.image.name
                ));
                None
            }
        }
    }

    /// Warns if the named Dockerfile is not the one that the image was built from.
    fn compare_text(&mut self, path: &Path, provenance: &Provenance) {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let own = self.source(path).ok().map(|source| lines(&source.text));
        if own.is_some_and(|own| provenance.text.as_deref().is_some_and(|text| lines(text) != own)) {
            self.say(format!(
                "{}: the image was built from a different version of it; line numbers are those of the build",
                path.display()
            ));
        }
    }

    /// A Dockerfile, read once.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn source(&mut self, path: &Path) -> Result<Arc<DockerfileSource>, String> {
        self.read.entry(path.into()).or_insert_with(|| read(path).map(Arc::new)).clone()
    }

    /// Gives each warning once.
    fn say(&mut self, message: String) {
        if !self.quiet && !self.said.contains(&message) {
            console::warn(&message);
            self.said.push(message);
        }
    }
}

/// The digests of an image's layers, as far as known: from its manifest, else as stored.
fn blobs(measured: &MeasuredImage) -> Vec<Option<Digest>> {
    let MeasuredImage { snapshot, attested, .. } = measured;
    match attested.blobs.len() == snapshot.layers.len() {
        true => attested.blobs.clone(),
        false => snapshot.layers.iter().map(|layer| layer.digest.clone()).collect(),
    }
}

/// How a build uses its Dockerfile.
pub fn build_options(build: &BuildSettings) -> BuildOptions {
    BuildOptions {
        target: build.target.clone(),
        args: build.arguments.clone(),
        contexts: build.contexts.clone(),
    }
}

fn read(path: &Path) -> Result<DockerfileSource, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("cannot read the Dockerfile {}: {error}", path.display());
    let mut text = Vec::new();
    let file = files::open_regular(path).map_err(|error| failed(&error))?;
    file.take(MAX_READ).read_to_end(&mut text).map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(DockerfileSource { dockerfile: Dockerfile::parse(&text).map_err(|error| failed(&error))?, text })
}
