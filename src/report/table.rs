//! Tables and lists, for terminals and for markdown. Rows have a fixed number of cells by their type.

use comfy_table::{CellAlignment, Table, presets};
use markdown_table::{Heading, HeadingAlignment, MarkdownTable};

use super::escape::{short, short_path};
use super::look::TextLayout;

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
    /// Icons.
    Center,
    /// Text that takes the remaining width, and is cut at its end. One column at most.
    Rest,
    /// The same for paths, which are cut in the middle.
    Path,
}

/// A heading and its column's alignment.
pub type Column = (&'static str, Align);

/// The minimum width of a column of [`Align::Rest`] or [`Align::Path`].
const LEAST: usize = 16;
/// The spaces before each line, and between columns.
const GAP: usize = 2;

/// A GitHub-flavoured markdown table. Cells are markdown: callers escape them.
pub fn markdown<const N: usize>(columns: [Column; N], rows: Vec<[String; N]>) -> String {
    let headings = columns.map(|(label, align)| {
        let align = match align {
            Align::Left | Align::Rest | Align::Path => HeadingAlignment::Left,
            Align::Right => HeadingAlignment::Right,
            Align::Center => HeadingAlignment::Center,
        };
        Heading::new(label.to_owned(), Some(align))
    });
    let mut table = MarkdownTable::new(rows.into_iter().map(|row| row.to_vec()).collect());
    table.with_headings(headings.to_vec());
    // It can fail only without headings, and cannot panic with as many cells as headings.
    let text = table.as_markdown().unwrap_or_default();
    unpad(&text)
}

/// Removes the library's padding of cells: it is invisible, and a comment has a budget.
fn unpad(table: &str) -> String {
    let rule = |cell: &str| cell.len() > 3 && cell.bytes().all(|byte| b":-".contains(&byte));
    let squeeze = |cell: &str| match cell.trim() {
        cell if rule(cell) => format!(" {}-{} ", &cell[..1], &cell[cell.len() - 1..]),
        cell => format!(" {cell} "),
    };
    let line = |line: &str| {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(squeeze).collect();
        format!("|{}|", cells.join("|"))
    };
    table.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A table for a terminal or a log: aligned, no lines, two spaces between columns.
pub fn text<const N: usize>(columns: [Column; N], mut rows: Vec<[String; N]>, look: TextLayout) -> String {
    fit(&columns, &mut rows, look.columns);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if columns.iter().any(|(label, _)| !label.is_empty()) {
        table.set_header(columns.map(|(label, _)| label));
    }
    table.add_rows(rows);
    for (index, (_, align)) in columns.into_iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, GAP as u16));
            column.set_cell_alignment(match align {
                Align::Left | Align::Rest | Align::Path => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
                Align::Center => CellAlignment::Center,
            });
        }
    }
    table.lines().map(|line| format!("  {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Cuts the column that takes the remaining width.
fn fit<const N: usize>(columns: &[Column; N], rows: &mut [[String; N]], all: usize) {
    let takes_rest = |(_, align): &Column| matches!(align, Align::Rest | Align::Path);
    let Some(elastic) = columns.iter().position(takes_rest) else { return };
    let widest = |index: usize| {
        let cells = rows.iter().map(|row| width(&row[index])).max().unwrap_or(0);
        cells.max(width(columns[index].0))
    };
    let others: usize = (0..N).filter(|index| *index != elastic).map(|index| widest(index) + GAP).sum();
    let room = all.saturating_sub(others + GAP).max(LEAST);
    for row in rows {
        row[elastic] = match columns[elastic].1 {
            Align::Path => short_path(&row[elastic], room),
            _ => short(&row[elastic], room),
        };
    }
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListLine {
    /// A path, cut in the middle, and the text after it.
    Path(String, String),
    /// Text that is cut at its end.
    Cut(String),
    /// A sentence, which is wrapped.
    Prose(String),
}

/// A list for a terminal or a log: an amount, and beside it lines that each have the whole width.
pub fn list(heading: [&str; 2], items: Vec<(String, Vec<ListLine>)>, look: TextLayout) -> String {
    let amount = items.iter().map(|(amount, _)| width(amount)).max().unwrap_or(0).max(width(heading[0]));
    let indent = " ".repeat(amount + 2 * GAP);
    let room = look.columns.saturating_sub(indent.len() + GAP).max(LEAST);
    let mut out = vec![format!("  {:>amount$}  {}", heading[0], heading[1])];
    for (size, lines) in items {
        let mut shown = lines.into_iter().flat_map(|line| match line {
            ListLine::Path(path, after) => {
                vec![short_path(&path, room.saturating_sub(width(&after)).max(LEAST)) + &after]
            }
            ListLine::Cut(text) => vec![short(&text, room)],
            ListLine::Prose(text) => wrapped(&text, room, look),
        });
        out.push(format!("  {size:>amount$}  {}", shown.next().unwrap_or_default()));
        out.extend(shown.map(|line| format!("{indent}  {line}")));
    }
    out.join("\n")
}

/// Wraps a sentence between words; lines after the first are indented.
pub fn wrapped(text: &str, width_of_line: usize, look: TextLayout) -> Vec<String> {
    if !look.wraps {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| width(line));
        if line > GAP && line + 1 + width(word) > width_of_line {
            lines.push(" ".repeat(GAP) + word);
        } else if let Some(last) = lines.last_mut() {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::look::Sizes;

    const LOOK: TextLayout = TextLayout { columns: 40, wraps: true, sizes: Sizes::Rounded };

    #[test]
    fn both_kinds_align_numbers_to_the_right() {
        let columns = [("Image", Align::Left), ("Size", Align::Right), ("", Align::Center)];
        let rows = || {
            vec![
                ["api".to_owned(), "18.4 MB".into(), "\u{2705}".into()],
                ["worker".into(), "1 B".into(), String::new()],
            ]
        };
        assert_eq!(
            markdown(columns, rows()),
            "| Image | Size |  |\n| :-- | --: | :-: |\n| api | 18.4 MB | \u{2705} |\n| worker | 1 B |  |"
        );
        assert_eq!(
            text(columns, rows(), LOOK),
            "  Image      Size\n  api     18.4 MB  \u{2705}\n  worker      1 B"
        );
    }

    #[test]
    fn a_path_has_the_width_that_is_left() {
        let columns = [("Size", Align::Right), ("Path", Align::Path)];
        let rows = vec![["18.4 MB".to_owned(), "/usr/lib/python3/site-packages/pandas/lib.so".into()]];
        let shown = text(columns, rows, LOOK);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], "  18.4 MB  /usr/li\u{2026}ackages/pandas/lib.so");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{shown}");
    }

    #[test]
    fn advice_breaks_between_words() {
        let path = ListLine::Path("/usr/lib/python3/site-packages/pandas".into(), " (3 files)".into());
        let next = ListLine::Prose("next: delete files in the step that makes them".into());
        let look = TextLayout { columns: 50, ..LOOK };
        let shown = list(["Wasted", "Files"], vec![("1 MB".into(), vec![path, next])], look);
        let expected = "  Wasted  Files\n    1 MB  /usr/li\u{2026}site-packages/pandas (3 files)\n            next: delete files in the step that\n              makes them";
        assert_eq!(shown, expected);
        let pipe = TextLayout { wraps: false, ..LOOK };
        assert_eq!(wrapped("a b", 1, pipe), ["a b"]);
    }
}
