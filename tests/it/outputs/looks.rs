//! What a comment looks like in each state, as HTML that GitHub would make of it, kept beside the tests: a change
//! to what people see is seen as a change.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::security::untrusted::{Step, assert_only_ours, render, without_what_it_carries};
use crate::support::fake_github::{BOT, FakeGithub};
use crate::support::{FakeLayer, Item, Run, configured_layout, fixture, platforms_layout, spaced, tar_of};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

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

    /// With the blanks between numbers and units at which no line breaks.
    fn comment(&self) -> String {
        let [body] = self.github.written_by(BOT).try_into().unwrap();
        let (_, text) = body.split_once("-->\n").unwrap();
        let text = without_what_it_carries(text);
        assert_only_ours(text);
        // The directory is another one in each run.
        render(text).replace(self.step.path("").to_str().unwrap(), "DIRECTORY/")
    }

    fn grown(&self) -> Vec<(&'static str, String, Option<String>)> {
        let (base, head) = (service(9_000_000), service(12_500_000));
        vec![("api", image(&self.step, "head", &head), Some(image(&self.step, "base", &base)))]
    }
}

/// The tutorial's application as it is built in a variant, and its Dockerfile in the place of ours.
fn notes(shown: &Shown, variant: &str) -> String {
    let dockerfile = Path::new(ROOT).join("tests/it/support/apps/seed/Dockerfile");
    std::fs::copy(dockerfile, shown.step.path("Dockerfile")).unwrap();
    let snapshot = format!("notes-{variant}.json.zst");
    let measured = fixture(&format!("seed/notesapp-{variant}.snapshot.json.zst"));
    std::fs::copy(measured, shown.step.path(&snapshot)).unwrap();
    shown.step.path(&snapshot).display().to_string()
}

/// Keeps a page, and writes it where somebody wants to look at it: `node web/test/picture.mjs` makes a picture of it.
fn keep(name: &str, html: &str) {
    if let Some(directory) = std::env::var_os("LAYERGATE_TEST_PAGES") {
        std::fs::write(Path::new(&directory).join(format!("{name}.html")), html).unwrap();
    }
    insta::assert_snapshot!(name, spaced(html));
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

#[test]
fn a_real_image_of_a_single_stage_is_not_multi_stage() {
    let shown = Shown::new();
    let head = notes(&shown, "single");
    let limits = ["--multi-stage", "require", "--dockerfile", "Dockerfile", "--accept-label", "size-ok"];
    keep("multi_stage", &shown.check(&[("notes", head, None)], &limits, 1));
}

#[test]
fn the_base_image_has_changed() {
    let shown = Shown::new();
    let dockerfile = DOCKERFILE.replace("FROM scratch\nADD rootfs.tar.xz /\n", "FROM python:3.13-slim\n");
    std::fs::write(shown.step.path("Dockerfile"), dockerfile).unwrap();
    let layers = |base: u64| {
        let mut layers = service(9_000_000);
        layers[0] = FakeLayer::gzip(&tar_of(&[Item::File("usr/lib/libc.so.6", base)]), "ADD rootfs.tar.xz /");
        let python = Item::File("usr/local/lib/libpython3.13.so", base * 4);
        layers.insert(1, FakeLayer::gzip(&tar_of(&[python]), "RUN /bin/sh -c make install # buildkit"));
        layers
    };
    let (base, head) =
        (image(&shown.step, "base", &layers(6_300_000)), image(&shown.step, "head", &layers(7_100_000)));
    // Where the base image ends is known of both only if both are measured with the Dockerfile.
    let dockerfile = ["--dockerfile", "Dockerfile"];
    let measured = shown.step.path("base.json").display().to_string();
    shown.step.run(None, &[&["inspect", &base, "-o", &measured], &dockerfile[..]].concat()).expect(0);
    let limits = ["--max-increase", "5%", "--accept-label", "size-ok", dockerfile[0], dockerfile[1]];
    keep("base_image", &shown.check(&[("api", head, Some(measured))], &limits, 1));
}

#[test]
fn two_platforms_and_an_image_of_one() {
    let shown = Shown::new();
    let both = |place: &str, amd: u64, arm: u64| {
        let images = [("linux/amd64", service(amd)), ("linux/arm64", service(arm))];
        platforms_layout(&shown.step.path(place), &images).display().to_string()
    };
    let (base, head) = (both("base", 9_000_000, 8_400_000), both("head", 9_100_000, 11_400_000));
    let worker = image(&shown.step, "worker", &service(2_000_000));
    let images = [("api", head, Some(base)), ("worker", worker.clone(), Some(worker))];
    keep("platforms", &shown.check(&images, &["--max-increase", "5%", "--platform", "all"], 1));
}

/// The pictures in the README, and the HTML that they were made of. `INSTA_UPDATE=always` makes them again, with the
/// browser; they carry the hash of that HTML.
#[test]
fn the_pictures_in_the_readme_show_what_a_comment_says_today() {
    let shown = Shown::new();
    let (base, head) = (notes(&shown, "multistage"), notes(&shown, "single"));
    let limits = ["--max-increase", "5%", "--dockerfile", "Dockerfile", "--accept-label", "size-ok"];
    let html = shown.check(&[("notes", head, Some(base))], &limits, 1).replace("DIRECTORY/", "");
    let at = |name: &str| Path::new(ROOT).join("docs/images").join(name);
    let (source, pictures) =
        (at("comment.html"), ["light", "dark"].map(|scheme| at(&format!("comment-{scheme}.png"))));
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&source, &html).unwrap();
        let mut node = Command::new("node");
        node.current_dir(Path::new(ROOT).join("web")).args(["test/picture.mjs", "760"]).arg(&source);
        Run::of(node.args(&pictures)).expect(0);
    }
    assert_eq!(std::fs::read_to_string(source).unwrap(), html, "INSTA_UPDATE=always makes new pictures");
    let hash: String = Sha256::digest(&html).iter().map(|byte| format!("{byte:02x}")).collect();
    for picture in pictures {
        let bytes = std::fs::read(&picture).unwrap();
        let carries = bytes.windows(hash.len()).any(|part| part == hash.as_bytes());
        assert!(carries, "{}: made of something else", picture.display());
        assert!(bytes.len() < 100_000, "{}: {} bytes", picture.display(), bytes.len());
    }
}
