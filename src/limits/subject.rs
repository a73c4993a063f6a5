//! What limits evaluate: facts about an image and its baseline, each of which may be unknown. They come from an image
//! that was measured now, from a stored baseline, which may lack file lists, or from a saved report, which has none.

use super::{Finding, Metric, NOT_EVALUATED_RULE, Severity};
use crate::analysis::Analysis;
use crate::compare::baseline::age;
use crate::compare::{Cause, Comparison, LayerRow, Split, Status, Waste, app_size};
use crate::image::{
    Bytes, Day, Delta, DockerfileLines, Filesystem, Instruction, Removable, RemovableOutcome, Snapshot,
    Totals, UpdateSize,
};
use crate::stages::Evaluation;

/// An image, as far as limits need it.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which amount the limits on size and growth evaluate.
    pub metric: Metric,
    /// Whether this is a pull request, which is not at fault for what was already wrong before.
    pub pull_request: bool,
    /// The day of the evaluation: limits may be enforced from a certain day.
    pub today: Day,
    /// The current image.
    pub head: ImageFacts<'a>,
    /// The baseline, or why there is none.
    pub base: Result<BaseFacts<'a>, NoBase<'a>>,
}

/// When and for what an image is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    /// Whether it is for a change that is about to be merged: a pull request, or a merge queue group.
    pub pull_request: bool,
    /// Whether it is for a merge queue group: everything since the baseline is merged with it.
    pub merge_queue: bool,
    /// The day, in UTC.
    pub today: Day,
}

impl Occasion {
    /// Describes a baseline that is not that of the base commit, if growth since then may not be this change's.
    pub fn inexact(&self, exact: bool, distance: Option<u64>) -> Option<String> {
        let in_full = self.merge_queue && distance.is_some();
        (!exact && !in_full).then(|| age(distance))
    }
}

/// A baseline, and the changes since then.
#[derive(Debug)]
pub struct BaseFacts<'a> {
    /// What is known about it.
    pub image: ImageFacts<'a>,
    /// What it is instead, if it is not that of the base commit.
    pub inexact: Option<String>,
    /// The aligned layers, in head order.
    pub rows: &'a [LayerRow],
    /// What made the difference, largest first.
    pub causes: &'a [Cause],
    /// The base image's part in the difference, if it is known where the base image ends.
    pub split: Option<Split>,
    /// What a host that has it downloads to update to the image.
    pub update: Option<UpdateSize>,
}

/// The absence of a baseline.
#[derive(Debug, Clone, Copy)]
pub struct NoBase<'a> {
    /// Its reason.
    pub why: &'a str,
    /// What to do about it.
    pub help: &'a str,
    /// Whether one is recorded but cannot be used.
    pub unusable: bool,
}

/// What is known about one image. `None` means unknown.
#[derive(Debug)]
pub struct ImageFacts<'a> {
    is_head: bool,
    totals: Totals,
    app_size: Option<Bytes>,
    layers: Option<Vec<LayerFacts<'a>>>,
    waste: &'a [Waste],
    removable: Option<&'a [Removable]>,
    stages: Option<&'a Evaluation>,
    outcome: Option<RemovableOutcome>,
    paths: Option<ImagePaths<'a>>,
}

/// What is known about one layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerFacts<'a> {
    /// Its uncompressed size.
    pub size: Option<Bytes>,
    /// Its instruction.
    pub instruction: Option<&'a Instruction>,
    /// The instruction's lines in the Dockerfile.
    pub dockerfile: Option<&'a DockerfileLines>,
}

/// The paths in an image's layers, and their file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImagePaths<'a> {
    pub snapshot: &'a Snapshot,
    pub filesystem: &'a Filesystem,
}

/// A fact about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The size in the metric.
    Size,
    /// The uncompressed size of the application layers.
    AppSize,
    /// The update size.
    Update,
    /// The uncompressed size of each layer.
    LayerSizes,
    /// The wasted bytes, and the uncompressed size that contains them.
    Wasted,
    /// The paths in each layer.
    Paths,
    /// The removable files.
    Removable,
    /// How it is built.
    Stages,
}

impl Fact {
    /// Whether every report contains it, if it was known then. Other facts come from file lists, which no report
    /// contains.
    pub fn is_in_reports(self) -> bool {
        match self {
            Fact::Size | Fact::AppSize | Fact::Update | Fact::Wasted => true,
            Fact::LayerSizes | Fact::Paths | Fact::Removable | Fact::Stages => false,
        }
    }
}

/// An unknown fact, of the current image or its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown {
    /// The fact.
    pub fact: Fact,
    /// Whether the current image lacks it.
    pub of_head: bool,
}

impl<'a> ImageFacts<'a> {
    fn new(is_head: bool, totals: &Totals) -> ImageFacts<'a> {
        ImageFacts {
            is_head,
            totals: *totals,
            app_size: None,
            layers: None,
            waste: &[],
            removable: None,
            stages: None,
            outcome: None,
            paths: None,
        }
    }

    /// The image as measured now; `waste` is what its file system hides, `stages` how it is built.
    pub fn of_measured(
        image: &'a Analysis,
        waste: &'a [Waste],
        stages: Option<&'a Evaluation>,
    ) -> ImageFacts<'a> {
        ImageFacts { waste, stages, ..ImageFacts::of_analysis(true, image) }
    }

    /// The baseline as recorded, possibly without file lists.
    pub fn of_record(image: &'a Analysis) -> ImageFacts<'a> {
        ImageFacts::of_analysis(false, image)
    }

    fn of_analysis(is_head: bool, image: &'a Analysis) -> ImageFacts<'a> {
        let snapshot = image.snapshot();
        let layer = |layer: &'a crate::image::Layer| LayerFacts {
            size: layer.size,
            instruction: layer.created_by.as_ref(),
            dockerfile: layer.dockerfile.as_ref(),
        };
        ImageFacts {
            app_size: app_size(snapshot),
            layers: Some(snapshot.layers.iter().map(layer).collect()),
            removable: image.removable(),
            outcome: snapshot.multi_stage,
            paths: image.filesystem().map(|filesystem| ImagePaths { snapshot, filesystem }),
            ..ImageFacts::new(is_head, &snapshot.totals)
        }
    }

    /// The image as in its saved report.
    pub fn of_report(
        totals: &Totals,
        app_size: Option<Bytes>,
        layers: Vec<LayerFacts<'a>>,
        waste: &'a [Waste],
    ) -> ImageFacts<'a> {
        // Without a baseline no layers are listed.
        let layers = Some(layers).filter(|layers| layers.len() as u64 == totals.layers);
        ImageFacts { app_size, layers, waste, ..ImageFacts::new(true, totals) }
    }

    /// The baseline as in a saved report.
    pub fn of_reported_base(totals: &Totals, app_size: Option<Bytes>) -> ImageFacts<'a> {
        ImageFacts { app_size, ..ImageFacts::new(false, totals) }
    }

    fn unknown(&self, fact: Fact) -> Unknown {
        Unknown { fact, of_head: self.is_head }
    }

    /// Checks that a fact is known.
    pub(super) fn knows(&self, fact: Fact, metric: Metric) -> Result<(), Unknown> {
        match fact {
            // A fact of two images together: see `BaseFacts::update`.
            Fact::Size if metric == Metric::Update => Ok(()),
            Fact::Size => self.size(metric).map(drop),
            Fact::AppSize => self.app_size().map(drop),
            // A fact of two images together: see `BaseFacts::update`.
            Fact::Update => Ok(()),
            Fact::LayerSizes => self.layer_sizes().map(drop),
            Fact::Wasted => self.wasted().map(drop),
            Fact::Paths => self.paths().map(drop),
            Fact::Removable => self.removable().map(drop),
            Fact::Stages => self.stages().map(drop),
        }
    }

    /// The number of its layers.
    pub(super) fn layer_count(&self) -> u64 {
        self.totals.layers
    }

    /// Its size in a metric.
    pub(super) fn size(&self, metric: Metric) -> Result<Bytes, Unknown> {
        metric.of(&self.totals).ok_or(self.unknown(Fact::Size))
    }

    /// The uncompressed size of the application layers.
    pub(super) fn app_size(&self) -> Result<Bytes, Unknown> {
        self.app_size.ok_or(self.unknown(Fact::AppSize))
    }

    /// Each layer with its uncompressed size, lowest first.
    pub(super) fn layer_sizes(&self) -> Result<Vec<(Bytes, LayerFacts<'a>)>, Unknown> {
        let sized = |layer: &LayerFacts<'a>| Some((layer.size?, *layer));
        let layers = self.layers.as_ref().and_then(|layers| layers.iter().map(sized).collect());
        layers.ok_or(self.unknown(Fact::LayerSizes))
    }

    /// The wasted bytes, and the uncompressed size.
    pub(super) fn wasted(&self) -> Result<(Bytes, Bytes), Unknown> {
        let wasted = self.totals.wasted.zip(self.totals.uncompressed);
        wasted.ok_or(self.unknown(Fact::Wasted))
    }

    /// What is wasted, by the two layers involved, largest first; empty if it is unknown.
    pub(super) fn waste(&self) -> &'a [Waste] {
        self.waste
    }

    /// The paths in each layer.
    pub(super) fn paths(&self) -> Result<ImagePaths<'a>, Unknown> {
        self.paths.ok_or(self.unknown(Fact::Paths))
    }

    /// The removable files.
    pub(super) fn removable(&self) -> Result<&'a [Removable], Unknown> {
        self.removable.ok_or(self.unknown(Fact::Removable))
    }

    /// How it is built.
    pub(super) fn stages(&self) -> Result<&'a Evaluation, Unknown> {
        self.stages.ok_or(self.unknown(Fact::Stages))
    }

    /// The recorded verdict on how it was built.
    pub(super) fn recorded_outcome(&self) -> Option<RemovableOutcome> {
        self.outcome
    }

    /// The lines of the largest layer among those with known lines.
    pub(super) fn largest_layer(&self) -> Option<DockerfileLines> {
        let located = self.layers.iter().flatten().filter(|layer| layer.dockerfile.is_some());
        located.max_by_key(|layer| layer.size)?.dockerfile.cloned()
    }
}

impl<'a> BaseFacts<'a> {
    /// A baseline, compared with the image.
    pub fn new(image: ImageFacts<'a>, comparison: &'a Comparison, inexact: Option<String>) -> BaseFacts<'a> {
        let Comparison { rows, causes, split, update, .. } = comparison;
        BaseFacts { image, inexact, rows, causes, split: *split, update: *update }
    }

    /// What an update is a share of: the baseline's full pull, or a known size instead if the update is estimated.
    pub(super) fn full_pull(&self) -> Result<Bytes, Unknown> {
        let totals = &self.image.totals;
        let estimated = totals.uncompressed.filter(|_| self.update.is_some_and(|update| update.estimated));
        totals.compressed.or(estimated).ok_or(self.image.unknown(Fact::Size))
    }

    /// What a host that has it downloads to update to the image.
    pub(super) fn update(&self) -> Result<UpdateSize, Unknown> {
        self.update.ok_or(self.image.unknown(Fact::Update))
    }

    /// The severity for a change: only a warning against an inexact baseline. With a note that says so.
    pub(super) fn demoted(&self, severity: Severity) -> (Severity, String) {
        match &self.inexact {
            Some(why) => (Severity::Warn, format!(" (warning only: baseline {why})")),
            None => (severity, String::new()),
        }
    }

    /// The size of the layer at `head_index` before.
    pub(super) fn layer_before(&self, head_index: usize) -> Option<Bytes> {
        let row = self.rows.iter().find(|row| row.head_index == Some(head_index as u64))?;
        if row.status == Status::Added { None } else { row.base_size }
    }

    /// The lines that grew most.
    pub(super) fn grown_most(&self) -> Option<DockerfileLines> {
        self.causes.iter().find(|cause| cause.delta > Delta(0))?.dockerfile.clone()
    }

    /// The same among the application layers.
    pub(super) fn app_grown_most(&self) -> Option<DockerfileLines> {
        let of_base = |index: Option<u64>| {
            let mut rows = self.rows.iter();
            rows.any(|row| row.head_index == index && row.of_base_image == Some(true))
        };
        let grown = self.causes.iter().filter(|cause| cause.delta > Delta(0) && cause.head_index.is_some());
        grown.into_iter().find(|cause| !of_base(cause.head_index))?.dockerfile.clone()
    }
}

impl<'a> Subject<'a> {
    /// The severity of exceeding an absolute limit: on a pull request whose baseline already exceeded it, it fails only
    /// if the change makes it worse. With a note that says so.
    pub(super) fn unless_inherited(
        &self,
        now: u64,
        before: Option<u64>,
        already: bool,
    ) -> (Severity, &'static str) {
        if self.pull_request && already && before.is_some_and(|before| now <= before) {
            return (Severity::Warn, " (warning only: the baseline already exceeds it)");
        }
        (Severity::Fail, "")
    }

    /// How much more all layers store than the baseline's.
    pub(super) fn uncompressed_growth(&self) -> Option<Delta> {
        Some(self.head.totals.uncompressed? - self.before()?.totals.uncompressed?)
    }

    /// The baseline's facts.
    pub(super) fn before(&self) -> Option<&ImageFacts<'a>> {
        self.base.as_ref().ok().map(|base| &base.image)
    }
}

impl Unknown {
    /// The finding that a limit cannot be evaluated without it.
    pub(super) fn finding(self, limit: &str, subject: &Subject<'_>) -> Finding {
        let side = if self.of_head { "this image" } else { "the baseline" };
        let what = what(self.fact, subject.metric);
        Finding {
            rule: NOT_EVALUATED_RULE.into(),
            severity: Severity::Fail,
            message: format!("{limit} cannot be evaluated: {what} of {side} is unknown"),
            measured: None,
            limit: None,
            subject: subject.name.to_owned(),
            help: hint(self, subject, side),
            dockerfile: None,
        }
    }
}

/// A fact in words, to precede "of this image".
fn what(fact: Fact, metric: Metric) -> String {
    match fact {
        Fact::Size => format!("the {metric} size"),
        Fact::AppSize => "the size of the application layers".into(),
        Fact::Update => "the update size from the layers".into(),
        Fact::LayerSizes => "the size of each layer".into(),
        Fact::Wasted => "the wasted size".into(),
        Fact::Paths => "the list of files".into(),
        Fact::Removable | Fact::Stages => "the list of removable files".into(),
    }
}

fn hint(unknown: Unknown, subject: &Subject<'_>, side: &str) -> String {
    let of = if unknown.of_head { Some(&subject.head) } else { subject.before() };
    if unknown.fact != Fact::AppSize && of.is_some_and(|side| side.totals.uncompressed.is_none()) {
        return format!(
            "one of its layers is not distributed with the image: pull and measure {side} with an engine of its platform, or limit its compressed size (metric = \"compressed\")"
        );
    }
    let mut hint = format!("measure {side} from its layers (by name, or with `docker save`)");
    match unknown.fact {
        Fact::Size if matches!(subject.metric, Metric::Compressed | Metric::Update) => {
            hint += "; compressed sizes are in a registry, an OCI layout or an export of the containerd image store";
        }
        Fact::Update => {
            hint = "measure both images from their layers (by name, or with `docker save`)".into()
        }
        Fact::AppSize => {
            hint = "pass --dockerfile to check and record: it shows where the base image ends".into()
        }
        _ => {}
    }
    hint
}

#[cfg(test)]
mod tests {
    use super::super::{Definition, LIMITS, Limits, ValueForm};
    use super::*;
    use crate::image::Snapshot;

    /// An image with only these known facts.
    struct Image {
        snapshot: Snapshot,
        stages: Evaluation,
        facts: Vec<Fact>,
    }

    impl Image {
        fn knowing(facts: impl IntoIterator<Item = Fact>) -> Image {
            let stages = Evaluation {
                outcome: RemovableOutcome::Pass,
                reason: String::new(),
                by: crate::stages::Basis::Image,
                stages: None,
                multi_stage: None,
                removable: Bytes(0),
                removable_of_base: Bytes(0),
                help: String::new(),
                dockerfile: None,
            };
            let snapshot = Snapshot::made_up(Vec::new());
            Image { snapshot, stages, facts: facts.into_iter().collect() }
        }

        fn side<'a>(&'a self, is_head: bool, filesystem: &'a Filesystem) -> ImageFacts<'a> {
            let nothing = Totals {
                layers: 0,
                files: None,
                uncompressed: None,
                flattened: None,
                wasted: None,
                compressed: None,
            };
            let mut side = ImageFacts::new(is_head, &nothing);
            let totals = &mut side.totals;
            for fact in &self.facts {
                match fact {
                    Fact::Size => totals.compressed = Some(Bytes(0)),
                    Fact::AppSize => side.app_size = Some(Bytes(0)),
                    // A fact of two images together: `evaluated` adds it.
                    Fact::Update => {}
                    Fact::LayerSizes => side.layers = Some(Vec::new()),
                    Fact::Wasted => (totals.wasted, totals.uncompressed) = (Some(Bytes(0)), Some(Bytes(0))),
                    Fact::Paths => {
                        side.paths = Some(ImagePaths { snapshot: &self.snapshot, filesystem });
                    }
                    Fact::Removable => side.removable = Some(&[]),
                    Fact::Stages => side.stages = Some(&self.stages),
                }
            }
            side
        }
    }

    /// The findings of the only limit, or the fact that it lacks.
    fn evaluated(limits: &Limits, head: &Image, base: &Image) -> Vec<Finding> {
        let filesystem = Filesystem::of(Vec::new());
        let nothing = UpdateSize { bytes: Bytes(0), classic_bytes: Bytes(0), estimated: false };
        let update = base.facts.contains(&Fact::Update).then_some(nothing);
        let base = BaseFacts {
            image: base.side(false, &filesystem),
            inexact: None,
            rows: &[],
            causes: &[],
            split: None,
            update,
        };
        let subject = Subject {
            name: "app",
            metric: Metric::Compressed,
            pull_request: false,
            today: Day::of(0),
            head: head.side(true, &filesystem),
            base: Ok(base),
        };
        limits.evaluate(&subject)
    }

    /// Asserts that it fails, and which fact is missing.
    fn assert_not_evaluated(found: &[Finding], limit: &str, why: &str) {
        let [found] = found else { panic!("{limit}: {found:?}") };
        assert_eq!((found.rule.as_str(), found.severity), (NOT_EVALUATED_RULE, Severity::Fail), "{limit}");
        assert_eq!(found.message, format!("{limit} cannot be evaluated: {why}"));
        assert!(!found.help.is_empty(), "{limit}");
    }

    #[test]
    fn a_limit_needs_the_facts_that_it_declares_and_no_other() {
        let needs = |limit: &'static Definition| limit.needs.head.iter().chain(limit.needs.base).copied();
        let all = || LIMITS.iter().flat_map(needs);
        for limit in LIMITS {
            let key = limit.key;
            let value = if let ValueForm::Choice(choices) = key.form { choices[0] } else { key.examples[0] };
            let limits = Limits::parse(|name| (name == key.name).then_some(value)).unwrap();
            let known = |facts: &'static [Fact]| Image::knowing(facts.iter().copied());
            let (head, base) = (known(limit.needs.head), known(limit.needs.base));
            assert_eq!(evaluated(&limits, &head, &base), [], "{}", key.name);
            let without = |fact: &Fact| Image::knowing(all().filter(|other| other != fact));
            for fact in limit.needs.head {
                let found = evaluated(&limits, &without(fact), &Image::knowing(all()));
                let why = format!("{} of this image is unknown", what(*fact, Metric::Compressed));
                assert_not_evaluated(&found, key.name, &why);
            }
            for fact in limit.needs.base {
                let found = evaluated(&limits, &Image::knowing(all()), &without(fact));
                let why = format!("{} of the baseline is unknown", what(*fact, Metric::Compressed));
                assert_not_evaluated(&found, key.name, &why);
            }
        }
    }
}
