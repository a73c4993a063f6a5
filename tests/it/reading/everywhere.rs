//! One real image from every place that it can be read from, and from every engine: the same numbers in every row.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::support::engine::{Engine, Modern, Shared, exported};
use crate::support::{Run, layergate, settled, skip};

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

const KEYS: [&str; 5] = ["layers", "files", "uncompressed", "flattened", "wasted"];
const PLATFORMS: &str = "linux/amd64,linux/arm64,linux/arm/v7";

struct Row {
    place: String,
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
#[ignore = "needs engines: tests/run"]
fn one_image_has_the_same_numbers_from_every_place() {
    let Some(engine) = Engine::of_this_run("one image from every place") else { return };
    let names = ["LAYERGATE_TEST_SKOPEO", "LAYERGATE_TEST_REGISTRY", "LAYERGATE_TEST_PODMAN"];
    let [Some(skopeo), Some(registry), Some(podman)] = names.map(variable) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    build(&engine, &directory.path().join("context"), "everywhere:1");
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
    copy(&format!("dir:{}", path("dir")), &[]);
    copy(&format!("dir:{}", path("dir-gzip")), &["--dest-compress"]);
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
        ("directory of skopeo", format!("dir:{}", path("dir")), ""),
        ("directory of skopeo, gzip", path("dir-gzip"), ""),
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
    rows[1..].iter().for_each(|row| row.is_like(first, &["diff_id", "size", "files", "created_by"], &table));
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
    let settled = || settled(Path::new(&log));
    let blobs_of = |work: &dyn Fn() -> Value| {
        let before = settled().len();
        let snapshot = work();
        assert_eq!(snapshot["totals"]["uncompressed"], expected.totals["uncompressed"]);
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

fn build(engine: &Engine, context: &Path, tag: &str) {
    fs::create_dir(context).unwrap();
    engine.copy_busybox(context);
    fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    engine.build(context, &context.join("Dockerfile").display().to_string(), tag);
}

fn measure(host: &str, place: &str, image: &str) -> Row {
    only(measure_all(host, place, image, &[]))
}

fn only(rows: Vec<Row>) -> Row {
    let [row] = <[Row; 1]>::try_from(rows).ok().expect("one platform");
    row
}

/// The program as root, who owns what the engines keep.
fn as_root() -> Command {
    let program = layergate();
    let id = Run::of(Command::new("id").arg("-u")).expect(0).stdout;
    if id.trim() == "0" {
        return program;
    }
    let mut command = Command::new("sudo");
    command.arg("--").arg(program.get_program());
    command
}

/// The program, asking an engine.
fn at(host: &str) -> Command {
    let mut command = layergate();
    command.env("DOCKER_HOST", host);
    command
}

/// The row of an image that is read in this way, by what the program says.
fn read_by(way: &str, command: &mut Command, place: &str, image: &str) -> Row {
    let run = Run::of(command.args(["inspect", "--no-cache", "--format", "json", image])).expect(0);
    assert!(run.stderr.contains(way), "{place}: {}", run.stderr);
    row_of(place, run.json())
}

/// A row for each platform that the options ask for.
fn measure_all(host: &str, place: &str, image: &str, options: &[&str]) -> Vec<Row> {
    of_command(layergate().env("DOCKER_HOST", host), place, image, options)
}

fn of_command(command: &mut Command, place: &str, image: &str, options: &[&str]) -> Vec<Row> {
    command.args(["inspect", "--format", "json", image]).args(options);
    let snapshots = match Run::of(command).expect(0).json() {
        Value::Array(snapshots) => snapshots,
        one => vec![one],
    };
    snapshots.into_iter().map(|snapshot| row_of(place, snapshot)).collect()
}

fn row_of(place: &str, mut snapshot: Value) -> Row {
    Row {
        place: place.to_owned(),
        totals: snapshot["totals"].take(),
        layers: snapshot["layers"].as_array_mut().map(std::mem::take).unwrap(),
    }
}

impl Row {
    /// That an image is the same as another, by its totals and by these properties of its layers.
    fn is_like(&self, expected: &Row, properties: &[&str], table: &str) {
        for key in KEYS {
            assert_eq!(self.totals[key], expected.totals[key], "{key} of {}\n{table}", self.place);
        }
        for (layer, expected) in self.layers.iter().zip(&expected.layers) {
            for key in properties {
                assert_eq!(layer[key], expected[key], "{key} of a layer of {}\n{table}", self.place);
            }
        }
    }
}

/// An engine, what it is called here, and the image in it.
struct Place {
    name: &'static str,
    engine: Engine,
    /// Of Podman, where its images are.
    storage: Option<String>,
    /// A newer Docker.
    modern: Option<Modern>,
}

/// The socket of an engine that lets nobody read its content store, as a proxy in front of one may.
fn without_content_store(engine: &Engine, directory: &Path) -> String {
    let socket = directory.join("proxy.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let target = engine.host.trim_start_matches("unix://").to_owned();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let target = target.clone();
            thread::spawn(move || {
                let mut head = [0; 16];
                let mut near = near;
                let read = near.read(&mut head).unwrap_or_default();
                if head[..read].starts_with(b"POST /grpc") || head[..read].starts_with(b"PRI ") {
                    return near.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
                }
                let mut far = UnixStream::connect(target)?;
                far.write_all(&head[..read])?;
                let (mut from, mut to) = (near.try_clone()?, far.try_clone()?);
                thread::spawn(move || std::io::copy(&mut from, &mut to));
                std::io::copy(&mut far, &mut near).map(drop)
            });
        }
    });
    format!("unix://{}", socket.display())
}

/// The image, built by the machine's own Docker and loaded into every other engine.
fn load_everywhere(test: &str, tag: &str, directory: &Path) -> Option<Vec<Place>> {
    let engine = Engine::of_this_run(test)?;
    let podman = engine.at(&variable("LAYERGATE_TEST_PODMAN")?);
    let (containerd, classic) = (Modern::containerd(test)?, Modern::classic(test)?);
    build(&engine, &directory.join("context"), tag);
    let save = directory.join("save.tar").display().to_string();
    engine.docker(&["save", "--output", &save, tag]);
    let socket = podman.host.trim_start_matches("unix://").to_owned();
    let older = format!("vfs@{}", Path::new(&socket).with_extension("").display());
    let places = [
        ("Docker", engine, None, None),
        ("Podman", podman, Some(older), None),
        ("newer Podman", containerd.podman(), Some(containerd.podman_storage()), None),
        ("newer Docker, containerd store", containerd.engine.clone(), None, Some(containerd)),
        ("newer Docker, classic store", classic.engine.clone(), None, Some(classic)),
    ];
    let places = places.map(|(name, engine, storage, modern)| Place { name, engine, storage, modern });
    places[1..].iter().for_each(|place| drop(place.engine.docker(&["load", "--input", &save])));
    Some(places.into())
}

#[test]
#[ignore = "needs engines: tests/run"]
fn every_engine_and_every_save_of_it_has_the_same_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let tag = "everywhere-engines:1";
    let Some(places) = load_everywhere("every engine and every save of it", tag, directory.path()) else {
        return;
    };
    let mut rows = Vec::new();
    for (number, Place { name, engine, storage, modern }) in places.iter().enumerate() {
        let file = |form: &str| directory.path().join(format!("{number}-{form}")).display().to_string();
        let mut row =
            |form: &str, image: &str| rows.push(measure(&engine.host, &format!("{name}, {form}"), image));
        row("by name", tag);
        let id = engine.docker(&["image", "inspect", "--format", "{{.Id}}", tag]).trim().to_owned();
        row("by ID", &id);
        for (form, image) in [("save", tag), ("save by ID", &id)] {
            engine.docker(&["save", "--output", &file(form), image]);
            row(form, &file(form));
        }
        let formats = ["docker-archive", "oci-archive", "oci-dir", "docker-dir"];
        for format in formats.into_iter().filter(|_| name.contains("Podman")) {
            let mut save = Command::new("podman");
            save.args(["--remote", "--url", &engine.host, "save", "--quiet", "--format", format, "--output"]);
            Run::of(save.args([&file(format), tag])).expect(0);
            row(format, &file(format));
        }
        if name.contains("containerd store") {
            let proxy = without_content_store(engine, directory.path());
            rows.push(read_by("the engine's export", &mut at(&proxy), &format!("{name}, its export"), tag));
            rows.push(read_by(
                "the engine's content store",
                &mut at(&engine.host),
                &format!("{name}, blobs"),
                tag,
            ));
        } else if let Some(modern) = modern {
            let (way, place) = ("the engine's store on disk", format!("{name}, its files"));
            rows.push(read_by(way, &mut modern.at_home(None), &place, tag));
        }
        if let Some(storage) = storage {
            let image = format!("containers-storage:[{storage}]{tag}");
            rows.push(only(of_command(&mut as_root(), &format!("{name}, its storage"), &image, &[])));
        }
    }
    let table = table(&rows);
    let _ = writeln!(std::io::stdout().lock(), "{table}");
    let first = &rows[0];
    assert!(first.layers.len() >= 8, "{table}");
    assert_eq!(rows.iter().filter(|row| row.place.contains("its storage")).count(), 2, "{table}");
    rows.iter().for_each(|row| row.is_like(first, &["diff_id", "size", "files", "created_by"], &table));
    for Place { name, engine, .. } in &places {
        assert_eq!(exported(engine, tag), first.totals["flattened"], "`docker export` of {name}");
    }
}

#[test]
#[ignore = "needs engines: tests/run"]
fn the_same_image_on_another_engine_is_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let (tag, path) = ("everywhere-baseline:1", directory.path());
    let Some(places) = load_everywhere("a baseline of another engine", tag, path) else { return };
    let mut git = Command::new("git");
    git.current_dir(path).args(["init", "--quiet"]);
    Run::of(&mut git).expect(0);
    let mut commit = Command::new("git");
    commit.current_dir(path).args([
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.org",
        "commit",
        "--quiet",
    ]);
    Run::of(commit.args(["--allow-empty", "--message", "one"])).expect(0);
    let run = |engine: &Engine, command: &str, options: &[&str]| {
        let mut layergate = layergate();
        layergate.current_dir(path).env("DOCKER_HOST", &engine.host).args([command, tag]);
        Run::of(layergate.args(["--store", &format!("dir:{}", path.join("store").display())]).args(options))
    };
    run(&places[0].engine, "record", &[]).expect(0);
    for Place { name, engine, .. } in &places {
        for known in [&[][..], &["--no-cache"]] {
            let report = path.join("report.json").display().to_string();
            let limits = ["--max-increase", "0 B", "--report", &report];
            let checked = run(engine, "check", &[&limits[..], known].concat()).expect(0);
            assert!(checked.stdout.contains("(unchanged)"), "{name}: {}", checked.stdout);
            let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
            let image = &report["images"][0];
            for key in ["uncompressed", "flattened", "wasted", "layers", "files"] {
                assert_eq!(image["delta"][key], 0, "{key}, {name}: {}", image["delta"]);
            }
            let rows = image["layers"].as_array().unwrap();
            assert!(rows.iter().all(|row| row["status"] == "unchanged"), "{name}: {rows:?}");
        }
    }
}

/// One way of building the image.
struct Output {
    compression: &'static str,
    provenance: &'static str,
    platforms: &'static str,
}

fn outputs() -> impl Iterator<Item = Output> {
    ["uncompressed", "gzip", "zstd", "estargz"].into_iter().flat_map(|compression| {
        ["false", "mode=min", "mode=max"].into_iter().flat_map(move |provenance| {
            ["linux/amd64", PLATFORMS].map(|platforms| Output { compression, provenance, platforms })
        })
    })
}

impl Output {
    /// Builds to an archive in the directory; its name.
    fn build(&self, modern: &Modern, context: &Shared, options: &str) -> String {
        let Output { compression, provenance, platforms } = self;
        let name = format!("{compression}-{provenance}-{}.tar", platforms.split(',').count());
        let build = "docker buildx build --quiet --network host --allow network.host";
        let output = format!(
            "type=oci,dest={name},compression={compression},force-compression=true,oci-mediatypes=true"
        );
        let output = format!("--provenance={provenance} --platform {platforms} --output {output}");
        modern.shell(context, &format!("{build} {options} {output} ."));
        name
    }
}

#[test]
#[ignore = "needs engines: tests/run"]
fn every_output_of_buildx_has_the_same_numbers() {
    let test = "every output of buildx";
    let (Some(engine), Some(modern)) = (Engine::of_this_run(test), Modern::containerd(test)) else { return };
    let Some(skopeo) = variable("LAYERGATE_TEST_SKOPEO") else { return };
    let context = modern.context(DOCKERFILE);
    let directory = tempfile::tempdir().unwrap();
    build(&engine, &directory.path().join("context"), "everywhere-buildx:1");
    let first = measure(&engine.host, "Docker, by name", "everywhere-buildx:1");
    let mut rows = Vec::new();
    for output in outputs() {
        let name = output.build(&modern, &context, "");
        let measured = measure_all("", &name, &context.path(&name), &["--platform", "all"]);
        assert_eq!(measured.len(), output.platforms.split(',').count(), "{name}");
        rows.extend(measured);
        let flat = directory.path().join(&name).display().to_string();
        let mut copy = Command::new(&skopeo);
        copy.args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"]);
        copy.args([format!("oci-archive:{}", context.path(&name)), format!("dir:{flat}")]);
        Run::of(&mut copy).expect(0);
        let place = format!("{name}, directory of skopeo");
        let measured = measure_all("", &place, &format!("dir:{flat}"), &["--platform", "all"]);
        assert_eq!(measured.len(), output.platforms.split(',').count(), "{place}");
        rows.extend(measured);
    }
    let table = table(&rows);
    let _ = writeln!(std::io::stdout().lock(), "{table}");
    // Builds at other times have other times in them, and so other diff IDs.
    rows.iter().for_each(|row| row.is_like(&first, &["size", "files", "created_by"], &table));
}

/// Each output of buildx in each engine that loads it, and in a registry.
#[test]
#[ignore = "takes minutes: tests/live"]
fn live_every_output_of_buildx_in_every_place_has_the_same_numbers() {
    let test = "every output of buildx in every place";
    let (Some(containerd), Some(classic)) = (Modern::containerd(test), Modern::classic(test)) else { return };
    let Some(builder) = Modern::with_network(test) else { return };
    let names = ["LAYERGATE_TEST_SKOPEO", "LAYERGATE_TEST_REGISTRY"];
    let [Some(skopeo), Some(registry)] = names.map(variable) else { return };
    let mut rows: Vec<Row> = Vec::new();
    for (number, output) in outputs().enumerate() {
        // Layers of its own: the containerd store fetches no blob of a layer that it has uncompressed from another, and
        // cannot export the image then.
        let context = builder.context(DOCKERFILE);
        let archive = output.build(&builder, &context, "--no-cache");
        let path = context.path(&archive);
        let all = ["--platform", "all"];
        let expected = measure_all("", &archive, &path, &all);
        let count = expected.len();
        let remote = format!("{registry}/layergate/outputs:{number}");
        let mut copy = Command::new(&skopeo);
        copy.args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"]);
        copy.arg("--dest-tls-verify=false");
        Run::of(copy.args([format!("oci-archive:{path}"), format!("docker://{remote}")])).expect(0);
        let registry = measure_all("", &format!("{archive}, registry"), &format!("docker://{remote}"), &all);
        assert_eq!(registry.len(), count, "{archive}");
        rows.extend(expected);
        rows.extend(registry);
        for (place, modern) in [("containerd store", &containerd), ("classic store", &classic)] {
            modern.engine.docker(&["pull", "--quiet", &remote]);
            rows.push(measure(&modern.engine.host, &format!("{archive}, {place}"), &remote));
            assert_eq!(exported(&modern.engine, &remote), rows[0].totals["flattened"], "{archive}, {place}");
            modern.engine.docker(&["rmi", &remote]);
        }
    }
    let table = table(&rows);
    let _ = writeln!(std::io::stdout().lock(), "{table}");
    rows.iter().for_each(|row| row.is_like(&rows[0], &["size", "files", "created_by"], &table));
}

fn table(rows: &[Row]) -> String {
    let mut table = String::new();
    for row in rows {
        let sizes: Vec<String> = row.layers.iter().map(|layer| layer["size"].to_string()).collect();
        let _ = writeln!(table, "{:45} {} layers {}", row.place, row.totals, sizes.join(" "));
    }
    table
}
