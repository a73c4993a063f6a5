//! What a registry could not do, for people, and whether it is worth another try.

use std::time::Duration;

/// What a registry could not do.
#[derive(Debug, thiserror::Error)]
#[error("the registry could not {operation}: {error}; {hint}")]
pub struct ArtifactError {
    /// What was asked of it.
    pub operation: &'static str,
    /// Where it went wrong.
    pub cause: RequestFailure,
    /// Its answer, or why there is none.
    pub error: String,
    /// What to do.
    pub hint: String,
    /// How long the registry asks to wait before it is asked again.
    pub wait: Option<Duration>,
}

/// Where a request went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFailure {
    /// On the way; it may be worth another try.
    Way {
        /// Whether there was a connection at all.
        connected: bool,
    },
    /// It took too long; it would the next time.
    Time,
    /// The registry answered with this status.
    Status(u16),
    /// The registry's answer is not what it has to be.
    Answer,
}

impl ArtifactError {
    /// The status of the registry's answer, where that is what went wrong.
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            RequestFailure::Status(status) => Some(status),
            RequestFailure::Way { .. } | RequestFailure::Time | RequestFailure::Answer => None,
        }
    }

    /// Whether it may be well the next time.
    pub(super) fn is_passing(&self) -> bool {
        match self.cause {
            // A server that is not there will not be there in a second either.
            RequestFailure::Way { connected } => connected,
            // Digests are computed here, so it is the registry that has met a file half written for another.
            RequestFailure::Status(400) => self.error.contains("DIGEST_INVALID"),
            RequestFailure::Status(status) => matches!(status, 429 | 500..=599),
            RequestFailure::Time | RequestFailure::Answer => false,
        }
    }
}

/// The text of an error with its causes: of a failed request, the library's own names addresses only.
pub fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
