//! Comments that somebody has hidden, or "minimized". The REST API neither tells nor changes that; the GraphQL API
//! does (GitHub GraphQL API, `IssueComment.isMinimized` and `unminimizeComment`).

use http::Method;
use serde_json::{Value, json};

use super::client::{ApiRequest, Client, GithubError};

const OPERATION: &str = "show the hidden comment again";
const PERMISSION: &str = "pull-requests: write";
const IS_HIDDEN: &str =
    "query($id: ID!) { node(id: $id) { __typename ... on IssueComment { isMinimized } } }";
const SHOW: &str = "mutation($id: ID!) { unminimizeComment(input: { subjectId: $id }) { unminimizedComment { __typename isMinimized } } }";

/// GitHub's GraphQL API.
pub struct Graphql {
    client: Client,
    path: String,
}

impl Graphql {
    /// The API at an address, such as `https://api.github.com/graphql`.
    ///
    /// # Errors
    /// [`GithubError::Network`] where the address or the token cannot be used.
    pub fn new(address: &str, token: &str) -> Result<Graphql, GithubError> {
        let address = address.trim_end_matches('/');
        let (base, last) = address.rsplit_once('/').unwrap_or((address, ""));
        Ok(Graphql { client: Client::new(base, token)?, path: format!("/{last}") })
    }

    /// Shows a comment that is hidden; whether it was. `node_id` is the comment's name in this API.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn show(&self, node_id: &str) -> Result<bool, GithubError> {
        let found = self.client.ask(&self.request(IS_HIDDEN, node_id)).await?;
        let found = data(&found)?;
        if found.pointer("/node/isMinimized") != Some(&json!(true)) {
            return Ok(false);
        }
        let shown = self.client.send(&self.request(SHOW, node_id)).await?;
        data(&shown).map(|_| true)
    }

    fn request(&self, query: &str, node_id: &str) -> ApiRequest<'static> {
        let body = json!({ "query": query, "variables": { "id": node_id } });
        let (path, operation) = (self.path.clone(), OPERATION);
        ApiRequest { method: Method::POST, path, body: Some(body), operation, permission: PERMISSION }
    }
}

/// What an answer has; one that has errors is a 200 too (GraphQL specification, "Response format").
fn data(answer: &Value) -> Result<&Value, GithubError> {
    let error = answer.pointer("/errors/0");
    let text = |name: &str| error.and_then(|error| error.get(name)?.as_str()).unwrap_or_default();
    match (answer.get("data"), error) {
        (Some(data), None) => Ok(data),
        _ => {
            let said: String = text("message").chars().filter(|c| !c.is_control()).take(300).collect();
            let message = if said.is_empty() { "it has neither data nor a reason".into() } else { said };
            let operation = OPERATION.to_owned();
            Err(match text("type") {
                "FORBIDDEN" | "INSUFFICIENT_SCOPES" => {
                    GithubError::Permission { operation, status: 200, message, permission: PERMISSION }
                }
                _ => GithubError::Status { operation, status: 200, message },
            })
        }
    }
}
