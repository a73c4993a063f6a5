//! Which repository on GitHub is meant, and which token is used.

use super::{UsageError, set_variable};
use crate::cli::GithubFlags;
use crate::github::{Client, Context, Forge, GithubError, Repository};

/// The default address of the API.
const PUBLIC_API: &str = "https://api.github.com";

/// A repository, as in URLs.
type OwnerAndName<'a> = (&'a str, &'a str);

/// The token, if any.
pub fn token(flags: &GithubFlags) -> Option<String> {
    flags.github_token.clone().or_else(|| set_variable("GITHUB_TOKEN"))
}

/// The address of the API.
fn api(flags: &GithubFlags) -> String {
    let api = flags.github_api_url.clone().or_else(|| set_variable("GITHUB_API_URL"));
    // GitHub must not receive another server's token.
    let beside = || {
        let server = Forge::of_runner(set_variable).and_then(|_| set_variable("GITHUB_SERVER_URL"))?;
        Some(format!("{}/api/v1", server.trim_end_matches('/')))
    };
    api.or_else(beside).unwrap_or_else(|| PUBLIC_API.into())
}

/// The kind of server that provides the API.
pub fn forge(flags: &GithubFlags) -> Forge {
    Forge::of_api(&api(flags), Forge::of_runner(set_variable))
}

/// A client of the API.
///
/// # Errors
/// [`GithubError`] if the address, the token or a setting in the environment cannot be used.
pub fn client(flags: &GithubFlags, token: &str) -> Result<Client, GithubError> {
    Client::new(&api(flags), token)
}

/// The address of the GraphQL API: from the run, or derived from the API's address (GitHub Enterprise Server has it at
/// `/api/graphql` beside `/api/v3`); `None` if there is none.
pub fn graphql(flags: &GithubFlags) -> Option<String> {
    if forge(flags) != Forge::Github {
        return None;
    }
    // The run states its own server's address, which need not be the named server's.
    let of_run = || set_variable("GITHUB_GRAPHQL_URL").filter(|_| flags.github_api_url.is_none());
    of_run().or_else(|| Some(graphql_beside(&api(flags))))
}

fn graphql_beside(api: &str) -> String {
    let api = api.trim_end_matches('/');
    match api.strip_suffix("/api/v3") {
        Some(server) => format!("{server}/api/graphql"),
        None => format!("{api}/graphql"),
    }
}

/// The repository whose branch is the store.
///
/// # Errors
/// [`UsageError`] if the repository is unknown, there is no token, or the server lacks this API.
pub fn of_store(flags: &GithubFlags) -> anyhow::Result<Repository> {
    if let forge @ (Forge::Gitea | Forge::Forgejo) = forge(flags) {
        return Err(UsageError(format!(
            "--store git: writes Git objects through GitHub's API, which {} does not support; keep baselines in a registry with --store oci:HOST/REPO, or in a directory with --store dir:PATH",
            forge.name()
        ))
        .into());
    }
    let named = flags.github_repository.clone().or_else(|| set_variable("GITHUB_REPOSITORY"));
    let Some(named) = named else {
        let message = "a git: store is a branch of a GitHub repository, and that is unknown; pass --github-repository OWNER/NAME";
        return Err(UsageError(message.into()).into());
    };
    let allowed = |part: &str| {
        !["", ".", ".."].contains(&part)
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let Some((owner, name)) = named.split_once('/').filter(|(owner, name)| allowed(owner) && allowed(name))
    else {
        return Err(UsageError(format!("--github-repository {named}: write OWNER/NAME")).into());
    };
    let Some(token) = token(flags) else {
        let message = "a git: store needs a token; pass `github-token`, or set GITHUB_TOKEN (contents: read to check, contents: write to record)";
        return Err(UsageError(message.into()).into());
    };
    Ok(Repository::new(client(flags, &token)?, owner, name))
}

/// A client, with the owner and name of the run's repository; `None` if that or a token is unknown.
///
/// # Errors
/// [`GithubError`] if the address or the token cannot be used.
pub fn of_run<'a>(
    flags: &GithubFlags,
    context: &'a Context,
) -> Result<Option<(Client, OwnerAndName<'a>)>, GithubError> {
    let (Some((owner, name)), Some(token)) = (&context.repository, token(flags)) else { return Ok(None) };
    Ok(Some((client(flags, &token)?, (owner, name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphql_is_where_each_kind_of_server_has_it() {
        for (api, expected) in [
            ("https://api.github.com", "https://api.github.com/graphql"),
            ("https://api.octo.ghe.com/", "https://api.octo.ghe.com/graphql"),
            ("https://git.example.org/api/v3", "https://git.example.org/api/graphql"),
            ("https://git.example.org/api/v3/", "https://git.example.org/api/graphql"),
        ] {
            assert_eq!(graphql_beside(api), expected, "{api}");
        }
    }
}
