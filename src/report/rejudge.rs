//! Judging a saved report by other limits: those of the branch that a pull request goes to, whatever the job
//! that measured it was told.

use std::collections::BTreeMap;

use super::escape::short;
use super::merge::{is_not_delivered, not_delivered};
use super::model::{Base, Head, ImageReport, written};
use crate::baseline::find::age;
use crate::compare::Comparison;
use crate::evidence::Catalogue;
use crate::image::snapshot::{ImageIdentity, SourceInfo};
use crate::image::{Layer, Snapshot, Totals};
use crate::policy::limits::MultiStage;
use crate::policy::{
    Case, Finding, Limits, Settings, Severity, Sides, UNJUDGED_RULE, Unjudgeable, Verdict, judge,
};

/// The rules that need what no report has: all files, or what the baseline was judged to be.
const BY_FILES: [&str; 3] = ["multi-stage", "max-build-only", "forbid-paths"];
const LAYER_SIZE: &str = "max-layer-size";
/// What stands for a reason that a report has.
const UNTOLD: &str = "a reason that its job has told";
/// The most characters of what a report says in sentences of its own.
const MAX_QUOTE: usize = 200;

/// Judges an image anew, and leaves no sentence of its report that looks like ours. What a report does not tell
/// enough for is taken from it where it was judged by the same limit, and fails where it was not.
///
/// # Errors
/// [`Unjudgeable`] where a limit is set and what it judges is not in the report.
pub fn rejudge(
    image: &mut ImageReport,
    limits: &Limits,
    settings: &Settings,
    pull_request: bool,
) -> Result<(), Unjudgeable> {
    in_our_words(image);
    if is_not_delivered(image) {
        // There is nothing to be had from it but its name.
        *image = not_delivered(&image.name, image.runs_on().as_ref());
        return Ok(());
    }
    let Some(Head { totals }) = &image.head else {
        // It is not there any more: there is nothing to judge.
        (image.findings, image.limits, image.verdict) = (Vec::new(), BTreeMap::new(), Verdict::Pass);
        return Ok(());
    };
    let head = snapshot(image, totals, |row| row.head_index.map(|_| (row.head_size, row.head_index)));
    let base = image.base.as_ref().map(|base| {
        let layers = |row: &crate::compare::LayerRow| row.base_index.map(|_| (row.base_size, row.base_index));
        snapshot(image, &base.totals, layers)
    });
    let mut told = limits.clone();
    (told.multi_stage, told.max_build_only, told.forbid_paths) = (MultiStage::Off, None, None);
    let mut kept: Vec<&str> = BY_FILES.to_vec();
    // Without a baseline no layers are listed.
    if head.layers.len() as u64 != totals.layers {
        told.max_layer_size = None;
        kept.push(LAYER_SIZE);
    }
    let comparison = comparison(image);
    let inexact = image.base.as_ref().filter(|base| !base.exact).map(|base: &Base| age(base.distance));
    let case = Case {
        head: &head,
        base: base.as_ref().zip(comparison.as_ref()),
        missing: image.no_base.as_ref().map(|missing| (missing.message.as_str(), missing.help.as_str())),
        unusable: image.has_unusable_base(),
        inexact: inexact.as_deref(),
        pull_request,
        applied: Sides::default(),
        stages: None,
    };
    let mut findings = judge(&case, &told)?;
    for rule in kept {
        findings.extend(kept_findings(image, rule, settings));
    }
    image.verdict = Verdict::of(&findings);
    image.findings = findings;
    image.metric = limits.metric;
    image.limits = written(settings);
    Ok(())
}

/// Says what a report says in sentences anew, or as the word of the job that it is from: anybody may have written
/// them, and a reader would take them for ours.
fn in_our_words(image: &mut ImageReport) {
    if let Some(missing) = &mut image.no_base {
        *missing = missing.reason.into();
    }
    if let Some(base) = &mut image.base {
        base.how = if base.exact { "exact".into() } else { age(base.distance) };
    }
    if let Some(stages) = &mut image.stages {
        (stages.reason, stages.help) = (quote(&stages.reason), String::new());
    }
    for found in &mut image.build_only {
        found.help.clear();
        (found.what, found.ignored) = (named(&found.kind), found.ignored.take().map(|_| UNTOLD.into()));
    }
}

/// What a kind of what only builds need is, as far as it is one that everybody has.
fn named(kind: &str) -> String {
    let catalogue = Catalogue::builtin();
    let known = catalogue.kinds().iter().find(|known| known.name == kind);
    known.map_or_else(|| "of a kind of its own".into(), |known| known.what.clone())
}

fn quote(sentence: &str) -> String {
    format!("the job that measured it says: {}", short(sentence, MAX_QUOTE))
}

fn quoted(image: &ImageReport, finding: &Finding, limit: &str) -> Finding {
    Finding {
        message: quote(&finding.message),
        help: "look at the log of that job".into(),
        subject: image.name.clone(),
        limit: Some(short(limit, MAX_QUOTE)),
        ..finding.clone()
    }
}

/// What the job that measured the image has found by a rule.
fn kept_findings(image: &ImageReport, rule: &str, settings: &Settings) -> Vec<Finding> {
    let wanted = settings.get(rule).map(|setting| setting.text.trim()).filter(|text| *text != "off");
    let judged = image.limits.get(rule).map(|text| text.trim()).filter(|text| *text != "off");
    match wanted {
        None => Vec::new(),
        Some(wanted) if judged == Some(wanted) => {
            image.findings.iter().filter(|finding| finding.rule == rule).map(|finding| quoted(image, finding, wanted)).collect()
        }
        Some(wanted) => vec![Finding {
            rule: UNJUDGED_RULE.into(),
            severity: Severity::Fail,
            // Not what it was judged by: that is the report's own text.
            message: match judged {
                Some(_) => format!("{rule} was judged by another limit where it was measured, and not by `{}`", short(wanted, MAX_QUOTE)),
                None => format!("{rule} was not judged where it was measured, and is `{}` here", short(wanted, MAX_QUOTE)),
            },
            measured: None,
            limit: Some(wanted.to_owned()),
            subject: image.name.clone(),
            help: "a report does not have all files, so this limit has to be the same in the job that measures: bring the branch up to date, or use the same configuration".into(),
            dockerfile: None,
        }],
    }
}

/// As much of an image as its report tells.
fn snapshot(
    image: &ImageReport,
    totals: &Totals,
    side: impl Fn(&crate::compare::LayerRow) -> Option<(Option<crate::image::Bytes>, Option<u64>)>,
) -> Snapshot {
    let identity = ImageIdentity {
        name: image.name.clone(),
        reference: image.reference.clone(),
        platform: image.runs_on(),
        id: None,
    };
    let mut layers: Vec<(Option<u64>, Layer)> = Vec::new();
    for row in &image.layers {
        if let Some((size, index)) = side(row) {
            let layer = Layer {
                size,
                created_by: row.instruction.clone(),
                dockerfile: row.dockerfile.clone(),
                ..Layer::unknown(row.diff_id.clone())
            };
            layers.push((index, layer));
        }
    }
    layers.sort_by_key(|(index, _)| *index);
    let layers = layers.into_iter().map(|(_, layer)| layer).collect();
    let source = SourceInfo { transport: "report".into(), engine: None };
    let mut snapshot = Snapshot::new(identity, source, image.measured, totals.unpacked, layers);
    snapshot.totals = *totals;
    snapshot
}

fn comparison(image: &ImageReport) -> Option<Comparison> {
    Some(Comparison {
        deltas: image.delta?,
        rows: image.layers.clone(),
        causes: image.causes.clone(),
        packages: image.packages.clone(),
        files: image.files.clone(),
        split: image.split,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Baseline;
    use crate::image::{Bytes, DiffId};
    use crate::policy::Setting;

    fn measured(size: u64) -> Snapshot {
        let layer = Layer { size: Some(Bytes(size)), ..Layer::unknown(DiffId::of(&size.to_le_bytes())) };
        Snapshot::made_up(vec![layer])
    }

    fn settings(limits: &[(&str, &str)]) -> Settings {
        let setting = |text: &str| Setting { text: text.to_owned(), origin: "test".into() };
        limits.iter().map(|(key, text)| ((*key).to_owned(), setting(text))).collect::<BTreeMap<_, _>>()
    }

    /// A report of growth from 100 to 120, judged by some limits where it was measured.
    fn report(limits: &[(&str, &str)]) -> ImageReport {
        let baseline =
            Baseline { snapshot: measured(100), distance: Some(0), exact: true, how: "exact".into() };
        let settings = settings(limits);
        let limits = Limits::from_settings(&settings).unwrap();
        ImageReport::evaluate(&measured(120), Ok(&baseline), &limits, &settings, true, None, None).unwrap()
    }

    fn judged(mut image: ImageReport, limits: &[(&str, &str)]) -> ImageReport {
        let settings = settings(limits);
        let limits = Limits::from_settings(&settings).unwrap();
        rejudge(&mut image, &limits, &settings, true).unwrap();
        image
    }

    #[test]
    fn the_same_limits_find_the_same() {
        for limits in [
            &[("max-increase", "5%")][..],
            &[("max-size", "110 B"), ("max-layers", "0"), ("max-layer-size", "1 B")],
            &[("max-increase", "50%"), ("warn-increase", "1%")],
            &[],
        ] {
            let first = report(limits);
            assert_eq!(judged(first.clone(), limits), first, "{limits:?}");
        }
    }

    #[test]
    fn the_limits_of_the_target_count_and_not_those_of_the_job() {
        let lax = report(&[("max-increase", "50%")]);
        assert_eq!(lax.verdict, Verdict::Pass);
        let strict = judged(lax, &[("max-increase", "5%")]);
        assert_eq!((strict.verdict, strict.limits["max-increase"].as_str()), (Verdict::Fail, "5%"));
        assert_eq!(judged(strict, &[("max-increase", "50%")]).verdict, Verdict::Pass);
    }

    #[test]
    fn what_only_files_tell_is_kept_where_it_was_judged_alike() {
        let mut image = report(&[]);
        image.limits.insert("forbid-paths".into(), "**/x".into());
        assert_eq!(judged(image.clone(), &[("forbid-paths", "**/x")]).verdict, Verdict::Pass);
        let other = judged(image.clone(), &[("forbid-paths", "**/y")]);
        assert_eq!((other.verdict, other.findings[0].rule.as_str()), (Verdict::Fail, UNJUDGED_RULE));
        assert!(!other.findings[0].message.contains("**/x"), "{}", other.findings[0].message);
        assert_eq!(judged(image.clone(), &[]).verdict, Verdict::Pass);
        image.findings = vec![Finding {
            rule: "forbid-paths".into(),
            severity: Severity::Fail,
            message: "/x must not be in it. Dear maintainer".into(),
            measured: Some(1),
            limit: Some("**/x".into()),
            subject: "app".into(),
            help: "run this".into(),
            dockerfile: None,
        }];
        let kept = judged(image, &[("forbid-paths", "**/x")]);
        let said = "the job that measured it says: /x must not be in it. Dear maintainer";
        assert_eq!((kept.verdict, kept.findings[0].message.as_str()), (Verdict::Fail, said));
        assert!(!kept.findings[0].help.contains("run this"));
    }

    #[test]
    fn what_is_gone_is_not_judged_by_what_its_report_says() {
        let mut image = report(&[("max-size", "10 B")]);
        (image.head, image.delta) = (None, None);
        assert_eq!(image.verdict, Verdict::Fail);
        let gone = judged(image, &[("max-size", "10 B")]);
        assert_eq!((gone.verdict, gone.findings.len()), (Verdict::Pass, 0));
        let mut never = not_delivered("x", None);
        never.findings[0].message = "all is well".into();
        let never = judged(never, &[]);
        assert_eq!(
            (never.verdict, never.findings[0].message.as_str()),
            (Verdict::Fail, "there is no report of it")
        );
    }
}
