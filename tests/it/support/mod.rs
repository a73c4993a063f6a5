//! Runs the program, and makes images to run it on.

pub mod act;
pub mod apps;
pub mod engine;
pub mod exchanges;
pub mod fake_content;
pub mod fake_engine;
pub mod fake_fleet;
pub mod fake_git;
pub mod fake_github;
pub mod fake_registry;
pub mod github_documents;
pub mod open_registry;
pub mod schema;
pub mod tarball;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::schema::Watch;

/// A file of `tests/fixtures`.
pub fn fixture(path: &str) -> String {
    format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// The program in an empty environment, so that nothing of the test machine has an effect. The checkout of this package
/// may change while tests run, and no test image is built from it.
pub fn layergate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layergate"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LAYERGATE_ALLOW_DIRTY", "true");
    command
}

/// What a run of the program did.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Runs a command. Documents that layergate writes are validated against their schemas.
    #[track_caller]
    pub fn of(command: &mut Command) -> Run {
        let watch = Watch::of(command);
        let run = Run::unwatched(command);
        if let Some(watch) = watch {
            watch.check(run.code, &run.stdout);
        }
        run
    }

    pub fn unwatched(command: &mut Command) -> Run {
        Run::from(command.output().unwrap())
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Run {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: spaced(&String::from_utf8(output.stdout).unwrap()),
            stderr: spaced(&String::from_utf8(output.stderr).unwrap()),
        }
    }
}

/// A text with plain spaces between numbers and their units. `golden::a_number_and_its_unit_stay_on_one_line` tests
/// that no line breaks there.
pub fn spaced(text: &str) -> String {
    text.replace('\u{a0}', " ")
}

/// Writes a program to run. Another process writes it: a file that this process had open would also be open in whatever
/// another test starts at that moment, and could not be run meanwhile.
pub fn write_program(path: &Path, text: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(path).arg(text);
    Run::of(&mut shell).expect(0);
}

/// Runs the program in this package's directory.
pub fn run(arguments: &[&str]) -> Run {
    Run::of(layergate().args(arguments))
}

/// The cost of a run of the program. Processor time rather than elapsed time, because other tests run beside it.
#[derive(Debug)]
pub struct Cost {
    /// The most memory, in KiB.
    pub peak: u64,
    pub work: Duration,
    pub stderr: String,
}

impl Cost {
    /// The cost of a run that ends with this exit code.
    #[track_caller]
    pub fn of(arguments: &[&str], code: i32) -> Cost {
        Cost::with(&[], arguments, code)
    }

    /// The same, with variables set.
    #[track_caller]
    pub fn with(variables: &[(&str, &str)], arguments: &[&str], code: i32) -> Cost {
        let script = "import resource, subprocess, sys\n\
                      code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n\
                      used = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
                      print(used.ru_maxrss, used.ru_utime + used.ru_stime)\n\
                      sys.exit(code)";
        let program = env!("CARGO_BIN_EXE_layergate");
        let mut command = Command::new("python3");
        command.args(["-c", script, program]).args(arguments).envs(variables.iter().copied());
        let run = Run::of(&mut command).expect(code);
        let (peak, work) = run.stdout.trim().split_once(' ').unwrap();
        let (peak, work) = (peak.parse().unwrap(), Duration::from_secs_f64(work.parse().unwrap()));
        Cost { peak, work, stderr: run.stderr }
    }
}

/// The log of a server that logs each request after answering it, once nothing more arrives.
pub fn settled(log: &Path) -> String {
    let logged = || String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
    let mut before = String::new();
    while before != logged() {
        before = logged();
        std::thread::sleep(Duration::from_millis(300));
    }
    before
}

/// Fails a test whose environment lacks what it needs. These tests are ignored unless `tests/run` runs them, so that
/// none passes without having tested anything.
pub fn skip(what: &str, why: &str) {
    panic!("{what}: {why}; tests/run sets everything up");
}

pub fn hex_sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub enum Item<'a> {
    File(&'a str, u64),
    Dir(&'a str),
    Link(&'a str, &'a str),
}

/// A tar of files, each with its mode.
pub fn tar_with_modes(files: &[(impl AsRef<str>, u32, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path.as_ref(), content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A tar of generated files.
pub fn tar_of(items: &[Item<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match item {
            Item::File(path, size) => {
                header.set_size(*size);
                tar.append_data(&mut header, path, std::io::repeat(b'x').take_exactly(*size)).unwrap();
            }
            Item::Dir(path) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                tar.append_data(&mut header, path, std::io::empty()).unwrap();
            }
            Item::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                header.set_size(0);
                tar.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    tar.into_inner().unwrap()
}

trait TakeExactly: Sized {
    fn take_exactly(self, size: u64) -> std::io::Take<Self>;
}

impl<R: std::io::Read> TakeExactly for R {
    fn take_exactly(self, size: u64) -> std::io::Take<R> {
        self.take(size)
    }
}

pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A layer of a generated image: its blob, its media type and its history entry.
#[derive(Clone)]
pub struct FakeLayer {
    pub diff_id: String,
    pub blob: Vec<u8>,
    pub media_type: String,
    pub created_by: String,
}

impl FakeLayer {
    pub fn gzip(tar: &[u8], created_by: &str) -> FakeLayer {
        FakeLayer {
            diff_id: format!("sha256:{}", hex_sha256(tar)),
            blob: gzip(tar),
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
            created_by: created_by.into(),
        }
    }

    pub fn plain(tar: &[u8], created_by: &str) -> FakeLayer {
        let media_type = "application/vnd.oci.image.layer.v1.tar".into();
        FakeLayer { blob: tar.to_vec(), media_type, ..FakeLayer::gzip(tar, created_by) }
    }

    pub fn zstd(tar: &[u8], created_by: &str) -> FakeLayer {
        let media_type = "application/vnd.oci.image.layer.v1.tar+zstd".into();
        FakeLayer { blob: zstd::encode_all(tar, 3).unwrap(), media_type, ..FakeLayer::gzip(tar, created_by) }
    }
}

/// Writes an OCI layout of one image, for linux/amd64.
pub fn oci_layout(directory: &Path, layers: &[FakeLayer]) -> PathBuf {
    let blobs = Blobs::at(directory);
    let manifest = blobs.put_image(layers, "linux/amd64");
    blobs.finish(&json!([manifest]))
}

/// Writes an OCI layout of one image, with a changed config.
pub fn configured_layout(directory: &Path, layers: &[FakeLayer], change: impl Fn(&mut Value)) -> PathBuf {
    let blobs = Blobs::at(directory);
    let mut config = config_of(layers, "linux/amd64");
    change(&mut config);
    let manifest = blobs.put_manifest(&config, layers);
    blobs.finish(&json!([manifest]))
}

/// Writes an OCI layout of one image for several platforms, behind an inner index.
pub fn platforms_layout(directory: &Path, images: &[(&str, Vec<FakeLayer>)]) -> PathBuf {
    let blobs = Blobs::at(directory);
    let manifest = |(platform, layers): &(&str, Vec<FakeLayer>)| {
        let mut manifest = blobs.put_image(layers, platform);
        let (os, architecture) = platform.split_once('/').unwrap();
        manifest["platform"] = json!({ "os": os, "architecture": architecture });
        manifest
    };
    let manifests: Vec<Value> = images.iter().map(manifest).collect();
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    let index = blobs.put(index.to_string().as_bytes(), "application/vnd.oci.image.index.v1+json");
    blobs.finish(&json!([index]))
}

/// The config of an image for a platform, as `os/arch`.
pub fn config_of(layers: &[FakeLayer], platform: &str) -> Value {
    let (os, architecture) = platform.split_once('/').unwrap();
    json!({
        "architecture": architecture,
        "os": os,
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|l| &l.diff_id).collect::<Vec<_>>() },
        "history": layers.iter().map(|l| json!({ "created_by": l.created_by })).collect::<Vec<_>>(),
    })
}

/// An OCI layout that is being written.
pub struct Blobs(PathBuf);

impl Blobs {
    pub fn at(directory: &Path) -> Blobs {
        std::fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        Blobs(directory.to_path_buf())
    }

    /// Stores a blob, and returns its descriptor.
    pub fn put(&self, content: &[u8], media_type: &str) -> Value {
        let hex = hex_sha256(content);
        std::fs::write(self.0.join("blobs/sha256").join(&hex), content).unwrap();
        json!({ "mediaType": media_type, "digest": format!("sha256:{hex}"), "size": content.len() })
    }

    /// Stores an image.
    pub fn put_image(&self, layers: &[FakeLayer], platform: &str) -> Value {
        self.put_manifest(&config_of(layers, platform), layers)
    }

    /// Stores an image with this config.
    pub fn put_manifest(&self, config: &Value, layers: &[FakeLayer]) -> Value {
        let config = self.put(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
        let layers: Vec<Value> =
            layers.iter().map(|layer| self.put(&layer.blob, &layer.media_type)).collect();
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        self.put(manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json")
    }

    /// Writes the list of everything in it.
    pub fn finish(self, manifests: &Value) -> PathBuf {
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        std::fs::write(self.0.join("index.json"), index.to_string()).unwrap();
        std::fs::write(self.0.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        self.0
    }
}

/// The blob files of a layout, largest first.
pub fn blobs_by_size(layout: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
    files
}
