//! Limits how much is read at once, over all images of a run: a decoder may hold a hundred megabytes, and more threads
//! than cores speed up downloads only.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// How many layers are fetched at once, and how many images are started, even on fewer cores.
const LEAST: usize = 4;

/// How many threads read layers at once, of one image or of several.
pub fn at_once() -> usize {
    cores().max(LEAST)
}

/// How many cores this program may use.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The turns of one run. Clones share them.
#[derive(Debug, Clone)]
pub struct Turns {
    left: Arc<(Mutex<usize>, Condvar)>,
}

/// Takes one turn away while it lives.
pub(super) struct Turn<'a>(&'a Turns);

impl Default for Turns {
    fn default() -> Turns {
        Turns { left: Arc::new((Mutex::new(at_once()), Condvar::new())) }
    }
}

impl Turns {
    /// Waits for a turn. A thread that has one must not wait for another.
    pub(super) fn take(&self) -> Turn<'_> {
        let (left, changed) = &*self.left;
        if let Ok(left) = left.lock()
            && let Ok(mut left) = changed.wait_while(left, |left| *left == 0)
        {
            *left -= 1;
        }
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let (left, changed) = &*self.0.left;
        if let Ok(mut left) = left.lock() {
            *left += 1;
        }
        changed.notify_one();
    }
}
