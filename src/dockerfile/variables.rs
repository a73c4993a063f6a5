//! The variables in force in a build, and what they make of names.

use std::collections::BTreeMap;

use super::ast::{CopyOrigin, Dockerfile, SourceInstruction, StageBase};
use super::expand::{Environment, UNKNOWN, expand_word, split_words};
use crate::tools::fits;

/// The arguments that BuildKit sets itself. Their values depend on where the build runs.
const PLATFORM_ARGUMENTS: [&str; 8] = [
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
];

/// The options that the image was built with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// `--target`: the name or number of a stage. The last stage otherwise.
    pub target: Option<String>,
    /// `--build-arg`, by name.
    pub args: BTreeMap<String, String>,
    /// `--build-context`, by name: what bake and compose also call contexts.
    pub contexts: BTreeMap<String, String>,
}

/// What names mean in all stages.
pub(super) struct Globals<'a> {
    /// The arguments before the first `FROM`, which only `FROM` sees.
    pub arguments: Environment,
    contexts: &'a BTreeMap<String, String>,
}

impl<'a> Globals<'a> {
    pub fn of(file: &Dockerfile, options: &'a BuildOptions) -> Globals<'a> {
        Globals { arguments: global_arguments(file, &options.args), contexts: &options.contexts }
    }

    /// What a named context replaces an image with. It takes precedence over a stage of that name.
    pub fn context(&self, name: &str) -> Option<&str> {
        let name = plain_name(name);
        self.contexts.iter().find(|(own, _)| plain_name(own) == name).map(|(_, value)| value.as_str())
    }
}

/// The name of an image or named context, normalised for comparison.
pub(super) fn plain_name(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name).to_ascii_lowercase()
}

/// The image of a named context; `None` for another target, a directory or a URL.
fn image_of_context(value: &str) -> Option<&str> {
    value.strip_prefix("docker-image://")
}

/// What `--from` refers to in a stage.
pub(super) fn origin_of(file: &Dockerfile, from: &str, before: usize, globals: &Globals<'_>) -> CopyOrigin {
    if let Some(context) = globals.context(from) {
        return CopyOrigin::Image(image_of_context(context).unwrap_or(from).to_owned());
    }
    let number = from.parse().ok().filter(|number| *number < before);
    match file.named(from, before).or(number) {
        Some(stage) => CopyOrigin::Stage(stage),
        None => CopyOrigin::Image(from.to_owned()),
    }
}

fn global_arguments(file: &Dockerfile, given: &BTreeMap<String, String>) -> Environment {
    let mut globals = Environment::default();
    for name in PLATFORM_ARGUMENTS {
        match given.get(name) {
            Some(value) => globals.set(name, value.clone()),
            // Bases that depend on it are chosen between Linux and others that no Linux builder makes.
            None if name == "TARGETOS" => globals.set(name, "linux".into()),
            None => globals.set_unknown(name),
        }
    }
    for (name, default) in file.globals.iter().flat_map(|argument| arguments_of(argument, file.escape)) {
        let value = given.get(&name).cloned();
        if let Some(value) = value.or_else(|| Some(expand_word(&default?, file.escape, &globals))) {
            globals.set(&name, value);
        }
    }
    globals
}

/// `ARG a b=c`.
pub(super) fn arguments_of(instruction: &SourceInstruction, escape: char) -> Vec<(String, Option<String>)> {
    let words = split_words(&instruction.arguments, escape).unwrap_or_default();
    let pair = |word: String| match word.split_once('=') {
        Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
        None => (word, None),
    };
    words.into_iter().map(pair).collect()
}

/// The base of a stage. Only earlier stages count.
pub(super) fn resolve_base(file: &Dockerfile, index: usize, globals: &Globals<'_>) -> StageBase {
    let Some(stage) = file.stages().get(index) else { return StageBase::Unresolved(String::new()) };
    let base = expand_word(&stage.base, file.escape, &globals.arguments);
    if base.is_empty() || base.contains(UNKNOWN) {
        return StageBase::Unresolved(stage.base.clone());
    }
    if let Some(context) = globals.context(&base) {
        let image = image_of_context(context).map(str::to_owned);
        return image.map_or_else(|| StageBase::Unresolved(stage.base.clone()), StageBase::Image);
    }
    match file.named(&base, index) {
        Some(below) => StageBase::Stage(below),
        None if base == "scratch" => StageBase::Scratch,
        None => StageBase::Image(base),
    }
}

/// The stages that `FROM base-$TARGETARCH` may mean: the earlier ones whose names fit the known part of the name.
pub(super) fn possible_bases(file: &Dockerfile, index: usize, globals: &Globals<'_>) -> Vec<usize> {
    let Some(stage) = file.stages().get(index) else { return Vec::new() };
    let base = expand_word(&stage.base, file.escape, &globals.arguments).to_ascii_lowercase();
    let known = base.replace(UNKNOWN, "");
    if known.is_empty() || known == base || base.matches(UNKNOWN).count() > MAX_UNKNOWN {
        return Vec::new();
    }
    let pattern = base.replace(UNKNOWN, "*");
    let earlier = file.stages().iter().take(index);
    let named = earlier.filter_map(|stage| Some((stage.index, stage.name.as_ref()?.to_ascii_lowercase())));
    named.filter(|(_, name)| fits(&pattern, name)).map(|(index, _)| index).collect()
}

/// Maximum unknown parts of a name that is used as a pattern.
const MAX_UNKNOWN: usize = 2;

/// The variables in force between two instructions of a build.
#[derive(Clone)]
pub(super) struct Variables<'a> {
    escape: char,
    options: &'a BuildOptions,
    globals: &'a Globals<'a>,
    pub(super) environment: Environment,
}

impl<'a> Variables<'a> {
    pub(super) fn new(
        file: &Dockerfile,
        options: &'a BuildOptions,
        globals: &'a Globals<'a>,
        base: &StageBase,
    ) -> Variables<'a> {
        let has_base = *base != StageBase::Scratch;
        let mut environment = if has_base { Environment::of_unknown_image() } else { Environment::default() };
        // BuildKit sets a PATH for an image without one.
        environment.set_unknown("PATH");
        Variables { escape: file.escape, options, globals, environment }
    }

    /// Applies an instruction's changes for those after it.
    pub(super) fn apply(&mut self, instruction: &SourceInstruction) {
        match instruction.keyword {
            "ENV" => {
                // All values are from before the instruction (Dockerfile reference).
                let pairs: Vec<(String, String)> = pairs(&instruction.arguments, self.escape)
                    .into_iter()
                    .map(|(name, value)| (self.expand(&name), self.expand(&value)))
                    .collect();
                pairs.into_iter().for_each(|(name, value)| self.environment.set(&name, value));
            }
            "ARG" => {
                for (name, default) in arguments_of(instruction, self.escape) {
                    self.argument(&name, default.as_deref());
                }
            }
            _ => {}
        }
    }

    pub(super) fn expand(&self, word: &str) -> String {
        expand_word(word, self.escape, &self.environment)
    }

    /// Whether the build, or an `ARG` before the first `FROM`, gives an argument a value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.options.args.contains_key(name) || self.globals.arguments.get(name).is_some()
    }

    fn argument(&mut self, name: &str, default: Option<&str>) {
        if PLATFORM_ARGUMENTS.contains(&name) {
            return self.environment.set_unknown(name);
        }
        let given = self.options.args.get(name).cloned();
        let default = default.map(|default| self.expand(default));
        let global = || self.globals.arguments.get(name).map(str::to_owned);
        if let Some(value) = given.or(default).or_else(global) {
            self.environment.set_argument(name, value);
        }
    }
}

/// The names and values of `ENV a=b c=d`, of `ENV a b c` and of `LABEL`, not yet expanded.
pub(super) fn pairs(arguments: &str, escape: char) -> Vec<(String, String)> {
    let words = split_words(arguments, escape).unwrap_or_default();
    if words.first().is_some_and(|word| !word.contains('=')) {
        let (name, value) = arguments.split_once(char::is_whitespace).unwrap_or((arguments, ""));
        return vec![(name.to_owned(), value.trim().to_owned())];
    }
    let pair = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    words.iter().filter_map(pair).collect()
}
