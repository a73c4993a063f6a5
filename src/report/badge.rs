//! The size of an image as a badge: an SVG, or the JSON that shields.io draws one from (shields.io, "Endpoint Badge").

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::escape::{visible, xml};
use super::{ImageReport, Report, words};
use crate::image::Bytes;
use crate::limits::Verdict;

/// A label, a message and its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// The subject.
    pub label: String,
    /// The size.
    pub message: String,
    /// The verdict that determines its colour, if any.
    pub verdict: Option<Verdict>,
}

/// The format of a badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadgeFormat {
    /// An image.
    Svg,
    /// JSON in the format of shields.io.
    Endpoint,
}

/// Maximum characters of a label.
const MAX_LABEL: usize = 60;
/// Half of the space around each of the two texts.
const SPACE: usize = 60;

impl BadgeFormat {
    /// The format for a file, by its extension.
    pub fn of(path: &Path) -> BadgeFormat {
        let is_json = path.extension().is_some_and(|ending| ending == "json");
        if is_json { BadgeFormat::Endpoint } else { BadgeFormat::Svg }
    }
}

impl Badge {
    /// The badge of a size.
    pub fn of_size(name: &str, size: Option<Bytes>) -> Badge {
        Badge { label: name.to_owned(), message: words::amount(size), verdict: None }
    }

    /// The badge of a check: of its single image, or of all together.
    pub fn of(report: &Report) -> Badge {
        let (label, size) = match report.images.as_slice() {
            [image] => (image.name.clone(), image.head_size()),
            images => {
                (format!("{} images", images.len()), words::size_of_all(images, ImageReport::head_size))
            }
        };
        let badge = Badge { verdict: Some(report.verdict), ..Badge::of_size(&label, size) };
        // Sizes in several metrics have no sum.
        match words::common_metric(&report.images) {
            Some(_) => badge,
            None => Badge { message: report.verdict.as_str().to_owned(), ..badge },
        }
    }

    /// Writes the badge.
    ///
    /// # Errors
    /// Any error from writing.
    pub fn write(&self, form: BadgeFormat, out: &mut impl Write) -> io::Result<()> {
        let label = super::escape::short(&self.label, MAX_LABEL);
        let message = visible(&self.message);
        match form {
            BadgeFormat::Endpoint => {
                let (color, _) = self.color();
                let document =
                    json!({ "schemaVersion": 1, "label": label, "message": message, "color": color });
                serde_json::to_writer(&mut *out, &document)?;
                writeln!(out)
            }
            BadgeFormat::Svg => write_svg(&label, &message, self.color().1, out),
        }
    }

    /// The name that shields.io knows, and the same in hexadecimal; white text on either has a contrast of at least
    /// 4.5.
    fn color(&self) -> (&'static str, &'static str) {
        match self.verdict {
            None => ("blue", "#0969da"),
            Some(Verdict::Pass) => ("brightgreen", "#1a7f37"),
            Some(Verdict::Warn | Verdict::Unenforced) => ("yellow", "#8a5a00"),
            Some(Verdict::Accepted) => ("blueviolet", "#6639ba"),
            Some(Verdict::Fail) => ("red", "#c21c2c"),
        }
    }
}

/// Lengths are in tenths of a pixel; `textLength` makes any font as wide as calculated here.
fn write_svg(label: &str, message: &str, color: &str, out: &mut impl Write) -> io::Result<()> {
    let (left, right) = (width(label), width(message));
    let (left_box, right_box) = (left + 2 * SPACE, right + 2 * SPACE);
    let all = left_box + right_box;
    let (label, message) = (xml(label), xml(message));
    write!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="20" viewBox="0 0 {all} 200" role="img" aria-label="{label}: {message}"><title>{label}: {message}</title><g fill="#fff"><rect width="{all}" height="200" rx="30" fill="#3d444d"/><path d="M{left_box} 0H{end}a30 30 0 0 1 30 30V170a30 30 0 0 1-30 30H{left_box}z" fill="{color}"/><g font-family="Verdana,DejaVu Sans,sans-serif" font-size="110"><text x="{SPACE}" y="140" textLength="{left}">{label}</text><text x="{message_x}" y="140" textLength="{right}">{message}</text></g></g></svg>"##,
        w = all.div_ceil(10),
        end = all - 30,
        message_x = left_box + SPACE,
    )?;
    writeln!(out)
}

/// The approximate width of a text in 11-pixel Verdana.
fn width(text: &str) -> usize {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ' ' | '\u{a0}' | '\'' | '|' => 40,
        'f' | 'r' | 't' | '-' | '/' | '(' | ')' => 48,
        'm' | 'w' | 'M' | 'W' => 100,
        c if c.is_ascii_uppercase() => 80,
        c if c.is_ascii() => 68,
        _ => 110,
    };
    text.chars().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_no_character_that_xml_forbids() {
        let badge = Badge::of_size("a\u{ffff}b\u{fffe}c\u{1}<", Some(Bytes(1)));
        let mut out = Vec::new();
        badge.write(BadgeFormat::Svg, &mut out).unwrap();
        let svg = String::from_utf8(out).unwrap();
        assert!(svg.contains("<title>a\u{fffd}b\u{fffd}c\u{2401}&lt;: "), "{svg}");
        assert!(!svg.contains(['\u{ffff}', '\u{fffe}']), "{svg}");
    }
}
