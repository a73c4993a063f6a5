//! The instructions of a build in a row, and what each is for.

use super::shell::{ShellCommand, commands};
use crate::dockerfile::{Facts, SourceInstruction, Stage, Work, WorkKind};
use crate::image::{Ecosystem, Snapshot, Weight};
use crate::removable::{Catalogue, RemovableKind};

/// What an instruction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It says something of the image, and adds no files: `ENV`, `CMD`.
    Config,
    /// It adds files from outside of the image.
    Copies,
    /// It makes users, directories, links; no more.
    SetsUp,
    /// It installs packages of the system that a running image may need; no more.
    InstallsPackages,
    /// It builds, or does what is not known.
    Builds,
}

/// One instruction of the build.
#[derive(Debug)]
pub(super) struct BuildStep<'a> {
    pub instruction: &'a SourceInstruction,
    /// The stage that it stands in.
    pub stage: usize,
    pub role: Role,
    /// The layer that it made, if it made one.
    pub layer: Option<u32>,
    /// The commands, where they can be told.
    pub commands: Option<Vec<ShellCommand>>,
}

/// The instructions of all stages that an image is made of, lowest first.
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

/// Whose packages a manager of a system's packages installs.
fn ecosystem_of(tool: &str) -> Ecosystem {
    match tool.split(' ').next().unwrap_or("") {
        "apk" => Ecosystem::Apk,
        "apt" | "apt-get" | "aptitude" => Ecosystem::Dpkg,
        _ => Ecosystem::Rpm,
    }
}

/// Whether only builds need a package.
pub(super) fn is_removable(catalogue: &Catalogue, ecosystem: Ecosystem, name: &str) -> bool {
    // The libraries of compilers come with them, and are asked for by name where something else needs them.
    let is_one = |kind: &RemovableKind| kind.weight <= Weight::Input || kind.name == "compiler-libraries";
    catalogue.kind_of_package(ecosystem, name).is_some_and(is_one)
}

/// The programs that make users and groups.
pub(super) const USERS: [&str; 6] = ["useradd", "adduser", "groupadd", "addgroup", "usermod", "groupmod"];

/// Whether a command, one of several, makes what takes no bytes and touches nothing that was there: whatever changes
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

/// Whether a command installs packages of the system, or clears up after that.
fn manages(command: &ShellCommand) -> bool {
    let is_option = |argument: &&str| argument.starts_with('-');
    let first = command.arguments().find(|argument| !is_option(argument)).unwrap_or("");
    match command.program() {
        "apt-get" | "apt" | "dnf" | "microdnf" | "yum" | "zypper" => {
            matches!(first, "update" | "install" | "clean" | "makecache" | "refresh" | "autoclean")
        }
        "apk" => matches!(first, "add" | "update"),
        "rm" => command.arguments().filter(|argument| !is_option(argument)).all(is_left_by_managers),
        "export" | "ldconfig" | "update-ca-certificates" => true,
        _ => false,
    }
}

/// What package managers leave behind and others clear away.
fn is_left_by_managers(path: &str) -> bool {
    ["/var/lib/apt/lists", "/var/cache/", "/tmp/", "/var/tmp/", "/var/log/"]
        .iter()
        .any(|start| path.starts_with(start))
        && !path.contains("..")
}
