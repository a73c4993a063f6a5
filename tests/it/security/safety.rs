//! What untrusted images may cost: bounds, and the flag that raises them.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::fake_registry::{FakeRegistry, Faults};
use crate::support::tarball::{bzip2, head, xz, xz_of_dictionary};
use crate::support::{
    Blobs, Cost, FakeLayer, Item, Run, config_of, gzip, oci_layout, run, tar_of, tar_with_modes,
};

/// An image of one layer.
fn image(directory: &std::path::Path, layer: FakeLayer) -> String {
    oci_layout(directory, &[layer]).display().to_string()
}

#[test]
fn each_bound_names_itself_and_can_be_raised() {
    let long = format!("{}/f", "a/".repeat(2200));
    let cases = [
        ("depth", "depth=300", tar_of(&[Item::File(&("d/".repeat(257) + "f"), 1)])),
        ("path", "path=5000,depth=5000", tar_of(&[Item::File(&long, 1)])),
        ("header", "header=2000000 path=2000000", tar_of(&[Item::File(&"n".repeat(1_200_000), 1)])),
    ];
    for (bound, raised, tar) in cases {
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path(), FakeLayer::gzip(&tar, "COPY . /"));
        let refused = run(&["inspect", &image]).expect(3);
        for part in ["refused", "layer 1 of 1", &format!("--safety-limit {bound}=NUMBER")] {
            assert!(refused.stderr.contains(part), "{bound}: {}", refused.stderr);
        }
        run(&["inspect", &image, "--safety-limit", raised]).expect(0);
    }
}

/// 1.2 GiB of zeros: gzip packs them a thousand times smaller, which is allowed, and zstd thirty
/// thousand times.
#[test]
fn a_bomb_is_refused_before_it_has_gone_off() {
    let zeros = || std::io::Read::take(std::io::repeat(0), 1_200 << 20);
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(1_200 << 20);
    header.set_cksum();
    let tar = || {
        let end = std::io::Cursor::new([0; 1024]);
        std::io::Read::chain(
            std::io::Read::chain(std::io::Cursor::new(header.as_bytes().to_vec()), zeros()),
            end,
        )
    };
    let blob = zstd::encode_all(tar(), 1).unwrap();
    assert!(blob.len() < 200_000, "{}", blob.len());
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("image.tar.zst");
    std::fs::write(&whole, &blob).unwrap();
    let refused = run(&["inspect", &whole.display().to_string()]).expect(3);
    assert!(refused.stderr.contains("--safety-limit ratio=NUMBER"), "{}", refused.stderr);
    let media_type = "application/vnd.oci.image.layer.v1.tar+zstd".into();
    let diff_id = format!("sha256:{}", "00".repeat(32));
    let layer = FakeLayer { diff_id, blob, media_type, created_by: "COPY . /".into() };
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path(), layer);
    let refused = run(&["inspect", &image]).expect(3);
    for part in ["refused", "over 2,000 times", "--safety-limit ratio=NUMBER"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    let counted = run(&["inspect", &image, "--safety-limit", "ratio=100000", "--format", "json"]).expect(0);
    assert_eq!(counted.json()["totals"]["uncompressed"], 1_200u64 << 20);
}

/// The same of xz around an archive, and of bzip2 around a layer.
#[test]
fn a_bomb_of_any_packing_is_refused() {
    // Streams may follow each other, so one of 20 MiB is packed once.
    let bomb = |pack: fn(&[u8]) -> Vec<u8>| {
        let header = head(b'0', "zeros", 2_000 << 20).bytes();
        let bomb = [pack(&header), pack(&vec![0; 20 << 20]).repeat(100), pack(&[0; 1024])].concat();
        assert!(bomb.len() < 400_000, "{}", bomb.len());
        bomb
    };
    let refused = |image: &str| {
        let refused = run(&["inspect", image]).expect(3);
        for part in ["refused", "over 2,000 times", "--safety-limit ratio=NUMBER"] {
            assert!(refused.stderr.contains(part), "{}", refused.stderr);
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("bomb.tar.xz");
    std::fs::write(&archive, bomb(xz)).unwrap();
    refused(&archive.display().to_string());
    let layer = FakeLayer { blob: bomb(bzip2), ..FakeLayer::plain(&gzip(b""), "COPY . /") };
    refused(&image(&directory.path().join("layout"), layer));
}

/// What comes by a pipe cannot be looked at twice, and is held to the same limits.
#[test]
fn a_bomb_on_standard_input_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("bomb.tar.xz");
    let header = head(b'0', "zeros", 2_000 << 20).bytes();
    std::fs::write(&archive, [xz(&header), xz(&vec![0; 20 << 20]).repeat(100)].concat()).unwrap();
    for image in ["-", "docker-archive:-"] {
        let piped = format!("cat {} | \"$0\" inspect {image}", archive.display());
        let refused =
            Run::of(Command::new("sh").args(["-c", &piped, env!("CARGO_BIN_EXE_layergate")])).expect(3);
        assert!(refused.stderr.contains("--safety-limit ratio=NUMBER"), "{image}: {}", refused.stderr);
    }
}

/// Around an archive, and around an archive of layers that are packed themselves: what counts is what all of it takes.
#[test]
fn a_bomb_around_an_archive_is_refused() {
    fn zstd(content: &[u8]) -> Vec<u8> {
        zstd::encode_all(content, 3).unwrap()
    }
    let directory = tempfile::tempdir().unwrap();
    // A thousand times smaller each time.
    let zeros = |pack: fn(&[u8]) -> Vec<u8>, count: usize| pack(&vec![0; 20 << 20]).repeat(count);
    let member = |name: &str, content: &[u8]| {
        [head(b'0', name, content.len() as u64).bytes(), content.to_vec(), vec![0; 512 - content.len() % 512]]
            .concat()
    };
    let ends = || vec![0; 1024];
    let plain = |pack: fn(&[u8]) -> Vec<u8>| {
        [pack(&head(b'0', "zeros", 2_000 << 20).bytes()), zeros(pack, 100), pack(&ends())].concat()
    };
    let layered = |inner: fn(&[u8]) -> Vec<u8>, outer: fn(&[u8]) -> Vec<u8>| {
        let layer = [inner(&head(b'0', "zeros", 4_000 << 20).bytes()), zeros(inner, 200), inner(&ends())];
        let config = format!(
            r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["sha256:{}"]}}}}"#,
            "0".repeat(64)
        );
        let manifest = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["layer.tar"]}]"#;
        let archive = [
            member("layer.tar", &layer.concat()),
            member("c.json", config.as_bytes()),
            member("manifest.json", manifest.as_bytes()),
            ends(),
        ];
        outer(&archive.concat())
    };
    for (name, bomb) in [
        ("bzip2", plain(bzip2)),
        ("zstd", plain(zstd)),
        ("gzip in gzip", layered(gzip, gzip)),
        ("gzip in xz", layered(gzip, xz)),
        ("xz in gzip", layered(xz, gzip)),
        ("zstd in zstd", layered(zstd, zstd)),
    ] {
        assert!(bomb.len() < 600_000, "{name}: {}", bomb.len());
        let path = directory.path().join("bomb");
        std::fs::write(&path, bomb).unwrap();
        let refused = Cost::of(&["inspect", "--no-cache", &path.display().to_string()], 3);
        for part in ["refused", "over 2,000 times", "--safety-limit ratio=NUMBER"] {
            assert!(refused.stderr.contains(part), "{name}: {}", refused.stderr);
        }
        assert!(refused.work.as_secs() < 60 && refused.peak < 256 << 10, "{name}: {refused:?}");
    }
}

/// Some KB of names that unpack to more than a layer of that length has.
#[test]
fn a_small_layer_with_long_names_is_refused() {
    let names: Vec<String> = (0..12_000).map(|at| format!("{}/{at}", "d".repeat(3900))).collect();
    let items: Vec<Item<'_>> = names.iter().map(|name| Item::File(name, 0)).collect();
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path(), FakeLayer::zstd(&tar_of(&items), "COPY . /"));
    let refused = run(&["inspect", &image]).expect(3);
    for part in ["refused", "too many path names for", "--safety-limit names=NUMBER"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    let raised = ["--safety-limit", "names=600000000,header=2000000"];
    run(&[&["inspect", &image], &raised[..]].concat()).expect(0);
}

#[test]
fn lists_of_files_unpack_to_no_more_than_real_ones() {
    let directory = tempfile::tempdir().unwrap();
    let layer = FakeLayer::gzip(&tar_of(&[Item::File("f", 10)]), "COPY . /");
    let hex = layer.diff_id.strip_prefix("sha256:").unwrap().to_owned();
    let image = image(directory.path(), layer);
    let (cache, store) = (directory.path().join("cache"), directory.path().join("store"));
    let list = |unit: &str, count: usize| {
        let start = format!(
            r#"{{"schema":"layergate.file-list/v1","diff_id":"sha256:{hex}","file_list":{{"entries":["#
        );
        let document = format!(r#"{start}{}["f","f",10]],"marks":[]}}}}"#, unit.repeat(count));
        zstd::encode_all(document.as_bytes(), 1).unwrap()
    };
    let long = format!(r#"["d","{}"],"#, "d".repeat(4000));
    for (unit, count) in
        [(r#"["f","a",1],"#, 1_000_000), (r#"["d","a"],"#, 1_000_000), (long.as_str(), 10_000)]
    {
        for (root, part) in [(&cache, "v1/layers"), (&store, "file-lists")] {
            let file = root.join(part).join(&hex[..2]).join(format!("{hex}.json.zst"));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, list(unit, count)).unwrap();
        }
        let store = format!("dir:{}", store.display());
        let cache = cache.display().to_string();
        let flags = ["--max-size", "1 GB", "--format", "json", "--cache-dir", &cache, "--store", &store];
        let read = run(&[&["check", &image], &flags[..]].concat()).expect(0);
        assert_eq!(read.json()["images"][0]["head"]["totals"]["files"], 1, "{unit}");
    }
}

/// Layers that are small and differ in one file each: what their databases declare comes on top of each other.
fn crowded(directory: &Path, count: usize, files: &[(&str, Vec<u8>)]) -> String {
    let layer = |at: usize| {
        let own = [(format!("own/{at}"), 0o644, vec![b'x'])];
        let all = files.iter().map(|(path, content)| ((*path).to_owned(), 0o644, content.clone()));
        FakeLayer::zstd(&tar_with_modes(&all.chain(own).collect::<Vec<_>>()), "COPY . /")
    };
    let layers: Vec<FakeLayer> = (0..count).map(layer).collect();
    let sent: usize = layers.iter().map(|layer| layer.blob.len()).sum();
    assert!(sent < 1 << 20, "{sent}");
    oci_layout(directory, &layers).display().to_string()
}

/// JSON of many values alike.
fn many(start: &str, unit: impl Fn(usize) -> String, count: usize, end: &str) -> Vec<u8> {
    format!("{start}{}{end}", (0..count).map(unit).collect::<Vec<_>>().join(",")).into_bytes()
}

#[test]
fn packages_of_many_layers_take_no_more_than_those_of_one() {
    let apk = |name: fn(usize) -> String, count: usize| {
        (0..count).map(|at| format!("P:{}\nV:1\nF:u\nR:x\n\n", name(at))).collect::<String>().into_bytes()
    };
    let libraries = || {
        let targets = many("", |at| format!(r#""a{at}/1":{{"runtime":{{"a":{{}}}}}}"#), 60_000, "");
        let types = many("", |at| format!(r#""a{at}/1":{{"type":"package"}}"#), 60_000, "");
        let [targets, types] = [targets, types].map(|part| String::from_utf8(part).unwrap());
        format!(r#"{{"targets":{{"t":{{{targets}}}}},"libraries":{{{types}}}}}"#).into_bytes()
    };
    let files = || many(r#"{"name":"a","version":"1","files":["#, |_| "\"a\"".to_owned(), 3_000_000, "]}");
    let database = [b"SQLite format 3\0".to_vec(), vec![0; 60 << 20]].concat();
    let rpm = ["var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite"];
    let jar = java_archives(9, 1999);
    let jars: Vec<String> = (0..8).map(|at| format!("app/{at}.jar")).collect();
    let kinds = [
        ("names", 8, vec![("lib/apk/db/installed", apk(|at| format!("a{at}"), 100_000))]),
        ("one name", 30, vec![("lib/apk/db/installed", apk(|_| "a".to_owned(), 800_000))]),
        (".NET", 8, vec![("app/a.deps.json", libraries())]),
        ("jars", 6, jars.iter().map(|path| (path.as_str(), jar.clone())).collect()),
        ("conda", 8, vec![("c/conda-meta/a-1-0.json", files())]),
        ("rpm", 4, rpm.iter().map(|path| (*path, database.clone())).collect()),
    ];
    for (kind, count, files) in kinds {
        let directory = tempfile::tempdir().unwrap();
        let image = crowded(&directory.path().join("image"), count, &files);
        let cost = Cost::of(&["inspect", "--no-cache", &image], 0);
        assert!(cost.peak < 256 << 10, "{kind}: {cost:?}");
        assert!(cost.stderr.contains("it holds more than layergate reads of one image"), "{kind}: {cost:?}");
        // What is written can be read, whatever was left out.
        let file = directory.path().join("snapshot.json").display().to_string();
        run(&["inspect", "--no-cache", &image, "-o", &file]).expect(0);
        run(&["inspect", &file]).expect(0);
    }
}

/// A ZIP file of ZIP files, each with so many artifacts of Maven.
fn java_archives(count: usize, artifacts: usize) -> Vec<u8> {
    let stored = |entries: Vec<(String, Vec<u8>)>| {
        let mut archive = Vec::new();
        for (name, content) in entries {
            let mut header = [0; 30];
            header[..4].copy_from_slice(b"PK\x03\x04");
            header[18..22].copy_from_slice(&(content.len() as u32).to_le_bytes());
            header[22..26].copy_from_slice(&(content.len() as u32).to_le_bytes());
            header[26..28].copy_from_slice(&(name.len() as u16).to_le_bytes());
            archive.extend([&header[..], name.as_bytes(), &content].concat());
        }
        [archive, b"PK\x05\x06".to_vec(), vec![0; 18]].concat()
    };
    let properties = |at: usize| {
        let text = format!("groupId=g\nartifactId=a{at}\nversion=1\n");
        (format!("META-INF/maven/g/a{at}/pom.properties"), text.into_bytes())
    };
    let inner = stored((0..artifacts).map(properties).collect());
    stored((0..count).map(|at| (format!("{at}.jar"), inner.clone())).collect())
}

/// An image with as many packages as one may have, and one with one more.
#[test]
fn a_record_of_many_packages_can_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    // Of content that does not pack well, so that the image is long enough for them.
    let noise: Vec<u8> =
        (0..8_000_000_u32).map(|at| (at.wrapping_mul(at).wrapping_mul(2_654_435_761) >> 21) as u8).collect();
    for (first, second, kept) in [(40_000, 30_000, 70_000), (60_000, 50_000, 0)] {
        let apk = |from: u32, count: u32| {
            let records = (from..from + count).map(|at| format!("P:a{at}\nV:1\nF:u\nR:{at}\n\n"));
            records.collect::<String>().into_bytes()
        };
        let layer = |path: &str, content| {
            let files = [("noise", 0o644, noise.clone()), (path, 0o644, content)];
            FakeLayer::zstd(&tar_with_modes(&files), "COPY . /")
        };
        let layers = [
            layer("lib/apk/db/installed", apk(0, first)),
            layer("usr/lib/apk/db/installed", apk(first, second)),
        ];
        let root = directory.path().join(kept.to_string());
        let image = oci_layout(&root.join("image"), &layers).display().to_string();
        let packages = |run: Run| run.json()["packages"].as_array().map_or(0, Vec::len);
        let file = root.join("snapshot.json").display().to_string();
        run(&["inspect", "--no-cache", &image, "-o", &file]).expect(0);
        assert_eq!(packages(run(&["inspect", &file, "--format", "json"]).expect(0)), kept);
        // From the cache too: each layer by itself may be known.
        let cache = root.join("cache").display().to_string();
        for _ in 0..2 {
            let read = run(&["inspect", &image, "--format", "json", "--cache-dir", &cache]).expect(0);
            assert_eq!(packages(read), kept);
        }
        let store = format!("dir:{}", root.join("store").display());
        run(&["record", &format!("app={image}"), "--store", &store, "--commit", &"a".repeat(40)]).expect(0);
        let options =
            ["--store", &store, "--base-commit", &"a".repeat(40), "--max-increase", "1%", "--verify"];
        run(&[&["check", &format!("app={image}")], &options[..]].concat()).expect(0);
    }
}

/// A layer of zeros, compressed with this window; behind a small frame, where there is a first one.
fn zeros_in_a_window(at: usize, first: usize, window: u32) -> FakeLayer {
    let tar = tar_of(&[Item::File(&format!("zeros{at}"), 160 << 20)]);
    let mut blob = if first == 0 { Vec::new() } else { zstd::encode_all(&tar[..first], 3).unwrap() };
    blob.extend(zstd_in_a_window(&tar[first..], window));
    FakeLayer { blob, ..FakeLayer::zstd(&tar, "COPY . /") }
}

fn zstd_in_a_window(content: &[u8], window: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(window).unwrap();
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}

/// A decoder of zstd may keep 128 MiB of what it has inflated. Frames that come later than the first may keep 32 MiB each,
/// as those of Go's encoder do.
#[test]
fn small_layers_with_large_windows_take_little_memory_together() {
    for (first, window) in [(0, 27), (1000, 25)] {
        let directory = tempfile::tempdir().unwrap();
        let layers = [0, 1, 2, 3].map(|at| zeros_in_a_window(at, first, window));
        let layout = oci_layout(directory.path(), &layers);
        // From a registry several are fetched at once.
        let registry = FakeRegistry::start(&layout, Faults::default());
        for image in [layout.display().to_string(), registry.image()] {
            let cost = Cost::of(&["inspect", "--no-cache", &image], 0);
            assert!(cost.peak < 256 << 10, "{image}: {cost:?}");
        }
    }
}

/// While an archive is unpacked that takes 128 MiB, its layers may take 32.
#[test]
fn an_archive_and_its_layers_take_little_memory_together() {
    let xz = |tar: &[u8], dictionary: u32| {
        let blob = xz_of_dictionary(tar, dictionary);
        FakeLayer { blob, ..FakeLayer::zstd(tar, "COPY . /") }
    };
    let zeros = tar_of(&[Item::File("zeros", 132 << 20)]);
    for (layer, code) in [
        (zeros_in_a_window(0, 0, 27), 3),
        (zeros_in_a_window(0, 0, 25), 0),
        (xz(&zeros, 100 << 20), 3),
        (xz(&zeros, 32 << 20), 0),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let layout = oci_layout(directory.path(), &[FakeLayer::plain(&zeros, "COPY . /"), layer]);
        // The plain layer comes first, and fills the archive's window.
        let script = "ls -S blobs/sha256/* | tar -c -f all.tar -T - oci-layout index.json";
        Run::of(Command::new("sh").args(["-c", script]).current_dir(&layout)).expect(0);
        let archive = zstd_in_a_window(&std::fs::read(layout.join("all.tar")).unwrap(), 27);
        assert!(archive.len() < 1 << 20, "{}", archive.len());
        let file = directory.path().join("image.tar.zst").display().to_string();
        std::fs::write(&file, archive).unwrap();
        let cost = Cost::of(&["inspect", "--no-cache", &file], code);
        assert!(cost.peak < 256 << 10, "{cost:?}");
        assert_eq!(cost.stderr.contains("decompress the archive first"), code == 3, "{}", cost.stderr);
    }
}

/// A pull request may bring a file of a MiB.
#[test]
fn a_configuration_of_many_settings_is_read_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let image =
        image(&directory.path().join("image"), FakeLayer::gzip(&tar_of(&[Item::File("f", 10)]), "COPY . /"));
    let file = directory.path().join("limits.toml");
    let settings = "max-layers=1\nmax-size='1 B'\nmax-wasted='1 B'\nmax-update='1 B'\nmax-increase='1 B'\nenforce=true\n";
    let text: String = (0..9_000).map(|at| format!("[images.a{at}]\n{settings}")).collect();
    assert!(text.len() < 1 << 20, "{}", text.len());
    std::fs::write(&file, text).unwrap();
    let (store, file) = (directory.path().join("store").display().to_string(), file.display().to_string());
    let arguments = ["check", &image, "--no-cache", "--store", &format!("dir:{store}"), "--config", &file];
    let cost = Cost::of(&arguments, 0);
    assert!(cost.work.as_secs() < 5 && cost.peak < 256 << 10, "{cost:?}");
}

/// Of two small images that have nothing in common, every file is a cause.
#[test]
fn comparing_two_small_images_takes_no_more_than_reading_a_large_one() {
    let directory = tempfile::tempdir().unwrap();
    let image = |name: &str| {
        let names: Vec<String> = (0..140_000).map(|at| format!("d/{name}{at}")).collect();
        let items: Vec<Item<'_>> = names.iter().map(|name| Item::File(name, 1)).collect();
        let layer = FakeLayer::zstd(&tar_of(&items), "COPY . /");
        assert!((320_000..560_000).contains(&layer.blob.len()), "{}", layer.blob.len());
        image(&directory.path().join(name), layer)
    };
    let (one, other) = (image("a"), image("b"));
    let cost = Cost::of(&["diff", "--no-cache", &one, &other], 0);
    assert!(cost.peak < 256 << 10, "{cost:?}");
}

/// Values that are a few bytes each in a document, and many once they are parsed.
#[test]
fn documents_have_no_more_values_than_real_ones() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &Path| {
        let refused =
            Cost::of(&["inspect", "--no-cache", "--platform", "all", &path.display().to_string()], 3);
        for part in ["over 1,048,576 values of JSON", "--safety-limit documents=NUMBER"] {
            assert!(refused.stderr.contains(part), "{refused:?}");
        }
        assert!(refused.peak < 200 << 10, "{refused:?}");
    };
    // In a packed archive, of a few KB.
    let manifest = format!(r#"[{{"Config":"c.json","Layers":[{}"l.tar"]}}]"#, r#""","#.repeat(2_000_000));
    let mut archive = head(b'0', "manifest.json", manifest.len() as u64).bytes();
    archive.extend_from_slice(manifest.as_bytes());
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    let path = directory.path().join("image.tar.zst");
    std::fs::write(&path, zstd::encode_all(archive.as_slice(), 3).unwrap()).unwrap();
    refused(&path);
    // In one config, and in those of several platforms together.
    let layer = FakeLayer::gzip(&tar_of(&[Item::File("f", 10)]), "COPY . /");
    for (count, steps) in [(1, 600_000), (4, 150_000)] {
        let blobs = Blobs::at(&directory.path().join(count.to_string()));
        let platforms: Vec<Value> = (0..count)
            .map(|at| {
                let mut config = config_of(std::slice::from_ref(&layer), &format!("linux/a{at}"));
                config["history"] = vec![json!({}); steps].into();
                let mut one = blobs.put_manifest(&config, std::slice::from_ref(&layer));
                one["platform"] = json!({ "os": "linux", "architecture": format!("a{at}") });
                one
            })
            .collect();
        let index = "application/vnd.oci.image.index.v1+json";
        let root = json!({ "schemaVersion": 2, "mediaType": index, "manifests": platforms });
        let root = blobs.put(root.to_string().as_bytes(), index);
        refused(&blobs.finish(&json!([root])));
    }
}

#[test]
fn a_snapshot_unpacks_to_no_more_than_a_real_one() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path(), FakeLayer::gzip(&tar_of(&[Item::File("f", 10)]), "COPY . /"));
    let snapshot = run(&["inspect", &image, "--format", "json"]).expect(0).stdout;
    let path = directory.path().join("s.json.zst");
    let file = path.display().to_string();
    let write =
        |document: &str| std::fs::write(&path, zstd::encode_all(document.as_bytes(), 1).unwrap()).unwrap();
    write(&snapshot);
    run(&["inspect", &file]).expect(0);
    let more = |unit: &str, count: usize| {
        let end = snapshot.trim_end().strip_suffix('}').unwrap();
        format!(r#"{end},"more":[{}0]}}"#, unit.repeat(count))
    };
    for (unit, count, part) in [
        ("0,", 1_200_000, "values"),
        ("[],", 600_000, "values"),
        (&format!("{:?},", "x".repeat(4000)), 10_000, "bytes"),
    ] {
        write(&more(unit, count));
        let refused = run(&["inspect", &file]).expect(3);
        assert!(refused.stderr.contains(part) && refused.stderr.contains("s.json.zst"), "{}", refused.stderr);
    }
}

#[test]
fn a_bound_that_makes_no_sense_is_a_usage_error() {
    for (text, part) in
        [("files=9", "no such safety limit"), ("entries=5", "only be raised"), ("entries", "NAME=NUMBER")]
    {
        let refused = run(&["inspect", "x.tar", "--safety-limit", text]).expect(2);
        assert!(
            refused.stderr.contains("--safety-limit") && refused.stderr.contains(part),
            "{}",
            refused.stderr
        );
    }
}
