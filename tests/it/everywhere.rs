//! One real image from every place that it can be read from: the same numbers in every row.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::engine::Engine;
use crate::support::{Run, skip};

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

#[test]
fn one_image_has_the_same_numbers_from_every_place() {
    let Some(engine) = Engine::of_this_run("one image from every place") else { return };
    let Some(skopeo) = std::env::var_os("LAYERGATE_TEST_SKOPEO").filter(|path| !path.is_empty()) else {
        return skip("one image from every place", "no skopeo was installed for it");
    };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    build(&engine, &directory.path().join("context"));
    engine.docker(&["save", "--output", &path("save.tar"), "everywhere:1"]);
    let copy = |to: &str, options: &[&str]| {
        let mut command = Command::new(&skopeo);
        command.args(["--insecure-policy", "copy", "--quiet"]).args(options);
        Run::of(command.arg(format!("docker-archive:{}", path("save.tar"))).arg(to)).expect(0);
    };
    copy(&format!("docker-archive:{}:everywhere:1", path("skopeo.tar")), &[]);
    copy(&format!("oci:{}:1", path("gzip")), &["--dest-oci-accept-uncompressed-layers=false"]);
    copy(&format!("oci:{}:1", path("zstd")), &["--dest-compress-format", "zstd"]);
    copy(&format!("oci-archive:{}:1", path("gzip.tar")), &[]);

    let places = [
        ("the engine, by name", "everywhere:1".to_owned()),
        ("docker save", path("save.tar")),
        ("docker-archive of skopeo", path("skopeo.tar")),
        ("OCI layout, gzip", path("gzip")),
        ("OCI layout, zstd", path("zstd")),
        ("OCI archive, gzip", path("gzip.tar")),
    ];
    let rows: Vec<Row> = places.into_iter().map(|(place, image)| measure(&engine, place, &image)).collect();
    let table = table(&rows);
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
    assert_eq!(rows[1].totals["compressed"], Value::Null, "{table}");
    assert_eq!(rows[3].totals["compressed"], rows[5].totals["compressed"], "the same blobs\n{table}");
    assert_ne!(rows[3].totals["compressed"], rows[4].totals["compressed"], "other blobs\n{table}");
}

fn build(engine: &Engine, context: &Path) {
    fs::create_dir(context).unwrap();
    engine.copy_busybox(context);
    fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    engine.build(context, &context.join("Dockerfile").display().to_string(), "everywhere:1");
}

fn measure(engine: &Engine, place: &'static str, image: &str) -> Row {
    let mut snapshot = engine.inspect(image);
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
