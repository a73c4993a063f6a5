//! The sizes of an image over its recorded commits.

use crate::check::gate::{Checkout, image};
use crate::support::fake_github::FakeGithub;
use crate::support::{Run, layergate};

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
        assert!(json["points"][3]["time"].as_i64().unwrap() > 1_700_000_000);
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
