//! The one module that prints. Results go to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::Exit;
use crate::image::Bytes;
use crate::redact::redact_message;
use crate::report::look::{Sizes, TextLayout};
use crate::source::Progress;

/// The width without a terminal.
const PIPE_COLUMNS: usize = 120;

/// Prints a result. Colours are dropped if standard output is not a terminal. A reader that has gone away (`| head`) is
/// not an error.
///
/// # Errors
/// Any error from writing.
pub fn result(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// The layout of a report: as wide as the terminal, or of a fixed width in a pipe.
pub fn look(sizes: Sizes) -> TextLayout {
    let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let columns = terminal.map_or(PIPE_COLUMNS, |(width, _)| usize::from(width.0));
    TextLayout { columns, wraps: terminal.is_some(), sizes }
}

/// Prints a note.
pub fn note(text: &str) {
    line("", text);
}

/// Reports that nothing has come from a named pipe yet.
pub fn waiting(pipe: &Path) {
    note(&format!("waiting for the pipe {}: nothing has been written to it yet", pipe.display()));
}

/// Reports a panic and ends the program with exit code 3. A thread that cannot be started is the environment's fault,
/// anything else the program's own.
pub fn stop(panic: &PanicHookInfo<'_>) -> ! {
    let payload = panic.payload();
    let text =
        payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no reason");
    if text.contains("spawn") && text.contains("thread") {
        error(&format!(
            "{text}: the limit on processes (`ulimit -u`) or memory (`ulimit -v`) is too low; raise it"
        ));
    } else {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        error(&format!("this is a bug in layergate, please report it: panicked{place}: {text}"));
    }
    std::process::exit(Exit::Unreadable as i32)
}

/// Warns; in a GitHub Actions run the warning is shown on the run's page.
pub fn warn(text: &str) {
    if in_actions() {
        line("::warning title=layergate::", &crate::report::escape::command_message(&redact_message(text)));
    } else {
        line("warning: ", text);
    }
}

/// Reports why a command failed.
pub fn error(text: &str) {
    if in_actions() {
        line("::error title=layergate::", &crate::report::escape::command_message(&redact_message(text)));
    }
    line("error: ", text);
}

/// Prints clap's answer: an error in the command line, the help or the version. Quoted text is redacted, because it may
/// be a misplaced secret.
pub fn usage(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    let lines: Vec<String> = redact_message(&text).lines().map(crate::report::escape::log).collect();
    let shown = lines.join("\n") + "\n";
    if !error.use_stderr() || shown == text {
        error.exit();
    }
    let _ = anstream::stderr().lock().write_all(shown.as_bytes());
    std::process::exit(error.exit_code());
}

/// Prints workflow commands, which the runner reads from either stream.
pub fn commands(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Standard error may be closed, and nothing can be done about that. Other programs' error messages may contain
/// secrets.
fn line(prefix: &str, text: &str) {
    let text = crate::report::escape::log(&redact_message(text));
    let _ = writeln!(anstream::stderr().lock(), "{prefix}{text}");
}

/// Whether the GitHub Actions runner reads the output.
pub fn in_actions() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true")
}

/// Shorter work is not reported.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the bar is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// The progress bars of images that are read at the same time, one below the other.
#[derive(Clone, Default)]
pub struct Bars(MultiProgress);

/// The progress of reading an image: a bar on a terminal; elsewhere one line at the end, and none in CI.
pub struct ProgressLine {
    label: String,
    progress: Progress,
    started: Instant,
    bars: Bars,
    line: bool,
    quiet: bool,
    bar: Option<(Sender<()>, JoinHandle<()>)>,
}

impl ProgressLine {
    /// Starts watching. `quiet` shows nothing.
    pub fn start(label: &str, progress: Progress, quiet: bool, bars: Bars) -> ProgressLine {
        let label = crate::report::escape::short(&crate::report::escape::log(label), 40);
        let terminal = io::stderr().is_terminal();
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty()) || in_actions();
        let (sender, receiver) = mpsc::channel();
        let (shown, name, all) = (progress.clone(), label.clone(), bars.clone());
        // Without a thread there is no bar.
        let bar = || thread::Builder::new().spawn(move || draw(&name, &shown, &receiver, &all)).ok();
        ProgressLine {
            label,
            bars,
            progress,
            started: Instant::now(),
            quiet,
            line: !terminal && !quiet && !in_ci,
            bar: if terminal && !quiet { bar().map(|bar| (sender, bar)) } else { None },
        }
    }

    /// Ends it, and reports what was read if that took a while.
    pub fn finish(self, done: bool) {
        if let Some((sender, thread)) = self.bar {
            drop(sender);
            let _ = thread.join();
        }
        let taken = self.started.elapsed();
        let say = |text: String| self.bars.0.suspend(|| note(&text));
        if let (Some(way), true) = (self.progress.way(), done && !self.quiet) {
            let because = way.because.map_or_else(String::new, |because| format!("; {because}"));
            return say(format!("{}: {} in {:.2} s{because}", self.label, way.what, taken.as_secs_f64()));
        }
        if done && self.line && taken > PATIENCE {
            // The bytes read of an archive say little, because unneeded parts are skipped.
            say(format!("read {} in {:.1} s", self.label, taken.as_secs_f64()));
        }
    }
}

/// Templates of a bar: with a known total, without one, and before anything has arrived.
const KNOWN: &str = "{msg} {bar:24} {amount} of {total}, {rate}/s, {eta} left";
const UNKNOWN: &str = "{msg} {spinner} {amount}, {rate}/s";
const WAITING: &str = "{msg} {spinner} {elapsed}";

fn amount(bytes: u64, out: &mut dyn std::fmt::Write) {
    let _ = write!(out, "{}", Bytes(bytes));
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .with_key("amount", |state: &ProgressState, out: &mut dyn std::fmt::Write| amount(state.pos(), out))
        .with_key("total", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            amount(state.len().unwrap_or_default(), out);
        })
        .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            amount(state.per_sec() as u64, out);
        })
}

/// Draws until the sender is gone.
fn draw(label: &str, progress: &Progress, done: &mpsc::Receiver<()>, bars: &Bars) {
    if done.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let bar = bars.0.add(ProgressBar::no_length());
    let mut shown = "";
    while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        let (read, expected) = (progress.read(), progress.expected());
        // An engine may take long to prepare what it sends.
        let awaited = progress.awaited().filter(|_| read == 0);
        let template = match (awaited, expected) {
            (Some(_), _) => WAITING,
            (None, Some(_)) => KNOWN,
            (None, None) => UNKNOWN,
        };
        if shown != template {
            bar.set_style(style(template));
            shown = template;
        }
        expected.into_iter().for_each(|expected| bar.set_length(expected));
        bar.set_message(match awaited {
            Some(what) => format!("{label}: waiting for {what}"),
            None => format!("reading {label}"),
        });
        bar.set_position(read);
        bar.tick();
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::redact::redact_message;

    /// The quoted texts of a source file, up to its tests: those that are sentences.
    fn sentences_of(source: &str) -> Vec<String> {
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let mut sentences = Vec::new();
        let mut characters = source.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '/' if characters.peek() == Some(&'/') => {
                    characters.by_ref().take_while(|c| *c != '\n').for_each(drop);
                }
                '\'' => {
                    // A character, or a lifetime.
                    let text: Vec<char> = characters.clone().take(3).collect();
                    let length = match text.as_slice() {
                        ['\\', _, '\''] => 3,
                        [_, '\'', ..] => 2,
                        _ => 0,
                    };
                    characters.by_ref().take(length).for_each(drop);
                }
                '"' => {
                    let mut text = String::new();
                    while let Some(c) = characters.next().filter(|c| *c != '"') {
                        match (c, c == '\\') {
                            (_, true) => match characters.next() {
                                Some('n') => text.push('\n'),
                                Some('\n') => while characters.next_if(|c| c.is_whitespace()).is_some() {},
                                other => text.extend(other),
                            },
                            (c, _) => text.push(c),
                        }
                    }
                    sentences.extend(Some(text).filter(|text| text.contains(' ') && text.len() > 12));
                }
                _ => {}
            }
        }
        sentences
    }

    fn sources(directory: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                sources(&path, found);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.extend(sentences_of(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }

    #[test]
    fn no_sentence_of_the_program_is_changed() {
        let mut sentences = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sentences);
        assert!(sentences.len() > 800, "{}", sentences.len());
        assert!(sentences.iter().any(|text| text.contains("set GITHUB_TOKEN (contents: read")));
        let changed: Vec<&String> =
            sentences.iter().filter(|text| redact_message(text) != text.as_str()).collect();
        assert!(changed.is_empty(), "{changed:#?}");
    }

    #[test]
    fn what_others_say_has_no_secret() {
        for (text, expected) in [
            ("cannot push: https://me:hunter2@host/x is gone", "cannot push: https://***@host/x is gone"),
            ("me:hunter2@registry.example/app:1: no image", "***@registry.example/app:1: no image"),
            ("layergate.toml:3: DB_PASSWORD=hunter2 is odd", "layergate.toml:3: DB_PASSWORD=*** is odd"),
            ("1 | db_password = \"hunter2\"", "1 | db_password = \"***\""),
            ("unknown token ghp_0123456789abcdef", "unknown token ***"),
            ("HTTP 401: {\"token\":\"hunter2\"}", "HTTP 401: {\"token\":\"***\"}"),
            ("sent Authorization: Basic bWU6aHVudGVyMg==", "sent Authorization: Basic ***"),
            (
                "a token: expired; the password \"x\" is wrong",
                "a token: expired; the password \"x\" is wrong",
            ),
            (
                "pass --github-token or set GITHUB_TOKEN to it",
                "pass --github-token or set GITHUB_TOKEN to it",
            ),
        ] {
            assert_eq!(redact_message(text), expected);
        }
    }
}
