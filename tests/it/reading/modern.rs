//! Images by name on newer engines. Docker's containerd image store keeps them as distributed: their ID is the digest
//! of a manifest or an index, and that may list attestations and several platforms.

use std::process::Command;

use serde_json::Value;

use crate::support::engine::{Engine, Modern, Shared};
use crate::support::{Run, layergate, skip};

/// It stands on a layer of these tests alone: what another test has loaded uncompressed would be kept so.
const DOCKERFILE: &str = r#"FROM scratch
COPY Dockerfile /modern
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir /data && seq 1 9000 > /data/a && seq 1 2000 > /data/b
RUN rm /data/a && chmod 600 /data/b
"#;
const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/arm/v7"];

fn build(modern: &Modern, context: &Shared, options: &str) -> String {
    let build = "docker buildx build --quiet --network host --allow network.host";
    modern.shell(context, &format!("{build} {options} ."))
}

/// What is the same with attestations and without. They make Docker write OCI's media types, and provenance with
/// `mode=max` names lines.
fn numbers(snapshot: &Value) -> [Value; 3] {
    let mut layers = snapshot["layers"].clone();
    for layer in layers.as_array_mut().unwrap() {
        let layer = layer.as_object_mut().unwrap();
        layer.remove("media_type");
        layer.remove("dockerfile");
    }
    [snapshot["totals"].clone(), layers, snapshot["history"].clone()]
}

/// Measures an image by name from nothing, then once more with all of its layers known.
#[track_caller]
fn by_name(engine: &Engine, image: &str, options: &[&str]) -> Value {
    let cache = tempfile::tempdir().unwrap();
    let measure = || {
        let mut command = layergate();
        command.env("DOCKER_HOST", &engine.host).args(["inspect", "--format", "json", image]).args(options);
        Run::of(command.arg("--cache-dir").arg(cache.path())).expect(0).json()
    };
    let first = measure();
    assert_eq!(first, measure(), "{image}: by what the cache has");
    first
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn an_image_with_and_without_attestations_by_each_of_its_names() {
    let test = "images by name on the containerd store";
    let Some(modern) = Modern::containerd(test) else { return };
    let context = modern.context(DOCKERFILE);
    let mut expected = None;
    for (provenance, of) in [("mode=min", "index"), ("mode=max", "index"), ("false", "manifest")] {
        let tag = format!("layergate-modern:{}", provenance.replace('=', "-"));
        build(&modern, &context, &format!("--provenance={provenance} --tag {tag}"));
        modern.shell(
            &context,
            &format!("docker tag {tag} layergate-modern:shared; docker save --output save.tar {tag}"),
        );
        let id = modern.engine.docker(&["image", "inspect", "--format", "{{.Id}}", &tag]).trim().to_owned();
        let index = modern.shell(&context, "tar --extract --to-stdout --file save.tar index.json");
        let index: Value = serde_json::from_str(&index).unwrap();
        assert_eq!(index["manifests"][0]["digest"], *id, "{tag}");
        assert!(index["manifests"][0]["mediaType"].as_str().unwrap().contains(of), "{tag}: {index}");

        for name in [&tag, "layergate-modern:shared", &id, &id[7..19]] {
            let snapshot = by_name(&modern.engine, name, &[]);
            assert!(snapshot["image"]["id"] != *id, "{name}: the digest of the config identifies an image");
            let lines: Vec<&Value> = snapshot["layers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|layer| &layer["dockerfile"]["line"])
                .collect();
            assert_eq!(
                lines[0].is_u64(),
                provenance == "mode=max",
                "{name}, provenance {provenance}: {lines:?}"
            );
            assert!(snapshot["totals"]["compressed"].as_u64().is_some(), "{name}: it is kept as distributed");
            let numbers = numbers(&snapshot);
            assert_eq!(&numbers, expected.get_or_insert(numbers.clone()), "{name}, provenance {provenance}");
        }
        let saved = numbers(&modern.engine.inspect(&context.path("save.tar")));
        assert_eq!(Some(saved), expected, "docker save of {tag}");
    }
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn an_image_with_an_sbom() {
    let Some(modern) = Modern::with_network("an image with an SBOM") else { return };
    // BuildKit runs this image beside what was built; it answers with an SBOM.
    let generator = modern.context(
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
         RUN printf '#!/bin/sh\\necho \"{\\\\\"_type\\\\\":\\\\\"https://in-toto.io/Statement/v0.1\\\\\",\
         \\\\\"predicateType\\\\\":\\\\\"https://spdx.dev/Document\\\\\",\\\\\"predicate\\\\\":{}}\" \
         >$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json\\n' >/scan && chmod 755 /scan\n\
         ENTRYPOINT [\"/scan\"]\n",
    );
    build(&modern, &generator, "--provenance=false --tag layergate-sbom/generator:1");
    let context = modern.context(DOCKERFILE);
    build(
        &modern,
        &context,
        "--attest type=sbom,generator=layergate-sbom/generator:1 --tag layergate-sbom:1",
    );
    build(&modern, &context, "--provenance=false --tag layergate-sbom:none");
    let listed = modern.shell(
        &context,
        "docker save layergate-sbom:1 | tar --extract --to-stdout | grep --text -c spdx.dev",
    );
    assert_ne!(listed, "0", "it has an SBOM");
    let [with, without] =
        ["1", "none"].map(|tag| numbers(&by_name(&modern.engine, &format!("layergate-sbom:{tag}"), &[])));
    assert_eq!(with, without);
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn an_image_without_a_tag() {
    let test = "images without a tag";
    let (Some(containerd), Some(classic)) = (Modern::containerd(test), Modern::classic(test)) else { return };
    for modern in [containerd, classic] {
        let context = modern.context(&format!("{DOCKERFILE}RUN seq 1 100 > /data/untagged\n"));
        let id = build(&modern, &context, "");
        let snapshot = by_name(&modern.engine, &id, &[]);
        assert_eq!(by_name(&modern.engine, &id[7..19], &[])["totals"], snapshot["totals"]);
        assert_eq!(snapshot["totals"]["layers"], 6);
        modern.engine.docker(&["rmi", &id]);
    }
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn an_image_of_several_platforms() {
    let test = "several platforms by name";
    let Some(modern) = Modern::containerd(test) else { return };
    let context = modern.context(DOCKERFILE);
    let tag = "layergate-platforms:1";
    build(&modern, &context, &format!("--platform {} --tag {tag}", PLATFORMS.join(",")));
    let platform = |snapshot: &Value| snapshot["image"]["platform"].as_str().unwrap().to_owned();
    let all = by_name(&modern.engine, tag, &["--platform", "all"]);
    let all = all.as_array().unwrap();
    assert_eq!(all.iter().map(platform).collect::<Vec<_>>(), PLATFORMS);
    for (expected, name) in all.iter().zip(PLATFORMS) {
        let one = by_name(&modern.engine, tag, &["--platform", name]);
        assert_eq!(numbers(&one), numbers(expected), "{name}");
        assert_eq!(platform(&one), name);
    }
    let usual = platform(&by_name(&modern.engine, tag, &[]));
    assert_eq!(
        usual,
        modern.engine.docker(&["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]).trim()
    );
    let none = modern.engine.layergate(&["inspect", tag, "--platform", "linux/s390x"]).expect(3);
    let message = "no image for linux/s390x; it has `linux/amd64`, `linux/arm64`, `linux/arm/v7`";
    assert!(none.stderr.contains(message), "{}", none.stderr);
}

/// `docker pull --platform` brings one platform of an image alone.
#[test]
#[ignore = "needs newer engines: tests/run"]
fn an_image_of_which_the_engine_has_other_platforms() {
    let test = "platforms that were not pulled";
    let (Some(modern), Some(builder)) = (Modern::containerd(test), Modern::with_network(test)) else {
        return;
    };
    let names = ["LAYERGATE_TEST_SKOPEO", "LAYERGATE_TEST_REGISTRY"];
    let [Ok(skopeo), Ok(registry)] = names.map(std::env::var) else {
        return skip(test, "there is no registry");
    };
    // Of each run its own: what an engine has had, it keeps for a while.
    let context = builder.context(&format!("{DOCKERFILE}RUN echo {} > /data/c\n", std::process::id()));
    let archive = "--output type=oci,dest=image.tar";
    build(&builder, &context, &format!("--provenance=false --platform {} {archive}", PLATFORMS.join(",")));
    let image = format!("{registry}/layergate/pulled:{}", std::process::id());
    let mut copy = Command::new(skopeo);
    copy.args(["--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false"]);
    copy.args([format!("oci-archive:{}", context.path("image.tar")), format!("docker://{image}")]);
    Run::of(&mut copy).expect(0);

    let own = modern.engine.docker(&["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]);
    let own = own.trim();
    let other = PLATFORMS.into_iter().find(|platform| *platform != own).unwrap();
    modern.engine.docker(&["pull", "--quiet", "--platform", other, &image]);
    for options in [&[][..], &["--platform", own], &["--platform", "all"]] {
        let run = modern.engine.layergate(&[&["inspect", &image], options].concat());
        // Docker 28 and later export what there is.
        if run.code == 0 {
            assert!(run.stdout.contains(other) && !run.stdout.contains(own), "{}", run.stdout);
            continue;
        }
        for part in [other, own, &format!("docker pull --platform {own} {image}")] {
            assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
        }
    }
    modern.engine.docker(&["pull", "--quiet", "--platform", own, &image]);
    assert_eq!(by_name(&modern.engine, &image, &[])["image"]["platform"], own);
    let two = by_name(&modern.engine, &image, &["--platform", "all"]);
    assert_eq!(two.as_array().unwrap().len(), 2);
    let missing = PLATFORMS.into_iter().find(|platform| *platform != own && *platform != other).unwrap();
    let none = modern.engine.layergate(&["inspect", &image, "--platform", missing]).expect(3);
    for part in [&format!("no image for {missing}; it has "), own, other] {
        assert!(none.stderr.contains(part), "{part}: {}", none.stderr);
    }
    modern.engine.docker(&["rmi", &image]);
}
