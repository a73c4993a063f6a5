//! Settings as they are written, before they mean anything.

use std::collections::BTreeMap;

/// An invalid setting: which, where it is, and what to write.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct ConfigError {
    /// A file and line, or a flag.
    pub origin: String,
    /// What is wrong, and what to write.
    pub message: String,
}

/// One value as it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value's text.
    pub text: String,
    /// Where it was written: `layergate.toml:4`, `--max-size`.
    pub origin: String,
}

/// Values by key. A later layer of settings replaces values of an earlier one.
pub type Settings = BTreeMap<String, Setting>;
