//! Text from images, Dockerfiles, tags and labels is hostile. These functions are the only way for
//! it into an output.

use std::fmt::Write as _;

use crate::image::text::is_invisible;

/// The longest text that an output shows; the rest is cut, and the cut is shown.
const MAX_SHOWN: usize = 160;

/// Makes a text one line of visible characters: line breaks and other control characters become
/// their pictures, and characters that reorder or hide text become replacement characters.
pub fn visible(text: &str) -> String {
    text.chars().map(visible_char).collect()
}

fn visible_char(c: char) -> char {
    match c {
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' => '\u{fffd}',
        c if is_invisible(c) => '\u{fffd}',
        c => c,
    }
}

/// [`visible`], cut to what a table shows.
pub fn short(text: &str, most: usize) -> String {
    let text = visible(text);
    match text.char_indices().nth(most) {
        None => text,
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['\u{2026}']).collect(),
    }
}

/// [`visible`], cut in the middle: of a path, the end says most.
pub fn short_path(text: &str, most: usize) -> String {
    let text = visible(text);
    let length = text.chars().count();
    if length <= most {
        return text;
    }
    let start = most / 4;
    let end = most.saturating_sub(start + 1);
    let first = text.chars().take(start);
    first.chain(['\u{2026}']).chain(text.chars().skip(length - end)).collect()
}

/// Text for a log line of a GitHub Actions run. The runner looks for `##[` anywhere in a line and
/// for `::` at its start (actions/runner, `ActionCommand`); our lines never start with such text,
/// and the other mark is broken up.
pub fn log(text: &str) -> String {
    visible(text).replace("##[", "## [")
}

/// A JSON document for standard output: in a log, the runner would take `##[` even inside of it.
pub fn json(document: &str) -> String {
    document.replace("##[", "##\\u005b")
}

/// Hostile text as inline code in GitHub-flavoured markdown, in or outside a table. Inside code
/// GitHub makes no mention, no reference and no link.
pub fn code(text: &str) -> String {
    let text = short(text.trim(), MAX_SHOWN);
    if text.is_empty() {
        return "<code>&#32;</code>".into();
    }
    // Back ticks read best in a plain-text notification. Where the text itself holds what ends
    // them, or what ends a table cell, parsers disagree, and entities are certain.
    if !text.contains(['`', '|', '\\']) && !text.contains("##[") {
        return format!("`{text}`");
    }
    format!("<code>{}</code>", entities(&text))
}

/// Our own sentences, which may quote settings or names, as markdown text.
pub fn plain(text: &str) -> String {
    entities(&visible(text))
}

/// Every ASCII punctuation mark that markdown or HTML gives a meaning, as an entity. Entities stop
/// markup; a zero-width space stops what is looked for in text once it is rendered: mentions,
/// references, commits, addresses, emoji.
fn entities(text: &str) -> String {
    const BREAK: char = '\u{200b}';
    let mut out = String::with_capacity(text.len() * 2);
    let mut text = text.to_owned();
    for mark in ["www.", "GH-", "Gh-", "gH-", "gh-"] {
        text = text.replace(mark, &format!("{}{BREAK}{}", &mark[..mark.len() - 1], &mark[mark.len() - 1..]));
    }
    let mut characters = text.chars().peekable();
    let mut hex_run = 0;
    // How many characters of a name came since a colon: `:name:` is an emoji. A colon alone is none, and
    // `python:3` and `Dockerfile:5` are to be copied as they are.
    let mut since_colon = None;
    while let Some(c) = characters.next() {
        let ends_emoji = c == ':' && since_colon.is_some_and(|count| count > 0);
        since_colon = match c {
            ':' => Some(0),
            c if c.is_ascii_alphanumeric() || "_+-".contains(c) => since_colon.map(|count| count + 1),
            _ => None,
        };
        hex_run = if c.is_ascii_hexdigit() { hex_run + 1 } else { 0 };
        match c {
            '/' | ' ' | ',' | '.' | ';' | '(' | ')' | '%' | '+' | '-' | '=' | '\'' | '"' | '?' => out.push(c),
            ':' => {
                out.extend(ends_emoji.then_some(BREAK));
                out.push(c);
                out.extend(characters.peek().filter(|next| **next == '/').map(|_| BREAK));
            }
            '@' | '#' => {
                let _ = write!(out, "&#{};{BREAK}", c as u32);
            }
            c if c.is_ascii_punctuation() => {
                let _ = write!(out, "&#{};", c as u32);
            }
            c => out.push(c),
        }
        if hex_run == 6 {
            out.extend(characters.peek().filter(|next| next.is_ascii_hexdigit()).map(|_| BREAK));
            hex_run = 0;
        }
    }
    out
}

/// A workflow command's message (GitHub Actions, "Workflow commands": `%`, CR and LF are encoded).
pub fn command_message(text: &str) -> String {
    visible(text).replace('%', "%25")
}

/// A workflow command's property, in which `:` and `,` have a meaning too.
pub fn command_property(text: &str) -> String {
    command_message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_invisible_or_line_breaking_gets_through() {
        assert_eq!(visible("a\nb\u{1b}[31mc\u{202e}d\u{200b}"), "a\u{240a}b\u{241b}[31mc\u{fffd}d\u{fffd}");
        assert_eq!(short("abcdef", 4), "abc\u{2026}");
        assert_eq!(short("abcd", 4), "abcd");
        assert_eq!(short_path("/usr/lib/a/b", 12), "/usr/lib/a/b");
        assert_eq!(short_path("/usr/lib/a/b.so", 12), "/us\u{2026}b/a/b.so");
    }

    #[test]
    fn code_is_plain_where_it_can_be() {
        assert_eq!(code("RUN make all"), "`RUN make all`");
        assert_eq!(code("a|b"), "<code>a&#124;b</code>");
        assert_eq!(code("``"), "<code>&#96;&#96;</code>");
        assert_eq!(code(""), "<code>&#32;</code>");
    }

    #[test]
    fn commands_cannot_be_ended_or_begun() {
        assert_eq!(command_message("50%\n::error::x"), "50%25\u{240a}::error::x");
        assert_eq!(command_property("a:b,c"), "a%3Ab%2Cc");
        assert_eq!(log("x ##[error]y\n::set-output"), "x ## [error]y\u{240a}::set-output");
    }
}
