//! Which certificates HTTPS connections to other machines trust: the system's, or those named in the environment.
//!
//! - `SSL_CERT_FILE`, a file, and `SSL_CERT_DIR`, directories, name certificates to trust *instead* of the
//!   system's (OpenSSL, "SSL_CTX_load_verify_locations"; most programs on Linux follow it)
//! - `NODE_EXTRA_CA_CERTS`, a file, names certificates to trust *as well* (Node.js, "Command-line API"): self-hosted
//!   runners set it for the actions that run on them

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use reqwest::{ClientBuilder, Url};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::files;

const FILE: &str = "SSL_CERT_FILE";
const DIRECTORIES: &str = "SSL_CERT_DIR";
const EXTRA: &str = "NODE_EXTRA_CA_CERTS";
/// Maximum bytes read of a file; a system's bundle has a few hundred KiB.
const MAX_FILE: u64 = 16 << 20;

/// Certificates that are named but cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{variable} names {}, but no certificate can be read from there: {why}; point it to PEM certificates, or unset it", path.display())]
pub struct CertificateError {
    variable: &'static str,
    path: PathBuf,
    why: String,
}

/// A builder for an HTTP client whose first request goes to `first`. Proxies come from the environment (`HTTPS_PROXY`,
/// `HTTP_PROXY`, `NO_PROXY`).
///
/// # Errors
/// [`CertificateError`].
pub fn client(first: &Url) -> Result<ClientBuilder, CertificateError> {
    // A second call finds the provider of the first installed, which is just as good.
    let _ = ring::default_provider().install_default();
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut all = Vec::new();
    if let Some(file) = set(EXTRA) {
        all.extend(of_file(EXTRA, Path::new(&file))?);
    }
    let (file, directories) = (set(FILE), set(DIRECTORIES));
    if let Some(file) = &file {
        all.extend(of_file(FILE, Path::new(file))?);
    }
    if let Some(directories) = &directories {
        let found = of_directories(directories);
        // With a file beside them, directories may be empty.
        if file.is_none() && found.is_empty() {
            let why = "there is none".to_owned();
            return Err(CertificateError { variable: DIRECTORIES, path: directories.into(), why });
        }
        all.extend(found);
    }
    let config = ClientConfig::builder();
    let config = if file.is_some() || directories.is_some() {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(all);
        config.with_root_certificates(roots)
    } else {
        let system = Arc::new(SystemVerifier::new(all));
        if first.scheme() == "https" {
            // They are loaded by the time a server has answered.
            let system = Arc::clone(&system);
            std::thread::spawn(move || system.verifier().is_ok());
        }
        config.dangerous().with_custom_certificate_verifier(system)
    };
    Ok(reqwest::Client::builder().tls_backend_preconfigured(config.with_no_client_auth()))
}

/// Trusts the system's certificates, and loads them when they are first needed: there are over a hundred, and plain
/// HTTP to a registry needs none.
#[derive(Debug)]
struct SystemVerifier {
    provider: Arc<CryptoProvider>,
    extra: Vec<CertificateDer<'static>>,
    verifier: OnceLock<Result<Verifier, TlsError>>,
}

impl SystemVerifier {
    fn new(extra: Vec<CertificateDer<'static>>) -> SystemVerifier {
        SystemVerifier { provider: Arc::new(ring::default_provider()), extra, verifier: OnceLock::new() }
    }

    fn verifier(&self) -> Result<&Verifier, TlsError> {
        let make = || Verifier::new_with_extra_roots(self.extra.iter().cloned(), Arc::clone(&self.provider));
        self.verifier.get_or_init(make).as_ref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for SystemVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificates of a file. A bundle may contain some of an obsolete kind; containing none at all is an error.
fn of_file(variable: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let failed = |why: String| CertificateError { variable, path: path.to_owned(), why };
    let content = read(path).map_err(|error| failed(error.to_string()))?;
    let found = usable(&content);
    if found.is_empty() { Err(failed("it contains no PEM certificate".into())) } else { Ok(found) }
}

/// The certificates in all files of the directories, which may contain other files too.
fn of_directories(directories: &OsStr) -> Vec<CertificateDer<'static>> {
    let files = std::env::split_paths(directories)
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())));
    files
        .filter(|path| path.is_file())
        .filter_map(|path| read(&path).ok())
        .flat_map(|pem| usable(&pem))
        .collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    files::read(path, MAX_FILE)
}

fn usable(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    let is_usable =
        |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).filter(is_usable).collect()
}
