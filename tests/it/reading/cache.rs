//! What is remembered of layers: it saves reading and never changes a number.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{FakeLayer, Item, Run, blobs_by_size, layergate, oci_layout, tar_of};

/// An image of two packed layers, and a cache.
struct Fixture {
    directory: tempfile::TempDir,
    layout: PathBuf,
}

impl Fixture {
    fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let layers = [
            FakeLayer::gzip(&tar_of(&[Item::File("usr/a", 50_000), Item::File("usr/b", 70)]), "COPY . /usr"),
            FakeLayer::zstd(&tar_of(&[Item::File("usr/a", 20), Item::File("usr/.wh.b", 0)]), "RUN strip"),
        ];
        let layout = oci_layout(&directory.path().join("layout"), &layers);
        Fixture { directory, layout }
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn inspect(&self, options: &[&str]) -> Run {
        let mut command = layergate();
        command.args(["inspect", "--format", "json", "--cache-dir"]).arg(self.cache()).args(options);
        Run::of(command.arg(&self.layout))
    }

    /// Makes both layers unreadable without changing their length: whoever reads them fails.
    fn spoil_layers(&self) {
        for blob in blobs_by_size(&self.layout) {
            let content = fs::read(&blob).unwrap();
            if !content.starts_with(b"{") {
                fs::write(&blob, [&content[..12], &vec![0xff; content.len() - 12][..]].concat()).unwrap();
            }
        }
    }

    fn entries(&self) -> Vec<PathBuf> {
        files_below(&self.cache().join("v1/layers"))
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            files.extend(files_below(&entry.path()))
        } else {
            files.push(entry.path())
        }
    }
    files.sort();
    files
}

fn totals(run: Run) -> Value {
    run.expect(0).json()["totals"].take()
}

#[test]
fn a_known_layer_is_not_read_again() {
    let fixture = Fixture::new();
    let expected = totals(fixture.inspect(&["--verify"]));
    assert_eq!(fixture.entries().len(), 2);
    fixture.spoil_layers();
    assert_eq!(totals(fixture.inspect(&[])), expected);
    for option in ["--verify", "--no-cache"] {
        let run = fixture.inspect(&[option]).expect(3);
        assert!(run.stderr.contains("layer "), "{}", run.stderr);
    }
}

#[test]
fn only_hashed_layers_are_remembered() {
    let fixture = Fixture::new();
    fixture.inspect(&[]).expect(0);
    assert_eq!(fixture.entries(), Vec::<PathBuf>::new(), "the layers of a file are not hashed");
    fixture.inspect(&["--verify", "--no-cache"]).expect(0);
    assert!(!fixture.cache().exists());
}

#[test]
fn a_corrupt_entry_is_a_miss_and_is_written_anew() {
    let fixture = Fixture::new();
    let expected = totals(fixture.inspect(&["--verify"]));
    let whole: Vec<Vec<u8>> = fixture.entries().iter().map(|path| fs::read(path).unwrap()).collect();
    let entry = fixture.entries()[0].clone();
    let damages: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("cut off", whole[0][..whole[0].len() / 2].to_vec()),
        ("another layer's", whole[1].clone()),
        ("not packed", b"[]".to_vec()),
        ("no file list", zstd::encode_all(&b"{\"schema\":\"layergate.file-list/v1\"}"[..], 3).unwrap()),
    ];
    for (name, content) in damages {
        fs::write(&entry, content).unwrap();
        assert_eq!(totals(fixture.inspect(&[])), expected, "{name}");
        assert!(!entry.exists(), "{name}: taken away");
        fixture.inspect(&["--verify"]).expect(0);
        assert_eq!(fs::read(&entry).unwrap(), whole[0], "{name}: written anew");
    }
}

#[test]
fn several_processes_share_a_cache() {
    let fixture = Fixture::new();
    let expected = totals(fixture.inspect(&["--no-cache"]));
    let runs = std::thread::scope(|scope| {
        let start = |_| scope.spawn(|| fixture.inspect(&["--verify"]));
        let handles: Vec<_> = (0..12).map(start).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
    });
    for run in runs {
        assert_eq!(totals(run), expected);
    }
    assert_eq!(fixture.entries().len(), 2, "{:?}", fixture.entries());
    fixture.spoil_layers();
    assert_eq!(totals(fixture.inspect(&[])), expected);
}

#[test]
fn what_is_old_or_too_much_goes() {
    let fixture = Fixture::new();
    fixture.inspect(&["--verify"]).expect(0);
    // A run that finds a cache looks whether something has to go, and notes when it did.
    fixture.inspect(&[]).expect(0);
    let [old, new] = fixture.entries().try_into().unwrap();
    let days_ago = |path: &Path, days: u64| {
        let time = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    let large = |name: &str, days| {
        let path = new.with_file_name(name);
        File::create(&path).unwrap().set_len(700 << 20).unwrap();
        days_ago(&path, days);
        path
    };
    let (kept, dropped) = (large("1.json.zst", 2), large("2.json.zst", 3));
    days_ago(&old, 31);
    fixture.inspect(&[]).expect(0);
    assert!(dropped.exists(), "it was pruned less than a day ago");
    days_ago(&fixture.cache().join("v1/pruned"), 2);
    days_ago(&old, 31);
    fixture.inspect(&["--no-cache"]).expect(0);
    assert!(dropped.exists(), "--no-cache leaves it alone");
    fixture.inspect(&[]).expect(0);
    assert!(new.exists() && kept.exists());
    assert!(!old.exists(), "not used for 31 days");
    assert!(!dropped.exists(), "over 1 GiB, and used longest ago");
}

#[test]
fn a_cache_that_cannot_be_written_is_done_without() {
    let fixture = Fixture::new();
    fs::write(fixture.cache(), "a file").unwrap();
    let run = fixture.inspect(&["--verify"]).expect(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn the_cache_is_where_the_user_keeps_caches() {
    let fixture = Fixture::new();
    let home = fixture.directory.path();
    let run = |variables: &[(&str, &Path)]| {
        let mut command = layergate();
        command.current_dir(home).args(["inspect", "--verify"]).envs(variables.iter().copied());
        Run::of(command.arg(&fixture.layout)).expect(0);
    };
    run(&[("XDG_CACHE_HOME", &home.join("xdg"))]);
    assert!(home.join("xdg/layergate/v1/layers").is_dir());
    run(&[("XDG_CACHE_HOME", Path::new("relative")), ("HOME", &home.join("home"))]);
    assert!(!home.join("relative").exists(), "the specification wants it to be absolute");
    let usual = if cfg!(target_os = "macos") { "home/Library/Caches" } else { "home/.cache" };
    assert!(home.join(usual).join("layergate/v1/layers").is_dir());
}

/// The files of unchanged layers come from the baseline.
#[test]
fn what_a_baseline_has_recorded_is_known() {
    let fixture = Fixture::new();
    let store = format!("dir:{}", fixture.directory.path().join("store").display());
    let image = format!("app={}", fixture.layout.display());
    let run = |command: &str| {
        let mut layergate = layergate();
        layergate.current_dir(&fixture.directory).args([command, &image, "--store", &store]);
        Run::of(&mut layergate)
    };
    run("record").expect(0);
    fixture.spoil_layers();
    let checked = run("check").expect(0);
    assert!(checked.stdout.contains("(unchanged)"), "{}", checked.stdout);
}
