//! The update size, as a registry sees it: what it serves to an engine that has the baseline.

use std::path::Path;
use std::process::Command;

use crate::support::engine::Modern;
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, settled, skip, tar_of};

#[test]
#[ignore = "needs engines and a registry: tests/run"]
fn the_update_size_is_what_a_registry_serves_to_an_engine_that_has_the_baseline() {
    let test = "what an update downloads";
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(containerd), Some(classic)) = (Modern::containerd(test), Modern::classic(test)) else { return };
    let (Some(registry), Some(log), Some(skopeo)) = (
        variable("LAYERGATE_TEST_REGISTRY"),
        variable("LAYERGATE_TEST_REGISTRY_LOG"),
        variable("LAYERGATE_TEST_SKOPEO"),
    ) else {
        return skip(test, "no registry was started for it");
    };
    let directory = tempfile::tempdir().unwrap();
    let unique = directory.path().file_name().unwrap().to_string_lossy().to_lowercase().replace('.', "");
    let push = |tag: &str, layers: &[FakeLayer]| {
        let layout = oci_layout(&directory.path().join(tag), layers);
        let name = format!("{registry}/update/{unique}:{tag}");
        let mut command = Command::new(&skopeo);
        command.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
        let from = format!("oci:{}", layout.display());
        Run::of(command.args([&from, &format!("docker://{name}")])).expect(0);
        name
    };
    // No engine may have layers of an earlier run.
    let layer = |name: &str, size| {
        let path = format!("{unique}/{name}");
        FakeLayer::gzip(&tar_of(&[Item::File(&path, size)]), "COPY . /")
    };
    let [os, before, after, app] = [("os", 300_000), ("old", 50_000), ("new", 60_000), ("app", 200_000)]
        .map(|(name, size)| layer(name, size));
    // One layer is replaced, and one that both have is there twice.
    let base = push("base", &[os.clone(), before, app.clone(), os.clone()]);
    let head = push("head", &[os.clone(), after, app, os]);

    let [base_name, head_name] = [&base, &head].map(|name| format!("docker://{name}"));
    let check = ["check", &format!("app={head_name}"), "--baseline", &base_name, "--plain-http"];
    let check = Run::of(layergate().args(check).args(["--max-size", "1 GB", "--format", "json"]));
    let update = check.expect(0).json()["images"][0]["update"].take();
    assert_eq!(update["estimated"], false);

    let manifest =
        Run::of(Command::new(&skopeo).args(["inspect", "--raw", "--tls-verify=false", &head_name]));
    let config = manifest.expect(0).json()["config"]["digest"].as_str().unwrap().to_owned();
    let settled = || settled(Path::new(&log));
    let asked = format!("\"GET /v2/update/{unique}/blobs/");
    for (modern, figure) in [(containerd, "bytes"), (classic, "classic_bytes")] {
        modern.engine.docker(&["pull", "--quiet", &base]);
        let before = settled().len();
        modern.engine.docker(&["pull", "--quiet", &head]);
        let log = settled().split_off(before);
        modern.engine.docker(&["image", "rm", "--force", &base, &head]);
        // `"GET /v2/NAME/blobs/DIGEST HTTP/1.1" 200 BYTES`
        let blobs = log
            .lines()
            .filter_map(|line| Some(line.split_once(&asked)?.1))
            .filter(|blob| !blob.starts_with(&config));
        let served = blobs.map(|blob| blob.split(' ').nth(3).unwrap().parse::<u64>().unwrap());
        let served: Vec<u64> = served.collect();
        assert_eq!(update[figure], served.iter().sum::<u64>(), "{figure} of {update}, served {served:?}");
        assert!(!served.is_empty(), "{log}");
    }
    assert!(update["bytes"].as_u64() < update["classic_bytes"].as_u64(), "{update}");
}
