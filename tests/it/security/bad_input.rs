//! Bad input: the documented exit code, a message that names the subject and the next step, no panic.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{
    FakeLayer, Item, Run, blobs_by_size, fixture, gzip, hex_sha256, layergate, oci_layout, run, tar_of,
};

#[track_caller]
fn refused(run: Run, code: i32, parts: &[&str]) {
    let run = run.expect(code);
    for part in parts {
        assert!(run.stderr.contains(part), "`{part}` is not in: {}", run.stderr);
    }
    assert_eq!(run.stdout, "", "nothing is reported of what could not be measured");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn two_layers() -> Vec<FakeLayer> {
    vec![
        FakeLayer::gzip(&tar_of(&[Item::File("a", 5000)]), "COPY a /"),
        FakeLayer::gzip(&tar_of(&[Item::File("b", 100)]), "COPY b /"),
    ]
}

#[test]
fn an_engine_that_is_not_there() {
    let mut command = layergate();
    command.args(["inspect", "app"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    refused(Run::of(&mut command), 3, &["/nowhere/docker.sock", "docker save"]);
    let mut command = layergate();
    command.args(["inspect", "app"]).env("DOCKER_HOST", "tcp://127.0.0.1:1");
    refused(Run::of(&mut command), 3, &["tcp://127.0.0.1:1", "set DOCKER_HOST"]);
}

#[test]
fn a_docker_context_that_is_not_there() {
    let mut command = layergate();
    command.args(["inspect", "app"]).env("DOCKER_CONTEXT", "no-such-context").env("HOME", "/nowhere");
    refused(Run::of(&mut command), 3, &["no-such-context", "docker context ls"]);
}

#[test]
fn a_file_that_is_not_there_or_no_image() {
    refused(run(&["inspect", "./nothing.tar"]), 3, &["cannot open ./nothing.tar"]);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        text(&path)
    };
    refused(run(&["inspect", &file("text.tar", b"hello")]), 3, &["text.tar", "not an image", "docker save"]);
    refused(run(&["inspect", &file("empty.tar", b"")]), 3, &["empty.tar", "not an image"]);
    refused(run(&["inspect", &file("json.json", b"{}")]), 3, &["json.json", "missing field"]);
    refused(run(&["inspect", &file("gz.tar", &gzip(b"hello"))]), 3, &["gz.tar", "not an image"]);
    let other = tar_of(&[Item::File("readme", 10)]);
    refused(run(&["inspect", &file("other.tar", &other)]), 3, &["other.tar", "not an image"]);
    refused(run(&["inspect", &text(directory.path())]), 3, &["not an image"]);
}

#[test]
fn a_tar_that_is_cut_off() {
    for engine in ["docker-20.10", "docker-29"] {
        let whole = fs::read(fixture(&format!("engines/{engine}/edge-v1.save.tar"))).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cut.tar");
        for length in [whole.len() / 2, whole.len() / 3 + 17, 700] {
            fs::write(&path, &whole[..length]).unwrap();
            refused(run(&["inspect", &text(&path)]), 3, &["cut.tar", "cut off"]);
            fs::write(&path, &gzip(&whole)[..length / 4]).unwrap();
            let run = run(&["inspect", &text(&path)]).expect(3);
            assert!(run.stderr.contains("cut.tar"), "{}", run.stderr);
        }
    }
}

#[test]
fn a_layer_that_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &two_layers());
    let blob = layout.join("blobs/sha256").join(hex_sha256(&two_layers()[1].blob));
    fs::remove_file(&blob).unwrap();
    let hex = hex_sha256(&two_layers()[1].blob);
    refused(run(&["inspect", &text(&layout)]), 3, &["layer 2 of 2", "missing", &hex]);
}

#[test]
fn a_layer_that_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut layers = two_layers();
    layers[1].diff_id = format!("sha256:{}", "ab".repeat(32));
    let layout = oci_layout(&directory.path().join("diff-id"), &layers);
    let verified = run(&["inspect", "--verify", &text(&layout)]);
    refused(verified, 3, &["layer 2 of 2", "expected sha256:abab", "found sha256:"]);

    let mut plain = two_layers();
    plain[1] = FakeLayer::plain(&tar_of(&[Item::File("b", 100)]), "COPY b /");
    plain[1].diff_id = format!("sha256:{}", "cd".repeat(32));
    let layout = oci_layout(&directory.path().join("plain"), &plain);
    // A plain layer is named by what is its diff ID too: that needs no reading.
    refused(run(&["inspect", &text(&layout)]), 3, &["layer 2 of 2", "expected sha256:cdcd"]);

    // The blob of another layer under this one's name, of the same length.
    let layout = oci_layout(&directory.path().join("blob"), &two_layers());
    let path = layout.join("blobs/sha256").join(hex_sha256(&two_layers()[1].blob));
    let mut other = gzip(&tar_of(&[Item::File("c", 100)]));
    other.resize(path.metadata().unwrap().len() as usize, 0);
    fs::write(&path, &other).unwrap();
    let run = run(&["inspect", "--verify", &text(&layout)]).expect(3);
    assert!(run.stderr.contains("layer 2 of 2"), "{}", run.stderr);
}

#[test]
fn a_plain_layer_whose_bytes_are_others_is_found_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let tar = tar_of(&[Item::File("b", 100)]);
    let layout = oci_layout(directory.path(), &[FakeLayer::plain(&tar, "COPY b /")]);
    let path = layout.join("blobs/sha256").join(hex_sha256(&tar));
    let mut other = tar.clone();
    other[512] = b'y';
    fs::write(&path, &other).unwrap();
    refused(run(&["inspect", "--verify", &text(&layout)]), 3, &["layer 1 of 1", "expected sha256:"]);
}

/// `docker save` before Docker 25: names say nothing of content.
#[test]
fn a_layer_of_an_old_save_that_is_another_one() {
    let old = fs::read(fixture("engines/docker-20.10/edge-v1.save.tar")).unwrap();
    let mut archive = tar::Archive::new(old.as_slice());
    let mut swapped = tar::Builder::new(Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (mut header, path) = (entry.header().clone(), entry.path().unwrap().into_owned());
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        if path.starts_with("510ce48918d7a8ac179b648676709a3ab7623278d4de76b1905f3dd6380cda56")
            && path.ends_with("layer.tar")
        {
            content = tar_of(&[Item::File("etc/passwd", 15)]);
            header.set_size(content.len() as u64);
        }
        swapped.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("swapped.tar");
    fs::write(&path, swapped.into_inner().unwrap()).unwrap();
    refused(
        run(&["inspect", "--verify", &text(&path)]),
        3,
        &["layer 2 of 6", "expected sha256:676dcd2b", "found sha256:"],
    );
}

#[test]
fn claims_that_cannot_be_counted() {
    let huge = |name: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(0);
        header.as_gnu_mut().unwrap().set_real_size(i64::MAX as u64);
        header.set_cksum();
        [header.as_bytes().as_slice(), &[0; 1024]].concat()
    };
    let layers: Vec<FakeLayer> =
        ["a", "b", "c"].map(|name| FakeLayer::plain(&huge(name), "COPY . /")).to_vec();
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &layers);
    refused(run(&["inspect", &text(&layout)]), 3, &["more bytes than can be counted"]);
    run(&["inspect", &text(&oci_layout(&directory.path().join("one"), &layers[..1]))]).expect(0);
}

#[test]
fn paths_that_are_too_deep() {
    let deep = "d/".repeat(257) + "f";
    let layer = FakeLayer::gzip(&tar_of(&[Item::File(&deep, 1)]), "COPY . /");
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &[layer]);
    refused(run(&["inspect", &text(&layout)]), 3, &["layer 1 of 1", "over 256 directories"]);
}

/// A small layer that an image uses a thousand times is a large image.
#[test]
fn a_layer_that_is_used_too_often() {
    let items: Vec<String> = (0..4000).map(|index| index.to_string()).collect();
    let items: Vec<Item<'_>> = items.iter().map(|name| Item::File(name, 0)).collect();
    let layer = FakeLayer::gzip(&tar_of(&items), "COPY . /");
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &vec![layer; 1300]);
    refused(run(&["inspect", &text(&layout)]), 3, &["refused", "5,000,000 files and directories"]);
}

#[test]
fn a_manifest_or_config_that_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &two_layers());
    for blob in blobs_by_size(&layout) {
        let content = fs::read(&blob).unwrap();
        if content.starts_with(b"{") {
            fs::write(&blob, [content.as_slice(), b" "].concat()).unwrap();
            refused(run(&["inspect", &text(&layout)]), 3, &["is not the one that the image names"]);
            fs::write(&blob, content).unwrap();
        }
    }
}

#[test]
fn packed_data_that_is_corrupt() {
    for (name, pack) in [("gzip", FakeLayer::gzip as fn(&[u8], &str) -> FakeLayer), ("zstd", FakeLayer::zstd)]
    {
        let directory = tempfile::tempdir().unwrap();
        let mut layer =
            pack(&fs::read(fixture("engines/docker-20.10/edge-v1.save.tar")).unwrap(), "COPY x /");
        let middle = layer.blob.len() / 2;
        layer.blob[middle..middle + 64].fill(0x55);
        let layout = oci_layout(&directory.path().join("corrupt"), &[layer.clone()]);
        let corrupt = run(&["inspect", &text(&layout)]).expect(3).stderr;
        // What unpacks to nonsense shows as a damaged tar.
        assert!(corrupt.contains("layer 1 of 1"), "{corrupt}");
        assert!(corrupt.contains("corrupt or cut off") || corrupt.contains("a damaged one"), "{corrupt}");
        layer.blob.truncate(middle);
        let layout = oci_layout(&directory.path().join("cut"), &[layer]);
        refused(run(&["inspect", &text(&layout)]), 3, &["layer 1 of 1", name, "corrupt or cut off"]);
    }
}

#[test]
fn blobs_that_are_no_layers() {
    let directory = tempfile::tempdir().unwrap();
    for (name, media_type, part) in [
        ("toto", "application/vnd.in-toto+json", "application/vnd.in-toto+json"),
        ("crypt", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "decrypt the image first"),
        ("future", "application/vnd.oci.image.layer.v1.tar+brotli", "cannot measure"),
    ] {
        let mut layers = two_layers();
        layers[0].media_type = media_type.into();
        let layout = oci_layout(&directory.path().join(name), &layers);
        refused(run(&["inspect", &text(&layout)]), 3, &["layer 1 of 2", part]);
    }
    let mut layers = two_layers();
    layers[0].blob = b"neither tar nor packed".to_vec();
    let layout = oci_layout(&directory.path().join("text"), &layers);
    refused(run(&["inspect", &text(&layout)]), 3, &["layer 1 of 2", "not a tar, nor one compressed with"]);
}

#[test]
fn documents_that_do_not_fit() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &two_layers());
    let layout = text(&layout);
    let file = directory.path().join("snapshot.json");
    let snapshot = text(&file);
    run(&["inspect", &layout, "-o", &snapshot]).expect(0);
    let good: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let write = |change: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        fs::write(&file, document.to_string()).unwrap();
    };
    write(&|d| d["schema"] = "layergate.snapshot/v2".into());
    refused(run(&["inspect", &snapshot]), 3, &["snapshot.json", "newer layergate", "upgrade"]);
    write(&|d| d["schema"] = "layergate.report/v1".into());
    refused(
        run(&["inspect", &format!("snapshot:{snapshot}")]),
        3,
        &["layergate.report/v1", "document, not a `layergate.snapshot`"],
    );
    write(&|d| d["totals"]["uncompressed"] = 1.into());
    refused(run(&["inspect", &snapshot]), 3, &["contradicts itself", "measure the image again"]);
    for (pointer, value) in [
        ("/totals/files", u64::MAX),
        ("/totals/flattened", u64::MAX),
        ("/layers/0/size", i64::MAX as u64),
        ("/layers/0/compressed", u64::MAX),
        ("/layers/0/files", u64::MAX),
    ] {
        write(&|d| *d.pointer_mut(pointer).unwrap() = value.into());
        refused(run(&["inspect", &snapshot]), 3, &["contradicts itself"]);
    }
    write(&|d| d["layers"][0]["file_list"] = serde_json::json!({ "entries": [["f", "a", u64::MAX]] }));
    refused(run(&["inspect", &snapshot]), 3, &["contradicts itself", "do not sum to its size"]);
    write(&|d| d["layers"] = vec![d["layers"][0].clone(); 3000].into());
    refused(run(&["inspect", &snapshot]), 3, &["3000 layers", "at most 2048"]);
    write(&|d| d["layers"][0]["diff_id"] = "sha256:short".into());
    refused(run(&["inspect", &snapshot]), 3, &["is not a digest"]);
    write(&|d| d["added_by_a_later_minor_version"] = 1.into());
    run(&["inspect", &snapshot]).expect(0);

    let engine = format!("inspect:{}", fixture("seed/notesapp-default.inspect.json"));
    refused(run(&["diff", &engine, &layout]), 3, &["measured by engine", "by content", "docker save"]);
}

#[test]
fn settings_that_cannot_be_used() {
    let image = fixture("demo/web-v1.tar");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("layergate.toml");
    let config = text(&file);
    let check = |content: &str| {
        fs::write(&file, content).unwrap();
        run(&["check", &image, "--config", &config])
    };
    refused(
        check("[limits]\nmax-sise = \"5 MB\""),
        2,
        &["layergate.toml:2", "max-sise", "did you mean `max-size`?"],
    );
    refused(check("[limits]\nmax-size = \"500\""), 2, &["layergate.toml:2", "`500` has no unit", "`500 MB`"]);
    refused(check("[limits\n"), 2, &["layergate.toml:1", "not valid TOML"]);
    refused(run(&["check", &image, "--config", "none.toml"]), 2, &["none.toml"]);
    refused(run(&["check", &image, "--max-size", "500"]), 2, &["--max-size", "has no unit"]);
    refused(run(&["check", &image, "--max-increase", "5"]), 2, &["--max-increase", "has no unit", "`5%`"]);
    let kept = run(&["record", &image, "--keep-last", "0"]);
    refused(kept, 2, &["--keep-last", "expected a number of commits, 1 or more"]);
    for command in ["check", "inspect", "record"] {
        let gone = run(&[command, &image, "--dockerfile", "gone/Dockerfile"]);
        refused(gone, 2, &["--dockerfile gone/Dockerfile: no such file"]);
        let place = run(&[command, &image, "--dockerfile", "."]);
        refused(place, 2, &["--dockerfile .: a directory; name the Dockerfile in it"]);
        let file = fixture("demo/Dockerfile");
        let stage = run(&[command, &image, "--dockerfile", &file, "--target", "gone"]);
        refused(stage, 2, &["--target", "has no stage \"gone\"; it has"]);
    }
    refused(run(&["check", &image, "--store", "s3:bucket"]), 2, &["s3:bucket", "dir:PATH"]);
    refused(run(&["check", &image, "--comment-key", "a b"]), 2, &["--comment-key a b"]);
    refused(run(&["check", &image, "--base-commit", "no-such"]), 2, &["--base-commit no-such"]);
    refused(run(&["check", &image, "--max-sise", "5 MB"]), 2, &["--max-sise", "--max-size"]);
    refused(run(&["check", &image, &image]), 2, &["both called `web-v1`", "give them different names"]);
    refused(run(&["check"]), 2, &["IMAGE"]);
    refused(run(&["inspect", "ostree:/x"]), 2, &["unknown transport `ostree:`"]);
    refused(run(&["inspect", &image, "--platform", "amd64"]), 2, &["amd64", "linux/amd64"]);
}

#[test]
fn a_limit_that_cannot_be_evaluated_is_no_pass() {
    let image = format!("inspect:{}", fixture("seed/notesapp-default.inspect.json"));
    let store = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", store.path().display());
    for (limit, value) in [("--max-wasted", "5%"), ("--max-layer-size", "1 GB")] {
        let check = run(&["check", &image, "--store", &store, limit, value]).expect(3);
        let said = format!("fail not-evaluated: {} cannot be evaluated: ", &limit[2..]);
        assert!(check.stdout.contains(&said), "{}", check.stdout);
    }
    let compressed = ["check", &image, "--store", &store, "--max-size", "1 GB", "--metric", "compressed"];
    let check = run(&compressed).expect(3);
    assert!(check.stdout.contains("max-size cannot be evaluated: the compressed size"), "{}", check.stdout);
}

#[test]
fn images_that_are_not_in_the_archive() {
    let image = fixture("engines/docker-29/edge-v1.save.tar");
    let named = format!("docker-archive:{image}:other:v9");
    refused(run(&["inspect", &named]), 3, &["no image `other:v9`", "edge:v1"]);
    for name in ["edge:v1", "docker.io/library/edge:v1", "v1"] {
        run(&["inspect", &format!("docker-archive:{image}:{name}")]).expect(0);
    }
    refused(
        run(&["inspect", &image, "--platform", "linux/s390x"]),
        3,
        &["no image for linux/s390x", "linux/amd64"],
    );
    let demo = fixture("demo/web-v1.tar");
    refused(run(&["inspect", &format!("docker-archive:{demo}")]), 3, &["OCI layout", "oci-archive:"]);
    let old = fixture("engines/docker-20.10/edge-v1.save.tar");
    refused(run(&["inspect", &format!("oci-archive:{old}")]), 3, &["docker save", "docker-archive:"]);
}
