//! The content store of an engine, served as BuildKit serves it on an engine's socket: with HTTP/2 from the first byte,
//! as newer engines accept it, or after an upgrade.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};

/// How the content store is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offer {
    /// Not at all.
    #[default]
    Nowhere,
    Upgrade,
    Direct,
    /// After an upgrade; every blob ends with an error after this many bytes.
    Breaking(usize),
}

/// Blobs by their digests.
#[derive(Clone, Default)]
pub struct Content {
    pub offer: Offer,
    pub blobs: HashMap<String, Vec<u8>>,
    /// The number of blob bytes sent.
    pub served: Arc<AtomicUsize>,
}

/// A connection.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Content {
    /// The blobs of an OCI layout in a tar.
    pub fn of_save(offer: Offer, save: &[u8]) -> Content {
        let mut blobs = HashMap::new();
        for entry in tar::Archive::new(save).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            if let Some(hex) = path.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                blobs.insert(format!("sha256:{hex}"), content);
            }
        }
        Content { offer, blobs, served: Arc::default() }
    }

    /// The blobs of an OCI layout in a directory.
    pub fn of_layout(offer: Offer, layout: &Path) -> Content {
        let files = std::fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap());
        let blob = |file: std::fs::DirEntry| {
            (format!("sha256:{}", file.file_name().display()), std::fs::read(file.path()).unwrap())
        };
        Content { offer, blobs: files.map(blob).collect(), served: Arc::default() }
    }
}

/// The connections of an engine: those that begin with HTTP/2 request content.
pub struct Connections {
    pub listener: UnixListener,
    pub content: Arc<Content>,
    pub requests: Arc<Mutex<Vec<String>>>,
}

/// The beginning of HTTP/2 (RFC 9113, "HTTP/2 Connection Preface").
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl axum::serve::Listener for Connections {
    type Io = Box<dyn Io>;
    type Addr = ();

    async fn accept(&mut self) -> (Box<dyn Io>, ()) {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut head = vec![0; PREFACE.len()];
            let Ok(read) = stream.read(&mut head).await else { continue };
            head.truncate(read);
            let direct = self.content.offer == Offer::Direct && PREFACE.starts_with(&head) && read > 0;
            let stream = rewound(head, stream);
            if !direct {
                return (stream, ());
            }
            tokio::spawn(serve(stream, self.content.clone(), self.requests.clone()));
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

fn rewound(head: Vec<u8>, stream: UnixStream) -> Box<dyn Io> {
    let (reader, writer) = stream.into_split();
    Box::new(tokio::io::join(AsyncReadExt::chain(io::Cursor::new(head), reader), writer))
}

/// The answer to `POST /grpc`.
pub fn upgrade(request: Request, content: Arc<Content>, requests: Arc<Mutex<Vec<String>>>) -> Response {
    let asked = request.headers().get(header::UPGRADE).is_some_and(|protocol| protocol == "h2c");
    if !asked || !matches!(content.offer, Offer::Upgrade | Offer::Breaking(_)) {
        return (StatusCode::NOT_FOUND, r#"{"message":"page not found"}"#).into_response();
    }
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.unwrap();
        serve(TokioIo::new(upgraded), content, requests).await;
    });
    let headers = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "h2c")];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn serve(io: impl Io + 'static, content: Arc<Content>, requests: Arc<Mutex<Vec<String>>>) {
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (content, requests) = (content.clone(), requests.clone());
        tokio::spawn(async move {
            // The client may be gone.
            let _ = answer(request, respond, &content, &requests).await;
        });
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    content: &Content,
    requests: &Mutex<Vec<String>>,
) -> Result<(), h2::Error> {
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/grpc");
    assert_eq!(request.headers()[header::TE], "trailers");
    let method = request.uri().path().to_owned();
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    let (digest, offset, size) = asked_for(&message[5..]);
    requests.lock().unwrap().push(format!("{digest}{method}"));
    let response =
        http::Response::builder().header(header::CONTENT_TYPE, "application/grpc").body(()).unwrap();
    let Some(blob) = content.blobs.get(&digest) else {
        let mut response = response;
        response.headers_mut().insert("grpc-status", "5".parse().unwrap());
        response.headers_mut().insert("grpc-message", "content%20not%20found".parse().unwrap());
        respond.send_response(response, true)?;
        return Ok(());
    };
    let mut stream = respond.send_response(response, false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    if method.ends_with("/Info") {
        let mut info = [&[0x0a, digest.len() as u8], digest.as_bytes(), &[0x10]].concat();
        put_varint(&mut info, blob.len() as u64);
        send(&mut stream, [&[0x0a, info.len() as u8], info.as_slice()].concat()).await?;
        return stream.send_trailers(trailers);
    }
    assert!(method.ends_with("/Read"), "{method}");
    let end = if size == 0 { blob.len() } else { offset + size };
    let blob = &blob[offset..end];
    let (sent, broken) = match content.offer {
        Offer::Breaking(after) if blob.len() > after => (&blob[..after], true),
        _ => (blob, false),
    };
    content.served.fetch_add(sent.len(), Ordering::Relaxed);
    for (number, piece) in sent.chunks(100_000).enumerate() {
        let mut message = vec![0x08];
        put_varint(&mut message, (number * 100_000) as u64);
        message.push(0x12);
        put_varint(&mut message, piece.len() as u64);
        send(&mut stream, [message.as_slice(), piece].concat()).await?;
    }
    if broken {
        trailers.insert("grpc-status", "14".parse().unwrap());
        trailers.insert("grpc-message", "the%20store%20is%20gone".parse().unwrap());
    }
    stream.send_trailers(trailers)
}

/// Sends a message as fast as the other side has room for it.
async fn send(stream: &mut h2::SendStream<Bytes>, message: Vec<u8>) -> Result<(), h2::Error> {
    let mut data = Bytes::from([&[0], &(message.len() as u32).to_be_bytes()[..], &message].concat());
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let Some(room) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return Ok(()) };
        stream.send_data(data.split_to(room?.min(data.len())), false)?;
    }
    Ok(())
}

/// The digest, the offset and the size of a request.
fn asked_for(mut message: &[u8]) -> (String, usize, usize) {
    let (mut digest, mut numbers) = (String::new(), [0; 4]);
    while let Some((&key, rest)) = message.split_first() {
        message = rest;
        let value = take_varint(&mut message);
        match key {
            0x0a => {
                digest = String::from_utf8(message[..value].to_vec()).unwrap();
                message = &message[value..];
            }
            key => numbers[usize::from(key >> 3)] = value,
        }
    }
    (digest, numbers[2], numbers[3])
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn take_varint(message: &mut &[u8]) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = message.split_first().unwrap();
        *message = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
