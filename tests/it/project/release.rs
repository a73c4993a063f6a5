//! How a release is made: the scripts that the workflow `release` calls, on what it calls them with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::act::{commit, git};
use crate::support::{Run, skip, write_program};

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
const FILES: [&str; 5] = [
    "layergate-x86_64-unknown-linux-musl",
    "layergate-aarch64-unknown-linux-musl",
    "layergate-x86_64-apple-darwin",
    "layergate-aarch64-apple-darwin",
    "layergate-x86_64-pc-windows-msvc.exe",
];

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

/// `cargo binstall` asks for the files that a release has.
#[test]
fn what_binstall_downloads_is_what_a_release_publishes() {
    let manifest: toml::Table = fs::read_to_string(own("Cargo.toml")).unwrap().parse().unwrap();
    let package = manifest["package"].as_table().unwrap();
    let binstall = &package["metadata"]["binstall"];
    assert_eq!(binstall["pkg-fmt"].as_str(), Some("bin"));
    let publish = fs::read_to_string(own("release/publish")).unwrap();
    let listed = publish.split("files=(\n").nth(1).unwrap().split("\n)").next().unwrap();
    let files: Vec<&str> = listed.lines().map(str::trim).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let (target, ending) = match file.strip_suffix(".exe") {
            Some(rest) => (rest.strip_prefix("layergate-").unwrap(), ".exe"),
            None => (file.strip_prefix("layergate-").unwrap(), ""),
        };
        let url = binstall["pkg-url"]
            .as_str()
            .unwrap()
            .replace("{ repo }", package["repository"].as_str().unwrap());
        let url = url
            .replace("{ version }", "1.2.3")
            .replace("{ target }", target)
            .replace("{ binary-ext }", ending);
        assert_eq!(url, format!("https://github.com/layergate/layergate/releases/download/v1.2.3/{file}"));
    }
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
    let large = format!("#!/bin/sh\n{}", "# much\n".repeat(12_000_000 / 7 + 1));
    fs::write(built.join("layergate"), large).unwrap();
    assert!(take(TARGETS[1]).expect(1).stderr.contains("12000000 is the most"));
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
    make.env("LAYERGATE_ALLOW_DIRTY", "true").env("STORAGE_DRIVER", "vfs").env("BUILDAH_ISOLATION", "chroot");
    (Run::of(&mut make), directory)
}

#[test]
#[ignore = "needs buildah: tests/run"]
fn the_image_of_a_release_has_the_program_alone_and_is_evaluated_by_itself() {
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
    assert_eq!(measured["totals"]["uncompressed"], 1_000_012);

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
        let place = Publishing { checkout: checkout(), outside: tempfile::tempdir().unwrap() };
        for directory in ["programs", "state", "bin"] {
            fs::create_dir(place.path(directory)).unwrap();
        }
        for file in FILES {
            fs::write(place.path("programs").join(file), file).unwrap();
        }
        fs::write(place.path("sbom.json"), "{}").unwrap();
        let gh = format!("#!/bin/sh\nexec python3 {} \"$@\"\n", own("tests/it/project/gh.py").display());
        write_program(&place.path("bin/gh"), &gh);
        place.main_is("main");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.outside.path().join(name)
    }

    /// What the checkout knows of the branch on GitHub.
    fn main_is(&self, commit: &str) {
        self.git(&["update-ref", "refs/remotes/origin/main", commit]);
    }

    /// Goes on to a version that is described, with programs of its own.
    fn raise(&self, version: &str) {
        let manifest = format!("[package]\nname = \"layergate\"\nversion = \"{version}\"\n");
        fs::write(self.checkout.path().join("Cargo.toml"), manifest).unwrap();
        let log = format!("# Changelog\n\n## [{version}]\n\n- of {version}\n");
        fs::write(self.checkout.path().join("CHANGELOG.md"), log).unwrap();
        commit(self.checkout.path(), version);
        self.main_is("main");
        for file in FILES {
            fs::write(self.path("programs").join(file), format!("{file} {version}")).unwrap();
        }
    }

    fn publish(&self, version: &str, fails: &str) -> Run {
        let mut command = Command::new(self.checkout.path().join("release/publish"));
        command.arg(version).arg(self.path("programs")).arg(self.path("sbom.json"));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("GH_STATE", self.path("state")).env("GH_FAILS", fails);
        command.env("GH_TAG", format!("v{version}")).env("GITHUB_REPOSITORY", "acme/gate");
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

    /// The releases that anybody can see, by their tags, each with its directory.
    fn published(&self) -> Vec<(String, PathBuf, Value)> {
        let listed = fs::read_dir(self.path("state")).unwrap().map(|entry| entry.unwrap().path());
        let documents = listed.filter_map(|path| {
            let text = fs::read_to_string(path.join("release.json")).ok()?;
            let document: Value = serde_json::from_str(&text).unwrap();
            let published = document["draft"] == false;
            published.then(|| (document["tag_name"].as_str().unwrap().to_owned(), path, document))
        });
        documents.collect()
    }
}

#[test]
fn a_release_is_one_commit_that_adds_the_manifest_and_what_it_lists() {
    let place = Publishing::new();
    fs::write(place.path("programs/layergate-zz"), "rogue").unwrap();
    place.publish("0.2.0", "").expect(0);
    assert_eq!(place.git(&["rev-parse", "v0.2.0^"]), place.git(&["rev-parse", "main"]));
    assert_eq!(place.git(&["rev-parse", "v0.2"]), place.git(&["rev-parse", "v0.2.0"]));
    assert_eq!(place.git(&["diff", "--name-status", "v0.2.0^", "v0.2.0"]), "A\taction/manifest");
    let manifest = place.git(&["show", "v0.2.0:action/manifest"]);
    let [(tag, assets, release)] = place.published().try_into().unwrap();
    assert_eq!(
        (tag.as_str(), &release["latest"], &release["prerelease"]),
        ("v0.2.0", &true.into(), &false.into())
    );
    assert_eq!(release["body"].as_str().unwrap().trim(), "- new");
    for file in FILES {
        let sum = crate::support::hex_sha256(&fs::read(assets.join(file)).unwrap());
        assert!(manifest.contains(&format!("{sum} {file}")), "{manifest}");
    }
    assert!(assets.join("sbom.json").exists() && assets.join("SHA256SUMS").exists());
    assert!(
        !assets.join("layergate-zz").exists() && !manifest.contains("zz"),
        "what nobody knows is no part of it"
    );

    // Once more changes nothing; other programs, and another commit, are refused.
    let tag = place.git(&["rev-parse", "v0.2.0"]);
    place.publish("0.2.0", "").expect(0);
    assert_eq!((place.git(&["rev-parse", "v0.2.0"]), place.published().len()), (tag, 1));
    fs::write(place.path("programs/layergate-x86_64-unknown-linux-musl"), "other").unwrap();
    assert!(place.publish("0.2.0", "").expect(1).stderr.contains("with other programs"));
    fs::write(place.checkout.path().join("more"), "").unwrap();
    commit(place.checkout.path(), "more");
    assert!(place.publish("0.2.0", "").expect(1).stderr.contains("of another commit"));
}

#[test]
fn only_what_this_workflow_has_built_of_this_commit_is_released() {
    let place = Publishing::new();
    fs::write(place.path("programs/layergate-aarch64-apple-darwin"), "rogue").unwrap();
    let run = place.publish("0.2.0", "").expect(1);
    assert!(
        run.stderr.contains("layergate-aarch64-apple-darwin was not built by this workflow"),
        "{}",
        run.stderr
    );
    fs::remove_file(place.path("programs/layergate-aarch64-apple-darwin")).unwrap();
    assert!(place.publish("0.2.0", "").expect(1).stderr.contains("there is no "));
    assert_eq!(place.git(&["tag", "--list"]), "");

    // And not where GitHub would refuse the tag in the end.
    let place = Publishing::new();
    let before = place.git(&["rev-parse", "HEAD"]);
    fs::create_dir_all(place.checkout.path().join(".github/workflows")).unwrap();
    fs::write(place.checkout.path().join(".github/workflows/ci.yml"), "on: push\n").unwrap();
    commit(place.checkout.path(), "a workflow");
    place.main_is("main");
    place.git(&["checkout", "--quiet", &before]);
    assert!(place.publish("0.2.0", "").expect(1).stderr.contains("workflows of main are other ones"));
    assert_eq!(place.git(&["tag", "--list"]), "");
}

#[test]
fn a_release_that_broke_off_is_finished_by_another_run() {
    for fails in
        ["git/commits", "gate/releases --input", "uploads", "git/refs --field", "draft=false", "force=true"]
    {
        let place = Publishing::new();
        // The moving tag is there already, so that it is to be moved.
        place.git(&["tag", "v0.2", "main"]);
        let run = place.publish("0.2.0", fails);
        assert_ne!(run.code, 0, "{fails}: {}{}", run.stdout, run.stderr);
        assert_eq!(place.published().len(), usize::from(fails == "force=true"), "{fails}");
        place.publish("0.2.0", "").expect(0);
        let [(_, assets, _)] = place.published().try_into().unwrap();
        assert!(FILES.iter().all(|file| assets.join(file).exists()), "{fails}");
        assert_eq!(place.git(&["rev-parse", "v0.2"]), place.git(&["rev-parse", "v0.2.0"]), "{fails}");
    }
}

#[test]
fn an_older_or_unfinished_version_never_takes_the_place_of_the_newest() {
    let place = Publishing::new();
    place.publish("0.2.0", "gate/releases --input").expect(1);
    let first = place.git(&["rev-parse", "HEAD"]);
    place.raise("0.3.0");
    place.publish("0.3.0", "").expect(0);
    let manifest = place.git(&["show", "v0.3.0:action/manifest"]);
    assert!(!manifest.contains("0.2.0"), "it was never released: {manifest}");

    place.git(&["checkout", "--quiet", &first]);
    for file in FILES {
        fs::write(place.path("programs").join(file), file).unwrap();
    }
    place.publish("0.2.0", "").expect(0);
    assert!(
        !place.git(&["show", "v0.2.0:action/manifest"]).contains("0.3.0"),
        "what came later is none of its"
    );
    place.publish("0.2.0", "").expect(0);
    assert_eq!(place.git(&["rev-parse", "v0.3"]), place.git(&["rev-parse", "v0.3.0"]));
    assert_eq!(
        place.git(&["rev-parse", "v0.2"]),
        place.git(&["rev-parse", "v0.2.0"]),
        "the newest of its line"
    );
    let latest: Vec<String> = place
        .published()
        .into_iter()
        .filter(|(_, _, release)| release["latest"] == true)
        .map(|(tag, ..)| tag)
        .collect();
    assert_eq!(latest, ["v0.3.0"]);

    place.git(&["checkout", "--quiet", "main"]);
    place.raise("1.0.0-rc.1");
    place.publish("1.0.0-rc.1", "").expect(0);
    assert_eq!(place.git(&["tag", "--list", "v1"]), "");
    place.raise("1.0.0");
    place.publish("1.0.0", "").expect(0);
    assert_eq!(place.git(&["rev-parse", "v1"]), place.git(&["rev-parse", "v1.0.0"]));
    assert!(
        place.git(&["show", "v1.0.0:action/manifest"]).contains("\n0.3.0 "),
        "earlier ones can still be named"
    );
}
