//! `--store oci:HOST/REPO` where a registry, what is in it, or both are not as one would like them to be.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::open_registry::{InMemory, REPOSITORY, layers};
use crate::support::{Run, layergate, oci_layout};

const COMMIT: &str = "c0ffee0000000000000000000000000000000001";
const OTHER: &str = "c0ffee0000000000000000000000000000000002";

/// A directory with a login, for `DOCKER_CONFIG`.
fn login(memory: &InMemory) -> std::path::PathBuf {
    let directory = memory.directory.path().join("login");
    std::fs::create_dir(&directory).unwrap();
    let auth = json!({ "auths": { &memory.registry.address: { "auth": "dXNlcjpzZWNyZXQtcGFzc3dvcmQ=" } } });
    std::fs::write(directory.join("config.json"), auth.to_string()).unwrap();
    directory
}

fn says(run: &Run, parts: &[&str], not: &str) {
    parts.iter().for_each(|part| assert!(run.stderr.contains(part), "{part}: {}", run.stderr));
    assert!(!run.stderr.contains(not), "{not}: {}", run.stderr);
}

#[test]
fn deleting_asks_for_a_token_that_allows_it() {
    let memory = InMemory::new();
    memory.registry.world().tokens = true;
    let login = login(&memory);
    for commit in [COMMIT, OTHER] {
        let image = format!("api={}", memory.images[0]);
        let mut record = memory.command(&["record", &image, "--commit", commit, "--keep-last", "1"]);
        says(&Run::of(record.env("DOCKER_CONFIG", &login)).expect(0), &[], "warning");
    }
    let [left] = memory.tags("layergate-").try_into().unwrap();
    assert!(left.contains(OTHER), "{left}");
}

#[test]
fn a_blob_is_sent_to_wherever_the_registry_says() {
    let memory = InMemory::new();
    let port = memory.registry.address.split(':').nth(1).unwrap().to_owned();
    memory.registry.world().tokens = true;
    let login = login(&memory);
    let elsewhere = format!("http://localhost:{port}/v2/{REPOSITORY}/blobs/1?state=x");
    for (number, place) in ["uploads/abc", "?state=x", &elsewhere].into_iter().enumerate() {
        memory.registry.world().uploads = Some(place.to_owned());
        let image = format!("api={}", memory.images[0]);
        let mut record = memory.command(&["record", &image, "--commit", &format!("{number}").repeat(40)]);
        Run::of(record.env("DOCKER_CONFIG", &login)).expect(0);
        memory.registry.world().blobs.retain(|_, blob| !blob.starts_with(b"{\"schema\""));
    }
    assert!(!memory.registry.world().leaked, "who asks is told to nobody else");
    memory.registry.world().uploads = Some("http://[".into());
    let mut record = memory.command(&["record", &format!("api={}", memory.images[0]), "--commit", OTHER]);
    let lost = Run::of(record.env("DOCKER_CONFIG", &login)).expect(3);
    says(&lost, &["does not say where to upload the blob"], "--plain-http");
}

#[test]
fn what_is_no_token_is_refused() {
    let memory = InMemory::new();
    memory.registry.world().tokens = true;
    for token in ["a\nb", "", "\u{0}"] {
        memory.registry.world().token = Some(token);
        says(&memory.record(COMMIT, &[]).expect(3), &["no usable token"], "panic");
        let inspected = Run::of(layergate().args(["inspect", "--no-cache", &memory.images[0]]));
        says(&inspected.expect(3), &["no usable token"], "panic");
    }
}

#[test]
fn a_manifest_of_any_size_is_bounded() {
    let memory = InMemory::new();
    let digest = memory.put_manifest("huge", &json!({ "schemaVersion": 2, "x": "x".repeat(5 << 20) }));
    for name in [":huge".to_owned(), format!("@{digest}")] {
        let image = format!("docker://{}/{REPOSITORY}{name}", memory.registry.address);
        let run = Run::of(layergate().args(["inspect", "--no-cache", &image])).expect(3);
        says(&run, &["its answer has over 4194304 bytes"], "--plain-http");
    }
}

#[test]
fn a_tag_that_leads_to_something_else_spoils_nothing_but_itself() {
    let memory = InMemory::new();
    memory.record(COMMIT, &[]).expect(0);
    memory.record(OTHER, &[]).expect(0);
    let odd = memory.tag_of(OTHER);
    let (record, image) = (memory.manifest(&memory.tag_of(COMMIT)), memory.manifest("1"));
    let index = json!({ "manifests": [{ "digest": "../../x", "annotations": 7 }, 5] });
    // An image, a record of another commit, and no document at all.
    for other in [image, record, index, json!({ "annotations": 7 }), json!("x")] {
        memory.put_manifest(&odd, &other);
        let asked = memory.check(OTHER).expect(3);
        says(&asked, &[&odd, "is not the baseline that its name says; record the baseline again"], "; ask");
        let history = memory.history().expect(0).stdout;
        assert!(history.contains(COMMIT) && !history.contains(OTHER), "{history}");
        let missing = memory.check(&"9".repeat(40)).expect(4);
        assert!(missing.stdout.contains("has api for 2 commits"), "{}", missing.stdout);
    }
    assert!(memory.record(OTHER, &[]).expect(0).stdout.starts_with("recorded"));
    memory.check(OTHER).expect(0);
}

#[test]
fn a_snapshot_that_is_not_what_its_record_says() {
    let memory = InMemory::new();
    memory.record(COMMIT, &[]).expect(0);
    let tag = memory.tag_of(COMMIT);
    let good = memory.snapshot(&memory.manifest(&tag));
    let mut others = [good.clone(), good.clone(), good.clone()];
    others[0]["commit"]["sha"] = json!(OTHER);
    others[1]["image"]["name"] = json!("web");
    others[2]["image"]["platform"] = json!("linux/arm64");
    for other in others {
        memory.replace_snapshot(&tag, &other);
        let run = memory.check(COMMIT).expect(3);
        says(&run, &[&tag, "of another image, commit or platform; record the baseline again"], "; ask");
    }
    memory.replace_snapshot(&tag, &good);
    let record = memory.manifest(&tag);
    let digest = record["annotations"]["io.github.layergate.snapshot"].as_str().unwrap();
    memory.registry.world().blobs.insert(digest.to_owned(), "{}".into());
    says(&memory.check(COMMIT).expect(3), &["what it sent does not have the digest", digest], "--plain-http");
    memory.registry.world().blobs.remove(digest);
    says(&memory.check(COMMIT).expect(3), &["is missing; record the baseline again"], "--plain-http");
    memory.record(COMMIT, &[]).expect(0);
    memory.check(COMMIT).expect(0);
}

#[test]
fn a_record_is_not_believed_to_be_of_an_image_that_has_other_layers() {
    let memory = InMemory::new();
    memory.record(COMMIT, &[]).expect(0);
    let tag = memory.tag_of(COMMIT);
    let good = memory.snapshot(&memory.manifest(&tag));
    let how = || memory.check_image().expect(0).stdout;
    assert!(how().contains("recorded with"));
    let forged = |change: &dyn Fn(&mut Value)| {
        let mut other = good.clone();
        change(&mut other);
        memory.replace_snapshot(&tag, &other);
        assert!(how().contains("measured now from"), "{other}");
    };
    let hash = format!("sha256:{}", "ab".repeat(32));
    forged(&|one| one["layers"][1]["diff_id"] = json!(hash));
    forged(&|one| one["layers"][1]["digest"] = json!(hash));
    forged(&|one| one["image"]["platform"] = json!("linux/arm64"));
    forged(&|one| {
        for place in ["/layers/1/compressed", "/totals/compressed"] {
            let bytes = one.pointer_mut(place).unwrap();
            *bytes = json!(bytes.as_u64().unwrap() + 1);
        }
    });
    memory.replace_snapshot(&tag, &good);
    assert!(how().contains("recorded with"));
}

/// The tag that stands in for the list of what refers to the first image.
fn list_of(memory: &InMemory) -> String {
    memory.registry.world().tags["1"].replace(':', "-")
}

#[test]
fn a_list_of_what_refers_to_an_image_that_cannot_be_used_stops_nothing() {
    let memory = InMemory::new();
    memory.registry.world().hides_referrers = true;
    let list = list_of(&memory);
    let full = json!({ "manifests": vec![json!({ "x": 1 }); 10_001] });
    for (number, other) in [memory.manifest("2"), full].into_iter().enumerate() {
        memory.put_manifest(&list, &other);
        let commit = format!("{number}").repeat(40);
        let parts = ["recorded, but not linked to the image", list.as_str(), "; delete that tag"];
        says(&memory.record(&commit, &[]).expect(0), &parts, "panic");
        assert!(memory.record(&commit, &[]).expect(0).stdout.starts_with("already recorded"));
        memory.check(&commit).expect(0);
        assert_eq!(memory.manifest(&list), other, "it is left as it is");
    }
}

#[test]
fn of_a_list_of_what_refers_to_an_image_only_what_is_ours_is_changed() {
    let memory = InMemory::new();
    memory.registry.world().hides_referrers = true;
    let (list, foreign) = (list_of(&memory), memory.registry.world().tags["2"].clone());
    let foreign = json!({ "digest": foreign, "artifactType": "application/x-signature", "size": 1 });
    let annotations = json!({ "other.tool": "kept" });
    memory.put_manifest(&list, &json!({ "manifests": [foreign], "annotations": annotations }));
    memory.record(COMMIT, &["--keep-last", "1"]).expect(0);
    memory.record(OTHER, &["--keep-last", "1"]).expect(0);
    let left = memory.manifest(&list);
    assert_eq!((&left["annotations"], &left["manifests"][0]), (&annotations, &foreign));
    let own = &left["manifests"][1]["annotations"]["org.opencontainers.image.revision"];
    assert_eq!((left["manifests"].as_array().unwrap().len(), own), (2, &json!(OTHER)), "{left}");
}

#[test]
fn a_record_that_is_there_is_found_in_all_ways_or_recorded_again() {
    let memory = InMemory::new();
    memory.registry.world().hides_referrers = true;
    let list = list_of(&memory);
    let by_image = |words: &str| {
        let run = memory.check_image().expect(0);
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    };
    // Measured in a directory, it refers to no image yet.
    let layout = oci_layout(&memory.directory.path().join("same"), &layers(1000));
    let in_directory = ["record", &format!("api={}", layout.display()), "--commit", COMMIT];
    memory.run(&in_directory).expect(0);
    by_image("measured now from");
    assert!(memory.record(COMMIT, &[]).expect(0).stdout.starts_with("recorded"));
    by_image("recorded with");
    // And what refers to one goes on to do so.
    assert!(memory.run(&in_directory).expect(0).stdout.starts_with("already recorded"));
    by_image("recorded with");
    memory.registry.world().tags.remove(&list);
    by_image("measured now from");
    assert!(memory.record(COMMIT, &[]).expect(0).stdout.starts_with("already recorded"));
    by_image("recorded with");
    let tag = memory.tag_of(COMMIT);
    let digest = memory.registry.world().tags[&tag].clone();
    memory.registry.world().manifests.remove(&digest);
    assert!(memory.record(COMMIT, &[]).expect(0).stdout.starts_with("recorded"));
    memory.check(COMMIT).expect(0);
    by_image("recorded with");
}

#[test]
fn old_records_are_deleted_also_if_nothing_is_new() {
    let memory = InMemory::new();
    memory.record(COMMIT, &[]).expect(0);
    memory.record(OTHER, &[]).expect(0);
    // What was just asked for is never what is old.
    let again = memory.record(COMMIT, &["--keep-last", "1"]).expect(0);
    assert!(again.stdout.starts_with("already recorded"), "{}", again.stdout);
    let [left] = memory.tags("layergate-").try_into().unwrap();
    assert!(left.contains(COMMIT), "{left}");
}

#[test]
fn a_list_of_tags_is_read_to_its_end_or_not_at_all() {
    let memory = InMemory::new();
    memory.record(COMMIT, &[]).expect(0);
    memory.record(OTHER, &[]).expect(0);
    memory.registry.world().link = "http://registry.internal:5000";
    let history = memory.history().expect(0).stdout;
    assert!(history.contains(COMMIT) && history.contains(OTHER), "{history}");
    memory.registry.world().link = "/elsewhere?";
    says(&memory.history().expect(3), &["no usable link to the next page"], "--plain-http");
}

#[test]
fn tags_are_bounded() {
    let memory = InMemory::new();
    memory.registry.world().page = 1000;
    let tags = (0..100_000).map(|number| (format!("build-{number}"), "sha256:x".to_owned()));
    memory.registry.world().tags.extend(tags);
    let parts = ["it has over 100000 tags", "use a repository for baselines only"];
    says(&memory.history().expect(3), &parts, "--plain-http");
}

#[test]
fn what_to_do_fits_what_the_registry_says() {
    let memory = InMemory::new();
    let refused = |what, status, code, parts: &[&str]| {
        memory.registry.world().refuses = Some((what, status, code));
        says(&memory.record(COMMIT, &[]).expect(3), parts, "--plain-http");
    };
    refused("/blobs/uploads", 413, "SIZE_INVALID", &["413", "to accept that much"]);
    refused("/blobs/uploads", 404, "NAME_UNKNOWN", &["404", "the repository's name"]);
    let (put, overwritten) =
        ("PUT /v2/team/app/manifests/layergate-", "a repository whose tags can be overwritten");
    refused(put, 400, "TAG_INVALID", &["400", "TAG_INVALID: said so", overwritten]);
    refused(put, 409, "CONFLICT", &["409", overwritten]);
    refused(put, 405, "UNSUPPORTED", &["405", "whether it allows that"]);
}

#[test]
fn a_busy_registry_is_asked_again_when_it_says() {
    let memory = InMemory::new();
    memory.record(COMMIT, &[]).expect(0);
    memory.registry.world().busy = Some((2, 3));
    let start = Instant::now();
    assert!(memory.history().expect(0).stdout.contains(COMMIT));
    assert!(start.elapsed() >= Duration::from_secs(6), "{:?}", start.elapsed());
    memory.registry.world().busy = Some((100, 3600));
    says(&memory.history().expect(3), &["429", "try again in 3600 s"], "log in");
    assert_eq!(memory.registry.world().busy, Some((99, 3600)), "it is not asked again before that");
}

#[test]
fn a_list_of_what_refers_to_an_image_is_read_to_its_end() {
    let memory = InMemory::new();
    memory.record(COMMIT, &[]).expect(0);
    let subject = memory.manifest(&memory.tag_of(COMMIT))["subject"].clone();
    for number in 0..8 {
        let signature = json!({
            "schemaVersion": 2, "artifactType": "application/vnd.example.signature", "subject": subject,
            "config": { "number": number }, "layers": [],
        });
        memory.put_manifest(&format!("signature-{number}"), &signature);
    }
    let found = memory.check_image().expect(0);
    assert!(found.stdout.contains("recorded with docker://"), "{}", found.stdout);
    assert_eq!(memory.tags("sha256-"), [""; 0], "no list of our own beside it");
    // One that has no time now does not mean that there is none.
    memory.registry.world().refuses = Some(("/referrers/", 503, "UNAVAILABLE"));
    let measured = memory.check_image().expect(0);
    says(&measured, &["because its stored baseline cannot be used", "503"], "--plain-http");
}

/// Where this machine is meant, no other one is to hear of it.
#[test]
fn no_proxy_is_asked_for_a_registry_of_this_machine() {
    let memory = InMemory::new();
    memory.registry.world().tokens = true;
    let login = login(&memory);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let mut record = memory.command(&["record", &format!("api={}", memory.images[0]), "--commit", COMMIT]);
    let address = format!("http://{}", proxy.local_addr().unwrap());
    record.env("HTTP_PROXY", &address).env("http_proxy", &address).env("ALL_PROXY", &address);
    Run::of(record.env("DOCKER_CONFIG", &login)).expect(0);
    assert!(proxy.accept().is_err(), "somebody has asked the proxy");
}

/// A server that speaks neither plain HTTP nor TLS: what is told is what it said to the first.
#[test]
fn of_two_tries_the_first_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = format!("oci:{}/team/app", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"no registry\r\n\r\n");
        }
    });
    let history = Run::of(layergate().args(["history", "api", "--store", &store])).expect(3);
    says(&history, &["could not answer", "invalid HTTP version"], "certificate");
}
