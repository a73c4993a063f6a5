//! Archives, and the documents in them that explain the layers.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::Expected::{Refused, RefusedWhenVerified};
use super::{check_archive, counts, cut, noise};
use crate::support::hex_sha256;
use crate::support::tarball::{dir, end, entry, file, hard_link, long, symlink, tar};

/// The pieces of `docker save` output with one layer of one file of ten bytes.
pub struct Saved {
    config: Value,
    manifest: Value,
    pieces: Vec<Vec<u8>>,
}

pub fn saved() -> Saved {
    let layer = tar(&[file("a", 10)]);
    let diff_id = format!("sha256:{}", hex_sha256(&layer));
    Saved {
        config: json!({ "os": "linux", "architecture": "amd64", "rootfs": { "diff_ids": [diff_id] } }),
        manifest: json!([{ "Config": "config.json", "RepoTags": ["x:1"], "Layers": ["l/layer.tar"] }]),
        pieces: vec![entry(b'0', "l/layer.tar", layer)],
    }
}

impl Saved {
    /// The archive: the layers, then the documents that explain them.
    pub fn archive(&self, more: &[Vec<u8>]) -> Vec<u8> {
        let config = entry(b'0', "config.json", self.config.to_string());
        let manifest = entry(b'0', "manifest.json", self.manifest.to_string());
        tar(&[self.pieces.concat(), config, manifest, more.concat()])
    }
}

/// An archive in which one value is another, named by where it stands.
fn saved_with(document: &str, pointer: &str, value: Value) -> Vec<u8> {
    let mut image = saved();
    let document = if document == "config" { &mut image.config } else { &mut image.manifest };
    *document.pointer_mut(pointer).unwrap() = value;
    image.archive(&[])
}

#[test]
fn documents_of_an_image_that_are_malformed_are_refused() {
    let config = |pointer: &str, value: Value| saved_with("config", pointer, value);
    let manifest = |pointer: &str, value: Value| saved_with("manifest", pointer, value);
    let raw = |content: Vec<u8>| saved().archive(&[entry(b'0', "manifest.json", content)]);
    let layers = "/0/Layers";
    let ids = "/rootfs/diff_ids";
    let nine_megabytes = [saved().manifest.to_string(), " ".repeat(9 << 20)].concat();
    let leading_space = [" ".repeat(5000), saved().manifest.to_string()].concat();
    let ten = || counts(&[10], 10, 1);
    for (name, archive, expected) in [
        ("saved image", saved().archive(&[]), ten()),
        (
            "manifest.json twice",
            [
                saved_with("manifest", "/0/Config", "none".into())[..saved().archive(&[]).len() - 1024]
                    .to_vec(),
                saved().archive(&[]),
            ]
            .concat(),
            ten(),
        ),
        ("manifest.json after much white space", raw(leading_space.into()), ten()),
        (
            "manifest.json of nine megabytes",
            raw(nine_megabytes.clone().into()),
            Refused("a document of an image may have at most 8388608"),
        ),
        (
            "manifest.json of nine megabytes, by its name",
            raw(nine_megabytes.into()),
            Refused("refused: `manifest.json` of `"),
        ),
        (
            "manifest.json of ten thousand brackets",
            raw(vec![b'['; 10_000]),
            Refused("`manifest.json` is malformed"),
        ),
        ("manifest.json that is an object", manifest("", json!({})), Refused("`manifest.json` is malformed")),
        ("manifest.json of no images", manifest("", json!([])), Refused("its index lists nothing")),
        ("manifest.json of numbers", manifest("", json!([1, 2])), Refused("`manifest.json` is malformed")),
        ("layer that leads out", manifest(layers, json!(["../../etc/passwd"])), Refused("(etc/passwd)")),
        ("layer of an absolute path", manifest(layers, json!(["/etc/passwd"])), Refused("(etc/passwd)")),
        ("layer of no name", manifest(layers, json!([""])), Refused("layer 1 of 1 is missing")),
        (
            "layer that is the config",
            manifest(layers, json!(["config.json"])),
            Refused("not a tar, nor one compressed with"),
        ),
        ("layers that are null", manifest(layers, Value::Null), Refused("it lists 1 layers, the manifest 0")),
        (
            "more layers than diff IDs",
            manifest(layers, json!(["l/layer.tar", "l/layer.tar"])),
            Refused("it lists 1 layers, the manifest 2"),
        ),
        ("config that leads out", manifest("/0/Config", "../config.json".into()), ten()),
        (
            "config that is missing",
            manifest("/0/Config", "none.json".into()),
            Refused("the config is missing"),
        ),
        (
            "config that is a layer",
            manifest("/0/Config", "l/layer.tar".into()),
            Refused("`l/layer.tar` is malformed"),
        ),
        ("config that is an array", config("", json!([])), Refused("`config.json` is malformed")),
        ("config without layers", config("/rootfs", json!({})), Refused("it lists 0 layers, the manifest 1")),
        ("config of null", config("/rootfs", Value::Null), Refused("`config.json` is malformed")),
        ("diff IDs that are null", config(ids, Value::Null), Refused("it lists 0 layers, the manifest 1")),
        (
            "diff ID of another layer by sha512",
            config(ids, json!([format!("sha512:{}", "ab".repeat(64))])),
            RefusedWhenVerified("expected sha512:abab"),
        ),
        (
            "diff ID of md5",
            config(ids, json!([format!("md5:{}", "ab".repeat(16))])),
            Refused("is a digest that layergate cannot verify"),
        ),
        ("diff ID that is short", config(ids, json!(["sha256:abcd"])), Refused("is not a digest")),
        (
            "diff ID in capitals",
            config(ids, json!([format!("sha256:{}", "AB".repeat(32))])),
            Refused("is not a digest"),
        ),
        ("diff ID that is a number", config(ids, json!([5])), Refused("`config.json` is malformed")),
        (
            "diff ID of another layer",
            config(ids, json!([format!("sha256:{}", "ab".repeat(32))])),
            RefusedWhenVerified("expected sha256:abab"),
        ),
        ("platform that is none", config("/os", "../..".into()), ten()),
    ] {
        check_archive(name, &archive, &expected);
    }
}

#[test]
fn archives_are_read_by_the_last_entry_of_a_name_and_through_links() {
    let image = |layer: &str, pieces: &[Vec<u8>]| {
        let mut image = saved();
        image.manifest[0]["Layers"] = json!([layer]);
        image.archive(pieces)
    };
    let chain = |length: usize| {
        let link = |at: usize| symlink(format!("link{at}"), format!("link{}", at + 1));
        let links: Vec<Vec<u8>> = (0..length).map(link).collect();
        [links.concat(), symlink(format!("link{length}"), "l/layer.tar")].concat()
    };
    let many: Vec<u8> = (0..10_001).flat_map(|at| file(format!("f{at}"), 0)).collect();
    let whole = saved().archive(&[]);
    let ten = || counts(&[10], 10, 1);
    let missing = || Refused("layer 1 of 1 is missing");
    for (name, archive, expected) in [
        ("layer behind a link", image("m/layer.tar", &[symlink("m/layer.tar", "../l/layer.tar")]), ten()),
        ("layer behind a hard link", image("m", &[hard_link("m", "l/layer.tar")]), ten()),
        ("layer behind seven links", image("link0", &[chain(6)]), ten()),
        ("layer behind twenty links", image("link0", &[chain(19)]), missing()),
        ("layer behind links in a circle", image("a", &[symlink("a", "b"), symlink("b", "a")]), missing()),
        ("layer behind a link to itself", image("a", &[symlink("a", "a")]), missing()),
        ("layer behind a link that leads out", image("a", &[symlink("a", "../../l/layer.tar")]), ten()),
        ("layer that is a directory", image("d", &[dir("d")]), missing()),
        (
            "layer twice, then another",
            image("l/layer.tar", &[entry(b'0', "l/layer.tar", noise(700))]),
            Refused("not a tar, nor one compressed with"),
        ),
        (
            "archive of 10,001 entries",
            tar(&[many, saved().archive(&[])]),
            Refused("the archive has over 10,000 entries"),
        ),
        ("archive of no image", tar(&[file("readme", 10)]), Refused("not an image")),
        ("archive of nothing", end(), Refused("not an image")),
        ("archive cut off in a layer", cut(&whole, 1024 + 700), Refused("cut off")),
        ("archive cut off before its documents", cut(&whole, 512 + 2048), Refused("not an image")),
        (
            "archive with a damaged header",
            tar(&[cut(&whole, whole.len() - 1024), vec![b'y'; 512]]),
            Refused("checksum does not fit"),
        ),
        ("archive with garbage after it", [whole.clone(), noise(5000)].concat(), ten()),
        ("archive in an archive", tar(&[entry(b'0', "inner.tar", &whole)]), Refused("not an image")),
    ] {
        check_archive(name, &archive, &expected);
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layout's blob as an entry, by a digest that its content need not have.
fn blob(digest: &str, content: &Value) -> Vec<u8> {
    entry(b'0', format!("blobs/sha256/{digest}"), content.to_string())
}

/// An OCI layout in a tar, of an image of one file of ten bytes: an index made from the descriptor of
/// its manifest, further blobs, and a change to the manifest.
fn layout_with(index: impl Fn(Value) -> Value, blobs: &[Vec<u8>], change: impl Fn(&mut Value)) -> Vec<u8> {
    let layer = tar(&[file("a", 10)]);
    let config = saved().config;
    let described = |content: &[u8]| json!({ "digest": format!("sha256:{}", hex_sha256(content)), "size": content.len() });
    let mut manifest =
        json!({ "config": described(config.to_string().as_bytes()), "layers": [described(&layer)] });
    change(&mut manifest);
    let index = index(described(manifest.to_string().as_bytes()));
    let named = |content: &[u8]| entry(b'0', format!("blobs/sha256/{}", hex_sha256(content)), content);
    let own = [named(&layer), named(config.to_string().as_bytes()), named(manifest.to_string().as_bytes())];
    tar(&[own.concat(), blobs.concat(), entry(b'0', "index.json", index.to_string())])
}

#[test]
fn indexes_and_manifests_are_followed_no_further_than_they_go() {
    let digest = |at: usize| format!("{at:064x}");
    let index_of = |at: usize| json!({ "manifests": [{ "mediaType": INDEX, "digest": format!("sha256:{}", digest(at)) }] });
    // The innermost of the nested indexes points at the image, whose descriptor the layout tells.
    let image = RefCell::new(Value::Null);
    layout_with(|descriptor| image.replace(descriptor), &[], |_| ());
    let nested = |depth: usize| {
        let mut outermost = json!({ "manifests": [*image.borrow()] });
        let mut blobs = Vec::new();
        for _ in 0..depth {
            let hex = hex_sha256(outermost.to_string().as_bytes());
            blobs.push(blob(&hex, &outermost));
            outermost = json!({ "manifests": [{ "mediaType": INDEX, "digest": format!("sha256:{hex}") }] });
        }
        layout_with(|_| outermost.clone(), &blobs, |_| ())
    };
    let plain = |image: Value| json!({ "manifests": [image] });
    let with = |change: &dyn Fn(&mut Value)| layout_with(plain, &[], change);
    let ten = || counts(&[10], 10, 1);
    for (name, archive, expected) in [
        ("layout", with(&|_| ()), ten()),
        ("index three deep", nested(3), ten()),
        ("index five deep", nested(5), Refused("indexes are nested over 3 deep")),
        (
            "index that points at itself",
            layout_with(|_| index_of(1), &[blob(&digest(1), &index_of(1))], |_| ()),
            Refused("the index is not the one that the image names"),
        ),
        (
            "index that points at nothing",
            layout_with(|_| index_of(9), &[], |_| ()),
            Refused("every image is missing"),
        ),
        (
            "index of null",
            layout_with(|_| json!({ "manifests": null }), &[], |_| ()),
            Refused("its index lists nothing"),
        ),
        (
            "index that is an array",
            layout_with(|_| json!([]), &[], |_| ()),
            Refused("its index lists nothing"),
        ),
        (
            "index of one image a thousand times",
            layout_with(|image| json!({ "manifests": vec![image; 1000] }), &[], |_| ()),
            ten(),
        ),
        (
            "layer that claims one byte",
            with(&|m| m["layers"][0]["size"] = 1.into()),
            Refused("expected 1 bytes, found 2048 bytes"),
        ),
        (
            "layer that claims 2^64 bytes",
            with(&|m| m["layers"][0]["size"] = json!(1.8446744073709552e19)),
            Refused("is malformed"),
        ),
        (
            "layer that claims -1 bytes",
            with(&|m| m["layers"][0]["size"] = (-1).into()),
            Refused("is malformed"),
        ),
        (
            "layer of another digest",
            with(&|m| m["layers"][0]["digest"] = format!("sha256:{}", digest(7)).into()),
            Refused("layer 1 of 1 is missing"),
        ),
        (
            "layer whose digest leads out",
            with(&|m| m["layers"][0]["digest"] = "sha256:../../index.json".into()),
            Refused("is not a digest"),
        ),
        (
            "layer of a type that is none",
            with(&|m| m["layers"][0]["mediaType"] = "text/plain".into()),
            Refused("this is an OCI artifact of type `text/plain`, not a container image"),
        ),
        (
            "one layer of two",
            with(&|m| m["layers"] = json!([m["layers"][0], m["layers"][0]])),
            Refused("it lists 1 layers, the manifest 2"),
        ),
        ("manifest without a config", with(&|m| m["config"] = Value::Null), Refused("is malformed")),
        (
            "manifest of an artifact",
            with(&|m| m["config"]["mediaType"] = "application/vnd.oci.empty.v1+json".into()),
            Refused("this is an OCI artifact without a type, not a container image"),
        ),
    ] {
        check_archive(name, &archive, &expected);
    }
}

#[test]
fn a_large_document_that_is_named_from_everywhere_is_not_read_forever() {
    let listed =
        |digest: &str| json!({ "mediaType": INDEX, "digest": format!("sha256:{digest}"), "size": 1 });
    let large = format!("{}{}", json!({ "manifests": [] }), " ".repeat(4 << 20));
    let small: Vec<Value> =
        (0..20).map(|at| json!({ "n": at, "manifests": [listed(&hex_sha256(large.as_bytes()))] })).collect();
    let named =
        |content: &str| entry(b'0', format!("blobs/sha256/{}", hex_sha256(content.as_bytes())), content);
    let blobs: Vec<u8> = small.iter().flat_map(|index| named(&index.to_string())).collect();
    let index = json!({ "manifests": small.iter().map(|index| listed(&hex_sha256(index.to_string().as_bytes()))).collect::<Vec<_>>() });
    let archive = tar(&[named(&large), blobs, entry(b'0', "index.json", index.to_string())]);
    check_archive("large index named twenty times", &archive, &Refused("over 67,108,864 bytes of documents"));
}

#[test]
fn names_of_pieces_that_no_image_has_are_not_kept() {
    for (length, expected) in
        [(1024, counts(&[10], 10, 1)), (1025, Refused("layer 1 of 1 is missing")), (4096, Refused("missing"))]
    {
        let mut image = saved();
        let name = "n".repeat(length);
        image.manifest[0]["Layers"] = json!([name]);
        let layer = [long(b'L', &name), entry(b'0', "short", tar(&[file("a", 10)]))].concat();
        check_archive(&format!("layer of a name of {length}"), &image.archive(&[layer]), &expected);
    }
}
