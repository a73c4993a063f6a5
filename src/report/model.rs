//! The document of one evaluation: `layergate.report/v1`. Every output is rendered from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::{MOST_IN_CHART, TrendPoint};
use super::merge::MISSING_RULE;
use crate::baseline::find::age;
use crate::baseline::store::{Point, platform_key};
use crate::baseline::{Baseline, Missing};
use crate::compare::{
    Cause, Comparison, Deltas, FileChanges, LayerRow, PackageCounts, PackageRow, Split, Waste,
    compare_applied, visible, waste,
};
use crate::image::snapshot::{Commit, ImageIdentity, SourceInfo};
use crate::image::{BuildOnly, Bytes, Delta, Measured, Platform, Snapshot, Totals};
use crate::layer::Applied;
use crate::policy::limits::KEYS;
use crate::policy::{
    Accept, Acceptance, BASELINE_RULE, Case, Finding, Judgement, Limits, Metric, Setting, Settings, Severity,
    Sides, UNJUDGED_RULE, Unjudgeable, Verdict, judge,
};

/// The `schema` of a report that this version writes.
pub const SCHEMA: &str = "layergate.report/v1";

/// The rules of findings that nobody can accept.
const NO_LIMITS: [&str; 3] = [MISSING_RULE, UNJUDGED_RULE, BASELINE_RULE];
/// The most packages that are listed of one image.
const MAX_PACKAGES: usize = 200;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `layergate.report/v1`.
    pub schema: String,
    /// The version of layergate that wrote it.
    pub layergate: String,
    /// The most serious verdict of all images.
    pub verdict: Verdict,
    /// The commit that the images were built from, where known.
    pub head_sha: Option<String>,
    /// One entry for each image.
    pub images: Vec<ImageReport>,
    /// What accepts a broken limit, where one is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Ways>,
    /// That what is broken is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Acceptance>,
    /// What else is to be said where several reports were put together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What accepts a broken limit, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// Labels of the pull request.
    pub labels: Vec<String>,
    /// The trailer of a commit.
    pub trailer: Option<String>,
    /// The most growth that can be accepted.
    pub max_increase: Option<String>,
}

/// What a check found of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageReport {
    /// The image's name.
    pub name: String,
    /// The image as it was asked for.
    pub reference: String,
    /// What it runs on, as `os/arch[/variant]`.
    pub platform: Option<String>,
    /// The image's own verdict.
    pub verdict: Verdict,
    /// Which amount the size limits judge.
    pub metric: Metric,
    /// How the bytes were come by.
    pub measured: Measured,
    /// The limits that are set, as they are written.
    pub limits: BTreeMap<String, String>,
    /// The baseline. Null where none was found: not 0, and no growth of 100%.
    pub base: Option<Base>,
    /// Why there is no baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_base: Option<Missing>,
    /// The image as it is now. Null where the baseline has a platform that is not there any more.
    pub head: Option<Head>,
    /// The differences, head minus base.
    pub delta: Option<Deltas>,
    /// The aligned layers, in head order. Without a baseline, empty.
    pub layers: Vec<LayerRow>,
    /// The instructions that made the difference, largest first, and what in each explains it.
    pub causes: Vec<Cause>,
    /// How many packages differ.
    #[serde(default)]
    pub package_counts: PackageCounts,
    /// The packages that differ, largest difference first, at most 200 of them.
    #[serde(default)]
    pub packages: Vec<PackageRow>,
    /// How the visible files differ, where all files of both images are known.
    #[serde(default)]
    pub files: Option<FileChanges>,
    /// The base image's part in the difference, where it is known where that ends.
    #[serde(default)]
    pub split: Option<Split>,
    /// What the image ships for nothing, by the two layers that it is due to, largest first.
    #[serde(default)]
    pub waste: Vec<Waste>,
    /// What it ships and only its build needed, most bytes first.
    #[serde(default)]
    pub build_only: Vec<BuildOnly>,
    /// Whether it is built in stages, or needs none, where that was judged.
    #[serde(default)]
    pub stages: Option<Judgement>,
    /// Its recorded sizes, and this one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trend: Vec<TrendPoint>,
    /// What the rules found.
    pub findings: Vec<Finding>,
}

/// The baseline that an image was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The baseline image's name; differs from the head's only in `diff`.
    pub name: String,
    /// Its accounting.
    pub totals: Totals,
    /// The commit that it was recorded for.
    pub commit: Option<Commit>,
    /// How many commits it is older than the commit to compare with; null where that is not known.
    pub distance: Option<u64>,
    /// Whether it is the baseline of exactly the commit to compare with.
    pub exact: bool,
    /// Why this baseline, in words.
    pub how: String,
}

impl Base {
    fn of(baseline: &Baseline) -> Base {
        Base {
            name: baseline.snapshot.image.name.clone(),
            totals: baseline.snapshot.totals,
            commit: baseline.snapshot.commit.clone(),
            distance: baseline.distance,
            exact: baseline.exact,
            how: baseline.how.clone(),
        }
    }
}

/// The image as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its accounting.
    pub totals: Totals,
}

/// An image that cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Baseline and image must not be compared.
    #[error(transparent)]
    Compare(#[from] crate::compare::CompareError),
    /// A limit cannot be judged.
    #[error(transparent)]
    Unjudgeable(#[from] Unjudgeable),
}

impl Report {
    /// Whether there is something to say that a pull request without a comment should be told.
    pub fn is_worth_a_comment(&self) -> bool {
        self.verdict != Verdict::Pass || self.images.iter().any(|image| !image.is_unchanged())
    }

    /// Puts images together; the most serious verdict is the report's.
    pub fn new(head_sha: Option<String>, images: Vec<ImageReport>) -> Report {
        Report {
            schema: SCHEMA.into(),
            layergate: env!("CARGO_PKG_VERSION").into(),
            verdict: worst(&images),
            head_sha,
            images,
            accept: None,
            accepted: None,
            notes: Vec::new(),
        }
    }

    /// Accepts the limits that are broken, of each image that may be accepted. That nothing is known of one, or
    /// that there is nothing to compare it with, is no broken limit.
    pub fn accept_with(&mut self, acceptance: Acceptance, accept: &Accept) {
        for image in self.images.iter_mut().filter(|image| image.verdict == Verdict::Fail) {
            let reaches = accept.reaches(image.size_delta().zip(image.base_size()));
            if reaches && image.is_acceptable() {
                image.verdict = Verdict::Accepted;
                self.accepted = Some(acceptance.clone());
            }
        }
        self.verdict = worst(&self.images);
    }

    /// Takes back what was accepted.
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

/// Those of an image's settings that are limits, as they are written.
pub(super) fn written(settings: &Settings) -> BTreeMap<String, String> {
    let limits = settings.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
    limits.map(|(key, setting)| (key.clone(), setting.text.clone())).collect()
}

impl Ways {
    /// The same, to be asked for again; `None` where it cannot be.
    pub fn accept(&self) -> Option<Accept> {
        let setting = |text: String| Setting { text, origin: "the report".into() };
        let mut settings = Settings::from([("labels".to_owned(), setting(self.labels.join("\n")))]);
        settings.extend(self.trailer.clone().map(|trailer| ("trailer".to_owned(), setting(trailer))));
        settings.extend(self.max_increase.clone().map(|bound| ("max-increase".to_owned(), setting(bound))));
        Accept::from_settings(&settings).ok()
    }
}

impl From<&Accept> for Ways {
    fn from(accept: &Accept) -> Ways {
        Ways {
            labels: accept.labels.clone(),
            trailer: accept.trailer.clone(),
            max_increase: accept.max_increase.as_ref().map(ToString::to_string),
        }
    }
}

impl ImageReport {
    /// Compares an image with its baseline and judges it.
    ///
    /// # Errors
    /// [`EvaluateError`].
    pub fn evaluate(
        head: &Snapshot,
        baseline: Result<&Baseline, &Missing>,
        limits: &Limits,
        settings: &Settings,
        pull_request: bool,
        stages: Option<&Judgement>,
        files: Option<&Applied<'_>>,
    ) -> Result<ImageReport, EvaluateError> {
        let (baseline, missing) = (baseline.ok(), baseline.err());
        let base_files = baseline.and_then(|baseline| visible(&baseline.snapshot));
        let applied = Sides { base: base_files.as_ref(), head: files };
        let comparison = baseline
            .map(|baseline| compare_applied(&baseline.snapshot, head, applied.base, applied.head))
            .transpose()?;
        let inexact = baseline.filter(|baseline| !baseline.exact).map(|baseline| age(baseline.distance));
        let case = Case {
            head,
            base: baseline.map(|baseline| &baseline.snapshot).zip(comparison.as_ref()),
            missing: missing.map(|missing| (missing.message.as_str(), missing.help.as_str())),
            unusable: missing.is_some_and(|missing| missing.reason.is_unusable()),
            inexact: inexact.as_deref(),
            pull_request,
            applied,
            stages,
        };
        let findings = judge(&case, limits)?;
        let mut report = ImageReport::describe(head, baseline, comparison, findings, files);
        report.no_base = missing.cloned();
        report.stages = stages.cloned();
        report.metric = limits.metric;
        report.limits = written(settings);
        Ok(report)
    }

    /// Compares without judging.
    ///
    /// # Errors
    /// [`EvaluateError`] where the two must not be compared.
    pub fn difference(base: &Baseline, head: &Snapshot) -> Result<ImageReport, EvaluateError> {
        let (before, now) = (visible(&base.snapshot), visible(head));
        let comparison = compare_applied(&base.snapshot, head, before.as_ref(), now.as_ref())?;
        Ok(ImageReport::describe(head, Some(base), Some(comparison), Vec::new(), now.as_ref()))
    }

    fn describe(
        head: &Snapshot,
        baseline: Option<&Baseline>,
        comparison: Option<Comparison>,
        findings: Vec<Finding>,
        files: Option<&Applied<'_>>,
    ) -> ImageReport {
        let waste = files.map_or_else(Vec::new, |files| waste(head, files));
        let mut report = ImageReport {
            name: head.image.name.clone(),
            reference: head.image.reference.clone(),
            platform: head.image.platform.as_ref().map(ToString::to_string),
            verdict: Verdict::of(&findings),
            metric: Metric::default(),
            measured: head.measured,
            limits: BTreeMap::new(),
            base: baseline.map(Base::of),
            no_base: None,
            head: Some(Head { totals: head.totals }),
            delta: None,
            layers: Vec::new(),
            causes: Vec::new(),
            package_counts: PackageCounts::default(),
            packages: Vec::new(),
            files: None,
            split: None,
            waste,
            build_only: head.build_only.clone().unwrap_or_default(),
            stages: None,
            trend: Vec::new(),
            findings,
        };
        if let Some(Comparison { deltas, rows, causes, packages, files, split }) = comparison {
            report.delta = Some(deltas);
            report.layers = rows;
            report.causes = causes;
            report.package_counts = PackageCounts::of(&packages);
            // A distribution's upgrade changes all packages; the largest say why.
            report.packages = packages.into_iter().take(MAX_PACKAGES).collect();
            (report.files, report.split) = (files, split);
        }
        report
    }

    /// Describes an image that there is nothing to compare with.
    pub fn added(head: &Snapshot) -> ImageReport {
        ImageReport::describe(head, None, None, Vec::new(), visible(head).as_ref())
    }

    /// Describes what a baseline has and this change has not: an image of another platform.
    pub fn removed(base: &Baseline) -> ImageReport {
        let files = visible(&base.snapshot);
        let described = ImageReport::describe(&base.snapshot, Some(base), None, Vec::new(), files.as_ref());
        ImageReport { head: None, ..described }
    }

    /// Stands for an image of which nothing is known but its name.
    pub fn without_image(name: &str, platform: Option<&Platform>, findings: Vec<Finding>) -> ImageReport {
        let image = ImageIdentity {
            name: name.to_owned(),
            reference: String::new(),
            platform: platform.cloned(),
            id: None,
        };
        let source = SourceInfo { transport: String::new(), engine: None };
        let nothing = Snapshot::new(image, source, Measured::Content, Bytes(0), Vec::new());
        ImageReport { head: None, ..ImageReport::describe(&nothing, None, None, findings, None) }
    }

    /// Adds how its size went, of what is recorded: where there is enough of it, a comment has a chart.
    pub fn add_trend(&mut self, head: &Snapshot, history: Vec<Point>) {
        let platform = platform_key(head.image.platform.as_ref());
        let point = |point: Point| {
            let (commit, size) = (point.commit?, self.metric.of(&point.totals)?);
            (point.platform == platform).then_some(TrendPoint { commit: Some(commit), size })
        };
        let recorded: Vec<TrendPoint> = history.into_iter().filter_map(point).collect();
        let newest = recorded.len().saturating_sub(MOST_IN_CHART - 1);
        let now = self.head_size().map(|size| TrendPoint { commit: None, size });
        self.trend = recorded.into_iter().skip(newest).chain(now).collect();
    }

    /// What it runs on, where that is known.
    pub fn runs_on(&self) -> Option<Platform> {
        self.platform.as_deref().and_then(|platform| platform.parse().ok())
    }

    /// Whether there is a baseline that cannot be used.
    pub fn has_unusable_base(&self) -> bool {
        self.no_base.as_ref().is_some_and(|missing| missing.reason.is_unusable())
    }

    /// What fails it.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Fail)
    }

    /// Whether all that fails it is a limit, which somebody may accept.
    pub fn is_acceptable(&self) -> bool {
        self.failures().all(|finding| !NO_LIMITS.contains(&finding.rule.as_str()))
    }

    /// Whether a limit asks how it is built.
    pub fn judges_stages(&self) -> bool {
        let limit = |key: &str| self.limits.get(key).is_some_and(|limit| limit != "off");
        limit("multi-stage") || limit("max-build-only")
    }

    /// The image's accounting, where it is still there.
    pub fn head_totals(&self) -> Option<&Totals> {
        self.head.as_ref().map(|head| &head.totals)
    }

    /// The amount that the size limits judge, now.
    pub fn head_size(&self) -> Option<Bytes> {
        self.metric.of(self.head_totals()?)
    }

    /// The amount that the size limits judge, in the baseline.
    pub fn base_size(&self) -> Option<Bytes> {
        self.metric.of(&self.base.as_ref()?.totals)
    }

    /// How much that amount differs.
    pub fn size_delta(&self) -> Option<Delta> {
        Some(self.head_size()? - self.base_size()?)
    }

    /// Whether nothing at all differs from the baseline.
    pub fn is_unchanged(&self) -> bool {
        let kept = |row: &LayerRow| row.status == crate::compare::Status::Kept;
        self.base.is_some() && self.layers.iter().all(kept) && self.size_delta() == Some(Delta(0))
    }
}
