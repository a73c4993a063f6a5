//! Indexes and layouts as tools of today write them: several names of one image, several images of one name or one
//! platform, and beside images much that is none.

use std::path::Path;
use std::sync::Arc;

use layergate::source::{NamedImage, Options, Platforms, measure};
use serde_json::{Value, json};

use crate::support::open_registry::InMemory;
use crate::support::{
    Blobs, Cost, FakeLayer, Item, config_of, configured_layout, fixture, oci_layout, run, tar_of,
    tar_with_modes,
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn layers(size: u64) -> Vec<FakeLayer> {
    vec![FakeLayer::gzip(&tar_of(&[Item::File("app", size)]), "COPY app /")]
}

/// An image of so many bytes; the descriptor says nothing of its platform.
fn image(blobs: &Blobs, size: u64, platform: &str) -> Value {
    blobs.put_image(&layers(size), platform)
}

/// The same, and the descriptor says what it is for.
fn listed(blobs: &Blobs, size: u64, platform: &str, more: &Value) -> Value {
    let mut descriptor = image(blobs, size, platform);
    let (os, architecture) = platform.split_once('/').unwrap();
    descriptor["platform"] = json!({ "os": os, "architecture": architecture });
    for (key, value) in more.as_object().unwrap() {
        descriptor["platform"][key] = value.clone();
    }
    descriptor
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    descriptor
}

fn index(blobs: &Blobs, manifests: &[Value]) -> Value {
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    blobs.put(index.to_string().as_bytes(), INDEX)
}

/// A manifest of a config and layers of these media types.
fn artifact(blobs: &Blobs, config: &str, layers: &[&str], more: &Value) -> Value {
    let content = match config {
        CONFIG => config_of(&vec![self::layers(1).remove(0); layers.len()], "linux/amd64").to_string(),
        _ => "{}".to_owned(),
    };
    let layers: Vec<Value> = layers.iter().map(|media_type| blobs.put(b"{}x", media_type)).collect();
    let config = blobs.put(content.as_bytes(), config);
    let mut manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
    for (key, value) in more.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    blobs.put(manifest.to_string().as_bytes(), MANIFEST)
}

const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What lies beside images: how it is called, and what an index lists of it.
fn others(blobs: &Blobs, about: &Value) -> Vec<(&'static str, Value)> {
    let on_amd64 = |mut descriptor: Value, features: &[&str]| {
        descriptor["platform"] = json!({ "os": "linux", "architecture": "amd64", "os.features": features });
        descriptor
    };
    let soci = "application/vnd.amazon.soci.index.v2+json";
    let mut soci_index =
        artifact(blobs, soci, &["application/octet-stream"], &json!({ "artifactType": soci }));
    soci_index["artifactType"] = json!(soci);
    let nydus = ["application/vnd.oci.image.layer.nydus.blob.v1", LAYER];
    let nydus = on_amd64(artifact(blobs, CONFIG, &nydus, &json!({})), &["nydus.remoteimage.v1"]);
    let helm = artifact(
        blobs,
        "application/vnd.cncf.helm.config.v1+json",
        &["application/vnd.cncf.helm.chart.content.v1.tar+gzip"],
        &json!({}),
    );
    let cosign = "application/vnd.dev.cosign.simplesigning.v1+json";
    let mut provenance = artifact(blobs, CONFIG, &["application/vnd.in-toto+json"], &json!({}));
    provenance["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    let sbom = json!({ "artifactType": "application/spdx+json", "subject": about });
    let typed = json!({ "artifactType": "application/vnd.example.weights" });
    vec![
        ("a SOCI index", on_amd64(soci_index, &[])),
        ("a Nydus image", nydus),
        ("a Helm chart", helm),
        ("a signature", artifact(blobs, CONFIG, &[cosign], &json!({}))),
        ("a build attestation", provenance),
        ("an SBOM", artifact(blobs, EMPTY, &["application/spdx+json"], &sbom)),
        (
            "an OCI artifact of type `application/vnd.example.weights`",
            artifact(blobs, EMPTY, &["application/octet-stream"], &typed),
        ),
        ("an OCI artifact of type `application/xml`", blobs.put(b"<x/>", "application/xml")),
        (
            "an OCI artifact of type `application/vnd.oci.artifact.manifest.v1+json`",
            blobs.put(b"{\"blobs\":[]}", "application/vnd.oci.artifact.manifest.v1+json"),
        ),
    ]
}

/// Platforms and bytes of all that is measured.
fn rows(path: &str, options: &[&str]) -> Vec<(String, u64)> {
    let all = run(&[&["inspect", path, "--no-cache", "--format", "json"], options].concat()).expect(0).json();
    let all = if all.is_array() { all } else { json!([all]) };
    let row = |one: &Value| {
        let platform = one["image"]["platform"].as_str().unwrap().to_owned();
        (platform, one["totals"]["uncompressed"].as_u64().unwrap())
    };
    all.as_array().unwrap().iter().map(row).collect()
}

fn row(platform: &str, size: u64) -> (String, u64) {
    (platform.to_owned(), size)
}

fn refused(arguments: &[&str], parts: &[&str]) -> String {
    let run = run(&[&["inspect"], arguments].concat()).expect(3);
    for part in parts {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    run.stderr
}

#[test]
fn an_index_under_two_names_is_found_by_each() {
    let saved = fixture("images/docker29-save-two-tags.tar");
    let directory = tempfile::tempdir().unwrap();
    let packed = directory.path().join("packed.tar.gz");
    std::fs::write(&packed, crate::support::gzip(&std::fs::read(&saved).unwrap())).unwrap();
    for archive in [saved.clone(), packed.display().to_string()] {
        for name in ["", ":web:latest", ":web:ci", ":web", ":docker.io/library/web:ci"] {
            let path = format!("docker-archive:{archive}{name}");
            assert_eq!(rows(&path, &[])[0].1, 305_241, "{path}");
        }
    }
    refused(
        &[&format!("docker-archive:{saved}:web:v3")],
        &["no image `web:v3`", "it holds `docker.io/library/web:ci`, `docker.io/library/web:latest`"],
    );
}

#[test]
fn each_name_of_what_is_listed_twice_leads_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::at(&directory.path().join("layout"));
    let both = index(&blobs, &[listed(&blobs, 1000, "linux/amd64", &json!({}))]);
    let other = image(&blobs, 2000, "linux/amd64");
    let layout =
        blobs.finish(&json!([named(both.clone(), "1.0"), named(other, "2.0"), named(both, "latest")]));
    let layout = format!("oci:{}", layout.display());
    for (name, size) in [("1.0", 1000), ("latest", 1000), ("2.0", 2000)] {
        assert_eq!(rows(&format!("{layout}:{name}"), &[]), [row("linux/amd64", size)]);
    }
    let ambiguous = refused(&[&layout], &["it holds 2 images", "`1.0`, `2.0`, `latest`"]);
    assert!(ambiguous.contains(&format!("{layout}:1.0")), "{ambiguous}");

    // And by `manifest.json`, where one entry a name is as good.
    let tar = tar_of(&[Item::File("app", 3000)]);
    let config = config_of(&[FakeLayer::plain(&tar, "COPY app /")], "linux/amd64").to_string();
    let entry = |tag: &str| json!({ "Config": "c.json", "RepoTags": [tag], "Layers": ["layer.tar"] });
    let manifest = json!([entry("app:1"), entry("app:2")]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in
        [("c.json", config.as_bytes()), ("layer.tar", &tar), ("manifest.json", manifest.as_bytes())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).unwrap();
    }
    let path = directory.path().join("saved.tar");
    std::fs::write(&path, archive.into_inner().unwrap()).unwrap();
    for name in ["", ":app:1", ":app:2"] {
        assert_eq!(
            rows(&format!("docker-archive:{}{name}", path.display()), &[]),
            [row("linux/amd64", 3000)]
        );
    }
}

/// `docker save web:ci api:ci`: whole names, and a tag that both have.
#[test]
fn a_tag_that_several_images_have_names_none_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let layout_of = |web: &str, api: &str| {
        let blobs = Blobs::at(directory.path());
        let saved = |size, name: &str, tag: &str| {
            let mut one = named(image(&blobs, size, "linux/amd64"), tag);
            one["annotations"]["io.containerd.image.name"] = json!(format!("docker.io/library/{name}:{tag}"));
            one
        };
        let both = json!([saved(1000, "web", web), saved(2000, "api", api)]);
        format!("oci:{}", blobs.finish(&both).display())
    };
    let layout = layout_of("ci", "ci");
    for asked in [layout.clone(), format!("{layout}:ci")] {
        let names = "(`docker.io/library/api:ci`, `docker.io/library/web:ci`)";
        let refused = refused(&[&asked], &["it holds 2 images", names]);
        let advised = refused.trim().rsplit(", as in ").next().unwrap();
        assert_eq!(rows(advised, &[]), [row("linux/amd64", 2000)], "{advised}");
    }
    assert_eq!(rows(&format!("{layout}:web:ci"), &[]), [row("linux/amd64", 1000)]);

    // A tag of one image alone leads to it, and its whole name says it better.
    layout_of("1", "2");
    refused(&[&layout], &["name one of them (`docker.io/library/api:2`, `docker.io/library/web:1`)"]);
    assert_eq!(rows(&format!("{layout}:1"), &[]), [row("linux/amd64", 1000)]);
}

/// The specification has an example of it: the platform tells the descriptors apart.
#[test]
fn several_descriptors_of_one_name_are_one_image() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::at(directory.path());
    let arm = listed(&blobs, 2000, "linux/arm64", &json!({}));
    let amd = index(&blobs, &[listed(&blobs, 1000, "linux/amd64", &json!({}))]);
    let layout = blobs.finish(&json!([named(amd, "v1.0"), named(arm, "v1.0")]));
    for path in [format!("oci:{}", layout.display()), format!("oci:{}:v1.0", layout.display())] {
        let both = [row("linux/amd64", 1000), row("linux/arm64", 2000)];
        assert_eq!(rows(&path, &["--platform", "all"]), both);
        assert_eq!(rows(&path, &["--platform", "linux/aarch64"]), both[1..]);
        assert_eq!(rows(&path, &["--platform", "linux/x86_64"]), both[..1]);
    }
}

/// Whatever a message advises works, word for word.
#[test]
fn what_nothing_else_tells_apart_is_named_by_its_digest() {
    let advised = |stderr: &str| -> Vec<String> {
        let names = stderr.trim().rsplit(", as in ").next().unwrap().split(" and ");
        names.map(str::to_owned).collect()
    };
    let directory = tempfile::tempdir().unwrap();
    let make = |name: &str, list: &dyn Fn(&Blobs) -> Value| {
        let blobs = Blobs::at(&directory.path().join(name));
        let manifests = list(&blobs);
        format!("oci:{}", blobs.finish(&manifests).display())
    };
    let same_name = make("same-name", &|blobs| {
        json!([
            named(image(blobs, 1000, "linux/amd64"), "latest"),
            named(image(blobs, 2000, "linux/amd64"), "latest")
        ])
    });
    let same_platform = make("same-platform", &|blobs| {
        let two = [1000, 2000].map(|size| listed(blobs, size, "linux/amd64", &json!({})));
        json!([index(blobs, &two)])
    });
    let no_platform = make("no-platform", &|blobs| {
        let two = [1000, 2000].map(|size| {
            let mut config = config_of(&layers(size), "linux/amd64");
            config.as_object_mut().unwrap().remove("os");
            blobs.put_manifest(&config, &layers(size))
        });
        json!([index(blobs, &two)])
    });
    for (path, option) in [
        (same_name.clone(), "linux/amd64"),
        (format!("{same_name}:latest"), "linux/amd64"),
        (same_platform, "all"),
        (no_platform, "all"),
    ] {
        let parts = ["it holds different images for", "by its digest"];
        let names = advised(&refused(&[&path, "--platform", option], &parts));
        assert_eq!(names.len(), 2, "{names:?}");
        for (name, size) in names.iter().zip([1000, 2000]) {
            let run = run(&["inspect", name, "--format", "json"]).expect(0);
            assert_eq!(run.json()["totals"]["uncompressed"], size, "{name}");
        }
    }
    let unnamed = make("unnamed", &|blobs| {
        json!([image(blobs, 1000, "linux/amd64"), image(blobs, 2000, "linux/amd64")])
    });
    let [name] = advised(&refused(&[&unnamed], &["it holds 2 images", "@sha256:"])).try_into().unwrap();
    assert!(rows(&name, &[])[0].1 > 0, "{name}");

    // Of a registry, the digest goes where registries have it.
    let memory = InMemory::new();
    let two: Vec<Value> = ["1", "2"]
        .map(|tag| memory.registry.world().tags[tag].clone())
        .map(|digest| {
            json!({ "mediaType": MANIFEST, "digest": digest, "size": 1,
                "platform": { "os": "linux", "architecture": "amd64" } })
        })
        .into();
    memory.put_manifest("both", &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": two }));
    let both = format!("{}:both", memory.images[0].rsplit_once(':').unwrap().0);
    let names = advised(&refused(&[&both, "--no-cache"], &["it holds different images for linux/amd64"]));
    for name in &names {
        assert!(name.starts_with("docker://"), "{name}");
        run(&["inspect", name, "--no-cache"]).expect(0);
    }
}

#[test]
fn what_lies_beside_an_image_is_not_it() {
    for alone in 0..9 {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::at(directory.path());
        let app = image(&blobs, 1000, "linux/amd64");
        let mut others = others(&blobs, &app);
        let (_, other) = others.swap_remove(alone);
        let layout = blobs.finish(&json!([named(other, "sha256-1234.sig"), named(app, "latest")]));
        let layout = format!("oci:{}", layout.display());
        assert_eq!(rows(&layout, &[]), [row("linux/amd64", 1000)], "{alone}");
        assert_eq!(rows(&layout, &["--platform", "all"]), [row("linux/amd64", 1000)], "{alone}");
    }
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::at(directory.path());
    let app = index(&blobs, &[listed(&blobs, 1000, "linux/amd64", &json!({}))]);
    let mut all: Vec<Value> = others(&blobs, &app).into_iter().map(|(_, other)| other).collect();
    // One of the platforms of an index may have a name of its own.
    all.push(named(listed(&blobs, 1000, "linux/amd64", &json!({})), "latest-amd64"));
    all.insert(3, named(app, "latest"));
    let layout = format!("oci:{}", blobs.finish(&json!(all)).display());
    assert_eq!(rows(&layout, &[]), [row("linux/amd64", 1000)]);
}

#[test]
fn an_index_lists_what_it_likes_in_any_order_and_depth() {
    for turn in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::at(directory.path());
        let app = image(&blobs, 1000, "linux/amd64");
        let arm = listed(&blobs, 2000, "linux/arm64", &json!({}));
        let mut all: Vec<Value> = others(&blobs, &app).into_iter().map(|(_, other)| other).collect();
        all.push(app);
        all.push(index(&blobs, &[others(&blobs, &arm).swap_remove(0).1, arm]));
        let length = all.len();
        all.rotate_right(turn * length / 5);
        let root = index(&blobs, &all);
        let layout = blobs.finish(&json!([root])).display().to_string();
        let mut both = rows(&layout, &["--platform", "all"]);
        both.sort();
        assert_eq!(both, [row("linux/amd64", 1000), row("linux/arm64", 2000)], "{turn}");
        assert_eq!(rows(&layout, &["--platform", "linux/amd64"]), both[..1], "{turn}");
        assert_eq!(rows(&layout, &["--platform", "linux/arm64"]), both[1..], "{turn}");
    }
}

#[test]
fn images_for_one_machine_are_told_apart_by_the_system_they_need() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::at(directory.path());
    let version = |version: &str| json!({ "os.version": version });
    let images = [
        listed(&blobs, 1000, "windows/amd64", &version("10.0.17763.5458")),
        listed(&blobs, 2000, "windows/amd64", &version("10.0.20348.2322")),
        listed(&blobs, 3000, "linux/amd64", &json!({})),
        listed(&blobs, 4000, "linux/amd64", &json!({ "os.features": ["erofs"] })),
    ];
    let root = index(&blobs, &images);
    let layout = blobs.finish(&json!([root])).display().to_string();
    let all = [
        row("windows/amd64:10.0.17763.5458", 1000),
        row("windows/amd64:10.0.20348.2322", 2000),
        row("linux/amd64", 3000),
        row("linux/amd64:+erofs", 4000),
    ];
    assert_eq!(rows(&layout, &["--platform", "all"]), all);
    for (wanted, expected) in [
        ("windows/amd64:10.0.20348", &all[1]),
        ("windows/x86_64:10.0.17763.5458", &all[0]),
        ("linux/amd64", &all[2]),
        ("linux/amd64:+erofs", &all[3]),
    ] {
        assert_eq!(rows(&layout, &["--platform", wanted]), std::slice::from_ref(expected), "{wanted}");
    }
    let several = ["several images are for windows/amd64:", "`windows/amd64:10.0.20348.2322`", "--platform"];
    refused(&[&layout, "--platform", "windows/amd64"], &several);
    let none = ["no image for windows/amd64:10.0.26100", "`windows/amd64:10.0.17763.5458`"];
    refused(&[&layout, "--platform", "windows/amd64:10.0.26100"], &none);

    // Recorded, the monthly revision of Windows makes no difference.
    let recorded = |size, patch: &str| {
        let blobs = Blobs::at(&directory.path().join(patch));
        let one = listed(&blobs, size, "windows/amd64", &version(&format!("10.0.20348.{patch}")));
        let root = index(&blobs, &[one]);
        blobs.finish(&json!([root])).display().to_string()
    };
    let [before, after] = [recorded(1000, "1"), recorded(1500, "2")];
    let (before, after) = (format!("app={before}"), format!("app={after}"));
    let checked = run(&["check", &after, "--baseline", &before, "--max-increase", "1 B"]).expect(1);
    assert!(checked.stdout.contains("500"), "{}", checked.stdout);
}

#[test]
fn one_image_that_is_compressed_in_two_ways_is_one_row() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::at(directory.path());
    let tar = tar_of(&[Item::File("app", 100_000)]);
    let packed = [FakeLayer::gzip(&tar, "COPY app /"), FakeLayer::zstd(&tar, "COPY app /")];
    let first = packed[0].blob.len();
    let two = packed.map(|layer| {
        let mut one = blobs.put_image(&[layer], "linux/amd64");
        one["platform"] = json!({ "os": "linux", "architecture": "amd64" });
        one
    });
    let root = index(&blobs, &two);
    let layout = blobs.finish(&json!([root])).display().to_string();
    for platform in ["all", "linux/amd64"] {
        let run = run(&["inspect", &layout, "--platform", platform, "--format", "json"]).expect(0);
        let json = if platform == "all" { run.json()[0].clone() } else { run.json() };
        assert_eq!(json["totals"]["compressed"], first);
        assert_eq!(run.json().as_array().map_or(1, Vec::len), 1);
        let said = "has the same layers once more, compressed with zstd; the first is measured";
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}

/// Builders that cross-compile get configs wrong, and `docker manifest annotate` only changes the index.
#[test]
fn the_platform_is_the_one_that_the_index_names() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::at(directory.path());
    let mut arm = image(&blobs, 1000, "linux/amd64");
    let amd = {
        let mut amd = arm.clone();
        amd["platform"] = json!({ "os": "linux", "architecture": "amd64" });
        amd
    };
    arm["platform"] = json!({ "os": "linux", "architecture": "arm64", "variant": "v8" });
    let mut v7 = image(&blobs, 2000, "linux/arm");
    v7["platform"] = json!({ "os": "linux", "architecture": "arm", "variant": "v7" });
    let root = index(&blobs, &[amd, arm, v7]);
    let layout = blobs.finish(&json!([root])).display().to_string();
    let all = [row("linux/amd64", 1000), row("linux/arm64/v8", 1000), row("linux/arm/v7", 2000)];
    assert_eq!(rows(&layout, &["--platform", "all"]), all);
    assert_eq!(rows(&layout, &["--platform", "linux/arm64"]), all[1..2]);
    assert_eq!(rows(&layout, &["--platform", "linux/armhf"]), all[2..]);
}

#[test]
fn what_is_no_image_says_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for alone in 0..9 {
        let blobs = Blobs::at(&directory.path().join(alone.to_string()));
        let app = json!({ "digest": format!("sha256:{}", "0".repeat(64)), "size": 1, "mediaType": MANIFEST });
        let (called, other) = others(&blobs, &app).swap_remove(alone);
        let root = index(&blobs, std::slice::from_ref(&other));
        let nested = blobs.finish(&json!([root])).display().to_string();
        let part = match called {
            // Part of it may be measured, so the layer is named.
            "a Nydus image" => "it is a Nydus image: name the image it was converted from".to_owned(),
            _ => format!("{nested}: this is {called}, not a container image; name"),
        };
        refused(&[&nested, "--platform", "linux/amd64"], &[&part]);
    }
    // As `--cache-to` writes it: an index of layers, or a manifest.
    let cache = "application/vnd.buildkit.cacheconfig.v0";
    let advice = "this is a BuildKit cache, not a container image; name the image that the build wrote";
    for as_manifest in [false, true] {
        let blobs = Blobs::at(&directory.path().join(format!("cache-{as_manifest}")));
        let root = match as_manifest {
            true => artifact(&blobs, cache, &[LAYER], &json!({})),
            false => index(&blobs, &[blobs.put(b"x", LAYER), blobs.put(b"{}", cache)]),
        };
        let path = blobs.finish(&json!([root])).display().to_string();
        refused(&[&path], &[advice]);
    }
    let memory = InMemory::new();
    let at = memory.images[0].rsplit_once(':').unwrap().0.to_owned();
    let schema_1 = json!({ "schemaVersion": 1, "name": "team/app", "fsLayers": [], "history": [] });
    memory.put_manifest("old", &schema_1);
    let part = "this is a schema 1 manifest, the format of Docker before 1.10, not a container image";
    refused(&[&format!("{at}:old"), "--no-cache"], &[part, "build the image again"]);
}

/// A host that answers everything with a web page.
fn site(status: &'static str) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let page = "\n<!DOCTYPE html><title>Log in</title>";
            let head = "content-type: text/html; charset=utf-8\r\nconnection: close\r\n";
            let length = page.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\n{head}content-length: {length}\r\n\r\n{page}");
        }
    });
    address
}

#[test]
fn a_web_page_is_no_registry() {
    for status in ["200 OK", "404 Not Found"] {
        let address = site(status);
        let advice = format!("check that {address} is a registry");
        refused(&[&format!("docker://{address}/team/app:1")], &["it answered with a web page", &advice]);
    }
    let store = format!("oci:{}/team/app", site("200 OK"));
    let history = run(&["history", "app", "--store", &store]).expect(3);
    assert!(history.stderr.contains("it answered with a web page"), "{}", history.stderr);
}

/// As nix2container's images with a Dockerfile on top: each build adds its own entries at the end.
#[test]
fn a_history_of_fewer_layers_is_that_of_the_top_ones() {
    let layer = |size: u64, step: &str| FakeLayer::gzip(&tar_of(&[Item::File(step, size)]), step);
    let layers =
        [layer(1, "a"), layer(2, "b"), layer(3, "COPY app / # buildkit"), layer(4, "RUN make # buildkit")];
    let directory = tempfile::tempdir().unwrap();
    let made = |name: &str, history: Value| {
        let path = directory.path().join(name);
        configured_layout(&path, &layers, |config| config["history"] = history.clone()).display().to_string()
    };
    let entry = |step: &str| json!({ "created_by": step });
    let layout = made(
        "top",
        json!([
            entry("COPY app / # buildkit"),
            { "created_by": "ENV A=b", "empty_layer": true },
            entry("RUN /bin/sh -c make # buildkit"),
        ]),
    );
    let snapshot = run(&["inspect", &layout, "--format", "json"]).expect(0).json();
    let steps: Vec<Value> =
        snapshot["layers"].as_array().unwrap().iter().map(|layer| layer["created_by"].clone()).collect();
    assert_eq!(steps, [json!(null), json!(null), json!("COPY app /"), json!("RUN make")]);
    assert_eq!(snapshot["history"].as_array().unwrap().len(), 5);
    // And the snapshot can be read again, and lines are named.
    let kept = directory.path().join("kept.json").display().to_string();
    run(&["inspect", &layout, "-o", &kept]).expect(0);
    run(&["inspect", &kept]).expect(0);
    let dockerfile = directory.path().join("Dockerfile");
    std::fs::write(&dockerfile, "FROM nix\nCOPY app /\nENV A=b\nRUN make\n").unwrap();
    let dockerfile = dockerfile.display().to_string();
    let located = run(&["inspect", &layout, "--dockerfile", &dockerfile, "--format", "json"]).expect(0);
    assert!(!located.stderr.contains("history"), "{}", located.stderr);
    assert_eq!(located.json()["layers"][3]["dockerfile"]["line"], 4);
    assert_eq!(located.json()["base"]["layers"], 2);

    // Of too many entries nothing tells which is which.
    let many = made("many", json!(vec![entry("RUN x"); 5]));
    let said = run(&["inspect", &many, "--dockerfile", &dockerfile]).expect(0).stderr;
    assert!(said.contains("does not say which instruction made which layer"), "{said}");
    assert!(!said.contains("no history"), "{said}");
}

/// Two thousand names of one blob: walked for each, it would take minutes.
#[test]
fn a_blob_is_walked_once_however_often_it_is_listed() {
    let tar = tar_of(&[Item::File("zeros", 64 << 20)]);
    let layer = FakeLayer::gzip(&tar, "COPY zeros /");
    let count = 2000;
    let config = config_of(&vec![layer.clone(); count], "linux/amd64").to_string();
    let names: Vec<String> = (0..count).map(|at| format!("{at}/layer.tar")).collect();
    let manifest = json!([{ "Config": "c.json", "RepoTags": ["app:1"], "Layers": names }]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    for (name, content) in
        [("blob", &layer.blob[..]), ("c.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]
    {
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).unwrap();
    }
    for (at, name) in names.iter().enumerate() {
        let kind = if at % 2 == 0 { tar::EntryType::Link } else { tar::EntryType::Symlink };
        header.set_entry_type(kind);
        header.set_size(0);
        archive.append_link(&mut header, name, if at % 2 == 0 { "blob" } else { "../blob" }).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.tar");
    std::fs::write(&path, archive.into_inner().unwrap()).unwrap();
    let path = path.display().to_string();
    assert_eq!(rows(&path, &["--verify"]), [row("linux/amd64", (64 << 20) * count as u64)]);
    assert_eq!(bytes_read(&path, true), layer.blob.len() as u64);
}

/// How many bytes of an image's packed layers are read: those of a blob once for each walk.
fn bytes_read(path: &str, verify: bool) -> u64 {
    let options = Arc::new(Options { platform: Platforms::All, verify, ..Options::default() });
    let image = NamedImage::parse(path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(measure(&image, &options)).unwrap();
    options.progress.read()
}

/// One small blob, listed as many layers with made-up diff IDs: files are hashed only with `--verify`, so each of them may
/// be what the blob holds.
#[test]
fn a_blob_under_many_diff_ids_is_walked_once() {
    let secrets: Vec<_> =
        (0..200).map(|at| (format!("app/{at}/.env"), 0o644, b"A=b\n".repeat(5000))).collect();
    let packages = [("lib/apk/db/installed", 0o644, b"P:a\nV:1\nF:u\nR:x\n\n".repeat(20_000))];
    let names: Vec<String> = (0..200).map(|at| format!("{}/{at}", "n".repeat(3000))).collect();
    let long = tar_of(&names.iter().map(|name| Item::File(name, 9)).collect::<Vec<_>>());
    let kinds = [
        ("zeros", tar_of(&[Item::File("zeros", 20 << 20)])),
        ("secrets", tar_with_modes(&secrets)),
        ("packages", tar_with_modes(&packages)),
        ("long names", long),
    ];
    for (kind, tar) in kinds {
        let layer = FakeLayer::zstd(&tar, "COPY . /");
        let directory = tempfile::tempdir().unwrap();
        let measured = |count: usize| {
            let numbered = |at: usize| {
                let mut one = layer.clone();
                one.diff_id = format!("sha256:{at:064x}");
                one
            };
            let layers: Vec<FakeLayer> = (0..count).map(numbered).collect();
            let layout = oci_layout(&directory.path().join(count.to_string()), &layers);
            let mut archive = tar::Builder::new(Vec::new());
            archive.append_dir_all(".", &layout).unwrap();
            let path = directory.path().join(format!("{count}.tar"));
            std::fs::write(&path, archive.into_inner().unwrap()).unwrap();
            let path = path.display().to_string();
            let [(_, size)] = rows(&path, &[]).try_into().unwrap();
            (size, bytes_read(&path, false))
        };
        let (one, many) = (measured(1), measured(40));
        assert_eq!(one.1, layer.blob.len() as u64, "{kind}");
        assert_eq!(many, (40 * one.0, one.1), "{kind}");
    }
}

/// An index of platforms `linux/a0`, `linux/a1` and so on.
fn numbered(directory: &Path, images: &[Vec<FakeLayer>]) -> String {
    let blobs = Blobs::at(directory);
    let image = |(at, layers): (usize, &Vec<FakeLayer>)| {
        let mut one = blobs.put_image(layers, &format!("linux/a{at}"));
        one["platform"] = json!({ "os": "linux", "architecture": format!("a{at}") });
        one
    };
    let all: Vec<Value> = images.iter().enumerate().map(image).collect();
    let root = index(&blobs, &all);
    blobs.finish(&json!([root])).display().to_string()
}

fn layer_of_files(count: u32) -> FakeLayer {
    let names: Vec<String> = (0..count).map(|at| format!("usr/share/app/{at:030}")).collect();
    FakeLayer::gzip(&tar_of(&names.iter().map(|name| Item::File(name, 0)).collect::<Vec<_>>()), "COPY . /")
}

/// In memory and in work: what platforms have in common is put together, and looked through, once.
#[test]
fn sixty_platforms_of_the_same_layers_cost_little_more_than_one() {
    let directory = tempfile::tempdir().unwrap();
    let layer = layer_of_files(60_000);
    let made =
        |count: usize| numbered(&directory.path().join(count.to_string()), &vec![vec![layer.clone()]; count]);
    let (one, many) = (made(1), made(60));
    assert_eq!(bytes_read(&one, false), bytes_read(&many, false));
    let store = format!("dir:{}", directory.path().join("none").display());
    let options = ["--no-cache", "--platform", "all", "--format", "json"];
    let check = |path: &str| {
        let image = format!("app={path}");
        let limits =
            ["check", &image, "--max-size", "1 GB", "--store", &store, "--on-missing-baseline", "warn"];
        Cost::of(&[&limits[..], &options[..]].concat(), 0)
    };
    let inspect = |path: &str| Cost::of(&[&["inspect", path], &options[..]].concat(), 0);
    for (command, (one, many)) in
        [("check", (check(&one), check(&many))), ("inspect", (inspect(&one), inspect(&many)))]
    {
        let all = format!("{command}: {one:?} for one platform, {many:?} for 60");
        assert!(many.peak * 2 < one.peak * 3, "{all}");
        assert!(many.work * 2 < one.work * 3, "{all}");
    }
}

/// Each has another layer beside the one that is large, so that nothing can be shared: as much work as the platforms
/// are many, from an archive that is small.
#[test]
fn platforms_that_choose_among_a_few_layers_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let large = layer_of_files(60_000);
    let small = |at: usize| FakeLayer::gzip(&tar_of(&[Item::File(&format!("f{at}"), 1)]), "COPY f /");
    let choices: Vec<Vec<FakeLayer>> = (0..90).map(|at| vec![large.clone(), small(at)]).collect();
    let few = numbered(&directory.path().join("few"), &choices[..2]);
    assert_eq!(rows(&few, &["--platform", "all"]).len(), 2);
    let many = numbered(&directory.path().join("many"), &choices);
    let refused = run(&["inspect", "--no-cache", "--platform", "all", &many]).expect(3).stderr;
    let said = "its platforms have over 5,000,000 files and directories together";
    assert!(refused.contains(said) && refused.contains("--safety-limit entries=NUMBER"), "{refused}");
    // One of them is an image like any other.
    run(&["inspect", "--no-cache", "--platform", "linux/a7", &many]).expect(0);
}

/// One small layer of many packages in each of sixty platforms, which differ in another one.
#[test]
fn packages_of_many_platforms_are_bounded_together() {
    let directory = tempfile::tempdir().unwrap();
    let records: String = (0..15_000).map(|at| format!("P:a{at}\nV:1\nF:u\nR:x\n\n")).collect();
    let crowded = tar_with_modes(&[("lib/apk/db/installed", 0o644, records.into_bytes())]);
    let crowded = FakeLayer::gzip(&crowded, "RUN apk add a");
    let small = |at: usize| FakeLayer::gzip(&tar_of(&[Item::File(&format!("f{at}"), 1)]), "COPY f /");
    let choices: Vec<Vec<FakeLayer>> = (0..60).map(|at| vec![crowded.clone(), small(at)]).collect();
    let of = |count: usize| numbered(&directory.path().join(count.to_string()), &choices[..count]);
    let (few, many) = (of(2), of(60));
    let options = ["--no-cache", "--platform", "all", "--format", "json"];
    let packages = |path: &str| {
        let run = run(&[&["inspect", path], &options[..]].concat()).expect(0);
        let of_platform = |one: &Value| one["packages"].as_array().map_or(0, Vec::len);
        run.json().as_array().unwrap().iter().map(of_platform).collect::<Vec<_>>()
    };
    assert_eq!(packages(&few), [15_000; 2]);
    assert_eq!(packages(&many), [0; 60]);
    let cost = Cost::of(&[&["inspect", &many], &options[..]].concat(), 0);
    assert!(cost.peak < 256 << 10, "{cost:?}");
    // One of them is an image like any other.
    let one = run(&["inspect", "--no-cache", "--platform", "linux/a7", "--format", "json", &many]).expect(0);
    assert_eq!(one.json()["packages"].as_array().unwrap().len(), 15_000);
}

/// Sixty platforms in indexes of indexes, and sixty that have the same layers in an order of their own.
#[test]
fn platforms_are_read_once_however_they_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (layer_of_files(3000), FakeLayer::gzip(&tar_of(&[Item::File("f", 1)]), "COPY f /"));
    let both = [vec![one.clone(), other.clone()], vec![other, one]];
    let alone = numbered(&directory.path().join("alone"), &both[..1]);
    let orders: Vec<Vec<FakeLayer>> = (0..60).map(|at| both[at % 2].clone()).collect();
    let ordered = numbered(&directory.path().join("ordered"), &orders);
    let blobs = Blobs::at(&directory.path().join("nested"));
    let group = |group: usize| {
        let image = |at: usize| {
            let mut one = blobs.put_image(&both[0], &format!("linux/a{at}"));
            one["platform"] = json!({ "os": "linux", "architecture": format!("a{at}") });
            one
        };
        index(&blobs, &(10 * group..10 * group + 10).map(image).collect::<Vec<_>>())
    };
    let root = index(&blobs, &(0..6).map(group).collect::<Vec<_>>());
    let nested = blobs.finish(&json!([root])).display().to_string();
    let read = |path: &str| {
        let run = run(&["inspect", "--no-cache", "--platform", "all", "--format", "json", path]).expect(0);
        (run.json().as_array().map_or(1, Vec::len), bytes_read(path, false))
    };
    let (_, bytes) = read(&alone);
    assert_eq!(read(&ordered), (60, bytes));
    assert_eq!(read(&nested), (60, bytes));
}

#[test]
fn one_image_alone_is_measured_whatever_it_runs_on() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::at(directory.path());
    let app = listed(&blobs, 1000, "linux/s390x", &json!({}));
    let mut all: Vec<Value> = others(&blobs, &app).into_iter().map(|(_, other)| other).collect();
    all.push(app);
    all.remove(1);
    let root = index(&blobs, &all);
    let layout = blobs.finish(&json!([root])).display().to_string();
    assert_eq!(rows(&layout, &[]), [row("linux/s390x", 1000)]);
    let bare = tempfile::tempdir().unwrap();
    let bare = oci_layout(bare.path(), &layers(10));
    assert_eq!(rows(&bare.display().to_string(), &[]), [row("linux/amd64", 10)]);
}
