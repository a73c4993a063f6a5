//! What a repeated instruction should clean up, and does not.

use super::context::BuildContext;
use super::steps::{BuildStep, Role};
use super::tree::is_inside;
use crate::image::{Bytes, Entry};

/// Indexes and downloads of package managers, and the commands that remove them.
const LEFT: &[(&[u8], &str)] = &[
    (b"var/lib/apt/lists", "rm -rf /var/lib/apt/lists/*"),
    (b"var/cache/apt/archives", "apt-get clean"),
    (b"var/cache/apk", "rm -rf /var/cache/apk/*"),
];

/// What to add to an instruction.
#[derive(Debug, Default)]
pub(super) struct Cleanup {
    /// The commands, joined with `&&`.
    pub command: String,
    /// The bytes that they remove.
    pub bytes: Bytes,
}

/// What to add to an instruction that installs packages, if something certainly helps.
pub(super) fn cleanup(context: &BuildContext<'_>, index: usize) -> Option<Cleanup> {
    let step = context.steps.get(index).filter(|step| step.role == Role::InstallsPackages)?;
    if step.instruction.json().is_some() || !step.instruction.here_documents.is_empty() {
        return None;
    }
    let is_complete = !step.instruction.arguments.trim_end().ends_with([';', '&', '|', '\\']);
    let needs_lists = |later: &BuildStep<'_>| later.role == Role::InstallsPackages && !updates(later);
    if !is_complete || context.steps.get(index + 1..)?.iter().any(needs_lists) {
        return None;
    }
    let file_list = context.layers.get(step.layer? as usize)?;
    let mut cleanup = Cleanup::default();
    for (place, command) in LEFT {
        let sizes = file_list.entries.iter().filter_map(|entry| match entry {
            Entry::File(path, size) if is_inside(path.as_bytes(), place) => Some(size.0),
            _ => None,
        });
        let bytes = sizes.sum::<u64>();
        if bytes > 0 {
            let and = if cleanup.command.is_empty() { "" } else { " && " };
            cleanup.command = format!("{}{and}{command}", cleanup.command);
            cleanup.bytes = Bytes(cleanup.bytes.0.saturating_add(bytes));
        }
    }
    (!cleanup.command.is_empty()).then_some(cleanup)
}

/// Whether an instruction fetches the indexes that it needs.
fn updates(step: &BuildStep<'_>) -> bool {
    let commands = step.commands.as_deref().unwrap_or_default();
    commands
        .iter()
        .any(|command| command.arguments().any(|argument| argument == "update") || command.program() == "apk")
}
