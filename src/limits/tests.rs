use super::*;
use crate::analysis::Analysis;
use crate::image::{Bytes, Day, Entry, FileList, Filesystem, Layer, Snapshot, UpdateSize};

fn limits(written: &[(&str, &str)]) -> Result<Limits, (&'static str, ValueError)> {
    Limits::parse(|key| written.iter().find(|(name, _)| *name == key).map(|(_, text)| *text))
}

/// An image of these layers: `path size` is a file, `-path` a deleted one, separated by `; `.
fn image(layers: &[&str]) -> Analysis {
    let entry = |file: &str| match file.rsplit_once(' ') {
        Some((path, size)) => Entry::File(path.into(), Bytes(size.parse().unwrap())),
        None => Entry::Whiteout(file.trim_start_matches('-').into()),
    };
    let layer = |(index, files): (usize, &&str)| {
        Layer::made_up(index, FileList::of(files.split("; ").map(entry).collect()))
    };
    let mut snapshot = Snapshot::made_up(layers.iter().enumerate().map(layer).collect());
    snapshot.totals.wasted = Filesystem::of_layers(&snapshot.layers).map(|filesystem| filesystem.wasted);
    Analysis::from(snapshot)
}

/// A baseline without a comparison.
fn baseline(image: ImageFacts<'_>) -> BaseFacts<'_> {
    BaseFacts { image, inexact: None, rows: &[], causes: &[], split: None, update: None }
}

/// The findings for an image on a pull request.
fn found(
    written: &[(&str, &str)],
    head: &Analysis,
    base: Option<&Analysis>,
) -> Vec<(String, Severity, String)> {
    let none = NoBase { why: "none", help: "", unusable: false };
    let subject = Subject {
        name: "app",
        metric: Metric::Uncompressed,
        pull_request: true,
        today: Day::of(0),
        head: ImageFacts::of_measured(head, &[], None),
        base: base.map(|base| baseline(ImageFacts::of_record(base))).ok_or(none),
    };
    let found = limits(written).unwrap().evaluate(&subject);
    found.into_iter().map(|finding| (finding.rule, finding.severity, finding.message)).collect()
}

#[test]
fn what_the_baseline_exceeds_already_fails_only_if_it_gets_worse() {
    let (small, large) = (image(&["a 100", "a 90"]), image(&["a 100; x.pem 3", "a 90", "a 90; y.pem 3"]));
    for (key, value) in
        [("max-size", "150 B"), ("max-layers", "1"), ("max-wasted", "50 B"), ("max-size", "195 B")]
    {
        let severity = |head, base| {
            let found = found(&[(key, value)], head, base);
            found.first().map(|(rule, severity, _)| {
                assert_eq!(rule, key);
                *severity
            })
        };
        let of_small = if value == "195 B" { None } else { Some(Severity::Fail) };
        assert_eq!(severity(&small, None), of_small, "{key} {value}");
        assert_eq!(severity(&large, None), Some(Severity::Fail), "{key} {value}");
        assert_eq!(severity(&large, Some(&small)), Some(Severity::Fail), "{key} {value}");
        assert_eq!(severity(&large, Some(&large)), Some(Severity::Warn), "{key} {value}");
    }
    let forbidden = |base| found(&[("forbid-paths", "*.pem")], &large, base).remove(0);
    assert_eq!(forbidden(Some(&large)).1, Severity::Warn);
    let (rule, severity, message) = forbidden(Some(&small));
    assert_eq!((rule.as_str(), severity), ("forbid-paths", Severity::Fail));
    assert!(message.starts_with("`/x.pem` and 1 more path must not be in the image"), "{message}");
}

#[test]
fn every_limit_can_be_set_as_its_examples_say() {
    for limit in LIMITS {
        let key = &limit.key;
        let choices = if let ValueForm::Choice(choices) = key.form { choices } else { &[] };
        let values: Vec<&str> = key.examples.iter().chain(choices).copied().collect();
        assert!(!values.is_empty(), "{}", key.name);
        for value in values {
            let set =
                limits(&[(key.name, value)]).unwrap_or_else(|(_, error)| panic!("{}: {error}", key.name));
            assert_eq!(set.is_empty(), value == "off", "{} {value}", key.name);
        }
        assert!(!key.help.ends_with('.') && key.help.len() < 130, "{}", key.help);
        assert!(key.description.ends_with('.'), "{}", key.description);
        let finding = Finding {
            rule: key.name.into(),
            severity: Severity::Fail,
            message: String::new(),
            measured: None,
            limit: None,
            subject: "app".into(),
            help: String::new(),
            dockerfile: None,
        };
        assert!(!(limit.headline)(&finding, &HeadlineContext::default()).is_empty(), "{}", key.name);
        assert_eq!(definition(key.name).map(|found| found.key), Some(*key), "each key is there once");
    }
    assert_eq!(limits(&[("max-layers", "many")]).unwrap_err().0, "max-layers");
}

#[test]
fn a_warning_of_growth_is_not_said_beside_a_failure_of_it() {
    let snapshot = Snapshot::made_up(Vec::new());
    let mut totals = snapshot.totals;
    totals.compressed = Some(Bytes(100));
    let before = totals;
    totals.compressed = Some(Bytes(120));
    let subject = |inexact: Option<&str>| Subject {
        name: "app",
        metric: Metric::Compressed,
        pull_request: true,
        today: Day::of(86_400),
        head: ImageFacts::of_report(&totals, None, Vec::new(), &[]),
        base: Ok(BaseFacts {
            inexact: inexact.map(str::to_owned),
            ..baseline(ImageFacts::of_reported_base(&before, None))
        }),
    };
    let found = |written: &[(&str, &str)], inexact| {
        let found = limits(written).unwrap().evaluate(&subject(inexact));
        found.into_iter().map(|finding| (finding.rule, finding.severity)).collect::<Vec<_>>()
    };
    let both = [("max-increase", "10%"), ("warn-increase", "1%")];
    assert_eq!(found(&both, None), [("max-increase".into(), Severity::Fail)]);
    assert_eq!(found(&both, Some("is old")), [("max-increase".into(), Severity::Warn)]);
    let wide = [("max-increase", "50%"), ("warn-increase", "1%")];
    assert_eq!(found(&wide, None), [("warn-increase".into(), Severity::Warn)]);
}

#[test]
fn by_the_update_size_shares_are_of_a_full_pull() {
    let snapshot = Snapshot::made_up(Vec::new());
    let mut totals = snapshot.totals;
    (totals.compressed, totals.uncompressed) = (Some(Bytes(1000)), Some(Bytes(4000)));
    let mut engine = totals;
    engine.compressed = None;
    let found = |written: &[(&str, &str)], base: &crate::image::Totals, estimated: bool| {
        let update = UpdateSize { bytes: Bytes(300), classic_bytes: Bytes(900), estimated };
        let facts = BaseFacts { update: Some(update), ..baseline(ImageFacts::of_reported_base(base, None)) };
        let subject = Subject {
            name: "app",
            metric: Metric::Update,
            pull_request: true,
            today: Day::of(0),
            head: ImageFacts::of_report(base, None, Vec::new(), &[]),
            base: Ok(facts),
        };
        let found = limits(written).unwrap().evaluate(&subject);
        found.into_iter().map(|finding| (finding.severity, finding.message)).collect::<Vec<_>>()
    };
    let update = ("metric", "update");
    for (key, value) in [("max-increase", "30%"), ("max-increase", "300 B"), ("max-size", "300 B")] {
        assert_eq!(found(&[update, (key, value)], &totals, false), [], "{key} {value}");
    }
    for (key, value) in [("max-increase", "29%"), ("max-increase", "299 B"), ("max-size", "299 B")] {
        let found = found(&[update, (key, value)], &totals, false);
        let [(Severity::Fail, message)] = &found[..] else { panic!("{key} {value} {found:?}") };
        assert!(message.starts_with("an update downloads 300\u{a0}B, "), "{message}");
    }
    let warned = found(&[update, ("warn-increase", "29%")], &totals, false);
    assert!(matches!(&warned[..], [(Severity::Warn, _)]), "{warned:?}");
    // An estimate from uncompressed sizes is a share of uncompressed sizes, and fails nothing.
    assert_eq!(found(&[update, ("max-increase", "8%")], &engine, true), []);
    let guessed = found(&[update, ("max-increase", "7%")], &engine, true);
    assert!(matches!(&guessed[..], [(Severity::Warn, _)]), "{guessed:?}");
}

#[test]
fn the_update_size_needs_a_baseline() {
    let totals = Snapshot::made_up(Vec::new()).totals;
    let subject = Subject {
        name: "app",
        metric: Metric::Update,
        pull_request: true,
        today: Day::of(0),
        head: ImageFacts::of_report(&totals, None, Vec::new(), &[]),
        base: Err(NoBase { why: "none", help: "", unusable: false }),
    };
    let found = |written: &[(&str, &str)]| limits(written).unwrap().evaluate(&subject);
    let without = found(&[("metric", "update"), ("max-size", "1 B")]);
    assert_eq!((without.len(), without[0].rule.as_str()), (1, BASELINE_RULE));
}
