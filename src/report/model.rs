//! The document of one evaluation: `layergate.report/v1`. Every output is rendered from it.

use std::collections::BTreeMap;

use globset::GlobSet;
use serde::{Deserialize, Serialize};

use super::links::RunLinks;
use crate::analysis::Analysis;
use crate::compare::baseline::HistoryPoint;
use crate::compare::{
    Baseline, Cause, CompareError, Comparison, ConfigChange, Deltas, FileChanges, LayerRow, Missing, Moved,
    PackageCounts, PackageRow, Split, Waste, compare, waste,
};
use crate::config::{Accept, Acceptance, Ruleset, Setting, Settings};
use crate::image::platform::platform_key;
use crate::image::snapshot::{Commit, ImageIdentity, SourceInfo};
use crate::image::unread::{UnreadFile, unread_files};
use crate::image::{
    Bytes, Delta, Digest, LinesBy, Measured, Platform, Removable, Snapshot, Totals, UpdateSize,
};
use crate::limits::{
    self, BASELINE_RULE, BaseFacts, Fact, Finding, HeadlineContext, ImageFacts, Metric, NOT_EVALUATED_RULE,
    NoBase, Occasion, Severity, Subject, Verdict,
};
use crate::stages::{Evaluation, evaluate_stages};

/// The `schema` of a report that this version writes.
pub const SCHEMA: &str = "layergate.report/v1";

/// The rule of the finding for an image without a report.
pub const MISSING_RULE: &str = "report";
/// The rules of findings that nobody can accept.
const NO_LIMITS: [&str; 3] = [MISSING_RULE, NOT_EVALUATED_RULE, BASELINE_RULE];
/// Maximum number of packages listed for one image.
const MAX_PACKAGES: usize = 200;

/// Maximum number of points in a comment's chart, this change included.
pub const MOST_IN_CHART: usize = 20;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// The document's kind and major version.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: String,
    /// The version of layergate that wrote it.
    pub layergate: String,
    /// The most serious verdict of all images.
    pub verdict: Verdict,
    /// The commit that the images were built from, if known.
    pub head_sha: Option<String>,
    /// The target branch of the pull request, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// One entry for each image.
    pub images: Vec<ImageReport>,
    /// What accepts an exceeded limit, if one is exceeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<AcceptanceRules>,
    /// How the exceeded limits were accepted, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Acceptance>,
    /// Remarks about merged reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The configurations that count, the image's own first, if there are more than the usual file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configurations: Vec<String>,
    /// The smallest change that is worth a new comment, if the configuration sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_change: Option<Bytes>,
    /// URL of the page with the full report. Not part of the document: it is where the report was put.
    #[serde(skip)]
    pub url: Option<String>,
    /// Links into the repository. Not part of the document either: the renderer knows them.
    #[serde(skip)]
    pub links: Option<RunLinks>,
}

/// What accepts an exceeded limit, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AcceptanceRules {
    /// Labels of the pull request.
    pub labels: Vec<String>,
    /// The commit trailer.
    pub trailer: Option<String>,
    /// The most growth that can be accepted.
    pub max_increase: Option<String>,
}

/// What a check found about one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageReport {
    /// The image's name.
    pub name: String,
    /// The image as it was requested.
    pub reference: String,
    /// The image's platform, as `os/arch[/variant][:os.version]`.
    pub platform: Option<String>,
    /// The image's own verdict.
    pub verdict: Verdict,
    /// The size that the size limits evaluate.
    pub metric: Metric,
    /// How the bytes were measured.
    pub measured: Measured,
    /// The configured limits, as written.
    pub limits: BTreeMap<String, String>,
    /// The limits of the configurations that the image's own extends, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<ExtendedLimits>,
    /// The baseline. Null if none was found, which means neither 0 nor growth of 100%.
    pub base: Option<Base>,
    /// Why there is no baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_base: Option<Missing>,
    /// The current image. Null if the baseline has a platform that no longer exists.
    pub head: Option<HeadImage>,
    /// The differences, head minus base.
    pub delta: Option<Deltas>,
    /// The aligned layers, in head order. Without a baseline, empty.
    pub layers: Vec<LayerRow>,
    /// The differences in how containers are started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<ConfigChange>,
    /// How the lines of the image's layers are known, if any layer has lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<LinesBy>,
    /// The instructions that made the difference, largest first, with what in each explains it.
    pub causes: Vec<Cause>,
    /// The part of the difference in paths that `[comment]` ignores, which is in no cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<Delta>,
    /// What both images store, but by different instructions, most bytes first: not a cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
    /// How many packages differ.
    #[serde(default)]
    pub package_counts: PackageCounts,
    /// The packages that differ, largest difference first, at most 200 of them.
    #[serde(default)]
    pub packages: Vec<PackageRow>,
    /// The image's package databases that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_databases: Vec<UnreadFile>,
    /// How the flattened files differ, if all files of both images are known.
    #[serde(default)]
    pub files: Option<FileChanges>,
    /// The base image's part of the difference, if its boundary is known.
    #[serde(default)]
    pub split: Option<Split>,
    /// The name of the base image, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_image: Option<String>,
    /// What a host that has the baseline downloads to move to this image, if known.
    #[serde(default)]
    pub update: Option<UpdateSize>,
    /// What the image wastes, by the two layers that cause it, largest first.
    #[serde(default)]
    pub waste: Vec<Waste>,
    /// Removable files, most bytes first.
    #[serde(default)]
    pub removable: Vec<Removable>,
    /// Whether the build is multi-stage, or need not be, if that was evaluated.
    #[serde(default)]
    pub stages: Option<Evaluation>,
    /// The Dockerfile that the lines belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<DockerfileId>,
    /// Its recorded sizes and this one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trend: Vec<TrendPoint>,
    /// The findings of the limits.
    pub findings: Vec<Finding>,
}

/// The limits of an extended configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExtendedLimits {
    /// The configuration.
    pub source: String,
    /// Its configured limits, as written, overridden where it allows that.
    pub limits: BTreeMap<String, String>,
}

/// The findings of several sets of limits.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) all: Vec<Finding>,
}

impl Findings {
    /// Adds the findings of one set. Identical ones are kept once, with the higher severity.
    pub(super) fn add(&mut self, ruleset: &Ruleset, found: Vec<Finding>) {
        for mut finding in found {
            let is_same = |known: &&mut Finding| {
                (&known.rule, &known.limit, &known.subject)
                    == (&finding.rule, &finding.limit, &finding.subject)
            };
            match self.all.iter_mut().find(is_same) {
                Some(known) => known.severity = known.severity.max(finding.severity),
                None => {
                    let source = ruleset.source.as_ref().filter(|_| finding.limit.is_some()).cloned();
                    finding.message.extend(source.map(|source| format!(" (limit of {source})")));
                    self.all.push(finding);
                }
            }
        }
    }
}

/// A Dockerfile, identified by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DockerfileId {
    /// Its path.
    pub path: String,
    /// The sha256 of its text.
    pub digest: Digest,
}

/// A point of a comment's chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrendPoint {
    /// The full hash of the commit; null for this change.
    pub commit: Option<String>,
    /// Bytes, in the metric that the limits evaluate.
    pub size: Bytes,
}

/// The baseline that an image was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Base {
    /// The baseline image's name; differs from the head's only in `diff`.
    pub name: String,
    /// Its sizes.
    pub totals: Totals,
    /// The commit that it was recorded for.
    pub commit: Option<Commit>,
    /// How many commits it is behind the commit to compare with; null if unknown.
    pub distance: Option<u64>,
    /// Whether it is the baseline of exactly the commit to compare with.
    pub exact: bool,
    /// Why this baseline, in words.
    pub how: String,
}

impl Base {
    fn of(baseline: &Baseline) -> Base {
        let snapshot = baseline.image.snapshot();
        Base {
            name: snapshot.image.name.clone(),
            totals: snapshot.totals,
            commit: snapshot.commit.clone(),
            distance: baseline.distance,
            exact: baseline.exact,
            how: baseline.how.clone(),
        }
    }
}

/// The current image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HeadImage {
    /// Its sizes.
    pub totals: Totals,
}

/// What an image is evaluated against.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The limits of each configuration that counts, the image's own first.
    pub rulesets: &'a [Ruleset],
    /// When, and for which event.
    pub occasion: &'a Occasion,
    /// Paths whose changes are not causes.
    pub ignored: Option<&'a GlobSet>,
}

impl Report {
    /// Whether the report is worth a new comment on a pull request.
    pub fn is_worth_a_comment(&self) -> bool {
        let is_large = |image: &ImageReport| {
            self.min_change.is_none_or(|least| image.change().is_none_or(|change| change >= least))
        };
        let is_news = |image: &ImageReport| !image.is_unchanged() && is_large(image);
        self.verdict != Verdict::Pass || self.images.iter().any(is_news)
    }

    /// Combines images; the most serious verdict is the report's.
    pub fn new(head_sha: Option<String>, images: Vec<ImageReport>) -> Report {
        Report {
            schema: SCHEMA.into(),
            layergate: env!("CARGO_PKG_VERSION").into(),
            verdict: worst(&images),
            head_sha,
            target: None,
            images,
            accept: None,
            accepted: None,
            notes: Vec::new(),
            configurations: Vec::new(),
            min_change: None,
            url: None,
            links: None,
        }
    }

    /// Withdraws the acceptance.
    pub fn withdraw_acceptance(&mut self) {
        for image in self.images.iter_mut().filter(|image| image.verdict == Verdict::Accepted) {
            image.verdict = Verdict::Fail;
        }
        self.verdict = worst(&self.images);
        self.accepted = None;
    }
}

/// The most serious verdict of some images.
pub fn worst(images: &[ImageReport]) -> Verdict {
    images.iter().map(|image| image.verdict).max().unwrap_or(Verdict::Pass)
}

/// The limits among an image's settings, as written.
pub(super) fn written(settings: &Settings) -> BTreeMap<String, String> {
    let limits = settings.iter().filter(|(key, _)| limits::key(key).is_some());
    limits.map(|(key, setting)| (key.clone(), setting.text.clone())).collect()
}

/// The missing baseline, in the form for limits.
pub(super) fn no_base(missing: Option<&Missing>) -> NoBase<'_> {
    match missing {
        Some(Missing { reason, message, help }) => {
            NoBase { why: message, help, unusable: reason.is_unusable() }
        }
        None => NoBase { why: "no baseline was found", help: "", unusable: false },
    }
}

/// What an image wastes, if its files are known.
fn waste_of(image: &Analysis) -> Vec<Waste> {
    image.filesystem().map_or_else(Vec::new, |files| waste(image.snapshot(), files))
}

impl AcceptanceRules {
    /// The same as rules to apply again; `None` if they are invalid.
    pub fn accept(&self) -> Option<Accept> {
        let setting = |text: String| Setting { text, origin: "the report".into() };
        let mut settings = Settings::from([("labels".to_owned(), setting(self.labels.join("\n")))]);
        settings.extend(self.trailer.clone().map(|trailer| ("trailer".to_owned(), setting(trailer))));
        settings.extend(self.max_increase.clone().map(|bound| ("max-increase".to_owned(), setting(bound))));
        Accept::from_settings(&settings).ok()
    }
}

impl From<&Accept> for AcceptanceRules {
    fn from(accept: &Accept) -> AcceptanceRules {
        AcceptanceRules {
            labels: accept.labels.clone(),
            trailer: accept.trailer.clone(),
            max_increase: {
                let bounds: Vec<String> = accept.max_increase.iter().map(ToString::to_string).collect();
                (!bounds.is_empty()).then(|| bounds.join("\n"))
            },
        }
    }
}

impl ImageReport {
    /// Compares an image with its baseline and evaluates it.
    ///
    pub fn evaluate(
        head: &Analysis,
        baseline: Result<&Baseline, &Missing>,
        terms: &Terms<'_>,
    ) -> ImageReport {
        let Terms { rulesets, occasion, ignored } = *terms;
        let compared = baseline.map_err(Missing::clone).and_then(|baseline| {
            let comparison = compare(&baseline.image, head, ignored);
            comparison
                .map(|comparison| (baseline, comparison))
                .map_err(|error| Missing::incomparable(&error.to_string()))
        });
        let (baseline, comparison, missing) = match compared {
            Ok((baseline, comparison)) => (Some(baseline), Some(comparison), None),
            Err(missing) => (None, None, Some(missing)),
        };
        let (waste, stages) = (waste_of(head), evaluate_stages(head));
        let base = baseline.zip(comparison.as_ref()).map(|(baseline, comparison)| {
            let inexact = occasion.inexact(baseline.exact, baseline.distance);
            BaseFacts::new(ImageFacts::of_record(&baseline.image), comparison, inexact)
        });
        let mut subject = Subject {
            name: &head.snapshot().image.name,
            metric: Metric::default(),
            pull_request: occasion.pull_request,
            today: occasion.today.clone(),
            head: ImageFacts::of_measured(head, &waste, stages.as_ref()),
            base: base.ok_or_else(|| no_base(missing.as_ref())),
        };
        let mut findings = Findings::default();
        for ruleset in rulesets {
            subject.metric = ruleset.limits.metric;
            findings.add(ruleset, ruleset.limits.evaluate(&subject));
        }
        drop(subject);
        let findings = findings.all;
        let mut report = ImageReport::describe(head, baseline, comparison, findings, waste);
        report.no_base = missing;
        report.stages = stages;
        report.set_rules(rulesets);
        report
    }

    /// Compares without evaluating.
    ///
    /// # Errors
    /// [`CompareError`] if the two must not be compared.
    pub fn difference(base: &Baseline, head: &Analysis) -> Result<ImageReport, CompareError> {
        let comparison = compare(&base.image, head, None)?;
        Ok(ImageReport::describe(head, Some(base), Some(comparison), Vec::new(), waste_of(head)))
    }

    fn describe(
        head: &Analysis,
        baseline: Option<&Baseline>,
        comparison: Option<Comparison>,
        findings: Vec<Finding>,
        waste: Vec<Waste>,
    ) -> ImageReport {
        let dockerfile =
            head.dockerfile().map(|own| DockerfileId { path: own.path.clone(), digest: own.digest.clone() });
        let head = head.snapshot();
        let mut report = ImageReport {
            name: head.image.name.clone(),
            reference: head.image.reference.clone(),
            platform: head.image.platform.as_ref().map(ToString::to_string),
            verdict: Verdict::of(&findings),
            metric: Metric::default(),
            measured: head.measured,
            limits: BTreeMap::new(),
            extended: Vec::new(),
            base: baseline.map(Base::of),
            no_base: None,
            head: Some(HeadImage { totals: head.totals }),
            delta: None,
            layers: Vec::new(),
            config: Vec::new(),
            lines: head.lines,
            causes: Vec::new(),
            ignored: None,
            moved: Vec::new(),
            package_counts: PackageCounts::default(),
            packages: Vec::new(),
            unread_databases: unread_files(&head.layers),
            files: None,
            split: None,
            base_image: head.base.as_ref().and_then(|base| base.name.clone()),
            update: None,
            waste,
            removable: head.removable.clone().unwrap_or_default(),
            stages: None,
            dockerfile,
            trend: Vec::new(),
            findings,
        };
        if let Some(comparison) = comparison {
            report.compared(comparison);
        }
        report
    }

    fn compared(&mut self, comparison: Comparison) {
        let Comparison { deltas, rows, causes, ignored, moved, packages, files, split, config, update } =
            comparison;
        self.delta = Some(deltas);
        self.layers = rows;
        (self.causes, self.ignored, self.moved) = (causes, ignored, moved);
        self.package_counts = PackageCounts::of(&packages);
        // A distribution's upgrade changes all packages; the largest explain why.
        self.packages = packages.into_iter().take(MAX_PACKAGES).collect();
        (self.files, self.split) = (files, split);
        (self.config, self.update) = (config, update);
    }

    /// Describes an image without a baseline.
    pub fn added(head: &Analysis) -> ImageReport {
        ImageReport::describe(head, None, None, Vec::new(), waste_of(head))
    }

    /// Describes an image that only the baseline has: a removed platform.
    pub fn removed(base: &Baseline) -> ImageReport {
        let waste = waste_of(&base.image);
        let described = ImageReport::describe(&base.image, Some(base), None, Vec::new(), waste);
        ImageReport { head: None, ..described }
    }

    /// Stands for an image of which only the name is known.
    pub fn without_image(name: &str, platform: Option<&Platform>, findings: Vec<Finding>) -> ImageReport {
        let image = ImageIdentity {
            name: name.to_owned(),
            reference: String::new(),
            platform: platform.cloned(),
            id: None,
        };
        let source = SourceInfo { transport: String::new(), engine: None };
        let nothing = Snapshot::new(image, source, Measured::Content, Some(Bytes(0)), Vec::new());
        let nothing = Analysis::recorded(nothing, |_| None);
        ImageReport { head: None, ..ImageReport::describe(&nothing, None, None, findings, Vec::new()) }
    }

    /// Adds the recorded sizes: with enough of them, a comment has a chart.
    pub fn add_trend(&mut self, history: Vec<HistoryPoint>) {
        let platform = platform_key(self.runs_on().as_ref());
        let point = |point: HistoryPoint| {
            let (commit, size) = (point.commit?, self.metric.of(&point.totals)?);
            (point.platform == platform).then_some(TrendPoint { commit: Some(commit), size })
        };
        let recorded: Vec<TrendPoint> = history.into_iter().filter_map(point).collect();
        let newest = recorded.len().saturating_sub(MOST_IN_CHART - 1);
        let now = self.head_size().map(|size| TrendPoint { commit: None, size });
        self.trend = recorded.into_iter().skip(newest).chain(now).collect();
    }

    /// Whether this stands for an image without a report.
    pub fn is_not_delivered(&self) -> bool {
        self.head.is_none() && self.base.is_none()
    }

    /// Its platform, if known.
    pub fn runs_on(&self) -> Option<Platform> {
        self.platform.as_deref().and_then(|platform| platform.parse().ok())
    }

    /// Whether there is a baseline that cannot be used.
    pub fn has_unusable_base(&self) -> bool {
        self.no_base.as_ref().is_some_and(|missing| missing.reason.is_unusable())
    }

    /// The findings that make it fail.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Fail)
    }

    /// Whether only limits make it fail, which somebody may accept.
    pub fn is_acceptable(&self) -> bool {
        self.failures().all(|finding| !NO_LIMITS.contains(&finding.rule.as_str()))
    }

    /// Whether a limit evaluates its multi-stage build.
    pub fn evaluates_stages(&self) -> bool {
        self.set_limits().any(|(limit, _)| limit.needs(Fact::Stages) || limit.needs(Fact::Removable))
    }

    /// The configured limits with their values, in the order of evaluation; a limit set in several configurations has
    /// all their values.
    pub fn set_limits(&self) -> impl Iterator<Item = (&'static limits::Definition, &str)> {
        limits::LIMITS.iter().flat_map(move |limit| {
            let mut values: Vec<&str> = self.values_of(limit.key.name).collect();
            values.retain(|value| value.trim() != "off");
            values.dedup();
            values.into_iter().map(move |value| (limit, value))
        })
    }

    /// The values of a key, in each configuration that sets it.
    pub fn values_of(&self, key: &str) -> impl Iterator<Item = &str> {
        self.rules().filter_map(move |(_, limits)| limits.get(key)).map(String::as_str)
    }

    /// The limits of each configuration that counts, the image's own first; with the configuration's name if it is an
    /// extended one.
    pub fn rules(&self) -> impl Iterator<Item = (Option<&str>, &BTreeMap<String, String>)> {
        let extended = self.extended.iter().map(|of| (Some(of.source.as_str()), &of.limits));
        std::iter::once((None, &self.limits)).chain(extended)
    }

    /// Records the limits that it was evaluated against.
    pub(super) fn set_rules(&mut self, rulesets: &[Ruleset]) {
        let (own, extended) = rulesets.split_first().map_or((None, &[][..]), |(own, rest)| (Some(own), rest));
        let with_limits = rulesets.iter().find(|ruleset| !ruleset.limits.is_empty());
        self.metric = with_limits.or(own).map_or_else(Metric::default, |ruleset| ruleset.limits.metric);
        self.limits = own.map_or_else(BTreeMap::new, |own| written(&own.settings));
        let limits = |ruleset: &Ruleset| ExtendedLimits {
            source: ruleset.source.clone().unwrap_or_default(),
            limits: written(&ruleset.settings),
        };
        self.extended = extended.iter().map(limits).collect();
    }

    /// Whether a limit that needs this fact has a finding.
    pub fn has_finding_of(&self, fact: Fact) -> bool {
        let needs = |limit: &limits::Definition| limit.needs(fact);
        self.findings.iter().any(|finding| limits::definition(&finding.rule).is_some_and(needs))
    }

    /// The facts for headlines.
    pub fn shown(&self) -> HeadlineContext<'_> {
        HeadlineContext {
            metric: self.metric,
            size: self.head_size(),
            base_size: self.base_size(),
            uncompressed: self.head_totals().and_then(|totals| totals.uncompressed),
            stages: self.stages.as_ref(),
        }
    }

    /// The current image's sizes, if it still exists.
    pub fn head_totals(&self) -> Option<&Totals> {
        self.head.as_ref().map(|head| &head.totals)
    }

    /// The current size that the size limits evaluate.
    pub fn head_size(&self) -> Option<Bytes> {
        self.metric.of(self.head_totals()?)
    }

    /// The same size of the baseline.
    pub fn base_size(&self) -> Option<Bytes> {
        self.metric.of(&self.base.as_ref()?.totals)
    }

    /// The difference of these sizes.
    pub fn size_delta(&self) -> Option<Delta> {
        Some(self.head_size()? - self.base_size()?)
    }

    /// The absolute difference without ignored paths; `None` if it is unknown or there is no baseline.
    fn change(&self) -> Option<Bytes> {
        let uncompressed = self.delta.as_ref()?.uncompressed;
        let known = uncompressed.map(|delta| Delta(delta.0 - self.ignored.unwrap_or_default().0));
        known.or_else(|| self.size_delta()).map(Delta::magnitude)
    }

    /// Whether nothing at all differs from the baseline.
    pub fn is_unchanged(&self) -> bool {
        let kept = |row: &LayerRow| row.status == crate::compare::Status::Unchanged;
        self.base.is_some() && self.layers.iter().all(kept) && self.size_delta() == Some(Delta(0))
    }
}
