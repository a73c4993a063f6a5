//! Quoting text in generated files: template values, YAML scalars, TOML strings, comments.

use crate::image::text::is_invisible;

/// Words that YAML 1.1 or 1.2 does not read as text.
const WORDS: [&str; 12] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "none"];

/// Fills a template: each `<name>` is replaced with its value. A line whose value is empty is left out.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    template.lines().filter_map(|line| filled(line, values)).map(|line| line + "\n").collect()
}

fn filled(line: &str, values: &[(&str, String)]) -> Option<String> {
    let (mut out, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once('<') {
        let (name, after) = after.split_once('>')?;
        let value = values.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value.as_str());
        if value.is_empty() {
            return None;
        }
        out = out + before + value;
        rest = after;
    }
    Some(out + rest)
}

/// Whether all characters of a text are visible, and none ends a line.
pub fn is_visible(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || is_invisible(c))
}

/// A visible text in double quotes, valid in JSON, TOML and YAML.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A YAML scalar: plain if every parser reads it as that text, else in double quotes.
pub fn yaml(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/-=@ ${}()'&|!,+:".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || "./$".contains(c));
    let ends = text.ends_with([':', ' ']) || text.contains(": ");
    let plain = starts && !ends && text.chars().all(is_plain);
    if plain && !WORDS.contains(&text.to_ascii_lowercase().as_str()) { text.to_owned() } else { quoted(text) }
}

/// Whether a branch name can be written in a workflow as is.
pub fn is_branch(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && name.len() <= 200
        && name.chars().all(|c| c.is_alphanumeric() || "._/-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_quotes() {
        for (text, expected) in [
            ("main", "main"),
            ("a: b", "\"a: b\""),
            ("On", "\"On\""),
            ("1.0", "\"1.0\""),
            ("a # b", "\"a # b\""),
            ("a\nb: c", "\"a\\nb: c\""),
            ("${{ matrix.a }}", "${{ matrix.a }}"),
            ("!x && \"y\"", "\"!x && \\\"y\\\"\""),
        ] {
            assert_eq!(yaml(text), expected);
            let node = super::super::yaml::YamlNode::parse(&format!("k: {}", yaml(text))).unwrap();
            assert_eq!(node.text_of("k"), Some(text));
        }
        assert!(is_branch("release/1.x") && !is_branch("a*") && !is_branch("${{x}}") && !is_branch("!a"));
    }

    #[test]
    fn values_are_filled_in_once_and_empty_lines_go() {
        let values = [("a", "<b>"), ("b", "2"), ("c", "")].map(|(name, value)| (name, value.to_owned()));
        assert_eq!(fill("x: <a>-<b>\ny: <c> # why\nz: <d>\nw\n", &values), "x: <b>-2\nw\n");
    }
}
