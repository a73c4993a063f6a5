//! What a pull request brings as data decides nothing: each row of the table in docs/threat-model.md has a test, most
//! of them here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use layergate::image::entry::Entry;
use layergate::image::{Bytes, DiffId, FileList};
use layergate::layer::packed;
use serde_json::{Value, json};

use crate::check::gate::{Checkout, image};
use crate::stores::baselines::{BRANCH, in_run};
use crate::support::fake_engine::{Capture, FakeEngine};
use crate::support::fake_github::{BOT, FakeGithub, Fault, pull_request};
use crate::support::fake_registry::{FakeRegistry, Faults};
use crate::support::{FakeLayer, Item, Run, configured_layout, fixture, layergate, oci_layout, tar_of};

pub const MAX: &str = "[limits]\nmax-size = \"110 kB\"\n";
pub const LAX: &str = "[limits]\nmax-size = \"1 TB\"\n";

/// Paths and texts.
pub type Files<'a> = &'a [(&'a str, &'a str)];

/// A pull request whose image is larger than the limit of its target: pushed, merged to try it out, and checked out.
pub struct Change {
    pub github: FakeGithub,
    pub checkout: Checkout,
    /// What is no part of the checkout: images, the store, the event.
    pub elsewhere: tempfile::TempDir,
    pub base: String,
    pub head: String,
    pub event: &'static str,
    pub payload: Value,
}

impl Change {
    /// A branch with these files, on top of a target with those. A file without text is deleted.
    pub fn new(target: Files<'_>, own: Files<'_>) -> Change {
        let (github, checkout) = (FakeGithub::start(), Checkout::new());
        write(checkout.path(), target);
        let base = commit(&checkout, "target");
        checkout.git(&["checkout", "--quiet", "-b", "change"]);
        write(checkout.path(), own);
        let head = commit(&checkout, "change");
        checkout.git(&["checkout", "--quiet", "--detach", "main"]);
        checkout.git(&["merge", "--quiet", "--no-ff", "--message", "test merge", "change"]);
        let payload = json!({ "action": "synchronize", "pull_request": {
            "number": 7,
            "head": { "sha": head, "ref": "change", "repo": { "full_name": "acme/shop" } },
            "base": { "sha": base, "ref": "main", "repo": { "full_name": "acme/shop" } },
        } });
        let elsewhere = tempfile::tempdir().unwrap();
        let change = Change { github, checkout, elsewhere, base, head, event: "pull_request", payload };
        change.push(&["main", "change", "HEAD:refs/pull/7/merge"]);
        let mut record = layergate();
        record.current_dir(change.elsewhere.path()).args(["record", &change.image(100_000), "--store"]);
        Run::of(record.args([&change.store(), "--commit", &change.base])).expect(0);
        change
    }

    pub fn push(&self, what: &[&str]) {
        let path = self.github.repository().path().display().to_string();
        self.checkout.git(&[&["push", "--quiet", "--force", &path], what].concat());
    }

    pub fn image(&self, bytes: u64) -> String {
        image(self.elsewhere.path(), &bytes.to_string(), bytes)
    }

    pub fn store(&self) -> String {
        format!("dir:{}", self.elsewhere.path().join("store").display())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let elsewhere = |name: &str| self.elsewhere.path().join(name);
        fs::write(elsewhere("event.json"), self.payload.to_string()).unwrap();
        let mut command = layergate();
        command.current_dir(self.checkout.path()).args(arguments);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", self.event);
        command.env("GITHUB_EVENT_PATH", elsewhere("event.json")).env("RUNNER_TEMP", self.elsewhere.path());
        command.env("GITHUB_REPOSITORY", "acme/shop").env("GITHUB_API_URL", &self.github.url);
        command.env("GITHUB_TOKEN", "ghs_secret-token").env("GITHUB_WORKSPACE", self.checkout.path());
        command.env("GITHUB_REF", "refs/pull/7/merge").env("LAYERGATE_STORE", self.store());
        command
    }

    /// Checks an image of 120,000 bytes.
    pub fn check(&self, more: &[&str]) -> Run {
        let image = self.image(120_000);
        Run::of(&mut self.command(&[&["check", &image, "--no-cache"], more].concat()))
    }

    pub fn comment(&self) -> String {
        let [comment] = self.github.bodies_of(BOT).try_into().unwrap();
        comment
    }
}

pub fn write(root: &Path, files: Files<'_>) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if text.is_empty() { drop(fs::remove_file(path)) } else { fs::write(path, text).unwrap() }
    }
}

/// Commits all that is there, whatever is ignored.
pub fn commit(checkout: &Checkout, message: &str) -> String {
    checkout.git(&["add", "--all", "--force"]);
    checkout.commit(message)
}

#[test]
fn limits_of_a_pull_request_come_from_its_target_branch() {
    let own: [Files<'_>; 5] = [
        &[],
        &[("layergate.toml", LAX)],
        &[("layergate.toml", "")],
        &[("layergate.toml", "[limits]\nmax-size = \"110 kB\"\n[images.app]\nmax-size = \"1 TB\"\n")],
        &[("layergate.toml", ""), (".github/layergate.toml", LAX)],
    ];
    for files in own {
        let change = Change::new(&[("layergate.toml", MAX)], files);
        let run = change.check(&[]).expect(1);
        assert!(run.stdout.contains("over the limit of 110 kB"), "{files:?} {}", run.stdout);
        // Also where the workflow names the file, and however it spells its path.
        for named in ["layergate.toml", "./.github/../layergate.toml"] {
            if change.checkout.path().join(named).exists() {
                change.check(&["--config", named]).expect(1);
            }
        }
    }
    // Nor is a looser limit of the checkout found where it is checked out without git.
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    fs::remove_dir_all(change.checkout.path().join(".git")).unwrap();
    change.check(&["--base-commit", &change.base]).expect(1);
    let named = change.checkout.path().join("layergate.toml").display().to_string();
    change.check(&["--base-commit", &change.base, "--config", &named]).expect(1);
}

#[test]
fn a_changed_file_is_shown_and_takes_effect_after_merge() {
    let target = "[limits]\nmax-size = \"500 MB\"\n[accept]\nlabels = [\"size-ok\"]\n";
    let own =
        "[limits]\nmax-size = \"900 MB\"\nmax-layers = 3\n[accept]\nlabels = [\"size-ok\", \"<b>@all\"]\n";
    let change = Change::new(&[("layergate.toml", target)], &[("layergate.toml", own)]);
    let run = change.check(&["--comment", "always"]).expect(0);
    let words = "this PR changes limits: accept labels size-ok -> size-ok, <b>@all, max-layers none -> 3, max-size 500 MB -> 900 MB; takes effect after merge";
    assert!(run.stdout.contains(words), "{}", run.stdout);
    let comment = change.comment();
    assert!(comment.contains("this PR changes limits: ") && comment.contains("takes effect after merge"));
    assert!(!comment.contains("<b>") && !comment.contains("@all"), "{comment}");

    // What the target has changed since is not this pull request's.
    let change = Change::new(&[("layergate.toml", target)], &[("other", "x")]);
    change.checkout.git(&["checkout", "--quiet", "main"]);
    write(change.checkout.path(), &[("layergate.toml", MAX)]);
    commit(&change.checkout, "stricter");
    change.push(&["main"]);
    change.checkout.git(&["checkout", "--quiet", "--detach", "change"]);
    let run = change.check(&["--base-commit", &change.base]).expect(1);
    assert!(!run.stdout.contains("this PR changes limits"), "{}", run.stdout);
    // What cannot be told is said, and changes nothing.
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    change.github.fail(Fault { path: "/compare/", ..Fault::default() });
    let run = change.check(&["--base-commit", &change.base]).expect(1);
    assert!(run.stderr.contains("cannot tell which limits the pull request changes"), "{}", run.stderr);
}

#[test]
fn the_tip_counts_and_not_the_commit_that_a_change_was_branched_from() {
    // The target became strict after the branch was made, and the author has checked out the branch's own head.
    let change = Change::new(&[("layergate.toml", LAX)], &[]);
    change.check(&[]).expect(0);
    change.checkout.git(&["checkout", "--quiet", "main"]);
    write(change.checkout.path(), &[("layergate.toml", MAX)]);
    commit(&change.checkout, "stricter");
    change.push(&["main"]);
    change.checkout.git(&["checkout", "--quiet", "--detach", "change"]);
    change.check(&["--base-commit", &change.base]).expect(1);
}

#[test]
fn a_pull_request_accepts_and_ignores_nothing_by_its_own_file() {
    let own = "[accept]\nlabels = [\"dependencies\"]\ntrailer = \"Ok\"\n[[removable.ignore]]\npaths = [\"**\"]\nreason = \"ours\"\n";
    let cases: [(Files<'_>, &[&str]); 3] = [
        (&[("layergate.toml", MAX)], &[]),
        // Where the target has no file, limits of the workflow are not loosened either.
        (&[], &["--max-size", "110 kB"]),
        (&[], &["--max-size", "110 kB", "--accept-label", "size-ok"]),
    ];
    for (target, limits) in cases {
        for more in ["", MAX, "[limits]\nmetric = \"compressed\"\non-missing-baseline = \"pass\"\n"] {
            let change = Change::new(target, &[("layergate.toml", &format!("{more}{own}"))]);
            change.github.world().labelled = vec![("ann", "dependencies", "2026-11-01T09:00:00Z", true)];
            change.github.world().messages = vec!["Change\n\nOk: because"];
            change.check(limits).expect(1);
            // Whoever lets authors set their own limits lets them accept nothing by that.
            let given = [limits, &["--limits-from", "head", "--metric", "uncompressed"]].concat();
            change.check(&given).expect(if more == MAX || !limits.is_empty() { 1 } else { 0 });
        }
    }
    // Leftovers of a build.
    let change = Change::new(&[("x", "x")], &[("layergate.toml", own)]);
    let layer = FakeLayer::gzip(&tar_of(&[Item::File("root/.cache/pip/x", 5000)]), "RUN pip install x");
    let cached = format!("app={}", oci_layout(&change.elsewhere.path().join("pip"), &[layer]).display());
    for limits in
        [["--max-removable", "1 B"].as_slice(), &["--max-removable", "1 B", "--limits-from", "head"]]
    {
        Run::of(&mut change.command(&[&["check", &cached, "--no-cache"], limits].concat())).expect(1);
    }
}

#[test]
fn a_pull_request_that_adopts_limits_sees_them_work() {
    let own = "[limits]\nmax-size = \"110 kB\"\n[accept]\nlabels = [\"size-ok\"]\n";
    for (file, codes) in [("layergate.toml", [1, 0]), (".github/layergate.toml", [1, 0])] {
        let change = Change::new(&[], &[(file, own)]);
        change.github.world().labelled = vec![("ann", "size-ok", "2026-11-01T09:00:00Z", true)];
        let run = change.check(&["--comment", "always"]).expect(codes[0]);
        let note = format!("{file} is not on main yet: its limits are evaluated in this run");
        assert!(run.stdout.contains(&note) && change.comment().contains("not on main yet"), "{}", run.stdout);
        let given = change.check(&["--max-size", "1 MB"]).expect(codes[1]);
        assert!(given.stdout.contains("only the workflow's limits count"), "{}", given.stdout);
    }
}

#[test]
fn what_the_workflow_gives_goes_before_the_file() {
    let change = Change::new(&[("layergate.toml", MAX)], &[]);
    change.check(&["--max-size", "1 MB"]).expect(0);
    change.check(&["--limits-from", "head"]).expect(1);
    let loose = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    loose.check(&["--limits-from", "head"]).expect(0);
    loose.check(&["--limits-from", "target"]).expect(1);
}

#[test]
fn two_configurations_are_refused() {
    let two = "there are two configurations here, layergate.toml and .github/layergate.toml";
    for own in [LAX, "# nothing\n"] {
        let change = Change::new(&[(".github/layergate.toml", MAX)], &[("layergate.toml", own)]);
        let run = change.check(&[]).expect(2);
        assert!(run.stderr.contains(two), "{}", run.stderr);
        // The one that is named is the only one.
        change.check(&["--config", ".github/layergate.toml"]).expect(1);
    }
    let both = [(".github/layergate.toml", MAX), ("layergate.toml", LAX)];
    let change = Change::new(&both, &[("layergate.toml", "")]);
    let run = change.check(&[]).expect(2);
    assert!(run.stderr.contains("two configurations on main"), "{}", run.stderr);
    // Everywhere else, too.
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &both);
    let app = image(directory.path(), "app", 10);
    for arguments in [["check", app.as_str()].as_slice(), &["record", &app], &["stages"]] {
        let run = Run::of(layergate().current_dir(directory.path()).args(arguments)).expect(2);
        assert!(run.stderr.contains(two), "{}", run.stderr);
    }
}

#[test]
fn what_cannot_be_read_of_the_target_branch_is_no_absence() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", "")]);
    let refused = |words: &str| {
        let run = change.check(&["--max-size", "1 MB"]).expect(3);
        assert!(run.stderr.contains(words) && run.stdout.is_empty(), "{words}: {}", run.stderr);
        change.github.world().faults.clear();
    };
    for (path, status, words) in [
        // To a token that may not read contents, GitHub says that there is nothing.
        ("/branches/", 404, "contents: read"),
        ("/branches/", 403, "contents: read"),
        ("/contents/", 403, "contents: read"),
        ("/contents/layergate.toml", 500, "read the configuration of the target branch"),
        ("/contents/.github", 502, "read the configuration of the target branch"),
        ("/contents/", 429, "read the configuration of the target branch"),
    ] {
        change.github.fail(Fault { path, status, ..Fault::default() });
        refused(words);
    }
    let mut without_token = change.command(&["check", &change.image(120_000)]);
    let run = Run::of(without_token.env_remove("GITHUB_TOKEN")).expect(3);
    assert!(run.stderr.contains("there is no token to read it with"), "{}", run.stderr);
    let mut event = change.payload.clone();
    event["pull_request"]["base"]["ref"] = Value::Null;
    let change = Change { payload: event, ..change };
    let run = change.check(&[]).expect(3);
    assert!(run.stderr.contains("has no `pull_request.base.ref`"), "{}", run.stderr);
    // The runner says it too.
    let mut told = change.command(&["check", &change.image(120_000)]);
    Run::of(told.env("GITHUB_BASE_REF", "main")).expect(1);
}

#[test]
fn a_trailer_accepts_only_where_the_target_branch_names_one() {
    let named = format!("{MAX}[accept]\ntrailer = \"Image-Size-Accept\"\n");
    let cases: [(&str, &str, &str, i32); 4] = [
        (MAX, &named, "Change\n\nImage-Size-Accept: fonts", 1),
        (&named, MAX, "Change\n\nImage-Size-Accept: fonts", 0),
        (&named, &named, "Change\n\nImage-Size-Accept:", 1),
        (&named, &named.replace("Image-Size-Accept", "Ok"), "Change\n\nOk: because", 1),
    ];
    for (target, own, message, code) in cases {
        let change = Change::new(&[("layergate.toml", target)], &[("layergate.toml", own)]);
        change.github.world().messages = vec![message];
        change.check(&[]).expect(code);
    }
}

#[test]
fn a_merge_queue_goes_by_the_branch_it_merges_into() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    let queue = |base: &str| {
        json!({ "merge_group": {
            "base_sha": change.base, "base_ref": base,
            "head_ref": format!("refs/heads/gh-readonly-queue/main/pr-7-{}", change.base),
        } })
    };
    let payloads = [queue("refs/heads/main"), queue("refs/heads/gone")];
    let mut change = Change { event: "merge_group", payload: payloads[0].clone(), ..change };
    change.check(&[]).expect(1);
    change.payload = payloads[1].clone();
    change.check(&[]).expect(3);
    change.payload["merge_group"]["base_ref"] = Value::Null;
    change.check(&[]).expect(3);
}

#[test]
fn a_check_of_a_branch_before_its_pull_request_goes_by_the_default_branch() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    change.checkout.git(&["checkout", "--quiet", "change"]);
    let payload = json!({
        "before": change.base, "after": change.head, "repository": { "default_branch": "main" },
    });
    let change = Change { event: "push", payload, ..change };
    let pushed = |reference: &str, is_protected: &str| {
        let mut command = change.command(&["check", &change.image(120_000), "--no-cache"]);
        Run::of(command.env("GITHUB_REF", reference).env("GITHUB_REF_PROTECTED", is_protected))
    };
    pushed("refs/heads/change", "false").expect(1);
    // Whoever may push here may change its limits.
    pushed("refs/heads/change", "true").expect(0);
    pushed("refs/heads/main", "false").expect(0);
    // So is a run that somebody starts by hand.
    let change = Change { event: "workflow_dispatch", ..change };
    let mut by_hand = change.command(&["check", &change.image(120_000), "--no-cache"]);
    Run::of(by_hand.env("GITHUB_REF", "refs/heads/change")).expect(1);
}

#[test]
fn a_retargeted_pull_request_goes_by_its_new_target() {
    let change = Change::new(&[("layergate.toml", MAX)], &[]);
    change.checkout.git(&["checkout", "--quiet", "-b", "lax", "main"]);
    write(change.checkout.path(), &[("layergate.toml", LAX)]);
    commit(&change.checkout, "lax");
    change.push(&["lax"]);
    change.checkout.git(&["checkout", "--quiet", "--detach", "change"]);
    let mut change = change;
    change.payload["pull_request"]["base"]["ref"] = json!("lax");
    change.check(&["--base-commit", &change.base]).expect(0);
    change.payload["pull_request"]["base"]["ref"] = json!("main");
    change.payload["action"] = json!("edited");
    change.check(&["--base-commit", &change.base]).expect(1);
    // GitHub runs nothing for a new target unless the workflow asks for it.
    let examples = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.github/examples")).unwrap();
    let mut asked = 0;
    for example in examples {
        let text = fs::read_to_string(example.unwrap().path()).unwrap();
        let is_of_pulls = text.lines().any(|line| line.trim().starts_with("pull_request:"));
        let asks = text.contains("types: [opened, synchronize, reopened, edited]");
        assert!(!text.contains("on: pull_request\n") && is_of_pulls == asks, "{text}");
        asked += usize::from(asks);
    }
    assert!(asked >= 6, "{asked}");
}

#[test]
fn a_configuration_of_another_repository_is_the_workflows_and_that_of_a_submodule_is_refused() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("layergate.toml", LAX)]);
    let policies = |origin: &str, directory: &str| {
        let checkout = change.checkout.path().join(directory);
        write(&checkout, &[("layergate.toml", "[limits]\nmax-size = \"119 kB\"\n")]);
        for arguments in [["init", "--quiet"].as_slice(), &["remote", "add", "origin", origin]] {
            Run::of(Command::new("git").arg("-C").arg(&checkout).args(arguments)).expect(0);
        }
        change.check(&["--config", &format!("{directory}/layergate.toml")]).expect(1).stdout
    };
    let other = policies("https://github.com/acme/policies", "policies");
    assert!(other.contains("over the limit of 119 kB"), "{other}");
    // The same repository once more is a checkout of it.
    let same = policies("https://github.com/Acme/Shop.git", "again");
    assert!(same.contains("over the limit of 110 kB"), "{same}");
    let own = tempfile::tempdir().unwrap();
    let file = own.path().join("l.toml").display().to_string();
    fs::write(&file, LAX).unwrap();
    change.check(&["--config", &file]).expect(0);

    let library = Checkout::new();
    write(library.path(), &[("layergate.toml", LAX)]);
    commit(&library, "library");
    let path = library.path().display().to_string();
    change.checkout.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &path,
        "library",
    ]);
    let run = change.check(&["--config", "library/layergate.toml"]).expect(2);
    assert!(run.stderr.contains("is in a submodule"), "{}", run.stderr);
}

#[test]
fn the_trusted_job_reads_no_configuration_from_its_working_directory() {
    let change = Change::new(&[("x", "x")], &[]);
    let report = change.elsewhere.path().join("report.json").display().to_string();
    change.check(&["--max-size", "1 TB", "--report", &report, "--comment", "never"]).expect(0);
    let pull = pull_request(7, ("mallory/shop", "change", &change.head), &change.base);
    change.github.world().pulls = vec![pull];
    let payload = json!({ "workflow_run": {
        "id": 500, "run_attempt": 1, "event": "pull_request", "head_sha": change.head, "head_branch": "change",
        "head_repository": { "full_name": "mallory/shop" },
    } });
    // What an artifact has brought, and what somebody has left there.
    let bare = tempfile::tempdir().unwrap();
    write(bare.path(), &[("layergate.toml", LAX), ("limits.toml", LAX), (".github/layergate.toml", LAX)]);
    let change = Change { event: "workflow_run", payload, ..change };
    let evaluate = |more: &[&str]| {
        let mut command = change.command(&[&["report", &report, "--comment", "never"], more].concat());
        command.current_dir(bare.path()).env("GITHUB_WORKSPACE", bare.path());
        Run::of(command.env("GITHUB_REF", "refs/heads/main"))
    };
    let none = evaluate(&[]).expect(2);
    assert!(none.stderr.contains("there are no limits here"), "{}", none.stderr);
    evaluate(&["--config", "limits.toml"]).expect(2);
    evaluate(&["--config", &bare.path().join("limits.toml").display().to_string()]).expect(2);
    change.github.world().files = vec![("main", "layergate.toml", MAX), ("main", "limits.toml", LAX)];
    evaluate(&[]).expect(1);
    evaluate(&["--config", "limits.toml"]).expect(0);
    change.github.fail(Fault { path: "/contents/", status: 500, ..Fault::default() });
    evaluate(&[]).expect(3);
}

/// A list of the files of a layer, as a store has it: one file of so many bytes.
fn put_list(store: &Path, diff_id: &str, bytes: u64) -> PathBuf {
    let id = DiffId::parse(diff_id).unwrap();
    let file_list =
        FileList { marks: Some(Vec::new()), ..FileList::of(vec![Entry::File("a".into(), Bytes(bytes))]) };
    let path = store.join("file-lists").join(&id.hex()[..2]).join(format!("{}.json.zst", id.hex()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, packed::pack(&id, &file_list).unwrap()).unwrap();
    path
}

/// An image of one layer of so many bytes, that compress well or not at all; its diff ID.
fn one_layer(directory: &Path, bytes: usize, compresses: bool) -> (String, FakeLayer) {
    let mut state = 88_172_645_463_325_252_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    let content = if compresses { vec![b'x'; bytes] } else { noise.take(bytes).collect() };
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "a", content.as_slice()).unwrap();
    let layer = FakeLayer::gzip(&tar.into_inner().unwrap(), "COPY a /");
    let name = if compresses { "soft" } else { "hard" };
    let layout = oci_layout(&directory.join(name), std::slice::from_ref(&layer));
    (format!("app={}", layout.display()), layer)
}

#[test]
fn committed_files_are_not_a_store() {
    let change = Change::new(&[], &[("README", "x")]);
    let refused = |change: &Change, store: &str, file: &str| {
        for command in ["check", "record", "history"] {
            let image = if command == "history" { "app".to_owned() } else { change.image(120_000) };
            let arguments = [command, &image, "--store", store];
            let run =
                Run::of(change.command(&arguments).env("LAYERGATE_ALLOW_PULL_REQUEST", "true")).expect(2);
            let words = format!("git tracks {file}");
            assert!(run.stderr.contains(&words), "{words}: {}", run.stderr);
            assert!(run.stderr.contains("Files of the checkout cannot be a store"), "{}", run.stderr);
        }
    };
    let digest = "0".repeat(64);
    let list = format!(".layergate/file-lists/00/{digest}.json.zst");
    for (files, store, file) in [
        (vec![(list.as_str(), "x")], "dir:.layergate", list.as_str()),
        (
            vec![(".layergate/records/no-commit/app/linux%2famd64.json", "{}")],
            "dir:./.layergate/",
            ".layergate/records",
        ),
        // One file is enough, also if it is no part of a store.
        (vec![("data/a/notes", "x")], "dir:data/a", "data/a/notes"),
    ] {
        refused(&Change::new(&[], &files), store, file);
    }
    // Not by a link, to a directory that is committed or to any other, nor below one.
    let link = |to: &str| {
        let checkout = &change.checkout;
        drop(fs::remove_file(checkout.path().join("cache")));
        std::os::unix::fs::symlink(to, checkout.path().join("cache")).unwrap();
        write(checkout.path(), &[("data/store/x", "x")]);
        commit(checkout, "link");
    };
    link("data");
    refused(&change, "dir:cache", "cache");
    refused(&change, "dir:cache/store", "cache");
    link(&change.elsewhere.path().display().to_string());
    refused(&change, "dir:cache/store", "cache");
    // Nor where what is committed looks like a repository of its own.
    let hidden = Change::new(
        &[],
        &[
            ("a/HEAD", "ref: refs/heads/main\n"),
            ("a/config", "[core]\nbare = true\n"),
            ("a/objects/x", "x"),
            ("a/refs/x", "x"),
            ("a/store/x", "x"),
        ],
    );
    refused(&hidden, "dir:a/store", "a/store/x");
    // Outside of GitHub as well.
    let run = Run::of(
        layergate().current_dir(change.checkout.path()).args(["history", "app", "--store", "dir:data"]),
    );
    assert!(run.expect(2).stderr.contains("git rm -r --cached"));
    // What git does not track is nobody's but the job's.
    write(change.checkout.path(), &[("made/x", "x")]);
    change.check(&["--store", "dir:made"]).expect(0);
    // Without git nobody knows.
    let mut blind = change.command(&["check", &change.image(120_000), "--store", "dir:data"]);
    let run = Run::of(blind.env("PATH", "/nonexistent")).expect(2);
    assert!(
        run.stderr.contains("without git it is unknown which files come from the repository"),
        "{}",
        run.stderr
    );
}

/// In Actions, with no store named: what a pull request commits where a store would be is not even looked at.
#[test]
fn a_committed_store_is_nothing_where_none_is_named() {
    let change = Change::new(&[("layergate.toml", MAX)], &[("README", "x")]);
    let (app, layer) = one_layer(change.elsewhere.path(), 200_000, true);
    let own = change.checkout.path().join(".layergate");
    // A list that makes the layer small, and a record of a large image for the base commit.
    put_list(&own, &layer.diff_id, 1);
    let large = change.image(6_000_000);
    let own_store = format!("dir:{}", own.display());
    let mut record = layergate();
    record.current_dir(change.elsewhere.path()).args(["record", &large, "--store", &own_store]);
    Run::of(record.args(["--commit", &change.base])).expect(0);
    drop(fs::remove_file(own.join(".gitignore")));
    commit(&change.checkout, "poison");
    assert!(change.checkout.git(&["ls-files"]).contains(".layergate/file-lists/"));
    let check = |image: &str, more: &[&str]| {
        let arguments = [&["check", image, "--no-cache", "--comment", "never"], more].concat();
        Run::of(change.command(&arguments).env_remove("LAYERGATE_STORE"))
    };
    for more in [&["--max-size", "100 kB"][..], &["--max-size", "100 kB", "--verify"]] {
        let run = check(&app, more).expect(1);
        assert!(!run.stderr.contains("taken from the baseline store"), "{}", run.stderr);
    }
    // No growth is hidden by the record, and where one is required there is none.
    check(&app, &["--max-size", "1 TB", "--max-increase", "5%", "--on-missing-baseline", "fail"]).expect(4);
    // The limits of the target branch hold as they are.
    check(&app, &[]).expect(1);
    // An engine only says which layers an image has.
    let engine = FakeEngine::start(Capture::of("docker-20.10", "edge-v1"));
    engine.diff_ids().iter().for_each(|diff_id| drop(put_list(&own, diff_id, 1)));
    commit(&change.checkout, "more");
    let socket = format!("unix://{}", engine.directory().join("engine.sock").display());
    check("app=docker-daemon:edge:v1", &["--max-size", "1 MB", "--engine", &socket]).expect(1);
}

#[test]
fn a_committed_file_is_no_baseline() {
    let directory = tempfile::tempdir().unwrap();
    let large = image(directory.path(), "large", 120_000);
    let snapshot = directory.path().join("s.json").display().to_string();
    Run::of(layergate().args(["inspect", large.strip_prefix("app=").unwrap(), "-o", &snapshot])).expect(0);
    let snapshot = fs::read_to_string(&snapshot).unwrap();
    let change = Change::new(&[("sizes/app.json", "{}")], &[("sizes/app.json", &snapshot)]);
    let check = |baseline: &str| change.check(&["--max-increase", "1%", "--baseline", baseline]);
    for baseline in ["sizes/app.json", "app=snapshot:sizes/../sizes/app.json"] {
        let run = check(baseline).expect(2);
        assert!(run.stderr.contains("git tracks sizes/app.json"), "{}", run.stderr);
    }
    // One that the job has made or fetched is its own.
    write(change.checkout.path(), &[("made.json", &snapshot)]);
    check("made.json").expect(0);
    // Outside of a pull request, whoever runs it has committed the file.
    let mut outside = layergate();
    outside.current_dir(change.checkout.path()).args(["check", &large, "--baseline", "sizes/app.json"]);
    Run::of(&mut outside).expect(0);
}

#[test]
fn a_committed_report_is_not_put_together_with_those_of_the_jobs() {
    let base = Change::new(&[], &[]);
    let saved = base.elsewhere.path().join("saved.json").display().to_string();
    base.check(&["--max-size", "110 kB", "--report", &saved, "--comment", "never"]).expect(1);
    let text = fs::read_to_string(&saved).unwrap();
    // It brings no image, and a way to accept.
    let mut forged: Value = serde_json::from_str(&text).unwrap();
    forged["images"][0]["name"] = json!("other");
    forged["accept"] = json!({ "labels": ["dependencies"], "trailer": null, "max_increase": null });
    for committed in ["reports/forged.json", "reports/api/forged.json"] {
        let change = Change::new(&[], &[(committed, &forged.to_string())]);
        write(change.checkout.path(), &[("reports/own/report.json", &text)]);
        for named in ["reports", "./reports/own/..", committed] {
            let run = Run::of(&mut change.command(&["report", named, "--comment", "never"])).expect(2);
            assert!(run.stderr.contains(&format!("git tracks {committed}")), "{}", run.stderr);
        }
        let own = change.command(&["report", "reports/own", "--comment", "never"]).output().unwrap();
        assert_ne!(own.status.code(), Some(2));
    }
}

#[test]
fn an_image_that_says_it_is_for_another_platform_escapes_no_limit_that_is_named() {
    let target = format!(
        "{MAX}max-increase = \"1%\"\n[images.app.platforms.\"linux/riscv64\"]\nmax-size = \"1 TB\"\n"
    );
    let change = Change::new(&[("layergate.toml", &target)], &[]);
    let layer = FakeLayer::gzip(&tar_of(&[Item::File("a", 120_000)]), "COPY a /");
    let path = change.elsewhere.path().join("other");
    let layout = configured_layout(&path, &[layer], |config| config["architecture"] = json!("riscv64"));
    let other = format!("app={}", layout.display());
    let check =
        |more: &[&str]| Run::of(&mut change.command(&[&["check", &other, "--no-cache"], more].concat()));
    let warned = check(&[]).expect(0);
    assert!(warned.stdout.contains("linux/amd64"), "{}", warned.stdout);
    check(&["--on-missing-baseline", "fail"]).expect(4);
    check(&["--platform", "linux/amd64"]).expect(3);
}

#[test]
fn no_layer_is_taken_on_the_word_of_a_directory_in_the_checkout() {
    let change = Change::new(&[], &[]);
    let (app, layer) = one_layer(change.elsewhere.path(), 200_000, true);
    let check = |store: &Path, more: &[&str]| {
        put_list(store, &layer.diff_id, 1);
        let store = format!("dir:{}", store.display());
        let arguments = ["check", &app, "--max-size", "1 kB", "--store", &store, "--no-cache"];
        Run::of(&mut change.command(&[&arguments, more].concat()))
    };
    let inside = check(&change.checkout.path().join("made"), &[]).expect(1);
    assert!(!inside.stderr.contains("taken from the baseline store"), "{}", inside.stderr);
    // Where no git is, all of the workspace may be the checkout.
    let workspace = tempfile::tempdir().unwrap();
    let store = workspace.path().join("made");
    put_list(&store, &layer.diff_id, 1);
    let arguments = ["check", &app, "--max-size", "1 kB", "--store", "dir:made", "--no-cache"];
    let mut bare = change.command(&arguments);
    Run::of(bare.current_dir(workspace.path()).env("GITHUB_WORKSPACE", workspace.path())).expect(1);
    // One elsewhere is the word of whoever may write there, and that is said.
    let outside = change.elsewhere.path().join("other");
    let taken = check(&outside, &[]).expect(0);
    let words =
        "app: 1 of 1 layers were taken from the baseline store without reading them; --verify reads them all";
    assert!(taken.stderr.contains(words), "{}", taken.stderr);
    let verified = check(&outside, &["--verify"]).expect(1);
    assert!(!verified.stderr.contains("taken from the baseline store"), "{}", verified.stderr);
}

#[test]
fn lists_that_cannot_be_true_are_not_used() {
    let change = Change::new(&[], &[]);
    let (app, layer) = one_layer(change.elsewhere.path(), 200_000, false);
    let store = change.elsewhere.path().join("other");
    for (bytes, code, taken) in [(1, 1, false), (150_000, 1, false), (200_000, 1, true)] {
        put_list(&store, &layer.diff_id, bytes);
        let named = format!("dir:{}", store.display());
        let arguments = ["check", &app, "--max-size", "190 kB", "--store", &named, "--no-cache"];
        let run = Run::of(&mut change.command(&arguments)).expect(code);
        assert_eq!(run.stderr.contains("taken from the baseline store"), taken, "{bytes}: {}", run.stderr);
    }
}

/// A record on the branch of baselines that says another size of a layer than its list of files.
#[test]
fn lists_that_disagree_with_their_record_are_not_used() {
    let github = FakeGithub::start();
    let directory = tempfile::tempdir().unwrap();
    let (app, _) = one_layer(directory.path(), 200_000, true);
    let base = "b".repeat(40);
    let run = |arguments: &[&str]| Run::of(in_run(&github, directory.path(), "push").args(arguments));
    run(&["record", &app, "--commit", &base]).expect(0);
    let registry = FakeRegistry::start(Path::new(app.strip_prefix("app=").unwrap()), Faults::default());
    let remote = format!("app=docker://{}/team/app:1", registry.address);
    let taken = |more: &[&str]| {
        let arguments = ["check", &remote, "--base-commit", &base, "--max-size", "1 kB", "--no-cache"];
        run(&[&arguments, more].concat())
            .expect(1)
            .stderr
            .contains("1 of 1 layers were taken from the baseline store")
    };
    assert!(taken(&[]) && !taken(&["--verify"]));
    rewrite_record(&github, |record| record["layers"][0]["size"] = json!(7));
    assert!(!taken(&[]));
}

/// A record and its list that agree on a lie: what a layer holds is then the word of whoever may write to the store, which
/// is said, and holds until the layer is read.
#[test]
fn a_record_and_its_list_that_agree_are_the_word_of_the_store() {
    let github = FakeGithub::start();
    let directory = tempfile::tempdir().unwrap();
    let (app, layer) = one_layer(directory.path(), 200_000, true);
    let base = "b".repeat(40);
    let run = |arguments: &[&str]| Run::of(in_run(&github, directory.path(), "push").args(arguments));
    run(&["record", &app, "--commit", &base]).expect(0);
    let registry = FakeRegistry::start(Path::new(app.strip_prefix("app=").unwrap()), Faults::default());
    let remote = format!("app=docker://{}/team/app:1", registry.address);
    let check = |more: &[&str]| {
        let arguments = ["check", &remote, "--base-commit", &base, "--max-size", "1 kB", "--no-cache"];
        run(&[&arguments, more].concat())
    };
    let lie = fs::read(put_list(&directory.path().join("lies"), &layer.diff_id, 1)).unwrap();
    rewrite_branch(&github, Some(&lie), |record| {
        record["layers"][0]["size"] = json!(1);
        for (total, bytes) in [("uncompressed", 1), ("flattened", 1), ("wasted", 0)] {
            record["totals"][total] = json!(bytes);
        }
    });
    let taken = check(&[]).expect(0);
    let words =
        "app: 1 of 1 layers were taken from the baseline store without reading them; --verify reads them all";
    assert!(taken.stderr.contains(words), "{}", taken.stderr);
    let verified = check(&["--verify"]).expect(1);
    assert!(!verified.stderr.contains("taken from the baseline store"), "{}", verified.stderr);
    // A layer that is larger as it is stored than what the list says can be read, is read.
    let (hard, other) = one_layer(directory.path(), 200_001, false);
    run(&["record", &hard, "--commit", &"c".repeat(40)]).expect(0);
    let lie = fs::read(put_list(&directory.path().join("lies"), &other.diff_id, 1)).unwrap();
    let id = DiffId::parse(&other.diff_id).unwrap();
    assert!(packed::unpack(&lie, &id).is_some_and(|list| !list.may_fill(other.blob.len() as u64)));
}

/// Changes the one record on the branch of the baselines, as whoever may write there could.
fn rewrite_record(github: &FakeGithub, change: impl Fn(&mut Value)) {
    rewrite_branch(github, None, change);
}

/// The same, with another list of the files of its one layer.
fn rewrite_branch(github: &FakeGithub, list: Option<&[u8]>, change: impl Fn(&mut Value)) {
    let repository = github.repository();
    let git = |arguments: &[&str], input: &[u8]| {
        String::from_utf8(repository.git(arguments, input).unwrap()).unwrap().trim().to_owned()
    };
    let listed = git(&["ls-tree", "-r", BRANCH], b"");
    let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
    let sha_of = |line: &str| line.split([' ', '\t']).nth(2).unwrap().to_owned();
    let position = |lines: &[String], part: &str| lines.iter().position(|line| line.contains(part)).unwrap();
    let write = |content: &[u8]| git(&["hash-object", "-w", "--stdin"], content);
    let lists = list.map(|list| {
        use base64::Engine as _;
        let at = position(&lines, "\tfile-lists/");
        let lists =
            (sha_of(&lines[at]), write(base64::engine::general_purpose::STANDARD.encode(list).as_bytes()));
        lines[at] = lines[at].replace(&lists.0, &lists.1);
        lists
    });
    let at = position(&lines, "\trecords/");
    let before = sha_of(&lines[at]);
    let mut record: Value = serde_json::from_str(&git(&["cat-file", "blob", &before], b"")).unwrap();
    change(&mut record);
    let record = match lists {
        Some((old, new)) => record.to_string().replace(&old, &new),
        None => record.to_string(),
    };
    let after = write(record.as_bytes());
    lines[at] = lines[at].replace(&before, &after);
    let at = position(&lines, "\timages/");
    let index = git(&["cat-file", "blob", &sha_of(&lines[at])], b"").replace(&before, &after);
    let own = write(index.as_bytes());
    lines[at] = lines[at].replace(&sha_of(&lines[at]), &own);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::remove_file(file.path()).unwrap();
    let input = lines.join("\n") + "\n";
    let tree = with_index(repository.path(), file.path(), &["update-index", "--index-info"], &input)
        + &with_index(repository.path(), file.path(), &["write-tree"], "");
    let commit = git(&["commit-tree", tree.trim()], b"rewritten");
    git(&["update-ref", BRANCH, &commit], b"");
}

fn with_index(repository: &Path, index: &Path, arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(repository).env("GIT_INDEX_FILE", index).args(arguments);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_recorded_was_hashed_by_that_run() {
    let directory = tempfile::tempdir().unwrap();
    let (app, layer) = one_layer(directory.path(), 200_000, true);
    let cache = directory.path().join("cache");
    let run = |arguments: &[&str]| {
        let mut command = layergate();
        command.current_dir(directory.path()).args(arguments).arg("--cache-dir").arg(&cache);
        Run::of(&mut command)
    };
    // Whoever may write to the cache of a runner, or to what is restored as it, says that the layer is small.
    run(&["inspect", app.strip_prefix("app=").unwrap(), "--verify"]).expect(0);
    let cached =
        cache.join("v1/layers").join(&layer.diff_id[7..9]).join(format!("{}.json.zst", &layer.diff_id[7..]));
    assert!(cached.is_file());
    let lie = put_list(&directory.path().join("lies"), &layer.diff_id, 1);
    fs::copy(lie, &cached).unwrap();
    let commit = "c".repeat(40);
    let recorded = run(&["record", &app, "--commit", &commit, "--store", "dir:store"]).expect(0);
    assert!(recorded.stdout.contains("200 kB"), "{}", recorded.stdout);
    let lists = |store: &str| walk(&directory.path().join(store).join("file-lists")).len();
    assert_eq!(lists("store"), 1);
    // Of a snapshot in a file, and of what an engine says, no layer was seen.
    let snapshot = directory.path().join("s.json").display().to_string();
    run(&["inspect", app.strip_prefix("app=").unwrap(), "--output", &snapshot]).expect(0);
    let inspected = format!("app=inspect:{}", fixture("engines/docker-20.10/edge-v1.inspect.json"));
    for (image, store) in [(format!("app=snapshot:{snapshot}"), "of-snapshot"), (inspected, "of-engine")] {
        run(&["record", &image, "--commit", &commit, "--store", &format!("dir:{store}")]).expect(0);
        assert_eq!(lists(store), 0, "{store}");
    }
}

/// The files below a directory.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn by_default_baselines_are_on_a_branch_in_actions_and_in_a_directory_that_git_ignores_elsewhere() {
    let change = Change::new(&[], &[]);
    let here = |arguments: &[&str]| Run::of(layergate().current_dir(change.checkout.path()).args(arguments));
    let app = change.image(120_000);
    here(&["record", &app]).expect(0);
    let ignored = fs::read_to_string(change.checkout.path().join(".layergate/.gitignore")).unwrap();
    assert_eq!(ignored, "*\n");
    assert_eq!(change.checkout.git(&["status", "--porcelain"]), "");
    here(&["check", &app, "--max-increase", "1%"]).expect(0);
    // A directory elsewhere is left as it is.
    assert!(!change.elsewhere.path().join("store/.gitignore").exists());
    let mut record = change.command(&["record", &app]);
    let recorded =
        Run::of(record.env_remove("LAYERGATE_STORE").env("LAYERGATE_ALLOW_PULL_REQUEST", "true")).expect(0);
    assert!(recorded.stdout.contains("in git:layergate-baselines"), "{}", recorded.stdout);
}

/// The file of tests of that name, in whichever folder.
fn source_of(tests: &Path, name: &str) -> String {
    let folders = fs::read_dir(tests).unwrap().map(|folder| folder.unwrap().path());
    let mut files = folders.map(|folder| folder.join(format!("{name}.rs"))).filter(|file| file.exists());
    let (file, other) = (files.next(), files.next());
    assert!(other.is_none(), "{name} is two files");
    fs::read_to_string(file.unwrap_or_else(|| panic!("no file {name}.rs"))).unwrap()
}

/// The table of the threat model has a test in each row, and each of those is there.
#[test]
fn each_row_of_the_threat_model_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let table =
        text.split("| input | who can write it | what it decides | what stops it | test |").nth(1).unwrap();
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 20, "{}", rows.len());
    let mut named = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 5, "{row}");
        let tests: Vec<&str> = cells[4].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row}");
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = source_of(&root.join("tests/it"), file);
            let head = source.split(&format!("fn {name}() {{")).next().unwrap();
            let attributes = head.rsplit("\n\n").next().unwrap();
            assert!(head.len() < source.len() && attributes.contains("#[test]\n"), "{test} is no test");
            named.insert(test);
        }
    }
    assert!(named.len() >= 20, "{named:?}");
}
