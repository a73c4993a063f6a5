//! How a layer's tar is compressed, detected from its first bytes: media types are claims.

use std::io::{self, BufRead, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

/// Maximum memory of an xz decoder, in KiB: of each, and of the one that may be large. `xz -8` needs 33 MiB, `xz -9` 65
/// MiB.
const XZ_MEMORY: [u32; 2] = [40 << 10, 128 << 10];
/// Maximum window of a zstd decoder, as a power of two: of each, and of the one that may be large. 32 MiB is the maximum of
/// Go's encoder, and thus of BuildKit, containerd and Podman; 128 MiB is what the `zstd` command accepts by default. RFC
/// 8878 asks decoders to support 8 MiB.
const ZSTD_WINDOW_LOG: [u32; 2] = [25, 27];

/// Held while decompressing a stream that takes a lot of memory.
static LARGE: Mutex<()> = Mutex::new(());

/// Waits until no other large stream ([`Compression::is_large`]) is being decompressed.
pub fn wait_for_memory() -> MutexGuard<'static, ()> {
    LARGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952, one member or several (eStargz).
    Gzip,
    /// RFC 8878, one frame or several, skippable ones included (zstd:chunked).
    Zstd,
    /// The .xz file format, one stream or several. Docker and Podman accept it for layers.
    Xz,
    /// bzip2, one stream or several. Docker and Podman accept it for layers.
    Bzip2,
}

impl Compression {
    /// Detects the compression from a blob's first bytes; `None` if it is neither compressed nor a tar.
    pub fn sniff(head: &[u8]) -> Option<Compression> {
        let skippable =
            |head: &[u8]| head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18];
        match head {
            // A tar begins with a file's name, which may look like anything.
            head if has_tar_checksum(head) => Some(Compression::None),
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            head if skippable(head) => Some(Compression::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if begins_bzip2_block(rest) => {
                Some(Compression::Bzip2)
            }
            head if looks_like_tar(head) => Some(Compression::None),
            _ => None,
        }
    }

    /// What a media type claims.
    pub fn of_media_type(media_type: &str) -> Compression {
        match media_type {
            packed if packed.ends_with("gzip") => Compression::Gzip,
            packed if packed.ends_with("zstd") => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// Whether decompressing a stream with these first bytes may take a hundred megabytes, however short it is: see
    /// [`wait_for_memory`].
    pub fn is_large(self, head: &[u8]) -> bool {
        match self {
            Compression::None | Compression::Gzip | Compression::Bzip2 => false,
            Compression::Xz => true,
            Compression::Zstd => zstd_window(head).is_none_or(|window| window > 1 << ZSTD_WINDOW_LOG[0]),
        }
    }

    /// Decompresses `input`. `may_be_large` if no other large stream is being decompressed. Takes a trait object instead of
    /// a type parameter: the decoders are a lot of code, and would be compiled for each type.
    ///
    /// # Errors
    /// If the decoder cannot be set up.
    pub fn reader<'a>(
        self,
        input: Box<dyn BufRead + Send + 'a>,
        may_be_large: bool,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Compression::None => input,
            Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                // Later frames state their own windows.
                decoder.window_log_max(ZSTD_WINDOW_LOG[usize::from(may_be_large)])?;
                Box::new(decoder)
            }
            Compression::Xz => {
                Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY[usize::from(may_be_large)]))
            }
            Compression::Bzip2 => Box::new(MultiBzDecoder::new(input)),
        })
    }

    /// Its name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Xz => "xz",
            Compression::Bzip2 => "bzip2",
        }
    }
}

/// The window of a frame (RFC 8878, "Frame header"); `None` if its first bytes do not state it.
fn zstd_window(head: &[u8]) -> Option<u64> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = head else { return None };
    if descriptor & 0x20 == 0 {
        let window = 1_u64 << (10 + (rest.first()? >> 3));
        return Some(window + window / 8 * u64::from(rest.first()? & 7));
    }
    // The window of a single segment is as large as the whole content.
    let size = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
    Some(match descriptor >> 6 {
        0 => u64::from(*size.first()?),
        1 => u64::from(u16::from_le_bytes(*size.first_chunk()?)) + 256,
        2 => u64::from(u32::from_le_bytes(*size.first_chunk()?)),
        _ => u64::from_le_bytes(*size.first_chunk()?),
    })
}

/// What follows bzip2's signature: the marker of a block, or of the end if there are no blocks.
fn begins_bzip2_block(rest: &[u8]) -> bool {
    rest.starts_with(b"\x31\x41\x59\x26\x53\x59") || rest.starts_with(b"\x17\x72\x45\x38\x50\x90")
}

/// A tar starts with a header, or, if it is empty, with zeros; engines also accept no bytes at all as an empty one.
fn looks_like_tar(head: &[u8]) -> bool {
    head.is_empty()
        || head.get(257..262) == Some(b"ustar")
        || (head.len() >= 512 && head[..512].iter().all(|byte| *byte == 0))
}

fn has_tar_checksum(head: &[u8]) -> bool {
    let Some(block) = head.get(..512) else { return false };
    let counted = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
    let sum: u32 = block.iter().enumerate().map(counted).sum();
    tar::Header::from_byte_slice(block).cksum().ok() == Some(sum)
}
