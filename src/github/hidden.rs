//! Comments that somebody has hidden ("minimized"). The REST API neither shows nor changes that; the GraphQL API does
//! (GitHub GraphQL API, `IssueComment.isMinimized` and `unminimizeComment`).

use serde_json::json;

use super::client::GithubError;
use super::graphql::{Document, Graphql};

const IS_HIDDEN: Document<'_> =
    document("query($id: ID!) { node(id: $id) { __typename ... on IssueComment { isMinimized } } }");
const SHOW: Document<'_> = document(
    "mutation($id: ID!) { unminimizeComment(input: { subjectId: $id }) { unminimizedComment { __typename isMinimized } } }",
);

const fn document(text: &str) -> Document<'_> {
    Document { text, operation: "show the hidden comment again", permission: "pull-requests: write" }
}

impl Graphql {
    /// Shows a comment if it is hidden, and returns whether it was. `node_id` is the comment's GraphQL node ID.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn show(&self, node_id: &str) -> Result<bool, GithubError> {
        let id = json!({ "id": node_id });
        let found = self.ask(IS_HIDDEN, &id).await?.whole(IS_HIDDEN)?;
        if found.pointer("/node/isMinimized") != Some(&json!(true)) {
            return Ok(false);
        }
        self.change(SHOW, &id).await.map(|_| true)
    }
}
