//! What the packages of a whole image may take. A layer has bounds of its own, and there may be many layers.

use std::fmt;

/// What reading packages costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackageCost {
    /// Packages.
    pub declared: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes that are looked at.
    pub work: u64,
}

/// The room that one layer has in its image.
pub trait ImageRoom: fmt::Debug + Send + Sync {
    /// Spends what something costs. `false` where the image has no room for it, and so for no packages at all: which
    /// layer came too late depends on the order in which they are read.
    fn spend(&self, cost: PackageCost) -> bool;

    /// What work is left.
    fn left(&self) -> u64;
}

/// The room of what is read by itself: the layer's own bounds hold.
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

/// Spends the room of a layer in its image, some at a time: counters that all cores write to are slow.
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

    /// Counts a cost. `false` where the image has no room for packages.
    pub fn spend(&mut self, cost: PackageCost) -> bool {
        self.pending.declared += cost.declared;
        self.pending.memory = self.pending.memory.saturating_add(cost.memory);
        self.pending.work = self.pending.work.saturating_add(cost.work);
        match self.pending.memory.max(self.pending.work) > AT_ONCE {
            true => self.settle(),
            false => !self.is_over,
        }
    }

    /// Spends what has come together.
    pub fn settle(&mut self) -> bool {
        let cost = std::mem::take(&mut self.pending);
        self.is_over |= !self.room.spend(cost);
        !self.is_over
    }

    /// The work that is left, all that was counted taken off.
    pub fn left(&mut self) -> u64 {
        if self.settle() { self.room.left() } else { 0 }
    }
}
