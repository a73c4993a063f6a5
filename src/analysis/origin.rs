//! Where an image comes from: which lines of a Dockerfile made its layers, and where its base image ends.

use std::borrow::Cow;
use std::path::Path;

use crate::dockerfile::provenance::Material;
use crate::dockerfile::{
    self, BuildOptions, BuildPlan, Dockerfile, DockerfileFacts, HistoryStep, Mapping, Provenance, Unmapped,
};
use crate::image::LinesBy;
use crate::image::layer_ref::DockerfileLines;
use crate::image::snapshot::{BaseImage, BoundaryBy, HistoryEntry, estimate_base_layers};
use crate::image::{DiffId, Digest, MeasuredImage, Snapshot};
use crate::redact::redact_reference;

/// What is known about an image's origin, from itself and from a Dockerfile.
#[derive(Debug)]
pub struct ImageOrigin {
    /// For each layer the lines that made it, if a Dockerfile was read.
    pub(super) lines: Option<Vec<Option<DockerfileLines>>>,
    /// How they were found.
    pub(super) lines_by: LinesBy,
    /// The Dockerfile, if it fits.
    pub(super) dockerfile: Option<DockerfileFacts>,
    /// Where the base image ends, as far as that can be found without another image.
    base: Option<BaseImage>,
    /// The name of the base image, and how it was found.
    base_name: Option<(String, BoundaryBy)>,
    /// The base image of the baseline, if this image still has its layers at the bottom.
    inherited: Option<BaseImage>,
    /// Why the Dockerfile does not explain everything, in a sentence.
    pub note: Option<String>,
}

impl ImageOrigin {
    /// The origin that an image itself states.
    pub fn of_image(measured: &MeasuredImage) -> ImageOrigin {
        let base_name = measured.base_name.clone().map(|name| (name, BoundaryBy::Label));
        ImageOrigin {
            lines: None,
            lines_by: LinesBy::Estimated,
            dockerfile: None,
            base: measured.snapshot.base.clone(),
            base_name,
            inherited: None,
            note: None,
        }
    }

    /// Takes the base image of the baseline instead of a guess, if the image still has its layers at the bottom. A
    /// guess trusts the image itself: a `CMD` on top of a layer would assign that layer to the base image.
    pub fn inherit_base(&mut self, baseline: &Snapshot, snapshot: &Snapshot) {
        let layers = |base: &BaseImage| baseline.layers.get(..usize::try_from(base.layers).ok()?);
        let is_there = |base: &&BaseImage| {
            let below = layers(base).unwrap_or_default().iter().map(|layer| layer.diff_id.clone());
            is_below(&below.collect::<Vec<_>>(), snapshot)
        };
        self.inherited = baseline.base.as_ref().filter(is_there).cloned();
    }

    /// Adds what the build says: exact lines, and the Dockerfile. `named` is the Dockerfile's path, if it is known.
    /// This does not tell where the base image ends: see [`ImageOrigin::confirm_base`].
    pub fn explain_by(&mut self, provenance: &Provenance, blobs: &[Option<Digest>], named: Option<&Path>) {
        if !provenance.tells_lines(blobs) {
            return;
        }
        let named = named.map(|path| path.display().to_string());
        let path = named.or_else(|| provenance.file.clone()).unwrap_or_else(|| "Dockerfile".to_owned());
        let at = |lines: dockerfile::LineRange| DockerfileLines {
            path: path.clone(),
            line: lines.line,
            end_line: lines.end_line,
        };
        self.lines = Some(provenance.lines_of(blobs).into_iter().map(|lines| lines.map(at)).collect());
        self.lines_by = LinesBy::Provenance;
        self.note = None;
        let options = BuildOptions {
            target: provenance.target.clone(),
            args: provenance.arguments.clone(),
            contexts: provenance.contexts.clone(),
        };
        // It may have been built from another language than Dockerfiles.
        let parsed = provenance.text.as_deref().and_then(|text| Dockerfile::parse(text).ok());
        if let Some(dockerfile) = parsed
            && let Ok(facts) = dockerfile.facts(&options)
        {
            self.dockerfile = Some(DockerfileFacts { path, digest: dockerfile.digest().clone(), facts });
        }
        if provenance.base_layers(blobs) == Some(0) {
            self.base = Some(BaseImage { name: None, layers: 0, how: BoundaryBy::Provenance });
        }
    }

    /// Takes the base image from provenance, if that image's own config confirms it: `asked` are the images that
    /// provenance names, with their layers if they could be looked up. Provenance is text that came with the image, and
    /// a limit depends on where the base image ends. Of several images, the one with the most layers is the base; but
    /// only if all could be looked up, because a builder's base may be below the image's.
    pub fn confirm_base(&mut self, snapshot: &Snapshot, asked: &[(&Material, Option<Vec<DiffId>>)]) {
        let all: Option<Vec<(&Material, &Vec<DiffId>)>> =
            asked.iter().map(|(image, layers)| Some((*image, layers.as_ref()?))).collect();
        let below = all.into_iter().flatten().filter(|(_, layers)| is_below(layers, snapshot));
        if let Some((image, layers)) = below.max_by_key(|(_, layers)| layers.len()) {
            let name = Some(redact_reference(&image.name).into_owned());
            let layers = layers.len() as u64;
            self.base = Some(BaseImage { name, layers, how: BoundaryBy::Provenance });
        }
    }

    /// Adds what a Dockerfile says. `named`: it was given as the image's own, instead of found in the usual place.
    pub fn of_dockerfile(
        measured: &MeasuredImage,
        (path, dockerfile): (&Path, &Dockerfile),
        options: &BuildOptions,
        named: bool,
    ) -> ImageOrigin {
        let mut origin = ImageOrigin::of_image(measured);
        let plan = match dockerfile.plan(options) {
            Ok(plan) => plan,
            Err(error) => {
                origin.note = Some(format!("{}: {error}; no Dockerfile lines are shown", path.display()));
                return origin;
            }
        };
        let history = &measured.snapshot.history;
        let steps: Vec<HistoryStep<'_>> = history.iter().map(step).collect();
        let mapping = dockerfile::map(&plan, &steps);
        // The usual file may belong to another image; then nothing of it fits.
        let fits = mapping.lines.iter().any(Option::is_some);
        let note = mapping.note.as_ref().filter(|_| named || fits);
        origin.note = note.map(|note| format!("{}: {note}", path.display()));
        origin.lines = Some(lines(history, &mapping, path));
        let stored = origin.base.take();
        let is_known = stored.as_ref().is_some_and(|base| base.how == BoundaryBy::Provenance);
        let found = boundary(history, &mapping, &plan).filter(|_| !is_known);
        origin.base = found.or(stored);
        if let (true, dockerfile::StageBase::Image(name)) = (fits, plan.base) {
            origin.base_name = Some((name, BoundaryBy::Image));
        }
        // One that explains no entry of a readable history belongs to another image, or was rewritten.
        let is_another = matches!(mapping.note, Some(Unmapped::Differs { mapped: 0, .. }));
        if fits || named && !is_another {
            let (path, digest) = (path.display().to_string(), dockerfile.digest().clone());
            let facts = dockerfile.facts(options).ok();
            origin.dockerfile = facts.map(|facts| DockerfileFacts { path, digest, facts });
        }
        origin
    }

    /// The image whose layers would tell where the base image ends, if nothing else does.
    pub fn base_to_ask(&self) -> Option<&str> {
        let (name, _) = self.base_name.as_ref().filter(|_| self.base.is_none())?;
        Some(name)
    }

    /// Where the base image ends: according to the Dockerfile, the layers of the named base image, the baseline, or an
    /// estimate from the history.
    pub(super) fn base(&self, snapshot: &Snapshot, below: Option<Vec<DiffId>>) -> Option<BaseImage> {
        let is_estimate = |base: &&BaseImage| base.how == BoundaryBy::History;
        if let Some(base) = self.base.as_ref().filter(|base| !is_estimate(base)) {
            return Some(base.clone());
        }
        let below = below.filter(|below| is_below(below, snapshot));
        if let (Some((name, how)), Some(below)) = (&self.base_name, below) {
            let name = Some(redact_reference(name).into_owned());
            return Some(BaseImage { name, layers: below.len() as u64, how: *how });
        }
        let estimate = || {
            let layers = estimate_base_layers(&snapshot.history)?;
            Some(BaseImage { name: None, layers, how: BoundaryBy::History })
        };
        self.inherited.clone().or_else(|| self.base.clone()).or_else(estimate)
    }
}

/// Whether these are the lowest layers of an image that has more.
fn is_below(below: &[DiffId], snapshot: &Snapshot) -> bool {
    !below.is_empty()
        && below.len() < snapshot.layers.len()
        && below.iter().zip(&snapshot.layers).all(|(below, layer)| *below == layer.diff_id)
}

fn step(step: &HistoryEntry) -> HistoryStep<'_> {
    HistoryStep { instruction: step.instruction.as_ref(), makes_layer: step.makes_layer }
}

/// For each layer, the lines that made it.
fn lines(history: &[HistoryEntry], mapping: &Mapping, path: &Path) -> Vec<Option<DockerfileLines>> {
    let making = history.iter().zip(&mapping.lines).filter(|(step, _)| step.makes_layer);
    let at = |lines: dockerfile::LineRange| DockerfileLines {
        path: path.display().to_string(),
        line: lines.line,
        end_line: lines.end_line,
    };
    making.map(|(_, lines)| lines.map(at)).collect()
}

/// Where the base image ends, if everything above it was found in the Dockerfile.
fn boundary(history: &[HistoryEntry], mapping: &Mapping, plan: &BuildPlan) -> Option<BaseImage> {
    let below = history.iter().take(mapping.base_steps?).filter(|step| step.makes_layer);
    let name = match &plan.base {
        base @ dockerfile::StageBase::Image(_) => base.shown().map(Cow::into_owned),
        _ => None,
    };
    Some(BaseImage { name, layers: below.count() as u64, how: BoundaryBy::Dockerfile })
}
