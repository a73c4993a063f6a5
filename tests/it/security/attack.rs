//! Ways past the gate that somebody has looked for who did not know it: each was one until it got its test here.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use axum::http::Method;
use serde_json::{Value, json};

use crate::security::trust::{Change, LAX, MAX, commit, write};
use crate::support::fake_github::{BOT, Fault, pull_request};
use crate::support::github_documents::PullRequest;
use crate::support::{Blobs, FakeLayer, Item, Run, config_of, configured_layout, layergate, tar_of};

/// Makes a change's own commit again, after something else was done to its files.
fn again(change: Change) -> Change {
    let checkout = &change.checkout;
    checkout.git(&["checkout", "--quiet", "change"]);
    Change { head: commit(checkout, "change again"), ..change }.merged()
}

impl Change {
    /// Merges the change anew into its target to try it out, and pushes all that.
    fn merged(mut self) -> Change {
        self.checkout.git(&["checkout", "--quiet", "--detach", "main"]);
        self.checkout.git(&["merge", "--quiet", "--no-ff", "--message", "test merge", "change"]);
        self.push(&["main", "change", "HEAD:refs/pull/7/merge"]);
        self.payload["pull_request"]["head"]["sha"] = json!(self.head);
        self
    }
}

#[test]
fn a_link_on_the_way_to_the_configuration_leads_to_no_other_file() {
    // A required workflow is of another repository, so `.github` can be anything in the pull request.
    for (file, named) in [(".github/layergate.toml", None), ("ci/layergate.toml", Some("ci/layergate.toml"))]
    {
        let change = Change::new(&[(file, MAX)], &[("evil/layergate.toml", LAX), (file, "")]);
        change.checkout.git(&["checkout", "--quiet", "change"]);
        let directory = change.checkout.path().join(file.split('/').next().unwrap());
        let _ = fs::remove_dir_all(&directory);
        symlink("evil", &directory).unwrap();
        let change = again(change);
        let more: Vec<&str> = named.iter().flat_map(|named| ["--config", named]).collect();
        let run = change.check(&more).expect(if named.is_some() { 2 } else { 1 });
        assert_eq!(run.stderr.contains("ci is a committed link"), named.is_some(), "{}", run.stderr);
    }
}

#[test]
fn a_tag_goes_by_the_default_branch() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    change.checkout.git(&["checkout", "--quiet", "change"]);
    let payload = json!({
        "before": change.base, "after": change.head, "repository": { "default_branch": "main" },
    });
    let mut change = Change { payload, ..change };
    for event in ["push", "workflow_dispatch", "release", "create"] {
        change.event = event;
        let tagged = |is_protected: &str| {
            let mut command = change.command(&["check", &change.image(120_000), "--no-cache"]);
            command.env("GITHUB_REF", "refs/tags/v1").env("GITHUB_REF_PROTECTED", is_protected);
            Run::of(&mut command)
        };
        tagged("false").expect(1);
        tagged("true").expect(0);
    }
}

#[test]
fn a_run_that_follows_a_push_goes_by_the_default_branch() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    change.checkout.git(&["checkout", "--quiet", "change"]);
    let payload = json!({ "repository": { "default_branch": "main" }, "workflow_run": {
        "id": 500, "run_attempt": 1, "event": "push", "head_sha": change.head, "head_branch": "change",
        "head_repository": { "full_name": "acme/shop" },
    } });
    let mut change = Change { event: "workflow_run", payload, ..change };
    let check = |change: &Change| {
        let mut command = change.command(&["check", &change.image(120_000), "--no-cache"]);
        Run::of(command.env("GITHUB_REF", "refs/heads/main"))
    };
    check(&change).expect(1);
    change.payload["workflow_run"]["head_branch"] = json!("main");
    change.payload["workflow_run"]["head_repository"]["full_name"] = json!("mallory/shop");
    check(&change).expect(1);
    change.payload["workflow_run"]["head_repository"]["full_name"] = json!("acme/shop");
    check(&change).expect(0);
}

/// Whoever may push can open a pull request to a branch of their own, and the check of the push counts for every other one.
#[test]
fn a_pull_request_to_a_branch_of_ones_own_sets_no_limits_for_a_push() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    change.checkout.git(&["checkout", "--quiet", "-b", "lax", "main"]);
    write(change.checkout.path(), &[("layergate.toml", LAX)]);
    commit(&change.checkout, "lax");
    change.push(&["lax"]);
    change.checkout.git(&["checkout", "--quiet", "change"]);
    let payload = json!({
        "before": change.base, "after": change.head, "repository": { "default_branch": "main" },
    });
    let change = Change { event: "push", payload, ..change };
    let pull = |number: u64, base: &str| PullRequest {
        base: base.into(),
        ..pull_request(number, ("acme/shop", "change", &change.head), &change.base)
    };
    for pulls in [vec![pull(7, "lax")], vec![pull(7, "lax"), pull(8, "main")], vec![pull(8, "main")]] {
        change.github.world().pulls = pulls;
        let mut command =
            change.command(&["check", &change.image(120_000), "--no-cache", "--comment-on-push"]);
        command.env("GITHUB_REF", "refs/heads/change").env("GITHUB_SHA", &change.head);
        Run::of(&mut command).expect(1);
    }
}

/// A deployment of a commit has no branch, and its check belongs to that commit as well.
#[test]
fn a_run_of_no_branch_goes_by_the_default_branch() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    change.checkout.git(&["checkout", "--quiet", "change"]);
    let payload = json!({ "deployment": { "sha": change.head }, "repository": { "default_branch": "main" } });
    let change = Change { event: "deployment", payload, ..change };
    for reference in ["", "refs/heads/change"] {
        let mut command = change.command(&["check", &change.image(120_000), "--no-cache"]);
        Run::of(command.env("GITHUB_REF", reference)).expect(1);
    }
}

#[test]
fn an_artifact_that_looks_like_a_checkout_runs_nothing() {
    let change = Change::new(&[("layergate.toml", MAX)], &[]);
    let reports = tempfile::tempdir().unwrap();
    let report = reports.path().join("reports/report.json").display().to_string();
    change.check(&["--report", &report, "--comment", "never"]).expect(1);
    let evil = reports.path().join("evil");
    let ran = reports.path().join("ran");
    fs::write(&evil, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let hook = evil.display().to_string();
    for place in [reports.path().to_path_buf(), reports.path().join("reports")] {
        let git = |arguments: &[&str]| {
            Run::of(Command::new("git").arg("-C").arg(&place).args(arguments)).expect(0);
        };
        git(&["init", "--quiet"]);
        git(&["config", "core.fsmonitor", &hook]);
        git(&["config", "extensions.partialClone", "origin"]);
        git(&["config", "remote.origin.promisor", "true"]);
        git(&["config", "remote.origin.url", &format!("ext::{hook}")]);
        git(&["config", "protocol.ext.allow", "always"]);
        fs::write(place.join(".git/HEAD"), format!("{}\n", "1".repeat(40))).unwrap();
        for name in ["post-index-change", "reference-transaction"] {
            fs::copy(&evil, place.join(".git/hooks").join(name)).unwrap();
        }
    }
    let _ = fs::remove_file(&ran);
    let pull = pull_request(7, ("mallory/shop", "change", &change.head), &change.base);
    change.github.world().pulls = vec![pull];
    change.github.world().files = vec![("main", "layergate.toml", MAX)];
    let payload = json!({ "workflow_run": {
        "id": 500, "run_attempt": 1, "event": "pull_request", "head_sha": change.head, "head_branch": "change",
        "head_repository": { "full_name": "mallory/shop" },
    } });
    let change = Change { event: "workflow_run", payload, ..change };
    let mut command = change.command(&["report", "reports", "--check-run"]);
    command.current_dir(reports.path()).env("GITHUB_WORKSPACE", reports.path());
    let run = Run::of(command.env("GITHUB_REF", "refs/heads/main"));
    assert!(!ran.exists(), "{} {}", run.stdout, run.stderr);
    // It is a report like any other.
    let run = run.expect(1);
    assert!(run.stdout.contains("over the limit of 110 kB"), "{} {}", run.stdout, run.stderr);
}

#[test]
fn a_label_of_an_old_event_does_not_count_when_the_run_is_started_again() {
    let mut change = Change::new(&[], &[]);
    change.payload["pull_request"]["labels"] = json!([{ "name": "size-ok" }]);
    let limits = change.elsewhere.path().join("limits.toml").display().to_string();
    fs::write(&limits, MAX).unwrap();
    let attempt = |number: &str| {
        let image = change.image(120_000);
        let arguments = ["check", &image, "--no-cache", "--config", &limits, "--accept-label", "size-ok"];
        let mut command = change.command(&arguments);
        Run::of(
            command.env_remove("GITHUB_TOKEN").env("GITHUB_RUN_ID", "5").env("GITHUB_RUN_ATTEMPT", number),
        )
    };
    attempt("1").expect(0);
    attempt("2").expect(1);
}

#[test]
fn a_committed_file_is_no_baseline_where_there_is_no_git_either() {
    let change = Change::new(&[], &[]);
    let large = change.image(120_000);
    let baseline = change.checkout.path().join("large.json").display().to_string();
    Run::of(layergate().args(["inspect", large.strip_prefix("app=").unwrap(), "-o", &baseline])).expect(0);
    commit(&change.checkout, "baseline");
    let check = |path: &str| {
        let arguments = ["check", &large, "--max-increase", "1%", "--baseline", "large.json", "--no-cache"];
        Run::of(change.command(&arguments).env("PATH", path))
    };
    let refused = check("/nonexistent").expect(2);
    assert!(refused.stderr.contains("without git it is unknown which files"), "{}", refused.stderr);
}

#[test]
fn a_checkout_of_the_fork_is_the_pull_requests() {
    let mut change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    change.payload["pull_request"]["head"]["repo"]["full_name"] = json!("mallory/shop");
    // `actions/checkout` with the fork's repository, into a directory of its own.
    let fork = change.checkout.path().join("theirs");
    let from = change.github.repository().path().display().to_string();
    let path = fork.display().to_string();
    Run::of(Command::new("git").args(["clone", "--quiet", "--branch", "change", &from, &path])).expect(0);
    let origin = "https://github.com/mallory/shop";
    Run::of(Command::new("git").args(["-C", &path, "remote", "set-url", "origin", origin])).expect(0);
    let run = change.check(&["--config", "theirs/layergate.toml"]);
    assert_eq!(run.code, 1, "{} {}", run.stdout, run.stderr);
}

fn two_images(directory: &Path, mark: impl Fn(&mut Value)) -> String {
    let blobs = Blobs::at(directory);
    let small = FakeLayer::gzip(&tar_of(&[Item::File("a", 1_000)]), "COPY a /");
    let large = FakeLayer::gzip(&tar_of(&[Item::File("a", 120_000)]), "COPY a /");
    let platform = json!({ "os": "linux", "architecture": "amd64" });
    let mut first = blobs.put_image(&[large], "linux/amd64");
    first["platform"] = platform.clone();
    mark(&mut first);
    let mut second = blobs.put_image(&[small], "linux/amd64");
    second["platform"] = platform;
    let index = json!({ "schemaVersion": 2, "manifests": [first, second] });
    let index = blobs.put(index.to_string().as_bytes(), "application/vnd.oci.image.index.v1+json");
    format!("app={}", blobs.finish(&json!([index])).display())
}

#[test]
fn an_image_hides_behind_no_mark_that_engines_pass_by() {
    let change = Change::new(&[("layergate.toml", MAX)], &[]);
    let check = |image: &str| Run::of(&mut change.command(&["check", image, "--no-cache"]));
    for (number, mark) in [
        json!({ "annotations": { "vnd.docker.reference.type": "attestation-manifest" } }),
        json!({ "artifactType": "application/spdx+json" }),
        json!({ "platform": { "os": "linux", "architecture": "amd64", "os.features": ["x"] } }),
        json!({ "platform": { "os": "linux", "architecture": "amd64", "os.version": "1" } }),
        json!({}),
    ]
    .into_iter()
    .enumerate()
    {
        let image = two_images(&change.elsewhere.path().join(format!("index-{number}")), |entry| {
            for (key, value) in mark.as_object().unwrap() {
                entry[key] = value.clone();
            }
        });
        let run = check(&image);
        assert_ne!(run.code, 0, "{mark}: {} {}", run.stdout, run.stderr);
    }
    // What the manifest says itself.
    for (number, (key, value)) in
        [("artifactType", json!("application/spdx+json")), ("subject", Value::Null)].into_iter().enumerate()
    {
        let blobs = Blobs::at(&change.elsewhere.path().join(format!("own-{number}")));
        let small = FakeLayer::gzip(&tar_of(&[Item::File("a", 1_000)]), "COPY a /");
        let large = FakeLayer::gzip(&tar_of(&[Item::File("a", 120_000)]), "COPY a /");
        let platform = json!({ "os": "linux", "architecture": "amd64" });
        let mut second = blobs.put_image(&[small], "linux/amd64");
        let config = blobs.put(
            config_of(std::slice::from_ref(&large), "linux/amd64").to_string().as_bytes(),
            "application/vnd.oci.image.config.v1+json",
        );
        let layer = blobs.put(&large.blob, &large.media_type);
        let mut manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        manifest[key] = if value.is_null() { second.clone() } else { value };
        let mut first =
            blobs.put(manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
        first["platform"] = platform.clone();
        second["platform"] = platform;
        let index = json!({ "schemaVersion": 2, "manifests": [first, second] });
        let index = blobs.put(index.to_string().as_bytes(), "application/vnd.oci.image.index.v1+json");
        let image = format!("app={}", blobs.finish(&json!([index])).display());
        let run = check(&image);
        assert_ne!(run.code, 0, "{key}: {} {}", run.stdout, run.stderr);
    }
}

/// Engines read keys as Go does: whatever case they are in.
#[test]
fn an_image_hides_behind_no_spelling_of_a_key() {
    let change = Change::new(&[("layergate.toml", MAX)], &[]);
    let layers = [1_000, 120_000].map(|size| FakeLayer::gzip(&tar_of(&[Item::File("a", size)]), "COPY a /"));
    for (number, (ids, list, code)) in [
        ("\"diff_ids\":SMALL,\"Diff_IDs\":LARGE", "\"layers\":SMALL,\"Layers\":LARGE", 3),
        ("\"diff_ids\":SMALL,\"diff_id\u{17f}\":LARGE", "\"layers\":SMALL,\"layer\u{17f}\":LARGE", 3),
        ("\"DIFF_IDS\":LARGE", "\"lAYERS\":LARGE", 1),
        ("\"diff_ids\":SMALL", "\"layers\":SMALL", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let blobs = Blobs::at(&change.elsewhere.path().join(format!("keys-{number}")));
        let fill = |text: &str, of: &dyn Fn(&FakeLayer) -> Value| {
            let [small, large] = layers.each_ref().map(|layer| json!([of(layer)]).to_string());
            text.replace("SMALL", &small).replace("LARGE", &large)
        };
        let ids = fill(ids, &|layer| json!(layer.diff_id));
        let config = format!(r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers",{ids}}}}}"#);
        let config = blobs.put(config.as_bytes(), "application/vnd.oci.image.config.v1+json");
        let list = fill(list, &|layer| blobs.put(&layer.blob, &layer.media_type));
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},{list}}}"#);
        let manifest = blobs.put(manifest.as_bytes(), "application/vnd.oci.image.manifest.v1+json");
        let image = format!("app={}", blobs.finish(&json!([manifest])).display());
        Run::of(&mut change.command(&["check", &image, "--no-cache"])).expect(code);
    }
}

/// Docker's classic store goes by `manifest.json`, and that of containerd by `index.json`.
#[test]
fn an_archive_does_not_name_one_image_here_and_another_there() {
    let change = Change::new(&[("layergate.toml", MAX)], &[]);
    let layers = [1_000, 120_000].map(|size| FakeLayer::plain(&tar_of(&[Item::File("a", size)]), "COPY a /"));
    for (number, saved, code) in [(0, 0, 0), (0, 1, 3), (1, 1, 1)] {
        let root = change.elsewhere.path().join(format!("{number}-{saved}"));
        let blobs = Blobs::at(&root);
        let mut listed = Value::Null;
        for (at, layer) in layers.iter().enumerate() {
            let one = blobs.put_image(std::slice::from_ref(layer), "linux/amd64");
            listed = if at == number { one } else { listed };
        }
        let config = config_of(std::slice::from_ref(&layers[saved]), "linux/amd64");
        let blob =
            |descriptor: Value| format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"));
        let config = blob(blobs.put(config.to_string().as_bytes(), ""));
        let layer = blob(blobs.put(&layers[saved].blob, ""));
        let saved = json!([{ "Config": config, "RepoTags": ["app:1"], "Layers": [layer] }]);
        let layout = blobs.finish(&json!([listed]));
        fs::write(layout.join("manifest.json"), saved.to_string()).unwrap();
        let archive = root.with_extension("tar");
        Run::of(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&layout).arg(".")).expect(0);
        let image = format!("app={}", archive.display());
        Run::of(&mut change.command(&["check", &image, "--no-cache"])).expect(code);
    }
}

#[test]
fn a_committed_file_takes_the_place_of_no_image() {
    let small = tempfile::tempdir().unwrap();
    let snapshot = small.path().join("small.json").display().to_string();
    let image = crate::check::gate::image(small.path(), "small", 1_000);
    Run::of(layergate().args(["inspect", image.split_once('=').unwrap().1, "-o", &snapshot])).expect(0);
    let text = fs::read_to_string(&snapshot).unwrap();
    let name = "registry.example:5000/acme/app:ci";
    let change =
        Change::new(&[("layergate.toml", MAX)], &[(name, &text), ("app", &text), ("out/app.tar:app", &text)]);
    let built = change.checkout.path().join("out/app.tar");
    fs::create_dir_all(built.parent().unwrap()).unwrap();
    fs::write(&built, "").unwrap();
    let check = |image: &str| Run::of(&mut change.command(&["check", &format!("app={image}"), "--no-cache"]));
    for image in [name, "app", "docker-archive:out/app.tar:app"] {
        let refused = check(image).expect(2);
        for part in [image, "git tracks"] {
            assert!(refused.stderr.contains(part), "{image}: {}", refused.stderr);
        }
    }
    // Nor is it recorded.
    let record = ["record", "app=app", "--allow-pull-request", "--allow-dirty"];
    assert!(Run::of(&mut change.command(&record)).expect(2).stderr.contains("docker-daemon:app"));
    // What is named as a file is one, and what the job itself has made is no pull request's. A directory of sources is
    // no image, unless it looks like one.
    check("./app").expect(0);
    fs::create_dir(change.checkout.path().join("web")).unwrap();
    assert!(check("web").expect(3).stderr.contains("engine at"));
    for name in ["web/index.json", "web/manifest.json"] {
        fs::write(change.checkout.path().join(name), "{}").unwrap();
        change.checkout.git(&["add", name]);
        assert!(check("web").expect(2).stderr.contains("git tracks"));
        change.checkout.git(&["rm", "-f", name]);
        fs::create_dir_all(change.checkout.path().join("web")).unwrap();
    }
    fs::copy(&snapshot, change.checkout.path().join("made")).unwrap();
    check("made").expect(0);
}

#[test]
fn a_committed_cache_says_nothing_of_an_image() {
    let large = tempfile::tempdir().unwrap();
    let layer = FakeLayer::gzip(&tar_of(&[Item::File("a", 120_000)]), "COPY a /");
    let image =
        format!("app={}", configured_layout(large.path(), std::slice::from_ref(&layer), |_| {}).display());
    let hex = layer.diff_id.trim_start_matches("sha256:");
    let entry = format!("cache/v1/layers/{}/{hex}.json.zst", &hex[..2]);
    let change = Change::new(&[("layergate.toml", MAX)], &[]);
    let diff_id = layergate::image::DiffId::parse(&layer.diff_id).unwrap();
    let path = layergate::image::LayerPath::clean(b"a");
    let entries = vec![layergate::image::Entry::File(path, layergate::image::Bytes(100_000))];
    let list = layergate::image::FileList { entries, marks: Some(Vec::new()), ..Default::default() };
    let file = change.checkout.path().join(&entry);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, layergate::layer::packed::pack(&diff_id, &list).unwrap()).unwrap();
    let check = || Run::of(&mut change.command(&["check", &image, "--cache-dir", "cache"]));
    // What is there is believed.
    check().expect(0);
    commit(&change.checkout, "cache");
    let checked = check().expect(1);
    assert!(
        checked.stderr.contains("the cache cache is not used: git tracks cache/v1"),
        "{}",
        checked.stderr
    );
}

/// What an image says of its variant, and of the version of its system, is its author's word.
#[test]
fn an_image_that_calls_itself_another_variant_is_compared_all_the_same() {
    let change = Change::new(&[("layergate.toml", "[limits]\nmax-increase = \"1%\"\n")], &[]);
    let layer = FakeLayer::gzip(&tar_of(&[Item::File("a", 120_000)]), "COPY a /");
    for (key, value) in [("variant", json!("v3")), ("os.version", json!("5")), ("os.features", json!(["x"]))]
    {
        let path = change.elsewhere.path().join(key);
        let layout =
            configured_layout(&path, std::slice::from_ref(&layer), |config| config[key] = value.clone());
        let image = format!("app={}", layout.display());
        let baseline = change.image(100_000);
        for more in [vec![], vec!["--platform", "linux/amd64"], vec!["--baseline", &baseline]] {
            let command = [&["check", &image, "--no-cache"], &more[..]].concat();
            let run = Run::of(&mut change.command(&command));
            assert_eq!(run.code, 1, "{key} {more:?}: {} {}", run.stdout, run.stderr);
        }
        // Of an image for several platforms each is its own.
        let all = ["check", &image, "--no-cache", "--platform", "all"];
        assert!(Run::of(&mut change.command(&all)).expect(0).stdout.contains("no baseline"));
    }
}

#[test]
fn a_link_to_a_file_of_the_runner_shows_nothing_of_it() {
    let change = Change::new(&[], &[]);
    let secret = change.elsewhere.path().join("config.json");
    for text in [
        "{\"auths\":{\"registry.example\":{\"auth\":\"c2VjcmV0OnRvcHNlY3JldA\"}}}",
        "c2VjcmV0OnRvcHNlY3JldA",
        "FROM c2VjcmV0OnRvcHNlY3JldA AS\nRUN",
        "RUN c2VjcmV0OnRvcHNlY3JldA \\",
        "c2VjcmV0OnRvcHNlY3JldA = 5\n[c2VjcmV0OnRvcHNlY3JldA]\n",
    ] {
        fs::write(&secret, text).unwrap();
        for (name, more) in [
            ("layergate.toml", vec![]),
            ("Dockerfile", vec![]),
            ("Dockerfile", vec!["--dockerfile", "Dockerfile"]),
        ] {
            let _ = fs::remove_file(change.checkout.path().join(name));
            symlink(&secret, change.checkout.path().join(name)).unwrap();
            let run = change.check(&more);
            fs::remove_file(change.checkout.path().join(name)).unwrap();
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(!said.contains("c2VjcmV0OnRvcHNlY3JldA"), "{name}: {said}");
        }
    }
}

/// The token of its runs may only read, though the branch is of this repository.
#[test]
fn a_pull_request_of_dependabot_is_evaluated_as_any_other() {
    let target = format!("{MAX}[accept]\nlabels = [\"size-ok\"]\n");
    let mut change = Change::new(&[("layergate.toml", &target)], &[("layergate.toml", LAX)]);
    change.payload["pull_request"]["user"] = json!({ "login": "dependabot[bot]" });
    change.payload["pull_request"]["head"]["ref"] = json!("dependabot/docker/python-3.13");
    for method in [Method::POST, Method::PATCH] {
        change.github.fail(Fault { method, ..Fault::default() });
    }
    let check = |more: &[&str]| {
        let image = change.image(120_000);
        let mut command = change.command(&[&["check", &image, "--no-cache"], more].concat());
        Run::of(command.env("GITHUB_ACTOR", "dependabot[bot]"))
    };
    let failed = check(&["--check-run"]).expect(1);
    assert!(failed.stdout.contains("over the limit of 110 kB"), "{}", failed.stdout);
    for what in ["not commented: ", "no check run: ", "pull-requests: write"] {
        assert!(failed.stderr.contains(what), "{what}: {}", failed.stderr);
    }
    // Nothing is broken by that the comment is missing, unless it has to be there.
    check(&["--max-size", "1 MB", "--comment", "always"]).expect(0);
    check(&["--max-size", "1 MB", "--comment", "always", "--require-comment"]).expect(3);
    // Labels are read: Dependabot sets some itself, and those accept nothing.
    change.github.world().labelled = vec![("dependabot[bot]", "dependencies", "2026-11-03T09:00:00Z", true)];
    check(&[]).expect(1);
    change.github.world().labelled.push(("bob", "size-ok", "2026-11-03T09:00:00Z", true));
    check(&[]).expect(0);
    assert_eq!(change.github.bodies_of(BOT).len(), 0);
    // The trusted half has a token that may write, and evaluates it as one from a fork.
    change.github.world().labelled.clear();
    change.github.world().faults.clear();
    let report = change.elsewhere.path().join("report.json").display().to_string();
    check(&["--max-size", "1 MB", "--comment", "never", "--report", &report]).expect(0);
    let head = ("acme/shop", "dependabot/docker/python-3.13", change.head.as_str());
    change.github.world().pulls = vec![pull_request(7, head, &change.base)];
    change.github.world().files = vec![("main", "layergate.toml", MAX)];
    let payload = json!({ "workflow_run": {
        "id": 500, "run_attempt": 1, "event": "pull_request", "head_sha": head.2, "head_branch": head.1,
        "head_repository": { "full_name": head.0 }, "actor": { "login": "dependabot[bot]" },
    } });
    let change = Change { event: "workflow_run", payload, ..change };
    let mut trusted = change.command(&["report", &report, "--require-image", "app"]);
    Run::of(trusted.env("GITHUB_REF", "refs/heads/main")).expect(1);
    assert!(change.comment().contains("over the limit of 110 kB"), "{}", change.comment());
}

/// Where the base image ends is a guess as soon as no Dockerfile fits, and the last CMD below decides it: an instruction
/// that a pull request puts on top of its own layers.
#[test]
fn a_guess_of_where_the_base_image_ends_hides_no_growth_and_fails_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let layer =
        |name: &str, size: u64, step: &str| FakeLayer::plain(&tar_of(&[Item::File(name, size)]), step);
    let image = |name: &str, layers: &[FakeLayer], command: Option<usize>| {
        let image = configured_layout(&place(name), layers, |config| {
            let history = config["history"].as_array_mut().unwrap();
            if let Some(at) = command {
                history.insert(at, json!({ "created_by": "CMD [\"x\"]", "empty_layer": true }));
            }
        });
        format!("app={}", image.display())
    };
    let (below, own) = (layer("base", 5_000, "ADD base /"), layer("own", 10_000, "COPY own /"));
    let large = layer("own", 90_000, "COPY own / # another");
    let last = layer("last", 1, "RUN last");
    fs::write(place("Dockerfile"), "FROM base\nCOPY own /\n").unwrap();
    fs::write(place("Other"), "FROM base\nRUN other\n").unwrap();
    let (dockerfile, other) =
        (place("Dockerfile").display().to_string(), place("Other").display().to_string());
    let store = format!("dir:{}", place("store").display());
    let record = |image: &str, more: &[&str]| {
        Run::of(layergate().args(["record", image, "--store", &store]).args(more)).expect(0);
    };
    let check = |image: &str, limit: &str| {
        let arguments =
            ["check", image, "--store", &store, "--dockerfile", &other, "--max-app-increase", limit];
        Run::of(layergate().args(arguments))
    };
    let before = image("before", &[below.clone(), own.clone()], Some(1));
    let hidden = image("hidden", &[below.clone(), large.clone(), last.clone()], Some(2));
    // The baseline knows where its base image ends, and the image is still built on that.
    record(&before, &["--dockerfile", &dockerfile]);
    let failed = check(&hidden, "10 kB").expect(1).stdout;
    assert!(failed.contains("application layers +80"), "{failed}");
    // Compilers are not the base image's by that either.
    let compilers = layer("usr/bin/gcc", 5_000_000, "COPY gcc /");
    let with_compilers = image("compilers", &[below.clone(), compilers.clone(), last.clone()], Some(2));
    let require = |store: &str| {
        let arguments = ["check", &with_compilers, "--store", store, "--multi-stage", "require"];
        Run::of(layergate().args(arguments).args(["--dockerfile", &other]))
    };
    require(&store).expect(1);
    // Not even where the baseline's is a guess, which was one of merged code.
    let guessed = format!("dir:{}", place("guessed").display());
    Run::of(layergate().args(["record", &before, "--store", &guessed, "--dockerfile", &other])).expect(0);
    require(&guessed).expect(1);
    // It is built on another one: what is the application's is a guess, whichever way it falls.
    let other_base = layer("base", 5_001, "ADD base /");
    for (name, command) in [("hides", 2), ("shows", 1)] {
        let image = image(name, &[other_base.clone(), large.clone(), last.clone()], Some(command));
        let warned = check(&image, "10 kB").expect(0).stdout;
        let said = "warning only: the end of the base image is estimated";
        assert!(warned.contains(said) && warned.contains("--dockerfile"), "{name}: {warned}");
        assert!(!check(&image, "100 kB").expect(0).stdout.contains("cannot be evaluated"), "{name}");
    }
}
