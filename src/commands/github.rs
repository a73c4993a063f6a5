//! Which repository on GitHub is meant, and by what token.

use super::{UsageError, set_variable};
use crate::cli::GithubFlags;
use crate::github::{Client, Context, GithubError, Repository};

/// The API's address where nobody says otherwise.
const PUBLIC_API: &str = "https://api.github.com";

/// A repository, as addresses have it.
type OwnerAndName<'a> = (&'a str, &'a str);

/// The token, where there is one.
pub fn token(flags: &GithubFlags) -> Option<String> {
    flags.github_token.clone().or_else(|| set_variable("GITHUB_TOKEN"))
}

/// The address of the API.
pub fn api(flags: &GithubFlags) -> String {
    let api = flags.github_api_url.clone().or_else(|| set_variable("GITHUB_API_URL"));
    api.unwrap_or_else(|| PUBLIC_API.into())
}

/// The repository whose branch is the store.
///
/// # Errors
/// [`UsageError`] where nothing says which it is, or there is no token.
pub fn of_store(flags: &GithubFlags) -> anyhow::Result<Repository> {
    let named = flags.github_repository.clone().or_else(|| set_variable("GITHUB_REPOSITORY"));
    let Some(named) = named else {
        let message = "a git: store is a branch of a repository on GitHub, and nothing says of which; pass --github-repository OWNER/NAME";
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
    Ok(Repository::new(Client::new(&api(flags), &token)?, owner, name))
}

/// A client, with the owner and the name of the repository that the run is of; `None` where that or a token is
/// not known.
///
/// # Errors
/// [`GithubError`] where the address or the token cannot be used.
pub fn of_run<'a>(
    flags: &GithubFlags,
    context: &'a Context,
) -> Result<Option<(Client, OwnerAndName<'a>)>, GithubError> {
    let (Some((owner, name)), Some(token)) = (&context.repository, token(flags)) else { return Ok(None) };
    Ok(Some((Client::new(&api(flags), &token)?, (owner, name))))
}
