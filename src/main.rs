//! The `layergate` program: reads the command line, runs a command, says its exit code.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use layergate::cli::Cli;
use layergate::commands::{self, console};

fn main() -> ExitCode {
    let matches = with_environment(Cli::command()).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => console::usage(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result =
        runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(commands::run(cli)));
    let exit = result.unwrap_or_else(|error| {
        console::error(&format!("{error:#}"));
        commands::exit_of(&error)
    });
    ExitCode::from(exit as u8)
}

/// Lets every option also be set by `LAYERGATE_` and its name. Empty variables count as not set:
/// that is how an action passes an input that nobody filled in.
fn with_environment(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|subcommand| {
        subcommand.mut_args(|argument| {
            let name = argument.get_long().unwrap_or(argument.get_id().as_str());
            let variable = format!("LAYERGATE_{}", name.replace('-', "_").to_uppercase());
            let set = std::env::var_os(&variable).is_some_and(|value| !value.is_empty());
            if set { argument.env(variable).hide_env(true) } else { argument }
        })
    })
}
