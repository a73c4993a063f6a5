//! Where a registry leads, and who is shown a login on the way.

use std::fs;
use std::net::{ToSocketAddrs as _, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::reading::network::{certify, front};
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, skip, tar_of};

/// `user:hunter2-Pa55`.
const LOGIN: &str = "dXNlcjpodW50ZXIyLVBhNTU=";
const PASSWORD: &str = "hunter2-Pa55";

/// What was asked for, with the `Authorization` that came along.
type Asked = (String, Option<String>);

/// A server that answers as it is told, and remembers who showed it what.
struct Host {
    address: String,
    seen: Arc<Mutex<Vec<Asked>>>,
    runtime: tokio::runtime::Runtime,
}

impl Host {
    fn start(
        at: &str,
        answer: impl Fn(&str, Option<&str>) -> Response + Clone + Send + Sync + 'static,
    ) -> Host {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind((at, 0))).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let asked = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| {
            let path = request.uri().path().to_owned();
            let shown = request.headers().get(header::AUTHORIZATION);
            let shown = shown.map(|value| value.to_str().unwrap().to_owned());
            asked.lock().unwrap().push((path.clone(), shown.clone()));
            let answered = answer(&path, shown.as_deref());
            async move { answered }
        });
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Host { address, seen, runtime }
    }

    /// One that gives whoever asks a token.
    fn of_tokens() -> Host {
        Host::start("127.0.0.1", |_, _| json!({ "token": "token-of-a-test" }).to_string().into_response())
    }

    fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn was_shown_a_login(&self) -> bool {
        self.seen.lock().unwrap().iter().any(|(_, shown)| shown.is_some())
    }
}

/// A layout of one image, and a way to ask for it.
struct Scene {
    directory: tempfile::TempDir,
    layout: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let layer = FakeLayer::gzip(&tar_of(&[Item::File("f", 1000)]), "COPY f /");
        let layout = oci_layout(&directory.path().join("layout"), &[layer]);
        Scene { directory, layout }
    }

    /// A registry that answers as `odd` says, and else as it should.
    fn registry(
        &self,
        at: &str,
        odd: impl Fn(&str, Option<&str>) -> Option<Response> + Clone + Send + Sync + 'static,
    ) -> Host {
        let layout = self.layout.clone();
        Host::start(at, move |path, shown| odd(path, shown).unwrap_or_else(|| honest(&layout, path)))
    }

    /// Inspects the image of a registry, with a login for it.
    fn inspect(&self, address: &str, more: &[&str]) -> Run {
        let config = self.directory.path().join("docker");
        fs::create_dir_all(&config).unwrap();
        let logins = json!({ "auths": { address: { "auth": LOGIN } } });
        fs::write(config.join("config.json"), logins.to_string()).unwrap();
        let mut command = layergate();
        command.env("DOCKER_CONFIG", config).env("SSL_CERT_FILE", self.authority());
        command.args(["inspect", &format!("docker://{address}/team/app:1"), "--no-cache"]).args(more);
        let run = Run::of(&mut command);
        for secret in [PASSWORD, LOGIN, "hunter2%2DPa55", "token-of-a-test"] {
            assert!(!run.stderr.contains(secret) && !run.stdout.contains(secret), "{}", run.stderr);
        }
        run
    }

    /// The certificate that is believed.
    fn authority(&self) -> PathBuf {
        let authority = self.directory.path().join("ca.pem");
        if !authority.exists() {
            certify(self.directory.path());
        }
        authority
    }
}

fn honest(layout: &Path, path: &str) -> Response {
    let blob = |digest: &str| fs::read(layout.join("blobs").join(digest.replace(':', "/"))).ok();
    let index = || {
        let index = fs::read(layout.join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        index["manifests"][0]["digest"].as_str().unwrap().to_owned()
    };
    let found = match path.strip_prefix("/v2/team/app/").and_then(|rest| rest.split_once('/')) {
        _ if path == "/v2/" => Some(b"{}".to_vec()),
        Some(("manifests", "1")) => blob(&index()),
        Some(("manifests" | "blobs", digest)) => blob(digest),
        _ => None,
    };
    found.map_or(StatusCode::NOT_FOUND.into_response(), |content| content.into_response())
}

fn redirect(to: &str) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to.to_owned())]).into_response()
}

fn wants(challenge: &str) -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge.to_owned())]).into_response()
}

fn bearer(realm: &str) -> String {
    format!("Bearer realm=\"{realm}\",service=\"s\"")
}

#[test]
fn a_login_does_not_follow_a_redirect_of_the_greeting() {
    let scene = Scene::new();
    let tokens = Host::of_tokens();
    let realm = bearer(&format!("http://{}/token", tokens.address));
    for challenge in ["Basic realm=\"x\"".to_owned(), realm, "Basic realm=\"x\", Bearer realm=\"y\"".into()] {
        let other = Host::start("127.0.0.1", move |_, _| wants(&challenge));
        let to = format!("http://{}/v2/", other.address);
        let registry = scene.registry("127.0.0.1", move |path, _| (path == "/v2/").then(|| redirect(&to)));
        scene.inspect(&registry.address, &[]).expect(0);
        assert!(other.asked() > 0 && !other.was_shown_a_login());
        assert_eq!(tokens.asked(), 0, "it was asked for a token of another registry");
    }
}

#[test]
fn a_login_does_not_follow_other_redirects_either() {
    let scene = Scene::new();
    for part in ["/blobs/", "/manifests/"] {
        let layout = scene.layout.clone();
        let other = Host::start("127.0.0.1", move |path, _| honest(&layout, path));
        let to = other.address.clone();
        let registry = scene.registry("127.0.0.1", move |path, shown| match shown {
            None => Some(wants("Basic realm=\"x\"")),
            Some(_) => path.contains(part).then(|| redirect(&format!("http://{to}{path}"))),
        });
        scene.inspect(&registry.address, &[]).expect(0);
        assert!(registry.was_shown_a_login() && other.asked() > 0 && !other.was_shown_a_login(), "{part}");
    }
}

#[test]
fn a_realm_elsewhere_gets_a_login_over_https_only() {
    let scene = Scene::new();
    let tokens = Host::of_tokens();
    let realm = bearer(&format!("http://{}/token", tokens.address));
    let registry = scene.registry("127.0.0.1", move |_, shown| shown.is_none().then(|| wants(&realm)));
    scene.inspect(&registry.address, &[]).expect(0);
    assert!(tokens.was_shown_a_login(), "nobody else listens on this machine");
    for (realm, said) in [
        ("http://tokens.invalid/token", ", without TLS; your login is not sent there"),
        ("http://169.254.169.254/token", "a link-local address"),
        ("http://evil:pw@127.0.0.1:1/token", "a login in the address"),
        ("file:///etc/passwd", "not a web address"),
        ("ftp://127.0.0.1/token", "not a web address"),
    ] {
        let realm = bearer(realm);
        let registry = scene.registry("127.0.0.1", move |_, shown| shown.is_none().then(|| wants(&realm)));
        let run = scene.inspect(&registry.address, &[]).expect(3);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert_eq!(registry.asked(), 1, "it is not asked again");
    }
}

#[test]
fn a_registry_leads_to_no_metadata_service() {
    let scene = Scene::new();
    for part in ["/v2/", "/manifests/", "/blobs/"] {
        let registry = scene.registry("127.0.0.1", move |path, _| {
            path.ends_with("/v2/")
                .then_some(part)
                .filter(|part| *part == "/v2/")
                .or_else(|| (part != "/v2/" && path.contains(part)).then_some(part))?;
            Some(redirect("http://169.254.169.254/latest/meta-data/"))
        });
        let run = scene.inspect(&registry.address, &[]).expect(3);
        assert!(run.stderr.contains("http://169.254.169.254, a link-local address"), "{}", run.stderr);
    }
    // Nor is a blob sent there.
    let registry = scene.registry("127.0.0.1", |path, _| {
        let place = [(header::LOCATION, "http://169.254.169.254/upload")];
        path.contains("/uploads/").then(|| (StatusCode::ACCEPTED, place).into_response())
    });
    let mut record = layergate();
    record.args(["record", &scene.layout.display().to_string(), "--commit", &"a".repeat(40)]);
    record.args(["--store", &format!("oci:{}/team/app", registry.address)]);
    let run = Run::of(&mut record).expect(3);
    assert!(run.stderr.contains("http://169.254.169.254, a link-local address"), "{}", run.stderr);
}

/// An address of this machine that others reach it by.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}

/// Names of this machine's loopback address, beside `localhost`.
fn names_of_loopback() -> Vec<String> {
    let hostname = fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned();
    let is_loopback = |name: &String| {
        let addresses = (name.as_str(), 80).to_socket_addrs();
        !name.is_empty() && addresses.is_ok_and(|mut found| found.all(|address| address.ip().is_loopback()))
    };
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let names = hosts.lines().flat_map(|line| line.split_whitespace().skip(1)).map(str::to_owned);
    names.chain([hostname]).filter(|name| name != "localhost").filter(is_loopback).collect()
}

#[test]
#[ignore = "needs an address that is not loopback: tests/run"]
fn a_registry_elsewhere_does_not_lead_to_this_machine() {
    let Some(elsewhere) = own_address() else {
        return skip("a registry that is not on loopback", "this machine has no other address");
    };
    let scene = Scene::new();
    let inner = Host::start("127.0.0.1", |_, _| "secret metadata".into_response());
    let port = inner.address.rsplit_once(':').unwrap().1.to_owned();
    let mut targets: Vec<String> =
        ["127.0.0.1", "127.1", "2130706433", "0.0.0.0", "localhost", "a.localhost"].map(str::to_owned).into();
    targets.extend(names_of_loopback());
    for target in targets {
        let to = format!("http://{target}:{port}/x");
        let (realm, link) = (bearer(&to), to.clone());
        let by_redirect =
            scene.registry(&elsewhere, move |path, _| path.contains("/blobs/").then(|| redirect(&link)));
        let by_realm = scene.registry(&elsewhere, move |_, shown| shown.is_none().then(|| wants(&realm)));
        for registry in [by_redirect, by_realm] {
            let run = scene.inspect(&registry.address, &["--plain-http"]).expect(3);
            let refused = ["an address of this machine", "without TLS"];
            assert!(refused.iter().any(|said| run.stderr.contains(said)), "{to}: {}", run.stderr);
        }
    }
    assert_eq!(inner.asked(), 0);
    // Its own further ports are its own.
    let layout = scene.layout.clone();
    let beside = Host::start(&elsewhere, move |path, _| honest(&layout, path));
    let to = beside.address.clone();
    let registry = scene.registry(&elsewhere, move |path, _| {
        path.contains("/blobs/").then(|| redirect(&format!("http://{to}{path}")))
    });
    scene.inspect(&registry.address, &["--plain-http"]).expect(0);
}

#[test]
fn nothing_leads_from_https_to_plain_http() {
    let scene = Scene::new();
    scene.authority();
    let plain = Host::of_tokens();
    for (part, is_realm) in [("/blobs/", false), ("/manifests/", false), ("/v2/", true)] {
        let to = format!("http://{}/x", plain.address);
        let registry = scene.registry("127.0.0.1", move |path, shown| match is_realm {
            true => shown.is_none().then(|| wants(&bearer(&to))),
            false => path.contains(part).then(|| redirect(&to)),
        });
        let address = registry.runtime.block_on(front(scene.directory.path(), &registry.address));
        let run = scene.inspect(&address, &[]).expect(3);
        assert!(run.stderr.contains("from HTTPS to plain HTTP"), "{}", run.stderr);
    }
    assert_eq!(plain.asked(), 0);
}

#[test]
fn what_a_registry_says_back_is_masked() {
    let scene = Scene::new();
    let echoes: [fn(&str) -> String; 5] = [
        |shown| format!("you sent Authorization: {shown}"),
        |shown| format!("bad {}", shown.trim_start_matches("Basic ")),
        |_| format!("no user with {PASSWORD}"),
        |_| format!("see https://registry.example/?p={}", PASSWORD.replace('-', "%2D")),
        // Cut in the middle, as long messages are.
        |_| format!("{}{PASSWORD}", "x".repeat(165)),
    ];
    for echo in echoes {
        let registry = scene.registry("127.0.0.1", move |_, shown| {
            let Some(shown) = shown else { return Some(wants("Basic realm=\"x\"")) };
            let body = json!({ "errors": [{ "code": "DENIED", "message": echo(shown) }] });
            Some((StatusCode::FORBIDDEN, body.to_string()).into_response())
        });
        let run = scene.inspect(&registry.address, &[]).expect(3);
        assert!(
            run.stderr.contains("403 Forbidden, DENIED") && !run.stderr.contains("hunter2"),
            "{}",
            run.stderr
        );
    }
    // A token is a secret too.
    let tokens = Host::of_tokens();
    let realm = bearer(&format!("http://{}/token", tokens.address));
    let registry = scene.registry("127.0.0.1", move |_, shown| match shown {
        None => Some(wants(&realm)),
        Some(shown) => Some(
            (StatusCode::FORBIDDEN, json!({ "errors": [{ "code": shown }] }).to_string()).into_response(),
        ),
    });
    let run = scene.inspect(&registry.address, &[]).expect(3);
    assert!(run.stderr.contains("403 Forbidden, Bearer ***"), "{}", run.stderr);
}

#[test]
fn a_blob_is_read_no_further_than_its_descriptor_says() {
    let scene = Scene::new();
    for kind in ["config", "layer"] {
        let sent = Arc::new(AtomicU64::new(0));
        let (layout, counter) = (scene.layout.clone(), Arc::clone(&sent));
        let registry = scene.registry("127.0.0.1", move |path, _| {
            let digest = path.strip_prefix("/v2/team/app/blobs/")?;
            let content = fs::read(layout.join("blobs").join(digest.replace(':', "/"))).ok()?;
            let is_config = content.starts_with(b"{");
            if is_config != (kind == "config") {
                return None;
            }
            let counter = Arc::clone(&counter);
            let more = futures_util::stream::repeat_with(move || {
                counter.fetch_add(1 << 16, Ordering::Relaxed);
                Ok::<_, std::io::Error>(vec![b' '; 1 << 16])
            });
            let first = futures_util::stream::iter([Ok(content)]);
            Some(Body::from_stream(futures_util::StreamExt::chain(first, more)).into_response())
        });
        let run = scene.inspect(&registry.address, &[]).expect(3);
        assert!(run.stderr.contains("bytes"), "{}", run.stderr);
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < 64 << 20, "{kind}: {sent} bytes were taken: {}", run.stderr);
    }
}
