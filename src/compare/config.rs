//! How the settings that containers start with differ.

use serde::{Deserialize, Serialize};

use crate::image::{ContainerSettings, Snapshot};

/// A part of an image's config, named by the instruction that sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum ConfigPart {
    /// The user.
    User,
    /// The working directory.
    Workdir,
    /// Environment variables.
    Env,
    /// The command that is always run.
    Entrypoint,
    /// The command.
    Cmd,
    /// The health check.
    Healthcheck,
    /// The signal that stops the container.
    Stopsignal,
    /// Ports.
    Expose,
    /// Volumes.
    Volume,
    /// Labels.
    Label,
}

/// A part of the config that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConfigChange {
    /// Which one.
    pub part: ConfigPart,
    /// Its text before; null if it had none, and for parts that are lists of names.
    pub base: Option<String>,
    /// Its text now.
    pub head: Option<String>,
    /// The names that are new. Changed values are not detected: values may be secrets, and are not stored.
    pub added: Vec<String>,
    /// The names that were removed.
    pub removed: Vec<String>,
}

/// What differs, if both configs are known.
pub fn config_changes(base: &Snapshot, head: &Snapshot) -> Vec<ConfigChange> {
    let Some((base, head)) = base.config.as_ref().zip(head.config.as_ref()) else { return Vec::new() };
    let texts = |of: &ContainerSettings| {
        let user = if of.user.is_empty() { "root" } else { &of.user };
        let workdir = if of.workdir.is_empty() { "/" } else { &of.workdir };
        let signal = if of.stop_signal.is_empty() { "SIGTERM" } else { &of.stop_signal };
        [
            (ConfigPart::User, Some(user.to_owned())),
            (ConfigPart::Workdir, Some(workdir.to_owned())),
            (ConfigPart::Entrypoint, of.entrypoint.clone()),
            (ConfigPart::Cmd, of.cmd.clone()),
            (ConfigPart::Healthcheck, of.healthcheck.clone()),
            (ConfigPart::Stopsignal, Some(signal.to_owned())),
        ]
    };
    let text = |((part, base), (_, head)): ((ConfigPart, Option<String>), (ConfigPart, Option<String>))| {
        let change = ConfigChange { part, base, head, added: Vec::new(), removed: Vec::new() };
        (change.base != change.head).then_some(change)
    };
    let mut changes: Vec<ConfigChange> = texts(base).into_iter().zip(texts(head)).filter_map(text).collect();
    let beside = |these: &[String], others: &[String]| -> Vec<String> {
        these.iter().filter(|name| !others.contains(name)).cloned().collect()
    };
    for (part, base, head) in [
        (ConfigPart::Env, &base.env, &head.env),
        (ConfigPart::Expose, &base.expose, &head.expose),
        (ConfigPart::Volume, &base.volumes, &head.volumes),
        (ConfigPart::Label, &base.labels, &head.labels),
    ] {
        let (added, removed) = (beside(head, base), beside(base, head));
        if !added.is_empty() || !removed.is_empty() {
            changes.push(ConfigChange { part, base: None, head: None, added, removed });
        }
    }
    changes
}

impl ConfigPart {
    /// The instruction's keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            ConfigPart::User => "USER",
            ConfigPart::Workdir => "WORKDIR",
            ConfigPart::Env => "ENV",
            ConfigPart::Entrypoint => "ENTRYPOINT",
            ConfigPart::Cmd => "CMD",
            ConfigPart::Healthcheck => "HEALTHCHECK",
            ConfigPart::Stopsignal => "STOPSIGNAL",
            ConfigPart::Expose => "EXPOSE",
            ConfigPart::Volume => "VOLUME",
            ConfigPart::Label => "LABEL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_without_values() {
        let with = |settings: ContainerSettings| Snapshot {
            config: Some(settings),
            ..Snapshot::made_up(Vec::new())
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let base = ContainerSettings { env: names(&["A", "PATH"]), ..ContainerSettings::default() };
        let head = ContainerSettings {
            user: "app".into(),
            entrypoint: Some(r#"["/app"]"#.into()),
            env: names(&["B", "PATH"]),
            ..ContainerSettings::default()
        };
        let changes = config_changes(&with(base.clone()), &with(head));
        let parts: Vec<&str> = changes.iter().map(|change| change.part.as_str()).collect();
        assert_eq!(parts, ["USER", "ENTRYPOINT", "ENV"]);
        assert_eq!((changes[0].base.as_deref(), changes[0].head.as_deref()), (Some("root"), Some("app")));
        assert_eq!((&changes[2].added, &changes[2].removed), (&names(&["B"]), &names(&["A"])));
        assert_eq!(config_changes(&with(base), &Snapshot::made_up(Vec::new())), []);
    }
}
