//! The check run: a verdict on the commit, with annotations on its lines.

use std::fs;

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::json;

use crate::stores::baselines::in_run;
use crate::support::fake_github::{FakeGithub, Fault};
use crate::support::{FakeLayer, Item, Run, oci_layout, tar_of};

const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// An image of so many layers, each over the limit, and the Dockerfile that made them.
fn check(github: &FakeGithub, directory: &std::path::Path, layers: u64, limit: &str) -> Run {
    let steps: Vec<String> = (0..layers).map(|number| format!("COPY file{number} /file{number}")).collect();
    let layer = |(number, step): (usize, &String)| {
        FakeLayer::plain(&tar_of(&[Item::File(&format!("file{number}"), 1000)]), step)
    };
    let layers: Vec<FakeLayer> = steps.iter().enumerate().map(layer).collect();
    let image = format!("app={}", oci_layout(&directory.join("image"), &layers).display());
    fs::write(directory.join("Dockerfile"), format!("FROM scratch\n{}\n", steps.join("\n"))).unwrap();
    let event = json!({ "pull_request": {
        "number": 7, "head": { "sha": HEAD, "repo": { "full_name": "acme/shop" } },
        "base": { "ref": "main", "sha": "b".repeat(40), "repo": { "full_name": "acme/shop" } },
    } });
    fs::write(directory.join("event.json"), event.to_string()).unwrap();
    let mut command = in_run(github, directory, "pull_request");
    command.env("GITHUB_EVENT_PATH", directory.join("event.json")).env("LAYERGATE_STORE", "dir:store");
    command.args(["check", &image, "--max-layer-size", limit, "--check-run", "--comment", "never"]);
    Run::of(&mut command)
}

#[test]
fn it_is_on_the_head_of_the_pull_request_and_its_annotations_come_in_batches() {
    let (github, directory) = (FakeGithub::start(), tempfile::tempdir().unwrap());
    check(&github, directory.path(), 120, "500 B").expect(1);
    let runs = github.world().check_runs.clone();
    let [sent] = runs.as_slice() else { panic!("{runs:?}") };
    let first = &sent[0];
    assert_eq!((&first["head_sha"], &first["conclusion"]), (&json!(HEAD), &json!("failure")));
    assert_eq!(first["name"], "layergate");
    let title = crate::support::spaced(first["output"]["title"].as_str().unwrap());
    assert!(title.contains("app exceeds max-layer-size: a layer of"), "{title}");
    assert!(first["output"]["summary"].as_str().unwrap().contains("| `app` |"));
    let batches: Vec<usize> =
        sent.iter().map(|sent| sent["output"]["annotations"].as_array().unwrap().len()).collect();
    assert_eq!(batches, [50, 50, 20]);
    assert_paced(&github, 3);
    let line = &first["output"]["annotations"][0];
    assert_eq!((&line["path"], &line["start_line"]), (&json!("Dockerfile"), &json!(2)), "{line}");
    assert_eq!(line["annotation_level"], "failure");

    check(&github, directory.path(), 2, "5 kB").expect(0);
    assert_eq!(github.world().check_runs[1][0]["conclusion"], "success");
}

/// GitHub asks for a second between two requests that write.
pub fn assert_paced(github: &FakeGithub, writes: usize) {
    let world = github.world();
    let all = world.requests.iter().zip(&world.times);
    let times: Vec<Instant> =
        all.filter(|(asked, _)| !asked.starts_with("GET")).map(|(_, time)| *time).collect();
    assert_eq!(times.len(), writes, "{:?}", world.requests);
    let shortest = times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(shortest >= Duration::from_millis(990), "{shortest:?}");
}

#[test]
fn where_it_is_not_allowed_the_verdict_stays_what_it_is() {
    let (github, directory) = (FakeGithub::start(), tempfile::tempdir().unwrap());
    for (status, words) in [(403, "`checks: write`"), (422, "HTTP 422"), (500, "HTTP 500")] {
        for (limit, code) in [("500 B", 1), ("5 kB", 0)] {
            github.world().faults.clear();
            github.fail(Fault { method: Method::POST, path: "/check-runs", status, ..Fault::default() });
            let run = check(&github, directory.path(), 2, limit).expect(code);
            assert!(run.stderr.contains("no check run") && run.stderr.contains(words), "{}", run.stderr);
        }
    }
}
