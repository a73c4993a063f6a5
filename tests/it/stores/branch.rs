//! A branch of baselines that somebody has changed, or may not be written, or is on a GitHub that is not itself.

use std::path::Path;
use std::process::{Command, Stdio};

use axum::http::Method;
use layergate::baseline::branch::BranchStore;
use layergate::github::{Client, Repository};
use layergate::image::snapshot::Commit;
use layergate::image::{Bytes, DiffId, Entry, FileList, Snapshot};
use serde_json::json;

use crate::stores::baselines::{BRANCH, assert_sound, files_of, in_run, layered, sha};
use crate::support::fake_github::{FakeGithub, Fault};
use crate::support::{FakeLayer, Item, Run, layergate, platforms_layout, tar_of};

/// A GitHub, and images of one layer of their own above one that they share.
struct Place {
    github: FakeGithub,
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { github: FakeGithub::start(), directory: tempfile::tempdir().unwrap() }
    }

    fn image(&self, name: &str, size: u64) -> String {
        let layout = format!("{name}-{size}");
        let image = layered(self.directory.path(), &layout, &[("base", 5000), ("own", size)]);
        image.replacen("app=", &format!("{name}="), 1)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = in_run(&self.github, self.directory.path(), "push");
        Run::of(command.env("LAYERGATE_COMMENT", "never").args(arguments))
    }

    /// Records the image of a commit: its own layer is of another size in each.
    fn record(&self, name: &str, commit: usize, more: &[&str]) -> Run {
        let (image, commit) = (self.image(name, commit as u64), sha(commit));
        self.run(&[&["record", &image, "--commit", &commit], more].concat())
    }

    fn check(&self, name: &str, commit: usize, more: &[&str]) -> Run {
        let (image, commit) = (self.image(name, 900), sha(commit));
        self.run(&[&["check", &image, "--base-commit", &commit, "--no-cache"], more].concat())
    }

    fn count(&self, start: &str) -> usize {
        files_of(&self.github).iter().filter(|path| path.starts_with(start)).count()
    }

    /// Changes the branch by hand: the content of a path, or none.
    fn edit(&self, path: &str, content: Option<&str>) {
        let directory = tempfile::tempdir().unwrap();
        let index = directory.path().join("index");
        let repository = self.github.repository();
        let git = |arguments: &[&str], input: &str| {
            let mut command = Command::new("git");
            command.arg("--git-dir").arg(repository.path()).args(arguments).env("GIT_INDEX_FILE", &index);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            for who in ["AUTHOR", "COMMITTER"] {
                command
                    .env(format!("GIT_{who}_NAME"), "hand")
                    .env(format!("GIT_{who}_EMAIL"), "h@example.com");
            }
            let mut child = command.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
            Run::from(child.wait_with_output().unwrap()).expect(0).stdout.trim().to_owned()
        };
        git(&["read-tree", BRANCH], "");
        match content {
            Some(content) => {
                let blob = git(&["hash-object", "-w", "--stdin"], content);
                git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")], "");
            }
            None => {
                let none = format!("0 {}\t{path}\n", "0".repeat(40));
                drop(git(&["update-index", "--index-info"], &none));
            }
        }
        let tree = git(&["write-tree"], "");
        let commit = git(&["commit-tree", &tree, "-p", BRANCH, "-m", "By hand"], "");
        git(&["update-ref", BRANCH, &commit], "");
    }

    fn find(&self, start: &str, part: &str) -> String {
        let mut files = files_of(&self.github).into_iter();
        files.find(|path| path.starts_with(start) && path.contains(part)).unwrap()
    }
}

#[test]
fn removing_old_records_looks_at_no_other_record() {
    let place = Place::new();
    for other in ["api", "web", "worker"] {
        for commit in 1..=4 {
            place.record(other, commit, &[]).expect(0);
        }
    }
    for commit in 1..=3 {
        place.record("app", commit, &["--keep-last", "2"]).expect(0);
    }
    assert_eq!(
        (place.count("records/"), place.count("file-lists/")),
        (3 * 4 + 2, 1 + 4),
        "own layers are alike"
    );
    place.github.world().requests.clear();
    place.record("app", 4, &["--keep-last", "2"]).expect(0);
    let requests = place.github.world().requests.clone();
    let blobs = requests.iter().filter(|request| request.starts_with("GET") && request.contains("/blobs/"));
    assert_eq!(
        blobs.count(),
        1 + 1 + 3 + 1,
        "its index and newest record, the others' indexes, and the summary: {requests:?}"
    );
    assert_eq!(place.count("records/"), 3 * 4 + 2);
    assert_sound(&place.github);
}

#[test]
fn what_others_have_on_the_branch_keeps_no_record_from_being_made() {
    let place = Place::new();
    place.record("web", 1, &[]).expect(0);
    for commit in 1..=2 {
        place.record("app", commit, &["--keep-last", "1"]).expect(0);
    }
    // An index that nobody can read may name any list of files, so none is removed.
    place.edit("images/web.json", Some("{}"));
    let before = place.count("file-lists/");
    let kept = place.record("app", 3, &["--keep-last", "1"]).expect(0);
    assert!(kept.stdout.starts_with("recorded app"), "{}", kept.stdout);
    let words = "recorded, but not all old baselines were removed";
    assert!(kept.stderr.contains(words) && kept.stderr.contains("images/web.json"), "{}", kept.stderr);
    assert_eq!((place.count("records/"), place.count("file-lists/")), (1 + 1, before + 1));

    // Its own index is needed, and is not overwritten.
    let refused = place.record("web", 2, &[]).expect(3);
    assert!(refused.stderr.contains("no `schema` field"), "{}", refused.stderr);
    place.edit("images/web.json", None);
    place.record("web", 2, &[]).expect(0);
    place.record("app", 4, &["--keep-last", "1"]).expect(0);
    // Those of the first record of `web` are known to no index now.
    let files = files_of(&place.github);
    assert_eq!((place.count("records/"), place.count("file-lists/")), (2 + 1, 1 + 2), "{files:?}");
    assert_sound(&place.github);
}

#[test]
fn a_record_that_was_deleted_by_hand_is_no_hindrance() {
    let place = Place::new();
    for commit in 1..=2 {
        place.record("app", commit, &[]).expect(0);
    }
    place.edit(&place.find("records/", &sha(1)), None);
    place.record("app", 3, &["--keep-last", "1"]).expect(0);
    assert_eq!(
        (place.count("records/"), place.count("images/")),
        (1, 1),
        "the others are deleted all the same"
    );
    let history = place.run(&["history", "app", "--format", "json"]).expect(0).json();
    assert_eq!(history["points"].as_array().map_or(0, Vec::len), 1, "{history}");
    place.check("app", 3, &[]).expect(0);
}

#[test]
fn a_record_that_is_made_anew_is_the_newest() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    place.record("app", 2, &[]).expect(0);
    // Of the same commit, but another image.
    let image = place.image("app", 77);
    let again = place.run(&["record", &image, "--commit", &sha(1), "--keep-last", "1"]).expect(0);
    assert!(again.stdout.starts_with("recorded app"), "{}", again.stdout);
    let report = place.check("app", 1, &["--format", "json"]).expect(0).json();
    assert_eq!(
        report["images"][0]["base"]["totals"]["uncompressed"], 5077,
        "{}",
        report["images"][0]["base"]
    );
    assert_eq!(place.count("records/"), 1);
}

#[test]
fn an_index_of_another_image_is_not_taken_for_its_own() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    let index = place.github.repository().line(&["show", &format!("{BRANCH}:images/app.json")]).unwrap();
    place.edit("images/web.json", Some(&index));
    let before = files_of(&place.github);
    let refused = place.record("web", 2, &[]).expect(3);
    assert!(refused.stderr.contains("images/web.json: it is for the image `app`"), "{}", refused.stderr);
    assert_eq!(files_of(&place.github), before);
}

#[test]
fn files_that_were_not_known_at_first_are_added() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    let path = place.find("records/", &sha(1));
    let text = place.github.repository().line(&["show", &format!("{BRANCH}:{path}")]).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["file_list_blobs"].as_object().unwrap().len(), 2);
    record["file_list_blobs"] = json!({});
    place.edit(&path, Some(&record.to_string()));
    // The index names the record by its hash, so that it is the edited one that is read.
    let blob = place.github.repository().line(&["rev-parse", &format!("{BRANCH}:{path}")]).unwrap();
    let index = place.github.repository().line(&["show", &format!("{BRANCH}:images/app.json")]).unwrap();
    let start = index.find("\"record\":\"").unwrap() + 10;
    let edited = format!("{}{blob}{}", &index[..start], &index[start + 40..]);
    place.edit("images/app.json", Some(&edited));
    let again = place.record("app", 1, &[]).expect(0);
    assert!(again.stdout.starts_with("recorded app"), "{}", again.stdout);
    assert!(place.record("app", 1, &[]).expect(0).stdout.starts_with("already recorded app"));
}

#[test]
fn the_branch_of_the_code_is_never_written_to() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    place.edit("src/main.rs", Some("fn main() {}"));
    let before = place.github.repository().line(&["rev-parse", BRANCH]).unwrap();
    for run in [place.record("app", 2, &[]), place.check("app", 1, &[])] {
        let refused = run.expect(2);
        assert!(refused.stderr.contains("this branch also holds `src`"), "{}", refused.stderr);
    }
    assert_eq!(place.github.repository().line(&["rev-parse", BRANCH]).unwrap(), before);
}

#[test]
fn a_repository_that_is_not_seen_is_not_one_without_baselines() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    for run in [
        place.check("app", 1, &["--github-repository", "acme/private"]),
        place.record("app", 2, &["--github-repository", "acme/private"]),
    ] {
        let refused = run.expect(3);
        assert!(refused.stderr.contains("permission `contents: read`"), "{}", refused.stderr);
    }
    let own = tempfile::tempdir().unwrap();
    let bare = own.path().join("empty.git");
    Run::of(Command::new("git").args(["init", "--quiet", "--bare"]).arg(&bare)).expect(0);
    let empty = Place { github: FakeGithub::start_at(&bare), directory: tempfile::tempdir().unwrap() };
    empty.check("app", 1, &[]).expect(0);
    let refused = empty.record("app", 1, &[]).expect(3);
    assert!(refused.stderr.contains("push a first commit"), "{}", refused.stderr);
}

/// What GitHub may say of a reference that it may well move a moment later.
#[test]
fn refusals_that_pass_are_waited_for() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    let (patch, post, get) = (Method::PATCH, Method::POST, Method::GET);
    let faults = [
        (&patch, "/git/refs/", 422, "Reference cannot be updated", Vec::new(), 2),
        (&patch, "/git/refs/", 422, "Reference update failed", Vec::new(), 1),
        (&patch, "/git/refs/", 422, "cannot lock ref 'refs/heads/x': is at a but expected b", Vec::new(), 4),
        (&patch, "/git/refs/", 409, "Conflict", Vec::new(), 2),
        (&post, "/git/trees", 403, "You have exceeded a secondary rate limit", vec![("retry-after", "1")], 1),
        (&post, "/git/commits", 429, "Too many requests", vec![("retry-after", "1")], 1),
        (&get, "/git/commits/", 404, "Not Found", Vec::new(), 1),
        (&get, "/git/blobs/", 404, "Not Found", Vec::new(), 1),
    ];
    for (number, (method, path, status, message, headers, times)) in faults.into_iter().enumerate() {
        let method = method.clone();
        let fault = Fault { method, path, status, message, headers, times, ..Fault::default() };
        place.github.fail(fault);
        let run = place.record("app", number + 2, &[]).expect(0);
        assert!(run.stdout.starts_with("recorded app"), "{message}: {}", run.stdout);
        assert!(place.github.world().faults.iter().all(|fault| fault.times == 0), "{message}");
    }
    assert_eq!(place.count("records/"), 9);
    assert_sound(&place.github);

    // What stays refused is said in GitHub's words, and soon.
    let message = "Repository rule violations found";
    let fault = Fault { method: patch, path: "/git/refs/", status: 422, message, ..Fault::default() };
    place.github.fail(fault);
    let refused = place.record("app", 20, &[]).expect(3);
    assert!(refused.stderr.contains(message), "{}", refused.stderr);
}

#[test]
fn where_an_answer_is_lost_what_was_recorded_is_still_said() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    let lost = Fault {
        method: Method::PATCH,
        path: "/git/refs/",
        status: 502,
        times: 1,
        after_effect: true,
        ..Fault::default()
    };
    place.github.fail(lost);
    let (old, new) = (place.image("app", 1), place.image("web", 1));
    let run = place.run(&["record", &old, &new, "--commit", &sha(1)]).expect(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(
        lines[0].starts_with("already recorded app") && lines[1].starts_with("recorded web"),
        "{lines:?}"
    );
}

#[test]
fn a_run_that_follows_another_records_only_the_commit_of_that_one() {
    let place = Place::new();
    let checkout = crate::check::gate::Checkout::new();
    let (built, tip) = (checkout.commit("built"), checkout.commit("tip"));
    let event = place.directory.path().join("event.json");
    let follow = |made_by: &str, more: &[&str]| {
        let run = json!({ "workflow_run": { "head_sha": built, "event": made_by } });
        std::fs::write(&event, run.to_string()).unwrap();
        let mut command = in_run(&place.github, checkout.path(), "workflow_run");
        command.env("GITHUB_EVENT_PATH", &event).env("GITHUB_SHA", &tip);
        Run::of(command.args(["record", &place.image("app", 1)]).args(more))
    };
    let refused = follow("push", &[]).expect(2);
    assert!(refused.stderr.contains("pass it with --commit"), "{}", refused.stderr);
    follow("push", &["--commit", &built]).expect(0);
    checkout.git(&["checkout", "--quiet", &built]);
    follow("push", &[]).expect(0);
    let refused = follow("pull_request", &[]).expect(2);
    assert!(refused.stderr.contains("refuses to run for `pull_request`"), "{}", refused.stderr);
}

#[test]
fn an_image_as_baseline_needs_neither_branch_nor_token() {
    let place = Place::new();
    let mut command = layergate();
    command.args(["check", &place.image("app", 9), "--baseline", &place.image("app", 2), "--store", "git"]);
    Run::of(&mut command).expect(0);
}

/// Which commits there are is asked of the repository of the run, wherever its baselines are.
#[test]
fn baselines_in_another_repository_are_of_the_commits_of_this_one() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    let mut command = in_run(&place.github, place.directory.path(), "push");
    command.env("GITHUB_REPOSITORY", "acme/elsewhere").env("GITHUB_SHA", sha(2));
    command.env("LAYERGATE_COMMENT", "never");
    let image = place.image("app", 9);
    Run::of(command.args(["check", &image, "--github-repository", "acme/shop"])).expect(0);
    let of_commits =
        |request: &String| request.contains("acme/shop/git/commits/") && request.contains(&sha(2));
    assert!(!place.github.world().requests.iter().any(of_commits));
}

#[test]
fn an_unusable_record_of_another_platform_is_not_looked_at() {
    let place = Place::new();
    let one = |size| vec![FakeLayer::gzip(&tar_of(&[Item::File("a", size)]), "a")];
    let both = platforms_layout(
        &place.directory.path().join("both"),
        &[("linux/amd64", one(1000)), ("linux/arm64", one(2000))],
    );
    let both = format!("app={}", both.display());
    place.run(&["record", &both, "--commit", &sha(1), "--platform", "all"]).expect(0);
    place.edit(&place.find("records/", "arm64"), Some("{}"));
    place.check("app", 1, &["--max-increase", "50%", "--platform", "linux/amd64"]).expect(1);
}

/// A list of files that nothing makes shorter, of so many files.
fn list(seed: u64, files: u64) -> FileList {
    let mut state = seed + 1;
    let mut name = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    let entries: Vec<Entry> = (0..files).map(|_| Entry::File(name().as_str().into(), Bytes(1))).collect();
    FileList::of(entries)
}

fn of_lists(directory: &Path, lists: &[FileList]) -> Snapshot {
    let image = layered(directory, "one", &[("base", 5000)]);
    let measured = directory.join("snapshot.json");
    Run::of(layergate().args(["inspect", &image, "--output"]).arg(&measured)).expect(0);
    let mut snapshot = Snapshot::from_json(&std::fs::read(&measured).unwrap(), 1_000_000).unwrap();
    snapshot.commit = Some(Commit { sha: sha(1), parents: Vec::new(), reference: None, time: None });
    let layer = snapshot.layers[0].clone();
    snapshot.layers = lists
        .iter()
        .enumerate()
        .map(|(number, list)| {
            let mut layer = layer.clone();
            layer.diff_id = DiffId::of(number.to_string().as_bytes());
            (layer.size, layer.file_list) = (list.size(), Some(std::sync::Arc::new(list.clone())));
            layer.files = list.size().map(|bytes| bytes.0);
            layer
        })
        .collect();
    snapshot.history.clear();
    let totals = &mut snapshot.totals;
    totals.layers = lists.len() as u64;
    totals.uncompressed =
        Some(Bytes(snapshot.layers.iter().filter_map(|layer| layer.size).map(|size| size.0).sum()));
    (totals.flattened, totals.compressed) = (totals.uncompressed, None);
    snapshot
}

fn store(place: &Place) -> BranchStore {
    let client = Client::new(&place.github.url, "ghs_secret-token").unwrap();
    BranchStore::new(Repository::new(client, "acme", "shop"), BRANCH.into())
}

/// What was recorded of the first commit has the files of all its layers.
async fn assert_lists_come_back(store: &BranchStore, snapshot: &Snapshot) {
    let listed = store.records(&snapshot.image.name, Some(&sha(1))).await.unwrap();
    store.load(&listed[0]).await.unwrap();
    for layer in &snapshot.layers {
        let file_list = store.file_list(&layer.diff_id).await.unwrap().unwrap();
        assert_eq!(Some(&file_list), layer.file_list.as_deref());
    }
}

#[test]
fn many_long_lists_of_files_are_not_sent_in_one_request() {
    let place = Place::new();
    let lists: Vec<FileList> = (0..9).map(|seed| list(seed, 50_000)).collect();
    let snapshot = of_lists(place.directory.path(), &lists);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = store(&place);
        store.put(std::slice::from_ref(&snapshot), None).await.unwrap();
        let requests = place.github.world().requests.clone();
        let trees =
            requests.iter().filter(|request| request.starts_with("POST") && request.ends_with("/trees"));
        assert_eq!(trees.count(), 2, "{requests:?}");
        assert_lists_come_back(&store, &snapshot).await;
    });
}

#[test]
fn a_list_of_files_that_is_too_long_to_go_along_is_sent_ahead() {
    let place = Place::new();
    let snapshot = of_lists(place.directory.path(), &[list(0, 200_000), list(1, 10)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = store(&place);
        store.put(std::slice::from_ref(&snapshot), None).await.unwrap();
        let requests = place.github.world().requests.clone();
        let ahead: Vec<bool> = requests
            .iter()
            .filter(|request| request.starts_with("POST"))
            .map(|request| request.ends_with("/blobs"))
            .collect();
        assert_eq!(ahead.iter().filter(|blob| **blob).count(), 1, "{requests:?}");
        assert!(ahead[0], "{requests:?}");
        assert_lists_come_back(&store, &snapshot).await;
    });
}

#[test]
fn where_earlier_commits_cannot_be_asked_for_a_baseline_is_not_called_missing() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    let checkout = crate::check::gate::Checkout::new();
    checkout.commit("one");
    let head = checkout.commit("two");
    let shallow = place.directory.path().join("shallow");
    let url = format!("file://{}", checkout.path().display());
    Run::of(Command::new("git").args(["clone", "--quiet", "--depth", "1", &url]).arg(&shallow)).expect(0);
    let fault =
        Fault { path: "/commits?sha=", status: 403, headers: vec![("retry-after", "1")], ..Fault::default() };
    place.github.fail(fault);
    let mut command = in_run(&place.github, &shallow, "push");
    command.env("LAYERGATE_COMMENT", "never").env("GITHUB_SHA", &head);
    let failed = Run::of(command.args(["check", &place.image("app", 900), "--max-increase", "1%"])).expect(3);
    assert!(failed.stderr.contains("not all earlier commits are known"), "{}", failed.stderr);
    assert_eq!(
        failed.stderr.matches("rate limit is used up").count(),
        2,
        "once, and once as annotation: {}",
        failed.stderr
    );
}

#[test]
fn a_project_with_a_readme_alone_is_no_branch_of_baselines() {
    let place = Place::new();
    let bare = place.github.repository();
    let blob = bare.git(&["hash-object", "-w", "--stdin"], b"# Project\n").unwrap();
    let blob = String::from_utf8(blob).unwrap();
    let tree = bare.git(&["mktree"], format!("100644 blob {}\tREADME.md\n", blob.trim()).as_bytes()).unwrap();
    let tree = String::from_utf8(tree).unwrap();
    let commit = bare.git(&["commit-tree", tree.trim()], b"First").unwrap();
    bare.git(&["update-ref", "refs/heads/main", String::from_utf8(commit).unwrap().trim()], b"").unwrap();
    let refused = place.record("app", 1, &["--store", "git:main"]).expect(2);
    assert!(refused.stderr.contains("this branch also holds `README.md`"), "{}", refused.stderr);
}

#[test]
fn old_records_go_also_where_there_is_nothing_new() {
    let place = Place::new();
    for commit in 1..=3 {
        place.record("app", commit, &[]).expect(0);
    }
    let again = place.record("app", 3, &["--keep-last", "1"]).expect(0);
    assert!(again.stdout.starts_with("already recorded"), "{}", again.stdout);
    assert_eq!((place.count("records/"), place.count("file-lists/")), (1, 2));
}

#[test]
fn a_rule_of_the_repository_is_said_at_once() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    let message = "Repository rule violations found: Changes must be made through a pull request.";
    place.github.fail(Fault {
        method: Method::PATCH,
        path: "/git/refs/",
        status: 409,
        message,
        ..Fault::default()
    });
    place.github.world().requests.clear();
    let refused = place.record("app", 2, &[]).expect(3);
    assert!(refused.stderr.contains(message), "{}", refused.stderr);
    assert!(place.github.world().requests.len() < 12, "{:?}", place.github.world().requests);
}

#[test]
fn the_message_of_a_commit_may_be_in_any_encoding() {
    let place = Place::new();
    let checkout = crate::check::gate::Checkout::new();
    let file = place.directory.path().join("message");
    std::fs::write(&file, b"Gr\xf6\xdfe").unwrap();
    let file = file.display().to_string();
    checkout.git(&[
        "-c",
        "i18n.commitEncoding=latin1",
        "commit",
        "--quiet",
        "--allow-empty",
        "--file",
        &file,
    ]);
    let head = checkout.git(&["rev-parse", "HEAD"]);
    let mut command = in_run(&place.github, checkout.path(), "push");
    let recorded = Run::of(command.args(["record", &place.image("app", 1)])).expect(0);
    assert!(recorded.stdout.contains(&format!("for {} in", &head[..12])), "{}", recorded.stdout);
}

#[test]
fn whoever_was_slower_asks_for_the_branch_again_at_no_cost_and_waits_before_another_try() {
    let place = Place::new();
    place.record("app", 1, &[]).expect(0);
    place.github.world().requests.clear();
    place.github.world().times.clear();
    // The branch is as it was, so all that was read of it is still right.
    let slower = Fault { status: 422, message: "Update is not a fast forward", times: 1, ..Fault::default() };
    place.github.fail(Fault { method: Method::PATCH, path: "/git/refs/", ..slower });
    place.record("app", 2, &[]).expect(0);
    let world = place.github.world();
    let unchanged = world.unchanged.iter().filter(|path| path.contains("/git/matching-refs/")).count();
    assert_eq!(unchanged, 2, "{:?}", world.unchanged);
    let writes = world.requests.iter().zip(&world.times).filter(|(asked, _)| !asked.starts_with("GET"));
    let (asked, times): (Vec<&str>, Vec<_>) =
        writes.map(|(asked, time)| (asked.rsplit("/git/").next().unwrap(), *time)).unzip();
    let one = ["trees", "commits", "refs/heads/layergate-baselines"];
    assert_eq!(asked, [one, one].concat());
    let second = std::time::Duration::from_millis(990);
    assert!(times[3] - times[2] >= second, "another try");
    // A commit is one write: whoever waits in the middle of it is late.
    assert!(times[2] - times[0] < second && times[5] - times[3] < second);
}
