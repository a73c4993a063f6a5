//! What else in a Dockerfile may need what an instruction leaves behind. A suggestion must be safe, so it is made only
//! if all other commands are known not to need it: anything that cannot be read, such as a script of the project, may
//! need anything.

use super::script::{PlainCommand, PlainScript};
use crate::dockerfile::{CopyOrigin, Dockerfile, SourceInstruction, Stage, StageBase};

/// What an instruction leaves behind that something else may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// apt's package lists.
    AptLists,
    /// apk's package index.
    ApkIndex,
    /// npm packages that only development needs.
    DevDependencies,
    /// pip's downloads. pip asks the package index all the same, so only commands that read the files need them.
    PipCache,
    /// npm's downloads, which `npm ci --offline` needs.
    NpmCache,
}

/// How a command affects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Harmless,
    /// Fetches it again.
    Renews,
    MayNeed,
}

/// Commands that handle files, users and texts, and run no others.
const HARMLESS: &str = "
    : [ adduser addgroup apt-key apt-mark base64 basename break bunzip2 bzip2 cat cd chgrp chmod chown
    chpasswd cmp cp curl cut date deluser diff dirname done dpkg dpkg-query du echo esac exit export false
    fc-cache fi getent gpg grep groupadd groupmod gunzip gzip head id install ldconfig ln locale-gen
    localedef ls md5sum mkdir mktemp mv printf pwd readlink rm rmdir sed set setcap sha256sum sleep sort
    stat tail tee test touch tr true truncate umask uname unset unxz unzip update-ca-certificates useradd
    usermod wget which }
";
/// Package managers of languages, with the subcommands that install or build. They use no other package manager.
const LANGUAGES: [(&str, &[&str]); 15] = [
    ("bundle", &["install", "config"]),
    ("cargo", &["build", "fetch", "install"]),
    ("composer", &["install"]),
    ("corepack", &["enable", "prepare"]),
    ("gem", &["install"]),
    ("go", &["build", "install", "mod"]),
    ("npm", &["ci", "install", "i", "cache", "prune"]),
    ("pip", &["install", "cache"]),
    ("pip3", &["install", "cache"]),
    ("pipenv", &["install"]),
    ("pnpm", &["install", "i"]),
    ("poetry", &["install", "config"]),
    ("rustup", &["target", "component", "default"]),
    ("uv", &["sync", "pip"]),
    ("yarn", &["install"]),
];
/// Options of apt and apk whose value is the next word.
const WITH_VALUE: [&str; 10] =
    ["-o", "-c", "-t", "-a", "--option", "--config-file", "--target-release", "-X", "-p", "--repository"];
/// Options and variables that make use of existing downloads, or set where they are.
const OFFLINE: [&str; 9] = [
    "offline",
    "OFFLINE",
    "no-index",
    "NO_INDEX",
    "find-links",
    "FIND_LINKS",
    "/.cache",
    "/.npm",
    "--cache-dir",
];

impl Leftover {
    /// Whether something in this Dockerfile may need what one of its instructions leaves: later instructions of its
    /// stage, or stages that are built on it or copy files from it; for npm packages, also what a container starts.
    pub fn may_be_needed(self, dockerfile: &Dockerfile, instruction: &SourceInstruction) -> bool {
        let Some(stage) = dockerfile.stages().iter().find(|stage| stage.instructions.contains(instruction))
        else {
            return true;
        };
        let is_above = |other: &SourceInstruction| other.line > instruction.line;
        let stages: Vec<&Stage> = above(dockerfile, stage);
        let others = stages.iter().skip(1).flat_map(|other| &other.instructions);
        let mut later = stage.instructions.iter().filter(|other| is_above(other)).chain(others);
        later.any(|other| self.is_needed_by(other)) || self.is_started(dockerfile, stage, &stages)
    }

    /// Whether later commands of the same instruction need it.
    pub fn is_needed_within<'a>(self, commands: impl Iterator<Item = &'a PlainCommand<'a>>) -> bool {
        commands.into_iter().any(|command| self.effect(command.words()) == Effect::MayNeed)
    }

    fn is_needed_by(self, instruction: &SourceInstruction) -> bool {
        let said = |words: &[&str]| words.iter().any(|word| instruction.text.contains(word));
        match (self, instruction.keyword) {
            (Leftover::AptLists, "RUN") if said(&["var/lib/apt", "var/cache/apt"]) => true,
            (Leftover::PipCache | Leftover::NpmCache, _) if said(&OFFLINE) => true,
            (_, "RUN") => self.is_needed_by_run(instruction),
            (_, "ONBUILD") => said(&["RUN"]),
            _ => false,
        }
    }

    fn is_needed_by_run(self, instruction: &SourceInstruction) -> bool {
        if let Some(words) = instruction.json() {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            return self.effect(&words) == Effect::MayNeed;
        }
        let text = format!("RUN {}", instruction.arguments);
        let script = PlainScript::of_run(&text).filter(|_| instruction.here_documents.is_empty());
        let Some(script) = script else { return self != Leftover::PipCache };
        for command in script.commands() {
            match self.effect(command.words()) {
                Effect::Harmless => {}
                // Commands after it use the renewed one, if it certainly runs.
                Effect::Renews if script.runs_all() => return false,
                Effect::Renews => {}
                Effect::MayNeed => return true,
            }
        }
        false
    }

    fn effect(self, words: &[&str]) -> Effect {
        let (program, arguments) = words.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
        let is_harmless = is_harmless_program(program)
            || program == "for"
            || program == "find"
                && !arguments.iter().any(|word| word.starts_with("-exec") || word.starts_with("-ok"))
            || matches!(program, "tar" | "git") && !arguments.iter().any(|word| word.contains("command"));
        let subcommand = subcommand(arguments);
        let is_any = |names: &[&str]| names.contains(&subcommand);
        let installs_language = || {
            let of = |(name, known): &(&str, &[&str])| *name == program && is_any(known);
            LANGUAGES.iter().any(of)
                || matches!(program, "python" | "python3") && arguments.starts_with(&["-m", "pip", "install"])
        };
        let harmless = |is: bool| if is { Effect::Harmless } else { Effect::MayNeed };
        match (self, program) {
            _ if is_harmless => Effect::Harmless,
            (Leftover::AptLists, "apt" | "apt-get" | "aptitude") if subcommand == "update" => Effect::Renews,
            (Leftover::AptLists, "apt" | "apt-get" | "aptitude") => {
                harmless(is_any(&["clean", "autoclean", "autoremove", "remove", "purge"]))
            }
            (Leftover::ApkIndex, "apk") if arguments.contains(&"--no-cache") => Effect::Harmless,
            (Leftover::ApkIndex, "apk") if subcommand == "update" => Effect::Renews,
            (Leftover::ApkIndex, "apk") => harmless(is_any(&["del", "info"])),
            (Leftover::AptLists | Leftover::ApkIndex, _) => harmless(installs_language()),
            (Leftover::DevDependencies, "apt" | "apt-get" | "apk" | "aptitude") => Effect::Harmless,
            (Leftover::DevDependencies, "npm") => harmless(subcommand == "cache"),
            (Leftover::DevDependencies, "pip" | "pip3" | "python" | "python3") => {
                harmless(installs_language())
            }
            (Leftover::DevDependencies, _) => Effect::MayNeed,
            (Leftover::PipCache, _) => Effect::Harmless,
            // `npm run build` requests no packages; what a file of the project does is unknown.
            (Leftover::NpmCache, _) => harmless(!is_script(program, arguments)),
        }
    }

    /// Whether what a container starts may need it.
    fn is_started(self, dockerfile: &Dockerfile, stage: &Stage, above: &[&Stage]) -> bool {
        if self != Leftover::DevDependencies {
            return false;
        }
        let mut stages: Vec<&Stage> = above.to_vec();
        let mut below = &stage.resolved;
        while let StageBase::Stage(index) = below {
            let Some(stage) = dockerfile.stages().get(*index) else { return true };
            stages.push(stage);
            below = &stage.resolved;
        }
        let starts = |one: &&SourceInstruction| matches!(one.keyword, "CMD" | "ENTRYPOINT" | "HEALTHCHECK");
        stages.iter().flat_map(|stage| &stage.instructions).filter(starts).any(starts_by_dependencies)
    }
}

/// A stage, and those that are built on it or copy files from it, in order.
fn above<'d>(dockerfile: &'d Dockerfile, stage: &'d Stage) -> Vec<&'d Stage> {
    let mut found = vec![stage];
    for other in dockerfile.stages().iter().skip(stage.index + 1) {
        let is_found = |index: usize| found.iter().any(|one| one.index == index);
        let takes = |origin: &CopyOrigin| match origin {
            CopyOrigin::Stage(index) => is_found(*index),
            CopyOrigin::Image(name) => name.contains('$'),
        };
        let is_on = match &other.resolved {
            StageBase::Stage(index) => is_found(*index),
            // A build argument may name the stage.
            _ => other.base.contains('$'),
        };
        if is_on || other.uses.iter().any(|used| takes(&used.origin)) {
            found.push(other);
        }
    }
    found
}

/// The first word that is not an option.
fn subcommand<'a>(arguments: &[&'a str]) -> &'a str {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(word) {
            words.next();
        } else if !word.starts_with('-') {
            return word;
        }
    }
    ""
}

/// Assignments alone run nothing.
fn is_harmless_program(program: &str) -> bool {
    program.is_empty() || HARMLESS.split_whitespace().any(|known| known == program)
}

/// Whether a command runs a file, or the content of a variable.
fn is_script(program: &str, arguments: &[&str]) -> bool {
    let is_shell =
        matches!(program, "sh" | "bash" | "ash" | "dash" | "zsh" | "." | "source" | "eval" | "exec" | "make");
    let is_interpreter =
        matches!(program, "python" | "python3" | "node" | "perl" | "ruby" | "xargs" | "env" | "sudo");
    let is_module = arguments.first() == Some(&"-m");
    is_shell || is_interpreter && !is_module || program.contains(['/', '$', '"', '\''])
}

/// Whether a container starts anything but a program of the app: through npm or one of its packages, or through a
/// script. What an app itself needs is not a development dependency (npm, "package.json").
fn starts_by_dependencies(instruction: &SourceInstruction) -> bool {
    const BEFORE: [&str; 5] = ["tini", "/sbin/tini", "/usr/bin/tini", "dumb-init", "docker-entrypoint.sh"];
    let arguments = instruction.arguments.trim();
    let is_check = instruction.keyword == "HEALTHCHECK";
    let arguments = if is_check { arguments.trim_start_matches("CMD").trim() } else { arguments };
    if is_check && arguments.eq_ignore_ascii_case("NONE") {
        return false;
    }
    let is_app = |words: &[&str]| {
        let before = words.iter().take_while(|word| BEFORE.contains(word) || **word == "--").count();
        match words.get(before..).unwrap_or_default() {
            [] => true,
            ["node", rest @ ..] => is_node_app(rest),
            [program, ..] => is_harmless_program(program),
        }
    };
    if let Ok(words) = serde_json::from_str::<Vec<String>>(arguments) {
        return !is_app(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let text = format!("RUN {arguments}");
    PlainScript::of_run(&text).is_none_or(|script| !script.commands().iter().all(|one| is_app(one.words())))
}

/// Whether `node` runs a file of the app, and nothing before it.
fn is_node_app(arguments: &[&str]) -> bool {
    const HARMLESS: [&str; 5] = [
        "--enable-source-maps",
        "--max-old-space-size",
        "--max_old_space_size",
        "--no-warnings",
        "--unhandled-rejections",
    ];
    let is_option = |word: &&&str| HARMLESS.contains(&word.split('=').next().unwrap_or_default());
    let options = arguments.iter().take_while(is_option).count();
    let is_code = |file: &str| {
        let name = file.rsplit('/').next().unwrap_or_default();
        !file.starts_with('-')
            && !file.contains("node_modules")
            && (!name.contains('.')
                || [".js", ".mjs", ".cjs", "."].iter().any(|ending| name.ends_with(ending)))
    };
    arguments.get(options).is_some_and(|file| is_code(file))
}

/// Whether the `RUN` instructions of a Dockerfile are written for a shell like `sh`.
pub(super) fn has_plain_shell(dockerfile: &Dockerfile) -> bool {
    let shells = dockerfile.stages().iter().flat_map(|stage| &stage.instructions);
    shells.filter(|one| one.keyword == "SHELL").all(|one| {
        let words = one.json().unwrap_or_default();
        let program = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        matches!(program, "sh" | "bash" | "ash" | "dash" | "zsh" | "ksh")
            && words.last().is_some_and(|word| word.ends_with('c'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether something in a Dockerfile may need what its first `RUN` leaves.
    fn is_needed(leftover: Leftover, text: &str) -> bool {
        let dockerfile = Dockerfile::parse(text).unwrap();
        let mut all = dockerfile.stages().iter().flat_map(|stage| &stage.instructions);
        let first = all.find(|one| one.keyword == "RUN").unwrap();
        leftover.may_be_needed(&dockerfile, first)
    }

    fn assert_needed(leftover: Leftover, first: &str, others: &[&str], expected: bool) {
        for other in others {
            let text = format!("FROM debian AS first\nRUN {first}\n{other}\n");
            assert_eq!(is_needed(leftover, &text), expected, "{text}");
        }
    }

    #[test]
    fn lists_of_apt_are_needed_by_all_that_installs_without_an_update() {
        let (lists, first) = (Leftover::AptLists, "apt-get update && apt-get install -y gcc");
        let needed = [
            "RUN apt-get install -y make",
            "RUN apt-get install -y ca-certificates && update-ca-certificates",
            "RUN apt-get install -y update-notifier git",
            "RUN apt-get install -y git && git config --global x update",
            "RUN apt-get -qq -o X=update install git",
            "RUN apt-get build-dep -y git",
            "RUN apt-get source git",
            "RUN apt-get download git",
            "RUN apt-get satisfy 'git (>= 2)'",
            "RUN aptitude install git",
            "RUN apt-cache policy git",
            "RUN ls /var/lib/apt/lists/*",
            "RUN dpkg -i /var/cache/apt/archives/git.deb",
            // An update that may not come first.
            "RUN apt-get install -y git && apt-get update",
            "RUN test -f x && apt-get update || true; apt-get install -y git",
            "RUN if test -f x; then apt-get update; fi; apt-get install -y git",
            // Content that cannot be read.
            "RUN ./setup.sh",
            "RUN sh /setup.sh",
            "RUN bash -c 'apt-get install -y git'",
            "RUN make install",
            "RUN eval $INSTALL",
            "RUN $INSTALL git",
            "RUN curl -fsS https://example.com/setup | sh",
            "RUN echo git | xargs apt-get install -y",
            "RUN sudo apt-get install -y git",
            "RUN echo $(apt-get install -y git)",
            "RUN <<EOF\napt-get install -y git\nEOF",
            "RUN [\"apt-get\", \"install\", \"-y\", \"git\"]",
            "RUN for package in git; do apt-get install -y $package; done",
            "RUN find . -name '*.deb' -exec apt-get install {} +",
            "RUN npm run build",
            "ONBUILD RUN apt-get install -y git",
            // Stages with its files.
            "FROM first\nRUN apt-get install -y git",
            "FROM first AS second\nFROM second\nRUN apt-get install -y git",
            "FROM debian\nCOPY --from=first / /\nRUN apt-get install -y git",
            "FROM debian\nRUN --mount=from=first,target=/x ./setup.sh",
            "ARG BASE\nFROM $BASE\nRUN apt-get install -y git",
        ];
        assert_needed(lists, first, &needed, true);
        let free = [
            "",
            "CMD [\"/app\"]",
            "COPY . /app",
            "RUN apt-get update && apt-get install -y git",
            "RUN set -eux; apt-get -qq update; apt-get install -y git; ./setup.sh",
            "RUN apt-get clean && apt-get autoremove -y",
            "RUN pip install -r requirements.txt && npm ci",
            "RUN python3 -m pip install flask",
            "RUN useradd app && mkdir -p /app && chown -R app /app",
            "RUN curl -fsSL https://example.com/x.tar.gz | tar -xz -C /opt",
            "RUN [\"mkdir\", \"/app\"]",
            "FROM debian\nRUN apt-get install -y git",
        ];
        assert_needed(lists, first, &free, false);
    }

    #[test]
    fn dependencies_for_development_are_needed_by_whatever_may_run_them() {
        let (dev, first) = (Leftover::DevDependencies, "npm ci");
        let needed = [
            "RUN npm run build",
            "RUN vite build",
            "RUN make build",
            "RUN node build.js",
            "RUN webpack --mode production",
            "RUN gulp",
            "RUN next build",
            "RUN ng build",
            "RUN ./build.sh",
            "RUN bun run build",
            "RUN npx tsc",
            "RUN node_modules/.bin/tsc",
            "RUN corepack yarn build",
            "RUN find . -exec eslint {} +",
            "CMD npm start",
            "CMD [\"npx\", \"nodemon\"]",
            "CMD [\"node\", \"--import\", \"tsx\", \"server.js\"]",
            "CMD [\"node\", \"server.ts\"]",
            "CMD [\"node\", \"node_modules/.bin/vite\"]",
            "ENTRYPOINT [\"./start.sh\"]",
            "ENTRYPOINT [\"tini\", \"--\", \"npm\", \"start\"]",
            "HEALTHCHECK --interval=5s CMD npx check",
            "FROM first\nRUN vite build",
            "FROM first\nCMD [\"npm\", \"start\"]",
            "FROM node\nCOPY --from=first /app/node_modules node_modules\nRUN vite build",
        ];
        assert_needed(dev, first, &needed, true);
        let free = [
            "",
            "COPY . .",
            "RUN mkdir /data && chown node /data",
            "RUN apt-get update && apt-get install -y curl",
            "CMD [\"node\", \"server.js\"]",
            "CMD node --enable-source-maps dist/server.mjs",
            "ENTRYPOINT [\"tini\", \"--\", \"node\", \".\"]",
            "HEALTHCHECK --interval=5s CMD curl -fsS http://localhost || exit 1",
            "HEALTHCHECK NONE",
            "FROM node\nRUN vite build",
        ];
        assert_needed(dev, first, &free, false);
        // It runs the command of a stage below.
        assert!(is_needed(dev, "FROM node AS below\nCMD npm start\nFROM below\nRUN npm ci\n"));
    }

    #[test]
    fn what_was_downloaded_is_needed_by_who_must_not_ask_again() {
        let npm =
            ["RUN npm ci --offline", "RUN ./build.sh", "ENV npm_config_prefer_offline=true\nRUN npm ci"];
        assert_needed(Leftover::NpmCache, "npm ci", &npm, true);
        assert_needed(
            Leftover::NpmCache,
            "npm ci",
            &["RUN npm run build", "CMD [\"npm\", \"start\"]"],
            false,
        );
        let pip = [
            "RUN pip install --no-index --find-links /root/.cache/pip flask",
            "FROM python\nCOPY --from=first /root/.cache /root/.cache",
        ];
        assert_needed(Leftover::PipCache, "pip install flask", &pip, true);
        let free = ["RUN pip install --no-cache-dir flask", "RUN python manage.py collectstatic", "RUN ./x"];
        assert_needed(Leftover::PipCache, "pip install flask", &free, false);
        let apk = ["RUN apk add git", "RUN apk add --no-network git", "RUN ./x", "RUN apk fetch git"];
        assert_needed(Leftover::ApkIndex, "apk add curl", &apk, true);
        let free = ["RUN apk add --no-cache git", "RUN apk update && apk add git", "RUN apk del curl"];
        assert_needed(Leftover::ApkIndex, "apk add curl", &free, false);
    }

    #[test]
    fn only_the_language_of_sh_is_read() {
        let is_plain = |shell: &str| {
            has_plain_shell(
                &Dockerfile::parse(&format!("FROM x\nSHELL {shell}\nRUN pip install x\n")).unwrap(),
            )
        };
        assert!(is_plain("[\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]") && is_plain("[\"sh\", \"-ec\"]"));
        assert!(!is_plain("[\"python3\", \"-c\"]") && !is_plain("[\"pwsh\", \"-Command\"]"));
        assert!(!is_plain("[\"cmd\", \"/S\", \"/C\"]"));
    }
}
