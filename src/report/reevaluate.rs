//! Evaluates a saved report against other limits: those of the target branch, whatever the job that measured was given.

use super::escape::short;
use super::merge::not_delivered;
use super::model::{Findings, HeadImage, ImageReport, no_base};
use crate::compare::LayerRow;
use crate::compare::baseline::age;
use crate::config::{Ruleset, Settings};
use crate::image::{Bytes, Totals};
use crate::limits::{
    BaseFacts, Finding, ImageFacts, LayerFacts, Limits, NOT_EVALUATED_RULE, Occasion, Severity, Subject,
    Verdict,
};
use crate::removable::Catalogue;
use crate::sort;

/// Stands for a reason given in a report.
const UNTOLD: &str = "a reason that its job gives";
/// Maximum characters of a sentence quoted from a report.
const MAX_QUOTE: usize = 200;

/// Evaluates an image again, and leaves no sentence of its report that looks like ours. For a limit that a report has
/// too little data for, its finding is kept if it was evaluated against the same limit; otherwise it fails.
pub fn reevaluate(image: &mut ImageReport, rulesets: &[Ruleset], occasion: &Occasion) {
    in_our_words(image);
    if image.is_not_delivered() {
        // Only its name can be used.
        *image = not_delivered(&image.name, image.runs_on().as_ref());
        return;
    }
    let Some(HeadImage { totals }) = image.head.clone() else {
        // The image no longer exists, so there is nothing to evaluate.
        image.limits.clear();
        image.extended.clear();
        (image.findings, image.verdict) = (Vec::new(), Verdict::Pass);
        return;
    };
    let mut findings = Findings::default();
    for ruleset in rulesets {
        let Ruleset { limits, settings, .. } = ruleset;
        let subject = subject(image, &totals, limits, occasion);
        let found = limits.evaluate_or(&subject, |limit, unknown| {
            (!unknown.fact.is_in_reports()).then(|| kept_findings(image, limit.key.name, settings))
        });
        findings.add(ruleset, found);
    }
    image.verdict = Verdict::of(&findings.all);
    image.findings = findings.all;
    image.set_rules(rulesets);
}

/// Replaces the sentences of a report, or quotes them as its job's: anybody may have written them, and a reader would
/// take them for ours.
fn in_our_words(image: &mut ImageReport) {
    if let Some(missing) = &mut image.no_base {
        *missing = missing.reason.into();
    }
    if let Some(base) = &mut image.base {
        base.how = if base.exact { "exact".into() } else { age(base.distance) };
    }
    // A sentence is not an image name.
    image.base_image = image.base_image.take().filter(|name| is_name(name));
    if let Some(stages) = &mut image.stages {
        (stages.reason, stages.help) = (quote(&stages.reason), String::new());
    }
    for found in &mut image.removable {
        found.help.clear();
        (found.what, found.ignored) = (named(&found.kind), found.ignored.take().map(|_| UNTOLD.into()));
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
}

/// The description of a kind of removable files, if it is a built-in one.
fn named(kind: &str) -> String {
    let catalogue = Catalogue::builtin();
    let known = catalogue.kinds().iter().find(|known| known.name == kind);
    known.map_or_else(|| "files of a custom kind".into(), |known| known.what.clone())
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
        // Enforcement is decided here, not where the image was measured.
        severity: if finding.severity == Severity::Unenforced { Severity::Fail } else { finding.severity },
        ..finding.clone()
    }
}

/// What the job that measured the image has found by a rule.
fn kept_findings(image: &ImageReport, rule: &str, settings: &Settings) -> Vec<Finding> {
    let wanted = settings.get(rule).map(|setting| setting.text.trim()).filter(|text| *text != "off");
    let values: Vec<&str> = image.values_of(rule).map(str::trim).filter(|text| *text != "off").collect();
    let evaluated = values.iter().find(|value| wanted == Some(**value)).or(values.first()).copied();
    match wanted {
        None => Vec::new(),
        Some(wanted) if evaluated == Some(wanted) => {
            image.findings.iter().filter(|finding| finding.rule == rule).map(|finding| quoted(image, finding, wanted)).collect()
        }
        Some(wanted) => vec![Finding {
            rule: NOT_EVALUATED_RULE.into(),
            severity: Severity::Fail,
            // Without what it was evaluated against: that is the report's own text.
            message: match evaluated {
                Some(_) => format!("the job that measured used a different {rule}, not `{}`", short(wanted, MAX_QUOTE)),
                None => format!("the job that measured did not evaluate {rule}, which is `{}` here", short(wanted, MAX_QUOTE)),
            },
            measured: None,
            limit: Some(wanted.to_owned()),
            subject: image.name.clone(),
            help: "a report does not list all files, so the job that measures needs the same limit: update the branch, or use the same configuration in both jobs".into(),
            dockerfile: None,
        }],
    }
}

/// The facts in a report that limits can evaluate: figures, but nothing that needs file lists.
fn subject<'a>(image: &'a ImageReport, totals: &Totals, limits: &Limits, occasion: &Occasion) -> Subject<'a> {
    let base = image.base.as_ref().filter(|_| image.delta.is_some()).map(|base| BaseFacts {
        image: ImageFacts::of_reported_base(&base.totals, image.split.map(|split| split.app_base)),
        inexact: occasion.inexact(base.exact, base.distance),
        rows: &image.layers,
        causes: &image.causes,
        split: image.split,
        update: image.update,
    });
    let app_size = image.split.map(|split| Bytes(split.app_base.0.saturating_add_signed(split.app.0)));
    Subject {
        name: &image.name,
        metric: limits.metric,
        pull_request: occasion.pull_request,
        today: occasion.today.clone(),
        head: ImageFacts::of_report(totals, app_size, layers(image), &image.waste),
        base: base.ok_or_else(|| no_base(image.no_base.as_ref())),
    }
}

/// The image's layers, lowest first.
fn layers<'a>(image: &'a ImageReport) -> Vec<LayerFacts<'a>> {
    let mut rows: Vec<_> = image.layers.iter().filter(|row| row.head_index.is_some()).collect();
    sort::by_key(&mut rows, |row| row.head_index);
    let layer = |row: &'a LayerRow| LayerFacts {
        size: row.head_size,
        instruction: row.instruction.as_ref(),
        dockerfile: row.dockerfile.as_ref(),
    };
    rows.into_iter().map(layer).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::compare::Baseline;
    use crate::config::{Setting, limits_of};
    use crate::image::{Bytes, Day, DiffId, Layer, Snapshot};
    use crate::report::Terms;

    fn measured(size: u64) -> Snapshot {
        let layer = Layer { size: Some(Bytes(size)), ..Layer::unknown(DiffId::of(&size.to_le_bytes())) };
        Snapshot::made_up(vec![layer])
    }

    fn settings(limits: &[(&str, &str)]) -> Settings {
        let setting = |text: &str| Setting { text: text.to_owned(), origin: "test".into() };
        limits.iter().map(|(key, text)| ((*key).to_owned(), setting(text))).collect::<BTreeMap<_, _>>()
    }

    fn occasion() -> Occasion {
        Occasion { pull_request: true, merge_queue: false, today: Day::of(0) }
    }

    /// A report of growth from 100 to 120, evaluated against some limits where it was measured.
    fn report(limits: &[(&str, &str)]) -> ImageReport {
        let baseline = Baseline {
            image: Arc::new(measured(100).into()),
            distance: Some(0),
            exact: true,
            how: "exact".into(),
        };
        let settings = settings(limits);
        let rulesets = [Ruleset { limits: limits_of(&settings).unwrap(), settings, source: None }];
        let occasion = occasion();
        let terms = Terms { rulesets: &rulesets, occasion: &occasion, ignored: None };
        ImageReport::evaluate(&measured(120).into(), Ok(&baseline), &terms)
    }

    fn evaluated(mut image: ImageReport, limits: &[(&str, &str)]) -> ImageReport {
        let settings = settings(limits);
        let rulesets = [Ruleset { limits: limits_of(&settings).unwrap(), settings, source: None }];
        reevaluate(&mut image, &rulesets, &occasion());
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
            assert_eq!(evaluated(first.clone(), limits), first, "{limits:?}");
        }
    }

    #[test]
    fn the_limits_of_the_target_count_and_not_those_of_the_job() {
        let lax = report(&[("max-increase", "50%")]);
        assert_eq!(lax.verdict, Verdict::Pass);
        let strict = evaluated(lax, &[("max-increase", "5%")]);
        assert_eq!((strict.verdict, strict.limits["max-increase"].as_str()), (Verdict::Fail, "5%"));
        assert_eq!(evaluated(strict, &[("max-increase", "50%")]).verdict, Verdict::Pass);
    }

    #[test]
    fn whether_limits_are_enforced_is_said_by_the_target() {
        let job = report(&[("max-increase", "5%"), ("enforce", "false")]);
        assert_eq!((job.verdict, job.findings[0].severity), (Verdict::Unenforced, Severity::Unenforced));
        assert_eq!(evaluated(job.clone(), &[("max-increase", "5%")]).verdict, Verdict::Fail);
        // The occasion is on 1970-01-01.
        for (enforce, verdict) in [("1970-01-02", Verdict::Unenforced), ("1970-01-01", Verdict::Fail)] {
            let limits = [("max-increase", "5%"), ("enforce", enforce)];
            assert_eq!(evaluated(job.clone(), &limits).verdict, verdict, "{enforce}");
        }
        let mut files = report(&[("enforce", "false")]);
        files.limits.insert("forbid-paths".into(), "**/x".into());
        files.findings = vec![Finding { rule: "forbid-paths".into(), ..job.findings[0].clone() }];
        assert_eq!(evaluated(files, &[("forbid-paths", "**/x")]).verdict, Verdict::Fail);
    }

    #[test]
    fn what_only_files_tell_is_kept_where_it_was_evaluated_alike() {
        let mut image = report(&[]);
        image.limits.insert("forbid-paths".into(), "**/x".into());
        assert_eq!(evaluated(image.clone(), &[("forbid-paths", "**/x")]).verdict, Verdict::Pass);
        let other = evaluated(image.clone(), &[("forbid-paths", "**/y")]);
        assert_eq!((other.verdict, other.findings[0].rule.as_str()), (Verdict::Fail, NOT_EVALUATED_RULE));
        assert!(!other.findings[0].message.contains("**/x"), "{}", other.findings[0].message);
        assert_eq!(evaluated(image.clone(), &[]).verdict, Verdict::Pass);
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
        let kept = evaluated(image, &[("forbid-paths", "**/x")]);
        let said = "the job that measured it says: /x must not be in it. Dear maintainer";
        assert_eq!((kept.verdict, kept.findings[0].message.as_str()), (Verdict::Fail, said));
        assert!(!kept.findings[0].help.contains("run this"));
    }

    #[test]
    fn what_is_gone_is_not_evaluated_by_what_its_report_says() {
        let mut image = report(&[("max-size", "10 B")]);
        (image.head, image.delta) = (None, None);
        assert_eq!(image.verdict, Verdict::Fail);
        let gone = evaluated(image, &[("max-size", "10 B")]);
        assert_eq!((gone.verdict, gone.findings.len()), (Verdict::Pass, 0));
        let mut never = not_delivered("x", None);
        never.findings[0].message = "all is well".into();
        let never = evaluated(never, &[]);
        assert_eq!((never.verdict, never.findings[0].message.as_str()), (Verdict::Fail, "no report arrived"));
    }
}
