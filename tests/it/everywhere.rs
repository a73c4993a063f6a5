//! One real image from every place that it can be read from: the same numbers in every row.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::support::{Run, layergate, skip};

/// Whiteouts, opaque directories, hard links, replaced files, a file for a directory and the reverse.
const DOCKERFILE: &str = r#"FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /data/old/deep /data/kept && seq 1 9000 > /data/old/deep/a && seq 1 2000 > /data/kept/b
RUN ln /data/old/deep/a /data/link && seq 1 50 > "/data/kept/odd | `name` @team"
RUN rm -rf /data/old && mkdir /data/old && seq 1 70 > /data/old/new
RUN seq 1 3000 > /data/kept/b && rm "/data/kept/odd | `name` @team"
RUN rm -r /data/kept && seq 1 400 > /data/kept
RUN rm /data/kept && mkdir /data/kept && seq 1 500 > /data/kept/back
RUN chmod 600 /data/link
"#;

struct Row {
    place: &'static str,
    totals: Value,
    layers: Vec<Value>,
}

/// What `tests/run` has started or installed, by the name of its variable.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skip("one image from every place", &format!("{name} is not set"));
    }
    value
}

#[test]
fn one_image_has_the_same_numbers_from_every_place() {
    let Some(engine) = Engine::of_this_run("one image from every place") else { return };
    let names = ["LAYERGATE_TEST_SKOPEO", "LAYERGATE_TEST_REGISTRY", "LAYERGATE_TEST_PODMAN"];
    let [Some(skopeo), Some(registry), Some(podman)] = names.map(variable) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    build(&engine, &directory.path().join("context"));
    engine.docker(&["save", "--output", &path("save.tar"), "everywhere:1"]);
    let copy = |to: &str, options: &[&str]| {
        let mut command = Command::new(&skopeo);
        command.args(["--insecure-policy", "copy", "--quiet"]).args(options);
        Run::of(command.arg(format!("docker-archive:{}", path("save.tar"))).arg(to)).expect(0);
    };
    let remote = format!("docker://{registry}/team/everywhere:1");
    copy(&format!("docker-archive:{}:everywhere:1", path("skopeo.tar")), &[]);
    copy(&format!("oci:{}:1", path("plain")), &["--dest-oci-accept-uncompressed-layers"]);
    copy(&format!("oci:{}:1", path("gzip")), &[]);
    copy(&format!("oci:{}:1", path("zstd")), &["--dest-compress-format", "zstd"]);
    copy(&format!("oci:{}:1", path("chunked")), &["--dest-compress-format", "zstd:chunked"]);
    copy(&format!("oci-archive:{}:1", path("gzip.tar")), &[]);
    copy(&format!("oci-archive:{}:1", path("zstd.tar")), &["--dest-compress-format", "zstd"]);
    copy(&remote, &["--dest-tls-verify=false", "--dest-compress-format", "gzip"]);
    new_save(&directory.path().join("plain"), &directory.path().join("new-save.tar"));
    engine.at(&podman).docker(&["load", "--input", &path("save.tar")]);

    let places = [
        ("Docker, by name", "everywhere:1".to_owned(), engine.host.as_str()),
        ("Podman, by name", "everywhere:1".to_owned(), &podman),
        ("docker save, before 25", path("save.tar"), ""),
        ("docker save, since 25", path("new-save.tar"), ""),
        ("docker-archive of skopeo", path("skopeo.tar"), ""),
        ("OCI layout, plain", path("plain"), ""),
        ("OCI layout, gzip", path("gzip"), ""),
        ("OCI layout, zstd", path("zstd"), ""),
        ("OCI layout, zstd:chunked", path("chunked"), ""),
        ("OCI archive, gzip", path("gzip.tar"), ""),
        ("OCI archive, zstd", path("zstd.tar"), ""),
        ("registry", remote.clone(), ""),
    ];
    let rows = places.map(|(place, image, host)| measure(host, place, &image));
    let table = table(&rows);
    let _ = writeln!(std::io::stdout().lock(), "{table}");
    let first = &rows[0];
    assert!(first.layers.len() >= 8, "{table}");
    assert!(first.totals["wasted"].as_u64().unwrap() > 40_000, "{table}");
    for row in &rows[1..] {
        for key in ["layers", "files", "unpacked", "visible", "wasted"] {
            assert_eq!(row.totals[key], first.totals[key], "{key} of {}\n{table}", row.place);
        }
        for (layer, expected) in row.layers.iter().zip(&first.layers) {
            for key in ["diff_id", "size", "files", "created_by"] {
                assert_eq!(layer[key], expected[key], "{key} of a layer of {}\n{table}", row.place);
            }
        }
    }
    let compressed = |place: &str| &rows.iter().find(|row| row.place == place).unwrap().totals["compressed"];
    for place in ["Docker, by name", "Podman, by name", "docker save, before 25", "docker save, since 25"] {
        assert_eq!(compressed(place), &Value::Null, "{place}: nothing that was ever distributed\n{table}");
    }
    assert_eq!(compressed("OCI layout, gzip"), compressed("OCI archive, gzip"), "the same blobs\n{table}");
    assert_eq!(compressed("OCI layout, gzip"), compressed("registry"), "the same blobs\n{table}");
    assert_eq!(compressed("OCI layout, zstd"), compressed("OCI archive, zstd"), "the same blobs\n{table}");
    assert_ne!(compressed("OCI layout, gzip"), compressed("OCI layout, zstd"), "other blobs\n{table}");
    only_the_config_is_fetched(&remote, first);
}

/// What is known from one place is known from all: of a registry only the manifest and the config
/// are asked for then, by the registry's own log.
fn only_the_config_is_fetched(remote: &str, expected: &Row) {
    let Some(log) = variable("LAYERGATE_TEST_REGISTRY_LOG") else { return };
    let cache = tempfile::tempdir().unwrap();
    let inspect = || {
        let mut command = layergate();
        command.args(["inspect", "--format", "json", "--cache-dir"]).arg(cache.path()).arg(remote);
        Run::of(&mut command).expect(0).json()
    };
    let logged = || String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
    // The registry logs a request after it has answered it.
    let settled = || {
        let mut before = String::new();
        while before != logged() {
            before = logged();
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        before
    };
    let blobs_of = |work: &dyn Fn() -> Value| {
        let before = settled().len();
        let snapshot = work();
        assert_eq!(snapshot["totals"]["unpacked"], expected.totals["unpacked"]);
        let asked = settled().split_off(before);
        let of_this_image = "/v2/team/everywhere/blobs/";
        asked.lines().filter(|line| line.contains("\"GET ") && line.contains(of_this_image)).count()
    };
    assert_eq!(blobs_of(&inspect), expected.layers.len() + 1, "all layers and the config");
    assert_eq!(blobs_of(&inspect), 1, "the config");
}

/// An archive as Docker writes it since version 25, where its classic store keeps plain layers: an
/// OCI layout with the `manifest.json` of older versions.
fn new_save(layout: &Path, archive: &Path) {
    let read = |name: &str| fs::read(layout.join(name)).unwrap();
    let blob =
        |descriptor: &Value| format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"));
    let index: Value = serde_json::from_slice(&read("index.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&read(&blob(&index["manifests"][0]))).unwrap();
    let layers: Vec<String> = manifest["layers"].as_array().unwrap().iter().map(blob).collect();
    let saved =
        json!([{ "Config": blob(&manifest["config"]), "RepoTags": ["everywhere:1"], "Layers": layers }]);
    let saved = saved.to_string();
    let mut tar = tar::Builder::new(fs::File::create(archive).unwrap());
    tar.append_dir_all("", layout).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(saved.len() as u64);
    tar.append_data(&mut header, "manifest.json", saved.as_bytes()).unwrap();
    tar.finish().unwrap();
}

fn build(engine: &Engine, context: &Path) {
    fs::create_dir(context).unwrap();
    engine.copy_busybox(context);
    fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    engine.build(context, &context.join("Dockerfile").display().to_string(), "everywhere:1");
}

fn measure(host: &str, place: &'static str, image: &str) -> Row {
    let mut command = layergate();
    command.env("DOCKER_HOST", host).args(["inspect", "--format", "json", image]);
    let mut snapshot = Run::of(&mut command).expect(0).json();
    let layers = snapshot["layers"].as_array_mut().map(std::mem::take).unwrap();
    Row { place, totals: snapshot["totals"].take(), layers }
}

fn table(rows: &[Row]) -> String {
    let mut table = String::new();
    for row in rows {
        let sizes: Vec<String> = row.layers.iter().map(|layer| layer["size"].to_string()).collect();
        let _ = writeln!(table, "{:28} {} layers {}", row.place, row.totals, sizes.join(" "));
    }
    table
}
