//! Requests to an engine, one connection each. The client library collects a whole answer before it looks at it, so the
//! size of an answer is limited here, while it arrives.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bollard::errors::Error as EngineError;
use bollard::{BollardRequest, Docker};
use http::{HeaderValue, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::image::oci::MAX_DOCUMENT;

/// Maximum bytes of an answer other than an export: what an engine says about an image is no longer than the image's
/// own documents.
const MAX_ANSWER: u64 = MAX_DOCUMENT;
/// Default ports for addresses without one (RFC 9110, "http and https URI schemes").
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Where an engine listens.
pub(super) enum EngineAddress {
    /// A socket on this machine.
    #[cfg(unix)]
    Unix(PathBuf),
    /// A host and port, with the certificates of both sides if TLS is used.
    Tcp(String, u16, Option<TlsConnector>),
}

impl EngineAddress {
    /// A host and its port; `tls` is the directory of `ca.pem`, `cert.pem` and `key.pem`.
    ///
    /// # Errors
    /// If the address is invalid, or the certificates cannot be used.
    pub fn tcp(authority: &str, tls: Option<&Path>) -> Result<EngineAddress, EngineError> {
        let unfit = || EngineError::UnsupportedURISchemeError { uri: authority.to_owned() };
        let uri: Uri = format!("http://{authority}").parse().map_err(|_| unfit())?;
        let host = uri.host().ok_or_else(unfit)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls.is_some() { HTTPS_PORT } else { HTTP_PORT });
        Ok(EngineAddress::Tcp(host, port, tls.map(connector).transpose()?))
    }

    /// A client of the engine's API.
    ///
    /// # Errors
    /// If the library does not accept the client.
    pub fn client(self: Arc<Self>, timeout: u64) -> Result<Docker, EngineError> {
        let transport = self;
        let send = move |request| {
            let transport = transport.clone();
            async move { transport.send(request).await }
        };
        Docker::connect_with_custom_transport(
            send,
            Some("http://engine"),
            timeout,
            bollard::API_DEFAULT_VERSION,
        )
    }

    async fn send(&self, mut request: BollardRequest) -> Result<Response<Incoming>, EngineError> {
        let export = request.uri().path().ends_with("/get");
        let stream =
            BoundedBody { stream: self.connect().await?, left: if export { u64::MAX } else { MAX_ANSWER } };
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("engine"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }

    /// A new connection.
    ///
    /// # Errors
    /// If the engine cannot be reached.
    pub async fn connect(&self) -> io::Result<Box<dyn EngineStream>> {
        Ok(match self {
            #[cfg(unix)]
            EngineAddress::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
            EngineAddress::Tcp(host, port, None) => {
                Box::new(TcpStream::connect((host.as_str(), *port)).await?)
            }
            EngineAddress::Tcp(host, port, Some(tls)) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                Box::new(tls.connect(name, TcpStream::connect((host.as_str(), *port)).await?).await?)
            }
        })
    }
}

/// Trusts the system's certificates and `ca.pem`, and presents `cert.pem`, as docker does.
fn connector(directory: &Path) -> Result<TlsConnector, EngineError> {
    // The TLS library must be told which implementation to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let [authority, certificate, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| directory.join(name));
    let unusable = |path: &Path| {
        EngineError::from(io::Error::other(format!(
            "cannot read a certificate or key from {}",
            path.display()
        )))
    };
    let certificates = |path: &Path| {
        let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        found.map_err(|_| unusable(path))
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(certificates(&authority)?);
    let own = certificates(&certificate)?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|_| unusable(&key))?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(own, private);
    Ok(TlsConnector::from(Arc::new(config.map_err(|_| unusable(&key))?)))
}

/// The stream of a connection.
pub(super) trait EngineStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> EngineStream for S {}

/// A body limited to a number of bytes.
struct BoundedBody {
    stream: Box<dyn EngineStream>,
    left: u64,
}

impl AsyncRead for BoundedBody {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = (buffer.filled().len() - before) as u64;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => {
                return Poll::Ready(Err(io::Error::other(format!("its answer has over {MAX_ANSWER} bytes"))));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BoundedBody {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
