//! What is known of an image beside its files: the lines that made its layers, where its base image ends,
//! what only its build needed, and whether it is built in stages.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::console;
use crate::dockerfile::{self, BuildOptions, Dockerfile, Facts, HistoryStep, Mapping, Plan, Unmapped};
use crate::evidence::{Catalogue, find};
use crate::image::Snapshot;
use crate::image::redact::redact_reference;
use crate::image::snapshot::{BaseImage, BoundaryBy, Place, guess_base_layers};
use crate::layer::Applied;
use crate::policy::stages::{Told, help_with_copy, judge_stages};
use crate::policy::{Build, Judgement};
use crate::source::{self, NamedImage, Options};

/// The Dockerfile of an image that is alone and has none named.
const USUAL: &str = "Dockerfile";
/// The most of a Dockerfile that is read; the reader refuses less.
const MAX_READ: u64 = 4 << 20;

/// Dockerfiles, each read once: an image may have many platforms.
#[derive(Default)]
pub struct Locator {
    /// Says nothing: of an image that a Dockerfile need not fit.
    pub quiet: bool,
    /// Without one, nothing is looked for.
    catalogue: Option<Arc<Catalogue>>,
    read: BTreeMap<PathBuf, Result<Arc<Source>, String>>,
    told: Vec<String>,
}

/// A Dockerfile that was read.
pub struct Source {
    /// What it says.
    pub dockerfile: Dockerfile,
    /// Its text.
    pub text: String,
}

impl Locator {
    /// Finds what only builds need by this catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Locator {
        Locator { catalogue: Some(catalogue), ..Locator::default() }
    }

    /// Completes a snapshot, and says how its image is built, where its files are known. `single`: the image
    /// is the only one, so that the usual Dockerfile is most likely its own. `files` is its file system, where
    /// that is known.
    pub async fn explain(
        &mut self,
        snapshot: &mut Snapshot,
        image: &NamedImage,
        build: &Build,
        single: bool,
        files: Option<&Applied<'_>>,
        options: &Arc<Options>,
    ) -> Option<Judgement> {
        let told = self.locate(snapshot, build, single);
        find_base(snapshot, image, options).await;
        // One that was read from a file keeps what was found, where its files are not known.
        let catalogue = self.catalogue.as_ref()?;
        let found = files.map(|applied| find(snapshot, applied, catalogue));
        snapshot.build_only = found.or_else(|| snapshot.build_only.take());
        let told = told.as_ref().map(|(path, facts)| Told { path, facts });
        for found in snapshot.build_only.iter_mut().flatten() {
            if let Some(help) = told.and_then(|told| help_with_copy(found, told)) {
                found.help = help;
            }
        }
        judge_stages(snapshot, told)
    }

    /// Says of each layer which line made it, and where the base image ends, if that tells. That a Dockerfile cannot
    /// be read or does not fit is said, and is no error: it only explains. `single`: the image is the
    /// only one, so that the usual Dockerfile is most likely its own.
    fn locate(&mut self, snapshot: &mut Snapshot, build: &Build, single: bool) -> Option<(String, Facts)> {
        let usual = || Some(PathBuf::from(USUAL)).filter(|path| single && path.is_file());
        let named = build.dockerfile.is_some();
        let path = build.dockerfile.clone().or_else(usual)?;
        let source = self.source(&path).map_err(|error| {
            if named {
                self.tell(format!("{error}; lines are not named"));
            }
        });
        let dockerfile = &source.ok()?.dockerfile;
        let plan = self.plan(dockerfile, &path, build)?;
        let steps: Vec<HistoryStep<'_>> = snapshot.history.iter().map(step).collect();
        let mapping = dockerfile::map(&plan, &steps);
        // The usual one may well be that of another image; then nothing of it fits.
        let fits = mapping.lines.iter().any(Option::is_some);
        if let Some(note) = mapping.note.as_ref().filter(|_| named || fits) {
            self.tell(format!("{}: {note}", path.display()));
        }
        apply(snapshot, &mapping, &plan, &path);
        if let (true, dockerfile::BaseImage::Image(name)) = (fits, plan.base) {
            (snapshot.base_name, snapshot.base_by_dockerfile) = (Some(name), true);
        }
        // One that explains no step of a history that can be read is of another image, or was written anew.
        let is_another = matches!(mapping.note, Some(Unmapped::Differs { mapped: 0, .. }));
        if !(fits || named && !is_another) {
            return None;
        }
        Some((path.display().to_string(), dockerfile.facts(&build_options(build)).ok()?))
    }

    /// A Dockerfile, read once.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn source(&mut self, path: &Path) -> Result<Arc<Source>, String> {
        self.read.entry(path.into()).or_insert_with(|| read(path).map(Arc::new)).clone()
    }

    fn plan(&mut self, dockerfile: &Dockerfile, path: &Path, build: &Build) -> Option<Plan> {
        match dockerfile.plan(&build_options(build)) {
            Ok(plan) => Some(plan),
            Err(error) => {
                let message = format!("{}: {error}; lines are not named", path.display());
                self.tell(message);
                None
            }
        }
    }

    /// Warns once of each thing.
    fn tell(&mut self, message: String) {
        if !self.quiet && !self.told.contains(&message) {
            console::warn(&message);
            self.told.push(message);
        }
    }
}

/// Finds where the base image ends, if the Dockerfile has not told: by the layers of the image that is
/// named as the base, where that can be read, or by a guess.
async fn find_base(snapshot: &mut Snapshot, image: &NamedImage, options: &Arc<Options>) {
    if snapshot.base.is_some() {
        return;
    }
    if let Some(name) = snapshot.base_name.clone()
        && let Some(below) =
            source::layers_beside(image, &name, snapshot.image.platform.as_ref(), options).await
        && below.len() < snapshot.layers.len()
        && below.iter().zip(&snapshot.layers).all(|(below, layer)| *below == layer.diff_id)
        && !below.is_empty()
    {
        let layers = below.len() as u64;
        let how = if snapshot.base_by_dockerfile { BoundaryBy::Image } else { BoundaryBy::Label };
        let name = Some(redact_reference(&name).into_owned());
        snapshot.base = Some(BaseImage { name, layers, how });
    } else if let Some(layers) = guess_base_layers(&snapshot.history) {
        snapshot.base = Some(BaseImage { name: None, layers, how: BoundaryBy::History });
    }
}

fn build_options(build: &Build) -> BuildOptions {
    BuildOptions { target: build.target.clone(), args: build.arguments.clone() }
}

fn read(path: &Path) -> Result<Source, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("cannot read the Dockerfile {}: {error}", path.display());
    // Opening a pipe or a device may take for ever; and what is in /proc is nobody's business.
    let kind = path.metadata().map_err(|error| failed(&error))?;
    if !kind.is_file() || path.starts_with("/proc") {
        return Err(failed(&"it is no regular file"));
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_READ).read_to_end(&mut text).map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(Source { dockerfile: Dockerfile::parse(&text).map_err(|error| failed(&error))?, text })
}

fn step(step: &crate::image::snapshot::Step) -> HistoryStep<'_> {
    HistoryStep { instruction: step.instruction.as_ref(), makes_layer: step.makes_layer }
}

fn apply(snapshot: &mut Snapshot, mapping: &Mapping, plan: &Plan, path: &Path) {
    let making = snapshot.history.iter().zip(&mapping.lines).filter(|(step, _)| step.makes_layer);
    for (layer, (_, lines)) in snapshot.layers.iter_mut().zip(making) {
        layer.dockerfile = lines.map(|lines| Place {
            path: path.display().to_string(),
            line: lines.line,
            end_line: lines.end_line,
        });
    }
    if let Some(steps) = mapping.base_steps {
        let below = snapshot.history.iter().take(steps).filter(|step| step.makes_layer);
        let name = match &plan.base {
            dockerfile::BaseImage::Image(name) => Some(redact_reference(name).into_owned()),
            _ => None,
        };
        let layers = below.count() as u64;
        snapshot.base = Some(BaseImage { name, layers, how: BoundaryBy::Dockerfile });
    }
}
