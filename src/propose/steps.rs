//! The instructions of a build in order, and the role of each.

use super::shell::{ShellCommand, commands};
use crate::dockerfile::{Facts, SourceInstruction, Stage, Work, WorkKind};
use crate::image::{Ecosystem, Snapshot, Weight};
use crate::removable::{Catalogue, RemovableKind};
use crate::tools::Family;

/// The role of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It sets metadata of the image, and adds no files: `ENV`, `CMD`.
    Config,
    /// It adds files from outside the image.
    Copies,
    /// It only creates users, directories and links.
    SetsUp,
    /// It only installs system packages that a running image may need.
    InstallsPackages,
    /// It builds, or does something unknown.
    Builds,
}

/// One instruction of the build.
#[derive(Debug)]
pub(super) struct BuildStep<'a> {
    pub instruction: &'a SourceInstruction,
    /// The index of its stage.
    pub stage: usize,
    pub role: Role,
    /// The layer that it made, if it made one.
    pub layer: Option<u32>,
    /// The commands, if they are certain.
    pub commands: Option<Vec<ShellCommand>>,
}

/// The instructions of all stages of an image, lowest first.
pub(super) fn steps<'a>(
    stages: &'a [Stage],
    facts: &Facts,
    snapshot: &Snapshot,
    catalogue: &Catalogue,
) -> Vec<BuildStep<'a>> {
    let of_chain = facts.chain.iter().filter_map(|index| stages.get(*index));
    let instructions =
        of_chain.flat_map(|stage| stage.instructions.iter().map(|instruction| (stage.index, instruction)));
    let step = |(stage, instruction): (usize, &'a SourceInstruction)| {
        let commands = if instruction.keyword == "RUN" { commands(instruction) } else { None };
        let role = role(instruction, commands.as_deref(), facts, catalogue);
        let layer = layer_of(instruction.line, snapshot);
        BuildStep { instruction, stage, role, layer, commands }
    };
    instructions.map(step).collect()
}

fn layer_of(line: u32, snapshot: &Snapshot) -> Option<u32> {
    let is_from = |layer: &crate::image::Layer| layer.dockerfile.as_ref().is_some_and(|at| at.line == line);
    snapshot.layers.iter().position(is_from).map(|index| index as u32)
}

fn role(
    instruction: &SourceInstruction,
    commands: Option<&[ShellCommand]>,
    facts: &Facts,
    catalogue: &Catalogue,
) -> Role {
    match instruction.keyword {
        "RUN" => {}
        "COPY" | "ADD" => return Role::Copies,
        _ => return Role::Config,
    }
    let works = facts.works.iter().filter(|work| work.line == instruction.line);
    let is_harmless = |kind: WorkKind| {
        matches!(kind, WorkKind::InstallsPackages | WorkKind::Removes | WorkKind::RunsScript)
    };
    let is_for_builds = |work: &Work| {
        let ecosystem = ecosystem_of(&work.tool);
        work.subjects.iter().any(|name| is_removable(catalogue, ecosystem, name))
    };
    let builds = works.clone().any(|work| !is_harmless(work.kind) || is_for_builds(work));
    let Some(commands) = commands.filter(|_| !builds) else { return Role::Builds };
    let sets_up = |command: &ShellCommand| sets_up(command, commands);
    if commands.iter().all(sets_up) {
        Role::SetsUp
    } else if commands.iter().all(|command| sets_up(command) || manages(command)) {
        Role::InstallsPackages
    } else {
        Role::Builds
    }
}

/// The package type that a system package manager installs.
fn ecosystem_of(tool: &str) -> Ecosystem {
    match Family::managed_by(tool.split(' ').next().unwrap_or("")) {
        Some(Family::Apk) => Ecosystem::Apk,
        Some(Family::Apt) => Ecosystem::Dpkg,
        _ => Ecosystem::Rpm,
    }
}

/// Whether only builds need a package.
pub(super) fn is_removable(catalogue: &Catalogue, ecosystem: Ecosystem, name: &str) -> bool {
    // The libraries of compilers come with them, and are requested by name if something else needs them.
    let is_one = |kind: &RemovableKind| kind.weight <= Weight::Input || kind.name == "compiler-libraries";
    catalogue.kind_of_package(ecosystem, name).is_some_and(is_one)
}

/// Programs that create users and groups.
pub(super) const USERS: [&str; 6] = ["useradd", "adduser", "groupadd", "addgroup", "usermod", "groupmod"];

/// Whether a command, one of several, makes something that takes no bytes, and touches nothing that existed: changing
/// the owner or mode of a file stores it again.
fn sets_up(command: &ShellCommand, all: &[ShellCommand]) -> bool {
    let options = || command.arguments().filter(|argument| argument.starts_with('-'));
    match command.program() {
        "mkdir" | "set" | "true" | ":" => true,
        "ln" => options()
            .any(|option| option == "--symbolic" || !option.starts_with("--") && option.contains('s')),
        "install" => makes_directories(command),
        "chown" | "chmod" | "chgrp" => {
            let plain = command.arguments().filter(|argument| !argument.starts_with('-'));
            let is_new = |path: &str| {
                let makes = |other: &&ShellCommand| other.program() == "mkdir" || makes_directories(other);
                all.iter().filter(makes).any(|other| other.arguments().any(|argument| argument == path))
            };
            plain.skip(1).all(is_new)
        }
        program => USERS.contains(&program),
    }
}

fn makes_directories(command: &ShellCommand) -> bool {
    command.program() == "install"
        && command.arguments().any(|argument| matches!(argument, "-d" | "--directory"))
}

/// Whether a command installs system packages, or cleans up afterwards.
fn manages(command: &ShellCommand) -> bool {
    let is_option = |argument: &&str| argument.starts_with('-');
    let first = command.arguments().find(|argument| !is_option(argument)).unwrap_or("");
    match Family::managed_by(command.program()) {
        Some(Family::Apt | Family::Rpm | Family::Zypper) => {
            return matches!(
                first,
                "update" | "install" | "in" | "clean" | "makecache" | "refresh" | "ref" | "autoclean"
            );
        }
        Some(Family::Apk) => return matches!(first, "add" | "update"),
        _ => {}
    }
    match command.program() {
        "rm" => command.arguments().filter(|argument| !is_option(argument)).all(is_left_by_managers),
        "export" | "ldconfig" | "update-ca-certificates" | "debconf-set-selections" => true,
        _ => false,
    }
}

/// Whether a path holds what package managers leave behind and others clean up.
fn is_left_by_managers(path: &str) -> bool {
    ["/var/lib/apt/lists", "/var/cache/", "/tmp/", "/var/tmp/", "/var/log/"]
        .iter()
        .any(|start| path.starts_with(start))
        && !path.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::{BuildOptions, Dockerfile};
    use crate::tools::{ToolAction, tools};

    /// The facts about a command, the role that a proposal gives it, and its role judging only by the facts and only by
    /// its words.
    struct Answers {
        works: Vec<Work>,
        role: Role,
        by_facts: Role,
        by_words: Role,
    }

    fn answers(command: &str) -> Answers {
        let dockerfile = Dockerfile::parse(&format!("FROM debian:12\nRUN {command}\n")).unwrap();
        let facts = dockerfile.facts(&BuildOptions::default()).unwrap();
        let (snapshot, catalogue) = (Snapshot::made_up(Vec::new()), Catalogue::builtin());
        let steps = steps(dockerfile.stages(), &facts, &snapshot, &catalogue);
        let BuildStep { instruction, role: both, commands, .. } = steps.last().unwrap();
        let no_facts = Facts { works: Vec::new(), ..facts.clone() };
        Answers {
            works: facts.works.clone(),
            role: *both,
            by_facts: role(instruction, Some(&[]), &facts, &catalogue),
            by_words: role(instruction, commands.as_deref(), &no_facts, &catalogue),
        }
    }

    /// Names that fit a pattern: each of its alternatives, with `1` for any text.
    fn names(pattern: &str) -> Vec<String> {
        let Some((start, rest)) = pattern.split_once('{') else {
            return vec![pattern.replace("[0-9]", "1").replace('*', "1")];
        };
        let (choices, end) = rest.split_once('}').unwrap();
        choices.split(',').flat_map(|choice| names(&format!("{start}{choice}{end}"))).collect()
    }

    #[test]
    fn a_package_of_the_table_is_answered_the_same_by_facts_catalogue_and_proposal() {
        let catalogue = Catalogue::builtin();
        let (mut seen, mut wrong) = (0, Vec::new());
        // Not everything is a tool.
        let Answers { works, role, .. } = answers("apt-get install -y libpq5");
        assert!(matches!(&works[..], [work] if work.kind == WorkKind::InstallsPackages), "{works:?}");
        assert_eq!(role, Role::InstallsPackages);
        assert_eq!(catalogue.kind_of_package(Ecosystem::Dpkg, "libpq5"), None);
        let asked = tools().packages.iter().filter(|packages| !packages.kind.is_empty() && !packages.along);
        for name in asked.flat_map(|packages| &packages.names).flat_map(|name| names(name)) {
            let (package_type, name) = name.split_once(':').unwrap();
            let (install, ecosystem) = match package_type {
                "deb" => ("apt-get install -y", Ecosystem::Dpkg),
                "apk" => ("apk add", Ecosystem::Apk),
                "rpm" => ("dnf install -y", Ecosystem::Rpm),
                "pypi" => ("pip install", Ecosystem::Python),
                "gem" => ("gem install", Ecosystem::Gem),
                other => panic!("say here how a package of type {other} is installed"),
            };
            let in_image = catalogue.kind_of_package(ecosystem, name).is_some();
            let Answers { works, role, .. } = answers(&format!("{install} {name}"));
            let in_file = matches!(&works[..], [work] if work.kind == WorkKind::InstallsBuildTools && work.subjects == [name]);
            let left_behind = role == Role::Builds && is_removable(&catalogue, ecosystem, name);
            if (in_file, left_behind) != (in_image, in_image) {
                wrong.push((package_type.to_owned(), name.to_owned(), in_image, in_file, left_behind));
            }
            seen += usize::from(in_image);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(seen > 350, "only {seen} names were asked for");
    }

    /// An argument that fits a part of a phrase.
    fn argument(part: &str) -> String {
        let first = part.trim_start_matches("..").trim_start_matches('~').split('|').next().unwrap_or("");
        if first == "?" { "x".to_owned() } else { first.replace('*', "x") }
    }

    #[test]
    fn a_pipeline_with_a_command_of_the_table_that_builds_is_answered_the_same() {
        let mut seen = 0;
        let rows = tools().commands.iter().filter(|(.., does)| *does == ToolAction::Builds);
        for (program, phrase) in rows.flat_map(|row| row.0.split(' ').map(move |program| (program, &row.1))) {
            let parts = phrase.split(' ').filter(|part| !part.is_empty() && *part != "$");
            let words: Vec<String> = std::iter::once(program.to_owned()).chain(parts.map(argument)).collect();
            let command = words.join(" ");
            let lines = [
                format!("cat list | {command} | tee log"),
                format!("yes | {command}"),
                format!("mkdir -p /app && {command}"),
            ];
            for line in lines {
                let Answers { works, by_facts, by_words, .. } = answers(&line);
                assert!(works.iter().any(|work| work.kind == WorkKind::Build), "{line}: {works:?}");
                // Either is sufficient, so each is tested alone.
                assert_eq!((by_facts, by_words), (Role::Builds, Role::Builds), "{line}");
            }
            seen += 1;
        }
        assert!(seen > 200, "only {seen} commands were asked for");
    }

    #[test]
    fn a_pipeline_that_only_installs_is_answered_the_same() {
        // A command that cannot be followed counts as building.
        let unknown = answers("cat list | sort | tee log");
        assert_eq!((unknown.works, unknown.role), (Vec::new(), Role::Builds));
        let mut seen = 0;
        for (programs, phrase, does) in &tools().commands {
            let ToolAction::Installs(Family::Apt | Family::Apk | Family::Rpm | Family::Zypper) = does else {
                continue;
            };
            let verbs: Vec<&str> =
                phrase.split('|').filter(|verb| ["install", "in", "add"].contains(verb)).collect();
            for (program, verb) in programs.split(' ').flat_map(|of| verbs.iter().map(move |verb| (of, verb)))
            {
                for (name, kind, expected) in [
                    ("libpq5", WorkKind::InstallsPackages, Role::InstallsPackages),
                    ("make", WorkKind::InstallsBuildTools, Role::Builds),
                ] {
                    let install = format!("{program} {verb} {name}");
                    for line in [format!("yes | {install}"), format!("echo y | {install} && mkdir -p /app")] {
                        let Answers { works, role, .. } = answers(&line);
                        let found: Vec<_> =
                            works.iter().map(|work| (work.kind, &work.subjects[..])).collect();
                        assert_eq!(found, [(kind, &[name.to_owned()][..])], "{line}");
                        assert_eq!(role, expected, "{line}");
                    }
                    seen += 1;
                }
            }
        }
        assert!(seen > 20, "only {seen} commands were asked for");
        assert_eq!(answers("mkdir -p /app && true").role, Role::SetsUp);
    }
}
