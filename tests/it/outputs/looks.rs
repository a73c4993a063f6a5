//! What a comment looks like in each state, as HTML that GitHub would make of it, kept beside the tests: a change
//! to what people see is seen as a change.

use std::path::Path;

use serde_json::json;

use crate::security::untrusted::{Step, assert_only_ours, render};
use crate::support::fake_github::{BOT, FakeGithub};
use crate::support::{FakeLayer, Item, configured_layout, tar_of};

/// The layers of a small service, whose dependencies have this many bytes.
fn service(dependencies: u64) -> Vec<FakeLayer> {
    let layer = |items: &[Item<'_>], step: &str| {
        FakeLayer::gzip(&tar_of(items), &format!("RUN /bin/sh -c {step} # buildkit"))
    };
    let copied =
        |items: &[Item<'_>], step: &str| FakeLayer::gzip(&tar_of(items), &format!("COPY {step} # buildkit"));
    vec![
        FakeLayer::gzip(&tar_of(&[Item::File("usr/lib/libc.so.6", 6_300_000)]), "ADD rootfs.tar.xz /"),
        copied(&[Item::File("app/requirements.txt", 300)], "requirements.txt /app/"),
        layer(
            &[
                Item::File("usr/lib/python3/site-packages/pandas/_libs/lib.so", dependencies),
                Item::File("usr/lib/python3/site-packages/numpy/core/multiarray.so", dependencies / 3),
                Item::File("root/.cache/pip/http-v2/0/1/2/3/0123456789", dependencies / 10),
            ],
            "pip install --requirement /app/requirements.txt",
        ),
        copied(&[Item::File("app/main.py", 41_000)], ". /app"),
    ]
}

const DOCKERFILE: &str = "FROM scratch\nADD rootfs.tar.xz /\nCOPY requirements.txt /app/\nRUN pip install --requirement /app/requirements.txt\nCOPY . /app\n";

fn image(step: &Step, place: &str, layers: &[FakeLayer]) -> String {
    configured_layout(&step.path(place), layers, |_| {}).display().to_string()
}

/// The comment that a check of images against others makes, as HTML.
struct Shown {
    step: Step,
    github: FakeGithub,
}

impl Shown {
    fn new() -> Shown {
        let shown = Shown { step: Step::new(), github: FakeGithub::start() };
        std::fs::write(shown.step.path("Dockerfile"), DOCKERFILE).unwrap();
        shown
    }

    fn check(&self, images: &[(&str, String, Option<String>)], options: &[&str], code: i32) -> String {
        let named = |name: &str, path: &str| format!("{name}={path}");
        let heads: Vec<String> = images.iter().map(|(name, head, _)| named(name, head)).collect();
        let bases = images.iter().filter_map(|(name, _, base)| Some(named(name, base.as_deref()?)));
        let (heads, bases) = (heads.join("\n"), bases.collect::<Vec<_>>().join("\n"));
        let mut arguments = vec!["check", &heads, "--comment", "always"];
        if !bases.is_empty() {
            arguments.extend(["--baseline", &bases]);
        }
        arguments.extend(options);
        self.step.run(Some(&self.github), &arguments).expect(code);
        self.comment()
    }

    fn comment(&self) -> String {
        let [body] = self.github.bodies_of(BOT).try_into().unwrap();
        let (_, text) = body.split_once("-->\n").unwrap();
        assert_only_ours(text);
        // The directory is another one in each run.
        render(text).replace(self.step.path("").to_str().unwrap(), "DIRECTORY/")
    }

    fn grown(&self) -> Vec<(&'static str, String, Option<String>)> {
        let (base, head) = (service(9_000_000), service(12_500_000));
        vec![("api", image(&self.step, "head", &head), Some(image(&self.step, "base", &base)))]
    }
}

/// Keeps a page, and writes it where somebody wants to look at it.
fn keep(name: &str, html: &str) {
    if let Some(directory) = std::env::var_os("LAYERGATE_TEST_PAGES") {
        std::fs::write(Path::new(&directory).join(format!("{name}.html")), html).unwrap();
    }
    insta::assert_snapshot!(name, html);
}

#[test]
fn nothing_has_changed() {
    let shown = Shown::new();
    let same = image(&shown.step, "same", &service(9_000_000));
    keep("pass", &shown.check(&[("api", same.clone(), Some(same))], &["--max-increase", "5%"], 0));
}

#[test]
fn it_grew_and_that_is_a_warning_a_failure_or_accepted() {
    let shown = Shown::new();
    let images = shown.grown();
    keep("warn", &shown.check(&images, &["--warn-increase", "5%", "--max-increase", "50%"], 0));
    let limits = ["--max-increase", "5%", "--accept-label", "size-ok"];
    keep("fail", &shown.check(&images, &limits, 1));
    shown.github.world().labelled.push(("ann", "size-ok", "2026-11-01T09:00:00Z", true));
    keep("accepted", &shown.check(&images, &limits, 0));
}

#[test]
fn there_is_no_baseline() {
    let shown = Shown::new();
    let head = image(&shown.step, "head", &service(9_000_000));
    keep("no_baseline", &shown.check(&[("api", head, None)], &["--max-increase", "5%"], 0));
}

#[test]
fn forty_images_of_a_matrix() {
    let shown = Shown::new();
    let base = image(&shown.step, "base", &service(9_000_000));
    let mut reports = Vec::new();
    for number in 0..40_u64 {
        let name = format!("service-{number:02}");
        // Most stay as they are, some grow, one shrinks.
        let size =
            [9_000_000, 9_000_000, 9_000_000, 9_000_000 + number * 40_000, 8_000_000][number as usize % 5];
        let head = image(&shown.step, &name, &service(size));
        let (head, base) = (format!("{name}={head}"), format!("{name}={base}"));
        let report = format!("reports/{number:02}.json");
        let check = ["check", &head, "--baseline", &base, "--max-increase", "8%", "--report", &report];
        let run = shown.step.run(Some(&shown.github), &[&check[..], &["--comment", "never"]].concat());
        assert!(run.code < 2, "{}", run.stderr);
        reports.push(report);
    }
    let report = ["report", "reports", "--comment", "always", "--require-image", "service-40=linux/arm64"];
    shown.step.run(Some(&shown.github), &report).expect(1);
    keep("matrix", &shown.comment());
}

#[test]
fn as_many_layers_as_an_image_can_have() {
    let shown = Shown::new();
    let layers = |more: u64| -> Vec<FakeLayer> {
        let layer = |index: u64| {
            let path = format!("opt/tools/part-{index:03}/bin/tool-{index:03}");
            let size = 10_000 + index + if index.is_multiple_of(3) { more * index } else { 0 };
            let step = format!(
                "RUN /bin/sh -c ./install.sh --component part-{index:03} --prefix /opt/tools # buildkit"
            );
            FakeLayer::gzip(&tar_of(&[Item::File(&path, size)]), &step)
        };
        (0..127).map(layer).collect()
    };
    let (base, head) = (image(&shown.step, "base", &layers(0)), image(&shown.step, "head", &layers(50)));
    let html =
        shown.check(&[("tools", head, Some(base))], &["--max-increase", "5%", "--max-layers", "120"], 1);
    assert!(json!(html).to_string().contains("part-126"));
    keep("many_layers", &html);
}
