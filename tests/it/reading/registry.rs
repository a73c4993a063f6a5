//! Images in a registry: a real one, and one that misbehaves.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::fake_registry::{Access, FakeRegistry, Faults};
use crate::support::{
    FakeLayer, Item, Run, hex_sha256, layergate, oci_layout, platforms_layout, tar_of, write_program,
};

fn layers() -> Vec<FakeLayer> {
    let big: Vec<u8> = (0..400_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(big.len() as u64);
    tar.append_data(&mut header, "opt/model", big.as_slice()).unwrap();
    vec![
        FakeLayer::gzip(&tar.into_inner().unwrap(), "COPY model /opt"),
        FakeLayer::zstd(&tar_of(&[Item::File("a", 3000), Item::Link("b", "a")]), "COPY . /"),
        FakeLayer::plain(&tar_of(&[Item::File(".wh.a", 0), Item::File("c", 10)]), "RUN rm a"),
    ]
}

fn inspect(image: &str, options: &[&str]) -> Run {
    let arguments = [&["inspect", "--format", "json", "--no-cache", image], options].concat();
    Run::of(layergate().args(arguments))
}

fn measures(mut snapshot: Value) -> Value {
    snapshot["source"].take();
    snapshot["image"]["reference"].take();
    snapshot["image"]["name"].take();
    snapshot
}

/// A layout, what it measures, and a registry that serves it.
struct Served {
    directory: tempfile::TempDir,
    expected: Value,
    registry: FakeRegistry,
}

impl Served {
    fn with(faults: Faults) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let layout = oci_layout(&directory.path().join("layout"), &layers());
        let expected = measures(inspect(&layout.display().to_string(), &[]).expect(0).json());
        let registry = FakeRegistry::start(&layout, faults);
        Served { directory, expected, registry }
    }

    fn inspect(&self) -> Run {
        inspect(&self.registry.image(), &[])
    }
}

#[test]
fn an_image_of_a_registry_measures_as_its_layout_does() {
    let served = Served::with(Faults::default());
    let snapshot = served.inspect().expect(0).json();
    assert_eq!(snapshot["source"], json!({ "transport": "docker" }));
    assert_eq!(snapshot["image"]["name"], "app");
    assert!(snapshot["totals"]["compressed"].as_u64().unwrap() > 1_000_000);
    assert_eq!(measures(snapshot), served.expected);
}

#[test]
fn only_what_is_not_known_is_fetched() {
    let served = Served::with(Faults::default());
    let cache = served.directory.path().join("cache").display().to_string();
    let run = |options: &[&str]| {
        let image = served.registry.image();
        let arguments = [&["inspect", "--format", "json", "--cache-dir", &cache, &image], options].concat();
        let before = served.registry.requests().len();
        let snapshot = measures(Run::of(layergate().args(arguments)).expect(0).json());
        assert_eq!(snapshot, served.expected);
        let asked = served.registry.requests().split_off(before);
        asked.iter().filter(|request| request.contains("/blobs/")).count()
    };
    assert_eq!(run(&[]), 4, "the config and three layers");
    assert_eq!(run(&[]), 1, "the config");
    let known = &layers()[0].diff_id["sha256:".len()..];
    fs::remove_file(Path::new(&cache).join("v1/layers").join(&known[..2]).join(format!("{known}.json.zst")))
        .unwrap();
    assert_eq!(run(&[]), 2, "the config and the layer that is not known any more");
    assert_eq!(run(&["--verify"]), 4);
    assert_eq!(run(&["--no-cache"]), 4);
}

#[test]
fn broken_connections_are_taken_up_where_they_broke() {
    for ranges in [true, false] {
        let faults = Faults { breaks_after: Some(700_000), ranges, ..Faults::default() };
        let served = Served::with(faults);
        let run = served.inspect();
        if ranges {
            assert_eq!(measures(run.expect(0).json()), served.expected);
        } else {
            // All is sent anew each time, and breaks off at the same place: that has an end.
            let run = run.expect(3);
            assert!(run.stderr.contains("layer 1 of 3"), "{}", run.stderr);
        }
    }
}

#[test]
fn a_busy_registry_is_asked_again() {
    for path in ["/manifests/", "/blobs/"] {
        let served = Served::with(Faults { busy: Some((path, 2)), ..Faults::default() });
        assert_eq!(measures(served.inspect().expect(0).json()), served.expected, "{path}");
    }
}

#[test]
fn a_layer_that_is_not_the_one_that_the_manifest_names() {
    let layer = &layers()[1];
    let other = zstd::encode_all(tar_of(&[Item::File("a", 1)]).as_slice(), 3).unwrap();
    let replaced = [(hex_sha256(&layer.blob), other)].into();
    let run = Served::with(Faults { replaced, ..Faults::default() }).inspect().expect(3);
    assert!(run.stderr.contains("layer 2 of 3"), "{}", run.stderr);
    assert!(run.stderr.contains(&hex_sha256(&layer.blob)), "{}", run.stderr);
}

#[test]
fn a_layer_that_unpacks_to_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut layers = layers();
    layers[1].diff_id = format!("sha256:{}", "ab".repeat(32));
    let layout = oci_layout(directory.path(), &layers);
    let registry = FakeRegistry::start(&layout, Faults::default());
    let run = inspect(&registry.image(), &[]).expect(3);
    for part in ["layer 2 of 3", "expected sha256:abab", "found sha256:"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
}

/// Where credentials may be, and the environment that leads there.
fn credentials(directory: &Path, host: &str) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let write = |name: &str, content: Value| {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content.to_string()).unwrap();
        path.display().to_string()
    };
    let auth = json!({ "auths": { host: { "auth": "dXNlcjpzZWNyZXQtcGFzc3dvcmQ=" } } });
    write("docker/config.json", auth.clone());
    let podman = write("podman/auth.json", auth);
    write("helped/config.json", json!({ "credHelpers": { host: "of-a-test" } }));
    let helper = directory.join("bin/docker-credential-of-a-test");
    fs::create_dir_all(directory.join("bin")).unwrap();
    write_program(
        &helper,
        "#!/bin/sh\nread -r host\n[ \"$1\" = get ] || exit 1\necho '{\"Username\":\"user\",\"Secret\":\"secret-password\"}'\n",
    );
    let path = format!("{}:{}", directory.join("bin").display(), std::env::var("PATH").unwrap());
    let of = |name: &str| directory.join(name).display().to_string();
    vec![
        ("docker login", vec![("DOCKER_CONFIG", of("docker"))]),
        ("podman login", vec![("DOCKER_CONFIG", of("none")), ("REGISTRY_AUTH_FILE", podman)]),
        ("a credential helper", vec![("DOCKER_CONFIG", of("helped")), ("PATH", path)]),
    ]
}

#[test]
fn credentials_come_from_docker_podman_or_a_helper_and_are_never_shown() {
    for access in [Access::Basic, Access::Token] {
        let served = Served::with(Faults { access, ..Faults::default() });
        let image = served.registry.image();
        for (name, environment) in credentials(served.directory.path(), &served.registry.address) {
            let mut command = layergate();
            command.args(["inspect", "--format", "json", "--no-cache", &image]).envs(environment);
            assert_eq!(measures(Run::of(&mut command).expect(0).json()), served.expected, "{name}");
        }
        let denied = served.inspect().expect(3);
        assert!(denied.stderr.contains("docker login"), "{}", denied.stderr);
        let mut failing = layergate();
        let helper = served.directory.path().join("bin/docker-credential-of-a-test");
        write_program(&helper, "#!/bin/sh\nread -r host\necho secret-password >&2\nexit 1\n");
        let (_, environment) = credentials_of_helper(served.directory.path());
        let failed = Run::of(failing.args(["inspect", "--no-cache", &image]).envs(environment)).expect(3);
        assert!(failed.stderr.contains("docker-credential-of-a-test"), "{}", failed.stderr);
        assert!(!failed.stderr.contains("secret-password"), "{}", failed.stderr);
    }
}

#[test]
fn an_image_of_known_layers_costs_one_connection_and_four_requests() {
    let served = Served::with(Faults { access: Access::Token, ..Faults::default() });
    let (image, cache) = (served.registry.image(), served.directory.path().join("cache"));
    let credentials = credentials(served.directory.path(), &served.registry.address);
    let run = || {
        let mut command = layergate();
        command.args(["inspect", "--format", "json", &image, "--cache-dir"]).arg(&cache);
        command.envs(credentials[0].1.iter().cloned());
        assert_eq!(measures(Run::of(&mut command).expect(0).json()), served.expected);
    };
    run();
    let (requests, connections) = (served.registry.requests().len(), served.registry.connections());
    run();
    let asked = served.registry.requests().split_off(requests);
    let parts = ["GET /v2/", "GET /token", "GET /v2/team/app/manifests/1", "GET /v2/team/app/blobs/"];
    let all = asked.iter().zip(parts).all(|(asked, part)| asked.starts_with(part));
    assert!(all && asked.len() == parts.len(), "{asked:#?}");
    assert_eq!(served.registry.connections() - connections, 1);
}

fn credentials_of_helper(directory: &Path) -> (&'static str, Vec<(&'static str, String)>) {
    let path = format!("{}:{}", directory.join("bin").display(), std::env::var("PATH").unwrap());
    ("", vec![("DOCKER_CONFIG", directory.join("helped").display().to_string()), ("PATH", path)])
}

#[test]
fn what_a_registry_does_not_have_is_said() {
    let served = Served::with(Faults::default());
    let address = &served.registry.address;
    for (image, parts) in [
        (format!("docker://{address}/team/other:1"), ["no such image", "team/other:1", "docker login"]),
        (format!("docker://{address}/team/app:2"), ["no such image", "team/app:2", "tag"]),
        ("docker://127.0.0.1:1/team/app:1".to_owned(), ["could not", "127.0.0.1:1", "can be reached"]),
    ] {
        let run = inspect(&image, &[]).expect(3);
        for part in parts {
            assert!(run.stderr.contains(part), "{image}: {}", run.stderr);
        }
    }
}

#[test]
fn a_platform_of_an_index_costs_nothing_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let layer = |size| vec![FakeLayer::gzip(&tar_of(&[Item::File("app", size)]), "COPY app /")];
    let layout =
        platforms_layout(directory.path(), &[("linux/amd64", layer(1000)), ("linux/arm64", layer(2000))]);
    let registry = FakeRegistry::start(&layout, Faults::default());
    let snapshot = inspect(&registry.image(), &["--platform", "linux/arm64"]).expect(0).json();
    assert_eq!(
        (&snapshot["totals"]["uncompressed"], &snapshot["image"]["platform"]),
        (&json!(2000), &json!("linux/arm64"))
    );
    let asked = registry.requests();
    assert_eq!(asked.iter().filter(|path| path.contains("/blobs/")).count(), 2, "{asked:?}");
    let all = inspect(&registry.image(), &["--platform", "all"]).expect(0).json();
    let sizes: Vec<&Value> =
        all.as_array().unwrap().iter().map(|one| &one["totals"]["uncompressed"]).collect();
    assert_eq!(sizes, [&json!(1000), &json!(2000)]);
    let none = inspect(&registry.image(), &["--platform", "linux/s390x"]).expect(3);
    assert!(none.stderr.contains("linux/amd64`, `linux/arm64"), "{}", none.stderr);
}

#[test]
fn an_index_that_is_not_what_its_digest_says() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &layers());
    let registry = FakeRegistry::start(&layout, Faults::default());
    let wrong = "0123456789abcdef".repeat(4);
    fs::write(layout.join("blobs/sha256").join(&wrong), b"{\"schemaVersion\":2}").unwrap();
    let image = format!("docker://{}/team/app@sha256:{wrong}", registry.address);
    let run = inspect(&image, &[]).expect(3);
    assert!(run.stderr.to_lowercase().contains("digest"), "{}", run.stderr);
}
