//! gRPC calls on an engine's own socket ("gRPC over HTTP2"), limited to what reading content needs: one message out,
//! one or several back. A whole gRPC library would outweigh this small use of it.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::excerpt;
use super::transport::EngineAddress;

/// How long an engine may take to accept the protocol.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to continue an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How many bytes may be in flight, for one answer and for all together.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;
/// The longest message; the default of gRPC.
const MAX_MESSAGE: usize = 4 << 20;
/// The largest header list.
const MAX_HEADERS: u32 = 64 << 10;
/// The prefix of a message: a compression flag and the length.
const PREFIX: usize = 5;
/// `NOT_FOUND` ("Status codes and their use in gRPC").
const NOT_FOUND: u32 = 5;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The requested object does not exist.
    #[error("not found")]
    NotFound,
    /// Any other failure: nothing more can be requested this way.
    #[error("{0}")]
    Failed(String),
}

impl CallError {
    fn failed(error: impl ToString) -> CallError {
        CallError::Failed(excerpt(&error.to_string()))
    }
}

impl From<h2::Error> for CallError {
    fn from(error: h2::Error) -> CallError {
        CallError::failed(error)
    }
}

/// A connection that carries many calls at once.
#[derive(Clone)]
pub struct Grpc {
    sender: SendRequest<Bytes>,
}

impl Grpc {
    /// Connects to an engine: with HTTP/2 from the first byte if `direct`, else through the upgrade that older engines
    /// offer (Docker Engine API, `POST /grpc`).
    ///
    /// # Errors
    /// If the engine cannot be reached, or does not offer gRPC.
    pub async fn connect(transport: &EngineAddress, direct: bool) -> Result<Grpc, CallError> {
        let connecting = async {
            let stream = transport.connect().await.map_err(CallError::failed)?;
            if direct { Grpc::over(stream).await } else { Grpc::over(upgraded(stream).await?).await }
        };
        let late = |_| CallError::Failed("it does not answer".into());
        timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Grpc, CallError> {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        builder.max_header_list_size(MAX_HEADERS).enable_push(false);
        let (sender, connection) = builder.handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Grpc { sender })
    }

    /// Makes a call. The answer is read message by message.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(&self, method: &'static str, message: &[u8]) -> Result<Messages, CallError> {
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("http://engine{method}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
        let request = request.body(()).map_err(CallError::failed)?;
        let mut body = BytesMut::with_capacity(PREFIX + message.len());
        body.extend_from_slice(&[0]);
        body.extend_from_slice(&u32::try_from(message.len()).map_err(CallError::failed)?.to_be_bytes());
        body.extend_from_slice(message);
        let calling = async {
            let mut sender = self.sender.clone().ready().await?;
            let (response, mut stream) = sender.send_request(request, false)?;
            stream.send_data(body.freeze(), true)?;
            Ok::<_, CallError>(response.await?)
        };
        let response = timeout(ANSWER_TIMEOUT, calling).await.map_err(|_| silent())??;
        if response.status() != StatusCode::OK {
            return Err(CallError::Failed(format!("it answers with {}", response.status())));
        }
        // An answer that consists of an error only has no body.
        if response.headers().contains_key("grpc-status") {
            result_of(response.headers())?;
        }
        Ok(Messages { body: response.into_body(), received: BytesMut::new() })
    }
}

/// Asks an engine to switch to HTTP/2.
async fn upgraded(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, CallError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(CallError::failed)?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::post("/grpc")
        .header(header::HOST, HeaderValue::from_static("engine"))
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "h2c")
        .body(Empty::<Bytes>::new());
    let request = request.map_err(CallError::failed)?;
    let response = sender.send_request(request).await.map_err(CallError::failed)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(CallError::Failed(format!("it answers with {}", response.status())));
    }
    hyper::upgrade::on(response).await.map(TokioIo::new).map_err(CallError::failed)
}

/// The answer to a call.
pub struct Messages {
    body: RecvStream,
    received: BytesMut,
}

impl Messages {
    /// The next message; `None` after the last one, if the call succeeded.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        timeout(ANSWER_TIMEOUT, self.receive()).await.map_err(|_| silent())?
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            if let Some(length) = self.received.get(..PREFIX).map(length_of).transpose()? {
                if self.received.len() >= PREFIX + length {
                    self.received.advance(PREFIX);
                    return Ok(Some(self.received.split_to(length).freeze()));
                }
                self.received.reserve(PREFIX + length - self.received.len());
            }
            let Some(data) = self.body.data().await else { break };
            let data = data?;
            self.body.flow_control().release_capacity(data.len())?;
            self.received.extend_from_slice(&data);
        }
        let trailers = self.body.trailers().await?;
        result_of(&trailers.unwrap_or_default())?;
        if self.received.is_empty() {
            Ok(None)
        } else {
            Err(CallError::Failed("its answer is cut off".into()))
        }
    }
}

/// The length in a message's prefix.
fn length_of(prefix: &[u8]) -> Result<usize, CallError> {
    let (compressed, length) = match prefix {
        [compressed, a, b, c, d] => (*compressed, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err(CallError::Failed("its answer is cut off".into())),
    };
    if compressed != 0 || length > MAX_MESSAGE {
        return Err(CallError::Failed(format!("a message of {length} bytes, or a compressed one")));
    }
    Ok(length)
}

/// The status of a call, from the headers or trailers of its answer.
fn result_of(headers: &HeaderMap) -> Result<(), CallError> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match text("grpc-status").and_then(|status| status.parse::<u32>().ok()) {
        Some(0) => Ok(()),
        Some(NOT_FOUND) => Err(CallError::NotFound),
        Some(status) => {
            let message = percent_decode_str(text("grpc-message").unwrap_or_default()).decode_utf8_lossy();
            Err(CallError::Failed(format!("status {status}: {}", excerpt(&message))))
        }
        None => Err(CallError::Failed("its answer does not say how the call ended".into())),
    }
}

fn silent() -> CallError {
    CallError::Failed(format!("no answer for {} seconds", ANSWER_TIMEOUT.as_secs()))
}
