//! Many repositories in one request: their names, the summaries on their baseline branches, and their Dockerfiles
//! (GitHub GraphQL API, `RepositoryOwner.repositories` and `Repository.object`).

use std::fmt::Write as _;
use std::slice;

use serde_json::{Map, Value, json};

use super::client::GithubError;
use super::graphql::{Document, Graphql, GraphqlAnswer, GraphqlError};

/// The most repositories requested at once (GitHub GraphQL API, "Node limit"), and the fewest.
pub const MOST: usize = 100;
const FEWEST: usize = 10;

const SEEN: &str = "fragment Seen on Repository { nameWithOwner url isArchived isFork \
baselines: ref(qualifiedName: $reference) { __typename } \
summary: object(expression: $summary) { __typename ... on Blob { oid isTruncated text } } \
root: object(expression: \"HEAD:\") { __typename ... on Tree { entries { name type } } } \
docker: object(expression: \"HEAD:docker\") { __typename ... on Tree { entries { name type } } } }";
const OF_OWNER: &str = "query($owner: String!, $first: Int!, $after: String, $reference: String!, $summary: String!) { \
repositoryOwner(login: $owner) { __typename repositories(first: $first, after: $after, ownerAffiliations: [OWNER], \
orderBy: { field: NAME, direction: ASC }) { pageInfo { hasNextPage endCursor } nodes { ...Seen } } } } ";

/// The file to read, and its branch.
#[derive(Debug, Clone, Copy)]
pub struct SummaryPlace<'a> {
    /// The branch, as `refs/heads/NAME`.
    pub reference: &'a str,
    /// The path of the file.
    pub path: &'a str,
}

/// A repository, as GitHub shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRepository {
    /// `owner/name`, as it is now called.
    pub name: String,
    /// Its page.
    pub url: String,
    /// Whether it is archived.
    pub archived: bool,
    /// Whether it is a fork.
    pub fork: bool,
    /// Whether it has the branch.
    pub has_branch: bool,
    /// The file on that branch.
    pub summary: Option<SummaryFile>,
    /// The files in the root and in `docker/` of the default branch.
    pub files: Vec<String>,
    /// Why a part of this is unknown, if so.
    pub problem: Option<String>,
}

/// A file on a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SummaryFile {
    /// Its text.
    Text(String),
    /// The Git hash of a file that is too long for the answer.
    Long(String),
}

/// A page of an owner's repositories.
#[derive(Debug, Default)]
pub struct RepositoryPage {
    /// The repositories.
    pub seen: Vec<SeenRepository>,
    /// Where the next page begins.
    pub next: Option<String>,
    /// Whether the owner exists.
    pub is_owner: bool,
    /// Errors about some of them.
    pub errors: Vec<String>,
}

impl Graphql {
    /// The next `first` repositories of a user or an organisation, after the previous page.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn repositories_of(
        &self,
        owner: &str,
        after: Option<&str>,
        first: usize,
        place: SummaryPlace<'_>,
    ) -> Result<RepositoryPage, GithubError> {
        let text = format!("{OF_OWNER}{SEEN}");
        let variables = json!({
            "owner": owner, "first": first, "after": after,
            "reference": place.reference, "summary": place.expression(),
        });
        let operation = format!("list the repositories of {owner}");
        let document = Document { text: &text, operation: &operation, permission: "contents: read" };
        let GraphqlAnswer { data, errors } = self.ask(document, &variables).await?;
        let Some(found) = data.pointer("/repositoryOwner/repositories") else {
            let errors = errors.into_iter().map(|error| error.message).collect();
            return Ok(RepositoryPage { errors, ..RepositoryPage::default() });
        };
        let nodes = found["nodes"].as_array().into_iter().flatten().enumerate();
        let (mut seen, mut of_seen) = (Vec::new(), Vec::new());
        for (index, node) in nodes {
            let place = ["repositoryOwner", "repositories", "nodes", &index.to_string()].map(str::to_owned);
            let Some(found) = SeenRepository::of(node, &errors, &place) else { continue };
            seen.push(found);
            of_seen.push(place);
        }
        let is_of_seen = |error: &GraphqlError| of_seen.iter().any(|place| error.path.starts_with(place));
        let has_next = found.pointer("/pageInfo/hasNextPage") == Some(&json!(true));
        let cursor = found.pointer("/pageInfo/endCursor").and_then(Value::as_str).map(str::to_owned);
        Ok(RepositoryPage {
            seen,
            next: cursor.filter(|_| has_next),
            is_owner: true,
            errors: errors
                .into_iter()
                .filter(|error| !is_of_seen(error))
                .map(|error| error.message)
                .collect(),
        })
    }

    /// The given repositories, each as an owner and a name; an error says why one is not visible.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn repositories_named(
        &self,
        names: &[(String, String)],
        place: SummaryPlace<'_>,
    ) -> Result<Vec<Result<SeenRepository, String>>, GithubError> {
        let (mut declared, mut asked, mut variables) = (String::new(), String::new(), Map::new());
        for (index, (owner, name)) in names.iter().enumerate() {
            let _ = write!(declared, ", $o{index}: String!, $n{index}: String!");
            let _ = write!(asked, "r{index}: repository(owner: $o{index}, name: $n{index}) {{ ...Seen }} ");
            variables.insert(format!("o{index}"), json!(owner));
            variables.insert(format!("n{index}"), json!(name));
        }
        variables.insert("reference".into(), json!(place.reference));
        variables.insert("summary".into(), json!(place.expression()));
        let text = format!("query($reference: String!, $summary: String!{declared}) {{ {asked}}} {SEEN}");
        let document =
            Document { text: &text, operation: "read the repositories", permission: "contents: read" };
        let GraphqlAnswer { data, errors } = self.ask(document, &Value::Object(variables)).await?;
        let seen = |index: usize| {
            let key = format!("r{index}");
            let why = || {
                let why = problem(&errors, slice::from_ref(&key));
                why.unwrap_or_else(|| "GitHub does not say why".to_owned())
            };
            SeenRepository::of(&data[&key], &errors, slice::from_ref(&key)).ok_or_else(why)
        };
        Ok((0..names.len()).map(seen).collect())
    }
}

/// How many to request at once if `count` were too many for GitHub; `None` if fewer would not help.
pub fn fewer(error: &GithubError, count: usize) -> Option<usize> {
    // A query that takes too long may also get an answer, without data.
    let is_too_much = error.is_passing()
        || matches!(
            error,
            GithubError::TooLong { .. }
                | GithubError::TooMuch { .. }
                | GithubError::Status { status: 200, .. }
        );
    Some((count / 2).max(FEWEST)).filter(|half| is_too_much && *half < count)
}

impl SummaryPlace<'_> {
    fn expression(self) -> String {
        format!("{}:{}", self.reference, self.path)
    }
}

impl SeenRepository {
    fn of(node: &Value, errors: &[GraphqlError], place: &[String]) -> Option<SeenRepository> {
        let text = |name: &str| node.get(name).and_then(Value::as_str).map(str::to_owned);
        let is = |name: &str| node.get(name) == Some(&json!(true));
        Some(SeenRepository {
            name: text("nameWithOwner")?,
            url: text("url").unwrap_or_default(),
            archived: is("isArchived"),
            fork: is("isFork"),
            has_branch: !node["baselines"].is_null(),
            summary: SummaryFile::of(&node["summary"]),
            files: files(&node["root"], "").chain(files(&node["docker"], "docker/")).collect(),
            problem: problem(errors, place),
        })
    }
}

/// The error for a place in the answer, or below it. An error without a place may concern anything.
fn problem(errors: &[GraphqlError], place: &[String]) -> Option<String> {
    let is_of = |error: &&GraphqlError| error.path.is_empty() || error.path.starts_with(place);
    errors.iter().find(is_of).map(|error| error.message.clone())
}

impl SummaryFile {
    fn of(blob: &Value) -> Option<SummaryFile> {
        let text = |name: &str| blob.get(name).and_then(Value::as_str).map(str::to_owned);
        let hash = text("oid")?;
        let is_whole = blob["isTruncated"] == json!(false);
        Some(text("text").filter(|_| is_whole).map_or(SummaryFile::Long(hash), SummaryFile::Text))
    }
}

/// The files of a tree.
fn files<'a>(tree: &'a Value, directory: &'a str) -> impl Iterator<Item = String> + 'a {
    let entries = tree["entries"].as_array().into_iter().flatten();
    let files = entries.filter(|entry| entry["type"] == "blob");
    files.filter_map(move |entry| Some(format!("{directory}{}", entry["name"].as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_about_what_it_names_and_without_a_name_about_all() {
        let problem_of = |path: &[&str]| {
            let path = path.iter().map(|part| (*part).to_owned()).collect();
            let error = GraphqlError { kind: String::new(), message: "x".into(), path };
            SeenRepository::of(&json!({ "nameWithOwner": "acme/app" }), &[error], &["r1".into()])
                .unwrap()
                .problem
        };
        assert!(problem_of(&["r1", "summary"]).is_some() && problem_of(&[]).is_some());
        assert!(problem_of(&["r2", "summary"]).is_none() && problem_of(&["r11"]).is_none());
    }
}
