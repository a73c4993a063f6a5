//! The part of HCL that bake files are written in, as a tree: blocks with names, and values that are texts, lists
//! and mappings (hashicorp/hcl, "HCL Native Syntax Specification"). A value that has to be computed is not known.

use super::yaml::Yaml;
use crate::dockerfile::UNKNOWN;

/// Deeper nesting is nobody's.
const MAX_DEPTH: usize = 32;

/// Reads a file: each kind of block is a mapping by name, `target "web" { ... }` is `web` in `target`.
///
/// # Errors
/// Where it is not understood.
pub fn parse(text: &str) -> Result<Yaml, String> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let root = reader.body(false, 0)?;
    Ok(Yaml::Map(root))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
    Line,
}

struct Reader<'t> {
    rest: &'t str,
    line: usize,
}

impl Reader<'_> {
    fn error(&self) -> String {
        format!("line {} is not understood", self.line)
    }

    fn character(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// Passes over a text up to its end.
    fn skip_to(&mut self, end: &str) {
        let length = self.rest.find(end).unwrap_or(self.rest.len());
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
    }

    fn skip(&mut self, start: &str) -> bool {
        let rest = self.rest.strip_prefix(start);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Passes over `<<END` and the lines up to that mark, which is alone on its line.
    fn skip_heredoc(&mut self) -> Result<(), String> {
        self.skip("-");
        let text = self.rest;
        let (mark, _) = text.split_once('\n').ok_or_else(|| self.error())?;
        let is_mark = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let name = mark.trim();
        if name.is_empty() || !name.chars().all(is_mark) {
            return Err(self.error());
        }
        let mut at = mark.len() + 1;
        for line in text[at..].split_inclusive('\n') {
            if line.trim() == name {
                // The end of the line ends the value too.
                let end = at + line.trim_end_matches('\n').len();
                self.line += text[..end].matches('\n').count();
                self.rest = &text[end..];
                return Ok(());
            }
            at += line.len();
        }
        Err(self.error())
    }

    fn token(&mut self) -> Result<Option<Token>, String> {
        loop {
            let Some(c) = self.rest.chars().next() else { return Ok(None) };
            if c == '#' || self.rest.starts_with("//") {
                self.skip_to("\n");
            } else if self.rest.starts_with("/*") {
                self.skip_to("*/");
                self.rest = self.rest.get(2..).unwrap_or("");
            } else if c != '\n' && c.is_whitespace() {
                self.character();
            } else {
                break;
            }
        }
        if self.skip("<<") {
            self.skip_heredoc()?;
            return Ok(Some(Token::Text(UNKNOWN.to_string())));
        }
        let is_word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        if length > 0 {
            let (word, rest) = self.rest.split_at(length);
            self.rest = rest;
            return Ok(Some(Token::Word(word.to_owned())));
        }
        Ok(match self.character() {
            Some('"') => Some(Token::Text(self.quoted()?)),
            Some('\n') => Some(Token::Line),
            other => other.map(Token::Sign),
        })
    }

    fn peek(&mut self) -> Result<Option<Token>, String> {
        let (rest, line) = (self.rest, self.line);
        let token = self.token();
        (self.rest, self.line) = (rest, line);
        token
    }

    /// A text up to its closing quote; `${...}` stays as it is.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        while let Some(c) = self.character() {
            match c {
                '"' => return Ok(text),
                '\n' => break,
                '\\' => match self.character() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c @ ('"' | '\\')) => text.push(c),
                    _ => text.push(UNKNOWN),
                },
                '%' if self.rest.starts_with('{') => {
                    text.push(UNKNOWN);
                    self.skip_template();
                }
                '$' if self.rest.starts_with('{') => {
                    let length = self.rest.find(['}', '\n']).unwrap_or(self.rest.len());
                    let inner = &self.rest[1..length.max(1)];
                    // Quotes inside of it are of another text.
                    let is_name =
                        !inner.is_empty() && inner.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                    if !is_name {
                        text.push(UNKNOWN);
                        self.skip_template();
                    } else {
                        text.push_str("${");
                        text.push_str(inner);
                        text.push('}');
                        self.rest = self.rest.get(length + 1..).unwrap_or("");
                    }
                }
                c => text.push(c),
            }
        }
        Err(self.error())
    }

    /// Passes over `{...}` with what is inside of it.
    fn skip_template(&mut self) {
        let (mut depth, mut in_quotes) = (0usize, false);
        while let Some(c) = self.character() {
            match c {
                '"' => in_quotes = !in_quotes,
                '{' if !in_quotes => depth += 1,
                '}' if !in_quotes => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Blocks and attributes, up to the brace that ends them.
    fn body(&mut self, inner: bool, depth: usize) -> Result<Vec<(String, Yaml)>, String> {
        if depth > MAX_DEPTH {
            return Err(self.error());
        }
        let mut entries: Vec<(String, Yaml)> = Vec::new();
        while let Some(token) = self.token()? {
            let key = match token {
                Token::Line | Token::Sign(',') => continue,
                Token::Sign('}') if inner => return Ok(entries),
                Token::Word(key) | Token::Text(key) => key,
                // A key that has to be computed.
                Token::Sign('(') => {
                    self.skip_open()?;
                    UNKNOWN.to_string()
                }
                Token::Sign(_) => return Err(self.error()),
            };
            let mut name = None;
            loop {
                match self.token()? {
                    Some(Token::Sign('=' | ':')) => {
                        let value = self.value(depth + 1)?;
                        if !key.contains(UNKNOWN) {
                            entries.push((key, value));
                        }
                        break;
                    }
                    Some(Token::Sign('{')) => {
                        let body = Yaml::Map(self.body(true, depth + 1)?);
                        put(&mut entries, key, name, body);
                        break;
                    }
                    Some(Token::Word(label) | Token::Text(label)) if name.is_none() => name = Some(label),
                    _ => return Err(self.error()),
                }
            }
        }
        if inner { Err(self.error()) } else { Ok(entries) }
    }

    /// A value, up to the end of its line or what ends the list that it is in.
    fn value(&mut self, depth: usize) -> Result<Yaml, String> {
        if depth > MAX_DEPTH {
            return Err(self.error());
        }
        let value = match self.token()? {
            Some(Token::Text(text)) => Yaml::Text(text),
            Some(Token::Word(word)) => Yaml::Text(match word.as_str() {
                "true" | "false" => word,
                "null" => String::new(),
                _ if word.starts_with(|c: char| c.is_ascii_digit()) => word,
                _ => format!("${{{word}}}"),
            }),
            Some(Token::Sign('[' | '{')) if self.is_for()? => self.skip_open()?,
            Some(Token::Sign('[')) => self.list(depth)?,
            Some(Token::Sign('{')) => Yaml::Map(self.body(true, depth + 1)?),
            Some(Token::Sign('(')) => self.skip_open()?,
            Some(Token::Sign('!' | '-')) => self.value(depth + 1).map(|_| Yaml::Text(UNKNOWN.to_string()))?,
            _ => return Err(self.error()),
        };
        match self.peek()? {
            None | Some(Token::Line | Token::Sign(',' | ']' | '}')) => Ok(value),
            // A call, an operator, an index: something to compute.
            Some(_) => {
                self.skip_value()?;
                Ok(Yaml::Text(UNKNOWN.to_string()))
            }
        }
    }

    /// Whether what has been opened is made by a loop: `for` and the name of a variable.
    fn is_for(&mut self) -> Result<bool, String> {
        let (rest, line) = (self.rest, self.line);
        self.rest = self.rest.trim_start();
        let is_for =
            self.token()? == Some(Token::Word("for".into())) && matches!(self.token()?, Some(Token::Word(_)));
        (self.rest, self.line) = (rest, line);
        Ok(is_for)
    }

    /// Passes over the rest of what has been opened, and what closes it. Its value is not known.
    fn skip_open(&mut self) -> Result<Yaml, String> {
        let mut open = 1usize;
        while open > 0 {
            match self.token()? {
                None => return Err(self.error()),
                Some(Token::Sign('[' | '{' | '(')) => open += 1,
                Some(Token::Sign(']' | '}' | ')')) => open -= 1,
                Some(_) => {}
            }
        }
        Ok(Yaml::Text(UNKNOWN.to_string()))
    }

    fn list(&mut self, depth: usize) -> Result<Yaml, String> {
        let mut items = Vec::new();
        loop {
            match self.peek()? {
                Some(Token::Line | Token::Sign(',')) => drop(self.token()?),
                Some(Token::Sign(']')) => {
                    self.token()?;
                    return Ok(Yaml::List(items));
                }
                None => return Err(self.error()),
                Some(_) => items.push(self.value(depth + 1)?),
            }
        }
    }

    /// Passes over the rest of a value.
    fn skip_value(&mut self) -> Result<(), String> {
        let mut open = 0usize;
        loop {
            match self.peek()? {
                None => return Ok(()),
                Some(Token::Line | Token::Sign(',')) if open == 0 => return Ok(()),
                Some(Token::Sign(']' | '}' | ')')) if open == 0 => return Ok(()),
                Some(Token::Sign('[' | '{' | '(')) => open += 1,
                Some(Token::Sign(']' | '}' | ')')) => open -= 1,
                Some(_) => {}
            }
            self.token()?;
        }
    }
}

/// Puts a block under its kind and name.
fn put(entries: &mut Vec<(String, Yaml)>, kind: String, name: Option<String>, body: Yaml) {
    let Some(name) = name else { return entries.push((kind, body)) };
    match entries.iter_mut().find(|(own, value)| *own == kind && matches!(value, Yaml::Map(_))) {
        Some((_, Yaml::Map(blocks))) => blocks.push((name, body)),
        _ => entries.push((kind, Yaml::Map(vec![(name, body)]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_by_kind_and_name_and_what_is_computed_is_unknown() {
        let text = r#"
            # a comment
            variable "TAG" { default = "latest" }
            group "default" {
              targets = ["api", "web", ]
            }
            target "api" { // another
              context = "./api"
              args = { VERSION = "3", "B": TAG }
              tags = ["acme/api:${TAG}", "x:${replace("a", "b", "}")}"]
              platforms = concat(["a"], [for p in x : upper(p)])
              labels = TAG == "x" ? "y" : "z" /* to here */
            }
            target "web" {
              inherits = ["api"]
            }
        "#;
        let tree = parse(text).unwrap();
        let api = tree.at(&["target", "api"]).unwrap();
        assert_eq!(tree.at(&["variable", "TAG", "default"]).and_then(Yaml::text), Some("latest"));
        assert_eq!(tree.at(&["group", "default", "targets"]).unwrap().items().len(), 2);
        assert_eq!(api.text_of("context"), Some("./api"));
        assert_eq!(api.at(&["args", "B"]).and_then(Yaml::text), Some("${TAG}"));
        let tags: Vec<&str> = api.get("tags").unwrap().items().iter().filter_map(Yaml::text).collect();
        assert_eq!(tags, ["acme/api:${TAG}", &format!("x:{UNKNOWN}")]);
        assert_eq!(api.text_of("platforms"), Some(UNKNOWN.to_string().as_str()));
        assert_eq!(api.text_of("labels"), Some(UNKNOWN.to_string().as_str()));
        assert_eq!(tree.at(&["target", "web", "inherits"]).unwrap().items().len(), 1);
        for text in ["target \"a\" {", "x = <<E\nF", "= 3", "a = \"b", &"a {".repeat(100)] {
            assert!(parse(text).unwrap_err().starts_with("line "), "{text}");
        }
    }

    #[test]
    fn what_is_computed_ends_where_its_value_ends() {
        let unknown = UNKNOWN.to_string();
        for value in [
            "<<EOT\nFROM scratch\n  } = \"\nEOT",
            "<<-EOT\n  FROM x\n  # EOT no\n  EOT",
            "<<EOT\r\nFROM scratch\r\nEOT\r",
            "(a\n + 1)",
            "(a) ? b : {\n c = 1 }",
            "!a",
            "!(a\n || b)",
            "-(1)",
            "{for k, v in x : k => upper(v)\n if v != \"}\"}",
            "{\n  for k in x : k => 1\n}",
            "[for p in x : (p)]",
            "\"${\n join(\"}\", x) }\"",
            "\"%{ if x == \"a\" }b%{ endif }\"",
            "format(\"%s\", <<E\n)\nE\n)",
        ] {
            let text = format!("\u{feff}target \"a\" {{\n  x = {value}\n  context = \"api\"\n}}\n");
            let tree = parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let target = tree.at(&["target", "a"]).unwrap();
            assert_eq!(target.text_of("context"), Some("api"), "{text}");
            assert!(target.text_of("x").is_some_and(|x| x.starts_with(&unknown)), "{target:?}");
        }
        let tree = parse("a = { (k) = 1, for = 2, \"for\" : 3 }\nb = [<<E\nx\nE\n, \"y\"]").unwrap();
        assert_eq!(tree.get("a").unwrap().entries().count(), 2);
        assert_eq!(tree.get("b").unwrap().items().len(), 2);
        let error = parse("a = <<E\nx\nE\nb = ]").unwrap_err();
        assert_eq!(error, "line 4 is not understood");
        for text in ["a = (", "a = {for", "a = {for x in", "a = <<", "a = <<\n", "a = << b c\nb c\n", "a = !"]
        {
            assert!(parse(text).unwrap_err().starts_with("line "), "{text}");
        }
        assert!(parse(&format!("a = {}b", "!".repeat(100))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}()\"$=:,#/*<a-b \\n\\\\-]{0,80}") {
            let _ = parse(&text);
        }
    }
}
