//! Where bake and compose files define named contexts. Only docker can read these files, so that what they say is not
//! followed; a reader of a Dockerfile that may need one is told where to look.

/// The keys that define them: of bake's HCL and JSON, and of compose's YAML.
const KEYS: [&str; 2] = ["contexts", "additional_contexts"];

/// The first line of a bake or compose file that defines named contexts.
pub fn line_of_contexts(text: &str) -> Option<usize> {
    let defines = |line: &str| {
        let (key, rest) =
            line.trim_start().split_at_checked(key_length(line.trim_start())).unwrap_or_default();
        KEYS.contains(&key.trim_matches('"')) && rest.trim_start().starts_with(['=', ':', '{'])
    };
    text.lines().position(defines).map(|at| at + 1)
}

fn key_length(line: &str) -> usize {
    line.find(|c: char| !(c.is_ascii_alphanumeric() || "_\"-".contains(c))).unwrap_or(line.len())
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
            ("target \"app\" {\n  context = \".\"\n}\n", None),
            ("# contexts = {}\nservices:\n  contexts-app:\n    image: x\n", None),
        ] {
            assert_eq!(line_of_contexts(text), line, "{text}");
        }
    }
}
