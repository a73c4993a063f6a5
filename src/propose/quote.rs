//! Paths of an image as text in a Dockerfile. They are untrusted: whoever made the image chose them. A path that cannot
//! be written safely is not written at all.

use crate::image::text::is_invisible;

/// A path for `COPY`: there builders expand variables and patterns, and split at blanks.
pub(super) fn copy_path(path: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@,:=~%".contains(byte);
    if !path.iter().all(plain) || has_part_that_reads_otherwise(path) {
        return None;
    }
    String::from_utf8(path.to_vec()).ok().map(|path| format!("/{path}"))
}

/// A path as a shell word in `RUN`. Inside single quotes a shell interprets nothing; what a builder could interpret is
/// refused.
pub(super) fn shell_word(path: &[u8]) -> Option<String> {
    if let Some(plain) = copy_path(path) {
        return Some(plain);
    }
    let text = std::str::from_utf8(path).ok()?;
    let fits = |c: char| !hides(c) && !"'\"`\\<>$".contains(c);
    let fits = text.chars().all(fits) && !has_part_that_reads_otherwise(path);
    fits.then(|| format!("'/{text}'"))
}

/// A path in a comment, cut; characters that are not visible become `?`.
pub(super) fn comment(text: &str) -> String {
    let mut shown: String = text.chars().take(200).map(|c| if hides(c) { '?' } else { c }).collect();
    if text.chars().nth(200).is_some() {
        shown.push('\u{2026}');
    }
    shown
}

/// Maximum names that are listed in one comment.
const MAX_LISTED: usize = 8;

/// Names in a comment, and how many more there are.
pub(super) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let text = names.by_ref().take(MAX_LISTED).map(comment).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// The last one stands for unknown text in a Dockerfile.
fn hides(c: char) -> bool {
    c.is_control() || is_invisible(c) || c == '\u{10ffff}'
}

/// `..` would leave the directory, and does not occur in layers.
fn has_part_that_reads_otherwise(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part == b".." || part == b"." || part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_so_that_nothing_is_read_in_them() {
        assert_eq!(copy_path(b"usr/bin/a-b_c+d").as_deref(), Some("/usr/bin/a-b_c+d"));
        for odd in ["a b", "a$b", "a*", "[x]", "a\nRUN x", "a\\", "\"", "../x", "a//b", "", "a/./b"] {
            assert_eq!(copy_path(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(shell_word(b"a [b]*").as_deref(), Some("'/a [b]*'"));
        for odd in ["a'b", "a\nRUN x", "a\\", "<<EOF", "$(x)", "`x`", "a\u{2028}b", "\u{10ffff}"] {
            assert_eq!(shell_word(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(shell_word(b"\xff"), None);
        assert_eq!(comment("a\nb\u{202e}c"), "a?b?c");
        assert_eq!(comment(&"x".repeat(300)).chars().count(), 201);
    }
}
