//! What GitHub and its runner make of a text, and whether that is ours alone.

use comrak::{Options, markdown_to_html};

use crate::support::Run;

/// Markdown as GitHub renders it: every extension of its own is on, also those that make more of a text than
/// GitHub does.
pub fn render(markdown: &str) -> String {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.alerts = true;
    options.extension.math_dollars = true;
    options.extension.math_code = true;
    options.parse.relaxed_autolinks = true;
    options.render.r#unsafe = true;
    markdown_to_html(markdown, &options)
}

/// The tags that our own markdown makes.
const OURS: [&str; 19] = [
    "a", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "strong", "details", "summary",
    "ul", "li", "br", "br /", "pre", "span",
];
/// Where our own links lead: into the repository at the commit, to the run, and to our documents.
const LINKED: [&str; 4] = [
    "https://github.example/acme/shop/blob/",
    "https://github.example/acme/shop/commit/",
    "https://github.example/acme/shop/actions/runs/900",
    "https://github.com/layergate/layergate",
];
const ALIGNED: [&str; 3] = ["left", "right", "center"];

/// HTML in pieces: tags, and text outside of code.
enum Piece<'h> {
    Tag(&'h str),
    Prose(&'h str),
}

fn pieces(html: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut in_code) = (Vec::new(), false);
    for (index, piece) in html.split('<').enumerate() {
        let text = if index == 0 {
            piece
        } else {
            let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
            if ["code", "/code"].contains(&tag.split(' ').next().unwrap_or_default()) {
                in_code = !tag.starts_with('/');
            }
            pieces.push(Piece::Tag(tag));
            text
        };
        pieces.extend((!in_code && !text.is_empty()).then_some(Piece::Prose(text)));
    }
    pieces
}

/// Text as a reader has it, of what a renderer writes.
fn decoded(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The text of every `<code>`, as a reader sees it.
pub fn shown_code(html: &str) -> Vec<String> {
    let piece = |piece: &str| {
        decoded(piece.split("</code>").next().unwrap_or_default())
            .replace("<span></span>", "")
            .replace('\u{200b}', "")
    };
    html.split("<code>").skip(1).map(piece).collect()
}

/// Fails where GitHub would show anything of this but text, code and our own tables.
#[track_caller]
pub fn assert_only_ours(markdown: &str) {
    let html = render(markdown);
    let markup = [foreign_tags(&html), foreign_prose(&html), broken_tables(markdown, &html)].concat();
    let found = [markup, odd_characters(&html), piles(&html)].concat();
    assert!(found.is_empty(), "{}\nin\n{markdown}\nas\n{html}", found.join("\n"));
}

/// Tags that are none of ours, or that do not close each other.
fn foreign_tags(html: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for piece in pieces(html) {
        let Piece::Tag(tag) = piece else { continue };
        let (name, attribute) = tag.split_once(' ').unwrap_or((tag, ""));
        let fits = match attribute.split_once('=') {
            None => OURS.contains(&tag.trim_start_matches('/')),
            Some(("align", value)) => {
                ["th", "td"].contains(&name) && ALIGNED.contains(&value.trim_matches('"'))
            }
            Some(("href", value)) => {
                let address = value.trim_matches('"');
                name == "a" && !address.contains('"') && LINKED.iter().any(|start| address.starts_with(start))
            }
            Some((_, value)) => tag.starts_with("code class=") && value == "\"language-mermaid\"",
        };
        if !fits {
            found.push(format!("<{tag}> is none of ours"));
        }
        match tag.strip_prefix('/') {
            Some(closed) if open.last() == Some(&closed) => _ = open.pop(),
            Some(closed) => found.push(format!("</{closed}> closes {open:?}")),
            None if name == "br" => {}
            None => open.push(name),
        }
    }
    found.extend((!open.is_empty()).then(|| format!("{open:?} stay open")));
    found.extend(foreign_charts(html));
    found
}

/// GitHub draws what is in a block of Mermaid.
fn foreign_charts(html: &str) -> Vec<String> {
    let starts =
        ["%%{init: {\"themeVariables\"", "xychart-beta", "title \"", "x-axis [", "y-axis \"", "line ["];
    let charts = html.split("<pre><code class=\"language-mermaid\">").skip(1);
    let charts = charts.map(|chart| decoded(chart.split("</code>").next().unwrap_or_default()));
    let foreign = |line: &str| !starts.iter().any(|start| line.trim_start().starts_with(start));
    let lines: Vec<String> =
        charts.flat_map(|chart| chart.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.into_iter().filter(|line| foreign(line)).map(|line| format!("{line} in a chart")).collect()
}

/// What GitHub looks for in the text of a page once it is rendered, outside of code: mentions, references,
/// commits, addresses, emoji, mathematics.
fn foreign_prose(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in pieces(html) {
        let Piece::Prose(text) = piece else { continue };
        let text = decoded(text);
        let signs = [
            ("a mention", follows(&text, "@", |c| c.is_ascii_alphanumeric())),
            ("a reference", follows(&text, "#", |c| c.is_ascii_digit())),
            ("a ticket", has_ticket(&text)),
            ("a commit", has_hash(&text)),
            ("an address", has_address(&text)),
            ("an emoji", has_emoji(&text)),
            // Written alone in an element it begins nothing (GitHub, "Writing mathematical expressions").
            ("mathematics", text.contains('$') && text != "$"),
        ];
        found.extend(signs.iter().filter(|(_, is)| *is).map(|(what, _)| format!("{what} in {text:?}")));
    }
    found
}

fn follows(text: &str, mark: &str, is: impl Fn(char) -> bool) -> bool {
    text.match_indices(mark).any(|(at, _)| text[at + mark.len()..].starts_with(&is))
}

/// `GH-1`, and what a repository may have links for: letters, `-` and a number.
fn has_ticket(text: &str) -> bool {
    text.match_indices('-').any(|(at, _)| {
        text[..at].ends_with(|c: char| c.is_ascii_alphabetic())
            && text[at + 1..].starts_with(|c: char| c.is_ascii_digit())
    })
}

fn has_hash(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_hex = |word: &&str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    words.filter(is_hex).any(|word| (7..=40).contains(&word.len()))
}

fn has_address(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let scheme = |at: usize| lower[..at].ends_with(|c: char| c.is_ascii_alphabetic());
    follows(&lower, "www.", |c| !c.is_whitespace()) || lower.match_indices("://").any(|(at, _)| scheme(at))
}

fn has_emoji(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let name = |part: &&str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    parts.len() > 2 && parts[1..parts.len() - 1].iter().any(name)
}

/// The break that we put into words ourselves.
const BREAK: char = '\u{200b}';

/// Characters that nobody sees, or that turn text round.
fn odd_characters(text: &str) -> Vec<String> {
    let hides = |c: char| {
        matches!(c as u32,
            0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164 | 0xfeff | 0xffa0 | 0xfff9..=0xfffb
            | 0xe0000..=0xe0fff)
    };
    let is_odd = |c: &char| (c.is_control() && *c != '\n') || (hides(*c) && *c != BREAK);
    text.chars().filter(is_odd).map(|c| format!("the character {c:?}")).collect()
}

/// Marks that cover the lines above and below.
fn piles(text: &str) -> Vec<String> {
    let is_mark = |c: char| {
        matches!(c as u32,
            0x300..=0x36f | 0x483..=0x489 | 0xe47..=0xe4e | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
            | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f)
    };
    let runs = text.split(|c| !is_mark(c)).filter(|run| run.chars().count() > 4);
    runs.map(|run| format!("the pile {run:?}")).collect()
}

/// GitHub fills up rows that are too short and cuts those that are too long, so it is the text that is counted:
/// a row is a line, and every bar in it ends a cell. Of bars behind back slashes parsers think differently.
fn broken_tables(markdown: &str, html: &str) -> Vec<String> {
    let bars = |line: &str| line.matches('|').count();
    let (mut found, mut tables, mut rows, mut width) = (Vec::new(), 0, 0, None);
    for line in markdown.lines() {
        if !line.starts_with('|') {
            width = None;
            continue;
        }
        rows += 1;
        tables += usize::from(width.is_none());
        let expected = *width.get_or_insert(bars(line));
        if bars(line) != expected || !line.ends_with('|') || line.contains('\\') {
            found.push(format!("a row of {} bars among rows of {expected}: {line}", bars(line)));
        }
    }
    let made = (html.matches("<table>").count(), html.matches("<tr>").count());
    if made != (tables, rows - tables) {
        found.push(format!("{tables} tables of {rows} lines make {made:?} tables and rows"));
    }
    found
}

/// Fails where the runner would do anything by this log that is not ours. It takes a command at the start of a
/// line, blanks aside, and one of the old form anywhere in it (actions/runner, `ActionCommand`).
#[track_caller]
pub fn assert_no_foreign_command(run: &Run) {
    for line in lines(&run.stdout).chain(lines(&run.stderr)) {
        let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
        if let Some(command) = line.trim_start_matches(blank).strip_prefix("::") {
            assert!(is_ours(command), "a foreign command: {line:?}");
        }
        assert!(!line.contains("##["), "a foreign command: {line:?}");
        let odd = odd_characters(line);
        assert!(odd.is_empty(), "{odd:?} in {line:?}");
    }
}

/// .NET ends a line at each of CR, LF and both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r'])
}

fn is_ours(command: &str) -> bool {
    let Some((head, message)) = command.split_once("::") else { return false };
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let mut titled = false;
    for property in properties.split(',') {
        let (key, value) = property.split_once('=').unwrap_or((property, ""));
        match key {
            "title" if !titled => titled = unescaped(value).starts_with("layergate"),
            "file" | "line" | "endLine" if !titled => {}
            _ => return false,
        }
        if unescaped(value).contains(['\r', '\n']) {
            return false;
        }
    }
    ["error", "warning", "notice"].contains(&name) && titled && !unescaped(message).contains(['\r', '\n'])
}

/// What the runner makes of a command's message.
fn unescaped(text: &str) -> String {
    let text = text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",");
    text.replace("%25", "%")
}

/// What the runner reads of the file of outputs: `NAME=VALUE`, or `NAME<<DELIMITER` and lines up to it.
pub fn outputs(text: &str) -> Vec<(String, String)> {
    let (mut found, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        let heredoc = line.find("<<").filter(|at| line.find('=').is_none_or(|equals| *at < equals));
        if let Some(at) = heredoc {
            let delimiter = &line[at + 2..];
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            found.push((line[..at].to_owned(), value.join("\n")));
        } else if let Some((name, value)) = line.split_once('=') {
            found.push((name.to_owned(), value.to_owned()));
        } else {
            assert!(line.is_empty(), "the runner refuses a file of outputs with {line:?}");
        }
    }
    found
}

/// Fails where there are any outputs but ours.
#[track_caller]
pub fn assert_our_outputs(text: &str) {
    let found = outputs(text);
    let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    let ours = ["verdict", "size", "base-size", "delta", "delta-percent", "report", "comment-url"];
    assert_eq!(keys, ours, "{text}");
    assert!(["pass", "warn", "fail", "accepted"].contains(&found[0].1.as_str()), "{text}");
}
