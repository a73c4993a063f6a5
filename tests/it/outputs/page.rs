//! The HTML report in a browser.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{Cost, FakeLayer, Item, Run, configured_layout, layergate, oci_layout, skip, tar_of};

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web");

/// What would be markup, a script, a request, or hide what follows.
const UNTRUSTED: &str =
    "</script><script>window.hacked=1<∕script><img src=x onerror=window.hacked=1>\u{202e}\u{7}&amp;'\"`\\";

fn has_browser() -> bool {
    let found = std::env::var_os("LAYERGATE_TEST_BROWSER").is_some_and(|path| !path.is_empty());
    if !found {
        skip("the HTML report in a browser", "no browser was found");
    }
    found
}

/// The text of pages in a browser, one after the other.
#[track_caller]
fn opened(pages: &[&Path]) -> String {
    let mut node = Command::new("node");
    Run::of(node.current_dir(WEB).arg("test/open.mjs").args(pages)).expect(0).stdout
}

/// `web/package.json` has the steps: types, the checked-in page against its source, the page in a browser.
#[test]
#[ignore = "needs a browser: tests/run"]
fn the_page_is_what_its_source_makes_and_works_in_a_browser() {
    if has_browser() {
        let mut npm = Command::new("npm");
        Run::of(npm.current_dir(WEB).args(["run", "--silent", "check"])).expect(0);
    }
}

fn layout(directory: &Path, name: &str, files: &[(&str, u64)]) -> PathBuf {
    let items: Vec<Item<'_>> = files.iter().map(|(path, size)| Item::File(path, *size)).collect();
    let base = FakeLayer::gzip(&tar_of(&[Item::File("etc/os-release", 300)]), "ADD rootfs.tar /");
    oci_layout(&directory.join(name), &[base, FakeLayer::gzip(&tar_of(&items), "RUN make install")])
}

#[test]
#[ignore = "needs a browser: tests/run"]
fn pages_of_real_images_open_in_a_browser_and_say_what_changed() {
    if !has_browser() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    layout(directory.path(), "one", &[("opt/app/main", 40_000), ("opt/app/gone", 7_000)]);
    layout(directory.path(), "two", &[("opt/app/main", 40_000), ("opt/app/data.bin", 1_250_000)]);
    let run = |arguments: &[&str]| Run::of(layergate().current_dir(directory.path()).args(arguments));
    run(&["inspect", "api=two", "--html", "inspect.html"]).expect(0);
    run(&["diff", "one", "two", "--html", "diff.html"]).expect(0);
    run(&[
        "check",
        "api=two",
        "--baseline",
        "api=one",
        "--max-increase",
        "1%",
        "--html",
        "check.html",
        "--report",
        "report.json",
    ])
    .expect(1);
    run(&["report", "report.json", "--html", "report.html"]).expect(1);
    let pages = ["inspect.html", "diff.html", "check.html", "report.html"].map(at);
    let text = opened(&pages.each_ref().map(PathBuf::as_path));
    let pages: Vec<&str> = text.split("== ").skip(1).collect();
    let [inspect, diff, check, report] = pages.as_slice() else { panic!("{text}") };
    for page in [inspect, diff, check] {
        assert!(page.contains("data.bin") && page.contains("RUN make install"), "{page}");
    }
    assert!(inspect.contains("Largest in /") && diff.contains("Largest changes in /"), "{text}");
    for page in [diff, check, report] {
        assert!(page.contains("Why it grew") && page.contains("+1.24 MB"), "{page}");
    }
    for page in [check, report] {
        assert!(page.contains("Fail") && page.contains("max-increase"), "{page}");
    }
    assert!(
        report.contains("A saved report has no file lists") && !report.contains("data.bin\n"),
        "{report}"
    );
}

#[test]
#[ignore = "needs a browser: tests/run"]
fn no_name_of_an_image_becomes_markup_of_its_page() {
    if !has_browser() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (file, folder) = (format!("{UNTRUSTED}/{UNTRUSTED}"), format!("opt/{UNTRUSTED}x"));
    let tar = tar_of(&[Item::File(&file, 900_000), Item::File(&folder, 70_000)]);
    let layer = FakeLayer::gzip(&tar, &format!("RUN {UNTRUSTED}"));
    configured_layout(&directory.path().join("bad"), &[layer], |config| {
        config["config"]["Labels"] = serde_json::json!({ UNTRUSTED: UNTRUSTED });
    });
    let page = directory.path().join("page.html");
    let mut command = layergate();
    command.current_dir(directory.path()).args(["inspect", "bad", "--html"]).arg(&page);
    Run::of(&mut command).expect(0);
    let text = opened(&[&page]);
    assert!(text.contains("</script><script>window.hacked=1"), "{text}");
    assert!(!text.contains('\u{202e}') && !text.contains('\u{7}'), "{text}");
}

/// At most 1 MB, in less than 0.3 s beyond what reading takes.
#[test]
fn a_page_of_thirty_thousand_files_is_small_and_quick() {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<String> = (0..30_000)
        .map(|index| format!("usr/lib/package{}/module{}/file-{index}.py", index / 120, index / 12))
        .collect();
    let items: Vec<Item<'_>> = paths.iter().map(|path| Item::File(path, 3)).collect();
    oci_layout(&directory.path().join("many"), &[FakeLayer::plain(&tar_of(&items), "COPY . /usr/lib")]);
    let (many, page) = (directory.path().join("many"), directory.path().join("page.html"));
    let (many, shown) = (many.display().to_string(), page.display().to_string());
    let timed = |arguments: &[&str]| {
        Cost::of(&[&["inspect", &many, "--format", "json", "--no-cache"], arguments].concat(), 0).work
    };
    // The best of some: whatever else the machine does takes no time off.
    let best = |arguments: &[&str]| (0..3).map(|_| timed(arguments)).min().unwrap_or_default();
    let (with, without) = (best(&["--html", &shown]), best(&[]));
    let size = page.metadata().unwrap().len();
    assert!(size < 1_000_000, "{size} bytes");
    assert!(
        with.saturating_sub(without) < Duration::from_millis(300) * DEBUG,
        "{with:?} and {without:?} without"
    );
}

/// How much longer a program takes that is built without optimisation.
const DEBUG: u32 = 5;
