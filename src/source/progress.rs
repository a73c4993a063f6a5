//! Progress of reading images.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Counts of compressed bytes. Shared: the reading side counts, another thread shows.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    read: Arc<AtomicU64>,
    expected: Arc<AtomicU64>,
    way: Arc<Mutex<Option<ReadMethod>>>,
    awaited: Arc<Mutex<Option<&'static str>>>,
}

/// Which of several ways to read an image was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMethod {
    /// What was read, and of what.
    pub what: String,
    /// Why no faster way was taken.
    pub because: Option<String>,
}

impl Progress {
    /// The bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The total bytes to read, if known.
    pub fn expected(&self) -> Option<u64> {
        Some(self.expected.load(Ordering::Relaxed)).filter(|expected| *expected > 0)
    }

    /// Adds bytes that will be read.
    pub fn expect(&self, bytes: u64) {
        self.expected.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Subtracts expected bytes that need not be read after all.
    pub fn expect_less(&self, bytes: u64) {
        self.expected.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Announces what must happen before anything can be read, such as `docker save`.
    pub fn wait_for(&self, what: &'static str) {
        if let Ok(mut awaited) = self.awaited.lock() {
            *awaited = Some(what);
        }
    }

    /// What must happen before anything can be read.
    pub fn awaited(&self) -> Option<&'static str> {
        *self.awaited.lock().ok()?
    }

    /// Records which way was taken.
    pub fn took(&self, what: String, because: Option<String>) {
        if let Ok(mut way) = self.way.lock() {
            *way = Some(ReadMethod { what, because });
        }
    }

    /// The way taken since the last call.
    pub fn way(&self) -> Option<ReadMethod> {
        self.way.lock().ok()?.take()
    }

    /// The counter for the reading side.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }
}
