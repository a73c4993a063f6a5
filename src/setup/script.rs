//! Commands in scripts that build images.

use std::collections::BTreeMap;

use super::RepositoryTree;
use super::build::{BuiltImages, Delivery, ONLY_CHECKS, WorkflowStep, answered, in_engine};
use super::name::{self, Expressions};
use crate::dockerfile::{ScriptStep, UNKNOWN, commands_of};

/// Runner variables that are also available as expressions.
const OF_RUN: [&str; 5] = ["sha", "ref_name", "run_id", "run_number", "repository"];

/// Compose commands; the first of these words is not a service name.
const COMPOSE_VERBS: [&str; 9] = ["build", "up", "run", "exec", "pull", "push", "config", "down", "logs"];

/// What a command builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuildKind {
    Image,
    Compose,
    Bake,
}

/// What a command builds, and how many words name the command.
fn kind_of(words: &[String]) -> Option<(BuildKind, usize)> {
    let verb = words.iter().find(|word| COMPOSE_VERBS.contains(&word.as_str())).map(String::as_str);
    let is_compose =
        verb == Some("build") || verb == Some("up") && words.iter().any(|word| word == "--build");
    let first: Vec<&str> = words.iter().take(3).map(String::as_str).collect();
    Some(match first[..] {
        ["docker-compose" | "podman-compose", ..] if is_compose => (BuildKind::Compose, 1),
        ["docker" | "podman", "compose", ..] if is_compose => (BuildKind::Compose, 2),
        ["docker", "buildx", "bake"] => (BuildKind::Bake, 3),
        ["docker" | "podman" | "nerdctl" | "buildah", "build", ..] | ["buildah", "bud", ..] => {
            (BuildKind::Image, 2)
        }
        ["docker" | "podman", "buildx" | "image" | "builder", "build"] => (BuildKind::Image, 3),
        _ => return None,
    })
}

/// The commands of a script that build images.
fn builds_of(script: &str, variables: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let words = |step| if let ScriptStep::Command(words) = step { Some(words) } else { None };
    let commands = commands_of(script, variables).into_iter().filter_map(words);
    commands.filter(|words| kind_of(words).is_some()).collect()
}

/// The values of an option: `-t x`, `-tx`, `--tag x`, `--tag=x`.
fn values(words: &[String], short: &str, long: &str) -> Vec<String> {
    let next = words.iter().skip(1).map(Some).chain([None]);
    let value = |(word, next): (&String, Option<&String>)| match word.strip_prefix(long) {
        Some("") => next.cloned(),
        Some(rest) => rest.strip_prefix('=').map(str::to_owned),
        None if word == short => next.cloned(),
        None => word.strip_prefix(short).filter(|_| !word.starts_with("--")).map(str::to_owned),
    };
    words.iter().zip(next).filter_map(value).collect()
}

/// The builds of a `run:` step, each with its line. Expressions for variables of the job and the workflow are still
/// valid after the step; those for the step's own variables are copied.
pub fn found(step: &WorkflowStep<'_>) -> Vec<(usize, Result<BuiltImages, String>)> {
    let Some((key, run)) = step.node.entry("run") else { return Vec::new() };
    let text = run.text().unwrap_or_default();
    let mut expressions = Expressions::default();
    let env = [step.host.file.root.get("env"), step.host.get("env")].into_iter().flatten();
    let env = env.flat_map(|env| &env.entries).filter_map(|(name, _)| name.text());
    let env = env.map(|name| (name.to_owned(), format!("${{{{ env.{name} }}}}")));
    let of_run =
        OF_RUN.map(|name| (format!("GITHUB_{}", name.to_uppercase()), format!("${{{{ github.{name} }}}}")));
    let own = step.node.get("env").map(|env| &env.entries[..]).unwrap_or_default();
    let own =
        own.iter().filter_map(|(name, value)| Some((name.text()?.to_owned(), value.text()?.to_owned())));
    let variables = of_run.into_iter().chain(env).chain(own);
    let variables = variables.map(|(name, value)| (name, expressions.mask(&value))).collect();
    let (mut found, mut line) = (Vec::new(), 0);
    for words in builds_of(&expressions.mask(text), &variables) {
        // The line with the words of the command, or at least the first ones.
        let has = |text: &str, count: usize| words[..count].iter().all(|word| text.contains(word.as_str()));
        let find = |count: usize| text.lines().skip(line).position(|text| has(text, count.min(words.len())));
        line += [words.len(), 3, 2].into_iter().find_map(find).unwrap_or_default();
        let place = key.line + usize::from(run.is_block) + line;
        let words: Vec<String> = words.iter().map(|word| expressions.restore(word)).collect();
        found.push((place, BuildCommand { step, text, words: &words }.build()));
        line += 1;
    }
    found
}

/// A command of a `run:` step.
struct BuildCommand<'a> {
    step: &'a WorkflowStep<'a>,
    /// The whole script.
    text: &'a str,
    words: &'a [String],
}

impl BuildCommand<'_> {
    fn build(&self) -> Result<BuiltImages, String> {
        match kind_of(self.words) {
            Some((BuildKind::Image, names)) => self.image(names),
            Some((BuildKind::Compose, names)) => self.compose(names),
            _ => Err("not followed: bake in a script; use docker/bake-action".into()),
        }
    }

    /// A path as the script means it, if the script stays in one directory.
    fn path(&self, path: &str) -> Option<String> {
        let (host, root) = (self.step.host, &self.step.host.file.root);
        let defaults = [host.get("defaults"), root.get("defaults")].into_iter().flatten();
        let mut runs = std::iter::once(self.step.node).chain(defaults.filter_map(|own| own.get("run")));
        let directory = runs.find_map(|run| run.text_of("working-directory")).unwrap_or(".");
        let moves = self.text.split_whitespace().any(|word| word == "cd" || word == "pushd");
        let path = name::join(directory, path).filter(|_| !moves && !directory.contains('$'));
        path.filter(|path| !path.contains(UNKNOWN))
    }

    fn image(&self, names: usize) -> Result<BuiltImages, String> {
        let (words, tree) = (self.words, self.step.tree);
        let has = |option: &str| words.iter().any(|word| word == option);
        if has("--check") || has("--print") || words.iter().any(|word| word.starts_with("--call")) {
            return Err(ONLY_CHECKS.into());
        }
        let outputs = values(words, "-o", "--output");
        if let Some(output) = outputs.iter().find(|output| !output.contains("type=image")) {
            return Err(format!("builds no image: its output is {output}"));
        }
        let file = values(words, "-f", "--file").pop();
        // A variable that only one branch of the script sets is unknown.
        let branches = ["if ", "case ", "for ", "while "].iter().any(|word| self.text.contains(word));
        let is_known =
            |tag: &&String| name::is_reference(tag) && (!branches || self.text.contains(tag.as_str()));
        let tags = values(words, "-t", "--tag");
        let tag = tags.iter().find(is_known);
        let tag = tag.ok_or("not followed: only the script knows the tag; use a literal `--tag`")?;
        let reference = match words[0].as_str() {
            "podman" | "buildah" => format!("containers-storage:{tag}"),
            _ if !self.step.has_builder || words[1] != "buildx" || has("--load") => in_engine(tag),
            _ if has("--push") => format!("docker://{tag}"),
            _ => return Err("not followed: the image stays in the builder; add `--load`".into()),
        };
        // The context is the last word, or the first one.
        let mut ends = [words.last(), words.get(names)].into_iter().flatten();
        let context = ends.find(|word| !word.starts_with('-') && !tags.contains(word));
        let context = context.ok_or("not followed: only the script knows the directory that is built")?;
        let (context, target) = (self.path(context), values(words, "--target", "--target").pop());
        let dockerfile = match &file {
            Some(file) => self.path(file),
            None => context.as_deref().and_then(|context| tree.dockerfile_of(context, None)),
        };
        let key = [context.clone(), file, target.clone()].map(Option::unwrap_or_default).join("\n");
        Ok(BuiltImages {
            images: vec![tree.image(dockerfile, target.as_deref(), Some(tag))],
            key: key + "\n" + &values(words, "--build-arg", "--build-arg").join("\n"),
            delivery: Delivery::Present(vec![reference]),
            context: context.filter(|context| !context.contains("${{")),
        })
    }

    fn compose(&self, names: usize) -> Result<BuiltImages, String> {
        let (words, tree) = (self.words, self.step.tree);
        let files: Option<Vec<String>> =
            values(words, "-f", "--file").iter().map(|file| self.path(file)).collect();
        let files =
            files.filter(|files| self.path(".").as_deref() == Some(".") && !files.concat().contains('$'));
        let files = files.ok_or(
            "not followed: only the script knows the directory or the files of this compose command",
        )?;
        let answer = tree.compose(&files)?;
        let project = values(words, "-p", "--project-name").pop();
        let project = project.as_deref().or(answer["name"].as_str()).unwrap_or_default();
        let services = answer["services"].as_object().into_iter().flatten();
        let built: Vec<_> = services.filter(|(_, service)| !service["build"].is_null()).collect();
        let named = |service: &str| words[names..].iter().any(|word| word == service);
        let is_any_named = built.iter().any(|(name, _)| named(name));
        let (mut images, mut references) = (Vec::new(), Vec::new());
        for (name, service) in built.into_iter().filter(|(name, _)| !is_any_named || named(name)) {
            let own = format!("{project}-{name}");
            let tag = service["image"].as_str().unwrap_or(&own);
            if !name::is_reference(tag) || tag.contains("${{") {
                return Err(format!("not followed: the image name of the service {name} is not literal"));
            }
            images.push(answered(name, &service["build"], tree)?);
            references.push(in_engine(tag));
        }
        let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        let key = format!("compose\n{}\n{}", files.join("\n"), names.join("\n"));
        Ok(BuiltImages { images, key, delivery: Delivery::Present(references), context: None })
    }
}

/// Reports which scripts and Makefile targets build images, if a workflow runs them. `runs` is all text of its jobs.
pub fn say_scripts(tree: &RepositoryTree<'_>, runs: &str, notes: &mut Vec<String>) {
    for file in &tree.scripts {
        let name = file.rsplit('/').next().unwrap_or(file);
        let call = if name == "Makefile" { "make" } else { name };
        let calls: Vec<&str> = runs.lines().filter_map(|line| Some(line.split_once(call)?.1)).collect();
        let text = Some(file).filter(|_| !calls.is_empty()).and_then(|file| (tree.read)(file).ok());
        let text = text.unwrap_or_default();
        let mut target = None;
        for (index, line) in text.lines().enumerate() {
            let rule = line.split_once(':').filter(|_| call == "make" && !line.starts_with(['\t', ' ', '#']));
            target = rule.map(|(target, _)| target).or(target);
            let line = line.trim_start_matches(['\t', '@', '-', ' ']);
            let builds = line.contains("build") && !builds_of(line, &BTreeMap::new()).is_empty();
            if builds && target.is_none_or(|target| makes(&calls, target, &text)) {
                let why =
                    "not followed: this builds an image; add a step by hand after the step that runs it";
                notes.push(format!("{file}:{}: {why}", index + 1));
                break;
            }
        }
    }
}

/// Whether calls of `make` build a target: they name it, or one that depends on it, or no target at all.
fn makes(calls: &[&str], target: &str, makefile: &str) -> bool {
    let needs = |word: &str, line: &str| {
        let needed = line.split_once(':').filter(|(rule, _)| *rule == word).map(|(_, needed)| needed);
        needed.is_some_and(|needed| needed.split_whitespace().any(|word| word == target))
    };
    let makes = |word: &str| word == target || makefile.lines().any(|line| needs(word, line));
    calls.iter().any(|call| call.trim().is_empty() || call.split_whitespace().any(makes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> (Option<BuildKind>, Vec<String>) {
        let words = builds_of(line, &BTreeMap::new()).pop().unwrap_or_default();
        (kind_of(&words).map(|(kind, _)| kind), words)
    }

    #[test]
    fn builds_are_told_from_what_builds_no_image() {
        let (kind, words) = of(
            "sudo docker buildx build --push -t a/b:1 -tc --build-arg=V=3 -f x/Dockerfile --target prod .",
        );
        assert_eq!(kind, Some(BuildKind::Image));
        assert_eq!(values(&words, "-t", "--tag"), ["a/b:1", "c"]);
        assert_eq!(values(&words, "--build-arg", "--build-arg"), ["V=3"]);
        for line in [
            "docker build .",
            "podman build .",
            "docker image build -q .",
            "buildah bud .",
            "DOCKER_BUILDKIT=1 docker build .",
            "if true; then docker build .; fi",
        ] {
            assert_eq!(of(line).0, Some(BuildKind::Image), "{line}");
        }
        for line in [
            "docker run x build .",
            "docker push a",
            "docker",
            "make build",
            "docker compose up -d",
            "docker compose run build",
        ] {
            assert_eq!(of(line).0, None, "{line}");
        }
        let (kind, words) = of("docker compose -f a.yml --file=b.yml build --pull api web");
        assert_eq!(
            (kind, values(&words, "-f", "--file").join(" ")),
            (Some(BuildKind::Compose), "a.yml b.yml".into())
        );
        assert_eq!(of("docker buildx bake -f x.hcl --push api").0, Some(BuildKind::Bake));
    }

    proptest::proptest! {
        #[test]
        fn no_script_makes_it_panic(text in "[a-c$\\{\\}'\"\\\\#;&|()` \\né-]{0,60}") {
            for words in builds_of(&format!("docker build {text}"), &BTreeMap::new()) {
                let _ = (kind_of(&words), values(&words, "-a", "--ab"));
            }
        }
    }
}
