//! `layergate man`.

use std::io;

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::{Exit, console, write_file};
use crate::cli::{Cli, ManualArgs};

/// Prints the program's manual page, or writes it and one for each command to a directory.
///
/// # Errors
/// If a page cannot be written; the error names it.
pub fn run(arguments: &ManualArgs) -> anyhow::Result<Exit> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(directory) = &arguments.output else {
        console::result(&String::from_utf8_lossy(&page(&command)?))?;
        return Ok(Exit::Success);
    };
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        write_file(&directory.join(format!("{}.1", name_of(command))), &page(command)?)?;
    }
    console::note(&format!("wrote the manual pages to {}", directory.display()));
    Ok(Exit::Success)
}

/// The name of a command's page: `layergate-check`.
fn name_of(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command, in roff.
fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    // Without a date, so that the same program always makes the same pages.
    let (name, version) = (name_of(command).replace('-', "\\-"), env!("CARGO_PKG_VERSION"));
    let title = format!(".TH {name} 1 \"\" \"layergate {version}\" \"layergate manual\"\n");
    let mut out = title.into_bytes();
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    if let Some(notes) = command.get_after_help() {
        out.extend(notes_section(&notes.to_string()).into_bytes());
    }
    Ok(out)
}

/// The text after the options in the help, with its lines and columns preserved.
fn notes_section(notes: &str) -> String {
    let escaped = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        // A dot at the start of a line would begin a roff request.
        if line.starts_with('.') { format!("\\&{line}\n") } else { format!("{line}\n") }
    };
    [".SH NOTES\n.nf\n", &notes.lines().map(escaped).collect::<String>(), ".fi\n"].concat()
}
