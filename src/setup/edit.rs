//! Text edits by lines: everything else of a file stays as it is, byte for byte.

use super::yaml::YamlNode;
use crate::sort;

/// Lines to insert before a line (from 1) of a file; each ends with `\n`.
pub type Insertion = (usize, String);

/// Applies the edits to the text. Those at the same line keep their order.
pub fn apply(text: &str, mut edits: Vec<Insertion>) -> String {
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    sort::by_key(&mut edits, |(line, _)| *line);
    let mut edits = edits.into_iter().peekable();
    let mut out = String::new();
    for (index, line) in text.split_inclusive('\n').chain([""]).enumerate() {
        while let Some((_, text)) = edits.next_if(|(at, _)| line.is_empty() || *at <= index + 1) {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push_str(ending);
            }
            out.push_str(&text.replace('\n', ending));
        }
        out.push_str(line);
    }
    out
}

/// The line after the block of a node: the first that is no deeper than `column`, before any blank lines and comments
/// in front of it. A comment that is no deeper does not end a block.
pub fn end_of_block(text: &str, node: &YamlNode, column: usize) -> usize {
    let mut end = node.line + 1;
    for (index, line) in text.lines().enumerate().skip(node.line) {
        let content = line.trim_start_matches(' ');
        let is_deeper = line.len() - content.len() > column;
        if content.trim().is_empty() || !is_deeper && content.starts_with('#') {
            continue;
        }
        if !is_deeper {
            break;
        }
        end = index + 2;
    }
    end
}

/// The lines of an entry of a block mapping, as written, without the indentation of its key.
pub fn source_of<'a>(text: &'a str, key: &YamlNode) -> impl Iterator<Item = &'a str> {
    let count = end_of_block(text, key, key.column) - key.line;
    text.lines().skip(key.line - 1).take(count).map(move |line| {
        let start = line.char_indices().nth(key.column).map_or(line.len(), |(at, _)| at);
        &line[start..]
    })
}

/// A text indented to a column.
pub fn indented(text: &str, column: usize) -> String {
    let blank = " ".repeat(column);
    text.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("{blank}{line}\n") }).collect()
}

/// A text as an item of a list, with its dash and its keys in these columns.
pub fn item(text: &str, (dash, key): (usize, usize)) -> String {
    let mut item = indented(text, key);
    item.replace_range(dash..=dash, "-");
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_touch_nothing_else() {
        let text = "a:\r\n  - b\r\n\r\n# c\r\nd: é";
        let edits = [(2, "x\n"), (9, "end\n"), (2, "y\n")].map(|(line, text)| (line, text.to_owned()));
        assert_eq!(apply(text, edits.into()), "a:\r\nx\r\ny\r\n  - b\r\n\r\n# c\r\nd: é\r\nend\r\n");
        assert_eq!(apply(text, Vec::new()), text);
    }

    #[test]
    fn blocks_end_before_what_is_no_deeper() {
        let text = "steps:\n  - run: |\n      a\n\n      # in the script\n\n  # of the next\n  - b: c\n";
        let node = YamlNode::parse(text).unwrap();
        let steps = &node.get("steps").unwrap().items;
        assert_eq!(end_of_block(text, &steps[0], 2), 6);
        let (run, _) = steps[0].entry("run").unwrap();
        assert_eq!(source_of(text, run).collect::<Vec<_>>(), ["run: |", "  a", "", "  # in the script"]);
        assert_eq!(item("a: b\n\nc: d\n", (1, 4)), " -  a: b\n\n    c: d\n");
        let commented = "- a: b\n# c: d\n  e: f\n# g\n- h: i\n";
        assert_eq!(end_of_block(commented, &YamlNode::parse(commented).unwrap().items[0], 0), 4);
        let apart = "steps:\n  -\n    # A build.\n    run: a\n  -\n    b: c\n";
        let step = &YamlNode::parse(apart).unwrap().get("steps").unwrap().items[0].clone();
        assert_eq!(end_of_block(apart, step, 2), 5);
    }
}
