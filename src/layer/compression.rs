//! How a layer's tar is packed, told by its first bytes: media types are claims.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

/// How a blob is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952, one member or several (eStargz).
    Gzip,
    /// RFC 8878, one frame or several, skippable ones included (zstd:chunked).
    Zstd,
}

impl Compression {
    /// Tells a blob by its first bytes; `None` where it is neither packed nor a tar.
    pub fn sniff(head: &[u8]) -> Option<Compression> {
        let skippable =
            |head: &[u8]| head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18];
        match head {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            head if skippable(head) => Some(Compression::Zstd),
            head if looks_like_tar(head) => Some(Compression::None),
            _ => None,
        }
    }

    /// Unpacks `input`.
    ///
    /// # Errors
    /// Where the decoder cannot be set up.
    pub fn reader<'a>(self, input: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        })
    }
}

/// A tar starts with a header, or, where it is empty, with zeros.
fn looks_like_tar(head: &[u8]) -> bool {
    let ustar = head.get(257..262) == Some(b"ustar");
    let old = || {
        head.len() >= 512 && {
            let header = tar::Header::from_byte_slice(&head[..512]);
            let sum: u32 = head[..512]
                .iter()
                .enumerate()
                .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
                .sum();
            header.cksum().ok() == Some(sum)
        }
    };
    let empty = || head.len() >= 512 && head[..512].iter().all(|byte| *byte == 0);
    ustar || empty() || old()
}
