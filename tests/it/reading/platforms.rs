//! Images of several platforms, each measured.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{FakeLayer, Item, Run, layergate, platforms_layout, run, tar_of};

fn layout(directory: &Path, platforms: &[(&str, u64)]) -> String {
    let layers = |size| vec![FakeLayer::gzip(&tar_of(&[Item::File("app", size)]), "COPY app /")];
    let images: Vec<_> = platforms.iter().map(|(platform, size)| (*platform, layers(*size))).collect();
    platforms_layout(directory, &images).display().to_string()
}

fn two_builds(directory: &Path) -> [String; 2] {
    [
        layout(&directory.join("before"), &[("linux/amd64", 1000), ("linux/arm64", 2000)]),
        layout(&directory.join("after"), &[("linux/riscv64", 4000), ("linux/amd64", 1500)]),
    ]
}

#[test]
fn each_platform_is_a_row_also_if_only_one_side_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let [before, after] = two_builds(directory.path());
    let arguments = ["diff", "--platform", "all", &before, &after];
    let report = run(&[&arguments[..], &["--format", "json"]].concat()).expect(0).json();
    let rows: Vec<Value> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            let total = |side: &str| image[side]["totals"]["uncompressed"].clone();
            json!([image["platform"], total("base"), total("head"), image["delta"]["uncompressed"]])
        })
        .collect();
    let expected = [
        json!(["linux/riscv64", null, 4000, null]),
        json!(["linux/amd64", 1000, 1500, 500]),
        json!(["linux/arm64", 2000, null, null]),
    ];
    assert_eq!(rows, expected);
    let text = run(&arguments).expect(0).stdout;
    for part in ["for linux/riscv64", "for linux/amd64", "for linux/arm64", "gone", "+500"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let markdown = run(&[&arguments[..], &["--format", "markdown"]].concat()).expect(0).stdout;
    assert!(markdown.contains("`linux/arm64`") && markdown.contains("gone"), "{markdown}");
}

#[test]
fn a_check_of_all_platforms_says_which_one_is_gone_and_judges_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let [before, after] = two_builds(directory.path());
    let git = |arguments: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.current_dir(&directory).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        Run::of(git.args(arguments)).expect(0);
    };
    git(&["init", "--quiet"]);
    git(&["commit", "--quiet", "--allow-empty", "--message", "one"]);
    let run = |command: &str, image: &str, options: &[&str]| {
        let mut layergate = layergate();
        layergate.current_dir(&directory).args([command, &format!("app={image}"), "--platform", "all"]);
        Run::of(layergate.args(options))
    };
    run("record", &before, &[]).expect(0);
    let checked = run("check", &after, &["--max-size", "2 kB", "--format", "markdown"]).expect(1);
    let table: Vec<&str> = checked.stdout.lines().filter(|line| line.contains("| `app`<br>")).collect();
    assert_eq!(
        table,
        [
            "| \u{274c} | `app`<br>`linux/riscv64` | no baseline | max-size = 2 kB | 4 kB |",
            "| \u{2705} | `app`<br>`linux/amd64` | +500 B (+50.0%) |  | 1.5 kB |",
            "| \u{2013} | `app`<br>`linux/arm64` | \u{2013} |  | gone |",
        ],
        "{}",
        checked.stdout
    );
    assert!(checked.stdout.contains("; the other image passes, 1 removed"), "{}", checked.stdout);

    let one = run("check", &after, &["--max-size", "10 kB"]).expect(0);
    assert!(one.stdout.contains("no longer has an image for linux/arm64"), "{}", one.stdout);
}

#[test]
fn a_snapshot_file_holds_one_platform() {
    let directory = tempfile::tempdir().unwrap();
    let [before, _] = two_builds(directory.path());
    let refused = run(&["inspect", &before, "--platform", "all", "-o", "x.json"]).expect(2);
    assert!(refused.stderr.contains("--platform os/arch"), "{}", refused.stderr);
    let all = run(&["inspect", &before, "--platform", "all", "--format", "json"]).expect(0).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let unknown = run(&["inspect", &before, "--platform", "amd64"]).expect(2);
    assert!(unknown.stderr.contains("os/arch"), "{}", unknown.stderr);
}
