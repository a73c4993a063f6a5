//! GitHub's GraphQL API: one address, documents with variables, and answers that may have data and errors at once
//! (GraphQL specification, "Response format").

use http::Method;
use serde_json::{Value, json};

use super::client::{ApiRequest, Client, GithubError};

/// GitHub's GraphQL API.
pub struct Graphql {
    client: Client,
    path: String,
}

/// A query or mutation, and how to describe it in messages.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    /// Its text.
    pub text: &'a str,
    /// What it does, in words that follow "cannot".
    pub operation: &'a str,
    /// The permission that it needs.
    pub permission: &'static str,
}

/// The content of an answer.
#[derive(Debug)]
pub struct GraphqlAnswer {
    /// The requested data; null if not available.
    pub data: Value,
    /// Why parts are not available.
    pub errors: Vec<GraphqlError>,
}

/// Why a part of the requested data is not available.
#[derive(Debug)]
pub struct GraphqlError {
    /// Its kind, such as `NOT_FOUND`; empty if GitHub gives none.
    pub kind: String,
    /// GitHub's own words.
    pub message: String,
    /// The names and indices that lead to the part, outermost first.
    pub path: Vec<String>,
}

impl Graphql {
    /// The API at an address, such as `https://api.github.com/graphql`.
    ///
    /// # Errors
    /// [`GithubError::Network`] if the address or the token cannot be used.
    pub fn new(address: &str, token: &str) -> Result<Graphql, GithubError> {
        let address = address.trim_end_matches('/');
        let (base, last) = address.rsplit_once('/').unwrap_or((address, ""));
        Ok(Graphql { client: Client::new(base, token)?, path: format!("/{last}") })
    }

    /// Runs a query. Errors beside data are part of the answer.
    ///
    /// # Errors
    /// [`GithubError`], also for an answer without data.
    pub async fn ask(&self, document: Document<'_>, variables: &Value) -> Result<GraphqlAnswer, GithubError> {
        answer(self.client.ask(&self.request(document, variables)).await?, document)
    }

    /// Runs a mutation.
    ///
    /// # Errors
    /// [`GithubError`], also for an answer with any error.
    pub async fn change(&self, document: Document<'_>, variables: &Value) -> Result<Value, GithubError> {
        let changed = self.client.send(&self.request(document, variables)).await?;
        answer(changed, document)?.whole(document)
    }

    fn request<'a>(&self, document: Document<'a>, variables: &Value) -> ApiRequest<'a> {
        let Document { text, operation, permission } = document;
        let body = json!({ "query": text, "variables": variables });
        ApiRequest { method: Method::POST, path: self.path.clone(), body: Some(body), operation, permission }
    }
}

impl GraphqlAnswer {
    /// The data, if there are no errors.
    ///
    /// # Errors
    /// The first error.
    pub fn whole(self, document: Document<'_>) -> Result<Value, GithubError> {
        match self.errors.into_iter().next() {
            None => Ok(self.data),
            Some(error) => Err(error.refusal(document)),
        }
    }
}

impl GraphqlError {
    fn of(error: &Value) -> GraphqlError {
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect();
        let part = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
        let path = error.get("path").and_then(Value::as_array).into_iter().flatten().map(part).collect();
        GraphqlError { kind: plain(text("type")), message: plain(text("message")), path }
    }

    fn refusal(self, Document { operation, permission, .. }: Document<'_>) -> GithubError {
        let operation = operation.to_owned();
        let message = Some(self.message).filter(|message| !message.is_empty());
        let message = message.unwrap_or_else(|| "the answer has neither data nor an error".into());
        match self.kind.as_str() {
            "FORBIDDEN" | "INSUFFICIENT_SCOPES" => {
                GithubError::Permission { operation, status: 200, message, permission }
            }
            _ => GithubError::Status { operation, status: 200, message },
        }
    }
}

/// The content of an answer; one with errors is a 200 too.
fn answer(answer: Value, document: Document<'_>) -> Result<GraphqlAnswer, GithubError> {
    let errors = answer.get("errors").and_then(Value::as_array).into_iter().flatten();
    let errors: Vec<GraphqlError> = errors.map(GraphqlError::of).collect();
    // Fields that are null here may still exist (GitHub GraphQL API, "Resource limits").
    if errors.iter().any(|error| error.kind == "RESOURCE_LIMITS_EXCEEDED") {
        return Err(GithubError::TooMuch { operation: document.operation.to_owned() });
    }
    match answer.get("data").filter(|data| !data.is_null()) {
        Some(data) => Ok(GraphqlAnswer { data: data.clone(), errors }),
        None => {
            let error = errors.into_iter().next();
            let error = error.unwrap_or_else(|| GraphqlError::of(&Value::Null));
            Err(error.refusal(document))
        }
    }
}
