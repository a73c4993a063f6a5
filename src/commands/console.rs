//! The one room that prints. Results go to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use crate::report::text::DEFAULT_INSTRUCTION_WIDTH;

/// What the other columns of a table take.
const OTHER_COLUMNS: usize = 62;

/// Prints a result. Colours are dropped where standard output is no terminal. A reader that has
/// gone away (`| head`) is no error.
///
/// # Errors
/// Whatever writing fails with.
pub fn result(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// How wide an instruction may be: what the terminal has left, or a fixed width in a pipe.
pub fn instruction_width() -> usize {
    let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    terminal.map_or(DEFAULT_INSTRUCTION_WIDTH, |(width, _)| {
        usize::from(width.0).saturating_sub(OTHER_COLUMNS).max(24)
    })
}

/// Says something on the side.
pub fn note(text: &str) {
    line("", text);
}

/// Warns; in a GitHub Actions run the warning is shown on the run's page.
pub fn warn(text: &str) {
    if in_actions() {
        line("::warning title=layergate::", &crate::report::escape::command_message(text));
    } else {
        line("warning: ", text);
    }
}

/// Says why a command failed.
pub fn error(text: &str) {
    if in_actions() {
        line("::error title=layergate::", &crate::report::escape::command_message(text));
    }
    line("error: ", text);
}

/// Prints workflow commands, which the runner reads from either stream.
pub fn commands(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Standard error may be closed, and nothing is to be done about it.
fn line(prefix: &str, text: &str) {
    let text = crate::report::escape::log(text);
    let _ = writeln!(anstream::stderr().lock(), "{prefix}{text}");
}

fn in_actions() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true")
}
