//! What a container of an image is started with, as far as it is kept: of variables and labels the names alone, for
//! their values may be secrets, and of commands the redacted text.

use serde::{Deserialize, Serialize};

use crate::redact::redact;

/// The most names of one kind that are kept, and the most characters of each text.
const MAX_NAMES: usize = 500;
const MAX_TEXT: usize = 1000;

/// What a container of an image is started with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ContainerSettings {
    /// The user, as the config has it; empty for root.
    pub user: String,
    /// The working directory; empty for the root.
    pub workdir: String,
    /// The command that is always run, in exec form, redacted; null where there is none.
    pub entrypoint: Option<String>,
    /// The command, or the arguments of the entrypoint, in exec form, redacted; null where there is none.
    pub cmd: Option<String>,
    /// The health check, in exec form, redacted; null where there is none.
    pub healthcheck: Option<String>,
    /// The signal that stops it; empty for the default.
    pub stop_signal: String,
    /// The names of its environment variables.
    pub env: Vec<String>,
    /// The ports that it exposes.
    pub expose: Vec<String>,
    /// The paths of its volumes.
    pub volumes: Vec<String>,
    /// The names of its labels.
    pub labels: Vec<String>,
}

/// A command in exec form, redacted.
pub(super) fn command(keyword: &str, words: &[String]) -> Option<String> {
    let json = serde_json::to_string(words).ok().filter(|_| !words.is_empty())?;
    // What is a secret is told by what is around it as well.
    let text = format!("{keyword} {json}");
    let redacted = redact(&text);
    Some(short(redacted.strip_prefix(keyword).unwrap_or(&redacted).trim_start()))
}

/// Names in order, as many as are kept.
pub(super) fn names(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.take(MAX_NAMES).map(|name| short(&name)).collect();
    names.sort();
    names.dedup();
    names
}

/// A text, as long as it is kept.
pub(super) fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use crate::image::oci::ContainerConfig;

    #[test]
    fn values_are_not_kept_and_an_odd_config_is_no_error() {
        let config: ContainerConfig = serde_json::from_str(
            r#"{"User":"app","Env":["B=secret","A=1=2","A"],"Cmd":["run","--password","hunter22"],"Entrypoint":7,
            "ExposedPorts":{"80/tcp":{}},"Volumes":null,"Labels":{"x":"value"},"Healthcheck":{"Test":["CMD","true"]}}"#,
        )
        .unwrap();
        let settings = config.settings();
        assert_eq!(settings.env, ["A", "B"]);
        assert_eq!(settings.cmd.as_deref(), Some(r#"["run","--password","***"]"#));
        assert_eq!((settings.entrypoint, settings.user.as_str()), (None, "app"));
        assert_eq!((settings.expose, settings.labels), (vec!["80/tcp".to_owned()], vec!["x".to_owned()]));
        assert_eq!(settings.healthcheck.as_deref(), Some(r#"["CMD","true"]"#));
    }
}
