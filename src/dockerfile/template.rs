//! Dockerfile templates: a tool generates a Dockerfile from them, and no builder reads them directly.

use super::Dockerfile;

/// File name extensions.
const ENDINGS: [&str; 13] = [
    "j2", "jinja", "jinja2", "tmpl", "tpl", "template", "erb", "in", "mustache", "hbs", "gotmpl", "ejs", "m4",
];
/// How the lines of template engines begin.
const LINES: [&str; 6] = ["{{", "{%", "{#", "<%", "%%", "@@"];
/// What an image name never contains.
const IN_NAMES: [&str; 4] = ["{{", "{%", "<%", "%%"];

/// Whether a file with a Dockerfile's name is a template: by its extension, by a `FROM {{ base }}`, or, if no builder
/// accepts the text, by a line such as `{% if %}`. Such a line in a here-document does not count.
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

/// Whether a base image is a placeholder: `{{ base }}`, `@BASE@`.
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
