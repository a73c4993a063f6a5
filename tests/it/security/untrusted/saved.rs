//! Saved reports, which a job of a fork may have written: `layergate report` shows what they say.

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::evaluate::assert_no_foreign_command;
use super::strings::{is_for_runner, strings};
use super::{Step, assert_only_our_comment, assert_only_ours, untrusted_image};
use crate::support::fake_github::FakeGithub;

/// A report that has something of everything.
fn full_report() -> Value {
    let step = Step::new();
    let texts = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
    let base = format!("app={}", untrusted_image(&step.path("base"), &texts, 1000));
    let head = format!("app={}", untrusted_image(&step.path("head"), &texts, 3000));
    let limits = ["--max-increase", "5%", "--max-layer-size", "100 B", "--forbid-paths", "**/two"];
    let check = ["check", &head, "--baseline", &base, "--report", "report.json", "--multi-stage", "require"];
    step.run(None, &[&check[..], &limits].concat()).expect(1);
    let mut report: Value = serde_json::from_str(&step.read("report.json")).unwrap();
    report["notes"] = json!(["a note"]);
    report["accept"] = json!({ "labels": ["size-ok"], "trailer": "Accept", "max_increase": "5%" });
    let image = &mut report["images"][0];
    let sha = "c".repeat(40);
    image["base"]["commit"] = json!({ "sha": sha, "ref": "refs/heads/main", "time": "1970-01-01T00:00:01Z" });
    image["trend"] = json!([{ "commit": sha, "size": 1 }, { "commit": sha, "size": 2 }, { "size": 3 }]);
    let place = json!({ "path": "Dockerfile", "line": 3, "end_line": 3 });
    let layer = json!({ "index": 1, "instruction": "RUN x", "dockerfile": place, "of_base_image": false });
    for list in ["layers", "causes", "findings"] {
        for row in image[list].as_array_mut().unwrap() {
            row["dockerfile"] = place.clone();
        }
    }
    if let Some(found) = image["waste"].as_array_mut().and_then(|waste| waste.first_mut()) {
        (found["stored_by"], found["hidden_by"]) = (layer.clone(), layer.clone());
    }
    report
}

/// The places of all strings.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), found));
        }
        Value::Object(fields) => {
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            fields.iter().for_each(|(key, item)| places(item, &format!("{at}/{}", escaped(key)), found));
        }
        _ => {}
    }
}

fn with(report: &Value, place: &str, text: &str) -> Value {
    let mut report = report.clone();
    *report.pointer_mut(place).unwrap() = text.into();
    report
}

fn read(step: &Step, report: &Value, format: &str, github: Option<&FakeGithub>) -> crate::support::Run {
    fs::write(step.path("saved.json"), report.to_string()).unwrap();
    // With a pull request, reports of another commit are left out.
    step.run(github, &["report", "saved.json", "--format", format, "--comment", "always"])
}

/// The places where any short word is taken; in all others it is known what may stand.
fn free() -> &'static (Value, Vec<String>) {
    static FREE: OnceLock<(Value, Vec<String>)> = OnceLock::new();
    FREE.get_or_init(|| {
        let (report, step) = (full_report(), Step::new());
        let mut all = Vec::new();
        places(&report, "", &mut all);
        let is_free = |place: &String| read(&step, &with(&report, place, "a word"), "text", None).code < 2;
        let free: Vec<String> = all.into_iter().filter(is_free).collect();
        (report, free)
    })
}

/// A kind of place: without its numbers.
fn kinds(places: &[String]) -> BTreeSet<String> {
    let kind = |place: &String| {
        let parts = place.split('/').filter(|part| part.parse::<u64>().is_err());
        parts.collect::<Vec<_>>().join("/")
    };
    places.iter().map(kind).collect()
}

#[test]
fn a_report_is_text_in_all_its_places() {
    let (report, free) = free();
    for kind in [
        "/images/name",
        "/images/layers/instruction",
        "/images/layers/dockerfile/path",
        "/images/causes/parts/name",
        "/images/packages/name",
        "/images/packages/to",
        "/images/findings/message",
        "/images/findings/help",
        "/images/findings/subject",
        "/images/files/directories/path",
        "/images/waste/path",
        "/images/base/how",
        "/notes",
        "/accept/labels",
    ] {
        assert!(kinds(free).contains(kind), "{kind} is not among {:#?}", kinds(free));
    }
    let (step, github) = (Step::new(), FakeGithub::start());
    let mut shown = 0;
    for text in strings() {
        let mut untrusted = free.iter().fold(report.clone(), |report, place| with(&report, place, &text));
        untrusted["images"][0]["limits"][text.as_str()] = text.as_str().into();
        untrusted["head_sha"] = "a".repeat(40).into();
        let formats: &[&str] =
            if is_for_runner(&text) { &["text", "markdown", "json"] } else { &["markdown"] };
        for format in formats {
            github.world().comments.clear();
            let run = read(&step, &untrusted, format, Some(&github));
            assert_no_foreign_command(&run);
            if run.code > 1 {
                // That it is not taken is said as safely.
                continue;
            }
            shown += 1;
            assert_only_ours(&step.read("summary"));
            assert!(step.read("summary").len() <= 1 << 20);
            super::assert_our_outputs(&step.read("outputs"));
            assert_only_our_comment(&github);
            if *format == "markdown" {
                assert_only_ours(&run.stdout);
            }
        }
    }
    assert!(shown > 300, "{shown} of the reports were taken");
}

#[test]
fn what_a_report_may_not_say_is_refused_as_text() {
    let (report, free) = free();
    let step = Step::new();
    let mut all = Vec::new();
    places(report, "", &mut all);
    let (mut seen, mut refused) = (BTreeSet::new(), 0);
    for place in all.iter().filter(|place| !free.contains(place)) {
        if !seen.insert(kinds(std::slice::from_ref(place))) {
            continue;
        }
        for text in ["::error::x", "\n::error::x", "##[error]x", "\u{1b}[31m", "@team", "%0A::error::x"] {
            let run = read(&step, &with(report, place, text), "text", None);
            assert_no_foreign_command(&run);
            refused += usize::from(run.code > 1);
        }
    }
    assert!(refused > 10, "{refused}");
}
