//! Archives, directories and layer tars that engines take, from the tools that write them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::engine::Engine;
use crate::support::tarball::{bzip2, end, entry, file, head, pax, record, tar, xz};
use crate::support::{FakeLayer, Run, blobs_by_size, fixture, gzip, oci_layout, platforms_layout};
use crate::support::{hex_sha256, layergate, run, skip};

fn totals(image: &str) -> Value {
    run(&["inspect", "--format", "json", image]).expect(0).json()["totals"].clone()
}

/// What `docker save` wrote before Docker 25: `manifest` gets the names of the config and of the layer.
fn save(layer: &[u8], blob: &[u8], manifest: impl Fn(&str, &str) -> String) -> Vec<u8> {
    let config = json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex_sha256(layer))] } });
    tar(&[
        entry(b'0', "config.json", config.to_string()),
        entry(b'0', "l/layer.tar", blob),
        entry(b'0', "manifest.json", manifest("config.json", "l/layer.tar")),
    ])
}

fn named(tag: &str) -> impl Fn(&str, &str) -> String {
    move |config, layer| json!([{ "Config": config, "RepoTags": [tag], "Layers": [layer] }]).to_string()
}

/// Makes a `manifest.json` of the names of the config and of the layer.
type Manifest = fn(&str, &str) -> String;

fn write(directory: &Path, name: &str, content: &[u8]) -> String {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[test]
fn keys_of_manifest_json_are_read_in_any_case() {
    // npm's containerify writes `config`, `repoTags` and `layers`.
    let containerify = fixture("archives/containerify.tar");
    assert_eq!(totals(&containerify)["uncompressed"], 1114);
    assert_eq!(totals(&format!("docker-archive:{containerify}:app:1"))["layers"], 3);
    let layer = tar(&[file("a", 10)]);
    let directory = tempfile::tempdir().unwrap();
    let forms: [(&str, Manifest); 2] = [
        ("jib.tar", |config, layer| {
            format!(r#"[{{"config":"{config}","repoTags":["a:1"],"layers":["{layer}"]}}]"#)
        }),
        ("shouted.tar", |config, layer| {
            format!(r#"[{{"CONFIG":"{config}","REPOTAGS":["a:1"],"LAYERS":["{layer}"],"Parent":""}}]"#)
        }),
    ];
    for (name, manifest) in forms {
        let image = write(directory.path(), name, &save(&layer, &layer, manifest));
        assert_eq!(totals(&format!("docker-archive:{image}:a:1"))["uncompressed"], 10, "{name}");
    }
    let wrong: [(&str, Manifest); 2] = [
        ("missing field `Config`", |_, _| r#"[{"Layers":[]}]"#.into()),
        ("duplicate field `Config`", |config, layer| {
            format!(r#"[{{"Config":"x","config":"{config}","Layers":["{layer}"]}}]"#)
        }),
    ];
    for (error, manifest) in wrong {
        let image = write(directory.path(), "wrong.tar", &save(&layer, &layer, manifest));
        let refused = run(&["inspect", &image]).expect(3);
        assert!(refused.stderr.contains(error), "{}", refused.stderr);
    }
}

/// The entries of an archive, without those that `keep` drops; `change` may replace a content.
fn rewritten(archive: &str, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let mut pieces = Vec::new();
    for item in archive.entries().unwrap() {
        let mut item = item.unwrap();
        let name = item.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut item, &mut content).unwrap();
        if let Some(content) = change(&name, content).filter(|_| item.header().entry_type().is_file()) {
            pieces.push(entry(b'0', name, content));
        }
    }
    tar(&pieces)
}

#[test]
fn an_index_that_names_nothing_that_is_here_leaves_it_to_manifest_json() {
    let saved = fixture("archives/docker-26.1.5-save-by-id.tar");
    let expected = totals(&saved);
    assert_eq!(expected["uncompressed"], 3012);
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = json!({ "manifests": [{ "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": format!("sha256:{}", "ab".repeat(32)), "size": 5 }] });
    // Docker 25 writes null where an image has no name.
    for (name, index) in [
        ("null.tar", json!({ "schemaVersion": 2, "manifests": null })),
        ("empty.tar", json!({ "schemaVersion": 2, "manifests": [] })),
        ("elsewhere.tar", elsewhere),
    ] {
        let archive = rewritten(&saved, |piece, content| match piece {
            "index.json" => Some(index.to_string().into_bytes()),
            _ => Some(content),
        });
        let plain = write(directory.path(), name, &archive);
        let packed = write(directory.path(), &format!("{name}.gz"), &gzip(&archive));
        for image in [plain.clone(), packed, format!("docker-archive:{plain}")] {
            assert_eq!(totals(&image), expected, "{image}");
        }
        // Without a manifest.json there is nothing to fall back to.
        let alone = rewritten(&plain, |piece, content| (piece != "manifest.json").then_some(content));
        let refused = run(&["inspect", &write(directory.path(), "alone.tar", &alone)]).expect(3);
        let said = if name == "elsewhere.tar" { "is missing" } else { "its index lists nothing" };
        assert!(refused.stderr.contains(said), "{name}: {}", refused.stderr);
    }
}

#[test]
fn archives_and_layers_may_be_packed_with_xz_and_bzip2() {
    let old = fixture("engines/docker-20.10/edge-v1.save.tar");
    let expected = totals(&old);
    let directory = tempfile::tempdir().unwrap();
    let archive = fs::read(&old).unwrap();
    for (name, packed) in [("web.tar.xz", xz(&archive)), ("web.tar.bz2", bzip2(&archive))] {
        let image = write(directory.path(), name, &packed);
        for image in [image.clone(), format!("docker-archive:{image}")] {
            let snapshot = run(&["inspect", "--verify", "--format", "json", &image]).expect(0).json();
            assert_eq!(snapshot["totals"], expected, "{image}");
            assert_eq!(snapshot["image"]["name"], "web", "{image}");
        }
        let input = fs::File::open(&image).unwrap();
        let piped =
            Run::of(layergate().args(["inspect", "--format", "json", "docker-archive:-"]).stdin(input));
        assert_eq!(piped.expect(0).json()["totals"], expected, "{name} from standard input");
    }
    let layer = tar(&[file("a", 700)]);
    for (name, blob) in [("xz", xz(&layer)), ("bzip2", bzip2(&layer))] {
        let image = write(directory.path(), "layer.tar", &save(&layer, &blob, named("a:1")));
        let snapshot = run(&["inspect", "--verify", "--format", "json", &image]).expect(0).json();
        assert_eq!(snapshot["totals"]["uncompressed"], 700, "{name}");
        assert_eq!(snapshot["totals"]["compressed"], blob.len(), "{name}");
    }
}

#[test]
#[ignore = "needs xz and bzip2: tests/run"]
fn what_the_tools_pack_is_read() {
    let old = fixture("engines/docker-20.10/edge-v1.save.tar");
    let directory = tempfile::tempdir().unwrap();
    // Several blocks, and a dictionary of 64 MiB; bzip2 has a block size.
    let tools: [(&str, &[&str]); 3] = [
        ("xz", &["-9", "--block-size=300000", "--check=sha256"]),
        ("xz", &["-0", "--x86", "--lzma2", "--check=none"]),
        ("bzip2", &["-1"]),
    ];
    for (tool, options) in tools {
        let output = Command::new(tool).args(options).args(["-c", &old]).output();
        let Ok(output) = output else {
            skip("what the tools pack is read", &format!("{tool} is not installed"));
            continue;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let image = write(directory.path(), "image", &output.stdout);
        assert_eq!(totals(&image), totals(&old), "{tool} {options:?}");
    }
}

/// A directory as skopeo writes it, of a layout of one image.
fn flattened(layout: &Path, directory: &Path) -> PathBuf {
    let read = |path: PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    fs::create_dir_all(directory).unwrap();
    let root = read(layout.join("index.json"))["manifests"][0].clone();
    let hex = |descriptor: &Value| descriptor["digest"].as_str().unwrap()["sha256:".len()..].to_owned();
    for blob in blobs_by_size(layout) {
        let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
        let is_manifest = fs::read(&blob).unwrap().starts_with(br#"{"config""#);
        let name = match name == hex(&root) {
            true => "manifest.json".into(),
            false if is_manifest => format!("{name}.manifest.json"),
            false => name,
        };
        fs::copy(blob, directory.join(name)).unwrap();
    }
    fs::write(directory.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    directory.to_path_buf()
}

#[test]
fn a_directory_of_skopeo_is_the_image_of_its_layout() {
    let directory = tempfile::tempdir().unwrap();
    let layer = |size: usize| FakeLayer::gzip(&tar(&[file("a", size)]), "COPY . /");
    let layout = oci_layout(&directory.path().join("layout"), &[layer(10), layer(2000)]);
    let flat = flattened(&layout, &directory.path().join("web")).display().to_string();
    let expected = run(&["inspect", "--format", "json", &layout.display().to_string()]).expect(0).json();
    assert!(expected["totals"]["compressed"].is_u64());
    for (image, name) in
        [(flat.clone(), "web"), (format!("dir:{flat}"), "web"), (format!("api=dir:{flat}"), "api")]
    {
        let snapshot = run(&["inspect", "--verify", "--format", "json", &image]).expect(0).json();
        assert_eq!(snapshot["source"]["transport"], "dir", "{image}");
        assert_eq!(snapshot["image"]["name"], name, "{image}");
        assert_eq!(snapshot["image"]["id"], expected["image"]["id"], "{image}");
        for key in ["totals", "layers"] {
            assert_eq!(snapshot[key], expected[key], "{image}: {key}");
        }
    }
    let says = |image: &str, code: i32, part: &str| {
        let refused = run(&["inspect", image]).expect(code);
        assert!(refused.stderr.contains(part), "{image}: {}", refused.stderr);
    };
    says(&format!("oci:{flat}"), 3, "write dir:, or the path alone");
    says(&format!("dir:{}", layout.display()), 3, "write oci:, or the path alone");
    says("dir:", 2, "names no directory");
    says(&format!("dir:{}/nowhere", directory.path().display()), 3, "nowhere");
    says(&format!("dir:{}", directory.path().display()), 3, "not an image");
    let digest = expected["layers"][0]["digest"].as_str().unwrap();
    fs::remove_file(Path::new(&flat).join(&digest["sha256:".len()..])).unwrap();
    says(&format!("dir:{flat}"), 3, "is missing from it");
}

#[test]
fn a_directory_of_skopeo_may_hold_several_platforms() {
    let directory = tempfile::tempdir().unwrap();
    let layer = |size: usize| vec![FakeLayer::plain(&tar(&[file("a", size)]), "COPY . /")];
    let images = [("linux/amd64", layer(10)), ("linux/arm64", layer(20))];
    let layout = platforms_layout(&directory.path().join("layout"), &images);
    let flat = format!("dir:{}", flattened(&layout, &directory.path().join("all")).display());
    for (platform, size) in [("linux/amd64", 10), ("linux/arm64", 20)] {
        let snapshot = run(&["inspect", "--format", "json", "--platform", platform, &flat]).expect(0).json();
        assert_eq!(snapshot["totals"]["uncompressed"], size, "{platform}");
    }
}

/// What `skopeo` itself writes; its manifest is Docker's or OCI's, its layers packed in any way.
#[test]
#[ignore = "needs skopeo: tests/run"]
fn skopeos_own_directories() {
    let Some(skopeo) = std::env::var_os("LAYERGATE_TEST_SKOPEO").filter(|value| !value.is_empty()) else {
        return skip("directories of skopeo", "LAYERGATE_TEST_SKOPEO is not set");
    };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let copy = |from: &str, to: &str, options: &[&str]| {
        let mut command = Command::new(&skopeo);
        command.args(["--insecure-policy", "copy", "--quiet"]).args(options).args([from, to]);
        Run::of(&mut command).expect(0);
    };
    let save = fixture("engines/docker-20.10/edge-v1.save.tar");
    let from = format!("docker-archive:{save}");
    let expected = totals(&save);
    let forms: [(&str, &[&str]); 4] = [
        ("packed", &["--dest-compress"]),
        ("plain", &["--dest-decompress"]),
        ("zstd", &["--dest-compress", "--dest-compress-format", "zstd", "--format", "oci"]),
        ("oci", &["--format", "oci"]),
    ];
    for (name, options) in forms {
        copy(&from, &format!("dir:{}", path(name)), options);
        let found = totals(&path(name));
        for key in ["layers", "files", "uncompressed", "flattened", "wasted"] {
            assert_eq!(found[key], expected[key], "{name}: {key}");
        }
        assert!(found["compressed"].is_u64(), "{name}");
    }
    // Every platform, as an index and what it points at.
    let layer = |size: usize| vec![FakeLayer::gzip(&tar(&[file("a", size)]), "COPY . /")];
    let images = [("linux/amd64", layer(10)), ("linux/arm64", layer(20))];
    let layout = platforms_layout(&directory.path().join("layout"), &images);
    copy(&format!("oci:{}", layout.display()), &format!("dir:{}", path("all")), &["--all"]);
    let arm = ["inspect", "--format", "json", "--platform", "linux/arm64", &path("all")];
    assert_eq!(run(&arm).expect(0).json()["totals"]["uncompressed"], 20);
}

#[test]
fn a_layer_may_end_with_its_last_byte_of_content() {
    let umoci = fixture("archives/umoci-insert.oci.tar");
    let found = run(&["inspect", "--verify", "--format", "json", &umoci]).expect(0).json();
    assert_eq!(found["totals"]["uncompressed"], 50_000);
    // An archive around an image as well.
    let layer = tar(&[file("a", 700)]);
    let directory = tempfile::tempdir().unwrap();
    let archive = save(&layer, &layer, named("a:1"));
    let end_of_content = archive.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let cut = write(directory.path(), "cut.tar", &archive[..end_of_content]);
    assert_eq!(totals(&cut)["uncompressed"], 700);
    let shorter = write(directory.path(), "shorter.tar", &archive[..end_of_content - 1]);
    assert!(run(&["inspect", &shorter]).expect(3).stderr.contains("cut off"));
}

/// A name, a layer's tar, and what it adds up to, or `None` where engines refuse it.
type OddTar = (&'static str, Vec<u8>, Option<u64>);

/// Tars that no usual writer makes.
fn odd_tars() -> Vec<OddTar> {
    let whole = || tar(&[file("a", 100)]);
    let with = |pieces: Vec<u8>| [pieces, whole()].concat();
    let minus = |width: usize| [vec![0xff; width - 8], (-5i64).to_be_bytes().to_vec()].concat();
    let global = |name: &str| entry(b'g', name, record("comment", "made by git"));
    let old = |name: &str, size: u64| head(0, name, size).put(257, [0; 8]).bytes();
    vec![
        ("whole", whole(), Some(100)),
        ("without padding", whole()[..612].to_vec(), Some(100)),
        ("half its padding", whole()[..800].to_vec(), Some(100)),
        ("content cut off", whole()[..611].to_vec(), None),
        ("without end blocks", whole()[..1024].to_vec(), Some(100)),
        ("one end block", whole()[..1536].to_vec(), Some(100)),
        ("one and a half end blocks", whole()[..1700].to_vec(), None),
        ("half an end block", whole()[..1100].to_vec(), None),
        ("garbage after the end", [whole(), vec![0xa5; 3000]].concat(), Some(100)),
        ("a tar after the end", [whole(), tar(&[file("b", 10)])].concat(), Some(100)),
        ("a block of zeros between", [file("a", 100), vec![0; 512], file("b", 10), end()].concat(), None),
        ("V7 headers", [old("d/", 0), old("d/a", 100), vec![b'x'; 512], end()].concat(), Some(100)),
        ("a name with a slash", with(head(b'0', "d/", 0).bytes()), Some(100)),
        (
            "global headers",
            [global("g1"), file("a", 100), global("g2"), file("b", 5), end()].concat(),
            Some(105),
        ),
        ("a directory with a size", with(head(b'5', "d", 700).bytes()), Some(100)),
        ("a directory with a negative size", with(head(b'5', "d", 0).put(124, minus(12)).bytes()), Some(100)),
        ("a file with a negative size", with(head(b'0', "b", 0).put(124, minus(12)).bytes()), None),
        (
            "a negative time",
            with([head(b'0', "b", 5).put(136, minus(12)).bytes(), vec![0; 512]].concat()),
            Some(105),
        ),
        (
            "a negative user",
            with([head(b'0', "b", 5).put(108, minus(8)).bytes(), vec![0; 512]].concat()),
            Some(105),
        ),
        (
            "a PAX size of a sign",
            with([pax(&[record("size", "+5")]), head(b'0', "b", 0).bytes(), vec![0; 512]].concat()),
            Some(105),
        ),
        ("a PAX header last", [file("a", 100), pax(&[record("path", "b")]), end()].concat(), Some(100)),
        ("a PAX header alone", pax(&[record("path", "b")])[..512 + 10].to_vec(), Some(0)),
        ("a directory of GNU's incremental form", with(entry(b'D', "d/", b"Yfile\0\0")), None),
        ("a volume label", with(head(b'V', "label", 0).bytes()), None),
        ("a type of a vendor", with(entry(b'Z', "c", [b'x'; 30])), None),
        ("Solaris's extended header", with(entry(b'X', "p", record("path", "b"))), None),
        ("nothing", Vec::new(), Some(0)),
        ("zeros", end(), Some(0)),
    ]
}

#[test]
fn odd_tars_add_up() {
    let directory = tempfile::tempdir().unwrap();
    for (name, layer, expected) in odd_tars() {
        let archive = save(&layer, &layer, named("odd:1"));
        let (plain, packed) = ("odd.tar", "odd.tar.gz");
        let images = [
            write(directory.path(), plain, &archive),
            write(directory.path(), packed, &gzip(&archive)),
            write(directory.path(), "layer.tar", &save(&layer, &gzip(&layer), named("odd:1"))),
        ];
        for image in images {
            let found = run(&["inspect", "--format", "json", &image]);
            match expected {
                Some(bytes) => {
                    assert_eq!(found.expect(0).json()["totals"]["uncompressed"], bytes, "{name}: {image}")
                }
                None => drop(found.expect(3)),
            }
        }
    }
    let (_, incremental, _) = odd_tars().into_iter().find(|(name, ..)| name.contains("incremental")).unwrap();
    let image = write(directory.path(), "d.tar", &save(&incremental, &incremental, named("odd:1")));
    let refused = run(&["inspect", &image]).expect(3).stderr;
    assert!(refused.contains("--listed-incremental") && refused.contains("layer 1 of 1"), "{refused}");
}

/// A real engine takes and refuses the same of them, and its own figure is the same number.
#[test]
#[ignore = "needs an engine: tests/run"]
fn an_engine_agrees_on_odd_tars() {
    let Some(engine) = Engine::of_this_run("odd tars in an engine") else { return };
    let directory = tempfile::tempdir().unwrap();
    for (at, (name, layer, expected)) in odd_tars().into_iter().enumerate() {
        let tag = format!("odd-tars:{at}");
        let archive = write(directory.path(), "odd.tar", &save(&layer, &layer, named(&tag)));
        let loaded = engine.docker_with(&["load", "--input", &archive], false);
        let Some(bytes) = expected else {
            assert!(loaded.is_err(), "{name}: the engine takes it");
            continue;
        };
        assert!(loaded.is_ok(), "{name}: {loaded:?}");
        let size = engine.docker(&["image", "inspect", "--format", "{{.Size}}", &tag]);
        assert_eq!(size.trim(), bytes.to_string(), "{name}");
    }
}

/// Readers of an archive look for its pieces by name, so what else is in it does not matter.
#[test]
fn an_archive_may_hold_entries_that_no_layer_may() {
    let layer = tar(&[file("a", 10)]);
    let saved = save(&layer, &layer, named("a:1"));
    let directory = tempfile::tempdir().unwrap();
    let incremental = [entry(b'D', "l/", b"Ylayer.tar\0\0"), saved].concat();
    let image = write(directory.path(), "incremental.tar", &incremental);
    assert_eq!(totals(&image)["uncompressed"], 10);
    let packed = write(directory.path(), "incremental.tar.gz", &gzip(&incremental));
    assert_eq!(totals(&packed)["uncompressed"], 10);
}

/// A layout of a Windows image whose lowest layer is one that is not distributed with the image.
fn windows(directory: &Path, media_type: &str, urls: &[&str]) -> (PathBuf, u64) {
    let layer = |name: &str, size: usize| FakeLayer::gzip(&tar(&[file(name, size)]), "RUN x");
    let base = FakeLayer { media_type: media_type.into(), ..layer("Files/Windows/base.dll", 5000) };
    let layers = vec![base, layer("Files/app.exe", 700)];
    let layout = platforms_layout(directory, &[("windows/amd64", layers.clone())]);
    let compressed = layers.iter().map(|layer| layer.blob.len() as u64).sum();
    // The addresses stand in the manifest, which so becomes another one.
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let outer = layout.join("index.json");
    let blob = |digest: &Value| layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
    let inner = read(&blob(&read(&outer)["manifests"][0]["digest"]));
    let mut manifest = read(&blob(&inner["manifests"][0]["digest"]));
    manifest["layers"][0]["urls"] = json!(urls);
    let content = manifest.to_string();
    let hex = hex_sha256(content.as_bytes());
    fs::write(layout.join("blobs/sha256").join(&hex), &content).unwrap();
    let descriptor = json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": content.len(),
        "digest": format!("sha256:{hex}"), "platform": { "os": "windows", "architecture": "amd64" } });
    fs::write(&outer, json!({ "manifests": [descriptor] }).to_string()).unwrap();
    (layout, compressed)
}

#[test]
fn a_layer_that_is_not_distributed_with_the_image_is_said() {
    let docker = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let oci = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    let url = "https://someone:secret@mcr.example/v2/windows/blobs/sha256:ab?sig=hidden";
    for (media_type, urls) in [(docker, &[url][..]), (oci, &[url]), (oci, &[])] {
        let directory = tempfile::tempdir().unwrap();
        let (layout, compressed) = windows(directory.path(), media_type, urls);
        let image = layout.display().to_string();
        // It may be there all the same, and is a layer like any other.
        assert_eq!(totals(&image)["uncompressed"], 5700, "{media_type}");
        assert_eq!(totals(&image)["compressed"], compressed, "{media_type}");
        let base = tar(&[file("Files/Windows/base.dll", 5000)]);
        let blob = hex_sha256(&gzip(&base));
        fs::remove_file(layout.join("blobs/sha256").join(blob)).unwrap();
        let inspected = run(&["inspect", &image]).expect(0);
        assert!(inspected.stdout.contains("uncompressed  unknown"), "{}", inspected.stdout);
        let said = ["layer 1 of 2 is not distributed with the image", "its uncompressed size is unknown"];
        said.iter().for_each(|part| assert!(inspected.stderr.contains(part), "{}", inspected.stderr));
        let names_url = inspected.stderr.contains("but fetched from https://***@mcr.example/v2/windows");
        assert_eq!(names_url, !urls.is_empty(), "{}", inspected.stderr);
        assert!(!inspected.stderr.contains("secret") && !inspected.stderr.contains("sig="));
        let counted = totals(&image);
        for unknown in ["uncompressed", "flattened", "wasted", "files"] {
            assert_eq!(counted[unknown], Value::Null, "{unknown}");
        }
        assert_eq!((&counted["compressed"], &counted["layers"]), (&json!(compressed), &json!(2)));
        only_what_is_known_is_evaluated(&image);
    }
}

/// Limits on the compressed size of an image are evaluated though the uncompressed size of one of its layers is unknown;
/// those on what is unknown cannot be.
fn only_what_is_known_is_evaluated(image: &str) {
    let check = |limits: &[&str]| run(&[&["check", image, "--baseline", image][..], limits].concat());
    check(&["--metric", "compressed", "--max-size", "1 MB", "--max-increase", "1%"]).expect(0);
    let broken =
        check(&["--metric", "compressed", "--max-size", "1 B", "--max-layers", "1"]).expect(1).stdout;
    assert!(broken.contains("fail max-size") && broken.contains("fail max-layers"), "{broken}");
    for limit in [
        "max-size=1GB",
        "max-increase=5%",
        "max-layer-size=1GB",
        "max-wasted=5%",
        "max-removable=1GB",
        "forbid-paths=x",
    ] {
        let refused = check(&[&format!("--{limit}")]).expect(3).stdout;
        let (key, _) = limit.split_once('=').unwrap();
        for part in
            [key, "cannot be evaluated", "of this image is unknown", "is not distributed with the image"]
        {
            assert!(refused.contains(part), "{limit}: {refused}");
        }
    }
}

/// `useradd` of a large user ID leaves a sparse file, which an engine counts in full.
#[test]
#[ignore = "needs an engine: tests/run"]
fn login_records_of_large_user_ids_are_named() {
    let Some(engine) = Engine::of_this_run("login records in an engine") else { return };
    let context = tempfile::tempdir().unwrap();
    engine.copy_busybox(context.path());
    let record = "RUN [\"/bin/busybox\", \"dd\", \"if=/bin/busybox\", \"of=/var/log/lastlog\", \"bs=292\", \"count=1\", \"conv=notrunc\", \"seek=";
    let dockerfile = format!(
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"mkdir\", \"-p\", \"/var/log\"]\n{record}100000\"]\n{record}100001\"]\n"
    );
    fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    let directory = context.path().display().to_string();
    engine.docker_with(&["build", "--network", "host", "--tag", "lastlog:1", &directory], false).unwrap();
    let snapshot = engine.inspect("lastlog:1");
    assert_eq!(snapshot["layers"][2]["size"], 29_200_292, "in full, and not as on a disk");
    let found = snapshot["removable"].as_array().unwrap();
    let records = found.iter().find(|one| one["kind"] == "login-records" && one["deleted"] != true).unwrap();
    assert_eq!(records["bytes"], 29_200_584);
    assert!(records["help"].as_str().unwrap().contains("useradd --no-log-init"), "{records}");
    let text = engine.layergate(&["inspect", "lastlog:1"]).expect(0).stdout;
    assert!(text.contains("next: use `useradd --no-log-init` in both instructions"), "{text}");
}
