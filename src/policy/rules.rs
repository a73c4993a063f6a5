//! The rules: each looks at measurements and returns findings. None prints, none decides alone.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::amount::Threshold;
use super::limits::{Limits, MultiStage, OnMissingBaseline, Paths};
use super::stages::{Judgement, Outcome, held_against, largest_kinds, sum_counting};
use crate::compare::{Comparison, LayerRow, Status, Waste, waste};
use crate::evidence::fits;
use crate::image::census::PathRef;
use crate::image::snapshot::{BoundaryBy, Place};
use crate::image::{BuildOnly, Bytes, Delta, Entry, Snapshot, Totals};
use crate::layer::Applied;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look; the check passes.
    Warn,
    /// A limit is broken; the check fails.
    Fail,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to say.
    Pass,
    /// Something to look at; the check passes.
    Warn,
    /// A limit is broken and somebody with the right to do so accepted it.
    Accepted,
    /// A limit is broken.
    Fail,
}

impl Verdict {
    /// The word in outputs and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Accepted => "accepted",
            Verdict::Fail => "fail",
        }
    }

    /// The verdict that findings add up to.
    pub fn of(findings: &[Finding]) -> Verdict {
        match findings.iter().map(|finding| finding.severity).max() {
            None => Verdict::Pass,
            Some(Severity::Warn) => Verdict::Warn,
            Some(Severity::Fail) => Verdict::Fail,
        }
    }
}

/// One judged fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name: the key of its limit, or `baseline`.
    pub rule: String,
    /// How serious it is.
    pub severity: Severity,
    /// What was measured, the limit, and by how much it is exceeded, in one sentence.
    pub message: String,
    /// What was measured: bytes, or a number of layers.
    pub measured: Option<i64>,
    /// The limit as it is written in the settings.
    pub limit: Option<String>,
    /// What it is about: the image, or one of its layers.
    pub subject: String,
    /// What to do next.
    pub help: String,
    /// The lines of a Dockerfile that it is due to, where that is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<Place>,
}

const OWN_INCREASE_RULE: &str = "max-own-increase";
/// The name of the finding that no baseline was found; it has an exit code of its own.
pub const BASELINE_RULE: &str = "baseline";

/// The rule of the finding that a limit was not judged where it could have been.
pub const UNJUDGED_RULE: &str = "not-judged";

/// A limit that cannot be judged, because what it judges was not measured.
#[derive(Debug, thiserror::Error)]
#[error("`{image}`: {rule} cannot be judged, for {what} is not known of {side}; {hint}")]
pub struct Unjudgeable {
    image: String,
    rule: &'static str,
    what: String,
    side: &'static str,
    hint: String,
}

/// What an image is judged by.
pub struct Case<'a> {
    /// The image as it is now.
    pub head: &'a Snapshot,
    /// The baseline, and what has changed since.
    pub base: Option<(&'a Snapshot, &'a Comparison)>,
    /// Where there is no baseline: why, and what to do about it.
    pub missing: Option<(&'a str, &'a str)>,
    /// Whether there is a record all the same, which cannot be used.
    pub unusable: bool,
    /// Where the baseline is not that of the commit to compare with: what it is instead.
    pub inexact: Option<&'a str>,
    /// Whether this is about a pull request, where what was wrong before is not its fault.
    pub pull_request: bool,
    /// The file systems of both, where all files are known.
    pub applied: Sides<Option<&'a Applied<'a>>>,
    /// How the image is built, as far as that can be told.
    pub stages: Option<&'a Judgement>,
}

/// One thing of the baseline, and the same of the image as it is now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sides<T> {
    /// The baseline's.
    pub base: T,
    /// The image's as it is now.
    pub head: T,
}

/// Judges an image by its limits.
///
/// # Errors
/// [`Unjudgeable`] where a limit is set and what it judges is not known: a gate that cannot see
/// must not pass.
pub fn judge(case: &Case<'_>, limits: &Limits) -> Result<Vec<Finding>, Unjudgeable> {
    let mut findings = Vec::new();
    findings.extend(missing_baseline(case, limits));
    findings.extend(max_increase(case, limits)?);
    findings.extend(max_own_increase(case, limits)?);
    findings.extend(max_size(case, limits)?);
    findings.extend(max_layers(case, limits));
    findings.extend(max_layer_size(case, limits)?);
    findings.extend(max_wasted(case, limits)?);
    findings.extend(multi_stage(case, limits)?);
    findings.extend(max_build_only(case, limits)?);
    findings.extend(forbid_paths(case, limits)?);
    Ok(findings)
}

fn missing_baseline(case: &Case<'_>, limits: &Limits) -> Option<Finding> {
    if case.base.is_some() {
        return None;
    }
    let default = match (limits.need_baseline(), case.unusable) {
        // A gate that could see and does not must not pass.
        (true, true) => OnMissingBaseline::Fail,
        (true, false) | (false, true) => OnMissingBaseline::Warn,
        (false, false) => OnMissingBaseline::Pass,
    };
    let severity = match limits.on_missing_baseline.unwrap_or(default) {
        OnMissingBaseline::Pass => return None,
        OnMissingBaseline::Warn => Severity::Warn,
        OnMissingBaseline::Fail => Severity::Fail,
    };
    let (why, help) = case.missing.unzip();
    Some(Finding {
        rule: BASELINE_RULE.into(),
        severity,
        message: format!("{}; growth is not judged", why.unwrap_or("no baseline was found")),
        measured: None,
        limit: None,
        subject: case.head.image.name.clone(),
        help: help.unwrap_or_default().to_owned(),
        dockerfile: None,
    })
}

fn max_size(case: &Case<'_>, limits: &Limits) -> Result<Option<Finding>, Unjudgeable> {
    let Some(limit) = &limits.max_size else { return Ok(None) };
    let size = metric(case, limits, &case.head.totals, "max-size", "this image")?;
    if size <= limit.bytes {
        return Ok(None);
    }
    let before = case.base.and_then(|(base, _)| limits.metric.of(&base.totals));
    let (severity, note) =
        absolute(case, size.0, before.map(|size| size.0), before.is_some_and(|size| size > limit.bytes));
    Ok(Some(Finding {
        rule: "max-size".into(),
        severity,
        message: format!(
            "{} {}, {} over the limit of {limit}{note}",
            size,
            limits.metric,
            (size - limit.bytes).magnitude()
        ),
        measured: Some(size.0 as i64),
        limit: Some(limit.to_string()),
        subject: case.head.image.name.clone(),
        help: "make the largest layers smaller (layergate inspect lists them and their largest files), or raise max-size".into(),
        dockerfile: grown_most(case).or_else(|| largest_layer(case)),
    }))
}

/// `max-increase`, and `warn-increase` where that is not broken.
fn max_increase(case: &Case<'_>, limits: &Limits) -> Result<Option<Finding>, Unjudgeable> {
    let Some((base, _)) = case.base else { return Ok(None) };
    let rules = [
        ("max-increase", &limits.max_increase, Severity::Fail),
        ("warn-increase", &limits.warn_increase, Severity::Warn),
    ];
    for (rule, limit, severity) in rules {
        let Some(limit) = limit else { continue };
        let before = metric(case, limits, &base.totals, rule, "the baseline")?;
        let growth = metric(case, limits, &case.head.totals, rule, "this image")? - before;
        let bound = limit.bytes_of(before);
        if growth.0 <= bound.0 as i64 {
            continue;
        }
        let note =
            case.inexact.map(|why| format!("; only a warning, for the baseline {why}")).unwrap_or_default();
        let severity = if case.inexact.is_some() { Severity::Warn } else { severity };
        return Ok(Some(Finding {
            rule: rule.into(),
            severity,
            message: grown(growth, before, bound, limit, &note),
            measured: Some(growth.0),
            limit: Some(limit.to_string()),
            subject: case.head.image.name.clone(),
            help: help_with_growth(case, growth, rule),
            dockerfile: grown_most(case),
        }));
    }
    Ok(None)
}

/// What the base image's drift leaves of the growth.
fn max_own_increase(case: &Case<'_>, limits: &Limits) -> Result<Option<Finding>, Unjudgeable> {
    let (Some((_, comparison)), Some(limit)) = (case.base, &limits.max_own_increase) else { return Ok(None) };
    let split = comparison.split.ok_or_else(|| Unjudgeable {
        hint: "pass --dockerfile, which tells where it ends, also when recording".into(),
        ..unknown(case, OWN_INCREASE_RULE, "where the base image ends", "this image or its baseline")
    })?;
    let bound = limit.bytes_of(split.own_base);
    if split.own.0 <= bound.0 as i64 {
        return Ok(None);
    }
    let guess = if split.how == BoundaryBy::History { "; where the base image ends is a guess" } else { "" };
    let inexact = case.inexact.map(|why| format!("; only a warning, for the baseline {why}"));
    let note = [guess, inexact.as_deref().unwrap_or_default()].concat();
    Ok(Some(Finding {
        rule: OWN_INCREASE_RULE.into(),
        severity: if case.inexact.is_some() { Severity::Warn } else { Severity::Fail },
        message: format!("without the base image {}", grown(split.own, split.own_base, bound, limit, &note)),
        measured: Some(split.own.0),
        limit: Some(limit.to_string()),
        subject: case.head.image.name.clone(),
        help: make_smaller(own_grown_most(case).as_ref(), OWN_INCREASE_RULE),
        dockerfile: own_grown_most(case),
    }))
}

fn grown(growth: Delta, before: Bytes, bound: Bytes, limit: &Threshold, note: &str) -> String {
    let share = growth.percent_of(before).map(|share| format!(" ({share})")).unwrap_or_default();
    let over = (growth.magnitude() - bound).magnitude();
    format!("{growth}{share}, {over} over the limit of +{limit}{note}")
}

fn max_layers(case: &Case<'_>, limits: &Limits) -> Option<Finding> {
    let limit = limits.max_layers?;
    let layers = case.head.totals.layers;
    if layers <= limit {
        return None;
    }
    let before = case.base.map(|(base, _)| base.totals.layers);
    let (severity, note) = absolute(case, layers, before, before.is_some_and(|layers| layers > limit));
    Some(Finding {
        rule: "max-layers".into(),
        severity,
        message: format!("{layers} layers, {} over the limit of {limit}{note}", layers - limit),
        measured: i64::try_from(layers).ok(),
        limit: Some(limit.to_string()),
        subject: case.head.image.name.clone(),
        help: "join RUN steps that belong together, or raise max-layers".into(),
        dockerfile: None,
    })
}

fn max_layer_size(case: &Case<'_>, limits: &Limits) -> Result<Vec<Finding>, Unjudgeable> {
    let Some(limit) = &limits.max_layer_size else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    for (index, layer) in case.head.layers.iter().enumerate() {
        let size = layer
            .size
            .ok_or_else(|| unknown(case, "max-layer-size", "the size of each layer", "this image"))?;
        if size <= limit.bytes {
            continue;
        }
        let before = case.base.and_then(|(_, comparison)| base_size(&comparison.rows, index));
        let (severity, note) =
            absolute(case, size.0, before.map(|size| size.0), before.is_some_and(|size| size > limit.bytes));
        let number = index + 1;
        let step = layer.created_by.as_ref().map(|step| format!(" ({step})")).unwrap_or_default();
        findings.push(Finding {
            rule: "max-layer-size".into(),
            severity,
            message: format!("{size}, {} over the limit of {limit}{note}", (size - limit.bytes).magnitude()),
            measured: Some(size.0 as i64),
            limit: Some(limit.to_string()),
            subject: format!("layer {number}{step}"),
            help: "put less into this step, or split what changes often from what does not".into(),
            dockerfile: layer.dockerfile.clone(),
        });
    }
    Ok(findings)
}

fn max_wasted(case: &Case<'_>, limits: &Limits) -> Result<Option<Finding>, Unjudgeable> {
    let Some(limit) = &limits.max_wasted else { return Ok(None) };
    let totals = &case.head.totals;
    let wasted = totals.wasted.ok_or_else(|| unknown(case, "max-wasted", "what is wasted", "this image"))?;
    let bound = limit.bytes_of(totals.unpacked);
    if wasted <= bound {
        return Ok(None);
    }
    let before =
        case.base.and_then(|(base, _)| base.totals.wasted.map(|wasted| (wasted, base.totals.unpacked)));
    let already = before.is_some_and(|(wasted, unpacked)| wasted > limit.bytes_of(unpacked));
    let (severity, note) = absolute(case, wasted.0, before.map(|before| before.0.0), already);
    let most = most_wasted(case);
    Ok(Some(Finding {
        rule: "max-wasted".into(),
        severity,
        message: format!("{wasted} wasted, {} over the limit of {limit}{note}", (wasted - bound).magnitude()),
        measured: Some(wasted.0 as i64),
        limit: Some(limit.to_string()),
        subject: case.head.image.name.clone(),
        help: most
            .as_ref()
            .map_or(
                "delete files in the step that makes them, or build in another stage and copy the result",
                Waste::advice,
            )
            .into(),
        dockerfile: most.and_then(|most| most.hidden_by.dockerfile),
    }))
}

/// That an image is built in stages, or else ships nothing that only its build needed.
fn multi_stage(case: &Case<'_>, limits: &Limits) -> Result<Option<Finding>, Unjudgeable> {
    let severity = match limits.multi_stage {
        MultiStage::Off => return Ok(None),
        MultiStage::Warn => Severity::Warn,
        MultiStage::Require => Severity::Fail,
    };
    let judged = case.stages.ok_or_else(|| unknown(case, "multi-stage", "what it ships", "this image"))?;
    let base = case.base.map(|(base, _)| base);
    let before = base.and_then(|base| held_against(base.build_only.as_deref()?));
    let now = case.head.build_only.as_deref().and_then(held_against).unwrap_or_default();
    let (severity, note) = match judged.outcome {
        Outcome::Pass => return Ok(None),
        Outcome::Warn => (Severity::Warn, ""),
        Outcome::Fail => {
            let known = base.and_then(|base| base.multi_stage);
            let already = known.map_or_else(
                || before.is_some_and(|bytes| bytes > Bytes(0)),
                |outcome| outcome == Outcome::Fail,
            );
            let (judged, note) = absolute(case, now.0, before.map(|bytes| bytes.0), already);
            (judged.min(severity), note)
        }
    };
    Ok(Some(Finding {
        rule: "multi-stage".into(),
        severity,
        message: format!("{}{note}", judged.reason),
        measured: i64::try_from(now.0).ok(),
        limit: Some(case_word(limits.multi_stage).into()),
        subject: case.head.image.name.clone(),
        help: judged.help.clone(),
        dockerfile: judged.dockerfile.clone(),
    }))
}

fn case_word(rule: MultiStage) -> &'static str {
    match rule {
        MultiStage::Off => "off",
        MultiStage::Warn => "warn",
        MultiStage::Require => "require",
    }
}

fn max_build_only(case: &Case<'_>, limits: &Limits) -> Result<Option<Finding>, Unjudgeable> {
    let Some(limit) = &limits.max_build_only else { return Ok(None) };
    let hidden = || unknown(case, "max-build-only", "what it ships", "this image");
    let found = case.head.build_only.as_deref().ok_or_else(hidden)?;
    let bytes = sum_counting(found);
    if bytes <= limit.bytes {
        return Ok(None);
    }
    let before = case.base.and_then(|(base, _)| base.build_only.as_deref()).map(sum_counting);
    let (severity, note) =
        absolute(case, bytes.0, before.map(|size| size.0), before.is_some_and(|size| size > limit.bytes));
    // What we can do most about comes first, unless it is nothing beside the rest.
    let matters = |found: &BuildOnly| !found.layer.of_base_image && found.bytes.0 >= bytes.0 / 100;
    let largest =
        found.iter().filter(|found| found.counts()).max_by_key(|found| (matters(found), found.bytes));
    let kinds = largest_kinds(found, 3);
    Ok(Some(Finding {
        rule: "max-build-only".into(),
        severity,
        message: format!(
            "{bytes} that only the build needed, {} over the limit of {limit} ({kinds}){note}",
            (bytes - limit.bytes).magnitude()
        ),
        measured: i64::try_from(bytes.0).ok(),
        limit: Some(limit.to_string()),
        subject: case.head.image.name.clone(),
        help: largest.map_or_else(String::new, |largest| largest.help.clone()),
        dockerfile: largest.and_then(|largest| largest.layer.dockerfile.clone()),
    }))
}

/// Files that must not be there, also those that a later layer deletes: whoever has the image has them.
fn forbid_paths(case: &Case<'_>, limits: &Limits) -> Result<Option<Finding>, Unjudgeable> {
    let Some(patterns) = &limits.forbid_paths else { return Ok(None) };
    let hidden = || unknown(case, "forbid-paths", "which files there are", "this image");
    let found = forbidden(case.head, case.applied.head.ok_or_else(hidden)?, patterns);
    let before = case.base.zip(case.applied.base);
    let before = before.map(|((base, _), applied)| forbidden(base, applied, patterns));
    let known: HashSet<&[u8]> = before.iter().flatten().map(|found| found.path.0).collect();
    let is_new = |found: &&Forbidden<'_>| !known.contains(found.path.0);
    // What a pull request adds comes first.
    let Some(first) = found.iter().find(is_new).or(found.first()) else { return Ok(None) };
    let now = found.len() as u64;
    let new = found.iter().filter(is_new).count() as u64;
    let (severity, note) = absolute(case, new, before.map(|_| 0), !known.is_empty());
    let layer = case.head.layer_ref(first.layer);
    let more = match now - 1 {
        0 => String::new(),
        1 => " and 1 more file".to_owned(),
        more => format!(" and {more} more files"),
    };
    let deleted =
        if first.deleted { ", which a later step deletes and the image ships all the same" } else { "" };
    let pattern = patterns.fitting(first.path).first().map_or_else(String::new, |text| (*text).to_owned());
    let step = match (&layer.dockerfile, layer.of_base_image) {
        (Some(place), _) => place.to_string(),
        (None, true) => "the base image".to_owned(),
        (None, false) => format!("layer {}", layer.index + 1),
    };
    Ok(Some(Finding {
        rule: "forbid-paths".into(),
        severity,
        message: format!("/{}{more} must not be in it (`{pattern}`){deleted}{note}", first.path),
        measured: i64::try_from(now).ok(),
        limit: Some(pattern),
        subject: case.head.image.name.clone(),
        help: format!(
            "leave them out of what {step} stores (.dockerignore, another stage), or take the pattern out of forbid-paths"
        ),
        dockerfile: layer.dockerfile,
    }))
}

struct Forbidden<'a> {
    path: PathRef<'a>,
    layer: u32,
    deleted: bool,
}

/// All that fits in the layers, whatever kind of file it is; of a directory that fits, itself.
fn forbidden<'a>(head: &'a Snapshot, applied: &Applied<'a>, patterns: &Paths) -> Vec<Forbidden<'a>> {
    let gone: HashSet<&[u8]> =
        applied.waste.iter().filter(|file| !file.replaced).map(|file| file.path.0).collect();
    let mut looked_at: HashSet<&[u8]> = HashSet::new();
    let mut found = Vec::new();
    for (layer, census) in
        head.layers.iter().enumerate().filter_map(|(layer, of)| Some((layer, of.census.as_ref()?)))
    {
        let shipped =
            census.entries.iter().filter(|entry| !matches!(entry, Entry::Whiteout(_) | Entry::Opaque(_)));
        for path in shipped.map(|entry| entry.path().as_bytes()) {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
            for path in ends.chain([path.len()]).map(|end| &path[..end]) {
                if looked_at.insert(path) && fits(&patterns.set, PathRef(path)) {
                    let deleted = gone.contains(path);
                    found.push(Forbidden { path: PathRef(path), layer: layer as u32, deleted });
                }
            }
        }
    }
    found
}

fn make_smaller(place: Option<&Place>, rule: &str) -> String {
    let step = place.map_or_else(|| "the step that grew most".to_owned(), Place::to_string);
    format!("take out of {step} what the image does not need, or raise {rule}")
}

/// Where what grew most was made.
fn grown_most(case: &Case<'_>) -> Option<Place> {
    let (_, comparison) = case.base?;
    comparison.causes.iter().find(|cause| cause.delta > Delta(0))?.dockerfile.clone()
}

/// The same, of what is not the base image's.
fn own_grown_most(case: &Case<'_>) -> Option<Place> {
    let (_, comparison) = case.base?;
    let of_base = |index: Option<u64>| {
        let mut rows = comparison.rows.iter();
        rows.any(|row| row.head_index == index && row.of_base_image == Some(true))
    };
    let grown = comparison.causes.iter().filter(|cause| cause.delta > Delta(0));
    grown
        .filter(|cause| cause.head_index.is_some())
        .find(|cause| !of_base(cause.head_index))?
        .dockerfile
        .clone()
}

/// What to do about growth: none of our steps can help where it is mostly the base image's.
fn help_with_growth(case: &Case<'_>, growth: Delta, rule: &str) -> String {
    let drift = case.base.and_then(|(_, comparison)| comparison.split).map(|split| split.base_image);
    match drift.filter(|drift| drift.0 > growth.0 / 2) {
        Some(drift) => format!(
            "the base image made {drift} of it: build on an earlier one, take the change by itself, or raise {rule} (max-own-increase judges what is left)"
        ),
        None => make_smaller(grown_most(case).as_ref(), rule),
    }
}

/// Where the largest of our own layers was made.
fn largest_layer(case: &Case<'_>) -> Option<Place> {
    let located = case.head.layers.iter().filter(|layer| layer.dockerfile.is_some());
    located.max_by_key(|layer| layer.size)?.dockerfile.clone()
}

/// The most that two layers waste together.
fn most_wasted(case: &Case<'_>) -> Option<Waste> {
    waste(case.head, case.applied.head?).into_iter().next()
}

/// On a pull request, what the baseline already broke fails only if the change makes it worse.
fn absolute(case: &Case<'_>, now: u64, before: Option<u64>, already: bool) -> (Severity, &'static str) {
    if case.pull_request && already && before.is_some_and(|before| now <= before) {
        return (Severity::Warn, "; only a warning, for the baseline is already over it");
    }
    (Severity::Fail, "")
}

/// What the layer at `head_index` had before.
fn base_size(rows: &[LayerRow], head_index: usize) -> Option<Bytes> {
    let row = rows.iter().find(|row| row.head_index == Some(head_index as u64))?;
    if row.status == Status::Added { None } else { row.base_size }
}

fn metric(
    case: &Case<'_>,
    limits: &Limits,
    totals: &Totals,
    rule: &'static str,
    side: &'static str,
) -> Result<Bytes, Unjudgeable> {
    limits.metric.of(totals).ok_or_else(|| {
        let mut error = unknown(case, rule, &format!("the {} size", limits.metric), side);
        if limits.metric == super::Metric::Compressed {
            error.hint +=
                "; compressed sizes are in an OCI layout or an export of the containerd image store";
        }
        error
    })
}

fn unknown(case: &Case<'_>, rule: &'static str, what: &str, side: &'static str) -> Unjudgeable {
    let hint = format!("measure {side} from its layers (by name, or with `docker save`)");
    Unjudgeable { image: case.head.image.name.clone(), rule, what: what.to_owned(), side, hint }
}
