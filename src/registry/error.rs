//! Registry errors, for people, and whether a retry may help.

use std::time::Duration;

/// A failed registry operation.
#[derive(Debug, thiserror::Error)]
#[error("the registry could not {operation}: {error}; {hint}")]
pub struct ArtifactError {
    /// The operation that was requested.
    pub operation: &'static str,
    /// The kind of failure.
    pub cause: RequestFailure,
    /// Its answer, or why there is none.
    pub error: String,
    /// What to do.
    pub hint: String,
    /// How long the registry asks to wait before the next request.
    pub wait: Option<Duration>,
}

/// The kind of failure of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFailure {
    /// In transit; a retry may help.
    Way {
        /// Whether there was a connection at all.
        connected: bool,
    },
    /// It took too long, and would again.
    Time,
    /// The registry answered with this status.
    Status(u16),
    /// The registry's answer is not valid.
    Answer,
}

impl ArtifactError {
    /// The status of the registry's answer, if that is the failure.
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            RequestFailure::Status(status) => Some(status),
            RequestFailure::Way { .. } | RequestFailure::Time | RequestFailure::Answer => None,
        }
    }

    /// Whether a retry may succeed.
    pub(super) fn is_passing(&self) -> bool {
        match self.cause {
            // A server that is down will not be up in a second either.
            RequestFailure::Way { connected } => connected,
            // Digests are computed here, so the registry itself has met a file half written for another request.
            RequestFailure::Status(400) => self.error.contains("DIGEST_INVALID"),
            RequestFailure::Status(status) => matches!(status, 429 | 500..=599),
            RequestFailure::Time | RequestFailure::Answer => false,
        }
    }
}

/// The text of an error with its causes: for a failed request, the library's own text names only the URL.
pub fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
