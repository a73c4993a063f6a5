//! The Dockerfile instruction that made a layer, read from what builders write into an image's history.
//!
//! The field is free text without a specification; the shapes below are those of Docker's classic builder
//! (`/bin/sh -c #(nop) COPY file:HASH in /x`), BuildKit (`COPY a /x # buildkit`), Buildah and Kaniko.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::redact::redact;

/// The words that Dockerfile instructions start with (Dockerfile reference).
pub const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Longer entries are cut before they are read: history is untrusted input.
const MAX_READ: usize = 64 * 1024;

/// One Dockerfile instruction, normalised for people: no shell, no builder marks, single spaces. Build arguments that
/// BuildKit and the classic builder put before a command are dropped, with any secret passed that way. Values that look
/// like secrets are removed ([`redact`]), also from documents of earlier versions, so that both sides of a comparison
/// match.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Instruction {
    /// The text that is kept, shown and compared.
    text: String,
    /// The text before redaction, for as long as the measured image is in memory: two Dockerfile lines may differ only
    /// in a secret. It is in no document and in no output.
    whole: Option<Arc<str>>,
}

impl PartialEq for Instruction {
    fn eq(&self, other: &Instruction) -> bool {
        self.text == other.text
    }
}

impl Eq for Instruction {}

impl PartialOrd for Instruction {
    fn partial_cmp(&self, other: &Instruction) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Instruction {
    fn cmp(&self, other: &Instruction) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Instruction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instruction").field(&self.text).finish()
    }
}

impl From<String> for Instruction {
    /// Reads an instruction back from a document.
    fn from(text: String) -> Instruction {
        let text: String = text.chars().take(MAX_READ).collect();
        Instruction::of(cut(&redact(&text)))
    }
}

impl From<Instruction> for String {
    fn from(instruction: Instruction) -> String {
        instruction.text
    }
}

impl Instruction {
    /// Longer instructions are cut: no table shows more.
    pub const MAX_CHARS: usize = 4096;

    /// Reads one `created_by` of an image's history; `None` if it is empty.
    pub fn from_history(created_by: &str) -> Option<Instruction> {
        Instruction::with_arguments(created_by, &[])
    }

    /// The arguments of an `ARG` instruction that may be mistaken for a command because they contain a shell.
    pub fn misleading_arguments(created_by: &str) -> Option<String> {
        let text: String = created_by.trim().chars().take(MAX_READ).collect();
        let text = collapse(text.strip_suffix("# buildkit").unwrap_or(&text));
        let arguments = text.strip_prefix("ARG ").filter(|arguments| shells(arguments).next().is_some());
        arguments.map(str::to_owned)
    }

    /// The same, given the [`Instruction::misleading_arguments`] of the history.
    pub fn with_arguments(created_by: &str, arguments: &[String]) -> Option<Instruction> {
        let text: String = created_by.trim().chars().take(MAX_READ).collect();
        let text = collapse(text.strip_suffix("# buildkit").unwrap_or(&text));
        let (keyword, rest) = split_keyword(&text);
        let arguments_dropped = drop_build_arguments(rest, arguments);
        let rest = arguments_dropped.unwrap_or(rest);
        let normal = match (keyword, strip_shell(rest)) {
            // The classic builder writes config changes and copies as a shell comment.
            (None | Some("RUN"), Some(command)) => match command.trim_start().strip_prefix("#(nop)") {
                Some(step) => normalise_classic_copy(&capitals(step.trim_start())),
                None => format!("RUN {}", command.trim_start()),
            },
            (Some(keyword), _) => format!("{keyword} {rest}"),
            // Only commands have build arguments before them.
            (None, None) if arguments_dropped.is_some() => format!("RUN {rest}"),
            (None, None) => rest.to_owned(),
        };
        let normal = normal.trim();
        let text = cut(redact(normal).trim());
        let whole = cut(normal);
        let whole = (whole != text).then(|| whole.into());
        (!text.is_empty()).then_some(Instruction { text, whole })
    }

    fn of(text: String) -> Instruction {
        Instruction { text, whole: None }
    }

    /// The text before redaction, if that changed it and it is still known: for comparisons, never for output.
    pub(crate) fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    /// The instruction without the values of `ENV`, `ARG` and `LABEL`, which may be secrets: `ENV TOKEN=x` becomes
    /// `ENV TOKEN`. Histories do not quote values, so if a value may contain blanks, later names are dropped too.
    pub fn without_values(&self) -> Instruction {
        // The classic builder writes a shell first; one that is unknown here is still in the text.
        let start = match self.kind() {
            "" => self.text.find("#(nop) ").map_or(0, |at| at + "#(nop) ".len()),
            _ => 0,
        };
        let (before, step) = self.text.split_at(start);
        let onbuild = step.len() - step.trim_start_matches("ONBUILD ").len();
        let (onbuild, step) = step.split_at(onbuild);
        match split_keyword(step) {
            (Some(keyword @ ("ENV" | "ARG" | "LABEL")), pairs) => {
                Instruction::of(format!("{before}{onbuild}{keyword}{}", names_of(pairs)))
            }
            _ => self.clone(),
        }
    }

    /// The whole text on one line.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The instruction's keyword (`RUN`, `COPY`), or an empty text if the builder did not use a Dockerfile.
    pub fn kind(&self) -> &str {
        split_keyword(&self.text).0.unwrap_or("")
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

fn cut(text: &str) -> String {
    text.chars().take(Instruction::MAX_CHARS).collect()
}

/// `A=x B=y` -> ` A B`, up to where a value may continue: at a word that is not a pair, or that looks like the end of a
/// secret in Base64.
fn names_of(pairs: &str) -> String {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c))
    };
    let mut names = String::new();
    for (index, word) in pairs.split(' ').filter(|word| !word.is_empty()).enumerate() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let is_pair = is_name(name) && !value.is_empty() && !value.starts_with('=');
        if index > 0 && !is_pair {
            break;
        }
        names.push(' ');
        names.push_str(name);
        if !word.contains('=') {
            break;
        }
    }
    names
}

/// The command in a `RUN` instruction's text, without the build arguments and the shell before it.
pub(crate) fn command_of(text: &str) -> &str {
    let text = text.trim_start();
    let text = drop_build_arguments(text, &[]).unwrap_or(text);
    // A quoted command was written by a person, not by a builder.
    let command = strip_shell(text).map(str::trim_start).filter(|command| !command.starts_with(['"', '\'']));
    command.unwrap_or(text)
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn split_keyword(text: &str) -> (Option<&'static str>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match KEYWORDS.iter().find(|keyword| **keyword == word) {
        Some(keyword) => (Some(keyword), rest),
        None => (None, text),
    }
}

/// Buildah writes `env A=x` if the Dockerfile does.
fn capitals(step: &str) -> String {
    let (word, rest) = step.split_at(step.find(' ').unwrap_or(step.len()));
    let upper = word.to_ascii_uppercase();
    if KEYWORDS.contains(&upper.as_str()) { format!("{upper}{rest}") } else { step.to_owned() }
}

/// `|2 TOKEN=x MODE=y /bin/sh -c make` -> `/bin/sh -c make`; `None` if there are no build arguments. A value may be a
/// secret, and may contain spaces and even a shell: only the last shell outside all arguments certainly starts the
/// command, and without one nothing of the text is shown.
fn drop_build_arguments<'a>(text: &'a str, arguments: &[String]) -> Option<&'a str> {
    let (count, rest) = text.strip_prefix('|')?.split_once(' ')?;
    let count: usize = count.parse().ok()?;
    // Every value has at least one word.
    let words = match count.checked_sub(1) {
        Some(before) => rest.match_indices(' ').nth(before).map_or(rest.len(), |(at, _)| at + 1),
        None => 0,
    };
    let ends = arguments.iter().filter_map(|argument| Some(rest.find(argument)? + argument.len()));
    let values = ends.max().unwrap_or(0).max(words);
    let start = shells(rest).filter(|start| *start >= values).last();
    Some(start.map_or("\u{2026}", |start| &rest[start..]))
}

/// The positions of shells in a text.
fn shells(text: &str) -> impl Iterator<Item = usize> {
    let starts = std::iter::once(0).chain(text.match_indices(' ').map(|(at, _)| at + 1));
    starts.filter(|start| strip_shell(&text[*start..]).is_some())
}

/// The command after a shell and its options: `/bin/bash -o pipefail -c CMD`, `cmd /S /C CMD`.
fn strip_shell(text: &str) -> Option<&str> {
    let (program, mut rest) = text.split_once(' ')?;
    let base = program.rsplit(['/', '\\']).next().unwrap_or(program).to_ascii_lowercase();
    match base.trim_end_matches(".exe") {
        "sh" | "bash" | "ash" | "dash" | "ksh" | "zsh" => {}
        "busybox" => {
            let (applet, after) = rest.split_once(' ')?;
            rest = matches!(applet, "sh" | "ash").then_some(after)?;
        }
        "cmd" => return rest.strip_prefix("/S /C ").or_else(|| rest.strip_prefix("/C ")),
        "powershell" | "pwsh" => return rest.split_once("-Command ").map(|(_, command)| command),
        _ => return None,
    }
    while let Some((option, after)) = rest.split_once(' ') {
        let letters = option.strip_prefix('-')?;
        if letters.ends_with('c') && !letters.starts_with('-') {
            return Some(after);
        }
        // `-o pipefail`: the option's value is a separate word.
        rest = if letters.ends_with('o') { after.split_once(' ')?.1 } else { after };
    }
    None
}

/// `COPY file:1f2e... in /app ` -> `COPY ... /app`: the hash changes with the content, the instruction does not. Docker
/// 20.10 puts a flag before the hash without a space: `COPY --chown=0:0file:1f2e... in /app `.
fn normalise_classic_copy(step: &str) -> String {
    let (Some(keyword @ ("COPY" | "ADD")), rest) = split_keyword(step) else { return step.to_owned() };
    let Some((sources, destination)) = rest.split_once(" in ") else { return step.to_owned() };
    let marks = ["file:", "dir:", "multi:"];
    let hashed = |source: &str| {
        let is_flag = source.starts_with("--");
        marks.iter().any(|mark| source.starts_with(mark) || is_flag && source.contains(mark))
    };
    if !sources.split(' ').any(hashed) {
        return step.to_owned();
    }
    format!("{keyword} \u{2026} {destination}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        Instruction::from_history(text).map(String::from)
    }

    #[test]
    fn one_step_reads_the_same_from_every_builder() {
        let cases = [
            (
                "RUN /bin/sh -c apt-get update  &&\tapt-get install -y git # buildkit",
                "RUN apt-get update && apt-get install -y git",
            ),
            (
                "/bin/sh -c apt-get update && apt-get install -y git",
                "RUN apt-get update && apt-get install -y git",
            ),
            ("RUN apt-get update", "RUN apt-get update"),
            ("/bin/sh -c #(nop) COPY file:0123abc in /app/ ", "COPY \u{2026} /app/"),
            ("/bin/sh -c #(nop) COPY dir:0123abc in /app", "COPY \u{2026} /app"),
            ("/bin/sh -c #(nop) ADD file:55 in / ", "ADD \u{2026} /"),
            ("/bin/sh -c #(nop) ADD --chown=0:0multi:19da in /m/ ", "ADD \u{2026} /m/"),
            ("/bin/sh -c #(nop)  CMD [\"bash\"]", "CMD [\"bash\"]"),
            ("/bin/sh -c #(nop) env A=1", "ENV A=1"),
            ("COPY /pybase /pybase # buildkit", "COPY /pybase /pybase"),
            ("RUN |1 TOKEN=hunter2 /bin/sh -c make # buildkit", "RUN make"),
            ("|2 TOKEN=hunter2 NOTE=two words /bin/sh -c make all", "RUN make all"),
            ("|1 TOKEN=hunter2 /app/tool --x", "RUN \u{2026}"),
            ("RUN |1 TOKEN=correct horse battery /app/tool --x # buildkit", "RUN \u{2026}"),
            ("RUN |2 CMD=/bin/sh -c npm TOKEN=hunter2 /bin/sh -c make # buildkit", "RUN make"),
            ("RUN /bin/bash -o pipefail -c curl x | tar x # buildkit", "RUN curl x | tar x"),
            ("RUN /bin/bash -eux -o pipefail -c make # buildkit", "RUN make"),
            ("RUN /bin/busybox sh -c mkdir /x # buildkit", "RUN mkdir /x"),
            ("RUN cmd /S /C dir # buildkit", "RUN dir"),
            ("# debian.sh --arch 'amd64' out/ 'bookworm'", "# debian.sh --arch 'amd64' out/ 'bookworm'"),
            ("bazel build ...", "bazel build ..."),
            ("WORKDIR /app", "WORKDIR /app"),
        ];
        for (history, expected) in cases {
            assert_eq!(read(history).as_deref(), Some(expected), "{history}");
        }
        let argument = Instruction::misleading_arguments("ARG CMD=x /bin/sh -c hunter2").unwrap();
        for (step, expected) in [
            ("RUN |1 CMD=x /bin/sh -c hunter2 /app/tool # buildkit", "RUN \u{2026}"),
            ("RUN |1 CMD=x /bin/sh -c hunter2 /bin/sh -c make # buildkit", "RUN make"),
            ("RUN |1 CMD=y /bin/sh -c make # buildkit", "RUN make"),
        ] {
            let read = Instruction::with_arguments(step, std::slice::from_ref(&argument)).unwrap();
            assert_eq!(read.as_str(), expected, "{step}");
        }
        assert_eq!(Instruction::misleading_arguments("ARG CMD=make"), None);
        assert_eq!(read(""), None);
        assert_eq!(read("  # buildkit"), None);
    }

    #[test]
    fn what_was_taken_out_is_in_no_document_and_no_output() {
        let [one, other] = ["hunter2", "hunter3"].map(|secret| {
            Instruction::from_history(&format!("RUN |1 A=hunter9 /bin/sh -c tool --password {secret}"))
                .unwrap()
        });
        assert_eq!(one.whole(), Some("RUN tool --password hunter2"));
        assert_eq!((&one, one.cmp(&other)), (&other, Ordering::Equal));
        for shown in [format!("{one:?} {one}"), one.as_str().to_owned(), String::from(one.clone())] {
            assert!(shown.contains("RUN tool --password ***") && !shown.contains("hunter"), "{shown}");
        }
        let written = serde_json::to_string(&one).unwrap();
        assert_eq!(written, "\"RUN tool --password ***\"");
        assert_eq!(serde_json::from_str::<Instruction>(&written).unwrap().whole(), None);
        assert_eq!(Instruction::from_history("ENV A_TOKEN=hunter2").unwrap().without_values().whole(), None);
        assert_eq!(Instruction::from_history("RUN make").unwrap().whole(), None);
    }

    #[test]
    fn values_are_dropped_and_the_rest_stays() {
        let cases = [
            ("ENV TOKEN=hunter2", "ENV TOKEN"),
            ("ENV A=1 B=2", "ENV A B"),
            ("ENV A=two words B=2", "ENV A"),
            ("ENV KEY=c2VjcmV0 dmFsdWU= MODE=x", "ENV KEY"),
            ("/bin/sh -c #(nop) ENV KEY hunter2 and more", "ENV KEY"),
            ("ENV OPTS=-x --password=hunter2", "ENV OPTS"),
            ("ARG VERSION", "ARG VERSION"),
            ("ARG VERSION=1", "ARG VERSION"),
            ("LABEL maintainer=me org.x=y", "LABEL maintainer org.x"),
            ("ONBUILD ENV TOKEN=hunter2", "ONBUILD ENV TOKEN"),
            ("/usr/bin/python3 -c #(nop)  ENV TOKEN=hunter2", "/usr/bin/python3 -c #(nop) ENV TOKEN"),
            ("RUN A=1 make", "RUN A=1 make"),
            ("COPY a=b c", "COPY a=b c"),
        ];
        for (history, expected) in cases {
            let reduced = Instruction::from_history(history).unwrap().without_values();
            assert_eq!(reduced.as_str(), expected, "{history}");
        }
    }

    #[test]
    fn the_keyword_is_the_kind() {
        assert_eq!(Instruction::from_history("COPY a b").unwrap().kind(), "COPY");
        assert_eq!(Instruction::from_history("bazel build").unwrap().kind(), "");
    }

    #[test]
    fn a_untrusted_history_is_cut_and_survives() {
        let long = format!("RUN {}", "é".repeat(100_000));
        assert!(read(&long).unwrap().chars().count() <= Instruction::MAX_CHARS);
        let key = format!("RUN |2 KEY={} MODE=x /bin/sh -c make # buildkit", "A".repeat(9000));
        assert_eq!(
            read(&key).as_deref(),
            Some("RUN make"),
            "what is secret is dropped before the text is cut"
        );
        for odd in ["|", "|9", "|9 ", "|1 A=b", "/bin/sh -c", "/bin/sh -", "RUN", "#(nop)", "\u{0}"] {
            let _ = read(odd);
        }
    }
}
