use super::*;
use crate::image::Snapshot;

fn limits(written: &[(&str, &str)]) -> Result<Limits, (&'static str, ValueError)> {
    Limits::parse(|key| written.iter().find(|(name, _)| *name == key).map(|(_, text)| *text))
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
    totals.compressed = Some(crate::image::Bytes(100));
    let before = totals;
    totals.compressed = Some(crate::image::Bytes(120));
    let subject = |inexact: Option<&str>| Subject {
        name: "app",
        metric: Metric::Compressed,
        pull_request: true,
        head: ImageFacts::of_report(&totals, None, Vec::new(), &[]),
        base: Ok(BaseFacts {
            image: ImageFacts::of_reported_base(&before, None),
            inexact: inexact.map(str::to_owned),
            rows: &[],
            causes: &[],
            split: None,
            update: None,
        }),
    };
    let found = |written: &[(&str, &str)], inexact| {
        let found = limits(written).unwrap().evaluate(&subject(inexact)).unwrap();
        found.into_iter().map(|finding| (finding.rule, finding.severity)).collect::<Vec<_>>()
    };
    let both = [("max-increase", "10%"), ("warn-increase", "1%")];
    assert_eq!(found(&both, None), [("max-increase".into(), Severity::Fail)]);
    assert_eq!(found(&both, Some("is old")), [("max-increase".into(), Severity::Warn)]);
    let wide = [("max-increase", "50%"), ("warn-increase", "1%")];
    assert_eq!(found(&wide, None), [("warn-increase".into(), Severity::Warn)]);
}
