//! What outputs say where images differ in what they are measured by or called, and that none overwrites another.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use layergate::cli::Cli;
use serde_json::Value;

use crate::project::reference::report_files;
use crate::support::{FakeLayer, Item, Run, fixture, layergate, oci_layout, spaced, tar_of};

/// An image of these layers, as an OCI layout in a directory of that name.
fn image(directory: &Path, name: &str, layers: &[&[Item<'_>]]) {
    let layer = |(index, items): (usize, &&[Item<'_>])| {
        FakeLayer::plain(&tar_of(items), &format!("RUN /bin/sh -c step{index} # buildkit"))
    };
    let layers: Vec<FakeLayer> = layers.iter().enumerate().map(layer).collect();
    oci_layout(&directory.join(name), &layers);
}

fn at(directory: &Path, arguments: &[&str]) -> Run {
    Run::of(layergate().current_dir(directory).args(arguments))
}

#[test]
fn sizes_in_several_metrics_have_their_metric_beside_them_and_no_sum() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let files: &[Item<'_>] = &[Item::File("a", 100_000)];
    for name in ["one", "two"] {
        image(directory, name, &[files, files]);
    }
    let check = |config: &str, more: &[&str]| {
        fs::write(directory.join("layergate.toml"), config).unwrap();
        let images = ["check", "one", "two", "--max-size", "9 GB", "--baseline", "one=one"];
        let output = directory.join("output");
        let _ = fs::remove_file(&output);
        let mut command = layergate();
        command.current_dir(directory).args(images).args(["--baseline", "two=two"]).args(more);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", &output).env("RUNNER_TEMP", directory);
        let run = Run::of(&mut command).expect(0);
        // A value stands between two lines of its delimiter.
        let text = fs::read_to_string(output).unwrap();
        let (_, size) = text.split_once("\nsize<<").unwrap();
        (run, size.lines().nth(1).unwrap().to_owned())
    };
    let badge = || {
        let text = fs::read_to_string(directory.join("badge.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["message"].as_str().unwrap().to_owned()
    };
    let more = ["--badge", "badge.json", "--format", "markdown", "--html", "page.html"];
    let (same, size) = check("", &more);
    assert!(spaced(&badge()).ends_with("400 kB"), "{}", badge());
    assert_eq!(size, "400000");
    assert!(same.stdout.contains("uncompressed size \u{b7}"), "{}", same.stdout);

    let (mixed, size) = check("[images.one]\nmetric = \"flattened\"\n", &more);
    let said = spaced(&mixed.stdout);
    assert_eq!(badge(), "pass");
    assert_eq!(size, "");
    assert!(said.contains("| 100 kB flattened |") && said.contains("| 200 kB uncompressed |"), "{said}");
    assert!(!said.contains("flattened size") && !said.contains("uncompressed size"), "{said}");
    assert!(!said.contains("300 kB"), "no sum: {said}");
}

#[test]
fn a_page_of_two_tags_says_which_is_which() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (place, size) in [("old/app", 100_000), ("new/app", 200_000)] {
        image(directory, place, &[&[Item::File("a", size)]]);
    }
    at(directory, &["diff", "old/app", "new/app", "--html", "page.html"]).expect(0);
    let page = fs::read_to_string(directory.join("page.html")).unwrap();
    assert!(page.contains("<title>old/app \u{2192} new/app: 200"), "{}", &page[..600]);
    assert!(page.contains("Compared with old/app"));

    // Of one name each, they are told apart by what was asked for.
    let engine = format!("app=inspect:{}", fixture("engines/docker-20.10/edge-v1.inspect.json"));
    let arguments = ["check", &engine, "--baseline", "app=old/app", "--max-increase", "1%"];
    let said = at(directory, &arguments);
    let said = said.stdout + &said.stderr;
    assert!(said.contains("`old/app` and `inspect:") && !said.contains("`app` and `app`"), "{said}");
}

#[test]
fn headlines_say_a_size_that_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    image(directory, "app", &[&[Item::File("a", 100_000)]]);
    let limits = ["--metric", "update", "--max-size", "9 GB"];
    // What a save holds says nothing of what a registry would send.
    at(directory, &["inspect", "app", "-o", "app.json"]).expect(0);
    let text = fs::read_to_string(directory.join("app.json")).unwrap();
    let mut snapshot: Value = serde_json::from_str(&text).unwrap();
    snapshot["totals"]["compressed"] = Value::Null;
    for layer in snapshot["layers"].as_array_mut().unwrap() {
        layer["compressed"] = Value::Null;
    }
    fs::write(directory.join("app.json"), snapshot.to_string()).unwrap();
    let run =
        at(directory, &[&["check", "app=snapshot:app.json", "--max-layers", "9"], &limits[..2]].concat());
    assert!(!run.stdout.contains("unknown in size"), "{}{}", run.stdout, run.stderr);
    assert!(spaced(&run.stdout).contains("is 100 kB uncompressed"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn one_file_is_written_for_one_output_and_none_over_an_image() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let archive = fixture("demo/web-v1.tar");
    fs::copy(&archive, directory.join("web.tar")).unwrap();
    fs::write(directory.join("saved.json"), "{}").unwrap();
    for (arguments, named) in [
        (
            vec!["check", "web.tar", "--max-size", "9 GB", "--html", "x", "--sarif", "./x"],
            ["--html x", "--sarif ./x"],
        ),
        (
            vec!["check", "web.tar", "--max-size", "9 GB", "--report", "x", "--badge", "x"],
            ["--report x", "--badge x"],
        ),
        (vec!["inspect", "web.tar", "--html", "x", "-o", "x"], ["--output x", "--html x"]),
        (vec!["inspect", "web.tar", "--html", "web.tar"], ["--html web.tar", "the input web.tar"]),
        (
            vec!["inspect", "web=docker-archive:web.tar", "-o", "./web.tar"],
            ["--output ./web.tar", "the input "],
        ),
        (vec!["diff", "web.tar", "web.tar", "--html", "web.tar"], ["--html web.tar", "the input "]),
        (
            vec!["check", "web.tar", "--max-size", "9 GB", "--baseline", "web=web.tar", "--junit", "web.tar"],
            ["--junit web.tar", "the input "],
        ),
        (vec!["report", "saved.json", "--html", "saved.json"], ["--html saved.json", "the input "]),
    ] {
        let run = at(directory, &arguments).expect(2);
        assert!(named.iter().all(|named| run.stderr.contains(named)), "{arguments:?}: {}", run.stderr);
        assert!(!directory.join("x").exists() && run.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!(fs::read(directory.join("web.tar")).unwrap(), fs::read(archive).unwrap());
}

#[test]
fn no_file_of_a_report_is_written_over_what_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let read = ["web.tar", "saved.json"].map(|name| directory.join(name));
    fs::copy(fixture("demo/web-v1.tar"), &read[0]).unwrap();
    fs::write(&read[1], "{}").unwrap();
    let before = read.each_ref().map(|path| fs::read(path).unwrap());
    let program = Cli::command();
    for (command, file) in [("check", "web.tar"), ("report", "saved.json")] {
        let options = report_files(program.find_subcommand(command).unwrap());
        let options: Vec<String> =
            options.map(|option| format!("--{}", option.get_long().unwrap())).collect();
        assert!(options.len() > 5, "{options:?}");
        for option in options {
            let run = at(directory, &[command, file, &option, file]).expect(2);
            assert!(run.stderr.contains("would overwrite the input"), "{option}: {}", run.stderr);
        }
    }
    assert_eq!(read.map(|path| fs::read(path).unwrap()), before);
}

#[test]
fn what_a_finding_quotes_is_code_that_copies_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    image(directory, "app", &[&[Item::File("srv/#12", 1000)]]);
    let markdown = |path: &str| {
        let arguments = ["check", "app", "--forbid-paths", path, "--max-layers", "9", "--format", "markdown"];
        at(directory, &arguments).expect(1).stdout
    };
    let said = markdown("srv/*");
    assert!(said.contains("`/srv/#12` must not be in the image (`srv/*`)"), "{said}");
    assert!(!said.contains("&#96;") && !said.contains('\u{200b}'), "{said}");
}

#[test]
fn a_baseline_without_the_platform_is_told_with_what_to_name() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    image(directory, "app", &[&[Item::File("a", 1000)]]);
    at(directory, &["inspect", "app", "-o", "app.json"]).expect(0);
    let text = fs::read_to_string(directory.join("app.json")).unwrap();
    let mut snapshot: Value = serde_json::from_str(&text).unwrap();
    snapshot["image"]["platform"] = "linux/riscv64".into();
    fs::write(directory.join("other.json"), snapshot.to_string()).unwrap();
    let arguments = ["check", "app", "--baseline", "app=snapshot:other.json", "--max-increase", "1%"];
    let run = at(directory, &arguments);
    assert!(!run.stdout.contains("NAME=IMAGE"), "{}", run.stdout);
    assert!(run.stdout.contains("pass --baseline app=IMAGE with one that has linux/amd64"), "{}", run.stdout);
}
