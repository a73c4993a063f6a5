//! `[comment]`: what is worth a new comment. It does not affect the verdict.

use globset::GlobSet;

use super::setting::{ConfigError, Setting, Settings};
use crate::image::Bytes;
use crate::limits::SizeLimit;
use crate::removable::glob_set;

/// The keys of `[comment]`.
pub const COMMENT_KEYS: [&str; 2] = ["min-change", "ignore-paths"];

/// What is worth a new comment.
#[derive(Debug, Clone, Default)]
pub struct CommentRules {
    /// The smallest change that is.
    pub min_change: Option<Bytes>,
    /// Paths whose changes do not count here, and are not listed as causes.
    pub ignored: Option<GlobSet>,
}

impl CommentRules {
    /// Parses settings.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<CommentRules, ConfigError> {
        let failed = |setting: &Setting, error: &dyn std::fmt::Display| ConfigError {
            origin: setting.origin.clone(),
            message: error.to_string(),
        };
        let min_change = settings
            .get("min-change")
            .map(|setting| setting.text.trim().parse::<SizeLimit>().map_err(|error| failed(setting, &error)));
        let ignored = settings.get("ignore-paths").map(|setting| {
            let lines = setting.text.lines().map(|line| line.trim().to_owned());
            let patterns: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
            let set = glob_set(&patterns).map_err(|error| failed(setting, &error))?;
            Ok((!patterns.is_empty()).then_some(set))
        });
        Ok(CommentRules {
            min_change: min_change.transpose()?.map(|limit| limit.bytes),
            ignored: ignored.transpose()?.flatten(),
        })
    }
}
