//! The sizes of an image over its recorded commits.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::check::gate::{Checkout, image};
use crate::support::fake_github::FakeGithub;
use crate::support::open_registry::OpenRegistry;
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, tar_of};

#[test]
fn what_is_recorded_is_shown_in_every_form_and_in_the_comment() {
    let github = FakeGithub::start();
    let checkout = Checkout::new();
    for store in ["dir:store", "git"] {
        let layergate = |arguments: &[&str]| {
            let mut command = layergate();
            command.current_dir(checkout.path()).env("LAYERGATE_STORE", store).args(arguments);
            command.env("GITHUB_TOKEN", "ghs_secret-token").env("GITHUB_API_URL", &github.url);
            Run::of(command.env("GITHUB_REPOSITORY", "acme/shop"))
        };
        let none = layergate(&["history", "app"]).expect(4);
        assert!(none.stderr.contains("app is not recorded in "), "{}", none.stderr);
        let sizes = [2_000_000, 3_000_000, 3_000_000, 2_500_000];
        let commits: Vec<String> = sizes
            .iter()
            .map(|size| {
                let commit = checkout.commit(&size.to_string());
                layergate(&["record", &image(checkout.path(), "app", *size)]).expect(0);
                commit
            })
            .collect();

        let text = layergate(&["history", "app", "--last", "3"]).expect(0).stdout;
        let rows: Vec<&str> =
            text.lines().filter(|line| line.contains("MB") && line.contains("20")).collect();
        assert!(rows.len() == 3 && rows[0].contains(&commits[1][..12]), "{text}");
        assert!(rows[0].contains("3 MB    +1 MB (+50.0%)") && rows[1].contains("  0  "), "{text}");
        let bar = |row: &str| row.matches('\u{2588}').count();
        assert_eq!(rows.iter().map(|row| bar(row)).collect::<Vec<_>>(), [24, 24, 1], "{text}");

        let csv = layergate(&["history", "app", "--format", "csv"]).expect(0).stdout;
        let lines: Vec<&str> = csv.split("\r\n").collect();
        assert!(lines[1].starts_with(&format!("app,linux/amd64,{},", commits[0])), "{csv}");
        assert!(lines.len() == 6 && lines[4].contains(",2500000,2500000,0,"), "{csv}");
        let json =
            layergate(&["history", "app", "--format", "json", "--platform", "linux/amd64"]).expect(0).json();
        assert_eq!(json["schema"], "layergate.history/v1");
        assert_eq!(json["points"][3]["totals"]["uncompressed"], 2_500_000);
        assert!(json["points"][3]["time"].as_str().unwrap() > "2023-11-14T22:13:20Z");
        layergate(&["history", "app", "--platform", "linux/arm64"]).expect(4);

        let now = image(checkout.path(), "now", 2_600_000);
        let check =
            |format: &str| layergate(&["check", &now, "--max-size", "9 MB", "--format", format]).expect(0);
        let json = check("json").json();
        let trend = json["images"][0]["trend"].as_array().unwrap();
        assert!(
            trend.len() == 5 && trend[4]["commit"].is_null() && trend[4]["size"] == 2_600_000,
            "{trend:?}"
        );
        let markdown = check("markdown").stdout;
        let of = |commit: &String| format!("\"{}\"", &commit[..7]);
        let axis = commits.iter().map(of).collect::<Vec<_>>().join(", ");
        assert!(markdown.contains(&format!("    x-axis [{axis}, \"now\"]\n")), "{markdown}");
        assert!(markdown.contains("    line [2.00, 3.00, 3.00, 2.50, 2.60]\n```"), "{markdown}");
        let whole = layergate(&["history", "app", "--format", "markdown"]).expect(0).stdout;
        assert!(whole.contains("```mermaid") && whole.contains("| Commit | Date |"), "{whole}");
    }
}

/// The compressed bytes of the topmost layer of a layout.
fn top_layer(layout: &str) -> u64 {
    let layout = Path::new(layout.strip_prefix("app=").unwrap());
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = read(layout.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = read(layout.join("blobs").join(digest.replace(':', "/")));
    manifest["layers"].as_array().unwrap().last().unwrap()["size"].as_u64().unwrap()
}

#[test]
fn each_record_says_what_a_host_downloads_that_had_the_one_before_it_in_every_store() {
    let (github, registry) = (FakeGithub::start(), OpenRegistry::start());
    let checkout = Checkout::new();
    // Between the first and the third is one that is not recorded. The last one is what the third is.
    let commits = ["first", "not recorded", "third", "last"].map(|message| checkout.commit(message));
    let image = |name: &str, size| {
        let layers = [Item::File("usr/lib/base", 50_000), Item::File("app", size)];
        let layers = layers.map(|item| FakeLayer::gzip(&tar_of(&[item]), "COPY . /"));
        format!("app={}", oci_layout(&checkout.path().join(name), &layers).display())
    };
    let (one, two) = (image("one", 1000), image("two", 900_000));
    for store in ["dir:store".to_owned(), "git".to_owned(), registry.store()] {
        let layergate = |arguments: &[&str]| {
            let mut command = layergate();
            command.current_dir(checkout.path()).env("LAYERGATE_STORE", &store).args(arguments);
            command.env("GITHUB_TOKEN", "ghs_secret-token").env("GITHUB_API_URL", &github.url);
            Run::of(command.env("GITHUB_REPOSITORY", "acme/shop")).expect(0)
        };
        for (image, commit) in [(&one, &commits[0]), (&two, &commits[2]), (&two, &commits[3])] {
            layergate(&["record", image, "--commit", commit]);
        }
        // To record it once more changes nothing.
        let again = layergate(&["record", &two, "--commit", &commits[2]]);
        assert!(again.stdout.contains("already recorded"), "{}", again.stdout);
        let json = layergate(&["history", "app", "--format", "json"]).json();
        let update = |commit: &String| {
            let points = json["points"].as_array().unwrap();
            points.iter().find(|point| point["commit"] == commit.as_str()).unwrap()["update"].clone()
        };
        let bytes = top_layer(&two);
        let expected = json!({ "bytes": bytes, "classic_bytes": bytes, "estimated": false });
        assert_eq!(update(&commits[2]), expected, "{store}: {json}");
        assert_eq!(update(&commits[3])["bytes"], 0, "{store}: {json}");
        assert!(update(&commits[0]).is_null(), "{store}: {json}");
        let csv = layergate(&["history", "app", "--format", "csv"]).stdout;
        assert!(csv.lines().next().unwrap().ends_with(",update,update_classic,update_estimated"), "{csv}");
        let ends = format!(",{bytes},{bytes},false");
        assert!(csv.lines().any(|line| line.contains(&commits[2]) && line.ends_with(&ends)), "{csv}");
        let shown = layergate(&["history", "app", "--bytes"]).stdout;
        let row = shown.lines().find(|line| line.contains(&commits[2][..12])).unwrap();
        assert!(row.contains(&format!("  {} B  ", grouped(bytes))), "{shown}");
        let html = layergate(&["history", "app", "--format", "html"]).stdout;
        assert!(html.contains(&format!("\"update\":{{\"bytes\":{bytes},")), "{store}");
    }
    // The smallest size that the configuration or one that it extends allows is a line of the page.
    let write = |name: &str, text: &str| std::fs::write(checkout.path().join(name), text).unwrap();
    write("layergate.toml", "extends = \"central.toml\"\n[limits]\nmax-size = \"9 MB\"\n");
    write("central.toml", "[limits]\nmax-size = \"8 MB\"\n");
    let mut command = layergate();
    command.current_dir(checkout.path()).args(["history", "app", "--store", "dir:store", "--format", "html"]);
    let html = Run::of(&mut command).expect(0).stdout;
    assert!(html.contains("\"maxSize\":8000000"));
}

/// `1,234`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let (first, rest) = digits.split_at(digits.len().saturating_sub(3));
    if first.is_empty() { rest.to_owned() } else { format!("{first},{rest}") }
}
