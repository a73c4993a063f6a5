//! Many repositories, as GitHub's GraphQL API shows them.

use serde_json::{Map, Value, json};

use super::fake_git::Repository;

/// The baselines of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baselines {
    /// No such branch.
    None,
    /// A branch without a summary.
    NoSummary,
    /// A summary with this text.
    Text(String),
    /// A summary that is too long for an answer: its Git hash.
    Long(String),
    /// The content that was pushed to the fake's Git repository.
    Pushed,
}

/// One of many repositories.
#[derive(Debug, Clone)]
pub struct FleetRepository {
    pub owner: String,
    pub name: String,
    /// Its former name.
    pub before: Option<String>,
    pub archived: bool,
    pub fork: bool,
    /// Whether the token may see it.
    pub visible: bool,
    pub baselines: Baselines,
    /// Whether GitHub fails to look up its baselines.
    pub broken: bool,
    /// The files in its root; `None` if it is empty.
    pub root: Option<Vec<&'static str>>,
    /// The files in `docker/`, if that directory exists.
    pub docker: Option<Vec<&'static str>>,
}

impl FleetRepository {
    pub fn new(owner: &str, name: &str) -> FleetRepository {
        FleetRepository {
            owner: owner.into(),
            name: name.into(),
            before: None,
            archived: false,
            fork: false,
            visible: true,
            baselines: Baselines::None,
            broken: false,
            root: Some(vec!["README.md", "src/"]),
            docker: None,
        }
    }

    fn seen(&self, asked: &Value, git: &Repository) -> Value {
        let [reference, summary] = ["reference", "summary"].map(|name| asked[name].as_str().unwrap());
        assert_eq!(summary, format!("{reference}:summary.json"));
        let blob = |oid: &str, text: Option<&str>| json!({ "__typename": "Blob", "oid": oid, "isTruncated": text.is_none(), "text": text.unwrap_or("{\"sche") });
        let of_text = |text: &str| blob(&"a".repeat(40), Some(text));
        let (has_branch, summary) = match &self.baselines {
            _ if self.broken => (false, Value::Null),
            Baselines::None => (false, Value::Null),
            Baselines::NoSummary => (true, Value::Null),
            Baselines::Text(text) => (true, of_text(text)),
            Baselines::Long(hash) => (true, blob(hash, None)),
            Baselines::Pushed => {
                let text = git.git(&["cat-file", "blob", summary], b"");
                let text = text.map(|text| String::from_utf8(text).unwrap());
                (
                    git.line(&["rev-parse", "--verify", "--quiet", reference]).is_some(),
                    text.map_or(Value::Null, |text| of_text(&text)),
                )
            }
        };
        json!({
            "nameWithOwner": format!("{}/{}", self.owner, self.name),
            "url": format!("https://github.example/{}/{}", self.owner, self.name),
            "isArchived": self.archived,
            "isFork": self.fork,
            "baselines": has_branch.then(|| json!({ "__typename": "Ref" })),
            "summary": summary,
            "root": tree(self.root.as_deref()),
            "docker": tree(self.docker.as_deref()),
        })
    }
}

fn tree(files: Option<&[&'static str]>) -> Value {
    let Some(files) = files else { return Value::Null };
    let entry = |file: &&str| match file.strip_suffix('/') {
        Some(directory) => json!({ "name": directory, "type": "tree" }),
        None => json!({ "name": file, "type": "blob" }),
    };
    json!({ "__typename": "Tree", "entries": files.iter().map(entry).collect::<Vec<_>>() })
}

/// A page of an owner's repositories.
pub fn of_owner(all: &[FleetRepository], asked: &Value, git: &Repository) -> Value {
    let owner = asked["owner"].as_str().unwrap();
    let own: Vec<&FleetRepository> = all.iter().filter(|one| one.owner == owner && one.visible).collect();
    if !all.iter().any(|one| one.owner == owner) {
        return json!({ "data": { "repositoryOwner": null } });
    }
    let first = usize::try_from(asked["first"].as_u64().unwrap()).unwrap();
    assert!(first <= 100, "GitHub has at most a hundred on a page");
    let from: usize =
        asked["after"].as_str().map_or(0, |cursor| cursor.strip_prefix('c').unwrap().parse().unwrap());
    let to = (from + first).min(own.len());
    let nodes: Vec<Value> = own[from..to].iter().map(|one| one.seen(asked, git)).collect();
    let end = (to > from).then(|| format!("c{to}"));
    let repositories = json!({
        "pageInfo": { "hasNextPage": to < own.len(), "endCursor": end }, "nodes": nodes,
    });
    let owner = json!({ "__typename": "Organization", "repositories": repositories });
    let broken = own[from..to].iter().enumerate().filter(|(_, one)| one.broken);
    let errors = broken
        .map(|(index, _)| failure(json!(["repositoryOwner", "repositories", "nodes", index, "summary"])));
    with_errors(json!({ "repositoryOwner": owner }), errors.collect())
}

fn failure(path: Value) -> Value {
    json!({ "message": "Something went wrong while executing your query.", "path": path })
}

fn with_errors(data: Value, errors: Vec<Value>) -> Value {
    match errors.is_empty() {
        true => json!({ "data": data }),
        false => json!({ "data": data, "errors": errors }),
    }
}

/// The answer if GitHub looks up only this many repositories: the others seem to have no baselines.
pub fn limited(mut answer: Value, most: Option<usize>) -> Value {
    let Some(most) = most else { return answer };
    let data = answer["data"].as_object_mut().unwrap();
    let of_owner = data.contains_key("repositoryOwner");
    let seen: Vec<&mut Value> = match of_owner {
        true => data["repositoryOwner"]["repositories"]["nodes"].as_array_mut().unwrap().iter_mut().collect(),
        false => data.values_mut().collect(),
    };
    if seen.len() > most {
        for one in seen.into_iter().skip(most) {
            one["baselines"] = Value::Null;
            one["summary"] = Value::Null;
        }
        answer["errors"] = json!([{
            "type": "RESOURCE_LIMITS_EXCEEDED", "message": "Resource limits for this query exceeded.",
        }]);
    }
    answer
}

/// Repositories by name; GitHub follows renames.
pub fn named(all: &[FleetRepository], asked: &Value, git: &Repository) -> Value {
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for index in 0.. {
        let Some(owner) = asked[format!("o{index}")].as_str() else { break };
        let name = asked[format!("n{index}")].as_str().unwrap();
        let key = format!("r{index}");
        assert!(index < 100, "GitHub lets nobody ask for so many");
        let is_it = |one: &&FleetRepository| {
            one.owner == owner && one.visible && (one.name == name || one.before.as_deref() == Some(name))
        };
        match all.iter().find(is_it) {
            Some(found) => {
                errors.extend(found.broken.then(|| failure(json!([key, "summary"]))));
                data.insert(key, found.seen(asked, git));
            }
            None => {
                errors.push(json!({
                    "type": "NOT_FOUND", "path": [key], "locations": [{ "line": 1, "column": 60 }],
                    "message": format!("Could not resolve to a Repository with the name '{owner}/{name}'."),
                }));
                data.insert(key, Value::Null);
            }
        }
    }
    with_errors(Value::Object(data), errors)
}
