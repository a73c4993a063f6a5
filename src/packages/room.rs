//! What the packages of a whole image may cost. A layer has its own safety limits, but there may be many layers.

use std::fmt;

/// What reading packages costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackageCost {
    /// Packages.
    pub declared: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes that are processed.
    pub work: u64,
}

/// One layer's share of its image's room.
pub trait ImageRoom: fmt::Debug + Send + Sync {
    /// Spends a cost. `false` if the image has no room for it, and thus for no packages at all: which layer exceeds the
    /// room depends on the order in which they are read.
    fn spend(&self, cost: PackageCost) -> bool;

    /// How much work is left.
    fn left(&self) -> u64;
}

/// The room for a layer that is read by itself: only the layer's own limits apply.
#[derive(Debug)]
struct Unbounded;

impl ImageRoom for Unbounded {
    fn spend(&self, _: PackageCost) -> bool {
        true
    }

    fn left(&self) -> u64 {
        u64::MAX
    }
}

/// Spends a layer's share of its image's room, some at a time: counters that all cores write to are slow.
#[derive(Debug)]
pub(super) struct LayerSpending {
    room: Box<dyn ImageRoom>,
    pending: PackageCost,
    /// Whether the image has no room for packages.
    pub is_over: bool,
}

/// How much memory and work is spent at once.
const AT_ONCE: u64 = 64 << 10;

impl Default for LayerSpending {
    fn default() -> LayerSpending {
        LayerSpending::new(Box::new(Unbounded))
    }
}

impl LayerSpending {
    pub fn new(room: Box<dyn ImageRoom>) -> LayerSpending {
        LayerSpending { room, pending: PackageCost::default(), is_over: false }
    }

    /// Counts a cost. `false` if the image has no room for packages.
    pub fn spend(&mut self, cost: PackageCost) -> bool {
        self.pending.declared += cost.declared;
        self.pending.memory = self.pending.memory.saturating_add(cost.memory);
        self.pending.work = self.pending.work.saturating_add(cost.work);
        match self.pending.memory.max(self.pending.work) > AT_ONCE {
            true => self.settle(),
            false => !self.is_over,
        }
    }

    /// Spends the pending cost.
    pub fn settle(&mut self) -> bool {
        let cost = std::mem::take(&mut self.pending);
        self.is_over |= !self.room.spend(cost);
        !self.is_over
    }

    /// The remaining work, after everything that was counted.
    pub fn left(&mut self) -> u64 {
        if self.settle() { self.room.left() } else { 0 }
    }
}
