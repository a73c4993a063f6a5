//! Tars made byte by byte, as no archiver would make them.

use std::io::Write as _;

/// A header in which every field can be set wrongly. The checksum is set last.
#[derive(Clone)]
pub struct Head([u8; 512]);

/// A header in POSIX form.
pub fn head(kind: u8, name: impl AsRef<[u8]>, size: u64) -> Head {
    let mut bytes = [0; 512];
    bytes[257..265].copy_from_slice(b"ustar\x0000");
    bytes[156] = kind;
    Head(bytes).put(0, name).put(100, b"0000644\0").put(124, format!("{size:011o}\0"))
}

impl Head {
    /// Writes over the bytes at an offset.
    pub fn put(mut self, at: usize, bytes: impl AsRef<[u8]>) -> Head {
        let bytes = bytes.as_ref();
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The name of the link's target.
    pub fn link(self, target: impl AsRef<[u8]>) -> Head {
        self.put(157, target)
    }

    /// A size in base 256: the twelve bytes of the field.
    pub fn binary_size(self, size: i128) -> Head {
        let mut field: [u8; 12] = size.to_be_bytes()[4..].try_into().unwrap();
        field[0] |= 0x80;
        self.put(124, field)
    }

    /// A header in GNU form.
    pub fn gnu(self) -> Head {
        self.put(257, b"ustar  \0")
    }

    /// A piece of a file in GNU's old sparse format: its index in the map, its offset and length.
    pub fn fragment(self, place: usize, offset: u64, length: u64) -> Head {
        self.put(386 + 24 * place, format!("{offset:011o}\0{length:011o}\0"))
    }

    /// The header's bytes, with a correct checksum.
    pub fn bytes(self) -> Vec<u8> {
        self.with_checksum(i64::from)
    }

    /// The header's bytes, with the checksum that summing each byte by `value` gives.
    pub fn with_checksum(mut self, value: fn(u8) -> i64) -> Vec<u8> {
        self.0[148..156].fill(b' ');
        let sum: i64 = self.0.iter().map(|byte| value(*byte)).sum();
        self.put(148, format!("{sum:06o}\0 ")).0.to_vec()
    }
}

/// Content, padded to whole blocks.
pub fn padded(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut content = content.as_ref().to_vec();
    content.resize(content.len().next_multiple_of(512), 0);
    content
}

/// A header of a kind and name, with content.
pub fn entry(kind: u8, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Vec<u8> {
    let size = content.as_ref().len() as u64;
    [head(kind, name, size).bytes(), padded(content)].concat()
}

/// A regular file of a size in bytes.
pub fn file(name: impl AsRef<[u8]>, size: usize) -> Vec<u8> {
    entry(b'0', name, vec![b'x'; size])
}

/// A directory.
pub fn dir(name: impl AsRef<[u8]>) -> Vec<u8> {
    entry(b'5', name, b"")
}

/// A hard link.
pub fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Vec<u8> {
    head(b'1', name, 0).link(target).bytes()
}

/// A symbolic link.
pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Vec<u8> {
    head(b'2', name, 0).link(target).bytes()
}

/// One record of a PAX header, with its correct length.
pub fn record(key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value.as_ref(), b"\n"].concat();
    let total = |digits: usize| rest.len() + digits;
    let digits = (1..).find(|digits| total(*digits).to_string().len() == *digits).unwrap();
    [total(digits).to_string().as_bytes(), &rest].concat()
}

/// A PAX header of the given records, unchanged.
pub fn pax(records: &[Vec<u8>]) -> Vec<u8> {
    entry(b'x', "PaxHeaders/0", records.concat())
}

/// GNU's header for a long name (`L`) or a long link (`K`).
pub fn long(kind: u8, name: impl AsRef<[u8]>) -> Vec<u8> {
    entry(kind, "././@LongLink", [name.as_ref(), b"\0"].concat())
}

/// The end of an archive.
pub fn end() -> Vec<u8> {
    vec![0; 1024]
}

/// A whole tar: the pieces and an end.
pub fn tar(pieces: &[Vec<u8>]) -> Vec<u8> {
    [pieces.concat(), end()].concat()
}

/// A frame of zstd with a checksum over its content.
pub fn zstd_with_checksum(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A stream of xz.
pub fn xz(content: &[u8]) -> Vec<u8> {
    xz_of_dictionary(content, 4 << 20)
}

/// A stream of xz that needs this many bytes to be unpacked.
pub fn xz_of_dictionary(content: &[u8], bytes: u32) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(3);
    options.lzma_options.dict_size = bytes;
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// A stream of bzip2.
pub fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
