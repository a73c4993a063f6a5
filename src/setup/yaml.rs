//! YAML as a tree of nodes with positions, for text edits that leave the rest of a file as it is. The text is
//! untrusted: depth and size are limited, and aliases are not followed, so none can multiply it.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// Maximum number of nodes in one file.
const MAX_NODES: usize = 50_000;
/// Maximum nesting depth.
const MAX_DEPTH: usize = 64;
/// Errors for content in brackets that is indented no deeper than its key: GitHub accepts it, this parser does not.
const SHALLOW: [&str; 2] =
    ["not valid YAML: invalid indentation", "not valid YAML: invalid indentation in flow construct"];
/// Maximum number of lines moved to work around it.
const MAX_MOVED: usize = 20;

/// Why a text cannot be parsed, and on which line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct YamlError {
    pub line: usize,
    pub why: String,
}

/// A node, and where it starts. An alias is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct YamlNode {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 0.
    pub column: usize,
    /// Block style: a collection without brackets, anchor or tag; a text that begins on the line after its key.
    pub is_block: bool,
    /// A scalar. Numbers and booleans are text, as written; null is empty.
    pub text: Option<String>,
    /// The items of a list.
    pub items: Vec<YamlNode>,
    /// The keys and values of a mapping.
    pub entries: Vec<(YamlNode, YamlNode)>,
}

impl YamlNode {
    /// Parses the first document of a text.
    ///
    /// # Errors
    /// What is wrong, or which safety limit was reached.
    pub fn parse(text: &str) -> Result<YamlNode, YamlError> {
        let mut lines: Vec<Cow<'_, str>> = text.split_inclusive('\n').map(Cow::Borrowed).collect();
        let mut read = YamlNode::parse_strictly(text);
        for _ in 0..MAX_MOVED {
            let error = read.as_ref().err().filter(|error| SHALLOW.contains(&error.why.as_str()));
            let line = error.and_then(|error| lines.get_mut(error.line.saturating_sub(1)));
            let Some(line) = line else { break };
            *line = format!("{:1$}{line}", "", 2 * MAX_DEPTH).into();
            read = YamlNode::parse_strictly(&lines.concat());
        }
        read
    }

    fn parse_strictly(text: &str) -> Result<YamlNode, YamlError> {
        let mut reader = Reader { events: Parser::new_from_str(text), nodes: 0 };
        loop {
            match reader.next()? {
                None => return Ok(YamlNode::default()),
                Some((Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _)) => {}
                Some(first) => return reader.node(first, 0),
            }
        }
    }

    /// The key and value of an entry.
    pub fn entry(&self, key: &str) -> Option<&(YamlNode, YamlNode)> {
        self.entries.iter().find(|(own, _)| own.text() == Some(key))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&YamlNode> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The text of a key's value.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// An input that a step gives to its action; empty if not given.
    pub fn input(&self, key: &str) -> &str {
        self.get("with").and_then(|with| with.text_of(key)).unwrap_or_default().trim()
    }

    /// All texts in it, including its own.
    pub fn texts(&self) -> Vec<&str> {
        let inner = self.entries.iter().flat_map(|(key, value)| [key, value]).chain(&self.items);
        self.text().into_iter().chain(inner.flat_map(YamlNode::texts)).collect()
    }

    /// All values of a key, at any depth.
    pub fn all(&self, key: &str) -> Vec<&str> {
        let inner = self.entries.iter().map(|(_, value)| value).chain(&self.items);
        let own = self.get(key).map(YamlNode::texts).unwrap_or_default();
        own.into_iter().chain(inner.flat_map(|node| node.all(key))).collect()
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// The next event; `None` at the end of a collection or of the text.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, YamlError> {
        match self.events.next() {
            None
            | Some(Ok((Event::SequenceEnd | Event::MappingEnd | Event::DocumentEnd | Event::StreamEnd, _))) => {
                Ok(None)
            }
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => Err(YamlError {
                line: error.marker().line(),
                why: format!("not valid YAML: {}", error.info()),
            }),
        }
    }

    fn node(&mut self, (event, span): (Event<'a>, Span), depth: usize) -> Result<YamlNode, YamlError> {
        let mut node = YamlNode { line: span.start.line(), column: span.start.col(), ..YamlNode::default() };
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            let why = format!("more than {MAX_NODES} nodes, or nested deeper than {MAX_DEPTH} levels");
            return Err(YamlError { line: node.line, why });
        }
        let is_bare = span.start.index() == span.end.index();
        match event {
            Event::Scalar(text, style, ..) => {
                node.is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                node.text = Some(text.into_owned());
            }
            Event::SequenceStart(anchor, tag) => {
                node.is_block = is_bare && anchor == 0 && tag.is_none();
                while let Some(item) = self.next()? {
                    node.items.push(self.node(item, depth + 1)?);
                }
            }
            Event::MappingStart(anchor, tag) => {
                node.is_block = is_bare && anchor == 0 && tag.is_none();
                while let Some(key) = self.next()? {
                    let key = self.node(key, depth + 1)?;
                    let Some(value) = self.next()? else { break };
                    node.entries.push((key, self.node(value, depth + 1)?));
                }
            }
            _ => {}
        }
        Ok(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_where_they_stand() {
        let node =
            YamlNode::parse("a: 1\njobs:\n  b:\n    - run: |\n        é x\n      if: {y: [z]}\n").unwrap();
        let step = &node.get("jobs").unwrap().get("b").unwrap().items[0];
        assert_eq!((step.line, step.column, step.is_block), (4, 6, true));
        assert_eq!(step.text_of("run"), Some("é x\n"));
        let (key, value) = step.entry("run").unwrap();
        assert!(!key.is_block && value.is_block);
        assert_eq!(node.get("jobs").unwrap().texts(), ["b", "run", "é x\n", "if", "y", "z"]);
        let (key, value) = step.entry("if").unwrap();
        assert_eq!((key.line, key.column, value.is_block), (6, 6, false));
        assert!(!value.get("y").unwrap().is_block);
        assert_eq!(node.get("c"), None);
        assert_eq!(YamlNode::parse("").unwrap(), YamlNode::default());
    }

    #[test]
    fn brackets_close_where_github_reads_them() {
        for text in [
            "on:\n  push:\n    branches: [\n    main,\n  dev\n]\n  x: y\n",
            "on:\n  push:\n    branches: [\n      main,\n      dev\n    ]\n  x: y\n",
            "on:\n  push:\n    branches: [\n      main, dev\n]\n  x: y\n",
            "on:\n  push: {\n    branches: [\n      main, dev\n    ]\n  }\n  x: y\n",
        ] {
            let node = YamlNode::parse(text).unwrap();
            let on = node.get("on").unwrap();
            assert_eq!(on.get("push").unwrap().texts(), ["branches", "main", "dev"], "{text}");
            let (key, _) = on.entry("x").unwrap();
            assert_eq!((key.line, key.column), (text.lines().count(), 2));
        }
        for text in ["a:\n  - b\n]\n", "a:\n    b: c\n  d: e\n", "a: {b: c\n  d\n"] {
            assert!(YamlNode::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_too_much_or_invalid_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{inner}]\n");
        }
        // Aliases stay unexpanded, so the bomb stays small.
        assert!(YamlNode::parse(&bomb).unwrap().texts().len() < 100);
        let blocks: String = (0..200).map(|level| "  ".repeat(level) + "a:\n").collect();
        let many = "- x\n".repeat(MAX_NODES + 1);
        for (text, expected) in [
            (many.as_str(), "more than 50000 nodes"),
            (&blocks, "nested deeper than 64"),
            ("a: [1, 2\nb: }", "line 2: not valid YAML"),
        ] {
            let error = YamlNode::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}:,&*!|>'\"%@`#?a-b \\n\\t-]{0,80}") {
            let _ = YamlNode::parse(&text);
        }
    }
}
