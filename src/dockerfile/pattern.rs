//! Patterns of names.

/// Whether a text fits a pattern in which `*` is any text. Each part is taken at the first place where
/// it fits, so the work is bounded by the lengths.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut last = rest;
    while let Some((middle, after)) = last.split_once('*') {
        let Some(at) = text.find(middle) else { return false };
        text = &text[at + middle.len()..];
        last = after;
    }
    text.ends_with(last)
}
