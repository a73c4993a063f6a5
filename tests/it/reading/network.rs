//! The way to GitHub and to registries: whose certificates are believed, proxies, and servers that take for ever.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::check::gate::image;
use crate::support::fake_github::{BOT, FakeGithub};
use crate::support::fake_registry::{FakeRegistry, Faults};
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, tar_of};

/// Names that only a proxy knows, and that the certificate is for.
const GITHUB: &str = "github.test";
const REGISTRY: &str = "registry.test";

/// A GitHub and a registry, each behind TLS with a certificate of an authority of one's own, and a proxy.
struct Site {
    github: FakeGithub,
    _registry: FakeRegistry,
    directory: tempfile::TempDir,
    /// Where TLS is spoken: GitHub's, and the registry's.
    fronts: [String; 2],
    proxy: String,
    /// What the proxy was asked to connect to.
    connected: Arc<Mutex<Vec<String>>>,
    runtime: tokio::runtime::Runtime,
}

impl Site {
    fn new() -> Site {
        let directory = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        certify(directory.path());
        let layer = FakeLayer::gzip(&tar_of(&[Item::File("a", 1000)]), "COPY a /");
        let layout = oci_layout(&directory.path().join("layout"), &[layer]);
        let (github, registry) = (FakeGithub::start(), FakeRegistry::start(&layout, Faults::default()));
        let plain = github.url.trim_start_matches("http://").trim_end_matches("/api/v3");
        let fronts = [plain, &registry.address].map(|to| runtime.block_on(front(directory.path(), to)));
        let connected = Arc::default();
        let names = HashMap::from([(GITHUB.into(), fronts[0].clone()), (REGISTRY.into(), fronts[1].clone())]);
        let proxy = runtime.block_on(proxy(names, Arc::clone(&connected)));
        Site { github, _registry: registry, directory, fronts, proxy, connected, runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A check that comments through the API at an address.
    fn check(&self, api: &str) -> Command {
        let event = json!({ "pull_request": {
            "number": 7, "head": { "sha": "a".repeat(40), "repo": { "full_name": "acme/shop" } },
            "base": { "ref": "main", "sha": "b".repeat(40), "repo": { "full_name": "acme/shop" } },
        } });
        fs::write(self.path("event.json"), event.to_string()).unwrap();
        let mut command = layergate();
        command.current_dir(self.directory.path());
        command.args(["check", &image(self.directory.path(), "app", 1000), "--comment", "always"]);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
        command.env("GITHUB_EVENT_PATH", self.path("event.json")).env("GITHUB_REPOSITORY", "acme/shop");
        command.env("GITHUB_API_URL", api).env("GITHUB_TOKEN", "ghs_secret-token");
        command.env("RUNNER_TEMP", self.directory.path());
        // Only the comment needs the API.
        command.env("LAYERGATE_STORE", "dir:.layergate").env("LAYERGATE_LIMITS_FROM", "head");
        command
    }

    fn inspect(&self) -> Command {
        let mut command = layergate();
        command.args(["inspect", &format!("docker://{REGISTRY}/team/app:1"), "--no-cache"]);
        command.env("HTTPS_PROXY", &self.proxy);
        command
    }

    /// Whether there is a comment now; there is none after.
    fn commented(&self) -> bool {
        let is_there = !self.github.bodies_of(BOT).is_empty();
        self.github.world().comments.clear();
        is_there
    }
}

/// Makes `ca.pem`, and `cert.pem` with `key.pem` that it vouches for.
pub fn certify(directory: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        Run::of(command.current_dir(directory).args(arguments.split(' '))).expect(0);
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=own"));
    openssl(&format!("req {key} -keyout key.pem -out request.pem -subj /CN=server"));
    let names = format!("subjectAltName=DNS:{GITHUB},DNS:{REGISTRY},IP:127.0.0.1\n");
    fs::write(directory.join("names"), names).unwrap();
    let signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names";
    openssl(&format!("x509 -req -in request.pem -out cert.pem {signed}"));
}

/// Speaks TLS for a server that does not, at the address that this gives.
pub async fn front(certificates: &Path, server: &str) -> String {
    drop(rustls::crypto::ring::default_provider().install_default());
    let chain = CertificateDer::pem_file_iter(certificates.join("cert.pem")).unwrap();
    let chain: Vec<CertificateDer<'_>> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificates.join("key.pem")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (acceptor, server) = (TlsAcceptor::from(Arc::new(config)), server.to_owned());
    listen(move |near| {
        let (acceptor, server) = (acceptor.clone(), server.clone());
        async move {
            // Whoever does not believe the certificate goes away.
            let Ok(mut near) = acceptor.accept(near).await else { return };
            let mut far = TcpStream::connect(server).await.unwrap();
            drop(copy_bidirectional(&mut near, &mut far).await);
        }
    })
    .await
}

/// A proxy that knows some names (RFC 9110, "CONNECT").
async fn proxy(names: HashMap<String, String>, connected: Arc<Mutex<Vec<String>>>) -> String {
    let address = listen(move |mut near| {
        let (names, connected) = (names.clone(), Arc::clone(&connected));
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let far = names.get(target.split(':').next().unwrap()).filter(|_| head.starts_with("CONNECT "));
            connected.lock().unwrap().push(target);
            let Some(far) = far else { return };
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut far = TcpStream::connect(far).await.unwrap();
            drop(copy_bidirectional(&mut near, &mut far).await);
        }
    });
    format!("http://{}", address.await)
}

async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(serve(near));
        }
    });
    address
}

#[test]
fn an_authority_of_ones_own_is_believed_where_the_environment_names_it() {
    let site = Site::new();
    let api = format!("https://{}/api/v3", site.fronts[0]);
    let stranger = Run::of(&mut site.check(&api)).expect(0);
    assert!(stranger.stderr.contains("not commented: "), "{}", stranger.stderr);
    assert!(stranger.stderr.contains("certificate"), "{}", stranger.stderr);
    let refused = Run::of(&mut site.inspect()).expect(3);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    assert!(!site.commented());

    fs::create_dir(site.path("authorities")).unwrap();
    fs::copy(site.path("ca.pem"), site.path("authorities/own.pem")).unwrap();
    fs::write(site.path("authorities/README"), "not one").unwrap();
    let directories = format!("/nowhere:{}", site.path("authorities").display());
    // Bundles have others too, and what is no certificate at all.
    let bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()
        + &fs::read_to_string(site.path("ca.pem")).unwrap();
    fs::write(site.path("bundle.pem"), bundle).unwrap();
    for (variable, value) in [
        ("SSL_CERT_FILE", site.path("ca.pem").display().to_string()),
        ("SSL_CERT_FILE", site.path("bundle.pem").display().to_string()),
        ("SSL_CERT_DIR", directories),
        ("NODE_EXTRA_CA_CERTS", site.path("ca.pem").display().to_string()),
    ] {
        let run = Run::of(site.check(&api).env(variable, &value)).expect(0);
        assert!(site.commented(), "{variable}={value}: {}", run.stderr);
        Run::of(site.inspect().env(variable, &value)).expect(0);
    }
    // Where others are to be believed instead of the system's, what is named besides still counts.
    fs::create_dir(site.path("other")).unwrap();
    certify(&site.path("other"));
    let mut both = site.check(&api);
    both.env("SSL_CERT_FILE", site.path("other/ca.pem"));
    Run::of(&mut both).expect(0);
    assert!(!site.commented());
    Run::of(both.env("NODE_EXTRA_CA_CERTS", site.path("ca.pem"))).expect(0);
    assert!(site.commented());
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let site = Site::new();
    let api = format!("https://{}/api/v3", site.fronts[0]);
    fs::write(site.path("text"), "no certificate").unwrap();
    fs::write(site.path("false.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    fs::create_dir(site.path("empty")).unwrap();
    for (variable, name) in [
        ("SSL_CERT_FILE", "missing.pem"),
        ("SSL_CERT_FILE", "text"),
        ("SSL_CERT_FILE", "false.pem"),
        ("SSL_CERT_FILE", "empty"),
        ("SSL_CERT_DIR", "empty"),
        ("SSL_CERT_DIR", "missing"),
        ("NODE_EXTRA_CA_CERTS", "missing.pem"),
        ("NODE_EXTRA_CA_CERTS", "false.pem"),
    ] {
        let path = site.path(name);
        let words = format!("{variable} names {}, but no certificate can be read from there", path.display());
        let check = Run::of(site.check(&api).env(variable, &path)).expect(0);
        assert!(
            check.stderr.contains("not commented: ") && check.stderr.contains(&words),
            "{}",
            check.stderr
        );
        let inspect = Run::of(site.inspect().env(variable, &path)).expect(3);
        assert!(inspect.stderr.contains(&words), "{}", inspect.stderr);
    }
    assert!(!site.commented() && site.connected.lock().unwrap().is_empty());
    // That nothing is set is no name.
    let mut empty = site.check(&api);
    empty.env("SSL_CERT_FILE", "").env("SSL_CERT_DIR", "").env("NODE_EXTRA_CA_CERTS", site.path("ca.pem"));
    Run::of(&mut empty).expect(0);
    assert!(site.commented());
}

#[test]
fn a_proxy_is_used_but_for_what_needs_none() {
    let site = Site::new();
    let named = format!("https://{GITHUB}/api/v3");
    let direct = format!("https://{}/api/v3", site.fronts[0]);
    let through = |api: &str, variables: &[(&str, &str)]| {
        let mut command = site.check(api);
        command.env("NODE_EXTRA_CA_CERTS", site.path("ca.pem"));
        command.envs(variables.iter().copied());
        let run = Run::of(&mut command).expect(0);
        (site.commented(), std::mem::take(&mut *site.connected.lock().unwrap()), run)
    };
    // Nobody but the proxy knows where that is.
    let (commented, connected, run) = through(&named, &[]);
    assert!(!commented && connected.is_empty() && run.stderr.contains("not commented"), "{}", run.stderr);
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let (commented, connected, run) = through(&named, &[(variable, &site.proxy)]);
        assert!(commented, "{variable}: {}", run.stderr);
        assert!(connected.iter().all(|target| *target == format!("{GITHUB}:443")), "{connected:?}");
    }
    for except in ["127.0.0.1", "other.test,127.0.0.0/8"] {
        let (commented, connected, run) =
            through(&direct, &[("HTTPS_PROXY", &site.proxy), ("NO_PROXY", except)]);
        assert!(commented && connected.is_empty(), "{except}: {connected:?} {}", run.stderr);
    }
    for except in [".test", "*"] {
        let variables = [("HTTPS_PROXY", site.proxy.as_str()), ("NO_PROXY", except)];
        let (commented, connected, _) = through(&named, &variables);
        assert!(!commented && connected.is_empty(), "{except}: {connected:?}");
    }

    Run::of(site.inspect().env("SSL_CERT_FILE", site.path("ca.pem"))).expect(0);
    assert_eq!(site.connected.lock().unwrap().pop().unwrap(), format!("{REGISTRY}:443"));
    let mut without = site.inspect();
    without.env("SSL_CERT_FILE", site.path("ca.pem")).env("NO_PROXY", REGISTRY);
    Run::of(&mut without).expect(3);
    // One that is not there is named, and not waited for.
    let gone = through(&named, &[("HTTPS_PROXY", "http://127.0.0.1:1")]).2;
    assert!(gone.stderr.contains("not commented"), "{}", gone.stderr);
}

/// A registry that sends a byte of a document now and then would be read for ever.
#[test]
fn a_document_that_never_ends_is_given_up() {
    let site = Site::new();
    let address = site.runtime.block_on(listen(|mut near| async move {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            let Ok(byte) = near.read_u8().await else { return };
            seen.push(byte);
        }
        if seen.starts_with(b"GET /v2/ ") {
            let greeting = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            return drop(near.write_all(greeting).await);
        }
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n";
        drop(near.write_all(head).await);
        while near.write_all(b" ").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        }
    }));
    let started = std::time::Instant::now();
    let mut command = layergate();
    let run = Run::of(command.args(["inspect", &format!("docker://{address}/team/app:1")])).expect(3);
    assert!(run.stderr.contains("its answer did not end within 60 s"), "{}", run.stderr);
    // It is not tried again, for that would take as long.
    assert!(started.elapsed().as_secs() < 100, "{:?}", started.elapsed());
}

/// A registry and an engine that take a connection, read what they are asked, and never answer.
#[test]
fn a_server_that_never_answers_is_given_up() {
    let site = Site::new();
    let silent = || {
        site.runtime.block_on(listen(|mut near| async move {
            let mut asked = [0; 4096];
            while near.read(&mut asked).await.is_ok_and(|read| read > 0) {}
        }))
    };
    let (registry, engine) = (format!("docker://{}/team/app:1", silent()), format!("tcp://{}", silent()));
    let cases = [
        (vec!["inspect", &registry], "it sent no data for too long"),
        (vec!["inspect", "docker-daemon:app:1", "--engine", &engine], "it did not answer in time"),
    ];
    // Both at once: each is waited for half a minute.
    std::thread::scope(|scope| {
        for (arguments, words) in cases {
            scope.spawn(move || {
                let run = Run::of(layergate().args(&arguments)).expect(3);
                assert!(run.stderr.contains(words), "{}", run.stderr);
                let place = arguments.last().unwrap().split("//").nth(1).unwrap();
                assert!(run.stderr.contains(place.split('/').next().unwrap()), "{}", run.stderr);
            });
        }
    });
}
