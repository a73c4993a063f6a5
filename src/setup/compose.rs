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
    let mut names: Vec<&str> = Vec::new();
    let services = || documents.iter().filter_map(|document| document.get("services"));
    for (name, _) in services().flat_map(Yaml::entries) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let (mut builds, mut notes): (Vec<Build>, Vec<String>) = (Vec::new(), Vec::new());
    // Compose reads what all services need before it builds one.
    let missing = services()
        .flat_map(Yaml::entries)
        .find_map(|(_, service)| missing_file(service, project, tree).or_else(|| required_variable(service)));
    for name in names.into_iter().filter(|name| wanted.is_empty() || wanted.iter().any(|own| own == name)) {
        let of = |key: &str| services().filter_map(|services| services.get(name)?.get(key)).next_back();
        let Some(build) = of("build") else { continue };
        if !is_service_name(name) {
            notes.push(format!(
                "{first}: a service has a name that cannot be written into a command; it is left out"
            ));
            continue;
        }
        match one(name, build, of("image"), files, project) {
            Ok(build) if builds.iter().any(|other| same_image(other, &build)) => {}
            Ok(mut build) => {
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
/// a build needs itself is set for it; of the others nobody knows a value.
fn required_variable(yaml: &Yaml) -> Option<String> {
    match yaml {
        Yaml::Text(text) => {
            let demands = |inner: &str| {
                let name = inner.split_once('}')?.0.split_once('?')?.0.trim_end_matches(':');
                let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                is_name.then(|| format!("the variable {name}"))
            };
            text.split("${").skip(1).find_map(demands)
        }
        Yaml::List(items) => items.iter().find_map(required_variable),
        map => map.entries().find_map(|(_, value)| required_variable(value)),
    }
}

fn one(
    name: &str,
    build: &Yaml,
    image: Option<&Yaml>,
    files: &[String],
    project: &str,
) -> Result<Build, String> {
    let mut variables = BTreeMap::new();
    let mut text =
        |yaml: Option<&Yaml>| yaml.and_then(Yaml::text).map(|text| interpolated(text, &mut variables));
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
    Ok(Build {
        origin: files.first().cloned().unwrap_or_default(),
        name: Some(name.to_owned()),
        context,
        dockerfile,
        target,
        arguments: build.get("args").map(arguments).unwrap_or_default(),
        platforms: platforms.iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
        by: By::Compose { files: files.to_vec(), service: name.to_owned(), image: tagged, variables },
    })
}

/// `args` as a mapping or a list; those that are known.
fn arguments(args: &Yaml) -> Vec<(String, String)> {
    let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pairs: Vec<(String, String)> = match args {
        Yaml::List(items) => items.iter().filter_map(|item| pair(item.text()?)).collect(),
        map => map
            .entries()
            .filter_map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned())))
            .collect(),
    };
    pairs.into_iter().filter(|(_, value)| !value.contains('$')).collect()
}

/// A text with its variables replaced by their defaults, or by some value; what each is set to is added to
/// `variables`, so that the build can set it to the same.
fn interpolated(text: &str, variables: &mut BTreeMap<String, String>) -> String {
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
        let value =
            default.filter(|default| !default.is_empty() && !default.contains('$')).unwrap_or(ANY_VALUE);
        if !is_settable(name) || operator.starts_with(":+") || operator.starts_with('+') {
            out.push(UNKNOWN);
        } else {
            out.push_str(variables.entry(name.to_owned()).or_insert_with(|| value.to_owned()));
        }
    }
    out + rest
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
    fn variables_get_their_defaults_or_any_value() {
        let mut variables = BTreeMap::new();
        let text = interpolated("$REGISTRY/api:${TAG:-latest}-${V:?set it}-$$", &mut variables);
        assert_eq!(text, "ci/api:latest-ci-$");
        assert_eq!(variables.get("TAG").map(String::as_str), Some("latest"));
        assert_eq!(variables.len(), 3);
        for text in ["${PATH:-x}", "$1", "${}", "${A:+b}", "${GITHUB_SHA}"] {
            assert!(interpolated(text, &mut variables).contains(UNKNOWN), "{text}");
        }
        assert_eq!(variables.len(), 3);
    }
}
