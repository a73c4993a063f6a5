//! What a command line of a container engine builds.

use super::path;

/// Options of the commands below that take no value after them.
const SWITCHES: [&str; 51] = [
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
    "--no-deps",
    "--force-recreate",
    "--no-recreate",
    "--always-recreate-deps",
    "--renew-anon-volumes",
    "-V",
    "--no-color",
    "--no-log-prefix",
    "--no-start",
    "--no-build",
    "--quiet-pull",
    "--quiet-build",
    "--timestamps",
    "--abort-on-container-failure",
    "--watch",
    "-w",
    "--menu",
    "-y",
    "--yes",
    "--compatibility",
    "--verbose",
    "--no-ansi",
    "--all-resources",
    "--no-rm",
    "--layers",
    "--squash-all",
    "--all-platforms",
];

/// Directories that are pushed, and shells inside of shells, are followed so far.
const MAX_DEPTH: usize = 64;

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

impl ImageCall {
    /// Whether the Dockerfile, or all that is built from, is what the command reads from its standard input.
    pub fn is_from_input(&self) -> bool {
        self.context == "-" || self.file.as_deref() == Some("-")
    }
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
    let mut own = words[place + 1..].to_vec();
    if words[place] == "up" {
        // Here it takes a value, and says nothing of what is built.
        while let Some(at) = own.iter().position(|word| word == "--pull") {
            own.drain(at..own.len().min(at + 2));
        }
    }
    let (own, services) = options(&own);
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

/// Where the commands of a script run.
pub struct Directory {
    now: Place,
    /// Of the shells that this one is started by.
    outer: Vec<Place>,
    /// How many those are.
    depth: usize,
}

/// Where one shell is. A directory that is not known, or outside of the repository, is nothing.
#[derive(Clone)]
struct Place {
    directory: Option<String>,
    /// Where `cd -` leads.
    before: Option<String>,
    /// Where `popd` leads.
    pushed: Vec<Option<String>>,
}

impl Directory {
    /// A script that is started here.
    pub fn new(directory: Option<String>) -> Directory {
        Directory { now: Place { directory, before: None, pushed: Vec::new() }, outer: Vec::new(), depth: 0 }
    }

    /// Where the next command runs.
    pub fn path(&self) -> Option<&str> {
        self.now.directory.as_deref()
    }

    /// Another shell begins.
    pub fn enter(&mut self) {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            self.outer.push(self.now.clone());
        } else {
            self.now.directory = None;
        }
    }

    /// It ends, and the one that has started it is still where it was.
    pub fn leave(&mut self) {
        if self.depth <= MAX_DEPTH
            && let Some(place) = self.outer.pop()
        {
            self.now = place;
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Follows `cd`, `pushd` and `popd`; whether the command is one of them.
    pub fn follow(&mut self, words: &[String]) -> bool {
        let Some((program, arguments)) = words.split_first() else { return false };
        let target = arguments.last().map(String::as_str);
        let to = match (program.as_str(), target) {
            ("cd", Some("-")) => self.now.before.clone(),
            ("cd", target) => self.to(target),
            // These change the stack itself, or its order.
            ("pushd", Some("-n") | None) => None,
            ("pushd", target) => {
                let to = self.to(target.filter(|target| !target.starts_with(['+', '-'])));
                if self.now.pushed.len() == MAX_DEPTH {
                    self.now.pushed.clear();
                }
                self.now.pushed.push(self.now.directory.clone());
                to
            }
            ("popd", None) => self.now.pushed.pop().flatten(),
            ("popd", Some(_)) => None,
            _ => return false,
        };
        self.now.before = std::mem::replace(&mut self.now.directory, to);
        true
    }

    /// Where a path leads. From where nobody knows, only the root is known, which is how a script sees the workspace.
    fn to(&self, target: Option<&str>) -> Option<String> {
        match (&self.now.directory, target?) {
            (None, ".") => Some(".".to_owned()),
            (directory, target) => path::join(directory.as_deref()?, target),
        }
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

    #[test]
    fn switches_eat_no_service() {
        for (line, expected) in [
            ("docker compose up -d --no-deps --build api", "api"),
            ("docker compose up --build --force-recreate -V api", "api"),
            ("docker compose up --no-color --no-start --always-recreate-deps --build api", "api"),
            ("docker compose up --pull always --build --exit-code-from db api", "api"),
            ("docker compose --compatibility build --pull api", "api"),
        ] {
            let Some(Call::Compose { services, .. }) = of(line) else { panic!("{line}") };
            assert_eq!(services, [expected], "{line}");
        }
    }

    #[test]
    fn a_dockerfile_of_standard_input_is_told() {
        for (line, expected) in
            [("docker build -", true), ("docker build -f - .", true), ("docker build .", false)]
        {
            let Some(Call::Image(image)) = of(line) else { panic!("{line}") };
            assert_eq!(image.is_from_input(), expected, "{line}");
        }
    }

    /// Where a script ends up; `(` and `)` are shells.
    fn after(script: &str) -> Option<String> {
        let mut directory = Directory::new(Some("x".to_owned()));
        for command in script.split("; ") {
            match command {
                "(" => directory.enter(),
                ")" => directory.leave(),
                command => {
                    let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
                    assert!(directory.follow(&words), "{command}");
                }
            }
        }
        directory.path().map(str::to_owned)
    }

    #[test]
    fn directories_are_left_as_they_are_entered() {
        for (script, expected) in [
            ("cd a", Some("x/a")),
            ("cd a; cd ../b", Some("x/b")),
            ("cd a; cd -", Some("x")),
            ("(; cd a; )", Some("x")),
            ("cd a; (; cd b; (; cd c; ); )", Some("x/a")),
            ("pushd a; cd b; popd", Some("x")),
            ("pushd a; pushd b; popd", Some("x/a")),
            ("pushd a; (; popd; ); popd", Some("x")),
            ("cd", None),
            ("cd /tmp; cd a", None),
            ("cd /tmp; cd .", Some(".")),
            ("pushd /tmp; popd", Some("x")),
            ("popd", None),
            ("pushd +1", None),
            (")", Some("x")),
        ] {
            assert_eq!(after(script).as_deref(), expected, "{script}");
        }
        let deep = "(; ".repeat(MAX_DEPTH + 9) + "cd a" + &"; )".repeat(MAX_DEPTH + 9);
        assert_eq!(after(&deep).as_deref(), Some("x"));
        let deep = "(; ".repeat(MAX_DEPTH + 1) + "cd a";
        assert_eq!(after(&deep), None);
    }
}
