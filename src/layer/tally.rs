//! How much of something a stream has spent, and how much of that was free for the whole image.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one stream has spent of something, and how much of that was free.
#[derive(Debug, Default)]
pub(super) struct Tally {
    spent: AtomicU64,
    drawn: AtomicU64,
}

impl Tally {
    /// Spends `count`, of which `earned` in total is paid for; whether the rest can be drawn from `free`. One thread
    /// reads a stream.
    pub(super) fn spend(&self, count: u64, earned: u64, free: &AtomicU64, most: u64) -> bool {
        let spent = self.spent.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        let excess = spent.saturating_sub(earned);
        let more = excess.saturating_sub(self.drawn.fetch_max(excess, Ordering::Relaxed));
        free.fetch_add(more, Ordering::Relaxed) + more <= most
    }

    /// How much more can be spent.
    pub(super) fn left(&self, earned: u64, free: &AtomicU64, most: u64) -> u64 {
        let (spent, drawn) = (self.spent.load(Ordering::Relaxed), self.drawn.load(Ordering::Relaxed));
        let left = most.saturating_sub(free.load(Ordering::Relaxed));
        earned.saturating_add(drawn).saturating_add(left).saturating_sub(spent)
    }
}
