//! What builds say of themselves: where lines come from, and what a forged provenance can and cannot do.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::engine::Modern;
use crate::support::fake_content::{Content, Offer};
use crate::support::fake_engine::{Capture, FakeEngine};
use crate::support::fake_registry::{FakeRegistry, Faults};
use crate::support::{Blobs, Cost, FakeLayer, Item, Run, config_of, gzip, layergate, run, tar_of};

const DOCKERFILE: &str = "# syntax: none\nFROM base\nCOPY app \\\n  /app\n\nRUN make\nRUN true\nRUN true\n";
/// The lines of the layers above the base image.
const LINES: [(u32, u32); 4] = [(3, 4), (6, 6), (7, 7), (8, 8)];

/// An image of two layers of a base image and four of its own, two of them the same.
fn layers() -> Vec<FakeLayer> {
    let layer = |name: &str, size, step: &str| FakeLayer::gzip(&tar_of(&[Item::File(name, size)]), step);
    let empty = FakeLayer::gzip(&tar_of(&[]), "RUN /bin/sh -c true # buildkit");
    vec![
        layer("bin/sh", 70_000, "ADD root.tar / # buildkit"),
        layer("etc/os-release", 300, "COPY os-release /etc # buildkit"),
        layer("app", 5_000, "COPY app /app # buildkit"),
        layer("made", 20_000, "RUN /bin/sh -c make # buildkit"),
        empty.clone(),
        empty,
    ]
}

/// The provenance of an image as BuildKit writes it with `mode=max`: its first `base` layers are those of the image that
/// it was built on.
fn predicate(layers: &[Value], base: usize, material: &str) -> Value {
    let digest = format!("sha256:{material}");
    let chain = |count: usize| json!([layers[..count].iter().collect::<Vec<_>>()]);
    // As BuildKit does at times, it leaves out the layers of one step.
    let mut chains = json!({ "step0:0": chain(base) });
    let read = json!({ "source": { "identifier": format!("docker-image://registry.test/base:1@{digest}") } });
    let mut steps = vec![json!({ "id": "step0", "op": { "Op": read } })];
    let mut locations = json!({ "step0": place(2, 2) });
    for (index, count) in (base + 1..=layers.len()).enumerate() {
        let (first, last) = LINES[LINES.len() - (layers.len() - base) + index];
        if index != 1 {
            chains[format!("step{}:0", index + 1)] = chain(count);
        }
        let below = format!("step{index}:0");
        let run = json!({ "exec": { "mounts": [{ "input": 0, "dest": "/" }] } });
        steps.push(json!({ "id": format!("step{}", index + 1), "inputs": [below], "op": { "Op": run } }));
        locations[format!("step{}", index + 1)] = place(first, last);
    }
    let data = base64_of(DOCKERFILE);
    let source = json!({ "locations": locations, "infos": [{ "filename": "Dockerfile", "data": data }] });
    let last = format!("step{}:0", layers.len() - base);
    steps.push(json!({ "id": "result", "inputs": [last], "op": { "Op": null } }));
    json!({
        "materials": [{ "uri": "pkg:docker/registry.test/base@1", "digest": { "sha256": material } }],
        "invocation": { "configSource": { "entryPoint": "Dockerfile" }, "parameters": { "args": {} } },
        "buildConfig": { "llbDefinition": steps },
        "metadata": { "https://mobyproject.org/buildkit@v1#metadata": {
            "vcs": { "localdir:dockerfile": "services/api" },
            "source": source,
            "layers": chains,
        } },
    })
}

fn place(first: u32, last: u32) -> Value {
    let range = |line: u32| json!({ "start": { "line": line }, "end": { "line": line } });
    json!({ "locations": [{ "ranges": (first..=last).map(range).collect::<Vec<_>>() }] })
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn hex(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap()
}

/// A layout that is being made: an image, and what is said of it.
struct Attested {
    blobs: Blobs,
    directory: PathBuf,
    manifest: Value,
    layers: Vec<Value>,
}

impl Attested {
    fn at(directory: &Path, layers: &[FakeLayer]) -> Attested {
        let blobs = Blobs::at(directory);
        let manifest = blobs.put_image(layers, "linux/amd64");
        let layers = layers.iter().map(|layer| blobs.put(&layer.blob, &layer.media_type)).collect();
        Attested { blobs, directory: directory.to_owned(), manifest, layers }
    }

    /// The manifest of an attestation that is stored beside the image, and is about the manifest of this digest.
    fn attest(&self, of: &str, statement: &Value) -> Value {
        self.attest_text(of, statement.to_string().as_bytes())
    }

    fn attest_text(&self, of: &str, statement: &[u8]) -> Value {
        let mut layer = self.blobs.put(statement, "application/vnd.in-toto+json");
        layer["annotations"] = json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" });
        let config = self.blobs.put(b"{}", "application/vnd.oci.image.config.v1+json");
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        let mut listed =
            self.blobs.put(manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
        listed["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
        listed["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": of,
        });
        listed
    }

    fn digest(&self) -> String {
        self.manifest["digest"].as_str().unwrap().to_owned()
    }

    /// Writes the index of the image and of what is said of it, and lists that and what else there is.
    fn finish(self, attestations: &[Value], more: &[Value]) -> PathBuf {
        let mut image = self.manifest.clone();
        image["platform"] = json!({ "os": "linux", "architecture": "amd64" });
        let manifests: Vec<&Value> = std::iter::once(&image).chain(attestations).collect();
        let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
        let mut index = self.blobs.put(index.as_bytes(), "application/vnd.oci.image.index.v1+json");
        index["annotations"] = json!({ "org.opencontainers.image.ref.name": "app" });
        let listed: Vec<&Value> = std::iter::once(&index).chain(more).collect();
        self.blobs.finish(&json!(listed));
        self.directory
    }
}

fn statement(of: &str, predicate: Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
        "subject": [{ "name": "app", "digest": { "sha256": of.strip_prefix("sha256:").unwrap() } }],
        "predicate": predicate,
    })
}

/// The image with its true provenance.
fn attested(directory: &Path) -> PathBuf {
    attested_otherwise(directory, |_| {})
}

/// The image with a provenance that says something else.
pub fn attested_otherwise(directory: &Path, change: impl Fn(&mut Value)) -> PathBuf {
    let image = Attested::at(directory, &layers());
    let mut predicate = predicate(&image.layers, 2, &"0".repeat(64));
    change(&mut predicate);
    let listed = image.attest(&image.digest(), &statement(&image.digest(), predicate));
    image.finish(&[listed], &[])
}

fn lines_of(snapshot: &Value) -> Vec<Option<(u64, u64)>> {
    let line = |layer: &Value| {
        let at = &layer["dockerfile"];
        Some((at["line"].as_u64()?, at["end_line"].as_u64()?))
    };
    snapshot["layers"].as_array().unwrap().iter().map(line).collect()
}

fn expected() -> Vec<Option<(u64, u64)>> {
    let own = LINES.map(|(first, last)| Some((u64::from(first), u64::from(last))));
    [None, None].into_iter().chain(own).collect()
}

fn inspect(image: &str, options: &[&str]) -> Run {
    run(&[&["inspect", image, "--format", "json", "--no-cache"], options].concat())
}

#[test]
fn lines_come_from_provenance_wherever_the_image_is() {
    let directory = tempfile::tempdir().unwrap();
    let layout = attested(&directory.path().join("layout"));
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", &layout).unwrap();
    let tar = tar.into_inner().unwrap();
    let [plain, packed] = ["image.tar", "image.tar.gz"].map(|name| directory.path().join(name));
    fs::write(&plain, &tar).unwrap();
    fs::write(&packed, gzip(&tar)).unwrap();
    let check = |snapshot: &Value, from: &str| {
        assert_eq!(snapshot["lines"], "provenance", "{from}");
        assert_eq!(lines_of(snapshot), expected(), "{from}");
        let path = &snapshot["layers"][3]["dockerfile"]["path"];
        assert_eq!(path, "services/api/Dockerfile", "{from}: where it is in the repository");
    };
    let dockerfile = directory.path().join("Dockerfile.prod");
    fs::write(&dockerfile, DOCKERFILE).unwrap();
    let dockerfile = dockerfile.display().to_string();
    for path in [&layout, &plain, &packed] {
        let path = path.display().to_string();
        check(&inspect(&path, &[]).expect(0).json(), &path);
        let named = inspect(&path, &["--dockerfile", &dockerfile]).expect(0).json();
        assert_eq!(named["layers"][3]["dockerfile"]["path"], dockerfile);
    }
    let text = run(&["inspect", &layout.display().to_string()]).expect(0).stdout;
    assert!(text.contains("line numbers from build provenance"), "{text}");

    let registry = FakeRegistry::start(&layout, Faults::default());
    check(&inspect(&registry.image(), &[]).expect(0).json(), "a registry");

    let engine = FakeEngine::start(engine_of(&layout));
    // Once from nothing, and once with all layers known.
    for _ in 0..2 {
        let run = engine.run(&["inspect", "edge:v1", "--format", "json"]).expect(0);
        check(&run.json(), &format!("an engine's content store: {}", run.stderr));
    }
}

/// An engine with the containerd image store, in which there is the image of a layout.
fn engine_of(layout: &Path) -> Capture {
    let content = Content::of_layout(Offer::Direct, layout);
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let mut capture = Capture::of("docker-29", "edge-v1");
    capture.inspect["Id"] = index["manifests"][0]["digest"].clone();
    let diff_ids: Vec<String> = layers().into_iter().map(|layer| layer.diff_id).collect();
    capture.inspect["RootFS"]["Layers"] = json!(diff_ids);
    Capture { content, save: Vec::new(), ..capture }
}

#[test]
fn what_is_of_another_image_or_cannot_be_read_is_ignored_and_said() {
    let other = format!("sha256:{}", "1".repeat(64));
    type Case<'a> = (&'a str, fn(&Attested, &str) -> Value, &'a str);
    let cases: [Case<'_>; 5] = [
        (
            "its subject is another image",
            |image, other| {
                let predicate = predicate(&image.layers, 2, &"0".repeat(64));
                image.attest(&image.digest(), &statement(other, predicate))
            },
            "it is for an image other than sha256:",
        ),
        (
            "it is listed as that of another image",
            |image, other| {
                let predicate = predicate(&image.layers, 2, &"0".repeat(64));
                image.attest(other, &statement(&image.digest(), predicate))
            },
            "",
        ),
        ("it is no JSON", |image, _| image.attest_text(&image.digest(), b"{\"x"), "is malformed"),
        (
            "it is of another form",
            |image, _| image.attest(&image.digest(), &statement(&image.digest(), json!({ "metadata": 7 }))),
            "is malformed",
        ),
        (
            "it is too long",
            |image, _| image.attest_text(&image.digest(), &[b' '; 9 << 20]),
            "the build's provenance is ignored",
        ),
    ];
    for (what, attest, said) in cases {
        let directory = tempfile::tempdir().unwrap();
        let image = Attested::at(directory.path(), &layers());
        let listed = attest(&image, &other);
        let layout = image.finish(&[listed], &[]).display().to_string();
        let run = inspect(&layout, &[]).expect(0);
        assert!(run.json()["lines"].is_null() && lines_of(&run.json()) == [None; 6], "{what}");
        assert!(
            run.stderr.contains(said) && (said.is_empty() == run.stderr.is_empty()),
            "{what}: {}",
            run.stderr
        );
        assert_eq!(run.json()["totals"]["uncompressed"], 95_300, "{what}");
    }
}

#[test]
fn a_metadata_file_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let image = Attested::at(&directory.path().join("layout"), &layers());
    let predicate = predicate(&image.layers, 2, &"0".repeat(64));
    let digest = image.digest();
    let layout = image.finish(&[], &[]).display().to_string();
    let metadata = |digest: &str| {
        json!({ "containerimage.digest": digest, "buildx.build.provenance": &predicate }).to_string()
    };
    let file = directory.path().join("metadata.json");
    fs::write(&file, metadata(&digest)).unwrap();
    let file = file.display().to_string();
    let named = format!("app={file}");
    let json = metadata(&digest);
    for given in [&file, &named, &json] {
        let run = inspect(&format!("app={layout}"), &["--build-metadata", given]).expect(0);
        assert_eq!((lines_of(&run.json()), run.stderr.as_str()), (expected(), ""), "{given}");
        assert_eq!(run.json()["lines"], "provenance");
    }
    let other = directory.path().join("other.json").display().to_string();
    for (text, said) in [
        (metadata(&format!("sha256:{}", "1".repeat(64))), "its digests match none of the images"),
        (json!({ "containerimage.digest": digest }).to_string(), "BUILDX_METADATA_PROVENANCE=max"),
        ("[".to_owned(), "is ignored: it is malformed"),
    ] {
        fs::write(&other, text).unwrap();
        let run = inspect(&layout, &["--build-metadata", &other]).expect(0);
        assert!(run.json()["lines"].is_null() && run.stderr.contains(said), "{}", run.stderr);
    }
    let missing = inspect(&layout, &["--build-metadata", "missing.json"]).expect(2);
    assert!(missing.stderr.contains("--build-metadata missing.json: cannot read it"), "{}", missing.stderr);
}

/// A document for many images is parsed once, and its values are counted before: 8 MiB of them cost 600 MiB otherwise.
#[test]
fn a_metadata_file_is_bounded_by_its_values() {
    let directory = tempfile::tempdir().unwrap();
    let layout =
        crate::support::oci_layout(&directory.path().join("layout"), &layers()).display().to_string();
    let file = directory.path().join("metadata.json").display().to_string();
    let inspect = ["inspect", &layout, "--build-metadata", &file];
    for (unit, count) in [("{\"\":0},", 900_000), ("0,", 1_100_000), ("[],", 600_000)] {
        fs::write(&file, format!("{{\"a\":[{}0]}}", unit.repeat(count))).unwrap();
        let cost = Cost::of(&inspect, 2);
        assert!(cost.stderr.contains("JSON values"), "{unit}: {}", cost.stderr);
        assert!(cost.peak < 100 << 10, "{unit}: {cost:?}");
    }
    // Several documents share that.
    fs::write(&file, format!("{{\"a\":[{}0]}}", "0,".repeat(600_000))).unwrap();
    let twice = [&inspect[..], &["--build-metadata", &file]].concat();
    Cost::of(&twice, 2);
    let once = Cost::of(&inspect, 0);
    assert!(once.peak < 256 << 10, "{once:?}");
}

/// What provenance says of the base image counts where that image itself confirms it, and nowhere else.
#[test]
fn the_base_image_counts_once_its_own_config_confirms_it() {
    let base_of = |all: &[FakeLayer], material: &dyn Fn(&Blobs) -> (String, Vec<Value>)| {
        let directory = tempfile::tempdir().unwrap();
        let image = Attested::at(directory.path(), all);
        let (material, more) = material(&image.blobs);
        // It claims that four layers, the largest of the image's own among them, are the base image's.
        let predicate = predicate(&image.layers, 4, &material);
        let listed = image.attest(&image.digest(), &statement(&image.digest(), predicate));
        let layout = image.finish(&[listed], &more).display().to_string();
        inspect(&format!("oci:{layout}:app"), &[]).expect(0).json()["base"].clone()
    };
    let all = layers();
    let nowhere = base_of(&all, &|_| ("7".repeat(64), Vec::new()));
    assert!(nowhere.is_null(), "an image that is nowhere: {nowhere}");
    let listed = |layers: Vec<FakeLayer>| {
        move |blobs: &Blobs| {
            let mut base = blobs.put_image(&layers, "linux/amd64");
            base["annotations"] = json!({ "org.opencontainers.image.ref.name": "base" });
            (hex(&base).to_owned(), vec![base])
        }
    };
    let wrong = base_of(&all, &listed(vec![all[1].clone(), all[3].clone()]));
    assert!(wrong.is_null(), "an image that is not below: {wrong}");
    let right = base_of(&all, &listed(all[..2].to_vec()));
    assert_eq!(right["how"], "provenance");
    assert_eq!(right["layers"], 2, "what its config has, whatever the provenance claims");
    assert_eq!(right["name"], "registry.test/base:1");
}

/// A pull request that grows its own layer, and says by a forged provenance that the layer is the base image's.
#[test]
fn a_forged_provenance_does_not_hide_growth() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().join("store").display());
    let dockerfile = directory.path().join("Dockerfile");
    fs::write(&dockerfile, "FROM base\nCOPY app /app\nRUN make\n").unwrap();
    let dockerfile = dockerfile.display().to_string();
    let image = |made: u64| {
        let mut all = layers();
        all.truncate(3);
        all.push(FakeLayer::gzip(&tar_of(&[Item::File("made", made)]), "RUN /bin/sh -c make # buildkit"));
        all
    };
    let before = crate::support::oci_layout(&directory.path().join("before"), &image(20_000));
    let before = format!("app={}", before.display());
    run(&["record", &before, "--store", &store, "--dockerfile", &dockerfile]).expect(0);
    let forged = Attested::at(&directory.path().join("forged"), &image(90_000));
    let predicate = predicate(&forged.layers, 4, &"7".repeat(64));
    let listed = forged.attest(&forged.digest(), &statement(&forged.digest(), predicate));
    let forged = format!("app={}", forged.finish(&[listed], &[]).display());
    let check = ["check", &forged, "--store", &store, "--max-app-increase", "10 kB"];
    let run = run(&[&check[..], &["--dockerfile", &dockerfile]].concat()).expect(1);
    assert!(run.stdout.contains("max-app-increase"), "{}", run.stdout);
}

/// The Dockerfile that a provenance brings looks as if all were built elsewhere. What ships is measured.
#[test]
fn a_forged_dockerfile_excuses_no_build_tools() {
    let directory = tempfile::tempdir().unwrap();
    let mut all = layers();
    all[3] =
        FakeLayer::gzip(&tar_of(&[Item::File("usr/bin/gcc", 5_000_000)]), "RUN /bin/sh -c make # buildkit");
    let forged = Attested::at(&directory.path().join("forged"), &all);
    let mut predicate = predicate(&forged.layers, 4, &"7".repeat(64));
    let text = "FROM golang AS builder\nRUN make\nFROM scratch\nCOPY --from=builder /app /app\nCOPY b /\nCOPY c /\n#\n#\n";
    let own = &mut predicate["metadata"]["https://mobyproject.org/buildkit@v1#metadata"];
    own["source"]["infos"][0]["data"] = json!(base64_of(text));
    let listed = forged.attest(&forged.digest(), &statement(&forged.digest(), predicate));
    let image = format!("app={}", forged.finish(&[listed], &[]).display());
    let failed = run(&["check", &image, "--multi-stage", "require", "--format", "json"]).expect(1).json();
    assert_eq!(failed["images"][0]["lines"], "provenance");
    let reason = failed["images"][0]["stages"]["reason"].as_str().unwrap();
    assert!(reason.contains("2 stages") && reason.contains("compilers"), "{reason}");
}

#[test]
fn a_changed_config_is_a_row_without_values() {
    let directory = tempfile::tempdir().unwrap();
    let layout = |name: &str, config: Value| {
        let blobs = Blobs::at(&directory.path().join(name));
        let mut whole = config_of(&layers(), "linux/amd64");
        whole["config"] = config;
        let manifest = blobs.put_manifest(&whole, &layers());
        blobs.finish(&json!([manifest])).display().to_string()
    };
    let before = layout("before", json!({ "Env": ["PATH=/bin", "OLD=hunter22"], "Cmd": ["sh"] }));
    let now = layout(
        "now",
        json!({ "Env": ["PATH=/sbin", "NEW=hunter23"], "Cmd": ["sh"], "User": "app", "Entrypoint": ["/app"] }),
    );
    let text = run(&["diff", &before, &now]).expect(0).stdout;
    assert!(text.contains("Config: USER root \u{2192} app, ENTRYPOINT, 2 ENV"), "{text}");
    let markdown = run(&["diff", &before, &now, "--format", "markdown"]).expect(0).stdout;
    assert!(markdown.contains("| ENV | `OLD` | `NEW` |"), "{markdown}");
    let json = run(&["diff", &before, &now, "--format", "json"]).expect(0).stdout;
    assert!(!format!("{text}{markdown}{json}").contains("hunter2"), "values may be secrets");
    let same = run(&["diff", &now, &now]).expect(0).stdout;
    assert!(!same.contains("Config:"), "{same}");
}

/// A Dockerfile, and the lines that made each layer of its image.
struct Made {
    text: String,
    truth: Vec<(u64, u64)>,
}

/// Writes the `number`th Dockerfile: of one stage to three, with comments, long and repeated instructions, heredocs,
/// arguments, and what makes no layer in between.
fn made(number: u64) -> Made {
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let (mut lines, mut truth): (Vec<String>, Vec<(u64, u64)>) = (Vec::new(), Vec::new());
    let add = |lines: &mut Vec<String>, text: &str| {
        let first = lines.len() as u64 + 1;
        lines.extend(text.lines().map(str::to_owned));
        (first, lines.len() as u64)
    };
    if next(2) == 0 {
        add(&mut lines, "# escape=\\\n\nARG UNUSED=1");
    }
    add(&mut lines, "FROM scratch AS system");
    truth.push(add(&mut lines, "COPY busybox /bin/busybox"));
    truth.push(add(&mut lines, "RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]"));
    let builder = next(2) == 0;
    if builder {
        add(&mut lines, "\nFROM system AS builder\nRUN seq 1 500 > /built\nRUN true");
    }
    add(&mut lines, "\n# what is shipped\nFROM system");
    for step in 0..3 + next(6) {
        let name = next(3);
        let text = match next(12) {
            0 => format!("RUN seq 1 {} > /a{name}", 100 + next(3)),
            1 => format!(
                "RUN seq 1 100 > /b{step} \\\n # a comment in between\n && seq 1 {} > /c \\\n && true",
                next(90)
            ),
            2 => format!("RUN <<EOF\nseq 1 {} > /d{name}\ntrue\nEOF", 10 + next(90)),
            3 => "RUN true".to_owned(),
            4 => format!("WORKDIR /w{name}/x"),
            5 if builder => format!("COPY --from=builder /built \\\n  /e{name}"),
            6 => format!("COPY Dockerfile /f{name}"),
            7 => format!("ADD Dockerfile /g{name}"),
            8 if builder => format!("COPY --link --from=builder /built /h{name}"),
            9 => "RUN true && \\\n\n  true".to_owned(),
            10 => format!("COPY <<TEXT /i{name}\nhello {step}\nTEXT"),
            _ => {
                let nothing = [
                    "ENV A=1 \\\n  B=2",
                    "# RUN true",
                    "LABEL a=b",
                    "",
                    "CMD [\"true\"]",
                    "STOPSIGNAL SIGINT",
                    "ARG C=1\nENV C=$C",
                ];
                add(&mut lines, nothing[next(nothing.len() as u64) as usize]);
                continue;
            }
        };
        truth.push(add(&mut lines, &text));
    }
    Made { text: lines.join("\n") + "\n", truth }
}

/// The same image in a layout that lists nothing else.
fn without_attestations(archive: &Path) -> PathBuf {
    let layout = archive.with_extension("layout");
    tar::Archive::new(fs::File::open(archive).unwrap()).unpack(&layout).unwrap();
    let read = |path: PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let listed = read(layout.join("index.json"))["manifests"][0].clone();
    let index = read(layout.join("blobs/sha256").join(hex(&listed)));
    let image = json!({ "schemaVersion": 2, "manifests": [index["manifests"][0]] });
    fs::write(layout.join("index.json"), image.to_string()).unwrap();
    layout
}

/// Thirty Dockerfiles, built by BuildKit with `mode=max`, and the same images without provenance: each line by provenance
/// is the true one, and what is said without it is the true one as well, or nothing, and says that it is an estimate.
#[test]
#[ignore = "needs newer engines: tests/run"]
fn lines_by_provenance_are_those_of_the_build() {
    let Some(modern) = Modern::containerd("lines by provenance") else { return };
    let context = modern.context("FROM scratch\n");
    let all: Vec<Made> = (1..=30).map(made).collect();
    for (number, made) in all.iter().enumerate() {
        fs::write(context.path(&format!("{number}.Dockerfile")), &made.text).unwrap();
    }
    let build = "docker buildx build --quiet --network host --allow network.host --provenance=mode=max \
                 --file N.Dockerfile --output type=oci,dest=N.tar . >/dev/null";
    // An engine that much else is asked of may refuse one.
    let each = format!("xargs -P 2 -I N sh -c '{build} || {build} || {build}'");
    modern.shell(&context, &format!("seq 0 {} | {each}", all.len() - 1));
    let (mut by_provenance, mut estimated, mut unknown) = (0, 0, 0);
    for (number, made) in all.iter().enumerate() {
        let truth: Vec<Option<(u64, u64)>> = made.truth.iter().copied().map(Some).collect();
        let image = context.path(&format!("{number}.tar"));
        let with = inspect(&image, &[]).expect(0).json();
        assert_eq!(lines_of(&with), truth, "by provenance:\n{}", made.text);
        assert_eq!(with["lines"], "provenance");
        by_provenance += truth.len();

        let dockerfile = context.path(&format!("{number}.Dockerfile"));
        let without = without_attestations(Path::new(&image)).display().to_string();
        let without = inspect(&without, &["--dockerfile", &dockerfile]).expect(0).json();
        assert_eq!(without["totals"], with["totals"]);
        let lines = lines_of(&without);
        for (line, truth) in lines.iter().zip(&truth) {
            match line {
                Some(_) => {
                    assert_eq!(without["lines"], "estimated");
                    assert_eq!(line, truth, "estimated:\n{}", made.text);
                    estimated += 1;
                }
                None => unknown += 1,
            }
        }
    }
    let counts = format!("{by_provenance} layers by provenance, {estimated} estimated, {unknown} left out");
    writeln!(std::io::stderr(), "{counts}").unwrap();
    assert!(by_provenance > 150 && estimated > unknown, "{counts}");
}

/// By name in the engine, and by a pushed image: the same lines, and a base image that the engine confirms.
#[test]
#[ignore = "needs newer engines: tests/run"]
fn an_engine_confirms_the_base_image_that_provenance_names() {
    let Some(modern) = Modern::containerd("a base image by provenance") else { return };
    let build = "docker buildx build --quiet --network host --allow network.host";
    let system =
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";
    let context = modern.context(system);
    modern.shell(&context, &format!("{build} --provenance=false --tag layergate-prov/base:1 ."));
    for (mode, lines) in [("max", "provenance"), ("min", "")] {
        let app = modern.context("FROM layergate-prov/base:1\nRUN seq 1 900 > /app\n");
        modern.shell(&app, &format!("{build} --provenance=mode={mode} --tag layergate-prov/app:{mode} ."));
        let mut command = layergate();
        let elsewhere = tempfile::tempdir().unwrap();
        command.env("DOCKER_HOST", &modern.engine.host).current_dir(elsewhere.path());
        let image = format!("layergate-prov/app:{mode}");
        command.args(["inspect", &image, "--format", "json", "--no-cache"]);
        let snapshot = Run::of(&mut command).expect(0).json();
        assert_eq!(snapshot["base"]["how"], "provenance", "mode={mode}");
        assert_eq!(snapshot["base"]["layers"], 2, "mode={mode}");
        let expected = if lines.is_empty() { Value::Null } else { json!(lines) };
        assert_eq!(snapshot["lines"], expected, "mode={mode}");
    }
}
