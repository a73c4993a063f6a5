//! Several images of one run, measured at once, and images that are read while they are written.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::engine::Modern;
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, run, tar_of};

/// How long what takes a moment may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An archive of two layers; the first one packs badly.
fn archive(directory: &Path, name: &str, bytes: usize) -> PathBuf {
    let mut state = 1_u32;
    let noise = std::iter::from_fn(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((state >> 24) as u8)
    });
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes as u64);
    tar.append_data(&mut header, "noise", noise.take(bytes).collect::<Vec<u8>>().as_slice()).unwrap();
    let layers = [
        FakeLayer::gzip(&tar.into_inner().unwrap(), "COPY noise /"),
        FakeLayer::gzip(&tar_of(&[Item::File(name, 1000)]), "COPY name /"),
    ];
    let layout = oci_layout(&directory.join(name), &layers);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", &layout).unwrap();
    let path = directory.join(format!("{name}.tar"));
    fs::write(&path, tar.into_inner().unwrap()).unwrap();
    path
}

/// The end of a process; one that goes on for too long is killed.
#[track_caller]
fn end_of(child: Child) -> Run {
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => Run::from(output),
        Err(_) => {
            let _ = Command::new("kill").arg(id.to_string()).status();
            panic!("it waits for one image before it reads the other");
        }
    }
}

fn start(directory: &Path, arguments: &[&str]) -> Child {
    let mut command = layergate();
    command
        .current_dir(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The first image comes through a pipe that nobody writes to before the second one has been read.
#[test]
fn no_image_waits_for_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let archives = ["one", "two"].map(|name| archive(directory.path(), name, 300_000));
    for pipe in ["first", "second"] {
        Run::of(Command::new("mkfifo").arg(path(pipe))).expect(0);
    }
    let images = [format!("one={}", path("first")), format!("two={}", path("second"))];
    let options = ["--store", "dir:store", "--max-size", "310 kB", "--format", "json"];
    let child = start(directory.path(), &[&["check", &images[0], &images[1]][..], &options].concat());
    let content = archives.map(|path| fs::read(path).unwrap());
    let (second, first) = (path("second"), path("first"));
    thread::spawn(move || {
        for (pipe, content) in [(second, &content[1]), (first, &content[0])] {
            OpenOptions::new().write(true).open(pipe).unwrap().write_all(content).unwrap();
        }
    });
    let checked = end_of(child).expect(0);
    let report = checked.json();
    let names = report["images"].as_array().unwrap().iter().map(|image| image["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["one", "two"], "in the order in which they are named");
}

#[test]
fn the_first_image_that_cannot_be_read_is_named_and_nothing_waits() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    archive(directory.path(), "good", 3_000);
    Run::of(Command::new("mkfifo").arg(path("silent"))).expect(0);
    fs::write(path("bad.tar"), "no archive").unwrap();
    let images = [path("good.tar"), path("bad.tar"), path("silent")];
    let images = images.each_ref().map(String::as_str);
    let options = ["check", "--store", "dir:store", "--max-size", "1 GB"];
    let failed = end_of(start(directory.path(), &[&options[..], &images].concat())).expect(3);
    assert!(failed.stderr.contains("bad.tar"), "{}", failed.stderr);
}

#[test]
fn an_archive_on_standard_input_is_read_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = archive(directory.path(), "web", 3_000_000);
    let content = fs::read(&path).unwrap();
    let expected = run(&["inspect", "--format", "json", &path.display().to_string()]).expect(0).json();
    let mut child = start(directory.path(), &["inspect", "--format", "json", "web=-"]);
    let mut input = child.stdin.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    // A pipe holds 64 KiB: that all but the end is gone shows that somebody reads.
    let (most, end) = content.split_at(content.len() - 600);
    let (most, end) = (most.to_vec(), end.to_vec());
    thread::spawn(move || {
        input.write_all(&most).unwrap();
        sender.send(()).unwrap();
        input.write_all(&end).unwrap();
    });
    receiver.recv_timeout(PATIENCE).expect("nobody reads before the end");
    let read = end_of(child).expect(0).json();
    assert_eq!(read["totals"], expected["totals"]);
    assert_eq!(read["image"]["name"], "web");
}

#[test]
fn standard_input_holds_one_image() {
    for arguments in [&["check", "a=-", "b=-"][..], &["check", "-", "--baseline", "-"], &["diff", "-", "-"]] {
        let refused = run(arguments).expect(2);
        assert!(refused.stderr.contains("standard input"), "{arguments:?}: {}", refused.stderr);
    }
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn a_build_is_checked_while_it_is_written() {
    let Some(modern) = Modern::containerd("a build that is piped in") else { return };
    let context = modern.context(
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n",
    );
    modern.shell(
        &context,
        "docker buildx build --quiet --network host --allow network.host --output type=oci,dest=saved.tar .",
    );
    let expected = run(&["inspect", "--format", "json", &context.path("saved.tar")]).expect(0).json();
    let script = r#"
      "$0" run "$1" sh -c "cd '$2'; docker buildx build --network host --allow network.host -o type=oci,dest=- ." |
        "$3" check web=- --store dir:store --max-size '3 MB' --max-layers 2 --format json"#;
    let store = tempfile::tempdir().unwrap();
    let inside = context.path("");
    let inside = format!("/tmp/{}", Path::new(&inside).file_name().unwrap().display());
    let modern_engine = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/modern-engine");
    let program = layergate().get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.current_dir(store.path()).args(["-ec", script, modern_engine]);
    shell.arg(modern.path("")).arg(inside).arg(program);
    let checked = Run::of(&mut shell).expect(0).json();
    let image = &checked["images"][0];
    assert_eq!(image["name"], "web");
    assert_eq!(image["head"]["totals"]["uncompressed"], expected["totals"]["uncompressed"]);
}
