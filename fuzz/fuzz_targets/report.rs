//! A saved report from a job of a fork. If it is accepted, it can be evaluated again and written in every format,
//! within the limits.
#![no_main]

use layergate::config::{Config, Settings};
use layergate::image::Day;
use layergate::limits::Occasion;
use layergate::report::look::{Sizes, TextLayout};
use layergate::report::merge::{Saved, merge};
use layergate::report::reevaluate::reevaluate;
use layergate::report::{Report, actions, markdown, text};
use libfuzzer_sys::fuzz_target;

const LIMITS: &str = "[limits]\nmax-size = \"1 MB\"\nmax-increase = \"5%\"\nmax-layers = 3\nmax-layer-size = \"1 kB\"\nmax-wasted = \"1%\"\nforbid-paths = [\"x\"]\n";

fuzz_target!(|json: &[u8]| {
    let Ok(report) = Report::from_json(json) else { return };
    let saved = Saved { file: "report.json".into(), report };
    let mut report = merge(vec![saved], &[], None).expect("one report is of one commit");
    let config = Config::parse("limits", LIMITS).expect("the limits are right");
    write(&report);
    for image in &mut report.images {
        let occasion = Occasion { pull_request: true, merge_queue: false, today: Day::of(0) };
        let rulesets = config.rulesets_for("x", None, &Settings::new(), &occasion.today);
        let _ = reevaluate(image, &rulesets.expect("the limits are right"), &occasion);
    }
    write(&report);
});

fn write(report: &Report) {
    assert!(markdown::render(report, markdown::COMMENT_BUDGET).len() <= markdown::COMMENT_BUDGET);
    let look = TextLayout { columns: 100, wraps: true, sizes: Sizes::default() };
    text::write_check(report, look, &mut Vec::new()).expect("memory takes it");
    actions::annotations(report);
    actions::outputs(report, "report.json");
}
