//! Names of images, from their tag or their Dockerfile's location; paths inside a repository; and workflow expressions
//! inside other text, which are preserved.

use std::collections::BTreeSet;

use super::CheckedImage;
use crate::image::name::ImageName;

/// Longest name, and longest path.
const MAX_LENGTH: usize = 60;
const MAX_PATH: usize = 1024;
/// Directories whose names say nothing about the image in them.
const GENERIC: &str =
    "docker .docker dockerfiles build package packaging deploy deployment container containers ci images src";
/// Expressions are represented by characters from this one on, which have no meaning of their own.
const FIRST: u32 = 0xf_0000;
const MAX_EXPRESSIONS: usize = 10_000;

/// Workflow expressions, each taken out of a text and represented by one character, so that the text around them can be
/// split.
#[derive(Debug, Default)]
pub struct Expressions(Vec<String>);

impl Expressions {
    /// Replaces each `${{ }}` in a text with a character.
    pub fn mask(&mut self, text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(start) = rest.find("${{").filter(|_| self.0.len() < MAX_EXPRESSIONS) {
            let end = rest[start..].find("}}").map_or(rest.len(), |end| start + end + 2);
            out.push_str(&rest[..start]);
            out.extend(char::from_u32(FIRST + self.0.len() as u32));
            self.0.push(rest[start..end].to_owned());
            rest = &rest[end..];
        }
        out + rest
    }

    /// Puts the expressions back.
    pub fn restore(&self, text: &str) -> String {
        let of = |c: char| self.0.get((c as u32).checked_sub(FIRST)? as usize);
        text.chars().map(|c| of(c).map_or_else(|| c.to_string(), String::clone)).collect()
    }
}

/// The `matrix.X` and `inputs.X` expressions in a text, and whether these are all of its expressions.
pub fn variables(text: &str) -> (Vec<String>, bool) {
    let mut expressions = Expressions::default();
    expressions.mask(text);
    let inner = |text: &String| Some(text.strip_prefix("${{")?.strip_suffix("}}")?.trim().to_owned());
    let is_own = |name: &String| name.starts_with("matrix.") || name.starts_with("inputs.");
    let own = expressions.0.iter().filter_map(inner).filter(|name| is_own(name) && is_word(name));
    let own: Vec<String> = own.collect();
    let is_all = own.len() == expressions.0.len();
    (own, is_all)
}

/// A name of lowercase letters, digits and single hyphens.
pub fn plain(text: &str) -> Option<String> {
    let lower = text.chars().take(MAX_LENGTH).collect::<String>().to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    Some(words.collect::<Vec<_>>().join("-")).filter(|name| !name.is_empty())
}

/// Whether a text can be part of an image name, a file name and an artifact name.
pub fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Whether a text, apart from its expressions, has only the characters of a reference.
pub fn is_reference(text: &str) -> bool {
    let masked = Expressions::default().mask(text);
    let is_own = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c) || c as u32 >= FIRST;
    !masked.is_empty() && masked.chars().all(|c| is_own(c) && c != crate::dockerfile::UNKNOWN)
}

/// The name in a tag such as `ghcr.io/acme/${{ matrix.app }}:1.2`: its last part, if that consists of plain text and
/// `matrix` or `inputs` expressions.
pub fn of_tag(tag: &str) -> Option<String> {
    let mut expressions = Expressions::default();
    let masked = expressions.mask(tag);
    let last = ImageName::parse(&masked).last();
    let (text, name) = (last.replace(|c| c as u32 >= FIRST, "0"), expressions.restore(last));
    let is_plain = is_word(&text) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    (is_plain && variables(&name).1).then_some(name)
}

/// The name from a Dockerfile's location: `api/Dockerfile`, `Dockerfile.api` and `api.Dockerfile` all give `api`.
/// `None` for one at the root.
pub fn of_path(dockerfile: &str) -> Option<String> {
    let (directory, file) = dockerfile.rsplit_once('/').unwrap_or((".", dockerfile));
    let file = file.to_ascii_lowercase();
    let starts = ["dockerfile.", "containerfile."].iter().find_map(|start| file.strip_prefix(start));
    let own = starts.or_else(|| file.strip_suffix(".dockerfile")).and_then(plain);
    let is_generic = |part: &str| part == "." || GENERIC.split(' ').any(|generic| generic == part);
    own.or_else(|| directory.rsplit('/').filter(|part| !is_generic(part)).find_map(plain))
}

/// A name that no other image has: its own, else with the target or the Dockerfile's location, else with a number.
pub fn unique(image: &CheckedImage, taken: &mut BTreeSet<String>) -> String {
    let base = &image.name;
    let target = image.target.clone().filter(|target| is_word(target));
    let more = target.into_iter().chain(image.dockerfile.as_deref().and_then(of_path));
    let more = more.filter(|more| more != base).map(|more| format!("{base}-{more}"));
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let mut names = [base.clone()].into_iter().chain(more).chain(numbered);
    names.find(|name| taken.insert(name.clone())).unwrap_or_default()
}

/// A path relative to `directory`, as a path from the root; `.` is the root itself. `None` if it leaves the root, is a
/// URL, or contains control or invisible characters.
pub fn join(directory: &str, path: &str) -> Option<String> {
    let is_address = path.contains("://") || path.starts_with("git@") || path.starts_with("github.com/");
    let is_odd = path.contains('\\') || !super::is_visible(path);
    if path.is_empty() || is_address || path.starts_with(['/', '~']) || is_odd {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    (joined.len() <= MAX_PATH).then(|| if joined.is_empty() { ".".to_owned() } else { joined })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_tags_and_places() {
        for (tag, expected) in [
            ("localhost:5000/acme/api@sha256:0", Some("api")),
            ("ghcr.io/${{ github.repository }}:1", None),
            (
                "ghcr.io/acme/${{ matrix.app }}-x:${{ github.ref_name || 'a:b/c' }}",
                Some("${{ matrix.app }}-x"),
            ),
            ("api", Some("api")),
            ("a/b c", None),
            ("", None),
        ] {
            assert_eq!(of_tag(tag).as_deref(), expected, "{tag}");
        }
        for (path, expected) in [
            ("Dockerfile", None),
            ("services/api/Dockerfile", Some("api")),
            ("build/package/Dockerfile", None),
            ("docker/Dockerfile.worker", Some("worker")),
            ("web.Dockerfile", Some("web")),
            ("web/dockerfile", Some("web")),
        ] {
            assert_eq!(of_path(path).as_deref(), expected, "{path}");
        }
        assert_eq!(plain("--$(x) My_App").as_deref(), Some("x-my-app"));
        let (names, is_all) = variables("${{ matrix.a.b }}x${{ inputs.c }}${{ env.d }}");
        assert_eq!((names, is_all), (vec!["matrix.a.b".to_owned(), "inputs.c".to_owned()], false));
        assert!(
            is_reference("a/b:${{ x == 'y z' }}") && !is_reference("a b") && !is_reference("a\u{10ffff}")
        );
    }

    #[test]
    fn no_path_leaves_the_repository() {
        for (directory, path, expected) in [
            (".", ".", Some(".")),
            (".", "./api/", Some("api")),
            ("services/api", "../web/Dockerfile", Some("services/web/Dockerfile")),
            ("api", "..", Some(".")),
            ("api", "../..", None),
            (".", "../x", None),
            (".", "/etc", None),
            (".", "~/x", None),
            (".", "https://x.example/y.git", None),
            (".", "git@x.example:y", None),
            (".", "a\nb", None),
            (".", "a\u{202e}b", None),
            (".", "-x $(y) 'z'", Some("-x $(y) 'z'")),
            (".", "", None),
        ] {
            assert_eq!(join(directory, path).as_deref(), expected, "{directory} {path}");
        }
    }
}
