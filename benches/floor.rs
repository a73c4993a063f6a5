//! The minimum time for reading an image of compressed layers: decompresses its layers on all cores with the same
//! decoders and discards the result. No tar is read, nothing is counted.
//!
//! `floor FILE`: an OCI layout in a tar, as `skopeo copy ... oci-archive:FILE` writes it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use flate2::bufread::MultiGzDecoder;

const CHUNK: usize = 128 * 1024;

fn main() {
    // `cargo bench` adds its own option.
    let Some(path) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else { return };
    let path = Path::new(&path);
    let mut blobs = packed_blobs(path);
    // The largest is taken first, from the end, so that no core is left alone with it.
    blobs.sort_by_key(|(_, length)| *length);
    let queue = Mutex::new(blobs);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((offset, length)) = { queue.lock().unwrap().pop() } {
                    inflate(path, offset, length);
                }
            });
        }
    });
}

/// The offsets and lengths of the blobs that begin like gzip data.
fn packed_blobs(path: &Path) -> Vec<(u64, u64)> {
    let mut archive = tar::Archive::new(File::open(path).unwrap());
    let mut found = Vec::new();
    for entry in archive.entries_with_seek().unwrap() {
        let mut entry = entry.unwrap();
        let mut head = [0; 2];
        if entry.size() > 2 && entry.read_exact(&mut head).is_ok() && head == [0x1f, 0x8b] {
            found.push((entry.raw_file_position(), entry.size()));
        }
    }
    found
}

fn inflate(path: &Path, offset: u64, length: u64) {
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, file.take(length)));
    io::copy(&mut BufReader::with_capacity(CHUNK, &mut decoder), &mut io::sink()).unwrap();
}
