//! YAML as a small tree, for what a workflow or a compose file says of builds. The text is hostile: how deep it
//! goes, how much it has and how much its aliases make of it is bounded, and a text that is over a bound is not
//! read at all.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

/// More nodes than any file that people write has; what an alias repeats counts again, and so does each so many bytes
/// of a text.
const MAX_NODES: usize = 50_000;
/// Bytes of a text that weigh as much as a node.
const BYTES: usize = 100;
/// Deeper nesting is nobody's.
const MAX_DEPTH: usize = 64;

/// A node. Numbers and the like are texts here, as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// A text; an empty one where there is nothing.
    Text(String),
    /// A sequence.
    List(Vec<Yaml>),
    /// A mapping, in order.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// Reads the first document of a text.
    ///
    /// # Errors
    /// Why it is not read: what is wrong and where, or the bound.
    pub fn parse(text: &str) -> Result<Yaml, String> {
        let mut reader = Reader::default();
        for event in Parser::new_from_str(text) {
            let (event, _) = event.map_err(|error| {
                format!("line {} is no YAML that can be read: {}", error.marker().line(), error.info())
            })?;
            if let Some(root) = reader.take(event)? {
                return Ok(root);
            }
        }
        Ok(Yaml::Map(Vec::new()))
    }

    /// The value of a key, also of one that comes in by a merge (`<<: *shared`).
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        let Yaml::Map(entries) = self else { return None };
        let own = entries.iter().find(|(own, _)| own == key).map(|(_, value)| value);
        own.or_else(|| {
            let merged = entries.iter().filter(|(own, _)| own == "<<");
            merged.flat_map(|(_, value)| value.items()).find_map(|value| value.get(key))
        })
    }

    /// The value at the end of a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Yaml> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of a key.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Yaml::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; anything else is one item.
    pub fn items(&self) -> &[Yaml] {
        match self {
            Yaml::List(items) => items,
            other => std::slice::from_ref(other),
        }
    }

    /// The keys and values of a mapping, without merged ones.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Yaml)> {
        let entries = match self {
            Yaml::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| *key != "<<")
    }

    /// How much it has, in nodes.
    fn weight(&self) -> usize {
        let of = |text: &str| 1 + text.len() / BYTES;
        match self {
            Yaml::Text(text) => of(text),
            Yaml::List(items) => 1 + items.iter().map(Yaml::weight).sum::<usize>(),
            Yaml::Map(entries) => {
                1 + entries.iter().map(|(key, value)| of(key) + value.weight()).sum::<usize>()
            }
        }
    }
}

/// A node whose end is yet to come.
struct Open {
    node: Yaml,
    /// The key that waits for its value.
    key: Option<String>,
    anchor: usize,
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Yaml>,
    nodes: usize,
}

impl Reader {
    /// Takes what comes next; the whole tree once it is there.
    fn take(&mut self, event: Event<'_>) -> Result<Option<Yaml>, String> {
        match event {
            Event::Scalar(text, _, anchor, _) => self.add(Yaml::Text(text.into_owned()), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                // An alias of what it is inside of.
                let node = node.ok_or("an alias stands for itself")?;
                self.add(node, 0)
            }
            Event::SequenceStart(anchor, _) => self.start(Yaml::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.start(Yaml::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.node, open.anchor),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn start(&mut self, node: Yaml, anchor: usize) -> Result<Option<Yaml>, String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH}"));
        }
        self.open.push(Open { node, key: None, anchor });
        Ok(None)
    }

    fn add(&mut self, node: Yaml, anchor: usize) -> Result<Option<Yaml>, String> {
        // Each node is weighed once for each level that it is in: there are few.
        self.nodes = self.nodes.saturating_add(node.weight());
        if self.nodes > MAX_NODES * 4 || node.weight() > MAX_NODES {
            return Err(format!(
                "with its aliases it has more than {MAX_NODES} nodes, or as many times {BYTES} bytes"
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else { return Ok(Some(node)) };
        match (&mut open.node, open.key.take()) {
            (Yaml::List(items), _) => items.push(node),
            (Yaml::Map(entries), Some(key)) => entries.push((key, node)),
            // What has no text for a key says nothing of builds; its value is kept under none.
            (Yaml::Map(_), None) => open.key = Some(node.text().unwrap_or_default().to_owned()),
            (Yaml::Text(_), _) => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_with_aliases_and_merges() {
        let text = "x: &base {a: 1, b: [two, 'th ree']}\nservices:\n  web:\n    <<: *base\n    a: |\n      one\n      two\n";
        let yaml = Yaml::parse(text).unwrap();
        let web = yaml.at(&["services", "web"]).unwrap();
        assert_eq!(web.text_of("a"), Some("one\ntwo\n"));
        assert_eq!(web.get("b").unwrap().items()[1].text(), Some("th ree"));
        assert_eq!(web.entries().count(), 1);
        assert_eq!(web.get("c"), None);
        assert_eq!(Yaml::parse("").unwrap(), Yaml::Map(Vec::new()));
    }

    #[test]
    fn what_is_too_much_or_none_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{inner}]\n");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 2_000].join(", "));
        let blocks: String = (0..200).map(|level| "  ".repeat(level) + "a:\n").collect();
        for (text, expected) in [
            (bomb.as_str(), "nodes"),
            (&long, "nodes"),
            (&deep, ""),
            (&blocks, "nested deeper than 64"),
            ("a: [1, 2\nb: }", "line 2 is no YAML"),
            ("a: &a [*a]", ""),
            ("a: *b", ""),
        ] {
            let error = Yaml::parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}:,&*!|>'\"%@`#?a-b \\n\\t-]{0,80}") {
            let _ = Yaml::parse(&text);
        }
    }
}
