//! The versions of layergate's own documents: `schema` is `KIND/vMAJOR`, and fields that a reader
//! does not know are ignored within a major version.

use serde::Deserialize;

/// Why a document cannot be read as the requested kind.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Not JSON, or only the beginning of it.
    #[error("not a {kind} document: it is incomplete or not JSON ({error})")]
    Broken {
        /// The kind that was asked for.
        kind: &'static str,
        /// The parser's message.
        error: String,
    },
    /// No `schema` field.
    #[error("not a {kind} document: it has no `schema` field")]
    Missing {
        /// The kind that was asked for.
        kind: &'static str,
    },
    /// Another kind of document.
    #[error("this is a `{found}` document, not a `{kind}`")]
    Other {
        /// The kind that was asked for.
        kind: &'static str,
        /// What the document claims to be.
        found: String,
    },
    /// The same kind, written by a newer version.
    #[error(
        "`{found}` was written by a newer layergate, and this one reads up to {kind}/v{supported}; upgrade layergate"
    )]
    Newer {
        /// The kind that was asked for.
        kind: &'static str,
        /// What the document claims to be.
        found: String,
        /// The newest major version that this program reads.
        supported: u32,
    },
}

#[derive(Deserialize)]
struct SchemaHeader {
    schema: String,
}

/// Whether a JSON document claims to be one of layergate's.
pub fn is_ours(json: &[u8]) -> bool {
    serde_json::from_slice(json).is_ok_and(|head: SchemaHeader| head.schema.starts_with("layergate."))
}

/// Checks a document's `schema` before anything else in it is trusted.
///
/// # Errors
/// [`SchemaError`] if the document is not `kind` in a version up to `supported`.
pub fn check(json: &[u8], kind: &'static str, supported: u32) -> Result<(), SchemaError> {
    let head: SchemaHeader = serde_json::from_slice(json).map_err(|error| match error.is_data() {
        true => SchemaError::Missing { kind },
        false => SchemaError::Broken { kind, error: error.to_string() },
    })?;
    let found: String = head.schema.chars().take(100).collect();
    match found.split_once("/v") {
        Some((name, version)) if name == kind => match version.parse::<u32>() {
            Ok(version) if (1..=supported).contains(&version) => Ok(()),
            Ok(version) if version > supported => Err(SchemaError::Newer { kind, found, supported }),
            _ => Err(SchemaError::Other { kind, found }),
        },
        _ => Err(SchemaError::Other { kind, found }),
    }
}
