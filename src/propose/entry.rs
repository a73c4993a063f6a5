//! What a container of the image runs when it starts: that has to be kept, whatever it looks like.

use std::collections::BTreeSet;

use super::context::BuildContext;
use super::tree::{PathKind, is_inside, name_of, parent_of};
use super::{NoProposal, context::Maker};
use crate::image::LayerPath;

/// The words of an image's start commands and health check.
pub(super) struct StartCommands {
    words: Vec<String>,
    /// The nodes that they name: a directory includes everything below.
    pub named: BTreeSet<usize>,
    /// Python environments that programs are started from: they may be in places that otherwise hold only caches.
    environments: Vec<Vec<u8>>,
}

/// Where tools that also start programs store the environments that they create.
const MANAGED: &[(&str, &[u8])] =
    &[("pipenv", b".local/share/virtualenvs"), ("poetry", b".cache/pypoetry/virtualenvs")];

/// Programs that build what they start.
const BUILD_AND_START: &[(&str, &[&str])] = &[
    ("go", &["run"]),
    ("cargo", &["run", "watch"]),
    ("mvn", &[]),
    ("mvnw", &[]),
    ("gradle", &[]),
    ("gradlew", &[]),
    ("sbt", &[]),
    ("make", &[]),
    ("lein", &[]),
];

impl StartCommands {
    pub fn of(context: &BuildContext<'_>) -> Result<StartCommands, NoProposal> {
        let last = |keyword: &str| context.steps.iter().rfind(|step| step.instruction.keyword == keyword);
        let mut words = Vec::new();
        for step in ["ENTRYPOINT", "CMD", "HEALTHCHECK"].into_iter().filter_map(last) {
            let own = words_of(&step.instruction.arguments);
            if step.instruction.keyword != "HEALTHCHECK" && builds(&own) {
                let tool = own.iter().take(2).cloned().collect::<Vec<_>>().join(" ");
                return Err(NoProposal::StartsByBuilding { line: step.instruction.line, tool });
            }
            words.extend(own);
        }
        let directory = context.directory_after(context.steps.len()).unwrap_or_else(|| "/".to_owned());
        let named: BTreeSet<usize> =
            words.iter().flat_map(|word| places_of(word, &directory, context)).collect();
        let environments = named.iter().filter_map(|node| environment_of(*node, context)).collect();
        Ok(StartCommands { words, named, environments })
    }

    /// Whether a path is in an environment that is used.
    pub fn is_in_environment(&self, path: &[u8]) -> bool {
        let holds = |place: &[u8]| path.windows(place.len()).any(|window| window == place);
        self.environments.iter().any(|environment| is_inside(path, environment))
            || MANAGED.iter().any(|(tool, place)| self.calls(tool) && holds(place))
    }

    /// Whether a program is called by name.
    pub fn calls(&self, program: &str) -> bool {
        self.words.iter().any(|word| name_of(word.as_bytes()) == program.as_bytes())
    }

    /// Whether any command was found.
    pub fn is_known(&self) -> bool {
        !self.words.is_empty()
    }

    /// The first word: the program.
    pub fn program(&self) -> Option<&str> {
        self.words.first().map(String::as_str)
    }
}

/// The Python environment that contains this program.
fn environment_of(node: usize, context: &BuildContext<'_>) -> Option<Vec<u8>> {
    let environment = parent_of(parent_of(context.tree.nodes[node].path));
    let marker = [environment, b"/pyvenv.cfg"].concat();
    (!environment.is_empty() && context.tree.find(&marker).is_some()).then(|| environment.to_vec())
}

/// All words of a command, including those inside a script, `a:b` and `--a=b`.
fn words_of(arguments: &str) -> Vec<String> {
    let whole: Vec<String> = serde_json::from_str(arguments)
        .unwrap_or_else(|_| arguments.split_whitespace().map(str::to_owned).collect());
    let parts =
        whole.iter().flat_map(|word| word.split(|c: char| c.is_whitespace() || "'\"`;&|()".contains(c)));
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn builds(words: &[String]) -> bool {
    let Some(program) = words.iter().find(|word| !matches!(word.as_str(), "exec" | "sh" | "bash" | "-c"))
    else {
        return false;
    };
    let name = program.rsplit('/').next().unwrap_or(program);
    BUILD_AND_START.iter().any(|(tool, phrases)| {
        *tool == name && (phrases.is_empty() || words.iter().any(|word| phrases.contains(&word.as_str())))
    })
}

/// The nodes that a word names and that the builder made.
fn places_of(word: &str, directory: &str, context: &BuildContext<'_>) -> Vec<usize> {
    let parts = word.split([':', '=', ',']).filter(|part| !part.is_empty() && !part.starts_with('-'));
    let mut places = Vec::new();
    for part in parts {
        let part = part.trim_end_matches("/*");
        let absolute = if part.starts_with('/') { part.to_owned() } else { format!("{directory}/{part}") };
        let path = LayerPath::clean(absolute.as_bytes());
        // The working directory does not tell what is read there.
        let is_above = is_inside(LayerPath::clean(directory.as_bytes()).as_bytes(), path.as_bytes());
        places.extend(context.tree.find(path.as_bytes()).filter(|_| !is_above));
        if !part.contains('/') {
            places.extend(programs(part, context));
        }
    }
    places.retain(|place| matches!(context.maker(context.tree.nodes[*place].layer), Maker::Builder(_)));
    places
}

/// All programs with this name.
fn programs<'s>(name: &'s str, context: &'s BuildContext<'_>) -> impl Iterator<Item = usize> + 's {
    let is_program = move |(_, node): &(usize, &super::tree::TreeNode<'_>)| {
        matches!(node.what, PathKind::File(_) | PathKind::Symlink)
            && name_of(node.path) == name.as_bytes()
            && matches!(name_of(parent_of(node.path)), b"bin" | b"sbin" | b".bin")
    };
    context.tree.nodes.iter().enumerate().filter(is_program).map(|(index, _)| index)
}
