//! The kind of server that a run is on. Gitea and Forgejo run workflows written for GitHub and set its variables; their
//! API has the same paths for comments and pull requests, but less than half of the rest (their sources,
//! `routers/api/v1/api.go`).

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forge {
    /// GitHub, or GitHub Enterprise Server.
    Github,
    /// Gitea: no Git database that can be written, no check runs, no GraphQL.
    Gitea,
    /// Forgejo, with the same limits as Gitea.
    Forgejo,
}

impl Forge {
    /// From the variables that runners of both set (`GITEA_ACTIONS`; Forgejo also `FORGEJO_ACTIONS`); `None` if the run
    /// is on neither.
    pub fn of_runner(variable: impl Fn(&str) -> Option<String>) -> Option<Forge> {
        let is_set = |name: &str| variable(name).as_deref() == Some("true");
        match (is_set("FORGEJO_ACTIONS"), is_set("GITEA_ACTIONS")) {
            (true, _) => Some(Forge::Forgejo),
            (false, true) => Some(Forge::Gitea),
            (false, false) => None,
        }
    }

    /// From the address of the API, which ends with a version of the server's own; `runner` tells Gitea from Forgejo.
    pub fn of_api(api: &str, runner: Option<Forge>) -> Forge {
        match api.trim_end_matches('/').ends_with("/api/v1") {
            true => runner.unwrap_or(Forge::Gitea),
            false => Forge::Github,
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Forge::Github => "GitHub",
            Forge::Gitea => "Gitea",
            Forge::Forgejo => "Forgejo",
        }
    }

    /// The login that comments of a run's token are written under.
    pub fn actions_login(self) -> &'static str {
        match self {
            Forge::Github => "github-actions[bot]",
            Forge::Gitea => "gitea-actions",
            Forge::Forgejo => "forgejo-actions",
        }
    }
}
