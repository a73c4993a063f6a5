//! Text with one `Name: value` field a line: deb822(5), RFC 822, and apk's one-letter form.

/// The lines of a text, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The paragraphs of a text, separated by empty lines.
pub fn paragraphs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let (paragraph, after) = split_paragraph(rest.get(start..)?);
        rest = after;
        Some(paragraph)
    })
}

fn split_paragraph(text: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            break;
        }
        end += line.len();
    }
    text.split_at(end)
}

/// The value of the first field with this name, in any case; the first line of a value of several lines.
pub fn field<'a>(paragraph: &'a [u8], name: &str) -> Option<&'a [u8]> {
    lines(paragraph).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}
