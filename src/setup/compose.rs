//! The images that the services of compose files are built as (compose-spec.io, "Build").

use std::collections::BTreeMap;

use super::yaml::Yaml;
use super::{Build, By, Reading, Tree, path};
use crate::dockerfile::UNKNOWN;

/// The names that are looked for where none is given, the first that is there counts.
pub const USUAL: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// What images without a name of their own are called by first.
pub const PROJECT: &str = "layergate";
/// The value of a variable that has none in the file.
const ANY_VALUE: &str = "ci";

/// The images that these files build, of all services or of those that are named; and what is to be said.
///
/// # Errors
/// Why the files cannot be read.
pub fn builds(files: &[String], wanted: &[String], tree: &Tree<'_>) -> Reading {
    let first = files.first().ok_or("no compose file is named")?;
    let documents = files.iter().map(|file| document(file, tree)).collect::<Result<Vec<_>, _>>()?;
    let project = path::parent(first);
    let set = environment(project, tree);
    let mut names: Vec<&str> = Vec::new();
    let services = || documents.iter().filter_map(|document| document.get("services"));
    for (name, _) in services().flat_map(Yaml::entries) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let (mut builds, mut notes): (Vec<Build>, Vec<String>) = (Vec::new(), Vec::new());
    // Compose reads what all services need before it builds one.
    let missing = services().flat_map(Yaml::entries).find_map(|(_, service)| {
        missing_file(service, project, tree).or_else(|| required_variable(service, &set))
    });
    for name in names.into_iter().filter(|name| wanted.is_empty() || wanted.iter().any(|own| own == name)) {
        let of = |key: &str| services().filter_map(|services| services.get(name)?.get(key)).next_back();
        let Some(build) = of("build") else { continue };
        if !is_service_name(name) {
            notes.push(format!(
                "{first}: a service has a name that cannot be written into a command; it is left out"
            ));
            continue;
        }
        match one(name, build, of("image"), files, project, &set) {
            Ok((build, _)) if builds.iter().any(|other| same_image(other, &build)) => {
                notes.extend(builds.iter().find_map(|other| other_build(other, &build)));
            }
            Ok((mut build, unknown)) => {
                notes.extend(unknown.map(|argument| {
                    format!("{first}: the value of the build argument {argument} of {name} is not in the files; give it to the new build step, where it needs one")
                }));
                if let Some(missing) = &missing {
                    notes.push(format!(
                        "{first}: {missing} is not there, so `docker compose` would fail; {name} is built by `docker build`"
                    ));
                    build.by = By::Docker;
                }
                builds.push(build);
            }
            Err(why) => notes.push(format!("{first}: {name} is left out: {why}")),
        }
    }
    Ok((builds, notes))
}

fn document(file: &str, tree: &Tree<'_>) -> Result<Yaml, String> {
    let text = tree.text(file).map_err(|error| format!("{file}: {error}"))?;
    Yaml::parse(&text).map_err(|error| format!("{file}: {error}"))
}

/// What compose itself allows.
fn is_service_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Two services of one image.
fn same_image(one: &Build, other: &Build) -> bool {
    let image = |build: &Build| match &build.by {
        By::Compose { image, .. } => Some(image.clone()),
        _ => None,
    };
    image(one).is_some() && image(one) == image(other)
}

/// What is said of a build that is left out because another one's image is called the same, where it has another
/// context or Dockerfile.
fn other_build(taken: &Build, other: &Build) -> Option<String> {
    let built = |build: &Build| (build.context.clone(), build.dockerfile.clone());
    let name = |build: &Build| build.name.clone().unwrap_or_default();
    (same_image(taken, other) && built(taken) != built(other)).then(|| {
        format!(
            "{}: {} is left out, because its image is called as that of {}, and is built from something else",
            other.origin,
            name(other),
            name(taken)
        )
    })
}

/// The variables of the `.env` beside a compose file, which compose reads by itself (Docker, "Set environment
/// variables"): those that are written simply.
fn environment(project: &str, tree: &Tree<'_>) -> BTreeMap<String, String> {
    let file = path::join(project, ".env").filter(|file| (tree.exists)(file));
    let text = file.and_then(|file| tree.text(&file).ok()).unwrap_or_default();
    text.trim_start_matches('\u{feff}').lines().filter_map(setting).collect()
}

/// `NAME=VALUE`, with or without quotes. A value that is empty, or that has to be read by rules, is none.
fn setting(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim().split_once('=')?;
    let (name, value) = (name.strip_prefix("export ").unwrap_or(name).trim(), value.trim());
    let inner = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let value = inner.unwrap_or(value);
    let odd = |c: char| "\"'`$\\#".contains(c) || c.is_whitespace() || c.is_control();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && !value.is_empty() && !value.contains(odd)).then(|| (name.to_owned(), value.to_owned()))
}

/// A file of variables that a service cannot do without, and that is not there: most repositories ignore it.
fn missing_file(service: &Yaml, project: &str, tree: &Tree<'_>) -> Option<String> {
    let needed = service.get("env_file")?.items().iter().filter_map(|item| match item {
        Yaml::Text(file) => Some(file.as_str()),
        item if item.text_of("required") == Some("false") => None,
        item => item.text_of("path"),
    });
    let mut paths = needed.filter_map(|file| path::join(project, file));
    paths.find(|path| !(tree.exists)(path))
}

/// A variable that compose demands, anywhere in a service (compose-spec.io, "Interpolation": `${NAME:?message}`). What
/// a build needs itself is set for it; of the others nobody knows a value, unless `.env` has set it.
fn required_variable(yaml: &Yaml, set: &BTreeMap<String, String>) -> Option<String> {
    match yaml {
        Yaml::Text(text) => {
            let demands = |inner: &str| {
                let name = inner.split_once('}')?.0.split_once('?')?.0.trim_end_matches(':');
                let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                (is_name && !set.contains_key(name)).then(|| format!("the variable {name}"))
            };
            text.split("${").skip(1).find_map(demands)
        }
        Yaml::List(items) => items.iter().find_map(|item| required_variable(item, set)),
        map => map.entries().find_map(|(_, value)| required_variable(value, set)),
    }
}

/// The build of a service, and a build argument of it that is not known.
fn one(
    name: &str,
    build: &Yaml,
    image: Option<&Yaml>,
    files: &[String],
    project: &str,
    set: &BTreeMap<String, String>,
) -> Result<(Build, Option<String>), String> {
    let mut variables = Variables { set, used: BTreeMap::new(), guessed: false };
    let mut text = |yaml: Option<&Yaml>| yaml.and_then(Yaml::text).map(|text| variables.interpolated(text));
    let context = match build {
        Yaml::Text(_) => text(Some(build)),
        _ => text(build.get("context")),
    };
    let context = context.unwrap_or_else(|| ".".into());
    let context = path::join(project, &context).ok_or("its build context is not in this repository")?;
    let file = text(build.get("dockerfile")).unwrap_or_else(|| "Dockerfile".into());
    let dockerfile = match build.get("dockerfile_inline") {
        Some(_) => None,
        None => Some(path::join(&context, &file).ok_or("its Dockerfile is not in this repository")?),
    };
    let target = text(build.get("target"));
    let tagged = text(image).unwrap_or_else(|| format!("{PROJECT}-{name}"));
    let platforms = build.get("platforms").map(Yaml::items).unwrap_or_default();
    let (arguments, unknown) = build.get("args").map(|args| arguments(args, &variables)).unwrap_or_default();
    let build = Build {
        origin: files.first().cloned().unwrap_or_default(),
        name: Some(name.to_owned()),
        context,
        dockerfile,
        target,
        arguments,
        platforms: platforms.iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
        by: By::Compose {
            files: files.to_vec(),
            service: name.to_owned(),
            image: tagged,
            variables: variables.used,
        },
    };
    Ok((build, unknown))
}

/// `args` as a mapping or a list: those that are known, and the name of the first that is not.
fn arguments(args: &Yaml, variables: &Variables<'_>) -> (Vec<(String, String)>, Option<String>) {
    let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pairs: Vec<(String, String)> = match args {
        Yaml::List(items) => items.iter().filter_map(|item| pair(item.text()?)).collect(),
        map => map
            .entries()
            .filter_map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned())))
            .collect(),
    };
    let (mut known, mut unknown) = (Vec::new(), None);
    for (name, value) in pairs {
        // Compose reads these by itself, so nothing is set for them.
        let mut variables = Variables { guessed: false, ..variables.clone() };
        let value = variables.interpolated(&value);
        if name.contains('$') || variables.guessed || value.contains(UNKNOWN) {
            unknown.get_or_insert(name);
        } else {
            known.push((name, value));
        }
    }
    (known, unknown)
}

/// The variables of a service.
#[derive(Clone)]
struct Variables<'s> {
    /// What `.env` sets.
    set: &'s BTreeMap<String, String>,
    /// Those that are used, by what they are taken to be.
    used: BTreeMap<String, String>,
    /// Whether the value of one of them is any.
    guessed: bool,
}

impl Variables<'_> {
    /// A text with its variables replaced by what `.env` says, by their defaults, or by some value; what each is set to
    /// is added to `used`, so that the build can set it to the same.
    fn interpolated(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, operator);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            } else if let Some(inner) = after.strip_prefix('{') {
                let (inner, after) = inner.split_once('}').unwrap_or((inner, ""));
                (name, operator) = inner.split_at(inner.find(|c| !is_name(c)).unwrap_or(inner.len()));
                rest = after;
            } else {
                (name, rest) = after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()));
                operator = "";
            }
            let default = operator.strip_prefix(":-").or_else(|| operator.strip_prefix('-'));
            let default = default.filter(|default| !default.is_empty() && !default.contains('$'));
            if !is_settable(name) || operator.starts_with(":+") || operator.starts_with('+') {
                out.push(UNKNOWN);
            } else {
                out.push_str(self.value(name, default));
            }
        }
        out + rest
    }

    /// What a variable is taken to be, from now on.
    fn value(&mut self, name: &str, default: Option<&str>) -> &str {
        let known = self.set.get(name).map(String::as_str).or(default);
        self.guessed |= known.is_none() && !self.used.contains_key(name);
        self.used.entry(name.to_owned()).or_insert_with(|| known.unwrap_or(ANY_VALUE).to_owned())
    }
}

/// Whether the build can be given a variable of this name, which is nothing to what runs it.
fn is_settable(name: &str) -> bool {
    const OTHERS: [&str; 9] =
        ["LD_", "BASH", "DOCKER_", "BUILDX_", "BUILDKIT_", "COMPOSE_", "GITHUB_", "RUNNER_", "ACTIONS_"];
    let upper = name.to_ascii_uppercase();
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !matches!(upper.as_str(), "PATH" | "HOME" | "IFS" | "ENV" | "SHELL" | "CI")
        && !OTHERS.iter().any(|start| upper.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_get_their_values_or_defaults_or_any_value() {
        let set = BTreeMap::from([("SET".to_owned(), "7".to_owned())]);
        let mut variables = Variables { set: &set, used: BTreeMap::new(), guessed: false };
        assert_eq!(variables.interpolated("${TAG:-latest}-${SET:-8}-${SET?x}-$$"), "latest-7-7-$");
        assert!(!variables.guessed);
        assert_eq!(variables.interpolated("$REGISTRY/api:${V:?set it}"), "ci/api:ci");
        assert!(variables.guessed);
        assert_eq!(variables.used.get("TAG").map(String::as_str), Some("latest"));
        assert_eq!(variables.used.len(), 4);
        for text in ["${PATH:-x}", "$1", "${}", "${A:+b}", "${GITHUB_SHA}"] {
            assert!(variables.interpolated(text).contains(UNKNOWN), "{text}");
        }
        assert_eq!(variables.used.len(), 4);
    }

    #[test]
    fn settings_are_read_where_they_are_simple() {
        let of = |line: &str| setting(line).map(|(name, value)| format!("{name}|{value}"));
        for (line, expected) in [
            ("TAG=1.2", Some("TAG|1.2")),
            (" export A_1 = 'x' ", Some("A_1|x")),
            ("A=\"b=c\"", Some("A|b=c")),
            ("# A=b", None),
            ("A=", None),
            ("A=\"\"", None),
            ("A=\"", None),
            ("A=$B", None),
            ("A=b # c", None),
            ("A B=c", None),
            ("A", None),
        ] {
            assert_eq!(of(line).as_deref(), expected, "{line}");
        }
    }

    /// What the compose file `deploy/compose.yaml` beside this `.env` builds, and what is said.
    fn of(compose: &str, env: Option<&str>) -> (Vec<Build>, Vec<String>) {
        let read = |path: &str| match path {
            "deploy/.env" => env.map(str::to_owned).ok_or_else(|| "no".to_owned()),
            _ => Ok(compose.to_owned()),
        };
        let exists = |path: &str| path != "deploy/.env" || env.is_some();
        let tree = Tree {
            workflows: Vec::new(),
            dockerfiles: Vec::new(),
            repository: ("acme".into(), "shop".into()),
            read: &read,
            exists: &exists,
        };
        builds(&["deploy/compose.yaml".to_owned()], &[], &tree).unwrap()
    }

    #[test]
    fn the_environment_beside_the_file_counts() {
        let compose = "services:\n  api:\n    build:\n      context: ${DIR}\n      args:\n        V: ${VERSION:-1}\n\
                       \x20       W: ${DIR}\n        X: a$$b\n    image: api:${TAG:?set it}\n";
        let (found, notes) = of(compose, Some("DIR=src\nVERSION=2\nTAG='3'\n"));
        assert_eq!(notes, Vec::<String>::new());
        assert_eq!(found[0].context, "deploy/src");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found[0].arguments, [pair("V", "2"), pair("W", "src"), pair("X", "a$b")]);
        let By::Compose { image, variables, .. } = &found[0].by else { panic!("{found:?}") };
        assert_eq!(image, "api:3");
        assert_eq!(*variables, BTreeMap::from([pair("DIR", "src"), pair("TAG", "3")]));
        let (found, notes) = of(compose, None);
        assert_eq!((found[0].context.as_str(), found[0].by == By::Docker), ("deploy/ci", true));
        assert!(notes.len() == 1 && notes[0].contains("the variable TAG is not there"), "{notes:?}");
    }

    #[test]
    fn what_is_left_out_is_said() {
        let compose = "services:\n  a:\n    build: {context: a, args: [\"V=$V\", W=1]}\n    image: x\n  \
                       b:\n    build: b\n    image: x\n  c:\n    build: c\n    image: y\n  d:\n    build: c\n    image: y\n";
        let (found, notes) = of(compose, None);
        assert_eq!(
            found.iter().map(|build| build.context.as_str()).collect::<Vec<_>>(),
            ["deploy/a", "deploy/c"]
        );
        assert_eq!(found[0].arguments, [("W".to_owned(), "1".to_owned())]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("the build argument V of a is not in the files"), "{notes:?}");
        assert!(notes[1].contains("b is left out, because its image is called as that of a"), "{notes:?}");
    }
}
