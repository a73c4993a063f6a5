//! The images that workflows of GitHub Actions build.

use std::collections::BTreeMap;

use super::call::{Call, Directory, ImageCall, call_of};
use super::expression::{Values, add_env, expand, known, matrix, variables};
use super::yaml::Yaml;
use super::{Build, By, Checkout, Reading, Tree, bake, compose, names, path};
use crate::dockerfile::{ScriptStep, UNKNOWN, commands_of};

/// Actions before a build that it does not need here.
const HARMLESS: [&str; 8] = [
    "actions/checkout",
    "actions/cache",
    "docker/",
    "aws-actions/",
    "google-github-actions/auth",
    "azure/login",
    "step-security/harden-runner",
    "sigstore/cosign-installer",
];

/// The most steps of one workflow, each once for each job of its matrix.
const MAX_STEPS: usize = 3_000;

/// What workflows say.
#[derive(Debug, Default)]
pub struct Said {
    /// What they build.
    pub builds: Vec<Build>,
    /// How they check out before.
    pub checkout: Checkout,
    /// What is to be said of them.
    pub notes: Vec<String>,
    /// A workflow that already runs layergate.
    pub gated: Option<String>,
}

/// Reads all workflows. One that cannot be read is said.
pub fn read(tree: &Tree<'_>) -> Said {
    let mut said = Said::default();
    for file in &tree.workflows {
        let yaml = tree.text(file).and_then(|text| Yaml::parse(&text));
        match yaml {
            Ok(yaml) => Workflow { file, root: &yaml, tree, said: &mut said, steps: 0 }.read(),
            Err(why) => said.notes.push(format!("{file} is not looked at: {why}")),
        }
    }
    said
}

struct Workflow<'a> {
    file: &'a str,
    root: &'a Yaml,
    tree: &'a Tree<'a>,
    said: &'a mut Said,
    /// How many steps were looked at, each once for each job of its matrix.
    steps: usize,
}

/// A job of a workflow, and what is known where one of its steps runs.
struct Place<'a> {
    job: &'a Yaml,
    step: &'a Yaml,
    values: Values,
}

impl Workflow<'_> {
    fn read(&mut self) {
        let root = self.root;
        for (_, job) in root.get("jobs").into_iter().flat_map(Yaml::entries) {
            let steps = job.get("steps").map(Yaml::items).unwrap_or_default();
            let jobs: Vec<Values> = matrix(job.at(&["strategy", "matrix"]))
                .into_iter()
                .map(|values| self.values_of(job, values))
                .collect();
            let mut before = self.said.builds.len();
            for (index, step) in steps.iter().enumerate() {
                for values in &jobs {
                    if self.steps == MAX_STEPS {
                        self.note(format!("only the first {MAX_STEPS} steps are looked at"));
                        return;
                    }
                    self.steps += 1;
                    let mut values = values.clone();
                    add_env(step.get("env"), &mut values);
                    self.step(&Place { job, step, values });
                }
                if self.said.builds.len() > before {
                    self.prepares(&steps[..index]);
                    before = usize::MAX;
                }
            }
        }
    }

    /// What is known in all steps of a job.
    fn values_of(&self, job: &Yaml, mut values: Values) -> Values {
        let (owner, name) = &self.tree.repository;
        for (key, value) in [
            ("github.repository", format!("{owner}/{name}")),
            ("github.event.repository.name", name.clone()),
            ("github.repository_owner", owner.clone()),
            ("github.workspace", ".".into()),
        ] {
            values.insert(key.into(), value);
        }
        for section in [self.root, job] {
            add_env(section.get("env"), &mut values);
        }
        values
    }

    fn step(&mut self, place: &Place<'_>) {
        let uses = place.step.text_of("uses").unwrap_or_default();
        if uses.starts_with("layergate/layergate@") {
            self.said.gated.get_or_insert_with(|| self.file.to_owned());
        } else if uses.starts_with("docker/build-push-action@") {
            self.build_push(place);
        } else if uses.starts_with("docker/bake-action@") {
            self.bake_action(place);
        } else if let Some(script) = place.step.text_of("run") {
            self.script(script, place);
        }
    }

    /// Steps before a build make what it may need, and are not repeated.
    fn prepares(&mut self, steps: &[Yaml]) {
        let mut others = Vec::new();
        for step in steps {
            let uses = step.text_of("uses").unwrap_or_default();
            if uses.starts_with("actions/checkout@") {
                let with = |key: &str| step.at(&["with", key]).and_then(Yaml::text);
                let submodules = with("submodules").filter(|value| matches!(*value, "true" | "recursive"));
                self.said.checkout.submodules =
                    submodules.map(str::to_owned).or(self.said.checkout.submodules.take());
                self.said.checkout.lfs |= with("lfs") == Some("true");
            } else if !uses.is_empty() && !HARMLESS.iter().any(|start| uses.starts_with(start)) {
                others.push(uses.to_owned());
            } else if let Some(run) = step.text_of("run") {
                let line = run.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
                let is_login = run.contains("docker login") || run.contains("podman login");
                others.extend(line.filter(|_| !is_login).map(str::to_owned));
            }
        }
        if !others.is_empty() {
            let shown: Vec<String> = others
                .iter()
                .take(3)
                .map(|text| format!("`{}`", crate::report::escape::short(text, 60)))
                .collect();
            let more =
                if others.len() > 3 { format!(" and {} more", others.len() - 3) } else { String::new() };
            self.note(format!(
                "before it builds, it also runs {}{more}; put into the new workflow what the build needs of that",
                shown.join(", ")
            ));
        }
    }

    fn note(&mut self, text: String) {
        let note = format!("{}: {text}", self.file);
        if !self.said.notes.contains(&note) {
            self.said.notes.push(note);
        }
    }

    fn not_followed(&mut self, what: &str) {
        self.note(format!("{what} is not followed, because its files or paths are not in the text, or not in this repository"));
    }

    fn build_push(&mut self, place: &Place<'_>) {
        let raw = |key: &str| {
            place.step.at(&["with", key]).and_then(Yaml::text).filter(|text| !text.trim().is_empty())
        };
        let with = |key: &str| raw(key).map(|text| expand(text, &place.values).trim().to_owned());
        // Without a context it is the commit itself, by its address.
        let context = raw("context")
            .map(|text| text.replace("{{defaultContext}}:", "").replace("{{defaultContext}}", "."));
        let by_commit =
            context.is_none() || raw("context").is_some_and(|text| text.contains("{{defaultContext}}"));
        let context =
            context.map_or_else(|| ".".into(), |text| expand(&text, &place.values).trim().to_owned());
        let lists = |key: &str| with(key).map(|text| words_of(&text)).unwrap_or_default();
        let mut tags = lists("tags");
        if let Some(names) = raw("tags").and_then(|tags| of_metadata(tags, place)) {
            tags.splice(0..0, names);
        }
        let call = ImageCall {
            file: with("file")
                .map(|file| if by_commit && context != "." { format!("{context}/{file}") } else { file }),
            context,
            target: with("target"),
            tags,
            arguments: with("build-args")
                .map(|text| text.lines().map(|line| line.trim().to_owned()).collect())
                .unwrap_or_default(),
            platforms: lists("platforms"),
            secrets: raw("secrets").or(raw("secret-files")).or(raw("secret-envs")).or(raw("ssh")).is_some(),
        };
        self.image(&call, ".", place);
    }

    fn image(&mut self, call: &ImageCall, directory: &str, place: &Place<'_>) {
        let Some(context) = path::join(directory, &call.context) else {
            return self.not_followed("a build");
        };
        let file = match &call.file {
            Some(file) => path::join(directory, file),
            None => path::join(&context, "Dockerfile"),
        };
        let Some(dockerfile) = file else { return self.not_followed("a build") };
        if call.secrets {
            self.note(format!("the build of {dockerfile} gets secrets; give them to the new build step too, where it needs them"));
        }
        let arguments = call.arguments.iter().filter_map(|text| text.split_once('='));
        let (known, unknown): (Vec<_>, Vec<_>) = arguments.partition(|(_, value)| !value.contains(UNKNOWN));
        if let Some((name, _)) = unknown.first().filter(|(name, _)| !name.contains(UNKNOWN)) {
            self.note(format!("the value of the build argument {name} is not in the text; it is left out"));
        }
        let name = call.tags.iter().find_map(|tag| names::of_reference(tag));
        // In a matrix, tags may have the name after the colon alone.
        let name = name.or_else(|| {
            place.values.iter().find(|(key, _)| is_name_of_matrix(key)).map(|(_, value)| value.clone())
        });
        self.said.builds.push(Build {
            origin: self.file.to_owned(),
            name,
            context,
            dockerfile: Some(dockerfile),
            target: call.target.clone().filter(|target| !target.contains(UNKNOWN)),
            arguments: known.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            platforms: call
                .platforms
                .iter()
                .filter(|platform| !platform.contains(UNKNOWN))
                .cloned()
                .collect(),
            by: By::Docker,
        });
    }

    fn bake_action(&mut self, place: &Place<'_>) {
        let with = |key: &str| {
            place.step.at(&["with", key]).and_then(Yaml::text).map(|text| expand(text, &place.values))
        };
        let list = |key: &str| with(key).map(|text| words_of(&text)).unwrap_or_default();
        let directory = with("workdir").or_else(|| with("source")).filter(|text| !text.trim().is_empty());
        match directory.map_or(Some(".".to_owned()), |text| path::join(".", text.trim())) {
            Some(directory) => self.bake(&list("files"), &list("targets"), &directory),
            None => self.not_followed("a bake"),
        }
    }

    fn bake(&mut self, files: &[String], targets: &[String], directory: &str) {
        let usual = || bake::USUAL.iter().filter_map(|name| path::join(directory, name));
        let named: Option<Vec<String>> = match files.is_empty() {
            true => Some(usual().filter(|file| (self.tree.exists)(file)).collect()),
            false => files.iter().map(|file| path::join(directory, file)).collect(),
        };
        // Files that a step before has made only set tags and labels.
        let there: Vec<String> =
            named.into_iter().flatten().filter(|file| (self.tree.exists)(file)).collect();
        match there.is_empty() {
            true => self.not_followed("a bake"),
            false => self.of_files(bake::builds(&there, targets, directory, self.tree)),
        }
    }

    fn compose(&mut self, files: &[String], services: &[String], directory: &str) {
        let usual = || compose::USUAL.iter().filter_map(|name| path::join(directory, name));
        let named: Option<Vec<String>> = match files.is_empty() {
            true => usual().find(|file| (self.tree.exists)(file)).map(|file| vec![file]),
            false => files.iter().map(|file| path::join(directory, file)).collect(),
        };
        let services: Vec<String> = services.iter().filter(|name| !name.contains(UNKNOWN)).cloned().collect();
        match named {
            Some(files) => self.of_files(compose::builds(&files, &services, self.tree)),
            None => self.not_followed("a compose build"),
        }
    }

    fn of_files(&mut self, read: Reading) {
        match read {
            Ok((builds, notes)) => {
                self.said.builds.extend(builds);
                for note in notes {
                    if !self.said.notes.contains(&note) {
                        self.said.notes.push(note);
                    }
                }
            }
            Err(why) => self.note(format!("a build is not followed: {why}")),
        }
    }

    fn script(&mut self, script: &str, place: &Place<'_>) {
        if !["docker", "podman", "buildah", "nerdctl"].iter().any(|program| script.contains(program)) {
            return;
        }
        let directories = [place.step.get("working-directory")]
            .into_iter()
            .chain([place.job, self.root].map(|of| of.at(&["defaults", "run", "working-directory"])));
        let directory = directories.flatten().next().and_then(Yaml::text).unwrap_or(".");
        let directory = known(directory, &place.values).and_then(|text| path::join(".", &text));
        let mut directory = Directory::new(directory);
        let sections = [self.root, place.job, place.step].into_iter().filter_map(|of| of.get("env"));
        let mut variables: BTreeMap<String, String> = variables(sections, &place.values);
        variables.insert("GITHUB_WORKSPACE".into(), ".".into());
        for step in commands_of(&expand(script, &place.values), &variables) {
            match step {
                ScriptStep::Enters => directory.enter(),
                ScriptStep::Leaves => directory.leave(),
                ScriptStep::Command(words) if directory.follow(&words) => {}
                ScriptStep::Command(words) => {
                    if let Some(call) = call_of(&words) {
                        self.call(call, directory.path(), place);
                    }
                }
            }
        }
    }

    fn call(&mut self, call: Call, directory: Option<&str>, place: &Place<'_>) {
        match (call, directory) {
            (Call::Image(call), _) if call.is_from_input() => self.note(
                "a build is not followed, because it reads its Dockerfile from standard input; \
                 build it in the new workflow too, where its image is shipped"
                    .into(),
            ),
            (_, None) => self.not_followed("a build"),
            (Call::Image(call), Some(directory)) => self.image(&call, directory, place),
            (Call::Compose { files, services }, Some(directory)) => {
                self.compose(&files, &services, directory)
            }
            (Call::Bake { files, targets }, Some(directory)) => self.bake(&files, &targets, directory),
        }
    }
}

/// What an axis of a matrix is called that names its image.
fn is_name_of_matrix(key: &str) -> bool {
    let axis = key.strip_prefix("matrix.").unwrap_or_default();
    ["image", "service", "name", "app", "component", "image.name", "service.name", "package"].contains(&axis)
}

/// The images of the step that makes tags (`docker/metadata-action`), where the tags are its output.
fn of_metadata(tags: &str, place: &Place<'_>) -> Option<Vec<String>> {
    let id = tags.split_once("steps.")?.1.split('.').next()?;
    let steps = place.job.get("steps").map(Yaml::items)?;
    let step = steps.iter().find(|step| step.text_of("id") == Some(id))?;
    let images = expand(step.at(&["with", "images"])?.text()?, &place.values);
    let name = |line: &str| {
        let fields = || line.split(',').map(str::trim);
        let name = fields().find_map(|field| field.strip_prefix("name=")).or_else(|| fields().next());
        name.map(str::to_owned)
    };
    Some(images.lines().filter(|line| !line.trim().is_empty()).filter_map(name).collect())
}

/// What a list holds that is written by lines or commas.
fn words_of(text: &str) -> Vec<String> {
    text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a script builds, by Dockerfile, and what is said of it.
    fn of_script(script: &str) -> (Vec<String>, Vec<String>) {
        let lines: String = script.lines().map(|line| format!("        {line}\n")).collect();
        let text = format!("jobs:\n  a:\n    steps:\n    - run: |\n{lines}");
        let read = |_: &str| Ok(text.clone());
        let tree = Tree {
            workflows: vec!["ci.yml".into()],
            dockerfiles: Vec::new(),
            repository: ("acme".into(), "shop".into()),
            read: &read,
            exists: &|_| true,
        };
        let said = super::read(&tree);
        (said.builds.into_iter().filter_map(|build| build.dockerfile).collect(), said.notes)
    }

    #[test]
    fn a_directory_is_left_with_the_shell_that_went_there() {
        for script in [
            "(cd api && docker build -t api .)\n(cd web && docker build -t web .)",
            "bash -c 'cd api && docker build .'\npushd web >/dev/null\ndocker build .\npopd",
            "pushd api\nsudo -E docker build .\npopd\ntimeout 600 docker build web",
        ] {
            assert_eq!(
                of_script(script),
                (vec!["api/Dockerfile".into(), "web/Dockerfile".into()], vec![]),
                "{script}"
            );
        }
    }

    #[test]
    fn a_build_from_standard_input_is_said() {
        for script in
            ["docker build - < x", "docker build -f - . <<E\nFROM scratch\nE", "cd /tmp\ndocker build -"]
        {
            let (builds, notes) = of_script(script);
            assert!(builds.is_empty(), "{builds:?}");
            assert!(notes.len() == 1 && notes[0].contains("from standard input"), "{notes:?}");
        }
    }
}
