//! The settings that containers of an image start with. Of variables and labels only the names are kept, because values
//! may be secrets; commands are redacted.

use serde::{Deserialize, Serialize};

use crate::redact::redact;

/// Maximum names kept of each kind, and maximum characters kept of each text.
const MAX_NAMES: usize = 500;
const MAX_TEXT: usize = 1000;

/// The settings that containers of an image start with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ContainerSettings {
    /// The user, as in the config; empty for root.
    pub user: String,
    /// The working directory; empty for the root.
    pub workdir: String,
    /// The command that is always run, in exec form, redacted; null if there is none.
    pub entrypoint: Option<String>,
    /// The command, or the arguments of the entrypoint, in exec form, redacted; null if there is none.
    pub cmd: Option<String>,
    /// The health check, in exec form, redacted; null if there is none.
    pub healthcheck: Option<String>,
    /// The signal that stops the container; empty for the default.
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
    // Redaction also looks at the text around a value.
    let text = format!("{keyword} {json}");
    let redacted = redact(&text);
    Some(short(redacted.strip_prefix(keyword).unwrap_or(&redacted).trim_start()))
}

/// The names in order, at most `MAX_NAMES`.
pub(super) fn names(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.take(MAX_NAMES).map(|name| short(&name)).collect();
    names.sort();
    names.dedup();
    names
}

/// A text cut to `MAX_TEXT` characters.
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
