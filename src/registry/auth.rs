//! Registry authentication: Basic with each request, or a bearer token obtained with it (distribution's "Token
//! Authentication").

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use http_auth::{ChallengeRef, parse_challenges};
use reqwest::Url;
use serde::Deserialize;

use crate::redact;

/// The authorization sent with each request, and what it allows.
#[derive(Default)]
pub struct Access {
    /// The header; `None` until the registry asks for one.
    pub header: Option<HeaderValue>,
    /// The actions to request a token for: pull, push or delete.
    pub actions: BTreeSet<String>,
}

/// The authentication that a registry requires.
#[derive(Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User name and password.
    Basic,
    /// A token.
    Token {
        /// The token service.
        realm: Url,
        /// The `service` to request it for, if the registry states one.
        service: Option<String>,
        /// The actions that it must allow in the repository, if the registry says so.
        actions: BTreeSet<String>,
    },
}

/// The answer of a token service.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Challenge {
    /// Reads which authentication an answer requires for a repository; a token if there is a choice.
    pub fn of(headers: &HeaderMap, repository: &str) -> Option<Challenge> {
        let texts = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|text| text.to_str().ok());
        let all: Vec<ChallengeRef> = texts.filter_map(|text| parse_challenges(text).ok()).flatten().collect();
        let of_scheme = |scheme: &str| all.iter().find(|one| one.scheme.eq_ignore_ascii_case(scheme));
        let Some(bearer) = of_scheme("bearer") else { return of_scheme("basic").map(|_| Challenge::Basic) };
        let parameter = |name: &str| {
            let found = bearer.params.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let scopes = parameter("scope").unwrap_or_default();
        let own = scopes.split(' ').filter_map(|scope| {
            scope.strip_prefix("repository:")?.strip_prefix(repository)?.strip_prefix(':')
        });
        Some(Challenge::Token {
            realm: Url::parse(&parameter("realm")?).ok()?,
            service: parameter("service"),
            actions: own.flat_map(|actions| actions.split(',')).map(str::to_owned).collect(),
        })
    }
}

/// User name and password as a header.
pub fn basic((user, password): &(String, String)) -> Option<HeaderValue> {
    let login = STANDARD.encode(format!("{user}:{password}"));
    redact::remember(password);
    redact::remember(&login);
    secret(&format!("Basic {login}"))
}

/// The token in an answer as a header; `None` if it has no valid one.
pub fn bearer(answer: &[u8]) -> Option<HeaderValue> {
    let answer: Token = serde_json::from_slice(answer).ok()?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty())?;
    redact::remember(&token);
    secret(&format!("Bearer {token}"))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_what_the_registry_wants_of_this_repository() {
        let challenge = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, HeaderValue::from_static(text))]);
            Challenge::of(&headers, "team/app")
        };
        let wanted = challenge(
            "Bearer realm=\"https://registry.example/token\",service=\"s\",scope=\"repository:team/app:delete,pull repository:team/ap:push registry:catalog:*\"",
        );
        let realm = Url::parse("https://registry.example/token").unwrap();
        let actions = BTreeSet::from(["delete".to_owned(), "pull".to_owned()]);
        assert_eq!(wanted, Some(Challenge::Token { realm, service: Some("s".into()), actions }));
        assert_eq!(challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        for none in ["", "Bearer service=\"x\"", "Bearer realm=\"x\"", "Negotiate", "=,"] {
            assert_eq!(challenge(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_token_is_never_sent() {
        assert_eq!(bearer(b"{\"token\":\"abc\"}"), Some(HeaderValue::from_static("Bearer abc")));
        assert_eq!(bearer(b"{\"access_token\":\"abc\"}"), Some(HeaderValue::from_static("Bearer abc")));
        for bad in ["{\"token\":\"a\\nb\"}", "{\"token\":7}", "{\"token\":\"\"}", "{}", "x"] {
            assert_eq!(bearer(bad.as_bytes()), None, "{bad}");
        }
    }
}
