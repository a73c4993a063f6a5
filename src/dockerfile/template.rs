//! Templates of Dockerfiles: a tool makes a Dockerfile from them, and no builder reads them as they are.

use super::Dockerfile;

/// Endings of names.
const ENDINGS: [&str; 13] = [
    "j2", "jinja", "jinja2", "tmpl", "tpl", "template", "erb", "in", "mustache", "hbs", "gotmpl", "ejs", "m4",
];
/// How a line of a template engine begins.
const LINES: [&str; 6] = ["{{", "{%", "{#", "<%", "%%", "@@"];
/// What a name of an image never has.
const IN_NAMES: [&str; 4] = ["{{", "{%", "<%", "%%"];

/// Whether a file with the name of a Dockerfile is a template: by its ending, by a `FROM {{ base }}`, or, where no
/// builder takes the text, by a line such as `{% if %}`. The same line in a here-document is nothing of the kind.
pub fn is_template(path: &str, text: &str) -> bool {
    let ending =
        path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    if ENDINGS.iter().any(|one| ending.eq_ignore_ascii_case(one)) {
        return true;
    }
    match Dockerfile::parse(text) {
        Ok(dockerfile) => dockerfile.stages().iter().any(|stage| has_mark(&stage.base)),
        Err(_) => text.lines().map(str::trim_start).any(|line| {
            let from = line.get(..5).filter(|word| word.eq_ignore_ascii_case("from "));
            LINES.iter().any(|start| line.starts_with(start)) || from.is_some_and(|_| has_mark(&line[5..]))
        }),
    }
}

/// Whether a base image is yet to be filled in: `{{ base }}`, `@BASE@`.
fn has_mark(base: &str) -> bool {
    let first = base.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or_default();
    IN_NAMES.iter().any(|mark| base.contains(mark))
        || first.strip_prefix('@').is_some_and(|rest| rest.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::is_template;

    #[test]
    fn templates_are_told_from_dockerfiles() {
        for (path, text) in [
            ("a/Dockerfile.J2", "FROM alpine\n"),
            ("Dockerfile", "FROM {{ base }}:{{ tag }}\nRUN make\n"),
            ("Dockerfile", "from --platform=linux/amd64 {{base}}\n"),
            ("Dockerfile", "FROM ruby:<%= version %>\n"),
            ("Dockerfile", "FROM @BASE@\nRUN make\n"),
            ("Dockerfile", "{% if gpu %}\nFROM cuda\n{% endif %}\n"),
            ("Dockerfile", "FROM alpine\n{{- range .Packages }}\nRUN apk add {{ . }}\n{{- end }}\n"),
        ] {
            assert!(is_template(path, text), "{path}\n{text}");
        }
        for (path, text) in [
            ("in/Dockerfile", "FROM alpine\n"),
            ("Dockerfile", "FROM alpine\nRUN docker inspect --format \\\n{{ .Id }} a\n"),
            (
                "Dockerfile",
                "FROM alpine\nCOPY <<END /etc/a.tmpl\n{{ range . }}\nFROM {{ . }}\n{{ end }}\nEND\n",
            ),
            ("Dockerfile", "FROM alpine@sha256:0a\nRUN echo '{{'\n"),
            ("Dockerfile", "FROM alpine\nWHAT is this\n"),
        ] {
            assert!(!is_template(path, text), "{path}\n{text}");
        }
    }
}
