//! Where bake and compose files define named contexts. Only Docker can evaluate these files, so they are not followed;
//! the report of a Dockerfile that may need a context tells where to look.

/// The keys that define them: in bake's HCL and JSON, and in compose's YAML.
const KEYS: [&str; 2] = ["contexts", "additional_contexts"];

/// The first line of a bake or compose file that defines named contexts.
pub fn line_of_contexts(text: &str) -> Option<usize> {
    text.lines().position(defines_contexts).map(|at| at + 1)
}

/// Whether the line has one of these keys: JSON and YAML may be written on one line.
fn defines_contexts(line: &str) -> bool {
    let is_key = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let comment = |at: &usize| *at == 0 || line[..*at].ends_with(char::is_whitespace);
    let ends = ["#", "//"].iter().filter_map(|mark| line.match_indices(mark).map(|(at, _)| at).find(comment));
    let line = &line[..ends.min().unwrap_or(line.len())];
    KEYS.iter().flat_map(|key| line.match_indices(key)).any(|(at, key)| {
        let rest = &line[at + key.len()..];
        let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start();
        !line[..at].ends_with(is_key) && rest.starts_with(['=', ':', '{'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_seen_and_nothing_else() {
        for (text, line) in [
            ("target \"app\" {\n  contexts = {\n    base = \"target:base\"\n  }\n}\n", Some(2)),
            ("{\"target\": {\n\"app\": {\n  \"contexts\": {\"base\": \"target:base\"}}}}\n", Some(3)),
            ("services:\n  app:\n    build:\n      additional_contexts:\n        base: ../base\n", Some(4)),
            ("{\"target\":{\"app\":{\"contexts\":{\"base\":\"docker-image://a\"}}}}\n", Some(1)),
            ("services:\n  app:\n    build: {context: ., additional_contexts: {base: ../b}}\n", Some(3)),
            ("target \"app\" { # contexts = {}\n  // contexts = {}\n  contexts={}\n}\n", Some(3)),
            ("target \"app\" {\n  context = \".\"\n}\n", None),
            ("# contexts = {}\nservices:\n  contexts-app:\n    image: x\n", None),
        ] {
            assert_eq!(line_of_contexts(text), line, "{text}");
        }
    }
}
