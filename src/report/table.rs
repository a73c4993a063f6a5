//! Tables, for terminals and for markdown. Rows have a fixed number of cells by their type.

use comfy_table::{CellAlignment, Table, presets};
use markdown_table::{Heading, HeadingAlignment, MarkdownTable};

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
    /// Icons.
    Center,
}

/// A heading and its column's alignment.
pub type Column = (&'static str, Align);

/// A GitHub-flavoured markdown table. Cells are markdown: whoever fills them has escaped them.
pub fn markdown<const N: usize>(columns: [Column; N], rows: Vec<[String; N]>) -> String {
    let headings = columns.map(|(label, align)| {
        let align = match align {
            Align::Left => HeadingAlignment::Left,
            Align::Right => HeadingAlignment::Right,
            Align::Center => HeadingAlignment::Center,
        };
        Heading::new(label.to_owned(), Some(align))
    });
    let mut table = MarkdownTable::new(rows.into_iter().map(|row| row.to_vec()).collect());
    table.with_headings(headings.to_vec());
    // It can only fail without headings, and with as many cells as headings it cannot panic.
    let text = table.as_markdown().unwrap_or_default();
    unpad(&text)
}

/// Takes out what the library pads cells with: nobody sees it, and a comment has a budget.
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
pub fn text<const N: usize>(columns: [Column; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if columns.iter().any(|(label, _)| !label.is_empty()) {
        table.set_header(columns.map(|(label, _)| label));
    }
    table.add_rows(rows);
    for (index, (_, align)) in columns.into_iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
                Align::Center => CellAlignment::Center,
            });
        }
    }
    table.lines().map(|line| format!("  {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_align_numbers_to_the_right() {
        let columns = [("Image", Align::Left), ("Size", Align::Right), ("", Align::Center)];
        let rows = || {
            vec![
                ["api".to_owned(), "18.4 MiB".into(), "\u{2705}".into()],
                ["worker".into(), "1 B".into(), String::new()],
            ]
        };
        assert_eq!(
            markdown(columns, rows()),
            "| Image | Size |  |\n| :-- | --: | :-: |\n| api | 18.4 MiB | \u{2705} |\n| worker | 1 B |  |"
        );
        assert_eq!(
            text(columns, rows()),
            "  Image       Size\n  api     18.4 MiB  \u{2705}\n  worker       1 B"
        );
    }
}
