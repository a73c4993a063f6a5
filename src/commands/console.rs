//! The one room that prints. Results go to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::image::redact::redact_message;
use crate::report::text::DEFAULT_INSTRUCTION_WIDTH;
use crate::source::Progress;

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
        line("::warning title=layergate::", &crate::report::escape::command_message(&redact_message(text)));
    } else {
        line("warning: ", text);
    }
}

/// Says why a command failed.
pub fn error(text: &str) {
    if in_actions() {
        line("::error title=layergate::", &crate::report::escape::command_message(&redact_message(text)));
    }
    line("error: ", text);
}

/// Says what is wrong with the command line, or what was asked of it: its help, its version. What is
/// quoted may be a secret that went to the wrong place, or what a log should not have.
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

/// Standard error may be closed, and nothing is to be done about it. What others say of what went wrong
/// may have secrets in it.
fn line(prefix: &str, text: &str) {
    let text = crate::report::escape::log(&redact_message(text));
    let _ = writeln!(anstream::stderr().lock(), "{prefix}{text}");
}

/// Whether what is printed is read by the runner of GitHub Actions.
pub fn in_actions() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true")
}

/// Work that takes no longer is not spoken of.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// How far the reading of an image is, for whoever waits: a bar on a terminal; elsewhere one line
/// once it is done, and none in CI.
pub struct Shown {
    label: String,
    progress: Progress,
    started: Instant,
    before: u64,
    line: bool,
    bar: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Shown {
    /// Starts to watch. `quiet` shows nothing.
    pub fn start(label: &str, progress: Progress, quiet: bool) -> Shown {
        let label = crate::report::escape::short(&crate::report::escape::log(label), 40);
        let terminal = io::stderr().is_terminal();
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty()) || in_actions();
        let (sender, receiver) = mpsc::channel();
        let (shown, name) = (progress.clone(), label.clone());
        let bar = || thread::spawn(move || draw(&name, &shown, &receiver));
        Shown {
            label,
            before: progress.read(),
            progress,
            started: Instant::now(),
            line: !terminal && !quiet && !in_ci,
            bar: (terminal && !quiet).then(|| (sender, bar())),
        }
    }

    /// Ends it; says what was read if that took a while.
    pub fn finish(self, done: bool) {
        if let Some((sender, thread)) = self.bar {
            drop(sender);
            let _ = thread.join();
        }
        let (taken, read) = (self.started.elapsed(), self.progress.read() - self.before);
        if done && self.line && taken > PATIENCE {
            let taken = taken.as_secs_f64();
            note(&format!("read {} of {} in {taken:.1} s", DecimalBytes(read), self.label));
        }
    }
}

/// What a bar shows where it is known how much there is to read, and where it is not.
const KNOWN: &str =
    "{msg} {bar:24} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const UNKNOWN: &str = "{msg} {spinner} {decimal_bytes}, {decimal_bytes_per_sec}";

/// Draws until the sender is gone.
fn draw(label: &str, progress: &Progress, done: &mpsc::Receiver<()>) {
    let before = progress.read();
    if done.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style =
        |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        match progress.expected() {
            Some(expected) => {
                if bar.length().is_none() {
                    bar.set_style(style(KNOWN));
                }
                bar.set_length(expected.saturating_sub(before));
            }
            None => bar.set_style(style(UNKNOWN)),
        }
        bar.set_message(format!("reading {label}"));
        bar.set_position(progress.read() - before);
        bar.tick();
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::image::redact::redact_message;

    /// The texts in quotes of a source file, up to its tests: those that are sentences.
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
