//! What a command line of a container engine builds.

use super::path;

/// Options of the commands below that take no value after them.
const SWITCHES: [&str; 24] = [
    "--load",
    "--push",
    "--no-cache",
    "--pull",
    "-q",
    "--quiet",
    "--rm",
    "--force-rm",
    "--squash",
    "--compress",
    "--disable-content-trust",
    "--check",
    "-D",
    "--debug",
    "--print",
    "--parallel",
    "--build",
    "-d",
    "--detach",
    "--wait",
    "--abort-on-container-exit",
    "--remove-orphans",
    "--with-dependencies",
    "--dry-run",
];

/// What is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// One image, by a Dockerfile.
    Image(ImageCall),
    /// Services of compose files; of those that are usual, where none is named.
    Compose {
        /// `-f`.
        files: Vec<String>,
        /// All, where none is named.
        services: Vec<String>,
    },
    /// Targets of bake files.
    Bake {
        /// `-f`.
        files: Vec<String>,
        /// The default ones, where none is named.
        targets: Vec<String>,
    },
}

/// `docker build`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageCall {
    /// The last word.
    pub context: String,
    /// `-f`.
    pub file: Option<String>,
    /// `--target`.
    pub target: Option<String>,
    /// `-t`.
    pub tags: Vec<String>,
    /// `--build-arg`.
    pub arguments: Vec<String>,
    /// `--platform`, each.
    pub platforms: Vec<String>,
    /// Whether it needs what is not in the repository: `--secret`, `--ssh`.
    pub secrets: bool,
}

/// What a command builds, by its words; nothing where it builds no image.
pub fn call_of(words: &[String]) -> Option<Call> {
    let (program, arguments) = words.split_first()?;
    match program.as_str() {
        "docker-compose" | "podman-compose" => compose(arguments),
        "docker" | "podman" | "nerdctl" => engine(after_globals(arguments)),
        "buildah" => match arguments.split_first()? {
            (command, rest) if command == "bud" || command == "build" => image(rest),
            _ => None,
        },
        _ => None,
    }
}

fn engine(words: &[String]) -> Option<Call> {
    let (command, rest) = words.split_first()?;
    match (command.as_str(), rest.first().map(String::as_str)) {
        ("compose", _) => compose(rest),
        ("build", _) => image(rest),
        ("buildx" | "image" | "builder", Some("build" | "b")) => image(&rest[1..]),
        ("buildx", Some("bake" | "f")) => {
            let (options, targets) = options(&rest[1..]);
            Some(Call::Bake { files: values(&options, &["-f", "--file"]), targets })
        }
        _ => None,
    }
}

/// What is after the engine's own options.
fn after_globals(mut words: &[String]) -> &[String] {
    while let Some((word, rest)) = words.split_first().filter(|(word, _)| word.starts_with('-')) {
        let takes_value =
            ["-c", "--context", "-H", "--host", "--config", "-l", "--log-level"].contains(&word.as_str());
        words = rest.get(usize::from(takes_value)..).unwrap_or_default();
    }
    words
}

fn image(words: &[String]) -> Option<Call> {
    let (options, places) = options(words);
    let one = |names: &[&str]| values(&options, names).pop();
    let has = |name: &str| options.iter().any(|(own, _)| own == name);
    let platforms = values(&options, &["--platform"]);
    Some(Call::Image(ImageCall {
        context: places.into_iter().next_back()?,
        file: one(&["-f", "--file"]),
        target: one(&["--target"]),
        tags: values(&options, &["-t", "--tag"]),
        arguments: values(&options, &["--build-arg"]),
        platforms: platforms.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        secrets: has("--secret") || has("--ssh"),
    }))
}

/// `compose build`, and `compose up --build`.
fn compose(words: &[String]) -> Option<Call> {
    let place = words.iter().position(|word| word == "build" || word == "up")?;
    let (globals, before) = options(&words[..place]);
    let (own, services) = options(&words[place + 1..]);
    let builds = words[place] == "build" || own.iter().any(|(name, _)| name == "--build");
    let files = values(&globals, &["-f", "--file"]);
    // Paths would be told from another directory.
    let elsewhere = globals.iter().any(|(name, _)| name == "--project-directory");
    (builds && before.is_empty() && !elsewhere).then_some(Call::Compose { files, services })
}

/// The options of a command, each with its value, and the other words.
fn options(words: &[String]) -> (Vec<(String, Option<String>)>, Vec<String>) {
    let (mut options, mut others) = (Vec::new(), Vec::new());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            others.extend(words.cloned());
            break;
        }
        match word.split_once('=') {
            Some((name, value)) if name.starts_with('-') => {
                options.push((name.to_owned(), Some(value.to_owned())));
            }
            _ if !word.starts_with('-') || word == "-" => others.push(word.clone()),
            _ if SWITCHES.contains(&word.as_str()) => options.push((word.clone(), None)),
            // `-tname`
            _ if !word.starts_with("--") && word.len() > 2 && word.is_ascii() => {
                options.push((word[..2].to_owned(), Some(word[2..].to_owned())));
            }
            _ => options.push((word.clone(), words.next().cloned())),
        }
    }
    (options, others)
}

fn values(options: &[(String, Option<String>)], names: &[&str]) -> Vec<String> {
    let of = options.iter().filter(|(name, _)| names.contains(&name.as_str()));
    of.filter_map(|(_, value)| value.clone()).collect()
}

/// Where a command such as `cd DIR` leads; nothing where that is not known, or outside.
pub fn directory_after(words: &[String], directory: &str) -> Option<Option<String>> {
    match words.split_first()? {
        (program, arguments) if program == "cd" || program == "pushd" => {
            Some(arguments.last().and_then(|target| path::join(directory, target)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Call> {
        call_of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn builds_are_told_from_what_builds_no_image() {
        let Some(Call::Image(image)) = of(
            "docker --context x buildx build --push -t a/b:1 -tc --build-arg=V=3 --platform linux/amd64,linux/arm64 \
             -f x/Dockerfile --target prod --cache-from type=gha .",
        ) else {
            panic!()
        };
        assert_eq!((image.context.as_str(), image.file.as_deref()), (".", Some("x/Dockerfile")));
        assert_eq!((image.tags.len(), image.platforms.len()), (2, 2));
        assert_eq!((image.target.as_deref(), image.arguments), (Some("prod"), vec!["V=3".to_owned()]));
        for line in ["docker build .", "podman build .", "docker image build -q .", "buildah bud ."] {
            assert!(matches!(of(line), Some(Call::Image(_))), "{line}");
        }
        for line in [
            "docker run x build .",
            "docker push a",
            "docker build",
            "docker",
            "make build",
            "docker compose up -d",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn services_and_targets_are_told_from_files() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (line, files, services) in [
            ("docker compose build", vec![], vec![]),
            (
                "docker compose -f a.yml --file=b.yml build --pull api web",
                vec!["a.yml", "b.yml"],
                vec!["api", "web"],
            ),
            ("docker-compose up -d --build api", vec![], vec!["api"]),
        ] {
            let expected = Call::Compose { files: words(&files), services: words(&services) };
            assert_eq!(of(line), Some(expected), "{line}");
        }
        assert_eq!(
            of("docker buildx bake -f x.hcl --set a.b=c --push api"),
            Some(Call::Bake { files: words(&["x.hcl"]), targets: words(&["api"]) })
        );
    }
}
