//! Whose certificates are believed where other machines are reached over HTTPS: the system's, or what the
//! environment names.
//!
//! - `SSL_CERT_FILE`, a file, and `SSL_CERT_DIR`, directories, name certificates to believe *instead* of the
//!   system's (OpenSSL, "SSL_CTX_load_verify_locations"; most programs on Linux follow it)
//! - `NODE_EXTRA_CA_CERTS`, a file, names some to believe *too* (Node.js, "Command-line API"): what a runner of one's
//!   own has set for the actions that run on it

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::files;

const FILE: &str = "SSL_CERT_FILE";
const DIRECTORIES: &str = "SSL_CERT_DIR";
const EXTRA: &str = "NODE_EXTRA_CA_CERTS";
/// The most that is read of a file; a system's bundle has some hundred KiB.
const MAX_FILE: u64 = 16 << 20;

/// Certificates that are named and cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{variable} names {}, and no certificate can be taken from there: {why}; name certificates in PEM, or unset it", path.display())]
pub struct CertificateError {
    variable: &'static str,
    path: PathBuf,
    why: String,
}

/// What an HTTP client starts from. Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
///
/// # Errors
/// [`CertificateError`].
pub fn client() -> Result<ClientBuilder, CertificateError> {
    // A second call finds the provider of the first in place, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let builder = reqwest::Client::builder();
    let mut all = Vec::new();
    if let Some(file) = set(EXTRA) {
        all.extend(of_file(EXTRA, Path::new(&file))?);
    }
    let (file, directories) = (set(FILE), set(DIRECTORIES));
    if file.is_none() && directories.is_none() {
        return Ok(if all.is_empty() { builder } else { builder.tls_certs_merge(all) });
    }
    if let Some(file) = &file {
        all.extend(of_file(FILE, Path::new(file))?);
    }
    if let Some(directories) = &directories {
        let found = of_directories(directories);
        // A file beside them has what is needed.
        if file.is_none() && found.is_empty() {
            let why = "there is none".to_owned();
            return Err(CertificateError { variable: DIRECTORIES, path: directories.into(), why });
        }
        all.extend(found);
    }
    Ok(builder.tls_certs_only(all))
}

/// The certificates of a file. A bundle may well have one of a kind that nobody uses any more; that it has none at
/// all is an error.
fn of_file(variable: &'static str, path: &Path) -> Result<Vec<Certificate>, CertificateError> {
    let failed = |why: String| CertificateError { variable, path: path.to_owned(), why };
    let content = read(path).map_err(|error| failed(error.to_string()))?;
    let found = usable(&content);
    if found.is_empty() { Err(failed("there is none in PEM in it that is one".into())) } else { Ok(found) }
}

/// Those of all files of directories, which have others too.
fn of_directories(directories: &OsStr) -> Vec<Certificate> {
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

fn usable(pem: &[u8]) -> Vec<Certificate> {
    let usable = |certificate: CertificateDer<'static>| {
        RootCertStore::empty().add(certificate.clone()).ok()?;
        Certificate::from_der(&certificate).ok()
    };
    CertificateDer::pem_slice_iter(pem).filter_map(|found| usable(found.ok()?)).collect()
}
