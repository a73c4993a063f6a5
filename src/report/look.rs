//! The width of a report, and how it shows sizes.

use crate::image::{Bytes, Delta};

/// How sizes are shown; a table never mixes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sizes {
    /// Three significant digits: `57.8 MB`.
    #[default]
    Rounded,
    /// To the byte: `57,812,345 B`.
    Exact,
}

impl Sizes {
    /// The choice for `--bytes`.
    pub fn of_flag(exact: bool) -> Sizes {
        if exact { Sizes::Exact } else { Sizes::Rounded }
    }

    /// An amount.
    pub fn bytes(self, bytes: Bytes) -> String {
        match self {
            Sizes::Rounded => bytes.to_string(),
            Sizes::Exact => bytes.exact(),
        }
    }

    /// An amount, or the word for unknown.
    pub fn amount(self, bytes: Option<Bytes>) -> String {
        bytes.map_or_else(|| "unknown".into(), |bytes| self.bytes(bytes))
    }

    /// A difference, with its sign.
    pub fn delta(self, delta: Delta) -> String {
        match self {
            Sizes::Rounded => delta.to_string(),
            Sizes::Exact => delta.exact(),
        }
    }

    /// A difference and its share: `+18.4 MB (+7.9%)`.
    pub fn change(self, delta: Delta, base: Bytes) -> String {
        let share = delta.percent_of(base).filter(|_| delta != Delta(0));
        let share = share.map_or_else(String::new, |share| format!(" ({share})"));
        self.delta(delta) + &share
    }
}

/// The layout of a report for a terminal or a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLayout {
    /// The number of columns.
    pub columns: usize,
    /// Whether sentences are wrapped: on a terminal, but not in a log, which people search.
    pub wraps: bool,
    /// How sizes are shown.
    pub sizes: Sizes,
}
