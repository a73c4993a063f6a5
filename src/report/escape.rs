//! Text from images, Dockerfiles, tags and labels is untrusted. It must pass through these functions to reach an
//! output.

use std::fmt::Write as _;

use crate::image::text::{is_invisible, piles_up};

/// The longest text that an output shows; the rest is cut off visibly.
const MAX_SHOWN: usize = 160;
/// Maximum combining marks on one letter; taller stacks cover the lines above and below.
const MAX_MARKS: usize = 3;

/// Turns a text into one line of visible characters: line breaks and other control characters become symbols, and
/// characters that reorder, hide or cover text become replacement characters.
pub fn visible(text: &str) -> String {
    let mut marks = 0;
    let one = |c: char| {
        marks = if piles_up(c) { marks + 1 } else { 0 };
        if marks > MAX_MARKS { '\u{fffd}' } else { visible_char(c) }
    };
    text.chars().map(one).collect()
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

/// [`visible`], cut to the length for a table. The part cut off is not examined: it may be long.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => visible(text),
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            visible(&kept) + "\u{2026}"
        }
    }
}

/// [`visible`], cut in the middle: the end of a path is the most informative part.
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

/// Text for a log line of a GitHub Actions run. The runner looks for `##[` anywhere in a line and for `::` at its
/// start, after blanks (actions/runner, `ActionCommand`). Both are broken up, because the text may be the first cell of
/// a row.
pub fn log(text: &str) -> String {
    let text = visible(text).replace("##[", "## [");
    match text.trim_start().strip_prefix("::") {
        Some(rest) => format!(": :{rest}"),
        None => text,
    }
}

/// Text for a CSV cell: spreadsheets would read one with such a beginning as a formula.
pub fn cell(text: &str) -> String {
    let text = log(text);
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

/// Whether the runner would read a line of a text as a command if it appeared in a log as is.
pub fn has_command(text: &str) -> bool {
    text.contains("##[") || text.split(['\n', '\r']).any(|line| line.trim_start().starts_with("::"))
}

/// A JSON document for standard output: in a log, the runner would recognize `##[` even inside it. Characters that hide
/// or reorder text are escaped, which is equivalent.
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    let mut units = [0; 2];
    for c in document.chars() {
        if is_invisible(c) || c.is_control() && c != '\n' {
            c.encode_utf16(&mut units).iter().for_each(|unit| _ = write!(out, "\\u{unit:04x}"));
        } else if c == '[' && out.ends_with("##") {
            out.push_str("\\u005b");
        } else {
            out.push(c);
        }
    }
    out
}

/// Untrusted text as inline code in GitHub-flavoured markdown, in or outside a table. GitHub makes no mentions,
/// references or links inside code.
pub fn code(text: &str) -> String {
    let text = short(text.trim(), MAX_SHOWN);
    if text.is_empty() {
        return "<code>&#32;</code>".into();
    }
    // Backticks read best in plain-text notifications. If the text contains what ends them, or what ends a table cell,
    // parsers disagree, and entities are reliable.
    if !text.contains(['`', '|', '\\']) && !text.contains("##[") {
        return format!("`{text}`");
    }
    html_code(&text)
}

/// Our own sentences, which may quote settings or names, as markdown text. GitHub looks for math after decoding
/// entities, but ignores a `$` that is alone in an element (GitHub, "Writing mathematical expressions").
pub fn plain(text: &str) -> String {
    entities(&visible(text), false).replace("&#36;", "<span>&#36;</span>")
}

/// The same for text at the start of a block, or in a list item: there a number with a period, a hyphen, a plus or
/// equals signs would start another list or make the line above a heading.
pub fn sentence(text: &str) -> String {
    let text = visible(text);
    let text = text.trim();
    let (number, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let marks = if number.is_empty() { ['-', '+', '='].as_slice() } else { &['.', ')'] };
    match rest.strip_prefix(marks) {
        Some(after) => {
            let mark = rest.as_bytes().first().copied().unwrap_or_default();
            format!("{}&#{mark};{}", plain(number), prose(after))
        }
        None => prose(text),
    }
}

/// The same for a sentence with code in backticks: each piece is made safe, whoever wrote the backticks.
pub fn prose(text: &str) -> String {
    let mut pieces = text.split('`').peekable();
    let (mut out, mut is_code) = (String::new(), false);
    while let Some(piece) = pieces.next() {
        out += &match (is_code, pieces.peek()) {
            (true, Some(_)) => code(piece),
            // Code that was cut off is no longer closed; any other single backtick stands for itself.
            (true, None) if piece.ends_with('\u{2026}') => code(piece),
            (true, None) => plain(&format!("`{piece}")),
            (false, _) => plain(piece),
        };
        is_code = !is_code;
    }
    out
}

/// Untrusted text within an HTML line of ours, where neither markdown nor backticks work.
pub fn html_code(text: &str) -> String {
    format!("<code>{}</code>", entities(&visible(text), true))
}

/// Escapes every ASCII punctuation mark with a meaning in markdown or HTML as an entity. Entities stop markup. What
/// GitHub looks for in rendered text (mentions, references, commits, addresses, emoji) is broken up: in prose by a
/// zero-width space, in code, which people copy, by an element. In code GitHub looks only for addresses.
fn entities(text: &str, in_code: bool) -> String {
    const BREAK: char = '\u{200b}';
    /// Breaks text up in code.
    const SEAM: &str = "<span></span>";
    let mut out = String::with_capacity(text.len() * 2);
    let mut characters = text.chars().peekable();
    let mut hex_run = 0;
    // The ends of `www.`, and of `GH-1` and the `TICKET-1` that a repository may have links for.
    let (mut w_run, mut after_letter) = (0, false);
    // How many characters of a name follow a colon: `:name:` is an emoji. A single colon is not, and `python:3` and
    // `Dockerfile:5` must remain copyable.
    let mut since_colon = None;
    while let Some(c) = characters.next() {
        let ends_emoji = c == ':' && since_colon.is_some_and(|count| count > 0);
        since_colon = match c {
            ':' => Some(0),
            c if c.is_ascii_alphanumeric() || "_+-".contains(c) => since_colon.map(|count| count + 1),
            _ => None,
        };
        hex_run = if c.is_ascii_hexdigit() { hex_run + 1 } else { 0 };
        if c == '.' && w_run >= 3 {
            if in_code { out.push_str(SEAM) } else { out.push(BREAK) }
        }
        w_run = if c.eq_ignore_ascii_case(&'w') { w_run + 1 } else { 0 };
        let in_ticket =
            !in_code && c == '-' && after_letter && characters.peek().is_some_and(char::is_ascii_digit);
        after_letter = c.is_ascii_alphabetic();
        match c {
            '-' if in_ticket => out.extend([c, BREAK]),
            '/' | ' ' | ',' | '.' | ';' | '(' | ')' | '%' | '+' | '-' | '=' | '\'' | '"' | '?' => out.push(c),
            ':' => {
                out.extend((ends_emoji && !in_code).then_some(BREAK));
                out.push(c);
                let is_address = characters.peek() == Some(&'/');
                out.push_str(if is_address && in_code { SEAM } else { "" });
                out.extend((is_address && !in_code).then_some(BREAK));
            }
            '@' if in_code => {
                let _ = write!(out, "{SEAM}&#64;{SEAM}");
            }
            '#' if in_code => out.push_str("&#35;"),
            '@' | '#' => {
                let _ = write!(out, "&#{};{BREAK}", c as u32);
            }
            c if c.is_ascii_punctuation() => {
                let _ = write!(out, "&#{};", c as u32);
            }
            c => out.push(c),
        }
        if hex_run == 6 && !in_code {
            out.extend(characters.peek().filter(|next| next.is_ascii_hexdigit()).map(|_| BREAK));
            hex_run = 0;
        }
    }
    out
}

/// A workflow command's message (GitHub Actions, "Workflow commands": `%`, CR and LF are encoded).
pub fn command_message(text: &str) -> String {
    log(text).replace('%', "%25")
}

/// A workflow command's property, in which `:` and `,` are special too.
pub fn command_property(text: &str) -> String {
    command_message(text).replace(':', "%3A").replace(',', "%2C")
}

/// Untrusted text as text or an attribute's value in XML, which cannot represent control characters, and forbids two
/// more (XML 1.0, "Char").
pub fn xml(text: &str) -> String {
    let text = visible(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A name in the summary line of details.
pub(super) fn summary_name(name: &str) -> String {
    html_code(&short(name, 80))
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
        let piled = format!("cafe\u{301} z{}", "\u{334}".repeat(5));
        assert_eq!(visible(&piled), "cafe\u{301} z\u{334}\u{334}\u{334}\u{fffd}\u{fffd}");
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
        assert_eq!(log(" \u{a0}::error::x"), ": :error::x");
        assert_eq!(command_message("##[error]x"), "## [error]x");
        assert!(has_command("a\r ::error::x") && has_command("a ##[x]") && !has_command("a ::b"));
    }

    #[test]
    fn a_document_says_the_same_and_shows_it() {
        let text = "##[x]\u{9b}1m\u{202e}\u{e0041}e\u{301}";
        let document = serde_json::to_string_pretty(&[text]).unwrap();
        let printed = json(&document);
        assert_eq!(printed, "[\n  \"##\\u005bx]\\u009b1m\\u202e\\udb40\\udc41e\u{301}\"\n]");
        assert_eq!(serde_json::from_str::<[String; 1]>(&printed).unwrap(), [text]);
    }

    #[test]
    fn a_sentence_has_nothing_that_github_looks_for() {
        assert_eq!(plain("GH-1 or ABC-12, x86-64"), "GH-\u{200b}1 or ABC-\u{200b}12, x86-64");
        assert_eq!(plain("WWW.x w.w.w"), "WWW\u{200b}.x w.w.w");
        assert_eq!(plain("$x$"), "<span>&#36;</span>x<span>&#36;</span>");
        assert_eq!(html_code("$x-1"), "<code>&#36;x-1</code>");
        assert_eq!(
            html_code("www.x a@b http://x 0123456789 :x:"),
            "<code>www<span></span>.x a<span></span>&#64;<span></span>b http:<span></span>//x 0123456789 :x:</code>"
        );
        assert_eq!(prose("run `a@b` @x"), "run `a@b` &#64;\u{200b}x");
        assert_eq!(prose("a ` b"), "a &#96; b");
        assert_eq!(prose("`/srv/#12` and ` b"), "`/srv/#12` and &#96; b");
        assert_eq!(prose("in `/srv/@a\u{2026}"), "in `/srv/@a\u{2026}`");
        assert_eq!(sentence("- a `b`"), "&#45; a `b`");
    }

    #[test]
    fn what_xml_forbids_is_replaced() {
        assert_eq!(
            xml("<a b=\"&\">\u{ffff}\u{fffe}\u{0}"),
            "&lt;a b=&quot;&amp;&quot;&gt;\u{fffd}\u{fffd}\u{2400}"
        );
    }

    #[test]
    fn a_sentence_begins_no_list() {
        for (text, shown) in [
            ("  1. x", "1&#46; x"),
            ("23) x", "23&#41; x"),
            ("- x", "&#45; x"),
            ("+", "&#43;"),
            ("===", "&#61;=="),
            ("1.5 MiB", "1&#46;5 MiB"),
            ("a - b", "a - b"),
            ("", ""),
        ] {
            assert_eq!(sentence(text), shown);
        }
    }
}
