//! Commands in scripts that build images.

use std::collections::BTreeMap;

use super::build::{
    BuiltImages, Delivery, ONLY_CHECKS, WorkflowStep, answered, dockerfile_of, image_of, in_engine,
};
use super::name::{self, Expressions};
use super::{COMPOSE, RepositoryTree, path};
use crate::dockerfile::{ScriptStep, UNKNOWN, commands_of};

/// Options of these commands that take no value after them.
const SWITCHES: &str = "--load --push --no-cache --pull -q --quiet --rm --force-rm --squash --compress --check -D \
    --debug --print --parallel --build -d --detach --wait --with-dependencies --dry-run --no-deps --force-recreate \
    --remove-orphans --quiet-build --layers --no-rm --all-platforms";
/// Variables of a runner that an expression knows, too.
const OF_RUN: [&str; 5] = ["sha", "ref_name", "run_id", "run_number", "repository"];

/// A command, by its options and its other words.
#[derive(Default)]
struct BuildCommand {
    words: Vec<String>,
    options: Vec<(String, String)>,
}

/// What a command builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuildKind {
    Image,
    Compose,
    Bake,
}

impl BuildCommand {
    fn new(words: &[String]) -> BuildCommand {
        let mut command = BuildCommand::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                _ if !word.starts_with('-') || word == "-" => {
                    command.words.push(word.clone());
                    continue;
                }
                Some(option) => option,
                None if SWITCHES.split_whitespace().any(|switch| switch == word) => (word.as_str(), ""),
                // `-tname`
                None if !word.starts_with("--") && word.len() > 2 && word.is_ascii() => word.split_at(2),
                None => (word.as_str(), words.next().map_or("", String::as_str)),
            };
            command.options.push((name.to_owned(), value.to_owned()));
        }
        command
    }

    /// What it builds, and its words behind the names of the command.
    fn kind(&self) -> Option<(BuildKind, &[String])> {
        let words: Vec<&str> = self.words.iter().take(3).map(String::as_str).collect();
        let (kind, names) = match words[..] {
            ["docker-compose" | "podman-compose", "build", ..] => (BuildKind::Compose, 2),
            ["docker-compose" | "podman-compose", "up", ..] if self.has("--build") => (BuildKind::Compose, 2),
            ["docker" | "podman", "compose", "build"] => (BuildKind::Compose, 3),
            ["docker" | "podman", "compose", "up"] if self.has("--build") => (BuildKind::Compose, 3),
            ["docker", "buildx", "bake"] => (BuildKind::Bake, 3),
            ["docker" | "podman" | "nerdctl" | "buildah", "build", ..] | ["buildah", "bud", ..] => {
                (BuildKind::Image, 2)
            }
            ["docker" | "podman", "buildx" | "image" | "builder", "build"] => (BuildKind::Image, 3),
            _ => return None,
        };
        Some((kind, &self.words[names..]))
    }

    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(own, _)| own == name)
    }

    fn values(&self, short: &str, long: &str) -> Vec<String> {
        let own = self.options.iter().filter(|(name, _)| name == short || name == long);
        own.map(|(_, value)| value.clone()).collect()
    }
}

/// The commands of a script.
fn commands(script: &str, variables: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let words = |step| if let ScriptStep::Command(words) = step { Some(words) } else { None };
    commands_of(script, variables).into_iter().filter_map(words).collect()
}

/// What the workflow says of the variables of a step's script, the nearest last. Behind the step, the expressions of a
/// job's and of a workflow's variables still have their values; of the step's own, they are copied.
fn variables_of<'a>(step: &WorkflowStep<'a>) -> impl Iterator<Item = (&'a str, String)> {
    let outer = [step.host.file.root.get("env"), step.host.get("env")].into_iter().flatten();
    let outer = outer.flat_map(|env| &env.entries).filter_map(|(key, _)| key.text());
    let own = step.node.get("env").map(|env| &env.entries[..]).unwrap_or_default();
    let own = own.iter().filter_map(|(key, value)| Some((key.text()?, value.text()?.to_owned())));
    outer.map(|name| (name, format!("${{{{ env.{name} }}}}"))).chain(own)
}

/// The builds of a `run:` step, each with its line.
pub fn found(step: &WorkflowStep<'_>) -> Vec<(usize, Result<BuiltImages, String>)> {
    let Some((key, run)) = step.node.entry("run") else { return Vec::new() };
    let text = run.text().unwrap_or_default();
    let mut expressions = Expressions::default();
    let of_run =
        OF_RUN.map(|name| (format!("GITHUB_{}", name.to_uppercase()), format!("${{{{ github.{name} }}}}")));
    let named = variables_of(step).map(|(name, value)| (name.to_owned(), value));
    let variables =
        of_run.into_iter().chain(named).map(|(name, value)| (name, expressions.mask(&value))).collect();
    let commands = commands(&expressions.mask(text), &variables);
    let moves = |words: &Vec<String>| words[0] == "cd" || words[0] == "pushd";
    let defaults = [step.host.get("defaults"), step.host.file.root.get("defaults")].into_iter().flatten();
    let mut runs = std::iter::once(step.node).chain(defaults.filter_map(|defaults| defaults.get("run")));
    let directory = path::join(".", runs.find_map(|run| run.text_of("working-directory")).unwrap_or("."));
    let directory = directory.filter(|directory| !directory.contains('$') && !commands.iter().any(moves));
    let script = RunScript { step, text, directory };
    let (mut found, mut line) = (Vec::new(), 0);
    for words in commands {
        // The words of a command are as they are written, but for variables, quotes and line breaks.
        let has =
            |text: &str, count: usize| words.iter().take(count).all(|word| text.contains(word.as_str()));
        let find = |count: usize| text.lines().skip(line).position(|text| has(text, count));
        line += find(words.len()).or_else(|| find(3)).or_else(|| find(2)).unwrap_or_default();
        let words: Vec<String> = words.iter().map(|word| expressions.restore(word)).collect();
        found.extend(script.one(&words).map(|one| (key.line + usize::from(run.is_block) + line, one)));
    }
    found
}

/// A `run:` step.
struct RunScript<'a> {
    step: &'a WorkflowStep<'a>,
    text: &'a str,
    /// The directory that it runs in, if it stays there.
    directory: Option<String>,
}

impl RunScript<'_> {
    /// What one command builds.
    fn one(&self, words: &[String]) -> Option<Result<BuiltImages, String>> {
        let command = BuildCommand::new(words);
        let (kind, rest) = command.kind()?;
        Some(match kind {
            BuildKind::Image => self.image(&command, rest.last()?),
            BuildKind::Compose => self.compose(&command, rest),
            BuildKind::Bake if self.step.has_builder || command.has("--set") => {
                Err("not followed: bake runs with its own builder or `--set`; use docker/bake-action".into())
            }
            BuildKind::Bake => self.step.bake(self.files(&command), rest, false),
        })
    }

    /// A path as the script means it.
    fn path(&self, path: &str) -> Option<String> {
        path::join(self.directory.as_deref()?, path).filter(|path| !path.contains(UNKNOWN))
    }

    /// The files that a command names.
    fn files(&self, command: &BuildCommand) -> Option<Vec<String>> {
        self.directory.as_ref()?;
        command.values("-f", "--file").iter().map(|file| self.path(file)).collect()
    }

    fn image(&self, command: &BuildCommand, context: &str) -> Result<BuiltImages, String> {
        let has = |name: &str| command.has(name);
        if has("--check") || has("--call") || has("--print") {
            return Err(ONLY_CHECKS.into());
        }
        let outputs = command.values("-o", "--output");
        if let Some(output) = outputs.iter().find(|output| !output.contains("type=image")) {
            return Err(format!("builds no image: its output is {output}"));
        }
        let file = command.values("-f", "--file").pop();
        if context == "-" || file.as_deref() == Some("-") {
            return Err("not followed: the Dockerfile comes from standard input".into());
        }
        // What only one branch of the script sets is not known.
        let branches = ["if ", "case ", "for ", "while "].iter().any(|word| self.text.contains(word));
        let is_known =
            |tag: &String| name::is_reference(tag) && (!branches || self.text.contains(tag.as_str()));
        let tag = command.values("-t", "--tag").into_iter().find(is_known);
        let tag = tag.ok_or("not followed: only the script knows the tag; use a literal `--tag`")?;
        let reference = match command.words[0].as_str() {
            "podman" | "buildah" => format!("containers-storage:{tag}"),
            _ if !self.step.has_builder || command.words[1] != "buildx" || has("--load") => in_engine(&tag),
            _ if has("--push") => format!("docker://{tag}"),
            _ => return Err("not followed: the image stays in the builder; add `--load`".into()),
        };
        let (context, target) = (self.path(context), command.values("", "--target").pop());
        let dockerfile = match &file {
            Some(file) => self.path(file),
            None => context.as_deref().and_then(|context| dockerfile_of(context, None, self.step.tree)),
        };
        let images = vec![image_of(dockerfile, target.as_deref(), Some(&tag), self.step.tree)];
        let key = [context.clone(), file, target].map(Option::unwrap_or_default).join("\n");
        let key = key + "\n" + &command.values("", "--build-arg").join("\n");
        let context = context.filter(|context| !context.contains("${{"));
        Ok(BuiltImages { images, key, delivery: Delivery::Present(vec![reference]), context })
    }

    fn compose(&self, command: &BuildCommand, services: &[String]) -> Result<BuiltImages, String> {
        let tree = self.step.tree;
        let files = self
            .files(command)
            .filter(|files| self.directory.as_deref() == Some(".") && !files.concat().contains('$'));
        let files = files.ok_or(
            "not followed: only the script knows the directory or the files of this compose command",
        )?;
        let mut read: Vec<&str> = files.iter().map(String::as_str).collect();
        if read.is_empty() {
            read.extend(COMPOSE.iter().find(|file| (tree.exists)(file)));
        }
        let text: String = read.iter().filter_map(|file| (tree.read)(file).ok()).collect();
        let reads = |name: &&str| {
            name.starts_with("COMPOSE_")
                || [format!("${name}"), format!("${{{name}")].iter().any(|word| text.contains(word))
        };
        if let Some(name) = variables_of(self.step).map(|(name, _)| name).find(reads) {
            return Err(format!("not followed: compose reads {name}, which the workflow sets"));
        }
        let project = command.values("-p", "--project-name").pop();
        let answer = tree.compose(&files, project.as_deref())?;
        let project = answer["name"].as_str().unwrap_or_default();
        let (mut images, mut references) = (Vec::new(), Vec::new());
        for (name, service) in answer["services"].as_object().into_iter().flatten() {
            if service["build"].is_null() || !services.is_empty() && !services.contains(name) {
                continue;
            }
            let own = format!("{project}-{name}");
            let tag = service["image"].as_str().unwrap_or(&own);
            if !name::is_reference(tag) || tag.contains("${{") {
                return Err(format!("not followed: the image name of the service {name} is not literal"));
            }
            images.push(answered(name, &service["build"], tree)?);
            references.push(in_engine(tag));
        }
        let key = format!("compose\n{}\n{}", files.join("\n"), services.join("\n"));
        Ok(BuiltImages { images, key, delivery: Delivery::Present(references), context: None })
    }
}

/// Says which scripts and Makefiles of the repository build images, if a workflow runs them.
pub fn say_scripts(tree: &RepositoryTree<'_>, runs: &[&str], notes: &mut Vec<String>) {
    for file in &tree.scripts {
        let call = if path::name(file) == "Makefile" { "make" } else { path::name(file) };
        let is_run = runs.iter().flat_map(|run| run.split_whitespace()).any(|word| path::name(word) == call);
        let text = Some(file).filter(|_| is_run).and_then(|file| (tree.read)(file).ok()).unwrap_or_default();
        if let Some(line) = text.lines().position(builds_image) {
            notes.push(format!(
                "{file}:{}: not followed: this builds an image; add a step by hand after the step that runs it",
                line + 1
            ));
        }
    }
}

/// Whether a line of a script or of a recipe builds an image.
fn builds_image(line: &str) -> bool {
    let line = line.trim_start_matches(['\t', '@', '-', ' ']);
    let is_build = |words: &Vec<String>| BuildCommand::new(words).kind().is_some();
    line.contains("build") && commands(line, &BTreeMap::new()).iter().any(is_build)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> (Option<BuildKind>, BuildCommand) {
        let words = commands(line, &BTreeMap::new()).pop().unwrap_or_default();
        let command = BuildCommand::new(&words);
        (command.kind().map(|(kind, _)| kind), command)
    }

    #[test]
    fn builds_are_told_from_what_builds_no_image() {
        let (kind, command) = of(
            "sudo docker --context x buildx build --push -t a/b:1 -tc --build-arg=V=3 -f x/Dockerfile --target prod .",
        );
        assert_eq!((kind, command.words.join(" ")), (Some(BuildKind::Image), "docker buildx build .".into()));
        assert_eq!(command.values("-t", "--tag"), ["a/b:1", "c"]);
        assert_eq!(command.values("", "--build-arg"), ["V=3"]);
        assert!(command.has("--push") && !command.has("--load"));
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
        for line in ["docker run x build .", "docker push a", "docker", "make build", "docker compose up -d"]
        {
            assert_eq!(of(line).0, None, "{line}");
        }
        let (kind, command) = of("docker compose -f a.yml --file=b.yml build --pull api web");
        assert_eq!((kind, command.kind().unwrap().1.join(" ")), (Some(BuildKind::Compose), "api web".into()));
        assert_eq!(command.values("-f", "--file"), ["a.yml", "b.yml"]);
        let (kind, command) = of("docker buildx bake -f x.hcl --set a.b=c --push api");
        assert_eq!((kind, command.kind().unwrap().1.join(" ")), (Some(BuildKind::Bake), "api".into()));
    }

    proptest::proptest! {
        #[test]
        fn no_script_makes_it_panic(text in "[a-c$\\{\\}'\"\\\\#;&|()` \\né-]{0,60}") {
            for words in commands(&text, &BTreeMap::new()) {
                let _ = BuildCommand::new(&words).kind();
            }
        }
    }
}
