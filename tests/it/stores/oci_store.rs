//! `--store oci:HOST/REPO`: in a real registry, which tells nothing of what refers to an image, and in one that does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::check::gate::Checkout;
use crate::stores::baselines::kill_often;
use crate::support::fake_registry::{FakeRegistry, Faults};
use crate::support::open_registry::{InMemory, layers};
use crate::support::{FakeLayer, Run, hex_sha256, layergate, oci_layout, platforms_layout, skip};

const COMMIT: &str = "c0ffee0000000000000000000000000000000001";
const OTHER: &str = "c0ffee0000000000000000000000000000000002";

/// A repository of the registry of this run that no other test uses.
struct Repository {
    skopeo: String,
    registry: String,
    name: String,
    directory: tempfile::TempDir,
}

impl Repository {
    fn new(name: &str) -> Option<Repository> {
        let variable = |name: &str| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            if value.is_none() {
                skip("a store in a registry", &format!("{name} is not set"));
            }
            value
        };
        let (skopeo, registry) = (variable("LAYERGATE_TEST_SKOPEO")?, variable("LAYERGATE_TEST_REGISTRY")?);
        let directory = tempfile::tempdir().unwrap();
        // The registry may have been there before this run.
        let unique = directory.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let name = format!("stores/{name}{}", unique.replace('.', "-"));
        Some(Repository { skopeo, registry, name, directory })
    }

    /// Pushes an image, and says its name.
    fn push(&self, tag: &str, layers: &[FakeLayer]) -> String {
        let layout = oci_layout(&self.directory.path().join(tag), layers);
        self.push_layout(tag, &layout.display().to_string(), &[])
    }

    fn push_layout(&self, tag: &str, layout: &str, options: &[&str]) -> String {
        let image = format!("docker://{}/{}:{tag}", self.registry, self.name);
        let mut command = Command::new(&self.skopeo);
        command.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]).args(options);
        Run::of(command.arg(format!("oci:{layout}")).arg(&image)).expect(0);
        image
    }

    fn store(&self) -> String {
        format!("oci:{}/{}", self.registry, self.name)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let store = self.store();
        let mut command = layergate();
        command.current_dir(self.directory.path()).args(arguments).args(["--store", &store, "--no-cache"]);
        Run::of(&mut command)
    }

    fn record(&self, image: &str, commit: &str) -> Run {
        self.run(&["record", &format!("api={image}"), "--commit", commit])
    }

    fn check(&self, image: &str, more: &[&str]) -> Run {
        let image = format!("api={image}");
        self.run(&[&["check", "--format", "json", &image], more].concat())
    }

    /// Asks the registry: the status, the digest it tells and the body.
    fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.registry).unwrap();
        let types = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        write!(
            stream,
            "{method} /v2/{}/{path} HTTP/1.0\r\nHost: {}\r\nAccept: {types}\r\n\r\n",
            self.name, self.registry
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let (mut head, mut line) = (Vec::new(), String::new());
        while reader.read_line(&mut line).unwrap() > 2 {
            head.push(std::mem::take(&mut line));
        }
        let mut body = String::new();
        reader.read_to_string(&mut body).unwrap();
        let digest = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("docker-content-digest").then(|| value.trim().to_owned())
        });
        (head[0].split(' ').nth(1).unwrap().parse().unwrap(), digest.unwrap_or_default(), body)
    }

    fn json(&self, path: &str) -> Value {
        let (status, _, body) = self.ask("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The tags that lead to records.
    fn tags(&self) -> Vec<String> {
        let tags = self.json("tags/list");
        let tags = tags["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
        let mut tags: Vec<String> = tags.filter(|tag| tag.starts_with("layergate-")).collect();
        tags.sort();
        tags
    }

    fn delete(&self, tag: &str) {
        let (_, digest, _) = self.ask("GET", &format!("manifests/{tag}"));
        assert_eq!(self.ask("DELETE", &format!("manifests/{digest}")).0, 202, "{tag} {digest}");
    }

    /// The digests of the layers of the record that a tag leads to.
    fn blobs(&self, tag: &str) -> Vec<String> {
        let manifest = self.json(&format!("manifests/{tag}"));
        assert_eq!(manifest["artifactType"], "application/vnd.layergate.snapshot.v1+json");
        let layers = manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
#[ignore = "needs a registry: tests/run"]
fn a_record_in_a_registry_is_found_by_commit_and_by_image() {
    let Some(repository) = Repository::new("found") else { return };
    let image = repository.push("1", &layers(1000));
    let grown = repository.push("2", &layers(3000));
    let recorded = repository.record(&image, COMMIT).expect(0);
    assert!(recorded.stdout.starts_with("recorded api (linux/amd64)"), "{}", recorded.stdout);
    assert!(recorded.stdout.contains(&repository.store()), "{}", recorded.stdout);
    let again = repository.record(&image, COMMIT).expect(0);
    assert!(again.stdout.starts_with("already recorded api"), "{}", again.stdout);

    let report = repository.check(&grown, &["--base-commit", COMMIT]).expect(0).json();
    let of = &report["images"][0];
    assert_eq!(
        (&of["delta"]["uncompressed"], &of["base"]["commit"]["sha"]),
        (&json!(2000), &json!(COMMIT)),
        "{report}"
    );
    let cause = of["causes"].to_string();
    assert!(cause.contains("app"), "the files of the layers are there: {cause}");

    // By the image, through the tag that stands in for the list that this registry does not have.
    let text = |arguments: &[&str]| {
        repository.run(&[&["check", &format!("api={grown}"), "--baseline", &image], arguments].concat())
    };
    let by_image = text(&[]).expect(0);
    assert!(by_image.stdout.contains("recorded with docker://"), "{}", by_image.stdout);
    let measured = text(&["--verify"]).expect(0);
    assert!(measured.stdout.contains("measured now from docker://"), "{}", measured.stdout);
    let not_recorded = repository.run(&["check", &format!("api={image}"), "--baseline", &grown]).expect(0);
    assert!(not_recorded.stdout.contains("measured now from"), "{}", not_recorded.stdout);
}

#[test]
#[ignore = "needs a registry: tests/run"]
fn a_tag_that_is_deleted_is_no_baseline() {
    let Some(repository) = Repository::new("gone") else { return };
    let image = repository.push("1", &layers(1000));
    let missing = |words: &str| {
        let flags = ["--base-commit", COMMIT, "--on-missing-baseline", "fail"];
        let run = repository.check(&image, &flags).expect(4);
        assert!(run.stdout.contains(words), "{words}\n{}", run.stdout);
    };
    missing("no baseline: api is not recorded in oci:");
    repository.record(&image, COMMIT).expect(0);
    repository.check(&image, &["--base-commit", COMMIT, "--on-missing-baseline", "fail"]).expect(0);
    let [tag] = repository.tags().try_into().unwrap();
    assert!(tag.contains(COMMIT), "{tag}");
    repository.delete(&tag);
    missing("no baseline: api is not recorded in oci:");
    repository.record(&image, OTHER).expect(0);
    missing("has api for 1 commit, but not for");
    repository.record(&image, COMMIT).expect(0);
    repository.check(&image, &["--base-commit", COMMIT, "--on-missing-baseline", "fail"]).expect(0);
}

#[test]
#[ignore = "needs a registry: tests/run"]
fn files_of_layers_that_are_there_are_not_sent_again() {
    let Some(repository) = Repository::new("once") else { return };
    repository.record(&repository.push("1", &layers(1000)), COMMIT).expect(0);
    repository.record(&repository.push("2", &layers(2000)), OTHER).expect(0);
    let mut blobs: Vec<Vec<String>> = repository.tags().iter().map(|tag| repository.blobs(tag)).collect();
    let (Some(second), Some(first)) = (blobs.pop(), blobs.pop()) else { panic!("two records") };
    assert_eq!((first.len(), second.len()), (3, 3), "a snapshot and two lists of files");
    assert_ne!(first[0], second[0]);
    assert_eq!(first[1], second[1], "the layer that is the same");
    assert_ne!(first[2], second[2]);
    let Some(log) = std::env::var_os("LAYERGATE_TEST_REGISTRY_LOG") else {
        return skip("what is sent to a registry again", "LAYERGATE_TEST_REGISTRY_LOG is not set");
    };
    // The registry logs a request after it has answered it.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let log = std::fs::read_to_string(log).unwrap();
    let put = |digest: &str| {
        let digest = digest.replace(':', "%3A");
        let of_upload = |line: &&str| line.contains("\"PUT ") && line.contains(&repository.name);
        log.lines().filter(of_upload).filter(|line| line.contains(&digest)).count()
    };
    assert_eq!((put(&first[1]), put(&second[2])), (1, 1));
}

#[test]
#[ignore = "needs a registry: tests/run"]
fn jobs_that_record_at_once_lose_nothing() {
    let Some(repository) = Repository::new("crowd") else { return };
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x", "linux/riscv64"];
    let images = platforms.map(|platform| (platform, layers(1000)));
    let layout = platforms_layout(&repository.directory.path().join("all"), &images);
    let image = repository.push_layout("all", &layout.display().to_string(), &["--all"]);
    std::thread::scope(|scope| {
        let record = |platform: &'static str| {
            let (repository, image) = (&repository, &image);
            scope.spawn(move || {
                let image = format!("api={image}");
                let arguments = ["record", &image, "--commit", COMMIT, "--platform", platform];
                repository.run(&arguments).expect(0)
            })
        };
        platforms.map(record).into_iter().for_each(|job| drop(job.join().unwrap()));
    });
    assert_eq!(repository.tags().len(), platforms.len());
    for platform in platforms {
        let flags = ["--base-commit", COMMIT, "--on-missing-baseline", "fail", "--platform", platform];
        repository.check(&image, &flags).expect(0);
        let by_image =
            repository.run(&["check", &format!("api={image}"), "--baseline", &image, "--platform", platform]);
        assert!(by_image.expect(0).stdout.contains("recorded with"), "{platform}");
    }
}

#[test]
#[ignore = "needs a registry: tests/run"]
fn jobs_that_record_and_delete_at_once_do_not_fail() {
    let Some(repository) = Repository::new("pruning") else { return };
    let image = repository.push("1", &layers(1000));
    std::thread::scope(|scope| {
        let record = |number: u32| {
            let (repository, image) = (&repository, format!("api={image}"));
            scope.spawn(move || {
                let commit = format!("{number}").repeat(40);
                repository.run(&["record", &image, "--commit", &commit, "--keep-last", "2"]).expect(0)
            })
        };
        let jobs: Vec<_> = (1..=6).map(record).collect();
        jobs.into_iter().for_each(|job| drop(job.join().unwrap()));
    });
    repository.record(&image, COMMIT).expect(0);
    repository.run(&["record", &format!("api={image}"), "--commit", COMMIT, "--keep-last", "2"]).expect(0);
    // Where one job writes a tag while another deletes, this registry may keep the tag without its manifest.
    let found = |tag: &String| repository.ask("GET", &format!("manifests/{tag}")).0 != 404;
    let tags: Vec<String> = repository.tags().into_iter().filter(found).collect();
    assert_eq!(tags.len(), 2, "{tags:?}");
    tags.iter().for_each(|tag| assert_eq!(repository.blobs(tag).len(), 3, "{tag}"));
}

#[test]
#[ignore = "needs a registry: tests/run"]
fn old_records_are_deleted() {
    let Some(repository) = Repository::new("keep") else { return };
    let image = repository.push("1", &layers(1000));
    // A tag that looks like a record's, of an image that must stay.
    let (_, digest, manifest) = repository.ask("GET", "manifests/1");
    let name = format!("layergate-{}-{}-{}", &hex_sha256(b"api")[..16], "9".repeat(40), "0".repeat(12));
    repository.push(&name, &layers(1000));
    // What refers to the image lists what is deleted here, and that keeps nobody from recording.
    for number in 1..=4 {
        let commit = format!("{number}").repeat(40);
        let image = format!("api={image}");
        repository.run(&["record", &image, "--commit", &commit, "--keep-last", "2"]).expect(0);
    }
    let tags = repository.tags();
    let commits: Vec<&str> = tags.iter().map(|tag| &tag.split('-').nth(2).unwrap()[..1]).collect();
    assert_eq!(commits, ["3", "4", "9"]);
    assert_eq!(repository.ask("GET", "manifests/1").2, manifest, "the image is still there");
    let referring = repository.json(&format!("manifests/{}", digest.replace(':', "-")));
    assert_eq!(referring["manifests"].as_array().unwrap().len(), 2, "{referring}");
    let run = repository.run(&["check", &format!("api={image}"), "--baseline", &image]).expect(0);
    assert!(run.stdout.contains("recorded with"), "{}", run.stdout);
}

#[test]
#[ignore = "needs a registry: tests/run"]
fn a_killed_record_leaves_a_registry_with_the_old_or_the_new() {
    let Some(repository) = Repository::new("killed") else { return };
    let store = repository.store();
    kill_often(repository.directory.path(), || {
        let mut command = layergate();
        command.env("LAYERGATE_STORE", &store);
        command
    });
}

#[test]
fn what_a_registry_refuses_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(&directory.path().join("layout"), &layers(1000));
    let run = |arguments: &[&str]| {
        let image = format!("api={}", layout.display());
        let mut command = layergate();
        let arguments = [&[arguments[0], &image], &arguments[1..]].concat();
        Run::of(command.current_dir(directory.path()).args(arguments))
    };
    for name in ["oci:team/app", "oci:registry.example/App", "oci:registry.example/app:1", "oci:"] {
        let refused = run(&["check", "--store", name]).expect(2);
        assert!(refused.stderr.contains("oci:HOST/REPO"), "{name}: {}", refused.stderr);
    }
    let store = "oci:127.0.0.1:1/team/app";
    let unreachable = run(&["check", "--store", store, "--base-commit", COMMIT]).expect(3);
    for part in [store, "could not answer", "can be reached"] {
        assert!(unreachable.stderr.contains(part), "{}", unreachable.stderr);
    }
    let no_commit = run(&["record", "--store", store]).expect(2);
    assert!(no_commit.stderr.contains("the oci store keeps baselines by commit"), "{}", no_commit.stderr);
    // The stand-in takes nothing.
    let registry = FakeRegistry::start(&layout, Faults::default());
    let store = format!("oci:{}/team/app", registry.address);
    let refused = run(&["record", "--store", &store, "--commit", COMMIT]).expect(3);
    assert!(refused.stderr.contains("could not take a blob"), "{}", refused.stderr);
}

#[test]
fn a_registry_that_lists_what_refers_to_an_image_needs_no_tag_for_it() {
    let memory = InMemory::new();
    memory.record(COMMIT, &[]).expect(0);
    memory.record(OTHER, &[]).expect(0);
    let tags: Vec<String> = memory.registry.world().tags.keys().cloned().collect();
    assert!(tags.iter().all(|tag| !tag.starts_with("sha256-")), "{tags:?}");
    let of_layers: Vec<String> =
        layers(1000).iter().map(|layer| format!("/blobs/sha256:{}", hex_sha256(&layer.blob))).collect();
    memory.registry.asked();
    let head = format!("api={}", memory.images[1]);
    let run = memory.run(&["check", &head, "--baseline", &memory.images[0]]).expect(0);
    assert!(run.stdout.contains("recorded with docker://"), "{}", run.stdout);
    let asked = memory.registry.asked();
    assert!(asked.iter().any(|request| request.contains("/referrers/sha256:")), "{asked:?}");
    let last = asked.iter().filter(|request| request.ends_with(&of_layers[1])).count();
    assert_eq!(last, 0, "the layer that only the baseline has is not downloaded: {asked:?}");

    // A tag that has moved since the image was measured is another image.
    let layout = oci_layout(&memory.directory.path().join("3"), &layers(7000));
    memory.registry.add_image(&layout, "1");
    let run = memory.run(&["check", &head, "--baseline", &memory.images[0]]).expect(0);
    assert!(run.stdout.contains("measured now from"), "{}", run.stdout);
}

#[test]
fn finding_a_baseline_takes_few_requests() {
    let memory = InMemory::new();
    let checkout = Checkout::new();
    let recorded = checkout.commit("one");
    memory.record(&recorded, &[]).expect(0);
    memory.record(COMMIT, &[]).expect(0);
    let head = format!("api={}", memory.directory.path().join("2").display());
    let check = |behind: &str| {
        memory.registry.asked();
        let mut command = memory.command(&["check", &head, "--format", "markdown"]);
        let run = Run::of(command.current_dir(checkout.path())).expect(0);
        assert!(run.stdout.contains(behind), "{behind}\n{}", run.stdout);
        let (files, found): (Vec<String>, Vec<String>) = memory
            .registry
            .asked()
            .into_iter()
            .partition(|request| request.contains("/blobs/") && !request.contains("/blobs/uploads"));
        (found, files.len())
    };
    let (found, blobs) = check("exact: the checked-out commit");
    assert_eq!(
        (found.len(), blobs),
        (1, 2),
        "its manifest; the snapshot and the list that the image has not: {found:?}"
    );
    for number in 2..=30 {
        checkout.commit(&format!("{number}"));
    }
    let (found, blobs) = check("29 commits behind");
    // The tags are listed two at a time here.
    let lists = found.iter().filter(|request| request.contains("/tags/list")).count();
    assert_eq!((found.len() - lists, lists, blobs), (2, 2, 2), "{found:?}");

    // Before an image of a registry is measured, it is not known which platforms it is for.
    memory.registry.world().page = 1000;
    memory.registry.asked();
    memory.check(COMMIT).expect(0);
    let mut asked = memory.registry.asked();
    asked.retain(|request| request.contains("layergate-") || request.contains("/tags/list"));
    assert_eq!(asked.len(), 2, "the tags and the record's manifest: {asked:?}");
}

#[test]
fn writing_needs_a_login_and_reading_needs_none() {
    let memory = InMemory::new();
    memory.registry.world().tokens = true;
    let refused = memory.record(COMMIT, &[]).expect(3);
    for part in ["could not take a blob", "docker login", "may push"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    let login = memory.directory.path().join("login");
    std::fs::create_dir(&login).unwrap();
    let auth = json!({ "auths": { &memory.registry.address: { "auth": "dXNlcjpzZWNyZXQtcGFzc3dvcmQ=" } } });
    std::fs::write(login.join("config.json"), auth.to_string()).unwrap();
    let image = format!("api={}", memory.images[0]);
    let mut record = memory.command(&["record", &image, "--commit", COMMIT]);
    let recorded = Run::of(record.env("DOCKER_CONFIG", &login)).expect(0);
    assert!(!(recorded.stdout + &recorded.stderr).contains("secret-password"));
    memory.run(&["check", &image, "--base-commit", COMMIT, "--on-missing-baseline", "fail"]).expect(0);
}

#[test]
fn what_another_writer_overwrites_is_added_again() {
    let memory = InMemory::new();
    memory.registry.world().hides_referrers = true;
    memory.registry.world().overwritten = Some(("sha256-", 2));
    let recorded = memory.record(COMMIT, &[]).expect(0);
    assert!(!recorded.stderr.contains("not linked to"), "{}", recorded.stderr);
    assert!(memory.check_image().expect(0).stdout.contains("recorded with"));
    memory.registry.world().overwritten = Some(("sha256-", 1000));
    let lost = memory.record(OTHER, &[]).expect(0);
    for part in ["recorded, but not linked to the image", "during each of 8 attempts"] {
        assert!(lost.stderr.contains(part), "{part}: {}", lost.stderr);
    }
    memory.check(OTHER).expect(0);
}

#[test]
fn a_registry_that_deletes_nothing_is_said() {
    let memory = InMemory::new();
    memory.record(COMMIT, &["--keep-last", "1"]).expect(0);
    memory.registry.world().keeps_all = true;
    let kept = memory.record(OTHER, &["--keep-last", "1"]).expect(0);
    for part in ["could not delete an old baseline", "405", "without --keep-last"] {
        assert!(kept.stderr.contains(part), "{part}: {}", kept.stderr);
    }
    assert_eq!(memory.tags("layergate-").len(), 2, "all is recorded");
}
