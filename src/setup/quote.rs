//! Hostile text in what is written: as a text of TOML, of YAML, or a word of a shell script in YAML.

use std::fmt::Write as _;

use crate::image::text::is_invisible;

/// What YAML takes for something else than a text (YAML 1.1 too).
const WORDS: [&str; 12] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "none"];

/// A basic string of TOML.
pub fn toml(text: &str) -> String {
    quoted(text, |c| format!("\\u{c:04x}"), |c| format!("\\U{c:08x}"))
}

/// A scalar of YAML: as it is, where no parser takes it for anything else, or in double quotes.
pub fn yaml(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/:-".contains(c);
    let word = text.to_ascii_lowercase();
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && !text.ends_with(':') && text.chars().all(is_plain) && !WORDS.contains(&word.as_str()) {
        return text.to_owned();
    }
    quoted(text, |c| format!("\\u{c:04x}"), |c| format!("\\U{c:08x}"))
}

fn quoted(text: &str, short: impl Fn(u32) -> String, long: impl Fn(u32) -> String) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c.is_control() || is_invisible(c)) && c as u32 <= 0xffff => out.push_str(&short(c as u32)),
            c if c.is_control() || is_invisible(c) => out.push_str(&long(c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The same where GitHub looks for expressions: the text itself, whatever is in it.
pub fn yaml_value(text: &str) -> String {
    yaml(&text.replace("${{", "${{ '${{' }}"))
}

/// A shell script of a step. Words that a shell or YAML could take for something else are variables of the step.
#[derive(Debug, Default)]
pub struct Script {
    /// The commands, one a line.
    pub lines: Vec<String>,
    /// The variables, by name.
    pub variables: Vec<(String, String)>,
}

impl Script {
    /// A word of the script; `kind` names the variable, if it has to be one.
    pub fn word(&mut self, kind: &str, text: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/:@=,+-".contains(c);
        if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
            return text.to_owned();
        }
        let known = self.variables.iter().find(|(name, value)| value == text && name.starts_with(kind));
        let name = known.map(|(name, _)| name.clone()).unwrap_or_else(|| {
            let name = format!("{kind}_{}", self.variables.len() + 1);
            self.variables.push((name.clone(), text.to_owned()));
            name
        });
        format!("\"${name}\"")
    }

    /// A path as a word that is no option, and no address.
    pub fn path(&mut self, kind: &str, path: &str) -> String {
        let starts = path == "." || path.starts_with(|c: char| c.is_ascii_alphanumeric());
        match starts && !path.contains(':') && !path.starts_with("github.com/") {
            true => self.word(kind, path),
            false => self.word(kind, &format!("./{path}")),
        }
    }
}

/// Whether a branch can be written as a pattern of GitHub's that fits it alone, and as nothing else.
pub fn is_branch(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && name.len() <= 200
        && name.chars().all(|c| c.is_alphanumeric() || "._/-#@=,".contains(c))
}

/// A comment over as many lines as it needs, each with its indentation. The text is a sentence of ours; what it
/// quotes is made one line first.
pub fn comment(indent: usize, text: &str) -> String {
    const WIDTH: usize = 100;
    let text = crate::report::escape::visible(text);
    let mut out = String::new();
    let mut column = usize::MAX;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if column.saturating_add(length + 1) > WIDTH {
            if !out.is_empty() {
                out.push('\n');
            }
            let _ = write!(out, "{}#", " ".repeat(indent));
            column = indent + 1;
        }
        let _ = write!(out, " {word}");
        column += length + 1;
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_quotes() {
        assert_eq!(toml("a\"b\\c\n\u{202e}"), r#""a\"b\\c\u000a\u202e""#);
        for (text, expected) in [
            ("main", "main"),
            ("a: b", "\"a: b\""),
            ("On", "\"On\""),
            ("1.0", "\"1.0\""),
            ("a\nb: c", "\"a\\u000ab: c\""),
        ] {
            assert_eq!(yaml(text), expected);
        }
        assert_eq!(yaml_value("x${{ secrets.A }}"), "\"x${{ '${{' }} secrets.A }}\"");
        let mut script = Script::default();
        assert_eq!(script.path("CONTEXT", "services/api"), "services/api");
        assert_eq!(script.path("CONTEXT", "-x"), "./-x");
        assert_eq!(script.path("CONTEXT", "a $(b)"), "\"$CONTEXT_1\"");
        assert_eq!(script.word("ARGUMENT", "A='"), "\"$ARGUMENT_2\"");
        assert_eq!(script.variables[0].1, "a $(b)");
        assert_eq!(comment(2, "a\nb ").trim_end(), "  # a\u{240a}b");
        assert!(is_branch("release/1.x") && !is_branch("a*") && !is_branch("${{x}}") && !is_branch("!a"));
    }
}
