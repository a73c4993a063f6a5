//! Settings as they are written, before they mean anything.

use std::collections::BTreeMap;

/// A setting that cannot be used: which, where it stands, and what to write.
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
    /// Where it stands: `layergate.toml:4`, `--max-size`.
    pub origin: String,
}

/// Values by their keys. A later layer of settings replaces what an earlier one says.
pub type Settings = BTreeMap<String, Setting>;
