//! Which kind of server a run is of. Gitea and Forgejo run workflows that are written for GitHub and set its
//! variables; their API has the same paths for comments and pull requests, and no more than half of the rest (their
//! sources, `routers/api/v1/api.go`).

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forge {
    /// GitHub, or GitHub Enterprise Server.
    Github,
    /// Gitea: no Git database that can be written, no check runs, no GraphQL.
    Gitea,
    /// Forgejo, which is alike.
    Forgejo,
}

impl Forge {
    /// By the variables that runners of both set (`GITEA_ACTIONS`; Forgejo's `FORGEJO_ACTIONS` too); `None` where
    /// the run is of neither.
    pub fn of_runner(variable: impl Fn(&str) -> Option<String>) -> Option<Forge> {
        let is_set = |name: &str| variable(name).as_deref() == Some("true");
        match (is_set("FORGEJO_ACTIONS"), is_set("GITEA_ACTIONS")) {
            (true, _) => Some(Forge::Forgejo),
            (false, true) => Some(Forge::Gitea),
            (false, false) => None,
        }
    }

    /// By the address of the API, whose last part is a version of its own; `runner` says whose run it is.
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

    /// Whose comments the token of a run writes.
    pub fn actions_login(self) -> &'static str {
        match self {
            Forge::Github => "github-actions[bot]",
            Forge::Gitea => "gitea-actions",
            Forge::Forgejo => "forgejo-actions",
        }
    }
}
