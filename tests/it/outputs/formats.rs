//! SARIF, JUnit, OpenMetrics and badges, read by what others read them with.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::check::gate::{Checkout, image};
use crate::support::{FakeLayer, Item, Run, configured_layout, layergate, skip, tar_of};

/// What would end a text, an element, a label or a line.
const UNTRUSTED: &str = "\"><x y/>]]>&amp;\\ ##[error]\u{1b}[1m\u{202e}";

/// Files that a report is written to.
const OUTPUTS: &[&str] =
    &["--sarif", "out/x.sarif", "--junit", "out/x.xml", "--openmetrics", "out/x.txt", "--badge", "out/x.svg"];

/// A check of an image that exceeds two limits of three, or none; all that it writes is in `out` of the directory.
/// A name that no command line takes comes by a saved report, as that of a fork would.
fn checked(directory: &Path, name: &str, allowed: bool) {
    let (growth, layers) = if allowed { ("9 MB", "9") } else { ("1 MB", "1") };
    let layer = |size: u64, step: &str| FakeLayer::gzip(&tar_of(&[Item::File("app", size)]), step);
    if !directory.join("Dockerfile").exists() {
        fs::write(directory.join("Dockerfile"), "FROM scratch\nCOPY base /\nRUN make\n").unwrap();
    }
    for (image, size) in [("one", 1_000_000), ("two", 2_500_000)] {
        let layers = [layer(10, "COPY base /"), layer(size, "RUN make")];
        configured_layout(&directory.join(image), &layers, |_| {});
    }
    let code = if allowed { 0 } else { 1 };
    let run = |arguments: &[&str]| {
        Run::of(layergate().current_dir(directory).args(arguments).args(OUTPUTS)).expect(code)
    };
    let limits = ["--max-increase", growth, "--max-size", "9 MB", "--max-layers", layers];
    let images = ["check", "api=two", "--baseline", "api=one", "--metric", "flattened"];
    run(&[&images[..], &limits, &["--report", "out/x.json"]].concat());
    if name != "api" {
        let mut report: Value = serde_json::from_str(&text(directory, "x.json")).unwrap();
        report["images"][0]["name"] = json!(name);
        for finding in report["images"][0]["findings"].as_array_mut().unwrap() {
            finding["subject"] = json!(name);
        }
        fs::write(directory.join("out/x.json"), report.to_string()).unwrap();
        run(&["report", "out/x.json"]);
    }
}

fn python(script: &str, file: &Path) -> Option<Value> {
    let Some(packages) = std::env::var_os("LAYERGATE_TEST_FORMATS").filter(|path| !path.is_empty()) else {
        skip("the formats of reports", "their parsers were not installed");
        return None;
    };
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).args(["-c", script]).arg(file);
    Some(Run::of(&mut python).expect(0).json())
}

fn text(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join("out").join(name)).unwrap()
}

#[test]
#[ignore = "needs the SARIF Multitool: tests/run"]
fn code_scanning_takes_the_findings() {
    let Some(tool) = std::env::var_os("LAYERGATE_TEST_SARIF").filter(|path| !path.is_empty()) else {
        skip("the SARIF of reports", "the SARIF Multitool was not installed");
        return;
    };
    for name in ["api", UNTRUSTED] {
        let directory = tempfile::tempdir().unwrap();
        checked(directory.path(), name, false);
        let file = directory.path().join("out/x.sarif");
        let log: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), 2, "{log:#}");
        let growth = results.iter().find(|result| result["ruleId"] == "max-increase").unwrap();
        assert_eq!(growth["level"], "error");
        let place = &growth["locations"][0]["physicalLocation"];
        assert_eq!(
            (&place["artifactLocation"]["uri"], &place["region"]["startLine"]),
            (&json!("Dockerfile"), &json!(3))
        );
        // Its schema, and what GitHub's code scanning asks for beyond it.
        let validate = |file: &Path| {
            let mut command = Command::new(&tool);
            command.env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1").arg("validate").arg(file);
            command.args(["--rule-kind", "Sarif;Ghas", "--level", "Error", "--kind", "Fail"]);
            Run::of(&mut command).stdout
        };
        let found = validate(&file);
        assert!(found.contains("1 files scanned") && !found.contains(": error "), "{found}");
        // It does look.
        let mut bad = log.clone();
        bad["runs"][0]["results"][0]["bogus"] = json!(1);
        let other = directory.path().join("bad.sarif");
        fs::write(&other, bad.to_string()).unwrap();
        assert!(validate(&other).contains("JSON1005"));
    }
}

#[test]
fn an_alert_stays_the_same_where_only_lines_and_sizes_differ() {
    let results = |lines: &str| {
        let directory = tempfile::tempdir().unwrap();
        let dockerfile = format!("{lines}FROM scratch\nCOPY base /\nRUN make\n");
        fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
        checked(directory.path(), "api", false);
        let log: Value = serde_json::from_str(&text(directory.path(), "x.sarif")).unwrap();
        log["runs"][0]["results"].as_array().unwrap().clone()
    };
    let (one, other) = (results(""), results("# a comment\n\n"));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one["partialFingerprints"], other["partialFingerprints"]);
        assert_ne!(one["locations"], other["locations"], "{one:#}");
    }
    assert_ne!(one[0]["partialFingerprints"], one[1]["partialFingerprints"]);
}

#[test]
#[ignore = "needs parsers: tests/run"]
fn test_reports_have_a_case_for_each_limit() {
    const READ: &str = "import json, sys\nfrom junitparser import JUnitXml\nxml = JUnitXml.fromfile(sys.argv[1])\n\
        print(json.dumps([[s.name, s.tests, s.failures, [[c.name, [r.message for r in c.result]] for c in s]] for s in xml]))";
    for name in ["api", UNTRUSTED] {
        let directory = tempfile::tempdir().unwrap();
        checked(directory.path(), name, false);
        let Some(suites) = python(READ, &directory.path().join("out/x.xml")) else { return };
        let suite = &suites[0];
        assert_eq!((&suite[1], &suite[2]), (&json!(3), &json!(2)), "{suites:#}");
        let cases = suite[3].as_array().unwrap();
        let of =
            |name: &str| cases.iter().find(|case| case[0] == name).unwrap_or_else(|| panic!("{suites:#}"));
        assert_eq!(of("max-size = 9 MB")[1], json!([]));
        assert!(
            crate::support::spaced(of("max-increase = 1 MB")[1][0].as_str().unwrap()).contains("1 MB"),
            "{suites:#}"
        );
        if name == "api" {
            assert_eq!(suite[0], "api");
        }
        checked(directory.path(), name, true);
        let suites = python(READ, &directory.path().join("out/x.xml")).unwrap();
        assert_eq!(suites[0][2], 0, "{suites:#}");
    }
}

#[test]
#[ignore = "needs parsers: tests/run"]
fn prometheus_reads_the_sizes() {
    const READ: &str = "import json, sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
        print(json.dumps([[f.name, f.unit, f.type, [[s.labels, s.value] for s in f.samples]] for f in read(open(sys.argv[1]).read())]))";
    for name in ["api", UNTRUSTED] {
        let directory = tempfile::tempdir().unwrap();
        checked(directory.path(), name, false);
        let Some(families) = python(READ, &directory.path().join("out/x.txt")) else { return };
        let of = |name: &str| {
            let families = families.as_array().unwrap();
            families.iter().find(|family| family[0] == format!("layergate_image_{name}")).unwrap().clone()
        };
        let size = of("flattened_bytes");
        assert_eq!((&size[1], &size[2]), (&json!("bytes"), &json!("gauge")));
        assert_eq!(size[3][0][1], 2_500_000.0);
        assert_eq!(size[3][0][0]["platform"], "linux/amd64");
        assert_eq!(of("growth_bytes")[3][0][1], 1_500_000.0);
        assert_eq!(of("failed")[3][0][1], 1.0);
        if name == "api" {
            assert_eq!(size[3][0][0]["image"], "api");
        }
    }
}

#[test]
fn the_comment_links_to_the_full_report() {
    let directory = tempfile::tempdir().unwrap();
    configured_layout(
        directory.path(),
        &[FakeLayer::gzip(&tar_of(&[Item::File("app", 9)]), "RUN make")],
        |_| {},
    );
    let check = |url: &str| {
        let mut command = layergate();
        let arguments = ["check", "app=.", "--max-size", "9 MB", "--format", "markdown", "--report-url", url];
        Run::of(command.current_dir(directory.path()).args(arguments))
    };
    let url = "https://github.com/acme/shop/actions/runs/1/artifacts/2";
    assert!(check(url).expect(0).stdout.contains(&format!(" \u{b7} [report]({url})")));
    for bad in ["javascript:x", "https://x/a) [b](c", "https://x/ y", "ftp://x"] {
        assert!(check(bad).expect(2).stderr.contains("starts with https://"));
    }
}

#[test]
fn a_badge_is_a_picture_or_what_shields_asks_for() {
    let directory = tempfile::tempdir().unwrap();
    checked(directory.path(), UNTRUSTED, false);
    let svg = text(directory.path(), "x.svg");
    assert!(svg.starts_with("<svg ") && svg.contains(": 2."), "{svg}");
    assert!(!svg.contains("<x y") && !svg.contains('\u{1b}') && !svg.contains('\u{202e}'), "{svg}");
    assert!(svg.contains("#c21c2c"), "a failing badge is red: {svg}");
    let checkout = Checkout::new();
    checkout.commit("one");
    let store = |arguments: &[&str]| {
        let mut command = layergate();
        command.current_dir(checkout.path()).env("LAYERGATE_STORE", "dir:store").args(arguments);
        Run::of(&mut command)
    };
    let web = image(checkout.path(), "web", 2_000_000).replacen("app=", "web=", 1);
    store(&["record", &web]).expect(0);
    store(&["history", "web", "--badge", "badge.json"]).expect(0);
    let badge: Value =
        serde_json::from_str(&fs::read_to_string(checkout.path().join("badge.json")).unwrap()).unwrap();
    assert_eq!((&badge["schemaVersion"], &badge["label"]), (&json!(1), &json!("web")));
    assert!(badge["message"].as_str().unwrap().ends_with('B') && badge["color"].is_string(), "{badge}");
    fs::write(checkout.path().join("layergate.toml"), "[limits]\nmax-size = \"3 MB\"\n").unwrap();
    let page = store(&["history", "web", "--format", "html"]).expect(0).stdout;
    assert!(page.contains("\"maxSize\":3000000"));
    assert!(page.contains("<title>web: uncompressed size</title>"), "{}", &page[..2000]);
    let csv = store(&["history", "web", "web", "--format", "csv"]).expect(0).stdout;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let both = store(&["history", "web", "web", "--format", "json"]).expect(0).json();
    assert_eq!(both.as_array().unwrap().len(), 2);
}
