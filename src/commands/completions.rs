//! `layergate completions`.

use clap::CommandFactory as _;

use super::{Exit, console};
use crate::cli::{Cli, CompletionsArgs};

/// Prints shell completions for the command line.
///
/// # Errors
/// Any error from printing.
pub fn run(arguments: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut out = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "layergate", &mut out);
    console::result(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Success)
}
