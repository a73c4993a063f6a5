//! A branch with a thousand recorded commits: what a record costs, and what finding one does.

use std::io::Write as _;
use std::time::Instant;

use layergate::baseline::branch::BranchStore;
use layergate::github::{Client, Repository};
use layergate::image::snapshot::Commit;
use layergate::image::{Bytes, DiffId, Entry, FileList, Snapshot};

use crate::support::fake_github::FakeGithub;
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, tar_of};

const COMMITS: usize = 1000;
const FILES: usize = 33_000;
/// So many of the commits stay where the old ones are removed; the last of those is looked for.
const KEPT: usize = 100;
const KNOWN: usize = COMMITS - 10;
const BRANCH: &str = "refs/heads/sizes";

fn sha(number: usize) -> String {
    format!("{number:040x}")
}

/// The image of a commit: its second layer differs in ten of a hundred files from the commit before.
fn image_of(number: usize, first: &Snapshot) -> Snapshot {
    let size = |file: usize| 1000 + ((number + 9 - file % 10) / 10) as u64;
    let entries = (0..100).map(|file| Entry::File(format!("app/{file}").as_str().into(), Bytes(size(file))));
    let file_list = FileList::of(entries.collect());
    let mut snapshot = first.clone();
    snapshot.commit = Some(Commit { sha: sha(number), parents: Vec::new(), reference: None, time: None });
    let own = file_list.size().unwrap();
    let layer = &mut snapshot.layers[1];
    snapshot.totals.uncompressed =
        snapshot.totals.uncompressed.map(|all| Bytes(all.0 - layer.size.unwrap().0 + own.0));
    snapshot.totals.flattened = snapshot.totals.uncompressed;
    (layer.size, layer.files) = (Some(own), Some(100));
    layer.diff_id = DiffId::of(format!("{number}").as_bytes());
    layer.file_list = Some(std::sync::Arc::new(file_list));
    snapshot
}

fn store(github: &FakeGithub) -> BranchStore {
    let client = Client::new(&github.url, "ghs_secret-token").unwrap();
    BranchStore::new(Repository::new(client, "acme", "shop"), BRANCH.into())
}

/// Bytes of all objects, as they were written and once Git has packed them.
fn bytes(github: &FakeGithub) -> u64 {
    let text = github.repository().line(&["count-objects", "-v"]).unwrap();
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.parse().unwrap()
    };
    (field("size: ") + field("size-pack: ")) * 1024
}

#[test]
fn a_thousand_commits_cost_little_to_keep_and_six_requests_to_look_one_up() {
    let github = FakeGithub::start();
    let directory = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..FILES).map(|file| format!("usr/lib/{}/file-{file}", file % 300)).collect();
    let base: Vec<Item<'_>> = names.iter().map(|name| Item::File(name, 10)).collect();
    let layers = [
        FakeLayer::plain(&tar_of(&base), "COPY base /"),
        FakeLayer::plain(&tar_of(&[Item::File("app/0", 900)]), "COPY app /app"),
    ];
    let layout = oci_layout(&directory.path().join("layout"), &layers).display().to_string();
    let measured = directory.path().join("snapshot.json");
    Run::of(layergate().args(["inspect", &layout, "--output"]).arg(&measured)).expect(0);
    let first = Snapshot::from_json(&std::fs::read(&measured).unwrap(), 1_000_000).unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all: Vec<Snapshot> = (1..=COMMITS).map(|number| image_of(number, &first)).collect();
    runtime.block_on(async {
        for batch in all[..COMMITS - 10].chunks(90) {
            store(&github).put(batch, None).await.unwrap();
        }
    });
    let (before, started) = (bytes(&github), Instant::now());
    github.world().requests.clear();
    runtime.block_on(async {
        for snapshot in &all[COMMITS - 10..] {
            store(&github).put(std::slice::from_ref(snapshot), None).await.unwrap();
        }
    });
    let (record_ms, record_requests) =
        (started.elapsed().as_millis() / 10, github.world().requests.len() / 10);
    let added = (bytes(&github) - before) / 10;
    // Each puts one more of a thousand commits in the place of the oldest one.
    let mut most = 0;
    let started = Instant::now();
    runtime.block_on(async {
        for number in COMMITS + 1..=COMMITS + KEPT / 4 {
            github.world().requests.clear();
            let keep = std::num::NonZeroUsize::new(KEPT);
            let written = store(&github).put(&[image_of(number, &first)], keep).await.unwrap();
            assert!(written.not_pruned.is_none(), "{:?}", written.not_pruned);
            most = most.max(github.world().requests.len());
        }
    });
    let keep_ms = started.elapsed().as_millis() / (KEPT as u128 / 4);
    github.repository().git(&["gc", "--quiet"], b"").unwrap();
    let packed = bytes(&github) / COMMITS as u64;

    github.world().requests.clear();
    let started = Instant::now();
    let found = runtime.block_on(async {
        let store = store(&github);
        let listed = store.records(&first.image.name, Some(&sha(KNOWN))).await.unwrap();
        store.load(&listed[0]).await.unwrap()
    });
    let (find_ms, requests) = (started.elapsed().as_millis(), github.world().requests.len());
    assert_eq!(found.totals, all[KNOWN - 1].totals);
    assert!(requests <= 6, "{:?}", github.world().requests);
    let _ = writeln!(
        std::io::stderr().lock(),
        "a branch of {COMMITS} commits of {FILES} files: {added} bytes a record as written ({packed} once packed), \
         {record_requests} requests and {record_ms} ms to record, at most {most} and {keep_ms} ms with --keep-last, \
         {requests} requests and {find_ms} ms to find"
    );

    let mut check = layergate();
    check.args(["check", &layout, "--base-commit", &sha(KNOWN), "--store", "git:sizes", "--format", "json"]);
    check.env("GITHUB_REPOSITORY", "acme/shop").env("GITHUB_API_URL", &github.url);
    let report = Run::of(check.env("GITHUB_TOKEN", "ghs_secret-token")).expect(0).json();
    assert_eq!(report["images"][0]["base"]["commit"]["sha"], sha(KNOWN));
    assert_eq!(report["images"][0]["files"]["removed"]["files"], 99, "{}", report["images"][0]["files"]);
}
