//! The `layergate` program: parses the command line, runs a command and returns its exit code.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use layergate::cli::Cli;
use layergate::commands::{self, console};
use layergate::files;
use layergate::source::store_files;

fn main() -> ExitCode {
    // Nothing else runs as root: no option, variable or file has any influence.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == store_files::READER) {
        let served = store_files::serve(std::io::stdin().lock(), std::io::stdout().lock());
        return ExitCode::from(if served.is_ok() { 0 } else { commands::Exit::Unreadable as u8 });
    }
    std::panic::set_hook(Box::new(|panic| console::stop(panic)));
    end_aborts();
    files::on_waiting(console::waiting);
    let matches = with_environment(Cli::command()).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => console::usage(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(commands::run(cli));
        // If one image has failed, the others need not be read to their ends.
        runtime.shutdown_background();
        result
    });
    let exit = result.unwrap_or_else(|error| {
        console::error(&format!("{error:#}"));
        commands::exit_of(&error)
    });
    ExitCode::from(exit as u8)
}

/// Running out of memory aborts the program; the exit code is then that for unreadable input.
#[cfg(unix)]
fn end_aborts() {
    let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let exit = commands::Exit::Unreadable as i32;
    // If this fails, only the exit code differs.
    let _ = signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGABRT, exit, always);
}

#[cfg(not(unix))]
fn end_aborts() {}

/// Lets every option also be set through `LAYERGATE_` and its name. Empty variables count as not set: actions pass
/// inputs that nobody filled in that way.
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
