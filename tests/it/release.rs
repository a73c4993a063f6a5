//! How a release is made: the scripts that the workflow `release` calls, on what it calls them with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::act::{commit, git};
use crate::support::{Run, skip, write_program};

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A checkout that has what a release's scripts read, at version 0.2.0.
fn checkout() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for part in ["release", "action"] {
        let mut copy = Command::new("cp");
        Run::of(copy.arg("-r").arg(own(part)).arg(directory.path())).expect(0);
    }
    fs::write(directory.path().join("Cargo.toml"), "[package]\nname = \"layergate\"\nversion = \"0.2.0\"\n")
        .unwrap();
    let log = "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [0.2.0]\n\n- new\n\n## [0.1.0]\n\n- old\n";
    fs::write(directory.path().join("CHANGELOG.md"), log).unwrap();
    git(directory.path(), &["init", "--quiet", "--initial-branch", "main"]);
    commit(directory.path(), "what is released");
    directory
}

fn notes(checkout: &Path, version: &str) -> Run {
    Run::of(Command::new(checkout.join("release/notes")).arg(version))
}

#[test]
fn only_a_version_that_is_meant_and_described_is_released() {
    let checkout = checkout();
    assert_eq!(notes(checkout.path(), "0.2.0").expect(0).stdout.trim(), "- new");
    assert!(notes(checkout.path(), "0.3.0").expect(2).stderr.contains("Cargo.toml has the version 0.2.0"));
    fs::write(checkout.path().join("CHANGELOG.md"), "# Changelog\n\n## [0.2.0]\n\n## [0.1.0]\n\n- old\n")
        .unwrap();
    assert!(notes(checkout.path(), "0.2.0").expect(2).stderr.contains("says nothing of 0.2.0"));

    // Of what is here now as well.
    let version = env!("CARGO_PKG_VERSION");
    assert!(!notes(&own("."), version).expect(0).stdout.trim().is_empty());
}

#[test]
fn a_program_that_is_large_broken_or_needs_the_system_is_not_released() {
    let directory = tempfile::tempdir().unwrap();
    let (built, programs) = (directory.path().join("built"), directory.path().join("programs"));
    fs::create_dir(&built).unwrap();
    let take =
        |target: &str| Run::of(Command::new(own("release/program")).arg(&built).arg(&programs).arg(target));
    let compile = |options: &[&str]| {
        let source = directory.path().join("main.c");
        fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let mut gcc = Command::new("gcc");
        Run::of(gcc.args(options).arg("-o").arg(built.join("layergate")).arg(source)).expect(0);
    };
    compile(&["-static"]);
    let run = take(TARGETS[0]).expect(0);
    assert!(run.stdout.contains("layergate-x86_64-unknown-linux-musl: "), "{}", run.stdout);
    assert!(programs.join("layergate-x86_64-unknown-linux-musl").exists());

    compile(&[]);
    assert!(take(TARGETS[1]).expect(1).stderr.contains("is not static"));
    take("aarch64-apple-darwin").expect(0);

    write_program(&built.join("layergate"), "#!/bin/sh\nexit 101\n");
    take(TARGETS[1]).expect(101);
    let large = format!("#!/bin/sh\n{}", "# much\n".repeat(10_000_000 / 7));
    fs::write(built.join("layergate"), large).unwrap();
    assert!(take(TARGETS[1]).expect(1).stderr.contains("10000000 is the most"));
    assert!(!programs.join(format!("layergate-{}", TARGETS[1])).exists());
}

/// The image of a release, made of programs of so many bytes.
fn image(bytes: usize) -> (Run, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    for target in TARGETS {
        fs::write(directory.path().join(format!("layergate-{target}")), vec![b'x'; bytes]).unwrap();
    }
    let certificates = directory.path().join("certificates");
    fs::write(&certificates, "authorities\n").unwrap();
    let mut make = Command::new(own("release/image"));
    make.arg(directory.path()).arg(directory.path().join("layergate.tar"));
    make.env("LAYERGATE", env!("CARGO_BIN_EXE_layergate")).env("CERTIFICATES", certificates);
    make.env("LAYERGATE_DIRTY", "true").env("STORAGE_DRIVER", "vfs").env("BUILDAH_ISOLATION", "chroot");
    (Run::of(&mut make), directory)
}

#[test]
fn the_image_of_a_release_has_the_program_alone_and_is_judged_by_itself() {
    let missing = Run::of(Command::new("sh").args(["-c", "command -v buildah"])).code != 0;
    if missing {
        skip("the image of a release", "there is no `buildah`");
        return;
    }
    let (run, directory) = image(1_000_000);
    let run = run.expect(0);
    for platform in ["linux/amd64", "linux/arm64"] {
        assert!(run.stdout.contains(platform), "{}", run.stdout);
    }
    let archive = format!("oci-archive:{}", directory.path().join("layergate.tar").display());
    let measured =
        crate::support::run(&["inspect", &archive, "--platform", "linux/arm64", "--format", "json"]);
    let measured = measured.expect(0).json();
    assert_eq!(measured["totals"]["files"], 2, "{measured}");
    assert_eq!(measured["totals"]["unpacked"], 1_000_012);

    let (run, _directory) = image(11_000_000);
    let run = run.expect(1);
    assert!(run.stdout.contains("max-size"), "{}", run.stdout);
}

/// What `release/publish` needs, and `gh` for it.
struct Publishing {
    checkout: tempfile::TempDir,
    outside: tempfile::TempDir,
}

impl Publishing {
    fn new() -> Publishing {
        let (checkout, outside) = (checkout(), tempfile::tempdir().unwrap());
        let place = Publishing { checkout, outside };
        fs::create_dir(place.path("programs")).unwrap();
        for target in TARGETS {
            fs::write(place.path("programs").join(format!("layergate-{target}")), target).unwrap();
        }
        fs::write(place.path("sbom.json"), "{}").unwrap();
        fs::create_dir(place.path("state")).unwrap();
        fs::create_dir(place.path("bin")).unwrap();
        let gh = format!("#!/bin/sh\nexec python3 {} \"$@\"\n", own("tests/it/gh.py").display());
        write_program(&place.path("bin/gh"), &gh);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.outside.path().join(name)
    }

    fn publish(&self, fails: &str) -> Run {
        let mut command = Command::new(self.checkout.path().join("release/publish"));
        command.arg("0.2.0").arg(self.path("programs")).arg(self.path("sbom.json"));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("GH_STATE", self.path("state")).env("GH_FAILS", fails);
        command.env("GITHUB_REPOSITORY", "acme/gate");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "test")
                .env(format!("GIT_{role}_EMAIL"), "test@example.com");
        }
        Run::of(&mut command)
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.checkout.path(), arguments)
    }
}

#[test]
fn a_release_is_one_commit_that_adds_the_manifest_and_what_it_lists() {
    let place = Publishing::new();
    place.publish("").expect(0);
    let main = place.git(&["rev-parse", "main"]);
    assert_eq!(place.git(&["rev-parse", "v0.2.0^"]), main);
    assert_eq!(place.git(&["rev-parse", "v0"]), place.git(&["rev-parse", "v0.2.0"]));
    assert_eq!(place.git(&["diff", "--name-status", "v0.2.0^", "v0.2.0"]), "A\taction/manifest");
    let manifest = place.git(&["show", "v0.2.0:action/manifest"]);
    let assets = place.path("state/v0.2.0");
    for target in TARGETS {
        let asset = fs::read(assets.join(format!("layergate-{target}"))).unwrap();
        assert!(manifest.contains(&crate::support::hex_sha256(&asset)), "{manifest}");
    }
    assert!(assets.join("sbom.json").exists() && assets.join("SHA256SUMS").exists());
    assert!(!assets.join("draft").exists());
    assert_eq!(fs::read_to_string(assets.join("notes")).unwrap().trim(), "- new");

    // Once more is no harm, with other programs it is refused.
    let tag = place.git(&["rev-parse", "v0.2.0"]);
    place.publish("").expect(0);
    assert_eq!(place.git(&["rev-parse", "v0.2.0"]), tag);
    fs::write(place.path("programs/layergate-x86_64-unknown-linux-musl"), "other").unwrap();
    assert!(place.publish("").expect(1).stderr.contains("a release is never made twice"));
}

#[test]
fn a_release_that_broke_off_has_no_tag_or_all_that_the_tag_needs_and_can_be_finished() {
    for fails in ["git/commits", "release create", "release upload", "git/refs -f", "release edit", "PATCH"] {
        let place = Publishing::new();
        let run = place.publish(fails);
        // Where the moving tag cannot be moved it is made, so that one fault alone does not break it off.
        assert_eq!(run.code == 0, fails == "PATCH", "{fails}: {}{}", run.stdout, run.stderr);
        let tags = place.git(&["tag", "--list", "v0.2.0"]);
        if !tags.is_empty() {
            assert!(place.path("state/v0.2.0/layergate-x86_64-unknown-linux-musl").exists(), "{fails}");
        }
        place.publish("").expect(0);
        assert!(!place.path("state/v0.2.0/draft").exists(), "{fails}");
        assert_eq!(place.git(&["diff", "--name-status", "v0.2.0^", "v0.2.0"]), "A\taction/manifest");
    }
}
